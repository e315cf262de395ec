// The page: where the reader is, and what is shown of it.

const LEVEL_NAMES = { operation: 'Operations', expression: 'Expressions', neuron: 'Neurons', layer: 'Layers' };
const STEP_MILLISECONDS = 1200;
const MOST_PATHS = 5;
const MOST_LEAVES = 60;
const MOST_PRINTED = 2000;

const byId = (id) => document.getElementById(id);

// An element with text, or with other elements in it. What is text stays text.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A number, with all of its digits for whoever points at it.
function shownNumber(x) {
  const element = make('data', { value: formulas.exactNumber(x), title: formulas.exactNumber(x) });
  element.append(formulas.writtenNumber(x));
  return element;
}

// Every digit of a number; a dash for what is not computed yet, which is not 0.
function knownNumber(x) {
  return x === null ? '—' : formulas.exactNumber(x);
}

function tableOf(titles, rows) {
  const head = make('tr', {}, ...titles.map((title) => make('th', { scope: 'col' }, title)));
  const lines = rows.map((row) => make('tr', {}, ...row.map((text) => make('td', {}, text))));
  return make('table', {}, make('thead', {}, head), make('tbody', {}, ...lines));
}

class Page {
  constructor(passes) {
    this.passes = passes;
    this.level = passes.level;
    this.opened = new Set();
    this.index = 0;
    this.place = 0;
    this.isPredicting = false;
    this.revealed = 0;
    this.chosen = null;
    this.timer = null;
    this.history = [passes.data[passes.root]];
    this.graph = new Graph(byId('graph'), passes, {
      choose: (places) => this.choose(this.heaviest(places)),
      chooseEdge: (edges) => this.goTo(Math.max(...edges.map((edge) => this.view.ownerOf(edge)))),
      open: (group) => this.open(group),
    });
    byId('app').hidden = false;
    byId('transport').hidden = false;
    byId('output-name').textContent = this.outputName;
    byId('output-name').title = this.outputName;
    this.leaves = new Leaves(this);
    this.#listLevels();
    this.#listNodes();
    this.#listen();
    this.setLevel(this.level);
    this.leaves.show();
    this.showAnomaly();
  }

  get frame() {
    return this.view.frames[this.index];
  }

  get outputName() {
    return this.passes.names[this.passes.root];
  }

  // Walking

  setLevel(level, opened = this.opened) {
    this.level = level;
    this.opened = opened;
    this.view = new View(this.passes, level, opened);
    this.graph.setView(this.view);
    byId('timeline').max = this.view.frames.length - 1;
    const share = this.view.seedIndex / Math.max(1, this.view.frames.length - 1);
    document.querySelector('.timeline').style.setProperty('--seed-at', `${100 * share}%`);
    for (const input of document.querySelectorAll('#levels input')) input.checked = input.value === level;
    this.#listOpened();
    this.#show(this.place === 0 ? 0 : this.view.showing(this.place));
  }

  open(group) {
    this.setLevel(this.level, new Set([...this.opened, group]));
    this.graph.focus(group.members[0]);
  }

  close(group) {
    // What lies within it closes as well.
    const rest = [...this.opened].filter((each) => !each.members.every((member) => group.holds.has(member)));
    this.setLevel(this.level, new Set(rest));
    this.graph.focus(group.members[0]);
  }

  goTo(index) {
    const last = this.view.frames.length - 1;
    const next = Math.min(last, Math.max(0, index));
    // The place in the walk over single operations, which stays when the level changes.
    this.place = next === 0 ? 0 : this.view.frames[next].at;
    if (next === last) this.pause();
    this.#show(next);
  }

  #show(index) {
    this.index = index;
    this.revealed = 0;
    this.show();
  }

  // What a reader who chooses a node wants to see: how its number is made, or its gradient.
  choose(place) {
    this.select(place);
    const isBackward = this.index >= this.view.seedIndex;
    const index = isBackward ? this.view.frameOfGradient(place) : this.view.frameOf(place);
    if (index >= 0) this.goTo(index);
  }

  select(place) {
    this.chosen = place;
    byId('node').value = place === null ? '' : String(place);
    this.graph.markChosen(place);
    this.showProvenance();
  }

  // Of several results, the one whose gradient weighs most.
  heaviest(places) {
    const weight = (place) => Math.abs(this.passes.gradients[place]);
    return places.reduce((best, place) => (weight(place) > weight(best) ? place : best));
  }

  play() {
    if (this.timer !== null) return this.pause();
    if (this.index === this.view.frames.length - 1) this.goTo(0);
    this.#setPlaying(true);
    return this.#wait();
  }

  #wait() {
    const wait = STEP_MILLISECONDS / Number(byId('speed').value);
    this.timer = setTimeout(() => {
      // In predict mode every number stays hidden for one beat.
      if (this.isPredicting && this.revealed < this.results.length) this.reveal();
      else this.goTo(this.index + 1);
      if (this.timer !== null) this.#wait();
    }, wait);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = null;
    this.#setPlaying(false);
  }

  #setPlaying(isPlaying) {
    const button = byId('play');
    button.querySelector('path').setAttribute('d', isPlaying ? 'M6 4h4v16H6zM14 4h4v16h-4z' : 'M7 4l13 8-13 8z');
    button.setAttribute('aria-label', isPlaying ? 'Pause' : 'Play');
    button.title = isPlaying ? 'Pause (space)' : 'Play (space)';
  }

  // Predict mode

  get results() {
    return this.view.results(this.frame);
  }

  get isHidden() {
    return this.isPredicting && this.revealed < this.results.length;
  }

  // Whether the result with that number is to be seen.
  isShown(number) {
    return !this.isPredicting || this.revealed > number;
  }

  setPredicting(isPredicting) {
    this.isPredicting = isPredicting;
    this.revealed = 0;
    byId('predict').setAttribute('aria-pressed', String(isPredicting));
    document.documentElement.toggleAttribute('data-predicting', isPredicting);
    this.show();
  }

  reveal() {
    if (!this.isHidden) return;
    this.revealed += 1;
    this.show();
    if (this.isHidden) byId('guess-number').focus({ preventScroll: true });
  }

  check() {
    const { number } = this.results[this.revealed];
    const verdict = judged(byId('guess-number').value, number);
    if (verdict.isRight) this.reveal();
    this.#sayVerdict(verdict);
  }

  #sayVerdict({ isRight, text }) {
    const output = byId('verdict');
    byId('guess').hidden = false;
    output.textContent = text;
    output.className = isRight ? 'is-right' : 'is-wrong';
  }

  hiddenNow() {
    const hidden = { values: new Set(), gradients: new Set() };
    if (!this.isHidden) return hidden;
    const { frame } = this;
    const places = frame.layer ? frame.layer.targets : [frame.edge ? frame.edge.target : frame.place];
    for (const place of places) (frame.phase === 'forward' ? hidden.values : hidden.gradients).add(place);
    return hidden;
  }

  // Showing

  show() {
    const { frame, passes } = this;
    document.documentElement.dataset.phase = frame.phase;
    this.graph.show(frame, this.hiddenNow());
    this.graph.markChosen(this.chosen);
    byId('phase').textContent = frame.phase === 'forward' ? 'Forward' : 'Backward';
    byId('step-count').textContent = `Step ${this.index + 1} of ${this.view.frames.length}`;
    byId('step-size').textContent = this.#sizeText();
    const explained = new Explanation(passes, this.view, frame, (number) => this.isShown(number));
    byId('sentence').textContent = explained.sentence();
    byId('lines').replaceChildren(...explained.elements());
    this.#showGuess();
    this.#showTransport(explained);
    this.leaves.showText();
    this.showProvenance();
    this.showTable();
    byId('spoken').textContent = `Step ${this.index + 1} of ${this.view.frames.length}, ${explained.spoken()}`;
  }

  #sizeText() {
    const { count, phase } = this.frame;
    return count > 1 ? `×${count} ${phase === 'backward' ? 'edges' : 'operations'}` : '';
  }

  #showTransport(explained) {
    const timeline = byId('timeline');
    timeline.value = this.index;
    timeline.setAttribute('aria-valuetext', `Step ${this.index + 1}, ${explained.shortSpoken()}`);
    for (const id of ['first', 'previous']) byId(id).disabled = this.index === 0;
    for (const id of ['next', 'last']) byId(id).disabled = this.index === this.view.frames.length - 1;
  }

  #showGuess() {
    const form = byId('guess');
    form.hidden = !this.isHidden;
    byId('verdict').textContent = '';
    byId('guess-number').value = '';
    if (this.isHidden) byId('guess-label').textContent = `Your guess: the ${this.results[this.revealed].what}`;
  }

  // Anomalies

  showAnomaly() {
    const { passes } = this;
    byId('anomaly').hidden = passes.anomaly === null;
    byId('anomaly-text').textContent = anomalies.sentences(passes).join(' ');
    byId('to-anomaly').hidden = !passes.markedSteps.size;
    this.marksShown = JSON.stringify([...passes.marks]);
  }

  // After leaves have changed.
  update() {
    if (JSON.stringify([...this.passes.marks]) !== this.marksShown) {
      this.graph.setView(this.view);
      this.showAnomaly();
    }
    this.show();
    this.leaves.update();
  }

  // Provenance

  // Of the node that was chosen; until one is, of the node that a backward step adds to.
  showProvenance() {
    const place = this.chosen ?? this.frame.edge?.target ?? null;
    this.graph.markPath(null);
    if (place === null) {
      this.#sayOfPaths('Choose a node, in the graph or here, to see the paths that carry its gradient.');
    } else if (this.isPredicting && (this.isHidden || !this.view.isComplete(place, this.index))) {
      this.#sayOfPaths('Hidden while you predict, until this gradient is complete.');
    } else {
      const markPath = (places) => this.graph.markPath(places);
      byId('paths').replaceChildren(...provenanceElements(this.passes, place, markPath));
    }
  }

  #sayOfPaths(text) {
    byId('paths').replaceChildren(make('p', { class: 'quiet' }, text));
  }

  // Tables

  openTable() {
    byId('table').showModal();
    this.showTable();
  }

  showTable() {
    if (!byId('table').open) return;
    const hidden = this.hiddenNow();
    const rows = this.passes.names.map((name, place) => {
      const value = this.view.hasNumber(place, this.index) ? this.passes.data[place] : null;
      const gradient = this.view.gradientAt(place, this.index);
      return [
        name,
        this.passes.rows[place] < 0 ? 'leaf' : this.passes.symbolsText(this.passes.operationFormulas[place]),
        hidden.values.has(place) ? '?' : knownNumber(value),
        hidden.gradients.has(place) ? '?' : knownNumber(gradient),
      ];
    });
    byId('numbers').replaceChildren(tableOf(['Node', 'Operation', 'Value', 'Gradient so far'], rows));
  }

  // Every step of the level, for paper.
  print() {
    const frames = this.view.frames.slice(0, MOST_PRINTED);
    const rows = frames.map((frame, i) => {
      const explained = new Explanation(this.passes, this.view, frame, () => true);
      return [String(i + 1), ...explained.printed()];
    });
    const title = make('h2', {}, `All steps: ${LEVEL_NAMES[this.level].toLowerCase()}`);
    byId('printed').replaceChildren(title, tableOf(['Step', 'In symbols', 'In numbers'], rows));
  }

  // Lists

  #listLevels() {
    const { levels } = this.passes;
    byId('levels').hidden = levels.length < 2;
    for (const level of levels) {
      const input = make('input', { type: 'radio', name: 'level', value: level });
      input.addEventListener('change', () => this.setLevel(level));
      byId('levels').append(make('label', {}, input, make('span', {}, LEVEL_NAMES[level])));
    }
  }

  nextLevel() {
    const { levels } = this.passes;
    this.setLevel(levels[(levels.indexOf(this.level) + 1) % levels.length]);
  }

  #listOpened() {
    const chips = [...this.opened].map((group) => {
      const name = `Close ${formulas.spokenName(group.name)}`;
      const button = make('button', { type: 'button', 'aria-label': name }, `${group.name} ✕`);
      button.addEventListener('click', () => this.close(group));
      return button;
    });
    byId('opened').replaceChildren(...chips);
  }

  #listNodes() {
    const select = byId('node');
    select.append(make('option', { value: '' }, 'of each backward step'));
    const { names, rows } = this.passes;
    const groups = [['Leaves', (place) => rows[place] < 0], ['Results', (place) => rows[place] >= 0]];
    for (const [label, belongs] of groups) {
      const places = inOrder(names, [...names.keys()].filter(belongs));
      if (!places.length) continue;
      const group = make('optgroup', { label });
      group.append(...places.map((place) => make('option', { value: String(place) }, names[place])));
      select.append(group);
    }
    select.addEventListener('change', () => (select.value ? this.choose(Number(select.value)) : this.select(null)));
  }

  // Listening

  #listen() {
    const clicks = {
      first: () => this.goTo(0),
      previous: () => this.goTo(this.index - 1),
      next: () => this.goTo(this.index + 1),
      last: () => this.goTo(this.view.frames.length - 1),
      play: () => this.play(),
      predict: () => this.setPredicting(!this.isPredicting),
      check: () => this.check(),
      reveal: () => this.reveal(),
      theme: () => switchTheme(),
      'open-help': () => byId('help').showModal(),
      'open-table': () => this.openTable(),
      'to-anomaly': () => this.goTo(this.view.owners[Math.min(...this.passes.markedSteps.keys())]),
      'zoom-in': () => this.graph.zoomBy(1.25),
      'zoom-out': () => this.graph.zoomBy(0.8),
      'zoom-fit': () => this.graph.fit('whole'),
    };
    for (const [id, listener] of Object.entries(clicks)) byId(id).addEventListener('click', listener);
    byId('timeline').addEventListener('input', (event) => this.goTo(Number(event.target.value)));
    // No forms: in the frame of a notebook they are not allowed to be submitted.
    byId('guess-number').addEventListener('keydown', (event) => event.key === 'Enter' && this.check());
    for (const button of document.querySelectorAll('.close')) {
      button.addEventListener('click', () => button.closest('dialog').close());
    }
    document.addEventListener('keydown', (event) => this.#onKey(event));
    window.addEventListener('beforeprint', () => this.print());
    window.addEventListener('resize', () => {
      if (this.graph.fitting) this.graph.fit(this.graph.fitting);
      this.graph.follow();
    });
    this.#listenToSwipes();
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    if (event.target.closest('input:not([type="radio"]):not([type="checkbox"]), select, textarea')) return;
    if (this.#onGraphKey(event)) return;
    const isPressable = event.target.closest('button, summary, a');
    const keys = {
      ArrowRight: () => this.goTo(this.index + 1),
      ArrowLeft: () => this.goTo(this.index - 1),
      Home: () => this.goTo(0),
      End: () => this.goTo(this.view.frames.length - 1),
      ' ': () => this.play(),
      p: () => this.setPredicting(!this.isPredicting),
      r: () => this.reveal(),
      l: () => this.nextLevel(),
      d: () => this.leaves.descend(1),
      t: () => switchTheme(),
      '+': () => this.graph.zoomBy(1.25),
      '=': () => this.graph.zoomBy(1.25),
      '-': () => this.graph.zoomBy(0.8),
      0: () => this.graph.fit('whole'),
      '?': () => byId('help').showModal(),
    };
    if (!keys[event.key] || (event.key === ' ' && isPressable)) return;
    // Arrows choose among the levels where those have the focus.
    if (event.key.startsWith('Arrow') && event.target.closest('#levels')) return;
    event.preventDefault();
    keys[event.key]();
  }

  // On a box or a badge of the graph; gives whether the key was for it.
  #onGraphKey(event) {
    const pressed = event.target.closest('#graph [role="button"]');
    if (!pressed) return false;
    const { boxes } = this.graph.drawn;
    const at = boxes.findIndex((box) => box.element.contains(pressed));
    const keys = {
      Enter: () => pressed.dispatchEvent(new MouseEvent('click')),
      ArrowDown: () => boxes[Math.min(boxes.length - 1, at + 1)].main.focus(),
      ArrowUp: () => boxes[Math.max(0, at - 1)].main.focus(),
      o: () => boxes[at].group && this.open(boxes[at].group),
    };
    if (!keys[event.key]) return false;
    event.preventDefault();
    keys[event.key]();
    return true;
  }

  #listenToSwipes() {
    let start = null;
    byId('step').addEventListener('touchstart', (event) => {
      start = event.touches.length === 1 && !isScrollable(event.target) ? event.touches[0] : null;
    }, { passive: true });
    byId('step').addEventListener('touchend', (event) => {
      if (!start) return;
      const [end] = event.changedTouches;
      const [x, y] = [end.clientX - start.clientX, end.clientY - start.clientY];
      if (Math.abs(x) > 50 && Math.abs(x) > 2 * Math.abs(y)) this.goTo(this.index + (x < 0 ? 1 : -1));
      start = null;
    }, { passive: true });
  }
}

// Whether it is in a formula that is wider than its place: there a finger scrolls.
function isScrollable(target) {
  const formula = target.closest('.wide, .rule');
  return formula !== null && formula.scrollWidth > formula.clientWidth + 1;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId('theme').setAttribute('aria-pressed', String(theme === 'dark'));
}

function switchTheme() {
  setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark');
}

// Guesses

// Right to the digits that were given, if those are enough to tell.
function judged(text, number) {
  const typed = text.trim().replace(/[−–]/g, '-').replace(',', '.').replace(/∞|inf(inity)?/i, 'Infinity');
  const guess = /^nan$/i.test(typed) ? NaN : Number(typed || 'x');
  if (Number.isNaN(guess) && !/^nan$/i.test(typed)) return { isRight: false, text: 'Type a number.' };
  if (Object.is(guess, number) || guess === number) return { isRight: true, text: 'Right.' };
  if (!Number.isFinite(guess) || !Number.isFinite(number)) return { isRight: false, text: 'Not that.' };
  const decimals = (/\.(\d*)/.exec(typed)?.[1] ?? '').length - Number(/e([+-]?\d+)/i.exec(typed)?.[1] ?? 0);
  const isRounded = Math.abs(guess - number) <= 0.500001 * 10 ** -decimals;
  const isNear = Math.abs(guess - number) <= 0.01 * Math.abs(number);
  if (isRounded && isNear) return { isRight: true, text: `Right: ${formulas.numberText(number)}.` };
  return { isRight: false, text: `Off by ${formulas.numberText(Math.abs(guess - number))}.` };
}

// Starting

const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');
setTheme(prefersDark.matches ? 'dark' : 'light');
prefersDark.addEventListener('change', () => setTheme(prefersDark.matches ? 'dark' : 'light'));
new Page(new Passes(JSON.parse(byId('data').textContent), operations));

// Beside the steps: the paths that carry a gradient, and the leaves, which can be changed and descend.

// Names of a path: those that were given; of a graph without labels all of them. Those in the middle of many go.
function routeOf(passes, places) {
  const named = places.filter((place, i) => passes.labelled[place] || i === 0 || i === places.length - 1);
  const shown = named.length > 2 ? named : places;
  const names = shown.map((place) => passes.names[place]);
  const short = names.length > 9 ? [...names.slice(0, 4), '…', ...names.slice(-4)] : names;
  return short.join(' → ');
}

function factorsText(factors) {
  const telling = factors.filter((factor) => factor !== 1);
  if (!telling.length) return '1';
  const shown = telling.slice(0, 8).map(formulas.shortNumber);
  if (telling.length > 8) shown.push('…');
  return shown.map((text) => (text.startsWith('−') ? `(${text})` : text)).join(' · ');
}

function percent(share) {
  if (!Number.isFinite(share)) return '–';
  return `${(100 * share).toFixed(1).replace(/^-0\.0$/, '0.0').replace('-', '−')}%`;
}

function countText(count) {
  if (count < 10n ** 15n) return count.toLocaleString('en');
  const text = count.toString();
  return `about ${text[0]}.${text[1]}·10^${text.length - 1}`;
}

function provenanceElements(passes, place, markPath) {
  const found = paths.provenance(passes, place, MOST_PATHS);
  const gradient = formulas.derivativeElement(passes.names[passes.root], passes.names[place]);
  const way = found.count === 1n ? 'one path' : `${countText(found.count)} paths`;
  const sum = [formulas.equation(gradient, '='), ' ', shownNumber(found.gradient), `, along ${way}`];
  const title = make('p', { class: 'sum' }, ...sum);
  const value = make('p', { class: 'quiet' }, `${passes.names[place]} = `, shownNumber(passes.data[place]));
  const rows = found.paths.map((path) => pathRow(passes, path, markPath));
  if (found.count > found.paths.length) {
    const rest = found.count - BigInt(found.paths.length);
    const name = `${countText(rest)} other path${rest === 1n ? '' : 's together'}`;
    rows.push(sumRow(name, found.others, found.othersShare, 'td'));
  }
  const titleOf = (text, i) => make('th', { scope: 'col', class: i ? 'figure' : '' }, text);
  const titles = ['Path', 'Product', 'Share'].map(titleOf);
  const head = make('tr', {}, ...titles);
  const foot = make('tfoot', {}, sumRow('All paths', found.gradient, found.gradient ? 1 : NaN, 'th'));
  return [title, value, make('table', {}, make('thead', {}, head), make('tbody', {}, ...rows), foot)];
}

function pathRow(passes, path, markPath) {
  const title = 'Light this path in the graph';
  const button = make('button', { type: 'button', title }, routeOf(passes, path.places));
  const show = () => markPath(path.places);
  const hide = () => markPath(null);
  for (const event of ['mouseenter', 'focus', 'click']) button.addEventListener(event, show);
  for (const event of ['mouseleave', 'blur']) button.addEventListener(event, hide);
  const way = make('td', {}, button, make('span', { class: 'factors' }, factorsText([...path.factors].reverse())));
  const bar = make('span', { class: 'share' });
  if (Number.isFinite(path.share)) bar.style.width = `${Math.min(100, Math.abs(path.share) * 100)}%`;
  else bar.hidden = true;
  const share = make('td', { class: 'figure' }, percent(path.share), bar);
  return make('tr', {}, way, make('td', { class: 'figure' }, shownNumber(path.product)), share);
}

function sumRow(text, number, share, tag) {
  const figures = [shownNumber(number), percent(share)].map((figure) => make('td', { class: 'figure' }, figure));
  return make('tr', {}, make(tag, {}, text), ...figures);
}

// By what stands above and then by the rest, numbers as numbers: w⁰₂ before w⁰₁₀ before w¹₁.
function inOrder(names, places) {
  const { compare } = new Intl.Collator('en', { numeric: true });
  const keys = new Map(places.map((place) => {
    const { base, raised, lowered } = formulas.partsOfName(names[place]);
    return [place, `${raised} ${base} ${lowered}`];
  }));
  return [...places].sort((a, b) => compare(keys.get(a), keys.get(b)) || a - b);
}

// How far the slider of a leaf goes, at first.
function reachOf(recorded) {
  const middle = Number.isFinite(recorded) ? recorded : 0;
  const reach = 2 * Math.max(1, Math.abs(middle));
  return { min: middle - reach, max: middle + reach, step: reach / 200 };
}

class Leaves {
  constructor(page) {
    this.page = page;
    this.passes = page.passes;
    const { parameters, leaves } = page.passes;
    const { names } = page.passes;
    const others = leaves.filter((place) => !parameters.includes(place));
    this.all = [...inOrder(names, parameters), ...inOrder(names, others)];
    this.descending = new Set(parameters.length ? parameters : leaves);
    this.lines = new Map();
    this.steps = 0;
    this.lastMove = null;
    this.#listen();
  }

  // The list

  show() {
    const { passes } = this;
    const wanted = byId('search').value.trim().toLowerCase();
    const matching = this.all.filter((place) => passes.names[place].toLowerCase().includes(wanted));
    byId('search-row').hidden = this.all.length <= 12;
    this.lines.clear();
    const lines = matching.slice(0, MOST_LEAVES).map((place) => this.#line(place));
    if (matching.length > MOST_LEAVES) {
      const text = `… and ${matching.length - MOST_LEAVES} more: type a name to find them.`;
      lines.push(make('p', { class: 'quiet' }, text));
    }
    byId('leaves').replaceChildren(...lines);
    this.update();
  }

  #line(place) {
    const { passes } = this;
    const name = passes.names[place];
    const spoken = formulas.spokenName(name);
    const moves = make('input', { type: 'checkbox', title: 'Descends', 'aria-label': `${spoken} descends` });
    moves.checked = this.descending.has(place);
    moves.addEventListener('change', () => {
      if (moves.checked) this.descending.add(place);
      else this.descending.delete(place);
    });
    const number = make('input', { type: 'number', step: 'any', 'aria-label': spoken });
    number.addEventListener('input', () => {
      if (Number.isFinite(number.valueAsNumber)) this.change(place, number.valueAsNumber);
    });
    number.addEventListener('blur', () => this.update());
    const reach = reachOf(passes.recorded.data[place]);
    const slider = make('input', { type: 'range', ...reach, 'aria-label': `${spoken}, slider` });
    slider.addEventListener('input', () => this.change(place, slider.valueAsNumber));
    this.lines.set(place, { number, slider });
    for (const input of [moves, number, slider]) input.disabled = !passes.canRun;
    return make('div', { class: 'leaf' }, moves, make('span', { class: 'name', title: name }, name), number, slider);
  }

  update() {
    const { passes } = this;
    for (const [place, { number, slider }] of this.lines) {
      const x = passes.data[place];
      if (document.activeElement !== number) {
        number.value = Number.isFinite(x) ? String(x) : '';
        number.placeholder = Number.isFinite(x) ? '' : formulas.numberText(x);
      }
      if (Number.isFinite(x) && x < Number(slider.min)) slider.min = x;
      if (Number.isFinite(x) && x > Number(slider.max)) slider.max = x;
      if (document.activeElement !== slider || slider.valueAsNumber !== x) slider.value = Number.isFinite(x) ? x : 0;
      slider.setAttribute('aria-valuetext', formulas.spokenNumber(x));
    }
    this.showText();
    drawCurve(byId('curve'), this.page.history);
  }

  // Changing

  change(place, number) {
    const { passes, page } = this;
    passes.data[place] = number;
    passes.run();
    page.history = [passes.data[passes.root]];
    this.steps = 0;
    this.lastMove = null;
    page.update();
  }

  descend(count) {
    const { passes, page } = this;
    const rate = byId('rate').valueAsNumber;
    if (!passes.canRun) return;
    if (!(rate >= 0)) {
      setText(byId('descent-text'), 'The learning rate is to be a number that is not negative.');
      return;
    }
    for (let step = 0; step < count; step += 1) {
      this.lastMove = this.#largestMove(rate);
      for (const place of this.descending) passes.data[place] -= rate * passes.gradients[place];
      passes.run();
      page.history.push(passes.data[passes.root]);
      this.steps += 1;
    }
    page.update();
  }

  // The leaf that will move most, as an example.
  #largestMove(rate) {
    const { passes } = this;
    const places = [...this.descending];
    if (!places.length) return null;
    const place = this.page.heaviest(places);
    return { place, before: passes.data[place], rate, gradient: passes.gradients[place] };
  }

  reset() {
    const { passes, page } = this;
    passes.reset();
    page.history = [passes.data[passes.root]];
    this.steps = 0;
    this.lastMove = null;
    page.update();
  }

  // Texts

  showText() {
    const { passes, page } = this;
    const isHidden = page.isPredicting && !page.view.hasNumber(passes.root, page.index - Number(page.isHidden));
    const now = isHidden ? '?' : formulas.numberText(passes.data[passes.root]);
    const steps = this.steps === 1 ? '1 step' : `${this.steps} steps`;
    setText(byId('descent-text'), `${page.outputName} = ${now} after ${steps}. ${this.#moveText()}`);
  }

  // How a step moved a leaf, as an example; or that a number was lost.
  #moveText() {
    const { passes, page, lastMove } = this;
    const lost = page.history.findIndex((number) => !Number.isFinite(number));
    if (lost > 0) {
      const what = Number.isNaN(page.history[lost]) ? 'not a number' : 'infinite';
      return `It became ${what} at step ${lost}: try a smaller learning rate.`;
    }
    if (!lastMove) return '';
    const numbers = [lastMove.before, lastMove.rate, lastMove.gradient, passes.data[lastMove.place]];
    const [before, rate, gradient, after] = numbers.map(formulas.numberText);
    const factor = gradient.startsWith('−') ? `(${gradient})` : gradient;
    return `${passes.names[lastMove.place]}: ${before} − ${rate}·${factor} = ${after}`;
  }

  #listen() {
    byId('descend').addEventListener('click', () => this.descend(1));
    byId('rate').addEventListener('keydown', (event) => event.key === 'Enter' && this.descend(1));
    byId('descend-more').addEventListener('click', () => this.descend(10));
    byId('reset').addEventListener('click', () => this.reset());
    byId('search').addEventListener('input', () => this.show());
    if (this.passes.canRun) return;
    byId('not-live').hidden = false;
    byId('not-live').textContent = `Leaves cannot be changed on this page: ${this.passes.reason}.`;
    for (const id of ['rate', 'descend', 'descend-more', 'reset']) byId(id).disabled = true;
  }
}

// The output step by step.
function drawCurve(svg, history) {
  const [left, right, top, bottom] = [8, 312, 16, 78];
  const finite = history.filter(Number.isFinite);
  svg.replaceChildren(svgElement('path', { class: 'axis', d: `M${left} ${bottom + 4}H${right}` }));
  svg.toggleAttribute('hidden', history.length < 2);
  if (!finite.length) return;
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const x = (i) => left + ((right - left) * i) / Math.max(1, history.length - 1);
  // From -1e308 to 1e308 it is further than there are numbers, so the halves are taken.
  const half = high - low === Infinity ? 0.5 : 1;
  const share = (number) => (high === low ? 0.5 : (half * number - half * low) / (half * high - half * low));
  const y = (number) => bottom - (bottom - top) * share(number);
  const points = history.flatMap((number, i) => (Number.isFinite(number) ? [[x(i), y(number)]] : []));
  svg.append(svgElement('polyline', { class: 'course', points: points.map((point) => point.join(',')).join(' ') }));
  const [lastX, lastY] = points.at(-1);
  svg.append(svgElement('circle', { class: 'now', cx: lastX, cy: lastY, r: 4 }));
  svg.append(svgElement('text', { x: left, y: 10 }, `highest ${formulas.numberText(high)}`));
  svg.append(svgElement('text', { x: left, y: 94 }, `lowest ${formulas.numberText(low)}`));
  svg.append(svgElement('text', { x: right, y: 94, 'text-anchor': 'end' }, `step ${history.length - 1}`));
}

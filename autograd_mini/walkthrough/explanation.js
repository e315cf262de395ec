// One frame in words and formulas.

// What is said in place of a number that the reader is to predict.
const ASKED = 'what? Predict it';

class Explanation {
  // isShown(n): whether the n-th result of the frame is to be seen; it is hidden where the reader predicts it.
  constructor(passes, view, frame, isShown) {
    Object.assign(this, { passes, view, frame, isShown });
  }

  // Parts of a frame

  get target() {
    return this.frame.edge.target;
  }

  get source() {
    return this.frame.source;
  }

  name(place) {
    return formulas.nameElement(this.passes.names[place]);
  }

  gradientName(place) {
    return formulas.derivativeElement(this.passes.names[this.passes.root], this.passes.names[place]);
  }

  // The formula of a forward frame: of a whole named expression, or of the operation.
  get formula() {
    const { frame, passes } = this;
    return frame.group?.formula ?? passes.resultFormulas[frame.place] ?? passes.operationFormulas[frame.place];
  }

  get localFormula() {
    const { frame, passes } = this;
    return frame.group?.localFormulas[frame.edge.number] ?? passes.localFormulas[frame.edge.number];
  }

  get local() {
    const { frame, passes } = this;
    const slope = frame.group ? passes.slope(frame.edge.source, frame.group) : 1;
    return slope * passes.local(frame.edge);
  }

  // A sentence

  sentence() {
    const { frame } = this;
    if (frame.kind === 'operation') return this.#forwardSentence();
    if (frame.kind === 'edge') return this.#backwardSentence();
    if (frame.kind === 'seed') return this.#seedSentence();
    return this.#layerSentence();
  }

  #forwardSentence() {
    const { passes, frame } = this;
    const inputs = new Set();
    const members = frame.group?.holds ?? new Set([frame.place]);
    for (const place of members) {
      for (const { target } of passes.edgesFrom.get(place) ?? []) {
        if (!members.has(target)) inputs.add(passes.names[target]);
      }
    }
    return `${passes.names[frame.place]} is computed from ${listed([...inputs])}.`;
  }

  #seedSentence() {
    const name = this.passes.names[this.passes.root];
    if (!this.passes.edges.length) return `${name} is a leaf: nothing was computed, and its derivative by itself is 1.`;
    return `The backward pass starts at the end: ${name} changes with itself one for one.`;
  }

  #backwardSentence() {
    const { passes, frame, view } = this;
    const [from, to] = [passes.names[this.source], passes.names[this.target]];
    const all = view.contributions.get(this.target);
    const place = all.indexOf(frame.index) + 1;
    const ending = all.length > 1 ? `, the ${ordinal(place)} of its ${all.length} contributions.` : '.';
    return `The gradient of ${from} flows back to ${to}${ending}`;
  }

  #layerSentence() {
    const { layer } = this.frame;
    const count = layer.targets.length === 1 ? 'one neuron' : `${layer.targets.length} neurons`;
    if (layer.phase === 'forward') return `Every number of ${layer.name} in one equation: ${count}.`;
    const ending = layer.sum ? ', added to what other samples gave.' : '.';
    return `The gradient by every entry of ${layer.name.replace(/^D_/u, '')} in one equation${ending}`;
  }

  // Formulas

  elements() {
    const marks = this.view.marksAt(this.frame.index).map((text) => make('p', { class: 'mark anomaly' }, text));
    return [...this.#formulaElements(), ...marks];
  }

  #formulaElements() {
    const { frame } = this;
    if (frame.kind === 'operation') return [this.#forwardLines()];
    if (frame.kind === 'seed') return [this.#lines([[this.gradientName(frame.place), '=', this.#result(0, 1)]])];
    if (frame.kind === 'edge') return [this.#rule(), this.#localLine(), this.#productTiles(), this.#sumTiles()];
    return [this.#layerLines()];
  }

  // Rows of left side, sign and right side.
  #lines(rows) {
    const grid = make('div', { class: 'lines' });
    for (const [left, sign, right] of rows) {
      grid.append(make('span', { class: 'left' }, left instanceof Element ? formulas.equation(left) : ''));
      grid.append(make('span', {}, formulas.equation(sign)));
      const isFormula = right.namespaceURI === MATHML_NAMESPACE;
      grid.append(make('span', { class: 'wide' }, isFormula ? formulas.equation(right) : right));
    }
    return grid;
  }

  #result(number, x) {
    return this.isShown(number) ? make('strong', {}, shownNumber(x)) : make('strong', { class: 'unknown' }, '?');
  }

  #forwardLines() {
    const { passes, frame } = this;
    const rows = [[this.name(frame.place), '=', passes.symbols(this.formula)]];
    const last = passes.operationFormulas[frame.place];
    const isPart = passes.symbolsText(last) !== passes.symbolsText(this.formula);
    if (isPart && !frame.group) rows.push(['', '=', passes.symbols(last)]);
    rows.push(['', '=', passes.numbers(isPart && !frame.group ? last : this.formula)]);
    rows.push(['', '=', this.#result(0, passes.data[frame.place])]);
    return this.#lines(rows);
  }

  #rule() {
    const { passes } = this;
    const local = passes.symbols(this.localFormula);
    const factor = passes.isFencedAsFactor(this.localFormula, false) ? formulas.fenced(local) : local;
    const rule = formulas.equation(this.gradientName(this.target), '+=', this.gradientName(this.source), '·', factor);
    return make('div', { class: 'rule' }, rule);
  }

  // The local derivative, where it is more than a name or a number.
  #localLine() {
    const { passes, localFormula } = this;
    const [template] = localFormula;
    const isSimple = /^(\ue000[^\ue001]*\ue001|[−\d.]+)$/u.test(passes.templates[template][0]);
    if (isSimple) return make('div', { class: 'rule' });
    const number = make('b', {}, shownNumber(this.local));
    const formula = formulas.equation(passes.symbols(localFormula), '=', passes.numbers(localFormula), '=');
    return make('div', { class: 'rule is-local' }, formula, ' ', number);
  }

  #productTiles() {
    const { passes, frame } = this;
    const tiles = [
      tile('upstream', passes.gradients[this.source]),
      sign('×'),
      tile('local derivative', this.local),
      sign('='),
      tile('product', this.isShown(0) ? passes.product(frame.edge) : undefined, 'is-result'),
    ];
    return make('div', { class: 'tiles' }, ...tiles);
  }

  #sumTiles() {
    const { passes, frame } = this;
    const before = passes.before[frame.edge.number];
    const isShown = this.isShown(before === null ? 0 : 1);
    const tiles = [
      tile('gradient before', before),
      sign('+='),
      tile('product', this.isShown(0) ? passes.product(frame.edge) : undefined),
      sign('→'),
      tile('gradient now', isShown ? passes.after[frame.edge.number] : undefined, 'is-result'),
    ];
    return make('div', { class: 'tiles' }, ...tiles);
  }

  #layerLines() {
    const { passes, frame: { layer } } = this;
    const sums = layer.phase === 'backward' ? this.view.sumsOf(layer) : undefined;
    const result = this.isShown(0) ? passes.numbers(layer.result, sums) : formulas.element('mtext', '?');
    return this.#lines([
      [formulas.nameElement(layer.name), layer.sum ? '+=' : '=', passes.symbols(layer.formula)],
      ['', '=', passes.numbers(layer.numbers)],
      [layer.sum ? formulas.nameElement(layer.name) : '', '=', result],
    ]);
  }

  // Words

  shortSpoken() {
    const { frame, passes } = this;
    const name = frame.layer?.name ?? passes.names[frame.edge ? frame.edge.target : frame.place];
    return `${frame.phase === 'forward' ? 'forward' : 'backward'}, ${formulas.spokenName(name)}`;
  }

  spoken() {
    const marks = isPredicting() ? [] : this.view.marksAt(this.frame.index).map((text) => ` ${text}.`);
    return this.#spokenFrame() + marks.join('');
  }

  #spokenFrame() {
    const { frame } = this;
    if (frame.kind === 'operation') return this.#spokenOperation();
    if (frame.kind === 'edge') return this.#spokenEdge();
    if (frame.kind === 'layer') return this.#spokenLayer();
    const result = this.isShown(0) ? 1 : ASKED;
    return `the backward pass starts. The derivative of ${this.#spokenName(frame.place)} by itself is ${result}.`;
  }

  #spokenOperation() {
    const { frame, passes } = this;
    const formula = frame.group ? this.formula : passes.operationFormulas[frame.place];
    const result = this.isShown(0) ? formulas.spokenNumber(passes.data[frame.place]) : ASKED;
    const name = this.#spokenName(frame.place);
    const sides = [passes.spokenSymbols(formula), passes.spokenNumbers(formula)];
    return `forward. ${name} equals ${sides.join(', ')}, equals ${result}.`;
  }

  #spokenLayer() {
    const { frame: { layer, phase }, passes } = this;
    const sums = phase === 'backward' ? this.view.sumsOf(layer) : undefined;
    const result = this.isShown(0) ? passes.spokenNumbers(layer.result, sums) : ASKED;
    const symbols = `${formulas.spokenName(layer.name)} equals ${passes.spokenSymbols(layer.formula)}`;
    return `${phase}, a whole layer. ${symbols}, equals ${result}.`;
  }

  #spokenEdge() {
    const { frame, passes } = this;
    const spoken = formulas.spokenNumber;
    const before = passes.before[frame.edge.number];
    const product = this.isShown(0) ? spoken(passes.product(frame.edge)) : ASKED;
    const after = this.isShown(before === null ? 0 : 1) ? spoken(passes.after[frame.edge.number]) : 'what';
    return (
      `backward, from ${this.#spokenName(this.source)} to ${this.#spokenName(this.target)}. `
      + `Upstream ${spoken(passes.gradients[this.source])} times local derivative ${spoken(this.local)} is ${product}. `
      + `The gradient of ${this.#spokenName(this.target)} was ${before === null ? 'not yet known' : spoken(before)}, `
      + `now ${after}.`
    );
  }

  #spokenName(place) {
    return formulas.spokenName(this.passes.names[place]);
  }

  // Symbols and numbers as plain text, for the printed table.
  printed() {
    const [symbols, numbers] = this.#printedFrame();
    return [symbols, [numbers, ...this.view.marksAt(this.frame.index)].join('; ')];
  }

  #printedFrame() {
    const { frame, passes } = this;
    if (frame.kind === 'edge') return this.#printedEdge();
    if (frame.kind === 'layer') return this.#printedLayer();
    if (frame.kind === 'seed') return [`${this.#gradientText(frame.place)} = 1`, '1'];
    const result = formulas.numberText(passes.data[frame.place]);
    const symbols = `${passes.names[frame.place]} = ${passes.symbolsText(this.formula)}`;
    return [symbols, `${passes.numbersText(this.formula)} = ${result}`];
  }

  #printedEdge() {
    const { frame: { edge }, passes } = this;
    const symbols = passes.symbolsText(this.localFormula);
    const factor = passes.isFencedAsFactor(this.localFormula, true) ? `(${symbols})` : symbols;
    const [upstream, local, product, after] = [
      passes.gradients[this.source], this.local, passes.product(edge), passes.after[edge.number],
    ].map(formulas.numberText);
    const before = passes.before[edge.number];
    const sum = before === null ? '' : `; ${formulas.numberText(before)} += → ${after}`;
    const rule = `${this.#gradientText(this.target)} += ${this.#gradientText(this.source)} · ${factor}`;
    return [rule, `${upstream} × ${local} = ${product}${sum}`];
  }

  #printedLayer() {
    const { frame: { layer, phase }, passes } = this;
    const sums = phase === 'backward' ? this.view.sumsOf(layer) : undefined;
    const symbols = `${layer.name} ${layer.sum ? '+=' : '='} ${passes.symbolsText(layer.formula)}`;
    return [symbols, `${passes.numbersText(layer.numbers)} = ${passes.numbersText(layer.result, sums)}`];
  }

  #gradientText(place) {
    return `∂${this.passes.names[this.passes.root]}/∂${this.passes.names[place]}`;
  }
}

// A number with what it is; null is not computed yet, undefined is hidden.
function tile(caption, number, kind = '') {
  const shown = number === null ? '—' : number === undefined ? '?' : shownNumber(number);
  const isKnown = number !== null && number !== undefined;
  const figure = make('div', { class: isKnown ? 'number' : 'number unknown' }, shown);
  return make('div', { class: `tile ${kind}` }, make('div', { class: 'caption' }, caption), figure);
}

function sign(text) {
  return make('span', { class: 'sign' }, text);
}

const MATHML_NAMESPACE = 'http://www.w3.org/1998/Math/MathML';

function listed(names) {
  const shown = names.length > 6 ? [...names.slice(0, 5), `${names.length - 5} others`] : names;
  if (shown.length < 2) return shown[0] ?? 'constants';
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

function ordinal(number) {
  const ending = [11, 12, 13].includes(number % 100) ? 'th' : { 1: 'st', 2: 'nd', 3: 'rd' }[number % 10] ?? 'th';
  return `${number}${ending}`;
}

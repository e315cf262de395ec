// The graph as SVG: a box for each node or closed group, with its numbers as far as they are known at a step.
class Graph {
  static MOST_BOXES = 1200;
  static NEAR = 3;
  static MOST_NEAR = 150;

  constructor(scroller, passes, listeners) {
    this.scroller = scroller;
    this.passes = passes;
    this.listeners = listeners;
    this.zoom = 1;
    this.fitting = 'readable';
    this.#listen();
  }

  // Boxes and edges of a view

  setView(view) {
    this.view = view;
    this.boxes = [];
    this.boxAt = [];
    const ofGroups = new Map();
    for (let place = 0; place <= this.passes.root; place += 1) {
      const group = view.level === 'operation' ? null : this.passes.containing(place, view.level, view.opened);
      let box = group && ofGroups.get(group);
      if (!box) {
        box = this.#newBox(group, place);
        if (group) ofGroups.set(group, box);
      }
      box.order = place;
      box.places.push(place);
      if (this.passes.marks.has(place)) box.marks.push(this.passes.marks.get(place));
      this.boxAt[place] = box;
    }
    this.#findEdges();
    this.isPart = this.boxes.length > Graph.MOST_BOXES;
    if (!this.isPart) this.#draw(this.boxes, this.edges);
  }

  #newBox(group, place) {
    const box = { id: this.boxes.length, group, places: [], marks: [], roots: group ? group.roots : [place] };
    this.boxes.push(box);
    return box;
  }

  #findEdges() {
    const found = new Map();
    this.edgeOf = [];
    for (const edge of this.passes.edges) {
      const [from, to] = [this.boxAt[edge.target], this.boxAt[edge.source]];
      if (from === to) continue;
      const isSingle = !from.group && !to.group;
      const key = isSingle ? `${to.id}:${edge.slot}` : `${to.id}<${from.id}`;
      if (!found.has(key)) found.set(key, { from, to, port: this.#port(edge, to), rank: Infinity, all: [] });
      const drawn = found.get(key);
      drawn.all.push(edge);
      drawn.rank = Math.min(drawn.rank, 2 * this.passes.forwardAt.get(edge.source) + edge.slot);
      this.edgeOf[edge.number] = drawn;
    }
    this.edges = [...found.values()];
  }

  // The left operand comes in above the right one.
  #port(edge, to) {
    if (to.group || this.passes.edgesFrom.get(edge.source).length < 2) return 0.5;
    return edge.slot ? 0.7 : 0.3;
  }

  // Drawing

  #draw(boxes, edges) {
    this.drawn = { boxes, edges };
    for (const box of boxes) this.#measure(box);
    this.size = layout.place(boxes, edges);
    const svg = svgElement('svg', { class: 'graph', role: 'group', 'aria-label': 'Graph' });
    svg.append(arrowheads());
    const lines = svgElement('g', { class: 'edges', 'aria-hidden': 'true' });
    for (const edge of edges) lines.append(this.#edgeElement(edge));
    svg.append(lines);
    for (const box of boxes) svg.append(this.#boxElement(box));
    this.pill = svgElement('g', { class: 'pill', 'aria-hidden': 'true' });
    this.pill.append(svgElement('rect', { rx: 9, height: 18 }), svgElement('text', { 'text-anchor': 'middle' }));
    svg.append(this.pill);
    this.svg = svg;
    this.scroller.replaceChildren(svg);
    if (this.fitting) this.fit(this.fitting);
    else this.setZoom(this.zoom);
  }

  #measure(box) {
    const { group } = box;
    box.isStack = box.roots.length > 1;
    box.isLeaf = group ? group.isLeaves : this.passes.rows[box.roots[0]] < 0;
    box.name = group ? group.name : this.passes.names[box.roots[0]];
    // What the first line must leave free at its end.
    box.corner = 8 + (group ? 34 : 7.5 * this.#sign(box).length);
    const letters = Math.max(11, group ? group.detail.length : 0, box.isStack ? Math.min(3, box.roots.length) * 8 : 0);
    const widths = [7.1 * letters, nameWidth(box.name) + box.corner, ...box.marks.map(nameWidth)];
    box.width = Math.min(210, 16 + Math.max(...widths));
    box.height = (group?.detail ? 65 : 50) + 15 * box.marks.length;
  }

  #edgeElement(edge) {
    edge.element = svgElement('g', { class: 'edge' });
    edge.line = svgElement('path', { class: 'line', d: layout.curve(edge.points) });
    const wide = svgElement('path', { class: 'wide', d: layout.curve(edge.points) });
    wide.addEventListener('click', () => this.listeners.chooseEdge(edge.all));
    edge.element.append(edge.line, wide);
    return edge.element;
  }

  #boxElement(box) {
    const { width, height, group } = box;
    const element = svgElement('g', { class: 'box', transform: `translate(${box.x} ${box.y})` });
    if (box.isLeaf) element.classList.add('is-leaf');
    const main = svgElement('g', { class: 'main', role: 'button', tabindex: '-1' });
    if (group) main.append(svgElement('rect', { class: 'behind', x: 4, y: 4, width, height, rx: 8 }));
    main.append(svgElement('rect', { class: 'front', width, height, rx: 8 }));
    box.title = svgElement('title');
    const below = 15 * box.marks.length;
    box.value = svgElement('text', { class: 'value', x: 9, y: height - below - 20 });
    box.gradient = svgElement('text', { class: 'gradient', x: 9, y: height - below - 6 });
    const name = svgElement('text', { class: 'name', x: 9, y: 16 }, cutTo(box.name, width - 14 - box.corner));
    main.append(box.title, name, box.value, box.gradient);
    if (group?.detail) main.append(svgElement('text', { class: 'detail', x: 9, y: 31 }, group.detail));
    const corner = { class: 'operation', x: width - 8, y: 16, 'text-anchor': 'end' };
    if (!group) main.append(svgElement('text', corner, this.#sign(box)));
    if (below) {
      main.append(svgElement('rect', { class: 'ring anomaly', x: -4, y: -4, width: width + 8, height: height + 8, rx: 11 }));
    }
    box.marks.forEach((text, row) => {
      main.append(svgElement('text', { class: 'mark anomaly', x: 9, y: height - below + 9 + 15 * row }, text));
    });
    main.addEventListener('click', () => this.listeners.choose(box.roots, box));
    element.append(main);
    if (group) element.append(this.#badge(box));
    Object.assign(box, { element, main });
    return element;
  }

  // × 2, √, σ: what the operation does, with a constant where it has one.
  #sign(box) {
    const [place] = box.roots;
    const { passes } = this;
    if (passes.rows[place] < 0) return '';
    const symbol = passes.signs[passes.rows[place]];
    const [left, right] = passes.operands[place].map((operand) => operand.constant);
    if (left !== undefined) return shortened(`${formulas.shortNumber(left)} ${symbol}`, 9);
    return shortened(right === undefined ? symbol : `${symbol} ${formulas.shortNumber(right)}`, 9);
  }

  #badge(box) {
    const text = `×${box.places.length}`;
    const width = 14 + 7 * text.length;
    const badge = svgElement('g', {
      class: 'badge', role: 'button', tabindex: '0', transform: `translate(${box.width - width + 6} -8)`,
      'aria-label': `Open ${formulas.spokenName(box.name)}, ${box.places.length} nodes`,
    });
    badge.append(svgElement('title', {}, `Open: step inside its ${box.places.length} nodes`));
    badge.append(svgElement('rect', { class: 'reach', x: -8, y: -10, width: width + 16, height: 42 }));
    badge.append(svgElement('rect', { width, height: 22, rx: 11 }));
    badge.append(svgElement('text', { x: width / 2, y: 15, 'text-anchor': 'middle' }, text));
    badge.addEventListener('click', () => this.listeners.open(box.group));
    return badge;
  }

  // A step

  // hidden: {values, gradients}, the places whose numbers are not to be seen.
  show(frame, hidden) {
    const lit = this.#lit(frame);
    if (this.isPart) this.#drawAround(lit);
    const index = frame.index;
    for (const box of this.drawn.boxes) this.#showBox(box, index, hidden, lit);
    for (const edge of this.drawn.edges) this.#showEdge(edge, index, lit);
    this.#showPill(frame, lit);
    this.svg.dataset.phase = frame.phase;
    this.lit = lit;
    this.follow();
  }

  // What a frame works on: boxes by the part they play, and edges.
  #lit(frame) {
    const lit = { current: new Set(), others: new Set(), edges: new Set() };
    const edges = frame.layer ? this.#layerEdges(frame) : this.#frameEdges(frame);
    for (const edge of edges) {
      const drawn = this.edgeOf[edge.number];
      if (drawn) lit.edges.add(drawn);
      const [user, operand] = [this.boxAt[edge.source], this.boxAt[edge.target]];
      lit.current.add(frame.phase === 'forward' ? user : operand);
      lit.others.add(frame.phase === 'forward' ? operand : user);
    }
    if (frame.place !== undefined) lit.current.add(this.boxAt[frame.place]);
    for (const place of frame.layer?.targets ?? []) lit.current.add(this.boxAt[place]);
    return lit;
  }

  #frameEdges(frame) {
    if (frame.edge) return [frame.edge];
    if (frame.kind === 'seed') return [];
    const members = frame.group ? frame.group.members : [frame.place];
    const edges = members.flatMap((place) => this.passes.edgesFrom.get(place) ?? []);
    return edges.filter((edge) => this.edgeOf[edge.number]);
  }

  #layerEdges({ layer, phase }) {
    const { passes } = this;
    if (phase === 'forward') {
      return layer.covers.flatMap((at) => passes.edgesFrom.get(passes.forward[at]) ?? []);
    }
    const targets = new Set(layer.targets);
    return layer.covers.map((at) => passes.edges[at - passes.seedAt - 1]).filter((edge) => targets.has(edge.target));
  }

  #showBox(box, index, hidden, lit) {
    const { view, passes } = this;
    const values = box.roots.map((place) => {
      if (hidden.values.has(place)) return '?';
      return view.hasNumber(place, index) ? formulas.shortNumber(passes.data[place]) : '—';
    });
    const gradients = box.roots.map((place) => {
      const gradient = view.gradientAt(place, index);
      if (gradient === null) return '—';
      return hidden.gradients.has(place) ? '?' : formulas.shortNumber(gradient);
    });
    setText(box.value, values.length > 3 ? `${values.slice(0, 2).join(', ')}, …` : summary(values));
    setText(box.gradient, `∂ ${summary(gradients)}`);
    box.gradient.classList.toggle('is-long', !box.isStack && box.gradient.textContent.length > 11);
    this.#describe(box, index, hidden, values, gradients);
    const isKnown = values.every((text) => text !== '—');
    const { classList } = box.element;
    classList.toggle('is-known', isKnown);
    classList.toggle('has-gradient', gradients.some((text) => text !== '—'));
    classList.toggle('is-complete', box.roots.every((place) => view.isComplete(place, index)));
    classList.toggle('is-current', lit.current.has(box));
    classList.toggle('is-other', lit.others.has(box) && !lit.current.has(box));
    box.main.tabIndex = lit.current.has(box) ? 0 : -1;
  }

  #describe(box, index, hidden, values, gradients) {
    const { passes, view } = this;
    const [place] = box.roots;
    const isOne = box.roots.length === 1;
    const gradient = isOne ? view.gradientAt(place, index) : null;
    const isValue = isOne && !/[—?]/.test(values[0]);
    const exactValue = isValue ? formulas.exactNumber(passes.data[place]) : summary(values);
    const isSum = gradient !== null && !hidden.gradients.has(place);
    const exactGradient = isSum ? formulas.exactNumber(gradient) : summary(gradients);
    const marks = isPredicting() ? '' : box.marks.map((mark) => `\n${mark}`).join('');
    const text = `${box.name}\n${exactValue}\ngradient ${exactGradient}${marks}`;
    if (box.text === text) return;
    box.text = text;
    box.title.textContent = text;
    const numbers = `${exactValue}, gradient ${exactGradient}`.replaceAll('—', 'not yet known') + marks.replaceAll('\n', ', ');
    box.main.setAttribute('aria-label', `${formulas.spokenName(box.name)}, ${numbers}`);
  }

  #showEdge(edge, index, lit) {
    const isBackward = index > this.view.seedIndex;
    const { classList } = edge.element;
    classList.toggle('is-done', edge.all.every((each) => this.view.hasNumber(each.source, index)));
    classList.toggle('is-returned', isBackward && edge.all.every((each) => this.view.ownerOf(each) <= index));
    const isLit = lit.edges.has(edge);
    classList.toggle('is-lit', isLit);
    const marker = !isLit ? null : isBackward ? ['marker-start', 'url(#head-back)'] : ['marker-end', 'url(#head)'];
    edge.line.removeAttribute('marker-start');
    edge.line.removeAttribute('marker-end');
    if (marker) edge.line.setAttribute(...marker);
    if (isLit) edge.element.parentNode.append(edge.element); // on top of the others
  }

  // At the lit edge, the number that the gradient is multiplied by on its way back.
  #showPill(frame, lit) {
    const [edge] = lit.edges;
    const isThere = Boolean(frame.edge && edge);
    this.pill.classList.toggle('is-there', isThere);
    if (!isThere) return;
    const slope = frame.group ? this.passes.slope(frame.edge.source, frame.group) : 1;
    const text = `× ${formulas.shortNumber(slope * this.passes.local(frame.edge))}`;
    const [rect, label] = this.pill.children;
    const width = 14 + 7.3 * text.length;
    const end = edge.points.at(-1);
    const start = edge.points[0];
    // Before the box that it belongs to; over the box that the edge comes from there is no number on the right.
    const y = end.y + (start.y - end.y) * 0.15;
    rect.setAttribute('width', width);
    rect.setAttribute('x', -width / 2);
    rect.setAttribute('y', -9);
    setText(label, text);
    label.setAttribute('y', 4);
    this.pill.setAttribute('transform', `translate(${end.x - 4 - width / 2} ${y})`);
  }

  // Of a graph that is too large to be drawn: what is near the step.
  #drawAround(lit) {
    let near = new Set([...lit.current, ...lit.others]);
    for (let round = 0; round < Graph.NEAR; round += 1) {
      if (near.size > Graph.MOST_NEAR) break;
      const wider = new Set(near);
      for (const edge of this.edges) {
        if (wider.size > Graph.MOST_NEAR) break;
        if (near.has(edge.from) || near.has(edge.to)) wider.add(edge.from).add(edge.to);
      }
      near = wider;
    }
    const edges = this.edges.filter((edge) => near.has(edge.from) && near.has(edge.to));
    this.#draw([...near], edges);
  }

  // Paths and chosen nodes

  markChosen(place) {
    for (const box of this.drawn.boxes) box.element.classList.toggle('is-chosen', box.places.includes(place));
  }

  // The box of a node gets the focus.
  focus(place) {
    this.boxAt[place].main?.focus({ preventScroll: true });
  }

  // A path from a node to the output, or none.
  markPath(places) {
    const boxes = new Set((places ?? []).map((place) => this.boxAt[place]));
    const steps = new Set();
    for (let i = 1; i < (places ?? []).length; i += 1) {
      steps.add(`${this.boxAt[places[i]].id}<${this.boxAt[places[i - 1]].id}`);
    }
    for (const box of this.drawn.boxes) box.element.classList.toggle('on-path', boxes.has(box));
    for (const edge of this.drawn.edges) {
      edge.element.classList.toggle('on-path', steps.has(`${edge.to.id}<${edge.from.id}`));
    }
    this.svg.classList.toggle('shows-path', boxes.size > 0);
  }

  // Zoom and scrolling

  setZoom(zoom) {
    this.zoom = Math.min(3, Math.max(0.05, zoom));
    this.svg.setAttribute('viewBox', `0 0 ${this.size.width} ${this.size.height}`);
    this.svg.setAttribute('width', this.size.width * this.zoom);
    this.svg.setAttribute('height', this.size.height * this.zoom);
  }

  zoomBy(factor, at) {
    const { scroller } = this;
    const bounds = scroller.getBoundingClientRect();
    const x = at ? at.x - bounds.x : bounds.width / 2;
    const y = at ? at.y - bounds.y : bounds.height / 2;
    const old = this.zoom;
    this.fitting = null;
    this.setZoom(old * factor);
    const ratio = this.zoom / old;
    scroller.scrollTo((scroller.scrollLeft + x) * ratio - x, (scroller.scrollTop + y) * ratio - y);
  }

  // All of it; or, if it is to be readable, no smaller than that, and the step is kept in sight.
  fit(fitting) {
    this.fitting = fitting;
    const { clientWidth, clientHeight } = this.scroller;
    const zoom = Math.min((clientWidth - 2) / this.size.width, (clientHeight - 2) / this.size.height);
    const smallest = fitting === 'readable' ? (clientWidth < 700 ? 0.9 : 0.7) : 0;
    this.setZoom(Math.min(1.6, Math.max(smallest, zoom)));
  }

  follow() {
    const { zoom } = this;
    const { scrollLeft, scrollTop, clientWidth, clientHeight } = this.scroller;
    const extents = [[...this.lit.current, ...this.lit.others], [...this.lit.current]].map(extentOf);
    // If not all of it fits, what is computed is more than what it is computed from.
    const { left, right } = extents.find((extent) => (extent.right - extent.left) * zoom < clientWidth) ?? extents[1];
    const { top, bottom } = extents.find((extent) => (extent.bottom - extent.top) * zoom < clientHeight) ?? extents[1];
    const x = inSight(left * zoom, right * zoom, scrollLeft, clientWidth);
    const y = inSight(top * zoom, bottom * zoom, scrollTop, clientHeight);
    if (x === scrollLeft && y === scrollTop) return;
    this.scroller.scrollTo({ left: x, top: y, behavior: movesGently() ? 'smooth' : 'auto' });
  }

  // Pointers

  #listen() {
    const { scroller } = this;
    scroller.addEventListener('wheel', (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 300), event);
    }, { passive: false });
    this.#listenToDragging();
    this.#listenToPinching();
  }

  // With a mouse; fingers scroll by themselves.
  #listenToDragging() {
    const { scroller } = this;
    let start = null;
    scroller.addEventListener('pointerdown', (event) => {
      if (event.pointerType !== 'mouse' || event.button || event.target.closest('.main, .badge')) return;
      start = { x: event.clientX + scroller.scrollLeft, y: event.clientY + scroller.scrollTop };
      scroller.classList.add('is-dragged');
    });
    window.addEventListener('pointermove', (event) => {
      if (start) scroller.scrollTo(start.x - event.clientX, start.y - event.clientY);
    });
    window.addEventListener('pointerup', () => {
      start = null;
      scroller.classList.remove('is-dragged');
    });
  }

  #listenToPinching() {
    const { scroller } = this;
    let apart = 0;
    const distance = ([a, b]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    scroller.addEventListener('touchstart', (event) => {
      apart = event.touches.length === 2 ? distance(event.touches) : 0;
    }, { passive: true });
    scroller.addEventListener('touchmove', (event) => {
      if (!apart || event.touches.length !== 2) return;
      event.preventDefault();
      const [a, b] = event.touches;
      const now = distance(event.touches);
      this.zoomBy(now / apart, { x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2 });
      apart = now;
    }, { passive: false });
  }
}

function svgElement(tag, attributes = {}, text = '') {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

function arrowheads() {
  const definitions = svgElement('defs');
  for (const [id, orient] of [['head', 'auto'], ['head-back', 'auto-start-reverse']]) {
    const marker = svgElement('marker', {
      id, orient, class: 'head', viewBox: '0 0 10 10', refX: 9, refY: 5,
      markerWidth: 13, markerHeight: 11, markerUnits: 'userSpaceOnUse',
    });
    marker.append(svgElement('path', { d: 'M0 0L10 5L0 10z' }));
    definitions.append(marker);
  }
  return definitions;
}

// A few numbers in full; of many, how many are known.
function summary(texts) {
  const known = texts.filter((text) => text !== '—').length;
  if (!known) return '—';
  if (texts.length <= 3) return texts.join(', ');
  return known === texts.length ? `all ${known}` : `${known} of ${texts.length}`;
}

// How wide a name is in a box: measured, because scripts and fonts differ too much to guess.
const nameWidth = (() => {
  const pen = document.createElement('canvas').getContext('2d');
  return (text) => {
    pen.font = `650 13px ${getComputedStyle(document.body).fontFamily}`;
    return pen.measureText(text).width;
  };
})();

function cutTo(text, room) {
  const letters = [...text];
  if (nameWidth(text) <= room) return text;
  let length = Math.min(letters.length, Math.floor(room / 5));
  while (length > 1 && nameWidth(`${letters.slice(0, length).join('')}…`) > room) length -= 1;
  return `${letters.slice(0, length).join('')}…`;
}

function shortened(text, length) {
  const letters = [...text];
  return letters.length > length ? `${letters.slice(0, length - 1).join('')}…` : text;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function extentOf(boxes) {
  return {
    left: Math.min(...boxes.map((box) => box.x)),
    right: Math.max(...boxes.map((box) => box.x + box.width)),
    top: Math.min(...boxes.map((box) => box.y)),
    bottom: Math.max(...boxes.map((box) => box.y + box.height)),
  };
}

// Where to scroll to so that all of start..end is in sight, with some room around it; nowhere if it is.
function inSight(start, end, scroll, room) {
  const margin = Math.min(60, room / 6);
  if (start >= scroll + Math.min(margin, start) && end <= scroll + room - 8) return scroll;
  return Math.max(0, (start + end - room) / 2);
}

// Whether the reader predicts the numbers, so that none is told before.
function isPredicting() {
  return 'predicting' in document.documentElement.dataset;
}

function movesGently() {
  return !window.matchMedia('(prefers-reduced-motion: reduce)').matches;
}

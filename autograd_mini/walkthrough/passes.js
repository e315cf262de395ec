// Both passes on live numbers, in the engine's own order, so that every sum is the engine's to the last bit.
class Passes {
  constructor(data, operations) {
    Object.assign(this, data);
    this.operations = operations;
    this.operands = data.operands.map((operands) =>
      operands.map((operand) => (typeof operand === 'string' ? { constant: Number(operand) } : operand)));
    this.recorded = { data: data.data.map(Number), partials: data.partials.map((partials) => partials.map(Number)) };
    this.seedAt = this.forward.length;
    this.edges = [...this.forward].reverse().flatMap((place) => this.edgesOf(place));
    this.length = this.seedAt + 1 + this.edges.length;
    this.forwardAt = new Map(this.forward.map((place, at) => [place, at]));
    this.edgesFrom = new Map();
    this.edgesTo = new Map();
    this.edges.forEach((edge, number) => {
      edge.number = number;
      append(this.edgesFrom, edge.source, edge);
      append(this.edgesTo, edge.target, edge);
    });
    this.groups.forEach((group, number) => {
      group.number = number;
      group.isLeaves = Boolean(group.leaves);
      group.holds = new Set(group.members);
    });
    this.groupAt = new Map(LEVELS.map((level) => [level, new Map()]));
    for (const group of this.groups) for (const place of group.members) this.groupAt.get(group.level).set(place, group);
    this.leaves = this.names.map((_, place) => place).filter((place) => this.rows[place] < 0);
    this.reset();
  }

  edgesOf(place) {
    return this.operands[place]
      .map((target, slot) => ({ source: place, slot, target }))
      .filter((edge) => typeof edge.target === 'number');
  }

  get canRun() {
    return this.operations !== null;
  }

  // Back to the numbers that Python recorded.
  reset() {
    this.data = [...this.recorded.data];
    this.partials = this.recorded.partials.map((partials) => [...partials]);
    this.runBackward();
  }

  // Both passes again, after leaves have changed.
  run() {
    // Places are in topological order: operands come before what uses them.
    for (let place = 0; place < this.data.length; place += 1) {
      if (this.rows[place] < 0) continue;
      const row = this.operations[this.rows[place]];
      const numbers = this.operands[place].map((operand) => operand.constant ?? this.data[operand]);
      const out = row.forward(...numbers);
      this.data[place] = out;
      this.partials[place] = this.operands[place].map((operand, slot) =>
        (typeof operand === 'number' ? row.partials[slot](out, ...numbers) : 0));
    }
    this.runBackward();
  }

  runBackward() {
    this.gradients = this.data.map(() => 0);
    this.gradients[this.root] = 1;
    const touched = new Set();
    this.before = [];
    this.after = [];
    for (const edge of this.edges) {
      const gradient = this.gradients[edge.target];
      this.before.push(touched.has(edge.target) ? gradient : null);
      touched.add(edge.target);
      this.gradients[edge.target] = gradient + this.product(edge);
      this.after.push(this.gradients[edge.target]);
    }
    this.#findAnomaly();
  }

  // Where a NaN or infinity starts: what is said of it, by the places of nodes and of the walk over single operations.
  #findAnomaly() {
    this.anomaly = anomalies.find(this);
    this.marks = new Map();
    this.markedSteps = new Map();
    for (const anomaly of anomalies.all(this.anomaly)) {
      this.marks.set(anomaly.place, anomalies.markOf(anomaly));
      const at = anomalies.stepOf(this, anomaly);
      if (at !== null) this.markedSteps.set(at, anomalies.textOf(this, anomaly));
    }
  }

  local(edge) {
    return this.partials[edge.source][edge.slot];
  }

  product(edge) {
    return this.gradients[edge.source] * this.local(edge);
  }

  // The derivative of a group's result by one of its own nodes.
  slope(place, group) {
    const slopes = new Map(group.members.map((member) => [member, 0]));
    slopes.set(group.roots[0], 1);
    for (const member of [...group.members].reverse()) {
      for (const edge of this.edgesFrom.get(member) ?? []) {
        if (slopes.has(edge.target)) {
          slopes.set(edge.target, slopes.get(edge.target) + slopes.get(member) * this.local(edge));
        }
      }
    }
    return slopes.get(place);
  }

  // The derivative of the root of a formula through one operand of an operation.
  derivative(root, source, slot) {
    const local = this.partials[source][slot];
    return root === source ? local : this.slope(source, this.groupEndingAt(root)) * local;
  }

  // The neuron or the named expression whose result this is, the larger first.
  groupEndingAt(root) {
    const found = ['neuron', 'expression'].map((level) => this.groupAt.get(level).get(root));
    return found.find((group) => group?.roots.length === 1 && group.roots[0] === root);
  }

  // Whether several edges lead from a group to one operand: the derivative along one is a part of the whole.
  hasSeveralWays(root, target) {
    const inside = this.groupEndingAt(root).holds;
    return this.edgesTo.get(target).filter((edge) => inside.has(edge.source)).length > 1;
  }

  // The group that stands for a node: of that level, or of the coarsest finer one that has it and is not opened.
  containing(place, level, opened) {
    for (const each of LEVELS.slice(0, LEVELS.indexOf(level) + 1).reverse()) {
      const group = this.groupAt.get(each).get(place);
      if (group && !opened.has(group)) return group;
    }
    return null;
  }

  // Formulas, in symbols and in numbers

  slotName(letter, content) {
    if (letter === 'd') {
      const [root, source, slot] = content.split('/').map(Number);
      const target = this.operands[source][slot];
      const isPart = root !== source && this.hasSeveralWays(root, target);
      return [this.names[root], this.names[target], ...(isPart ? [this.names[source]] : [])];
    }
    return letter === 'n' ? this.names[content] : [this.names[this.root], this.names[content]];
  }

  slotNumber(letter, content, sums) {
    if (letter === 'd') return this.derivative(...content.split('/').map(Number));
    return letter === 'n' ? this.data[content] : sums?.get(content) ?? this.gradients[content];
  }

  symbols([template, ...contents]) {
    const fill = (letter, content) => {
      const name = this.slotName(letter, content);
      return [Array.isArray(name) ? formulas.derivativeElement(...name) : formulas.nameElement(name), false];
    };
    return formulas.asElement(this.templates[template][1], contents, fill);
  }

  numbers([template, ...contents], sums) {
    const fill = (letter, content) => {
      const number = this.slotNumber(letter, content, sums);
      return [formulas.numberElement(number), number < 0 || Object.is(number, -0)];
    };
    return formulas.asElement(this.templates[template][1], contents, fill);
  }

  symbolsText([template, ...contents]) {
    const fill = (letter, content) => {
      const name = this.slotName(letter, content);
      if (!Array.isArray(name)) return name;
      return `∂${name[0]}/∂${name[1]}${name[2] ? ` via ${name[2]}` : ''}`;
    };
    return formulas.asText(this.templates[template][0], contents, fill);
  }

  numbersText([template, ...contents], sums) {
    const fill = (letter, content) => formulas.numberText(this.slotNumber(letter, content, sums));
    return formulas.asText(this.templates[template][0], contents, fill);
  }

  spoken([template, ...contents], fill) {
    return formulas.asText(formulas.spokenSigns(this.templates[template][0]), contents, fill);
  }

  spokenSymbols(reference) {
    return this.spoken(reference, (letter, content) => {
      const name = this.slotName(letter, content);
      if (!Array.isArray(name)) return formulas.spokenName(name);
      const [above, below, via] = name.map(formulas.spokenName);
      return `the derivative of ${above} by ${below}${via ? ` via ${via}` : ''}`;
    });
  }

  spokenNumbers(reference, sums) {
    return this.spoken(reference, (letter, content) => formulas.spokenNumber(this.slotNumber(letter, content, sums)));
  }

  // Whether the formula needs parentheses as a factor of a product: 1 / x does as text, and a fraction does not.
  isFencedAsFactor([template], isText) {
    return Boolean(this.factors[template] & (isText ? 1 : 2));
  }
}

const LEVELS = ['expression', 'neuron', 'layer'];

function append(lists, key, item) {
  if (!lists.has(key)) lists.set(key, []);
  lists.get(key).push(item);
}

function seedFrame(passes) {
  return { kind: 'seed', phase: 'seed', at: passes.seedAt, place: passes.root, count: 1 };
}

// The frames that are seen at a level; groups that are opened are seen at the finer levels.
class View {
  constructor(passes, level, opened) {
    this.passes = passes;
    this.level = level;
    this.opened = opened;
    this.groups = passes.names.map((_, place) => this.#findGroup(place));
    const layers = level === 'layer' ? passes.layers.filter((frame) => !opened.has(passes.groups[frame.group])) : [];
    const covered = new Set(layers.flatMap((frame) => frame.covers));
    this.frames = [...this.#forwardFrames(), seedFrame(passes), ...this.#backwardFrames()];
    this.frames = this.frames.filter((frame) => !covered.has(frame.at));
    for (const layer of layers) {
      this.frames.push({ kind: 'layer', phase: layer.phase, at: layer.at, count: layer.covers.length, layer });
    }
    this.frames.sort((a, b) => a.at - b.at);
    this.frames.forEach((frame, index) => { frame.index = index; });
    this.seedIndex = this.frames.findIndex((frame) => frame.phase === 'seed');
    this.#findOwners(layers);
    this.#findContributions();
  }

  // Which frame shows each place of the walk over single operations.
  #findOwners() {
    this.owners = new Int32Array(this.passes.length);
    let index = 0;
    for (let at = 0; at < this.passes.length; at += 1) {
      while (index < this.frames.length - 1 && this.frames[index].at < at) index += 1;
      this.owners[at] = index;
    }
    for (const frame of this.frames) for (const at of frame.layer?.covers ?? []) this.owners[at] = frame.index;
  }

  // For each node, the frames that add to its gradient.
  #findContributions() {
    this.contributions = new Map();
    for (const frame of this.frames) {
      if (frame.edge) append(this.contributions, frame.edge.target, frame.index);
      if (frame.phase === 'backward' && frame.layer) {
        for (const target of frame.layer.targets) append(this.contributions, target, frame.index);
      }
    }
  }

  // The closed group of operations that stands for a node; layers have frames of their own.
  #findGroup(place) {
    if (this.level === 'operation') return null;
    const level = this.level === 'layer' ? 'neuron' : this.level;
    const group = this.passes.containing(place, level, this.opened);
    return group?.isLeaves ? null : group;
  }

  // The operations and groups that are seen, and how many operations each stands for.
  #forwardFrames() {
    return this.passes.forward.flatMap((place, at) => {
      const group = this.groups[place];
      if (group && place !== group.roots[0]) return [];
      return [{ kind: 'operation', phase: 'forward', at, place, group, count: group ? group.members.length : 1 }];
    });
  }

  // The edges that are seen, and how many each stands for: those inside a group lead to others.
  #backwardFrames() {
    const waiting = new Map();
    return this.passes.edges.flatMap((edge) => {
      const group = this.groups[edge.source];
      if (group && this.groups[edge.target] === group) {
        waiting.set(group, (waiting.get(group) ?? 0) + 1);
        return [];
      }
      const count = 1 + (waiting.get(group) ?? 0);
      waiting.delete(group);
      const at = this.passes.seedAt + 1 + edge.number;
      const source = group ? group.roots[0] : edge.source;
      return [{ kind: 'edge', phase: 'backward', at, edge, group, source, count }];
    });
  }

  // The frame that shows a place of the walk: the first that is not before it, or the last.
  showing(at) {
    const index = this.frames.findIndex((frame) => frame.at >= at);
    return index < 0 ? this.frames.length - 1 : index;
  }

  // The frame at which a node's number is computed; -1 for a leaf.
  frameOf(place) {
    return this.passes.forwardAt.has(place) ? this.owners[this.passes.forwardAt.get(place)] : -1;
  }

  // The frame at which a node's gradient is complete: the last that adds to it.
  frameOfGradient(place) {
    const edges = this.passes.edgesTo.get(place);
    return edges ? Math.max(...edges.map((edge) => this.ownerOf(edge))) : this.seedIndex;
  }

  // What is said of NaN and infinity at a frame: that they start there.
  marksAt(index) {
    return [...this.passes.markedSteps].filter(([at]) => this.owners[at] === index).map(([, text]) => text);
  }

  ownerOf(edge) {
    return this.owners[this.passes.seedAt + 1 + edge.number];
  }

  hasNumber(place, index) {
    return !this.passes.forwardAt.has(place) || this.frameOf(place) <= index;
  }

  // A node's gradient as far as it has been added up at a frame; null before anything has.
  gradientAt(place, index) {
    const { passes } = this;
    let found = place === passes.root && index >= this.seedIndex ? 1 : null;
    for (const edge of passes.edgesTo.get(place) ?? []) {
      if (this.ownerOf(edge) <= index) found = passes.after[edge.number];
    }
    return found;
  }

  isComplete(place, index) {
    return index >= this.frameOfGradient(place);
  }

  // What the last of a layer's edges to each of its targets has added up to.
  sumsOf(layer) {
    const { passes } = this;
    const sums = new Map();
    const targets = new Set(layer.targets);
    for (const at of layer.covers) {
      const edge = passes.edges[at - passes.seedAt - 1];
      if (edge && targets.has(edge.target)) sums.set(edge.target, passes.after[edge.number]);
    }
    return sums;
  }

  // All numbers of a frame that may be hidden, in the order in which they are asked for.
  results(frame) {
    const { passes } = this;
    if (frame.kind === 'operation') return [{ what: 'result', number: passes.data[frame.place] }];
    if (frame.kind === 'seed') return [{ what: 'result', number: 1 }];
    if (frame.kind === 'edge') {
      const product = { what: 'product', number: passes.product(frame.edge) };
      const isFirst = passes.before[frame.edge.number] === null;
      return isFirst ? [product] : [product, { what: 'sum', number: passes.after[frame.edge.number] }];
    }
    const [first] = frame.layer.targets;
    const number = frame.phase === 'forward' ? passes.data[first] : this.sumsOf(frame.layer).get(first);
    return [{ what: 'first entry', number }];
  }
}

// Where NaN and infinity start, as `find_anomaly` in Python finds it: at what is not finite though it was made of finite
// numbers; backward, of a result that is finite, at the first gradient that is not.
const anomalies = (() => {
  // {phase, place, number}; slot: of the operand that gets the gradient, null where gradients add up to it; usedBy: of a
  // leaf, the operation where that shows; cause: the forward one that an operand came from. Null for none.
  function find(passes) {
    if (!Number.isFinite(passes.data[passes.root])) return forward(passes, [passes.root]);
    return passes.gradients.every(Number.isFinite) ? null : backward(passes);
  }

  function forward(passes, ends) {
    const { data, rows, operands, root } = passes;
    const leading = new Set(ends);
    let [place] = ends;
    for (let at = root; at >= 0; at -= 1) {
      if (leading.has(at)) {
        place = at; // the last one that is found has no operand that is not finite
        for (const operand of notFinite(passes, at)) leading.add(operand);
      }
    }
    const isUser = (_, at) => rows[place] < 0 && leading.has(at) && operands[at].includes(place);
    const usedBy = operands.findIndex(isUser);
    return { phase: 'forward', place, number: data[place], slot: null, usedBy: usedBy < 0 ? null : usedBy, cause: null };
  }

  function backward(passes) {
    const { data, rows, operands, partials, root } = passes;
    const gradients = new Map([[root, 1]]);
    for (let place = root; place >= 0; place -= 1) {
      for (const [slot, operand] of operands[place].entries()) {
        if (typeof operand !== 'number') continue;
        const gradient = gradients.get(place) * partials[place][slot];
        const anomaly = { phase: 'backward', usedBy: null, cause: null };
        if (!Number.isFinite(gradient)) {
          const ends = Number.isFinite(data[place]) ? notFinite(passes, place) : [place];
          const cause = ends.length ? forward(passes, ends) : null;
          return { ...anomaly, place, number: gradient, slot, cause: cause?.place === place ? null : cause };
        }
        const number = (gradients.get(operand) ?? 0) + gradient;
        if (!Number.isFinite(number)) {
          return { ...anomaly, place: operand, number, slot: null, usedBy: rows[operand] < 0 ? place : null };
        }
        gradients.set(operand, number);
      }
    }
    return null;
  }

  function notFinite({ data, operands }, place) {
    return operands[place].filter((operand) => typeof operand === 'number' && !Number.isFinite(data[operand]));
  }

  // An anomaly and what caused it.
  function all(anomaly) {
    return anomaly === null ? [] : [anomaly, ...all(anomaly.cause)];
  }

  // What is said at a node.
  function markOf({ phase, slot, number }) {
    const text = formulas.numberText(number);
    if (phase === 'forward') return `${text} starts here`;
    return slot === null ? `gradients add up to ${text} here` : `a gradient of ${text} starts here`;
  }

  // What is said at a step.
  function textOf(passes, anomaly) {
    const { phase, place, number } = anomaly;
    const isGiven = phase === 'forward' && passes.rows[place] < 0;
    return isGiven ? `${passes.names[place]} is ${formulas.numberText(number)}` : markOf(anomaly);
  }

  // The place in the walk over single operations where it shows; null for a leaf that nothing uses.
  function stepOf(passes, { phase, place, slot, usedBy }) {
    if (phase === 'forward') return passes.forwardAt.get(usedBy ?? place) ?? null;
    const isIt = slot === null
      ? (edge) => edge.target === place && !Number.isFinite(passes.after[edge.number])
      : (edge) => edge.source === place && edge.slot === slot;
    return passes.seedAt + 1 + passes.edges.findIndex(isIt);
  }

  // A sentence for each, with the line of the user's own source where Python knew it.
  function sentences(passes) {
    return all(passes.anomaly).map((anomaly) => {
      const { phase, slot, place } = anomaly;
      const number = formulas.numberText(anomaly.number);
      const name = passes.names[place];
      const line = passes.lines[place] ? `, at ${passes.lines[place]}` : '';
      if (phase === 'backward' && slot === null) return `The gradients of ${name} add up to ${number}${line}.`;
      const formula = passes.operationFormulas[place];
      const operation = passes.rows[place] < 0 ? name : `${name} = ${passes.symbolsText(formula)}`;
      return `${phase === 'forward' ? '' : 'A gradient of '}${number} starts in ${operation}${line}.`;
    });
  }

  return { find, all, markOf, textOf, stepOf, sentences };
})();

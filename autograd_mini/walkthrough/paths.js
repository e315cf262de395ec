// The paths that carry a gradient: the k heaviest, with what they carry. In linear time, however many there are.
const paths = (() => {
  // As Python's sort does it: NaN is heavier than infinity, and what weighs the same keeps its order.
  function byWeight(a, b) {
    const isA = Number.isNaN(a.product);
    const isB = Number.isNaN(b.product);
    if (isA || isB) return Number(isB) - Number(isA);
    const [weightA, weightB] = [Math.abs(a.product), Math.abs(b.product)];
    return weightA === weightB ? 0 : weightB - weightA;
  }

  // Multiplication by one factor keeps the order of |product|, but 0 times infinity is NaN: k zeros stay as well.
  function withoutTheLight(trails, k) {
    if (trails.length <= k) return trails;
    const sorted = [...trails].sort(byWeight);
    return [...sorted.slice(0, k), ...sorted.slice(k).filter((trail) => trail.product === 0).slice(0, k)];
  }

  // All nodes from which the output is reached through the leaf.
  function between(passes, leaf) {
    const found = new Set([leaf]);
    for (let place = leaf + 1; place <= passes.root; place += 1) {
      if ((passes.edgesFrom.get(place) ?? []).some((edge) => found.has(edge.target))) found.add(place);
    }
    return found;
  }

  function heaviest(passes, leaf, k) {
    const nodes = between(passes, leaf);
    const arriving = new Map([[passes.root, [{ product: 1, place: passes.root, factor: 1, rest: null }]]]);
    const counts = new Map([[passes.root, 1n]]);
    for (let place = passes.root; place > leaf; place -= 1) {
      if (!nodes.has(place) || !arriving.has(place)) continue;
      const trails = withoutTheLight(arriving.get(place), k);
      for (const edge of passes.edgesOf(place)) {
        if (!nodes.has(edge.target)) continue;
        const factor = passes.local(edge);
        counts.set(edge.target, (counts.get(edge.target) ?? 0n) + counts.get(place));
        for (const rest of trails) {
          append(arriving, edge.target, { product: rest.product * factor, place: edge.target, factor, rest });
        }
        const waiting = arriving.get(edge.target);
        if (waiting.length > 16 * k) arriving.set(edge.target, withoutTheLight(waiting, k));
      }
      arriving.delete(place);
    }
    return { trails: [...(arriving.get(leaf) ?? [])].sort(byWeight).slice(0, k), count: counts.get(leaf) ?? 0n };
  }

  // The sum, rounded once (Shewchuk); where it passes infinities, what IEEE 754 makes of them.
  function total(numbers) {
    if (!numbers.every(Number.isFinite)) return numbers.reduce((sum, number) => sum + number, 0);
    const partials = [];
    for (let x of numbers) {
      let kept = 0;
      for (let y of partials) {
        if (Math.abs(x) < Math.abs(y)) [x, y] = [y, x];
        const high = x + y;
        const low = y - (high - x);
        if (low) {
          partials[kept] = low;
          kept += 1;
        }
        x = high;
      }
      partials.length = kept;
      partials.push(x);
    }
    return partials.reverse().reduce((sum, number) => sum + number, 0);
  }

  function share(part, whole) {
    return whole ? part / whole : NaN;
  }

  function walked(trail) {
    const places = [];
    const factors = [];
    for (let each = trail; each; each = each.rest) {
      places.push(each.place);
      if (each.rest) factors.push(each.factor);
    }
    return { places, factors };
  }

  // The k heaviest paths from a node to the output, how many there are, and what all the others carry together.
  function provenance(passes, leaf, k) {
    const { trails, count } = heaviest(passes, leaf, k);
    const gradient = passes.gradients[leaf];
    const found = trails.map((trail) =>
      ({ ...walked(trail), product: trail.product, share: share(trail.product, gradient) }));
    const others = count > trails.length ? total([gradient, ...found.map((path) => -path.product)]) : 0;
    return { gradient, count, paths: found, others, othersShare: share(others, gradient) };
  }

  return { provenance };
})();

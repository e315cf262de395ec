// Where boxes and edges go: columns by distance from the output, few crossings, edges as level as can be.
const layout = (() => {
  const SWEEPS = 10;
  const ROW_GAP = 9;
  const WAY_HEIGHT = 4;
  const MARGIN = 16;
  const LEAST_ASPECT = 1.7;
  const MOST_ROWS = 6;
  const LEAST_GAP = 32;
  const MOST_GAP = 80;

  // boxes: {order, width, height}; edges: {from, to, port, rank}, from an operand to what
  // uses it; port in 0..1, from the top; by their ranks they are in the order of the operands.
  // Gives each box its x and y, each edge its points, and the size of it all.
  function place(boxes, edges) {
    let size = arrange(inColumns(boxes, edges), edges);
    if (size.width < LEAST_ASPECT * size.height) {
      const columns = inColumns(boxes, edges);
      fold(columns);
      size = arrange(columns, edges);
    }
    for (const edge of edges) edge.points = pointsOf(edge);
    return size;
  }

  function arrange(columns, edges) {
    columns.forEach((column, number) => { for (const box of column) box.column = number; });
    addWays(columns, edges);
    untangle(columns);
    return { width: setAcross(columns), height: setDown(columns) };
  }

  // Of a tall column, every second leaf moves into a column of its own before it.
  function fold(columns) {
    for (let at = columns.length - 1; at >= 0; at -= 1) {
      const leaves = columns[at].filter((box) => box.isLeaf);
      const moved = columns[at].length > MOST_ROWS ? leaves.filter((_, rank) => rank % 2) : [];
      if (moved.length < 2) continue;
      columns.splice(at, 1, moved, columns[at].filter((box) => !moved.includes(box)));
    }
  }

  // As near to the output as possible: so a leaf stands just before its first user.
  function inColumns(boxes, edges) {
    const sorted = [...boxes].sort((a, b) => b.order - a.order);
    const into = new Map();
    for (const edge of [...edges].sort((a, b) => a.rank - b.rank)) append(into, edge.to, edge.from);
    for (const box of boxes) Object.assign(box, { distance: 0, before: [], after: [] });
    for (const box of sorted) {
      for (const from of into.get(box) ?? []) from.distance = Math.max(from.distance, box.distance + 1);
    }
    const last = Math.max(...boxes.map((box) => box.distance));
    const columns = Array.from({ length: last + 1 }, () => []);
    for (const box of fromOutput(sorted, into)) columns[last - box.distance].push(box);
    return columns;
  }

  // Depth first from the output, operands from left to right: what is computed together stands together.
  function fromOutput(sorted, into) {
    const found = new Set();
    for (const start of sorted) {
      const waiting = [start];
      while (waiting.length) {
        const box = waiting.pop();
        if (found.has(box)) continue;
        found.add(box);
        waiting.push(...[...(into.get(box) ?? [])].reverse());
      }
    }
    return found;
  }

  // An edge across several columns takes up room in each; edges from one box share their way.
  function addWays(columns, edges) {
    const ways = new Map();
    for (const edge of edges) {
      let previous = edge.from;
      edge.ways = [];
      for (let column = edge.from.column + 1; column < edge.to.column; column += 1) {
        const key = `${edge.from.id}@${column}`;
        if (!ways.has(key)) {
          const way = { isWay: true, column, width: 0, height: WAY_HEIGHT, before: [], after: [] };
          ways.set(key, way);
          columns[column].push(way);
          join(previous, way, 0.5);
        }
        previous = ways.get(key);
        edge.ways.push(previous);
      }
      join(previous, edge.to, edge.port);
    }
  }

  function join(from, to, port) {
    from.after.push({ item: to, port });
    to.before.push({ item: from, port });
  }

  // Each column is sorted by where its neighbours are, from the left and from the right in turn.
  function untangle(columns) {
    columns.forEach(number);
    for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
      const isForward = sweep % 2 === 1;
      const turn = isForward ? columns : [...columns].reverse();
      for (const column of turn) {
        for (const item of column) item.wish = wishedRank(item, isForward ? item.before : item.after);
        column.sort((a, b) => a.wish - b.wish || a.rank - b.rank);
        number(column);
      }
    }
  }

  function number(column) {
    column.forEach((item, rank) => { item.rank = rank; });
  }

  function wishedRank(item, neighbours) {
    if (!neighbours.length) return item.rank;
    return neighbours.reduce((sum, each) => sum + each.item.rank + each.port - 0.5, 0) / neighbours.length;
  }

  function setAcross(columns) {
    let x = MARGIN;
    for (const column of columns) {
      const width = Math.max(...column.map((item) => item.width));
      const links = column.reduce((sum, item) => sum + item.after.length, 0);
      for (const item of column) {
        item.x = x + (width - item.width) / 2;
        if (item.isWay) Object.assign(item, { x, width });
      }
      x += width + Math.min(MOST_GAP, LEAST_GAP + links);
    }
    return x - LEAST_GAP + MARGIN;
  }

  function setDown(columns) {
    for (const column of columns) {
      let y = 0;
      for (const item of column) {
        item.middle = y + item.height / 2;
        y += item.height + ROW_GAP;
      }
    }
    for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
      const turn = sweep % 2 ? columns : [...columns].reverse();
      for (const column of turn) level(column);
    }
    const items = columns.flat();
    const top = Math.min(...items.map((item) => item.middle - item.height / 2));
    for (const item of items) item.y = item.middle - item.height / 2 - top + MARGIN;
    return Math.max(...items.map((item) => item.y + item.height)) + MARGIN;
  }

  // The column's items as near as they can be to their neighbours' level, in order and apart: least squares, by
  // joining those that would overlap into blocks that stand at the mean of their wishes.
  function level(column) {
    let offset = 0;
    const blocks = [];
    column.forEach((item, rank) => {
      if (rank) offset += (column[rank - 1].height + item.height) / 2 + ROW_GAP;
      item.offset = offset;
      const block = { sum: wishedMiddle(item) - offset, items: [item] };
      blocks.push(block);
      while (blocks.length > 1 && mean(blocks.at(-2)) > mean(blocks.at(-1))) {
        const last = blocks.pop();
        blocks.at(-1).sum += last.sum;
        blocks.at(-1).items.push(...last.items);
      }
    });
    for (const block of blocks) for (const item of block.items) item.middle = mean(block) + item.offset;
  }

  function mean(block) {
    return block.sum / block.items.length;
  }

  function wishedMiddle(item) {
    const wishes = [
      ...item.after.map((each) => each.item.middle + (each.port - 0.5) * each.item.height),
      ...item.before.map((each) => each.item.middle - (each.port - 0.5) * item.height),
    ];
    return wishes.length ? wishes.reduce((sum, wish) => sum + wish, 0) / wishes.length : item.middle;
  }

  // From the right side of the operand to the left side of what uses it, through the room kept in between.
  function pointsOf(edge) {
    const start = { x: edge.from.x + edge.from.width, y: edge.from.y + edge.from.height / 2 };
    const end = { x: edge.to.x, y: edge.to.y + edge.to.height * edge.port };
    const between = edge.ways.flatMap((way) => {
      const y = way.y + way.height / 2;
      return [{ x: way.x, y }, { x: way.x + way.width, y }];
    });
    return [start, ...between, end];
  }

  // Through the points: level lines inside columns, curves between them.
  function curve(points) {
    let text = `M${points[0].x} ${points[0].y}`;
    for (let i = 1; i < points.length; i += 1) {
      const [a, b] = [points[i - 1], points[i]];
      const bend = (b.x - a.x) / 2;
      text += i % 2 ? `C${a.x + bend} ${a.y} ${b.x - bend} ${b.y} ${b.x} ${b.y}` : `L${b.x} ${b.y}`;
    }
    return text;
  }

  return { place, curve };
})();

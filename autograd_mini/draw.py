"""A recorded graph as a picture: node by node, or collapsed into named expressions, neurons or layers."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from textwrap import wrap
from typing import Literal

from autograd_mini.anomaly import Anomaly, first_anomaly, lines_here, marks
from autograd_mini.drawing import Drawing
from autograd_mini.engine import shorten
from autograd_mini.graph import Node, settled_grad, topological_order
from autograd_mini.groups import LEVELS, Group, Groups
from autograd_mini.ops import TABLE, Op
from autograd_mini.paths import paths_text, provenance
from autograd_mini.sketch import (
    ARROW,
    BROKEN,
    BROKEN_INK,
    INK,
    LEAF,
    PATH_INK,
    RESULT,
    Sketch,
    inches,
    literal,
    printable,
    short_number,
)
from autograd_mini.value import Value

_ENTRIES = {"LR": ("nw", "sw"), "TB": ("nw", "ne"), "RL": ("ne", "se"), "BT": ("sw", "se")}
"""For each direction of a graph, the corners where an operation's first and second operand enter."""

_OPERATION = "#ffffff"
_CONSTANT = "#f1f3f5"
_GROUP = "#cfe0fa"

_SWAPPABLE = frozenset(TABLE[name] for name in ("add", "mul", "logaddexp", "maximum", "minimum"))
"""Rows whose two operands may change places, so that a picture need not tell the first from the second."""

_MOST_CURVED = 5_000
"""Ranks that curved arrows may pass by: beyond, they are a tangle, and straight ones take a third of the time."""

_THICK = {"color": PATH_INK, "penwidth": 3}

_MARKED = {"color": BROKEN_INK, "penwidth": 3}

_NOTE_WIDTH = 100

Collapse = Literal["auto", "expression", "neuron", "layer"]


def draw(
    value: Value,
    format: str = "svg",
    rankdir: str = "LR",
    max_nodes: int = 250,
    *,
    collapse: Collapse | None = "auto",
    highlight: Value | Sequence[Value] | None = None,
) -> Drawing:
    """The recorded graph of a value as a picture: label, number and gradient of each node, and its operation.

    format: what `pipe()` and `render()` make unless told otherwise. rankdir: LR, TB, RL or BT, the direction from the
    leaves to the result. max_nodes: the most that is drawn, in `Value`s and boxes that stand for several.

    collapse: what one box stands for. "expression": a result with a label and the unlabelled ones that only it uses;
    "neuron" and "layer": those of `nn`, and finer groups for the rest of the graph; None: never more than one
    `Value`; "auto": one `Value` where the graph fits into max_nodes, else the finest that does. highlight: a `Value`,
    of whose paths to the result the heaviest is drawn thick (see `provenance`), or the `Value`s of a path.

    Leaves are yellow, results blue, constants grey; NaN and infinities are red, and where they start is said in the box
    and below (see `find_anomaly`), with a double ring around the operation. Where the order of two operands matters,
    their arrows carry 1 and 2. A box with a double border stands for several: ×16 for 16 operations, or 16 leaves; an
    arrow with ×4 for 4 `Value`s that are used there; "0.1 … 0.9" is the least and the largest number.

    Raises TypeError if value is not a `Value`; ValueError if the picture would be larger than max_nodes, if what is
    to be highlighted is no path of the graph, or for an unknown format, direction or way to collapse.
    """
    if not isinstance(value, Value):
        raise TypeError(f"draw: expected a Value, got {type(value).__name__}")
    if rankdir not in _ENTRIES:
        raise ValueError(f"draw: expected rankdir to be one of {', '.join(_ENTRIES)}, got {rankdir!r}")
    if collapse not in ("auto", *LEVELS, None):
        raise ValueError(f"draw: expected collapse to be one of auto, {', '.join(LEVELS)} or None, got {collapse!r}")
    order = topological_order(value)
    seen = _choose_boxes(order, collapse, max_nodes)
    path, note = _read_highlight(value, order, highlight)
    return _GraphSketch(order, seen, path, rankdir, _find_shown_anomaly(order)).drawing(format, note)


def _find_shown_anomaly(order: list[Node]) -> Anomaly | None:
    """Where the NaN or infinity came from that the picture shows: backward, that is one among the gradients."""
    if math.isfinite(order[-1]._data) and all(math.isfinite(settled_grad(node)) for node in order):
        return None
    return first_anomaly(order, lines_here())


def _choose_boxes(order: list[Node], collapse: str | None, max_nodes: int) -> Sequence[Group | int]:
    """Groups and places of single nodes: each is a box. Raises ValueError if there are too many."""
    if collapse in ("auto", None) and len(order) <= max_nodes:
        return range(len(order))
    counts = []
    if collapse is not None:
        groups = Groups(order)
        for level in LEVELS if collapse == "auto" else [collapse]:
            seen = groups.seen_at(level)
            arrow_count = _count_arrows(order, seen) if len(seen) <= max_nodes else 0
            if len(seen) <= max_nodes and arrow_count <= 2 * max_nodes:  # as many as single nodes may have
                return seen
            counts.append(f"{len(seen):,}{f' with {arrow_count:,} arrows' if arrow_count else ''} by {level}")
    collapsed = f"; collapsed it has {', '.join(counts)}" if counts else ""
    advice = "give inner results a label to name expressions, " if counts else ""
    if collapse not in ("auto", "layer"):
        advice = 'collapse it further with collapse="auto", '
    raise ValueError(
        f"draw: the graph has {len(order):,} nodes, expected at most {max_nodes:,}{collapsed}; {advice}"
        "draw an inner Value of it, use draw_network for a network, or raise max_nodes"
    )


def _count_arrows(order: list[Node], seen: Sequence[Group | int]) -> int:
    """How many there are between different boxes, if all from one to another are one."""
    boxes: dict[int, int] = {}
    for number, box in enumerate(seen):
        for place in box.members if isinstance(box, Group) else (box,):
            boxes[id(order[place])] = number
    pairs = {(boxes[id(operand)], boxes[id(node)]) for node in order for operand in node.operand_nodes()}
    return sum(tail != head for tail, head in pairs)


def _read_highlight(
    value: Value, order: list[Node], highlight: Value | Sequence[Value] | None
) -> tuple[Sequence[Node], str]:
    """The nodes of the path, and what is said of it below the picture."""
    if highlight is None:
        return (), ""
    nodes = [highlight] if isinstance(highlight, Value) else list(highlight) if isinstance(highlight, Sequence) else []
    if not nodes or not all(isinstance(node, Value) for node in nodes):
        raise TypeError(f"draw: expected highlight to be a Value or the Values of a path, got {shorten(highlight)}")
    known = {id(node) for node in order}
    for node in nodes:
        if id(node) not in known:
            raise ValueError(f"draw: highlight is not in the graph: {shorten(node, 80)}")
    for tail, head in pairwise(nodes):
        if all(operand is not tail for operand in head.parents):
            raise ValueError(f"draw: highlight is no path: {shorten(head, 80)} has no operand {shorten(tail, 80)}")
    return _heaviest_path(value, highlight) if isinstance(highlight, Value) else (nodes, "")


def _heaviest_path(value: Value, leaf: Value) -> tuple[Sequence[Node], str]:
    """The nodes of the path from leaf, and how much of the gradient it carries."""
    found = provenance(value, leaf, k=1)
    (path,) = found.paths
    which = "the only path" if found.path_count == 1 else f"the heaviest of {paths_text(found.path_count)}"
    ends = f"{leaf.label or 'this Value'} → {value.label or 'the result'}"
    share = f" ({path.share:.1%})" if math.isfinite(path.share) else ""
    numbers = f"carries {short_number(path.product)} of the gradient {short_number(found.gradient)}{share}"
    return path.nodes, f"thick: {ends}, {which}, {numbers}"


class _GraphSketch:
    """The boxes and arrows of one picture."""

    def __init__(
        self,
        order: list[Node],
        seen: Sequence[Group | int],
        path: Sequence[Node],
        rankdir: str,
        anomaly: Anomaly | None,
    ) -> None:
        self._order = order
        self._anomaly = anomaly
        self._marks = {} if anomaly is None else {id(node): text for node, text in marks(anomaly, short_number)}
        self._seen = seen
        self._rankdir = rankdir
        self._sketch = Sketch()
        self._names: dict[int, str] = {}  # of the box that each node is drawn as, by the node's id
        for number, box in enumerate(seen):
            for place in box.members if isinstance(box, Group) else (box,):
                name = f"group{number}" if isinstance(box, Group) else f"value{place}"
                self._names[id(order[place])] = name
        self._thick_boxes = {self._names[id(node)] for node in path}
        self._thick_steps = {(id(tail), id(head)) for tail, head in pairwise(path)}
        self._thick_arrows = {(self._names[id(tail)], self._names[id(head)]) for tail, head in pairwise(path)}

    def drawing(self, format: str, note: str) -> Drawing:
        for box in self._seen:
            if isinstance(box, Group):
                self._group(box)
            else:
                self._single(box)
        attributes = {"rankdir": self._rankdir, "nodesep": "0.25"}
        # Arrows that carry a count need room for it.
        attributes["ranksep"] = "0.5" if any(isinstance(box, Group) for box in self._seen) else "0.3"
        if self._sketch.passed_ranks() > _MOST_CURVED:
            attributes["splines"] = "line"
        notes = [note] if note else []
        if self._anomaly is not None:
            notes += wrap(printable(str(self._anomaly), longest=1_000), _NOTE_WIDTH, break_on_hyphens=False)
        if notes:
            ink = PATH_INK if self._anomaly is None else BROKEN_INK
            text = "\\n".join(map(literal, notes))
            attributes |= {"label": text, "fontcolor": ink, "fontsize": "12", "labelloc": "b"}
        # Without the limits, Graphviz tries for minutes to straighten a few hundred nodes.
        return self._sketch.drawing(format, "dot", nslimit="1", nslimit1="1", **attributes)

    # One node

    def _single(self, place: int) -> None:
        node = self._order[place]
        lines = [f"data {short_number(node._data)}", f"grad {short_number(settled_grad(node))}"]
        if node.label:
            lines.insert(0, printable(str(node.label)))
        lines += self._marks_of([node])
        label = "|".join(literal(line, in_record=True) for line in lines)
        self._sketch.node(
            self._names[id(node)],
            # Graphviz turns the compartments of a record with the graph; they are to lie below one another.
            label if self._rankdir in ("LR", "RL") else f"{{{label}}}",
            shape="Mrecord",
            height="0.2",
            **self._look(self._names[id(node)], LEAF if node.op is None else RESULT, [node], lines),
        )
        if node.op is not None:
            self._operation(place, node, node.op)

    def _look(self, name: str, fill: str, nodes: Iterable[Node], lines: list[str]) -> dict[str, object]:
        """Colours, border and width of a box for these nodes."""
        is_marked = any(id(node) in self._marks for node in nodes)
        is_broken = is_marked or not all(
            math.isfinite(node._data) and math.isfinite(settled_grad(node)) for node in nodes
        )
        is_thick = name in self._thick_boxes
        return {
            "style": "filled",
            "fillcolor": BROKEN if is_broken else fill,
            "color": PATH_INK if is_thick else BROKEN_INK if is_broken else ARROW,
            "fontcolor": BROKEN_INK if is_broken else INK,
            "penwidth": 4 if is_marked else 3 if is_thick else 2 if is_broken else 1,
            "width": f"{inches(*lines) + 0.2:.2f}",
        }

    def _marks_of(self, nodes: Iterable[Node]) -> list[str]:
        return [self._marks[id(node)] for node in nodes if id(node) in self._marks]

    def _operation(self, place: int, node: Node, op: Op) -> None:
        order_matters = op.arity == 2 and op not in _SWAPPABLE
        steps = [(id(operand), id(node)) for operand in node.operands]
        thick = next((number for number, step in enumerate(steps) if step in self._thick_steps), None)
        is_marked = id(node) in self._marks
        bad = None if self._anomaly is None or self._anomaly.node is not node else self._anomaly.operand
        circle = self._sketch.node(
            f"operation{place}",
            literal(op.symbol),
            shape="ellipse",
            style="filled",
            fillcolor=BROKEN if is_marked else _OPERATION,
            width=f"{max(0.36, inches(printable(op.symbol)) + 0.2):.2f}",
            height="0.36",
            margin="0.02",
            **({"peripheries": 2} if is_marked else {}),
            **(_MARKED if is_marked else {} if thick is None else _THICK),
        )
        for number, operand in enumerate(node.operands):
            tail = self._names[id(operand)] if isinstance(operand, Node) else self._constant(place, number + 1, operand)
            entry = _entry(number + 1, self._rankdir) if order_matters else {}
            look = _MARKED if is_marked and number == bad else _THICK if number == thick else {}
            self._sketch.edge(tail, circle, **entry, **look)
        self._sketch.edge(circle, self._names[id(node)], **({} if thick is None else _THICK))

    def _constant(self, place: int, number: int, constant: float) -> str:
        is_broken = not math.isfinite(constant)
        return self._sketch.node(
            f"constant{place}_{number}",
            literal(short_number(constant)),
            shape="box",
            style="filled",
            fillcolor=BROKEN if is_broken else _CONSTANT,
            fontcolor=BROKEN_INK if is_broken else INK,
            width="0.3",
            height="0.26",
            margin="0.06,0.02",
        )

    # Several nodes

    def _group(self, group: Group) -> None:
        nodes = [self._order[place] for place in group.members]
        roots = [self._order[place] for place in group.roots]
        count = len(nodes) if group.is_leaves else sum(node.op is not None for node in nodes)
        lines = [f"{printable(group.name)}  ×{count:,}"]
        lines += [f"data {_span(node._data for node in roots)}", f"grad {_span(settled_grad(node) for node in roots)}"]
        lines += self._marks_of(nodes)
        name = self._names[id(nodes[0])]
        self._sketch.node(
            name,
            "\\n".join(map(literal, lines)),
            shape="box",
            peripheries=2,
            margin="0.08,0.05",
            **self._look(name, LEAF if group.is_leaves else _GROUP, nodes, lines),
        )
        arrows: dict[str, set[int]] = {}
        for node in nodes:
            for operand in node.operand_nodes():
                arrows.setdefault(self._names[id(operand)], set()).add(id(operand))
        arrows.pop(name, None)
        for tail, operands in arrows.items():
            count_label = {"label": f" ×{len(operands):,} "} if len(operands) > 1 else {}
            self._sketch.edge(tail, name, **count_label, **(_THICK if (tail, name) in self._thick_arrows else {}))


def _entry(place: int, rankdir: str) -> dict[str, object]:
    """Where the first or second operand enters, with its number on the outer side of the arrow."""
    is_sideways = rankdir in ("LR", "RL")
    angle = -40 if is_sideways == (place == 1) else 40
    return {"headport": _ENTRIES[rankdir][place - 1], "headlabel": place, "labelangle": angle, "labeldistance": 1.6}


def _span(numbers: Iterable[float]) -> str:
    """The one number, or the least and the largest; NaN where one is."""
    found = set(numbers)
    if any(math.isnan(number) for number in found):
        return "NaN"
    least, largest = short_number(min(found)), short_number(max(found))
    return least if least == largest else f"{least} … {largest}"

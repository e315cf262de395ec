"""A recorded graph as a picture."""

import math

from autograd_mini.drawing import Drawing
from autograd_mini.graph import Node, topological_order
from autograd_mini.ops import TABLE, Op
from autograd_mini.sketch import (
    ARROW,
    BROKEN,
    BROKEN_INK,
    INK,
    LEAF,
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

_SWAPPABLE = frozenset(TABLE[name] for name in ("add", "mul", "maximum", "minimum"))
"""Rows whose two operands may change places, so that a picture need not tell the first from the second."""


def draw(value: Value, format: str = "svg", rankdir: str = "LR", max_nodes: int = 250) -> Drawing:
    """The recorded graph of a value as a picture: label, number and gradient of each node, and its operation.

    format: what `pipe()` and `render()` make unless told otherwise. rankdir: LR, TB, RL or BT, the direction from the
    leaves to the result. max_nodes: the largest graph that is drawn, in `Value`s.

    Leaves are yellow, results blue, constants grey; NaN and infinities are red. Where the order of two operands
    matters, their arrows carry 1 and 2.

    Raises TypeError if value is not a `Value`; ValueError if the graph is larger than max_nodes, or for an unknown
    format or direction.
    """
    if not isinstance(value, Value):
        raise TypeError(f"draw: expected a Value, got {type(value).__name__}")
    if rankdir not in _ENTRIES:
        raise ValueError(f"draw: expected rankdir to be one of {', '.join(_ENTRIES)}, got {rankdir!r}")
    order = topological_order(value)
    if len(order) > max_nodes:
        raise ValueError(
            f"draw: the graph has {len(order):,} nodes, expected at most {max_nodes:,}; "
            "draw an inner Value of it, use draw_network for a network, or raise max_nodes"
        )
    sketch = Sketch()
    names: dict[int, str] = {}
    for number, node in enumerate(order):
        names[id(node)] = _sketch_value(sketch, f"value{number}", node, rankdir)
        if node.op is not None:
            _sketch_operation(sketch, number, node, node.op, names, rankdir)
    # Without the limits, Graphviz tries for minutes to straighten a few hundred nodes.
    return sketch.drawing(format, "dot", rankdir=rankdir, ranksep="0.3", nodesep="0.25", nslimit="1", nslimit1="1")


def _sketch_value(sketch: Sketch, name: str, node: Node, rankdir: str) -> str:
    lines = [f"data {short_number(node._data)}", f"grad {short_number(node._grad)}"]
    if node.label:
        lines.insert(0, printable(str(node.label)))
    label = "|".join(literal(line, in_record=True) for line in lines)
    is_broken = not (math.isfinite(node._data) and math.isfinite(node._grad))
    return sketch.node(
        name,
        # Graphviz turns the compartments of a record with the graph; they are to lie below one another.
        label if rankdir in ("LR", "RL") else f"{{{label}}}",
        shape="Mrecord",
        style="filled",
        fillcolor=BROKEN if is_broken else LEAF if node.op is None else RESULT,
        color=BROKEN_INK if is_broken else ARROW,
        fontcolor=BROKEN_INK if is_broken else INK,
        penwidth=2 if is_broken else 1,
        width=f"{inches(*lines) + 0.2:.2f}",
        height="0.2",
    )


def _sketch_operation(sketch: Sketch, number: int, node: Node, op: Op, names: dict[int, str], rankdir: str) -> None:
    order_matters = op.arity == 2 and op not in _SWAPPABLE
    circle = sketch.node(
        f"operation{number}",
        literal(op.symbol),
        shape="ellipse",
        style="filled",
        fillcolor=_OPERATION,
        width=f"{max(0.36, inches(printable(op.symbol)) + 0.2):.2f}",
        height="0.36",
        margin="0.02",
    )
    for place, operand in enumerate(node.operands, start=1):
        if isinstance(operand, Node):
            tail = names[id(operand)]
        else:
            tail = _sketch_constant(sketch, f"constant{number}_{place}", operand)
        sketch.edge(tail, circle, **(_entry(place, rankdir) if order_matters else {}))
    sketch.edge(circle, names[id(node)])


def _entry(place: int, rankdir: str) -> dict[str, object]:
    """Where the first or second operand enters, with its number on the outer side of the arrow."""
    is_sideways = rankdir in ("LR", "RL")
    angle = -40 if is_sideways == (place == 1) else 40
    return {"headport": _ENTRIES[rankdir][place - 1], "headlabel": place, "labelangle": angle, "labeldistance": 1.6}


def _sketch_constant(sketch: Sketch, name: str, constant: float) -> str:
    is_broken = not math.isfinite(constant)
    return sketch.node(
        name,
        literal(short_number(constant)),
        shape="box",
        style="filled",
        fillcolor=BROKEN if is_broken else _CONSTANT,
        fontcolor=BROKEN_INK if is_broken else INK,
        width="0.3",
        height="0.26",
        margin="0.06,0.02",
    )

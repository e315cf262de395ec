"""What a recorded graph is made of, and how it is read: order, gradients, and running it again on other numbers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from autograd_mini import engine
from autograd_mini.engine import BareNode, in_order, shorten
from autograd_mini.ops import Op

Kind = TypeVar("Kind", bound=type[BareNode])


def adds_to_node(kind: Kind) -> Kind:
    """A class decorator: the class takes the place of `BareNode` in the engine, or is taken into it when compiled.

    Python hands the instances of every class written in Python to its collector, also those of a class that only
    adds methods to a compiled one. So nodes stay instances of the compiled class, while all that is shown to users
    (docstrings, signatures, properties, errors of wrong calls) is ordinary Python, the same in both builds. Such a
    class cannot use super(): compiled, there is nothing above it.
    """
    if not engine.COMPILED:
        engine.BareNode = kind  # type: ignore[misc]
        return kind
    for name, member in vars(kind).items():
        setattr(BareNode, name, member)
    BareNode.__name__ = kind.__name__
    BareNode.__qualname__ = kind.__qualname__
    return BareNode  # type: ignore[return-value]


class Labelled(NamedTuple):
    """What stands in a node's `_row` if it has a label: few have one, so no node has a place for it."""

    op: Op | None
    label: str


@adds_to_node
class Node(BareNode):
    """One number of a graph: a leaf, or the result of an operation on one or two operands."""

    __slots__ = ()

    _left: "Node | None"
    _right: "Node | None"

    @property
    def label(self) -> str:
        """What pictures and tables call it."""
        return self._row.label if isinstance(self._row, Labelled) else ""

    @label.setter
    def label(self, text: str) -> None:
        self._row = Labelled(self.op, text) if checked_label(text, "Value.label") else self.op

    @property
    def op(self) -> Op | None:
        """The row of the table that made this number; None for a leaf."""
        row: Op | Labelled | None = self._row
        return row.op if isinstance(row, Labelled) else row

    @property
    def operands(self) -> tuple["Node | float", ...]:
        """What the operation was applied to, left to right: nodes, and plain floats for constants."""
        op = self.op
        if op is None:
            return ()
        left = self._left_partial if self._left is None else self._left
        if op.arity == 1:
            return (left,)
        return left, self._right_partial if self._right is None else self._right

    @property
    def partials(self) -> tuple[float, ...]:
        """The derivative of this number by each of its `parents`, as it was when it was recorded."""
        found = []
        if self._left is not None:
            found.append(self._left_partial)
        if self._right is not None:
            found.append(self._right_partial)
        return tuple(found)

    def operand_nodes(self) -> tuple["Node", ...]:
        """The operands that are nodes, left to right; one used twice stands there twice."""
        return tuple(operand for operand in (self._left, self._right) if operand is not None)


def checked_label(text: object, where: str) -> str:
    """A label, if it is a text; TypeError that names `where` if not."""
    if not isinstance(text, str):
        raise TypeError(f"{where}: expected a text as label, got {type(text).__name__} {shorten(text)}")
    return text


def label_in_text(label: str, length: int = 40) -> str:
    """A label within a line of text: as it is, or as Python writes it where that would not print, or is too long."""
    return label if label.isprintable() and len(label) <= length else shorten(label, length)


def settled_grad(node: Node) -> float:
    """The gradient of a node as a whole backward pass leaves it, whatever other threads do.

    Raises RuntimeError in a finalizer or signal handler that interrupts a pass in its own thread.
    """
    if not engine.may_add_up:
        return node._grad
    with engine.lock:
        return node._grad


def set_grad(node: Node, gradient: float) -> None:
    """Set it, before or after a backward pass of another thread; RuntimeError as for `settled_grad`."""
    with engine.lock:
        node._grad = gradient


def topological_order(root: Node) -> list[Node]:
    """Every node that root depends on, each after its operands, root last; depth first, left operand first."""
    with engine.lock:
        return in_order(root)


def leaves(root: Node) -> list[Node]:
    """The leaves that root depends on, in topological order."""
    return [node for node in topological_order(root) if node.op is None]


def pullback(
    root: Node, inputs: Iterable[Node], seed: Any = 1.0, partials: Callable[[Node], Sequence[Any]] | None = None
) -> list[Any]:
    """The derivatives of root by each of the inputs, times seed; no `grad` is read or written.

    partials(node) gives the local derivatives by the operands that are nodes; without it, the recorded floats.
    An input that root does not depend on gets the float 0.0.
    """
    inputs = list(inputs)
    wanted = {id(node) for node in inputs}
    adjoints: dict[int, Any] = {id(root): seed}
    with engine.lock:
        order = in_order(root)
    while order:
        node = order.pop()
        upstream = adjoints[id(node)] if id(node) in wanted else adjoints.pop(id(node))
        if node.op is None:
            continue
        for operand, local in zip(node.operand_nodes(), partials(node) if partials else node.partials, strict=True):
            contribution = upstream * local
            key = id(operand)
            adjoints[key] = adjoints[key] + contribution if key in adjoints else contribution
    return [adjoints.get(id(node), 0.0) for node in inputs]


class Replay:
    """A recorded graph as a function of some of its leaves, on any kind of number.

    Replay(root, inputs)(numbers, run, convert) computes it again with `numbers` in place of the inputs. Every
    other leaf and constant keeps its number, passed through `convert`; run(rule, *operands) applies a row's
    forward rule, as `ops.evaluate` does on floats.
    """

    def __init__(self, root: Node, inputs: Sequence[Node]) -> None:
        self._cells: list[float | None] = [None] * len(inputs)
        self._steps: list[tuple[Op, tuple[int, ...], int]] = []  # a row, the cells of its operands, its own cell
        place = {id(node): cell for cell, node in enumerate(inputs)}
        for node in topological_order(root):
            if id(node) in place:
                continue
            op = node.op
            if op is None:
                place[id(node)] = self._new_cell(node._data)
                continue
            operands = tuple(
                self._new_cell(operand) if isinstance(operand, float) else place[id(operand)]
                for operand in node.operands
            )
            place[id(node)] = self._new_cell(None)
            self._steps.append((op, operands, place[id(node)]))
        self._places = place

    def __len__(self) -> int:
        """How many numbers it holds while it runs."""
        return len(self._cells)

    def _new_cell(self, number: float | None) -> int:
        self._cells.append(number)
        return len(self._cells) - 1

    def __call__(
        self, numbers: Sequence[Any], run: Callable[..., Any], convert: Callable[[float], Any]
    ) -> dict[int, Any]:
        """Every node at these numbers, one for each of the inputs, by the node's id."""
        cells: list[Any] = [None if number is None else convert(number) for number in self._cells]
        cells[: len(numbers)] = numbers
        for op, operands, result in self._steps:
            cells[result] = run(op.forward, *[cells[operand] for operand in operands])
        return {node: cells[cell] for node, cell in self._places.items()}


def differentiate_again(
    root: Node,
    leaves: Sequence[Node],
    *,
    run: Callable[..., Any],
    convert: Callable[[float], Any],
    partial: Callable[[Op, int, Any, list[Any]], Any],
) -> list[Any]:
    """Run a recorded graph again, forward and backward, on another kind of number.

    run(rule, *numbers) applies a forward rule; partial(op, i, out, numbers) gives the derivative of an operation
    by its operand i; convert makes such a number of a float.
    """
    values = Replay(root, leaves)([convert(leaf._data) for leaf in leaves], run, convert)

    def partials(node: Node) -> list[Any]:
        op = node.op
        assert op is not None  # pullback asks only about operations
        numbers = [convert(o) if isinstance(o, float) else values[id(o)] for o in node.operands]
        return [
            partial(op, index, values[id(node)], numbers)
            for index, operand in enumerate(node.operands)
            if isinstance(operand, Node)
        ]

    return pullback(root, leaves, seed=convert(1.0), partials=partials)

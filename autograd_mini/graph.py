"""What a recorded graph is made of, and how it is read: order, gradients, and running it again on other numbers."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from autograd_mini.ops import Op

lock = threading.Lock()
"""Held while a graph is walked or gradients are added up: threads may share leaves, and the marks of a walk."""

_last_walk = 0.0


class Node:
    """One number of a graph: a leaf, or the result of an operation on one or two operands.

    An operand that is a constant needs no node: its place (`_left` or `_right`) is None, and its number stands
    where its partial derivative would. No tuple, set or closure hangs on a node: each would be one more object
    for Python's garbage collector to visit, and those visits are most of what recording costs.
    """

    __slots__ = ("_data", "_grad", "_left", "_left_partial", "_mark", "_right", "_right_partial", "_row", "label")

    _data: float
    _grad: float
    _row: Op | None
    _left: "Node | None"
    _right: "Node | None"
    _left_partial: float
    _right_partial: float
    _mark: float
    label: str

    @property
    def op(self) -> Op | None:
        """The row of the table that made this number; None for a leaf."""
        return self._row

    @property
    def operands(self) -> tuple["Node | float", ...]:
        """What the operation was applied to, left to right: nodes, and plain floats for constants."""
        if self._row is None:
            return ()
        left = self._left_partial if self._left is None else self._left
        if self._row.arity == 1:
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


def walk(root: Node) -> list[Node]:
    """Every node that root depends on, each after its operands, root last. Call it with `lock` held.

    Depth first, left operand first, on an explicit stack. A mark below `entered` has not been seen by this walk,
    `entered` waits on the stack for its operands, `finished` stands in the order.
    """
    global _last_walk
    order: list[Node] = []
    entered = _last_walk + 1.0
    finished = _last_walk = _last_walk + 2.0
    waiting: list[Node] = []
    node = root
    # Not `while waiting`: CPython 3.11 specialises a loop that ends in a conditional jump only from the eighth call.
    while True:
        left = node._left
        right = node._right
        if left is not None and left._mark < entered:
            node._mark = entered
            waiting.append(node)
            if right is not None and right._mark < entered:
                waiting.append(right)
            node = left
            continue
        if right is not None and right._mark < entered:
            node._mark = entered
            waiting.append(node)
            node = right
            continue
        node._mark = finished
        order.append(node)
        while True:
            if not waiting:
                return order
            node = waiting.pop()
            if node._mark < entered:
                break
            if node._mark == entered:
                node._mark = finished
                order.append(node)


def topological_order(root: Node) -> list[Node]:
    """Every node that root depends on, each after its operands, root last; depth first, left operand first."""
    with lock:
        return walk(root)


def leaves(root: Node) -> list[Node]:
    """The leaves that root depends on, in topological order."""
    return [node for node in topological_order(root) if node._row is None]


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
    with lock:
        order = walk(root)
    while order:
        node = order.pop()
        upstream = adjoints.get(id(node)) if id(node) in wanted else adjoints.pop(id(node), None)
        if upstream is None or node._row is None:
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
            if node._row is None:
                place[id(node)] = self._new_cell(node._data)
                continue
            operands = tuple(
                self._new_cell(operand) if isinstance(operand, float) else place[id(operand)]
                for operand in node.operands
            )
            place[id(node)] = self._new_cell(None)
            self._steps.append((node._row, operands, place[id(node)]))
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
        assert node._row is not None  # pullback asks only about operations
        numbers = [convert(o) if isinstance(o, float) else values[id(o)] for o in node.operands]
        return [
            partial(node._row, index, values[id(node)], numbers)
            for index, operand in enumerate(node.operands)
            if isinstance(operand, Node)
        ]

    return pullback(root, leaves, seed=convert(1.0), partials=partials)

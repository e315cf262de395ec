"""A recorded computation as a list of scalar operations: where compiling starts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from autograd_mini.graph import Node
from autograd_mini.ops import Op

Kind: TypeAlias = Op | str
"""A row of the table, or one of what no row is: "where", "<", "<=", ">", ">=", "and" of second derivatives; after the
passes "sum" of any number of operands, "dot" (a₀, b₀, a₁, b₁, …) and "logsumexp"."""

CONDITIONS = ("<", "<=", ">", ">=", "and")


@dataclass(frozen=True)
class Group:
    """Leaves that belong together, such as an argument of the function; () is the shape of one number."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Scalars:
    """Operations on numbers, each after its operands.

    Leaves are numbered 0, 1, … group after group, then the operations in their order; constant c is numbered ~c.
    """

    groups: tuple[Group, ...]
    constants: tuple[float, ...]
    kinds: list[Kind]
    operands: list[tuple[int, ...]]
    outputs: tuple[int, ...]
    """The numbers that are asked for; the first is the one that is differentiated."""

    @property
    def n_leaves(self) -> int:
        """How many leaves there are, which is also the number of the first operation."""
        return sum(group.size for group in self.groups)

    def operations(self) -> Iterator[tuple[int, Kind, tuple[int, ...]]]:
        """Every operation with its number and the numbers of its operands."""
        for place, (kind, operands) in enumerate(zip(self.kinds, self.operands, strict=True), start=self.n_leaves):
            yield place, kind, operands

    def uses(self) -> list[int]:
        """How often each leaf and operation is used, as an operand or as an output."""
        counts = [0] * (self.n_leaves + len(self.kinds))
        for operands in self.operands:
            for operand in operands:
                if operand >= 0:
                    counts[operand] += 1
        for output in self.outputs:
            if output >= 0:
                counts[output] += 1
        return counts

    def __str__(self) -> str:
        names = [
            f"{group.name}[{place}]" if group.shape else group.name
            for group in self.groups
            for place in range(group.size)
        ]
        constants = [f"{number:g}" for number in self.constants]

        def name(number: int) -> str:
            if number < 0:
                return constants[~number]
            return names[number] if number < len(names) else f"v{number}"

        lines = [
            f"v{place} = {kind.name if isinstance(kind, Op) else kind}({', '.join(map(name, operands))})"
            for place, kind, operands in self.operations()
        ]
        return "\n".join([*lines, f"return {', '.join(map(name, self.outputs))}"])

    def without_unused(self) -> "Scalars":
        """The same without the operations that no output depends on."""
        first = self.n_leaves
        is_used = [False] * (first + len(self.kinds))
        for output in self.outputs:
            if output >= 0:
                is_used[output] = True
        for place in range(first + len(self.kinds) - 1, first - 1, -1):
            if is_used[place]:
                for operand in self.operands[place - first]:
                    if operand >= 0:
                        is_used[operand] = True
        if all(is_used[first:]):
            return self
        numbers = list(range(first))
        kinds: list[Kind] = []
        operands: list[tuple[int, ...]] = []
        for place, kind, each in self.operations():
            numbers.append(first + len(kinds))
            if is_used[place]:
                kinds.append(kind)
                operands.append(tuple([numbers[operand] if operand >= 0 else operand for operand in each]))
        outputs = tuple(numbers[output] if output >= 0 else output for output in self.outputs)
        return replace(self, kinds=kinds, operands=operands, outputs=outputs)


def read(outputs: Sequence[Any], groups: Sequence[tuple[Group, Sequence[Node]]], order: Sequence[Node]) -> Scalars:
    """The scalars of a recorded graph: its outputs, `Value`s or floats, and its leaves, group by group.

    order: every node that the outputs depend on, each after its operands. Leaves of no group are constants.
    """
    numbers: dict[int, int] = {}
    n_leaves = 0
    for _, leaves in groups:
        for leaf in leaves:
            numbers[id(leaf)] = n_leaves
            n_leaves += 1
    constants: dict[tuple[float, float], int] = {}  # by number and sign: 0.0 and -0.0 differ, a NaN is only itself

    def constant(number: float) -> int:
        key = (number, math.copysign(1.0, number))
        return ~constants.setdefault(key, len(constants))

    kinds: list[Kind] = []
    operands: list[tuple[int, ...]] = []
    for node in order:
        if id(node) in numbers:
            continue
        op = node.op
        if op is None:
            numbers[id(node)] = constant(node._data)
            continue
        left, right = node._left, node._right
        first = constant(node._left_partial) if left is None else numbers[id(left)]
        if op.arity == 1:
            operands.append((first,))
        else:
            operands.append((first, constant(node._right_partial) if right is None else numbers[id(right)]))
        numbers[id(node)] = n_leaves + len(kinds)
        kinds.append(op)
    found = tuple(numbers[id(each)] if isinstance(each, Node) else constant(float(each)) for each in outputs)
    return Scalars(
        tuple(group for group, _ in groups), tuple(number for number, _ in constants), kinds, operands, found
    )

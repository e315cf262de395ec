"""Products of two operands summed over axes: as matrix products where they are some, else as einsum."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from string import ascii_letters

from autograd_mini.compiled.program import Program, View

BATCH = -1
"""The axis of the samples, in lists of axes that are numbered from 0."""


@dataclass(frozen=True)
class Factor:
    """Rows of a buffer, as a view on the axes of a step: see `program.View`; and whether it has a number a sample."""

    buffer: str
    start: int
    strides: tuple[int, ...]
    has_batch: bool

    def axes(self) -> list[int]:
        """The axes on which its numbers differ."""
        found = [axis for axis, stride in enumerate(self.strides) if stride]
        return [*found, BATCH] if self.has_batch else found

    def at(self, axis: int, place: int) -> "Factor":
        """What it is at one place of an axis."""
        strides = (*self.strides[:axis], *self.strides[axis + 1 :])
        return Factor(self.buffer, self.start + place * self.strides[axis], strides, self.has_batch)


def factor_of(program: Program, operand: View) -> Factor:
    """An operand of a step, in a buffer that goes by its number."""
    return Factor(str(operand.buffer), operand.start, operand.strides, program.has_batch_axis(operand.buffer))


@dataclass(frozen=True)
class Plan:
    """How to compute a contraction: `function` of the two operands, each with these axes; None is an axis of size 1.

    Of the result of a matrix product the first `summed` axes are still to be summed over.
    """

    function: str
    left: tuple[int | None, ...]
    right: tuple[int | None, ...]
    result: tuple[int | None, ...]
    summed: int = 0

    def subscripts(self) -> str:
        """As einsum wants them."""

        def letters(axes: Sequence[int | None]) -> str:
            return "".join(ascii_letters[axis] if axis is not None and axis >= 0 else "Z" for axis in axes)

        return f"{letters(self.left)},{letters(self.right)}->{letters(self.result)}"


_MOST_SUMMED = 64
_SMALL = 32


def plan(left: Factor, right: Factor, wanted: Sequence[int], sizes: Sequence[int]) -> Plan:
    """For the axes that the result has: `wanted`. Every one of them is an axis of an operand."""
    in_left, in_right = left.axes(), right.axes()
    einsum = Plan("einsum", tuple(in_left), tuple(in_right), tuple(wanted))
    rows = [axis for axis in in_left if axis in wanted and axis not in in_right]
    columns = [axis for axis in in_right if axis in wanted and axis not in in_left]
    both = [axis for axis in in_left if axis in wanted and axis in in_right]
    inner = [axis for axis in in_left if axis not in wanted and axis in in_right]
    is_lone = any(axis not in wanted for axis in {*in_left} ^ {*in_right})
    if is_lone or BATCH in both or not inner:
        return einsum
    if not rows and not columns and not both:
        return Plan("dot", tuple(inner), tuple(inner), ()) if len(inner) == 1 else einsum
    row, column, middle = (_core(axes, sizes) for axes in (rows, columns, inner))
    stack = [*both, *(axis for axis in rows if axis != row), *(axis for axis in columns if axis != column)]
    summed = [axis for axis in inner if axis != middle]
    if BATCH in stack or BATCH in summed or _count(summed, sizes) > _MOST_SUMMED:
        return einsum
    core = _count([axis for axis in (row, column, middle) if axis is not None and axis != BATCH], sizes)
    if BATCH not in (row, column, middle) and core < _SMALL < _count(stack, sizes):
        return einsum

    def layers(axes: list[int]) -> list[int | None]:
        return [axis if axis in axes else None for axis in [*summed, *stack]]

    return Plan(
        "matmul",
        (*layers(in_left), row, middle),
        (*layers(in_right), middle, column),
        (*summed, *stack, row, column),
        len(summed),
    )


def _count(axes: Sequence[int], sizes: Sequence[int]) -> int:
    return prod(sizes[axis] for axis in axes)


def _core(axes: list[int], sizes: Sequence[int]) -> int | None:
    """The axis of a matrix: that of the samples, or the longest."""
    if not axes or BATCH in axes:
        return BATCH if axes else None
    return max(axes, key=lambda axis: (sizes[axis], axis))

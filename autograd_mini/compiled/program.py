"""A program: a short list of steps on arrays, each doing many scalar operations at once."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini.compiled.scalars import Group, Kind
from autograd_mini.ops import Op

Indices: TypeAlias = NDArray[np.int64]

N_ARY = ("sum", "dot", "logsumexp")


@dataclass(frozen=True)
class Rows:
    """An operand as a list: for each place of a step, lane by lane, a row of a buffer."""

    buffer: int
    rows: Indices


@dataclass(frozen=True)
class View:
    """An operand as a view: a first row, and how many rows further each of the step's axes leads; 0 repeats."""

    buffer: int
    start: int
    strides: tuple[int, ...]

    def rows(self, sizes: tuple[int, ...]) -> Indices:
        """The rows that it shows, for axes of these sizes; those that repeat are shown once."""
        found = np.array([self.start])
        for size, stride in zip(sizes, self.strides, strict=True):
            if stride:
                found = (found[:, None] + stride * np.arange(size)).ravel()
        return found


Operand: TypeAlias = Rows | View | float


@dataclass(frozen=True)
class Step:
    """One operation on many lanes.

    A row of the table works lane by lane; "sum", "dot" and "logsumexp" also go over the `inner` last axes; "gather"
    copies its operand together. The results lie side by side, from row `start` of the buffer of batched or of
    unbatched results on.
    """

    kind: Kind
    operands: tuple[Operand, ...]
    sizes: tuple[int, ...]
    inner: int
    is_batched: bool
    start: int

    @property
    def outer(self) -> tuple[int, ...]:
        """The sizes of the axes that the result has."""
        return self.sizes[: len(self.sizes) - self.inner]

    @property
    def lanes(self) -> int:
        """How many results it has."""
        return math.prod(self.outer)

    @property
    def result_strides(self) -> tuple[int, ...]:
        """How its result lies in its buffer: the last axis fastest; 0 for the inner axes."""
        return (*strides_of(self.outer), *(0,) * self.inner)


def strides_of(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Of an array whose last axis is the fastest."""
    strides = [1]
    for size in reversed(sizes[1:]):
        strides.append(strides[-1] * size)
    return tuple(reversed(strides)) if sizes else ()


@dataclass(frozen=True)
class Program:
    """Steps in the order in which they run, and what they run on.

    Buffers are numbered: the groups, then the constants, the unbatched and the batched results.
    """

    groups: tuple[Group, ...]
    is_batched: tuple[bool, ...]
    """Whether each group has a row of numbers, one a sample, in the place of each number."""
    constants: tuple[float, ...]
    steps: tuple[Step, ...]
    unbatched_rows: int
    batched_rows: int
    outputs: tuple[tuple[int, int], ...]
    """Buffer and row of each output."""

    @property
    def constants_buffer(self) -> int:
        """The number of the buffer of constants."""
        return len(self.groups)

    @property
    def unbatched_buffer(self) -> int:
        """The number of the buffer of results that are the same for every sample."""
        return len(self.groups) + 1

    @property
    def batched_buffer(self) -> int:
        """The number of the buffer of results that each sample has its own of."""
        return len(self.groups) + 2

    def buffer_of(self, step: Step) -> int:
        """Where its results are."""
        return self.batched_buffer if step.is_batched else self.unbatched_buffer

    def has_batch_axis(self, buffer: int) -> bool:
        """Whether the rows of the buffer have a number for each sample."""
        if buffer < len(self.groups):
            return self.is_batched[buffer]
        return buffer == self.batched_buffer

    def __str__(self) -> str:
        return "\n".join([*self._lines(), f"return {', '.join(self._row_name(*output) for output in self.outputs)}"])

    def _lines(self) -> Iterator[str]:
        for step in self.steps:
            result = self._interval(self.buffer_of(step), step.start, step.lanes)
            axes = " × ".join(map(str, step.outer)) or "1"
            inner = step.sizes[len(step.outer) :]
            kind = step.kind.name if isinstance(step.kind, Op) else step.kind
            over = f" over {' × '.join(map(str, inner))}" if inner else ""
            operands = ", ".join(self._operand(operand, step) for operand in step.operands)
            yield f"{result} = {kind}({operands}), {axes}{over}"

    def _operand(self, operand: Operand, step: Step) -> str:
        if isinstance(operand, Rows):
            return self._named_rows(operand.buffer, operand.rows)
        if isinstance(operand, View):
            rows = operand.rows(step.sizes)
            return self._named_rows(operand.buffer, rows)
        return f"{operand:g}"

    def _named_rows(self, buffer: int, rows: Indices) -> str:
        first, last = int(rows[0]), int(rows[-1])
        if len(rows) == 1:
            return self._row_name(buffer, first)
        steps = np.diff(rows)
        if (steps == steps[0]).all():
            return self._interval(buffer, first, last - first + 1) + (f"[::{steps[0]}]" if steps[0] != 1 else "")
        return f"{self._name(buffer)}[{first}…{last}]"

    def _interval(self, buffer: int, start: int, size: int) -> str:
        if buffer < len(self.groups) and size == self.groups[buffer].size:
            return self._name(buffer)
        return f"{self._name(buffer)}[{start}:{start + size}]"

    def _row_name(self, buffer: int, row: int) -> str:
        if buffer == self.constants_buffer:
            return f"{self.constants[row]:g}"
        if buffer < len(self.groups) and not self.groups[buffer].shape:
            return self._name(buffer)
        return f"{self._name(buffer)}[{row}]"

    def _name(self, buffer: int) -> str:
        return [*[group.name for group in self.groups], "constants", "shared", "results"][buffer]


def axis_sizes(cuts: list[int]) -> tuple[int, ...]:
    """The sizes of the axes between cuts; a cut is how many places the axes after it have: [1, 4, 12] is 3 × 4."""
    return tuple(outer // inner for inner, outer in pairwise(cuts))[::-1]

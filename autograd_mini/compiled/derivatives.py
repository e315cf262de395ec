"""Where the derivatives by results and leaves are, and which of them have been written."""

from collections.abc import Sequence

import numpy as np

from autograd_mini.compiled.arrays import Arrays
from autograd_mini.compiled.contraction import Factor
from autograd_mini.compiled.program import Indices, Operand, Program, Rows, Step, View
from autograd_mini.compiled.uses import Uses


class Derivatives:
    """The state of the way back: what is needed, what was written, and where.

    Where nothing was added to derivatives yet they are assigned. Results that are used once, by a sum, share the
    derivatives of that sum; and derivatives that are the same everywhere are a number, not an array.
    """

    def __init__(self, program: Program, wanted: Sequence[int], arrays: Arrays, uses: Uses) -> None:
        self.lines: list[str] = []
        self._program, self._wanted, self._arrays, self._uses = program, tuple(wanted), arrays, uses
        results = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}
        sizes = {**results, **{group: program.groups[group].size for group in wanted}}
        self._is_written = {buffer: np.zeros(size, dtype=bool) for buffer, size in sizes.items()}
        self._is_needed = {buffer: np.zeros(size, dtype=bool) for buffer, size in sizes.items()}
        self._homes = {buffer: np.arange(size) for buffer, size in results.items()}
        """Where the derivatives by a row are: those by results that share another's lie there."""
        self._lent: set[tuple[str, int]] = set()
        """Buffers and first rows of derivatives that several operands share."""
        self._uniform: dict[tuple[int, int], str] = {}
        """By buffer and first row, the derivative by all results of a step where it is one number."""
        for group in self._wanted:
            self._is_needed[group][:] = True
        for step in program.steps:
            is_needed = any(self.is_needed(operand, step) for operand in step.operands)
            self._is_needed[program.buffer_of(step)][step.start : step.start + step.lanes] = is_needed

    # What is needed

    def is_needed(self, operand: Operand, step: Step) -> bool:
        """Whether derivatives by some of the operand's numbers are."""
        if isinstance(operand, float):
            return False
        needed = self._is_needed.get(operand.buffer)
        return needed is not None and bool(needed[rows_of(operand, step)].any())

    # The first and the last

    def seed(self, buffer: int, row: int) -> None:
        """The derivative by the output is given."""
        if self._uses.is_lone_output(buffer, row):
            self._uniform[buffer, row] = "seed"
        elif buffer in self._is_written:
            self._is_written[buffer][row] = True
            self.lines.append(f"{self._arrays.gradient_name(buffer)}[{row}] = seed")

    def complete(self) -> None:
        """What no step has written of the gradient is 0."""
        for group in self._wanted:
            self.zero(group, np.arange(self._program.groups[group].size))

    # Those by a step's results

    def by_results(self, step: Step) -> Factor | str | None:
        """On all axes of the step; a number, as text, where they are the same everywhere; None where there are none."""
        buffer = self._program.buffer_of(step)
        rows = np.arange(step.start, step.start + step.lanes)
        if not self._is_needed[buffer][step.start]:
            return None
        number = self._uniform.get((buffer, step.start))
        if number is not None:
            return number
        if not self._is_written[buffer][rows].any():
            return None
        self.zero(buffer, rows)
        return self.by_operand(View(buffer, step.start, step.result_strides))

    # Those by an operand

    def by_operand(self, operand: View) -> Factor:
        """Where they are."""
        homes = self._homes.get(operand.buffer)
        start = operand.start if homes is None else int(homes[operand.start])
        has_batch = self._program.has_batch_axis(operand.buffer)
        return Factor(self._arrays.gradient_name(operand.buffer), start, operand.strides, has_batch)

    def is_first(self, operand: View, step: Step) -> bool:
        """Whether what comes now is assigned; if not, it is added to what is there, which is zeros at least."""
        rows = operand.rows(step.sizes)
        written = self._is_written[operand.buffer]
        if not written[rows].any():
            written[rows] = True
            return True
        self.zero(operand.buffer, np.unique(rows))
        return False

    def zero(self, buffer: int, rows: Indices) -> None:
        """Set those by rows, each given once, that nothing has written yet to 0."""
        rows = rows[~self._is_written[buffer][rows]]
        if not len(rows):
            return
        self._is_written[buffer][rows] = True
        ends = np.flatnonzero(np.diff(rows) != 1)
        for first, last in zip(rows[[0, *(ends + 1)]], rows[[*ends, -1]], strict=True):
            self.lines.append(f"{self._arrays.gradient_name(buffer)}[{first}:{last + 1}] = 0.0")

    def are_like(self, operand: Operand, upstream: Factor, step: Step) -> bool:
        """Whether those by an operand, which is used nowhere else, can lie where those by the result do."""
        return (
            isinstance(operand, View)
            and upstream.buffer == self._arrays.gradient_name(operand.buffer)
            and all(upstream.strides)
            and self._uses.is_only_use(operand, step)
        )

    def share(self, operand: View, upstream: Factor, step: Step) -> None:
        """Let those by an operand be those by the result: they are equal."""
        self._move(operand, upstream, step)
        self._is_written[operand.buffer][operand.rows(step.sizes)] = True
        if sum(self.is_needed(each, step) for each in step.operands) > 1:
            self._lent.add((upstream.buffer, upstream.start))

    def take_place(self, operand: View, upstream: Factor, step: Step) -> None:
        """Let those by an operand overwrite those by the result, which nothing else needs, if they can."""
        if (upstream.buffer, upstream.start) not in self._lent and self.are_like(operand, upstream, step):
            self._move(operand, upstream, step)

    def _move(self, operand: View, upstream: Factor, step: Step) -> None:
        rows = operand.rows(step.sizes)
        self._homes[operand.buffer][rows] = np.arange(upstream.start, upstream.start + len(rows))

    def set_number(self, operand: View, step: Step, number: str) -> bool:
        """Let those by an operand be one number, if it is results that are used nowhere else."""
        makers = self._uses.only_makers(operand, operand.rows(step.sizes))
        for maker in makers or ():
            self._uniform[operand.buffer, maker.start] = number
        return makers is not None


def rows_of(operand: View | Rows, step: Step) -> Indices:
    """The rows that the operand shows."""
    return operand.rows if isinstance(operand, Rows) else operand.rows(step.sizes)

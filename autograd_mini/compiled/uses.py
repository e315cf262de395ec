"""How the results of steps are used, and which of them may lie where an operand lay."""

import math

import numpy as np

from autograd_mini.compiled.program import Indices, Program, Rows, Step, View, strides_of
from autograd_mini.compiled.row_formulas import needs_operand, needs_result
from autograd_mini.ops import Op


class Uses:
    """How often each result is used, as an operand of a step or as an output, and by what."""

    def __init__(self, program: Program) -> None:
        sizes = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}
        self._counts = {buffer: np.zeros(size, dtype=int) for buffer, size in sizes.items()}
        self._makers = {(program.buffer_of(step), step.start): step for step in program.steps}
        self._starts = {buffer: np.zeros(size, dtype=int) for buffer, size in sizes.items()}
        """For each result, the first one of its step."""
        self._cut: set[tuple[int, int]] = set()
        """Results of which something reads a part, or more than these, by buffer and first row."""
        for step in program.steps:
            self._starts[program.buffer_of(step)][step.start : step.start + step.lanes] = step.start
        for step in program.steps:
            for operand in step.operands:
                if not isinstance(operand, float) and operand.buffer in sizes:
                    self._count(operand, step)
        for buffer, row in program.outputs:
            if buffer in sizes:
                self._counts[buffer][row] += 1
                self._cut.add((buffer, int(self._starts[buffer][row])))

    def _count(self, operand: View | Rows, step: Step) -> None:
        rows = np.unique(operand.rows if isinstance(operand, Rows) else operand.rows(step.sizes))
        self._counts[operand.buffer][rows] += 1
        starts = np.unique(self._starts[operand.buffer][rows])
        if len(starts) > 1 or isinstance(operand, Rows) or operand.start != starts[0]:
            self._cut.update((operand.buffer, int(start)) for start in starts)

    def is_lone_output(self, buffer: int, row: int) -> bool:
        """Whether that output is the one result of a step, and nothing uses it."""
        maker = self._makers.get((buffer, row))
        return maker is not None and maker.lanes == 1 and bool(self._counts[buffer][row] == 1)

    def is_only_use(self, operand: View, step: Step) -> bool:
        """Whether the operand is all results of a step, each once and in their order, and nothing else uses them."""
        maker = self._makers.get((operand.buffer, operand.start))
        sizes = tuple(size for size, stride in zip(step.sizes, operand.strides, strict=True) if stride)
        strides = tuple(stride for stride in operand.strides if stride)
        if maker is None or maker.lanes != math.prod(sizes) or strides != strides_of(sizes):
            return False
        counts = self._counts[operand.buffer][operand.start : operand.start + maker.lanes]
        return bool((counts == 1).all())

    def only_makers(self, operand: View, rows: Indices) -> list[Step] | None:
        """The steps whose results the operand is, all of each and each once, if nothing else uses any of them."""
        if operand.buffer not in self._counts or (self._counts[operand.buffer][rows] != 1).any():
            return None
        starts = np.unique(self._starts[operand.buffer][rows])
        makers = [self._makers[operand.buffer, int(start)] for start in starts]
        return makers if sum(maker.lanes for maker in makers) == len(np.unique(rows)) == len(rows) else None

    def shared_places(self, program: Program) -> dict[tuple[int, int], int]:
        """By buffer and first row, where the results of steps are that take the place of their operand.

        They do where nothing else uses the operand, and neither it nor they are read in parts; and where no derivative
        is computed from it.
        """
        homes: dict[tuple[int, int], int] = {}
        for step in program.steps:
            buffer = program.buffer_of(step)
            for side, operand in enumerate(step.operands):
                if (
                    isinstance(step.kind, Op)
                    and isinstance(operand, View)
                    and operand.buffer == buffer
                    and all(operand.strides)
                    and self.is_only_use(operand, step)
                    and (buffer, step.start) not in self._cut
                    and not needs_operand(step.kind, side)
                    and not needs_result(self._makers[buffer, operand.start].kind)
                ):
                    homes[buffer, step.start] = homes.get((buffer, operand.start), operand.start)
                    break
        return homes

"""From scalars to a program: operations of a level together, and operands as views."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from autograd_mini.compiled.program import (
    N_ARY,
    Indices,
    Operand,
    Program,
    Rows,
    Step,
    View,
    axis_sizes,
)
from autograd_mini.compiled.scalar_passes import Operation, earlier, rewritten
from autograd_mini.compiled.scalars import Kind, Scalars
from autograd_mini.ops import ADD, LOGADDEXP, MUL, POW


def lift(scalars: Scalars, is_batched: tuple[bool, ...]) -> Program:
    """The program of a recorded computation in which these groups have a number for each sample."""
    return views(levels(split(scalars, is_batched), is_batched))


def _sources(scalars: Scalars, is_batched: Sequence[bool]) -> list[int]:
    """The buffer, see `Program`, of every leaf, every operation and, from the end, every constant."""
    n_groups = len(scalars.groups)
    found = [place for place, group in enumerate(scalars.groups) for _ in range(group.size)]
    found += [n_groups + 1] * len(scalars.kinds) + [n_groups] * len(scalars.constants)
    batched = {n_groups + 2, *(place for place, is_it in enumerate(is_batched) if is_it)}
    for place, _, operands in scalars.operations():
        for operand in operands:
            if found[operand] in batched:
                found[place] = n_groups + 2
                break
    return found


def split(scalars: Scalars, is_batched: tuple[bool, ...]) -> Scalars:
    """Sums, dot products and log-sum-exps whose terms come from several buffers become one for each of them."""
    sources = _sources(scalars, is_batched)
    n_groups = len(scalars.groups)
    batched = {n_groups + 2, *(place for place, is_it in enumerate(is_batched) if is_it)}

    def rewrite(place: int, kind: Kind, operands: tuple[int, ...]) -> list[Operation]:
        if kind not in N_ARY:
            return [(kind, operands)]
        width = 2 if kind == "dot" else 1
        parts: dict[tuple[int, ...], list[int]] = {}
        for at in range(0, len(operands), width):
            term = operands[at : at + width]
            parts.setdefault(tuple([sources[operand] for operand in term]), []).extend(term)
        if len(parts) == 1:
            return [(kind, operands)]
        done: list[Operation] = []
        results: dict[int, list[int]] = {}  # by their buffers
        for buffers, part in parts.items():
            buffer = n_groups + (1 if batched.isdisjoint(buffers) else 2)
            results.setdefault(buffers[0] if len(part) == 1 else buffer, []).append(_joined(str(kind), part, done))
        total = "logsumexp" if kind == "logsumexp" else "sum"
        remaining = [_joined(total, each, done) for each in results.values()]
        while len(remaining) > 1:
            remaining = [_joined(total, remaining[:2], done), *remaining[2:]]
        return done

    return rewritten(scalars, rewrite)


def _joined(kind: str, terms: list[int], done: list[Operation]) -> int:
    """The operation of that kind on the terms, put behind those that are done; a term by itself needs none."""
    if len(terms) == 1:
        return terms[0]
    of_two: dict[str, Kind] = {"sum": ADD, "dot": MUL, "logsumexp": LOGADDEXP}
    done.append((of_two[kind] if len(terms) == 2 else kind, tuple(terms)))
    return earlier(len(done) - 1)


# Levels


def levels(scalars: Scalars, is_batched: tuple[bool, ...]) -> Program:
    """Operations that are alike and ready at the same time become one step; their results lie side by side."""
    sources = _sources(scalars, is_batched)
    n_groups = len(scalars.groups)
    groups = _alike(scalars, sources)
    rows = np.empty(len(sources), dtype=np.int64)
    at = 0
    for group in scalars.groups:
        rows[at : at + group.size] = np.arange(group.size)
        at += group.size
    if scalars.constants:
        rows[-len(scalars.constants) :] = np.arange(len(scalars.constants))[::-1]
    ends = {n_groups + 1: 0, n_groups + 2: 0}
    steps = []
    first = scalars.n_leaves
    for places in groups:
        kind = scalars.kinds[places[0] - first]
        buffer = sources[places[0]]
        start = ends[buffer]
        ends[buffer] += len(places)
        rows[places] = np.arange(start, ends[buffer])
        numbers = np.array([scalars.operands[place - first] for place in places])
        width = numbers.shape[1]
        terms = 1 if kind not in N_ARY else width // 2 if kind == "dot" else width
        columns = [numbers[:, side :: width // terms].ravel() for side in range(width // terms)]
        operands = tuple(
            _operand(scalars, sources[int(column[0])], rows[column], kind not in N_ARY) for column in columns
        )
        sizes = (len(places),) if kind not in N_ARY else (len(places), terms)
        steps.append(Step(kind, operands, sizes, len(sizes) - 1, buffer == n_groups + 2, start))
    return Program(
        groups=scalars.groups,
        is_batched=is_batched,
        constants=scalars.constants,
        steps=tuple(steps),
        unbatched_rows=ends[n_groups + 1],
        batched_rows=ends[n_groups + 2],
        outputs=tuple((sources[output], int(rows[output])) for output in scalars.outputs),
    )


def _operand(scalars: Scalars, buffer: int, rows: Indices, may_be_number: bool) -> Operand:
    if may_be_number and buffer == len(scalars.groups) and (rows == rows[0]).all():
        return scalars.constants[int(rows[0])]
    return Rows(buffer, rows)


def _alike(scalars: Scalars, sources: list[int]) -> list[list[int]]:
    """The operations that can be done together, in an order in which each comes after its operands."""
    level = [0] * len(sources)
    found: dict[Any, list[int]] = {}
    for place, kind, operands in scalars.operations():
        level[place] = 1 + max([level[operand] for operand in operands])
        if kind in N_ARY:
            alike: Any = len(operands), tuple([sources[operand] for operand in operands[:2]])
        else:
            alike = tuple([sources[operand] for operand in operands])
            if kind is POW and operands[1] < 0:
                alike = (*alike, operands[1])  # x² is a product, x³ is not
        key = level[place], id(kind) if not isinstance(kind, str) else kind, alike, sources[place]
        found.setdefault(key, []).append(place)
    return sorted(found.values(), key=lambda places: (level[places[0]], places[0]))


# Views


def views(program: Program) -> Program:
    """Operands become views. Where one is none, its step is cut into steps whose operands are, or it is gathered."""
    return _Views(program).run()


_CALL = 3.0
"""What a step costs, in microseconds, forward and backward, however small,"""
_GATHERED = 0.2
"""and what it costs to gather a row: some 64 samples of it."""


class _Views:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.constants = list(program.constants)
        self.steps: list[Step] = []
        self.ends = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}

    def run(self) -> Program:
        for step in self.program.steps:
            self._add(step)
        return replace(
            self.program,
            constants=tuple(self.constants),
            steps=tuple(self.steps),
            unbatched_rows=self.ends[self.program.unbatched_buffer],
            batched_rows=self.ends[self.program.batched_buffer],
        )

    def _add(self, step: Step) -> None:
        step = replace(step, operands=tuple(self._regular_constants(operand) for operand in step.operands))
        whole = _cuts(step)
        if whole is not None:
            self.steps.append(_viewed(step, whole))
            return
        gathered = sum(len(operand.rows) for operand in step.operands if isinstance(operand, Rows))
        pieces = _pieces(step, most=1 + int(gathered * _GATHERED / _CALL))
        if pieces is not None:
            self.steps += pieces
            return
        for operand in _irregular(step):
            step = self._gathered(step, operand)
        cuts = _cuts(step)
        assert cuts is not None  # nothing but rows that follow one another is left, and one other operand at most
        self.steps.append(_viewed(step, cuts))

    def _regular_constants(self, operand: Operand) -> Operand:
        """Constants lie where they are wanted: they cost nothing."""
        if not isinstance(operand, Rows) or operand.buffer != self.program.constants_buffer:
            return operand
        if _axes(operand.rows) is not None:
            return operand
        start = len(self.constants)
        self.constants += [self.constants[row] for row in operand.rows]
        return Rows(operand.buffer, np.arange(start, len(self.constants)))

    def _gathered(self, step: Step, operand: Rows) -> Step:
        """The step with a copy of that operand, which is put together before it."""
        is_batched = self.program.has_batch_axis(operand.buffer)
        buffer = self.program.batched_buffer if is_batched else self.program.unbatched_buffer
        start = self.ends[buffer]
        size = len(operand.rows)
        self.ends[buffer] += size
        self.steps.append(Step("gather", (operand,), (size,), 0, is_batched, start))
        copy = Rows(buffer, np.arange(start, start + size))
        return replace(step, operands=tuple(copy if each is operand else each for each in step.operands))


def _irregular(step: Step) -> list[Rows]:
    """Operands to gather, so that the others agree on axes."""
    irregular: list[Rows] = []
    regular: list[Rows] = []
    for operand in step.operands:
        if isinstance(operand, Rows) and not any(operand is each for each in [*irregular, *regular]):
            together = replace(step, operands=(*regular, operand))
            (irregular if _cuts(together) is None else regular).append(operand)
    return irregular


def _axes(rows: Indices) -> list[int] | None:
    """Where axes end, as how many places the axes after the cut have; None where no axes lead to these rows."""
    cuts = [1]
    while len(rows) > 1:
        stride = rows[1] - rows[0]
        breaks = np.flatnonzero(np.diff(rows) != stride)
        size = int(breaks[0]) + 1 if len(breaks) else len(rows)
        if len(rows) % size:
            return None
        table = rows.reshape(-1, size)
        if len(breaks) and (table - table[:, :1] != stride * np.arange(size)).any():
            return None
        cuts.append(cuts[-1] * size)
        rows = table[:, 0]
    return cuts


def _cuts(step: Step) -> list[int] | None:
    """The axes on which all operands of a step are views; None where there are none."""
    size = math.prod(step.sizes)
    cuts = {1, size, math.prod(step.sizes[len(step.outer) :])}
    for operand in step.operands:
        if isinstance(operand, Rows):
            axes = _axes(operand.rows)
            if axes is None:
                return None
            cuts.update(axes)
    found = sorted(cuts)
    return found if all(outer % inner == 0 for inner, outer in pairwise(found)) else None


def _viewed(step: Step, cuts: list[int]) -> Step:
    sizes = axis_sizes(cuts)
    terms = math.prod(step.sizes[len(step.outer) :])
    inner = cuts.index(terms)

    def view(operand: Operand) -> Operand:
        if not isinstance(operand, Rows):
            return operand
        first = int(operand.rows[0])
        return View(operand.buffer, first, tuple(int(operand.rows[cut]) - first for cut in reversed(cuts[:-1])))

    return replace(step, operands=tuple(map(view, step.operands)), sizes=sizes, inner=inner)


def _pieces(step: Step, most: int) -> list[Step] | None:
    """The step cut by its lanes, each piece as long as can be with views for operands; None for more than `most`."""
    pieces: list[Step] = []
    start = 0
    while start < step.lanes:
        longest = step.lanes - start
        size = 1
        cuts = _cuts(_piece(step, start, size))
        if cuts is None or len(pieces) == most:
            return None
        # Doubling, then halving.
        above = longest + 1
        while size < longest and above > size + 1:
            tried = min(2 * size, longest) if above > longest else (size + above) // 2
            found = _cuts(_piece(step, start, tried))
            if found is None:
                above = tried
            else:
                size, cuts = tried, found
        pieces.append(_viewed(_piece(step, start, size), cuts))
        start += size
    return pieces


def _piece(step: Step, start: int, size: int) -> Step:
    """These lanes of the step."""
    terms = math.prod(step.sizes[len(step.outer) :])

    def part(operand: Operand) -> Operand:
        if not isinstance(operand, Rows):
            return operand
        return Rows(operand.buffer, operand.rows[start * terms : (start + size) * terms])

    operands = tuple(part(operand) for operand in step.operands)
    return replace(step, operands=operands, sizes=(size, *step.sizes[1:]), start=step.start + start)

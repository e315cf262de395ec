"""A program and its reverse as NumPy source code: straight-line statements that write into buffers that are there."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd_mini.compiled.contraction import BATCH, Factor, plan
from autograd_mini.compiled.formulas import FUNCTIONS, Writer, simplified
from autograd_mini.compiled.program import Program, Rows, Step, View, strides_of
from autograd_mini.compiled.scalars import CONDITIONS, Kind
from autograd_mini.ops import MUL, Op, arithmetic
from autograd_mini.source_code import Expression, NotWritableError, rules

FORWARD: dict[str, tuple[str, ...]] = {
    "relu": ("maximum({x}, 0.0, out={out})",),
    # Below -709.8 the exponential is infinite, and this 0: there the row has what is left of doubles, below 1e-308.
    "sigmoid": ("negative({x}, {out})", "exp({out}, {out})", "add(1.0, {out}, {out})", "divide(1.0, {out}, {out})"),
    **{function: (f"{function}({{x}}, {{y}}, out={{out}})",) for function in ("maximum", "minimum", "logaddexp")},
}
"""Rows for which NumPy has a function, or a shorter way than their own rule, by name. Tests hold them to their rows."""

PARTIALS: dict[str, tuple[str, ...]] = {
    "relu": ("sign({out}, {target})",),  # 1, 0 or NaN
    "sigmoid": (
        "multiply(0.5, {x}, {target})",
        "cosh({target}, {target})",
        "divide(0.5, {target}, {target})",
        "multiply({target}, {target}, {target})",
    ),
}
"""The same of derivatives."""

DIVISORS: dict[str, tuple[str, ...]] = {"tanh": ("cosh({x}, {target})", "multiply({target}, {target}, {target})")}
"""Derivatives that are 1 over something, which costs less than they do: by the row's name, that.

The square is infinite beyond 355, and the derivative 0: there the row has what is left of doubles, below 1e-307.
"""


@dataclass(frozen=True)
class Source:
    """Source code, and the objects that it names."""

    text: str
    objects: dict[str, Any]
    work_rows: tuple[int, int]
    """How many rows the working arrays have, of shared numbers and of numbers a sample;"""
    work_arrays: int
    """and how many there are of each kind."""


@lru_cache(maxsize=256)
def _rules(op: Op) -> tuple[Expression, list[Expression]] | None:
    try:
        return rules(op, arithmetic, "out")
    except NotWritableError:
        return None


class NumpySource:
    """Writes the source of a program; `wanted` are the groups to differentiate by."""

    def __init__(self, program: Program, wanted: Sequence[int]) -> None:
        self.program = program
        self.wanted = tuple(wanted)
        self.names = [*_identifiers([group.name for group in program.groups]), "constants", "shared", "results"]
        self.setup: list[str] = []
        self.binds: list[list[str]] = [[] for _ in program.groups]
        self.forward: list[str] = []
        self.backward: list[str] = []
        self.objects: dict[str, Any] = {}
        self._views: dict[Any, str] = {}
        self._counts: Counter[str] = Counter()
        self._work_arrays = 0
        self._in_use = 0
        self._weights: dict[int, Factor] = {}
        self._extra = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}
        self._step = program.steps[0] if program.steps else None
        self.uses = Uses(program)
        self._homes = self._shared_places()

    def write(self) -> Source:
        program = self.program
        for place, step in enumerate(program.steps):
            self._begin(step)
            self._forward(place, step)
        _Reverse(self).write()
        lines = [f"def prepare({', '.join(self._parameters())}):"]
        lines += [f"    {line}" for line in self.setup]
        for group, bind in enumerate(self.binds):
            bound = [line.partition(" = ")[0] for line in bind]
            lines += [f"    {variable} = None" for variable in bound]
            lines += ["", f"    def bind_{self.names[group]}({self.names[group]}):"]
            lines += [f"        nonlocal {', '.join(bound)}"] if bound else []
            lines += [f"        {line}" for line in bind] or ["        pass"]
        lines += ["", "    def forward():", *[f"        {line}" for line in self.forward or ["pass"]]]
        lines += ["", "    def backward(seed):", *[f"        {line}" for line in self.backward or ["pass"]]]
        binds = ", ".join(f"bind_{self.names[group]}" for group in range(len(program.groups)))
        lines += ["", f"    return forward, backward, [{binds}]", ""]
        largest = max([1, *(math.prod(step.sizes) for step in program.steps)])
        largest_batched = max([1, *(math.prod(step.sizes) for step in program.steps if step.is_batched)])
        return Source("\n".join(lines), self.objects, (largest, largest_batched), self._work_arrays)

    def rows(self, buffer: int) -> int:
        """How many rows a buffer of results has, with what is kept for the way back."""
        return self._extra[buffer]

    def _parameters(self) -> list[str]:
        results = ["constants", "shared", "results", "work", "masks", "batch", "ones"]
        return [*results, "d_shared", "d_results", *[f"d_{self.names[group]}" for group in self.wanted]]

    # Where results are: in the place of an operand that nothing needs any more, where there is one

    def _shared_places(self) -> dict[tuple[int, int], int]:
        """By buffer and first row, where the results of steps are that take the place of their operand."""
        homes: dict[tuple[int, int], int] = {}
        for step in self.program.steps:
            buffer = self.program.buffer_of(step)
            for side, operand in enumerate(step.operands):
                if (
                    isinstance(step.kind, Op)
                    and isinstance(operand, View)
                    and operand.buffer == buffer
                    and all(operand.strides)
                    and self.uses.is_only_use(operand, step)
                    and self.uses.is_one_piece(buffer, step)
                    and not _needs_operand(step.kind, side)
                    and not _needs_result(self.uses.maker(operand).kind)
                ):
                    homes[buffer, step.start] = homes.get((buffer, operand.start), operand.start)
                    break
        return homes

    def home(self, buffer: int, row: int) -> int:
        """Where the numbers of a row are."""
        return self._homes.get((buffer, row), row)

    # Names of arrays

    def factor(self, operand: View, has_batch: bool | None = None) -> Factor:
        """An operand's numbers."""
        has_batch = self.program.has_batch_axis(operand.buffer) if has_batch is None else has_batch
        return Factor(self.names[operand.buffer], self.home(operand.buffer, operand.start), operand.strides, has_batch)

    def view(self, factor: Factor, sizes: Sequence[int], axes: Sequence[int | None] | None = None) -> str:
        """The name of a view with these axes, all of the step's unless given; an axis that it lacks has size 1."""
        if axes is None:
            axes = [*range(len(sizes)), *([BATCH] if self._is_batched else [])]
        batch = ""
        if axes and BATCH in axes and axes[-1] != BATCH:
            return self._transposed(factor, sizes, axes)
        shape = []
        for axis in axes:
            if axis == BATCH:
                batch = "each" if factor.has_batch else "same"
            elif axis is None or not factor.strides[axis]:
                shape.append((1, 0))
            else:
                shape.append((sizes[axis], factor.strides[axis]))
        if batch == "" and factor.has_batch:
            raise AssertionError("a view without the axis of its samples")
        return self._named(factor, tuple(shape), batch)

    def _transposed(self, factor: Factor, sizes: Sequence[int], axes: Sequence[int | None]) -> str:
        """Where the axis of the samples is not the last one: the view of NumPy's transpose."""
        order = [axis for axis in axes if axis != BATCH]
        inner = self.view(factor, sizes, [*order, BATCH])
        places = list(range(len(order)))
        places.insert(list(axes).index(BATCH), len(order))
        key = inner, tuple(places)
        if key not in self._views:
            self._define(key, factor.buffer, f"{inner}.transpose({tuple(places)})")
        return self._views[key]

    def _named(self, factor: Factor, axes: tuple[tuple[int, int], ...], batch: str) -> str:
        key = factor.buffer, factor.start, axes, batch
        if key in self._views:
            return self._views[key]
        formula = _sliced(factor, axes, batch)
        self._define(key, factor.buffer, formula)
        return self._views[key]

    def _define(self, key: Any, buffer: str, formula: str) -> None:
        prefix = buffer if buffer.isidentifier() else buffer.partition("[")[0]
        self._counts[prefix] += 1
        variable = f"{prefix}_{self._counts[prefix]}"
        self._views[key] = variable
        lines = self.binds[self.names.index(buffer)] if buffer in self.names[: len(self.binds)] else self.setup
        lines.append(f"{variable} = {formula}")

    def _begin(self, step: Step) -> None:
        self._step = step
        self._in_use = 0

    @property
    def _is_batched(self) -> bool:
        return self._step is not None and self._step.is_batched

    def work(self, sizes: tuple[int, ...], is_batched: bool, is_condition: bool = False) -> Factor:
        """An array to work in, for the step that is being written."""
        self._in_use += 1
        self._work_arrays = max(self._work_arrays, self._in_use)
        kind = "masks" if is_condition else "work"
        buffer = f"{kind}[{int(is_batched)}][{self._in_use - 1}]"
        return Factor(buffer, 0, strides_of(sizes), is_batched)

    def result(self, step: Step) -> Factor:
        """Where a step's results are, on its outer axes."""
        buffer = self.program.buffer_of(step)
        return Factor(self.names[buffer], self.home(buffer, step.start), strides_of(step.outer), step.is_batched)

    def add_object(self, prefix: str, thing: Any) -> str:
        """The name by which the source knows it."""
        variable = f"{prefix}_{len(self.objects)}"
        self.objects[variable] = thing
        return variable

    # Forward

    def _forward(self, place: int, step: Step) -> None:
        if step.kind == "gather":
            self._gather(step)
        elif step.kind == "sum":
            self._sum(step)
        elif step.kind == "dot":
            left, right = (self._operand_factor(operand) for operand in step.operands)
            self.contract(self.forward, left, right, self.result_on_all(step), step, is_first=True)
        elif step.kind == "logsumexp":
            self._logsumexp(place, step)
        else:
            self._map(step)

    def result_on_all(self, step: Step) -> Factor:
        """A step's results, on all of its axes: over the inner ones they repeat."""
        return replace(self.result(step), strides=step.result_strides)

    def _operand_factor(self, operand: Any) -> Factor:
        assert isinstance(operand, View)
        return self.factor(operand)

    def _gather(self, step: Step) -> None:
        (operand,) = step.operands
        assert isinstance(operand, Rows)
        rows = self.add_object("rows", operand.rows)
        source = Factor(self.names[operand.buffer], 0, (1,), step.is_batched)
        size = (
            self.program.groups[operand.buffer].size
            if operand.buffer < len(self.program.groups)
            else int(operand.rows.max()) + 1
        )
        everything = self.view(source, (size,))
        self.forward.append(f'take({everything}, {rows}, 0, {self.view(self.result(step), step.outer)}, "clip")')

    def _sum(self, step: Step) -> None:
        operand = self._operand_factor(step.operands[0])
        inner = tuple(range(len(step.outer), len(step.sizes)))
        full = self._full_view(operand, step)
        self.forward.append(
            f"add.reduce({full}, {_axes_text(inner)}, None, {self.view(self.result(step), step.outer)})"
        )

    def _full_view(self, factor: Factor, step: Step) -> str:
        """A view on all axes of the step, also those over which the numbers repeat."""
        batch = "" if not step.is_batched else "each" if factor.has_batch else "same"
        return self._named(factor, tuple(zip(step.sizes, factor.strides, strict=True)), batch)

    def _logsumexp(self, place: int, step: Step) -> None:
        buffer = self.program.buffer_of(step)
        weights = Factor(self.names[buffer], self._extra[buffer], strides_of(step.sizes), step.is_batched)
        self._extra[buffer] += math.prod(step.sizes)
        self._weights[place] = weights
        inner = tuple(range(len(step.outer), len(step.sizes)))
        operand = self._full_view(self._operand_factor(step.operands[0]), step)
        kept = self._full_view(weights, step)
        self.forward.append(f"logsumexp({operand}, {inner}, {kept}, {self.view(self.result(step), step.outer)})")

    def weights(self, place: int) -> Factor:
        """The derivatives of a log-sum-exp by its terms."""
        return self._weights[place]

    def _map(self, step: Step) -> None:
        names = self.operand_texts(step)
        target = self.view(self.result(step), step.outer)
        if isinstance(step.kind, str):
            self._conditional(step, names, target)
        elif step.kind.name in FORWARD:
            self.forward += [line.format(out=target, **names) for line in FORWARD[step.kind.name]]
        elif (found := _rules(step.kind)) is None:
            rule = self.add_object("rule", step.kind.forward)
            self.forward.append(f"copyto({target}, {rule}(NUMPY, {', '.join(names.values())}))")
        else:
            self.formula(self.forward, simplified(found[0], known(step)), names, step, target)

    def _conditional(self, step: Step, names: dict[str, str], target: str) -> None:
        texts = list(names.values())
        if step.kind == "and":
            self.forward.append(f"multiply({', '.join(texts)}, {target})")
        elif step.kind in CONDITIONS:
            self.forward.append(f"{FUNCTIONS[str(step.kind)]}({', '.join(texts)}, {target})")
        else:
            mask = self.view(self.work(step.outer, step.is_batched, is_condition=True), step.outer)
            self.forward.append(f"greater({texts[0]}, 0.5, {mask})")
            self.forward.append(f"copyto({target}, {texts[2]})")
            self.forward.append(f"copyto({target}, {texts[1]}, where={mask})")

    def operand_texts(self, step: Step) -> dict[str, str]:
        """The operands of a step that goes lane by lane, by their names in the formulas of rows."""
        texts = [
            self.view(self.factor(operand), step.outer) if isinstance(operand, View) else repr(operand)
            for operand in step.operands
        ]
        return dict(zip("xyz", texts, strict=False))

    def formula(self, lines: list[str], formula: Expression, names: dict[str, str], step: Step, target: str) -> None:
        """Statements for a simplified formula."""

        def new_array(is_condition: bool) -> str:
            return self.view(self.work(step.outer, step.is_batched, is_condition), step.outer)

        writer = Writer(names, new_array)
        writer.write(formula, target)
        lines += writer.lines

    # Products that are summed

    def contract(
        self, lines: list[str], left: Factor, right: Factor, target: Factor, step: Step, is_first: bool
    ) -> None:
        """target = Σ left · right over the axes that the target lacks, or target += …"""
        sizes = step.sizes
        wanted = target.axes()
        if BATCH in wanted and BATCH not in right.axes():
            left, right = right, left  # a matrix times samples, so that these are its columns
        available = {*left.axes(), *right.axes()}
        found = plan(left, right, [axis for axis in wanted if axis in available], sizes)
        times = math.prod(size for axis, size in enumerate(sizes) if axis not in available and axis not in wanted)
        is_spread = not available.issuperset(wanted)
        is_direct = is_first and not found.summed and not is_spread
        own = target if is_direct else self.fresh(found.result, sizes)
        out = self.view(own, sizes, found.result)
        operands = f"{self.view(left, sizes, found.left)}, {self.view(right, sizes, found.right)}"
        if found.function == "einsum":
            lines.append(f'einsum("{found.subscripts()}", {operands}, out={out})')
        else:
            lines.append(f"{found.function}({operands}, {out})")
        rest = found.result[found.summed :]
        if found.summed:
            own = target if is_first and not is_spread else self.fresh(rest, sizes)
            inner, out = out, self.view(own, sizes, rest)
            lines.append(f"add.reduce({inner}, {_axes_text(tuple(range(found.summed)))}, None, {out})")
        if times > 1:
            lines.append(f"multiply({out}, {times}, {out})")
        if own is target:
            return
        axes = wanted if is_spread else rest
        out, destination = self.view(own, sizes, axes), self.view(target, sizes, axes)
        lines.append(f"copyto({destination}, {out})" if is_first else f"add({destination}, {out}, {destination})")

    def fresh(self, axes: Sequence[int | None], sizes: Sequence[int]) -> Factor:
        """An array to work in with these axes, the last one fastest."""
        own = [axis for axis in axes if axis is not None and axis != BATCH]
        strides = dict(zip(own, strides_of(tuple(sizes[axis] for axis in own)), strict=True))
        factor = self.work((1,), BATCH in axes)
        return replace(factor, strides=tuple(strides.get(axis, 0) for axis in range(len(sizes))))

    def fresh_like(self, target: Factor, step: Step) -> Factor:
        """An array to work in with the axes of the target."""
        return self.fresh(target.axes(), step.sizes)


class _Reverse:
    """The steps in reverse: each passes the derivatives by its results on to its operands.

    Where nothing was added to derivatives yet they are assigned. Results that are used once, by a sum, share the
    derivatives of that sum; and derivatives that are the same everywhere are a number, not an array.
    """

    def __init__(self, source: NumpySource) -> None:
        self.source = source
        self.program = program = source.program
        self.lines = source.backward
        self.buffers = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}
        sizes = {**self.buffers, **{group: program.groups[group].size for group in source.wanted}}
        self.is_written = {buffer: np.zeros(size, dtype=bool) for buffer, size in sizes.items()}
        self.is_needed = {buffer: np.zeros(size, dtype=bool) for buffer, size in sizes.items()}
        self.home = {buffer: np.arange(size) for buffer, size in self.buffers.items()}
        """Where the derivatives by a row are: those by results that share another's lie there."""
        self._lent: set[int] = set()
        """First rows of derivatives that several operands share."""
        self.uniform: dict[tuple[int, int], str] = {}
        """By buffer and first row, the derivative by all results of a step where it is one number."""

    def write(self) -> None:
        program = self.program
        for group in self.source.wanted:
            self.is_needed[group][:] = True
        for step in program.steps:
            rows = slice(step.start, step.start + step.lanes)
            self.is_needed[program.buffer_of(step)][rows] = any(
                self._needs(access, step) for access in self._accesses(step)
            )
        self._seed(*program.outputs[0])
        for place in range(len(program.steps) - 1, -1, -1):
            step = program.steps[place]
            self.source._begin(step)
            if self.is_needed[program.buffer_of(step)][step.start]:
                self._reverse(place, step)
        for group in self.source.wanted:
            self._zero(group, np.arange(program.groups[group].size))

    def _accesses(self, step: Step) -> list[View | Rows]:
        return [operand for operand in step.operands if not isinstance(operand, float)]

    def _rows(self, access: View | Rows, step: Step) -> NDArray[np.int64]:
        return access.rows if isinstance(access, Rows) else access.rows(step.sizes)

    def _needs(self, access: View | Rows, step: Step) -> bool:
        """Whether derivatives by some of the operand's numbers are needed."""
        needed = self.is_needed.get(access.buffer)
        return needed is not None and bool(needed[self._rows(access, step)].any())

    def _seed(self, buffer: int, row: int) -> None:
        if buffer in self.source.wanted:
            self.is_written[buffer][row] = True
            self.lines.append(f"{self._gradient_name(buffer)}[{row}] = seed")
        if buffer not in self.buffers:
            return
        if self.source.uses.is_lone_output(buffer, row):
            self.uniform[buffer, row] = "seed"
            return
        self.is_written[buffer][row] = True
        self.lines.append(f"{self._gradient_name(buffer)}[{row}] = seed")

    def _gradient_name(self, buffer: int) -> str:
        return f"d_{self.source.names[buffer]}"

    # Where derivatives are

    def _gradient(self, access: View) -> Factor:
        start = int(self.home[access.buffer][access.start]) if access.buffer in self.home else access.start
        has_batch = self.program.has_batch_axis(access.buffer)
        return Factor(self._gradient_name(access.buffer), start, access.strides, has_batch)

    def _zero(self, buffer: int, rows: NDArray[np.int64]) -> None:
        """Set the derivatives by rows that nothing has written yet to 0."""
        rows = rows[~self.is_written[buffer][rows]]
        self.is_written[buffer][rows] = True
        if not len(rows):
            return
        at = np.unique(self.home[buffer][rows] if buffer in self.home else rows)
        ends = np.flatnonzero(np.diff(at) != 1)
        for first, last in zip(at[[0, *(ends + 1)]], at[[*ends, -1]], strict=True):
            self.lines.append(f"{self._gradient_name(buffer)}[{first}:{last + 1}] = 0.0")

    def _is_first(self, access: View, step: Step) -> bool:
        """Whether what comes now is assigned; if not, it is added to what is there, which is zeros at least."""
        rows = self._rows(access, step)
        written = self.is_written[access.buffer]
        if not written[rows].any():
            written[rows] = True
            return True
        self._zero(access.buffer, np.unique(rows))
        return False

    # The rules

    def _reverse(self, place: int, step: Step) -> None:
        buffer = self.program.buffer_of(step)
        number = self.uniform.get((buffer, step.start))
        upstream: Factor | str
        if number is not None:
            upstream = number
        else:
            rows = np.arange(step.start, step.start + step.lanes)
            if not self.is_written[buffer][rows].any():
                return
            self._zero(buffer, rows)
            upstream = self._gradient(View(buffer, step.start, step.result_strides))
        if step.kind == "gather":
            self._scatter(step, upstream)
        elif step.kind == "dot":
            self._dot(step, upstream)
        elif step.kind == "sum":
            (operand,) = step.operands
            self._pass_on(step, operand, upstream, None)
        elif step.kind == "logsumexp":
            self._pass_on(step, step.operands[0], upstream, self.source.weights(place))
        elif isinstance(step.kind, str):
            self._where(step, upstream)
        else:
            self._map(step, step.kind, upstream)

    def _scatter(self, step: Step, upstream: Factor | str) -> None:
        (operand,) = step.operands
        assert isinstance(operand, Rows)
        self._zero(operand.buffer, np.unique(operand.rows))
        scatter = self.source.add_object("scatter", operand.rows)
        array = self.source.view(self._array(upstream, step), step.sizes)
        homes = self.home.get(operand.buffer)
        if homes is not None:
            self.source.objects[scatter] = homes[operand.rows]
        self.lines.append(f"{scatter}({self._gradient_name(operand.buffer)}, {array})")

    def _array(self, upstream: Factor | str, step: Step) -> Factor:
        """Derivatives that are a number as an array."""
        if isinstance(upstream, Factor):
            return upstream
        array = self.source.work(step.outer, step.is_batched)
        self.lines.append(f"copyto({self.source.view(array, step.outer)}, {upstream})")
        return replace(array, strides=step.result_strides)

    def _dot(self, step: Step, upstream: Factor | str) -> None:
        left, right = step.operands
        assert isinstance(left, View)
        assert isinstance(right, View)
        if left == right:
            self._pass_on(step, left, upstream, self.source.factor(right), 2.0)
            return
        self._pass_on(step, left, upstream, self.source.factor(right))
        self._pass_on(step, right, upstream, self.source.factor(left))

    def _where(self, step: Step, upstream: Factor | str) -> None:
        if step.kind != "where":
            return
        names = self.source.operand_texts(step)
        for side, operand in enumerate(step.operands[1:]):
            if not isinstance(operand, View) or not self._needs(operand, step):
                continue
            mask = self.source.view(self.source.work(step.outer, step.is_batched, True), step.outer)
            chosen = self.source.work(step.outer, step.is_batched)
            view = self.source.view(chosen, step.outer)
            array = upstream if isinstance(upstream, str) else self.source.view(upstream, step.outer)
            self.lines.append(f"{('greater', 'less_equal')[side]}({names['x']}, 0.5, {mask})")
            self.lines.append(f"copyto({view}, 0.0)")
            self.lines.append(f"copyto({view}, {array}, where={mask})")
            self._pass_on(step, operand, chosen, None)

    def _map(self, step: Step, op: Op, upstream: Factor | str) -> None:
        left = step.operands[0]
        if op is MUL and left == step.operands[1] and isinstance(left, View):
            self._pass_on(step, left, upstream, self.source.factor(left), 2.0)
            return
        names = self.source.operand_texts(step)
        names["out"] = self.source.view(self.source.result(step), step.outer)
        sides = [side for side, each in enumerate(step.operands) if isinstance(each, View) and self._needs(each, step)]
        if isinstance(upstream, Factor):  # what may overwrite the derivatives by the result comes last
            sides.sort(key=lambda side: self._is_like(step.operands[side], upstream, step))
        for side in sides:
            slope, number = self._partial(step, op, side, names)
            divides = op.name in DIVISORS
            self._pass_on(
                step, step.operands[side], upstream, slope, number, is_last=side == sides[-1], divides=divides
            )

    def _partial(self, step: Step, op: Op, side: int, names: dict[str, str]) -> tuple[Factor | None, float]:
        """The derivative of an operation by an operand, as an array, if any, and a number to multiply it by."""
        source = self.source
        found = _rules(op)
        formula = None if found is None else simplified(found[1][side], known(step))
        number = 1.0
        if formula is not None and formula.kind == "number":
            return None, _content(formula)
        is_own = op.name in PARTIALS or op.name in DIVISORS
        if not is_own and formula is not None and formula.kind == "*" and formula.operands[0].kind == "number":
            number, formula = _content(formula.operands[0]), formula.operands[1]
        if formula is not None and formula.kind == "name":
            return self._named(step, str(formula.content)), number
        array = source.work(step.outer, step.is_batched)
        target = source.view(array, step.outer)
        if formula is None:
            rule = source.add_object("rule", op.partials[side])
            operands = ", ".join(names[each] for each in ("out", "x", "y")[: op.arity + 1])
            self.lines.append(f"copyto({target}, {rule}(NUMPY, {operands}))")
        elif is_own:
            lines = PARTIALS[op.name] if op.name in PARTIALS else DIVISORS[op.name]
            self.lines += [line.format(target=target, **names) for line in lines]
        else:
            source.formula(self.lines, formula, names, step, target)
        return array, number

    def _named(self, step: Step, letter: str) -> Factor:
        if letter == "out":
            return self.source.result(step)
        operand = step.operands["xy".index(letter)]
        assert isinstance(operand, View)  # numbers were put into the formula
        return self.source.factor(operand)

    # Passing on

    def _pass_on(
        self,
        step: Step,
        operand: Any,
        upstream: Factor | str,
        slope: Factor | None,
        number: float = 1.0,
        is_last: bool = True,
        divides: bool = False,
    ) -> None:
        """Add upstream · slope · number to the derivatives by an operand, summed over what it is repeated on.

        is_last: whether it is the last operand that needs upstream; divides: whether slope is one over the slope.
        """
        if not isinstance(operand, View) or not self._needs(operand, step):
            return
        is_whole = all(operand.strides) and (not step.is_batched or self.program.has_batch_axis(operand.buffer))
        numbers = [] if number == 1.0 else [repr(number)]
        if isinstance(upstream, str):
            numbers.insert(0, upstream)
            if slope is None:
                self._add_number(step, operand, numbers)
                return
        factors = [each for each in (upstream, slope) if isinstance(each, Factor)]
        if divides and (numbers or not is_whole):
            assert slope is not None
            view = self.source.view(slope, step.sizes)
            self.lines.append(f"divide(1.0, {view}, {view})")
            divides = False
        if is_whole and isinstance(upstream, Factor):
            if not numbers and len(factors) == 1 and self._shares(operand, upstream, step):
                return
            if is_last and upstream.start not in self._lent:
                self._takes_place(operand, upstream, step)
        for piece, target, parts in self._injective(step, operand, factors):
            self._accumulate(piece, target, parts, numbers, "divide" if divides else "multiply")

    def _shares(self, operand: View, upstream: Factor, step: Step) -> bool:
        """Let the derivatives by the operand be those by the result, if nothing else is added to them."""
        if not self._is_like(operand, upstream, step):
            return False
        rows = self._rows(operand, step)
        self.home[operand.buffer][rows] = np.arange(upstream.start, upstream.start + len(rows))
        self.is_written[operand.buffer][rows] = True
        if len([each for each in self._accesses(step) if self._needs(each, step)]) > 1:
            self._lent.add(upstream.start)
        return True

    def _is_like(self, operand: Any, upstream: Factor, step: Step) -> bool:
        """Whether the derivatives by an operand, which is used nowhere else, can lie where those by the result do."""
        is_there = upstream.buffer == self._gradient_name(operand.buffer) and all(upstream.strides)
        return is_there and self.source.uses.is_only_use(operand, step)

    def _takes_place(self, operand: View, upstream: Factor, step: Step) -> None:
        """Let the derivatives by an operand overwrite those by the result, if they can."""
        if self._is_like(operand, upstream, step):
            rows = self._rows(operand, step)
            self.home[operand.buffer][rows] = np.arange(upstream.start, upstream.start + len(rows))

    def _add_number(self, step: Step, operand: View, numbers: list[str]) -> None:
        """Add the product of numbers, which is the same for all, to the derivatives by an operand."""
        times = math.prod(size for size, stride in zip(step.sizes, operand.strides, strict=True) if not stride)
        is_summed = step.is_batched and not self.program.has_batch_axis(operand.buffer)
        number = " * ".join([*numbers, *[str(times)] * (times > 1), *["batch"] * is_summed])
        makers = self.source.uses.only_makers(operand, self._rows(operand, step))
        if makers is not None:
            for maker in makers:
                self.uniform[operand.buffer, maker.start] = number
            return
        for piece, target, _ in self._injective(step, operand, []):
            is_first = self._is_first(target, piece)
            view = self.source.view(self._gradient(target), piece.sizes)
            self.lines.append(f"copyto({view}, {number})" if is_first else f"add({view}, {number}, {view})")

    def _injective(self, step: Step, operand: View, factors: list[Factor]) -> list[tuple[Step, View, list[Factor]]]:
        """The operand as views of which none shows a row twice, such as the windows of a convolution one by one."""
        rows = self._rows(operand, step)
        if len(np.unique(rows)) == len(rows):
            return [(step, operand, factors)]
        axis = min((each for each, stride in enumerate(operand.strides) if stride), key=lambda each: step.sizes[each])
        found = []
        for place in range(step.sizes[axis]):
            part = replace(step, sizes=_without(step.sizes, axis), inner=step.inner - (axis >= len(step.outer)))
            start = operand.start + place * operand.strides[axis]
            shown = View(operand.buffer, start, _without(operand.strides, axis))
            found += self._injective(part, shown, [factor.at(axis, place) for factor in factors])
        return found

    def _accumulate(self, step: Step, operand: View, factors: list[Factor], numbers: list[str], function: str) -> None:
        """Add the product of factors and numbers to the derivatives by an operand, or be the first to."""
        source = self.source
        is_first = self._is_first(operand, step)
        target = self._gradient(operand)
        is_repeated = not all(operand.strides) or (step.is_batched and not target.has_batch)
        if len(factors) == 2 and is_repeated:
            if numbers:
                factors[0] = self._multiplied(factors[0], " * ".join(numbers), step)
            source.contract(self.lines, factors[0], factors[1], target, step, is_first)
            return
        if not is_repeated:
            if len(factors) == 2 and numbers:
                smaller = min((0, 1), key=lambda side: math.prod(self._size(factors[side], step)))
                factors[smaller] = self._multiplied(factors[smaller], " * ".join(numbers), step)
                numbers = []
            arrays = [source.view(factor, step.sizes) for factor in factors]
            view = source.view(target, step.sizes)
            axes = None
        else:
            axes = target.axes()
            view = source.view(target, step.sizes, axes)
            array, times = self._summed(step, factors[0], target, view if is_first and not numbers else None)
            if array == view:
                return
            arrays = [array]
            numbers = [*numbers, *times]
        self._write(view, arrays, " * ".join(numbers), is_first, target, step, axes, function)

    def _size(self, factor: Factor, step: Step) -> list[int]:
        """The sizes of its axes but that of the samples."""
        return [step.sizes[axis] for axis in factor.axes() if axis != BATCH]

    def _multiplied(self, factor: Factor, number: str, step: Step) -> Factor:
        """A factor times a number."""
        axes = factor.axes()
        array = self.source.fresh(axes, step.sizes)
        view = self.source.view(array, step.sizes, axes)
        self.lines.append(f"multiply({self.source.view(factor, step.sizes, axes)}, {number}, {view})")
        return array

    def _summed(self, step: Step, factor: Factor, target: Factor, view: str | None) -> tuple[str, list[str]]:
        """A factor summed over axes that the target lacks, into `view` if that is all; and numbers to multiply by."""
        source = self.source
        kept, own = target.axes(), factor.axes()
        lost = [axis for axis in [*range(len(step.sizes)), *([BATCH] if step.is_batched else [])] if axis not in kept]
        times = ["batch" if axis == BATCH else str(step.sizes[axis]) for axis in lost if axis not in own]
        over = [axis for axis in lost if axis in own]
        if not over:
            return source.view(factor, step.sizes, kept), times
        left = [axis for axis in kept if axis in own]
        result = source.fresh(left, step.sizes)
        whole = view if view is not None and not times and left == kept else None
        out = whole or source.view(result, step.sizes, left)
        array = source.view(factor, step.sizes, own)
        if over == [BATCH]:
            self.lines.append(f"matmul({array}, ones, {out})")
        else:
            self.lines.append(f"add.reduce({array}, {_axes_text(tuple(map(own.index, over)))}, None, {out})")
        return whole or source.view(result, step.sizes, kept), times

    def _write(
        self,
        view: str,
        arrays: list[str],
        number: str,
        is_first: bool,
        target: Factor,
        step: Step,
        axes: list[int] | None,
        function: str,
    ) -> None:
        lines = self.lines
        factors = [*arrays, number] if number else arrays
        if len(factors) == 1:
            lines.append(f"copyto({view}, {factors[0]})" if is_first else f"add({view}, {factors[0]}, {view})")
        elif factors[1] == "-1.0":
            negative = f"negative({factors[0]}, {view})"
            lines.append(negative if is_first else f"subtract({view}, {factors[0]}, {view})")
        elif is_first:
            lines.append(f"{function}({factors[0]}, {factors[1]}, {view})")
        else:
            array = self.source.view(self.source.fresh_like(target, step), step.sizes, axes)
            lines.append(f"{function}({factors[0]}, {factors[1]}, {array})")
            lines.append(f"add({view}, {array}, {view})")


class Uses:
    """How the results of steps are used."""

    def __init__(self, program: Program) -> None:
        self._program = program
        sizes = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}
        self._counts = {buffer: np.zeros(size, dtype=int) for buffer, size in sizes.items()}
        self._makers = {(program.buffer_of(step), step.start): step for step in program.steps}
        self._block = block = {buffer: np.zeros(size, dtype=int) for buffer, size in sizes.items()}
        for step in program.steps:
            block[program.buffer_of(step)][step.start : step.start + step.lanes] = step.start
        self._cut: set[tuple[int, int]] = set()
        """Results of which something reads a part, or more than these, by buffer and first row."""
        for step in program.steps:
            for operand in step.operands:
                if isinstance(operand, float) or operand.buffer not in sizes:
                    continue
                rows = np.unique(operand.rows if isinstance(operand, Rows) else operand.rows(step.sizes))
                self._counts[operand.buffer][rows] += 1
                starts = np.unique(block[operand.buffer][rows])
                is_whole = len(starts) == 1 and isinstance(operand, View) and operand.start == starts[0]
                if not is_whole:
                    self._cut.update((operand.buffer, int(start)) for start in starts)
        for buffer, row in program.outputs:
            if buffer in sizes:
                self._counts[buffer][row] += 1
                self._cut.add((buffer, int(block[buffer][row])))

    def is_lone_output(self, buffer: int, row: int) -> bool:
        """Whether that output is the one result of a step, and nothing uses it."""
        maker = self._makers.get((buffer, row))
        return maker is not None and maker.lanes == 1 and bool(self._counts[buffer][row] == 1)

    def maker(self, operand: View) -> Step:
        """The step whose results begin where the operand does."""
        return self._makers[operand.buffer, operand.start]

    def is_one_piece(self, buffer: int, step: Step) -> bool:
        """Whether nothing reads results of the step but by views that begin where they begin, and hold no others."""
        return (buffer, step.start) not in self._cut

    def only_makers(self, operand: View, rows: NDArray[np.int64]) -> list[Step] | None:
        """The steps whose results the operand is, all of each and each once, if nothing else uses any of them."""
        if operand.buffer not in self._counts or (self._counts[operand.buffer][rows] != 1).any():
            return None
        starts = np.unique(self._block[operand.buffer][rows])
        makers = [self._makers[operand.buffer, int(start)] for start in starts]
        return makers if sum(maker.lanes for maker in makers) == len(np.unique(rows)) == len(rows) else None

    def is_only_use(self, operand: View, step: Step) -> bool:
        """Whether the operand is all results of a step, each once and in their order, and nothing else uses them."""
        maker = self._makers.get((operand.buffer, operand.start))
        sizes = tuple(size for size, stride in zip(step.sizes, operand.strides, strict=True) if stride)
        strides = tuple(stride for stride in operand.strides if stride)
        if maker is None or maker.lanes != math.prod(sizes) or strides != strides_of(sizes):
            return False
        counts = self._counts[operand.buffer][operand.start : operand.start + maker.lanes]
        return bool((counts == 1).all())


def _needs_result(kind: Kind) -> bool:
    """Whether a derivative of an operation of this kind is computed from its result."""
    if isinstance(kind, str):
        return False
    found = _rules(kind)
    return kind.name in PARTIALS or found is None or any(_mentions(formula, "out") for formula in found[1])


def _needs_operand(op: Op, side: int) -> bool:
    """Whether a derivative of an operation is computed from that operand."""
    if op.name == "relu":
        return False
    found = _rules(op)
    is_own = op.name in PARTIALS or op.name in DIVISORS
    return is_own or found is None or any(_mentions(formula, "xy"[side]) for formula in found[1])


def _mentions(formula: Expression, letter: str) -> bool:
    return formula.content == letter or any(_mentions(operand, letter) for operand in formula.operands)


def known(step: Step) -> dict[str, float]:
    """The operands that are numbers, by their names in the formulas of rows."""
    return {
        letter: operand for letter, operand in zip("xyz", step.operands, strict=False) if isinstance(operand, float)
    }


def _content(formula: Expression) -> float:
    assert isinstance(formula.content, float)
    return formula.content


def _without(numbers: tuple[int, ...], place: int) -> tuple[int, ...]:
    return (*numbers[:place], *numbers[place + 1 :])


_TAKEN = frozenset(
    (
        "constants",
        "shared",
        "results",
        "work",
        "masks",
        "batch",
        "ones",
        "view",
        "seed",
        "forward",
        "backward",
        "prepare",
    )
)


def _sliced(factor: Factor, axes: tuple[tuple[int, int], ...], batch: str) -> str:
    """A view of a buffer in the words of NumPy where it has some, which is faster and easier to read than `view`."""
    buffer, start = factor.buffer, factor.start
    long = [axis for axis in axes if axis[1]]
    size = math.prod(size for size, _ in long)
    strides = tuple(stride for _, stride in long)
    if not axes and batch == "each":
        return f"{buffer}[{start}]"
    if len(long) < 2 and all(stride > 0 or size == 1 for size, stride in axes):
        stride = strides[0] if strides else 1
        rows = f"{start}:{start + (size - 1) * stride + 1}" + (f":{stride}" if stride != 1 else "")
        if not axes:
            return f"{buffer}[{rows}]" if batch else f"{buffer}[{rows}].reshape(())"
        if len(axes) == 1:
            return f"{buffer}[{rows}, None]" if batch == "same" else f"{buffer}[{rows}]"
    if len(long) == len(axes) and strides == strides_of(tuple(size for size, _ in axes)):
        shape = [*(size for size, _ in axes), *({"each": [-1], "same": [1]}.get(batch, []))]
        return f"{buffer}[{start}:{start + size}].reshape({', '.join(map(str, shape))})"
    return f"view({buffer}, {start}, {axes}" + (f", {batch!r})" if batch else ")")


def _axes_text(axes: tuple[int, ...]) -> str:
    return str(axes[0]) if len(axes) == 1 else str(axes)


def _identifiers(names: Sequence[str]) -> list[str]:
    """Names that Python takes, each once."""
    found: list[str] = []
    for each in names:
        plain = "".join(letter if letter.isalnum() else "_" for letter in each).strip("_") or "group"
        plain = plain if plain[0].isalpha() else f"group_{plain}"
        plain = plain if plain.isascii() else "group"
        while plain in (*found, *_TAKEN):
            plain += "_"
        found.append(plain)
    return found

"""The arrays that generated code names: views of buffers, and arrays to work in."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from keyword import iskeyword
from typing import Any

from autograd_mini.compiled.contraction import BATCH, Factor
from autograd_mini.compiled.program import Operand, Program, Step, View, strides_of

PARAMETERS = ("constants", "shared", "results", "work", "masks", "batch", "ones", "d_shared", "d_results")
"""What the function that prepares the code takes, before the arrays for gradients."""

_TAKEN = (*PARAMETERS, "view", "seed", "forward", "backward", "prepare")


class Arrays:
    """Gives names to arrays, and collects the statements that define them.

    homes: by buffer and first row, where results are that do not lie where they are numbered.
    """

    def __init__(self, program: Program, wanted: Sequence[int], homes: Mapping[tuple[int, int], int]) -> None:
        self.program = program
        self.names = [*_identifiers([group.name for group in program.groups]), "constants", "shared", "results"]
        """Of the buffers."""
        self.parameters = [*PARAMETERS, *(self.gradient_name(group) for group in wanted)]
        self.setup: list[str] = []
        self.binds: list[list[str]] = [[] for _ in program.groups]
        """The statements for views of each group, which are run again for other arrays."""
        self.objects: dict[str, Any] = {}
        """What the code names that is no array of ours."""
        self.work_arrays = 0
        """How many there are."""
        self.rows = {program.unbatched_buffer: program.unbatched_rows, program.batched_buffer: program.batched_rows}
        """How many rows the buffers of results have, with what is kept for the way back."""
        self._homes = homes
        self._taken = {*self.parameters, *self.names, *(self.bind_name(group) for group in range(len(self.binds)))}
        self._counts: Counter[str] = Counter()
        self._views: dict[Any, str] = {}
        self._in_use = 0
        self._is_batched = False

    def begin(self, step: Step) -> None:
        """What comes now is for this step: views have its axes, and nothing needs the working arrays any more."""
        self._is_batched = step.is_batched
        self._in_use = 0

    # Names

    def gradient_name(self, buffer: int) -> str:
        """Of the buffer of derivatives."""
        return f"d_{self.names[buffer]}"

    def bind_name(self, group: int) -> str:
        """Of the function that is handed a group's array."""
        return f"bind_{self.names[group]}"

    def add_object(self, prefix: str, thing: Any) -> str:
        """The name by which the source knows it."""
        name = self._new_name(prefix)
        self.objects[name] = thing
        return name

    def _new_name(self, prefix: str) -> str:
        while True:
            self._counts[prefix] += 1
            name = f"{prefix}_{self._counts[prefix]}"
            if name not in self._taken:
                return name

    # What operands and results are

    def factor(self, operand: Operand) -> Factor:
        """An operand's numbers."""
        assert isinstance(operand, View)
        home = self._homes.get((operand.buffer, operand.start), operand.start)
        has_batch = self.program.has_batch_axis(operand.buffer)
        return Factor(self.names[operand.buffer], home, operand.strides, has_batch)

    def result(self, step: Step) -> Factor:
        """A step's results, on its outer axes."""
        return self.factor(View(self.program.buffer_of(step), step.start, strides_of(step.outer)))

    def result_on_all(self, step: Step) -> Factor:
        """The same on all of its axes: over the inner ones they repeat."""
        return replace(self.result(step), strides=step.result_strides)

    def operand_texts(self, step: Step) -> dict[str, str]:
        """The operands of a step that goes lane by lane, by their names in the formulas of rows."""
        texts = [
            repr(operand) if isinstance(operand, float) else self.view(self.factor(operand), step.outer)
            for operand in step.operands
        ]
        return dict(zip("xyz", texts, strict=False))

    # Views

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
        assert batch or not factor.has_batch  # else it would lack the axis of its samples
        return self._named(factor, tuple(shape), batch)

    def full_view(self, factor: Factor, step: Step) -> str:
        """A view on all axes of the step, also those over which the numbers repeat."""
        batch = "" if not step.is_batched else "each" if factor.has_batch else "same"
        return self._named(factor, tuple(zip(step.sizes, factor.strides, strict=True)), batch)

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
        if key not in self._views:
            self._define(key, factor.buffer, _sliced(factor, axes, batch))
        return self._views[key]

    def _define(self, key: Any, buffer: str, formula: str) -> None:
        variable = self._new_name(buffer.partition("[")[0])
        self._views[key] = variable
        lines = self.binds[self.names.index(buffer)] if buffer in self.names[: len(self.binds)] else self.setup
        lines.append(f"{variable} = {formula}")

    # Other arrays

    def work(self, sizes: tuple[int, ...], is_batched: bool, is_condition: bool = False) -> Factor:
        """An array to work in, for the step that is being written."""
        self._in_use += 1
        self.work_arrays = max(self.work_arrays, self._in_use)
        kind = "masks" if is_condition else "work"
        buffer = f"{kind}[{int(is_batched)}][{self._in_use - 1}]"
        return Factor(buffer, 0, strides_of(sizes), is_batched)

    def work_on(self, axes: Sequence[int | None], sizes: Sequence[int]) -> Factor:
        """An array to work in with these axes, the last one fastest."""
        own = [axis for axis in axes if axis is not None and axis != BATCH]
        strides = dict(zip(own, strides_of(tuple(sizes[axis] for axis in own)), strict=True))
        return replace(self.work((), BATCH in axes), strides=tuple(strides.get(axis, 0) for axis in range(len(sizes))))

    def kept(self, step: Step) -> Factor:
        """An array for as many numbers as the step has terms, which stay until the way back."""
        buffer = self.program.buffer_of(step)
        start = self.rows[buffer]
        self.rows[buffer] += math.prod(step.sizes)
        return Factor(self.names[buffer], start, strides_of(step.sizes), step.is_batched)


def _sliced(factor: Factor, axes: tuple[tuple[int, int], ...], batch: str) -> str:
    """A view of a buffer in the words of NumPy where it has some, which is faster and easier to read than `view`."""
    buffer, start = factor.buffer, factor.start
    long = [axis for axis in axes if axis != (1, 0)]
    strides = tuple(stride for _, stride in long)
    if not axes and batch == "each":
        return f"{buffer}[{start}]"
    if len(axes) < 2 and all(stride > 0 for stride in strides):  # a slice that goes back to row 0 cannot be written
        size, stride = long[0] if long else (1, 1)
        rows = f"{start}:{start + (size - 1) * stride + 1}" + (f":{stride}" if stride != 1 else "")
        if not axes:
            return f"{buffer}[{rows}]" if batch else f"{buffer}[{rows}].reshape(())"
        return f"{buffer}[{rows}, None]" if batch == "same" else f"{buffer}[{rows}]"
    if len(long) == len(axes) and strides == strides_of(tuple(size for size, _ in axes)):
        shape = [*(size for size, _ in axes), *({"each": [-1], "same": [1]}.get(batch, []))]
        size = math.prod(size for size, _ in axes)
        return f"{buffer}[{start}:{start + size}].reshape({', '.join(map(str, shape))})"
    return f"view({buffer}, {start}, {axes}" + (f", {batch!r})" if batch else ")")


def _identifiers(names: Sequence[str]) -> list[str]:
    """Names that Python takes, each once, and none that the code has for something else."""
    taken = set(_TAKEN)
    found: list[str] = []
    for each in names:
        plain = "".join(letter if letter.isalnum() else "_" for letter in each).strip("_")
        if not plain.isascii() or not plain[:1].isalpha():
            plain = "group"
        while iskeyword(plain) or not taken.isdisjoint((plain, f"d_{plain}", f"bind_{plain}")):
            plain += "_"
        taken.update((plain, f"d_{plain}", f"bind_{plain}"))
        found.append(plain)
    return found

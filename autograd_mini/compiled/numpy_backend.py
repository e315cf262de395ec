"""Runs a program as NumPy code, in buffers that are kept from call to call."""

import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd_mini.compiled import numpy_runtime
from autograd_mini.compiled.formulas import FUNCTIONS
from autograd_mini.compiled.numpy_source import Source, numpy_source
from autograd_mini.compiled.program import Program
from autograd_mini.compiled.turns import lock_of_buffers
from autograd_mini.ops import NUMPY

Array = NDArray[Any]

MOST_BATCH_SIZES = 8
"""As many batch sizes have buffers at a time."""


class NumpyProgram:
    """A program and its reverse by the wanted groups, as NumPy code."""

    def __init__(self, program: Program, wanted: Sequence[int]) -> None:
        self.program = program
        self.wanted = tuple(wanted)
        self.source = numpy_source(program, wanted)
        self.prepare = _compiled(self.source)


class NumpyExecutor:
    """Runs that code in buffers of its own."""

    name = "numpy"

    def __init__(self, code: NumpyProgram, dtype: np.dtype[Any]) -> None:
        self.code = code
        self.program = program = code.program
        self.dtype = dtype
        self.source = code.source.text
        self.is_batched = program.is_batched
        self.has_batched_output = program.has_batch_axis(program.outputs[0][0])
        self.constants = np.array(program.constants, dtype)
        self._workspaces: OrderedDict[int, _Workspace] = OrderedDict()
        self._lock = lock_of_buffers()
        self._quietly = _quiet_caller()

    def value(self, arrays: Sequence[Array], batch: int | None) -> Array:
        """The first output, of every sample."""
        return self.values(arrays, batch)[0]

    def sum(self, arrays: Sequence[Array], batch: int | None) -> float:
        """The first output, added up over the samples."""
        with self._lock:
            total: float = self._quietly(self._sum, arrays, batch or 1)
            return total

    def values(self, arrays: Sequence[Array], batch: int | None) -> list[Array]:
        """Every output, of every sample."""
        with self._lock:
            outputs: list[Array] = self._quietly(self._values, arrays, batch or 1)
            return outputs

    def value_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[Array, list[Array]]:
        """The first output of every sample, and the derivatives of seed times their sum by the wanted groups."""
        with self._lock:
            workspace, gradients = self._quietly(self._differentiated, arrays, batch or 1, seed)
            return workspace.output(0, arrays).copy(), gradients

    def sum_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[float, list[Array]]:
        """The same with the sum of the output over the samples."""
        with self._lock:
            found: tuple[float, list[Array]] = self._quietly(self._sum_and_grad, arrays, batch or 1, seed)
            return found

    def _values(self, arrays: Sequence[Array], batch: int) -> list[Array]:
        workspace = self._workspace(batch)
        workspace.bind(arrays).forward()
        return [workspace.output(place, arrays).copy() for place in range(len(self.program.outputs))]

    def _sum(self, arrays: Sequence[Array], batch: int) -> float:
        workspace = self._workspace(batch)
        workspace.bind(arrays).forward()
        return workspace.total(arrays)

    def _differentiated(self, arrays: Sequence[Array], batch: int, seed: float) -> tuple["_Workspace", list[Array]]:
        workspace = self._workspace(batch)
        return workspace, workspace.differentiate(arrays, seed)

    def _sum_and_grad(self, arrays: Sequence[Array], batch: int, seed: float) -> tuple[float, list[Array]]:
        workspace = self._workspace(batch)
        gradients = workspace.differentiate(arrays, seed)
        return workspace.total(arrays), gradients

    def _workspace(self, batch: int) -> "_Workspace":
        workspace = self._workspaces.get(batch)
        if workspace is None:
            workspace = self._workspaces[batch] = _Workspace(self, batch)
            if len(self._workspaces) > MOST_BATCH_SIZES:
                self._workspaces.popitem(last=False)
        return workspace


def _quiet_caller() -> Callable[..., Any]:
    """What calls a function while NumPy says nothing of infinities and NaN, which are right answers.

    From NumPy 2 on, that is a variable of the context: one that is prepared costs less than entering `errstate`.
    """
    if int(np.__version__.partition(".")[0]) < 2:
        return np.errstate(all="ignore")(lambda function, *arguments: function(*arguments))
    context = Context()
    context.run(np.seterr, all="ignore")
    return context.run


def _compiled(source: Source) -> Callable[..., Any]:
    scatters = {
        name: numpy_runtime.Scatter(thing) if name.startswith("scatter") else thing
        for name, thing in source.objects.items()
    }
    names: dict[str, Any] = {
        **{function: getattr(np, function, None) for function in FUNCTIONS.values()},
        **{
            each: getattr(np, each)
            for each in ("copyto", "take", "maximum", "minimum", "logaddexp", "sign", "cosh", "matmul", "dot", "einsum")
        },
        **{each: getattr(numpy_runtime, each) for each in ("view", "logsumexp", "erf", "erfc")},
        "NUMPY": NUMPY,
        "inf": np.inf,
        "nan": np.nan,
        **scatters,
    }
    exec(compile(source.text, "<compiled graph>", "exec"), names)
    prepare: Callable[..., Any] = names["prepare"]
    return prepare


class _Workspace:
    """The buffers for one batch size."""

    def __init__(self, executor: NumpyExecutor, batch: int) -> None:
        self._executor = executor
        self._batch = batch
        dtype = executor.dtype
        unbatched, batched = executor.code.source.rows
        self.shared = np.zeros(unbatched, dtype)
        self.results = np.zeros((batched, batch), dtype)
        d_shared, d_results = np.zeros_like(self.shared), np.zeros_like(self.results)
        rows, batched_rows = executor.code.source.work_rows
        count = executor.code.source.work_arrays
        work, masks = (
            (
                [np.zeros(rows, kind) for _ in range(count)],
                [np.zeros((batched_rows, batch), kind) for _ in range(count)],
            )
            for kind in (dtype, np.dtype(bool))
        )
        self._ones = np.ones(batch, dtype)
        self._arguments = (
            executor.constants,
            self.shared,
            self.results,
            work,
            masks,
            batch,
            self._ones,
            d_shared,
            d_results,
        )
        program = executor.program
        buffers = {program.unbatched_buffer: self.shared, program.batched_buffer: self.results}
        self._outputs = [
            buffers[buffer][row : row + 1].reshape(-1) if buffer in buffers else None for buffer, row in program.outputs
        ]
        self._pool: list[_Prepared] = []

    def output(self, place: int, arrays: Sequence[Array]) -> Array:
        """An output as it was computed last: of shape (batch,), or (1,) where all samples share it."""
        output = self._outputs[place]
        if output is None:  # it is no result but a leaf, or a constant
            buffer, row = self._executor.program.outputs[place]
            output = [*arrays, self._executor.constants][buffer][row : row + 1].reshape(-1)
        return output

    def total(self, arrays: Sequence[Array]) -> float:
        """The sum of the first output over the samples."""
        output = self._outputs[0]
        if output is None:
            output = self.output(0, arrays)
        return float(output.dot(self._ones) if len(output) > 1 else output[0])

    def differentiate(self, arrays: Sequence[Array], seed: float) -> list[Array]:
        """Run it forward and backward; the gradients are the caller's as long as they are held."""
        prepared = self.bind(arrays)
        prepared.forward()
        prepared.backward(seed)
        return prepared.hand_out()

    def bind(self, arrays: Sequence[Array]) -> "_Prepared":
        """The code, on these arrays and on arrays for the gradient that nobody holds."""
        for prepared in self._pool:
            if prepared.is_free():
                break
        else:
            prepared = self._new(is_last=len(self._pool) == 2)
            self._pool.append(prepared)
            prepared.settle()
        prepared.bind(arrays)
        return prepared

    def _new(self, is_last: bool) -> "_Prepared":
        executor = self._executor
        program = executor.program
        gradients = []
        flat = []
        for place in executor.code.wanted:
            group = program.groups[place]
            batch = (self._batch,) if program.is_batched[place] else ()
            gradients.append(np.zeros((*group.shape, *batch), executor.dtype))
            flat.append(gradients[-1].reshape(group.size, *batch))
        return _Prepared(executor.code.prepare(*self._arguments, *flat), gradients, is_last)


class _Prepared:
    """The code with views of buffers, and the arrays that the gradient is written into.

    Whoever is handed the gradient may hold it as long as he likes: the next call then writes into other arrays. The
    last of a pool hands out copies.
    """

    def __init__(self, functions: Any, gradients: list[Array], hands_out_copies: bool) -> None:
        self.forward, self.backward, self._binds = functions
        self._gradients = gradients
        self._hands_out_copies = hands_out_copies or not _COUNTS_REFERENCES
        self._bound: Sequence[Array | None] = [None] * len(self._binds)
        self._unheld = 0

    def settle(self) -> None:
        """Take note of how often the gradients are referred to while nobody else holds them."""
        self._unheld = sum(map(sys.getrefcount, self._gradients))

    def is_free(self) -> bool:
        """Whether nobody holds the gradient."""
        return self._hands_out_copies or sum(map(sys.getrefcount, self._gradients)) == self._unheld

    def hand_out(self) -> list[Array]:
        """The gradients, in the shapes of their groups."""
        return [gradient.copy() for gradient in self._gradients] if self._hands_out_copies else self._gradients.copy()

    def bind(self, arrays: Sequence[Array]) -> None:
        """Look at these arrays, one for each group, if not at them already."""
        if arrays is self._bound:
            return
        before_all, self._bound = self._bound, [None] * len(self._binds)  # where Ctrl-C ends it, it looks at neither
        for bind, array, before in zip(self._binds, arrays, before_all, strict=True):
            if array is not before:
                bind(array)
        self._bound = arrays


_COUNTS_REFERENCES = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
"""Whether the number of references says who holds an array. Without the GIL it is approximate."""

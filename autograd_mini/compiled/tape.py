"""The scalar program run operation by operation, in loops that numba compiles: for graphs that are narrow and deep."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from autograd_mini.compiled import tape_loops
from autograd_mini.compiled.scalars import Kind, Scalars
from autograd_mini.compiled.turns import lock_of_buffers
from autograd_mini.ops import TABLE, Op

Array = NDArray[Any]

_NUMBERS: dict[Kind, int] = {TABLE.get(kind, kind): number for number, kind in enumerate(tape_loops.KINDS)}
"""What the tape calls each kind. Rows are told apart by identity: one of a user's own may have any name."""

_NO_ADJOINTS = np.empty(0)

_ARRANGE = "(int64[::1], int64[::1], int64[::1], boolean[::1], int64, int64)"
_RUN = (
    "(uint8[::1], uint32[::1], int64, int64, float64[::1], float64[::1], "
    "int64[::1], float64[:, ::1], int64[::1], float64[:, ::1], float64, float64[:, ::1], float64[::1])"
)
"""The types of what they take."""


class Tape:
    """Scalars that are run, and differentiated, operation by operation and sample by sample.

    wanted: the places of the groups by which the first output is differentiated. dtype is that of what comes back; in
    between everything is float64, which costs operations on single numbers nothing.

    Every method takes an array for each group, of shape (size,) or, batched, (size, B); batch is B, or None where no
    array is batched, which is one sample. Numbers follow IEEE 754, as the engine's do. One call runs at a time, and
    others wait for it.

    Raises ImportError without numba, and ValueError for an operation that the tape has not: a row of a user's own.
    """

    def __init__(self, scalars: Scalars, wanted: Sequence[int], dtype: DTypeLike = np.float64) -> None:
        arrange, self._loop = _compiled_loops()
        self._dtype = np.dtype(dtype)
        self._groups = _one_after_another(group.size for group in scalars.groups)
        self._wanted = tuple(wanted)
        self._n_leaves = scalars.n_leaves
        is_wanted = np.zeros(self._n_leaves, np.bool_)
        for group in self._wanted:
            is_wanted[self._groups[group]] = True
        starts = np.zeros(len(scalars.kinds) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, scalars.operands), np.int64, len(scalars.kinds)), out=starts[1:])
        operands = np.fromiter(chain.from_iterable(scalars.operands), np.int64, int(starts[-1]))
        n_constants, root = len(scalars.constants), scalars.outputs[0]
        self._codes, self._operands, places, self._first_wanted, self._stop = arrange(
            _numbers(scalars.kinds), starts, operands, is_wanted, n_constants, root
        )
        self._outputs = np.array(
            [places[output] if output >= 0 else self._n_leaves + ~output for output in scalars.outputs], np.int64
        )
        constants = np.array(scalars.constants, np.float64)
        self._values = np.concatenate([np.zeros(self._n_leaves), constants, np.zeros(len(scalars.kinds))])
        self._adjoints = np.zeros(len(self._values))
        self._lock = lock_of_buffers()

    def value(self, arrays: Sequence[Array], batch: int | None) -> Array:
        """The first output, of shape (B,), or (1,) where nothing is batched."""
        results, _, _ = self._run(arrays, batch, self._outputs[:1], self._stop, _NO_ADJOINTS, 0.0)
        return self._converted(results[:, 0])

    def outputs(self, arrays: Sequence[Array], batch: int | None) -> Array:
        """All outputs, of shape (B, how many they are)."""
        results, _, _ = self._run(arrays, batch, self._outputs, len(self._codes), _NO_ADJOINTS, 0.0)
        return self._converted(results)

    def value_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[Array, list[Array]]:
        """The first output as from `value`, and for each wanted group seed times its derivatives.

        They have the shape of the group's array: one for each sample where it is batched, else their sum.
        """
        results, by_sample, sums = self._run(arrays, batch, self._outputs[:1], self._stop, self._adjoints, seed)
        pairs = zip(self._groups, _columns(arrays), strict=True)
        gradients = [by_sample[:, columns].T if columns else sums[leaves] for leaves, columns in pairs]
        return self._converted(results[:, 0]), [self._converted(gradients[group]) for group in self._wanted]

    def _converted(self, results: Array) -> Array:
        with np.errstate(over="ignore"):
            return results.astype(self._dtype, order="C")

    def _run(
        self, arrays: Sequence[Array], batch: int | None, outputs: Array, stop: int, adjoints: Array, seed: float
    ) -> tuple[Array, Array, Array]:
        """The outputs (B, M), the derivatives by what is batched (B, K), and the sums of those by every other leaf."""
        groups = list(zip(arrays, self._groups, _columns(arrays), strict=True))
        places = [np.arange(leaves.start, leaves.stop) for _, leaves, columns in groups if columns]
        batched = np.concatenate([*places, np.arange(0)]).astype(np.int64)
        samples = np.empty((1 if batch is None else batch, len(batched)))
        for array, _, columns in groups:
            if columns:
                samples[:, columns] = array.T
        results, by_sample = np.empty((len(samples), len(outputs))), np.empty(samples.shape)
        sums = np.zeros(self._n_leaves)
        with self._lock:
            for array, leaves, columns in groups:
                if columns is None:
                    self._values[leaves] = array
            self._loop(
                self._codes,
                self._operands,
                stop,
                self._first_wanted,
                self._values,
                adjoints,
                batched,
                samples,
                outputs,
                results,
                seed,
                by_sample,
                sums,
            )
        return results, by_sample, sums


def _one_after_another(sizes: Iterable[int]) -> list[slice]:
    return [slice(*ends) for ends in pairwise(accumulate(sizes, initial=0))]


def _columns(arrays: Sequence[Array]) -> list[slice | None]:
    """Which of the numbers that make a sample each array has; None where it is not batched."""
    columns = _one_after_another(len(array) if array.ndim == 2 else 0 for array in arrays)
    return [place if array.ndim == 2 else None for place, array in zip(columns, arrays, strict=True)]


def _numbers(kinds: Sequence[Kind]) -> Array:
    try:
        return np.fromiter(map(_NUMBERS.__getitem__, kinds), np.int64, len(kinds))
    except KeyError as missing:
        kind = missing.args[0]
    name = kind.name if isinstance(kind, Op) else kind
    raise ValueError(f"Op {name[:40]!r}: only the rows of the table run on the tape")


@cache
def _compiled_loops() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`arrange` and `run`, compiled; from numba's cache if they were compiled before, and it could keep them."""
    try:
        import numba
    except ImportError:
        raise ImportError("compile_graph: executor=\"tape\" needs numba: pip install 'autograd-mini[numba]'") from None

    def compiled(is_kept: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
        # For these types alone: lazily, an array that happens to lie otherwise in memory would cost seconds more.
        with_types = partial(numba.njit, cache=is_kept, error_model="numpy")
        return with_types(_ARRANGE)(tape_loops.arrange), with_types(_RUN)(tape_loops.run)

    try:
        return compiled(is_kept=True)
    except (RuntimeError, OSError):  # no folder can be written to, or the disk is full
        return compiled(is_kept=False)

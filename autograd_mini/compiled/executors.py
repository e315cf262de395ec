"""Which executor runs a computation, and the programs that are kept for the next one of the same structure."""

import hashlib
import importlib.util
import inspect
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autograd_mini.compiled import tape_loops
from autograd_mini.compiled.lift import levels, split, views
from autograd_mini.compiled.numpy_backend import NumpyExecutor, NumpyProgram
from autograd_mini.compiled.scalar_passes import dot_products, logsumexps, sums
from autograd_mini.compiled.scalars import Scalars
from autograd_mini.compiled.tape import Tape
from autograd_mini.ops import ADD, LOGADDEXP, NEG, SUB, TABLE, Op

Array = NDArray[Any]

NAMES = ("auto", "numpy", "tape")

STEP_MICROSECONDS = 2.5
"""What a step of a program takes at least, forward and backward: a few calls of NumPy;"""
NUMBER_MICROSECONDS = 0.002
"""what each of its numbers takes, a sample,"""
TAPE_MICROSECONDS = 0.012
"""and what an operation takes on the tape, a sample. All are rounded from what the programs of
tests/benchmarks/compiled_speed.py took: only where the two ways differ several times does it matter which is taken."""


FEW_STEPS = 200
"""Programs of so few are not worth loading numba for."""


class Executor(Protocol):
    """Runs a computation on arrays: one for each group, of shape (size,), or (size, batch) for each sample its own."""

    name: str
    is_batched: tuple[bool, ...]
    has_batched_output: bool
    """Whether each sample has an output of its own."""

    @property
    def source(self) -> str:
        """The code that was generated."""

    def value(self, arrays: Sequence[Array], batch: int | None) -> Array:
        """The first output: of shape (batch,), or (1,) where all samples share it."""

    def sum(self, arrays: Sequence[Array], batch: int | None) -> float:
        """The sum of the first output."""

    def values(self, arrays: Sequence[Array], batch: int | None) -> list[Array]:
        """Every output."""

    def value_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[Array, list[Array]]:
        """The first output, and the derivatives of seed times its sum by the wanted groups, in their shapes."""

    def sum_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[float, list[Array]]:
        """The sum of the first output, and the same derivatives."""


Pass = Callable[[Scalars], Scalars]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("sums", sums),
    ("log-sum-exps", logsumexps),
    ("dot products", dot_products),
)
"""From scalars to scalars, in their order."""


def shortened(scalars: Scalars) -> Scalars:
    """The scalars after every pass."""
    for _, each in PASSES:
        scalars = each(scalars)
    return scalars


def choose(
    scalars: Scalars,
    is_batched: tuple[bool, ...],
    wanted: tuple[int, ...],
    dtype: np.dtype[Any],
    name: str,
    batch: int | None,
) -> Executor:
    """The executor of that name; for "auto" the one that costs less."""
    number_by_number = len(scalars.kinds) * (batch or 1) * TAPE_MICROSECONDS
    may_be_tape = name == "auto" and _fits_tape(scalars)
    if name == "tape" or (may_be_tape and _is_more(_least_steps(scalars), number_by_number)):
        return _tape(scalars, is_batched, wanted, dtype)
    key = _key(scalars, is_batched, wanted)
    program = _programs.get(key)
    if program is None:
        leveled = levels(split(shortened(scalars), is_batched), is_batched)
        rows = leveled.batched_rows * (batch or 1) + leveled.unbatched_rows
        if may_be_tape and _is_more(len(leveled.steps), number_by_number - rows * NUMBER_MICROSECONDS):
            return _tape(scalars, is_batched, wanted, dtype)
        program = NumpyProgram(views(leveled), wanted)
        _programs.put(key, program)
    return NumpyExecutor(program, dtype)


def _is_more(steps: int, microseconds: float) -> bool:
    """Whether so many steps take longer, and are worth another way."""
    return steps > FEW_STEPS and steps * STEP_MICROSECONDS > microseconds


def _least_steps(scalars: Scalars) -> int:
    """How many steps there are at least: operations that wait for one another and are in no sum."""
    depth = [0] * (scalars.n_leaves + len(scalars.kinds) + len(scalars.constants))
    for place, kind, operands in scalars.operations():
        before = max([depth[operand] for operand in operands])
        depth[place] = before if kind in _JOINED else before + 1
    return max(depth, default=0)


_JOINED = (ADD, SUB, NEG, LOGADDEXP)
"""Rows of which a pass makes one operation of many."""


def _fits_tape(scalars: Scalars) -> bool:
    has_own_rows = any(isinstance(kind, Op) and TABLE.get(kind.name) is not kind for kind in set(scalars.kinds))
    return not has_own_rows and importlib.util.find_spec("numba") is not None


def _tape(scalars: Scalars, is_batched: tuple[bool, ...], wanted: tuple[int, ...], dtype: np.dtype[Any]) -> Executor:
    shapes = [scalars.groups[group].shape for group in wanted]
    return _TapeExecutor(Tape(scalars, wanted, dtype), is_batched, shapes)


class _TapeExecutor:
    """A tape as an executor."""

    name = "tape"

    def __init__(self, tape: Tape, is_batched: tuple[bool, ...], shapes: list[tuple[int, ...]]) -> None:
        self._tape, self._shapes = tape, shapes
        self.is_batched = is_batched
        self.has_batched_output = any(is_batched)
        self.value = tape.value

    def value_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[Array, list[Array]]:
        """The first output, and the derivatives of seed times its sum."""
        values, gradients = self._tape.value_and_grad(arrays, batch, seed)
        shaped = [
            gradient.reshape((*shape, *gradient.shape[1:]))
            for gradient, shape in zip(gradients, self._shapes, strict=True)
        ]
        return values, shaped

    def sum_and_grad(self, arrays: Sequence[Array], batch: int | None, seed: float) -> tuple[float, list[Array]]:
        """The sum of the first output, and the same derivatives."""
        values, gradients = self.value_and_grad(arrays, batch, seed)
        return _total(values), gradients

    def sum(self, arrays: Sequence[Array], batch: int | None) -> float:
        """The sum of the first output."""
        return _total(self.value(arrays, batch))

    @property
    def source(self) -> str:
        """The loops, which are the same for every tape."""
        return inspect.getsource(tape_loops)

    def values(self, arrays: Sequence[Array], batch: int | None) -> list[Array]:
        """Every output."""
        return list(self._tape.outputs(arrays, batch).T)


def _total(values: Array) -> float:
    """Their sum, while NumPy says nothing of infinities and NaN, which are right answers."""
    with np.errstate(all="ignore"):
        return float(np.add.reduce(values))


# Programs of the same structure


class _Programs:
    """The last programs, by what they were made from."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, NumpyProgram] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes) -> NumpyProgram | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: bytes, program: NumpyProgram) -> None:
        with self._lock:
            self._kept[key] = program
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)


_programs = _Programs(most=64)


def _key(scalars: Scalars, is_batched: tuple[bool, ...], wanted: tuple[int, ...]) -> bytes:
    """Equal for computations that differ in nothing but the numbers of their leaves."""
    kinds = {kind: place for place, kind in enumerate(dict.fromkeys(scalars.kinds))}
    names = [kind if isinstance(kind, str) else (kind.name, id(kind)) for kind in kinds]
    head = repr((scalars.groups, scalars.constants, names, scalars.outputs, is_batched, wanted))
    digest = hashlib.blake2b(head.encode(), digest_size=32)
    digest.update(np.fromiter(map(kinds.__getitem__, scalars.kinds), dtype=np.int32).tobytes())
    digest.update(np.array([len(operands) for operands in scalars.operands], dtype=np.int32).tobytes())
    digest.update(
        np.array([operand for operands in scalars.operands for operand in operands], dtype=np.int64).tobytes()
    )
    return digest.digest()

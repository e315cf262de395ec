"""What the generated NumPy code calls besides NumPy: views of buffers, and what no single function of NumPy does."""

import importlib
import importlib.util
import math
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from autograd_mini.ops import LOGADDEXP, NUMPY

Array = NDArray[Any]
Axes = tuple[tuple[int, int], ...]


def view(buffer: Array, start: int, axes: Axes, batch: str = "") -> Array:
    """Rows of a buffer from `start` on, for each axis as many as its size and as far apart as its stride.

    batch: "each" adds the axis of the samples, "same" one of size 1, over which NumPy repeats the numbers.
    """
    row = buffer.strides[0]
    shape = [size for size, _ in axes]
    strides = [stride * row for _, stride in axes]
    if batch == "each":
        shape.append(buffer.shape[1])
        strides.append(buffer.strides[1])
    elif batch == "same":
        shape.append(1)
        strides.append(0)
    return as_strided(buffer[start:], shape, strides)


def logsumexp(x: Array, axes: tuple[int, ...], weights: Array, out: Array, work: Array) -> None:
    """log Σ exp(x) over the axes into `out`, and its derivatives by x, the softmax, into `weights`.

    out and work, an array to work in, have axes of size 1 in the places of those.
    """
    np.maximum.reduce(x, axis=axes, out=work, keepdims=True)
    np.subtract(x, work, out=weights)
    np.exp(weights, out=weights)
    np.add.reduce(weights, axis=axes, out=out, keepdims=True)
    np.divide(weights, out, out=weights)
    np.log(out, out=out)
    np.add(out, work, out=out)
    np.absolute(out, out=work)
    if not (np.minimum.reduce(work, axis=None) > _NEAR_ZERO and math.isfinite(np.add.reduce(out, axis=None))):
        _logsumexp_in_order(x, axes, weights, out)


_NEAR_ZERO = 1e-3
"""Below it, the sum with the largest term has lost digits that log1p in the row's own rule keeps."""


def _logsumexp_in_order(x: Array, axes: tuple[int, ...], weights: Array, out: Array) -> None:
    """The same term by term, by the row of logaddexp."""
    terms = np.moveaxis(x, axes, range(len(axes)))
    results = np.moveaxis(weights, axes, range(len(axes)))
    places = list(np.ndindex(terms.shape[: len(axes)]))
    total = terms[places[0]]
    results[places[0]] = 1.0
    for end, place in enumerate(places[1:], start=1):
        before, total = total, LOGADDEXP.forward(NUMPY, total, terms[place])
        by_before, by_term = (partial(NUMPY, total, before, terms[place]) for partial in LOGADDEXP.partials)
        for earlier in places[:end]:
            results[earlier] *= by_before
        results[place] = by_term
    np.copyto(out, total.reshape(out.shape))


def erf(x: Array, out: Array) -> None:
    """The error function."""
    _error_function("erf", x, out)


def erfc(x: Array, out: Array) -> None:
    """The complementary error function."""
    _error_function("erfc", x, out)


def _error_function(name: str, x: Array, out: Array) -> None:
    # NumPy has none. SciPy's is as good as Python's, and many times faster than calling that number by number.
    special = _scipy_special()
    if special is None:
        np.copyto(out, getattr(NUMPY, name)(x))
    else:
        getattr(special, name)(x, out=out)


@cache
def _scipy_special() -> Any:
    return importlib.import_module("scipy.special") if importlib.util.find_spec("scipy") else None


class Scatter:
    """Adds rows to the rows of a buffer that they were gathered from."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self._order = np.argsort(rows, kind="stable")
        self._rows, self._starts = np.unique(rows[self._order], return_index=True)
        self._is_one_to_one = len(self._rows) == len(rows)

    def __call__(self, buffer: Array, added: Array) -> None:
        added = added[self._order]
        if not self._is_one_to_one:
            added = np.add.reduceat(added, self._starts, axis=0)
        buffer[self._rows] += added

"""What steps have computed, as JAX's arrays that are never changed, read as the views that a program asks for."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from autograd_mini.compiled.jax_rows import Array
from autograd_mini.compiled.program import Indices, View

_MOST_RUNS = 64
"""So many slices are joined rather than gathered one by one, which costs more, above all when it is differentiated."""


class Buffer:
    """Rows in pieces, one for each step, of shape (rows,) or (rows, batch)."""

    def __init__(self, *pieces: Array) -> None:
        self._starts: list[int] = []
        self._pieces: list[Array] = []
        self._views: dict[Any, Array] = {}
        for piece in pieces:
            self.put(0, piece)

    def put(self, start: int, piece: Array) -> None:
        """Add a piece that begins with that row."""
        place = bisect_right(self._starts, start)  # what is gathered lies behind all that follows
        self._starts.insert(place, start)
        self._pieces.insert(place, piece)

    def view(self, view: View, sizes: tuple[int, ...]) -> Array:
        """A view on the axes on which it differs, the samples last.

        It is the same array wherever it is asked for: so derivatives by it are added up before they lead further.
        """
        key = view, sizes
        if key not in self._views:
            axes = [(size, stride) for size, stride in zip(sizes, view.strides, strict=True) if stride]
            self._views[key] = self._viewed(view.start, axes, view.rows(sizes))
        return self._views[key]

    def _viewed(self, start: int, axes: Sequence[tuple[int, int]], rows: Indices) -> Array:
        place = self._place_of(int(rows.min()))
        piece = self._pieces[place]
        if int(rows.max()) < self._starts[place] + piece.shape[0]:
            found = _strided(piece, start - self._starts[place], axes)
            if found is not None:
                return found
        found = self.take(rows)
        return found.reshape(*[size for size, _ in axes], *found.shape[1:])

    def take(self, rows: Indices) -> Array:
        """Rows in any order."""
        runs = list(self._runs(rows))
        if len(runs) <= _MOST_RUNS:
            slices = [_sliced(self._pieces[place], run) for place, run in runs]
            return slices[0] if len(slices) == 1 else jnp.concatenate(slices)
        first, last = self._place_of(int(rows.min())), self._place_of(int(rows.max()))
        pieces = self._pieces[first : last + 1]
        starts = np.cumsum([0, *(piece.shape[0] for piece in pieces)])  # there may be gaps between them in the buffer
        places = np.searchsorted(self._starts, rows, side="right") - 1 - first
        within = rows - np.array(self._starts[first : last + 1])[places] + starts[places]
        joined = pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces)
        is_once = len(np.unique(rows)) == len(rows)
        return joined.at[within].get(mode="promise_in_bounds", unique_indices=is_once)

    def _place_of(self, row: int) -> int:
        return bisect_right(self._starts, row) - 1

    def _runs(self, rows: Indices) -> Iterator[tuple[int, range]]:
        """Rows that are equally far apart in one piece: which piece, and the rows within it."""
        places = np.searchsorted(self._starts, rows, side="right") - 1
        within = rows - np.array(self._starts)[places]
        steps = np.diff(within)
        begin = 0
        while begin < len(rows):
            step = int(steps[begin]) if begin < len(steps) else 1
            is_other = (steps[begin:] != step) | (places[begin + 1 :] != places[begin])
            length = (int(is_other.argmax()) if is_other.any() else len(is_other)) + 1 if step else 1
            first = int(within[begin])
            yield int(places[begin]), range(first, first + length * (step or 1), step or 1)
            begin += length


def _sliced(piece: Array, run: range) -> Array:
    lowest, highest = min(run), max(run)
    step = abs(run.step)
    if (lowest, highest + 1, step) == (0, piece.shape[0], 1):
        found = piece
    else:
        found = jax.lax.slice_in_dim(piece, lowest, highest + 1, step)
    return found if run.step > 0 or len(run) == 1 else jnp.flip(found, 0)


def _strided(piece: Array, start: int, axes: Sequence[tuple[int, int]]) -> Array | None:
    """A view by reshapes and slices, which cost little; None where its axes overlap.

    axes: for each its size, and how many rows further it leads.
    """
    order = sorted(range(len(axes)), key=lambda axis: -abs(axes[axis][1]))
    blocks = [axes[axis][0] * abs(axes[axis][1]) for axis in order]
    if any(block > abs(axes[outer][1]) for outer, block in zip(order, blocks[1:], strict=False)):
        return None
    first = start + sum(min(0, stride * (size - 1)) for size, stride in axes)
    end = first + (blocks[0] if blocks else 1)
    if end > piece.shape[0]:  # rows that end a last block, which nobody looks at
        piece = jnp.concatenate([piece, jnp.zeros((end - piece.shape[0], *piece.shape[1:]), piece.dtype)])
    found = _part(piece, first, end, 0)
    for depth, axis in enumerate(order):
        size, stride = axes[axis]
        found = found.reshape(*found.shape[:depth], size, abs(stride), *found.shape[depth + 1 :])
        found = _part(found, 0, blocks[depth + 1] if depth + 1 < len(blocks) else 1, depth + 1)
    found = found.squeeze(len(axes))
    found = found.transpose(*[order.index(axis) for axis in range(len(axes))], *range(len(axes), found.ndim))
    backwards = [axis for axis, (_, stride) in enumerate(axes) if stride < 0]
    return jnp.flip(found, backwards) if backwards else found


def _part(array: Array, start: int, stop: int, axis: int) -> Array:
    return array if (start, stop) == (0, array.shape[axis]) else jax.lax.slice_in_dim(array, start, stop, axis=axis)

"""`ArrayFiles`: arrays in .npy files as one, of which only those rows are read that are taken."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nn.checks import describe


class ArrayFiles:
    """The rows of one or several .npy files, one file after the other, as X or y of `fit`: for data beyond the memory.

    The files are mapped, not read: what is taken, by a slice or an array of places, is read then, as a NumPy array.
    One file may as well be given to `fit` as `np.load(path, mmap_mode="r")`.

    paths: files as `np.save` writes them, of one shape but for the number of rows. No pickle is ever loaded.

    Raises TypeError for what is no path, ValueError that names the file for what is no array of numbers or has rows of
    another shape, OSError where it cannot be read.
    """

    def __init__(self, *paths: str | os.PathLike[str]) -> None:
        if not paths:
            raise ValueError("ArrayFiles: expected at least one path, got none")
        for path in paths:
            if not isinstance(path, str | os.PathLike):
                raise TypeError(f"ArrayFiles: expected paths, each an argument, got {describe(path)}")
        self.paths = tuple(os.fspath(path) for path in paths)
        self._arrays = [_mapped(path) for path in self.paths]
        first = self._arrays[0]
        for path, array in zip(self.paths, self._arrays, strict=True):
            if array.shape[1:] != first.shape[1:]:
                raise ValueError(
                    f"ArrayFiles: {path}: expected rows of shape {first.shape[1:]}, as in {self.paths[0]},"
                    f" got {array.shape[1:]}"
                )
        self._starts = np.cumsum([0, *map(len, self._arrays)])
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *first.shape[1:])
        self.dtype = np.result_type(*self._arrays)

    @property
    def ndim(self) -> int:
        """How many axes it has; the rows are the first."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: Any) -> NDArray[Any]:
        """The rows at a slice, a place, a list or array of places, or where an array of truth values is true.

        Raises IndexError for anything else.
        """
        wanted = self._wanted(places)
        rows = np.empty((wanted.size, *self.shape[1:]), self.dtype)
        files = np.searchsorted(self._starts, wanted.ravel(), side="right") - 1
        for file in np.unique(files):
            here = files == file
            rows[here] = self._arrays[file][wanted.ravel()[here] - self._starts[file]]
        return rows if wanted.ndim else rows[0]

    def _wanted(self, places: Any) -> NDArray[np.int64]:
        """The places from 0, as an array, or as one number."""
        if isinstance(places, slice):
            return np.arange(*places.indices(len(self)))
        try:
            wanted = np.asarray(None if isinstance(places, tuple) else places)
        except ValueError:  # ragged lists
            wanted = np.asarray(None)
        if wanted.dtype == bool and wanted.shape == self.shape[:1]:
            return np.flatnonzero(wanted)
        if wanted.ndim > 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise IndexError(f"ArrayFiles: expected a slice, or places of rows, got {describe(places)}")
        n_rows = len(self)
        outside = wanted[(wanted < -n_rows) | (wanted >= n_rows)]
        if outside.size:
            raise IndexError(f"ArrayFiles: expected places from {-n_rows} to {n_rows - 1}, got {outside[0]}")
        wanted = wanted.astype(np.int64)
        return np.where(wanted < 0, wanted + n_rows, wanted)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of it, read into memory."""
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"ArrayFiles({', '.join(map(repr, self.paths))}; shape {self.shape})"


def _mapped(path: str) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"ArrayFiles: {path}: expected an array as np.save writes it: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.ndim == 0:
        kind = array.dtype if isinstance(array, np.ndarray) else describe(array)
        raise ValueError(f"ArrayFiles: {path}: expected rows of numbers, got {kind}")
    return array

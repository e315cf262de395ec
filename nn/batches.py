"""What a training is given, batch by batch: arrays in memory, arrays in files, or batches as they come."""

import copy
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nn.array_files import ArrayFiles
from nn.checks import describe
from nn.data import Rows, Sample, check_pairs, listed, read_rows, row_shape

Order: TypeAlias = NDArray[np.int64]
"""The places of the samples, in the order in which an epoch takes them."""


class Pair(NamedTuple):
    """Samples and their targets."""

    samples: Rows
    targets: Rows

    def listed(self) -> tuple[list[Sample], list[Sample]]:
        """Both as models and losses take them."""
        return listed(self.samples), listed(self.targets)


class Batch:
    """A part of an epoch: the samples from `first` to before `end`, in its order."""

    def __init__(self, first: int, end: int, take: Callable[[slice], Pair], number_of: Callable[[int], int]) -> None:
        self.first, self.end = first, end
        self.number_of = number_of
        """The number of the sample at a place of the batch: among all of X, or of all that came in the epoch."""
        self._take = take

    @property
    def size(self) -> int:
        """How many samples."""
        return self.end - self.first

    @cached_property
    def pair(self) -> Pair:
        """Its samples and targets."""
        return self._take(slice(0, self.size))

    def part(self, places: slice) -> Pair:
        """Those at some places of it: of what is in files, no more is read."""
        return self._take(places)


class Epoch(NamedTuple):
    """What one epoch takes."""

    order: Order | None
    """In which it takes the samples of a table; None is their own."""
    batches: Iterable[Batch]


class Data(Protocol):
    """What is trained or measured on."""

    @property
    def batch_size(self) -> int | None:
        """How many samples a batch has, where that is known: the last one may have fewer."""

    @property
    def n_batches(self) -> int | None:
        """How many batches an epoch has, where that is known."""

    @property
    def is_in_memory(self) -> bool:
        """Whether all of it is at hand at once, and has been checked."""

    @property
    def is_shuffled(self) -> bool:
        """Whether an epoch draws random numbers."""

    @property
    def head(self) -> Pair:
        """Some samples, of which models and losses are traced: all that are at hand, or those of the first batch."""

    @property
    def shapes(self) -> tuple[str, str]:
        """Of a sample and a target, in words."""

    def epoch(self, random: np.random.Generator) -> Epoch:
        """The batches of an epoch, which are drawn by these random numbers."""


# Tables: X and y


class _InMemory:
    """Rows that are there, and have been checked."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> str:
        return row_shape(listed(self.rows[:1])[0])

    def take(self, places: slice | Order) -> Rows:
        if isinstance(self.rows, np.ndarray):
            return self.rows[places]
        return self.rows[places] if isinstance(places, slice) else [self.rows[place] for place in places.tolist()]


class _OnDisk:
    """Rows in files, which are read and checked when they are taken."""

    def __init__(self, where: str, rows: Any, name: str) -> None:
        self._where, self._rows, self._name = where, rows, name
        if rows.dtype.kind not in "fiub" or rows.ndim not in (1, 2):
            kind = f"{rows.ndim} axes of {rows.dtype}"
            raise ValueError(f"{where}: expected {name} to be rows of numbers, got an array with {kind}")
        if 0 in rows.shape:
            raise ValueError(f"{where}: expected {name} to hold at least one sample, got none")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> str:
        return "a plain number" if self._rows.ndim == 1 else f"a row of {self._rows.shape[1]}"

    def take(self, places: slice | Order) -> Rows:
        if isinstance(places, slice):
            rows = np.asarray(self._rows[places], dtype=np.float64)
        else:
            ascending = np.argsort(places)  # what lies close together in a file is read together
            rows = np.empty((len(places), *self._rows.shape[1:]))
            rows[ascending] = self._rows[places[ascending]]
        if not np.isfinite(rows).all():
            row = int(np.argwhere(~np.isfinite(rows))[0][0])
            number = int(places[row]) if isinstance(places, np.ndarray) else places.start + row
            bad = np.ravel(rows[row])
            raise ValueError(
                f"{self._where}: expected finite numbers in {self._name},"
                f" got {float(bad[~np.isfinite(bad)][0])} in {self._name}[{number}]"
            )
        return rows


class Table:
    """X and y as a whole: batch_size samples at a time, or all; drawn anew each epoch, or in their order."""

    def __init__(
        self, samples: _InMemory | _OnDisk, targets: _InMemory | _OnDisk, batch_size: int | None, is_shuffled: bool
    ) -> None:
        self._samples, self._targets = samples, targets
        self._size = len(samples)
        self.batch_size = min(batch_size or self._size, self._size)
        self.n_batches = -(-self._size // self.batch_size)
        self.is_in_memory = isinstance(samples, _InMemory) and isinstance(targets, _InMemory)
        self.is_shuffled = is_shuffled

    @property
    def head(self) -> Pair:
        return self._take(slice(0, self._size if self.is_in_memory else self.batch_size))

    @property
    def shapes(self) -> tuple[str, str]:
        return self._samples.shape, self._targets.shape

    def epoch(self, random: np.random.Generator) -> Epoch:
        order = random.permutation(self._size) if self.is_shuffled else None
        return Epoch(order, self._batches(order))

    def as_a_whole(self) -> "Table":
        """One batch of all, where that is in memory."""
        return Table(self._samples, self._targets, None, self.is_shuffled) if self.is_in_memory else self

    def _batches(self, order: Order | None) -> Iterator[Batch]:
        for first in range(0, self._size, self.batch_size):
            end = min(first + self.batch_size, self._size)
            yield self._batch(first, end, slice(first, end) if order is None else order[first:end])

    def _batch(self, first: int, end: int, places: slice | Order) -> Batch:
        def number_of(place: int) -> int:
            return int(places[place]) if isinstance(places, np.ndarray) else first + place

        def take(part: slice) -> Pair:
            return self._take(
                places[part] if isinstance(places, np.ndarray) else slice(first + part.start, first + part.stop)
            )

        return Batch(first, end, take, number_of)

    def _take(self, places: slice | Order) -> Pair:
        return Pair(self._samples.take(places), self._targets.take(places))


def read_table(
    where: str,
    X: Any,  # noqa: N803  # as in the sources, and in every library of the field
    y: Any,
    names: tuple[str, str],
    batch_size: int | None,
    is_shuffled: bool,
) -> Table:
    """X and y, lists, arrays or frames, or arrays in files. Raises ValueError or TypeError that names the argument."""
    samples, targets = (_read_side(where, data, name) for data, name in zip((X, y), names, strict=True))
    check_pairs(where, samples, targets, names)
    return Table(samples, targets, batch_size, is_shuffled)


def _read_side(where: str, data: Any, name: str) -> _InMemory | _OnDisk:
    if isinstance(data, np.memmap | ArrayFiles):
        return _OnDisk(where, data, name)
    return _InMemory(read_rows(where, data, name))


# Streams: batches as they come


class Stream:
    """Batches, each a pair (X, y), in the order in which they come.

    batches: an iterable that can be gone through again each epoch, or a function that returns one, without arguments
    or of a NumPy generator, by which it may shuffle. An iterator, such as a generator, lasts for one epoch.
    check_batch: called with the place of each batch, from 1, and its size, and with size 0 at the end of an epoch.
    """

    batch_size = None
    is_in_memory = False

    def __init__(
        self,
        where: str,
        batches: Any,
        name: str,
        random: np.random.Generator,
        epochs: int,
        check_batch: Callable[[int, int], None] = lambda place, size: None,
    ) -> None:
        self._where, self._name, self._check_batch = where, name, check_batch
        self._open, self.is_shuffled = _opener(where, batches, name)
        self.n_batches: int | None = None
        self._shapes: tuple[str, str] | None = None
        beginning = self._begin(copy.deepcopy(random))
        if beginning is batches and epochs > 1:
            raise ValueError(
                f"{where}: expected {name} to be batches that can be gone through {epochs} times, such as a list, or a"
                f" function that returns a generator, got {describe(batches)}"
            )
        first = next(beginning, None)
        if first is None:
            raise ValueError(f"{where}: expected at least one batch in {name}, got none")
        self.head = self._read(first, 1)
        self._begun: tuple[Iterator[Any], Any] | None = beginning, first

    def _begin(self, random: np.random.Generator) -> Iterator[Any]:
        opened = self._open(random)
        if not isinstance(opened, Iterable):
            raise TypeError(f"{self._where}: expected {self._name} to return batches, got {describe(opened)}")
        return iter(opened)

    def _opened(self, random: np.random.Generator) -> Iterator[Any]:
        """The batches of an epoch: with the first, where they are one iterator, which has given it already."""
        opened = self._begin(random)
        begun, self._begun = self._begun, None
        return chain([begun[1]], opened) if begun is not None and begun[0] is opened else opened

    @property
    def shapes(self) -> tuple[str, str]:
        """Of a sample and a target."""
        assert self._shapes is not None  # since the first batch was read
        return self._shapes

    def epoch(self, random: np.random.Generator) -> Epoch:
        return Epoch(None, self._batches(random))

    def _batches(self, random: np.random.Generator) -> Iterator[Batch]:
        first, place = 0, 0
        for place, each in enumerate(self._opened(random), start=1):
            pair = self._read(each, place)
            self._check_batch(place, len(pair.samples))
            yield _batch_of(pair, first)
            first += len(pair.samples)
        self._check_batch(place + 1, 0)
        if not place:
            raise ValueError(
                f"{self._where}: expected {self._name} to be batches that can be gone through again, got none"
            )
        self.n_batches = place

    def _read(self, each: Any, place: int) -> Pair:
        where = f"{self._where}, batch {place}"
        if not isinstance(each, tuple | list) or len(each) != 2:
            raise TypeError(f"{where}: expected a pair (X, y) in {self._name}, got {describe(each)}")
        pair = Pair(*(read_rows(where, rows, name) for rows, name in zip(each, ("X", "y"), strict=True)))
        check_pairs(where, *pair, ("X", "y"))
        shapes = row_shape(listed(pair.samples[:1])[0]), row_shape(listed(pair.targets[:1])[0])
        self._shapes = self._shapes or shapes
        for name, found, wanted in zip(("X", "y"), shapes, self._shapes, strict=True):
            if found != wanted:
                raise ValueError(f"{where}: expected {wanted} in {name}, as in batch 1, got {found}")
        return pair


def _batch_of(pair: Pair, first: int) -> Batch:
    end = first + len(pair.samples)
    return Batch(first, end, lambda part: Pair(pair.samples[part], pair.targets[part]), lambda place: first + place)


def is_stream(X: Any) -> bool:  # noqa: N803
    """Whether X, where no y is given, is batches: a function, or pairs, or what has to be gone through to know."""
    if isinstance(X, list | tuple):
        return bool(X) and isinstance(X[0], list | tuple) and len(X[0]) == 2 and not np.isscalar(X[0][0])
    return callable(X) or (
        isinstance(X, Iterable) and not isinstance(X, str | bytes | dict) and not hasattr(X, "shape")
    )


def _opener(where: str, batches: Any, name: str) -> tuple[Callable[[np.random.Generator], Iterable[Any]], bool]:
    """What begins an epoch, and whether it takes random numbers."""
    if not callable(batches):
        return lambda random: batches, False
    try:
        parameters = [
            parameter
            for parameter in inspect.signature(batches).parameters.values()
            if parameter.default is parameter.empty and parameter.kind in (0, 1)  # positional
        ]
    except (TypeError, ValueError):
        parameters = []
    if len(parameters) > 1:
        raise TypeError(
            f"{where}: expected {name} to be a function without arguments, or of a random generator, got"
            f" {describe(batches)}"
        )
    return (batches, True) if parameters else (lambda random: batches(), False)

"""The arguments of a compiled function: nested numbers as groups of leaves, and arrays in their place at each call."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd_mini.compiled.scalars import Group
from autograd_mini.engine import NUMBER_TYPES, shorten
from autograd_mini.graph import Node
from autograd_mini.nested import Numbers, flatten, holds_containers, map_numbers, reshape

Array = NDArray[Any]


@dataclass
class Argument:
    """One argument: where its groups of numbers are in it, from its example."""

    name: str
    example: Numbers
    """With a number, or a `Value`, for each leaf."""

    def __post_init__(self) -> None:
        self.parts = list(_parts(self.name, self.example, ()))
        paths = [part.path for part in self.parts]
        self._has_lists = not all(part.is_array for part in self.parts)
        self._has_dicts = _has_dicts(self.example)
        self._is_one = paths == [()]
        self._keys = (
            list(self.example) if isinstance(self.example, dict) and all(len(each) == 1 for each in paths) else None
        )

    def groups(self) -> list[Group]:
        """The groups of leaves."""
        return [part.group for part in self.parts]

    def numbers(self) -> list[float]:
        """The numbers of the example, leaf by leaf."""
        return [_to_float(number, name) for name, number in flatten(self.example, self.name)]

    def filled(self, leaves: Iterator[Any]) -> Any:
        """The argument with these in the place of its numbers."""
        return reshape(leaves, like=self.example)

    def check_keys(self, given: Any) -> None:
        """Raise ValueError where dicts lack keys of the example, or have others."""
        if self._has_dicts:
            _check_keys(self.name, self.example, given)

    def shaped(self, arrays: list[Array]) -> Any:
        """Arrays of the groups, in their shapes or with the batch behind, in the form of the argument."""
        if self._has_lists:
            arrays = [part.shaped(array) for part, array in zip(self.parts, arrays, strict=True)]
        if self._keys is not None:
            return dict(zip(self._keys, arrays, strict=True))
        return arrays[0] if self._is_one else _rebuilt(self.example, iter(arrays))


_NOTHING = object()


class Part:
    """A group of leaves in an argument: a number, an array, or nested lists of the same lengths."""

    def __init__(self, name: str, path: tuple[Any, ...], example: Any, shape: tuple[int, ...]) -> None:
        self.group = Group(name, shape)
        self.path = path
        self._example = example
        self.is_array = isinstance(example, np.ndarray)
        self._has_tuples = _has_tuples(example)
        self._last: tuple[object, Array] = _NOTHING, np.zeros(0)

    def read(self, argument: Any, dtype: np.dtype[Any]) -> Array:
        """Its numbers in the argument of a call, as an array of shape (size,), or (size, batch) with one axis more."""
        given = self.at(argument)
        last_given, last_read = self._last
        if given is last_given:
            return last_read
        try:
            array = np.asarray(given, dtype=dtype)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(self.expectation(given)) from None
        read: Array = self.flat(array)
        if read.ndim == 1 and is_view(read, given):
            self._last = given, read  # so that it is known again
        return read

    def at(self, argument: Any) -> Any:
        """What stands in its place in the argument of a call."""
        for key in self.path:
            argument = self._item(argument, key)
        return argument

    def flat(self, array: Any) -> Any:
        """An array, also one of JAX's, of shape (size,), or (size, batch) with one axis more. ValueError for others."""
        group = self.group
        if array.shape == group.shape:
            return array.reshape(group.size)
        if array.ndim == 0 or array.shape[:-1] != group.shape:
            raise ValueError(f"compiled: expected {group.name} of shape {self._shapes()}, got shape {array.shape}")
        if array.shape[-1] == 0:
            raise ValueError(f"compiled: expected at least one sample in {group.name}, got none")
        return array.reshape(group.size, array.shape[-1])

    def expectation(self, given: Any) -> str:
        """What is said of numbers that are none."""
        return f"compiled: expected numbers of shape {self._shapes()} as {self.group.name}, got {_shown(given)}"

    def _item(self, given: Any, key: Any) -> Any:
        try:
            return given[key]
        except (TypeError, KeyError, IndexError):
            raise ValueError(f"compiled: expected {self.group.name}, got none: {_shown(given)}") from None

    def _shapes(self) -> str:
        shape = self.group.shape
        return f"{shape} or {(*shape, 'batch')}".replace("'", "")

    def shaped(self, array: Array) -> Any:
        """An array in the form in which its group is given: lists of plain numbers, if it is, and there is no batch."""
        if self.is_array or array.ndim > len(self.group.shape):
            return array
        return reshape(iter(array.ravel().tolist()), like=self._example) if self._has_tuples else array.tolist()


def check_count(arguments: Sequence[Argument], given: Sequence[Any]) -> None:
    """Raise TypeError for another number of arguments."""
    if len(given) != len(arguments):
        names = ", ".join(argument.name for argument in arguments)
        raise TypeError(f"compiled: expected {len(arguments)} arguments, {names}, got {len(given)}")


def read_parts(
    arguments: Sequence[Argument], given: Sequence[Any], read: Callable[[Part, Any], Any]
) -> tuple[list[Any], Any]:
    """An array for each group, by a function of its part and the argument of a call, and the size of the batch.

    The size is None where no array has the batch axis. Raises ValueError where they differ.
    """
    for argument, each in zip(arguments, given, strict=True):
        argument.check_keys(each)
    arrays = []
    batch = None
    for argument, each in zip(arguments, given, strict=True):
        for part in argument.parts:
            array = read(part, each)
            arrays.append(array)
            if array.ndim == 2 and array.shape[1] != batch:
                if batch is not None:
                    raise ValueError(
                        f"compiled: expected a batch of {batch} in {part.group.name}, got {array.shape[1]}"
                    )
                batch = array.shape[1]
    return arrays, batch


def is_view(array: Array, given: Any) -> bool:
    """Whether what is written into the array that was given is seen in the other."""
    if not isinstance(given, np.ndarray):
        return False
    return array is given or array.base is given or (array.base is not None and array.base is given.base)


def _parts(name: str, example: Any, path: tuple[Any, ...]) -> Iterator[Part]:
    shape = _shape(example)
    if shape is not None:
        yield Part(name, path, example, shape)
    elif isinstance(example, dict):
        for key, item in example.items():
            yield from _parts(f"{name}[{key!r}]", item, (*path, key))
    else:
        for place, item in enumerate(example):
            yield from _parts(f"{name}[{place}]", item, (*path, place))


def _shape(example: Any) -> tuple[int, ...] | None:
    """The shape of a number, an array or lists of equal lengths; None for a dict and for uneven lists."""
    if isinstance(example, np.ndarray):
        shape: tuple[int, ...] = example.shape
        return shape
    if isinstance(example, dict):
        return None
    if not isinstance(example, (list, tuple)):
        return ()
    if not holds_containers(example):
        return (len(example),)
    shapes = {_shape(item) for item in example} if not any(isinstance(item, np.ndarray) for item in example) else {None}
    inner = shapes.pop()
    return None if shapes or inner is None else (len(example), *inner)


def _check_keys(name: str, example: Any, given: Any) -> None:
    if isinstance(example, dict):
        if not isinstance(given, dict) or given.keys() != example.keys():
            keys = list(given) if isinstance(given, dict) else _shown(given)
            raise ValueError(f"compiled: expected {name} to be a dict of {list(example)}, got {keys}")
        for key, item in example.items():
            _check_keys(f"{name}[{key!r}]", item, given[key])
    elif isinstance(example, (list, tuple)) and _shape(example) is None:
        for place, (item, each) in enumerate(zip(example, given, strict=False)):
            _check_keys(f"{name}[{place}]", item, each)


def _has_dicts(example: Any) -> bool:
    if isinstance(example, (list, tuple)):
        return holds_containers(example) and any(map(_has_dicts, example))
    return isinstance(example, dict)


def _has_tuples(example: Any) -> bool:
    if isinstance(example, list):
        return holds_containers(example) and any(map(_has_tuples, example))
    return isinstance(example, tuple)


def _rebuilt(example: Any, shaped: Iterator[Any]) -> Any:
    if _shape(example) is not None:
        return next(shaped)
    if isinstance(example, dict):
        return {key: _rebuilt(item, shaped) for key, item in example.items()}
    items = [_rebuilt(item, shaped) for item in example]
    return tuple(items) if isinstance(example, tuple) else items


def _to_float(number: Any, name: str) -> float:
    if isinstance(number, Node):
        return number._data
    if not isinstance(number, NUMBER_TYPES):
        raise TypeError(f"compile_graph: expected numbers in {name}, got {type(number).__name__} {shorten(number)}")
    return float(number)


def _shown(given: Any) -> str:
    return f"{type(given).__name__} {shorten(given)}"


def plain(example: Numbers) -> Numbers:
    """A copy of nested numbers that nobody else can change."""
    return map_numbers(lambda number: number, example)

"""Nested lists, tuples, dicts and arrays of numbers, the shape in which functions take their arguments."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Numbers = Any
"""A number, or nested lists, tuples, dicts (of any keys) or NumPy arrays of numbers."""


def map_numbers(function: Callable[[Any], Any], numbers: Numbers) -> Any:
    """Apply function to every number, left to right, keeping the shape: lists, tuples, dicts and arrays stay such.

    The values of a dict come in its own order, and keep their keys.
    """
    if isinstance(numbers, np.ndarray):
        return _array([function(number) for number in numbers.ravel().tolist()], numbers.shape)
    if isinstance(numbers, list):
        return [map_numbers(function, number) for number in numbers]
    if isinstance(numbers, tuple):
        return tuple(map_numbers(function, number) for number in numbers)
    if isinstance(numbers, dict):
        return {key: map_numbers(function, number) for key, number in numbers.items()}
    return function(numbers)


def _array(items: list[Any], shape: tuple[int, ...]) -> Any:
    """Floats, or arrays of them, as one array of floats; anything else, `Value`s above all, as an array of objects."""
    if all(isinstance(item, float) for item in items):
        return np.array(items, dtype=float).reshape(shape)
    if all(isinstance(item, np.ndarray) and item.dtype == float for item in items):
        return np.stack(items).reshape(shape + items[0].shape)
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array.reshape(shape)


def listed(numbers: Numbers) -> list[Any]:
    """Every number, in the order of `map_numbers`."""
    if isinstance(numbers, np.ndarray):
        found: list[Any] = numbers.ravel().tolist()
        return found
    if isinstance(numbers, dict):
        numbers = list(numbers.values())
    if not isinstance(numbers, list | tuple):
        return [numbers]
    return [each for number in numbers for each in listed(number)] if holds_containers(numbers) else list(numbers)


def holds_containers(numbers: list[Any] | tuple[Any, ...]) -> bool:
    """Whether a list holds lists, tuples, dicts or arrays; most are long and hold none."""
    return any(issubclass(kind, list | tuple | dict | np.ndarray) for kind in set(map(type, numbers)))


def flatten(numbers: Numbers, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number with its name, such as `W[0][1]` or `layer['W'][0]`, in the order of `map_numbers`."""
    if isinstance(numbers, list | tuple | np.ndarray):
        for index, number in enumerate(numbers):
            yield from flatten(number, f"{name}[{index}]")
    elif isinstance(numbers, dict):
        for key, number in numbers.items():
            yield from flatten(number, f"{name}[{key!r}]")
    else:
        yield name, numbers


def reshape(flat: Iterator[Any], like: Numbers) -> Any:
    """The items of flat, in order, in the shape of `like`."""
    return map_numbers(lambda _: next(flat), like)

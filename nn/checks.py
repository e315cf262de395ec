"""What the functions of `nn` do with an argument: arrays become lists, and a wrong one is named in one line."""

import reprlib
from typing import Any

import numpy as np

from autograd_mini import Value


def describe(thing: object) -> str:
    """The type and the beginning of the text of what came, for the end of an error message."""
    return f"{type(thing).__name__} {' '.join(reprlib.repr(thing).split())}"


def plural(count: int, noun: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def without_arrays(thing: Any) -> Any:
    """Arrays, and whatever turns into one (a NumPy scalar, a data frame), as lists and floats; else as it came."""
    return np.asarray(thing).tolist() if hasattr(thing, "__array__") else thing


def as_number(thing: object, expected: str) -> Value | float:
    """A `Value` as it is, any other number as a float. Raises TypeError, `expected` and what came, for the rest."""
    if isinstance(thing, Value):
        return thing
    try:
        return Value(thing).data  # type: ignore[arg-type]  # the engine knows what a number is, and says so
    except TypeError:
        raise TypeError(f"{expected}, got {describe(thing)}") from None


def positive_int(number: object, expected: str) -> int:
    """A Python or NumPy integer above 0. Raises TypeError for another type (bool too), ValueError below 1."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        raise TypeError(f"{expected}, got {describe(number)}")
    if number < 1:
        raise ValueError(f"{expected}, got {number}")
    return int(number)

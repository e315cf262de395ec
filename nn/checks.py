"""What the functions of `nn` do with an argument: arrays become lists, and a wrong one is named in one line."""

import reprlib
from typing import Any

import numpy as np

from autograd_mini import Value


def describe(thing: object) -> str:
    """The type and the beginning of the text of what came, for the end of an error message."""
    return f"{type(thing).__name__} {on_one_line(' '.join(reprlib.repr(thing).split()))}"


def shown(text: str) -> str:
    """A text that came, in quotes, on one line, not too long."""
    return _SHORT.repr(text)


_SHORT = reprlib.Repr()
_SHORT.maxstring = 60


def on_one_line(text: str) -> str:
    """A text out of a file, without quotes: what a terminal might obey is escaped, and what is long is cut."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


_LONGEST = 200


def plural(count: int, noun: str) -> str:
    """`1 input`, `2 inputs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def without_arrays(thing: Any) -> Any:
    """Arrays, and whatever turns into one (a NumPy scalar, a data frame), as lists and floats; else as it came."""
    return np.asarray(thing).tolist() if hasattr(thing, "__array__") else thing


def as_number(thing: object, expected: str) -> Value | float:
    """A `Value` as it is, any other number as a float. Raises TypeError, `expected` and what came, for the rest, and
    ValueError for an integer beyond the floats."""
    if isinstance(thing, Value):
        return thing
    try:
        return Value(thing).data  # type: ignore[arg-type]  # the engine knows what a number is, and says so
    except TypeError:
        raise TypeError(f"{expected}, got {describe(thing)}") from None
    except OverflowError:
        raise ValueError(f"{expected} below 1.8e308, got an integer beyond it") from None


def flatten(numbers: Any, where: str, name: str, flat: list[Value | float]) -> tuple[int, ...]:
    """Append the numbers of nested lists to `flat`, and return their shape.

    Raises ValueError for rows of unequal length, TypeError for what is not a number.
    """
    numbers = without_arrays(numbers)
    if not isinstance(numbers, (list, tuple)):
        flat.append(as_number(numbers, f"{where}: expected numbers in {name}"))
        return ()
    shapes = [flatten(row, where, name, flat) for row in numbers]
    for place, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"{where}: expected rows of equal length in {name}, got shape {shapes[0]} first and {shape} at {place}"
            )
    return (len(shapes), *(shapes[0] if shapes else ()))


def place_in(name: str, shape: tuple[int, ...], index: int) -> str:
    """Where the number stands that `flatten` put at that index: `targets[2][0]`."""
    return name + "".join(f"[{each}]" for each in np.unravel_index(index, shape))


def positive_int(number: object, expected: str) -> int:
    """A Python or NumPy integer above 0. Raises TypeError for another type (bool too), ValueError below 1."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        raise TypeError(f"{expected}, got {describe(number)}")
    if number < 1:
        raise ValueError(f"{expected}, got {number}")
    return int(number)

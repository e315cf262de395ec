"""`Settings`: the numbers that optimizers and schedules are made with, checked whenever they are assigned."""

import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np

from nn.checks import as_number, describe, positive_int

Check: TypeAlias = Callable[[Any, str], Any]
"""Turns what came into what is kept, or raises with a message that begins with the text: "SGD: expected momentum"."""


@dataclass(eq=False, repr=False)
class Settings:
    """A dataclass whose fields are checked at every assignment, by the row of `checks` with the field's name."""

    checks: ClassVar[Mapping[str, Check]] = {}

    def __setattr__(self, name: str, thing: object) -> None:
        if name in self.checks:
            thing = self.checks[name](thing, f"{type(self).__name__}: expected {name}")
        super().__setattr__(name, thing)

    def settings(self) -> dict[str, Any]:
        """Every field by its name, in the order of the arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __repr__(self) -> str:
        shown = []
        for place, field in enumerate(fields(self)):
            setting = getattr(self, field.name)
            if place == 0:
                shown.append(repr(setting))
            elif field.default is MISSING or setting != field.default:
                shown.append(f"{field.name}={setting!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


# Checks


def any_number(thing: Any, expected: str) -> float:
    """A real number, NaN and infinities too."""
    return float(as_number(thing, f"{expected} to be a number"))


def _number(condition: str, holds: Callable[[float], bool]) -> Check:
    def check(thing: Any, expected: str) -> float:
        number = any_number(thing, expected)
        if not holds(number):
            raise ValueError(f"{expected} to be {condition}, got {number}")
        return number

    return check


not_negative = _number("a finite number of 0 or more", lambda number: 0 <= number < math.inf)
positive = _number("a number above 0", lambda number: number > 0)
positive_finite = _number("a finite number above 0", lambda number: 0 < number < math.inf)
below_one = _number("a number from 0 to below 1", lambda number: 0 <= number < 1)
from_zero_to_one = _number("a number from 0 to 1", lambda number: 0 <= number <= 1)
zero_or_more = _number("0 or more", lambda number: not number < 0)  # infinity too, and NaN
above_zero_to_one = _number("a number above 0, at most 1", lambda number: 0 < number <= 1)


def truth(thing: Any, expected: str) -> bool:
    """True or False."""
    if not isinstance(thing, (bool, np.bool_)):
        raise TypeError(f"{expected} to be True or False, got {describe(thing)}")
    return bool(thing)


def whole_number(thing: Any, expected: str) -> int:
    """An int of 1 or more."""
    return positive_int(thing, f"{expected} to be a positive int")


def count(thing: Any, expected: str) -> int:
    """A Python or NumPy integer from 0 to 2⁵³, beyond which floats no longer count."""
    if isinstance(thing, bool) or not isinstance(thing, (int, np.integer)):
        raise TypeError(f"{expected} to be an int of 0 or more, got {describe(thing)}")
    if not 0 <= thing <= 2**53:
        raise ValueError(f"{expected} to be an int from 0 to 2**53, got {reprlib.repr(int(thing))}")
    return int(thing)


def optional(check: Check) -> Check:
    """None, or what the check accepts."""
    return lambda thing, expected: None if thing is None else check(thing, expected)


def check_keys(thing: Any, expected: str, keys: Iterable[str]) -> dict[str, Any]:
    """A dict with these keys and no others, as part of a state that is loaded."""
    if not isinstance(thing, Mapping):
        raise TypeError(f"{expected} to be a dict, got {describe(thing)}")
    if set(thing) != set(keys):
        raise ValueError(f"{expected} to have the keys {', '.join(keys)}, got {describe(list(thing))}")
    return dict(thing)

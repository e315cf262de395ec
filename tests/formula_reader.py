"""Formulas of the walkthrough read back from their text and evaluated, so that a wrong parenthesis shows as a number.

The reader knows what a person knows: a·b binds tighter than a / b, that tighter than + and −, and a minus stands only
where a formula or a parenthesis begins. So a / b·c is a / (b·c), and 2 + −1 is no formula.
"""

import re
from collections.abc import Callable, Mapping

from autograd_mini.formula import MINUS
from autograd_mini.ops import DIV, MUL, POW, TABLE, evaluate

_NUMBER = re.compile(r"(\d+(\.\d+)?(e[+-]?\d+)?)|∞|NaN")
_FUNCTIONS = {op.symbol: op for op in TABLE.values() if not op.is_operator}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    " = ": lambda x, y: x == y,
    " < ": lambda x, y: x < y,
    " ≤ ": lambda x, y: x <= y,
    " > ": lambda x, y: x > y,
    " ≥ ": lambda x, y: x >= y,
}


def value_of(text: str, names: Mapping[str, float] | None = None) -> float:
    """The number that a formula stands for, with the numbers of the names in it."""
    reader = _Reader(text, names or {})
    result = reader.cases()
    if reader.rest:
        raise ValueError(f"{text!r} cannot be read beyond {len(text) - len(reader.rest)}: {reader.rest!r}")
    return result


class _Reader:
    """What is left of a formula while it is read from left to right."""

    def __init__(self, text: str, names: Mapping[str, float]) -> None:
        self.rest = text
        self.names = {name: names[name] for name in sorted(names, key=len, reverse=True)}

    def take(self, start: str) -> bool:
        if not self.rest.startswith(start):
            return False
        self.rest = self.rest[len(start) :]
        return True

    def expect(self, start: str) -> None:
        if not self.take(start):
            raise ValueError(f"expected {start!r}, got {self.rest!r}")

    def cases(self) -> float:
        """1 if x > 0, else 2."""
        result = self.sum()
        if not self.take(" if "):
            return result
        condition = self.condition()
        self.expect(", else ")
        otherwise = self.cases()
        return result if condition else otherwise

    def condition(self) -> bool:
        result = self.comparison()
        while self.take(" and "):
            result = self.comparison() and result
        return result

    def comparison(self) -> bool:
        left = self.sum()
        for sign, compare in _COMPARISONS.items():
            if self.take(sign):
                return compare(left, self.sum())
        raise ValueError(f"expected a comparison, got {self.rest!r}")

    def sum(self) -> float:
        result = -self.quotient() if self.take(MINUS) else self.quotient()
        while True:
            if self.take(" + "):
                result += self.quotient()
            elif self.take(f" {MINUS} "):
                result -= self.quotient()
            else:
                return result

    def quotient(self) -> float:
        result = self.product()
        while self.take(" / "):
            result = evaluate(DIV.forward, result, self.product())
        return result

    def product(self) -> float:
        result = self.power()
        while self.take("·"):
            result = evaluate(MUL.forward, result, self.power())
        return result

    def power(self) -> float:
        result = self.atom()
        return evaluate(POW.forward, result, self.atom()) if self.take("^") else result

    def atom(self) -> float:
        for name, x in self.names.items():
            if self.take(name):
                return x
        if self.take("("):
            return self.closed(")")
        if self.take("|"):
            return abs(self.closed("|"))
        found = _NUMBER.match(self.rest)
        if found:
            self.rest = self.rest[found.end() :]
            return float(found[0].replace("∞", "inf"))
        for symbol, op in sorted(_FUNCTIONS.items(), key=lambda item: len(item[0]), reverse=True):
            if self.take(f"{symbol}("):
                operands = [self.cases()]
                while self.take(", "):
                    operands.append(self.cases())
                self.expect(")")
                return evaluate(op.forward, *operands)
        raise ValueError(f"expected a name or a number, got {self.rest!r}")

    def closed(self, end: str) -> float:
        result = self.cases()
        self.expect(end)
        return result

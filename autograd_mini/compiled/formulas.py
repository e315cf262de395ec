"""Formulas of rows as NumPy statements that write into arrays that are there."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from autograd_mini.ops import NUMPY
from autograd_mini.source_code import Expression

FUNCTIONS = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "negative": "negative",
    "abs": "absolute",
    "pow": "power",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "and": "logical_and",
    **{name: name for name in ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "erf", "erfc")},
}
"""The function that computes each kind of expression: NumPy's, and of the error functions ours."""

_CONDITIONS = ("<", "<=", ">", ">=", "and")


# Before: what is known is computed


def simplified(formula: Expression, numbers: Mapping[str, float]) -> Expression:
    """The formula with these numbers for some of its names, and what follows from them done."""
    if formula.kind == "name":
        known = numbers.get(str(formula.content))
        return formula if known is None else _number(known)
    if formula.kind == "number":
        return formula
    operands = [simplified(operand, numbers) for operand in formula.operands]
    if formula.kind == "where" and operands[0].kind == "number":
        return operands[1] if operands[0].content else operands[2]
    constants = [operand.content for operand in operands if operand.kind == "number"]
    if len(constants) == len(operands):
        return _number(_folded(formula.kind, constants))
    if formula.kind == "and" and constants:
        return next(operand for operand in operands if operand.kind != "number") if constants[0] else _number(0.0)
    if formula.kind == "*" and 1.0 in constants:
        return operands[operands[0].kind == "number"]
    plainer = _plainer_power(formula.kind, operands)
    return Expression(formula.kind, operands) if plainer is None else plainer


def _plainer_power(kind: str, operands: list[Expression]) -> Expression | None:
    """Powers and quotients that are less than that."""
    base, exponent = operands[0], operands[-1].content if operands[-1].kind == "number" else None
    if kind in ("/", "pow") and exponent == 1.0:
        return base
    if kind != "pow":
        return None
    if exponent == 0.0:
        return _number(1.0)
    if exponent == 2.0:
        return base * base
    if exponent == 3.0:
        return base * base * base
    if exponent == 0.5:  # NumPy's power takes the root of a single 0.5, and that is NaN at -inf and -0.0 at -0.0
        return Expression("where", [base <= -math.inf, _number(math.inf), Expression("sqrt", [base]) + 0.0])
    return 1.0 / base if exponent == -1.0 else None


def _number(number: float) -> Expression:
    return Expression("number", content=float(number))


def _folded(kind: str, numbers: list[Any]) -> float:
    return float(computed(kind, map(np.float64, numbers)))


def computed(kind: str, operands: Iterable[Any]) -> Any:
    """An expression of that kind, or a row of that name, of numbers or arrays."""
    function = getattr(np, FUNCTIONS.get(kind, kind), None) or getattr(NUMPY, kind)
    with np.errstate(all="ignore"):
        return function(*operands)


# Statements


class Writer:
    """Writes statements; asks for arrays for what lies between, and uses them again when nothing needs them."""

    def __init__(self, names: Mapping[str, str], new_array: Callable[[bool], str]) -> None:
        self.lines: list[str] = []
        self._names = names
        self._new_array = new_array
        self._known: dict[tuple[Any, ...], str] = {}
        self._uses: dict[tuple[Any, ...], int] = {}
        self._free: list[str] = []

    def write(self, formula: Expression, target: str) -> None:
        """Statements that compute a simplified formula into the target."""
        self._count(formula)
        result = self._write(formula, target)
        if result != target:
            self.lines.append(f"copyto({target}, {result})")

    def _count(self, formula: Expression) -> None:
        self._uses[formula.key] = self._uses.get(formula.key, 0) + 1
        if self._uses[formula.key] == 1:
            for operand in formula.operands:
                self._count(operand)

    def _write(self, formula: Expression, target: str | None = None) -> str:
        if formula.kind == "number":
            return repr(formula.content)
        if formula.kind == "name":
            return self._names[str(formula.content)]
        if formula.key not in self._known:
            operands = [self._write(operand) for operand in formula.operands]
            spent = self._spent(formula)
            is_condition = formula.kind in _CONDITIONS
            if target is not None and not (formula.kind == "where" and target == operands[1]):
                result = target  # a choice writes the other first
            elif spent and not is_condition and formula.kind != "where":
                result = spent[0]
            else:
                result = self._new_array(is_condition) if is_condition or not self._free else self._free.pop()
            self._free += [array for array in spent if array != result]
            if formula.kind == "where":
                condition, one, other = operands
                self.lines += [f"copyto({result}, {other})", f"copyto({result}, {one}, where={condition})"]
            else:
                self.lines.append(f"{FUNCTIONS[formula.kind]}({', '.join(operands)}, {result})")
            self._known[formula.key] = result
        return self._known[formula.key]

    def _spent(self, formula: Expression) -> list[str]:
        """Arrays of ours that nothing needs after this formula."""
        spent = []
        for operand in formula.operands:
            self._uses[operand.key] -= 1
            if self._uses[operand.key] == 0 and operand.key in self._known and operand.kind not in _CONDITIONS:
                spent.append(self._known[operand.key])
        return spent

"""What rows are in NumPy: their own formulas, and shorter ways where NumPy has some."""

from functools import lru_cache

from autograd_mini.compiled.program import Step
from autograd_mini.compiled.scalars import Kind
from autograd_mini.ops import LOGADDEXP, MAXIMUM, MINIMUM, RELU, SIGMOID, SOFTPLUS, TANH, Op, arithmetic
from autograd_mini.source_code import Expression, NotWritableError, rules

_SIGMOID = ("negative({x}, {into})", "exp({into}, {into})", "add(1.0, {into}, {into})", "divide(1.0, {into}, {into})")
"""Below -709.8 the exponential is infinite, and this 0: there the row has what is left of doubles, below 1e-308."""


def _sigmoid(into: str) -> tuple[str, ...]:
    return tuple(line.replace("{into}", into) for line in _SIGMOID)


FORWARD: dict[Kind, tuple[str, ...]] = {
    RELU: ("maximum({x}, 0.0, out={out})",),
    SIGMOID: _sigmoid("{out}"),
    SOFTPLUS: ("logaddexp({x}, 0.0, out={out})",),
    **{op: (f"{op.name}({{x}}, {{y}}, out={{out}})",) for op in (MAXIMUM, MINIMUM, LOGADDEXP)},
}
"""Rows for which NumPy has a function, or a shorter way than their own rule. Tests hold them to their rows."""

PARTIALS: dict[Kind, tuple[str, ...]] = {
    RELU: ("sign({out}, {target})",),  # 1, 0 or NaN
    SIGMOID: (
        "multiply(0.5, {x}, {target})",
        "cosh({target}, {target})",
        "divide(0.5, {target}, {target})",
        "multiply({target}, {target}, {target})",
    ),
    SOFTPLUS: _sigmoid("{target}"),
}
"""The same of derivatives."""

DIVISORS: dict[Kind, tuple[str, ...]] = {TANH: ("cosh({x}, {target})", "multiply({target}, {target}, {target})")}
"""Derivatives that are 1 over something, which costs less than they do: that.

The square is infinite beyond 355, and the derivative 0: there the row has what is left of doubles, below 1e-307.
"""


@lru_cache(maxsize=256)
def formulas_of(op: Op) -> tuple[Expression, list[Expression]] | None:
    """A row's result in x and y, and its derivatives in x, y and out; None where its rules are no formulas."""
    try:
        return rules(op, arithmetic, "out")
    except NotWritableError:
        return None


def known(step: Step) -> dict[str, float]:
    """The operands that are numbers, by their names in the formulas of rows."""
    return {
        letter: operand for letter, operand in zip("xyz", step.operands, strict=False) if isinstance(operand, float)
    }


def needs_result(kind: Kind) -> bool:
    """Whether a derivative of an operation of this kind is computed from its result."""
    return isinstance(kind, Op) and _mentions(kind, "out")


def needs_operand(op: Op, side: int) -> bool:
    """Whether a derivative of an operation is computed from that operand."""
    return _mentions(op, "xy"[side])


def _mentions(op: Op, name: str) -> bool:
    lines = PARTIALS.get(op) or DIVISORS.get(op)
    if lines is not None:
        return any(f"{{{name}}}" in line for line in lines)
    found = formulas_of(op)
    return found is None or any(_names(formula, name) for formula in found[1])


def _names(formula: Expression, name: str) -> bool:
    return formula.content == name or any(_names(operand, name) for operand in formula.operands)

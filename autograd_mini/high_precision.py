"""The gradients of a recorded graph at 50 digits, without the partial derivatives that are on trial."""

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from autograd_mini.graph import Node, differentiate_again
from autograd_mini.ops import FLOAT_ERRORS, Op, Rule, arithmetic

DIGITS = 50

DIGITS_IN_TAILS = 400
"""Enough for the difference of two numbers near 1 whose derivative is the smallest float there is."""


def mpmath_arithmetic(context: Any) -> SimpleNamespace:
    """The rows' arithmetic on the numbers of an mpmath context."""
    functions = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "erf", "erfc")
    return arithmetic(
        {
            "where": lambda condition, x, y: x if condition else y,
            "abs": abs,
            "pow": context.power,
            **{name: getattr(context, name) for name in functions},
        }
    )


class _Numbers:
    """The rows on numbers of so many digits."""

    def __init__(self, digits: int) -> None:
        import mpmath

        context = mpmath.mp.clone()  # ours alone: the precision of mpmath's own numbers is its user's affair
        context.dps = digits
        self.number = context.mpf
        self._arithmetic = mpmath_arithmetic(context)
        self._nan = context.nan
        self._complex = context.mpc

    @staticmethod
    @cache
    def of(digits: int) -> "_Numbers":
        """Made once: it takes a millisecond."""
        return _Numbers(digits)

    def run(self, rule: Rule, *numbers: Any) -> Any:
        """A rule on these numbers; NaN where it leaves the real ones."""
        try:
            result = rule(self._arithmetic, *numbers)
        except FLOAT_ERRORS:
            return self._nan
        return self._nan if isinstance(result, self._complex) else result

    def difference(self, op: Op, operand: int, numbers: list[Any]) -> tuple[Any, Any]:
        """How far the result rises from a step below to a step above one operand, and that step."""
        above = [self.number(number) for number in numbers]
        below = above.copy()
        step = self.number(10) ** -20 * (abs(above[operand]) or 1)
        above[operand] += step
        below[operand] -= step
        return self.run(op.forward, *above) - self.run(op.forward, *below), step


def gradients_at_50_digits(root: Node, leaves: Sequence[Node]) -> list[float] | None:
    """The derivatives of root by each of the leaves; None where mpmath is not installed, or a row cannot run on it.

    The table's partial derivatives are not used: each operation's local derivative is a central difference of its
    own forward rule, whose error at 50 digits and a step of 1e-20 is far below what a float can show.
    """
    try:
        usual, in_tails = _Numbers.of(DIGITS), _Numbers.of(DIGITS_IN_TAILS)
    except ImportError:
        return None

    def partial(op: Op, operand: int, out: Any, numbers: list[Any]) -> Any:
        rise, step = usual.difference(op, operand, numbers)
        if abs(rise) < abs(out) * usual.number(10) ** (20 - DIGITS):  # a tail so flat that its digits have cancelled
            rise, step = in_tails.difference(op, operand, numbers)
        return usual.number(rise / (2 * step))

    def size(op: Op, operand: int, out: Any, numbers: list[Any]) -> Any:
        return abs(partial(op, operand, out, numbers))

    try:
        gradients, sizes = (
            differentiate_again(root, leaves, run=usual.run, convert=usual.number, partial=rule)
            for rule in (partial, size)
        )
    except (TypeError, AttributeError):  # a row of one's own, written for other numbers
        return None
    # Terms that cancel, as in x / x, leave their last digits; a true zero is told by the size of the terms.
    return [
        0.0 if abs(gradient) < terms * usual.number(10) ** (25 - DIGITS) else float(gradient)
        for gradient, terms in zip(gradients, sizes, strict=True)
    ]

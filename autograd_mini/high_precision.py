"""The gradients of a recorded graph at 50 digits, without the partial derivatives that are on trial."""

from collections.abc import Sequence
from typing import Any

from autograd_mini.graph import Node, differentiate_again
from autograd_mini.ops import Op, Rule, arithmetic

DIGITS = 50

DIGITS_IN_TAILS = 400
"""Enough for the difference of two numbers near 1 whose derivative is the smallest float there is."""


def gradients_at_50_digits(root: Node, leaves: Sequence[Node]) -> list[float] | None:
    """The derivatives of root by each of the leaves; None where mpmath is not installed.

    The table's partial derivatives are not used: each operation's local derivative is a central difference of its
    own forward rule, whose error at 50 digits and a step of 1e-20 is far below what a float can show.
    """
    try:
        import mpmath
    except ImportError:
        return None
    functions = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "erf", "erfc")
    high_precision = arithmetic(
        {
            "where": lambda condition, x, y: x if condition else y,
            "abs": mpmath.fabs,
            "pow": mpmath.power,
            **{name: getattr(mpmath, name) for name in functions},
        }
    )

    def run(rule: Rule, *numbers: Any) -> Any:
        try:
            result = rule(high_precision, *numbers)
        except (ArithmeticError, ValueError):
            return mpmath.nan
        return mpmath.nan if isinstance(result, mpmath.mpc) else result  # it has left the real numbers

    def difference(op: Op, operand: int, numbers: list[Any], step: Any) -> Any:
        above, below = numbers.copy(), numbers.copy()
        above[operand] += step
        below[operand] -= step
        return run(op.forward, *above) - run(op.forward, *below)

    def partial(op: Op, operand: int, out: Any, numbers: list[Any]) -> Any:
        step = mpmath.mpf(10) ** -20 * max(1, abs(numbers[operand]))
        rise = difference(op, operand, numbers, step)
        if abs(rise) < abs(out) * mpmath.mpf(10) ** (20 - DIGITS):  # a tail so flat that its digits have cancelled
            with mpmath.workdps(DIGITS_IN_TAILS):
                rise = difference(op, operand, numbers, step)
        return rise / (2 * step)

    def size(op: Op, operand: int, out: Any, numbers: list[Any]) -> Any:
        return abs(partial(op, operand, out, numbers))

    with mpmath.workdps(DIGITS):
        gradients, sizes = (
            differentiate_again(root, leaves, run=run, convert=mpmath.mpf, partial=rule) for rule in (partial, size)
        )
        # Terms that cancel, as in x / x, leave their last digits; a true zero is told by the size of the terms.
        return [
            0.0 if abs(gradient) < terms * mpmath.mpf(10) ** (25 - DIGITS) else float(gradient)
            for gradient, terms in zip(gradients, sizes, strict=True)
        ]

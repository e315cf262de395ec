"""Recording, gradients and copies by their definitions: slow, plainly right, and without a line of the package.

The reference of the state machine. Formulas are the textbook's, in NumPy, which follows IEEE 754.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

Formula = Callable[..., Any]

ROUNDING = 1e-13
"""How far a sum may be off, measured by the sum of its terms' sizes: the order of additions is the engine's own."""


class Number:
    """A number of a graph: a leaf, or a result with the derivatives by its operands, as they were when it was made."""

    def __init__(
        self,
        data: float,
        label: str = "",
        row: str = "",
        operands: tuple["Number | float", ...] = (),
        partials: tuple[float, ...] = (),
        kind: type | None = None,
    ) -> None:
        self.data, self.label, self.row, self.operands, self.partials = data, label, row, operands, partials
        self.kind = kind
        self.grad = 0.0
        self.slack = 0.0
        """How far `grad` may be off; NaN where nobody can say."""


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _normal_cdf(x: Any) -> Any:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _relu(x: Any) -> Any:
    return 0.0 if x <= 0 else x


def _step(x: Any) -> Any:
    return math.nan if math.isnan(x) else 1.0 if x > 0 else 0.0


def _share(x: Any, y: Any) -> Any:
    """How much of max(x, y) is x."""
    return math.nan if math.isnan(x) or math.isnan(y) else 0.5 if x == y else 1.0 if x > y else 0.0


def _softmax(x: Any, y: Any) -> Any:
    return 0.5 if x == y else _sigmoid(x - y)


FORMULAS: dict[str, tuple[Formula, ...]] = {
    "add": (lambda x, y: x + y, lambda x, y: 1.0, lambda x, y: 1.0),
    "sub": (lambda x, y: x - y, lambda x, y: 1.0, lambda x, y: -1.0),
    "mul": (lambda x, y: x * y, lambda x, y: y, lambda x, y: x),
    "div": (lambda x, y: x / y, lambda x, y: 1 / y, lambda x, y: -(x / y) / y),
    "neg": (lambda x: -x, lambda x: -1.0),
    "pow": (
        np.power,
        lambda x, y: 0.0 if y == 0 and not math.isnan(x) else y * np.power(x, y - 1),
        lambda x, y: 0.0 if x == 0 and y >= 0 else np.power(x, y) * np.log(x),
    ),
    "abs": (np.abs, np.sign),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "log1p": (np.log1p, lambda x: 1 / (1 + x)),
    "expm1": (np.expm1, np.exp),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tan": (np.tan, lambda x: 1 / np.cos(x) ** 2),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "softplus": (lambda x: np.logaddexp(0.0, x), _sigmoid),
    "logaddexp": (np.logaddexp, _softmax, lambda x, y: _softmax(y, x)),
    "relu": (_relu, _step),
    "leaky_relu": (
        lambda x, slope: slope * x if x <= 0 else x,
        lambda x, slope: math.nan if math.isnan(x) else slope if x <= 0 else 1.0,
        lambda x, slope: 0.0 if x > 0 else x,
    ),
    "maximum": (np.maximum, _share, lambda x, y: _share(y, x)),
    "minimum": (np.minimum, lambda x, y: _share(y, x), _share),
    "erf": (math.erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "erfc": (math.erfc, lambda x: -2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "gelu": (lambda x: x * _normal_cdf(x), lambda x: _normal_cdf(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)),
}
"""For each row how to compute it, and its derivative by each operand."""


def record(row: str, *operands: Number | float) -> Number:
    """The result of a row on numbers of a graph and constants."""
    numbers = [np.float64(operand.data if isinstance(operand, Number) else operand) for operand in operands]
    with np.errstate(all="ignore"):
        data, *partials = [float(formula(*numbers)) for formula in FORMULAS[row]]
    return Number(data, row=row, operands=operands, partials=tuple(partials))


def order(root: Number) -> list[Number]:
    """Everything that root depends on, each after its operands, the left one first."""
    found: dict[Number, None] = {}

    def visit(number: Number) -> None:
        if number not in found:
            for operand in number.operands:
                if isinstance(operand, Number):
                    visit(operand)
            found[number] = None

    visit(root)
    return list(found)


class _Gradient(NamedTuple):
    value: float
    slack: float


def backward(root: Number) -> None:
    """Give root's derivatives to all that it depends on: leaves add up, results hold those of the last call."""
    numbers = order(root)
    found: dict[Number, _Gradient] = {}
    for number in reversed(numbers):
        found[number] = _gradient(number, root, numbers, found)
    for number, (value, slack) in found.items():
        if number.operands:
            number.grad, number.slack = value, slack
        else:
            number.grad += value
            number.slack += slack + (ROUNDING * abs(number.grad) if math.isfinite(number.grad) else 0.0)


def _gradient(number: Number, root: Number, users: list[Number], found: dict[Number, _Gradient]) -> _Gradient:
    """The chain rule: over all that use a number, the sum of their derivatives times the one by the number."""
    terms = [_Gradient(1.0, 0.0)] if number is root else []
    for user in users:
        for operand, partial in zip(user.operands, user.partials, strict=True):
            if operand is number:
                terms.append(_times(found[user], partial))
    value = sum(term.value for term in terms)
    slack = sum(term.slack for term in terms)
    sizes = sum(abs(term.value) for term in terms)
    if math.isfinite(sizes):
        slack += ROUNDING * sizes
    elif all(math.isfinite(term.value) for term in terms):
        slack = math.nan  # whether it overflows depends on the order
    return _Gradient(value, slack)


def _times(upstream: _Gradient, partial: float) -> _Gradient:
    if upstream.slack == 0 or partial == 0:
        return _Gradient(upstream.value * partial, upstream.slack * 0.0)
    if not math.isfinite(partial) and abs(upstream.value) <= upstream.slack:
        return _Gradient(upstream.value * partial, math.nan)  # 0 times infinity, or an infinity of either sign
    return _Gradient(upstream.value * partial, upstream.slack * abs(partial) if math.isfinite(partial) else 0.0)


def is_near(got: float, expected: float, slack: float) -> bool:
    """Whether a number is what it should be; NaN and infinities exactly."""
    if math.isnan(slack) or repr(got) == repr(expected):
        return True
    if not (math.isfinite(got) and math.isfinite(expected)):
        return math.isnan(got) and math.isnan(expected)
    return abs(got - expected) <= slack + 1e-300


def zero_grad(leaves: Iterable[Number]) -> None:
    """Set gradients to 0."""
    for leaf in leaves:
        leaf.grad = leaf.slack = 0.0


def deep_copies(numbers: Iterable[Number]) -> list[Number]:
    """Copies of whole graphs; what is shared stays shared."""
    copies: dict[Number, Number] = {}

    def copied(number: Number) -> Number:
        if number not in copies:
            operands = tuple(copied(each) if isinstance(each, Number) else each for each in number.operands)
            copies[number] = _with_operands(number, operands)
        return copies[number]

    return [copied(number) for number in numbers]


def shallow_copy(number: Number) -> Number:
    """A second number with the same operands."""
    return _with_operands(number, number.operands)


def _with_operands(number: Number, operands: tuple[Number | float, ...]) -> Number:
    copy = Number(number.data, number.label, number.row, operands, number.partials, number.kind)
    copy.grad, copy.slack = number.grad, number.slack
    return copy

"""The table of operations: one row each, read by the engine, the checker, the pictures and the tests.

A row says how to compute an operation and its partial derivatives. Both are functions of `m`, the arithmetic
in use (floats, NumPy arrays, 50-digit numbers, `Value`s), so each rule is written once and runs on all of them.
Inside a row `==` is never used, because on `Value`s it means identity: compare with `<`, `<=`, `>`, `>=`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

Rule = Callable[..., Any]

_WIDE = (-4.0, 4.0)


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation: how to compute it and its partial derivatives.

    forward(m, *operands) gives the result; partials[i](m, out, *operands) gives its derivative by operand i and
    is handed the result `out`, so nothing is computed twice. One or two operands.
    """

    name: str
    forward: Rule
    partials: tuple[Rule, ...]
    doc: str
    """One line for the docstring of the public function; ties and kinks are stated here."""
    symbol: str = ""
    """What pictures and tables show; the name where empty."""
    parameters: tuple[str, ...] = ("x",)
    """Parameter names of the public function, each with its default where it has one."""
    domain: tuple[tuple[float, float], ...] = (_WIDE,)
    """For each operand, an interval in which the row is defined; tests draw their points there."""
    kink: Rule | None = None
    """A function of the operands that is zero where the row has no derivative."""
    is_operator: bool = False
    """True where Python has an operator for it, so that no function of that name is written."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.partials) <= 2:
            raise ValueError(f"Op {self.name}: expected one or two partials, got {len(self.partials)}")
        if not self.symbol:
            object.__setattr__(self, "symbol", self.name)

    @property
    def arity(self) -> int:
        """How many operands it takes: one or two."""
        return len(self.partials)

    def __repr__(self) -> str:
        return f"Op({self.name})"

    def __reduce__(self) -> tuple[Callable[[str], "Op"], tuple[str]]:
        # Rows hold functions, so a graph is pickled with the names of its rows.
        if TABLE.get(self.name) is not self:
            raise TypeError(f"Op {self.name}: only the rows of the table can be pickled or copied, this one is yours")
        return row, (self.name,)

    def __deepcopy__(self, memo: object) -> "Op":
        return self


def _are_equal(x: Any, y: Any) -> Any:
    """x == y, in a form that `Value`s understand as numbers and arrays element by element."""
    return (x <= y) & (x >= y)


def _power_by_base(m: Any, out: Any, x: Any, y: Any) -> Any:
    # At y = 0 the formula gives 0 by itself, except where x is so near 0 that x**-1 is inf and 0 * inf NaN.
    return m.where(_are_equal(y, 0) & (m.abs(x) < 1e-300), 0.0, y * m.pow(x, y - 1))


def _power_by_exponent(m: Any, out: Any, x: Any, y: Any) -> Any:
    # 0**y stays 0 for every y > 0, though log(0) is -inf; 0 at y = 0 is the choice of PyTorch and JAX.
    return m.where(_are_equal(x, 0) & (y >= 0), 0.0, out * m.log(x))


def _sigmoid(m: Any, x: Any) -> Any:
    # exp only ever sees -|x|, so neither tail overflows and neither loses digits.
    e = m.exp(-m.abs(x))
    return m.where(x >= 0, 1.0, e) / (1.0 + e)


def _larger_share(m: Any, x: Any, y: Any) -> Any:
    """The derivative of max(x, y) by x: 1, 0, one half at a tie, NaN where either is NaN."""
    return m.where(x > y, 1.0, m.where(x < y, 0.0, m.where(x >= y, 0.5, math.nan)))


def _log_add_exp(m: Any, x: Any, y: Any) -> Any:
    # exp only ever sees -|x - y|; the difference of two equal infinities would be NaN.
    gap = m.where(_are_equal(x, y), 0.0, m.abs(x - y))
    return m.maximum(x, y) + m.log1p(m.exp(-gap))


def _softmax_share(m: Any, x: Any, y: Any) -> Any:
    """exp(x) / (exp(x) + exp(y)), the derivative of logaddexp(x, y) by x: one half at two equal infinities."""
    # Not at every tie: there σ(x - y) is one half by itself, and can be differentiated again.
    return m.where(_are_equal(x, y) & (m.abs(x) >= math.inf), 0.5, m.sigmoid(x - y))


def _normal_cdf(m: Any, x: Any) -> Any:
    return 0.5 * m.erfc(-x * math.sqrt(0.5))


_ANY_TWO = (_WIDE, _WIDE)

ADD = Op(
    name="add",
    symbol="+",
    doc="x + y.",
    forward=lambda m, x, y: x + y,
    partials=(lambda m, out, x, y: 1.0, lambda m, out, x, y: 1.0),
    domain=_ANY_TWO,
    is_operator=True,
)
SUB = Op(
    name="sub",
    symbol="−",
    doc="x - y.",
    forward=lambda m, x, y: x - y,
    partials=(lambda m, out, x, y: 1.0, lambda m, out, x, y: -1.0),
    domain=_ANY_TWO,
    is_operator=True,
)
MUL = Op(
    name="mul",
    symbol="×",
    doc="x * y.",
    forward=lambda m, x, y: x * y,
    partials=(lambda m, out, x, y: y, lambda m, out, x, y: x),
    domain=_ANY_TWO,
    is_operator=True,
)
DIV = Op(
    name="div",
    symbol="÷",
    doc="x / y; 1/0 is inf and 0/0 is NaN, as in NumPy.",
    forward=lambda m, x, y: x / y,
    partials=(lambda m, out, x, y: 1.0 / y, lambda m, out, x, y: -out / y),
    domain=(_WIDE, (0.25, 4.0)),
    is_operator=True,
)
NEG = Op(
    name="neg",
    symbol="−",
    doc="-x.",
    forward=lambda m, x: -x,
    partials=(lambda m, out, x: -1.0,),
    is_operator=True,
)
POW = Op(
    name="pow",
    symbol="^",
    doc="x ** y; a negative base with a fractional exponent is NaN; the derivative of 0**0 is 0 by both operands.",
    forward=lambda m, x, y: m.pow(x, y),
    partials=(_power_by_base, _power_by_exponent),
    domain=((0.25, 4.0), (-3.0, 3.0)),
    is_operator=True,
)
ABS = Op(
    name="abs",
    symbol="|·|",
    doc="|x|; the derivative at 0 is 0.",
    forward=lambda m, x: m.abs(x),
    partials=(lambda m, out, x: m.where(x > 0, 1.0, m.where(x < 0, -1.0, 0.0 * x)),),
    kink=lambda x: x,
    is_operator=True,
)
EXP = Op(
    name="exp",
    doc="e to the power x; inf beyond 709.78.",
    forward=lambda m, x: m.exp(x),
    partials=(lambda m, out, x: out,),
)
LOG = Op(
    name="log",
    doc="The natural logarithm; log(0) is -inf, of a negative number NaN.",
    forward=lambda m, x: m.log(x),
    partials=(lambda m, out, x: 1.0 / x,),
    domain=((0.25, 4.0),),
)
LOG1P = Op(
    name="log1p",
    doc="log(1 + x), exact for small x.",
    forward=lambda m, x: m.log1p(x),
    partials=(lambda m, out, x: 1.0 / (1.0 + x),),
    domain=((-0.75, 4.0),),
)
EXPM1 = Op(
    name="expm1",
    doc="exp(x) - 1, exact for small x.",
    forward=lambda m, x: m.expm1(x),
    partials=(lambda m, out, x: m.exp(x),),  # out + 1 would lose every digit in the left tail
)
SQRT = Op(
    name="sqrt",
    symbol="√",
    doc="The square root; of a negative number NaN; the derivative at 0 is inf.",
    forward=lambda m, x: m.sqrt(x),
    partials=(lambda m, out, x: 0.5 / out,),
    domain=((0.25, 4.0),),
)
SIN = Op(
    name="sin",
    doc="The sine of x in radians.",
    forward=lambda m, x: m.sin(x),
    partials=(lambda m, out, x: m.cos(x),),
)
COS = Op(
    name="cos",
    doc="The cosine of x in radians.",
    forward=lambda m, x: m.cos(x),
    partials=(lambda m, out, x: -m.sin(x),),
)
TAN = Op(
    name="tan",
    doc="The tangent of x in radians.",
    forward=lambda m, x: m.tan(x),
    partials=(lambda m, out, x: 1.0 + out * out,),
    domain=((-1.25, 1.25),),
)
TANH = Op(
    name="tanh",
    doc="The hyperbolic tangent (Gill & Gill, section 2.2).",
    forward=lambda m, x: m.tanh(x),
    # 1 - tanh², as 4 σ(2x) σ(-2x): the difference would be 0 beyond 19, where tanh rounds to 1.
    partials=(lambda m, out, x: 4.0 * m.sigmoid(2.0 * x) * m.sigmoid(-2.0 * x),),
)
SIGMOID = Op(
    name="sigmoid",
    symbol="σ",
    doc="The logistic function 1 / (1 + exp(-x)) (Gill & Gill, section 2.2).",
    forward=_sigmoid,
    # σ(1 - σ), with 1 - σ(x) as σ(-x): the difference would be 0 beyond 37, where σ rounds to 1.
    partials=(lambda m, out, x: out * m.sigmoid(-x),),
)
SOFTPLUS = Op(
    name="softplus",
    doc="log(1 + exp(x)), without overflow.",
    forward=lambda m, x: m.where(x > 0, x, 0.0) + m.log1p(m.exp(-m.abs(x))),
    partials=(lambda m, out, x: m.sigmoid(x),),
)
LOGADDEXP = Op(
    name="logaddexp",
    doc="log(exp(x) + exp(y)), without overflow; two equal infinities share the gradient by halves.",
    parameters=("x", "y"),
    forward=_log_add_exp,
    partials=(lambda m, out, x, y: _softmax_share(m, x, y), lambda m, out, x, y: _softmax_share(m, y, x)),
    domain=_ANY_TWO,
)
RELU = Op(
    name="relu",
    doc="x for x >= 0, else 0 (Gill & Gill, section 2.2); the derivative at 0 is 0.",
    forward=lambda m, x: m.where(x <= 0, 0.0, x),  # a NaN is not <= 0 and comes through
    partials=(lambda m, out, x: m.where(x > 0, 1.0, 0.0 * out),),
    kink=lambda x: x,
)
LEAKY_RELU = Op(
    name="leaky_relu",
    doc="x for x > 0, else negative_slope * x; the derivative at 0 is negative_slope.",
    parameters=("x", "negative_slope=0.01"),
    forward=lambda m, x, slope: m.where(x <= 0, slope * x, x),
    partials=(
        lambda m, out, x, slope: m.where(x <= 0, slope, m.where(x > 0, 1.0, x)),
        lambda m, out, x, slope: m.where(x > 0, 0.0, x),
    ),
    domain=(_WIDE, (0.01, 0.5)),
    kink=lambda x, slope: x,
)
MAXIMUM = Op(
    name="maximum",
    symbol="max",
    doc="The larger of x and y; at a tie each gets half of the gradient; NaN where either is NaN.",
    parameters=("x", "y"),
    forward=lambda m, x, y: m.where(x > y, x, m.where(y >= x, y, math.nan)),
    partials=(lambda m, out, x, y: _larger_share(m, x, y), lambda m, out, x, y: _larger_share(m, y, x)),
    domain=_ANY_TWO,
    kink=lambda x, y: x - y,
)
MINIMUM = Op(
    name="minimum",
    symbol="min",
    doc="The smaller of x and y; at a tie each gets half of the gradient; NaN where either is NaN.",
    parameters=("x", "y"),
    forward=lambda m, x, y: m.where(x < y, x, m.where(y <= x, y, math.nan)),
    partials=(lambda m, out, x, y: _larger_share(m, y, x), lambda m, out, x, y: _larger_share(m, x, y)),
    domain=_ANY_TWO,
    kink=lambda x, y: x - y,
)
ERF = Op(
    name="erf",
    doc="The error function.",
    forward=lambda m, x: m.erf(x),
    partials=(lambda m, out, x: 2.0 / math.sqrt(math.pi) * m.exp(-x * x),),
)
ERFC = Op(
    name="erfc",
    doc="The complementary error function 1 - erf(x), exact in the right tail.",
    forward=lambda m, x: m.erfc(x),
    partials=(lambda m, out, x: -2.0 / math.sqrt(math.pi) * m.exp(-x * x),),
)
GELU = Op(
    name="gelu",
    doc="x Φ(x), with Φ the normal distribution function, in its exact form (Hendrycks & Gimpel, 2016).",
    forward=lambda m, x: x * _normal_cdf(m, x),
    partials=(lambda m, out, x: _normal_cdf(m, x) + x * m.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi),),
)

TABLE: dict[str, Op] = {op.name: op for op in list(globals().values()) if isinstance(op, Op)}
"""Every row by its name, in the order above."""


def row(name: str) -> Op:
    """The row of that name. Raises ValueError, with the names there are, for any other."""
    if name not in TABLE:
        raise ValueError(f"operation: expected one of {', '.join(TABLE)}, got {name!r}")
    return TABLE[name]


def arithmetic(primitives: Mapping[str, Rule]) -> SimpleNamespace:
    """What rows are handed as `m`: the functions given, and every other function of the table run from its row.

    The primitives are where, abs, pow, exp, log, log1p, expm1, sqrt, sin, cos, tan, tanh, erf and erfc.
    """
    m = SimpleNamespace(**primitives)
    for op in TABLE.values():
        if op.name not in primitives:
            setattr(m, op.name, partial(op.forward, m))
    return m


FLOAT = arithmetic(
    {
        "where": lambda condition, x, y: x if condition else y,
        "abs": abs,
        **{name: getattr(math, name) for name in ("pow", "exp", "log", "log1p", "expm1", "sqrt")},
        **{name: getattr(math, name) for name in ("sin", "cos", "tan", "tanh", "erf", "erfc")},
    }
)
"""Rows on Python floats. Fast, but Python raises where IEEE 754 has an infinity or a NaN: see `evaluate`."""

FLOAT_ERRORS = (ArithmeticError, ValueError)
"""What it raises there."""

NUMPY = arithmetic(
    {
        "where": np.where,
        "pow": np.power,
        **{name: getattr(np, name) for name in ("abs", "exp", "log", "log1p", "expm1", "sqrt")},
        **{name: getattr(np, name) for name in ("sin", "cos", "tan", "tanh")},
        **{name: np.vectorize(getattr(math, name), otypes=[float]) for name in ("erf", "erfc")},
    }
)
"""Rows on NumPy arrays and scalars, which follow IEEE 754."""


def evaluate(rule: Rule, *numbers: float) -> float:
    """A rule on floats under IEEE 754: overflow is inf, 1/0 is inf, log(-1) is NaN, and nothing is raised."""
    try:
        return float(rule(FLOAT, *numbers))
    except FLOAT_ERRORS:
        with np.errstate(all="ignore"):
            return float(rule(NUMPY, *map(np.float64, numbers)))

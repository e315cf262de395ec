"""Taylor series in several variables on numbers of many digits, and on them every operation as textbooks define it.

What the engine is held to: nothing of it is used here, neither rules nor reverse mode. A series knows all derivatives
up to its order: two are multiplied as polynomials are, and a function of one is that function's Taylor series at it.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property, reduce
from typing import Any

import mpmath

DIGITS = 200
"""More than the 50 that are promised, for in a textbook's formula many may cancel, as in erfc far out."""


@cache
def context_of(digits: int) -> Any:
    """mpmath's real numbers of so many digits, whatever others make of its own."""
    context = mpmath.mp.clone()
    context.dps = digits
    context.trap_complex = True
    return context


class Space:
    """Series in so many variables, up to a total order."""

    def __init__(self, variables: int, order: int, digits: int = DIGITS) -> None:
        self.context = context_of(digits)
        self.n_variables = variables
        self.order = order
        powers = itertools.product(range(order + 1), repeat=variables)
        self.exponents = sorted((each for each in powers if sum(each) <= order), key=sum)
        self.place = {exponent: place for place, exponent in enumerate(self.exponents)}

    @cached_property
    def products(self) -> list[tuple[int, int, int]]:
        """Which coefficients are multiplied, and where each product goes."""
        found = []
        for (i, left), (j, right) in itertools.product(enumerate(self.exponents), repeat=2):
            exponent = tuple(map(sum, zip(left, right, strict=True)))
            if exponent in self.place:
                found.append((i, j, self.place[exponent]))
        return found

    def constant(self, number: Any) -> "Series":
        """A series that is a number."""
        return Series(self, [self.context.mpf(number)] + [self.context.zero] * (len(self.exponents) - 1))

    def variables(self, point: Sequence[Any]) -> list["Series"]:
        """x₁ + h₁, x₂ + h₂, …"""
        found = [self.constant(number) for number in point]
        for variable, series in enumerate(found):
            series.coefficients[self.place[tuple(int(each == variable) for each in range(len(point)))]] += 1
        return found


class Series:
    """c₀₀ + c₁₀ h₁ + c₀₁ h₂ + c₂₀ h₁² + …, its coefficients in the order of the space's exponents."""

    def __init__(self, space: Space, coefficients: list[Any]) -> None:
        self.space = space
        self.coefficients = coefficients

    @property
    def number(self) -> Any:
        """Its value at h = 0."""
        return self.coefficients[0]

    def by(self, *variables: int) -> Any:
        """The derivative at h = 0 by each of these variables in turn."""
        orders = tuple(map(variables.count, range(self.space.n_variables)))
        return self.coefficients[self.space.place[orders]] * math.prod(map(math.factorial, orders))

    def is_constant(self) -> bool:
        """Whether it depends on no variable."""
        return not any(self.coefficients[1:])

    def _other(self, other: "Series | float") -> "Series":
        return other if isinstance(other, Series) else self.space.constant(other)

    def __add__(self, other: "Series | float") -> "Series":
        pairs = zip(self.coefficients, self._other(other).coefficients, strict=True)
        return Series(self.space, [x + y for x, y in pairs])

    __radd__ = __add__

    def __neg__(self) -> "Series":
        return Series(self.space, [-x for x in self.coefficients])

    def __sub__(self, other: "Series | float") -> "Series":
        return self + -self._other(other)

    def __rsub__(self, other: float) -> "Series":
        return -self + other

    def __mul__(self, other: "Series | float") -> "Series":
        left, right = self.coefficients, self._other(other).coefficients
        found = [self.space.context.zero] * len(left)
        for i, j, place in self.space.products:
            if left[i] and right[j]:
                found[place] += left[i] * right[j]
        return Series(self.space, found)

    __rmul__ = __mul__

    def __truediv__(self, other: "Series") -> "Series":
        return self * power(other, -1)

    def __rtruediv__(self, other: float) -> "Series":
        return other * power(self, -1)

    def of(self, derivatives: Sequence[Any]) -> "Series":
        """f of this series, given f, f′, f″, … at its number: f(x + h) = f + f′ h + f″ h² / 2 + …"""
        rest = self - self.number
        terms = [derivative / math.factorial(order) for order, derivative in enumerate(derivatives)]
        return reduce(lambda total, term: total * rest + term, reversed(terms), self.space.constant(0))


# Elementary functions: the derivatives that textbooks list.


def power(x: Series, exponent: float) -> Series:
    """x to the power of a number: p x^(p-1), p (p-1) x^(p-2), …"""
    context, factors = x.space.context, [1.0]
    for order in range(x.space.order):
        factors.append(factors[-1] * (exponent - order))
    return x.of([factor * context.power(x.number, exponent - order) for order, factor in enumerate(factors)])


def exp(x: Series) -> Series:
    """Its own derivative."""
    return x.of([x.space.context.exp(x.number)] * (x.space.order + 1))


def log(x: Series) -> Series:
    """1/x, -1/x², 2/x³, …"""
    signed = [(-1) ** (order - 1) * math.factorial(order - 1) for order in range(1, x.space.order + 1)]
    return x.of([x.space.context.log(x.number), *(each / x.number**order for order, each in enumerate(signed, 1))])


def sin(x: Series) -> Series:
    """cos, -sin, -cos, sin, …"""
    s, c = x.space.context.sin(x.number), x.space.context.cos(x.number)
    return x.of([(s, c, -s, -c)[order % 4] for order in range(x.space.order + 1)])


def cos(x: Series) -> Series:
    """The sine a quarter of a turn further."""
    return sin(x + x.space.context.pi / 2)


def erf(x: Series) -> Series:
    """The integral of 2/√π exp(-x²), whose derivatives are Hermite polynomials times itself, signs alternating."""
    context, number = x.space.context, x.number
    bell = 2 / context.sqrt(context.pi) * context.exp(-number * number)
    slopes = [(-1) ** order * context.hermite(order, number) * bell for order in range(x.space.order)]
    return x.of([context.erf(number), *slopes])


# The table, by these and by arithmetic.


def _power(x: Series, y: Series) -> Series:
    return power(x, y.number) if y.is_constant() else exp(y * log(x))


def _gelu(x: Series) -> Series:
    return x * (1 + erf(x * x.space.context.sqrt(0.5))) * 0.5


def _log_sum_exp(*xs: Series) -> Series:
    return log(sum(map(exp, xs[1:]), start=exp(xs[0])))


TEXTBOOK: Mapping[str, Callable[..., Series]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": _power,
    "abs": lambda x: x if x.number > 0 else -x,
    "exp": exp,
    "log": log,
    "log1p": lambda x: log(1 + x),
    "expm1": lambda x: exp(x) - 1,
    "sqrt": lambda x: power(x, 0.5),
    "sin": sin,
    "cos": cos,
    "tan": lambda x: sin(x) / cos(x),
    "tanh": lambda x: 1 - 2 / (exp(2 * x) + 1),
    "sigmoid": lambda x: 1 / (1 + exp(-x)),
    "softplus": lambda x: log(1 + exp(x)),
    "logaddexp": _log_sum_exp,
    "relu": lambda x: x if x.number > 0 else 0 * x,
    "leaky_relu": lambda x, slope: x if x.number > 0 else slope * x,
    "maximum": lambda x, y: x if x.number > y.number else y,
    "minimum": lambda x, y: x if x.number < y.number else y,
    "erf": erf,
    "erfc": lambda x: 1 - erf(x),
    "gelu": _gelu,
    "logsumexp": _log_sum_exp,
}
"""Every row by its name, and log-sum-exp, away from kinks and edges."""

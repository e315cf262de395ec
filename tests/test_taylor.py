"""The exact numbers that the engine is held to: themselves held to mpmath's numerical derivatives, and by hand."""

import itertools
from fractions import Fraction
from typing import Any

import mpmath
import pytest
from random_graphs import ARITY
from taylor import TEXTBOOK, Series, Space, exp, log, power

from autograd_mini import TABLE

PRECISE = mpmath.mp.clone()
PRECISE.dps = 50

POINTS: dict[int, list[tuple[float, ...]]] = {
    1: [(0.7,), (0.1,), (1.3,)],
    2: [(0.7, 1.9), (2.1, 0.6)],
    3: [(0.7, 1.9, -0.4)],
}


def test_every_row_is_there_and_nothing_else() -> None:
    assert set(TEXTBOOK) == {*TABLE, "logsumexp"} == set(ARITY)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_derivatives_are_those_that_differences_of_the_values_show(name: str) -> None:
    """Every mixture up to the third order; the values alone are right by the next test."""
    n = ARITY[name]
    space = Space(n, 3)

    def value(*numbers: Any) -> Any:
        return TEXTBOOK[name](*map(space.constant, numbers)).number

    for point in POINTS[n]:
        series = TEXTBOOK[name](*space.variables(point))
        for orders in itertools.product(range(4), repeat=n):
            if 0 < sum(orders) <= 3:
                places = [place for place, order in enumerate(orders) for _ in range(order)]
                expected = space.context.diff(value, point if n > 1 else point[0], orders if n > 1 else orders[0])
                assert abs(series.by(*places) - expected) < 1e-100 * (1 + abs(expected)), (point, orders)


ELSEWHERE = {
    "erf": PRECISE.erf,
    "erfc": PRECISE.erfc,
    "gelu": lambda x: x * PRECISE.ncdf(x),
    "tanh": PRECISE.tanh,
    "tan": PRECISE.tan,
    "cos": PRECISE.cos,
    "log1p": PRECISE.log1p,
    "expm1": PRECISE.expm1,
    "sqrt": PRECISE.sqrt,
    "pow": PRECISE.power,
    "sigmoid": lambda x: PRECISE.exp(x) / (1 + PRECISE.exp(x)),
    "softplus": lambda x: PRECISE.log1p(PRECISE.exp(x)),
    "logaddexp": lambda x, y: x + PRECISE.log1p(PRECISE.exp(y - x)),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_values_are_those_of_mpmaths_own_functions(name: str) -> None:
    n = ARITY[name]
    for point in POINTS[n]:
        found = TEXTBOOK[name](*Space(n, 1).variables(point)).number
        expected = ELSEWHERE[name](*map(PRECISE.mpf, point))
        assert abs(found - expected) < 1e-48


def test_series_by_hand() -> None:
    """(x + y)² x at (2, 3): 50, with derivatives 45 and 20, 24 and 14 and 4, 6 and 4 and 2 and 0."""
    x, y = Space(2, 3).variables([2, 3])
    series = (x + y) * (x + y) * x
    assert series.number == 50
    assert [series.by(0), series.by(1)] == [45, 20]
    assert [series.by(0, 0), series.by(0, 1), series.by(1, 0), series.by(1, 1)] == [24, 14, 14, 4]
    assert [series.by(0, 0, 0), series.by(0, 0, 1), series.by(0, 1, 1), series.by(1, 1, 1)] == [6, 4, 2, 0]


def test_elementary_derivatives_by_hand() -> None:
    (x,) = Space(1, 3).variables([2])
    assert [_exact(log(x), order) for order in (1, 2, 3)] == [Fraction(1, 2), Fraction(-1, 4), Fraction(1, 4)]
    assert [_exact(power(x, -1), order) for order in range(4)] == [Fraction(n) for n in ("1/2", "-1/4", "1/4", "-3/8")]
    assert len({mpmath.nstr(exp(x).by(*[0] * order), 100) for order in range(4)}) == 1


def _exact(series: Series, order: int) -> Fraction:
    return Fraction(str(series.by(*[0] * order))).limit_denominator(1000)


def test_a_constant_exponent_needs_no_logarithm_and_another_one_does() -> None:
    space = Space(1, 2)
    (x,) = space.variables([-2])
    cube = TEXTBOOK["pow"](x, space.constant(3))
    assert [cube.number, cube.by(0), cube.by(0, 0)] == [-8, 12, -12]
    x, y = Space(2, 1).variables([-2, 3])
    with pytest.raises(ValueError, match="negative"):
        TEXTBOOK["pow"](x, y)

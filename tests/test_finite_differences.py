"""The numerical derivative alone, on functions whose derivative is known, and at points where there is none."""

import math
from collections.abc import Callable

import pytest

from autograd_mini.finite_differences import differentiate

TOLERANCE = 1e-7


@pytest.mark.parametrize(
    ("name", "function", "x", "derivative"),
    [
        ("sin at 1e10, case 18", math.sin, 1e10, math.cos(1e10)),
        ("1/x at 1e-5, case 18", lambda x: 1 / x, 1e-5, -1e10),
        ("a function at x = 1e8, case 18", lambda x: x * x + math.sin(x), 1e8, 2e8 + math.cos(1e8)),
        ("log far down", math.log, 1e-300, 1e300),
        ("a period that halving steps would miss", lambda x: math.sin(16 * math.pi * x), 0.0, 16 * math.pi),
        ("a period made for our steps", lambda x: math.sin(16 * math.pi * x * 128 / 97), 0.0, 16 * math.pi * 128 / 97),
        ("steep", lambda x: math.exp(100 * x), 1.0, 100 * math.exp(100)),
        ("a small slope on a large number", lambda x: 2.6 + 7.8e-5 * math.sin(x), 1.0, 7.8e-5 * math.cos(1)),
        ("a narrow function", lambda x: math.tanh(1e6 * x), 0.0, 1e6),
        ("just beside a kink", lambda x: max(x, 0.0), 1e-6, 1.0),
        ("just beside the edge of the domain", math.sqrt, 1e-12, 0.5e6),
        ("huge", lambda x: 1e300 * x, 1.0, 1e300),
    ],
)
def test_the_derivative_and_the_bound_on_its_error(
    name: str, function: Callable[[float], float], x: float, derivative: float
) -> None:
    estimate = differentiate(function, x, TOLERANCE)
    assert not estimate.obstacle, name
    assert abs(estimate.derivative - derivative) <= max(estimate.error, TOLERANCE * abs(derivative))
    assert estimate.error <= TOLERANCE * abs(derivative)


@pytest.mark.parametrize(
    ("function", "x", "obstacle"),
    [
        (lambda x: max(x, 0.0), 0.0, "kink: slope 0 on the left, 1 on the right"),
        (abs, 0.0, "kink: slope -1 on the left, 1 on the right"),
        (lambda x: abs(x - 3) + x, 3.0, "kink: slope 0 on the left, 2 on the right"),
        (math.sqrt, 0.0, "domain edge: the function is nan just below"),
        (math.log, 0.0, "the function is nan here"),
        (lambda x: math.inf, 0.0, "the function is inf here"),
    ],
)
def test_where_there_is_no_derivative_it_says_why(function: Callable[[float], float], x: float, obstacle: str) -> None:
    assert differentiate(function, x, TOLERANCE).obstacle == obstacle


@pytest.mark.parametrize(
    ("function", "x", "derivative"),
    [
        (lambda x: 2.5e13 - 1.33 / x, -0.0648, 1.33 / 0.0648**2),
        (lambda x: 1.7e10 + 29.27 * x + math.sin(x), -45.6, 29.27 + math.cos(45.6)),
        (lambda x: 7e11 + math.tan(x), 37.88, 1 + math.tan(37.88) ** 2),
    ],
)
def test_what_only_small_steps_show_beside_a_large_number_is_in_the_bound(
    function: Callable[[float], float], x: float, derivative: float
) -> None:
    """The largest steps jump over a pole or a wave, and agree with one another."""
    estimate = differentiate(function, x, TOLERANCE)
    assert abs(estimate.derivative - derivative) <= 10 * estimate.error + TOLERANCE * abs(derivative)


@pytest.mark.parametrize("function", [lambda x: x * x, lambda x: max(x, 0.0) ** 2, lambda x: x * abs(x), math.cos])
def test_a_smooth_function_with_slope_zero_is_no_kink(function: Callable[[float], float]) -> None:
    estimate = differentiate(function, 0.0, TOLERANCE)
    assert not estimate.obstacle
    assert abs(estimate.derivative) <= 10 * estimate.error
    assert estimate.error < 1e-9


def test_a_constant_is_told_from_few_points() -> None:
    points = []
    estimate = differentiate(lambda x: float(points.append(x) or 3.0), 1.0, TOLERANCE)  # type: ignore[func-returns-value]
    assert estimate.derivative == 0.0
    assert estimate.error < 1e-13
    assert len(points) < 25


def test_a_jump_is_never_taken_for_a_slope() -> None:
    estimate = differentiate(math.floor, 1.0, TOLERANCE)
    assert estimate.error > TOLERANCE * abs(estimate.derivative)


def test_rounding_shows_in_the_error() -> None:
    """The true slope is 9.36e-14; values near 1 cannot show it to better than a few 1e-15."""
    estimate = differentiate(lambda x: 1 / (1 + math.exp(-x)), 30.0, TOLERANCE)
    assert abs(estimate.derivative - 9.357622968839299e-14) <= estimate.error
    assert estimate.error > TOLERANCE * abs(estimate.derivative)

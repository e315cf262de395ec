"""`gradient_descent`: GD0-GD4 against what a quadratic gives by hand, and what a poor λ does."""

import math
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_mini import Value, exp, grad, sqrt, tanh
from nn.gradient_descent import gradient_descent


def parabola(x: Value) -> Value:
    """½ · 4 · x²: its curvature is 4."""
    return 2 * x * x


# The algorithm


def test_three_steps_by_hand() -> None:
    """F = x² + 3y² at (1, 1): ∇F = (2, 6), so that λ = 0.1 leads to (0.8, 0.4), then (0.64, 0.16), (0.512, 0.064)."""
    descent = gradient_descent(lambda p: p[0] ** 2 + 3 * p[1] ** 2, [1.0, 1.0], 0.1, 3)
    points = [(1.0, 1.0), (0.8, 0.4), (0.64, 0.16), (0.512, 0.064)]
    for step, point in zip(descent.trajectory, points, strict=True):
        assert step.point == pytest.approx(point, rel=1e-14)
        assert step.value == pytest.approx(point[0] ** 2 + 3 * point[1] ** 2, rel=1e-14)
    assert (descent.point, descent.value) == descent.trajectory[-1]
    assert descent.message == "made 3 steps"


@given(
    curvature=st.floats(0.01, 100.0),
    rate=st.floats(1e-4, 10.0),
    start=st.floats(-10.0, 10.0).filter(lambda x: abs(x) > 1e-3),
    steps=st.integers(1, 20),
)
def test_a_step_multiplies_by_one_minus_rate_times_curvature(
    curvature: float, rate: float, start: float, steps: int
) -> None:
    factor = 1 - rate * curvature
    descent = gradient_descent(lambda x: curvature * x * x / 2, start, rate, steps)
    for count, step in enumerate(descent.trajectory):
        assert step.point == pytest.approx(start * factor**count, rel=1e-9, abs=1e-12 * (1 + rate * curvature) ** count)


@pytest.mark.parametrize(("rate", "limit"), [(0.49, 0.0), (0.25, 0.0), (0.01, 0.0), (0.51, math.inf)])
def test_it_converges_below_two_over_the_curvature_and_diverges_above(rate: float, limit: float) -> None:
    descent = gradient_descent(parabola, 1.0, rate, 2000)
    assert (abs(descent.point) < 1e-15) if limit == 0.0 else (abs(descent.point) > 1e15)
    assert (abs(1 - 4 * rate) < 1) == (limit == 0.0)


def test_at_two_over_the_curvature_it_jumps_to_and_fro_for_ever() -> None:
    descent = gradient_descent(parabola, 1.0, 0.5, 7)
    assert [step.point for step in descent.trajectory] == [1.0, -1.0] * 4


def test_one_over_the_curvature_is_there_in_one_step_and_stays() -> None:
    descent = gradient_descent(parabola, 3.0, 0.25, 50)
    assert [step.point for step in descent.trajectory] == [3.0, 0.0]
    assert descent.message == "the gradient is within tolerance"


def test_the_trajectory_is_that_of_the_formula_in_numpy() -> None:
    """F(p) = ½ pᵀA p − bᵀp in four dimensions: p := p − λ (A p − b)."""
    random = np.random.default_rng(3)
    root, b = random.normal(size=(4, 4)), random.normal(size=4)
    a = root @ root.T + np.eye(4)
    descent = gradient_descent(lambda p: (p @ a @ p) / 2 - b @ p, np.zeros(4), 0.05, 30)
    p = np.zeros(4)
    for step in descent.trajectory:
        assert isinstance(step.point, np.ndarray)
        np.testing.assert_allclose(step.point, p, rtol=1e-10, atol=1e-13)
        assert step.value == pytest.approx(p @ a @ p / 2 - b @ p, rel=1e-10, abs=1e-13)
        p = p - 0.05 * (a @ p - b)
    assert len(descent.trajectory) == 31


def test_it_ends_within_tolerance() -> None:
    """The gradient is 4x, and x is 0.6ⁿ: below 0.01 for the first time at n = 12."""
    descent = gradient_descent(parabola, 1.0, 0.1, 100, tolerance=0.01)
    assert descent.message == "the gradient is within tolerance"
    assert len(descent.trajectory) == 13
    assert abs(4 * descent.trajectory[-2].point) > 0.01 >= abs(4 * descent.point)


def test_points_keep_the_shape_of_start() -> None:
    def f(p: Any) -> Value:
        total: Value = p[0][0] ** 2 + p[1] ** 2 + p[2][1] ** 2
        return total

    start = [[1.0], 2.0, (0.0, 3.0)]
    descent = gradient_descent(f, start, 0.25, 1)
    assert descent.point == [[0.5], 1.0, (0.0, 1.5)]
    assert start == [[1.0], 2.0, (0.0, 3.0)]
    assert type(gradient_descent(parabola, np.float64(1.0), 0.1, 1).point) is float


def test_a_saddle_is_left_where_the_start_is_not_exactly_on_the_ridge() -> None:
    """F = x² − y² + y⁴/2, from the text's remark on saddle points: its minima are at y = ±1."""

    def f(p: list[Value]) -> Value:
        return p[0] ** 2 - p[1] ** 2 + p[1] ** 4 / 2

    assert gradient_descent(f, [1.0, 0.0], 0.1, 500).point == pytest.approx([0.0, 0.0], abs=1e-12)
    assert gradient_descent(f, [1.0, 1e-6], 0.1, 500).point == pytest.approx([0.0, 1.0], abs=1e-12)


def test_derivatives_that_the_function_takes_itself_count() -> None:
    """F(x) = (d/dy of y² x at y = 3) squared = 36 x²."""
    descent = gradient_descent(lambda x: grad(lambda y: y * y * x)(3.0) ** 2, 1.0, 1 / 72, 1)
    assert descent.point == pytest.approx(0.0, abs=1e-15)


def test_no_other_gradient_is_touched() -> None:
    other = Value(2.0)
    other.grad = 5.0
    assert gradient_descent(lambda x: (x - other) ** 2, 0.0, 0.5, 1).point == 2.0
    assert other.grad == 5.0


# Where it ends early


def test_it_ends_before_infinity_with_what_it_had() -> None:
    descent = gradient_descent(parabola, 1.0, 1e100, 100)
    assert [step.point for step in descent.trajectory] == [1.0, 1 - 4e100]
    assert descent.message == "the next point gives NaN or infinity: try a smaller learning rate"


def test_it_ends_where_the_point_itself_would_be_infinite() -> None:
    """tanh is finite there, and flat: the descent would seem to have arrived."""
    descent = gradient_descent(lambda x: tanh(x * 1e200), 0.0, 1e300, 100)
    assert [step.point for step in descent.trajectory] == [0.0]


def test_it_ends_where_the_function_is_nan() -> None:
    """√ is NaN below 0, and a step of 40 times the gradient 1 − 1/√30 leads there from 30."""
    descent = gradient_descent(lambda x: x - 2 * sqrt(x), 30.0, 40.0, 100)
    assert [step.point for step in descent.trajectory] == [30.0]
    assert "NaN or infinity" in descent.message


def test_case_27_ctrl_c_gives_the_path_so_far() -> None:
    calls = 0

    def f(x: Value) -> Value:
        nonlocal calls
        calls += 1
        if calls == 4:
            signal.raise_signal(signal.SIGINT)
        return parabola(x)

    descent = gradient_descent(f, 1.0, 0.1, 100)
    assert descent.trajectory == gradient_descent(parabola, 1.0, 0.1, 2).trajectory
    assert descent.message == "interrupted by Ctrl-C"
    calls = 3
    with pytest.raises(KeyboardInterrupt):
        gradient_descent(f, 1.0, 0.1, 100)


def test_an_error_in_the_function_gives_the_path_so_far() -> None:
    def f(x: Value) -> Value:
        if x < 0.3:
            raise ZeroDivisionError("too\nlow")
        return parabola(x)

    descent = gradient_descent(f, 1.0, 0.1, 100)
    assert [step.point for step in descent.trajectory] == pytest.approx([1.0, 0.6, 0.36])
    assert descent.message == "stopped by ZeroDivisionError: too low"
    assert isinstance(descent.error, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        gradient_descent(f, 0.1, 0.1, 100)


# Case 22: wrong arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gradient_descent(3.0, 1.0, 0.1), TypeError, "expected a function or a model, got float 3.0"),  # type: ignore[arg-type]
        (lambda: gradient_descent(parabola, "1", 0.1), TypeError, "expected numbers in start, got str '1'"),
        (
            lambda: gradient_descent(parabola, [], 0.1),
            ValueError,
            "expected start to hold at least one number, got none",
        ),
        (lambda: gradient_descent(parabola, math.nan, 0.1), ValueError, "expected start to be finite, got nan"),
        (
            lambda: gradient_descent(parabola, 1.0, 0.0),
            ValueError,
            "expected learning_rate to be a finite number above 0, got 0.0",
        ),
        (
            lambda: gradient_descent(parabola, 1.0, -0.1),
            ValueError,
            "expected learning_rate to be a finite number above 0, got -0.1",
        ),
        (
            lambda: gradient_descent(parabola, 1.0, "fast"),  # type: ignore[arg-type]
            TypeError,
            "expected learning_rate to be a number, got str 'fast'",
        ),
        (lambda: gradient_descent(parabola, 1.0, 0.1, 0), ValueError, "expected steps to be a positive int, got 0"),
        (
            lambda: gradient_descent(parabola, 1.0, 0.1, 2.5),  # type: ignore[arg-type]
            TypeError,
            "expected steps to be a positive int, got float",
        ),
        (
            lambda: gradient_descent(parabola, 1.0, 0.1, tolerance=-1),
            ValueError,
            "expected tolerance to be a finite number of 0 or more, got -1.0",
        ),
        (
            lambda: gradient_descent(lambda x: [x], 1.0, 0.1),
            TypeError,
            "expected the function to return one Value, made of those that it is given, got list",
        ),
        (
            lambda: gradient_descent(lambda x: math.exp(x), 1.0, 0.1),
            TypeError,
            "expected the function to return one Value, made of those that it is given, got float 2.718",
        ),
        (
            lambda: gradient_descent(lambda x: exp(x), 1000.0, 0.1),
            FloatingPointError,
            "expected the value and gradient at the start to be finite, got inf and [inf]",
        ),
        (
            lambda: gradient_descent(lambda x: x**0.5, 0.0, 0.1),
            FloatingPointError,
            "expected the value and gradient at the start to be finite, got 0.0 and [inf]",
        ),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(f"gradient_descent: {message}")
    assert "\n" not in str(caught.value)

"""`minimize`, `least_squares`, `hessian_vector_product`: against SciPy and linear algebra, and when stopped."""

import math
import signal
import sys
import warnings
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn.objectives
import nn.recording
import nn.search
from autograd_mini import Value, exp, grad, hessian, jacobian, log, relu, sin, sqrt, tanh, value_and_grad
from nn import MLP, Module, mse_loss
from nn.minimize import least_squares, minimize
from nn.objectives import hessian_vector_product
from nn.recording import Recording
from nn.search import Search

optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy: pip install 'autograd-mini[scipy]'")

METHODS = ["BFGS", "L-BFGS-B", "CG", "Newton-CG"]
LEAST_SQUARES = ["lm", "trf", "dogbox"]


def rosenbrock(p: Any) -> Any:
    return sum(100 * (p[i + 1] - p[i] ** 2) ** 2 + (1 - p[i]) ** 2 for i in range(len(p) - 1))


def rosenbrock_residuals(p: Any) -> list[Any]:
    return [10 * (p[1] - p[0] ** 2), 1 - p[0]]


def beale(p: Any) -> Any:
    x, y = p
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def himmelblau(p: Any) -> Any:
    return (p[0] ** 2 + p[1] - 11) ** 2 + (p[0] + p[1] ** 2 - 7) ** 2


def wavy(p: Any) -> Any:
    return exp(p[0]) + sin(3 * p[1]) + p[0] ** 2 + (p[1] - p[0]) ** 2 - tanh(p[0] * p[1])


class Line(Module):
    """y = slope · x + offset."""

    def __init__(self, slope: float = 0.0, offset: float = 0.0) -> None:
        self.slope, self.offset = Value(slope), Value(offset)

    def __call__(self, x: float) -> Value:
        return self.slope * x + self.offset


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


def loss_of(model: Any, x: Any, y: Any) -> float:
    return float(mse_loss([model(sample) for sample in x], y))


# minimize, on functions


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("function", "start"),
    [
        (rosenbrock, [-1.2, 1.0]),
        (rosenbrock, [0.5, 2.0, -1.0, 1.5]),
        (beale, [1.0, 1.0]),
        (himmelblau, [0.0, 0.0]),
        (wavy, [1.0, 2.0]),
    ],
)
def test_it_ends_where_scipy_with_finite_differences_ends(function: Any, start: list[float], method: str) -> None:
    found = minimize(function, start, method=method)
    start_array = np.array(start)
    reference = optimize.minimize(lambda x: float(function([Value(each) for each in x])), start_array, method="BFGS")
    assert found.success
    assert found.point == pytest.approx(reference.x.tolist(), abs=3e-4)
    assert found.value <= reference.fun + 1e-7
    assert type(found.value) is float


@pytest.mark.parametrize("method", METHODS)
def test_every_iterate_is_that_of_scipy_with_the_derivatives_by_hand(method: str) -> None:
    """SciPy's own formulas of Rosenbrock's function, gradient and Hessian-vector product, iterate by iterate."""
    start = np.array([-1.2, 1.0, 0.3])
    path: list[Any] = []
    reference = optimize.minimize(
        optimize.rosen,
        start,
        jac=optimize.rosen_der,
        hessp=optimize.rosen_hess_prod if method == "Newton-CG" else None,
        method=method,
        callback=lambda x: path.append(x.copy()),
    )
    ours: list[Any] = []
    found = minimize(rosenbrock, start, method=method, callback=lambda point, value: ours.append(point))
    assert found.iterations == reference.nit == len(ours)
    assert found.history[-1] == found.value
    np.testing.assert_allclose(ours[:8], path[:8], rtol=1e-9)
    np.testing.assert_allclose(found.point, reference.x, rtol=1e-7)
    assert found.history == pytest.approx([optimize.rosen(x) for x in [start, *path]], rel=1e-4, abs=1e-12)


def test_a_wrong_hessian_vector_product_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would fail: the iterates depend on the products."""
    right = minimize(rosenbrock, [-1.2, 1.0, 0.3], method="Newton-CG")
    product = Search.hessian_times
    monkeypatch.setattr(Search, "hessian_times", lambda self, x, v: 1.01 * product(self, x, v))
    wrong = minimize(rosenbrock, [-1.2, 1.0, 0.3], method="Newton-CG")
    assert wrong.history[1:8] != pytest.approx(right.history[1:8], rel=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.sampled_from(METHODS))
def test_a_quadratic_ends_at_the_solution_of_its_equations(seed: int, size: int, method: str) -> None:
    random = np.random.default_rng(seed)
    root, b = random.normal(size=(size, size)), random.normal(size=size)
    a = root @ root.T + np.eye(size)
    found = minimize(lambda x: x @ a @ x / 2 - b @ x, random.normal(size=size), method=method, tolerance=1e-14)
    np.testing.assert_allclose(found.point, np.linalg.solve(a, b), rtol=1e-5, atol=1e-5)


def test_the_first_step_by_hand() -> None:
    """F = (x − 3)², one iteration of Newton's method from 0: H p = −F′ is 2p = 6, and the minimum is there."""
    found = minimize(lambda x: (x - 3) ** 2, 0.0, method="Newton-CG")
    assert found.point == pytest.approx(3.0, abs=1e-12)
    assert found.history[0] == 9.0
    assert (found.x, found.fun) == (found.point, found.value)


def test_points_keep_the_shape_of_start() -> None:
    start: Any = [[1.0, 2.0], [3.0]], (4.0, np.array([[5.0, 6.0]]))

    def f(p: Any) -> Any:
        (row, other), (number, array) = p
        assert isinstance(array, np.ndarray)
        return row[0] ** 2 + (row[1] - 1) ** 2 + other[0] ** 2 + number**2 + ((array - 7.0) ** 2).sum()

    found = minimize(f, start, callback=lambda point, value: start[0].clear())  # the list is its owner's
    (row, other), (number, array) = found.point
    assert row == pytest.approx([0.0, 1.0], abs=1e-5)
    assert [*other, number] == pytest.approx([0.0, 0.0], abs=1e-5)
    assert array.dtype == float
    np.testing.assert_allclose(array, [[7.0, 7.0]], atol=1e-5)
    for number in (1, np.float64(1.0), np.array(1.0), Value(1.0)):
        assert type(minimize(lambda x: x * x, number).point) is float


def test_methods_are_found_in_small_letters_too_as_in_scipy() -> None:
    assert minimize(rosenbrock, [-1.2, 1.0], method="newton-cg").history == (
        minimize(rosenbrock, [-1.2, 1.0], method="Newton-CG").history
    )


def test_a_derivative_that_the_function_takes_itself_counts() -> None:
    """d/dy of y³x at y = 2 is 12x."""
    for method in METHODS:
        found = minimize(lambda x: (grad(lambda y: y**3 * x)(2.0) - 24) ** 2, 0.0, method=method, tolerance=1e-10)
        assert found.point == pytest.approx(2.0, abs=1e-8)


def test_no_other_gradient_is_touched() -> None:
    other = Value(2.0)
    other.grad = 5.0
    for method in METHODS:
        assert minimize(lambda x: (x - other) ** 2, 0.0, method=method).point == pytest.approx(2.0, abs=1e-5)
    assert least_squares(lambda x: [x - other], 0.0).point == pytest.approx(2.0)
    assert other.grad == 5.0


def test_bounds() -> None:
    found = minimize(himmelblau, [0.0, 0.0], method="L-BFGS-B", bounds=[(None, 2.0), (0, np.inf)])
    reference = optimize.minimize(
        lambda x: (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2,
        [0.0, 0.0],
        bounds=[(None, 2.0), (0, None)],
    )
    assert found.point == pytest.approx(reference.x.tolist(), abs=1e-4)
    assert found.point[0] == 2.0
    same = minimize(himmelblau, [0.0, 0.0], method="L-BFGS-B", bounds=optimize.Bounds([-np.inf, 0.0], [2.0, np.inf]))
    assert same.history == found.history
    assert minimize(lambda x: (x + 5) ** 2, 1.0, method="L-BFGS-B", bounds=[(None, 2.0)]).point == pytest.approx(-5.0)


def test_options_and_tolerance_are_scipys() -> None:
    assert minimize(rosenbrock, [-1.2, 1.0], options={"maxiter": 3}).iterations == 3
    rough = minimize(rosenbrock, [-1.2, 1.0], tolerance=10.0)
    assert rough.success
    assert rough.iterations < minimize(rosenbrock, [-1.2, 1.0]).iterations
    assert np.linalg.norm(optimize.rosen_der(rough.point), np.inf) <= 10.0
    assert minimize(rosenbrock, [-1.2, 1.0]).details.hess_inv.shape == (2, 2)


def test_an_unknown_option_is_an_error_whatever_becomes_of_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="minimize: expected options that SciPy's BFGS has, got max_iterations"):
            minimize(rosenbrock, [-1.2, 1.0], options={"max_iterations": 3})


def test_evaluations_are_counted_and_none_is_made_twice_at_one_point() -> None:
    for method in METHODS:
        points: list[tuple[float, ...]] = []

        def f(p: Any, points: list[tuple[float, ...]] = points) -> Any:
            points.append(tuple(each.data for each in p))
            return rosenbrock(p)

        found = minimize(f, [-1.2, 1.0], method=method)
        assert found.evaluations == len(points)
        assert all(one != other for one, other in pairwise(points))


# Hessian-vector products


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_hessian_vector_product_of_rosenbrock_by_hand(point: list[float], vector: list[float]) -> None:
    found = hessian_vector_product(rosenbrock)(point, vector)
    expected = optimize.rosen_hess_prod(np.array(point), np.array(vector))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-10)


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(-3, 3), st.floats(-3, 3))
def test_hessian_vector_product_is_the_hessian_times_the_vector(x: float, y: float, u: float, v: float) -> None:
    rows = np.array(hessian(wavy)([x, y]))
    found = hessian_vector_product(wavy)([x, y], [u, v])
    np.testing.assert_allclose(found, rows @ [u, v], rtol=1e-10, atol=1e-10)


def test_hessian_vector_product_keeps_shapes() -> None:
    assert hessian_vector_product(lambda x: x**3)(2.0, 1.0) == 12.0
    assert hessian_vector_product(lambda p: p[0] ** 2 * p[1][0])([2.0, (3.0,)], [1.0, (0.0,)]) == [6.0, (4.0,)]
    product = hessian_vector_product(lambda p: (p**3).sum())(np.array([[1.0], [2.0]]), np.array([[1.0], [-1.0]]))
    assert isinstance(product, np.ndarray)
    np.testing.assert_allclose(product, [[6.0], [-12.0]])


def test_a_recording_stays_where_it_was_made_when_the_model_moves_on() -> None:
    """F = w³, at w = 2 and not at w = 5: the slope is 12, the curvature too."""
    w = Value(2.0)
    recording = Recording([w], [w**3])
    w.data = 5.0
    assert recording.gradient().tolist() == [12.0]
    assert recording.hessian_times([1.0]).tolist() == [12.0]
    assert recording.point == [2.0]


@pytest.mark.parametrize("function", [lambda p: p[0] + 2 * p[1], lambda p: p[0], lambda p: p[1] * Value(3.0)])
def test_a_straight_function_has_no_curvature(function: Any) -> None:
    assert hessian_vector_product(function)([1.0, 2.0], [3.0, 4.0]) == [0.0, 0.0]


def test_hessian_vector_products_of_a_model_are_those_of_its_loss_as_a_function() -> None:
    """A model's parameters are no arguments: its recording is run again. A network by hand takes them as arguments."""
    x, y = [[1.0, -2.0], [0.5, 3.0], [-1.0, 0.3]], [0.4, -1.0, 2.0]

    def loss(p: Any) -> Any:
        predictions = [
            tanh(p[0] * s[0] + p[1] * s[1] + p[2]) * p[6] + tanh(p[3] * s[0] + p[4] * s[1] + p[5]) * p[7] + p[8]
            for s in x
        ]
        return mse_loss(predictions, y)

    model = MLP(2, [2, 1], "tanh", seed=4)
    by_hand = minimize(loss, numbers(model), method="Newton-CG", options={"maxiter": 4})
    found = minimize(model, x, y, method="Newton-CG", options={"maxiter": 4})
    assert found.history == pytest.approx(by_hand.history, rel=1e-9)
    assert found.point == pytest.approx(by_hand.point, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: hessian_vector_product(rosenbrock)([1.0, 2.0], [1.0]),
            ValueError,
            "expected vector to hold 2 numbers, got 1",
        ),
        (
            lambda: hessian_vector_product(rosenbrock)([1.0, "2"], [1.0, 1.0]),
            TypeError,
            "expected numbers in point, got str '2'",
        ),
        (
            lambda: hessian_vector_product(lambda p: p)([1.0], [1.0]),
            TypeError,
            "expected the function to return one Value",
        ),
    ],
)
def test_mistakes_with_hessian_vector_products_are_named(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).startswith(f"hessian_vector_product: {message}")


# least_squares, on functions

MISRA1A = (
    [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0],
    [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78],
)
"""NIST, Statistical Reference Datasets, nonlinear regression: y = b₁ (1 − exp(−b₂ x)), with its two starts."""


@pytest.mark.parametrize("start", [[500.0, 0.0001], [250.0, 0.0005]])
@pytest.mark.parametrize("method", LEAST_SQUARES)
def test_a_curve_is_fitted_to_the_certified_digits(method: str, start: list[float]) -> None:
    x, y = MISRA1A
    found = least_squares(
        lambda b: [b[0] * (1 - exp(-b[1] * x_i)) - y_i for x_i, y_i in zip(x, y, strict=True)],
        start,
        method=method,
        tolerance=1e-14,
        options={"x_scale": "jac"},
    )
    assert found.point == pytest.approx([2.3894212918e02, 5.5015643181e-04], rel=1e-8)
    assert 2 * found.value == pytest.approx(1.2455138894e-01, rel=1e-9)
    assert found.history[-1] == found.value


@pytest.mark.parametrize("method", LEAST_SQUARES)
def test_least_squares_makes_the_steps_of_scipy_with_the_jacobian_by_hand(method: str) -> None:
    reference = optimize.least_squares(
        lambda p: [10 * (p[1] - p[0] ** 2), 1 - p[0]],
        [-1.2, 1.0],
        jac=lambda p: [[-20 * p[0], 10.0], [-1.0, 0.0]],
        method=method,
    )
    found = least_squares(rosenbrock_residuals, [-1.2, 1.0], method=method)
    assert found.point == pytest.approx(reference.x.tolist(), rel=1e-12)
    assert found.value == pytest.approx(reference.cost, abs=1e-20)
    assert found.evaluations == reference.nfev
    assert found.iterations <= found.evaluations
    assert found.history[0] == pytest.approx((4.4**2 + 2.2**2) / 2)
    assert all(later < earlier for earlier, later in pairwise(found.history))
    assert found.history[-1] == found.value


@given(st.floats(-2, 2), st.floats(-2, 2))
def test_the_jacobian_by_hand(x: float, y: float) -> None:
    rows: list[Any] = []
    whole = Search.jacobian

    def spy(search: Search, at: Any) -> Any:
        rows.append(whole(search, at))
        return rows[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Search, "jacobian", spy)
        least_squares(lambda p: [p[0] * p[1], [exp(p[0]), sin(p[1]), 5.0]], [x, y])
    expected = [[y, x], [math.exp(x), 0.0], [0.0, math.cos(y)], [0.0, 0.0]]
    np.testing.assert_allclose(rows[0], expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(rows[0][:1], np.array(jacobian(lambda p: [p[0] * p[1]])([x, y])))


@pytest.mark.parametrize("method", ["trf", "dogbox"])
def test_bounds_of_least_squares(method: str) -> None:
    found = least_squares(rosenbrock_residuals, [-1.2, 0.3], method=method, bounds=([-2.0, -np.inf], 0.5))
    assert found.point == pytest.approx([0.5, 0.25], abs=1e-6)
    limits = optimize.Bounds([-2.0, -np.inf], [0.5, 0.5])
    assert least_squares(rosenbrock_residuals, [-1.2, 0.3], method=method, bounds=limits).history == found.history


def test_fewer_residuals_than_numbers_are_for_the_trust_regions() -> None:
    found = least_squares(lambda p: [p[0] + p[1] - 3], [0.0, 0.0], method="trf")
    assert sum(found.point) == pytest.approx(3.0)
    with pytest.raises(
        ValueError, match="least_squares: expected at least 2 residuals with method 'lm', got 1: try 'trf'"
    ):
        least_squares(lambda p: [p[0] + p[1] - 3], [0.0, 0.0])


# Models


@pytest.mark.parametrize("method", METHODS)
def test_linear_regression_reaches_the_least_squares_solution(method: str) -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(15, 2))
    y = x @ [2.0, -1.0] + 0.5 + 0.1 * random.normal(size=15)
    model = MLP(2, [1], seed=0)
    found = minimize(model, x, y, method=method, tolerance=1e-12)
    expected = np.linalg.lstsq(np.c_[x, np.ones(15)], y, rcond=None)[0]
    np.testing.assert_allclose(numbers(model), expected, atol=1e-8)
    assert found.point == numbers(model)
    assert found.value == loss_of(model, x, y)
    assert [parameter.grad for parameter in model.parameters()] == [0.0] * 3


@pytest.mark.parametrize("method", LEAST_SQUARES)
def test_linear_regression_by_least_squares(method: str) -> None:
    random = np.random.default_rng(2)
    x, y = random.normal(size=(15, 2)), random.normal(size=15)
    model = MLP(2, [1], seed=0)
    found = least_squares(model, x, y, method=method)
    expected = np.linalg.lstsq(np.c_[x, np.ones(15)], y, rcond=None)[0]
    np.testing.assert_allclose(numbers(model), expected, atol=1e-8)
    assert found.value == pytest.approx(loss_of(model, x, y) * 15 / 2)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_by_each_method_with_a_loss_of_your_own(method: str) -> None:
    def loss(predictions: list[Value], targets: list[float]) -> Value:
        return sum(((p - t) ** 2 for p, t in zip(predictions, targets, strict=True)), start=Value(0.0))

    x, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    model = MLP(2, [4, 1], activation="tanh", seed=1)
    found = minimize(model, x, y, loss=loss, method=method)
    assert found.value < 1e-6
    assert [round(model(sample).data) for sample in x] == y


def test_several_outputs_by_least_squares() -> None:
    model = MLP(1, [2], seed=0)
    least_squares(model, [1.0, 2.0, 4.0], [[3.0, 0.0], [5.0, -1.0], [9.0, -3.0]])
    assert [output.data for output in model([10.0])] == pytest.approx([21.0, -9.0])


def test_a_derivative_that_a_model_takes_itself_counts() -> None:
    """The slope of w x² at x is 2 w x: fitted to slopes of 6 x, w is 3."""

    class Slope(Module):
        def __init__(self) -> None:
            self.w = Value(0.0)

        def __call__(self, x: float) -> Any:
            return grad(lambda x: self.w * x * x)(x)

    for search in (minimize, least_squares):
        model = Slope()
        search(model, [1.0, 2.0], [6.0, 12.0])
        assert model.w.data == pytest.approx(3.0, abs=1e-5)


def test_only_the_parameters_that_are_asked_for_move() -> None:
    x, y = [[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]], [1.0, 0.0, 2.0]
    model = MLP(2, [3, 1], "tanh", seed=3)
    first, last = ([parameter.data for parameter in layer.parameters()] for layer in model.layers)
    for parameter in model.layers[0].parameters():
        parameter.grad = 7.0
    found = minimize(model, x, y, parameters=model.layers[1])
    assert [parameter.data for parameter in model.layers[0].parameters()] == first
    assert [parameter.grad for parameter in model.layers[0].parameters()] == [7.0] * len(first)
    assert found.point == [parameter.data for parameter in model.layers[1].parameters()] != last
    bias = model.layers[1].neurons[0].bias
    assert bias is not None
    bias.data += 1.0
    assert least_squares(model, x, y, parameters=[bias, bias], method="trf").point == [bias.data]


def test_block_by_block_three_matrices_come_to_the_best_linear_fit() -> None:
    """nonlinear-least-squares, "block-wise by layers": Y = X·a·b·c as three linear layers without bias."""
    random = np.random.default_rng(5)
    x, y = random.normal(size=(12, 3)), random.normal(size=12)
    model = MLP(3, [3, 2, 1], activation=None, bias=False, seed=6)
    for _ in range(3):
        for layer in model.layers:
            least_squares(model, x, y, parameters=layer, method="trf")
    a, b, c = (np.array([[weight.data for weight in row] for row in layer.weights]) for layer in model.layers)
    np.testing.assert_allclose((c @ b @ a)[0], np.linalg.lstsq(x, y, rcond=None)[0], atol=1e-6)


@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES)
def test_three_matrices_all_at_once_come_to_the_best_linear_fit(method: str) -> None:
    random = np.random.default_rng(5)
    x, y = random.normal(size=(12, 2)), random.normal(size=(12, 2))
    start = [random.normal(size=(2, 2)) for _ in range(3)]

    def residuals(matrices: Any) -> Any:
        a, b, c = matrices
        return x @ a @ b @ c - y

    if method in LEAST_SQUARES:
        a, b, c = least_squares(residuals, start, method=method, tolerance=1e-12).point
    else:
        a, b, c = minimize(lambda p: (residuals(p) ** 2).sum() / 2, start, method=method, tolerance=1e-9).point
    np.testing.assert_allclose(a @ b @ c, np.linalg.lstsq(x, y, rcond=None)[0], atol=1e-5)


def test_the_gradient_of_three_matrices_is_the_documents_formula() -> None:
    """matrix-calculus: with R = X·a·b·c − Y, dF/dc = (X·a·b)ᵀR, dF/db = (X·a)ᵀR·cᵀ, dF/da = XᵀR·(b·c)ᵀ."""
    random = np.random.default_rng(8)
    x, y = random.normal(size=(6, 3)), random.normal(size=(6, 2))
    a, b, c = random.normal(size=(3, 2)), random.normal(size=(2, 4)), random.normal(size=(4, 2))
    value, gradient = value_and_grad(lambda p: ((x @ p[0] @ p[1] @ p[2] - y) ** 2).sum() / 2)([a, b, c])
    r = x @ a @ b @ c - y
    assert value == pytest.approx((r**2).sum() / 2)
    for found, expected in zip(gradient, [x.T @ r @ (b @ c).T, (x @ a).T @ r @ c.T, (x @ a @ b).T @ r], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    path: list[Any] = []
    minimize(
        lambda p: ((x @ p[0] @ p[1] @ p[2] - y) ** 2).sum() / 2,
        [a, b, c],
        method="CG",
        options={"maxiter": 1},
        callback=lambda point, _: path.append(point),
    )
    moved = [after - before for after, before in zip(path[0], [a, b, c], strict=True)]
    slopes = [each / slope for each, slope in zip(moved, gradient, strict=True)]
    np.testing.assert_allclose(np.concatenate([each.ravel() for each in slopes]), slopes[0][0, 0], rtol=1e-6)


# Stopping


@pytest.mark.parametrize(
    ("function", "start", "minimum"),
    [
        (lambda x: x - 2 * sqrt(x), 30.0, -1.0),
        (lambda x: x - log(x), 0.01, 1.0),
        (lambda x: -log(1 - x * x) + 2 * x, 0.99, -math.log(1 - ((1 - math.sqrt(5)) / 2) ** 2) + 1 - math.sqrt(5)),
        (lambda x: exp(x) - 1000 * x, -1.0, 1000 - 1000 * math.log(1000)),
    ],
)
@pytest.mark.parametrize("method", METHODS)
def test_the_search_turns_back_from_nan_and_infinity(method: str, function: Any, start: float, minimum: float) -> None:
    found = minimize(function, start, method=method)
    assert found.value == pytest.approx(minimum, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_message_says_that_it_turned_back(method: str) -> None:
    found = minimize(lambda x: x - 2 * sqrt(x), 30.0, method=method)
    assert "evaluations gave NaN or infinity: turned back there)" in found.message


@pytest.mark.parametrize("method", LEAST_SQUARES)
def test_least_squares_turns_back_from_nan(method: str) -> None:
    """log x + 3 = 0 from x = 20: a full step would lead to 20 − 20 · 6 < 0, where the second residual is small."""
    found = least_squares(lambda x: [log(x) + 3, tanh(x - 15) + 1], 20.0, method=method)
    assert found.point == pytest.approx(math.exp(-3))
    assert found.success
    assert "NaN or infinity: turned back there" in found.message


def test_the_search_turns_back_where_only_the_derivative_is_nan() -> None:
    """√max(x − ½, 0) is 0 below ½, and its derivative 0 · ∞; the first step is of length 1."""
    found = minimize(lambda x: (x - 0.8) ** 2 + 0 * sqrt(relu(x - 0.5)), 1.3)
    assert found.point == pytest.approx(0.8, abs=1e-6)
    assert found.success
    assert "turned back there" in found.message


def test_a_derivative_that_becomes_infinite_ends_least_squares() -> None:
    """√max(x − ½, 0) is 0 below ½, and its derivative 0 · ∞; the first step, −r/r′ = −1, leads there from 1."""
    found = least_squares(lambda x: [sqrt(relu(x - 0.5))], 1.0)
    assert found.message.startswith("stopped at a point where a derivative is NaN or infinite: this is the best point")
    assert found.point < 0.5
    assert found.value == 0.0
    assert not found.success


class InterruptedModel(Line):
    """Presses Ctrl-C in its call number `calls`, as a terminal does."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def __call__(self, x: float) -> Value:
        self.calls -= 1
        if self.calls == 0:
            signal.raise_signal(signal.SIGINT)
        return super().__call__(x)


LINE_DATA = [0.0, 1.0, 2.0], [1.0, 2.5, 5.5]


@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES)
def test_case_27_ctrl_c_gives_the_best_so_far(method: str) -> None:
    search: Any = least_squares if method in LEAST_SQUARES else minimize
    model = InterruptedModel(calls=3 + 4)  # in the third evaluation or, by Levenberg-Marquardt, in the second
    found = search(model, *LINE_DATA, method=method)
    if method == "Newton-CG" or method in LEAST_SQUARES:  # these are there in one step
        model = InterruptedModel(calls=5)
        found = search(model, *LINE_DATA, method=method)
    assert found.message.startswith("interrupted by Ctrl-C: this is the best point found in ")
    assert not found.success
    assert found.point == numbers(model)
    assert found.value <= found.history[0]
    model.calls = -1
    scale = 1.5 if method in LEAST_SQUARES else 1.0
    assert found.value == pytest.approx(scale * loss_of(model, *LINE_DATA))


def test_case_27_ctrl_c_in_the_first_evaluation_changes_nothing() -> None:
    model = InterruptedModel(calls=2)
    with pytest.raises(KeyboardInterrupt):
        minimize(model, *LINE_DATA)
    assert numbers(model) == [0.0, 0.0]


@pytest.mark.parametrize("method", ["BFGS", "lm"])
def test_case_27_ctrl_c_at_any_line_leaves_the_model_at_the_point_that_is_returned(method: str) -> None:
    """Interrupt a search at its first line, its second, …: point, value and parameters always belong together."""
    files = nn.search.__file__, nn.recording.__file__, nn.objectives.__file__
    search: Any = least_squares if method == "lm" else minimize
    scale = 1.5 if method == "lm" else 1.0
    messages = set()
    for line in range(1, 4000):
        model = Line()
        with interrupted_at(line, files) as was_interrupted:
            try:
                found = search(
                    model, *LINE_DATA, method=method, options={"max_nfev" if method == "lm" else "maxiter": 2}
                )
            except KeyboardInterrupt:
                found = None
        at_the_end = scale * loss_of(model, *LINE_DATA)
        if found is not None:
            messages.add(found.message.split(":")[0])
            assert found.point == numbers(model)
            assert found.value == pytest.approx(at_the_end, rel=1e-12)
            assert [parameter.grad for parameter in model.parameters()] == [0.0, 0.0]
        assert at_the_end <= scale * loss_of(Line(), *LINE_DATA)
        if not was_interrupted():
            break
    else:
        pytest.fail("the search has more lines than were tried")
    assert "interrupted by Ctrl-C" in messages
    assert len(messages) == 2


class interrupted_at:  # noqa: N801  # reads as a function
    """Raises KeyboardInterrupt at that line of the files, counted from the start."""

    def __init__(self, line: int, files: tuple[str, ...]) -> None:
        self.left, self.files = line, files

    def trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in self.files:
            return None
        self.left -= event == "line"
        if self.left == 0:
            self.left = -1
            raise KeyboardInterrupt
        return self.trace

    def __enter__(self) -> Callable[[], bool]:
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return lambda: self.left < 0

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)


@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES)
def test_an_error_in_your_code_gives_the_best_so_far(method: str) -> None:
    calls = 0

    def f(p: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise ZeroDivisionError("on\npurpose")
        return rosenbrock_residuals(p) if method in LEAST_SQUARES else rosenbrock(p)

    search: Any = least_squares if method in LEAST_SQUARES else minimize
    found = search(f, [-1.2, 1.0], method=method)
    assert found.message == (
        "stopped by ZeroDivisionError: on purpose in evaluation 4: this is the best point found in 4 evaluations"
    )
    assert isinstance(found.error, ZeroDivisionError)
    assert found.details is None
    assert found.value < found.history[0]
    scale = 2 if method in LEAST_SQUARES else 1
    assert scale * found.value == pytest.approx(optimize.rosen(found.point))
    calls = 3
    with pytest.raises(ZeroDivisionError):
        search(f, [-1.2, 1.0], method=method)


@pytest.mark.parametrize("evaluation", range(2, 30))
def test_the_best_is_the_lowest_value_of_all(evaluation: int) -> None:
    values: list[float] = []

    def f(p: Any) -> Any:
        if len(values) == evaluation:
            raise ZeroDivisionError
        values.append(float(rosenbrock(p)))
        return rosenbrock(p)

    assert minimize(f, [-1.2, 1.0]).value == min(values)
    assert evaluation < 3 or values != sorted(values, reverse=True)  # not each is lower than the one before


def test_an_exit_leaves_a_model_at_the_best() -> None:
    calls = 0

    def leave(predictions: list[Value], targets: list[float]) -> Value:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise SystemExit
        return mse_loss(predictions, targets)

    model = Line()
    with pytest.raises(SystemExit):
        minimize(model, *LINE_DATA, loss=leave)
    twin = Line()
    assert numbers(model) == minimize(twin, *LINE_DATA, callback=stop).point


def stop(point: Any, value: float) -> None:
    raise StopIteration


def test_another_number_of_residuals_ends_the_search() -> None:
    found = least_squares(lambda p: rosenbrock_residuals(p)[: 2 if p[0] < -1 else 1], [-1.2, 1.0])
    assert found.message.startswith("stopped by 1 residuals where there were 2: this is the best point")


def test_an_error_leaves_a_model_at_the_best() -> None:
    class Breaking(Line):
        calls = 0

        def __call__(self, x: float) -> Value:
            self.calls += 1
            if self.calls == 8:
                raise OSError("gone")
            return super().__call__(x)

    model = Breaking()
    found = minimize(model, *LINE_DATA)
    assert "OSError: gone" in found.message
    assert numbers(model) == found.point
    assert loss_of(model, *LINE_DATA) == found.value


# The callback and the progress


@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES)
def test_the_callback_sees_every_iteration_and_the_model_stands_there(method: str) -> None:
    x, y = LINE_DATA
    model = Line()
    seen: list[float] = []
    scale = 1.5 if method in LEAST_SQUARES else 1.0

    def callback(point: Any, value: float) -> None:
        assert point == numbers(model)
        assert value == pytest.approx(scale * loss_of(model, x, y))
        seen.append(value)

    search: Any = least_squares if method in LEAST_SQUARES else minimize
    found = search(model, x, y, method=method, callback=callback)
    assert found.history[1:] == seen
    assert found.iterations > 0


@pytest.mark.parametrize("method", METHODS + LEAST_SQUARES)
def test_stop_iteration_in_the_callback_ends_the_search(method: str) -> None:
    search: Any = least_squares if method in LEAST_SQUARES else minimize
    function: Any = rosenbrock_residuals if method in LEAST_SQUARES else rosenbrock
    found = search(function, [-1.2, 1.0], method=method, callback=stop)
    assert found.iterations == 1
    assert found.message.startswith("stopped by callback: this is the best point found in ")
    assert found.error is None
    assert found.value <= found.history[1]


def test_an_error_in_the_callback_is_kept() -> None:
    found = minimize(rosenbrock, [-1.2, 1.0], callback=lambda point, value: 1 / 0)
    assert found.message.startswith("stopped by ZeroDivisionError: division by zero in callback")
    assert isinstance(found.error, ZeroDivisionError)


def test_progress_shows_the_value(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich", reason="needs rich: pip install 'autograd-mini[progress]'")
    found = minimize(rosenbrock, [-1.2, 1.0], progress=True, options={"maxiter": 3})
    assert f"iteration 3: {found.value:.6g}" in capsys.readouterr().out
    minimize(rosenbrock, [-1.2, 1.0])
    assert capsys.readouterr().out == ""


# What is not installed


def test_without_scipy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError) as caught:
        minimize(rosenbrock, [-1.2, 1.0])
    assert str(caught.value) == "minimize: needs SciPy: pip install 'autograd-mini[scipy]'"
    with pytest.raises(ImportError, match="least_squares: needs SciPy"):
        least_squares(rosenbrock_residuals, [-1.2, 1.0])


def test_without_rich_it_says_what_to_install_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    model = Line()
    model.slope.grad = 3.0
    with pytest.raises(ImportError) as caught:
        minimize(model, *LINE_DATA, progress=True)
    assert str(caught.value) == "minimize: progress=True needs rich: pip install 'autograd-mini[progress]'"
    assert (model.slope.data, model.slope.grad) == (0.0, 3.0)


# Case 22: wrong arguments

NAN = math.nan

WRONG: list[tuple[Callable[[Any], object], type[Exception], str]] = [
    (lambda m: minimize(3.0, [1.0]), TypeError, "minimize: expected a function or a model, got float 3.0"),  # type: ignore[call-overload]
    (lambda m: minimize(rosenbrock, []), ValueError, "minimize: expected start to hold at least one number, got none"),
    (lambda m: minimize(rosenbrock, [1.0, NAN]), ValueError, "minimize: expected start to be finite, got nan"),
    (lambda m: minimize(rosenbrock, "12"), TypeError, "minimize: expected numbers in start, got str '12'"),
    (lambda m: minimize(rosenbrock, {"a": 1}), TypeError, "minimize: expected numbers in start, got dict {'a': 1}"),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="Nelder-Mead"),
        ValueError,
        "minimize: expected method to be one of BFGS, L-BFGS-B, CG, Newton-CG, got str 'Nelder-Mead'",
    ),
    (lambda m: minimize(rosenbrock, [1.0, 2.0], method=None), TypeError, "minimize: expected method to be one of BFGS"),  # type: ignore[call-overload]
    (
        lambda m: least_squares(rosenbrock_residuals, [1.0, 2.0], method="BFGS"),
        ValueError,
        "least_squares: expected method to be one of lm, trf, dogbox, got str 'BFGS'",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], bounds=[(0, 1), (0, 1)]),
        ValueError,
        "minimize: expected bounds only with method 'L-BFGS-B', got 'BFGS'",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="L-BFGS-B", bounds=[(0, 1)]),
        ValueError,
        "minimize: expected bounds to be a list of pairs (lowest, highest), one for each of the numbers of start, got",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="L-BFGS-B", bounds=3.0),
        TypeError,
        "minimize: expected bounds to be a list of pairs",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="L-BFGS-B", bounds=[(0, 3), (3, "x")]),
        TypeError,
        "minimize: expected numbers in bounds, got str 'x'",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="L-BFGS-B", bounds=[(0, 3), (3, 1)]),
        ValueError,
        "minimize: expected bounds with lowest below highest, got (3.0, 1.0)",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="L-BFGS-B", bounds=[(0, 3), (NAN, 1)]),
        ValueError,
        "minimize: expected bounds with lowest below highest, got (nan, 1.0)",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], method="L-BFGS-B", bounds=[(0, 3), (0, 1)]),
        ValueError,
        "minimize: expected start within bounds, got 2.0 for (0.0, 1.0)",
    ),
    (
        lambda m: least_squares(rosenbrock_residuals, [1.0, 2.0], bounds=(0, 3)),
        ValueError,
        "least_squares: expected bounds only with method 'trf' or 'dogbox', got 'lm'",
    ),
    (
        lambda m: least_squares(rosenbrock_residuals, [1.0, 2.0], method="trf", bounds=[(0, 1), (0, 1, 2)]),
        ValueError,
        "least_squares: expected bounds to be a pair (lowest, highest), each a number or one for each of start's, got",
    ),
    (
        lambda m: least_squares(rosenbrock_residuals, [1.0, 2.0], method="trf", bounds=3.0),
        TypeError,
        "least_squares: expected bounds to be a pair",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], tolerance=0),
        ValueError,
        "minimize: expected tolerance to be a finite number above 0, got 0.0",
    ),
    (lambda m: minimize(rosenbrock, [1.0, 2.0], tolerance="fine"), TypeError, "minimize: expected tolerance to be a"),  # type: ignore[call-overload]
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], options=5),  # type: ignore[call-overload]
        TypeError,
        "minimize: expected options to be a dict of SciPy's options, got int 5",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], options={"max_iterations": 5}),
        ValueError,
        "minimize: expected options that SciPy's BFGS has, got max_iterations",
    ),
    (
        lambda m: least_squares(rosenbrock_residuals, [1.0, 2.0], options={"maxiter": 5}),
        ValueError,
        "least_squares: expected options among diff_step, ftol, gtol, ",
    ),
    (
        lambda m: least_squares(rosenbrock_residuals, [1.0, 2.0], options={"max_nfev": -5}),
        ValueError,
        "least_squares: `max_nfev` must be None or positive integer.",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], callback=3),  # type: ignore[call-overload]
        TypeError,
        "minimize: expected callback to be a function of a point and its value, got int 3",
    ),
    (
        lambda m: minimize(lambda p: 3.0, [1.0]),
        TypeError,
        "minimize: expected the function to return one Value, made of those that it is given, got float 3.0",
    ),
    (
        lambda m: minimize(lambda p: [p[0]], [1.0]),
        TypeError,
        "minimize: expected the function to return one Value, made",
    ),
    (
        lambda m: least_squares(lambda p: [1.0, 2.0], [1.0]),
        TypeError,
        "least_squares: expected the function to return Values, made of those that it is given, got list [1.0, 2.0]",
    ),
    (
        lambda m: least_squares(lambda p: [p[0], None], [1.0]),
        TypeError,
        "least_squares: expected the function to return numbers, got NoneType None",
    ),
    (
        lambda m: minimize(lambda x: log(x), -1.0),
        FloatingPointError,
        "minimize: expected the value at the start to be finite, got nan",
    ),
    (
        lambda m: least_squares(lambda x: [x**0.5], 0.0),
        FloatingPointError,
        "least_squares: expected every derivative at the start to be finite, got inf",
    ),
    (
        lambda m: least_squares(lambda x: [x * 1e200], 1.0),
        FloatingPointError,
        "least_squares: expected the value at the start to be finite, got inf",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0], [2.0]),  # type: ignore[call-overload]
        TypeError,
        "minimize: expected a model with X and y, one that has parameters(), got function",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], loss=max),  # type: ignore[call-overload]
        TypeError,
        "minimize: expected loss only with a model, got a function",
    ),
    (
        lambda m: minimize(rosenbrock, [1.0, 2.0], parameters=[Value(1.0)]),  # type: ignore[call-overload]
        TypeError,
        "minimize: expected parameters only with a model, got a function",
    ),
    (
        lambda m: minimize(m, [1.0]),
        TypeError,
        "minimize: expected X and y with a model, as in minimize(model, X, y), got no y",
    ),
    (lambda m: minimize(m, [1.0], [NAN]), ValueError, "minimize: expected finite numbers in y, got nan in y[0]"),
    (
        lambda m: least_squares(m, [1.0], [1.0, 2.0]),
        ValueError,
        "least_squares: expected a target in y for each sample in X, got 1 sample and 2 targets",
    ),
    (
        lambda m: least_squares(m, [1.0, 2.0], [[1.0, 2.0], [1.0, 2.0]]),
        ValueError,
        "least_squares: expected targets with 1 number, as the predictions have, got 2",
    ),
    (lambda m: minimize(m, [1.0], [1.0], loss=3), TypeError, "minimize: expected loss to be a function of predictions"),  # type: ignore[call-overload]
    (
        lambda m: minimize(m, [1.0], [1.0], parameters=[]),
        ValueError,
        "minimize: expected at least one parameter, got none",
    ),
    (
        lambda m: minimize(m, [1.0], [1.0], parameters=[3.0]),  # type: ignore[list-item]
        TypeError,
        "minimize: expected parameters to be Values, got float 3.0",
    ),
    (
        lambda m: minimize(m, [1.0], [1.0], parameters=m.slope),
        TypeError,
        "minimize: expected parameters to be a module or a list of Values, got Value",
    ),
    (
        lambda m: minimize(Line(NAN), [1.0], [1.0]),
        ValueError,
        "minimize: expected parameters to be finite, got nan",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_mistakes_are_named_before_anything_is_changed(
    call: Callable[[Any], object], error: type[Exception], message: str
) -> None:
    model = Line(2.0, 3.0)
    with pytest.raises(error) as caught:
        call(model)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert numbers(model) == [2.0, 3.0]

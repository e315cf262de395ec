"""Derivatives of ordinary functions, against formulas worked out by hand and against one another."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_mini import Value, check_gradients, exp, grad, hessian, jacobian, log, sin, tanh, value_and_grad

numbers = st.floats(-2.0, 2.0)


def close(got: object, expected: object) -> bool:
    return bool(np.allclose(np.array(got, dtype=float), np.array(expected, dtype=float), rtol=1e-12, atol=1e-14))


def test_grad_of_one_number() -> None:
    assert grad(lambda x: x**3)(2.0) == 12.0


def test_grad_keeps_the_shape_of_its_argument() -> None:
    gradient = grad(lambda w: w[0][0] * w[0][1] + 3 * w[1][0])([[2.0, 5.0], [1.0]])
    assert gradient == [[5.0, 2.0], [3.0]]


def test_grad_keeps_tuples() -> None:
    assert grad(lambda v: v[0] * v[1])((2.0, 3.0)) == (3.0, 2.0)


def test_arrays_stay_arrays_and_numpy_works_on_them() -> None:
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    gradient = grad(lambda w: np.exp(w @ np.array([1.0, -1.0])).sum())(weights)
    assert isinstance(gradient, np.ndarray)
    assert gradient.dtype == float
    assert close(gradient, np.exp(-1.0) * np.array([[1.0, -1.0], [1.0, -1.0]]))
    cubes = jacobian(lambda v: v**3)(np.array([1.0, 2.0]))
    assert cubes.dtype == float
    assert close(cubes, [[3.0, 0.0], [0.0, 12.0]])
    assert close(hessian(lambda v: (v**3).sum())(np.array([1.0, 2.0])), [[6.0, 0.0], [0.0, 12.0]])


def linear(parameters: dict[str, Any]) -> Any:
    """A layer of one neuron, its parameters by their names."""
    return parameters["W"][0] * 3.0 + parameters["W"][1] * 5.0 + parameters["b"] ** 2


def test_grad_keeps_dicts_with_their_keys_in_their_order() -> None:
    value, gradient = value_and_grad(linear)({"b": 4.0, "W": [1.0, 2.0]})
    assert (value, gradient) == (29.0, {"b": 8.0, "W": [3.0, 5.0]})
    assert list(gradient) == ["b", "W"]
    assert type(gradient["b"]) is float


def test_dicts_lists_and_arrays_within_one_another() -> None:
    layers = [{"W": np.array([[2.0, 3.0]]), 0: (5.0,)}, {}]
    gradient = grad(lambda layers: (layers[0]["W"] ** 2).sum() * layers[0][0][0])(layers)
    assert gradient[0]["W"].tolist() == [[20.0, 30.0]]
    assert gradient[0][0] == (13.0,)
    assert gradient[1] == {}


def test_jacobian_and_hessian_of_dicts() -> None:
    derivatives = jacobian(lambda p: {"sum": p["a"] + p["b"], "products": [p["a"] * p["b"]]})({"a": 2.0, "b": 3.0})
    assert derivatives == {"sum": {"a": 1.0, "b": 1.0}, "products": [{"a": 3.0, "b": 2.0}]}
    assert hessian(lambda p: p["a"] ** 2 * p["b"])({"a": 2.0, "b": 3.0}) == {
        "a": {"a": 6.0, "b": 4.0},
        "b": {"a": 4.0, "b": 0.0},
    }


def test_a_function_that_changes_its_dict_changes_only_its_own() -> None:
    mine = {"a": 2.0, "b": 3.0}
    assert grad(lambda p: p.pop("a") * p["b"])(mine) == {"a": 3.0, "b": 2.0}
    assert mine == {"a": 2.0, "b": 3.0}


def test_check_gradients_names_what_is_in_a_dict() -> None:
    point = {"W": [1.0, 2.0], "b": 4.0}
    for inputs in ([point], point):
        report = check_gradients(linear, inputs)
        assert report
        assert [coordinate.name for coordinate in report.coordinates] == [
            "parameters['W'][0]",
            "parameters['W'][1]",
            "parameters['b']",
        ]


def test_check_gradients_takes_a_gradient_whose_keys_come_in_another_order() -> None:
    def ours(parameters: dict[str, Any]) -> dict[str, Any]:
        return {"b": 2 * parameters["b"], "W": [3.0, 5.0]}

    def scaled(factor: Any, parameters: dict[str, Any]) -> Any:
        return factor * linear(parameters)

    point = {"W": [1.0, 2.0], "b": 4.0}
    assert check_gradients(linear, [point], gradient=ours)
    assert check_gradients(linear, [point], gradient={"b": 8.0, "W": [3.0, 5.0]})
    assert check_gradients(scaled, [2.0, point], gradient=[29.0, {"b": 16.0, "W": [6.0, 10.0]}])
    assert not check_gradients(linear, [point], gradient={"b": 3.0, "W": [5.0, 8.0]})


def test_a_function_that_changes_its_list_changes_only_its_own() -> None:
    mine = [2.0, 3.0]
    assert grad(lambda v: v.pop() * v[0])(mine) == [3.0, 2.0]
    assert grad(lambda v: v.append(v[0] ** 2) or sum(v))([3.0]) == [7.0]
    assert mine == [2.0, 3.0]


@pytest.mark.parametrize("y", [0.0, 1.0, 2.0, -1.0, 0.5])
def test_the_hessian_of_a_power_is_symmetric(y: float) -> None:
    """∂²/∂x∂y xʸ = xʸ⁻¹ (1 + y log x), also at y = 0, where the derivative by x is 0 but does depend on y."""
    x = 2.0
    got = hessian(lambda x, y: x**y, (0, 1))(x, y)
    mixed = x ** (y - 1) * (1 + y * math.log(x))
    assert close(got, [[y * (y - 1) * x ** (y - 2), mixed], [mixed, x**y * math.log(x) ** 2]])


def test_argnums_choose_the_arguments() -> None:
    def f(x: Value, y: Value) -> Value:
        return x * y * y

    assert grad(f)(2.0, 3.0) == 9.0
    assert grad(f, 1)(2.0, 3.0) == 12.0
    assert grad(f, -1)(2.0, 3.0) == 12.0
    assert grad(f, -2)(2.0, 3.0) == 9.0
    for place in (2, -3):
        with pytest.raises(ValueError, match="expected argnums below 2"):
            grad(f, place)(2.0, 3.0)
    assert grad(f, (1, 0))(2.0, 3.0) == (12.0, 9.0)


def test_other_arguments_and_options_pass_through() -> None:
    assert grad(lambda x, name, scale=1.0: x * scale * len(name))(2.0, "abc", scale=2.0) == 6.0


def test_value_and_grad_return_plain_floats() -> None:
    value, gradient = value_and_grad(lambda x: exp(2 * x))(0.5)
    assert type(value) is float
    assert type(gradient) is float
    assert (value, gradient) == (math.e, 2 * math.e)


def test_a_function_that_ignores_its_argument_has_gradient_zero() -> None:
    assert grad(lambda x: 3.0)(1.0) == 0.0
    assert grad(lambda v: v[0])([1.0, 2.0]) == [1.0, 0.0]


def test_the_function_keeps_its_name() -> None:
    def cube(x: Value) -> Value:
        """x ** 3"""
        return x**3

    assert grad(cube).__name__ == "cube"
    assert grad(cube).__doc__ == "x ** 3"


@given(numbers, numbers)
def test_jacobian_by_hand(x: float, y: float) -> None:
    got = jacobian(lambda v: [v[0] * v[1], [exp(v[0]), sin(v[1])]])([x, y])
    assert close(got[0], [y, x])
    assert close(got[1], [[math.exp(x), 0.0], [0.0, math.cos(y)]])


def test_jacobian_of_one_number_is_the_gradient() -> None:
    assert jacobian(lambda v: v[0] * v[1])([2.0, 3.0]) == [3.0, 2.0]


@given(numbers, numbers)
def test_hessian_by_hand_and_symmetric(x: float, y: float) -> None:
    got = hessian(lambda v: v[0] ** 2 * v[1] + sin(v[0] * v[1]))([x, y])
    s, c = math.sin(x * y), math.cos(x * y)
    mixed = 2 * x + c - x * y * s
    assert close(got, [[2 * y - y * y * s, mixed], [mixed, -x * x * s]])


def test_hessian_over_two_arguments_is_a_block_for_each_pair() -> None:
    assert hessian(lambda a, b: a * b**2, (0, 1))(2.0, 3.0) == ((0.0, 6.0), (6.0, 4.0))


@given(numbers)
def test_derivatives_of_any_order(x: float) -> None:
    f = tanh
    t = math.tanh(x)
    slope = 1 - t * t
    assert close(grad(f)(x), slope)
    assert close(grad(grad(f))(x), -2 * t * slope)
    assert close(grad(grad(grad(f)))(x), slope * (6 * t * t - 2))


def test_the_tenth_derivative_of_exp() -> None:
    f = exp
    for _ in range(10):
        f = grad(f)
    assert f(1.0) == math.e


def test_higher_derivatives_far_out_in_the_tails_are_not_nan() -> None:
    """Cases 10 and 11, in second derivatives."""
    assert grad(grad(tanh))(1000.0) == 0.0
    assert grad(grad(tanh))(-1000.0) == 0.0
    assert grad(grad(lambda x: x.sigmoid()))(800.0) == 0.0
    assert grad(grad(lambda x: x.softplus()))(-800.0) == 0.0


def test_an_inner_derivative_is_not_confused_with_an_outer_one() -> None:
    # d/dx [ x · d/dy (x + y) ] = d/dx [ x · 1 ] = 1: Siskind & Pearlmutter's test for perturbation confusion
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(5.0) == 1.0
    # d/dx [ d/dy (x · y) at y = 2 ] = 1, though the inner function is called with a plain number
    assert grad(lambda x: grad(lambda y: x * y)(2.0))(3.0) == 1.0
    # the same Value as argument and through the closure: d/dx [ ∂/∂y (x·y) at y = x ] = d/dx x = 1
    assert grad(lambda x: grad(lambda y: x * y)(x))(3.0) == 1.0


def test_an_inner_value_depends_on_the_outer_argument() -> None:
    assert grad(lambda x: value_and_grad(lambda y: y**3)(x)[0])(2.0) == 12.0


def test_at_a_value_the_gradient_can_be_differentiated_again() -> None:
    x = Value(2.0)
    slope = grad(lambda v: v**3)(x)
    assert isinstance(slope, Value)
    slope.backward()
    assert (slope.data, x.grad) == (12.0, 12.0)


def test_no_grad_of_any_value_is_touched() -> None:
    weight = Value(3.0)
    weight.grad = 7.0
    assert grad(lambda x: weight * x)(2.0) == 3.0
    assert jacobian(lambda x: [weight * x, x])(2.0) == [3.0, 1.0]
    assert weight.grad == 7.0


def test_plain_numbers_come_back_after_an_error_in_the_function() -> None:
    def broken(x: Value) -> Value:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        grad(broken)(1.0)
    assert type(grad(log)(2.0)) is float


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grad(lambda x: [x])(1.0), TypeError, "grad: expected the function to return one number, got list"),
        (lambda: grad(lambda x: x)("a"), TypeError, "grad, argument 0: expected a number, got str 'a'"),
        (lambda: grad(lambda x: x)([1.0, None]), TypeError, "grad, argument 0: expected a number, got NoneType None"),
        (lambda: grad(lambda x: None)(1.0), TypeError, "grad, result of the function: expected a number, got NoneType"),
        (
            lambda: grad(lambda x: x, 2)(1.0),
            ValueError,
            "grad: expected argnums below 1, the number of arguments, got 2",
        ),
        (lambda: grad(lambda x: x, [0])(1.0), TypeError, "expected argnums to be an int or a tuple of ints, got [0]"),  # type: ignore[arg-type]
        (
            lambda: jacobian(lambda x: {x})(1.0),
            TypeError,
            "jacobian, result of the function: expected a number, got set",
        ),
        (
            lambda: grad(lambda x: {"a": x})(1.0),
            TypeError,
            "grad: expected the function to return one number, got dict",
        ),
        (lambda: grad(lambda v: v)(np.ones(2)), TypeError, "expected the function to return one number, got ndarray"),
        (
            lambda: grad(lambda p: p["a"])({"a": 1.0, "b": "2"}),
            TypeError,
            "grad, argument 0: expected a number, got str",
        ),
    ],
)
def test_mistakes_are_named(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()  # type: ignore[operator]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

"""Numbers at the edges are the same everywhere: recorded, in second derivatives, compiled for one point and a batch."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograd_mini import compile_graph, exp, grad, hessian, log, logsumexp, maximum, relu, sigmoid, softplus, tanh
from autograd_mini.value import Value
from nn import binary_cross_entropy_with_logits, cross_entropy

INF, NAN = math.inf, math.nan


class Case(NamedTuple):
    """What a function of one number gives somewhere: worked out by hand."""

    name: str
    function: Callable[[Any], Any]
    x: float
    value: float
    gradient: float
    second: float


def doublings(x: Any) -> Any:
    """2⁶⁰ paths from the result to the leaf."""
    for _ in range(60):
        x = x + x
    return x


def loss_of_two_classes(logit: Any) -> Any:
    """The other class's logit is 0."""
    return cross_entropy([[logit, 0.0]], [1])


def loss_of_one_logit(logit: Any) -> Any:
    """The target is 0."""
    return binary_cross_entropy_with_logits([logit], [0.0])


CASES = [
    Case("3 x*x", lambda x: x * x, 3.0, 9.0, 6.0, 2.0),
    Case("3 x+x", lambda x: x + x, 3.0, 6.0, 2.0, 0.0),
    Case("3 x/x", lambda x: x / x, 3.0, 1.0, 0.0, 0.0),
    Case("4 doublings", doublings, 1.0, 2.0**60, 2.0**60, 0.0),
    Case("10 sigmoid(800)", sigmoid, 800.0, 1.0, 0.0, 0.0),
    Case("10 sigmoid(-800)", sigmoid, -800.0, 0.0, 0.0, 0.0),
    Case("10 sigmoid(40)", sigmoid, 40.0, 1.0, 4.248354255291589e-18, -4.248354255291589e-18),
    Case("10 tanh(20)", tanh, 20.0, 1.0, 1.6993417021166355e-17, -3.398683404233271e-17),
    Case("11 tanh(1000)", tanh, 1000.0, 1.0, 0.0, 0.0),
    Case("11 tanh(-1000)", tanh, -1000.0, -1.0, 0.0, 0.0),
    Case("11 softplus(1000)", softplus, 1000.0, 1000.0, 1.0, 0.0),
    Case("11 softplus(-1000)", softplus, -1000.0, 0.0, 0.0, 0.0),
    Case("11 logsumexp(1000, 0)", lambda x: logsumexp([x, 0.0]), 1000.0, 1000.0, 1.0, 0.0),
    Case("11 logsumexp(0, 1000)", lambda x: logsumexp([x, 1000.0]), 0.0, 1000.0, 0.0, 0.0),
    Case("12 exp(710)", exp, 710.0, INF, INF, INF),
    Case("12 log(0)", log, 0.0, -INF, INF, -INF),
    Case("12 1/0", lambda x: 1 / x, 0.0, INF, -INF, INF),
    Case("12 x/0", lambda x: x / 0.0, 1.0, INF, INF, 0.0),
    Case("13 0**0", lambda x: x**0, 0.0, 1.0, 0.0, 0.0),
    Case("13 0**0.0", lambda x: x**0.0, 0.0, 1.0, 0.0, 0.0),
    Case("13 0**0.5", lambda x: x**0.5, 0.0, 0.0, INF, -INF),
    Case("13 (-8)**(1/3)", lambda x: x ** (1 / 3), -8.0, NAN, NAN, NAN),
    Case("13 (-2)**3", lambda x: x**3, -2.0, -8.0, 12.0, -12.0),
    Case("13 x**x", lambda x: x**x, -2.0, 0.25, NAN, NAN),
    Case("14 relu(0)", relu, 0.0, 0.0, 0.0, 0.0),
    Case("14 abs(0)", abs, 0.0, 0.0, 0.0, 0.0),
    Case("14 max(x, x)", lambda x: maximum(x, x), 2.0, 2.0, 1.0, 0.0),
    Case("14 relu(nan)", relu, NAN, NAN, NAN, NAN),
    Case("15 wrong by 1000", loss_of_one_logit, 1000.0, 1000.0, 1.0, 0.0),
    Case("15 right by 1000", loss_of_one_logit, -1000.0, 0.0, 0.0, 0.0),
    Case("15 two classes, wrong by 1000", loss_of_two_classes, 1000.0, 1000.0, 1.0, 0.0),
    Case("15 two classes, right by 1000", loss_of_two_classes, -1000.0, 0.0, 0.0, 0.0),
]

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"case_{case.name}")


def near(number: float) -> Any:
    """To 14 digits, with no tolerance of its own for small numbers."""
    return pytest.approx(number, rel=1e-14, abs=0.0, nan_ok=True)


@each_case
def test_recorded(case: Case) -> None:
    x = Value(case.x)
    y = case.function(x)
    y.backward()
    assert (y.data, x.grad) == (near(case.value), near(case.gradient))


@each_case
def test_second_derivative(case: Case) -> None:
    assert grad(grad(case.function))(case.x) == near(case.second)
    assert hessian(lambda point: case.function(point[0]))([case.x])[0][0] == near(case.second)


@each_case
@pytest.mark.parametrize("executor", ["numpy", "tape"])
def test_compiled(case: Case, executor: str) -> None:
    if executor == "tape":
        pytest.importorskip("numba")
    compiled = compile_graph(case.function, 0.7, executor=executor, reduction="none")
    value, gradient = compiled.value_and_grad(case.x)
    assert (value, gradient) == (near(case.value), near(case.gradient))
    values, gradients = compiled.value_and_grad(np.array([0.7, case.x, 0.7]))
    assert (values[1], gradients[1]) == (near(case.value), near(case.gradient))
    assert compiled.hessian_vector_product(case.x, vector=1.0) == near(case.second)

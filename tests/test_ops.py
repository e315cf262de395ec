"""The table of operations, row by row: against mpmath at 50 digits, NumPy, and numbers worked out by hand.

Numbers in brackets, as in [10], are those of the list of hostile cases.
"""

import dataclasses
import itertools
import math
import pickle
import random
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_mini import ops
from autograd_mini.graph import Node, pullback
from autograd_mini.high_precision import mpmath_arithmetic
from autograd_mini.ops import FLOAT, NUMPY, TABLE, Op, arithmetic, evaluate, row
from autograd_mini.value import VALUE, Value, apply

PRECISE = mpmath.mp.clone()
PRECISE.dps = 50

MPMATH = mpmath_arithmetic(PRECISE)

# Formulas from the textbooks, on purpose not written as the rows write them.
FORMULAS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: 0 - x,
    "pow": lambda x, y: PRECISE.exp(y * PRECISE.log(x)),
    "abs": lambda x: x if x > 0 else -x,
    "sigmoid": lambda x: 1 / (1 + PRECISE.exp(-x)),
    "softplus": lambda x: PRECISE.log(1 + PRECISE.exp(x)),
    "logaddexp": lambda x, y: PRECISE.log(PRECISE.exp(x) + PRECISE.exp(y)),
    "relu": lambda x: max(x, PRECISE.zero),
    "leaky_relu": lambda x, slope: x if x > 0 else slope * x,
    "maximum": lambda x, y: x if x > y else y,
    "minimum": lambda x, y: y if x > y else x,
    "gelu": lambda x: x * PRECISE.ncdf(x),
}

ROWS = [pytest.param(op, id=op.name) for op in TABLE.values()]
PLACES = [(op, place) for op in TABLE.values() for place in range(op.arity)]
OPERANDS = [pytest.param(op, place, id=f"{op.name}-{place}") for op, place in PLACES]
HARD_NUMBERS = [
    *(0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 1e-300, 1.8e308 / 2, -1.7e308),
    *(1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1 / 3, -8.0, 40.0, 710.0, -710.0, 800.0, -800.0, 1e16),
]
ANY_FLOAT = st.floats() | st.sampled_from(HARD_NUMBERS)

TIGHT = 1e-14
"""The largest relative error of a value or a first derivative at the points of `domain`; found: 5e-15."""


# The comparison. Relative error only: an absolute tolerance would hide every wrong small derivative.


def relative_error(got: float, exact: Any) -> float:
    """|got - exact| / |exact|; against an exact zero, only a zero is right."""
    if not math.isfinite(got):
        return math.inf
    if exact == 0:
        return 0.0 if got == 0 else math.inf
    return float(abs((PRECISE.mpf(got) - exact) / exact))


def points(op: Op, count: int = 20) -> list[tuple[float, ...]]:
    """Points of the row's domain away from its kink, the same at every run."""
    generator = random.Random(op.name)
    found: list[tuple[float, ...]] = []
    while len(found) < count:
        point = tuple(generator.uniform(low, high) for low, high in op.domain)
        if op.kink is None or abs(op.kink(*point)) > 1e-3:
            found.append(point)
    return found


def formula(op: Op) -> Callable[..., Any]:
    """The textbook's formula, mpmath's function of that name, or, for a new row, its own rule at 50 digits."""
    if op.name in FORMULAS:
        return FORMULAS[op.name]
    own_rule = partial(op.forward, MPMATH)
    found: Callable[..., Any] = getattr(PRECISE, op.name, own_rule)
    return found


def exact_derivative(op: Op, point: Sequence[float], orders: tuple[int, ...]) -> Any:
    """A derivative of the formula, orders[i] times by operand i, by mpmath's finite differences at 50 digits."""
    operands = tuple(map(PRECISE.mpf, point))
    found = PRECISE.diff(formula(op), operands if op.arity > 1 else operands[0], orders if op.arity > 1 else orders[0])
    return PRECISE.zero if abs(found) < 1e-40 else found


def value_error(op: Op) -> float:
    """The largest relative error of the forward rule on floats."""
    return max(
        relative_error(evaluate(op.forward, *point), formula(op)(*map(PRECISE.mpf, point))) for point in points(op)
    )


def partial_error(op: Op, place: int) -> float:
    """The largest relative error of the partial by one operand, on floats."""
    orders = tuple(int(index == place) for index in range(op.arity))
    worst = 0.0
    for point in points(op):
        got = evaluate(op.partials[place], evaluate(op.forward, *point), *point)
        worst = max(worst, relative_error(got, exact_derivative(op, point, orders)))
    return worst


def derivative_as_value(root: Any, inputs: Sequence[Value], place: int) -> Any:
    """The derivative of root by inputs[place], recorded, so that it can be differentiated again."""

    def partials(node: Node) -> list[Any]:
        assert node.op is not None
        pairs = zip(node.op.partials, node.operands, strict=True)
        return [rule(VALUE, node, *node.operands) for rule, operand in pairs if isinstance(operand, Node)]

    return pullback(root, inputs, 1.0, partials)[place] if isinstance(root, Value) else 0.0


def repeated_derivative(op: Op, point: Sequence[float], places: Sequence[int]) -> float:
    """The derivative by operand places[0], then by places[1], …, by running the partials on Values."""
    inputs = [Value(number) for number in point]
    derivative: Any = apply(op, *inputs)
    for place in places:
        derivative = derivative_as_value(derivative, inputs, place)
    return float(derivative)


def repeated_error(op: Op, places: Sequence[int]) -> float:
    """The largest relative error of that derivative."""
    orders = tuple(places.count(index) for index in range(op.arity))
    return max(
        relative_error(repeated_derivative(op, point, places), exact_derivative(op, point, orders))
        for point in points(op, 8)
    )


# Every row


def test_the_table_holds_every_row_by_its_name() -> None:
    assert all(TABLE[op.name] is op for op in vars(ops).values() if isinstance(op, Op))
    assert list(TABLE)[:7] == ["add", "sub", "mul", "div", "neg", "pow", "abs"]
    assert len(TABLE) >= 25
    assert set(FORMULAS) <= set(TABLE)


@pytest.mark.parametrize("op", ROWS)
def test_a_row_is_complete(op: Op) -> None:
    assert op.arity == len(op.partials) == len(op.domain)
    assert op.arity == (len(op.parameters) if not op.is_operator else op.arity)
    assert op.symbol
    assert op.doc.endswith(".")
    assert "\n" not in op.doc
    assert repr(op) == f"Op({op.name})"
    assert all(low < high for low, high in op.domain)


@pytest.mark.parametrize("op", ROWS)
def test_value_equals_its_formula_at_50_digits(op: Op) -> None:
    assert value_error(op) < TIGHT


@pytest.mark.parametrize(("op", "place"), OPERANDS)
def test_partial_equals_the_derivative_at_50_digits(op: Op, place: int) -> None:
    assert partial_error(op, place) < TIGHT


@pytest.mark.parametrize(("op", "place"), OPERANDS)
def test_partial_equals_a_central_difference_of_the_forward_rule(op: Op, place: int) -> None:
    """No mpmath, no formula: the rule on floats, moved a little either way."""
    step = 6e-6  # the cube root of a float's rounding, where both errors of the difference balance
    for point in points(op):
        above, below = list(point), list(point)
        above[place] += step
        below[place] -= step
        rise = evaluate(op.forward, *above) - evaluate(op.forward, *below)
        got = evaluate(op.partials[place], evaluate(op.forward, *point), *point)
        assert got == pytest.approx(rise / (above[place] - below[place]), rel=1e-5, abs=2e-8)


@pytest.mark.parametrize(("op", "place"), OPERANDS)
def test_second_and_third_derivatives_equal_those_at_50_digits(op: Op, place: int) -> None:
    for second in range(op.arity):
        assert repeated_error(op, (place, second)) < 1e-12
        for third in range(op.arity):
            assert repeated_error(op, (place, second, third)) < 1e-11


def on_arrays(rule: Callable[..., Any], *columns: Any) -> Any:
    """A rule on NumPy arrays of one length, as an array of that length."""
    with np.errstate(all="ignore"):
        return np.broadcast_to(rule(NUMPY, *columns), columns[0].shape)


@pytest.mark.parametrize("op", ROWS)
def test_rules_on_arrays_equal_those_on_floats(op: Op) -> None:
    """Also at zeros, infinities and NaNs, and for every mixture of them."""
    tuples = points(op) + list(itertools.product(HARD_NUMBERS, repeat=op.arity))
    columns = [np.array(column) for column in zip(*tuples, strict=True)]
    out = on_arrays(op.forward, *columns)
    partials = [on_arrays(rule, out, *columns) for rule in op.partials]
    for index, point in enumerate(tuples):
        result = evaluate(op.forward, *point)
        assert same_number(float(out[index]), result), point
        for rule, column in zip(op.partials, partials, strict=True):
            assert same_number(float(column[index]), evaluate(rule, result, *point)), point


# The comparison itself


@pytest.mark.parametrize(("op", "place"), OPERANDS)
@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.5, 2.0, 1 + 1e-6, 1 + 1e-9, math.nan])
def test_a_wrong_partial_is_caught(op: Op, place: int, factor: float) -> None:
    right = op.partials[place]
    wrong: list[Callable[..., Any]] = list(op.partials)
    wrong[place] = lambda m, out, *operands: factor * right(m, out, *operands)
    assert partial_error(dataclasses.replace(op, partials=tuple(wrong)), place) > 1e-10


@pytest.mark.parametrize("op", ROWS)
@pytest.mark.parametrize("factor", [-1.0, 0.0, 2.0, 1 + 1e-9, math.nan])
def test_a_wrong_forward_rule_is_caught(op: Op, factor: float) -> None:
    # A row of that name, so that the formula is still the right one.
    wrong = dataclasses.replace(op, forward=lambda m, *operands: factor * op.forward(m, *operands))
    assert value_error(wrong) > 1e-10


def is_curved(op: Op, place: int) -> bool:
    """Whether the second derivative by that operand is more than zero everywhere."""
    orders = tuple(2 * int(index == place) for index in range(op.arity))
    return any(exact_derivative(op, point, orders) != 0 for point in points(op, 2))


CURVED = [pytest.param(op, place, id=f"{op.name}-{place}") for op, place in PLACES if is_curved(op, place)]


@pytest.mark.parametrize(("op", "place"), CURVED)
def test_a_partial_that_cannot_be_differentiated_again_is_caught(op: Op, place: int) -> None:
    """Right as a number, but cut off from its operands: the second derivative is lost."""
    right = op.partials[place]
    wrong: list[Callable[..., Any]] = list(op.partials)
    wrong[place] = lambda m, out, *operands: float(right(m, out, *operands))
    assert repeated_error(dataclasses.replace(op, partials=tuple(wrong)), (place, place)) > 0.5


def test_relative_error_by_hand() -> None:
    assert relative_error(1.5, PRECISE.one) == 0.5
    assert relative_error(0.0, PRECISE.mpf(10) ** -20) == 1.0
    assert relative_error(0.0, PRECISE.zero) == 0.0
    assert relative_error(1e-300, PRECISE.zero) == math.inf
    assert relative_error(math.nan, PRECISE.one) == math.inf


# Tails: digits that the obvious formula loses


def partial_of(name: str, *operands: float, place: int = 0) -> float:
    """The partial of a row at a point."""
    op = row(name)
    return evaluate(op.partials[place], evaluate(op.forward, *operands), *operands)


def value_of(name: str, *operands: float) -> float:
    """The result of a row at a point."""
    return evaluate(row(name).forward, *operands)


def test_case_10_derivatives_in_the_saturated_tails_to_14_digits() -> None:
    assert partial_of("sigmoid", 40.0) == pytest.approx(4.248354255291589e-18, rel=1e-14, abs=0)
    assert partial_of("sigmoid", -40.0) == pytest.approx(4.248354255291589e-18, rel=1e-14, abs=0)
    assert partial_of("tanh", 20.0) == pytest.approx(1.6993417021166355e-17, rel=1e-14, abs=0)
    assert partial_of("tanh", -20.0) == pytest.approx(1.6993417021166355e-17, rel=1e-14, abs=0)


TAILS = {
    "sigmoid": (lambda x: 1 / (1 + PRECISE.exp(-x)), lambda x: 1 / (2 + PRECISE.exp(x) + PRECISE.exp(-x))),
    "softplus": (lambda x: PRECISE.log1p(PRECISE.exp(x)), lambda x: 1 / (1 + PRECISE.exp(-x))),
    "tanh": (PRECISE.tanh, lambda x: PRECISE.sech(x) ** 2),
    "expm1": (PRECISE.expm1, PRECISE.exp),
    "exp": (PRECISE.exp, PRECISE.exp),
}


@pytest.mark.parametrize("name", TAILS)
@settings(max_examples=300)
@given(x=st.floats(-690, 690) | st.floats(-1e-3, 1e-3))
def test_case_10_and_11_whole_tails_against_50_digits(name: str, x: float) -> None:
    if name == "tanh":
        x /= 2
    exact_value, exact_partial = (rule(PRECISE.mpf(x)) for rule in TAILS[name])
    assert relative_error(value_of(name, x), exact_value) < 2e-15 or abs(exact_value) < 1e-300
    assert relative_error(partial_of(name, x), exact_partial) < 2e-15


@settings(max_examples=300)
@given(x=st.floats(-690, 690), gap=st.floats(-690, 690) | st.floats(-1e-3, 1e-3))
def test_case_11_logaddexp_against_50_digits(x: float, gap: float) -> None:
    """Beside a larger operand of 0, where nothing cancels, to the last digits; the partials everywhere."""
    y = x + gap
    smaller = -abs(gap)
    for operands in ((0.0, smaller), (smaller, 0.0)):
        assert relative_error(value_of("logaddexp", *operands), PRECISE.log1p(PRECISE.exp(smaller))) < 2e-15
    exact = PRECISE.log(PRECISE.exp(x) + PRECISE.exp(y))
    assert abs(value_of("logaddexp", x, y) - exact) <= 1e-15 * max(1.0, abs(x), abs(y))
    difference = PRECISE.mpf(x) - PRECISE.mpf(y)
    for place, sign in ((0, 1), (1, -1)):
        share = 1 / (1 + PRECISE.exp(-sign * difference))
        assert relative_error(partial_of("logaddexp", x, y, place=place), share) < 2e-15 + 1.2e-16 * abs(difference)


@settings(max_examples=300)
@given(x=st.floats(-25, 25))
def test_tail_of_erfc(x: float) -> None:
    """The value keeps its digits; exp(-x²) of the derivatives loses those that rounding x² costs."""
    assert relative_error(value_of("erfc", x), PRECISE.erfc(x)) < 1e-14
    slope = 2 / PRECISE.sqrt(PRECISE.pi) * PRECISE.exp(-(PRECISE.mpf(x) ** 2))
    assert relative_error(partial_of("erfc", x), -slope) < (x * x + 4) * 3e-16
    assert relative_error(partial_of("erf", x), slope) < (x * x + 4) * 3e-16


@settings(max_examples=300)
@given(x=st.floats(-37, 37))
def test_tails_of_gelu(x: float) -> None:
    """Right to a few last digits; on the left the rounding of x/√2 costs a relative x² of them, at most 4e-13."""
    exact = PRECISE.mpf(x)
    tolerance = (x * x + 4 if x < 0 else 4) * 3e-16
    assert relative_error(value_of("gelu", x), exact * PRECISE.ncdf(exact)) < tolerance or abs(x) < 1e-300
    # The derivative is 0 near -0.75: there the error is measured against its two terms.
    terms = PRECISE.ncdf(exact), exact * PRECISE.npdf(exact)
    assert abs(partial_of("gelu", x) - sum(terms)) < tolerance * sum(map(abs, terms))


@settings(max_examples=300)
@given(x=st.floats(-0.999, 1e300))
def test_log1p_near_zero_and_far_out(x: float) -> None:
    assert relative_error(value_of("log1p", x), PRECISE.log1p(PRECISE.mpf(x))) < 1e-15


def test_derivatives_of_a_quotient_do_not_square_the_denominator() -> None:
    """-x / y² would overflow, or divide by zero, on the way to these numbers."""
    assert partial_of("div", 1e300, 1e160, place=1) == pytest.approx(-1e-20, rel=1e-15, abs=0)
    assert partial_of("div", 1e-300, 1e-170, place=1) == pytest.approx(-1e40, rel=1e-15, abs=0)


# IEEE 754


def same_number(a: float, b: float) -> bool:
    """Equal in every respect that a float has, but for the last digits of a finite number."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if a == 0 or b == 0 or math.isinf(a) or math.isinf(b):
        return (a == b or abs(a - b) <= 1e-323) and math.copysign(1.0, a) == math.copysign(1.0, b)
    return math.isclose(a, b, rel_tol=4e-15, abs_tol=1e-320)


@pytest.mark.parametrize("op", ROWS)
@settings(max_examples=300)
@given(data=st.data())
def test_any_operands_give_what_numpy_gives_and_nothing_is_raised(op: Op, data: st.DataObject) -> None:
    """Cases 10 to 14 at large: infinities, NaN, negative zero, overflow. A warning would be an error here."""
    operands = data.draw(st.tuples(*[ANY_FLOAT] * op.arity))
    results = [evaluate(op.forward, *operands)]
    results += [evaluate(rule, results[0], *operands) for rule in op.partials]
    assert all(type(result) is float for result in results)
    # Pairs: for a single exponent of 0.5 NumPy takes the root, and sqrt(-inf) is NaN where pow has inf.
    columns = [np.array([operand, operand]) for operand in operands]
    expected = [float(on_arrays(op.forward, *columns)[0])]
    expected += [float(on_arrays(rule, np.array([results[0]] * 2), *columns)[0]) for rule in op.partials]
    assert all(map(same_number, results, expected)), (results, expected)


UFUNCS = {"sub": "subtract", "mul": "multiply", "div": "divide", "neg": "negative", "pow": "power"}
WITH_UFUNC = [op for op in TABLE.values() if isinstance(getattr(np, UFUNCS.get(op.name, op.name), None), np.ufunc)]


def test_most_rows_have_a_function_in_numpy_to_be_compared_with() -> None:
    names = {op.name for op in WITH_UFUNC}
    assert names >= {"add", "sub", "mul", "div", "neg", "pow", "exp", "log", "sqrt", "sin", "maximum", "minimum"}


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in WITH_UFUNC])
def test_hard_operands_give_what_numpys_own_function_gives(op: Op) -> None:
    columns = zip(*itertools.product(HARD_NUMBERS, repeat=op.arity), strict=True)
    with np.errstate(all="ignore"):
        expected = getattr(np, UFUNCS.get(op.name, op.name))(*map(np.array, columns))
    for operands, number in zip(itertools.product(HARD_NUMBERS, repeat=op.arity), expected, strict=True):
        got = evaluate(op.forward, *operands)
        assert got == pytest.approx(float(number), rel=1e-14, abs=0, nan_ok=True), operands


def test_evaluate_leaves_no_warning_even_where_warnings_are_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value_of("exp", 1e4) == math.inf
        assert value_of("div", 1.0, 0.0) == math.inf
        assert math.isnan(value_of("sin", math.inf))
    with np.errstate(all="raise"):
        assert value_of("exp", 1e4) == math.inf
        assert value_of("mul", 1e200, 1e200) == math.inf


def gradients(name: str, *numbers: float) -> tuple[float, ...]:
    """The value and the gradients of a row that is recorded, and differentiated by backward()."""
    leaves = [Value(number) for number in numbers]
    result = apply(row(name), *leaves)
    assert isinstance(result, Value)
    result.backward()
    return result.data, *(leaf.grad for leaf in leaves)


def test_case_10_sigmoid_saturates() -> None:
    assert gradients("sigmoid", 800.0) == (1.0, 0.0)
    assert gradients("sigmoid", -800.0) == (0.0, 0.0)
    assert gradients("sigmoid", math.inf) == (1.0, 0.0)
    assert gradients("sigmoid", -math.inf) == (0.0, 0.0)


def test_case_11_tanh_saturates() -> None:
    assert gradients("tanh", 1000.0) == (1.0, 0.0)
    assert gradients("tanh", -1000.0) == (-1.0, 0.0)


def test_case_11_softplus_neither_overflows_nor_underflows() -> None:
    assert gradients("softplus", 1000.0) == (1000.0, 1.0)
    assert gradients("softplus", -1000.0) == (0.0, 0.0)
    assert gradients("softplus", math.inf) == (math.inf, 1.0)


def test_case_11_logaddexp_neither_overflows_nor_loses_a_tail() -> None:
    assert gradients("logaddexp", 1000.0, 0.0) == (1000.0, 1.0, 0.0)
    assert gradients("logaddexp", -1000.0, -1000.0) == (math.log(2) - 1000.0, 0.5, 0.5)
    assert gradients("logaddexp", 1e308, -1e308) == (1e308, 1.0, 0.0)
    assert value_of("logaddexp", 0.0, -50.0) == pytest.approx(1.928749847963918e-22, rel=1e-15, abs=0)
    assert partial_of("logaddexp", -50.0, 0.0) == pytest.approx(1.928749847963918e-22, rel=1e-14, abs=0)


@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_case_12_logaddexp_of_infinities(infinity: float) -> None:
    shares = (1.0, 0.0) if infinity > 0 else (0.0, 1.0)
    assert gradients("logaddexp", infinity, infinity) == (infinity, 0.5, 0.5)
    assert gradients("logaddexp", infinity, 3.0) == (max(infinity, 3.0), *shares)
    assert gradients("logaddexp", 3.0, infinity) == (max(infinity, 3.0), *reversed(shares))
    assert gradients("logaddexp", infinity, -infinity) == (math.inf, *shares)
    assert all(map(math.isnan, gradients("logaddexp", infinity, math.nan)))
    assert all(map(math.isnan, gradients("logaddexp", math.nan, infinity)))
    assert "halves" in row("logaddexp").doc


def test_logaddexp_is_curved_where_its_operands_are_equal() -> None:
    """There |x - y| has a kink, and log(exp(x) + exp(y)) none: the second derivatives are σ'(0) and -σ'(0)."""
    for x in (0.0, -0.0, 3.25, -1000.0):
        for first, second in itertools.product((0, 1), repeat=2):
            expected = 0.25 if first == second else -0.25
            assert repeated_derivative(row("logaddexp"), (x, x), (first, second)) == expected


def test_case_12_exp_overflows_to_infinity() -> None:
    assert gradients("exp", 710.0) == (math.inf, math.inf)


def test_case_12_log_of_zero_and_of_a_negative_number() -> None:
    assert gradients("log", 0.0) == (-math.inf, math.inf)
    assert math.isnan(value_of("log", -1.0))


def test_case_12_division_by_zero() -> None:
    result, by_numerator, by_denominator = gradients("div", 1.0, 0.0)
    assert (result, by_numerator, by_denominator) == (math.inf, math.inf, -math.inf)
    x = Value(0.0)
    (1 / x).backward()
    assert x.grad == -math.inf
    assert value_of("div", 1.0, -0.0) == -math.inf
    assert math.isnan(value_of("div", 0.0, 0.0))


@pytest.mark.parametrize("base", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("places", [(0, 1), (1, 0)])
def test_case_13_a_power_of_zero_is_still_a_function_of_its_exponent(base: float, places: tuple[int, int]) -> None:
    """The derivative of x**y by x is 0 at y = 0, and that again by y is 1/x."""
    assert repeated_derivative(row("pow"), (base, 0.0), places) == 1 / base


@pytest.mark.parametrize("exponent", [0, 0.0, -0.0])
def test_case_13_zero_to_the_power_zero(exponent: float) -> None:
    x = Value(0.0)
    y = x**exponent
    y.backward()
    assert (y.data, x.grad) == (1.0, 0.0)
    assert gradients("pow", 0.0, exponent) == (1.0, 0.0, 0.0)


def test_case_13_root_of_zero() -> None:
    x = Value(0.0)
    y = x**0.5
    y.backward()
    assert (y.data, x.grad) == (0.0, math.inf)


def test_case_13_fractional_power_of_a_negative_number_is_nan_never_complex() -> None:
    y = Value(-8.0) ** (1 / 3)
    assert type(y.data) is float
    assert math.isnan(y.data)


def test_case_13_a_constant_exponent_never_evaluates_the_logarithm() -> None:
    """x**3 at -2 is -8 with derivative 12; a log that keeps a list proves that the rule did without it."""
    x = Value(-2.0)
    y = x**3
    y.backward()
    assert (y.data, x.grad) == (-8.0, 12.0)
    seen: list[float] = []

    def forward(m: Any, x: float) -> float:
        seen.append(x)
        return math.nan

    watched = arithmetic({**vars(VALUE), "log": partial(apply, dataclasses.replace(row("log"), forward=forward))})
    by_base, by_exponent = row("pow").partials
    assert by_base(watched, y, x, 3.0).data == 12.0
    assert not seen
    assert math.isnan(by_exponent(watched, y, x, 3.0).data)
    assert seen


def test_case_13_x_to_the_x_at_a_negative_number() -> None:
    x = Value(-2.0)
    y = x**x
    y.backward()
    assert y.data == 0.25
    assert math.isnan(x.grad)


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_case_14_kinks_have_the_gradient_that_the_docstrings_state(zero: float) -> None:
    assert gradients("relu", zero) == (0.0, 0.0)
    assert gradients("abs", zero) == (0.0, 0.0)
    assert gradients("leaky_relu", zero, 0.25) == (0.0, 0.25, 0.0)
    assert "at 0 is 0" in row("relu").doc
    assert "at 0 is 0" in row("abs").doc
    assert "at 0 is negative_slope" in row("leaky_relu").doc


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("number", [3.0, 0.0, -1.5, math.inf, -math.inf])
def test_case_14_a_tie_is_shared_and_sums_to_one(name: str, number: float) -> None:
    assert gradients(name, number, number) == (number, 0.5, 0.5)
    x = Value(number)
    same = apply(row(name), x, x)
    assert isinstance(same, Value)
    same.backward()
    assert x.grad == 1.0
    assert "half" in row(name).doc


def test_case_14_the_larger_gets_the_gradient() -> None:
    assert gradients("maximum", 2.0, 1.0) == (2.0, 1.0, 0.0)
    assert gradients("maximum", 1.0, 2.0) == (2.0, 0.0, 1.0)
    assert gradients("minimum", 2.0, 1.0) == (1.0, 0.0, 1.0)
    assert gradients("minimum", 1.0, 2.0) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu"])
def test_case_14_nan_passes_kinked_rows_and_their_gradients(name: str) -> None:
    others = (0.1,) * (row(name).arity - 1)
    assert all(map(math.isnan, gradients(name, math.nan, *others)))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize("operands", [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan), (math.inf, math.nan)])
def test_case_14_nan_passes_maximum_and_minimum_from_either_side(name: str, operands: tuple[float, float]) -> None:
    assert all(map(math.isnan, gradients(name, *operands)))


@pytest.mark.parametrize("op", ROWS)
def test_nan_operands_never_become_numbers(op: Op) -> None:
    """Beside a 2: pow(1, NaN) and pow(NaN, 0) are 1, as IEEE 754 has it, and leaky_relu(2, NaN) needs no slope."""
    for place in range(op.arity):
        operands = [2.0] * op.arity
        operands[place] = math.nan
        if (op.name, place) == ("leaky_relu", 1):
            operands[0] = -2.0
        assert math.isnan(evaluate(op.forward, *operands)), operands


# Op and its helpers


def test_an_op_has_one_or_two_operands() -> None:
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"Op strange: expected one or two partials, got {count}"):
            Op(name="strange", forward=lambda m, x: x, partials=(lambda m, out, x: 1.0,) * count, doc="")


def test_symbol_is_the_name_where_none_is_given() -> None:
    assert row("exp").symbol == "exp"
    assert row("mul").symbol == "×"


def test_row_names_the_rows_there_are() -> None:
    assert row("tanh") is ops.TANH
    with pytest.raises(ValueError, match=r"operation: expected one of add, sub, .*gelu, got 'tangent'"):
        row("tangent")


def test_rows_are_pickled_by_name() -> None:
    assert all(pickle.loads(pickle.dumps(op)) is op for op in TABLE.values())


def test_an_own_op_that_borrows_a_name_is_not_pickled() -> None:
    mine = dataclasses.replace(row("exp"))
    with pytest.raises(TypeError, match="Op exp: only the rows of the table can be pickled or copied"):
        pickle.dumps(mine)


def test_arithmetic_gives_every_row_that_is_no_primitive_from_its_rule() -> None:
    assert FLOAT.sigmoid(0.0) == 0.5
    assert FLOAT.add(1.0, 2.0) == 3.0
    assert float(NUMPY.relu(np.float64(-2.0))) == 0.0
    assert set(TABLE) <= set(vars(FLOAT))
    assert float(MPMATH.sigmoid(PRECISE.mpf(0))) == 0.5

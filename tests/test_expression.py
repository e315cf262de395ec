"""Expressions from a user's keyboard: what they mean, and that nothing else is ever run."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE

from autograd_mini import Value
from autograd_mini.expression import MAX_LENGTH, Expression


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [
        ("w*x + b", {"w": 2.0, "x": 3.0, "b": 1.0}, 7.0),
        ("2**3**2", {}, 512.0),
        ("-x**2", {"x": 3.0}, -9.0),
        ("(1 + 2) * 3 / 4 - 5", {}, -2.75),
        ("sin(pi/2) + exp(log(e))", {}, 1 + math.e),
        ("maximum(x, 2) + abs(-x) + leaky_relu(-x, 0.5) + leaky_relu(-x)", {"x": 1.0}, 2.49),
        ("e", {"e": 5.0}, 5.0),
        (" 1e3 ", {}, 1000.0),
        ("1/0", {}, math.inf),
        ("10**400", {}, math.inf),
        ("+x", {"x": 1.0}, 1.0),
    ],
)
def test_it_computes_what_it_says(text: str, numbers: dict[str, float], expected: float) -> None:
    assert Expression(text)(**numbers) == expected


def test_powers_of_negative_numbers_are_nan_and_never_complex() -> None:
    assert math.isnan(Expression("(-8)**(1/3)")())


def test_it_records_on_values() -> None:
    x = Value(3.0)
    Expression("x*x + 1")(x=x).backward()
    assert x.grad == 6.0


def test_variables_in_order_of_appearance() -> None:
    assert Expression("w*x + w*b - pi").variables == ["w", "x", "b", "pi"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x^2", "** (for powers)"),
        ("__import__('os').system('true')", "got \"__import__('os').system('true')\" at character 1"),
        ("x.exp()", "got 'x.exp()'"),
        ("x.__class__", "got 'x.__class__'"),
        ("1 + ", "invalid syntax at character"),
        ("(x", "'(' was never closed"),
        ("'text'", "expected numbers, variables"),
        ("True", "got 'True'"),
        ("1j", "got '1j'"),
        ("[x, 1]", "got '[x, 1]'"),
        ("lambda: 1", "got 'lambda: 1'"),
        ("x if x else 1", "got 'x if x else 1'"),
        ("x := 1", "invalid syntax"),
        ("x; y", "invalid syntax"),
        ("f'{x}'", "expected numbers, variables"),
        ("", "invalid syntax at character 1 of ''"),
        ("x\0", "null bytes"),
        ("foo(x)", "got the function foo"),
        ("exp(x, 2)", "exp expected 1 argument(s), got 2"),
        ("maximum(x)", "maximum expected 2 argument(s), got 1"),
        ("leaky_relu()", "leaky_relu expected 1 or 2 argument(s), got 0"),
        ("exp(x=2)", "got 'exp(x=2)'"),
        ("exp(*x)", "got '*x'"),
        ("1" * 400, "expected numbers below 1.8e308"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^expression: ") as caught:
        Expression(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["(" * 4000 + "x" + ")" * 4000, "-" * 9000 + "x", "x**" * 3000 + "x", "x" * 10_000_000],
)
def test_monsters_are_refused_at_once(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"too (many )?(deeply )?nested|at most 10,000 characters") as caught:
        Expression(text)
    assert len(str(caught.value)) < 200
    assert time.monotonic() - started < PATIENCE


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_a_clear_error(text: str) -> None:
    message = "expression: fine"
    try:
        Expression(text)
    except ValueError as error:
        message = str(error)
    assert message.startswith("expression: ")


def test_a_long_sum_is_computed_or_refused() -> None:
    """How deep Python's own parser goes depends on its version; ours does not recurse."""
    try:
        expression = Expression("+".join("x" * 5000))
    except ValueError as error:
        assert "too deeply nested" in str(error)  # noqa: PT017
    else:
        assert expression(x=1.0) == 5000.0


def test_missing_and_unknown_numbers() -> None:
    with pytest.raises(ValueError, match=r"expected a number for x, b, as in x=1"):
        Expression("w*x + b")(w=1.0)
    with pytest.raises(ValueError, match="y is not in the expression"):
        Expression("x")(x=1.0, y=2.0)


def test_the_longest_expression_that_is_allowed() -> None:
    text = "(" + " " * (MAX_LENGTH - 3) + "1)"
    assert Expression(text)() == 1.0

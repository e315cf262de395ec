"""The table's rows as formulas: each is read back from its text and compared with the row run on numbers."""

import math
from collections.abc import Sequence
from itertools import product

import pytest
from formula_reader import value_of
from hypothesis import given
from hypothesis import strategies as st

from autograd_mini.formula import (
    DOTS,
    POWER,
    TEXT,
    derivative,
    filled,
    gradient,
    matrix,
    named,
    node,
    number,
    number_text,
    one_line,
    partial_formula,
    product_formula,
    result_formula,
    simplified,
)
from autograd_mini.ops import TABLE, Op, evaluate
from autograd_mini.source_code import Expression

NAMES = ("out", "x", "y")
OUT, X, Y = (node(place) for place in range(3))


def in_symbols(formula: Expression, wanted: int = 0) -> str:
    return filled(TEXT.write(formula, wanted), lambda letter, content: NAMES[int(content)])


def in_numbers(formula: Expression, numbers: Sequence[float], wanted: int = 0) -> str:
    return filled(TEXT.write(formula, wanted), lambda letter, content: number_text(numbers[int(content)]))


def operands_of(op: Op) -> list[Expression]:
    return [X, Y][: op.arity]


# Every row

FORMULAS = {
    "add": ("x + y", "1", "1"),
    "sub": ("x − y", "1", "−1"),
    "mul": ("x·y", "y", "x"),
    "div": ("x / y", "1 / y", "−out / y"),
    "neg": ("−x", "−1"),
    "pow": ("x^y", "0 if y = 0 and |x| < 1e-300, else y·x^(y − 1)", "0 if x = 0 and y ≥ 0, else out·log(x)"),
    "abs": ("|x|", "1 if x > 0, else −1 if x < 0, else 0·x"),
    "exp": ("exp(x)", "out"),
    "log": ("log(x)", "1 / x"),
    "sqrt": ("√(x)", "0.5 / out"),
    "cos": ("cos(x)", "−sin(x)"),
    "tan": ("tan(x)", "1 + out·out"),
    "tanh": ("tanh(x)", "4·σ(2·x)·σ(−2·x)"),
    "sigmoid": ("σ(x)", "out·σ(−x)"),
    "logaddexp": (
        "logaddexp(x, y)",
        "0.5 if x = y and |x| ≥ ∞, else σ(x − y)",
        "0.5 if y = x and |y| ≥ ∞, else σ(y − x)",
    ),
    "relu": ("relu(x)", "1 if x > 0, else 0·out"),
    "maximum": (
        "max(x, y)",
        "1 if x > y, else 0 if x < y, else 0.5 if x ≥ y, else NaN",
        "1 if y > x, else 0 if y < x, else 0.5 if y ≥ x, else NaN",
    ),
    "gelu": ("gelu(x)", "0.5·erfc(−0.707107·x) + x·exp(−0.5·x·x) / 2.50663"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_rows_as_a_teacher_writes_them(name: str) -> None:
    op = TABLE[name]
    partials = [partial_formula(op, index, OUT, operands_of(op)) for index in range(op.arity)]
    shown = [in_symbols(formula) for formula in (result_formula(op, operands_of(op)), *partials) if formula is not None]
    assert tuple(shown) == FORMULAS[name]


POINTS = [-3.0, -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("op", TABLE.values(), ids=lambda op: op.name)
def test_every_row_says_what_it_computes(op: Op) -> None:
    for numbers in product(POINTS, repeat=op.arity):
        out = evaluate(op.forward, *numbers)
        names = dict(zip(NAMES, (out, *numbers), strict=False))
        formula = result_formula(op, operands_of(op))
        assert_equal(value_of(in_symbols(formula), names), out)
        assert_equal(value_of(in_numbers(formula, (out, *numbers))), out)
        for index, rule in enumerate(op.partials):
            local = evaluate(rule, out, *numbers)
            partial = partial_formula(op, index, OUT, operands_of(op))
            assert partial is not None
            assert_equal(value_of(in_symbols(partial), names), local)
            # As a factor, it is in parentheses where it needs them.
            assert_equal(value_of(f"2·{in_symbols(partial, POWER)}", names), 2 * local)
            if out == 0 or not math.isfinite(out) or abs(out) > 1e-3:  # six digits, and a part of them may cancel
                assert_equal(value_of(f"2·{in_numbers(partial, (out, *numbers), POWER)}"), 2 * local)


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.arity == 2])
def test_every_row_with_a_constant_says_what_it_computes(name: str) -> None:
    op = TABLE[name]
    for constant, x in product(POINTS, POINTS):
        for place in (0, 1):
            operands = [number(constant), X] if place == 0 else [X, number(constant)]
            numbers = [constant, x] if place == 0 else [x, constant]
            out = evaluate(op.forward, *numbers)
            names = {"out": out, "x": x}
            assert_equal(value_of(in_symbols(result_formula(op, operands)), names), out)
            partial = partial_formula(op, 1 - place, OUT, operands)
            assert partial is not None
            assert_equal(value_of(in_symbols(partial), names), evaluate(op.partials[1 - place], out, *numbers))


def assert_equal(found: float, expected: float) -> None:
    assert found == pytest.approx(expected, rel=2e-5, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(2.0, "2·x"), (3.0, "3·x^2"), (-1.0, "−x^(−2)"), (1.0, "1"), (0.5, "0.5·x^(−0.5)"), (-2.0, "−2·x^(−3)")],
)
def test_powers(exponent: float, expected: str) -> None:
    partial = partial_formula(TABLE["pow"], 0, OUT, [X, number(exponent)])
    assert partial is not None
    assert in_symbols(partial) == expected


def test_what_was_written_is_not_simplified() -> None:
    assert in_symbols(result_formula(TABLE["mul"], [X, number(1.0)])) == "x·1"
    assert in_symbols(result_formula(TABLE["pow"], [X, number(1.0)])) == "x^1"
    assert in_symbols(result_formula(TABLE["div"], [X, number(1.0)])) == "x / 1"


# Simplifying

ONE = number(1.0)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (X * 1.0, "x"),
        (1.0 * X, "x"),
        (X * 2.0 * 3.0, "6·x"),
        (2.0 * (X * (Y * 3.0)), "6·x·y"),
        (Expression("negative", [-X]), "x"),
        (-X * -Y, "x·y"),
        (X * -Y, "−x·y"),
        (X * -1.0, "−x"),
        (X * -2.0, "−2·x"),
        ((ONE / X) * Y, "y / x"),
        (X * (ONE / Y), "x / y"),
        ((X / Y) * OUT, "x·out / y"),
        ((ONE / X) * (ONE / Y), "1 / (x·y)"),
        (X * (ONE / number(3.0)), "x / 3"),
        (2.0 * X * (ONE / number(2.0)), "x"),
        (2.0 * X * (ONE / number(3.0)), "2·x / 3"),
        (ONE / number(3.0), "1 / 3"),
        (X / 1.0, "x"),
        (X**1.0, "x"),
        (X**0.0, "1"),
        (X + -Y, "x − y"),
        (X - -Y, "x + y"),
        (X + -2.0 * Y, "x − 2·y"),
        (X - (-Y) / OUT, "x + y / out"),
        (X + number(-2.0), "x + (−2)"),
        (X + X, "2·x"),
        (X * Y + X * Y, "2·x·y"),
        (abs(number(-2.0)) * X, "2·x"),
        (0.0 * X, "0·x"),  # 0·∞ is NaN
        (Expression("where", [number(1.0) < 2.0, X, Y]), "x"),
        (Expression("where", [number(2.0) < 1.0, X, Y]), "y"),
        (Expression("where", [(number(1.0) < 2.0) & (X < Y), X, Y]), "x if x < y, else y"),
        (Expression("where", [(number(2.0) < 1.0) & (X < Y), X, Y]), "y"),
        (Expression("where", [(number(1.0) < 2.0) & (number(1.0) < 2.0), X, Y]), "x"),
    ],
)
def test_simplified(formula: Expression, expected: str) -> None:
    assert in_symbols(simplified(formula)) == expected


def test_a_product_of_formulas() -> None:
    assert in_symbols(product_formula([])) == "1"
    assert in_symbols(product_formula([ONE, X, ONE])) == "x"
    assert in_symbols(product_formula([-ONE, ONE / X, 2.0 * Y])) == "−2·y / x"


# Trees of any shape

NUMBERS = st.sampled_from([-2.5, -2.0, -1.0, 0.5, 1.0, 2.0, 3.0])


def trees() -> st.SearchStrategy[Expression]:
    leaves = st.one_of(st.sampled_from([X, Y]), NUMBERS.map(number))

    def larger(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        condition = st.builds(
            Expression, st.sampled_from(["<", "<=", ">", ">="]), st.lists(inner, min_size=2, max_size=2)
        )
        return st.one_of(
            st.builds(Expression, st.sampled_from(["+", "-", "*", "/"]), st.lists(inner, min_size=2, max_size=2)),
            st.builds(
                Expression, st.sampled_from(["negative", "abs", "sigmoid"]), st.lists(inner, min_size=1, max_size=1)
            ),
            st.builds(lambda base, exponent: base ** number(exponent), inner, st.sampled_from([2.0, -1.0])),
            st.builds(lambda x, y: Expression("maximum", [x, y]), inner, inner),
            st.builds(lambda c, x, y: Expression("where", [c, x, y]), condition, inner, inner),
            st.builds(lambda c, d, x, y: Expression("where", [c & d, x, y]), condition, condition, inner, inner),
        )

    return st.recursive(leaves, larger, max_leaves=10)


def run(formula: Expression, names: dict[int, float]) -> float:
    """The number of a tree, with no text between."""
    if formula.kind == "node":
        return names[int(formula.content or 0)]
    if formula.kind == "number":
        return float(formula.content or 0)
    inner = [run(operand, names) for operand in formula.operands]
    if formula.kind == "where":
        return inner[1] if inner[0] else inner[2]
    rows = {"+": "add", "-": "sub", "*": "mul", "/": "div", "negative": "neg"}
    conditions = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}
    if formula.kind in conditions:
        return float(getattr(inner[0], conditions[formula.kind])(inner[1]))
    if formula.kind == "and":
        return float(bool(inner[0]) and bool(inner[1]))
    return evaluate(TABLE[rows.get(formula.kind, formula.kind)].forward, *inner)


@given(trees(), NUMBERS, NUMBERS)
def test_every_tree_is_written_with_the_parentheses_it_needs(formula: Expression, x: float, y: float) -> None:
    expected = run(formula, {1: x, 2: y})
    names = {"x": x, "y": y}
    assert repr(abs(value_of(in_symbols(formula), names))) == repr(abs(expected))
    assert repr(abs(value_of(in_numbers(formula, (0.0, x, y))))) == repr(abs(expected))
    assert repr(abs(value_of(f"2·{in_symbols(formula, POWER)}", names))) == repr(abs(2 * expected))
    assert repr(abs(value_of(f"2·{in_numbers(formula, (0.0, x, y), POWER)}"))) == repr(abs(2 * expected))


@given(trees(), NUMBERS, NUMBERS)
def test_simplifying_changes_no_number(formula: Expression, x: float, y: float) -> None:
    expected = run(formula, {1: x, 2: y})
    found = run(simplified(formula), {1: x, 2: y})
    if math.isfinite(expected) and math.isfinite(found) and not has_tight_choice(formula, {1: x, 2: y}):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def has_tight_choice(formula: Expression, names: dict[int, float]) -> bool:
    """Whether a choice hangs on the last digit."""
    if formula.kind in ("<", "<=", ">", ">="):
        left, right = (run(operand, names) for operand in formula.operands)
        if not abs(left - right) > 1e-6 * max(abs(left), abs(right)):
            return True
    return any(has_tight_choice(operand, names) for operand in formula.operands)


# Signs

MINUS_ONE = number(-1.0)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (X * Y + MINUS_ONE * X, "x·y + (−1)·x"),
        (MINUS_ONE * X + Y, "−1·x + y"),
        (X - (-Y), "x − (−y)"),
        (X - (-Y) * X, "x − (−y)·x"),
        (-(MINUS_ONE * X), "−(−1)·x"),
        (X * MINUS_ONE, "x·(−1)"),
        (X**MINUS_ONE, "x^(−1)"),
        (MINUS_ONE**X, "(−1)^x"),
        (-(X**2.0), "−x^2"),
        ((-X) ** 2.0, "(−x)^2"),
        ((X / Y) * OUT, "(x / y)·out"),
        (X / (Y * OUT), "x / (y·out)"),
        (X / (Y / OUT), "x / (y / out)"),
        (X / Y / OUT, "(x / y) / out"),
        (X + Y / OUT, "x + y / out"),
        (-(X / Y), "−x / y"),
        (abs(-X), "|−x|"),
        (Expression("sigmoid", [-X]), "σ(−x)"),
        (Expression("where", [X > MINUS_ONE, -X, -Y]), "−x if x > −1, else −y"),
        (Expression("maximum", [Expression("where", [X > Y, X, Y]), Y]), "max((x if x > y, else y), y)"),
        (Expression("where", [X > Y, X, Y]) * Y, "(x if x > y, else y)·y"),
    ],
)
def test_parentheses(formula: Expression, expected: str) -> None:
    assert in_symbols(formula) == expected


def test_negative_numbers_in_slots_get_the_same_parentheses() -> None:
    formula = X * Y + Y * X - X**2.0
    assert in_numbers(formula, (0.0, -1.0, -2.0)) == "−1·(−2) + (−2)·(−1) − (−1)^2"
    assert in_numbers(formula, (0.0, 1.0, 2.0)) == "1·2 + 2·1 − 1^2"
    assert in_numbers(X + Y, (0.0, -0.0, -math.inf)) == "−0 + (−∞)"
    assert in_numbers(X + Y, (0.0, math.nan, math.nan)) == "NaN + NaN"


# Texts


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.1 + 0.2, "0.3"),
        (-1e-5, "−1e-05"),
        (1e300, "1e+300"),
        (123456.7, "123457"),
        (-0.0, "−0"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_six_digits(x: float, expected: str) -> None:
    assert number_text(x) == expected


def test_matrices() -> None:
    formula = Expression("⊙", [matrix([[X, DOTS, -Y]]), Expression("transposed", [named("Z¹")])])
    assert in_symbols(formula) == "[x, …, −y] ⊙ Z¹ᵀ"
    assert in_symbols(matrix([[X], [Y]])) == "[x; y]"
    assert in_symbols(matrix([[Expression("where", [X > Y, X, Y])]])) == "[(x if x > y, else y)]"
    assert in_symbols(Expression("@", [named("W⁰"), named("x")]) + named("B⁰")) == "W⁰ x + B⁰"


def test_slots_are_filled_once() -> None:
    template = TEXT.write(X + gradient(1) + derivative(2, 1, 0))
    asked = []

    def fill(letter: str, content: str) -> str:
        asked.append((letter, content))
        return TEXT.write(Y)

    text = filled(template, fill)
    assert asked == [("n", "1"), ("g", "1"), ("d", "2/1/0")]
    assert text.count("\ue000") == 3


@pytest.mark.parametrize("text", ["\ue000n0\ue001", "a\nb", "\x1b", "\u202e", "\u2028", "\ud800", "x" * 1_000])
def test_names_hold_nothing_that_is_more_than_a_name(text: str) -> None:
    for written in (one_line(text), TEXT.write(named(text))):
        assert len(written) <= 40
        assert "\ue000" not in written
        assert "".join(written.split("\N{REPLACEMENT CHARACTER}")).isprintable()


# Rows of the user's own


def test_a_row_of_ones_own_is_no_row_of_the_table_whatever_its_name() -> None:
    own = Op(name="add", symbol="⊕", forward=lambda m, x, y: x + y, partials=TABLE["add"].partials, doc="")
    assert in_symbols(result_formula(own, [X, Y])) == "⊕(x, y)"


def test_a_rule_may_use_every_row_of_the_table() -> None:
    rules = [
        (lambda m, out, x: m.mul(m.add(x, 1.0), m.neg(x)), "−(x + 1)·x"),
        (lambda m, out, x: m.softplus(m.sqrt(x)) / m.maximum(x, 2.0), "softplus(√(x)) / max(x, 2)"),
        (lambda m, out, x: m.pow(x, 2) - m.abs(x) - m.sub(x, 1), "x^2 − |x| − (x − 1)"),
    ]
    for rule, expected in rules:
        op = Op(name="own", forward=lambda m, x: x, partials=(rule,), doc="")
        formula = partial_formula(op, 0, OUT, [X])
        assert formula is not None
        assert in_symbols(formula) == expected


@pytest.mark.parametrize(
    "rule",
    [
        lambda m, out, x: math.exp(x),
        lambda m, out, x: 1.0 if x > 0 else 0.0,
        lambda m, out, x: "x",
        lambda m, out, x: x > 0,
        lambda m, out, x: m.no_such_function(x),
        lambda m, out, x: 1 / 0,
    ],
)
def test_a_rule_that_is_no_formula_has_none(rule: object) -> None:
    op = Op(name="own", forward=lambda m, x: x, partials=(rule,), doc="")  # type: ignore[arg-type]
    assert partial_formula(op, 0, OUT, [X]) is None

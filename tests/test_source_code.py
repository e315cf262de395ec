"""Rows written as source code, worked out by hand; what they compute in a browser is in test_javascript.py."""

import dataclasses
import json
import math
import runpy
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import PATIENCE

from autograd_mini.ops import FLOAT, TABLE, Op, arithmetic, row
from autograd_mini.source_code import (
    JAVASCRIPT,
    PRIMITIVES,
    PYTHON,
    Expression,
    Language,
    NotWritableError,
    as_expression,
    assignments,
    call,
    can_raise,
    javascript,
    javascript_function,
    javascript_row,
    name,
    rules,
    statements,
    tree,
)

ROWS = [pytest.param(op, id=op.name) for op in TABLE.values()]
X, Y, Z = map(name, "xyz")
M = arithmetic(PRIMITIVES)


def python(formula: Expression) -> str:
    return PYTHON.write(formula, {})


def script(formula: Expression) -> str:
    return JAVASCRIPT.write(formula, {})


def own_row(rule: Callable[..., Any], label: str = "mine") -> Op:
    """A row of a user's own with that forward rule."""
    return Op(name=label, doc="", forward=rule, partials=(lambda m, out, x: 1.0,))


# Trees


def test_a_rule_gives_the_tree_of_its_formula() -> None:
    formula = tree(row("mul"), row("mul").forward, M, X, Y)
    assert (formula.kind, formula.operands) == ("*", (formula.operands[0], formula.operands[1]))
    assert [(operand.kind, operand.content) for operand in formula.operands] == [("name", "x"), ("name", "y")]


def test_a_plain_number_of_a_rule_is_a_number_of_the_tree() -> None:
    _, (by_x, _) = rules(row("add"), arithmetic)
    assert (by_x.kind, by_x.content, type(by_x.content)) == ("number", 1.0, float)


@pytest.mark.parametrize("number", [2, True, 2.0, np.float64(2), np.float32(2), np.int64(2), Fraction(2)])
def test_what_counts_as_a_number(number: Any) -> None:
    for formula in (as_expression(number), (number * X).operands[0], (X * number).operands[1]):
        assert (formula.kind, type(formula.content)) == ("number", float)


@pytest.mark.parametrize("thing", ["1", None, 1j, [1.0], np.array([1.0, 2.0])])
def test_what_is_no_number_is_refused(thing: Any) -> None:
    with pytest.raises(NotWritableError, match=f"{type(thing).__name__} where a number is needed"):
        as_expression(thing)


KINDS: dict[str, Expression] = {
    "+": X + Y,
    "-": X - Y,
    "*": X * Y,
    "/": X / Y,
    "negative": -X,
    "<": X < Y,
    "<=": X <= Y,
    ">": X > Y,
    ">=": X >= Y,
    "and": (X < Y) & (Y < Z),
    "where": M.where(X < Y, X, Y),
    "pow": X**Y,
    "abs": abs(X),
    "erf": M.erf(X),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    assert KINDS[kind].kind == kind


def test_what_python_turns_round_is_turned_back() -> None:
    texts = [python(formula) for formula in (2 + X, 2 - X, 2 * X, 2 / X, 2**X, +X)]
    assert texts == ["2.0 + x", "2.0 - x", "2.0 * x", "2.0 / x", "math.pow(2.0, x)", "x"]


def test_functions_of_the_table_are_kept_as_calls_where_one_asks_for_it() -> None:
    kept = arithmetic({**{label: call(label) for label in TABLE}, "where": call("where")})
    operand, out = X * Y, name("out")
    formula = tree(row("tanh"), row("tanh").partials[0], kept, out, operand)
    assert formula.kind == "*"
    left, right = formula.operands
    assert (left.kind, right.kind) == ("*", "sigmoid")
    assert right.operands[0].operands[1] is operand
    assert tree(row("sigmoid"), row("sigmoid").partials[0], kept, out, operand).operands[0] is out


def test_equal_formulas_have_equal_keys() -> None:
    assert (X * Y + 1).key == (X * Y + 1.0).key
    different = [X * Y, Y * X, X + Y, X, as_expression(1), as_expression(0.0), as_expression(-0.0), M.exp(X), name("1")]
    assert len({formula.key for formula in different}) == len(different)
    assert as_expression(math.nan).key == as_expression(-math.nan).key


# Text

BRACKETS = [
    (X - (Y - Z), "x - (y - z)", "x - (y - z)"),
    ((X - Y) - Z, "x - y - z", "x - y - z"),
    (X / (Y * Z), "x / (y * z)", "x / (y * z)"),
    ((X + Y) * Z, "(x + y) * z", "(x + y) * z"),
    (X + Y * Z, "x + y * z", "x + y * z"),
    (-X * Y, "-x * y", "-x * y"),
    (-(X * Y), "-(x * y)", "-(x * y)"),
    (-KINDS["negative"], "-(-x)", "-(-x)"),  # --x counts down in JavaScript
    (-as_expression(-1), "-(-1.0)", "-(-1)"),
    (X - as_expression(-1), "x - -1.0", "x - -1"),
    (M.where((X < 0) & (Y < 0), X, Y), "x if x < 0.0 and y < 0.0 else y", "x < 0 && y < 0 ? x : y"),
    (M.where(X < 0, 1, Y) + 1, "(1.0 if x < 0.0 else y) + 1.0", "(x < 0 ? 1 : y) + 1"),
    (
        M.where(X < 0, 1, M.where(X > 0, 2, X)),
        "1.0 if x < 0.0 else (2.0 if x > 0.0 else x)",
        "x < 0 ? 1 : (x > 0 ? 2 : x)",
    ),
    (
        M.where(M.where(X < 0, X, Y) < 0, X, Y),
        *("x if (x if x < 0.0 else y) < 0.0 else y", "(x < 0 ? x : y) < 0 ? x : y"),
    ),
    (abs(X + Y), "abs(x + y)", "Math.abs(x + y)"),
    (X**Y, "math.pow(x, y)", "primitives.pow(x, y)"),
    (M.erf(-X) + M.erfc(X), "math.erf(-x) + math.erfc(x)", "primitives.erf(-x) + primitives.erfc(x)"),
    (M.log1p(X), "math.log1p(x)", "Math.log1p(x)"),
]


@pytest.mark.parametrize(("formula", "in_python", "in_javascript"), BRACKETS, ids=[text for _, text, _ in BRACKETS])
def test_text(formula: Expression, in_python: str, in_javascript: str) -> None:
    assert python(formula) == in_python
    assert script(formula) == in_javascript


NUMBERS = [
    (1.0, "1.0", "1"),
    (-2.5, "-2.5", "-2.5"),
    (-0.0, "-0.0", "-0"),
    (1e300, "1e+300", "1e+300"),
    (5e-324, "5e-324", "5e-324"),
    (0.1, "0.1", "0.1"),
    (math.nan, "math.nan", "NaN"),
    (math.inf, "math.inf", "Infinity"),
    (-math.inf, "-math.inf", "-Infinity"),
]


@pytest.mark.parametrize(("number", "in_python", "in_javascript"), NUMBERS, ids=[text for _, text, _ in NUMBERS])
def test_numbers(number: float, in_python: str, in_javascript: str) -> None:
    assert python(as_expression(number)) == in_python
    assert script(as_expression(number)) == in_javascript
    assert repr(eval(in_python, {"math": math})) == repr(number)


@pytest.mark.parametrize("op", ROWS)
def test_python_text_computes_what_the_row_computes(op: Op) -> None:
    point = [low + 0.4 * (high - low) for low, high in op.domain]
    formula, partials = rules(op, arithmetic)
    known = {"math": math, **dict(zip("xy", point, strict=False))}
    known["data"] = op.forward(FLOAT, *point)
    assert eval(python(formula), known) == known["data"]
    for partial, rule in zip(partials, op.partials, strict=True):
        assert eval(python(partial), known) == rule(FLOAT, known["data"], *point)


def test_shared_parts_that_cost_something_are_computed_once() -> None:
    e = M.exp(X)
    assert assignments({"data": e / (1 + e), "slope": abs(X) + abs(X)}, PYTHON) == [
        ("part_1", "math.exp(x)"),
        ("data", "part_1 / (1.0 + part_1)"),
        ("slope", "abs(x) + abs(x)"),
    ]
    assert statements({"data": X * e}) == ["data = x * math.exp(x)"]


def test_what_python_may_raise_at() -> None:
    assert can_raise({"data": X / Y})
    assert can_raise({"data": X, "slope": -M.exp(X)})
    assert not can_raise({"data": M.where(X > Y, abs(X), math.nan) * Y})


def test_a_language_has_no_word_for_every_kind() -> None:
    with pytest.raises(NotWritableError, match="'sigmoid', which the language has no word for"):
        script(Expression("sigmoid", [X]))
    empty = Language(forms={}, number=repr)
    assert empty.write(X, {}) == "x"
    with pytest.raises(NotWritableError, match=r"'\+'"):
        empty.write(X + Y, {})


@pytest.mark.parametrize("text", ["alert(1)", "x;", "", "x y", "</script>"])
def test_a_name_that_is_none_is_not_written(text: str) -> None:
    with pytest.raises(NotWritableError, match="'name'"):
        script(name(text) + 1)


# JavaScript


def test_javascript_of_rows_by_hand() -> None:
    rows = {label: row(label) for label in ("mul", "relu", "div", "pow")}
    assert javascript(rows, arithmetic) == (
        """\
const operations = {
  __proto__: null,
  "mul": {
    forward: (x, y) => x * y,
    partials: [
      (out, x, y) => y,
      (out, x, y) => x,
    ],
  },
  "relu": {
    forward: (x) => x <= 0 ? 0 : x,
    partials: [
      (out, x) => x > 0 ? 1 : 0 * out,
    ],
  },
  "div": {
    forward: (x, y) => x / y,
    partials: [
      (out, x, y) => 1 / y,
      (out, x, y) => -out / y,
    ],
  },
  "pow": {
    forward: (x, y) => primitives.pow(x, y),
    partials: [
      (out, x, y) => y <= 0 && y >= 0 && Math.abs(x) < 1e-300 ? 0 : y * primitives.pow(x, y - 1),
      (out, x, y) => x <= 0 && x >= 0 && y >= 0 ? 0 : out * Math.log(x),
    ],
  },
};
"""
    )


def test_javascript_names_what_it_needs_twice() -> None:
    (formula,) = rules(row("softplus"), arithmetic, "out")[1]
    assert javascript_function(formula, ["out", "x"]) == (
        """\
(out, x) => {
  const part_1 = Math.exp(-Math.abs(x));
  return (x >= 0 ? 1 : part_1) / (1 + part_1);
}"""
    )


def test_javascript_of_no_rows() -> None:
    assert javascript({}, arithmetic) == "const operations = {\n  __proto__: null,\n};\n"


@pytest.mark.parametrize(
    "label",
    ["</script>", "</SCRIPT ><script>alert(1)//", "<!--", '"', "'", "\\", "\n", "\u2028", "é🙂", "\0", "]]>", ""],
)
def test_a_key_is_one_text_without_markup(label: str) -> None:
    text = javascript({label: own_row(lambda m, x: x * x, label)}, arithmetic)
    assert text.isascii()
    assert "<" not in text
    key = text.splitlines()[2].removeprefix("  ").removesuffix(": {")
    assert json.loads(key) == label
    assert text.replace(key, "KEY") == javascript({"KEY": own_row(lambda m, x: x * x)}, arithmetic).replace(
        '"KEY"', "KEY"
    )


def test_a_key_that_would_set_the_prototype_is_a_key_like_others() -> None:
    assert '\n  ["__proto__"]: {\n' in javascript({"__proto__": row("neg")}, arithmetic)


# Rules that are no formulas


def loops(m: Any, x: Any) -> Any:
    for _ in range(60):
        x = x * x
    return x


def deepens(m: Any, x: Any) -> Any:
    for _ in range(400):
        x = m.sin(x)
    return x


def calls_itself(m: Any, x: Any) -> Any:
    return calls_itself(m, x)


UNWRITABLE: dict[str, tuple[Callable[..., Any], str]] = {
    "math.exp": (lambda m, x: math.exp(x), "TypeError: must be real number"),
    "float": (lambda m, x: float(x), r"TypeError: float\(\) argument"),
    "int": (lambda m, x: int(x) * x, r"TypeError: int\(\) argument"),
    "if": (lambda m, x: x if x > 0 else 0.0, "a choice that is not made by m.where"),
    "and": (lambda m, x: m.where(x > 0 and x < 1, x, 0.0), "a choice that is not made by m.where"),
    "max": (lambda m, x: max(x, 0.0), "a choice that is not made by m.where"),
    "chain": (lambda m, x: m.where(0 < x < 1, x, 0.0), "a choice that is not made by m.where"),
    "equal": (lambda m, x: m.where(x == 0, 1.0, x), "==, which is not to be used in a rule"),
    "unequal": (lambda m, x: m.where(x != 0, 1.0, x), "==, which is not to be used in a rule"),
    "numpy": (lambda m, x: np.exp(x), "TypeError"),
    "array": (lambda m, x: np.array([1.0, 2.0]) * x, "ndarray where a number is needed"),
    "modulo": (lambda m, x: x % 2, "TypeError: unsupported operand"),
    "or": (lambda m, x: m.where((x < 0) | (x > 1), x, 0.0), "TypeError: unsupported operand"),
    "None": (lambda m, x: None, "NoneType where a number is needed"),
    "text": (lambda m, x: "alert(1)", "str where a number is needed"),
    "complex": (lambda m, x: x * 1j, "complex where a number is needed"),
    "unknown": (lambda m, x: m.gamma(x), "AttributeError"),
    "two": (lambda m, x: m.exp(x, 1.0), r"exp with 2 operand\(s\)"),
    "condition as number": (lambda m, x: (x > 0) * x, "a condition stands for a number, or a number for a condition"),
    "condition as result": (lambda m, x: x > 0, "a condition stands for a number, or a number for a condition"),
    "number as condition": (lambda m, x: m.where(x, x, 0.0), "a condition stands for a number, or a number for a"),
    "error": (lambda m, x: 1 / 0, "ZeroDivisionError: division by zero"),
    "loop": (loops, "it is too long"),
    "depth": (deepens, "it is too long"),
    "recursion": (calls_itself, "RecursionError"),
    "huge": (lambda m, x: x * 10**400, "OverflowError"),
}


@pytest.mark.parametrize("case", UNWRITABLE)
def test_a_rule_that_is_no_formula_is_refused(case: str) -> None:
    rule, reason = UNWRITABLE[case]
    start = time.perf_counter()
    for op in (own_row(rule), dataclasses.replace(own_row(lambda m, x: x), partials=(lambda m, out, x: rule(m, x),))):
        with pytest.raises(NotWritableError, match=f"^Op 'mine': its rule cannot be written as a formula: .*{reason}"):
            javascript_row(op, arithmetic)
        with pytest.raises(NotWritableError):
            javascript({"good": row("exp"), "bad": op}, arithmetic)
    assert time.perf_counter() - start < PATIENCE


def test_the_refusal_is_one_short_line_whatever_the_name_and_the_error() -> None:
    def rule(m: Any, x: Any) -> Any:
        raise RuntimeError("a\nb" * 1000)

    with pytest.raises(ValueError, match=r"^Op 'n\\n") as caught:
        javascript_row(own_row(rule, "n\n" * 100), arithmetic)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_rules_of_ones_own_that_are_formulas_are_written() -> None:
    swish = Op(
        name="swish",
        doc="",
        forward=lambda m, x: x * m.sigmoid(x),
        partials=(lambda m, out, x: m.sigmoid(x) + out * m.sigmoid(-x),),
    )
    assert "x * ((x >= 0 ? 1 : part_1) / (1 + part_1))" in javascript_row(swish, arithmetic)
    cube = own_row(lambda m, x: np.float64(2.0) * x**3 + abs(x) / math.pi)
    assert "2 * primitives.pow(x, 3) + Math.abs(x) / 3.141592653589793" in javascript_row(cube, arithmetic)
    constant = own_row(lambda m, x: math.pi)
    assert "forward: (x) => 3.141592653589793," in javascript_row(constant, arithmetic)


# How `make functions` loads it


def test_it_is_loaded_without_the_package() -> None:
    path = Path(__file__).parent.parent / "autograd_mini" / "source_code.py"
    source = path.read_text(encoding="utf-8")
    assert "autograd_mini" not in source
    loaded = runpy.run_path(str(path))
    assert loaded["statements"](dict(zip("ab", loaded["rules"](row("mul"), arithmetic)[1], strict=True))) == [
        "a = y",
        "b = x",
    ]

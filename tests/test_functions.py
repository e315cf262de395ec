"""The named functions and methods, log-sum-exp, and rows of one's own through apply().

Numbers in brackets, as in [10], are those of the list of hostile cases.
"""

import ast
import inspect
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_mini
from autograd_mini import functions, logsumexp
from autograd_mini.graph import pullback
from autograd_mini.ops import TABLE, Op, row
from autograd_mini.value import VALUE, Value, apply

ROOT = Path(__file__).parent.parent
GENERATED = [
    *(f"autograd_mini/{name}.py" for name in ("engine", "value", "functions")),
    "autograd_mini/compiled/tape_loops.py",
]
NAMED = [pytest.param(op, id=op.name) for op in TABLE.values() if not op.is_operator]

PRECISE = mpmath.mp.clone()
PRECISE.dps = 50


def operands_of(op: Op) -> list[float]:
    """A number for each operand, inside the domain."""
    return [low + 0.6 * (high - low) for low, high in op.domain]


# Functions and methods


def test_there_are_named_functions() -> None:
    names = {
        "exp",
        "log",
        "sqrt",
        "sin",
        "cos",
        "tanh",
        "sigmoid",
        "softplus",
        "relu",
        "maximum",
        "erf",
        "gelu",
        "logaddexp",
    }
    assert names < set(functions.__all__)
    assert set(functions.__all__) == {op.name for op in TABLE.values() if not op.is_operator} | {"logsumexp"}
    assert functions.__all__ == sorted(functions.__all__)


@pytest.mark.parametrize("op", NAMED)
def test_a_function_of_plain_numbers_gives_a_float(op: Op) -> None:
    numbers = operands_of(op)
    function = getattr(functions, op.name)
    result = function(*numbers)
    recorded = apply(op, *map(Value, numbers))
    assert isinstance(recorded, Value)
    assert type(result) is float
    assert type(function(*map(np.float32, numbers))) is float
    assert type(function(*[1] * op.arity)) is float
    assert result == recorded.data


@pytest.mark.parametrize("op", NAMED)
def test_function_and_method_record_the_row(op: Op) -> None:
    values = [Value(number) for number in operands_of(op)]
    plain = getattr(functions, op.name)(*operands_of(op))
    for result in (getattr(functions, op.name)(*values), getattr(values[0], op.name)(*values[1:])):
        assert type(result) is Value
        assert result.op is op
        assert result.parents == tuple(values)
        assert result.data == plain


@pytest.mark.parametrize("op", [param for param in NAMED if param.values[0].arity == 2])  # type: ignore[union-attr]
def test_functions_of_two_take_a_plain_number_on_either_side(op: Op) -> None:
    a, b = operands_of(op)
    x, y = Value(a), Value(b)
    function = getattr(functions, op.name)
    assert function(x, b).operands == (x, b) == getattr(x, op.name)(b).operands
    assert function(a, y).operands == (a, y)
    assert function(x, b).data == function(a, y).data == function(a, b)


@pytest.mark.parametrize("op", NAMED)
def test_functions_and_methods_are_public_documented_and_typed(op: Op) -> None:
    function, method = getattr(functions, op.name), getattr(Value, op.name)
    assert op.name in autograd_mini.__all__
    assert getattr(autograd_mini, op.name) is function
    assert function.__doc__ == method.__doc__ == op.doc
    names = [parameter.partition("=")[0] for parameter in op.parameters]
    assert list(inspect.signature(function).parameters) == names
    assert list(inspect.signature(method).parameters) == ["self", *names[1:]]
    for parameters in (inspect.signature(function).parameters, inspect.signature(method).parameters):
        for name, default in (parameter.split("=") for parameter in op.parameters if "=" in parameter):
            assert parameters[name].default == float(default)
    assert "return" in inspect.get_annotations(function)
    assert "return" in inspect.get_annotations(method)


def test_default_slope_of_leaky_relu() -> None:
    assert functions.leaky_relu(-2.0) == -0.02
    x = Value(-2.0)
    y = x.leaky_relu()
    y.backward()
    assert (y.data, x.grad) == (-0.02, 0.01)
    slope = Value(0.5)
    z = x.leaky_relu(slope)
    z.backward()
    assert (z.data, slope.grad) == (-1.0, -2.0)


@pytest.mark.parametrize("op", NAMED)
@pytest.mark.parametrize("thing", ["1", None, [1.0], 1j, np.array([1.0]), Fraction(1, 2)])
def test_case_19_functions_refuse_what_is_no_number(op: Op, thing: Any) -> None:
    with pytest.raises(TypeError, match=f"^{op.name}: expected a number, got {type(thing).__name__} "):
        getattr(functions, op.name)(*[thing] * op.arity)


# The text that is generated


def generated_again(folder: Path) -> dict[str, str]:
    """The files that hold generated text, copied to a folder and written again as `make functions` does."""
    pytest.importorskip("cogapp")
    pytest.importorskip("ruff")
    (folder / "autograd_mini" / "compiled").mkdir(parents=True, exist_ok=True)
    for name in ["pyproject.toml", "autograd_mini/ops.py", "autograd_mini/source_code.py", *GENERATED]:
        if not (folder / name).exists():
            shutil.copy(ROOT / name, folder / name)
    for command in (["cogapp", "-r", *GENERATED], ["ruff", "format", "--no-cache", *GENERATED]):
        run = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
    return {name: (folder / name).read_text(encoding="utf-8") for name in GENERATED}


def test_generated_text_is_up_to_date(tmp_path: Path) -> None:
    assert generated_again(tmp_path) == {name: (ROOT / name).read_text(encoding="utf-8") for name in GENERATED}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_text_that_was_edited_is_written_again(name: str, tmp_path: Path) -> None:
    right = (ROOT / name).read_text(encoding="utf-8")
    edited = right.replace('"""The sine of x', '"""The Sine of x').replace("data = math.sin(x)", "data = math.cos(x)")
    assert edited != right
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(edited, encoding="utf-8")
    assert generated_again(tmp_path)[name] == right


def test_generated_blocks_are_there() -> None:
    for name in GENERATED:
        source = (ROOT / name).read_text(encoding="utf-8")
        assert source.count("[[[cog") == source.count("[[[end]]]") >= 1
        ast.parse(source)


# log-sum-exp


def logsumexp_and_softmax(*numbers: float) -> tuple[float, list[float]]:
    """The value, and the gradients that backward() gives."""
    values = [Value(number) for number in numbers]
    result = logsumexp(values)
    assert isinstance(result, Value)
    result.backward()
    return result.data, [value.grad for value in values]


def test_case_11_logsumexp_does_not_overflow() -> None:
    assert logsumexp_and_softmax(1000.0, 0.0) == (1000.0, [1.0, 0.0])
    assert logsumexp_and_softmax(0.0, 1000.0) == (1000.0, [0.0, 1.0])
    assert logsumexp_and_softmax(-1000.0, -1000.0) == (-1000 + math.log(2), [0.5, 0.5])
    assert logsumexp_and_softmax(1e308, 1e308) == (1e308, [0.5, 0.5])


def test_logsumexp_by_hand() -> None:
    value, gradients = logsumexp_and_softmax(math.log(1), math.log(2), math.log(5))
    assert value == pytest.approx(math.log(8), rel=1e-15)
    assert gradients == pytest.approx([1 / 8, 2 / 8, 5 / 8], rel=1e-15)
    assert logsumexp_and_softmax(-3.25) == (-3.25, [1.0])


@given(numbers=st.lists(st.floats(-800, 800), min_size=1, max_size=6))
def test_logsumexp_against_50_digits(numbers: list[float]) -> None:
    """Right to an error of 1e-15 of the largest number at hand, and its gradients to so many digits of themselves."""
    value, gradients = logsumexp_and_softmax(*numbers)
    exact = [PRECISE.mpf(number) for number in numbers]
    total = sum(PRECISE.exp(number) for number in exact)
    tolerance = 1e-15 * max(1, *map(abs, numbers))
    assert abs(value - PRECISE.log(total)) <= tolerance
    for gradient, number in zip(gradients, exact, strict=True):
        softmax = PRECISE.exp(number) / total
        assert abs(gradient - softmax) <= tolerance * softmax + 1e-320


def test_logsumexp_is_the_left_fold_of_logaddexp() -> None:
    """A graph of the same shape for every point, so that it can be traced once: no number decides what is recorded."""
    x, y, z = Value(3.0), Value(1.0), Value(2.0)
    result = logsumexp([x, y, z])
    assert result.op is row("logaddexp")
    assert result.operands[1] is z
    assert isinstance(result.operands[0], Value)
    assert result.operands[0].op is row("logaddexp")
    assert result.operands[0].operands == (x, y)
    assert logsumexp([x]) is x
    assert logsumexp([2]) == 2.0
    assert type(logsumexp([2])) is float


def test_logsumexp_of_plain_numbers_and_of_mixtures() -> None:
    assert type(logsumexp([0.0, 0.0])) is float
    numbers: list[Any] = [0, False, np.float32(0)]
    assert logsumexp(numbers) == pytest.approx(math.log(3), rel=1e-15)
    x = Value(0.0)
    mixed = logsumexp([x, 0.0, 0.0])
    assert isinstance(mixed, Value)
    mixed.backward()
    assert (mixed.data, x.grad) == pytest.approx((math.log(3), 1 / 3), rel=1e-15)


def test_logsumexp_of_a_generator() -> None:
    def numbers() -> Iterator[float]:
        yield 1.0
        yield 1.0

    assert logsumexp(numbers()) == 1.0 + math.log(2)


def test_logsumexp_of_infinities_and_nan() -> None:
    assert logsumexp([math.inf, 0.0]) == math.inf
    assert logsumexp([-math.inf, 3.0]) == 3.0
    assert logsumexp([-math.inf, -math.inf]) == -math.inf
    for numbers in ([math.nan, 1.0], [1.0, math.nan], [math.inf, math.nan], [math.nan]):
        assert math.isnan(logsumexp(numbers))


def test_logsumexp_keeps_the_digits_of_what_is_small_beside_the_largest() -> None:
    assert logsumexp([0.0, -40.0]) == pytest.approx(4.248354255291589e-18, rel=1e-15)


@pytest.mark.parametrize("wrong", ["3", None, [1.0]])
def test_logsumexp_of_what_is_no_number(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^logsumexp: expected a number, got "):
        logsumexp([1.0, wrong])


def test_logsumexp_wants_a_list() -> None:
    with pytest.raises(TypeError, match=r"^logsumexp: expected a list of values, got float"):
        logsumexp(3.0)  # type: ignore[call-overload]


def test_logsumexp_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"^logsumexp: expected at least one value, got none"):
        logsumexp([])


# A row of one's own

SQUARE = Op(
    name="square",
    doc="x times x.",
    forward=lambda m, x: x * x,
    partials=(lambda m, out, x: 2.0 * x,),
)
HYPOT = Op(
    name="hypot",
    doc="The root of x² + y².",
    forward=lambda m, x, y: m.sqrt(x * x + y * y),
    partials=(lambda m, out, x, y: x / out, lambda m, out, x, y: y / out),
)


def test_a_row_of_ones_own() -> None:
    x = Value(3.0)
    y = apply(SQUARE, x)
    y.backward()
    assert (y.data, x.grad, y.op) == (9.0, 6.0, SQUARE)
    assert repr(y) == "Value(data=9.0, grad=1.0, op=square)"
    assert apply(SQUARE, 4.0) == 16.0
    assert type(apply(SQUARE, 4)) is float


def test_a_row_of_ones_own_with_two_operands_and_a_constant_on_either_side() -> None:
    x, y = Value(3.0), Value(4.0)
    result = apply(HYPOT, x, y)
    result.backward()
    assert (result.data, x.grad, y.grad) == (5.0, 0.6, 0.8)
    assert apply(HYPOT, x, 4.0).partials == (0.6,)
    assert apply(HYPOT, 3.0, y).partials == (0.8,)
    assert apply(HYPOT, 3.0, 4.0) == 5.0


def test_a_row_of_ones_own_follows_ieee_754() -> None:
    x = Value(0.0)
    y = apply(HYPOT, x, 0.0)
    assert y.data == 0.0
    assert math.isnan(y.partials[0])
    assert apply(SQUARE, Value(1e200)).data == math.inf


def test_a_row_of_ones_own_is_differentiated_twice() -> None:
    x, y = Value(3.0), Value(4.0)
    result = apply(HYPOT, x, y)
    by_x = HYPOT.partials[0](VALUE, result, x, y)
    # The second derivatives of r are y²/r³ and -xy/r³.
    assert pullback(by_x, [x, y]) == pytest.approx([16 / 125, -12 / 125], rel=1e-15)


@pytest.mark.parametrize("operands", [(), (1.0, 2.0), (Value(1.0), 2.0, 3.0)])
def test_apply_wants_the_right_number_of_operands(operands: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=rf"^square: expected 1 operand\(s\), got {len(operands)}"):
        apply(SQUARE, *operands)


def test_apply_names_the_row_whose_operand_is_no_number() -> None:
    for operands in ((Value(1.0), "2"), ("2", Value(1.0)), ("2", 1.0), (1.0, None)):
        with pytest.raises(TypeError, match=r"^hypot: expected a number, got (str|NoneType) "):
            apply(HYPOT, *operands)


def test_row_by_name_is_what_the_functions_apply() -> None:
    assert functions.tanh(Value(1.0)).op is row("tanh")

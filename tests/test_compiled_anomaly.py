"""Compiled graphs that say where NaN and infinity came from: the sample, the operation, the line; on both executors."""

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiled_programs import LoopProgram
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import graphs

from autograd_mini import (
    AnomalyError,
    CompiledGraph,
    Value,
    apply,
    compile_graph,
    detect_anomaly,
    draw,
    exp,
    find_anomaly,
    log,
    sqrt,
)
from autograd_mini.graph import leaves
from nn import MLP

NAN, INF = math.nan, math.inf


@pytest.fixture(params=["numpy", "tape"])
def executor(request: pytest.FixtureRequest) -> str:
    """Each executor; the tape needs its extra."""
    if request.param == "tape":
        pytest.importorskip("numba")
    return str(request.param)


def error_of(call: Callable[..., Any], *arguments: Any, **options: Any) -> AnomalyError:
    with pytest.raises(AnomalyError) as raised:
        call(*arguments, **options)
    return raised.value


def line_with(text: str, function: Callable[..., Any]) -> str:
    """The file, number and text of the one line of a function that holds this."""
    lines, first = inspect.getsourcelines(function)
    (place,) = [place for place, line in enumerate(lines) if text in line]
    return f"{__file__}:{first + place}: {lines[place].strip()}"


# What is named


def cross_entropy(w: Any, x: Any) -> Any:
    """Of class 1, by a sigmoid that ends at 0."""
    p = (w[0] * x[0] + w[1] * x[1]).sigmoid()
    p.label = "p"
    return -log(p)


def test_the_operation_its_operands_label_and_line(executor: str) -> None:
    compiled = compile_graph(cross_entropy, [1.0, 1.0], [0.0, 0.0], executor=executor, detect_anomaly=True)
    cause = f"forward: log(p = 0.0) is -inf, at {line_with('-log(p)', cross_entropy)}"
    for method in (compiled.value, compiled.value_and_grad):
        assert method([1.0, 1.0], [1.0, 2.0]) is not None
        error = error_of(method, [1.0, 1.0], [0.0, -800.0])
        assert str(error) == f"compiled, {method.__name__}: {cause}"
        assert error.anomaly is not None
        assert (error.anomaly.operation, error.anomaly.operands, error.anomaly.number) == ("log", (0.0,), -INF)
    assert str(error_of(compiled.grad, [1.0, 1.0], [0.0, -800.0])) == f"compiled, value_and_grad: {cause}"


@pytest.mark.parametrize("n_samples", [1, 2, 7, 64])
def test_the_sample_of_a_batch(n_samples: int, executor: str) -> None:
    compiled = compile_graph(cross_entropy, [1.0, 1.0], [0.0, 0.0], executor=executor, detect_anomaly=True)
    for sample in {0, n_samples // 2, n_samples - 1}:
        x = np.ones((2, n_samples))
        compiled.value_and_grad([1.0, 1.0], x)
        x[:, sample] = -500.0
        for method in (compiled.value, compiled.value_and_grad):
            error = error_of(method, [1.0, 1.0], x)
            where = f"compiled, {method.__name__}, in sample {sample} of {n_samples} (from 0)"
            assert str(error).startswith(f"{where}: forward: log(p = 0.0) is -inf, at")


def test_of_several_samples_the_first(executor: str) -> None:
    compiled = compile_graph(lambda x: 1 / x, 1.0, executor=executor, detect_anomaly=True)
    assert ", in sample 3 of 9 " in str(error_of(compiled.value, np.array([1, 2, 3, 0.0, 1, 0.0, 0.0, 1, 0.0])))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_gradient_that_is_not_finite_though_the_value_is(reduction: str, executor: str) -> None:
    def root(w: Any, x: Any) -> Any:
        return sqrt(w * x) + 1.0

    compiled = compile_graph(root, 1.0, 1.0, reduction=reduction, executor=executor, detect_anomaly=True)
    assert np.isfinite(compiled.value(0.0, np.ones(5))).all()
    batch = np.array([1.0, 2.0, 0.0, 3.0])
    error = error_of(compiled.value_and_grad, 1.0, batch)
    assert str(error) == (
        "compiled, value_and_grad, in sample 2 of 4 (from 0): backward: sqrt(0.0) passes on a gradient of inf, at "
        + line_with("sqrt(w", root)
    )


def test_only_derivatives_that_are_asked_for_count(executor: str) -> None:
    def function(x: Any, y: Any) -> Any:
        return sqrt(x) + sqrt(y)

    by_first, by_second = (
        compile_graph(function, 1.0, 1.0, argnums=argnums, executor=executor, detect_anomaly=True) for argnums in (0, 1)
    )
    assert by_first.grad(1.0, 0.0) == 0.5
    assert "sqrt(y = 0.0)" in str(error_of(by_second.grad, 0.0, 0.0))


def test_arguments_of_every_form_have_names(executor: str) -> None:
    def function(numbers: Any, table: Any, named: Any) -> Any:
        return log(numbers[1]) + log(table[0, 1]) + log(named["rate"])

    arguments: list[Any] = [[1.0, 1.0], np.ones((1, 2)), {"rate": 1.0}]
    compiled = compile_graph(function, *arguments, executor=executor, detect_anomaly=True)
    assert "log(numbers[1] = 0.0)" in str(error_of(compiled.value, [1.0, 0.0], arguments[1], arguments[2]))
    assert "log(table[0, 1] = 0.0)" in str(error_of(compiled.value, arguments[0], np.array([[1.0, 0.0]]), arguments[2]))
    assert "log(named['rate'] = 0.0)" in str(error_of(compiled.value, *arguments[:2], {"rate": 0.0}))


def test_arguments_that_are_not_finite_themselves(executor: str) -> None:
    compiled = compile_graph(lambda w, x: w * x, 1.0, 1.0, executor=executor, detect_anomaly=True)
    assert ": forward: the leaf x is nan, used by mul(w = 2.0, x = nan), at" in str(error_of(compiled.value, 2.0, NAN))


def test_what_is_infinite_and_comes_to_nothing_is_no_anomaly(executor: str) -> None:
    compiled = compile_graph(lambda x: exp(x).minimum(3.0), 1.0, executor=executor, detect_anomaly=True)
    assert compiled.value(1000.0) == 3.0
    error = error_of(compiled.grad, 1000.0)  # 0 · inf
    assert ": backward: exp(x = 1000.0) passes on a gradient of nan, at" in str(error)


def test_a_function_that_returns_several(executor: str) -> None:
    compiled = compile_graph(lambda x: [x + 1.0, log(x)], 1.0, executor=executor, detect_anomaly=True)
    error = error_of(compiled.value, np.array([1.0, 2.0, 0.0]))
    assert str(error).startswith("compiled, value, in sample 2 of 3 (from 0): forward: log(x = 0.0) is -inf, at")


def test_labels_and_lines_of_a_model(executor: str) -> None:
    model = MLP(2, [2, 1], "exp", seed=0)
    parameters = model.parameters()
    compiled = compile_graph(
        lambda x: model(x), [0.0, 0.0], parameters=parameters, executor=executor, detect_anomaly=True
    )
    numbers = [parameter.data for parameter in parameters]
    compiled.value(numbers, [1.0, 2.0])
    numbers[0] = 1e4
    message = str(error_of(compiled.value, numbers, [1.0, 2.0]))
    assert re.search(r": forward: a¹₁ = exp\(z¹₁ = \d+\.\d+\) is inf, at .*: lambda x: model\(x\), \[0", message)


def recorded_in_a_block(w: Value, x: Value, executor: str) -> CompiledGraph:
    with detect_anomaly():
        y = (w * x).log()
        return compile_graph(y, x, parameters=[w], executor=executor, detect_anomaly=True)


def test_what_was_recorded_before_has_the_lines_of_its_block(executor: str) -> None:
    w, x = Value(2.0, "w"), Value(3.0, "x")
    compiled = recorded_in_a_block(w, x, executor)
    message = str(error_of(compiled.value, [1.0], 0.0))
    assert message.endswith(f"log(0.0) is -inf, at {line_with('y = (w * x)', recorded_in_a_block)}")
    unknown = compile_graph((w * x).log(), x, parameters=[w], executor=executor, detect_anomaly=True)
    assert str(error_of(unknown.value, [1.0], 0.0)) == "compiled, value: forward: log(0.0) is -inf"


def test_second_derivatives(executor: str) -> None:
    def power(w: Any, x: Any) -> Any:
        return (w * x) ** 1.5

    compiled = compile_graph(power, 1.0, 1.0, executor=executor, detect_anomaly=True)
    product = compiled.hessian_vector_product
    assert product(1.0, np.array([1.0, 4.0]), vector=1.0) is not None
    where = "compiled, hessian_vector_product, in sample 2 of 3 (from 0)"
    batch = np.array([1.0, 2.0, 0.0])
    assert str(error_of(product, 1.0, batch, vector=1.0)) == (
        f"{where}: pow(0.0, 1.5) has a second derivative of inf, at {line_with('** 1.5', power)}"
    )
    first = compile_graph(lambda w, x: sqrt(w * x), 1.0, 1.0, executor=executor, detect_anomaly=True)
    assert str(error_of(product, 1.0, batch[:2], vector=INF)) == (
        "compiled, hessian_vector_product, in sample 0 of 2 (from 0): the vector is not finite"
    )
    error = error_of(first.hessian_vector_product, 1.0, batch, vector=1.0)
    assert str(error).startswith(f"{where}: backward: sqrt(0.0) passes on a gradient of inf, at")


def test_the_error_holds_what_can_be_drawn(executor: str) -> None:
    compiled = compile_graph(cross_entropy, [1.0, 1.0], [0.0, 0.0], executor=executor, detect_anomaly=True)
    error = error_of(compiled.value, [1.0, 1.0], [0.0, -800.0])
    assert error.value is not None
    assert find_anomaly(error.value) is not None
    assert "-inf\\ starts\\ here" in draw(error.value).source


# What no operation by itself is to blame for


def test_a_sum_over_samples_that_overflows(executor: str) -> None:
    compiled = compile_graph(lambda w, x: w * x, 1.0, 1.0, reduction="sum", executor=executor, detect_anomaly=True)
    batch = np.full(4, 1e308)
    for method in (compiled.value, compiled.value_and_grad):
        error = error_of(method, 1.0, batch)
        assert error.anomaly is None
        assert "sample" in str(error)
    assert str(error_of(compiled.value, 1.0, batch)) == (
        "compiled, value: each of 4 samples is finite, and their sum is not"
    )
    assert str(error_of(compiled.value_and_grad, 1e-9, batch)) == (
        "compiled, value_and_grad: the samples 0 to 1 are finite one by one, and the derivative by w is inf"
    )


def test_float32_has_less_room(executor: str) -> None:
    options: dict[str, Any] = {"executor": executor, "dtype": "float32", "detect_anomaly": True}
    compiled = compile_graph(lambda w, x: exp(w * x), 1.0, 1.0, **options)
    assert compiled.value(1.0, 80.0) > 1e34
    message = str(error_of(compiled.value, 1.0, 100.0))
    assert "float32" in message
    assert message.startswith("compiled, value: ")
    if executor == "numpy":  # the tape computes in float64, and has no room for what comes out
        assert ": forward: exp(100.0) is inf, at" in message
        assert message.endswith(", in float32; in float64 it is finite")
        small = compile_graph(lambda x: 1 / (x * x), 1.0, **options)
        assert ": forward: div(1.0, 0.0) is inf, at" in str(error_of(small.value, 1e-30))
    assert "float32" not in str(error_of(compiled.value, 1.0, 1000.0))
    grown = str(error_of(compiled.grad, 1.0, np.array([1.0, 85.5])))
    assert "in sample 1 of 2 (from 0): backward: " in grown
    assert grown.endswith(", in float32; in float64 it is finite")


def test_another_order_of_summation_is_said() -> None:
    """NumPy adds up every eighth number first, and there are infinities in that."""
    terms = [1e308, -1e308] * 8
    compiled = compile_graph(lambda x: sum(x[1:], start=x[0]), terms, executor="numpy", detect_anomaly=True)
    assert str(error_of(compiled.value, terms)) == (
        "compiled, value: the value is nan; the engine, which adds up in another order, finds none"
    )


# That it is the same computation


@settings(deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1.0, 1e3, 1e155]), is_batched=st.booleans())
def test_numbers_are_those_of_a_graph_that_is_not_checked(seed: int, scale: float, is_batched: bool) -> None:
    program, random = LoopProgram(seed), np.random.default_rng(seed)
    examples = program.arguments(random, [False] * len(program.shapes))
    plain, checked = (compile_graph(program, *examples, detect_anomaly=detects) for detects in (False, True))
    arguments = [scale * each for each in program.arguments(random, [is_batched] * len(program.shapes), batch=5)]
    value, gradient = plain.value_and_grad(*arguments)
    if np.isfinite(value) and np.isfinite(gradient).all():
        again, again_by = checked.value_and_grad(*arguments)
        assert (value, gradient.tobytes()) == (again, again_by.tobytes())
    else:
        assert error_of(checked.value_and_grad, *arguments)


@settings(deadline=None, derandomize=True)
@given(root=graphs(numbers=st.sampled_from([0.0, -0.0, 1.0, -2.0, 0.5, 1e-200, 1e200, -1e308, 710.0]), labels=[""]))
def test_what_is_named_is_what_the_engine_finds(root: Value) -> None:
    inputs = leaves(root)
    if root.op is None or not inputs:
        return
    checked = compile_graph(root, inputs, executor="numpy", detect_anomaly=True)
    anomaly = find_anomaly(root)
    numbers = [leaf._data for leaf in inputs]
    try:
        checked.value_and_grad(numbers)
    except AnomalyError as error:
        if error.anomaly is not None:
            assert anomaly is not None
            found = error.anomaly
            assert (found.phase, found.operation, repr(found.operands)) == (
                anomaly.phase,
                anomaly.operation,
                repr(anomaly.operands),
            )
    else:
        assert anomaly is None


# The flag


def test_without_the_flag_nothing_is_checked_or_held() -> None:
    compiled = compile_graph(lambda x: log(x), 1.0)
    assert type(compiled) is CompiledGraph
    assert compiled.value(0.0) == -INF
    assert not any(isinstance(held, Value) for held in vars(compiled).values())
    assert not hasattr(compiled, "_recording")


def test_everything_else_is_as_without_it() -> None:
    checked = compile_graph(lambda x: log(x) * 2.0, 1.0, detect_anomaly=True)
    plain = compile_graph(lambda x: log(x) * 2.0, 1.0)
    assert isinstance(checked, CompiledGraph)
    assert (checked.explain(), checked.source, checked.executor) == (plain.explain(), plain.source, plain.executor)
    with pytest.raises(ValueError, match="expected x of shape"):
        checked.value([[1.0, 2.0]])
    with pytest.raises(TypeError, match=r"expected 1 arguments, x, got 2"):
        checked.grad(1.0, 2.0)


def test_a_flag_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^compile_graph: expected detect_anomaly to be True or False, got 'yes'$"):
        compile_graph(lambda x: x, 1.0, detect_anomaly="yes")  # type: ignore[arg-type]


def test_a_row_of_a_users_own_is_named() -> None:
    from autograd_mini import Op

    own = Op(name="own", doc="", forward=lambda m, x: 1.0 / x, partials=(lambda m, out, x: -out / x,))
    compiled = compile_graph(lambda x: apply(own, x) + 1.0, 1.0, detect_anomaly=True)
    assert ": forward: own(x = 0.0) is inf, at" in str(error_of(compiled.value, 0.0))


def test_numpy_says_nothing_of_totals_that_are_not_finite(executor: str) -> None:
    compiled = compile_graph(lambda x: 1.0 / x, 1.0, executor=executor)
    batch = np.array([0.0, -0.0, 1.0])
    assert math.isnan(compiled.value(batch))
    assert math.isnan(compiled.value_and_grad(batch)[0])

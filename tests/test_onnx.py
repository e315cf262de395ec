"""Models as files of ONNX: run by onnxruntime, they give the numbers of what they were made from."""

import itertools
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled_models import MODELS, Model, matrix_vector
from compiled_programs import LoopProgram
from hypothesis import given, settings
from hypothesis import strategies as st
from test_nn_weights import Odd

from autograd_mini import (
    TABLE,
    CompiledGraph,
    NotTraceableError,
    Op,
    Value,
    apply,
    build_info,
    compile_graph,
    exp,
    logsumexp,
    tanh,
)
from nn import MLP, Adam, Classifier, Layer, Module, Neuron, binary_cross_entropy_with_logits, export_onnx, fit

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is the oracle of these tests")
pytestmark = pytest.mark.one_build

Array = np.ndarray[Any, Any]

DTYPES = ("float32", "float64")
RELATIVE = {"float32": 1e-6, "float64": 1e-12}
SMALLEST = {"float32": 1e-37, "float64": 1e-300}
"""Below it numbers have fewer digits, or are 0."""

NAN, INF = math.nan, math.inf
HOSTILE = [0.0, -0.0, 1.0, -1.0, 0.5, INF, -INF, NAN, 1e-320, -1e-200, 1e200, -1e308, 710.0, -746.0, 40.0, -40.0]
HOSTILE += [1000.0, -1000.0, 15.0, -15.0]


def run(model: Any, *inputs: Any) -> Array:
    """What onnxruntime computes; arrays have the batch first."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content = os.fspath(model) if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (output,) = session.get_outputs()
    assert output.name == "outputs"
    kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[output.type]
    names = [each.name for each in session.get_inputs()]
    found: Array = session.run(None, dict(zip(names, [np.asarray(each, kind) for each in inputs], strict=True)))[0]
    assert found.dtype == kind
    assert output.shape == ["batch", *found.shape[1:]]
    return found


def first(array: Any) -> Array:
    """An array whose last axis is the batch, with the batch first."""
    return np.moveaxis(np.asarray(array), -1, 0)


def operators(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def initializers(model: Any) -> dict[str, Array]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}


def assert_close(found: Any, expected: Any, dtype: str, absolute: float = 0.0) -> None:
    """Each number by itself, to as many digits as the type has; the same NaN and infinities."""
    expected = np.asarray(expected, dtype)
    with np.errstate(all="ignore"):
        is_same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        error = np.abs(found.astype(float) - expected.astype(float))
        allowed = RELATIVE[dtype] * np.abs(expected.astype(float)) + SMALLEST[dtype] + absolute
    assert found.shape == expected.shape
    assert np.all(is_same | (error <= allowed)), f"expected {expected}, got {found}"


# Every row of the table


ABSOLUTE = {
    # The kernel adds ½ to something near -½.
    ("sigmoid", "float32"): 1.2e-7,
    # As others write it, with 1 + erf(x).
    ("gelu", "float32"): 4.8e-7,
    # Near 0 it is the sum of a negative and a positive number, as in its row.
    ("logaddexp", "float32"): 4.8e-7,
}
"""What rows may be off where their results are small."""


def row_function(op: Op, place: int | None = None, constant: float = 0.0) -> Callable[..., Any]:
    """A row as a function of its operands, or with a constant as one of them."""
    if place is None:
        return lambda *operands: apply(op, *operands)
    return lambda x: apply(op, constant, x) if place == 0 else apply(op, x, constant)


def check_each(function: Callable[..., Any], points: Sequence[tuple[float, ...]], dtype: str, name: str) -> None:
    """A function of numbers at many points, against the compiled graph in float64."""
    arity = len(points[0])
    with np.errstate(over="ignore"):
        columns = [np.array(column).astype(dtype) for column in zip(*points, strict=True)]
    exact = compile_graph(function, *[0.5] * arity, reduction="none", executor="numpy")
    expected = exact.value(*[column.astype(float) for column in columns])
    model = compile_graph(function, *[0.5] * arity, dtype=dtype).to_onnx(*[None] * arity)
    with np.errstate(over="ignore"):
        assert_close(run(model, *columns), expected.astype(dtype), dtype, ABSOLUTE.get((name, dtype), 0.0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TABLE)
def test_every_row_on_its_domain(name: str, dtype: str) -> None:
    op = TABLE[name]
    points = list(itertools.product(*[np.linspace(*interval, 23).tolist() for interval in op.domain]))
    check_each(row_function(op), points, dtype, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TABLE)
def test_every_row_at_hostile_numbers(name: str, dtype: str) -> None:
    op = TABLE[name]
    check_each(row_function(op), list(itertools.product(HOSTILE, repeat=op.arity)), dtype, name)


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.arity == 2])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_row_with_a_constant(name: str, place: int, dtype: str) -> None:
    for constant in (0.0, -0.0, 1.0, 2.0, -1.0, 0.5, 3.0, 0.01, INF, -INF, NAN):
        check_each(row_function(TABLE[name], place, constant), [(x,) for x in HOSTILE], dtype, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["log1p", "expm1", "erf", "erfc", "softplus", "cos", "tan"])
def test_what_has_a_formula_of_ours_over_the_whole_range(name: str, dtype: str) -> None:
    steps = np.linspace(-1.0, 1.0, 2001)
    points = np.concatenate([27.0 * steps, steps, 10.0 ** (-30.0 * np.abs(steps)), -(10.0 ** (-30.0 * np.abs(steps)))])
    if name in ("cos", "tan"):
        points = np.array([x for x in points if abs(math.cos(x)) > 1e-3])
    check_each(row_function(TABLE[name]), [(x,) for x in points.tolist()], dtype, name)


def test_near_its_zeros_the_cosine_has_the_digits_that_its_operand_has() -> None:
    near = [math.pi / 2 + offset for offset in np.linspace(-1e-3, 1e-3, 101)]
    found = run(compile_graph(row_function(TABLE["cos"]), 0.5).to_onnx(None), near)
    np.testing.assert_allclose(found, np.cos(near), rtol=0, atol=4e-16)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_sum_exps_at_infinities(dtype: str) -> None:
    points = list(itertools.product([0.0, 1.0, INF, -INF, NAN, 1000.0, -1000.0, 80.0], repeat=3))
    check_each(lambda *x: logsumexp([*x]), points, dtype, "logsumexp")


def test_a_row_of_the_users_own() -> None:
    def silu(m: Any, x: Any) -> Any:
        return x * m.sigmoid(x)

    op = Op("silu", silu, (lambda m, out, x: m.sigmoid(x) + out * m.sigmoid(-x),), "")
    x = np.linspace(-4.0, 4.0, 10).reshape(5, 2)
    for dtype, names in (("float32", ["Sigmoid", "Mul"]), ("float64", ["Neg", "Exp", "Add", "Div", "Mul"])):
        model = compile_graph(lambda x: [apply(op, number) for number in x], [1.0, 2.0], dtype=dtype).to_onnx(None)
        assert operators(model) == names
        assert_close(run(model, x), x / (1.0 + np.exp(-x)), dtype, 4.0 * ABSOLUTE.get(("sigmoid", dtype), 0.0))


def test_a_row_of_the_users_own_may_have_any_name() -> None:
    op = Op("relu", lambda m, x: x * x, (lambda m, out, x: 2.0 * x,), "")
    assert run(compile_graph(row_function(op), 1.0).to_onnx(None), [-3.0, 2.0]).tolist() == [9.0, 4.0]


def test_a_rule_is_folded_where_it_is_given_numbers() -> None:
    op = Op("own", lambda m, x: x * (m.sigmoid(0.0) + m.gelu(2.0 * m.relu(-1.0))), (lambda m, out, x: 0.5,), "")
    model = compile_graph(lambda x: [apply(op, number) for number in x], [1.0, 1.0]).to_onnx(None)
    assert run(model, [[1.0, 2.0]]).tolist() == [[0.5, 1.0]]
    assert operators(model) == ["Mul"]


def not_a_formula(m: Any, x: Any) -> Any:
    return x if bool(np.all(x == x)) else 0.0 * x


def test_a_row_that_is_no_formula_is_refused_where_samples_have_a_part_in_it() -> None:
    op = Op("own", not_a_formula, (lambda m, out, x: 1.0,), "")
    compiled = compile_graph(lambda w, x: apply(op, w) * x, 1.0, 1.0)
    assert run(compiled.to_onnx(3.0, None), [1.0, 2.0]).tolist() == [3.0, 6.0]
    with pytest.raises(ValueError, match=r"^to_onnx: expected rules that are formulas, got Op 'own': its rule .*$"):
        compiled.to_onnx(None, 3.0)


# Models of every kind


def exported(model: Model, arguments: Sequence[Any], dtype: str) -> tuple[Any, CompiledGraph]:
    """A model whose samples are inputs, and what it is compiled to."""
    compiled = compile_graph(model.function, *model.arguments(9), reduction="none", dtype=dtype, executor="numpy")
    given = [None if place in model.batched else each for place, each in enumerate(arguments)]
    return compiled.to_onnx(*given), compiled


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_models_are_equal_to_compiled_graphs(model: Model, dtype: str) -> None:
    arguments = model.arguments(1, 5)
    proto, compiled = exported(model, arguments, dtype)
    expected = compiled.value(*arguments)
    samples = [first(arguments[place]) for place in model.batched]
    largest = np.abs(expected).max()
    assert_close(run(proto, *samples), expected, dtype, 4.0 * RELATIVE[dtype] * largest)
    assert_close(run(proto, *[each[:1] for each in samples]), expected[:1], dtype, 4.0 * RELATIVE[dtype] * largest)


@pytest.mark.parametrize("model", [model for model in MODELS if model.name != "narrow"], ids=lambda model: model.name)
def test_models_are_what_the_standard_says(model: Model) -> None:
    """Run by onnx's own reference, which has no kernels of its own: it follows the text of the operators."""
    reference = pytest.importorskip("onnx.reference")
    arguments = model.arguments(1, 3)
    proto, compiled = exported(model, arguments, "float64")
    names = [each.name for each in proto.graph.input]
    samples = {name: first(arguments[place]) for name, place in zip(names, model.batched, strict=True)}
    (found,) = reference.ReferenceEvaluator(proto).run(None, samples)
    np.testing.assert_allclose(found, compiled.value(*arguments), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(40))
def test_random_loops_are_equal_to_compiled_graphs(seed: int, dtype: str) -> None:
    program, random = LoopProgram(seed), np.random.default_rng(seed)
    count = len(program.shapes)
    is_input = [place == seed % count or random.random() < 0.6 for place in range(count)]
    arguments = program.arguments(random, is_input, 3)
    compiled = compile_graph(
        program, *program.arguments(random, [False] * count), reduction="none", dtype=dtype, executor="numpy"
    )
    chosen = list(zip(is_input, arguments, strict=True))
    model = compiled.to_onnx(*[None if is_it else each for is_it, each in chosen])
    expected = compiled.value(*arguments)
    largest = max(1.0, np.abs(expected).max())
    assert_close(
        run(model, *[first(each) for is_it, each in chosen if is_it]), expected, dtype, 4 * RELATIVE[dtype] * largest
    )


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    rows=st.lists(st.integers(0, 11), min_size=1, max_size=12),
    shape=st.sampled_from([(12,), (3, 4), (2, 3, 2)]),
    is_sum=st.booleans(),
)
def test_any_rows_of_what_was_computed(rows: list[int], shape: tuple[int, ...], is_sum: bool) -> None:
    """Slices, and what is none."""

    def function(x: Any) -> Any:
        numbers = [tanh(number) for number in x.ravel()]
        chosen = [exp(numbers[row]) for row in rows]
        return sum(chosen) if is_sum else chosen

    x = np.random.default_rng(0).normal(size=(2, *shape))
    expected = np.exp(np.tanh(x)).reshape(2, 12)[:, rows]
    found = run(compile_graph(function, np.zeros(shape)).to_onnx(None), x)
    assert_close(found, expected.sum(1) if is_sum else expected, "float64")


# What goes in and what comes out


def test_a_number_a_sample() -> None:
    model = compile_graph(lambda x: x * x, 1.0).to_onnx(None)
    assert run(model, [1.0, 2.0, 3.0]).tolist() == [1.0, 4.0, 9.0]
    assert model.graph.input[0].name == "x"


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_reduction_makes_no_difference(reduction: str) -> None:
    compiled = compile_graph(lambda x: x[0] * x[1], [1.0, 1.0], reduction=reduction)
    assert run(compiled.to_onnx(None), [[2.0, 3.0], [4.0, 5.0]]).tolist() == [6.0, 20.0]


def test_results_have_their_shape_behind_the_batch() -> None:
    compiled = compile_graph(lambda x: [[x[0], x[1] * 2.0], [3.0, x[0]], [x[0] + x[1], Value(4.0)]], [1.0, 1.0])
    found = run(compiled.to_onnx(None), [[5.0, 7.0], [0.0, 1.0]])
    assert found.tolist() == [[[5, 14], [3, 5], [12, 4]], [[0, 2], [3, 0], [1, 4]]]


def test_a_result_may_be_an_input_or_a_constant_or_depend_on_no_sample() -> None:
    x = np.arange(6.0).reshape(3, 2)
    assert run(compile_graph(lambda x: x, [0.0, 0.0]).to_onnx(None), x).tolist() == x.tolist()
    assert run(compile_graph(lambda x: x[1], [0.0, 0.0]).to_onnx(None), x).tolist() == [1.0, 3.0, 5.0]
    assert run(compile_graph(lambda x: x, 0.0).to_onnx(None), [1.0, 2.0]).tolist() == [1.0, 2.0]
    assert run(compile_graph(lambda x: 7.0, [0.0, 0.0]).to_onnx(None), x).tolist() == [7.0] * 3
    assert run(compile_graph(lambda x: [7.0, 8.0], 0.0).to_onnx(None), [0.0] * 3).tolist() == [[7.0, 8.0]] * 3
    assert run(compile_graph(lambda w, x: w * w, 0.0, 0.0).to_onnx(3.0, None), [0.0, 1.0]).tolist() == [9.0, 9.0]
    assert run(compile_graph(lambda x: x**0.0, 0.0).to_onnx(None), [0.0, NAN]).tolist() == [1.0, 1.0]


def test_any_argument_may_be_an_input() -> None:
    w, x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0.5, -1.0])
    compiled = compile_graph(lambda w, x: matrix_vector(w, x), w, x)
    tables, samples = np.stack([w, 2 * w]), np.stack([x, -x])
    assert run(compiled.to_onnx(w, None), samples).tolist() == (samples @ w.T).tolist()
    assert run(compiled.to_onnx(None, x), tables).tolist() == (tables @ x).tolist()
    products = np.einsum("bij,bj->bi", tables, samples)
    assert run(compiled.to_onnx(None, None), tables, samples).tolist() == products.tolist()


def test_a_batch_may_be_empty_or_one_or_many() -> None:
    compiled = compile_graph(lambda x: logsumexp([x[0], x[1] * x[1], x[0] * x[1]]), [0.0, 0.0])
    model = compiled.to_onnx(None)
    for size in (0, 1, 1000):
        assert run(model, np.ones((size, 2))).tolist() == pytest.approx([1.0 + math.log(3.0)] * size, rel=1e-14)


def test_what_all_samples_share_is_computed_beforehand() -> None:
    def function(w: Any, x: Any) -> Any:
        shared = [exp(a) * b for a, b in zip(w, w[::-1], strict=True)]
        total = logsumexp(shared) + sum(shared) + sum(a * a for a in shared)
        return sum(tanh(s * number) for s, number in zip(shared, x, strict=True)) * total

    w, x = np.array([0.1, -0.2, 0.3, 0.7]), np.random.default_rng(0).normal(size=(4, 5))
    compiled = compile_graph(function, np.ones(4), np.ones(4), reduction="none")
    model = compiled.to_onnx(w, None)
    assert Counter(operators(model)) == Counter(["Mul", "Tanh", "ReduceSum", "Mul", "Reshape", "Reshape"])
    assert_close(run(model, x.T), compiled.value(w, x), "float64")


def test_nested_arguments_have_a_name_for_each_array() -> None:
    def function(parameters: Any, x: Any) -> Any:
        z = matrix_vector(parameters["W"], x["a"])
        return [number + b * x["b"][0][0] for number, b in zip(z, parameters["b"], strict=True)]

    parameters = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": [5.0, 6.0]}
    compiled = compile_graph(function, parameters, {"a": [1.0, 2.0], "b": ([1.0], 2.0)})
    model = compiled.to_onnx(parameters, None)
    assert [each.name for each in model.graph.input] == ["x.a", "x.b.0", "x.b.1"]
    assert list(initializers(model)) == ["W.T", "b"]
    a, b = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[2.0], [-1.0]])
    assert run(model, a, b, [0.0, 0.0]).tolist() == [[13.0, 19.0], [-3.0, -2.0]]


@pytest.mark.parametrize("name", ["outputs", "Add", "constant", "shape", "Reshape_2"])
def test_an_argument_may_have_the_name_of_anything(name: str) -> None:
    function: Any = eval(f"lambda {name}, other: ({name} + 0.5) + other * {name}")
    model = compile_graph(function, 1.0, 1.0).to_onnx(None, None)
    assert run(model, [1.0, 2.0], [3.0, 4.0]).tolist() == [4.5, 10.5]
    names = [
        *[each.name for each in model.graph.input],
        *initializers(model),
        *[node.output[0] for node in model.graph.node],
    ]
    assert len(set(names)) == len(names)


def test_what_the_file_says_of_itself() -> None:
    model = compile_graph(lambda x: tanh(x), 1.0).to_onnx(None)
    onnx.checker.check_model(model, full_check=True)
    assert (model.producer_name, model.producer_version) == ("autograd-mini", build_info().version)
    assert model.doc_string == "CompiledGraph(x; 1 operations)"
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert [node.name for node in model.graph.node] == ["Reshape", "Tanh", "Reshape_2"]


def test_the_same_graph_is_the_same_file() -> None:
    network = MLP(3, [4, 2], "gelu", seed=1)
    contents = {
        compile_graph(network, [0.0] * 3, parameters=network.parameters())
        .to_onnx([parameter.data for parameter in network.parameters()], None)
        .SerializeToString(deterministic=True)
        for _ in range(3)
    }
    assert len(contents) == 1


def test_nothing_of_the_compiled_graph_changes() -> None:
    w = np.array([0.1, 0.2])
    compiled = compile_graph(lambda w, x: w[0] * x + w[1], w, 1.0, dtype="float32", reduction="none")
    before = compiled.value(w, [1.0, 2.0])
    compiled.to_onnx(w, None)
    after = compiled.value(w, [1.0, 2.0])
    assert after.dtype == before.dtype == np.float32
    assert after.tolist() == before.tolist()
    w[:] = 0.0  # what was exported is a copy, and what is called looks at it
    assert compiled.value(w, [1.0, 2.0]).tolist() == [0.0, 0.0]


def test_numbers_beyond_float32_are_infinite() -> None:
    model = compile_graph(lambda w, x: w * x, 1.0, 1.0, dtype="float32").to_onnx(1e200, None)
    assert run(model, [1.0, -1.0]).tolist() == [INF, -INF]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None,), TypeError, "compiled: expected 2 arguments, w, x, got 1"),
        (
            ([1.0, 2.0], 3.0),
            ValueError,
            "to_onnx: expected None for at least one argument, which is then an input, got numbers for w, x",
        ),
        (([1.0], None), ValueError, "compiled: expected w of shape (2,) or (2, batch), got shape (1,)"),
        (
            ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], None),
            ValueError,
            "to_onnx: expected one sample of w, or None for an input, got 3 samples",
        ),
        (("text", None), TypeError, "compiled: expected numbers of shape (2,) or (2, batch) as w, got str 'text'"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    compiled = compile_graph(lambda w, x: w[0] * x + w[1], [1.0, 2.0], 1.0)
    with pytest.raises(error) as raised:
        compiled.to_onnx(*arguments)
    assert str(raised.value) == message


def test_without_onnx_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "onnx" or name.startswith("onnx.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"^to_onnx: needs onnx: pip install 'autograd-mini\[onnx\]'$"):
        compile_graph(lambda x: x, 1.0).to_onnx(None)
    with pytest.raises(ImportError, match=r"^export_onnx: needs onnx: pip install 'autograd-mini\[onnx\]'$"):
        export_onnx(MLP(2, [1]), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


# Networks in files


ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softplus", "erf", "sin", None]


def predictions(model: Any, samples: Array) -> Array:
    """What the model itself says, sample by sample."""
    found = [model(sample.tolist()) for sample in samples]
    return np.array([[each.data for each in row] if isinstance(row, list) else row.data for row in found])


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    n_inputs=st.integers(1, 5),
    activation=st.sampled_from(ACTIVATIONS),
    output_activation=st.sampled_from([None, "sigmoid"]),
    bias=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    batch=st.sampled_from([1, 2, 9]),
    seed=st.integers(0, 1000),
)
def test_networks_predict_what_they_predict_here(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    n_inputs: int,
    activation: str | None,
    output_activation: str | None,
    bias: bool,
    dtype: str,
    batch: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    model = MLP(n_inputs, sizes, activation, output_activation, bias=bias, seed=random)
    for parameter in model.parameters():
        parameter.data += random.normal(0.0, 0.1)
    samples = random.normal(size=(batch, n_inputs)).astype(dtype)
    path = export_onnx(model, tmp_path_factory.getbasetemp() / "network.onnx", dtype=dtype)
    expected = predictions(model, samples)
    np.testing.assert_allclose(run(path, samples), expected, rtol=RELATIVE[dtype], atol=RELATIVE[dtype])


@pytest.mark.parametrize(
    ("activation", "names"),
    [
        ("sigmoid", ["Sigmoid"]),
        ("tanh", ["Tanh"]),
        ("relu", ["Relu"]),
        ("leaky_relu", ["LeakyRelu"]),
        ("softplus", ["Softplus"]),
        ("gelu", ["Mul", "Erf", "Add", "Mul", "Mul"]),
        (None, []),
    ],
)
def test_the_file_of_a_network_is_what_people_expect(tmp_path: Path, activation: str | None, names: list[str]) -> None:
    network = MLP(3, [4, 5, 2], activation, seed=0)
    path = tmp_path / "network.onnx"
    assert export_onnx(network, path) == path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    layer = ["MatMul", "Add", *names]
    assert operators(model) == [*layer, *layer, "MatMul", "Add"]
    found = initializers(model)
    for place, each in enumerate(network.layers):
        weights = found[f"layers.{place}.weights.T"]
        assert weights.dtype == np.float32
        assert weights.tolist() == np.array([[w.data for w in row] for row in each.weights], np.float32).T.tolist()
        assert found[f"layers.{place}.biases"].shape == (len(each.neurons),)
    assert model.graph.name == "MLP"
    assert model.doc_string == "MLP of 53 parameters"
    described = [*model.graph.input, *model.graph.output]
    assert [each.name for each in described] == ["inputs", "outputs"]
    assert [[axis.dim_param or axis.dim_value for axis in each.type.tensor_type.shape.dim] for each in described] == [
        ["batch", 3],
        ["batch", 2],
    ]


def test_one_output_is_a_number_a_sample(tmp_path: Path) -> None:
    network = MLP(3, [4, 1], "tanh", seed=0)
    model = onnx.load(export_onnx(network, tmp_path / "network.onnx"))
    assert operators(model) == ["MatMul", "Add", "Tanh", "MatMul", "Add", "Reshape"]
    assert initializers(model)["layers.1.weights.T"].shape == (4, 1)
    samples = np.random.default_rng(0).normal(size=(6, 3))
    found = run(model, samples)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, predictions(network, samples), rtol=1e-6, atol=1e-6)


def test_a_trained_classifier(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    angles = random.uniform(0.0, math.pi, 100)
    upper = np.column_stack([np.cos(angles), np.sin(angles)])
    samples = np.concatenate([upper, [1.0, 0.5] - upper]) + random.normal(0.0, 0.1, (200, 2))
    labels = np.repeat([0.0, 1.0], 100)
    network = MLP(2, [16, 1], "tanh", seed=1)
    fit(
        network,
        samples,
        labels,
        loss=binary_cross_entropy_with_logits,
        optimizer=Adam(0.03),
        epochs=60,
        batch_size=50,
        seed=2,
    )
    classes = Classifier(network).predict(samples)
    assert np.mean(classes == labels) > 0.95
    for dtype, room in (("float32", 1e-6), ("float64", 1e-12)):
        logits = run(export_onnx(network, tmp_path / "moons.onnx", dtype=dtype), samples)
        expected = predictions(network, samples.astype(dtype))
        np.testing.assert_allclose(logits, expected, rtol=room, atol=room * np.abs(expected).max())
        assert np.array_equal(logits > 0.0, classes == 1.0)


class Tangle(Odd):
    """A model that uses parameters of every form, some of them twice, and some never."""

    def __call__(self, sample: Any) -> list[Any]:
        x, y = sample
        mixed = self.network([x * self.alone, sum(row[1] for row in self.table) * y])
        pair: Any = self.by_name["b"]
        return [mixed, pair[1] + self.tied[0] * y, self.list[0]]


def test_a_model_of_the_users_own(tmp_path: Path) -> None:
    model = Tangle()
    samples = np.random.default_rng(0).normal(size=(4, 2))
    path = export_onnx(model, tmp_path / "tangle.onnx", example=[1, np.float32(2)], dtype="float64")
    np.testing.assert_allclose(run(path, samples), predictions(model, samples), rtol=1e-12, atol=1e-12)
    assert onnx.load(path).doc_string == "Tangle of 29 parameters"


def test_layers_neurons_and_functions_with_parameters(tmp_path: Path) -> None:
    class Scale:
        factor = Value(2.0)

        def parameters(self) -> list[Value]:
            return [self.factor]

        def __call__(self, inputs: Any) -> Any:
            return [[self.factor * x for x in row] for row in inputs]

    class Nothing(Module):
        def __call__(self, inputs: Any) -> Any:
            return inputs[0] * 2.0

    path, samples = tmp_path / "model.onnx", np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    models: list[tuple[Any, Any]] = [(Layer(3, 2, seed=1), None), (Neuron(3, "tanh", seed=1), [0.0] * 3)]
    for model, example in models:
        found = run(export_onnx(model, path, example=example), samples)
        np.testing.assert_allclose(found, predictions(model, samples), rtol=1e-6, atol=1e-6)
    tables = samples[:4].reshape(2, 2, 3)
    assert run(export_onnx(Scale(), path, example=np.ones((2, 3))), tables).tolist() == (2.0 * tables).tolist()
    assert run(export_onnx(Nothing(), path, example=[1.0]), [[1.0], [2.0]]).tolist() == [2.0, 4.0]
    assert run(export_onnx(MLP(1, [2], init="ones"), path, example=5), [1.0, 3.0]).tolist() == [[1.0, 1.0], [3.0, 3.0]]


def test_the_model_stays_as_it_was(tmp_path: Path) -> None:
    network = MLP(2, [3, 1], seed=0)
    network([1.0, 2.0]).backward()
    before = [(each.data, each.grad, each.label) for each in network.parameters()]
    export_onnx(network, os.fspath(tmp_path / "network.onnx"))
    assert [(each.data, each.grad, each.label) for each in network.parameters()] == before


# What is refused


def changed(number: float) -> MLP:
    network = MLP(3, [1], init="ones")
    network.layers[0].neurons[0].weights[1].data = number
    return network


class Answers(Module):
    """What `answer` makes of a sample."""

    def __init__(self, answer: Callable[[Any], Any]) -> None:
        self.answer = answer
        self.n_inputs = 2

    def __call__(self, inputs: Any) -> Any:
        return self.answer(inputs)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, "model.onnx"), {}, TypeError, "expected model to be callable with a sample, got int 3"),
        (
            (Answers(lambda x: [x[0], [x[1], x[0]]]), "model.onnx"),
            {},
            ValueError,
            "expected rows of equal length in what the model returns, got shape () first and (2,) at 1",
        ),
        (
            (Answers(lambda x: {"sum": x[0] + x[1]}), "model.onnx"),
            {},
            TypeError,
            "expected numbers in what the model returns, got dict {'sum': Value(traced)}",
        ),
        (
            (MLP, "model.onnx"),
            {},
            TypeError,
            "expected model to be callable with a sample, got type <class 'nn.modules.MLP'>",
        ),
        (
            (abs, "model.onnx"),
            {"example": 1},
            TypeError,
            "expected model to have parameters(), got builtin_function_or_method <built-in function abs>",
        ),
        ((changed(1.0), 3), {}, TypeError, "expected path to be a path, got int 3"),
        ((changed(1.0), "model.json"), {}, ValueError, "expected path to end in .onnx, got 'model.json'"),
        ((changed(1.0), "missing/model.onnx"), {}, FileNotFoundError, "there is no folder 'missing'"),
        (
            (changed(1.0), "folder.onnx"),
            {},
            IsADirectoryError,
            "expected the name of a file, got the folder 'folder.onnx'",
        ),
        (
            (changed(1.0), "model.onnx"),
            {"dtype": "float16"},
            ValueError,
            "expected dtype to be one of float32, float64, got str 'float16'",
        ),
        (
            (changed(1.0), "model.onnx"),
            {"example": [1.0, 2.0]},
            ValueError,
            "expected example to be a list of 3 numbers, as the model takes, got list [1.0, 2.0]",
        ),
        (
            (changed(1.0), "model.onnx"),
            {"example": 1.0},
            ValueError,
            "expected example to be a list of 3 numbers, as the model takes, got float 1.0",
        ),
        (
            (Tangle(), "model.onnx"),
            {},
            ValueError,
            "expected example, a sample that the model takes, as Tangle has no n_inputs",
        ),
        ((Tangle(), "model.onnx"), {"example": []}, ValueError, "expected example to hold numbers, got list []"),
        ((Tangle(), "model.onnx"), {"example": ["1", 2]}, TypeError, "expected numbers in example, got str '1'"),
        (
            (changed(NAN), "model.onnx"),
            {},
            ValueError,
            "expected finite parameters, got list [[1.0, nan, 1.0]] in layers.0.weights",
        ),
        (
            (changed(-INF), "model.onnx"),
            {},
            ValueError,
            "expected finite parameters, got list [[1.0, -inf, 1.0]] in layers.0.weights",
        ),
        (
            (changed(1e39), "model.onnx"),
            {},
            ValueError,
            "expected parameters that float32 can hold, or dtype='float64',"
            " got list [[1.0, 1e+39, 1.0]] in layers.0.weights",
        ),
    ],
)
def test_wrong_calls_write_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[Any, Any],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(error) as raised:
        export_onnx(*arguments, **options)
    assert str(raised.value) == f"export_onnx: {message}"
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_model_that_looks_at_its_numbers_is_refused_with_its_line(tmp_path: Path) -> None:
    network = MLP(1, [2, 1], lambda z: z if z.data > 0 else 0.1 * z, seed=0)
    with pytest.raises(NotTraceableError, match=r"network = MLP\(1, \[2, 1\], lambda z"):
        export_onnx(network, tmp_path / "network.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_stays_where_the_new_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export_onnx(changed(1.0), tmp_path / "model.onnx")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="finite"):
        export_onnx(changed(NAN), path)

    def fail(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"No space left on device: .*model\.onnx"):
        export_onnx(changed(2.0), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    export_onnx(changed(2.0), path)
    assert path.read_bytes() != before


def test_numbers_beyond_float32_fit_into_float64(tmp_path: Path) -> None:
    path = export_onnx(changed(1e39), tmp_path / "model.onnx", dtype="float64")
    assert run(path, [[0.0, 1.0, 0.0]]).tolist() == [1e39]

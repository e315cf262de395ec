"""`CompiledGraph.to_jax`: a pure function of JAX's arrays, which JAX compiles, maps, differentiates and exports."""

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled_models import HOSTILE, MODELS, Model, assert_same, narrow, row_function
from compiled_programs import LoopProgram

import nn
from autograd_mini import (
    TABLE,
    NotTraceableError,
    Op,
    apply,
    compile_graph,
    grad,
    logsumexp,
    tanh,
    value_and_grad,
)

jax: Any = pytest.importorskip("jax")
pytestmark = pytest.mark.one_build

CLOSE = 1e-12
"""As the issues ask for 1e-10 between JAX's derivatives and ours; what is reached is a hundred times closer."""

PROMPT = [model for model in MODELS if model.name not in ("narrow", "gated", "recurrent")]
"""Those that XLA compiles in a second; a chain of states is tested by itself."""

WITHOUT_DENORMALS = [number for number in HOSTILE if number not in (1e-320, -1e308)]
"""On processors XLA takes what is below 2.2e-308 for 0, and it may divide by a number by way of its reciprocal."""


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def in_numpy(tree: Any) -> Any:
    """JAX's arrays as NumPy's, in the same structure."""
    return jax.tree.map(np.asarray, tree)


def in_order(tree: Any, like: Any) -> Any:
    """Dicts in the order of others: JAX sorts their keys."""
    if isinstance(like, dict):
        return {key: in_order(tree[key], like[key]) for key in like}
    return tuple(map(in_order, tree, like)) if isinstance(like, tuple) else tree


def check(function: Callable[..., Any], examples: list[Any], *calls: list[Any], **options: Any) -> None:
    """JAX's value and derivatives of a function at each call, compared with those of our reverse program."""
    compiled = compile_graph(function, *examples, **options)
    differentiate = jax.jit(jax.value_and_grad(compiled.to_jax(), options.get("argnums", 0)))
    for arguments in calls:
        expected = compiled.value_and_grad(*arguments)
        assert_same(in_order(in_numpy(differentiate(*arguments)), expected), expected, CLOSE)


# Models of every kind


@pytest.mark.parametrize("model", PROMPT, ids=lambda model: model.name)
def test_models_are_differentiated_by_jax_as_by_us(model: Model) -> None:
    check(model.function, model.arguments(9), model.arguments(1), model.arguments(2, 5), argnums=model.argnums)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_every_reduction(reduction: str) -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(9), reduction=reduction)
    for batch in (None, 1, 4):
        arguments = model.arguments(3, batch)
        found = jax.jit(compiled.to_jax())(*arguments)
        expected = compiled.value(*arguments)
        assert found.shape == np.shape(expected)
        assert_same(np.asarray(found), expected, CLOSE)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_what_all_samples_share(reduction: str) -> None:
    compiled = compile_graph(lambda w, x: w * w, 1.0, 1.0, reduction=reduction)
    arguments = (3.0, np.arange(4.0))
    assert_same(np.asarray(compiled.to_jax()(*arguments)), compiled.value(*arguments))


def test_any_argument_may_be_the_batch() -> None:
    model = MODELS[0]
    turned = Model(model.name, model.function, model.shapes, (0, 1, 2, 3), model.argnums, model.scale)
    check(model.function, model.arguments(1), turned.arguments(2, 4), argnums=model.argnums)


@pytest.mark.parametrize("seed", [0, 2, 3, 4, 5, 6, 8, 9, 10])
def test_random_loops(seed: int) -> None:
    program = LoopProgram(seed)
    random = np.random.default_rng(seed)
    batched = [bool(random.random() < 0.5) for _ in program.shapes]
    examples = program.arguments(random, [False] * len(batched))
    argnums = tuple(range(len(batched)))
    check(program, examples, program.arguments(random, batched, 3), argnums=argnums)


def test_results_of_several_numbers() -> None:
    def function(w: Any, x: Any) -> Any:
        return [[a * b for b in x] for a in w]

    compiled = compile_graph(function, [1.0, 1.0], [1.0, 1.0, 1.0])
    for x in (np.arange(3.0), np.arange(12.0).reshape(3, 4)):
        found, expected = compiled.to_jax()([2.0, -1.0], x), compiled.value([2.0, -1.0], x)
        assert found.shape == expected.shape
        assert_same(np.asarray(found), expected)


def test_the_worked_example() -> None:
    """Gill & Gill, section 5.1: the prediction and D_W⁰ at x = (2, 4, 3)."""
    network = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    compiled = compile_graph(network, [0.0, 0.0, 0.0], parameters=network.parameters())
    weights = np.array([parameter.data for parameter in network.parameters()])
    value, gradient = jax.jit(jax.value_and_grad(compiled.to_jax()))(weights, np.array([2.0, 4.0, 3.0]))
    assert float(value) == pytest.approx(2.64231349279448, rel=1e-14)
    assert gradient[:4].tolist() == pytest.approx(
        [7.77388511733294e-05, 1.55477702346659e-04, 1.16608276759994e-04, 3.88694255866647e-05], rel=1e-13
    )


# Every row of the table


def check_each(function: Callable[..., Any], points: list[tuple[float, ...]]) -> None:
    """A function of numbers at many points, each with its own result and derivatives, beside the engine."""
    argnums = tuple(range(len(points[0])))
    each = compile_graph(function, *[0.5] * len(argnums), argnums=argnums, reduction="none").to_jax()
    differentiate = jax.vmap(jax.value_and_grad(each, argnums))
    values, gradients = in_numpy(jax.jit(differentiate)(*map(np.array, zip(*points, strict=True))))
    for place, point in enumerate(points):
        expected = np.hstack(value_and_grad(function, argnums)(*point))
        found = np.hstack([values[place], *[gradient[place] for gradient in gradients]])
        assert np.allclose(found, expected, rtol=CLOSE, atol=1e-300, equal_nan=True), f"at {point}: {expected}, {found}"


@pytest.mark.parametrize("name", TABLE)
def test_every_row_on_its_domain_and_at_hostile_numbers(name: str) -> None:
    op = TABLE[name]
    points = list(itertools.product(*[np.linspace(*interval, 11).tolist() for interval in op.domain]))
    check_each(row_function(op), points + list(itertools.product(WITHOUT_DENORMALS, repeat=op.arity)))


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.arity == 2])
@pytest.mark.parametrize("place", [0, 1])
def test_every_row_with_a_constant(name: str, place: int) -> None:
    """A derivative by what is constant is not taken: it may be NaN where the other is fine."""

    def function(x: Any) -> Any:
        constants = (0.0, -0.0, 1.0, 2.0, -1.0, 0.5, 3.0, math.inf, math.nan)
        return [row_function(TABLE[name], place, constant)(x) for constant in constants]

    compiled = compile_graph(function, 0.5).to_jax()
    points = np.array(WITHOUT_DENORMALS)
    both = jax.jit(jax.vmap(lambda x: (compiled(x), jax.jacfwd(compiled)(x))))
    values, slopes = in_numpy(both(points))
    for point, value, slope in zip(points.tolist(), values, slopes, strict=True):
        expected = np.array([value_and_grad(lambda x, k=k: function(x)[k])(point) for k in range(len(value))])
        assert np.allclose(np.stack([value, slope], 1), expected, rtol=CLOSE, atol=1e-300, equal_nan=True), point


@pytest.mark.parametrize("name", TABLE)
def test_second_derivatives_of_every_row(name: str) -> None:
    op = TABLE[name]
    places = [np.linspace(*interval, 5)[1:].tolist() for interval in op.domain]
    points = [point for point in itertools.product(*places) if op.kink is None or abs(op.kink(*point)) > 1e-3]
    argnums = tuple(range(op.arity))
    compiled = compile_graph(row_function(op), *[0.5] * op.arity).to_jax()
    found = in_numpy(jax.jit(jax.vmap(jax.hessian(compiled, argnums)))(*map(np.array, zip(*points, strict=True))))
    for place, point in enumerate(points):
        for one in argnums:
            slope = grad(row_function(op), one)
            for other in argnums:
                assert found[one][other][place] == pytest.approx(grad(slope, other)(*point), rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("n_terms", [3, 4])
def test_log_sum_exp_at_ties_and_infinities(n_terms: int) -> None:
    numbers = [0.0, 1.0, math.inf, -math.inf, -math.log(n_terms), 710.0][: 10 - n_terms]
    points = [*itertools.product(numbers, repeat=n_terms), (math.nan, *[0.0] * (n_terms - 1))]
    check_each(lambda *terms: logsumexp(list(terms)), points)


def test_a_row_of_the_users_own_has_its_own_derivative() -> None:
    """Here a wrong one, so that it shows: JAX does not differentiate the rule, it takes the row's partial."""
    wrong = Op("wrong", lambda m, x: x * m.sigmoid(x), (lambda m, out, x: 7.0 + 0.0 * out,), "")
    compiled = compile_graph(row_function(wrong), 1.0)
    assert jax.grad(compiled.to_jax())(3.0) == compiled.grad(3.0) == 7.0


def test_a_row_that_looks_at_numbers_is_refused() -> None:
    def forward(m: Any, x: Any) -> Any:
        return x if x > 0 else -x

    own = Op("own", forward, (lambda m, out, x: m.where(x > 0, 1.0, -1.0),), "")
    with pytest.raises(NotTraceableError, match=r"^to_jax: expected the rules of the row 'own' to compute by m alone"):
        jax.jit(compile_graph(row_function(own), 1.0).to_jax())(2.0)


# What JAX does with it


def test_it_is_jitted_mapped_and_nested() -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(9), argnums=model.argnums, reduction="none")
    function = compiled.to_jax()
    *parameters, x, y = model.arguments(3, 6)
    each = jax.vmap(function, in_axes=(*[None] * 4, -1, -1))(*parameters, x, y)
    assert_same(np.asarray(each), compiled.value(*parameters, x, y), CLOSE)
    assert_same(np.asarray(jax.jit(function)(*parameters, x, y)), np.asarray(each), CLOSE)
    by_sample = jax.vmap(jax.grad(function, 1), in_axes=(*[None] * 4, -1, -1))(*parameters, x, y)
    expected = [compiled.grad(*parameters, x[:, sample], y[:, sample])[1] for sample in range(6)]
    assert_same(np.asarray(by_sample), np.array(expected), CLOSE)


def test_hessian_vector_products_are_ours() -> None:
    model = MODELS[0]
    arguments, vector = model.arguments(3, 6), model.arguments(4)[0]
    compiled = compile_graph(model.function, *model.arguments(9))
    slope = jax.grad(compiled.to_jax())
    _, product = jax.jvp(lambda w: slope(w, *arguments[1:]), (arguments[0],), (vector,))
    assert_same(np.asarray(product), compiled.hessian_vector_product(*arguments, vector=vector), CLOSE)


def test_it_is_pure_and_leaves_the_graph_as_it_was() -> None:
    compiled = compile_graph(lambda w, x: tanh(w * x), 1.0, 1.0)
    function = compiled.to_jax()
    before = compiled.value(0.5, 2.0)
    with jax.checking_leaks():
        found = [float(jax.jit(jax.grad(function))(0.5, 2.0)) for _ in range(2)]
    assert found == [pytest.approx(compiled.grad(0.5, 2.0))] * 2
    assert compiled.value(0.5, 2.0) == before


def test_a_gradient_is_saved_by_export_and_runs_without_us(tmp_path: Path) -> None:
    """For batches of any size, in a process that has JAX and nothing else."""
    network = nn.MLP(3, [4, 1], "tanh", seed=0)

    def loss(x: Any, y: Any) -> Any:
        return nn.mse_loss(network(x), y)

    compiled = compile_graph(loss, [0.0] * 3, 0.0, parameters=network.parameters())
    weights = np.array([parameter.data for parameter in network.parameters()])
    (size,) = jax.export.symbolic_shape("batch")
    shapes = [jax.ShapeDtypeStruct(shape, np.float64) for shape in ((len(weights),), (3, size), (size,))]
    differentiate = jax.jit(jax.value_and_grad(lambda weights, x, y: compiled.to_jax()(list(weights), x, y)))
    (tmp_path / "loss.jax").write_bytes(jax.export.export(differentiate)(*shapes).serialize())
    random = np.random.default_rng(1)
    x, y = random.normal(size=(3, 7)), random.normal(size=7)
    np.savez(tmp_path / "arguments.npz", weights, x, y)
    program = """
import pathlib, sys
import jax, numpy as np
from jax import export
jax.config.update("jax_enable_x64", True)
call = export.deserialize(bytearray(pathlib.Path("loss.jax").read_bytes())).call
for size in (7, 2):
    weights, x, y = np.load("arguments.npz").values()
    value, gradient = call(weights, x[:, :size], y[:size])
    print(float(value).hex(), *[number.hex() for number in gradient.tolist()])
assert "autograd_mini" not in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    for size, line in zip((7, 2), run.stdout.splitlines(), strict=True):
        value, *gradient = map(float.fromhex, line.split())
        assert_same((value, gradient), compiled.value_and_grad(weights.tolist(), x[:, :size], y[:size]), CLOSE)


def test_single_precision_needs_no_switch() -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(9), dtype="float32")
    with jax.enable_x64(False):
        found, gradient = jax.value_and_grad(compiled.to_jax())(*model.arguments(3, 6))
    assert (found.dtype, gradient.dtype) == (np.float32, np.float32)
    expected = compile_graph(model.function, *model.arguments(9)).value_and_grad(*model.arguments(3, 6))
    assert_same(in_numpy((found, gradient)), expected, 1e-4)


def test_matrix_products_are_not_rounded_below_the_dtype() -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(9), dtype="float32")
    text = jax.jit(compiled.to_jax()).lower(*model.arguments(3, 6)).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 2
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


# Arguments


def test_structures_are_pytrees() -> None:
    def function(p: Any, x: Any) -> Any:
        return p["W"][0][1] * x[0] + p["b"] * x[1] + p["W"][1][0]

    parameters = {"W": [[1.0, 2.0], [3.0, 4.0]], "b": 0.5}
    compiled = compile_graph(function, parameters, [0.0, 0.0])
    function_of_jax = compiled.to_jax()
    gradient = jax.grad(function_of_jax)(parameters, [5.0, 7.0])
    assert jax.tree.map(float, gradient) == compiled.grad(parameters, [5.0, 7.0])
    in_arrays = {"W": np.array(parameters["W"]), "b": np.array(0.5)}
    assert function_of_jax(in_arrays, np.array([5.0, 7.0])) == compiled.value(parameters, [5.0, 7.0])


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([1.0, 2.0],), TypeError, "compiled: expected 2 arguments, w, x, got 1"),
        (([1.0], [1.0, 2.0]), ValueError, "compiled: expected w of shape (2,) or (2, batch), got shape (1,)"),
        (
            (["a", "b"], [1.0, 2.0]),
            TypeError,
            "compiled: expected numbers of shape (2,) or (2, batch) as w, got list ['a', 'b']",
        ),
        (
            ([10**400, 1.0], [1.0, 2.0]),
            TypeError,
            f"compiled: expected numbers of shape (2,) or (2, batch) as w, got list [1{'0' * 37}…",
        ),
        ((np.ones((2, 3)), np.ones((2, 4))), ValueError, "compiled: expected a batch of 3 in x, got 4"),
        ((np.ones((2, 0)), [1.0, 2.0]), ValueError, "compiled: expected at least one sample in w, got none"),
    ],
)
def test_a_wrong_argument_is_named_as_by_the_graph(arguments: Any, error: type[Exception], text: str) -> None:
    compiled = compile_graph(lambda w, x: w[0] * x[0] + w[1] * x[1], [1.0, 1.0], [1.0, 1.0])
    for function in (compiled.value, compiled.to_jax(), jax.jit(compiled.to_jax())):
        if " got list " in text and hasattr(function, "lower"):
            continue  # JAX itself refuses texts, and integers beyond 64 bits
        with pytest.raises(error) as raised:
            function(*arguments)
        assert str(raised.value) == text


def test_double_precision_has_to_be_on() -> None:
    function = compile_graph(lambda x: x * x, 1.0).to_jax()
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match=r"^to_jax: expected 64-bit numbers to be on, got them off: jax.config.update"),
    ):
        function(2.0)


def test_what_is_narrow_and_deep_is_refused_with_advice() -> None:
    function = compile_graph(narrow, [0.1, 0.2, 0.3], 0.0).to_jax()
    with pytest.raises(
        ValueError, match=r"^to_jax: expected at most 2,000 array steps, got 5,000: XLA .*'tape', or fit .* runs it$"
    ):
        function([0.1, 0.2, 0.3], 0.5)


def test_a_chain_of_states() -> None:
    model = next(model for model in MODELS if model.name == "gated")
    short = Model(model.name, model.function, ((4,), (6,)), (1,))
    check(short.function, short.arguments(9), short.arguments(1), short.arguments(2, 5), argnums=(0, 1))


def test_without_jax_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    for name in [name for name in sys.modules if name.startswith("autograd_mini.compiled.jax_")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match=r"^to_jax: needs JAX: pip install 'autograd-mini\[jax\]'$"):
        compile_graph(lambda x: x, 1.0).to_jax()


def test_the_parameters_of_every_model_lie_as_ours_do() -> None:
    """Views with gaps, backwards and overlapping, which are slices, reversals and gathers in JAX."""

    def function(p: Any, x: Any) -> Any:
        forwards = sum(a * b for a, b in zip(p[::3], x, strict=False))
        backwards = sum(tanh(a) * b for a, b in zip(p[::-2], x, strict=False))
        windows = sum(apply(TABLE["tanh"], p[i] * x[0] + p[i + 1] * x[1]) for i in range(len(p) - 1))
        scattered = sum(p[7 * i % 11] * p[5 * i % 13] * x[i % 4] for i in range(40))
        return forwards + backwards + windows + scattered

    random = np.random.default_rng(0)
    check(function, [np.zeros(13), np.zeros(4)], [random.normal(size=13), random.normal(size=(4, 3))], argnums=(0, 1))

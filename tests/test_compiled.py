"""What `compile_graph` promises, against the engine: numbers, structures, refusals, what stays untouched."""

import inspect
import itertools
import math
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from compiled_models import (
    HOSTILE,
    MODELS,
    Model,
    assert_same,
    matrix_vector,
    recurrent,
    reference,
    row_function,
    sample,
)
from compiled_programs import LoopProgram
from hypothesis import given, settings
from hypothesis import strategies as st
from support import run_in_threads

import nn
from autograd_mini import (
    TABLE,
    CompiledGraph,
    NotTraceableError,
    Op,
    Value,
    apply,
    compile_graph,
    exp,
    hessian,
    log,
    log1p,
    logsumexp,
    maximum,
    tanh,
    value_and_grad,
)
from autograd_mini.graph import Replay, differentiate_again
from autograd_mini.ops import evaluate

EXECUTORS = ("auto", "numpy", "tape")

NAN, INF = math.nan, math.inf


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    """Each executor; the tape needs its extra."""
    if request.param == "tape":
        pytest.importorskip("numba")
    return str(request.param)


def check(function: Callable[..., Any], examples: list[Any], *calls: list[Any], **options: Any) -> CompiledGraph:
    """A compiled function, compared with the engine at each call, by each method."""
    compiled = compile_graph(function, *examples, **options)
    expectation = {name: option for name, option in options.items() if name in ("argnums", "reduction")}
    for arguments in calls:
        value, gradient = reference(function, examples, arguments, **expectation)
        assert_same(compiled.value(*arguments), value)
        assert_same(compiled.grad(*arguments), gradient)
        found_value, found_gradient = compiled.value_and_grad(*arguments)
        assert_same(found_value, value)
        assert_same(found_gradient, gradient)
    return compiled


# Models of every kind


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_models_are_equal_to_the_engine(model: Model, reduction: str, executor: str) -> None:
    calls = [model.arguments(seed, batch) for seed, batch in enumerate([None, 1, 2, 7])]
    check(model.function, model.arguments(9), *calls, argnums=model.argnums, reduction=reduction, executor=executor)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_gradients_by_everything_that_is_batched_and_all_the_rest(model: Model, executor: str) -> None:
    argnums = tuple(range(len(model.shapes)))
    calls = [model.arguments(3, batch) for batch in (None, 5)]
    compiled = check(model.function, model.arguments(1), *calls, argnums=argnums, executor=executor)
    everything = [
        model.arguments(seed, 3)[place] if place in model.batched else model.arguments(seed)[place]
        for seed, place in enumerate(argnums)
    ]
    value, gradient = reference(model.function, model.arguments(1), everything, argnums)
    assert_same(compiled.value_and_grad(*everything), (value, gradient))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_any_argument_may_be_the_batch(model: Model) -> None:
    """Parameters for each sample, which share what was the sample; and everything at once."""
    others = tuple(place for place in range(len(model.shapes)) if place not in model.batched)
    for batched in (others, tuple(range(len(model.shapes)))):
        turned = Model(model.name, model.function, model.shapes, batched, model.argnums, model.scale)
        if batched:
            check(model.function, turned.arguments(1), turned.arguments(2, 4), argnums=model.argnums)


def test_one_hots_as_inputs_of_an_embedding(executor: str) -> None:
    model = next(model for model in MODELS if model.name == "embedding")
    table, weights, _ = model.arguments()
    words = np.random.default_rng(0).integers(0, 5, (4, 8))
    one_hots = np.moveaxis(np.eye(5)[words], 2, 1)
    assert one_hots.shape == (4, 5, 8)
    check(model.function, model.arguments(1), [table, weights, one_hots], argnums=(0, 1), executor=executor)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "leaky_relu", "gelu", "softplus", None])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_networks_of_nn_with_their_parameters(activation: str | None, n_outputs: int, executor: str) -> None:
    network = nn.MLP(3, [4, 3, n_outputs], activation, seed=1)
    before = [(p.data, p.grad, p.label) for p in network.parameters()]

    def loss(x: Any, y: Any) -> Any:
        return nn.mse_loss(network(x), y[0] if n_outputs == 1 else y)

    compiled = compile_graph(loss, [0.1] * 3, [0.2] * n_outputs, parameters=network.parameters(), executor=executor)
    random = np.random.default_rng(2)
    for batch in (None, 1, 6):
        numbers = random.normal(size=len(before)).tolist()
        x, y = (random.normal(size=(size, *([batch] if batch else []))) for size in (3, n_outputs))
        samples = [(x[:, b], y[:, b]) for b in range(batch)] if batch else [(x, y)]
        value, gradient = eager_mean(network, loss, numbers, samples)
        found = compiled.value_and_grad(numbers, x, y)
        assert_same(found, (value, gradient))
        assert type(found[1]) is list
        assert_same(compiled.value_and_grad(np.array(numbers), x, y), (value, gradient))
        assert_same(compiled.value(numbers, x, y), value)
        assert_same(compiled.grad(numbers, x, y), gradient)
    assert [(p.data, p.grad, p.label) for p in network.parameters()] == before


def eager_mean(
    network: nn.Module, loss: Callable[..., Any], numbers: list[float], samples: list[tuple[Any, ...]]
) -> tuple[float, list[float]]:
    """The mean loss of a network with these parameters and its gradient by them, by backward()."""
    parameters = network.parameters()
    kept = [parameter.data for parameter in parameters]
    for parameter, number in zip(parameters, numbers, strict=True):
        parameter.data = number
    network.zero_grad()
    total = 0.0
    for each in samples:
        result = loss(*[part.tolist() for part in each])
        result.backward()
        total += result.data
    gradient = [parameter.grad / len(samples) for parameter in parameters]
    network.zero_grad()
    for parameter, number in zip(parameters, kept, strict=True):
        parameter.data = number
    return total / len(samples), gradient


def test_parameters_by_name_and_nested() -> None:
    layer = nn.Layer(2, 3, "tanh", seed=0)
    shift = Value(0.25)
    parameters = {"W": layer.weights, "b": layer.biases, "shift": shift}

    def output(x: Any) -> Any:
        return sum(layer(x)) * shift

    def explicit(parameters: Any, x: Any) -> Any:
        z = [z + b for z, b in zip(matrix_vector(parameters["W"], x), parameters["b"], strict=True)]
        return sum(map(tanh, z)) * parameters["shift"]

    example = {"W": np.zeros((3, 2)).tolist(), "b": [0.0] * 3, "shift": 0.0}
    numbers = {"W": [[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]], "b": [0.7, -0.8, 0.9], "shift": 1.5}
    compiled = compile_graph(output, [1.0, 2.0], parameters=parameters)
    for x in (np.array([0.5, -1.0]), np.random.default_rng(0).normal(size=(2, 5))):
        expected = reference(explicit, [example, [1.0, 2.0]], [numbers, x])
        found = compiled.value_and_grad(numbers, x)
        assert_same(found, expected)
        assert list(found[1]) == ["W", "b", "shift"]


def test_both_parameters_and_arguments_may_be_differentiated_by() -> None:
    w = [Value(2.0), Value(3.0)]
    compiled = compile_graph(lambda x: w[0] * x * x + w[1], 0.0, parameters=w, argnums=(0, 1))
    assert compiled.value_and_grad([2.0, 3.0], 5.0) == (53.0, ([25.0, 1.0], 20.0))
    value, (by_w, by_x) = compiled.value_and_grad([2.0, 3.0], [1.0, 5.0])
    assert value == 29.0
    assert by_w == [13.0, 1.0]
    assert by_x.tolist() == [2.0, 10.0]


# Every row of the table


def check_each(function: Callable[..., Any], points: list[tuple[float, ...]], executor: str) -> None:
    """A function of numbers at many points: one by one, and as a batch; in each a result, not a mean."""
    compiled = compile_graph(
        function, *[0.5] * len(points[0]), argnums=tuple(range(len(points[0]))), reduction="none", executor=executor
    )
    columns = [np.array(column) for column in zip(*points, strict=True)]
    values, gradients = compiled.value_and_grad(*columns)
    expected = [value_and_grad(function, tuple(range(len(point))))(*point) for point in points]
    # One number at a time: an error in a small one would not show beside a large one.
    for place, point in enumerate(points):
        for found in (
            (float(values[place]), tuple(float(gradient[place]) for gradient in gradients)),
            compiled.value_and_grad(*point) if place % 7 == 0 else None,
        ):
            if found is not None:
                assert np.allclose(
                    np.hstack(found), np.hstack(expected[place]), rtol=1e-12, atol=1e-300, equal_nan=True
                ), f"at {point}: expected {expected[place]}, got {found}"


@pytest.mark.parametrize("name", TABLE)
def test_every_row_on_its_domain(name: str, executor: str) -> None:
    op = TABLE[name]
    points = list(itertools.product(*[np.linspace(*interval, 23).tolist() for interval in op.domain]))
    check_each(row_function(op), points, executor)


@pytest.mark.parametrize("name", TABLE)
def test_every_row_at_hostile_numbers(name: str, executor: str) -> None:
    op = TABLE[name]
    check_each(row_function(op), list(itertools.product(HOSTILE, repeat=op.arity)), executor)


@pytest.mark.parametrize("name", [name for name, op in TABLE.items() if op.arity == 2])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("constant", [0.0, -0.0, 1.0, 2.0, -1.0, 0.5, 3.0, INF, NAN])
def test_every_row_with_a_constant(name: str, place: int, constant: float) -> None:
    check_each(row_function(TABLE[name], place, constant), [(x,) for x in HOSTILE], "numpy")


@pytest.mark.parametrize("name", TABLE)
def test_every_row_many_times_on_one_level(name: str, executor: str) -> None:
    """As it stands in a layer: over arrays of parameters, shared and not."""
    op = TABLE[name]

    def function(left: Any, right: Any) -> Any:
        if op.arity == 1:
            return sum(apply(op, x) * y for x, y in zip(left, right, strict=True))
        pairs = [apply(op, x, y) for x, y in zip(left, right, strict=True)] + [apply(op, left[0], y) for y in right]
        return sum(pairs)

    random = np.random.default_rng(0)
    intervals = [op.domain[0], op.domain[-1]]
    left, right = (random.uniform(*interval, 5) for interval in intervals)
    batch = random.uniform(*intervals[1], (5, 4))
    check(function, [left, right], [left, right], [left, batch], argnums=(0, 1), executor=executor)


@pytest.mark.parametrize("bad", [INF, -INF, NAN, 0.0])
def test_one_bad_number_in_a_batch_is_that_of_the_engine(bad: float, executor: str) -> None:
    def function(w: Any, x: Any) -> Any:
        return log(w[0] * x[0]) * w[1] + maximum(x[1], w[0]) + exp(x[0] * x[1]) / x[1] + logsumexp([*x, w[1]])

    x = np.array([[1.0, 2.0, 3.0], [0.5, 1.0, bad]])
    for each in (x, x[::-1].copy()):
        for reduction in ("mean", "none"):
            check(
                function,
                [[1.0, 1.0], [1.0, 1.0]],
                [[1.0, 2.0], each],
                argnums=(0, 1),
                reduction=reduction,
                executor=executor,
            )


def test_a_row_of_the_users_own() -> None:
    cube = Op(name="cube", doc="", forward=lambda m, x: x * x * x, partials=(lambda m, out, x: 3.0 * x * x,))
    function = row_function(cube)
    check(lambda w, x: function(w * x) + function(x), [1.0, 1.0], [2.0, 3.0], [2.0, np.array([1.0, -2.0])], argnums=0)


def test_a_row_of_the_users_own_may_have_any_name(executor: str) -> None:
    if executor == "tape":
        pytest.skip("has rows of the table only")
    for name in ("tanh", "relu", "sigmoid", "maximum"):
        square = Op(name=name, doc="", forward=lambda m, x: x * x, partials=(lambda m, out, x: 2.0 * x,))
        check(row_function(square), [1.0], [3.0], [np.array([-1.0, 2.0])], executor=executor)


def test_a_row_of_the_users_own_that_chooses_and_forgets_its_operand() -> None:
    """Its result lies where its operand lay."""
    above = Op(
        name="above",
        doc="",
        forward=lambda m, x: m.where(x > 0.5, x, 0.0),
        partials=(lambda m, out, x: m.where(out > 0, 1.0, 0.0),),
    )
    arguments = [np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.6])]
    check(lambda x, y: sum(apply(above, a + b) for a, b in zip(x, y, strict=True)), arguments, arguments)


def test_a_row_of_the_users_own_that_is_no_formula_divides_by_zero() -> None:
    def quotient(m: Any, x: Any, y: Any) -> Any:
        return x / y if np.ndim(x) >= 0 and float(0) == 0 and bool(np.all(y == y)) else x

    own = Op("own", quotient, (lambda m, out, x, y: 1.0 / y, lambda m, out, x, y: -out / y), "")
    assert compile_graph(row_function(own, 1, 0.0), 1.0).value_and_grad(2.0) == (INF, INF)


# Random programs


@dataclass(frozen=True)
class Program:
    """Some operations on numbers, each on earlier ones and constants."""

    n_inputs: int
    steps: tuple[tuple[str, tuple[int | float, ...]], ...]
    """A row, and its operands: the number of an input or a step, as an int, or a constant, as a float."""

    def __call__(self, *inputs: Any) -> Any:
        numbers = list(inputs)
        for name, operands in self.steps:
            found = [numbers[operand] if isinstance(operand, int) else operand for operand in operands]
            numbers.append(apply(TABLE[name], *found))
        return numbers[-1]


CONSTANTS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -0.25, 1e-3, 100.0])


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Programs of any rows, most of them sums and products, with shared results."""
    n_inputs = draw(st.integers(1, 4))
    steps = []
    for place in range(draw(st.integers(1, 25))):
        name = draw(st.sampled_from([*TABLE, *("add", "mul", "sub") * 6, *("tanh", "relu", "maximum") * 2]))
        count = n_inputs + place
        recent = st.integers(max(0, count - 5), count - 1)
        operands: list[int | float] = [
            draw(st.one_of(recent, st.integers(0, count - 1))) for _ in range(TABLE[name].arity)
        ]
        if len(operands) == 2 and draw(st.integers(0, 3)) == 0:
            operands[draw(st.integers(0, 1))] = draw(CONSTANTS)
        steps.append((name, tuple(operands)))
    return Program(n_inputs, tuple(steps))


def uncertainty(program: Program, point: tuple[float, ...]) -> np.ndarray[Any, Any]:
    """How far value and gradient move where every operation is rounded a little otherwise; inf where unknown."""
    leaves = [Value(number) for number in point]
    root = program(*leaves)
    if not isinstance(root, Value):
        return np.zeros(1 + len(point))
    random = np.random.default_rng(0)

    def noisy(number: float) -> float:
        return number * (1.0 + random.uniform(-4e-15, 4e-15))

    def run(rule: Callable[..., Any], *numbers: float) -> float:
        return noisy(evaluate(rule, *numbers))

    def partial(op: Op, place: int, out: float, numbers: list[float]) -> float:
        return noisy(evaluate(op.partials[place], out, *numbers))

    exact = np.hstack(value_and_grad(program, tuple(range(len(point))))(*point))
    furthest = np.zeros_like(exact)
    for _ in range(4):
        value = Replay(root, leaves)(point, run, float)[id(root)]
        moved = np.hstack([value, differentiate_again(root, leaves, run=run, convert=float, partial=partial)])
        with np.errstate(invalid="ignore"):
            is_same = (moved == exact) | (np.isnan(moved) & np.isnan(exact))
            furthest = np.where(is_same, furthest, np.fmax(furthest, np.abs(moved - exact)))
        furthest[~is_same & ~(np.isfinite(moved) & np.isfinite(exact))] = INF
    return furthest


@settings(max_examples=200, derandomize=True)  # the same ones each time: a red run is about the change
@given(program=programs(), batch=st.sampled_from([1, 2, 7]), seed=st.integers(0, 1000), is_shared=st.booleans())
def check_random_programs(program: Program, batch: int, seed: int, is_shared: bool, executor: str) -> None:
    """One point after the other and all as a batch; `is_shared` where the first number is the same in all."""
    random = np.random.default_rng(seed)
    argnums = tuple(range(program.n_inputs))
    inputs = [random.choice([*random.uniform(-2, 2, 9), 0.0, 1.0], batch) for _ in argnums]
    is_shared = is_shared and program.n_inputs > 1
    if is_shared:
        inputs[0][:] = inputs[0][0]
    points = list(zip(*(each.tolist() for each in inputs), strict=True))
    expected = np.array([np.hstack(value_and_grad(program, argnums)(*point)) for point in points])
    finite = np.where(np.isfinite(expected), np.abs(expected), 0.0)
    allowed = np.array([10 * uncertainty(program, point) for point in points]) + 1e-12 * finite + 1e-300
    compiled = compile_graph(program, *[0.5] * program.n_inputs, argnums=argnums, reduction="none", executor=executor)

    by_point = np.array([np.hstack(compiled.value_and_grad(*point)) for point in points])
    assert_within(by_point, expected, allowed)
    values, gradients = compiled.value_and_grad(*([inputs[0][0], *inputs[1:]] if is_shared else inputs))
    assert_within(values, expected[:, 0], allowed[:, 0])
    for place, gradient in enumerate(gradients, start=1):
        wanted: Any = expected[:, place]
        room: Any = allowed[:, place]
        if is_shared and place == 1:
            with np.errstate(invalid="ignore", over="ignore"):
                wanted, room = wanted.sum(), room.sum() + 1e-12 * finite[:, place].sum()
            if not np.isfinite(expected[:, place]).all():
                room = INF  # what is shared is differentiated once: (a + b) · inf, and not a · inf + b · inf
        assert_within(gradient, wanted, room)


def test_random_programs_are_equal_to_the_engine(executor: str) -> None:
    check_random_programs(executor=executor)


def assert_within(found: Any, expected: Any, allowed: Any) -> None:
    """Each number no further from what is expected than it may be, which is infinitely far where all depends."""
    with np.errstate(invalid="ignore"):
        is_same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        is_close = np.abs(found - expected) <= allowed
    assert np.all(is_same | is_close | (allowed == INF)), f"expected {expected}, got {found}"


@pytest.mark.parametrize("seed", range(40))
def test_random_loops_are_equal_to_the_engine(seed: int) -> None:
    program, random = LoopProgram(seed), np.random.default_rng(seed)
    count = len(program.shapes)
    argnums = tuple(sorted(random.permutation(count)[: random.integers(1, count + 1)].tolist()))
    examples = program.arguments(random, [False] * count)
    compiled = compile_graph(program, *examples, argnums=argnums, executor="numpy")
    held = []
    for batch in (0, 1, 3, 3):
        batched = [bool(batch) and place != seed % 4 for place in range(count)]
        arguments = program.arguments(random, batched, batch)
        expected_value, expected = reference(program, examples, arguments, argnums)
        value, gradient = compiled.value_and_grad(*arguments)
        largest = max(1.0, *(np.abs(array).max() for array in expected))
        assert abs(value - expected_value) <= 1e-10 * max(largest, abs(expected_value))
        for one, other in zip(gradient, expected, strict=True):
            assert np.abs(one - other).max() <= 1e-10 * largest
        held.append((gradient, [array.copy() for array in gradient]))
    for gradient, copies in held:
        assert all(map(np.array_equal, gradient, copies))


@pytest.mark.parametrize("seed", range(0, 40, 2))
def test_random_loops_have_second_derivatives(seed: int, executor: str) -> None:
    program, random = LoopProgram(seed), np.random.default_rng(seed)
    count = len(program.shapes)
    x, vector = (program.arguments(random, [False] * count) for _ in range(2))
    compiled = compile_graph(program, *x, argnums=tuple(range(count)), executor=executor)
    found = compiled.hessian_vector_product(*x, vector=tuple(vector))
    step = 1e-5
    above, below = (
        compiled.grad(*[each + sign * step * way for each, way in zip(x, vector, strict=True)]) for sign in (1, -1)
    )
    largest = max(1.0, *(np.abs(array).max() for array in found))
    for one, high, low in zip(found, above, below, strict=True):
        assert np.abs(one - (high - low) / (2 * step)).max() <= 1e-5 * largest


# What comes in and what comes out


def test_one_number() -> None:
    compiled = compile_graph(lambda x: x * x, 1.0)
    assert isinstance(compiled, CompiledGraph)
    assert compiled.value(3.0) == 9.0
    assert type(compiled.value(3.0)) is float
    assert compiled.grad(3.0) == 6.0
    assert type(compiled.grad(3.0)) is float
    assert compiled.value_and_grad(3) == (9.0, 6.0)
    assert compiled.value(np.float32(3)) == 9.0
    assert compiled.value(np.int64(3)) == 9.0
    assert compiled.value(np.array(3.0)) == 9.0


def test_a_batch_of_numbers() -> None:
    compiled = compile_graph(lambda x: x * x, 1.0)
    x = np.array([1.0, 2.0, 6.0])
    assert compiled.value(x) == pytest.approx(41 / 3, rel=1e-15)
    assert type(compiled.value(x)) is float
    assert_same(compiled.grad(x), 2 * x / 3)
    assert isinstance(compiled.grad(x), np.ndarray)
    assert compiled.value([1.0, 2.0, 6.0]) == compiled.value(x)  # a list will do
    assert compile_graph(lambda x: x * x, 1.0, reduction="sum").value(x) == 41.0
    each = compile_graph(lambda x: x * x, 1.0, reduction="none")
    assert each.value(x).tolist() == [1.0, 4.0, 36.0]
    assert each.grad(x).tolist() == [2.0, 4.0, 12.0]
    assert float(each.value(3.0)) == 9.0
    assert compiled.value(np.array([3.0])) == 9.0
    assert compiled.grad(np.array([3.0])).tolist() == [6.0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_kind(dtype: Any, order: Any) -> None:
    w = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 1.0]]).astype(dtype, order=order)
    x = np.arange(8.0).reshape(2, 4).astype(dtype, order=order)

    def function(w: Any, x: Any) -> Any:
        return sum(z * z for z in matrix_vector(w, x))

    compiled = compile_graph(function, w, np.zeros(2))
    for each in (w, w.tolist(), np.asfortranarray(w), np.repeat(w, 2, axis=1)[:, ::2]):
        for batch in (x, x[:, ::-1], np.ascontiguousarray(x.T).T, x[:, 1], x.tolist()):
            expected = reference(function, [w, np.zeros(2)], [each, batch])
            found = compiled.value_and_grad(each, batch)
            assert_same(found, expected)
            assert found[1].dtype == np.float64
            assert found[1].shape == (3, 2)


def test_structures_come_back_as_they_went_in() -> None:
    def function(x: Any) -> Any:
        return x["a"] * x["b"][0] * x["b"][1][0] + (x["c"] ** 2).sum() * x["d"][0][1]

    x = {"a": 2.0, "b": (3.0, [5.0]), "c": np.array([[1.0, 2.0]]), "d": [[0.0, 3.0], [1.0]]}
    compiled = compile_graph(function, x)
    value, gradient = compiled.value_and_grad(x)
    assert value == 45.0
    assert list(gradient) == ["a", "b", "c", "d"]
    assert gradient["a"] == 15.0
    assert gradient["b"] == (10.0, [6.0])
    assert gradient["c"].tolist() == [[6.0, 12.0]]
    assert gradient["d"] == [[0.0, 5.0], [0.0]]
    assert type(gradient["b"]) is tuple
    assert isinstance(gradient["c"], np.ndarray)


def test_the_function_gets_the_structure_of_the_examples() -> None:
    seen: list[Any] = []

    def function(x: Any, y: Any) -> Any:
        seen.append((x, y))
        return x["a"][0] * y[1, 0]

    compile_graph(function, {"a": (1.0, 2.0)}, np.zeros((2, 1)))
    x, y = seen[0]
    assert list(x) == ["a"]
    assert type(x["a"]) is tuple
    assert isinstance(x["a"][1], Value)
    assert isinstance(y, np.ndarray)
    assert y.dtype == object
    assert y.shape == (2, 1)
    assert isinstance(y[1, 0], Value)


def test_one_array_of_several_may_be_batched() -> None:
    def function(x: Any) -> Any:
        return sum(a * a * b for a, b in zip(x["a"], x["b"], strict=True))

    example = {"a": np.ones(2), "b": np.ones(2)}
    batch = {"a": np.array([1.0, 2.0]), "b": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
    compiled = check(function, [example], [batch], [example])
    gradient = compiled.grad(batch)
    assert gradient["a"].shape == (2,)
    assert gradient["b"].shape == (2, 3)


def test_argnums() -> None:
    def function(x: Any, y: Any, z: Any) -> Any:
        return x * y[0] + y[1] * z**2

    arguments = [2.0, [3.0, 5.0], 7.0]
    assert compile_graph(function, *arguments).grad(*arguments) == 3.0
    assert compile_graph(function, *arguments, argnums=1).grad(*arguments) == [2.0, 49.0]
    assert compile_graph(function, *arguments, argnums=-1).grad(*arguments) == 70.0
    assert compile_graph(function, *arguments, argnums=(2, 0)).grad(*arguments) == (70.0, 3.0)
    assert compile_graph(function, *arguments, argnums=(1,)).grad(*arguments) == ([2.0, 49.0],)


def test_the_order_of_parameters_in_products_and_strides_make_no_difference() -> None:
    """What a pass may take as a view: rows, columns, every second, backwards, twice."""
    random = np.random.default_rng(0)
    w, x = random.normal(size=(4, 6)), random.normal(size=(6, 5))
    functions: list[Callable[..., Any]] = [
        lambda w, x: sum(tanh(z) for z in matrix_vector(w, x)),
        lambda w, x: sum(tanh(sum(b * a for a, b in zip(row, x, strict=True))) for row in w),
        lambda w, x: sum(tanh(z) for z in matrix_vector(w[::-1, ::2], x[::2])),
        lambda w, x: sum(tanh(z) for z in matrix_vector(w[:, ::-1], x)),
        lambda w, x: sum(tanh(z) for z in matrix_vector(w.T, x[:4])),
        lambda w, x: sum(tanh(z) for z in matrix_vector(w[[0, 2, 2, 1]], x[[5, 0, 0, 3, 1, 2]])),
        lambda w, x: sum(tanh(sum((a * b for a, b in zip(row, x, strict=True)), start=row[0])) for row in w),
        lambda w, x: sum(
            tanh(sum(a * b for a, b in list(zip(row, x, strict=True))[: 2 + i])) for i, row in enumerate(w)
        ),
        lambda w, x: sum(tanh(a - b) * c for a, b, c in zip(w[0], w[1], x, strict=True)),
        lambda w, x: sum(sum(tanh(a * b) for b in x) for a in w[:, 1]),
    ]
    for function in functions:
        check(function, [w, x[:, 0]], [w, x], [w, x[:, 1]], argnums=(0, 1))


# Functions of little


def test_what_is_not_used_has_no_gradient(executor: str) -> None:
    compiled = compile_graph(lambda w, x: w[1] * x, [1.0, 2.0, 3.0], 1.0, executor=executor)
    assert compiled.value_and_grad([1.0, 2.0, 3.0], 5.0) == (10.0, [0.0, 5.0, 0.0])
    assert compiled.grad([1.0, 2.0, 3.0], np.array([1.0, 2.0])) == [0.0, 1.5, 0.0]
    other = compile_graph(lambda w, x: w * w, 1.0, [1.0, 2.0], argnums=(0, 1), executor=executor)
    assert other.grad(3.0, [1.0, 2.0]) == (6.0, [0.0, 0.0])
    value, (by_w, by_x) = other.value_and_grad(3.0, np.ones((2, 4)))
    assert (value, by_w) == (9.0, 6.0)
    assert np.asarray(by_x).shape == (2, 4)
    assert not np.any(by_x)


def test_the_result_may_be_an_argument(executor: str) -> None:
    compiled = compile_graph(lambda x, y: y[1], 1.0, [1.0, 2.0], argnums=(0, 1), executor=executor)
    assert compiled.value_and_grad(3.0, [5.0, 7.0]) == (7.0, (0.0, [0.0, 1.0]))
    value, (by_x, by_y) = compiled.value_and_grad(3.0, np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert value == 4.0
    assert by_x == 0.0
    assert np.asarray(by_y).tolist() == [[0.0, 0.0], [0.5, 0.5]]
    value, (by_x, by_y) = compiled.value_and_grad(np.array([1.0, 2.0]), [5.0, 7.0])  # y is in every sample
    assert value == 7.0
    assert np.asarray(by_x).tolist() == [0.0, 0.0]
    assert by_y == [0.0, 1.0]


@pytest.mark.parametrize("result", [3.0, 3, np.float64(3), Value(3.0), Value(1.5) * 2.0])
def test_the_result_may_be_a_constant(result: Any, executor: str) -> None:
    compiled = compile_graph(lambda x: result, [1.0, 2.0], executor=executor)
    assert compiled.value_and_grad([5.0, 7.0]) == (3.0, [0.0, 0.0])
    value, gradient = compiled.value_and_grad(np.ones((2, 4)))
    assert value == 3.0
    assert np.asarray(gradient).shape == (2, 4)
    assert not np.any(gradient)
    each = compile_graph(lambda x: result, [1.0, 2.0], reduction="none", executor=executor)
    assert each.value(np.ones((2, 4))).tolist() == [3.0] * 4


def test_one_number_used_many_times(executor: str) -> None:
    def function(x: Any) -> Any:
        total = x * x
        for _ in range(20):
            total = total + x * x * 0.5 - x / 3.0 + x * total * 1e-3
        return total

    check(function, [1.0], [0.7], [np.array([0.1, -2.0, 3.0])], executor=executor)
    check(lambda x: x + x, [1.0], [2.0], executor=executor)
    check(lambda x: x * x * x * x, [1.0], [2.0], [np.array([2.0, 3.0])], executor=executor)


def test_constants_of_the_function(executor: str) -> None:
    table = np.random.default_rng(0).normal(size=(3, 4))

    def function(x: Any) -> Any:
        scale = Value(2.0) * 3.0
        return sum(tanh(z) for z in matrix_vector(table, x)) * scale + Value(1.0)

    check(function, [np.zeros(4)], [np.ones(4)], [np.random.default_rng(1).normal(size=(4, 6))], executor=executor)


def test_reading_constants_is_no_dependence() -> None:
    weights = [Value(0.5), Value(-0.5)]
    compiled = compile_graph(lambda x: x * 2 if weights[0].data > 0 and weights[0] > weights[1] else x, 1.0)
    assert compiled.value_and_grad(3.0) == (6.0, 2.0)


def test_a_long_sum_and_a_wide_level(executor: str) -> None:
    random = np.random.default_rng(0)
    w, x = random.normal(size=(40, 50)), random.normal(size=(50, 3))
    check(lambda w, x: sum(map(tanh, matrix_vector(w, x))), [w, x[:, 0]], [w, x], executor=executor)


@pytest.mark.parametrize(
    "names", [("x", "d_x"), ("d_x", "x"), ("x", "x_1"), ("x_1", "bind_x"), ("shared", "shared_1"), ("rows", "results")]
)
def test_arguments_may_have_any_names(names: tuple[str, str]) -> None:
    def product(x: Any, y: Any) -> Any:
        return sum(tanh(a * b) * b for a, b in zip(x, y[[2, 0, 0, 1]], strict=True)) * tanh(x[0])

    function: Any = eval(f"lambda {', '.join(names)}: product({', '.join(names)})", {"product": product})
    arguments = [np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.6, 0.7])]
    check(function, arguments, arguments, argnums=(0, 1), executor="numpy")


def test_what_cancels_out_in_the_function_does_so_compiled(executor: str) -> None:
    def cross_entropy(x: Any, y: Any) -> Any:
        return maximum(x, 0.0) - x * y + log1p(exp(-abs(x)))

    check(cross_entropy, [1.0, 1.0], [60.0, 1.0], [np.array([60.0, -60.0]), np.array([1.0, 0.0])], executor=executor)
    check(lambda x, y: (x + 1.0) - x + y, [1.0, 1.0], [1e17, 1.0], argnums=1, executor=executor)


# Refusals


NOT_TRACEABLE: dict[str, Callable[..., Any]] = {
    "a comparison": lambda x: x[0] if x[0] > x[1] else x[1],
    "of a result": lambda x: x[0] if (x[0] * 2).tanh() < 0.5 else x[1],
    "the largest": lambda x: max(x),
    "in order": lambda x: sorted(x)[0],
    "truth": lambda x: x[0] or x[1],
    "a float": lambda x: x[0] * float(x[1]),
    "of math": lambda x: x[0] * math.exp(x[1]),
    "data": lambda x: x[0] * x[1].data,
    "a format": lambda x: x[0] * len(f"{x[1]:.3f}"),
    "detached": lambda x: x[0] * x[1].detach(),
    "a gradient": lambda x: x[0] * x[1].grad,
    "NumPy": lambda x: x[0] * np.clip(np.array(x), 0, 1)[0],
}


@pytest.mark.parametrize("name", NOT_TRACEABLE)
def test_what_depends_on_numbers_is_refused_with_the_line(name: str) -> None:
    function = NOT_TRACEABLE[name]
    with pytest.raises(NotTraceableError) as caught:
        compile_graph(function, [1.0, 2.0])
    assert issubclass(NotTraceableError, TypeError)
    message = str(caught.value)
    assert "\n" not in message
    assert f"{__file__}:{function.__code__.co_firstlineno}: " in message


def test_what_depends_on_parameters_is_refused_too() -> None:
    w = Value(2.0)
    with pytest.raises(NotTraceableError, match=r"lambda x: x \* w\.data"):
        compile_graph(lambda x: x * w.data, 1.0, parameters=[w])
    network = nn.MLP(1, [2, 1], lambda z: z if z.data > 0 else 0.1 * z, seed=0)
    with pytest.raises(NotTraceableError, match=r"network = nn\.MLP\(1, \[2, 1\], lambda z"):
        compile_graph(network, [1.0], parameters=network.parameters())
    w.data = 3.0  # everything is as it was
    assert w.data == 3.0


def test_what_is_not_the_same_twice_is_refused() -> None:
    random = np.random.default_rng(0)
    counter = itertools.count()
    chance: list[Callable[[Any], Any]] = [
        lambda x: x * random.normal(),
        lambda x: x * 2 if next(counter) % 2 else x,
        lambda x: x + next(counter),
    ]
    for function in chance:
        with pytest.raises(NotTraceableError, match="twice") as caught:
            compile_graph(function, 1.0)
        assert "\n" not in str(caught.value)


def test_the_error_of_the_function_is_the_error() -> None:
    def function(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        compile_graph(function, 1.0)
    assert Value(3.0).data == 3.0  # nothing is left watched


@pytest.mark.parametrize("result", [None, "text", [1.0, "text"], {}, []])
def test_a_result_that_is_no_number_is_refused(result: Any) -> None:
    with pytest.raises(TypeError, match=r"^compile_graph: expected the function to return one number, or "):
        compile_graph(lambda x: result, 1.0)


def test_a_function_of_several_results_has_values() -> None:
    compiled = compile_graph(lambda x, y: [[x * y, x + y], [x, 3.0]], 1.0, 2.0)
    assert compiled.value(3.0, 4.0).tolist() == [[12.0, 7.0], [3.0, 3.0]]
    batch = compiled.value(np.array([3.0, 5.0]), 4.0)
    assert batch.shape == (2, 2, 2)
    assert batch[..., 1].tolist() == [[20.0, 9.0], [5.0, 3.0]]
    with pytest.raises(TypeError, match=r"^compiled, grad.*: expected the function to return one number, got list"):
        compiled.grad(3.0, 4.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"argnums": 2}, "argnums"),
        ({"argnums": (0, -3)}, "argnums"),
        ({"argnums": "x"}, "argnums"),
        ({"argnums": 0.5}, "argnums"),
        ({"reduction": "median"}, "reduction"),
        ({"dtype": "float16"}, "dtype"),
        ({"dtype": "int"}, "dtype"),
        ({"executor": "abacus"}, "executor"),
        ({"parameters": [3.0]}, "parameters"),
        ({"parameters": [Value(1.0) * 2.0]}, "parameters"),
        ({"parameters": "w"}, "parameters"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^compile_graph: expected {text}.*, got ") as caught:
        compile_graph(lambda x, y: x * y, 1.0, 2.0, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("example", ["text", None, 1j, [1.0, "a"], {"a": None}, np.array(["a"])])
def test_an_example_that_is_no_number_is_refused(example: Any) -> None:
    with pytest.raises(TypeError, match=r"^compile_graph: expected .*, got ") as caught:
        compile_graph(lambda x: x, example)
    assert "\n" not in str(caught.value)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^compile_graph: expected .*function.*, got "):
        compile_graph(3.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "name", "shapes"),
    [
        (([1.0, 2.0], 1.0), "weights", r"\(3,\).*\(2,\)"),
        ((np.ones((3, 2, 2)), 1.0), "weights", r"\(3,\).*\(3, 2, 2\)"),
        ((1.0, 1.0), "weights", r"\(3,\).*\(\)"),
        (([1.0, 2.0, 3.0], np.ones((2, 2))), "number", r"\(\).*\(2, 2\)"),
        ((np.ones((3, 4)), np.ones(5)), "number|weights", "4.*5|5.*4"),
        (([1.0, 2.0, "a"], 1.0), "weights", ""),
        (([1.0, [2.0], 3.0], 1.0), "weights", ""),
        (({"a": 1.0}, 1.0), "weights", ""),
        ((None, 1.0), "weights", ""),
    ],
)
@pytest.mark.parametrize("method", ["value", "grad", "value_and_grad"])
def test_a_wrong_argument_of_a_call_is_named(arguments: Any, name: str, shapes: str, method: str) -> None:
    compiled = compile_graph(lambda weights, number: sum(weights) * number, [1.0, 2.0, 3.0], 1.0)
    with pytest.raises((ValueError, TypeError), match=r"^compiled.*: expected .*, got ") as caught:
        getattr(compiled, method)(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert re.search(name, message)
    assert re.search(shapes, message)


@pytest.mark.parametrize("arguments", [(), (1.0,), (1.0, 2.0, 3.0)])
def test_another_number_of_arguments_is_refused(arguments: Any) -> None:
    compiled = compile_graph(lambda x, y: x * y, 1.0, 2.0)
    with pytest.raises((TypeError, ValueError), match=rf"expected 2 arguments?.*, got {len(arguments)}"):
        compiled.value(*arguments)


def test_a_missing_key_is_named() -> None:
    compiled = compile_graph(lambda x: x["a"] * x["b"], {"a": 1.0, "b": 2.0})
    for wrong in ({"a": 1.0}, {"a": 1.0, "b": 2.0, "c": 3.0}, [1.0, 2.0]):
        with pytest.raises((TypeError, ValueError), match=r"^compiled.*: expected .*, got "):
            compiled.value(wrong)
    assert compiled.value({"b": 2.0, "a": 5.0}) == 10.0  # in any order


def test_parameters_are_called_so() -> None:
    w = [Value(1.0), Value(2.0)]
    compiled = compile_graph(lambda x: w[0] * x + w[1], 1.0, parameters=w)
    with pytest.raises((TypeError, ValueError), match=r"\(2,\).*\(3,\)") as caught:
        compiled.value([1.0, 2.0, 3.0], 1.0)
    assert "parameters" in str(caught.value)


def test_an_empty_batch_is_refused() -> None:
    compiled = compile_graph(lambda x: x * x, 1.0)
    with pytest.raises(ValueError, match=r"^compiled.*: expected at least one sample"):
        compiled.value(np.zeros(0))


def test_a_traced_number_does_not_get_into_another_compiled_graph() -> None:
    inner = compile_graph(lambda x: x * x, 1.0)
    with pytest.raises(TypeError):
        compile_graph(lambda x: x * inner.value(x), 1.0)


# What stays as it was


def test_results_stay_after_the_next_call(executor: str) -> None:
    model = MODELS[0]
    for reduction in ("mean", "none"):
        compiled = compile_graph(
            model.function,
            *model.arguments(),
            argnums=tuple(range(len(model.shapes))),
            reduction=reduction,
            executor=executor,
        )
        for batch in (None, 4):
            first = compiled.value_and_grad(*model.arguments(1, batch))
            kept = [np.array(part) for part in (first[0], *first[1])]
            second = compiled.value_and_grad(*model.arguments(2, batch))
            compiled.value(*model.arguments(3, batch))
            for part, copy in zip((first[0], *first[1]), kept, strict=True):
                assert np.array_equal(part, copy)
            for part in second[1]:
                part[...] = NAN  # nor is anything of the compiled graph's in our hands
            again = compiled.value_and_grad(*model.arguments(1, batch))
            for part, copy in zip((again[0], *again[1]), kept, strict=True):
                assert np.array_equal(part, copy)


def test_arguments_are_neither_changed_nor_kept() -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(), argnums=model.argnums)
    arguments = model.arguments(1, 3)
    copies = [np.array(argument) for argument in arguments]
    for argument in arguments:
        argument.flags.writeable = False
    first = compiled.value_and_grad(*arguments)
    for argument, copy in zip(arguments, copies, strict=True):
        assert np.array_equal(argument, copy)
        argument.flags.writeable = True
        argument *= 2.0
    second = compiled.value_and_grad(*arguments)
    assert_same(second, reference(model.function, model.arguments(), arguments, model.argnums))
    assert second[0] != first[0]


def test_batches_of_every_size_one_after_the_other(executor: str) -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(), argnums=model.argnums, executor=executor)
    for batch in (None, 3, 1, 100, 3, None, 2, 129, 1):
        arguments = model.arguments(5, batch)
        found = compiled.value_and_grad(*arguments)
        assert_same(found, reference(model.function, model.arguments(), arguments, model.argnums))


def test_the_same_call_is_the_same_to_the_last_bit() -> None:
    for model in MODELS:
        compiled = compile_graph(model.function, *model.arguments(), argnums=model.argnums)
        arguments = model.arguments(1, 7)
        first, again = (repr(compiled.value_and_grad(*arguments)) for _ in range(2))
        assert first == again


def test_threads_may_call_at_once(executor: str) -> None:
    model = MODELS[0]
    compiled = compile_graph(model.function, *model.arguments(), argnums=model.argnums, executor=executor)
    calls = [model.arguments(seed, 3 + seed % 2) for seed in range(4)]
    expected = [compiled.value_and_grad(*arguments) for arguments in calls]

    def work(index: int) -> None:
        for _ in range(100):
            value, gradient = compiled.value_and_grad(*calls[index])
            assert value == expected[index][0]
            for one, other in zip(gradient, expected[index][1], strict=True):
                assert np.array_equal(one, other)

    run_in_threads(work)


def test_threads_may_compile_at_once() -> None:
    def work(index: int) -> None:
        for _ in range(5):
            check(recurrent, MODELS[9].arguments(), MODELS[9].arguments(index, 2))

    assert MODELS[9].function is recurrent
    run_in_threads(work)


def test_parameters_that_are_changed_later_are_those_of_the_call() -> None:
    w = Value(2.0)
    compiled = compile_graph(lambda x: w * x, 1.0, parameters=[w])
    w.data = 100.0
    assert compiled.value([2.0], 3.0) == 6.0


# Programs


def test_a_second_model_of_the_same_structure_has_the_same_program() -> None:
    networks = [nn.MLP(3, [4, 1], "tanh", seed=seed) for seed in (1, 2)]
    first, second = (compile_graph(net, [0.0] * 3, parameters=net.parameters()) for net in networks)
    assert first.source == second.source
    numbers = [p.data for p in networks[0].parameters()]
    others = [p.data for p in networks[1].parameters()]
    assert first.value(numbers, [1.0, 2.0, 3.0]) == second.value(numbers, [1.0, 2.0, 3.0])
    assert first.value(others, [1.0, 2.0, 3.0]) != first.value(numbers, [1.0, 2.0, 3.0])


def test_the_same_structure_with_other_constants_has_other_numbers() -> None:
    compiled = [compile_graph(lambda x, c=c: tanh(x * c) + c, 1.0) for c in (2.0, 3.0, -0.0, 2.0)]
    for each, c in zip(compiled, (2.0, 3.0, -0.0, 2.0), strict=True):
        assert_same(each.value_and_grad(0.5), value_and_grad(lambda x, c=c: tanh(x * c) + c)(0.5))


def test_a_network_of_three_layers_is_three_matrix_products() -> None:
    network = nn.MLP(3, [2, 3, 1], "sigmoid", seed=0)
    compiled = compile_graph(network, [0.0] * 3, parameters=network.parameters(), executor="numpy")
    text = compiled.explain()
    assert len(re.findall(r"matrix product\b", text)) == 3, text
    assert "sigmoid" in text
    compile(compiled.source, "<source>", "exec")
    assert compiled.executor == "numpy"


def test_the_executor_is_chosen_and_can_be_asked_for(executor: str) -> None:
    compiled = compile_graph(lambda x: x * x, 1.0, executor=executor)
    assert compiled.executor in (("numpy", "tape") if executor == "auto" else (executor,))
    assert isinstance(compiled.explain(), str)
    assert compiled.explain()


def test_what_is_narrow_and_long_is_compiled_as_well(executor: str) -> None:
    model = next(model for model in MODELS if model.name == "narrow")
    check(model.function, model.arguments(), model.arguments(1), model.arguments(2, 3), executor=executor)


# float32


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_single_precision(model: Model, executor: str) -> None:
    if model.name == "narrow":
        pytest.skip("5,000 roundings one after the other")
    compiled = compile_graph(
        model.function, *model.arguments(), argnums=model.argnums, dtype="float32", executor=executor
    )
    for batch in (None, 6):
        arguments = model.arguments(1, batch)
        value, gradient = compiled.value_and_grad(*arguments)
        expected_value, expected_gradient = reference(model.function, model.arguments(), arguments, model.argnums)
        assert abs(value - expected_value) <= 1e-5 * max(1.0, abs(expected_value))
        for one, other in zip(arrays(gradient), arrays(expected_gradient), strict=True):
            assert np.abs(one - other).max() <= 1e-5 * max(1.0, np.abs(other).max())


def test_results_in_single_precision_are_so() -> None:
    def function(w: Any, x: Any) -> Any:
        return sum(map(tanh, matrix_vector(w, x)))

    w, x = np.ones((2, 3)), np.ones((3, 4))
    compiled = compile_graph(function, w, x[:, 0], argnums=(0, 1), dtype="float32", reduction="none")
    value, gradients = compiled.value_and_grad(w, x)
    assert value.dtype == np.float32
    assert [gradient.dtype for gradient in gradients] == [np.float32, np.float32]
    assert compile_graph(function, w, x[:, 0]).grad(w, x).dtype == np.float64


def arrays(gradient: Any) -> list[Any]:
    """The arrays that a gradient consists of."""
    if isinstance(gradient, dict):
        return [array for part in gradient.values() for array in arrays(part)]
    if isinstance(gradient, tuple):
        return [array for part in gradient for array in arrays(part)]
    return [np.asarray(gradient)]


# Second derivatives


@pytest.mark.parametrize(
    "name",
    [model.name for model in MODELS if model.name not in ("mlp", "convolution in 2-D", "narrow", "physics")],
)
@pytest.mark.parametrize("batch", [None, 3])
def test_hessian_vector_products(name: str, batch: int | None, executor: str) -> None:
    model = next(model for model in MODELS if model.name == name)
    first = model.argnums[0] if isinstance(model.argnums, tuple) else model.argnums
    if first in model.batched:
        batch = None  # which is tested below
    arguments = model.arguments(1, batch)
    compiled = compile_graph(model.function, *model.arguments(), argnums=first, executor=executor)
    vector = model.arguments(2)[first]
    found = compiled.hessian_vector_product(*arguments, vector=vector)
    assert_same(found, hessian_times(model, first, arguments, batch, vector), 1e-11)


def hessian_times(model: Model, argnum: int, arguments: list[Any], batch: int | None, vector: Any) -> Any:
    """By the whole matrix, sample by sample."""

    def flat(thing: Any) -> Any:
        return np.concatenate([np.ravel(array) for array in arrays(thing)])

    total: Any = 0.0
    for place in range(batch or 1):
        one = [sample(like, each, place) for like, each in zip(model.arguments(), arguments, strict=True)]

        def of_flat(x: Any, one: list[Any] = one) -> Any:
            return model.function(*[rebuilt(one[argnum], iter(x)) if p == argnum else a for p, a in enumerate(one)])

        matrix = np.array(hessian(of_flat)(flat(one[argnum]).tolist()))
        total = total + matrix @ flat(vector)
    numbers = iter((total / (batch or 1)).tolist())
    return rebuilt(arguments[argnum], numbers)


def rebuilt(like: Any, numbers: Any) -> Any:
    """Numbers in a structure."""
    if isinstance(like, dict):
        return {key: rebuilt(part, numbers) for key, part in like.items()}
    if not isinstance(like, np.ndarray):
        return next(numbers)
    found = [next(numbers) for _ in range(like.size)]
    array = np.empty(like.size, dtype=object if isinstance(found[0], Value) else float)
    for place, each in enumerate(found):
        array[place] = each
    return array.reshape(like.shape)


def test_hessian_vector_products_of_numbers_and_lists() -> None:
    assert compile_graph(lambda x: x**3, 1.0).hessian_vector_product(2.0, vector=5.0) == 60.0
    compiled = compile_graph(lambda x: x[0] ** 2 * x[1], [1.0, 1.0])
    assert compiled.hessian_vector_product([3.0, 5.0], vector=[1.0, 0.0]) == [10.0, 6.0]
    assert compiled.hessian_vector_product([3.0, 5.0], vector=[0.0, 1.0]) == [6.0, 0.0]
    both = compile_graph(lambda x, y: x * x * y, 1.0, 1.0, argnums=(0, 1))
    assert both.hessian_vector_product(3.0, 5.0, vector=(1.0, 2.0)) == (22.0, 6.0)
    each = compile_graph(lambda x: x**3, 1.0, reduction="sum")
    assert each.hessian_vector_product(np.array([1.0, 2.0]), vector=np.array([1.0, 10.0])).tolist() == [6.0, 120.0]


def test_hessian_vector_products_of_a_network() -> None:
    network = nn.MLP(2, [3, 1], "tanh", seed=1)
    compiled = compile_graph(lambda x, y: nn.mse_loss(network(x), y), [0.0] * 2, 0.0, parameters=network.parameters())
    numbers = np.array([p.data for p in network.parameters()])
    random = np.random.default_rng(0)
    x, y, vector = random.normal(size=(2, 5)), random.normal(size=5), random.normal(size=len(numbers))
    found = compiled.hessian_vector_product(numbers.tolist(), x, y, vector=vector.tolist())
    assert type(found) is list
    step = 1e-5
    above, below = (np.array(compiled.grad((numbers + s * vector).tolist(), x, y)) for s in (step, -step))
    assert np.allclose(found, (above - below) / (2 * step), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", TABLE)
def test_second_derivatives_of_every_row(name: str) -> None:
    op = TABLE[name]
    function = row_function(op)
    argnums = tuple(range(op.arity))
    compiled = compile_graph(function, *[0.5] * op.arity, argnums=argnums)
    random = np.random.default_rng(0)
    for _ in range(5):
        point = [float(random.uniform(*interval)) for interval in op.domain]
        vector = tuple(random.normal(size=op.arity).tolist())
        matrix = np.array(hessian(function, argnums)(*point), dtype=float)
        found = compiled.hessian_vector_product(*point, vector=vector)
        assert_same(np.array(found), matrix @ np.array(vector), 1e-11)


def test_second_derivatives_with_conditions_on_results(executor: str) -> None:
    compiled = compile_graph(lambda x: (1.5 + tanh(x)) ** x, 1.0, executor=executor)
    for x in (0.7, -0.3):
        expected = hessian(lambda x: (1.5 + tanh(x)) ** x)(x)
        assert_same(compiled.hessian_vector_product(x, vector=1.0), expected, 1e-11)


def test_second_derivatives_beside_a_division_by_zero(executor: str) -> None:
    compiled = compile_graph(lambda x: maximum(x * x / 0.0, 3.0) * 0.0 + x, 1.0, executor=executor)
    assert math.isnan(compiled.hessian_vector_product(2.0, vector=1.0))


def test_a_wrong_vector_is_named() -> None:
    compiled = compile_graph(lambda x: x[0] * x[1], [1.0, 1.0])
    with pytest.raises((TypeError, ValueError), match=r"^compiled.*: expected .*vector.*, got ") as caught:
        compiled.hessian_vector_product([1.0, 2.0], vector=[1.0])
    assert "\n" not in str(caught.value)


# As the documentation says


def test_public_things_say_what_they_do() -> None:
    for thing in (compile_graph, CompiledGraph, NotTraceableError):
        assert inspect.getdoc(thing)
    for name in ("value", "grad", "value_and_grad", "hessian_vector_product", "explain"):
        assert inspect.getdoc(getattr(CompiledGraph, name)), name


def test_nothing_is_allocated_after_the_first_calls() -> None:
    """But the result: a network with relu, tanh and sigmoid, and the cross-entropy, on 10,000 samples a call."""
    network = nn.MLP(20, [30, 30, 30, 10], seed=0)
    functions = [Value.relu, Value.tanh, Value.sigmoid]

    def loss(x: Any, is_class: Any) -> Any:
        for layer, function in zip(network.layers, functions, strict=False):
            x = [function(sum(w * each for w, each in zip(row, x, strict=True)) + 0.1) for row in layer.weights]
        logits = [sum(w * each for w, each in zip(row, x, strict=True)) for row in network.layers[-1].weights]
        return logsumexp(logits) - sum(y * z for y, z in zip(is_class, logits, strict=True))

    random = np.random.default_rng(0)
    weights = [weight for layer in network.layers for row in layer.weights for weight in row]
    compiled = compile_graph(loss, [0.1] * 20, [0.0] * 10, parameters=np.array(weights, dtype=object))
    assert compiled.executor == "numpy"
    arguments = (
        random.normal(size=len(weights)),
        random.normal(size=(20, 10_000)),
        np.eye(10)[:, np.arange(10_000) % 10],
    )
    for _ in range(4):
        kept = compiled.value_and_grad(*arguments)
    tracemalloc.start()
    try:
        for _ in range(5):
            kept = compiled.value_and_grad(*arguments)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept[1].shape == (len(weights),)
    assert most < 500_000  # bytes: buffers of NumPy's own; the results of a layer would be 2,400,000

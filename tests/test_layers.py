"""Layers in matrix notation: every matrix against the formulas of the sources in NumPy."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from oracles import ACTIVATIONS, back_propagate, forward
from recordings import network_graphs, unhurried

import nn
from autograd_mini.groups import subscript
from autograd_mini.ops import NUMPY, TABLE
from autograd_mini.source_code import Expression
from autograd_mini.value import Value
from autograd_mini.walkthrough import BackwardFrame, LayerFrame, walkthrough
from autograd_mini.walkthrough.frames import Passes

Array = NDArray[np.float64]


def layer_frames(root: Value) -> list[LayerFrame]:
    return [frame for frame in walkthrough(root).view("layer") if isinstance(frame, LayerFrame)]


def leaves(numbers: Sequence[float]) -> list[Value]:
    return [Value(number, f"x{subscript(row)}") for row, number in enumerate(numbers, start=1)]


def assert_close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-9, atol=1e-12)


# The sources


def test_worked_example() -> None:
    frames = layer_frames(nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")(leaves([2.0, 4.0, 3.0])))
    assert [frame.symbols for frame in frames] == [
        "Z¹ = W⁰ x + B⁰",
        "A¹ = σ(Z¹)",
        "Z² = W¹ A¹ + B¹",
        "A² = σ(Z²)",
        "Z³ = W² A² + B²",
        "D_B² = D_Z³",
        "D_W² = A² D_Z³",
        "D_A² = D_Z³ W²",
        "D_Z² = D_A² ⊙ σ′(Z²)ᵀ",
        "D_B¹ = D_Z²",
        "D_W¹ = A¹ D_Z²",
        "D_A¹ = D_Z² W¹",
        "D_Z¹ = D_A¹ ⊙ σ′(Z¹)ᵀ",
        "D_B⁰ = D_Z¹",
        "D_W⁰ = x D_Z¹",
        "D_x = D_Z¹ W⁰",
    ]
    result = {frame.name: frame.result for frame in frames}
    assert_close(result["Z¹"], [[9.0]] * 2)
    assert_close(result["A¹"], [[0.99987660542401]] * 2)
    assert_close(result["Z²"], [[1.99975321084803]] * 3)
    assert_close(result["A²"], [[0.88077116426483]] * 3)
    assert_close(result["Z³"], [[2.64231349279448]])
    assert_close(result["D_B²"], [[1.0]])
    assert_close(result["D_W²"], [[0.88077116426483]] * 3)
    assert_close(result["D_A²"], [[1.0] * 3])
    assert_close(result["D_Z²"], [[0.10501332046441] * 3])
    assert_close(result["D_W¹"], [[0.10500036239026] * 3] * 2)
    assert_close(result["D_A¹"], [[0.31503996139322] * 2])
    assert_close(result["D_Z¹"], [[3.88694255866647e-05] * 2])
    assert_close(result["D_W⁰"], [[7.77388511733294e-05] * 2, [1.55477702346659e-04] * 2, [1.16608276759994e-04] * 2])
    assert frames[0].numbers == "[1, 1, 1; 1, 1, 1] [2; 4; 3] + [0; 0]"
    assert frames[8].numbers.endswith("[0.880771·σ(−1.99975), 0.880771·σ(−1.99975), 0.880771·σ(−1.99975)]")
    assert [frame.count for frame in frames[:3]] == [12, 2, 12]


@unhurried
@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.sampled_from([None, "relu", "tanh", "sigmoid", "softplus", "leaky_relu"]),
    st.integers(0, 1000),
)
def test_random_networks_against_back_propagation(widths: list[int], activation: str | None, seed: int) -> None:
    random = np.random.default_rng(seed)
    widths = [*widths, 1]
    weights = [random.normal(size=shape) for shape in zip(widths[1:], widths, strict=False)]
    biases = [random.normal(size=width) for width in widths[1:]]
    x = random.normal(size=widths[0])
    network = nn.MLP(widths[0], widths[1:], activation, init=list(zip(weights, biases, strict=True)))
    frames = layer_frames(network(leaves(x.tolist())))
    sums, activations = forward(weights, biases, x, activation)
    by_weights, by_biases = back_propagate(weights, biases, x, activation)
    _, slope = ACTIVATIONS[activation]
    result = {frame.name: np.array(frame.result) for frame in frames}
    assert len(result) == len(frames)
    marks = "⁰¹²³⁴"
    last = len(weights)
    for l in range(last):  # noqa: E741  # the paper's letter
        assert_close(result[f"Z{marks[l + 1]}"], sums[l].reshape(-1, 1))
        assert_close(result[f"D_W{marks[l]}"], by_weights[l])
        assert_close(result[f"D_B{marks[l]}"], by_biases[l].reshape(1, -1))
        by_input = by_biases[l].reshape(1, -1) @ weights[l]  # BP2: D_Aˡ = D_Zˡ⁺¹ Wˡ
        name = "x" if l == 0 else f"{'Z' if activation is None else 'A'}{marks[l]}"
        assert_close(result[f"D_{name}"], by_input)
        if l and activation is not None:
            assert_close(result[f"A{marks[l]}"], activations[l].reshape(-1, 1))
            assert_close(result[f"D_Z{marks[l]}"], by_input * slope(sums[l - 1]).reshape(1, -1))


def test_a_batch_adds_up() -> None:
    network = nn.MLP(2, [3, 2], "tanh", "sigmoid", seed=3)
    samples = [[0.5, -1.0], [1.5, 2.0], [0.5, -1.0]]
    targets = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    frames = layer_frames(nn.mse_loss([network(leaves(sample)) for sample in samples], targets))
    assert len(frames) == 3 * (4 + 8)
    for letter, layer in (("W⁰", 0), ("B⁰", 0), ("W¹", 1), ("B¹", 1)):
        steps = [frame for frame in frames if frame.name == f"D_{letter}"]
        assert [frame.sign for frame in steps] == ["=", "+=", "+="]
        assert [f" {frame.sign} " in frame.symbols for frame in steps] == [True] * 3
        shares = []
        for sample, target in zip(samples[::-1], targets[::-1], strict=True):
            for parameter in network.parameters():
                parameter.grad = 0.0
            nn.mse_loss([network(sample)], [target]).backward()
            neurons: list[Any] = network.layers[layer].neurons
            rows = [[w.grad for w in n.weights] if letter[0] == "W" else [n.bias.grad] for n in neurons]
            shares.append(np.array(rows).T / len(samples))
        for frame, expected in zip(steps, np.cumsum(shares, axis=0), strict=True):
            assert_close(frame.result, expected)


# Any network


@unhurried
@given(network_graphs())
def test_every_equation_holds(root: Value) -> None:
    """Its right side, in numbers, is what its left side holds or gains."""
    view = walkthrough(root).view("layer")
    gradients = {view.passes.root: 1.0}
    for frame in view:
        if isinstance(frame, LayerFrame):
            result = np.array(frame.result)
            old = np.array([gradients.get(target, 0.0) for target in frame.targets]).reshape(result.shape)
            right = computed(frame.formula_in_numbers, view.passes)
            if frame.phase == "forward":
                assert_close(right, result)
            else:
                np.testing.assert_allclose(old + right, result, rtol=1e-8, atol=1e-9)
                gradients.update(zip(frame.targets, result.reshape(-1).tolist(), strict=True))
        elif isinstance(frame, BackwardFrame):
            gradients[view.passes.groups.places[id(frame.operand)]] = frame.after


def computed(formula: Expression, passes: Passes) -> Any:
    """A formula of matrices on the numbers of a graph."""
    inner = [computed(operand, passes) for operand in formula.operands]
    if formula.kind == "number":
        return float(formula.content or 0.0)
    if formula.kind in ("node", "gradient", "derivative"):
        letter = formula.kind[0]
        return passes.number_of(letter, str(formula.content))
    if formula.kind == "matrix":
        return np.array(inner, dtype=float).reshape(-1, int(formula.content or 0))
    if formula.kind == "call":  # of one function, or of one's own: what it gave stands in the graph
        return np.array([[result_of(passes, operand)] for operand in formula.operands[0].operands])
    if formula.kind == "where":
        return inner[1] if inner[0] else inner[2]
    if formula.kind == "@":
        return inner[0] @ inner[1]
    rows: dict[str, Any] = {"+": "add", "-": "sub", "*": "mul", "⊙": "mul", "/": "div", "negative": "neg"}
    comparisons = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "and": np.logical_and}
    if formula.kind in comparisons:
        return comparisons[formula.kind](*inner)
    with np.errstate(all="ignore"):
        return TABLE[rows.get(formula.kind, formula.kind)].forward(NUMPY, *inner)


def result_of(passes: Passes, z: Expression) -> float:
    neurons = [neuron for layer in passes.groups.layers for neuron in layer.neurons]
    (a,) = (neuron.a for neuron in neurons if neuron.z == z.content)
    return passes.nodes[a].data


@unhurried
@given(network_graphs())
def test_the_frames_of_a_layer_share_out_its_operations_and_edges(root: Value) -> None:
    steps = walkthrough(root)
    passes = steps.passes
    frames = [frame for frame in steps.view("layer") if isinstance(frame, LayerFrame)]
    for group in {id(frame.group): frame.group for frame in frames}.values():
        covered = Counter(at for frame in frames if frame.group is group for at in frame.covers)
        operations = [at for at, place in enumerate(passes.forward_order) if place in group.members]
        edges = [passes.seed_at + 1 + at for at, edge in enumerate(passes.edges) if edge.source in group.members]
        assert covered == Counter([*operations, *edges])
    for frame in frames:
        assert frame.at == max(frame.covers)
        assert frame.count == len(frame.covers) == len(set(frame.covers))
        assert len(frame.targets) == len(frame.result) * len(frame.result[0])


def test_kinds_of_networks_that_have_matrices() -> None:
    cases: list[tuple[Any, list[str]]] = [
        (nn.MLP(2, [1], seed=0), ["Z¹ = W⁰ x + B⁰", "D_B⁰ = D_Z¹", "D_W⁰ = x D_Z¹", "D_x = D_Z¹ W⁰"]),
        (nn.MLP(1, [1], bias=False, seed=0), ["Z¹ = W⁰ x", "D_W⁰ = x D_Z¹", "D_x = D_Z¹ W⁰"]),
        (nn.Layer(2, 1, None, layer=4, seed=0), ["Z⁵ = W⁴ x + B⁴", "D_B⁴ = D_Z⁵", "D_W⁴ = x D_Z⁵", "D_x = D_Z⁵ W⁴"]),
        (nn.Neuron(2, "tanh", seed=0), ["Z¹ = W⁰ x + B⁰", "A¹ = tanh(Z¹)", "D_Z¹ = D_A¹ ⊙ tanh′(Z¹)ᵀ"]),
        (nn.Neuron(2, lambda z: z * z, seed=0), ["Z¹ = W⁰ x + B⁰", "A¹ = a(Z¹)", "D_Z¹ = D_A¹ ⊙ a′(Z¹)ᵀ"]),
        (nn.Neuron(2, lambda z: -z, seed=0), ["Z¹ = W⁰ x + B⁰", "A¹ = a(Z¹)", "D_Z¹ = D_A¹ ⊙ a′(Z¹)ᵀ"]),
    ]
    for network, symbols in cases:
        n_inputs = len(network.weights) if isinstance(network, nn.Neuron) else network.n_inputs
        frames = layer_frames(network(leaves([2.0, 3.0][:n_inputs])))
        assert [frame.symbols for frame in frames][: len(symbols)] == symbols


def test_constants_have_no_gradient() -> None:
    network = nn.MLP(3, [2, 1], "relu", seed=0)
    names = [frame.name for frame in layer_frames(network([1.0, 2.0, 3.0]))]
    assert "D_x" not in names
    assert "D_A¹" in names
    frame = next(f for f in layer_frames(network([1.0, Value(2.0, "x₂"), 3.0])) if f.name == "D_x")
    assert (len(frame.result), len(frame.result[0]), len(frame.targets)) == (1, 1, 1)


def test_large_matrices_are_shortened() -> None:
    network = nn.MLP(12, [7, 1], "relu", seed=0)
    frames = {frame.name: frame for frame in layer_frames(network(leaves([1.0] * 12)))}
    assert frames["Z¹"].numbers.count("…") == 4 + 5 + 1 + 1  # W⁰ has dots in each row and a row of dots
    assert np.array(frames["Z¹"].result).shape == (7, 1)
    assert np.array(frames["D_W⁰"].result).shape == (12, 7)
    assert frames["D_W⁰"].formula_of_result.content == 5
    assert len(frames["D_W⁰"].formula_of_result.operands) == 25


def test_networks_in_a_row_are_told_apart() -> None:
    first, second = nn.MLP(2, [2], seed=0), nn.MLP(2, [1], bias=False, seed=1)
    symbols = [frame.symbols for frame in layer_frames(second(first(leaves([1.0, 2.0]))))]
    assert symbols == [
        "Z¹⁽¹⁾ = W⁰⁽¹⁾ x⁽¹⁾ + B⁰⁽¹⁾",
        "Z¹⁽²⁾ = W⁰⁽²⁾ Z¹⁽¹⁾",
        "D_W⁰⁽²⁾ = Z¹⁽¹⁾ D_Z¹⁽²⁾",
        "D_Z¹⁽¹⁾ = D_Z¹⁽²⁾ W⁰⁽²⁾",
        "D_B⁰⁽¹⁾ = D_Z¹⁽¹⁾",
        "D_W⁰⁽¹⁾ = x⁽¹⁾ D_Z¹⁽¹⁾",
        "D_x⁽¹⁾ = D_Z¹⁽¹⁾ W⁰⁽¹⁾",
    ]


def test_activations_with_a_parameter_are_no_part_of_a_layer() -> None:
    slope = Value(0.1, "α")
    network = nn.MLP(2, [2, 1], lambda z: z.maximum(z * slope), seed=0)
    names = [frame.name for frame in layer_frames(network(leaves([1.0, 2.0])))]
    assert names == ["Z¹", "Z²", "D_B¹", "D_W¹", "D_A¹", "D_B⁰", "D_W⁰", "D_x"]


def test_features_of_one_neuron_are_not_part_of_its_sum() -> None:
    x = Value(3.0, "x")
    output = nn.Neuron(2, None, init=([0.5, 2.0], 1.0))([x * x, x.tanh()])
    frames = walkthrough(output).view("layer")
    assert [frame.symbols for frame in frames] == [
        "v₁ = x·x",
        "v₂ = tanh(x)",
        "Z¹ = W⁰ x + B⁰",
        "∂z¹₁/∂z¹₁ = 1",
        "D_B⁰ = D_Z¹",
        "D_W⁰ = x D_Z¹",
        "D_x = D_Z¹ W⁰",
        "∂z¹₁/∂x += ∂z¹₁/∂v₂ · (4·σ(2·x)·σ(−2·x))",
        "∂z¹₁/∂x += ∂z¹₁/∂v₁ · x",
        "∂z¹₁/∂x += ∂z¹₁/∂v₁ · x",
    ]


# Where matrices would tell an untruth


def test_one_node_at_several_inputs_has_no_column_of_its_own() -> None:
    x = Value(2.0, "x")
    steps = walkthrough(nn.MLP(2, [2], seed=0)([x, x])[0])
    assert steps.levels == ("operation", "expression", "neuron")
    assert steps.view("layer").places == steps.view("neuron").places


def test_a_weight_that_is_also_an_input_has_no_matrix() -> None:
    neuron = nn.Neuron(2, None, seed=0)
    assert layer_frames(neuron([neuron.weights[0], 1.0])) == []


def test_activation_on_some_neurons_only() -> None:
    network = nn.MLP(
        2, [2, 1], lambda z: z.tanh() if z.data > 0 else z, init=[([[1, 1], [-1, -1]], [0, 0]), ([[1, 1]], [0])]
    )
    names = [frame.name for frame in layer_frames(network(leaves([1.0, 2.0])))]
    assert names == ["Z²", "D_B¹", "D_W¹", "D_A¹"]


def test_a_layer_that_something_interrupts_is_seen_neuron_by_neuron() -> None:
    """t is added to between the two neurons: no order of whole layers adds up as the engine does."""
    t = Value(2.0, "t")
    first, second = nn.Layer(2, 2, None, seed=0)([Value(1.0, "x"), t])
    output = first * t + second
    assert layer_frames(output) == []
    assert [frame.name for frame in walkthrough(output).view("layer")[:2]] == ["z¹₁", "v₅"]


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_outputs_taken_column_by_column(columns: int) -> None:
    """The output layers of two samples interleave as they are recorded; they are put in order."""
    network = nn.MLP(2, [2, columns], "tanh", seed=0)
    rows = [network(leaves(sample)) for sample in ([1.0, 2.0], [3.0, 4.0])]
    rows = [row if isinstance(row, list) else [row] for row in rows]
    flat = [row[place] for place in range(columns) for row in rows]
    frames = layer_frames(sum(flat[1:], start=flat[0]))
    assert len(frames) == 2 * (2 + 1 + 4 + 3)

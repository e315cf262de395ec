"""Neurons, layers, networks: hand-worked numbers, labels, parameters, and what a wrong argument gets."""

import copy
import math
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_mini
from autograd_mini import TABLE, Value
from nn import MLP, Layer, Module, Neuron, mse_loss


def recorded(root: Value) -> list[Value]:
    """Every node that root depends on."""
    found: dict[Value, None] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = None
            waiting.extend(node.parents)
    return list(found)


def by_label(root: Value) -> dict[str, Value]:
    return {node.label: node for node in recorded(root) if node.label}


# The worked example of Gill & Gill, section 5.1

FORWARD = {
    "z¹₁": 9.0,
    "a¹₁": 0.99987660542401376827,
    "z²₁": 1.9997532108480275365,
    "a²₁": 0.88077116426482735294,
    "ŷ": 2.6423134927944820588,
}
"""By 40-digit arithmetic; every other neuron of a layer has the same."""

BACKWARD = {
    "ŷ": 1.0,
    "b²₁": 1.0,
    "w²₁₁": 0.88077116426482735294,
    "a²₁": 1.0,
    "z²₁": 0.10501332046440786506,
    "b¹₁": 0.10501332046440786506,
    "w¹₁₁": 0.10500036239025625318,
    "a¹₁": 0.31503996139322359517,
    "z¹₁": 3.8869425586639030578e-05,
    "b⁰₁": 3.8869425586639030578e-05,
    "w⁰₁₁": 7.7738851173278061155e-05,
    "w⁰₁₂": 1.5547770234655612231e-04,
    "w⁰₁₃": 1.1660827675991709173e-04,
}

PRINTED = {
    "w²₁₁": 0.88077116426,
    "z²₁": 0.10501332046,
    "b¹₁": 0.10501332046,
    "a¹₁": 0.31503996138,
    "z¹₁": 0.00003886942,
    "b⁰₁": 0.00003886942,
    "w⁰₁₁": 0.00007773884,
    "w⁰₁₂": 0.00015547768,
    "w⁰₁₃": 0.00011660826,
}
"""The digits in the document, which multiplied rounded numbers: the last one or two are off."""


@pytest.fixture
def worked_example() -> tuple[MLP, Value]:
    """The document says N(2,3,4) twice in its text; its input, and its numbers, are those of (2, 4, 3)."""
    model = MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    output: Value = model((2, 4, 3))
    output.backward()
    return model, output


def test_the_worked_example_forward(worked_example: tuple[MLP, Value]) -> None:
    nodes = by_label(worked_example[1])
    assert {label: nodes[label].data for label in FORWARD} == pytest.approx(FORWARD, rel=1e-14)
    for neuron in ("z¹₂", "a¹₂", "z²₂", "z²₃", "a²₂", "a²₃"):
        assert nodes[neuron].data == nodes[neuron[:-1] + "₁"].data


def test_the_worked_example_backward(worked_example: tuple[MLP, Value]) -> None:
    nodes = by_label(worked_example[1])
    assert {label: nodes[label].grad for label in BACKWARD} == pytest.approx(BACKWARD, rel=1e-14)
    assert {label: nodes[label].grad for label in PRINTED} == pytest.approx(PRINTED, rel=0, abs=2.5e-11)
    for label, node in nodes.items():  # the neurons of a layer are alike, and so are the weights of a later layer
        if label[0] == "w":
            twin = label[:2] + "₁" + (label[3] if label[1] == "⁰" else "₁")
        else:
            twin = label if label == "ŷ" else label[:-1] + "₁"
        assert node.grad == nodes[twin].grad


def test_every_parameter_of_the_worked_example_is_labelled_as_in_the_paper(worked_example: tuple[MLP, Value]) -> None:
    model, _ = worked_example
    assert [[weight.label for weight in row] for row in model.layers[0].weights] == [
        ["w⁰₁₁", "w⁰₁₂", "w⁰₁₃"],
        ["w⁰₂₁", "w⁰₂₂", "w⁰₂₃"],
    ]
    assert [bias.label for bias in model.layers[0].biases] == ["b⁰₁", "b⁰₂"]
    assert [[weight.label for weight in row] for row in model.layers[2].weights] == [["w²₁₁", "w²₁₂", "w²₁₃"]]
    assert [bias.label for bias in model.layers[2].biases] == ["b²₁"]
    assert len(model.parameters()) == 21


def test_the_first_network_of_the_paper() -> None:
    """Section 2.1 prints W⁰ as 3×2, W¹ as 2×3 and W² as 3×1: each the transpose of the matrix that W x needs."""
    printed = [
        ([[2, 1], [-1, 4], [-2, 5]], [2, 3]),
        ([[-3, 2, 1], [7, 3, -5]], [3, 7, -1]),
        ([[-9], [4], [7]], [6]),
    ]
    model = MLP(3, [2, 3, 1], activation="relu", init=[(np.transpose(weights), biases) for weights, biases in printed])
    # Z¹ = (2·1 - 1·0 - 2·1 + 2, 1·1 + 4·0 + 5·1 + 3) = (2, 9); Z² = (-3·2 + 7·9 + 3, 2·2 + 3·9 + 7, 2 - 5·9 - 1)
    # = (60, 38, -44); ŷ = -9·60 + 4·38 + 7·0 + 6
    output = model([1, 0, 1])
    assert [by_label(output)[label].data for label in ("z¹₁", "z¹₂", "z²₁", "z²₂", "z²₃")] == [2, 9, 60, 38, -44]
    assert output.data == -382.0


# What is recorded


def test_a_neuron_records_its_products_and_sums_and_nothing_else() -> None:
    neuron = Neuron(4, None, init=([1.0, 2.0, 3.0, 4.0], 5.0))
    inputs = [2.0, 3, np.float64(5.0), True]
    z = neuron(inputs)
    assert z.data == 1 * 2 + 2 * 3 + 3 * 5 + 4 * 1 + 5
    nodes = recorded(z)
    assert Counter(node.op.name for node in nodes if node.op) == {"mul": 4, "add": 4}
    assert sum(node.op is None for node in nodes) == 5  # the parameters: a number has no node
    assert z.operands[1] is neuron.bias
    sums = z.operands[0]
    for weight, number in zip(reversed(neuron.weights), reversed(inputs), strict=True):  # left to right, seen from last
        product = sums
        if weight is not neuron.weights[0]:
            assert isinstance(sums, Value)
            sums, product = sums.operands
        assert isinstance(product, Value)
        assert product.operands == (weight, float(number))
        assert type(product.operands[1]) is float


def test_inputs_may_be_values() -> None:
    x = [Value(2.0), Value(3.0)]
    Neuron(2, None, init=([5.0, 7.0], 0.0))(x).backward()
    assert [value.grad for value in x] == [5.0, 7.0]


@pytest.mark.parametrize("convert", [list, tuple, iter, np.array, lambda row: np.array(row, dtype=np.float32)])
def test_inputs_may_be_any_row_of_numbers(convert: Callable[[Any], Any]) -> None:
    model = MLP(3, [2, 1], seed=1)
    expected = model([1.0, 2.0, 3.0]).data
    assert model(convert([1.0, 2.0, 3.0])).data == expected
    assert model.layers[0](convert([1.0, 2.0, 3.0]))[0].data == model.layers[0]([1.0, 2.0, 3.0])[0].data
    assert model.layers[0].neurons[0](convert([1.0, 2.0, 3.0])).data == model.layers[0]([1.0, 2.0, 3.0])[0].data


@pytest.mark.parametrize("x", [3, 3.0, np.float64(3.0), np.array(3.0), Value(3.0), [3.0]])
def test_one_input_may_be_a_bare_number(x: Any) -> None:
    for model in (MLP(1, [1], init="ones"), Layer(1, 1, init="ones"), Neuron(1, init="ones")):
        assert model(x).data == 3.0


def test_one_output_is_a_value_and_several_are_a_list() -> None:
    single, several = MLP(2, [3, 1], seed=0)([1.0, 2.0]), MLP(2, [3, 2], seed=0)([1.0, 2.0])
    assert isinstance(single, Value)
    assert [output.label for output in several] == ["ŷ₁", "ŷ₂"]
    assert isinstance(Layer(2, 1)([1.0, 2.0]), Value)  # micrograd's habit
    assert MLP(2, [1, 1, 2], None, init="ones")([1.0, 2.0])[1].data == 3.0  # and a single neuron in the middle


# Labels


def test_labels_of_forward_values() -> None:
    labels = set(by_label(MLP(2, [2, 1], "tanh", "sigmoid", seed=0)([1.0, 2.0])))
    assert labels == {
        *("w⁰₁₁", "w⁰₁₂", "w⁰₂₁", "w⁰₂₂", "b⁰₁", "b⁰₂", "z¹₁", "z¹₂", "a¹₁", "a¹₂"),
        *("w¹₁₁", "w¹₁₂", "b¹₁", "z²₁", "ŷ"),
    }


def test_a_comma_parts_subscripts_where_an_index_is_above_9() -> None:
    model = MLP(12, [11] * 11 + [1], init="ones")
    first = model.layers[0].weights
    assert (first[0][8].label, first[0][11].label, first[9][0].label) == ("w⁰₁₉", "w⁰₁,₁₂", "w⁰₁₀,₁")
    assert first[0][10].label != first[10][0].label
    assert model.layers[10].weights[1][1].label == "w¹⁰₂₂"
    assert model.layers[10].biases[10].label == "b¹⁰₁₁"
    assert "z¹⁰₁₁" in by_label(model([0.0] * 12))


# Activations


@pytest.mark.parametrize(
    "name", ["relu", "tanh", "sigmoid", "gelu", "softplus", "leaky_relu", "sin", "exp", "erf", "sqrt"]
)
def test_any_function_of_the_table_by_name_or_as_a_function(name: str) -> None:
    function = getattr(autograd_mini, name)
    expected = function(1.5)
    for activation in (name, function, getattr(Value, name)):
        neuron = Neuron(1, activation, init=([1.0], 0.5))
        assert neuron([1.0]).data == expected
        assert neuron.activation == name


def test_any_function_of_a_value() -> None:
    def swish(z: Value) -> Value:
        return z * z.sigmoid()

    model = MLP(1, [1, 1], swish, init="ones")
    assert model([2.0]).data == pytest.approx(2.0 / (1.0 + math.exp(-2.0)), rel=1e-15)
    assert model.activation is swish
    assert repr(model) == "MLP(1, [1, 1], activation=swish)"


def test_without_activations_the_network_is_a_product_of_matrices() -> None:
    """The three matrices of nonlinear-least-squares: Y = Xᵀ a b c."""
    a, b, c = (np.random.default_rng(0).normal(size=shape) for shape in ((2, 3), (3, 4), (4, 1)))
    model = MLP(2, [3, 4, 1], None, bias=False, init=[(matrix.T, None) for matrix in (a, b, c)])
    assert model([0.5, -2.0]).data == pytest.approx(float((np.array([0.5, -2.0]) @ a @ b @ c)[0]), rel=1e-14)


def test_the_output_is_linear_unless_told_otherwise() -> None:
    assert MLP(1, [1], init=[([[1.0]], [0.0])])([-3.0]).data == -3.0
    assert MLP(1, [1], "tanh", "relu", init=[([[1.0]], [0.0])])([-3.0]).data == 0.0


# Initial values


def numbers(model: Module) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


def test_a_seed_repeats_exactly() -> None:
    assert numbers(MLP(3, [4, 2], seed=7)) == numbers(MLP(3, [4, 2], seed=7))
    assert numbers(MLP(3, [4, 2], seed=7)) != numbers(MLP(3, [4, 2], seed=8))
    assert numbers(MLP(3, [4, 2])) != numbers(MLP(3, [4, 2]))
    random = np.random.default_rng(7)
    assert numbers(MLP(3, [4, 2], seed=random)) == numbers(MLP(3, [4, 2], seed=7))


@pytest.mark.parametrize(
    ("init", "activation", "variance"),
    [
        ("he", "tanh", 2 / 100),
        ("xavier", "relu", 2 / (100 + 60)),
        ("uniform", "relu", 1 / 3),
        (None, "relu", 2 / 100),
        (None, "gelu", 2 / 100),
        (None, "tanh", 2 / (100 + 60)),
        (None, None, 2 / (100 + 60)),
    ],
)
def test_named_initial_values_have_their_spread(init: str | None, activation: str | None, variance: float) -> None:
    layer = Layer(100, 60, activation, init=init, seed=3)
    weights = np.array([[weight.data for weight in row] for row in layer.weights])
    assert weights.var() == pytest.approx(variance, rel=0.06)
    assert abs(weights.mean()) < 0.02
    assert {bias.data for bias in layer.biases} == {0.0}


@pytest.mark.parametrize(("init", "number"), [("ones", 1.0), ("zeros", 0.0)])
def test_ones_and_zeros_set_the_weights_only(init: str, number: float) -> None:
    model = MLP(2, [3, 1], init=init)
    for name, parameter in model.named_parameters():
        assert parameter.data == (0.0 if name.endswith("bias") else number)


def test_given_values_as_lists_and_as_arrays() -> None:
    init = [([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [7.0, 8.0, 9.0]), ([[1.0, 1.0, 1.0]], [0.5])]
    for given in (init, [(np.array(weights), np.array(biases)) for weights, biases in init]):
        layers = MLP(2, [3, 1], init=given).layers
        assert [[weight.data for weight in row] for row in layers[0].weights] == init[0][0]
        assert [bias.data for bias in layers[0].biases] == init[0][1]
        assert [bias.data for bias in layers[1].biases] == [0.5]


# Modules


class Scaled(Module):
    """A model of a user's own, with parameters in all the places where they are looked for."""

    def __init__(self) -> None:
        self.inner = MLP(1, [1], init="ones")
        self.scale = Value(2.0)
        self.table = {"first": [Value(1.0)], "second": (Value(2.0), {"deep": Value(3.0)})}
        self.again = self.scale
        self.kept_result = self.scale * 2.0
        self.parent = self
        self.name = "scaled"

    def __call__(self, x: float) -> Value:
        return self.scale * self.inner([x])  # type: ignore[no-any-return]


def test_parameters_are_found_in_the_attributes_once_each() -> None:
    model = Scaled()
    assert [name for name, _ in model.named_parameters()] == [
        "inner.layers.0.neurons.0.weights.0",
        "inner.layers.0.neurons.0.bias",
        "scale",
        "table.first.0",
        "table.second.0",
        "table.second.1.deep",
    ]
    assert model.parameters() == [parameter for _, parameter in model.named_parameters()]
    assert isinstance(model.parameters(), list)


def test_the_names_of_a_network() -> None:
    model = MLP(3, [2, 1], seed=0)
    named = dict(model.named_parameters())
    assert named["layers.0.neurons.1.weights.2"] is model.layers[0].weights[1][2]
    assert named["layers.1.neurons.0.bias"] is model.layers[1].biases[0]
    assert list(named.values()) == model.parameters()
    assert len(named) == 3 * 2 + 2 + 2 * 1 + 1
    assert len(MLP(3, [2, 1], bias=False).parameters()) == 3 * 2 + 2 * 1


def test_zero_grad() -> None:
    model = MLP(2, [2, 1], None, init="ones")
    model([1.0, 2.0]).backward()
    assert all(parameter.grad for parameter in model.parameters())
    model.zero_grad()
    assert not any(parameter.grad for parameter in model.parameters())


class MicrogradStyle(Module):
    """A subclass as users of micrograd write them: `parameters()` overridden."""

    def __init__(self) -> None:
        self.hidden, self.frozen = Value(1.0), Value(2.0)
        self.elsewhere = {Value(3.0)}  # a set is not looked into

    def parameters(self) -> list[Value]:
        return [*self.elsewhere, self.hidden]


def test_an_overridden_parameters_is_respected() -> None:
    model = MicrogradStyle()
    for parameter in (model.hidden, model.frozen):
        parameter.grad = 1.0
    model.zero_grad()
    assert (model.hidden.grad, model.frozen.grad) == (0.0, 1.0)
    container = Module()
    container.blocks = [model]  # type: ignore[attr-defined]
    assert container.parameters() == model.parameters()
    assert [name for name, _ in container.named_parameters()] == ["blocks.0.parameters.0", "blocks.0.hidden"]


def test_a_module_without_parameters() -> None:
    assert Module().parameters() == []


def test_code_written_for_micrograd() -> None:
    model = MLP(2, [16, 16, 1], seed=1337)
    assert len(model.parameters()) == 337
    rows, labels = np.random.default_rng(0).normal(size=(8, 2)), np.array([1, -1] * 4)
    inputs = [list(map(Value, row)) for row in rows]
    losses = []
    for _ in range(3):
        scores = list(map(model, inputs))
        terms = [(1 + -label * score).relu() for label, score in zip(labels, scores, strict=True)]
        data_loss = sum(terms) * (1.0 / len(terms))
        total = data_loss + 1e-4 * sum(parameter * parameter for parameter in model.parameters())
        model.zero_grad()
        total.backward()
        for parameter in model.parameters():
            parameter.data -= 0.1 * parameter.grad
        losses.append(total.data)
    assert losses[2] < losses[1] < losses[0]
    neuron = model.layers[0].neurons[0]
    assert neuron.w is neuron.weights
    assert neuron.b is neuron.bias


def test_copies_and_pickles() -> None:
    model = MLP(2, [3, 1], "tanh", seed=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin([1.0, 2.0]).data == model([1.0, 2.0]).data
        twin.layers[0].weights[0][0].data = 100.0
    assert model.layers[0].weights[0][0].data != 100.0


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (MLP(3, [2, 3, 1], activation="sigmoid"), "MLP(3, [2, 3, 1], activation=sigmoid)"),
        (
            MLP(3, (2, 1), "tanh", "sigmoid", bias=False),
            "MLP(3, [2, 1], activation=tanh, output_activation=sigmoid, bias=False)",
        ),
        (Layer(3, 2), "Layer(3, 2, activation=relu)"),
        (Layer(3, 2, None, bias=False), "Layer(3, 2, activation=None, bias=False)"),
        (Neuron(3, "tanh"), "Neuron(3, activation=tanh)"),
    ],
)
def test_reprs(module: Module, text: str) -> None:
    assert repr(module) == text


def test_attributes_that_others_read() -> None:
    model = MLP(np.int64(3), np.array([2, 1]), "tanh")  # type: ignore[arg-type]
    assert (model.n_inputs, model.sizes, model.activation, model.output_activation) == (3, [2, 1], "tanh", None)
    assert [layer.activation for layer in model.layers] == ["tanh", None]
    assert [layer.n_inputs for layer in model.layers] == [3, 2]


# Case 22: wrong arguments

ACTIVATION_LIST = ", ".join(
    name for name, op in TABLE.items() if not op.is_operator and (op.arity == 1 or name == "leaky_relu")
)

NAN_ROW = [[math.nan, 1.0]]

WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # a wrong number of inputs
    (lambda: MLP(3, [1])([1.0, 2.0]), ValueError, "MLP: expected 3 inputs, got 2"),
    (lambda: MLP(1, [1])([1.0, 2.0]), ValueError, "MLP: expected 1 input, got 2"),
    (lambda: MLP(3, [1])(2.0), ValueError, "MLP: expected 3 inputs, got 1"),
    (lambda: MLP(3, [1])(np.zeros((2, 3))), ValueError, "MLP: expected 3 inputs, got 2"),
    (lambda: Layer(3, 1)([1.0] * 4), ValueError, "Layer: expected 3 inputs, got 4"),
    (lambda: Neuron(3)([]), ValueError, "Neuron: expected 3 inputs, got 0"),
    # inputs that are no numbers
    (lambda: MLP(2, [1])([1.0, "a"]), TypeError, "MLP: expected numbers or Values as inputs, got str 'a'"),  # type: ignore[list-item]
    (lambda: MLP(2, [1])(None), TypeError, "MLP: expected a list of 2 inputs, got NoneType None"),  # type: ignore[arg-type]
    (
        lambda: MLP(2, [1])(np.zeros((2, 2))),
        TypeError,
        "MLP: expected numbers or Values as inputs, got list [0.0, 0.0]",
    ),
    (lambda: Layer(2, 1)([1.0, None]), TypeError, "Layer: expected numbers or Values as inputs, got NoneType None"),  # type: ignore[list-item]
    (lambda: Neuron(2)([1.0, 1j]), TypeError, "Neuron: expected numbers or Values as inputs, got complex 1j"),  # type: ignore[list-item]
    # sizes
    (lambda: MLP(0, [1]), ValueError, "MLP: expected n_inputs to be a positive int, got 0"),
    (lambda: MLP(2.0, [1]), TypeError, "MLP: expected n_inputs to be a positive int, got float 2.0"),  # type: ignore[arg-type]
    (lambda: MLP(True, [1]), TypeError, "MLP: expected n_inputs to be a positive int, got bool True"),
    (lambda: MLP(2, []), ValueError, "MLP: expected sizes to be a list of positive ints, got an empty one"),
    (lambda: MLP(2, [3, -1]), ValueError, "MLP: expected sizes to be a list of positive ints, got -1"),
    (lambda: MLP(2, ["3"]), TypeError, "MLP: expected sizes to be a list of positive ints, got str '3'"),  # type: ignore[list-item]
    (lambda: MLP(2, 3), TypeError, "MLP: expected sizes to be a list of positive ints, got int 3"),  # type: ignore[arg-type]
    (lambda: Layer(2, 0), ValueError, "Layer: expected n_outputs to be a positive int, got 0"),
    (lambda: Layer(None, 1), TypeError, "Layer: expected n_inputs to be a positive int, got NoneType None"),  # type: ignore[arg-type]
    (lambda: Neuron(-2), ValueError, "Neuron: expected n_inputs to be a positive int, got -2"),
    # activations
    (
        lambda: MLP(2, [1], "rellu"),
        ValueError,
        f"MLP: expected activation to be one of {ACTIVATION_LIST}, got 'rellu'",
    ),
    (
        lambda: MLP(2, [1], "relu", "maximum"),
        ValueError,
        f"MLP: expected output_activation to be one of {ACTIVATION_LIST}, got 'maximum'",
    ),
    (
        lambda: Layer(2, 1, 3),  # type: ignore[arg-type]
        TypeError,
        "Layer: expected activation to be a name, a function of a Value or None, got int 3",
    ),
    (
        lambda: Neuron(1, lambda z: 3.0)([1.0]),  # type: ignore[arg-type,return-value]
        TypeError,
        "Neuron: expected activation to return a Value, got float 3.0",
    ),
    # initial values
    (
        lambda: MLP(2, [1], init="normal"),
        ValueError,
        "MLP: expected init to be one of he, xavier, uniform, ones, zeros or arrays, got 'normal'",
    ),
    (
        lambda: Neuron(2, init="normal"),
        ValueError,
        "Neuron: expected init to be one of he, xavier, uniform, ones, zeros or arrays, got 'normal'",
    ),
    (lambda: MLP(2, [1], init=3), TypeError, "MLP: expected init to be a name or a list of pairs (W, B), got int 3"),  # type: ignore[arg-type]
    (lambda: MLP(2, [1, 1], init=[([[1, 1]], [0])]), ValueError, "MLP: expected init to hold 2 pairs (W, B), got 1"),
    (
        lambda: MLP(2, [1], init=[[[1, 1]]]),  # type: ignore[list-item]
        TypeError,
        "MLP: expected init[0] to be a pair of weights and bias, got list [[1, 1]]",
    ),
    (
        lambda: MLP(2, [3, 1], init=[(np.ones((2, 3)), [0] * 3), ([[1] * 3], [0])]),
        ValueError,
        "MLP: expected init[0][0] of shape (3, 2), got (2, 3)",
    ),
    (
        lambda: MLP(2, [3, 1], init=[(np.ones((3, 2)), [0] * 3), ([[1] * 3], 0)]),
        ValueError,
        "MLP: expected init[1][1] of shape (1,), got ()",
    ),
    (
        lambda: MLP(2, [2], init=[([[1, 2], [3]], [0, 0])]),
        ValueError,
        "MLP: expected init[0][0] of shape (2, 2), got rows of unequal length",
    ),
    (
        lambda: MLP(2, [1], init=[(NAN_ROW, [0])]),
        ValueError,
        "MLP: expected init[0][0] to hold finite numbers, got list [[nan, 1.0]]",
    ),
    (
        lambda: MLP(2, [1], init=[([["1", "2"]], [0])]),
        TypeError,
        "MLP: expected init[0][0] to hold numbers, got list [['1', '2']]",
    ),
    (
        lambda: MLP(2, [1], init=[([[1, 2]], None)]),
        TypeError,
        "MLP: expected init[0][1] to hold numbers, got NoneType None",
    ),
    (
        lambda: MLP(2, [1], bias=False, init=[([[1, 2]], [0])]),
        ValueError,
        "MLP: expected init[0][1] to be None with bias=False, got list [0]",
    ),
    (lambda: Layer(2, 1, init=([1, 2], [0])), ValueError, "Layer: expected init[0] of shape (1, 2), got (2,)"),
    (lambda: Neuron(2, init=([1, 2], [0])), ValueError, "Neuron: expected init[1] of shape (), got (1,)"),
    # seeds
    (lambda: MLP(2, [1], seed=-1), ValueError, "MLP: expected seed to be an int of 0 or more, or None, got int -1"),
    (
        lambda: Layer(2, 1, seed="a"),  # type: ignore[arg-type]
        TypeError,
        "Layer: expected seed to be an int of 0 or more, or None, got str 'a'",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_case_22_wrong_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message


def test_nan_and_infinite_inputs_follow_ieee_754() -> None:
    model = MLP(2, [1], init="ones")
    assert math.isnan(model([math.nan, 1.0]).data)
    assert mse_loss(model([math.inf, 1.0]), 0.0).data == math.inf


def test_parameters_in_an_array_of_objects_are_found() -> None:
    class Model(Module):
        def __init__(self) -> None:
            self.weights = np.array([[Value(1.0), Value(2.0)]], dtype=object)

    assert [name for name, _ in Model().named_parameters()] == ["weights.0.0", "weights.0.1"]


def test_a_leaf_of_the_users_own_keeps_its_label() -> None:
    mine = Value(3.0, "mine")
    model = MLP(1, [1], output_activation=lambda z: mine)
    assert model(1.0) is mine
    assert mine.label == "mine"

"""A graph in larger pieces: named expressions, neurons and layers."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from autograd_mini.graph import topological_order
from autograd_mini.groups import LEVELS, Group, Groups, subscript, superscript
from autograd_mini.value import Value

THREE_SAMPLES = [[0.5, -1.0], [1.5, 2.0], [-0.3, 0.7]]


def groups_of(root: Value) -> Groups:
    return Groups(topological_order(root))


def names_at(groups: Groups, level: str) -> list[str]:
    """What is seen, in order: the names of groups, the labels of single nodes."""
    return [seen.name if isinstance(seen, Group) else groups.order[seen].label or "·" for seen in groups.seen_at(level)]


def worked_example() -> Value:
    inputs = [Value(number, f"x{subscript(row)}") for row, number in enumerate((2.0, 4.0, 3.0), start=1)]
    prediction: Value = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")(inputs)
    return prediction


def batch() -> Value:
    network = nn.MLP(2, [3, 1], activation="tanh", seed=1)
    loss: Value = nn.mse_loss([network(row) for row in THREE_SAMPLES], [1.0, 0.0, 2.0])
    return loss


def assert_each_node_is_seen_once(groups: Groups) -> None:
    for level in LEVELS:
        seen: list[int] = []
        for box in groups.seen_at(level):
            seen += box.members if isinstance(box, Group) else [box]
        assert sorted(seen) == list(range(len(groups.order))), level


# Named expressions


def test_an_expression_is_a_label_with_what_only_it_uses() -> None:
    x, y = Value(1.0, "x"), Value(2.0, "y")
    shared = x * y
    root = (shared + 1.0).tanh() * shared
    root.label = "root"
    groups = groups_of(root)
    (group,) = groups.groups
    members = {id(groups.order[place]) for place in group.members}
    assert (group.level, group.name, group.is_leaves) == ("expression", "root", False)
    assert [groups.order[place] for place in group.roots] == [root]
    assert len(group.members) == 4  # also what it uses twice
    assert id(shared) in members
    assert {id(x), id(y)}.isdisjoint(members)


def test_what_two_expressions_use_belongs_to_neither() -> None:
    shared = Value(1.0, "x") * 2.0
    left, right = shared.sin() * 3.0, shared.cos() * 4.0
    left.label, right.label = "left", "right"
    root = left + right
    groups = groups_of(root)
    assert names_at(groups, "expression") == ["x", "·", "left", "right", "·"]
    assert_each_node_is_seen_once(groups)


def test_without_labels_nothing_is_grouped() -> None:
    groups = groups_of((Value(1.0) * 2.0 + 3.0).exp())
    assert groups.groups == []
    for level in LEVELS:
        assert groups.seen_at(level) == [0, 1, 2, 3]


def test_a_label_on_a_single_operation_is_no_group() -> None:
    root = Value(1.0) + 2.0
    root.label = "sum"
    assert groups_of(root).groups == []


# Neurons and layers


def test_worked_example_by_expression() -> None:
    seen = Counter(names_at(groups_of(worked_example()), "expression"))
    assert {name: seen[name] for name in ("z¹₁", "z¹₂", "a¹₁", "z²₃", "a²₃", "ŷ", "·")} == {
        **dict.fromkeys(("z¹₁", "z¹₂", "a¹₁", "z²₃", "a²₃", "ŷ"), 1),
        "·": 0,
    }


def test_worked_example_by_neuron() -> None:
    groups = groups_of(worked_example())
    assert set(names_at(groups, "neuron")) == {
        *("x₁", "x₂", "x₃", "w⁰₁", "w⁰₂", "w¹₁", "w¹₂", "w¹₃", "w²₁"),
        *("a¹₁", "a¹₂", "a²₁", "a²₂", "a²₃", "ŷ"),
    }
    sizes = {group.name: len(group.members) for group in groups.groups if group.level == "neuron"}
    assert sizes["w⁰₁"] == 3 + 1
    assert sizes["a¹₁"] == 3 + 3 + 1  # products, sums with the bias, σ
    assert sizes["ŷ"] == 3 + 3


def test_worked_example_by_layer() -> None:
    groups = groups_of(worked_example())
    assert set(names_at(groups, "layer")) == {"x", "W⁰, B⁰", "W¹, B¹", "W², B²", "A¹", "A²", "Z³"}
    sizes = {group.name: (len(group.members), group.is_leaves) for group in groups.groups if group.level == "layer"}
    assert sizes == {
        "x": (3, True),
        "W⁰, B⁰": (8, True),
        "W¹, B¹": (9, True),
        "W², B²": (4, True),
        "A¹": (14, False),
        "A²": (15, False),
        "Z³": (6, False),
    }
    assert [(layer.map, layer.sample, len(layer.neurons)) for layer in groups.layers] == [
        (0, 1, 2),
        (1, 1, 3),
        (2, 1, 1),
    ]


def test_the_parts_of_a_neuron_are_told_apart() -> None:
    groups = groups_of(worked_example())
    neuron = groups.layers[1].neurons[2]
    label = groups.labels
    assert neuron.row == 3
    assert [label[place] for place in neuron.weights] == ["w¹₃₁", "w¹₃₂"]
    assert [label[place] for place in neuron.inputs if isinstance(place, int)] == ["a¹₁", "a¹₂"]
    assert neuron.bias is not None
    assert (label[neuron.bias], label[neuron.z], label[neuron.a]) == ("b¹₃", "z²₃", "a²₃")


def test_a_batch_uses_each_layer_once_a_sample() -> None:
    groups = groups_of(batch())
    assert set(names_at(groups, "layer")) == {
        *("W⁰, B⁰", "W¹, B¹", "loss"),
        *("A¹⁽¹⁾", "A¹⁽²⁾", "A¹⁽³⁾", "Z²⁽¹⁾", "Z²⁽²⁾", "Z²⁽³⁾"),
    }
    assert [(layer.map, layer.sample) for layer in groups.layers] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert groups.layers[0].inputs == THREE_SAMPLES[0]
    assert groups.layers[0].input_nodes == []


def test_a_layer_used_twice_on_the_same_inputs_is_two_samples() -> None:
    network = nn.MLP(1, [2], activation="tanh", seed=1)
    inputs = [Value(0.5, "x")]
    first, second = network(inputs), network(inputs)
    groups = groups_of(first[0] * second[0] + first[1] * second[1])
    assert [(layer.map, layer.sample, len(layer.neurons)) for layer in groups.layers] == [(0, 1, 2), (0, 2, 2)]
    assert_each_node_is_seen_once(groups)


def test_more_than_nine_inputs_have_commas_in_their_labels() -> None:
    output = nn.MLP(12, [1], activation="tanh", seed=1)([Value(float(number)) for number in range(12)])
    groups = groups_of(output)
    assert len(groups.layers[0].neurons[0].weights) == 12
    assert set(names_at(groups, "layer")) == {"x", "W⁰, B⁰", "Z¹"}


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "leaky_relu", "softplus", None])
def test_neurons_of_every_activation_are_found(activation: str | None) -> None:
    network = nn.MLP(2, [2, 1], activation=activation, seed=1)
    groups = groups_of(network([Value(1.0), Value(2.0)]))
    assert [len(layer.neurons) for layer in groups.layers] == [2, 1]
    assert_each_node_is_seen_once(groups)


def test_a_layer_lies_round_its_neurons_and_they_round_their_expressions() -> None:
    groups = groups_of(batch())
    for place in range(len(groups.order)):
        sizes = []
        for level in LEVELS:
            group = groups.containing(place, level)
            sizes.append(set(group.members) if group else {place})
        assert sizes[0] <= sizes[1] <= sizes[2]


def test_an_opened_group_shows_what_lies_within() -> None:
    groups = groups_of(worked_example())
    layer = next(group for group in groups.groups if group.name == "A¹")
    neuron = next(group for group in groups.groups if group.name == "a¹₁")
    place = neuron.members[0]
    assert groups.containing(place, "layer") is layer
    assert groups.containing(place, "layer", opened=[layer]) is neuron
    within = groups.containing(place, "layer", opened=[layer, neuron])
    assert within is not None
    assert (within.level, within.name) == ("expression", "z¹₁")
    assert groups.containing(place, "layer", opened=[layer, neuron, within]) is None


# Labels that lie


@pytest.mark.parametrize("label", ["z¹₁", "ŷ", "a¹₁", "w⁰₁₁", "b⁰₁", "z" + "⁹" * 5_000 + "₁", "A¹", "<b>"])
def test_a_label_alone_makes_no_neuron(label: str) -> None:
    x = Value(1.0, "x")
    for root in (x * 2.0 + 1.0, x + x * x, (x * x).tanh(), x * x, 2.0 / x + x):
        root.label = label
        groups = groups_of(root)
        assert groups.layers == []
        assert {group.level for group in groups.groups} <= {"expression"}
        assert_each_node_is_seen_once(groups)


@pytest.mark.parametrize("digits", ["⁰" * 5_000 + "₁₁", "⁰" + "₁" * 5_000, "⁰₁", "⁰₁₂", "₁₁"])
def test_labels_of_weights_that_are_none(digits: str) -> None:
    weight, bias = Value(1.0, f"w{digits}"), Value(0.0, "b⁰₁")
    root = weight * Value(2.0, "x") + bias
    root.label = "z¹₁"
    assert groups_of(root).layers == []


def test_products_in_another_order_are_no_neuron() -> None:
    weight, bias = Value(1.0, "w⁰₁₁"), Value(0.0, "b⁰₁")
    for root in (2.0 * weight + bias, Value(2.0) * weight + bias, bias + weight * 2.0, bias + bias, weight + bias):
        root.label = "z¹₁"
        assert groups_of(root).layers == []
    found = weight * 2.0 + bias
    found.label = "z¹₁"
    assert groups_of(found).layers[0].inputs == [2.0]


LABELS = st.sampled_from(["", "", "x", "z¹₁", "z¹₂", "a¹₁", "ŷ", "w⁰₁₁", "w⁰₁₂", "w⁰₂₁", "b⁰₁", "b⁰₂", "loss"])


@st.composite
def graphs(draw: st.DrawFn) -> Value:
    nodes = [Value(1.0, draw(LABELS)) for _ in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(0, 12))):
        x, y = draw(st.sampled_from(nodes)), draw(st.one_of(st.sampled_from(nodes), st.just(2.0)))
        result = draw(st.sampled_from([x + y, x * y, x.tanh(), 2.0 * x]))
        result.label = draw(LABELS)
        nodes.append(result)
    return nodes[-1]


@given(graphs())
def test_whatever_the_labels_say_each_node_is_seen_once(root: Value) -> None:
    groups = groups_of(root)
    assert_each_node_is_seen_once(groups)
    for group in groups.groups:
        assert set(group.roots) <= set(group.members)
        assert tuple(sorted(set(group.members))) == group.members
        users = {place for place, operands in enumerate(groups.operands) if set(operands) & set(group.members)}
        if group.level == "expression" and not group.is_leaves:
            outside = users - set(group.members)
            used = {operand for place in outside for operand in groups.operands[place]} & set(group.members)
            assert used <= set(group.roots)


# Sizes


@pytest.mark.parametrize("label", ["", "step"])
def test_a_large_graph_is_read_in_one_go(label: str) -> None:
    root = Value(1.0, "x")
    for _ in range(30_000):
        root = (root * 0.5).tanh() + root
        root.label = label
    groups = groups_of(root)
    assert len(groups.seen_at("layer")) == (1 + 30_000 if label else 1 + 3 * 30_000)


def test_numbers_as_the_paper_writes_them() -> None:
    assert superscript(120) + subscript(345) == "¹²⁰₃₄₅"

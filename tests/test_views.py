"""Both passes at every level, with groups opened or not: each view tells the whole story, and the same one."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import graphs, network_graphs, unhurried
from test_frames import engine_gradients

import nn
from autograd_mini.groups import Group
from autograd_mini.value import Value
from autograd_mini.walkthrough import BackwardFrame, ForwardFrame, LayerFrame, SeedFrame, View, Walkthrough, walkthrough
from autograd_mini.walkthrough.views import ALL_LEVELS

GRAPHS = st.one_of(network_graphs(), graphs())


@st.composite
def views(draw: st.DrawFn) -> View:
    """A view of a random graph at some level, with some of the groups opened."""
    steps = walkthrough(draw(GRAPHS))
    groups = [group for group in steps.passes.groups.groups if not group.is_leaves]
    opened = draw(st.lists(st.sampled_from(groups), max_size=3)) if groups else []
    return steps.view(draw(st.sampled_from(ALL_LEVELS)), opened)


# Told in order


@unhurried
@given(views())
def test_every_number_is_known_before_it_is_used(view: View) -> None:
    passes = view.passes
    known = {place for place, value in enumerate(passes.nodes) if value.op is None}
    for frame in view:
        if isinstance(frame, ForwardFrame):
            place = passes.groups.places[id(frame.node)]
            group = view.group(place)
            members = set(group.members) if group else {place}
            needed = {operand for member in members for operand in passes.groups.operands[member]} - members
            assert needed <= known
            assert place not in known
            known.add(place)
        elif isinstance(frame, LayerFrame) and frame.phase == "forward":
            done = {passes.forward_order[at] for at in frame.covers}
            assert {operand for place in done for operand in passes.groups.operands[place]} - done <= known
            assert known.isdisjoint(frame.targets)
            known |= set(frame.targets)
    assert passes.root in known


@unhurried
@given(views())
def test_gradients_add_up_frame_by_frame(view: View) -> None:
    """A gradient that is used upstream is in the view by then, and nothing adds to it later."""
    passes = view.passes
    places = passes.groups.places
    gradients: dict[int, float] = {}
    final: set[int] = set()
    for frame in view:
        if isinstance(frame, SeedFrame):
            gradients[passes.root] = 1.0
        elif isinstance(frame, BackwardFrame):
            source, target = places[id(frame.node)], places[id(frame.operand)]
            final.add(source)
            assert repr(frame.upstream) == repr(gradients[source])
            assert target not in final
            assert repr(frame.before) == repr(gradients.get(target))
            assert repr(frame.after) == repr((frame.before or 0.0) + frame.product)
            gradients[target] = frame.after
        elif isinstance(frame, LayerFrame) and frame.phase == "backward":
            (layer,) = (each for each in passes.groups.layers if tuple(n.a for n in each.neurons) == frame.group.roots)
            sums, results = {neuron.z for neuron in layer.neurons}, {neuron.a for neuron in layer.neurons}
            final |= results if set(frame.targets) == sums else sums
            assert final <= gradients.keys()
            assert final.isdisjoint(frame.targets)
            assert frame.is_sum == any(target in gradients for target in frame.targets)
            entries = [entry for row in frame.result for entry in row]
            gradients.update(zip(frame.targets, entries, strict=True))
    expected = engine_gradients(passes.nodes[passes.root])
    assert {
        id(passes.nodes[place]): repr(gradient) for place, gradient in gradients.items()
    }.items() <= expected.items()
    assert {place for place, value in enumerate(passes.nodes) if value.op is None} <= gradients.keys()


@unhurried
@given(views())
def test_a_frame_of_a_closed_group_is_that_of_its_edge(view: View) -> None:
    singles = view.passes
    walk = View(singles)
    for frame in view:
        single = walk[frame.at]
        if isinstance(frame, BackwardFrame):
            assert isinstance(single, BackwardFrame)
            assert frame.operand is single.operand
            assert list(map(repr, (frame.product, frame.before, frame.after))) == list(
                map(repr, (single.product, single.before, single.after))
            )
            if all(map(math.isfinite, (frame.upstream, frame.local, frame.product))) and abs(frame.product) > 1e-290:
                assert frame.upstream * frame.local == pytest.approx(frame.product, rel=1e-12)
        if isinstance(frame, ForwardFrame):
            assert isinstance(single, ForwardFrame)
            assert (frame.node, frame.operation) == (single.node, single.operation)
            assert repr(frame.result) == repr(single.result)


# Nothing is left out, and nothing told twice


@unhurried
@given(views())
def test_counts_add_up_to_the_whole_walk(view: View) -> None:
    assert sum(frame.count for frame in view) == len(view.passes)
    covered = [at for frame in view if isinstance(frame, LayerFrame) for at in frame.covers]
    assert len(set(covered)) == len(covered)
    seen = {frame.at for frame in view if not isinstance(frame, LayerFrame)}
    assert seen.isdisjoint(covered)
    for at in set(range(len(view.passes))) - seen - set(covered):
        if at < view.passes.seed_at:
            place = view.passes.forward_order[at]
            group = view.group(place)
            assert group is not None
            assert place not in group.roots
        else:
            edge = view.passes.edge_at(at)
            group = view.group(edge.source)
            assert group is not None
            assert view.group(edge.target) is group


@unhurried
@given(views())
def test_the_cursor_finds_its_frame(view: View) -> None:
    places = [frame.at for frame in view]
    assert places == sorted(set(places)) == view.places
    assert [view.showing(at) for at in places] == list(range(len(view)))
    for at in range(len(view.passes)):
        frame = view[view.showing(at)]
        assert frame.at >= at or view.showing(at) == len(view) - 1
    assert view.showing(10**9) == len(view) - 1
    assert view[view.showing(view.passes.seed_at)].phase == "seed"


@unhurried
@given(GRAPHS)
def test_coarser_levels_have_no_more_frames(root: Value) -> None:
    steps = walkthrough(root)
    lengths = [len(steps.view(level)) for level in ("operation", "expression", "neuron")]
    assert lengths[0] == len(steps)
    assert lengths == sorted(lengths, reverse=True)
    everything = [group for group in steps.passes.groups.groups if not group.is_leaves]
    assert steps.view("layer", everything).places == steps.view("operation").places


# As a sequence


def test_a_view_is_a_sequence() -> None:
    x = Value(2.0, "x")
    steps = walkthrough(x * x + x)
    assert isinstance(steps, Walkthrough)
    assert len(steps) == 2 + 1 + 4
    assert [frame.at for frame in steps] == list(range(7))
    assert [frame.at for frame in steps[-2:]] == [5, 6]
    assert steps[-1] == steps[6]
    assert steps[3] in steps
    with pytest.raises(IndexError):
        steps[7]
    assert repr(steps) == "Walkthrough(v₂: 7 steps)"
    with pytest.raises(ValueError, match=r"^walkthrough: expected level to be one of operation, expression, neuron"):
        steps.view("node")


def worked_example() -> Value:
    inputs = [Value(number, label) for number, label in zip((2.0, 4.0, 3.0), ("x₁", "x₂", "x₃"), strict=True)]
    output: Value = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")(inputs)
    return output


def test_levels_of_the_worked_example() -> None:
    steps = walkthrough(worked_example())
    assert steps.levels == ALL_LEVELS
    assert [len(steps.view(level)) for level in ALL_LEVELS] == [101, 53, 43, 17]
    assert steps.default_level == "operation"
    assert walkthrough(Value(1.0) + 2.0).levels == ("operation",)
    assert walkthrough(Value(1.0) + 2.0).view("layer").level == "operation"


def test_a_closed_neuron_counts_what_it_stands_for() -> None:
    view = walkthrough(worked_example()).view("neuron")
    forward = {
        frame.name: frame.count for frame in view if frame.phase == "forward" and isinstance(frame, ForwardFrame)
    }
    assert forward == {"a¹₁": 7, "a¹₂": 7, "a²₁": 5, "a²₂": 5, "a²₃": 5, "ŷ": 6}
    frame = next(frame for frame in view if isinstance(frame, ForwardFrame))
    assert frame.symbols == "a¹₁ = σ(w⁰₁₁·x₁ + w⁰₁₂·x₂ + w⁰₁₃·x₃ + b⁰₁)"
    assert frame.numbers == "σ(1·2 + 1·4 + 1·3 + 0)"
    backward = [frame for frame in view if isinstance(frame, BackwardFrame) and frame.name == "a¹₁"]
    assert [(f.operand_name, f.local_symbols, f.local_numbers) for f in backward] == [
        ("b⁰₁", "a¹₁·σ(−z¹₁)", "0.999877·σ(−9)"),
        ("w⁰₁₃", "a¹₁·σ(−z¹₁)·x₃", "0.999877·σ(−9)·3"),
        ("x₃", "a¹₁·σ(−z¹₁)·w⁰₁₃", "0.999877·σ(−9)·1"),
        ("w⁰₁₂", "a¹₁·σ(−z¹₁)·x₂", "0.999877·σ(−9)·4"),
        ("x₂", "a¹₁·σ(−z¹₁)·w⁰₁₂", "0.999877·σ(−9)·1"),
        ("w⁰₁₁", "a¹₁·σ(−z¹₁)·x₁", "0.999877·σ(−9)·2"),
        ("x₁", "a¹₁·σ(−z¹₁)·w⁰₁₁", "0.999877·σ(−9)·1"),
    ]


def test_one_layer_is_opened() -> None:
    steps = walkthrough(worked_example())
    opened = next(group for group in steps.passes.groups.groups if group.name == "A¹")
    view = steps.view("layer", [opened])
    kinds = Counter(type(frame) for frame in view if frame.phase == "forward")
    assert kinds == {LayerFrame: 3, ForwardFrame: 2}
    assert [frame.name for frame in view[:3]] == ["a¹₁", "a¹₂", "Z²"]


def test_softmax_by_hand_reads_as_in_a_book() -> None:
    scores = [Value(number, label) for number, label in zip((1.0, 2.0, -1.0), ("s₁", "s₂", "s₃"), strict=True)]
    powers = [score.exp() for score in scores]
    share = powers[1] / (powers[0] + powers[1] + powers[2])
    share.label = "p₂"
    loss = -share.log()
    loss.label = "L"
    frames = walkthrough(loss).view("expression")
    assert frames[0].symbols == "p₂ = exp(s₂) / (exp(s₁) + exp(s₂) + exp(s₃))"
    assert frames[1].symbols == "L = −log(p₂)"
    local = {frame.operand_name: frame.local_symbols for frame in frames if isinstance(frame, BackwardFrame)}
    assert local == {
        "p₂": "−1 / p₂",
        "s₁": "−p₂·exp(s₁) / (exp(s₁) + exp(s₂) + exp(s₃))",
        "s₂": "(1 / (exp(s₁) + exp(s₂) + exp(s₃)) − p₂ / (exp(s₁) + exp(s₂) + exp(s₃)))·exp(s₂)",
        "s₃": "−p₂·exp(s₃) / (exp(s₁) + exp(s₂) + exp(s₃))",
    }


def test_opening_a_group_that_is_not_of_the_graph_changes_nothing() -> None:
    steps = walkthrough(worked_example())
    assert steps.view("layer", [Group("layer", "A¹", (1,), (1,))]).places == steps.view("layer").places


@pytest.mark.parametrize("max_nodes", [0, -1, True, 2.5, "many"])
def test_a_limit_is_a_whole_number(max_nodes: Any) -> None:
    with pytest.raises(ValueError, match="walkthrough: expected max_nodes to be a whole number of at least 1, got"):
        walkthrough(Value(1.0), max_nodes=max_nodes)


def test_an_empty_level_is_no_level() -> None:
    with pytest.raises(ValueError, match=r"expected level to be one of operation, .*, got ''"):
        walkthrough(Value(1.0)).to_text("")


def test_what_cannot_be_saved_is_said_before_anything_is_written(tmp_path: Path) -> None:
    steps = walkthrough(Value(1.0))
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(IsADirectoryError, match="save: expected the name of a file, got the folder"):
        steps.save(tmp_path / "folder.html")
    with pytest.raises(FileNotFoundError, match="save: there is no folder"):
        steps.save(tmp_path / "nowhere" / "page.html")
    with pytest.raises(ValueError, match=r"save: expected a path ending in \.html, got 'page\.txt'"):
        steps.save(tmp_path / "page.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]

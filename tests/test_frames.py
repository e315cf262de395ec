"""The frames of single operations and edges against the engine's own gradients."""

import math
import time
import unicodedata
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from formula_reader import value_of
from hypothesis import assume, given
from hypothesis import strategies as st
from recordings import PLAIN_NUMBERS, graphs, network_graphs, unhurried
from support import DEEP, PATIENCE, chain, fields

import nn
from autograd_mini.formula import TEXT, filled
from autograd_mini.graph import topological_order
from autograd_mini.ops import Op
from autograd_mini.source_code import Expression
from autograd_mini.value import Value, apply
from autograd_mini.walkthrough import BackwardFrame, ForwardFrame, SeedFrame, walkthrough
from autograd_mini.walkthrough.frames import Passes

ANY_GRAPH = st.one_of(graphs(), network_graphs())


def engine_gradients(root: Value) -> dict[int, str]:
    """What a fresh backward() leaves, as text: NaN is equal to NaN, and -0.0 differs from 0.0."""
    nodes = topological_order(root)
    for node in nodes:
        node._grad = 0.0
    root.backward()
    gradients = {id(node): repr(node._grad) for node in nodes}
    for node in nodes:
        node._grad = 0.0
    return gradients


def exact(x: float) -> str:
    """A number with all of its digits, as formulas write numbers."""
    if math.isnan(x):
        return "NaN"
    return repr(x).replace("inf", "∞").replace("-", "−", 1 if math.copysign(1, x) < 0 else 0)


EXACTLY = replace(TEXT, number=exact)


# Replayed


@unhurried
@given(ANY_GRAPH)
def test_backward_frames_replayed_alone_give_the_gradients(root: Value) -> None:
    before = [fields(node) for node in topological_order(root)]  # type: ignore[arg-type]
    frames = list(walkthrough(root))
    assert before == [fields(node) for node in topological_order(root)]  # type: ignore[arg-type]
    gradients: dict[int, float] = {}
    is_final: set[int] = set()
    for frame in frames:
        if isinstance(frame, SeedFrame):
            assert frame.node is root
            gradients[id(root)] = frame.result
        if isinstance(frame, BackwardFrame):
            upstream, target = gradients[id(frame.node)], id(frame.operand)
            assert target not in is_final
            is_final.add(id(frame.node))
            assert repr(frame.upstream) == repr(upstream)
            assert repr(frame.before) == repr(gradients.get(target))
            gradients[target] = gradients.get(target, 0.0) + upstream * frame.local
            assert repr(frame.product) == repr(upstream * frame.local)
            assert repr(frame.after) == repr(gradients[target])
    assert {node: repr(gradient) for node, gradient in gradients.items()} == engine_gradients(root)


@unhurried
@given(ANY_GRAPH)
def test_forward_frames_come_first_and_each_after_its_operands(root: Value) -> None:
    frames = list(walkthrough(root))
    nodes = topological_order(root)
    known = {id(node) for node in nodes if node.op is None}
    phases = [frame.phase for frame in frames]
    forward_count = len(nodes) - len(known)
    assert phases[:forward_count] == ["forward"] * forward_count
    assert phases[forward_count] == "seed"
    assert set(phases[forward_count + 1 :]) <= {"backward"}
    for at, frame in enumerate(frames):
        assert frame.at == at
        if isinstance(frame, ForwardFrame):
            assert {id(operand) for operand in frame.node.parents} <= known
            known.add(id(frame.node))
            assert repr(frame.result) == repr(frame.node.data)
    edges = Counter((id(frame.node), id(frame.operand)) for frame in frames if isinstance(frame, BackwardFrame))
    assert edges == Counter((id(node), id(operand)) for node in nodes for operand in node.operand_nodes())


# Formulas, read back


@unhurried
@given(graphs(numbers=PLAIN_NUMBERS))
def test_formulas_of_random_graphs_say_what_is_computed(root: Value) -> None:
    passes = walkthrough(root).passes
    for place in passes.forward_order:
        assert_says(passes, passes.operation_formula(place), passes.nodes[place].data, exactly=True)
        members = passes.expression_members(place)
        assert_says(passes, passes.result_formula(place, frozenset(members)), passes.nodes[place].data, exactly=True)
    for edge in passes.edges:
        assert_says(passes, passes.local_formula(edge, None), passes.local(edge))


@unhurried
@given(graphs(numbers=PLAIN_NUMBERS, labels=[""], most=8))
def test_formulas_of_one_long_expression_say_what_is_computed(root: Value) -> None:
    assume(root.op is not None)
    root.label = "y"
    passes = walkthrough(root).passes
    members = passes.expression_members(passes.root)
    assert_says(passes, passes.result_formula(passes.root, frozenset(members)), root.data, exactly=True)
    group = passes.groups.containing(passes.root, "expression")
    for edge in passes.edges if group else []:
        if edge.source in members and edge.target not in members:
            slope = passes.slope(edge.source, group) * passes.local(edge)
            assert_says(passes, passes.local_formula(edge, group), slope)


def assert_says(passes: Passes, formula: Expression, expected: float, exactly: bool = False) -> None:
    text = EXACTLY.write(formula)
    symbols = filled(text, passes.name_of)
    numbers = filled(text, lambda letter, content: exact(passes.number_of(letter, content)))
    if "…" in symbols or not math.isfinite(expected) or abs(expected) > 1e100:
        return
    found = [value_of(numbers)]
    if "∂" not in symbols:
        found.append(value_of(symbols, dict(zip(passes.names, (node.data for node in passes.nodes), strict=True))))
    for number in found:
        if exactly:
            assert number == expected, (symbols, numbers)
        elif math.isfinite(number):  # what is simplified may overflow on the way
            assert math.isclose(number, expected, rel_tol=1e-8, abs_tol=1e-10), (symbols, numbers)


def test_a_walkthrough_by_hand() -> None:
    w, x, b = Value(3.0, "w"), Value(-2.0, "x"), Value(1.0, "b")
    z = w * x + b
    z.label = "z"
    y = z * z
    y.label = "y"
    product, total, square, seed, *backward = walkthrough(y)
    assert isinstance(product, ForwardFrame)
    assert (product.symbols, product.numbers, product.result) == ("v₁ = w·x", "3·(−2)", -6.0)
    assert isinstance(total, ForwardFrame)
    assert (total.symbols, total.numbers, total.operation, total.result) == (
        "z = w·x + b",
        "3·(−2) + 1",
        "v₁ + b",
        -5.0,
    )
    assert isinstance(square, ForwardFrame)
    assert (square.symbols, square.numbers, square.result) == ("y = z·z", "−5·(−5)", 25.0)
    assert isinstance(seed, SeedFrame)
    assert (seed.symbols, seed.node, seed.result) == ("∂y/∂y = 1", y, 1.0)
    assert [frame.symbols for frame in backward] == [
        "∂y/∂z += ∂y/∂y · z",
        "∂y/∂z += ∂y/∂y · z",
        "∂y/∂v₁ += ∂y/∂z · 1",
        "∂y/∂b += ∂y/∂z · 1",
        "∂y/∂w += ∂y/∂v₁ · x",
        "∂y/∂x += ∂y/∂v₁ · w",
    ]
    steps = [frame for frame in backward if isinstance(frame, BackwardFrame)]
    assert [(f.upstream, f.local, f.product, f.before, f.after) for f in steps] == [
        (1.0, -5.0, -5.0, None, -5.0),
        (1.0, -5.0, -5.0, -5.0, -10.0),
        (-10.0, 1.0, -10.0, None, -10.0),
        (-10.0, 1.0, -10.0, None, -10.0),
        (-10.0, -2.0, 20.0, None, 20.0),
        (-10.0, 3.0, -30.0, None, -30.0),
    ]
    assert (steps[4].name, steps[4].operand_name, steps[4].node, steps[4].operand) == ("v₁", "w", product.node, w)
    assert (steps[4].local_symbols, steps[4].local_numbers) == ("x", "−2")


def test_a_leaf_alone_has_one_frame() -> None:
    leaf = Value(2.0, "x")
    (seed,) = walkthrough(leaf)
    assert isinstance(seed, SeedFrame)
    assert (seed.at, seed.symbols, seed.node) == (0, "∂x/∂x = 1", leaf)
    assert walkthrough(leaf).levels == ("operation",)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(TypeError, match=r"^walkthrough: expected a Value, got float$"):
        walkthrough(2.0)  # type: ignore[arg-type]
    x = Value(2.0, "x")
    y = x * x
    y.label = "y\x1b[2J"
    with pytest.raises(ValueError, match=r"^walkthrough: the graph has 2 nodes, expected at most 1; step through"):
        walkthrough(y, max_nodes=1)
    assert len(walkthrough(y, max_nodes=2)) == 4
    x.data = 3.0
    with pytest.raises(ValueError, match=r"^walkthrough: the graph was recorded with other numbers \(y␛\[2J gave 4.0"):
        walkthrough(y)
    x.data = 2.0
    assert len(walkthrough(y)) == 4


def test_what_changes_afterwards_changes_no_step() -> None:
    """A notebook steps through a loss, and an optimizer takes a step."""
    network = nn.MLP(2, [1], seed=0)
    output = network([Value(1.0, "x₁"), Value(2.0, "x₂")])
    steps = walkthrough(output)

    def faces() -> list[str]:
        return [*map(steps.to_text, steps.levels), steps.to_latex(), steps.to_html()]

    before = faces()
    output.backward()
    for parameter in network.parameters():
        parameter.data += 1.0
        parameter.label = "changed"
    assert faces() == before


# Names


@unhurried
@given(ANY_GRAPH)
def test_no_two_nodes_share_a_name(root: Value) -> None:
    names = walkthrough(root).passes.names
    assert len(set(names)) == len(names)
    assert all(names)


def test_names_are_labels_and_numbers() -> None:
    leaves = [Value(1.0, label) for label in ("x", "x", "x⁽¹⁾", "", "v₂", " \n ")]
    root = sum(leaves[1:], start=leaves[0])
    names = walkthrough(root).passes.names
    shown = [names[walkthrough(root).passes.groups.places[id(leaf)]] for leaf in leaves]
    assert shown == ["x⁽²⁾", "x⁽³⁾", "x⁽¹⁾", "v₁", "v₂", "v₃"]


@pytest.mark.parametrize(
    "label",
    [
        "\ue000n0\ue001",
        "\ue000g0!\ue001",
        "\ue000",
        "a\nb",
        "\x1b[31m",
        "x" * 100_000,
        "\u202egnol",
        "\u2028",
        "\ud800",
        "{0}",
        "%s",
        "\\g<0>",
        "<b>",
        "-x",
    ],
)
def test_case_23_hostile_labels_stay_names(label: str) -> None:
    x, y = Value(2.0, label), Value(-3.0, "y")
    root = x * y - x
    root.label = f"{label}!"
    for frame in walkthrough(root):
        texts = [getattr(frame, name, "") for name in ("name", "operand_name", "symbols", "operation", "local_symbols")]
        for text in [*texts, getattr(frame, "numbers", ""), getattr(frame, "local_numbers", "")]:
            text.encode()
            assert len(text) < 2_000
            assert not any(unicodedata.category(each) in ("Cc", "Cs", "Co", "Zl", "Zp") for each in text)
            assert "\u202e" not in text
    passes = walkthrough(root).passes
    assert_says(
        passes, passes.result_formula(passes.root, passes.expression_members(passes.root)), root.data, exactly=True
    )


# Rows of the user's own


def own_row(**changes: Any) -> Op:
    row: dict[str, Any] = {
        "name": "cube",
        "symbol": "cube\n\ue000n0\ue001",
        "forward": lambda m, x: x * x * x,
        "partials": (lambda m, out, x: 3.0 * x * x,),
        "doc": "x³",
    }
    return Op(**row | changes)


def test_a_row_of_ones_own_stands_by_its_symbol() -> None:
    x = Value(2.0, "x")
    y = apply(own_row(), x)
    y.label = "y"
    forward, _, backward = walkthrough(y)
    assert isinstance(forward, ForwardFrame)
    assert isinstance(backward, BackwardFrame)
    assert (forward.symbols, forward.numbers) == ("y = cube��n0�(x)", "cube��n0�(2)")
    assert (backward.local_symbols, backward.local_numbers, backward.local) == ("3·x·x", "3·2·2", 12.0)


@pytest.mark.parametrize(
    "partial",
    [
        lambda m, out, x: 3.0 * math.pow(x, 2),
        lambda m, out, x: 12.0 if x > 1 else 0.0,
        lambda m, out, x: float(x) ** 2 * 3,
        lambda m, out, x: math.prod([x] * 2) * 3 if isinstance(x, float) else long_formula(x),
        lambda m, out, x: 12.0 if isinstance(x, float) else "text",
    ],
)
def test_a_rule_that_is_no_formula_falls_back_to_its_number(partial: Any) -> None:
    y = apply(own_row(partials=(partial,)), Value(2.0, "x"))
    y.label = "y"
    for level in ("operation", "expression"):
        frame = walkthrough(y).view(level)[2]
        assert isinstance(frame, BackwardFrame)
        assert (frame.local_symbols, frame.local_numbers, frame.local) == ("∂y/∂x", "12", 12.0)
        assert frame.symbols == "∂y/∂x += ∂y/∂y · ∂y/∂x"


def long_formula(x: Any) -> Any:
    for _ in range(40):
        x = x + x
    return x


def test_an_inner_rule_that_is_no_formula() -> None:
    x = Value(2.0, "x")
    y = apply(own_row(partials=(lambda m, out, x: 3.0 * float(x) ** 2,)), x * 1.0) + x
    y.label = "y"
    frames = [f for f in walkthrough(y).view("expression") if isinstance(f, BackwardFrame)]
    assert [(f.local_symbols, f.local_numbers, f.local) for f in frames] == [
        ("1", "1", 1.0),
        ("∂y/∂x via v₁", "12", 12.0),
    ]


# Sizes


def test_100_000_nodes_are_refused_at_once() -> None:
    root = chain(Value(1.0), DEEP)
    start = time.perf_counter()
    with pytest.raises(ValueError, match="the graph has 100,001 nodes"):
        walkthrough(root)
    assert time.perf_counter() - start < PATIENCE


def deep_expression(step: Any) -> Value:
    root = Value(0.5, "x")
    for _ in range(5_000):
        root = step(root)
    root.label = "y"
    return root


@pytest.mark.parametrize(
    "root",
    [
        deep_expression(lambda x: x + 1.0),
        deep_expression(lambda x: 1.0 + x),
        deep_expression(lambda x: (x * 0.5).tanh()),
        deep_expression(lambda x: x * x),
        deep_expression(lambda x: x.sin() * x.cos()),
        deep_expression(lambda x: 0.0 - -x),
        deep_expression(lambda x: 1.0 / (x + 1.0)),
    ],
    ids=["sum", "nested sum", "chain", "squares", "diamonds", "signs", "fractions"],
)
def test_a_giant_expression_has_short_formulas(root: Value) -> None:
    for level in ("operation", "expression"):
        view = walkthrough(root).view(level)
        step = max(1, len(view) // 500)
        for frame in [*view[::step], *view[-3:], view[view.showing(view.passes.seed_at) - 1]]:
            texts = [getattr(frame, name, "") for name in ("symbols", "numbers", "local_symbols", "local_numbers")]
            assert max(map(len, texts)) < 300


def test_a_long_sum_is_shortened() -> None:
    leaves = [Value(float(number), f"x{number}") for number in range(3_000)]
    root = sum((leaf * leaf for leaf in leaves[1:]), start=leaves[0] * 2.0)
    root.label = "y"
    view = walkthrough(root).view("expression")
    frame = view[0]
    assert isinstance(frame, ForwardFrame)
    assert frame.symbols == "y = x0·2 + x1·x1 + x2·x2 + … + x2999·x2999"
    assert frame.numbers == "0·2 + 1·1 + 2·2 + … + 2999·2999"
    last = view[-1]
    assert isinstance(last, BackwardFrame)
    assert (last.operand_name, last.local_symbols) == ("x0", "2")
    assert frame.count + 1 + sum(each.count for each in view if each.phase == "backward") == len(walkthrough(root))


def test_frames_of_a_network_are_in_the_order_of_the_paper() -> None:
    network = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    output = network([Value(number, label) for number, label in zip((2.0, 4.0, 3.0), ("x₁", "x₂", "x₃"), strict=True)])
    symbols = [frame.symbols for frame in walkthrough(output).view("expression") if frame.phase == "forward"]
    assert symbols[:5] == [
        "z¹₁ = w⁰₁₁·x₁ + w⁰₁₂·x₂ + w⁰₁₃·x₃ + b⁰₁",
        "z¹₂ = w⁰₂₁·x₁ + w⁰₂₂·x₂ + w⁰₂₃·x₃ + b⁰₂",
        "a¹₁ = σ(z¹₁)",
        "a¹₂ = σ(z¹₂)",
        "z²₁ = w¹₁₁·a¹₁ + w¹₁₂·a¹₂ + b¹₁",
    ]

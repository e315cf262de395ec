"""The walkthrough as plain text: worked out by hand, within 80 columns, and safe to print whatever the labels hold."""

import copy
import math
import pickle
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from autograd_mini import Value, Walkthrough, apply, detect_anomaly, walkthrough
from autograd_mini.graph import topological_order
from autograd_mini.walkthrough.text import columns, exact, step_lines, wrapped
from nn.worked_example import network_output

HOSTILE = [
    "<script>alert(1)</script>",
    "[bold red]x[/]",
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "new\nline",
    "tab\tbell\a",
    "\u202eright to left",
    "😀" * 60,
    "漢字" * 45,
    "a" * 500,
    "a b " * 60,
    "\ue000n1\ue001",
    "{0} {name} %s",
    "é̂̂̂̂",
]


def small_graph() -> Value:
    """y = x·x + 3x at 2: 10, with the derivative 2·2 + 3 = 7."""
    x = Value(2.0, "x")
    y = x * x + x * 3
    y.label = "y"
    return y


def test_a_small_graph_worked_out_by_hand() -> None:
    assert (
        walkthrough(small_graph()).to_text("operation")
        == """\
Both passes over y in 9 steps, one operation or edge a step.
Given: x = 2.

Forward 1 of 3: v₁
  rule      v₁ = x·x
  numbers   2·2
  result    4

Forward 2 of 3: v₂
  rule      v₂ = x·3
  numbers   2·3
  result    6

Forward 3 of 3: y
  rule      y = x·x + x·3
  last step v₁ + v₂ = 4 + 6
  numbers   2·2 + 2·3
  result    10

Seed: the backward pass begins at y
  rule      ∂y/∂y = 1

Backward 1 of 5: from y to v₁
  rule      ∂y/∂v₁ += ∂y/∂y · 1
  upstream  ∂y/∂y = 1
  local     ∂y/∂v₁ = 1
  product   1 × 1 = 1
  sum       before —, after 1

Backward 2 of 5: from y to v₂
  rule      ∂y/∂v₂ += ∂y/∂y · 1
  upstream  ∂y/∂y = 1
  local     ∂y/∂v₂ = 1
  product   1 × 1 = 1
  sum       before —, after 1

Backward 3 of 5: from v₂ to x
  rule      ∂y/∂x += ∂y/∂v₂ · 3
  upstream  ∂y/∂v₂ = 1
  local     ∂v₂/∂x = 3
  product   1 × 3 = 3
  sum       before —, after 3

Backward 4 of 5: from v₁ to x
  rule      ∂y/∂x += ∂y/∂v₁ · x
  upstream  ∂y/∂v₁ = 1
  local     ∂v₁/∂x = x = 2
  product   1 × 2 = 2
  sum       before 3, after 5

Backward 5 of 5: from v₁ to x
  rule      ∂y/∂x += ∂y/∂v₁ · x
  upstream  ∂y/∂v₁ = 1
  local     ∂v₁/∂x = x = 2
  product   1 × 2 = 2
  sum       before 5, after 7

Found: ∂y/∂x = 7."""
    )


# Where each number of the worked example stands, to 14 digits; the text has 12 of them.
FORWARD = {
    "z¹₁": 9.0,
    "z¹₂": 9.0,
    "a¹₁": 0.99987660542401,
    "a¹₂": 0.99987660542401,
    **dict.fromkeys(("z²₁", "z²₂", "z²₃"), 1.99975321084803),
    **dict.fromkeys(("a²₁", "a²₂", "a²₃"), 0.88077116426483),
    "ŷ": 2.64231349279448,
}
BACKWARD = {
    "b²₁": 1.0,
    **dict.fromkeys(("w²₁₁", "w²₁₂", "w²₁₃"), 0.88077116426483),
    **dict.fromkeys(("a²₁", "a²₂", "a²₃"), 1.0),
    **dict.fromkeys(("z²₁", "z²₂", "z²₃", "b¹₁", "b¹₂", "b¹₃"), 0.10501332046441),
    **dict.fromkeys(("w¹₁₁", "w¹₁₂", "w¹₂₁", "w¹₂₂", "w¹₃₁", "w¹₃₂"), 0.10500036239026),
    **dict.fromkeys(("a¹₁", "a¹₂"), 0.31503996139322),
    **dict.fromkeys(("z¹₁", "z¹₂", "b⁰₁", "b⁰₂"), 3.8869425586639e-05),
    **dict.fromkeys(("w⁰₁₁", "w⁰₂₁"), 7.7738851173278e-05),
    **dict.fromkeys(("w⁰₁₂", "w⁰₂₂"), 1.5547770234656e-04),
    **dict.fromkeys(("w⁰₁₃", "w⁰₂₃"), 1.1660827675992e-04),
}


@pytest.mark.parametrize("level", ["operation", "expression"])
def test_every_number_of_the_worked_example_stands_at_its_step(level: str) -> None:
    steps = walkthrough(network_output()).to_text(level).split("\n\n")
    for name, number in FORWARD.items():
        (step,) = [step for step in steps if re.match(rf"Forward \d+ of \d+: {name}(,|$)", step.split("\n")[0])]
        assert step.endswith(f"  result    {exact(number)}")
    for name, number in BACKWARD.items():
        into = [step for step in steps if re.match(rf"Backward .* to {name}(,|$)", step.split("\n")[0])]
        assert into[0].split("\n")[-1].startswith("  sum       before —, after ")
        assert into[-1].endswith(f", after {exact(number)}")
    assert [step.count("\n") + 1 for step in steps if step.startswith("Seed")] == [2]


def test_layers_are_drawn_as_matrices() -> None:
    text = walkthrough(network_output()).to_text("layer")
    assert (
        """
Forward 1 of 5: Z¹, 12 operations together
  rule      Z¹ = W⁰ x + B⁰
  numbers   [1  1  1]   [2]   [0]
            [1  1  1] · [4] + [0]
                        [3]
  result    [9]
            [9]

Forward 2 of 5: A¹, 2 operations together
  rule      A¹ = σ(Z¹)
  numbers   σ of [9]
                 [9]
  result    [0.999876605424]
            [0.999876605424]
"""
        in text
    )
    assert (
        """
  rule      D_Z² = D_A² ⊙ σ′(Z²)ᵀ
  numbers   [1  1  1]
            ⊙ [0.880771·σ(−1.99975)  0.880771·σ(−1.99975)  0.880771·σ(−1.99975)]
  result    [0.105013320464  0.105013320464  0.105013320464]
"""
        in text
    )


def test_a_large_layer_keeps_its_corners() -> None:
    output = network_output((9, 8, 1), [0.1] * 9, weights="xavier", seed=1)
    text = walkthrough(output).to_text("layer")
    assert re.search(r"\[ +… +… +… +… +…\]", text)
    assert max(map(columns, text.split("\n"))) <= 80


@pytest.mark.parametrize("level", ["operation", "expression", "neuron", "layer"])
def test_nothing_is_wider_than_80_columns(level: str) -> None:
    for output in (
        network_output(),
        network_output((12, 12, 3), [1e-7] * 12, "gelu", weights="he", seed=0, target=[1, 2, 3]),
    ):
        for line in walkthrough(output).to_text(level).split("\n"):
            assert columns(line) <= 80, line


def test_case_23_hostile_labels_are_literal_and_move_no_cursor() -> None:
    leaves = [Value(0.5 + place, label) for place, label in enumerate(HOSTILE)]
    total = sum((a * b / b for a, b in pairwise(leaves)), start=leaves[0])
    total.label = "\x1b]0;title\a}"
    for level in ("operation", "expression"):
        text = walkthrough(total).to_text(level)
        for line in text.split("\n"):
            assert columns(line) <= 80, line
            assert not [each for each in line if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert "[bold red]x[/]" in text
        assert "{0} {name} %s" in text


def test_numbers_that_are_none_and_negative_factors() -> None:
    x = Value(-2.0, "x")
    y = x.log() * x
    y.label = "y"
    text = walkthrough(y).to_text("operation")
    assert "result    NaN" in text
    assert "local     ∂v₁/∂x = 1 / x = 1 / (−2) = −0.5" in text
    assert "product   −2 × (−0.5) = 1" in text


def test_a_leaf_alone_has_only_the_seed() -> None:
    assert walkthrough(Value(3.0, "x")).to_text() == (
        "Both passes over x in 1 step, one operation or edge a step.\nGiven: x = 3.\n\n"
        "Seed: the backward pass begins at x\n  rule      ∂x/∂x = 1\n\nFound: ∂x/∂x = 1."
    )


def test_many_leaves_are_counted() -> None:
    leaves = [Value(1.0, f"x{place}") for place in range(100)]
    text = walkthrough(sum(leaves[1:], start=leaves[0])).to_text()
    assert "x59 = 1, and 40 more.\n" in text


def test_minus_is_one_sign_everywhere() -> None:
    x = Value(-0.0, "x")
    y = x * -1e-7
    y.label = "y"
    text = walkthrough(y).to_text()
    assert "Given: x = −0." in text
    assert "-" not in text.replace("e-", "")
    assert exact(-1e-7) == "−1e-07"


def test_a_notebook_shows_text_where_a_page_would_be_too_large() -> None:
    walk = walkthrough(network_output([70, 70, 1], [0.1] * 70))
    assert len(walk.passes.nodes) > 10_000
    assert walk._repr_mimebundle_() == {"text/plain": walk.to_text()}


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda walk: pickle.loads(pickle.dumps(walk))])
def test_a_copy_steps_through_the_same(duplicate: Callable[[Walkthrough], Walkthrough]) -> None:
    walk = walkthrough(network_output())
    other = duplicate(walk)
    assert other.value is not walk.value
    assert [other.to_text(level) for level in other.levels] == [walk.to_text(level) for level in walk.levels]


def test_str_is_the_text() -> None:
    walk = walkthrough(small_graph())
    assert str(walk) == walk.to_text()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("y = a + b", ["y = a + b"]),
        ("y = aaaa + bbbb + cc", ["y = aaaa", "  + bbbb", "  + cc"]),
        ("aaaa·bbbb·cccc", ["aaaa·", "  bbbb·", "  cccc"]),
        ("abcdefghijklmnop", ["abcdefgh", "  ijklmnop"]),
        ("漢字漢字漢字", ["漢字漢字", "  漢字"]),
        ("", [""]),
    ],
)
def test_lines_break_before_operators_and_hang(text: str, lines: list[str]) -> None:
    assert list(wrapped(text, 10, hanging=2)) == lines


# Where NaN and infinity start


def test_the_step_where_infinity_starts_says_so() -> None:
    x = Value(0.0, "x")
    with detect_anomaly():
        y = x.log() * 2.0
        y.label = "y"
        walk = walkthrough(y)
    assert walk.passes.anomaly is not None
    first, *others = str(walk).splitlines()
    assert first == "Both passes over y in 5 steps, one operation or edge a step."
    said = " ".join(" ".join(others).split())  # where a line ends depends on how long the path of this file is
    assert said.startswith(f"Anomaly in v₁, forward: log(x = 0.0) is -inf, at {walk.passes.anomaly.line}")
    assert said.count(f"is -inf, at {walk.passes.anomaly.line}") == 1
    assert "\n".join(step_lines(walk, 0)) == (
        "Forward 1 of 2: v₁\n  rule      v₁ = log(x)\n  numbers   log(0)\n  result    −∞\n  anomaly   −∞ starts here"
    )
    assert str(walk).count("  anomaly   ") == 1


def test_the_step_where_a_gradient_stops_being_finite_says_so() -> None:
    x = Value(1.0, "x")
    big = (x * 1000.0).exp()
    walk = walkthrough(1.0 / (big * big))
    said = {index: walk.marks_at(index) for index in range(len(walk)) if walk.marks_at(index)}
    assert said == {1: ["∞ starts here"], 6: ["a gradient of NaN starts here"]}
    assert walk[6].symbols == "∂v₄/∂v₂ += ∂v₄/∂v₃ · v₂"
    walk = walkthrough(1e308 * (x - 1) + 1e308 * (x + -1))
    assert walk.marks_at(len(walk) - 1) == ["gradients add up to ∞ here"]
    assert [walk.marks_at(index) for index in range(len(walk) - 1)] == [[]] * (len(walk) - 1)


@pytest.mark.parametrize("level", ["operation", "expression", "neuron", "layer"])
def test_a_leaf_that_is_not_finite_is_said_where_it_is_used(level: str) -> None:
    output = network_output()
    leaf = next(node for node in topological_order(output) if node.label == "w⁰₁₁")
    leaf._data = math.nan
    view = walkthrough(rerun(output)).view(level)
    assert [index for index in range(len(view)) if view.marks_at(index)] == [0]
    assert view.marks_at(0) == ["w⁰₁₁ is NaN"]


def rerun(output: Value) -> Value:
    """The same recording with the numbers that its leaves have now."""
    again: dict[int, Any] = {}
    for node in topological_order(output):
        operands: list[Any] = [each if isinstance(each, float) else again[id(each)] for each in node.operands]
        again[id(node)] = apply(node.op, *operands) if node.op else node
        again[id(node)].label = node.label
    result: Value = again[id(output)]
    return result


def test_of_finite_numbers_nothing_is_said() -> None:
    assert "anomaly" not in str(walkthrough(network_output())).lower()


@pytest.mark.parametrize("label", HOSTILE)
def test_case_23_an_anomaly_with_a_hostile_label_keeps_to_the_page(label: str) -> None:
    text = str(walkthrough(Value(0.0, label).log()))
    assert max(map(columns, text.splitlines())) <= 80
    assert not any(unicodedata.category(each) in ("Cc", "Cf") for each in text.replace("\n", ""))

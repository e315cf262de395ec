"""The README's examples are run, and print what it says they print."""

import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from benchmarks.array_report import README_START as TARGETS_START
from benchmarks.report import README_END, README_START

from autograd_mini import draw, draw_network
from nn import MLP

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_every_python_example_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    count = 0
    for (language, source), (next_language, next_text) in zip(BLOCKS, [*BLOCKS[1:], ("", "")], strict=True):
        if language != "python":
            continue
        exec(compile(source, "README.md", "exec"), namespace)
        comments = re.findall(r"^print\(.*\)  # (.*)$", source, flags=re.MULTILINE)
        expected = next_text if next_language == "text" else "".join(f"{line}\n" for line in comments)
        assert capsys.readouterr().out == expected, source
        count += 1
    assert count >= 7
    assert {path.name for path in tmp_path.iterdir()} == {
        *("neuron.svg", "graph.svg", "network.svg", "xor.json"),
        *("inputs.npy", "targets.npy", "xor.onnx"),
    }


@pytest.mark.parametrize("session", [text for language, text in BLOCKS if language == "console"])
def test_every_terminal_session_prints_what_it_says(session: str) -> None:
    command, _, output = session.removeprefix("$ ").partition("\n")
    words = shlex.split(command)
    words[0] = str(Path(sys.executable).with_name(words[0]))
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == output


def texts(svg: str | bytes) -> set[str]:
    return {"".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


@pytest.mark.parametrize("name", ["neuron", "network"])
def test_the_pictures_show_what_the_code_draws_today(name: str) -> None:
    namespace: dict[str, object] = {}
    if name == "neuron":
        source = BLOCKS[0][1].partition("draw(o)")[0]
        exec(compile(source, "README.md", "exec"), namespace)
        drawing = draw(namespace["o"])  # type: ignore[arg-type]
    else:
        drawing = draw_network(MLP(3, [2, 3, 1], activation="sigmoid", init="ones"))
    assert texts((ROOT / "docs" / f"{name}.svg").read_bytes()) == texts(drawing.pipe("svg"))


@pytest.mark.parametrize(
    ("name", "start", "is_all"), [("engine_speed", README_START, True), ("compiled_speed", TARGETS_START, False)]
)
def test_the_tables_of_speed_are_those_that_make_bench_wrote(name: str, start: str, is_all: bool) -> None:
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    _, _, rest = README.partition(start)
    shown, _, _ = rest.partition(README_END)
    rows = [line for line in shown.splitlines() if line.startswith("|")]
    assert len(rows) > 20
    written = [line for line in page.splitlines() if line.startswith("|")]
    assert rows == (written if is_all else written[: len(rows)])
    assert "- Command: `make bench`" in page


def test_the_commands_of_the_readme_are_those_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in ci
    assert "make test " in README
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(re.findall(r"make (demo|test|lint|package|bench|functions)", README)) <= set(targets)

"""The benchmark of scale: every setup computes the same, takes its turn, and stands in the report."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import scale, scale_process
from benchmarks.array_workloads import ARRAY_PROGRAMS
from benchmarks.engines import Outcome
from benchmarks.report import README_END, as_text
from benchmarks.rounds import disagreement
from benchmarks.scale import SETUPS, START, Contest, Contests, Effort, Group, into_page, measure, plan, steps, tables
from benchmarks.scale_picture import picture
from benchmarks.turns import Turns, eager_outcome

pytest.importorskip("jax")
pytestmark = pytest.mark.one_build

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("engine", ["ours", "to_jax", "jax"])
def test_an_engine_agrees_with_the_reference(engine: str) -> None:
    ready, turn = scale_process.gradient(engine, "tanh-network", 5)
    right = eager_outcome(ARRAY_PROGRAMS["tanh-network"].build(5))
    assert disagreement(Outcome(ready["loss"], ready["gradient"]), right) == ""
    assert 0.0 < turn(0)["seconds"] < 1.0


def test_samples_come_again_where_there_are_more_than_were_made() -> None:
    workload = ARRAY_PROGRAMS["tanh-network"].build(3)
    grown = scale_process.grown(workload, 7)
    assert [each.shape for each in grown.data] == [(16, 7), (7,)]
    for column in range(7):
        assert (grown.data[0][:, column] == workload.data[0][:, column % 3]).all()
        assert grown.data[1][column] == workload.data[1][column % 3]


@pytest.mark.parametrize("devices", [0, 1, 2])
def test_steps_of_one_setup_are_those_of_another(devices: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_process, "STEP_SAMPLES", 32)
    ready, turn = scale_process.steps(devices, 8)
    assert ready["loss"] == pytest.approx(scale_process.steps(0, 8)[0]["loss"], rel=1e-12)
    assert 0.0 < turn(0)["seconds"] < 1.0


def test_two_processes_take_their_turns_together() -> None:
    group = Group(Contest("steps", "digits", 2_000), "processes")
    try:
        assert "problem" not in group.ready
        assert group.ready["loss"] == pytest.approx(scale_process.steps(0, 2_000)[0]["loss"], rel=1e-9)
        assert [0.0 < group.turn(number)["seconds"] < 10.0 for number in range(2)] == [True, True]
    finally:
        group.close()


class StandIn:
    """A `Group` that answers what is written here."""

    asked: list[str]

    def __init__(self, contest: Contest, key: str) -> None:
        self.key = key
        self.ready: dict[str, Any] = {"loss": 2.0 if key == "8" else 1.0, "gradient": [], "prepared": 0.5}
        if key == "2":
            self.ready = {"problem": "not installed: jax"}

    def turn(self, number: int) -> dict[str, Any]:
        self.asked.append(f"{self.key} {number}")
        return {"problem": "crashed: SIGKILL"} if self.key == "processes" else {"seconds": 1.0 + number}

    def close(self) -> None:
        self.asked.append(f"{self.key} closed")


def test_setups_take_turns_without_those_that_are_wrong_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn.asked = []
    monkeypatch.setattr(scale, "Group", StandIn)
    contests: Contests = {Contest("steps", "digits", 16): {key: Turns() for key in SETUPS}}
    said: list[str] = []
    effort = Effort(rounds=1, turns=2)
    measure(contests, effort, said.append)
    assert len(said) == steps(contests, effort)
    assert StandIn.asked[:5] == ["numpy 0", "1 0", "processes 0", "numpy 1", "1 1"]
    (found,) = contests.values()
    assert found["numpy"].numbers() == [1.0, 2.0]
    assert found["8"].problem == "wrong: loss is 2.0 instead of 1.0"
    assert (found["2"].problem, found["processes"].problem) == ("not installed: jax", "crashed: SIGKILL")


def taken(*seconds: float, problem: str = "") -> Turns:
    return Turns([{"seconds": each} for each in seconds], [0.5], problem)


RESULTS: Contests = {
    Contest("steps", "digits", 1_000): {
        "numpy": taken(1e-3, 2e-3, 1e-3),
        "1": taken(2e-3, 4e-3, 2e-3),
        "processes": Turns(problem="not installed: jax"),
    },
    Contest("gradient", "tanh-network", 100): {
        "ours": taken(1e-4),
        "to_jax": taken(2e-4),
        "jax": taken(1.6e-4),
    },
    Contest("gradient", "two-moons", 100): {"ours": taken(1e-4), "to_jax": taken(2e-4), "jax": taken(1.6e-4)},
    Contest("gradient", "digits", 128): {"ours": taken(1e-4), "to_jax": taken(2e-4)},
}

TEXT = """\
Training steps, network 64-64-32-10, batch 1,000
runs on                       ms a step    min–max  × NumPy  samples a second  seconds to begin
NumPy, engine="compiled"           1.00  1.00–2.00     1.00         1,000,000              0.50
JAX, 1 device                      2.00  2.00–4.00     2.00           500,000              0.50
JAX, 2 processes of 1 device          —          —        —                 —                 —
JAX, 2 processes of 1 device: not installed: jax

Loss and gradient, a sample, as the batch grows: Network 16-16-16-1, tanh, squared loss
samples  compile_graph, ns  to_jax, ns  JAX by hand, ns  to_jax / compile_graph  to_jax / by hand
100                  1,000       2,000            1,600                    2.00              1.25

From a function to its first gradient
program                                                compile_graph, s  to_jax, s  JAX by hand, s
Network 2-16-16-1, relu, hinge loss + L2, 100 samples              0.50       0.50            0.50
Network 64-64-32-10, relu, cross-entropy, batch 128                0.50       0.50               —"""


def test_the_report() -> None:
    assert "\n\n".join(map(as_text, tables(RESULTS))) == TEXT
    assert tables({Contest("steps", "digits", 16): {"numpy": Turns()}}) == []


def test_the_tables_stand_where_the_page_has_a_place_for_them() -> None:
    page = f"before\n{START}\nold\n{README_END}\nafter"
    found = into_page(page, tables(RESULTS), "make bench", Effort(3, 5))
    assert found.startswith(f"before\n{START}\n\n## Training steps")
    assert found.endswith(f"- Command: `make bench`; 3 rounds of new processes, 5 turns each\n\n{README_END}\nafter")
    assert "old" not in found


def test_the_page_was_written_by_make_bench() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    _, _, rest = page.partition(START)
    written, _, _ = rest.partition(README_END)
    assert written.count("| JAX, 2 processes of 1 device |") == 3
    assert [f"| {10**power:,} |" in written for power in range(2, 7)] == [True] * 5
    assert "- Command: `make bench`" in written


def test_the_plan() -> None:
    assert len(plan(is_quick=False)) == 3 + 5 + 4
    assert [contest.size for contest in plan(is_quick=True)] == [16, 10, 100, ARRAY_PROGRAMS["two-moons"].quick_size]


def test_the_picture_has_a_line_for_each_engine() -> None:
    pytest.importorskip("matplotlib")
    lines = {"compile_graph": [(100, 1000.0), (1000, 500.0)], "to_jax": [(100, 2000.0)], "JAX by hand": []}
    drawn = ElementTree.fromstring(picture(lines))
    texts = {"".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"compile_graph", "to_jax", "samples in the batch", "ns a sample"} <= texts
    assert picture({"compile_graph": []}).startswith(b"<?xml")


def test_a_quick_run_writes_only_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pretend(contests: Contests, effort: Effort, advance: Any) -> None:
        for engines in contests.values():
            for turns in engines.values():
                turns.answers += [{"seconds": 1e-3}] * effort.turns
                turns.prepared.append(0.5)

    monkeypatch.setattr(scale, "measure", pretend)
    (tmp_path / "scale.md").write_text(f"{START}\n{README_END}\n", encoding="utf-8")
    assert scale.main(["--quick", "--output", str(tmp_path)]) == 0
    assert "`python -m benchmarks.scale --quick" in (tmp_path / "scale.md").read_text(encoding="utf-8")
    for words in (["--rounds", "0"], ["--turns", "-1"]):
        with pytest.raises(SystemExit):
            scale.main(words)
    monkeypatch.setattr(scale, "measure", interrupted)
    assert scale.main(["--quick"]) == 130


def interrupted(*_: object) -> Iterator[None]:
    raise KeyboardInterrupt


def test_random_images_have_classes() -> None:
    images, classes = scale_process.digits(20)
    assert images.shape == (20, 64)
    assert set(np.unique(classes)) <= set(range(10))

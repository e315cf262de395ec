"""The benchmark of the compiled path: every engine computes the same, and each takes its turn."""

import os
import random
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import array_process, compiled_speed, turns
from benchmarks.array_engines import ARRAY_ENGINES
from benchmarks.array_picture import picture
from benchmarks.array_report import README_START, page, tables, three_digits
from benchmarks.array_training import TRAININGS, load_digits
from benchmarks.array_workloads import ARRAY_PROGRAMS, ArrayWorkload
from benchmarks.engines import Outcome
from benchmarks.report import README_END, as_markdown, as_text, into_readme
from benchmarks.rounds import Task, disagreement
from benchmarks.rounds import reference_outcome as scalar_outcome
from benchmarks.turns import Contest, Contests, Effort, Turns, Worker, eager_outcome, measure, paired_ratio, steps

TESTS = Path(__file__).parent
SIZES = {name: program.quick_size for name, program in ARRAY_PROGRAMS.items()} | {"digits": 2, "wide": 1, "chain": 301}
MOONS = Contest("gradient", "two-moons", 4)
EFFORT = Effort(rounds=2, turns={"gradient": 2, "training": 1, "tracing": 1})

IN_A_PROCESS = "slots"
"""It sets Python's limit of recursion."""


def moved(workload: ArrayWorkload, step: float) -> tuple[float, float]:
    """The loss a step away from the parameters, and the slope there by our gradient."""
    draw = random.Random(3).uniform
    way = {name: np.array([draw(-1.0, 1.0) for _ in each.flat]) for name, each in workload.parameters.items()}
    changed = {name: each + step * way[name].reshape(each.shape) for name, each in workload.parameters.items()}
    outcome = eager_outcome(workload._replace(parameters=changed))
    return outcome.loss, float(np.concatenate(list(way.values())) @ outcome.gradient)


@pytest.mark.parametrize("program", ["digits", "mixture", "chain"])
def test_the_reference_agrees_with_finite_differences(program: str) -> None:
    workload = ARRAY_PROGRAMS[program].build(SIZES[program])
    (above, _), (below, _), (_, slope) = moved(workload, 1e-6), moved(workload, -1e-6), moved(workload, 0.0)
    assert (above - below) / 2e-6 == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize(("program", "size"), [("two-moons", 4), ("tanh-network", 2), ("chain", 300)])
def test_programs_that_both_benchmarks_run_are_the_same(program: str, size: int) -> None:
    ours, theirs = eager_outcome(ARRAY_PROGRAMS[program].build(size)), scalar_outcome(Task(program, size))
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-12)
    assert sorted(map(abs, ours.gradient)) == pytest.approx(sorted(map(abs, theirs.gradient)), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(
    ("engine", "program"),
    [(key, program) for key, engine in ARRAY_ENGINES.items() for program in engine.programs if key != IN_A_PROCESS],
)
def test_an_engine_agrees_with_the_reference(engine: str, program: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what others warn of is their own affair
        try:
            ready, turn = array_process.array_engine(engine, program, SIZES[program])
        except ModuleNotFoundError as error:
            pytest.skip(f"not installed: {error.name}")
    right = eager_outcome(ARRAY_PROGRAMS[program].build(SIZES[program]))
    assert disagreement(Outcome(ready["loss"], ready["gradient"]), right) == ""
    assert 0.0 < turn(0)["seconds"] < 1.0


def test_the_slots_agree_with_the_reference() -> None:
    worker = Worker(Contest("gradient", "tiny-gpt", 1), "slots")
    worker.close()
    right = eager_outcome(ARRAY_PROGRAMS["tiny-gpt"].build(1))
    assert disagreement(Outcome(worker.ready["loss"], worker.ready["gradient"]), right) == ""


def test_a_gradient_has_the_shapes_of_the_parameters() -> None:
    with pytest.raises(ValueError, match=r"W: expected shape \(2, 3\), got \(3, 2\)"):
        array_process.flat({"W": np.ones((3, 2))}, {"W": np.ones((2, 3))})


@pytest.mark.parametrize("engine", TRAININGS)
def test_a_training_learns_and_leaves_out_the_looking(engine: str) -> None:
    pytest.importorskip("sklearn")
    training = TRAININGS[engine](load_digits(), 0, 2)
    assert training.epochs == 2
    assert 0.8 < training.accuracy < 0.97
    assert training.seconds > 0.0


@pytest.mark.parametrize(("program", "nodes"), [("network", 1_000), ("chain", 200)])
def test_what_is_traced_has_about_so_many_nodes(program: str, nodes: int) -> None:
    first, second = (array_process.nodes_of(array_process.traced(program, nodes, number)) for number in (0, 1))
    assert first == pytest.approx(nodes, rel=0.2)
    assert second != first


# The turns


class StandIn:
    """A `Worker` that answers what is written here."""

    ready_answers: dict[str, dict[str, Any]]
    asked: list[str]

    def __init__(self, contest: Contest, key: str) -> None:
        self.key = key
        self.asked.append(key)
        self.ready = self.ready_answers[key]

    def turn(self, number: int) -> dict[str, Any]:
        self.asked.append(f"{self.key} {number}")
        return {"problem": "crashed: SIGSEGV"} if self.key == "casadi" else {"seconds": 1.0 + number}

    def close(self) -> None:
        self.asked.append(f"{self.key} closed")


def test_engines_take_turns_without_those_that_are_wrong_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = {**turns.reference_outcome(MOONS)._asdict(), "prepared": 0.5}
    StandIn.asked = []
    StandIn.ready_answers = {
        "ours": right,
        "numpy": right | {"loss": 0.0},
        "casadi": right,
        "jax": {"problem": "not installed: jax"},
    }
    monkeypatch.setattr(turns, "Worker", StandIn)
    contests: Contests = {MOONS: {key: Turns() for key in StandIn.ready_answers}}
    said: list[str] = []
    measure(contests, EFFORT, said.append)
    closed = [f"{key} closed" for key in StandIn.ready_answers]
    first = ["ours", "numpy", "casadi", "jax", "ours 0", "casadi 0", "ours 1", *closed]
    assert StandIn.asked == [*first, "ours", "ours 2", "ours 3", "ours closed"]
    assert len(said) == steps(contests, EFFORT)
    found = contests[MOONS]
    assert found["ours"].numbers() == [1.0, 2.0, 3.0, 4.0]
    assert found["ours"].prepared == [0.5, 0.5]
    assert found["numpy"].problem.startswith("wrong: loss is 0.0 instead of ")
    assert [each.problem for each in found.values()][2:] == ["crashed: SIGSEGV", "not installed: jax"]


def test_an_engine_that_took_its_share_sits_out() -> None:
    assert not Turns(seconds=1.0).is_over
    assert Turns(seconds=turns.SHARE_SECONDS + 1).is_over


def test_a_process_answers_each_turn() -> None:
    worker = Worker(MOONS, "numpy")
    assert disagreement(Outcome(worker.ready["loss"], worker.ready["gradient"]), turns.reference_outcome(MOONS)) == ""
    assert [0.0 < worker.turn(number)["seconds"] < 0.1 for number in range(2)] == [True, True]
    worker.process.kill()
    worker.process.wait()
    assert worker.turn(2)["problem"].startswith(("crashed: SIGKILL", "failed"))
    worker.close()


def test_a_process_that_takes_too_long() -> None:
    worker = Worker(MOONS, "numpy", limit=0.001)
    worker.close()
    assert worker.ready == {"problem": "stopped after 0.001 s"}


def test_an_engine_that_is_not_installed_or_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def raising(error: Exception) -> Callable[..., Any]:
        def prepare(*_: object) -> Any:
            raise error

        return prepare

    errors = [ModuleNotFoundError("no", name="jax"), ValueError("one line\nand another"), ValueError()]
    for error in errors:
        monkeypatch.setattr(array_process, "array_engine", raising(error))
        array_process.main("gradient", "jax", "two-moons", "4")
        sys.stdout = sys.__stdout__ or sys.stdout
    assert [error_line.split('"')[3] for error_line in capfd.readouterr().out.splitlines()] == [
        "not installed: jax",
        "ValueError: one line",
        "ValueError: without a word",
    ]


# The report


def taken(*seconds: float, problem: str = "", prepared: float = 0.5, **more: float) -> Turns:
    return Turns([{"seconds": each, **more} for each in seconds], [prepared], problem)


RESULTS: Contests = {
    Contest("gradient", "two-moons", 100): {
        "ours": taken(40e-6, 80e-6, 44e-6),
        "numpy": taken(40e-6, 80e-6, 40e-6),
        "torch": taken(200e-6, 240e-6),
        "jax": Turns(problem="not installed: jax"),
    },
    Contest("gradient", "chain", 1_000): {"ours": taken(12e-6)},
    Contest("training", "training", 100): {
        "ours": taken(0.2, 0.3, epochs=10, accuracy=0.98),
        "scikit-learn": taken(0.2, epochs=8, accuracy=0.97),
    },
    Contest("tracing", "network", 1_000): {"interpreted": taken(0.02, again=0.001, nodes=1_000)},
    Contest("tracing", "chain", 1_000): {"interpreted": Turns()},
}

TEXT = """\
Targets
workload                                                        beside      ours takes       at most  met
two-moons                                       NumPy, written by hand      1.00 times     1.1 times  yes
two-moons                                               PyTorch, eager      0.27 times       1 times  yes
two-moons                                                     JAX, jit               —     1.5 times    —
training                                   scikit-learn, MLPClassifier      1.25 times     1.2 times   no
chain                                                                —      12.0 ns/op      20 ns/op  yes
compiling a network of 1,000, interpreted                            —  20.0 µs a node  20 µs a node  yes

Network 2-16-16-1, relu, hinge loss + L2, 100 samples
engine                          µs    min–max  × ours  prepared
autograd-mini, compile_graph  44.0  40.0–80.0    1.00      0.50
NumPy, written by hand        40.0  40.0–80.0    1.00      0.50
PyTorch, eager                 220    200–240    4.00      0.50
JAX, jit                         —          —       —         —
JAX, jit: not installed: jax

Chain x = sin(x) * a + b, 1,000 operations
engine                        ns/op    min–max  × ours  prepared
autograd-mini, compile_graph   12.0  12.0–12.0    1.00      0.50
"""


def test_the_tables_for_a_terminal() -> None:
    found = tables(RESULTS)
    lines = "\n\n".join(map(as_text, found)).splitlines()
    assert lines[: len(TEXT.splitlines())] == TEXT.splitlines()
    assert max(map(len, lines)) <= 120
    training, tracing = found[-2:]
    assert training.rows[1] == (
        "scikit-learn, MLPClassifier",
        "200",
        "200–200",
        "0.80",
        "8.00",
        "25.0",
        "0.970",
        "0.50",
    )
    assert tracing.rows == [("network", "1,000", "interpreted", "20.0", "1.00")]


def test_the_ratio_is_of_turns_that_were_next_to_one_another() -> None:
    assert paired_ratio(taken(1.0, 30.0, 3.0), taken(2.0, 20.0)) == 1.0
    assert paired_ratio(taken(), taken(1.0)) is None


def test_numbers_have_three_digits() -> None:
    assert [three_digits(number) for number in (None, 0.00312, 0.31, 12.34, 1234.5)] == [
        "—",
        "0.0031",
        "0.31",
        "12.3",
        "1,234",
    ]


def test_the_page_says_how_it_was_measured() -> None:
    text = page(tables(RESULTS), "make bench", EFFORT, 0.03)
    assert "running for 30 ms" in text
    assert "over 2 turns in each of 2 rounds" in text
    assert as_markdown(tables(RESULTS)[0]) in text
    assert text.endswith("- Command: `make bench`\n")


def test_the_targets_go_into_the_readme_where_it_is_marked() -> None:
    readme = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    new = into_readme(readme, tables(RESULTS)[:1], README_START)
    before, _, rest = new.partition(README_START)
    written, _, after = rest.partition(README_END)
    assert written.startswith("\n\n### Targets\n\n| workload | beside |")
    assert "| NumPy, written by hand | 1.00 times |" in written
    assert readme.startswith(before + README_START)
    assert readme.endswith(README_END + after)


def test_the_picture_shows_every_engine_and_is_the_same_each_time() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("matplotlib")
        drawn, again = picture(RESULTS), picture(RESULTS)
        assert picture({})
    texts = {
        "".join(each.itertext()) for each in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"autograd-mini, compile_graph", "4.00×", "JAX, jit", "not installed"} <= texts
    assert drawn == again


# The command


def test_the_files_of_the_documentation_are_written_only_when_all_is_measured() -> None:
    assert compiled_speed.options([]).output == TESTS.parent / "docs"
    assert compiled_speed.options(["--rounds", "1"]).output == TESTS.parent / "docs"
    assert compiled_speed.options(["--quick"]).output is None
    assert compiled_speed.options(["--engines", "ours"]).output is None
    assert compiled_speed.options(["--workloads", "chain"]).output is None


def test_every_engine_takes_part_where_it_can() -> None:
    contests = compiled_speed.plan(compiled_speed.options([]))
    assert [*contests[Contest("gradient", "digits", 128)]] == ["ours", "numpy", "torch"]
    assert [*contests[Contest("gradient", "chain", 1_000_000)]] == ["ours", "casadi", "jax"]
    assert [*contests[Contest("training", "training", 100)]] == ["ours", "scikit-learn"]
    assert {contest.size for contest in contests if contest.kind == "tracing"} >= {1_000, 200_000}
    only = compiled_speed.plan(compiled_speed.options(["--engines", "casadi", "--workloads", "chain", "digits"]))
    assert [*only] == [Contest("gradient", "chain", 1_000_000)]


def test_an_interrupted_run_shows_what_there_is_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(contests: Contests, *_: object) -> None:
        next(iter(contests.values()))["numpy"].answers.append({"seconds": 1234e-6})
        raise KeyboardInterrupt

    monkeypatch.setattr(compiled_speed, "measure", measure)
    words = ["--quick", "--workloads", "two-moons", "digits", "--output", str(tmp_path)]
    assert compiled_speed.main(words) == 130
    shown = capsys.readouterr()
    assert "1,234" in shown.out
    assert "64-64-32-10" not in shown.out
    assert "Interrupted" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_quick_run_from_end_to_end(tmp_path: Path) -> None:
    words = ["--quick", "--engines", "ours", "numpy", "--workloads", "two-moons", "chain", "--output", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.compiled_speed", *words]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "compiled_speed.md").read_text(encoding="utf-8")
    for text in (done.stdout, written):
        assert "Targets" in text
        assert "NumPy, written by hand" in text
        assert "Chain x = sin(x) * a + b, 3,000 operations" in text
    assert written.endswith(f"--output {tmp_path}`\n")

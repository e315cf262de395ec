"""The benchmark measures what it says: the same programs on every engine, and a report of whatever came of it."""

import math
import os
import random
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from benchmarks import engine_speed, one_process, rounds
from benchmarks.engines import ENGINES, EngineMissingError, Outcome, Record, plain_floats
from benchmarks.picture import picture
from benchmarks.report import README_END, README_START, as_markdown, as_text, into_readme, page, tables
from benchmarks.rounds import Effort, Measurement, Results, Task, disagreement, in_own_process, reference_outcome
from benchmarks.workloads import PROGRAMS, Functions, Workload, chain, tanh_network, two_moons

import autograd_mini
from autograd_mini import Value, topological_order

TESTS = Path(__file__).parent
MOONS, CHAIN, LONG_CHAIN = Task("two-moons", 3), Task("chain", 300), Task("chain", 3_000)


def load(key: str) -> Record:
    """An engine, or a skipped test. What it warns of while it is imported is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ENGINES[key].load()
        except (EngineMissingError, ModuleNotFoundError) as error:
            pytest.skip(f"{ENGINES[key].name}: {error}")


@pytest.mark.parametrize(
    ("workload", "promised"),
    [
        (two_moons(100), 65_075),
        (tanh_network(50), 54_550),
        (two_moons(2), 1_963),
        *((chain(size), size) for size in (3_000, 3_001, 3_002)),
    ],
)
def test_a_program_is_as_many_operations_as_it_says(workload: Workload, promised: int) -> None:
    functions = Functions(Value.tanh, Value.relu, Value.sin)
    loss = workload.loss([Value(number) for number in workload.parameters], functions)
    assert workload.operations == promised
    assert sum(node.op is not None for node in topological_order(loss)) == promised


def test_the_sizes_that_are_measured() -> None:
    programs = {name: program.build(program.size).operations for name, program in PROGRAMS.items()}
    assert programs == {"two-moons": 65_075, "tanh-network": 54_550, "chain": 1_000_000}


@pytest.mark.parametrize("key", [key for key, engine in ENGINES.items() if engine.collects_garbage])
def test_an_engine_agrees_with_the_reference(key: str) -> None:
    record = load(key)
    for task in (MOONS, Task("tanh-network", 2), CHAIN):
        workload = PROGRAMS[task.program].build(task.size)
        outcome = record(workload.loss, workload.parameters)()
        assert len(outcome.gradient) == (0 if key == "floats" else len(workload.parameters))
        assert disagreement(outcome, reference_outcome(task)) == ""


@pytest.mark.parametrize("task", [MOONS, Task("tanh-network", 2), CHAIN])
def test_the_reference_agrees_with_finite_differences_of_plain_floats(task: Task) -> None:
    workload = PROGRAMS[task.program].build(task.size)
    direction = [random.Random(3).uniform(-1.0, 1.0) for _ in workload.parameters]

    def at(step: float) -> float:
        moved = [number + step * way for number, way in zip(workload.parameters, direction, strict=True)]
        return plain_floats()(workload.loss, moved)().loss

    slope = sum(slope * way for slope, way in zip(reference_outcome(task).gradient, direction, strict=True))
    assert math.isclose((at(1e-6) - at(-1e-6)) / 2e-6, slope, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(2.0 + 1e-10, [3.0, 0.0]), ""),
        (Outcome(2.0, []), ""),
        (Outcome(2.0 + 1e-8, []), "wrong: loss is 2.00000001 instead of 2.0"),
        (Outcome(2.0, [3.0, -1.7e-18]), ""),
        (Outcome(2.0, [3.0, 1e-14]), "wrong: derivative 1 is 1e-14 instead of 0.0"),
        (Outcome(2.0, [math.nan, 0.0]), "wrong: derivative 0 is nan instead of 3.0"),
        (Outcome(2.0, [3.0]), "wrong: 1 derivatives instead of 2"),
    ],
)
def test_a_wrong_outcome_is_told_from_a_right_one(outcome: Outcome, words: str) -> None:
    assert disagreement(outcome, Outcome(2.0, [3.0, 0.0])) == words


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Record:
        raise ModuleNotFoundError("No module named 'casadi'", name="casadi")

    monkeypatch.setitem(ENGINES, "casadi", ENGINES["casadi"]._replace(load=load))
    assert one_process.answer("casadi", *CHAIN, held_operations=0) == {"problem": "not installed: casadi"}


def test_a_process_that_runs_too_deep() -> None:
    assert in_own_process("slots", LONG_CHAIN)["problem"].startswith("RecursionError: maximum recursion depth")


def test_a_process_that_takes_too_long() -> None:
    assert in_own_process("floats", MOONS, limit=0.001) == {"problem": "stopped after 0.001 s"}


@pytest.mark.skipif(os.name != "posix", reason="processes die of signals on POSIX")
@pytest.mark.parametrize(
    ("line", "problem"), [("kill -SEGV $$", "crashed: SIGSEGV"), ("echo oh no >&2; exit 3", "failed: oh no")]
)
def test_a_process_that_dies(line: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert in_own_process("floats", MOONS) == {"problem": problem}


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_process_finds_the_build_in_its_folder_and_looks_which_it_is(
    is_compiled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autograd_mini.py").write_text(
        "from types import SimpleNamespace\n"
        "from benchmarks.slots_engine import Value\n"
        f"build_info = lambda: SimpleNamespace(compiled={is_compiled})\n",
        encoding="utf-8",
    )
    monkeypatch.setitem(ENGINES, "compiled", ENGINES["compiled"]._replace(folder=str(tmp_path)))
    answer = in_own_process("compiled", CHAIN)
    if is_compiled:
        assert disagreement(Outcome(answer["loss"], answer["gradient"]), reference_outcome(CHAIN)) == ""
        assert len(answer["seconds"]) == 7
    else:
        assert answer == {"problem": "not built: `make bench` does, where it finds a C compiler"}


def test_memory_is_measured_after_recording_and_holding() -> None:
    if "problem" in (answer := in_own_process("slots", MOONS, held_operations=30_000)):
        pytest.skip(answer["problem"])
    assert 100 < answer["bytes"] < 1_000


def test_rounds_go_on_without_an_engine_that_is_slow_wrong_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reference_outcome(MOONS)._asdict()
    answers = {
        "floats": {"seconds": [1.0, 3.0], **right},
        "slots": {"seconds": [30.0], **right},
        "torch": {"seconds": [1.0], **right, "loss": 0.0},
        "casadi": {"problem": "not installed: casadi"},
    }
    asked: list[str] = []

    def answer(key: str, task: Task, held_operations: int = 0) -> dict[str, Any]:
        asked.append(f"{key} memory" if held_operations else key)
        return {"bytes": 8.0} if held_operations else answers[key]

    monkeypatch.setattr(rounds, "in_own_process", answer)
    results: Results = {MOONS: {key: Measurement() for key in answers}}
    said: list[str] = []
    effort = Effort(rounds=3, held_operations=1)
    rounds.measure(results, effort, said.append)
    assert asked == ["floats", "slots", "torch", "casadi", "floats", "floats", "floats memory", "slots memory"]
    assert len(said) == rounds.steps(results, effort.rounds)
    operations = PROGRAMS["two-moons"].build(3).operations
    assert results[MOONS]["floats"].median == pytest.approx(2e9 / operations)
    assert [len(each.rounds) for each in results[MOONS].values()] == [3, 1, 0, 0]
    assert results[MOONS]["torch"].problem.startswith("wrong: loss is 0.0 instead of ")


def measured(nanoseconds: float, memory: float | None = None, problem: str = "") -> Measurement:
    return Measurement([[nanoseconds], [nanoseconds * 1.5, nanoseconds, nanoseconds]], memory, problem)


RESULTS: Results = {
    CHAIN: {
        "floats": measured(40.0, 0.0),
        "compiled": measured(100.0, 96.0),
        "interpreted": measured(1000.0, 187.3, "memory: MemoryError"),
        "micrograd": Measurement(problem="RecursionError: maximum recursion depth exceeded"),
        "casadi": Measurement(problem="not installed: casadi"),
        "compiled-without-collector": measured(80.0),
    },
    LONG_CHAIN: {"compiled": measured(110.0, 96.0), "interpreted": Measurement(problem="stopped after 120 s")},
}

TEXT = """\
Chain x = sin(x) * a + b: 300 operations
engine                      ns/op      min–max  × floats  × compiled  bytes/op  runs
plain floats, forward only     40        40–60      1.00        0.40         0     4
autograd-mini, compiled       100      100–150      2.50        1.00        96     4
autograd-mini, interpreted  1,000  1,000–1,500      25.0        10.0       187     4
micrograd                       —            —         —           —         —     —
CasADi                          —            —         —           —         —     —
autograd-mini, interpreted: memory: MemoryError
micrograd: RecursionError: maximum recursion depth exceeded
CasADi: not installed: casadi

The garbage collector
build and program               ns/op, on  ns/op, off  on / off
autograd-mini, compiled: chain        100          80      1.25

The chain, longer and longer
operations  compiled, ns/op  compiled, bytes/op  interpreted, ns/op  interpreted, bytes/op
300                     100                  96               1,000                    187
3,000                   110                  96                   —                      —
autograd-mini, interpreted: memory: MemoryError
autograd-mini, interpreted: stopped after 120 s
"""


def test_the_tables_for_a_terminal() -> None:
    found = "\n\n".join(map(as_text, tables([CHAIN], [CHAIN, LONG_CHAIN], RESULTS)))
    assert found.splitlines() == TEXT.splitlines()
    assert max(map(len, found.splitlines())) <= 100


def test_the_tables_for_github() -> None:
    text = as_markdown(tables([CHAIN], [], RESULTS)[0])
    assert text.splitlines() == [
        "## Chain x = sin(x) * a + b: 300 operations",
        "",
        "| engine | ns/op | min–max | × floats | × compiled | bytes/op | runs |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| plain floats, forward only | 40 | 40–60 | 1.00 | 0.40 | 0 | 4 |",
        "| autograd-mini, compiled | 100 | 100–150 | 2.50 | 1.00 | 96 | 4 |",
        "| autograd-mini, interpreted | 1,000 | 1,000–1,500 | 25.0 | 10.0 | 187 | 4 |",
        "| micrograd | — | — | — | — | — | — |",
        "| CasADi | — | — | — | — | — | — |",
        "",
        "- autograd-mini, interpreted: memory: MemoryError",
        "- micrograd: RecursionError: maximum recursion depth exceeded",
        "- CasADi: not installed: casadi",
    ]


def test_without_a_compiled_build_the_interpreted_one_is_the_unit() -> None:
    only: Results = {CHAIN: {"interpreted": measured(1000.0), "slots": measured(2000.0)}}
    (table,) = tables([CHAIN], [], only)
    assert table.header[4] == "× interpreted"
    assert [row[3:5] for row in table.rows] == [("—", "1.00"), ("—", "2.00")]


def test_the_page_says_what_was_measured_on_and_with() -> None:
    text = page(tables([CHAIN], [], RESULTS), "make bench", 300_000)
    assert "at least\n300,000 operations" in text
    assert "- CPU: " in text
    assert "- Python: CPython " in text
    assert "- autograd-mini: " in text
    assert text.endswith("- Command: `make bench`\n")


def test_the_picture_shows_every_engine_and_is_the_same_each_time() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("matplotlib")
        drawn = picture([CHAIN], RESULTS)
        again = picture([CHAIN], RESULTS)
    texts = {
        "".join(each.itertext()) for each in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"autograd-mini, compiled", "2.5×", "25×", "micrograd", "RecursionError", "CasADi", "not installed"} <= texts
    assert drawn == again


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "docs" / "page.md"
    engine_speed.write(path, b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine_speed.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["page.md"]


def test_the_tables_go_into_the_readme_where_it_is_marked() -> None:
    found = tables([CHAIN], [], RESULTS)
    readme = f"before\n{README_START}\nold\n{README_END}\nafter\n"
    new = into_readme(readme, found)
    assert new == into_readme(new, found)
    assert new.startswith(f"before\n{README_START}\n\n### Chain")
    assert new.endswith(f"\n\n{README_END}\nafter\n")
    assert "old" not in new


def test_an_interrupted_run_shows_what_there_is_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(results: Results, *_: object) -> None:
        results[Task("chain", PROGRAMS["chain"].quick_size)]["floats"] = measured(1234.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_speed, "measure", measure)
    assert engine_speed.main(["--quick", "--workloads", "chain", "scale", "--output", str(tmp_path)]) == 130
    shown = capsys.readouterr()
    assert "1,234" in shown.out
    assert "longer" not in shown.out
    assert "Interrupted" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_the_documentation_are_written_only_when_all_is_measured() -> None:
    assert engine_speed.options([]).output == TESTS.parent / "docs"
    assert engine_speed.options(["--rounds", "1"]).output == TESTS.parent / "docs"
    assert engine_speed.options(["--quick"]).output is None
    assert engine_speed.options(["--engines", "floats"]).output is None
    assert engine_speed.options(["--workloads", "chain"]).output is None


def test_a_quick_run_from_end_to_end(tmp_path: Path) -> None:
    build = "compiled" if autograd_mini.build_info().compiled else "interpreted"
    engines = ["floats", build, f"{build}-without-collector"]
    words = ["--quick", "--engines", *engines, "--workloads", "chain", "scale"]
    command = [sys.executable, "-m", "benchmarks.engine_speed", *words, "--output", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "engine_speed.md").read_text(encoding="utf-8")
    for text in (done.stdout, written):
        assert "Chain x = sin(x) * a + b: 3,000 operations" in text
        assert f"autograd-mini, {build}: chain" in text
        assert "The chain, longer and longer" in text
    assert written.endswith(f"--output {tmp_path}`\n")

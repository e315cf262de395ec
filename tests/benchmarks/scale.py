"""What more devices, processes and samples cost: `make bench`.

Prints a table for each batch size, one for a batch that grows, and one for compiling, and writes them into
docs/scale.md, and docs/scale.svg. Ctrl-C shows what there is by then.
"""

import argparse
import importlib.util
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from support import free_port

from benchmarks.array_report import three_digits
from benchmarks.array_workloads import ARRAY_PROGRAMS
from benchmarks.engine_speed import with_progress, write
from benchmarks.engines import ENGINES, Outcome
from benchmarks.report import README_END, UNKNOWN, Table, as_markdown, facts, printed, ratio
from benchmarks.rounds import ROOT, Advance, disagreement, environment_with
from benchmarks.scale_picture import picture
from benchmarks.turns import KEPT_MEMORY, LIMIT_SECONDS, Process, Turns, paired_ratio

START = "<!-- make bench writes the tables -->"

PACKAGES = ("numpy", "jax", "jaxlib")


class Setup(NamedTuple):
    """What a training runs on."""

    name: str
    devices: int
    """Of JAX, in all; 0 is NumPy, without JAX."""
    processes: int = 1


SETUPS = {
    "numpy": Setup('NumPy, engine="compiled"', 0),
    "1": Setup("JAX, 1 device", 1),
    "2": Setup("JAX, 2 devices", 2),
    "8": Setup("JAX, 8 devices", 8),
    "processes": Setup("JAX, 2 processes of 1 device", 2, 2),
}

ENGINE_NAMES = {"ours": "compile_graph", "to_jax": "to_jax", "jax": "JAX by hand"}

GROWING = "tanh-network"
"""A network that JAX by hand has as well."""


class Contest(NamedTuple):
    """What is run: "steps" of a training, or the "gradient" of a program, with so many samples."""

    kind: str
    program: str
    size: int


class Effort(NamedTuple):
    """How thoroughly to measure."""

    rounds: int
    turns: int


class Group:
    """The processes of a setup, which take a turn together; what the first of them says is the answer."""

    def __init__(self, contest: Contest, key: str) -> None:
        setup = SETUPS[key] if contest.kind == "steps" else Setup(key, 1)
        name = str(setup.devices) if contest.kind == "steps" else key
        flags = f"--xla_force_host_platform_device_count={setup.devices // setup.processes}"
        environment = environment_with(ENGINES["compiled"].folder) | KEPT_MEMORY | {"JAX_PLATFORMS": "cpu"}
        if setup.devices > setup.processes:
            environment["XLA_FLAGS"] = flags
        words = ["benchmarks.scale_process", contest.kind, name, contest.program, str(contest.size)]
        group = [f"127.0.0.1:{free_port()}", str(setup.processes)] if setup.processes > 1 else []
        self.processes = [
            Process([*words, *group, *([str(number)] if group else [])], environment, LIMIT_SECONDS)
            for number in range(setup.processes)
        ]
        self.ready, *_ = [process.ready for process in self.processes]

    def turn(self, number: int) -> dict[str, Any]:
        """The first answer, once all have answered."""
        problems = [process.begin(number) for process in self.processes]
        answers = [process.answer() for process in self.processes]
        return problems[0] or answers[0]

    def close(self) -> None:
        """There are no more turns."""
        for process in self.processes:
            process.close()


Contests = dict[Contest, dict[str, Turns]]


def plan(is_quick: bool) -> Contests:
    """The contests, and who takes part in them."""
    batches, sizes, programs = [16], [10, 100], ["two-moons"]
    if not is_quick:
        batches, sizes = [128, 1024, 8192], [10**power for power in range(2, 7)]
        programs += ["digits", "wide", "tiny-gpt"]
    contests: Contests = {Contest("steps", "digits", size): {key: Turns() for key in SETUPS} for size in batches}
    for size in sizes:
        contests[Contest("gradient", GROWING, size)] = {key: Turns() for key in ENGINE_NAMES}
    for program in programs:
        size = ARRAY_PROGRAMS[program].quick_size if is_quick else ARRAY_PROGRAMS[program].size
        engines = ["ours", "to_jax", *(["jax"] if program in ("two-moons", GROWING) else [])]
        contests[Contest("gradient", program, size)] = {key: Turns() for key in engines}
    return contests


def measure(contests: Contests, effort: Effort, advance: Advance) -> None:
    """Fill in the turns. What is there when it is interrupted is good."""
    for contest, engines in contests.items():
        for number in range(effort.rounds):
            where = f"{contest.kind} of {contest.program} {contest.size:,}, round {number + 1} of {effort.rounds}"
            groups: dict[str, Group] = {}
            try:
                for key, turns in engines.items():
                    advance(f"{where}: {key}")
                    if not turns.is_over:
                        groups[key] = _started(contest, key, turns, groups)
                advance(f"{where}: the turns")
                for turn in range(effort.turns):
                    for key, group in groups.items():
                        if not engines[key].is_over:
                            _take_turn(engines[key], group, turn)
            finally:
                for group in groups.values():
                    group.close()


def steps(contests: Contests, effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return sum(effort.rounds * (len(engines) + 1) for engines in contests.values())


def _started(contest: Contest, key: str, turns: Turns, others: dict[str, Group]) -> Group:
    """A group whose first result is that of the first group."""
    group = Group(contest, key)
    turns.problem = group.ready.get("problem", "")
    first = next(iter(others.values()), group)
    if not turns.problem and "problem" not in first.ready:
        right, found = (Outcome(each.ready["loss"], each.ready["gradient"]) for each in (first, group))
        turns.problem = disagreement(found, right)
    if not turns.problem:
        turns.prepared.append(group.ready["prepared"])
    return group


def _take_turn(turns: Turns, group: Group, number: int) -> None:
    answer = group.turn(number)
    turns.problem = answer.get("problem", "")
    if not turns.problem:
        turns.answers.append(answer)
        turns.seconds += answer["seconds"]


# The report


def tables(contests: Contests) -> list[Table]:
    """One for each batch of steps, one for the batch that grows, one for compiling."""
    known = {
        contest: engines
        for contest, engines in contests.items()
        if any(each.answers or each.problem for each in engines.values())
    }
    found = [training(contest, engines) for contest, engines in known.items() if contest.kind == "steps"]
    found += [growth(known), compiling(known)]
    return [table for table in found if table.rows]


def training(contest: Contest, engines: dict[str, Turns]) -> Table:
    """Steps of one batch size on all setups."""
    rows: list[tuple[str, ...]] = []
    for key, turns in engines.items():
        times = [seconds * 1e3 for seconds in turns.numbers()]
        median = turns.median()
        rows.append(
            (
                SETUPS[key].name,
                three_digits(median and median * 1e3),
                f"{three_digits(min(times))}–{three_digits(max(times))}" if times else UNKNOWN,
                ratio(paired_ratio(turns, engines["numpy"]), 1.0),
                f"{contest.size / median:,.0f}" if median else UNKNOWN,
                _seconds(turns),
            )
        )
    header = ("runs on", "ms a step", "min–max", "× NumPy", "samples a second", "seconds to begin")
    notes = [f"{SETUPS[key].name}: {turns.problem}" for key, turns in engines.items() if turns.problem]
    return Table(f"Training steps, network 64-64-32-10, batch {contest.size:,}", header, rows, notes)


def growth(contests: Contests) -> Table:
    """The time of a sample as the batch grows."""
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for contest, engines in contests.items():
        if contest.kind == "gradient" and contest.program == GROWING:
            times = [turns.median() for turns in engines.values()]
            cells = [three_digits(each and each / contest.size * 1e9) for each in times]
            beside = [ratio(paired_ratio(engines["to_jax"], engines[other]), 1.0) for other in ("ours", "jax")]
            rows.append((f"{contest.size:,}", *cells, *beside))
            notes += [f"{ENGINE_NAMES[key]}: {turns.problem}" for key, turns in engines.items() if turns.problem]
    header = (
        "samples",
        *(f"{name}, ns" for name in ENGINE_NAMES.values()),
        "to_jax / compile_graph",
        "to_jax / by hand",
    )
    title = f"Loss and gradient, a sample, as the batch grows: {ARRAY_PROGRAMS[GROWING].title.partition(', {')[0]}"
    return Table(title, header, rows, [*dict.fromkeys(notes)])


def compiling(contests: Contests) -> Table:
    """The seconds from a function to its first gradient."""
    rows: list[tuple[str, ...]] = []
    for contest, engines in contests.items():
        if contest.kind == "gradient" and contest.program != GROWING:
            cells = [_seconds(engines[key]) if key in engines else UNKNOWN for key in ENGINE_NAMES]
            rows.append((ARRAY_PROGRAMS[contest.program].title.format(size=f"{contest.size:,}"), *cells))
    header = ("program", *(f"{name}, s" for name in ENGINE_NAMES.values()))
    return Table("From a function to its first gradient", header, rows, [])


def _seconds(turns: Turns) -> str:
    return f"{statistics.median(turns.prepared):.2f}" if turns.prepared else UNKNOWN


def into_page(page: str, found: Sequence[Table], command: str, effort: Effort) -> str:
    """The page with these tables in the place that is marked for them."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(README_END)
    machine = [f"- {name}: {value}" for name, value in facts(PACKAGES).items()]
    how = f"- Command: `{command}`; {effort.rounds} rounds of new processes, {effort.turns} turns each"
    parts = [*map(as_markdown, found), "\n".join([*machine, how])]
    return "".join([before, start, "\n\n", "\n\n".join(parts), "\n\n", end, after])


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of new processes (3)")
    parser.add_argument("--turns", type=int, default=5, help="of each process (5)")
    parser.add_argument("--quick", action="store_true", help="small programs, to see that all is well")
    parser.add_argument("--output", type=Path, help="folder with scale.md (docs, unless quick)")
    chosen = parser.parse_args(words)
    for name in ("rounds", "turns"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name}: expected 1 or more")
    if chosen.quick:
        chosen.rounds, chosen.turns = 1, 2
    chosen.output = chosen.output or (None if chosen.quick else ROOT / "docs")
    return chosen


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    chosen = options(words)
    contests, effort = plan(chosen.quick), Effort(chosen.rounds, chosen.turns)
    is_complete = with_progress(steps(contests, effort), lambda advance: measure(contests, effort, advance))
    found = tables(contests)
    if not printed(found, is_complete):
        return 130
    if chosen.output:
        given = " ".join(sys.argv[1:] if words is None else words)
        command = f"python -m benchmarks.scale {given}" if given else "make bench"
        page = chosen.output / "scale.md"
        write(page, into_page(page.read_text(encoding="utf-8"), found, command, effort).encode())
        if importlib.util.find_spec("matplotlib"):
            lines = {
                name: [
                    (contest.size, median / contest.size * 1e9)
                    for contest, engines in contests.items()
                    if contest.kind == "gradient" and contest.program == GROWING and (median := engines[key].median())
                ]
                for key, name in ENGINE_NAMES.items()
            }
            write(chosen.output / "scale.svg", picture(lines))
        else:
            print("No picture: matplotlib is not installed.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

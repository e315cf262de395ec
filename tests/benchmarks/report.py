"""The measurements as tables, in plain text and in Markdown."""

import importlib.metadata
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.engines import ENGINES
from benchmarks.rounds import Measurement, Results, Task
from benchmarks.workloads import PROGRAMS

BUILDS = ("compiled", "interpreted")
"""Of ours, the faster first."""

UNKNOWN = "—"

README_START, README_END = "<!-- make bench writes what follows -->", "<!-- to here -->"

EXPLANATION = """\
One operation is one `+`, `*`, `**2`, `tanh`, … of the forward pass. Its time is that of a whole run — making the
parameters, recording, the backward pass, reading the gradient and freeing the graph — divided by the operations; of
plain floats it is the forward pass alone, of CasADi building the expression of the gradient and evaluating it once.
Python's garbage collector is on, as users have it.

Every engine runs the same function, in a process of its own, in rounds, every engine in turn. Its loss is held to that
of plain floats and all its derivatives to ours, within 1e-9 of each or, where terms cancel, 1e-15 of the largest. A
process runs the function once to warm up and then up to 7 times, as many as 3 seconds allow (a run longer than 10
seconds stands alone); an engine that has taken 20 seconds sits out the rounds that follow. `ns/op` is the median over
the rounds of each process's median, `min–max` and `runs` are of all runs. `bytes/op` is resident memory while at least
{held:,} operations are held, after recording or after the backward pass, whichever is more, in one more process.
"""


class Table(NamedTuple):
    """Text in rows; the first column is to be aligned left, the others right."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    notes: list[str]
    """What there is to say of single rows."""


def tables(compared: Sequence[Task], scale: Sequence[Task], results: Results) -> list[Table]:
    """One table for each program, one for the garbage collector, one for graphs of growing size."""
    compared, scale = ([task for task in part if _is_known(results[task])] for part in (compared, scale))
    found = [comparison(task, results[task]) for task in compared]
    found += [collector(compared, results), growth(scale, results)]
    return [table for table in found if table.rows]


def comparison(task: Task, measurements: dict[str, Measurement]) -> Table:
    """All engines on one program."""
    ours = next((build for build in BUILDS if _median(measurements, build)), BUILDS[-1])
    rows: list[tuple[str, ...]] = []
    notes = []
    for key, measurement in measurements.items():
        if not ENGINES[key].collects_garbage:
            continue
        median = measurement.median
        runs = measurement.runs
        rows.append(
            (
                ENGINES[key].name,
                _number(median),
                f"{_number(min(runs))}–{_number(max(runs))}" if runs else UNKNOWN,
                ratio(median, _median(measurements, "floats")),
                ratio(median, _median(measurements, ours)),
                _number(measurement.bytes),
                str(len(runs)) if runs else UNKNOWN,
            )
        )
        if measurement.problem:
            notes.append(f"{ENGINES[key].name}: {measurement.problem}")
    header = ("engine", "ns/op", "min–max", "× floats", f"× {ours}", "bytes/op", "runs")
    return Table(title(task), header, rows, notes)


def collector(compared: Sequence[Task], results: Results) -> Table:
    """Our builds with Python's garbage collector on and off."""
    rows: list[tuple[str, ...]] = []
    for task in compared:
        for build in BUILDS:
            on = _median(results[task], build)
            off = _median(results[task], f"{build}-without-collector")
            if on and off:
                rows.append((f"{ENGINES[build].name}: {task.program}", _number(on), _number(off), ratio(on, off)))
    return Table("The garbage collector", ("build and program", "ns/op, on", "ns/op, off", "on / off"), rows, [])


def growth(scale: Sequence[Task], results: Results) -> Table:
    """Our builds on chains of growing length."""
    builds = [build for build in BUILDS if any(build in results[task] for task in scale)]
    rows: list[tuple[str, ...]] = []
    notes = []
    for task in scale:
        measured = [results[task][build] for build in builds]
        numbers = [_number(number) for each in measured for number in (each.median, each.bytes)]
        rows.append((f"{PROGRAMS[task.program].build(task.size).operations:,}", *numbers))
        pairs = zip(builds, measured, strict=True)
        notes += [f"{ENGINES[build].name}: {each.problem}" for build, each in pairs if each.problem]
    header = ("operations", *(f"{build}, {unit}" for build in builds for unit in ("ns/op", "bytes/op")))
    return Table("The chain, longer and longer", header, rows, [*dict.fromkeys(notes)])


def _is_known(measurements: dict[str, Measurement]) -> bool:
    """Whether the measuring got as far as this."""
    return any(each.rounds or each.problem for each in measurements.values())


def title(task: Task) -> str:
    """What is run, and how many operations it is."""
    program = PROGRAMS[task.program]
    return f"{program.title.format(size=task.size)}: {program.build(task.size).operations:,} operations"


def _median(measurements: dict[str, Measurement], key: str) -> float | None:
    return measurements[key].median if key in measurements else None


def _number(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"


def ratio(number: float | None, unit: float | None) -> str:
    """In three digits."""
    if number is None or not unit:
        return UNKNOWN
    times = number / unit
    return f"{times:,.0f}" if times >= 100 else f"{times:.1f}" if times >= 10 else f"{times:.2f}"


def printed(tables: Sequence[Table], is_complete: bool) -> bool:
    """Print them; where it was interrupted, say so, and give False: then no file is written."""
    print("\n\n".join(map(as_text, tables)))
    if not is_complete:
        print("\nInterrupted: this is what was measured by then, and no file is written.", file=sys.stderr)
    return is_complete


def as_text(table: Table) -> str:
    """For a terminal."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    lines = [table.title]
    for first, *others in [table.header, *table.rows]:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return "\n".join([*lines, *table.notes])


def as_markdown(table: Table) -> str:
    """For GitHub."""
    rules = ["---", *["---:"] * (len(table.header) - 1)]
    lines = ["| " + " | ".join(row) + " |" for row in [table.header, rules, *table.rows]]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([f"## {table.title}", "", *lines, *(["", *notes] if notes else [])]).replace("\\", "\\\\")


def page(found: Sequence[Table], command: str, held_operations: int) -> str:
    """The tables as a Markdown page, with what they were measured on and with."""
    packages = [engine.package for engine in ENGINES.values() if engine.package]
    return page_of("Engine speed", EXPLANATION.format(held=held_operations), found, command, packages)


def page_of(heading: str, explanation: str, found: Sequence[Table], command: str, packages: Iterable[str]) -> str:
    """Tables as a Markdown page: what they are, and what they were measured on and with."""
    machine = "\n".join(f"- {name}: {value}" for name, value in facts(packages).items())
    parts = [
        f"# {heading}",
        explanation,
        *map(as_markdown, found),
        f"## Measured on\n\n{machine}\n- Command: `{command}`",
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def into_readme(readme: str, found: Sequence[Table], start: str = README_START) -> str:
    """The README with these tables in the place that is marked for them, from that mark on."""
    before, start, rest = readme.partition(start)
    _, end, after = rest.partition(README_END)
    text = "\n\n".join("#" + as_markdown(table) for table in found)
    return "".join([before, start, "\n\n", text, "\n\n", end, after])


def facts(packages: Iterable[str]) -> dict[str, str]:
    """The machine, Python, and the version of every package that is installed."""
    known = {"CPU": cpu(), "Python": f"{platform.python_implementation()} {platform.python_version()}"}
    for package in ["autograd-mini", *packages]:
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            known[package] = "not installed"
    return known


def cpu() -> str:
    """The processor's name as the system gives it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

"""Recording and differentiating with several engines on the same programs: `make bench`.

Prints a table for each program, and writes them to the README and to docs/engine_speed.md and .svg. Ctrl-C shows what
there is by then.
"""

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.engines import ENGINES
from benchmarks.picture import picture
from benchmarks.report import BUILDS, into_readme, page, printed, tables
from benchmarks.rounds import ROOT, Advance, Effort, Measurement, Results, Task, measure, steps
from benchmarks.workloads import PROGRAMS

SCALE = "scale"
SCALE_SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK_SCALE_SIZES = (1_000, 10_000)
HELD_OPERATIONS = 300_000
QUICK = Effort(rounds=1, held_operations=10_000)


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="engine_speed", description=__doc__)
    names = [*PROGRAMS, SCALE]
    parser.add_argument("--rounds", type=int, default=5, help="of processes for each engine (5)")
    parser.add_argument("--workloads", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=[*ENGINES], metavar="NAME", help=", ".join(ENGINES)
    )
    parser.add_argument("--quick", action="store_true", help="one round of small programs, to see that all is well")
    parser.add_argument("--output", type=Path, help="folder for the files (docs, if everything is measured)")
    chosen = parser.parse_args(words)
    if chosen.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    is_all = not chosen.quick and set(chosen.workloads) == {*names} and set(chosen.engines) == {*ENGINES}
    chosen.is_for_readme = is_all and not chosen.output
    chosen.output = chosen.output or (ROOT / "docs" if is_all else None)
    return chosen


def tasks(chosen: argparse.Namespace) -> tuple[list[Task], list[Task]]:
    """The programs on which engines are compared, and the chains on which ours are followed as they grow."""
    compared = [
        Task(name, program.quick_size if chosen.quick else program.size)
        for name, program in PROGRAMS.items()
        if name in chosen.workloads
    ]
    is_followed = SCALE in chosen.workloads and not set(BUILDS).isdisjoint(chosen.engines)
    sizes = QUICK_SCALE_SIZES if chosen.quick else SCALE_SIZES
    return compared, [Task("chain", size) for size in sizes] if is_followed else []


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    chosen = options(words)
    compared, scale = tasks(chosen)
    results: Results = {task: {key: Measurement() for key in ENGINES if key in chosen.engines} for task in compared}
    for task in scale:
        results.setdefault(task, {key: Measurement() for key in BUILDS if key in chosen.engines})
    effort = QUICK if chosen.quick else Effort(chosen.rounds, HELD_OPERATIONS)
    is_complete = with_progress(steps(results, effort.rounds), lambda advance: measure(results, effort, advance))
    found = tables(compared, scale, results)
    if not printed(found, is_complete):
        return 130
    if chosen.output:
        given = " ".join(sys.argv[1:] if words is None else words)
        command = f"python -m benchmarks.engine_speed {given}" if given else "make bench"
        write(chosen.output / "engine_speed.md", page(found, command, effort.held_operations).encode())
        if compared and importlib.util.find_spec("matplotlib"):
            write(chosen.output / "engine_speed.svg", picture(compared, results))
        elif compared:
            print("No picture: matplotlib is not installed.", file=sys.stderr)
    if chosen.is_for_readme:
        readme = ROOT / "README.md"
        write(readme, into_readme(readme.read_text(encoding="utf-8"), found).encode())
    return 0


def with_progress(steps: int, work: Callable[[Advance], None]) -> bool:
    """Do the work, which calls advance so often; whether it came to its end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=steps)

        def advance(description: str) -> None:
            progress.update(bar, advance=1, description=description)

        try:
            work(advance)
        except KeyboardInterrupt:
            return False
    return True


def write(path: Path, content: bytes) -> None:
    """Whole or not at all: a file that is there stays as it is until the new one is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        complete = Path(folder) / path.name
        complete.write_bytes(content)
        os.replace(complete, path)


if __name__ == "__main__":
    sys.exit(main())

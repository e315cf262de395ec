"""The compiled path beside NumPy written by hand, PyTorch, CasADi, JAX and scikit-learn: `make bench`.

Prints the targets and a table for each program, and writes them to docs/compiled_speed.md and .svg, the targets to the
README as well. Ctrl-C shows what there is by then.
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.array_engines import ARRAY_ENGINES
from benchmarks.array_picture import picture
from benchmarks.array_process import TURN_SECONDS
from benchmarks.array_report import README_START, page, tables
from benchmarks.array_training import MOST_EPOCHS, TRAININGS
from benchmarks.array_workloads import ARRAY_PROGRAMS
from benchmarks.engine_speed import with_progress, write
from benchmarks.report import BUILDS, into_readme, printed
from benchmarks.rounds import ROOT
from benchmarks.turns import Contest, Contests, Effort, Turns, measure, steps

TRAINING, TRACING = "training", "tracing"
TRACED = {"network": (1_000, 10_000, 50_000, 200_000), "chain": (1_000, 10_000, 200_000)}
QUICK_TRACED = {"network": (1_000,), "chain": (1_000,)}
TRAINING_TURNS = 5
TRACING_TURNS = 1


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="compiled_speed", description=__doc__)
    names = [*ARRAY_PROGRAMS, TRAINING, TRACING]
    engines = [*ARRAY_ENGINES, *TRAININGS.keys() - ARRAY_ENGINES.keys(), *BUILDS]
    parser.add_argument("--rounds", type=int, default=3, help="of new processes for each engine (3)")
    parser.add_argument("--turns", type=int, default=20, help="of each process (20)")
    parser.add_argument("--workloads", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--engines", nargs="+", choices=engines, default=engines, metavar="NAME", help=", ".join(engines)
    )
    parser.add_argument("--quick", action="store_true", help="two turns of small programs, to see that all is well")
    parser.add_argument("--output", type=Path, help="folder for the files (docs, if everything is measured)")
    chosen = parser.parse_args(words)
    for name in ("rounds", "turns"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name}: expected 1 or more")
    if chosen.quick:
        chosen.rounds, chosen.turns = 1, 2
    is_all = not chosen.quick and set(chosen.workloads) == {*names} and set(chosen.engines) == {*engines}
    chosen.is_for_readme = is_all and not chosen.output
    chosen.output = chosen.output or (ROOT / "docs" if is_all else None)
    return chosen


def plan(chosen: argparse.Namespace) -> Contests:
    """The contests, and who takes part in them."""
    contests: Contests = {}

    def add(contest: Contest, engines: Sequence[str]) -> None:
        present = {key: Turns() for key in engines if key in chosen.engines}
        if present:
            contests[contest] = present

    for name, program in ARRAY_PROGRAMS.items():
        if name in chosen.workloads:
            size = program.quick_size if chosen.quick else program.size
            add(Contest("gradient", name, size), [key for key, each in ARRAY_ENGINES.items() if name in each.programs])
    if TRAINING in chosen.workloads:
        add(Contest("training", TRAINING, 2 if chosen.quick else MOST_EPOCHS), [*TRAININGS])
    if TRACING in chosen.workloads:
        for name, sizes in (QUICK_TRACED if chosen.quick else TRACED).items():
            for size in sizes:
                add(Contest("tracing", name, size), BUILDS)
    return contests


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    chosen = options(words)
    contests = plan(chosen)
    effort = Effort(chosen.rounds, {"gradient": chosen.turns, "training": TRAINING_TURNS, "tracing": TRACING_TURNS})
    is_complete = with_progress(steps(contests, effort), lambda advance: measure(contests, effort, advance))
    found = tables(contests)
    if not printed(found, is_complete):
        return 130
    if chosen.output:
        given = " ".join(sys.argv[1:] if words is None else words)
        command = f"python -m benchmarks.compiled_speed {given}" if given else "make bench"
        text = page(found, command, effort, TURN_SECONDS)
        write(chosen.output / "compiled_speed.md", text.encode())
        if importlib.util.find_spec("matplotlib"):
            write(chosen.output / "compiled_speed.svg", picture(contests))
        else:
            print("No picture: matplotlib is not installed.", file=sys.stderr)
    if chosen.is_for_readme:
        readme = ROOT / "README.md"
        write(readme, into_readme(readme.read_text(encoding="utf-8"), found[:1], README_START).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

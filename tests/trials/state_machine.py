"""The engine beside a naive one, in any order of calls, with each of its builds. Writes docs/trust.md."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence

import engine_machine
from rich.console import Console
from rich.progress import Progress

from trials import report
from trials.builds import figures_of_each

MACHINES_AT_ONCE = 50
"""Between two movements of the progress bar; each batch has a seed of its own."""

OTHER_COUNTS = ("nodes compared", "nodes where a dead one had been", "gradients that nobody can say")


def run(machines: int, steps: int, seed: int) -> Counter[str]:
    """What so many machines did and compared; raises AssertionError where one found a difference."""
    engine_machine.counts.clear()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for first in bar.track(range(0, machines, MACHINES_AT_ONCE), description="machines"):
            engine_machine.run(min(MACHINES_AT_ONCE, machines - first), steps, seed + first)
    return engine_machine.counts


def page(figures: dict[str, dict[str, int]], command: str) -> str:
    """What docs/trust.md says."""
    builds = list(figures)
    rules = sorted({rule for counts in figures.values() for rule in counts} - set(OTHER_COUNTS))
    total = {build: sum(counts.get(rule, 0) for rule in rules) for build, counts in figures.items()}
    head = [f"| what was done, in any order | {' | '.join(builds)} |", f"|---|{'---:|' * len(builds)}"]
    rows = [
        f"| {name} | {' | '.join(f'{figures[build].get(name, 0):,}' for build in builds)} |"
        for name in [*rules, *OTHER_COUNTS]
    ]
    together = " and ".join(f"{steps:,} steps {build}" for build, steps in total.items())
    return f"""\
`{command}`: {together}, after each of which every node that can be reached was compared with the naive engine of the
tests (`tests/naive_engine.py`): number, gradient, label, row, operands, derivatives, identity and hash. No difference.

{chr(10).join(head + rows)}

A gradient that nobody can say depends, to the naive engine's knowledge, on the order of additions: 0 or a last digit,
times infinity. {report.versions("hypothesis", "numpy")}."""


def main(words: Sequence[str] | None = None) -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(prog="python -m trials.state_machine", description=__doc__)
    parser.add_argument("--machines", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--steps", type=int, default=80, help="of each (80)")
    parser.add_argument("--seed", type=int, default=0, help="of the random choices (0)")
    parser.add_argument("--figures", action="store_true", help="print the counts of this build as JSON, write nothing")
    chosen = parser.parse_args(words)
    if chosen.figures:
        json.dump(run(chosen.machines, chosen.steps, chosen.seed), sys.stdout)
        return
    counts = [f"--machines={chosen.machines}", f"--steps={chosen.steps}", f"--seed={chosen.seed}"]
    text = page(figures_of_each("state_machine", *counts), " ".join(["python -m trials.state_machine", *counts]))
    print(text)
    report.write("state_machine", text)


if __name__ == "__main__":
    main()

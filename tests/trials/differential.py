"""Random smooth graphs: our engine, in all the ways it runs them, beside 50 digits and beside other engines.

Writes docs/trust.md. Exits with 1, and prints the graphs, where a disagreement is not explained by conditioning.
"""

import argparse
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import numpy as np
from benchmarks.engine_speed import with_progress
from exact_graphs import EPSILON, ExactGraph
from peers import OUR_LOSSES, PEERS, Engine, compiled, ours
from random_graphs import Graph, random_graph

from trials import report

GRAPHS = 10_000

STATED = 1e-13
"""The relative error that is promised at the 95th percentile; what is above it must be explained."""

SLACK = 4.0
"""How many last digits a step may cost, of which the bounds count one: rows round more than once, and what C libraries
make of erf or tanh differs from machine to machine."""

VANISHED = 1e-50
"""What share of its bound a derivative is that cancels to 0."""

DIGITS = "50 digits"
BACKWARD = "`backward()`"
OWN: Mapping[str, Callable[[], Engine]] = {
    BACKWARD: ours,
    "`compile_graph`, NumPy": lambda: compiled("numpy"),
    "`compile_graph`, tape": lambda: compiled("tape"),
}

Advance = Callable[[str], None]


class Answer(NamedTuple):
    """A value and its gradient, and how far rounding may have moved each of these numbers."""

    numbers: Sequence[Any]
    by_conditioning: Sequence[float]
    with_losses: Sequence[float]
    """With what the engine's formulas are known to lose besides; infinite where they leave too few digits."""


class Subject:
    """A graph and its exact numbers.

    Raises ValueError where the graph is not smooth.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        try:
            self._exact = ExactGraph(graph)
        except ArithmeticError as error:
            raise ValueError(f"expected a smooth graph, got {error}") from error
        value, gradient, is_smooth = self._exact.bounds(OUR_LOSSES)
        if not is_smooth:
            raise ValueError("expected a smooth graph, got one whose numbers keep too few digits")
        self._by_conditioning = [value, *gradient]
        nothing = [0.0] * (1 + len(gradient))
        self.exact = Answer([self._exact.value, *self._exact.gradient], nothing, nothing)

    def answer(self, engine: Engine) -> Answer:
        """The answer of an engine."""
        value, gradient, is_smooth = self._exact.bounds(engine.losses)
        bounds = [value, *gradient] if is_smooth else [math.inf] * (1 + len(gradient))
        outcome = engine(self.graph)
        return Answer([outcome.loss, *outcome.gradient], self._by_conditioning, bounds)


@dataclass
class Comparison:
    """Two that answer, over many graphs."""

    errors: list[float] = field(default_factory=list)
    """For each graph the largest relative error in its gradient."""
    explained: int = 0
    """Of those above what is stated, so many are explained by conditioning."""
    lost: int = 0
    """And so many by what a formula of the other engine is known to lose."""
    zeros: int = 0
    """Derivatives that cancel to 0, of which no error is relative. They are held to their bounds all the same."""
    largest_share: float = 0.0
    """Of a bound that an error is."""
    unexplained: list[str] = field(default_factory=list)

    def add(self, subject: Subject, one: Answer, other: Answer) -> None:
        """Take the answers for one graph."""
        distances = [float(abs(x - y)) for x, y in zip(one.numbers, other.numbers, strict=True)]
        bounds = _sums(one.with_losses, other.with_losses)
        self.errors.append(self._largest_error(subject.exact.numbers[1:], distances[1:], bounds[1:]))
        shares = [distance / (EPSILON * bound) for distance, bound in zip(distances, bounds, strict=True) if bound]
        self.largest_share = max([self.largest_share, *shares])
        if not _are_within(distances, bounds):
            answers = (one.numbers, other.numbers, subject.exact.numbers)
            self.unexplained.append("\n".join([str(subject.graph), *(str(list(map(float, each))) for each in answers)]))
        elif self.errors[-1] > STATED:
            is_explained = _are_within(distances, _sums(one.by_conditioning, other.by_conditioning))
            self.explained += is_explained
            self.lost += not is_explained

    def _largest_error(self, exact: Sequence[Any], distances: Sequence[float], bounds: Sequence[float]) -> float:
        found = [0.0]
        for number, distance, bound in zip(exact, distances, bounds, strict=True):
            if abs(number) > VANISHED * bound:
                found.append(distance / abs(float(number)))
            else:
                self.zeros += bound > 0.0
        return max(found)

    def row(self) -> list[str]:
        """Its figures, as the table has them."""
        above = sum(error > STATED for error in self.errors)
        percentiles = np.percentile(self.errors, [50, 95, 99, 100])
        return [*(f"{number:.1e}" for number in percentiles), *map(str, (above, self.explained, self.lost, self.zeros))]


def _sums(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [x + y for x, y in zip(left, right, strict=True)]


def _are_within(distances: Sequence[float], bounds: Sequence[float]) -> bool:
    """Also False for a NaN."""
    return all(distance <= SLACK * EPSILON * bound for distance, bound in zip(distances, bounds, strict=True))


Figures = Mapping[tuple[str, str], Comparison]


def smooth_graphs(count: int, seed: int) -> Iterator[Subject]:
    """So many; one that is not smooth is drawn again."""
    random = Random(seed)
    while count:
        try:
            subject = Subject(random_graph(random))
        except ValueError:
            continue
        count -= 1
        yield subject


def run(graphs: int, seed: int, own: Mapping[str, Engine], peers: Mapping[str, Engine], advance: Advance) -> Figures:
    """Compare our engines with the exact numbers, and the first of them and each peer with one another."""
    pairs = [(name, DIGITS) for name in (*own, *peers)] + [(BACKWARD, name) for name in peers]
    figures = {pair: Comparison() for pair in pairs}
    for subject in smooth_graphs(graphs, seed):
        answers = {name: subject.answer(engine) for name, engine in {**own, **peers}.items()}
        answers[DIGITS] = subject.exact
        for (one, other), comparison in figures.items():
            comparison.add(subject, answers[one], answers[other])
        advance("graphs")
    return figures


HEAD = ("", "median", "95 %", "99 %", "largest", "above 1e-13", "explained", "lost", "zeros")


def table(figures: Figures) -> str:
    """The figures in Markdown."""
    rows = [HEAD, ["---"] * len(HEAD), *([f"{one}, {other}", *each.row()] for (one, other), each in figures.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page(figures: Figures, graphs: int, command: str, versions: str) -> str:
    """What docs/trust.md says."""
    shares = ", ".join(f"{each.largest_share:.2f} ({one})" for (one, other), each in figures.items() if other == DIGITS)
    unexplained = sum(len(each.unexplained) for each in figures.values())
    return f"""\
`{command}`: {graphs:,} random graphs over the whole table, smooth ones: no kinks and ties, where every engine chooses
for itself. Of each, the largest relative error in its gradient:

{table(figures)}

Errors above 1e-13 are *explained* where rounding every step to its last digit may move the number so far (Wilkinson's
running error analysis, from 200 digits), and *lost* where a formula of the other engine is known to round more
(`tests/peers.py` says where and why). Unexplained: {unexplained}. *Zeros* are derivatives that cancel to 0, of which
no error is relative. Every number of every graph was held to its bound, times {SLACK:.0f} because a row rounds more
than once; the largest multiples of it that were found: {shares}.

{versions}"""


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="trials.differential", description=__doc__)
    parser.add_argument("--graphs", type=int, default=GRAPHS, help=f"how many ({GRAPHS})")
    parser.add_argument("--seed", type=int, default=0, help="of the random graphs (0)")
    chosen = parser.parse_args(words)
    if chosen.graphs < 1:
        parser.error("--graphs: expected 1 or more")
    return chosen


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print and write."""
    chosen = options(words)
    missing = {name: package for name, (package, _) in PEERS.items() if not importlib.util.find_spec(package)}
    for name, package in missing.items():
        print(f"Without {name}: {package} is not installed.", file=sys.stderr)
    own = {name: load() for name, load in OWN.items()}
    peers = {name: load() for name, (_, load) in PEERS.items() if name not in missing}
    found: list[Figures] = []
    is_complete = with_progress(
        chosen.graphs, lambda advance: found.append(run(chosen.graphs, chosen.seed, own, peers, advance))
    )
    if not is_complete:
        return 130
    (figures,) = found
    print(table(figures))
    for (one, other), comparison in figures.items():
        for graph in comparison.unexplained:
            print(f"\nUnexplained: {one}, {other}\n{graph}", file=sys.stderr)
    command = f"python -m trials.differential --graphs {chosen.graphs} --seed {chosen.seed}"
    packages = report.versions("mpmath", *(package for package, _ in PEERS.values()))
    report.write("differential", page(figures, chosen.graphs, command, packages))
    return any(comparison.unexplained for comparison in figures.values())


if __name__ == "__main__":
    sys.exit(main())

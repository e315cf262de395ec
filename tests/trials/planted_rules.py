"""Wrong rules planted one at a time: the checker must say FAIL, the tests must fail; and no right rule may be refused.

Writes docs/trust.md. Exits with 1, and says which, where a wrong rule is not caught or a right one is.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random

from benchmarks.engine_speed import with_progress
from planted_rules import (
    EQUIVALENT,
    FACTORS,
    LOST_SUM,
    SWAPPED,
    WrongRule,
    differences_alone,
    points_of,
    wrong_rules,
)
from planted_texts import Planted, Tree, planted_texts
from random_graphs import OURS, random_graph

from autograd_mini import Value, Verdict, check_gradients
from autograd_mini.check import relative_error
from trials import report

GRAPHS, POINTS = 10_000, 20

TOLERANCE = 1e-7
"""That of the checker: a wrong rule that moves a gradient by less goes through."""

REFERENCES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "50 digits": nullcontext,
    "differences alone": differences_alone,
}

Advance = Callable[[str], None]


@dataclass
class Caught:
    """How many wrong rules were caught, and at how many of the points at which they show."""

    rules: int = 0
    points: int = 0
    visible: int = 0
    missed: list[WrongRule] = field(default_factory=list)
    silent: int = 0
    """Points at which a wrong rule passed."""


@dataclass
class Verdicts:
    """On the coordinates of graphs whose rules are right."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: list[int] = field(default_factory=list)
    """The seeds of the graphs with a failure."""
    graphs: int = 0
    open_graphs: int = 0
    """Those with an inconclusive coordinate."""


def check_rules(points: int, advance: Advance = lambda _: None) -> dict[str, Caught]:
    """Every wrong rule at so many points of its domain, by each of the checker's references."""
    found = {}
    for reference, prepared in REFERENCES.items():
        caught = found[reference] = Caught()
        with prepared():
            for rule in wrong_rules():
                _check_rule(rule, points, caught)
                advance(f"checker, {reference}")
    return found


def _check_rule(rule: WrongRule, points: int, caught: Caught) -> None:
    caught.rules += 1
    before = caught.points
    for point in points_of(rule.right, points):
        checked = rule.check(point)
        pairs = zip(checked.coordinates, rule.right_gradients(point), strict=True)
        if not any(relative_error(coordinate.gradient, right) > TOLERANCE for coordinate, right in pairs):
            continue
        caught.visible += 1
        caught.points += checked.count(Verdict.FAIL) > 0
        caught.silent += bool(checked)
    if caught.points == before:
        caught.missed.append(rule)


def check_graphs(count: int, seed: int, advance: Advance = lambda _: None) -> dict[str, Verdicts]:
    """Random smooth graphs over the whole table, by each of the checker's references."""
    found = {}
    for reference, prepared in REFERENCES.items():
        verdicts = found[reference] = Verdicts()
        with prepared():
            for number in range(seed, seed + count):
                _check_graph(number, verdicts)
                advance(f"right rules, {reference}")
    return found


def _check_graph(seed: int, verdicts: Verdicts) -> None:
    graph = random_graph(Random(seed))
    checked = check_gradients(graph.run(OURS, [Value(number) for number in graph.leaves]))
    verdicts.graphs += 1
    verdicts.open_graphs += checked.count(Verdict.INCONCLUSIVE) > 0
    for coordinate in checked.coordinates:
        verdicts.counts[coordinate.verdict] += 1
        if coordinate.verdict is Verdict.INCONCLUSIVE:
            verdicts.reasons[coordinate.reason.partition(":")[0].partition(" than")[0]] += 1
    if checked.count(Verdict.FAIL):
        verdicts.refused.append(seed)


def run_tests(planted: Sequence[Planted], advance: Advance = lambda _: None) -> list[Planted]:
    """The tests on a copy of the sources with each mistake in turn; returns those that no test noticed."""
    unnoticed = []
    with Tree({mistake.group for mistake in planted}) as tree:
        for mistake in planted:
            if not tree.fails_with(mistake):
                unnoticed.append(mistake)
            advance(f"tests, {mistake.group}")
    return unnoticed


@dataclass
class Figures:
    """What a run has found."""

    rules: dict[str, Caught]
    graphs: dict[str, Verdicts]
    unnoticed: list[Planted]

    def mistakes(self) -> list[str]:
        """In words, what should not be."""
        return [
            *[f"not caught by {name}: {rule}" for name, caught in self.rules.items() for rule in caught.missed],
            *[f"refused by {name}: seed {seed}" for name, found in self.graphs.items() for seed in found.refused],
            *[f"not noticed by the tests: {mistake.group}: {mistake.name}" for mistake in self.unnoticed],
        ]


def page(figures: Figures, planted: Sequence[Planted], command: str) -> str:
    """The figures in Markdown."""
    same = ", ".join(f"{kind} of `{name}` ({why})" for (name, kind), why in EQUIVALENT.items())
    lines = [
        f"`{command}`, {report.versions('mpmath', 'hypothesis')}. Every operand of every row in turn: "
        f"{', '.join((*FACTORS, SWAPPED, LOST_SUM))}. Not counted, for it is no mistake: {same}.",
        "",
        "| wrong rules | planted | caught | points at which they show | caught there | passed there |",
        "|---|---|---|---|---|---|",
        *[
            f"| checker, {name} | {c.rules} | {c.rules - len(c.missed)} | {c.visible:,} | {c.points:,} | {c.silent:,} |"
            for name, c in figures.rules.items()
        ],
        "",
        "| mistakes in the sources | planted | noticed by the tests |",
        "|---|---|---|",
        *_noticed(planted, figures.unnoticed),
        "",
        "| right rules | graphs | coordinates | failed | inconclusive | of these |",
        "|---|---|---|---|---|---|",
        *[f"| checker, {name} | {_verdicts(found)} |" for name, found in figures.graphs.items()],
    ]
    return "\n".join(lines)


def _noticed(planted: Sequence[Planted], unnoticed: Sequence[Planted]) -> list[str]:
    counts, missed = (Counter(mistake.group for mistake in mistakes) for mistakes in (planted, unnoticed))
    return [f"| {group} | {count} | {count - missed[group]} |" for group, count in counts.items()]


def _verdicts(found: Verdicts) -> str:
    total = found.counts.total()
    inconclusive = found.counts[Verdict.INCONCLUSIVE]
    reasons = ", ".join(f"{count} {reason}" for reason, count in found.reasons.most_common())
    return (
        f"{found.graphs:,} | {total:,} | {found.counts[Verdict.FAIL]} | "
        f"{inconclusive} ({inconclusive / total:.2%}) | {reasons}"
    )


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was chosen on the command line."""
    parser = argparse.ArgumentParser(prog="trials.planted_rules", description=__doc__)
    parser.add_argument("--graphs", type=int, default=GRAPHS, help="with right rules, for each reference (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first graph (%(default)s)")
    parser.add_argument("--points", type=int, default=POINTS, help="of each wrong rule (%(default)s)")
    parser.add_argument("--texts", type=int, help="how many mistakes to plant in the sources (all)")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Plant, print and write."""
    chosen = options(words)
    planted = planted_texts()
    if chosen.texts is not None:
        planted = Random(0).sample(planted, chosen.texts)
    found: list[Figures] = []

    def work(advance: Advance) -> None:
        rules = check_rules(chosen.points, advance)
        graphs = check_graphs(chosen.graphs, chosen.seed, advance)
        found.append(Figures(rules, graphs, run_tests(planted, advance)))

    if not with_progress(len(REFERENCES) * (len(wrong_rules()) + chosen.graphs) + len(planted), work):
        return 130
    (figures,) = found
    command = f"python -m trials.planted_rules --graphs {chosen.graphs} --seed {chosen.seed} --points {chosen.points}"
    text = page(figures, planted, command)
    print(text)
    for mistake in figures.mistakes():
        print(mistake, file=sys.stderr)
    report.write("planted_rules", text)
    return int(bool(figures.mistakes()))


if __name__ == "__main__":
    sys.exit(main())

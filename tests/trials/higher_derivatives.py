"""Derivatives up to the third order of every row, by all mixtures of its operands, and Hessians of random graphs.

Beside 50 digits; writes docs/trust.md. Exits with 1, and prints where, if an error is not explained by rounding.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, NamedTuple

import numpy as np
from benchmarks.engine_speed import with_progress
from exact_graphs import EPSILON, ExactGraph
from peers import OUR_LOSSES
from random_graphs import OURS, recorded
from taylor import TEXTBOOK, Series, Space, power

from autograd_mini import TABLE, Op, Value, grad, hessian, jacobian
from trials import report
from trials.differential import SLACK, VANISHED, Advance, Subject, smooth_graphs

POINTS = 100
GRAPHS = 10_000

ROUNDED = 1e-13
"""A relative error above this one must be explained by rounding, as the derivative's own graph shows it."""

SYMMETRIC = 1e-12
"""How far two entries of a Hessian that should be equal may differ, in terms of its largest; beyond, as above."""

DIGITS = 1000
"""Of exact derivatives, so that those of 1 + exp(-700) have any."""

UNDERFLOW = sys.float_info.min
"""A derivative that is smaller than every normal float need not be right to any digit."""

FAR: Mapping[str, Sequence[tuple[float, ...]]] = {
    "div": [(1e100, 1e-40), (-1e-60, 1e60), (3.0, -1e-70)],
    "pow": [(10.1, 90.3), (1e-5, -20.2), (0.51, 300.3), (1e20, 5.5)],
    "abs": [(-1e100,), (1e-100,)],
    "exp": [(-690.7,), (700.3,), (1e-100,)],
    "log": [(1e-90,), (1e90,), (1.0,)],
    "log1p": [(1e-20,), (-1.0 + 1e-12,), (1e90,)],
    "expm1": [(-690.7,), (700.3,), (1e-10,)],
    "sqrt": [(1e-90,), (1e100,)],
    "sin": [(1e10,), (1e-100,)],
    "cos": [(1e10,), (1e-100,)],
    "tan": [(1.5707,), (100.3,), (1e-10,)],
    "tanh": [(20.1,), (-20.1,), (300.3,), (-300.3,)],
    "sigmoid": [(40.1,), (-40.1,), (300.3,), (690.7,), (-690.7,)],
    "softplus": [(40.1,), (-40.1,), (690.7,), (-690.7,)],
    "logaddexp": [(690.7, 0.1), (0.1, 690.7), (1000.1, 1000.7), (-1000.1, -960.7), (2.1, 2.1)],
    "relu": [(1e100,), (-1e100,), (1e-100,)],
    "leaky_relu": [(1e100, 0.01), (-1e100, 0.5), (-1e-100, 2.0)],
    "maximum": [(1e100, 1e-100), (-3.0, 1e100)],
    "minimum": [(1e100, 1e-100), (-3.0, 1e100)],
    "erf": [(6.1,), (-6.1,), (20.3,), (-26.1,)],
    "erfc": [(6.1,), (-6.1,), (20.3,), (26.1,)],
    "gelu": [(10.1,), (-10.1,), (30.3,), (-36.7,)],
}
"""Points beside the domain in which tests draw theirs: tails, huge and tiny operands, as far as results are floats."""

ORDERS: Mapping[int, Callable[..., Callable[..., Any]]] = {
    1: grad,
    2: hessian,
    3: lambda function, argnums: jacobian(hessian(function, argnums), argnums),
}
"""All derivatives of an order at once, from the public functions."""


class Case(NamedTuple):
    """A function, what the textbook says it is, and where its derivatives are taken."""

    name: str
    function: Callable[..., Any]
    textbook: Callable[..., Series]
    points: Sequence[tuple[float, ...]]


@dataclass
class Errors:
    """Of derivatives beside the exact ones."""

    relative: list[float] = field(default_factory=list)
    explained: int = 0
    """Of those above 1e-13, so many are explained by rounding."""
    zeros: int = 0
    """Derivatives that cancel to 0, of which no error is relative."""
    unexplained: list[str] = field(default_factory=list)

    def add(self, got: float, exact: Any, where: str, bound: Callable[[], float]) -> None:
        """Take one, with how far rounding may move it, which is asked only where it matters."""
        distance = float(abs(got - exact))
        if distance <= max(ROUNDED * abs(exact), UNDERFLOW):
            self.relative.append(distance / abs(float(exact)) if abs(exact) > UNDERFLOW else 0.0)
            return
        allowed = bound()
        if not distance <= SLACK * EPSILON * allowed:
            self.unexplained.append(f"{where}: expected {float(exact)!r}, got {got!r}")
        elif abs(exact) <= VANISHED * allowed:
            self.zeros += 1
        else:
            self.explained += 1
            self.relative.append(distance / abs(float(exact)))

    def largest(self) -> float:
        """The largest relative error."""
        return max(self.relative, default=0.0)


def rounding(function: Callable[..., Any], point: Sequence[float], places: Sequence[int]) -> float:
    """How far rounding may move the derivative by these arguments in turn, in units of the last digit of a 1.

    All but the last are recorded; so the last is the gradient of a graph, and is bounded as one.
    """
    inputs = [Value(number) for number in point]
    for place in places[:-1]:
        function = grad(function, place)
    root = function(*inputs)
    if not isinstance(root, Value) or root.op is None:
        return 0.0  # of a constant, or of an argument itself, the derivative is exact
    return ExactGraph(recorded(root, inputs)).bounds(OUR_LOSSES).gradient[places[-1]]


def cases(points: int, seed: int) -> Iterator[Case]:
    """Every row at points of its domain and far away; and whole powers of negative numbers."""
    for name, op in TABLE.items():
        drawn = list(itertools.islice(_points(op, Random(f"{seed} {name}")), points))
        yield Case(name, OURS[name], TEXTBOOK[name], [*drawn, *FAR.get(name, [])])
    negative = [(Random(seed).uniform(-4.0, -0.25),), (-1e30,), (-1e-30,)]
    for exponent in (2, 3, -2):
        function, textbook = partial(_power, exponent=exponent), partial(power, exponent=exponent)
        yield Case(f"pow(x, {exponent})", function, textbook, negative)


def _power(x: Any, exponent: int) -> Any:
    return x**exponent


def _points(op: Op, random: Random) -> Iterator[tuple[float, ...]]:
    while True:
        point = tuple(random.uniform(*interval) for interval in op.domain)
        if op.kink is None or abs(op.kink(*point)) > 1e-3:
            yield point


def take(case: Case, order: int, errors: Errors) -> None:
    """All derivatives of one order at all points of a case."""
    n = len(case.points[0])
    space = Space(n, order, DIGITS)
    for point in case.points:
        exact = case.textbook(*space.variables(point))
        got = np.array(ORDERS[order](case.function, tuple(range(n)))(*point), dtype=float)
        for places in itertools.product(range(n), repeat=order):
            where = f"{case.name} at {point}, by {places}"
            errors.add(float(got[places]), exact.by(*places), where, partial(rounding, case.function, point, places))


@dataclass
class Hessians:
    """Of random graphs."""

    errors: Errors = field(default_factory=Errors)
    asymmetries: list[float] = field(default_factory=list)
    """The largest difference of two entries that should be equal, in terms of the largest entry."""
    explained: int = 0
    """How many more are less symmetric, but no less than rounding explains: all their entries nearly cancel."""

    def take(self, subject: Subject) -> None:
        """The Hessian of one graph, entry by entry."""
        graph = subject.graph
        leaves = range(len(graph.leaves))

        def function(*numbers: Any) -> Any:
            return graph.run(OURS, numbers)

        space = Space(len(leaves), 2, DIGITS)
        exact = graph.run(TEXTBOOK, space.variables(graph.leaves), lambda number: space.constant(float(number)))
        found = np.array(hessian(function, tuple(leaves))(*graph.leaves), dtype=float)
        for places in itertools.product(leaves, repeat=2):
            bound = partial(rounding, function, graph.leaves, places)
            self.errors.add(float(found[places]), exact.by(*places), f"{graph}\nby {places}", bound)
        differences, largest = np.abs(found - found.T), np.abs(found).max()
        if np.all(differences <= SYMMETRIC * largest):
            self.asymmetries.append(float(differences.max() / largest) if largest else 0.0)
            return
        bounds = np.array([[rounding(function, graph.leaves, (i, j)) for j in leaves] for i in leaves])
        if np.all(differences <= SLACK * EPSILON * (bounds + bounds.T)):
            self.explained += 1
        else:
            self.errors.unexplained.append(f"{graph}\nis not symmetric: {found.tolist()}")


Figures = tuple[Mapping[int, Mapping[str, Errors]], Hessians]
"""Errors by order and row, and Hessians."""


def run(points: int, graphs: int, seed: int, advance: Advance) -> Figures:
    """Every row, and so many graphs."""
    found: dict[int, dict[str, Errors]] = {order: {} for order in ORDERS}
    for case in cases(points, seed):
        for order, errors in found.items():
            take(case, order, errors.setdefault(case.name, Errors()))
        advance("rows")
    hessians = Hessians()
    for subject in smooth_graphs(graphs, seed):
        hessians.take(subject)
        advance("Hessians")
    return found, hessians


def unexplained(figures: Figures) -> list[str]:
    """All that rounding does not explain."""
    by_order, hessians = figures
    rows = [errors for by_row in by_order.values() for errors in by_row.values()]
    return [line for errors in (*rows, hessians.errors) for line in errors.unexplained]


def page(figures: Figures, command: str, versions: str) -> str:
    """What docs/trust.md says."""
    by_order, hessians = figures
    lines = ["| order | derivatives | largest relative error | above 1e-13 | unexplained |", "|---|---|---|---|---|"]
    for order, by_row in by_order.items():
        count = sum(len(errors.relative) for errors in by_row.values())
        above = sum(errors.explained for errors in by_row.values())
        missing = sum(len(errors.unexplained) for errors in by_row.values())
        worst = max(by_row, key=lambda name: by_row[name].largest())
        lines.append(f"| {order} | {count:,} | {by_row[worst].largest():.1e} ({worst}) | {above} | {missing} |")
    errors, asymmetries = hessians.errors, hessians.asymmetries
    median, high, higher, largest = np.percentile(errors.relative, [50, 95, 99, 100])
    return f"""\
`{command}`: every row by all mixtures of its operands, at points of its domain and far in its tails, by `grad`,
`hessian` and `jacobian` of `hessian`, beside Taylor series of the textbooks' formulas:

{chr(10).join(lines)}

Hessians of {len(asymmetries) + hessians.explained:,} random smooth graphs: two entries that should be equal differ by
at most {max(asymmetries):.1e} of the largest entry, but for {hessians.explained} where all entries nearly cancel.
Relative error of an entry: median {median:.1e}, 95 % {high:.1e}, 99 % {higher:.1e}, largest {largest:.1e};
{errors.explained} of {len(errors.relative):,} above 1e-13; {errors.zeros} more cancel to 0. Errors above 1e-13, and
differences above 1e-12 of the largest entry, must lie within the running error analysis of the recorded first
derivative. Unexplained: {len(errors.unexplained)}.

{versions}"""


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="trials.higher_derivatives", description=__doc__)
    parser.add_argument("--points", type=int, default=POINTS, help=f"of each row's domain ({POINTS})")
    parser.add_argument("--graphs", type=int, default=GRAPHS, help=f"whose Hessian is taken ({GRAPHS})")
    parser.add_argument("--seed", type=int, default=0, help="of points and graphs (0)")
    chosen = parser.parse_args(words)
    for name in ("points", "graphs"):
        if getattr(chosen, name) < 1:
            parser.error(f"--{name}: expected 1 or more")
    return chosen


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print and write."""
    chosen = options(words)
    found: list[Figures] = []
    steps = sum(1 for _ in cases(1, 0)) + chosen.graphs
    if not with_progress(steps, lambda advance: found.append(run(chosen.points, chosen.graphs, chosen.seed, advance))):
        return 130
    (figures,) = found
    command = f"python -m trials.higher_derivatives --points {chosen.points} --graphs {chosen.graphs}"
    text = page(figures, f"{command} --seed {chosen.seed}", report.versions("mpmath"))
    print(text)
    print("\n".join(unexplained(figures)), file=sys.stderr)
    report.write("higher_derivatives", text)
    return bool(unexplained(figures))


if __name__ == "__main__":
    sys.exit(main())

"""A graph at 200 digits: its value, its gradient, and how far rounding may move them in an engine.

The bounds are Wilkinson's running error analysis, to first order: every result, every local derivative, every product
and every sum of the reverse pass is rounded once, and carries on what its operands were already off by. They hold for
any engine that takes these steps and goes back by the chain rule, in whatever order it adds.
"""

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from random_graphs import Graph, Step
from taylor import DIGITS, TEXTBOOK, Space, context_of

EPSILON = sys.float_info.epsilon

KEPT = 1e-8
"""A graph is smooth where rounding moves no number on the way by more than this share of it."""

LARGEST = 1e250
"""And where no product of derivatives leaves the floats: none is larger, and none but a zero smaller than 1 over it."""

Losses = Mapping[str, Callable[..., tuple[float, ...]]]
"""The rows whose formula in an engine rounds something larger than what comes out: for the operands, the size of that,
for the result and for the derivative by each operand."""


class Local(NamedTuple):
    """A step by itself. Derivatives are by those operands that are no constants."""

    name: str
    operands: list[float]
    result: float
    places: dict[int, int]
    """Which number of the graph an operand is."""
    exact_partials: dict[int, Any]
    second: dict[tuple[int, int], float]

    def size(self, operand: int) -> float:
        """Of the derivative by that operand."""
        return abs(float(self.exact_partials[operand]))


class Bounds(NamedTuple):
    """How far rounding may move value and gradient, in units of the last digit of a 1; is the graph smooth."""

    value: float
    gradient: list[float]
    is_smooth: bool


class ExactGraph:
    """A graph run at 200 digits, by the textbooks' definitions.

    Raises ArithmeticError or ValueError where its exact numbers leave the reals.
    """

    def __init__(self, graph: Graph) -> None:
        number = context_of(DIGITS).mpf
        self._numbers = [number(leaf) for leaf in graph.leaves]
        self._n_leaves = len(graph.leaves)
        self._steps = [self._take(step) for step in graph.steps]
        self._adjoints = [number(0)] * (len(self._numbers) - 1) + [number(1)]
        self._fits = True
        for place, step in self._backwards():
            for operand, partial in step.exact_partials.items():
                term = self._adjoints[place] * partial
                self._fits &= not term or 1 / LARGEST < abs(term) < LARGEST
                self._adjoints[step.places[operand]] += term
        self.value = self._numbers[-1]
        self.gradient = self._adjoints[: self._n_leaves]

    def _take(self, step: Step) -> Local:
        places = {index: operand for index, operand in enumerate(step.operands) if isinstance(operand, int)}
        space = _space(len(places))
        variables = iter(space.variables([self._numbers[place] for place in places.values()]))
        operands = [next(variables) if isinstance(o, int) else space.constant(float(o.number)) for o in step.operands]
        series = TEXTBOOK[step.name](*operands)
        self._numbers.append(series.number)
        return Local(
            step.name,
            [float(operand.number) for operand in operands],
            float(series.number),
            places,
            {operand: series.by(variable) for variable, operand in enumerate(places)},
            {(i, j): float(series.by(n, m)) for n, i in enumerate(places) for m, j in enumerate(places)},
        )

    def _backwards(self) -> list[tuple[int, Local]]:
        """The steps, last first, each with the place of its result."""
        return list(enumerate(self._steps, start=self._n_leaves))[::-1]

    def bounds(self, losses: Losses) -> Bounds:
        """The bounds for an engine."""
        errors = [0.0] * len(self._numbers)
        partial_errors: dict[int, dict[int, float]] = {}
        is_smooth = self._fits
        for place, step in reversed(self._backwards()):
            moved = {operand: errors[number] for operand, number in step.places.items()}
            lost = losses[step.name](*step.operands) if step.name in losses else (0.0,) * (1 + len(step.operands))
            errors[place] = abs(step.result) + lost[0] + sum(step.size(operand) * moved[operand] for operand in moved)
            curved = sum(abs(by) * moved[i] * moved[j] * EPSILON for (i, j), by in step.second.items())
            is_smooth &= max(errors[place], curved) * EPSILON <= KEPT * abs(step.result)
            partial_errors[place] = {
                i: step.size(i) + lost[1 + i] + sum(abs(step.second[i, j]) * moved[j] for j in moved) for i in moved
            }
        return Bounds(errors[-1], self._gradient_errors(partial_errors), is_smooth)

    def _gradient_errors(self, partial_errors: dict[int, dict[int, float]]) -> list[float]:
        errors = [0.0] * len(self._numbers)
        terms = [0.0] * len(self._numbers)
        for place, step in self._backwards():
            adjoint = abs(float(self._adjoints[place]))
            for operand, number in step.places.items():
                term = adjoint * step.size(operand)
                # The product is rounded, and so is its sum with the terms before it.
                carried = adjoint * partial_errors[place][operand] + errors[place] * step.size(operand)
                errors[number] += carried + term + terms[number]
                terms[number] += term
        return errors[: self._n_leaves]


@cache
def _space(variables: int) -> Space:
    return Space(variables, order=2)

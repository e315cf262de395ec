"""Gradient checking: reverse mode against central differences and against the same graph at 50 digits."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autograd_mini import graph
from autograd_mini.engine import to_float
from autograd_mini.finite_differences import Estimate, differentiate
from autograd_mini.high_precision import gradients_at_50_digits
from autograd_mini.nested import Numbers
from autograd_mini.rounding import UNDERFLOW, Rounding
from autograd_mini.subject import Subject, function_subject, recorded_subject
from autograd_mini.value import Value


class Verdict(StrEnum):
    """What a check can say of one coordinate."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Coordinate:
    """One partial derivative: what was claimed, what it was held to, and the verdict with its reason.

    Where nothing can be said, at a kink for instance, reference and relative error are NaN. A pass needs no reason.
    """

    name: str
    gradient: float
    reference: float
    relative_error: float
    verdict: Verdict
    reason: str


@dataclass(frozen=True)
class Report:
    """The verdicts on all coordinates. True only when all pass; prints as a table."""

    coordinates: tuple[Coordinate, ...]

    def __bool__(self) -> bool:
        return all(coordinate.verdict is Verdict.PASS for coordinate in self.coordinates)

    def __str__(self) -> str:
        rows = [("coordinate", "gradient", "reference", "relative error", "verdict")]
        for c in self.coordinates:
            verdict = c.verdict.value if c.verdict is Verdict.PASS else f"{c.verdict.value}: {c.reason}"
            reference = ("—", "—") if math.isnan(c.reference) else (f"{c.reference:.12g}", f"{c.relative_error:.1e}")
            name = graph.label_in_text(c.name, length=100)
            rows.append((name, f"{c.gradient + 0.0:.12g}", *reference, verdict))  # + 0.0 prints -0 as 0
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            f"{name:<{widths[0]}}  {gradient:>{widths[1]}}  {reference:>{widths[2]}}  {error:>{widths[3]}}  {verdict}"
            for name, gradient, reference, error, verdict in rows
        ]
        counts = [f"{self.count(verdict)} {verdict.value}" for verdict in Verdict if self.count(verdict)]
        return "\n".join([*lines, ", ".join(counts) or "no coordinates"])

    def count(self, verdict: Verdict) -> int:
        """How many coordinates got this verdict."""
        return sum(coordinate.verdict is verdict for coordinate in self.coordinates)

    def assert_(self) -> None:
        """Raise AssertionError with the table unless every coordinate passes; for unit tests."""
        if not self:
            raise AssertionError(f"gradients not confirmed\n{self}")


def check_gradients(
    function: Callable[..., Any] | Value,
    inputs: Numbers | Sequence[Value] | None = None,
    *,
    gradient: Callable[..., Numbers] | Numbers | None = None,
    tolerance: float = 1e-7,
    progress: bool = False,
) -> Report:
    """Check the gradient of a function, or of a recorded `Value`, at every coordinate.

    check_gradients(function, inputs): function(*inputs) returns one number; inputs is the list of its arguments,
    each a number, or nested lists, dicts or arrays of numbers (one number, dict or array alone may stand without the
    list). Our reverse mode is checked, or the `gradient` given: the derivatives themselves, in the shape of inputs, or
    a function of the same arguments that returns them.

    check_gradients(value, leaves): the recorded graph of a `Value` by the leaves given, or by all its leaves.

    Two references: central differences with step control and, where the function is made of our operations, the
    graph again at 50 digits (needs mpmath). A coordinate passes when its relative error is at most `tolerance`;
    there is no absolute tolerance, so a small gradient is held to as many digits as a large one. It is inconclusive
    at a kink, at the edge of the domain, and where rounding hides the answer; `reason` says which.

    The function is called some 20 to 100 times for each coordinate; progress=True shows a progress bar (needs rich).
    A pass speaks of this point alone, and for a function that is not made of our operations it says no more than
    that the differences, at the steps that were tried, agree.

    Raises TypeError or ValueError if the arguments do not fit the above.
    """
    if not 0.0 < to_float(tolerance, "check_gradients, tolerance") < 1.0:
        raise ValueError(f"check_gradients: expected a tolerance between 0 and 1, got {tolerance}")
    if isinstance(function, Value):
        subject = recorded_subject(function, [inputs] if isinstance(inputs, Value) else inputs)
    else:
        subject = function_subject(function, inputs)
    gradients = subject.gradients() if gradient is None else subject.claimed(gradient)
    judge = _Judge(subject, tolerance)
    places = _track(range(len(subject.point)), progress)
    return Report(tuple(judge.coordinate(place, gradients[place]) for place in places))


def assert_gradients(function: Callable[..., Any] | Value, inputs: Any = None, **options: Any) -> None:
    """`check_gradients`, raising AssertionError with the table unless every coordinate passes; for unit tests."""
    check_gradients(function, inputs, **options).assert_()  # noqa: PT009 (not unittest's)


def relative_error(gradient: float, reference: float) -> float:
    """|gradient - reference| as a share of the larger of the two; 0 where they are equal, NaN without a reference."""
    if gradient == reference:
        return 0.0
    if math.isnan(reference):
        return math.nan
    if not (math.isfinite(gradient) and math.isfinite(reference)):
        return math.inf
    return abs(gradient - reference) / max(abs(gradient), abs(reference))


_ILL_CONDITIONED = "ill-conditioned: rounding alone moves the gradient this far"

_Finding = tuple[float, Verdict, str]
"""The reference that decided, the verdict, and its reason."""


class _Judge:
    """Holds gradients to the references that a subject has."""

    def __init__(self, subject: Subject, tolerance: float) -> None:
        self._subject = subject
        self._tolerance = tolerance
        self._rounding: Rounding | None = None
        self._exact: list[float] | None = None
        self._kinks: dict[int, str] = {}
        if subject.root is not None:
            self._rounding = Rounding(subject.root, subject.leaves)
            self._exact = gradients_at_50_digits(subject.root, subject.leaves)
            self._kinks = _kinks(subject.root)

    def coordinate(self, place: int, gradient: float) -> Coordinate:
        """The verdict on one gradient."""
        name = self._subject.names[place]
        if place in self._subject.absent:
            return Coordinate(name, gradient, math.nan, math.nan, Verdict.INCONCLUSIVE, "not in the graph")
        is_whole = self._exact is not None and self._subject.is_whole(place)
        differences = differentiate(
            self._subject.along(place),
            self._subject.point[place],
            self._tolerance,
            rounding=self._rounding.of_value if self._rounding else 0.0,
            is_brief=is_whole,  # the exact derivative decides: the differences only have to show a kink
        )
        if not math.isfinite(differences.here):
            found: _Finding = (math.nan, Verdict.INCONCLUSIVE, differences.obstacle)
        elif self._exact is not None and is_whole:
            # Nothing but a kink of one of its operations can stand between a whole graph and its exact derivative.
            found = self._against_exact(place, gradient, self._exact[place], differences)
        else:
            found = self._against_differences(place, gradient, differences)
        reference, verdict, reason = found
        return Coordinate(name, gradient, reference, relative_error(gradient, reference), verdict, reason)

    def _against_exact(self, place: int, gradient: float, exact: float, differences: Estimate) -> _Finding:
        if math.isnan(exact):
            reason = differences.obstacle or "domain edge: an operation on the way has no derivative here"
            return math.nan, Verdict.INCONCLUSIVE, reason
        verdict, reason = _weigh(gradient, exact, self._tolerance)
        kink = self._kinks.get(id(self._subject.leaves[place]))
        if kink and (differences.obstacle or verdict is not Verdict.PASS):
            return math.nan, Verdict.INCONCLUSIVE, differences.obstacle or f"kink: {kink} has no derivative here"
        if verdict is Verdict.FAIL and abs(gradient - exact) <= self._room_for_rounding(place):
            return exact, Verdict.INCONCLUSIVE, _ILL_CONDITIONED
        return exact, verdict, reason

    def _room_for_rounding(self, place: int) -> float:
        # Below the smallest normal float a gradient has fewer digits.
        return UNDERFLOW + (10 * self._rounding.of_gradients[place] if self._rounding else 0.0)

    def _against_differences(self, place: int, gradient: float, differences: Estimate) -> _Finding:
        if differences.obstacle:
            return math.nan, Verdict.INCONCLUSIVE, differences.obstacle
        slope, uncertainty = differences.derivative, differences.error
        if math.isnan(slope):
            return math.nan, Verdict.INCONCLUSIVE, "no two steps of the differences agree"
        is_resolved = uncertainty <= self._tolerance * abs(slope) or gradient == slope
        if not is_resolved and abs(gradient - slope) <= 10 * uncertainty + self._tolerance * abs(slope):
            advice = "" if self._exact or self._rounding is None else "; pip install 'autograd-mini[precision]' decides"
            return slope, Verdict.INCONCLUSIVE, f"the differences are no more precise than {uncertainty:.1e}{advice}"
        verdict, reason = _weigh(gradient, slope, self._tolerance)
        least = self._tolerance * max(abs(gradient), abs(slope))
        if verdict is Verdict.FAIL and not self._exact and self._room_for_rounding(place) > least:
            # As at sin(exp(30)): the function swings within steps that are too small for differences.
            return slope, Verdict.INCONCLUSIVE, _ILL_CONDITIONED
        if verdict is Verdict.FAIL and self._exact and relative_error(gradient, self._exact[place]) <= self._tolerance:
            reason = "the recorded graph misses a dependence: float(), .data or math.* in the function?"
        elif verdict is Verdict.FAIL and self._rounding is None and gradient == 0.0:
            reason = "nothing was recorded: does the function use math.* or float() on its inputs?"
        return slope, verdict, reason


def _weigh(gradient: float, reference: float, tolerance: float) -> tuple[Verdict, str]:
    if relative_error(gradient, reference) <= tolerance:
        return Verdict.PASS, ""
    if not math.isfinite(gradient) and not math.isfinite(reference):
        return Verdict.INCONCLUSIVE, f"the derivative is {reference} here"
    return Verdict.FAIL, f"{gradient / reference:.7g} times the reference" if reference else "expected 0"


def _kinks(root: Value) -> dict[int, str]:
    """For each leaf, by id, on which an operation at its kink depends, the name of that operation."""
    found = {}
    for node in graph.topological_order(root):
        if node.op is not None and node.op.kink is not None:
            numbers = [operand._data if isinstance(operand, graph.Node) else operand for operand in node.operands]
            if node.op.kink(*numbers) == 0:
                found.update({id(leaf): node.op.name for leaf in graph.leaves(node)})
    return found


def _track(items: Sequence[int], progress: bool) -> Iterable[int]:
    if not progress:
        return items
    try:
        from rich.progress import track
    except ImportError:
        raise ImportError("check_gradients: progress=True needs rich: pip install 'autograd-mini[progress]'") from None
    return track(items, description="Checking gradients", transient=True)

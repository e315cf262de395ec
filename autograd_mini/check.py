"""Gradient checking: reverse mode against central differences and against the same graph at 50 digits."""

import inspect
import math
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from autograd_mini import graph
from autograd_mini.finite_differences import EPSILON, Estimate, differentiate
from autograd_mini.graph import Replay, differentiate_again, pullback
from autograd_mini.high_precision import gradients_at_50_digits
from autograd_mini.nested import Numbers, flatten, reshape
from autograd_mini.ops import Op, Rule, evaluate
from autograd_mini.value import Value, to_float


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
            rows.append((c.name, f"{c.gradient + 0.0:.12g}", *reference, verdict))  # + 0.0 prints -0 as 0
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
    each a number or nested lists of numbers (one number alone may stand without the list). Our reverse mode is
    checked, or the `gradient` given: the derivatives themselves, in the shape of inputs, or a function of the
    same arguments that returns them.

    check_gradients(value, leaves): the recorded graph of a `Value` by the leaves given, or by all its leaves.

    Two references: central differences with step control and, where the function is made of our operations, the
    graph again at 50 digits (needs mpmath). A coordinate passes when its relative error is at most `tolerance`;
    there is no absolute tolerance, so a small gradient is held to as many digits as a large one. It is inconclusive
    at a kink, at the edge of the domain, and where rounding hides the answer; `reason` says which.
    progress=True shows a progress bar (needs rich).

    A pass says that the derivative is right at this point, not that it is at others.

    Raises TypeError or ValueError if the arguments do not fit the above.
    """
    if not 0.0 < tolerance < 1.0:
        raise ValueError(f"check_gradients: expected a tolerance between 0 and 1, got {tolerance}")
    if isinstance(function, Value):
        subject = _recorded_subject(function, inputs)
    else:
        subject = _function_subject(function, inputs)
    gradients = subject.gradients if gradient is None else _claimed(gradient, subject)
    judge = _Judge(subject, tolerance)
    places = _track(range(len(subject.point)), progress)
    return Report(tuple(judge.coordinate(place, gradients[place]) for place in places))


def assert_gradients(function: Callable[..., Any] | Value, inputs: Any = None, **options: Any) -> None:
    """`check_gradients`, raising AssertionError with the table unless every coordinate passes; for unit tests."""
    check_gradients(function, inputs, **options).assert_()  # noqa: PT009 (not unittest's)


@dataclass(frozen=True)
class _Subject:
    """What is checked: a function of a flat list of numbers, and its graph where it has one."""

    names: list[str]
    point: list[float]
    call: Callable[[list[float]], float]
    root: Value | None
    leaves: list[Value]
    shape: Numbers

    @property
    def gradients(self) -> list[float]:
        """Our reverse mode's answer."""
        return [0.0] * len(self.point) if self.root is None else pullback(self.root, self.leaves)

    def along(self, index: int) -> Callable[[float], float]:
        """The function along one coordinate."""

        def line(number: float) -> float:
            return self.call([*self.point[:index], number, *self.point[index + 1 :]])

        return line


def _recorded_subject(root: Value, leaves: Sequence[Value] | None) -> _Subject:
    all_leaves = [leaf for leaf in graph.leaves(root) if isinstance(leaf, Value)]
    chosen = all_leaves if leaves is None else list(leaves)
    for leaf in chosen:
        if not isinstance(leaf, Value) or leaf.op is not None:
            raise TypeError(f"check_gradients: expected leaves of the graph as inputs, got {leaf!r}")
    replay = Replay(root, chosen)

    def call(numbers: list[float]) -> float:
        return float(replay(numbers, evaluate, float)[id(root)])

    point = [leaf.data for leaf in chosen]
    again = call(point)
    if again != root.data and not math.isnan(again):
        raise ValueError(
            f"check_gradients: the graph was recorded with other numbers (it gave {root.data!r}, its leaves now give "
            f"{again!r}); record it again"
        )
    names = [leaf.label or f"leaf {index}" for index, leaf in enumerate(chosen)]
    return _Subject(names, point, call, root, chosen, chosen)


def _function_subject(function: Callable[..., Any], inputs: Numbers) -> _Subject:
    if not callable(function):
        raise TypeError(f"check_gradients: expected a function or a Value, got {type(function).__name__}")
    if inputs is None:
        raise TypeError("check_gradients: expected the list of the function's arguments as inputs, got none")
    arguments = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    named = [item for name, part in _with_names(function, arguments) for item in flatten(part, name)]
    names = [name for name, _ in named]
    point = [to_float(number, f"check_gradients, input {name}") for name, number in named]

    def call_on(numbers: Iterable[Any]) -> Any:
        return function(*reshape(iter(numbers), like=arguments))

    leaves = [Value(number, name) for name, number in zip(names, point, strict=True)]
    root, takes_floats = _record(call_on, leaves, point)

    def call(numbers: list[float]) -> float:
        return float(call_on(numbers if takes_floats else map(Value, numbers)))

    return _Subject(names, point, call, root, leaves, arguments)


def _record(
    call_on: Callable[[Iterable[Any]], Any], leaves: list[Value], point: list[float]
) -> tuple[Value | None, bool]:
    """The graph of the function, if it accepts `Value`s and returns one, and whether it accepts plain numbers."""
    try:
        on_floats = call_on(point)
    except (TypeError, AttributeError):  # it calls methods that only Values have, such as x.exp()
        on_floats = None
    try:
        on_values = call_on(leaves)
    except TypeError:  # it calls what only takes plain numbers, NumPy for instance
        on_values = None
    if on_floats is None and on_values is None:
        call_on(leaves)  # neither works: let the user see the function's own error
    result = on_floats if on_values is None else on_values
    if not isinstance(result, Value):
        to_float(result, "check_gradients, result of the function")
    return on_values if isinstance(on_values, Value) else None, on_floats is not None


def _with_names(function: Callable[..., Any], arguments: list[Any]) -> list[tuple[str, Any]]:
    try:
        bound = inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):  # a builtin without a signature, or arguments that do not fit: the call will tell
        return [(f"x{index}", argument) for index, argument in enumerate(arguments)]
    named: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        starred = bound.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        named += [(f"{name}[{i}]", item) for i, item in enumerate(value)] if starred else [(name, value)]
    return named


def _claimed(gradient: Callable[..., Numbers] | Numbers, subject: _Subject) -> list[float]:
    if callable(gradient):
        gradient = gradient(*reshape(iter(subject.point), like=subject.shape))
    claimed = [to_float(number, f"check_gradients, gradient{name}") for name, number in flatten(gradient)]
    if len(claimed) != len(subject.point):
        raise ValueError(f"check_gradients: expected {len(subject.point)} gradients, got {len(claimed)}")
    return claimed


# How much of a difference is rounding.


class _Rounding:
    """How far rounding moves a recorded function and its gradients: every operation and partial off by its last bit.

    Measured on four runs with the last bits nudged at random, from a fixed seed.
    """

    def __init__(self, root: Value, leaves: list[Value]) -> None:
        self._root = root
        self._leaves = leaves
        self._random = random.Random(0)
        replay = Replay(root, leaves)
        point = [leaf.data for leaf in leaves]
        self.of_value = _spread([replay(point, self._nudged, float)[id(root)] for _ in range(4)])

    def _nudged(self, rule: Rule, *numbers: float) -> float:
        return evaluate(rule, *numbers) * (1.0 + self._random.choice((-1.0, 1.0)) * EPSILON)

    def _partial(self, op: Op, operand: int, out: float, numbers: list[float]) -> float:
        return self._nudged(op.partials[operand], out, *numbers)

    @cached_property
    def of_gradients(self) -> list[float]:
        """One for each leaf; measured when first asked for."""
        runs = [
            differentiate_again(self._root, self._leaves, run=self._nudged, convert=float, partial=self._partial)
            for _ in range(4)
        ]
        return [_spread(list(gradients)) for gradients in zip(*runs, strict=True)]


def _spread(numbers: list[float]) -> float:
    spread = max(numbers) - min(numbers)
    return spread if math.isfinite(spread) else 0.0


# The verdict.


def relative_error(gradient: float, reference: float) -> float:
    """|gradient - reference| as a share of the larger of the two; 0 where they are equal, NaN without a reference."""
    if gradient == reference:
        return 0.0
    if math.isnan(reference):
        return math.nan
    if not (math.isfinite(gradient) and math.isfinite(reference)):
        return math.inf
    return abs(gradient - reference) / max(abs(gradient), abs(reference))


class _Judge:
    """Holds gradients to the references that a subject has."""

    def __init__(self, subject: _Subject, tolerance: float) -> None:
        self._subject = subject
        self._tolerance = tolerance
        self._rounding = self._exact = None
        if subject.root is not None:
            self._rounding = _Rounding(subject.root, subject.leaves)
            self._exact = gradients_at_50_digits(subject.root, subject.leaves)

    def coordinate(self, place: int, gradient: float) -> Coordinate:
        """The verdict on one gradient."""
        rounding = self._rounding.of_value if self._rounding else 0.0
        differences = differentiate(self._subject.along(place), self._subject.point[place], self._tolerance, rounding)
        reference, verdict, reason = self._verdict(place, gradient, differences)
        error = relative_error(gradient, reference)
        return Coordinate(self._subject.names[place], gradient, reference, error, verdict, reason)

    def _verdict(self, place: int, gradient: float, differences: Estimate) -> tuple[float, Verdict, str]:
        """The reference that decides, the verdict and its reason."""
        if differences.obstacle:
            return math.nan, Verdict.INCONCLUSIVE, differences.obstacle
        exact = self._exact[place] if self._exact else None
        slope, uncertainty = differences.derivative, differences.error
        doubt = 10 * uncertainty + self._tolerance * abs(slope)
        if exact is not None and math.isnan(exact) and math.isnan(gradient):
            return math.nan, Verdict.INCONCLUSIVE, "domain edge: an operation on the way has no derivative here"
        if exact is not None and abs(exact - slope) <= doubt:
            return exact, *self._against_exact(place, gradient, exact)
        resolved = uncertainty <= self._tolerance * abs(slope) or gradient == slope
        if not resolved and abs(gradient - slope) <= doubt:
            return slope, Verdict.INCONCLUSIVE, f"the differences are no more precise than {uncertainty:.1e}"
        verdict, reason = _weigh(gradient, slope, self._tolerance)
        if verdict is Verdict.FAIL and exact is not None and relative_error(gradient, exact) <= self._tolerance:
            reason = "the recorded graph misses a dependence: float(), .data or math.* in the function?"
        elif verdict is Verdict.FAIL and self._subject.root is None and gradient == 0.0:
            reason = "nothing was recorded: does the function use math.* or float() on its inputs?"
        return slope, verdict, reason

    def _against_exact(self, place: int, gradient: float, exact: float) -> tuple[Verdict, str]:
        verdict, reason = _weigh(gradient, exact, self._tolerance)
        if verdict is Verdict.FAIL and self._rounding:
            rounding = self._rounding.of_gradients[place]
            if abs(gradient - exact) <= 10 * rounding + sys.float_info.min:  # below it, floats have fewer digits
                return Verdict.INCONCLUSIVE, "ill-conditioned: rounding alone moves the gradient this far"
        return verdict, reason


def _weigh(gradient: float, reference: float, tolerance: float) -> tuple[Verdict, str]:
    if relative_error(gradient, reference) <= tolerance:
        return Verdict.PASS, ""
    if not math.isfinite(gradient) and not math.isfinite(reference):
        return Verdict.INCONCLUSIVE, f"the derivative is {reference} here"
    return Verdict.FAIL, f"{gradient / reference:.7g} times the reference" if reference else "expected 0"


def _track(items: Sequence[int], progress: bool) -> Iterable[int]:
    if not progress:
        return items
    try:
        from rich.progress import track
    except ImportError:
        raise ImportError("check_gradients: progress=True needs rich: pip install 'autograd-mini[progress]'") from None
    return track(items, description="Checking gradients", transient=True)

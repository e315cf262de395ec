"""`Search` stands between a method of SciPy and the user's objective; `Minimum` is what it comes back with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.objectives import Objective
from nn.recording import Array, Recording

Callback = Callable[[Any, float], object]
"""Called after each iteration with the point, in the shape of start, and its value; StopIteration ends the search."""


@dataclass(frozen=True)
class Minimum:
    """Where a search ended.

    point: in the shape of start; for a model the list of its parameters' numbers, to which they are set.
    value: there; of `least_squares` half the sum of the squared residuals, as SciPy's `cost`.
    success, message: whether a tolerance was met, and how the search ended, in words.
    history: the value at the start and after each iteration.
    evaluations: how often the function, or the loss of the model, was computed.
    error: what the user's code raised after a good start, where that ended the search.
    details: SciPy's own OptimizeResult (`hess_inv`, `jac`, …); None where the search was stopped.
    """

    point: Any
    value: float
    success: bool
    message: str
    history: list[float]
    evaluations: int
    error: BaseException | None = None
    details: Any = None

    @property
    def iterations(self) -> int:
        """How many were made."""
        return len(self.history) - 1

    @property
    def x(self) -> Any:
        """SciPy's name for `point`."""
        return self.point

    @property
    def fun(self) -> float:
        """SciPy's name for `value`."""
        return self.value


class StoppedError(Exception):
    """Ends a search from within: the message says why, the cause is what the user's code raised, if it did."""


class Search:
    """An objective as a method of SciPy calls it: counted, and the best point remembered.

    Raises FloatingPointError where the value or a derivative at the start is NaN or infinite.
    """

    def __init__(
        self,
        where: str,
        objective: Objective,
        value_of: Callable[[Recording], float],
        callback: Callback | None,
        report: Callable[[float], None],
    ) -> None:
        self.objective, self.start = objective, np.array(objective.start)
        self.evaluations = self.turned_back = 0
        self._value_of, self._callback, self._report = value_of, callback, report
        self._recording: Recording | None = None
        recording = self._record(objective.start)
        value = value_of(recording)
        slopes = recording.jacobian()
        for name, number in [("the value", value), *(("every derivative", slope) for slope in slopes.flat)]:
            if not math.isfinite(number):
                raise FloatingPointError(f"{where}: expected {name} at the start to be finite, got {number}")
        self._n_outputs = len(recording.numbers)
        self._best = value, recording.point
        self._highest = value
        self._iterate = recording.point
        self.history = [value]

    # What SciPy calls

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """F and ∇F; where one is NaN or infinite, a wall: a value above all so far, and no slope.

        Given infinity, SciPy's L-BFGS-B calls its first step a success; given NaN, every method gets lost.
        """
        recording = self._at(x)
        value, gradient = self._value_of(recording), recording.gradient()
        if not np.isfinite(gradient).all() or not self._keeps(value, recording.point):
            self.turned_back += 1
            return self._highest + abs(self._highest) + 1.0, np.zeros(len(gradient))
        return value, gradient

    def hessian_times(self, x: Array, vector: Array) -> Array:
        """H v."""
        return self._at(x).hessian_times(vector)

    def residuals(self, x: Array) -> Array:
        """Every residual. Where one is NaN or infinite, the methods for least squares turn back by themselves."""
        recording = self._at(x)
        if not self._keeps(self._value_of(recording), recording.point):
            self.turned_back += 1
        return recording.numbers

    def jacobian(self, x: Array) -> Array:
        """The derivatives of the residuals. SciPy asks for them once at each iterate, and nowhere else."""
        recording = self._at(x)
        rows = recording.jacobian()
        if not np.isfinite(rows).all():
            raise StoppedError("stopped at a point where a derivative is NaN or infinite")
        if recording.point != self._iterate:
            self._end_iteration(recording.point, self._value_of(recording))
        return rows

    def after_iteration(self, intermediate_result: Any) -> None:  # SciPy looks for this name
        """The callback of `scipy.optimize.minimize`."""
        self._end_iteration(intermediate_result.x.tolist(), float(intermediate_result.fun))

    def _end_iteration(self, point: list[float], value: float) -> None:
        self._iterate = point
        self.history.append(value)
        self._report(value)
        if self._callback is None:
            return
        try:
            self._callback(self.objective.settle(point), value)
        except StopIteration:
            raise StoppedError("stopped by callback") from None
        except Exception as error:
            raise StoppedError(f"stopped by {summary(error)} in callback") from error

    def _at(self, x: Array) -> Recording:
        """The recording at x, the last one if it was made there."""
        numbers = x.tolist()
        if self._recording is not None and self._recording.point == numbers:
            return self._recording
        try:
            recording = self._record(numbers)
        except Exception as error:
            raise StoppedError(f"stopped by {summary(error)} in evaluation {self.evaluations}") from error
        if len(recording.numbers) != self._n_outputs:
            raise StoppedError(f"stopped by {len(recording.numbers)} residuals where there were {self._n_outputs}")
        return recording

    def _record(self, numbers: Sequence[float]) -> Recording:
        self.evaluations += 1
        self._recording = None  # so that two graphs are never held at once
        self._recording = self.objective.record(numbers)
        return self._recording

    def _keeps(self, value: float, point: list[float]) -> bool:
        """Whether the value is finite; the best one is remembered."""
        if not math.isfinite(value):
            return False
        self._highest = max(self._highest, value)
        if value <= self._best[0]:
            self._best = value, point  # one assignment, so that Ctrl-C finds both or neither
        return True

    # The whole search

    def run(self, method: Callable[["Search"], Any]) -> Minimum:
        """Let the method search, and settle the objective at the end, however it comes about."""
        try:
            return self._run(method)
        except BaseException:
            self.objective.settle(self._best[1])
            raise

    def _run(self, method: Callable[["Search"], Any]) -> Minimum:
        try:
            details = method(self)
            value, point = self._end_of(details)
        except KeyboardInterrupt:
            return self._stopped("interrupted by Ctrl-C")
        except StoppedError as stop:
            return self._stopped(str(stop), stop.__cause__)
        message = str(details.message)
        if self.turned_back:
            message += (
                f" ({self.turned_back} of {self.evaluations} evaluations gave NaN or infinity: turned back there)"
            )
        success = bool(details.success)
        return Minimum(
            self.objective.settle(point), value, success, message, self.history, self.evaluations, details=details
        )

    def _end_of(self, details: Any) -> tuple[float, list[float]]:
        """SciPy's last iterate; or the best point, where SciPy got lost."""
        recording = self._at(details.x)
        value = self._value_of(recording)
        return (value, recording.point) if self._keeps(value, recording.point) else self._best

    def _stopped(self, reason: str, error: BaseException | None = None) -> Minimum:
        value, point = self._best
        message = f"{reason}: this is the best point found in {self.evaluations} evaluations"
        return Minimum(self.objective.settle(point), value, False, message, self.history, self.evaluations, error=error)


def summary(error: Exception) -> str:
    """What was raised, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())

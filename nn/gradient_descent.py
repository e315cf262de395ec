"""`gradient_descent`: the algorithm GD0-GD4 on any smooth function, with the path that it takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nn.checks import plural, positive_int
from nn.objectives import FunctionObjective, one_output
from nn.recording import Array
from nn.search import summary
from nn.settings import not_negative, positive_finite


class Step(NamedTuple):
    """A point p of the path, in the shape of start, and F(p)."""

    point: Any
    value: float


@dataclass(frozen=True)
class Descent:
    """The path of a descent.

    trajectory: every point with its value, the start first; all are finite.
    message: why it ended. error: what the function raised after a good start, where that ended it.
    """

    trajectory: list[Step]
    message: str
    error: Exception | None = None

    @property
    def point(self) -> Any:
        """The last point, in the shape of start."""
        return self.trajectory[-1].point

    @property
    def value(self) -> float:
        """The value at the last point."""
        return self.trajectory[-1].value


def gradient_descent(
    function: Callable[[Any], Any],
    start: Any,
    learning_rate: float,
    steps: int = 100,
    tolerance: float = 0.0,
) -> Descent:
    """Plain gradient descent on a smooth F: ℝⁿ → ℝ (Gill & Gill, section 4.2, GD0-GD4), and its trajectory.

    function: takes `Value`s in the shape of start (a number, nested lists, tuples or arrays) and returns one `Value`.
    learning_rate: λ. For F = ½ c x², a step multiplies x by 1 − λ c: it nears the minimum for λ below 2/c only.
    steps: how many to make, unless the length ‖∇F(p)‖ of the gradient comes down to tolerance before.

    Where F, its gradient or the next point is NaN or infinite, the descent ends with what it had; so it does at Ctrl-C,
    and where the function raises an error after the first evaluation. The message says so.

    Raises ValueError or TypeError that names the argument; FloatingPointError where F or its gradient is NaN or
    infinite at the start.
    """
    where = "gradient_descent"
    objective = FunctionObjective(where, function, start, one_output(where, "the function"))
    rate = positive_finite(learning_rate, f"{where}: expected learning_rate")  # GD0
    steps = positive_int(steps, f"{where}: expected steps to be a positive int")
    tolerance = not_negative(tolerance, f"{where}: expected tolerance")
    trajectory: list[Step] = []
    p = np.array(objective.start)  # GD1
    try:
        for _ in range(steps + 1):
            value, g = _value_and_gradient(objective, p)  # GD2
            if not math.isfinite(value) or not np.isfinite(g).all():
                break
            trajectory.append(Step(objective.settle(p.tolist()), value))
            if math.hypot(*g) <= tolerance:
                return Descent(trajectory, "the gradient is within tolerance")
            with np.errstate(over="ignore"):
                p = p - rate * g  # GD3; the loop is GD4
        else:
            return Descent(trajectory, f"made {plural(steps, 'step')}")
    except KeyboardInterrupt:
        if not trajectory:
            raise
        return Descent(trajectory, "interrupted by Ctrl-C")
    except Exception as error:
        if not trajectory:
            raise
        return Descent(trajectory, f"stopped by {summary(error)}", error)
    if not trajectory:
        raise FloatingPointError(
            f"{where}: expected the value and gradient at the start to be finite, got {value} and {g}"
        )
    return Descent(trajectory, "the next point gives NaN or infinity: try a smaller learning rate")


def _value_and_gradient(objective: FunctionObjective, p: Array) -> tuple[float, Array]:
    if not np.isfinite(p).all():
        return math.nan, p
    recording = objective.record(p.tolist())
    return float(recording.numbers[0]), recording.gradient()

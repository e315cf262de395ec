"""The derivative of a function of one number from its values alone, with an estimate of its own error.

Central differences at steps that halve, extrapolated to step 0 (Richardson 1911; Ridders 1982, "Accurate
computation of F'(x) and F'(x) F''(x)"). The same points also tell the slopes on the left and on the right apart,
so that a kink is reported and not averaged away.
"""

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

EPSILON = sys.float_info.epsilon

_COLUMNS = 6
"""Extrapolations of one row; more only amplify rounding."""

_FLAT_STEPS = 8
"""Where this many of the largest steps change nothing at all, the function does not depend on x here."""

_FIRST_STEPS = 12
"""How many steps a function that is as smooth as its argument is large needs at the most."""

_CONFIRMATION = 256
"""A slope is believed when a step that is smaller by this factor shows it too."""

_STEP_FRACTION = 97 / 128
"""Steps are this times a power of two: exactly representable, yet no fraction of the usual periods."""


@dataclass(frozen=True)
class Estimate:
    """A derivative, a bound on its error, and in `obstacle` what stands in the way of there being one, if anything.

    NaN without an obstacle: no two steps agreed.
    """

    here: float
    """The function's own value at the point."""
    derivative: float
    error: float
    obstacle: str = ""


def differentiate(
    function: Callable[[float], float], x: float, tolerance: float, rounding: float = 0.0, is_brief: bool = False
) -> Estimate:
    """Estimate the derivative of function at x, stopping once its relative error is far below the tolerance.

    `rounding` is how far the function's value may be off, where more than the last bits are known to be; is_brief
    stops at the `first_points`. Where function raises an ArithmeticError or ValueError, or gives a complex number, it
    counts as NaN.
    """
    probe = _Probe(function, x, rounding)
    if not math.isfinite(probe.here):
        return Estimate(probe.here, math.nan, math.inf, f"the function is {probe.here} here")
    slope, jump = _Extrapolation(first_power=2), _Extrapolation(first_power=1)
    is_flat = True
    seen: list[tuple[float, float, float]] = []
    for count, step in enumerate(itertools.islice(_steps(x), _FIRST_STEPS if is_brief else None), start=1):
        central, second, noise = probe.differences(step)
        seen.append((central, noise, step))
        slope.add(central, noise, step)
        jump.add(second, 2 * noise, step)
        is_flat = is_flat and central == second == 0.0
        if is_flat and count == _FLAT_STEPS and probe.differences(step / _CONFIRMATION)[0] == 0.0:
            return Estimate(probe.here, 0.0, slope.error)
        if slope.error <= 1e-2 * tolerance * abs(slope.best) and jump.error <= tolerance * abs(slope.best):
            smaller = step / _CONFIRMATION
            central, _, noise = probe.differences(smaller)
            if slope.disagreement(central, noise, smaller) == 0.0:
                break
            # A periodic function can agree with itself at large steps and be wrong.
            slope, jump = _Extrapolation(first_power=2), _Extrapolation(first_power=1)
    else:
        finer = [difference for difference in seen if difference[-1] < slope.best_step]
        slope.error = max([slope.error, *(slope.disagreement(*difference) for difference in finer)])
    return _conclude(probe, slope, jump)


def first_points(x: float) -> list[float]:
    """The points at which `differentiate` asks for the function first; for most functions there are no others."""
    steps = list(itertools.islice(_steps(x), _FIRST_STEPS))
    steps += [step / _CONFIRMATION for step in steps]
    return list(dict.fromkeys([x, *(x + step for step in steps), *(x - step for step in steps)]))


def _conclude(probe: "_Probe", slope: "_Extrapolation", jump: "_Extrapolation") -> Estimate:
    for side, value in (("above", probe.above), ("below", probe.below)):
        if not math.isfinite(value):
            return Estimate(probe.here, math.nan, math.inf, f"domain edge: the function is {value} just {side}")
    if math.isnan(slope.best) or math.isnan(jump.best):
        return Estimate(probe.here, math.nan, math.inf)
    left, right = slope.best - jump.best / 2, slope.best + jump.best / 2
    if abs(jump.best) > max(10 * jump.error, 1e-6 * max(abs(left), abs(right)), slope.error):
        return Estimate(
            probe.here, slope.best, slope.error, f"kink: slope {left:.6g} on the left, {right:.6g} on the right"
        )
    return Estimate(probe.here, slope.best, slope.error)


class _Probe:
    """The function near x: its differences at a step, and how much of them may be rounding."""

    def __init__(self, function: Callable[[float], Any], x: float, rounding: float) -> None:
        self._function = function
        self._x = x
        self._rounding = rounding
        self.here = self.above = self.below = self._at(x)

    def _at(self, point: float) -> float:
        try:
            number = self._function(point)
        except (ArithmeticError, ValueError):
            return math.nan
        return math.nan if isinstance(number, complex) else float(number)

    def differences(self, step: float) -> tuple[float, float, float]:
        """The slope by central difference, the slope on the right less that on the left, and the noise in the first."""
        self.above, self.below = self._at(self._x + step), self._at(self._x - step)
        size = max(abs(self.here), abs(self.above), abs(self.below), sys.float_info.min)
        noise = max(4 * EPSILON * size, self._rounding) / step
        return (self.above - self.below) / (2 * step), (self.above - 2 * self.here + self.below) / step, noise


def _steps(x: float) -> Iterator[float]:
    """Steps from about the size of x, or 1, down to the smallest at which x + step is still exact."""
    largest = math.frexp(max(abs(x), 1.0))[1] - 1
    smallest = math.frexp(math.ulp(x))[1] + 8 if x else -60
    for exponent in range(largest, smallest - 1, -1):
        yield math.ldexp(_STEP_FRACTION, exponent)


class _Extrapolation:
    """Richardson's tableau for numbers whose error falls as step^p, step^(p+2), … while the step halves."""

    def __init__(self, first_power: int) -> None:
        self._first_power = first_power
        self._row: list[float] = []
        self.best = math.nan
        self.best_step = math.inf
        self.error = math.inf
        self._bend = 0.0
        """How far the best is from the numbers at its steps: at a smaller one it would be by the square less."""

    def add(self, number: float, noise: float, step: float) -> None:
        """Take in the number at the next smaller step; noise is what rounding may have done to it."""
        if not math.isfinite(number):
            self._row = []
            return
        row = [number]
        for column, coarser in enumerate(self._row[:_COLUMNS]):
            finer = row[-1]
            better = finer + (finer - coarser) / (2.0 ** (self._first_power + 2 * column) - 1)
            error = max(abs(better - finer), abs(better - coarser)) + noise
            row.append(better)
            if error < self.error:
                self.best, self.error, self.best_step = better, error, step
                self._bend = max(abs(number - better), abs(self._row[0] - better) / 4)
        self._row = row

    def disagreement(self, number: float, noise: float, step: float) -> float:
        """How far the number at a smaller step is from the best, where that is more than rounding and curvature."""
        distance = abs(number - self.best)
        bend = self._bend * (step / self.best_step) ** 2
        return distance if distance > 4 * (noise + bend) + self.error else 0.0

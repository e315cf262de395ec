"""Schedules: learning rates that change from step to step.

`Adam(CosineDecay(0.01, steps=300))` asks its schedule for the rate of each step. Steps are counted from 0, one for each
call of `step()`: an epoch of ten mini-batches has ten. Any other function of the step's number will do as well.

A schedule remembers nothing: the number of the step, which the optimizer keeps, is all that a resumed run needs.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

from nn.checks import describe
from nn.settings import Check, Settings, above_zero_to_one, check_keys, count, not_negative, whole_number


class Schedule(Settings, ABC):
    """A learning rate for each step: call it with the number of the step, an int of 0 or more.

    The settings are checked whenever they are assigned: ValueError or TypeError that names the argument.
    """

    def __call__(self, step: int, /) -> float:
        """The learning rate of that step; the first is step 0."""
        return self._rate(count(step, f"{type(self).__name__}: expected step"))

    @abstractmethod
    def _rate(self, step: int) -> float: ...

    def state_dict(self) -> dict[str, Any]:
        """The kind of schedule and its settings, as a dict that JSON can hold; `schedule_from_state` reads it."""
        settings = {
            name: setting.state_dict() if isinstance(setting, Schedule) else setting
            for name, setting in self.settings().items()
        }
        return {"kind": type(self).__name__, **settings}


def schedule_from_state(state: Mapping[str, Any]) -> Schedule:
    """The schedule that a `state_dict()` tells of. Raises ValueError or TypeError for anything else."""
    where = "schedule_from_state: expected state"
    kind = state.get("kind") if isinstance(state, Mapping) else None
    if not isinstance(kind, str) or kind not in SCHEDULES:
        raise ValueError(f"{where} to be that of a {', '.join(SCHEDULES)}, got {describe(state)}")
    schedule = SCHEDULES[kind]
    settings = check_keys(state, where, ["kind", *(field.name for field in fields(schedule))])
    del settings["kind"]
    if schedule is LinearWarmup and isinstance(settings["then"], Mapping):
        # A warm-up before a warm-up is no use: refused, so that a file cannot nest them a million deep.
        if settings["then"].get("kind") == "LinearWarmup":
            raise ValueError(f"{where}['then'] to be no warm-up in its turn, got {describe(settings['then'])}")
        settings["then"] = schedule_from_state(settings["then"])
    return schedule(**settings)


def _after_warmup(thing: Any, expected: str) -> Schedule:
    if isinstance(thing, LinearWarmup) or (callable(thing) and not isinstance(thing, Schedule)):
        raise TypeError(f"{expected} to be a number or a schedule other than a warm-up, got {describe(thing)}")
    return thing if isinstance(thing, Schedule) else Constant(not_negative(thing, expected))


@dataclass(repr=False)
class Constant(Schedule):
    """The same rate at every step; a plain number in the place of a schedule does the same."""

    learning_rate: float

    checks: ClassVar[Mapping[str, Check]] = {"learning_rate": not_negative}

    def _rate(self, step: int) -> float:
        return self.learning_rate


@dataclass(repr=False)
class StepDecay(Schedule):
    """λ · factor^⌊step / every⌋: the rate falls to `factor` of itself, above 0 to 1, at every `every`-th step.

    PyTorch's StepLR.
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    checks: ClassVar[Mapping[str, Check]] = {
        "learning_rate": not_negative,
        "every": whole_number,
        "factor": above_zero_to_one,
    }

    def _rate(self, step: int) -> float:
        return self.learning_rate * self.factor ** (step // self.every)


@dataclass(repr=False)
class ExponentialDecay(Schedule):
    """λ · factor^step, factor above 0 to 1. PyTorch's ExponentialLR."""

    learning_rate: float
    factor: float

    checks: ClassVar[Mapping[str, Check]] = {"learning_rate": not_negative, "factor": above_zero_to_one}

    def _rate(self, step: int) -> float:
        return self.learning_rate * self.factor**step


@dataclass(repr=False)
class CosineDecay(Schedule):
    """From λ at step 0 to `end` at step `steps` along half a cosine wave, and `end` from then on.

    Loshchilov & Hutter, 2017 (SGDR), equation 5, without restarts; PyTorch's CosineAnnealingLR, which climbs again
    after T_max.
    """

    learning_rate: float
    steps: int
    end: float = 0.0

    checks: ClassVar[Mapping[str, Check]] = {
        "learning_rate": not_negative,
        "steps": whole_number,
        "end": not_negative,
    }

    def _rate(self, step: int) -> float:
        if step >= self.steps:
            return self.end
        part = (1 + math.cos(math.pi * step / self.steps)) / 2
        return part * self.learning_rate + (1 - part) * self.end


@dataclass(repr=False)
class InverseTimeDecay(Schedule):
    """λ / (1 + decay · step), decay 0 or more: falls as 1/t.

    Slow enough that the rates add up to infinity, fast enough that their squares do not, which is what stochastic
    gradients need to settle (Robbins & Monro, 1951).
    """

    learning_rate: float
    decay: float = 1.0

    checks: ClassVar[Mapping[str, Check]] = {"learning_rate": not_negative, "decay": not_negative}

    def _rate(self, step: int) -> float:
        return self.learning_rate / (1 + self.decay * step)


@dataclass(repr=False)
class LinearWarmup(Schedule):
    """In `steps` even steps from `start_factor` of the first rate up to all of it; from there on as `then` says.

    then: a number or a schedule, whose step 0 is step `steps` here. start_factor: above 0 to 1; step 0 uses it.
    PyTorch's LinearLR, followed by another schedule through SequentialLR.
    """

    then: float | Schedule
    steps: int
    start_factor: float = 1 / 3

    checks: ClassVar[Mapping[str, Check]] = {
        "then": _after_warmup,
        "steps": whole_number,
        "start_factor": above_zero_to_one,
    }

    def _rate(self, step: int) -> float:
        then = cast(Schedule, self.then)  # a number has become a Constant when it was assigned
        if step >= self.steps:
            return then(step - self.steps)
        return then(0) * (self.start_factor + (1 - self.start_factor) * step / self.steps)


SCHEDULES = {
    kind.__name__: kind for kind in (Constant, StepDecay, ExponentialDecay, CosineDecay, InverseTimeDecay, LinearWarmup)
}
"""The schedules by their names in a state."""

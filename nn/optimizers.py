"""Optimizers: how parameters are changed once their gradients are known.

Each does what PyTorch's of the same name does, number for number. What it remembers of a parameter between steps it
keeps in a row for that parameter, in the order in which the parameters first came: their positions in a state.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

from autograd_mini import Value
from nn.checks import describe, plural
from nn.clipping import clipped_by_norm, clipped_by_value, parameters_and_gradients
from nn.schedules import SCHEDULES, schedule_from_state
from nn.settings import (
    Check,
    Settings,
    any_number,
    below_one,
    check_keys,
    count,
    from_zero_to_one,
    not_negative,
    optional,
    positive_finite,
    truth,
    zero_or_more,
)

LearningRate: TypeAlias = float | Callable[[int], float]
"""A number, or a function of the number of the step (from 0): a schedule of nn.schedules or your own."""

Row: TypeAlias = tuple[Any, ...]
"""What an optimizer remembers of one parameter."""


class Optimizer(Protocol):
    """What `fit` needs of an optimizer."""

    def step(self, parameters: Iterable[Value], /) -> None:
        """Change the parameters, given their gradients."""


def rate_or_schedule(thing: Any, expected: str) -> LearningRate:
    """A learning rate: a number of 0 or more, or a function of the step number."""
    if callable(thing) and not isinstance(thing, type):
        return thing  # type: ignore[no-any-return]  # what it returns is checked at every step
    rate: float = not_negative(thing, expected)
    return rate


def _betas(thing: Any, expected: str) -> tuple[float, float]:
    if not isinstance(thing, (list, tuple)) or len(thing) != 2:
        raise TypeError(f"{expected} to be a pair of numbers from 0 to below 1, got {describe(thing)}")
    first, second = (below_one(beta, f"{expected}[{place}]") for place, beta in enumerate(thing))
    return first, second


@dataclass(eq=False, repr=False)
class GradientOptimizer(Settings, ABC):
    """What the optimizers have in common: the rate, weight decay, clipping, `step` and the state.

    learning_rate: a number, or a schedule, called with the number of steps made before (0 at first).
    weight_decay: adds weight_decay · w to each gradient, that of an L² penalty ½ · weight_decay · w² on the loss.
    clip_norm, clip_value: clip the gradients as `clip_grad_norm` and `clip_grad_value` do, by value first, before the
    weight decay; the parameters' own `grad` stays as it is.

    All settings may be assigned between steps, and are checked then too: ValueError or TypeError that names the
    argument. Gradients that are NaN or infinite are no error: they pass into the parameters, and into what is
    remembered of them, as IEEE 754 and PyTorch have it; `fit` stops there.

    A subclass gives `updated`, the arithmetic on plain numbers, and the columns of its rows.
    """

    learning_rate: LearningRate
    _: KW_ONLY
    weight_decay: float = 0.0
    clip_norm: float | None = None
    clip_value: float | None = None

    checks: ClassVar[Mapping[str, Check]] = {
        "learning_rate": rate_or_schedule,
        "weight_decay": not_negative,
        "clip_norm": optional(positive_finite),
        "clip_value": optional(positive_finite),
    }
    columns: ClassVar[Mapping[str, Check]] = {}
    """What is remembered of a parameter: the names and checks of the numbers of its row; NaN and inf may be loaded."""
    first_row: ClassVar[Row] = ()
    """The row of a parameter that was never moved."""

    def __post_init__(self) -> None:
        self._check_together()
        self.step_count = 0
        self._rows: dict[Value, Row] = {}
        self._loaded_rows: list[Row] = []  # they wait for the parameters, which the first step brings

    def _check_together(self) -> None:
        """Raise ValueError where settings that are right by themselves do not go together."""

    @abstractmethod
    def updated(
        self, numbers: list[float], gradients: list[float], rows: list[Row], rate: float
    ) -> tuple[list[float], list[Row]]:
        """The numbers after a step of that rate, and their new rows; no rows where nothing is remembered."""

    @property
    def current_learning_rate(self) -> float:
        """The learning rate of the next step. Raises ValueError or TypeError for what a function of yours returned."""
        rate = self.learning_rate
        if not callable(rate):
            return rate
        expected = f"{type(self).__name__}: expected learning_rate({self.step_count})"
        checked: float = not_negative(rate(self.step_count), expected)
        return checked

    def step(self, parameters: Iterable[Value], /) -> None:
        """Move each parameter, given its gradient. Raises TypeError if they are no list, a model for instance."""
        found, gradients = parameters_and_gradients(parameters, type(self).__name__)
        if self._loaded_rows:
            self._give_loaded_rows(found)
        rate = self.current_learning_rate
        if self.clip_value is not None:
            gradients = clipped_by_value(gradients, self.clip_value)
        if self.clip_norm is not None:
            gradients = clipped_by_norm(gradients, self.clip_norm)
        rows = [self._rows.get(parameter, self.first_row) for parameter in found]
        numbers, rows = self.updated([parameter.data for parameter in found], gradients, rows, rate)
        for parameter, number in zip(found, numbers, strict=True):
            parameter.data = number
        self._rows.update(zip(found, rows, strict=False))
        self.step_count += 1

    # The state

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on, as a dict that JSON can hold; parameters by position.

        A learning rate that is a function of your own stands there as None.
        """
        columns = zip(*(self._rows.values() or self._loaded_rows), strict=True)
        settings = self.settings()
        rate = settings["learning_rate"]
        if callable(rate):
            settings["learning_rate"] = rate.state_dict() if type(rate) in SCHEDULES.values() else None
        return {
            "kind": type(self).__name__,
            "settings": {name: list(each) if isinstance(each, tuple) else each for name, each in settings.items()},
            "step_count": self.step_count,
            "parameters": {name: list(next(columns, ())) for name in self.columns},
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go on where the optimizer that gave the state stood, bit for bit, with its settings.

        The parameters are those already known, or else those of the next step, which must be as many. Raises
        ValueError or TypeError for anything but a state of an optimizer of this kind, before anything is changed.
        """
        where = f"{type(self).__name__}: expected state"
        checked = check_keys(state, where, ("kind", "settings", "step_count", "parameters"))
        if checked["kind"] != type(self).__name__:
            raise ValueError(f"{where}['kind'] to be {type(self).__name__!r}, got {describe(checked['kind'])}")
        settings = check_keys(checked["settings"], f"{where}['settings']", self.settings())
        settings["learning_rate"] = self._loaded_learning_rate(settings["learning_rate"], where)
        twin = copy.copy(self)  # a subclass may be made with other arguments than these
        for name, setting in settings.items():
            setattr(twin, name, setting)
        twin._check_together()
        twin._rows = {}
        twin.step_count = count(checked["step_count"], f"{where}['step_count']")
        twin._loaded_rows = self._checked_rows(checked["parameters"], f"{where}['parameters']")
        if self._rows:
            known = list(self._rows)
            twin._loaded_rows = twin._loaded_rows or [self.first_row] * len(known)
            twin._give_loaded_rows(known)
        vars(self).update(vars(twin))

    def _loaded_learning_rate(self, rate: Any, where: str) -> Any:
        if isinstance(rate, Mapping):
            return schedule_from_state(rate)
        if rate is None and not callable(self.learning_rate):
            raise ValueError(
                f"{where} of an optimizer with a number as learning_rate, got that of one with a function:"
                " make the optimizer with the same function, and load again"
            )
        return self.learning_rate if rate is None else rate

    def _checked_rows(self, columns: Any, expected: str) -> list[Row]:
        columns = check_keys(columns, expected, self.columns)
        checked = []
        for name, check in self.columns.items():
            if not isinstance(columns[name], (list, tuple)):
                raise TypeError(f"{expected}[{name!r}] to be a list, got {describe(columns[name])}")
            checked.append([check(each, f"{expected}[{name!r}][{place}]") for place, each in enumerate(columns[name])])
        lengths = {len(column) for column in checked}
        if len(lengths) > 1:
            raise ValueError(f"{expected} to hold lists of equal length, got lengths {sorted(lengths)}")
        return list(zip(*checked, strict=True))

    def _give_loaded_rows(self, parameters: list[Value]) -> None:
        if len(parameters) != len(self._loaded_rows):
            raise ValueError(
                f"{type(self).__name__}: expected the {plural(len(self._loaded_rows), 'parameter')} that the loaded"
                f" state is for, got {len(parameters)}"
            )
        self._rows = dict(zip(parameters, self._loaded_rows, strict=True))
        self._loaded_rows = []

    def know(self, parameters: list[Value]) -> None:
        """Fix the positions of parameters in the state, where the order of the steps would not."""
        if self._loaded_rows:
            self._give_loaded_rows(parameters)
        for parameter in parameters:
            self._rows.setdefault(parameter, self.first_row)


def _decayed(gradients: list[float], numbers: list[float], weight_decay: float) -> list[float]:
    if not weight_decay:
        return gradients
    return [gradient + weight_decay * number for gradient, number in zip(gradients, numbers, strict=True)]


@dataclass(eq=False, repr=False)
class SGD(GradientOptimizer):
    """Gradient descent: w := w − λ D_w R (Gill & Gill, steps GD3 and DL7), λ being `learning_rate`; with momentum.

    With momentum μ, 0 to below 1, parameters are moved by a velocity: v := μ v + (1 − dampening) D_w R, beginning
    with v := D_w R, and w := w − λ v (Polyak, 1964, in PyTorch's form). nesterov=True looks ahead along the
    velocity: w := w − λ (D_w R + μ v) (Sutskever et al., 2013); it needs a momentum, and no dampening.

    The rest is in `GradientOptimizer`. A rate of 0 is allowed, and changes nothing. Raises ValueError or TypeError
    that names the argument.
    """

    learning_rate: LearningRate = 0.01
    _: KW_ONLY
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    checks: ClassVar[Mapping[str, Check]] = {
        **GradientOptimizer.checks,
        "momentum": below_one,
        "dampening": from_zero_to_one,
        "nesterov": truth,
    }
    columns: ClassVar[Mapping[str, Check]] = {"velocities": optional(any_number)}
    first_row: ClassVar[Row] = (None,)

    def _check_together(self) -> None:
        if self.nesterov and (not self.momentum or self.dampening):
            raise ValueError(
                f"{type(self).__name__}: expected a momentum above 0 and a dampening of 0 with nesterov=True,"
                f" got momentum={self.momentum} and dampening={self.dampening}"
            )

    def updated(
        self, numbers: list[float], gradients: list[float], rows: list[Row], rate: float
    ) -> tuple[list[float], list[Row]]:
        directions = _decayed(gradients, numbers, self.weight_decay)
        new_rows: list[Row] = []
        if self.momentum:
            momentum, kept = self.momentum, 1 - self.dampening
            velocities = [
                direction if velocity is None else momentum * velocity + kept * direction
                for direction, (velocity,) in zip(directions, rows, strict=True)
            ]
            new_rows = [(velocity,) for velocity in velocities]
            if self.nesterov:
                directions = [d + momentum * v for d, v in zip(directions, velocities, strict=True)]
            else:
                directions = velocities
        return [number - rate * d for number, d in zip(numbers, directions, strict=True)], new_rows


@dataclass(eq=False, repr=False)
class Adam(GradientOptimizer):
    """Steps of about λ each, whatever the scale of the gradients (Kingma & Ba, 2015, algorithm 1).

    m := β₁ m + (1 − β₁) g and s := β₂ s + (1 − β₂) g² average the gradients and their squares, from 0 on;
    w := w − λ m̂ / (√ŝ + ε), with m̂ = m / (1 − β₁ᵗ) and ŝ = s / (1 − β₂ᵗ) for the t-th update of that parameter.

    betas: (β₁, β₂), each from 0 to below 1. epsilon: ε, above 0. amsgrad=True takes the largest s so far in place
    of s (Reddi et al., 2018). weight_decay is the L² penalty, which Adam scales as it does the gradient; see `AdamW`.

    The rest is in `GradientOptimizer`. Raises ValueError or TypeError that names the argument.
    """

    learning_rate: LearningRate = 0.001
    _: KW_ONLY
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    amsgrad: bool = False

    checks: ClassVar[Mapping[str, Check]] = {
        **GradientOptimizer.checks,
        "betas": _betas,
        "epsilon": positive_finite,
        "amsgrad": truth,
    }
    columns: ClassVar[Mapping[str, Check]] = {
        "updates": count,
        "means": any_number,
        "squares": zero_or_more,
        "largest_squares": zero_or_more,
    }
    first_row: ClassVar[Row] = (0, 0.0, 0.0, 0.0)

    def updated(
        self, numbers: list[float], gradients: list[float], rows: list[Row], rate: float
    ) -> tuple[list[float], list[Row]]:
        return self._moved(numbers, _decayed(gradients, numbers, self.weight_decay), rows, rate)

    def _moved(
        self, numbers: list[float], gradients: list[float], rows: list[Row], rate: float
    ) -> tuple[list[float], list[Row]]:
        (beta1, beta2), epsilon, amsgrad = self.betas, self.epsilon, self.amsgrad
        new_numbers, new_rows = [], []
        corrected_for, length, root = 0, rate, 1.0
        for number, gradient, (updates, mean, square, largest) in zip(numbers, gradients, rows, strict=True):
            updates += 1
            if updates != corrected_for:  # the same for most: block-wise, some are behind
                corrected_for, length, root = updates, rate / (1 - beta1**updates), math.sqrt(1 - beta2**updates)
            mean = beta1 * mean + (1 - beta1) * gradient
            square = beta2 * square + (1 - beta2) * gradient * gradient
            if amsgrad:
                largest = largest if largest >= square else square  # NaN stays
            root_of_square = math.sqrt(largest if amsgrad else square)
            new_numbers.append(number - length * mean / (root_of_square / root + epsilon))
            new_rows.append((updates, mean, square, largest))
        return new_numbers, new_rows


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay: w := w − λ · weight_decay · w before the step (Loshchilov & Hutter, 2019).

    The decay follows the learning rate, as in PyTorch, but not the scale of the gradients. The rest is in `Adam`.
    """

    _: KW_ONLY
    weight_decay: float = 0.01

    def updated(
        self, numbers: list[float], gradients: list[float], rows: list[Row], rate: float
    ) -> tuple[list[float], list[Row]]:
        kept = 1 - rate * self.weight_decay
        return self._moved([kept * number for number in numbers], gradients, rows, rate)

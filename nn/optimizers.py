"""Optimizers: how parameters are changed once their gradients are known.

Each does what PyTorch's of the same name does, number for number, on flat arrays, in place: `step` makes them from
`Value`s, `move` is given them. What is remembered of the parameters between steps stands in a table of an array a
column and a row a parameter, in the order in which the parameters first came: their positions in a state.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini import Value
from nn.checks import describe, plural
from nn.clipping import Array, clipped_by_norm, clipped_by_value, parameters_and_gradients
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

Rows: TypeAlias = slice | NDArray[np.intp]
"""Where parameters stand in what an optimizer remembers: from one row to another, or the number of each row."""

Row: TypeAlias = tuple[float | None, ...]
"""What is remembered of one parameter, as it stands in a state."""

Counts: TypeAlias = int | NDArray[np.int64]
"""How often each parameter was updated: one number while it is the same for all, as it nearly always is."""

FLOATS = "df"
"""The types of the arrays that are moved, float64 and float32, in NumPy's letters."""

PART = 2**14
"""How many parameters are moved at once: what is read and written of them, some five arrays, stays in the cache."""


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

    A subclass gives `update`, the arithmetic, and `columns` and `first_row` for what it remembers.
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
    """What is remembered of a parameter: the names and checks of the numbers of its row; NaN and inf may be loaded.

    A column "updates" holds how often the parameter was updated, and is kept here; the others are for `update`.
    """
    first_row: ClassVar[Row] = ()
    """The row of a parameter that was never updated, as it stands in a state; for `update`, None is 0."""

    def __post_init__(self) -> None:
        self._check_together()
        self.step_count = 0
        self._known: list[Value] = []  # none though there are rows, where these came from a state or from `move`
        self._row_of: dict[Value, int] = {}
        self._updates: Counts = 0
        self._remembered: Array = np.empty((0, 0))
        self._fill([])
        self._scratch: Array = np.empty((2, 0))
        self._clipped: Array = np.empty(0)

    def _check_together(self) -> None:
        """Raise ValueError where settings that are right by themselves do not go together."""

    @property
    def remembers(self) -> bool:
        """Whether a step changes what is remembered."""
        return bool(self.columns)

    @abstractmethod
    def update(
        self, numbers: Array, gradients: Array, remembered: Array, updates: Counts, rate: float, scratch: Array
    ) -> None:
        """Move n numbers by a step of that rate, and change what is remembered of them, both in place.

        All arrays are of one type, float64 or float32. To be fast, allocate none: `a *= b`, `np.add(a, b, out=c)`.
        A step may take several calls, each for some of the parameters.

        numbers, gradients: shape (n,). The gradients are clipped, and are not to be changed.
        remembered: shape (number of columns without "updates", n), in the order of `columns`.
        updates: the number of this update for each parameter, from 1; an int where it is the same for all, else shape
        (n,). After load_state_dict it goes on only where "updates" is among the columns; where it is not, a
        row other than `first_row` counts as one update.
        scratch: shape (2, n), to write in what you like.
        """

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
        waiting = not self._known and self._n_rows > 0
        rows = self.know(found) if waiting or self.remembers else slice(0, 0)
        rate = self.current_learning_rate
        numbers = np.fromiter([parameter.data for parameter in found], float, len(found))
        self._move(numbers, np.fromiter(gradients, float, len(found)), rows, rate)
        for parameter, number in zip(found, numbers.tolist(), strict=True):
            parameter.data = number
        self.step_count += 1

    def move(self, numbers: Array, gradients: Array, rows: Rows | None = None, /) -> None:
        """Do a step on numbers that stand in an array, in place: what `step` does for `Value`s, to the last bit.

        numbers, gradients: of shape (n,) and one type, float64 or float32, in which all is computed and remembered.
        rows: what `know` returned for the parameters whose numbers these are. Without it they are those of all that
        are known, in their order; where none are, `know` or `step` may tell later which they were.

        After the first step no array is allocated, but where the rows are an array of their numbers: for parameters
        that did not become known together, in this order.

        Raises TypeError for anything but such arrays, ValueError if they do not have the length of each other and of
        the rows.
        """
        self._check_arrays(numbers, gradients)
        size = len(numbers)
        n_rows = self._n_rows or size
        if rows is None:
            whose, rows = "it knows", slice(0, n_rows)
        else:
            whose, n_rows = "the rows are of", len(range(*rows.indices(n_rows)) if isinstance(rows, slice) else rows)
        if n_rows != size:
            raise ValueError(
                f"{type(self).__name__}: expected the numbers of the {plural(n_rows, 'parameter')} that {whose},"
                f" got {size}"
            )
        rate = self.current_learning_rate
        if self.remembers and not self._n_rows:
            self._grow(size)
        self._move(numbers, gradients, rows, rate)
        self.step_count += 1

    def _check_arrays(self, numbers: Array, gradients: Array) -> None:
        for name, array in (("numbers", numbers), ("gradients", gradients)):
            if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.char not in FLOATS:
                raise TypeError(
                    f"{type(self).__name__}: expected {name} to be a flat array of float64 or float32,"
                    f" got {describe(array)}"
                )
        if gradients.shape != numbers.shape or gradients.dtype != numbers.dtype:
            raise ValueError(
                f"{type(self).__name__}: expected gradients like the numbers, {len(numbers)} of {numbers.dtype},"
                f" got {len(gradients)} of {gradients.dtype}"
            )
        if not numbers.flags.writeable:
            raise ValueError(f"{type(self).__name__}: expected numbers that can be written to, got a read-only array")

    def _move(self, numbers: Array, gradients: Array, rows: Rows, rate: float) -> None:
        self._prepare_arrays(numbers)
        with np.errstate(all="ignore"):
            clipped = self._clipped[: len(numbers)]
            if self.clip_value is not None:
                gradients = clipped_by_value(gradients, self.clip_value, out=clipped)
            if self.clip_norm is not None:
                gradients = clipped_by_norm(gradients, self.clip_norm, out=clipped)
            updates = self._count(rows) if self.remembers else 0
            remembered = self._remembered[:, rows]  # a view, or a copy where the rows are numbers
            for start in range(0, len(numbers), PART):
                part = slice(start, start + PART)
                moved = numbers[part]
                updates_of_part = updates if isinstance(updates, int) else updates[part]
                scratch = self._scratch[:, : len(moved)]
                self.update(moved, gradients[part], remembered[:, part], updates_of_part, rate, scratch)
            if not isinstance(rows, slice):
                self._remembered[:, rows] = remembered

    def _prepare_arrays(self, numbers: Array) -> None:
        """Arrays of the type of the numbers, and scratch of their length; nothing to do from the second step on."""
        dtype, size = numbers.dtype, len(numbers)
        if self._remembered.dtype != dtype:
            self._remembered = self._remembered.astype(dtype)
        width = min(size, PART)
        if self._scratch.dtype != dtype or self._scratch.shape[1] < width:
            self._scratch = np.empty((2, width), dtype)
        clips = self.clip_value is not None or self.clip_norm is not None
        if clips and (self._clipped.dtype != dtype or len(self._clipped) < size):
            self._clipped = np.empty(size, dtype)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: all but the scratch, which each makes for itself."""
        return {**vars(self), "_scratch": np.empty((2, 0)), "_clipped": np.empty(0)}

    # What is remembered

    @property
    def _n_rows(self) -> int:
        return int(self._remembered.shape[1])

    def know(self, parameters: Iterable[Value]) -> Rows:
        """Fix the positions of parameters in the state, where the order of the steps would not.

        Returns their rows, for `move`: they stay the same for good.
        """
        found = list(parameters)
        start = self._row_of.get(found[0], 0) if found else 0
        stop = start + len(found)
        if self._known[start:stop] == found:
            return slice(start, stop)
        found = list(dict.fromkeys(found))
        new = [parameter for parameter in found if parameter not in self._row_of]
        if not new:
            return np.array([self._row_of[parameter] for parameter in found])
        if self._n_rows and not self._known:
            self._check_loaded(self._n_rows, len(new))
        else:
            self._grow(len(new))
        self._row_of.update(zip(new, range(len(self._known), self._n_rows), strict=True))
        self._known += new
        return self.know(found)

    def _check_loaded(self, n_rows: int, n_parameters: int) -> None:
        if n_rows != n_parameters:
            raise ValueError(
                f"{type(self).__name__}: expected the {plural(n_rows, 'parameter')} that the loaded state is for,"
                f" got {n_parameters}"
            )

    def _count(self, rows: Rows) -> Counts:
        """One update more for these rows: how many it is for each of them."""
        if isinstance(self._updates, int) and isinstance(rows, slice) and rows == slice(0, self._n_rows):
            self._updates += 1
            return self._updates
        updates = self._all_updates()
        updates[rows] += 1
        self._updates = _one_if_equal(updates)
        return _one_if_equal(updates[rows])

    def _all_updates(self) -> NDArray[np.int64]:
        return np.array(np.broadcast_to(self._updates, self._n_rows))

    def _grow(self, n_rows: int) -> None:
        """New rows after those there are."""
        updates, remembered, dtype = self._all_updates(), self._remembered, self._remembered.dtype
        self._fill([self.first_row])
        self._updates = _one_if_equal(np.concatenate((updates, np.repeat(self._all_updates(), n_rows))))
        first = self._remembered.astype(dtype)
        self._remembered = np.concatenate((remembered, np.repeat(first, n_rows, axis=1)), axis=1)

    def _fill(self, rows: list[Row]) -> None:
        """Remember these rows, as they stand in a state, and nothing else."""
        columns: dict[str, tuple[float | None, ...]] = dict.fromkeys(self.columns, ())
        columns.update(zip(self.columns, zip(*rows, strict=True), strict=False))
        updates = columns.pop("updates", tuple(row != self.first_row for row in rows))
        self._updates = _one_if_equal(np.array(updates, dtype=np.int64))
        self._remembered = np.array(
            [[0.0 if number is None else number for number in column] for column in columns.values()], dtype=np.float64
        ).reshape(len(columns), len(rows))

    # The state

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next steps depend on, as a dict that JSON can hold; parameters by position.

        A learning rate that is a function of your own stands there as None.
        """
        settings = self.settings()
        rate = settings["learning_rate"]
        if callable(rate):
            settings["learning_rate"] = rate.state_dict() if type(rate) in SCHEDULES.values() else None
        return {
            "kind": type(self).__name__,
            "settings": {name: list(each) if isinstance(each, tuple) else each for name, each in settings.items()},
            "step_count": self.step_count,
            "parameters": self._listed_columns(),
        }

    def _listed_columns(self) -> dict[str, list[float | None]]:
        updates = self._all_updates().tolist()
        rest = iter(self._remembered.tolist())
        columns = {name: updates if name == "updates" else next(rest) for name in self.columns}
        for name, first in zip(self.columns, self.first_row, strict=True):
            if first is None:
                columns[name] = [
                    number if times else None for number, times in zip(columns[name], updates, strict=True)
                ]
        return columns

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
        twin.step_count = count(checked["step_count"], f"{where}['step_count']")
        rows = self._checked_rows(checked["parameters"], f"{where}['parameters']")
        if rows and self._known:
            self._check_loaded(len(rows), len(self._known))
        twin._fill(rows or [self.first_row] * len(self._known))
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


def _one_if_equal(counts: NDArray[np.int64]) -> Counts:
    if not len(counts):
        return 0
    first = int(counts[0])
    return first if (counts == first).all() else counts


def _decayed(gradients: Array, numbers: Array, weight_decay: float, out: Array) -> Array:
    if not weight_decay:
        return gradients
    np.multiply(numbers, weight_decay, out=out)
    out += gradients
    return out


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

    @property
    def remembers(self) -> bool:
        return bool(self.momentum)

    def update(
        self, numbers: Array, gradients: Array, remembered: Array, updates: Counts, rate: float, scratch: Array
    ) -> None:
        decayed, work = scratch
        directions = _decayed(gradients, numbers, self.weight_decay, out=decayed)
        if self.momentum:
            (velocities,) = remembered
            velocities *= self.momentum
            added = directions
            if self.dampening:
                added = np.multiply(directions, 1 - self.dampening, out=work)
                np.copyto(added, directions, where=updates == 1)
            velocities += added
            if self.nesterov:
                np.multiply(velocities, self.momentum, out=work)
                directions = np.add(directions, work, out=work)
            else:
                directions = velocities
        np.multiply(directions, rate, out=work)
        numbers -= work


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

    def update(
        self, numbers: Array, gradients: Array, remembered: Array, updates: Counts, rate: float, scratch: Array
    ) -> None:
        decayed, work = scratch
        gradients = _decayed(gradients, numbers, self.weight_decay, out=decayed)
        self._update_undecayed(numbers, gradients, remembered, updates, rate, work)

    def _update_undecayed(
        self, numbers: Array, gradients: Array, remembered: Array, updates: Counts, rate: float, work: Array
    ) -> None:
        means, squares, largest_squares = remembered
        beta1, beta2 = self.betas
        means *= beta1
        np.multiply(gradients, 1 - beta1, out=work)
        means += work
        squares *= beta2
        np.multiply(gradients, 1 - beta2, out=work)
        work *= gradients
        squares += work
        if self.amsgrad:
            squares = np.maximum(largest_squares, squares, out=largest_squares)
        # λ m̂ / (√ŝ + ε) with √(1 − β₂ᵗ) taken out of the fraction: a division of arrays less.
        length, epsilon = self._corrected(updates, rate, work.dtype)
        np.sqrt(squares, out=work)
        work += epsilon
        np.divide(means, work, out=work)
        work *= length
        numbers -= work

    def _corrected(self, updates: Counts, rate: float, dtype: np.dtype[Any]) -> Any:
        """λ √(1 − β₂ᵗ) / (1 − β₁ᵗ) and ε √(1 − β₂ᵗ): a pair of numbers, or of arrays with a number a parameter."""
        if isinstance(updates, int):
            beta1, beta2 = self.betas
            root = math.sqrt(1 - beta2**updates)
            return rate * root / (1 - beta1**updates), self.epsilon * root
        different, places = np.unique(updates, return_inverse=True)
        pairs = [self._corrected(each, rate, dtype) for each in different.tolist()]
        return np.array(pairs, dtype=dtype).T[:, places]


@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay: w := w − λ · weight_decay · w before the step (Loshchilov & Hutter, 2019).

    The decay follows the learning rate, as in PyTorch, but not the scale of the gradients. The rest is in `Adam`.
    """

    _: KW_ONLY
    weight_decay: float = 0.01

    def update(
        self, numbers: Array, gradients: Array, remembered: Array, updates: Counts, rate: float, scratch: Array
    ) -> None:
        numbers *= 1 - rate * self.weight_decay
        self._update_undecayed(numbers, gradients, remembered, updates, rate, scratch[0])

"""Callbacks: what `fit` calls after each epoch, to look on, to stop the training, or to save it."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from autograd_mini import Value
from nn.checkpoint import check_path, save_checkpoint
from nn.checks import as_number, describe, plural, positive_int
from nn.history import History
from nn.settings import not_negative, truth

Callback: TypeAlias = Callable[["TrainingState"], object]
"""Called with the state after each epoch. True, or a text that says why, stops the training; other answers are let be.

It may also have start(state), called before the first epoch, and finish(state), called after the last one, whether
all were run, it was stopped, or Ctrl-C was pressed: the finish of the last callback first. With state_dict() and
load_state_dict(), as of an optimizer, it is saved in checkpoints and goes on from them.
"""


@dataclass(frozen=True)
class TrainingState:
    """A training between two epochs."""

    epoch: int
    """The epoch that has ended, from 1; 0 before the first."""
    epochs: int
    """How many there will be, if nothing stops them."""
    model: Any
    optimizer: Any
    parameters: Sequence[Value]
    """What is trained. A callback may change it, and the settings of the optimizer."""
    history: History
    random: np.random.Generator
    """What shuffles the samples."""
    callbacks: Sequence[Callback]
    process: int = 0
    """Of several that train together, the number of this one; all call their callbacks, and 0 writes the files."""

    @property
    def loss(self) -> float:
        """The loss of the epoch."""
        return self.history.loss[-1]

    @property
    def validation_loss(self) -> float | None:
        """The loss on the validation data after the epoch; None without them."""
        return self.history.validation_loss[-1] if self.history.validation_loss else None


class EarlyStopping:
    """Stop where a curve of the history no longer falls (Prechelt, 1998, in the form that Keras gave it).

    patience: how many epochs in a row may fail to be better than the best so far.
    min_delta: by how much a number must be below the best to be better.
    restore_best: at the end, whatever ends the training, give the parameters the numbers of the best epoch.
    curve: the name of a curve, smaller is better; None is "validation_loss", or "loss" without validation data.

    `best` and `best_epoch` say what was found; best is inf where nothing was. Raises ValueError or TypeError that
    names the argument, and in the first epoch ValueError where there is no such curve.
    """

    def __init__(
        self, patience: int = 10, *, min_delta: float = 0.0, restore_best: bool = True, curve: str | None = None
    ) -> None:
        self.patience = positive_int(patience, "EarlyStopping: expected patience to be a positive int")
        self.min_delta = not_negative(min_delta, "EarlyStopping: expected min_delta")
        if curve is not None and not isinstance(curve, str):
            raise TypeError(f"EarlyStopping: expected curve to be the name of one, got {describe(curve)}")
        self.restore_best = truth(restore_best, "EarlyStopping: expected restore_best")
        self.curve = curve
        self._forget()

    def _forget(self) -> None:
        self.best, self.best_epoch = math.inf, 0
        self._best_numbers: list[float] = []

    def start(self, state: TrainingState) -> None:
        """Begin anew: what was best in another training does not count."""
        self._forget()

    def __call__(self, state: TrainingState) -> str | None:
        """Look at the last epoch, and say why to stop if it is time."""
        curves = state.history.curves
        name = self.curve or ("validation_loss" if "validation_loss" in curves else "loss")
        if name not in curves:
            raise ValueError(f"EarlyStopping: expected curve to be one of {', '.join(curves)}, got {name!r}")
        number = curves[name][-1]
        if number < self.best - self.min_delta:
            self.best, self.best_epoch = number, state.epoch
            if self.restore_best:
                self._best_numbers = [parameter.data for parameter in state.parameters]
        if state.epoch - self.best_epoch < self.patience:
            return None
        return f"EarlyStopping: {name} no better than {self.best:.6g} of epoch {self.best_epoch}"

    def finish(self, state: TrainingState) -> None:
        """Go back to the best epoch. Raises ValueError where a loaded state was that of another model."""
        if not self._best_numbers:
            return
        if len(self._best_numbers) != len(state.parameters):
            raise ValueError(
                f"EarlyStopping: expected the {plural(len(self._best_numbers), 'parameter')} that the loaded state is"
                f" for, got {len(state.parameters)}"
            )
        for parameter, number in zip(state.parameters, self._best_numbers, strict=True):
            parameter.data = number

    def state_dict(self) -> dict[str, Any]:
        """What it knows of the epochs so far."""
        return {"best": self.best, "best_epoch": self.best_epoch, "best_numbers": self._best_numbers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there. Raises ValueError or TypeError for anything else, before anything is changed."""
        expected = "EarlyStopping: expected state"
        if not isinstance(state, Mapping) or set(state) != {"best", "best_epoch", "best_numbers"}:
            raise ValueError(f"{expected} with best, best_epoch and best_numbers, got {describe(state)}")
        epoch, numbers = state["best_epoch"], state["best_numbers"]
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
            raise ValueError(f"{expected} with an int of 0 or more as best_epoch, got {describe(epoch)}")
        if not isinstance(numbers, list):
            raise TypeError(f"{expected} with a list of best_numbers, got {describe(numbers)}")
        numbers = [float(as_number(each, f"{expected} with numbers as best_numbers")) for each in numbers]
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{expected} with finite best_numbers, got {describe(numbers)}")
        self.best = float(as_number(state["best"], f"{expected} with a number as best"))
        self.best_epoch, self._best_numbers = epoch, numbers


class Checkpoint:
    """Save the training every so many epochs, and at its end, so that `fit(…, resume=path)` can go on with it.

    path: see `save_checkpoint`; the file is replaced each time, and is always a whole one.
    every: a positive number of epochs.

    It is called after all other callbacks, so that what they know of the epoch is saved with it. Of several processes
    that train together, one writes; to go on, all read the file. Ctrl-C saves the last whole epoch, and so does the end
    of another process of the group. A process that is killed may leave an unfinished file beside it, whose name begins
    with a point: a write an hour later removes it.

    Raises ValueError or TypeError that names the argument; a path whose folder is not there is refused at once.
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        self.path = check_path("Checkpoint", path)
        if not self.path.parent.is_dir():
            raise ValueError(f"Checkpoint: expected path in a folder that exists, got {os.fspath(path)!r}")
        self.every = positive_int(every, "Checkpoint: expected every to be a positive int")
        self._saved_epoch = 0

    def start(self, state: TrainingState) -> None:
        """What the file holds is older than this training, or is where it begins."""
        self._saved_epoch = state.epoch

    def __call__(self, state: TrainingState) -> None:
        """Save, if it is time."""
        if state.epoch % self.every == 0:
            self._save(state)

    def finish(self, state: TrainingState) -> None:
        """Save the last epoch, if that was not done."""
        if state.epoch != self._saved_epoch:
            self._save(state)

    def _save(self, state: TrainingState) -> None:
        if state.process == 0:
            save_checkpoint(
                self.path, state.model, state.optimizer, state.history, random=state.random, callbacks=state.callbacks
            )
        self._saved_epoch = state.epoch

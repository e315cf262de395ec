"""A small training with everything that a checkpoint holds, and its course: what it would be without any fault."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nn import MLP, Adam, fit
from nn.callbacks import TrainingState
from nn.history import History

ENGINES = ("eager", "compiled")
SUFFIXES = (".json", ".safetensors")

X = np.random.default_rng(0).normal(size=(12, 2))
Y = X[:, 0] * X[:, 1]


@dataclass
class Training:
    """A network, its optimizer and its random numbers, always the same at first."""

    engine: str
    model: MLP = field(default_factory=lambda: MLP(2, [6, 1], "tanh", seed=3))
    optimizer: Adam = field(default_factory=lambda: Adam(0.01))
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(9))

    def fit(self, epochs: int, callbacks: Iterable[Any] = (), resume: Path | None = None) -> History:
        """Go on for so many epochs; with a checkpoint, those in it count."""
        return fit(
            self.model,
            X[:9],
            Y[:9],
            optimizer=self.optimizer,
            epochs=epochs,
            batch_size=4,
            validation_data=(X[9:], Y[9:]),
            callbacks=callbacks,
            seed=self.random,
            resume=resume,
            engine=self.engine,
        )

    def numbers(self) -> list[float]:
        """Those of the parameters."""
        return [parameter.data for parameter in self.model.parameters()]


@dataclass(frozen=True)
class Course:
    """A training that nothing disturbed."""

    numbers: list[list[float]]
    """The parameters after 0, 1, 2, … epochs."""
    curves: dict[str, list[float]]

    def cut(self, epochs: int) -> dict[str, list[float]]:
        """The curves of its first epochs."""
        return {name: curve[:epochs] for name, curve in self.curves.items()}


def unbroken(engine: str, epochs: int) -> Course:
    """The course of that many epochs."""
    training = Training(engine)
    numbers = [training.numbers()]

    def keep(_: TrainingState) -> None:
        numbers.append(training.numbers())

    history = training.fit(epochs, [keep])
    return Course(numbers, history.curves)

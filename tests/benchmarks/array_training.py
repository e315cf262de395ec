"""Training on scikit-learn's digits until 97 % of the held-out images are right, with the same network and settings."""

import importlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ENOUGH = 0.97
"""Of the held-out images."""

MOST_EPOCHS = 100
HELD_OUT = 360
BATCH_SIZE = 32
LEARNING_RATE = 0.002
HIDDEN = (64, 32)

TITLE = f"Training 64-{'-'.join(map(str, HIDDEN))}-10 on scikit-learn's digits, {ENOUGH} right of those held out"


class Digits(NamedTuple):
    """Images and their classes, to train on and held out."""

    x: Any
    y: Any
    x_held_out: Any
    y_held_out: Any


class Training(NamedTuple):
    """How it went; looking at the held-out images is not in the time."""

    seconds: float
    epochs: int
    accuracy: float


Train = Callable[[Digits, int, int], Training]
"""train(digits, seed, most epochs)."""


def load_digits() -> Digits:
    """A fifth of each digit is held out."""
    datasets: Any = importlib.import_module("sklearn.datasets")
    selection: Any = importlib.import_module("sklearn.model_selection")
    x, y = datasets.load_digits(return_X_y=True)
    split = selection.train_test_split(x / 16, y, test_size=HELD_OUT, stratify=y, random_state=1)
    x, x_held_out, y, y_held_out = split
    return Digits(x, y, x_held_out, y_held_out)


def train_ours(digits: Digits, seed: int, most_epochs: int = MOST_EPOCHS) -> Training:
    """`fit` on the compiled path. Its weights start as scikit-learn's do, by Glorot's rule."""
    nn: Any = importlib.import_module("nn")
    model = nn.MLP(64, [*HIDDEN, 10], activation="relu", init="xavier", seed=seed)
    stopwatch = _Stopwatch(model, digits)
    history = nn.fit(
        model,
        digits.x,
        digits.y,
        loss=nn.cross_entropy,
        optimizer=nn.Adam(LEARNING_RATE),
        epochs=most_epochs,
        batch_size=BATCH_SIZE,
        callbacks=[stopwatch],
        seed=seed,
        engine="compiled",
    )
    return Training(time.perf_counter() - stopwatch.started, history.epochs, stopwatch.accuracy)


class _Stopwatch:
    """A callback that ends the training when it is good enough, and leaves its own time out."""

    def __init__(self, model: Any, digits: Digits) -> None:
        self.model, self.digits = model, digits
        self.accuracy = 0.0
        self.started = time.perf_counter()

    def __call__(self, state: Any) -> str:
        paused = time.perf_counter()
        outputs = self.digits.x_held_out.T
        for number, layer in enumerate(self.model.layers):
            weights = np.array([[weight.data for weight in row] for row in layer.weights])
            outputs = weights @ outputs + np.array([[bias.data] for bias in layer.biases])
            if number < len(HIDDEN):
                outputs = np.maximum(outputs, 0.0)
        self.accuracy = float(np.mean(outputs.argmax(axis=0) == self.digits.y_held_out))
        self.started += time.perf_counter() - paused
        return f"{self.accuracy:.3f} are right" if self.accuracy >= ENOUGH else ""


def train_scikit_learn(digits: Digits, seed: int, most_epochs: int = MOST_EPOCHS) -> Training:
    """MLPClassifier, an epoch a call of partial_fit, without its penalty on the weights."""
    neural_network: Any = importlib.import_module("sklearn.neural_network")
    classes = np.unique(digits.y)
    start = time.perf_counter()
    model = neural_network.MLPClassifier(
        HIDDEN, solver="adam", alpha=0.0, batch_size=BATCH_SIZE, learning_rate_init=LEARNING_RATE, random_state=seed
    )
    seconds = time.perf_counter() - start
    accuracy, epoch = 0.0, 0
    while accuracy < ENOUGH and epoch < most_epochs:
        start = time.perf_counter()
        model.partial_fit(digits.x, digits.y, classes=classes)
        seconds += time.perf_counter() - start
        accuracy = float(model.score(digits.x_held_out, digits.y_held_out))
        epoch += 1
    return Training(seconds, epoch, accuracy)


TRAININGS: dict[str, Train] = {"ours": train_ours, "scikit-learn": train_scikit_learn}
"""By the names of the engines."""

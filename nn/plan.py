"""`Plan`: how a network is made and trained, as the words of the command line say it; kept in its checkpoint."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nn.checks import describe, on_one_line, shown
from nn.modules import MLP
from nn.optimizers import SGD, Adam, AdamW, GradientOptimizer
from nn.settings import check_keys

MOST_WEIGHTS = 500_000
"""Of a network whose weights are single `Value`s."""

OPTIMIZERS: dict[str, tuple[type[GradientOptimizer], str]] = {
    "adam": (Adam, "0.01"),
    "adamw": (AdamW, "0.01"),
    "sgd": (SGD, "0.05"),
}
"""By name: the class, and the learning rate unless another is given."""

DEFAULTS = {
    "hidden": "16,16",
    "activation": "relu",
    "optimizer": "adam",
    "batch_size": "16",
    "validation": "0.2",
    "seed": "0",
    "standardize": "on",
    "early_stopping": "none",
}


@dataclass
class Plan:
    """What a training is made of, besides its table. As a callback of `fit` it is only saved with the network."""

    words: dict[str, str]
    """The options by name, every one of `DEFAULTS` and learning_rate, as they are written on the command line."""

    def __post_init__(self) -> None:
        self.hidden = _sizes(self.words["hidden"])
        self.activation = self.words["activation"]
        self.batch_size = whole_number("batch_size", self.words["batch_size"], least=1)
        self.validation = _number("validation", self.words["validation"], "a share from 0 to below 1", 0, 1)
        self.seed = whole_number("seed", self.words["seed"], least=0)
        self.is_standardized = _one_of("standardize", self.words["standardize"], ("on", "off")) == "on"
        patience = self.words["early_stopping"]
        self.patience = None if patience == "none" else whole_number("early_stopping", patience, least=1)
        self.optimizer()

    @staticmethod
    def parse(words: Mapping[str, str]) -> "Plan":
        """From the options that were given. Raises ValueError that names the option, in one line."""
        optimizer = _one_of("optimizer", words.get("optimizer", DEFAULTS["optimizer"]), tuple(OPTIMIZERS))
        return Plan({**DEFAULTS, "learning_rate": OPTIMIZERS[optimizer][1], **words})

    def check_same(self, words: Mapping[str, str], source: object) -> None:
        """Raise ValueError for a given option with which a training cannot go on, because it began with another."""
        for name, word in words.items():
            if Plan({**self.words, name: word})._meaning() != self._meaning():
                raise ValueError(
                    f"{option(name)}: expected {on_one_line(self.words[name])}, with which {source} was trained,"
                    f" got {on_one_line(word)}: leave the option out, or begin anew without --resume"
                )

    def _meaning(self) -> dict[str, Any]:
        """What is the same for 0.01 and 1e-2."""
        return {**vars(self), "words": None, "optimizer": repr(self.optimizer())}

    def optimizer(self) -> GradientOptimizer:
        """A new one."""
        kind = OPTIMIZERS[_one_of("optimizer", self.words["optimizer"], tuple(OPTIMIZERS))][0]
        rate = _number("learning_rate", self.words["learning_rate"], "a number above 0", 0, math.inf)
        if rate == 0:
            raise ValueError("--learning-rate: expected a number above 0, got 0")
        return kind(rate)

    def network(self, n_inputs: int, n_outputs: int, seed: Any = None) -> MLP:
        """A new one. Raises ValueError for more weights than `MOST_WEIGHTS`, before they are made."""
        sizes = [n_inputs, *self.hidden, n_outputs]
        count = sum((before + 1) * after for before, after in pairwise(sizes))
        if count > MOST_WEIGHTS:
            shape = "-".join(map(str, sizes))
            raise ValueError(f"--hidden: expected at most {MOST_WEIGHTS:,} weights, got {count:,} in {shape}")
        return MLP(n_inputs, sizes[1:], self.activation, seed=seed)

    # The state

    def __call__(self, state: object) -> None:
        """After an epoch of `fit`: nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        """The words."""
        return dict(self.words)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the plan whose state that is. Raises ValueError or TypeError for anything else, unchanged."""
        vars(self).update(vars(Plan.from_state(state)))

    @staticmethod
    def from_state(state: Mapping[str, Any] | None) -> "Plan":
        """The one whose state that is. Raises ValueError or TypeError for anything else."""
        words = check_keys(state, "Plan: expected state", [*DEFAULTS, "learning_rate"])
        for name, word in words.items():
            if not isinstance(word, str):
                raise ValueError(f"Plan: expected state[{name!r}] to be a text, got {describe(word)}")
        return Plan(words)


# Words


def option(name: str) -> str:
    """As it is typed: `--learning-rate`."""
    return f"--{name.replace('_', '-')}"


def whole_number(name: str, word: str, least: int) -> int:
    """Raises ValueError that names the option."""
    if not (word.isascii() and word.isdecimal() and len(word) < 16 and int(word) >= least):
        raise ValueError(f"{option(name)}: expected a whole number of {least} or more, got {shown(word)}")
    return int(word)


def _number(name: str, word: str, what: str, least: float, below: float) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not least <= number < below:
        raise ValueError(f"{option(name)}: expected {what}, got {shown(word)}")
    return number


def _one_of(name: str, word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise ValueError(f"{option(name)}: expected one of {', '.join(words)}, got {shown(word)}")
    return word


def _sizes(word: str) -> list[int]:
    if word == "none":
        return []
    sizes = [size.strip() for size in word.split(",")]
    if not all(size.isascii() and size.isdecimal() and len(size) < 7 and int(size) > 0 for size in sizes):
        raise ValueError(
            f"--hidden: expected the neurons of each hidden layer, such as 16,16, or none, got {shown(word)}"
        )
    return [int(size) for size in sizes]

"""`Preparation`: from the columns of a table to the numbers of a network, and from its outputs back to an answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nn.checks import as_number, describe, plural, shown
from nn.classifiers import Classifier
from nn.losses import accuracy
from nn.settings import check_keys
from nn.tables import DataTable, as_number_in_text, is_gap, is_printable, listed

Array = NDArray[np.float64]

TASKS = ("classification", "regression")

_MOST_CLASSES = 100
_MOST_NUMBERS_AS_CLASSES = 20


@dataclass
class Preparation:
    """What a network trained on a table takes and says: its columns, its classes, and how numbers are standardised.

    As a callback of `fit` it only looks on, so that its state is saved in checkpoints with the network.

    columns, target: names. classes: the texts of the target column in the order of the outputs, None for regression;
    two classes have one output. means, scales: of each input column; a number x goes in as (x − mean) / scale.
    target_mean, target_scale: the same for the target of a regression.
    """

    columns: list[str]
    target: str
    classes: list[str] | None
    means: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    target_mean: float = 0.0
    target_scale: float = 1.0

    def __post_init__(self) -> None:
        self.means = self.means or [0.0] * len(self.columns)
        self.scales = self.scales or [1.0] * len(self.columns)

    @property
    def n_outputs(self) -> int:
        """Of the network."""
        return 1 if self.classes is None or len(self.classes) == 2 else len(self.classes)

    # From a table

    def read_inputs(self, table: DataTable) -> Array:
        """The input columns by name, shape (S, n_columns), as they stand there.

        Raises ValueError for a column that is not there, a gap, a text and an infinite number.
        """
        table.check_columns(self.columns, "the network's input")
        read = [[table.number(row, name, text) for row, text in enumerate(table.column(name))] for name in self.columns]
        return np.array(read).T

    def read_targets(self, table: DataTable) -> Array:
        """The target column: numbers, or the places of the classes. Raises ValueError for what is neither."""
        texts = table.column(self.target)
        if self.classes is None:
            return np.array([table.number(row, self.target, text) for row, text in enumerate(texts)])
        places = self._places()
        for row, text in enumerate(texts):
            if _label(text, self.classes) not in places:
                raise ValueError(
                    f"{table.place(row)}, column {shown(self.target)}: expected one of the classes"
                    f" {listed(self.classes)}, got {shown(text)}"
                )
        return np.array([float(places[_label(text, self.classes)]) for text in texts])

    def read_known_targets(self, table: DataTable) -> tuple[list[int], Array]:
        """The rows whose target can be compared with a prediction, and these targets; a new class is none of ours."""
        texts = table.column(self.target)
        if self.classes is None:
            numbers = {row: as_number_in_text(text) for row, text in enumerate(texts)}
            known = {row: number for row, number in numbers.items() if number is not None and math.isfinite(number)}
            return list(known), np.array(list(known.values()))
        places, classes = self._places(), self.classes
        rows = [row for row, text in enumerate(texts) if not is_gap(text)]
        return rows, np.array([float(places.get(_label(texts[row], classes), -1)) for row in rows])

    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.classes or [])}

    # Standardising

    def standardize(self, inputs: Array, targets: Array) -> None:
        """Take the means and the scales of these samples. Raises ValueError where they are not within the floats."""
        scalings = [
            _scaling(f"column {shown(name)}", column) for name, column in zip(self.columns, inputs.T, strict=True)
        ]
        self.means, self.scales = [mean for mean, _ in scalings], [scale for _, scale in scalings]
        if self.classes is None:
            self.target_mean, self.target_scale = _scaling(f"column {shown(self.target)}", targets)

    def inputs(self, numbers: Array) -> list[list[float]]:
        """What goes into the network; what overflows is infinite there."""
        with np.errstate(all="ignore"):
            standardized: list[list[float]] = ((numbers - np.array(self.means)) / np.array(self.scales)).tolist()
        return standardized

    def targets(self, numbers: Array) -> list[float]:
        """What the network is to say."""
        with np.errstate(all="ignore"):
            standardized: list[float] = ((numbers - self.target_mean) / self.target_scale).tolist()
        return standardized

    # From the outputs of a network

    def predict(self, outputs: Array) -> Array:
        """Outputs, shape (S, n_outputs), as numbers, or as the places of classes."""
        if self.classes is not None:
            return Classifier(_as_it_is).predict(outputs).astype(float)
        with np.errstate(all="ignore"):
            numbers: Array = outputs[:, 0] * self.target_scale + self.target_mean
        return numbers

    def probabilities(self, outputs: Array) -> Array:
        """The probability of each class, shape (S, n_classes)."""
        return Classifier(_as_it_is).predict_proba(outputs)

    def score(self, outputs: Array, targets: Array) -> float:
        """The accuracy of a classification; R² of a regression, 1 − Σ(y − ŷ)² / Σ(y − ȳ)², NaN where all y are one."""
        predictions = self.predict(outputs)
        if self.classes is not None:
            return accuracy(predictions, targets)
        with np.errstate(all="ignore"):
            spread = np.square((targets - targets.mean()) / self.target_scale).sum()
            error = np.square((targets - predictions) / self.target_scale).sum()
            return float(1 - error / spread) if spread > 0 and targets.min() < targets.max() else math.nan

    # The state

    def __call__(self, state: object) -> None:
        """After an epoch of `fit`: nothing to do."""

    def state_dict(self) -> dict[str, Any]:
        """All of it, as a dict that JSON can hold."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become the one whose state that is. Raises ValueError or TypeError for anything else, unchanged."""
        vars(self).update(vars(Preparation.from_state(state)))

    @staticmethod
    def from_state(state: Mapping[str, Any] | None) -> "Preparation":
        """The one whose state that is. Raises ValueError or TypeError for anything else."""
        expected = "Preparation: expected state"
        keys = ("columns", "target", "classes", "means", "scales", "target_mean", "target_scale")
        checked = check_keys(state, expected, keys)
        columns = _texts(checked["columns"], f"{expected}['columns']", least=1)
        (target,) = _texts([checked["target"]], f"{expected}['target']", least=1)
        classes = checked["classes"]
        if classes is not None:
            classes = _texts(classes, f"{expected}['classes']", least=2)
        means = _numbers(checked["means"], f"{expected}['means']", len(columns))
        scales = _numbers(checked["scales"], f"{expected}['scales']", len(columns))
        target_mean, target_scale = _numbers([checked["target_mean"], checked["target_scale"]], f"{expected}", 2)
        if min([*scales, target_scale]) <= 0:
            raise ValueError(f"{expected} with scales above 0, got {describe([*scales, target_scale])}")
        return Preparation(columns, target, classes, means, scales, target_mean, target_scale)


def _as_it_is(outputs: Any) -> Any:
    """The network of a `Classifier` whose samples are outputs already."""
    return outputs


def _scaling(name: str, numbers: Array) -> tuple[float, float]:
    """Mean and standard deviation; a scale of 1 for a constant, whose computed deviation would be a rounding error."""
    if numbers.min() == numbers.max():
        return float(numbers[0]), 1.0
    with np.errstate(all="ignore"):
        mean, scale = float(numbers.mean()), float(numbers.std())
    if not (math.isfinite(mean) and math.isfinite(scale) and scale > 0):
        raise ValueError(f"{name}: expected numbers that can be standardised, got {numbers.min()} to {numbers.max()}")
    return mean, scale


def _texts(thing: object, expected: str, least: int) -> list[str]:
    if not isinstance(thing, list) or not all(isinstance(each, str) and is_printable(each) for each in thing):
        raise ValueError(f"{expected} to be a list of printable texts, got {describe(thing)}")
    if len(thing) < least or len(set(thing)) != len(thing):
        raise ValueError(f"{expected} to hold at least {plural(least, 'text')}, each once, got {describe(thing)}")
    return thing


def _numbers(thing: object, expected: str, length: int) -> list[float]:
    if not isinstance(thing, list) or len(thing) != length:
        raise ValueError(f"{expected} to be a list of {plural(length, 'number')}, got {describe(thing)}")
    numbers = [float(as_number(each, f"{expected} to hold numbers")) for each in thing]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{expected} to hold finite numbers, got {describe(thing)}")
    return numbers


# The task


def guess_task(table: DataTable, target: str) -> tuple[str, str]:
    """Classification or regression, and why: texts are classes, and so are few whole numbers that come again."""
    texts = [text for text in table.column(target) if not is_gap(text)]
    numbers = [as_number_in_text(text) for text in texts]
    distinct = {number for number in numbers if number is not None}
    if len(distinct) == 0 or None in numbers:
        return "classification", f"{shown(target)} holds text"
    if not all(number.is_integer() for number in distinct):
        return "regression", f"{shown(target)} holds fractions"
    if len(distinct) <= min(_MOST_NUMBERS_AS_CLASSES, len(texts) / 2):
        return "classification", f"{shown(target)} holds {plural(len(distinct), 'whole number')} again and again"
    return "regression", f"{shown(target)} holds {plural(len(distinct), 'different number')}"


def find_classes(table: DataTable, target: str) -> list[str]:
    """The classes in a column, in order: of numbers where all are. Raises ValueError for a gap, and for one class."""
    texts = table.column(target)
    for row, text in enumerate(texts):
        where = f"{table.place(row)}, column {shown(target)}"
        if is_gap(text):
            raise ValueError(f"{where}: expected a class, got a gap, {shown(text)}: fill it, or leave the row out")
        if not is_printable(text):
            raise ValueError(f"{where}: expected text, got a control character in {shown(text)}")
    numbers = [as_number_in_text(text) for text in texts]
    known = [number for number in numbers if number is not None and math.isfinite(number)]
    classes = sorted(set(texts)) if len(known) < len(texts) else [_number_label(each) for each in sorted(set(known))]
    where = f"{table.name}, column {shown(target)}"
    if len(classes) < 2:
        raise ValueError(f"{where}: expected at least two classes, got {shown(classes[0])} only")
    if len(classes) > _MOST_CLASSES:
        raise ValueError(
            f"{where}: expected at most {_MOST_CLASSES} classes, got {len(classes)}: numbers are for --task regression,"
            " and names of rows no target"
        )
    return classes


def _label(text: str, classes: Sequence[str]) -> str:
    """The class that a text names: 1.0 is 1, where classes are numbers."""
    number = as_number_in_text(text)
    if number is None or not math.isfinite(number) or text in classes:
        return text
    return _number_label(number)


def _number_label(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)

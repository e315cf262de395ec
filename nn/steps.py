"""The steps of a training, DL5 to DL8, sample by sample with the graph of a batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from autograd_mini import Anomaly, Value, detect_anomaly, find_anomaly, topological_order
from nn.batch_loss import Layout, Loss
from nn.batches import Batch, Data, Epoch
from nn.checks import as_number, describe
from nn.data import Sample

Measured = dict[str, float]
"""Numbers by the names of their curves: of the loss, and of the metrics."""


class Fault(NamedTuple):
    """Where a NaN or infinity of a batch came from."""

    anomaly: Anomaly
    place: int | None
    """Of its sample in the batch; None where it is of several, or of none."""


@dataclass
class Task:
    """What is trained, on what."""

    model: Callable[[Any], Any]
    parameters: list[Value]
    data: Data
    validation: Data | None
    measures: dict[str, Loss]
    """The loss, and the metrics, by the names of their curves."""
    optimizer: Any
    detects_anomaly: bool = False
    """Whether each batch is searched for NaN and infinity, its gradient too."""

    def measure(self, samples: list[Sample], targets: list[Sample]) -> tuple[Value, Measured]:
        """The loss as the end of a graph, and all measures of these samples."""
        return self._measure([self.model(sample) for sample in samples], targets)

    def _measure(self, predictions: list[Any], targets: list[Sample]) -> tuple[Value, Measured]:
        loss = self.measures["loss"](predictions, targets)
        if not isinstance(loss, Value):
            raise TypeError(f"fit: expected loss to return a Value, got {describe(loss)}")
        return loss, {"loss": loss.data, **self.metrics(predictions, targets)}

    def search(self, samples: list[Sample], targets: list[Sample]) -> tuple[Value, Measured, Fault | None]:
        """The same, and what there is of NaN and infinity, with the user's own lines."""
        with detect_anomaly():
            predictions = [self.model(sample) for sample in samples]
            loss, measured = self._measure(predictions, targets)
            anomaly = find_anomaly(loss)
            fault = None if anomaly is None else Fault(anomaly, _place_of(anomaly.node, predictions))
        return loss, measured, fault

    def metrics(self, predictions: list[Any], targets: list[Sample]) -> Measured:
        """All measures but the loss."""
        measured = {}
        for name, measure in self.measures.items():
            if name != "loss":
                expected = f"fit: expected metric {name!r} to return a number"
                measured[name] = float(as_number(measure(predictions, targets), expected))
        return measured


def _place_of(node: Value, predictions: list[Any]) -> int | None:
    """The place of the one prediction that a node leads to, or else of the one that leads to it."""
    parts = [Layout(prediction).numbers(prediction) for prediction in predictions]
    above = [place for place, part in enumerate(parts) if any(node in topological_order(each) for each in part)]
    below = set(topological_order(node))
    holding = above or [place for place, part in enumerate(parts) if not below.isdisjoint(part)]
    return holding[0] if len(holding) == 1 else None


class Steps(Protocol):
    """An engine's way to make them. The numbers of the parameters may be its own until `settle`."""

    @property
    def fault(self) -> Fault | None:
        """What there is of NaN and infinity in the batch that was measured last, if that is looked for."""

    @property
    def last_finite(self) -> list[float]:
        """The numbers of the parameters with which a finite loss was computed last."""

    def begin_epoch(self, epoch: Epoch) -> None:
        """Take the batches of this epoch next."""

    def differentiate(self, batch: Batch) -> Measured:
        """Measure a batch, and where the loss is finite take its gradient."""

    def move(self) -> bool:
        """Move the parameters by the last gradient; returns whether they are finite."""

    def validate(self) -> Measured:
        """Measure the validation data."""

    def numbers(self) -> list[float]:
        """Those of the parameters."""

    def settle(self) -> None:
        """Write the numbers and the last gradient into the parameters, before code of the user's sees them."""

    def read(self) -> None:
        """Take the numbers of the parameters, which others may have changed."""

    def still_hold(self) -> bool:
        """Whether model and loss are what they were at the beginning."""


def mean_over_batches(data: Data | None, measure: Callable[[Batch], Measured]) -> Measured:
    """What is measured of batches, as the mean over their samples."""
    if data is None:
        return {}
    mean = Mean()
    for batch in data.epoch(np.random.default_rng(0)).batches:
        mean.add(batch.size, measure(batch))
    return mean.measured()


class Mean:
    """The mean over samples of what is measured batch by batch."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Measured]] = []

    def add(self, size: int, measured: Measured) -> None:
        """A batch of so many samples."""
        self._parts.append((size, measured))

    def measured(self) -> Measured:
        """By the names of the curves."""
        total = sum(size for size, _ in self._parts)
        names = self._parts[0][1] if self._parts else {}
        return {name: sum(size / total * numbers[name] for size, numbers in self._parts) for name in names}


class EagerSteps:
    """Steps by `backward()`, for every model and loss."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.fault: Fault | None = None
        self.read()
        self.last_finite = self._numbers

    def begin_epoch(self, epoch: Epoch) -> None:
        """Nothing is prepared."""

    def differentiate(self, batch: Batch) -> Measured:
        """The graph is freed on return, so that two are never held at once."""
        if self.task.detects_anomaly:
            loss, measured, self.fault = self.task.search(*batch.pair.listed())
        else:
            loss, measured = self.task.measure(*batch.pair.listed())
        for parameter in self.task.parameters:
            parameter.grad = 0.0
        if math.isfinite(loss.data):
            loss.backward()
            self.last_finite = self._numbers
        return measured

    def move(self) -> bool:
        self.task.optimizer.step(self.task.parameters)
        self.read()
        return all(map(math.isfinite, self._numbers))

    def validate(self) -> Measured:
        return mean_over_batches(self.task.validation, lambda batch: self.task.measure(*batch.pair.listed())[1])

    def numbers(self) -> list[float]:
        return self._numbers

    def settle(self) -> None:
        """They are there."""

    def read(self) -> None:
        self._numbers = [parameter.data for parameter in self.task.parameters]

    def still_hold(self) -> bool:
        """They are run as they are each time."""
        return True

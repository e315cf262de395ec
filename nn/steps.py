"""The steps of a training, DL5 to DL8, sample by sample with the graph of a batch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from autograd_mini import Anomaly, Value, detect_anomaly, find_anomaly, topological_order
from nn.batch_loss import Layout, Loss
from nn.checks import as_number, describe
from nn.data import Sample

Measured = dict[str, float]
"""Numbers by the names of their curves: of the loss, and of the metrics."""

Order = NDArray[np.int64]
"""The places of the samples, in the order in which an epoch takes them."""


class Batch(NamedTuple):
    """A part of the samples in the order of an epoch."""

    first: int
    end: int


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
    samples: list[Sample]
    targets: list[Sample]
    validation: tuple[list[Sample], list[Sample]] | None
    measures: dict[str, Loss]
    """The loss, and the metrics, by the names of their curves."""
    optimizer: Any
    batch_size: int
    detects_anomaly: bool = False
    """Whether each batch is searched for NaN and infinity, its gradient too."""

    def batches(self) -> Iterator[Batch]:
        """Those of an epoch, the rest at its end."""
        n_samples = len(self.samples)
        for first in range(0, n_samples, self.batch_size):
            yield Batch(first, min(first + self.batch_size, n_samples))

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

    def begin_epoch(self, order: Order | None) -> None:
        """Take the samples in this order; None is their own."""

    def batch(self, batch: Batch) -> tuple[list[Sample], list[Sample]]:
        """The samples and targets of a batch."""

    def number_of(self, place: int) -> int:
        """Which of all samples stands at a place in the order of the epoch."""

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


class EagerSteps:
    """Steps by `backward()`, for every model and loss."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._order: list[int] | None = None
        self.fault: Fault | None = None
        self.read()
        self.last_finite = self._numbers

    def begin_epoch(self, order: Order | None) -> None:
        self._order = None if order is None else order.tolist()

    def number_of(self, place: int) -> int:
        return place if self._order is None else self._order[place]

    def batch(self, batch: Batch) -> tuple[list[Sample], list[Sample]]:
        samples, targets = self.task.samples, self.task.targets
        if self._order is None:
            return samples[batch.first : batch.end], targets[batch.first : batch.end]
        places = self._order[batch.first : batch.end]
        return [samples[place] for place in places], [targets[place] for place in places]

    def differentiate(self, batch: Batch) -> Measured:
        """The graph is freed on return, so that two are never held at once."""
        if self.task.detects_anomaly:
            loss, measured, self.fault = self.task.search(*self.batch(batch))
        else:
            loss, measured = self.task.measure(*self.batch(batch))
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
        return {} if self.task.validation is None else self.task.measure(*self.task.validation)[1]

    def numbers(self) -> list[float]:
        return self._numbers

    def settle(self) -> None:
        """They are there."""

    def read(self) -> None:
        self._numbers = [parameter.data for parameter in self.task.parameters]

    def still_hold(self) -> bool:
        """They are run as they are each time."""
        return True

"""The steps of a training in arrays: model and loss are traced once, for one sample, and compiled."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini import CompiledGraph, NotTraceableError, Value, compile_graph, trace
from nn.batch_loss import Layout, find_formula
from nn.batches import Batch, Data, Epoch, Order, Pair
from nn.data import Rows, Sample, listed
from nn.stand_ins import Column
from nn.steps import EagerSteps, Fault, Measured, Task, mean_over_batches

Array: TypeAlias = NDArray[np.float64]

_SAMPLES_COMPARED = range(3, 17)
_PARAMETERS_COMPARED = 20_000
"""Of a large model fewer samples are compared."""
_TARGETS_COMPARED = 10_000
"""Of targets that come batch by batch so many different ones are compared, and of a batch at once."""
_TARGETS_LOOKED_AT = 4
"""From then on so many of each batch: a loss that takes so many different targets takes numbers, not labels."""
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""How far the traced loss may be off."""


class Arrays:
    """Samples, and what the loss needs of their targets, a sample a row."""

    def __init__(self, rows: list[Array], needs_size: bool) -> None:
        self._rows, self._needs_size = rows, needs_size

    def in_order(self, order: Order) -> "Arrays":
        return Arrays([each[order] for each in self._rows], self._needs_size)

    def part(self, first: int, end: int) -> "Arrays":
        return Arrays([each[first:end] for each in self._rows], self._needs_size)

    def columns(self) -> list[Array]:
        """As the compiled graph takes them: the batch is the trailing axis."""
        return [each.T for each in self._rows]

    def arguments(self) -> list[Any]:
        """Those of the compiled graph after the parameters."""
        return [*self.columns(), float(len(self._rows[0]))] if self._needs_size else self.columns()

    def samples(self) -> Array:
        return self._rows[0].T


class CompiledSteps:
    """Steps by a compiled graph, on numbers that stand in arrays.

    A batch whose loss or gradient is not finite is computed again by the graph of its samples, whose answer counts.

    Raises NotTraceableError where model and loss cannot be compiled, or are then not what they were.
    """

    def __init__(self, eager: EagerSteps) -> None:
        self._eager, self._task = eager, eager.task
        self._program = _Program(self._task)
        self._data = self._prepared(self._task.data)
        self._validation = None if self._task.validation is None else self._prepared(self._task.validation)
        self._epoch_data = self._data
        self._looks, self._attributes = 0, _attributes_of(self._task.model, set())
        self._has_metrics = len(self._task.measures) > 1
        self._move: Callable[[], None] = self._move_values
        self._known_by: Any = None
        self._rows: tuple[Any, ...] = ()
        self._gradient: Array | None
        self.read()
        self._last_finite = self._numbers.copy()

    @property
    def fault(self) -> Fault | None:
        return self._eager.fault  # of the last batch that was computed again, after which the training goes on or ends

    @property
    def last_finite(self) -> list[float]:
        numbers: list[float] = self._last_finite.tolist()
        return numbers

    def _prepared(self, data: Data) -> Arrays | None:
        """Data that are in memory as arrays, all of them compared; of others, the first batch is compared."""
        head = data.head
        if not data.is_in_memory:
            self._program.check_new(head)
            return None
        self._program.check(head)
        return self._program.arrays(head)

    def begin_epoch(self, epoch: Epoch) -> None:
        self._eager.begin_epoch(epoch)
        if epoch.order is not None and self._data is not None:
            self._epoch_data = self._data.in_order(epoch.order)
        optimizer = self._task.optimizer
        self._move = self._move_arrays if _moves_arrays(optimizer) else self._move_values
        know = getattr(optimizer, "know", None)
        if callable(know) and optimizer is not self._known_by:
            self._known_by, self._rows = optimizer, (know(self._task.parameters),)

    def _loss_and_gradient(self, batch: Batch) -> tuple[float, Array]:
        arguments = self._arrays(batch, self._epoch_data).arguments()
        found: tuple[float, Array] = self._program.graph.value_and_grad(self._numbers, *arguments)
        return found

    def _validation_loss(self, batch: Batch) -> float:
        arguments = self._arrays(batch, self._validation).arguments()
        return float(self._program.graph.value(self._numbers, *arguments))

    def _arrays(self, batch: Batch, prepared: Arrays | None) -> Arrays:
        if prepared is not None:
            return prepared.part(batch.first, batch.end)
        self._program.check_new(batch.pair)
        return self._program.arrays(batch.pair)

    def differentiate(self, batch: Batch) -> Measured:
        loss, gradient = self._loss_and_gradient(batch)
        if math.isfinite(loss) and np.isfinite(gradient).all():
            measured = {"loss": loss}
            if self._has_metrics:
                measured |= self._metrics(batch, self._epoch_data)
            self._gradient = gradient
            self._is_settled = False
        else:
            self.settle()
            measured = self._eager.differentiate(batch)
            self._gradient = np.array([parameter.grad for parameter in self._task.parameters])
        if math.isfinite(measured["loss"]):
            np.copyto(self._last_finite, self._numbers)
        return measured

    def move(self) -> bool:
        self._is_settled = False
        self._move()
        return bool(np.isfinite(self._numbers).all())

    def validate(self) -> Measured:
        return mean_over_batches(self._task.validation, self._measure)

    def _measure(self, batch: Batch) -> Measured:
        loss = self._validation_loss(batch)
        if not math.isfinite(loss):
            self.settle()
            return self._task.measure(*batch.pair.listed())[1]
        return {"loss": loss, **(self._metrics(batch, self._validation) if self._has_metrics else {})}

    def numbers(self) -> list[float]:
        numbers: list[float] = self._numbers.tolist()
        return numbers

    def settle(self) -> None:
        if self._is_settled:
            return
        parameters = self._task.parameters
        for parameter, number in zip(parameters, self._numbers.tolist(), strict=True):
            parameter.data = number
        if self._gradient is not None:
            for parameter, number in zip(parameters, self._gradient.tolist(), strict=True):
                parameter.grad = number
        self._is_settled = True

    def read(self) -> None:
        self._eager.read()
        self._numbers = np.array(self._eager.numbers())
        self._gradient = None  # that of the `Value`s, which is not needed
        self._is_settled = True

    def still_hold(self) -> bool:
        """Compares on a sample where the model's attributes are not what they were, and at times even if they are."""
        self._looks += 1
        before, self._attributes = self._attributes, _attributes_of(self._task.model, set())
        if self._attributes == before and self._looks not in (1, 10, 100, 1000):
            return True
        self.settle()
        try:
            head = self._task.data.head
            self._program.compare(self._program.predicted(head.samples[:1]), listed(head.targets[:1]), [[0]])
        except Exception:  # whatever model and loss raise; they will again
            return False
        return True

    def _metrics(self, batch: Batch, prepared: Arrays | None) -> Measured:
        self.settle()  # a metric may look at the parameters
        data = self._arrays(batch, prepared)
        return self._task.metrics(self._program.predictions(self._numbers, data), listed(batch.pair.targets))

    def _move_arrays(self) -> None:
        self._task.optimizer.move(self._numbers, self._gradient, *self._rows)

    def _move_values(self) -> None:
        self.settle()
        self._task.optimizer.step(self._task.parameters)
        self.read()


def _moves_arrays(optimizer: Any) -> bool:
    """Whether it has a move() for what its step() does: a subclass may have given it another step."""
    if not callable(getattr(optimizer, "move", None)) or "step" in getattr(optimizer, "__dict__", {}):
        return False
    kinds = type(optimizer).__mro__
    owner = {name: next(i for i, kind in enumerate(kinds) if name in vars(kind)) for name in ("step", "move")}
    return owner["move"] <= owner["step"]


class _Predicted(NamedTuple):
    """Some samples, the model's predictions, and the parameters with which it made them."""

    samples: list[Sample]
    predictions: list[Any]
    parameters: Array


class _Program:
    """The loss of one sample as a compiled graph of the parameters, the sample, its columns and the batch's size."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._seen: set[Any] = set()
        """Targets that were compared, of those that come batch by batch;"""
        self._compared_with: _Predicted | None = None
        """and what with, for a prediction costs more than a loss."""
        for data in (task.data, task.validation):
            if data is not None:
                _check_plain(data.head)
        samples, few = (listed(rows[:3]) for rows in task.data.head)
        prediction, (self._sample,) = trace(task.model, samples[0], parameters=task.parameters)
        self._layout = Layout(prediction)
        self._outputs = self._layout.numbers(prediction)
        numbers = [value.data for value in self._outputs]
        targets = [few[place % len(few)] for place in range(3)]
        self._loss = task.measures["loss"]
        self._formula = find_formula(self._loss, self._layout, [numbers] * 3, targets, task.parameters)
        columns = [Value(0.0) for _ in self._formula.columns]
        size = Value(2.0)
        self.needs_size = self._formula.needs_size
        self.loss = self._formula(self._outputs, columns, size)
        self.inputs = [self._sample, *([columns] if columns else []), *([size] if self.needs_size else [])]
        self.parameters = np.array(task.parameters, dtype=object)  # so that gradients are arrays
        self.graph: CompiledGraph = compile_graph(self.loss, *self.inputs, parameters=self.parameters)
        self._model: CompiledGraph | None = None

    def predictions(self, parameters: Array, data: Arrays) -> list[Any]:
        """The model's predictions of these samples, made of `Value`s, as it returns them."""
        if self._model is None:
            self._model = compile_graph(self._outputs, self._sample, parameters=self.parameters, reduction="none")
        outputs = self._model.value(parameters, data.samples()).T.tolist()
        return [self._layout.put([Value(number) for number in each]) for each in outputs]

    def arrays(self, pair: Pair) -> Arrays:
        """Samples, and what the loss needs of their targets."""
        parts = [np.asarray(pair.samples, dtype=np.float64)]
        if self._formula.columns:
            numbers = np.asarray(pair.targets, dtype=np.float64).reshape(len(pair.targets), -1)
            parts.append(np.column_stack([_column(column, numbers) for column in self._formula.columns]))
        return Arrays(parts, self.needs_size)

    def check(self, pair: Pair) -> None:
        """Compare with the loss as it stands, for every target that comes up, in batches of the sizes that come up.

        What looks at its numbers by ways that no trace notices, such as `y == 1`, is found so; and where the loss
        refuses a target, it raises here. Of large batches a part is compared at a time.
        """
        targets = listed(pair.targets)
        distinct = list({repr(target): place for place, target in enumerate(targets)}.values())
        n_samples = len(targets)
        size = min(self._task.data.batch_size or n_samples, n_samples, _TARGETS_COMPARED)
        compared = [np.resize(distinct[first : first + size], size) for first in range(0, len(distinct), size)]
        if n_samples % size:
            compared.append(np.resize(distinct, n_samples % size))
        self.compare(self.predicted(pair.samples), targets, [places.tolist() for places in compared])

    def check_new(self, pair: Pair) -> None:
        """The same for data that come batch by batch: for targets that were in no batch before."""
        _check_plain(pair)
        if len(self._seen) >= _TARGETS_COMPARED:
            few = listed(pair.targets[:_TARGETS_LOOKED_AT])
            self._loss([self._layout.put([Value(value.data) for value in self._outputs])] * len(few), few)
            return
        different = listed(np.unique(np.asarray(pair.targets, dtype=np.float64), axis=0))
        new = [target for target in different if _key(target) not in self._seen]
        if new:
            places = np.resize(np.arange(len(new)), min(len(pair.targets), _TARGETS_COMPARED))
            self._compared_with = self._compared_with or self.predicted(pair.samples)
            self.compare(self._compared_with, new, [places.tolist()])
            self._seen.update(map(_key, new))

    def predicted(self, samples: Rows) -> "_Predicted":
        """Some of the samples, from the first to the last, and what the model says of them now."""
        n_few = np.clip(_PARAMETERS_COMPARED // len(self.parameters), _SAMPLES_COMPARED[0], _SAMPLES_COMPARED[-1])
        places = np.linspace(0, len(samples) - 1, min(len(samples), int(n_few))).astype(int)
        few = [listed(samples[place : place + 1])[0] for place in places]
        parameters = np.array([parameter.data for parameter in self._task.parameters])
        return _Predicted(few, [self._task.model(sample) for sample in few], parameters)

    def compare(self, predicted: "_Predicted", targets: list[Sample], batches: list[list[int]]) -> None:
        """Compare batches of these targets, with the samples in turn."""
        samples, predictions, numbers = predicted
        for places in batches:
            turns = [turn % len(samples) for turn in range(len(places))]
            wanted = [targets[place] for place in places]
            loss = float(self._loss([predictions[turn] for turn in turns], wanted))
            arrays = self.arrays(Pair([samples[turn] for turn in turns], wanted))
            found = float(self.graph.value(numbers, *arrays.arguments()))
            is_close = math.isclose(loss, found, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
            if not is_close and math.isfinite(loss) and math.isfinite(found):  # where not, the graph's answer counts
                raise NotTraceableError(
                    f"fit: expected model and loss to be the same when traced, got a loss of {loss} and traced {found}:"
                    " they may compare numbers by ==, or count their calls"
                )


def _check_plain(pair: Pair) -> None:
    if not all(isinstance(rows, np.ndarray) for rows in pair):
        raise NotTraceableError("fit: expected plain numbers as samples and targets, got Values")


def _attributes_of(thing: Any, seen: set[int]) -> Any:
    """What a model consists of, however nested, in a form that differs where an attribute was changed.

    Of `Value`s, whose numbers training changes, and of what is no container it is who they are.
    """
    if isinstance(thing, (str, int, float, bool, type(None))):
        return thing
    if id(thing) in seen or isinstance(thing, Value):
        return id(thing)
    seen.add(id(thing))
    if isinstance(thing, (list, tuple)):
        if thing and isinstance(thing[0], Value):
            return id(thing), len(thing)
        return id(thing), [_attributes_of(each, seen) for each in thing]
    if isinstance(thing, dict):
        return id(thing), {key: _attributes_of(each, seen) for key, each in thing.items()}
    return id(thing), {name: _attributes_of(each, seen) for name, each in getattr(thing, "__dict__", {}).items()}


def _key(target: Sample) -> Any:
    return tuple(target) if isinstance(target, list) else target


def _column(column: Column, targets: Array) -> Array:
    if column.function is float:
        return targets[:, column.place]
    different, places = np.unique(targets[:, column.place], return_inverse=True)
    return np.array([column.function(number) for number in different.tolist()])[places]

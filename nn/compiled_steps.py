"""The steps of a training in arrays: model and loss are traced once, for one sample, and compiled."""

import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini import CompiledGraph, NotTraceableError, Value, compile_graph, trace
from nn.batch_loss import Layout, find_formula
from nn.data import Sample
from nn.stand_ins import Column
from nn.steps import Batch, EagerSteps, Fault, Measured, Order, Task

Array: TypeAlias = NDArray[np.float64]

_SAMPLES_COMPARED = range(3, 17)
_PARAMETERS_COMPARED = 20_000
"""Of a large model fewer samples are compared."""
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
"""How far the traced loss may be off."""


class _Arrays:
    """Samples, and what the loss needs of their targets, a sample a row."""

    def __init__(self, rows: list[Array], needs_size: bool) -> None:
        self._rows, self._needs_size = rows, needs_size

    def in_order(self, order: Order) -> "_Arrays":
        return _Arrays([each[order] for each in self._rows], self._needs_size)

    def part(self, batch: Batch) -> "_Arrays":
        return _Arrays([each[batch.first : batch.end] for each in self._rows], self._needs_size)

    def arguments(self) -> list[Any]:
        """Those of the compiled graph after the parameters: the batch is the trailing axis."""
        columns: list[Any] = [each.T for each in self._rows]
        return [*columns, float(len(self._rows[0]))] if self._needs_size else columns

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
        self._program.check(self._task.samples, self._task.targets)
        self._data = self._program.arrays(self._task.samples, self._task.targets)
        self._validation: _Arrays | None = None
        if self._task.validation is not None:
            self._program.check(*self._task.validation)
            self._validation = self._program.arrays(*self._task.validation)
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

    def begin_epoch(self, order: Order | None) -> None:
        self._eager.begin_epoch(order)
        if order is not None:
            self._epoch_data = self._data.in_order(order)
        optimizer = self._task.optimizer
        self._move = self._move_arrays if _moves_arrays(optimizer) else self._move_values
        know = getattr(optimizer, "know", None)
        if callable(know) and optimizer is not self._known_by:
            self._known_by, self._rows = optimizer, (know(self._task.parameters),)

    def number_of(self, place: int) -> int:
        return self._eager.number_of(place)

    def batch(self, batch: Batch) -> tuple[list[Sample], list[Sample]]:
        return self._eager.batch(batch)

    def differentiate(self, batch: Batch) -> Measured:
        data = self._epoch_data.part(batch)
        loss, gradient = self._program.graph.value_and_grad(self._numbers, *data.arguments())
        if math.isfinite(loss) and np.isfinite(gradient).all():
            measured = {"loss": loss}
            if self._has_metrics:
                measured |= self._metrics(data, self.batch(batch)[1])
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
        if self._validation is None or self._task.validation is None:
            return {}
        loss = float(self._program.graph.value(self._numbers, *self._validation.arguments()))
        if not math.isfinite(loss):
            self.settle()
            return self._eager.validate()
        return {
            "loss": loss,
            **(self._metrics(self._validation, self._task.validation[1]) if self._has_metrics else {}),
        }

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
            self._program.compare(self._task.samples[:1], self._task.targets[:1], [[0]])
        except Exception:  # whatever model and loss raise; they will again
            return False
        return True

    def _metrics(self, data: _Arrays, targets: list[Sample]) -> Measured:
        self.settle()  # a metric may look at the parameters
        return self._task.metrics(self._program.predictions(self._numbers, data), targets)

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


class _Program:
    """The loss of one sample as a compiled graph of the parameters, the sample, its columns and the batch's size."""

    def __init__(self, task: Task) -> None:
        self._task = task
        if any(_holds_values(data) for data in (task.samples, task.targets, *(task.validation or ()))):
            raise NotTraceableError("fit: expected plain numbers as samples and targets, got Values")
        prediction, (self._sample,) = trace(task.model, task.samples[0], parameters=task.parameters)
        self._layout = Layout(prediction)
        self._outputs = self._layout.numbers(prediction)
        numbers = [value.data for value in self._outputs]
        targets = [task.targets[place % len(task.targets)] for place in range(3)]
        self._formula = find_formula(task.measures["loss"], self._layout, [numbers] * 3, targets, task.parameters)
        columns = [Value(0.0) for _ in self._formula.columns]
        size = Value(2.0)
        loss = self._formula(self._outputs, columns, size)
        inputs = [self._sample, *([columns] if columns else []), *([size] if self._formula.needs_size else [])]
        self._parameters = np.array(task.parameters, dtype=object)  # so that gradients are arrays
        self.graph: CompiledGraph = compile_graph(loss, *inputs, parameters=self._parameters)
        self._model: CompiledGraph | None = None

    def predictions(self, parameters: Array, data: _Arrays) -> list[Any]:
        """The model's predictions of these samples, made of `Value`s, as it returns them."""
        if self._model is None:
            self._model = compile_graph(self._outputs, self._sample, parameters=self._parameters, reduction="none")
        outputs = self._model.value(parameters, data.samples()).T.tolist()
        return [self._layout.put([Value(number) for number in each]) for each in outputs]

    def arrays(self, samples: list[Sample], targets: list[Sample]) -> _Arrays:
        parts = [np.array(samples, dtype=np.float64)]
        if self._formula.columns:
            numbers = np.array(targets, dtype=np.float64).reshape(len(targets), -1)
            parts.append(np.column_stack([_column(column, numbers) for column in self._formula.columns]))
        return _Arrays(parts, self._formula.needs_size)

    def check(self, samples: list[Sample], targets: list[Sample]) -> None:
        """Compare with the loss as it stands, for every target that comes up, in batches of the sizes that come up.

        What looks at its numbers by ways that no trace notices, such as `y == 1`, is found so; and where the loss
        refuses a target, it raises here.
        """
        n_samples, size = len(samples), min(self._task.batch_size, len(samples))
        distinct = list({repr(target): place for place, target in enumerate(targets)}.values())
        compared = [np.resize(distinct[first : first + size], size) for first in range(0, len(distinct), size)]
        if n_samples % size:
            compared.append(np.resize(distinct, n_samples % size))
        n_few = np.clip(_PARAMETERS_COMPARED // len(self._parameters), _SAMPLES_COMPARED[0], _SAMPLES_COMPARED[-1])
        few = np.linspace(0, n_samples - 1, min(n_samples, int(n_few))).astype(int)
        self.compare([samples[place] for place in few], targets, [places.tolist() for places in compared])

    def compare(self, samples: list[Sample], targets: list[Sample], batches: list[list[int]]) -> None:
        """Compare batches of these targets, with the samples in turn."""
        task = self._task
        predictions = [task.model(sample) for sample in samples]
        numbers = np.array([parameter.data for parameter in task.parameters])
        for places in batches:
            turns = [turn % len(samples) for turn in range(len(places))]
            wanted = [targets[place] for place in places]
            loss = float(task.measures["loss"]([predictions[turn] for turn in turns], wanted))
            arrays = self.arrays([samples[turn] for turn in turns], wanted)
            found = float(self.graph.value(numbers, *arrays.arguments()))
            is_close = math.isclose(loss, found, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
            if not is_close and math.isfinite(loss) and math.isfinite(found):  # where not, the graph's answer counts
                raise NotTraceableError(
                    f"fit: expected model and loss to be the same when traced, got a loss of {loss} and traced {found}:"
                    " they may compare numbers by ==, or count their calls"
                )


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


def _column(column: Column, targets: Array) -> Array:
    return np.array([column.function(number) for number in targets[:, column.place].tolist()])


def _holds_values(data: list[Sample]) -> bool:
    numbers: Iterable[Any] = chain.from_iterable(data) if isinstance(data[0], list) else data  # type: ignore[arg-type]
    return any(issubclass(kind, Value) for kind in set(map(type, numbers)))

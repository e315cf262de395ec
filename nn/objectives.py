"""What is to be minimised: a function of numbers, or a model on data, recorded at one flat list of numbers."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

from autograd_mini import Value, grad
from nn.checks import as_number, describe, plural, without_arrays
from nn.data import read_data
from nn.modules import Module
from nn.recording import Outputs, Recording
from nn.training import Trainable


class Objective(Protocol):
    """A function of one flat list of numbers, however its user writes them."""

    start: list[float]

    def record(self, numbers: Sequence[float]) -> Recording:
        """Compute it at these numbers."""

    def settle(self, numbers: Sequence[float]) -> Any:
        """The point in the user's own form; a model's parameters are set to it."""


ReadOutputs: TypeAlias = Callable[[Any], Outputs]
"""Takes what the user's code returned, and gives the outputs or raises."""


class FunctionObjective:
    """A function of numbers, in a shape of the user's choice, made of operations of autograd_mini.

    start: a number, or nested lists, tuples or arrays of numbers; the function gets `Value`s in the same shape.
    """

    def __init__(
        self, where: str, function: Callable[[Any], Any], start: Any, read: ReadOutputs, name: str = "start"
    ) -> None:
        if not callable(function):
            raise TypeError(f"{where}: expected a function or a model, got {describe(function)}")
        self.start = flat_floats(start, where, name)
        if not self.start:
            raise ValueError(f"{where}: expected {name} to hold at least one number, got none")
        for number in self.start:
            if not math.isfinite(number):
                raise ValueError(f"{where}: expected {name} to be finite, got {number}")
        self._function, self._read = function, read
        self._like = _shaped(iter(self.start), start)  # a copy: the list may be changed by its owner

    def record(self, numbers: Sequence[float]) -> Recording:
        found: list[Recording] = []

        def record(inputs: list[Value]) -> float:
            found.append(Recording(list(inputs), self._read(self._function(_shaped(iter(inputs), self._like)))))
            return 0.0

        grad(record)(list(map(float, numbers)))  # inside of grad, so that derivatives that it takes itself are recorded
        return found[0]

    def settle(self, numbers: Sequence[float]) -> Any:
        return _shaped(map(float, numbers), self._like)


class ModelObjective:
    """What `combine` makes of a model's predictions and their targets, as a function of the parameters."""

    def __init__(
        self,
        where: str,
        model: Trainable,
        data: tuple[Any, Any],
        combine: Callable[[list[Any], list[Any]], Any],
        parameters: Module | Iterable[Value] | None,
        read: ReadOutputs,
    ) -> None:
        if not callable(model):
            raise TypeError(f"{where}: expected model to be callable, got {describe(model)}")
        self._samples, self._targets = read_data(where, *data)
        self._parameters = _check_parameters(where, model if parameters is None else parameters)
        self.start = [parameter.data for parameter in self._parameters]
        self._model, self._combine, self._read = model, combine, read

    def record(self, numbers: Sequence[float]) -> Recording:
        found: list[Recording] = []

        def record(_: Value) -> float:
            predictions = [self._model(sample) for sample in self._samples]
            found.append(Recording(self._parameters, self._read(self._combine(predictions, self._targets))))
            return 0.0

        self.settle(numbers)
        grad(record)(0.0)  # as in FunctionObjective
        return found[0]

    def settle(self, numbers: Sequence[float]) -> list[float]:
        floats = list(map(float, numbers))
        for parameter, number in zip(self._parameters, floats, strict=True):
            parameter.data = number
            parameter.grad = 0.0
        return floats


def hessian_vector_product(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The function (point, vector) -> H v, with H the Hessian of a function that returns one number.

    It is the gradient of ∇F · v (Pearlmutter, 1994), exact, and takes the time of a few gradients, where `hessian`
    takes one for each input. point: as for `grad`, a number or nested lists, tuples or arrays; vector: as many
    numbers, in that shape. The product has the shape of point. Raises TypeError or ValueError that names the argument.
    """
    where = "hessian_vector_product"

    def product(point: Any, vector: Any) -> Any:
        objective = FunctionObjective(where, function, point, one_output(where, "the function"), name="point")
        direction = flat_floats(vector, where, "vector")
        if len(direction) != len(objective.start):
            raise ValueError(
                f"{where}: expected vector to hold {plural(len(objective.start), 'number')}, got {len(direction)}"
            )
        return objective.settle(objective.record(objective.start).hessian_times(direction).tolist())

    return product


# What the user's code returns


def one_output(where: str, name: str) -> ReadOutputs:
    """Reads the result of a function that is to return one `Value`."""

    def read(result: Any) -> Outputs:
        result = without_arrays(result)
        if not isinstance(result, Value):
            raise TypeError(
                f"{where}: expected {name} to return one Value, made of those that it is given, got {describe(result)}"
            )
        return [result]

    return read


def many_outputs(where: str, name: str) -> ReadOutputs:
    """Reads the result of a function that is to return nested lists or arrays of `Value`s."""

    def read(result: Any) -> Outputs:
        outputs = list(_flat(result, f"{where}: expected {name} to return numbers"))
        if not any(isinstance(output, Value) for output in outputs):
            raise TypeError(
                f"{where}: expected {name} to return Values, made of those that it is given, got {describe(result)}"
            )
        return outputs

    return read


# Nested lists, tuples and arrays


def flat_floats(numbers: Any, where: str, name: str) -> list[float]:
    """The numbers of nested lists, tuples or arrays as floats, left to right. Raises TypeError for anything else."""
    return [float(number) for number in _flat(numbers, f"{where}: expected numbers in {name}")]


def _flat(numbers: Any, expected: str) -> Iterator[Value | float]:
    numbers = without_arrays(numbers)
    if isinstance(numbers, (list, tuple)):
        for number in numbers:
            yield from _flat(number, expected)
    else:
        yield as_number(numbers, expected)


def _shaped(numbers: Iterator[Any], like: Any) -> Any:
    """The next numbers in the shape of `like`: lists, tuples and arrays stay what they are."""
    if isinstance(like, list):
        return [_shaped(numbers, item) for item in like]
    if isinstance(like, tuple):
        return tuple(_shaped(numbers, item) for item in like)
    if np.ndim(like) == 0:
        return next(numbers)
    items = [next(numbers) for _ in range(np.size(like))]
    kind = float if all(isinstance(item, float) for item in items) else object
    return np.array(items, dtype=kind).reshape(np.shape(like))


# Models


def is_model(thing: object) -> bool:
    """Whether it has parameters(), as a `Module` has."""
    return callable(getattr(thing, "parameters", None))


def _check_parameters(where: str, parameters: Any) -> list[Value]:
    found = parameters.parameters() if is_model(parameters) else parameters
    if isinstance(found, Value) or not isinstance(found, Iterable):
        raise TypeError(f"{where}: expected parameters to be a module or a list of Values, got {describe(parameters)}")
    unique = list(dict.fromkeys(found))  # one that is shared counts once
    if not unique:
        raise ValueError(f"{where}: expected at least one parameter, got none")
    for parameter in unique:
        if not isinstance(parameter, Value):
            raise TypeError(f"{where}: expected parameters to be Values, got {describe(parameter)}")
        if not math.isfinite(parameter.data):
            raise ValueError(f"{where}: expected parameters to be finite, got {parameter.data}")
    return unique

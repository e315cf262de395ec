"""What a compiled graph says of NaN and infinity: the engine records the sample at fault once more, and finds it.

Array code keeps no track of single operations. What is looked at after a call is what it returns; where that is not
finite, halves of the batch are run until one sample is left, whose recording `find_anomaly` can search.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini.anomaly import Anomaly, AnomalyError, LineOf, described, first_anomaly
from autograd_mini.compiled.scalars import Group
from autograd_mini.graph import Node, pullback, topological_order
from autograd_mini.value import VALUE, Value, apply

Array: TypeAlias = NDArray[Any]

Run: TypeAlias = Callable[[Sequence[Array], int | None], list[Array]]
"""Computes all that is to be finite, from the arrays of the arguments, or of some samples, and the number of those."""

DOUBLE = np.dtype(np.float64)


def is_finite(numbers: Any) -> bool:
    """Whether all of these numbers are, however nested."""
    if isinstance(numbers, np.ndarray):
        return bool(np.isfinite(numbers).all())
    if isinstance(numbers, dict):
        numbers = list(numbers.values())
    if isinstance(numbers, (list, tuple)):
        is_flat = set(map(type, numbers)) == {float}  # as a gradient by many numbers is
        return (is_flat and math.isfinite(sum(numbers))) or all(map(is_finite, numbers))
    return math.isfinite(numbers)


class Recording:
    """A computation as it was recorded for one sample, which the engine can record again on the numbers of another.

    groups: the leaves of the arguments. order: every node that the outputs depend on, each after its operands.
    line_of: the user's own lines that recorded these nodes.
    """

    def __init__(
        self,
        outputs: Sequence[Any],
        groups: Iterable[tuple[Group, Sequence[Value]]],
        order: Sequence[Node],
        line_of: LineOf,
    ) -> None:
        self._outputs, self._order, self._line_of = outputs, order, line_of
        self._leaves = [
            (leaf, leaf.label or name)
            for group, leaves in groups
            for leaf, name in zip(leaves, _names(group), strict=True)
        ]

    def at(self, numbers: Sequence[float], dtype: np.dtype[Any]) -> "Sample":
        """The sample with these numbers in its leaves, every number being one of the dtype."""
        inputs = [Value(number, name) for number, (_, name) in zip(numbers, self._leaves, strict=True)]
        again = {id(leaf): each for each, (leaf, _) in zip(inputs, self._leaves, strict=True)}
        recorded: dict[int, Node] = {}
        with np.errstate(all="ignore"):
            for node in self._order:
                if id(node) not in again:
                    again[id(node)] = result = _recorded_again(node, again, dtype)
                    recorded[id(result)] = node

        def line_of(node: Node) -> str | None:
            return self._line_of(recorded[id(node)]) if id(node) in recorded else None

        return Sample([again[id(each)] if isinstance(each, Node) else each for each in self._outputs], inputs, line_of)


def _names(group: Group) -> Iterator[str]:
    """Of a group's leaves: w, or w[0], w[1], …"""
    for place in np.ndindex(group.shape):
        yield f"{group.name}[{', '.join(map(str, place))}]" if place else group.name


def _recorded_again(node: Node, again: dict[int, Value], dtype: np.dtype[Any]) -> Value:
    """What a node records of its operands' new ones."""

    def rounded(number: float) -> float:
        return float(dtype.type(number))

    if node.op is None:
        return Value(rounded(node._data), node.label)
    operands: list[Any] = [again[id(each)] if isinstance(each, Node) else rounded(each) for each in node.operands]
    result: Value = apply(node.op, *operands)
    result.label = node.label
    result._data = rounded(result._data)
    result._left_partial, result._right_partial = rounded(result._left_partial), rounded(result._right_partial)
    return result


class Sample:
    """A sample as the engine has recorded it."""

    def __init__(self, outputs: list[Any], inputs: list[Value], line_of: LineOf) -> None:
        self.values = [output for output in outputs if isinstance(output, Value)]
        self._inputs, self._line_of = inputs, line_of

    def find(self, wanted: Sequence[int], seed: float, largest: float) -> tuple[Anomaly, Value] | None:
        """The first anomaly of a value, or of its gradient by the leaves at these places, times the seed."""
        inputs = [self._inputs[place] for place in wanted]
        for value in self.values:
            anomaly = first_anomaly(topological_order(value), self._line_of, inputs, seed, largest)
            if anomaly is not None:
                return _unchanged(anomaly), value
        return None

    def find_second(self) -> str | None:
        """The first operation, results first, with a second derivative that is not finite: in words."""
        for node in reversed([node for value in self.values for node in topological_order(value)]):
            number = next((x for x in _second_derivatives(node) if not math.isfinite(x)), None)
            if number is not None:
                line = self._line_of(node)
                return f"{described(node)} has a second derivative of {number}{f', at {line}' if line else ''}"
        return None


def _unchanged(anomaly: Anomaly) -> Anomaly:
    """It was rounded, not changed."""
    cause = None if anomaly.cause is None else _unchanged(anomaly.cause)
    return replace(anomaly, was_changed=False, cause=cause)


def _second_derivatives(node: Node) -> Iterator[float]:
    if node.op is None:
        return
    numbers = [Value(operand if isinstance(operand, float) else operand._data) for operand in node.operands]
    result = apply(node.op, *numbers)
    variables = [each for each, operand in zip(numbers, node.operands, strict=True) if isinstance(operand, Node)]
    for partial, operand in zip(node.op.partials, node.operands, strict=True):
        slope = partial(VALUE, result, *numbers) if isinstance(operand, Node) else 0.0
        if isinstance(slope, Value):
            yield from pullback(slope, variables)


@dataclass(frozen=True)
class BadCall:
    """A call of a compiled graph that gave a number that is not finite."""

    method: str
    run: Run
    names: list[str]
    """What each of the arrays that it returns holds."""
    arrays: list[Array]
    batch: int | None
    recording: Recording
    wanted: list[int]
    """The leaves by which it is differentiated."""
    n_leaves: int
    """What stands behind them in the arrays is a vector."""
    seed: float
    dtype: np.dtype[Any]
    rounds: bool
    """Whether every operation is rounded to the dtype, not only what comes out."""
    is_second: bool
    """Whether it is of second derivatives."""

    def error(self) -> AnomalyError:
        """What is raised."""
        where = f"compiled, {self.method}"
        if self.batch is None:
            return self._error_of_sample(where, 0, 1)
        if is_finite(self.run(self.arrays, self.batch)):
            return AnomalyError(f"{where}: each of {self.batch} samples is finite, and their sum is not")
        first, end = self._narrowed(self.batch)
        if end - first > 1:
            return AnomalyError(
                f"{where}: the samples {first} to {end - 1} are finite one by one, and {self._bad(first, end)}"
            )
        return self._error_of_sample(f"{where}, in sample {first} of {self.batch} (from 0)", first, end)

    def _narrowed(self, batch: int) -> tuple[int, int]:
        """The first sample that is bad by itself; or the fewest that are bad only together."""
        first, end = 0, batch
        while end - first > 1:
            middle = (first + end) // 2
            if not is_finite(self._part(first, middle)):
                end = middle
            elif not is_finite(self._part(middle, end)):
                first = middle
            else:
                break
        return first, end

    def _part(self, first: int, end: int) -> list[Array]:
        """The numbers of these samples."""
        arrays = [array if array.ndim == 1 else np.ascontiguousarray(array[:, first:end]) for array in self.arrays]
        return self.run(arrays, None if self.batch is None else end - first)

    def _bad(self, first: int, end: int) -> str:
        """The first number of these samples that is not finite."""
        found = zip(self.names, self._part(first, end), strict=True)
        name, numbers = next((name, numbers) for name, numbers in found if not is_finite(numbers))
        return f"{name} is {numbers[~np.isfinite(numbers)][0]}"

    def _error_of_sample(self, where: str, first: int, end: int) -> AnomalyError:
        arrays = [array if array.ndim == 1 else array[:, first] for array in self.arrays]
        numbers, vector = np.split(np.concatenate(arrays), [self.n_leaves])
        single = self.dtype != DOUBLE
        tries = [(DOUBLE, sys.float_info.max, "")]
        if single:
            largest = float(np.finfo(self.dtype).max)
            tries.append(
                (self.dtype if self.rounds else DOUBLE, largest, f", in {self.dtype}; in float64 it is finite")
            )
        for dtype, largest, note in tries:
            sample = self.recording.at(numbers.tolist(), dtype)
            found = sample.find(self.wanted, self.seed, largest)
            if found is not None:
                anomaly, value = found
                return AnomalyError(f"{where}: {anomaly}{note}", anomaly, value)
        if not is_finite(vector):
            return AnomalyError(f"{where}: the vector is not finite")
        second = self.recording.at(numbers.tolist(), DOUBLE).find_second() if self.is_second else None
        if second is not None:
            return AnomalyError(f"{where}: {second}")
        why = f"{self.dtype} has no room for it" if single else "the engine, which adds up in another order, finds none"
        return AnomalyError(f"{where}: {self._bad(first, end)}; {why}")

"""The loss of a batch as a formula for one sample, whose mean over the samples is that loss.

`fit` is given a function of all predictions and targets of a batch. It is recorded for two samples and for three;
where both recordings are a sum of the same part for every sample, and of a part that is for none (a penalty on the
parameters), that part is the formula. A number in it that is another for three samples than for two has to follow a
power of their number, as the 1/S of a mean does.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add, mul
from typing import Any, TypeAlias, cast

import numpy as np

from autograd_mini import TABLE, NotTraceableError, Op, Value, apply, topological_order, trace
from nn.stand_ins import Column, StandIns, standing_in

Number: TypeAlias = Value | float
Loss: TypeAlias = Callable[[list[Any], list[Any]], Any]
"""A function of the predictions and the targets of a batch, a sample each."""

_SIZES = (2, 3)


# Predictions


class Layout:
    """The shape of a model's predictions: nested lists, tuples, dicts or arrays of `Value`s and of constants."""

    def __init__(self, prediction: Any) -> None:
        self._like = _map_values(lambda _: Value(0.0), prediction)

    def numbers(self, prediction: Any) -> list[Value]:
        """The `Value`s of a prediction, left to right."""
        found: list[Value] = []
        _map_values(found.append, prediction)
        return found

    def put(self, numbers: Sequence[Number]) -> Any:
        """A prediction with these in the places of its `Value`s."""
        rest = iter(numbers)
        return _map_values(lambda _: next(rest), self._like)


def _map_values(function: Callable[[Value], Any], thing: Any) -> Any:
    if isinstance(thing, Value):
        return function(thing)
    if isinstance(thing, (list, tuple)):
        return type(thing)([_map_values(function, each) for each in thing])
    if isinstance(thing, dict):
        return {key: _map_values(function, each) for key, each in thing.items()}
    if isinstance(thing, np.ndarray) and thing.dtype == object:
        array = np.empty(thing.shape, dtype=object)
        for place, each in np.ndenumerate(thing):
            array[place] = _map_values(function, each)
        return array
    return thing


# The formula


@dataclass(frozen=True)
class _Constant:
    """factor · Sᵖ, with S the number of samples."""

    factor: float
    power: int = 0

    def at(self, size: Any) -> Any:
        """The number, for S of them."""
        if self.power == 0:
            return self.factor
        scale = reduce(mul, [size] * abs(self.power))
        return self.factor * scale if self.power > 0 else self.factor / scale


@dataclass(frozen=True)
class _Leaf:
    """A number that a prediction holds, by its place; a column; or a parameter."""

    of: int | Column | Value


@dataclass(frozen=True)
class _Step:
    op: Op
    operands: tuple[int, ...]


@dataclass
class Formula:
    """The loss of one sample: called on the `Value`s of its prediction, its columns and S, it records that loss."""

    columns: dict[Column, int] = field(default_factory=dict)
    """The numbers of a sample besides its prediction, each with its place in the list that it takes."""
    needs_size: bool = False
    """Whether S makes a difference."""
    output: int = 0
    """Where the loss stands."""
    _cells: list[_Constant | _Leaf | _Step] = field(default_factory=list)

    def append(self, cell: _Constant | _Leaf | _Step) -> int:
        """Add what is computed next; returns where its number stands."""
        if isinstance(cell, _Leaf) and isinstance(cell.of, Column):
            self.columns.setdefault(cell.of, len(self.columns))
        self.needs_size |= isinstance(cell, _Constant) and cell.power != 0
        self._cells.append(cell)
        return len(self._cells) - 1

    def apply(self, op: Op, operands: tuple[int, ...]) -> int:
        """Add an operation; none where it would be one by 1, as S · 1/S is, or with 0, as Python's sum() begins."""
        neutral = {"mul": _Constant(1.0), "add": _Constant(0.0)}.get(op.name)
        for operand, other in (operands, operands[::-1]) if neutral else ():
            if self._cells[operand] == neutral:
                return other
        return self.append(_Step(op, operands))

    def __call__(self, prediction: Sequence[Number], columns: Sequence[Number], size: Number) -> Number:
        numbers: list[Any] = []
        for cell in self._cells:
            if isinstance(cell, _Step):
                numbers.append(apply(cell.op, *[numbers[place] for place in cell.operands]))
            elif isinstance(cell, _Constant):
                numbers.append(cell.at(size))
            elif isinstance(cell.of, Column):
                numbers.append(columns[self.columns[cell.of]])
            else:
                numbers.append(cell.of if isinstance(cell.of, Value) else prediction[cell.of])
        return cast(Number, numbers[self.output])


def find_formula(
    loss: Loss, layout: Layout, predictions: list[list[float]], targets: list[Any], parameters: list[Value]
) -> Formula:
    """The formula of a loss, read from what it does with three samples.

    predictions: the numbers in the places of the `Value`s of three predictions. targets: of those three samples.

    Raises NotTraceableError where the loss looks at numbers in Python, and where it is not a sum over samples.
    """
    recordings = [_record(loss, layout, predictions[:size], targets[:size], parameters) for size in _SIZES]
    split = [_split(recording) for recording in recordings]
    constants: dict[Value, float] = {}
    leaves: dict[Value, _Leaf] = {}
    for recording in recordings:
        leaves |= recording.leaves
        constants |= {node: node.data for node, of in recording.sample_of.items() if of == _NO_LEAF}
    formula = Formula()
    align = _Alignment(leaves, constants, formula)
    part = align([part for parts, _ in split for part in parts], [size for size in _SIZES for _ in range(size)])
    rest = align([rest for _, rest in split], _SIZES)
    formula.output = formula.apply(TABLE["add"], (part, rest))
    return formula


# Recording


_NO_LEAF, _NO_SAMPLE, _MANY = -2, -1, 1 << 30
"""What a node depends on where that is not one sample: constants only, parameters too, several samples."""


@dataclass
class _Recording:
    """The loss of some samples."""

    output: Value
    leaves: dict[Value, _Leaf]
    """What stands for something; other leaves are constants."""
    sample_of: dict[Value, int]
    """The sample that each node depends on."""


def _record(
    loss: Loss, layout: Layout, predictions: list[list[float]], targets: list[Any], parameters: list[Value]
) -> _Recording:
    leaves: dict[Value, _Leaf] = {}
    sample_of: dict[Value, int] = {}

    def run(predicted: list[list[Value]], wanted: list[Any]) -> Any:
        stand_ins = [
            StandIns(dict(zip(_flat(target), _flat(numbers), strict=True)))
            for target, numbers in zip(wanted, targets, strict=True)
        ]
        with standing_in(stand_ins):
            output = loss([layout.put(numbers) for numbers in predicted], wanted)
        for sample, (numbers, stand_in) in enumerate(zip(predicted, stand_ins, strict=True)):
            for place, leaf in enumerate(numbers):
                leaves[leaf] = _Leaf(place)
                sample_of[leaf] = sample
            for leaf, column in stand_in.columns.items():
                leaves[leaf] = _Leaf(column)
                sample_of[leaf] = sample
        return output

    output, _ = trace(run, predictions, targets, parameters=parameters)
    if not isinstance(output, Value):
        raise NotTraceableError("fit: expected a loss that depends on the predictions, got a plain number")
    known = set(parameters)
    for node in _nodes(output):
        if node in known:
            leaves[node] = _Leaf(node)
            sample_of[node] = _NO_SAMPLE
        elif node not in sample_of:
            sample_of[node] = _common([sample_of[parent] for parent in node.parents])
    return _Recording(output, leaves, sample_of)


def _flat(target: Any) -> list[Any]:
    return target if isinstance(target, list) else [target]


def _nodes(output: Value) -> list[Value]:
    return topological_order(output)  # type: ignore[return-value]  # a graph of a Value is made of Values


def _common(samples: list[int]) -> int:
    """What a result depends on, given what its operands do."""
    found = {sample for sample in samples if sample >= 0}
    return _MANY if len(found) > 1 else max(samples, default=_NO_LEAF)


# Splitting


def _split(recording: _Recording) -> tuple[list[Number], Number]:
    """The part of every sample, times S, and the part of none: their mean and this together are the loss.

    From the loss back to where the samples part, everything has to be linear; a term's coefficient is then what a
    backward pass brings to it.
    """
    size = max(recording.sample_of[leaf] for leaf in recording.leaves) + 1
    terms: list[list[tuple[Number, Value]]] = [[] for _ in range(size)]
    rest: list[Number] = []
    coefficients: dict[Value, Number] = {recording.output: 1.0}

    def give(operand: Number, coefficient: Number) -> None:
        if isinstance(operand, Value):
            before = coefficients.get(operand)
            coefficients[operand] = coefficient if before is None else before + coefficient
        else:
            rest.append(coefficient * operand)

    for node in reversed(_nodes(recording.output)):
        coefficient = coefficients.pop(node, None)
        if coefficient is None:
            continue
        sample = recording.sample_of[node]
        if sample == _MANY or (sample >= 0 and _is_sum(node)):
            _spread(node, coefficient, recording, give)
        elif sample >= 0:
            terms[sample].append((size * coefficient, node))
        else:
            rest.append(coefficient * _number(node, recording))
    if not all(terms):
        raise _no_sum()
    # How many constants there are may depend on S, so that they are one.
    constant = sum(number for number in rest if not isinstance(number, Value))
    return [_weighted_sum(each) for each in terms], reduce(add, [n for n in rest if isinstance(n, Value)], constant)


def _is_sum(node: Value) -> bool:
    """Also within a sample: which additions are, depends on where the brackets of the whole sum are."""
    return node.op in (TABLE["add"], TABLE["sub"])


def _weighted_sum(terms: list[tuple[Number, Value]]) -> Number:
    coefficients = {coefficient for coefficient, _ in terms}
    if len(coefficients) == 1:
        return coefficients.pop() * reduce(add, [node for _, node in terms])
    return reduce(add, [coefficient * node for coefficient, node in terms])


def _spread(node: Value, coefficient: Number, recording: _Recording, give: Callable[[Number, Number], None]) -> None:
    """Give each operand of a linear operation its coefficient."""
    operands = cast("tuple[Number, ...]", node.operands)
    name = cast(Op, node.op).name
    if name in ("add", "sub"):
        give(operands[0], coefficient)
        give(operands[1], coefficient if name == "add" else -coefficient)
    elif name == "neg":
        give(operands[0], -coefficient)
    elif name == "mul" and not _is_of_samples(operands[1], recording):
        give(operands[0], coefficient * _number(operands[1], recording))
    elif name == "mul" and not _is_of_samples(operands[0], recording):
        give(operands[1], coefficient * _number(operands[0], recording))
    elif name == "div" and not _is_of_samples(operands[1], recording):
        give(operands[0], coefficient / _number(operands[1], recording))
    else:
        raise _no_sum()


def _is_of_samples(operand: Number, recording: _Recording) -> bool:
    return isinstance(operand, Value) and recording.sample_of[operand] >= 0


def _number(operand: Number, recording: _Recording) -> Number:
    """A plain number where nothing can change it."""
    return operand.data if isinstance(operand, Value) and recording.sample_of[operand] == _NO_LEAF else operand


def _no_sum() -> NotTraceableError:
    return NotTraceableError("fit: the loss is not a sum over samples")


# Aligning


class _Alignment:
    """Reads recordings of the same formula side by side."""

    def __init__(self, leaves: dict[Value, _Leaf], constants: dict[Value, float], formula: Formula) -> None:
        self._leaves, self._constants, self._formula = leaves, constants, formula
        self._places: dict[tuple[Number, ...], int] = {}

    def __call__(self, outputs: Sequence[Number], sizes: Sequence[int]) -> int:
        """Add what led to these, which has to be the same, to the formula; sizes: how many samples each is for."""
        stack = [tuple(outputs)]
        while stack:
            nodes = stack[-1]
            if nodes in self._places:
                stack.pop()
                continue
            op = self._op(nodes[0])
            if any(self._op(node) is not op for node in nodes):
                raise _no_sum()
            if op is None:
                self._places[nodes] = self._formula.append(self._leaf(nodes, sizes))
                continue
            operands = list(zip(*[cast(Value, node).operands for node in nodes], strict=True))
            waiting = [each for each in operands if each not in self._places]
            if waiting:
                stack += reversed(waiting)
                continue
            self._places[nodes] = self._formula.apply(op, tuple(self._places[each] for each in operands))
        return self._places[tuple(outputs)]

    def _op(self, node: Number) -> Op | None:
        return None if not isinstance(node, Value) or node in self._constants else node.op

    def _leaf(self, nodes: tuple[Number, ...], sizes: Sequence[int]) -> _Constant | _Leaf:
        found = {self._leaves[node] if isinstance(node, Value) and node in self._leaves else None for node in nodes}
        if len(found) > 1:
            raise _no_sum()
        leaf = found.pop()
        if leaf is not None:
            return leaf
        numbers = [self._constants[node] if isinstance(node, Value) else node for node in nodes]
        for power in (0, -1, 1, -2, 2):
            constant = _Constant(numbers[0] / sizes[0] ** power, power)
            if all(math.isclose(constant.at(size), n, rel_tol=1e-12) for size, n in zip(sizes, numbers, strict=True)):
                return constant
        raise _no_sum()

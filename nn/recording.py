"""`Recording`: a computation with `Value`s, and its first and second derivatives as arrays."""

from collections.abc import Iterable
from functools import reduce
from operator import add, mul
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from autograd_mini import Op, Value, apply, grad, topological_order

Array: TypeAlias = NDArray[np.float64]
Outputs: TypeAlias = list[Value | float]


class Recording:
    """An objective recorded at one point: its outputs, and their derivatives by the inputs.

    The `grad` of the inputs serves as working space and is 0 afterwards; that of every other `Value` stays as it is.
    """

    def __init__(self, inputs: list[Value], outputs: Outputs) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.point = [number.data for number in inputs]  # a model's parameters move on
        self.numbers: Array = np.array([float(output) for output in outputs])
        self._gradient_by: tuple[list[Value], Outputs] | None = None

    def gradient(self) -> Array:
        """The gradient of the first output, one number an input."""
        return _derivatives(self.outputs[0], self.inputs)

    def jacobian(self) -> Array:
        """The gradient of every output as a row, by a backward pass each."""
        return np.array([_derivatives(output, self.inputs) for output in self.outputs])

    def hessian_times(self, vector: Iterable[float]) -> Array:
        """H v of the first output, exact: the gradient of the number ∇F · v.

        ∇F is recorded at the first call; from then on, each product is one backward pass through that recording.
        """
        if self._gradient_by is None:
            inputs = [Value(number) for number in self.point]
            self._gradient_by = inputs, grad(self._again)(inputs)
        inputs, gradient = self._gradient_by
        return _derivatives(reduce(add, map(mul, gradient, map(float, vector))), inputs)

    def _again(self, inputs: list[Value]) -> Value | float:
        """The operations that led from the inputs to the first output, run again on other numbers.

        That makes a function of what was recorded, also where the inputs were a model's parameters, which no function
        takes as arguments. Numbers that do not depend on the inputs are constants here.
        """
        output = self.outputs[0]
        if not isinstance(output, Value):
            return output
        again: dict[Any, Any] = dict(zip(self.inputs, inputs, strict=True))
        for node in _nodes(output):
            operands: tuple[Any, ...] = node.operands
            if any(operand in again for operand in operands):
                again[node] = apply(cast(Op, node.op), *[again.get(each, float(each)) for each in operands])
        result: Value | float = again.get(output, output.data)
        return result


def _nodes(output: Value) -> list[Value]:
    """Every `Value` that output depends on, each after its operands."""
    return topological_order(output)  # type: ignore[return-value]  # a graph of a Value is made of Values


def _derivatives(output: Value | float, inputs: list[Value]) -> Array:
    if not isinstance(output, Value):
        return np.zeros(len(inputs))
    wanted = set(inputs)
    others = [node for node in _nodes(output) if node.op is None and node not in wanted]
    held = [(other, other.grad) for other in others]  # backward() adds to every leaf
    for number in inputs:
        number.grad = 0.0
    try:
        output.backward()
        return np.array([number.grad for number in inputs])
    finally:
        for other, before in held:
            other.grad = before
        for number in inputs:
            number.grad = 0.0

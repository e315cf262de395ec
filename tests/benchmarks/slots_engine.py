"""The peer to beat: a `Value` with slots and tuples of children and local gradients, as in Karpathy's microgpt."""

import math
from collections.abc import Sequence
from typing import Any


class Value:
    """A number with its children and the local gradients by them."""

    __slots__ = ("_children", "_local_grads", "data", "grad")

    def __init__(self, data: float, children: tuple[Any, ...] = (), local_grads: tuple[float, ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other: "Value | float") -> "Value":
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other: "Value | float") -> "Value":
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, other: float) -> "Value":
        return Value(self.data**other, (self,), (other * self.data ** (other - 1),))

    def tanh(self) -> "Value":
        """The hyperbolic tangent."""
        t = math.tanh(self.data)
        return Value(t, (self,), (1 - t * t,))

    def relu(self) -> "Value":
        """x where it is positive, else 0."""
        return Value(max(0.0, self.data), (self,), (float(self.data > 0),))

    def sin(self) -> "Value":
        """The sine."""
        return Value(math.sin(self.data), (self,), (math.cos(self.data),))

    def exp(self) -> "Value":
        """e to the power."""
        e = math.exp(self.data)
        return Value(e, (self,), (e,))

    def log(self) -> "Value":
        """The natural logarithm."""
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def __neg__(self) -> "Value":
        return self * -1

    def __radd__(self, other: "Value | float") -> "Value":
        return self + other

    def __sub__(self, other: "Value | float") -> "Value":
        return self + (-other)

    def __rmul__(self, other: "Value | float") -> "Value":
        return self * other

    def __truediv__(self, other: "Value | float") -> "Value":
        return self * other**-1

    def backward(self) -> None:
        """Backpropagate, building the order by recursion."""
        topo: list[Value] = []
        visited = set()

        def build_topo(v: Value) -> None:
            if v not in visited:
                visited.add(v)
                for child in v._children:
                    build_topo(child)
                topo.append(v)

        build_topo(self)
        self.grad = 1.0
        for v in reversed(topo):
            for child, local_grad in zip(v._children, v._local_grads, strict=True):
                child.grad += local_grad * v.grad


def logsumexp(values: Sequence[Value]) -> Value:
    """As microgpt's softmax: with the largest taken off."""
    largest = max(value.data for value in values)
    exponentials = [(value + -largest).exp() for value in values]
    return sum(exponentials[1:], exponentials[0]).log() + largest

"""Optimizers: how parameters are changed once their gradients are known."""

import math
from collections.abc import Iterable
from typing import Protocol

from autograd_mini import Value
from nn.checks import as_number, describe


class Optimizer(Protocol):
    """What `fit` needs of an optimizer."""

    def step(self, parameters: Iterable[Value], /) -> None:
        """Change the parameters, given their gradients."""


class SGD:
    """Gradient descent: w := w − λ D_w R (Gill & Gill, steps GD3 and DL7), λ being `learning_rate`.

    The rate may be changed between steps. Raises ValueError if it is negative, infinite or NaN, TypeError if it is
    not a number; 0 is allowed, and changes nothing.
    """

    def __init__(self, learning_rate: float = 0.01) -> None:
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> float:
        """λ, the length of a step as a multiple of the gradient."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        rate = float(as_number(learning_rate, "SGD: expected learning_rate to be a number"))
        if rate < 0 or not math.isfinite(rate):
            raise ValueError(f"SGD: expected learning_rate to be a finite number of 0 or more, got {rate}")
        self._learning_rate = rate

    def step(self, parameters: Iterable[Value], /) -> None:
        """Move each parameter against its gradient. Raises TypeError if they are no list, a model for instance."""
        if not isinstance(parameters, Iterable):
            raise TypeError(f"SGD: expected parameters, as in step(model.parameters()), got {describe(parameters)}")
        rate = self._learning_rate
        for parameter in parameters:
            parameter.data -= rate * parameter.grad

    def __repr__(self) -> str:
        return f"SGD({self._learning_rate})"

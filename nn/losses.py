"""Losses: how far predictions are from their targets, as one number."""

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, overload

from numpy.typing import ArrayLike

from autograd_mini import Value
from nn.checks import as_number, without_arrays


@overload
def mse_loss(
    predictions: Value | Sequence[Value] | Sequence[Sequence[Value]], targets: Value | ArrayLike | Sequence[Any]
) -> Value: ...
@overload
def mse_loss(predictions: ArrayLike, targets: ArrayLike) -> float: ...
def mse_loss(predictions: Any, targets: Any) -> Value | float:
    """The mean of the squared differences, over all numbers: (1/S) Σ (ŷₛ − yₛ)² for S samples of one output.

    predictions: a `Value`, a list of them (a sample each), or a list of lists (an output each); plain numbers give
    a float. targets: numbers in the same shape, lists or arrays.

    With one output this is the L² loss of Gill & Gill, section 3.1, and (1/m) ‖A − Y‖²_F of matrix-calculus. With k
    outputs it is that norm divided by k as well, as in PyTorch, so that the number of outputs does not scale it.

    Raises ValueError if there are no predictions or the shapes differ, TypeError for what is not a number.
    """
    predicted: list[Value | float] = []
    wanted: list[Value | float] = []
    shape = _flatten(predictions, "predictions", predicted)
    targets_shape = _flatten(targets, "targets", wanted)
    if not predicted:
        raise ValueError("mse_loss: expected at least one prediction, got none")
    if shape != targets_shape:
        raise ValueError(f"mse_loss: expected targets of shape {shape}, as the predictions have, got {targets_shape}")
    mean = reduce(add, map(_squared_difference, predicted, wanted)) / len(predicted)
    if isinstance(mean, Value):
        mean.label = "loss"
    return mean


def _squared_difference(prediction: Value | float, target: Value | float) -> Value | float:
    difference = prediction - target
    return difference * difference  # a plain float to the power 2 would raise where this is inf


def _flatten(numbers: Any, name: str, flat: list[Value | float]) -> tuple[int, ...]:
    """Append the numbers of nested lists to `flat`, and return their shape."""
    numbers = without_arrays(numbers)
    if not isinstance(numbers, (list, tuple)):
        flat.append(as_number(numbers, f"mse_loss: expected numbers in {name}"))
        return ()
    shapes = [_flatten(row, name, flat) for row in numbers]
    for place, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"mse_loss: expected rows of equal length in {name}, got shape {shapes[0]} first and {shape} at {place}"
            )
    return (len(shapes), *(shapes[0] if shapes else ()))

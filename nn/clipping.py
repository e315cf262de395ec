"""Gradient clipping: gradients cut to a length or an interval, so that one steep place cannot throw a run off."""

import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini import Value
from nn.checks import describe
from nn.settings import positive

Array: TypeAlias = NDArray[np.floating[Any]]
"""Numbers side by side: those of the parameters, or their gradients."""

PART = 2**13
"""How many squares are summed at once: too few for threads, which would make the sum depend on their number."""


def clip_grad_norm(parameters: Iterable[Value], max_norm: float, norm_type: float = 2.0) -> float:
    """Scale all gradients by max_norm / (‖g‖ + 1e-6) where that is below 1, and return ‖g‖ as it was before.

    ‖g‖ is the p-norm, p = norm_type, of all gradients taken as one vector; math.inf for the largest of them. With
    max_norm=math.inf it is measured only. The formula is that of PyTorch's clip_grad_norm_ (Pascanu et al., 2013,
    algorithm 1, without the 1e-6). Numbers follow IEEE 754, as there: a NaN among the gradients makes all of them
    NaN; an infinite one becomes NaN and the finite ones 0.

    Raises TypeError for what is no list of parameters, ValueError if max_norm or norm_type is not above 0.
    """
    max_norm = positive(max_norm, "clip_grad_norm: expected max_norm")
    norm_type = positive(norm_type, "clip_grad_norm: expected norm_type")
    found, gradients = parameters_and_gradients(parameters, "clip_grad_norm")
    array = np.array(gradients, dtype=np.float64)
    with np.errstate(all="ignore"):
        norm = _norm(array, norm_type)
        _write(found, _scaled(array, norm, max_norm, out=array))
    return norm


def clip_grad_value(parameters: Iterable[Value], clip_value: float) -> None:
    """Move every gradient outside of −clip_value … clip_value to the nearer end; NaN stays. PyTorch's clip_grad_value_.

    Raises TypeError for what is no list of parameters, ValueError if clip_value is not above 0.
    """
    clip_value = positive(clip_value, "clip_grad_value: expected clip_value")
    found, gradients = parameters_and_gradients(parameters, "clip_grad_value")
    array = np.array(gradients, dtype=np.float64)
    _write(found, clipped_by_value(array, clip_value, out=array))


def parameters_and_gradients(parameters: object, where: str) -> tuple[list[Value], list[float]]:
    """Each parameter once, in order, and their gradients. Raises TypeError for anything but a list of `Value`s."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{where}: expected parameters, as in model.parameters(), got {describe(parameters)}")
    try:
        found = list(dict.fromkeys(parameters))
        return found, [parameter.grad for parameter in found]
    except (AttributeError, TypeError):  # no gradient, or nothing that can be told apart
        raise TypeError(f"{where}: expected parameters to be a list of Values, got {describe(parameters)}") from None


def clipped_by_norm(gradients: Array, max_norm: float, out: Array) -> Array:
    """What `clip_grad_norm` does, on an array: the gradients themselves, or `out` with the smaller ones in it."""
    return _scaled(gradients, _norm(gradients, 2.0), max_norm, out)


def clipped_by_value(gradients: Array, limit: float, out: Array) -> Array:
    """What `clip_grad_value` does, on an array, in `out`."""
    return np.clip(gradients, -limit, limit, out=out)


def _scaled(gradients: Array, norm: float, max_norm: float, out: Array) -> Array:
    factor = max_norm / (norm + 1e-6)
    return gradients if factor >= 1 else np.multiply(gradients, factor, out=out)


def _norm(gradients: Array, norm_type: float) -> float:
    if norm_type == 2:
        parts = [gradients[start : start + PART] for start in range(0, len(gradients), PART)]
        total = sum(float(np.dot(part, part)) for part in parts)
        if 1e-30 < total < math.inf:  # nothing that matters was lost below the smallest float, of 32 bits too
            return math.sqrt(total)
    if not len(gradients):
        return 0.0
    sizes = np.abs(gradients, dtype=np.float64)
    largest = float(sizes.max())
    if not 0 < largest < math.inf:  # NaN too
        return largest
    # Measured by the largest, so that no power of a huge gradient overflows and none of a tiny one is lost.
    return largest * float(np.linalg.norm(sizes / largest, norm_type))


def _write(parameters: list[Value], gradients: Array) -> None:
    for parameter, gradient in zip(parameters, gradients.tolist(), strict=True):
        parameter.grad = gradient

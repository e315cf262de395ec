"""Gradient clipping: gradients cut to a length or an interval, so that one steep place cannot throw a run off."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from autograd_mini import Value
from nn.checks import describe
from nn.settings import positive


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
    norm = _norm(gradients, norm_type)
    _write(found, _scaled(gradients, norm, max_norm))
    return norm


def clip_grad_value(parameters: Iterable[Value], clip_value: float) -> None:
    """Move every gradient outside of −clip_value … clip_value to the nearer end; NaN stays. PyTorch's clip_grad_value_.

    Raises TypeError for what is no list of parameters, ValueError if clip_value is not above 0.
    """
    clip_value = positive(clip_value, "clip_grad_value: expected clip_value")
    found, gradients = parameters_and_gradients(parameters, "clip_grad_value")
    _write(found, clipped_by_value(gradients, clip_value))


def parameters_and_gradients(parameters: object, where: str) -> tuple[list[Value], list[float]]:
    """Each parameter once, in order, and their gradients. Raises TypeError for anything but a list of `Value`s."""
    if not isinstance(parameters, Iterable):
        raise TypeError(f"{where}: expected parameters, as in model.parameters(), got {describe(parameters)}")
    try:
        found = list(dict.fromkeys(parameters))
        return found, [parameter.grad for parameter in found]
    except (AttributeError, TypeError):  # no gradient, or nothing that can be told apart
        raise TypeError(f"{where}: expected parameters to be a list of Values, got {describe(parameters)}") from None


def clipped_by_norm(gradients: list[float], max_norm: float) -> list[float]:
    """What `clip_grad_norm` does, on plain numbers."""
    return _scaled(gradients, _norm(gradients, 2.0), max_norm)


def clipped_by_value(gradients: list[float], limit: float) -> list[float]:
    """What `clip_grad_value` does, on plain numbers."""
    return [limit if gradient > limit else -limit if gradient < -limit else gradient for gradient in gradients]


def _scaled(gradients: list[float], norm: float, max_norm: float) -> list[float]:
    factor = max_norm / (norm + 1e-6)
    return gradients if factor >= 1 else [gradient * factor for gradient in gradients]


def _norm(gradients: Sequence[float], norm_type: float) -> float:
    if not gradients:
        return 0.0
    sizes = np.abs(gradients)
    largest = float(sizes.max())
    if not 0 < largest < math.inf:  # NaN too
        return largest
    # Measured by the largest, so that no power of a huge gradient overflows and none of a tiny one is lost.
    return largest * float(np.linalg.norm(sizes / largest, norm_type))


def _write(parameters: list[Value], gradients: list[float]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient

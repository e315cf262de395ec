"""Initial weights and biases: drawn or constant by name, or given as arrays."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nn.checks import describe, plural

Seed: TypeAlias = int | np.random.Generator | None

Pair: TypeAlias = tuple[ArrayLike, ArrayLike | None]
"""Given initial values: weights and bias (or biases), None in the place of the latter for bias=False."""

Numbers: TypeAlias = NDArray[np.float64]

_RELU_LIKE = ("relu", "leaky_relu", "gelu", "softplus")
"""Activations that pass about half of their inputs on, which is what "he" makes up for."""

_INITS = ("he", "xavier", "uniform", "ones", "zeros")


def initial_values(
    where: str, init: str | Pair | None, shape: tuple[int, ...], bias: bool, activation: object, seed: Seed
) -> tuple[Numbers, Numbers | None]:
    """Weights of that shape, and a bias for each row (a shape with one length is a single row)."""
    if init is not None and not isinstance(init, str):
        return _given_values(where, "init", init, shape, bias)
    if init is None:
        init = "he" if activation in _RELU_LIKE else "xavier"
    _check_init_name(where, init)
    return _drawn_weights(init, shape, random_numbers(where, seed)), np.zeros(shape[:-1]) if bias else None


def _drawn_weights(init: str, shape: tuple[int, ...], random: np.random.Generator) -> Numbers:
    n_inputs, n_outputs = shape[-1], math.prod(shape[:-1])
    if init == "he":  # He et al., 2015: keeps the variance of a relu network level from layer to layer
        return random.normal(0.0, math.sqrt(2 / n_inputs), shape)
    if init == "xavier":  # Glorot & Bengio, 2010, equation 16
        bound = math.sqrt(6 / (n_inputs + n_outputs))
        return random.uniform(-bound, bound, shape)
    if init == "uniform":
        return random.uniform(-1.0, 1.0, shape)
    return np.full(shape, 1.0 if init == "ones" else 0.0)


def layer_inits(
    init: str | Sequence[Pair] | None, shapes: list[tuple[int, int]], bias: bool
) -> list[str | Pair | None]:
    """The `init` of each layer, with given values checked here, so that the message names their place."""
    if init is None or isinstance(init, str):
        if init is not None:
            _check_init_name("MLP", init)
        return [init] * len(shapes)
    if not isinstance(init, (list, tuple)):
        raise TypeError(f"MLP: expected init to be a name or a list of pairs (W, B), got {describe(init)}")
    if len(init) != len(shapes):
        raise ValueError(f"MLP: expected init to hold {plural(len(shapes), 'pair')} (W, B), got {len(init)}")
    return [_given_values("MLP", f"init[{i}]", init[i], shape, bias) for i, shape in enumerate(shapes)]


def _check_init_name(where: str, init: str) -> None:
    if init not in _INITS:
        raise ValueError(f"{where}: expected init to be one of {', '.join(_INITS)} or arrays, got {init!r}")


def _given_values(
    where: str, name: str, pair: object, shape: tuple[int, ...], bias: bool
) -> tuple[Numbers, Numbers | None]:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise TypeError(f"{where}: expected {name} to be a pair of weights and bias, got {describe(pair)}")
    weights, biases = pair
    numbers = _given_array(where, f"{name}[0]", weights, shape)
    if bias:
        return numbers, _given_array(where, f"{name}[1]", biases, shape[:-1])
    if biases is not None:
        raise ValueError(f"{where}: expected {name}[1] to be None with bias=False, got {describe(biases)}")
    return numbers, None


def _given_array(where: str, name: str, numbers: ArrayLike | None, shape: tuple[int, ...]) -> Numbers:
    try:
        array = np.asarray(numbers)
    except ValueError:
        raise ValueError(f"{where}: expected {name} of shape {shape}, got rows of unequal length") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{where}: expected {name} to hold numbers, got {describe(numbers)}")
    if array.shape != shape:
        raise ValueError(f"{where}: expected {name} of shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: expected {name} to hold finite numbers, got {describe(numbers)}")
    return array.astype(float)


def random_numbers(where: str, seed: Seed) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}: expected seed to be an int of 0 or more, or None, got {describe(seed)}") from None

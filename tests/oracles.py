"""The matrix formulas of the sources, written in NumPy straight from their documents: they know nothing of the engine.

Weights are arrays of shape (n_out, n_in), biases of shape (n_out,), as in Gill & Gill, unless it says otherwise.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[[Array], Array]


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _tail_product(z: Array) -> Array:
    """σ(z)(1 − σ(z)), with 1 − σ(z) = σ(−z): the difference itself would lose digits in the right tail."""
    return _sigmoid(z) * _sigmoid(-z)


ACTIVATIONS: dict[str | None, tuple[Function, Function]] = {
    None: (lambda z: z, np.ones_like),
    "relu": (lambda z: np.where(z >= 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sigmoid": (_sigmoid, _tail_product),
    "softplus": (lambda z: np.logaddexp(0.0, z), _sigmoid),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
}
"""Each activation a and its derivative a′."""


def forward(
    weights: list[Array], biases: list[Array], x: Array, hidden: str | None, output: str | None = None
) -> tuple[list[Array], list[Array]]:
    """Gill & Gill, section 5.1: Z¹ … Zᴸ and A⁰ = x, A¹ … Aᴸ, for Zˡ⁺¹ = WˡAˡ + Bˡ."""
    pre_activations: list[Array] = []
    activations = [x]
    for place, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        a, _ = ACTIVATIONS[output if place == len(weights) - 1 else hidden]
        pre_activations.append(weight @ activations[-1] + bias)
        activations.append(a(pre_activations[-1]))
    return pre_activations, activations


def back_propagate(
    weights: list[Array], biases: list[Array], x: Array, hidden: str | None
) -> tuple[list[Array], list[Array]]:
    """Gill & Gill, BP1 and BP2: D_{Wˡ}ŷ and D_{Bˡ}ŷ of a network with one linear output.

    D_{Wˡ}ŷ has entry (i, j) = D_{w_ji}ŷ: it is the transpose of Wˡ in shape, (n_in, n_out).
    """
    pre_activations, activations = forward(weights, biases, x, hidden)
    _, derivative = ACTIVATIONS[hidden]
    by_weights: list[Array] = []
    by_biases: list[Array] = []
    by_z = np.ones((1, 1))  # BP1, a row vector
    for l in reversed(range(len(weights))):  # noqa: E741  # the paper's letter
        n_out, n_in = weights[l].shape
        repeated_columns = np.tile(activations[l].reshape(-1, 1), (1, n_out))
        repeated_rows = np.tile(by_z, (n_in, 1))
        by_weights.insert(0, repeated_columns * repeated_rows)
        by_biases.insert(0, by_z[0])
        if l > 0:
            by_a = by_z @ weights[l]
            by_z = by_a * derivative(pre_activations[l - 1]).reshape(1, -1)
    return by_weights, by_biases


def delta_recursion(
    weights: list[Array],
    biases: list[Array],
    x: Array,
    y: Array,
    hidden: str | None,
    output: str | None,
    *,
    with_the_slip: bool = False,
) -> tuple[list[Array], list[Array]]:
    """linear-regression-to-deep-nets: ∂C/∂w and ∂C/∂b of C = Σ (a⁽ᴸ⁾ − y)², for one sample.

    The document prints δ^(L−1) with σ′(z^(L)); its general formula, and the mathematics, have σ′(z^(L−1)).
    with_the_slip=True gives the printed one, for networks in which the two have the same shape.
    """
    pre_activations, activations = forward(weights, biases, x, hidden, output)
    delta = 2 * (activations[-1] - y) * ACTIVATIONS[output][1](pre_activations[-1])
    deltas = [delta]
    for place in reversed(range(len(weights) - 1)):
        z = pre_activations[place + 1 if with_the_slip and place == len(weights) - 2 else place]
        delta = (weights[place + 1].T @ delta) * ACTIVATIONS[hidden][1](z)
        deltas.insert(0, delta)
    by_weights = [np.outer(delta, a) for delta, a in zip(deltas, activations, strict=False)]
    return by_weights, deltas


def matrix_calculus(
    weights: list[Array], samples: Array, targets: Array, hidden: str | None, output: str | None
) -> tuple[float, list[Array]]:
    """matrix-calculus: f = (1/m) ‖A − Y‖²_F and df/dW of each layer, without biases.

    Rows are samples. Weights are columns here, W of shape (n_in, n_out), for Z = A·W.
    """
    pre_activations: list[Array] = []
    activations = [samples]
    for place, weight in enumerate(weights):
        g, _ = ACTIVATIONS[output if place == len(weights) - 1 else hidden]
        pre_activations.append(activations[-1] @ weight)
        activations.append(g(pre_activations[-1]))
    m = len(samples)
    difference = activations[-1] - targets
    by_a = 2 / m * difference
    by_weights: list[Array] = []
    for place in reversed(range(len(weights))):
        _, derivative = ACTIVATIONS[output if place == len(weights) - 1 else hidden]
        by_z = by_a * derivative(pre_activations[place])
        by_weights.insert(0, activations[place].T @ by_z)
        by_a = by_z @ weights[place].T
    return float(np.linalg.norm(difference) ** 2 / m), by_weights


def train(
    weights: list[Array],
    biases: list[Array],
    samples: Array,
    targets: Array,
    hidden: str | None,
    learning_rate: float,
    epochs: int,
) -> tuple[list[float], list[Array], list[Array]]:
    """Gill & Gill, DL5 to DL8 with the L² loss and one output: the losses, and the weights and biases at the end."""
    losses = []
    for _ in range(epochs):
        loss = 0.0
        weight_sums: list[Any] = [np.zeros_like(weight) for weight in weights]
        bias_sums: list[Any] = [np.zeros_like(bias) for bias in biases]
        for x, y in zip(samples, targets, strict=True):
            prediction = forward(weights, biases, x, hidden)[1][-1][0]
            loss += (prediction - y) ** 2 / len(samples)
            by_weights, by_biases = back_propagate(weights, biases, x, hidden)
            factor = 2 * (prediction - y) / len(samples)  # the chain rule through the loss
            weight_sums = [total + factor * by.T for total, by in zip(weight_sums, by_weights, strict=True)]
            bias_sums = [total + factor * by for total, by in zip(bias_sums, by_biases, strict=True)]
        losses.append(float(loss))
        weights = [weight - learning_rate * by for weight, by in zip(weights, weight_sums, strict=True)]
        biases = [bias - learning_rate * by for bias, by in zip(biases, bias_sums, strict=True)]
    return losses, weights, biases

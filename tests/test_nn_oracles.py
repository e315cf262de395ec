"""The engine's gradients of random networks against the matrix formulas of the sources."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import Array

from nn import MLP, Layer, mse_loss

TOLERANCE = 1e-12
"""Relative to the largest entry of each matrix: an entry in which large terms cancel has fewer digits of its own."""

ACTIVATION_NAMES = ("relu", "tanh", "sigmoid", "softplus", "leaky_relu", None)

quick = settings(max_examples=100)


@dataclass
class Network:
    """A random network, as an `MLP` and as the arrays that it was made of."""

    model: MLP
    weights: list[Array]
    biases: list[Array]
    samples: Array
    targets: Array
    hidden: str | None
    output: str | None


@st.composite
def networks(draw: Any, n_outputs: int | None = None, linear_output: bool = False, bias: bool = True) -> Network:
    """Depth 1 to 4, width 1 to 5, 1 to 4 samples."""
    n_inputs = draw(st.integers(1, 5))
    sizes = [*draw(st.lists(st.integers(1, 5), max_size=3)), n_outputs or draw(st.integers(1, 4))]
    hidden = draw(st.sampled_from(ACTIVATION_NAMES))
    output = None if linear_output else draw(st.sampled_from(ACTIVATION_NAMES))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = [random.normal(size=shape) for shape in zip(sizes, [n_inputs, *sizes], strict=False)]
    biases = [random.normal(size=size) for size in sizes]
    n_samples = draw(st.integers(1, 4))
    init = [(weight, one if bias else None) for weight, one in zip(weights, biases, strict=True)]
    model = MLP(n_inputs, sizes, hidden, output, bias=bias, init=init)
    samples, targets = random.normal(size=(n_samples, n_inputs)), random.normal(size=(n_samples, sizes[-1]))
    return Network(model, weights, biases, samples, targets, hidden, output)


def weight_gradients(layer: Layer) -> Array:
    return np.array([[weight.grad for weight in row] for row in layer.weights])


def bias_gradients(layer: Layer) -> Array:
    return np.array([bias.grad for bias in layer.biases])


def assert_equal(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * float(np.abs(expected).max()))


@quick
@given(network=networks(n_outputs=1, linear_output=True))
def test_bp1_and_bp2_of_gill_and_gill(network: Network) -> None:
    x = network.samples[0]
    y = network.model(x)
    y.backward()
    by_weights, by_biases = oracles.back_propagate(network.weights, network.biases, x, network.hidden)
    assert_equal(np.array([y.data]), oracles.forward(network.weights, network.biases, x, network.hidden)[1][-1])
    for layer, by_weight, by_bias in zip(network.model.layers, by_weights, by_biases, strict=True):
        assert_equal(weight_gradients(layer), by_weight.T)
        assert_equal(bias_gradients(layer), by_bias)


@quick
@given(network=networks())
def test_the_delta_recursion_of_linear_regression_to_deep_nets(network: Network) -> None:
    n_outputs = network.targets.shape[1]
    predictions = [network.model(x) for x in network.samples]
    targets = network.targets if n_outputs > 1 else network.targets[:, 0]
    mse_loss(predictions, targets).backward()
    # The cost is the average of the costs of the samples; mse_loss is an average over the outputs as well.
    costs = [
        oracles.delta_recursion(network.weights, network.biases, x, y, network.hidden, network.output)
        for x, y in zip(network.samples, network.targets, strict=True)
    ]
    for place, layer in enumerate(network.model.layers):
        by_weights = np.mean([by_weights[place] for by_weights, _ in costs], axis=0) / n_outputs
        by_biases = np.mean([by_biases[place] for _, by_biases in costs], axis=0) / n_outputs
        assert_equal(weight_gradients(layer), by_weights)
        assert_equal(bias_gradients(layer), by_biases)


@quick
@given(network=networks(bias=False))
def test_the_vectorised_formulas_of_matrix_calculus(network: Network) -> None:
    n_outputs = network.targets.shape[1]
    predictions = [network.model(x) for x in network.samples]
    loss = mse_loss(predictions, network.targets if n_outputs > 1 else network.targets[:, 0])
    loss.backward()
    columns = [weight.T for weight in network.weights]
    norm, by_weights = oracles.matrix_calculus(
        columns, network.samples, network.targets, network.hidden, network.output
    )
    assert loss.data == pytest.approx(norm / n_outputs, rel=TOLERANCE)
    for layer, by_weight in zip(network.model.layers, by_weights, strict=True):
        assert layer.biases == []
        assert_equal(weight_gradients(layer), by_weight.T / n_outputs)


def test_the_printed_delta_with_its_slip_is_another_number() -> None:
    """The document's σ′(z^(L)) in δ^(L−1) is a slip: the engine follows the mathematics."""
    weights, biases = [np.array([[0.5]]), np.array([[-1.5]])], [np.array([0.25]), np.array([1.0])]
    x, y = np.array([2.0]), np.array([0.5])
    model = MLP(1, [1, 1], "sigmoid", "sigmoid", init=list(zip(weights, biases, strict=True)))
    mse_loss(model(x), 0.5).backward()
    right, _ = oracles.delta_recursion(weights, biases, x, y, "sigmoid", "sigmoid")
    printed, _ = oracles.delta_recursion(weights, biases, x, y, "sigmoid", "sigmoid", with_the_slip=True)
    assert model.layers[0].weights[0][0].grad == pytest.approx(right[0][0, 0], rel=1e-14)
    assert abs(printed[0][0, 0] / right[0][0, 0] - 1) > 0.1

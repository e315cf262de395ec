"""The programs that every engine runs, each as one plain function of numbers of any engine."""

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

Neuron = tuple[list[Any], Any]
"""Its weights and its bias."""

REGULARIZATION = 1e-4


class Functions(NamedTuple):
    """The named functions of an engine, on its numbers."""

    tanh: Callable[[Any], Any]
    relu: Callable[[Any], Any]
    sin: Callable[[Any], Any]


Loss = Callable[[Sequence[Any], Functions], Any]
"""loss(parameters, functions) is the number to differentiate by the parameters."""


class Workload(NamedTuple):
    """A program, where it is differentiated, and how many operations one forward pass of it is."""

    loss: Loss
    parameters: list[float]
    operations: int


def two_moons(samples: int) -> Workload:
    """micrograd's demonstration: a network 2-16-16-1 with relu, hinge loss and a penalty on its weights."""
    sizes = (2, 16, 16, 1)
    parameters = initial_parameters(sizes)
    data = moons(samples)

    def loss(parameters: Sequence[Any], functions: Functions) -> Any:
        layers = network(parameters, sizes)
        scores = [score(layers, point, functions.relu) for point, _ in data]
        losses = [functions.relu(1.0 + -label * got) for (_, label), got in zip(data, scores, strict=True)]
        penalty = REGULARIZATION * total(p * p for p in parameters)
        return total(losses) * (1.0 / samples) + penalty

    hinge, mean = 3 * samples + samples - 1, 1
    penalty = len(parameters) + len(parameters) - 1 + 1
    return Workload(loss, parameters, samples * operations_of(sizes) + hinge + mean + penalty + 1)


def tanh_network(samples: int) -> Workload:
    """A network 16-16-16-1 with tanh and squared loss."""
    sizes = (16, 16, 16, 1)
    draw = random.Random(0).uniform
    data = [([draw(-1.0, 1.0) for _ in range(sizes[0])], draw(-1.0, 1.0)) for _ in range(samples)]

    def loss(parameters: Sequence[Any], functions: Functions) -> Any:
        layers = network(parameters, sizes)
        result: Any = 0.0
        for inputs, target in data:
            result = result + (score(layers, inputs, functions.tanh) - target) ** 2
        return result

    return Workload(loss, initial_parameters(sizes), samples * (operations_of(sizes) + 3))


def chain(operations: int) -> Workload:
    """x = sin(x) * a + b, again and again: a graph as deep as it is large.

    With a = 1 and a small b, dx/dx₀ neither grows nor dies out. Where it dies out it ends in denormal numbers, and
    a processor multiplies those some thirty times more slowly: that is not what is to be compared.
    """
    steps, rest = divmod(operations, 3)

    def loss(parameters: Sequence[Any], functions: Functions) -> Any:
        x, a, b = parameters
        sin = functions.sin
        for _ in range(steps):
            x = sin(x) * a + b
        if rest > 0:
            x = sin(x)
        if rest > 1:
            x = x * a
        return x

    return Workload(loss, [0.5, 1.0, 1e-6], operations)


def initial_parameters(sizes: Sequence[int]) -> list[float]:
    """Weights between -1 and 1 and biases 0, neuron by neuron."""
    draw = random.Random(1).uniform
    neurons = [inputs for inputs, outputs in itertools.pairwise(sizes) for _ in range(outputs)]
    return [number for inputs in neurons for number in [*(draw(-1.0, 1.0) for _ in range(inputs)), 0.0]]


def network(parameters: Iterable[Any], sizes: Sequence[int]) -> list[list[Neuron]]:
    """The parameters as layers of neurons."""
    numbers = iter(parameters)
    return [
        [([next(numbers) for _ in range(inputs)], next(numbers)) for _ in range(outputs)]
        for inputs, outputs in itertools.pairwise(sizes)
    ]


def operations_of(sizes: Sequence[int]) -> int:
    """Of one `score`: a product and a sum for each weight, and an activation for each hidden neuron."""
    return sum(2 * inputs * outputs for inputs, outputs in itertools.pairwise(sizes)) + sum(sizes[1:-1])


def score(layers: list[list[Neuron]], inputs: Sequence[Any], activation: Callable[[Any], Any]) -> Any:
    """The network's one output; its last layer has no activation."""
    *hidden, last = layers
    for layer in hidden:
        inputs = [activation(weighted_sum(neuron, inputs)) for neuron in layer]
    return weighted_sum(last[0], inputs)


def weighted_sum(neuron: Neuron, inputs: Sequence[Any]) -> Any:
    """w·x + b."""
    weights, bias = neuron
    return total([weight * number for weight, number in zip(weights, inputs, strict=True)]) + bias


def total(numbers: Iterable[Any]) -> Any:
    """Their sum, starting from the first: Python's sum() starts from 0, and sums floats in its own way from 3.12 on."""
    remaining: Iterator[Any] = iter(numbers)
    result = next(remaining)
    for number in remaining:
        result = result + number
    return result


def moons(samples: int) -> list[tuple[list[float], float]]:
    """Two half circles that reach into one another, with noise: points, and labels -1 and 1."""
    noise = random.Random(2).gauss
    data = []
    for index in range(samples):
        angle = math.pi * index / (samples - 1)
        upper = index % 2 == 0
        x, y = (math.cos(angle), math.sin(angle)) if upper else (1 - math.cos(angle), 0.5 - math.sin(angle))
        data.append(([x + noise(0.0, 0.1), y + noise(0.0, 0.1)], -1.0 if upper else 1.0))
    return data


class Program(NamedTuple):
    """A workload that can be made in any size: samples, or operations of the chain."""

    title: str
    """What the report calls it; {size} stands for the size."""
    build: Callable[[int], Workload]
    size: int
    quick_size: int


PROGRAMS = {
    "two-moons": Program("Network 2-16-16-1, relu, hinge loss + L2, {size} samples", two_moons, 100, 5),
    "tanh-network": Program("Network 16-16-16-1, tanh, squared loss, {size} samples", tanh_network, 50, 3),
    "chain": Program("Chain x = sin(x) * a + b", chain, 1_000_000, 3_000),
}
"""By the names that the options take."""

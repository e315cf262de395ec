"""The programs of the compiled path: each written with numbers for one sample, and the data of a batch of them."""

import importlib.util
import math
import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import workloads
from benchmarks.workloads import REGULARIZATION, score, total, weighted_sum

ROOT = Path(__file__).parent.parent.parent

Array = Any
"""Of NumPy."""

Parameters = dict[str, Array]
"""By name; a layer's are W1 (a row for each neuron) and b1."""

Functions = Any
"""What has the named functions of an engine: tanh, relu, sin, exp, logsumexp."""


class ArrayWorkload(NamedTuple):
    """A scalar program, and where it is differentiated."""

    loss: Callable[..., Any]
    """loss(functions, parameters, *sample) is a number; the loss of a batch is their mean or sum."""
    parameters: Parameters
    data: tuple[Array, ...]
    """What a sample is made of, with the batch as last axis; nothing for a program of the parameters alone."""
    reduction: str
    """"mean" or "sum"."""
    size: int
    """Samples, or operations of the chain."""

    @property
    def samples(self) -> list[tuple[Array, ...]]:
        """One by one; a program of the parameters alone has one of nothing."""
        return list(zip(*(np.moveaxis(each, -1, 0) for each in self.data), strict=True)) if self.data else [()]


def two_moons(samples: int) -> ArrayWorkload:
    """That of `workloads`: a network 2-16-16-1 with relu, hinge loss and a penalty on its weights."""
    sizes = (2, 16, 16, 1)
    points, labels = zip(*workloads.moons(samples), strict=True)

    def loss(functions: Functions, parameters: Parameters, point: Array, label: Any) -> Any:
        hinge = functions.relu(1.0 + -label * score(layers(parameters), point, functions.relu))
        return hinge + REGULARIZATION * total(p * p for each in parameters.values() for p in each.flat)

    numbers = workloads.initial_parameters(sizes)
    data = (np.array(points).T.copy(), np.array(labels))
    return ArrayWorkload(loss, as_arrays(numbers, sizes), data, "mean", samples)


def tanh_network(samples: int) -> ArrayWorkload:
    """That of `workloads`: a network 16-16-16-1 with tanh and squared loss."""
    sizes = (16, 16, 16, 1)
    draw = random.Random(0).uniform
    points, targets = zip(
        *(([draw(-1.0, 1.0) for _ in range(sizes[0])], draw(-1.0, 1.0)) for _ in range(samples)), strict=True
    )

    def loss(functions: Functions, parameters: Parameters, point: Array, target: Any) -> Any:
        return (score(layers(parameters), point, functions.tanh) - target) ** 2

    data = (np.array(points).T.copy(), np.array(targets))
    parameters = as_arrays(workloads.initial_parameters(sizes), sizes)
    return ArrayWorkload(loss, parameters, data, "sum", samples)


def classifier(sizes: Sequence[int], samples: int) -> ArrayWorkload:
    """A network with relu whose outputs are the logits of classes, and the cross-entropy with classes as 0s and a 1."""
    random_numbers = np.random.default_rng(0)
    parameters: Parameters = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        bound = math.sqrt(6 / inputs)
        parameters[f"W{number}"] = random_numbers.uniform(-bound, bound, (outputs, inputs))
        parameters[f"b{number}"] = random_numbers.uniform(-0.1, 0.1, outputs)

    def loss(functions: Functions, parameters: Parameters, image: Array, is_class: Array) -> Any:
        *hidden, last = layers(parameters)
        for layer in hidden:
            image = [functions.relu(weighted_sum(neuron, image)) for neuron in layer]
        logits = [weighted_sum(neuron, image) for neuron in last]
        return functions.logsumexp(logits) - total(y * z for y, z in zip(is_class, logits, strict=True))

    images = random_numbers.uniform(0.0, 1.0, (sizes[0], samples))
    classes = random_numbers.integers(0, sizes[-1], samples)
    data = (images, np.eye(sizes[-1])[:, classes])
    return ArrayWorkload(loss, parameters, data, "mean", samples)


def mixture(samples: int) -> ArrayWorkload:
    """The log-likelihood of points under 5 Gaussians in 10 dimensions, each axis with a scale of its own."""
    components, dimensions = 5, 10
    random_numbers = np.random.default_rng(0)
    centres = random_numbers.normal(0.0, 3.0, (components, dimensions))
    points = centres[random_numbers.integers(0, components, samples)] + random_numbers.normal(
        0.0, 1.0, (samples, dimensions)
    )
    parameters = {
        "logits": random_numbers.normal(0.0, 0.5, components),
        "means": centres + random_numbers.normal(0.0, 0.5, centres.shape),
        "log_scales": random_numbers.normal(0.0, 0.3, centres.shape),
    }
    constant = dimensions / 2 * math.log(2 * math.pi)

    def loss(functions: Functions, parameters: Parameters, point: Array) -> Any:
        logits = list(parameters["logits"])
        terms = []
        for logit, mean, log_scale in zip(logits, parameters["means"], parameters["log_scales"], strict=True):
            term = logit
            for x, m, s in zip(point, mean, log_scale, strict=True):
                term = term - s - 0.5 * ((x - m) * functions.exp(-s)) ** 2
            terms.append(term)
        return functions.logsumexp(logits) + constant - functions.logsumexp(terms)

    return ArrayWorkload(loss, parameters, (points.T.copy(),), "mean", samples)


def chain(operations: int) -> ArrayWorkload:
    """That of `workloads`: x = sin(x) * a + b, again and again."""
    program = workloads.chain(operations)

    def loss(functions: Functions, parameters: Parameters) -> Any:
        return program.loss(list(parameters["xab"]), functions)

    return ArrayWorkload(loss, {"xab": np.array(program.parameters)}, (), "mean", operations)


def tiny_gpt(samples: int) -> ArrayWorkload:
    """The transformer of demos/tiny_gpt.py, and the words that it learns first."""
    specification = importlib.util.spec_from_file_location("tiny_gpt", ROOT / "demos" / "tiny_gpt.py")
    assert specification
    assert specification.loader
    demo: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(demo)

    def loss(functions: Functions, parameters: Parameters, letters: Array, targets: Array) -> Any:
        demo.exp, demo.logsumexp, demo.relu = functions.exp, functions.logsumexp, functions.relu
        return demo.word_loss(parameters, letters, targets)

    random_numbers = np.random.default_rng(0)
    words = random_numbers.permutation(demo.reference_words()).tolist()[:samples]
    parameters = {name: random_numbers.normal(0.0, 0.08, shape) for name, shape in demo.SHAPES.items()}
    return ArrayWorkload(loss, parameters, demo.encode(words), "mean", samples)


def layers(parameters: Parameters) -> list[list[workloads.Neuron]]:
    """The neurons of each layer, a row of weights and a bias each."""
    return [
        list(zip(parameters[f"W{number}"], parameters[f"b{number}"], strict=True))
        for number in range(1, len(parameters) // 2 + 1)
    ]


def as_arrays(numbers: Sequence[float], sizes: Sequence[int]) -> Parameters:
    """The parameters that `workloads` has neuron by neuron."""
    parameters: Parameters = {}
    for number, layer in enumerate(workloads.network(numbers, sizes), start=1):
        weights, biases = zip(*layer, strict=True)
        parameters |= {f"W{number}": np.array(weights), f"b{number}": np.array(biases)}
    return parameters


class ArrayProgram(NamedTuple):
    """A workload that can be made in any size: samples, or operations of the chain."""

    title: str
    """What the report calls it; {size} stands for the size."""
    build: Callable[[int], ArrayWorkload]
    size: int
    quick_size: int


ARRAY_PROGRAMS = {
    "two-moons": ArrayProgram("Network 2-16-16-1, relu, hinge loss + L2, {size} samples", two_moons, 100, 6),
    "tanh-network": ArrayProgram("Network 16-16-16-1, tanh, squared loss, {size} samples", tanh_network, 50, 3),
    "digits": ArrayProgram(
        "Network 64-64-32-10, relu, cross-entropy, batch {size}", partial(classifier, (64, 64, 32, 10)), 128, 3
    ),
    "wide": ArrayProgram(
        "Network 784-128-10, relu, cross-entropy, batch {size}", partial(classifier, (784, 128, 10)), 64, 2
    ),
    "mixture": ArrayProgram("Mixture of 5 Gaussians in 10 dimensions, {size} points", mixture, 1_000, 5),
    "tiny-gpt": ArrayProgram("The transformer of demos/tiny_gpt.py, {size} words", tiny_gpt, 64, 1),
    "chain": ArrayProgram("Chain x = sin(x) * a + b, {size} operations", chain, 1_000_000, 3_000),
}
"""By the names that the options take."""

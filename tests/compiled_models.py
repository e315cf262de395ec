"""Models of every kind, written one number at a time, and what the engine says of them sample by sample."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import nn
from autograd_mini import (
    Op,
    Value,
    apply,
    cos,
    exp,
    grad,
    log,
    logsumexp,
    maximum,
    relu,
    sigmoid,
    sin,
    sqrt,
    tanh,
    value_and_grad,
)

HOSTILE = [0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, 40.0, -40.0, 710.0, -746.0]
HOSTILE += [1e-320, -1e-200, 1e200, -1e308]
"""Numbers at which some row has a kink, a pole, a tie, or leaves the floats."""


def row_function(op: Op, place: int | None = None, constant: float = 0.0) -> Callable[..., Any]:
    """A row as a function of its operands, or with a constant as one of them."""
    if place is None:
        return lambda *operands: apply(op, *operands)
    return lambda x: apply(op, constant, x) if place == 0 else apply(op, x, constant)


# What the engine says


def reference(
    function: Callable[..., Any],
    examples: Sequence[Any],
    arguments: Sequence[Any],
    argnums: int | tuple[int, ...] = 0,
    reduction: str = "mean",
) -> tuple[Any, Any]:
    """Value and gradient as `compile_graph(function, *examples)` should find them: the engine's, for each sample."""
    sizes = {batch_size(example, argument) for example, argument in zip(examples, arguments, strict=True)} - {None}
    assert len(sizes) <= 1
    size = sizes.pop() if sizes else None
    positions = argnums if isinstance(argnums, tuple) else (argnums,)
    values = []
    parts = []
    for place in range(size or 1):
        one = [sample(example, argument, place) for example, argument in zip(examples, arguments, strict=True)]
        value, gradients = value_and_grad(function, positions)(*one)
        values.append(value)
        parts.append(gradients)
    share = 1 / len(values) if reduction == "mean" else 1.0
    totals = tuple(
        _total(examples[position], arguments[position], [part[index] for part in parts], share)
        for index, position in enumerate(positions)
    )
    value = np.array(values) if reduction == "none" and size is not None else float(np.sum(values)) * share
    return value, totals if isinstance(argnums, tuple) else totals[0]


def batch_size(example: Any, argument: Any) -> int | None:
    """How many samples there are; None without a batch axis."""
    if _is_array(example):
        return np.shape(argument)[-1] if np.ndim(argument) > np.ndim(example) else None
    keys = example if isinstance(example, dict) else range(len(example))
    return next((size for key in keys if (size := batch_size(example[key], argument[key])) is not None), None)


def sample(example: Any, argument: Any, place: int) -> Any:
    """One sample of an argument, in the structure of the example."""
    if isinstance(example, dict):
        return {key: sample(example[key], argument[key], place) for key in example}
    if not _is_array(example):
        return type(example)(sample(inner, part, place) for inner, part in zip(example, argument, strict=True))
    array = np.asarray(argument, dtype=float)
    array = array[..., place] if array.ndim > np.ndim(example) else array
    return array if isinstance(example, np.ndarray) else array.tolist()


def _is_array(example: Any) -> bool:
    """Whether it is one array of numbers, however it is written: a number, lists of equal length, an array."""
    if isinstance(example, list | tuple):
        shapes = {np.shape(inner) if _is_array(inner) else None for inner in example}
        return len(shapes) == 1 and None not in shapes and not any(isinstance(each, np.ndarray) for each in example)
    return not isinstance(example, dict)


def _total(example: Any, argument: Any, parts: list[Any], share: float) -> Any:
    if isinstance(example, dict):
        return {key: _total(example[key], argument[key], [part[key] for part in parts], share) for key in example}
    if not _is_array(example):
        return type(example)(
            _total(inner, argument[place], [part[place] for part in parts], share)
            for place, inner in enumerate(example)
        )
    stacked = np.stack([np.asarray(part, dtype=float) for part in parts], axis=-1) * share
    return stacked if np.ndim(argument) > np.ndim(example) else stacked.sum(axis=-1)


def assert_same(got: Any, expected: Any, relative: float = 1e-12) -> None:
    """Equal to a relative tolerance (of each number, and a hundredth of it of the largest), with the same inf and NaN.

    Structures are compared, not whether a list or an array holds the numbers.
    """
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key], relative)
        return
    if not _is_array(expected):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other, relative)
        return
    found, wanted = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    assert found.shape == wanted.shape
    finite = np.abs(wanted[np.isfinite(wanted)])
    absolute = relative / 100 * min(finite.max(initial=0.0), 1e300) + 1e-300
    np.testing.assert_allclose(found, wanted, rtol=relative, atol=absolute, equal_nan=True)


# Models


@dataclass(frozen=True)
class Model:
    """A function of numbers for one sample."""

    name: str
    function: Callable[..., Any]
    shapes: tuple[Any, ...]
    """Of its arguments; a dict of shapes for a dict of arrays."""
    batched: tuple[int, ...]
    """Which of them are the sample."""
    argnums: int | tuple[int, ...] = 0
    scale: float = 0.6

    def arguments(self, seed: int = 0, batch: int | None = None) -> list[Any]:
        """Random arguments: one point, or a batch."""
        random = np.random.default_rng(seed)
        sizes = [(batch,) if batch and place in self.batched else () for place in range(len(self.shapes))]
        return [self._draw(random, shape, size) for shape, size in zip(self.shapes, sizes, strict=True)]

    def _draw(self, random: np.random.Generator, shape: Any, batch: tuple[int, ...]) -> Any:
        if isinstance(shape, dict):
            return {key: self._draw(random, inner, batch) for key, inner in shape.items()}
        numbers = random.normal(0.0, self.scale, shape + batch)
        return numbers if numbers.shape else float(numbers)


def dot(left: Any, right: Any) -> Any:
    """Σ aᵢ bᵢ, left to right."""
    total = left[0] * right[0]
    for a, b in zip(left[1:], right[1:], strict=True):
        total = total + a * b
    return total


def matrix_vector(rows: Any, x: Any) -> list[Any]:
    """W x."""
    return [dot(row, x) for row in rows]


def mlp(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, y: Any) -> Any:
    """Two layers, and the square of the error."""
    hidden = [tanh(z + b) for z, b in zip(matrix_vector(w1, x), b1, strict=True)]
    outputs = [z + b for z, b in zip(matrix_vector(w2, hidden), b2, strict=True)]
    return sum((output - target) ** 2 for output, target in zip(outputs, y, strict=True))


def mlp_with_numpy(w1: Any, w2: Any, x: Any) -> Any:
    """The same by NumPy's functions on arrays of `Value`s, inputs first in each product."""
    hidden = np.tanh(x @ w1.T)
    return np.exp(-(hidden * w2)).sum()


def attention(parameters: Any, tokens: Any) -> Any:
    """One causal head: position t attends to s ≤ t."""
    queries, keys, values = (
        [matrix_vector(parameters[name], token) for token in tokens] for name in ("query", "key", "value")
    )
    total = 0.0
    for t, query in enumerate(queries):
        scores = [dot(query, keys[s]) / math.sqrt(len(query)) for s in range(t + 1)]
        largest = logsumexp(scores)
        shares = [exp(score - largest) for score in scores]
        for place in range(len(query)):
            mixed = dot(shares, [values[s][place] for s in range(t + 1)])
            total = total + mixed * mixed * (t + 1)
    return total


def embedding(table: Any, weights: Any, one_hots: Any) -> Any:
    """Words as one-hot rows, whose vectors a table holds; the mean of them through one neuron."""
    vectors = [[dot(one_hot, column) for column in zip(*table, strict=True)] for one_hot in one_hots]
    means = [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]
    return sigmoid(dot(weights, means))


def mixture(logits: Any, means: Any, log_scales: Any, x: Any) -> Any:
    """The negative log-likelihood of a mixture of Gaussians with diagonal covariances."""
    total = logsumexp(logits)
    terms = []
    for logit, mean, log_scale in zip(logits, means, log_scales, strict=True):
        term = logit - total
        for m, s, number in zip(mean, log_scale, x, strict=True):
            term = term - 0.5 * ((number - m) / exp(s)) ** 2 - s - 0.5 * math.log(2 * math.pi)
        terms.append(term)
    return -logsumexp(terms)


def polynomial(coefficients: Any, x: Any) -> Any:
    """By powers and by Horner's rule, which are the same."""
    by_powers = sum(c * x**power for power, c in enumerate(coefficients))
    by_horner = coefficients[-1]
    for c in coefficients[-2::-1]:
        by_horner = by_horner * x + c
    return by_powers * by_horner


def tied(w: Any, x: Any) -> Any:
    """An autoencoder that decodes by the transpose, twice: weights in rows and in columns."""
    code = x
    for _ in range(2):
        code = [sigmoid(z) for z in matrix_vector(w, code)]
        code = matrix_vector(list(zip(*w, strict=True)), code)
    return sum((a - b) ** 2 for a, b in zip(code, x, strict=True))


def convolution_1d(kernel: Any, bias: Any, signal: Any) -> Any:
    """A kernel slid along a signal, relu, and the largest of each pair."""
    width = len(kernel)
    found = [relu(dot(kernel, signal[start : start + width]) + bias) for start in range(len(signal) - width + 1)]
    return sum(maximum(a, b) for a, b in zip(found[::2], found[1::2], strict=False))


def convolution_2d(kernels: Any, image: Any) -> Any:
    """Two kernels with a stride of two over an image, as loops."""
    total = 0.0
    for kernel in kernels:
        height, width = len(kernel), len(kernel[0])
        for top in range(0, len(image) - height + 1, 2):
            for left in range(0, len(image[0]) - width + 1, 2):
                z = 0.0
                for i in range(height):
                    for j in range(width):
                        z = z + kernel[i][j] * image[top + i][left + j]
                total = total + tanh(z)
    return total


def recurrent(w_state: Any, w_input: Any, bias: Any, sequence: Any) -> Any:
    """A chain of states, one for each step of a sequence."""
    state = [0.0] * len(bias)
    for x in sequence:
        inner = [z + b for z, b in zip(matrix_vector(w_state, state), bias, strict=True)]
        state = [tanh(z + u) for z, u in zip(inner, matrix_vector(w_input, x), strict=True)]
    return sum(state)


def gated(w: Any, sequence: Any) -> Any:
    """A recurrent chain of one number: every level has one or two nodes."""
    state = Value(0.5)
    for x in sequence:
        gate = sigmoid(w[0] * x + w[1] * state)
        state = gate * state + (1.0 - gate) * tanh(w[2] * x + w[3] * state)
    return state


def narrow(w: Any, x: Any) -> Any:
    """Some 5,000 operations, one after the other."""
    for _ in range(1250):
        x = sin(w[0] * x) * w[1] + w[2]
    return x


def rms_norm(gains: Any, x: Any) -> Any:
    """x over the root of its mean square."""
    root = sqrt(dot(x, x) / len(x) + 1e-5)
    return dot(gains, [cos(number / root) for number in x])


def bilinear(matrix: Any, x: Any, y: Any) -> Any:
    """xᵀ A y."""
    return dot(x, matrix_vector(matrix, y))


def rosenbrock(x: Any) -> Any:
    """The valley."""
    return sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(x))


def physics(w: Any, x: Any) -> Any:
    """The residual of u' = u for a little network u: a derivative within the loss."""

    def u(t: Any) -> Any:
        return w[0] * tanh(w[1] * t) + w[2] * sin(w[3] * t)

    slope = grad(u)(x) - u(x)
    return slope * slope


def classifier(w: Any, x: Any) -> Any:
    """A softmax cross-entropy of nn's own, with whole numbers as labels."""
    logits = matrix_vector(w, x)
    return nn.cross_entropy(logits, 1) + 0.1 * nn.cross_entropy([logits], [[0.25, 0.25, 0.5]])


def by_name(parameters: Any, x: Any) -> Any:
    """Parameters in a dict, one of which is not used."""
    z = matrix_vector(parameters["W"], x)
    return sum(log(1.0 + (a - b) ** 2) for a, b in zip(z, parameters["b"], strict=True))


MODELS = [
    Model("mlp", mlp, ((3, 2), (3,), (2, 3), (2,), (2,), (2,)), (4, 5), (0, 1, 2, 3)),
    Model("mlp with numpy", mlp_with_numpy, ((4, 3), (4,), (3,)), (2,), (0, 1)),
    Model("attention", attention, ({"query": (3, 3), "key": (3, 3), "value": (3, 3)}, (4, 3)), (1,)),
    Model("embedding", embedding, ((5, 3), (3,), (4, 5)), (2,), (0, 1)),
    Model("mixture", mixture, ((3,), (3, 2), (3, 2), (2,)), (3,), (0, 1, 2)),
    Model("polynomial", polynomial, ((5,), ()), (1,), (0, 1)),
    Model("tied", tied, ((2, 4), (4,)), (1,)),
    Model("convolution in 1-D", convolution_1d, ((3,), (), (9,)), (2,), (0, 1, 2)),
    Model("convolution in 2-D", convolution_2d, ((2, 3, 3), (7, 7)), (1,)),
    Model("recurrent", recurrent, ((4, 4), (4, 2), (4,), (20, 2)), (3,), (0, 1, 2)),
    Model("gated", gated, ((4,), (30,)), (1,)),
    Model("narrow", narrow, ((3,), ()), (1,), (0, 1)),
    Model("rms norm", rms_norm, ((5,), (5,)), (1,), (0, 1)),
    Model("bilinear", bilinear, ((3, 4), (3,), (4,)), (1, 2), (2, 0, 1)),
    Model("rosenbrock", rosenbrock, ((6,),), (0,)),
    Model("physics", physics, ((4,), ()), (1,)),
    Model("classifier", classifier, ((3, 4), (4,)), (1,)),
    Model("by name", by_name, ({"W": (2, 3), "b": (2,), "unused": (2, 2)}, (3,)), (1,)),
]

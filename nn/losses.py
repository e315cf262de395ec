"""Losses: how far predictions are from their targets, as one number.

Every loss takes the predictions first and the targets second, as PyTorch does; scikit-learn has them the other way
round. Predictions are a `Value`, a list of them (a sample each) or a list of lists (an output each), and the loss is
then a `Value` to call backward() on, or to train by with `fit(…, loss=…)`. Plain numbers and arrays give a float.

While `fit` traces a loss, its targets are `Value`s that stand for any sample's (see `stand_ins`): the formula then
takes from them, as numbers, what it else finds out by looking at them.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial, reduce
from operator import add
from typing import Any, TypeAlias, overload

from numpy.typing import ArrayLike

from autograd_mini import Value, log, log1p, logsumexp, maximum, minimum, relu, softplus
from nn.checks import describe, flatten, place_in
from nn.stand_ins import derived, is_stand_in

Number: TypeAlias = Value | float
Shape: TypeAlias = tuple[int, ...]

Values: TypeAlias = Value | Sequence[Value] | Sequence[Sequence[Value]]
"""Predictions that a loss can be differentiated by."""


@overload
def mse_loss(predictions: Values, targets: Value | ArrayLike | Sequence[Any]) -> Value: ...
@overload
def mse_loss(predictions: ArrayLike, targets: ArrayLike) -> float: ...
def mse_loss(predictions: Any, targets: Any) -> Number:
    """The mean of the squared differences, over all numbers: (1/S) Σ (ŷₛ − yₛ)² for S samples of one output.

    predictions: a `Value`, a list of them (a sample each), or a list of lists (an output each); plain numbers give
    a float. targets: numbers in the same shape, lists or arrays.

    With one output this is the L² loss of Gill & Gill, section 3.1, and (1/m) ‖A − Y‖²_F of matrix-calculus. With k
    outputs it is that norm divided by k as well, as in PyTorch, so that the number of outputs does not scale it.

    Raises ValueError if there are no predictions or the shapes differ, TypeError for what is not a number.
    """
    predicted, wanted, _ = _pair("mse_loss", "predictions", predictions, targets)
    return _mean(map(_squared_difference, predicted, wanted), len(predicted))


def _squared_difference(prediction: Number, target: Number) -> Number:
    difference = prediction - target
    return difference * difference  # a plain float to the power 2 would raise where this is inf


# Two classes


@overload
def binary_cross_entropy_with_logits(logits: Values, targets: ArrayLike) -> Value: ...
@overload
def binary_cross_entropy_with_logits(logits: ArrayLike, targets: ArrayLike) -> float: ...
def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Number:
    """The cross-entropy of labels 0 or 1 and the outputs N(x) of a network, its logits, as a mean over all numbers.

    −(1/S) Σ [yₛ log σ(zₛ) + (1 − yₛ) log(1 − σ(zₛ))] with zₛ = N(xₛ) (Gill & Gill, section 3.2), computed as
    softplus(−z) where y = 1 and softplus(z) where y = 0: finite for every finite logit, and exact in both tails. It
    is convex in the logits; the paper's "convex" does not reach the weights of a network with hidden layers.

    logits: as in `mse_loss`. targets: labels in the same shape, plain numbers.

    Raises ValueError if there are no logits, the shapes differ or a target is neither 0 nor 1, TypeError for what is
    not a number.
    """
    where = "binary_cross_entropy_with_logits"
    predicted, wanted, shape = _pair(where, "logits", logits, targets)
    labels = _labels(where, wanted, shape, (0, 1))
    return _mean((softplus(_away_from(y, z)) for z, y in zip(predicted, labels, strict=True)), len(labels))


def _away_from(label: Number, logit: Number) -> Number:
    """(1 − 2y) z: −z where y = 1, z where y = 0."""
    if isinstance(label, Value):
        return derived(lambda y: 1.0 - 2.0 * y, label) * logit
    return -logit if label else logit


@overload
def binary_cross_entropy(probabilities: Values, targets: ArrayLike) -> Value: ...
@overload
def binary_cross_entropy(probabilities: ArrayLike, targets: ArrayLike) -> float: ...
def binary_cross_entropy(probabilities: Any, targets: Any) -> Number:
    """The cross-entropy of labels 0 or 1 and the probabilities of label 1, as a mean over all numbers.

    −(1/S) Σ [yₛ log p̂ₛ + (1 − yₛ) log(1 − p̂ₛ)] (Gill & Gill, section 3.2), computed as −log p̂ where y = 1 and
    −log1p(−p̂) where y = 0. A probability of exactly 0 for what happened costs inf, with an infinite gradient (PyTorch
    cuts the logarithms off at −100), and `fit` then stops and says so. σ is exactly 1 from a logit of 37 on:
    train by `binary_cross_entropy_with_logits` and a network without output activation, which has no such end.

    probabilities: numbers from 0 to 1, as in `mse_loss`. targets: labels in the same shape, plain numbers.

    Raises ValueError if there are no probabilities, one is below 0 or above 1, the shapes differ or a target is
    neither 0 nor 1, TypeError for what is not a number.
    """
    where = "binary_cross_entropy"
    predicted, wanted, shape = _pair(where, "probabilities", probabilities, targets)
    labels = _labels(where, wanted, shape, (0, 1))
    if not is_stand_in(labels[0]):
        _check_probabilities(where, predicted, shape, "; for logits there is binary_cross_entropy_with_logits")
    return _mean(map(_cost_of_label, predicted, labels), len(labels))


def _cost_of_label(probability: Number, label: Number) -> Number:
    if isinstance(label, Value):
        # For the other label each of the two costs is that of a certainty, which is 0 and has no gradient.
        p = maximum(probability, derived(lambda y: -math.inf if y else 1.0, label))
        rest = minimum(probability, derived(lambda y: 0.0 if y else math.inf, label))
        return _cost(p) + _cost_of_rest(rest) + _nan_outside(probability)
    return _cost(probability) if label else _cost_of_rest(probability)


def _nan_outside(probability: Number) -> Number:
    """0 for a number from 0 to 1, else NaN, at which `fit` runs the loss on the numbers themselves, with its checks."""
    return 0.0 * (probability * (1.0 - probability)) ** 1.5


@overload
def hinge_loss(predictions: Values, targets: ArrayLike) -> Value: ...
@overload
def hinge_loss(predictions: ArrayLike, targets: ArrayLike) -> float: ...
def hinge_loss(predictions: Any, targets: Any) -> Number:
    """The hinge loss of a support-vector machine: (1/S) Σ max(0, 1 − yₛ ŷₛ), as a mean over all numbers.

    It is 0 once every prediction has the sign of its target and a distance of at least 1 from 0; at a distance of
    exactly 1, the kink, its gradient is 0 (Cortes & Vapnik, 1995; the four documents have no hinge).

    predictions: the outputs of a network, as in `mse_loss`. targets: labels −1 or 1 in the same shape, plain
    numbers; 2y − 1 makes them of labels 0 or 1.

    Raises ValueError if there are no predictions, the shapes differ or a target is neither −1 nor 1, TypeError for
    what is not a number.
    """
    predicted, wanted, shape = _pair("hinge_loss", "predictions", predictions, targets)
    labels = _labels("hinge_loss", wanted, shape, (-1, 1), "; labels 0 and 1 become those by 2 * y - 1")
    return _mean((relu(_margin(z, y)) for z, y in zip(predicted, labels, strict=True)), len(labels))


def _margin(prediction: Number, label: Number) -> Number:
    """1 − y ŷ."""
    if isinstance(label, Value):
        return 1.0 - label * prediction
    return 1.0 - prediction if label > 0 else 1.0 + prediction


# Several classes


@overload
def cross_entropy(logits: Sequence[Value] | Sequence[Sequence[Value]], targets: ArrayLike) -> Value: ...
@overload
def cross_entropy(logits: ArrayLike, targets: ArrayLike) -> float: ...
def cross_entropy(logits: Any, targets: Any) -> Number:
    """The softmax cross-entropy: (1/S) Σ −log p̂ₛ,yₛ, with p̂ₛ the softmax of the C logits of sample s.

    The "more general classification case" that Gill & Gill, section 3.2, speak of; with two classes it is the binary
    cross-entropy of z₁ − z₀. −log p̂_c is computed as softplus(log Σ_{k≠c} exp(z_k − z_c)), which is finite where
    the differences of the logits are, and keeps the digits of a loss and of gradients near 0.

    logits: S rows of C ≥ 2 numbers, or a single row. targets: for each row the number of its class, 0 to C − 1 (a
    float such as 2.0 will do), or for S rows as many rows of C numbers, each a distribution over the classes: the
    loss of a row is then −Σ_c y_c log p̂_c. Plain numbers, as in PyTorch either way.

    Raises ValueError if there are no logits or none to compare with, the shapes do not go together, or a target is no
    class or no distribution, TypeError for what is not a number.
    """
    predicted: list[Number] = []
    wanted: list[Number] = []
    shape = flatten(logits, "cross_entropy", "logits", predicted)
    targets_shape = flatten(targets, "cross_entropy", "targets", wanted)
    n_samples, n_classes = _sample_shape(shape)
    rows = [predicted[start : start + n_classes] for start in range(0, len(predicted), n_classes)]
    if targets_shape == shape[:-1]:
        classes = _labels("cross_entropy", wanted, targets_shape, range(n_classes))
        return _mean(map(_surprise, rows, classes), n_samples)
    if targets_shape != shape or len(shape) == 1:
        raise ValueError(f"cross_entropy: expected targets of shape {_shapes_for(shape)}, got {targets_shape}")
    weights = _distributions(wanted, n_samples)
    return _mean((_expected_surprise(row, weight) for row, weight in zip(rows, weights, strict=True)), n_samples)


def _surprise(row: list[Number], c: Number) -> Number:
    """−log of the softmax at c. Only differences to z_c enter, so that no large number hides a small one."""
    if isinstance(c, Value):
        ours = reduce(add, (derived(partial(_one_hot, k), c) * z for k, z in enumerate(row)))
        others = [minimum(z - ours, derived(partial(_cap, k), c)) for k, z in enumerate(row)]
    else:
        ours = row[int(c)]
        others = [z - ours for k, z in enumerate(row) if k != c]
    return softplus(logsumexp(others))


def _one_hot(k: int, c: float) -> float:
    return float(k == c)


def _cap(k: int, c: float) -> float:
    """What leaves the difference at c itself out of a log-sum-exp, and the others as they are."""
    return -math.inf if k == c else math.inf


def _expected_surprise(row: list[Number], weights: list[Number]) -> Number:
    # What has no weight costs nothing, though it be infinite.
    are_traced = isinstance(weights[0], Value)
    return reduce(add, (weight * _surprise(row, c) for c, weight in enumerate(weights) if are_traced or weight))


@overload
def negative_log_likelihood(probabilities: Values, targets: ArrayLike) -> Value: ...
@overload
def negative_log_likelihood(probabilities: ArrayLike, targets: ArrayLike) -> float: ...
def negative_log_likelihood(probabilities: Any, targets: Any) -> Number:
    """−y·log(y₀) for predicted probabilities y₀: summed over the outputs, (1/S) Σₛ Σ_c −yₛc log y₀ₛc.

    The loss of nonlinear-least-squares, which prints it without its minus: y·log(y₀) would fall as the prediction gets
    worse. With a probability for each class, such as `softmax` gives, and y = 1 for the right one alone it is what
    `cross_entropy` computes from logits. With one output it lacks the second term of `binary_cross_entropy`: a sample
    of y = 0 costs nothing, so that a model which always says 1 has no loss. Where y = 0, 0·log(0) is 0; elsewhere a
    probability of 0 costs inf, with an infinite gradient.

    probabilities: numbers from 0 to 1, as in `mse_loss`. targets: plain numbers from 0 to 1 in the same shape.
    PyTorch's nll_loss takes logarithms and classes instead.

    Raises ValueError if there are no probabilities, a number is below 0 or above 1 or the shapes differ, TypeError for
    what is not a number.
    """
    where = "negative_log_likelihood"
    predicted, wanted, shape = _pair(where, "probabilities", probabilities, targets)
    weights = _plain(where, wanted)
    for index, y in enumerate(weights):
        if not isinstance(y, Value) and not 0 <= y <= 1:
            raise ValueError(f"{where}: expected targets from 0 to 1, got {y} in {place_in('targets', shape, index)}")
    if not is_stand_in(weights[0]):
        _check_probabilities(where, predicted, shape, "; for logits there is cross_entropy")
    return _mean(map(_weighted_cost, weights, predicted), shape[0] if shape else 1)


def _weighted_cost(weight: Number, probability: Number) -> Number:
    if isinstance(weight, Value):
        p = maximum(probability, derived(lambda y: -math.inf if y else 1.0, weight))
        return weight * _cost(p) + _nan_outside(probability)
    # 0 · p is 0 at p = 0 too, and keeps the model in the graph where no target is above 0.
    return weight * _cost(probability) if weight else 0.0 * probability


# Labels


def zero_one_loss(predictions: ArrayLike, targets: ArrayLike) -> float:
    """The share of samples that got a wrong label: (1/S) Σ [ŷₛ ≠ yₛ] (Gill & Gill, section 3.2).

    As printed there, Σ δ(ŷₛ, yₛ) with δ of 1 where the two are equal, it counts the samples that are right, which
    would be no loss: that is S times `accuracy`.

    predictions: labels, whole numbers such as `Classifier.predict` and `heaviside` give, not the outputs of a network:
    the loss has no gradient, so that nothing can be trained by it. targets: labels in the same shape, (S,).

    Raises ValueError if there are no labels, the shapes differ or a number is not whole, TypeError for a `Value` and
    for what is not a number.
    """
    right, n_samples = _count_right("zero_one_loss", predictions, targets)
    return (n_samples - right) / n_samples


def accuracy(predictions: ArrayLike, targets: ArrayLike) -> float:
    """The share of samples that got the right label: 1 − `zero_one_loss`, whose arguments and errors it has."""
    right, n_samples = _count_right("accuracy", predictions, targets)
    return right / n_samples


def _count_right(where: str, predictions: Any, targets: Any) -> tuple[int, int]:
    predicted, wanted, shape = _pair(where, "predictions", predictions, targets)
    for name, numbers in (("predictions", predicted), ("targets", wanted)):
        for index, number in enumerate(numbers):
            if isinstance(number, Value) or not number.is_integer():
                raise _no_label(where, number, place_in(name, shape, index))
    if len(shape) > 1:
        raise ValueError(f"{where}: expected one label for each sample, got shape {shape}")
    return sum(p == y for p, y in zip(predicted, wanted, strict=True)), len(predicted)


def _no_label(where: str, number: Number, place: str) -> Exception:
    if isinstance(number, Value):
        return TypeError(
            f"{where}: expected labels, plain numbers, got {describe(number)} in {place}; nothing can be trained by it:"
            " train by a cross-entropy, and count the labels of heaviside or Classifier.predict"
        )
    return ValueError(
        f"{where}: expected labels, whole numbers, got {number} in {place}; heaviside or Classifier.predict makes"
        " labels of outputs"
    )


# What they share


def _mean(costs: Iterable[Number], n_samples: int) -> Number:
    mean = reduce(add, costs) / n_samples
    if isinstance(mean, Value):
        mean.label = "loss"
    return mean


def _cost(probability: Number) -> Number:
    return 0.0 - log(probability)  # -log(1) would be -0.0


def _cost_of_rest(probability: Number) -> Number:
    return 0.0 - log1p(-probability)


# Arguments


def _pair(where: str, name: str, predictions: Any, targets: Any) -> tuple[list[Number], list[Number], Shape]:
    """Predictions and targets without their shape, which has to be the same, and that shape."""
    predicted: list[Number] = []
    wanted: list[Number] = []
    shape = flatten(predictions, where, name, predicted)
    targets_shape = flatten(targets, where, "targets", wanted)
    if not predicted:
        raise ValueError(f"{where}: expected at least one {_SINGULAR[name]}, got none")
    if shape != targets_shape:
        raise ValueError(f"{where}: expected targets of shape {shape}, as the {name} have, got {targets_shape}")
    return predicted, wanted, shape


_SINGULAR = {"predictions": "prediction", "logits": "logit", "probabilities": "probability"}


def _plain(where: str, targets: list[Number]) -> list[Number]:
    """The targets, if they are plain numbers or stand for such."""
    for target in targets:
        if isinstance(target, Value) and not is_stand_in(target):
            raise TypeError(f"{where}: expected plain numbers in targets, got {describe(target)}")
    return targets


def _labels(
    where: str, targets: list[Number], shape: Shape, allowed: range | tuple[int, int], advice: str = ""
) -> list[Number]:
    labels = _plain(where, targets)
    for index, label in enumerate(labels):
        if not isinstance(label, Value) and label not in allowed:
            choice = f"{allowed[0]} or {allowed[1]}" if len(allowed) == 2 else f"classes from 0 to {allowed[-1]}"
            place = place_in("targets", shape, index)
            raise ValueError(f"{where}: expected targets to be {choice}, got {label} in {place}{advice}")
    return labels


def _check_probabilities(where: str, probabilities: list[Number], shape: Shape, advice: str) -> None:
    for index, p in enumerate(probabilities):
        if p < 0 or p > 1:  # a NaN goes on into the loss, where `fit` finds it
            place = place_in("probabilities", shape, index)
            raise ValueError(f"{where}: expected probabilities from 0 to 1, got {float(p)} in {place}{advice}")


def _sample_shape(shape: Shape) -> tuple[int, int]:
    """S and C."""
    if 0 in shape:
        raise ValueError("cross_entropy: expected at least one logit, got none")
    if len(shape) not in (1, 2) or shape[-1] < 2:
        raise ValueError(
            f"cross_entropy: expected rows of at least two logits, one for each class, got shape {shape}; for one"
            " output there is binary_cross_entropy_with_logits"
        )
    return (shape[0] if len(shape) == 2 else 1), shape[-1]


def _shapes_for(shape: Shape) -> str:
    return f"{shape[:-1]} or {shape}" if len(shape) == 2 else f"{shape[:-1]}"


def _distributions(targets: list[Number], n_samples: int) -> list[list[Number]]:
    numbers: list[Any] = _plain("cross_entropy", targets)
    n_classes = len(numbers) // n_samples
    rows = [numbers[start : start + n_classes] for start in range(0, len(numbers), n_classes)]
    for place, row in enumerate([] if is_stand_in(numbers[0]) else rows):
        if not all(y >= 0 for y in row) or not abs(sum(row) - 1) <= 1e-6:  # single precision will do
            raise ValueError(
                f"cross_entropy: expected rows of targets to hold 0 or more and sum to 1, got {row} in targets[{place}]"
            )
    return rows

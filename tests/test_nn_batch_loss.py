"""Which losses are sums over samples, and what their formula for one sample is."""

import math
from collections.abc import Callable
from functools import reduce
from itertools import count, pairwise
from operator import add
from typing import Any

import numpy as np
import pytest

from autograd_mini import NotTraceableError, Value, exp, softplus, tanh
from nn import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    mse_loss,
    negative_log_likelihood,
)
from nn.batch_loss import Formula, Layout, find_formula

PARAMETERS = [Value(0.5, "v"), Value(-1.5, "w")]
V, W = PARAMETERS


def formula_of(loss: Callable[..., Any], prediction: Any, targets: list[Any]) -> tuple[Formula, Layout]:
    layout = Layout(prediction)
    numbers = [value.data for value in layout.numbers(prediction)]
    targets = [targets[place % len(targets)] for place in range(3)]
    return find_formula(loss, layout, [numbers] * 3, targets, PARAMETERS), layout


def value_and_gradients(loss: Value, leaves: list[Value]) -> list[float]:
    for leaf in leaves:
        leaf.grad = 0.0
    loss.backward()
    return [loss.data, *(leaf.grad for leaf in leaves)]


def compare(
    loss: Callable[..., Any], predictions: list[Any], targets: list[Any], rel: float = 1e-12
) -> tuple[Formula, list[float]]:
    """The mean of the formula over the samples is the loss, and so are the gradients; returns those."""
    formula, layout = formula_of(loss, predictions[0], targets)
    leaves = [leaf for prediction in predictions for leaf in layout.numbers(prediction)] + PARAMETERS
    expected = value_and_gradients(loss(predictions, targets), leaves)
    parts = []
    for prediction, target in zip(predictions, targets, strict=True):
        flat = np.ravel(target).tolist()
        columns = [column.function(flat[column.place]) for column in formula.columns]
        parts.append(formula(layout.numbers(prediction), columns, float(len(targets))))
    mean: Any = reduce(add, parts) / len(parts)
    found = value_and_gradients(mean, leaves)
    np.testing.assert_allclose(found, expected, rtol=rel, atol=0)
    return formula, found


def leaves(numbers: list[float]) -> list[Value]:
    return [Value(number) for number in numbers]


# Losses of a user's own


def squares(predictions: list[Any], targets: list[Any]) -> list[Any]:
    return [(p - t) ** 2 for p, t in zip(predictions, targets, strict=True)]


def penalty() -> Any:
    return sum(p * p for p in PARAMETERS)


def one_after_the_other(predictions: list[Any], targets: list[Any]) -> Any:
    loss: Any = Value(0.0)
    for parameter in PARAMETERS:
        loss += 0.1 * parameter**2
    for p, t in zip(predictions, targets, strict=True):
        loss = loss + (p - t) ** 2 / len(predictions)
        loss = loss - 0.25 * p
    return loss


def the_penalty_within(predictions: list[Any], targets: list[Any]) -> Any:
    return (penalty() + sum(squares(predictions, targets))) / len(predictions)


def micrograd(predictions: list[Any], targets: list[Any]) -> Any:
    losses = [(1 + -y * z).relu() for y, z in zip(targets, predictions, strict=True)]
    return sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in PARAMETERS)


SUMS: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "the mean": lambda p, t: reduce(add, squares(p, t)) / len(p),
    "the sum": lambda p, t: sum(squares(p, t)),
    "half the mean, from the right": lambda p, t: 1 / (2 * len(p)) * reduce(add, squares(p, t)[::-1]),
    "a weight within": lambda p, t: reduce(add, [(1 / len(p)) * each for each in squares(p, t)]),
    "the sum over the square of S": lambda p, t: sum(squares(p, t)) / len(p) ** 2,
    "its negative": lambda p, t: -(1 - sum(squares(p, t))),
    "in pairs": lambda p, t: reduce(add, squares(p[:1], t[:1])) + reduce(add, squares(p[1:], t[1:])),
    "micrograd": micrograd,
    "a loop": one_after_the_other,
    "a penalty within the mean": the_penalty_within,
    "a penalty over 2S, as scikit-learn has it": lambda p, t: mse_loss(p, t) + 0.3 / (2 * len(p)) * penalty(),
    "a constant for each sample": lambda p, t: sum([each + 1.0 for each in squares(p, t)]),
    "a size counted by Values": lambda p, t: sum(squares(p, t)) / sum([Value(1.0) for _ in p]),
    "a normal likelihood with a scale that is learnt": lambda p, t: mse_loss(p, t) / (2 * exp(2 * V)) + V,
    "two means": lambda p, t: mse_loss(p, t) + reduce(add, map(abs, p)) / len(p),
    "twice the same sum": lambda p, t: (lambda total: total + 2 * total)(sum(squares(p, t))),
    "parameters in each part": lambda p, t: sum([tanh(V * each + W) for each in squares(p, t)]) / len(p),
    "no target": lambda p, t: sum([each * each for each in p]) / len(p),
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_sum_over_samples(name: str, size: int) -> None:
    if name == "in pairs" and size == 1:
        return
    random = np.random.default_rng(size)
    compare(SUMS[name], leaves(random.normal(size=size).tolist()), random.normal(size=size).tolist())


def test_a_mean_needs_no_size_and_a_sum_does() -> None:
    assert not compare(SUMS["the mean"], leaves([1.0, 2.0]), [3.0, 5.0])[0].needs_size
    assert compare(SUMS["the sum"], leaves([1.0, 2.0]), [3.0, 5.0])[0].needs_size


def test_what_is_not_used_is_no_column() -> None:
    assert not compare(SUMS["no target"], leaves([1.0, 2.0]), [3.0, 5.0])[0].columns


WEIGHTS = [1.0, 2.0, 4.0]
COUNTED = count()
OTHERS: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "the root": lambda p, t: mse_loss(p, t).sqrt(),
    "a product of samples": lambda p, t: p[0] * p[1] + sum(squares(p, t)),
    "a difference to the mean": lambda p, t: sum([(each - sum(p) / len(p)) ** 2 for each in p]),
    "a weight for each place": lambda p, t: sum([w * each for w, each in zip(WEIGHTS, squares(p, t), strict=False)]),
    "another part for the first": lambda p, t: abs(p[0]) + sum(squares(p[1:], t[1:])),
    "the first alone": lambda p, t: p[0] * p[0],
    "a size that is no power": lambda p, t: sum(squares(p, t)) / (len(p) + 1),
    "a weighted mean": lambda p, t: sum([y * each for y, each in zip(t, p, strict=True)]) / sum(t),
    "a pair without a last": lambda p, t: sum([abs(a - b) for a, b in pairwise(p)]),
    "a count": lambda p, t: next(COUNTED) * mse_loss(p, t),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_sum_over_samples_is_refused(name: str) -> None:
    with pytest.raises(NotTraceableError, match=r"^fit: the loss is not a sum over samples$"):
        formula_of(OTHERS[name], Value(0.5), [1.0, 2.0, 3.0])


def test_python_that_looks_at_a_number_is_named() -> None:
    def loss(predictions: list[Any], targets: list[Any]) -> Any:
        return sum(softplus(-z) if y > 0 else softplus(z) for z, y in zip(predictions, targets, strict=True))

    with pytest.raises(NotTraceableError, match=r"got a comparison, >: .* return sum\(softplus\(-z\)"):
        formula_of(loss, Value(0.5), [1.0, -1.0])


def test_a_loss_that_is_a_plain_number() -> None:
    with pytest.raises(NotTraceableError, match="got a plain number"):
        formula_of(lambda p, t: 3.0, Value(0.5), [1.0])


def test_a_long_loss_takes_no_recursion() -> None:
    def loss(predictions: list[Any], targets: list[Any]) -> Any:
        def long(z: Any) -> Any:
            for _ in range(5000):
                z = z * 0.999
            return z * z

        return sum(map(long, predictions))

    compare(loss, leaves([1.0, 2.0, 3.0]), [0.0, 0.0, 0.0])


# Predictions


@pytest.mark.parametrize(
    "prediction",
    [
        Value(1.0),
        [Value(1.0), Value(2.0)],
        (Value(1.0), [Value(2.0), 3.0]),
        {"mean": Value(1.0), "scale": [2.0, Value(3.0)]},
        np.array([[Value(1.0), 2.0], [Value(3.0), Value(4.0)]], dtype=object),
    ],
    ids=lambda prediction: type(prediction).__name__,
)
def test_a_prediction_is_put_together_again(prediction: Any) -> None:
    layout = Layout(prediction)
    assert repr(layout.put(layout.numbers(prediction))) == repr(prediction)


def test_predictions_with_constants_in_nested_lists() -> None:
    def loss(predictions: list[Any], targets: list[Any]) -> Any:
        return sum(weight * (mean - y) ** 2 for (mean, [weight, _]), y in zip(predictions, targets, strict=True)) / len(
            predictions
        )

    random = np.random.default_rng(3)
    predictions = [(Value(float(a)), [2.0, Value(float(b))]) for a, b in random.normal(size=(4, 2))]
    compare(loss, predictions, random.normal(size=4).tolist())


# The losses of nn

LOGITS = [0.0, 1.0, -1.0, 0.3, -7.5, 36.0, -36.0, 38.0, -38.0, 300.0, -300.0, 745.0, -745.0, 1e-8]
PROBABILITIES = [0.5, 1e-300, 1e-16, 1e-9, 0.25, 1 - 1e-9, 1 - 2**-53, 0.999]
ROWS = [[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [40.0, -40.0, 0.0], [-300.0, 300.0, 299.0], [1e3, 1e3 + 1e-9, -1e3]]


@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_with_logits_in_the_tails(label: int) -> None:
    for z in LOGITS:
        compare(binary_cross_entropy_with_logits, leaves([z]), [label])


@pytest.mark.parametrize("label", [0, 1])
def test_binary_cross_entropy_in_the_tails(label: int) -> None:
    for p in [*PROBABILITIES, 1.0 if label else 0.0]:
        compare(binary_cross_entropy, leaves([p]), [label])


@pytest.mark.parametrize("label", [-1, 1])
def test_the_hinge_and_its_kink(label: int) -> None:
    for z in [0.0, 1.0, -1.0, 0.5, 3.0, -3.0, math.nextafter(1, 0), math.nextafter(1, 2)]:
        compare(hinge_loss, leaves([z]), [label])


@pytest.mark.parametrize("label", [0, 1, 2])
def test_the_cross_entropy_of_a_class(label: int) -> None:
    for row in ROWS:
        compare(cross_entropy, [leaves(row)], [label], rel=2e-12)


@pytest.mark.parametrize("weights", [[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
def test_the_cross_entropy_of_a_distribution(weights: list[float]) -> None:
    for row in ROWS:
        compare(cross_entropy, [leaves(row)], [weights], rel=2e-12)


@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_the_negative_log_likelihood(y: float) -> None:
    for p in [*PROBABILITIES, 1.0, *([0.0] if y == 0 else [])]:
        compare(negative_log_likelihood, leaves([p]), [y])


@pytest.mark.parametrize(
    ("loss", "predictions", "targets"),
    [
        (mse_loss, [[0.1, 0.2], [0.3, 0.4], [1.0, -1.0]], [[1, 2], [3, 4], [5, 6]]),
        (hinge_loss, [[0.1, 0.2], [0.3, 2.4], [1.0, -1.0]], [[1, -1], [-1, -1], [1, 1]]),
        (binary_cross_entropy_with_logits, [[0.1, 0.2], [0.3, 2.4]], [[1, 0], [1, 1]]),
        (binary_cross_entropy, [[0.1, 0.2], [0.3, 0.4]], [[1, 0], [1, 1]]),
        (negative_log_likelihood, [[0.1, 0.9], [0.3, 0.7]], [[1, 0], [0.5, 0.5]]),
        (cross_entropy, ROWS, [0, 2, 1, 1, 0]),
        (cross_entropy, ROWS[:2], [[0.1, 0.2, 0.7], [0.0, 0.0, 1.0]]),
    ],
)
def test_rows_and_batches(loss: Any, predictions: list[list[float]], targets: list[Any]) -> None:
    compare(loss, [leaves(row) for row in predictions], targets, rel=2e-12)

    def with_penalty(p: list[Any], t: list[Any]) -> Any:
        return loss(p, t) + 0.1 / (2 * len(p)) * penalty()

    compare(with_penalty, [leaves(row) for row in predictions], targets, rel=2e-12)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("loss", [binary_cross_entropy, negative_log_likelihood])
def test_no_probability_is_nan(loss: Any, label: int, probability: float) -> None:
    """At which `fit` runs the loss on the numbers, which names the one that is wrong."""
    formula, _ = formula_of(loss, Value(0.5), [label])
    columns = [column.function(float(label)) for column in formula.columns]
    assert math.isnan(float(formula([Value(probability)], columns, 1.0)))

"""The losses and `SGD`: hand-worked numbers, the documents' formulas, other libraries, tails, and wrong arguments."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_mini import Value, assert_gradients, grad, hessian
from nn import MLP, SGD, fit, mse_loss
from nn.classifiers import heaviside, softmax
from nn.losses import (
    accuracy,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    hinge_loss,
    negative_log_likelihood,
    zero_one_loss,
)

Loss = Callable[[Any, Any], Any]

quick = settings(max_examples=100, deadline=None)
logits = st.floats(-30, 30)
seeds = st.integers(0, 2**32 - 1)


def value_and_gradient(loss: Loss, predictions: Any, targets: Any) -> tuple[float, Any]:
    """The loss, and its gradient in the shape of the predictions."""
    array = np.array(predictions, dtype=float)
    leaves = [Value(number) for number in array.ravel().tolist()]
    result = loss(np.array(leaves, dtype=object).reshape(array.shape).tolist(), targets)
    assert isinstance(result, Value)
    assert result.label == "loss"
    result.backward()
    return result.data, np.array([leaf.grad for leaf in leaves]).reshape(array.shape)


def error_of(call: Callable[[], object]) -> tuple[type[BaseException], str]:
    with pytest.raises((ValueError, TypeError)) as raised:
        call()
    return raised.type, str(raised.value)


# mse_loss


def test_one_prediction() -> None:
    prediction = Value(3.0)
    loss = mse_loss(prediction, 1.0)
    loss.backward()
    assert (loss.data, prediction.grad, loss.label) == (4.0, 4.0, "loss")


def test_the_mean_over_samples() -> None:
    predictions = [Value(2.0), Value(-1.0)]
    loss = mse_loss(predictions, [5.0, 0.0])
    loss.backward()
    assert loss.data == 5.0  # ((2 - 5)² + (-1 - 0)²) / 2
    assert [prediction.grad for prediction in predictions] == [-3.0, -1.0]


def test_the_mean_over_all_numbers_of_several_outputs() -> None:
    predictions = [[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]]
    loss = mse_loss(predictions, np.zeros((2, 2)))
    loss.backward()
    assert loss.data == 7.5  # 30 / 4, as in PyTorch
    assert [[prediction.grad for prediction in row] for row in predictions] == [[0.5, 1.0], [1.5, 2.0]]


def test_plain_numbers_give_a_float() -> None:
    assert mse_loss(3.0, 1.0) == 4.0
    assert mse_loss([1, 2], (1, 4)) == 2.0
    assert mse_loss(np.array([[1.0], [2.0]]), np.array([[0.0], [0.0]])) == 2.5
    assert isinstance(mse_loss(np.float64(3.0), np.int64(1)), float)


def test_it_follows_ieee_754() -> None:
    assert mse_loss(1e200, -1e200) == math.inf
    assert mse_loss(Value(1e200), 0.0).data == math.inf
    assert math.isnan(mse_loss([math.nan], [1.0]))


def test_targets_may_be_values() -> None:
    target = Value(1.0)
    mse_loss(Value(3.0), target).backward()
    assert target.grad == -4.0


def test_no_leading_zero_is_recorded() -> None:
    loss = mse_loss([Value(2.0), Value(3.0)], [0.0, 0.0])
    assert loss.op is not None
    assert loss.op.name == "div"
    (total,) = loss.parents
    assert [parent.data for parent in total.parents] == [4.0, 9.0]


@pytest.mark.parametrize(
    ("predictions", "targets", "error", "message"),
    [
        ([], [], ValueError, "mse_loss: expected at least one prediction, got none"),
        ([[], []], [[], []], ValueError, "mse_loss: expected at least one prediction, got none"),
        (
            [1.0, 2.0],
            [1.0, 2.0, 3.0],
            ValueError,
            "mse_loss: expected targets of shape (2,), as the predictions have, got (3,)",
        ),
        (
            [1.0, 2.0],
            [[1.0], [2.0]],
            ValueError,
            "mse_loss: expected targets of shape (2,), as the predictions have, got (2, 1)",
        ),
        (
            [[1.0, 2.0], [3.0]],
            [[1.0, 2.0], [3.0]],
            ValueError,
            "mse_loss: expected rows of equal length in predictions, got shape (2,) first and (1,) at 1",
        ),
        (
            [1.0, 2.0],
            [1.0, [2.0]],
            ValueError,
            "mse_loss: expected rows of equal length in targets, got shape () first and (1,) at 1",
        ),
        ([1.0], ["a"], TypeError, "mse_loss: expected numbers in targets, got str 'a'"),
        (None, 1.0, TypeError, "mse_loss: expected numbers in predictions, got NoneType None"),
    ],
)
def test_case_22_wrong_arguments_of_mse_loss(
    predictions: Any, targets: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        mse_loss(predictions, targets)
    assert str(raised.value) == message


# binary_cross_entropy_with_logits


def test_a_logit_of_zero_costs_log_two_either_way() -> None:
    for label, slope in ((0, 0.5), (1, -0.5)):
        cost, gradient = value_and_gradient(binary_cross_entropy_with_logits, 0.0, label)
        assert (cost, gradient) == (math.log(2), slope)


def test_the_mean_over_samples_by_hand() -> None:
    """At z = log 3, σ is 3/4: the costs are -log(3/4) and -log(1/4), the slopes (σ - y) / 2."""
    z = math.log(3)
    cost, gradient = value_and_gradient(binary_cross_entropy_with_logits, [z, z], [1, 0])
    assert cost == pytest.approx((math.log(4 / 3) + math.log(4)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, [-0.125, 0.375], rtol=1e-15)


@quick
@given(samples=st.lists(st.tuples(logits, st.integers(0, 1)), min_size=1, max_size=5))
def test_the_cross_entropy_of_gill_and_gill(samples: list[tuple[float, int]]) -> None:
    z, y = (np.array(column, dtype=float) for column in zip(*samples, strict=True))
    p, rest = 1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))  # 1 - p loses its digits in the right tail
    printed = -1 / len(z) * np.sum(y * np.log(p) + (1 - y) * np.log(rest))
    slopes = np.where(y > 0, -rest, p) / len(z)
    cost, gradient = value_and_gradient(binary_cross_entropy_with_logits, z, y)
    assert cost == pytest.approx(printed, rel=1e-13, abs=1e-15)  # the log of a number near 1 has no more digits
    np.testing.assert_allclose(gradient, slopes, rtol=1e-13)


def test_the_cross_entropy_of_the_network_of_section_3_1() -> None:
    """The chain rule through the paper's loss: (σ(ŷₛ) − yₛ) / S times what BP1 and BP2 give for each sample."""
    random = np.random.default_rng(3)
    weights = [random.normal(size=shape) for shape in ((2, 3), (3, 2), (1, 3))]
    biases = [random.normal(size=size) for size in (2, 3, 1)]
    model = MLP(3, [2, 3, 1], activation="sigmoid", init=list(zip(weights, biases, strict=True)))
    samples, labels = [np.array([2.0, 4.0, 3.0]), np.array([1.0, 0.0, 5.0])], [1, 0]
    binary_cross_entropy_with_logits([model(x) for x in samples], labels).backward()
    expected = [np.zeros_like(weight) for weight in weights]
    for x, y in zip(samples, labels, strict=True):
        output = oracles.forward(weights, biases, x, "sigmoid")[1][-1][0]
        by_weights, _ = oracles.back_propagate(weights, biases, x, "sigmoid")
        factor = (1 / (1 + np.exp(-output)) - y) / 2
        expected = [total + factor * by.T for total, by in zip(expected, by_weights, strict=True)]
    for layer, by_weight in zip(model.layers, expected, strict=True):
        np.testing.assert_allclose([[weight.grad for weight in row] for row in layer.weights], by_weight, rtol=1e-12)


@pytest.mark.parametrize(
    ("logit", "label", "cost", "slope"),
    [
        (1000.0, 1, 0.0, 0.0),
        (1000.0, 0, 1000.0, 1.0),
        (-1000.0, 1, 1000.0, -1.0),
        (-1000.0, 0, 0.0, 0.0),
        (40.0, 1, 4.248354255291589e-18, -4.248354255291589e-18),
        (-40.0, 0, 4.248354255291589e-18, 4.248354255291589e-18),
        (1e308, 0, 1e308, 1.0),
        (math.inf, 1, 0.0, 0.0),
        (-math.inf, 1, math.inf, -1.0),
    ],
)
def test_case_15_the_tails_of_two_classes(logit: float, label: int, cost: float, slope: float) -> None:
    found, gradient = value_and_gradient(binary_cross_entropy_with_logits, logit, label)
    assert found == pytest.approx(cost, rel=1e-14, abs=0)
    assert gradient == pytest.approx(slope, rel=1e-14, abs=0)
    second = hessian(lambda z: binary_cross_entropy_with_logits(z, label))(logit)
    assert second == pytest.approx(math.exp(-abs(logit)), rel=1e-14, abs=0)  # σ(z) σ(−z), far out


def test_case_15_tells_the_formula_as_it_is_printed_from_a_stable_one() -> None:
    def printed(z: Value) -> Value:
        return -(1 - z.sigmoid()).log()

    z = Value(1000.0)
    assert printed(z).data == math.inf
    z = Value(-40.0)
    cost = printed(z)
    cost.backward()
    assert cost.data == 0.0  # where 4.2e-18 is right


# binary_cross_entropy


def test_probabilities_by_hand() -> None:
    cost, gradient = value_and_gradient(binary_cross_entropy, [0.25, 0.25], [1, 0])
    assert cost == pytest.approx((math.log(4) + math.log(4 / 3)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, [-2.0, 2 / 3], rtol=1e-15)


@pytest.mark.parametrize(
    ("probability", "label", "cost", "slope"),
    [
        (0.0, 0, 0.0, 1.0),
        (1.0, 1, 0.0, -1.0),
        (0.0, 1, math.inf, -math.inf),
        (1.0, 0, math.inf, math.inf),
        (1e-300, 0, 1e-300, 1.0),
        (1e-300, 1, 690.7755278982137, -1e300),
    ],
)
def test_probabilities_of_exactly_0_and_1(probability: float, label: int, cost: float, slope: float) -> None:
    found, gradient = value_and_gradient(binary_cross_entropy, probability, label)
    assert found == pytest.approx(cost, rel=1e-14, abs=0)
    assert gradient == pytest.approx(slope, rel=1e-14, abs=0)
    assert math.copysign(1, found) == 1  # no -0.0


@quick
@given(z=logits, label=st.integers(0, 1))
def test_the_two_forms_agree(z: float, label: int) -> None:
    expected, slope = value_and_gradient(binary_cross_entropy_with_logits, z, label)
    cost, gradient = value_and_gradient(lambda z, y: binary_cross_entropy(z.sigmoid(), y), z, label)
    # 1 - σ(z) is only known to 1e-16, which is much of it in the right tail.
    tolerance = 1e-13 + 1e-15 * math.exp(max(z, 0))
    assert cost == pytest.approx(expected, rel=tolerance, abs=1e-15)
    assert gradient == pytest.approx(slope, rel=tolerance)


def test_a_model_that_was_sure_and_wrong_stops_fit() -> None:
    model = MLP(1, [1], output_activation="sigmoid", init=[([[100.0]], [0.0])])
    with pytest.raises(FloatingPointError, match="the loss is inf in epoch 1"):
        fit(model, [1.0], [0], loss=binary_cross_entropy)
    assert [parameter.data for parameter in model.parameters()] == [100.0, 0.0]
    model = MLP(1, [1], init=[([[100.0]], [0.0])])
    assert fit(model, [1.0], [0], loss=binary_cross_entropy_with_logits, epochs=1) == [100.0]


# hinge_loss


def test_the_hinge_by_hand() -> None:
    predictions, targets = [0.5, 2.0, 0.5, -3.0, 1.0], [1, 1, -1, -1, 1]
    cost, gradient = value_and_gradient(hinge_loss, predictions, targets)
    assert cost == 0.4  # (0.5 + 0 + 1.5 + 0 + 0) / 5
    assert gradient.tolist() == [-0.2, 0.0, 0.2, 0.0, 0.0]  # at the kink, 1 · 1, it is 0


@quick
@given(samples=st.lists(st.tuples(st.floats(-1e3, 1e3), st.sampled_from([-1, 1])), min_size=1, max_size=5))
def test_the_hinge_in_numpy(samples: list[tuple[float, int]]) -> None:
    predictions, targets = (np.array(column, dtype=float) for column in zip(*samples, strict=True))
    expected = np.mean(np.maximum(0, 1 - targets * predictions))
    slopes = np.where(targets * predictions < 1, -targets, 0) / len(targets)
    cost, gradient = value_and_gradient(hinge_loss, predictions, targets)
    assert cost == pytest.approx(expected, rel=1e-14)
    np.testing.assert_array_equal(gradient, slopes)


# cross_entropy


def test_equal_logits_cost_the_log_of_the_number_of_classes() -> None:
    cost, gradient = value_and_gradient(cross_entropy, [7.0, 7.0, 7.0, 7.0], 2)
    assert cost == pytest.approx(math.log(4), rel=1e-15)
    np.testing.assert_allclose(gradient, [0.25, 0.25, -0.75, 0.25], rtol=1e-15)


def test_two_samples_of_three_classes_by_hand() -> None:
    """Softmax of log(1), log(2), log(5): 1/8, 2/8, 5/8."""
    row = [0.0, math.log(2), math.log(5)]
    cost, gradient = value_and_gradient(cross_entropy, [row, row], [2, 0])
    assert cost == pytest.approx((math.log(8 / 5) + math.log(8)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, np.array([[1, 2, -3], [-7, 2, 5]]) / 16, rtol=1e-14)


def test_a_distribution_as_target_by_hand() -> None:
    row = [0.0, math.log(2), math.log(5)]
    cost, gradient = value_and_gradient(cross_entropy, [row], [[0.5, 0.5, 0.0]])
    assert cost == pytest.approx((math.log(8) + math.log(4)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, np.array([[1 - 4, 2 - 4, 5]]) / 8, rtol=1e-14)


@pytest.mark.parametrize(
    ("row", "target", "cost", "slopes"),
    [
        ([1000.0, 0.0, -1000.0], 0, 0.0, [0.0, 0.0, 0.0]),
        ([1000.0, 0.0, -1000.0], 1, 1000.0, [1.0, -1.0, 0.0]),
        ([1000.0, 0.0, -1000.0], 2, 2000.0, [1.0, 0.0, -1.0]),
        ([-1000.0, -1000.0], 0, math.log(2), [-0.5, 0.5]),
        ([40.0, 0.0], 0, 4.248354255291589e-18, [-4.248354255291589e-18, 4.248354255291589e-18]),
        ([1e16 + 2, 1e16], 1, 2.1269280110429727, [0.8807970779778823, -0.8807970779778823]),
        ([-math.inf, 0.0, 0.0], 1, math.log(2), [0.0, -0.5, 0.5]),
    ],
)
def test_case_15_the_tails_of_several_classes(row: list[float], target: int, cost: float, slopes: list[float]) -> None:
    one_hot = [[float(place == target) for place in range(len(row))]]
    for predictions, targets in ((row, target), ([row], [target]), ([row], one_hot)):
        found, gradient = value_and_gradient(cross_entropy, predictions, targets)
        assert found == pytest.approx(cost, rel=1e-14, abs=0)
        np.testing.assert_allclose(np.ravel(gradient), slopes, rtol=1e-14, atol=0)


def test_the_difference_of_log_sum_exp_and_logit_would_not_do() -> None:
    """What most libraries compute is 0 where the loss is 4.2e-18."""
    row = np.array([40.0, 0.0])
    assert np.log(np.sum(np.exp(row - 40))) + 40 - row[0] == 0.0


@quick
@given(rows=st.lists(st.lists(logits, min_size=3, max_size=3), min_size=1, max_size=4), shift=st.floats(-8, 8))
def test_the_softmax_cross_entropy_in_numpy(rows: list[list[float]], shift: float) -> None:
    z = np.array(rows)
    targets = np.arange(len(z)) % 3
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    expected = -np.mean(np.log(p[np.arange(len(z)), targets]))
    cost, gradient = value_and_gradient(cross_entropy, z, targets)
    assert cost == pytest.approx(expected, rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(gradient, (p - np.eye(3)[targets]) / len(z), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(value_and_gradient(cross_entropy, z + shift, targets)[1], gradient, 1e-11, 1e-13)


@quick
@given(z0=logits, z1=logits, label=st.integers(0, 1))
def test_two_classes_are_the_binary_cross_entropy_of_the_difference(z0: float, z1: float, label: int) -> None:
    cost, (slope0, slope1) = value_and_gradient(cross_entropy, [z0, z1], label)
    binary, slope = value_and_gradient(binary_cross_entropy_with_logits, z1 - z0, label)
    assert cost == pytest.approx(binary, rel=1e-14, abs=0)
    assert (slope1, slope0) == (pytest.approx(slope, rel=1e-14, abs=0), -slope1)


@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_the_derivatives_pass_the_checker(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(0, 20, (2, 3)).tolist()
    weights = random.dirichlet([1, 1, 1], 2)
    assert_gradients(lambda z: cross_entropy(z, [2, 0]), (rows,))
    assert_gradients(lambda z: cross_entropy(z, weights), (rows,))
    assert_gradients(lambda z: binary_cross_entropy_with_logits(z, [[1, 0, 1], [0, 0, 1]]), (rows,))


@quick
@given(seed=seeds)
def test_the_second_derivatives_of_cross_entropy(seed: int) -> None:
    """diag(p) - p pᵀ."""
    z = np.random.default_rng(seed).normal(0, 2, 3)
    p = np.exp(z) / np.exp(z).sum()
    found = hessian(lambda z: cross_entropy(z, 1))(z.tolist())
    np.testing.assert_allclose(found, np.diag(p) - np.outer(p, p), rtol=1e-11, atol=1e-14)


# negative_log_likelihood


def test_minus_y_log_y0_by_hand() -> None:
    assert value_and_gradient(negative_log_likelihood, 0.5, 1.0) == (math.log(2), -2.0)
    cost, gradient = value_and_gradient(negative_log_likelihood, [0.5, 0.25], [1.0, 0.5])
    assert cost == pytest.approx((math.log(2) + 0.5 * math.log(4)) / 2, rel=1e-15)
    assert gradient.tolist() == [-1.0, -1.0]


def test_it_is_the_sum_over_outputs_and_the_mean_over_samples() -> None:
    probabilities = [[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]]
    cost, gradient = value_and_gradient(negative_log_likelihood, probabilities, [[1, 0, 0], [0, 0, 1]])
    assert cost == pytest.approx((math.log(2) + math.log(8)) / 2, rel=1e-15)
    assert gradient.tolist() == [[-1.0, 0.0, 0.0], [0.0, 0.0, -4.0]]


def test_without_its_minus_the_loss_would_fall_as_predictions_get_worse() -> None:
    good, bad = (negative_log_likelihood(p, 1.0) for p in (0.9, 0.1))
    assert good < bad
    assert 1.0 * math.log(0.9) > 1.0 * math.log(0.1)  # as nonlinear-least-squares prints it


def test_zero_times_log_of_zero_is_zero() -> None:
    cost, gradient = value_and_gradient(negative_log_likelihood, [[0.0, 1.0]], [[0.0, 1.0]])
    assert (cost, gradient.tolist()) == (0.0, [[0.0, -1.0]])
    assert value_and_gradient(negative_log_likelihood, [0.0, 0.5], [0.0, 0.0])[1].tolist() == [0.0, 0.0]
    assert value_and_gradient(negative_log_likelihood, 0.0, 0.5) == (math.inf, -math.inf)


@quick
@given(seed=seeds)
def test_of_a_softmax_it_is_the_cross_entropy(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, weights = random.normal(0, 5, (3, 4)), random.dirichlet(np.ones(4), 3)

    def of_a_softmax(rows: list[list[Value]], targets: Any) -> Value:
        return negative_log_likelihood([softmax(row) for row in rows], targets)

    cost, gradient = value_and_gradient(of_a_softmax, rows, weights)
    expected, slopes = value_and_gradient(cross_entropy, rows, weights)
    assert cost == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-11, atol=1e-14)


# zero_one_loss and accuracy


def test_the_share_of_wrong_labels() -> None:
    assert zero_one_loss([1, 0, 1, 1], [1, 1, 1, 0]) == 0.5
    assert zero_one_loss(np.array([2, 0, 1]), [2.0, 0.0, 1.0]) == 0.0
    assert zero_one_loss(1, 0) == 1.0
    assert type(zero_one_loss([True], [False])) is float


def test_as_printed_the_0_1_loss_counts_the_right_ones() -> None:
    labels, targets = np.array([1, 0, 1, 1, 0]), np.array([1, 1, 1, 1, 0])
    printed = sum(float(label == target) for label, target in zip(labels, targets, strict=True))
    assert printed == 5 * accuracy(labels, targets) == 4
    assert zero_one_loss(labels, targets) == pytest.approx(1 - printed / 5, rel=1e-15)


def test_labels_by_the_heaviside_step() -> None:
    outputs = [Value(-0.5), Value(0.0), Value(3.0)]
    assert zero_one_loss(heaviside(outputs), [1, 1, 0]) == pytest.approx(2 / 3)


def test_nothing_is_trained_by_the_0_1_loss() -> None:
    model = MLP(1, [1], init="ones")
    with pytest.raises(TypeError, match="nothing can be trained by it: train by a cross-entropy"):
        fit(model, [1.0, 2.0], [0, 1], loss=zero_one_loss)
    assert [parameter.data for parameter in model.parameters()] == [1.0, 0.0]


# All of them


EVERY_LOSS: list[tuple[Loss, list[float]]] = [
    (mse_loss, [0.0, 1.0]),
    (binary_cross_entropy_with_logits, [0.0, 1.0]),
    (binary_cross_entropy, [0.0, 1.0]),
    (hinge_loss, [-1.0, 1.0]),
    (negative_log_likelihood, [0.0, 1.0]),
]


@pytest.mark.parametrize(("loss", "labels"), EVERY_LOSS)
def test_every_shape_and_kind_of_input(loss: Loss, labels: list[float]) -> None:
    predictions = [0.25, 0.5]
    expected = loss(predictions, labels)
    assert type(expected) is float
    assert loss([Value(p) for p in predictions], labels).data == expected
    assert loss(np.array(predictions), tuple(labels)) == expected
    assert loss(predictions, np.array(labels, dtype=np.float32)) == expected
    assert loss([predictions[0]], [labels[0]]) == loss(predictions[0], labels[0])
    assert loss([[p] for p in predictions], np.array(labels).reshape(2, 1)) == expected
    assert math.isnan(loss([math.nan, 0.5], labels))


@pytest.mark.parametrize("loss", [loss for loss, _ in EVERY_LOSS if loss is not negative_log_likelihood])
def test_the_mean_is_over_all_numbers_of_several_outputs(loss: Loss) -> None:
    predictions, targets = [[0.25, 0.5, 0.75], [0.125, 0.5, 1.0]], [[1, 1, 1], [1, 1, 1]]
    one_by_one = [loss(p, 1) for row in predictions for p in row]
    assert loss(predictions, targets) == pytest.approx(np.mean(one_by_one), rel=1e-15)


def test_every_kind_of_input_of_cross_entropy() -> None:
    rows = [[1.0, 2.0, 4.0], [0.5, -1.0, 0.0]]
    expected = cross_entropy(rows, [1, 2])
    assert type(expected) is float
    assert cross_entropy(np.array(rows), np.array([1, 2])) == expected
    assert cross_entropy(rows, [1.0, 2.0]) == expected  # fit hands numbers on as floats
    assert cross_entropy(rows, np.eye(3)[[1, 2]]) == expected
    assert cross_entropy(rows[0], True) == cross_entropy([rows[0]], [1])
    assert math.isnan(cross_entropy([[0.0, math.nan, 0.0]], [0]))


@pytest.mark.parametrize(
    ("loss", "n_outputs", "targets"),
    [
        (binary_cross_entropy_with_logits, 1, [0, 0, 1, 1]),
        (hinge_loss, 1, [-1, -1, 1, 1]),
        (cross_entropy, 3, [0, 2, 1, 1]),
    ],
)
def test_fit_trains_by_it(loss: Loss, n_outputs: int, targets: list[int]) -> None:
    model = MLP(1, [n_outputs], init="zeros")
    history = fit(model, [-2.0, -1.0, 1.0, 2.0], targets, loss=loss, optimizer=SGD(0.5), epochs=50)
    assert history[0] == pytest.approx({1: 1.0 if loss is hinge_loss else math.log(2), 3: math.log(3)}[n_outputs])
    assert history[-1] < 0.6 * history[0]


def test_grad_of_a_loss() -> None:
    assert grad(lambda p: binary_cross_entropy(p, [0, 1]))([0.5, 0.5]) == [1.0, -1.0]


# Other libraries


@settings(max_examples=40, deadline=None)
@given(seed=seeds, n_samples=st.integers(1, 5), n_classes=st.integers(2, 5), scale=st.sampled_from([1.0, 10.0]))
def test_values_and_gradients_of_pytorch(seed: int, n_samples: int, n_classes: int, scale: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    functional = torch.nn.functional
    random = np.random.default_rng(seed)
    rows = random.normal(0, scale, (n_samples, n_classes))
    probabilities = 1 / (1 + np.exp(-random.normal(0, 3, rows.shape)))
    labels = random.integers(0, 2, rows.shape).astype(float)
    classes = random.integers(0, n_classes, n_samples)
    weights = random.dirichlet(np.ones(n_classes), n_samples)

    def hinge(z: Any, y: Any) -> Any:
        return torch.relu(1 - y * z).mean()

    def minus_y_log_p(p: Any, y: Any) -> Any:
        return -(y * torch.log(p)).sum(dim=1).mean()

    for ours, theirs, predictions, targets in (
        (mse_loss, functional.mse_loss, rows, labels),
        (binary_cross_entropy_with_logits, functional.binary_cross_entropy_with_logits, rows, labels),
        (binary_cross_entropy, functional.binary_cross_entropy, probabilities, labels),
        (hinge_loss, hinge, rows, 2 * labels - 1),
        (cross_entropy, functional.cross_entropy, rows, classes),
        (cross_entropy, functional.cross_entropy, rows, weights),
        (negative_log_likelihood, minus_y_log_p, probabilities, weights),
    ):
        tensor = torch.tensor(predictions, requires_grad=True)
        expected = theirs(tensor, torch.tensor(targets))
        expected.backward()
        cost, gradient = value_and_gradient(ours, predictions, targets)
        assert cost == pytest.approx(expected.item(), rel=1e-12, abs=1e-15)
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("seed", range(10))
def test_values_of_scikit_learn(seed: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    random = np.random.default_rng(seed)
    labels = np.append(random.integers(0, 2, 10), [0, 1])
    others, outputs = random.integers(0, 2, 12), random.normal(size=12)
    probabilities = 1 / (1 + np.exp(-outputs))
    assert binary_cross_entropy(probabilities, labels) == pytest.approx(metrics.log_loss(labels, probabilities))
    assert hinge_loss(outputs, 2 * labels - 1) == pytest.approx(metrics.hinge_loss(labels, outputs), rel=1e-13)
    assert zero_one_loss(others, labels) == pytest.approx(metrics.zero_one_loss(labels, others), rel=1e-15)
    assert accuracy(others, labels) == pytest.approx(metrics.accuracy_score(labels, others), rel=1e-15)
    classes, rows = np.append(random.integers(0, 3, 9), [0, 1, 2]), random.normal(size=(12, 3))
    p = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    expected = metrics.log_loss(classes, p)
    assert cross_entropy(rows, classes) == pytest.approx(expected, rel=1e-13)
    assert negative_log_likelihood(p, np.eye(3)[classes]) == pytest.approx(expected, rel=1e-13)


# Wrong arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: binary_cross_entropy_with_logits([1.0, 2.0], [0, 2]),
            ValueError,
            "binary_cross_entropy_with_logits: expected targets to be 0 or 1, got 2.0 in targets[1]",
        ),
        (
            lambda: binary_cross_entropy([[0.5, 0.5]], [[1, 0.5]]),
            ValueError,
            "binary_cross_entropy: expected targets to be 0 or 1, got 0.5 in targets[0][1]",
        ),
        (
            lambda: binary_cross_entropy_with_logits(Value(1.0), math.nan),
            ValueError,
            "binary_cross_entropy_with_logits: expected targets to be 0 or 1, got nan in targets",
        ),
        (
            lambda: binary_cross_entropy([0.5, 1.5], [0, 1]),
            ValueError,
            "binary_cross_entropy: expected probabilities from 0 to 1, got 1.5 in probabilities[1]; for logits there"
            " is binary_cross_entropy_with_logits",
        ),
        (
            lambda: binary_cross_entropy(Value(-1e-9), 0),
            ValueError,
            "binary_cross_entropy: expected probabilities from 0 to 1, got -1e-09 in probabilities; for logits there"
            " is binary_cross_entropy_with_logits",
        ),
        (
            lambda: binary_cross_entropy_with_logits([1.0], [[1]]),
            ValueError,
            "binary_cross_entropy_with_logits: expected targets of shape (1,), as the logits have, got (1, 1)",
        ),
        (
            lambda: binary_cross_entropy_with_logits([], []),
            ValueError,
            "binary_cross_entropy_with_logits: expected at least one logit, got none",
        ),
        (
            lambda: binary_cross_entropy([], []),
            ValueError,
            "binary_cross_entropy: expected at least one probability, got none",
        ),
        (
            lambda: binary_cross_entropy_with_logits([1.0], ["1"]),
            TypeError,
            "binary_cross_entropy_with_logits: expected numbers in targets, got str '1'",
        ),
        (
            lambda: hinge_loss([1.0], [Value(1.0)]),  # type: ignore[arg-type]
            TypeError,
            "hinge_loss: expected plain numbers in targets, got Value Value(data=1.0, grad=0.0)",
        ),
        (
            lambda: hinge_loss([1.0, 2.0], [1, 0]),
            ValueError,
            "hinge_loss: expected targets to be -1 or 1, got 0.0 in targets[1]; labels 0 and 1 become those by"
            " 2 * y - 1",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0, 3.0]], [3]),
            ValueError,
            "cross_entropy: expected targets to be classes from 0 to 2, got 3.0 in targets[0]",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0, 3.0]], [0.5]),
            ValueError,
            "cross_entropy: expected targets to be classes from 0 to 2, got 0.5 in targets[0]",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0, 3.0]], [-1]),
            ValueError,
            "cross_entropy: expected targets to be classes from 0 to 2, got -1.0 in targets[0]",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0]], [2]),
            ValueError,
            "cross_entropy: expected targets to be 0 or 1, got 2.0 in targets[0]",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0, 3.0]] * 2, [0]),
            ValueError,
            "cross_entropy: expected targets of shape (2,) or (2, 3), got (1,)",
        ),
        (
            lambda: cross_entropy([1.0, 2.0, 3.0], [0, 1, 0]),
            ValueError,
            "cross_entropy: expected targets of shape (), got (3,)",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0, 3.0]], [[0.5, 0.5, 0.5]]),
            ValueError,
            "cross_entropy: expected rows of targets to hold 0 or more and sum to 1, got [0.5, 0.5, 0.5] in targets[0]",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0]] * 2, [[1, 0], [2, -1]]),
            ValueError,
            "cross_entropy: expected rows of targets to hold 0 or more and sum to 1, got [2.0, -1.0] in targets[1]",
        ),
        (
            lambda: cross_entropy([[1.0, 2.0]], [[math.nan, 1]]),
            ValueError,
            "cross_entropy: expected rows of targets to hold 0 or more and sum to 1, got [nan, 1.0] in targets[0]",
        ),
        (
            lambda: cross_entropy([[1.0], [2.0]], [0, 0]),
            ValueError,
            "cross_entropy: expected rows of at least two logits, one for each class, got shape (2, 1); for one output"
            " there is binary_cross_entropy_with_logits",
        ),
        (
            lambda: cross_entropy(1.0, 0),
            ValueError,
            "cross_entropy: expected rows of at least two logits, one for each class, got shape (); for one output"
            " there is binary_cross_entropy_with_logits",
        ),
        (lambda: cross_entropy([[]], [0]), ValueError, "cross_entropy: expected at least one logit, got none"),
        (
            lambda: negative_log_likelihood([0.5], [1.5]),
            ValueError,
            "negative_log_likelihood: expected targets from 0 to 1, got 1.5 in targets[0]",
        ),
        (
            lambda: negative_log_likelihood([2.0], [1]),
            ValueError,
            "negative_log_likelihood: expected probabilities from 0 to 1, got 2.0 in probabilities[0]; for logits there"
            " is cross_entropy",
        ),
        (
            lambda: zero_one_loss([0.7], [1]),
            ValueError,
            "zero_one_loss: expected labels, whole numbers, got 0.7 in predictions[0]; heaviside or Classifier.predict"
            " makes labels of outputs",
        ),
        (
            lambda: accuracy([1], [math.nan]),
            ValueError,
            "accuracy: expected labels, whole numbers, got nan in targets[0]; heaviside or Classifier.predict makes"
            " labels of outputs",
        ),
        (
            lambda: zero_one_loss([[1, 0]], [[1, 0]]),
            ValueError,
            "zero_one_loss: expected one label for each sample, got shape (1, 2)",
        ),
        (lambda: accuracy([], []), ValueError, "accuracy: expected at least one prediction, got none"),
    ],
)
def test_case_22_wrong_arguments(call: Callable[[], object], error: type[Exception], message: str) -> None:
    assert error_of(call) == (error, message)


# SGD


def test_a_step_is_the_learning_rate_times_the_gradient() -> None:
    parameters = [Value(1.0), Value(-2.0)]
    parameters[0].grad, parameters[1].grad = 4.0, -8.0
    SGD(0.25).step(parameters)
    assert [parameter.data for parameter in parameters] == [0.0, 0.0]
    assert [parameter.grad for parameter in parameters] == [4.0, -8.0]


def test_a_learning_rate_of_zero_changes_nothing() -> None:
    parameter = Value(1.0)
    parameter.grad = 4.0
    SGD(0).step([parameter])
    assert parameter.data == 1.0


def test_the_learning_rate_may_be_changed_between_steps() -> None:
    optimizer = SGD(0.1)
    optimizer.learning_rate = np.float64(0.5)
    assert repr(optimizer) == "SGD(0.5)"


@pytest.mark.parametrize(
    ("learning_rate", "error", "message"),
    [
        (-0.1, ValueError, "SGD: expected learning_rate to be a finite number of 0 or more, got -0.1"),
        (math.nan, ValueError, "SGD: expected learning_rate to be a finite number of 0 or more, got nan"),
        (math.inf, ValueError, "SGD: expected learning_rate to be a finite number of 0 or more, got inf"),
        ("0.1", TypeError, "SGD: expected learning_rate to be a number, got str '0.1'"),
        (None, TypeError, "SGD: expected learning_rate to be a number, got NoneType None"),
        ([0.1], TypeError, "SGD: expected learning_rate to be a number, got list [0.1]"),
    ],
)
def test_case_22_wrong_learning_rates(learning_rate: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        SGD(learning_rate)
    assert str(raised.value) == message
    optimizer = SGD(0.5)
    with pytest.raises(error):
        optimizer.learning_rate = learning_rate
    assert optimizer.learning_rate == 0.5

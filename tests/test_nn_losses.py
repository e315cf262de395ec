"""`mse_loss` and `SGD`: hand-worked numbers, shapes, and what a wrong argument gets."""

import math
from typing import Any

import numpy as np
import pytest

from autograd_mini import Value
from nn import SGD, mse_loss

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

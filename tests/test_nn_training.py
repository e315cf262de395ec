"""`fit`: against the algorithm in NumPy, against least squares, and when it is interrupted or fails."""

import math
import signal
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from types import FrameType
from typing import Any

import numpy as np
import oracles
import pytest

import nn.optimizers
import nn.training
from autograd_mini import Value
from nn import MLP, SGD, Module, fit, mse_loss

SAMPLES, TARGETS = [(2, 4, 3), (1, 0, 5)], [5, -1]
"""The two samples of Gill & Gill, section 3.1."""


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


class Line(Module):
    """y = slope · x + offset, by hand, as a model of a user's own."""

    def __init__(self, slope: float = 0.0, offset: float = 0.0) -> None:
        self.slope, self.offset = Value(slope), Value(offset)

    def __call__(self, x: float) -> Value:
        return self.slope * x + self.offset


# The algorithm


@pytest.mark.parametrize("epochs", [1, 2, 25])
def test_dl5_to_dl8_on_the_samples_of_the_paper(epochs: int) -> None:
    random = np.random.default_rng(5)
    weights = [random.normal(size=shape) for shape in ((2, 3), (3, 2), (1, 3))]
    biases = [random.normal(size=size) for size in (2, 3, 1)]
    model = MLP(3, [2, 3, 1], activation="sigmoid", init=list(zip(weights, biases, strict=True)))
    history = fit(model, SAMPLES, TARGETS, optimizer=SGD(0.1), epochs=epochs)
    samples, targets = np.array(SAMPLES, dtype=float), np.array(TARGETS, dtype=float)
    losses, weights, biases = oracles.train(weights, biases, samples, targets, "sigmoid", 0.1, epochs)
    assert history == pytest.approx(losses, rel=1e-11)
    for layer, weight, bias in zip(model.layers, weights, biases, strict=True):
        found = [[number.data for number in row] for row in layer.weights]
        np.testing.assert_allclose(found, weight, rtol=1e-10)
        np.testing.assert_allclose([number.data for number in layer.biases], bias, rtol=1e-10)


def test_one_epoch_by_hand() -> None:
    """Predictions 0 and 0 for 1 and 3: the loss is 5, its derivative by the slope -(1·1 + 2·3), by the offset -4."""
    model = Line()
    assert fit(model, [1, 2], [1, 3], optimizer=SGD(0.5), epochs=1) == [5.0]
    assert numbers(model) == [3.5, 2.0]


def test_the_loss_falls_on_the_samples_of_the_paper() -> None:
    model = MLP(3, [2, 3, 1], activation="sigmoid", init="xavier", seed=0)
    history = fit(model, SAMPLES, TARGETS, optimizer=SGD(0.1), epochs=200)
    assert len(history) == 200
    assert all(type(loss) is float for loss in history)
    assert all(later < earlier for earlier, later in pairwise(history[:20]))
    assert history[-1] < 0.01 * history[0]


def test_linear_regression_reaches_the_least_squares_solution() -> None:
    x, y = np.array([0.0, 0.5, 1.0, 1.5, 2.0]), np.array([1.1, 1.9, 3.2, 3.8, 5.1])
    model = MLP(1, [1], seed=0)
    fit(model, x, y, optimizer=SGD(0.3), epochs=600)
    slope, offset = np.linalg.lstsq(np.stack([x, np.ones(5)], axis=1), y, rcond=None)[0]
    assert numbers(model) == pytest.approx([slope, offset], rel=1e-12)


def test_a_seed_repeats_exactly() -> None:
    models = [MLP(3, [4, 1], "tanh", seed=3) for _ in range(2)]
    histories = [fit(model, SAMPLES, TARGETS, epochs=10) for model in models]
    assert histories[0] == histories[1]
    assert numbers(models[0]) == numbers(models[1])


def test_the_default_optimizer_is_gradient_descent_with_a_rate_of_one_hundredth() -> None:
    models = [MLP(3, [4, 1], seed=3) for _ in range(2)]
    assert fit(models[0], SAMPLES, TARGETS) == fit(models[1], SAMPLES, TARGETS, optimizer=SGD(0.01), epochs=100)


def test_gradients_left_from_before_do_not_count() -> None:
    model = Line()
    model.slope.grad = 1000.0
    fit(model, [1, 2], [1, 3], optimizer=SGD(0.5), epochs=1)
    assert numbers(model) == [3.5, 2.0]


@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([1, 2], [1, 3]),
        ((1.0, 2.0), (1.0, 3.0)),
        ([[1], [2]], [1, 3]),
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([[1.0], [2.0]], dtype=np.float32), [np.float32(1), np.int64(3)]),
        ([Value(1.0), [2.0][0]], [True, 3]),
    ],
)
def test_data_may_be_lists_or_arrays(X: Any, y: Any) -> None:  # noqa: N803
    model = MLP(1, [1], init="zeros")
    assert fit(model, X, y, optimizer=SGD(0.5), epochs=1) == [5.0]
    assert numbers(model) == [3.5, 2.0]


def test_several_outputs() -> None:
    model = MLP(1, [2], init="zeros")
    history = fit(model, [1, 2], [[1, 2], [3, 4]], optimizer=SGD(0.5), epochs=2)
    assert history[0] == 7.5  # (1 + 4 + 9 + 16) / 4
    assert history[1] < 7.5


def test_a_loss_of_your_own() -> None:
    def absolute(predictions: list[Value], targets: list[float]) -> Value:
        return sum((abs(p - t) for p, t in zip(predictions, targets, strict=True)), start=Value(0.0))

    assert fit(Line(), [1, 2], [1, 3], loss=absolute, epochs=1) == [4.0]


def test_a_model_of_your_own_need_not_be_a_module() -> None:
    slope = Value(0.0)

    class Model:
        def __call__(self, x: float) -> Value:
            return slope * x

        def parameters(self) -> list[Value]:
            return [slope, slope]  # shared: updated once

    fit(Model(), [1], [2], optimizer=SGD(0.5), epochs=1)
    assert slope.data == 2.0


# Stopping


class InterruptedModel(Line):
    """Presses Ctrl-C in its call number `calls`, as a terminal does."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.calls = calls

    def __call__(self, x: float) -> Value:
        self.calls -= 1
        if self.calls == 0:
            signal.raise_signal(signal.SIGINT)
        return super().__call__(x)


class InterruptedOptimizer(SGD):
    """Presses Ctrl-C half-way through its step number `steps`."""

    steps = 3

    def step(self, parameters: Iterable[Value], /) -> None:
        self.steps -= 1
        parameters = list(parameters)
        super().step(parameters[:1])
        if self.steps == 0:
            signal.raise_signal(signal.SIGINT)
        super().step(parameters[1:])


def states(epochs: int) -> list[list[float]]:
    """The parameters of a `Line` after 0, 1, 2, … epochs."""
    found = [[0.0, 0.0]]
    for count in range(1, epochs + 1):
        model = Line()
        fit(model, [1, 2], [1, 3], optimizer=SGD(0.1), epochs=count)
        found.append(numbers(model))
    return found


@pytest.mark.parametrize(("calls", "whole_epochs"), [(1, 0), (2, 0), (3, 1), (6, 2), (7, 3)])
def test_case_27_ctrl_c_in_the_forward_pass(calls: int, whole_epochs: int) -> None:
    model = InterruptedModel(calls)
    history = fit(model, [1, 2], [1, 3], optimizer=SGD(0.1), epochs=10)
    assert len(history) == whole_epochs
    assert numbers(model) == states(whole_epochs)[whole_epochs]


def test_case_27_ctrl_c_in_the_middle_of_an_update() -> None:
    model = Line()
    history = fit(model, [1, 2], [1, 3], optimizer=InterruptedOptimizer(0.1), epochs=10)
    assert len(history) == 2
    assert numbers(model) == states(2)[2]
    assert [parameter.grad for parameter in model.parameters()] == [0.0, 0.0]


def test_case_27_ctrl_c_at_any_line_of_the_training_leaves_whole_epochs() -> None:
    """Interrupt three epochs at their first line, their second, …: parameters and history always belong together."""
    files = (nn.training.__file__, nn.optimizers.__file__)
    expected = states(3)
    seen = set()
    for line in range(1, 1000):
        model = Line()
        history = _interrupted_fit(model, line, files)
        if history is None:  # before the first epoch, or after the last
            assert numbers(model) in (expected[0], expected[3])
            continue
        assert numbers(model) == expected[len(history)]
        seen.add(len(history))
        if len(history) == 3 and line > 500:
            break
    assert seen == {0, 1, 2, 3}


def _interrupted_fit(model: Line, line: int, files: tuple[str, ...]) -> list[float] | None:
    left = line

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        left -= event == "line"
        if left == 0:
            left = -1
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return fit(model, [1, 2], [1, 3], optimizer=SGD(0.1), epochs=3)
    except KeyboardInterrupt:
        return None
    finally:
        sys.settrace(before)


def test_a_loss_that_grows_without_bound_stops() -> None:
    model = Line()
    with pytest.raises(FloatingPointError) as raised:
        fit(model, [1, 2], [1, 3], optimizer=SGD(1e100), epochs=50)
    assert str(raised.value) == (
        "fit: the loss became inf in epoch 3, the parameters are back at the last finite loss:"
        " try a smaller learning rate"
    )
    twin = Line()
    fit(twin, [1, 2], [1, 3], optimizer=SGD(1e100), epochs=1)
    assert numbers(model) == numbers(twin)  # epoch 2 began with these, and its loss was finite
    assert math.isfinite(mse_loss([model(1), model(2)], [1, 3]).data)


def test_a_parameter_that_becomes_infinite_stops() -> None:
    model = Line()
    with pytest.raises(FloatingPointError) as raised:
        fit(model, [1, 2], [1, 3], optimizer=SGD(1e308), epochs=50)
    assert str(raised.value) == (
        "fit: a parameter became NaN or infinite in epoch 1, the parameters are back at the last finite loss:"
        " try a smaller learning rate"
    )
    assert numbers(model) == [0.0, 0.0]


@pytest.mark.parametrize("start", [math.nan, 1e200])
def test_a_loss_that_is_not_finite_from_the_start_changes_nothing(start: float) -> None:
    model = Line(offset=start)
    with pytest.raises(FloatingPointError) as raised:
        fit(model, [1, 2], [1, 3])
    loss = "nan" if math.isnan(start) else "inf"
    assert str(raised.value) == (
        f"fit: the loss is {loss} in epoch 1, before any update: try smaller initial values or data"
    )
    assert numbers(model) == pytest.approx([0.0, start], rel=0, nan_ok=True)


# The progress bar


def test_the_progress_bar_shows_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    assert fit(Line(), [1, 2], [1, 3], epochs=1, progress=True) == [5.0]
    output = capsys.readouterr().out
    assert "loss 5" in output
    assert "100%" in output


def test_without_rich_the_progress_bar_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    model = Line()
    with pytest.raises(ImportError) as raised:
        fit(model, [1, 2], [1, 3], progress=True)
    assert str(raised.value) == "fit: progress=True needs rich: pip install 'autograd-mini[progress]'"
    assert numbers(model) == [0.0, 0.0]


# Case 22: wrong arguments

NAN, INF = math.nan, math.inf

WRONG_DATA: list[tuple[Any, Any, type[Exception], str]] = [
    ([], [], ValueError, "fit: expected X to hold at least one sample, got none"),
    (np.zeros((0, 3)), [], ValueError, "fit: expected X to hold at least one sample, got none"),
    ([[1.0]], [], ValueError, "fit: expected y to hold at least one sample, got none"),
    ([[]], [1.0], ValueError, "fit: expected at least one number in X[0], got none"),
    ([1, 2], [1, 2, 3], ValueError, "fit: expected a target in y for each sample in X, got 2 samples and 3 targets"),
    ([1], [1, 2], ValueError, "fit: expected a target in y for each sample in X, got 1 sample and 2 targets"),
    (
        [[1, 2, 3], [1, 2, 3], [1, 2]],
        [1, 2, 3],
        ValueError,
        "fit: expected rows of equal length in X, got a row of 3 in X[0] and a row of 2 in X[2]",
    ),
    (
        [1, 2],
        [[1], 2],
        ValueError,
        "fit: expected rows of equal length in y, got a row of 1 in y[0] and a plain number in y[1]",
    ),
    ([1, NAN], [1, 2], ValueError, "fit: expected finite numbers in X, got nan in X[1]"),
    ([[1, INF]], [1], ValueError, "fit: expected finite numbers in X, got inf in X[0]"),
    ([1, 2], [1, -INF], ValueError, "fit: expected finite numbers in y, got -inf in y[1]"),
    ([Value(NAN)], [1], ValueError, "fit: expected finite numbers in X, got nan in X[0]"),
    (3.0, [1], TypeError, "fit: expected X to be a list or an array, got float 3.0"),
    ([1], None, TypeError, "fit: expected y to be a list or an array, got NoneType None"),
    ("12", [1, 2], TypeError, "fit: expected X to be a list or an array, got str '12'"),
    ({1: 2}, [1], TypeError, "fit: expected X to be a list or an array, got dict {1: 2}"),
    ([1, "a"], [1, 2], TypeError, "fit: expected numbers in X[1], got str 'a'"),
    ([1], [None], TypeError, "fit: expected numbers in y[0], got NoneType None"),
    ([[[1]]], [1], TypeError, "fit: expected numbers in X[0], got list [1]"),
    # found by the model and by the loss
    ([[1, 2]], [1], ValueError, "MLP: expected 1 input, got 2"),
    (
        [1, 2],
        [[1], [2]],
        ValueError,
        "mse_loss: expected targets of shape (2,), as the predictions have, got (2, 1)",
    ),
]


@pytest.mark.parametrize(("X", "y", "error", "message"), WRONG_DATA, ids=[row[-1] for row in WRONG_DATA])
def test_case_22_wrong_data(X: Any, y: Any, error: type[Exception], message: str) -> None:  # noqa: N803
    _check_refused(MLP(1, [1], init="ones"), X, y, {}, error, message)


WRONG_SETTINGS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"epochs": 0}, ValueError, "fit: expected epochs to be a positive int, got 0"),
    ({"epochs": -5}, ValueError, "fit: expected epochs to be a positive int, got -5"),
    ({"epochs": 10.0}, TypeError, "fit: expected epochs to be a positive int, got float 10.0"),
    ({"epochs": True}, TypeError, "fit: expected epochs to be a positive int, got bool True"),
    (
        {"optimizer": 0.1},
        TypeError,
        "fit: expected optimizer to have a method step, as SGD(0.01) does, got float 0.1",
    ),
    (
        {"optimizer": int},
        TypeError,
        "fit: expected optimizer to have a method step, as SGD(0.01) does, got type <class 'int'>",
    ),
    (
        {"loss": "mse"},
        TypeError,
        "fit: expected loss to be a function of predictions and targets, got str 'mse'",
    ),
    (
        {"loss": lambda predictions, targets: 3.0},
        TypeError,
        "fit: expected loss to return a Value, got float 3.0",
    ),
]


@pytest.mark.parametrize(("settings", "error", "message"), WRONG_SETTINGS, ids=[row[-1] for row in WRONG_SETTINGS])
def test_case_22_wrong_settings(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    _check_refused(MLP(1, [1], init="ones"), [1, 2], [1, 2], settings, error, message)


def _check_refused(
    model: MLP,
    X: Any,  # noqa: N803
    y: Any,
    settings: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    """Refused with that message, and nothing is changed: neither numbers nor gradients."""
    for parameter in model.parameters():
        parameter.grad = 7.0
    with pytest.raises(error) as raised:
        fit(model, X, y, **settings)
    assert str(raised.value) == message
    assert numbers(model) == [1.0, 0.0]
    assert [parameter.grad for parameter in model.parameters()] == [7.0, 7.0]


def test_case_22_models_that_cannot_be_trained() -> None:
    with pytest.raises(ValueError, match=r"^fit: expected model to have at least one parameter, got none$"):
        fit(_Nothing(), [1], [1])
    with pytest.raises(TypeError, match=r"^fit: expected model to be callable and to have parameters\(\), got int 3$"):
        fit(3, [1], [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^fit: expected model to be callable and to have parameters\(\), got Module"):
        fit(Module(), [1], [1])  # type: ignore[arg-type]


class _Nothing(Module):
    def __call__(self, x: float) -> float:
        return x

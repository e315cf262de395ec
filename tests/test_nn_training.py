"""`fit`: against the algorithm in NumPy, against least squares, and when it is interrupted or fails."""

import math
import pickle
import signal
import sys
from collections.abc import Callable, Iterable
from itertools import pairwise
from types import FrameType
from typing import Any, cast

import numpy as np
import oracles
import pytest

import nn.batches
import nn.callbacks
import nn.compiled_steps
import nn.history
import nn.optimizers
import nn.steps
import nn.training
from autograd_mini import Value, exp, sqrt
from nn import MLP, SGD, Module, fit, mse_loss
from nn.callbacks import EarlyStopping, TrainingState
from nn.history import History
from nn.optimizers import Adam
from nn.schedules import StepDecay
from nn.training import DivergenceError

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


# Batches

POINTS = np.random.default_rng(8).normal(size=(7, 2))
HEIGHTS = POINTS @ [2.0, -1.0] + 0.5


def test_batches_against_numpy() -> None:
    """Stochastic gradient descent on a linear model, each epoch in the order that the seed draws."""
    model = MLP(2, [1], init="zeros")
    history = fit(model, POINTS, HEIGHTS, optimizer=SGD(0.1), epochs=4, batch_size=3, seed=11)
    random, weights = np.random.default_rng(11), np.zeros(3)
    losses: list[float] = []
    inputs = np.column_stack([POINTS, np.ones(7)])
    for _ in range(4):
        order, total = random.permutation(7), 0.0
        for places in (order[:3], order[3:6], order[6:]):
            errors = inputs[places] @ weights - HEIGHTS[places]
            total += float(errors @ errors)  # the sum, so that the batch of one weighs as much as a sample does
            weights = weights - 0.1 * 2 * errors @ inputs[places] / len(places)
        losses.append(total / 7)
    np.testing.assert_allclose(numbers(model), weights, rtol=1e-12)
    assert history == pytest.approx(losses, rel=1e-12)


class Watching(Line):
    """Keeps the samples that it is called on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def __call__(self, x: float) -> Value:
        self.seen.append(x)
        return super().__call__(x)


def test_every_epoch_sees_every_sample_once_in_an_order_of_its_own() -> None:
    model = Watching()
    fit(model, range(10), range(10), optimizer=SGD(0.0), epochs=3, batch_size=4, seed=0, engine="eager")
    epochs = [model.seen[0:10], model.seen[10:20], model.seen[20:30]]
    assert len(model.seen) == 30
    assert [sorted(epoch) for epoch in epochs] == [sorted(range(10))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_samples_keep_their_targets() -> None:
    model = Line(slope=2.0, offset=1.0)
    x = np.arange(10.0)
    assert fit(model, x, 2 * x + 1, epochs=2, batch_size=3, seed=5) == [0.0, 0.0]


def test_without_a_batch_size_the_order_is_kept() -> None:
    model = Watching()
    fit(model, range(5), range(5), epochs=2, engine="eager")
    assert model.seen == [0, 1, 2, 3, 4] * 2


def test_a_batch_size_above_the_number_of_samples_is_one_batch() -> None:
    model = Line()
    assert fit(model, [1, 2], [1, 3], optimizer=SGD(0.5), epochs=1, batch_size=100) == [5.0]
    assert numbers(model) == [3.5, 2.0]


def trained(**settings: Any) -> tuple[History, list[float]]:
    model = MLP(2, [3, 1], "tanh", seed=2)
    history = fit(model, POINTS, HEIGHTS, optimizer=Adam(0.05), epochs=6, batch_size=2, **settings)
    return history, numbers(model)


def test_a_seed_repeats_the_batches_exactly() -> None:
    first = trained(seed=4)
    assert trained(seed=4) == first
    assert trained(seed=np.random.default_rng(4)) == first
    assert trained(seed=5) != first
    assert trained() != trained()


# What is measured besides


def test_validation_by_hand() -> None:
    """After the epoch slope and offset are 3.5 and 2: the predictions for 0 and 2 are 2 and 9, the errors 2 and 4."""
    model = Line()
    history = fit(model, [1, 2], [1, 3], optimizer=SGD(0.5), epochs=1, validation_data=([0, 2], [0, 5]))
    assert history.validation_loss == [10.0]
    assert history.to_dict() == {"loss": [5.0], "validation_loss": [10.0], "learning_rate": [0.5]}


def test_validation_changes_nothing() -> None:
    validated, plain = trained(seed=1, validation_data=(POINTS[:3] * 2, HEIGHTS[:3])), trained(seed=1)
    assert validated[1] == plain[1]
    assert validated[0].loss == plain[0].loss
    assert len(validated[0].validation_loss) == 6


def test_a_validation_loss_that_is_infinite_is_no_error() -> None:
    history = fit(Line(), [1, 2], [1, 3], epochs=2, validation_data=([1e300], [0]))
    assert history.validation_loss == [math.inf] * 2


def test_metrics_by_hand() -> None:
    def largest(predictions: list[Value], targets: list[float]) -> float:
        return max(abs(p.data - t) for p, t in zip(predictions, targets, strict=True))

    history = fit(
        Line(),
        [1, 2],
        [1, 3],
        optimizer=SGD(0.5),
        epochs=1,
        metrics={"largest": largest, "zero": lambda p, t: Value(0.0)},
        validation_data=([0, 2], [0, 5]),
    )
    assert history.to_dict() == {
        "loss": [5.0],
        "largest": [3.0],
        "zero": [0.0],
        "validation_loss": [10.0],
        "validation_largest": [4.0],
        "validation_zero": [0.0],
        "learning_rate": [0.5],
    }


def test_a_metric_of_batches_is_the_mean_over_the_samples() -> None:
    history = fit(Line(), range(5), range(5), epochs=1, batch_size=2, metrics={"size": lambda p, t: len(p)})
    assert history.curves["size"] == [pytest.approx((2 * 2 + 2 * 2 + 1 * 1) / 5)]


def test_the_learning_rate_is_that_with_which_the_epoch_began() -> None:
    schedule = StepDecay(1.0, every=2, factor=0.5)
    history = fit(Line(), [1, 2], [1, 3], optimizer=SGD(schedule), epochs=3, batch_size=1)
    assert history.learning_rate == [1.0, 0.5, 0.25]


class Fixed:
    """An optimizer of a user's own, with nothing but step."""

    def step(self, parameters: Iterable[Value], /) -> None:
        for parameter in parameters:
            parameter.data -= 0.5 * parameter.grad


def test_an_optimizer_of_your_own_needs_only_step() -> None:
    model = Line()
    history = fit(model, [1, 2], [1, 3], optimizer=Fixed(), epochs=1)
    assert history.to_dict() == {"loss": [5.0]}
    assert history.learning_rate == []
    assert numbers(model) == [3.5, 2.0]


# Frames


def test_frames_and_series_of_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="frames are tested where pandas is installed")
    frame = pandas.DataFrame({"width": [1, 2, 4], "height": [0.5, 1.5, -2.0], "is_red": [True, False, True]})
    target = pandas.Series([1.0, 2.0, 3.0], index=[7, 8, 9])
    models = [MLP(3, [1], seed=0) for _ in range(2)]
    lists = [[1, 0.5, 1], [2, 1.5, 0], [4, -2, 1]], [1, 2, 3]
    histories = [fit(models[0], frame, target, epochs=3, batch_size=2, seed=1, validation_data=(frame, target))]
    histories += [fit(models[1], *lists, epochs=3, batch_size=2, seed=1, validation_data=lists)]
    assert histories[0] == histories[1]
    assert numbers(models[0]) == numbers(models[1])
    frame["width"] = pandas.array([1, None, 4], dtype="Int64")
    with pytest.raises(TypeError, match=r"^fit: expected numbers in X\[1\], got NAType <NA>$"):
        fit(models[0], frame, target)


# Callbacks


def test_callbacks_see_each_epoch() -> None:
    states: list[tuple[Any, ...]] = []
    model, optimizer = Line(), SGD(0.1)

    def look(state: TrainingState) -> None:
        assert state.model is model
        assert state.optimizer is optimizer
        assert list(state.parameters) == model.parameters()
        states.append((state.epoch, state.epochs, state.loss, state.validation_loss, numbers(state.model)))

    history = fit(model, [1, 2], [1, 3], optimizer=optimizer, epochs=3, callbacks=[look])
    expected = globals()["states"](3)
    assert states == [(epoch, 3, history[epoch - 1], None, expected[epoch]) for epoch in (1, 2, 3)]
    assert history.stopped_because == "all 3 epochs run"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(True, "a callback returned True"), (np.True_, "a callback returned True"), ("it is late", "it is late")],
)
def test_a_callback_may_stop_the_training(answer: object, reason: str) -> None:
    called: list[TrainingState] = []

    def stop(state: TrainingState) -> object:
        return answer if state.epoch == 2 else None

    history = fit(Line(), [1, 2], [1, 3], epochs=9, callbacks=[stop, called.append])
    assert len(history) == 2
    assert len(called) == 2  # all are called, also after one that stops
    assert history.stopped_because == reason


@pytest.mark.parametrize("answer", [None, False, np.False_, "", 0, 1, 3.5, [1]])
def test_other_answers_are_let_be(answer: object) -> None:
    assert len(fit(Line(), [1, 2], [1, 3], epochs=3, callbacks=[lambda state: answer])) == 3


class Order:
    """Writes down when it is called."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def start(self, state: TrainingState) -> None:
        self.notes.append(f"{self.name} starts at {state.epoch}")

    def __call__(self, state: TrainingState) -> None:
        self.notes.append(f"{self.name} at {state.epoch}")

    def finish(self, state: TrainingState) -> None:
        self.notes.append(f"{self.name} ends at {state.epoch}")


def test_the_order_of_callbacks() -> None:
    notes: list[str] = []
    fit(Line(), [1, 2], [1, 3], epochs=1, callbacks=[Order("a", notes), Order("b", notes)])
    assert notes == ["a starts at 0", "b starts at 0", "a at 1", "b at 1", "b ends at 1", "a ends at 1"]


def test_a_callback_may_change_parameters_and_the_rate() -> None:
    def clip(state: TrainingState) -> None:
        for parameter in state.parameters:
            parameter.data = min(parameter.data, 0.5)
        state.optimizer.learning_rate /= 2

    model = InterruptedModel(calls=6)  # in the third epoch
    history = fit(model, [1, 2], [1, 3], optimizer=SGD(0.5), epochs=9, callbacks=[clip], engine="eager")
    assert history.learning_rate == [0.5, 0.25]
    assert numbers(model) == [0.5, 0.5]  # as the callback left them, not as the update did


def test_an_exception_of_a_callback_passes_through() -> None:
    def fail(state: TrainingState) -> None:
        raise KeyError(state.epoch)

    with pytest.raises(KeyError, match="1"):
        fit(Line(), [1, 2], [1, 3], callbacks=[fail])


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


STEPS = (nn.steps.__file__, nn.compiled_steps.__file__, nn.batches.__file__)


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
    history = fit(model, [1, 2], [1, 3], optimizer=SGD(0.1), epochs=10, engine="eager")
    assert len(history) == whole_epochs
    assert numbers(model) == states(whole_epochs)[whole_epochs]


def test_case_27_ctrl_c_in_the_middle_of_an_update() -> None:
    model = Line()
    history = fit(model, [1, 2], [1, 3], optimizer=InterruptedOptimizer(0.1), epochs=10)
    assert len(history) == 2
    assert numbers(model) == states(2)[2]
    assert [parameter.grad for parameter in model.parameters()] == [0.0, 0.0]


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_case_27_ctrl_c_at_any_line_of_the_training_leaves_whole_epochs(engine: str) -> None:
    """Interrupt three epochs at their first line, their second, …: parameters and history always belong together."""
    files = (*STEPS, nn.training.__file__, nn.optimizers.__file__, nn.history.__file__)
    expected = states(3)
    seen = set()
    for line in range(1, 2000):
        model = Line()
        history = _interrupted_fit(model, line, files, engine=engine)
        if history is None:  # before the first epoch, or after the last
            assert numbers(model) in (expected[0], expected[3])
            continue
        assert numbers(model) == expected[len(history)]
        seen.add(len(history))
        if len(history) == 3 and line > 500:
            break
    assert seen == {0, 1, 2, 3}


def _interrupted_fit(model: Line, line: int, files: tuple[str, ...], **settings: Any) -> History | None:
    settings = {"optimizer": SGD(0.1), "epochs": 3, **settings}
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
        return fit(model, [1, 2], [1, 3], **settings)
    except KeyboardInterrupt:
        return None
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_case_27_ctrl_c_at_any_line_with_batches_momentum_and_callbacks(engine: str) -> None:
    """Parameters, history, optimizer and random numbers belong together: going on gives what no break would."""
    files = (*STEPS, nn.training.__file__, nn.callbacks.__file__, nn.history.__file__)

    def optimizer() -> SGD:
        return SGD(0.1, momentum=0.9)

    def going_on(epochs: int, model: Line, moved: SGD, random: np.random.Generator) -> list[float]:
        fit(model, [1, 2], [1, 3], optimizer=moved, epochs=epochs, batch_size=1, seed=random, engine=engine)
        return numbers(model)

    unbroken = going_on(4, Line(), optimizer(), np.random.default_rng(3))
    seen = set()
    for line in range(60, 1500, 7):
        model, moved, random = Line(), optimizer(), np.random.default_rng(3)
        callbacks = [EarlyStopping(100, restore_best=False)]
        settings = {"optimizer": moved, "batch_size": 1, "seed": random, "callbacks": callbacks, "engine": engine}
        history = _interrupted_fit(model, line, files, **settings)
        if history is None:  # before the first epoch, or after the last
            continue
        seen.add(len(history))
        assert {len(curve) for curve in history.curves.values()} == {len(history)}
        assert going_on(4 - len(history), model, moved, random) == unbroken
    assert seen == {0, 1, 2, 3}


def test_case_27_ctrl_c_with_an_optimizer_that_has_moved_another_model() -> None:
    optimizer = Adam(0.1)
    fit(Line(), [1, 2], [1, 3], optimizer=optimizer, epochs=2)
    model = InterruptedModel(calls=2)
    assert fit(model, [1, 2], [1, 3], optimizer=optimizer, engine="eager") == []
    assert numbers(model) == [0.0, 0.0]
    assert optimizer.step_count == 2


def test_case_27_ctrl_c_says_so() -> None:
    notes: list[str] = []
    model = InterruptedModel(calls=6)
    history = fit(model, [1, 2], [1, 3], epochs=10, callbacks=[Order("a", notes)], engine="eager")
    assert history.stopped_because == "Ctrl-C"
    assert notes == ["a starts at 0", "a at 1", "a at 2", "a ends at 2"]


def test_case_27_ctrl_c_in_a_callback_keeps_the_epoch() -> None:
    def press(state: TrainingState) -> None:
        if state.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    model = Line()
    history = fit(model, [1, 2], [1, 3], optimizer=SGD(0.1), epochs=10, callbacks=[press])
    assert len(history) == 2
    assert numbers(model) == states(2)[2]


LINE_OF_LINE = f"{Line.__call__.__code__.co_firstlineno + 1}: return self.slope * x + self.offset"


def test_a_loss_that_grows_without_bound_stops() -> None:
    model = Line()
    with pytest.raises(FloatingPointError) as raised:
        fit(model, [1, 2], [1, 3], optimizer=SGD(1e100), epochs=50)
    assert str(raised.value) == (
        "fit: the loss became inf in epoch 3, the parameters are back at the last finite loss:"
        " try a smaller learning rate; sample 0 (from 0), forward: mul(-7.6e+201, -7.6e+201) is inf"
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
    loss, cause = "inf", "sample 0 (from 0), forward: mul(1e+200, 1e+200) is inf"
    if math.isnan(start):
        loss, cause = "nan", f"forward: a leaf is nan, used by add(0.0, nan), at {__file__}:{LINE_OF_LINE}"
    assert str(raised.value) == (
        f"fit: the loss is {loss} in epoch 1, before any update: try smaller initial values or data; {cause}"
    )
    assert numbers(model) == pytest.approx([0.0, start], rel=0, nan_ok=True)


class Root(Module):
    """√(w x)."""

    def __init__(self, w: float) -> None:
        self.w = Value(w, "w")

    def __call__(self, x: float) -> Value:
        return sqrt(self.w * x)


def test_a_derivative_that_is_infinite_is_named_with_its_line() -> None:
    model = Root(0.0)
    with pytest.raises(DivergenceError) as raised:
        fit(model, [1, 2], [1, 3])
    assert str(raised.value) == (
        "fit: a parameter became NaN or infinite in epoch 1, the parameters are back at the last finite loss;"
        f" sample 1 (from 0), backward: sqrt(0.0) passes on a gradient of -inf, at {__file__}:"
        f"{Root.__call__.__code__.co_firstlineno + 1}: return sqrt(self.w * x)"
    )
    assert numbers(model) == [0.0]
    assert raised.value.anomaly is not None
    assert raised.value.anomaly.phase == "backward"
    assert raised.value.sample == 1


class Exploding(Line):
    """e to the power 100 x: infinite above 7."""

    def __call__(self, x: float) -> Value:
        return exp(100 * x + self.slope) + self.offset


def test_the_batch_is_named_and_what_was_learnt_is_kept() -> None:
    model, optimizer = Exploding(), SGD(1e-9, momentum=0.9)
    x = [0.01, 0.02, 8.0, 0.03]
    with pytest.raises(DivergenceError) as raised:
        fit(model, x, x, optimizer=optimizer, batch_size=1, seed=1, epochs=3)
    order = np.random.default_rng(1).permutation(4).tolist()
    batch = order.index(2) + 1
    assert batch > 1  # of the seed: there were updates before
    assert (raised.value.epoch, raised.value.batch, len(raised.value.history)) == (1, batch, 0)
    assert raised.value.sample == 2
    message = str(raised.value)
    assert message.startswith(f"fit: the loss became inf in epoch 1, batch {batch} of 4, the parameters are back at")
    assert "; sample 2 (from 0), forward: exp(799.99" in message
    assert message.endswith("return exp(100 * x + self.slope) + self.offset")
    twin = Exploding()
    kept = [x[place] for place in order[: batch - 2]]  # the last update is undone: it led here
    for sample in kept:
        fit(twin, [sample], [sample], optimizer=SGD(1e-9), epochs=1)
    assert numbers(model) == pytest.approx(numbers(twin), rel=1e-6)
    assert optimizer.step_count == 0  # as at the last whole epoch


def test_the_error_can_be_sent_to_another_process() -> None:
    with pytest.raises(DivergenceError) as raised:
        fit(Root(0.0), [1, 2], [1, 3], batch_size=1, seed=0)
    copied = pickle.loads(pickle.dumps(raised.value))
    assert str(copied) == str(raised.value)
    assert (copied.epoch, copied.batch, copied.history) == (1, 1, [])
    assert str(copied.anomaly) == str(raised.value.anomaly)


def test_a_model_that_is_never_the_same_is_not_blamed() -> None:
    answers = iter([math.inf])

    class Chance(Line):
        def __call__(self, x: float) -> Value:
            return super().__call__(x) + next(answers, 0.0)

    with pytest.raises(DivergenceError) as raised:
        fit(Chance(), [1, 2], [1, 3], engine="eager")
    assert str(raised.value) == "fit: the loss is inf in epoch 1, before any update: try smaller initial values or data"
    assert raised.value.anomaly is None


def test_a_model_that_raises_when_it_is_asked_again_is_not_in_the_way() -> None:
    answers = iter([math.inf, 0.0])

    class Once(Line):
        def __call__(self, x: float) -> Value:
            return super().__call__(x) + next(answers)  # StopIteration, the third time

    with pytest.raises(DivergenceError, match="before any update"):
        fit(Once(), [1, 2], [1, 3], engine="eager")


class Careful:
    """An optimizer that leaves a parameter where it is, if its gradient is of no use."""

    def step(self, parameters: Iterable[Value]) -> None:
        for parameter in parameters:
            if math.isfinite(parameter.grad):
                parameter.data -= 0.1 * parameter.grad


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_detect_anomaly_ends_it_where_the_loss_is_fine_and_a_gradient_is_not(engine: str) -> None:
    x, y = [4, 0, 1], [1, 3, 2]
    settings: dict[str, Any] = {"optimizer": Careful(), "batch_size": 1, "seed": 0, "epochs": 9, "engine": engine}
    assert len(fit(Root(1.0), x, y, **settings)) == 9
    model = Root(1.0)
    with pytest.raises(DivergenceError) as raised:
        fit(model, x, y, detect_anomaly=True, **settings)
    error, order = raised.value, np.random.default_rng(0).permutation(3).tolist()
    assert (error.epoch, error.batch, error.sample) == (1, order.index(1) + 1, 1)
    assert str(error) == (
        f"fit: a gradient became NaN or infinite in epoch 1, batch {error.batch} of 3, the parameters are back at the"
        " last finite loss; sample 1 (from 0), backward: sqrt(0.0) passes on a gradient of -inf, at"
        f" {__file__}:{Root.__call__.__code__.co_firstlineno + 1}: return sqrt(self.w * x)"
    )
    twin = Root(1.0)
    for place in order[: error.batch - 1]:
        fit(twin, [x[place]], [y[place]], **{**settings, "epochs": 1})
    assert numbers(model) == numbers(twin)  # it ends before the step that the gradient would have led to
    assert [parameter.grad for parameter in model.parameters()] == [0.0]


def test_detect_anomaly_finds_the_place_in_what_is_never_the_same() -> None:
    answers = iter([0.0, 0.0, 0.0, math.inf])

    class Chance(Line):
        def __call__(self, x: float) -> Value:
            return super().__call__(x) + next(answers, 0.0)

    with pytest.raises(
        DivergenceError, match=r"; sample 1 \(from 0\), forward: add\(.*, inf\) is inf, at .*answers"
    ) as raised:
        fit(Chance(), [1, 2], [1, 3], engine="eager", detect_anomaly=True)
    assert (raised.value.epoch, raised.value.sample) == (2, 1)


def test_detect_anomaly_changes_no_number() -> None:
    histories = [
        fit(Line(), [1, 2, 3], [1, 3, 2], epochs=5, engine=engine, detect_anomaly=detects)
        for engine in ("eager", "compiled")
        for detects in (False, True)
    ]
    assert histories[0] == histories[1]
    assert histories[2] == histories[3]


def test_the_sample_is_named_where_it_is_one() -> None:
    """The anomaly lies in the loss, above all predictions; in a parameter, which all share; in one prediction."""

    def sample_of(offset: float, x: list[float], y: list[float], loss: Any = mse_loss) -> int | None:
        with pytest.raises(DivergenceError) as raised:
            fit(Line(offset=offset), x, y, loss=loss, engine="eager")
        assert raised.value.anomaly is not None
        return raised.value.sample

    assert sample_of(0.0, [1, 2, 3], [1, -1e200, 2]) == 1
    assert sample_of(math.nan, [1, 2, 3], [1, 2, 3]) is None

    def product(predictions: list[Any], targets: list[Any]) -> Value:
        del targets
        return cast(Value, (predictions[0] + 1e200) * (predictions[1] + 1e200))

    assert sample_of(0.0, [1, 2], [1, 2], product) is None


# The progress bar


def test_the_progress_bar_shows_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    assert fit(Line(), [1, 2], [1, 3], epochs=1, progress=True) == [5.0]
    output = capsys.readouterr().out
    assert "loss 5" in output
    assert "100%" in output


def test_the_progress_bar_shows_epochs_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    fit(Line(), [1, 2, 3], [1, 3, 4], epochs=4, batch_size=2, progress=True, validation_data=([1], [2]))
    output = capsys.readouterr().out
    assert "epoch 4/4" in output
    assert "100%" in output
    assert "epochs/s" in output
    assert "0:00:00 left" in output


def test_the_progress_bar_ends_where_the_training_does(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    history = fit(InterruptedModel(calls=4), [1, 2], [1, 3], epochs=4, progress=True, engine="eager")
    assert len(history) == 1
    assert "epoch 1/4" in capsys.readouterr().out


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
    ({"batch_size": 0}, ValueError, "fit: expected batch_size to be a positive int or None, got 0"),
    ({"batch_size": 2.0}, TypeError, "fit: expected batch_size to be a positive int or None, got float 2.0"),
    (
        {"engine": "fast"},
        ValueError,
        "fit: expected engine to be 'auto', 'compiled', 'eager' or 'jax', got str 'fast'",
    ),
    ({"detect_anomaly": 1}, TypeError, "fit: expected detect_anomaly to be True or False, got int 1"),
    ({"seed": -1}, ValueError, "fit: expected seed to be an int of 0 or more, or None, got int -1"),
    ({"seed": "a"}, TypeError, "fit: expected seed to be an int of 0 or more, or None, got str 'a'"),
    (
        {"validation_data": [1, 2, 3]},
        TypeError,
        "fit: expected validation_data to be a pair (X, y), got list [1, 2, 3]",
    ),
    (
        {"validation_data": ([], [])},
        ValueError,
        "fit: expected validation_data[0] to hold at least one sample, got none",
    ),
    (
        {"validation_data": ([1], [NAN])},
        ValueError,
        "fit: expected finite numbers in validation_data[1], got nan in validation_data[1][0]",
    ),
    (
        {"validation_data": ([1, 2], [1])},
        ValueError,
        "fit: expected a target in validation_data[1] for each sample in validation_data[0],"
        " got 2 samples and 1 target",
    ),
    (
        {"validation_data": ([[1, 2]], [1])},
        ValueError,
        "fit: expected a plain number a sample in validation_data[0], as for training, got a row of 2",
    ),
    (
        {"validation_data": ([1], [[1]])},
        ValueError,
        "fit: expected a plain number a sample in validation_data[1], as for training, got a row of 1",
    ),
    (
        {"metrics": [len]},
        TypeError,
        "fit: expected metrics to be a dict of functions by name, got list [<built-in function len>]",
    ),
    ({"metrics": {"a": 3}}, TypeError, "fit: expected metrics to be functions by name, got int 3 as 'a'"),
    (
        {"metrics": {"loss": len}},
        ValueError,
        "fit: expected metrics with names of their own, got 'loss', which fit uses itself",
    ),
    (
        {"metrics": {"validation_a": len}},
        ValueError,
        "fit: expected metrics with names of their own, got 'validation_a', which fit uses itself",
    ),
    (
        {"metrics": {"a": lambda predictions, targets: "b"}},
        TypeError,
        "fit: expected metric 'a' to return a number, got str 'b'",
    ),
    (
        {"callbacks": print},
        TypeError,
        "fit: expected callbacks to be a list of functions of the training's state,"
        " got builtin_function_or_method <built-in function print>",
    ),
    (
        {"callbacks": [3]},
        TypeError,
        "fit: expected callbacks to be a list of functions of the training's state, got int 3 among them",
    ),
    (
        {"callbacks": [int]},
        TypeError,
        "fit: expected callbacks to be a list of functions of the training's state, got type <class 'int'> among them",
    ),
    ({"resume": 3}, TypeError, "fit: expected resume to be a checkpoint or the path of one, got int 3"),
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

"""`fit` with both engines: the same numbers, the same errors; and when the compiled one stands back."""

import logging
import math
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_mini import NotTraceableError, Value, exp, log
from nn import (
    MLP,
    SGD,
    Adam,
    Blockwise,
    Checkpoint,
    EarlyStopping,
    Module,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    fit,
    hinge_loss,
    load_checkpoint,
    mse_loss,
)
from nn.callbacks import TrainingState
from nn.history import History
from nn.training import DivergenceError

RANDOM = np.random.default_rng(8)
X = RANDOM.normal(size=(23, 2))
Y = np.sign(X[:, 0] * X[:, 1])
CLASSES = np.arange(23) % 3
HEIGHTS = X @ [2.0, -1.0] + 0.5


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


class Line(Module):
    """y = slope · x + offset, by hand."""

    def __init__(self, slope: float = 0.0, offset: float = 0.0) -> None:
        self.slope, self.offset = Value(slope), Value(offset)

    def __call__(self, x: float) -> Value:
        return self.slope * x + self.offset


def trained(engine: str, make: Callable[[], Any], y: Any, **settings: Any) -> tuple[History, Any]:
    settings = {"epochs": 4, "batch_size": 5, "seed": 3, **settings}
    make_loss, make_optimizer = settings.pop("make_loss", None), settings.pop("optimizer", lambda: Adam(0.02))
    model = make()
    if make_loss is not None:
        settings["loss"] = make_loss(model)
    return fit(model, X, y, optimizer=make_optimizer(), engine=engine, **settings), model


def compare(make: Callable[[], Any], y: Any, **settings: Any) -> History:
    """Curves, parameters and gradients of both engines; returns the history of the compiled one."""
    eager, eager_model = trained("eager", make, y, **settings)
    history, model = trained("compiled", make, y, **settings)
    assert (eager.engine, eager.eager_because) == ("eager", "it was asked for")
    assert (history.engine, history.eager_because) == ("compiled", "")
    assert list(history.curves) == list(eager.curves)
    for name, curve in eager.curves.items():
        np.testing.assert_allclose(history.curves[name], curve, rtol=1e-9)
    np.testing.assert_allclose(numbers(model), numbers(eager_model), rtol=1e-8, atol=1e-12)
    gradients, eager_gradients = ([p.grad for p in each.parameters()] for each in (model, eager_model))
    np.testing.assert_allclose(gradients, eager_gradients, rtol=1e-7, atol=1e-12)
    assert history.stopped_because == eager.stopped_because
    return history


def tanh_network(*sizes: int, output_activation: str | None = None) -> Callable[[], MLP]:
    return lambda: MLP(2, sizes, "tanh", output_activation, seed=1)


# The same numbers


def test_linear_regression() -> None:
    compare(lambda: MLP(2, [1], seed=0), HEIGHTS, loss=mse_loss, batch_size=None, optimizer=lambda: SGD(0.1))


@pytest.mark.parametrize(
    ("make", "y", "loss"),
    [
        (tanh_network(4, 1), Y, mse_loss),
        (tanh_network(4, 1), Y, hinge_loss),
        (tanh_network(4, 1), (Y + 1) / 2, binary_cross_entropy_with_logits),
        (tanh_network(4, 1, output_activation="sigmoid"), (Y + 1) / 2, binary_cross_entropy),
        (tanh_network(4, 3), CLASSES, cross_entropy),
        (tanh_network(4, 3), np.eye(3)[CLASSES] * 0.7 + 0.1, cross_entropy),
        (tanh_network(4, 3), np.eye(3)[CLASSES], mse_loss),
    ],
)
def test_the_losses(make: Callable[[], MLP], y: Any, loss: Any) -> None:
    compare(make, y, loss=loss)
    compare(make, y, loss=loss, batch_size=None, validation_data=(X[:4], y[:4]))


def hinge_and_penalty(model: Any) -> Any:
    def loss(predictions: list[Any], targets: list[Any]) -> Any:
        losses = [(1 + -y * z).relu() for y, z in zip(targets, predictions, strict=True)]
        return sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())

    return loss


def library_loss_and_penalty(model: Any) -> Any:
    def loss(predictions: list[Any], targets: list[Any]) -> Any:
        squares: Value = reduce(add, [p * p for p in model.parameters()])
        return hinge_loss(predictions, targets) + 0.01 / (2 * len(predictions)) * squares

    return loss


def summed(model: Any) -> Any:
    return lambda predictions, targets: sum(abs(p - t) for p, t in zip(predictions, targets, strict=True))


@pytest.mark.parametrize("make_loss", [hinge_and_penalty, library_loss_and_penalty, summed])
def test_losses_of_a_users_own(make_loss: Any) -> None:
    compare(tanh_network(4, 1), Y, make_loss=make_loss, validation_data=(X[:4], Y[:4]))


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: SGD(0.05, momentum=0.9, nesterov=True),
        lambda: SGD(0.05, weight_decay=0.01, clip_norm=0.5),
        lambda: Adam(lambda step: 0.1 / (step + 1), amsgrad=True),
    ],
)
def test_optimizers(optimizer: Any) -> None:
    compare(tanh_network(4, 1), Y, optimizer=optimizer)


class Fixed:
    """An optimizer of a user's own, with nothing but step."""

    def step(self, parameters: Iterable[Value], /) -> None:
        for parameter in parameters:
            parameter.data -= 0.05 * parameter.grad


class Halved(SGD):
    """One that overrides the step of ours, so that move() is not what it does."""

    def step(self, parameters: Iterable[Value], /) -> None:
        parameters = list(parameters)
        for parameter in parameters:
            parameter.grad /= 2
        super().step(parameters)


@pytest.mark.parametrize("optimizer", [Fixed, lambda: Halved(0.1)])
def test_optimizers_of_a_users_own(optimizer: Any) -> None:
    compare(tanh_network(4, 1), Y, optimizer=optimizer)


def test_blockwise() -> None:
    models = [MLP(2, [4, 1], "tanh", seed=1) for _ in range(2)]
    for model, engine in zip(models, ("eager", "compiled"), strict=True):
        fit(model, X, Y, optimizer=Blockwise(SGD(0.1), model.layers), epochs=3, batch_size=5, seed=0, engine=engine)
    np.testing.assert_allclose(numbers(models[0]), numbers(models[1]), rtol=1e-9)


def test_metrics_get_the_predictions_as_the_model_returns_them() -> None:
    class Pair(Module):
        def __init__(self) -> None:
            self.net = MLP(2, [2], seed=1)

        def __call__(self, sample: Any) -> Any:
            first, second = self.net(sample)
            return first, [second, 0.5]

    def loss(predictions: list[Any], targets: list[Any]) -> Any:
        return sum((a + b * c - t) ** 2 for (a, [b, c]), t in zip(predictions, targets, strict=True)) / len(targets)

    def distance(predictions: list[Any], targets: list[Any]) -> float:
        assert all(type(t) is float for t in targets)
        pairs = zip(predictions, targets, strict=True)
        return float(sum(abs(a.data + c * b.data - t) for (a, (b, c)), t in pairs))

    compare(Pair, Y, loss=loss, metrics={"distance": distance, "size": lambda p, t: len(p)}, validation_data=(X, Y))


def test_a_metric_may_look_at_the_parameters() -> None:
    curves = []
    for engine in ("eager", "compiled"):
        model = MLP(2, [4, 1], "tanh", seed=1)

        def norm(predictions: list[Any], targets: list[Any], model: MLP = model) -> float:
            return float(np.abs(numbers(model)).sum())

        history = fit(model, X, Y, epochs=3, batch_size=5, seed=3, metrics={"norm": norm}, engine=engine)
        curves.append(history.curves["norm"])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-12)


def test_one_number_a_sample_and_a_model_that_is_no_module() -> None:
    models = []
    for engine in ("eager", "compiled"):
        slope = Value(0.0)

        class Model:
            def __init__(self, slope: Value) -> None:
                self.slope = slope

            def __call__(self, x: float) -> Value:
                return self.slope * x

            def parameters(self) -> list[Value]:
                return [self.slope, self.slope]

        models.append(Model(slope))
        assert fit(models[-1], [1, 2], [2, 4], optimizer=SGD(0.1), epochs=3, engine=engine)[0] == 10.0
    assert models[0].slope.data == pytest.approx(models[1].slope.data, rel=1e-12)


def test_the_digits() -> None:
    sklearn = pytest.importorskip("sklearn.datasets", reason="the digits are those of scikit-learn")
    data = sklearn.load_digits()
    images, labels = data.data[:120] / 16, data.target[:120]
    histories = []
    for engine in ("eager", "compiled"):
        model = MLP(64, [8, 10], seed=0)
        settings: dict[str, Any] = {"epochs": 2, "batch_size": 32, "seed": 0, "engine": engine}
        histories.append(fit(model, images, labels, loss=cross_entropy, optimizer=Adam(0.01), **settings))
    assert histories[1].engine == "compiled"
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-9)


def test_the_moons() -> None:
    angles = np.linspace(0, math.pi, 20)
    outer = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    moons = np.concatenate([outer, [1, 0.5] - outer])
    labels = [-1] * 20 + [1] * 20
    histories = []
    for engine in ("eager", "compiled"):
        model = MLP(2, [8, 8, 1], seed=1)
        settings: dict[str, Any] = {"epochs": 20, "loss": hinge_and_penalty(model), "engine": engine}
        histories.append(fit(model, moons, labels, optimizer=SGD(0.1, momentum=0.9), **settings))
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-9)
    assert histories[1][-1] < 0.5 * histories[1][0]


# Going on


@pytest.mark.parametrize("engines", [("eager", "compiled"), ("compiled", "eager"), ("compiled", "compiled")])
def test_a_training_goes_on_with_either_engine(tmp_path: Path, engines: tuple[str, str]) -> None:
    path = tmp_path / "run.json"
    unbroken, whole = trained("eager", tanh_network(4, 1), Y, epochs=6)
    trained(engines[0], tanh_network(4, 1), Y, epochs=3, callbacks=[Checkpoint(path)])
    history, model = trained(engines[1], tanh_network(4, 1), Y, epochs=6, resume=path)
    assert history.engine == engines[1]
    np.testing.assert_allclose(history.loss, unbroken.loss, rtol=1e-9)
    np.testing.assert_allclose(numbers(model), numbers(whole), rtol=1e-8)


def test_a_checkpoint_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    trained("compiled", tanh_network(4, 1), Y, callbacks=[Checkpoint(path)])
    saved = load_checkpoint(path)
    assert saved.history is not None
    assert list(saved.history.curves) == ["loss", "learning_rate"]
    assert (saved.history.engine, saved.history.eager_because) == ("", "")


def test_early_stopping_brings_back_the_best() -> None:
    compare(
        tanh_network(4, 1),
        Y,
        epochs=30,
        optimizer=lambda: SGD(1.5),
        validation_data=(X[:6], -Y[:6]),
        callbacks=[EarlyStopping(2)],
    )


def test_callbacks_see_and_change_the_parameters() -> None:
    seen: list[list[float]] = []

    def clip(state: TrainingState) -> None:
        seen.append([parameter.data for parameter in state.parameters] + [p.grad for p in state.parameters])
        for parameter in state.parameters:
            parameter.data = min(parameter.data, 0.3)
        state.optimizer.learning_rate /= 2

    compare(tanh_network(4, 1), Y, callbacks=[clip])
    np.testing.assert_allclose(seen[:4], seen[4:], rtol=1e-7, atol=1e-12)


# Standing back


def root(predictions: list[Any], targets: list[Any]) -> Any:
    return mse_loss(predictions, targets).sqrt()


def chosen(predictions: list[Any], targets: list[Any]) -> Any:
    return sum((p - t) ** 2 if t > 0 else abs(p - t) for p, t in zip(predictions, targets, strict=True))


def chosen_by_identity(predictions: list[Any], targets: list[Any]) -> Any:
    return sum((p - t) ** 2 if t == 1 else abs(p - t) for p, t in zip(predictions, targets, strict=True))


def at_most_four(predictions: list[Any], targets: list[Any]) -> Any:
    return sum((p - t) ** 2 for p, t in zip(predictions, targets, strict=True)) / min(len(predictions), 4)


REASONS = [
    (root, "fit: the loss is not a sum over samples"),
    (chosen, "compile_graph: expected Python code that does not depend on traced numbers, got a comparison, >"),
    (chosen_by_identity, "fit: expected model and loss to be the same when traced"),
    (at_most_four, "fit: expected model and loss to be the same when traced"),
]


@pytest.mark.parametrize(("loss", "reason"), REASONS)
def test_a_loss_that_cannot_be_compiled(loss: Any, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="nn.training")
    histories = [trained(engine, tanh_network(4, 1), Y, loss=loss)[0] for engine in ("eager", "auto")]
    assert histories[0] == histories[1]
    assert histories[1].engine == "eager"
    assert histories[1].eager_because.startswith(reason)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.INFO, f"{histories[1].eager_because}; the engine is eager")
    ]
    make = tanh_network(4, 1)
    model = make()
    with pytest.raises(NotTraceableError) as raised:
        fit(model, X, Y, loss=loss, batch_size=5, seed=3, engine="compiled")
    assert str(raised.value) == histories[1].eager_because
    assert numbers(model) == numbers(make())


def test_a_model_that_looks_at_its_numbers() -> None:
    class Leaky(Line):
        def __call__(self, x: Any) -> Value:
            z: Value = self.slope * x[0] + self.offset
            return z if z.data > 0 else 0.1 * z

    history, _ = trained("auto", Leaky, Y)
    assert "got `data`" in history.eager_because


def test_a_model_that_looks_things_up() -> None:
    class Table(Module):
        def __init__(self) -> None:
            self.rows = [Value(0.0), Value(0.0)]

        def __call__(self, sample: Any) -> Value:
            return self.rows[int(sample) % 2]  # there is no int() of a Value

    history = fit(Table(), [-1, 1], [2, 3], epochs=2)
    assert history.engine == "eager"
    assert "TypeError" in history.eager_because


def test_data_that_are_values() -> None:
    assert fit(Line(), [Value(1.0), 2], [1, 3], epochs=1).eager_because == (
        "fit: expected plain numbers as samples and targets, got Values"
    )
    assert fit(Line(), [1, 2], [1, Value(3.0)], epochs=1).engine == "eager"


def test_a_model_that_a_callback_changes_is_compiled_anew() -> None:
    class Scaled(Line):
        scale = 1.0

        def __call__(self, x: Any) -> Value:
            return super().__call__(x) * self.scale

    def double(state: TrainingState) -> None:
        state.model.scale *= 2

    models = [Scaled(), Scaled()]
    settings: dict[str, Any] = {"optimizer": SGD(1e-3), "epochs": 4, "callbacks": [double]}
    histories = [
        fit(model, [1, 2], [1, 3], engine=engine, **settings)
        for model, engine in zip(models, ("eager", "compiled"), strict=True)
    ]
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-12)
    assert histories[1].engine == "compiled"


def test_a_model_that_a_callback_spoils_goes_on_with_the_other_engine() -> None:
    class Switched(Line):
        is_cut = False

        def __call__(self, x: Any) -> Value:
            z = super().__call__(x)
            return Value(0.0) if self.is_cut and z < 0 else z

    def cut(state: TrainingState) -> None:
        state.model.is_cut = state.epoch >= 2
        state.model.offset.data = -20.0 if state.epoch == 2 else state.model.offset.data

    settings: dict[str, Any] = {"optimizer": SGD(1e-3), "epochs": 4, "callbacks": [cut]}
    histories = [fit(Switched(), [1, 2], [1, 3], engine=engine, **settings) for engine in ("eager", "auto")]
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-12)
    assert histories[1].engine == "eager"


def test_a_model_that_counts_its_calls() -> None:
    class Counting(Line):
        calls = 0

        def __call__(self, x: Any) -> Value:
            self.calls += 1
            return super().__call__(x) * (1.0 + 1e-3 * self.calls)

    assert fit(Counting(), [1, 2], [1, 3], epochs=3).engine == "eager"


def test_wrong_data_raise_the_errors_of_model_and_loss() -> None:
    for engine in ("auto", "compiled"):
        with pytest.raises(ValueError, match=r"^MLP: expected 3 inputs, got 2$"):
            fit(MLP(3, [1]), X, Y, engine=engine)
        with pytest.raises(ValueError, match=r"^hinge_loss: expected targets to be -1 or 1, got 0\.5 in targets\[7\]"):
            fit(MLP(2, [1]), X, [*Y[:7], 0.5, *Y[8:]], loss=hinge_loss, engine=engine)
        with pytest.raises(ValueError, match=r"^cross_entropy: expected targets to be classes from 0 to 2, got 3\.0"):
            fit(MLP(2, [3]), X, CLASSES + 1, loss=cross_entropy, engine=engine)


def test_probabilities_that_are_none_raise_the_error_of_the_loss() -> None:
    for engine in ("eager", "compiled"):
        with pytest.raises(ValueError, match=r"expected probabilities from 0 to 1, got 3\.0 in probabilities\[0\]"):
            fit(
                Line(0.0, 0.5),  # the first step leads to 1.5 and 3
                [1, 2],
                [1, 1],
                loss=binary_cross_entropy,
                optimizer=SGD(0.5),
                epochs=2,
                engine=engine,
            )


# Numbers that are not finite


class Exploding(Line):
    """e to the power 100 x: infinite above 7."""

    def __call__(self, x: float) -> Value:
        return exp(100 * x + self.slope) + self.offset


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (Line, {"optimizer": lambda: SGD(1e100)}),
        (Line, {"optimizer": lambda: SGD(1e308)}),
        (lambda: Line(offset=math.nan), {}),
        (lambda: Line(offset=1e200), {}),
        (Exploding, {"optimizer": lambda: SGD(1e-9, momentum=0.9), "batch_size": 1, "seed": 1}),
    ],
)
def test_divergence_is_the_same_error(model: Any, settings: Any) -> None:
    found = []
    for engine in ("eager", "compiled"):
        trained_model, optimizer = model(), settings.get("optimizer", SGD)()
        x = [0.01, 0.02, 8.0, 0.03] if model is Exploding else [1, 2, 3, 4]
        with pytest.raises(DivergenceError) as raised:
            fit(trained_model, x, [1, 3, 2, 5], epochs=50, engine=engine, **{**settings, "optimizer": optimizer})
        error = raised.value
        after = (numbers(trained_model), [p.grad for p in trained_model.parameters()], optimizer.state_dict())
        found.append((str(error), error.epoch, error.batch, str(error.anomaly), list(error.history), repr(after)))
        assert error.history.engine == engine
    assert found[0] == found[1]


def test_masks_that_meet_an_infinity_are_no_divergence() -> None:
    """A logit of -inf costs nothing where its class is not wanted, and only the compiled formula multiplies it by 0."""

    class Certain(Module):
        def __init__(self) -> None:
            self.w = Value(0.5)

        def __call__(self, x: float) -> list[Value]:
            return [self.w * x, -self.w * x, self.w * 0.0 + log(Value(0.0))]

    models = [Certain(), Certain()]
    histories = [
        fit(model, [1, 2, 3], [0, 1, 0], loss=cross_entropy, optimizer=SGD(0.1), epochs=3, engine=engine)
        for model, engine in zip(models, ("eager", "compiled"), strict=True)
    ]
    assert histories[1].engine == "compiled"
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-12)
    np.testing.assert_allclose(numbers(models[0]), numbers(models[1]), rtol=1e-12)


def test_a_validation_loss_that_is_infinite_is_no_error() -> None:
    history = fit(Line(), [1, 2], [1, 3], epochs=2, validation_data=([1e300], [0]), engine="compiled")
    assert history.validation_loss == [math.inf] * 2

"""`fit` with engine="jax": the numbers of one device, in NumPy, on one, three or eight."""

import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_mini import NotTraceableError, Value, exp
from nn import (
    MLP,
    SGD,
    Adam,
    ArrayFiles,
    Blockwise,
    Checkpoint,
    DivergenceError,
    EarlyStopping,
    Module,
    TrainingState,
    accuracy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    fit,
    heaviside,
    mse_loss,
)
from nn.history import History

jax: Any = pytest.importorskip("jax")
pytestmark = pytest.mark.one_build

RANDOM = np.random.default_rng(8)
X = RANDOM.normal(size=(23, 2))
Y = X @ [2.0, -1.0] + 0.5
LABELS = (X[:, 0] > 0).astype(int)

SAME = 1e-9
"""How far a training may be off that of one device: what the documentation of `fit` says."""


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


def network() -> MLP:
    return MLP(2, [4, 1], "tanh", seed=1)


def trained(
    X: Any = X,  # noqa: N803
    y: Any = Y,
    make: Callable[[], Any] = network,
    optimizer: Callable[..., Any] = lambda model: Adam(0.02),
    **settings: Any,
) -> tuple[History, Any]:
    settings = {"epochs": 4, "batch_size": 5 if y is not None else None, "seed": 3, "engine": "jax", **settings}
    make_loss = settings.pop("make_loss", None)
    model = make()
    if make_loss is not None:
        settings["loss"] = make_loss(model)
    return fit(model, X, y, optimizer=optimizer(model), **settings), model


def compare(devices: Any, **settings: Any) -> None:
    """Curves, parameters and gradients, beside those of NumPy."""
    expected, expected_model = trained(**settings, engine="compiled")
    history, model = trained(**settings, devices=devices)
    assert (history.engine, history.eager_because) == ("jax", "")
    assert list(history.curves) == list(expected.curves)
    for name, curve in expected.curves.items():
        np.testing.assert_allclose(history.curves[name], curve, rtol=SAME)
    np.testing.assert_allclose(numbers(model), numbers(expected_model), rtol=SAME, atol=1e-12)
    gradients, others = ([p.grad for p in each.parameters()] for each in (model, expected_model))
    np.testing.assert_allclose(gradients, others, rtol=1e-7, atol=1e-12)


# The same training


@pytest.mark.parametrize("devices", [1, np.int64(3), 8, None])
def test_it_is_the_training_of_one_device(devices: Any) -> None:
    """Of batches of 5 and 3 samples, which no number of devices shares evenly."""
    compare(devices)


@pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="there is no GPU")
def test_it_is_that_training_on_a_gpu() -> None:
    """In a process that may use one: in this one JAX knows of none."""
    program = """
import sys, jax
gpus = [device for device in jax.devices() if device.platform == "gpu"]
if not gpus:
    sys.exit("no GPU")
import test_nn_jax
test_nn_jax.compare(gpus)
test_nn_jax.compare(gpus[:1], batch_size=None)
"""
    environment = {name: text for name, text in os.environ.items() if name not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if done.stderr.endswith("no GPU\n"):
        pytest.skip("this JAX uses no GPU")
    assert done.returncode == 0, done.stderr


def test_all_samples_at_once() -> None:
    compare(8, batch_size=None)


def test_fewer_samples_than_devices() -> None:
    compare(8, X=X[:3], y=Y[:3], batch_size=2)


def test_one_plain_number_a_sample() -> None:
    compare(3, X=X[:, 0], make=lambda: MLP(1, [3, 1], "tanh", seed=0))


def penalty(model: Any) -> Any:
    def loss(predictions: Any, targets: Any) -> Any:
        return mse_loss(predictions, targets) + 0.01 * sum(p * p for p in model.parameters())

    return loss


def summed(model: Any) -> Any:
    """One in which the size of the batch stands."""

    def loss(predictions: Any, targets: Any) -> Any:
        return sum((p - t) ** 2 for p, t in zip(predictions, targets, strict=True))

    return loss


@pytest.mark.parametrize("make_loss", [penalty, summed])
def test_losses_of_a_users_own(make_loss: Any) -> None:
    compare(8, make_loss=make_loss, optimizer=lambda model: SGD(0.01))


def test_classes_metrics_and_validation() -> None:
    def right(predictions: Any, targets: Any) -> float:
        return accuracy([int(np.argmax([z.data for z in row])) for row in predictions], targets)

    classes = np.arange(23) % 3
    settings = {"metrics": {"right": right}, "validation_data": (X[:7], classes[:7]), "loss": cross_entropy}
    compare(8, y=classes, make=lambda: MLP(2, [4, 3], seed=0), **settings)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda model: SGD(0.05, momentum=0.9, nesterov=True, clip_norm=1.0),
        lambda model: Blockwise(SGD(0.05), model.layers),
    ],
)
def test_optimizers(optimizer: Any) -> None:
    compare(2, optimizer=optimizer)


def test_a_seed_repeats_exactly() -> None:
    runs = [trained(devices=8) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    assert numbers(runs[0][1]) == numbers(runs[1][1])


def test_chosen_devices() -> None:
    from nn.data_parallel import DataParallel

    chosen = jax.devices()[5:7]
    compare(list(chosen))
    assert DataParallel(chosen).devices == chosen
    assert DataParallel(2).devices == jax.devices()[:2]


def test_a_batch_is_split_and_its_gradient_reduced_by_jax() -> None:
    """In the program that XLA compiled: parameters whole, samples in eighths, and a sum over all devices."""
    from nn.data_parallel import DataParallel

    parallel = DataParallel(8)
    parallel.compile(lambda parameters, x: (parameters[:, None] * x).sum(0) ** 2, [2])
    value, gradient = parallel.value_and_grad(np.array([1.0, 2.0]), 13, lambda places: [X.T[:, :13][:, places]], [])
    product = X[:13] @ [1.0, 2.0]
    assert value == pytest.approx((product**2).mean(), rel=1e-14)
    np.testing.assert_allclose(gradient, 2 / 13 * product @ X[:13], rtol=1e-13)
    with jax.enable_x64(True):
        arguments: Any = np.zeros(2), np.float64(13), [np.zeros((2, 16))], []
        text = parallel._value_and_grad.lower(*arguments).compile().as_text()
    assert len(re.findall(r"all-reduce(?:-start)?\(", text)) == 1  # of gradient and loss together
    assert "f64[2,2]{1,0} parameter" in text  # two samples on each of eight devices


# Data


def test_files_and_batches_as_they_come(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "a.npy", Y[:9])
    np.save(tmp_path / "b.npy", Y[9:])
    expected = trained(devices=8)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    from_files = trained(mapped, ArrayFiles(tmp_path / "a.npy", tmp_path / "b.npy"), devices=8)

    def shuffled(random: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        order = random.permutation(23)
        for first in range(0, 23, 5):
            yield X[order[first : first + 5]], Y[order[first : first + 5]]

    as_they_come = trained(shuffled, None, devices=8)
    for history, model in (from_files, as_they_come):
        assert history == expected[0]
        assert numbers(model) == numbers(expected[1])


def test_a_bad_number_in_a_file_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.where(np.arange(46).reshape(23, 2) == 31, math.nan, X))
    with pytest.raises(ValueError, match=r"^fit: expected finite numbers in X, got nan in X\[15\]$"):
        trained(np.load(tmp_path / "X.npy", mmap_mode="r"), devices=3)


def test_batches_of_many_sizes_are_compiled_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    from nn.data_parallel import DataParallel

    compiled = []
    padded = DataParallel._padded

    def watched(parallel: Any, size: int) -> int:
        compiled.append(padded(parallel, size))
        return compiled[-1]

    monkeypatch.setattr(DataParallel, "_padded", watched)
    sizes = [16, 9, 11, 15, 13, 12, 16, 10]
    trained([(np.resize(X, (size, 2)), np.resize(Y, size)) for size in sizes], None, devices=8, epochs=1)
    assert set(compiled) == {16}


# Callbacks, checkpoints, what goes wrong


@pytest.mark.parametrize("engines", [("jax", "compiled"), ("eager", "jax"), ("jax", "jax")])
def test_a_training_goes_on_with_any_engine(tmp_path: Path, engines: tuple[str, str]) -> None:
    path = tmp_path / "training.json"
    expected, model = trained(engine="compiled", epochs=5)
    trained(engine=engines[0], epochs=2, callbacks=[Checkpoint(path)])
    history, resumed = trained(engine=engines[1], epochs=5, seed=9, resume=path)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=SAME)
    np.testing.assert_allclose(numbers(resumed), numbers(model), rtol=SAME, atol=1e-12)


def test_a_resumed_training_is_the_unbroken_one_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    expected, model = trained(devices=3, epochs=5)
    trained(devices=3, epochs=2, callbacks=[Checkpoint(path)])
    history, resumed = trained(devices=3, epochs=5, seed=9, resume=path)
    assert (history, numbers(resumed)) == (expected, numbers(model))


def test_callbacks_see_and_change_the_parameters() -> None:
    seen = []

    def halve(state: TrainingState) -> None:
        seen.append((state.process, [parameter.data for parameter in state.parameters]))
        for parameter in state.parameters:
            parameter.data = parameter.data / 2

    history, model = trained(devices=2, callbacks=[halve, EarlyStopping(100, restore_best=False)])
    expected, expected_model = trained(engine="compiled", callbacks=[halve, EarlyStopping(100, restore_best=False)])
    np.testing.assert_allclose(history.loss, expected.loss, rtol=SAME)
    np.testing.assert_allclose(numbers(model), numbers(expected_model), rtol=SAME, atol=1e-12)
    np.testing.assert_allclose([each for _, each in seen[:4]], [each for _, each in seen[4:]], rtol=SAME, atol=1e-12)
    assert {process for process, _ in seen} == {0}


def test_ctrl_c_gives_back_whole_epochs() -> None:
    def press(state: TrainingState) -> None:
        if state.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    history, model = trained(devices=8, epochs=10, callbacks=[press])
    assert (len(history), history.stopped_because) == (2, "Ctrl-C")
    assert numbers(model) == numbers(trained(devices=8, epochs=2)[1])


class Exploding(Module):
    """exp(w x), infinite for a sample far out."""

    def __init__(self) -> None:
        self.w = Value(1.0, "w")

    def __call__(self, x: float) -> Value:
        return exp(self.w * x)


def test_divergence_is_the_same_error() -> None:
    found = []
    for engine in ("compiled", "jax"):
        with pytest.raises(DivergenceError) as raised:
            trained([0.1, 0.2, 800.0, 0.3], [1, 2, 3, 4], make=Exploding, engine=engine, batch_size=2)
        found.append((str(raised.value), raised.value.epoch, raised.value.batch, raised.value.sample))
    assert found[0] == found[1]
    assert found[0][3] == 2


def test_the_precision_of_jax_stays_as_it_was() -> None:
    with jax.enable_x64(False):
        trained(devices=1, epochs=1)
        assert jax.numpy.ones(1).dtype == np.float32


def test_a_device_that_computes_in_32_bits_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from nn.data_parallel import DataParallel

    differentiate = DataParallel.value_and_grad

    def rounded(*arguments: Any) -> Any:
        value, gradient = differentiate(*arguments)
        return float(np.float16(value)), gradient

    monkeypatch.setattr(DataParallel, "value_and_grad", rounded)
    with pytest.raises(ValueError, match=r"^fit: expected a loss of .* on cpu, got .*: do they compute in 64 bits\?$"):
        trained(devices=1)


def test_what_cannot_be_traced_is_refused() -> None:
    class Choosing(Module):
        def __init__(self) -> None:
            self.w = Value(1.0)

        def __call__(self, x: Any) -> Value:
            return self.w * x if self.w > 0 else self.w

    model = Choosing()
    with pytest.raises(NotTraceableError, match="got a comparison, >"):
        fit(model, [1, 2], [1, 2], engine="jax")
    assert model.w.data == 1.0


def test_the_estimators_take_it() -> None:
    pytest.importorskip("sklearn")
    from nn.estimators import MLPRegressor

    settings: dict[str, Any] = {"max_iter": 3, "n_iter_no_change": 1, "tol": 1e3, "random_state": 0}
    found = [MLPRegressor((3,), engine=engine, **settings).fit(X, Y).predict(X) for engine in ("compiled", "jax")]
    np.testing.assert_allclose(found[0], found[1], rtol=SAME)


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"devices": 0}, ValueError, "fit: expected devices to be a positive int, or a list of JAX's devices, got 0"),
    ({"devices": 9}, ValueError, "fit: expected devices to be at most 8, which JAX has here, got 9"),
    (
        {"devices": "cpu"},
        TypeError,
        "fit: expected devices to be a positive int, or a list of JAX's devices, got str 'cpu'",
    ),
    ({"devices": True}, TypeError, "fit: expected devices to be a positive int, or a list of JAX's devices, got bool"),
    ({"devices": []}, TypeError, "fit: expected devices to be a positive int, or a list of JAX's devices, got list []"),
    (
        {"devices": [1]},
        TypeError,
        "fit: expected devices to be a positive int, or a list of JAX's devices, got int 1 a",
    ),
    ({"devices": 2, "engine": "compiled"}, ValueError, "fit: expected devices=None with engine='compiled', got int 2"),
]


@pytest.mark.parametrize(("settings", "error", "text"), WRONG, ids=[row[-1] for row in WRONG])
def test_case_22_wrong_devices(settings: dict[str, Any], error: type[Exception], text: str) -> None:
    model = MLP(2, [1], init="ones")
    with pytest.raises(error) as raised:
        fit(model, X, Y, **{"engine": "jax", **settings})
    assert str(raised.value).startswith(text)
    assert numbers(model) == [1.0, 1.0, 0.0]


def test_one_device_twice() -> None:
    device = jax.devices()[0]
    with pytest.raises(ValueError, match=r"^fit: expected devices to be each a different one, got one twice$"):
        trained(devices=[device, device])


def test_without_jax_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nn.data_parallel", "nn.group"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "jax", None)
    model = MLP(2, [1], init="ones")
    with pytest.raises(ImportError, match=r"^fit: engine='jax' needs JAX: pip install 'autograd-mini\[jax\]'$"):
        fit(model, X, Y, engine="jax")
    assert numbers(model) == [1.0, 1.0, 0.0]


def test_labels_are_learnt() -> None:
    _, model = trained(y=LABELS, loss=binary_cross_entropy_with_logits, devices=8, epochs=60)
    assert accuracy(heaviside([model(row) for row in X]), LABELS) > 0.9

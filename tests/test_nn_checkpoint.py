"""Checkpoints: exact, resumed as if unbroken, written whole or not at all, and refused when damaged or hostile."""

import copy
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import PATIENCE

from autograd_mini import Value
from nn import MLP, SGD, DivergenceError, Module, fit
from nn.blockwise import Blockwise
from nn.callbacks import Checkpoint, EarlyStopping, TrainingState
from nn.checkpoint import MOST_BYTES, SavedTraining, _checksum, load_checkpoint, save_checkpoint
from nn.history import History
from nn.optimizers import Adam, AdamW
from nn.schedules import CosineDecay
from nn.weights import to_numpy

X = np.random.default_rng(0).normal(size=(7, 2))
Y = X[:, 0] * X[:, 1]


@pytest.fixture(params=["json", "safetensors"])
def suffix(request: pytest.FixtureRequest) -> str:
    if request.param == "safetensors":
        pytest.importorskip("safetensors", reason="this format is tested where safetensors is installed")
    return f".{request.param}"


@pytest.fixture
def path(tmp_path: Path, suffix: str) -> Path:
    return tmp_path / f"run{suffix}"


def network(seed: int = 3) -> MLP:
    return MLP(2, [3, 1], "tanh", seed=seed)


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


def bits(numbers: Any) -> list[str]:
    """As texts, so that 0.0 and -0.0 differ."""
    return [repr(float(number)) for number in numbers]


# Exact


def test_the_parameters_come_back(path: Path) -> None:
    model, other = network(), network(seed=4)
    save_checkpoint(path, model)
    saved = load_checkpoint(path)
    assert (saved.path, saved.optimizer, saved.history, saved.random, saved.callbacks) == (path, None, None, None, [])
    assert saved.architecture == "MLP(2, [3, 1], activation=tanh)"
    assert saved.parameters.keys() == to_numpy(model).keys()
    saved.restore(other)
    assert numbers(other) == numbers(model)


class Numbers(Module):
    def __init__(self, numbers: list[float]) -> None:
        self.numbers = [Value(number) for number in numbers]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_every_bit_is_kept(path: Path, numbers: list[float]) -> None:
    model, other = Numbers([*numbers, -0.0, 5e-324, 1.7976931348623157e308]), Numbers([0.0] * (len(numbers) + 3))
    save_checkpoint(path, model)
    load_checkpoint(path).restore(other)
    assert bits(p.data for p in other.parameters()) == bits(p.data for p in model.parameters())


def test_the_history_comes_back_with_what_is_not_finite(path: Path) -> None:
    history = History({"loss": [0.1, 1 / 3], "validation_loss": [math.inf, math.nan], "a": [-math.inf, -0.0]})
    save_checkpoint(path, network(), history=history)
    found = load_checkpoint(path).history
    assert found is not None
    assert {name: bits(curve) for name, curve in found.curves.items()} == {
        name: bits(curve) for name, curve in history.curves.items()
    }


def test_optimizer_callbacks_and_random_numbers_come_back(path: Path) -> None:
    model, optimizer, early = network(), Adam(0.01), EarlyStopping(7)
    random = np.random.default_rng(5)
    fit(model, X, Y, optimizer=optimizer, epochs=3, batch_size=2, seed=random, callbacks=[early])
    save_checkpoint(path, model, optimizer, random=random, callbacks=[print, early])
    other, moved, again = network(), Adam(), np.random.default_rng()
    stopping = EarlyStopping()
    load_checkpoint(path).restore(other, moved, random=again, callbacks=[stopping])
    assert moved.state_dict() == optimizer.state_dict()
    assert stopping.state_dict() == early.state_dict()
    assert again.random(5).tolist() == random.random(5).tolist()


def test_the_weights_come_back_alone_from_a_file_that_holds_more(path: Path) -> None:
    model, other = network(), network(4)
    fit(model, X, Y, epochs=3, callbacks=[EarlyStopping(3), Checkpoint(path)])
    load_checkpoint(path).restore(other)
    assert [p.data for p in other.parameters()] == [p.data for p in model.parameters()]
    with pytest.raises(ValueError, match="expected callbacks EarlyStopping, as saved, got none"):
        load_checkpoint(path).restore(other, callbacks=[])


def test_an_optimizer_with_infinite_numbers_comes_back(path: Path) -> None:
    """A gradient of 1e200 has a square beyond the floats; the parameter stays where it is."""
    parameter, other = Value(1.0), Value(0.0)
    optimizer, moved = Adam(0.01), Adam()
    parameter.grad = 1e200
    optimizer.step([parameter])
    assert math.isinf(optimizer.state_dict()["parameters"]["squares"][0])

    class One(Module):
        def __init__(self, parameter: Value) -> None:
            self.parameter = parameter

    save_checkpoint(path, One(parameter), optimizer)
    load_checkpoint(path).restore(One(other), moved)
    assert moved.state_dict() == optimizer.state_dict()


def test_models_of_your_own(path: Path) -> None:
    class Plain:
        def __init__(self) -> None:
            self.w = Value(2.5)

        def parameters(self) -> list[Value]:
            return [self.w]

    model = Plain()
    save_checkpoint(path, model)
    model.w.data = 0.0
    saved = load_checkpoint(path)
    saved.restore(model)
    assert model.w.data == 2.5
    assert saved.architecture is None


# Resumed

OPTIMIZERS: dict[str, Callable[[MLP], Any]] = {
    "SGD": lambda model: SGD(0.05),
    "momentum": lambda model: SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda model: Adam(0.01),
    "AdamW, cosine": lambda model: AdamW(CosineDecay(0.02, 30)),
    "block-wise": lambda model: Blockwise(Adam(0.01), model.layers),
}


def train(optimizer: str, epochs: int, **options: Any) -> tuple[list[float], History, Any]:
    """A training from the same beginning."""
    model = network()
    moved = OPTIMIZERS[optimizer](model)
    options = {"batch_size": 3, "validation_data": (X[:2], Y[:2]), "seed": 9, **options}
    history = fit(model, X, Y, optimizer=moved, epochs=epochs, **options)
    return numbers(model), history, moved.state_dict()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_resumed_training_is_as_if_unbroken(optimizer: str, batch_size: int | None, path: Path) -> None:
    unbroken = train(optimizer, 9, batch_size=batch_size)
    train(optimizer, 4, batch_size=batch_size, callbacks=[Checkpoint(path)])
    # Its own seed counts for nothing: the random numbers go on.
    resumed = train(optimizer, 9, batch_size=batch_size, resume=path, seed=1234)
    assert resumed == unbroken
    assert len(resumed[1]) == 9
    assert train(optimizer, 9, batch_size=batch_size, resume=load_checkpoint(path)) == unbroken


def test_resumed_at_every_epoch(path: Path) -> None:
    unbroken = train("Adam", 6, callbacks=[Checkpoint(path)])
    path.unlink()
    for epochs in range(1, 7):
        broken = train("Adam", epochs, callbacks=[Checkpoint(path)], resume=path if path.exists() else None)
    assert broken == unbroken


def test_early_stopping_goes_on_where_it_was(path: Path) -> None:
    def options() -> dict[str, Any]:
        return {"callbacks": [EarlyStopping(3), Checkpoint(path)], "validation_data": (X[:2], -Y[:2])}

    unbroken = train("SGD", 50, **options())
    assert 4 < len(unbroken[1]) < 50
    assert unbroken[1].stopped_because.startswith("EarlyStopping")
    train("SGD", len(unbroken[1]) - 1, **options())  # the best epoch lies before the break
    assert train("SGD", 50, **options(), resume=path) == unbroken


def test_case_27_after_ctrl_c_the_checkpoint_holds_the_last_whole_epoch(path: Path) -> None:
    class Press:
        """Ctrl-C in the middle of an epoch."""

        calls = 0

        def __call__(self, predictions: Any, targets: Any) -> float:
            self.calls += 1
            if self.calls == 14:
                signal.raise_signal(signal.SIGINT)
            return 0.0

    def options(press: Callable[..., float]) -> dict[str, Any]:
        return {"metrics": {"zero": press}, "callbacks": [Checkpoint(path, every=100)]}

    unbroken = train("Adam", 9, **options(lambda predictions, targets: 0.0))
    _, history, _ = train("Adam", 9, **options(Press()))
    assert len(history) == 3  # of 3 batches and 1 validation each, the 14th call is in the fourth
    saved = load_checkpoint(path).history
    assert saved is not None
    assert len(saved) == 3
    assert train("Adam", 9, **options(lambda predictions, targets: 0.0), resume=path) == unbroken


def test_a_rate_that_a_callback_changed_is_resumed(path: Path) -> None:
    def halve(state: TrainingState) -> None:
        state.optimizer.learning_rate *= 0.5

    unbroken = train("SGD", 5, callbacks=[halve])
    train("SGD", 2, callbacks=[halve, Checkpoint(path)])
    assert train("SGD", 5, callbacks=[halve], resume=path) == unbroken


def test_a_training_that_is_over_is_given_back(path: Path) -> None:
    unbroken = train("SGD", 3, callbacks=[Checkpoint(path)])
    assert train("SGD", 3, resume=path) == unbroken
    assert train("SGD", 2, resume=path) == unbroken
    assert train("SGD", 3, resume=path)[1].stopped_because == "all 3 epochs run"


def test_the_progress_bar_goes_on(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    train("SGD", 3, callbacks=[Checkpoint(path)])
    train("SGD", 4, resume=path, progress=True)
    output = capsys.readouterr().out
    assert "epoch 4/4" in output
    assert "100%" in output


# Written whole or not at all


def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(path, network())
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, network(seed=4))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


SAVE_FOR_EVER = """
import sys
from nn import MLP
from nn.checkpoint import save_checkpoint
models = [MLP(2, [50, 1], seed=seed) for seed in range(2)]
save_checkpoint(sys.argv[1], models[0])
print("ready", flush=True)
while True:
    for model in models:
        save_checkpoint(sys.argv[1], model)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_process_killed_while_it_writes_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for wait in (0.02, 0.037, 0.051):
        with subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(wait)
            process.kill()
        load_checkpoint(path).restore(MLP(2, [50, 1]))


def test_parameters_that_are_not_finite_are_not_saved(path: Path) -> None:
    model = network()
    model.layers[1].neurons[0].weights[2].data = math.nan
    with pytest.raises(
        ValueError, match=r"^save_checkpoint: expected finite parameters, got list .*nan.* in layers\.1\."
    ):
        save_checkpoint(path, model)
    assert not path.exists()


def test_what_cannot_be_saved(path: Path) -> None:
    class Strange:
        def state_dict(self) -> dict[str, Any]:
            return {"thing": self}

        def load_state_dict(self, state: Any) -> None: ...

    with pytest.raises(
        TypeError, match=r"^save_checkpoint: expected states of numbers, texts, lists and dicts: .*Strange"
    ):
        save_checkpoint(path, network(), Strange())
    with pytest.raises(TypeError, match=r"^to_numpy: expected model to have parameters\(\), got int 3$"):
        save_checkpoint(path, 3)
    random = np.random.Generator(np.random.MT19937(0))
    with pytest.raises(
        ValueError, match=r"^save_checkpoint: expected random to be a generator of PCG64, got Generator"
    ):
        save_checkpoint(path, network(), random=random)
    assert not path.exists()


@pytest.mark.parametrize("name", ["run", "run.pt", "run.pkl", "run.JSON", "json"])
def test_other_endings_are_refused(name: str) -> None:
    for function in (lambda: save_checkpoint(name, network()), lambda: load_checkpoint(name)):
        with pytest.raises(
            ValueError, match=rf"_checkpoint: expected path to end in .json or .safetensors, got '{name}'$"
        ):
            function()


def test_a_path_may_be_text(tmp_path: Path, suffix: str) -> None:
    path = os.fspath(tmp_path / f"run{suffix}")
    save_checkpoint(path, network())
    assert load_checkpoint(path).path == Path(path)


def test_without_safetensors_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for function in (lambda path: save_checkpoint(path, network()), load_checkpoint, Checkpoint):
        with pytest.raises(
            ImportError, match=r": \.safetensors needs safetensors: pip install 'autograd-mini\[safetens"
        ):
            function(tmp_path / "run.safetensors")
    save_checkpoint(tmp_path / "run.json", network())


# Damaged


def refused(path: Path, function: Callable[[Path], object] = load_checkpoint) -> str:
    """The message, which names the file and stays on one line."""
    with pytest.raises(ValueError, match=r"^load_checkpoint: ") as raised:
        function(path)
    message = str(raised.value)
    prefix = f"load_checkpoint: {path}: "
    assert message.startswith(prefix)
    assert "\n" not in message
    assert len(message) < len(prefix) + 250
    return message.removeprefix(prefix)


@pytest.fixture
def whole(path: Path) -> bytes:
    """A small checkpoint with everything in it."""
    model = MLP(1, [1], seed=0)
    fit(
        model,
        [1, 2],
        [1, 3],
        optimizer=Adam(),
        epochs=2,
        batch_size=1,
        seed=0,
        callbacks=[Checkpoint(path), EarlyStopping()],
    )
    return path.read_bytes()


def test_case_27_a_truncated_file_is_refused_at_every_length(path: Path, whole: bytes) -> None:
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


def test_case_27_an_edited_file_is_refused_at_every_byte(path: Path, whole: bytes) -> None:
    """Or it still says the same: a last digit beyond those of a float."""
    expected = load_checkpoint(path)
    random = np.random.default_rng(0)
    accepted = 0
    for place in range(len(whole)):
        edited = bytearray(whole)
        edited[place] = random.choice([byte for byte in b' 0123456789-."e\x00\xff{}' if byte != whole[place]])
        path.write_bytes(edited)
        try:
            found = load_checkpoint(path)
        except ValueError:
            refused(path)
            continue
        accepted += 1
        assert_same(found, expected)
    assert accepted < len(whole) / 100


def assert_same(found: SavedTraining, expected: SavedTraining) -> None:
    assert {name: bits(array.ravel()) for name, array in found.parameters.items()} == {
        name: bits(array.ravel()) for name, array in expected.parameters.items()
    }
    for name in ("architecture", "optimizer", "history", "random", "callbacks"):
        assert getattr(found, name) == getattr(expected, name)


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save_checkpoint(path, MLP(2, [1], init="ones"))
    text = path.read_text()
    path.write_text(text.replace("1.0,1.0", "1.0,2.0"))
    assert path.read_text() != text
    assert refused(path) == "expected the checksum that it was written with, got another: damaged, or edited by hand"


def test_white_space_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save_checkpoint(path, network())
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    load_checkpoint(path).restore(network())


def test_case_27_a_file_of_a_gigabyte_is_refused_at_once(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**30)
    started = time.perf_counter()
    assert refused(path) == "expected at most 67,108,864 bytes, got 1,073,741,824"
    assert time.perf_counter() - started < PATIENCE


def test_what_would_be_too_large_to_read_is_not_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nn.checkpoint.MOST_BYTES", 100)
    with pytest.raises(ValueError, match=r"^save_checkpoint: expected a checkpoint of at most 100 bytes, got \d+$"):
        save_checkpoint(path, network())
    assert not path.exists()


def test_a_file_that_is_not_there(path: Path) -> None:
    for read in (lambda: load_checkpoint(path), lambda: fit(network(), X, Y, resume=path)):
        with pytest.raises(FileNotFoundError) as raised:
            read()
        assert str(raised.value) == f"load_checkpoint: {path}: expected a file, got a path where there is none"


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.mkdir()
    assert refused(path) == "expected a file, got something else"
    path.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert refused(path) == "expected a file, got something else"
        path.unlink()
        path.symlink_to("/dev/zero")
        assert refused(path) == "expected a file, got something else"


# Hostile


class Bomb:
    exploded = False

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import test_nn_checkpoint; test_nn_checkpoint.Bomb.exploded = True",)


def test_case_27_a_pickle_is_refused_and_never_run(path: Path) -> None:
    Bomb.exploded = False
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path.write_bytes(pickle.dumps(Bomb(), protocol))
        refused(path)
    assert not Bomb.exploded
    pickle.loads(pickle.dumps(Bomb()))
    assert sys.modules["test_nn_checkpoint"].Bomb.exploded  # it would have been


HOSTILE_TEXTS = {
    "": "expected whole JSON, got a damaged file: ",
    "\ufeff{}": "expected whole JSON, got a damaged file: ",
    "null": "expected a checkpoint of autograd-mini, got something else",
    "[]": "expected a checkpoint of autograd-mini, got something else",
    "{}": "expected a checkpoint of autograd-mini, got something else",
    '{"parameters": {}}': "expected a checkpoint of autograd-mini, got something else",
    '{"parameters": {"a": NaN}}': "expected numbers, got NaN",
    '{"parameters": {"a": [-Infinity]}}': "expected numbers, got -Infinity",
    '{"parameters": {"a": [1e999]}}': "expected numbers within the floats, got str '1e999'",
    '{"parameters": {"a": [1.0], "a": [2.0]}}': "expected every key once, got one twice among list ['a', 'a']",
    '{"parameters": {"a": {"not finite": "inf"}}}': "expected finite float64 numbers in 'a', got float inf",
    '{"not finite": "hello"}': "expected the name of a number that is not finite, got dict {'not finite': 'hello'}",
    '{"parameters": {"a": [1]}}': "expected numbers in 'a', got list [1]",
    '{"parameters": {"a": [true]}}': "expected numbers in 'a', got list [True]",
    '{"parameters": {"a": ["1.0"]}}': "expected numbers in 'a', got list ['1.0']",
    '{"parameters": {"a": [[1.0], [1.0, 2.0]]}}': "expected rows of equal length in 'a', got list [[1.0], [1.0, 2.0]]",
    '{"parameters": {"a": ' + "[" * 90 + "1.0" + "]" * 90 + "}}": "expected rows of equal length in 'a', got list [[[",
    "[" * 100_000: "expected a checkpoint, got lists nested too deep for one",
    "[" * 100_000 + "]" * 100_000: "expected a checkpoint, got lists nested too deep for one",
    '{"a":' * 100_000 + "1" + "}" * 100_000: "expected a checkpoint, got lists nested too deep for one",
    '{"a": 1' + "0" * 5000 + "}": "Exceeds the limit",
}


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: text[:40])
def test_case_27_hostile_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    # With a head that is right, where it has one, so that the check in question is reached.
    head = '{"format": "autograd-mini checkpoint", "version": 1, "sha256": "", "content": {"architecture": null, '
    head += '"optimizer": null, "history": null, "random": null, "callbacks": []}, '
    path.write_text(text.replace('{"parameters": {"a"', f'{head}"parameters": {{"a"', 1), encoding="utf-8")
    assert refused(path).startswith(HOSTILE_TEXTS[text])


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for data in (b"\xff\xfe{\x00}\x00", b"\x00" * 100, bytes(range(256))):
        path.write_bytes(data)
        assert refused(path).startswith("expected whole JSON, got a damaged file: ")


def sealed(document: dict[str, Any]) -> str:
    """The JSON of a document, with the checksum that an attacker who has read our source would give it."""
    document = copy.deepcopy(document)
    try:
        parameters = {name: np.array(numbers, dtype=float) for name, numbers in document["parameters"].items()}
        document["sha256"] = _checksum(document["content"], parameters)
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    return json.dumps(document)


def good_document(path: Path) -> dict[str, Any]:
    model = MLP(1, [1], seed=0)
    fit(
        model,
        [1, 2],
        [1, 3],
        optimizer=Adam(),
        epochs=2,
        batch_size=1,
        seed=0,
        callbacks=[Checkpoint(path), EarlyStopping()],
    )
    document: dict[str, Any] = json.loads(path.read_text())
    return document


@pytest.mark.parametrize(
    ("place", "thing", "message"),
    [
        (["version"], 2, "expected version 1, got int 2"),
        (["version"], None, "expected version 1, got NoneType None"),
        (["format"], "pickle", "expected a checkpoint of autograd-mini, got something else"),
        (["more"], 1, "expected the document to be a dict of format, version, sha256, content, got the keys"),
        (
            ["content"],
            [],
            "expected content to be a dict of architecture, optimizer, history, random, callbacks, got list []",
        ),
        (["content", "more"], 1, "expected content to be a dict of architecture, optimizer, history, random, callba"),
        (["content", "architecture"], 3, "expected architecture to be a text or nothing, got int 3"),
        (["content", "optimizer"], 3, "expected optimizer to be a dict of kind, state, got int 3"),
        (["content", "optimizer", "kind"], 3, "expected the kind of optimizer to be a text, got int 3"),
        (["content", "optimizer", "state"], 3, "expected the state of optimizer to be a dict or nothing, got int 3"),
        (["content", "callbacks"], {}, "expected callbacks to be a list, got dict {}"),
        (["content", "callbacks", 0], None, "expected callbacks to be a dict of kind, state, got NoneType None"),
        (["content", "random"], {}, "expected random to be a state of PCG64, got dict {}"),
        (["content", "random", "bit_generator"], "MT19937", "expected random to be a state of PCG64, got dict {"),
        (["content", "random", "state", "state"], -1, "expected random to be a state of PCG64, got dict {"),
        (["content", "random", "state", "state"], 2**200, "expected random to be a state of PCG64, got dict {"),
        (["content", "history"], [], "History: expected a dict of curves with one named 'loss', got list []"),
        (["content", "history", "loss"], "ab", "History: expected lists of numbers by name, got str 'ab' as str 'l"),
        (["content", "history", "loss"], [1.0], "History: expected curves of equal length, got "),
        (["content", "history", "loss", 0], None, "History: expected numbers in 'loss', got NoneType None"),
    ],
)
def test_a_document_that_is_wrong_but_sealed(place: list[Any], thing: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    document = good_document(path)
    path.write_text(sealed(document))
    load_checkpoint(path)  # the seal itself is right
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = thing
    path.write_text(sealed(document))
    assert refused(path).startswith(message)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every list or dict in a tree, with each of its keys."""
    if isinstance(tree, (dict, list)):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from places(tree[key])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_whatever_stands_in_a_sealed_document_only_value_errors_come_out(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "run.json"
    document = good_document(path)
    for _ in range(data.draw(st.integers(1, 3))):
        part, key = data.draw(st.sampled_from(list(places(document))))
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            part[key] = data.draw(JUNK)
        elif action == "remove":
            del part[key]
        elif isinstance(part, dict):
            part[data.draw(st.text(max_size=5))] = data.draw(JUNK)
        else:
            part.append(data.draw(JUNK))
        if not document:
            break
    path.write_text(sealed(document))
    model = MLP(1, [1], init="ones")
    try:
        fit(model, [1, 2], [1, 3], optimizer=Adam(), epochs=3, batch_size=1, callbacks=[EarlyStopping()], resume=path)
    except ValueError:
        assert numbers(model) == [1.0, 0.0]
    except DivergenceError:  # of a parameter of 1e300, say, which is one
        assert np.isfinite(numbers(model)).all()


def test_case_27_hostile_safetensors(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="tested where safetensors is installed")
    path = tmp_path / "run.safetensors"
    header = b'{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}'
    for data in (
        b"",
        b"\xff" * 8,
        (2**60).to_bytes(8, "little") + b"{}",  # a header of an exabyte
        (2).to_bytes(8, "little") + b"[]",
        len(header).to_bytes(8, "little") + header,  # numbers that are not there
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        b'{"parameters": {}}',
    ):
        path.write_bytes(data)
        assert refused(path).startswith("expected a whole safetensors file, got a damaged one: ")
    path.write_bytes(safetensors.save({"a": np.zeros(3)}))
    assert refused(path) == "expected a checkpoint of autograd-mini, got something else"
    path.write_bytes(safetensors.save({"a": np.zeros(3, dtype=np.float32)}))
    assert refused(path) == "expected float64 numbers in 'a', got F32"
    for text in ("", "[" * 100_000, "NaN", '{"format": "autograd-mini checkpoint"}'):
        path.write_bytes(safetensors.save({"a": np.zeros(3)}, metadata={"autograd-mini checkpoint": text}))
        refused(path)


def test_a_symlink_in_the_place_of_the_file_is_replaced_not_followed(tmp_path: Path) -> None:
    precious, path = tmp_path / "precious", tmp_path / "run.json"
    precious.write_text("precious")
    path.symlink_to(precious)
    save_checkpoint(path, network())
    assert precious.read_text() == "precious"


# For another training


def saved_by(optimizer: Any, tmp_path: Path, **options: Any) -> SavedTraining:
    path = tmp_path / "run.json"
    fit(
        network(),
        X,
        Y,
        optimizer=optimizer,
        epochs=2,
        callbacks=[Checkpoint(path), *options.pop("callbacks", [])],
        **options,
    )
    return load_checkpoint(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            MLP(2, [4, 1], "tanh"),
            "a model like the one saved, MLP(2, [3, 1], activation=tanh), got MLP(2, [4, 1], activ",
        ),
        (
            MLP(2, [3, 1], "relu"),
            "a model like the one saved, MLP(2, [3, 1], activation=tanh), got MLP(2, [3, 1], activ",
        ),
        (
            MLP(2, [3, 1], "tanh", bias=False),
            "a model like the one saved, MLP(2, [3, 1], activation=tanh), got MLP(2, [3",
        ),
        (
            Numbers([1.0]),
            "an array 'numbers', as the model has, got list ['layers.0.weights', 'layers.0.biases', 'layers.",
        ),
    ],
)
def test_another_model_is_refused(model: Module, message: str, tmp_path: Path) -> None:
    saved = saved_by(Adam(), tmp_path)
    before = numbers(model)
    with pytest.raises(ValueError, match=r"^restore: .*run\.json: expected ") as raised:
        saved.restore(model)
    assert str(raised.value).startswith(f"restore: {saved.path}: expected {message}")
    assert numbers(model) == before


def test_a_model_of_your_own_of_another_size_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run.json", Numbers([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"expected 'numbers' of shape \(3,\), as in the model, got \(2,\)$"):
        load_checkpoint(tmp_path / "run.json").restore(Numbers([1.0, 2.0, 3.0]))


class OnlyStep:
    def step(self, parameters: Any, /) -> None: ...


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": SGD()}, "restore: PATH: expected optimizer Adam, as saved, got SGD"),
        ({"optimizer": OnlyStep()}, "fit: expected the curves of resume, loss, learning_rate, got loss"),
        ({"callbacks": []}, "restore: PATH: expected callbacks EarlyStopping, as saved, got none"),
        (
            {"callbacks": [EarlyStopping(), EarlyStopping()]},
            "restore: PATH: expected callbacks EarlyStopping, as saved, got EarlyStopping, EarlyStopping",
        ),
        (
            {"metrics": {"a": len}},
            "fit: expected the curves of resume, loss, learning_rate, got loss, a, learning_rate",
        ),
    ],
)
def test_another_training_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    saved = saved_by(Adam(), tmp_path, callbacks=[EarlyStopping()])
    model = network()
    options = {"optimizer": Adam(), "callbacks": [EarlyStopping()], **options}
    with pytest.raises(ValueError, match=r"^(restore|fit): ") as raised:
        fit(model, X, Y, resume=saved, **options)
    assert str(raised.value) == message.replace("PATH", str(saved.path))
    assert numbers(model) == numbers(network())


def test_what_the_file_lacks(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save_checkpoint(path, network())
    saved, model = load_checkpoint(path), network(seed=5)
    with pytest.raises(
        ValueError, match=r"run\.json: expected the state of an optimizer, got a checkpoint without one$"
    ):
        saved.restore(model, SGD())
    with pytest.raises(
        ValueError, match=r"run\.json: expected a state of random numbers, got a checkpoint without one$"
    ):
        saved.restore(model, random=np.random.default_rng())
    with pytest.raises(
        ValueError, match=r"^fit: expected resume to hold the history of a training, got .* without: give"
    ):
        fit(model, X, Y, resume=path)
    assert numbers(model) == numbers(network(seed=5))
    saved.restore(model)
    with pytest.raises(ValueError, match=r"expected random to be a generator of PCG64, got Generator Gen"):
        saved_by(SGD(), tmp_path).restore(model, random=np.random.Generator(np.random.MT19937()))


def test_a_state_that_the_optimizer_refuses_changes_no_model(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    document = good_document(path)
    document["content"]["optimizer"]["state"]["step_count"] = -1
    path.write_text(sealed(document))
    model = MLP(1, [1], init="ones")
    with pytest.raises(ValueError, match=r"^restore: .*run\.json: Adam: expected state\['step_count'\]"):
        load_checkpoint(path).restore(model, Adam(), callbacks=[EarlyStopping()])
    assert numbers(model) == [1.0, 0.0]


def test_the_limit_is_what_the_documentation_says() -> None:
    assert MOST_BYTES == 64 * 2**20
    assert "64 MiB" in (load_checkpoint.__doc__ or "")

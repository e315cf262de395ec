"""`EarlyStopping` by hand, and `Checkpoint`: when it saves, and what."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_mini import Value
from nn import SGD, Module, fit
from nn.callbacks import Checkpoint, EarlyStopping, TrainingState
from nn.checkpoint import load_checkpoint
from nn.history import History

NAN, INF = math.nan, math.inf


def run(early: EarlyStopping, curve: list[float], name: str = "validation_loss") -> tuple[int, str, float]:
    """Feed it a curve; in epoch e the only parameter is e. Returns the last epoch, the reason, and the parameter."""
    parameter, history = Value(0.0), History()

    def state() -> TrainingState:
        everything: Any = {"epochs": 99, "model": None, "optimizer": None, "parameters": [parameter], "callbacks": []}
        return TrainingState(epoch=history.epochs, history=history, random=np.random.default_rng(), **everything)

    early.start(state())
    reason = None
    for number in curve:
        parameter.data = history.epochs + 1
        history.record({"loss": 0.0, name: number})
        reason = early(state())
        if reason:
            break
    early.finish(state())
    return history.epochs, reason or "", parameter.data


@pytest.mark.parametrize(
    ("patience", "min_delta", "curve", "last", "best"),
    [
        (1, 0.0, [3, 2, 1, 1, 0], 4, 3),  # no better is no better, also where it is as good
        (2, 0.0, [3, 2, 4, 1, 5, 6, 0], 6, 4),
        (3, 0.0, [3, 2, 4, 1], 4, 4),  # never stopped; the best is the last
        (3, 0.0, [1, 2, 3], 3, 1),  # never stopped either, and the first was the best
        (2, 0.5, [3, 2.6, 2.4, 2.2], 4, 3),  # 0.4 below is not better, 0.6 below is; then 0.2 below is not
        (1, 0.0, [NAN, 3, NAN], 1, 1),
        (2, 0.0, [NAN, 3, NAN, NAN], 4, 2),
        (2, 0.0, [INF, INF, 1], 2, 2),  # nothing was best: left as it is
    ],
)
def test_early_stopping_by_hand(patience: int, min_delta: float, curve: list[float], last: int, best: int) -> None:
    early = EarlyStopping(patience, min_delta=min_delta)
    epoch, reason, parameter = run(early, curve)
    assert (epoch, parameter) == (last, best)
    assert bool(reason) == (last < len(curve) or epoch - early.best_epoch >= patience)
    assert run(early, curve) == (epoch, reason, parameter)  # it may be used again
    assert run(EarlyStopping(patience, min_delta=min_delta, restore_best=False), curve) == (epoch, reason, epoch)


def test_early_stopping_says_why() -> None:
    early = EarlyStopping(2)
    assert run(early, [3, 1, 2, 2])[1] == "EarlyStopping: validation_loss no better than 1 of epoch 2"
    assert (early.best, early.best_epoch) == (1, 2)


def test_early_stopping_looks_at_the_loss_without_validation_data() -> None:
    history = fit(Line(), [1, 2], [1, 3], optimizer=SGD(0.0), epochs=50, callbacks=[EarlyStopping(3)])
    assert len(history) == 4
    assert history.stopped_because == "EarlyStopping: loss no better than 5 of epoch 1"


def test_early_stopping_on_a_curve_of_choice() -> None:
    assert run(EarlyStopping(1, curve="error"), [2, 1, 3], "error")[0] == 3
    with pytest.raises(ValueError, match=r"^EarlyStopping: expected curve to be one of loss, a, got 'error'$"):
        run(EarlyStopping(1, curve="error"), [2, 1, 3], "a")


class Line(Module):
    """y = slope · x + offset."""

    def __init__(self) -> None:
        self.slope, self.offset = Value(0.0), Value(0.0)

    def __call__(self, x: float) -> Value:
        return self.slope * x + self.offset


def test_the_best_epoch_is_restored() -> None:
    """The validation data want another line: the loss on them falls first, and then grows."""
    numbers: list[list[float]] = []
    model = Line()
    history = fit(
        model,
        [1, 2],
        [1, 3],
        optimizer=SGD(0.05),
        epochs=200,
        validation_data=([0, 3], [0, 3]),
        callbacks=[EarlyStopping(5), lambda state: numbers.append([p.data for p in state.parameters])],
    )
    best = int(np.argmin(history.validation_loss))
    assert 0 < best < len(history) - 1
    assert len(history) == best + 1 + 5
    assert [parameter.data for parameter in model.parameters()] == numbers[best]
    assert numbers[best] != numbers[-1]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"patience": 0}, ValueError, "EarlyStopping: expected patience to be a positive int, got 0"),
        ({"patience": 1.5}, TypeError, "EarlyStopping: expected patience to be a positive int, got float 1.5"),
        (
            {"min_delta": -1},
            ValueError,
            "EarlyStopping: expected min_delta to be a finite number of 0 or more, got -1.0",
        ),
        (
            {"min_delta": NAN},
            ValueError,
            "EarlyStopping: expected min_delta to be a finite number of 0 or more, got nan",
        ),
        ({"min_delta": "a"}, TypeError, "EarlyStopping: expected min_delta to be a number, got str 'a'"),
        (
            {"restore_best": "no"},
            TypeError,
            "EarlyStopping: expected restore_best to be True or False, got str 'no'",
        ),
        ({"curve": 3}, TypeError, "EarlyStopping: expected curve to be the name of one, got int 3"),
    ],
)
def test_wrong_settings_of_early_stopping(settings: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        EarlyStopping(**settings)
    assert str(raised.value) == message


GOOD = {"best": 1.0, "best_epoch": 3, "best_numbers": [1.0]}


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (None, ValueError),
        ({}, ValueError),
        ({**GOOD, "more": 1}, ValueError),
        ({**GOOD, "best": "a"}, TypeError),
        ({**GOOD, "best_epoch": -1}, ValueError),
        ({**GOOD, "best_epoch": 1.0}, ValueError),
        ({**GOOD, "best_epoch": True}, ValueError),
        ({**GOOD, "best_numbers": 3}, TypeError),
        ({**GOOD, "best_numbers": ["a"]}, TypeError),
        ({**GOOD, "best_numbers": [NAN]}, ValueError),
    ],
)
def test_a_wrong_state_of_early_stopping_changes_nothing(state: Any, error: type[Exception]) -> None:
    early = EarlyStopping()
    early.load_state_dict(GOOD)
    with pytest.raises(error, match=r"^EarlyStopping: expected state"):
        early.load_state_dict(state)
    assert early.state_dict() == GOOD


# Checkpoint


def saved_epochs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of epochs at each call of save_checkpoint."""
    epochs: list[int] = []

    def save(path: Path, model: Any, optimizer: Any, history: History, **rest: Any) -> None:
        epochs.append(history.epochs)

    monkeypatch.setattr("nn.callbacks.save_checkpoint", save)
    return epochs


@pytest.mark.parametrize(
    ("every", "epochs", "expected"), [(1, 3, [1, 2, 3]), (2, 4, [2, 4]), (2, 5, [2, 4, 5]), (9, 4, [4])]
)
def test_when_it_saves(
    every: int, epochs: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = saved_epochs(monkeypatch)
    fit(Line(), [1, 2], [1, 3], epochs=epochs, callbacks=[Checkpoint(tmp_path / "run.json", every)])
    assert saved == expected


def test_it_saves_nothing_before_the_first_epoch(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("what was here")

    class Interrupted(Line):
        def __call__(self, x: float) -> Value:
            raise KeyboardInterrupt

    fit(Interrupted(), [1, 2], [1, 3], callbacks=[Checkpoint(path)])
    assert path.read_text() == "what was here"


def test_it_knows_what_callbacks_after_it_know(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    early = EarlyStopping(5)
    fit(Line(), [1, 2], [1, 3], epochs=3, callbacks=[Checkpoint(path), early])
    (saved,) = load_checkpoint(path).callbacks
    assert saved == {"kind": "EarlyStopping", "state": early.state_dict()}
    assert saved["state"]["best_epoch"] == 3


def test_what_it_saves_is_the_last_epoch_not_the_best(tmp_path: Path) -> None:
    path, model = tmp_path / "run.json", Line()
    last: list[float] = []
    fit(
        model,
        [1, 2],
        [1, 3],
        epochs=30,
        optimizer=SGD(0.05),
        validation_data=([0, 3], [0, 3]),
        callbacks=[Checkpoint(path, every=999), EarlyStopping(3), lambda s: last.__setitem__(slice(None), numbers(s))],
    )
    saved = load_checkpoint(path)
    assert [float(array) for array in saved.parameters.values()] == last
    assert [parameter.data for parameter in model.parameters()] != last


def numbers(state: TrainingState) -> list[float]:
    return [parameter.data for parameter in state.parameters]


def test_wrong_settings_of_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^Checkpoint: expected path to end in \.json or \.safetensors, got 'run\.pt'$"
    ):
        Checkpoint("run.pt")
    with pytest.raises(ValueError, match=r"^Checkpoint: expected path in a folder that exists, got '.*run\.json'$"):
        Checkpoint(tmp_path / "nowhere" / "run.json")
    with pytest.raises(ValueError, match=r"^Checkpoint: expected every to be a positive int, got 0$"):
        Checkpoint(tmp_path / "run.json", every=0)

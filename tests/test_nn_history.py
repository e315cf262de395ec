"""`History`: a sequence of losses with curves, as a dict, a picture and a text."""

import copy
import json
import math
import pickle
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nn import MLP, SGD, fit
from nn.history import History

CURVES = {"loss": [3.0, 2.0, 1.5], "validation_loss": [4.0, 3.5, math.inf], "learning_rate": [0.1, 0.1, 0.05]}


def test_it_is_a_sequence_of_the_losses() -> None:
    history = History(CURVES)
    assert isinstance(history, Sequence)
    assert len(history) == history.epochs == 3
    assert (history[0], history[-1], history[1:]) == (3.0, 1.5, [2.0, 1.5])
    assert list(history) == history.loss == [3.0, 2.0, 1.5]
    assert 2.0 in history
    assert history.index(1.5) == 2
    assert min(history) == 1.5
    np.testing.assert_array_equal(np.array(history), [3.0, 2.0, 1.5])
    with pytest.raises(IndexError):
        history[3]


def test_equality() -> None:
    history = History(CURVES)
    assert history == [3.0, 2.0, 1.5]
    assert history == (3.0, 2.0, 1.5)
    assert history == pytest.approx([3.0, 2.0, 1.5 + 1e-9])
    assert history != [3.0, 2.0]
    assert history == History(CURVES)
    assert history != History({**CURVES, "learning_rate": [0.1, 0.1, 0.1]})
    assert history != "loss"
    with pytest.raises(TypeError, match="unhashable"):
        hash(history)


def test_the_curves() -> None:
    history = History(CURVES)
    assert history.validation_loss == [4.0, 3.5, math.inf]
    assert history.learning_rate == [0.1, 0.1, 0.05]
    assert History({"loss": [1.0]}).validation_loss == []
    assert History({"loss": [1.0]}).learning_rate == []
    assert History() == []
    assert not History()


def test_to_dict_and_back() -> None:
    history = History(CURVES)
    exported = history.to_dict()
    assert exported == CURVES
    exported["loss"].append(7.0)
    assert len(history) == 3  # a copy
    assert History(json.loads(json.dumps(history.to_dict()))) == history
    assert copy.deepcopy(history) == history
    assert pickle.loads(pickle.dumps(history)) == history


def test_to_dict_makes_a_frame() -> None:
    pandas = pytest.importorskip("pandas", reason="frames are tested where pandas is installed")
    history = fit(MLP(1, [1], init="zeros"), [1, 2], [1, 3], epochs=2, validation_data=([1], [2]), optimizer=SGD(0.5))
    frame = pandas.DataFrame(history.to_dict())
    assert list(frame.columns) == ["loss", "validation_loss", "learning_rate"]
    assert frame["loss"].tolist() == history.loss


def test_recording_and_cutting() -> None:
    history = History()
    history.record({"loss": 2.0, "accuracy": 0.5})
    history.record({"accuracy": 1.0, "loss": 1.0})
    assert history.curves == {"loss": [2.0, 1.0], "accuracy": [0.5, 1.0]}
    with pytest.raises(ValueError, match=r"^History: expected the curves loss, accuracy, got loss$"):
        history.record({"loss": 1.0})
    history.curves["loss"].append(7.0)  # an epoch recorded by half
    history.cut(2)
    assert history.curves == {"loss": [2.0, 1.0], "accuracy": [0.5, 1.0]}
    history.cut(0)
    history.record({"loss": 3.0})
    assert history.curves == {"loss": [3.0]}


def test_its_text_says_how_it_went() -> None:
    history = History({"loss": [3.0, 1.23456]})
    assert repr(history) == "History(2 epochs, loss 3 → 1.235)"
    history.stopped_because = "Ctrl-C"
    assert repr(history) == "History(2 epochs, loss 3 → 1.235, Ctrl-C)"
    assert repr(History()) == "History(0 epochs)"


@pytest.mark.parametrize(
    ("curves", "error", "message"),
    [
        ({}, ValueError, "History: expected a dict of curves with one named 'loss', got dict {}"),
        ([1.0], ValueError, "History: expected a dict of curves with one named 'loss', got list [1.0]"),
        (
            {"loss": [1.0], "accuracy": []},
            ValueError,
            "History: expected curves of equal length, got 0 numbers of 'accuracy' and 1 of 'loss'",
        ),
        ({"loss": "abc"}, TypeError, "History: expected lists of numbers by name, got str 'abc' as str 'loss'"),
        ({"loss": [], 3: []}, TypeError, "History: expected lists of numbers by name, got list [] as int 3"),
        ({"loss": ["a"]}, TypeError, "History: expected numbers in 'loss', got str 'a'"),
    ],
)
def test_wrong_curves(curves: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        History(curves)
    assert str(raised.value) == message


# The picture


@pytest.fixture
def pyplot() -> Any:
    matplotlib = pytest.importorskip("matplotlib", reason="pictures are tested where matplotlib is installed")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def lines(axes: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_the_plot_shows_the_losses_over_the_epochs(pyplot: Any) -> None:
    axes = History({"loss": [3.0, 2.0], "validation_loss": [4.0, 3.5], "accuracy": [0.0, 1.0]}).plot()
    assert lines(axes) == {"loss": ([1, 2], [3.0, 2.0]), "validation loss": ([1, 2], [4.0, 3.5])}
    assert axes.get_xlabel() == "epoch"
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"loss", "validation loss"}
    axes.figure.canvas.draw()


def test_the_plot_has_ticks_at_whole_epochs(pyplot: Any) -> None:
    axes = History({"loss": [3.0, 2.0, 1.0]}).plot()
    axes.figure.canvas.draw()
    ticks = axes.get_xticks()
    assert {1.0, 2.0, 3.0} <= set(ticks)
    assert all(tick.is_integer() for tick in ticks)


def test_the_plot_of_chosen_curves_on_axes_of_your_own(pyplot: Any) -> None:
    axes = pyplot.figure().add_subplot()
    assert History(CURVES).plot("learning_rate", "validation_loss", axes=axes) is axes
    assert set(lines(axes)) == {"learning rate", "validation loss"}
    axes.figure.canvas.draw()  # an infinity is in it


def test_a_single_epoch_shows(pyplot: Any) -> None:
    (line,) = History({"loss": [3.0]}).plot().get_lines()
    assert line.get_marker() == "o"


def test_a_curve_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^History\.plot: expected curves among loss, got str 'accuracy'$"):
        History({"loss": [3.0]}).plot("accuracy")


def test_without_matplotlib_the_plot_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError) as raised:
        History({"loss": [3.0]}).plot()
    assert str(raised.value) == "History.plot: needs matplotlib: pip install 'autograd-mini[plot]'"

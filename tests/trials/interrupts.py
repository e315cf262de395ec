"""Ctrl-C at any moment: what comes back is what some whole number of updates made, never half of one."""

import io
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from autograd_mini.cli import main
from nn import MLP, Descent, Minimum, gradient_descent, least_squares, minimize
from nn.callbacks import Checkpoint
from nn.checkpoint import load_checkpoint
from nn.gradient_descent import Step
from nn.losses import mse_loss
from trials.trainings import ENGINES, Course, Training, X, Y, unbroken

EPOCHS = 30

Result = TypeVar("Result")
Track = Callable[[range], Iterable[int]]


@dataclass
class Figures:
    """What came of it: how many trainings, searches and commands were interrupted, and where."""

    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, what: str, outcome: str) -> None:
        self.outcomes[f"{what}: {outcome}"] += 1

    def count(self, outcome: str, what: str = "") -> int:
        """How many ended so, of everything whose name begins so."""
        return sum(
            number for name, number in self.outcomes.items() if name.startswith(what) and name.endswith(f": {outcome}")
        )


def press_ctrl_c(work: Callable[[], Result], after: float) -> Result | None:
    """What work returns though Ctrl-C is pressed after so many seconds; None where KeyboardInterrupt came out of it.

    A signal of the process to itself; it does not come any more once work has returned.
    """

    def press(_: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT)}
    signal.signal(signal.SIGALRM, press)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, after)
        return work()
    except KeyboardInterrupt:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _until_in_time(attempt: Callable[[], str]) -> str:
    """Whether one was interrupted "in time" or "outside" of what gives back what it has; tried until one was."""
    while (outcome := attempt()) == "not in time":
        continue
    return outcome


def _seconds(work: Callable[[], object]) -> float:
    work()  # what is done once is done
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# Trainings


def interrupt_trainings(count: int, folder: Path, seed: int, figures: Figures, track: Track = iter) -> None:
    """Interrupt so many trainings with each engine, some of which write checkpoints.

    Raises AssertionError unless parameters, gradients, history, checkpoint, optimizer and random numbers are those of
    one whole epoch: that goes on to the end of a training that was never interrupted, bit for bit.
    """
    numbers = random.Random(seed)
    courses = {engine: unbroken(engine, EPOCHS) for engine in ENGINES}
    durations = {engine: _seconds(partial(Training(engine).fit, EPOCHS)) for engine in ENGINES}
    for number in track(range(count * len(ENGINES))):
        engine = ENGINES[number % len(ENGINES)]
        path = folder / f"{number}.json" if number % 3 == 0 else None

        def attempt(engine: str = engine, path: Path | None = path) -> str:
            return _interrupt_training(engine, courses[engine], path, numbers.uniform(0, 1.2 * durations[engine]))

        figures.add(f"fit, {engine}", _until_in_time(attempt))


def _interrupt_training(engine: str, course: Course, path: Path | None, after: float) -> str:
    training = Training(engine)
    if path is not None:
        path.unlink(missing_ok=True)
    callbacks = [] if path is None else [Checkpoint(path, every=5)]
    history = press_ctrl_c(lambda: training.fit(EPOCHS, callbacks), after)
    if history is None:  # before the first epoch, or after the last
        assert training.numbers() in (course.numbers[0], course.numbers[EPOCHS])
        return "outside"
    assert training.numbers() == course.numbers[len(history)]
    assert not any(history.curves.values()) if not history else history.curves == course.cut(len(history))
    if history.stopped_because != "Ctrl-C":
        assert len(history) == EPOCHS
        return "not in time"
    assert [parameter.grad for parameter in training.model.parameters()] == [0.0] * len(training.numbers())
    if path is not None:
        assert (load_checkpoint(path).history if path.exists() else []) == history
    if len(history) < EPOCHS:
        rest = training.fit(EPOCHS - len(history))
        assert [*history, *rest] == course.curves["loss"]
    assert training.numbers() == course.numbers[EPOCHS]
    return "in time"


# Searches


class _Noted(MLP):
    """A network that notes where it was when it was called on the first sample: the points that were tried."""

    def __init__(self) -> None:
        super().__init__(2, [2, 1], seed=3)
        self.tried: list[list[float]] = []

    def __call__(self, sample: Any) -> Any:
        if sample == X[0].tolist():
            self.tried.append(self.point())
        return super().__call__(sample)

    def point(self) -> list[float]:
        return [parameter.data for parameter in self.parameters()]


def interrupt_searches(count: int, seed: int, figures: Figures, track: Track = iter) -> None:
    """Interrupt so many searches by `minimize`, `least_squares` and `gradient_descent` in turn.

    Raises AssertionError unless the model is at the best of the points that were tried, which is the one returned,
    and the path of a descent is the beginning of one that was never interrupted.
    """
    numbers = random.Random(seed)
    methods = ("BFGS", "L-BFGS-B", "Newton-CG", "lm")
    durations = {method: _seconds(partial(_search, method)) for method in methods}
    durations["gradient_descent"] = _seconds(_descend)
    whole_path = _descend().trajectory
    for number in track(range(count)):
        method, duration = list(durations.items())[number % len(durations)]

        def attempt(method: str = method, duration: float = duration) -> str:
            after = numbers.uniform(0, 1.1 * duration)
            return _interrupt_search(method, after) if method in methods else _interrupt_descent(whole_path, after)

        figures.add(method, _until_in_time(attempt))


def _search(method: str, model: _Noted | None = None) -> Minimum:
    model = model or _Noted()
    if method == "lm":
        return least_squares(model, X, Y, method=method, options={"max_nfev": 20})
    return minimize(model, X, Y, method=method, options={"maxiter": 20})


def _interrupt_search(method: str, after: float) -> str:
    model = _Noted()
    start = model.point()
    found = press_ctrl_c(lambda: _search(method, model), after)
    point, tried = model.point(), model.tried
    if found is None:  # in the first evaluation, or after the last
        assert point in [start, *tried]
        return "outside"
    assert found.point == point
    assert [parameter.grad for parameter in model.parameters()] == [0.0] * len(point)
    if not found.message.startswith("interrupted by Ctrl-C"):
        return "not in time"
    scale = len(X) / 2 if method == "lm" else 1.0
    assert math.isclose(found.value, scale * _loss_at(point), rel_tol=1e-12)
    assert _loss_at(point) <= min(map(_loss_at, tried[:-1] or tried))  # the last one may not have come to its end
    return "in time"


def _loss_at(point: list[float]) -> float:
    model = MLP(2, [2, 1], seed=3)
    for parameter, number in zip(model.parameters(), point, strict=True):
        parameter.data = number
    loss: float = mse_loss([model(sample) for sample in X], Y).data
    return loss


def _descend() -> Descent:
    return gradient_descent(lambda p: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2, [-1.2, 1.0], 1e-3, steps=200)


def _interrupt_descent(whole_path: list[Step], after: float) -> str:
    found = press_ctrl_c(_descend, after)
    if found is None:
        return "outside"
    assert found.trajectory == whole_path[: len(found.trajectory)]
    return "in time" if found.message == "interrupted by Ctrl-C" else "not in time"


# The command

_TABLE = "a,b,y\n" + "".join(f"{row},{row * 7 % 5},{row * row % 11}\n" for row in range(40))


def interrupt_commands(count: int, folder: Path, seed: int, figures: Figures, track: Track = iter) -> None:
    """Interrupt so many runs of `autograd-mini train`, at random moments after their first line.

    Raises AssertionError unless the exit status is 130, standard error empty or one line, and the file that is there
    the one that was promised, with the numbers of a training of so many epochs.
    """
    numbers = random.Random(seed)
    table, again = folder / "table.csv", folder / "again.json"
    table.write_text(_TABLE)
    words = ["train", "--data", str(table), "--target", "y", "--task", "regression", "--hidden", "4"]
    for number in track(range(count)):
        path = folder / f"command{number}.json"
        status, output, errors = _interrupt_command([*words, "--epochs", "9000", "--output", str(path)], numbers)
        assert (status, errors.count("\n")) in ((130, 0), (130, 1)), (status, errors)
        assert errors in ("", "autograd-mini train: stopped by Ctrl-C\n")
        assert ("what was learnt is saved" in output) <= path.exists()
        if not path.exists():
            figures.add("train", "before an epoch was over")
            continue
        saved = load_checkpoint(path)
        assert saved.history is not None
        with redirect_stdout(io.StringIO()):
            assert main([*words, "--epochs", str(saved.history.epochs), "--output", str(again)]) == 0
        expected = load_checkpoint(again)
        assert {name: array.tolist() for name, array in saved.parameters.items()} == {
            name: array.tolist() for name, array in expected.parameters.items()
        }
        assert saved.history == expected.history
        again.unlink()
        figures.add("train", "in time")


def _interrupt_command(words: list[str], numbers: random.Random) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [sys.executable, "-m", "autograd_mini.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(numbers.uniform(0, 0.5))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    return process.returncode, first + output, errors

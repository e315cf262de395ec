"""Processes killed while they train and save: the checkpoint must be whole, and lead to where it would have led."""

import multiprocessing
import os
import random
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path

from nn.callbacks import Checkpoint, TrainingState
from nn.checkpoint import load_checkpoint
from trials.trainings import ENGINES, SUFFIXES, Course, Training, unbroken

_LONGEST_WAIT = 0.03
"""Seconds from the end of an epoch to the kill: in some ten milliseconds each an epoch is trained and saved."""


@dataclass
class Figures:
    """What came of it."""

    kills: int = 0
    writes_cut: int = 0
    """How many kills came while a file was being written, which is left behind unfinished."""


def kill_trainings(
    kills: int, folder: Path, epochs: int, seed: int, track: Callable[[range], Iterable[int]] = iter
) -> Figures:
    """Kill so many processes, each of which goes on from the checkpoint of the one before, up to so many epochs.

    Both engines and both formats in turn. Raises AssertionError unless every checkpoint is that of a whole epoch, no
    epoch is lost, what was resumed after all kills ends with the numbers of a training that was never broken, and the
    unfinished files that the kills left are removed by a write an hour later.
    """
    figures = Figures()
    numbers = random.Random(seed)
    courses = {engine: unbroken(engine, epochs) for engine in ENGINES}
    places = [(engine, folder / f"{engine}{suffix}") for engine, suffix in product(ENGINES, SUFFIXES)]
    saved_epochs = dict.fromkeys(places, 0)
    for kill in track(range(kills)):
        engine, path = place = places[kill % len(places)]
        unfinished = _unfinished(folder)
        _train_and_kill(engine, path, epochs, numbers.uniform(0, _LONGEST_WAIT))
        figures.kills += 1
        figures.writes_cut += len(_unfinished(folder) - unfinished)
        saved_epochs[place] = _check(path, courses[engine], at_least=saved_epochs[place])
        if saved_epochs[place] == epochs:
            saved_epochs[place] = 0
            path.unlink()
    _make_old(_unfinished(folder))
    for engine, path in places:
        training = Training(engine)
        training.fit(epochs, [Checkpoint(path)], resume=path if path.exists() else None)
        assert training.numbers() == courses[engine].numbers[epochs], path
    assert not _unfinished(folder)
    return figures


def _train_and_kill(engine: str, path: Path, epochs: int, wait: float) -> None:
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    process = fork.Process(target=_train, args=(engine, path, epochs, sender))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy's threads are none that the child waits for
        process.start()
    if not receiver.poll(60):
        raise TimeoutError(f"kills: no epoch ended within a minute in {path.name}")
    time.sleep(wait)
    process.kill()
    process.join()
    for end in (receiver, sender):
        end.close()


def _train(engine: str, path: Path, epochs: int, sender: Connection) -> None:
    def tell(_: TrainingState) -> None:
        sender.send_bytes(b".")

    Training(engine).fit(epochs, [tell, Checkpoint(path)], resume=path if path.exists() else None)


def _check(path: Path, course: Course, at_least: int) -> int:
    """The epochs in a checkpoint, whose numbers must be theirs."""
    if not path.exists():
        assert at_least == 0, path
        return 0
    training = Training("eager")
    saved = load_checkpoint(path)
    saved.restore(training.model, training.optimizer, random=training.random)
    assert saved.history is not None
    epochs = saved.history.epochs
    assert epochs >= at_least, path
    assert training.numbers() == course.numbers[epochs], path
    assert saved.history.curves == course.cut(epochs), path
    return epochs


def _unfinished(folder: Path) -> set[Path]:
    return set(folder.glob(".*.tmp"))


def _make_old(paths: Iterable[Path]) -> None:
    hours_ago = time.time() - 2 * 3600
    for path in paths:
        os.utime(path, (hours_ago, hours_ago))

"""A process of a group: `python group_member.py SCENARIO FOLDER PORT PROCESSES NUMBER`. It prints what came of it."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nn import (
    MLP,
    Adam,
    ArrayFiles,
    Checkpoint,
    DivergenceError,
    ProcessGroupError,
    TrainingState,
    fit,
    join_process_group,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 3))
Y = np.tanh(X @ [1.0, 2.0, -1.0])

EPOCHS, EVERY, LAST = 12, 4, 6
"""How many there are, how often one is saved, and after which one something happens."""

NUMBER = int(sys.argv[5]) if __name__ == "__main__" else 0


def train(folder: Path, callbacks: list[Any], X: Any = X, y: Any = Y, seed: int = 1, **settings: Any) -> Any:  # noqa: N803
    """The same training in every process."""
    settings = {"epochs": EPOCHS, "batch_size": 16, "seed": 0, "engine": "jax", **settings}
    model = MLP(3, [8, 1], "tanh", seed=seed)
    try:
        history = fit(model, X, y, optimizer=Adam(0.01), callbacks=callbacks, **settings)
        story = history.stopped_because
    except ProcessGroupError as error:
        history, story = error.history, f"ProcessGroupError: {error}"
    except (RuntimeError, ValueError, DivergenceError) as error:
        return {"story": f"{type(error).__name__}: {error}"}
    parameters = [parameter.data.hex() for parameter in model.parameters()]
    return {"story": story, "losses": [loss.hex() for loss in history], "parameters": parameters}


def after(epoch: int, process: int, act: Callable[..., Any], *arguments: Any) -> Callable[[TrainingState], Any]:
    """A callback that does something in one process after an epoch."""

    def callback(state: TrainingState) -> Any:
        assert state.process == NUMBER
        return act(*arguments) if (state.epoch, state.process) == (epoch, process) else None

    return callback


def die(number: signal.Signals) -> None:
    """Without a word."""
    os.kill(os.getpid(), number)
    time.sleep(60)


def interrupt_soon() -> None:
    """Ctrl-C, wherever the training then is."""
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.3, signal.pthread_kill, [main, signal.SIGINT]).start()


def fail() -> None:
    """As a callback with a mistake does."""
    raise RuntimeError("a mistake")


def batches(*sizes: list[int]) -> Callable[[], Any]:
    """As they come, of the sizes given for this process."""
    return lambda: ((X[:size], Y[:size]) for size in sizes[NUMBER])


def deep_loss(predictions: Any, targets: Any) -> Any:
    """More array steps than XLA is given."""
    total = 0.0
    for prediction, target in zip(predictions, targets, strict=True):
        error = prediction - target
        for _ in range(2_100):
            error = (error * 0.9).tanh()
        total = total + error * error
    return total / len(targets)


def saved_in(folder: Path) -> Path | None:
    """The checkpoint, if there is one."""
    path = folder / "saved.json"
    return path if path.exists() else None


def several(folder: Path) -> list[Any]:
    """What does not end the group, one after the other: each of the processes gives the same but for its number."""
    mapped = np.load(folder / "X.npy", mmap_mode="r"), ArrayFiles(folder / "a.npy", folder / "b.npy")
    saved = Checkpoint(folder / f"{NUMBER}.json")
    return [
        train(folder, []),
        train(folder, [], *mapped),
        train(folder, [], seed=NUMBER),
        train(folder, [], epochs=3 + NUMBER),
        train(folder, [], X=X + NUMBER),
        train(folder, [after(LAST, 1, lambda: "enough")]),
        train(folder, [], batches([20, 20], [20, 21]), None, batch_size=None),
        train(folder, [], batches([20, 20], [20]), None, batch_size=None),
        train(folder, [], loss=deep_loss),
        train(folder, [], y=Y * 1e200, epochs=1),
        train(folder, [saved], epochs=2),
        train(folder, [], engine="compiled"),
    ]


SCENARIOS: dict[str, Callable[[Path], list[Any]]] = {
    "several": several,
    "the last one dies": lambda folder: [
        train(folder, [after(LAST, 1, die, signal.SIGTERM), Checkpoint(folder / "saved.json", EVERY)])
    ],
    "the first one dies": lambda folder: [
        train(folder, [after(LAST, 0, die, signal.SIGKILL), Checkpoint(folder / "saved.json", EVERY)])
    ],
    "a restart": lambda folder: [train(folder, [Checkpoint(folder / "saved.json")], resume=folder / "saved.json")],
    "a long training": lambda folder: [
        train(folder, [Checkpoint(folder / "saved.json")], epochs=150, resume=saved_in(folder))
    ],
    "one fails": lambda folder: [train(folder, [after(LAST, 1, fail)]), train(folder, [])],
    "one is interrupted": lambda folder: [
        train(folder, [after(LAST, 1, interrupt_soon), Checkpoint(folder / "saved.json")], epochs=100_000),
        train(folder, []),
    ],
    "one is interrupted in a callback": lambda folder: [
        train(folder, [after(LAST, 1, signal.raise_signal, signal.SIGINT), after(LAST, 0, time.sleep, 2)])
    ],
}


def main() -> None:
    """Join, as it was said, and tell what came of it as one line of JSON."""
    scenario, folder, port, processes = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    join_process_group(f"127.0.0.1:{port}", processes, NUMBER)
    print(json.dumps(SCENARIOS[scenario](folder)), flush=True)


if __name__ == "__main__":
    main()

"""Several processes train one network together, on data in files of which each reads its part.

The network, two spirals to tell apart, is written one scalar at a time as ever; JAX runs it. Every process computes the
gradient of its share of a batch, JAX adds them up, and all make the same step: what comes out is what one process alone
would have found, but for rounding. Process 0 writes a checkpoint every five epochs. End any process in the middle of
it: the others say which one is gone, and the same command goes on from the checkpoint.

`python demos/many_processes.py` starts two on this machine; `… --processes 4` four. On machines of your own, which see
one folder, each starts one, with the host of process 0, how many there are, and its number:

    python demos/many_processes.py 10.0.0.1:9000 2 0
    python demos/many_processes.py 10.0.0.1:9000 2 1
"""

import argparse
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nn import (
    MLP,
    Adam,
    ArrayFiles,
    Checkpoint,
    Classifier,
    ProcessGroupError,
    accuracy,
    binary_cross_entropy_with_logits,
    fit,
    join_process_group,
)

N_FILES, ROWS = 4, 1_000
EPOCHS = 40
SHOWS_PROGRESS = sys.stdout.isatty() and find_spec("rich") is not None


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="See the text at the beginning of the file.")
    parser.add_argument("group", nargs="*", metavar="HOST:PORT PROCESSES NUMBER", help="one process of a group")
    parser.add_argument("--processes", type=int, default=2, help="how many to start on this machine (2)")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--folder", type=Path, default=Path("pictures") / "many_processes")
    chosen = parser.parse_args(words)
    if chosen.epochs < 1 or chosen.processes < 1:
        parser.error("expected --epochs and --processes to be 1 or more")
    if not chosen.group:
        print(str(__doc__).split("\n`python")[0])
        return start_all(chosen.processes, words)
    if len(chosen.group) != 3 or not all(word.isdecimal() for word in chosen.group[1:]):
        parser.error("expected HOST:PORT PROCESSES NUMBER, or nothing")
    address, processes, number = chosen.group
    return train(address, int(processes), int(number), chosen.epochs, chosen.folder)


def start_all(processes: int, words: list[str]) -> int:
    """Start them here; returns 0 where all ended well, else the exit status of one that did not."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    started = [
        subprocess.Popen([sys.executable, __file__, *words, "--", address, str(processes), str(number)])
        for number in range(processes)
    ]
    while True:
        try:
            return max((process.wait() for process in started), key=abs)
        except KeyboardInterrupt:  # each of them has heard it too, and ends by itself
            pass


def train(address: str, processes: int, number: int, epochs: int, folder: Path) -> int:
    if number == 0:
        write_spirals(folder)
    try:
        join_process_group(address, processes, number)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
    X, y = (ArrayFiles(*(folder / f"{name}-{part}.npy" for part in range(N_FILES))) for name in ("X", "y"))
    model = MLP(2, [16, 16, 1], activation="tanh", seed=0)
    saved = folder / "training.json"
    began = time.perf_counter()
    try:
        history = fit(
            model,
            X,
            y,
            loss=binary_cross_entropy_with_logits,
            optimizer=Adam(0.02),
            epochs=epochs,
            batch_size=100,
            seed=0,
            engine="jax",
            callbacks=[Checkpoint(saved, every=5)],
            resume=saved if saved.exists() else None,
            progress=SHOWS_PROGRESS,  # of process 0 alone
        )
    except ProcessGroupError as error:
        print(f"process {number}: {error}", file=sys.stderr)
        return 1
    if number == 0 and history.epochs:
        right = accuracy(Classifier(model).predict(X[:]), y[:])
        seconds = time.perf_counter() - began
        print(f"{processes} processes, {history.epochs} epochs in {seconds:.1f} s")
        print(f"loss {history[-1]:.6f}, {right:.1%} of {len(X):,} points right")
        if history.epochs >= epochs:
            saved.unlink()  # so that the next run begins anew
        else:
            print(f"{history.stopped_because}: the same command goes on from {saved}")
    return 0


def write_spirals(folder: Path) -> None:
    """Points on two arms that wind around each other, in files of a thousand rows."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for part in range(N_FILES):
        labels = random.integers(0, 2, ROWS)
        turn = 3.0 * np.sqrt(random.uniform(0.05, 1.0, ROWS))
        angle = turn * 1.5 + np.pi * labels
        X: Any = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) + random.normal(0, 0.1, (ROWS, 2))
        np.save(folder / f"X-{part}.npy", X / 3)
        np.save(folder / f"y-{part}.npy", labels)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

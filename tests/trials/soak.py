"""Training, drawing and stepping in one process, round after round: its memory must stay flat."""

import argparse
import copy
import importlib
import io
import pickle
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.picture import OURS, QUIET, SETTINGS
from rich.progress import Progress

import nn
from autograd_mini import Value, check_gradients, compile_graph, draw, draw_network, walkthrough
from autograd_mini.whole_files import write_whole
from trials import report

PICTURE = report.PAGE.with_name("soak.svg")

MEBIBYTE = 2.0**20


def train(numbers: random.Random, folder: Path) -> None:
    """Both engines, two optimizers, a checkpoint written and read; a network of another shape each time."""
    samples = [[numbers.uniform(-1, 1), numbers.uniform(-1, 1)] for _ in range(40)]
    targets = [float(x * y > 0) for x, y in samples]
    optimizers = {"eager": nn.SGD(0.1), "compiled": nn.Adam(0.01)}
    for engine, optimizer in optimizers.items():
        network = nn.MLP(2, [numbers.randint(2, 9), numbers.randint(2, 9), 1], "tanh", seed=numbers.randint(0, 999))
        saved = folder / f"{engine}.json"
        nn.fit(
            network,
            samples,
            targets,
            loss=nn.binary_cross_entropy_with_logits,
            optimizer=optimizer,
            epochs=3,
            batch_size=16,
            engine=engine,
            callbacks=[nn.Checkpoint(saved)],
        )
        nn.load_checkpoint(saved)


def draw_both(numbers: random.Random, folder: Path) -> None:
    """A graph and a network, drawn as SVG."""
    network = nn.MLP(3, [numbers.randint(1, 4), 1], "sigmoid", seed=numbers.randint(0, 999))
    draw(network([2, 4, 3])).pipe()
    draw_network(network).pipe()


def step(numbers: random.Random, folder: Path) -> None:
    """A walk through both passes: its text, page and LaTeX, and the paths of a leaf."""
    x, y = Value(numbers.uniform(0.5, 2), "x"), Value(numbers.uniform(0.5, 2), "y")
    walk = walkthrough((x * y + x.log()).tanh() * (x / y).exp())
    for show in (walk.to_text, walk.to_latex, walk.to_html):
        show()
    walk.provenance(x)


def differentiate(numbers: random.Random, folder: Path) -> None:
    """A deep graph differentiated, copied and pickled; gradients checked; a function compiled anew."""
    leaf = Value(numbers.uniform(0.5, 2))
    value = leaf
    for _ in range(20_000):
        value = value * 0.9999 + leaf * 1e-6
    value.backward()
    copy.deepcopy(value).backward()
    pickle.loads(pickle.dumps(value))
    check_gradients(lambda a, b: (a * b).tanh() + a.exp() / b, [numbers.random(), 1 + numbers.random()])
    weights = [[numbers.random()] * numbers.randint(2, 6)] * 3
    compiled = compile_graph(lambda w, x: sum((sum(map(_product, row, x)) for row in w), 0.0), weights, weights[0])
    compiled.value_and_grad(np.array(weights), np.ones((len(weights[0]), 30)))


def _product(a: Any, b: Any) -> Any:
    return (a * b).tanh()


WORK: tuple[Callable[[random.Random, Path], None], ...] = (train, draw_both, step, differentiate)


def one_round(numbers: random.Random, folder: Path) -> None:
    """Everything once."""
    for work in WORK:
        work(numbers, folder)


def soak(minutes: float, seed: int) -> list[tuple[float, float]]:
    """The minute at which each round ended, and the resident memory in MiB after it."""
    process: Any = importlib.import_module("psutil").Process()
    numbers, start = random.Random(seed), time.monotonic()
    measured = []
    with tempfile.TemporaryDirectory() as folder, Progress() as bar, suppress(KeyboardInterrupt):
        task = bar.add_task("soak", total=minutes)
        while not bar.finished:
            one_round(numbers, Path(folder))
            minute = (time.monotonic() - start) / 60
            measured.append((minute, process.memory_info().rss / MEBIBYTE))
            bar.update(task, completed=minute, description=f"{measured[-1][1]:.0f} MiB")
    return measured


def summary(measured: list[tuple[float, float]]) -> str:
    """The figures: what the second third and the last third held, and what grew in between."""
    minutes, memory = (np.array(column) for column in zip(*measured, strict=True))
    warm = minutes > minutes[-1] / 3
    slope = np.polyfit(minutes[warm], memory[warm], 1)[0] if warm.sum() > 2 else float("nan")
    middle, last = (
        statistics.median(memory[(minutes > minutes[-1] * third / 3) & (minutes <= minutes[-1] * (third + 1) / 3)])
        for third in (1, 2)
    )
    each = 1024 * slope * minutes[-1] / len(measured)
    return (
        f"{len(measured):,} rounds in {minutes[-1]:.0f} minutes on {report.versions('numpy', 'numba')}: the median of"
        f" the resident memory is {middle:.1f} MiB in the second third and {last:.1f} MiB in the last; a straight line"
        f" through both rises by {slope:+.2f} MiB a minute, {each:+.1f} KiB a round."
    )


def picture(measured: list[tuple[float, float]]) -> bytes:
    """Resident memory over time, from zero."""
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context(SETTINGS):
        figure = figures.Figure(figsize=(8.5, 2.6), layout="constrained", facecolor="white")
        axes = figure.subplots()
        axes.plot(*zip(*measured, strict=True), color=OURS, linewidth=1)
        axes.set_ylim(0, 1.15 * max(memory for _, memory in measured))
        axes.set_xlim(0, measured[-1][0])
        axes.set_xlabel("minutes", color=QUIET)
        axes.set_ylabel("resident memory, MiB", color=QUIET)
        axes.spines[["top", "right"]].set_visible(False)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def main() -> None:
    """Soak, and write figures and picture into docs/."""
    parser = argparse.ArgumentParser(prog="python -m trials.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    measured = soak(options.minutes, options.seed)
    print(summary(measured))
    write_whole(PICTURE, picture(measured))
    report.write("soak", f"{summary(measured)}\n\n![Resident memory over the rounds]({PICTURE.name})")


if __name__ == "__main__":
    main()

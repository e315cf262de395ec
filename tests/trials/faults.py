"""Trainings that are killed, interrupted, or out of disk space: what is left must be whole."""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import track

from trials import disk_full, interrupts, kills, report

SHARES = (0.0, 0.1, 0.5, 0.9, 0.999, 2.0)
"""Of the room that a file needs."""


def killed(count: int, seed: int, folder: Path) -> list[str]:
    """Kill processes that save, and say what came of it."""
    found = kills.kill_trainings(count, folder, epochs=120, seed=seed, track=_bar("killed"))
    return [
        _row(
            "SIGKILL while `fit` saves a checkpoint each epoch; either engine, JSON and safetensors",
            f"{found.kills} kills, {found.writes_cut} of them in the middle of a write",
            f"{found.kills} whole checkpoints of whole epochs, none older than the one before; what is resumed ends"
            " as a training that was never broken, bit for bit; a write an hour later removes the unfinished files",
        )
    ]


def interrupted(count: int, seed: int, folder: Path) -> list[str]:
    """Interrupt trainings, searches and commands, and say what came of it."""
    figures = interrupts.Figures()
    interrupts.interrupt_trainings(count, folder, seed, figures, _bar("Ctrl-C in fit"))
    trainings = figures.outcomes.total()
    interrupts.interrupt_searches(count, seed, figures, _bar("Ctrl-C in searches"))
    searches = figures.outcomes.total() - trainings
    interrupts.interrupt_commands(count, folder, seed, figures, _bar("Ctrl-C in the command"))
    return [
        _row(
            "Ctrl-C in `fit`, half of them compiled, a third with checkpoints",
            f"{trainings} presses, {figures.count('outside', 'fit')} of them before the training began",
            "parameters, history, checkpoint, optimizer and random numbers are of one whole epoch; going on ends as a"
            " training that was never broken, bit for bit",
        ),
        _row(
            "Ctrl-C in `minimize`, `least_squares` and `gradient_descent`",
            f"{searches} presses",
            "the best of the points that were tried, and the model is there; a path that begins as the whole one",
        ),
        _row(
            "Ctrl-C in `autograd-mini train`",
            f"{count} presses",
            "exit status 130, no traceback, and in the file what a training of so many epochs writes",
        ),
    ]


def out_of_disk(folder: Path) -> list[str]:
    """Fill disks, and say what came of it."""
    what, limit = "A disk that is full", disk_full.full_disk
    with disk_full.small_disk(folder) as is_mounted:
        if not is_mounted:
            what, limit = "A limit on the length of files, as no disk could be mounted", disk_full.short_files
        found = disk_full.fill_disks(folder, limit, SHARES, _bar("disk full"))
    return [
        _row(
            f"{what}; {len(disk_full.WRITERS)} ways to write a file",
            f"{found.writes} writes, {found.failed} of them without room",
            "an OSError, or a line of the command, that names the file; the old one as it was, and nothing beside it",
        )
    ]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _bar(description: str) -> Callable[[Iterable[Any]], Iterable[Any]]:
    return partial(track, description=description)


def main() -> None:
    """Run all three, and write the figures into docs/."""
    parser = argparse.ArgumentParser(prog="python -m trials.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--interrupts", type=int, default=100, help="of each kind: fit with either engine, …")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [_row("what", "how often", "what was left"), _row(*["---"] * 3)]
    with tempfile.TemporaryDirectory() as home:
        folders = [Path(home) / name for name in ("killed", "interrupted", "full")]
        for folder in folders:
            folder.mkdir()
        rows += killed(options.kills, options.seed, folders[0])
        rows += interrupted(options.interrupts, options.seed, folders[1])
        rows += out_of_disk(folders[2])
    lines = "\n".join(rows) + f"\n\nOn {report.versions('numpy', 'scipy', 'safetensors')}."
    print(lines)
    report.write("faults", lines)


if __name__ == "__main__":
    main()

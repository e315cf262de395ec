"""Groups of processes that train together, one of which is killed at any moment: the others say so, nothing is lost."""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import group_member
from rich.progress import track
from support import free_port

from nn import load_checkpoint
from trials import report

PROCESSES = 3
ENVIRONMENT = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
"""Of processes with two devices each."""

EPOCHS = 150

_LONGEST_WAIT = 1.5
"""Seconds from the first checkpoint of a run to the kill: in about as many it comes to its end."""


@dataclass
class Figures:
    """What came of it."""

    kills: int = 0
    of_first: int = 0
    """How many were of process 0, which writes the checkpoints."""
    runs: int = 0
    seconds: list[float] = field(default_factory=list)
    """From a kill until the last of the others had ended."""


def started(scenario: str, folder: Path, processes: int) -> list[subprocess.Popen[str]]:
    """The processes of a group, of two devices each; see `group_member`."""
    words = [sys.executable, group_member.__file__, scenario, str(folder), str(free_port()), str(processes)]
    pipe = subprocess.PIPE
    return [
        subprocess.Popen([*words, str(number)], stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT)
        for number in range(processes)
    ]


def told(member: subprocess.Popen[str]) -> tuple[int, Any, str]:
    """Of a process its exit status, what it says came of it, and its standard error."""
    output, errors = member.communicate(timeout=120)
    said = [line for line in output.splitlines() if line.startswith("[{")]
    return member.returncode, json.loads(said[0]) if said else None, errors


def kill_members(
    kills: int, folder: Path, seed: int, track: Callable[[Iterable[int]], Iterable[int]] = lambda runs: runs
) -> Figures:
    """Kill a process of a group, and start the group again, so many times.

    Raises AssertionError unless all others end in order and name the dead one, every checkpoint is whole and none is
    older than the one before, and what is resumed ends with the numbers of a training that was never broken.
    """
    figures, numbers, expected = Figures(), random.Random(seed), unbroken(folder)
    saved, epochs = folder / "saved.json", 0
    for _ in track(range(kills)):
        dead, seconds, stories = _run_and_kill(saved, numbers)
        figures.runs += 1
        if dead is not None:
            figures.kills += 1
            figures.of_first += dead == 0
            figures.seconds.append(seconds)
            pattern = rf"ProcessGroupError: fit: process [\d, ]*{dead}[\d, ]* \(of {PROCESSES}, from 0\) has ended"
            assert len(stories) == PROCESSES - 1, stories
            assert all(re.match(pattern, each["story"]) for each in stories), stories
        history = load_checkpoint(saved).history
        assert history is not None
        assert history.epochs >= epochs
        epochs = history.epochs
        if epochs == EPOCHS:
            _check_end(saved, folder, expected)
            epochs = 0
    if saved.exists():
        _check_end(saved, folder, expected)
    return figures


def unbroken(folder: Path) -> Any:
    """What every process says of a training that nobody disturbs."""
    found = [told(member) for member in started("a long training", folder, PROCESSES)]
    assert [(status, errors) for status, _, errors in found] == [(0, "")] * PROCESSES
    (folder / "saved.json").unlink()
    return found[0][1]


def _run_and_kill(saved: Path, numbers: random.Random) -> tuple[int | None, float, list[Any]]:
    """Who was killed, if it was in time, how long the others took to end, and what they say."""
    before = saved.stat().st_mtime_ns if saved.exists() else 0
    members = started("a long training", saved.parent, PROCESSES)
    end = time.monotonic() + 60
    while not saved.exists() or saved.stat().st_mtime_ns == before:
        assert time.monotonic() < end, [told(member) for member in members]
        time.sleep(0.01)
    time.sleep(numbers.uniform(0, _LONGEST_WAIT))
    dead = numbers.randrange(PROCESSES)
    members[dead].send_signal(signal.SIGKILL)
    start = time.monotonic()
    found = [told(member) for member in members]
    seconds = time.monotonic() - start
    # 1 where JAX did not come back from a computation.
    assert all(status in (0, 1) and not errors for status, _, errors in found if status != -signal.SIGKILL), found
    stories = [said[0] for _, said, _ in found if said]
    if any(each["story"].startswith("all") for each in stories):
        return None, seconds, stories
    return dead, seconds, stories


def _check_end(saved: Path, folder: Path, expected: Any) -> None:
    """What is resumed ends as what was never broken, to the last bit."""
    for status, said, errors in [told(member) for member in started("a long training", folder, PROCESSES)]:
        assert (status, errors) == (0, "")
        assert said == expected
    saved.unlink()


def main() -> None:
    """Run it, and write the figures into docs/."""
    parser = argparse.ArgumentParser(prog="python -m trials.groups", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = kill_members(options.kills, Path(home), options.seed, partial(track, description="killed"))
    median, most = sorted(found.seconds)[len(found.seconds) // 2], max(found.seconds)
    lines = (
        f"`python -m trials.groups --kills {options.kills} --seed {options.seed}`: {found.runs} groups of {PROCESSES}"
        f" processes that train together on JAX and save each epoch; in {found.kills} one was killed in time, in"
        f" {found.of_first} of them the one that writes. All others raised `ProcessGroupError`, named the dead one, and"
        f" had ended {median:.1f} s after the kill (median; at most {most:.1f} s; the end of Python included). Every"
        " checkpoint was whole, none older than the one before, and what was resumed ended as a training that was never"
        f" broken, bit for bit.\n\nOn {report.versions('numpy', 'jax')}."
    )
    print(lines)
    report.write("groups", lines)


if __name__ == "__main__":
    main()

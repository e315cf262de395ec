"""Rounds of processes: each engine in turn in each round, so that a drift of the machine's speed hits all alike."""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.engines import ENGINES, Outcome, autograd_mini, plain_floats
from benchmarks.workloads import PROGRAMS

ROOT = Path(__file__).parent.parent.parent
LIMIT_SECONDS = 120.0
"""A process that takes longer is stopped."""

SHARE_SECONDS = 20.0
"""An engine whose runs of a program took longer than this in all sits out the rounds that follow."""

TOLERANCE = 1e-9
"""How far a loss or a derivative may be from ours, relative;"""

ROUNDING = 1e-15
"""or this far, times the largest of them: what is left of a sum whose terms cancel depends on their order."""


class Effort(NamedTuple):
    """How thoroughly to measure."""

    rounds: int
    held_operations: int
    """At least so many while memory is measured: beside them nothing else counts."""


class Task(NamedTuple):
    """A program in a size."""

    program: str
    size: int


@dataclass
class Measurement:
    """What is known of one engine on one task."""

    rounds: list[list[float]] = field(default_factory=list)
    """Nanoseconds an operation, of each run of each round."""
    bytes: float | None = None
    """An operation."""
    problem: str = ""
    """Why there is no number, or none any more."""
    seconds: float = 0.0
    """That its runs took in all."""

    @property
    def median(self) -> float | None:
        """Over the rounds, of the medians of their runs."""
        return statistics.median(map(statistics.median, self.rounds)) if self.rounds else None

    @property
    def runs(self) -> list[float]:
        """Of all rounds."""
        return [run for each in self.rounds for run in each]


Results = dict[Task, dict[str, Measurement]]
"""The engines of a task by their names in `ENGINES`."""

Advance = Callable[[str], None]
"""Called before each process, with what it is about to do."""


def measure(plan: Results, effort: Effort, advance: Advance) -> None:
    """Fill in the measurements of a plan. What is there when it is interrupted is good."""
    for task, measurements in plan.items():
        advance(f"{task.program}: what is right")
        reference = reference_outcome(task)
        for number in range(effort.rounds):
            for key, measurement in measurements.items():
                advance(f"{task.program} {task.size:,}, round {number + 1} of {effort.rounds}: {ENGINES[key].name}")
                if not measurement.problem and measurement.seconds < SHARE_SECONDS:
                    _measure_time(key, task, measurement, reference)
        for key, measurement in measurements.items():
            advance(f"{task.program} {task.size:,}, memory: {ENGINES[key].name}")
            if not measurement.problem and ENGINES[key].collects_garbage:
                _measure_memory(key, task, measurement, effort.held_operations)


def steps(plan: Results, rounds: int) -> int:
    """How often `measure` calls `advance`."""
    return sum(1 + (rounds + 1) * len(measurements) for measurements in plan.values())


def _measure_time(key: str, task: Task, measurement: Measurement, reference: Outcome) -> None:
    answer = in_own_process(key, task)
    measurement.problem = answer.get("problem") or disagreement(Outcome(answer["loss"], answer["gradient"]), reference)
    if not measurement.problem:
        operations = PROGRAMS[task.program].build(task.size).operations
        measurement.seconds += sum(answer["seconds"])
        measurement.rounds.append([seconds / operations * 1e9 for seconds in answer["seconds"]])


def _measure_memory(key: str, task: Task, measurement: Measurement, held_operations: int) -> None:
    answer = in_own_process(key, task, held_operations)
    measurement.bytes = answer.get("bytes")
    measurement.problem = f"memory: {answer['problem']}" if "problem" in answer else ""


def in_own_process(key: str, task: Task, held_operations: int = 0, limit: float = LIMIT_SECONDS) -> dict[str, Any]:
    """What `one_process` answers, or the problem of one that dies or takes too long."""
    environment = environment_with(ENGINES[key].folder)
    command = [sys.executable, "-m", "benchmarks.one_process", key, task.program, str(task.size), str(held_operations)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"problem": f"stopped after {limit:g} s"}
    if done.returncode < 0:
        return {"problem": f"crashed: {signal.Signals(-done.returncode).name}"}
    if done.returncode:
        return {"problem": f"failed: {(done.stderr.splitlines() or ['without a word'])[-1]}"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def environment_with(folder: str) -> dict[str, str]:
    """The variables of a process that finds a build of ours in this folder, or the one that is installed."""
    search_path = [str(ROOT / folder)] if folder else []
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([*search_path, str(ROOT / "tests")]),
        "PYTHONSAFEPATH": "1",  # or the current directory would come first
    }


def reference_outcome(task: Task) -> Outcome:
    """The loss by plain floats, and our gradient, which the other engines confirm."""
    workload = PROGRAMS[task.program].build(task.size)
    loss = plain_floats()(workload.loss, workload.parameters)().loss
    return Outcome(loss, autograd_mini()(workload.loss, workload.parameters)().gradient)


def disagreement(outcome: Outcome, reference: Outcome) -> str:
    """What is wrong with an outcome; empty if nothing is. One without a gradient is held to its loss alone."""
    found, right = [outcome.loss], [reference.loss]
    if outcome.gradient:
        found += outcome.gradient
        right += reference.gradient
    if len(found) != len(right):
        return f"wrong: {len(found) - 1} derivatives instead of {len(right) - 1}"
    rounding = ROUNDING * max(map(abs, right))
    for place, (got, needed) in enumerate(zip(found, right, strict=True)):
        if not math.isclose(got, needed, rel_tol=TOLERANCE, abs_tol=rounding):
            name = f"derivative {place - 1}" if place else "loss"
            return f"wrong: {name} is {got!r} instead of {needed!r}"
    return ""

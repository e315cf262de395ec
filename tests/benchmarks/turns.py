"""Turns: the engines of a contest each hold their program in a process of their own, and run it one after the other.

So a drift of the machine's speed hits all alike, as in `rounds`, and what takes a millisecond is compared with what
ran a moment before. Each round starts all processes anew.
"""

import json
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import autograd_mini
from autograd_mini import Value
from benchmarks.array_engines import as_objects
from benchmarks.array_workloads import ARRAY_PROGRAMS, ArrayWorkload
from benchmarks.engines import ENGINES, Outcome
from benchmarks.rounds import Advance, disagreement, environment_with

LIMIT_SECONDS = 300.0
"""A process that takes longer for an answer is stopped."""

SHARE_SECONDS = 60.0
"""An engine that took longer than this in a contest sits out what is left of it."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}

KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "1000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
"""glibc keeps what is freed, or chance decides which engines pay for getting every large array anew from the system."""


class Contest(NamedTuple):
    """What is run."""

    kind: str
    """"gradient", "training" or "tracing"."""
    program: str
    size: int


@dataclass
class Turns:
    """What is known of one engine in one contest."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    """Of each turn of each round."""
    prepared: list[float] = field(default_factory=list)
    """The seconds until the first result, of each round."""
    problem: str = ""
    """Why there is no answer, or none any more."""
    seconds: float = 0.0
    """That it took in all."""

    @property
    def is_over(self) -> bool:
        """Whether it takes no more turns."""
        return bool(self.problem) or self.seconds > SHARE_SECONDS

    def numbers(self, name: str = "seconds") -> list[float]:
        """That of each turn."""
        return [answer[name] for answer in self.answers]

    def median(self, name: str = "seconds") -> float | None:
        """Over all turns."""
        return statistics.median(self.numbers(name)) if self.answers else None


Contests = dict[Contest, dict[str, Turns]]
"""The engines of a contest by their keys; of tracing, our builds."""


class Effort(NamedTuple):
    """How thoroughly to measure."""

    rounds: int
    turns: dict[str, int]
    """In each round, by the kind of contest."""


class Process:
    """A process that says in a line of JSON that it is ready, and answers the number of each turn with another."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], limit: float) -> None:
        self.limit = limit
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )

    @cached_property
    def ready(self) -> dict[str, Any]:
        """What it says first."""
        return self._read()

    def turn(self, number: int) -> dict[str, Any]:
        """Its answer; the problem of one that dies or takes too long."""
        return self.begin(number) or self.answer()

    def begin(self, number: int) -> dict[str, Any]:
        """Let it begin a turn, whose answer is read later; the problem of one that is dead."""
        assert self.process.stdin
        try:
            print(number, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"problem": self._end()}
        return {}

    def answer(self) -> dict[str, Any]:
        """That of the turn that was begun."""
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            self.process.kill()

        timer = threading.Timer(self.limit, stop)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if is_late.is_set():
            return {"problem": f"stopped after {self.limit:g} s"}
        answer: dict[str, Any] = json.loads(line) if line else {"problem": self._end()}
        return answer

    def _end(self) -> str:
        code = self.process.wait()
        return f"crashed: {signal.Signals(-code).name}" if code < 0 else f"failed: exit {code}"

    def close(self) -> None:
        """There are no more turns."""
        self.process.kill()
        self.process.communicate()


class Worker(Process):
    """A process of `array_process`."""

    def __init__(self, contest: Contest, key: str, limit: float = LIMIT_SECONDS) -> None:
        folder = ENGINES[key].folder if contest.kind == "tracing" else ENGINES["compiled"].folder  # as in a wheel
        words = ["benchmarks.array_process", contest.kind, key, contest.program, str(contest.size)]
        super().__init__(words, environment_with(folder) | ONE_THREAD | KEPT_MEMORY, limit)
        _ = self.ready


def measure(contests: Contests, effort: Effort, advance: Advance) -> None:
    """Fill in the turns. What is there when it is interrupted is good."""
    for contest, engines in contests.items():
        advance(f"{contest.program}: what is right")
        right = reference_outcome(contest) if contest.kind == "gradient" else None
        for number in range(effort.rounds):
            _measure_round(contest, engines, number, effort, right, advance)


def steps(contests: Contests, effort: Effort) -> int:
    """How often `measure` calls `advance`."""
    return sum(1 + effort.rounds * (len(engines) + 1) for engines in contests.values())


def _measure_round(
    contest: Contest, engines: dict[str, Turns], number: int, effort: Effort, right: Outcome | None, advance: Advance
) -> None:
    where = f"{contest.program} {contest.size:,}, round {number + 1} of {effort.rounds}"
    workers: dict[str, Worker] = {}
    try:
        for key, turns in engines.items():
            advance(f"{where}: {key}")
            if not turns.is_over:
                workers[key] = _start(contest, key, turns, right)
        advance(f"{where}: the turns")
        for turn in range(effort.turns[contest.kind]):
            for key, worker in workers.items():
                if not engines[key].is_over:
                    _take_turn(engines[key], worker, number * effort.turns[contest.kind] + turn)
    finally:
        for worker in workers.values():
            worker.close()


def _start(contest: Contest, key: str, turns: Turns, right: Outcome | None) -> Worker:
    start = time.perf_counter()
    worker = Worker(contest, key)
    turns.seconds += time.perf_counter() - start
    turns.problem = worker.ready.get("problem", "")
    if not turns.problem and right:
        turns.problem = disagreement(Outcome(worker.ready["loss"], worker.ready["gradient"]), right)
    if not turns.problem:
        turns.prepared.append(worker.ready["prepared"])
    return worker


def _take_turn(turns: Turns, worker: Worker, number: int) -> None:
    start = time.perf_counter()
    answer = worker.turn(number)
    turns.seconds += time.perf_counter() - start
    turns.problem = answer.get("problem", "")
    if not turns.problem:
        turns.answers.append(answer)


def reference_outcome(contest: Contest) -> Outcome:
    """By our engine, which records one sample after the other."""
    return eager_outcome(ARRAY_PROGRAMS[contest.program].build(contest.size))


def eager_outcome(workload: ArrayWorkload) -> Outcome:
    """The loss and its gradient, as `array_process` hands them over."""
    leaves = {name: as_objects(Value, each) for name, each in workload.parameters.items()}
    total = 0.0
    for sample in workload.samples:
        loss = workload.loss(autograd_mini, leaves, *sample)
        loss.backward()
        total += loss.data
    share = 1 / len(workload.samples) if workload.reduction == "mean" else 1.0
    return Outcome(total * share, [value.grad * share for each in leaves.values() for value in each.flat])


def paired_ratio(ours: Turns, theirs: Turns) -> float | None:
    """How many times theirs ours takes: the median over the turns, each beside the one that ran a moment before."""
    pairs = zip(ours.numbers(), theirs.numbers(), strict=False)  # one may have ended earlier
    ratios = [one / other for one, other in pairs]
    return statistics.median(ratios) if ratios else None

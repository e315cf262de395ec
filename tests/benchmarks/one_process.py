"""What one process measures: one engine on one program, its time or its memory. It answers with one line of JSON."""

import gc
import importlib
import json
import math
import sys
import time
from typing import Any

from benchmarks.engines import ENGINES, EngineMissingError, Outcome, Record
from benchmarks.workloads import PROGRAMS, Workload, chain

RUNS = 7
"""How often a process runs its program, once it is warm,"""

ENOUGH_SECONDS = 3.0
"""unless that takes longer than this;"""

LONG_SECONDS = 10.0
"""and a run that takes longer than this needs no other one to warm it up."""


def measure_time(record: Record, workload: Workload) -> dict[str, Any]:
    """The seconds of each run, and what came out."""
    seconds, outcome = timed(record, workload)
    runs = max(1, min(RUNS, int(ENOUGH_SECONDS / seconds)))
    times = [seconds] if seconds > LONG_SECONDS else [timed(record, workload)[0] for _ in range(runs)]
    return {"seconds": times, **outcome._asdict()}


def timed(record: Record, workload: Workload) -> tuple[float, Outcome]:
    """One run: recording, the backward pass, reading the gradient, and freeing the graph."""
    start = time.perf_counter()
    recording = record(workload.loss, workload.parameters)
    outcome = recording()
    del recording
    return time.perf_counter() - start, outcome


def measure_memory(record: Record, workload: Workload, held_operations: int) -> dict[str, Any]:
    """Bytes for each operation while at least so many are held: after recording, or the backward pass if more.

    PyTorch gives back in the backward pass what it kept for it.
    """
    process = importlib.import_module("psutil").Process()
    small = chain(30)
    record(small.loss, small.parameters)()  # some load part of themselves as late as this
    graphs = math.ceil(held_operations / workload.operations)
    before = process.memory_info().rss
    recordings = [record(workload.loss, workload.parameters) for _ in range(graphs)]
    recorded = process.memory_info().rss
    for recording in recordings:
        recording()
    most = max(recorded, process.memory_info().rss)
    return {"bytes": (most - before) / (graphs * workload.operations)}


def answer(engine_key: str, program: str, size: int, held_operations: int) -> dict[str, Any]:
    """The memory with so many operations held, or the time if that is 0; or the problem that there was."""
    engine = ENGINES[engine_key]
    if not engine.collects_garbage:
        gc.disable()
    workload = PROGRAMS[program].build(size)
    try:
        record = engine.load()
        return measure_memory(record, workload, held_operations) if held_operations else measure_time(record, workload)
    except EngineMissingError as error:
        return {"problem": str(error)}
    except ModuleNotFoundError as error:
        return {"problem": f"not installed: {error.name}"}
    except Exception as error:  # whatever a third-party engine raises belongs into the report
        return {"problem": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))

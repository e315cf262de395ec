"""A process that measures what it costs to use more than one device, process or sample, each time that it is its turn.

It says and answers what a process of `array_process` does. Two that make a group do the same at the same time.
"""

import importlib
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.array_engines import ARRAY_ENGINES, ArrayEngine, Evaluate, jax_program
from benchmarks.array_process import Answer, Turn, flat, median_of_calls, serve
from benchmarks.array_workloads import ARRAY_PROGRAMS, ArrayWorkload

SIZES = (64, 64, 32, 10)
"""Of the network that is trained: some 6,700 parameters."""

STEP_SAMPLES = 40_000
"""How many a turn of steps goes through, about: not by the clock, for the processes of a group do the same."""


def scalar_to_jax(workload: ArrayWorkload) -> Evaluate:
    """`to_jax` of the scalar program, compiled by XLA."""
    library: Any = importlib.import_module("autograd_mini")
    compiled = library.compile_graph(
        lambda parameters, *numbers: workload.loss(library, parameters, *numbers),
        workload.parameters,
        *workload.samples[0],
        reduction=workload.reduction,
    )
    on_jax = compiled.to_jax()
    return jax_program(lambda jax, parameters, *data: on_jax(parameters, *data))(workload)


TO_JAX = ArrayEngine("autograd-mini, to_jax", dict.fromkeys(ARRAY_PROGRAMS, scalar_to_jax))


def gradient(engine: str, program: str, size: int) -> tuple[Answer, Turn]:
    """The loss and its gradient by one of three: ours in NumPy, ours in JAX, or JAX as it is written by hand."""
    workload = grown(ARRAY_PROGRAMS[program].build(min(size, 100)), size)
    if engine != "ours":
        importlib.import_module("jax").numpy.zeros(1).block_until_ready()  # what it takes to begin at all
    start = time.perf_counter()
    evaluate = (TO_JAX if engine == "to_jax" else ARRAY_ENGINES[engine]).programs[program](workload)
    loss, gradient = evaluate()
    seconds = time.perf_counter() - start
    ready = {"prepared": seconds, "loss": float(loss), "gradient": flat(gradient, workload.parameters)}
    return ready, lambda _: {"seconds": median_of_calls(evaluate, is_warm=seconds > 1)}


def grown(workload: ArrayWorkload, size: int) -> ArrayWorkload:
    """With so many samples: the same ones again and again."""
    data = tuple(np.ascontiguousarray(np.resize(each.T, (size, *each.T.shape[1:])).T) for each in workload.data)
    return workload._replace(data=data, size=size)


def steps(devices: int, size: int) -> tuple[Answer, Turn]:
    """Steps of `fit`, batch after batch: loss, gradient and the optimizer's move. No devices is without JAX."""
    library: Any = importlib.import_module("nn")
    batches: Any = importlib.import_module("nn.batches")
    eager: Any = importlib.import_module("nn.steps")
    start = time.perf_counter()
    random = np.random.default_rng(0)
    model = library.MLP(SIZES[0], SIZES[1:], seed=0)
    data = batches.read_table("steps", *digits(2 * size), ("X", "y"), size, is_shuffled=True)
    measures = {"loss": library.cross_entropy}
    task = eager.Task(model, model.parameters(), data, None, measures, library.Adam(0.001))
    made = made_steps(eager.EagerSteps(task), devices)
    epoch = data.epoch(random)
    made.begin_epoch(epoch)
    one, other = epoch.batches

    def step(batch: Any) -> float:
        loss: float = made.differentiate(batch)["loss"]
        assert made.move()
        return loss

    loss = step(one)
    prepared = time.perf_counter() - start
    pairs = max(1, STEP_SAMPLES // size // 2)

    def turn(_: int) -> Answer:
        start = time.perf_counter()
        for _ in range(pairs):
            step(one)
            step(other)
        return {"seconds": (time.perf_counter() - start) / (2 * pairs)}

    return {"prepared": prepared, "loss": loss, "gradient": []}, turn


def made_steps(eager: Any, devices: int) -> Any:
    """Those of "compiled", or of "jax"."""
    if not devices:
        return importlib.import_module("nn.compiled_steps").CompiledSteps(eager)
    parallel = importlib.import_module("nn.data_parallel").DataParallel(devices)
    return importlib.import_module("nn.jax_steps").JaxSteps(eager, parallel)


def digits(samples: int) -> tuple[Any, Any]:
    """Random images, and their classes."""
    random = np.random.default_rng(0)
    return random.uniform(size=(samples, SIZES[0])), random.integers(0, SIZES[-1], samples)


def contestant(kind: str, name: str, program: str, size: int, group: Sequence[str]) -> tuple[Answer, Turn]:
    """What there is to measure. group: the coordinator's address, how many processes, and which this is."""
    if kind == "gradient":
        return gradient(name, program, size)
    if group:
        address, processes, number = group
        importlib.import_module("nn").join_process_group(address, int(processes), int(number))
    return steps(int(name), size)


def main(kind: str, name: str, program: str, size: str, *group: str) -> None:
    """Until there are no more turns. JAX's connections write to standard output by themselves, past Python."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = answers
    serve(lambda: contestant(kind, name, program, int(size), group))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A process that holds one engine with one program, and runs it each time that it is its turn.

It says with one line of JSON that it is ready, and answers each line that it reads, the number of a turn, with another.
"""

import importlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.array_engines import ARRAY_ENGINES, Evaluate, Gradient, as_objects
from benchmarks.array_training import TRAININGS, load_digits
from benchmarks.array_workloads import ARRAY_PROGRAMS, ArrayWorkload, Parameters, chain, classifier
from benchmarks.engines import ENGINES, EngineMissingError

Answer = dict[str, Any]
Turn = Callable[[int], Answer]

TURN_SECONDS = 0.03
"""How long an engine evaluates in a turn, unless one evaluation takes longer."""


LONG_SECONDS = 10.0
"""What takes longer than this until its first result needs no call to warm it up in each turn."""


def array_engine(engine: str, program: str, size: int) -> tuple[Answer, Turn]:
    """The loss and its gradient, again and again: a turn takes the median of its calls."""
    workload = ARRAY_PROGRAMS[program].build(size)
    start = time.perf_counter()
    evaluate = ARRAY_ENGINES[engine].programs[program](workload)
    loss, gradient = evaluate()
    seconds = time.perf_counter() - start
    ready = {"prepared": seconds, "loss": float(loss), "gradient": flat(gradient, workload.parameters)}
    return ready, lambda _: {"seconds": median_of_calls(evaluate, is_warm=seconds > LONG_SECONDS)}


def flat(gradient: Gradient, parameters: Parameters) -> list[float]:
    """In the order of the parameters; each in the shape of its own."""
    for name, parameter in parameters.items():
        if np.shape(gradient[name]) != parameter.shape:
            raise ValueError(f"{name}: expected shape {parameter.shape}, got {np.shape(gradient[name])}")
    return [number for name in parameters for number in np.asarray(gradient[name]).ravel().tolist()]


def median_of_calls(evaluate: Evaluate, is_warm: bool = False) -> float:
    """After one call that brings what it needs back into the caches; where that counts for nothing it is warm."""
    if not is_warm:
        evaluate()
    calls: list[float] = []
    end = time.perf_counter() + TURN_SECONDS
    while not calls or time.perf_counter() < end:
        start = time.perf_counter()
        evaluate()
        calls.append(time.perf_counter() - start)
    return statistics.median(calls)


def training(engine: str, most_epochs: int) -> tuple[Answer, Turn]:
    """A training in each turn, with a seed of its own."""
    train = TRAININGS[engine]
    digits = load_digits()
    first = train(digits, 0, 1)
    return {"prepared": first.seconds}, lambda number: train(digits, number, most_epochs)._asdict()


def tracing(build: str, program: str, nodes: int) -> tuple[Answer, Turn]:
    """From a function to its first gradient, in each turn one of another size, so that no other was like it.

    And then the same again.
    """

    def turn(number: int) -> Answer:
        workload = traced(program, nodes, number)
        first = seconds_to_gradient(workload)
        return {"seconds": first, "again": seconds_to_gradient(workload), "nodes": nodes_of(workload)}

    ENGINES[build].load()  # or it is not there
    start = time.perf_counter()
    seconds_to_gradient(traced(program, 500, 0))  # what is imported or compiled once, whatever the program
    return {"prepared": time.perf_counter() - start}, turn


def traced(program: str, nodes: int, number: int) -> ArrayWorkload:
    """About so many nodes: a network has three a weight, the weight itself, a product and a sum."""
    if program == "chain":
        return chain(nodes + number)
    width = round(math.sqrt(nodes / 3 + 25)) - 5
    return classifier((width, width + number, 10), 2)


def nodes_of(workload: ArrayWorkload) -> int:
    """Of the loss of one sample, with its parameters and inputs."""
    library: Any = importlib.import_module("autograd_mini")
    parameters = {name: as_objects(library.Value, each) for name, each in workload.parameters.items()}
    sample = [as_objects(library.Value, each) for each in workload.samples[0]]
    return len(library.topological_order(workload.loss(library, parameters, *sample)))


def seconds_to_gradient(workload: ArrayWorkload) -> float:
    """With everything that is made on the way."""
    start = time.perf_counter()
    ARRAY_ENGINES["ours"].programs["chain"](workload)()
    return time.perf_counter() - start


def contestant(kind: str, engine: str, program: str, size: int) -> tuple[Answer, Turn]:
    """What there is to measure: a kind of contest, an engine, a program and its size."""
    if kind == "training":
        return training(engine, size)
    return tracing(engine, program, size) if kind == "tracing" else array_engine(engine, program, size)


def serve(prepare: Callable[[], tuple[Answer, Turn]]) -> None:
    """Prepare what is measured, and answer until there are no more turns."""
    lines = sys.stdout
    sys.stdout = sys.stderr  # whatever a third-party engine prints is not an answer

    def say(answer: Answer) -> None:
        print(json.dumps(answer), file=lines, flush=True)

    try:
        ready, turn = prepare()
        say(ready)
        for line in sys.stdin:
            say(turn(int(line)))
    except EngineMissingError as error:
        say({"problem": str(error)})
    except ModuleNotFoundError as error:
        say({"problem": f"not installed: {error.name}"})
    except Exception as error:  # whatever a third-party engine raises belongs into the report
        say({"problem": f"{type(error).__name__}: {(str(error).splitlines() or ['without a word'])[0]}"})


def main(kind: str, engine: str, program: str, size: str) -> None:
    """A contestant, until there are no more turns."""
    serve(lambda: contestant(kind, engine, program, int(size)))


if __name__ == "__main__":
    main(*sys.argv[1:])

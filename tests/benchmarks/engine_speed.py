"""Recording and differentiating with several engines on the same programs: `make bench`.

Each round starts one process for each engine in turn, so that a drift of the machine's speed hits all alike, and
the table gives medians over the rounds. A process runs its workload once to warm up and takes the median of the
next runs; freeing the graph is part of a run. The garbage collector is on.
"""

import argparse
import importlib
import itertools
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SAMPLES = 50
MLP_OPERATIONS = 54_550
CHAIN_OPERATIONS = 1_000_000


def engine(name: str) -> Callable[[float], Any]:
    """The function that makes a leaf of this engine."""
    if name == "plain floats":
        return PlainFloat
    module = importlib.import_module(
        {"autograd-mini": "autograd_mini", "slots and tuples": "slots_engine", "micrograd": "micrograd.engine"}[name]
    )
    kind: Any = module.Value
    if name == "micrograd":  # it has relu only; these are written as its relu is
        kind.tanh = lambda self: _micrograd_function(kind, self, math.tanh, lambda x, out: 1 - out * out)
        kind.sin = lambda self: _micrograd_function(kind, self, math.sin, lambda x, out: math.cos(x))
    return lambda number: kind(number)


class PlainFloat(float):
    """A leaf of the forward pass alone: Python's own arithmetic returns plain floats from here on."""


def _micrograd_function(kind: Any, operand: Any, function: Any, derivative: Any) -> Any:
    out = kind(function(operand.data), (operand,), function.__name__)

    def _backward() -> None:
        operand.grad += derivative(operand.data, out.data) * out.grad

    out._backward = _backward
    return out


def _call(name: str, x: Any) -> Any:
    return getattr(math, name)(x) if isinstance(x, float) else getattr(x, name)()


def mlp_loss(leaf: Callable[[float], Any]) -> Callable[[], Any]:
    """A network 16-16-16-1 with tanh and squared loss over 50 samples: 54,550 operations."""
    draw = random.Random(0).uniform
    sizes = (16, 16, 16, 1)
    layers = [
        ([[leaf(draw(-0.3, 0.3)) for _ in range(inputs)] for _ in range(outputs)], [leaf(0.0) for _ in range(outputs)])
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    samples = [([draw(-1.0, 1.0) for _ in range(16)], draw(-1.0, 1.0)) for _ in range(SAMPLES)]

    def loss() -> Any:
        total: Any = 0.0
        for inputs, target in samples:
            activations: Any = inputs
            for number, (weights, biases) in enumerate(layers):
                outputs = []
                for row, bias in zip(weights, biases, strict=True):
                    z = row[0] * activations[0]
                    for weight, activation in zip(row[1:], activations[1:], strict=True):
                        z = z + weight * activation
                    z = z + bias
                    outputs.append(_call("tanh", z) if number < 2 else z)
                activations = outputs
            total = total + (activations[0] - target) ** 2
        return total

    return loss


def chain(leaf: Callable[[float], Any]) -> Callable[[], Any]:
    """x = sin(x) * a + b, again and again: 1,000,000 operations."""
    start, a, b = leaf(0.5), leaf(0.9), leaf(0.1)

    def run() -> Any:
        x: Any = start
        for _ in range(CHAIN_OPERATIONS // 3):
            x = _call("sin", x) * a + b
        return x

    return run


WORKLOADS = {"mlp": (mlp_loss, MLP_OPERATIONS, 7), "chain": (chain, CHAIN_OPERATIONS, 1)}


def measure(engine_name: str, workload: str) -> dict[str, float]:
    """Nanoseconds and bytes an operation, in this process."""
    build, operations, runs = WORKLOADS[workload]
    program = build(engine(engine_name))
    differentiates = engine_name != "plain floats"
    before = _resident_bytes()
    result = program()
    if differentiates:
        result.backward()
    memory = (_resident_bytes() - before) / operations
    del result
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        result = program()
        if differentiates:
            result.backward()
        del result
        times.append(time.perf_counter() - start)
    return {"time": statistics.median(times) / operations * 1e9, "memory": memory}


def _resident_bytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


ENGINES = ("plain floats", "autograd-mini", "slots and tuples", "micrograd")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("ENGINE", "WORKLOAD"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(measure(*chosen.one)))
        return
    for workload in WORKLOADS:
        print(f"\n{WORKLOADS[workload][0].__doc__}")
        print(f"{'engine':<18}{'ns/operation':>14}{'spread':>14}{'x floats':>10}{'x ours':>8}{'bytes/operation':>17}")
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
        for _ in range(chosen.rounds):
            for name in ENGINES:
                found[name] += _in_own_process(name, workload)
        medians = {name: statistics.median(m["time"] for m in rounds) for name, rounds in found.items() if rounds}
        for name, rounds in found.items():
            if not rounds:
                print(f"{name:<18}{'does not run it, or is not installed':>36}")
                continue
            times = [m["time"] for m in rounds]
            memory = statistics.median(m["memory"] for m in rounds)
            ratios = f"{medians[name] / medians['plain floats']:>10.1f}{medians[name] / medians['autograd-mini']:>8.2f}"
            spread = f"{min(times):.0f}-{max(times):.0f}"
            print(f"{name:<18}{medians[name]:>14.0f}{spread:>14}{ratios}{memory:>17.0f}")


def _in_own_process(name: str, workload: str) -> list[dict[str, float]]:
    command = [sys.executable, __file__, "--one", name, workload]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [json.loads(done.stdout)] if done.returncode == 0 else []


if __name__ == "__main__":
    main()

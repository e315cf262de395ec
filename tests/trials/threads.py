"""Threads that share leaves, graphs and compiled functions, taking turns as often as can be: every number is right."""

import argparse
import asyncio
import copy
import importlib.util
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from itertools import count
from operator import add
from random import Random
from typing import Any, TypeAlias

import numpy as np
import pytest
from engine_machine import BINARY, UNARY, EngineMachine
from rich.console import Console
from rich.progress import Progress
from support import run_in_threads

import autograd_mini
import nn
from autograd_mini import CompiledGraph, Value, compile_graph, detect_anomaly, engine, find_anomaly, topological_order
from autograd_mini.graph import pullback
from trials import report
from trials.builds import figures_of, figures_of_each

THREADS = 4


@contextmanager
def frequent_switches(seconds: float = 1e-6) -> Iterator[None]:
    """Threads take turns as often as they can, so that a race shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def repeated_sum(leaf: Value, times: int) -> Value:
    """leaf + leaf + …, so many additions."""
    return reduce(add, [leaf] * times, leaf)


# The engine


def own_graphs_on_shared_leaves(rounds: int) -> None:
    """Gradients of all threads add up, exactly."""
    weights = [Value(1.0), Value(2.0), Value(3.0)]

    def work(index: int) -> None:
        for _ in range(rounds):
            total: Any = sum(weight * (index + 1) for _ in range(20) for weight in weights)
            total.backward()

    run_in_threads(work, THREADS)
    assert [weight.grad for weight in weights] == [rounds * 20.0 * sum(range(1, THREADS + 1))] * 3


def one_graph(rounds: int) -> None:
    """Differentiated, read in order and pulled back by all at once."""
    x = Value(2.0)
    root = repeated_sum(x, 200)

    def work(_: int) -> None:
        for _ in range(rounds):
            root.backward()
            assert pullback(root, [x]) == [201.0]
            assert len(topological_order(root)) == 201

    run_in_threads(work, THREADS)
    assert x.grad == THREADS * rounds * 201.0


def run_beside(passes: Callable[[], None], *others: Callable[[], object]) -> None:
    """Others call their functions again and again, each in its thread, as long as two threads make their passes."""
    at_work = [True, True]

    def work(index: int) -> None:
        if index >= 2:
            while any(at_work):
                others[index - 2]()
            return
        try:
            passes()
        finally:
            at_work[index] = False

    run_in_threads(work, 2 + len(others))


def gradients_read_and_reset(rounds: int) -> None:
    """While others differentiate: what is read is what whole passes leave, also behind a zero_grad."""
    x = Value(2.0)
    root = repeated_sum(x, 200)
    middle = root.parents[0].parents[0]
    model = nn.Neuron(1, init=([1.0], 0.0))
    model.weights = [x]
    root.backward()

    def differentiate() -> None:
        for _ in range(rounds):
            root.backward()

    def read() -> None:
        assert x.grad % 201.0 == 0.0
        assert middle.grad == 1.0

    def reset() -> None:
        model.zero_grad()
        assert x.grad % 201.0 == 0.0

    run_beside(differentiate, read, reset)
    assert x.grad % 201.0 == 0.0


def recording_meanwhile(rounds: int) -> None:
    """On leaves and results that others differentiate: recordings are what they would be alone."""
    x, y = Value(3.0), Value(-2.0)
    shared = repeated_sum(x * y, 50)
    factors = count()

    def differentiate() -> None:
        for _ in range(rounds):
            shared.backward()

    def record() -> Value:
        factor = float(next(factors))
        scaled = shared * factor
        result = (scaled + x).maximum(y)
        assert (scaled.data, scaled.partials, scaled.parents) == (-306.0 * factor, (factor,), (shared,))
        assert (result.data, result.parents[1]) == (max(3.0 - 306.0 * factor, -2.0), y)
        return result

    run_beside(differentiate, record, lambda: record().backward())


def copies_meanwhile(rounds: int) -> None:
    """Deep copies and pickles of a graph that others differentiate are whole, and apart from it."""
    x = Value(2.0, "x")
    root = repeated_sum(x, 200)

    def differentiate() -> None:
        for _ in range(rounds):
            root.backward()

    def check(copied: Value) -> None:
        (leaf,) = {node for node in topological_order(copied) if node.op is None}
        before = leaf._grad
        assert (copied.data, before % 201.0, leaf.label, len(topological_order(copied))) == (402.0, 0.0, "x", 201)
        copied.backward()
        assert leaf._grad == before + 201.0

    run_beside(differentiate, lambda: check(copy.deepcopy(root)), lambda: check(pickle.loads(pickle.dumps(root))))
    assert x.grad == 2 * rounds * 201.0


def graphs_that_die(rounds: int) -> None:
    """Threads free large graphs while others record: a node is used again, but none that lives."""
    kept = [Value(float(index)) * 2.0 for index in range(100)]

    def work(index: int) -> None:
        for _ in range(rounds):
            x = Value(float(index + 1))
            total = x
            for _ in range(200):
                total = total + x * x
            total.backward()
            assert (total.data, x.grad) == (x.data + 200 * x.data**2, 1 + 400 * x.data)

    run_in_threads(work, THREADS)
    assert [(node.data, node.parents[0].data, node.grad) for node in kept] == [
        (2.0 * index, float(index), 0.0) for index in range(100)
    ]


def functions_differentiated(rounds: int) -> None:
    """`grad` and `hessian` of functions that reach a shared `Value`, whose own gradient nobody touches."""
    shared = Value(3.0)

    def work(index: int) -> None:
        x = float(index + 1)
        for _ in range(rounds):
            assert autograd_mini.grad(lambda x: x * x * shared)(x) == 6.0 * x
            assert autograd_mini.hessian(lambda x: x * x * shared)(x) == 6.0

    run_in_threads(work, THREADS)
    assert shared.grad == 0.0


def naive_engines_beside(rounds: int) -> None:
    """In each thread a random order of calls beside a naive engine, every node compared after each."""

    def work(index: int) -> None:
        machine, random = EngineMachine(), Random(index)
        machine.make_a_leaf(data=0.5, label="", kind=Value)
        for _ in range(rounds):
            name, arguments = random_step(random)
            getattr(machine, name)(**arguments)
            machine.does_not_grow_for_ever()
            machine.all_is_as_it_should_be()

    run_in_threads(work, THREADS)


def random_step(random: Random) -> tuple[str, dict[str, Any]]:
    """A rule of the machine, with what it takes."""
    place = random.randrange(40)
    choices: dict[str, Callable[[], dict[str, Any]]] = {
        "make_a_leaf": lambda: {"data": random.uniform(-3, 3), "label": "x", "kind": Value},
        "record_one_operand": lambda: {"row": random.choice(UNARY), "place": place, "way": random.randrange(9)},
        "record_an_expression": lambda: {
            "rows": [(random.choice(BINARY), random.randrange(40), random.randrange(40)) for _ in range(5)],
            "is_kept": random.random() < 0.5,
        },
        "set_data": lambda: {"place": place, "data": random.uniform(-3, 3)},
        "zero_grad": lambda: {"count": random.randrange(1, 4)},
        "backward": lambda: {"place": place, "times": random.randrange(1, 3)},
        "backward_from_the_newest": dict,
        "read_the_order": lambda: {"place": place},
        "deepcopy": lambda: {"places": [place, random.randrange(40)]},
        "pickle": lambda: {"places": [place, random.randrange(40)], "protocol": random.randrange(6)},
        "forget": lambda: {"places": {random.randrange(40) for _ in range(6)}},
    }
    name = random.choice(list(choices))
    return name, choices[name]()


# Compiled graphs and training


def one_compiled_graph(rounds: int, executor: str) -> None:
    """Called by all at once with batches of many sizes; results that are held stay what they are."""

    def fresh() -> CompiledGraph:
        return compile_graph(_tanh_of_products, [1.0] * 4, [0.5] * 4, argnums=(0, 1), executor=executor)

    alone, shared = fresh(), fresh()
    vectors = [0.5] * 4, [0.25] * 4
    calls = [_arrays(seed, 1 + seed % 11) for seed in range(3 * THREADS)]
    methods: list[Callable[[CompiledGraph, Any], Any]] = [
        lambda graph, arrays: graph.value(*arrays),
        lambda graph, arrays: graph.value_and_grad(*arrays),
        lambda graph, arrays: graph.hessian_vector_product(*arrays, vector=vectors),
    ]
    expected = [[repr(method(alone, arrays)) for method in methods] for arrays in calls]

    def work(index: int) -> None:
        held: list[tuple[Any, str]] = []
        random = Random(index)
        for _ in range(rounds):
            call, kind = random.randrange(len(calls)), random.randrange(len(methods))
            held.append((methods[kind](shared, calls[call]), expected[call][kind]))
            assert all(repr(found) == known for found, known in held)
            del held[:-4]

    run_in_threads(work, THREADS)


def _tanh_of_products(weights: list[Value], x: list[Value]) -> Any:
    return sum(((weight * each).tanh() for weight, each in zip(weights, x, strict=True)), 0.0)


def _arrays(seed: int, batch: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.normal(size=4), random.normal(size=(4, batch))


def compiled_at_once(rounds: int) -> None:
    """Functions are traced and compiled by all at once, also the same one."""

    def work(index: int) -> None:
        for place in range(rounds):
            factor = float(1 + (index + place) % 3)
            graph = compile_graph(partial(_scaled, factor), 1.0)
            assert (graph.value([1.0, 3.0]), graph.grad(3.0)) == (5.0 * factor, 6.0 * factor)

    run_in_threads(work, THREADS)


def _scaled(factor: float, x: Value) -> Value:
    return x * x * factor


def trainings_at_once(epochs: int, engine: str) -> None:
    """Each thread trains a network of its own, and gets to the last bit what it gets alone."""

    def trained(seed: int) -> list[float]:
        random = np.random.default_rng(seed)
        samples = random.normal(size=(24, 2)).tolist()
        network = nn.MLP(2, [4, 1], "tanh", seed=seed)
        targets = [float(x * y) for x, y in samples]
        history = nn.fit(
            network, samples, targets, optimizer=nn.Adam(0.01), epochs=epochs, batch_size=7, seed=seed, engine=engine
        )
        return [*history, *(parameter.data for parameter in network.parameters())]

    alone = [trained(index) for index in range(THREADS)]
    found: dict[int, list[float]] = {}

    def work(index: int) -> None:
        found[index] = trained(index)

    run_in_threads(work, THREADS)
    assert [found[index] for index in range(THREADS)] == alone


# Blocks that hold for one thread, or for one task


def blocks_of_one_thread(rounds: int) -> None:
    """Where one is inside `detect_anomaly()` and another is tracing, the others notice nothing."""
    three = Value(3.0)

    def work(index: int) -> None:
        for _ in range(rounds):
            x = Value(0.0)
            if index == 0:
                with detect_anomaly():
                    assert_refused(x)
            elif index == 1:
                assert compile_graph(lambda y: y.log() + y, 1.0).grad(2.0) == 1.5
            else:
                x.log().backward()
                assert (x.grad, three.data, float(three), three > 2, f"{three:.1f}") == (np.inf, 3.0, 3.0, True, "3.0")
                anomaly = find_anomaly(x.log())
                assert anomaly is not None
                assert anomaly.line is None

    run_in_threads(work, THREADS)


def assert_refused(x: Value) -> None:
    """Inside a block, of log(0)."""
    with pytest.raises(FloatingPointError, match=r"x\.log\(\)\.backward\(\)"):
        x.log().backward()


def blocks_of_one_task(rounds: int) -> None:
    """The same for the tasks of one thread, which take turns inside of a block."""

    async def inside() -> None:
        for _ in range(rounds):
            with detect_anomaly():
                await asyncio.sleep(0)
                assert_refused(Value(0.0))
                await asyncio.sleep(0)

    async def outside() -> None:
        for _ in range(rounds):
            x = Value(0.0)
            x.log().backward()
            assert x.grad == np.inf
            await asyncio.sleep(0)

    async def all_of_them() -> None:
        await asyncio.gather(inside(), outside(), inside(), outside())

    run_in_threads(lambda _: asyncio.run(all_of_them()), 1)  # the thread of the tests may be inside of a loop already


Stresses: TypeAlias = dict[str, tuple[Callable[[int], None], int]]

ENGINE_STRESSES: Stresses = {
    "graphs of their own on shared leaves": (own_graphs_on_shared_leaves, 20),
    "one graph": (one_graph, 10),
    "gradients read and reset meanwhile": (gradients_read_and_reset, 40),
    "recording meanwhile": (recording_meanwhile, 40),
    "deep copies and pickles meanwhile": (copies_meanwhile, 40),
    "graphs that die meanwhile": (graphs_that_die, 10),
    "functions differentiated": (functions_differentiated, 40),
    "random calls beside naive engines": (naive_engines_beside, 40),
}

TAPE = "one compiled graph, on the tape"

STRESSES: Stresses = {
    **ENGINE_STRESSES,
    "one compiled graph, array by array": (partial(one_compiled_graph, executor="numpy"), 40),
    **({TAPE: (partial(one_compiled_graph, executor="tape"), 40)} if importlib.util.find_spec("numba") else {}),
    "functions compiled": (compiled_at_once, 4),
    "trainings, recorded": (partial(trainings_at_once, engine="eager"), 1),
    "trainings, compiled": (partial(trainings_at_once, engine="compiled"), 4),
    "blocks of one thread": (blocks_of_one_thread, 10),
    "blocks of one task": (blocks_of_one_task, 20),
}
"""What threads do at once, and how many rounds of it are a small number."""


# The trial


def run(scale: int) -> dict[str, int]:
    """How many rounds of each were right; raises AssertionError where one was not."""
    with frequent_switches(), Progress(console=Console(stderr=True), transient=True) as bar:
        for name in bar.track(STRESSES, description="stresses"):
            stress, rounds = STRESSES[name]
            stress(scale * rounds)
    return {name: scale * rounds for name, (_, rounds) in STRESSES.items()}


class _NoLock:
    """Stands in the engine's place for its lock."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def failures_without_lock(name: str) -> int:
    """How many of ten runs of a stress are wrong when the engine has no lock: this process may hang."""
    stress, rounds = ENGINE_STRESSES[name]
    failures = 0
    with frequent_switches():
        for _ in range(10):
            engine.lock, engine._unfinished, engine.may_add_up = _NoLock(), None, False  # type: ignore[assignment]
            try:
                stress(10 * rounds)
            except AssertionError:
                failures += 1
    return failures


def without_lock(name: str) -> str:
    """The same, found out in a process of its own with the interpreted build."""
    try:
        return str(figures_of("interpreted", "threads", f"--without-lock={name}", timeout=60))
    except subprocess.TimeoutExpired:
        return "a hang"


def page(figures: dict[str, dict[str, int]], failures: dict[str, str], command: str) -> str:
    """What docs/trust.md says."""
    builds = list(figures)
    rows = [
        f"| {name} | {' | '.join(f'{figures[build][name]:,}' for build in builds)} | {failures.get(name, '')} |"
        for name in STRESSES
    ]
    gil = "no global interpreter lock" if engine.HAS_NO_GIL else "a global interpreter lock"
    return f"""\
`{command}`: {THREADS} threads at once, which take turns every microsecond. Rounds, all of them right; and of ten
short runs with the interpreted engine's lock taken out, how many were wrong:

| what they do | {" | ".join(builds)} | without lock |
|---|{"---:|" * (len(builds) + 1)}
{chr(10).join(rows)}

{report.versions("numpy", "numba")}, a Python with {gil}."""


def main(words: Sequence[str] | None = None) -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(prog="python -m trials.threads", description=__doc__)
    parser.add_argument("--scale", type=int, default=200, help="how many times what the tests run (200)")
    parser.add_argument("--figures", action="store_true", help="print the rounds of this build as JSON, write nothing")
    parser.add_argument("--without-lock", choices=ENGINE_STRESSES, help="print the failures of this stress as JSON")
    chosen = parser.parse_args(words)
    if chosen.without_lock:
        json.dump(failures_without_lock(chosen.without_lock), sys.stdout)
    elif chosen.figures:
        json.dump(run(chosen.scale), sys.stdout)
    else:
        figures = figures_of_each("threads", f"--scale={chosen.scale}")
        failures = {name: without_lock(name) for name in ENGINE_STRESSES}
        text = page(figures, failures, f"python -m trials.threads --scale={chosen.scale}")
        print(text)
        report.write("threads", text)


if __name__ == "__main__":
    main()

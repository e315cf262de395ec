"""Case 9: threads that share leaves, graphs and compiled functions get what they would get alone, or a loud error."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import run_in_threads
from trials import threads
from trials.threads import STRESSES, frequent_switches

from autograd_mini import Value, compile_graph, draw, engine, graph
from autograd_mini.compiled import CompiledGraph
from autograd_mini.copies import shallow

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", STRESSES)
def test_case_9_all_at_once(name: str) -> None:
    stress, rounds = STRESSES[name]
    with frequent_switches():
        stress(2 * rounds)


def test_case_9_all_at_once_on_a_python_without_the_lock_of_its_own() -> None:
    """Which this one need not be: what depends on it is told so, and then no gradient is read without our lock."""
    program = """
import sys
sys._is_gil_enabled = lambda: False
from autograd_mini import engine
from support import run_in_threads
from trials import threads
from trials.threads import STRESSES
assert engine.HAS_NO_GIL and engine.may_add_up
for stress, rounds in STRESSES.values():
    stress(rounds)
assert engine.may_add_up
"""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(TESTS)])
    command = [sys.executable, "-W", "error", "-c", program]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "PYTHONPATH": path})


def test_the_trial_says_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    threads.main(["--figures", "--scale=1"])
    figures = json.loads(capsys.readouterr().out)
    assert figures == {name: rounds for name, (_, rounds) in STRESSES.items()}
    page = threads.page({"interpreted": figures}, {"one graph": "a hang"}, "the command")
    assert f"| one graph | {figures['one graph']} | a hang |\n" in page


@pytest.mark.skipif(not engine.HAS_NO_GIL, reason="this Python has a global interpreter lock")
def test_case_9_a_free_threaded_python_stays_one() -> None:
    assert not engine.COMPILED
    assert engine.may_add_up


# What waits for its turn


def is_waiting_for(lock: Any, call: Callable[[], object]) -> bool:
    """Whether a call in another thread ends only when this one gives the lock back."""
    with lock:
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(timeout=0.1)
        waits = thread.is_alive()
    thread.join(timeout=10)
    assert not thread.is_alive()
    return waits


def test_case_9_who_waits_comes_before_the_thread_that_had_its_turn() -> None:
    total = x = Value(1.0)
    for _ in range(20_000):
        total = total + x
    walks, is_done = 0, threading.Event()

    def walk_in_a_loop() -> None:
        nonlocal walks
        while not is_done.is_set():
            total.backward()
            walks += 1

    thread = threading.Thread(target=walk_in_a_loop, daemon=True)
    thread.start()
    waited = []
    for _ in range(20):
        time.sleep(1e-3)  # so that the other is in the middle of a walk
        before = walks
        graph.topological_order(x)
        waited.append(walks - before)
    is_done.set()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert sorted(waited)[10] <= 5  # and up to hundreds with a lock that goes to who asks first


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs the signals of Unix")
def test_case_9_ctrl_c_while_waiting_for_a_turn_leaves_the_lock_to_others() -> None:
    x = Value(2.0)
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with engine.lock:
            is_held.set()
            may_go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    main = threading.main_thread().ident
    threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            (x * x).backward()
    finally:
        may_go_on.set()
        thread.join()
    run_in_threads(lambda _: (x * x).backward())
    assert x.grad == 4 * 4.0


USES: dict[str, Callable[[Value], Any]] = {
    "read": lambda x: x.grad,
    "set": lambda x: setattr(x, "grad", 0.0),
    "copied": shallow,
    "drawn": lambda x: draw(x).source,
}


@pytest.mark.parametrize("use", USES)
def test_case_9_a_gradient_is_used_before_or_after_a_backward_pass(use: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = Value(2.0)
    assert not engine.HAS_NO_GIL or is_waiting_for(engine.lock, lambda: USES[use](x))
    monkeypatch.setattr(engine, "may_add_up", True)
    assert is_waiting_for(engine.lock, lambda: USES[use](x))
    message = r"^backward: a finalizer or signal handler walked a graph or used a gradient while"
    with engine.lock, pytest.raises(RuntimeError, match=message):
        USES[use](x)
    USES[use](x)


@pytest.mark.skipif(engine.COMPILED, reason="nothing of Python's comes between the lines of a compiled pass")
def test_case_9_while_gradients_are_added_up_others_know_it() -> None:
    seen: list[bool] = []

    class Spy(Value):
        @property
        def _grad(self) -> float:
            seen.append(engine.may_add_up)
            return 0.0

        @_grad.setter
        def _grad(self, gradient: float) -> None:
            seen.append(engine.may_add_up)

    spy = Spy(2.0)
    seen.clear()
    (spy * spy).backward()
    assert seen
    assert all(seen)
    assert engine.may_add_up is engine.HAS_NO_GIL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_case_9_a_forked_process_finds_whole_gradients() -> None:
    program = """
import os, sys, threading
from autograd_mini import Value
sys.setswitchinterval(1e-5)
total = x = Value(1.0)
for _ in range(2_000):
    total = total + x
running = True
def work():
    while running:
        total.backward()
thread = threading.Thread(target=work)
thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        is_whole = x.grad % 2001.0 == 0.0
        x.grad = 0.0
        total.backward()
        os._exit(0 if is_whole and x.grad == 2001.0 else 1)
    print(os.waitpid(child, 0)[1])
running = False
thread.join()
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["0"] * 20, "")


# Compiled graphs


@pytest.fixture(params=["numpy", "tape"])
def product(request: pytest.FixtureRequest) -> CompiledGraph:
    """x · y by both, called once."""
    if request.param == "tape":
        pytest.importorskip("numba")
    graph = compile_graph(lambda x, y: x * y, 1.0, 1.0, argnums=(0, 1), executor=request.param)
    assert graph.value(2.0, 3.0) == 6.0
    return graph


def lock_of(graph: CompiledGraph) -> Any:
    """What is held while it runs."""
    executor: Any = graph._shown_executor()
    return executor._lock if graph.executor == "numpy" else executor._tape._lock


CALLS: list[Callable[[CompiledGraph], Any]] = [
    lambda graph: graph.value(2.0, 3.0),
    lambda graph: graph.value_and_grad(2.0, 3.0),
]


@pytest.mark.parametrize("call", CALLS)
def test_case_9_calls_of_one_compiled_graph_take_turns(
    product: CompiledGraph, call: Callable[[CompiledGraph], Any]
) -> None:
    assert is_waiting_for(lock_of(product), lambda: call(product))
    with lock_of(product), pytest.raises(RuntimeError, match=r"^compiled: a finalizer or signal handler called what"):
        call(product)
    assert product.grad(2.0, 3.0) == (3.0, 2.0)


def test_case_9_a_call_that_ctrl_c_ends_at_its_beginning_is_forgotten() -> None:
    graph = compile_graph(lambda x, y: x * y, 1.0, 1.0, executor="numpy")
    executor: Any = graph._executor([np.zeros(1), np.zeros(1)], None)
    arrays, others = ([np.array([2.0 * size]), np.array([3.0 * size])] for size in (1.0, 100.0))
    assert executor.value(arrays, None) == [6.0]
    (prepared,) = executor._workspaces[1]._pool
    whole = prepared._binds

    def interrupted(array: object) -> None:
        raise KeyboardInterrupt

    prepared._binds = (whole[0], interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.value(others, None)
    prepared._binds = whole
    assert executor.value(arrays, None) == [6.0]

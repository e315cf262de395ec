"""What several test files need: deep graphs, what stands in a node, and threads whose errors are not lost."""

import gc
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from autograd_mini.value import Value

DEEP = 100_000

PATIENCE = 60.0
"""Seconds after which something hangs: many times what it takes, so that a busy machine is no failure."""


def chain(leaf: Value, length: int) -> Value:
    """leaf + 1 + 1 + …"""
    result = leaf
    for _ in range(length):
        result = result + 1.0
    return result


def run_in_threads(work: Callable[[int], None], count: int = 4) -> None:
    """Call work(0), work(1), … each in a thread, all starting at once; an error in one is an error here."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run(index: int) -> None:
        try:
            start.wait()
            work(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def free_port() -> int:
    """One that nobody has, nor the one after it."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = int(one.getsockname()[1])
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue


@contextmanager
def no_collector_callbacks() -> Iterator[None]:
    """A block without other libraries' callbacks of the garbage collector: what a signal raises in one is swallowed."""
    kept = gc.callbacks[:]
    gc.callbacks.clear()  # in place: the collector does not look at the name
    try:
        yield
    finally:
        gc.callbacks[:] = kept


def fields(node: Value) -> tuple[Any, ...]:
    """Everything a recorded node holds; numbers as text, so that NaN equals NaN and -0.0 differs from 0.0."""
    numbers = node._data, node._grad, node._left_partial, node._right_partial
    return type(node), node.op, node._left, node._right, node.label, *map(repr, numbers)

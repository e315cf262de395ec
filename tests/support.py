"""What several test files need: deep graphs, what stands in a node, and threads whose errors are not lost."""

import threading
from collections.abc import Callable
from typing import Any

from autograd_mini.value import Value

DEEP = 100_000


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


def fields(node: Value) -> tuple[Any, ...]:
    """Everything a recorded node holds; numbers as text, so that NaN equals NaN and -0.0 differs from 0.0."""
    numbers = node._data, node._grad, node._left_partial, node._right_partial
    return type(node), node.op, node._left, node._right, node.label, *map(repr, numbers)

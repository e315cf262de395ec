"""Python's garbage collector, while many objects are made and none is garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """A block in which it does not run: it would go over every node of a graph again and again, for no cycle."""
    was_enabled = gc.isenabled()
    try:
        gc.disable()  # in here, as Ctrl-C may come right after it
        yield
    finally:
        if was_enabled:
            gc.enable()

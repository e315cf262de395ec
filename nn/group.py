"""What the processes of a group ask of each other while they train. This module is built on JAX."""

import atexit
import ctypes
import hashlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from nn.checks import on_one_line
from nn.process_group import ENDED, INTERRUPTED, InterruptedElsewhere, ProcessGroupError, current_line

_AXIS = "processes"

_PAUSE = 0.05
"""Seconds between two times that one listens for news, where a result takes longer."""

_GRACE = 1.0
"""Seconds within which the coordinator has heard that a process is gone, and a result that is on its way is there."""

_LAST_WAIT = 1.0
"""Seconds that the end of the process waits for a computation that was given up: others end about now too."""

_MOST_TEXT = 1024


class Group(AbstractContextManager["Group"]):
    """The processes that devices belong to: all of JAX's; often this one alone. As a block, it is their training.

    Raises `ProcessGroupError` where another is known to be gone.
    """

    def __init__(self, devices: Sequence[Any]) -> None:
        self.process: int = jax.process_index()
        """The number of this one."""
        self.processes: int = jax.process_count()
        self._firsts = [devices_of(devices, process)[0] for process in range(self.processes)]
        self._mesh = Mesh(np.array(self._firsts), (_AXIS,))
        self._gather = jax.jit(lambda array: array, out_shardings=NamedSharding(self._mesh, PartitionSpec()))
        self._line = current_line()
        if self._line is not None and not self._line.begin_training():
            raise ProcessGroupError("fit: a training of this group broke off: start all processes again")

    @property
    def is_real(self) -> bool:
        """Whether there are others."""
        return self.processes > 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            return
        self.leave(INTERRUPTED if issubclass(kind, (KeyboardInterrupt, InterruptedElsewhere)) else ENDED)
        if kind is InterruptedElsewhere:  # before there was a training that it could end
            raise KeyboardInterrupt from None

    def leave(self, word: str) -> None:
        """Tell the others that this process takes no further part."""
        if self._line is not None:
            self._line.leave(word)

    def computed(self, function: Callable[..., Any], *arguments: Any) -> list[NDArray[Any]]:
        """What JAX computes in 64 bits, as NumPy's arrays. ProcessGroupError where another process is gone."""

        def compute() -> list[NDArray[Any]]:
            with jax.enable_x64(True):
                return list(map(np.asarray, jax.tree.leaves(function(*arguments))))

        if not self.is_real:
            return compute()
        is_done = False
        try:
            found = self._in_a_thread(compute)
            is_done = True
            return found
        except KeyboardInterrupt:
            self.leave(INTERRUPTED)  # before the others hear that this process has given up
            raise
        except (RuntimeError, ValueError) as error:  # what JAX raises depends on how the processes are connected
            raise self._gone(error) from None
        finally:
            if not is_done:
                self._give_up()

    def _give_up(self) -> None:
        """What was begun here may go on for ever: nothing may be begun after it, nor the end of Python wait for it."""
        if self._line is not None:
            self._line.give_up()
        # A device waits for another one of this process, where that one has heard of the end of a third. The client
        # they belong to waits for them before it is deleted: a reference more than there are, and it never is.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._firsts[self.process].client))

    def _in_a_thread(self, compute: Callable[[], list[NDArray[Any]]]) -> list[NDArray[Any]]:
        """So that Ctrl-C is heard meanwhile, and news: JAX itself waits, perhaps for ever, for one that is gone."""
        found: list[list[NDArray[Any]] | Exception] = []
        is_over = threading.Event()  # a thread whose join Ctrl-C interrupts is said to be over before it is

        def work() -> None:
            try:
                found.append(compute())
            except Exception as error:
                found.append(error)
            finally:
                is_over.set()

        threading.Thread(target=work, daemon=True).start()
        try:
            self._wait_for(is_over)
        finally:
            if not is_over.is_set():
                atexit.register(_end_with, is_over)
        if not found:
            raise RuntimeError("a result that does not come")
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def _wait_for(self, is_over: threading.Event) -> None:
        end = math.inf
        while time.monotonic() < end and not is_over.wait(_PAUSE):
            if self._line is not None and self._line.listen():
                end = min(end, time.monotonic() + _GRACE)

    def _gone(self, error: Exception) -> BaseException:
        news = {} if self._line is None else self._line.listen(_GRACE)
        for process, what in news.items():
            if what == INTERRUPTED:
                return InterruptedElsewhere(process)
        if news:
            gone = ", ".join(map(str, sorted(news)))
            return ProcessGroupError(f"fit: process {gone} (of {self.processes}, from 0) has ended")
        reason = on_one_line(str(error).strip().splitlines()[0])
        return ProcessGroupError(f"fit: another of the {self.processes} processes has ended ({reason})")

    def of_first(self, text: str) -> str:
        """What process 0 has said."""
        if not self.is_real:
            return text
        encoded = np.frombuffer(text.encode().ljust(_MOST_TEXT), np.uint8)
        return bytes(self._gathered(encoded)[0]).decode().rstrip()

    def check_same(self, things: Mapping[str, object], advice: Mapping[str, str]) -> None:
        """Raise ValueError where something is not the same in every process. advice: what to do about it, by name."""
        if not self.is_real:
            return
        digests = np.stack([_digest(thing) for thing in things.values()])
        found = self._gathered(digests)
        for place, name in enumerate(things):
            others = [process for process in range(self.processes) if (found[process, place] != found[0, place]).any()]
            if others:
                raise ValueError(
                    f"fit: expected the same {name} in every process of the group, got others in process"
                    f" {', '.join(map(str, others))}{advice.get(name, '')}"
                )

    def check_batch(self, place: int, size: int) -> None:
        """Raise ValueError where a batch as it comes is not of the same size in every process; 0 is none any more."""
        name = f"size of batch {place}"
        self.check_same({name: size}, {name: ": each is given all batches, and computes its part of every one"})

    def stopping(self, reason: str) -> str:
        """The reason that this process, or the first of the others, has to stop; or nothing."""
        if not self.is_real:
            return reason
        found = self._gathered(np.array([bool(reason)], np.uint8)).ravel()
        return reason or (f"a callback in process {int(found.argmax())}" if found.any() else "")

    def _gathered(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Those of every process, one after the other."""
        own = jax.device_put(numbers[None], self._firsts[self.process])
        sharding = NamedSharding(self._mesh, PartitionSpec(_AXIS))
        together = jax.make_array_from_single_device_arrays((self.processes, *numbers.shape), sharding, [own])
        return self.computed(self._gather, together)[0]


def _end_with(is_over: threading.Event) -> None:
    """End the process though JAX computes in a thread: what comes back to a Python that has ended ends in SIGABRT."""
    if not is_over.wait(_LAST_WAIT):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _digest(thing: object) -> NDArray[np.uint8]:
    data = thing if isinstance(thing, bytes) else repr(thing).encode()
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint8)


def devices_of(devices: Sequence[Any], process: int) -> list[Any]:
    """Those of one process."""
    return [device for device in devices if device.process_index == process]

"""Several processes that train one model together, on one machine or many: `join_process_group`."""

import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np

from nn.checks import describe, on_one_line, positive_int
from nn.history import History

READY, INTERRUPTED, ENDED = "ready", "interrupted", "ended"
"""What is said of a process that begins a training, of one that Ctrl-C has stopped, and of one that is gone."""

TAKEN = "taken"
"""What the coordinator says where it cannot have its ports."""

SILENT_SECONDS = 10
"""Of a process that is not heard of for so long, JAX says that it is dead."""


_LONGEST_TIMEOUT = 86_400


class ProcessGroupError(RuntimeError):
    """Another process of the group has ended, so that nothing more can be computed together.

    The parameters are those of the last whole epoch. JAX may go on to wait for the others for ever: Python then ends a
    second after the program, with exit status 1 and without the functions that atexit was given before the training.
    """

    def __init__(self, message: str, history: History | None = None) -> None:
        super().__init__(message)
        self.history = History() if history is None else history
        """The whole epochs before."""


class InterruptedElsewhere(BaseException):
    """Ctrl-C has stopped another process of the group; no Exception, as KeyboardInterrupt is none."""

    def __init__(self, process: int) -> None:
        super().__init__(f"Ctrl-C in process {process}")


class Line:
    """A line to the coordinator, by which one hears which of the other processes are gone."""

    def __init__(self, connection: socket.socket, process_id: int, num_processes: int) -> None:
        self._connection = connection
        self._heard = b""
        self._others = num_processes - 1
        self._training = 0
        """How many were begun together."""
        self._gone: dict[int, str] = {}
        self._ready: set[tuple[int, int]] = set()
        self._left: dict[tuple[int, int], str] = {}
        """Processes and trainings: for which one is ready, and which it has left."""
        self.n_here = 0
        """How many processes have joined."""
        self.refusal = ""
        """What the coordinator expected in place of this process."""
        self._is_open = True
        self._say(f"{process_id} of {num_processes}")

    def begin_training(self) -> bool:
        """Wait until all others begin their next training too; False where one of them is gone, or this one gave up.

        By this line, for computations that are begun together have to be the same: one that a process has left behind
        would meet another.
        """
        self._training += 1
        if self._is_open:
            self._say(f"{READY}@{self._training}")
        is_ready = False
        while self._is_open and not self._gone and not is_ready:
            self.listen(0.1)
            is_ready = sum(training == self._training for _, training in self._ready) == self._others
        return is_ready and not self._gone

    def leave(self, word: str) -> None:
        """Tell the others that this process takes no further part in the training."""
        self._say(f"{word}@{self._training}")

    def give_up(self) -> None:
        """Take part in nothing any more. The line stays, for the coordinator ends with the last one."""
        self._is_open = False
        self._say(ENDED)

    def _say(self, words: str) -> None:
        with suppress(OSError):
            self._connection.sendall(words.encode() + b"\n")

    def listen(self, seconds: float = 0.0) -> dict[int, str]:
        """The processes that are gone, or have left this training, as known now, or within so many seconds."""
        with suppress(OSError):
            self._connection.settimeout(seconds or 1e-6)
            said = self._connection.recv(4096)
            *whole, self._heard = (self._heard + said).split(b"\n")
            for each in whole:
                self._take(*each.decode().split(" ", 1))
        left = {process: word for (process, training), word in self._left.items() if training == self._training}
        return self._gone | left  # why one left says more than that it is gone

    def _take(self, word: str, rest: str) -> None:
        word, _, training = word.partition("@")
        if word == "here":
            self.n_here = int(rest)
        elif word == "refused":
            self.refusal = rest
        elif word == READY:
            self._ready.add((int(rest), int(training)))
        elif training:
            self._left[int(rest), int(training)] = word
        else:
            self._gone[int(rest)] = word


_line: Line | None = None


def current_line() -> Line | None:
    """The line of this process; None where `join_process_group` was not called."""
    return _line


def join_process_group(coordinator_address: str, num_processes: int, process_id: int, *, timeout: float = 60.0) -> None:
    """Make this process one of a group; fit(…, engine="jax") then trains in all of them together.

    Every process calls it, with its own process_id, before anything is computed by JAX, and then calls `fit` with the
    same arguments. It is `jax.distributed.initialize`, which may be called in its place; here, where a process dies,
    be it process 0, the others get a `ProcessGroupError` within a second or two that says which. For that, process 0
    starts the coordinator as a process of its own, which ends with the group.

    coordinator_address: host of process 0, a name or IPv4, and port, "10.0.0.1:9000"; the port after it is used as
    well. Both are open to whoever reaches the host: use them in a network that you trust.
    num_processes: how many there are. process_id: which of them this is, from 0.
    timeout: seconds to wait for the others, at most a day.
    A process takes all devices that it sees: on one machine with several GPUs, show each its own by
    CUDA_VISIBLE_DEVICES. One that is stopped but not ended (SIGSTOP, a machine asleep) is waited for, and ends, by
    JAX's hand, when it goes on after more than 10 seconds; Ctrl-C ends the waiting.

    Needs `pip install 'autograd-mini[jax]'`. Raises ValueError or TypeError that names the argument, RuntimeError where
    this process is in a group, or has used JAX already, or the coordinator does not start, and OSError where that
    cannot be reached, or cannot have its ports.
    """
    global _line
    where = "join_process_group"
    host, port = _check_address(where, coordinator_address)
    num_processes = positive_int(num_processes, f"{where}: expected num_processes to be a positive int")
    process_id = _check_number(where, process_id, num_processes)
    _check_timeout(where, timeout)
    jax = _jax(where)
    with ExitStack() as where_it_fails:
        if process_id == 0:
            where_it_fails.enter_context(_coordinator(where, host, port, num_processes))
        end = time.monotonic() + timeout
        connection = where_it_fails.enter_context(_connected(where, host, port + 1, end))
        line = Line(connection, process_id, num_processes)
        _wait_for_all(where, line, num_processes, end)
        jax.config.update("jax_enable_preemption_service", False)  # or no process would end by SIGTERM any more
        jax.distributed.initialize(
            coordinator_address,
            num_processes,
            process_id,
            coordinator_bind_address="127.0.0.1:0",  # of a service that nobody asks: ours is the coordinator's
            initialization_timeout=math.ceil(timeout),  # JAX ends a process that waited so long
            heartbeat_timeout_seconds=SILENT_SECONDS,
        )
        _held.append(where_it_fails.pop_all())
    _line = line


def _check_address(where: str, address: object) -> tuple[str, int]:
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or ":" in host or not port.isdecimal() or not 0 < int(port) < 65535:
        raise ValueError(
            f"{where}: expected coordinator_address to be host and port, as '10.0.0.1:9000', got {describe(address)}"
        )
    return host, int(port)


def _check_number(where: str, process_id: object, processes: int) -> int:
    if isinstance(process_id, bool) or not isinstance(process_id, int | np.integer):
        raise TypeError(f"{where}: expected process_id to be an int, got {describe(process_id)}")
    if not 0 <= process_id < processes:
        raise ValueError(f"{where}: expected process_id from 0 to {processes - 1}, got {process_id}")
    return int(process_id)


def _check_timeout(where: str, timeout: object) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"{where}: expected timeout to be a number of seconds, got {describe(timeout)}")
    if not 0 < timeout <= _LONGEST_TIMEOUT:
        raise ValueError(f"{where}: expected timeout to be above 0 and at most {_LONGEST_TIMEOUT} s, got {timeout}")


def _jax(where: str) -> Any:
    try:
        import jax
    except ImportError:
        raise ImportError(f"{where}: needs JAX: pip install 'autograd-mini[jax]'") from None
    if jax.distributed.is_initialized():
        raise RuntimeError(f"{where}: expected a process that is in no group, got one that is")
    from jax._src.xla_bridge import backends_are_initialized

    if backends_are_initialized():  # JAX itself asks when the others are already waiting for this process
        raise RuntimeError(f"{where}: expected a process that has not used JAX yet, got one that has")
    return jax


@contextmanager
def _coordinator(where: str, host: str, port: int, processes: int) -> Iterator[None]:
    """Run it. By the end of its standard input it hears that this process has ended, however it did."""
    words = [sys.executable, "-P", "-m", "nn.coordinator", host, str(port), str(processes)]
    found_here = [folder for folder in sys.path if isinstance(folder, str)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found_here)}
    pipe = subprocess.PIPE
    # Of a session of its own: Ctrl-C in a terminal goes to all processes there.
    with subprocess.Popen(
        words, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        if said != READY + "\n":
            reason = on_one_line((process.stderr.read().strip().splitlines() or ["it ended"])[-1])
            if said == TAKEN + "\n":
                raise OSError(f"{where}: expected the ports {port} and {port + 1} to be free, got: {reason}")
            raise RuntimeError(f"{where}: expected the coordinator to start, got: {reason}")
        process.stdout.close()
        process.stderr.close()
        yield


_held: list[ExitStack] = []
"""What the end of the process closes: its line, and the standard input of the coordinator."""


def _connected(where: str, host: str, port: int, end: float) -> socket.socket:
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=max(1.0, end - time.monotonic()))
        except OSError as error:
            if time.monotonic() > end:
                raise ConnectionError(
                    f"{where}: expected the coordinator at {host}:{port}, got: {error}: does process 0 run there?"
                ) from None
            time.sleep(0.1)
        else:
            connection.settimeout(None)
            return kept_alive(connection)


def _wait_for_all(where: str, line: Line, num_processes: int, end: float) -> None:
    """Before JAX is asked, which ends a process that waits in vain."""
    is_late = False
    while line.n_here < num_processes and not line.refusal and not is_late:
        is_late = time.monotonic() > end
        line.listen(0.1)
    if line.refusal:
        raise ValueError(f"{where}: expected {line.refusal}")
    if line.n_here < num_processes:
        raise ConnectionError(f"{where}: expected {num_processes} processes to join in time, got {line.n_here}")


def kept_alive(connection: socket.socket) -> socket.socket:
    """A connection that ends within half a minute where the host at the other end is gone without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # not every system has them
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)
    return connection

"""The coordinator of a process group, a process of its own: `python -m nn.coordinator HOST PORT PROCESSES`.

It runs JAX's coordination service, which otherwise is a part of process 0: where that process dies, JAX ends all others
before they can say anything. And it holds a line to every process, and tells the others who has ended.

It ends when process 0, which started it and holds its standard input, and all lines are gone. This module is built on
JAX, whose service has no public name: JAX starts it for its own process 0 only.
"""

import selectors
import socket
import sys
from contextlib import suppress

from nn.process_group import ENDED, READY, SILENT_SECONDS, TAKEN, kept_alive

LONGEST_LINE = 200


def main(words: list[str]) -> None:
    """Serve, and say that this has begun, or that the ports are taken."""
    host, port, processes = words[0], int(words[1]), int(words[2])
    is_local = host in ("localhost", "127.0.0.1")
    bound = host if is_local else ""
    try:
        socket.create_server((bound, port)).close()  # JAX's service itself ends without a word where it is taken
        listener = socket.create_server((bound, port + 1))
    except OSError:
        print(TAKEN, flush=True)
        raise
    service = _service(f"{host if is_local else '[::]'}:{port}", processes)
    print(READY, flush=True)
    Lines(listener, processes).serve(sys.stdin.fileno())
    del service  # held until here


def _service(address: str, processes: int) -> object:
    from jax._src.lib import _jax

    return _jax.get_distributed_runtime_service(
        address,
        processes,
        heartbeat_timeout=SILENT_SECONDS,
        shutdown_timeout=SILENT_SECONDS,
        recoverable=True,  # a process that dies does not take the others with it
    )


class Lines:
    """A line to every process: it says its number, and how it leaves where it can; the others are told."""

    def __init__(self, listener: socket.socket, processes: int) -> None:
        self._listener, self._processes = listener, processes
        self._numbers: dict[socket.socket, str] = {}
        self._heard: dict[socket.socket, bytes] = {}
        """What was said since the last whole line."""

    def serve(self, parent: int) -> None:
        """Until the parent's end of this file is closed, and every line is."""
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        selector.register(parent, selectors.EVENT_READ)
        is_child = True
        while is_child or self._heard:
            for key, _ in selector.select():
                if key.fileobj is self._listener:
                    line = kept_alive(self._listener.accept()[0])
                    self._heard[line] = b""
                    selector.register(line, selectors.EVENT_READ)
                elif isinstance(key.fileobj, socket.socket):
                    if not self._hear(key.fileobj):
                        selector.unregister(key.fileobj)
                        key.fileobj.close()
                else:
                    selector.unregister(parent)
                    is_child = False

    def _hear(self, line: socket.socket) -> bool:
        """What a process says; False where its line is no more."""
        try:
            said = line.recv(LONGEST_LINE)
        except OSError:
            said = b""
        *whole, rest = (self._heard[line] + said).split(b"\n")
        self._heard[line] = rest
        for each in whole:
            word = each.decode(errors="replace")
            if line in self._numbers:
                self._tell(f"{word} {self._numbers[line]}", but=line)
            else:
                self._welcome(line, word)
        if said and len(rest) <= LONGEST_LINE:
            return True
        number = self._numbers.pop(line, None)
        if number is not None:
            self._tell(f"{ENDED} {number}")
        del self._heard[line]
        return False

    def _welcome(self, line: socket.socket, word: str) -> None:
        number, _, processes = word.partition(" of ")
        if processes != str(self._processes):
            _say(line, f"refused num_processes to be {self._processes}, as in process 0, got {processes}")
        elif number in self._numbers.values():
            _say(line, f"refused process_id to be that of no other process, got {number}")
        else:
            self._numbers[line] = number
            self._tell(f"here {len(self._numbers)}")

    def _tell(self, news: str, but: socket.socket | None = None) -> None:
        for line in self._numbers:
            if line is not but:
                _say(line, news)


def _say(line: socket.socket, words: str) -> None:
    with suppress(OSError):  # it will be heard that this one is gone
        line.sendall(words.encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])

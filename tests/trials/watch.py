"""What hostile input must not do: hang, warn, run code, open a file or a connection; and errors say one clear line."""

import io
import os
import resource
import signal
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import autograd_mini
from autograd_mini.cli import main

SECONDS = 10.0
"""Of computing, which one input may take. A slow machine needs a tenth of it."""
_WAITING = 120.0
"""Seconds by the clock, for one that waits and computes nothing."""

LONGEST_MESSAGE = 1_200
"""Characters. A path of a temporary folder and a thousand of the command's are in it."""

_RUNS = (
    *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "pty.spawn", "pickle.", "code."),
    *("socket.", "ctypes.", "urllib.", "ftplib.", "smtplib.", "webbrowser.", "cpython.run_"),
)
_CHANGES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    *("os.utime", "shutil."),
)
"""How the names of audit events begin."""

_OWN_CODE = "<compiled graph>"
"""The name of the file that the code of compiled graphs is from."""
_RENDERER = "renderer.py"

_LIBRARIES = (sys.base_prefix, sys.prefix, str(Path(autograd_mini.__path__[0]).parent))


class Violation(AssertionError):  # noqa: N818  # it reads as what it is
    """An input did what none may do."""


class _Hang(BaseException):
    """An input took too long."""


class _Watch:
    """What is watched at this moment: an audit hook cannot be removed, so there is one."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        """Where files may be written; None while nothing is watched."""
        self.seen: list[str] = []
        self.is_hooked = False

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if not self._is_allowed(event, arguments, str(self.folder)):
            self.seen.append(f"{event} {arguments!r:.200}")

    def _is_allowed(self, event: str, arguments: tuple[Any, ...], folder: str) -> bool:
        if event == "open":
            path, mode, flags = arguments
            is_written = (
                bool(flags & (os.O_WRONLY | os.O_RDWR)) if mode is None else not {"w", "a", "x", "+"}.isdisjoint(mode)
            )
            allowed = (folder,) if is_written else (folder, *_LIBRARIES, "/dev/null", "/proc/self")
            return isinstance(path, int) or os.path.abspath(os.fsdecode(path)).startswith(allowed)
        if event == "exec":
            code: CodeType = arguments[0]
            return code.co_filename == _OWN_CODE or code.co_filename.startswith(_LIBRARIES)
        if event == "subprocess.Popen":
            return arguments[1][0] == "dot" or str(arguments[1][-1]).endswith(_RENDERER)
        if event.startswith(_CHANGES):
            return all(
                os.path.abspath(os.fsdecode(path)).startswith(folder)
                for path in arguments[:2]
                if isinstance(path, str | bytes | os.PathLike)
            )
        return not event.startswith(_RUNS)


_watch = _Watch()


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """A block for one input, which may write into the folder. Raises Violation for what it must not do."""
    if not _watch.is_hooked:
        sys.addaudithook(_watch.hook)
        _watch.is_hooked = True

    def hang(_: int, frame: FrameType | None) -> None:
        raise _Hang(f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else "")

    handlers = {number: signal.signal(number, hang) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1.0)  # again and again: a collector's callback may swallow one
    signal.setitimer(signal.ITIMER_REAL, _WAITING, 1.0)
    _watch.seen.clear()
    _watch.folder = folder
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    except _Hang as place:
        raise Violation(f"took more than {SECONDS} seconds, or waited, and was at {place}") from None
    finally:
        _watch.folder = None
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0.0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if _watch.seen:
        raise Violation(f"ran or opened what it must not: {'; '.join(_watch.seen)}")


def check_message(message: str, beginning: str = "") -> None:
    """Raise Violation unless a message is one line of text that begins so, and not too long."""
    unsafe = [character for character in message if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    if unsafe or not message.startswith(beginning) or not 0 < len(message) <= LONGEST_MESSAGE:
        raise Violation(f"expected one line of text that begins with {beginning!r}, got {message[:2000]!r}")


def check_error(error: Exception, beginning: str, kinds: tuple[type[Exception], ...] = (ValueError,)) -> None:
    """Raise Violation unless it is of one of these very types, not of one below, and says one clear line."""
    if type(error) not in kinds:
        raise Violation(f"expected {kinds}, got {error!r:.500}") from error
    check_message(str(error), beginning)


def run_command(words: list[str]) -> int:
    """The exit status of the command, which must say one line if it is 2, and nothing but a score if it is 0."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(words)
    said = err.getvalue()
    if status == 2:
        check_message(said.removesuffix("\n"), f"autograd-mini {words[0]}: ")
    elif status not in (0, 1) or not (said == "" or said.startswith(("accuracy", "R²"))):
        raise Violation(f"expected status 0 or 2, got {status}: {said[:500]!r}")
    return status


def limit_memory(gigabytes: float) -> None:
    """Let this process have so much more: what asks for more gets a MemoryError."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def forget_peak() -> None:
    """From now on `peak` is that of what follows."""
    with suppress(OSError):  # where that is forbidden, it is the peak from the beginning
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The most resident memory there was, in MiB."""
    (line,) = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

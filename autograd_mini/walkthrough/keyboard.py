"""Single keys from a terminal, by the standard library, which is given back as it was however one leaves."""

import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Self

if sys.platform == "win32":
    import msvcrt
else:
    import select
    import termios
    import tty

_PATIENCE = 0.1
"""Seconds in which the rest of a key that is sent as several characters has to come: Esc alone sends the first."""

_KEYS = {
    **dict.fromkeys((" ", "\x1b[C", "\x1bOC", "\xe0M", "\x00M"), "next"),
    **dict.fromkeys(("\x1b[D", "\x1bOD", "\xe0K", "\x00K"), "previous"),
    **dict.fromkeys(("\x1b[A", "\x1bOA", "\xe0H", "\x00H"), "coarser"),
    **dict.fromkeys(("\x1b[B", "\x1bOB", "\xe0P", "\x00P"), "finer"),
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~", "\x1b[7~", "\xe0G", "\x00G"), "home"),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~", "\x1b[8~", "\xe0O", "\x00O"), "end"),
    **dict.fromkeys(("\r", "\n"), "open"),
    **dict.fromkeys(("\x7f", "\x08"), "close"),
    **dict.fromkeys(("q", "Q", "\x1b", "\x03", "\x04"), "quit"),
}
"""What terminals send for a key; behind \\x00 and \\xe0 the codes of Windows. Whatever is not here means nothing."""


class Keyboard:
    """The keys of the terminal on standard input, one by one and not shown as they are typed."""

    def __init__(self) -> None:
        self._waiting = ""

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._on_termination = signal.signal(signal.SIGTERM, _leave)
        if sys.platform != "win32":
            self._input = sys.stdin.fileno()
            self._settings = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
            settings = termios.tcgetattr(self._input)
            settings[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave the shell with our screen
            termios.tcsetattr(self._input, termios.TCSANOW, settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if sys.platform != "win32":
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._settings)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_termination)

    def key(self, seconds: float) -> str | None:
        """What the next key means: next, previous, home, end, coarser, finer, open, close or quit.

        None where no key came in so many seconds, or one that means nothing.
        """
        if not self._waiting and not self._read(seconds):
            return None
        while _is_begun(self._waiting) and self._read(_PATIENCE):
            pass
        sent = _first_key(self._waiting)
        self._waiting = self._waiting[len(sent) :]
        return _KEYS.get(sent)

    def _read(self, seconds: float) -> bool:
        """Whether something was typed in so many seconds."""
        if sys.platform == "win32":
            until = time.monotonic() + seconds
            while not msvcrt.kbhit():
                if time.monotonic() > until:
                    return False
                time.sleep(0.01)
            self._waiting += msvcrt.getwch()
            return True
        if not select.select([self._input], [], [], seconds)[0]:
            return False
        # Without more to read the terminal is gone, and with it whoever could press q.
        self._waiting += os.read(self._input, 1024).decode(errors="replace") or "q"
        return True


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _is_begun(text: str) -> bool:
    """Whether there may be more to come of the first key."""
    if text[0] == "\x1b":
        return len(text) == 1 or (text[1] in "[O" and _first_key(text) == text and not _is_final(text))
    return text in ("\x00", "\xe0") and sys.platform == "win32"


def _first_key(text: str) -> str:
    """What the first key sent, of all that was typed."""
    if text[0] in "\x00\xe0" and sys.platform == "win32":
        return text[:2]
    if text[0] != "\x1b" or len(text) == 1 or text[1] not in "[O":
        return text[0]
    for length in range(3, len(text) + 1):
        if _is_final(text[:length]):
            return text[:length]
    return text


def _is_final(sent: str) -> bool:
    """Whether a control sequence ends here: with a letter or ~, after numbers."""
    return len(sent) > 2 and "@" <= sent[-1] <= "~"

"""Members that are replaced while somebody is inside a block, and the user's own source line there.

The engine has no hooks: a test of one would cost every operation of everybody. So a block replaces what it has to
notice, and puts it back; in between, a replacement asks a context variable whether its caller is inside.
"""

import linecache
import sys
import threading
from collections.abc import Callable, Iterable
from functools import reduce
from types import FrameType
from typing import Any, TypeAlias

Member: TypeAlias = tuple[Any, str]
"""An object, and the name of an attribute of it."""

Wrap: TypeAlias = Callable[[Any], Any]
"""Makes a replacement of what stood there."""

_lock = threading.Lock()
_before: dict[Member, tuple[Any, Any]] = {}
"""Of whatever is replaced: what it was, and what to put back, None where it was inherited."""
_wraps: dict[Member, list[Wrap]] = {}
"""Its replacements, one around the other: blocks of several kinds may be open, and end in any order."""


class Replacements:
    """What the blocks of one kind replace while at least one is open, in any thread."""

    def __init__(self, find: Callable[[], Iterable[tuple[Any, str, Wrap]]]) -> None:
        self._find = find
        self._found: list[tuple[Any, str, Wrap]] = []
        self._blocks = 0

    def begin(self) -> None:
        """A block begins."""
        with _lock:
            self._blocks += 1
            if self._blocks == 1:
                self._found = list(self._find())
                for owner, name, wrap in self._found:
                    _before.setdefault((owner, name), (getattr(owner, name), vars(owner).get(name)))
                    _wraps.setdefault((owner, name), []).append(wrap)
                    _replace(owner, name)

    def end(self) -> None:
        """A block ends."""
        with _lock:
            self._blocks -= 1
            if self._blocks == 0:
                for owner, name, wrap in self._found:
                    _wraps[owner, name].remove(wrap)
                    _replace(owner, name)


def _replace(owner: Any, name: str) -> None:
    """Give an attribute what it is to be, in one step: other threads may be using it."""
    was, own = _before[owner, name]
    if _wraps[owner, name]:
        setattr(owner, name, reduce(lambda inner, wrap: wrap(inner), _wraps[owner, name], was))
        return
    del _before[owner, name], _wraps[owner, name]
    if own is None:
        delattr(owner, name)
    else:
        setattr(owner, name, own)


_LIBRARIES = {"autograd_mini", "nn", "numpy", *sys.stdlib_module_names}
"""Packages whose lines are not the user's own."""


def place_of_user(outermost: FrameType | None) -> tuple[str, int] | None:
    """The file and number of the innermost line that is no library's; None if that is beyond `outermost`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame = None if frame is outermost else frame.f_back
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def source_line(place: tuple[str, int]) -> str:
    """A line as `file:number: text`."""
    file, number = place
    text = linecache.getline(file, number).strip()
    return f"{file}:{number}: {text}" if text else f"{file}:{number}"

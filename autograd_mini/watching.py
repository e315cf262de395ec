"""Members that are replaced while somebody is inside a block, and the user's own source line there.

The engine has no hooks: a test of one would cost every operation of everybody. So a block replaces what it has to
notice, and puts it back; in between, a replacement asks a context variable whether its caller is inside.
"""

import linecache
import sys
import threading
from collections.abc import Callable, Iterable
from functools import cache, reduce
from types import FrameType
from typing import Any, TypeAlias
from weakref import WeakSet

Member: TypeAlias = tuple[Any, str]
"""An object, and the name of an attribute of it."""

Wrap: TypeAlias = Callable[[Any], Any]
"""Makes a replacement of what stood there."""

_lock = threading.Lock()
_before: dict[Member, tuple[Any, Any]] = {}
"""Of whatever is replaced: what it was, and what to put back, None where it was inherited."""
_wraps: dict[Member, list[Wrap]] = {}
"""Its replacements, one around the other: blocks of several kinds may be open, and end in any order."""


CACHES_WEAR_OUT = sys.version_info >= (3, 13)
"""Whether Python caches a class that was changed a thousand times no more: all that its instances do then takes several
times longer, until the process ends."""

MOST_ROUNDS = 200
"""How often members are replaced and put back, which are two changes, where caches wear out."""


class Replacements:
    """What the blocks of one kind replace while at least one is open, in any thread.

    Ctrl-C may come between any two lines. So a block that was not ended counts no longer once nobody holds it, and
    what was begun or ended by half is made good by the next block.

    may_stay: where caches wear out, they stay after MOST_ROUNDS. That is for members that few lines use.
    """

    def __init__(self, find: Callable[[], Iterable[tuple[Any, str, Wrap]]], may_stay: bool = False) -> None:
        self._find = find
        self._may_stay = may_stay and CACHES_WEAR_OUT
        self._rounds = 0
        self._found: list[tuple[Any, str, Wrap]] = []
        self._blocks: WeakSet[object] = WeakSet()

    def begin(self, block: object) -> None:
        """A block begins."""
        with _lock:
            self._blocks.add(block)
            self._found = self._found or list(self._find())
            for owner, name, wrap in self._found:
                if wrap not in _wraps.get((owner, name), []):
                    _before.setdefault((owner, name), _standing(owner, name))
                    _replace(owner, name, [*_wraps.get((owner, name), []), wrap])

    def end(self, block: object) -> None:
        """A block ends."""
        with _lock:
            self._blocks.discard(block)
            self._rounds += not self._blocks
            if self._blocks or (self._may_stay and self._rounds >= MOST_ROUNDS):
                return
            for owner, name, wrap in self._found:
                if (owner, name) in _before:
                    _replace(owner, name, [each for each in _wraps.get((owner, name), []) if each is not wrap])
            self._found = []


def _standing(owner: Any, name: str) -> tuple[Any, Any]:
    """What stands there, and what the owner has of its own.

    A class is read, not asked: Python would answer from a cache that it makes anew, and count that as one more change.
    """
    own = vars(owner).get(name)
    if own is not None or not isinstance(owner, type):
        return own, own
    return next(vars(kind)[name] for kind in owner.__mro__ if name in vars(kind)), None


def _replace(owner: Any, name: str, wraps: list[Wrap]) -> None:
    """Give an attribute what it is to be, in one step: other threads may be using it. It may be done twice."""
    was, own = _before[owner, name]
    if wraps:
        setattr(owner, name, reduce(lambda inner, wrap: wrap(inner), wraps, was))
        _wraps[owner, name] = wraps
        return
    if own is not None:
        setattr(owner, name, own)
    elif name in vars(owner):
        delattr(owner, name)
    _wraps.pop((owner, name), None)
    del _before[owner, name]


_LIBRARIES = {"autograd_mini", "nn", "numpy", *sys.stdlib_module_names}
"""Packages whose lines are not the user's own."""


@cache
def _is_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES


def frame_of_user(outermost: FrameType | None, above: int) -> FrameType | None:
    """The innermost frame that is no library's; None if that is beyond `outermost`.

    above: where to begin, in calls above this one: each frame that is looked at takes a tenth of a microsecond.
    """
    frame: FrameType | None = sys._getframe(above)
    while frame is not None and _is_library(frame.f_globals.get("__name__", "")):
        frame = None if frame is outermost else frame.f_back
    return frame


def place_of_user(outermost: FrameType | None) -> tuple[str, int] | None:
    """The file and number of the innermost line that is no library's; None if that is beyond `outermost`."""
    frame = frame_of_user(outermost, above=2)
    return None if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def source_line(place: tuple[str, int]) -> str:
    """A line as `file:number: text`."""
    file, number = place
    text = linecache.getline(file, number).strip()
    return f"{file}:{number}: {text}" if text else f"{file}:{number}"

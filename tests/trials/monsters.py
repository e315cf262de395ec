"""Inputs of enormous size: refused, or read, within seconds and a bounded memory."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograd_mini import Value, draw, walkthrough
from autograd_mini.expression import MAX_LENGTH, Expression
from nn.checkpoint import MOST_BYTES, load_checkpoint
from nn.tables import MOST_BYTES as MOST_TABLE_BYTES
from nn.tables import read_csv
from trials.watch import check_error, forget_peak, peak

GIGABYTE = 2**30

_HEAD = '{"format": "autograd-mini checkpoint", "version": 1, "sha256": "", "content": {"architecture": null, '
_HEAD += '"optimizer": null, "history": null, "random": null, "callbacks": []}, "parameters": {"a": ['


@dataclass(frozen=True)
class Monster:
    """A name, how the input is made in a folder, and what it is given to."""

    name: str
    make: Callable[[Path], Any]
    feed: Callable[[Any], object]
    is_quick: bool = True
    """Whether it takes less than a second."""


@dataclass(frozen=True)
class Taken:
    """What a monster took."""

    name: str
    outcome: str
    seconds: float
    mebibytes: float
    """More than before."""


def _text(text: str) -> Callable[[Path], Any]:
    return lambda folder: text


def _sparse(name: str) -> Callable[[Path], Any]:
    def make(folder: Path) -> Path:
        path = folder / name
        with path.open("wb") as file:
            file.truncate(GIGABYTE)
        return path

    return make


def _repeated(name: str, unit: str, size: int, head: str = "", tail: str = "") -> Callable[[Path], Any]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_text(head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail)
        return path

    return make


def _parameters(unit: str, before: str = "") -> Callable[[Path], Any]:
    """A checkpoint of the largest size, with this again and again where numbers belong."""
    return _repeated("a.json", f"{unit},", MOST_BYTES, f"{_HEAD}{before}", f"{unit}]}}}}")


def _show(label: str) -> object:
    value = Value(1.0, label) * 2.0
    steps = walkthrough(value)
    return [draw(value).source, steps.to_text(), steps.to_latex(), steps.to_html()]


_PARENTHESES = 100_000

MONSTERS = (
    Monster("an expression of 10 MB", _text("x+" * 5_000_000 + "x"), Expression),
    Monster("100,000 nested parentheses", _text("(" * _PARENTHESES + "x" + ")" * _PARENTHESES), Expression),
    Monster("100,000 unary minuses", _text("-" * _PARENTHESES + "x"), Expression),
    Monster("as many minuses as may be", _text("-" * (MAX_LENGTH - 1) + "x"), Expression),
    Monster("as many powers as may be", _text("x**" * (MAX_LENGTH // 3) + "x"), Expression),
    Monster("9**9**9**9", _text("9**9**9**9"), lambda text: Expression(text)()),
    Monster("a checkpoint of 1 GB, JSON", _sparse("a.json"), load_checkpoint),
    Monster("a checkpoint of 1 GB, safetensors", _sparse("a.safetensors"), load_checkpoint),
    Monster("100,000 nested lists as a checkpoint", _repeated("a.json", "[", 100_000), load_checkpoint),
    Monster("64 MiB of numbers as a checkpoint", _parameters("1.5"), load_checkpoint, is_quick=False),
    Monster("64 MiB of empty lists as a checkpoint", _parameters("[]"), load_checkpoint, is_quick=False),
    Monster("64 MiB of empty dicts as a checkpoint", _parameters("{}"), load_checkpoint, is_quick=False),
    Monster(
        "64 MiB of texts, the first of a million characters, as a checkpoint",
        _parameters('"y"', before='"' + "x" * 1_000_000 + '",'),
        load_checkpoint,
        is_quick=False,
    ),
    Monster("a table of 1 GB", _sparse("a.csv"), read_csv),
    Monster("a table of 16 MiB of commas", _repeated("a.csv", ",", MOST_TABLE_BYTES), read_csv, is_quick=False),
    Monster("a table of 16 MiB of line ends", _repeated("a.csv", "\n", MOST_TABLE_BYTES), read_csv, is_quick=False),
    Monster("a table of 16 MiB in one cell", _repeated("a.csv", "a", MOST_TABLE_BYTES, 'x,"'), read_csv),
    Monster(
        "a table of 2 million cells", _repeated("a.csv", "1,2\n", 4_000_000 - 4, "x,y\n"), read_csv, is_quick=False
    ),
    Monster("a label of 10 MB", _text("<&" * 5_000_000), _show, is_quick=False),
)


def feed_monsters(folder: Path, monsters: tuple[Monster, ...] = MONSTERS) -> Iterator[Taken]:
    """Feed each, and measure. Raises Violation for another error than ValueError, or one that is no clear line."""
    for monster in monsters:
        thing = monster.make(folder)
        forget_peak()
        before, start = peak(), time.process_time()
        try:
            monster.feed(thing)
            outcome = "read"
        except ValueError as error:
            check_error(error, "")
            outcome = "refused"
        yield Taken(monster.name, outcome, time.process_time() - start, peak() - before)
        if isinstance(thing, Path):
            thing.unlink()

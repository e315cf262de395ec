"""Disks that are full: whatever writes a file must say so, name the file, and leave the old one as it was."""

import io
import os
import resource
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from autograd_mini import Value, draw, walkthrough
from autograd_mini.cli import main
from nn import MLP, Adam
from nn.checkpoint import save_checkpoint

Limit: TypeAlias = Callable[[Path, int], AbstractContextManager[None]]
"""A block in which so many bytes can be written into a folder."""

_PAGE = 4096
_TABLE = "a,b,y\n" + "".join(f"{row},{row * 7 % 5},{row * row % 11}\n" for row in range(40))


@contextmanager
def short_files(folder: Path, room: int) -> Iterator[None]:
    """No file of this process may be longer: writing fails where it does on a full disk, with another error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def full_disk(folder: Path, room: int) -> Iterator[None]:
    """All pages of a small disk are taken but as many whole ones as there is room for."""
    free = os.statvfs(folder)
    ballast = folder.parent / "ballast"
    ballast.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - room // _PAGE * _PAGE)))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def small_disk(folder: Path, size: int = 2**22) -> Iterator[bool]:
    """A disk in memory, mounted there; False where that is not allowed."""
    is_there = not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], stderr=subprocess.DEVNULL, check=False
    ).returncode
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", str(folder)], check=True)


# What writes a file. Each gives the text of the error, and nothing where there was none.


@dataclass(frozen=True)
class Writer:
    """One way to write a file, and the file."""

    name: str
    file: str
    write: Callable[[Path], str]


def _function(write: Callable[[Path], object]) -> Callable[[Path], str]:
    """A function of the library, which raises an OSError that names the file."""

    def attempt(path: Path) -> str:
        failure: OSError | None = None
        try:
            write(path)
        except OSError as error:
            failure = error
        assert failure is None or failure.filename == str(path), failure
        return str(failure or "")

    return attempt


def _command(*words: str) -> Callable[[Path], str]:
    """The command, which says it in one line; {home} is where its data are."""

    def attempt(path: Path) -> str:
        errors = io.StringIO()
        given = [word.format(file=path, folder=path.parent, home=path.parents[1]) for word in words]
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            status = main(given)
        text = errors.getvalue()
        if status == 0:
            return ""
        assert (status, text.count("\n")) == (2, 1), text
        assert text.startswith(f"autograd-mini {words[0]}: "), text
        return text

    return attempt


def _model() -> MLP:
    return MLP(3, [40, 1], "tanh", seed=0)


def _result() -> Value:
    x = Value(2.0, "x")
    return ((x * 3.0).tanh() + x.exp()) * x


_TRAIN = ("train", "--data", "{home}/table.csv", "--target", "y", "--task", "regression", "--epochs", "1")
_PREDICT = ("predict", "{home}/m.json", "--data", "{home}/table.csv")

WRITERS = (
    Writer("checkpoint, JSON", "a.json", _function(lambda path: save_checkpoint(path, _model(), Adam()))),
    Writer("checkpoint, safetensors", "a.safetensors", _function(lambda path: save_checkpoint(path, _model(), Adam()))),
    Writer("picture, SVG", "a.svg", _function(lambda path: draw(_result()).save_picture(path))),
    Writer("picture, DOT", "a.dot", _function(lambda path: draw(_result()).save_picture(path))),
    Writer("picture as graphviz saves it", "a.gv", _function(lambda path: draw(_result()).save(path))),
    Writer("page", "a.html", _function(lambda path: walkthrough(_result()).save(path))),
    Writer("train --output", "b.json", _command(*_TRAIN, "--output", "{file}")),
    Writer("train --plot", "b.png", _command(*_TRAIN, "--output", "{home}/model.json", "--plot", "{file}")),
    Writer("predict --output", "b.csv", _command(*_PREDICT, "--output", "{file}")),
    Writer("step --html", "b.html", _command("step", "--html", "{file}")),
    Writer("step --latex", "b.tex", _command("step", "--latex", "{file}")),
    Writer("example", "worked_example_graph.svg", _command("example", "--output", "{folder}")),
)


@dataclass
class Figures:
    """What came of it."""

    writes: int = 0
    failed: int = 0


def fill_disks(
    home: Path, limit: Limit, shares: Iterable[float], track: Callable[[Iterable[Writer]], Iterable[Writer]] = iter
) -> Figures:
    """Write every kind of file where there is room for these shares of it.

    Raises AssertionError unless each that fails says so, in one line that names the file, and leaves the old one and
    nothing besides it; and each for which there is room is written.
    """
    folder = home / "disk"
    folder.mkdir(exist_ok=True)
    (home / "table.csv").write_text(_TABLE)
    assert not _command(*_TRAIN, "--output", "{home}/m.json")(folder / "unused")
    figures = Figures()
    for writer in track(WRITERS):
        path = folder / writer.file
        assert not writer.write(path), writer.name
        size = path.stat().st_size
        for share in shares:
            before = _contents(folder)
            with limit(folder, int(share * size)):
                error = writer.write(path)
            figures.writes += 1
            if error:
                figures.failed += 1
                assert any(name in error for name in [writer.file, "model.json"]), error
                assert _contents(folder) == before, writer.name
            else:
                assert _contents(folder)[writer.file] != before[writer.file], writer.name
        for each in folder.iterdir():
            each.unlink()
    return figures


def _contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file by name: which one it is, as one that is replaced is another, and what it holds."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in folder.iterdir()}

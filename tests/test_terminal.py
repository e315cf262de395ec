"""Stepping with the keys: what each does, and the command in a real pseudo-terminal, which it gives back as it was."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from autograd_mini import Value, walkthrough
from autograd_mini.walkthrough.keyboard import Keyboard
from autograd_mini.walkthrough.terminal import Stepper, rows_with_room, title
from nn.worked_example import network_output

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals", allow_module_level=True)

import fcntl
import struct
import termios

pytest.importorskip("rich")

RIGHT, LEFT, UP, DOWN = "\x1b[C", "\x1b[D", "\x1b[A", "\x1b[B"
HOME, END, ENTER, BACKSPACE = "\x1b[H", "\x1b[F", "\r", "\x7f"


# What the keys do


def stepper(level: str = "operation") -> Stepper:
    return Stepper(walkthrough(network_output()), level)


def press(steps: Stepper, *keys: str) -> Stepper:
    for key in keys:
        steps.press(key)
    return steps


def test_forward_and_back_stop_at_the_ends() -> None:
    steps = stepper()
    assert press(steps, "previous").index == 0
    assert press(steps, "next", "next", "next", "previous").index == 2
    assert press(steps, "end", "next").index == 100
    assert press(steps, "home").index == 0


def test_levels_change_around_the_same_place() -> None:
    steps = press(stepper(), *["next"] * 5)
    assert steps.view[steps.index].name == "z¹₁"
    names = []
    for key in ("coarser", "coarser", "coarser", "coarser", "finer", "finer", "finer", "finer"):
        steps.press(key)
        names.append((steps.level, steps.view[steps.index].name))
    up = [("expression", "z¹₁"), ("neuron", "a¹₁"), ("layer", "Z¹"), ("layer", "Z¹")]
    assert names == [*up, *up[1::-1], ("operation", "z¹₁"), ("operation", "z¹₁")]


def test_groups_open_down_to_operations_and_close_again() -> None:
    steps = stepper("layer")
    sizes = [len(steps.view)]
    opened = []
    for key in ("open", "open", "open", "close", "close", "close", "close"):
        steps.press(key)
        sizes.append(len(steps.view))
        opened.append([group.name for group in steps.opened])
    assert opened == [["A¹"], ["A¹", "a¹₁"], ["A¹", "a¹₁", "z¹₁"], ["A¹", "a¹₁"], ["A¹"], [], []]
    assert sizes[:4] == sorted(set(sizes[:4]))
    assert sizes == [*sizes[:4], *sizes[2::-1], sizes[0]]


def test_a_group_in_the_backward_pass_opens_at_its_first_step() -> None:
    steps = press(stepper("neuron"), *["next"] * 6)
    assert (steps.view[steps.index].phase, steps.view[steps.index].name) == ("seed", "ŷ")
    before = press(steps, "next").at
    press(steps, "open")
    assert steps.at == steps.walk.passes.seed_at + 1 < before
    assert steps.view.places[steps.index] == steps.at


def test_a_graph_without_groups_has_one_level() -> None:
    x = Value(2.0, "x")
    steps = Stepper(walkthrough(x * x), "layer")
    assert press(steps, "coarser", "finer", "open", "close").level == "operation"


def test_where_infinity_starts_is_said() -> None:
    walk = walkthrough((Value(0.0, "x") * 2.0).log() + 1.0)
    steps = Stepper(walk, "operation")
    assert title(steps).endswith("anomaly: step 2")
    assert [row.role for row in steps.nodes.around(steps.view, 1)][-2:] == ["at work, −∞ starts here", "uses it"]
    assert "anomaly" not in title(stepper())


def test_what_is_not_computed_yet_is_a_dash() -> None:
    x = Value(3.0, "x")
    v = x * x
    v.label = "v"
    y = v.sin()
    y.label = "y"
    steps = Stepper(walkthrough(y), "operation")

    def table() -> list[tuple[str, str, str, str, bool]]:
        rows = steps.nodes.around(steps.view, steps.index)
        return [(row.name, row.value, row.gradient, row.role, row.is_changed) for row in rows]

    assert table() == [
        ("x", "3", "—", "goes into it", False),
        ("v", "9", "—", "at work", True),
        ("y", "—", "—", "uses it", False),
    ]
    sine, cosine = "0.412118485242", "−0.911130261885"
    press(steps, "next", "next")
    assert table() == [("v", "9", "—", "goes into it", False), ("y", sine, "1", "at work", True)]
    press(steps, "next")
    assert table() == [("v", "9", cosine, "goes into it", True), ("y", sine, "1", "at work", False)]
    press(steps, "next")
    assert table()[0] == ("x", "3", "−2.73339078565", "goes into it", True)
    press(steps, "next")
    assert table()[0] == ("x", "3", "−5.46678157131", "goes into it", True)


def test_a_wide_neuron_shows_what_there_is_room_for() -> None:
    steps = Stepper(walkthrough(network_output((200, 1), [1.0] * 200)), "neuron")
    rows = steps.nodes.around(steps.view, steps.index)
    seen = rows_with_room(rows, 8)
    assert (len(rows), len(seen)) == (402, 8)
    assert any(row.is_changed for row in seen)
    assert seen[-1].name == "… 395 more"


# In a pseudo-terminal


TAKE_OVER = """
import fcntl, sys, termios
from autograd_mini.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
"""The terminal becomes that of the new session, so that Ctrl-C goes to it."""


class Screen:
    """A command in a terminal of its own: what it sent since the screen was last drawn anew."""

    def __init__(self, *words: str, program: str = "", **environment: str) -> None:
        self.ours, self.theirs = os.openpty()
        self.resize(80, 24)
        self.settings = termios.tcgetattr(self.theirs)
        known = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", TAKE_OVER + (program or f"sys.exit(main({['step', *words]!r}))")],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**known, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8", **environment},
            start_new_session=True,
        )
        self.sent = ""

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def read(self, seconds: float = 0.1) -> bool:
        if not select.select([self.ours], [], [], seconds)[0]:
            return False
        self.sent += os.read(self.ours, 65536).decode(errors="replace")
        return True

    def wait_for(self, text: str) -> list[str]:
        """The lines of the screen, once the text is on it and it is drawn to its last line, which says how to quit."""
        until = time.monotonic() + 30
        while text not in (drawn := self.text) or "q: quit" not in drawn:
            assert time.monotonic() < until, f"{text!r} did not come, but: {self.sent[-2000:]!r}"
            self.read()
        return self.text.splitlines()

    @property
    def text(self) -> str:
        drawn = self.sent.rpartition("\x1b[H")[2]
        return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[()].)", "", drawn).replace("\r", "")

    def wait(self) -> int:
        until = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < until, "it did not end"
            self.read()
        while self.read():
            pass
        return self.process.returncode

    def is_given_back(self) -> bool:
        """The settings as they were, the screen of before, and the cursor."""
        ending = self.sent.rpartition("\x1b[H")[2]
        return termios.tcgetattr(self.theirs) == self.settings and "\x1b[?1049l" in ending and "\x1b[?25h" in ending

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def screens() -> Iterator[list[Screen]]:
    opened: list[Screen] = []
    yield opened
    for screen in opened:
        screen.close()


def test_every_key_in_a_terminal(screens: list[Screen]) -> None:
    screen = Screen()
    screens.append(screen)
    lines = screen.wait_for("Forward 1 of 35: v₁")
    assert lines[0].split("   ")[:3] == ["Both passes over ŷ", "step 1 of 101", "level: operation"]
    assert "  result    2" in [line.rstrip() for line in lines]
    assert len(lines) <= 24
    for keys, expected in (
        (RIGHT, "step 2 of 101"),
        (" ", "step 3 of 101"),
        ("\x1bOC", "step 4 of 101"),
        (LEFT, "step 3 of 101"),
        ("x\x1b[15~\x1b[200~", "step 3 of 101"),
        (END, "step 101 of 101"),
        (HOME, "step 1 of 101"),
        ("\x1b[4~", "step 101 of 101"),
        ("\x1b[1~", "step 1 of 101"),
        (RIGHT * 20, "step 21 of 101"),
        (UP, "level: expression"),
        (UP + UP, "level: layer"),
        (DOWN, "level: neuron"),
        (HOME + UP, "level: layer"),
        (ENTER, "backspace: close A¹"),
        (BACKSPACE, "enter: look into A¹"),
    ):
        screen.press(keys)
        screen.wait_for(expected)
    screen.press("q")
    assert screen.wait() == 0
    assert screen.is_given_back()


@pytest.mark.parametrize("key", ["\x1b", "\x03", "\x04"], ids=["escape", "control-c", "control-d"])
def test_other_ways_out(key: str, screens: list[Screen]) -> None:
    screen = Screen("w*x", "w=1", "x=2")
    screens.append(screen)
    screen.wait_for("q: quit")
    screen.press(key)
    assert screen.wait() == 0
    assert screen.is_given_back()
    assert "Traceback" not in screen.sent


INTERRUPTED = """
from rich.live import Live
refresh = Live.refresh
def interrupted(live):
    refresh(live)
    Live.refresh = refresh
    raise KeyboardInterrupt
Live.refresh = interrupted
sys.exit(main(["step", "w*x", "w=1", "x=2"]))
"""


def test_ctrl_c_while_the_first_screen_is_drawn_gives_the_terminal_back(screens: list[Screen]) -> None:
    screen = Screen(program=INTERRUPTED)
    screens.append(screen)
    assert screen.wait() == 0
    assert screen.is_given_back()


def test_a_termination_gives_the_terminal_back(screens: list[Screen]) -> None:
    screen = Screen("w*x", "w=1", "x=2")
    screens.append(screen)
    screen.wait_for("q: quit")
    screen.process.send_signal(signal.SIGTERM)
    assert screen.wait() == 128 + signal.SIGTERM
    assert screen.is_given_back()


def test_a_new_size_is_a_new_screen(screens: list[Screen]) -> None:
    screen = Screen("--level", "layer", NO_COLOR="1")
    screens.append(screen)
    screen.wait_for("q: quit")
    screen.resize(120, 40)
    until = time.monotonic() + 30
    while len(screen.text.splitlines()) < 40:
        assert time.monotonic() < until
        screen.read()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.sent), "NO_COLOR asks for none"
    screen.resize(30, 8)
    while len(screen.text.splitlines()) != 8:
        assert time.monotonic() < until
        screen.read()
    screen.press("q")
    assert screen.wait() == 0


def test_colours_are_there_unless_they_are_not_wanted(screens: list[Screen]) -> None:
    screen = Screen("w*x", "w=1", "x=2")
    screens.append(screen)
    screen.wait_for("q: quit")
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.sent)


def test_a_dumb_terminal_gets_every_step(screens: list[Screen]) -> None:
    screen = Screen("w*x", "w=1", "x=2", TERM="dumb")
    screens.append(screen)
    assert screen.wait() == 0
    assert "Found: ∂f/∂w = 2, ∂f/∂x = 1." in screen.sent
    assert "\x1b" not in screen.sent


def test_all_prints_in_a_terminal_too(screens: list[Screen]) -> None:
    screen = Screen("w*x", "w=1", "x=2", "--all")
    screens.append(screen)
    assert screen.wait() == 0
    assert "Backward 2 of 2: from f to x" in screen.sent


def test_without_rich_every_step_is_printed(screens: list[Screen]) -> None:
    screen = Screen(program="sys.modules['rich'] = None\nsys.exit(main(['step', 'w*x', 'w=1', 'x=2']))")
    screens.append(screen)
    assert screen.wait() == 0
    assert "Found: ∂f/∂w = 2, ∂f/∂x = 1." in screen.sent
    assert "pip install 'autograd-mini[terminal]'" in screen.sent


PROGRAM = """
from autograd_mini import Value, walkthrough
from autograd_mini.walkthrough.terminal import step_through
x = Value(2.0, "[bold]\\x1b[2J\\x1b]0;mine\\x07{x}")
step_through(walkthrough(x * Value(3.0, "[/nonsense]")))
"""


def test_case_23_labels_are_neither_markup_nor_commands(screens: list[Screen]) -> None:
    screen = Screen(program=PROGRAM)
    screens.append(screen)
    lines = screen.wait_for("q: quit")
    assert any("[bold]␛[2J␛]0;mine␇{x}·[/nonsense]" in line for line in lines)
    assert "\x1b[2J\x1b]0" not in screen.sent
    screen.press("q")
    assert screen.wait() == 0


def test_the_keyboard_is_given_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    with open(theirs, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        handler = signal.getsignal(signal.SIGTERM)
        with suppress(ZeroDivisionError), Keyboard():
            assert termios.tcgetattr(theirs) != before
            raise ZeroDivisionError
        assert termios.tcgetattr(theirs) == before
        assert signal.getsignal(signal.SIGTERM) == handler
        with Keyboard() as keyboard:
            os.write(ours, b"\x1b[")
            assert keyboard.key(1.0) is None  # never finished
            assert keyboard.key(0.0) is None
            os.write(ours, b" q")
            assert [keyboard.key(1.0), keyboard.key(1.0)] == ["next", "quit"]
    os.close(ours)

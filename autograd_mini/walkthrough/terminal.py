"""Stepping through a walkthrough with the keys of a terminal."""

import os
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autograd_mini.formula import visible
from autograd_mini.groups import Group
from autograd_mini.walkthrough import Walkthrough
from autograd_mini.walkthrough.frames import BackwardFrame
from autograd_mini.walkthrough.keyboard import Keyboard
from autograd_mini.walkthrough.layers import LayerFrame
from autograd_mini.walkthrough.text import TITLES_END, columns, exact, step_lines
from autograd_mini.walkthrough.views import View

if TYPE_CHECKING:
    from rich.console import Console, ConsoleDimensions, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

_WIDEST = 100
_LONGEST_NAME = 30
_TICK = 0.25
"""Seconds between two looks at the size of the terminal."""


def step_through(walk: Walkthrough, level: str | None = None) -> None:
    """Step through both passes with the keys; print every step where nobody can press one, or rich is not there."""
    level = level or walk.default_level
    if not _is_terminal():
        print(walk.to_text(level))
        return
    try:
        from rich.console import Console
    except ImportError:
        print(walk.to_text(level))
        print("To step with the keys, install rich: pip install 'autograd-mini[terminal]'", file=sys.stderr)
    else:
        _run(Stepper(walk, level), Console(highlight=False, markup=False, emoji=False))


def _is_terminal() -> bool:
    """Whether there are keys to press, and a screen that can be drawn anew."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _run(stepper: "Stepper", console: "Console") -> None:
    from rich.live import Live

    size = console.size
    live = Live(_screen(stepper, console), console=console, screen=True, auto_refresh=False)
    try:
        with Keyboard() as keyboard, ExitStack() as at_the_end:
            at_the_end.callback(live.stop)  # also if Ctrl-C comes while the first screen is drawn, unlike `with live`
            live.start(refresh=True)
            _follow(stepper, console, size, keyboard, live)
    except KeyboardInterrupt:  # Ctrl-C is one of the ways out
        pass


def _follow(
    stepper: "Stepper", console: "Console", size: "ConsoleDimensions", keyboard: Keyboard, live: "Live"
) -> None:
    """Show what the keys do, until one leaves, and what a window of another size than the first screen's needs.

    A function of its own: from Python 3.12 on what strikes at the end of a `while` passes the `try` around it.
    """
    while (key := keyboard.key(_TICK)) != "quit":
        if key is not None or console.size != size:
            size = console.size
            stepper.press(key)
            live.update(_screen(stepper, console), refresh=True)


# What is seen, and what the keys do to it


class Stepper:
    """A level, the groups that are opened, and the step where the reader is; each key changes one of them."""

    def __init__(self, walk: Walkthrough, level: str) -> None:
        self.walk = walk
        self.level = level if level in walk.levels else walk.levels[-1]
        self.opened: list[Group] = []
        self.view = walk.view(self.level)
        self.index = 0
        self.at = self.view.places[0]
        """The place of the walk that is looked at; a coarser level may show a later one."""
        self.nodes = Nodes(walk)

    def press(self, key: str | None) -> None:
        """Do what a key means; None and a key without a meaning change nothing."""
        levels = self.walk.levels
        if key in ("next", "previous"):
            self._step_to(self.index + (1 if key == "next" else -1))
        elif key in ("home", "end"):
            self._step_to(0 if key == "home" else len(self.view) - 1)
        elif key in ("coarser", "finer"):
            place = levels.index(self.level) + (1 if key == "coarser" else -1)
            self._look(levels[max(0, min(place, len(levels) - 1))])
        elif key == "open" and (group := self.closed_group()) is not None:
            self.at = self._first_place()
            self._open(group)
        elif key in ("open", "close") and (group := self.opened_group()) is not None:
            self.opened = [each for each in self.opened if each.members != group.members]
            self._look(self.level)

    def closed_group(self) -> Group | None:
        """The group at work, if it is seen as one step."""
        frame = self.view[self.index]
        if isinstance(frame, LayerFrame):
            return frame.group
        return self.view.group(self.place)

    def opened_group(self) -> Group | None:
        """The smallest of the groups that are opened around the node at work."""
        around = [group for group in self.opened if self.place in group.members]
        return min(around, key=lambda group: len(group.members), default=None)

    @property
    def place(self) -> int:
        """Of the node at work."""
        passes = self.walk.passes
        frame = self.view[self.index]
        if isinstance(frame, LayerFrame):
            return frame.targets[0]
        return passes.groups.places[id(frame.node)]

    def _open(self, group: Group) -> None:
        """See what is in a group; a layer of one neuron that is one sum is three groups, and opens at once."""
        inner: Group | None = group
        while inner is not None and inner.members == group.members:
            self.opened.append(inner)
            self._look(self.level)
            inner = self.closed_group()

    def _first_place(self) -> int:
        """Of the step that a closed group stands for, the first single one."""
        frame = self.view[self.index]
        if isinstance(frame, LayerFrame):
            return frame.covers[0]
        return self.view.places[self.index - 1] + 1 if self.index else 0

    def _step_to(self, index: int) -> None:
        self.index = max(0, min(index, len(self.view) - 1))
        self.at = self.view.places[self.index]

    def _look(self, level: str) -> None:
        """See the same place of the walk at another level, or with other groups opened."""
        self.level = level
        self.view = self.walk.view(level, self.opened)
        self.index = self.view.showing(self.at)


@dataclass(frozen=True, slots=True)
class Row:
    """A node near the one at work, with its numbers as they are by now."""

    name: str
    value: str
    gradient: str
    role: str
    is_changed: bool
    """Whether this step computes it, or adds to its gradient."""


class Nodes:
    """The nodes around the one at work, and what is known of them at each step."""

    def __init__(self, walk: Walkthrough) -> None:
        self._passes = passes = walk.passes
        self._computed_at = {place: at for at, place in enumerate(passes.forward_order)}
        self._edges_to: list[list[int]] = [[] for _ in passes.nodes]
        for number, edge in enumerate(passes.edges):
            self._edges_to[edge.target].append(number)

    def around(self, view: View, index: int) -> list[Row]:
        """What goes into the node at work, the node itself, and what uses it; of a layer, what it computes."""
        frame, at = view[index], view.places[index]
        if isinstance(frame, LayerFrame):
            return [self._row(place, at, "", True) for place in frame.targets]
        place = self._passes.groups.places[id(frame.node)]
        changed = self._passes.groups.places[id(frame.operand)] if isinstance(frame, BackwardFrame) else place
        rows = [self._row(operand, at, "goes into it", operand == changed) for operand in self._operands(view, place)]
        rows.append(self._row(place, at, "at work", place == changed))
        return rows + [self._row(user, at, "uses it", False) for user in self._users(view, place)]

    def _row(self, place: int, at: int, role: str, is_changed: bool) -> Row:
        passes = self._passes
        value = passes.data[place] if self._computed_at.get(place, -1) <= at else None
        role = ", ".join(filter(None, [role, passes.marks.get(place, "")]))
        return Row(_short(passes.names[place]), exact(value), exact(self._gradient(place, at)), role, is_changed)

    def _gradient(self, place: int, at: int) -> float | None:
        """The sum so far; None as long as nothing was added."""
        passes = self._passes
        begun = bisect_right(self._edges_to[place], at - passes.seed_at - 1)
        if begun:
            return passes.after[self._edges_to[place][begun - 1]]
        return 1.0 if place == passes.root and at >= passes.seed_at else None

    def _operands(self, view: View, place: int) -> list[int]:
        group = view.group(place)
        members = group.members if group else (place,)
        operands = (operand for member in members for operand in self._passes.groups.operands[member])
        inside = set(members)
        return [operand for operand in dict.fromkeys(operands) if operand not in inside]

    def _users(self, view: View, place: int) -> list[int]:
        sources = [self._passes.edges[number].source for number in reversed(self._edges_to[place])]
        groups = [(source, view.group(source)) for source in dict.fromkeys(sources)]
        return list(dict.fromkeys(group.roots[0] if group else source for source, group in groups))


def _short(name: str) -> str:
    name = visible(name)
    while columns(name) > _LONGEST_NAME:
        name = name.removesuffix("…")[:-1] + "…"
    return name


# The screen


def _screen(stepper: Stepper, console: "Console") -> "RenderableType":
    """A title, the step, the nodes around it, and the keys."""
    from rich.layout import Layout
    from rich.text import Text

    width, height = console.size
    lines = step_lines(stepper.view, stepper.index, min(width - 1, _WIDEST))
    room = max(0, height - len(lines) - 5)
    keys = list(_keys(stepper))
    layout = Layout()
    parts = [
        Layout(Text(title(stepper), no_wrap=True, overflow="ellipsis", style="bold"), size=2),
        Layout(_step(lines[: max(1, height - 4)]), size=min(len(lines) + 1, max(1, height - 4))),
        Layout(_table(stepper.nodes.around(stepper.view, stepper.index), room)),
        Layout(Text("\n".join(keys), no_wrap=True, overflow="ellipsis"), size=len(keys)),
    ]
    layout.split_column(*parts)
    return layout


def title(stepper: Stepper) -> str:
    """What is looked at, which step of how many, at which level; and the step where a NaN or infinity starts."""
    walk, level = stepper.walk, f"level: {stepper.level}" if len(stepper.walk.levels) > 1 else ""
    name = _short(walk.passes.names[walk.passes.root])
    marked = [stepper.view.owner(at) + 1 for at in walk.passes.marked_steps]
    anomaly = f"anomaly: step {min(marked)}" if marked else ""
    texts = [f"Both passes over {name}", f"step {stepper.index + 1} of {len(stepper.view)}", level, anomaly]
    return "   ".join(text for text in texts if text)


def _step(lines: Sequence[str]) -> "Text":
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{lines[0]}\n", style="bold cyan")
    for line in lines[1:]:
        text.append(line[:TITLES_END], style="green")
        text.append(f"{line[TITLES_END:]}\n")
    return text


def _table(rows: list[Row], room: int) -> "Table":
    """The rows that there is room for; those that this step changes first of all."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="underline", padding=(0, 3, 0, 0))
    table.add_column("  node", no_wrap=True, min_width=12)
    table.add_column("value", no_wrap=True, min_width=18, justify="right")
    table.add_column("gradient", no_wrap=True, min_width=18, justify="right")
    table.add_column("", no_wrap=True)
    for row in rows_with_room(rows, room - 1):
        cells = [f"{'>' if row.is_changed else ' '} {row.name}", row.value, row.gradient, row.role]
        table.add_row(*map(Text, cells), style="bold" if row.is_changed else "")
    return table


def rows_with_room(rows: list[Row], room: int) -> list[Row]:
    """As many of the rows as there is room for, from a few above the first that changes; then how many are left out."""
    if len(rows) <= room:
        return rows
    room = max(1, room - 1)
    changed = next(place for place, row in enumerate(rows) if row.is_changed)
    start = max(0, min(changed - room // 2, len(rows) - room))
    return [*rows[start : start + room], Row(f"… {len(rows) - room} more", "", "", "", False)]


def _keys(stepper: Stepper) -> Iterator[str]:
    yield "→ or space: next   ←: back   home, end: first, last   q: quit"
    group, opened = stepper.closed_group(), stepper.opened_group()
    texts = ["↑: coarser   ↓: finer"] if len(stepper.walk.levels) > 1 else []
    texts += [f"enter: look into {_short(group.name)}"] if group else []
    texts += [f"backspace: close {_short(opened.name)}"] if opened else []
    yield "   ".join(texts)

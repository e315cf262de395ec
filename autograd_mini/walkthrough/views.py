"""Both passes at a level: every operation by itself, or named expressions, neurons or layers as one step each."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from typing import overload

from autograd_mini.formula import POWER
from autograd_mini.groups import LEVELS, Group
from autograd_mini.walkthrough.frames import BackwardFrame, ForwardFrame, Passes, SeedFrame
from autograd_mini.walkthrough.layers import LayerFrame, LayerFrames

OPERATION = "operation"
"""The finest level: a frame for every operation and every edge."""

ALL_LEVELS = (OPERATION, *LEVELS)

Frame = ForwardFrame | SeedFrame | BackwardFrame | LayerFrame


class View(Sequence[Frame]):
    """The frames that are seen at a level, in order: those of closed groups, and of operations in none.

    Stepping is the same walk at every level: `at` of a frame is its place in the walk over single operations. Groups
    that are opened are seen at the finer levels.
    """

    def __init__(self, passes: Passes, level: str = OPERATION, opened: Collection[Group] = ()) -> None:
        self._passes = passes
        self._level = level
        self._opened = opened
        self._groups = [self.group(place) for place in range(len(passes.nodes))]
        layers = LayerFrames(passes).frames() if level == LEVELS[-1] else []
        steps: dict[int, LayerFrame | int] = {**self._forward_steps(), passes.seed_at: 1, **self._backward_steps()}
        for frame in layers:
            if frame.group not in opened:
                for at in frame.covers:
                    steps.pop(at, None)
                steps[frame.at] = frame
        self.places = sorted(steps)
        """The `at` of every frame, in order."""
        self._steps = [steps[at] for at in self.places]

    @property
    def passes(self) -> Passes:
        """Names, numbers and formulas of every node and edge."""
        return self._passes

    @property
    def level(self) -> str:
        """One of ALL_LEVELS."""
        return self._level

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        if isinstance(index, slice):
            return [self._frame(place) for place in range(len(self))[index]]
        return self._frame(range(len(self))[index])

    def showing(self, at: int) -> int:
        """The frame that shows a place of the walk: the first that is not before it, or the last."""
        return min(bisect_left(self.places, at), len(self) - 1)

    def marks_at(self, index: int) -> list[str]:
        """What is said of NaN and infinity at a frame: that they start there."""
        return [text for at, text in self._passes.marked_steps.items() if self.owner(at) == index]

    def owner(self, at: int) -> int:
        """The frame that stands for a place of the walk."""
        for index, step in enumerate(self._steps):
            if isinstance(step, LayerFrame) and at in step.covers:
                return index
        return self.showing(at)

    def group(self, place: int) -> Group | None:
        """The closed group of operations that stands for a node; layers have frames of their own."""
        if self._level == OPERATION:
            return None
        level = min(self._level, LEVELS[-2], key=LEVELS.index)
        group = self._passes.groups.containing(place, level, self._opened)
        return None if group is None or group.is_leaves else group

    def _forward_steps(self) -> dict[int, int]:
        """Where the operations and groups are that are seen, and how many operations each stands for."""
        found = {}
        for at, place in enumerate(self._passes.forward_order):
            group = self._groups[place]
            if group is None:
                found[at] = 1
            elif place == group.roots[0]:
                found[at] = len(group.members)
        return found

    def _backward_steps(self) -> dict[int, int]:
        """Where the edges are that are seen, and how many each stands for: those inside a group lead to others."""
        found = {}
        waiting: Counter[Group | None] = Counter()
        for at, edge in enumerate(self._passes.edges, self._passes.seed_at + 1):
            group = self._groups[edge.source]
            if group is not None and self._groups[edge.target] is group:
                waiting[group] += 1
            else:
                found[at] = 1 + waiting.pop(group, 0)
        return found

    def _frame(self, index: int) -> Frame:
        at, step = self.places[index], self._steps[index]
        if isinstance(step, LayerFrame):
            return step
        if at < self._passes.seed_at:
            return self._forward(at, step)
        return self._seed(at) if at == self._passes.seed_at else self._backward(at, step)

    def _forward(self, at: int, count: int) -> ForwardFrame:
        passes = self._passes
        place = passes.forward_order[at]
        group = self._groups[place]
        members = group.members if group else passes.expression_members(place)
        formula = passes.result_formula(place, frozenset(members))
        return ForwardFrame(
            at=at,
            node=passes.nodes[place],
            name=passes.names[place],
            symbols=f"{passes.names[place]} = {passes.symbols(formula)}",
            numbers=passes.numbers(formula),
            operation=passes.symbols(passes.operation_formula(place)),
            result=passes.data[place],
            count=count,
        )

    def _seed(self, at: int) -> SeedFrame:
        passes = self._passes
        name = passes.gradient_name(passes.root)
        return SeedFrame(at=at, node=passes.nodes[passes.root], name=passes.names[passes.root], symbols=f"{name} = 1")

    def _backward(self, at: int, count: int) -> BackwardFrame:
        passes = self._passes
        edge = passes.edge_at(at)
        group = self._groups[edge.source]
        root = group.roots[0] if group else edge.source
        number_of_edge = at - passes.seed_at - 1
        local = passes.slope(edge.source, group) * passes.local(edge)
        formula = passes.local_formula(edge, group)
        rule = f"{passes.gradient_name(root)} · {passes.symbols(formula, POWER)}"
        return BackwardFrame(
            at=at,
            node=passes.nodes[root],
            operand=passes.nodes[edge.target],
            name=passes.names[root],
            operand_name=passes.names[edge.target],
            symbols=f"{passes.gradient_name(edge.target)} += {rule}",
            upstream=passes.gradients[root],
            local_symbols=passes.symbols(formula),
            local_numbers=passes.numbers(formula),
            local=local,
            product=passes.gradients[edge.source] * passes.local(edge),
            before=passes.before[number_of_edge],
            after=passes.after[number_of_edge],
            count=count,
        )

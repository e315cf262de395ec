"""Stepping through both passes over a graph: in a terminal, in a notebook, and as a page that works offline."""

import os
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from autograd_mini.groups import Group
from autograd_mini.paths import Provenance, provenance
from autograd_mini.value import Value
from autograd_mini.walkthrough.frames import BackwardFrame, ForwardFrame, Passes, SeedFrame
from autograd_mini.walkthrough.latex import as_latex
from autograd_mini.walkthrough.layers import LayerFrame, LayerFrames
from autograd_mini.walkthrough.page import MOST_NODES, as_notebook_cell, as_page
from autograd_mini.walkthrough.text import as_text
from autograd_mini.walkthrough.views import ALL_LEVELS, Frame, View
from autograd_mini.whole_files import write_whole

__all__ = [
    "BackwardFrame",
    "ForwardFrame",
    "Frame",
    "LayerFrame",
    "SeedFrame",
    "View",
    "Walkthrough",
    "walkthrough",
]

_FEW_FRAMES = 150
"""What one steps through without losing the thread."""

_MOST_SHOWN_STEPS = 2_000
"""What a notebook shows: it keeps every output in its file."""


def walkthrough(value: Value, max_nodes: int = 20_000) -> "Walkthrough":
    """Both passes over the recorded graph of a value, step by step: forward in topological order, then backward.

    `len(walkthrough(value))`, `[i]` and iteration give the frames, one an operation and then one an edge. No `grad`
    is read or written. max_nodes: the largest graph that is stepped through, in `Value`s.

    Raises TypeError if value is not a `Value`; ValueError if its graph is larger than max_nodes, if a number in it was
    changed since it was recorded, or if max_nodes is no whole number of at least 1.
    """
    return Walkthrough(value, max_nodes)


class Walkthrough(View):
    """Every frame of both passes over a graph, and the same steps at coarser levels: see `walkthrough`."""

    def __init__(self, value: Value, max_nodes: int = 20_000) -> None:
        if not isinstance(value, Value):
            raise TypeError(f"walkthrough: expected a Value, got {type(value).__name__}")
        if isinstance(max_nodes, bool) or not isinstance(max_nodes, int) or max_nodes < 1:
            raise ValueError(f"walkthrough: expected max_nodes to be a whole number of at least 1, got {max_nodes!r}")
        super().__init__(Passes(value, max_nodes))
        self.value = value

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """The levels at which this graph looks different, from fine to coarse: "operation" first, "layer" last."""
        operation, *others, layer = ALL_LEVELS
        there = {group.level for group in self.passes.groups.groups if not group.is_leaves}
        found = [operation, *(level for level in others if level in there)]
        return (*found, layer) if layer in there and LayerFrames(self.passes).frames() else tuple(found)

    @property
    def default_level(self) -> str:
        """The finest level that has no more than 150 frames; the coarsest if none has."""
        for level in self.levels:
            if len(self.view(level)) <= _FEW_FRAMES:
                return level
        return self.levels[-1]

    def view(self, level: str, opened: Collection[Group] = ()) -> View:
        """The frames at a level: "operation", "expression", "neuron" or "layer".

        A named expression, a neuron or a layer is one step, but for the groups in opened. Where the graph looks like
        it does at a finer level, the view is of that one. Raises ValueError for another level.
        """
        if level not in ALL_LEVELS:
            raise ValueError(f"walkthrough: expected level to be one of {', '.join(ALL_LEVELS)}, got {level!r}")
        looks_like = [each for each in ALL_LEVELS[: ALL_LEVELS.index(level) + 1] if each in self.levels]
        return View(self._passes, looks_like[-1], opened)

    def provenance(self, leaf: Value, k: int = 5) -> Provenance:
        """The k heaviest paths that carry the gradient of a node; see `autograd_mini.provenance`."""
        return provenance(self.value, leaf, k)

    def to_text(self, level: str | None = None) -> str:
        """Every step as plain text, at the default level unless told otherwise."""
        return as_text(self.view(self.default_level if level is None else level))

    def to_latex(self, level: str | None = None) -> str:
        """The derivation as a LaTeX document, at the default level unless told otherwise."""
        return as_latex(self.view(self.default_level if level is None else level))

    def to_html(self) -> str:
        """The page that `save` writes."""
        return as_page(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the walkthrough as one HTML file that works offline, whole or not at all; gives the path.

        Raises ValueError for a path that does not end in .html or .htm, FileNotFoundError without the folder,
        IsADirectoryError for a folder.
        """
        target = Path(path)
        if target.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"save: expected a path ending in .html, got {target.name!r}")
        if not target.parent.is_dir():
            raise FileNotFoundError(f"save: there is no folder {os.fspath(target.parent)!r}")
        if target.is_dir():
            raise IsADirectoryError(f"save: expected the name of a file, got the folder {os.fspath(target)!r}")
        write_whole(target, self.to_html())
        return target

    def __reduce__(self) -> tuple[type["Walkthrough"], tuple[Value, int]]:
        return Walkthrough, (self.value, len(self.passes.nodes))  # a copy's nodes are others, and so are their places

    def __repr__(self) -> str:
        return f"Walkthrough({self._passes.names[self._passes.root]}: {len(self)} steps)"

    def __str__(self) -> str:
        return self.to_text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        if len(self.view(self.default_level)) > _MOST_SHOWN_STEPS:
            return {"text/plain": repr(self)}
        is_page = len(self.passes.nodes) <= MOST_NODES
        return {"text/plain": self.to_text(), **({"text/html": as_notebook_cell(self)} if is_page else {})}

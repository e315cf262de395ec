"""What a sample costs as the batch grows, as lines."""

import importlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.picture import OURS, QUIET, SETTINGS

COLORS = ("#b4b9c0", OURS, "#d08a2e")


def picture(lines: Mapping[str, Sequence[tuple[int, float]]], file_format: str = "svg") -> bytes:
    """A line for each engine: samples in a batch, and the nanoseconds of each; both axes are logarithmic."""
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context(SETTINGS):
        figure = figures.Figure(figsize=(7, 3.6), layout="constrained", facecolor="white")
        axes = figure.subplots()
        for (name, points), color in zip(lines.items(), COLORS, strict=False):
            if points:
                axes.plot(*zip(*points, strict=True), "o-", color=color, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        numbers = [number for points in lines.values() for _, number in points] or [1.0]
        ticks = [each * 10**power for power in range(-1, 7) for each in (1, 2, 5)]
        shown = [tick for tick in ticks if min(numbers) / 2 < tick < max(numbers) * 2]
        axes.set_yticks(shown, [f"{tick:,g}" for tick in shown])
        axes.set_yticks([], minor=True)
        axes.set_xlabel("samples in the batch", color=QUIET)
        axes.set_ylabel("ns a sample", color=QUIET)
        axes.grid(color="#e4e6e9", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if any(lines.values()):
            axes.legend(frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format=file_format, metadata={"Date": None} if file_format == "svg" else None, dpi=100)
    return file.getvalue()

"""The measurements as bars: how many times the plain forward pass each engine takes."""

import importlib
import io
import math
from collections.abc import Sequence
from typing import Any

from benchmarks.engines import ENGINES
from benchmarks.report import BUILDS, title
from benchmarks.rounds import Measurement, Results, Task

OURS, OTHERS, QUIET = "#1f5fa8", "#b4b9c0", "#6b7078"

SETTINGS = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",  # letters as letters: a small file whose text can be found
    "svg.hashsalt": "autograd-mini",  # the same numbers give the same file
}


def picture(compared: Sequence[Task], results: Results, file_format: str = "svg") -> bytes:
    """One panel for each program, on one logarithmic axis. An engine without a number says why."""
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    with matplotlib.rc_context(SETTINGS):
        largest = max((ratio for task in compared for _, ratio, _ in _bars(results[task]) if ratio), default=10.0)
        heights = [len(_bars(results[task])) for task in compared]
        size = (8.5, 0.27 * sum(heights) + 0.4 * len(compared) + 0.6)
        figure = figures.Figure(figsize=size, layout="constrained", facecolor="white")
        panels = figure.subplots(len(compared), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for panel, task in zip(panels, compared, strict=True):
            _draw_bars(panel, task, results[task])
            _draw_scale(panel, largest)
        panels[-1].set_xlabel("times the forward pass with plain floats, on a logarithmic scale", color=QUIET)
        file = io.BytesIO()
        figure.savefig(file, format=file_format, metadata={"Date": None} if file_format == "svg" else None, dpi=100)
    return file.getvalue()


def _bars(measurements: dict[str, Measurement]) -> list[tuple[str, float | None, str]]:
    """Name, ratio and what stands at the bar, of every engine but the plain floats themselves."""
    unit = measurements["floats"].median if "floats" in measurements else None
    bars: list[tuple[str, float | None, str]] = []
    for key, measurement in measurements.items():
        if key == "floats" or not ENGINES[key].collects_garbage:
            continue
        median = measurement.median
        ratio = median / unit if median and unit else None
        reason = measurement.problem.partition(":")[0] or "not measured"
        bars.append((key, ratio, _times(ratio) if ratio else reason))
    return bars


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.1f}×"


def _draw_bars(panel: Any, task: Task, measurements: dict[str, Measurement]) -> None:
    bars = _bars(measurements)
    for place, (key, ratio, text) in enumerate(bars):
        is_ours = key in BUILDS
        if ratio:
            panel.barh(place, ratio - 1, left=1, height=0.72, color=OURS if is_ours else OTHERS)
        panel.text(
            (ratio or 1) * 1.06,
            place,
            text,
            va="center_baseline",
            fontsize=9,
            color="black" if ratio else QUIET,
            fontweight="bold" if is_ours and ratio else "normal",
            fontstyle="normal" if ratio else "italic",
        )
    panel.set_title(title(task), loc="left", fontsize=10, fontweight="bold")
    panel.set_yticks(range(len(bars)), [ENGINES[key].name for key, _, _ in bars], fontsize=9)
    panel.set_ylim(len(bars) - 0.5, -0.5)


def _draw_scale(panel: Any, largest: float) -> None:
    """Powers of ten, written out; room for a number to the right of the longest bar."""
    powers = [10**power for power in range(math.ceil(math.log10(largest)) + 1)]
    panel.set_xscale("log")
    panel.set_xticks(powers, [f"{power:,}×" for power in powers], fontsize=9, color=QUIET)
    panel.set_xticks([], minor=True)
    panel.set_xlim(1, largest * 2)
    panel.grid(axis="x", color="#e4e6e9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0)
    panel.spines[["top", "right", "bottom"]].set_visible(False)

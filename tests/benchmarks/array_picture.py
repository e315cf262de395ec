"""The turns as bars: how many times our time each engine takes."""

import importlib
import io
import math
from typing import Any

from benchmarks.array_report import NAMES, OURS, three_digits, times_theirs, title
from benchmarks.picture import OTHERS, QUIET, SETTINGS
from benchmarks.picture import OURS as OUR_COLOR
from benchmarks.turns import Contest, Contests, Turns


def picture(contests: Contests, file_format: str = "svg") -> bytes:
    """One panel for each contest against others, on one logarithmic axis. An engine without a number says why."""
    matplotlib: Any = importlib.import_module("matplotlib")
    figures: Any = importlib.import_module("matplotlib.figure")
    shown = {contest: engines for contest, engines in contests.items() if len(engines) > 1 and OURS in engines}
    with matplotlib.rc_context(SETTINGS):
        heights = [len(engines) for engines in shown.values()]
        size = (8.5, 0.27 * sum(heights) + 0.4 * len(shown) + 0.6)
        figure = figures.Figure(figsize=size, layout="constrained", facecolor="white")
        if shown:
            panels = figure.subplots(len(shown), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
            ratios = [ratio for contest in shown for _, ratio, _ in _bars(contest, shown[contest]) if ratio]
            for panel, (contest, engines) in zip(panels, shown.items(), strict=True):
                _draw(panel, contest, engines)
                _draw_scale(panel, min(ratios, default=1.0), max(ratios, default=1.0))
            panels[-1].set_xlabel("times what ours takes, on a logarithmic scale: right of 1 is slower", color=QUIET)
        file = io.BytesIO()
        figure.savefig(file, format=file_format, metadata={"Date": None} if file_format == "svg" else None, dpi=100)
    return file.getvalue()


def _bars(contest: Contest, engines: dict[str, Turns]) -> list[tuple[str, float | None, str]]:
    """Key, ratio and what stands at the bar, of every engine."""
    bars: list[tuple[str, float | None, str]] = []
    for key, turns in engines.items():
        ratio = times_theirs(contest, turns, engines[OURS])
        reason = turns.problem.partition(":")[0] or "not measured"
        bars.append((key, ratio, f"{three_digits(ratio)}×" if ratio else reason))
    return bars


def _draw(panel: Any, contest: Contest, engines: dict[str, Turns]) -> None:
    bars = _bars(contest, engines)
    for place, (key, ratio, text) in enumerate(bars):
        if ratio:
            panel.barh(place, ratio - 1, left=1, height=0.72, color=OTHERS)
        if key == OURS:
            panel.plot([1], [place], "o", color=OUR_COLOR, markersize=6)
        is_left = ratio is not None and ratio < 1
        panel.text(
            (ratio or 1) * (0.9 if is_left else 1.1),
            place,
            text,
            va="center_baseline",
            ha="right" if is_left else "left",
            fontsize=9,
            color="black" if ratio else QUIET,
            fontweight="bold" if key == OURS else "normal",
            fontstyle="normal" if ratio else "italic",
        )
    panel.set_title(title(contest), loc="left", fontsize=10, fontweight="bold")
    panel.set_yticks(range(len(bars)), [NAMES[key] for key, _, _ in bars], fontsize=9)
    panel.set_ylim(len(bars) - 0.5, -0.5)


def _draw_scale(panel: Any, least: float, most: float) -> None:
    """Powers of ten, written out; room for a number beyond the longest bars."""
    powers = [10.0**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]
    panel.set_xscale("log")
    panel.set_xticks(powers, [f"{power:,.0f}×" if power >= 1 else f"{power:g}×" for power in powers])
    panel.set_xticks([], minor=True)
    panel.tick_params(axis="x", labelsize=9, labelcolor=QUIET)
    panel.set_xlim(powers[0] / 2, powers[-1] * 2)
    panel.axvline(1, color=QUIET, linewidth=0.8)
    panel.grid(axis="x", color="#e4e6e9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0)
    panel.spines[["top", "right", "bottom", "left"]].set_visible(False)

"""Curves as text: a line of blocks for the eye, and the numbers in words beside it."""

import math
from collections.abc import Iterator, Mapping, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 64


def describe_curves(curves: Mapping[str, Sequence[float]], *, blocks: bool = True) -> Iterator[str]:
    """Lines that show curves over the epochs, on one scale: a sparkline, then the first, best and last number.

    The scale is logarithmic where the numbers are positive and the largest is above 20 times the smallest, and the
    lines say so. Curves without numbers are left out. blocks: False leaves the sparklines out.
    """
    curves = {name: curve for name, curve in curves.items() if curve}
    finite = [number for curve in curves.values() for number in curve if math.isfinite(number)]
    if not finite:
        return
    is_logarithmic = min(finite) > 0 and max(finite) / 20 > min(finite)
    for name, curve in curves.items():
        epochs = f"epochs 1 to {len(curve)}" if len(curve) > 1 else "epoch 1"
        yield f"{name}, {epochs}{', logarithmic' if is_logarithmic and blocks else ''}"
        if blocks:
            yield f"  {sparkline(curve, min(finite), max(finite), is_logarithmic=is_logarithmic)}"
        best = min((number for number in curve if not math.isnan(number)), default=math.nan)
        where = f" in epoch {curve.index(best) + 1}" if not math.isnan(best) else ""
        yield f"  first {curve[0]:.4g}, best {best:.4g}{where}, last {curve[-1]:.4g}"


def sparkline(curve: Sequence[float], low: float, high: float, *, is_logarithmic: bool = False) -> str:
    """One block for each number, or for the mean of neighbours where there are more than 64.

    low, high: the numbers of the lowest and the highest block. What is infinite or NaN is an exclamation mark.
    """
    heights = map(_logarithm if is_logarithmic else float, _few(curve))
    bottom, top = (_logarithm(low), _logarithm(high)) if is_logarithmic else (low, high)
    return "".join(_block(height, bottom, top) for height in heights)


def _few(curve: Sequence[float]) -> list[float]:
    count = min(len(curve), WIDTH)
    edges = [len(curve) * place // count for place in range(count + 1)]
    return [_mean(curve[edges[place] : edges[place + 1]]) for place in range(count)]


def _mean(numbers: Sequence[float]) -> float:
    return sum(number / len(numbers) for number in numbers)


def _logarithm(number: float) -> float:
    return math.log(number) if number > 0 else math.nan


def _block(height: float, bottom: float, top: float) -> str:
    if not math.isfinite(height):
        return "!"
    share = (height / 2 - bottom / 2) / (top / 2 - bottom / 2) if top > bottom else 0.0  # halves do not overflow
    return BLOCKS[min(max(int(share * len(BLOCKS)), 0), len(BLOCKS) - 1)]

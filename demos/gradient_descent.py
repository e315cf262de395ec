"""Gradient descent on a function of two numbers, with a good and two poor learning rates (Gill & Gill, section 4.2).

The function is F(p) = (p₁² + 8 p₂²) / 2, a long valley: its curvature is 1 along p₁ and 8 along p₂. GD3 sets
p := p − λ ∇F(p), which multiplies p₁ by 1 − λ and p₂ by 1 − 8 λ. So everything about λ can be read off:

    λ = 0.02    both factors are near 1: the descent is sure, and slow
    λ = 2/9     both are 7/9 in size, and no other λ has a largest factor as small
    λ = 0.26    1 − 8 λ is below −1: p₂ jumps to and fro across the valley, further each time

`python demos/gradient_descent.py short` makes fewer steps.
"""

import sys
from pathlib import Path

import numpy as np

from autograd_mini import Value
from nn import Descent, gradient_descent

try:
    from matplotlib.figure import Figure
except ImportError as error:
    sys.exit(f"gradient_descent.py: {error}: pip install 'autograd-mini[plot]'")

CURVATURES = 1.0, 8.0
START = [-9.0, 2.0]
LEARNING_RATES = {"too small": 0.02, "good": 2 / 9, "too large": 0.26}


def valley(p: list[Value]) -> Value:
    return (CURVATURES[0] * p[0] ** 2 + CURVATURES[1] * p[1] ** 2) / 2


def main(steps: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    descents = {}
    print(f"{'λ':>8}  {'':<10}{'F at the start':>15}{f'after {steps} steps':>16}{'p₁':>11}{'p₂':>11}")
    for name, rate in LEARNING_RATES.items():
        descent = gradient_descent(valley, START, learning_rate=rate, steps=steps)
        descents[name] = descent
        first, last = descent.trajectory[0], descent.trajectory[-1]
        print(f"{rate:8.4f}  {name:<10}{first.value:15.4g}{last.value:16.4g}{last.point[0]:11.3g}{last.point[1]:11.3g}")
    print("\nThe factor of each step, by the formula 1 − λ c and as found in the trajectory")
    for name, descent in descents.items():
        p, q = (descent.trajectory[step].point for step in (0, 1))
        for axis, curvature in enumerate(CURVATURES):
            expected = 1 - LEARNING_RATES[name] * curvature
            print(f"  {name:<10} p{'₁₂'[axis]}: {expected:9.6f} {q[axis] / p[axis]:12.6f}")
    forever = gradient_descent(valley, START, learning_rate=0.26, steps=100_000)
    print(f"\nλ = 0.26 gets to {forever.value:.3g} in {len(forever.trajectory) - 1} steps. Then {forever.message}.")
    draw_descents(descents, folder / "gradient_descent.png")


def draw_descents(descents: dict[str, Descent], path: Path) -> None:
    """The three paths on the contours of F, and below them F over the steps."""
    colours = {"too small": "tab:blue", "good": "tab:green", "too large": "tab:red"}
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplot_mosaic([list(descents), ["values"] * 3], height_ratios=[5, 4])
    p1, p2 = np.meshgrid(np.linspace(-10, 4, 281), np.linspace(-5, 5, 201))
    heights = (CURVATURES[0] * p1**2 + CURVATURES[1] * p2**2) / 2
    for name, descent in descents.items():
        axes, colour, rate = panels[name], colours[name], LEARNING_RATES[name]
        axes.contour(p1, p2, heights, levels=[0.5, 2, 6, 14, 27, 46, 70, 100], colors="0.8", linewidths=0.8)
        inside = [step.point for step in descent.trajectory if abs(step.point[1]) < 5]
        axes.plot(*zip(*inside, strict=True), "o-", color=colour, markersize=3.5, linewidth=1)
        axes.plot(*START, "o", color="black", markersize=6)
        axes.plot(0, 0, "+", color="black", markersize=12)
        axes.set(title=f"{name}: λ = {rate:.3g}", xlabel="p₁", ylabel="p₂", xlim=(-10, 4), ylim=(-5, 5), aspect="equal")
        values = [step.value for step in descent.trajectory]
        panels["values"].semilogy(values, "o-", color=colour, markersize=3.5, linewidth=1)
        panels["values"].annotate(f" {name}", (len(values) - 1, values[-1]), color=colour, va="center")
    panels["values"].set(xlabel="step", ylabel="F(p)", title="the value at each step")
    panels["values"].set_xlim(-0.05 * len(values), 1.12 * len(values))
    panels["values"].grid(color="0.92")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(steps=8 if "short" in sys.argv[1:] else 40, folder=Path("pictures"))

"""Y = X·a·b·c: three matrices that are to be found from X and Y, as a nonlinear least-squares problem.

A question on Stack Exchange: how can I find a, b and c if I know Y and X? "I'm assuming that I will get lots of
solutions. What solution should I use then? The best fit? How?" The answers there: by gradient descent, a := a − α dL/da
and so for b and c; or by conjugate gradients or a quasi-Newton method like BFGS, "on all the parameters at once or
block-wise by layers"; and at each node, traditionally, some nonlinear function is applied, such as a sigmoid.

Here they minimise F(a, b, c) = ½ ‖X·a·b·c − Y‖², first without, then with the nonlinear function tanh. They are
compared by how often they compute F, or its residuals, with the derivatives. (Samples are the rows of X and Y; in the
question they are columns, so that it writes Xᵀ.)

`python demos/three_matrices.py short` computes it a few times only.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nn import gradient_descent, least_squares, minimize

try:
    import scipy  # noqa: F401  # by which minimize and least_squares search
    from matplotlib.figure import Figure
except ImportError as error:
    sys.exit(f"three_matrices.py: {error}: pip install 'autograd-mini[scipy,plot]'")

random = np.random.default_rng(7)
X = random.normal(size=(20, 3))
Y = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 1] * X[:, 2] - X[:, 0]], axis=1)
SHAPES = (3, 3), (3, 3), (3, 2)
ALPHA = 0.004
METHODS = "gradient descent", "CG", "BFGS", "Levenberg-Marquardt"
BLOCK_WISE = ", block-wise"

Matrices = list[Any]
"""a, b and c: arrays of numbers, or of `Value`s while they are being differentiated."""


class Problem:
    """F and its residuals, for one function at the nodes; every value that was computed is kept."""

    def __init__(self, at_the_nodes: Callable[[Any], Any]) -> None:
        self.at_the_nodes = at_the_nodes
        self.values: list[float] = []

    def predictions(self, matrices: Matrices) -> Any:
        a, b, c = matrices
        return self.at_the_nodes(self.at_the_nodes(X @ a) @ b) @ c

    def residuals(self, matrices: Matrices) -> Any:
        residuals = self.predictions(matrices) - Y
        self.values.append(float((residuals.astype(float) ** 2).sum() / 2))
        return residuals

    def f(self, matrices: Matrices) -> Any:
        return (self.residuals(matrices) ** 2).sum() / 2


def search(method: str, f: Callable[[Any], Any], residuals: Callable[[Any], Any], start: Any, steps: int) -> Any:
    """The point that a method comes to. f and residuals are functions of what start is: one matrix, or all."""
    if method == "gradient descent":
        return gradient_descent(f, start, learning_rate=ALPHA, steps=steps).point
    if method == "Levenberg-Marquardt":
        return least_squares(residuals, start, method="lm", tolerance=1e-12, options={"max_nfev": steps}).point
    return minimize(f, start, method=method, tolerance=1e-8, options={"maxiter": steps}).point


def solve_at_once(problem: Problem, method: str, start: Matrices, evaluations: int) -> Matrices:
    found: Matrices = search(method, problem.f, problem.residuals, start, steps=evaluations)
    return found


def solve_block_wise(problem: Problem, method: str, start: Matrices, evaluations: int) -> Matrices:
    """Change a while b and c rest, then b, then c, and round again."""
    matrices = list(start)
    while len(problem.values) < evaluations:
        for place in range(3):

            def all_three(block: Any, place: int = place) -> Matrices:
                return [*matrices[:place], block, *matrices[place + 1 :]]

            matrices[place] = search(
                method.removesuffix(BLOCK_WISE),
                lambda block: problem.f(all_three(block)),
                lambda block: problem.residuals(all_three(block)),
                matrices[place],
                steps=1 if method.startswith("gradient descent") else 20,
            )
    return matrices


def compare(problem: Problem, start: Matrices, evaluations: int) -> tuple[dict[str, list[float]], dict[str, Matrices]]:
    """Every method both ways: print the table, and return the lowest values so far and the matrices."""
    counts = [evaluations // 10, evaluations // 3, evaluations]
    print(f"{'':<34}" + "".join(f"{f'F after {count}':>15}" for count in counts) + f"{'seconds':>10}")
    curves, found = {}, {}
    for name in (*METHODS, *(method + BLOCK_WISE for method in METHODS)):
        problem.values.clear()
        began = time.perf_counter()
        solve = solve_block_wise if name.endswith(BLOCK_WISE) else solve_at_once
        found[name] = solve(problem, name, start, evaluations)
        seconds = time.perf_counter() - began
        lowest = np.minimum.accumulate(problem.values).tolist()
        curves[name] = [*lowest, *lowest[-1:] * (evaluations - len(lowest))][:evaluations]
        columns = "".join(f"{curves[name][count - 1]:15.8f}" for count in counts)
        print(f"{name:<34}{columns}{seconds:10.1f}")
    return curves, found


def main(evaluations: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    start = [0.7 * random.normal(size=shape) for shape in SHAPES]

    print("Without a function at the nodes\n")
    curves, found = compare(Problem(lambda z: z), start, evaluations)
    best_fit = np.linalg.lstsq(X, Y, rcond=None)[0]
    floor = ((X @ best_fit - Y) ** 2).sum() / 2
    one, other = found["Levenberg-Marquardt"], found["BFGS"]
    between, off = distance(product(one), product(other)), distance(product(one), best_fit)
    print(f"""
There are lots of solutions: a of Levenberg-Marquardt and a of BFGS differ by up to {distance(one[0], other[0]):.2f}.
But X·a·b·c is X·m with m = a·b·c, and m is the same: it differs by up to {between:.0e}. It is the best linear fit,
which linear algebra gives at once: F = {floor:.8f}, and m differs from it by up to {off:.0e}.
F itself is no parabola, for a·b·c is no linear function of a, b and c. But block by block it is one: in each block, one
step of Levenberg-Marquardt is the solution.
""")

    print("With tanh at the nodes\n")
    curves_with_tanh, _ = compare(Problem(np.tanh), start, evaluations)
    print(f"\nFrom other starts, Levenberg-Marquardt comes in {evaluations} evaluations to")
    ends = [end_from(Problem(np.tanh), seed, evaluations) for seed in range(6)]
    print("   ".join(f"{end:.6f}" for end in sorted(ends)))
    print(f"""
What the nonlinear function changes: three matrices say more than their product. F gets below {floor:.4f}, the best that
any linear fit can do. And no longer does every search come to the same end: how low it gets depends on where it began.
""")
    draw_curves(curves, curves_with_tanh, floor, folder)


def product(matrices: Matrices) -> Any:
    a, b, c = matrices
    return a @ b @ c


def distance(one: Any, other: Any) -> float:
    return float(np.abs(one - other).max())


def end_from(problem: Problem, seed: int, evaluations: int) -> float:
    start = [np.random.default_rng(seed).normal(size=shape) for shape in SHAPES]
    solve_at_once(problem, "Levenberg-Marquardt", start, evaluations)
    return min(problem.values)


def draw_curves(without: dict[str, list[float]], with_tanh: dict[str, list[float]], floor: float, folder: Path) -> None:
    """How far F is from the best linear fit, and F with tanh, over the evaluations; block-wise is dashed."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, method in enumerate(METHODS):
        for name, style in ((method, "-"), (method + BLOCK_WISE, "--")):
            counts = range(1, len(without[name]) + 1)
            above = np.maximum(np.array(without[name]) - floor, 1e-15)  # rounding
            left.plot(counts, above, style, color=f"C{place}", linewidth=1.8)
            right.plot(counts, with_tanh[name], style, color=f"C{place}", linewidth=1.8, label=name)
    left.set(
        title="without a function at the nodes", ylabel="F(a, b, c) − F of the best linear fit", ylim=(1e-14, None)
    )
    right.set(title="with tanh at the nodes", ylabel="F(a, b, c)")
    right.axhline(floor, color="0.5", linewidth=1)
    right.annotate("the best linear fit", (1, floor), xytext=(0, 3), textcoords="offset points", color="0.4")
    for axes in (left, right):
        axes.set(xlabel="evaluations", xscale="log", yscale="log")
        axes.grid(color="0.92")
    right.set_yticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    right.minorticks_off()
    figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "three_matrices.png", dpi=150)
    print(f"wrote {folder / 'three_matrices.png'}")


if __name__ == "__main__":
    main(evaluations=30 if "short" in sys.argv[1:] else 500, folder=Path("pictures"))

"""Matrix calculus: the derivatives of a whole network in five lines of NumPy, beside the scalar engine's.

It follows the document of that name. Samples are the rows of X, weights the columns of W; layer by layer Z = A·W and
A = g∘Z, and at the end f = (1/m) ‖A − Y‖²_F. Rules for a matrix at a time give all derivatives,

    df/dA = (2/m)(A − Y) in the last layer, else df/dA = df/dZ⁺·W⁺ᵀ (with Z and W of the next layer),
    df/dZ = df/dA ⊙ (g′∘Z),
    df/dW = Aᵀ·df/dZ (with A of the layer before).

The engine knows none of them: to it, each number is a node of a graph, and the chain rule goes through it node by node.
Arrays of `Value`s make that graph with the same two lines of NumPy, and what was found for each number stands in it.

`python demos/matrix_calculus.py short` trains for a few steps only.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autograd_mini import Value

try:
    from matplotlib.figure import Figure
except ImportError as error:
    sys.exit(f"matrix_calculus.py: {error}: pip install 'autograd-mini[plot]'")

ALPHA = 0.1
EQUAL = 1e-12

random = np.random.default_rng(3)
X = random.uniform(-1.5, 1.5, size=(60, 2))
Y = 0.8 * np.sin(2 * X[:, :1] - X[:, 1:])
START = [random.normal(scale=0.8, size=shape) for shape in ((2, 6), (6, 4), (4, 1))]

Derivatives = dict[str, Any]
"""Arrays by the name of the matrix that f is derived by."""

Function = Callable[[Any], Any]
"""From an array to an array."""


def main(steps: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    show_rules()
    show_network()
    draw_derivatives(train(steps), folder / "matrix_calculus.png")


# The rules, one at a time


def show_rules() -> None:
    """Each rule for G(M) on a matrix M, with f = ‖G‖²_F, so that df/dG = 2 G."""
    matrix, left, right, added = (random.normal(size=shape) for shape in ((3, 4), (2, 3), (4, 5), (3, 4)))
    rules: list[tuple[str, Function, str, Function]] = [
        ("G = M", lambda M: M, "df/dG", lambda dG: dG),
        ("G = M·W", lambda M: M @ right, "df/dG·Wᵀ", lambda dG: dG @ right.T),
        ("G = W·M", lambda M: left @ M, "Wᵀ·df/dG", lambda dG: left.T @ dG),
        ("G = g∘M", np.tanh, "df/dG ⊙ (g′∘M)", lambda dG: dG * (1 - np.tanh(matrix) ** 2)),
        ("G = M + C", lambda M: M + added, "df/dG", lambda dG: dG),
    ]
    print("\nThe rules, with f = ‖G‖²_F and df/dG = 2 G")
    print(f"  {'':<14}{'df/dM':<20}{'largest difference from the engine':>34}")
    for name, function, text, derivative in rules:
        values = as_values(matrix)
        (function(values) ** 2).sum().backward()
        difference = np.abs(derivative(2 * function(matrix)) - gradients(values)).max()
        print(f"  {name:<14}{text:<20}{difference:34.1e}")


# The network


def by_formulas(weights: list[Any]) -> tuple[float, Derivatives]:
    """f, and its derivative by every matrix of the network, as the document has them."""
    A, Z = [X], [X]
    for W in weights:
        Z.append(A[-1] @ W)
        A.append(np.tanh(Z[-1]))
    m, L = len(X), len(weights)
    found = {f"A{L}": (2 / m) * (A[L] - Y)}
    for layer in range(L, 0, -1):
        found[f"Z{layer}"] = found[f"A{layer}"] * (1 - np.tanh(Z[layer]) ** 2)
        found[f"W{layer}"] = A[layer - 1].T @ found[f"Z{layer}"]
        found[f"A{layer - 1}"] = found[f"Z{layer}"] @ weights[layer - 1].T
    return float(((A[L] - Y) ** 2).sum() / m), found


def by_engine(weights: list[Any]) -> tuple[float, Derivatives]:
    """The same from the graph of all the numbers."""
    matrices = {"A0": as_values(X)}
    for layer, numbers in enumerate(weights, start=1):
        W = matrices[f"W{layer}"] = as_values(numbers)
        Z = matrices[f"Z{layer}"] = matrices[f"A{layer - 1}"] @ W
        matrices[f"A{layer}"] = np.tanh(Z)
    f = ((matrices[f"A{len(weights)}"] - Y) ** 2).sum() / len(X)
    f.backward()
    return f.data, {name: gradients(matrix) for name, matrix in matrices.items()}


def as_values(numbers: Any) -> Any:
    return np.array([[Value(number) for number in row] for row in numbers.tolist()], dtype=object)


def gradients(values: Any) -> Any:
    return np.array([[value.grad for value in row] for row in values])


def show_network() -> None:
    sizes = "-".join(str(size) for size in (X.shape[1], *(W.shape[1] for W in START)))
    f, formulas = by_formulas(START)
    value, engine = by_engine(START)
    print(f"\nA network {sizes} with g = tanh, m = {len(X)} samples: f = {f:.15f}, the engine's {value:.15f}")
    print(f"  {'':<12}{'shape':<12}{'largest entry':<22}{'largest difference from the engine':>31}")
    for name, derivative in formulas.items():
        difference = np.abs(derivative - engine[name]).max()
        label = f"df/d{name[0]}[{name[1:]}]"
        shape = "{} × {}".format(*derivative.shape)
        print(f"  {label:<12}{shape:<12}{np.abs(derivative).max():<22.12f}{difference:34.1e}")
    worst = max(np.abs(derivative - engine[name]).max() for name, derivative in formulas.items())
    print(f"All of them differ by {worst:.1e} at most: {'equal' if worst < EQUAL else 'not equal'} to {EQUAL:.0e}.")


# Gradient descent


def train(steps: int) -> tuple[list[float], list[float]]:
    """W := W − α df/dW by both, from the same start; f at each step. Ctrl-C ends it."""
    one, other = Training(by_formulas), Training(by_engine)
    try:
        for _ in range(steps):
            one.step()
            other.step()
    except KeyboardInterrupt:
        print("\nInterrupted by Ctrl-C.")
    made = len(other.curve)
    apart = max(np.abs(W - V).max() for W, V in zip(one.weights, other.weights, strict=True))
    print(
        f"\nGradient descent by both, {made} steps with α = {ALPHA}: the weights are then apart by {apart:.1e} at most."
    )
    if made:
        micro, milli = one.seconds / made * 1e6, other.seconds / made * 1e3
        print(f"f came from {other.curve[0]:.6f} to {other.curve[-1]:.6f}.")
        print(f"A step took {micro:.0f} µs in matrices, and {milli:.1f} ms number by number.")
    return one.curve, other.curve


class Training:
    """The weights of a training, f at each of its steps, and the seconds that they took."""

    def __init__(self, derive: Callable[[list[Any]], tuple[float, Derivatives]]) -> None:
        self.derive = derive
        self.weights, self.curve, self.seconds = START, list[float](), 0.0

    def step(self) -> None:
        began = time.perf_counter()
        f, derivatives = self.derive(self.weights)
        self.seconds += time.perf_counter() - began
        self.weights = [W - ALPHA * derivatives[f"W{layer}"] for layer, W in enumerate(self.weights, start=1)]
        self.curve.append(f)


# The picture


def draw_derivatives(curves: tuple[list[float], list[float]], path: Path) -> None:
    """df/dW of each layer by the formulas and by the engine, with their difference, and both trainings."""
    figure = Figure(figsize=(12.5, 7.2), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[8, 5])
    matrices, training = halves
    formulas, engine = by_formulas(START)[1], by_engine(START)[1]
    panels = matrices.subplots(3, len(START), width_ratios=[W.shape[1] + 1 for W in START])
    for column in range(len(START)):
        name = f"W{column + 1}"
        one, other = formulas[name], engine[name]
        rows = (one, "{:.3f}", 0.9), (other, "{:.3f}", 0.9), ((one - other) * 1e17, "{:.1f}", 40)
        for axes, (numbers, style, limit) in zip(panels[:, column], rows, strict=True):
            axes.pcolormesh(numbers, cmap="PuOr", vmin=-limit, vmax=limit, edgecolors="white", linewidth=2)
            axes.set(xticks=[], yticks=[])
            axes.invert_yaxis()  # the first row of a matrix is on top
            for (row, place), number in np.ndenumerate(numbers):
                axes.text(place + 0.5, row + 0.5, style.format(number), ha="center", va="center")
        panels[0, column].set_title(f"df/dW[{column + 1}]")
    for axes, text in zip(panels[:, 0], ("matrix calculus", "the engine", "difference × 10¹⁷"), strict=True):
        axes.set_ylabel(text, fontsize=12)

    axes = training.subplots()
    steps = range(1, len(curves[1]) + 1)
    axes.loglog(steps, curves[0][: len(steps)], color="tab:orange", linewidth=6, alpha=0.5, label="matrix calculus")
    axes.loglog(steps, curves[1], color="tab:blue", linewidth=1.5, label="the engine")
    axes.set(
        title=f"gradient descent with either, α = {ALPHA}", xlabel="step", ylabel=r"$f = \frac{1}{m}\,\|A - Y\|_F^2$"
    )
    axes.grid(color="0.92")
    axes.legend()
    figure.suptitle("A network 2-6-4-1 without biases: derivatives a matrix at a time, and a number at a time")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"\nwrote {path}")


if __name__ == "__main__":
    main(steps=20 if "short" in sys.argv[1:] else 2000, folder=Path("pictures"))

"""Linear regression is the simplest neural network: backpropagation finds what OLS finds, on real data.

It follows "Neural Nets: From Linear Regression to Deep Nets": one neuron with σ = id, z = b + w₁x₁ + … + w₁₀x₁₀,
a = z, and the cost C = 1/n Σ (a − y)². The data are 442 diabetes patients (Efron et al., 2004): ten measurements,
and how far the disease went in the year after. Measurements are standardised: mean 0, standard deviation 1.

"We can also find our coefficients using backpropagation", and so it is, to six digits. But how soon? Two of the
measurements, total cholesterol and LDL, say nearly the same, so that C is a long valley: 470 times steeper across than
along. With the best of all fixed step sizes, w := w − η ∂C/∂w needs thousands of steps; with momentum, hundreds.

Then come the δ of the text, for this neuron and for a network with a hidden layer, beside the engine's numbers. One is
printed there with a slip: δ^(L−1) with σ′(z^(L)). The general formula below it, with σ′(z^(l)), is right.

`python demos/linear_regression.py short` ends plain gradient descent after 100 steps; all of them take a minute, with
the engine compiled ten seconds. Ctrl-C ends one descent, and the script goes on with what it found.
"""

import sys
from importlib.util import find_spec
from math import floor, log10
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nn import MLP, SGD, Neuron, TrainingState, fit, mse_loss

try:
    from matplotlib.figure import Figure
    from sklearn.datasets import load_diabetes
except ImportError as error:
    sys.exit(f"linear_regression.py: {error}: pip install 'autograd-mini[sklearn,plot]'")

NAMES = (
    "age",
    "sex",
    "body mass",
    "blood pressure",
    "cholesterol",
    "LDL",
    "HDL",
    "chol. / HDL",
    "triglycerides",
    "glucose",
)
SHOWS_PROGRESS = sys.stdout.isatty() and find_spec("rich") is not None
ENOUGH = 1e-7
"""The relative error of the worst coefficient at which all of them have their six digits."""


class Descent(NamedTuple):
    """Gradient descent on the cost: the neuron that it left, and the error of its worst coefficient after each step."""

    neuron: Neuron
    errors: list[float]


def main(plain_steps: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X = (X - X.mean(axis=0)) / X.std(axis=0)

    ols = np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y, rcond=None)[0]
    curvatures = np.linalg.eigvalsh(2 * X.T @ X / len(X))
    low, high = curvatures[0], curvatures[-1]
    plain = SGD(2 / (low + high))
    ratio = (np.sqrt(high) - np.sqrt(low)) / (np.sqrt(high) + np.sqrt(low))
    with_momentum = SGD(4 / (np.sqrt(high) + np.sqrt(low)) ** 2, momentum=ratio**2)
    print(
        f"The curvatures of C, the eigenvalues of 2/n XᵀX: from {low:.4f} to {high:.4f}, a ratio of {high / low:.0f}."
    )
    print("From them come the best η, and the best momentum (Polyak, 1964). Who does not know them has to try.\n")

    descents = {
        "with momentum": descend(X, y, ols, with_momentum, most_steps=1000),
        "plain": descend(X, y, ols, plain, most_steps=plain_steps),
    }
    show_coefficients(ols, descents)
    show_deltas_of_the_neuron(X, y)
    show_deltas_of_a_network(X, y)
    draw_coefficients(ols, descents, folder / "linear_regression.png")


# Backpropagation finds the coefficients


def descend(X: Any, y: Any, ols: Any, optimizer: SGD, most_steps: int) -> Descent:
    neuron = Neuron(len(NAMES), activation=None, init="zeros")
    errors = [1.0]

    def compare(state: TrainingState) -> str:
        errors.append(np.abs(coefficients(neuron) / ols - 1).max())
        return "all coefficients have six digits" if errors[-1] < ENOUGH else ""

    settings = f"η = {optimizer.current_learning_rate:.4f}, momentum {optimizer.momentum:.4f}"
    history = fit(neuron, X, y, optimizer=optimizer, epochs=most_steps, callbacks=[compare], progress=SHOWS_PROGRESS)
    del errors[history.epochs + 1 :]
    print(f"{settings}: {history.epochs} of at most {most_steps} steps; {history.stopped_because}")
    return Descent(neuron, errors)


def coefficients(neuron: Neuron) -> Any:
    """w₁, …, w₁₀, b."""
    return np.array([parameter.data for parameter in neuron.parameters()])


def show_coefficients(ols: Any, descents: dict[str, Descent]) -> None:
    columns = [coefficients(descent.neuron) for descent in descents.values()]
    print(f"\n{'':<16}{'OLS':>14}" + "".join(f"{name:>16}" for name in descents))
    for name, exact, *found in zip((*NAMES, "b"), ols, *columns, strict=True):
        print(f"{name:<16}{exact:14.6g}" + "".join(f"{number:16.6g}" for number in found))
    digits = [floor(-log10(max(descent.errors[-1], 1e-16))) for descent in descents.values()]
    print(f"{'digits that agree':<30}" + "".join(f"{max(count, 0):16}" for count in digits))


# The recursion of δ


def show_deltas_of_the_neuron(X: Any, y: Any) -> None:
    neuron = Neuron(len(NAMES), activation=None, seed=0)
    mse_loss([neuron(X[0])], y[:1]).backward()
    weights = np.array([weight.data for weight in neuron.weights])
    delta = 2 * (X[0] @ weights - y[0]) * 1.0  # σ′ of the identity
    print("\nδ for the first patient, and the first number of each gradient")
    print(f"\n  the neuron: δ = 2 (a − y) σ′(z) {'formula':>19}{'engine':>14}{'largest difference':>20}")
    show_beside_engine("∂C/∂w = δ x", delta * X[0], neuron.weights)
    show_beside_engine("∂C/∂b = δ", [delta], [neuron.bias])


def show_deltas_of_a_network(X: Any, y: Any) -> None:
    """A network 10-3-1 with σ on both layers, as the text has it; y is brought into (0, 1), where σ can reach it."""
    target = y[0] / 400
    network = MLP(len(NAMES), [3, 1], activation="sigmoid", output_activation="sigmoid", seed=0)
    mse_loss([network(X[0])], [target]).backward()

    hidden, output = network.layers
    w1, w2 = (np.array([[weight.data for weight in row] for row in layer.weights]) for layer in network.layers)
    z1 = w1 @ X[0]  # biases begin at 0
    a1 = sigma(z1)
    z2 = w2 @ a1
    delta2 = 2 * (sigma(z2) - target) * slope(z2)
    delta1 = (w2.T @ delta2) * slope(z1)
    as_printed = (w2.T @ delta2) * slope(z2)

    print("\n  a network 10-3-1, σ on both layers: δ^(L) = 2 (a − y) σ′(z^(L)), δ^(L−1) = wᵀ δ^(L) ⊙ σ′(z^(L−1))")
    show_beside_engine("∂C/∂w^(L) = δ^(L) a^(L−1)", np.outer(delta2, a1), output.weights)
    show_beside_engine("∂C/∂b^(L) = δ^(L)", delta2, output.biases)
    show_beside_engine("∂C/∂w^(L−1) = δ^(L−1) x", np.outer(delta1, X[0]), hidden.weights)
    show_beside_engine("∂C/∂b^(L−1) = δ^(L−1)", delta1, hidden.biases)
    show_beside_engine("the slip: σ′(z^(L)) in δ^(L−1)", as_printed, hidden.biases)
    print()


def sigma(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def slope(z: Any) -> Any:
    """σ′"""
    return sigma(z) * (1 - sigma(z))


def show_beside_engine(name: str, formula: Any, parameters: Any) -> None:
    numbers = np.ravel(formula)
    engine = np.array([parameter.grad for parameter in np.ravel(parameters)])
    print(f"    {name:<34}{numbers[0]:14.8g}{engine[0]:14.8g}{np.abs(numbers - engine).max():20.1e}")


# The picture


def draw_coefficients(ols: Any, descents: dict[str, Descent], path: Path) -> None:
    """The coefficients of OLS and of the descents, and the error of the worst one over the steps."""
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = np.arange(len(NAMES))
    left.axvline(0, color="0.7", linewidth=1)
    left.plot(ols[:-1], places, "o", color="0.6", markersize=15, label="OLS")
    for (name, descent), colour, marker, size in zip(
        descents.items(), ("tab:blue", "tab:orange"), "os", (8, 4), strict=True
    ):
        found = coefficients(descent.neuron)[:-1]
        steps = len(descent.errors) - 1
        left.plot(found, places, marker, color=colour, markersize=size, label=f"{name}, {steps} steps")
        right.loglog(range(1, steps + 1), descent.errors[1:], color=colour, linewidth=2, label=name)
    left.set_yticks(places, NAMES)
    left.invert_yaxis()
    left.set(
        title="the coefficients w",
        xlabel="disease progression (points) per standard deviation of the measurement",
    )
    left.legend(loc="lower left", fontsize="small")
    left.grid(axis="x", color="0.92")
    right.axhline(ENOUGH, color="0.5", linewidth=1, linestyle="--")
    right.annotate("six digits", (1, ENOUGH), xytext=(0, 4), textcoords="offset points", color="0.4")
    right.set(
        title="how far the worst coefficient is from OLS", xlabel="step", ylabel="relative error", xlim=(0.9, None)
    )
    right.legend(loc="lower left", bbox_to_anchor=(0, 0.14))
    right.grid(color="0.92")
    figure.suptitle("Linear regression as one neuron: gradient descent on 442 diabetes patients")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(plain_steps=100 if "short" in sys.argv[1:] else 10_000, folder=Path("pictures"))

"""Two moons: a network learns a curved boundary between two classes of points.

The points are scikit-learn's make_moons, two half circles that reach into one another, with noise. A network 2-16-16-1
gives the logit N(x); a point is of class 1 where N(x) ≥ 0, and σ(N(x)) is the probability of that (Gill & Gill, section
3.2). It is trained by the binary cross-entropy of the logits, with Adam on batches of 20 points. The same training
without a hidden layer shows what the hidden layers are for: its boundary is a straight line.

`python demos/moons.py short` trains less, and draws coarsely. Ctrl-C ends a training, and what was learnt is shown.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nn import MLP, Adam, Classifier, CosineDecay, accuracy, binary_cross_entropy_with_logits, fit

try:
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from sklearn.datasets import make_moons
except ImportError as error:
    sys.exit(f"moons.py: {error}: pip install 'autograd-mini[sklearn,plot]'")

NETWORKS = {"without a hidden layer": [1], "hidden layers of 16 and 16": [16, 16, 1]}
COLOURS = "tab:blue", "tab:orange"
BATCH_SIZE = 20
LEARNING_RATE = 0.03
SHOWS_PROGRESS = sys.stdout.isatty() and find_spec("rich") is not None


def main(epochs: int, grid: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    X, y = make_moons(300, noise=0.15, random_state=4)
    train, held_out = (X[:200], y[:200]), (X[200:], y[200:])
    classifiers = {name: learn(name, sizes, train, held_out, epochs) for name, sizes in NETWORKS.items()}
    draw_boundaries(classifiers, train, held_out, grid, folder / "moons.png")


def learn(name: str, sizes: list[int], train: Any, held_out: Any, epochs: int) -> Classifier:
    model = MLP(2, sizes, activation="relu", seed=1)
    steps = epochs * len(train[0]) // BATCH_SIZE
    history = fit(
        model,
        *train,
        loss=binary_cross_entropy_with_logits,
        optimizer=Adam(CosineDecay(LEARNING_RATE, steps)),
        epochs=epochs,
        batch_size=BATCH_SIZE,
        seed=1,
        progress=SHOWS_PROGRESS,
    )
    classifier = Classifier(model)
    print(
        f"{name}: {len(model.parameters())} parameters, {history.epochs} of {epochs} epochs; {history.stopped_because}"
    )
    for part, (X, y) in {"trained on": train, "held out": held_out}.items():
        loss = float(binary_cross_entropy_with_logits([model(x) for x in X], y))
        right = accuracy(classifier.predict(X), y)
        print(f"  {part:<11}{len(X):5} points: cross-entropy {loss:.4f}, accuracy {right:.3f}")
    return classifier


def draw_boundaries(classifiers: dict[str, Classifier], train: Any, held_out: Any, grid: int, path: Path) -> None:
    """The probability of class 1 over the plane, where it is a half, and the points."""
    figure = Figure(figsize=(12.5, 4.8), layout="constrained")
    panels = figure.subplots(1, len(classifiers))
    pale = LinearSegmentedColormap.from_list("moons", ["#8ebad9", "white", "#ffbf86"])
    edges = (-1.6, 2.6, -1.2, 1.7)
    x1, x2 = np.meshgrid(np.linspace(*edges[:2], grid), np.linspace(*edges[2:], grid))
    plane = np.column_stack([x1.ravel(), x2.ravel()])
    for axes, (name, classifier) in zip(panels, classifiers.items(), strict=True):
        probabilities = classifier.predict_proba(plane)[:, 1].reshape(x1.shape)
        field = axes.imshow(
            probabilities, cmap=pale, vmin=0, vmax=1, origin="lower", extent=edges, interpolation="bilinear"
        )
        axes.contour(x1, x2, probabilities, levels=[0.1, 0.9], colors="0.4", linewidths=1, linestyles="dashed")
        axes.contour(x1, x2, probabilities, levels=[0.5], colors="black", linewidths=2.5)
        for label, marker in enumerate("o^"):
            for (X, y), size, edge, part in ((train, 5, "none", "trained on"), (held_out, 8, "black", "held out")):
                of_class = X[y == label]
                (points,) = axes.plot(*of_class.T, marker, color=COLOURS[label], markersize=size)
                points.set(markeredgecolor=edge, label=f"class {label}, {part}")
        X, y = held_out
        predicted = classifier.predict(X)
        wrong = X[predicted != y]
        axes.plot(*wrong.T, "o", markersize=16, markerfacecolor="none", markeredgecolor="black", label="wrong")
        axes.set(title=f"{name}: {accuracy(predicted, y):.0%} of the held-out points right", xlabel="x₁", ylabel="x₂")
    figure.colorbar(field, ax=panels, label="probability of class 1")
    figure.suptitle("Two moons: the boundary, where the probability is ½, and dashed where it is 0.1 and 0.9")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


if __name__ == "__main__":
    if "short" in sys.argv[1:]:
        main(epochs=6, grid=25, folder=Path("pictures"))
    else:
        main(epochs=30, grid=100, folder=Path("pictures"))

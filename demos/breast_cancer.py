"""Breast cancer: is a tumour malignant, and how far can the network's probability of that be trusted?

The data are the 569 tumours of Wolberg, Street and Mangasarian (1995): 30 measurements of the nuclei of their cells,
and the diagnosis. A network 30-8-1 is trained by the binary cross-entropy (Gill & Gill, section 3.2)

    −(1/S) Σ [yₛ log σ(N(xₛ)) + (1 − yₛ) log(1 − σ(N(xₛ)))],  yₛ = 1 for malignant,

on four fifths of the tumours, and asked about the last fifth; and so five times, so that each tumour is once held
out. All that is told here is about held-out tumours; means and deviations that scale them are those of the others.

Accuracy counts the right answers. Calibration asks for more: of the tumours that got a probability of 0.7, are seven
in ten malignant?

`python demos/breast_cancer.py short` holds out each half in turn, and trains less. Ctrl-C ends the training, and the
script shows what it has by then.
"""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nn import MLP, Adam, Classifier, accuracy, binary_cross_entropy, binary_cross_entropy_with_logits, fit

try:
    from matplotlib.figure import Figure
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import StratifiedKFold
except ImportError as error:
    sys.exit(f"breast_cancer.py: {error}: pip install 'autograd-mini[sklearn,plot]'")

COLOURS = "tab:blue", "tab:orange"
BINS = 0.0, 0.1, 0.5, 0.9, 1.0
SHOWS_PROGRESS = sys.stdout.isatty() and find_spec("rich") is not None


class Bin(NamedTuple):
    """The tumours whose probability lies in one part of [0, 1]: how many, their mean probability, the share malignant.

    likely: from which share to which, with 95 % confidence.
    """

    text: str
    tumours: int
    predicted: float
    malignant: float
    likely: tuple[float, float]


def main(folds: int, epochs: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    X, y = load_breast_cancer(return_X_y=True)
    y = 1 - y  # scikit-learn has 1 for benign
    probabilities = np.full(len(y), np.nan)
    for part, (others, held_out) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=0).split(X, y)):
        scaled = (X - X[others].mean(axis=0)) / X[others].std(axis=0)
        model = MLP(X.shape[1], [8, 1], activation="tanh", seed=part)
        history = fit(
            model,
            scaled[others],
            y[others],
            loss=binary_cross_entropy_with_logits,
            optimizer=Adam(0.02),
            epochs=epochs,
            batch_size=32,
            seed=part,
            progress=SHOWS_PROGRESS,
        )
        probabilities[held_out] = Classifier(model).predict_proba(scaled[held_out])[:, 1]
        loss = binary_cross_entropy(probabilities[held_out], y[held_out])
        done = f"{history.epochs} of {epochs} epochs"
        print(f"part {part + 1}: {len(others)} tumours, {done}; held-out cross-entropy {loss:.4f}")
        if history.stopped_because == "Ctrl-C":
            print("Interrupted by Ctrl-C: the tumours of the parts so far.")
            break
    known = ~np.isnan(probabilities)
    show_answers(probabilities[known], y[known])
    draw_calibration(probabilities[known], y[known], folder / "breast_cancer.png")


def show_answers(probabilities: Any, y: Any) -> None:
    answers = probabilities >= 0.5
    always = binary_cross_entropy(np.full(len(y), y.mean()), y)
    print(f"\nAll {len(y)} held-out tumours, of which {y.sum()} are malignant")
    print(f"  accuracy       {accuracy(answers, y):.4f}    always benign: {1 - y.mean():.4f}")
    print(f"  cross-entropy  {binary_cross_entropy(probabilities, y):.4f}    always {y.mean():.3f}: {always:.4f}")
    print(f"\n  {'':<12}{'said benign':>14}{'said malignant':>16}")
    for label, name in enumerate(("benign", "malignant")):
        print(f"  {name:<12}{(~answers[y == label]).sum():14}{answers[y == label].sum():16}")

    print("\nCalibration")
    print(f"  {'probability':<14}{'tumours':>8}{'mean':>8}{'malignant':>11}   with 95 % confidence")
    for each in calibration(probabilities, y):
        low, high = each.likely
        verdict = "" if low <= each.predicted <= high else "   the mean is outside"
        shares = f"{each.predicted:8.3f}{each.malignant:11.3f}   {low:.3f} to {high:.3f}"
        print(f"  {each.text:<14}{each.tumours:8}{shares}{verdict}")
    sure = (probabilities < 0.1) & (y == 1)
    print(f"\n{sure.sum()} of the {y.sum()} malignant tumours got less than 0.1: a network can be sure and wrong.\n")


def calibration(probabilities: Any, y: Any) -> Iterator[Bin]:
    for low, high in pairwise(BINS):
        inside = (probabilities >= low) & ((probabilities < high) | (high == 1))
        if inside.any():
            count, share = inside.sum(), y[inside].mean()
            yield Bin(f"{low} to {high}", count, probabilities[inside].mean(), share, wilson(share, count))


def wilson(share: float, count: int) -> tuple[float, float]:
    """The interval of Wilson (1927) for a share that was counted: 1.96 standard deviations to both sides."""
    z = 1.96
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def draw_calibration(probabilities: Any, y: Any, path: Path) -> None:
    """How many tumours got which probability, and how many of those are malignant."""
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    edges = np.linspace(0, 1, 21)
    for label, (name, hatch) in enumerate((("benign", ""), ("malignant", "///"))):
        style = {"color": COLOURS[label], "alpha": 0.75, "hatch": hatch, "edgecolor": "white"}
        heights = np.histogram(probabilities[y == label], edges)[0]
        offset = 0.025 * label
        left.bar(edges[:-1] + offset, heights, width=0.025, align="edge", label=f"{(y == label).sum()} {name}", **style)
    left.axvline(0.5, color="black", linewidth=1, linestyle="--")
    left.set(
        title=f"{accuracy(probabilities >= 0.5, y):.1%} are on the right side of ½",
        xlabel="predicted probability of malignant",
        ylabel="held-out tumours",
        yscale="symlog",
    )
    left.set_yticks([0, 1, 3, 10, 30, 100, 300], ["0", "1", "3", "10", "30", "100", "300"])
    left.minorticks_off()
    left.legend(loc="upper right", bbox_to_anchor=(0.47, 1))

    right.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfectly calibrated")
    bins = list(calibration(probabilities, y))
    predicted, malignant = ([getattr(each, name) for each in bins] for name in ("predicted", "malignant"))
    likely = np.array([each.likely for each in bins]).T
    distances = np.abs(likely - malignant)
    right.errorbar(
        predicted, malignant, distances, fmt="o", color=COLOURS[0], markersize=8, capsize=5, label="95 % confidence"
    )
    for each in bins:
        is_high = each.predicted > 0.85
        right.annotate(
            f"{each.tumours} tumours",
            (each.predicted, each.malignant),
            xytext=(-12 if is_high else 12, -4),
            textcoords="offset points",
            ha="right" if is_high else "left",
        )
    right.set(
        title="calibration: predicted and actual shares",
        xlabel="mean predicted probability of malignant",
        ylabel="share that is malignant",
        aspect="equal",
    )
    right.grid(color="0.92")
    right.legend(loc="upper left")
    figure.suptitle("Breast cancer: a network 30-8-1 on tumours that it was not trained on")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


if __name__ == "__main__":
    if "short" in sys.argv[1:]:
        main(folds=2, epochs=4, folder=Path("pictures"))
    else:
        main(folds=5, epochs=10, folder=Path("pictures"))

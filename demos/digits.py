"""Handwritten digits: a network 64-32-10, trained number by number on real images.

scikit-learn's digits are 1797 images of 8 × 8 pixels, written by 13 people: the test set of UCI's "Optical Recognition
of Handwritten Digits". 360 of them are held out, drawn at random with a fifth of each digit; so the network has seen
other digits of the same hands, and unknown hands would be harder. The classes are learnt by the softmax cross-entropy
of the ten outputs and a small penalty on the weights, with Adam on batches of 32 images, its steps getting smaller
towards the end.

The network computes number by number, 2,368 products a sample, and as many sums. `fit` lets it do so once, on `Value`s,
and trains in the array code that it makes of what it saw: all images, 30 times, in about a second.

`python demos/digits.py short` trains on a part of the images. Ctrl-C ends the training, and what was learnt is shown.
"""

import sys
import time
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from nn import MLP, Adam, Classifier, CosineDecay, accuracy, cross_entropy, fit

try:
    from matplotlib.figure import Figure
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ImportError as error:
    sys.exit(f"digits.py: {error}: pip install 'autograd-mini[sklearn,plot]'")

HELD_OUT = 360
BATCH_SIZE = 32
EPOCHS = 30
SHOWS_PROGRESS = sys.stdout.isatty() and find_spec("rich") is not None


def main(n_images: int | None, epochs: int, folder: Path) -> None:
    print(__doc__.split("\n`python")[0])
    X, y = load_digits(return_X_y=True)
    X = X / 16  # the brightest is 16
    X_train, X_held_out, y_train, y_held_out = train_test_split(X, y, test_size=HELD_OUT, stratify=y, random_state=0)
    X_train, y_train = X_train[:n_images], y_train[:n_images]

    model = MLP(64, [32, 10], activation="relu", seed=0)
    began = time.perf_counter()
    history = fit(
        model,
        X_train,
        y_train,
        loss=cross_entropy,
        optimizer=Adam(CosineDecay(0.01, epochs * ceil(len(X_train) / BATCH_SIZE)), weight_decay=0.001),
        epochs=epochs,
        batch_size=BATCH_SIZE,
        seed=0,
        progress=SHOWS_PROGRESS,
    )
    seconds = time.perf_counter() - began
    print(f"Trained on {len(X_train)} of {len(X) - HELD_OUT} images, {history.engine}:")
    print(f"{history.epochs} of {epochs} epochs in {seconds:.1f} s; {history.stopped_because}")
    print(f"The loss of each epoch: {' '.join(f'{loss:.3f}' for loss in history)}")

    probabilities = Classifier(model).predict_proba(X_held_out)
    predicted = probabilities.argmax(axis=1)
    right = accuracy(predicted, y_held_out)
    print(f"\nHeld out: {HELD_OUT} images, {right * HELD_OUT:.0f} of them right, accuracy {right:.4f}")
    table = confusion(predicted, y_held_out)
    show_confusion(table)
    draw_digits(X_held_out, y_held_out, probabilities, table, folder / "digits.png")


def confusion(predicted: Any, y: Any) -> Any:
    """How often the digit of each row was taken for that of each column."""
    table = np.zeros((10, 10), dtype=int)
    np.add.at(table, (y, predicted), 1)
    return table


def show_confusion(table: Any) -> None:
    print("\nA row for each digit, a column for what it was taken for")
    print("     " + "".join(f"{digit:4}" for digit in range(10)))
    for digit, row in enumerate(table):
        print(f"  {digit}  " + "".join(f"{count or '·':>4}" for count in row))
    mistakes = [(table[i, j], i, j) for i, j in np.ndindex(10, 10) if i != j]
    count, digit, taken_for = max(mistakes)
    if count:
        print(f"The most frequent mistake: {digit} taken for {taken_for}, {count} of {table[digit].sum()}.")
    print()


def draw_digits(X: Any, y: Any, probabilities: Any, table: Any, path: Path) -> None:
    """The confusion table, and the images that were taken for another digit, with the most certain first."""
    predicted = probabilities.argmax(axis=1)
    figure = Figure(figsize=(12.5, 6.6), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=[11, 10])
    left, right = halves
    axes = left.subplots()
    axes.imshow(np.sqrt(table), cmap="Blues", vmax=1.6 * np.sqrt(table.max()))
    for (row, column), count in np.ndenumerate(table):
        if count:
            weight = "normal" if row == column else "bold"
            axes.text(column, row, count, ha="center", va="center", fontsize=12, weight=weight)
    axes.set(
        title=f"what each digit was taken for: {accuracy(predicted, y):.1%} right",
        xlabel="taken for",
        ylabel="digit",
        xticks=range(10),
        yticks=range(10),
    )
    wrong = np.flatnonzero(predicted != y)
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]])]
    panels = right.subplots(4, 4)
    for panel in panels.flat:
        panel.set_axis_off()
    for panel, place in zip(panels.flat, wrong, strict=False):
        panel.imshow(X[place].reshape(8, 8), cmap="gray_r")
        certainty = probabilities[place, predicted[place]]
        panel.set_title(f"{y[place]} as {predicted[place]} ({certainty:.0%})", fontsize=11)
    shown = min(len(wrong), panels.size)
    right.suptitle(
        f"{shown} of the {len(wrong)} mistakes, the most certain first"
        if shown < len(wrong)
        else f"all {shown} mistakes, the most certain first"
    )
    figure.suptitle(f"A network 64-32-10 on {len(y)} handwritten digits that it was not trained on")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"wrote {path}")


if __name__ == "__main__":
    if "short" in sys.argv[1:]:
        main(n_images=192, epochs=EPOCHS, folder=Path("pictures"))
    else:
        main(n_images=None, epochs=EPOCHS, folder=Path("pictures"))

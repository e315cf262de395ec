"""From the outputs of a network to labels and probabilities: `heaviside`, `softmax` and `Classifier`."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from autograd_mini import Value, logsumexp, sigmoid
from nn.checks import as_number, describe, flatten, without_arrays


@overload
def heaviside(x: Value | float) -> int: ...
@overload
def heaviside(x: NDArray[Any]) -> NDArray[np.int_]: ...
@overload
def heaviside(x: Sequence[Any]) -> list[Any]: ...
def heaviside(x: Any) -> Any:
    """The Heaviside step h: 1 for x >= 0, 0 for x < 0 (Gill & Gill, section 3.2).

    x: a number or a `Value`, or lists of them, however nested; an int, or ints in the same shape, an array for an
    array. It is flat, so that no gradient goes through it: the result is no `Value`.

    Raises ValueError for NaN, TypeError for what is not a number.
    """
    plain = without_arrays(x)
    if isinstance(plain, (list, tuple)):
        steps = [heaviside(each) for each in plain]
        return np.array(steps, dtype=int) if hasattr(x, "__array__") else steps
    number = float(as_number(plain, "heaviside: expected numbers"))
    if math.isnan(number):
        raise ValueError("heaviside: expected numbers, got nan")
    return int(number >= 0)


@overload
def softmax(logits: Iterable[Value]) -> list[Value]: ...
@overload
def softmax(logits: Iterable[Value | float]) -> list[Any]: ...
def softmax(logits: Any) -> list[Any]:
    """The probability of each class, exp(zᵢ) / Σₖ exp(zₖ), from the logits of one sample.

    Computed as σ(−log Σ_{k≠i} exp(zₖ − zᵢ)): nothing overflows, and the gradients keep their digits where a
    probability is near 0 or 1. To train, `cross_entropy` takes the logits themselves.

    logits: a row of C ≥ 2 `Value`s, which gives `Value`s, or of numbers, which gives floats.

    Raises ValueError for another shape, TypeError for what is not a number.
    """
    row: list[Value | float] = []
    shape = flatten(logits, "softmax", "logits", row)
    if len(shape) != 1 or len(row) < 2:
        raise ValueError(f"softmax: expected a row of at least two logits, got shape {shape}")
    return [sigmoid(-logsumexp([z - row[i] for k, z in enumerate(row) if k != i])) for i in range(len(row))]


class Classifier:
    """A network N as a classifier: labels by its outputs, and probabilities (Gill & Gill, section 3.2).

    With one output, a sample x gets the label h(N(x)), 1 where N(x) >= 0 and else 0, and σ(N(x)) is the probability
    of label 1. With an output for each of several classes it gets the number of the largest, from 0, the first one
    of equals, and the probabilities are the `softmax` of the outputs.

    model: an `MLP`, or anything that can be called on a sample and returns a number or a row of them, trained by
    `binary_cross_entropy_with_logits` or `cross_entropy`.
    from_logits: False where the outputs are probabilities already; h then steps at 1/2.

    Raises TypeError if model cannot be called, ValueError for an MLP with output_activation="sigmoid" whose outputs
    are called logits: none is below 0, so that every label would be 1.
    """

    def __init__(self, model: Callable[[Any], Any], *, from_logits: bool = True) -> None:
        if not callable(model):
            raise TypeError(f"Classifier: expected model to be callable, got {describe(model)}")
        if from_logits and getattr(model, "output_activation", None) == "sigmoid":
            raise ValueError("Classifier: expected from_logits=False for output_activation='sigmoid', got True")
        self.model = model
        self.from_logits = from_logits

    def predict(self, X: Any) -> NDArray[np.int_]:  # noqa: N803  # as in fit
        """The label of each sample, shape (S,).

        X: S samples, a list or an array of shape (S, n_inputs); where the model has one input, S plain numbers will
        do. Raises ValueError if there are none, the model's outputs differ in number, or one is infinite, NaN or, with
        from_logits=False, no probability; TypeError if X is no list, and whatever the model raises.
        """
        outputs = self._outputs(X)
        if outputs.shape[1] > 1:
            classes: NDArray[np.int_] = outputs.argmax(axis=1)
            return classes
        return heaviside(outputs[:, 0] - (0.0 if self.from_logits else 0.5))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803  # as in fit
        """The probability of each label for each sample, shape (S, n_classes), as in scikit-learn.

        With one output the two columns are 1 − σ(N(x)) and σ(N(x)), both exact in the tails. The arguments and errors
        are those of `predict`.
        """
        outputs = self._outputs(X)
        if self.from_logits:
            if outputs.shape[1] == 1:  # σ(z) is the softmax of 0 and z
                outputs = np.column_stack([np.zeros(len(outputs)), outputs])
            return np.array([softmax(row) for row in outputs.tolist()])
        return np.column_stack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def _outputs(self, samples: Any) -> NDArray[np.float64]:
        """What the model returns for each sample, shape (S, n_outputs)."""
        samples = without_arrays(samples)
        if not isinstance(samples, (list, tuple)):
            raise TypeError(f"Classifier: expected X to be a list or an array of samples, got {describe(samples)}")
        if not samples:
            raise ValueError("Classifier: expected X to hold at least one sample, got none")
        # Sample by sample, so that each graph is freed before the next is recorded.
        rows = [self._row(sample, f"X[{place}]") for place, sample in enumerate(samples)]
        for place, row in enumerate(rows):
            if len(row) != len(rows[0]):
                raise ValueError(
                    f"Classifier: expected model to return as many outputs for X[{place}] as for X[0], {len(rows[0])},"
                    f" got {len(row)}"
                )
        return np.array(rows)

    def _row(self, sample: Any, place: str) -> list[float]:
        outputs: list[Value | float] = []
        shape = flatten(self.model(sample), "Classifier", f"the outputs of model for {place}", outputs)
        if len(shape) > 1 or not outputs:
            raise ValueError(f"Classifier: expected model to return a number or a row of them, got shape {shape}")
        row = [float(output) for output in outputs]
        for output in row:
            if not math.isfinite(output):
                raise ValueError(f"Classifier: expected finite outputs of model, got {output} for {place}")
            if not self.from_logits and not 0 <= output <= 1:
                raise ValueError(f"Classifier: expected outputs of model from 0 to 1, got {output} for {place}")
        return row

    def __repr__(self) -> str:
        return f"Classifier({self.model!r}{'' if self.from_logits else ', from_logits=False'})"

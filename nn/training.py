"""`fit`: train a model on data by gradient descent."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol, TypeAlias

from autograd_mini import Value
from nn.checks import as_number, describe, plural, positive_int, without_arrays
from nn.losses import mse_loss
from nn.optimizers import SGD, Optimizer

Sample: TypeAlias = Value | float | list[Value | float]


class Trainable(Protocol):
    """What `fit` needs of a model: a `Module` that can be called, or anything like it."""

    def __call__(self, sample: Any, /) -> Any:
        """The prediction for one sample."""

    def parameters(self) -> Iterable[Value]:
        """What training changes."""


def fit(
    model: Trainable,
    X: Any,  # noqa: N803  # as in the sources, and in every library of the field
    y: Any,
    *,
    loss: Callable[[list[Any], list[Any]], Any] = mse_loss,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    progress: bool = False,
) -> list[float]:
    """Train by gradient descent on all samples at once, and return the loss before each update, one an epoch.

    The algorithm is DL1-DL8 of Gill & Gill, section 5.2.

    model: a `Module`, or anything that can be called on a sample and has parameters().
    X: S samples, a list or an array of shape (S, n_inputs); where the model has one input, S plain numbers will do.
    y: S targets: numbers, or for several outputs rows of them. Shape (S, 1) is a row of one number, not a number.
    loss: a function of the list of S predictions and the list of S targets that returns a `Value`.
    optimizer: SGD(0.01) unless you give another.
    progress: shows a progress bar; needs `pip install 'autograd-mini[progress]'`.

    Ctrl-C stops at the last whole epoch: the parameters are as that epoch left them, the history ends with it.

    Raises ValueError or TypeError that names the argument, before anything is changed. Raises FloatingPointError
    where the loss or a parameter becomes NaN or infinite; the parameters are then those of the last finite loss.
    """
    samples = _check_data(X, "X")
    targets = _check_data(y, "y")
    if len(samples) != len(targets):
        raise ValueError(
            f"fit: expected a target in y for each sample in X, got {plural(len(samples), 'sample')}"
            f" and {plural(len(targets), 'target')}"
        )
    epochs = positive_int(epochs, "fit: expected epochs to be a positive int")
    optimizer = SGD() if optimizer is None else optimizer
    _check_callables(loss, optimizer)
    parameters = _find_parameters(model)
    with _progress_bar(epochs) if progress else nullcontext(_report_nothing) as report:
        return _descend(model, samples, targets, loss, optimizer, parameters, epochs, report)


def _descend(
    model: Trainable,
    samples: list[Sample],
    targets: list[Sample],
    loss: Callable[[list[Any], list[Any]], Any],
    optimizer: Optimizer,
    parameters: list[Value],
    epochs: int,
    report: Callable[[float], None],
) -> list[float]:
    history: list[float] = []
    last_finite = _numbers(parameters)
    whole_epochs = (last_finite, 0)
    try:
        for epoch in range(1, epochs + 1):
            current = _loss_and_gradients(model, samples, targets, loss, parameters)
            if math.isfinite(current):
                last_finite = whole_epochs[0]
                optimizer.step(parameters)
            numbers = _numbers(parameters)
            if not math.isfinite(current) or not all(map(math.isfinite, numbers)):
                _put_back(parameters, last_finite)
                raise FloatingPointError(_not_finite(current, epoch))
            history.append(current)
            whole_epochs = (numbers, epoch)  # one assignment, so that Ctrl-C finds both or neither
            report(current)
    except KeyboardInterrupt:
        numbers, epoch = whole_epochs
        _put_back(parameters, numbers)
        del history[epoch:]
    return history


def _loss_and_gradients(
    model: Trainable,
    samples: list[Sample],
    targets: list[Sample],
    loss: Callable[[list[Any], list[Any]], Any],
    parameters: list[Value],
) -> float:
    """DL5 and DL6. The graph is freed on return, so that two are never held at once."""
    result = loss([model(sample) for sample in samples], targets)
    if not isinstance(result, Value):
        raise TypeError(f"fit: expected loss to return a Value, got {describe(result)}")
    for parameter in parameters:
        parameter.grad = 0.0
    if math.isfinite(result.data):
        result.backward()
    return result.data


def _numbers(parameters: list[Value]) -> list[float]:
    return [parameter.data for parameter in parameters]


def _put_back(parameters: list[Value], numbers: list[float]) -> None:
    for parameter, number in zip(parameters, numbers, strict=True):
        parameter.data = number
        parameter.grad = 0.0


def _not_finite(current: float, epoch: int) -> str:
    if epoch == 1 and not math.isfinite(current):
        return f"fit: the loss is {current} in epoch 1, before any update: try smaller initial values or data"
    what = "a parameter became NaN or infinite" if math.isfinite(current) else f"the loss became {current}"
    return f"fit: {what} in epoch {epoch}, the parameters are back at the last finite loss: try a smaller learning rate"


def _report_nothing(current: float) -> None:
    pass


@contextmanager
def _progress_bar(epochs: int) -> Iterator[Callable[[float], None]]:
    try:
        from rich.progress import Progress
    except ImportError:
        raise ImportError("fit: progress=True needs rich: pip install 'autograd-mini[progress]'") from None
    with Progress() as bar:
        task = bar.add_task("loss", total=epochs)
        yield lambda current: bar.update(task, advance=1, description=f"loss {current:.4g}")


# Arguments


def _check_data(data: Any, name: str) -> list[Sample]:
    """X or y as a list of numbers, or of rows of numbers that are equally long; every number finite."""
    data = without_arrays(data)
    if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
        raise TypeError(f"fit: expected {name} to be a list or an array, got {describe(data)}")
    if not data:
        raise ValueError(f"fit: expected {name} to hold at least one sample, got none")
    samples = [_check_sample(sample, name, f"{name}[{place}]") for place, sample in enumerate(data)]
    for place, sample in enumerate(samples):
        if _shape(sample) != _shape(samples[0]):
            raise ValueError(
                f"fit: expected rows of equal length in {name},"
                f" got {_shape(samples[0])} in {name}[0] and {_shape(sample)} in {name}[{place}]"
            )
    return samples


def _check_sample(sample: Any, name: str, place: str) -> Sample:
    sample = without_arrays(sample)
    if not isinstance(sample, (list, tuple)):
        return _check_number(sample, name, place)
    if not sample:
        raise ValueError(f"fit: expected at least one number in {place}, got none")
    return [_check_number(number, name, place) for number in sample]


def _check_number(number: Any, name: str, place: str) -> Value | float:
    checked = as_number(number, f"fit: expected numbers in {place}")
    if not math.isfinite(checked):
        raise ValueError(f"fit: expected finite numbers in {name}, got {float(checked)} in {place}")
    return checked


def _shape(sample: Sample) -> str:
    return f"a row of {len(sample)}" if isinstance(sample, list) else "a plain number"


def _check_callables(loss: object, optimizer: object) -> None:
    if not callable(loss):
        raise TypeError(f"fit: expected loss to be a function of predictions and targets, got {describe(loss)}")
    if isinstance(optimizer, type) or not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"fit: expected optimizer to have a method step, as SGD(0.01) does, got {describe(optimizer)}")


def _find_parameters(model: Trainable) -> list[Value]:
    if not callable(model) or not callable(getattr(model, "parameters", None)):
        raise TypeError(f"fit: expected model to be callable and to have parameters(), got {describe(model)}")
    parameters = list(dict.fromkeys(model.parameters()))  # one that is shared is updated once
    if not parameters:
        raise ValueError("fit: expected model to have at least one parameter, got none")
    return parameters

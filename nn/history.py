"""`History`: what was measured while a model was trained."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from nn.checks import as_number, describe, plural


class History(Sequence[float]):
    """The curves of a training, a number for each whole epoch; as a sequence, the losses.

    `history[-1]` is the last loss, `len(history)` the number of epochs, and a history equals a list of its losses.

    `curves` maps names to lists, all of one length: "loss"; "learning_rate", where the optimizer has one; with
    validation_data "validation_loss"; and for each metric its name, and "validation_" before it.
    `stopped_because` says how the training ended, `engine` whether its steps were "compiled", "eager" or JAX's, "jax",
    and where they were eager, `eager_because` says why. The three are not part of a checkpoint.

    Raises ValueError or TypeError that names the curve, if those given have no "loss" or differ in length.
    """

    def __init__(self, curves: Mapping[str, Sequence[float]] | None = None) -> None:
        self.curves: dict[str, list[float]] = {"loss": []} if curves is None else _check_curves(curves)
        self.stopped_because = ""
        self.engine = ""
        self.eager_because = ""

    @property
    def loss(self) -> list[float]:
        """The loss of each epoch: the mean over its samples, of each batch as it was before its update."""
        return self.curves["loss"]

    @property
    def validation_loss(self) -> list[float]:
        """The loss on the validation data after each epoch; empty where there were none."""
        return self.curves.get("validation_loss", [])

    @property
    def learning_rate(self) -> list[float]:
        """The optimizer's learning rate as each epoch began; empty where it has none."""
        return self.curves.get("learning_rate", [])

    @property
    def epochs(self) -> int:
        """How many epochs it holds."""
        return len(self.loss)

    def record(self, numbers: Mapping[str, float]) -> None:
        """Add one epoch. Raises ValueError where it has other curves than the epochs before."""
        if self.epochs == 0:
            self.curves = {name: [] for name in numbers}
        if numbers.keys() != self.curves.keys():
            raise ValueError(f"History: expected the curves {', '.join(self.curves)}, got {', '.join(numbers)}")
        for name, number in numbers.items():
            self.curves[name].append(number)

    def cut(self, epochs: int) -> None:
        """Forget all but the first epochs, also where one was recorded by half."""
        for curve in self.curves.values():
            del curve[epochs:]

    def to_dict(self) -> dict[str, list[float]]:
        """A copy of the curves by name, all of one length: what `pandas.DataFrame` and `History` take."""
        return {name: list(curve) for name, curve in self.curves.items()}

    def plot(self, *names: str, axes: Any = None) -> Any:
        """Draw curves over the epochs with matplotlib, and return the axes: yours, or new ones.

        Without names it draws the loss, and the validation loss where there is one. Needs
        `pip install 'autograd-mini[plot]'`. Raises ValueError for a curve that it does not have.
        """
        names = names or tuple(name for name in ("loss", "validation_loss") if name in self.curves)
        for name in names:
            if name not in self.curves:
                raise ValueError(f"History.plot: expected curves among {', '.join(self.curves)}, got {describe(name)}")
        if axes is None:
            axes = _new_axes()
        for name in names:
            marker = "o" if self.epochs == 1 else ""  # a line of one point does not show
            axes.plot(range(1, self.epochs + 1), self.curves[name], label=name.replace("_", " "), marker=marker)
        axes.set_xlabel("epoch")
        axes.legend()
        return axes

    @overload
    def __getitem__(self, place: int, /) -> float: ...
    @overload
    def __getitem__(self, place: slice, /) -> list[float]: ...
    def __getitem__(self, place: int | slice, /) -> float | list[float]:
        return self.loss[place]

    def __len__(self) -> int:
        return len(self.loss)

    def __iter__(self) -> Iterator[float]:
        return iter(self.loss)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, History):
            return self.curves == other.curves
        return self.loss == list(other) if isinstance(other, (list, tuple)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        parts = [plural(self.epochs, "epoch")]
        if self.epochs:
            parts += [f"{name} {curve[0]:.4g} → {curve[-1]:.4g}" for name, curve in self.curves.items()]
        parts += [self.stopped_because] if self.stopped_because else []
        return f"History({', '.join(parts)})"


def _check_curves(curves: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    if not isinstance(curves, Mapping) or "loss" not in curves:
        raise ValueError(f"History: expected a dict of curves with one named 'loss', got {describe(curves)}")
    checked: dict[str, list[float]] = {}
    for name, curve in curves.items():
        if not isinstance(name, str) or not isinstance(curve, (list, tuple)):
            raise TypeError(f"History: expected lists of numbers by name, got {describe(curve)} as {describe(name)}")
        checked[name] = [float(as_number(number, f"History: expected numbers in {name!r}")) for number in curve]
        if len(curve) != len(curves["loss"]):
            raise ValueError(
                f"History: expected curves of equal length, got {plural(len(curve), 'number')} of {name!r}"
                f" and {len(curves['loss'])} of 'loss'"
            )
    return checked


def _new_axes() -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError("History.plot: needs matplotlib: pip install 'autograd-mini[plot]'") from None
    axes = pyplot.subplots()[1]
    axes.locator_params(axis="x", integer=True)  # there is no epoch 1.25
    return axes

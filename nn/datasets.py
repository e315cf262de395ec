"""The data sets that come with scikit-learn, as tables; nothing is downloaded."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nn.tables import DataTable

TARGET = "target"
"""The column of what is to be predicted."""


def load_dataset(name: str) -> DataTable:
    """One of `DATASETS` as a table whose last column is `TARGET`; classes have their names where they have any.

    Raises ValueError for another name, ImportError without scikit-learn.
    """
    if name not in DATASETS:
        raise ValueError(f"load_dataset: expected one of {', '.join(DATASETS)}, got {name!r}")
    try:
        import sklearn.datasets as datasets
    except ImportError:
        raise ImportError(
            f"the data set {name} comes with scikit-learn: pip install 'autograd-mini[sklearn]'"
        ) from None
    columns, samples, targets, classes = DATASETS[name](datasets)
    texts = [classes[target] for target in targets] if classes else [repr(target) for target in targets]
    rows = [[*map(repr, sample), text] for sample, text in zip(samples, texts, strict=True)]
    return DataTable(name, [*columns, TARGET], rows, range(1, len(rows) + 1), unit="row")


_Parts = tuple[Sequence[str], list[list[float]], list[Any], Sequence[str] | None]
"""The names of the columns, the samples, the targets, and the names of the classes if they have any."""


def _bundled(loader: str) -> Callable[[Any], _Parts]:
    def load(datasets: Any) -> _Parts:
        bunch = getattr(datasets, loader)()
        classes = [str(name) for name in bunch.get("target_names", []) if isinstance(name, str)]
        return list(map(str, bunch.feature_names)), bunch.data.tolist(), bunch.target.tolist(), classes or None

    return load


def _moons(datasets: Any) -> _Parts:
    """Two half circles, each around an end of the other, as in micrograd's demo."""
    samples, targets = datasets.make_moons(n_samples=200, noise=0.1, random_state=0)
    return ["x", "y"], np.asarray(samples).tolist(), np.asarray(targets).tolist(), None


DATASETS: dict[str, Callable[[Any], _Parts]] = {
    "digits": _bundled("load_digits"),
    "moons": _moons,
    "breast_cancer": _bundled("load_breast_cancer"),
    "diabetes": _bundled("load_diabetes"),
}

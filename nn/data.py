"""Reading what a model is trained on: lists, arrays and frames become lists of finite numbers, or are refused."""

import math
from collections.abc import Sequence, Sized
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from autograd_mini import Value
from nn.checks import as_number, describe, plural, without_arrays

Sample: TypeAlias = Value | float | list[Value | float]
"""A number, or a row of them."""

Rows: TypeAlias = NDArray[np.float64] | list[Sample]
"""Samples or targets side by side: an array, a sample a row; a list where some are `Value`s."""


def read_data(
    where: str,
    X: Any,  # noqa: N803  # as in the sources, and in every library of the field
    y: Any,
    names: tuple[str, str] = ("X", "y"),
) -> tuple[list[Sample], list[Sample]]:
    """The samples and their targets: equally many, rows equally long, every number finite.

    X and y: lists, arrays, or anything that turns into an array, as the frames and series of pandas do. Raises
    ValueError or TypeError that begins with `where` and names the argument and the place in it.
    """
    samples, targets = read_samples(where, X, names[0]), read_samples(where, y, names[1])
    check_pairs(where, samples, targets, names)
    return samples, targets


def check_pairs(where: str, samples: Sized, targets: Sized, names: tuple[str, str]) -> None:
    """Raise ValueError unless they are equally many."""
    if len(samples) != len(targets):
        raise ValueError(
            f"{where}: expected a target in {names[1]} for each sample in {names[0]},"
            f" got {plural(len(samples), 'sample')} and {plural(len(targets), 'target')}"
        )


def read_samples(where: str, data: Any, name: str) -> list[Sample]:
    """X or y as a list of numbers, or of rows of numbers that are equally long; every number finite."""
    return listed(read_rows(where, data, name))


def listed(rows: Rows) -> list[Sample]:
    """Rows as lists, or as plain numbers."""
    return cast("list[Sample]", rows.tolist()) if isinstance(rows, np.ndarray) else rows


def read_rows(where: str, data: Any, name: str) -> Rows:
    """X or y, numbers or rows of numbers that are equally long and finite, side by side; a copy of an array."""
    if isinstance(data, np.ndarray) and data.dtype.kind in "fiub" and data.ndim in (1, 2) and data.size:
        numbers = data.astype(float)
        if np.isfinite(numbers).all():
            return numbers
    data = without_arrays(data)
    if not isinstance(data, Sequence) or isinstance(data, (str, bytes)):
        raise TypeError(f"{where}: expected {name} to be a list or an array, got {describe(data)}")
    if not data:
        raise ValueError(f"{where}: expected {name} to hold at least one sample, got none")
    samples = [_read_sample(where, sample, name, f"{name}[{place}]") for place, sample in enumerate(data)]
    for place, sample in enumerate(samples):
        if row_shape(sample) != row_shape(samples[0]):
            raise ValueError(
                f"{where}: expected rows of equal length in {name},"
                f" got {row_shape(samples[0])} in {name}[0] and {row_shape(sample)} in {name}[{place}]"
            )
    return samples if any(map(_holds_values, samples)) else np.array(samples, dtype=np.float64)


def _holds_values(sample: Sample) -> bool:
    return isinstance(sample, Value) or (isinstance(sample, list) and any(isinstance(each, Value) for each in sample))


def row_shape(sample: Sample) -> str:
    """`a row of 3`, `a plain number`."""
    return f"a row of {len(sample)}" if isinstance(sample, list) else "a plain number"


def _read_sample(where: str, sample: Any, name: str, place: str) -> Sample:
    sample = without_arrays(sample)
    if not isinstance(sample, (list, tuple)):
        return _read_number(where, sample, name, place)
    if not sample:
        raise ValueError(f"{where}: expected at least one number in {place}, got none")
    return [_read_number(where, number, name, place) for number in sample]


def _read_number(where: str, number: Any, name: str, place: str) -> Value | float:
    if number.__class__ is float and math.isfinite(number):
        return number  # as most are
    checked = as_number(number, f"{where}: expected numbers in {place}")
    if not math.isfinite(checked):
        raise ValueError(f"{where}: expected finite numbers in {name}, got {float(checked)} in {place}")
    return checked

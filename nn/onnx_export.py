"""A trained model as a file of ONNX, which other runtimes and languages read."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from autograd_mini import Value, compile_graph
from autograd_mini.whole_files import write_whole
from nn.checks import describe, flatten, plural, shown
from nn.weights import Table, tables

_LARGEST = {"float32": float(np.finfo(np.float32).max), "float64": float(np.finfo(np.float64).max)}
"""The types of numbers, with the largest that each can hold."""


def export_onnx(model: Any, path: str | os.PathLike[str], *, example: Any = None, dtype: str = "float32") -> Path:
    """Write a model as ONNX, whole or not at all, for onnxruntime and others to run; gives the path.

    The file takes "inputs" of shape (batch, n_inputs), the samples as rows, and gives "outputs", what the model
    returns for each: of shape (batch, n_outputs) where that is a list, (batch,) where it is one number, as of
    `MLP(3, [4, 1])`, and as targets are.

    model: an `MLP`, or anything with parameters() that can be called with a sample and traced, see `compile_graph`.
    path: ends in .onnx; an older file is replaced, or stays as it was.
    example: a sample, for models without n_inputs: a number, or a list or array of numbers; "inputs" has its shape
    behind the batch. What numbers it holds makes no difference.
    dtype: "float32", which most runtimes expect, is right to some six digits, "float64" to some fourteen; see
    `CompiledGraph.to_onnx` for what is less.

    Needs `pip install 'autograd-mini[onnx]'`. Raises ValueError or TypeError that names the argument,
    `NotTraceableError` for a model that looks at its numbers, OSError where the file cannot be written.
    """
    where = "export_onnx"
    if not callable(model) or isinstance(model, type):
        raise TypeError(f"{where}: expected model to be callable with a sample, got {describe(model)}")
    target = _check_path(where, path)
    if not isinstance(dtype, str) or dtype not in _LARGEST:
        raise ValueError(f"{where}: expected dtype to be one of {', '.join(_LARGEST)}, got {describe(dtype)}")
    sample = _sample(where, model, example)
    parameters = tables(where, model)
    _check_numbers(where, parameters, dtype)
    _check_library(where)

    def predict(inputs: Any) -> Any:
        outputs = model(inputs)
        flatten(outputs, where, "what the model returns", [])  # raises for what has no shape
        return outputs

    leaves = {name: _leaves(table) for name, table in parameters.items()}
    compiled = compile_graph(predict, sample, parameters=leaves or None, dtype=dtype)
    numbers = {name: table.numbers() for name, table in parameters.items()}
    proto = compiled.to_onnx(numbers, None) if numbers else compiled.to_onnx(None)
    proto.graph.name = type(model).__name__
    proto.doc_string = f"{type(model).__name__} of {plural(sum(map(np.size, numbers.values())), 'parameter')}"
    write_whole(target, proto.SerializeToString())
    return target


def _check_path(where: str, path: Any) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{where}: expected path to be a path, got {describe(path)}")
    target = Path(path)
    if target.suffix.lower() != ".onnx":
        raise ValueError(f"{where}: expected path to end in .onnx, got {shown(os.fspath(target))}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{where}: there is no folder {os.fspath(target.parent)!r}")
    if target.is_dir():
        raise IsADirectoryError(f"{where}: expected the name of a file, got the folder {os.fspath(target)!r}")
    return target


def _sample(where: str, model: Any, example: Any) -> Any:
    """What the model is traced with."""
    n_inputs = getattr(model, "n_inputs", None)
    if example is None:
        if not isinstance(n_inputs, int):
            raise ValueError(
                f"{where}: expected example, a sample that the model takes, as {type(model).__name__} has no n_inputs"
            )
        return [0.0] * n_inputs
    numbers: list[Value | float] = []
    shape = flatten(example, where, "example", numbers)
    if not numbers:
        raise ValueError(f"{where}: expected example to hold numbers, got {describe(example)}")
    if isinstance(n_inputs, int) and shape != (n_inputs,) and (shape or n_inputs != 1):
        raise ValueError(
            f"{where}: expected example to be a list of {plural(n_inputs, 'number')}, as the model takes,"
            f" got {describe(example)}"
        )
    return np.array([float(number) for number in numbers]).reshape(shape).tolist()


def _check_numbers(where: str, parameters: dict[str, Table], dtype: str) -> None:
    for name, table in parameters.items():
        numbers = table.numbers()
        if not np.isfinite(numbers).all():
            raise ValueError(f"{where}: expected finite parameters, got {describe(numbers.tolist())} in {name}")
        if np.abs(numbers).max(initial=0.0) > _LARGEST[dtype]:
            raise ValueError(
                f"{where}: expected parameters that float32 can hold, or dtype='float64',"
                f" got {describe(numbers.tolist())} in {name}"
            )


def _check_library(where: str) -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise ImportError(f"{where}: needs onnx: pip install 'autograd-mini[onnx]'") from None


def _leaves(table: Table) -> Any:
    """The parameters themselves, in the shape of their array."""
    if not table.shape:
        return table.parameters[0]
    return np.array(table.parameters, dtype=object).reshape(table.shape)

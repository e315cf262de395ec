"""Weights as NumPy arrays and as PyTorch's `state_dict`, and back."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autograd_mini import Value
from nn.checks import describe, plural, shown
from nn.modules import MLP

Array = NDArray[np.float64]


class Table(NamedTuple):
    """Parameters that stand together in an array of that shape, row by row."""

    shape: tuple[int, ...]
    parameters: list[Value]

    def numbers(self) -> Array:
        """Their numbers."""
        return np.array([parameter.data for parameter in self.parameters]).reshape(self.shape)


def to_numpy(model: Any) -> dict[str, Array]:
    """The parameters of a model as float64 arrays by name, each once: `layers.0.weights`, `layers.0.biases`, ….

    A layer of neurons has weights of shape (n_outputs, n_inputs) and biases of shape (n_outputs,), as in `MLP`.
    Elsewhere, parameters that stand in a list are an array under the name of the attribute; what fills no
    rectangle stands alone, under its name of `named_parameters()`.

    model: a `Module`, or anything with parameters(). Raises TypeError for the rest.
    """
    return {name: table.numbers() for name, table in tables("to_numpy", model).items()}


def from_numpy(model: Any, arrays: Mapping[str, ArrayLike]) -> None:
    """Give the parameters of a model the numbers of arrays, by the names and in the shapes of `to_numpy`.

    Raises ValueError or TypeError that names the array, before anything is changed: for a name that is missing or too
    many, another shape, NaN or infinity.
    """
    if not isinstance(arrays, Mapping):
        raise TypeError(f"from_numpy: expected arrays by name, as to_numpy gives, got {describe(arrays)}")
    prepare("from_numpy", model, arrays)()


def prepare(where: str, model: Any, arrays: Mapping[str, ArrayLike]) -> Callable[[], None]:
    """Check arrays against a model, and return the function that puts them in, which can no longer fail."""
    places = tables(where, model)
    for name in places:
        if name not in arrays:
            raise ValueError(f"{where}: expected an array {name!r}, as the model has, got {describe(list(arrays))}")
    for name in arrays:
        if name not in places:
            raise ValueError(
                f"{where}: expected arrays {', '.join(places)}, as the model has, got {shown(name)} as well"
            )
    return _put_in(places, {name: _checked(where, name, arrays[name], places[name].shape) for name in places})


def tables(where: str, model: Any) -> dict[str, Table]:
    """The parameters of a model in the shape of arrays, see `to_numpy`."""
    found: dict[str, dict[tuple[int, ...], Value]] = {}
    names: dict[Value, str] = {}
    for name, parameter in _named_parameters(where, model):
        names[parameter] = name
        table, place = _place(name)
        found.setdefault(table, {})[place] = parameter
    complete: dict[str, Table] = {}
    for table, members in found.items():
        shape = tuple(max(places) + 1 for places in zip(*members, strict=False))
        if all(len(place) == len(shape) for place in members) and len(members) == math.prod(shape):
            complete[table] = Table(shape, [members[place] for place in sorted(members)])
        else:
            complete |= {names[parameter]: Table((), [parameter]) for parameter in members.values()}
    return complete


def _named_parameters(where: str, model: Any) -> list[tuple[str, Value]]:
    if callable(getattr(model, "named_parameters", None)) and not isinstance(model, type):
        return list(model.named_parameters())
    if callable(getattr(model, "parameters", None)) and not isinstance(model, type):
        return [(f"parameters.{place}", each) for place, each in enumerate(dict.fromkeys(model.parameters()))]
    raise TypeError(f"{where}: expected model to have parameters(), got {describe(model)}")


_IN_LAYER = re.compile(r"(.*\.)?neurons\.(\d+)\.(?:weights\.(\d+)|bias)")
_IN_LIST = re.compile(r"(.*?)((?:\.\d+)+)")


def _place(name: str) -> tuple[str, tuple[int, ...]]:
    """The array of a parameter, and its place there: layers.0.neurons.1.weights.2 is layers.0.weights[1, 2]."""
    if found := _IN_LAYER.fullmatch(name):
        layer, row, column = found.groups(default="")
        return (f"{layer}weights", (int(row), int(column))) if column else (f"{layer}biases", (int(row),))
    if found := _IN_LIST.fullmatch(name):
        return found[1], tuple(map(int, found[2].split(".")[1:]))
    return name, ()


def _checked(where: str, name: str, numbers: Any, shape: tuple[int, ...]) -> Array:
    try:
        array = np.asarray(numbers)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: expected {name!r} to be an array of shape {shape}: {error}") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{where}: expected {name!r} to hold numbers, got {describe(numbers)}")
    if array.shape != shape:
        raise ValueError(f"{where}: expected {name!r} of shape {shape}, as in the model, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{where}: expected {name!r} to hold finite numbers, got {describe(array.tolist())}")
    return array.astype(np.float64)


def _put_in(places: Mapping[str, Table], arrays: Mapping[str, Array]) -> Callable[[], None]:
    def put_in() -> None:
        for name, table in places.items():
            for parameter, number in zip(table.parameters, arrays[name].ravel().tolist(), strict=True):
                parameter.data = number

    return put_in


# PyTorch


def to_torch_state_dict(model: MLP) -> dict[str, Any]:
    """The weights of an `MLP` as the state_dict of the same network in PyTorch, in float64.

    That network is nn.Sequential(nn.Linear(…), activation, nn.Linear(…), …), with no module where the activation is
    None: its keys are "0.weight", "0.bias", "2.weight", …. Needs `pip install 'autograd-mini[torch]'`. Raises
    TypeError for another model.
    """
    layers = _check_mlp("to_torch_state_dict", model).layers
    try:
        import torch
    except ImportError:
        raise ImportError("to_torch_state_dict: needs PyTorch: pip install 'autograd-mini[torch]'") from None
    state: dict[str, Any] = {}
    place = 0
    for layer in layers:
        rows = [[weight.data for weight in row] for row in layer.weights]
        state[f"{place}.weight"] = torch.tensor(rows, dtype=torch.float64)
        if layer.biases:
            state[f"{place}.bias"] = torch.tensor([bias.data for bias in layer.biases], dtype=torch.float64)
        place += 1 if layer.activation is None else 2
    return state


def from_torch_state_dict(model: MLP, state_dict: Mapping[str, Any]) -> None:
    """Give an `MLP` the weights of a PyTorch network of linear layers of the same sizes.

    state_dict: tensors or arrays of any float type. What comes before `.weight` and `.bias` may be any name: layers
    are taken in the order of the dict. The activations are not in it, so they are yours to choose.

    Raises ValueError or TypeError that names the key, before anything is changed: for other keys, numbers of layers
    and shapes, NaN or infinity.
    """
    where = "from_torch_state_dict"
    layers = _check_mlp(where, model).layers
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"{where}: expected a state_dict, got {describe(state_dict)}")
    names = list(dict.fromkeys(_layer_name(where, key) for key in state_dict))
    if len(names) != len(layers):
        raise ValueError(f"{where}: expected {plural(len(layers), 'layer')}, as the model has, got {describe(names)}")
    places: dict[str, Table] = {}
    for name, layer in zip(names, layers, strict=True):
        shape = (len(layer.neurons), layer.n_inputs)
        places[f"{name}weight"] = Table(shape, [weight for row in layer.weights for weight in row])
        if layer.biases:
            places[f"{name}bias"] = Table(shape[:1], layer.biases)
    if state_dict.keys() != places.keys():
        raise ValueError(f"{where}: expected the keys {', '.join(places)}, got {', '.join(state_dict)}")
    arrays = {key: _without_tensor(state_dict[key]) for key in places}
    _put_in(places, {key: _checked(where, key, arrays[key], places[key].shape) for key in places})()


def _check_mlp(where: str, model: object) -> MLP:
    if not isinstance(model, MLP):
        raise TypeError(f"{where}: expected model to be an MLP, got {describe(model)}")
    return model


def _layer_name(where: str, key: object) -> str:
    """`0.` of `0.weight`; nothing of `weight`, as in the state_dict of a single nn.Linear."""
    found = re.fullmatch(r"((?:.*\.)?)(?:weight|bias)", key) if isinstance(key, str) else None
    if found is None:
        raise ValueError(f"{where}: expected keys that end in weight or bias, got {describe(key)}")
    return found[1]


def _without_tensor(thing: Any) -> Any:
    """A tensor as nested lists: of any type, on any device, with or without gradients."""
    return thing.detach().tolist() if callable(getattr(thing, "detach", None)) else thing

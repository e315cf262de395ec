"""Weights as NumPy arrays and as PyTorch's state_dict: the same numbers, and the same predictions."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd_mini import Value
from nn import MLP, Layer, Module, Neuron
from nn.weights import from_numpy, from_torch_state_dict, to_numpy, to_torch_state_dict


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


class Odd(Module):
    """Parameters in every shape that a module may hold them in."""

    def __init__(self) -> None:
        count = iter(range(1, 100))

        def new() -> Value:
            return Value(next(count))

        self.alone = new()
        self.list = [new(), new()]
        self.table = [[new(), new(), new()], [new(), new(), new()]]
        self.ragged = [[new()], [new(), new()]]
        self.by_name = {"a": new(), "b": [new(), new()]}
        self.gaps = {0: new(), 5: new()}
        self.turned = {1: new(), 0: new()}
        self.tied = [self.alone, new()]
        self.network = MLP(2, [2, 1], init="ones")


ODD_SHAPES = {
    "alone": (),
    "list": (2,),
    "table": (2, 3),
    "ragged.0.0": (),
    "ragged.1.0": (),
    "ragged.1.1": (),
    "by_name.a": (),
    "by_name.b": (2,),
    "gaps.0": (),
    "gaps.5": (),
    "turned": (2,),
    "tied.1": (),
    "network.layers.0.weights": (2, 2),
    "network.layers.0.biases": (2,),
    "network.layers.1.weights": (1, 2),
    "network.layers.1.biases": (1,),
}


# NumPy


def test_the_arrays_of_a_network() -> None:
    weights = [np.arange(6.0).reshape(2, 3), np.array([[7.0, 8.0]])]
    biases = [np.array([-1.0, -2.0]), np.array([-3.0])]
    arrays = to_numpy(MLP(3, [2, 1], init=list(zip(weights, biases, strict=True))))
    assert list(arrays) == ["layers.0.weights", "layers.0.biases", "layers.1.weights", "layers.1.biases"]
    for found, expected in zip(arrays.values(), [weights[0], biases[0], weights[1], biases[1]], strict=True):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("model", "shapes"),
    [
        (MLP(2, [11, 1], bias=False), {"layers.0.weights": (11, 2), "layers.1.weights": (1, 11)}),
        (Layer(3, 2), {"weights": (2, 3), "biases": (2,)}),
        (Neuron(3), {"weights": (3,), "bias": ()}),
        (Odd(), ODD_SHAPES),
    ],
    ids=["MLP", "Layer", "Neuron", "Odd"],
)
def test_the_names_and_shapes(model: Module, shapes: dict[str, tuple[int, ...]]) -> None:
    assert {name: array.shape for name, array in to_numpy(model).items()} == shapes


def test_every_number_stands_in_its_place() -> None:
    arrays = to_numpy(Odd())
    assert arrays["table"].tolist() == [[4, 5, 6], [7, 8, 9]]
    assert arrays["turned"].tolist() == [19, 18]
    assert arrays["tied.1"] == 20.0
    # Beyond nine rows, an order by names would be 0, 1, 10, 2.
    rows = np.arange(24.0).reshape(12, 2)
    assert to_numpy(MLP(2, [12], init=[(rows, np.zeros(12))]))["layers.0.weights"].tolist() == rows.tolist()


@pytest.mark.parametrize("make", [lambda: MLP(3, [4, 2], seed=1), lambda: Layer(2, 3, seed=1), Odd])
def test_there_and_back(make: Callable[[], Module]) -> None:
    model, other = make(), make()
    random = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data = random.normal()
    from_numpy(other, to_numpy(model))
    assert numbers(other) == numbers(model)


def test_arrays_may_be_lists_and_of_other_types() -> None:
    model = MLP(2, [1])
    from_numpy(model, {"layers.0.weights": [[1, 2]], "layers.0.biases": np.array([0.5], dtype=np.float32)})
    assert numbers(model) == [1.0, 2.0, 0.5]
    assert all(type(number) is float for number in numbers(model))
    assert model.layers[0].neurons[0].weights[0].label == "w⁰₁₁"  # the parameters are the same ones


def test_a_model_that_is_no_module() -> None:
    class Model:
        shared = Value(1.0)

        def parameters(self) -> list[Value]:
            return [self.shared, self.shared, Value(2.0)]

    assert {name: array.tolist() for name, array in to_numpy(Model()).items()} == {"parameters": [1.0, 2.0]}


def wrong(arrays: dict[str, Any], name: str, thing: Any) -> dict[str, Any]:
    return {**arrays, name: thing}


ARRAYS = {"layers.0.weights": [[1.0, 2.0]], "layers.0.biases": [3.0]}


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        (3, TypeError, "from_numpy: expected arrays by name, as to_numpy gives, got int 3"),
        (
            {"layers.0.weights": [[1.0, 2.0]]},
            ValueError,
            "from_numpy: expected an array 'layers.0.biases', as the model has, got list ['layers.0.weights']",
        ),
        (
            wrong(ARRAYS, "more", 1.0),
            ValueError,
            "from_numpy: expected arrays layers.0.weights, layers.0.biases, as the model has, got 'more' as well",
        ),
        (
            wrong(ARRAYS, "layers.0.biases", [[3.0]]),
            ValueError,
            "from_numpy: expected 'layers.0.biases' of shape (1,), as in the model, got (1, 1)",
        ),
        (
            wrong(ARRAYS, "layers.0.biases", [np.nan]),
            ValueError,
            "from_numpy: expected 'layers.0.biases' to hold finite numbers, got list [nan]",
        ),
        (
            wrong(ARRAYS, "layers.0.biases", ["1.0"]),
            TypeError,
            "from_numpy: expected 'layers.0.biases' to hold numbers, got list ['1.0']",
        ),
        (
            wrong(ARRAYS, "layers.0.biases", [1j]),
            TypeError,
            "from_numpy: expected 'layers.0.biases' to hold numbers, got list [1j]",
        ),
    ],
)
def test_wrong_arrays_change_nothing(arrays: Any, error: type[Exception], message: str) -> None:
    model = MLP(2, [1], init="ones")
    with pytest.raises(error) as raised:
        from_numpy(model, arrays)
    assert str(raised.value) == message
    assert numbers(model) == [1.0, 1.0, 0.0]


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^from_numpy: expected 'layers\.0\.weights' to be an array of shape \(1, 2\): "
    ):
        from_numpy(MLP(2, [1]), wrong(ARRAYS, "layers.0.weights", [[1.0], [2.0, 3.0]]))


@pytest.mark.parametrize("model", [3, MLP, None])
def test_what_has_no_parameters_is_refused(model: object) -> None:
    with pytest.raises(TypeError, match=r"^to_numpy: expected model to have parameters\(\), got "):
        to_numpy(model)


# PyTorch


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is the oracle of these tests: pip install torch")


MODULES = {None: None, "relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "gelu": "GELU"}


def in_torch(torch: Any, model: MLP) -> Any:
    """The same network of PyTorch's own modules, with weights of its own, in float64."""
    sizes, modules = [model.n_inputs, *model.sizes], []
    for place, layer in enumerate(model.layers):
        modules.append(torch.nn.Linear(sizes[place], sizes[place + 1], bias=bool(layer.biases)))
        name = MODULES[layer.activation]  # type: ignore[index]
        if name is not None:
            modules.append(getattr(torch.nn, name)())
    return torch.nn.Sequential(*modules).double()


CASES = [
    (activation, output, bias)
    for activation, output in [(None, None), ("relu", None), ("tanh", "sigmoid"), ("softplus", "tanh"), ("gelu", None)]
    for bias in (True, False)
]


def assert_same_predictions(torch: Any, model: MLP, network: Any) -> None:
    for sample in np.random.default_rng(4).normal(size=(5, model.n_inputs)):
        with torch.no_grad():
            expected = network(torch.tensor(sample)).tolist()
        assert [value.data for value in model(sample)] == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("activation", "output", "bias"), CASES)
def test_to_pytorch(torch: Any, activation: str | None, output: str | None, bias: bool) -> None:
    model = MLP(3, [4, 5, 2], activation, output, bias=bias, seed=7)
    for parameter in model.parameters():
        parameter.data += 0.25  # biases of 0 would hide a mistake
    network = in_torch(torch, model)
    network.load_state_dict(to_torch_state_dict(model))
    assert_same_predictions(torch, model, network)


@pytest.mark.parametrize(("activation", "output", "bias"), CASES)
def test_from_pytorch(torch: Any, activation: str | None, output: str | None, bias: bool) -> None:
    model = MLP(3, [4, 5, 2], activation, output, bias=bias, seed=7)
    torch.manual_seed(3)
    network = in_torch(torch, model)
    from_torch_state_dict(model, network.state_dict())
    assert_same_predictions(torch, model, network)


def test_the_keys_are_those_of_sequential(torch: Any) -> None:
    state = to_torch_state_dict(MLP(2, [3, 1], "tanh"))
    assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert [tuple(tensor.shape) for tensor in state.values()] == [(3, 2), (3,), (1, 3), (1,)]
    assert {tensor.dtype for tensor in state.values()} == {torch.float64}
    assert list(to_torch_state_dict(MLP(2, [3, 1], None, bias=False))) == ["0.weight", "1.weight"]


def test_there_and_back_through_pytorch(torch: Any) -> None:
    model, other = MLP(3, [4, 2], seed=1), MLP(3, [4, 2], seed=2)
    from_torch_state_dict(other, to_torch_state_dict(model))
    assert numbers(other) == numbers(model)


def test_names_and_types_of_pytorch_may_be_any(torch: Any) -> None:
    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(2, 3)
            self.inner = torch.nn.ModuleDict({"second": torch.nn.Linear(3, 1)})

    network = Network().bfloat16()
    model = MLP(2, [3, 1])
    from_torch_state_dict(model, network.state_dict())
    assert numbers(model.layers[1]) == [
        *network.inner["second"].weight[0].tolist(),
        network.inner["second"].bias.item(),
    ]
    from_torch_state_dict(model, dict(network.named_parameters()))  # tensors that want gradients
    single = MLP(2, [1])
    from_torch_state_dict(single, torch.nn.Linear(2, 1).state_dict())
    from_torch_state_dict(single, {"weight": [[1, 2]], "bias": np.array([3.0])})
    assert numbers(single) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (3, TypeError, "expected a state_dict, got int 3"),
        ({"0.weight": [[1, 2]]}, ValueError, "expected the keys 0.weight, 0.bias, got 0.weight"),
        (
            {"0.weight": [[1, 2]], "0.bias": [1], "1.weight": [[1]]},
            ValueError,
            "expected 1 layer, as the model has, got list ['0.', '1.']",
        ),
        ({}, ValueError, "expected 1 layer, as the model has, got list []"),
        ({"0.mean": [1]}, ValueError, "expected keys that end in weight or bias, got str '0.mean'"),
        ({3: [1]}, ValueError, "expected keys that end in weight or bias, got int 3"),
        (
            {"0.weight": [[1], [2]], "0.bias": [1]},
            ValueError,
            "expected '0.weight' of shape (1, 2), as in the model, got (2, 1)",
        ),
        (
            {"0.weight": [[1, 2]], "0.bias": [np.inf]},
            ValueError,
            "expected '0.bias' to hold finite numbers, got list [inf]",
        ),
        ({"0.weight": [[1, 2]], "0.bias": [1j]}, TypeError, "expected '0.bias' to hold numbers, got list [1j]"),
    ],
)
def test_a_wrong_state_dict_changes_nothing(state: Any, error: type[Exception], message: str) -> None:
    model = MLP(2, [1], init="ones")
    with pytest.raises(error) as raised:
        from_torch_state_dict(model, state)
    assert str(raised.value) == f"from_torch_state_dict: {message}"
    assert numbers(model) == [1.0, 1.0, 0.0]


def test_other_models_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^to_torch_state_dict: expected model to be an MLP, got Layer Layer"):
        to_torch_state_dict(Layer(2, 1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^from_torch_state_dict: expected model to be an MLP, got Odd"):
        from_torch_state_dict(Odd(), {})  # type: ignore[arg-type]


def test_without_pytorch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError) as raised:
        to_torch_state_dict(MLP(2, [1]))
    assert str(raised.value) == "to_torch_state_dict: needs PyTorch: pip install 'autograd-mini[torch]'"

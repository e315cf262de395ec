"""`Module`, and the networks of the sources, one `Value` a number: `Neuron`, `Layer` and `MLP`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import add, mul
from typing import Any, TypeAlias

import numpy as np

import autograd_mini
from autograd_mini import TABLE, Value
from nn.checks import as_number, describe, plural, positive_int, shown, without_arrays
from nn.initial_values import Pair, Seed, initial_values, layer_inits, random_numbers

Activation: TypeAlias = str | Callable[[Value], Value] | None
"""A function of the table by its name, any function of a `Value`, or None for none (the identity)."""

Inputs: TypeAlias = Iterable[Value | float] | Value | float
"""One sample: a list, tuple or one-dimensional array; a bare number where there is one input."""


class Module:
    """Anything with parameters: a layer, a network, a model of your own.

    Parameters are found by walking the attributes: `Value`s that are leaves, `Module`s, and lists, tuples, dicts and
    arrays of those, however nested. A recorded result is none: write `Value(0.1 * x)`, not `Value(x) * 0.1`. A
    subclass may override `parameters()` instead, as in micrograd; whatever contains it then takes what it returns.
    """

    def parameters(self) -> list[Value]:
        """Every parameter once, in the order of the attributes."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_parameters(self) -> Iterator[tuple[str, Value]]:
        """Every parameter with its dotted path, as in PyTorch: `layers.0.neurons.1.weights.2`."""
        names: dict[Value, str] = {}
        _collect_attributes(self, "", names, set())
        for parameter, name in names.items():
            yield name, parameter

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to 0."""
        for parameter in self.parameters():
            parameter.grad = 0.0


def _collect(thing: object, name: str, names: dict[Value, str], visited: set[int]) -> None:
    """Add the parameters in `thing` to `names`, each under the first name that leads to it."""
    if isinstance(thing, Value):
        if thing.op is None:  # a recorded result that a model keeps is no parameter
            names.setdefault(thing, name)
    elif isinstance(thing, Module):
        if type(thing).parameters is Module.parameters:
            _collect_attributes(thing, f"{name}.", names, visited)
        elif id(thing) not in visited:
            _collect_overridden(thing, name, names, visited)
    elif isinstance(thing, dict):
        for key, item in thing.items():
            _collect(item, f"{name}.{key}", names, visited)
    elif isinstance(thing, (list, tuple)) or (isinstance(thing, np.ndarray) and thing.dtype == object):
        for place, item in enumerate(thing):
            _collect(item, f"{name}.{place}", names, visited)


def _collect_attributes(module: Module, prefix: str, names: dict[Value, str], visited: set[int]) -> None:
    if id(module) in visited:  # modules may point at one another
        return
    visited.add(id(module))
    for attribute, item in vars(module).items():
        _collect(item, f"{prefix}{attribute}", names, visited)


def _collect_overridden(module: Module, name: str, names: dict[Value, str], visited: set[int]) -> None:
    """Take what a subclass's own `parameters()` returns; what its attributes do not show is numbered."""
    known: dict[Value, str] = {}
    _collect_attributes(module, f"{name}.", known, visited)
    for place, parameter in enumerate(module.parameters()):
        names.setdefault(parameter, known.get(parameter, f"{name}.parameters.{place}"))


class Neuron(Module):
    """One neuron: z = w₁x₁ + w₂x₂ + … + b, and its activation a(z) (Gill & Gill, section 2.1).

    `weights` is the list of n_inputs weights, `bias` a `Value`, or None for bias=False. `activation`, `init` and
    `seed` are as for `MLP`, with init=(weights, bias) for given values. `layer` and `row` say where the neuron
    stands in a network, for the labels: w⁰₁₂ is map 0, row 1, input 2. nonlin=False is micrograd's activation=None.

    Raises ValueError or TypeError that names the argument.
    """

    def __init__(
        self,
        n_inputs: int,
        activation: Activation = "relu",
        *,
        bias: bool = True,
        init: str | Pair | None = None,
        seed: Seed = None,
        layer: int = 0,
        row: int = 1,
        nonlin: bool = True,
    ) -> None:
        activation = activation if nonlin else None
        n_inputs = positive_int(n_inputs, "Neuron: expected n_inputs to be a positive int")
        activation, function = _find_activation(activation, "Neuron: expected activation")
        numbers, bias_number = initial_values("Neuron", init, (n_inputs,), bias, activation, seed)
        self.weights = [
            Value(number, label=f"w{_superscript(layer)}{subscripts(row, column)}")
            for column, number in enumerate(numbers.tolist(), start=1)
        ]
        self.bias = None
        if bias_number is not None:
            self.bias = Value(float(bias_number), label=f"b{_superscript(layer)}{subscripts(row)}")
        self.activation = activation
        self._function = function
        self._pre_activation_label = f"z{_superscript(layer + 1)}{subscripts(row)}"
        self._activation_label = f"a{_superscript(layer + 1)}{subscripts(row)}"

    def __call__(self, inputs: Inputs) -> Value:
        """The neuron's output, labelled a¹₁; its pre-activation is labelled z¹₁.

        Raises ValueError for another number of inputs than n_inputs, TypeError for what is not a number.
        """
        n_inputs = len(self.weights)
        if not isinstance(inputs, list) or len(inputs) != n_inputs:
            inputs = _check_inputs("Neuron", inputs, n_inputs)
        try:
            z: Value = reduce(add, map(mul, self.weights, inputs))
        except TypeError:
            _check_inputs("Neuron", inputs, n_inputs)  # says which input it was
            raise
        if self.bias is not None:
            z = z + self.bias
        z.label = self._pre_activation_label
        if self._function is None:
            return z
        a = self._function(z)
        if not isinstance(a, Value):
            raise TypeError(f"Neuron: expected activation to return a Value, got {describe(a)}")
        if a.op is not None:  # a function of the user's own may return a leaf of theirs
            a.label = self._activation_label
        return a

    @property
    def w(self) -> list[Value]:
        """micrograd's name for `weights`."""
        return self.weights

    @property
    def b(self) -> Value | None:
        """micrograd's name for `bias`."""
        return self.bias

    def __repr__(self) -> str:
        return f"Neuron({len(self.weights)}, {_settings(self.activation, self.bias is not None)})"


class Layer(Module):
    """A row of neurons on the same inputs: Z = W x + B, A = a(Z), with W of shape (n_outputs, n_inputs).

    The arguments are those of `MLP`, with init=(W, B) for given values; `layer` is the number of the map W, for the
    labels. nonlin=False is micrograd's activation=None. Raises ValueError or TypeError that names the argument.
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        activation: Activation = "relu",
        *,
        bias: bool = True,
        init: str | Pair | None = None,
        seed: Seed = None,
        layer: int = 0,
        nonlin: bool = True,
    ) -> None:
        activation = activation if nonlin else None
        n_inputs = positive_int(n_inputs, "Layer: expected n_inputs to be a positive int")
        n_outputs = positive_int(n_outputs, "Layer: expected n_outputs to be a positive int")
        activation, _ = _find_activation(activation, "Layer: expected activation")
        rows, biases = initial_values("Layer", init, (n_outputs, n_inputs), bias, activation, seed)
        self.neurons = [
            Neuron(
                n_inputs,
                activation,
                bias=bias,
                init=(rows[place], None if biases is None else biases[place]),
                layer=layer,
                row=place + 1,
            )
            for place in range(n_outputs)
        ]
        self.n_inputs = n_inputs
        self.activation = activation

    def __call__(self, inputs: Inputs) -> Any:
        """The output of a single neuron as a `Value`, of several as a list of them, as in micrograd.

        Raises ValueError for another number of inputs than n_inputs, TypeError for what is not a number.
        """
        checked = _check_inputs("Layer", inputs, self.n_inputs)
        outputs = [neuron(checked) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def weights(self) -> list[list[Value]]:
        """The matrix W as a list of rows, one a neuron: n_outputs rows of n_inputs weights."""
        return [neuron.weights for neuron in self.neurons]

    @property
    def biases(self) -> list[Value]:
        """The vector B, one a neuron; empty for bias=False."""
        return [neuron.bias for neuron in self.neurons if neuron.bias is not None]

    def __repr__(self) -> str:
        settings = _settings(self.activation, bool(self.biases))
        return f"Layer({self.n_inputs}, {len(self.neurons)}, {settings})"


class MLP(Module):
    """A feed-forward network of any depth: Zˡ⁺¹ = WˡAˡ + Bˡ, Aˡ = a(Zˡ), A⁰ = x (Gill & Gill, sections 2.1 and 5.1).

    `MLP(3, [2, 3, 1], activation="sigmoid")` takes 3 inputs through hidden layers of 2 and 3 neurons to 1 output.
    `layers` are the maps W⁰, B⁰ to Wᴸ⁻¹, Bᴸ⁻¹. Wˡ has a row for each neuron and a column for each input, shape
    (n_out, n_in): the paper's first example prints its matrices the other way round, but W x needs this one.

    activation, output_activation: of the hidden layers and of the last: "relu", "tanh", "sigmoid", or any other
    function of the table that one operand is enough for, by name; any function of a `Value`; None for linear.
    bias: False leaves the biases out.
    init: "he", "xavier", "uniform" (-1 to 1), "ones" or "zeros", with biases of 0; or [(W⁰, B⁰), (W¹, B¹), …], lists
    or arrays, with (W, None) for bias=False. None is "he" after relu, leaky_relu, gelu and softplus, else "xavier".
    seed: an int of 0 or more, or a NumPy generator, makes a run repeat exactly.

    Labels are the paper's: parameters w⁰₁₂ and b⁰₁, forward values z¹₁ and a¹₁, and ŷ (or ŷ₁, ŷ₂, …). Where an
    index is above 9, a comma parts the subscripts: w⁰₁,₁₂.

    Raises ValueError or TypeError that names the argument.
    """

    def __init__(
        self,
        n_inputs: int,
        sizes: Sequence[int],
        activation: Activation = "relu",
        output_activation: Activation = None,
        *,
        bias: bool = True,
        init: str | Sequence[Pair] | None = None,
        seed: Seed = None,
    ) -> None:
        self.n_inputs = positive_int(n_inputs, "MLP: expected n_inputs to be a positive int")
        self.sizes = _check_sizes(sizes)
        self.activation, _ = _find_activation(activation, "MLP: expected activation")
        self.output_activation, _ = _find_activation(output_activation, "MLP: expected output_activation")
        activations = [self.activation] * (len(self.sizes) - 1) + [self.output_activation]
        shapes = list(zip(self.sizes, [self.n_inputs, *self.sizes], strict=False))
        inits = layer_inits(init, shapes, bias)
        random = random_numbers("MLP", seed)
        self.layers = [
            Layer(shape[1], shape[0], activations[place], bias=bias, init=inits[place], seed=random, layer=place)
            for place, shape in enumerate(shapes)
        ]
        n_outputs = self.sizes[-1]
        self._output_labels = ["ŷ"] if n_outputs == 1 else [f"ŷ{subscripts(row + 1)}" for row in range(n_outputs)]

    def __call__(self, inputs: Inputs) -> Any:
        """The prediction for one sample: a `Value` where there is one output, else a list of them.

        Plain numbers stay plain: they are constants of the graph, not nodes. A network of one input also takes a
        bare number. Raises ValueError for another number of inputs than n_inputs, TypeError for what is not a number.
        """
        values: Any = _check_inputs("MLP", inputs, self.n_inputs)
        for layer in self.layers:
            values = layer(values)
        for output, label in zip(values if isinstance(values, list) else [values], self._output_labels, strict=False):
            if output.op is not None:  # a function of the user's own may return a leaf of theirs
                output.label = label
        return values

    def __repr__(self) -> str:
        settings = _settings(self.activation, bool(self.layers[0].biases), self.output_activation)
        return f"MLP({self.n_inputs}, {self.sizes}, {settings})"


# Arguments


def _check_inputs(where: str, inputs: Inputs, n_inputs: int) -> list[Value | float]:
    """A sample as a list of `Value`s and floats."""
    inputs = without_arrays(inputs)
    if isinstance(inputs, (Value, float, int)):
        inputs = [inputs]
    try:
        sample = list(inputs)
    except TypeError:
        raise TypeError(f"{where}: expected a list of {plural(n_inputs, 'input')}, got {describe(inputs)}") from None
    if len(sample) != n_inputs:
        raise ValueError(f"{where}: expected {plural(n_inputs, 'input')}, got {len(sample)}")
    expected = f"{where}: expected numbers or Values as inputs"
    return [x if isinstance(x, Value) or x.__class__ is float else as_number(x, expected) for x in sample]


def _check_sizes(sizes: Iterable[int]) -> list[int]:
    expected = "MLP: expected sizes to be a list of positive ints"
    sizes = without_arrays(sizes)
    if not isinstance(sizes, (list, tuple)):
        raise TypeError(f"{expected}, got {describe(sizes)}")
    if not sizes:
        raise ValueError(f"{expected}, got an empty one")
    return [positive_int(size, expected) for size in sizes]


# Activations


_FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    name: getattr(Value, name)
    for name, op in TABLE.items()
    if not op.is_operator and sum("=" not in parameter for parameter in op.parameters) == 1
}
"""The functions of the table that one operand is enough for, by name, as the methods of `Value`."""


def _find_activation(activation: Activation, expected: str) -> tuple[Activation, Callable[[Value], Value] | None]:
    """The name of an activation (a function outside the table stands for itself) and the function to call."""
    if activation is None:
        return None, None
    if isinstance(activation, str):
        if activation not in _FUNCTIONS:
            raise ValueError(f"{expected} to be one of {', '.join(_FUNCTIONS)}, got {shown(activation)}")
        return activation, _FUNCTIONS[activation]
    if not callable(activation):
        raise TypeError(f"{expected} to be a name, a function of a Value or None, got {describe(activation)}")
    for name, method in _FUNCTIONS.items():
        if activation is method or activation is getattr(autograd_mini, name):
            return name, method
    return activation, activation


def _settings(activation: Activation, bias: bool, output_activation: Activation = None) -> str:
    """The part of a repr that says more than the shape."""
    shown = [f"activation={_name(activation)}"]
    if output_activation is not None:
        shown.append(f"output_activation={_name(output_activation)}")
    if not bias:
        shown.append("bias=False")
    return ", ".join(shown)


def _name(activation: Activation) -> str:
    if activation is None or isinstance(activation, str):
        return str(activation)
    return getattr(activation, "__name__", type(activation).__name__)


# Labels

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _superscript(number: int) -> str:
    return str(number).translate(_SUPERSCRIPTS)


def subscripts(*numbers: int) -> str:
    """The numbers as one subscript, with commas where that would not tell them apart: ₁₂, but ₁,₁₀."""
    separator = "," if max(numbers) > 9 else ""
    return separator.join(map(str, numbers)).translate(_SUBSCRIPTS)

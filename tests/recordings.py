"""Random recorded graphs and networks for Hypothesis: every row of the table, shared nodes, labels that lie."""

import math
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

import nn
from autograd_mini.groups import subscript
from autograd_mini.ops import TABLE
from autograd_mini.value import Value, apply

unhurried = settings(deadline=None)
"""For tests of whole walkthroughs: on a busy machine some take long."""

PLAIN_NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0])
"""Short ones, which formulas show in full."""

ANY_NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-200, 1e200, math.inf, -math.inf, math.nan]), st.floats(-3, 3)
)

LABELS = ["", "", "", "x", "y", "x⁽¹⁾", "v₁", "z¹₁", "z¹₂", "a¹₁", "a¹₂", "ŷ", "w⁰₁₁", "w⁰₂₁", "b⁰₁", "loss"]
"""Also alike, and like those of a network."""


@st.composite
def graphs(
    draw: st.DrawFn, numbers: st.SearchStrategy[float] = ANY_NUMBERS, labels: list[str] = LABELS, most: int = 14
) -> Value:
    """The last node of a small graph of any rows, with constants on either side."""
    nodes = [Value(draw(numbers), draw(st.sampled_from(labels))) for _ in range(draw(st.integers(1, 4)))]
    for _ in range(draw(st.integers(0, most))):
        op = draw(st.sampled_from([*TABLE.values()] + [TABLE[name] for name in ("add", "mul", "sub", "div")] * 4))
        operands: list[Any] = [draw(st.sampled_from(nodes[-4:] if place else nodes)) for place in range(op.arity)]
        constant = draw(st.integers(0, 5))
        if op.arity == 2 and constant < 2:
            operands[constant] = draw(numbers)
        result = apply(op, *operands)
        result.label = draw(st.sampled_from(labels))
        nodes.append(result)
    return nodes[-1]


LEAF = Value(0.25, "my leaf")

ACTIVATIONS: dict[str, Any] = {
    **dict.fromkeys(("relu", "tanh", "sigmoid", "gelu", "leaky_relu"), None),
    "none": None,
    "square": lambda z: z * z,
    "long": lambda z: (z * 0.5).tanh() * z + z.sigmoid() * 2.0,
    "power": lambda z: z**2,
    "the same": lambda z: z,
    "a leaf": lambda z: LEAF,
    "with a leaf": lambda z: z.tanh() * LEAF,
    "now and then": lambda z: z.tanh() if z.data > 0 else z,
    "an abs": abs,
}


def activation(name: str) -> str | Callable[[Value], Value] | None:
    """An activation by its name here."""
    return ACTIVATIONS[name] or (None if name == "none" else name)


@st.composite
def networks(draw: st.DrawFn, names: tuple[str, ...] = tuple(ACTIVATIONS), most: int = 3) -> nn.MLP:
    """A network of one to three layers."""
    return nn.MLP(
        draw(st.integers(1, most)),
        draw(st.lists(st.integers(1, most), min_size=1, max_size=3)),
        activation(draw(st.sampled_from(names))),
        activation(draw(st.sampled_from(["none", "none", *names]))),
        bias=draw(st.booleans()),
        seed=draw(st.integers(0, 99)),
    )


@st.composite
def samples(draw: st.DrawFn, n_inputs: int) -> list[Any]:
    """One sample: numbers, Values or both, also results, and now and then one thing several times."""
    kinds = st.sampled_from(["number", "leaf", "leaf", "leaf", "result", "first"])
    inputs: list[Any] = []
    for place in range(n_inputs):
        kind, x = draw(kinds), draw(PLAIN_NUMBERS)
        leaf = Value(x, f"x{subscript(place + 1)}")
        first = inputs[0] if inputs else leaf
        inputs.append({"number": x, "leaf": leaf, "result": leaf * leaf, "first": first}[kind])
    return inputs


@st.composite
def network_graphs(draw: st.DrawFn) -> Value:
    """What may be made of a network: an output, several of them, a loss over a batch, one network after another."""
    network = draw(networks())
    batch = draw(st.lists(samples(network.n_inputs), min_size=1, max_size=3))
    if draw(st.booleans()):
        batch.append(draw(st.sampled_from(batch)))
    outputs: list[Any] = [network(sample) for sample in batch]
    rows: list[list[Value]] = [output if isinstance(output, list) else [output] for output in outputs]
    kind = draw(st.sampled_from(["one", "sum", "loss", "by column", "again", "penalty"]))
    if kind == "one":
        return rows[0][-1]
    if kind == "loss":
        loss: Value = nn.mse_loss(outputs, [[1.0] * len(row) if len(row) > 1 else 1.0 for row in rows])
        return loss
    if kind == "again":
        other = draw(networks())
        inputs = (rows[0] * other.n_inputs)[: other.n_inputs]
        result: list[Value] | Value = other(inputs)
        return result[0] if isinstance(result, list) else result
    if kind == "penalty":
        return sum((parameter * parameter for parameter in network.parameters()), start=rows[0][0])
    flat = [row[place] for place in range(len(rows[0])) for row in rows]  # by column: layers of samples interleave
    return sum((flat if kind == "by column" else rows[-1])[1:], start=flat[0])

"""The worked example of Gill & Gill, section 5.1, printed in the paper's notation beside the paper's own numbers.

The network 3-2-3-1 with σ on both hidden layers, every weight 1 and every bias 0, at x = (2, 4, 3). The paper calls
the point N(2, 3, 4) twice; its input, and every number it prints, is (2, 4, 3).
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from autograd_mini import RendererNotFound, Value, check_gradients, draw, draw_network, topological_order
from nn.losses import mse_loss
from nn.modules import MLP, subscripts

SIZES = (3, 2, 3, 1)
INPUT = (2.0, 4.0, 3.0)

# The paper's column: the only numbers here that are typed in. D_W¹ is not printed there. It cuts D_Z¹ to eleven
# decimals instead of rounding it, and goes on from numbers that it has cut, so that its last digits of D_A¹ and D_W⁰
# are off as well; `Line.agrees` tells.
PAPER = {
    "Z¹": "9",
    "A¹": "0.99987660542",
    "Z²": "1.99975321085",
    "A²": "0.88077116426",
    "ŷ": "2.6423134928",
    "D_Z³": "1",
    "D_W²": "0.88077116426",
    "D_B²": "1",
    "D_A²": "1",
    "D_Z²": "0.10501332046",
    "D_B¹": "0.10501332046",
    "D_A¹": "0.31503996138",
    "D_Z¹": "0.00003886942",
    "D_B⁰": "0.00003886942",
    "D_w⁰₁₁": "0.00007773884",
    "D_w⁰₁₂": "0.00015547768",
    "D_w⁰₁₃": "0.00011660826",
    "D_w⁰₂₁": "0.00007773884",
    "D_w⁰₂₂": "0.00015547768",
    "D_w⁰₂₃": "0.00011660826",
}


@dataclass(frozen=True)
class Line:
    """One number of the example: its name in the paper, ours, and what the paper prints ("" where it prints none)."""

    name: str
    number: float
    paper: str

    @property
    def agrees(self) -> bool:
        """Whether ours, rounded to as many decimals, is what the paper prints (or it prints nothing)."""
        decimals = len(self.paper.partition(".")[2])
        return not self.paper or f"{self.number:.{decimals}f}" == self.paper


@dataclass(frozen=True)
class Section:
    """One vector or matrix of the paper: the formula it comes from, and its numbers."""

    formula: str
    lines: tuple[Line, ...]


class WorkedExample:
    """The network, its recorded graph at the input, and both passes in the paper's order."""

    def __init__(self) -> None:
        self.network = MLP(SIZES[0], SIZES[1:], activation="sigmoid", init="ones")
        self.output: Value = self.network(INPUT)
        self.output.backward()
        nodes = (node for node in topological_order(self.output) if isinstance(node, Value))
        self._nodes = {node.label: node for node in nodes if node.label}

    def forward(self) -> Iterator[Section]:
        """Z¹, A¹, Z², A² and ŷ."""
        for layer in (1, 2):
            up, below = _UP[layer], "x" if layer == 1 else f"A{_UP[layer - 1]}"
            yield self._numbers(f"Z{up}", "z", layer, f"Z{up} = W{_UP[layer - 1]} {below} + B{_UP[layer - 1]}")
            yield self._numbers(f"A{up}", "a", layer, f"A{up} = σ(Z{up})")
        yield Section("ŷ = Z³ = W² A² + B²", (Line("ŷ", self.output.data, PAPER["ŷ"]),))

    def backward(self) -> Iterator[Section]:
        """BP1, then BP2 for l = 2, 1, 0: the derivatives of ŷ, written D as in the paper."""
        yield Section("BP1:  D_Z³ := 1", (Line("D_Z³", self.output.grad, PAPER["D_Z³"]),))
        for layer in (2, 1, 0):
            up, above = _UP[layer], _UP[layer + 1]
            below = f"A{up}" if layer else "x"
            step = f"BP2, l = {layer}:  "
            yield self._weights(layer, f"{step}D_W{up} := [{below} … {below}] ⊙ rows of D_Z{above}")
            yield self._gradients(f"D_B{up}", "b", layer, f"{step}D_B{up} := D_Z{above}")
            if layer:
                yield self._gradients(f"D_A{up}", "a", layer, f"{step}D_A{up} := (D_Z{above}) W{up}")
                yield self._gradients(f"D_Z{up}", "z", layer, f"{step}D_Z{up} := D_A{up} ⊙ σ′(Z{up})ᵀ")

    def _numbers(self, name: str, letter: str, layer: int, formula: str) -> Section:
        nodes = self._labelled(letter, layer)
        return Section(formula, tuple(Line(label, node.data, PAPER[name]) for label, node in nodes))

    def _gradients(self, name: str, letter: str, layer: int, formula: str) -> Section:
        nodes = self._labelled(letter, layer)
        return Section(formula, tuple(Line(f"D_{label}", node.grad, PAPER[name]) for label, node in nodes))

    def _weights(self, layer: int, formula: str) -> Section:
        # The paper's D_W is the transpose of W, entry (i, j) = D_w_ji, so that it reads column by column of W.
        rows = self.network.layers[layer].weights
        return Section(
            formula,
            tuple(
                Line(name, weight.grad, PAPER.get(name, PAPER.get(f"D_W{_UP[layer]}", "")))
                for column in zip(*rows, strict=True)
                for weight in column
                for name in [f"D_{weight.label}"]
            ),
        )

    def _labelled(self, letter: str, layer: int) -> list[tuple[str, Value]]:
        labels = [f"{letter}{_UP[layer]}{down}" for down in "₁₂₃"]
        return [(label, self._nodes[label]) for label in labels if label in self._nodes]


_UP = "⁰¹²³"


def show(folder: Path) -> None:
    """Print both passes and the checker's table, and write the graph and the network as pictures into folder."""
    example = WorkedExample()
    print("The worked example: network 3-2-3-1, σ on the hidden layers, weights 1, biases 0, x = (2, 4, 3)")
    print(f"\n{'':<12}{'autograd-mini':>24}{'the paper':>18}")
    for title, sections in (("Forward", example.forward()), ("Backward", example.backward())):
        print(f"\n{title}")
        for section in sections:
            print(f"  {section.formula}")
            for line in section.lines:
                number = np.format_float_positional(line.number, precision=14, unique=False, fractional=False, trim="-")
                note = "" if line.agrees else "  *"
                print(f"    {line.name:<8}{number:>24}{line.paper or 'not printed':>18}{note}")
    print("\n* The paper goes on from numbers that it has cut to eleven decimals; its last digits are off.")
    print("\nEvery derivative by a weight or bias against finite differences and 50 digits")
    print(check_gradients(example.output, example.network.parameters()))
    print()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"graph": draw(example.output), "network": draw_network(example.network)}
    for name, picture in pictures.items():
        path = folder / f"worked_example_{name}.svg"
        try:
            picture.save_picture(path)
        except RendererNotFound as advice:  # no renderer: the text of the picture is still there
            path = picture.save_picture(path.with_suffix(".dot"))
            print(advice, file=sys.stderr)
        print(f"wrote {path}")


_MOST_WEIGHTS = 20_000
"""A network of more would be recorded for minutes, and has more operations than one steps through."""


def network_output(
    sizes: Sequence[int] = SIZES,
    inputs: Sequence[float] = INPUT,
    activation: str | None = "sigmoid",
    output_activation: str | None = None,
    weights: str = "ones",
    seed: int | None = None,
    target: Sequence[float] | None = None,
) -> Value:
    """The output of a network at an input whose numbers are `Value`s x₁, x₂, …; the worked example's unless told else.

    sizes: the number of inputs, then of the neurons of each layer. target: gives the mean squared error in the place
    of the output, which is needed where there are several. Raises ValueError that names the argument.
    """
    if len(sizes) < 2:
        raise ValueError("network: expected the number of inputs and of the neurons of each layer, such as 3-2-3-1")
    count = sum(before * after for before, after in pairwise(sizes))
    if count > _MOST_WEIGHTS:
        raise ValueError(f"network: expected at most {_MOST_WEIGHTS:,} weights to step through, got {count:,}")
    network = MLP(sizes[0], list(sizes[1:]), activation, output_activation, init=weights, seed=seed)
    outputs = network([Value(x, f"x{subscripts(place)}") for place, x in enumerate(inputs, start=1)])
    if target is None and isinstance(outputs, list):
        raise ValueError(f"network: {len(outputs)} outputs have no one gradient; give a target, of as many numbers")
    predictions: list[Value] = outputs if isinstance(outputs, list) else [outputs]
    if target is None:
        return predictions[0]
    if len(target) != len(predictions):
        raise ValueError(
            f"target: expected as many numbers as there are outputs, {len(predictions)}, got {len(target)}"
        )
    return mse_loss(predictions, list(target))

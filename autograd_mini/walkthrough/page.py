"""The walkthrough as one HTML file that works offline: what it shows as data, beside the program that shows it."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from autograd_mini.formula import POWER, SLOT, TEXT
from autograd_mini.groups import Group, LayerParts
from autograd_mini.ops import Op, arithmetic
from autograd_mini.sketch import printable
from autograd_mini.source_code import Expression, NotWritableError, javascript
from autograd_mini.walkthrough.frames import BackwardFrame, ForwardFrame, Passes
from autograd_mini.walkthrough.layers import LayerFrame, LayerFrames
from autograd_mini.walkthrough.mathml import MATHML
from autograd_mini.walkthrough.views import View

if TYPE_CHECKING:
    from autograd_mini.walkthrough import Walkthrough

MOST_NODES = 10_000
_MOST_STEPS_AS_TEXT = 200
_CELL_HEIGHT = 860
_SCRIPTS = (
    *("primitives.js", "operations", "formulas.js", "anomaly.js", "passes.js", "paths.js", "layout.js"),
    *("graph.js", "explanation.js", "panels.js", "page.js"),
)
"""In the order in which they need one another; the operations are written from the rows."""

_Reference = list[int | str]
"""A formula: the number of its template, and what stands in the slots: places, or root/source/slot."""


def as_page(walkthrough: "Walkthrough") -> str:
    """The whole page.

    Raises ValueError for a graph that is too large for one.
    """
    passes = walkthrough.passes
    if len(passes.nodes) > MOST_NODES:
        raise ValueError(
            f"save: the graph has {len(passes.nodes):,} nodes, a page holds at most {MOST_NODES:,}; save an inner "
            "Value of it, or one sample instead of a batch"
        )
    data = _Data(walkthrough)
    scripts = [data.operations if name == "operations" else _read(name) for name in _SCRIPTS]
    script = "\n".join(["(() => {", "'use strict';", *scripts, "})();"])
    style = _read("page.css")
    policy = f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    parts = {
        "policy": f"{policy}; base-uri 'none'; form-action 'none'",
        "title": html.escape(passes.names[passes.root]),
        "style": style,
        "steps": _steps_as_text(data.view),
        "data": _json(data.tables()),
        "script": script,
    }
    # In one pass: what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html"))


def as_notebook_cell(walkthrough: "Walkthrough") -> str:
    """The page in a frame of its own, which shares nothing with the notebook or with another page in it."""
    page = html.escape(as_page(walkthrough))
    title = html.escape(f"Backpropagation: {walkthrough.passes.names[walkthrough.passes.root]}")
    return (
        f'<iframe sandbox="allow-scripts" width="100%" height="{_CELL_HEIGHT}" frameborder="0" title="{title}" '
        f'srcdoc="{page}"></iframe>'
    )


def _read(name: str) -> str:
    return files("autograd_mini.walkthrough").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(data: Mapping[str, Any]) -> str:
    """As JSON in which no markup can begin or end."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _number(x: float) -> float | int | str:
    """JSON has no NaN and no infinity; JavaScript reads them from text. What is whole is shorter without .0."""
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"
    return int(x) if x.is_integer() and abs(x) < 1e15 and (x or math.copysign(1, x) > 0) else x


def _steps_as_text(view: View) -> str:
    """For a reader without JavaScript: every step, if they are few."""
    if len(view) > _MOST_STEPS_AS_TEXT:
        return ""
    steps = []
    for index, frame in enumerate(view):
        lines = [frame.symbols]
        if isinstance(frame, BackwardFrame):
            lines.append(f"{frame.upstream:.6g} × {frame.local:.6g} = {frame.product:.6g}, in all {frame.after:.6g}")
        elif isinstance(frame, ForwardFrame):
            lines.append(f"= {frame.numbers} = {frame.result:.6g}")
        elif isinstance(frame, LayerFrame):
            lines.append(f"= {frame.numbers} = {'; '.join(' '.join(f'{x:.6g}' for x in row) for row in frame.result)}")
        lines += view.marks_at(index)
        steps.append("<li>" + "<br>".join(map(html.escape, lines)) + "</li>")
    return f"<ol>{''.join(steps)}</ol>"


class _Data:
    """What the page needs to know of a walkthrough."""

    def __init__(self, walkthrough: "Walkthrough") -> None:
        self.view = walkthrough.view(walkthrough.default_level)
        """What the page shows first."""
        self._levels = walkthrough.levels
        self._passes: Passes = walkthrough.passes
        self._rows: list[Op] = []
        self._templates: dict[tuple[str, str], int] = {}
        self._factors: list[int] = []
        self._row_numbers: dict[int, int] = {}
        for value in self._passes.nodes:
            if value.op is not None and id(value.op) not in self._row_numbers:
                self._row_numbers[id(value.op)] = len(self._rows)
                self._rows.append(value.op)
        self.operations, self._reason = self._write_operations()

    def _write_operations(self) -> tuple[str, str]:
        """The rows as JavaScript, and nothing; or none, and why."""
        try:
            text = javascript({str(number): op for number, op in enumerate(self._rows)}, arithmetic)
        except NotWritableError as error:
            return "const operations = null;", printable(str(error))
        if "</" in text or "<!--" in text:
            return "const operations = null;", "a rule holds what would end the page's program"
        return text, ""

    def tables(self) -> dict[str, Any]:
        """Everything, as lists and dictionaries of texts and numbers."""
        passes = self._passes
        nodes = passes.nodes
        operation_at = [passes.operation_formula(place) if nodes[place].op else None for place in range(len(nodes))]
        tables = {
            "root": passes.root,
            "levels": self._levels,
            "level": self.view.level,
            "reason": self._reason,
            "signs": [printable(op.symbol) for op in self._rows],
            "names": passes.names,
            "labelled": [int(bool(label)) for label in passes.groups.labels],
            "rows": [self._row_numbers[id(value.op)] if value.op else -1 for value in nodes],
            "operands": [self._operands(place) for place in range(len(nodes))],
            "data": [_number(number) for number in passes.data],
            "partials": [self._partials(place) for place in range(len(nodes))],
            "parameters": self._parameters(),
            "forward": passes.forward_order,
            "operationFormulas": [self._reference(formula) for formula in operation_at],
            "resultFormulas": self._result_formulas(),
            "localFormulas": [self._reference(passes.local_formula(edge, None)) for edge in passes.edges],
            "groups": self._groups(),
            "layers": self._layers(),
            "lines": self._lines(),
        }
        tables["templates"] = [list(template) for template in self._templates]
        tables["factors"] = self._factors
        return tables

    def _lines(self) -> dict[int, str]:
        """The user's own source, where it is known, of what is to blame for a NaN or infinity."""
        found: dict[int, str] = {}
        anomaly = self._passes.anomaly
        while anomaly is not None:
            if anomaly.line is not None:
                found[self._passes.groups.places[id(anomaly.node)]] = printable(anomaly.line)
            anomaly = anomaly.cause
        return found

    def _operands(self, place: int) -> list[int | str]:
        """Places, and constants as text."""
        passes = self._passes
        return [
            repr(operand).replace("inf", "Infinity").replace("nan", "NaN")
            if isinstance(operand, float)
            else passes.groups.places[id(operand)]
            for operand in passes.nodes[place].operands
        ]

    def _partials(self, place: int) -> list[float | int | str]:
        """One for each operand; 0 for a constant."""
        value = self._passes.nodes[place]
        partials = (value._left_partial, value._right_partial)
        return [_number(partial) for partial, _ in zip(partials, value.operands, strict=False)]

    def _parameters(self) -> list[int]:
        groups = self._passes.groups.groups
        return sorted(
            {place for group in groups if group.level == "neuron" and group.is_leaves for place in group.members}
        )

    def _result_formulas(self) -> dict[int, _Reference]:
        """Of the operations that end a named expression: all of it in one formula."""
        passes = self._passes
        found = {}
        for place in passes.forward_order:
            members = passes.expression_members(place)
            if members:
                found[place] = self._reference(passes.result_formula(place, frozenset(members)))
        return found

    def _groups(self) -> list[dict[str, Any]]:
        passes = self._passes
        edges_at: dict[int, list[int]] = {}
        for number, edge in enumerate(passes.edges):
            edges_at.setdefault(edge.source, []).append(number)
        details = self._shapes()
        groups = []
        for group in passes.groups.groups:
            table: dict[str, Any] = {
                "level": group.level,
                "name": printable(group.name),
                "members": group.members,
                "roots": group.roots,
                "leaves": int(group.is_leaves),
                "detail": details.get(group.members, "") if group.level == "layer" else "",
            }
            if not group.is_leaves and len(group.roots) == 1:
                if group.level != "layer":
                    table["name"] = passes.names[group.roots[0]]
                table["formula"] = self._reference(passes.result_formula(group.roots[0], frozenset(group.members)))
                table["localFormulas"] = self._local_formulas(group, edges_at)
            groups.append(table)
        return groups

    def _local_formulas(self, group: Group, edges_at: Mapping[int, Sequence[int]]) -> dict[int, _Reference]:
        """For the edges that leave a group, by their numbers."""
        passes = self._passes
        members = frozenset(group.members)
        leaving = [
            number
            for place in members
            for number in edges_at.get(place, ())
            if passes.edges[number].target not in members
        ]
        return {
            number: self._reference(passes.local_formula(passes.edges[number], group)) for number in sorted(leaving)
        }

    def _shapes(self) -> dict[tuple[int, ...], str]:
        """The shapes of the matrices in each group that is a layer, by its members."""
        groups = self._passes.groups
        by_roots = {group.roots: group.members for group in groups.groups if group.level == "layer"}
        shapes: dict[tuple[int, ...], str] = {}
        parameters = set(self._parameters())
        for layer in groups.layers:
            rows, columns = len(layer.neurons), len(layer.inputs)
            shapes[by_roots[tuple(neuron.a for neuron in layer.neurons)]] = f"{rows}×1"
            text = f"{groups.parameter_name('W', layer)}: {rows}×{columns}"
            if any(neuron.bias is not None for neuron in layer.neurons):
                text += f", {groups.parameter_name('B', layer)}: {rows}×1"
            shapes[self._parameters_of(layer)] = text
        for group in groups.groups:
            if group.level == "layer" and group.is_leaves and not parameters.intersection(group.members):
                shapes[group.members] = f"{len(group.members)}×1"
        return shapes

    def _parameters_of(self, layer: LayerParts) -> tuple[int, ...]:
        weights = [place for neuron in layer.neurons for place in neuron.weights]
        biases = [neuron.bias for neuron in layer.neurons if neuron.bias is not None]
        return tuple(sorted({*weights, *biases}))

    def _layers(self) -> list[dict[str, Any]]:
        frames = LayerFrames(self._passes).frames() if "layer" in self._levels else []
        numbers = {id(group): number for number, group in enumerate(self._passes.groups.groups)}
        return [
            {
                "phase": frame.phase,
                "at": frame.at,
                "covers": frame.covers,
                "name": frame.name,
                "sum": int(frame.is_sum),
                "targets": frame.targets,
                "group": numbers[id(frame.group)],
                "formula": self._reference(frame.formula),
                "numbers": self._reference(frame.formula_in_numbers),
                "result": self._reference(frame.formula_of_result),
            }
            for frame in frames
        ]

    def _reference(self, formula: Expression | None) -> _Reference:
        """A formula as a template, which many share, and what stands in its slots."""
        if formula is None:
            return []
        contents: dict[str, int] = {}

        def shared(slot: re.Match[str]) -> str:
            number = contents.setdefault(slot[2], len(contents))
            return f"{slot[0][0]}{slot[1]}{number}{slot[3]}{slot[0][-1]}"

        template = SLOT.sub(shared, TEXT.write(formula)), SLOT.sub(shared, MATHML.write(formula))
        number = self._templates.setdefault(template, len(self._templates))
        if number == len(self._factors):
            is_slot = SLOT.fullmatch(template[0]) is not None
            is_fenced = [not is_slot and each.write(formula, POWER) != each.write(formula) for each in (TEXT, MATHML)]
            self._factors.append(is_fenced[0] + 2 * is_fenced[1])
        return [number, *[int(content) if content.isdigit() else content for content in contents]]

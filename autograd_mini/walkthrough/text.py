"""Frames as plain text: for a terminal, a notebook without HTML, a file, and a screen reader.

Everything is said in words and in lines of at most 80 columns, with no colour and no control character, whatever the
labels hold.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from autograd_mini.formula import MINUS, number, number_text, visible
from autograd_mini.source_code import Expression
from autograd_mini.walkthrough.frames import BackwardFrame, ForwardFrame, Passes, SeedFrame
from autograd_mini.walkthrough.layers import LayerFrame, Matrix, shortened
from autograd_mini.walkthrough.views import Frame, View

WIDTH = 80
NOTHING_YET = "—"
"""Stands where a number has not been computed: that is not the same as 0."""

_MARGIN = 2
TITLES_END = 12
"""Where the words end that begin a line: rule, numbers, result, …"""
_MOST_LISTED = 60

Block = list[str]
"""Lines of equal width that stand beside other blocks: one line of text, or the rows of a matrix."""


def as_text(view: View) -> str:
    """Every step of a view as plain text, after what is given and before what comes out."""
    passes = view.passes
    title = f"Both passes over {passes.names[passes.root]} in {_steps(len(view))}, {_ONE_STEP[view.level]} a step."
    leaves = leaves_in_order(passes)
    lines = [*wrapped(title, WIDTH)]
    if passes.anomaly is not None:
        name = passes.names[passes.groups.places[id(passes.anomaly.node)]]
        lines += wrapped(f"Anomaly in {name}, {passes.anomaly}", WIDTH, hanging=_MARGIN)
    lines += _list("Given:", [f"{passes.names[leaf]} = {exact(passes.data[leaf])}" for leaf in leaves])
    for index in range(len(view)):
        lines += ["", *step_lines(view, index)]
    lines.append("")
    lines += _list("Found:", [f"{passes.gradient_name(leaf)} = {exact(passes.gradients[leaf])}" for leaf in leaves])
    return "\n".join(lines)


_ONE_STEP = {
    "operation": "one operation or edge",
    "expression": "one named expression",
    "neuron": "one neuron",
    "layer": "one equation of a layer",
}


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count:,} steps"


def leaves_in_order(passes: Passes) -> list[int]:
    """The places of the leaves, in the order in which the forward pass comes to them."""
    operands = (operand for place in passes.forward_order for operand in passes.groups.operands[place])
    return [place for place in dict.fromkeys([*operands, passes.root]) if passes.nodes[place].op is None]


def _list(title: str, texts: Sequence[str]) -> Iterator[str]:
    """The texts with commas between them, none of them broken where it fits on a line."""
    rest = len(texts) - _MOST_LISTED
    more = [f"and {rest:,} more"] if rest > 0 else []
    items = [*texts[:_MOST_LISTED], *more]
    words = [title, *[f"{item}," for item in items[:-1]], f"{items[-1]}."] if items else []
    return _filled([visible(word) for word in words], WIDTH, hanging=_MARGIN)


def step_lines(view: View, index: int, width: int = WIDTH) -> list[str]:
    """One step: which it is, then the rule in symbols, the rule in numbers, the result and what it adds."""
    frame = view[index]
    rows = list(_rows(frame, view, width - TITLES_END))
    rows += [("anomaly", wrapped(text, width - TITLES_END)) for text in view.marks_at(index)]
    lines = [*wrapped(f"{step_number(view, index)}: {_subject(frame)}", width)]
    for title, content in rows:
        for line in content:
            lines.append(f"{f'  {title}':<{TITLES_END}}{line}".rstrip())
            title = ""
    return lines


def step_number(view: View, index: int) -> str:
    """Forward 1 of 35."""
    seed = view.showing(view.passes.seed_at)
    if index == seed:
        return "Seed"
    if index < seed:
        return f"Forward {index + 1} of {seed}"
    return f"Backward {index - seed} of {len(view) - seed - 1}"


def exact(x: float | None) -> str:
    """A number at twelve digits, as results are shown; — for none."""
    return NOTHING_YET if x is None else number_text(x, 12)


# What is said of a step


def _subject(frame: Frame) -> str:
    if isinstance(frame, SeedFrame):
        return f"the backward pass begins at {frame.name}"
    name = f"from {frame.name} to {frame.operand_name}" if isinstance(frame, BackwardFrame) else frame.name
    things = "edges" if frame.phase == "backward" else "operations"
    return name if frame.count == 1 else f"{name}, {frame.count} {things} together"


def _rows(frame: Frame, view: View, width: int) -> Iterator[tuple[str, Iterable[str]]]:
    """The first words of each part of a step, and its lines."""
    if isinstance(frame, SeedFrame):
        yield "rule", wrapped(frame.symbols, width, hanging=_MARGIN)
    elif isinstance(frame, ForwardFrame):
        yield from _forward_rows(frame, view, width)
    elif isinstance(frame, BackwardFrame):
        yield from _backward_rows(frame, view, width)
    else:
        yield from _layer_rows(frame, view, width)


def _forward_rows(frame: ForwardFrame, view: View, width: int) -> Iterator[tuple[str, Iterable[str]]]:
    passes = view.passes
    yield "rule", wrapped(frame.symbols, width, hanging=_MARGIN)
    if frame.count == 1 and not frame.symbols.endswith(f" = {frame.operation}"):
        numbers = passes.numbers(passes.operation_formula(passes.forward_order[frame.at]))
        yield "last step", wrapped(f"{frame.operation} = {numbers}", width, hanging=_MARGIN)
    yield "numbers", wrapped(frame.numbers, width, hanging=_MARGIN)
    yield "result", [exact(frame.result)]


def _backward_rows(frame: BackwardFrame, view: View, width: int) -> Iterator[tuple[str, Iterable[str]]]:
    passes = view.passes
    upstream = f"∂{passes.names[passes.root]}/∂{frame.name}"
    local = [f"∂{frame.name}/∂{frame.operand_name}", frame.local_symbols]
    if frame.local_numbers != number_text(frame.local):
        local.append(frame.local_numbers)
    local.append(exact(frame.local))
    chain = [text for place, text in enumerate(local) if text not in local[:place]]
    factor = number_text(frame.local)
    factor = f"({factor})" if factor.startswith(MINUS) else factor
    yield "rule", wrapped(frame.symbols, width, hanging=_MARGIN)
    yield "upstream", wrapped(f"{upstream} = {exact(frame.upstream)}", width, hanging=_MARGIN)
    yield "local", wrapped(" = ".join(chain), width, hanging=_MARGIN)
    yield "product", [f"{number_text(frame.upstream)} × {factor} = {exact(frame.product)}"]
    yield "sum", [f"before {exact(frame.before)}, after {exact(frame.after)}"]


def _layer_rows(frame: LayerFrame, view: View, width: int) -> Iterator[tuple[str, Iterable[str]]]:
    yield "rule", wrapped(frame.symbols, width, hanging=_MARGIN)
    blocks = list(_blocks(frame.formula_in_numbers, view))
    lines = _side_by_side(blocks, width)
    yield "numbers", lines or wrapped(frame.numbers, width, hanging=_MARGIN)
    title = "sum now" if frame.is_sum else "result"
    yield title, _result_lines(frame.result, width)


def _result_lines(result: Matrix, width: int) -> Block:
    """The matrix at twelve digits where that fits, or at six; of a large one what fits in a few lines."""
    entries = shortened([[number(entry) for entry in row] for row in result])
    for write in (exact, number_text):
        rows = [[write(float(entry.content)) if entry.content is not None else "…" for entry in row] for row in entries]
        lines = _side_by_side([_matrix_block(rows)], width)
        if lines:
            return lines
    return list(wrapped("; ".join(" ".join(row) for row in rows), width))


# Matrices


def _blocks(formula: Expression, view: View) -> Iterator[Block]:
    """A formula of matrices from left to right."""
    if formula.kind == "matrix" and isinstance(formula.content, int):
        entries = [view.passes.numbers(entry) for entry in formula.operands]
        yield _matrix_block([entries[at : at + formula.content] for at in range(0, len(entries), formula.content)])
    elif formula.kind in _SIGNS:
        left, right = formula.operands
        yield from _blocks(left, view)
        yield [_SIGNS[formula.kind]]
        yield from _blocks(right, view)
    elif formula.kind == "call":
        yield [f"{formula.content} of"]
        for operand in formula.operands:
            yield from _blocks(operand, view)
    else:
        yield [view.passes.numbers(formula)]


_SIGNS = {"+": "+", "-": MINUS, "@": "·", "⊙": "⊙"}


def _matrix_block(rows: Sequence[Sequence[str]]) -> Block:
    """Rows in brackets, their columns aligned to the right."""
    rows = [[visible(entry) for entry in row] for row in rows]
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    return [
        f"[{'  '.join(' ' * (width - columns(entry)) + entry for entry, width in zip(row, widths, strict=True))}]"
        for row in rows
    ]


def _side_by_side(blocks: Sequence[Block], width: int) -> Block:
    """The blocks beside one another; a new band of lines, begun by a sign, where the width is used up.

    No lines where even that does not fit.
    """
    bands: list[list[Block]] = [[]]
    for place, block in enumerate(blocks):
        is_sign = block[0] in _SIGNS.values()
        if is_sign and _band_width([*bands[-1], *blocks[place : place + 2]]) > width:
            bands.append([])
        bands[-1].append(block)
    if any(_band_width(band) > width for band in bands):
        return []
    return [line for band in bands for line in _band_lines(band)]


def _band_width(band: Sequence[Block]) -> int:
    return sum(columns(block[0]) for block in band) + len(band) - 1


def _band_lines(band: Sequence[Block]) -> Iterator[str]:
    height = max(map(len, band))
    for row in range(height):
        parts = []
        for block in band:
            at = row - (height - len(block)) // 2
            parts.append(block[at] if 0 <= at < len(block) else " " * columns(block[0]))
        yield " ".join(parts).rstrip()


# Lines of text


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


_WORDS = re.compile(r"(?:(?:[+−⊙·×=<>≤≥]|\+=) )?\S+")
"""Words, each with the operator before it: a line breaks in front of an operator."""


def wrapped(text: str, width: int, hanging: int = 0) -> Iterator[str]:
    """The text in lines of at most so many columns, those after the first indented."""
    return _filled(_WORDS.findall(visible(text)), width, hanging)


def _filled(words: Iterable[str], width: int, hanging: int = 0) -> Iterator[str]:
    line = ""
    for word in words:
        longer = f"{line} {word}" if line.strip() else line + word
        if columns(longer) <= width:
            line = longer
            continue
        if line.strip():
            yield line
            line = " " * hanging
        *full, rest = _cut(word, width - hanging)
        for piece in full:
            yield line + piece
            line = " " * hanging
        line += rest
    yield line


def _cut(word: str, width: int) -> list[str]:
    """A word in pieces of at most so many columns: behind a · or a comma where there is one, else anywhere."""
    pieces = [""]
    for part in re.findall(r"[^·,]*[·,]?", word):
        if columns(pieces[-1] + part) <= width:
            pieces[-1] += part
            continue
        if columns(part) <= width:
            pieces.append(part)
            continue
        for character in part:
            if columns(pieces[-1] + character) > width:
                pieces.append("")
            pieces[-1] += character
    return [piece for piece in pieces if piece] or [""]

"""`Sketch`: the nodes and edges of a picture to be, with text that is drawn literally and ids that are unique."""

import hashlib
import itertools
import math
import unicodedata
from collections.abc import Iterator

import graphviz

from autograd_mini.drawing import Drawing

_FONT = "Helvetica,Arial,DejaVu Sans,sans-serif"
_FONT_SIZE = 12
_LONGEST_LABEL = 200

INK = "#1f2933"
ARROW = "#7b8794"
LEAF = "#fff3bf"
RESULT = "#e7f0fd"
BROKEN = "#ffe3e3"
BROKEN_INK = "#a61e1e"
TITLE_INK = "#52606d"
PATH_INK = "#d9480f"


class Sketch:
    """The nodes and edges of a picture, collected before its ids are given: those depend on all of them."""

    def __init__(self) -> None:
        self._nodes: list[tuple[str, dict[str, str]]] = []
        self._edges: list[tuple[str, str, dict[str, str]]] = []

    def node(self, name: str, label: str, **attributes: object) -> str:
        """Add a node and give back its name. The label is in Graphviz's own notation: see `literal`."""
        texts = {key: str(attribute) for key, attribute in attributes.items()}
        # Without nohtml, a text between < and > would be read as HTML.
        self._nodes.append((name, {"label": graphviz.nohtml(label), **texts}))
        return name

    def edge(self, tail: str, head: str, **attributes: object) -> None:
        self._edges.append((tail, head, {key: str(attribute) for key, attribute in attributes.items()}))

    def passed_ranks(self) -> int:
        """How many ranks its arrows pass by, where each node stands one rank after the last that leads to it.

        It is what Graphviz's time grows with: every arrow winds its way round the nodes of each rank.
        """
        heads: dict[str, list[str]] = {name: [] for name, _ in self._nodes}
        waits_for = dict.fromkeys(heads, 0)
        for tail, head, _ in self._edges:
            heads[tail].append(head)
            waits_for[head] += 1
        ranks = dict.fromkeys(heads, 0)
        ready = [name for name, count in waits_for.items() if not count]
        for name in ready:
            for head in heads[name]:
                ranks[head] = max(ranks[head], ranks[name] + 1)
                waits_for[head] -= 1
                if not waits_for[head]:
                    ready.append(head)
        for name in set(heads) - {head for _, head, _ in self._edges}:  # those that nothing leads to stand near by
            ranks[name] = min((ranks[head] for head in heads[name]), default=1) - 1
        return sum(ranks[head] - ranks[tail] - 1 for tail, head, _ in self._edges)

    def drawing(self, format: str, engine: str, **graph_attributes: str) -> Drawing:
        """All of it, with ids that no other drawing of this process has and that are the same in every run."""
        prefix = _unused_prefix(repr((graph_attributes, self._nodes, self._edges)))
        drawing = Drawing(
            format=format,
            engine=engine,
            graph_attr={"id": prefix, "bgcolor": "white", "fontname": _FONT, **graph_attributes},
            node_attr={"fontname": _FONT, "fontsize": str(_FONT_SIZE), "fontcolor": INK, "color": ARROW},
            edge_attr={
                "fontname": _FONT,
                "fontsize": "10",
                "fontcolor": TITLE_INK,
                "color": ARROW,
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


def printable(text: str, longest: int = _LONGEST_LABEL) -> str:
    """The text with a visible sign for each character that no picture can hold, and no longer than fits in one."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
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


def literal(text: str, in_record: bool = False) -> str:
    r"""A label that Graphviz draws as this very text: neither \N, &lt; nor, in a record, {a|b} means anything."""
    if text.startswith("\n"):
        text = f" {text}"  # of a label whose first line is empty, Graphviz frees what it never allocated
    escaped = printable(text).replace("&", "&amp;").replace("\\", "\\\\").replace("\n", "\\n")
    if in_record:
        for special in "{}|<> ":
            escaped = escaped.replace(special, "\\" + special)
        if text.startswith(" "):
            escaped = "&#32;" + escaped[2:]  # a record drops spaces before its text, escaped or not
    return escaped


def inches(*lines: str, size: float = _FONT_SIZE) -> float:
    """The width that these lines need. Graphviz guesses from Helvetica, too little for other fonts and scripts."""
    return max(sum(map(_letter_width, line)) for line in "\n".join(lines).split("\n")) * size / 72


def _letter_width(letter: str) -> float:
    """In units of the font size, on the generous side."""
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.3
    return 0.75 if letter.isupper() or letter in "mw%@…" else 0.6


def short_number(x: float) -> str:
    """A number at four digits, which a picture has room for; below a million without an exponent, integers in full."""
    if math.isnan(x):
        return "NaN"
    if abs(x) < 1e6 and (x.is_integer() or abs(x) >= 1e3):
        return f"{x:.0f}"
    text = f"{x:.4g}"
    return f"{x:#.4g}" if text.lstrip("-").isdigit() else text  # 1.99999 is no integer: 2.000

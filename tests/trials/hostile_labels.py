"""Labels full of markup, commands and signs that move the cursor: drawn and written as text, whatever they say."""

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from inspect import getsource
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import strategies as st

from autograd_mini import Value, check_gradients, draw, draw_network, find_anomaly, walkthrough
from autograd_mini.drawing import Drawing
from autograd_mini.walkthrough import Walkthrough, latex, latex_names
from autograd_mini.walkthrough.terminal import Nodes
from trials.watch import Violation

# fmt: off
_PIECES = [
    "<script>alert(1)</script>", "</script>", "<!--", "-->", "]]>", "<![CDATA[", "<img src=x onerror=alert(1)>",
    "<B>x</B>", "&lt;", "&amp;", "&#0;", "&#x41;", "&", "javascript:alert(1)", '" onload="alert(1)',
    "' onload='alert(1)", "</title>", "</svg>", "</noscript>", "</style>", "{{data}}", "{{script}}", "${x}", "`",
    "\\u003c", "\\x3c", "\\\\", "\\", '"', "'", "\\N", "\\G", "\\l", "\\n", "{a|b}", "<p>", "|", "{", "}", "];", "]",
    "[label=x]", "->", "/*", "//", "#", ";", "label:w", ":", "\\input{/etc/passwd}", "\\end{document}",
    "\\write18{ls}", "\\csname x\\endcsname", "\\def\\x{}", "$", "$$", "%", "^", "_", "^^M", "~", "\\begin{",
    "\\item", "&&", "--", "``", "?`", "\\par", "\\end{equation}", "\\", "\\(", "\\]", "\\verb|", "\n", "\r", "\r\n",
    "\t", "\0", "\x1b[31m", "\x1b]0;title\a", "\b\b\b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029", "\f", "\v",
    "\u202e", "\u2066", "\u200f", "\u200b", "\u2060", "\ufeff", "\ufffe", "\uffff", "\ud800", "\udfff", "\U0010ffff",
    "\U000e0041", "\ue000n0\ue001", "\ue000", "\ue001", "Z̷̡a̛l̵", "é", "e\u0301", "漢字", "😀", "👩‍👩‍👧", "العربية", "ﬁ",
    "İ", "ß", "²", "₁", "⁰", "x", "v₁", "v₂", "z¹₁", "a¹₁", "w⁰₁₁", "ŷ", "f", "∂", "D_x", "loss", "nan", "inf", "1",
    "−1", "__proto__", "constructor", " ", "", "a" * 250, "<&" * 300, "=cmd|' /C calc'!A0", "%s%n", "{0}",
    "\\N{BULLET}", "\r\x1b[2K",
]
# fmt: on

_LABEL = st.one_of(
    st.sampled_from(_PIECES),
    st.lists(st.sampled_from(_PIECES), max_size=4).map("".join),
    st.text(max_size=12),
)
LABELS = st.lists(_LABEL, min_size=5, max_size=5)
"""Of two leaves, a named expression, a result, and the activation of a layer."""


def _graph(labels: list[str]) -> Value:
    first, second, expression, result, _ = labels
    x, y = Value(0.5, first), Value(-1.5, second)
    inner = x * y + 2.0
    inner.label = expression
    root = inner.tanh() / (x + 3.0)
    root.label = result
    root.backward()
    return root


def feed_pictures(folder: Path, labels: list[str]) -> bool:
    """Draw the graph and a network. Returns whether all labels stand in the DOT text as they are."""
    plain = _plain(*map(bool, labels))
    picture = draw(_graph(labels))
    _check_picture(picture, plain.picture)
    _check_picture(draw_network(_Network(labels[4])), plain.network)
    return all(label in picture.source for label in labels[:4])


def feed_labels(folder: Path, labels: list[str]) -> bool:
    """Step through the graph in every form. Returns whether all labels stand in the text as they are."""
    root = _graph(labels)
    steps = walkthrough(root)
    _check_page(steps, _plain(*map(bool, labels)).tags)
    _check_latex(steps.to_latex())
    leaves = [node for node in steps.passes.nodes if node.op is None]
    check_text("text", steps.to_text())
    check_text("text by operation", steps.to_text("operation"))
    check_text("provenance", str(steps.provenance(leaves[0])))
    check_text("report", str(check_gradients(root, leaves)))
    check_text("repr", repr(root), may_break=False)
    check_text("anomaly", str(find_anomaly(_infinite(labels))), may_break=False)
    for row in Nodes(steps).around(steps.view("operation"), 0):
        check_text("a row of the screen", row.name, may_break=False)
    return all(label in steps.to_text() for label in labels[:4])


def _infinite(labels: list[str]) -> Value:
    result = Value(0.0, labels[0]).log()
    result.label = labels[1]
    return result * 2.0


@dataclass(frozen=True)
class _Plain:
    """How it all looks with labels that say nothing."""

    picture: Drawing
    network: Drawing
    tags: list[tuple[str, tuple[str, ...]]]


@cache
def _plain(*is_there: bool) -> _Plain:
    labels = [label if there else "" for label, there in zip(["x", "y", "z", "f", "tanh"], is_there, strict=True)]
    root = _graph(labels)
    return _Plain(draw(root), draw_network(_Network(labels[-1])), _tags(walkthrough(root).to_html())[0])


# Pictures


class _Layer:
    weights = ((0.5, 1.0),)
    biases = (0.0,)

    def __init__(self, activation: str) -> None:
        self.activation = activation


class _Network:
    def __init__(self, activation: str) -> None:
        self.layers = [_Layer(activation)]


_SVG = "{http://www.w3.org/2000/svg}"


def _check_picture(picture: Drawing, plain: Drawing) -> None:
    """The DOT text has as many statements, and the SVG as many elements besides the lines of text."""
    if picture.source.count("\n") != plain.source.count("\n"):
        raise Violation(f"a label ends a line of the DOT text: {picture.source!r}")
    found, expected = (_elements(each) for each in (picture, plain))
    if found != expected:
        raise Violation(f"a label changes the picture: {found} for {expected}")


def _elements(picture: Drawing) -> dict[str, int]:
    counts: dict[str, int] = {}
    for element in ElementTree.fromstring(str(picture.pipe("svg", encoding="utf-8"))).iter():
        for name in (element.tag.removeprefix(_SVG), *element.attrib):
            if element.tag != f"{_SVG}text":
                counts[name] = counts.get(name, 0) + 1
    return counts


# Pages


class _Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and the text of its data."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.data = ""
        self.is_in_data = False

    def handle_starttag(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        names = dict(attributes)
        self.tags.append((tag, tuple(names)))
        self.is_in_data = names.get("type") == "application/json"

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))
        self.is_in_data = False

    def handle_data(self, data: str) -> None:
        self.data += data if self.is_in_data else ""


def _tags(page: str) -> tuple[list[tuple[str, tuple[str, ...]]], str]:
    parser = _Tags()
    parser.feed(page)
    parser.close()
    return parser.tags, parser.data


def _check_page(steps: Walkthrough, plain: list[tuple[str, tuple[str, ...]]]) -> None:
    page = steps.to_html()
    page.encode()
    tags, data = _tags(page)
    if tags != plain:
        raise Violation(f"a label changes the page: {[each for each in tags if each not in plain]}")
    if json.loads(data)["names"] != steps.passes.names:
        raise Violation("the page has other names than the frames")


# LaTeX

_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{(\w*)\}")


@cache
def _own_commands() -> set[str]:
    written = getsource(latex) + getsource(latex_names) + walkthrough(_graph(["x", "y", "z", "f", ""])).to_latex()
    found = set(_COMMAND.findall(written.replace("\\\\", "\\"))) | set(latex_names._ACCENTS.values())
    return found | set("#$%&_{}\\ ,")


def _check_latex(document: str) -> None:
    """ASCII, no command that is not ours, braces in pairs, and as many equations as steps."""
    if not document.isascii() or not document.replace("\n", "").isprintable():
        raise Violation(f"LaTeX: expected printable ASCII, got {document!r}")
    unknown = set(_COMMAND.findall(document)) - _own_commands()
    environments = set(_ENVIRONMENT.findall(document)) - {"document", "equation", "split", "pmatrix", "smallmatrix"}
    if unknown or environments:
        raise Violation(f"LaTeX: a label brings in {unknown | environments}")
    bare = re.sub(r"\\.", "", document, flags=re.DOTALL)
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            break
    if depth or bare.count("$") % 2 or "%" in bare or "#" in bare:
        raise Violation(f"LaTeX: braces, $, % or # of a label: {document!r}")


# Texts


def check_text(what: str, text: str, may_break: bool = True) -> None:
    """Raise Violation for a sign that moves the cursor, turns the writing direction, or is half of one."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and not (may_break and character == "\n"):
            raise Violation(f"{what}: {character!r} in {text[:300]!r}")

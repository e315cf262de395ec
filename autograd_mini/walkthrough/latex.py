"""The derivation as a LaTeX document: every step of both passes as a numbered equation, for any pdfLaTeX."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from autograd_mini.formula import (
    ATOM,
    CASES,
    COMPARISON,
    NEGATIVE,
    POWER,
    QUOTIENT,
    Language,
    Notation,
    infix,
    matrix,
    number,
    number_text,
)
from autograd_mini.ops import TABLE
from autograd_mini.source_code import Expression
from autograd_mini.walkthrough.frames import BackwardFrame, ForwardFrame, Passes, SeedFrame
from autograd_mini.walkthrough.latex_names import Piece, function_piece, name_piece, number_piece, text_piece
from autograd_mini.walkthrough.layers import LayerFrame, shortened
from autograd_mini.walkthrough.text import exact, leaves_in_order
from autograd_mini.walkthrough.views import Frame, View

_LINE = 70.0
"""What a line of a page holds, in digits."""
_MOST_LISTED = 60

_SIGNS = {"+": " + ", "-": " - ", "*": r" \cdot ", "<": " < ", "<=": r" \le ", ">": " > ", ">=": r" \ge "}
_SIGNS |= {"=": " = ", "and": r" \text{ and } ", "@": r" \, ", "⊙": r" \odot "}

_LATEX = {
    **infix({kind: sign.replace("{", "{{").replace("}", "}}") for kind, sign in _SIGNS.items()}),
    "transposed": Notation("{0}^T", POWER, (ATOM,)),
    "/": Notation(r"\frac{{{0}}}{{{1}}}", POWER, (CASES,)),
    "negative": Notation("-{0}", NEGATIVE, (QUOTIENT,)),
    "pow": Notation("{{{0}}}^{{{1}}}", POWER, (ATOM, CASES)),
    "abs": Notation(r"\left|{0}\right|", ATOM, (CASES,)),
    "sqrt": Notation(r"\sqrt{{{0}}}", ATOM, (CASES,)),
    "where": Notation(r"{1} \text{{ if }} {0} \text{{, else }} {2}", CASES, (CASES, COMPARISON, CASES)),
    "dots": Notation(r"\cdots", ATOM, ()),
    "partial": Notation(r"\frac{{\partial {0}}}{{\partial {1}}}", POWER, (CASES,)),
    "fenced": Notation(r"\left({0}\right)", ATOM, (CASES,)),
}

_HEAD = r"""\documentclass[fleqn]{article}
\usepackage{amsmath,amssymb}
\setlength{\textwidth}{160mm}
\setlength{\oddsidemargin}{1mm}
\setlength{\textheight}{235mm}
\setlength{\topmargin}{-14mm}
\setlength{\mathindent}{1em}
\raggedbottom
"""


def as_latex(view: View) -> str:
    """Every step of a view as a LaTeX document that compiles with no more than amsmath and amssymb."""
    return "\n".join(_Document(view).parts()) + "\n"


class _Document:
    def __init__(self, view: View) -> None:
        self._view = view
        self._passes = view.passes
        self._writer = _Writer(view.passes)

    def parts(self) -> Iterable[str]:
        passes, seed = self._passes, self._view.showing(self._passes.seed_at)
        root, leaves = self._writer.inline(_named(passes.names[passes.root])), leaves_in_order(passes)
        yield _HEAD
        yield rf"\title{{Both passes over {root}}}" + "\n" + r"\author{}" + "\n" + r"\date{}"
        yield r"\begin{document}" + "\n" + r"\maketitle"
        values = [(_named(passes.names[leaf]), passes.data[leaf]) for leaf in leaves]
        yield from self._section("Given", self._listed(values))
        yield from self._section("Forward", "Every result from its operands.")
        yield from map(self._equation, self._view[:seed])
        yield from self._section("Backward", f"What every step adds to which derivative of {root}, from the last one.")
        yield from map(self._equation, self._view[seed:])
        gradients = [(self._writer.gradient(leaf), passes.gradients[leaf]) for leaf in leaves]
        yield from self._section("Found", self._listed(gradients))
        yield r"\end{document}"

    def _section(self, title: str, text: str) -> Iterable[str]:
        yield rf"\section*{{{title}}}" + "\n" + text

    def _listed(self, pairs: Sequence[tuple[Expression, float]]) -> str:
        rest = len(pairs) - _MOST_LISTED
        items = [self._writer.inline(Expression("=", [left, right]), exact) for left, right in pairs[:_MOST_LISTED]]
        items += [f"and {rest:,} more"] if rest > 0 else []
        return "{\\raggedright\n" + ",\n".join(items) + ".\\par}"

    def _equation(self, frame: Frame) -> str:
        lines = " \\\\\n".join(self._lines(frame))
        return f"\\begin{{equation}}\n\\begin{{split}}\n{lines}\n\\end{{split}}\n\\end{{equation}}"

    def _lines(self, frame: Frame) -> list[str]:
        texts = [text_piece(text, _LINE)[0] for text in self._view.marks_at(self._view.showing(frame.at))]
        return [*self._derivation(frame), *[rf"&\quad \textbf{{anomaly:}} \ {text}" for text in texts]]

    def _derivation(self, frame: Frame) -> list[str]:
        if isinstance(frame, SeedFrame):
            return self._writer.derivation(self._writer.gradient(self._passes.root), "=", [number(1.0)])
        if isinstance(frame, ForwardFrame):
            return self._forward(frame)
        return self._backward(frame) if isinstance(frame, BackwardFrame) else self._layer(frame)

    def _forward(self, frame: ForwardFrame) -> list[str]:
        passes, writer = self._passes, self._writer
        place = passes.forward_order[frame.at]
        group = self._view.group(place)
        members = group.members if group else passes.expression_members(place)
        formula = passes.result_formula(place, frozenset(members))
        steps = [writer.in_symbols(formula), writer.in_numbers(formula)]
        return writer.derivation(_named(frame.name), "=", steps, number(frame.result))

    def _backward(self, frame: BackwardFrame) -> list[str]:
        passes, writer = self._passes, self._writer
        edge = passes.edge_at(frame.at)
        group = self._view.group(edge.source)
        formula = passes.local_formula(edge, group)
        root = group.roots[0] if group else edge.source
        local = writer.in_numbers(formula)
        steps = [writer.gradient(root) * writer.in_symbols(formula), number(frame.upstream) * local]
        if local.kind != "number":
            steps.append(number(frame.upstream) * number(frame.local))
        lines = writer.derivation(writer.gradient(edge.target), "+=", steps, number(frame.product))
        before, after = (number_piece(exact(x))[0] for x in (frame.before, frame.after))
        return [*lines, rf"&\quad \text{{sum before: }} {{{before}}} \text{{, after: }} {{{after}}}"]

    def _layer(self, frame: LayerFrame) -> list[str]:
        writer = self._writer
        steps = [writer.in_symbols(frame.formula), writer.in_numbers(frame.formula_in_numbers)]
        result = matrix(shortened([[number(entry) for entry in row] for row in frame.result]))
        return writer.derivation(_named(frame.name), frame.sign, steps, result)


class _Writer:
    """Formulas of one graph as LaTeX, in lines that a page has room for."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._names: dict[str, Piece] = {}
        written: set[str] = set()
        for name in passes.names:
            latex, width = name_piece(name)
            count = 1
            while latex in written:  # two names that are shortened may look alike
                count += 1
                latex, width = f"{{{name_piece(name)[0]}}}^{{({count})}}", name_piece(name)[1] + 3
            written.add(latex)
            self._names[name] = latex, width
        self._language = Language(
            notations=_LATEX,
            fence=r"\left({}\right)",
            name=lambda text: self._name(text)[0],
            number=lambda x: number_piece(number_text(x))[0],
            call=_call,
            matrix=_matrix,
        )
        self._exact = replace(self._language, number=lambda x: number_piece(exact(x))[0])

    def _name(self, text: str) -> Piece:
        return self._names.get(text) or name_piece(text)

    # Trees without slots

    def gradient(self, place: int) -> Expression:
        """The derivative of the result by a node."""
        names = self._passes.names
        return Expression("partial", [_named(names[self._passes.root]), _named(names[place])])

    def in_symbols(self, formula: Expression) -> Expression:
        """The formula with names in its slots."""
        return self._resolved(formula, self._symbol)

    def in_numbers(self, formula: Expression) -> Expression:
        """The formula with numbers in its slots."""
        return self._resolved(formula, lambda letter, content: number(self._passes.number_of(letter, content)))

    def _symbol(self, letter: str, content: str) -> Expression:
        passes = self._passes
        if letter != "d":
            return _named(passes.names[int(content)]) if letter == "n" else self.gradient(int(content))
        root, source, slot = map(int, content.split("/"))
        names = passes.names[root], passes.names[passes.operand_place(source, slot)]
        return Expression("partial", map(_named, names))

    def _resolved(self, formula: Expression, fill: Callable[[str, str], Expression]) -> Expression:
        if formula.kind in ("node", "gradient", "derivative"):
            return fill(formula.kind[0], str(formula.content))
        operands = [self._resolved(operand, fill) for operand in formula.operands]
        if formula.kind in ("pow", "transposed") and "^" in self._language.write(operands[0], ATOM):
            operands[0] = Expression("fenced", operands[:1])  # neither x^1 nor 2·10^3 can be raised as it stands
        return Expression(formula.kind, operands, content=formula.content)

    # Lines

    def inline(self, formula: Expression, number_text: Callable[[float], str] = number_text) -> str:
        """The formula within a line of text."""
        language = self._exact if number_text is exact else self._language
        return f"${language.write(formula)}$"

    def derivation(
        self, left: Expression, sign: str, steps: Sequence[Expression], result: Expression | None = None
    ) -> list[str]:
        """The lines left = step = step = result, for the environment split."""
        first = {"=": "&=", "+=": r"&\mathrel{+}="}[sign]
        room = _LINE - self._width(left) - 4
        written = [self._pieces(step, room, self._language) for step in steps]
        if result is not None:
            language = self._exact if self._width(result, exact) < room else self._language
            written.append(self._pieces(result, room, language))
        lines = []
        for number_of_step, pieces in enumerate(written):
            begin = f"{self._language.write(left)} {first} " if number_of_step == 0 else "&= "
            lines += [
                (begin if place == 0 else r"&\qquad {} ") + line for place, line in enumerate(_packed(pieces, room))
            ]
        return lines

    def _pieces(
        self, formula: Expression, room: float, language: Language, wanted: int = CASES, is_first: bool = True
    ) -> list[Piece]:
        """The formula in pieces between which a line may end: one piece if there is room for it."""
        kind, operands, width = formula.kind, formula.operands, self._width(formula)
        if width <= room or not operands:
            return [(language.write(formula, wanted, is_first), width)]
        if kind == "matrix":
            return [self._narrow_matrix(formula, room, language)]
        if kind == "where":
            return self._choice(formula, room, language, wanted)
        if kind not in _SIGNS and kind not in ("/", "negative"):
            return self._called(formula, room, language)
        (notation,) = infix({kind: ""}).values() if kind != "negative" else [_LATEX[kind]]
        first, *others = (
            self._pieces(operand, room, language, want, is_first and place == 0)
            for place, (operand, want) in enumerate(zip(operands, notation.wants, strict=True))
        )
        if kind == "negative":
            pieces = [("-" + first[0][0], first[0][1] + 1.5), *first[1:]]
        else:
            sign, ((text, wide), *rest) = _SIGNS.get(kind, " / ").lstrip(), others[0]
            pieces = [*first, (sign + text, wide + 2), *rest]
        return _enclosed(pieces) if notation.binds < wanted else pieces

    def _choice(self, formula: Expression, room: float, language: Language, wanted: int) -> list[Piece]:
        """y if c, else z."""
        condition, then, otherwise = (self._pieces(each, room - 5, language, COMPARISON) for each in formula.operands)
        (begin, wide), (last, width) = condition[0], otherwise[0]
        condition = [(rf"\text{{ if }} {begin}", wide + 2), *condition[1:]]
        condition[-1] = condition[-1][0] + ",", condition[-1][1] + 1
        pieces = [*then, *condition, (rf"\text{{ else }} {last}", width + 4), *otherwise[1:]]
        return pieces if wanted == CASES else _enclosed(pieces)

    def _called(self, formula: Expression, room: float, language: Language) -> list[Piece]:
        """A function whose operands need several lines; so are written powers, roots and choices as well."""
        inner = [self._pieces(operand, room - 2, language) for operand in formula.operands]
        pieces = [piece for group in inner[:-1] for piece in (*group[:-1], (group[-1][0] + ",", group[-1][1] + 1))]
        pieces += inner[-1]
        if formula.kind in ("fenced", "transposed"):
            pieces = _enclosed(pieces)
            end = "^T" if formula.kind == "transposed" else ""
            return [*pieces[:-1], (pieces[-1][0] + end, pieces[-1][1] + 1)]
        return _enclosed(pieces, function_piece(formula.kind if formula.kind in TABLE else str(formula.content)))

    def _narrow_matrix(self, formula: Expression, room: float, language: Language) -> Piece:
        """A row that is too wide as a column, transposed; what is still too wide in small letters."""
        end = ""
        if len(formula.operands) == formula.content:
            formula, end = matrix([[entry] for entry in formula.operands]), "^T"
        text, width = language.write(formula), self._width(formula)
        if width > room:
            text = text.replace(r"\begin{pmatrix}", r"\left(\begin{smallmatrix}")
            text, width = text.replace(r"\end{pmatrix}", r"\end{smallmatrix}\right)"), 0.75 * width
        return text + end, width + 1

    def _width(self, formula: Expression, number_text: Callable[[float], str] = number_text) -> float:
        """About how wide a formula is, in digits: rather too wide than too narrow."""
        kind, content = formula.kind, formula.content
        widths = [self._width(operand, number_text) for operand in formula.operands]
        if kind == "name":
            return self._name(str(content))[1]
        if isinstance(content, float):
            return number_piece(number_text(content))[1] + (1.5 if content < 0 else 0.0)
        if isinstance(content, int):
            return sum(max(widths[column::content]) + 2 for column in range(content)) + 1
        if kind in ("/", "partial"):
            return max(widths) + 2
        if kind == "pow":
            return widths[0] + 0.8 * widths[1] + 2
        name = len(TABLE[kind].symbol if kind in TABLE else str(content or ""))
        return sum(widths) + 2 * len(widths) + name + (9 if kind == "where" else 1.5)


def _named(text: str) -> Expression:
    return Expression("name", content=text)


def _call(name: str, operands: Sequence[str]) -> str:
    function = function_piece(name)[0]
    if len(operands) == 1 and operands[0].startswith(r"\begin{pmatrix}") and operands[0].count(r"\begin") == 1:
        return f"{function}{operands[0]}"
    return rf"{function}\mathopen{{}}\left({', '.join(operands)}\right)"


def _matrix(rows: Sequence[Sequence[str]]) -> str:
    return r"\begin{pmatrix} " + r" \\ ".join(" & ".join(row) for row in rows) + r" \end{pmatrix}"


def _enclosed(pieces: Sequence[Piece], function: Piece = ("", 0.0)) -> list[Piece]:
    """The pieces in parentheses, behind the name of a function."""
    (first, width), (name, wide) = pieces[0], function
    pieces = [(rf"{name}\bigl({first}", width + wide + 1), *pieces[1:]]
    return [*pieces[:-1], (rf"{pieces[-1][0]}\bigr)", pieces[-1][1] + 1)]


def _packed(pieces: Sequence[Piece], room: float) -> list[str]:
    """The pieces in lines, as many to a line as there is room for."""
    lines: list[str] = []
    left = 0.0
    for latex, width in pieces:
        if lines and width <= left:
            lines[-1] += f" {latex}"
            left -= width
        else:
            lines.append(latex)
            left = room - width
    return lines

"""Formulas as MathML, with a slot for each name and number, which the page fills in."""

import html
from collections.abc import Sequence

from autograd_mini.formula import (
    ATOM,
    CASES,
    COMPARISON,
    MINUS,
    NEGATIVE,
    POWER,
    QUOTIENT,
    Language,
    Notation,
    infix,
    number_text,
)
from autograd_mini.sketch import printable


def _signs(signs: dict[str, str]) -> dict[str, Notation]:
    return infix({kind: f"<mo>{html.escape(sign)}</mo>" for kind, sign in signs.items()})


_MATHML = {
    **_signs({"+": "+", "-": MINUS, "*": "·", "<": "<", "<=": "≤", ">": ">", ">=": "≥", "=": "="}),
    **_signs({"@": "\N{INVISIBLE TIMES}", "⊙": "⊙"}),
    "transposed": Notation("<msup><mrow>{0}</mrow><mi>T</mi></msup>", POWER, (ATOM,)),
    **infix({"and": "<mtext>\N{NO-BREAK SPACE}and\N{NO-BREAK SPACE}</mtext>"}),
    "/": Notation("<mfrac><mrow>{0}</mrow><mrow>{1}</mrow></mfrac>", POWER, (CASES,)),
    "negative": Notation(f'<mo form="prefix">{MINUS}</mo>{{0}}', NEGATIVE, (QUOTIENT,)),
    "pow": Notation("<msup><mrow>{0}</mrow><mrow>{1}</mrow></msup>", POWER, (ATOM, CASES)),
    "abs": Notation(
        '<mrow><mo form="prefix" stretchy="true">|</mo>{0}<mo form="postfix" stretchy="true">|</mo></mrow>',
        ATOM,
        (CASES,),
    ),
    "sqrt": Notation("<msqrt><mrow>{0}</mrow></msqrt>", ATOM, (CASES,)),
    "where": Notation(
        "{1}<mtext>\N{NO-BREAK SPACE}if\N{NO-BREAK SPACE}</mtext>{0}<mtext>, else\N{NO-BREAK SPACE}</mtext>{2}",
        CASES,
        (CASES, COMPARISON, CASES),
    ),
    "dots": Notation("<mo>⋯</mo>", ATOM, ()),
}

_FENCE = '<mrow><mo form="prefix">(</mo>{}<mo form="postfix">)</mo></mrow>'

_NAME_START, _NAME_END = "\ue000s", "\ue001"
"""A slot of its own kind: what stands in it is a name, which the page writes with its indices."""


def _name(text: str) -> str:
    return f"{_NAME_START}{html.escape(printable(text))}{_NAME_END}"


def _number(x: float) -> str:
    text = number_text(x)
    digits, _, exponent = text.removeprefix(MINUS).partition("e")
    sign = f'<mo form="prefix">{MINUS}</mo>' if text.startswith(MINUS) else ""
    power = f"<mo>×</mo><msup><mn>10</mn><mn>{_exponent(exponent)}</mn></msup>" if exponent else ""
    return f"<mrow>{sign}<mn>{digits}</mn>{power}</mrow>"


def _exponent(text: str) -> str:
    return str(int(text)).replace("-", MINUS)


def _call(name: str, operands: Sequence[str]) -> str:
    inner = "<mo>,</mo>".join(f"<mrow>{operand}</mrow>" for operand in operands)
    return f"<mrow>{_name(name)}<mo>(</mo>{inner}<mo>)</mo></mrow>"


def _matrix(rows: Sequence[Sequence[str]]) -> str:
    lines = ("".join(f"<mtd><mrow>{entry}</mrow></mtd>" for entry in row) for row in rows)
    table = "".join(f"<mtr>{line}</mtr>" for line in lines)
    return f"<mrow><mo>[</mo><mtable>{table}</mtable><mo>]</mo></mrow>"


MATHML = Language(
    notations=_MATHML,
    fence=_FENCE,
    name=_name,
    number=_number,
    call=_call,
    matrix=_matrix,
)
"""Markup of our own only: names, which may be anything, come later, as text."""

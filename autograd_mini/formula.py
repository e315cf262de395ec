"""Rows of the table as formulas to read.

A row's partial derivatives are run on trees of symbols, as `source_code` does for programs; what an operation is
called by (its symbol) comes from the row as well. Where a node of the graph stands in a formula there is a slot, to be
filled with the node's name or with its number.
"""

import math
import operator
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from types import SimpleNamespace

from autograd_mini.ops import TABLE, Op, arithmetic
from autograd_mini.source_code import Expression, NotWritableError, as_expression, call, tree

CASES, COMPARISON, SUM, NEGATIVE, QUOTIENT, PRODUCT, POWER, ATOM = range(8)
"""How tightly things hold together, from loose to tight: an operand that its place wants tighter gets parentheses.

a / b is looser than a·b, so that (1 / 3)·x has parentheses: it would look like 1 / (3·x).
"""


def node(place: int) -> Expression:
    """A node of the graph, by its place in the order."""
    return Expression("node", content=place)


def number(x: float) -> Expression:
    """A number that is shown as it is."""
    return Expression("number", content=float(x))


def named(text: str) -> Expression:
    """A name that stands for itself."""
    return Expression("name", content=one_line(text))


def matrix(rows: Sequence[Sequence[Expression]]) -> Expression:
    """A matrix of formulas, of at least one row and column."""
    return Expression("matrix", [entry for row in rows for entry in row], content=len(rows[0]))


def gradient(place: int) -> Expression:
    """The gradient of a node of the graph."""
    return Expression("gradient", content=place)


def derivative(root: int, source: int, slot: int) -> Expression:
    """The derivative of a root through one operand of an operation, where there is no formula for it."""
    return Expression("derivative", content=f"{root}/{source}/{slot}")


DOTS = Expression("dots")

_READABLE: SimpleNamespace = arithmetic(
    {
        "where": lambda condition, x, y: Expression("where", [condition, x, y]),
        **{name: call(name) for name, op in TABLE.items() if not op.is_operator},
        **{name: call(name) for name in ("abs", "pow")},
    }
)
"""Rows on symbols, where a function stays what it is called: σ(x), not 1 / (1 + exp(−x))."""


def result_formula(op: Op, operands: Sequence[Expression]) -> Expression:
    """What an operation computes, as it is written: x·1 stays x·1. A row of the user's own stands by its symbol."""
    if TABLE.get(op.name) is op:
        return as_expression(getattr(_READABLE, op.name)(*operands))
    return Expression("call", operands, content=one_line(op.symbol))


def partial_formula(op: Op, index: int, out: Expression, operands: Sequence[Expression]) -> Expression | None:
    """The derivative of an operation by one operand, from its row; None for a row that is no formula."""
    try:
        return simplified(tree(op, op.partials[index], _READABLE, out, *operands))
    except NotWritableError:  # a row of the user's own may do anything with its operands, such as float(x)
        return None


def product_formula(factors: Sequence[Expression]) -> Expression:
    """The product of several formulas, simplified."""
    return _product([simplified(factor) for factor in factors])


# Simplifying: constants are worked out and come first, and what multiplies by 1 or chooses by a constant goes away.

_CONSTANT_RULES: dict[str, Callable[[float, float], float | bool]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def simplified(formula: Expression) -> Expression:
    """The same formula, shorter: 2·x for x² instead of 2·x^(2 − 1)."""
    return as_expression(_simplified(formula))


def _simplified(formula: Expression) -> Expression | bool:
    """A bool for a condition on constants."""
    kind, operands = formula.kind, [_simplified(operand) for operand in formula.operands]
    numbers = [_constant(operand) for operand in operands]
    if kind in _CONSTANT_RULES and None not in numbers:
        result = _CONSTANT_RULES[kind](*numbers)  # type: ignore[arg-type]
        return result if isinstance(result, bool) else number(result)
    if kind == "abs" and numbers[0] is not None:
        return number(abs(numbers[0]))
    if kind in ("+", "-"):
        return _sum(kind, *[as_expression(operand) for operand in operands])
    if kind in ("*", "negative"):
        return _product([as_expression(operand) for operand in operands], -1.0 if kind == "negative" else 1.0)
    if kind in ("/", "pow") and numbers[1] == 1.0:
        return as_expression(operands[0])
    if kind == "pow" and numbers[1] == 0.0:
        return number(1.0)
    if kind == "and" and any(isinstance(operand, bool) for operand in operands):
        false = [operand for operand in operands if operand is False]
        return False if false else next((each for each in operands if each is not True), True)
    if kind == "where" and isinstance(operands[0], bool):
        return operands[1] if operands[0] else operands[2]
    return Expression(kind, operands, content=formula.content)


def _sum(kind: str, left: Expression, right: Expression) -> Expression:
    """x + x is 2·x, and a + (−b) is a − b."""
    if kind == "+" and left.key == right.key:
        return _product([number(2.0), left])
    factors = _Factors()
    factors.take(right)
    if factors.number >= 0 or not factors.above:
        return Expression(kind, [left, right])
    factors.number = -factors.number
    return Expression("-" if kind == "+" else "+", [left, factors.product()])


@dataclass(slots=True)
class _Factors:
    """A product taken apart: the number that it begins with, the other factors, what all of it is divided by."""

    number: float = 1.0
    above: list[Expression] = field(default_factory=list)
    below: list[Expression] = field(default_factory=list)

    def take(self, formula: Expression) -> None:
        """Multiply by a formula."""
        constant = _constant(formula)
        if constant is not None:
            self.number *= constant
        elif formula.kind == "negative":
            self.number = -self.number
            self.take(formula.operands[0])
        elif formula.kind == "*":
            for operand in formula.operands:
                self.take(operand)
        elif formula.kind == "/":
            self.take(formula.operands[0])
            self._divide(formula.operands[1])
        else:
            self.above.append(formula)

    def _divide(self, formula: Expression) -> None:
        constant = _constant(formula)
        if constant and (self.number / constant).is_integer():  # 2·x / 2
            self.number /= constant
        else:
            self.below.append(formula)

    def product(self) -> Expression:
        """The formula: 2·x / y."""
        if self.number == -1.0 and self.above:
            result = -reduce(operator.mul, self.above)
        elif self.number == 1.0 and self.above:
            result = reduce(operator.mul, self.above)
        else:
            result = reduce(operator.mul, [number(self.number), *self.above])
        return result / reduce(operator.mul, self.below) if self.below else result


def _product(operands: Sequence[Expression], coefficient: float = 1.0) -> Expression:
    factors = _Factors(coefficient)
    for operand in operands:
        factors.take(operand)
    return factors.product()


def _constant(formula: Expression | bool) -> float | None:
    if isinstance(formula, Expression) and formula.kind == "number" and isinstance(formula.content, float):
        return formula.content
    return None


def _is_equality(formula: Expression) -> bool:
    """Whether it is x ≤ y and x ≥ y, which is how rows say x = y."""
    low, high = formula.operands if formula.kind == "and" else (formula, formula)
    return (low.kind, high.kind) == ("<=", ">=") and [x.key for x in low.operands] == [x.key for x in high.operands]


# Languages: how each kind is written.


@dataclass(frozen=True, slots=True)
class Notation:
    """How one kind is written: a template, how tightly the result holds together, what its operands must hold."""

    template: str
    binds: int
    wants: tuple[int, ...]
    """One for each operand; the last for all that follow. Up to COMPARISON, an operand stands by itself."""


_COMPARISONS = ("<", "<=", ">", ">=", "=")

_INFIX = {
    **dict.fromkeys(("+", "-"), (SUM, (SUM, QUOTIENT))),
    **dict.fromkeys(("*", "@", "⊙"), (PRODUCT, (PRODUCT, POWER))),
    "/": (QUOTIENT, (PRODUCT, POWER)),
    **dict.fromkeys(_COMPARISONS, (COMPARISON, (SUM, SUM))),
    "and": (CASES, (COMPARISON, COMPARISON)),
}


def infix(signs: dict[str, str]) -> dict[str, Notation]:
    """The notations of operators that stand between their operands."""
    return {kind: Notation(f"{{0}}{sign}{{1}}", *_INFIX[kind]) for kind, sign in signs.items()}


MINUS = "−"

_TEXT = {
    **infix({"+": " + ", "-": f" {MINUS} ", "*": "·", "/": " / ", "<": " < ", "<=": " ≤ ", ">": " > ", ">=": " ≥ "}),
    **infix({"=": " = ", "and": " and ", "@": " ", "⊙": " ⊙ "}),
    "transposed": Notation("{0}ᵀ", POWER, (ATOM,)),
    "negative": Notation(f"{MINUS}{{0}}", NEGATIVE, (QUOTIENT,)),
    "pow": Notation("{0}^{1}", POWER, (ATOM,)),
    "abs": Notation("|{0}|", ATOM, (CASES,)),
    "where": Notation("{1} if {0}, else {2}", CASES, (CASES, COMPARISON, CASES)),
    "dots": Notation("…", ATOM, ()),
}


@dataclass(frozen=True, slots=True)
class Language:
    """How formulas are written: the notations, and what is not in them."""

    notations: dict[str, Notation]
    fence: str
    name: Callable[[str], str]
    number: Callable[[float], str]
    call: Callable[[str, Sequence[str]], str]
    matrix: Callable[[Sequence[Sequence[str]]], str]

    def write(self, formula: Expression, wanted: int = CASES, is_first: bool = True) -> str:
        """The formula with its slots, in parentheses where it holds together less than wanted.

        What begins with a minus also gets them where it is not the first thing, as in 2·3 + (−1)·4.
        """
        kind, content = formula.kind, formula.content
        fences_minus = _fences_minus(wanted, is_first)
        if kind in _SLOT_LETTERS:
            return f"{_SLOT_START}{_SLOT_LETTERS[kind]}{content}{'!' if fences_minus else ''}{_SLOT_END}"
        if kind == "name":
            return self.name(str(content))
        if isinstance(content, float):
            text = self.number(content)
            return self.fence.format(text) if fences_minus and _is_negative(content) else text
        if isinstance(content, int):  # a matrix; content is its width
            entries = [self.write(entry, COMPARISON) for entry in formula.operands]
            return self.matrix([entries[start : start + content] for start in range(0, len(entries), content)])
        return self._operation(formula, wanted, is_first)

    def _operation(self, formula: Expression, wanted: int, is_first: bool) -> str:
        kind = "=" if _is_equality(formula) else formula.kind
        operands = formula.operands[0].operands if _is_equality(formula) else formula.operands
        notation = self.notations.get(kind)
        if notation is None:
            name = TABLE[kind].symbol if kind in TABLE else str(formula.content)
            # A comma parts operands, and it parts cases.
            want = COMPARISON if len(operands) > 1 else CASES
            return self.call(name, [self.write(operand, want) for operand in operands])
        is_fenced = _fences_minus(wanted, is_first) if notation.binds == NEGATIVE else notation.binds < wanted
        begins = kind != "negative" and (is_first or is_fenced)
        inner = []
        for place, operand in enumerate(operands):
            want = notation.wants[min(place, len(notation.wants) - 1)]
            stands_alone = want <= COMPARISON or kind in _COMPARISONS
            inner.append(self.write(operand, want, stands_alone or (begins and place == 0)))
        text = notation.template.format(*inner)
        return self.fence.format(text) if is_fenced else text


def _fences_minus(wanted: int, is_first: bool) -> bool:
    """Whether what begins with a minus needs parentheses: a product may, but only as the first thing, as in −1·x."""
    return wanted > PRODUCT or not is_first


def _is_negative(x: float) -> bool:
    return not math.isnan(x) and math.copysign(1.0, x) < 0


def number_text(x: float, digits: int = 6) -> str:
    """A number at six digits, as formulas show it, or at more."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else f"{MINUS}∞"
    text = f"{x:.{digits}g}"
    return MINUS + text[1:] if text.startswith("-") else text


# Slots: what is filled in later stands between private characters, which no name may hold.

_SLOT_START, _SLOT_END = "\ue000", "\ue001"
SLOT = re.compile(f"{_SLOT_START}([ngd])([0-9/]+)(!?){_SLOT_END}")
"""Letter, content and mark of a slot."""
_SLOT_LETTERS = {"node": "n", "gradient": "g", "derivative": "d"}

Filler = Callable[[str, str], str]
"""What stands in a slot: of its letter (n, g or d) and its content, a place or root/source/slot."""


_UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp", "Co")
_LONGEST_SYMBOL = 40


def one_line(text: str) -> str:
    """A name that is safe to print, and not too long for a line."""
    return visible(text if len(text) <= _LONGEST_SYMBOL else text[: _LONGEST_SYMBOL - 1] + "…")


def visible(text: str) -> str:
    """The text with a sign for each character that moves the cursor, turns the writing direction or marks a slot."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(each) in _UNSAFE else each for each in text)


def filled(template: str, filler: Filler, fence: str = "({})") -> str:
    """A written formula with a text in each slot; a negative number gets parentheses where it needs them."""

    def fill(slot: re.Match[str]) -> str:
        text = filler(slot[1], slot[2])
        return fence.format(text) if slot[3] and text.startswith((MINUS, "-")) else text

    return SLOT.sub(fill, template)


TEXT = Language(
    notations=_TEXT,
    fence="({})",
    name=lambda text: text,
    number=number_text,
    call=lambda name, operands: f"{name}({', '.join(operands)})",
    matrix=lambda rows: "[" + "; ".join(", ".join(row) for row in rows) + "]",
)

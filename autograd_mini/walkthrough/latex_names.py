"""Names, numbers and any text at all as LaTeX, in ASCII: what the usual fonts lack is shown as U+1F600."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from autograd_mini.formula import MINUS

_LONGEST = 30.0
"""The width of a name, in digits, beyond which its middle is left out."""

Piece = tuple[str, float]
"""LaTeX, and about how wide it is, in digits."""

_GREEK_LETTERS = "αβγδεζηθικλμνξπρσςτυφχψωΓΔΘΛΞΠΣΥΦΨΩ"
_GREEK_COMMANDS = r"""
\alpha \beta \gamma \delta \varepsilon \zeta \eta \theta \iota \kappa \lambda \mu \nu \xi \pi \rho \sigma \varsigma \tau
\upsilon \varphi \chi \psi \omega \Gamma \Delta \Theta \Lambda \Xi \Pi \Sigma \Upsilon \Phi \Psi \Omega
"""
_GREEK = dict(zip(_GREEK_LETTERS, _GREEK_COMMANDS.split(), strict=True))

_ACCENTS = {
    "\N{COMBINING CIRCUMFLEX ACCENT}": "hat",
    "\N{COMBINING TILDE}": "tilde",
    "\N{COMBINING MACRON}": "bar",
    "\N{COMBINING DOT ABOVE}": "dot",
    "\N{COMBINING DIAERESIS}": "ddot",
    "\N{COMBINING ACUTE ACCENT}": "acute",
    "\N{COMBINING GRAVE ACCENT}": "grave",
    "\N{COMBINING CARON}": "check",
    "\N{COMBINING BREVE}": "breve",
}

_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾⁺⁻ᵀ", "0123456789()+-T", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))

_SIGNS = {
    MINUS: "-",
    "·": r"\cdot",
    "×": r"\times",
    "÷": r"\div",
    "±": r"\pm",
    "∞": r"\infty",
    "∂": r"\partial",
    "√": r"\surd",
    "∑": r"\sum",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "≈": r"\approx",
    "→": r"\to",
    "←": r"\leftarrow",
    "⊙": r"\odot",
    "′": "{}'",
    **_GREEK,
    **{sign: f"{{}}^{{{digit}}}" for sign, digit in _RAISED.items()},
    **{sign: f"{{}}_{{{digit}}}" for sign, digit in _LOWERED.items()},
}
"""What stands in a text as a formula of its own."""

_ESCAPED = {
    **{special: f"\\{special}" for special in "#$%&_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': r"\char34{}",
    "`": r"{}\char96{}",
    "'": "'{}",
    "-": "-{}",
    " ": r"\ ",
    "…": r"\dots{}",
    "—": "---{}",
    "–": "--{}",
}
"""Some only so that two of them do not make another sign: -- would be a dash."""

_SCRIPTS = "".join([*_RAISED, *_LOWERED])
_SIMPLE = re.compile(
    f"(?P<prefix>(?:D_)?)(?P<base>[A-Za-z][A-Za-z0-9]*|[{''.join(_GREEK)}])(?P<accent>[{''.join(_ACCENTS)}]?)"
    f"(?P<low>_[A-Za-z0-9]+)?(?P<scripts>[,{re.escape(_SCRIPTS)}]*)(?P<primes>′*)"
)
_OPERATORS = frozenset(("exp", "log", "sin", "cos", "tan", "tanh", "max", "min"))


@lru_cache(maxsize=100_000)
def name_piece(text: str) -> Piece:
    """A name of a node or matrix: z¹₁ as z^{1}_{1}, ŷ as \\hat{y}, D_W¹ as D_{W^{1}}; any other as text."""
    return _simple(text, r"\mathrm") or text_piece(text)


@lru_cache(maxsize=1_000)
def function_piece(text: str) -> Piece:
    """A name of a function: σ, \\exp, \\operatorname{relu}."""
    return _simple(text, r"\operatorname") or text_piece(text)


def _simple(text: str, upright: str) -> Piece | None:
    found = _SIMPLE.fullmatch(unicodedata.normalize("NFD", text))
    if found is None or (len(found["base"]) > 1 and (found["accent"] or found["low"])) or len(text) > _LONGEST:
        return None
    base, scripts = found["base"], found["scripts"]
    written = _GREEK.get(base) or base
    if len(base) > 1:
        is_known = upright == r"\operatorname" and base in _OPERATORS
        written = f"\\{base}" if is_known else f"{upright}{{{base}}}"
    if found["accent"]:
        written = f"\\{_ACCENTS[found['accent']]}{{{written}}}"
    low = (found["low"] or "")[1:]
    low, high = _scripts(low if len(low) < 2 or low.isdigit() else rf"\mathrm{{{low}}}", scripts)
    high = r"\prime" * len(found["primes"]) + high
    written += (f"^{{{high}}}" if high else "") + (f"_{{{low}}}" if low else "")
    width = len(base) + 0.8 * len((found["low"] or "") + scripts + found["primes"])
    return (f"D_{{{written}}}", width + 1.5) if found["prefix"] else (written, width)


def _scripts(low: str, signs: str) -> tuple[str, str]:
    """Subscript and superscript out of raised and lowered signs; a comma belongs to what is before it."""
    high, is_low = "", False
    for sign in signs:
        is_low = sign in _LOWERED or (sign == "," and is_low)
        if is_low:
            low += _LOWERED.get(sign, sign)
        else:
            high += _RAISED.get(sign, sign)
    return low, high


def text_piece(text: str, longest: float = _LONGEST) -> Piece:
    """Any text, shortened in its middle where it is long."""
    pieces = [_character(character) for character in unicodedata.normalize("NFC", text)]
    if _width(pieces) > longest:
        head, tail = pieces, pieces[::-1]
        pieces = [*_fitting(head, 0.6 * longest), (r"\dots{}", 2.0), *_fitting(tail, 0.3 * longest)[::-1]]
    return f"\\text{{{''.join(latex for latex, _ in pieces)}}}", _width(pieces)


def _width(pieces: Iterable[Piece]) -> float:
    return sum(width for _, width in pieces)


def _fitting(pieces: list[Piece], room: float) -> list[Piece]:
    fitting: list[Piece] = []
    for piece in pieces:
        room -= piece[1]
        if room < 0:
            break
        fitting.append(piece)
    return fitting


def _character(character: str) -> Piece:
    if character in _ESCAPED:
        return _ESCAPED[character], 2.0 if character in "…—" else 1.5
    if character in _SIGNS:
        return f"${_SIGNS[character]}$", 1.6
    if " " < character <= "~":
        return character, 1.6 if character.isupper() or character in "mw@" else 1.1
    letter, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in _ACCENTS and letter.isascii() and letter.isalpha():
        letter = {"i": r"\imath", "j": r"\jmath"}.get(letter, letter)
        return f"$\\{_ACCENTS[marks[0]]}{{\\mathrm{{{letter}}}}}$", 1.5
    code = f"U+{ord(character):04X}"
    return f"{{\\ttfamily {code}}}", 1.1 * len(code)


def number_piece(text: str) -> Piece:
    """A number that is written as text: 3.88694e-05 as 3.88694 \\cdot 10^{-5}."""
    sign = "-" if text.startswith((MINUS, "-")) else ""
    digits = text.lstrip(f"{MINUS}-")
    if digits == "∞":
        return rf"{sign}\infty", 3.5
    if digits == "NaN":
        return r"\mathrm{NaN}", 4.0
    if digits == "—":
        return r"\text{---}", 2.0
    mantissa, _, exponent = digits.partition("e")
    if not exponent:
        return sign + mantissa, len(text) + 0.5
    return rf"{sign}{mantissa} \cdot 10^{{{int(exponent)}}}", len(mantissa) + 4.0 + len(exponent)

"""Expressions and words of the command line that nobody would type: computed, or refused in one line."""

import contextlib
import io
import math
from itertools import chain
from pathlib import Path

from hypothesis import strategies as st

from autograd_mini import Value, walkthrough
from autograd_mini.cli import main
from autograd_mini.expression import _FUNCTIONS, Expression
from trials.watch import Violation, check_error, run_command

# fmt: off
_NAMES = [
    "x", "y", "w", "e", "pi", "µ", "ﬁ", "ŷ", "λ", "_", "__", "x1", "None", "lambda", "self", "é", "ℼ", "𝐱", "x" * 300,
]
_NUMBERS = [
    "0", "1", "2", "3.5", "1e308", "1e999", "5e-324", "1_000", "0x10", "0b1", "0o7", "1j", "٣", "01", "1.e5",
    "9" * 30, "9" * 5000, "0x" + "f" * 400, "1e-999", "10**400", "9**9**9**9", ".5", "5.", "1__0", "0_",
]
_SIGNS = [
    "+", "-", "*", "/", "**", "//", "%", "@", "<<", ">>", "&", "|", "^", "~", "<", "==", "!=", ":=", "=", "and", "or",
    "not ", "if", "else", "in", "is", "->", "...", ".", ",", ":", ";", "!", "?", "$", "`", "\\", "\n", "\r", "\t",
    "\f", " ", "#", "# x",
]
_BRACKETS = [
    "(", ")", "[", "]", "{", "}", "((((", "))))", "()", "[]", "{}",
]
_PYTHON = [
    "lambda: 1", "lambda x: x", "x.__class__", "().__class__.__bases__", "__import__('os').system('true')",
    "exec('1')", "eval('x')", "open('/etc/passwd')", "[x for x in y]", "{x: y}", "{*x}", "*x", "**x", "yield x",
    "await x", "(yield)", "f'{x}'", "f'{x!r:>{y}}'", "f'''{x\n}'''", "b'x'", "r'\\'", "'\\N{BULLET}'", "'\\ud800'",
    "'''", '"""', "u''", "'x' 'y'", "print(x)", "globals()", "x[0]", "x[1:2]", "x if y else w", "x := 1", "del x",
    "import os", "pass", "async x", "match x:", "exp(x=1)", "exp(*x)", "exp(**x)", "exp(x for x in y)", "exp",
    "exp()", "exp(exp)", "leaky_relu(x, x, x)", "_FUNCTIONS",
]
# fmt: on
_CALLS = [f"{name}(" for name in _FUNCTIONS] + ["logsumexp(", "getattr(", "type(", "x(", "1(", "Value("]
# fmt: off
_ODD = [
    "\0", "\x1b[2J", "\ud800", "\udfff", "\u202e", "\u200b", "\ufeff", "\u2028", "\xa0", "−", "×", "·", "²", "½", "∞",
    "√2", "“x”",
]
# fmt: on

_SOUP = st.lists(st.sampled_from(_NAMES + _NUMBERS + _SIGNS + _BRACKETS + _CALLS + _PYTHON + _ODD), max_size=12).map(
    "".join
)
_SPACED = st.lists(st.sampled_from(_NAMES + _NUMBERS + _SIGNS + _BRACKETS + _CALLS), max_size=14).map(" ".join)


def _call(parts: tuple[str, str, str]) -> str:
    name, first, second = parts
    return f"{name}({first}, {second})" if name in ("maximum", "minimum", "logaddexp") else f"{name}({first})"


_VALID = st.recursive(
    st.sampled_from(["x", "y", "w", "e", "pi", "2", "0.5", "0", "1e308", "-1", "1e-300", "1000", "µ"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(st.sampled_from(list(_FUNCTIONS)), inner, inner).map(_call),
    ),
    max_leaves=8,
)


# fmt: off
_NESTS = [
    ("(", ")"), ("-", ""), ("+", ""), ("exp(", ")"), ("x**", ""), ("x+", ""), ("[", "]"), ("not ", ""), ("~", ""),
    ("f'{", "}'"), ("lambda:", ""), ("x if x else ", ""), ("{", "}"), ("x.", "x"), ("", ".x"), ("", "[0]"),
    ("", "()"), ("*", ""),
]
# fmt: on


@st.composite
def _deep(draw: st.DrawFn) -> str:
    """Something nested, many times over."""
    before, after = draw(st.sampled_from(_NESTS))
    depth = draw(st.sampled_from([1, 2, 10, 60, 99, 199, 201, 500, 1000, 3000, 9000, 12_000]))
    text = before * depth + draw(st.sampled_from(["x", "1", "", "y"])) + after * depth
    return text[: draw(st.sampled_from([10_000, 10_000, 10_001, 9_999]))]


def _damaged(parts: tuple[str, float, str]) -> str:
    text, share, token = parts
    place = int(share * len(text))
    return text[:place] + token + text[place:]


EXPRESSIONS = st.one_of(
    _VALID,
    _VALID,
    _SOUP,
    _SPACED,
    st.tuples(_VALID, st.floats(0, 1), st.sampled_from(_SIGNS + _BRACKETS + _ODD + _PYTHON)).map(_damaged),
    st.text(max_size=60),
    st.text(alphabet="x1+-*/.()[]{}'\"\\,:= \n", max_size=40),
    _deep(),
)


def feed_expression(folder: Path, text: str) -> bool:
    """Read it, compute it in plain numbers and in `Value`s, check and step through it. Returns whether it was read."""
    try:
        expression = Expression(text)
    except ValueError as error:
        check_error(error, "expression: ")
        return False
    names = [name for name in expression.variables if name not in ("pi", "e")]
    if len(names) > 4:
        return True
    numbers = dict(zip(names, [0.7, 1.3, -0.4, 2.0], strict=False))
    plain = expression(**numbers)
    leaves = {name: Value(number, name) for name, number in numbers.items()}
    result = expression(**leaves)
    if not same(float(result), float(plain)):
        raise Violation(f"expected the same in numbers and in Values, got {plain!r} and {result!r}")
    run_command(["check", f" {text}", *(f"{name}={number}" for name, number in numbers.items())])  # --x is an option
    if isinstance(result, Value) and len(text) < 200:
        result.backward()
        walk = walkthrough(result)
        for shown in (walk.to_text(), walk.to_latex(), walk.to_html()):
            shown.encode()
    return True


def same(one: float, other: float) -> bool:
    """Equal, or both no number."""
    return one == other or (math.isnan(one) and math.isnan(other))


# Words

# fmt: off
_KNOWN_WORDS = [
    "check", "step", "train", "predict", "--help", "-h", "--version", "--", "-", "", "x", "x*y", "x=1", "y=2",
    "x=nan", "x=", "=1", "x==1", "x=1e999", "x=٣", "x= 1", "1=1", "µ=1", "lambda=1", "self=1", "x=" + "9" * 5000,
    "x=1\n", "-x", "--network", "--input", "--activation", "--output-activation", "--weights", "--seed", "--target",
    "--level", "\n", "--all", "--leaf", "--tolerance", "3-2-1", "2-2", "0-1", "1", "9" * 30, "3-", "-3", "2,4,3",
    "1,2", ",", "nan,1,2", "sigmoid", "tanh", "none", "ones", "he", "xavier", "zeros", "uniform", "operation",
    "layer", "neuron", "w011", "x1", "--data", "--ignore", "--task", "--hidden", "--optimizer", "--learning-rate",
    "--epochs", "--batch-size", "--resume", "--validation", "--standardize", "--early-stopping", "--output",
    "flowers.csv", "flowers.json", "--epochs=1", "--hidden=2", "--hidden=none", "--hidden= 3", "--ignore=a\rb",
    '--ignore="', "--seed=1", "--target=kind", "--learning-rate=1e999", "--learning-rate=٣", "--validation=0",
    "--batch-size=99999999999999", "--task=regression", "out.json", "no/out.json", "out.safetensors", "out.pkl", "..",
    ".", "/", "a" * 300, "\udcff", "é", "x" * 70_000,
]
_COMMANDS = [
    ["check"], ["step"], ["step", "--network"], ["train"], ["predict"], [],
    ["train", "--data", "flowers.csv", "--target", "y", "--epochs", "1"],
    ["predict", "flowers.json", "--data", "flowers.csv"],
]
# fmt: on
_WORDS = st.one_of(
    st.sampled_from(_KNOWN_WORDS),
    st.sampled_from(_KNOWN_WORDS),
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
)
# fmt: off
_PAIRS = [
    ["--hidden", "2"], ["--epochs", "2"], ["--seed", "3"], ["--output", "out.json"], ["--task", "regression"],
    ["--validation", "0"], ["--batch-size", "4"], ["--optimizer", "sgd"], ["--standardize", "off"], ["--ignore", "x"],
    ["--early-stopping"], ["--level", "operation"], ["--leaf", "x"], ["--input", "1,2"], ["--activation", "tanh"],
    ["--weights", "ones"], ["--target", "y"], ["x*y", "x=1", "y=2"], ["2-1", "--input", "1,2"], ["--all"],
]
# fmt: on
WORDS = st.tuples(
    st.sampled_from(_COMMANDS), st.lists(st.sampled_from(_PAIRS), max_size=3), st.lists(_WORDS, max_size=3)
).map(lambda parts: [*parts[0], *chain.from_iterable(parts[1]), *parts[2]])
"""What may stand behind `autograd-mini`; it is run where there are flowers.csv and flowers.json."""


def feed_words(folder: Path, words: list[str]) -> bool:
    """Run the command. Returns whether it did something; argparse says what it refuses in its own way."""
    if words[:1] == ["example"]:
        return False
    given = [str(folder / word) if word.endswith((".csv", ".json", ".safetensors")) else word for word in words]
    try:
        if given and given[0] in ("check", "step", "train", "predict"):
            return run_command(given) != 2
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return main(given) != 2
    except SystemExit as stop:
        if stop.code not in (0, 2):
            raise Violation(f"expected exit status 0 or 2, got {stop.code!r}") from None
        return stop.code == 0

"""Tables that are damaged, odd or no tables at all: learnt and predicted, or refused in one line."""

import contextlib
import io
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from autograd_mini.cli import main
from trials.edits import edited, edits
from trials.watch import run_command

# fmt: off
_USUAL_CELLS = [
    "1", "2", "-3.5", "0", "a", "b", "c", "rose", "1.0", "2.50", "+1", ".5", "1.", "1e3", "-0", "", "NA",
]
_ODD_CELLS = [
    "1e308", "-1e308", "5e-324", "1e-400", "1e999", "-1e999", "9" * 400, "inf", "-Infinity", "nan", "NaN", "#N/A",
    '"', '""', '"a', 'a"b', '"a""b"', '"1,2"', '"a\nb"', "'", " 1 ", "\t", "\\", "1_000", "1,5", "0x10", "True", "١",
    "１", "²", "½", "−1", "1\u00a0", "\u202e1", "\x001", "\x1b[2J", "\ud800", "\ufeff1", "é", "😀", "=1+1", "a" * 200,
]
# fmt: on
_CELLS = st.sampled_from(_USUAL_CELLS) | st.sampled_from(_ODD_CELLS) | st.floats().map(repr) | st.text(max_size=4)
_SEPARATORS = st.sampled_from([",", ",", ",", ";", "\t", "|", ", "])
_ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r", "\n\n", "\x0b", "\x85", "\u2028", ""])
_ENCODINGS = st.sampled_from(
    ["utf-8"] * 6 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7"]
)


@st.composite
def _grids(draw: st.DrawFn) -> bytes:
    """Rows of cells, not always of one length, in some encoding."""
    width = draw(st.integers(1, 4))
    is_ragged = draw(st.integers(0, 9)) == 0
    names = draw(
        st.lists(st.sampled_from(["x", "z", "w", "y", "y", "Y", "", "1", "x"]), min_size=width, max_size=width)
    )
    if draw(st.booleans()):
        names[-1] = "y"
    rows = draw(
        st.lists(st.lists(_CELLS, min_size=1 if is_ragged else width, max_size=5 if is_ragged else width), max_size=7)
    )
    separator, end = draw(_SEPARATORS), draw(_ENDS)
    text = end.join(separator.join(row) for row in [names, *rows]) + end
    encoding = draw(_ENCODINGS)
    has_halves = encoding.startswith("utf") and encoding != "utf-7"
    return text.encode(encoding, errors="surrogatepass" if has_halves else "replace")


_PLAIN_CELLS = st.integers(-9, 9).map(str) | st.floats(-1e6, 1e6).map(repr)


@st.composite
def _nearly_right(draw: st.DrawFn) -> bytes:
    """A table of numbers, or of numbers and classes, in which at most one cell is odd."""
    targets = draw(st.sampled_from([_PLAIN_CELLS, st.sampled_from("ab"), st.sampled_from(["0", "1", "2.0"])]))
    rows = [list(row) for row in draw(st.lists(st.tuples(_PLAIN_CELLS, _PLAIN_CELLS, targets), min_size=3, max_size=8))]
    if draw(st.booleans()):
        draw(st.sampled_from(rows))[draw(st.integers(0, 2))] = draw(_CELLS)
    separator, end = draw(st.sampled_from([",", ";", "\t"])), draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join(separator.join(row) for row in [["x", "z", "y"], *rows])
    return text.encode(errors="surrogatepass")


_FLOWERS = "x,z,y\n" + "".join(
    f"{row % 3 + row / 50},{10 - row % 3},{('rose', 'lily', 'iris')[row % 3]}\n" for row in range(9)
)
_HOUSES = "x;z;y\r\n" + "".join(f"{row};{row * 7 % 5};{100.5 * row + row * 7 % 5}\r\n" for row in range(1, 9))
_QUOTED = 'x,"z",y\n1,"a ""quoted"" text, with a comma",2.5\n3,"two\nlines",4\n'
# fmt: off
_TOKENS = [
    b",", b";", b"\t", b'"', b'""', b"\n", b"\r", b"\r\n", b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"y",
    b"1e999", b"nan", b"9" * 400, b'"' + b"a" * 200_000, b"," * 3000, b"\n" * 3000, b"\xc3", b"\xed\xa0\x80",
    b"\xe2\x80\xae", b"\x1b[31m", b"1,2,3\n" * 50,
]
# fmt: on
_EDITS = edits(_TOKENS, longest=60)

TABLES = st.tuples(
    st.one_of(
        _grids(),
        _nearly_right(),
        st.tuples(st.sampled_from([_FLOWERS, _HOUSES, _QUOTED]), _EDITS).map(
            lambda both: edited(both[0].encode(), both[1])
        ),
        st.binary(max_size=80),
        st.text(max_size=80).map(lambda text: text.encode(errors="surrogatepass")),
    ),
    st.sampled_from([(), (), ("--task", "regression"), ("--task", "classification"), ("--standardize", "off")]),
)
"""The bytes of a table, and options of the training."""


def prepare(folder: Path) -> Path:
    """A network that is there to predict with."""
    table = folder / "flowers.csv"
    table.write_text(_FLOWERS)
    words = ["--epochs", "1", "--hidden", "none", "--output", str(folder / "flowers.json")]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "--data", str(table), "--target", "y", *words]) == 0
    return folder


def feed_table(folder: Path, drawn: tuple[bytes, Any]) -> bool:
    """Predict it with a network that knows other rows; train on it, and predict it. Returns whether it was learnt."""
    data, options = drawn
    table, model = folder / "hostile.csv", folder / "hostile.json"
    table.write_bytes(data)
    model.unlink(missing_ok=True)
    run_command(["predict", str(folder / "flowers.json"), "--data", str(table)])
    words = ["--target", "y", "--epochs", "1", "--hidden", "none", "--output", str(model), *options]
    status = run_command(["train", "--data", str(table), *words])
    assert model.exists() == (status == 0)
    if status == 0:
        run_command(["predict", str(model), "--data", str(table), "--output", str(folder / "predictions.csv")])
    return status == 0

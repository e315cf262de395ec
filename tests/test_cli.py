"""The command: its output, its exit status, and one line for every mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograd_mini.cli import main


def test_check_prints_the_table_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "sigmoid(w*x + b)", "w=1", "x=2", "b=0"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "sigmoid(w*x + b) = 0.8807970779778823"
    assert [line.split()[0] for line in out[2:5]] == ["w", "x", "b"]
    assert out[2].split()[1] == "0.209987170807"
    assert out[-1] == "3 pass"


def test_an_expression_may_begin_with_a_minus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-x**2", "x=-3"]) == 0
    assert "-9.0" in capsys.readouterr().out


def test_a_kink_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "relu(x)", "x=0"]) == 1
    assert "inconclusive: kink" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "foo(x)", "x=1"], "got the function foo"),
        (["check", "x", "x=a"], "expected a number for x, got 'a'"),
        (["check", "x", "1"], "expected name=number, such as w=1, got '1'"),
        (["check", "w*x", "w=1"], "expected a number for x, as in x=1"),
        (["check", "w", "w=1", "w=2"], "w is given twice"),
        (["check", "1 + 1"], "expected an expression with at least one variable"),
        (["check", "x", "x=1", "--tolerance", "2"], "expected a tolerance between 0 and 1, got 2"),
    ],
)
def test_mistakes_take_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("autograd-mini check: ")
    assert printed.err.count("\n") == 1


def test_the_installed_command(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("autograd-mini")
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("autograd-mini 0.")
    done = subprocess.run([command, "example", "--output", tmp_path], capture_output=True, text=True, check=True)
    assert "0.00003886942" in done.stdout
    assert len(list(tmp_path.iterdir())) == 2


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("autograd-mini")), "example", "--output", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_a_terminal_without_greek(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("autograd-mini")), "example", "--output", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"3-2-3-1, ? on" in done.stdout


# step


def test_step_prints_every_step_of_the_worked_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Both passes over ŷ in 101 steps")
    assert "rule      v₁ = w⁰₁₁·x₁\n  numbers   1·2\n  result    2\n" in out
    assert "Backward 65 of 65" in out


def test_step_through_an_expression(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "sigmoid(w*x + b)", "w=1", "x=2", "b=0"]) == 0
    out = capsys.readouterr().out
    assert "rule      f = σ(w·x + b)\n" in out
    assert "Found: ∂f/∂w = 0.209987170807, ∂f/∂x = 0.104993585404, ∂f/∂b = 0.104993585404." in out


def test_the_result_gets_a_name_that_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "-f*y", "f=-3", "y=2"]) == 0
    assert "Found: ∂g/∂f = −2, ∂g/∂y = 3." in capsys.readouterr().out


def test_step_through_a_network_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--network", "3-2-3-1", "--input", "2,4,3", "--activation", "sigmoid", "--weights", "ones"]
    assert main(["step", *words, "--level", "layer"]) == 0
    assert "result    [2.64231349279]" in capsys.readouterr().out
    words = ["--network", "2-3-2", "--input", "-1,0.5", "--activation", "tanh", "--output-activation", "none"]
    words += ["--weights", "uniform", "--seed", "3", "--target", "-1, 2", "--level", "neuron"]
    assert main(["step", *words]) == 0
    first = capsys.readouterr().out
    assert first.startswith("Both passes over loss")
    assert main(["step", *words]) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize("name", ["w⁰₁₁", "w011"])
def test_step_says_where_a_gradient_comes_from(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "--leaf", name]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "∂ŷ/∂w⁰₁₁ = 7.77389e-05, along 3 paths"
    assert len(out) == 4


def test_step_writes_the_page_and_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, document = tmp_path / "walk.html", tmp_path / "walk.tex"
    assert main(["step", "--html", str(page), "--latex", str(document), "--level", "layer"]) == 0
    sizes = [f"wrote {path} ({path.stat().st_size / 1000:.0f} kB)" for path in (page, document)]
    assert capsys.readouterr().out.splitlines() == sizes
    assert "<html" in page.read_text(encoding="utf-8")
    assert r"D_{W^{1}} &= A^{1} \, D_{Z^{2}}" in document.read_text(encoding="ascii")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x*y", "x=1"], "expected a number for y, as in y=1"),
        (["1 + 1"], "expected an expression with at least one variable"),
        (["x", "x=1", "--network", "2-1"], "expected an expression or a network, got the expression 'x' and --network"),
        (["x", "x=1", "--output-activation", "tanh"], "got the expression 'x' and --output-activation"),
        (["--network", "3-a", "--input", "1"], "--network: expected whole numbers, such as 3-2-3-1, got 'a'"),
        (["--network", "3-2"], "--input: expected 3 numbers with commas between them, got none"),
        (["--network", "3-1", "--input", "1"], "expected 3 inputs, got 1"),
        (["--network", "3", "--input", "1,2,3"], "expected the number of inputs and of the neurons of each layer"),
        (["--network", "3-0-1", "--input", "1,2,3"], "got 0"),
        (["--network", "2-2", "--input", "1,2"], "2 outputs have no one gradient; give a target, of as many numbers"),
        (["--network", "9999-9999-1", "--input", "1"], "expected at most 20,000 weights to step through, got 99,"),
        (["--network", "100-100-1", "--input", ",".join("1" * 100)], "expected at most 20,000; step through"),
        (["--input", "1,,2"], "--input: expected numbers with commas between them, such as 2,4,3, got ''"),
        (["--input", "1,2"], "expected 3 inputs, got 2"),
        (["--activation", "foo"], "expected activation to be one of exp,"),
        (["--weights", "foo"], "got 'foo'"),
        (["--seed", "-1"], "--seed: expected whole numbers, got '-1'"),
        (["--target", "1,2"], "target: expected as many numbers as there are outputs, 1, got 2"),
        (["--level", "atom"], "expected level to be one of operation, expression, neuron, layer, got 'atom'"),
        (["--leaf", "q"], "--leaf: expected one of w"),
        (["--html", "walk.txt"], "expected a path ending in .html, got 'walk.txt'"),
        (["--html", "nowhere/walk.html"], "there is no folder 'nowhere'"),
        (["--latex", "walk.txt"], "--latex: expected a path ending in .tex, got 'walk.txt'"),
        (["--latex", "nowhere/walk.tex"], "--latex: there is no folder 'nowhere'"),
    ],
)
def test_mistakes_of_step_take_one_line_and_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["step", *words]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("autograd-mini step: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_head_of_the_steps_is_no_error() -> None:
    command = [str(Path(sys.executable).with_name("autograd-mini")), "step"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_steps_in_a_terminal_without_greek() -> None:
    command = [str(Path(sys.executable).with_name("autograd-mini")), "step", "sin(x)", "x=1"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"?f/?x" in done.stdout

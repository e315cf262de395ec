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

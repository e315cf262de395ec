"""docs/trust.md: every promise has its tests, and every trial its figures."""

import gc
import random
import re
from importlib import import_module
from pathlib import Path

import pytest
from trials import report, soak

TESTS = Path(__file__).parent

PROMISES = dict(re.findall(r"^\| (\d+) \| (.+) \|$", report.PAGE.read_text(), re.MULTILINE))

TRIALS = sorted(path.stem for path in (TESTS / "trials").glob("[!_]*.py") if "def main" in path.read_text())


def test_there_are_twenty_seven_promises() -> None:
    assert list(PROMISES) == [str(number) for number in range(1, 28)]


@pytest.mark.parametrize("number", PROMISES)
def test_every_promise_has_tests(number: str) -> None:
    assert any(re.search(rf"def test_case_{number}_", path.read_text()) for path in TESTS.glob("test_*.py"))


def test_no_test_carries_the_number_of_another_list() -> None:
    numbers = {
        found for path in TESTS.glob("test_*.py") for found in re.findall(r"def test_case_(\d+)_", path.read_text())
    }
    assert numbers <= set(PROMISES)


@pytest.mark.parametrize("trial", TRIALS)
def test_every_trial_has_its_figures(trial: str) -> None:
    assert import_module(f"trials.{trial}").__doc__
    figures = re.search(f"<!-- {trial} -->(.*?)<!-- /{trial} -->", report.PAGE.read_text(), re.DOTALL)
    assert figures is not None
    assert re.search(r"\d", figures[1])


def test_figures_replace_those_before_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- one -->\nold\n<!-- /one -->\nafter \\1 <!-- two -->\n<!-- /two -->\n")
    report.write("one", "new \\1", page)
    assert (
        page.read_text() == "before\n<!-- one -->\n\nnew \\1\n\n<!-- /one -->\nafter \\1 <!-- two -->\n<!-- /two -->\n"
    )
    with pytest.raises(ValueError, match=r"^trials: expected the marks of three once in page\.md, got them 0 times$"):
        report.write("three", "new", page)


def test_rounds_of_the_soak_leave_nothing_behind(tmp_path: Path) -> None:
    """What is kept on purpose, such as programs for the next model of a shape, is kept once."""
    pytest.importorskip("numba")
    counts = []
    for _ in range(3):
        soak.one_round(random.Random(0), tmp_path)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] <= counts[1]


def test_the_figures_of_the_soak() -> None:
    """Flat, and then a leak of 1 MiB a minute."""
    flat = [(minute / 10, 100.0) for minute in range(1, 101)]
    assert re.search(
        r"100\.0 MiB in the second third and 100\.0 MiB in the last; .* by [+-]0\.00 MiB", soak.summary(flat)
    )
    leak = soak.summary([(minute, memory + minute) for minute, memory in flat])
    assert "is 105.0 MiB in the second third and 108.3 MiB in the last" in leak
    assert "rises by +1.00 MiB a minute, +102.4 KiB a round" in leak
    assert b"resident memory, MiB" in soak.picture(flat)

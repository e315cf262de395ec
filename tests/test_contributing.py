"""The guide's example of a new operation, followed to the letter on a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

USE = """
import math
from autograd_mini import Value, check_gradients, compile_graph, grad, silu, walkthrough
from autograd_mini.cli import main
from autograd_mini.walkthrough import BackwardFrame
from nn import MLP

x = Value(0.7)
y: Value = x.silu()
plain: float = silu(0.7)
y.backward()
sigma = 1 / (1 + math.exp(-0.7))
assert math.isclose(plain, 0.7 * sigma)
assert y.data == plain
assert math.isclose(x.grad, sigma + 0.7 * sigma * (1 - sigma))
assert "swish" in (Value.silu.__doc__ or "")
assert check_gradients(silu, 0.7)
assert check_gradients(grad(silu), 0.7)
assert MLP(1, [2, 1], activation="silu")(1.0).op is not None
for executor in ("numpy", "tape"):
    value, gradient = compile_graph(silu, 0.0, executor=executor).value_and_grad(0.7)
    assert math.isclose(value, y.data)
    assert math.isclose(gradient, x.grad)
forward, _, backward = walkthrough(y)
assert forward.symbols == "v₂ = silu(v₁)"
assert isinstance(backward, BackwardFrame)
assert backward.local_symbols == "σ(v₁) + v₂·σ(−v₁)"
assert "return x * " in walkthrough(y).to_html().split("const operations = ")[1].split("partials: ")[0]
assert main(["check", "silu(x)", "x=1"]) == 0
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("autograd_mini", "nn"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


GENERATED = [
    *(f"autograd_mini/{name}.py" for name in ("engine", "value", "functions")),
    "autograd_mini/compiled/tape_loops.py",
]


def test_an_operation_is_one_row(copy: Path) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    row = next(block for block in re.findall(r"```python\n(.*?)```", guide, flags=re.DOTALL) if "Op(" in block)
    table = copy / "autograd_mini" / "ops.py"
    source = table.read_text(encoding="utf-8")
    table.write_text(source.replace("\nTABLE: dict", f"\n{row}\nTABLE: dict", 1), encoding="utf-8")
    run(copy, "-m", "cogapp", "-r", *GENERATED)
    run(copy, "-m", "ruff", "format", "-q", *GENERATED)
    (copy / "use.py").write_text(USE, encoding="utf-8")
    run(copy, "use.py")
    run(copy, "-m", "mypy", "use.py")
    run(copy, "-m", "ruff", "check", "autograd_mini")

"""The demos of gradient descent and of least squares: what they print is right, and their pictures are drawn."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'autograd-mini[plot]'")

DEMOS = Path(__file__).parent.parent / "demos"
PNG = b"\x89PNG\r\n"


def run(demo: str, folder: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(DEMOS / demo), "short"]
    folders = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(folders)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=120)


def printed_by(demo: str, folder: Path) -> str:
    done = run(demo, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(
    ("demo", "missing", "extras"),
    [
        ("gradient_descent.py", "matplotlib", "plot"),
        ("three_matrices.py", "matplotlib", "scipy,plot"),
        ("three_matrices.py", "scipy", "scipy,plot"),
    ],
)
def test_what_is_not_installed_is_named_in_one_line(demo: str, missing: str, extras: str, tmp_path: Path) -> None:
    message = f"No module named {missing!r}"
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError({message!r})", encoding="utf-8")
    done = run(demo, tmp_path, tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{demo}: {message}: pip install 'autograd-mini[{extras}]'\n"


def test_gradient_descent_with_a_good_and_two_poor_learning_rates(tmp_path: Path) -> None:
    printed = printed_by("gradient_descent.py", tmp_path)
    assert (tmp_path / "pictures" / "gradient_descent.png").read_bytes().startswith(PNG)
    values = {}
    for name, rate in (("too small", 0.02), ("good", 2 / 9), ("too large", 0.26)):
        found = re.search(
            rf"^ *{rate:.4f} +{name} +56\.5 +([\d.e+-]+) +([\d.e+-]+) +([\d.e+-]+)$", printed, re.MULTILINE
        )
        assert found is not None, printed
        value, p1, p2 = map(float, found.groups())
        assert p1 == pytest.approx(-9 * (1 - rate) ** 8, rel=5e-3)
        assert p2 == pytest.approx(2 * (1 - 8 * rate) ** 8, rel=5e-3)
        values[name] = value
    assert values["good"] < values["too small"] < values["too large"]
    factors = re.findall(r"p[₁₂]: +([\d.-]+) +([\d.-]+)$", printed, re.MULTILINE)
    assert len(factors) == 6
    assert all(expected == found for expected, found in factors)
    assert re.search(r"gets to [\d.]+e\+30[67] in \d+ steps\. Then the next point gives NaN or infinity", printed)


def test_three_matrices_by_every_method(tmp_path: Path) -> None:
    pytest.importorskip("scipy", reason="needs SciPy: pip install 'autograd-mini[scipy]'")
    printed = printed_by("three_matrices.py", tmp_path)
    assert (tmp_path / "pictures" / "three_matrices.png").read_bytes().startswith(PNG)
    rows = re.findall(r"^([A-Za-z][\w ,-]+?)  +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+$", printed, re.MULTILINE)
    assert len(rows) == 16
    floor = re.search(r"linear algebra gives at once: F = ([\d.]+)", printed)
    assert floor is not None
    best_linear = float(floor.group(1))
    methods = ["CG", "BFGS", "Levenberg-Marquardt"]
    without_tanh, with_tanh = ({row[0]: row for row in half} for half in (rows[:8], rows[8:]))
    assert without_tanh.keys() == with_tanh.keys()
    for method in methods:
        for name in (method, f"{method}, block-wise"):
            assert float(without_tanh[name][3]) == pytest.approx(best_linear, abs=1e-4)
        assert float(with_tanh[method][3]) < best_linear
    for name in ("gradient descent", "gradient descent, block-wise"):
        first, second, third = map(float, without_tanh[name][1:])
        assert first > second > third > best_linear
    assert float(without_tanh["Levenberg-Marquardt, block-wise"][1]) == best_linear
    assert len(set(re.findall(r"\d\.\d{6}(?!\d)", printed))) >= 5

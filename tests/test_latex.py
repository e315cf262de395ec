"""The derivation as LaTeX: its formulas, and whole documents through pdflatex where there is one."""

import re
import shutil
import subprocess
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path

import pytest

from autograd_mini import TABLE, Op, Value, apply, gelu, log, sqrt, walkthrough
from autograd_mini.walkthrough.latex_names import function_piece, name_piece, number_piece
from nn import MLP, mse_loss
from nn.worked_example import network_output

HOSTILE = [
    "<script>alert(1)</script>",
    "<B>x</B>",
    "a\\",
    "{a|b}",
    "\\N",
    "loss:mse",
    '"quotes"',
    "it's",
    "new\nline",
    "tab\there",
    "\x00\x1b[31m",
    "😀",
    "👩‍👩‍👧",
    "漢字かな",
    "العربية",
    "שלום",
    "\u202eevil",
    "$x$",
    "$$",
    "100%",
    "#1",
    "a&b",
    "&&&",
    "a_b",
    "_",
    "x^2",
    "^^M",
    "~",
    "`tick`",
    "--- `` '' ?` !`",
    "\\end{document}",
    "\\input{/etc/passwd}",
    "\\csname x\\endcsname",
    "%comment",
    "}{",
    "\\\\",
    "]",
    "[1]",
    "  two  spaces ",
    "a" * 500,
    "a" * 499 + "b",
    "😀" * 100,
    "ﬁ é ñandú İ ı ß",
    "x̄",
    "v⃗",
    "Z̷̡a̛l̵g̵o",
    "a²b₁c",
    "⁰",
    "²x",
    "½ ∞ −1 ∂L/∂w √ ∑ ≤",
    "\ue000n1\ue001",
    "x'",
    ",;:",
]


# Names and numbers


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("x", "x"),
        ("z¹₁", "z^{1}_{1}"),
        ("w⁰₁₁,₁₂", "w^{0}_{11,12}"),
        ("a¹₂⁽³⁾", "a^{1(3)}_{2}"),
        ("D_W¹", "D_{W^{1}}"),
        ("D_x", "D_{x}"),
        ("ŷ", r"\hat{y}"),
        ("ŷ₂", r"\hat{y}_{2}"),
        ("y\u0302", r"\hat{y}"),
        ("σ", r"\sigma"),
        ("loss", r"\mathrm{loss}"),
        ("x_1", "x_{1}"),
        ("x_max", r"x_{\mathrm{max}}"),
        ("learning_rate", r"\text{learning\_rate}"),
        ("a\\b", r"\text{a\textbackslash{}b}"),
        ("50%", r"\text{50\%}"),
        ("😀", r"\text{{\ttfamily U+1F600}}"),
        ("--", r"\text{-{}-{}}"),
    ],
)
def test_names(name: str, latex: str) -> None:
    assert name_piece(name)[0] == latex


@pytest.mark.parametrize(
    ("name", "latex"),
    [
        ("σ", r"\sigma"),
        ("σ′", r"\sigma^{\prime}"),
        ("exp", r"\exp"),
        ("gelu", r"\operatorname{gelu}"),
        ("leaky_relu", r"\text{leaky\_relu}"),
    ],
)
def test_functions(name: str, latex: str) -> None:
    assert function_piece(name)[0] == latex


@pytest.mark.parametrize(
    ("number", "latex"),
    [
        ("9", "9"),
        ("−0.5", "-0.5"),
        ("3.88694e-05", r"3.88694 \cdot 10^{-5}"),
        ("−1e+300", r"-1 \cdot 10^{300}"),
        ("−∞", r"-\infty"),
        ("NaN", r"\mathrm{NaN}"),
        ("—", r"\text{---}"),
    ],
)
def test_numbers(number: str, latex: str) -> None:
    assert number_piece(number)[0] == latex


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_is_ascii_with_its_braces_in_pairs(name: str) -> None:
    latex, width = name_piece(name)
    assert latex.isascii()
    assert latex.isprintable()
    assert width < 40
    braces = re.sub(r"\\[{}\\]", "", latex)
    assert braces.count("{") == braces.count("}")


# Formulas


def test_a_small_graph_worked_out_by_hand() -> None:
    x = Value(2.0, "x")
    y = x * x + x * -3
    y.label = "y"
    latex = walkthrough(y).to_latex("expression")
    assert (
        r"""
\begin{equation}
\begin{split}
y &= x \cdot x + x \cdot \left(-3\right) \\
&= 2 \cdot 2 + 2 \cdot \left(-3\right) \\
&= -2
\end{split}
\end{equation}
"""
        in latex
    )
    assert (
        r"""
\frac{\partial y}{\partial x} &\mathrel{+}= \frac{\partial y}{\partial y} \cdot x \\
&= 1 \cdot 2 \\
&= 2 \\
&\quad \text{sum before: } {-1} \text{, after: } {1}
"""
        in latex
    )
    assert latex.isascii()


def test_layers_are_matrices() -> None:
    latex = walkthrough(network_output()).to_latex("layer")
    assert r"Z^{1} &= W^{0} \, x + B^{0} \\" in latex
    assert r"\begin{pmatrix} 1 & 1 & 1 \\ 1 & 1 & 1 \end{pmatrix} \, \begin{pmatrix} 2 \\ 4 \\ 3 \end{pmatrix}" in latex
    assert r"D_{W^{1}} &= A^{1} \, D_{Z^{2}} \\" in latex
    assert r"0.105013320464 & 0.105013320464" in latex


def test_a_raised_name_or_number_is_raised_in_parentheses() -> None:
    x = Value(1e-10, "w⁰₁")
    latex = walkthrough(x**2).to_latex()
    assert r"{\left(w^{0}_{1}\right)}^{2}" in latex
    assert r"{\left(1 \cdot 10^{-10}\right)}^{2}" in latex


def test_names_that_are_shortened_alike_are_told_apart() -> None:
    latex = walkthrough(Value(1.0, "a" * 100 + "b" + "a" * 50) * Value(2.0, "a" * 100 + "c" + "a" * 50)).to_latex()
    assert "}^{(2)}" in latex


# Whole documents


def compiles(latex: str, folder: Path) -> str:
    """What pdflatex says; fails where it finds an error, or writes nothing."""
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("pdflatex is not installed: the documents are not compiled")
    (folder / "walk.tex").write_text(latex, encoding="ascii")
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "walk.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert (folder / "walk.pdf").stat().st_size > 1000
    return said


def has_overfull_boxes(said: str, points: float = 3.0) -> bool:
    return any(float(width) > points for width in re.findall(r"Overfull \\hbox \(([\d.]+)pt", said))


@pytest.mark.parametrize("level", ["operation", "expression", "neuron", "layer"])
def test_the_worked_example_compiles_and_fits(level: str, tmp_path: Path) -> None:
    said = compiles(walkthrough(network_output()).to_latex(level), tmp_path)
    assert not has_overfull_boxes(said)
    assert "Warning" not in said


@pytest.mark.parametrize("level", ["operation", "expression"])
def test_every_row_of_the_table_compiles_and_fits(level: str, tmp_path: Path) -> None:
    results = []
    for name, row in TABLE.items():
        points = [(low + high) / 2 + 0.1 for low, high in row.domain]
        operands = [Value(point, f"{name}_{letter}") for point, letter in zip(points, "xy", strict=False)]
        results.append(apply(row, *operands))
        results[-1].label = f"r_{name}"
    total = reduce(add, results)
    total.label = "total"
    assert not has_overfull_boxes(compiles(walkthrough(total).to_latex(level), tmp_path))


@pytest.mark.parametrize("level", ["operation", "expression"])
def test_case_23_hostile_labels_compile_and_fit(level: str, tmp_path: Path) -> None:
    leaves = [Value(0.1 * place + 0.05, label) for place, label in enumerate(HOSTILE)]
    results = [sqrt(a * b + 1) / (a - b) ** 2 for a, b in pairwise(leaves)]
    for result, label in zip(results, reversed(HOSTILE), strict=False):
        result.label = label
    total = reduce(lambda a, b: gelu(a * b) / (b + a), results)
    total.label = "}\\end{document}"
    assert not has_overfull_boxes(compiles(walkthrough(total).to_latex(level), tmp_path))


def test_a_row_of_the_users_own_compiles(tmp_path: Path) -> None:
    odd = Op("odd", lambda m, x: float(x), (lambda m, out, x: float(x) * 2,), "Odd.", symbol="\\bad{_%😀")
    x = Value(2.0, "x")
    compiles(walkthrough(apply(odd, x) * 3).to_latex(), tmp_path)


@pytest.mark.parametrize("level", ["operation", "expression", "neuron", "layer"])
def test_a_batch_compiles_and_fits(level: str, tmp_path: Path) -> None:
    network = MLP(3, [2, 3, 1], activation="tanh", seed=1)
    loss = mse_loss([network([2, 4, 3]), network([1, 0, 5])], [5, -1])
    assert not has_overfull_boxes(compiles(walkthrough(loss).to_latex(level), tmp_path))


def test_wide_layers_compile_and_fit(tmp_path: Path) -> None:
    inputs = [0.123456e-4 * place for place in range(12)]
    loss = network_output((12, 12, 9, 3), inputs, "gelu", weights="he", seed=1, target=[5, -1, 1e-7])
    assert not has_overfull_boxes(compiles(walkthrough(loss).to_latex("layer"), tmp_path))


def test_numbers_that_are_none_compile(tmp_path: Path) -> None:
    broken = -Value(float("nan"), "n") * Value(float("inf"), "i") + log(Value(-1.0, "x")) / 0
    compiles(walkthrough(broken).to_latex(), tmp_path)


def test_a_leaf_alone_compiles(tmp_path: Path) -> None:
    compiles(walkthrough(Value(3.0)).to_latex(), tmp_path)


def test_thousands_of_steps_compile(tmp_path: Path) -> None:
    x = value = Value(0.5, "x")
    for _ in range(1_000):
        value = (value + x).sin()
    walk = walkthrough(value)
    assert len(walk) > 5_000
    compiles(walk.to_latex("operation"), tmp_path)


def test_where_infinity_starts_is_said_and_compiles(tmp_path: Path) -> None:
    x = Value(1.0, "x")
    big = (x * 1000.0).exp()
    for root, text in (
        (1 / (big * big), r"&\quad \textbf{anomaly:} \ \text{a\ gradient\ of\ NaN\ starts\ here}"),
        (log(x - 1.0) * 2.0, r"&\quad \textbf{anomaly:} \ \text{$-$$\infty$\ starts\ here}"),
        (1e308 * (x - 1) + 1e308 * (x + -1), r"\text{gradients\ add\ up\ to\ $\infty$\ here}"),
    ):
        latex = walkthrough(root).to_latex()
        assert latex.count(text) == 1
        assert not has_overfull_boxes(compiles(latex, tmp_path))
    assert "anomaly" not in walkthrough(network_output()).to_latex()

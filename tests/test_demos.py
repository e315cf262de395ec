"""The demos of networks on data: what they print is right, their pictures show something, and they can be interrupted.

`test_demos_curve_fitting.py` has the others.
"""

import importlib.util
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from autograd_mini import compile_graph, topological_order
from nn import mse_loss
from nn.compiled_steps import CompiledSteps
from nn.worked_example import network_output

pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'autograd-mini[plot]'")
pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'autograd-mini[sklearn]'")

DEMOS = Path(__file__).parent.parent / "demos"
NAMES = "linear_regression", "matrix_calculus", "moons", "breast_cancer", "digits"
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?"

Show = Callable[[str], str]
"""What a demo prints in its short form, by its name."""


def run(demo: str, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    command = [sys.executable, "-W", "error", str(DEMOS / f"{demo}.py"), *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **(environment or {})}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demos")


@pytest.fixture(scope="module")
def printed(folder: Path) -> Show:
    """Each demo is run once."""
    outputs: dict[str, str] = {}

    def show(demo: str) -> str:
        if demo not in outputs:
            done = run(demo, folder, "short")
            assert done.returncode == 0, done.stderr
            assert done.stderr == ""
            outputs[demo] = done.stdout
        return outputs[demo]

    return show


def load(demo: str) -> ModuleType:
    """The demo as a module, to call its functions."""
    spec = importlib.util.spec_from_file_location(demo, DEMOS / f"{demo}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(NUMBER, text)]


def number_after(words: str, text: str) -> float:
    found = re.search(rf"{re.escape(words)} *({NUMBER})", text)
    assert found is not None, text
    return float(found[1])


def lines_between(first: str, last: str, text: str) -> list[str]:
    lines = text.split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith(first))
    stop = next(place for place, line in enumerate(lines) if place > start and line.startswith(last))
    return lines[start + 1 : stop]


# What all of them do


@pytest.mark.parametrize("demo", NAMES)
def test_a_picture_is_written_that_shows_something(demo: str, printed: Show, folder: Path) -> None:
    from matplotlib.image import imread

    assert f"wrote {Path('pictures') / demo}.png" in printed(demo)
    picture = imread(folder / "pictures" / f"{demo}.png")[:, :, :3]
    height, width, _ = picture.shape
    assert height > 500
    assert width > 1500
    for half in (picture[:, : width // 2], picture[:, width // 2 :]):
        assert (half.min(axis=2) < 0.9).mean() > 0.01  # else it would be as good as white
        assert len(np.unique(half.reshape(-1, 3), axis=0)) > 50


@pytest.mark.parametrize("demo", NAMES)
def test_what_is_not_installed_is_named_in_one_line(demo: str, tmp_path: Path) -> None:
    missing = "matplotlib" if demo == "matrix_calculus" else "sklearn"
    message = f"No module named {missing!r}"
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError({message!r})", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = run(demo, tmp_path, "short", environment={"PYTHONPATH": path})
    extras = "plot" if missing == "matplotlib" else "sklearn,plot"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{demo}.py: {message}: pip install 'autograd-mini[{extras}]'\n"


# linear_regression.py


def test_gradient_descent_reaches_the_coefficients_of_ols_to_six_digits(printed: Show) -> None:
    """The short form ends plain gradient descent after t steps, at w − (1 − η H)ᵗ w for H = 2/n XᵀX and w of OLS."""
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True, scaled=False)
    X = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])
    ols = np.linalg.solve(X.T @ X, X.T @ y)
    H = 2 / len(X) * X.T @ X
    curvatures = np.linalg.eigvalsh(H)
    rate = 2 / (curvatures[0] + curvatures[-1])
    plain = ols - np.linalg.matrix_power(np.eye(11) - rate * H, 100) @ ols

    text = printed("linear_regression")
    assert f"η = {rate:.4f}, momentum 0.0000: 100 of at most 100 steps" in text
    rows = [line[16:].split() for line in lines_between("       ", "digits that agree", text)]
    assert rows == [[f"{one:.6g}", f"{one:.6g}", f"{other:.6g}"] for one, other in zip(ols, plain, strict=True)]
    digits = numbers(re.findall("digits that agree.*", text)[0])
    assert digits[0] >= 6
    assert digits[1] == 0


def test_the_recursion_of_delta_gives_the_engines_numbers_and_the_slip_does_not(printed: Show) -> None:
    lines = lines_between("δ for the first patient", "wrote", printed("linear_regression"))
    rows = [re.split("  +", line.strip()) for line in lines if "∂C/∂" in line or "slip" in line]
    assert len(rows) == 7
    for row in rows:
        difference = numbers(row[-1])[-1]
        if row[0].startswith("the slip"):
            assert difference > 1e-4
        else:
            assert difference < 1e-12


# matrix_calculus.py


def test_the_formulas_equal_the_engine(printed: Show) -> None:
    text = printed("matrix_calculus")
    rules = [numbers(line)[-1] for line in lines_between("The rules, with", "A network", text) if "=" in line]
    assert len(rules) == 5
    assert max(rules) < 1e-12
    derivatives = dict(re.findall(rf"^  (df/d[AZW]\[\d\]).* ({NUMBER})$", text, re.MULTILINE))
    names = ["A[3]", "Z[3]", "W[3]", "A[2]", "Z[2]", "W[2]", "A[1]", "Z[1]", "W[1]", "A[0]"]
    assert list(derivatives) == [f"df/d{name}" for name in names]
    assert max(map(float, derivatives.values())) < 1e-12
    assert number_after("All of them differ by", text) < 1e-12
    assert "equal to 1e-12" in text
    f, engine = re.findall(r"f = ([\d.]+), the engine's ([\d.]+)", text)[0]
    assert float(f) == pytest.approx(float(engine), rel=1e-14)
    assert number_after("the weights are then apart by", text) < 1e-12


def test_the_formulas_equal_finite_differences() -> None:
    demo = load("matrix_calculus")
    _, found = demo.by_formulas(demo.START)
    for layer, weights in enumerate(demo.START):
        for place in np.ndindex(weights.shape):
            above, below = ([W.copy() for W in demo.START] for _ in range(2))
            above[layer][place] += 1e-5
            below[layer][place] -= 1e-5
            slope = (demo.by_formulas(above)[0] - demo.by_formulas(below)[0]) / 2e-5
            assert found[f"W{layer + 1}"][place] == pytest.approx(slope, abs=1e-8)


def test_a_difference_would_be_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    demo = load("matrix_calculus")
    exact = demo.gradients
    monkeypatch.setattr(demo, "gradients", lambda values: exact(values) * (1 + 1e-10))
    demo.show_network()
    assert ": not equal to 1e-12" in capsys.readouterr().out


# moons.py


def test_a_hidden_layer_tells_the_moons_apart(printed: Show) -> None:
    found = re.findall(
        r"^  (?:trained on|held out).*cross-entropy ([\d.]+), accuracy ([\d.]+)$", printed("moons"), re.M
    )
    losses, right = zip(*(map(float, pair) for pair in found), strict=True)
    assert len(losses) == 4
    assert min(right[2:]) > 0.87 > max(right[:2])
    assert max(losses[2:]) < 0.35 < min(losses[:2])


# breast_cancer.py


def test_held_out_tumours_are_told_apart_and_the_probabilities_calibrated(printed: Show) -> None:
    text = printed("breast_cancer")
    benign, malignant = (numbers(re.findall(rf"^  {name} +\d.*", text, re.M)[0]) for name in ("benign", "malignant"))
    assert (sum(benign), sum(malignant)) == (357, 212)
    right = number_after("accuracy ", text)
    assert right == pytest.approx((benign[0] + malignant[1]) / 569, abs=5e-5)
    assert right > 0.95
    assert number_after("cross-entropy  ", text) < 0.12
    bins = [numbers(line)[2:] for line in re.findall(r"^  0\.\d to \d\.\d .*", text, re.M)]
    assert sum(tumours for tumours, *_ in bins) == 569
    assert sum(round(tumours * share) for tumours, _, share, *_ in bins) == 212
    for (_, predicted, share, low, high), below, above in zip(
        bins, (0, 0.1, 0.5, 0.9), (0.1, 0.5, 0.9, 1), strict=True
    ):
        assert below <= predicted <= above
        assert low <= share <= high


def test_the_interval_of_a_share_is_wilsons() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs SciPy: pip install 'autograd-mini[scipy]'")
    demo = load("breast_cancer")
    for right, count in ((0, 10), (3, 14), (187, 187), (201, 212)):
        expected = stats.binomtest(right, count).proportion_ci(method="wilson")
        assert demo.wilson(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_calibration_puts_each_tumour_into_one_bin() -> None:
    demo = load("breast_cancer")
    probabilities = np.array([0.0, 0.1, 0.2, 0.5, 0.9, 1.0])
    bins = list(demo.calibration(probabilities, np.array([0, 1, 0, 1, 1, 1])))
    assert [(each.tumours, each.malignant) for each in bins] == [(1, 0), (2, 0.5), (1, 1), (2, 1)]
    assert bins[1].predicted == pytest.approx(0.15)


# digits.py


def check_digits(text: str, at_least: float) -> None:
    right = number_after("of them right, accuracy", text)
    assert right >= at_least
    table = np.array(
        [
            [int(count) for count in re.findall(r"\d+|·", line.replace("·", "0"))[1:]]
            for line in lines_between("    ", "The most frequent mistake", text.partition("A row for each digit")[2])
        ]
    )
    assert table.shape == (10, 10)
    assert table.sum() == 360
    assert set(table.sum(axis=1)) <= {34, 35, 36, 37}
    assert np.trace(table) / 360 == pytest.approx(right, abs=5e-5)
    digit, taken_for, count, of = map(int, re.findall(r"mistake: (\d) taken for (\d), (\d+) of (\d+)", text)[0])
    assert table[digit, taken_for] == count == (table - np.diag(np.diag(table))).max()
    assert table[digit].sum() == of


def test_digits_are_read_after_a_short_training(printed: Show) -> None:
    text = printed("digits")
    assert "Trained on 192 of 1437 images, compiled:\n30 of 30 epochs in" in text
    losses = numbers(re.findall("The loss of each epoch:(.*)", text)[0])
    assert len(losses) == 30
    assert losses[0] > 2
    assert losses[-1] < 0.15
    check_digits(text, at_least=0.85)


def test_digits_are_read_after_the_whole_training(tmp_path: Path) -> None:
    done = run("digits", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Trained on 1437 of 1437 images, compiled" in done.stdout
    check_digits(done.stdout, at_least=0.97)


# tiny_gpt.py


def test_a_tiny_gpt_learns_words_and_invents_others(printed: Show) -> None:
    text = printed("tiny_gpt")
    assert "; 4096 parameters\n" in text
    assert number_after("ms each,", text) > 100
    assert number_after("the gradients differ by at most", text) < 1e-12
    losses = [float(loss) for loss in re.findall(r"^  step +\d+: ([\d.]+)$", text, re.M)]
    assert len(losses) == 11
    assert losses[0] == pytest.approx(np.log(27), abs=0.1)
    assert losses[-1] < 2.5
    assert "\n200 of 200 steps in " in text
    assert number_after("The loss of 200 held-out words:", text) < 2.5
    invented = re.findall("Invented: (.*)", text)[0].split(" ")
    assert len(invented) == 20
    assert all(re.fullmatch("[a-z]{0,9}", word) for word in invented)
    known = load("tiny_gpt").reference_words()
    assert f"{sum(word not in known for word in invented)} of these 20 are not among the words." in text


def test_the_tiny_gpt_is_a_transformer() -> None:
    """The same in arrays, all positions at once."""
    demo = load("tiny_gpt")
    rng = np.random.default_rng(1)
    parameters = demo.named(rng.normal(0, 0.5, 4096))
    letters, targets = (array[..., 0] for array in demo.encode(["gradient"]))

    def normalized(x: Any) -> Any:
        return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-5)

    def softmax(x: Any) -> Any:
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    def heads(name: str) -> Any:
        return (normalized(x) @ parameters[name].T).reshape(10, 4, 4).transpose(1, 0, 2)

    x = normalized(letters @ parameters["letter"].T + parameters["position"])
    fits = heads("query") @ heads("key").transpose(0, 2, 1) / 2
    fits[:, ~np.tri(10, dtype=bool)] = -np.inf  # no position sees those after it
    attended = (softmax(fits) @ heads("value")).transpose(1, 0, 2).reshape(10, 16)
    x = x + attended @ parameters["attended"].T
    x = x + np.maximum(normalized(x) @ parameters["hidden"].T, 0) @ parameters["output"].T
    expected = x @ parameters["next"].T

    rows = {name: matrix.tolist() for name, matrix in parameters.items()}
    for n_letters in (10, 3):
        scores = demo.next_letter_scores(rows, letters[:n_letters].tolist())
        np.testing.assert_allclose(scores, expected[:n_letters], rtol=1e-10, atol=1e-10)
    probabilities = softmax(expected)[range(9), [demo.LETTERS.index(letter) for letter in "gradient."]]
    loss = demo.word_loss(rows, letters.tolist(), targets.tolist())
    assert loss == pytest.approx(-np.log(probabilities).mean(), rel=1e-12)


# Ctrl-C


def interrupt_after_an_epoch(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Press Ctrl-C in the second epoch of every training."""
    fit = demo.fit

    def interrupted(*arguments: Any, **settings: Any) -> Any:
        loss = settings.get("loss", mse_loss)
        sizes: list[int] = []

        def press(predictions: Any, targets: Any) -> Any:
            sizes.append(len(targets))
            if sum(sizes) > len(arguments[1]):
                raise KeyboardInterrupt
            return loss(predictions, targets)

        return fit(*arguments, **{**settings, "loss": press, "engine": "eager"})  # compiled, it is called only once

    monkeypatch.setattr(demo, "fit", interrupted)


def test_interrupted_digits_show_what_was_learnt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    demo = load("digits")
    interrupt_after_an_epoch(demo, monkeypatch)
    demo.main(n_images=64, epochs=5, folder=tmp_path)
    text = capsys.readouterr().out
    assert "Trained on 64 of 1437 images, eager:\n1 of 5 epochs in" in text
    assert "; Ctrl-C\n" in text
    check_digits(text, at_least=0.0)
    assert (tmp_path / "digits.png").exists()


def test_an_interrupted_tiny_gpt_invents_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = load("tiny_gpt")

    def interrupted(steps: range) -> Iterator[int]:
        yield from steps[:3]
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "progress", interrupted)
    demo.main(steps=50, n_invented=2)
    text = capsys.readouterr().out
    assert "  Ctrl-C\n3 of 50 steps in " in text
    assert re.search(r"^Invented: [a-z]* [a-z]*$", text, re.M)


def test_interrupted_folds_show_the_tumours_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    demo = load("breast_cancer")
    interrupt_after_an_epoch(demo, monkeypatch)
    demo.main(folds=5, epochs=3, folder=tmp_path)
    text = capsys.readouterr().out
    assert "part 1: 455 tumours, 1 of 3 epochs" in text
    assert "part 2" not in text
    assert "All 114 held-out tumours, of which 43 are malignant" in text
    assert (tmp_path / "breast_cancer.png").exists()


def test_an_interrupted_descent_goes_on_with_the_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    demo = load("linear_regression")
    interrupt_after_an_epoch(demo, monkeypatch)
    demo.main(plain_steps=5, folder=tmp_path)
    assert re.findall("1 of at most .* steps; Ctrl-C", capsys.readouterr().out) == [
        "1 of at most 1000 steps; Ctrl-C",
        "1 of at most 5 steps; Ctrl-C",
    ]
    assert (tmp_path / "linear_regression.png").exists()


# The compiled path in the demos


@pytest.mark.parametrize("demo", ["linear_regression", "moons", "breast_cancer", "digits"])
def test_what_is_trained_in_arrays_is_what_the_engine_computes(
    demo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the first batch of every training of a demo: the same loss, and the same gradient to 1e-12."""
    compared = []
    differentiate = CompiledSteps.differentiate

    def differentiated(steps: Any, batch: Any) -> dict[str, float]:
        measured = differentiate(steps, batch)
        if steps not in compared:
            compared.append(steps)
            found = steps._gradient.copy()
            steps.settle()
            parameters = steps._task.parameters
            loss, _ = steps._task.measure(*batch.pair.listed())
            for parameter in parameters:
                parameter.grad = 0.0
            loss.backward()
            expected = np.array([parameter.grad for parameter in parameters])
            assert measured["loss"] == pytest.approx(loss.data, rel=1e-12)
            assert np.allclose(found, expected, rtol=1e-12, atol=1e-12 * abs(expected).max())
        return measured

    monkeypatch.setattr(CompiledSteps, "differentiate", differentiated)
    monkeypatch.setattr(sys, "argv", [demo, "short"])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(DEMOS / f"{demo}.py"), run_name="__main__")
    assert compared


def test_the_worked_example_in_arrays() -> None:
    """Gill & Gill's network at (2, 4, 3), and the gradient of its output."""
    output = network_output()
    leaves = [leaf for leaf in topological_order(output) if leaf.op is None]
    output.backward()
    compiled = compile_graph(output, leaves)
    value, gradient = compiled.value_and_grad([float(leaf.data) for leaf in leaves])  # type: ignore[attr-defined]
    assert value == pytest.approx(output.data, rel=1e-12)
    assert gradient == pytest.approx([leaf.grad for leaf in leaves], rel=1e-12)  # type: ignore[attr-defined]

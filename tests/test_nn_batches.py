"""`fit` on data beyond the memory: arrays in files and batches as they come, with every engine."""

import math
import re
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_mini import Value
from nn import (
    MLP,
    SGD,
    Adam,
    ArrayFiles,
    Checkpoint,
    DivergenceError,
    accuracy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    fit,
    heaviside,
    mse_loss,
)
from nn.history import History

ENGINES = ("eager", "compiled")

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(23, 2))
Y = X @ [2.0, -1.0] + 0.5
LABELS = (X[:, 0] > 0).astype(int)

Arrays = Callable[[str, Any], Any]
"""Writes an array into a file and opens it."""


def numbers(model: Any) -> list[float]:
    return [parameter.data for parameter in model.parameters()]


def trained(X: Any, y: Any = None, **settings: Any) -> tuple[History, list[float]]:  # noqa: N803
    settings = {"epochs": 4, "seed": 3, "engine": "eager", **settings}
    model = MLP(2, [4, 1], "tanh", seed=1)
    history = fit(model, X, y, optimizer=Adam(0.02), **settings)
    assert history.engine == settings["engine"]
    return history, numbers(model)


def as_memmap(folder: Path, name: str, array: Any) -> Any:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def as_files(folder: Path, name: str, array: Any) -> ArrayFiles:
    """In three files, the second of which has one row."""
    paths = [folder / f"{name}-{part}.npy" for part in range(3)]
    for path, part in zip(paths, np.split(array, [8, 9]), strict=True):
        np.save(path, part)
    return ArrayFiles(*paths)


# Arrays in files


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("write", [as_memmap, as_files])
@pytest.mark.parametrize("batch_size", [5, None])
def test_a_training_from_files_is_the_one_from_memory(
    engine: str, write: Any, batch_size: int | None, tmp_path: Path
) -> None:
    """To the last bit: the same seed draws the same batches."""
    expected = trained(X, Y, batch_size=batch_size, engine=engine)
    in_files = [write(tmp_path, name, array) for name, array in (("X", X), ("y", Y))]
    assert trained(*in_files, batch_size=batch_size, engine=engine) == expected
    assert trained(in_files[0], Y, batch_size=batch_size, engine=engine) == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_of_any_type_are_read(engine: str, tmp_path: Path) -> None:
    wide = np.round(X * 100)
    expected = trained(wide, LABELS, batch_size=6, engine=engine, loss=binary_cross_entropy_with_logits)
    found = trained(
        as_memmap(tmp_path, "X", wide.astype(np.int16)),
        as_memmap(tmp_path, "y", LABELS.astype(bool)),
        batch_size=6,
        engine=engine,
        loss=binary_cross_entropy_with_logits,
    )
    assert found == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_one_plain_number_a_sample(engine: str, tmp_path: Path) -> None:
    def run(X: Any, y: Any) -> list[float]:  # noqa: N803
        model = MLP(1, [1], init="zeros")
        fit(model, X, y, optimizer=SGD(0.1), epochs=3, batch_size=4, seed=0, engine=engine)
        return numbers(model)

    column = X[:, 0]
    assert run(as_memmap(tmp_path, "X", column), as_files(tmp_path, "y", Y)) == run(column, Y)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_more_than_a_batch_is_in_memory(engine: str, tmp_path: Path) -> None:
    """What is mapped is not counted, what is allocated is: of 80 MB a twentieth, and the graph of a batch."""
    rows, width = (400, 500) if engine == "eager" else (20_000, 500)
    inputs: Any = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float64, (rows, width))
    targets: Any = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", np.float64, (rows,))
    inputs[:, 0] = targets[:] = np.linspace(-1, 1, rows)
    model = MLP(width, [1], init="zeros")

    def train() -> None:
        fit(model, inputs, targets, optimizer=SGD(0.1), epochs=1, batch_size=rows // 100, engine=engine)

    train()
    tracemalloc.start()
    train()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < inputs.nbytes if engine == "eager" else peak < inputs.nbytes / 10
    assert model.parameters()[0].data > 0.5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("write", [as_memmap, as_files])
def test_a_bad_number_in_a_file_is_named(engine: str, write: Any, tmp_path: Path) -> None:
    spoilt = X.copy()
    spoilt[17, 1] = math.nan
    model = MLP(2, [1], init="zeros")
    with pytest.raises(ValueError, match=r"^fit: expected finite numbers in X, got nan in X\[17\]$"):
        fit(model, write(tmp_path, "X", spoilt), Y, batch_size=4, seed=1, engine=engine)
    assert np.isfinite(numbers(model)).all()
    with pytest.raises(ValueError, match=r"^fit: expected finite numbers in y, got inf in y\[3\]$"):
        fit(model, X, write(tmp_path, "y", np.where(np.arange(23) == 3, math.inf, Y)), engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_label_that_is_none_is_found_in_its_batch(engine: str, tmp_path: Path) -> None:
    labels = as_memmap(tmp_path, "y", np.where(np.arange(23) == 19, 2, LABELS))
    model = MLP(2, [1], init="zeros")
    with pytest.raises(ValueError, match=r"^binary_cross_entropy_with_logits: expected targets to be 0 or 1, got 2"):
        fit(model, X, labels, loss=binary_cross_entropy_with_logits, batch_size=4, seed=1, engine=engine)


def test_targets_beyond_those_that_are_remembered_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nn.compiled_steps._TARGETS_COMPARED", 8)
    shares = np.linspace(0.01, 0.99, 24)
    rows = np.stack([shares, 1 - shares], axis=1)
    batches = [(X[:6], rows[first : first + 6]) for first in range(0, 24, 6)]
    spoilt = (X[:6], [[0.5, 0.5], [0.25, 0.75], [0.5, 0.75], *[[1.0, 0.0]] * 3])
    for engine in ENGINES:
        model = MLP(2, [2], seed=0)
        fit(model, batches, loss=cross_entropy, engine=engine, epochs=2)
        with pytest.raises(ValueError, match=r"^cross_entropy: expected rows of targets to hold 0 or more and sum to"):
            fit(model, [*batches, spoilt], loss=cross_entropy, engine=engine)


def test_array_files_are_one_array(tmp_path: Path) -> None:
    files = as_files(tmp_path, "X", X)
    assert (len(files), files.shape, files.ndim, files.dtype.name) == (23, (23, 2), 2, "float64")
    for places in (slice(None), slice(3, 20, 4), slice(20, 2, -3), np.array([22, 0, 8, 8, 7, -0]), 8, -1):
        assert (files[places] == X[places]).all()
    for wanted in ([3, -23, -1], np.array([9, -1], np.int8), X[:, 0] > 0, [], np.array(5)):
        np.testing.assert_array_equal(
            files[wanted], X[wanted if len(np.shape(wanted)) == 0 or len(wanted) else slice(0)]
        )
    assert (np.asarray(files) == X).all()
    assert repr(files).endswith("X-2.npy'; shape (23, 2))")
    assert files.paths == tuple(str(tmp_path / f"X-{part}.npy") for part in range(3))


@pytest.mark.parametrize(
    ("places", "text"),
    [
        (23, "expected places from -23 to 22, got 23"),
        ([0, -24], "expected places from -23 to 22, got -24"),
        ((1, 0), "expected a slice, or places of rows, got tuple (1, 0)"),
        ((slice(None), 0), "expected a slice, or places of rows, got tuple (slice(None, None, None), 0)"),
        ([True, False], "expected a slice, or places of rows, got list [True, False]"),
        (1.0, "expected a slice, or places of rows, got float 1.0"),
        ([1, [2]], "expected a slice, or places of rows, got list [1, [2]]"),
        ([[]], "expected a slice, or places of rows, got list [[]]"),
        ([[1]], "expected a slice, or places of rows, got list [[1]]"),
        (None, "expected a slice, or places of rows, got NoneType None"),
    ],
)
def test_case_22_what_is_no_row_of_the_files(places: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(IndexError) as raised:
        as_files(tmp_path, "X", X)[places]
    assert str(raised.value) == f"ArrayFiles: {text}"


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^ArrayFiles: expected at least one path, got none$"):
        ArrayFiles()
    wrong: Any = [tmp_path / "a.npy"]
    with pytest.raises(TypeError, match=r"^ArrayFiles: expected paths, each an argument, got list \["):
        ArrayFiles(wrong)
    np.save(tmp_path / "a.npy", X)
    np.save(tmp_path / "b.npy", Y)
    np.save(tmp_path / "c.npy", np.array(["a"]))
    np.save(tmp_path / "d.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "e.npy").write_bytes(b"no array")
    (tmp_path / "f.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-9])
    np.save(tmp_path / "g.npy", np.array(3.0))
    for names, text in (
        ("ab", r"b.npy: expected rows of shape \(2,\), as in .*a.npy, got \(\)$"),
        ("c", "c.npy: expected rows of numbers, got <U1$"),
        ("d", "d.npy: expected an array as np.save writes it: .*"),
        ("e", "e.npy: expected an array as np.save writes it: .*"),
        ("f", "f.npy: expected an array as np.save writes it: .*"),
        ("g", "g.npy: expected rows of numbers, got float64$"),
    ):
        with pytest.raises(ValueError, match=f"^ArrayFiles: {re.escape(str(tmp_path))}/{text}"):
            ArrayFiles(*(tmp_path / f"{name}.npy" for name in names))
    with pytest.raises(FileNotFoundError):
        ArrayFiles(tmp_path / "none.npy")


def test_arrays_that_are_no_rows_are_refused(tmp_path: Path) -> None:
    model = MLP(2, [1], init="zeros")
    for array, text in (
        (np.zeros((2, 2, 2)), "fit: expected X to be rows of numbers, got an array with 3 axes of float64"),
        (np.zeros(3, complex), "fit: expected X to be rows of numbers, got an array with 1 axes of complex128"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            fit(model, as_memmap(tmp_path, "X", array), [1, 2])
    files = as_files(tmp_path, "y", Y)
    with pytest.raises(ValueError, match=r"^fit: expected a target in y for each sample in X, got 3 samples and 23 t"):
        fit(model, X[:3], files)


# Batches as they come


def batches() -> Iterator[tuple[Any, Any]]:
    """In sizes of their own."""
    for first, end in ((0, 7), (7, 9), (9, 23)):
        yield X[first:end], Y[first:end]


class Loader:
    """Something that can be gone through again, as the loaders of other libraries; with tensors, as it were."""

    class Tensor:
        """Turns into an array."""

        def __init__(self, array: Any) -> None:
            self.array = array

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return self.array

    def __iter__(self) -> Iterator[list[Any]]:
        for pair in batches():
            yield [self.Tensor(array) for array in pair]


def by_hand(epochs: int) -> tuple[list[float], list[float]]:
    """Losses and parameters, batch by batch."""
    model, optimizer, losses = MLP(2, [4, 1], "tanh", seed=1), Adam(0.02), []
    for _ in range(epochs):
        total = 0.0
        for inputs, targets in batches():
            model.zero_grad()
            loss = mse_loss([model(row) for row in inputs], targets)
            loss.backward()
            optimizer.step(model.parameters())
            total += len(inputs) / 23 * loss.data
        losses.append(total)
    return losses, numbers(model)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", [batches, list(batches()), tuple(batches()), Loader(), lambda: Loader()])
def test_batches_are_trained_on_as_they_come(engine: str, form: Any) -> None:
    history, parameters = trained(form, engine=engine)
    losses, expected = by_hand(4)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-9)
    np.testing.assert_allclose(parameters, expected, rtol=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_generator_lasts_for_one_epoch(engine: str) -> None:
    history, parameters = trained(batches(), engine=engine, epochs=1)
    np.testing.assert_allclose(history.loss, by_hand(1)[0], rtol=1e-9)
    np.testing.assert_allclose(parameters, by_hand(1)[1], rtol=1e-9)
    model = MLP(2, [1], init="zeros")
    with pytest.raises(ValueError, match=r"^fit: expected X to be batches that can be gone through 2 times, such as a"):
        fit(model, batches(), epochs=2)
    assert numbers(model) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_of_one_iterator_that_is_given_again_no_batch_is_lost(engine: str) -> None:
    class Reader:
        """Gives the same iterator each time."""

        def __init__(self) -> None:
            self.one = batches()

        def __iter__(self) -> Iterator[tuple[Any, Any]]:
            return self.one

    one = batches()
    for given in (Reader(), lambda: one):
        assert trained(given, engine=engine, epochs=1) == trained(batches(), engine=engine, epochs=1)
    with pytest.raises(ValueError, match=r"^fit: expected X to be batches that can be gone through again, got none$"):
        trained(Reader(), engine=engine, epochs=2)


def shuffled(random: np.random.Generator) -> Iterator[tuple[Any, Any]]:
    """Batches of five, drawn anew each epoch."""
    order = random.permutation(23)
    for first in range(0, 23, 5):
        places = order[first : first + 5]
        yield X[places], Y[places]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_function_of_random_numbers_shuffles_by_the_seed(engine: str) -> None:
    """As `fit` itself does, with the same generator: so it is the same training."""
    expected = trained(X, Y, batch_size=5, engine=engine)
    assert trained(shuffled, engine=engine) == expected
    assert trained(shuffled, engine=engine) == expected
    assert trained(shuffled, engine=engine, seed=4) != expected


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_on_batches_goes_on_from_a_checkpoint(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    unbroken = trained(shuffled, engine=engine, epochs=5)
    trained(shuffled, engine=engine, epochs=2, callbacks=[Checkpoint(path)])
    assert trained(shuffled, engine=engine, epochs=5, seed=9, resume=path) == unbroken


def test_it_is_not_known_beforehand_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    trained(batches, epochs=2, progress=True)
    output = capsys.readouterr().out
    assert "batch 6" in output
    assert "batches/s" in output


@pytest.mark.parametrize("engine", ENGINES)
def test_metrics_and_validation_on_batches(engine: str, tmp_path: Path) -> None:
    def share_right(predictions: Any, targets: Any) -> float:
        return accuracy(heaviside(predictions), targets)

    def labelled() -> Iterator[tuple[Any, Any]]:
        for inputs, _ in batches():
            yield inputs, (inputs[:, 0] > 0).astype(int)

    settings: dict[str, Any] = {
        "loss": binary_cross_entropy_with_logits,
        "metrics": {"right": share_right},
        "engine": engine,
    }
    in_memory, _ = trained(X, LABELS, validation_data=(X[:9], LABELS[:9]), **settings)
    files = as_memmap(tmp_path, "X", X[:9]), as_memmap(tmp_path, "y", LABELS[:9])
    from_files, _ = trained(X, LABELS, validation_data=files, **settings)
    assert list(from_files.curves) == list(in_memory.curves)
    np.testing.assert_allclose(from_files.validation_loss, in_memory.validation_loss, rtol=1e-12)
    first_nine = [(X[:7], LABELS[:7]), (X[7:9], LABELS[7:9])]
    streamed, _ = trained(labelled, validation_data=lambda: first_nine, **settings)
    again, _ = trained(labelled, validation_data=(X[:9], LABELS[:9]), **settings)
    np.testing.assert_allclose(streamed.validation_loss, again.validation_loss, rtol=1e-12)
    np.testing.assert_allclose(
        streamed.curves["validation_right"], again.curves["validation_right"], rtol=1e-12, atol=1e-12
    )
    assert 0 <= streamed.curves["right"][0] <= 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_divergence_names_the_batch_and_the_sample(engine: str) -> None:
    def growing() -> Iterator[tuple[Any, Any]]:
        yield [[1.0, 1.0], [2.0, 1.0]], [1.0, 1.0]
        yield [[1.0, 1.0], [1e200, 1.0]], [1.0, 1.0]

    with pytest.raises(DivergenceError) as raised:
        fit(MLP(2, [1], init="ones"), growing, optimizer=SGD(1e-3), epochs=3, engine=engine)
    assert "in epoch 1, batch 2," in str(raised.value)
    assert raised.value.batch == 2
    assert raised.value.sample == 3  # of those that came


def test_classes_come_up_batch_by_batch() -> None:
    """The second batch has a class that the first had not."""
    by_class = [(X[:6], [0, 1, 0, 1, 0, 1]), (X[6:12], [2, 2, 2, 0, 1, 2])]
    models = [MLP(2, [3], seed=0) for _ in ENGINES]
    histories = [
        fit(model, by_class, loss=cross_entropy, optimizer=SGD(0.1), epochs=3, engine=engine)
        for model, engine in zip(models, ENGINES, strict=True)
    ]
    np.testing.assert_allclose(histories[0].loss, histories[1].loss, rtol=1e-12)
    np.testing.assert_allclose(numbers(models[0]), numbers(models[1]), rtol=1e-12)


def test_a_loss_that_looks_at_a_target_of_a_later_batch_goes_on_eagerly() -> None:
    """`==` is identity while it is traced: the first batch, which has no 7, does not show it."""

    def loss(predictions: Any, targets: Any) -> Any:
        return mse_loss(predictions, [0.0 if target == 7.0 else target for target in targets])

    pairs = [(X[:2], [1.0, 2.0]), (X[2:4], [3.0, 7.0])]
    eager = trained(pairs, loss=loss, epochs=2)
    model = MLP(2, [4, 1], "tanh", seed=1)
    history = fit(model, pairs, loss=loss, optimizer=Adam(0.02), epochs=2, engine="auto")
    assert history.engine == "eager"
    assert history.eager_because.startswith("fit: expected model and loss to be the same when traced, got a loss of ")
    np.testing.assert_allclose(numbers(model), eager[1], rtol=1e-9)
    with pytest.raises(TypeError, match=r"^fit: expected model and loss to be the same when traced"):
        fit(MLP(2, [4, 1], "tanh", seed=1), pairs, loss=loss, engine="compiled")


def test_values_among_them_are_trained_on_eagerly() -> None:
    history, _ = trained([([[Value(1.0), 2.0]], [1.0]), ([[1.0, 2.0]], [1.0])], engine="eager")
    assert history.engine == "eager"
    model = MLP(2, [1], init="zeros")
    with pytest.raises(TypeError, match=r"^fit: expected plain numbers as samples and targets, got Values$"):
        fit(model, [([[Value(1.0), 2.0]], [1.0])], engine="compiled")
    later = [([[1.0, 2.0]], [1.0]), ([[Value(1.0), 2.0]], [1.0])]
    with pytest.raises(TypeError, match=r"^fit: expected plain numbers as samples and targets, got Values$"):
        fit(model, later, engine="compiled")
    assert fit(model, later, engine="auto", epochs=1).engine == "eager"


WRONG: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (lambda: 5, {}, TypeError, "fit: expected X to return batches, got int 5"),
    (lambda: [], {}, ValueError, "fit: expected at least one batch in X, got none"),
    (
        list(batches()),
        {"batch_size": 3},
        ValueError,
        "fit: expected batch_size=None where X is batches, which have their sizes, got 3",
    ),
    (lambda: [3], {}, TypeError, "fit, batch 1: expected a pair (X, y) in X, got int 3"),
    (lambda: [(X, Y, Y)], {}, TypeError, "fit, batch 1: expected a pair (X, y) in X, got tuple (array"),
    (
        lambda: [(X, Y[:3])],
        {},
        ValueError,
        "fit, batch 1: expected a target in y for each sample in X, got 23 samples and 3 targets",
    ),
    (
        lambda: [([[1.0, math.nan]], [1])],
        {},
        ValueError,
        "fit, batch 1: expected finite numbers in X, got nan in X[0]",
    ),
    (lambda: [(["a"], [1])], {}, TypeError, "fit, batch 1: expected numbers in X[0], got str 'a'"),
    (
        lambda one, two: [],
        {},
        TypeError,
        "fit: expected X to be a function without arguments, or of a random generator, got function <function",
    ),
    (X, {}, TypeError, "fit: expected y to be a list or an array, got NoneType None"),
    ([[0.0, 1.0], [1.0, 0.0]], {}, TypeError, "fit: expected y to be a list or an array, got NoneType None"),
    (
        batches,
        {"validation_data": lambda: [([[1.0]], [1.0])]},
        ValueError,
        "fit: expected a row of 2 a sample in validation_data, as for training, got a row of 1",
    ),
]


@pytest.mark.parametrize(("data", "settings", "error", "text"), WRONG, ids=[row[-1] for row in WRONG])
def test_case_22_wrong_batches(data: Any, settings: dict[str, Any], error: type[Exception], text: str) -> None:
    model = MLP(2, [1], init="ones")
    with pytest.raises(error) as raised:
        fit(model, data, **settings)
    assert str(raised.value).startswith(text)
    assert numbers(model) == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_later_batch_that_is_wrong_is_named(engine: str) -> None:
    for second, text in (
        (([[1.0, 2.0, 3.0]], [1.0]), r"^fit, batch 2: expected a row of 2 in X, as in batch 1, got a row of 3$"),
        (([[1.0, 2.0]], [[1.0]]), r"^fit, batch 2: expected a plain number in y, as in batch 1, got a row of 1$"),
        (([[1.0, 2.0]], [math.inf]), r"^fit, batch 2: expected finite numbers in y, got inf in y\[0\]$"),
    ):
        model = MLP(2, [1], init="zeros")
        with pytest.raises(ValueError, match=text):
            fit(model, [(X[:4], Y[:4]), second], engine=engine, epochs=2)
        assert any(numbers(model))  # what the first batch taught


def test_batches_that_come_once_though_it_is_no_iterator() -> None:
    rest = [list(batches())]
    with pytest.raises(ValueError, match=r"^fit: expected X to be batches that can be gone through again, got none$"):
        trained(lambda: rest.pop() if rest else [], epochs=1)


def test_an_exception_of_a_generator_passes_through() -> None:
    def failing() -> Iterator[tuple[Any, Any]]:
        yield X[:4], Y[:4]
        raise OSError("the drive is gone")

    model = MLP(2, [1], init="zeros")
    with pytest.raises(OSError, match="the drive is gone"):
        fit(model, failing, engine="compiled")
    assert any(numbers(model))

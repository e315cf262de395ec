"""`heaviside`, `softmax` and `Classifier`: the paper's definitions, tails, other libraries, and wrong arguments."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd_mini import Value, assert_gradients, hessian
from nn import MLP, SGD, Layer, Module, fit
from nn.classifiers import Classifier, heaviside, softmax
from nn.losses import accuracy, binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy

quick = settings(max_examples=100, deadline=None)


def identity(sample: Any) -> Any:
    """A model whose outputs are its inputs."""
    return sample


# heaviside


@pytest.mark.parametrize(
    ("x", "step"),
    [(0.0, 1), (-0.0, 1), (5e-324, 1), (-5e-324, 0), (3, 1), (-2, 0), (math.inf, 1), (-math.inf, 0)],
)
def test_the_step_of_gill_and_gill(x: float, step: int) -> None:
    """1 for non-negative inputs and 0 for negative inputs."""
    for number in (x, Value(x), np.float64(x)):
        assert heaviside(number) == step
        assert type(heaviside(number)) is int


def test_the_step_keeps_the_shape() -> None:
    assert heaviside([Value(-1.0), 2.0]) == [0, 1]
    assert heaviside(((1.0, -1.0), [0.0])) == [[1, 0], [1]]
    steps = heaviside(np.array([[1.0, -1.0], [0.0, -3.0]]))
    assert isinstance(steps, np.ndarray)
    assert steps.dtype == int
    assert steps.tolist() == [[1, 0], [1, 0]]


# softmax


def test_the_softmax_by_hand() -> None:
    assert softmax([0.0, 0.0]) == [0.5, 0.5]
    assert softmax([0.0, math.log(2), math.log(5)]) == pytest.approx([1 / 8, 2 / 8, 5 / 8], rel=1e-15)
    assert all(type(p) is float for p in softmax(np.array([1.0, 2.0, 3.0])))


@pytest.mark.parametrize(
    ("logits", "probabilities"),
    [
        ([1000.0, 0.0], [1.0, 0.0]),
        ([-1000.0, -1000.0, -3000.0], [0.5, 0.5, 0.0]),
        ([40.0, 0.0], [1.0, 4.248354255291589e-18]),
        ([1e16 + 2, 1e16], [0.8807970779778823, 0.11920292202211755]),
        ([math.inf, 0.0], [1.0, 0.0]),
        ([-math.inf, 0.0, 0.0], [0.0, 0.5, 0.5]),
    ],
)
def test_the_tails_of_the_softmax(logits: list[float], probabilities: list[float]) -> None:
    assert softmax(logits) == pytest.approx(probabilities, rel=1e-14, abs=0)


def test_the_gradients_keep_their_digits_where_a_probability_is_1() -> None:
    row = [Value(40.0), Value(0.0)]
    softmax(row)[0].backward()
    assert [z.grad for z in row] == pytest.approx([4.248354255291589e-18, -4.248354255291589e-18], rel=1e-14, abs=0)


@quick
@given(row=st.lists(st.floats(-300, 300), min_size=2, max_size=5))
def test_the_softmax_in_numpy(row: list[float]) -> None:
    shifted = np.exp(np.array(row) - max(row))
    np.testing.assert_allclose(softmax(row), shifted / shifted.sum(), rtol=1e-12, atol=0)
    assert sum(softmax(row)) == pytest.approx(1, rel=1e-14)


@quick
@given(seed=st.integers(0, 2**32 - 1))
def test_the_derivatives_of_the_softmax(seed: int) -> None:
    row = np.random.default_rng(seed).normal(0, 10, 3)
    assert_gradients(lambda z: softmax(z)[0], (row.tolist(),))
    z = row / 10
    p = np.exp(z) / np.exp(z).sum()
    first = np.eye(3)[0] - p  # of log p₀
    second = p[0] * (np.outer(first, first) - np.diag(p) + np.outer(p, p))
    np.testing.assert_allclose(hessian(lambda z: softmax(z)[0])(z.tolist()), second, rtol=1e-11, atol=1e-14)


# Classifier, one output


def test_the_classifier_by_hand() -> None:
    """N(x) = 2x - 1 at 0, 1/2 and 1: -1, 0 and 1."""
    classifier = Classifier(MLP(1, [1], init=[([[2.0]], [-1.0])]))
    assert classifier.predict([0.0, 0.5, 1.0]).tolist() == [0, 1, 1]
    p = 1 / (1 + math.e)
    found = classifier.predict_proba([0.0, 0.5, 1.0])
    np.testing.assert_allclose(found[:, 0], [1 - p, 0.5, p], rtol=1e-15)
    np.testing.assert_allclose(found[:, 1], [p, 0.5, 1 - p], rtol=1e-15)


def test_both_probabilities_are_exact_in_the_tails() -> None:
    tail = 4.248354255291589e-18
    found = Classifier(identity).predict_proba([40.0, -40.0, 1000.0, -1000.0])
    np.testing.assert_allclose(found, [[tail, 1.0], [1.0, tail], [0.0, 1.0], [1.0, 0.0]], rtol=1e-14, atol=0)


@quick
@given(outputs=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=5))
def test_label_1_is_where_its_probability_is_at_least_one_half(outputs: list[float]) -> None:
    """The two classifiers of section 3.2 are compatible; next to 0, σ rounds to 1/2 on both sides."""
    classifier = Classifier(identity)
    labels, rows = classifier.predict(outputs).tolist(), classifier.predict_proba(outputs).tolist()
    for label, (p0, p1), z in zip(labels, rows, outputs, strict=True):
        assert label == (z >= 0)
        assert p1 >= 0.5 if label else p1 <= 0.5
        assert p0 + p1 == pytest.approx(1, rel=1e-15)


def test_of_a_tiny_negative_output_the_probability_rounds_but_the_label_does_not() -> None:
    classifier = Classifier(identity)
    assert classifier.predict([-1e-20]).tolist() == [0]
    assert classifier.predict_proba([-1e-20]).tolist() == [[0.5, 0.5]]


# Classifier, several outputs


def test_several_classes() -> None:
    classifier = Classifier(identity)
    samples = [[1.0, 3.0, 2.0], [5.0, 5.0, 0.0], [-2.0, -3.0, -1.0]]
    assert classifier.predict(samples).tolist() == [1, 0, 2]  # the first of equals
    assert classifier.predict_proba(samples).tolist() == [softmax(row) for row in samples]


@pytest.mark.parametrize("n_outputs", [1, 2, 4])
def test_shapes_and_types_are_those_of_scikit_learn(n_outputs: int) -> None:
    classifier = Classifier(MLP(3, [4, n_outputs], seed=0))
    samples = np.random.default_rng(0).normal(size=(5, 3))
    labels, probabilities = classifier.predict(samples), classifier.predict_proba(samples)
    assert labels.shape == (5,)
    assert labels.dtype == int
    assert probabilities.shape == (5, max(n_outputs, 2))
    assert probabilities.dtype == float
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
    if n_outputs > 1:
        np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    np.testing.assert_array_equal(classifier.predict(samples.tolist()), labels)


# Models


class TwoRows(Module):
    """A model of a user's own: it returns a tuple."""

    def __init__(self) -> None:
        self.layer = Layer(2, 2, activation=None, init=([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]))

    def __call__(self, sample: Any) -> Any:
        return tuple(self.layer(sample))


@pytest.mark.parametrize(
    "model", [TwoRows(), TwoRows().layer, identity, np.array, lambda sample: [Value(z) for z in sample]]
)
def test_any_callable_is_a_model(model: Any) -> None:
    assert Classifier(model).predict([[2.0, 1.0], [0.0, 0.5]]).tolist() == [0, 1]


def test_a_row_of_one_output_is_one_output() -> None:
    assert Classifier(identity).predict([[2.0], [-2.0]]).tolist() == [1, 0]
    assert Classifier(identity).predict_proba(np.zeros((1, 1))).tolist() == [[0.5, 0.5]]


def test_outputs_that_are_probabilities() -> None:
    classifier = Classifier(identity, from_logits=False)
    assert classifier.predict([0.5, 0.49, 1.0]).tolist() == [1, 0, 1]
    assert classifier.predict_proba([0.25, 1.0]).tolist() == [[0.75, 0.25], [0.0, 1.0]]
    rows = [[0.25, 0.5, 0.25], [0.75, 0.0, 0.25]]
    assert classifier.predict(rows).tolist() == [1, 0]
    assert classifier.predict_proba(rows).tolist() == rows


def test_nothing_is_changed_by_predicting() -> None:
    model = MLP(2, [3, 1], seed=0)
    parameters = [(parameter.data, parameter.grad) for parameter in model.parameters()]
    Classifier(model).predict_proba([[1.0, 2.0]])
    assert [(parameter.data, parameter.grad) for parameter in model.parameters()] == parameters


def test_a_trained_classifier() -> None:
    samples, targets = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0]
    model = MLP(2, [4, 1], activation="tanh", seed=0)
    fit(model, samples, targets, loss=binary_cross_entropy_with_logits, optimizer=SGD(1.0), epochs=200)
    assert accuracy(Classifier(model).predict(samples), targets) == 1.0
    assert (Classifier(model).predict_proba(samples)[range(4), targets] > 0.9).all()

    several = MLP(2, [3], init="zeros")
    fit(several, samples[:3], [2, 0, 1], loss=cross_entropy, optimizer=SGD(1.0), epochs=200)
    assert Classifier(several).predict(samples[:3]).tolist() == [2, 0, 1]

    sigmoid = MLP(1, [1], output_activation="sigmoid", init="zeros")
    fit(sigmoid, [-1.0, 1.0], [0, 1], loss=binary_cross_entropy, optimizer=SGD(1.0), epochs=20)
    assert Classifier(sigmoid, from_logits=False).predict([-1.0, 1.0]).tolist() == [0, 1]


def test_probabilities_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    rows = np.random.default_rng(0).normal(0, 10, (20, 4))
    classifier = Classifier(identity)
    expected = torch.softmax(torch.tensor(rows), dim=1).numpy()
    np.testing.assert_allclose(classifier.predict_proba(rows), expected, rtol=1e-12)
    expected = torch.sigmoid(torch.tensor(rows[:, 0])).numpy()
    np.testing.assert_allclose(classifier.predict_proba(rows[:, 0])[:, 1], expected, rtol=1e-12)


def test_labels_and_probabilities_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    random = np.random.default_rng(0)
    samples = random.normal(size=(60, 2))
    for n_classes in (2, 3):
        targets = np.digitize(samples[:, 0] + 0.3 * random.normal(size=60), [0.0, 0.7][: n_classes - 1])
        theirs = linear_model.LogisticRegression().fit(samples, targets)
        ours = Classifier(MLP(2, [len(theirs.coef_)], init=[(theirs.coef_, theirs.intercept_)]))
        np.testing.assert_array_equal(ours.predict(samples), theirs.predict(samples))
        np.testing.assert_allclose(ours.predict_proba(samples), theirs.predict_proba(samples), rtol=1e-12)


def test_the_repr() -> None:
    model = MLP(2, [1])
    assert repr(Classifier(model)) == f"Classifier({model!r})"
    assert repr(Classifier(model, from_logits=False)) == f"Classifier({model!r}, from_logits=False)"


# Wrong arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: heaviside(math.nan), ValueError, "heaviside: expected numbers, got nan"),
        (lambda: heaviside([1.0, "a"]), TypeError, "heaviside: expected numbers, got str 'a'"),
        (lambda: softmax([1.0]), ValueError, "softmax: expected a row of at least two logits, got shape (1,)"),
        (
            lambda: softmax(np.zeros((2, 2))),
            ValueError,
            "softmax: expected a row of at least two logits, got shape (2, 2)",
        ),
        (
            lambda: softmax([1.0, None]),  # type: ignore[list-item]
            TypeError,
            "softmax: expected numbers in logits, got NoneType None",
        ),
        (
            lambda: Classifier([1.0]),  # type: ignore[arg-type]
            TypeError,
            "Classifier: expected model to be callable, got list [1.0]",
        ),
        (
            lambda: Classifier(MLP(2, [1], output_activation="sigmoid")),
            ValueError,
            "Classifier: expected from_logits=False for output_activation='sigmoid', got True",
        ),
        (
            lambda: Classifier(identity).predict(1.0),
            TypeError,
            "Classifier: expected X to be a list or an array of samples, got float 1.0",
        ),
        (
            lambda: Classifier(identity).predict_proba([]),
            ValueError,
            "Classifier: expected X to hold at least one sample, got none",
        ),
        (
            lambda: Classifier(MLP(3, [1])).predict([2.0, 4.0, 3.0]),
            ValueError,
            "MLP: expected 3 inputs, got 1",
        ),
        (
            lambda: Classifier(identity).predict([[1.0, 2.0], [1.0]]),
            ValueError,
            "Classifier: expected model to return as many outputs for X[1] as for X[0], 2, got 1",
        ),
        (
            lambda: Classifier(identity).predict([[[1.0], [2.0]]]),
            ValueError,
            "Classifier: expected model to return a number or a row of them, got shape (2, 1)",
        ),
        (
            lambda: Classifier(identity).predict([[]]),
            ValueError,
            "Classifier: expected model to return a number or a row of them, got shape (0,)",
        ),
        (
            lambda: Classifier(str).predict([1.0]),
            TypeError,
            "Classifier: expected numbers in the outputs of model for X[0], got str '1.0'",
        ),
        (
            lambda: Classifier(identity).predict([1.0, math.nan]),
            ValueError,
            "Classifier: expected finite outputs of model, got nan for X[1]",
        ),
        (
            lambda: Classifier(identity).predict_proba([[1.0, math.inf]]),
            ValueError,
            "Classifier: expected finite outputs of model, got inf for X[0]",
        ),
        (
            lambda: Classifier(identity, from_logits=False).predict([0.5, 1.5]),
            ValueError,
            "Classifier: expected outputs of model from 0 to 1, got 1.5 for X[1]",
        ),
    ],
)
def test_case_22_wrong_arguments(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == message

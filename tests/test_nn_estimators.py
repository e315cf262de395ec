"""`MLPRegressor` and `MLPClassifier`: scikit-learn's own checks in full, its models as oracles, its tools at work."""

import copy
import importlib.util
import json
import math
import os
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autograd_mini import tanh
from nn import Classifier, DivergenceError, StepDecay

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is an optional extra")

from sklearn.base import clone  # noqa: E402
from sklearn.datasets import load_breast_cancer, load_iris  # noqa: E402
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError  # noqa: E402
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils import get_tags  # noqa: E402

from nn.estimators import MLPClassifier, MLPRegressor  # noqa: E402

Array = NDArray[Any]

ROOT = Path(__file__).parent.parent
BOTH = pytest.mark.parametrize("kind", [MLPRegressor, MLPClassifier])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def some_data(kind: Any, n_samples: int = 40) -> tuple[Array, Array]:
    """Three features; a smooth function of them, or whether it is above 0."""
    X = np.random.default_rng(5).normal(size=(n_samples, 3))  # noqa: N806
    y = np.tanh(X[:, 0]) + 0.5 * X[:, 1] - 0.3 * X[:, 2] * X[:, 0]
    return X, (np.where(y > 0, "yes", "no") if kind is MLPClassifier else y)


def numbers(estimator: Any) -> list[float]:
    """All parameters."""
    return [parameter.data for parameter in estimator.network_.parameters()]


# scikit-learn's checks

N_CHECKS = {"MLPRegressor": 53, "MLPClassifier": 55}
"""In scikit-learn 1.6 to 1.9."""

CHECK = """
import json, sys, warnings
from sklearn.exceptions import ConvergenceWarning
warnings.simplefilter("error")
from sklearn.utils.estimator_checks import check_estimator
from nn import estimators
warnings.simplefilter("ignore", ConvergenceWarning)
estimator = getattr(estimators, sys.argv[1])(max_iter=20)
results = check_estimator(estimator, expected_failed_checks=None, on_fail=None, on_skip=None)
print(json.dumps([[each["check_name"], each["status"], repr(each["exception"])] for each in results]))
"""
"""In a process of its own, because SciPy asks for SCIPY_ARRAY_API, without which a check is skipped, as it is imported.

Twenty epochs in place of a hundred save time, and make the two checks that ask for a good score the harder.
"""


@pytest.mark.parametrize("name", ["MLPRegressor", "MLPClassifier"])
def test_check_estimator_passes_in_full(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", CHECK, name],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(run.stdout)
    count = Counter(status for _, status, _ in results)
    assert [each for each in results if each[1] not in ("passed", "skipped")] == []
    skipped = {check: exception for check, status, exception in results if status == "skipped"}
    if importlib.util.find_spec("pandas") is None:
        assert list(skipped) == [f"check_{name.removeprefix('MLP').lower()}_data_not_an_array"]
        assert "pandas is not installed" in "".join(skipped.values())
    else:
        assert skipped == {}
    assert count["passed"] + len(skipped) == len(results)
    if (1, 6) <= tuple(map(int, sklearn.__version__.split(".")[:2])) <= (1, 9):
        assert len(results) == N_CHECKS[name]


@BOTH
def test_the_tags_promise_what_is_kept(kind: Any) -> None:
    tags = get_tags(kind())
    assert tags.target_tags.required
    assert tags.target_tags.multi_output == (kind is MLPRegressor)
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    for of_kind in (tags.classifier_tags, tags.regressor_tags):
        assert of_kind is None or not of_kind.poor_score


def test_without_scikit_learn_the_extra_is_named() -> None:
    program = "import sys; sys.modules['sklearn'] = None; import nn; print('nn is there'); import nn.estimators"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert run.stdout == "nn is there\n"
    assert (
        "ImportError: nn.estimators: needs scikit-learn 1.6 or newer: pip install 'autograd-mini[sklearn]'"
        in run.stderr
    )


# Against scikit-learn's models: without hidden layers, theirs have one minimum, and so must ours


@pytest.mark.parametrize("n_targets", [1, 2])
def test_without_hidden_layers_the_regressor_is_ridge_regression(n_targets: int) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    y = y + 3.0  # so that an offset is needed, which alpha leaves alone
    targets = y if n_targets == 1 else np.column_stack([y, X[:, 0] - 2.0])
    ours = MLPRegressor((), solver="lbfgs", alpha=7.0, tol=1e-9, random_state=0).fit(X, targets)
    theirs = Ridge(alpha=7.0 * n_targets).fit(X, targets)  # our loss is a mean over the targets as well
    assert ours.coefs_[0] == pytest.approx(theirs.coef_.reshape(n_targets, 3).T, abs=1e-6)
    assert ours.intercepts_[0] == pytest.approx(np.ravel(theirs.intercept_), abs=1e-6)
    assert ours.predict(X) == pytest.approx(theirs.predict(X), abs=1e-6)
    assert ours.predict(X).shape == targets.shape
    assert ours.score(X, targets) == pytest.approx(theirs.score(X, targets))
    assert ours.n_outputs_ == n_targets


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_hidden_layers_the_classifier_is_logistic_regression(n_classes: int) -> None:
    X, y = load_iris(return_X_y=True)  # noqa: N806
    X, y = StandardScaler().fit_transform(X[::4]), np.minimum(y, n_classes - 1)[::4]  # noqa: N806
    ours = MLPClassifier((), solver="lbfgs", alpha=0.5, tol=1e-8, max_iter=500, random_state=0).fit(X, y)
    theirs = LogisticRegression(C=2.0, tol=1e-8, max_iter=1000).fit(X, y)
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-4)
    assert ours.predict(X).tolist() == theirs.predict(X).tolist()
    assert ours.n_outputs_ == (1 if n_classes == 2 else 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "adam", "activation": "tanh"},
        {"solver": "adam", "activation": "relu", "beta_1": 0.8, "beta_2": 0.99},
        {"solver": "sgd", "activation": "logistic"},
        {"solver": "sgd", "activation": "tanh", "nesterovs_momentum": False, "momentum": 0.5},
        {"solver": "sgd", "activation": "identity", "momentum": 0.0, "alpha": 0.5},
        {"solver": "adam", "activation": "tanh", "tol": 0.05, "n_iter_no_change": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["MLPRegressor", "MLPClassifier", "three classes"])
def test_from_the_same_weights_it_takes_the_steps_of_scikit_learn(name: str, settings: dict[str, Any]) -> None:
    from sklearn import neural_network

    kind = MLPRegressor if name == "MLPRegressor" else MLPClassifier
    X, y = some_data(kind)  # noqa: N806
    if name == "three classes":
        y = np.where(X[:, 0] > 0.7, "perhaps", y)
    epochs: dict[str, Any] = {
        "hidden_layer_sizes": (4, 3),
        "batch_size": 40,
        "max_iter": 30,
        "learning_rate_init": 0.05,
        "epsilon": 1e-14,  # theirs stands elsewhere in the formula than in that of Kingma & Ba
    }
    ours = begun(kind(**epochs | settings | {"random_state": 1}), X, y)
    theirs = getattr(neural_network, kind.__name__)(**epochs | settings, shuffle=False, warm_start=True)
    theirs.set_params(max_iter=1).fit(X, y)
    theirs.coefs_ = [each.copy() for each in ours.coefs_]
    theirs.intercepts_ = [each.copy() for each in ours.intercepts_]
    theirs.loss_curve_, theirs.best_loss_, theirs._no_improvement_count = [], math.inf, 0

    ours.fit(X, y)
    theirs.set_params(max_iter=30).fit(X, y)

    assert ours.loss_curve_[1:] == pytest.approx(theirs.loss_curve_, rel=1e-9)
    for mine, other in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        assert mine == pytest.approx(other, abs=1e-8)
    assert (ours.n_iter_, ours.n_outputs_) == (theirs.n_iter_, theirs.n_outputs_)
    assert ours.n_iter_ < 30 or "tol" not in settings
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-9)
    if kind is MLPClassifier:
        assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-8)


def begun(estimator: Any, X: Array, y: Array) -> Any:  # noqa: N803
    """The estimator with its initial weights, ready to go on: an epoch at a learning rate of 0."""
    settings = estimator.get_params()
    estimator.set_params(learning_rate_init=0.0, max_iter=1, warm_start=True).fit(X, y)
    return estimator.set_params(learning_rate_init=settings["learning_rate_init"], max_iter=settings["max_iter"])


# In scikit-learn's tools


def test_in_a_pipeline_it_tells_tumours_apart() -> None:
    X, y = load_breast_cancer(return_X_y=True)  # noqa: N806
    model = make_pipeline(StandardScaler(), MLPClassifier(max_iter=8, random_state=0)).fit(X[::3], y[::3])
    assert model.score(X[1::3], y[1::3]) > 0.93  # 0.63 are of one class
    assert model.predict_proba(X[1::3]).shape == (190, 2)


def test_a_grid_search_finds_the_better_network() -> None:
    X, y = load_iris(return_X_y=True)  # noqa: N806
    grid: dict[str, Any] = {
        "mlpclassifier__learning_rate_init": [0.0, 0.05],
        "mlpclassifier__activation": ["tanh", "relu"],
    }
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=15, random_state=0))
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X[::2], y[::2])
    assert search.best_params_["mlpclassifier__learning_rate_init"] == 0.05
    assert search.best_score_ > 0.85
    assert search.predict(X).shape == (150,)


def test_a_search_over_solvers_and_schedules() -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    grid = [{"solver": ["lbfgs", "sgd"]}, {"learning_rate_init": [StepDecay(0.1, every=20), 0.05]}]
    search = GridSearchCV(MLPRegressor((4,), max_iter=20, random_state=0), grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["mean_test_score"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@BOTH
def test_cross_validation(kind: Any) -> None:
    X, y = some_data(kind, 60)  # noqa: N806
    scores = cross_val_score(kind((4,), solver="lbfgs", max_iter=40, random_state=0), X, y, cv=3, error_score="raise")
    assert scores.shape == (3,)
    assert scores.mean() > 0.7
    assert (
        scores.tolist() == cross_val_score(kind((4,), solver="lbfgs", max_iter=40, random_state=0), X, y, cv=3).tolist()
    )


@BOTH
def test_a_clone_has_the_settings_and_has_learnt_nothing(kind: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind(hidden_layer_sizes=[3], alpha=0.1, max_iter=2, random_state=3).fit(X, y)
    cloned = clone(estimator)
    assert cloned.get_params() == estimator.get_params()
    for name in ("coefs_", "intercepts_", "network_", "loss_curve_", "n_features_in_"):
        assert hasattr(estimator, name)
        assert not hasattr(cloned, name)
    with pytest.raises(NotFittedError):
        cloned.predict(X)


@BOTH
def test_frames_give_their_names(kind: Any) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is optional")
    X, y = some_data(kind)  # noqa: N806
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    estimator = kind(max_iter=2, random_state=0).fit(frame, pandas.Series(y))
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c"]
    assert estimator.n_features_in_ == 3
    assert estimator.predict(frame).tolist() == kind(max_iter=2, random_state=0).fit(X, y).predict(X).tolist()
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(frame[["b", "a", "c"]])


# What is learnt


@BOTH
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_the_attributes_say_what_was_learnt(kind: Any, solver: str) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind((4, 2), solver=solver, max_iter=6, random_state=0).fit(X, y)
    assert [each.shape for each in estimator.coefs_] == [(3, 4), (4, 2), (2, 1)]
    assert [each.shape for each in estimator.intercepts_] == [(4,), (2,), (1,)]
    assert estimator.coefs_[0][2, 1] == estimator.network_.layers[0].neurons[1].weights[2].data
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 6
    assert estimator.loss_ == estimator.loss_curve_[-1]
    assert estimator.best_loss_ == min(estimator.loss_curve_) < estimator.loss_curve_[0]
    assert estimator.validation_scores_ is estimator.best_validation_score_ is None
    with pytest.raises(ValueError, match="read-only"):
        estimator.coefs_[0][0, 0] = 1.0


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
def test_predictions_are_those_of_the_weights(activation: str) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor((4, 2), activation, max_iter=2, random_state=0).fit(X, y)
    functions: dict[str, Callable[[Array], Array]] = {
        "relu": lambda z: np.maximum(z, 0.0),
        "tanh": np.tanh,
        "logistic": lambda z: 1 / (1 + np.exp(-z)),
        "identity": lambda z: z,
    }
    rows = X
    for place, (weights, biases) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        rows = rows @ weights + biases
        rows = rows if place == 2 else functions[activation](rows)
    assert estimator.predict(X) == pytest.approx(rows[:, 0], rel=1e-12)


def test_other_activations_of_the_table() -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    for ours, other in (("sigmoid", "logistic"), (None, "identity"), (tanh, "tanh")):
        first, second = (MLPRegressor((3,), each, max_iter=2, random_state=0).fit(X, y) for each in (ours, other))
        assert numbers(first) == numbers(second)
    assert MLPRegressor((3,), "gelu", max_iter=2, random_state=0).fit(X, y).network_.activation == "gelu"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_sigmoid_or_softmax_of_the_outputs(n_classes: int) -> None:
    X, y = load_iris(return_X_y=True)  # noqa: N806
    X, y = X[::5], np.array(["setosa", "other", "third"])[np.minimum(y, n_classes - 1)][::5]  # noqa: N806
    estimator = MLPClassifier((4,), max_iter=5, random_state=0).fit(X, y)
    assert estimator.classes_.tolist() == sorted(set(y))
    outputs = [estimator.network_(row) for row in X.tolist()]
    logits = np.array([[0.0, out.data] if n_classes == 2 else [each.data for each in out] for out in outputs])
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = estimator.predict_proba(X)
    assert probabilities == pytest.approx(wanted, rel=1e-12)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(X)), abs=1e-15 * n_classes)
    assert estimator.predict(X).tolist() == estimator.classes_[probabilities.argmax(axis=1)].tolist()
    assert estimator.predict_proba(X).tolist() == Classifier(estimator.network_).predict_proba(X).tolist()


@BOTH
def test_the_same_random_state_gives_the_same_network(kind: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    settings: dict[str, Any] = {"max_iter": 3, "batch_size": 7, "early_stopping": True, "validation_fraction": 0.2}

    def run(random_state: Any) -> list[float]:
        return numbers(kind(**settings, random_state=random_state).fit(X, y))

    assert run(0) == run(0) == run(np.random.RandomState(0))
    assert run(0) != run(1)
    assert run(None) != run(None)


@BOTH
def test_single_precision_is_read_as_it_is(kind: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    single = X.astype(np.float32)
    estimator = kind(max_iter=2, random_state=0)
    assert numbers(estimator.fit(single, y)) == numbers(clone(estimator).fit(single.astype(np.float64), y))


# Going on


@BOTH
@pytest.mark.parametrize("batch_size", [7, 40])
def test_partial_fit_takes_the_steps_of_fit(kind: Any, batch_size: int) -> None:
    X, y = some_data(kind)  # noqa: N806
    settings: dict[str, Any] = {"batch_size": batch_size, "max_iter": 5, "tol": 0.0, "random_state": 0}
    whole, partly = kind(**settings).fit(X, y), kind(**settings)
    for epoch in range(5):
        first = {"classes": ["no", "yes"]} if epoch == 0 and kind is MLPClassifier else {}
        partly = pickle.loads(pickle.dumps(partly.partial_fit(X, y, **first)))
    assert numbers(partly) == numbers(whole)
    assert partly.loss_curve_ == whole.loss_curve_
    assert partly.best_loss_ == whole.best_loss_
    assert partly.n_iter_ == 1
    assert (
        numbers(whole.partial_fit(X, y))
        == numbers(partly.partial_fit(X, y))
        == numbers(kind(**settings | {"max_iter": 6}).fit(X, y))
    )


@BOTH
def test_a_pickled_estimator_predicts_and_goes_on(kind: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind(max_iter=3, random_state=0).fit(X, y)
    for again in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        assert again.predict(X).tolist() == estimator.predict(X).tolist()
        before = numbers(estimator)
        again.partial_fit(X, y)
        assert numbers(estimator) == before != numbers(again)


def test_partial_fit_follows_the_settings() -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(max_iter=2, random_state=0).fit(X, y)
    before = numbers(estimator)
    assert numbers(estimator.set_params(learning_rate_init=0.0).partial_fit(X, y)) == before
    assert numbers(estimator.set_params(learning_rate_init=0.1).partial_fit(X, y)) != before
    assert not hasattr(estimator.set_params(solver="lbfgs"), "partial_fit")
    estimator.set_params(solver="sgd").partial_fit(X, y)  # another optimizer begins anew


def test_partial_fit_learns_from_a_stream() -> None:
    X, y = some_data(MLPClassifier, 200)  # noqa: N806
    estimator = MLPClassifier((4,), learning_rate_init=0.05, random_state=0)
    for start in range(0, 160, 10):
        rows = slice(start, start + 10)
        for _ in range(3):
            estimator.partial_fit(X[rows], y[rows], classes=np.array(["yes", "no"]))
    assert estimator.score(X[160:], y[160:]) > 0.8


def test_partial_fit_refuses_classes_that_it_does_not_know() -> None:
    X, y = some_data(MLPClassifier)  # noqa: N806
    estimator = MLPClassifier(random_state=0)
    with pytest.raises(ValueError, match="MLPClassifier: expected classes in the first call of partial_fit, got None"):
        estimator.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"expected y to be of the classes \['a', 'no'\], got 'yes'"):
        estimator.partial_fit(X, np.where(y == "no", "no", "yes"), classes=["a", "no"])
    assert not hasattr(estimator, "classes_")
    estimator.partial_fit(X[:1], y[:1], classes=["no", "yes"])
    with pytest.raises(ValueError, match=r"expected classes as before, \['no', 'yes'\], got \['no', 'perhaps'\]"):
        estimator.partial_fit(X, y, classes=["perhaps", "no"])


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_with_warm_start_fit_goes_on(kind: Any, solver: str) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind(solver=solver, max_iter=4, warm_start=True, random_state=0)
    first = estimator.fit(X, y).loss_
    network = estimator.network_
    assert estimator.fit(X, y).network_ is network
    assert estimator.loss_ < first
    assert (len(estimator.loss_curve_), estimator.n_iter_) == (8, 4)
    assert estimator.set_params(warm_start=False).fit(X, y).network_ is not network
    assert (estimator.loss_, estimator.n_iter_, len(estimator.loss_curve_)) == (first, 4, 4)


@pytest.mark.parametrize("change", [{"hidden_layer_sizes": (3,)}, {"activation": "tanh"}])
def test_another_network_cannot_go_on(change: dict[str, Any]) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(max_iter=2, warm_start=True, random_state=0).fit(X, y)
    before = numbers(estimator), estimator.predict(X).tolist(), estimator.loss_curve_
    for train in (estimator.set_params(**change).fit, estimator.partial_fit):
        with pytest.raises(ValueError, match=r"^MLPRegressor: expected what MLP\(3, \[8, 1\], .* can go on with, got"):
            train(X, y)
    with pytest.raises(ValueError, match=r"got what needs MLP\(3, \[8, 2\]"):
        estimator.set_params(hidden_layer_sizes=8, activation="relu").fit(X, np.column_stack([y, y]))
    assert (numbers(estimator), estimator.predict(X).tolist(), estimator.loss_curve_) == before


# Stopping


@BOTH
def test_early_stopping_stops_and_keeps_the_best_epoch(kind: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind(
        max_iter=200,
        learning_rate_init=0.1,
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=4,
        random_state=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it has converged
        estimator.fit(X, y)
    scores = estimator.validation_scores_
    assert len(scores) == estimator.n_iter_ == len(estimator.loss_curve_) < 200
    best = int(np.argmax(scores))
    assert estimator.best_validation_score_ == scores[best]
    assert best < estimator.n_iter_ - 1
    assert estimator.best_loss_ is None
    shorter = clone(estimator).set_params(max_iter=best + 1).fit(X, y)
    assert shorter.validation_scores_ == scores[: best + 1]
    assert numbers(shorter) == numbers(estimator)
    longer = clone(estimator).set_params(max_iter=best + 2).fit(X, y)
    assert numbers(longer) == numbers(estimator)


def test_held_out_samples_have_the_classes_of_all() -> None:
    y = np.array(["yes"] * 8 + ["no"] * 32)
    settings: dict[str, Any] = {
        "early_stopping": True,
        "validation_fraction": 0.25,
        "learning_rate_init": 0.0,
        "n_iter_no_change": 1,
    }
    for random_state in range(3):
        constant = MLPClassifier((), **settings, random_state=random_state).fit(np.zeros((40, 1)), y)
        assert constant.validation_scores_ == [0.2] * 3  # every logit is 0, which says "yes", as 2 of the 10 are


def test_it_stops_where_the_loss_no_longer_falls() -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(learning_rate_init=0.0, n_iter_no_change=6, max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X, y)
    assert estimator.n_iter_ == 8  # the first is the best, and 7 in a row are more than 6
    assert estimator.set_params(n_iter_no_change=math.inf).fit(X, y).n_iter_ == 50


@BOTH
@pytest.mark.parametrize(("solver", "reason"), [("adam", "all 3 epochs run"), ("lbfgs", "ITERATIONS REACHED LIMIT")])
def test_a_search_that_was_cut_short_warns(kind: Any, solver: str, reason: str) -> None:
    X, y = some_data(kind)  # noqa: N806
    with pytest.warns(ConvergenceWarning, match=f"^{kind.__name__}: stopped before it converged: .*{reason}"):
        estimator = kind(solver=solver, max_iter=3, random_state=0).fit(X, y)
    assert estimator.n_iter_ == 3


def test_tol_and_max_fun_end_the_search_of_lbfgs() -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    several: list[dict[str, Any]] = [{"tol": 1e-6}, {"tol": 0.1}, {"tol": 1e-6, "max_fun": 3}]
    long, short, shortest = (
        MLPRegressor((4,), "tanh", solver="lbfgs", random_state=0, **settings).fit(X, y) for settings in several
    )
    assert long.n_iter_ > short.n_iter_ > shortest.n_iter_ > 0
    with pytest.warns(ConvergenceWarning, match=r"stopped before it converged: .*EVALUATIONS EXCEEDS LIMIT"):
        shortest.fit(X, y)


def test_numbers_are_no_classes() -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier().fit(X, y)


@BOTH
def test_ctrl_c_keeps_whole_epochs(kind: Any, interrupts: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    settings: dict[str, Any] = {"batch_size": 10, "random_state": 0}
    interrupts(after=4 * 3 + 2)
    with pytest.warns(ConvergenceWarning, match="stopped before it converged: Ctrl-C"):
        stopped = kind(**settings, max_iter=50).fit(X, y)
    interrupts(after=math.inf)
    assert stopped.n_iter_ == 3
    assert numbers(stopped) == numbers(kind(**settings, max_iter=3).fit(X, y))
    stopped.partial_fit(X, y)
    assert numbers(stopped) == numbers(kind(**settings, max_iter=4).fit(X, y))


def test_ctrl_c_before_the_end_of_the_first_epoch(interrupts: Any) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    interrupts(after=2)
    with pytest.warns(ConvergenceWarning, match="Ctrl-C"):
        stopped = MLPRegressor(batch_size=10, random_state=0).fit(X, y)
    assert (stopped.n_iter_, stopped.loss_curve_) == (0, [])
    assert math.isnan(stopped.loss_)
    assert numbers(stopped) == numbers(begun(MLPRegressor(random_state=0), X, y))


def test_ctrl_c_ends_a_loop_of_partial_fits(interrupts: Any) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(batch_size=10, random_state=0).partial_fit(X, y)
    before = numbers(estimator)
    interrupts(after=2)
    with pytest.raises(KeyboardInterrupt):
        estimator.partial_fit(X, y)
    assert numbers(estimator) == before
    assert len(estimator.loss_curve_) == 1


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that makes the optimizer raise KeyboardInterrupt after so many more steps."""
    from nn import Adam

    step, left = Adam.step, [math.inf]

    def counted(self: Any, parameters: Any) -> None:
        if left[0] <= 0:
            raise KeyboardInterrupt
        left[0] -= 1
        step(self, parameters)

    monkeypatch.setattr(Adam, "step", counted)

    def arm(after: float) -> None:
        left[0] = after

    return arm


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_verbose_prints_the_losses(solver: str, capsys: pytest.CaptureFixture[str]) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(solver=solver, max_iter=3, verbose=True, random_state=0).fit(X, y)
    lines = [f"Iteration {place}, loss = {loss:.8f}" for place, loss in enumerate(estimator.loss_curve_, start=1)]
    assert capsys.readouterr().out.splitlines() == lines


def test_verbose_prints_the_scores(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(max_iter=1, verbose=True, early_stopping=True).fit(X, y)
    assert capsys.readouterr().out.splitlines()[1] == f"Validation score: {estimator.best_validation_score_:.6f}"


# Bad input


@BOTH
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes to be a positive int or a list of them, got 0"),
        ({"hidden_layer_sizes": "8"}, "hidden_layer_sizes to be a positive int or a list of them, got str '8'"),
        ({"solver": "newton"}, "solver to be 'adam', 'sgd' or 'lbfgs', got str 'newton'"),
        ({"alpha": -1.0}, "alpha to be a finite number of 0 or more, got -1.0"),
        ({"batch_size": 0}, "batch_size to be 'auto' or to be a positive int, got 0"),
        ({"batch_size": "big"}, "batch_size to be 'auto' or to be a positive int, got str 'big'"),
        ({"learning_rate_init": -0.1}, "learning_rate_init to be a finite number of 0 or more, got -0.1"),
        ({"max_iter": 0}, "max_iter to be a positive int, got 0"),
        ({"tol": math.nan}, "tol to be a finite number of 0 or more, got nan"),
        ({"warm_start": "yes"}, "warm_start to be True or False, got str 'yes'"),
        ({"momentum": 1.0}, "momentum to be a number from 0 to below 1, got 1.0"),
        ({"nesterovs_momentum": 1}, "nesterovs_momentum to be True or False, got int 1"),
        ({"early_stopping": None}, "early_stopping to be True or False, got NoneType None"),
        ({"validation_fraction": 0.0}, "validation_fraction to be a number above 0, got 0.0"),
        ({"validation_fraction": 1.0}, "validation_fraction to be a number from 0 to below 1, got 1.0"),
        ({"beta_1": 1.0}, "beta_1 to be a number from 0 to below 1, got 1.0"),
        ({"beta_2": -0.1}, "beta_2 to be a number from 0 to below 1, got -0.1"),
        ({"epsilon": 0.0}, "epsilon to be a finite number above 0, got 0.0"),
        ({"n_iter_no_change": 2.5}, "n_iter_no_change to be a positive int, got float 2.5"),
        ({"max_fun": 0}, "max_fun to be a positive int, got 0"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named_by_fit(kind: Any, settings: dict[str, Any], message: str) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind(**settings)
    with pytest.raises((TypeError, ValueError)) as error:
        estimator.fit(X, y)
    assert str(error.value) == f"{kind.__name__}: expected {message}"
    assert not hasattr(estimator, "network_")
    assert not hasattr(estimator, "n_features_in_")


@BOTH
def test_bad_data_is_refused_and_changes_nothing(kind: Any) -> None:
    X, y = some_data(kind)  # noqa: N806
    estimator = kind(max_iter=2, random_state=0).fit(X, y)
    before = estimator.predict(X).tolist()
    holes = X.copy()
    holes[3, 1] = np.nan
    for bad_X, bad_y, message in [  # noqa: N806
        (holes, y, "NaN"),
        (X[:, :2], y[:-1], "inconsistent numbers of samples"),
        (X[:0], y[:0], "0 sample"),
        (X[0], y, "1D array"),
    ]:
        with pytest.raises(ValueError, match=message):
            estimator.fit(bad_X, bad_y)
        assert estimator.predict(X).tolist() == before
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3 features"):
        estimator.predict(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        estimator.predict(holes)
    with pytest.warns(DataConversionWarning):
        assert kind(max_iter=1).fit(X, y.reshape(-1, 1)).predict(X).shape == (40,)


def test_sparse_data_is_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="scikit-learn comes with SciPy")
    X, y = some_data(MLPRegressor)  # noqa: N806
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        MLPRegressor().fit(sparse.csr_array(X), y)


def test_a_classifier_needs_two_classes() -> None:
    X, y = some_data(MLPClassifier)  # noqa: N806
    with pytest.raises(ValueError, match=r"MLPClassifier: expected at least two classes in y, got one class \['no'\]"):
        MLPClassifier().fit(X[y == "no"], y[y == "no"])


def test_early_stopping_needs_samples_to_hold_out() -> None:
    X, y = some_data(MLPRegressor, 10)  # noqa: N806
    estimator = MLPRegressor(early_stopping=True)
    with pytest.raises(ValueError, match=r"expected validation_fraction to hold out at least 2 samples, got 0.1 of 10"):
        estimator.fit(X, y)
    with pytest.raises(ValueError, match="expected early_stopping=False with partial_fit, got True"):
        estimator.partial_fit(X, y)


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_training_that_diverges_leaves_the_estimator_usable(warm_start: bool) -> None:
    X, y = some_data(MLPRegressor)  # noqa: N806
    estimator = MLPRegressor(max_iter=2, random_state=0, warm_start=warm_start).fit(X, y)
    curve, before = estimator.loss_curve_, estimator.predict(X)
    with pytest.raises(DivergenceError):
        estimator.set_params(solver="sgd", learning_rate_init=1e200).fit(X, y)
    assert estimator.loss_curve_ == curve
    assert np.isfinite(estimator.predict(X)).all()
    assert warm_start or estimator.predict(X).tolist() == before.tolist()
    fresh = clone(estimator)
    with pytest.raises(DivergenceError):
        fresh.fit(X, y)
    with pytest.raises(NotFittedError):
        fresh.predict(X)

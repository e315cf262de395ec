"""`MLPRegressor` and `MLPClassifier`: an `MLP`, trained by `fit` or `minimize`, as scikit-learn's estimators.

They go where scikit-learn's of the same names go: pipelines, grid searches, cross-validation. `import nn` does not
import this module, because it needs scikit-learn: `pip install 'autograd-mini[sklearn]'`.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from itertools import count
from operator import add, mul
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        f"nn.estimators: needs scikit-learn 1.6 or newer: pip install 'autograd-mini[sklearn]' ({error})"
    ) from None

from autograd_mini import Value
from nn.callbacks import TrainingState
from nn.checks import describe, positive_int, without_arrays
from nn.classifiers import Classifier
from nn.losses import accuracy, binary_cross_entropy_with_logits, cross_entropy, mse_loss
from nn.minimize import minimize
from nn.modules import MLP, Activation
from nn.optimizers import SGD, Adam, GradientOptimizer, LearningRate, rate_or_schedule
from nn.settings import Check, below_one, not_negative, positive, positive_finite, truth, whole_number
from nn.training import Loss, check_engine, fit
from nn.weights import to_numpy

Array: TypeAlias = NDArray[Any]

_INTERRUPTED = "Ctrl-C"  # as `fit` says it
_LARGEST_SEED = 2**31 - 1
_LARGEST_AUTO_BATCH = 32  # what an epoch costs goes by its samples alone here, and small batches make it more steps


_OUR_NAMES = {"identity": None, "logistic": "sigmoid"}
"""scikit-learn's activations that are called something else here."""


class _Data(NamedTuple):
    """Samples, and the targets as the loss takes them."""

    X: Array
    y: Array


class _MultilayerPerceptron(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both have in common: all but the targets, their loss and their score."""

    network_: MLP
    _random: np.random.Generator
    _optimizer: GradientOptimizer | None

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (8,),
        activation: Activation = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: LearningRate = 0.01,
        max_iter: int = 100,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 0.0001,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        engine: str = "auto",
    ) -> None:
        # As they came, and checked by fit: scikit-learn's own rule, so that clones and searches may set them.
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.engine = engine

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803  # as in scikit-learn
        """Train a new network; with warm_start=True, the one that is there goes on.

        X: shape (n_samples, n_features). y: see the class. Ctrl-C keeps what was learnt in whole epochs, and warns.

        Raises ValueError or TypeError that names the argument, and FloatingPointError where training diverges (see
        `DivergenceError`). The estimator is then as it was before; only a network that was to go on may have learnt
        up to the last finite loss.
        """
        with self._restored_on_errors():
            goes_on = self.warm_start is True and self.__sklearn_is_fitted__()
            data = self._prepare(X, y, goes_on, self._new_random())
            if self.solver == "lbfgs":
                doubt = self._minimize(data)
            else:
                self._optimizer = self._new_optimizer()
                doubt = self._descend(data, self.max_iter)
        if doubt:
            warnings.warn(f"{self._name}: stopped before it converged: {doubt}", ConvergenceWarning, stacklevel=2)
        return self

    def _fit_one_epoch(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        with self._restored_on_errors():
            if self.early_stopping:
                raise ValueError(f"{self._name}: expected early_stopping=False with partial_fit, got True")
            goes_on = self.__sklearn_is_fitted__()
            data = self._prepare(X, y, goes_on, self._random if goes_on else self._new_random(), classes)
            self._optimizer = self._renewed_optimizer()
            doubt = self._descend(data, epochs=1)
        if doubt == _INTERRUPTED:
            raise KeyboardInterrupt  # nothing that was learnt is lost, and the caller's loop should end
        return self

    def _takes_steps(self) -> bool:
        """Whether there is a partial_fit."""
        return bool(self.solver != "lbfgs")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer the way scikit-learn has them, shape (n_in, n_out): copies, and read-only."""
        return [_read_only(weights.T) for weights in self._arrays("weights")]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer, shape (n_out,): copies, and read-only."""
        return [_read_only(biases) for biases in self._arrays("biases")]

    def _arrays(self, name: str) -> list[Array]:
        arrays = to_numpy(self.network_)
        return [arrays[f"layers.{place}.{name}"] for place in range(len(self.network_.layers))]

    # What the two differ in

    def _read(self, X: Any, y: Any, goes_on: bool, classes: Any) -> tuple[_Data, int]:  # noqa: N803
        """The data, checked the way scikit-learn does, and how many outputs the network needs."""
        raise NotImplementedError

    def _loss(self) -> Loss:
        raise NotImplementedError

    def _score(self, data: _Data) -> float:
        """What early_stopping watches; more is better."""
        raise NotImplementedError

    # Before training

    @property
    def _name(self) -> str:
        return type(self).__name__

    @contextmanager
    def _restored_on_errors(self) -> Iterator[None]:
        before = self.__dict__.copy()
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _prepare(
        self,
        X: Any,  # noqa: N803  # as in scikit-learn
        y: Any,
        goes_on: bool,
        random: np.random.Generator,
        classes: Any = None,
    ) -> _Data:
        """Check everything, and make the network if none is to go on."""
        for name, check in _CHECKS.items():
            check(getattr(self, name), f"{self._name}: expected {name}")
        data, self.n_outputs_ = self._read(X, y, goes_on, classes)
        sizes = [*_hidden_sizes(self.hidden_layer_sizes, "hidden_layer_sizes"), self.n_outputs_]
        activation = self.activation
        if isinstance(activation, str):
            activation = _OUR_NAMES.get(activation, activation)
        network = MLP(self.n_features_in_, sizes, activation, init="zeros" if goes_on else None, seed=random)
        if not goes_on:
            self.network_ = network
            self.loss_curve_: list[float] = []
            self._optimizer = None
        elif (network.sizes, network.activation) != (self.network_.sizes, self.network_.activation):
            raise ValueError(
                f"{self._name}: expected what {self.network_!r} can go on with, got what needs {network!r}"
            )
        self._random = random
        return data

    def _new_random(self) -> np.random.Generator:
        return np.random.default_rng(check_random_state(self.random_state).randint(_LARGEST_SEED))

    def _new_optimizer(self) -> GradientOptimizer:
        if self.solver == "sgd":
            nesterov = self.nesterovs_momentum and self.momentum > 0
            return SGD(self.learning_rate_init, momentum=self.momentum, nesterov=nesterov)
        return Adam(self.learning_rate_init, betas=(self.beta_1, self.beta_2), epsilon=self.epsilon)

    def _renewed_optimizer(self) -> GradientOptimizer:
        """The optimizer of the steps before, with the settings of now, which set_params may have changed."""
        new = self._new_optimizer()
        if self._optimizer is None or type(self._optimizer) is not type(new):
            return new
        for name, setting in new.settings().items():
            setattr(self._optimizer, name, setting)
        return self._optimizer

    # Training

    def _objective(self) -> Loss:
        """The loss and (α / 2S) Σ w², over the S samples of the batch and all weights, without the biases."""
        loss, alpha = self._loss(), float(self.alpha)
        weights = [weight for layer in self.network_.layers for row in layer.weights for weight in row]

        def objective(predictions: list[Any], targets: list[Any]) -> Any:
            squares: Value = reduce(add, map(mul, weights, weights))
            return loss(predictions, targets) + alpha / (2 * len(predictions)) * squares

        return objective if alpha else loss

    def _descend(self, data: _Data, epochs: int) -> str:
        """Train by `fit`; return why the result is in doubt, or nothing."""
        score = None
        if self.early_stopping:
            data, held_out = self._split(data)
            score = partial(self._score, held_out)
        convergence = _Convergence(self.tol, self.n_iter_no_change, score, bool(self.verbose))
        n_samples = len(data.X)
        batch_size = _LARGEST_AUTO_BATCH if isinstance(self.batch_size, str) else self.batch_size
        history = fit(
            self.network_,
            data.X,
            data.y,
            loss=self._objective(),
            optimizer=self._optimizer,
            epochs=epochs,
            batch_size=batch_size if batch_size < n_samples else None,
            callbacks=[convergence],
            seed=self._random,
            engine=self.engine,
        )
        self._record(history.loss, None if score is None else convergence)
        return "" if convergence.is_reached else history.stopped_because

    def _minimize(self, data: _Data) -> str:
        """Train by `minimize`; return why the result is in doubt, or nothing."""
        iterations = count(1)

        def report(_: list[float], loss: float) -> None:
            _print_loss(next(iterations), loss)

        minimum = minimize(
            self.network_,
            data.X,
            data.y,
            loss=self._objective(),
            method="L-BFGS-B",
            options={"maxiter": self.max_iter, "maxfun": self.max_fun, "gtol": self.tol},
            callback=report if self.verbose else None,
        )
        self._optimizer = None
        self._record(minimum.history[1:], None)
        self.loss_ = minimum.value
        return "" if minimum.success else minimum.message

    def _split(self, data: _Data) -> tuple[_Data, _Data]:
        """What is trained on, and what is held out."""
        X, X_held_out, y, y_held_out = train_test_split(  # noqa: N806
            *data,
            test_size=self.validation_fraction,
            random_state=int(self._random.integers(_LARGEST_SEED)),
            stratify=data.y if is_classifier(self) else None,
        )
        if len(X_held_out) < 2:
            raise ValueError(
                f"{self._name}: expected validation_fraction to hold out at least 2 samples,"
                f" got {self.validation_fraction} of {len(data.X)}"
            )
        return _Data(X, y), _Data(X_held_out, y_held_out)

    def _record(self, curve: Sequence[float], early_stopping: "_Convergence | None") -> None:
        self.n_iter_ = len(curve)
        self.loss_curve_ = [*self.loss_curve_, *curve]
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        self.best_loss_ = min(self.loss_curve_, default=math.nan) if early_stopping is None else None
        self.validation_scores_, self.best_validation_score_ = None, None
        if early_stopping is not None:
            self.validation_scores_, self.best_validation_score_ = early_stopping.scores, early_stopping.best


class MLPRegressor(RegressorMixin, _MultilayerPerceptron):  # type: ignore[misc]
    """An `MLP` with a linear output for each target, trained on ½ of the mean squared error.

    The arguments are scikit-learn's, with what they mean there, but that the defaults suit a scalar engine. The loss
    of a batch of S samples is ½ · `mse_loss`, a mean over samples and outputs, plus (alpha / 2S) Σ w² over all weights.

    hidden_layer_sizes: the sizes of the hidden layers, or that of one as an int; () for none.
    activation: "relu", "tanh", "logistic", "identity", or any other that an `MLP` takes.
    solver: "adam", "sgd" (both by `fit`, in epochs of mini-batches), or "lbfgs" (by `minimize`, on all samples).
    batch_size: samples an update for adam and sgd; "auto" is 32. Batches are drawn anew in each epoch.
    learning_rate_init: for adam and sgd, a number or a schedule of nn.schedules.
    max_iter, max_fun: at most so many epochs, or iterations of lbfgs; and evaluations of lbfgs.
    tol, n_iter_no_change: adam and sgd have converged when more than n_iter_no_change epochs in a row were not better
        by tol than the best before; lbfgs has when no derivative is above tol, or the loss hardly falls.
    early_stopping, validation_fraction: hold out a part of the samples, watch the score on it in place of the loss,
        and keep the parameters of its best epoch. Without effect for lbfgs.
    random_state: an int makes initial values, batches and held-out samples repeat exactly.
    warm_start: fit goes on with the network that is there.
    momentum, nesterovs_momentum: of sgd, see `SGD`. beta_1, beta_2, epsilon: of adam, see `Adam`.
    verbose: prints the loss of each epoch.
    engine: of adam and sgd, see `fit`.

    After fit there are network_ (the `MLP`), coefs_, intercepts_, n_iter_, loss_, loss_curve_, n_outputs_,
    n_features_in_, feature_names_in_ (of a frame); best_loss_, or with early_stopping best_validation_score_ and
    validation_scores_, and None for the others. Where it did not converge, there is a ConvergenceWarning.

    y: shape (n_samples,) or (n_samples, n_outputs). score is R². There is no sample_weight, and X is not sparse.
    """

    @available_if(_MultilayerPerceptron._takes_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803  # as in scikit-learn
        """Train for one epoch more, on these samples; without a network, on a new one.

        n calls on the same samples do what fit does in n epochs. After fit it goes on with its optimizer. Ctrl-C
        leaves the network as it was before the call, and is passed on. Else as fit; not for lbfgs.
        """
        return self._fit_one_epoch(X, y)

    def predict(self, X: ArrayLike) -> Array:  # noqa: N803  # as in scikit-learn
        """What the network says to each sample: shape (n_samples,), or (n_samples, n_outputs) as y had it."""
        check_is_fitted(self)
        return self._outputs(validate_data(self, X, dtype=np.float64, reset=False))

    def _outputs(self, X: Array) -> Array:  # noqa: N803
        # Sample by sample, so that each graph is freed before the next is recorded.
        return np.array([_floats(self.network_(sample)) for sample in X.tolist()])

    def _read(self, X: Any, y: Any, goes_on: bool, classes: Any) -> tuple[_Data, int]:  # noqa: N803
        X, y = validate_data(  # noqa: N806
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, reset=not goes_on
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return _Data(X, y), 1 if y.ndim == 1 else y.shape[1]

    def _loss(self) -> Loss:
        return _half_mse_loss

    def _score(self, data: _Data) -> float:
        return float(r2_score(data.y, self._outputs(data.X)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class MLPClassifier(ClassifierMixin, _MultilayerPerceptron):  # type: ignore[misc]
    """An `MLP` as a `Classifier`, trained on the cross-entropy.

    For two classes it has one output, the logit of the second, and `binary_cross_entropy_with_logits`; for more an
    output for each, and `cross_entropy`. The arguments and attributes are those of `MLPRegressor`; besides, classes_
    holds the classes in order. Held-out samples have the classes in the same parts as all samples.

    y: shape (n_samples,), labels of any kind, of at least two classes. score is the accuracy.
    """

    @available_if(_MultilayerPerceptron._takes_steps)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:  # noqa: N803
        """Train for one epoch more, as in `MLPRegressor`. The first call needs all classes that will ever come."""
        if classes is None and not self.__sklearn_is_fitted__():
            raise ValueError(f"{self._name}: expected classes in the first call of partial_fit, got None")
        return self._fit_one_epoch(X, y, classes)

    def predict(self, X: ArrayLike) -> Array:  # noqa: N803  # as in scikit-learn
        """The most probable class for each sample, shape (n_samples,)."""
        check_is_fitted(self)
        places = Classifier(self.network_).predict(validate_data(self, X, dtype=np.float64, reset=False))
        labels: Array = self.classes_[places]
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # as in scikit-learn
        """The probability of each class for each sample, shape (n_samples, n_classes), in the order of classes_."""
        check_is_fitted(self)
        return Classifier(self.network_).predict_proba(validate_data(self, X, dtype=np.float64, reset=False))

    def _read(self, X: Any, y: Any, goes_on: bool, classes: Any) -> tuple[_Data, int]:  # noqa: N803
        X, y = validate_data(self, X, y, dtype=np.float64, reset=not goes_on)  # noqa: N806
        check_classification_targets(y)
        known = np.unique(y if classes is None else classes)
        if not goes_on:
            if len(known) < 2:
                raise ValueError(f"{self._name}: expected at least two classes in y, got one class {known.tolist()}")
            self.classes_ = known
        elif classes is not None and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"{self._name}: expected classes as before, {self.classes_.tolist()}, got {known.tolist()}"
            )
        places = {label: place for place, label in enumerate(self.classes_.tolist())}
        for label in y.tolist():
            if label not in places:
                raise ValueError(f"{self._name}: expected y to be of the classes {list(places)}, got {label!r}")
        targets = np.array([places[label] for label in y.tolist()])
        return _Data(X, targets), 1 if len(places) == 2 else len(places)

    def _loss(self) -> Loss:
        return binary_cross_entropy_with_logits if len(self.classes_) == 2 else cross_entropy

    def _score(self, data: _Data) -> float:
        return accuracy(Classifier(self.network_).predict(data.X), data.y)


class _Convergence:
    """scikit-learn's rule when to stop; a callback of `fit`.

    The loss, or the score if there is one, is compared with the best so far, which follows every improvement. (In
    `EarlyStopping` it does not follow one that is below min_delta, so that many small ones count as one.)
    """

    def __init__(self, tol: float, patience: float, score: Callable[[], float] | None, verbose: bool) -> None:
        self.tol, self.patience, self.score, self.verbose = tol, patience, score, verbose
        self.best, self.failures, self.is_reached = -math.inf, 0, False
        self.scores: list[float] = []
        self.best_numbers: list[float] = []

    def __call__(self, state: TrainingState) -> bool:
        """Look at the epoch; True stops."""
        if self.verbose:
            _print_loss(state.epoch, state.loss)
        goodness = -state.loss
        if self.score is not None:
            goodness = self.score()
            self.scores.append(goodness)
            if self.verbose:
                print(f"Validation score: {goodness:.6f}")
        self.failures = self.failures + 1 if goodness < self.best + self.tol else 0
        if goodness > self.best:
            self.best = goodness
            self.best_numbers = [parameter.data for parameter in state.parameters]
        self.is_reached = self.failures > self.patience
        return self.is_reached

    def finish(self, state: TrainingState) -> None:
        """With a score, go back to the best epoch, also after Ctrl-C."""
        if self.score is not None and self.best_numbers:
            for parameter, number in zip(state.parameters, self.best_numbers, strict=True):
                parameter.data = number


def _print_loss(iteration: int, loss: float) -> None:
    print(f"Iteration {iteration}, loss = {loss:.8f}")


def _half_mse_loss(predictions: list[Any], targets: list[Any]) -> Any:
    return 0.5 * mse_loss(predictions, targets)


def _floats(outputs: Any) -> float | list[float]:
    return [float(output) for output in outputs] if isinstance(outputs, list) else float(outputs)


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array


# Arguments


def _hidden_sizes(thing: Any, expected: str) -> list[int]:
    sizes = without_arrays(thing)
    sizes = sizes if isinstance(sizes, (list, tuple)) else [sizes]
    return [positive_int(size, f"{expected} to be a positive int or a list of them") for size in sizes]


def _solver(thing: Any, expected: str) -> str:
    if not isinstance(thing, str) or thing not in ("adam", "sgd", "lbfgs"):
        raise ValueError(f"{expected} to be 'adam', 'sgd' or 'lbfgs', got {describe(thing)}")
    return thing


def _batch_size(thing: Any, expected: str) -> Any:
    return thing if isinstance(thing, str) and thing == "auto" else whole_number(thing, f"{expected} to be 'auto' or")


def _patience(thing: Any, expected: str) -> float:
    return math.inf if thing == math.inf else whole_number(thing, expected)


def _fraction(thing: Any, expected: str) -> Any:
    return below_one(positive(thing, expected), expected)


_CHECKS: Mapping[str, Check] = {
    "hidden_layer_sizes": _hidden_sizes,
    "solver": _solver,
    "alpha": not_negative,
    "batch_size": _batch_size,
    "learning_rate_init": rate_or_schedule,
    "max_iter": whole_number,
    "tol": not_negative,
    "warm_start": truth,
    "momentum": below_one,
    "nesterovs_momentum": truth,
    "early_stopping": truth,
    "validation_fraction": _fraction,
    "beta_1": below_one,
    "beta_2": below_one,
    "epsilon": positive_finite,
    "n_iter_no_change": _patience,
    "max_fun": whole_number,
    "engine": check_engine,
}
"""By the names of the arguments; the activation is checked by the `MLP`, random_state by scikit-learn."""

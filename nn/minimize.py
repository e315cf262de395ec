"""`minimize` and `least_squares`: SciPy's methods with our gradients, Jacobians and Hessian-vector products."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any, overload

import numpy as np

from autograd_mini import Value
from nn.checks import describe, plural
from nn.losses import mse_loss
from nn.modules import Module
from nn.objectives import (
    FunctionObjective,
    ModelObjective,
    Objective,
    ReadOutputs,
    flat_floats,
    is_model,
    many_outputs,
    one_output,
)
from nn.progress import progress_line, report_nothing
from nn.recording import Array, Recording
from nn.search import Callback, Minimum, Search
from nn.settings import positive_finite
from nn.training import Trainable

_MINIMIZE_METHODS = ("BFGS", "L-BFGS-B", "CG", "Newton-CG")
_LEAST_SQUARES_METHODS = ("lm", "trf", "dogbox")
_NOT_OPTIONS = {"fun", "x0", "jac", "bounds", "method", "loss", "f_scale", "callback", "args", "kwargs"}
"""Of SciPy's arguments: what we pass ourselves, and robust losses, by which the best point is not chosen here."""


@overload
def minimize(
    function: Callable[[Any], Any],
    start: Any,
    /,
    *,
    method: str = "BFGS",
    bounds: Any = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Minimum: ...
@overload
def minimize(
    model: Trainable,
    X: Any,  # noqa: N803  # as in fit
    y: Any,
    /,
    *,
    loss: Callable[[list[Any], list[Any]], Any] = mse_loss,
    parameters: Module | Iterable[Value] | None = None,
    method: str = "BFGS",
    bounds: Any = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Minimum: ...
def minimize(
    objective: Any,
    start: Any,
    y: Any = None,
    /,
    *,
    loss: Callable[[list[Any], list[Any]], Any] = mse_loss,
    parameters: Module | Iterable[Value] | None = None,
    method: str = "BFGS",
    bounds: Any = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Minimum:
    """Minimise a function of numbers, or the loss of a model on data, by a method of `scipy.optimize.minimize`.

        minimize(lambda p: (p[0] - 1) ** 2 + p[1] ** 2, [0.0, 5.0])
        minimize(model, X, y, loss=mse_loss, method="L-BFGS-B")

    function: takes `Value`s in the shape of start (a number, nested lists, tuples or arrays) and returns one `Value`.
    model, X, y, loss: as for `fit`. The search starts at the model's parameters and leaves them, gradients 0, at the
    best that it found. parameters: those to change, if not all: a module such as `model.layers[0]`, or a list.
    method: "BFGS", "L-BFGS-B" (for many numbers, or with bounds), "CG", "Newton-CG" (exact Hessian-vector products).
    bounds: for "L-BFGS-B", a pair (lowest, highest) for each number, None for none; or SciPy's Bounds.
    tolerance, options: SciPy's `tol` and `options`, which mean something else for each method.
    callback: called after each iteration with the point and its value; may raise StopIteration to end the search.
    progress: shows the value as it falls; needs `pip install 'autograd-mini[progress]'`.

    Where a trial point gives NaN or infinity, the search turns back. Ctrl-C, or an error that your code raises after
    the first evaluation, ends it: the best point so far is returned, and the message says so.

    Raises ValueError or TypeError that names the argument, before anything is changed; FloatingPointError where the
    value or a derivative at the start is NaN or infinite; ImportError without `pip install 'autograd-mini[scipy]'`.
    """
    where = "minimize"
    optimize = _import_scipy(where)
    method = _check_method(where, method, _MINIMIZE_METHODS)
    chosen = _objective(where, objective, start, y, loss, parameters, one_output)
    checked = _check_options(where, options)
    tol = None if tolerance is None else positive_finite(tolerance, f"{where}: expected tolerance")
    if bounds is not None:
        if method != "L-BFGS-B":
            raise ValueError(f"{where}: expected bounds only with method 'L-BFGS-B', got {method!r}")
        bounds = optimize.Bounds(*_check_bounds(where, chosen.start, *_pairs(where, bounds, chosen.start)))

    def descend(search: Search) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Unknown solver options", optimize.OptimizeWarning)
            try:
                return optimize.minimize(
                    search.value_and_gradient,
                    search.start,
                    jac=True,
                    hessp=search.hessian_times if method == "Newton-CG" else None,
                    method=method,
                    bounds=bounds,
                    tol=tol,
                    callback=search.after_iteration,
                    options=checked,
                )
            except optimize.OptimizeWarning as warning:
                unknown = str(warning).removeprefix("Unknown solver options: ")
                raise ValueError(f"expected options that SciPy's {method} has, got {unknown}") from None

    return _run(where, chosen, _first_number, callback, progress, descend)


@overload
def least_squares(
    residuals: Callable[[Any], Any],
    start: Any,
    /,
    *,
    method: str = "lm",
    bounds: Any = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Minimum: ...
@overload
def least_squares(
    model: Trainable,
    X: Any,  # noqa: N803  # as in fit
    y: Any,
    /,
    *,
    parameters: Module | Iterable[Value] | None = None,
    method: str = "lm",
    bounds: Any = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Minimum: ...
def least_squares(
    objective: Any,
    start: Any,
    y: Any = None,
    /,
    *,
    parameters: Module | Iterable[Value] | None = None,
    method: str = "lm",
    bounds: Any = None,
    tolerance: float | None = None,
    options: Mapping[str, Any] | None = None,
    callback: Callback | None = None,
    progress: bool = False,
) -> Minimum:
    """Minimise ½ Σ rᵢ² over residuals r, by a method of `scipy.optimize.least_squares` with our Jacobian.

        least_squares(lambda p: [p[0] * exp(p[1] * t) - s for t, s in data], [1.0, 0.0])
        least_squares(model, X, y)

    residuals: takes `Value`s in the shape of start and returns lists or arrays of `Value`s, however nested.
    model, X, y, parameters: as for `minimize`; the residuals are predictions − targets.
    method: "lm" (Levenberg-Marquardt; as many residuals as numbers or more, no bounds), "trf" or "dogbox" (trust
    regions).
    bounds: for "trf" and "dogbox", the pair (lowest, highest), each a number, or as many numbers as start has; or
    SciPy's Bounds.
    tolerance: SciPy's `ftol`, `xtol` and `gtol`, 1e-8 unless you say otherwise. options: SciPy's other arguments, such
    as {"max_nfev": 100, "x_scale": "jac"}.

    The Jacobian costs a backward pass for each residual; where each is computed from a sample of its own, all of them
    together cost about as much as one gradient. Everything else is as for `minimize`.
    """
    where = "least_squares"
    optimize = _import_scipy(where)
    method = _check_method(where, method, _LEAST_SQUARES_METHODS)
    chosen = _objective(where, objective, start, y, _differences, parameters, many_outputs)
    checked = _check_options(where, options, set(inspect.signature(optimize.least_squares).parameters) - _NOT_OPTIONS)
    if tolerance is not None:
        tol = positive_finite(tolerance, f"{where}: expected tolerance")
        checked = {"ftol": tol, "xtol": tol, "gtol": tol, **checked}
    if bounds is not None:
        if method == "lm":
            raise ValueError(f"{where}: expected bounds only with method 'trf' or 'dogbox', got 'lm'")
        lowest, highest = _lowest_and_highest(where, bounds, chosen.start)
        checked["bounds"] = optimize.Bounds(*_check_bounds(where, chosen.start, lowest, highest))

    def descend(search: Search) -> Any:
        count, needed = len(search.residuals(search.start)), len(search.start)
        if method == "lm" and count < needed:
            raise ValueError(f"expected at least {plural(needed, 'residual')} with method 'lm', got {count}: try 'trf'")
        return optimize.least_squares(search.residuals, search.start, jac=search.jacobian, method=method, **checked)

    return _run(where, chosen, _half_the_sum_of_squares, callback, progress, descend)


def _run(
    where: str,
    objective: Objective,
    value_of: Callable[[Recording], float],
    callback: Callback | None,
    progress: bool,
    descend: Callable[[Search], Any],
) -> Minimum:
    if callback is not None and not callable(callback):
        raise TypeError(
            f"{where}: expected callback to be a function of a point and its value, got {describe(callback)}"
        )
    with progress_line(where) if progress else nullcontext(report_nothing) as report:
        search = Search(where, objective, value_of, callback, report)
        try:
            return search.run(descend)
        except (TypeError, ValueError, Warning) as error:
            if search.evaluations > 1:
                raise
            raise ValueError(f"{where}: {' '.join(str(error).split())}") from error  # SciPy, on what we passed on


def _first_number(recording: Recording) -> float:
    return float(recording.numbers[0])


def _half_the_sum_of_squares(recording: Recording) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(0.5 * np.square(recording.numbers).sum())


def _differences(predictions: list[Any], targets: list[Any]) -> list[Any]:
    """Predictions − targets, each a number or a row of numbers."""
    differences: list[Any] = []
    for prediction, target in zip(predictions, targets, strict=True):
        row, wanted = (each if isinstance(each, (list, tuple)) else [each] for each in (prediction, target))
        if len(row) != len(wanted):
            raise ValueError(
                f"least_squares: expected targets with {plural(len(row), 'number')}, as the predictions have,"
                f" got {len(wanted)}"
            )
        differences += [output - number for output, number in zip(row, wanted, strict=True)]
    return differences


# Arguments


def _import_scipy(where: str) -> Any:
    try:
        import scipy.optimize
    except ImportError:
        raise ImportError(f"{where}: needs SciPy: pip install 'autograd-mini[scipy]'") from None
    return scipy.optimize


def _check_method(where: str, method: object, methods: tuple[str, ...]) -> str:
    """The method as we write it; like SciPy, we take it in capitals or not."""
    for name in methods:
        if isinstance(method, str) and method.lower() == name.lower():
            return name
    error = ValueError if isinstance(method, str) else TypeError
    raise error(f"{where}: expected method to be one of {', '.join(methods)}, got {describe(method)}")


def _objective(
    where: str,
    objective: Any,
    start: Any,
    y: Any,
    combine: Callable[[list[Any], list[Any]], Any],
    parameters: Module | Iterable[Value] | None,
    reader: Callable[[str, str], ReadOutputs],
) -> Objective:
    if is_model(objective):
        if y is None:
            raise TypeError(f"{where}: expected X and y with a model, as in {where}(model, X, y), got no y")
        if not callable(combine):
            raise TypeError(
                f"{where}: expected loss to be a function of predictions and targets, got {describe(combine)}"
            )
        return ModelObjective(where, objective, (start, y), combine, parameters, reader(where, "loss"))
    if y is not None:
        raise TypeError(f"{where}: expected a model with X and y, one that has parameters(), got {describe(objective)}")
    if parameters is not None or combine not in (mse_loss, _differences):
        name = "loss" if parameters is None else "parameters"
        raise TypeError(f"{where}: expected {name} only with a model, got a function")
    return FunctionObjective(where, objective, start, reader(where, "the function"))


def _check_options(where: str, options: object, known: set[str] | None = None) -> dict[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise TypeError(f"{where}: expected options to be a dict of SciPy's options, got {describe(options)}")
    for name in options:
        if known is not None and name not in known:
            raise ValueError(f"{where}: expected options among {', '.join(sorted(known))}, got {name!r}")
    return dict(options)


def _pairs(where: str, bounds: Any, start: list[float]) -> tuple[Array, Array]:
    """SciPy's two ways to write the bounds of `minimize`."""
    if hasattr(bounds, "lb"):
        return _lowest_and_highest(where, bounds, start)
    expected = f"{where}: expected bounds to be a list of pairs (lowest, highest), one for each of the numbers of start"
    try:
        pairs = [tuple(pair) for pair in bounds]
    except TypeError:
        raise TypeError(f"{expected}, got {describe(bounds)}") from None
    if len(pairs) != len(start) or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"{expected}, got {describe(bounds)}")
    sides = [[-np.inf if pair[0] is None else pair[0] for pair in pairs]]
    sides += [[np.inf if pair[1] is None else pair[1] for pair in pairs]]
    return np.array(flat_floats(sides[0], where, "bounds")), np.array(flat_floats(sides[1], where, "bounds"))


def _lowest_and_highest(where: str, bounds: Any, start: list[float]) -> tuple[Array, Array]:
    """SciPy's two ways to write the bounds of `least_squares`."""
    if hasattr(bounds, "lb"):
        bounds = bounds.lb, bounds.ub
    expected = f"{where}: expected bounds to be a pair (lowest, highest), each a number or one for each of start's"
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        raise TypeError(f"{expected}, got {describe(bounds)}")
    sides = [flat_floats(side, where, "bounds") for side in bounds]
    if any(len(side) not in (1, len(start)) for side in sides):
        raise ValueError(f"{expected}, got {describe(bounds)}")
    lowest, highest = (np.broadcast_to(side, len(start)) for side in sides)
    return lowest, highest


def _check_bounds(where: str, start: list[float], lowest: Array, highest: Array) -> tuple[Array, Array]:
    for number, low, high in zip(start, lowest, highest, strict=True):
        if not low < high:
            raise ValueError(f"{where}: expected bounds with lowest below highest, got ({low}, {high})")
        if not low <= number <= high:
            raise ValueError(f"{where}: expected start within bounds, got {number} for ({low}, {high})")
    return lowest, highest

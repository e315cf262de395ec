"""`fit`: train a model on data by gradient descent."""

import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from autograd_mini import Anomaly, NotTraceableError, Value
from nn.batch_loss import Loss as Loss  # part of what this module offers
from nn.batches import Batch, Data, Stream, is_stream, read_table
from nn.callbacks import Callback, Checkpoint, EarlyStopping, TrainingState
from nn.checkpoint import SavedTraining, has_state, load_checkpoint
from nn.checks import describe, on_one_line, plural, positive_int
from nn.compiled_steps import CompiledSteps
from nn.data import listed
from nn.history import History
from nn.initial_values import Seed, random_numbers
from nn.losses import mse_loss
from nn.optimizers import SGD, Optimizer
from nn.process_group import INTERRUPTED, InterruptedElsewhere, ProcessGroupError
from nn.progress import progress_bar, report_nothing
from nn.settings import truth
from nn.steps import EagerSteps, Fault, Mean, Measured, Steps, Task

Report: TypeAlias = Callable[[float], None]

_log = logging.getLogger(__name__)

ENGINES = ("auto", "compiled", "eager", "jax")

_ROWS_COMPARED = 1_000

_ONLY_LOOK = (Checkpoint, EarlyStopping)
"""Callbacks that leave model and loss as they are."""


class Trainable(Protocol):
    """What `fit` needs of a model: a `Module` that can be called, or anything like it."""

    def __call__(self, sample: Any, /) -> Any:
        """The prediction for one sample."""

    def parameters(self) -> Iterable[Value]:
        """What training changes."""


class DivergenceError(FloatingPointError):
    """A loss, a gradient or a parameter became NaN or infinite; the parameters are those of the last finite loss."""

    def __init__(
        self,
        message: str,
        epoch: int = 0,
        batch: int = 0,
        anomaly: Anomaly | None = None,
        history: History | None = None,
        sample: int | None = None,
    ) -> None:
        super().__init__(message)  # which is all that unpickling calls it with: the attributes follow
        self.epoch, self.batch = epoch, batch
        """Where it was, both from 1."""
        self.anomaly = anomaly
        """What `find_anomaly` found; None for nothing: a step too long, or a model that is never the same twice."""
        self.sample = sample
        """Which of X the anomaly is of, from 0; None where it is of several, or of none."""
        self.history = History() if history is None else history
        """The epochs before."""


def fit(
    model: Trainable,
    X: Any,  # noqa: N803  # as in the sources, and in every library of the field
    y: Any = None,
    *,
    loss: Loss = mse_loss,
    optimizer: Optimizer | None = None,
    epochs: int = 100,
    batch_size: int | None = None,
    validation_data: tuple[Any, Any] | None = None,
    metrics: Mapping[str, Loss] | None = None,
    callbacks: Iterable[Callback] = (),
    seed: Seed = None,
    resume: str | os.PathLike[str] | SavedTraining | None = None,
    progress: bool = False,
    engine: str = "auto",
    devices: Any = None,
    detect_anomaly: bool = False,
) -> History:
    """Train by gradient descent, and return the `History`: a sequence of the losses, one an epoch, with other curves.

    The algorithm is DL1-DL8 of Gill & Gill, section 5.2. The loss of an epoch is the mean over its samples, of each
    batch before its update.

    model: a `Module`, or anything that can be called on a sample and has parameters().
    X: S samples, a list, an array or a frame of shape (S, n_inputs); where the model has one input, S plain numbers.
        Arrays in files, np.load(path, mmap_mode="r") or `ArrayFiles`, are read batch by batch, as batch_size says, and
        not before: a number in them that is NaN or infinite is found then.
    y: S targets: numbers, or for several outputs rows of them. Shape (S, 1) is a row of one number, not a number.
        Without y, X is batches, each a pair (X, y), of which the first and one more are held: an iterable that can be
        gone through again every epoch, or a function that returns one, such as a generator function. A function of one
        argument is given the NumPy generator of `seed`, to shuffle by. A generator itself lasts for one epoch.
    loss: a function of the list of predictions and the list of targets that returns a `Value`.
    optimizer: SGD(0.01) unless you give another.
    epochs: how often the model sees all samples; with resume, those of the checkpoint count.
    batch_size: samples an update, drawn anew each epoch, the rest at its end; None is all of them, in their order.
    validation_data: a pair (X, y) that is not trained on; its loss is measured after each epoch. Of arrays in files it
        is the mean over batches, and so of a function that returns batches.
    metrics: functions like loss that return a number, by the names of their curves: {"accuracy": accuracy}.
    callbacks: functions called with a `TrainingState` after each epoch, see `Callback`; `EarlyStopping`, `Checkpoint`.
    seed: an int of 0 or more, or a NumPy generator, for the batches: with the same one a run repeats exactly.
    resume: a checkpoint, or the path of one, to go on from, as if there had been no break; it brings the parameters,
        the state of the optimizer and of the callbacks, the history, and in place of seed the random numbers.
    progress: shows a progress bar; needs `pip install 'autograd-mini[progress]'`.
    engine: "eager" runs model and loss on every sample. "compiled" traces them on `Value`s for one sample, and trains
        in arrays: their Python may not depend on the numbers, and the loss has to be a sum over samples, such as a
        mean, and penalties on the parameters. "auto" is compiled where that can be done, else eager, with the reason
        in `History.eager_because` and in the log "nn.training" as INFO. Both give the same numbers but for rounding.
        "jax" gives the compiled loss to JAX, which splits each batch over `devices`; it needs
        `pip install 'autograd-mini[jax]'`, and computes in 64 bits, whatever JAX is set to.
    devices: of engine="jax", how many of JAX's devices, or a list of them; None is all. Every device holds the
        parameters, and some samples of each batch; JAX adds up their gradients. In a group of processes, see
        `join_process_group`, all call this with the same arguments and end with the same parameters; each reads of
        files what its own devices take (with metrics, all), and one, process 0, writes checkpoints. The numbers are
        those of one device but for rounding: losses agree to about 1e-12, and what training makes of that to 1e-9 in
        the tests.
    detect_anomaly: ends the training also where a gradient is NaN or infinite and the optimizer would get over it,
        before the parameters move; and finds the place in what is never the same twice. Eager, every batch is recorded
        in a block of `autograd_mini.detect_anomaly`, some five times slower; compiled, it costs nothing.

    Ctrl-C stops at the last whole epoch: parameters, optimizer and random numbers are as that epoch left them, the
    history ends with it. Exceptions of your own functions pass through.

    Raises ValueError or TypeError that names the argument, before anything is changed, and NotTraceableError, a
    TypeError, where engine="compiled" cannot be done. Raises `DivergenceError`, a FloatingPointError, where the loss or
    a parameter becomes NaN or infinite, and says in which epoch, batch, sample and operation, and where that stands in
    your source; without detect_anomaly it runs the model on that batch once more to find out. Raises
    `ProcessGroupError`, a RuntimeError, where another process of the group ends, with the parameters of the last whole
    epoch; where Ctrl-C has ended that one, it is Ctrl-C here too. Of those that end early, the last whole epoch of one
    may be the last but one of another: a checkpoint is the same for all.
    """
    epochs = positive_int(epochs, "fit: expected epochs to be a positive int")
    batch_size = None if batch_size is None else _check_batch_size(batch_size)
    engine = check_engine(engine, "fit: expected engine")
    parallel = _check_devices(engine, devices)
    with nullcontext() if parallel is None else parallel.group:
        random = random_numbers("fit", seed)
        if seed is None and parallel is not None:
            random.bit_generator.state = json.loads(parallel.group.of_first(json.dumps(random.bit_generator.state)))
        streams = partial(Stream, random=random, epochs=epochs)
        if parallel is not None:
            streams = partial(streams, check_batch=parallel.group.check_batch)
        data = _read_data(X, y, batch_size, streams)
        task = Task(
            model=model,
            parameters=_find_parameters(model),
            data=data,
            validation=_read_validation_data(validation_data, data, batch_size, streams),
            measures=_check_measures(loss, metrics),
            optimizer=_check_optimizer(optimizer),
            detects_anomaly=truth(detect_anomaly, "fit: expected detect_anomaly"),
        )
        run = _Run(task, engine, epochs, random, _check_callbacks(callbacks), parallel)
        saved, epochs_before = _check_resume(resume)
        is_shown = progress and run.process == 0
        bar = progress_bar(epochs_before, epochs, data.n_batches) if is_shown else nullcontext(report_nothing)
        with bar as report:
            run.start(saved)
            return run.train(report)


class _Snapshot(NamedTuple):
    """A training at the end of an epoch."""

    numbers: list[float]
    epochs: int
    optimizer: Any
    random: Mapping[str, Any]


@dataclass
class _Run:
    """One call of `fit`, after its arguments were checked."""

    task: Task
    engine: str
    epochs: int
    random: np.random.Generator
    callbacks: list[Callback]
    parallel: Any = None
    """Devices, and processes, that share each batch; None for other engines than "jax"."""

    history: History = field(default_factory=History)
    updates: int = 0
    """How many were made in this call."""
    steps: Steps = field(init=False)
    whole: _Snapshot = field(init=False)
    """The end of the last whole epoch."""

    def start(self, saved: SavedTraining | None) -> None:
        """Go on from a checkpoint, where there is one, and begin the callbacks."""
        if saved is not None and saved.history is not None:
            if saved.history.epochs and set(saved.history.curves) != set(self._curves()):
                curves = on_one_line(", ".join(saved.history.curves))
                raise ValueError(f"fit: expected the curves of resume, {curves}, got {', '.join(self._curves())}")
            self.history.curves = saved.history.to_dict()
        self._tell_callbacks("start", self.callbacks)
        optimizer = self.task.optimizer
        if callable(know := getattr(optimizer, "know", None)):
            know(self.task.parameters)  # so that every state of it is one of these, also if it moved another model
        if saved is not None:
            random = self.random if self.task.data.is_shuffled or saved.random is not None else None
            saved.restore(self.task.model, optimizer, random=random, callbacks=self.callbacks)

    @property
    def process(self) -> int:
        """The number of this process in its group."""
        return 0 if self.parallel is None else int(self.parallel.group.process)

    def train(self, report: Report) -> History:
        """The algorithm. Ctrl-C leads back to the last snapshot: one assignment, so all of it or the one before."""
        self.steps = EagerSteps(self.task)
        self.whole = self._snapshot()
        try:
            self._check_group()
            self._choose_steps()
            self._train_epochs(report)
        except (KeyboardInterrupt, InterruptedElsewhere) as interrupt:
            self._end_at_whole_epoch()
            self.history.stopped_because = str(interrupt) or "Ctrl-C"
            if self.parallel is not None:
                self.parallel.group.leave(INTERRUPTED)
        except ProcessGroupError as error:
            epoch = self.history.epochs + 1
            self._end_at_whole_epoch()
            self._tell_callbacks("finish", reversed(self.callbacks))  # a checkpoint of all that was learnt
            raise ProcessGroupError(
                f"{error}, in epoch {epoch}; the parameters are those of epoch {self.history.epochs}: start all"
                " processes again, with the last checkpoint as resume",
                self.history,
            ) from None
        except Exception:
            self.steps.settle()
            raise
        self._tell_callbacks("finish", reversed(self.callbacks))
        return self.history

    def _end_at_whole_epoch(self) -> None:
        self._go_back(self.whole.numbers)
        self.history.cut(self.whole.epochs)

    def _check_group(self) -> None:
        """That all processes begin with the same."""
        if self.parallel is not None:
            things = {
                "parameters": np.array(self.whole.numbers).tobytes(),
                "optimizer": (repr(self.task.optimizer), self.whole.optimizer),
                "random numbers": self.whole.random,
                "data": self._description_of_data(),
                "epochs": (self.whole.epochs, self.epochs),
            }
            advice = {"parameters": ": give the model a seed", "random numbers": ": give fit a seed"}
            self.parallel.group.check_same(things, advice)

    def _description_of_data(self) -> tuple[object, ...]:
        """By which other data are noticed: their shape, and the first of them."""
        data = self.task.data
        beginning = [listed(rows[:_ROWS_COMPARED]) for rows in data.head]
        return data.shapes, data.batch_size, data.n_batches, beginning

    def _choose_steps(self) -> None:
        """Compiled ones, where they are asked for or can be had."""
        self.steps = EagerSteps(self.task)
        self.history.engine, self.history.eager_because = "eager", "it was asked for"
        if self.engine != "eager":
            try:
                self.steps = self._compiled_steps(EagerSteps(self.task))
            except Exception as error:  # of model and loss too: eager steps meet it where it is in place
                if self.engine != "auto":
                    raise self._not_compiled(error) from None
                self._stay_eager(error)
            else:
                self.history.engine = "compiled" if self.parallel is None else "jax"
                self.history.eager_because = ""

    def _compiled_steps(self, eager: EagerSteps) -> CompiledSteps:
        if self.parallel is None:
            return CompiledSteps(eager)
        from nn.jax_steps import JaxSteps

        return JaxSteps(eager, self.parallel)

    def _stay_eager(self, error: Exception) -> None:
        because = str(error) if isinstance(error, NotTraceableError) else repr(error)
        _log.info("%s; the engine is eager", because)
        self.history.engine, self.history.eager_because = "eager", because

    def _not_compiled(self, error: Exception) -> Exception:
        if not isinstance(error, NotTraceableError):
            self.task.measure(*self.task.data.head.listed())  # raises, where the data are wrong, and says where
        return error

    def _train_epochs(self, report: Report) -> None:
        is_doubtful = any(not isinstance(callback, _ONLY_LOOK) for callback in self.callbacks)
        reason, first = "", self.history.epochs + 1
        while self.history.epochs < self.epochs and not reason:
            if self.history.epochs == first or (is_doubtful and self.history.epochs > first):
                self._look_again()
            self._train_epoch(report)
            self.whole = self._snapshot()
            if self.callbacks:
                self.steps.settle()
                reason = self._call_callbacks()
                self.steps.read()  # callbacks may change parameters, and the optimizer
                self.whole = self._snapshot()
            if self.parallel is not None:
                self.parallel.group.check_same({"parameters": np.array(self.whole.numbers).tobytes()}, {})
                reason = self.parallel.group.stopping(reason)
        self.steps.settle()
        self.history.stopped_because = reason or f"all {plural(self.epochs, 'epoch')} run"

    def _look_again(self) -> None:
        """Choose anew where model or loss are not what they were: callbacks may change them, and calls may."""
        if not self.steps.still_hold():
            self._choose_steps()

    def _train_epoch(self, report: Report) -> None:
        mean = Mean()
        rate = _learning_rate(self.task.optimizer)
        epoch = self.task.data.epoch(self.random)
        self.steps.begin_epoch(epoch)
        for place, batch in enumerate(epoch.batches, start=1):
            numbers = self._update(place, batch)
            mean.add(batch.size, numbers)
            report(numbers["loss"])
        measured = mean.measured()
        if not math.isnan(rate):
            measured["learning_rate"] = rate
        for name, number in self.steps.validate().items():
            measured[f"validation_{name}"] = number
        self.history.record({name: measured[name] for name in self._curves()})

    def _update(self, place: int, batch: Batch) -> Measured:
        """DL5 to DL8."""
        try:
            measured = self.steps.differentiate(batch)
        except NotTraceableError as error:  # a target that came up in this batch shows it
            if self.engine != "auto" or isinstance(self.steps, EagerSteps):
                raise
            self.steps.settle()
            self.steps = EagerSteps(self.task)
            self._stay_eager(error)
            measured = self.steps.differentiate(batch)
        fault = self.steps.fault
        if fault is not None or not math.isfinite(measured["loss"]) or not self.steps.move():
            raise self._diverged(place, batch, measured["loss"], fault)
        self.updates += 1
        return measured

    def _curves(self) -> list[str]:
        names = list(self.task.measures)
        if self.task.validation is not None:
            names += [f"validation_{name}" for name in self.task.measures]
        return names if math.isnan(_learning_rate(self.task.optimizer)) else [*names, "learning_rate"]

    # Callbacks

    def _state(self) -> TrainingState:
        return TrainingState(
            epoch=self.history.epochs,
            epochs=self.epochs,
            model=self.task.model,
            optimizer=self.task.optimizer,
            parameters=self.task.parameters,
            history=self.history,
            random=self.random,
            callbacks=self.callbacks,
            process=self.process,
        )

    def _call_callbacks(self) -> str:
        """The first reason to stop, or nothing. All are called."""
        state = self._state()
        answers = [callback(state) for callback in self.callbacks]
        reasons = [
            answer if isinstance(answer, str) else "a callback returned True" for answer in answers if _stops(answer)
        ]
        return reasons[0] if reasons else ""

    def _tell_callbacks(self, method: str, callbacks: Iterable[Callback]) -> None:
        for callback in callbacks:
            if hasattr(callback, method):
                getattr(callback, method)(self._state())

    # Going back

    def _snapshot(self) -> _Snapshot:
        optimizer = self.task.optimizer.state_dict() if has_state(self.task.optimizer) else None
        return _Snapshot(self.steps.numbers(), self.history.epochs, optimizer, self.random.bit_generator.state)

    def _go_back(self, numbers: Iterable[float]) -> None:
        """To these parameters; optimizer and random numbers as they were at the end of the last whole epoch."""
        self._put_back(numbers)
        if self.whole.optimizer is not None:
            self.task.optimizer.load_state_dict(self.whole.optimizer)
        self.random.bit_generator.state = self.whole.random

    def _put_back(self, numbers: Iterable[float]) -> None:
        for parameter, number in zip(self.task.parameters, numbers, strict=True):
            parameter.data = float(number)
            parameter.grad = 0.0
        self.steps.read()

    def _diverged(self, place: int, batch: Batch, loss: float, fault: Fault | None) -> DivergenceError:
        last_finite = list(self.steps.last_finite)
        self.steps.settle()
        what = f"the loss became {loss}"
        if math.isfinite(loss):
            what = "a parameter became NaN or infinite" if fault is None else "a gradient became NaN or infinite"
            self._put_back(last_finite)
        if fault is None:
            with suppress(Exception):
                fault = self.task.search(*batch.pair.listed())[2]
        self._go_back(last_finite)
        epoch = self.history.epochs + 1
        where = f"epoch {epoch}{_of_batches(place, self.task.data.n_batches)}"
        if fault is None:
            return DivergenceError(self._advice(where, loss, what), epoch, place, history=self.history)
        sample = None if fault.place is None else batch.number_of(fault.place)
        advice = self._advice(where, loss, what, fault.anomaly.phase)
        of = "" if sample is None else f"sample {sample} (from 0), "
        return DivergenceError(f"{advice}; {of}{fault.anomaly}", epoch, place, fault.anomaly, self.history, sample)

    def _advice(self, place: str, loss: float, what: str, phase: str = "") -> str:
        if self.updates == 0 and not math.isfinite(loss):
            return f"fit: the loss is {loss} in {place}, before any update: try smaller initial values or data"
        advice = "" if phase == "backward" else ": try a smaller learning rate"
        return f"fit: {what} in {place}, the parameters are back at the last finite loss{advice}"


def _of_batches(place: int, n_batches: int | None) -> str:
    if n_batches is None:
        return f", batch {place}"
    return "" if n_batches == 1 else f", batch {place} of {n_batches}"


def _learning_rate(optimizer: Any) -> float:
    """That of the next step; NaN where the optimizer does not say."""
    for name in ("current_learning_rate", "learning_rate"):
        rate = getattr(optimizer, name, None)
        if isinstance(rate, (int, float)):
            return float(rate)
    return math.nan


def _stops(answer: object) -> bool:
    return bool(answer) if isinstance(answer, (str, bool, np.bool_)) else False


# Arguments


def _read_data(X: Any, y: Any, batch_size: int | None, streams: Callable[..., Stream]) -> Data:  # noqa: N803
    if y is not None or not is_stream(X):
        return read_table("fit", X, y, ("X", "y"), batch_size, is_shuffled=batch_size is not None)
    if batch_size is not None:
        raise ValueError(f"fit: expected batch_size=None where X is batches, which have their sizes, got {batch_size}")
    return streams("fit", X, "X")


def _read_validation_data(
    data: Any, trained: Data, batch_size: int | None, streams: Callable[..., Stream]
) -> Data | None:
    if data is None:
        return None
    names = ("validation_data[0]", "validation_data[1]")
    read: Data
    if isinstance(data, tuple | list) and len(data) == 2:
        read = read_table("fit", data[0], data[1], names, batch_size, is_shuffled=False).as_a_whole()
    elif not isinstance(data, tuple | list) and is_stream(data):
        names = ("validation_data", "validation_data")
        read = streams("fit", data, names[0])
    else:
        raise TypeError(f"fit: expected validation_data to be a pair (X, y), got {describe(data)}")
    for name, found, wanted in zip(names, read.shapes, trained.shapes, strict=True):
        if found != wanted:
            raise ValueError(f"fit: expected {wanted} a sample in {name}, as for training, got {found}")
    return read


def _check_measures(loss: object, metrics: Any) -> dict[str, Loss]:
    """The loss and the metrics by the names of their curves."""
    if not callable(loss):
        raise TypeError(f"fit: expected loss to be a function of predictions and targets, got {describe(loss)}")
    measures: dict[str, Loss] = {"loss": loss}
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"fit: expected metrics to be a dict of functions by name, got {describe(metrics)}")
    for name, metric in (metrics or {}).items():
        if not isinstance(name, str) or not callable(metric):
            raise TypeError(f"fit: expected metrics to be functions by name, got {describe(metric)} as {name!r}")
        if name in ("loss", "learning_rate") or name.startswith("validation_"):
            raise ValueError(f"fit: expected metrics with names of their own, got {name!r}, which fit uses itself")
        measures[name] = metric
    return measures


def _check_optimizer(optimizer: Optimizer | None) -> Optimizer:
    if optimizer is None:
        return SGD()
    if isinstance(optimizer, type) or not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"fit: expected optimizer to have a method step, as SGD(0.01) does, got {describe(optimizer)}")
    return optimizer


def check_engine(engine: object, expected: str) -> str:
    """The name of an engine; ValueError, `expected` and what came, for anything else."""
    if not isinstance(engine, str) or engine not in ENGINES:
        *others, last = map(repr, ENGINES)
        raise ValueError(f"{expected} to be {', '.join(others)} or {last}, got {describe(engine)}")
    return engine


def _check_devices(engine: str, devices: Any) -> Any:
    """What splits batches over devices; None for other engines than "jax"."""
    if engine != "jax":
        if devices is not None:
            raise ValueError(f"fit: expected devices=None with engine={engine!r}, got {describe(devices)}")
        return None
    try:
        from nn.data_parallel import DataParallel
    except ImportError:
        raise ImportError("fit: engine='jax' needs JAX: pip install 'autograd-mini[jax]'") from None
    return DataParallel(devices)


def _check_batch_size(batch_size: object) -> int:
    return positive_int(batch_size, "fit: expected batch_size to be a positive int or None")


def _check_callbacks(callbacks: Any) -> list[Callback]:
    """The callbacks, those that save what the others know last."""
    expected = "fit: expected callbacks to be a list of functions of the training's state"
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"{expected}, got {describe(callbacks)}")
    checked = list(callbacks)
    for callback in checked:
        if not callable(callback) or isinstance(callback, type):
            raise TypeError(f"{expected}, got {describe(callback)} among them")
    return sorted(checked, key=lambda callback: isinstance(callback, Checkpoint))


def _check_resume(resume: Any) -> tuple[SavedTraining | None, int]:
    """The checkpoint, read if it is a path, and how many epochs it holds."""
    if resume is None:
        return None, 0
    saved = load_checkpoint(resume) if isinstance(resume, (str, os.PathLike)) else resume
    if not isinstance(saved, SavedTraining):
        raise TypeError(f"fit: expected resume to be a checkpoint or the path of one, got {describe(resume)}")
    if saved.history is None:
        raise ValueError(
            f"fit: expected resume to hold the history of a training, got {saved.path} without:"
            " give the weights to the model with load_checkpoint(path).restore(model)"
        )
    return saved, saved.history.epochs


def _find_parameters(model: Trainable) -> list[Value]:
    if not callable(model) or not callable(getattr(model, "parameters", None)):
        raise TypeError(f"fit: expected model to be callable and to have parameters(), got {describe(model)}")
    parameters = list(dict.fromkeys(model.parameters()))  # one that is shared is updated once
    if not parameters:
        raise ValueError("fit: expected model to have at least one parameter, got none")
    return parameters

"""`autograd-mini train` and `autograd-mini predict`: a network for a table, from the command line."""

import csv
import importlib.util
import io
import math
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autograd_mini.whole_files import write_whole
from nn.callbacks import Checkpoint, EarlyStopping, TrainingState
from nn.checkpoint import SavedTraining, check_path, load_checkpoint
from nn.checks import on_one_line, plural, shown
from nn.datasets import DATASETS, TARGET, load_dataset
from nn.history import History
from nn.losses import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from nn.modules import MLP
from nn.plan import DEFAULTS, Plan, option, whole_number
from nn.preparation import TASKS, Array, Preparation, find_classes, guess_task
from nn.sparkline import BLOCKS, describe_curves
from nn.tables import DataTable, listed, read_csv
from nn.training import DivergenceError, fit

EPOCHS = 50
OUTPUT = "model.json"
INTERRUPTED = 130
"""The exit status after Ctrl-C, as of every command that a signal ended, so that a script does not go on."""


def train(options: Mapping[str, str | None]) -> int:
    """Train a network on a table, show its curve, save a checkpoint; returns the exit status, 0 or 130 after Ctrl-C.

    options: by the names of the command line's, as texts; None for those that were not given. Ctrl-C saves the last
    whole epoch. Raises ValueError in one line for what is wrong with an option or the data, with nothing written, and
    where the training diverges; OSError where a file cannot be read or written, ImportError without an extra.
    """
    given = {name: word for name, word in options.items() if word is not None}
    job = _prepare(given)
    _introduce(job)
    history = _fit(job)
    _report(job, history)
    if "plot" in given and history.epochs:
        write_whole(Path(given["plot"]), _picture(history, Path(given["plot"]).suffix))
        print(f"picture      {given['plot']}")
    return INTERRUPTED if history.stopped_because == "Ctrl-C" else 0


def predict(options: Mapping[str, str | None]) -> int:
    """Write the predictions of a network that `train` saved as CSV; returns the exit status, 0.

    options: model, data, and output for a file in place of standard output. Where the table has the target column,
    accuracy or R² go to standard error. Raises as `train` does; a checkpoint is checked before any of it is used.
    """
    given = {name: word for name, word in options.items() if word is not None}
    path = Path(given["model"])
    if "output" in given:
        _check_output(Path(given["output"]), [path, Path(given["data"])])
    plan, preparation, saved = _load(path)
    table = _read_table(given["data"])
    model = _restored(plan, preparation, saved)
    outputs = _outputs(model, preparation, preparation.read_inputs(table))
    _check_outputs(table, outputs)
    text = _as_csv(preparation, outputs)
    if "output" in given:
        write_whole(Path(given["output"]), text)
        print(f"wrote {given['output']}: {plural(len(outputs), 'prediction')}")
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
    _report_score(table, preparation, outputs)
    return 0


# The table


def _read_table(word: str) -> DataTable:
    if word in DATASETS:
        return load_dataset(word)
    path = Path(word)
    if not path.exists():
        raise ValueError(f"--data: expected {', '.join(DATASETS)} or a CSV file, got {shown(word)}, which is not there")
    return read_csv(path)


def _names(word: str) -> list[str]:
    """Names with commas between them; quotes as in CSV where a name has a comma itself."""
    try:
        return [name.strip() for name in next(csv.reader([word], skipinitialspace=True), [])]
    except csv.Error as error:
        raise ValueError(f"--ignore: expected names with commas between them, got {shown(word)}: {error}") from None


def _new_preparation(table: DataTable, given: Mapping[str, str], plan: Plan) -> tuple[Preparation, str]:
    """Which columns are for what, and why; nothing is standardised yet."""
    target = given.get("target", TARGET if table.name in DATASETS else None)
    if target is None:
        raise ValueError(f"--target: expected the column to predict, one of {listed(table.columns)}, got none")
    ignored = _names(given.get("ignore", ""))
    table.check_columns([target], "--target")
    table.check_columns(ignored, "--ignore")
    columns = [name for name in table.columns if name != target and name not in ignored]
    if not columns:
        raise ValueError(f"{table.name}: expected a column besides {shown(target)} to predict it from, got none")
    task, reason = (given["task"], "--task says so") if "task" in given else guess_task(table, target)
    if task not in TASKS:
        raise ValueError(f"--task: expected one of {', '.join(TASKS)}, got {shown(task)}")
    plan.network(len(columns), 1)  # says so before the classes are looked for, if it is too large
    classes = find_classes(table, target) if task == "classification" else None
    return Preparation(columns, target, classes), reason


# Training


@dataclass
class _Job:
    """A training, after everything was read and checked."""

    data: str
    """As it is typed."""
    table: DataTable
    plan: Plan
    preparation: Preparation
    reason: str
    """Why it is the task."""
    inputs: Array
    targets: Array
    """Both as they stand in the table."""
    training: list[int]
    validation: list[int]
    """Rows."""
    model: MLP
    random: np.random.Generator
    """For the batches."""
    epochs: int
    output: Path
    saved: SavedTraining | None

    def samples(self, rows: Sequence[int]) -> tuple[list[list[float]], list[float]]:
        """What the network takes and is to say."""
        return self.preparation.inputs(self.inputs[rows]), self.preparation.targets(self.targets[rows])


def _prepare(given: Mapping[str, str]) -> _Job:
    output = check_path("--output", given.get("output", given.get("resume", OUTPUT)))
    _check_output(output, [Path(given["data"])])
    _check_plot(given)
    saved, words = None, {name: given[name] for name in [*DEFAULTS, "learning_rate"] if name in given}
    if "resume" in given:
        plan, preparation, saved = _load(Path(given["resume"]))
        plan.check_same(words, given["resume"])
        reason = f"as {given['resume']} was trained"
        _check_same_table(given, preparation)
    else:
        plan = Plan.parse(words)
    _check_replaceable(output, given.get("resume"))
    epochs = whole_number("epochs", given.get("epochs", str(EPOCHS)), least=1)
    if saved is not None:
        _check_epochs(epochs, saved)
    table = _read_table(given["data"])
    if saved is None:
        preparation, reason = _new_preparation(table, given, plan)
    else:
        table.check_columns([preparation.target], f"the target of {given['resume']}")
    inputs, targets = preparation.read_inputs(table), preparation.read_targets(table)
    _check_spread(table, preparation, targets)
    for_split, for_model, for_batches = np.random.default_rng(plan.seed).spawn(3)
    training, validation = _split(preparation, targets, plan.validation, for_split)
    if saved is None and plan.is_standardized:
        preparation.standardize(inputs[training], targets[training])
    return _Job(
        data=given["data"],
        table=table,
        plan=plan,
        preparation=preparation,
        reason=reason,
        inputs=inputs,
        targets=targets,
        training=training,
        validation=validation,
        model=plan.network(len(preparation.columns), preparation.n_outputs, for_model),
        random=for_batches,
        epochs=epochs,
        output=output,
        saved=saved,
    )


def _fit(job: _Job) -> History:
    callbacks: list[Any] = [job.plan, job.preparation, *_early_stopping(job.plan)]
    callbacks.append(Checkpoint(job.output, every=max(1, job.epochs // 20)))
    has_bar = _is_terminal() and importlib.util.find_spec("rich") is not None
    if not has_bar:
        callbacks.append(_print_progress)
    samples, targets = job.samples(job.training)
    try:
        return fit(
            job.model,
            samples,
            targets,
            loss=_loss(job.preparation),
            optimizer=job.plan.optimizer(),
            epochs=job.epochs,
            batch_size=job.plan.batch_size,
            validation_data=job.samples(job.validation) if job.validation else None,
            callbacks=callbacks,
            seed=job.random,
            resume=job.saved,
            progress=has_bar,
        )
    except DivergenceError as error:
        advice = "a smaller --learning-rate" + ("" if job.plan.is_standardized else ", or --standardize on,")
        raise ValueError(f"{error}; {advice} may help") from None


def _loss(preparation: Preparation) -> Any:
    if preparation.classes is None:
        return mse_loss
    return binary_cross_entropy_with_logits if preparation.n_outputs == 1 else cross_entropy


def _early_stopping(plan: Plan) -> list[EarlyStopping]:
    return [] if plan.patience is None else [EarlyStopping(plan.patience)]


def _split(
    preparation: Preparation, targets: Array, share: float, random: np.random.Generator
) -> tuple[list[int], list[int]]:
    """The rows to train on and those to validate on, of each class its share; both in the order of the table."""
    order = random.permutation(len(targets))
    groups = [order]
    if preparation.classes is not None:
        groups = [order[targets[order] == place] for place in range(len(preparation.classes))]
    counts = [min(round(share * len(group)), len(group) - 1) for group in groups if len(group)]
    groups = [group for group in groups if len(group)]
    if share and not any(counts):  # of few rows, at least one
        largest = max(range(len(groups)), key=lambda place: len(groups[place]))
        counts[largest] = min(1, len(groups[largest]) - 1)
    validation = [int(row) for group, count in zip(groups, counts, strict=True) for row in group[:count]]
    if share and not validation:
        raise ValueError("--validation: expected a class or table with two rows or more, got none: try --validation 0")
    return sorted(set(range(len(targets))) - set(validation)), sorted(validation)


# Checks, before anything is written


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    """It can be written, and is none of the inputs."""
    _check_writable("output", output)
    for path in inputs:
        if path.exists() and output.exists() and path.samefile(output):
            raise ValueError(f"--output: expected another file than {path}, which is read")


def _check_writable(name: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"{option(name)}: there is no folder {shown(str(path.parent))}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{option(name)}: expected a file, got {shown(str(path))}, which is something else")


def _check_replaceable(output: Path, resume: str | None) -> None:
    """An older checkpoint is replaced; another file with that ending is somebody's."""
    if output.exists() and str(output) != resume:
        try:
            load_checkpoint(output)
        except ValueError:
            raise ValueError(
                f"--output: {output} is there, and is no checkpoint of autograd-mini: give another name"
            ) from None


def _check_plot(given: Mapping[str, str]) -> None:
    if "plot" not in given:
        return
    path = Path(given["plot"])
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(f"--plot: expected a path ending in .png, .pdf or .svg, got {shown(given['plot'])}")
    _check_writable("plot", path)
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("--plot needs matplotlib: pip install 'autograd-mini[plot]'")


def _check_same_table(given: Mapping[str, str], preparation: Preparation) -> None:
    task = "regression" if preparation.classes is None else "classification"
    for name, word, saved in (
        ("target", given.get("target"), preparation.target),
        ("task", given.get("task"), task),
        ("ignore", given.get("ignore"), ""),
    ):
        if word not in (None, saved):
            was = f"expected {shown(saved)}, as it was trained" if saved else "expected none, as the columns are known"
            raise ValueError(f"{option(name)}: {was}, got {shown(str(word))}: leave the option out")


def _check_epochs(epochs: int, saved: SavedTraining) -> None:
    done = saved.history.epochs if saved.history is not None else 0
    if epochs <= done:
        raise ValueError(f"--epochs: expected more than the {plural(done, 'epoch')} of {saved.path}, got {epochs}")


def _check_spread(table: DataTable, preparation: Preparation, targets: Array) -> None:
    if targets.min() == targets.max():
        only = targets[0] if preparation.classes is None else preparation.classes[int(targets[0])]
        what = "numbers that differ" if preparation.classes is None else "at least two classes"
        where = f"{table.name}, column {shown(preparation.target)}"
        raise ValueError(f"{where}: expected {what}, got {on_one_line(str(only))} only")


# What is said


def _introduce(job: _Job) -> None:
    table, preparation = job.table, job.preparation
    shape = f"{plural(len(table.rows), 'row')}, {plural(len(preparation.columns), 'input')}"
    _say("data", f"{table.name}: {shape}: {listed(preparation.columns)}")
    if not table.has_header:
        _say("", "its first line is taken for numbers, not names: the columns are named 1, 2, …")
    classes = preparation.classes or []
    task = f"classification of {shown(preparation.target)}, {len(classes)} classes: {listed(classes)}"
    if preparation.classes is None:
        task = f"regression: the number {shown(preparation.target)}"
    _say("task", f"{task} ({job.reason})")
    constant = [preparation.columns[place] for place in _constant(job.inputs)]
    if constant:
        _say("", f"always the same, so that nothing is learnt from it: {listed(constant, 4)}")
    _say("network", f"{job.model}, {len(job.model.parameters())} parameters")
    rows = f"{plural(len(job.training), 'row')}, and {len(job.validation)} to validate on"
    _say("training", f"{rows}; batches of {job.plan.batch_size}; {job.plan.optimizer()}; seed {job.plan.seed}")
    if preparation.classes is None and job.plan.is_standardized:
        _say("loss", "mean squared error of the standardised target: 1 is no better than its mean")
    if job.saved is not None and job.saved.history is not None:
        _say("resumed", f"{job.saved.path}, after epoch {job.saved.history.epochs}")


def _constant(inputs: Array) -> list[int]:
    """The places of the columns that hold one number only."""
    places: list[int] = np.flatnonzero(inputs.min(axis=0) == inputs.max(axis=0)).tolist()
    return places


def _say(label: str, text: str) -> None:
    print(textwrap.fill(text, 79, initial_indent=f"{label:13}", subsequent_indent=" " * 13, break_on_hyphens=False))


def _say_command(label: str, *words: str) -> None:
    print(f"{label:13}autograd-mini {shlex.join(words)}")  # on one line, to be copied


def _print_progress(state: TrainingState) -> None:
    """Every tenth of the epochs, where there is no bar."""
    if state.epoch % max(1, state.epochs // 10) == 0:
        validation = "" if state.validation_loss is None else f", validation loss {state.validation_loss:.4g}"
        print(f"epoch {state.epoch} of {state.epochs}: loss {state.loss:.4g}{validation}", flush=True)


def _is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _report(job: _Job, history: History) -> None:
    before = 0 if job.saved is None or job.saved.history is None else job.saved.history.epochs
    if history.epochs == before:
        kept = "" if job.saved is None else f"; {job.output} holds the {plural(before, 'epoch')} that it held"
        _say("stopped", f"by Ctrl-C before an epoch was over: nothing is saved{kept}")
        return
    print()
    curves = {"loss": history.loss, "validation loss": history.validation_loss}
    for line in describe_curves(curves, blocks=_can_print(BLOCKS)):
        print(line)
    print()
    for label, score in _scores(job):
        _say(label, score)
    if history.stopped_because == "Ctrl-C":
        _say("stopped", f"by Ctrl-C after epoch {history.epochs} of {job.epochs}; what was learnt is saved")
        words = ["--resume", str(job.output), "--data", job.data, "--epochs", str(job.epochs)]
        _say_command("go on with", "train", *words)
    elif history.epochs < job.epochs:
        _say("stopped", f"after epoch {history.epochs} of {job.epochs}; {history.stopped_because}, which predict takes")
    _say("saved", f"{job.output} ({job.output.stat().st_size / 1000:,.0f} kB)")
    _say_command("use it with", "predict", str(job.output), "--data", "FILE.csv")


def _scores(job: _Job) -> Iterator[tuple[str, str]]:
    name, style = ("R²", ".4f") if job.preparation.classes is None else ("accuracy", ".1%")
    shares = []
    for rows, what in ((job.training, "trained on"), (job.validation, "to validate on")):
        if rows:
            outputs = _outputs(job.model, job.preparation, job.inputs[rows])
            score = job.preparation.score(outputs, job.targets[rows])
            text = "undefined" if math.isnan(score) else f"{score:{style}}"
            shares.append(f"{text} on the {plural(len(rows), 'row')} {what}")
    yield name, ", ".join(shares)


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _picture(history: History, suffix: str) -> bytes:
    from matplotlib.figure import Figure  # without pyplot, which would want a screen

    figure = Figure(layout="constrained")
    history.plot(axes=figure.subplots())
    content = io.BytesIO()
    figure.savefig(content, format=suffix[1:])
    return content.getvalue()


# What was saved


def _load(path: Path) -> tuple[Plan, Preparation, SavedTraining]:
    """A checkpoint of `train`. Raises ValueError for any other, and for one whose parts do not fit together."""
    saved = load_checkpoint(path)
    states = {each["kind"]: each["state"] for each in saved.callbacks}
    if not {"Plan", "Preparation"} <= states.keys():
        raise ValueError(
            f"{path}: expected a checkpoint of autograd-mini train, got one that does not know its columns"
        )
    try:
        plan, preparation = Plan.from_state(states["Plan"]), Preparation.from_state(states["Preparation"])
        sizes = [len(preparation.columns), *plan.hidden, preparation.n_outputs]
        shapes = {f"layers.{place}.weights": (sizes[place + 1], sizes[place]) for place in range(len(sizes) - 1)}
        for name, shape in shapes.items():  # before a network of that size is made
            if name not in saved.parameters or saved.parameters[name].shape != shape:
                raise ValueError(f"expected {name} of shape {shape}, as its columns and layers have it")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return plan, preparation, saved


def _restored(plan: Plan, preparation: Preparation, saved: SavedTraining) -> MLP:
    """The network, with the numbers of its best epoch where the training was to stop early."""
    try:
        model = plan.network(len(preparation.columns), preparation.n_outputs)
    except ValueError as error:
        raise ValueError(f"{saved.path}: {error}") from None
    stopping = _early_stopping(plan)
    saved.restore(model, callbacks=[plan, preparation, *stopping])
    state = TrainingState(0, 0, model, None, model.parameters(), History(), np.random.default_rng(0), [])
    for callback in stopping:
        callback.finish(state)
    return model


# Predictions


def _outputs(model: Callable[[Any], Any], preparation: Preparation, inputs: Array) -> Array:
    """What the network says to each row, shape (S, n_outputs); sample by sample, so that each graph is freed."""
    rows = []
    for sample in preparation.inputs(inputs):
        output = model(sample)
        rows.append([each.data for each in output] if isinstance(output, list) else [output.data])
    return np.array(rows)


def _check_outputs(table: DataTable, outputs: Array) -> None:
    for row in np.flatnonzero(~np.isfinite(outputs).all(axis=1)):
        number = outputs[row][~np.isfinite(outputs[row])][0]
        raise ValueError(f"{table.place(int(row))}: expected inputs as in training, got a network's output of {number}")


def _as_csv(preparation: Preparation, outputs: Array) -> str:
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    predictions = preparation.predict(outputs).tolist()
    if preparation.classes is None:
        writer.writerow(["prediction"])
        writer.writerows([repr(number)] for number in predictions)
    else:
        classes = preparation.classes
        writer.writerow(["prediction", *(f"probability {name}" for name in classes)])
        for place, probabilities in zip(predictions, preparation.probabilities(outputs).tolist(), strict=True):
            writer.writerow([classes[int(place)], *map(repr, probabilities)])
    return content.getvalue()


def _report_score(table: DataTable, preparation: Preparation, outputs: Array) -> None:
    if preparation.target not in table.columns:
        return
    rows, targets = preparation.read_known_targets(table)
    if not rows:
        return
    score = preparation.score(outputs[rows], targets)
    name, style = ("R²", ".4f") if preparation.classes is None else ("accuracy", ".1%")
    others = f"; {len(outputs) - len(rows)} without a target" if len(rows) < len(outputs) else ""
    text = "undefined" if math.isnan(score) else f"{score:{style}}"
    print(f"{name} {text} on {plural(len(rows), 'row')}{others}", file=sys.stderr)

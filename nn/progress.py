"""What is shown in the terminal meanwhile: the progress bar of `fit`, and the line of `minimize`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(first_epoch: int, epochs: int, batches: int | None) -> Iterator[Callable[[float], None]]:
    """A bar with loss, epochs, rate and time left, by rich; gives the function to tell it the loss of each batch.

    first_epoch: how many epochs were run before. batches: how many an epoch has, if that is known. Raises ImportError,
    naming the extra, where rich is not installed.
    """
    try:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    except ImportError:
        raise ImportError("fit: progress=True needs rich: pip install 'autograd-mini[progress]'") from None
    texts = [TextColumn(f"{{task.fields[{name}]}}") for name in ("epoch", "rate")]
    left = (TimeRemainingColumn(), TextColumn("left"))
    with Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), *texts, *left) as bar:
        done = first_epoch * (batches or 0)
        total = None if batches is None else epochs * batches
        task = bar.add_task("loss", total=total, completed=done, epoch="", rate="")
        started, before = time.perf_counter(), done

        def report(loss: float) -> None:
            nonlocal done
            done += 1
            rate = (done - before) / (time.perf_counter() - started)
            where, unit = f"batch {done}", "batches/s"
            if batches is not None:
                where, rate, unit = f"epoch {done // batches}/{epochs}", rate / batches, "epochs/s"
            bar.update(task, advance=1, description=f"loss {loss:.4g}", epoch=where, rate=f"{rate:.3g} {unit}")

        yield report


@contextmanager
def progress_line(where: str) -> Iterator[Callable[[float], None]]:
    """A line with how many iterations were made, and the value; gives the function to tell it the value of each.

    where: the function that shows it. Raises ImportError as `progress_bar` does.
    """
    try:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    except ImportError:
        raise ImportError(f"{where}: progress=True needs rich: pip install 'autograd-mini[progress]'") from None
    columns = SpinnerColumn(), TextColumn("iteration {task.completed}: {task.description}"), TimeElapsedColumn()
    with Progress(*columns) as bar:
        task = bar.add_task("", total=None)
        yield lambda value: bar.update(task, advance=1, description=f"{value:.6g}")


def report_nothing(_: float) -> None:
    """No progress."""

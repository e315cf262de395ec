"""What is shown in the terminal meanwhile: the progress bar of `fit`, and the line of `minimize`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(first_epoch: int, epochs: int, batches: int) -> Iterator[Callable[[float], None]]:
    """A bar with loss, epochs, rate and time left, by rich; gives the function to tell it the loss of each batch.

    first_epoch: how many epochs were run before. batches: how many an epoch has. Raises ImportError, naming the extra,
    where rich is not installed.
    """
    try:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    except ImportError:
        raise ImportError("fit: progress=True needs rich: pip install 'autograd-mini[progress]'") from None
    texts = [TextColumn(f"{{task.fields[{name}]}}") for name in ("epoch", "rate")]
    left = (TimeRemainingColumn(), TextColumn("left"))
    with Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), *texts, *left) as bar:
        done = first_epoch * batches
        task = bar.add_task("loss", total=epochs * batches, completed=done, epoch="", rate="")
        started, before = time.perf_counter(), done

        def report(loss: float) -> None:
            nonlocal done
            done += 1
            rate = (done - before) / batches / (time.perf_counter() - started)
            epoch = f"epoch {done // batches}/{epochs}"
            bar.update(task, advance=1, description=f"loss {loss:.4g}", epoch=epoch, rate=f"{rate:.3g} epochs/s")

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

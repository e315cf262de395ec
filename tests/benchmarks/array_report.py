"""The turns as tables: the targets, each program, training, and what compiling costs."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.array_engines import ARRAY_ENGINES
from benchmarks.array_training import BATCH_SIZE, ENOUGH, LEARNING_RATE
from benchmarks.array_training import TITLE as TRAINING_TITLE
from benchmarks.array_workloads import ARRAY_PROGRAMS
from benchmarks.report import UNKNOWN, Table, page_of, ratio
from benchmarks.turns import SHARE_SECONDS, Contest, Contests, Effort, Turns, paired_ratio

OURS = "ours"

README_START = "<!-- make bench writes the targets -->"

NAMES = {key: engine.name for key, engine in ARRAY_ENGINES.items()} | {
    "scikit-learn": "scikit-learn, MLPClassifier",
    "compiled": "autograd-mini, compiled",
    "interpreted": "autograd-mini, interpreted",
}
"""Of what takes part in the contests, by their keys."""

PACKAGES = ("numpy", "scipy", "numba", "torch", "casadi", "jax", "scikit-learn")

MOST_MICROSECONDS_A_NODE = 20.0
MOST_NANOSECONDS_AN_OPERATION = 20.0

EXPLANATION = """\
A scalar program, written with numbers for one sample, is traced once by `compile_graph` and replayed on a batch; beside
it the same loss and its whole gradient as others compute them on arrays. All have one thread and 64-bit floats. What
is timed is one call that takes the parameters and gives the loss and the gradient; NumPy's passes are written by hand.

Every engine is a process of its own that has prepared the program. They take turns, each running for {turn:g} ms, of
which the median call counts; the number is the median over {turns} turns in each of {rounds} rounds of new processes,
`min–max` is of all turns. An engine that has taken {share:g} seconds sits out what is left. `× ours` is the median of
each turn divided by our turn next to it. `prepared` is the time in seconds to the first result: tracing, compiling,
building expressions. Before an engine is timed its loss and all its derivatives are held to those of our engine, which
records one sample after the other, within 1e-9 of each or, where terms cancel, 1e-15 of the largest. glibc is told to
keep freed memory (`MALLOC_TRIM_THRESHOLD_`), which makes NumPy's temporaries cheap: without it they are got from the
system anew in some processes and not in others.

Trainings have the same network, first weights by the same rule, Adam with steps of {learning_rate:g}, batches of
{batch_size} and no penalty. Each turn has another seed, and ends with the first epoch after which {enough:g} of the
held-out images are right; looking at those is not in the time. Their ratio is that of the medians.
"""


class Target(NamedTuple):
    """At most so many times what the other takes."""

    program: str
    engine: str
    most: float


TARGETS = (
    Target("two-moons", "numpy", 1.1),
    Target("two-moons", "torch", 1.0),
    Target("two-moons", "casadi", 1.0),
    Target("two-moons", "jax", 1.5),
    Target("tanh-network", "numpy", 1.1),
    Target("tanh-network", "torch", 1.0),
    Target("tanh-network", "casadi", 1.0),
    Target("tanh-network", "jax", 1.5),
    Target("digits", "numpy", 1.1),
    Target("digits", "torch", 1.2),
    Target("wide", "numpy", 1.1),
    Target("wide", "torch", 1.2),
    Target("mixture", "numpy", 2.0),
    Target("tiny-gpt", "slots", 0.01),
    Target("training", "scikit-learn", 1.2),
)


def tables(contests: Contests) -> list[Table]:
    """The targets first, then what they were read from."""
    known = {
        contest: engines
        for contest, engines in contests.items()
        if any(t.answers or t.problem for t in engines.values())
    }
    found = [targets(known)]
    found += [gradients(contest, engines) for contest, engines in known.items() if contest.kind == "gradient"]
    found += [training(engines) for contest, engines in known.items() if contest.kind == "training"]
    found.append(tracing(known))
    return [table for table in found if table.rows]


def targets(contests: Contests) -> Table:
    """What was to be reached, and what was."""
    rows: list[tuple[str, ...]] = []
    for program, engine, most in TARGETS:
        for contest, engines in contests.items():
            if contest.program == program and {OURS, engine} <= {*engines}:
                times = times_theirs(contest, engines[OURS], engines[engine])
                rows.append((contest.program, NAMES[engine], *_verdict(times, most, "times")))
    for contest, engines in contests.items():
        if contest.program == "chain" and contest.kind == "gradient" and OURS in engines:
            seconds = engines[OURS].median()
            number = seconds * 1e9 / contest.size if seconds else None
            rows.append((contest.program, UNKNOWN, *_verdict(number, MOST_NANOSECONDS_AN_OPERATION, "ns/op")))
        if contest.kind == "tracing":
            for build, turns in engines.items():
                number = _a_node(turns, "seconds")
                name = f"compiling a {contest.program} of {contest.size:,}, {build}"
                rows.append((name, UNKNOWN, *_verdict(number, MOST_MICROSECONDS_A_NODE, "µs a node")))
    return Table("Targets", ("workload", "beside", "ours takes", "at most", "met"), rows, [])


def times_theirs(contest: Contest, ours: Turns, theirs: Turns) -> float | None:
    """How many times their time ours takes; of trainings, whose lengths differ by chance, by the medians."""
    if contest.kind != "training":
        return paired_ratio(ours, theirs)
    one, other = ours.median(), theirs.median()
    return one / other if one and other else None


def _verdict(number: float | None, most: float, unit: str) -> tuple[str, str, str]:
    if number is None:
        return UNKNOWN, f"{most:g} {unit}", UNKNOWN
    return f"{three_digits(number)} {unit}", f"{most:g} {unit}", "yes" if number <= most else "no"


def gradients(contest: Contest, engines: dict[str, Turns]) -> Table:
    """All engines on one program; of the chain for an operation."""
    is_chain = contest.program == "chain"
    scale = 1e9 / contest.size if is_chain else 1e6
    rows: list[tuple[str, ...]] = []
    for key, turns in engines.items():
        times = [seconds * scale for seconds in turns.numbers()]
        beside = paired_ratio(turns, engines[OURS]) if OURS in engines else None
        rows.append((NAMES[key], *_times(times), ratio(beside, 1.0), _prepared(turns)))
    unit = "ns/op" if is_chain else "µs"
    return Table(title(contest), ("engine", unit, "min–max", "× ours", "prepared"), rows, _notes(engines))


def training(engines: dict[str, Turns]) -> Table:
    """The time of the whole training and of its epochs."""
    ours = engines[OURS].median() if OURS in engines else None
    rows: list[tuple[str, ...]] = []
    for key, turns in engines.items():
        times = [seconds * 1e3 for seconds in turns.numbers()]
        epochs = turns.numbers("epochs")
        epoch = statistics.median(map(float.__truediv__, times, map(float, epochs))) if times else None
        accuracy = f"{min(turns.numbers('accuracy')):.3f}" if times else UNKNOWN
        numbers = (ratio(turns.median(), ours), three_digits(turns.median("epochs")), three_digits(epoch), accuracy)
        rows.append((NAMES[key], *_times(times), *numbers, _prepared(turns)))
    header = ("engine", "ms", "min–max", "× ours", "epochs", "ms/epoch", "lowest accuracy", "prepared")
    return Table(TRAINING_TITLE, header, rows, _notes(engines))


def tracing(contests: Contests) -> Table:
    """From the function to the first gradient, a node of the loss of one sample."""
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for contest, engines in contests.items():
        if contest.kind == "tracing":
            for build, turns in engines.items():
                nodes = turns.median("nodes")
                times = [three_digits(_a_node(turns, name)) for name in ("seconds", "again")]
                rows.append((contest.program, f"{nodes:,.0f}" if nodes else UNKNOWN, build, *times))
            notes += _notes(engines)
    header = ("program", "nodes", "build", "µs a node, the first time", "of a shape that was compiled before")
    return Table("From the function to its first gradient", header, rows, [*dict.fromkeys(notes)])


def _a_node(turns: Turns, name: str) -> float | None:
    each = [answer[name] / answer["nodes"] for answer in turns.answers]
    return statistics.median(each) * 1e6 if each else None


def _times(times: Sequence[float]) -> tuple[str, str]:
    if not times:
        return UNKNOWN, UNKNOWN
    return three_digits(statistics.median(times)), f"{three_digits(min(times))}–{three_digits(max(times))}"


def _prepared(turns: Turns) -> str:
    return f"{statistics.median(turns.prepared):.2f}" if turns.prepared else UNKNOWN


def _notes(engines: dict[str, Turns]) -> list[str]:
    return [f"{NAMES[key]}: {turns.problem}" for key, turns in engines.items() if turns.problem]


def three_digits(number: float | None) -> str:
    """As many as are worth reading."""
    return f"{number:.2g}" if number and number < 0.1 else ratio(number, 1.0)


def title(contest: Contest) -> str:
    """What is run."""
    if contest.kind == "training":
        return TRAINING_TITLE
    return ARRAY_PROGRAMS[contest.program].title.format(size=f"{contest.size:,}")


def page(found: Sequence[Table], command: str, effort: Effort, turn_seconds: float) -> str:
    """The tables as a Markdown page."""
    explanation = EXPLANATION.format(
        rounds=effort.rounds,
        turns=effort.turns["gradient"],
        turn=turn_seconds * 1e3,
        learning_rate=LEARNING_RATE,
        batch_size=BATCH_SIZE,
        enough=ENOUGH,
        share=SHARE_SECONDS,
    )
    return page_of("Speed of the compiled path", explanation, found, command, PACKAGES)

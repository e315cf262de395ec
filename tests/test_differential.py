"""Random graphs beside 50 digits and beside other engines, and whether a wrong rule would be seen there.

`python -m trials.differential` is the same with 10,000 graphs.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pytest
from exact_graphs import EPSILON, ExactGraph
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from peers import PEERS, Engine, ours
from random_graphs import ARITY, KINDS, OURS, Constant, Graph, Step, random_graph, recorded
from trials import differential, report
from trials.differential import BACKWARD, OWN, SLACK, STATED, Comparison, Subject, smooth_graphs

from autograd_mini import TABLE, Op, Value, apply

GRAPHS = {"PyTorch": 150, "HIPS autograd": 150, "JAX": 5}  # JAX compiles each operation when it first comes
"""How many are compared at every change."""


def peer(name: str) -> Engine:
    """Another engine, where it is installed."""
    package, load = PEERS[name]
    pytest.importorskip(package, reason=f"{name} is not installed: pip install 'autograd-mini[peers]'")
    return load()


def own(name: str) -> Engine:
    """One of ours; the tape needs its extra."""
    if name.endswith("tape"):
        pytest.importorskip("numba", reason="numba is not installed: pip install 'autograd-mini[numba]'")
    return OWN[name]()


def unexplained(subject: Subject, engine: Engine) -> list[str]:
    """What an engine makes of a graph that rounding does not explain."""
    comparison = Comparison()
    comparison.add(subject, subject.answer(engine), subject.exact)
    return comparison.unexplained


# The comparisons


@pytest.mark.parametrize("name", [*OWN, *PEERS])
def test_every_engine_has_every_row(name: str) -> None:
    """A new row needs its function in each engine, or what it is there in other functions: tests/peers.py."""
    engine = own(name) if name in OWN else peer(name)
    assert set(engine.functions) == {*TABLE, "logsumexp"}
    assert set(engine.losses) <= set(engine.functions)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Those of the trial, but so that Hypothesis can make them smaller."""
    return random_graph(draw(st.randoms(use_true_random=False)))


@settings(max_examples=150, derandomize=True)  # the same ones each time: a red run is about the change
@given(graph=graphs())
def test_graphs_are_right_up_to_their_conditioning(graph: Graph) -> None:
    note(str(graph))
    try:
        subject = Subject(graph)
    except ValueError:
        assume(False)
    assert unexplained(subject, ours()) == []


@pytest.mark.parametrize("name", OWN)
def test_our_engines_beside_50_digits(name: str) -> None:
    """Right to 1e-13 in 95 of 100, and up to conditioning in all."""
    engine = own(name)
    comparison = Comparison()
    for subject in smooth_graphs(100, seed=1):
        comparison.add(subject, subject.answer(engine), subject.exact)
    assert comparison.unexplained == []
    assert np.percentile(comparison.errors, 95) <= STATED


@pytest.mark.parametrize("name", PEERS)
def test_other_engines_beside_ours(name: str) -> None:
    figures = differential.run(GRAPHS[name], 2, {BACKWARD: ours()}, {name: peer(name)}, lambda description: None)
    assert set(figures) == {(BACKWARD, "50 digits"), (name, "50 digits"), (BACKWARD, name)}
    assert [line for comparison in figures.values() for line in comparison.unexplained] == []


def test_jax_is_left_as_it_was() -> None:
    """Double precision is for our comparison alone."""
    engine = peer("JAX")
    import jax

    before = jax.numpy.asarray(0.1).dtype
    assert engine(Graph((0.1,), (Step("add", (0, Constant(1e-12))),))).loss == 0.1 + 1e-12
    assert jax.numpy.asarray(0.1).dtype == before


# Whether they would see a mistake


def ours_with(name: str, op: Op) -> Engine:
    """Our engine with another row in the place of one of the table."""
    return ours()._replace(functions={**OURS, name: partial(apply, op)})


def scaled(rule: Callable[..., Any], factor: float) -> Callable[..., Any]:
    """A rule that is wrong by a factor."""
    return lambda m, *operands: factor * rule(m, *operands)


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    """Some graphs, in which every row stands several times."""
    return list(smooth_graphs(120, seed=3))


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0, 1.0 + 1e-6, 1.0 + 1e-11])
def test_a_wrong_row_is_seen(name: str, factor: float, subjects: list[Subject]) -> None:
    """Its result, or the derivative by any operand."""
    op = TABLE[name]
    with_row = [subject for subject in subjects if any(step.name == name for step in subject.graph.steps)]
    wrong = [dataclasses.replace(op, forward=scaled(op.forward, factor))]
    for place in range(op.arity):
        partials = [scaled(rule, factor) if place == index else rule for index, rule in enumerate(op.partials)]
        wrong.append(dataclasses.replace(op, partials=tuple(partials)))
    for row in wrong:
        assert any(unexplained(subject, ours_with(name, row)) for subject in with_row), row


def test_swapped_operands_are_seen(subjects: list[Subject]) -> None:
    for name, op in TABLE.items():
        if op.arity == 2 and name not in ("add", "mul", "logaddexp", "maximum", "minimum"):
            swapped = ours()._replace(functions={**OURS, name: lambda x, y, name=name: OURS[name](y, x)})
            assert any(unexplained(subject, swapped) for subject in subjects), name


def test_a_wrong_peer_is_seen(subjects: list[Subject]) -> None:
    """One that is off in the tenth digit of one function, and one whose answers are not numbers."""
    right = ours()
    for wrong in (lambda x: right.functions["tanh"](x) * (1.0 + 1e-10), lambda x: x * math.nan):
        engine = right._replace(functions={**OURS, "tanh": wrong})
        comparison = Comparison()
        for subject in subjects[:40]:
            comparison.add(subject, subject.answer(right), subject.answer(engine))
        with_tanh = [subject for subject in subjects[:40] if "tanh(" in str(subject.graph)]
        assert 0 < len(comparison.unexplained) <= len(with_tanh)
        assert "tanh(" in comparison.unexplained[0]


def test_the_bounds_are_near() -> None:
    """Half of the graphs may be off by 3e-14 at most: an engine that is off by more cannot hide behind conditioning."""
    allowed = []
    for subject in smooth_graphs(100, seed=4):
        answer = subject.answer(ours())
        pairs = zip(answer.with_losses[1:], subject.exact.numbers[1:], strict=True)
        allowed.append(max((SLACK * EPSILON * bound / abs(float(exact)) for bound, exact in pairs if exact), default=0))
    assert np.median(allowed) < 3e-14


# The trial


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the trial would have written, with our engine alone."""
    texts: list[str] = []
    monkeypatch.setattr(report, "write", lambda trial, lines: texts.append(f"{trial}: {lines}"))
    monkeypatch.setattr(differential, "OWN", {BACKWARD: ours})
    monkeypatch.setattr(differential, "PEERS", {"Nobody's": ("no_such_package", ours)})
    return texts


def test_the_trial_writes_its_figures(written: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert differential.main(["--graphs", "5"]) == 0
    (text,) = written
    assert text.startswith("differential: `python -m trials.differential --graphs 5 --seed 0`: 5 random graphs")
    assert "| `backward()`, 50 digits | " in text
    assert "Unexplained: 0." in text
    output = capsys.readouterr()
    assert "| `backward()`, 50 digits | " in output.out
    assert "Without Nobody's: no_such_package is not installed." in output.err


def test_the_trial_fails_and_shows_the_graph_of_a_wrong_rule(
    written: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = dataclasses.replace(TABLE["sub"], forward=lambda m, x, y: x - 1.01 * y)
    monkeypatch.setattr(differential, "OWN", {BACKWARD: lambda: ours_with("sub", wrong)})
    assert differential.main(["--graphs", "10"]) == 1
    assert "Unexplained: 0." not in written[0]
    errors = capsys.readouterr().err
    assert "Unexplained: `backward()`, 50 digits\nv0 = " in errors
    assert "= sub(" in errors


def test_the_trial_asks_for_a_graph(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        differential.main(["--graphs", "0"])
    assert "--graphs: expected 1 or more" in capsys.readouterr().err


# The bounds, by hand


def bounds_of(graph: Graph) -> tuple[float, list[float], bool]:
    return ExactGraph(graph).bounds({})


def test_a_sum_that_cancels_is_bounded_by_its_terms() -> None:
    """(x + 1e7) - 1e7: the first sum is rounded to a last digit of 1e7, the second to one of x."""
    graph = Graph((0.5,), (Step("add", (0, Constant(1e7))), Step("sub", (1, Constant(1e7)))))
    value, gradient, is_smooth = bounds_of(graph)
    assert value == (1e7 + 0.5) + 0.5
    assert gradient == [4.0]  # two local derivatives of 1 and two products with them
    assert is_smooth
    assert not bounds_of(Graph((0.005,), graph.steps))[2]  # where fewer than eight digits are left


def test_an_error_is_carried_on_by_slope_and_curvature() -> None:
    """exp(x + c): the sum is off by its last digit, exp and its derivative by theirs and by |x + c| times that."""
    value, gradient, _ = bounds_of(Graph((2.0,), (Step("add", (0, Constant(3.0))), Step("exp", (1,)))))
    e = math.exp(5.0)
    assert value == pytest.approx(e + 5.0 * e)
    # By exp: its derivative, e + 5 e, and a product, e; then again a derivative of 1 and a product.
    assert gradient == [pytest.approx(e + 5.0 * e + e + e + e)]


def test_terms_of_a_shared_number_are_rounded_as_they_add_up() -> None:
    """x + x + x, as (x + x) + x: the last sum of derivatives is 2 + 1."""
    value, gradient, _ = bounds_of(Graph((1.0,), (Step("add", (0, 0)), Step("add", (1, 0)))))
    assert value == 2.0 + 3.0
    # Each of four edges counts 2, the two inner ones carry what came before, and sums count what is there by then.
    assert gradient[0] == pytest.approx(2.0 + (2.0 + 2.0 + 1.0) + (2.0 + 2.0 + 2.0))


def test_losses_are_added() -> None:
    exact = ExactGraph(Graph((0.5,), (Step("tanh", (0,)),)))
    plain, lossy = exact.bounds({}), exact.bounds({"tanh": lambda x: (10.0, 20.0)})
    assert lossy.value - plain.value == pytest.approx(10.0)
    assert lossy.gradient[0] - plain.gradient[0] == pytest.approx(20.0)


def test_what_is_known_to_be_lost_is_lost() -> None:
    """sigmoid(40) in an engine that has σ(1 - σ): 0 instead of 4e-18 is no surprise there, and one in ours."""
    subject = Subject(Graph((40.0,), (Step("sigmoid", (0,)),)))
    answer = subject.answer(ours())
    nothing = answer._replace(numbers=[answer.numbers[0], 0.0])
    known = nothing._replace(with_losses=[bound + 1.0 for bound in nothing.with_losses])
    comparison = Comparison()
    comparison.add(subject, known, subject.exact)
    assert (comparison.explained, comparison.lost, comparison.unexplained) == (0, 1, [])
    comparison.add(subject, nothing, subject.exact)
    assert len(comparison.unexplained) == 1


# The graphs


def test_graphs_have_every_row_every_kind_of_number_and_shared_results() -> None:
    random = Random(0)
    drawn = [random_graph(random) for _ in range(1000)]
    steps = [step for graph in drawn for step in graph.steps]
    assert set(ARITY) == {step.name for step in steps}
    sides = {(s.name, place) for s in steps for place, o in enumerate(s.operands) if isinstance(o, Constant)}
    assert sides >= {(name, place) for name, arity in ARITY.items() if arity > 1 for place in range(arity)}
    kinds = {type(o.number) for step in steps for o in step.operands if isinstance(o, Constant)}
    assert kinds == {type(kind(1.0)) for kind in KINDS}
    uses = [Counter(o for step in graph.steps for o in step.operands if isinstance(o, int)) for graph in drawn]
    assert sum(max(counts.values(), default=0) > 1 for counts in uses) > 500
    assert all(set(range(len(g.leaves) + len(g.steps) - 1)) == set(c) for g, c in zip(drawn, uses, strict=True))


def test_a_graph_reads_as_python() -> None:
    graph = random_graph(Random(5))
    names: dict[str, Any] = {**OURS, "np": np}
    exec(str(graph), names)
    assert names[f"v{len(graph.leaves) + len(graph.steps) - 1}"] == pytest.approx(graph.run(OURS, graph.leaves))


def test_a_recorded_graph_is_the_graph() -> None:
    for seed in range(20):
        graph = random_graph(Random(seed))
        leaves = [Value(leaf) for leaf in graph.leaves]
        root = graph.run(OURS, leaves)
        again = [Value(leaf) for leaf in graph.leaves]
        other = recorded(root, leaves).run(OURS, again)
        if graph.steps:
            root.backward()
            other.backward()
        assert other.data == root.data
        assert [leaf.grad for leaf in again] == [leaf.grad for leaf in leaves]

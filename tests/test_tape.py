"""The tape against the engine, row by row and on whole graphs, down to infinities, NaNs and the signs of zeros."""

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from recordings import graphs
from support import run_in_threads

from autograd_mini import TABLE, Value, apply, topological_order
from autograd_mini.compiled import tape, tape_loops
from autograd_mini.compiled.scalars import Group, Kind, Scalars, read
from autograd_mini.compiled.tape import Tape
from autograd_mini.ops import Op, arithmetic
from autograd_mini.source_code import tape_backward, tape_forward, tape_kinds

pytest.importorskip("numba")

Array = NDArray[np.float64]

ROWS = [pytest.param(op, id=op.name) for op in TABLE.values()]

HOSTILE = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -2.5, 1e-310, -1e-200, 1e200, -1e200, 710.0, -746.0, math.inf, -math.inf]
HOSTILE.append(math.nan)


def assert_same(got: Any, expected: Any) -> None:
    """Equal to 1e-12 relative, with infinities, NaNs and zeros of either sign in the same places."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=5e-324)
    zeros = (expected == 0) & (got == 0)
    np.testing.assert_array_equal(np.signbit(got)[zeros], np.signbit(expected)[zeros])


def points(op: Op) -> Array:
    """Points of the row's domain and hostile ones, all pairs where it takes two operands: shape (arity, points)."""
    lines = [[*np.linspace(*interval, 9), *HOSTILE] for interval in op.domain]
    return np.array([line.ravel() for line in np.meshgrid(*lines)])


def tape_of(root: Value, *groups: Sequence[Value]) -> Tape:
    """The tape of a recorded graph, differentiated by all groups."""
    named = [(Group(f"group {place}", (len(leaves),)), leaves) for place, leaves in enumerate(groups)]
    return Tape(read([root], named, topological_order(root)), range(len(groups)))


def leaves_of(root: Value) -> list[Value]:
    """In topological order."""
    return [node for node in topological_order(root) if isinstance(node, Value) and node.op is None]


def engine_of(root: Value, leaves: Sequence[Value]) -> tuple[float, list[float]]:
    """Number and gradients."""
    for leaf in leaves:
        leaf.grad = 0.0
    root.backward()
    return root.data, [leaf.grad for leaf in leaves]


def scalars(
    kinds: Sequence[str],
    operands: Sequence[tuple[int, ...]],
    sizes: Sequence[int] = (3,),
    outputs: tuple[int, ...] = (),
    constants: tuple[float, ...] = (),
) -> Scalars:
    """By hand: rows by their names; the output is the last operation, if nothing is said."""
    groups = tuple(Group(f"group {place}", (size,)) for place, size in enumerate(sizes))
    last = sum(sizes) + len(kinds) - 1
    named: list[Kind] = [TABLE.get(kind, kind) for kind in kinds]
    return Scalars(groups, constants, named, list(operands), outputs or (last,))


# Rows


@pytest.mark.parametrize("op", ROWS)
def test_every_row_is_the_engines(op: Op) -> None:
    columns = points(op)
    expected_values, expected_gradients = [], []
    for numbers in columns.T:
        leaves = [Value(number) for number in numbers]
        value, gradient = engine_of(apply(op, *leaves), leaves)
        expected_values.append(value)
        expected_gradients.append(gradient)
    run = Tape(scalars([op.name], [(0, 1)[: op.arity]], [op.arity]), [0])
    values, (gradients,) = run.value_and_grad([columns], columns.shape[1], 1.0)
    assert_same(values, expected_values)
    assert_same(gradients, np.transpose(expected_gradients))
    assert_same(run.value([columns], columns.shape[1]), expected_values)


@pytest.mark.parametrize("constant", [0, 1], ids=["left", "right"])
@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in TABLE.values() if op.arity == 2])
def test_an_operand_may_be_constant(op: Op, constant: int) -> None:
    for number in HOSTILE:
        others = points(op)[1 - constant]
        expected = []
        for other in others:
            leaf = Value(other)
            value, (gradient,) = engine_of(apply(op, *((number, leaf) if constant == 0 else (leaf, number))), [leaf])
            expected.append((value, gradient))
        operands = (~0, 0) if constant == 0 else (0, ~0)
        run = Tape(scalars([op.name], [operands], [1], constants=(number,)), [0])
        values, (gradients,) = run.value_and_grad([others[None]], len(others), 1.0)
        assert_same(np.transpose([values, gradients[0]]), expected)


@pytest.mark.parametrize("op", ROWS)
def test_an_operand_may_be_used_twice(op: Op) -> None:
    for number in points(op)[0]:
        leaf = Value(number)
        value, gradient = engine_of(apply(op, *[leaf] * op.arity), [leaf])
        run = Tape(scalars([op.name], [(0,) * op.arity], [1]), [0])
        values, (gradients,) = run.value_and_grad([np.array([number])], None, 1.0)
        assert_same(values, [value])
        assert_same(gradients, gradient)


@pytest.mark.parametrize("op", ROWS)
def test_an_operand_may_be_used_again(op: Op) -> None:
    """By a later operation, whose share is there when that of the row is added."""
    leaves = [Value((low + 2 * high) / 3) for low, high in op.domain]
    root = apply(op, *leaves)
    for leaf in leaves:
        root = root + leaf
    value, gradient = engine_of(root, leaves)
    values, (gradients,) = tape_of(root, leaves).value_and_grad([np.array([leaf.data for leaf in leaves])], None, 1.0)
    assert_same(values, [value])
    assert_same(gradients, gradient)


def test_a_row_of_ones_own_is_refused_whatever_its_name() -> None:
    mine = Op(name="exp", doc="", forward=lambda m, x: x, partials=(lambda m, out, x: 1.0,))
    with pytest.raises(ValueError, match=r"^Op 'exp': only the rows of the table run on the tape$"):
        Tape(Scalars((Group("x", (1,)),), (), [mine], [(0,)], (1,)), [0])


@pytest.mark.parametrize("kind", ["sum", "dot", "logsumexp"])
def test_operations_on_many_numbers_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=f"^Op '{kind}': only the rows"):
        Tape(scalars([kind], [(0, 1, 2, 0)]), [0])


# Choices and conditions


@pytest.mark.parametrize(
    ("kind", "holds"),
    [("<", lambda x, y: x < y), ("<=", lambda x, y: x <= y), (">", lambda x, y: x > y), (">=", lambda x, y: x >= y)],
)
def test_conditions(kind: str, holds: Callable[[float, float], bool]) -> None:
    run = Tape(scalars([kind, "where"], [(0, 1), (4, 2, 3)], [4]), [0])
    for x in HOSTILE:
        for y in HOSTILE:
            values, (gradient,) = run.value_and_grad([np.array([x, y, 5.0, math.inf])], None, 2.0)
            chosen = holds(x, y)
            assert values.tolist() == [5.0 if chosen else math.inf]
            assert gradient.tolist() == [0.0, 0.0, 2.0 * chosen, 2.0 * (not chosen)]


@pytest.mark.parametrize(("x", "y"), [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
def test_both_conditions(x: float, y: float) -> None:
    kinds, operands = [">", ">", "and", "where"], [(0, ~0), (1, ~0), (4, 5), (6, 2, 3)]
    run = Tape(scalars(kinds, operands, [4], constants=(0.0,)), [0])
    values, (gradient,) = run.value_and_grad([np.array([x, y, 5.0, 7.0])], None, 1.0)
    is_chosen = x > 0 and y > 0
    assert values.tolist() == [5.0 if is_chosen else 7.0]
    assert gradient.tolist() == [0.0, 0.0, float(is_chosen), float(not is_chosen)]


def test_what_was_not_chosen_gets_nothing_where_the_gradient_is_nan() -> None:
    run = Tape(scalars([">", "where", "log"], [(0, 1), (3, 1, 2), (4,)]), [0])
    values, (gradient,) = run.value_and_grad([np.array([1.0, math.nan, 3.0])], None, 1.0)
    assert_same(values, [math.log(3.0)])
    assert_same(gradient, [0.0, 0.0, 1 / 3])
    values, (gradient,) = run.value_and_grad([np.array([1.0, 0.0, 3.0])], None, math.nan)
    assert_same(values, [-math.inf])
    assert_same(gradient, [0.0, math.nan, 0.0])


@pytest.mark.parametrize("condition", [1.0, -1.0])
def test_a_choice_between_a_leaf_and_a_constant(condition: float) -> None:
    for operands, is_leaf in [((2, 1, ~0), condition > 0), ((2, ~0, 1), condition < 0)]:
        run = Tape(scalars([">", "where"], [(0, ~1), operands], [2], constants=(5.0, 0.0)), [0])
        values, (gradient,) = run.value_and_grad([np.array([condition, 7.0])], None, 1.0)
        assert values.tolist() == [7.0 if is_leaf else 5.0]
        assert gradient.tolist() == [0.0, float(is_leaf)]


@pytest.mark.parametrize("condition", [1.0, -1.0])
def test_what_is_chosen_may_be_used_again(condition: float) -> None:
    kinds, operands = [">", "where", "add", "add"], [(0, ~0), (3, 1, 2), (4, 1), (5, 2)]
    run = Tape(scalars(kinds, operands, constants=(0.0,)), [0])
    values, (gradient,) = run.value_and_grad([np.array([condition, 5.0, 7.0])], None, 1.0)
    assert values.tolist() == [17.0 if condition > 0 else 19.0]
    assert gradient.tolist() == [0.0, 1.0 + (condition > 0), 1.0 + (condition < 0)]


# Graphs


@given(graphs())
def test_random_graphs(root: Value) -> None:
    leaves = leaves_of(root)
    value, gradient = engine_of(root, leaves)
    numbers = np.array([leaf.data for leaf in leaves])
    run = tape_of(root, leaves)
    for _ in range(2):  # a run leaves nothing behind
        values, (gradients,) = run.value_and_grad([numbers], None, 1.0)
        assert_same(values, [value])
        assert_same(gradients, gradient)
        assert_same(run.value([numbers], None), [value])


@given(graphs(most=25), st.data())
def test_random_graphs_by_some_of_their_leaves(root: Value, data: st.DataObject) -> None:
    leaves = leaves_of(root)
    value, gradient = engine_of(root, leaves)
    group = [data.draw(st.integers(0, 3)) for _ in leaves]  # 3: a constant
    groups = [[leaf for leaf, place in zip(leaves, group, strict=True) if place == each] for each in range(3)]
    wanted = data.draw(st.sampled_from([(0,), (2, 0), (1, 2), (0, 1, 2), ()]))
    named = [(Group(f"group {place}", (len(each),)), each) for place, each in enumerate(groups)]
    run = Tape(read([root], named, topological_order(root)), wanted)
    arrays = [np.array([leaf.data for leaf in each]) for each in groups]
    values, gradients = run.value_and_grad(arrays, None, 1.0)
    expected = [[number for number, place in zip(gradient, group, strict=True) if place == each] for each in wanted]
    assert_same(values, [value])
    for got, right in zip(gradients, expected, strict=True):
        assert_same(got, right)


def test_a_deep_chain() -> None:
    leaves = [Value(0.5), Value(1.0), Value(1e-6)]
    x, a, b = leaves
    for _ in range(33_333):
        x = x.sin() * a + b
    value, gradient = engine_of(x, leaves)
    values, (gradients,) = tape_of(x, leaves).value_and_grad([np.array([0.5, 1.0, 1e-6])], None, 1.0)
    assert_same(values, [value])
    assert_same(gradients, gradient)


def test_a_wide_sum() -> None:
    leaves = [Value(number / 7) for number in range(20_000)]
    total = sum((leaf * leaf for leaf in leaves), start=leaves[0])
    value, gradient = engine_of(total, leaves)
    values, (gradients,) = tape_of(total, leaves).value_and_grad([np.arange(20_000) / 7], None, 1.0)
    assert_same(values, [value])
    assert_same(gradients, gradient)


def test_what_the_output_does_not_depend_on_spoils_nothing() -> None:
    # 1 / x is inf at 0, and 0 times its derivative NaN: the engine never comes there.
    program = scalars(["div", "mul", "exp", "log"], [(~0, 0), (1, 2), (4,), (3,)], [3], (4, 3, 5, 6), (1.0,))
    run = Tape(program, [0])
    array = np.array([0.0, 2.0, 3.0])
    values, (gradient,) = run.value_and_grad([array], None, 1.0)
    assert values.tolist() == [6.0]
    assert gradient.tolist() == [0.0, 3.0, 2.0]
    assert_same(run.outputs([array], None), [[6.0, math.inf, math.exp(6.0), math.inf]])


@pytest.mark.parametrize("wanted", [(0, 1), (0,), (1,)])
def test_an_output_that_is_a_leaf(wanted: tuple[int, ...]) -> None:
    run = Tape(scalars(["exp"], [(0,)], [2, 1], (1, 3, 2, ~0), (8.0,)), wanted)
    arrays = [np.array([1.0, 2.0]), np.array([3.0])]
    for _ in range(2):
        values, gradients = run.value_and_grad(arrays, None, 1.0)
        assert values.tolist() == [2.0]
        expected = [[0.0, 1.0], [0.0]]
        assert [each.tolist() for each in gradients] == [expected[group] for group in wanted]
    assert run.outputs(arrays, None).tolist() == [[2.0, math.exp(1.0), 3.0, 8.0]]


def test_an_output_that_is_constant() -> None:
    run = Tape(scalars([], [], [2], (~1,), (8.0, 9.0)), [0])
    for _ in range(2):
        values, (gradient,) = run.value_and_grad([np.zeros(2)], None, 1.0)
        assert (values.tolist(), gradient.tolist()) == ([9.0], [0.0, 0.0])


def test_an_output_that_depends_on_nothing_wanted() -> None:
    run = Tape(scalars(["exp", "mul"], [(1,), (2, 1)], [1, 1]), [0])
    for _ in range(2):
        values, (gradient,) = run.value_and_grad([np.ones(1), np.ones(1)], None, 1.0)
        assert_same(values, [math.e])
        assert gradient.tolist() == [0.0]


# Batches

PRODUCT = scalars(["mul", "mul", "sin", "mul", "add"], [(0, 2), (1, 3), (6,), (5, 7), (8, 4)], [2, 2, 1])
"""x₀ y₀ sin(x₁ y₁) + z"""


def product(x: Array, y: Array, z: Array) -> tuple[Array, list[Array]]:
    """The same by hand, for each sample: value (B,) and derivatives (size, B)."""
    angle = x[1] * y[1]
    outer, inner = np.sin(angle), x[0] * y[0] * np.cos(angle)
    return x[0] * y[0] * outer + z[0], [
        np.array([y[0] * outer, y[1] * inner]),
        np.array([x[0] * outer, x[1] * inner]),
        np.ones((1, len(angle))),
    ]


@pytest.mark.parametrize("is_batched", list(itertools.product([False, True], repeat=3)))
def test_batches(is_batched: tuple[bool, bool, bool]) -> None:
    draw = np.random.default_rng(0)
    batch = 5 if any(is_batched) else None
    arrays = [draw.normal(size=(size, 5) if each else size) for size, each in zip((2, 2, 1), is_batched, strict=True)]
    full = [array if array.ndim == 2 else np.repeat(array[:, None], batch or 1, axis=1) for array in arrays]
    expected_values, expected = product(*full)
    values, gradients = Tape(PRODUCT, (2, 0, 1)).value_and_grad(arrays, batch, 0.2)
    assert_same(values, expected_values)
    for group, got in zip((2, 0, 1), gradients, strict=True):
        assert_same(got, 0.2 * (expected[group] if is_batched[group] else expected[group].sum(axis=1)))
        assert got.flags.c_contiguous


def test_arrays_may_lie_in_memory_as_they_like() -> None:
    draw = np.random.default_rng(1)
    x, y, z = draw.normal(size=(5, 4))[::2, 1:3].T, draw.normal(size=4)[::-2], np.ones(1, dtype=np.int64)
    y.flags.writeable = False
    run = Tape(PRODUCT, (0, 1))
    expected = run.value_and_grad([x.copy(), y.copy(), np.ones(1)], 3, 1.0)
    got = run.value_and_grad([x, y, z], 3, 1.0)
    assert_same(got[0], expected[0])
    assert_same(got[1][0], expected[1][0])
    assert_same(got[1][1], expected[1][1])


def test_a_batch_of_nothing() -> None:
    values, gradients = Tape(PRODUCT, (0, 1)).value_and_grad([np.ones((2, 0)), np.ones(2), np.ones(1)], 0, 1.0)
    assert values.shape == (0,)
    assert gradients[0].shape == (2, 0)
    assert gradients[1].tolist() == [0.0, 0.0]


def test_all_outputs_of_a_batch() -> None:
    run = Tape(scalars(["exp", "mul"], [(0,), (2, 1)], [1, 1], (3, 0, 2)), [0])
    found = run.outputs([np.array([[0.0, 1.0]]), np.array([2.0])], 2)
    assert_same(found, [[2.0, 0.0, 1.0], [2 * math.e, 1.0, math.e]])


def test_float32_in_and_out() -> None:
    run = Tape(scalars(["mul"], [(0, 1)], [2]), [0], np.float32)
    values, (gradient,) = run.value_and_grad([np.array([1e30, 0.1], dtype=np.float32)], None, 1.0)
    assert values.dtype == gradient.dtype == np.float32
    np.testing.assert_allclose(values, [1e29], rtol=1e-6)
    np.testing.assert_allclose(gradient, [0.1, 1e30], rtol=1e-6)
    large = np.array([1e30, 1e30], dtype=np.float32)
    assert run.value([large], None).tolist() == [math.inf]
    assert run.outputs([large], None).dtype == np.float32


def test_threads_may_share_a_tape() -> None:
    run = Tape(PRODUCT, (0,))
    arrays = [[np.full((2, 2_000), float(index)), np.ones(2), np.zeros(1)] for index in range(4)]
    expected = [run.value_and_grad(each, 2_000, 1.0) for each in arrays]

    def work(index: int) -> None:
        for _ in range(20):
            values, gradients = run.value_and_grad(arrays[index], 2_000, 1.0)
            assert_same(values, expected[index][0])
            assert_same(gradients[0], expected[index][1][0])

    run_in_threads(work)


# What stands behind it


def test_without_numba_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    tape._compiled_loops.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r"needs numba: pip install 'autograd-mini\[numba\]'$"):
        Tape(PRODUCT, [0])
    monkeypatch.undo()
    assert_same(Tape(PRODUCT, [0]).value([np.ones(2), np.ones(2), np.zeros(1)], None), [math.sin(1.0)])


def test_the_numbers_of_kinds_are_those_of_the_table() -> None:
    assert list(tape_loops.KINDS) == tape_kinds(TABLE) == ["where", "<", "<=", ">", ">=", "and", *TABLE]


def test_the_branches_of_a_row_by_hand() -> None:
    rows = {"mul": TABLE["mul"]}
    forward, backward = tape_forward(rows, arithmetic), tape_backward(rows, arithmetic)
    assert forward.splitlines()[:6] == [
        "if kind == 0:  # where",
        "    condition = values[operands[place]]",
        "    x = values[operands[place + 1]]",
        "    y = values[operands[place + 2]]",
        "    place += 3",
        "    data = x if condition > 0.0 else y",
    ]
    assert forward.splitlines()[-5:] == [
        "elif kind == 6:  # mul",
        "    x = values[operands[place]]",
        "    y = values[operands[place + 1]]",
        "    place += 2",
        "    data = x * y",
    ]
    assert backward.splitlines() == [
        "if kind == 0:  # where",
        "    place -= 3",
        "    if values[operands[place]] > 0.0:",
        "        if wanted & 1:",
        "            adjoints[operands[place + 1]] += gradient",
        "    else:",
        "        if wanted & 2:",
        "            adjoints[operands[place + 2]] += gradient",
        "elif kind == 6:  # mul",
        "    place -= 2",
        "    x = values[operands[place]]",
        "    y = values[operands[place + 1]]",
        "    if wanted & 1:",
        "        adjoints[operands[place]] += gradient * y",
        "    if wanted & 2:",
        "        adjoints[operands[place + 1]] += gradient * x",
        "else:  # a condition has none",
        "    place -= 2",
    ]

"""Reading a recorded graph: order, leaves, pullback and replay, against references written here the slow way."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autograd_mini.graph import Node, Replay, differentiate_again, leaves, pullback, topological_order
from autograd_mini.high_precision import mpmath_arithmetic
from autograd_mini.ops import Op, evaluate, row
from autograd_mini.value import VALUE, Value, apply

# Random graphs, and their derivatives as sums over paths


class Step(NamedTuple):
    """An operation on earlier numbers of a graph, by their places, or on constants."""

    name: str
    operands: tuple[int | float, ...]


class Recipe(NamedTuple):
    """The numbers of the leaves, and what is done to them; the last step gives the root."""

    numbers: list[float]
    steps: list[Step]


LOCAL: dict[str, Callable[..., tuple[float, ...]]] = {
    "add": lambda x, y: (1.0, 1.0),
    "sub": lambda x, y: (1.0, -1.0),
    "mul": lambda x, y: (y, x),
    "div": lambda x, y: (1 / y, -x / y**2),
    "neg": lambda x: (-1.0,),
    "sin": lambda x: (math.cos(x),),
    "tanh": lambda x: (1 / math.cosh(x) ** 2,),
}
"""The local derivatives, by hand."""


@st.composite
def recipes(draw: st.DrawFn, most_steps: int = 10) -> Recipe:
    """Graphs of up to three leaves, with operands used often, and constants (a fraction apart) on either side."""
    numbers = draw(st.lists(st.sampled_from([-2.0, -0.75, 0.5, 1.0, 1.5, 3.0]), min_size=1, max_size=3))
    steps: list[Step] = []
    for index in range(draw(st.integers(1, most_steps))):
        name = draw(st.sampled_from(sorted(LOCAL)))
        earlier = st.integers(0, len(numbers) + index - 1)
        operands: tuple[int | float, ...] = (draw(earlier),)
        if row(name).arity == 2:
            other = draw(earlier | st.sampled_from([-1.25, 0.5, 2.5]))
            operands = draw(st.permutations([operands[0], other]).map(tuple))
        steps.append(Step(name, operands))
    return Recipe(numbers, steps)


def build(recipe: Recipe) -> list[Value]:
    """The recipe recorded: every leaf, then every result."""
    nodes = [Value(number) for number in recipe.numbers]
    for name, operands in recipe.steps:
        chosen: list[Any] = [nodes[operand] if isinstance(operand, int) else operand for operand in operands]
        nodes.append(apply(row(name), *chosen))
    return nodes


def path_sum(recipe: Recipe, data: Sequence[float], result: int, source: int, size: Callable[[float], float]) -> float:
    """The derivative of one number by another: every path between them, each the product of its local derivatives."""
    if result == source:
        return 1.0
    if result < len(recipe.numbers):
        return 0.0
    name, operands = recipe.steps[result - len(recipe.numbers)]
    numbers = [data[operand] if isinstance(operand, int) else operand for operand in operands]
    return sum(
        size(local) * path_sum(recipe, data, operand, source, size)
        for operand, local in zip(operands, LOCAL[name](*numbers), strict=True)
        if isinstance(operand, int)
    )


@given(recipe=recipes())
def test_backward_and_pullback_equal_the_sum_over_paths(recipe: Recipe) -> None:
    nodes = build(recipe)
    data = [node.data for node in nodes]
    assume(all(math.isfinite(number) and abs(number) > 1e-3 for number in data))
    root = nodes[-1]
    pulled = pullback(root, nodes)
    assert all(node.grad == 0.0 for node in nodes)
    root.backward()
    for source, node in enumerate(nodes):
        # Terms may cancel, so the error is measured against the sum of their sizes.
        scale = path_sum(recipe, data, len(nodes) - 1, source, abs)
        assume(scale < 1e100)
        exact = path_sum(recipe, data, len(nodes) - 1, source, float)
        assert abs(node.grad - exact) <= 1e-13 * scale
        assert abs(pulled[source] - exact) <= 1e-13 * scale


@given(recipe=recipes())
def test_pullback_adds_nothing_to_any_gradient(recipe: Recipe) -> None:
    nodes = build(recipe)
    for index, node in enumerate(nodes):
        node.grad = float(index)
    pullback(nodes[-1], nodes)
    topological_order(nodes[-1])
    assert [node.grad for node in nodes] == [float(index) for index in range(len(nodes))]


# Order


def visit(node: Node, order: list[Node]) -> list[Node]:
    """The nodes down to a node, operands first and the left one before the right, by plain recursion."""
    for operand in node.operand_nodes():
        if operand not in order:
            visit(operand, order)
    order.append(node)
    return order


@given(recipe=recipes(most_steps=20))
def test_topological_order(recipe: Recipe) -> None:
    """Operands first, the left before the right, each node once; the same after any other walk."""
    nodes = build(recipe)
    root = nodes[-1]
    order = topological_order(root)
    assert order == visit(root, [])
    place = {id(node): index for index, node in enumerate(order)}
    assert len(place) == len(order)
    assert all(place[id(operand)] < place[id(node)] for node in order for operand in node.operand_nodes())
    for other in nodes:
        topological_order(other)
    root.backward()
    assert topological_order(root) == order
    assert leaves(root) == [node for node in order if node.op is None]


def test_order_by_hand() -> None:
    x, y, z = Value(1.0), Value(2.0), Value(3.0)
    right = y * z
    left = x + right
    root = left * right
    assert topological_order(root) == [x, y, z, right, left, root]
    assert leaves(root) == [x, y, z]
    assert topological_order(left) == [x, y, z, right, left]
    assert topological_order(x) == [x] == leaves(x)


def test_operands_used_twice_stand_once_in_the_order_and_twice_in_parents() -> None:
    x = Value(3.0)
    square = x * x
    assert topological_order(square) == [x, square]
    assert square.parents == square.operands == square.operand_nodes() == (x, x)
    assert square.partials == (3.0, 3.0)


def test_a_deep_graph_and_a_wide_one() -> None:
    x = Value(0.0)
    deep = x
    for _ in range(50_000):
        deep = 1.0 + deep
    assert len(topological_order(deep)) == 50_001
    assert pullback(deep, [x]) == [1.0]
    many = [Value(float(index)) for index in range(1000)]
    wide: Any = sum(many)
    assert leaves(wide) == many


def test_operands_partials_and_parents_with_a_constant_on_either_side() -> None:
    x = Value(3.0)
    for result, operands, partials in (
        (x - 2, (x, 2.0), (1.0,)),
        (2 - x, (2.0, x), (-1.0,)),
        (x * 5, (x, 5.0), (5.0,)),
        (5 * x, (5.0, x), (5.0,)),
        (x / 4, (x, 4.0), (0.25,)),
        (6 / x, (6.0, x), (-6 / 9,)),
        (x**2, (x, 2.0), (6.0,)),
        (2**x, (2.0, x), (8 * math.log(2),)),
        (x + 0, (x, 0.0), (1.0,)),
        (x.maximum(4), (x, 4.0), (0.0,)),
        (-x, (x,), (-1.0,)),
        (x.exp(), (x,), (math.exp(3),)),
    ):
        assert result.operands == operands
        assert result.parents == (x,) == result.operand_nodes()
        assert result.partials == partials
        assert all(isinstance(operand, Value | float) for operand in result.operands)


# Pullback


def test_pullback_by_hand() -> None:
    x, y, unused = Value(2.0), Value(5.0), Value(1.0)
    inner = x * y
    root = inner * inner + x
    # root = x²y² + x: by x 2xy² + 1, by y 2x²y, by inner 2xy.
    assert pullback(root, [x, y, inner, root, unused]) == [101.0, 40.0, 20.0, 1.0, 0.0]
    assert pullback(root, [x, x], seed=-2.0) == [-202.0, -202.0]
    assert pullback(root, []) == []
    assert pullback(x, [x, y], seed=3.0) == [3.0, 0.0]
    assert pullback(root, iter([y])) == [40.0]


def test_pullback_with_partials_that_are_recorded_gives_second_derivatives() -> None:
    x, y = Value(2.0), Value(5.0)
    root = x * x * y

    def partials(node: Node) -> list[Any]:
        assert node.op is not None
        return [rule(VALUE, node, *node.operands) for rule in node.op.partials]

    by_x, by_y = pullback(root, [x, y], 1.0, partials)
    assert (by_x.data, by_y.data) == (20.0, 4.0)
    assert pullback(by_x, [x, y]) == [10.0, 4.0]
    assert pullback(by_y, [x, y]) == [4.0, 0.0]
    assert (x.grad, y.grad) == (0.0, 0.0)


# Replay

PRECISE = mpmath.mp.clone()
PRECISE.dps = 50

MPMATH = mpmath_arithmetic(PRECISE)


def run_precisely(rule: Callable[..., Any], *operands: Any) -> Any:
    """A rule on 50-digit numbers."""
    return rule(MPMATH, *operands)


@given(recipe=recipes(most_steps=20))
def test_replay_on_floats_reproduces_every_number(recipe: Recipe) -> None:
    nodes = build(recipe)
    root = nodes[-1]
    inputs = nodes[: len(recipe.numbers)]
    found = Replay(root, inputs)([node.data for node in inputs], evaluate, float)
    for node in topological_order(root):
        assert repr(found[id(node)]) == repr(node.data)  # type: ignore[attr-defined]


@given(recipe=recipes(most_steps=20), moved=st.lists(st.sampled_from([-1.5, 0.25, 2.0]), min_size=3, max_size=3))
def test_replay_at_other_numbers_equals_recording_again(recipe: Recipe, moved: list[float]) -> None:
    nodes = build(recipe)
    count = len(recipe.numbers)
    again = build(recipe._replace(numbers=moved[:count]))
    found = Replay(nodes[-1], nodes[:count])(moved[:count], evaluate, float)
    assert repr(found[id(nodes[-1])]) == repr(again[-1].data)


def worked_graph() -> tuple[Value, list[Value]]:
    """exp(sin(3 x + y)) / y − 2^x, with constants on both sides."""
    x, y = Value(0.7), Value(1.3)
    return (3 * x + y).sin().exp() / y - 2**x, [x, y]


def exact_function(x: Any, y: Any) -> Any:
    """The same in mpmath's own functions."""
    return PRECISE.exp(PRECISE.sin(3 * x + y)) / y - PRECISE.mpf(2) ** x


def test_replay_at_50_digits() -> None:
    root, inputs = worked_graph()
    numbers = [PRECISE.mpf(leaf.data) for leaf in inputs]
    found = Replay(root, inputs)(numbers, run_precisely, PRECISE.mpf)[id(root)]
    assert abs(found - exact_function(*numbers)) < 1e-48
    assert float(found) == pytest.approx(root.data, rel=1e-15)


def test_replay_keeps_the_leaves_that_are_no_inputs() -> None:
    root, (x, y) = worked_graph()
    found = Replay(root, [y])([2.0], evaluate, float)
    assert found[id(root)] == pytest.approx(float(exact_function(x.data, 2.0)), rel=1e-15)
    assert found[id(x)] == 0.7


def test_replay_of_an_inner_node_and_of_the_root_itself() -> None:
    x = Value(3.0)
    inner = x * x
    root = inner + 1.0
    assert Replay(root, [inner])([5.0], evaluate, float)[id(root)] == 6.0
    assert Replay(root, [root])([5.0], evaluate, float)[id(root)] == 5.0
    assert Replay(x, [x])([5.0], evaluate, float)[id(x)] == 5.0


def test_replay_keeps_recorded_constants_and_not_later_data() -> None:
    x = Value(3.0)
    root = x * 2.0
    replay = Replay(root, [x])
    x.data = 100.0
    assert replay([4.0], evaluate, float)[id(root)] == 8.0
    assert replay([5.0], evaluate, float)[id(root)] == 10.0


def test_replay_converts_constants_and_leaves_that_are_no_inputs() -> None:
    """On fractions: one float among them would make the result a float."""
    x, y = Value(0.5), Value(0.25)
    root = (2 - x * 3) / y

    def run(rule: Callable[..., Any], *operands: Any) -> Any:
        return rule(None, *operands)

    found = Replay(root, [x])([Fraction(1, 3)], run, Fraction)[id(root)]
    assert (type(found), found) == (Fraction, 4)
    assert Replay(root, [x])([Fraction(1, 7)], run, Fraction)[id(root)] == Fraction(44, 7)


def test_differentiate_again_at_50_digits() -> None:
    root, inputs = worked_graph()

    def partial(op: Op, index: int, out: Any, numbers: list[Any]) -> Any:
        return op.partials[index](MPMATH, out, *numbers)

    found = differentiate_again(root, inputs, run=run_precisely, convert=PRECISE.mpf, partial=partial)
    point = tuple(PRECISE.mpf(leaf.data) for leaf in inputs)
    assert abs(found[0] - PRECISE.diff(exact_function, point, (1, 0))) < 1e-40
    assert abs(found[1] - PRECISE.diff(exact_function, point, (0, 1))) < 1e-40
    assert [float(number) for number in found] == pytest.approx(pullback(root, inputs), rel=1e-14)

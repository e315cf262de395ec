"""Copies and pickles of graphs: case 8 of the list of hostile cases."""

import copy
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from support import DEEP, chain, fields, run_in_threads

from autograd_mini import graph
from autograd_mini.ops import Op
from autograd_mini.value import Value, apply


def pickled(thing: Any) -> Any:
    """The thing, written and read back."""
    return pickle.loads(pickle.dumps(thing))


COPIES = [pytest.param(copy.deepcopy, id="deepcopy"), pytest.param(pickled, id="pickle")]


@pytest.mark.parametrize("duplicate", COPIES)
def test_case_8_a_deep_graph_is_copied_and_its_copy_differentiated(duplicate: Callable[[Any], Any]) -> None:
    x = Value(2.0, label="x")
    y = chain(x, DEEP // 2) * 3.0
    y = chain(y, DEEP // 2) * x
    twin = duplicate(y)
    assert twin is not y
    twin.backward()
    (twin_leaf,) = graph.leaves(twin)
    assert (twin.data, twin_leaf.label, twin_leaf._data) == (y.data, "x", 2.0)
    # y = (3 (x + n) + n) x at 2, so its derivative is 3 (x + n) + n + 3 x.
    assert twin_leaf._grad == 3 * (2 + DEEP / 2) + DEEP / 2 + 6
    assert (x.grad, y.grad) == (0.0, 0.0)
    assert len(graph.topological_order(twin)) == len(graph.topological_order(y)) == DEEP + 3


def test_case_8_repr_of_a_deep_graph_is_short() -> None:
    assert repr(chain(Value(0.0), DEEP)) == "Value(data=100000.0, grad=0.0, op=add)"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_case_8_every_pickle_protocol(protocol: int) -> None:
    x, y = Value(2.0, label="x"), Value(math.inf)
    x.grad = -0.0
    root = (x * y).exp() + x**2 - 1
    twin = pickle.loads(pickle.dumps(chain(root, 2000), protocol))
    for mine, copied in zip(graph.topological_order(chain(root, 2000)), graph.topological_order(twin), strict=True):
        assert repr(copied) == repr(mine)
        assert copied.op is mine.op
        assert repr(copied.operands) == repr(mine.operands)
        assert repr(copied.partials) == repr(mine.partials)


@pytest.mark.parametrize("duplicate", COPIES)
def test_case_8_values_of_one_list_go_on_sharing_their_nodes(duplicate: Callable[[Any], Any]) -> None:
    x = Value(2.0)
    square = x * x
    first, second = square + 1.0, square * 3.0
    for names in itertools.permutations(["x", "square", "first", "second"]):
        mine = {"x": x, "square": square, "first": first, "second": second}
        twin = dict(zip(names, duplicate([mine[name] for name in names]), strict=True))
        assert twin["x"] is not x
        assert twin["first"].parents[0] is twin["square"] is twin["second"].parents[0]
        assert twin["square"].parents == (twin["x"], twin["x"])
        twin["second"].backward()
        assert (twin["x"].grad, x.grad) == (12.0, 0.0)


def test_case_8_copy_shares_its_operands() -> None:
    x = Value(3.0)
    y = x * x
    y.label = "y"
    y.grad = 7.0
    twin = copy.copy(y)
    assert twin is not y
    assert fields(twin)[:-1] == fields(y)[:-1]
    twin.label = "twin"
    twin.backward()
    assert (x.grad, y.label, y.grad, twin.grad) == (6.0, "y", 7.0, 1.0)
    leaf = copy.copy(x)
    leaf.backward()
    assert (leaf.grad, x.grad, leaf.op) == (7.0, 6.0, None)


class Weight(Value):
    """A Value that carries more."""

    def __init__(self, data: float, history: list[float]) -> None:
        super().__init__(data, label="weight")
        self.history = history


@pytest.mark.parametrize("duplicate", [*COPIES, pytest.param(copy.copy, id="copy")])
def test_case_8_a_subclass_keeps_its_kind_and_attributes(duplicate: Callable[[Any], Any]) -> None:
    weight = Weight(2.0, [1.0])
    weight.grad = 5.0
    twin = duplicate(weight)
    assert type(twin) is Weight
    assert twin is not weight
    assert (twin.data, twin.grad, twin.label, twin.history) == (2.0, 5.0, "weight", [1.0])
    twin.history = []
    assert weight.history == [1.0]


@pytest.mark.parametrize("duplicate", COPIES)
def test_case_8_attributes_of_a_deep_copy_are_copied_too(duplicate: Callable[[Any], Any]) -> None:
    weight = Weight(2.0, [1.0])
    twin = duplicate(weight * 3.0).parents[0]
    twin.history.append(2.0)
    assert weight.history == [1.0]


def test_case_8_attributes_may_lead_back_to_their_value() -> None:
    weight = Weight(2.0, [])
    vars(weight)["self"] = weight
    assert vars(pickled(weight))["self"].data == 2.0
    twin = copy.deepcopy(weight)
    assert vars(twin)["self"] is twin


def test_operations_on_a_subclass_give_values() -> None:
    weight = Weight(2.0, [])
    for result in (weight + 1, 1 + weight, weight * weight, 2 * weight, weight.exp(), -weight, weight.detach()):
        assert type(result) is Value
    (weight * weight).backward()
    assert weight.grad == 4.0


MINE = Op(name="mine", forward=lambda m, x: 3.0 * x, partials=(lambda m, out, x: 3.0,), doc="3 x.")


def test_case_8_a_graph_with_an_op_of_ones_own_is_not_pickled() -> None:
    root = apply(MINE, Value(1.0)) + 1.0
    with pytest.raises(TypeError, match="Op mine: only the rows of the table can be pickled"):
        pickle.dumps(root)


def test_case_8_a_graph_with_an_op_of_ones_own_is_copied() -> None:
    root = apply(MINE, Value(1.0)) + 1.0
    twin = copy.deepcopy(root)
    twin.backward()
    assert twin.parents[0].op is MINE
    assert graph.leaves(twin)[0]._grad == 3.0


def test_case_8_pickling_after_a_failed_pickling() -> None:
    x = Value(1.0)
    deep = chain(x, DEEP)
    for unpicklable in (apply(MINE, deep) + 1.0, (apply(MINE, x) + deep) + 1.0, (deep + apply(MINE, x)) + 1.0):
        with pytest.raises(TypeError, match="Op mine"):
            pickle.dumps(unpicklable)
        assert pickled(deep).data == DEEP + 1
        assert pickled(deep.parents[0]).data == DEEP


def test_case_8_pickling_in_several_threads() -> None:
    roots = [chain(Value(float(index)), 5000) for index in range(4)]

    def work(index: int) -> None:
        for _ in range(5):
            assert pickled(roots[index]).data == index + 5000

    run_in_threads(work)


def test_case_8_a_graph_in_an_attribute_does_not_make_a_pickle_quadratic() -> None:
    """Pickling the inner graph interrupts the outer one, whose nodes must not be announced all over again."""
    weight = Weight(1.0, [])
    weight.history.append(Value(2.0) * 3)  # type: ignore[arg-type]
    y: Value = weight
    for _ in range(4000):
        y = y + 1.0
    assert len(pickle.dumps(y)) < 1_000_000

"""The engine beside a naive one, in any order of calls; and mistakes planted in it, each of which is found."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import naive_engine
import numpy as np
import pytest
from engine_machine import counts, run
from naive_engine import Number
from trials import state_machine

import nn
from autograd_mini import Value, copies, engine, functional, graph
from autograd_mini.graph import Labelled, Node
from autograd_mini.ops import evaluate


def test_the_engine_is_what_the_naive_one_is() -> None:
    counts.clear()
    run(machines=80, steps=60, seed=7)
    assert counts["nodes where a dead one had been"] > 100
    assert counts["gradients that nobody can say"] < counts["nodes compared"] / 1000


def test_the_trial_says_what_was_done() -> None:
    figures = dict(state_machine.run(machines=3, steps=20, seed=0))
    assert figures["nodes compared"] > 60
    page = state_machine.page({"interpreted": figures, "compiled": {"backward": 1_000_000}}, "the command")
    assert f"| backward | {figures.get('backward', 0)} | 1,000,000 |\n" in page
    assert " steps interpreted and 1,000,000 steps compiled, after each of which" in page


# The reference itself


def test_the_naive_engine_on_the_chain_rule_by_hand() -> None:
    x, y = Number(3.0), Number(-2.0)
    product = naive_engine.record("mul", x, y)
    total = naive_engine.record("add", naive_engine.record("mul", product, x), 1.0)  # x²y + 1
    assert (product.data, total.data) == (-6.0, -17.0)
    for times in (1, 2):
        naive_engine.backward(total)
        assert (x.grad, y.grad, product.grad, total.grad) == (-12.0 * times, 9.0 * times, 3.0, 1.0)
    x.data = 100.0
    naive_engine.backward(total)
    assert (x.grad, y.grad) == (-36.0, 27.0)
    (again,) = naive_engine.deep_copies([total])
    naive_engine.backward(again)
    assert (x.grad, again.data) == (-36.0, -17.0)
    assert naive_engine.order(total)[:3] == [x, y, product]


# Mistakes that are planted

Partials = Callable[[Node], Sequence[float]]


def recorded(node: Node) -> Sequence[float]:
    """The derivatives by the operands that are nodes."""
    return node.partials


def of_today(node: Node) -> Sequence[float]:
    """Computed when they are needed, from the numbers that are there by then."""
    if node.op is None:
        return []
    operands = zip(node.op.partials, node.operands, strict=True)
    numbers = [float(operand) for operand in node.operands]  # type: ignore[arg-type]
    return [evaluate(rule, node._data, *numbers) for rule, operand in operands if isinstance(operand, Node)]


def by_breadth(root: Any) -> list[Any]:
    """Every node once, but not each after all of its operands."""
    order = [root]
    for node in order:
        order += [operand for operand in node.operand_nodes() if operand not in order]
    return order[::-1]


def a_backward_pass(
    *,
    adds: bool = True,
    forgets_leaves: bool = False,
    reset: Callable[[float], float] = lambda _: 0.0,
    partials: Partials = recorded,
    in_order: Callable[[Any], list[Any]] = engine.in_order,
    root_gradient: float = 1.0,
) -> Callable[[pytest.MonkeyPatch], None]:
    """Plants a plain backward pass, which is right unless it is told otherwise."""

    def backpropagate(root: Any) -> None:
        order = in_order(root)
        for node in order:
            if node.op is not None or forgets_leaves:
                node._grad = reset(node._grad)
        root._grad = root_gradient if root.op is not None else root._grad + root_gradient
        for node in reversed(order):
            for operand, partial in zip(node.operand_nodes(), partials(node), strict=True):
                contribution = node._grad * partial
                operand._grad = operand._grad + contribution if adds else contribution

    return lambda monkeypatch: monkeypatch.setattr(engine, "backpropagate", backpropagate)


def setter(name: str, change: Callable[[Any, Any], None]) -> Callable[[pytest.MonkeyPatch], None]:
    """Plants what happens when an attribute of a Value is set."""
    whole = getattr(Value, name)
    return lambda monkeypatch: monkeypatch.setattr(Value, name, property(whole.fget, change))


def member(owner: Any, name: str, wrong: Callable[..., Any]) -> Callable[[pytest.MonkeyPatch], None]:
    """Plants a function, which is handed the right one first."""
    right = getattr(owner, name)

    @wraps(right)  # a pickle refers to some by name
    def planted(*arguments: Any, **options: Any) -> Any:
        return wrong(right, *arguments, **options)

    return lambda monkeypatch: monkeypatch.setattr(owner, name, planted)


def changes_in_place(x: Any, other: Any) -> Any:
    x._data += float(other)
    return x


def set_data_and_results(x: Any, number: float) -> None:
    """As if results held their operands' numbers by reference: those that were recorded change."""
    x._left_partial *= 2.0
    x._data = engine.to_float(number, "data")


def set_data_rounded(x: Any, number: float) -> None:
    x._data = float(np.float32(engine.to_float(number, "data")))


def set_label_only(x: Any, text: str) -> None:
    x._row = Labelled(None, graph.checked_label(text, "label"))


def shares_leaves(deep: Callable[..., Any], root: Any, memo: dict[int, Any]) -> Any:
    memo.update({id(leaf): leaf for leaf in graph.leaves(root)})
    return deep(root, memo)


def loses_gradients(fields: Callable[..., Any], node: Any) -> Any:
    kind, data, _, *rest = fields(node)
    return kind, data, 0.0, *rest


def loses_labels(restore: Callable[..., Any], fields: Any, left: Any, right: Any) -> Any:
    *before, row, left_partial, right_partial = fields
    row = row.op if isinstance(row, Labelled) and row.op else row
    return restore((*before, row, left_partial, right_partial), left, right)


def misses_one(_: object, module: nn.Module) -> None:
    for parameter in module.parameters()[:-1]:
        parameter.grad = 0.0


def hand_out_a_living_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were taken for a spare one: what stood in it is overwritten."""
    handed_out: list[Any] = []

    def wrong(recorder: Callable[[Any], Any], node: Any) -> Any:
        result = recorder(node)
        handed_out.append(result)
        engine.fill(handed_out[0], result._data, 0.0, result._row, node, None, result._left_partial)
        return handed_out[0]

    for row in ("exp", "sin", "cos", "tanh", "sigmoid", "relu"):
        member(engine, row, wrong)(monkeypatch)


def harm_when_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a number were looked at after it is used."""

    def wrong(maximum: Callable[..., Any], x: Any, other: Any) -> Any:
        x._grad += isinstance(other, (str, type(None)))
        return maximum(x, other)

    def set_first(x: Any, number: Any) -> None:
        before, x._data = x._data, 0.5
        x._data = engine.to_float(number, f"instead of {before}")

    member(engine, "maximum", wrong)(monkeypatch)
    setter("data", set_first)(monkeypatch)


def keeps_an_old_gradient(add: Callable[..., Any], x: Any, other: Any) -> Any:
    result = add(x, other)
    if isinstance(result, Value):
        result.grad = 0.25
    return result


def adds_to_leaves(pullback: Callable[..., Any], root: Any, *rest: Any, **options: Any) -> Any:
    for leaf in graph.leaves(root):
        leaf._grad += 1.0
    return pullback(root, *rest, **options)


def right_one_first(root: Any) -> list[Any]:
    """A topological order, but with right operands before left ones."""
    found: dict[Any, None] = {}

    def visit(node: Any) -> None:
        if node not in found:
            for operand in reversed(node.operand_nodes()):
                visit(operand)
            found[node] = None

    visit(root)
    return list(found)


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a gradient is assigned, not added": a_backward_pass(adds=False),
    "leaves do not add up": a_backward_pass(forgets_leaves=True),
    "results add up": a_backward_pass(reset=lambda gradient: gradient),
    "gradients are reset by multiplying them by 0": a_backward_pass(reset=lambda gradient: gradient * 0.0),
    "derivatives are computed late": a_backward_pass(partials=of_today),
    "a node is passed before all that use it": a_backward_pass(in_order=by_breadth),
    "the right operand is left out": a_backward_pass(
        partials=lambda node: [*node.partials[:1], 0.0][: len(node.partials)]
    ),
    "a root has another gradient": a_backward_pass(root_gradient=1.0 + 1e-12),
    "y += 1 changes y": lambda monkeypatch: monkeypatch.setattr(Value, "__iadd__", changes_in_place, raising=False),
    "setting a number changes a derivative": setter("data", set_data_and_results),
    "setting a number rounds it": setter("data", set_data_rounded),
    "setting a gradient adds to it": setter("grad", lambda x, number: setattr(x, "_grad", x._grad + number)),
    "a label takes the place of the row": setter("label", set_label_only),
    "a deep copy shares leaves": member(copies, "deep", shares_leaves),
    "a copy loses gradients": member(copies, "_fields", loses_gradients),
    "a copy loses labels of results": member(copies, "_restore", loses_labels),
    "a copy is the thing itself": member(copies, "shallow", lambda _, node: node),
    "a leaf that is cut off is the thing itself": member(Value, "detach", lambda _, x: x),
    "zero_grad misses one": member(nn.Module, "zero_grad", misses_one),
    "a living node is handed out": hand_out_a_living_node,
    "a refused call does harm": harm_when_refused,
    "a result has an old gradient": member(Value, "__add__", keeps_an_old_gradient),
    "hash follows the number": lambda monkeypatch: monkeypatch.setattr(Value, "__hash__", lambda x: hash(x._data)),
    "grad of a function adds to leaves": member(functional, "pullback", adds_to_leaves),
    "another order": lambda monkeypatch: monkeypatch.setattr(graph, "in_order", right_one_first),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        run(machines=500, steps=40, seed=1)


def test_without_a_mistake_the_plain_backward_pass_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    a_backward_pass()(monkeypatch)
    run(machines=20, steps=40, seed=1)

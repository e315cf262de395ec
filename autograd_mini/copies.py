"""Copies and pickles of a recorded graph, however deep: nothing here recurses along it."""

import copy
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from autograd_mini import engine
from autograd_mini.graph import Labelled, Node, settled_grad, topological_order
from autograd_mini.ops import Op

_Fields = tuple[type[Node], float, float, Op | Labelled | None, float, float]


def shallow(node: Node) -> Node:
    """A second node with the same operands."""
    copied = _restore(_fields(node), node._left, node._right)
    _attributes(copied).update(_attributes(node))
    return copied


def deep(root: Node, memo: dict[int, Any]) -> Node:
    """A copy of the whole graph of root; `memo` is that of `copy.deepcopy`, so that shared nodes stay shared."""
    new = []
    for node in topological_order(root):
        if id(node) not in memo:
            left = None if node._left is None else memo[id(node._left)]
            right = None if node._right is None else memo[id(node._right)]
            memo[id(node)] = _restore(_fields(node), left, right)
            new.append(node)
    for node in new:  # now that every node has its copy: attributes may lead back to one
        _attributes(memo[id(node)]).update(copy.deepcopy(_attributes(node), memo))
    copied: Node = memo[id(root)]
    return copied


def reduce(node: Node) -> tuple[Any, ...]:
    """What `__reduce_ex__` returns.

    A pickler saves what it is handed depth first, and would recurse along the graph. So the first node that it asks
    about hands it every ancestor first, operands before results: it then never goes deeper than one.
    """
    fields, attributes = _fields(node), _attributes(node) or None
    announced = _pickling.announced()
    if node.op is None or (announced is not None and id(node) in announced.nodes):
        return _restore, (fields, node._left, node._right), attributes
    ancestors = topological_order(node)[:-1]
    announced = _Announced(ancestors, _pickling.announced)
    _pickling.announced = weakref.ref(announced)
    return _restore_after, (ancestors, announced, fields, node._left, node._right), attributes


class _Announced:
    """The nodes, by id, that a pickler has been handed ahead of the one that depends on them.

    It stands behind them in the pickle: when the pickler reaches it, all have been written. If the pickling fails
    before that, nothing else holds it, and the weak reference to it dies.
    """

    def __init__(self, nodes: Iterable[Node] = (), outer: "Callable[[], _Announced | None]" = lambda: None) -> None:
        self.nodes = set(map(id, nodes))
        self.outer = outer  # whose pickling this one interrupts, where an attribute of a node holds a graph

    def __reduce__(self) -> tuple[Any, ...]:
        _pickling.announced = self.outer
        return _Announced, ()


class _Pickling(threading.local):
    """What this thread's pickler has been handed last."""

    announced: Callable[[], _Announced | None] = staticmethod(lambda: None)


_pickling = _Pickling()


def _fields(node: Node) -> _Fields:
    """What a copy of a node needs besides its operands and the attributes of a subclass."""
    partials = (node._left_partial, node._right_partial)
    return type(node), node._data, settled_grad(node), node._row, *partials


def _attributes(node: Node) -> dict[str, Any]:
    """What a subclass has added; empty for a `Value`."""
    return getattr(node, "__dict__", {})


def _restore(fields: _Fields, left: Node | None, right: Node | None) -> Node:
    kind, data, grad, row, left_partial, right_partial = fields
    node = kind.__new__(kind)
    engine.fill(node, data, grad, row, left, right, left_partial, right_partial)
    return node


def _restore_after(
    ancestors: list[Node], announced: object, fields: _Fields, left: Node | None, right: Node | None
) -> Node:
    return _restore(fields, left, right)

"""Where a gradient comes from: the heaviest of the paths along which a derivative flows, and what they carry."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from autograd_mini.engine import shorten
from autograd_mini.graph import Node, pullback, topological_order
from autograd_mini.value import Value

_LONGEST_NAME = 24
_LONGEST_ROUTE = 64


@dataclass(frozen=True, slots=True)
class Path:
    """One way from a node to an output, and what the chain rule multiplies along it."""

    nodes: tuple[Value, ...]
    """From the node to the output."""
    factors: tuple[float, ...]
    """The derivative of each node of the path by the one before it: one fewer than there are nodes."""
    product: float
    """What the path carries: its factors multiplied, from the output to the node, as backward() does."""
    share: float
    """product / gradient: shares of opposite sign may exceed 1. NaN where the gradient is 0."""

    def __str__(self) -> str:
        return _route(self.nodes)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The derivative of an output by one node, taken apart into the paths that lead from one to the other.

    The products of `paths` and `others` add up to `gradient`, and their shares to 1: exactly but for the rounding of
    each number. With an infinite product among them there is nothing to subtract from, and `others` is NaN.
    """

    gradient: float
    """What backward() would add to the node's grad."""
    paths: tuple[Path, ...]
    """The heaviest ones, the largest |product| first; NaN counts as larger than infinity."""
    path_count: int
    """How many there are in all."""
    others: float
    """What all the paths that are not listed carry together: 0 if there are none."""
    others_share: float

    def __str__(self) -> str:
        """A table for a terminal."""
        leaf, output = self.paths[0].nodes[0], self.paths[0].nodes[-1]
        routes = [_route([node for node in path.nodes if node.label or node in (leaf, output)]) for path in self.paths]
        if len(set(routes)) < len(routes):  # what tells these paths apart has no label
            routes = [_route(path.nodes) for path in self.paths]
        rows = [
            (route, f"{path.product:.6g}", _percent(path.share)) for route, path in zip(routes, self.paths, strict=True)
        ]
        rest = self.path_count - len(self.paths)
        if rest:
            name = paths_text(rest, "other ") + (" together" if rest > 1 else "")
            rows.append((name, f"{self.others:.6g}", _percent(self.others_share)))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        above, below = (_name(node) if node.label else name for node, name in ((output, "output"), (leaf, "leaf")))
        title = f"∂{above}/∂{below} = {self.gradient:.6g}, along {paths_text(self.path_count)}"
        return "\n".join([title, *(f"  {a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in rows)])


def provenance(output: Value, leaf: Value, k: int = 5) -> Provenance:
    """The paths that carry the derivative of output by leaf: the k heaviest, and how much all others carry.

    leaf: any node that output depends on, output itself included. No `grad` is read or written; the derivatives are
    those of the recording. An operand that is used twice by an operation is on two paths. No path is walked but the
    listed ones: the time grows with the size of the graph times k, however many paths there are.

    Raises TypeError if output or leaf is not a `Value`; ValueError if output does not depend on leaf, or if k is not
    a whole number of at least 1.
    """
    for name, node in (("output", output), ("leaf", leaf)):
        if not isinstance(node, Value):
            raise TypeError(f"provenance: expected a Value as {name}, got {type(node).__name__} {shorten(node)}")
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"provenance: expected k to be a whole number of at least 1, got {shorten(k)}")
    order = topological_order(output)
    between = _between(order, leaf)
    if not between:
        raise ValueError(f"provenance: the output does not depend on this leaf: {shorten(leaf, 80)}")
    (gradient,) = pullback(output, [leaf])
    trails, path_count = _heaviest(order, leaf, between, k)
    paths = tuple(_path(trail, gradient) for trail in trails)
    others = _total([gradient, *(-path.product for path in paths)]) if path_count > len(paths) else 0.0
    return Provenance(gradient, paths, path_count, others, _share(others, gradient))


class _Trail(NamedTuple):
    """The way from a node up to the output, as a chain that trails through the same nodes share."""

    product: float
    node: Node
    factor: float
    """The derivative of the next node by this one."""
    rest: "_Trail | None"
    """From the next node on; None at the output."""


def _between(order: Sequence[Node], leaf: Node) -> set[int]:
    """The ids of leaf and of all nodes that depend on it, of a graph in topological order; none if it is not there."""
    found: set[int] = set()
    for node in order:
        if node is leaf or any(id(operand) in found for operand in node.operand_nodes()):
            found.add(id(node))
    return found


def _heaviest(order: list[Node], leaf: Node, between: set[int], k: int) -> tuple[list[_Trail], int]:
    """The k heaviest trails of leaf, and the number of all. The order is used up."""
    arriving = {id(order[-1]): [_Trail(1.0, order[-1], 1.0, None)]}
    counts = {id(order[-1]): 1}
    while order[-1] is not leaf:
        node = order.pop()
        if id(node) not in between:
            continue
        count = counts.pop(id(node))
        trails = _without_the_light(arriving.pop(id(node)), k)
        for operand, local in zip(node.operand_nodes(), node.partials, strict=True):
            key = id(operand)
            if key in between:
                counts[key] = counts.get(key, 0) + count
                waiting = arriving.setdefault(key, [])
                waiting += [_Trail(trail.product * local, operand, local, trail) for trail in trails]
                if len(waiting) > 16 * k:  # a leaf may have a million users
                    arriving[key] = _without_the_light(waiting, k)
    return sorted(arriving[id(leaf)], key=_weight, reverse=True)[:k], counts[id(leaf)]


def _without_the_light(trails: list[_Trail], k: int) -> list[_Trail]:
    """Those that can be among the k heaviest of a node further down.

    Multiplication by one factor keeps the order of |product|, with one exception: 0 times infinity is NaN, which is
    heavier than all. So k zeros stay as well.
    """
    if len(trails) <= k:
        return trails
    trails = sorted(trails, key=_weight, reverse=True)
    return trails[:k] + [trail for trail in trails[k:] if trail.product == 0.0][:k]


def _weight(trail: _Trail) -> tuple[bool, float]:
    return math.isnan(trail.product), abs(trail.product)


def _path(trail: _Trail, gradient: float) -> Path:
    product = trail.product
    nodes, factors = [trail.node], []
    while trail.rest is not None:
        factors.append(trail.factor)
        trail = trail.rest
        nodes.append(trail.node)
    return Path(cast(tuple[Value, ...], tuple(nodes)), tuple(factors), product, _share(product, gradient))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _total(numbers: Iterable[float]) -> float:
    """The sum, rounded once; where it passes infinities, what IEEE 754 makes of them."""
    numbers = list(numbers)
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):
        return float(sum(numbers))


# Texts


def _name(node: Value) -> str:
    """The label; else the operation's symbol, or the number of a leaf. No character that moves the cursor."""
    text = node.label or (node.op.symbol if node.op else f"{node.data:.4g}")
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 1] + "…"


def _route(nodes: Sequence[Value]) -> str:
    """The names from first to last; of a long path those near its ends."""
    ends = _LONGEST_ROUTE // 4  # four signs for a name and its arrow: more do not fit
    head = [_name(node) for node in nodes[:ends]]
    tail = [_name(node) for node in nodes[max(ends, len(nodes) - ends) :]]
    is_cut = len(nodes) > len(head) + len(tail)
    while len(head) + len(tail) > 2 and len(_joined(head, tail, is_cut)) > _LONGEST_ROUTE:
        _ = head.pop() if len(head) >= len(tail) else tail.pop(0)
        is_cut = True
    return _joined(head, tail, is_cut)


def _joined(head: list[str], tail: list[str], is_cut: bool) -> str:
    return " → ".join([*head, *(["…"] if is_cut else []), *tail])


def _percent(share: float) -> str:
    return f"{share:.1%}" if math.isfinite(share) else "–"


def paths_text(count: int, kind: str = "") -> str:
    """How many paths; Python refuses to write out integers of thousands of digits."""
    number = f"{count:,}" if count < 10**18 else f"about 10^{math.log10(count):.1f}"
    return f"{number} {kind}path{'' if count == 1 else 's'}"

"""Random expressions over the whole table, which any engine can run: numbers of every kind, shared results, smooth."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

import numpy as np

import autograd_mini
from autograd_mini import Value, topological_order
from autograd_mini.ops import TABLE, evaluate

Functions = Mapping[str, Callable[..., Any]]

ARITHMETIC: Functions = {
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "neg", "pow", "abs")},
    "div": operator.truediv,
}
"""Python's own operators, which every engine has."""

OURS: Functions = {
    **ARITHMETIC,
    **{name: getattr(autograd_mini, name) for name, op in TABLE.items() if not op.is_operator},
    "logsumexp": lambda *terms: autograd_mini.logsumexp(terms),
}
"""Every row as users write it, and log-sum-exp, which has no row of its own."""

ARITY = {**{name: op.arity for name, op in TABLE.items()}, "logsumexp": 3}


class Constant(NamedTuple):
    """A plain number as an operand, a Python or a NumPy one."""

    number: Any


Operand = int | Constant
"""An earlier number, by its place, or a constant."""


class Step(NamedTuple):
    """One operation of a graph."""

    name: str
    operands: tuple[Operand, ...]

    def __str__(self) -> str:
        words = [f"v{o}" if isinstance(o, int) else repr(o.number) for o in self.operands]
        return f"{self.name}({', '.join(words)})"


@dataclass(frozen=True)
class Graph:
    """Steps on leaves; the numbers are counted through, the leaves first, and the last one is the result."""

    leaves: tuple[float, ...]
    steps: tuple[Step, ...]

    def run(self, functions: Functions, leaves: Sequence[Any], constant: Callable[[Any], Any] = lambda x: x) -> Any:
        """The result on an engine's numbers, by its functions; `constant` makes its constants of plain numbers."""
        numbers = list(leaves)
        for name, operands in self.steps:
            found = [numbers[o] if isinstance(o, int) else constant(o.number) for o in operands]
            numbers.append(functions[name](*found))
        return numbers[-1]

    def __str__(self) -> str:
        lines = [*map(repr, self.leaves), *map(str, self.steps)]
        return "\n".join(f"v{place} = {line}" for place, line in enumerate(lines))


EDGES: Mapping[str, Callable[..., bool]] = {
    "div": lambda x, y: abs(y) > 1e-3,
    "pow": lambda x, y: x > 1e-2,
    "log": lambda x: x > 1e-3,
    "log1p": lambda x: x > -0.999,
    "sqrt": lambda x: x > 1e-3,
    "tan": lambda x: abs(math.cos(x)) > 1e-2,
}
"""Where a row is so far from a pole or an edge of its domain that it is smooth."""

KINK_SHARE = 1e-3
"""How near a kink may be, in terms of the largest operand."""

LEAST, MOST = 1e-30, 1e30
"""Between these the results of steps lie, so that nothing overflows or underflows in their derivatives."""


NAMES = tuple(ARITY)

KINDS: Sequence[Callable[[float], Any]] = (
    *(float, float, np.float64, np.float32, np.float16),
    *(round, bool, lambda x: np.int64(round(x)), lambda x: np.int8(round(x)), np.bool_),
)
"""What a constant may be."""


def random_graph(random: Random, most: int = 16) -> Graph:
    """A graph of up to so many steps, each of them smooth, and of those that add up what has not been used."""
    graph = Graph(tuple(_number(random) for _ in range(random.randint(1, 4))), ())
    numbers = list(graph.leaves)
    for _ in range(random.randint(1, most)):
        name = random.choice(NAMES)
        step = Step(name, tuple(_operand(random, len(numbers)) for _ in range(ARITY[name])))
        found = [numbers[o] if isinstance(o, int) else float(o.number) for o in step.operands]
        if any(isinstance(o, int) for o in step.operands) and _is_smooth(step, found):
            graph = Graph(graph.leaves, (*graph.steps, step))
            numbers.append(_result(name, found))
    return _joined(random, graph)


def _joined(random: Random, graph: Graph) -> Graph:
    """The graph with one result, by sums and differences of those of its numbers that no step uses."""
    used = {operand for step in graph.steps for operand in step.operands}
    total, *others = [place for place in range(len(graph.leaves) + len(graph.steps)) if place not in used]
    steps = list(graph.steps)
    for other in others:
        steps.append(Step(random.choice(("add", "sub")), (total, other)))
        total = len(graph.leaves) + len(steps) - 1
    return Graph(graph.leaves, tuple(steps))


def _number(random: Random) -> float:
    return random.choice((random.uniform(-3.0, 3.0), random.uniform(0.1, 4.0), random.uniform(-50.0, 50.0)))


def _operand(random: Random, count: int) -> Operand:
    """One of the numbers there are, most often of the latest, or a constant."""
    kind = random.random()
    if kind < 0.15:
        return Constant(random.choice(KINDS)(_number(random)))
    return random.randrange(count) if kind < 0.5 else random.randrange(max(0, count - 4), count)


def _is_smooth(step: Step, numbers: Sequence[float]) -> bool:
    name, operands = step
    if name == "pow" and isinstance(operands[1], Constant) and numbers[1].is_integer():
        is_inside = numbers[0] != 0.0  # also of a negative number
    else:
        is_inside = name not in EDGES or EDGES[name](*numbers)
    kink = TABLE[name].kink if name in TABLE else None
    if not is_inside or (kink and abs(kink(*numbers)) <= KINK_SHARE * max(map(abs, numbers))):
        return False
    return LEAST < abs(_result(name, numbers)) < MOST


def _result(name: str, numbers: Sequence[float]) -> float:
    return evaluate(TABLE[name].forward, *numbers) if name in TABLE else float(autograd_mini.logsumexp(numbers))


def recorded(root: Value, inputs: Sequence[Value]) -> Graph:
    """What was recorded from these inputs, as a graph; every other leaf is a constant."""
    operands: dict[int, Operand] = {id(leaf): place for place, leaf in enumerate(inputs)}
    steps: list[Step] = []
    for node in topological_order(root):
        if id(node) in operands:
            continue
        if node.op is None:
            operands[id(node)] = Constant(node._data)
            continue
        found = [Constant(o) if isinstance(o, float) else operands[id(o)] for o in node.operands]
        operands[id(node)] = len(inputs) + len(steps)
        steps.append(Step(node.op.name, tuple(found)))
    return Graph(tuple(leaf.data for leaf in inputs), tuple(steps))

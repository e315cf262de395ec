"""Both passes over a recorded graph, one frame a step: the model behind the terminal, the page and the notebook.

First forward, a frame for each operation; then the seed, the derivative of the result by itself; then backward, a
frame for each edge. Frames are plain data, and nothing here prints, draws or writes.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from operator import add
from typing import ClassVar, NamedTuple, cast

from autograd_mini.anomaly import Anomaly, first_anomaly, lines_here, marks
from autograd_mini.formula import (
    CASES,
    DOTS,
    TEXT,
    derivative,
    filled,
    node,
    number,
    number_text,
    partial_formula,
    product_formula,
    result_formula,
    simplified,
)
from autograd_mini.graph import Node, topological_order
from autograd_mini.groups import Group, Groups, LayerParts, subscript, superscript
from autograd_mini.ops import ADD, Op, evaluate
from autograd_mini.sketch import printable
from autograd_mini.source_code import Expression
from autograd_mini.value import Value

_MOST_TERMS, _TERMS_BEFORE_DOTS = 8, 3
_DEEPEST_EXPRESSION = 5
_LARGEST_EXPRESSION, _LARGEST_LOCAL, _LARGEST_PARTIAL = 48, 32, 16
"""In names, numbers and operations: what fits on a line or two."""


@dataclass(frozen=True, slots=True)
class ForwardFrame:
    """One operation, or a whole named expression: what it computes from what, and the result."""

    phase: ClassVar[str] = "forward"
    at: int
    """Its place among the frames of single operations."""
    node: Value
    name: str
    symbols: str
    """The equation, such as z = w·x + b."""
    numbers: str
    """Its right side in numbers."""
    operation: str
    """The last operation alone, such as v₁ + b."""
    result: float
    count: int = 1
    """How many operations it stands for."""


@dataclass(frozen=True, slots=True)
class SeedFrame:
    """The start of the backward pass: the derivative of the result by itself is 1."""

    phase: ClassVar[str] = "seed"
    at: int
    node: Value
    name: str
    symbols: str
    result: float = 1.0
    count: int = 1


@dataclass(frozen=True, slots=True)
class BackwardFrame:
    """One edge: what the gradient of `node` adds to the gradient of one of its operands."""

    phase: ClassVar[str] = "backward"
    at: int
    node: Value
    operand: Value
    name: str
    operand_name: str
    symbols: str
    """The rule, such as ∂L/∂w += ∂L/∂z · x."""
    upstream: float
    """The gradient of `node`."""
    local_symbols: str
    """The derivative of `node` by the operand."""
    local_numbers: str
    local: float
    product: float
    """What is added: upstream × local."""
    before: float | None
    """The operand's gradient until then; None where nothing has been added yet."""
    after: float
    count: int = 1
    """How many edges it stands for: those inside its group that lead to it count with it."""


@dataclass(frozen=True, slots=True)
class _Hidden(Container[int]):
    """The inner results of a named expression, as a container that need not be filled."""

    roots_of_expressions: Sequence[int]
    root: int

    def __contains__(self, place: object) -> bool:
        return isinstance(place, int) and place != self.root == self.roots_of_expressions[place]


class Edge(NamedTuple):
    """From the place of an operation to one of its operands: 0 is the left one, 1 the right."""

    source: int
    slot: int
    target: int


class Passes:
    """Both passes over the graph of a value: names, numbers and formulas of every node and edge, by their places.

    A place is a node's position in the topological order. The value's own graph is neither changed nor run again.
    """

    def __init__(self, root: Value, max_nodes: int) -> None:
        self.nodes = cast(list[Value], topological_order(root))
        if len(self.nodes) > max_nodes:
            raise ValueError(
                f"walkthrough: the graph has {len(self.nodes):,} nodes, expected at most {max_nodes:,}; step through "
                "an inner Value of it, through one sample instead of a batch, or raise max_nodes"
            )
        self._ops = [value.op for value in self.nodes]
        self.data = [value.data for value in self.nodes]
        """The numbers as they are now: an optimizer may change those of leaves while one steps."""
        self._check_numbers()
        self.groups = Groups(self.nodes)
        self.root = len(self.nodes) - 1
        self.forward_order = self._forward_order()
        self.names = self._names()
        self._edges_of = [list(self._read_edges(place)) for place in range(len(self.nodes))]
        self.edges = [edge for place in reversed(self.forward_order) for edge in self._edges_of[place]]
        self._edges_to: list[list[Edge]] = [[] for _ in self.nodes]
        for edge in self.edges:
            self._edges_to[edge.target].append(edge)
        self.gradients = [0.0] * len(self.nodes)
        self.before: list[float | None] = []
        self.after: list[float] = []
        self._run_backward()
        self.anomaly = self._find_anomaly()
        """Where a NaN or infinity starts, if there is one."""
        self.marks = self._marks()
        """What is said of that, by the places of nodes."""
        self.marked_steps = self._marked_steps()
        """The same by the frames of single operations."""
        self._slopes: dict[int, dict[int, float]] = {}
        self._slope_formulas_of: dict[int, dict[int, Expression | None]] = {}

    def __len__(self) -> int:
        """The number of frames: forward, the seed, backward."""
        return len(self.forward_order) + 1 + len(self.edges)

    @property
    def seed_at(self) -> int:
        """Where the backward pass begins."""
        return len(self.forward_order)

    def edge_at(self, at: int) -> Edge:
        """The edge of a backward frame."""
        return self.edges[at - self.seed_at - 1]

    # Reading the graph

    def _check_numbers(self) -> None:
        for value, op in zip(self.nodes, self._ops, strict=True):
            if op is None:
                continue
            again = evaluate(op.forward, *[float(operand) for operand in value.operands])  # type: ignore[arg-type]
            if again != value.data and not (math.isnan(again) and math.isnan(value.data)):
                name = shown_name(value.label) or shown_name(op.name)
                raise ValueError(
                    f"walkthrough: the graph was recorded with other numbers ({name} gave {value.data!r}, its operands "
                    f"now give {again!r}); record it again"
                )

    def _forward_order(self) -> list[int]:
        """The operations in topological order; those of a network layer by layer, as the sources write them.

        The uses of each node keep their order, so that the backward pass adds up in the engine's own order and its
        sums are the engine's to the last bit.
        """
        operations = [place for place, op in enumerate(self._ops) if op is not None]
        if not self.groups.layers:
            return operations
        depths, firsts = self._depths(), self._first_places()
        followers: list[list[int]] = [[] for _ in self.nodes]
        waiting_for = [0] * len(self.nodes)
        last_user: dict[int, int] = {}
        for place in operations:
            before = set(self.groups.operands[place])
            before |= {last_user[operand] for operand in before if operand in last_user}
            for other in before:
                if self._ops[other] is not None:
                    followers[other].append(place)
                    waiting_for[place] += 1
            last_user.update(dict.fromkeys(self.groups.operands[place], place))
        ready = [(depths[place], firsts[place], place) for place in operations if not waiting_for[place]]
        heapq.heapify(ready)
        order = []
        while ready:
            _, _, place = heapq.heappop(ready)
            order.append(place)
            for follower in followers[place]:
                waiting_for[follower] -= 1
                if not waiting_for[follower]:
                    heapq.heappush(ready, (depths[follower], firsts[follower], follower))
        return order

    def _first_places(self) -> list[int]:
        """For each node the first place of the sums or activations of its layer, which so stay together."""
        firsts = list(range(len(self.nodes)))
        for layer in self.groups.layers:
            for block in self.blocks(layer):
                first = min(block)
                for place in block:
                    firsts[place] = first
        return firsts

    def blocks(self, layer: LayerParts) -> list[list[int]]:
        """The operations of a layer's sums, and of its activations if it has any."""
        blocks = []
        for roots in (
            dict.fromkeys(n.z for n in layer.neurons),
            dict.fromkeys(n.a for n in layer.neurons if n.a != n.z),
        ):
            if roots:
                blocks.append([place for root in roots for place in self.expression_members(root) or (root,)])
        return blocks

    def _depths(self) -> list[int]:
        """For each node, how many named expressions lie below its own at most."""
        roots = self.groups.roots_of_expressions
        depths = [0] * len(self.nodes)
        for place, operands in enumerate(self.groups.operands):
            for operand in operands:
                if roots[operand] != roots[place]:
                    depths[roots[place]] = max(depths[roots[place]], depths[roots[operand]] + 1)
        return [depths[root] for root in roots]

    def _names(self) -> list[str]:
        """The labels, numbered where several nodes have the same; v₁, v₂, … for nodes without. No two are alike."""
        labels = [shown_name(label) for label in self.groups.labels]
        totals = Counter(labels)
        taken = {label for label, total in totals.items() if total == 1}
        numbers: Counter[str] = Counter()
        names = list(labels)
        leaves = [place for place, op in enumerate(self._ops) if op is None]
        for place in (*leaves, *self.forward_order):
            label = labels[place]
            if label and totals[label] == 1:
                continue
            while True:
                numbers[label] += 1
                count = numbers[label]
                name = f"{label}⁽{superscript(count)}⁾" if label else f"v{subscript(count)}"
                if name not in taken:
                    break
            taken.add(name)
            names[place] = name
        return names

    def _run_backward(self) -> None:
        self.gradients[self.root] = 1.0
        touched: set[int] = set()
        for edge in self.edges:
            gradient = self.gradients[edge.target]
            self.before.append(gradient if edge.target in touched else None)
            touched.add(edge.target)
            self.gradients[edge.target] = gradient + self.gradients[edge.source] * self.local(edge)
            self.after.append(self.gradients[edge.target])

    # What is not finite

    def _find_anomaly(self) -> Anomaly | None:
        if math.isfinite(self.data[self.root]) and all(map(math.isfinite, self.gradients)):
            return None
        return first_anomaly(list(self.nodes), lines_here())

    def _marks(self) -> dict[int, str]:
        if self.anomaly is None:
            return {}
        return {self.groups.places[id(node)]: text for node, text in marks(self.anomaly, number_text)}

    def _marked_steps(self) -> dict[int, str]:
        found = {}
        anomaly = self.anomaly
        while anomaly is not None:
            at = self._step_of(anomaly)
            if at is not None:
                place = self.groups.places[id(anomaly.node)]
                is_given = anomaly.phase == "forward" and anomaly.node.op is None
                found[at] = f"{self.names[place]} is {number_text(anomaly.number)}" if is_given else self.marks[place]
            anomaly = anomaly.cause
        return found

    def _step_of(self, anomaly: Anomaly) -> int | None:
        """The frame of a single operation or edge; None for a leaf that nothing uses."""
        place = self.groups.places[id(anomaly.node)]
        if anomaly.phase == "forward":
            user = place if anomaly.used_by is None else self.groups.places[id(anomaly.used_by)]
            return None if self._ops[user] is None else self.forward_order.index(user)
        wanted = (place, anomaly.operand)
        for number_of_edge, edge in enumerate(self.edges, self.seed_at + 1):
            after = self.after[number_of_edge - self.seed_at - 1]
            if (edge.source, edge.slot) == wanted or (
                anomaly.operand is None and edge.target == place and not math.isfinite(after)
            ):
                return number_of_edge
        return None

    def local(self, edge: Edge) -> float:
        """The derivative of an operation by one operand, as it was recorded."""
        value = self.nodes[edge.source]
        return value._left_partial if edge.slot == 0 else value._right_partial

    def slope(self, place: int, group: Group | None) -> float:
        """The derivative of a group's result by one of its own nodes; 1 for a node in no group."""
        return 1.0 if group is None else self._slopes_to(group.roots[0])[place]

    def _slopes_to(self, root: int) -> dict[int, float]:
        """The derivatives of the result of a group by all that lies in it, and in no other."""
        if root not in self._slopes:
            members = next(group.members for group in self._groups_that_end_at(root))
            slopes = dict.fromkeys(members, 0.0) | {root: 1.0}
            for member in reversed(members):
                for edge in self._edges_of[member]:
                    if edge.target in slopes:
                        slopes[edge.target] += slopes[member] * self.local(edge)
            self._slopes[root] = slopes
        return self._slopes[root]

    def _groups_that_end_at(self, place: int) -> Iterator[Group]:
        """The neuron and the named expression whose result this is, the larger first."""
        for level in ("neuron", "expression"):
            group = self.groups.containing(place, level)
            if group is not None and group.roots == (place,):
                yield group

    def operand_place(self, source: int, slot: int) -> int:
        """The place of an operand that is a node."""
        return self.groups.places[id(self.nodes[source].operands[slot])]

    def _read_edges(self, place: int) -> Iterator[Edge]:
        value = self.nodes[place]
        for slot, operand in enumerate((value._left, value._right)):
            if operand is not None:
                yield Edge(place, slot, self.groups.places[id(operand)])

    def expression_members(self, place: int) -> Sequence[int]:
        """The nodes of the named expression that ends at a node, if one does."""
        group = self.groups.containing(place, "expression")
        return group.members if group and group.roots == (place,) else ()

    # Formulas

    def operand_formulas(self, place: int) -> list[Expression]:
        """The operands of an operation: nodes, and numbers for constants."""
        return self._operands(place, (), 0)

    def operation_formula(self, place: int) -> Expression:
        """What one operation computes from its operands."""
        return result_formula(self._op(place), self.operand_formulas(place))

    def result_formula(self, root: int, members: Container[int]) -> Expression:
        """What a result computes from nodes that are not among the members.

        Long sums are shortened; in what is deep or long, inner results stand by their names.
        """
        formula = self._expanded(root, members, 0)
        for depth in range(1, _DEEPEST_EXPRESSION + 1):
            deeper = self._expanded(root, members, depth)
            if deeper.size > _LARGEST_EXPRESSION or deeper.size == formula.size:
                break
            formula = deeper
        return formula

    def _expanded(self, place: int, members: Container[int], depth: int) -> Expression:
        op = self._op(place)
        if op is ADD:
            return self._expanded_sum(place, members, depth)
        return result_formula(op, self._operands(place, members, depth))

    def _operands(self, place: int, members: Container[int], depth: int) -> list[Expression]:
        return [self._operand(operand, members, depth) for operand in self.nodes[place].operands]

    def _operand(self, operand: Node | float, members: Container[int], depth: int) -> Expression:
        if isinstance(operand, float):
            return number(operand)
        place = self.groups.places[id(operand)]
        return self._expanded(place, members, depth - 1) if depth and place in members else node(place)

    def _expanded_sum(self, place: int, members: Container[int], depth: int) -> Expression:
        """a + b + c is recorded as (a + b) + c: however long, it is one sum."""
        terms: list[Node | float] = []
        first: Node | float = self.nodes[place]
        while not isinstance(first, float) and first.op is ADD:
            if terms and self.groups.places[id(first)] not in members:
                break
            first, last = first.operands
            terms.append(last)
        terms = [first, *reversed(terms)]
        shown = terms if len(terms) <= _MOST_TERMS else [*terms[:_TERMS_BEFORE_DOTS], terms[-1]]
        formulas = [self._operand(term, members, depth) for term in shown]
        if len(shown) < len(terms):
            formulas.insert(-1, DOTS)
        return reduce(add, formulas)

    def local_formula(self, edge: Edge, group: Group | None) -> Expression:
        """The derivative of an operation, or of the result of a group, along one edge.

        A derivative ∂y/∂x stands where there is no formula for it, or no short one.
        """
        if group is None:
            root, formula = edge.source, self._partial_formula(edge)
        else:
            root = group.roots[0]
            formula = self._along(edge, self._slope_formulas(edge.source, root))
        return derivative(root, edge.source, edge.slot) if formula is None else formula

    def local_formula_of_several(self, edges: Sequence[Edge], group: Group | None) -> Expression:
        """The derivative of the result of a group along all edges to one operand."""
        formula = self._sum([self.local_formula(edge, group) for edge in edges])
        if formula is None:
            (root,) = group.roots if group else {edge.source for edge in edges}
            formula = reduce(add, [derivative(root, edge.source, edge.slot) for edge in edges])
        return formula

    def _slope_formulas(self, wanted: int, root: int) -> Mapping[int, Expression | None]:
        """The derivatives of a group's result, by this one of its nodes at least; None for a long formula."""
        known = self._slope_formulas_of.setdefault(root, {root: number(1.0)})
        waiting = [wanted]
        while waiting:
            edges = self._edges_to[waiting[-1]]
            missing = [] if waiting[-1] in known else [edge.source for edge in edges if edge.source not in known]
            if missing:
                waiting += missing
                continue
            place = waiting.pop()
            if place not in known:
                known[place] = self._sum([self._along(edge, known) for edge in edges])
        return known

    def _along(self, edge: Edge, slopes: Mapping[int, Expression | None]) -> Expression | None:
        """The derivative of a group's result along one edge of its nodes, from its derivatives by those nodes."""
        slope = slopes[edge.source]
        partial = None if slope is None else self._partial_formula(edge)
        if slope is None or partial is None:
            return None
        if (partial.kind, partial.content) == ("number", 1.0):  # most of them, in long sums
            return slope
        formula = product_formula([slope, self._without_inner_results(partial, edge.source)])
        return formula if formula.size <= _LARGEST_LOCAL else None

    def _sum(self, terms: Sequence[Expression | None]) -> Expression | None:
        known = [term for term in terms if term is not None]
        if len(known) < len(terms) or sum(term.size for term in known) > _LARGEST_LOCAL:
            return None
        return simplified(reduce(add, known))

    def _partial_formula(self, edge: Edge) -> Expression | None:
        """The derivative of one operation; None for a row of the user's own that is no formula."""
        return partial_formula(self._op(edge.source), edge.slot, node(edge.source), self.operand_formulas(edge.source))

    def _without_inner_results(self, formula: Expression, source: int) -> Expression:
        """The formula with what the inner results of a named expression compute, as far as that is short."""
        roots = self.groups.roots_of_expressions
        hidden = _Hidden(roots, roots[source])
        for depth in (2, 1):
            longer = self._substituted(formula, hidden, depth)
            if longer.size <= _LARGEST_PARTIAL:
                return longer
        return formula

    def _substituted(self, formula: Expression, hidden: Container[int], depth: int) -> Expression:
        if formula.kind == "node" and formula.content in hidden:
            return self._expanded(cast(int, formula.content), hidden, depth - 1)
        if not formula.operands:
            return formula
        operands = [self._substituted(operand, hidden, depth) for operand in formula.operands]
        return Expression(formula.kind, operands, formula.content)

    def _op(self, place: int) -> Op:
        """The row of a node that is no leaf."""
        return cast(Op, self._ops[place])

    # Text

    def symbols(self, formula: Expression, wanted: int = CASES) -> str:
        """A formula as text, with the names of its nodes."""
        return filled(TEXT.write(formula, wanted), self.name_of)

    def numbers(self, formula: Expression) -> str:
        """A formula as text, with the numbers of its nodes."""
        return filled(TEXT.write(formula), lambda letter, content: number_text(self.number_of(letter, content)))

    def name_of(self, letter: str, content: str) -> str:
        """What stands in a slot of a formula in symbols."""
        if letter == "d":
            root, source, slot = map(int, content.split("/"))
            target = self.operand_place(source, slot)
            way = f" via {self.names[source]}" if root != source and self._has_several_ways(root, target) else ""
            return f"∂{self.names[root]}/∂{self.names[target]}{way}"
        return self.names[int(content)] if letter == "n" else self.gradient_name(int(content))

    def _has_several_ways(self, root: int, target: int) -> bool:
        """Whether several edges lead from a group to one operand: the derivative along one is a part of the whole."""
        inside = self._slopes_to(root)
        return len(list(islice((edge for edge in self._edges_to[target] if edge.source in inside), 2))) > 1

    def number_of(self, letter: str, content: str) -> float:
        """What stands in a slot of a formula in numbers."""
        if letter == "d":
            root, source, slot = map(int, content.split("/"))
            local = self.local(Edge(source, slot, self.operand_place(source, slot)))
            return local if root == source else self._slopes_to(root)[source] * local
        return self.data[int(content)] if letter == "n" else self.gradients[int(content)]

    def gradient_name(self, place: int) -> str:
        """∂L/∂w."""
        return f"∂{self.names[self.root]}/∂{self.names[place]}"


# What no name may hold: what turns the writing direction or ends a line, and the signs of slots in formulas.
_UNSAFE = re.compile("[\u2028\u2029\u202a-\u202e\u2066-\u2069\ue000\ue001]")


def shown_name(label: str) -> str:
    """A label on one line, with a visible sign for each character that is none."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", printable(label)).replace("\n", " ").strip()

"""Both passes over the layers of a network in the sources' matrix notation: Z¹ = W⁰ x + B⁰, D_W¹ = A¹ D_Z², …

The notation is that of Gill & Gill, section 5.1: Aˡ and Zˡ are columns, D_Zˡ and D_Aˡ rows, and D_Wˡ has the shape of
Wˡ transposed, its entry (i, j) being the derivative by w_ji. The paper writes D_Wˡ as [Aˡ … Aˡ] ⊙ the rows of D_Zˡ⁺¹,
which is the product of the column Aˡ and the row D_Zˡ⁺¹.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeVar

from autograd_mini.formula import DOTS, gradient, matrix, named, node, number, one_line
from autograd_mini.groups import Group, LayerParts, NeuronParts
from autograd_mini.ops import MUL, Op
from autograd_mini.source_code import Expression
from autograd_mini.walkthrough.frames import Edge, Passes

_MOST_ROWS, _ROWS_BEFORE_DOTS = 6, 3

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class LayerFrame:
    """One equation between the matrices of a layer, with all of its numbers."""

    phase: str
    """forward or backward."""
    at: int
    """The place, among the frames of single operations, of the last one that it stands for."""
    covers: tuple[int, ...]
    """The places of all of those."""
    name: str
    """What is computed: Z¹, D_W¹."""
    symbols: str
    """The equation, such as Z¹ = W⁰ x + B⁰."""
    numbers: str
    """Its right side in numbers; rows and columns beyond six shortened."""
    result: Matrix
    """A gradient that is added to holds what has been added until then."""
    formula: Expression
    """The right side in symbols."""
    formula_in_numbers: Expression
    formula_of_result: Expression
    is_sum: bool
    """Whether it is added to what other frames have given (+=)."""
    targets: tuple[int, ...]
    """The places of the nodes whose numbers or gradients it computes."""
    group: Group
    """The layer."""
    count: int
    level: ClassVar[str] = "layer"

    @property
    def sign(self) -> str:
        """= or +=."""
        return "+=" if self.is_sum else "="


class _Equation(NamedTuple):
    """What a frame computes, and from what."""

    name: str
    symbols: Expression
    numbers: Expression
    targets: Sequence[Sequence[int]]
    """The places of the nodes whose numbers or gradients it computes, as the rows of a matrix."""


class _EdgeAt(NamedTuple):
    """An edge and the place of its frame."""

    at: int
    edge: Edge


class LayerFrames:
    """The frames of every layer of a graph that came from nn, in the order of both passes.

    A layer is left out, and seen neuron by neuron, where matrices would tell an untruth: where its operations are not
    done one after another (something else adds to the same gradients meanwhile), where some of its neurons have an
    activation and some have none, or where one node stands at several of its inputs.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._groups = {group.roots: group for group in passes.groups.groups if group.level == "layer"}
        self._forward_at = {place: at for at, place in enumerate(passes.forward_order)}
        self._edges_at: dict[int, list[_EdgeAt]] = {}
        for at, edge in enumerate(passes.edges, passes.seed_at + 1):
            self._edges_at.setdefault(edge.source, []).append(_EdgeAt(at, edge))
        self._by_outputs: dict[tuple[int | float, ...], LayerParts] = {
            tuple(neuron.a for neuron in layer.neurons): layer for layer in passes.groups.layers
        }

    def frames(self) -> list[LayerFrame]:
        """All of them, in the order of their last operations or edges."""
        layers = [layer for layer in self._passes.groups.layers if self._is_writable(layer)]
        found = [frame for layer in layers for frame in (*self._forward(layer), *self._backward(layer))]
        return sorted(found, key=lambda frame: frame.at)

    def _is_writable(self, layer: LayerParts) -> bool:
        if len({neuron.a == neuron.z for neuron in layer.neurons}) > 1:
            return False
        for block in self._passes.blocks(layer):
            places = [self._forward_at[place] for place in block]
            if max(places) - min(places) >= len(places):
                return False
        parts = [*_biases(layer), *layer.input_nodes, *(place for neuron in layer.neurons for place in neuron.weights)]
        return len(set(parts)) == len(parts)

    # Forward

    def _forward(self, layer: LayerParts) -> Iterator[LayerFrame]:
        z, w, x = self._name("Z", layer), self._parameter_name("W", layer), self._input_name(layer)
        symbols = _product(named(w), named(x))
        numbers = _product(_matrix([neuron.weights for neuron in layer.neurons], node), _column(layer.inputs, _input))
        if _biases(layer):
            symbols += named(self._parameter_name("B", layer))
            numbers += _column(_biases(layer), node)
        sums, *activations = self._passes.blocks(layer)
        yield self._forward_frame(layer, _Equation(z, symbols, numbers, [[n.z] for n in layer.neurons]), sums)
        for block in activations:
            symbol = self._activation_name(layer)
            symbols = Expression("call", [named(z)], content=symbol)
            numbers = Expression("call", [_column([neuron.z for neuron in layer.neurons], node)], content=symbol)
            equation = _Equation(self._name("A", layer), symbols, numbers, [[n.a] for n in layer.neurons])
            yield self._forward_frame(layer, equation, block)

    def _forward_frame(self, layer: LayerParts, equation: _Equation, block: Sequence[int]) -> LayerFrame:
        data = self._passes.data
        result = tuple(tuple(data[place] for place in row) for row in equation.targets)
        covers = [self._forward_at[place] for place in block]
        return self._frame("forward", layer, equation, covers, result)

    # Backward

    def _backward(self, layer: LayerParts) -> Iterator[LayerFrame]:
        if _is_activated(layer):
            yield self._through_activation(layer)
        z, x, w = named(f"D_{self._name('Z', layer)}"), self._input_name(layer), self._parameter_name("W", layer)
        sums = _row([neuron.z for neuron in layer.neurons], gradient)
        edges = self._edges_of_sums(layer)
        if edges.biases:
            equation = _Equation(f"D_{self._parameter_name('B', layer)}", z, sums, [_biases(layer)])
            yield self._backward_frame(layer, equation, edges.biases)
        columns = list(zip(*[neuron.weights for neuron in layer.neurons], strict=True))
        symbols, numbers = _product(named(x), z), _product(_column(layer.inputs, _input), sums)
        yield self._backward_frame(layer, _Equation(f"D_{w}", symbols, numbers, columns), edges.weights)
        if layer.input_nodes:
            # Inputs that are constants have no gradient, and their columns of W are left out.
            kept = [at for at, place in enumerate(layer.inputs) if isinstance(place, int)]
            weights = _matrix([[neuron.weights[at] for at in kept] for neuron in layer.neurons], node)
            equation = _Equation(f"D_{x}", _product(z, named(w)), _product(sums, weights), [layer.input_nodes])
            yield self._backward_frame(layer, equation, edges.inputs)

    def _edges_of_sums(self, layer: LayerParts) -> "_EdgesOfSums":
        """The edges of w₁x₁ + w₂x₂ + … + b, by what they lead to; those that lead only on come with the first."""
        found = _EdgesOfSums([], [], [])
        biases = set(_biases(layer))
        for neuron in layer.neurons:
            for each in self._edges_within(neuron.z):
                if self._passes.nodes[each.edge.source].op is MUL:
                    (found.inputs if each.edge.slot else found.weights).append(each)
                else:
                    (found.biases if biases else found.weights).append(each)
        return found

    def _through_activation(self, layer: LayerParts) -> LayerFrame:
        z, sums = self._name("Z", layer), [neuron.z for neuron in layer.neurons]
        slope = Expression("call", [named(z)], content=f"{self._activation_name(layer)}′")
        symbols = _elementwise(named(f"D_{self._name('A', layer)}"), Expression("transposed", [slope]))
        gradients = _row([neuron.a for neuron in layer.neurons], gradient)
        numbers = _elementwise(gradients, _row(layer.neurons, self._slope_formula))
        edges = [each for neuron in layer.neurons for each in self._edges_within(neuron.a)]
        return self._backward_frame(layer, _Equation(f"D_{z}", symbols, numbers, [sums]), edges)

    def _slope_formula(self, neuron: NeuronParts) -> Expression:
        """The derivative of the activation by its sum."""
        group = self._passes.groups.containing(neuron.a, "expression")
        edges = [each.edge for each in self._edges_within(neuron.a) if each.edge.target == neuron.z]
        return self._passes.local_formula_of_several(edges, group)

    def _backward_frame(self, layer: LayerParts, equation: _Equation, edges: Sequence[_EdgeAt]) -> LayerFrame:
        passes = self._passes
        edges = sorted(edges)
        first = {each.edge.target: each.at for each in reversed(edges)}
        last = {each.edge.target: each.at for each in edges}
        targets = equation.targets
        is_sum = any(passes.before[first[place] - passes.seed_at - 1] is not None for row in targets for place in row)
        result = tuple(tuple(passes.after[last[place] - passes.seed_at - 1] for place in row) for row in targets)
        covers = [each.at for each in edges]
        return self._frame("backward", layer, equation, covers, result, is_sum)

    def _frame(
        self,
        phase: str,
        layer: LayerParts,
        equation: _Equation,
        covers: Sequence[int],
        result: Matrix,
        is_sum: bool = False,
    ) -> LayerFrame:
        return LayerFrame(
            phase=phase,
            at=max(covers),
            covers=tuple(sorted(covers)),
            name=equation.name,
            symbols=f"{equation.name} {'+=' if is_sum else '='} {self._passes.symbols(equation.symbols)}",
            numbers=self._passes.numbers(equation.numbers),
            result=result,
            formula=equation.symbols,
            formula_in_numbers=equation.numbers,
            formula_of_result=_matrix(equation.targets, node if phase == "forward" else gradient),
            is_sum=is_sum,
            targets=tuple(place for row in equation.targets for place in row),
            group=self._groups[tuple(neuron.a for neuron in layer.neurons)],
            count=len(covers),
        )

    # Names

    def _name(self, letter: str, layer: LayerParts) -> str:
        return self._passes.groups.layer_name(layer, letter)

    def _parameter_name(self, letter: str, layer: LayerParts) -> str:
        return self._passes.groups.parameter_name(letter, layer)

    def _input_name(self, layer: LayerParts) -> str:
        below = self._by_outputs.get(tuple(layer.inputs))
        return self._passes.groups.layer_name(below) if below else self._passes.groups.input_name(layer)

    def _activation_name(self, layer: LayerParts) -> str:
        """The symbol of the function that is a, where it is one; a for a function of the user's own."""
        (op, *others) = {self._passes.nodes[neuron.a].op for neuron in layer.neurons}
        is_long = any(self._passes.expression_members(neuron.a) for neuron in layer.neurons)
        return "a" if op is None or others or is_long or not _is_function(op) else one_line(op.symbol)

    # Parts

    def _edges_within(self, root: int) -> list[_EdgeAt]:
        """The edges from every node of an expression."""
        members = self._passes.expression_members(root) or (root,)
        return [each for member in members for each in self._edges_at.get(member, ())]


class _EdgesOfSums(NamedTuple):
    biases: list[_EdgeAt]
    weights: list[_EdgeAt]
    inputs: list[_EdgeAt]


def _is_activated(layer: LayerParts) -> bool:
    return layer.neurons[0].a != layer.neurons[0].z


def _is_function(op: Op) -> bool:
    """Whether it is written a(z): no operator, and one operand is enough for it."""
    return not op.is_operator and sum("=" not in parameter for parameter in op.parameters) == 1


def _biases(layer: LayerParts) -> list[int]:
    return [neuron.bias for neuron in layer.neurons if neuron.bias is not None]


def _input(place: int | float) -> Expression:
    return node(place) if isinstance(place, int) else number(place)


def _product(left: Expression, right: Expression) -> Expression:
    return Expression("@", [left, right])


def _elementwise(left: Expression, right: Expression) -> Expression:
    return Expression("⊙", [left, right])


Entry = TypeVar("Entry")


def _column(entries: Sequence[Entry], write: Callable[[Entry], Expression]) -> Expression:
    return _matrix([[entry] for entry in entries], write)


def _row(entries: Sequence[Entry], write: Callable[[Entry], Expression]) -> Expression:
    return _matrix([entries], write)


def _matrix(rows: Sequence[Sequence[Entry]], write: Callable[[Entry], Expression]) -> Expression:
    return matrix(_written(rows, write))


def shortened(rows: Sequence[Sequence[Expression]]) -> list[list[Expression]]:
    """The first rows and columns, dots, and the last one, where there are many."""
    return _written(rows, lambda entry: entry)


def _written(rows: Sequence[Sequence[Entry]], write: Callable[[Entry], Expression]) -> list[list[Expression]]:
    """The entries that are shown: of a large matrix, no others are written."""
    return [
        [DOTS if row is None or column is None else write(rows[row][column]) for column in _shown(len(rows[0]))]
        for row in _shown(len(rows))
    ]


def _shown(count: int) -> list[int | None]:
    """Which of so many rows or columns; None for dots."""
    return list(range(count)) if count <= _MOST_ROWS else [*range(_ROWS_BEFORE_DOTS), None, count - 1]

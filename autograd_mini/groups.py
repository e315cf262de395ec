"""A recorded graph in larger pieces: named expressions, neurons and layers, each with what it hides.

A named expression is a result with a label, together with the unlabelled results that only it uses. Neurons and
layers are those of `nn`, recognised by the paper's labels (w⁰₁₂, b⁰₁, z¹₁, a¹₁, ŷ) and by what was computed: a label
alone makes no neuron.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field

from autograd_mini.graph import Node
from autograd_mini.ops import ADD, MUL

LEVELS = ("expression", "neuron", "layer")
"""From fine to coarse: a group of one level lies within one group of the next, or in none."""

_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", "01234567890123456789")
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_LABEL = re.compile("(?P<letter>[wbza])(?P<map>[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,9})(?P<indices>[₀-₉]{1,9}(,[₀-₉]{1,9})?)")
_OUTPUT = re.compile("ŷ[₀-₉]*")


def superscript(number: int) -> str:
    """The number as a superscript: ¹²."""
    return str(number).translate(_SUPERSCRIPTS)


def subscript(number: int) -> str:
    """The number as a subscript: ₁₂."""
    return str(number).translate(_SUBSCRIPTS)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Some nodes of a graph that can be seen as one."""

    level: str
    """One of LEVELS."""
    name: str
    members: tuple[int, ...]
    """Their places in the order of the graph."""
    roots: tuple[int, ...]
    """Those that are seen from outside: its results; of a group of leaves, all."""
    is_leaves: bool = False
    """Whether it holds parameters or inputs, and no operation."""


@dataclass(slots=True)
class NeuronParts:
    """z = w₁x₁ + w₂x₂ + … + b and a = a(z), by their places in the order of the graph."""

    row: int
    weights: list[int]
    inputs: list[int | float]
    """A place, or the number of a constant."""
    bias: int | None
    z: int
    a: int
    """The activation; z itself where there is none."""


@dataclass(slots=True)
class LayerParts:
    """Neurons on the same inputs: one layer of one sample."""

    map: int
    """l of Wˡ and Bˡ; its results are Zˡ⁺¹ and Aˡ⁺¹."""
    sample: int
    """Which use of the layer it is, from 1: a batch uses each layer once a sample."""
    network: int = 1
    """Whose weights it has, from 1: networks side by side, or one after another, have maps of the same number."""
    neurons: list[NeuronParts] = field(default_factory=list)

    @property
    def inputs(self) -> list[int | float]:
        """What all of its neurons take."""
        return self.neurons[0].inputs

    @property
    def input_nodes(self) -> list[int]:
        """Those of them that are nodes."""
        return [place for place in self.inputs if isinstance(place, int)]


class Groups:
    """The groups of a graph at every level, from its nodes in topological order."""

    def __init__(self, order: Sequence[Node]) -> None:
        self.order = order
        self.places = {id(node): place for place, node in enumerate(order)}
        self.operands = [[self.places[id(operand)] for operand in node.operand_nodes()] for node in order]
        self.labels = [node.label for node in order]
        self.roots_of_expressions = self._find_expressions()
        self.layers = self._find_layers()
        inputs = {place for layer in self.layers for place in layer.input_nodes}
        if any(self.roots_of_expressions[place] != place for place in inputs):
            # What only one neuron uses looks like a part of its sum, but it comes before.
            self.roots_of_expressions = self._find_expressions(inputs)
        self._uses = Counter(layer.map for layer in self.layers)
        self._networks = self._tell_networks_apart()
        self.groups: list[Group] = [*self._expressions(), *self._neurons(), *self._whole_layers()]
        self._at: dict[str, dict[int, int]] = {level: {} for level in LEVELS}
        for number, group in enumerate(self.groups):
            for place in group.members:
                self._at[group.level][place] = number

    def containing(self, place: int, level: str, opened: Container[Group] = ()) -> Group | None:
        """The group that stands for a node at a level: of that level, or of the coarsest finer one that has it.

        A group that is opened stands for nothing; what lies within it is seen at the finer levels.
        """
        for each in reversed(LEVELS[: LEVELS.index(level) + 1]):
            if place in self._at[each]:
                group = self.groups[self._at[each][place]]
                if group not in opened:
                    return group
        return None

    def seen_at(self, level: str) -> list[Group | int]:
        """What is seen of the graph at a level: groups, and the places of nodes in none, in topological order.

        A group stands where its last member does.
        """
        seen: dict[int, Group | int] = {}
        for place in range(len(self.order)):
            group = self.containing(place, level)
            seen[group.members[-1] if group else place] = group or place
        return [seen[place] for place in sorted(seen)]

    # Named expressions

    def _find_expressions(self, ends: Container[int] = ()) -> list[int]:
        """For each node, the place of the result that alone uses it, directly or not, and ends at a label.

        Results among `ends` belong to no other, as if they had a label.
        """
        owners = list(range(len(self.order)))
        users: list[set[int]] = [set() for _ in self.order]
        for place in reversed(range(len(self.order))):
            is_end = self.labels[place] or place in ends or not self.operands[place]
            if not is_end and len(users[place]) == 1:
                owners[place] = next(iter(users[place]))
            for operand in self.operands[place]:
                if len(users[operand]) < 2:
                    users[operand].add(owners[place])
            users[place] = set()
        return owners

    def _expressions(self) -> Iterator[Group]:
        members: dict[int, list[int]] = {}
        for place, root in enumerate(self.roots_of_expressions):
            if self.labels[root] and self.operands[root]:
                members.setdefault(root, []).append(place)
        for root, places in members.items():
            if len(places) > 1:
                yield Group("expression", self.labels[root], tuple(places), (root,))

    # Neurons and layers

    def _find_layers(self) -> list[LayerParts]:
        users = self._users_of_sums()
        layers: dict[tuple[object, ...], list[LayerParts]] = {}  # on the same inputs once more: the next of the list
        uses: Counter[tuple[object, ...]] = Counter()
        samples: Counter[int] = Counter()
        for place, label in enumerate(self.labels):
            found = self._read_sum(place) if _is_sum(label) else None
            if found is None:
                continue
            map_number, neuron = found
            neuron.a = self._activation(neuron, users.get(neuron.z, set()))
            key = (map_number, *[x if isinstance(x, int) else repr(x) for x in neuron.inputs])
            alike, use = layers.setdefault(key, []), uses[(key, neuron.row)]
            if use == len(alike):
                samples[map_number] += 1
                alike.append(LayerParts(map_number, samples[map_number]))
            alike[use].neurons.append(neuron)
            uses[(key, neuron.row)] += 1
        found_layers = [layer for alike in layers.values() for layer in alike]
        for layer in found_layers:
            layer.neurons.sort(key=lambda neuron: neuron.row)
        return sorted(found_layers, key=lambda layer: (layer.map, layer.sample))

    def _users_of_sums(self) -> dict[int, set[int]]:
        """For each labelled sum, the expressions that use it."""
        users: dict[int, set[int]] = {place: set() for place, label in enumerate(self.labels) if _is_sum(label)}
        for place, operands in enumerate(self.operands):
            for operand in operands:
                if operand in users and self.roots_of_expressions[place] != operand:
                    users[operand].add(self.roots_of_expressions[place])
        return users

    def _read_sum(self, z: int) -> tuple[int, NeuronParts] | None:
        """The map and the neuron, if this node is w₁x₁ + w₂x₂ + … + b with the labels of one row."""
        inside: list[int] = []
        place, bias = z, None
        if self._is_own(z, z) and self.order[z].op is ADD and self._parameter(self.operands[z][-1:], "b"):
            bias, place = self.operands[z][-1], self.operands[z][0]
        while self.order[place].op is ADD and self._is_own(place, z) and len(self.operands[place]) == 2:
            inside.append(self.operands[place][1])
            place = self.operands[place][0]
        inside.append(place)
        neuron = NeuronParts(0, [], [], bias, z, z)
        names = []
        for product in reversed(inside):
            name = self._parameter(self.operands[product][:1], "w")
            if self.order[product].op is not MUL or name is None or not self._is_own(product, z):
                return None
            weight, right = self.order[product].operands
            if isinstance(weight, float):
                return None
            names.append(name)
            neuron.weights.append(self.places[id(weight)])
            neuron.inputs.append(right if isinstance(right, float) else self.places[id(right)])
        map_number, neuron.row = names[0][0], names[0][1][0]
        if names != [(map_number, (neuron.row, column)) for column in range(1, len(names) + 1)]:
            return None
        if bias is not None and self._parameter([bias], "b") != (map_number, (neuron.row,)):
            return None
        return map_number, neuron

    def _is_own(self, place: int, root: int) -> bool:
        return self.roots_of_expressions[place] == root

    def _parameter(self, places: Sequence[int], letter: str) -> tuple[int, tuple[int, ...]] | None:
        """Map and indices of a leaf whose label is that of a weight or bias."""
        if not places or self.operands[places[0]] or self.order[places[0]].op is not None:
            return None
        found = _LABEL.fullmatch(self.labels[places[0]])
        if not found or found["letter"] != letter:
            return None
        indices = found["indices"].translate(_DIGITS)
        parts = indices.split(",") if "," in indices or letter == "b" else list(indices)
        return int(found["map"].translate(_DIGITS)), tuple(map(int, parts))

    def _activation(self, neuron: NeuronParts, users: set[int]) -> int:
        """The place of a(z), where z goes nowhere else and nothing else goes into it."""
        if len(users) != 1:
            return neuron.z
        (root,) = users
        found = _LABEL.fullmatch(self.labels[root])
        if not (found and found["letter"] == "a") and not _OUTPUT.fullmatch(self.labels[root]):
            return neuron.z
        members = self._members(root)
        outside = {operand for place in members for operand in self.operands[place]} - set(members)
        return root if outside == {neuron.z} else neuron.z

    def _members(self, root: int) -> list[int]:
        """The nodes of an expression, root first."""
        members, seen = [root], {root}
        for place in members:
            for operand in self.operands[place]:
                if self._is_own(operand, root) and operand not in seen:
                    seen.add(operand)
                    members.append(operand)
        return members

    def _tell_networks_apart(self) -> dict[int, int]:
        """Number the layers of each map by their weights, and give back how many networks have that map.

        What has other weights in a row is of another network.
        """
        known: dict[int, list[dict[int, list[int]]]] = {}
        for layer in self.layers:
            rows = {neuron.row: neuron.weights for neuron in layer.neurons}
            networks = known.setdefault(layer.map, [])
            fitting = [all(each.get(row, rows[row]) == rows[row] for row in rows) for each in networks]
            if True not in fitting:
                fitting.append(True)
                networks.append({})
            networks[fitting.index(True)].update(rows)
            layer.network = fitting.index(True) + 1
        return {map_number: len(networks) for map_number, networks in known.items()}

    def _neurons(self) -> Iterator[Group]:
        parameters: dict[int, str] = {}
        for layer in self.layers:
            for neuron in layer.neurons:
                members = {*self._members(neuron.z), *self._members(neuron.a)}
                yield Group("neuron", self.labels[neuron.a], tuple(sorted(members)), (neuron.a,))
                name = f"w{superscript(layer.map)}{subscript(neuron.row)}{self._network_mark(layer)}"
                for place in _parameters_of(neuron):
                    parameters.setdefault(place, name)
        yield from _groups_of_leaves("neuron", parameters)

    def _whole_layers(self) -> Iterator[Group]:
        leaves: dict[int, str] = {}
        for layer in self.layers:
            members: set[int] = set()
            names = self.parameter_name("W", layer), self.parameter_name("B", layer)
            for neuron in layer.neurons:
                members.update(self._members(neuron.z), self._members(neuron.a))
                for place in _parameters_of(neuron):
                    leaves.setdefault(place, ", ".join(names))
            roots = tuple(neuron.a for neuron in layer.neurons)
            yield Group("layer", self.layer_name(layer), tuple(sorted(members)), roots)
        for layer in self.layers:
            for place in layer.input_nodes:
                if self.order[place].op is None:
                    leaves.setdefault(place, "x")
        yield from _groups_of_leaves("layer", leaves)

    def parameter_name(self, letter: str, layer: LayerParts) -> str:
        """What a layer's weights (W) or biases (B) are called: W⁰; W⁰⁽²⁾ in the second network."""
        return f"{letter}{superscript(layer.map)}{self._network_mark(layer)}"

    def _network_mark(self, layer: LayerParts) -> str:
        return _mark(layer.network) if self._networks[layer.map] > 1 else ""

    def input_name(self, layer: LayerParts) -> str:
        """What a layer's inputs are called: A¹ where their labels are those of neurons, else x."""
        labels = [_LABEL.fullmatch(self.labels[place]) for place in layer.input_nodes]
        results = {(found["letter"], found["map"]) if found else None for found in labels}
        is_inner = results == {("a", superscript(layer.map))} and len(labels) == len(layer.inputs)
        return f"A{superscript(layer.map)}{self.sample_mark(layer)}" if is_inner else f"x{self.sample_mark(layer)}"

    def layer_name(self, layer: LayerParts, letter: str = "") -> str:
        """What a layer's results are called: A¹, Z³ where they have no activation; A¹⁽²⁾ for the second sample."""
        letter = letter or ("Z" if all(neuron.a == neuron.z for neuron in layer.neurons) else "A")
        return f"{letter}{superscript(layer.map + 1)}{self.sample_mark(layer)}"

    def sample_mark(self, layer: LayerParts) -> str:
        """⁽²⁾ for the second sample; nothing where there is only one."""
        return _mark(layer.sample) if self._uses[layer.map] > 1 else ""


def _is_sum(label: str) -> bool:
    """Whether it may stand on the sum of a neuron: on one without an activation, also the label of that."""
    found = _LABEL.fullmatch(label)
    return bool(found and found["letter"] in "za") or bool(_OUTPUT.fullmatch(label))


def _mark(number: int) -> str:
    return f"⁽{superscript(number)}⁾"


def _parameters_of(neuron: NeuronParts) -> list[int]:
    return neuron.weights if neuron.bias is None else [*neuron.weights, neuron.bias]


def _groups_of_leaves(level: str, names: dict[int, str]) -> Iterator[Group]:
    """A group for each name, of the leaves that have it."""
    members: dict[str, list[int]] = {}
    for place in sorted(names):
        members.setdefault(names[place], []).append(place)
    for name, places in members.items():
        yield Group(level, name, tuple(places), tuple(places), is_leaves=True)

"""The engine beside the naive one: whatever is done to both, in whatever order, they hold the same."""

import copy
import functools
import gc
import math
import operator
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import hypothesis
import naive_engine
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from naive_engine import FORMULAS, Number
from recordings import ANY_NUMBERS, LABELS, PLAIN_NUMBERS

import autograd_mini
import nn
from autograd_mini import TABLE, Op, Value, topological_order
from autograd_mini.engine import recycler


class Weight(Value):
    """A class of a user's own, with an attribute."""

    note = ""


class Model(nn.Module):
    """Some leaves as parameters."""

    def __init__(self, leaves: list[Value]) -> None:
        self.leaves = leaves


class Pair(NamedTuple):
    """A node, and the number that it should be."""

    value: Value
    number: Number


OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "pow": operator.pow,
    "neg": operator.neg,
    "abs": abs,
}
IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.iadd,
    "sub": operator.isub,
    "mul": operator.imul,
    "div": operator.itruediv,
    "pow": operator.ipow,
}
UNARY = [name for name, formulas in FORMULAS.items() if len(formulas) == 2]
BINARY = [name for name, formulas in FORMULAS.items() if len(formulas) == 3]

CONSTANTS = st.sampled_from(
    [2, -1, 0, 3, True, 10**30, 0.5, -1.5, 1e-200, math.inf, np.float64(1.25), np.float32(0.1), np.int64(3), np.True_]
)

DIFFERENTIATED: dict[str, Callable[[Callable[..., Any], Any, Any], Any]] = {
    "cube": lambda run, x, other: run("mul", run("mul", x, x), x),
    "wave": lambda run, x, other: run("sin", run("mul", x, 3.0)),
    "with another": lambda run, x, other: run("mul", run("tanh", x), run("add", other, x)),
    "of another": lambda run, x, other: run("exp", other),
}
"""Functions of x that may reach another number by themselves."""


def _raises(*_: object) -> float:
    raise TypeError("a derivative that cannot be computed")


RAISES_LATE = Op("raises_late", lambda m, x: x * 2.0, (_raises,), "A row whose derivative raises.")
OWN = Op("own", lambda m, x: x * 2.0, (lambda m, out, x: 2.0,), "A row that cannot be pickled.")

WRONG: list[Callable[[Value], object]] = [
    lambda x: x + "3",  # type: ignore[operator]
    lambda x: [] - x,  # type: ignore[operator]
    lambda x: x.maximum(None),  # type: ignore[arg-type]
    lambda x: x.sin() * (x**1j),  # type: ignore[operator]
    lambda x: autograd_mini.apply(TABLE["mul"], x + 1.0),
    lambda x: x + 10**400,
    lambda x: (x * 2.0) + np.array([1.0, 2.0]),
    lambda x: setattr(x, "data", "3"),
    lambda x: setattr(x, "grad", None),
    lambda x: setattr(x, "label", 3),
    lambda x: bool(x - 1.0),
    lambda x: autograd_mini.apply(RAISES_LATE, x * 3.0),
    lambda x: autograd_mini.grad(lambda y: [y * y])(x),
    lambda x: pickle.dumps(autograd_mini.apply(OWN, x) + x),
]
"""What raises a TypeError, a ValueError or an OverflowError, most of it when something has been recorded already."""


counts: Counter[str] = Counter()
"""How often each rule has run, and what else came about."""

NUMBERS = st.one_of(st.floats(-3, 3), PLAIN_NUMBERS, ANY_NUMBERS)
"""Not too many NaN and infinities: what is made of them is NaN, whatever is done to it."""

PLACES = st.integers(0, 40)
MOST_NODES = 150
"""Of the graphs that are kept: the naive engine takes the square of their number."""


def step(**strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """A rule that is counted."""

    def counted(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def run(machine: Any, **drawn: Any) -> None:
            counts[function.__name__.replace("_", " ")] += 1
            function(machine, **drawn)

        made: Any = rule(**strategies)
        return made(run)

    return counted


class EngineMachine(RuleBasedStateMachine):
    """Keeps some nodes of the engine, and for each the number of the naive engine that it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Pair] = []
        self.identities: dict[Number, tuple[int, int]] = {}
        """Of whatever can be reached: the id and hash of its node."""
        self.dead: set[int] = set()
        """Where nodes were that are gone."""
        self.collects = gc.isenabled()

    def teardown(self) -> None:
        (gc.enable if self.collects else gc.disable)()

    # Choosing and keeping

    def pair(self, place: int) -> Pair:
        return self.kept[place % len(self.kept)]

    def leaves(self) -> list[Pair]:
        return [pair for pair in self.kept if not pair.number.operands]

    def keep(self, value: Value, number: Number) -> Pair:
        """Take note of what was made."""
        self.know(value, number)
        self.kept.append(Pair(value, number))
        return self.kept[-1]

    def know(self, value: Value, number: Number) -> None:
        """Take note of a new node, with the engine's numbers, if those are right, in place of the naive one's.

        So rounding does not add up along a chain, and from now on they have to stay what they are, to the last bit.
        """
        self.identify(value, number)
        assert type(value.data) is type(value.grad) is float
        assert is_near(value.data, number.data), (number.row, value, number.data)
        for got, expected in zip(value.operands, number.operands, strict=True):
            if isinstance(expected, Number):
                assert id(got) == self.identities[expected][0]
            else:
                assert repr(got) == repr(float(expected))
        wanted = [isinstance(operand, Number) for operand in number.operands]
        partials = list(value.partials)
        assert len(partials) == sum(wanted)
        for place, partial in enumerate(number.partials):
            if wanted[place]:
                got = partials.pop(0)
                assert is_near(got, partial), (number.row, value, got, partial)
                number.partials = (*number.partials[:place], got, *number.partials[place + 1 :])
        number.data = value.data
        number.kind = number.kind or Value

    def identify(self, value: Value, number: Number) -> None:
        if id(value) in self.dead:
            self.dead.remove(id(value))
            counts["nodes where a dead one had been"] += 1
        assert id(value) not in {each[0] for each in self.identities.values()}, "a living node was handed out again"
        self.identities[number] = id(value), hash(value)

    def keep_only(self, kept: list[Pair]) -> None:
        """Forget the others, and what only they led to."""
        self.kept = kept
        reached = {number for pair in kept for number in naive_engine.order(pair.number)}
        for number in list(self.identities):
            if number not in reached:
                self.dead.add(self.identities.pop(number)[0])

    # What must hold after every step

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        seen: set[Number] = set()
        waiting = list(self.kept)
        while waiting:
            pair = waiting.pop()
            if pair.number in seen:
                continue
            seen.add(pair.number)
            self.check(*pair)
            waiting += operands_of(pair)
        assert seen == set(self.identities)
        counts["nodes compared"] += len(seen)

    def check(self, value: Value, number: Number) -> None:
        assert (id(value), hash(value)) == self.identities[number]
        assert type(value) is number.kind
        assert repr(value.data) == repr(number.data)
        assert value.label == number.label
        assert (value.op.name if value.op else "") == number.row
        is_node = [isinstance(operand, Number) for operand in number.operands]
        assert [isinstance(operand, Value) for operand in value.operands] == is_node
        constants = [repr(operand) for operand in value.operands if not isinstance(operand, Value)]
        assert constants == [repr(float(each)) for each in number.operands if not isinstance(each, Number)]
        partials = [partial for partial, wanted in zip(number.partials, is_node, strict=True) if wanted]
        assert repr(value.partials) == repr(tuple(partials))
        assert naive_engine.is_near(value.grad, number.grad, number.slack), (value, number.grad, number.slack)
        if math.isnan(number.slack):
            counts["gradients that nobody can say"] += 1
        number.grad, number.slack = value.grad, 0.0

    # Making

    @initialize(data=NUMBERS)
    def make_the_first_leaf(self, data: float) -> None:
        self.keep(Value(data), Number(data))

    @step(data=NUMBERS, label=st.sampled_from(LABELS), kind=st.sampled_from([Value, Value, Weight]))
    def make_a_leaf(self, data: float, label: str, kind: type[Value]) -> None:
        self.keep(kind(data, label), Number(data, label, kind=kind))

    @step(row=st.sampled_from(UNARY), place=PLACES, way=PLACES)
    def record_one_operand(self, row: str, place: int, way: int) -> None:
        self.record(row, [self.pair(place)], way)

    @step(row=st.sampled_from(BINARY), left=PLACES, right=PLACES, way=PLACES)
    def record_two_operands(self, row: str, left: int, right: int, way: int) -> None:
        self.record(row, [self.pair(left), self.pair(right)], way)

    @step(row=st.sampled_from(BINARY), place=PLACES, constant=CONSTANTS, is_left=st.booleans(), way=PLACES)
    def record_with_a_constant(self, row: str, place: int, constant: Any, is_left: bool, way: int) -> None:
        operands = [self.pair(place), constant]
        self.record(row, operands[::-1] if is_left else operands, way)

    def record(self, row: str, operands: Sequence[Any], way: int) -> Pair:
        """Apply a row to pairs and constants, in one of the ways that there are."""
        values = [operand.value if isinstance(operand, Pair) else operand for operand in operands]
        numbers = [operand.number if isinstance(operand, Pair) else operand for operand in operands]
        ways = ways_to_record(row, is_method=isinstance(operands[0], Pair))
        return self.keep(ways[way % len(ways)](*values), naive_engine.record(row, *numbers))

    @step(row=st.sampled_from(list(IN_PLACE)), place=PLACES, constant=CONSTANTS)
    def record_in_place(self, row: str, place: int, constant: Any) -> None:
        before = self.pair(place)
        y = before.value
        y = IN_PLACE[row](y, constant)
        assert y is not before.value
        self.keep(y, naive_engine.record(row, before.number, constant))

    @step(
        rows=st.lists(st.tuples(st.sampled_from([*UNARY, *BINARY]), PLACES, PLACES), min_size=1, max_size=6),
        is_kept=st.booleans(),
    )
    def record_an_expression(self, rows: list[tuple[str, int, int]], is_kept: bool) -> None:
        """Whose parts nobody holds."""
        before = len(self.kept)
        parts = list(self.kept)
        for row, first, second in rows:
            operands = [parts[-1 - first % len(parts)], parts[-1 - second % len(parts)]]
            parts.append(self.record(row, operands[: len(FORMULAS[row]) - 1], first))
        self.keep_only([*self.kept[:before], *self.kept[len(self.kept) - is_kept :]])

    @step(wrong=st.sampled_from(WRONG), place=PLACES)
    def record_what_is_wrong(self, wrong: Callable[[Value], object], place: int) -> None:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            wrong(self.pair(place).value)

    @step(place=PLACES)
    def detach(self, place: int) -> None:
        pair = self.pair(place)
        self.keep(pair.value.detach(), Number(pair.number.data, pair.number.label))

    # Changing

    @step(place=PLACES, data=NUMBERS)
    def set_data(self, place: int, data: float) -> None:
        pair = self.pair(place)
        pair.value.data = pair.number.data = data

    @step(place=PLACES, grad=NUMBERS)
    def set_grad(self, place: int, grad: float) -> None:
        pair = self.pair(place)
        pair.value.grad = pair.number.grad = grad

    @step(place=PLACES, label=st.sampled_from(LABELS))
    def set_label(self, place: int, label: str) -> None:
        pair = self.pair(place)
        pair.value.label = pair.number.label = label

    @step(count=st.integers(1, 4))
    def zero_grad(self, count: int) -> None:
        leaves = self.leaves()[-count:]
        Model([pair.value for pair in leaves]).zero_grad()
        naive_engine.zero_grad(pair.number for pair in leaves)

    # Differentiating

    @step(place=PLACES, times=st.integers(1, 2))
    def backward(self, place: int, times: int) -> None:
        for _ in range(times):
            self.backward_from(self.pair(place))

    @step()
    def backward_from_the_newest(self) -> None:
        self.backward_from(self.kept[-1])

    def backward_from(self, pair: Pair) -> None:
        pair.value.backward()
        naive_engine.backward(pair.number)

    @step(place=PLACES, operand=st.integers(0, 1), data=NUMBERS, grad=NUMBERS)
    def backward_when_an_operand_was_changed(self, place: int, operand: int, data: float, grad: float) -> None:
        pair = self.pair(place)
        for changed in operands_of(pair)[operand : operand + 1]:
            changed.value.data = changed.number.data = data
            changed.value.grad = changed.number.grad = grad
        self.backward_from(pair)

    @step(place=PLACES)
    def read_the_order(self, place: int) -> None:
        pair = self.pair(place)
        expected = [self.identities[number][0] for number in naive_engine.order(pair.number)]
        assert [id(node) for node in topological_order(pair.value)] == expected

    @step(name=st.sampled_from(list(DIFFERENTIATED)), place=PLACES, other=PLACES, x=st.floats(-2, 2))
    def differentiate_a_function(self, name: str, place: int, other: int, x: float) -> None:
        """At a plain number, where the result is one, and at a `Value`, where it is recorded in its turn."""
        function, reached = DIFFERENTIATED[name], self.pair(other)
        derivative = autograd_mini.grad(
            lambda x: function(lambda row, *operands: autograd_mini.apply(TABLE[row], *operands), x, reached.value)
        )
        self.check_derivative(derivative(x), function, x, reached.number)
        at = self.pair(place)
        result = derivative(at.value)
        self.check_derivative(result, function, at.number.data, reached.number)
        if isinstance(result, Value):
            known = {identity: number for number, (identity, _) in self.identities.items()}
            self.kept.append(Pair(result, self.recorded(result, known)))

    def check_derivative(self, got: Any, function: Callable[..., Any], x: float, reached: Number) -> None:
        leaf = Number(x)
        result = function(naive_engine.record, leaf, Number(reached.data))
        naive_engine.backward(result)
        # Here the numbers are the naive engine's own, and differ from ours in their last digits.
        assert naive_engine.is_near(float(got), leaf.grad, 100 * leaf.slack)

    def recorded(self, value: Value, known: dict[int, Number]) -> Number:
        """The number of a node that was not recorded by us, with those that lead to it."""
        if id(value) not in known:
            operands = [
                self.recorded(each, known) if isinstance(each, Value) else float(each)  # type: ignore[arg-type]
                for each in value.operands
            ]
            row = value.op.name if value.op else ""
            known[id(value)] = naive_engine.record(row, *operands) if row else Number(value.data)
            self.know(value, known[id(value)])
        return known[id(value)]

    # Copying

    @step(places=st.lists(PLACES, min_size=1, max_size=3))
    def deepcopy(self, places: list[int]) -> None:
        self.keep_copies(copy.deepcopy, places)

    @step(places=st.lists(PLACES, min_size=1, max_size=3), protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
    def pickle(self, places: list[int], protocol: int) -> None:
        self.keep_copies(lambda values: pickle.loads(pickle.dumps(values, protocol)), places)

    def keep_copies(self, copied: Callable[[list[Value]], list[Value]], places: list[int]) -> None:
        """Of some graphs, copied together."""
        pairs = [self.pair(place) for place in places]
        for pair in pairs:
            if isinstance(pair.value, Weight):
                pair.value.note = f"of {pair.number.label}"
        values = copied([pair.value for pair in pairs])
        numbers = naive_engine.deep_copies(pair.number for pair in pairs)
        for pair, value in zip(pairs, values, strict=True):
            assert getattr(value, "note", "") == getattr(pair.value, "note", "")
        self.identify_copies(map(Pair, values, numbers))
        self.kept += [Pair(value, number) for value, number in zip(values, numbers, strict=True)]

    def identify_copies(self, pairs: Iterable[Pair]) -> None:
        """Take note of new nodes and their new operands, which `check` then compares."""
        for value, number in pairs:
            if number not in self.identities:
                self.identify(value, number)
                self.identify_copies(operands_of(Pair(value, number)))

    @step(place=PLACES)
    def copy(self, place: int) -> None:
        pair = self.pair(place)
        value, number = copy.copy(pair.value), naive_engine.shallow_copy(pair.number)
        self.identify(value, number)
        self.kept.append(Pair(value, number))

    # Forgetting

    @step(places=st.sets(PLACES, min_size=1, max_size=8))
    def forget(self, places: set[int]) -> None:
        self.keep_only([pair for place, pair in enumerate(self.kept) if place not in places] or self.kept[:1])

    @step(place=PLACES)
    def forget_all_but_one(self, place: int) -> None:
        self.keep_only([self.pair(place)])

    @step(place=PLACES, operand=st.integers(0, 1))
    def hold_an_operand(self, place: int, operand: int) -> None:
        """Which may have been held by its results alone."""
        self.kept += operands_of(self.pair(place))[operand : operand + 1]

    @step(call=st.sampled_from([gc.collect, gc.enable, gc.disable]))
    def use_the_collector(self, call: Callable[[], object]) -> None:
        call()

    @step()
    def let_spare_nodes_go(self) -> None:
        """As if a million had been used: the next ones that die free them all."""
        recycler.uses = 1_000_000

    @invariant()
    def does_not_grow_for_ever(self) -> None:
        if len(self.identities) > MOST_NODES:
            self.keep_only(self.leaves()[-3:] or self.kept[:1])


def operands_of(pair: Pair) -> list[Pair]:
    """Those that are nodes, left to right."""
    numbers = [operand for operand in pair.number.operands if isinstance(operand, Number)]
    return [Pair(value, number) for value, number in zip(pair.value.parents, numbers, strict=True)]


def is_near(got: float, expected: float) -> bool:
    """Whether one operation was computed as well as NumPy computes it."""
    return naive_engine.is_near(got, expected, 1e-12 * abs(expected))


@functools.cache
def ways_to_record(row: str, is_method: bool) -> list[Callable[..., Any]]:
    """Operators; functions, and methods where the first operand has them; and `apply`."""
    ways: list[Callable[..., Any]] = [functools.partial(autograd_mini.apply, TABLE[row])]
    if row in OPERATORS:
        return [OPERATORS[row], *ways]
    ways.append(getattr(autograd_mini, row))
    return [getattr(Value, row), *ways] if is_method else ways


def run(machines: int, steps: int, seed: int) -> None:
    """So many machines, each so many steps; raises AssertionError where one finds a difference."""
    gc.freeze()  # what was there before: machines collect often
    try:
        run_state_machine_as_test(
            hypothesis.seed(seed)(EngineMachine),
            settings=settings(
                max_examples=machines,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                report_multiple_bugs=False,
            ),
        )
    finally:
        gc.unfreeze()

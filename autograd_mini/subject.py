"""What is checked: a function of a flat list of numbers, with its recorded graph where it has one."""

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from autograd_mini import graph
from autograd_mini.engine import to_float
from autograd_mini.graph import Replay, pullback
from autograd_mini.look_ahead import LookAhead
from autograd_mini.nested import Numbers, flatten, reshape
from autograd_mini.ops import evaluate
from autograd_mini.value import Value


@dataclass(frozen=True)
class Subject:
    """A function at a point, coordinate by coordinate."""

    names: list[str]
    point: list[float]
    call: Callable[[list[float]], Any]
    """The function itself, on a number for each coordinate."""
    root: Value | None
    """What it recorded at the point; None where it knows no `Value`s."""
    leaves: list[Value]
    arguments: Numbers
    """In the shape in which the function takes them."""
    absent: frozenset[int] = frozenset()
    """Coordinates that the graph does not depend on."""
    replay: Replay | None = None
    """The graph on other numbers, where it may be less than the function."""
    look_ahead: LookAhead | None = None
    """Where the function is a graph, its values at many points at once."""

    def gradients(self) -> list[float]:
        """Our reverse mode's answer."""
        return [0.0] * len(self.point) if self.root is None else pullback(self.root, self.leaves)

    def claimed(self, gradient: Callable[..., Numbers] | Numbers) -> list[float]:
        """A user's answer, given as numbers or as a function of the arguments."""
        if callable(gradient):
            gradient = gradient(*reshape(iter(self.point), like=self.arguments))
        claimed = [(name, to_float(number, f"check_gradients, gradient{name}")) for name, number in flatten(gradient)]
        if len(claimed) != len(self.point):
            raise ValueError(f"check_gradients: expected {len(self.point)} gradients, got {len(claimed)}")
        by_name = dict(claimed)
        for shape in (self.arguments, *self.arguments[:1]):  # the gradient by a single argument comes without the list
            names = [name for name, _ in flatten(shape)]
            if by_name.keys() == set(names):  # so that a dict may have its keys in another order
                return [by_name[name] for name in names]
        return [number for _, number in claimed]

    def along(self, place: int) -> Callable[[float], Any]:
        """The function along one coordinate."""

        known = self.look_ahead.along(place) if self.look_ahead else {}

        def line(number: float) -> Any:
            if number in known:
                return known[number]
            return self.call([*self.point[:place], number, *self.point[place + 1 :]])

        return line

    def is_whole(self, place: int) -> bool:
        """Whether the graph recorded at the point is the whole function, as far as one coordinate shows.

        It is not where a dependence was hidden from it, through float(x) or math.exp(x), or where the function takes
        another branch nearby: then function and graph differ a small step away.
        """
        if self.replay is None:
            return self.root is not None
        x = self.point[place]
        for step in (math.ldexp(max(abs(x), 1.0), -20), math.ldexp(abs(x), -20), math.ldexp(max(abs(x), 1.0), -10)):
            for number in (x - step, x + step):
                numbers = [*self.point[:place], number, *self.point[place + 1 :]]
                function, recorded = float(self.call(numbers)), self.replay(numbers, evaluate, float)[id(self.root)]
                if function != recorded and not (math.isnan(function) and math.isnan(recorded)):
                    return False
        return True


def recorded_subject(root: Value, leaves: Iterable[Value] | None) -> Subject:
    """A recorded graph as a function of some of its leaves, or of all."""
    in_graph = {id(leaf): leaf for leaf in graph.leaves(root) if isinstance(leaf, Value)}
    chosen = list({id(leaf): leaf for leaf in (in_graph.values() if leaves is None else leaves)}.values())
    for leaf in chosen:
        if not isinstance(leaf, Value) or leaf.op is not None:
            raise TypeError(f"check_gradients: expected leaves of the graph as inputs, got {leaf!r}")
    absent = frozenset(place for place, leaf in enumerate(chosen) if id(leaf) not in in_graph)
    if len(absent) == len(chosen):
        raise ValueError("check_gradients: expected at least one leaf of the graph as input, got none")
    replay = Replay(root, chosen)

    def call(numbers: list[float]) -> Any:
        return replay(numbers, evaluate, float)[id(root)]

    point = [leaf.data for leaf in chosen]
    again = call(point)
    if again != root.data and not math.isnan(again):
        raise ValueError(
            f"check_gradients: the graph was recorded with other numbers (it gave {root.data!r}, its leaves now give "
            f"{again!r}); record it again"
        )
    names = [leaf.label or f"leaf {place}" for place, leaf in enumerate(chosen)]
    look_ahead = LookAhead(replay, id(root), point)
    return Subject(names, point, call, root, chosen, chosen, absent, look_ahead=look_ahead)


def function_subject(function: Callable[..., Any], inputs: Numbers) -> Subject:
    """A function of the arguments in inputs, recorded if it accepts `Value`s."""
    if not callable(function):
        raise TypeError(f"check_gradients: expected a function or a Value, got {type(function).__name__}")
    if inputs is None:
        raise TypeError("check_gradients: expected the list of the function's arguments as inputs, got none")
    arguments = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    named = [item for name, part in _with_names(function, arguments) for item in flatten(part, name)]
    names = [name for name, _ in named]
    point = [number.data if isinstance(number, Value) else _number(number, name) for name, number in named]
    if not point:
        raise ValueError("check_gradients: expected at least one number among the inputs, got none")

    def call_on(numbers: Iterable[Any]) -> Any:
        return function(*reshape(iter(numbers), like=arguments))

    leaves = [Value(number, name) for name, number in zip(names, point, strict=True)]
    root = _record(call_on, leaves, point)

    def call(numbers: list[float]) -> Any:
        return call_on(numbers if root is None else map(Value, numbers))

    replay = None if root is None else Replay(root, leaves)
    return Subject(names, point, call, root, leaves, arguments, replay=replay)


def _number(number: object, name: str) -> float:
    return to_float(number, f"check_gradients, input {name}")


def _record(call_on: Callable[[Iterable[Any]], Any], leaves: list[Value], point: list[float]) -> Value | None:
    """What the function records; None where it wants plain numbers, or returns one although it was given `Value`s."""
    try:
        result = call_on(leaves)
    except Exception as on_values:  # whatever a function may raise that was written for other numbers
        try:
            result = call_on(point)
        except (ArithmeticError, ValueError):
            return None  # at the edge of its domain: the differences will say so
        except Exception as on_floats:
            # It takes neither, so that this is a mistake in the function: show the one that speaks of Values only if
            # the function plainly means them.
            raise on_values if isinstance(on_floats, AttributeError) else on_floats from None
    if isinstance(result, Value):
        return result
    if not isinstance(result, complex):
        to_float(result, "check_gradients, result of the function")
    return None


def _with_names(function: Callable[..., Any], arguments: list[Any]) -> list[tuple[str, Any]]:
    try:
        signature = inspect.signature(function)
    except ValueError:  # a builtin that has none
        return [(f"x{index}", argument) for index, argument in enumerate(arguments)]
    try:
        bound = signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(
            f"check_gradients: {error}; inputs is the list of the function's arguments, so one list is [[1.0, 2.0]]"
        ) from None
    named: list[tuple[str, Any]] = []
    for name, value in bound.arguments.items():
        starred = signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
        named += [(f"{name}[{i}]", item) for i, item in enumerate(value)] if starred else [(name, value)]
    return named

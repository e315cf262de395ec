"""Where the first NaN or infinity of a graph came from: the node, the operation, and the user's own source line."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import wraps
from types import FrameType
from typing import Any, Literal, TypeAlias

from autograd_mini import engine
from autograd_mini.engine import shorten
from autograd_mini.graph import Node, topological_order
from autograd_mini.ops import TABLE
from autograd_mini.value import Value
from autograd_mini.watching import Replacements, Wrap, place_of_user, source_line


@dataclass(frozen=True)
class Anomaly:
    """A number that is not finite though it was made of finite ones; as text, one line that says so."""

    node: Value
    """Forward: whose number it is. Backward: whose operand gets the gradient, or where gradients add up to it."""
    operation: str
    """The name of the row that made the node; "leaf" where it was not computed."""
    operands: tuple[float, ...]
    """What the operation was applied to. These are today's numbers: `data` may have been changed since."""
    phase: Literal["forward", "backward"]
    number: float
    """The number of the node, or the gradient."""
    line: str | None = None
    """The user's own line, as `file:number: text`; None unless it was recorded inside `detect_anomaly()`."""
    operand: int | None = None
    """Backward: the place of the operand that gets the gradient, from 0; None where gradients add up to it."""

    def __str__(self) -> str:
        at = f", at {self.line}" if self.line else ""
        if self.phase == "forward":
            return f"forward: {self._description()} is {self.number}{at}"
        if self.operand is None:
            return f"backward: the gradients of {self._description()} add up to {self.number}{at}"
        to = f" to its {('first', 'second')[self.operand]} operand" if len(self.operands) == 2 else ""
        return f"backward: {self._description()} passes on a gradient of {self.number}{to}{at}"

    def _description(self) -> str:
        label = _printable(self.node.label)
        if self.operation == "leaf":
            return f"the leaf {label}" if label else "a leaf"
        labels = [operand.label if isinstance(operand, Node) else "" for operand in self.node.operands]
        shown = [
            f"{_printable(name)} = {number}" if name else f"{number}"
            for name, number in zip(labels, self.operands, strict=True)
        ]
        return f"{f'{label} = ' if label else ''}{self.operation}({', '.join(shown)})"


def _printable(label: str) -> str:
    return label if label.isprintable() and len(label) <= 40 else shorten(label)


def find_anomaly(value: Value) -> Anomaly | None:
    """Where a NaN or infinity came from that `value`, or a gradient of it, holds; None where all are finite.

    Forward: of the numbers that are not finite and lead to value through none that is, the first of the topological
    order. Infinities that came to nothing, as in max(x, -inf), are none. Backward, where value is finite: the first
    place of the pass where a gradient is not; no `grad` is read or written. Where several are to blame, the others show
    once the first is mended.

    Raises TypeError if value is no `Value`.
    """
    if not isinstance(value, Value):
        raise TypeError(f"find_anomaly: expected a Value, got {type(value).__name__} {shorten(value)}")
    order = topological_order(value)
    return _backward(order) if math.isfinite(value.data) else _forward(order)


def _forward(order: list[Node]) -> Anomaly:
    leading = {id(order[-1])}
    first = order[-1]
    for node in reversed(order):
        if id(node) in leading:
            first = node  # the last one found has no operand that is not finite: it would come after
            leading.update(id(operand) for operand in node.operand_nodes() if not math.isfinite(operand._data))
    return _anomaly(first, "forward", first._data)


def _backward(order: list[Node]) -> Anomaly | None:
    gradients = {id(order[-1]): 1.0}
    for node in reversed(order):
        upstream = gradients.pop(id(node))
        both = (node._left, node._left_partial), (node._right, node._right_partial)
        for place, (operand, partial) in enumerate(both):
            if operand is None:
                continue
            gradient = upstream * partial
            if not math.isfinite(gradient):
                return _anomaly(node, "backward", gradient, place)
            total = gradients.get(id(operand), 0.0) + gradient
            if not math.isfinite(total):
                return _anomaly(operand, "backward", total)
            gradients[id(operand)] = total
    return None


def _anomaly(node: Any, phase: Literal["forward", "backward"], number: float, operand: int | None = None) -> Anomaly:
    detection = _detection.get()
    line = None if detection is None else detection.line_of(node)
    name = "leaf" if node.op is None else node.op.name
    return Anomaly(node, name, tuple(map(float, node.operands)), phase, number, line, operand)


# Source lines. While somebody is inside `detect_anomaly()`, what records operations is replaced by what also looks at
# the results.


def detect_anomaly() -> "_Detection":
    """A block in which `backward()` raises FloatingPointError rather than spread NaN or infinity, as in PyTorch.

    The message is what `find_anomaly` finds, which inside the block also knows the user's own source line: the
    innermost one outside the libraries. It knows it for operations whose result or derivative was not finite
    at once, not for gradients that grew too large over several. Recording and backward() are some two times slower in
    it, compiled some seven times; other threads are not watched. The block may also be used as a decorator.
    """
    return _Detection()


class _Detection(ContextDecorator, AbstractContextManager[None]):
    """What is known inside one block."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[_Marks, tuple[str, int] | None]] = {}
        self._outermost: FrameType | None = None
        self._token: Token[_Detection | None] | None = None

    def _recreate_cm(self) -> "_Detection":
        return _Detection()  # for each call of a decorated function, which may call itself

    def __enter__(self) -> None:
        self._outermost = sys._getframe(1)
        _replacements.begin()
        self._token = _detection.set(self)

    def __exit__(self, *_: object) -> None:
        assert self._token is not None  # set on entry
        _detection.reset(self._token)
        _replacements.end()
        self._outermost = None

    def look_at(self, node: Node) -> None:
        """Remember where a node is being recorded, if a pass may find it at fault."""
        if not (math.isfinite(node._data) and math.isfinite(node._left_partial) and math.isfinite(node._right_partial)):
            self._places[id(node)] = _marks(node), place_of_user(self._outermost)

    def line_of(self, node: Node) -> str | None:
        """Where it was recorded, if that is known."""
        marks, place = self._places.get(id(node), (None, None))
        if place is None or marks != _marks(node):
            return None
        return source_line(place)


_Marks: TypeAlias = tuple[object, ...]


def _marks(node: Node) -> _Marks:
    """What tells a node from a later one with its id: nodes are not held, for each would hold its graph."""
    return node.op, repr(node._data), repr(node._left_partial), repr(node._right_partial)


_detection: ContextVar[_Detection | None] = ContextVar("detection", default=None)


def _wraps() -> Iterator[tuple[Any, str, Wrap]]:
    for owner, name in _recorders():
        yield owner, name, _watched
    yield Value, "backward", _watched_backward


_replacements = Replacements(_wraps)


def _recorders() -> list[tuple[Any, str]]:
    """Whatever Python code calls to record an operation: the operators of `Value`, and functions of the engine."""
    found: list[tuple[Any, str]] = [(engine, "record_one"), (engine, "record_two")]
    for op in TABLE.values():
        if op.is_operator:
            name = {"div": "truediv"}.get(op.name, op.name)
            found += [(Value, dunder) for dunder in (f"__{name}__", f"__r{name}__") if hasattr(Value, dunder)]
        else:
            found.append((engine, op.name))
    return found


def _watched(recorder: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(recorder)
    def watched(*operands: Any) -> Any:
        result = recorder(*operands)
        detection = _detection.get()
        if detection is not None and isinstance(result, Node):
            detection.look_at(result)
        return result

    return watched


def _watched_backward(backward: Callable[[Value], None]) -> Callable[[Value], None]:
    @wraps(backward)
    def watched(value: Value) -> None:
        if _detection.get() is not None:
            anomaly = find_anomaly(value)
            if anomaly is not None:
                raise FloatingPointError(f"detect_anomaly: {anomaly}")
        backward(value)

    return watched

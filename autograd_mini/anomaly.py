"""Where the first NaN or infinity of a graph came from: the node, the operation, and the user's own source line."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ContextDecorator
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from threading import Lock
from types import CodeType, FrameType
from typing import Any, Literal, TypeAlias, cast
from weakref import ref

from autograd_mini import engine, functional
from autograd_mini.engine import shorten
from autograd_mini.graph import Node, label_in_text, topological_order
from autograd_mini.ops import TABLE, evaluate
from autograd_mini.value import Value
from autograd_mini.watching import Replacements, Wrap, frame_of_user, source_line


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
    used_by: Value | None = None
    """Of a leaf, which has no line: the operation whose line it is, the first that uses it, or whose gradient is one
    too many."""
    cause: "Anomaly | None" = None
    """Backward, where an operand is not finite: the forward one that it came from."""
    was_changed: bool = False
    """Whether the number is no longer what the operands give, because `data` were assigned since."""

    def __str__(self) -> str:
        since = " (numbers were changed since)" if self.was_changed else ""
        at = f", at {self.line}" if self.line else ""
        cause = f"; {self.cause}" if self.cause else ""
        return f"{self.phase}: {self._what()}{since}{at}{cause}"

    def _what(self) -> str:
        description = described(self.node, self.operands)
        user = "" if self.used_by is None else described(self.used_by)
        if self.phase == "forward":
            return f"{description} is {self.number}{f', used by {user}' if user else ''}"
        if self.operand is None:
            last = f" with that of {user}" if user else ""
            return f"the gradients of {description} add up to {self.number}{last}"
        to = f" to its {('first', 'second')[self.operand]} operand" if len(self.operands) == 2 else ""
        return f"{description} passes on a gradient of {self.number}{to}"


def marks(anomaly: Anomaly, write: Callable[[float], str]) -> Iterator[tuple[Value, str]]:
    """What pictures and walkthroughs put at the nodes; write: how they show a number."""
    number = write(anomaly.number)
    if anomaly.phase == "forward":
        yield anomaly.node, f"{number} starts here"
    elif anomaly.operand is None:
        yield anomaly.node, f"gradients add up to {number} here"
    else:
        yield anomaly.node, f"a gradient of {number} starts here"
    if anomaly.cause is not None:
        yield from marks(anomaly.cause, write)


def described(node: Node, numbers: tuple[float, ...] | None = None) -> str:
    """An operation with the numbers of its operands, which are today's unless given; or a leaf."""
    label = label_in_text(node.label)
    if node.op is None:
        return f"the leaf {label}" if label else "a leaf"
    numbers = _numbers(node) if numbers is None else numbers
    labels = [operand.label if isinstance(operand, Node) else "" for operand in node.operands]
    shown = [
        f"{label_in_text(name)} = {number}" if name else f"{number}"
        for name, number in zip(labels, numbers, strict=True)
    ]
    return f"{f'{label} = ' if label else ''}{node.op.name}({', '.join(shown)})"


def _numbers(node: Node) -> tuple[float, ...]:
    """Those of its operands."""
    return tuple([operand if isinstance(operand, float) else operand._data for operand in node.operands])


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
    return first_anomaly(topological_order(value), lines_here())


class AnomalyError(FloatingPointError):
    """What `detect_anomaly` raises."""

    def __init__(self, message: str, anomaly: Anomaly | None = None, value: Value | None = None) -> None:
        super().__init__(message)  # which is all that unpickling calls it with: the attributes follow
        self.anomaly = anomaly
        """What was found; None for nothing: each operation is finite, and their sum over a batch is not."""
        self.value = value
        """The result whose number or gradient it is: to be drawn, or stepped through."""


LineOf: TypeAlias = Callable[[Node], str | None]
"""The user's own line that recorded a node, if it is known."""


def first_anomaly(
    order: list[Node],
    line_of: LineOf,
    inputs: Iterable[Node] | None = None,
    seed: float = 1.0,
    largest: float = sys.float_info.max,
) -> Anomaly | None:
    """What `find_anomaly` finds, of the last node of a topological order.

    inputs: the leaves whose gradients are asked for; all unless given. seed: the gradient that the backward pass begins
    with. largest: gradients beyond it are as good as infinite.
    """
    search = _Search(order, line_of)
    if not math.isfinite(order[-1]._data):
        return search.forward(order[-1:])
    return search.backward(None if inputs is None else _depending(order, inputs), seed, largest)


class _Search:
    """The search for an anomaly in the nodes of a topological order."""

    def __init__(self, order: list[Node], line_of: LineOf) -> None:
        self._order = order
        self._line_of = line_of

    def forward(self, ends: list[Node]) -> Anomaly:
        """The first that leads to one of these, which are not finite."""
        leading = {id(end) for end in ends}
        first = ends[0]
        for node in reversed(self._order):
            if id(node) in leading:
                first = node  # the last one found has no operand that is not finite: it would come after
                leading.update(id(operand) for operand in _not_finite(node))
        user = None
        if first.op is None:
            user = next((node for node in self._order if id(node) in leading and first in node.operand_nodes()), None)
        return self._anomaly(first, "forward", first._data, used_by=user)

    def backward(self, wanted: set[int] | None, seed: float, largest: float) -> Anomaly | None:
        """The first gradient that is not finite, of a result that is; by the nodes that are wanted, or by all."""
        gradients = {id(self._order[-1]): seed}
        for node in reversed(self._order):
            if id(node) not in gradients:
                continue
            upstream = gradients.pop(id(node))
            both = (node._left, node._left_partial), (node._right, node._right_partial)
            for place, (operand, partial) in enumerate(both):
                if operand is None or (wanted is not None and id(operand) not in wanted):
                    continue
                gradient = upstream * partial
                if not abs(gradient) <= largest:
                    ends = [node] if not math.isfinite(node._data) else _not_finite(node)
                    cause = self.forward(ends) if ends else None
                    if cause is not None and cause.node is node:
                        cause = None
                    return self._anomaly(node, "backward", gradient, operand=place, cause=cause)
                total = gradients.get(id(operand), 0.0) + gradient
                if not abs(total) <= largest:
                    return self._anomaly(
                        operand, "backward", total, used_by=cast(Value, node) if operand.op is None else None
                    )
                gradients[id(operand)] = total
        return None

    def _anomaly(self, node: Node, phase: Literal["forward", "backward"], number: float, **details: Any) -> Anomaly:
        used_by = details.get("used_by")
        return Anomaly(
            node=cast(Value, node),
            operation="leaf" if node.op is None else node.op.name,
            operands=_numbers(node),
            phase=phase,
            number=number,
            line=self._line_of(node if used_by is None else used_by),
            was_changed=_was_changed(node),
            **details,
        )


def _was_changed(node: Node) -> bool:
    if node.op is None:
        return False
    again = evaluate(node.op.forward, *_numbers(node))
    return again != node._data and not (math.isnan(again) and math.isnan(node._data))


def _depending(order: list[Node], inputs: Iterable[Node]) -> set[int]:
    """The ids of the inputs, and of all that was computed from them."""
    found = {id(each) for each in inputs}
    for node in order:
        if any(id(operand) in found for operand in node.operand_nodes()):
            found.add(id(node))
    return found


def _not_finite(node: Node) -> list[Node]:
    """Its operands that are not."""
    return [operand for operand in node.operand_nodes() if not math.isfinite(operand._data)]


# Source lines. While somebody is inside `detect_anomaly()`, what records operations is replaced by what also remembers
# where.


def detect_anomaly() -> "_Detection":
    """A block in which a derivative that is NaN or infinite is an error, `AnomalyError`, a FloatingPointError.

    So it is where `backward()` would leave one behind, no gradient being changed then, and where `grad`, `jacobian` and
    the like would return one. The message is what `find_anomaly` finds, which inside the block also knows the user's
    own source line: the innermost one outside the libraries. Recording and backward() are some five times slower in
    it, compiled some ten times; other threads are not watched. The block may also be used as a decorator.
    """
    return _Detection()


class _Detection(ContextDecorator, AbstractContextManager[None]):
    """What is known inside one block."""

    def __init__(self) -> None:
        self._outermost: FrameType | None = None
        self._token: Token[_Detection | None] | None = None
        self._places: dict[int, _Place] = {}
        """By the ids of nodes, which are not held, for each would hold its graph."""
        self._known_places: dict[tuple[int, int], _Place] = {}

    def _recreate_cm(self) -> "_Detection":
        return _Detection()  # for each call of a decorated function, which may call itself

    def __enter__(self) -> None:
        global _open
        self._outermost = sys._getframe(1)
        _replacements.begin(self)
        with _lock:
            _open = (*_open, ref(self))
        self._token = _detection.set(self)

    def __exit__(self, *_: object) -> None:
        global _open
        assert self._token is not None  # set on entry
        _detection.reset(self._token)
        with _lock:
            _open = tuple(each for each in _open if each() not in (self, None))
        _replacements.end(self)
        self._outermost = None

    def remember(self, node: Node) -> None:
        """Remember where a node is being recorded."""
        frame = frame_of_user(self._outermost, above=3)
        if frame is None:
            self.forget(node)
            return
        code, instruction = frame.f_code, frame.f_lasti  # the line itself takes time to find out
        place = self._known_places.get((id(code), instruction))
        if place is None:
            place = self._known_places[id(code), instruction] = code, instruction
        self._places[id(node)] = place

    def forget(self, node: Node) -> None:
        """Forget a dead node that had the id which this one has now."""
        self._places.pop(id(node), None)

    def line_of(self, node: Node) -> str | None:
        """Where a node was recorded, if that is known."""
        if id(node) not in self._places:
            return None
        code, instruction = self._places[id(node)]
        number = next(islice(code.co_positions(), instruction // 2, None))[0]
        return None if number is None else source_line((code.co_filename, number))


_Place: TypeAlias = tuple[CodeType, int]
"""A function, and the place of an instruction in it."""

_detection: ContextVar[_Detection | None] = ContextVar("detection", default=None)
"""The block that this code runs in."""

_open: "tuple[ref[_Detection], ...]" = ()
"""Every block, in any thread; none is held, for Ctrl-C may keep one from ending."""

_lock = Lock()


def lines_here() -> LineOf:
    """What knows the lines of what was recorded in the block that this code runs in."""
    detection = _detection.get()
    return (lambda node: None) if detection is None else detection.line_of


def _wraps() -> Iterator[tuple[Any, str, Wrap]]:
    if engine.COMPILED:
        for owner, name in _recorders():
            yield owner, name, _watched
    else:  # every result is made by it
        yield engine, "blank", _watched
    yield engine, "fill", _watched_copies
    yield engine, "backpropagate", _watched_pass
    yield functional, "pullback", _watched_pullback


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
        if isinstance(result, Node):
            current = _detection.get()
            if current is not None:
                current.remember(result)
            for reference in _open:
                detection = reference()
                if detection is not None and detection is not current:
                    detection.forget(result)
        return result

    return watched


def _watched_copies(fill: Callable[..., None]) -> Callable[..., None]:
    @wraps(fill)
    def watched(node: Node, *fields: Any, **more: Any) -> None:
        fill(node, *fields, **more)
        for reference in _open:
            detection = reference()
            if detection is not None:
                detection.forget(node)

    return watched


def _watched_pass(backpropagate: Callable[[Node], None]) -> Callable[[Node], None]:
    @wraps(backpropagate)
    def watched(root: Node) -> None:
        if _detection.get() is not None:
            _refuse(root, first_anomaly(engine.in_order(root), lines_here()))  # the lock is held here
        backpropagate(root)

    return watched


def _watched_pullback(pullback: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @wraps(pullback)
    def watched(root: Node, inputs: Iterable[Node], **options: Any) -> list[Any]:
        inputs = list(inputs)
        found = pullback(root, inputs, **options)
        if _detection.get() is not None:
            numbers = [each._data if isinstance(each, Node) else each for each in (root, *found)]
            if not all(map(math.isfinite, numbers)):
                _refuse(root, first_anomaly(topological_order(root), lines_here(), inputs))
        return found

    return watched


def _refuse(root: Node, anomaly: Anomaly | None) -> None:
    if anomaly is not None:
        raise AnomalyError(f"detect_anomaly: {anomaly}", anomaly, cast(Value, root))

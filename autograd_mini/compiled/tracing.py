"""While a function is traced, its Python must not look at a traced number: what it saw would stay for all numbers."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from functools import wraps
from types import FrameType
from typing import Any

from autograd_mini.engine import COMPILED
from autograd_mini.graph import Node, leaves
from autograd_mini.value import Value
from autograd_mini.watching import Replacements, Wrap, place_of_user, source_line


class NotTraceableError(TypeError):
    """A function cannot be traced once for all numbers, because its Python depends on them; the text says where."""


def tracing(traced: Iterable[Value]) -> "_Tracing":
    """A block in which nothing may be made to depend on the numbers of the leaves `traced`, but by recording it.

    Comparing such a `Value`, or a result of one, reading or changing its number (`data`, float(), a format, a copy)
    or its derivatives (`grad`, `partials`) and backward() raise NotTraceableError, which names the user's own source
    line: the innermost one outside the libraries. `repr` says "traced" in place of the number. Constants may be
    read, and so may everything in other threads. `==` and `hash` mean identity, and stay as they are.
    """
    return _Tracing(traced)


class _Tracing(AbstractContextManager[None]):
    """One block."""

    def __init__(self, traced: Iterable[Value]) -> None:
        self._traced = {id(leaf): leaf for leaf in traced}
        self._outermost: FrameType | None = None
        self._token: Token[_Tracing | None] | None = None

    def __enter__(self) -> None:
        outer = _block.get()
        if outer is not None:  # whose numbers the function may reach as well
            self._traced.update(outer._traced)
        self._outermost = sys._getframe(1)
        _replacements.begin(self)
        self._token = _block.set(self)

    def __exit__(self, *_: object) -> None:
        assert self._token is not None  # set on entry
        _block.reset(self._token)
        _replacements.end(self)
        self._outermost = None

    def depends_on_traced(self, thing: object) -> bool:
        """Whether it is a `Value` that was computed from a traced one, or is one."""
        return isinstance(thing, Node) and any(id(leaf) in self._traced for leaf in leaves(thing))

    def error(self, what: str, advice: str) -> NotTraceableError:
        """What is raised at the line being executed."""
        place = place_of_user(self._outermost)
        at = f", at {source_line(place)}" if place else ""
        return NotTraceableError(
            f"compile_graph: expected Python code that does not depend on traced numbers, got {what}: {advice}{at}"
        )


_block: ContextVar[_Tracing | None] = ContextVar("block", default=None)

_CHOOSE = "choose by relu, maximum, minimum, abs or logsumexp, which are recorded"
_COMPUTE = "compute with the Value itself, by operators and the functions of autograd_mini"
_LATER = "look at the numbers that the compiled graph returns"
_DIFFERENTIATE = "differentiate by autograd_mini.grad, at a Value, or afterwards by the compiled graph"
_CONSTANT = "what is to be constant has to be an argument of its own, or a plain number"


def _wraps() -> Iterator[tuple[Any, str, Wrap]]:
    """The members of `Value` by which a number can reach Python code, each with what then is raised."""
    for name, symbol in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
        yield Value, f"__{name}__", _refusing(f"a comparison, {symbol}", _CHOOSE)
    yield Value, "__bool__", _refusing("the truth of a Value", _CHOOSE)
    yield Value, "__float__", _refusing("float() of a Value", _COMPUTE)
    yield Value, "__format__", _formatting
    yield Value, "__repr__", _showing
    yield Value, "data", _refusing_property("`data`", _COMPUTE)
    yield Value, "grad", _refusing_property("`grad`", _DIFFERENTIATE)
    yield Value, "partials", _refusing_property("`partials`", _DIFFERENTIATE)
    yield Value, "backward", _refusing("backward()", _DIFFERENTIATE)
    yield Value, "detach", _refusing("detach()", _CONSTANT)
    for name in ("__copy__", "__deepcopy__", "__reduce_ex__"):
        yield Value, name, _refusing("a copy of a Value", _CONSTANT)


# Where they stay, to look at a number takes a tenth of a microsecond longer; compiled, that is more than caches save.
_replacements = Replacements(_wraps, may_stay=not COMPILED)


def _refusing(what: str, advice: str) -> Wrap:
    def wrap(member: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(member)
        def refusing(*operands: Any) -> Any:
            block = _block.get()
            if block is not None and any(map(block.depends_on_traced, operands)):
                raise block.error(what, advice)
            return member(*operands)

        return refusing

    return wrap


def _refusing_property(what: str, advice: str) -> Wrap:
    def wrap(member: Any) -> property:
        read = _refusing(what, advice)(member.fget)
        write = _refusing(f"an assignment to {what}", advice)(member.fset) if member.fset else None
        return property(read, write, doc=member.__doc__)

    return wrap


def _formatting(member: Callable[[Value, str], str]) -> Callable[[Value, str], str]:
    refusing = _refusing("a format of a Value", _LATER)(member)

    @wraps(member)
    def formatting(value: Value, specification: str) -> str:
        text: str = (refusing if specification else member)(value, specification)  # without one it is repr
        return text

    return formatting


def _showing(member: Callable[[Value], str]) -> Callable[[Value], str]:
    """A repr that tells nothing: errors and what is printed to find one may show a traced `Value`."""

    @wraps(member)
    def showing(value: Value) -> str:
        block = _block.get()
        if block is None or not block.depends_on_traced(value):
            return member(value)
        return f"Value(traced, label={value.label!r})" if value.label else "Value(traced)"

    return showing

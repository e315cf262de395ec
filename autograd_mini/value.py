"""`Value`: a number that records what is done to it, and `backward()`, which fills in the gradients."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast, overload

import numpy as np

from autograd_mini import copies, engine
from autograd_mini.engine import NUMBER_TYPES, to_float
from autograd_mini.graph import Labelled, Node, adds_to_node, checked_label, set_grad, settled_grad
from autograd_mini.ops import TABLE, Op, arithmetic, evaluate

Number = float | np.floating[Any] | np.integer[Any] | np.bool_
"""A Python or NumPy number."""


@adds_to_node
class Value(Node):
    """A number that records the operations on it, so that `backward()` can differentiate the result.

    `data` is the number and `grad` the derivative that the last `backward()` left here; `op`, `parents` and
    `operands` say how the number was made, `label` names it in pictures. Numbers follow IEEE 754. Comparisons
    compare numbers; `==` and `hash` mean identity.

    Raises TypeError if data is not a real number (bool, int, float or a NumPy scalar) or label is not text.
    """

    __slots__ = ()

    __array_ufunc__: ClassVar[None] = None
    """Makes NumPy hand `number * value` to `Value` instead of building an array of objects."""

    def __init__(self, data: Number, label: str = "") -> None:
        number = to_float(data, "Value")
        engine.fill(self, number, row=Labelled(None, label) if checked_label(label, "Value") else None)

    @property
    def data(self) -> float:
        """The number. Assigning a new one changes no gradient of what was recorded before."""
        return self._data

    @data.setter
    def data(self, number: float) -> None:
        self._data = to_float(number, "Value.data")

    @property
    def grad(self) -> float:
        """The derivative of the number that `backward()` was called on by this one.

        Leaves add up over several calls until you set it to 0; inner nodes hold the last call's.
        """
        return settled_grad(self) if engine.may_add_up else self._grad

    @grad.setter
    def grad(self, number: float) -> None:
        gradient = to_float(number, "Value.grad")
        if engine.may_add_up:
            set_grad(self, gradient)
        else:
            self._grad = gradient

    @property
    def parents(self) -> tuple["Value", ...]:
        """The operands that are `Value`s, left to right; one used twice stands there twice. Empty for a leaf."""
        return cast(tuple[Value, ...], self.operand_nodes())

    # micrograd's names, for code such as the `draw_dot` of its notebooks.

    @property
    def _prev(self) -> set["Value"]:
        return set(self.parents)

    @property
    def _op(self) -> str:
        return self.op.symbol if self.op else ""

    def backward(self) -> None:
        """Fill in `grad` of everything this number was computed from, by the chain rule, results first.

        Leaves accumulate: calling it twice doubles them. Inner nodes, and this one, are overwritten by each call.
        Threads may share leaves and graphs: one call runs at a time, and who reads or sets a `grad` meanwhile waits.
        What takes several calls, such as a step of training, is for one thread at a time. Raises RuntimeError in a
        finalizer or signal handler that interrupts another call in its own thread.
        """
        with engine.lock:
            engine.backpropagate(self)

    def detach(self) -> "Value":
        """A new leaf with the same number and label: gradients stop there."""
        return Value(self._data, self.label)

    # The operators stand in the engine; this is what type checkers are told of them.
    # [[[cog
    # import runpy  # not from the package, which may not import while this is being written
    # TABLE = runpy.run_path("autograd_mini/ops.py")["TABLE"]
    # source = runpy.run_path("autograd_mini/source_code.py")
    # cog.outl("    if TYPE_CHECKING:")
    # for op in TABLE.values():
    #     if op.is_operator:
    #         cog.outl(source["operator_types"](op))
    # ]]]
    if TYPE_CHECKING:

        def __add__(self, other: "Value | Number") -> "Value": ...
        def __radd__(self, other: Number) -> "Value": ...
        def __sub__(self, other: "Value | Number") -> "Value": ...
        def __rsub__(self, other: Number) -> "Value": ...
        def __mul__(self, other: "Value | Number") -> "Value": ...
        def __rmul__(self, other: Number) -> "Value": ...
        def __truediv__(self, other: "Value | Number") -> "Value": ...
        def __rtruediv__(self, other: Number) -> "Value": ...
        def __neg__(self) -> "Value": ...
        def __pow__(self, other: "Value | Number") -> "Value": ...
        def __rpow__(self, other: Number) -> "Value": ...
        def __abs__(self) -> "Value": ...
    # [[[end]]]

    def __pos__(self) -> "Value":
        return self

    # Comparisons follow the numbers, so that max(), sorted() and `if loss < 0.1` do what they say.

    def __lt__(self, other: "Value | float") -> bool:
        number = _number_or_none(other)
        return NotImplemented if number is None else self._data < number

    def __le__(self, other: "Value | float") -> bool:
        number = _number_or_none(other)
        return NotImplemented if number is None else self._data <= number

    def __gt__(self, other: "Value | float") -> bool:
        number = _number_or_none(other)
        return NotImplemented if number is None else self._data > number

    def __ge__(self, other: "Value | float") -> bool:
        number = _number_or_none(other)
        return NotImplemented if number is None else self._data >= number

    def __bool__(self) -> bool:
        raise TypeError("Value: a Value is neither true nor false; compare its number, as in `if value.data != 0:`")

    def __float__(self) -> float:
        return self._data

    def __format__(self, specification: str) -> str:
        return format(self._data, specification) if specification else repr(self)

    def __repr__(self) -> str:
        made_by = f", op={self.op.name}" if self.op else ""
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self._data!r}, grad={self._grad!r}{made_by}{label})"

    # The named functions of the table as methods. `make functions` writes them; edit the row in ops.py instead.
    # [[[cog
    # for op in TABLE.values():
    #     if not op.is_operator:
    #         cog.outl(source["method"](op) + "\n")
    # ]]]
    def exp(self) -> "Value":
        """e to the power x; inf beyond 709.78."""
        result: Value = engine.exp(self)
        return result

    def log(self) -> "Value":
        """The natural logarithm; log(0) is -inf, of a negative number NaN."""
        result: Value = engine.log(self)
        return result

    def log1p(self) -> "Value":
        """log(1 + x), exact for small x."""
        result: Value = engine.log1p(self)
        return result

    def expm1(self) -> "Value":
        """exp(x) - 1, exact for small x."""
        result: Value = engine.expm1(self)
        return result

    def sqrt(self) -> "Value":
        """The square root; of a negative number NaN; the derivative at 0 is inf."""
        result: Value = engine.sqrt(self)
        return result

    def sin(self) -> "Value":
        """The sine of x in radians."""
        result: Value = engine.sin(self)
        return result

    def cos(self) -> "Value":
        """The cosine of x in radians."""
        result: Value = engine.cos(self)
        return result

    def tan(self) -> "Value":
        """The tangent of x in radians."""
        result: Value = engine.tan(self)
        return result

    def tanh(self) -> "Value":
        """The hyperbolic tangent (Gill & Gill, section 2.2)."""
        result: Value = engine.tanh(self)
        return result

    def sigmoid(self) -> "Value":
        """The logistic function 1 / (1 + exp(-x)) (Gill & Gill, section 2.2)."""
        result: Value = engine.sigmoid(self)
        return result

    def softplus(self) -> "Value":
        """log(1 + exp(x)), without overflow."""
        result: Value = engine.softplus(self)
        return result

    def logaddexp(self, y: "Value | Number") -> "Value":
        """log(exp(x) + exp(y)), without overflow; two equal infinities share the gradient by halves."""
        result: Value = engine.logaddexp(self, y)
        return result

    def relu(self) -> "Value":
        """x for x >= 0, else 0 (Gill & Gill, section 2.2); the derivative at 0 is 0."""
        result: Value = engine.relu(self)
        return result

    def leaky_relu(self, negative_slope: "Value | Number" = 0.01) -> "Value":
        """x for x > 0, else negative_slope * x; the derivative at 0 is negative_slope."""
        result: Value = engine.leaky_relu(self, negative_slope)
        return result

    def maximum(self, y: "Value | Number") -> "Value":
        """The larger of x and y; at a tie each gets half of the gradient; NaN where either is NaN."""
        result: Value = engine.maximum(self, y)
        return result

    def minimum(self, y: "Value | Number") -> "Value":
        """The smaller of x and y; at a tie each gets half of the gradient; NaN where either is NaN."""
        result: Value = engine.minimum(self, y)
        return result

    def erf(self) -> "Value":
        """The error function."""
        result: Value = engine.erf(self)
        return result

    def erfc(self) -> "Value":
        """The complementary error function 1 - erf(x), exact in the right tail."""
        result: Value = engine.erfc(self)
        return result

    def gelu(self) -> "Value":
        """x Φ(x), with Φ the normal distribution function, in its exact form (Hendrycks & Gimpel, 2016)."""
        result: Value = engine.gelu(self)
        return result

    # [[[end]]]

    # Copies and pickles hold the whole graph, however deep.

    def __copy__(self) -> "Value":
        return cast(Value, copies.shallow(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Value":
        return cast(Value, copies.deep(self, memo))

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return copies.reduce(self)


def _number_or_none(operand: object) -> float | None:
    if isinstance(operand, Value):
        return operand._data
    return to_float(operand, "Value") if isinstance(operand, NUMBER_TYPES) else None


@overload
def apply(op: Op, x: Value, y: Value | float = ..., /) -> Value: ...
@overload
def apply(op: Op, x: float, y: Value, /) -> Value: ...
@overload
def apply(op: Op, x: float, y: float = ..., /) -> float: ...
def apply(op: Op, /, *operands: Value | float) -> Value | float:
    """Apply a row, of the table or your own, to `Value`s and plain numbers; plain numbers alone give a float.

    Raises TypeError if the operation takes another number of operands, or one of them is not a number.
    """
    if len(operands) != op.arity:
        raise TypeError(f"{op.name}: expected {op.arity} operand(s), got {len(operands)}")
    if not any(isinstance(operand, Value) for operand in operands):
        return evaluate(op.forward, *[to_float(operand, op.name) for operand in operands])
    record: Callable[..., Value] = engine.record_one if op.arity == 1 else engine.record_two
    return record(op, *operands)


VALUE = arithmetic(
    {
        "where": lambda condition, x, y: x if condition else y,
        **{name: partial(apply, op) for name, op in TABLE.items()},
    }
)
"""Rows on `Value`s: a derivative computed so is recorded in its turn, and can be differentiated again."""

"""`Value`: a number that records what is done to it, and `backward()`, which fills in the gradients."""

from functools import partial
from typing import Any, ClassVar, cast, overload

import numpy as np

from autograd_mini import copies, graph, ops
from autograd_mini.graph import Node
from autograd_mini.ops import ABS, ADD, DIV, FLOAT, FLOAT_ERRORS, MUL, NEG, POW, SUB, TABLE, Op, arithmetic, evaluate

Number = float | np.floating[Any] | np.integer[Any] | np.bool_
"""A Python or NumPy number."""

_NUMBER_TYPES = (float, int, np.floating, np.integer, np.bool_)


def to_float(number: object, where: str) -> float:
    """A Python or NumPy number as a float.

    Raises TypeError, naming `where`, for anything else (text, None, complex numbers, lists, arrays, decimals), and
    OverflowError for an integer beyond the floats.
    """
    if not isinstance(number, _NUMBER_TYPES):
        raise TypeError(f"{where}: expected a number, got {type(number).__name__} {_shorten(number)}")
    try:
        return float(number)
    except OverflowError:
        raise OverflowError(f"{where}: expected a number below 1.8e308, got an integer beyond it") from None


def _shorten(thing: object, length: int = 40) -> str:
    text = " ".join(repr(thing).split())
    return text if len(text) <= length else text[: length - 1] + "…"


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
        if not isinstance(label, str):
            raise TypeError(f"Value: expected a text as label, got {type(label).__name__} {_shorten(label)}")
        self._data = to_float(data, "Value")
        self._grad = 0.0
        self._row = None
        self._left = None
        self._right = None
        self._left_partial = 0.0
        self._right_partial = 0.0
        self._mark = 0.0
        self.label = label

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
        return self._grad

    @grad.setter
    def grad(self, number: float) -> None:
        self._grad = to_float(number, "Value.grad")

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
        return self._row.symbol if self._row else ""

    def backward(self) -> None:
        """Fill in `grad` of everything this number was computed from, by the chain rule, results first.

        Leaves accumulate: calling it twice doubles them. Inner nodes, and this one, are overwritten by each call.
        Threads may share leaves: one call runs at a time.
        """
        with graph.lock:
            order = graph.walk(self)
            # Leaves start from 0 as well, and what they held is added at the end: so a second call doubles them
            # exactly, whatever the rounding of the sums, and one that is interrupted leaves them as they were.
            held = [(node, node._grad) for node in order if node._row is None]
            try:
                for node in order:
                    node._grad = 0.0
                self._grad = 1.0
                for node in reversed(order):
                    gradient = node._grad
                    left = node._left
                    if left is not None:
                        left._grad += gradient * node._left_partial
                    right = node._right
                    if right is not None:
                        right._grad += gradient * node._right_partial
                for leaf, before in held:
                    leaf._grad += before
            except BaseException:  # Ctrl-C, that is
                for leaf, before in held:
                    leaf._grad = before
                raise

    def detach(self) -> "Value":
        """A new leaf with the same number and label: gradients stop there."""
        return Value(self._data, self.label)

    # Recording. + and * are most of any graph, so their rows stand here by hand; a test holds them to the table.

    def __add__(self, other: "Value | float") -> "Value":
        if isinstance(other, Value):
            right: Value | None = other
            number = other._data
            right_partial = 1.0
        else:
            if other.__class__ is not float:
                if not isinstance(other, _NUMBER_TYPES):
                    return NotImplemented
                other = to_float(other, "Value +")
            right = None
            number = right_partial = other
        node = _blank(Value)
        node._data = self._data + number
        node._grad = 0.0
        node._row = ADD
        node._left = self
        node._right = right
        node._left_partial = 1.0
        node._right_partial = right_partial
        node._mark = 0.0
        node.label = ""
        return node

    def __mul__(self, other: "Value | float") -> "Value":
        if isinstance(other, Value):
            right: Value | None = other
            number = other._data
            right_partial = self._data
        else:
            if other.__class__ is not float:
                if not isinstance(other, _NUMBER_TYPES):
                    return NotImplemented
                other = to_float(other, "Value *")
            right = None
            number = right_partial = other
        node = _blank(Value)
        node._data = self._data * number
        node._grad = 0.0
        node._row = MUL
        node._left = self
        node._right = right
        node._left_partial = number
        node._right_partial = right_partial
        node._mark = 0.0
        node.label = ""
        return node

    def __radd__(self, other: float) -> "Value":
        if not isinstance(other, _NUMBER_TYPES):
            return NotImplemented
        number = to_float(other, "Value +")
        return _record(ADD, number + self._data, None, self, number, 1.0)

    def __rmul__(self, other: float) -> "Value":
        if not isinstance(other, _NUMBER_TYPES):
            return NotImplemented
        number = to_float(other, "Value *")
        return _record(MUL, number * self._data, None, self, number, number)

    def __sub__(self, other: "Value | float") -> "Value":
        return _record_operator(SUB, self, other)

    def __rsub__(self, other: float) -> "Value":
        return _record_operator(SUB, other, self)

    def __truediv__(self, other: "Value | float") -> "Value":
        return _record_operator(DIV, self, other)

    def __rtruediv__(self, other: float) -> "Value":
        return _record_operator(DIV, other, self)

    def __pow__(self, other: "Value | float") -> "Value":
        return _record_operator(POW, self, other)

    def __rpow__(self, other: float) -> "Value":
        return _record_operator(POW, other, self)

    def __neg__(self) -> "Value":
        return _record_one(NEG, self)

    def __pos__(self) -> "Value":
        return self

    def __abs__(self) -> "Value":
        return _record_one(ABS, self)

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
        made_by = f", op={self._row.name}" if self._row else ""
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self._data!r}, grad={self._grad!r}{made_by}{label})"

    # The named functions of the table as methods. `make functions` writes them; edit the row in ops.py instead.
    # [[[cog
    # import runpy  # not from the package, which may not import while this is being written
    # TABLE = runpy.run_path("autograd_mini/ops.py")["TABLE"]
    # for op in TABLE.values():
    #     if op.is_operator:
    #         continue
    #     others = [p.partition("=") for p in op.parameters[1:]]
    #     typed = [f', {n}: "Value | float"' + (f" = {d}" if d else "") for n, _, d in others]
    #     operands = "".join(f", {n}" for n, _, _ in others)
    #     record = "_record_two" if others else "_record_one"
    #     cog.outl(f'    def {op.name}(self{"".join(typed)}) -> "Value":')
    #     cog.outl(f'        """{op.doc}"""')
    #     cog.outl(f"        return {record}(ops.{op.name.upper()}, self{operands})\n")
    # ]]]
    def exp(self) -> "Value":
        """e to the power x; inf beyond 709.78."""
        return _record_one(ops.EXP, self)

    def log(self) -> "Value":
        """The natural logarithm; log(0) is -inf, of a negative number NaN."""
        return _record_one(ops.LOG, self)

    def log1p(self) -> "Value":
        """log(1 + x), exact for small x."""
        return _record_one(ops.LOG1P, self)

    def expm1(self) -> "Value":
        """exp(x) - 1, exact for small x."""
        return _record_one(ops.EXPM1, self)

    def sqrt(self) -> "Value":
        """The square root; of a negative number NaN; the derivative at 0 is inf."""
        return _record_one(ops.SQRT, self)

    def sin(self) -> "Value":
        """The sine of x in radians."""
        return _record_one(ops.SIN, self)

    def cos(self) -> "Value":
        """The cosine of x in radians."""
        return _record_one(ops.COS, self)

    def tan(self) -> "Value":
        """The tangent of x in radians."""
        return _record_one(ops.TAN, self)

    def tanh(self) -> "Value":
        """The hyperbolic tangent (Gill & Gill, section 2.2)."""
        return _record_one(ops.TANH, self)

    def sigmoid(self) -> "Value":
        """The logistic function 1 / (1 + exp(-x)) (Gill & Gill, section 2.2)."""
        return _record_one(ops.SIGMOID, self)

    def softplus(self) -> "Value":
        """log(1 + exp(x)), without overflow."""
        return _record_one(ops.SOFTPLUS, self)

    def relu(self) -> "Value":
        """x for x >= 0, else 0 (Gill & Gill, section 2.2); the derivative at 0 is 0."""
        return _record_one(ops.RELU, self)

    def leaky_relu(self, negative_slope: "Value | float" = 0.01) -> "Value":
        """x for x > 0, else negative_slope * x; the derivative at 0 is negative_slope."""
        return _record_two(ops.LEAKY_RELU, self, negative_slope)

    def maximum(self, y: "Value | float") -> "Value":
        """The larger of x and y; at a tie each gets half of the gradient; NaN where either is NaN."""
        return _record_two(ops.MAXIMUM, self, y)

    def minimum(self, y: "Value | float") -> "Value":
        """The smaller of x and y; at a tie each gets half of the gradient; NaN where either is NaN."""
        return _record_two(ops.MINIMUM, self, y)

    def erf(self) -> "Value":
        """The error function."""
        return _record_one(ops.ERF, self)

    def erfc(self) -> "Value":
        """The complementary error function 1 - erf(x), exact in the right tail."""
        return _record_one(ops.ERFC, self)

    def gelu(self) -> "Value":
        """x Φ(x), with Φ the normal distribution function, in its exact form (Hendrycks & Gimpel, 2016)."""
        return _record_one(ops.GELU, self)

    # [[[end]]]

    # Copies and pickles hold the whole graph, however deep.

    def __copy__(self) -> "Value":
        return cast(Value, copies.shallow(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Value":
        return cast(Value, copies.deep(self, memo))

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return copies.reduce(self)


_blank = Value.__new__
"""A node without `__init__`, whose fields the caller sets: a third cheaper than a constructor with eight arguments."""


def _record(
    op: Op, data: float, left: Value | None, right: Value | None, left_partial: float, right_partial: float
) -> Value:
    node = _blank(Value)
    node._data = data
    node._grad = 0.0
    node._row = op
    node._left = left
    node._right = right
    node._left_partial = left_partial
    node._right_partial = right_partial
    node._mark = 0.0
    node.label = ""
    return node


def _record_one(op: Op, operand: Value) -> Value:
    x = operand._data
    try:
        data = float(op.forward(FLOAT, x))  # a row of one's own may return a NumPy number
        slope = float(op.partials[0](FLOAT, data, x))
    except FLOAT_ERRORS:
        data = evaluate(op.forward, x)
        slope = evaluate(op.partials[0], data, x)
    return _record(op, data, operand, None, slope, 0.0)


def _record_two(op: Op, left: "Value | float", right: "Value | float") -> Value:
    """Record an operation of which at least one operand is a Value; a constant takes its partial's place."""
    left_node = left if isinstance(left, Value) else None
    right_node = right if isinstance(right, Value) else None
    x = left._data if isinstance(left, Value) else to_float(left, op.name)
    y = right._data if isinstance(right, Value) else to_float(right, op.name)
    data = evaluate(op.forward, x, y)
    left_partial = x if left_node is None else evaluate(op.partials[0], data, x, y)
    right_partial = y if right_node is None else evaluate(op.partials[1], data, x, y)
    return _record(op, data, left_node, right_node, left_partial, right_partial)


def _record_operator(op: Op, left: "Value | float", right: "Value | float") -> Value:
    """As Python's operators want it: NotImplemented where an operand is no number, so that it may try its own."""
    for operand in (left, right):
        if not isinstance(operand, Value) and not isinstance(operand, _NUMBER_TYPES):
            return NotImplemented
    return _record_two(op, left, right)


def _number_or_none(operand: object) -> float | None:
    if isinstance(operand, Value):
        return operand._data
    return to_float(operand, "Value") if isinstance(operand, _NUMBER_TYPES) else None


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
    if op.arity == 1:
        return _record_one(op, operands[0])  # type: ignore[arg-type]
    return _record_two(op, *operands)


VALUE = arithmetic(
    {
        "where": lambda condition, x, y: x if condition else y,
        **{name: partial(apply, op) for name, op in TABLE.items()},
    }
)
"""Rows on `Value`s: a derivative computed so is recorded in its turn, and can be differentiated again."""

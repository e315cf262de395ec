"""What runs at every operation: recording it, and the backward pass. Compiled by mypyc where there is a C compiler.

All that is shown to users (docstrings, properties, errors of wrong calls) stands in `Node` and `Value`, which are
ordinary Python in both builds, so that the builds differ in nothing but speed.
"""

import math
import os
import sys
from typing import Any, Final

import numpy as np

from autograd_mini.fair_lock import FairLock
from autograd_mini.ops import FLOAT_ERRORS, TABLE, Op, evaluate

try:
    from mypy_extensions import mypyc_attr
except ImportError:  # only the compiler needs to know it

    def mypyc_attr(*_: str, **__: object) -> Any:  # type: ignore[misc]
        """A decorator that changes nothing."""
        return lambda kind: kind


COMPILED = __file__.endswith((".so", ".pyd"))
"""Whether this module was compiled. The compiler is told that it is true, and leaves out the other branches."""

REENTERED: Final = (
    "backward: a finalizer or signal handler walked a graph or used a gradient while its thread was walking one"
)

lock = FairLock(REENTERED)
"""Held while a graph is walked or gradients are added up: threads may share leaves, and the chains of a walk."""


HAS_NO_GIL: Final = not getattr(sys, "_is_gil_enabled", lambda: True)()

may_add_up: bool = HAS_NO_GIL
"""Whether a thread may be adding up gradients, so that none is to be read or set without the lock.

Reading them is frequent and the lock costs several times as much, so with the GIL this is looked at first: nothing
comes between that and what follows.
"""


def hold_lock() -> None:
    """Before a process is forked: the new one gets what a walk leaves behind, not what stands there meanwhile."""
    with lock.turn:
        lock.acquire()


def release_lock() -> None:
    """In the process that was forked."""
    lock.release()


def renew_lock() -> None:
    """In the new process: it has but one thread, and a lock of its own."""
    global lock
    lock = FairLock(REENTERED)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=hold_lock, after_in_parent=release_lock, after_in_child=renew_lock)

NUMBER_TYPES: Final = (float, int, np.floating, np.integer, np.bool_)


def to_float(number: object, where: str) -> float:
    """A Python or NumPy number as a float.

    Raises TypeError, naming `where`, for anything else (text, None, complex numbers, lists, arrays, decimals), and
    OverflowError for an integer beyond the floats.
    """
    if type(number) is not int and not isinstance(number, NUMBER_TYPES):
        raise not_a_number(number, where)
    try:
        return float(number)
    except OverflowError:
        pass
    raise OverflowError(f"{where}: expected a number below 1.8e308, got an integer beyond it")


def not_a_number(thing: object, where: str) -> TypeError:
    """The error for it."""
    return TypeError(f"{where}: expected a number, got {type(thing).__name__} {shorten(thing)}")


def shorten(thing: object, length: int = 40) -> str:
    """How a thing stands in an error message: on one line, not too long."""
    text = " ".join(repr(thing).split())
    return text if len(text) <= length else text[: length - 1] + "…"


# Rows bound once: the compiler reads a Final of its own module directly, an imported name through a dictionary.
# [[[cog
# import runpy  # not from the package, which may not import while this is being written
# table = runpy.run_path("autograd_mini/ops.py")
# source = runpy.run_path("autograd_mini/source_code.py")
# for op in table["TABLE"].values():
#     cog.outl(f'{op.name.upper()}: Final = TABLE["{op.name}"]')
# ]]]
ADD: Final = TABLE["add"]
SUB: Final = TABLE["sub"]
MUL: Final = TABLE["mul"]
DIV: Final = TABLE["div"]
NEG: Final = TABLE["neg"]
POW: Final = TABLE["pow"]
ABS: Final = TABLE["abs"]
EXP: Final = TABLE["exp"]
LOG: Final = TABLE["log"]
LOG1P: Final = TABLE["log1p"]
EXPM1: Final = TABLE["expm1"]
SQRT: Final = TABLE["sqrt"]
SIN: Final = TABLE["sin"]
COS: Final = TABLE["cos"]
TAN: Final = TABLE["tan"]
TANH: Final = TABLE["tanh"]
SIGMOID: Final = TABLE["sigmoid"]
SOFTPLUS: Final = TABLE["softplus"]
LOGADDEXP: Final = TABLE["logaddexp"]
RELU: Final = TABLE["relu"]
LEAKY_RELU: Final = TABLE["leaky_relu"]
MAXIMUM: Final = TABLE["maximum"]
MINIMUM: Final = TABLE["minimum"]
ERF: Final = TABLE["erf"]
ERFC: Final = TABLE["erfc"]
GELU: Final = TABLE["gelu"]
# [[[end]]]


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=True)
class Unlinked:
    """What a compiled node holds before `__init__`: it may be freed before it has one, and must not raise then."""

    __slots__ = ()

    _left: "BareNode | None" = None
    _right: "BareNode | None" = None
    _next: "BareNode | None" = None


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=True)
class BareNode(Unlinked):
    """One number of a graph, a leaf or the result of an operation on one or two operands: its fields and operators.

    An operand that is a constant needs no node: its place (`_left` or `_right`) is None, and its number stands
    where its partial derivative would. No tuple, set or closure hangs on a node: each would be one more object
    for Python's garbage collector to visit, and those visits are most of what recording costs. Compiled, a node is
    no object of the collector's at all (`acyclic`): operands are older than results, so nodes alone make no cycle.
    """

    __slots__ = ("_data", "_grad", "_left", "_left_partial", "_next", "_right", "_right_partial", "_row")

    _data: float
    _grad: float
    _row: Any
    """The row of the table, None for a leaf; or a pair of that and a label, see `graph.Labelled`."""
    _left: "BareNode | None"
    _right: "BareNode | None"
    _left_partial: float
    _right_partial: float
    _next: "BareNode | None"
    """The next node of the chain that it stands in while a walk is under way, or dead; None in no chain."""

    def __del__(self) -> None:
        recycler.take(self)

    # [[[cog
    # for op in table["TABLE"].values():
    #     if op.is_operator:
    #         cog.outl(source["operator_methods"](op, table["arithmetic"]) + "\n")
    # ]]]
    def __add__(self, other: Any) -> Any:
        """x + y."""
        right: BareNode | None = None
        if isinstance(other, BareNode):
            operand: BareNode = other  # one check of its type when compiled, not one at each use
            right = operand
            y = operand._data
        elif type(other) is float:  # a NumPy float is a float as well, and would stay one
            y = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            y = to_float(other, "Value +")
        else:
            return NotImplemented
        x = self._data
        data = x + y
        left_partial = 1.0
        right_partial = y if right is None else 1.0
        node = blank(BareNode)
        node._row = ADD
        node._data = data
        node._left = self
        node._right = right
        node._left_partial = left_partial
        node._right_partial = right_partial
        node._grad = 0.0
        node._next = None
        return node

    def __radd__(self, other: Any) -> Any:
        """The same with a number on the left."""
        if type(other) is float:  # a NumPy float is a float as well, and would stay one
            x = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            x = to_float(other, "Value +")
        else:
            return NotImplemented
        y = self._data
        data = x + y
        right_partial = 1.0
        return record(ADD, data, None, self, x, right_partial)

    def __sub__(self, other: Any) -> Any:
        """x - y."""
        right: BareNode | None = None
        if isinstance(other, BareNode):
            operand: BareNode = other  # one check of its type when compiled, not one at each use
            right = operand
            y = operand._data
        elif type(other) is float:  # a NumPy float is a float as well, and would stay one
            y = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            y = to_float(other, "Value -")
        else:
            return NotImplemented
        x = self._data
        data = x - y
        left_partial = 1.0
        right_partial = y if right is None else -1.0
        return record(SUB, data, self, right, left_partial, right_partial)

    def __rsub__(self, other: Any) -> Any:
        """The same with a number on the left."""
        if type(other) is float:  # a NumPy float is a float as well, and would stay one
            x = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            x = to_float(other, "Value -")
        else:
            return NotImplemented
        y = self._data
        data = x - y
        right_partial = -1.0
        return record(SUB, data, None, self, x, right_partial)

    def __mul__(self, other: Any) -> Any:
        """x * y."""
        right: BareNode | None = None
        if isinstance(other, BareNode):
            operand: BareNode = other  # one check of its type when compiled, not one at each use
            right = operand
            y = operand._data
        elif type(other) is float:  # a NumPy float is a float as well, and would stay one
            y = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            y = to_float(other, "Value *")
        else:
            return NotImplemented
        x = self._data
        data = x * y
        left_partial = y
        right_partial = y if right is None else x
        node = blank(BareNode)
        node._row = MUL
        node._data = data
        node._left = self
        node._right = right
        node._left_partial = left_partial
        node._right_partial = right_partial
        node._grad = 0.0
        node._next = None
        return node

    def __rmul__(self, other: Any) -> Any:
        """The same with a number on the left."""
        if type(other) is float:  # a NumPy float is a float as well, and would stay one
            x = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            x = to_float(other, "Value *")
        else:
            return NotImplemented
        y = self._data
        data = x * y
        right_partial = x
        return record(MUL, data, None, self, x, right_partial)

    def __truediv__(self, other: Any) -> Any:
        """x / y; 1/0 is inf and 0/0 is NaN, as in NumPy."""
        right: BareNode | None = None
        if isinstance(other, BareNode):
            operand: BareNode = other  # one check of its type when compiled, not one at each use
            right = operand
            y = operand._data
        elif type(other) is float:  # a NumPy float is a float as well, and would stay one
            y = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            y = to_float(other, "Value /")
        else:
            return NotImplemented
        x = self._data
        try:
            data = x / y
            left_partial = 1.0 / y
            right_partial = y if right is None else -data / y
        except FLOAT_ERRORS:
            return record_two(DIV, self, other)
        return record(DIV, data, self, right, left_partial, right_partial)

    def __rtruediv__(self, other: Any) -> Any:
        """The same with a number on the left."""
        if type(other) is float:  # a NumPy float is a float as well, and would stay one
            x = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            x = to_float(other, "Value /")
        else:
            return NotImplemented
        y = self._data
        try:
            data = x / y
            right_partial = -data / y
        except FLOAT_ERRORS:
            return record_two(DIV, other, self)
        return record(DIV, data, None, self, x, right_partial)

    def __neg__(self) -> Any:
        """-x."""
        x = self._data
        data = -x
        slope = -1.0
        return record(NEG, data, self, None, slope, 0.0)

    def __pow__(self, other: Any) -> Any:
        """x ** y; a negative base with a fractional exponent is NaN; the derivative of 0**0 is 0 by both operands."""
        right: BareNode | None = None
        if isinstance(other, BareNode):
            operand: BareNode = other  # one check of its type when compiled, not one at each use
            right = operand
            y = operand._data
        elif type(other) is float:  # a NumPy float is a float as well, and would stay one
            y = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            y = to_float(other, "Value **")
        else:
            return NotImplemented
        x = self._data
        try:
            data = math.pow(x, y)
            left_partial = 0.0 if y <= 0.0 and y >= 0.0 and abs(x) < 1e-300 else y * math.pow(x, y - 1.0)
            right_partial = y if right is None else 0.0 if x <= 0.0 and x >= 0.0 and y >= 0.0 else data * math.log(x)
        except FLOAT_ERRORS:
            return record_two(POW, self, other)
        return record(POW, data, self, right, left_partial, right_partial)

    def __rpow__(self, other: Any) -> Any:
        """The same with a number on the left."""
        if type(other) is float:  # a NumPy float is a float as well, and would stay one
            x = other
        elif type(other) is int or isinstance(other, NUMBER_TYPES):
            x = to_float(other, "Value **")
        else:
            return NotImplemented
        y = self._data
        try:
            data = math.pow(x, y)
            right_partial = 0.0 if x <= 0.0 and x >= 0.0 and y >= 0.0 else data * math.log(x)
        except FLOAT_ERRORS:
            return record_two(POW, other, self)
        return record(POW, data, None, self, x, right_partial)

    def __abs__(self) -> Any:
        """|x|; the derivative at 0 is 0."""
        x = self._data
        data = abs(x)
        slope = 1.0 if x > 0.0 else (-1.0 if x < 0.0 else 0.0 * x)
        return record(ABS, data, self, None, slope, 0.0)

    # [[[end]]]


END: Final = BareNode()
"""The end of every chain."""


class Recycler:
    """Keeps dead nodes for the next results, when compiled.

    Freeing and asking again for the memory of a graph costs more than computing it. And a long graph must not be
    freed by recursion, node within node: dead nodes wait in a chain until the one before them has let go of its
    operands.
    """

    def __init__(self) -> None:
        self.spare: BareNode = END
        self.count = 0
        self.uses = 0
        """How many nodes have been taken since the spare ones lay in order."""
        self.dead: BareNode = END
        self.is_working = False

    def take(self, first: BareNode) -> None:
        """A node whose last reference has gone: what `__del__` passes on comes alive again as a spare one."""
        if first._next is END:  # let go
            return
        if self.is_working:
            first._next = self.dead
            self.dead = first
            return
        self.is_working = True
        before = self.count
        node = first
        while True:
            left = node._left
            right = node._right
            node._left = None
            node._right = None
            # Leaves are not kept: they may be of a user's own class.
            if (left is None and right is None) or self.count >= MOST_SPARE_NODES:
                node._next = END
            else:
                node._row = None
                node._next = self.spare
                self.spare = node
                self.count += 1
            # Here they may die, and join the chain.
            del left, right
            if self.dead is END:
                break
            node = self.dead
            rest = node._next
            assert rest is not None
            self.dead = rest
        self.uses += self.count - before
        if self.uses > MOST_USES:
            self.let_go()
        self.is_working = False

    def let_go(self) -> None:
        """Free the spare nodes: by and by they are used in any order, and each is a jump through memory."""
        node = self.spare
        self.spare = END
        self.count = 0
        self.uses = 0
        while node is not END:
            rest = node._next
            assert rest is not None
            node._next = END
            node = rest


MOST_SPARE_NODES: Final = 131_072
"""They take 13 MB; enough for a network of a hundred thousand operations trained again and again."""

MOST_USES: Final = 1_000_000
"""Of spare nodes, before they are let go. Measured: after some thirty graphs of 65,000 operations, whose parts are
freed in another order than they were recorded in, each operation costs a third more."""

recycler: Final = Recycler()


if COMPILED:

    def blank(kind: type[BareNode]) -> BareNode:
        """A node whose fields the caller sets."""
        node = recycler.spare
        if node is END:
            return BareNode()
        rest = node._next
        assert rest is not None
        recycler.spare = rest
        recycler.count -= 1
        return node

else:
    # Python's own allocator and collector take care of interpreted nodes.
    blank = object.__new__  # type: ignore[assignment]
    del BareNode.__del__


def fill(
    node: BareNode,
    data: float,
    grad: float = 0.0,
    row: Any = None,
    left: BareNode | None = None,
    right: BareNode | None = None,
    left_partial: float = 0.0,
    right_partial: float = 0.0,
) -> None:
    """Set every field of a new node: a leaf, or the copy of a result."""
    node._data = data
    node._grad = grad
    node._row = row
    node._left = left
    node._right = right
    node._left_partial = left_partial
    node._right_partial = right_partial
    node._next = None


def record(
    op: Op, data: float, left: BareNode | None, right: BareNode | None, left_partial: float, right_partial: float
) -> Any:
    """A result, with what is needed to differentiate it."""
    node = blank(BareNode)
    node._data = data
    node._grad = 0.0
    node._row = op
    node._left = left
    node._right = right
    node._left_partial = left_partial
    node._right_partial = right_partial
    node._next = None
    return node


def record_one(op: Op, operand: BareNode) -> Any:
    """Apply any row of one operand."""
    x = operand._data
    data = evaluate(op.forward, x)
    return record(op, data, operand, None, evaluate(op.partials[0], data, x), 0.0)


def record_two(op: Op, left: object, right: object) -> Any:
    """Apply any row of two operands, of which at least one is a node; a constant takes its partial's place."""
    left_node = left if isinstance(left, BareNode) else None
    right_node = right if isinstance(right, BareNode) else None
    x = left._data if isinstance(left, BareNode) else to_float(left, op.name)
    y = right._data if isinstance(right, BareNode) else to_float(right, op.name)
    data = evaluate(op.forward, x, y)
    left_partial = x if left_node is None else evaluate(op.partials[0], data, x, y)
    right_partial = y if right_node is None else evaluate(op.partials[1], data, x, y)
    return record(op, data, left_node, right_node, left_partial, right_partial)


# The named rows of the table, each applied to a node.
# [[[cog
# for op in table["TABLE"].values():
#     if not op.is_operator:
#         cog.outl("\n\n" + source["recorder"](op, table["arithmetic"]))
# ]]]


def exp(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.exp(x)
        slope = data
    except FLOAT_ERRORS:
        return record_one(EXP, node)
    return record(EXP, data, node, None, slope, 0.0)


def log(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.log(x)
        slope = 1.0 / x
    except FLOAT_ERRORS:
        return record_one(LOG, node)
    return record(LOG, data, node, None, slope, 0.0)


def log1p(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.log1p(x)
        slope = 1.0 / (1.0 + x)
    except FLOAT_ERRORS:
        return record_one(LOG1P, node)
    return record(LOG1P, data, node, None, slope, 0.0)


def expm1(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.expm1(x)
        slope = math.exp(x)
    except FLOAT_ERRORS:
        return record_one(EXPM1, node)
    return record(EXPM1, data, node, None, slope, 0.0)


def sqrt(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.sqrt(x)
        slope = 0.5 / data
    except FLOAT_ERRORS:
        return record_one(SQRT, node)
    return record(SQRT, data, node, None, slope, 0.0)


def sin(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.sin(x)
        slope = math.cos(x)
    except FLOAT_ERRORS:
        return record_one(SIN, node)
    return record(SIN, data, node, None, slope, 0.0)


def cos(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.cos(x)
        slope = -math.sin(x)
    except FLOAT_ERRORS:
        return record_one(COS, node)
    return record(COS, data, node, None, slope, 0.0)


def tan(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.tan(x)
        slope = 1.0 + data * data
    except FLOAT_ERRORS:
        return record_one(TAN, node)
    return record(TAN, data, node, None, slope, 0.0)


def tanh(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.tanh(x)
        part_1 = math.exp(-abs(2.0 * x))
        part_2 = math.exp(-abs(-2.0 * x))
        slope = (
            4.0
            * ((1.0 if 2.0 * x >= 0.0 else part_1) / (1.0 + part_1))
            * ((1.0 if -2.0 * x >= 0.0 else part_2) / (1.0 + part_2))
        )
    except FLOAT_ERRORS:
        return record_one(TANH, node)
    return record(TANH, data, node, None, slope, 0.0)


def sigmoid(node: BareNode) -> Any:
    x = node._data
    try:
        part_1 = math.exp(-abs(x))
        data = (1.0 if x >= 0.0 else part_1) / (1.0 + part_1)
        part_2 = math.exp(-abs(-x))
        slope = data * ((1.0 if -x >= 0.0 else part_2) / (1.0 + part_2))
    except FLOAT_ERRORS:
        return record_one(SIGMOID, node)
    return record(SIGMOID, data, node, None, slope, 0.0)


def softplus(node: BareNode) -> Any:
    x = node._data
    try:
        part_1 = math.exp(-abs(x))
        data = (x if x > 0.0 else 0.0) + math.log1p(part_1)
        slope = (1.0 if x >= 0.0 else part_1) / (1.0 + part_1)
    except FLOAT_ERRORS:
        return record_one(SOFTPLUS, node)
    return record(SOFTPLUS, data, node, None, slope, 0.0)


def logaddexp(node: BareNode, other: Any) -> Any:
    right: BareNode | None = None
    if isinstance(other, BareNode):
        operand: BareNode = other  # one check of its type when compiled, not one at each use
        right = operand
        y = operand._data
    elif type(other) is float:  # a NumPy float is a float as well, and would stay one
        y = other
    elif type(other) is int or isinstance(other, NUMBER_TYPES):
        y = to_float(other, "logaddexp")
    else:
        raise not_a_number(other, "logaddexp")
    x = node._data
    try:
        data = (x if x > y else (y if y >= x else math.nan)) + math.log1p(
            math.exp(-(0.0 if x <= y and x >= y else abs(x - y)))
        )
        part_1 = math.exp(-abs(x - y))
        left_partial = (
            0.5 if x <= y and x >= y and abs(x) >= math.inf else (1.0 if x - y >= 0.0 else part_1) / (1.0 + part_1)
        )
        part_2 = math.exp(-abs(y - x))
        right_partial = (
            y
            if right is None
            else 0.5
            if y <= x and y >= x and abs(y) >= math.inf
            else (1.0 if y - x >= 0.0 else part_2) / (1.0 + part_2)
        )
    except FLOAT_ERRORS:
        return record_two(LOGADDEXP, node, other)
    return record(LOGADDEXP, data, node, right, left_partial, right_partial)


def relu(node: BareNode) -> Any:
    x = node._data
    data = 0.0 if x <= 0.0 else x
    slope = 1.0 if x > 0.0 else 0.0 * data
    return record(RELU, data, node, None, slope, 0.0)


def leaky_relu(node: BareNode, other: Any) -> Any:
    right: BareNode | None = None
    if isinstance(other, BareNode):
        operand: BareNode = other  # one check of its type when compiled, not one at each use
        right = operand
        y = operand._data
    elif type(other) is float:  # a NumPy float is a float as well, and would stay one
        y = other
    elif type(other) is int or isinstance(other, NUMBER_TYPES):
        y = to_float(other, "leaky_relu")
    else:
        raise not_a_number(other, "leaky_relu")
    x = node._data
    data = y * x if x <= 0.0 else x
    left_partial = y if x <= 0.0 else (1.0 if x > 0.0 else x)
    right_partial = y if right is None else 0.0 if x > 0.0 else x
    return record(LEAKY_RELU, data, node, right, left_partial, right_partial)


def maximum(node: BareNode, other: Any) -> Any:
    right: BareNode | None = None
    if isinstance(other, BareNode):
        operand: BareNode = other  # one check of its type when compiled, not one at each use
        right = operand
        y = operand._data
    elif type(other) is float:  # a NumPy float is a float as well, and would stay one
        y = other
    elif type(other) is int or isinstance(other, NUMBER_TYPES):
        y = to_float(other, "maximum")
    else:
        raise not_a_number(other, "maximum")
    x = node._data
    data = x if x > y else (y if y >= x else math.nan)
    left_partial = 1.0 if x > y else (0.0 if x < y else (0.5 if x >= y else math.nan))
    right_partial = y if right is None else 1.0 if y > x else (0.0 if y < x else (0.5 if y >= x else math.nan))
    return record(MAXIMUM, data, node, right, left_partial, right_partial)


def minimum(node: BareNode, other: Any) -> Any:
    right: BareNode | None = None
    if isinstance(other, BareNode):
        operand: BareNode = other  # one check of its type when compiled, not one at each use
        right = operand
        y = operand._data
    elif type(other) is float:  # a NumPy float is a float as well, and would stay one
        y = other
    elif type(other) is int or isinstance(other, NUMBER_TYPES):
        y = to_float(other, "minimum")
    else:
        raise not_a_number(other, "minimum")
    x = node._data
    data = x if x < y else (y if y <= x else math.nan)
    left_partial = 1.0 if y > x else (0.0 if y < x else (0.5 if y >= x else math.nan))
    right_partial = y if right is None else 1.0 if x > y else (0.0 if x < y else (0.5 if x >= y else math.nan))
    return record(MINIMUM, data, node, right, left_partial, right_partial)


def erf(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.erf(x)
        slope = 1.1283791670955126 * math.exp(-x * x)
    except FLOAT_ERRORS:
        return record_one(ERF, node)
    return record(ERF, data, node, None, slope, 0.0)


def erfc(node: BareNode) -> Any:
    x = node._data
    try:
        data = math.erfc(x)
        slope = -1.1283791670955126 * math.exp(-x * x)
    except FLOAT_ERRORS:
        return record_one(ERFC, node)
    return record(ERFC, data, node, None, slope, 0.0)


def gelu(node: BareNode) -> Any:
    x = node._data
    try:
        part_1 = 0.5 * math.erfc(-x * 0.7071067811865476)
        data = x * (part_1)
        slope = part_1 + x * math.exp(-0.5 * x * x) / 2.5066282746310002
    except FLOAT_ERRORS:
        return record_one(GELU, node)
    return record(GELU, data, node, None, slope, 0.0)


# [[[end]]]


_unfinished: BareNode | None = None
"""The root of the pass that is under way, or that Ctrl-C has ended: then its nodes still stand in chains."""


def walk(root: BareNode, leaves: list[BareNode] | None = None) -> BareNode:
    """The nodes that root depends on, as a chain by `_next`: root first, each before its operands. Hold `lock`.

    Depth first, left operand first; the way back is a chain as well, so that there is no stack to overflow. A node
    in either chain has been visited: the caller must take all of them out of the chain that it is given, and then
    set `_unfinished` to None. Where a list of leaves is given, they are added to it, and the gradients of all others
    set to 0.
    """
    global _unfinished
    if _unfinished is not None:
        forget_chains(_unfinished)
    _unfinished = root
    done = END
    way_back = END
    node = root
    while True:
        left = node._left
        if left is not None and left._next is None:
            node._next = way_back
            way_back = node
            node = left
            continue
        while True:
            right = node._right
            if right is not None and right._next is None:
                node._next = way_back
                way_back = node
                node = right
                break
            if leaves is not None:
                if right is None and node._left is None:
                    leaves.append(node)
                else:
                    node._grad = 0.0
            node._next = done
            done = node
            if way_back is END:
                return done
            node = way_back
            rest = node._next
            assert rest is not None
            way_back = rest


def forget_chains(root: BareNode) -> None:
    """Take every node that root depends on out of whatever chain it stands in, with no use of the chains."""
    waiting = [root]
    visited = {id(root)}
    while waiting:
        node = waiting.pop()
        node._next = None
        # With a default: one of a subclass whose `__init__` never called ours has no operands.
        for operand in (getattr(node, "_left", None), getattr(node, "_right", None)):
            if operand is not None and id(operand) not in visited:
                visited.add(id(operand))
                waiting.append(operand)


def in_order(root: BareNode) -> list[Any]:
    """Every node that root depends on, each after its operands, root last. Hold `lock`."""
    global _unfinished
    order = []
    node = walk(root)
    while node is not END:
        order.append(node)
        rest = node._next
        assert rest is not None
        node._next = None
        node = rest
    _unfinished = None
    order.reverse()
    return order


def backpropagate(root: BareNode) -> None:
    """The backward pass. Hold `lock`."""
    global may_add_up
    leaves: list[BareNode] = []
    held: list[float] = []
    may_add_up = True
    try:
        # A function of its own: from Python 3.12 on what strikes at the end of a `while` passes the `except` around it.
        add_up(root, leaves, held)
        may_add_up = HAS_NO_GIL
    except BaseException:  # Ctrl-C, that is
        try:
            restore(leaves, held)
        finally:  # it may strike once more
            restore(leaves, held)
        may_add_up = HAS_NO_GIL
        raise


def add_up(root: BareNode, leaves: list[BareNode], held: list[float]) -> None:
    """Give every node the derivative of root by it, and the leaves what they held before besides."""
    global _unfinished
    node = walk(root, leaves)
    # Leaves start from 0 as well, and what they held is added at the end: so a second call doubles them
    # exactly, whatever the rounding of the sums, and one that is interrupted leaves them as they were.
    for leaf in leaves:
        held.append(leaf._grad)
    for leaf in leaves:
        leaf._grad = 0.0
    root._grad = 1.0
    while node is not END:
        gradient = node._grad
        left = node._left
        if left is not None:
            left._grad += gradient * node._left_partial
        right = node._right
        if right is not None:
            right._grad += gradient * node._right_partial
        rest = node._next
        assert rest is not None
        node._next = None
        node = rest
    for leaf, before in zip(leaves, held, strict=True):
        leaf._grad += before
    _unfinished = None


def restore(leaves: list[BareNode], held: list[float]) -> None:
    """Give the leaves back what they held."""
    for place in range(len(held)):
        leaves[place]._grad = held[place]

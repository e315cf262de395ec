"""Derivatives of ordinary Python functions of numbers: grad, value_and_grad, jacobian, hessian, of any order."""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import partial, wraps
from typing import Any

from autograd_mini.engine import to_float
from autograd_mini.graph import Node, pullback
from autograd_mini.nested import Numbers, map_numbers, reshape
from autograd_mini.ops import FLOAT_ERRORS
from autograd_mini.value import VALUE, Value

_depth: ContextVar[int] = ContextVar("depth", default=0)


def grad(function: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The gradient of a function that returns one number, as a function of the same arguments.

    argnums says by which arguments, counted from 0: each a number, or nested lists, tuples, dicts or arrays of them.
    The gradient has the shape of that argument, or is a tuple of such where argnums is one; an array reaches the
    function as an array of `Value`s. Numbers in give floats out; at a `Value`, or inside another derivative, the
    gradient is made of `Value`s and can be differentiated again. No `grad` of any `Value` is touched.

    Raises TypeError where the function returns no single number or an argument is not made of numbers, ValueError
    where argnums names no argument.
    """

    @wraps(function)
    def gradient(*arguments: Numbers, **options: Any) -> Any:
        return _differentiate("grad", function, argnums, arguments, options)[1]

    return gradient


def value_and_grad(function: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., tuple[Any, Any]]:
    """The pair of a function's number and its gradient, computed together; see `grad`."""

    @wraps(function)
    def value_and_gradient(*arguments: Numbers, **options: Any) -> tuple[Any, Any]:
        return _differentiate("value_and_grad", function, argnums, arguments, options)

    return value_and_gradient


def jacobian(function: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The derivatives of a function that returns a number, or nested lists, dicts or arrays of them; see `grad`.

    The result has the shape of what the function returns, with the gradient in the place of each number.
    """

    @wraps(function)
    def derivatives(*arguments: Numbers, **options: Any) -> Any:
        call = _Call("jacobian", function, argnums, arguments, options)
        return map_numbers(call.gradient_of, call.result)

    return derivatives


def hessian(function: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """The second derivatives of a function that returns one number: the Jacobian of its gradient; see `grad`."""
    return jacobian(grad(function, argnums), argnums)


def _differentiate(
    name: str, function: Callable[..., Any], argnums: int | tuple[int, ...], arguments: Any, options: Any
) -> tuple[Any, Any]:
    call = _Call(name, function, argnums, arguments, options)
    if not isinstance(call.result, Value | float):
        raise TypeError(f"{name}: expected the function to return one number, got {type(call.result).__name__}")
    value = call.result if call.is_differentiable else float(call.result)
    return value, call.gradient_of(call.result)


class _Call:
    """One call of a user's function on recording inputs, and the derivatives of what it returned."""

    def __init__(
        self, name: str, function: Callable[..., Any], argnums: int | tuple[int, ...], arguments: Any, options: Any
    ) -> None:
        self._name = name
        self._inputs: list[Value] = []
        self._argnums = argnums
        # Inside another derivative the result may depend on its inputs, through a closure for instance, so that
        # it has to be recorded even where our own inputs are plain numbers.
        self.is_differentiable = _depth.get() > 0
        lifted = list(arguments)
        positions = argnums if isinstance(argnums, tuple) else (argnums,)
        for position in positions:
            if not isinstance(position, int):
                raise TypeError(f"{name}: expected argnums to be an int or a tuple of ints, got {argnums!r}")
            if not -len(lifted) <= position < len(lifted):
                raise ValueError(
                    f"{name}: expected argnums below {len(lifted)}, the number of arguments, got {position}"
                )
            lifted[position] = map_numbers(partial(self._lift, position), lifted[position])
        self._shapes = [arguments[position] for position in positions]  # not ours: the function may change its own
        # In a context of its own, which ends with the call also where Ctrl-C comes as it begins or ends.
        self.result = copy_context().run(self._inside, partial(function, *lifted, **options))

    def _inside(self, function: Callable[[], Any]) -> Any:
        _depth.set(_depth.get() + 1)
        return map_numbers(self._check_result, function())

    def _lift(self, position: int, number: Any) -> Value:
        if isinstance(number, Value):
            self.is_differentiable = True
            fresh = number * 1.0  # a node of our own: the function may also reach this Value through a closure
        else:
            fresh = Value(to_float(number, f"{self._name}, argument {position}"))
        self._inputs.append(fresh)
        return fresh

    def _check_result(self, number: Any) -> Value | float:
        return number if isinstance(number, Value) else to_float(number, f"{self._name}, result of the function")

    def gradient_of(self, output: Value | float) -> Any:
        """The derivatives of one output, in the shape of the arguments."""
        gradients = iter([0.0] * len(self._inputs))  # for an output that is a plain number
        if isinstance(output, Value):
            partials = _recorded_partials if self.is_differentiable else None
            gradients = iter(pullback(output, self._inputs, partials=partials))
        shaped = tuple(reshape(gradients, like=shape) for shape in self._shapes)
        return shaped if isinstance(self._argnums, tuple) else shaped[0]


def _recorded_partials(node: Node) -> list[Any]:
    """The derivatives of a node by its operands as `Value`s: the rows of the table, run on what was recorded."""
    assert node.op is not None  # pullback asks only about operations
    return [
        _partial(rule, node)
        for rule, operand in zip(node.op.partials, node.operands, strict=True)
        if isinstance(operand, Node)
    ]


def _partial(rule: Callable[..., Any], node: Node) -> Any:
    try:
        return rule(VALUE, node, *node.operands)
    except FLOAT_ERRORS:  # of constants alone, where Python raises and a Value has an infinity
        return rule(
            VALUE, node, *[Value(operand) if isinstance(operand, float) else operand for operand in node.operands]
        )

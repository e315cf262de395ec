"""The named functions of the table, on `Value`s and on plain numbers, and log-sum-exp over a list."""

from collections.abc import Iterable
from functools import reduce
from typing import overload

from autograd_mini.engine import to_float
from autograd_mini.ops import TABLE
from autograd_mini.value import Value, apply

# `make functions` writes what stands between the marks; edit the row in ops.py instead.
# [[[cog
# import runpy  # not from the package, which may not import while this is being written
# TABLE = runpy.run_path("autograd_mini/ops.py")["TABLE"]
# named = [op for op in TABLE.values() if not op.is_operator]
# cog.outl("__all__ = [")
# for name in sorted([op.name for op in named] + ["logsumexp"]):
#     cog.outl(f'    "{name}",')
# cog.outl("]")
# for op in named:
#     parameters = [p.partition("=") for p in op.parameters]
#     operands = ", ".join(n for n, _, _ in parameters)
#     others = ", ".join(n for n, _, _ in parameters[1:])
#     result = f'x.{op.name}({others}) if isinstance(x, Value) else apply(TABLE["{op.name}"], {operands})'
#     body = f'    """{op.doc}"""\n    return {result}'
#     if op.arity == 1:
#         cog.outl(f"\n\n@overload\ndef {op.name}({operands}: Value) -> Value: ...")
#         cog.outl(f"@overload\ndef {op.name}({operands}: float) -> float: ...")
#         cog.outl(f"def {op.name}({operands}: Value | float) -> Value | float:\n{body}")
#         continue
#     (x, _, _), (y, _, default) = parameters
#     maybe = " = ..." if default else ""
#     cog.outl("\n")
#     for x_type, y_type, result in (
#         ("Value", f"Value | float{maybe}", "Value"),
#         ("float", "Value", "Value"),
#         ("float", f"float{maybe}", "float"),
#     ):
#         cog.outl(f"@overload\ndef {op.name}({x}: {x_type}, {y}: {y_type}) -> {result}: ...")
#     default = f" = {default}" if default else ""
#     cog.outl(f"def {op.name}({x}: Value | float, {y}: Value | float{default}) -> Value | float:\n{body}")
# ]]]
__all__ = [
    "cos",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "gelu",
    "leaky_relu",
    "log",
    "log1p",
    "logaddexp",
    "logsumexp",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "sin",
    "softplus",
    "sqrt",
    "tan",
    "tanh",
]


@overload
def exp(x: Value) -> Value: ...
@overload
def exp(x: float) -> float: ...
def exp(x: Value | float) -> Value | float:
    """e to the power x; inf beyond 709.78."""
    return x.exp() if isinstance(x, Value) else apply(TABLE["exp"], x)


@overload
def log(x: Value) -> Value: ...
@overload
def log(x: float) -> float: ...
def log(x: Value | float) -> Value | float:
    """The natural logarithm; log(0) is -inf, of a negative number NaN."""
    return x.log() if isinstance(x, Value) else apply(TABLE["log"], x)


@overload
def log1p(x: Value) -> Value: ...
@overload
def log1p(x: float) -> float: ...
def log1p(x: Value | float) -> Value | float:
    """log(1 + x), exact for small x."""
    return x.log1p() if isinstance(x, Value) else apply(TABLE["log1p"], x)


@overload
def expm1(x: Value) -> Value: ...
@overload
def expm1(x: float) -> float: ...
def expm1(x: Value | float) -> Value | float:
    """exp(x) - 1, exact for small x."""
    return x.expm1() if isinstance(x, Value) else apply(TABLE["expm1"], x)


@overload
def sqrt(x: Value) -> Value: ...
@overload
def sqrt(x: float) -> float: ...
def sqrt(x: Value | float) -> Value | float:
    """The square root; of a negative number NaN; the derivative at 0 is inf."""
    return x.sqrt() if isinstance(x, Value) else apply(TABLE["sqrt"], x)


@overload
def sin(x: Value) -> Value: ...
@overload
def sin(x: float) -> float: ...
def sin(x: Value | float) -> Value | float:
    """The sine of x in radians."""
    return x.sin() if isinstance(x, Value) else apply(TABLE["sin"], x)


@overload
def cos(x: Value) -> Value: ...
@overload
def cos(x: float) -> float: ...
def cos(x: Value | float) -> Value | float:
    """The cosine of x in radians."""
    return x.cos() if isinstance(x, Value) else apply(TABLE["cos"], x)


@overload
def tan(x: Value) -> Value: ...
@overload
def tan(x: float) -> float: ...
def tan(x: Value | float) -> Value | float:
    """The tangent of x in radians."""
    return x.tan() if isinstance(x, Value) else apply(TABLE["tan"], x)


@overload
def tanh(x: Value) -> Value: ...
@overload
def tanh(x: float) -> float: ...
def tanh(x: Value | float) -> Value | float:
    """The hyperbolic tangent (Gill & Gill, section 2.2)."""
    return x.tanh() if isinstance(x, Value) else apply(TABLE["tanh"], x)


@overload
def sigmoid(x: Value) -> Value: ...
@overload
def sigmoid(x: float) -> float: ...
def sigmoid(x: Value | float) -> Value | float:
    """The logistic function 1 / (1 + exp(-x)) (Gill & Gill, section 2.2)."""
    return x.sigmoid() if isinstance(x, Value) else apply(TABLE["sigmoid"], x)


@overload
def softplus(x: Value) -> Value: ...
@overload
def softplus(x: float) -> float: ...
def softplus(x: Value | float) -> Value | float:
    """log(1 + exp(x)), without overflow."""
    return x.softplus() if isinstance(x, Value) else apply(TABLE["softplus"], x)


@overload
def logaddexp(x: Value, y: Value | float) -> Value: ...
@overload
def logaddexp(x: float, y: Value) -> Value: ...
@overload
def logaddexp(x: float, y: float) -> float: ...
def logaddexp(x: Value | float, y: Value | float) -> Value | float:
    """log(exp(x) + exp(y)), without overflow; two equal infinities share the gradient by halves."""
    return x.logaddexp(y) if isinstance(x, Value) else apply(TABLE["logaddexp"], x, y)


@overload
def relu(x: Value) -> Value: ...
@overload
def relu(x: float) -> float: ...
def relu(x: Value | float) -> Value | float:
    """x for x >= 0, else 0 (Gill & Gill, section 2.2); the derivative at 0 is 0."""
    return x.relu() if isinstance(x, Value) else apply(TABLE["relu"], x)


@overload
def leaky_relu(x: Value, negative_slope: Value | float = ...) -> Value: ...
@overload
def leaky_relu(x: float, negative_slope: Value) -> Value: ...
@overload
def leaky_relu(x: float, negative_slope: float = ...) -> float: ...
def leaky_relu(x: Value | float, negative_slope: Value | float = 0.01) -> Value | float:
    """x for x > 0, else negative_slope * x; the derivative at 0 is negative_slope."""
    return x.leaky_relu(negative_slope) if isinstance(x, Value) else apply(TABLE["leaky_relu"], x, negative_slope)


@overload
def maximum(x: Value, y: Value | float) -> Value: ...
@overload
def maximum(x: float, y: Value) -> Value: ...
@overload
def maximum(x: float, y: float) -> float: ...
def maximum(x: Value | float, y: Value | float) -> Value | float:
    """The larger of x and y; at a tie each gets half of the gradient; NaN where either is NaN."""
    return x.maximum(y) if isinstance(x, Value) else apply(TABLE["maximum"], x, y)


@overload
def minimum(x: Value, y: Value | float) -> Value: ...
@overload
def minimum(x: float, y: Value) -> Value: ...
@overload
def minimum(x: float, y: float) -> float: ...
def minimum(x: Value | float, y: Value | float) -> Value | float:
    """The smaller of x and y; at a tie each gets half of the gradient; NaN where either is NaN."""
    return x.minimum(y) if isinstance(x, Value) else apply(TABLE["minimum"], x, y)


@overload
def erf(x: Value) -> Value: ...
@overload
def erf(x: float) -> float: ...
def erf(x: Value | float) -> Value | float:
    """The error function."""
    return x.erf() if isinstance(x, Value) else apply(TABLE["erf"], x)


@overload
def erfc(x: Value) -> Value: ...
@overload
def erfc(x: float) -> float: ...
def erfc(x: Value | float) -> Value | float:
    """The complementary error function 1 - erf(x), exact in the right tail."""
    return x.erfc() if isinstance(x, Value) else apply(TABLE["erfc"], x)


@overload
def gelu(x: Value) -> Value: ...
@overload
def gelu(x: float) -> float: ...
def gelu(x: Value | float) -> Value | float:
    """x Φ(x), with Φ the normal distribution function, in its exact form (Hendrycks & Gimpel, 2016)."""
    return x.gelu() if isinstance(x, Value) else apply(TABLE["gelu"], x)


# [[[end]]]


@overload
def logsumexp(values: Iterable[Value]) -> Value: ...
@overload
def logsumexp(values: Iterable[Value | float]) -> Value | float: ...
def logsumexp(values: Iterable[Value | float]) -> Value | float:
    """log(exp(x1) + exp(x2) + …) without overflow; the gradients are the softmax of the values.

    It is recorded as `logaddexp` of the first two values, of that and the third, and so on; one value is returned as it
    is. Result and gradients are right but for the rounding of the largest |x|: subtract what all values share, where it
    is large, to keep more digits of the gradients.

    Raises ValueError if there are no values, TypeError for what is not a number.
    """
    if not isinstance(values, Iterable):
        raise TypeError(f"logsumexp: expected a list of values, got {type(values).__name__}")
    terms = [value if isinstance(value, Value) else to_float(value, "logsumexp") for value in values]
    if not terms:
        raise ValueError("logsumexp: expected at least one value, got none")
    return reduce(logaddexp, terms)

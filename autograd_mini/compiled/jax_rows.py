"""The rows of the table as functions of JAX's arrays, which JAX differentiates by the rows' own partials."""

from collections.abc import Callable
from functools import cache, lru_cache, reduce
from operator import add
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.scipy import special

from autograd_mini.compiled.tracing import NotTraceableError
from autograd_mini.ops import TABLE, Op, arithmetic

Array = Any
"""One of JAX's arrays, or what stands for it while a function is traced."""

_PRIMITIVES = arithmetic(
    {
        "where": jnp.where,
        "pow": jnp.power,
        **{name: getattr(jnp, name) for name in ("abs", "exp", "log", "log1p", "expm1", "sqrt")},
        **{name: getattr(jnp, name) for name in ("sin", "cos", "tan", "tanh")},
        **{name: getattr(special, name) for name in ("erf", "erfc")},
    }
)
"""What rules are computed with."""


@lru_cache(maxsize=256)
def row_function(op: Op) -> Callable[..., Array]:
    """A row as a function whose derivatives, also in JAX's hands, are the row's own partials."""

    def forward(*operands: Array) -> Array:
        return _evaluated(op, op.forward, _PRIMITIVES, *operands)

    def differentiate(operands: tuple[Array, ...], tangents: tuple[Array, ...]) -> tuple[Array, Array]:
        out = differentiable(*operands)
        # By what is constant there is no derivative: of x**3 by its exponent it would be NaN where x is negative.
        terms = [
            jnp.broadcast_to(_evaluated(op, partial, _rules(), out, *operands) * tangent, out.shape)
            for partial, tangent in zip(op.partials, tangents, strict=True)
            if not isinstance(tangent, SymbolicZero)
        ]
        return out, reduce(add, terms).astype(out.dtype)

    differentiable: Callable[..., Array] = jax.custom_jvp(forward)
    differentiable.defjvp(differentiate, symbolic_zeros=True)  # type: ignore[attr-defined]
    return differentiable


@cache
def _rules() -> SimpleNamespace:
    """What partials are computed with: functions that can be differentiated again, each by its own row."""
    return SimpleNamespace(where=jnp.where, **{name: row_function(op) for name, op in TABLE.items()})


def _evaluated(op: Op, rule: Callable[..., Any], m: SimpleNamespace, *operands: Array) -> Array:
    try:
        return rule(m, *operands)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        raise NotTraceableError(
            f"to_jax: expected the rules of the row {op.name!r} to compute by m alone, got one that looks at numbers:"
            " choose by m.where, and take functions from m"
        ) from None


@cache
def log_sum_exp(axis: int) -> Callable[[Array], Array]:
    """log Σ exp(x) over an axis: what a fold of the row logaddexp gives, with the same derivatives."""

    def forward(x: Array) -> Array:
        largest, gaps = _gaps(x, axis)
        # The largest is 1 in the sum of exponentials, and log1p keeps what the others add to it.
        places = jax.lax.broadcasted_iota(jnp.int32, x.shape, axis)
        is_largest = places == jnp.expand_dims(jax.lax.argmax(x, axis, jnp.int32), axis)
        return largest.squeeze(axis) + jnp.log1p(jnp.where(is_largest, 0.0, jnp.exp(gaps)).sum(axis))

    def differentiate(operands: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        ((x,), (tangent,)) = operands, tangents
        return differentiable(x), (_shares(x, axis) * tangent).sum(axis)

    differentiable: Callable[[Array], Array] = jax.custom_jvp(forward)
    differentiable.defjvp(differentiate)  # type: ignore[attr-defined]
    return differentiable


def _gaps(x: Array, axis: int) -> tuple[Array, Array]:
    """The largest, and how far below it each is; 0 for all where it is infinite."""
    largest = jax.lax.stop_gradient(x.max(axis, keepdims=True))
    is_infinite = jnp.isinf(largest)
    return largest, jnp.where(is_infinite, 0.0, x - jnp.where(is_infinite, 0.0, largest))


def _shares(x: Array, axis: int) -> Array:
    """The softmax; of equal infinities each takes half of what those after it leave, as in a fold of logaddexp."""
    largest, gaps = _gaps(x, axis)
    exponentials = jnp.exp(gaps)
    is_equal = x == largest
    after = jax.lax.cumsum(is_equal.astype(jnp.int32), axis, reverse=True) - is_equal
    n_equal = is_equal.sum(axis, keepdims=True, dtype=jnp.int32)
    at_infinity = jnp.where(is_equal, 0.5 ** (after + (after < n_equal - 1)), 0.0)
    return jnp.where(jnp.isinf(largest), at_infinity, exponentials / exponentials.sum(axis, keepdims=True))

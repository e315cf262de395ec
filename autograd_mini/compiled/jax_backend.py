"""A program as a pure function of JAX's arrays, which JAX compiles, maps, differentiates, shards and exports.

The rows are those of the table: their rules run on JAX's functions, and JAX differentiates each by its own partials.
This module is built on JAX, and imported where it is used.
"""

from collections.abc import Callable, Sequence
from math import prod
from string import ascii_letters
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from autograd_mini.compiled.arguments import Argument, Part, check_count, read_parts
from autograd_mini.compiled.contraction import BATCH
from autograd_mini.compiled.executors import shortened
from autograd_mini.compiled.jax_buffers import Buffer
from autograd_mini.compiled.jax_rows import Array, log_sum_exp, row_function
from autograd_mini.compiled.lift import lift
from autograd_mini.compiled.program import Operand, Program, Rows, Step, View
from autograd_mini.compiled.scalars import Scalars
from autograd_mini.ops import Op

MOST_STEPS = 2_000
"""XLA takes some 10 milliseconds for each, and more for each of many."""


# The function


def jax_function(
    arguments: Sequence[Argument],
    scalars: Scalars,
    shape: tuple[int, ...] | None,
    reduction: str,
    dtype: np.dtype[Any],
) -> Callable[..., Array]:
    """What `CompiledGraph.to_jax` returns. shape: of what the function returned, None for one number."""
    joined = shortened(scalars)
    programs: dict[tuple[bool, ...], Program] = {}

    def compiled(*given: Any) -> Array:
        if jax.dtypes.canonicalize_dtype(dtype) != dtype:
            raise ValueError(
                "to_jax: expected 64-bit numbers to be on, got them off:"
                ' jax.config.update("jax_enable_x64", True), or compile_graph(…, dtype="float32")'
            )
        check_count(arguments, given)
        arrays, batch = read_parts(arguments, given, lambda part, argument: _array(part, argument, dtype))
        is_batched = tuple(array.ndim == 2 for array in arrays)
        if is_batched not in programs:
            programs[is_batched] = _checked(lift(joined, is_batched))
        program = programs[is_batched]
        outputs = _Run(program, arrays, batch, dtype).outputs()
        if shape is not None:
            size = (batch,) if batch is not None else ()
            return jnp.stack([jnp.broadcast_to(output, size) for output in outputs]).reshape(*shape, *size)
        return _reduced(outputs[0], program.has_batch_axis(program.outputs[0][0]), batch, reduction)

    return compiled


def _array(part: Part, argument: Any, dtype: np.dtype[Any]) -> Array:
    given = part.at(argument)
    try:
        array = jnp.asarray(given, dtype)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(part.expectation(given)) from None
    return part.flat(array)


def _checked(program: Program) -> Program:
    if len(program.steps) > MOST_STEPS:
        raise ValueError(
            f"to_jax: expected at most {MOST_STEPS:,} array steps, got {len(program.steps):,}: XLA compiles one by one"
            " what is narrow and deep; compile_graph with executor='tape', or fit with engine='compiled', runs it"
        )
    return program


def _reduced(output: Array, has_batch: bool, batch: Any, reduction: str) -> Array:
    if batch is None:
        return output
    if reduction == "none":
        return jnp.broadcast_to(output, (batch,))
    if reduction == "mean":
        return output.sum() / batch if has_batch else output
    return output.sum() if has_batch else output * batch


# The steps


class _Run:
    """A program on its way: the results that there are by now."""

    def __init__(self, program: Program, arrays: Sequence[Array], batch: Any, dtype: np.dtype[Any]) -> None:
        self._program, self._batch, self._dtype = program, batch, dtype
        constants = jnp.asarray(np.array(program.constants, dtype))
        self._buffers = [Buffer(array) for array in (*arrays, constants)] + [Buffer(), Buffer()]

    def outputs(self) -> list[Array]:
        """Run it: each output of shape (batch,), or () where all samples share it."""
        for step in self._program.steps:
            result = self._result(step)
            piece = self._spread(result, step).reshape(step.lanes, *self._samples(step))
            self._buffers[self._program.buffer_of(step)].put(step.start, piece)
        return [self._buffers[buffer].take(np.array([row]))[0] for buffer, row in self._program.outputs]

    def _samples(self, step: Step) -> tuple[Any, ...]:
        return (self._batch,) if step.is_batched else ()

    def _spread(self, result: Array, step: Step) -> Array:
        """With all lanes and samples, also those that have the same result."""
        shape = (*step.outer, *self._samples(step))
        return result if result.shape == shape else jnp.broadcast_to(result, shape)

    def _result(self, step: Step) -> Array:
        if isinstance(step.kind, Op):
            return row_function(step.kind)(*[self._on_all_axes(operand, step) for operand in step.operands])
        if step.kind == "dot":
            return self._product(step)
        (operand,) = step.operands
        if step.kind == "gather":
            assert isinstance(operand, Rows)
            return self._buffers[operand.buffer].take(operand.rows)
        shape = (*step.sizes, *self._samples(step))
        terms = jnp.broadcast_to(self._on_all_axes(operand, step), shape)
        axis = len(step.outer)
        terms = terms.reshape(*step.outer, prod(step.sizes[axis:]), *self._samples(step))
        return terms.sum(axis) if step.kind == "sum" else log_sum_exp(axis)(terms)

    def _product(self, step: Step) -> Array:
        """Σ left · right over the inner axes."""
        tables = [self._table(operand, step) for operand in step.operands]
        axes = [self._axes(operand) for operand in step.operands]
        available = {*axes[0], *axes[1]}
        wanted = [*range(len(step.outer)), *([BATCH] if step.is_batched else [])]
        kept = [axis for axis in wanted if axis in available]
        if BATCH in axes[0] and BATCH in axes[1]:  # a small product for each sample, which is no matrix product
            every = [axis for axis in [*range(len(step.sizes)), BATCH] if axis in available]
            left, right = (_with_axes(table, own, every) for table, own in zip(tables, axes, strict=True))
            result = (left * right).sum([every.index(axis) for axis in every if axis not in kept])
        else:
            subscripts = f"{_letters(axes[0])},{_letters(axes[1])}->{_letters(kept)}"
            result = jnp.einsum(subscripts, *tables, precision="highest")
        times = prod(size for axis, size in enumerate(step.sizes) if axis not in available and axis not in wanted)
        return _with_axes(result * times if times > 1 else result, kept, wanted)

    # Operands

    def _axes(self, operand: Operand) -> list[int]:
        """The axes on which its numbers differ."""
        assert isinstance(operand, View)
        own = [axis for axis, stride in enumerate(operand.strides) if stride]
        return [*own, BATCH] if self._program.has_batch_axis(operand.buffer) else own

    def _table(self, operand: Operand, step: Step) -> Array:
        """An operand on these axes."""
        assert isinstance(operand, View)
        return self._buffers[operand.buffer].view(operand, step.sizes)

    def _on_all_axes(self, operand: Operand, step: Step) -> Array:
        """An operand on the axes of a step, of size 1 where its numbers repeat."""
        if isinstance(operand, float):
            return jnp.asarray(operand, self._dtype)
        every = [*range(len(step.sizes)), *([BATCH] if step.is_batched else [])]
        return _with_axes(self._table(operand, step), self._axes(operand), every)


def _with_axes(array: Array, own: Sequence[int], every: Sequence[int]) -> Array:
    """An array that has some axes, in their order, with the others as well, of size 1."""
    missing = [place for place, axis in enumerate(every) if axis not in own]
    return jnp.expand_dims(array, missing) if missing else array


def _letters(axes: Sequence[int]) -> str:
    return "".join(ascii_letters[axis] if axis != BATCH else "Z" for axis in axes)

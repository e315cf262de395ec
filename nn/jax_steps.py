"""The steps of a training on JAX: the compiled loss, differentiated by JAX, each batch split over devices."""

import math
from collections.abc import Callable

import numpy as np

from autograd_mini import compile_graph
from nn.batches import Batch, Pair
from nn.compiled_steps import Array, Arrays, CompiledSteps
from nn.data_parallel import Columns, DataParallel
from nn.steps import EagerSteps

_CLOSE = 1e-6
"""How far the first loss may be off that of NumPy: far more than rounding makes it, and less than 32 bits would."""


class JaxSteps(CompiledSteps):
    """Steps whose losses and gradients JAX computes; the optimizer moves the parameters in NumPy, in every process."""

    def __init__(self, eager: EagerSteps, parallel: DataParallel) -> None:
        super().__init__(eager)
        self._parallel = parallel
        program = self._program
        graph = compile_graph(program.loss, *program.inputs, parameters=program.parameters, reduction="none")
        head = eager.task.data.head
        axes = [column.ndim for column in program.arrays(Pair(head.samples[:1], head.targets[:1])).columns()]
        parallel.compile(graph.to_jax(), axes)
        self._is_compared = False

    def _loss_and_gradient(self, batch: Batch) -> tuple[float, Array]:
        loss, gradient = self._parallel.value_and_grad(self._numbers, *self._sizes_and_columns(batch, self._epoch_data))
        if not self._is_compared:
            self._compare(loss, super()._loss_and_gradient(batch)[0])
            self._is_compared = True
        return loss, gradient

    def _validation_loss(self, batch: Batch) -> float:
        return self._parallel.value(self._numbers, *self._sizes_and_columns(batch, self._validation))

    def _sizes_and_columns(
        self, batch: Batch, prepared: Arrays | None
    ) -> tuple[int, Callable[[slice], Columns], list[float]]:
        def columns_of(places: slice) -> Columns:
            if prepared is not None:
                return prepared.part(batch.first + places.start, batch.first + places.stop).columns()
            pair = batch.part(places)
            self._program.check_new(pair)
            return self._program.arrays(pair).columns()

        return batch.size, columns_of, [float(batch.size)] if self._program.needs_size else []

    def _compare(self, loss: float, expected: float) -> None:
        if np.isfinite([loss, expected]).all() and not math.isclose(loss, expected, rel_tol=_CLOSE, abs_tol=1e-12):
            kinds = ", ".join({device.device_kind for device in self._parallel.devices})
            raise ValueError(f"fit: expected a loss of {expected} on {kinds}, got {loss}: do they compute in 64 bits?")

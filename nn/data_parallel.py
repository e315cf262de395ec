"""A batch split over JAX's devices, and over the processes of a group. This module is built on JAX."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from nn.checks import describe, positive_int
from nn.group import Group, devices_of

Array: TypeAlias = NDArray[np.float64]

Columns: TypeAlias = list[Array]
"""The arguments of a loss for some samples: arrays whose last axis is the samples'."""

ColumnsOf: TypeAlias = Callable[[slice], Columns]
"""Gives those at some places of a batch."""

_AXIS = "samples"


class DataParallel:
    """Devices that share a batch: each has the parameters, and some of the samples.

    devices: how many of JAX's, a list of them, or None for all. In a group of processes all take part, with equally
    many devices each.

    Raises ValueError or TypeError that names the argument.
    """

    def __init__(self, devices: Any) -> None:
        self.devices = _check_devices(devices)
        self._mesh = Mesh(np.array(self.devices), (_AXIS,))
        self.group = Group(self.devices)
        self._sizes: dict[int, int] = {}
        """How many samples a batch is filled up to."""
        self._traced: set[tuple[Any, int]] = set()
        """What has been traced, and for how many samples."""
        self._value: Any = None
        self._value_and_grad: Any = None

    # Running

    def compile(self, loss: Callable[..., Any], axes: Sequence[int]) -> None:
        """Take a function of parameters, columns and scalars, with a result for each sample, as what is run.

        axes: how many each of the columns has.
        """

        def part(parameters: Any, size: Any, columns: Sequence[Any], scalars: Sequence[Any]) -> Any:
            """What a device's samples add to the mean over `size`: what fills up the batch adds nothing."""
            share = columns[0].shape[-1]
            places = jax.lax.axis_index(_AXIS) * share + jax.numpy.arange(share)
            return (loss(parameters, *columns, *scalars) * jax.numpy.where(places < size, 1 / size, 0.0)).sum()

        def part_and_gradient(*arguments: Any) -> Any:
            value, gradient = jax.value_and_grad(part)(*arguments)
            return jax.numpy.concatenate([gradient, value[None]])

        self._traced.clear()
        self._value = self._summed(part, axes)
        self._value_and_grad = self._summed(part_and_gradient, axes)

    def _summed(self, part: Callable[..., Any], axes: Sequence[int]) -> Callable[..., Any]:
        """The sum over all devices of what each computes of its samples: one exchange, of one array."""
        everywhere = PartitionSpec()
        samples = (everywhere, everywhere, list(map(_by_samples, axes)), everywhere)
        shared = jax.shard_map(
            lambda *arguments: jax.lax.psum(part(*arguments), _AXIS),
            mesh=self._mesh,
            in_specs=samples,
            out_specs=everywhere,
            check_vma=False,  # or JAX would exchange the gradient by each parameter as it comes
        )
        placed = jax.tree.map(
            lambda spec: NamedSharding(self._mesh, spec), samples, is_leaf=lambda each: isinstance(each, PartitionSpec)
        )
        summed: Callable[..., Any] = jax.jit(shared, in_shardings=placed)
        return summed

    def value(self, parameters: Array, size: int, columns_of: ColumnsOf, scalars: Sequence[float]) -> float:
        """The mean over `size` samples; see `value_and_grad`."""
        return float(self._run(self._value, parameters, size, columns_of, scalars))

    def value_and_grad(
        self, parameters: Array, size: int, columns_of: ColumnsOf, scalars: Sequence[float]
    ) -> tuple[float, Array]:
        """The mean over `size` samples and its gradient by the parameters, the same in every process.

        columns_of: gives the columns of the samples at some places of the batch. In a group it is asked for those that
        devices of this process take.
        """
        found = self._run(self._value_and_grad, parameters, size, columns_of, scalars)
        return float(found[-1]), found[:-1].copy()

    def _run(
        self, function: Any, parameters: Array, size: int, columns_of: ColumnsOf, scalars: Sequence[float]
    ) -> Array:
        padded = self._padded(size)
        with jax.enable_x64(True):
            columns = self._shared(padded, lambda first, end: _filled(columns_of, size, first, end))
            arguments = parameters, np.float64(size), columns, list(map(np.float64, scalars))
            if (function, padded) not in self._traced:
                function.trace(*arguments)  # what to_jax refuses is no fault of other processes
                self._traced.add((function, padded))
            return self.group.computed(function, *arguments)[0]

    def _padded(self, size: int) -> int:
        """A number of samples that all devices share evenly, at least `size`: one that was compiled for, if near."""
        if size not in self._sizes:
            n_devices = len(self.devices)
            near = [each for each in self._sizes.values() if size <= each <= 2 * size]
            self._sizes[size] = min(near) if near else -(-size // n_devices) * n_devices
        return self._sizes[size]

    def _shared(self, padded: int, columns_of: Callable[[int, int], Columns]) -> list[Any]:
        """Columns of so many samples, as JAX takes them: of a group, each process puts its own on its devices."""
        if not self.group.is_real:
            return columns_of(0, padded)
        share = padded // len(self.devices)
        own = [place for place, device in enumerate(self.devices) if device.process_index == self.group.process]
        shards = [columns_of(place * share, (place + 1) * share) for place in own]
        devices = [self.devices[place] for place in own]
        return [
            jax.make_array_from_single_device_arrays(
                (*column[0].shape[:-1], padded),
                NamedSharding(self._mesh, _by_samples(column[0].ndim)),
                jax.device_put(list(column), devices),
            )
            for column in zip(*shards, strict=True)
        ]


def _by_samples(axes: int) -> Any:
    """How arrays are split whose last axis is the samples'."""
    return PartitionSpec(*[None] * (axes - 1), _AXIS)


def _filled(columns_of: ColumnsOf, size: int, first: int, end: int) -> Columns:
    """Those at these places of a batch of that size, and beyond it the first sample's again: as finite as the batch."""
    if end <= size:
        return columns_of(slice(first, end))
    parts = [np.repeat(each, end - max(first, size), axis=-1) for each in columns_of(slice(0, 1))]
    if first >= size:
        return parts
    return [np.concatenate(both, axis=-1) for both in zip(columns_of(slice(first, size)), parts, strict=True)]


def _check_devices(devices: Any) -> list[Any]:
    expected = "fit: expected devices to be a positive int, or a list of JAX's devices"
    every: list[Any] = jax.devices()
    processes = jax.process_count()
    if devices is None:
        return every
    if isinstance(devices, np.ndarray):  # as a mesh takes them
        devices = devices.ravel().tolist()
    if isinstance(devices, int | np.integer) and not isinstance(devices, bool):
        devices = positive_int(devices, expected)
        if devices > len(every):
            raise ValueError(f"fit: expected devices to be at most {len(every)}, which JAX has here, got {devices}")
        if devices % processes:
            raise ValueError(f"fit: expected as many devices in each of {processes} processes, got {devices} in all")
        return [device for process in range(processes) for device in devices_of(every, process)[: devices // processes]]
    if not isinstance(devices, Sequence) or isinstance(devices, str) or not devices:
        raise TypeError(f"{expected}, got {describe(devices)}")
    for device in devices:
        if not isinstance(device, jax.Device):
            raise TypeError(f"{expected}, got {describe(device)} among them")
    if len(set(devices)) < len(devices):
        raise ValueError("fit: expected devices to be each a different one, got one twice")
    if len({len(devices_of(devices, process)) for process in range(processes)}) > 1:
        raise ValueError(f"fit: expected as many devices in each of {processes} processes, got {describe(devices)}")
    return [device for process in range(processes) for device in devices_of(devices, process)]

"""Rows of what a model in ONNX has computed, as tensors of the shapes that its nodes need."""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from autograd_mini.compiled.onnx_graph import Constant, OnnxGraph, Samples, Tensor
from autograd_mini.compiled.program import Indices


class Views:
    """Where the rows of a program's buffers are, and nodes that show some of them; each is written once."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._starts: defaultdict[int, list[int]] = defaultdict(list)
        self._tensors: dict[tuple[int, int], Samples] = {}
        self._known: dict[Any, Samples] = {}
        self._originals: dict[Samples, Samples] = {}
        """What was reshaped, by what it became."""

    def add(self, buffer: int, start: int, tensor: Samples) -> None:
        """The rows of a buffer from that one on are the numbers of this tensor."""
        insort(self._starts[buffer], start)
        self._tensors[buffer, start] = tensor

    def find(self, buffer: int, rows: Indices, sizes: tuple[int, ...]) -> Samples:
        """These rows as a tensor of these sizes."""
        starts = self._starts[buffer]
        first, last = (bisect_right(starts, row) - 1 for row in (rows.min(), rows.max()))
        near = np.array(starts[first : last + 1])
        used, places = np.unique(np.searchsorted(near, rows, side="right") - 1, return_inverse=True)
        tensors = [self._tensors[buffer, start] for start in near[used].tolist()]
        ends = np.cumsum([prod(tensor.sizes) for tensor in tensors])
        shifts = np.array([0, *ends[:-1]]) - near[used]
        return self._picked(self.joined(tensors), rows + shifts[places], sizes)

    def joined(self, tensors: Sequence[Samples]) -> Samples:
        """The numbers of several tensors on one axis, one tensor after the other; a single one as it is."""
        if len(tensors) == 1:
            return tensors[0]
        key = tuple(tensors)
        if key not in self._known:
            lines = [self._line(tensor) for tensor in tensors]
            self._known[key] = self._graph.add_node("Concat", lines, (sum(line.sizes[0] for line in lines),), axis=1)
        return self._known[key]

    def reshaped(self, tensor: Samples, sizes: tuple[int, ...]) -> Samples:
        """The same numbers on axes of other sizes."""
        tensor = self._originals.get(tensor, tensor)
        if tensor.sizes == sizes:
            return tensor
        key = tensor, sizes
        if key not in self._known:
            shape = integers([0, *sizes])  # 0 keeps the axis of the samples
            self._known[key] = self._graph.add_node("Reshape", [tensor, shape], sizes)
            self._originals[self._known[key]] = tensor
        return self._known[key]

    def spread(self, tensor: Tensor, sizes: tuple[int, ...]) -> Samples:
        """The tensor with these sizes and a number for each sample, repeated where it has less."""
        if isinstance(tensor, Samples):
            if tensor.sizes == sizes:
                return tensor
            return self._graph.add_node("Expand", [tensor, integers([1, *sizes])], sizes)
        batch = self._graph.add_node("Shape", self._graph.inputs[:1], (), start=0, end=1)
        shape = self._graph.add_node("Concat", [batch, integers(sizes)], (), axis=0)
        return self._graph.add_node("Expand", [tensor, shape], sizes)

    def _picked(self, tensor: Samples, rows: Indices, sizes: tuple[int, ...]) -> Samples:
        """These places of a tensor, counted along all of its axes, on axes of these sizes."""
        key = tensor, rows.tobytes(), sizes
        if key not in self._known:
            self._known[key] = self._shown(tensor, rows, sizes)
        return self._known[key]

    def _shown(self, tensor: Samples, rows: Indices, sizes: tuple[int, ...]) -> Samples:
        first = int(rows.min())
        stride = max(1, int(rows[1] - rows[0])) if len(rows) > 1 else 1
        if np.array_equal(rows, first + stride * np.arange(len(rows))):
            return self.reshaped(self._slice(tensor, first, len(rows), stride), sizes)
        # A turned table as well: onnxruntime may fuse Transpose and MatMul into what it lacks in float64.
        table = Constant(rows.reshape(sizes), "rows")
        return self._graph.add_node("Gather", [self._line(tensor), table], sizes, axis=1)

    def _slice(self, tensor: Samples, first: int, size: int, stride: int) -> Samples:
        if size == prod(tensor.sizes):
            return tensor
        bounds = [integers([each], "slice") for each in (first, first + stride * (size - 1) + 1, 1, stride)]
        return self._graph.add_node("Slice", [self._line(tensor), *bounds], (size,))

    def _line(self, tensor: Samples) -> Samples:
        return self.reshaped(tensor, (prod(tensor.sizes),))


def integers(numbers: Iterable[int], name: str = "shape") -> Constant:
    """Integers that a node needs."""
    return Constant(np.array([*numbers], np.int64), name)

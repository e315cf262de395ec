"""A program as a model in ONNX: a tensor for the results of each step, with the samples along its first axis.

What no sample has a part in is computed here, so that views of parameters become the matrices of layers.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autograd_mini.compiled.arguments import Argument, Part
from autograd_mini.compiled.contraction import BATCH, Plan, factor_of, plan
from autograd_mini.compiled.executors import shortened
from autograd_mini.compiled.formulas import simplified
from autograd_mini.compiled.lift import lift
from autograd_mini.compiled.onnx_formulas import FormulaWriter, formula_of
from autograd_mini.compiled.onnx_graph import Constant, OnnxGraph, Samples, Tensor
from autograd_mini.compiled.onnx_views import Views, integers
from autograd_mini.compiled.program import Indices, Operand, Program, Rows, Step, View
from autograd_mini.compiled.row_formulas import known
from autograd_mini.compiled.scalars import Scalars
from autograd_mini.nested import Numbers
from autograd_mini.ops import NUMPY, Op
from autograd_mini.source_code import NotWritableError

if TYPE_CHECKING:
    from onnx import ModelProto

Array = NDArray[Any]


def onnx_model(
    scalars: Scalars,
    arguments: Sequence[Argument],
    given: Sequence[Numbers | None],
    shape: tuple[int, ...] | None,
    dtype: str,
) -> "ModelProto":
    """The model that `CompiledGraph.to_onnx` gives.

    given: the numbers of each argument, or None for an input. shape: of the function's result, None for one number.
    """
    if all(numbers is not None for numbers in given):
        raise ValueError(
            "to_onnx: expected None for at least one argument, which is then an input, got numbers for"
            f" {', '.join(argument.name for argument in arguments) or 'none'}"
        )
    graph = OnnxGraph(dtype, "outputs")
    groups = [
        group for argument, numbers in zip(arguments, given, strict=True) for group in _groups(argument, numbers, graph)
    ]
    program = lift(shortened(scalars), tuple(isinstance(group, Samples) for group in groups))
    return graph.model(_Backend(program, groups, graph).output(shape or ()))


def _groups(argument: Argument, numbers: Numbers | None, graph: OnnxGraph) -> list[Tensor]:
    """The groups of an argument: inputs, or the numbers that are given."""
    if numbers is None:
        return [graph.add_input(_name(argument, part), part.group.shape) for part in argument.parts]
    argument.check_keys(numbers)
    constants: list[Tensor] = []
    for part in Argument(argument.name, argument.example).parts:  # the argument's own remember what they were given
        array = part.read(numbers, np.dtype("float64"))
        if array.ndim == 2:
            raise ValueError(
                f"to_onnx: expected one sample of {part.group.name}, or None for an input, got {array.shape[1]} samples"
            )
        constants.append(Constant(array, _name(argument, part)))
    return constants


def _name(argument: Argument, part: Part) -> str:
    """Such as `x` and `x.a`; parameters by name have theirs: `layers.0.weights`."""
    is_named = argument.name == "parameters" and part.path
    return ".".join(map(str, part.path if is_named else (argument.name, *part.path))) or argument.name


class _Backend:
    """Writes the steps of a program into a graph of ONNX. groups: flat numbers, or inputs."""

    def __init__(self, program: Program, groups: Sequence[Tensor], graph: OnnxGraph) -> None:
        self._program, self._graph = program, graph
        self._views = Views(graph)
        self._shared = np.zeros(program.unbatched_rows)
        self._constants = {
            program.constants_buffer: Constant(np.array(program.constants)),
            program.unbatched_buffer: Constant(self._shared),
        }
        for buffer, group in enumerate(groups):
            if isinstance(group, Samples):
                self._views.add(buffer, 0, group)
            else:
                self._constants[buffer] = group
        for step in map(_with_an_axis, program.steps):
            if step.is_batched:
                result = self._views.spread(self._result(step), step.outer)
                self._views.add(program.batched_buffer, step.start, result)
            else:
                self._shared[step.start : step.start + step.lanes] = self._computed(step).ravel()

    def output(self, shape: tuple[int, ...]) -> Samples:
        """The outputs of the program as one tensor."""
        runs = [
            (buffer, [row for _, row in run]) for buffer, run in groupby(self._program.outputs, lambda each: each[0])
        ]
        if len(runs) == 1:
            return self._views.spread(self._tensor(runs[0][0], np.array(runs[0][1]), shape), shape)
        parts = [
            self._views.spread(self._tensor(buffer, np.array(rows), (len(rows),)), (len(rows),))
            for buffer, rows in runs
        ]
        return self._views.reshaped(self._views.joined(parts), shape)

    # Operands

    def _operand(self, operand: Operand, step: Step) -> Tensor:
        """On all axes of the step; of size 1 are those over which it repeats."""
        if isinstance(operand, float):
            return Constant(np.array(operand))
        if isinstance(operand, Rows):
            return self._tensor(operand.buffer, operand.rows, step.sizes)
        sizes = tuple(size if stride else 1 for size, stride in zip(step.sizes, operand.strides, strict=True))
        return self._tensor(operand.buffer, operand.rows(step.sizes), sizes)

    def _tensor(self, buffer: int, rows: Indices, sizes: tuple[int, ...]) -> Tensor:
        if buffer not in self._constants:
            return self._views.find(buffer, rows, sizes)
        constant = self._constants[buffer]
        return replace(constant, numbers=constant.numbers[rows].reshape(sizes))

    # Steps that no sample has a part in

    def _computed(self, step: Step) -> Array:
        operands = [
            operand.numbers for each in step.operands if isinstance(operand := self._operand(each, step), Constant)
        ]
        with np.errstate(all="ignore"):
            if isinstance(step.kind, Op):
                return np.broadcast_to(step.kind.forward(NUMPY, *operands), step.outer)
            terms = np.broadcast_to(np.multiply(*operands) if step.kind == "dot" else operands[0], step.sizes)
            if not step.inner:
                return terms  # gathered
            terms = terms.reshape(*step.outer, -1)
            found: Array = np.logaddexp.reduce(terms, -1) if step.kind == "logsumexp" else terms.sum(-1)
            return found

    # The others

    def _result(self, step: Step) -> Tensor:
        if isinstance(step.kind, Op):
            return self._row(step, step.kind)
        if step.kind == "dot":
            return self._product(step)
        operand = self._operand(step.operands[0], step)
        if step.kind == "gather":
            return operand
        terms = self._views.spread(operand, step.sizes)
        axes = range(1 + len(step.outer), 1 + len(step.sizes))
        if step.kind == "sum":
            return self._graph.add_node("ReduceSum", [terms, integers(axes, "axes")], step.outer, keepdims=0)
        return self._graph.add_node("ReduceLogSumExp", [terms], step.outer, axes=[*axes], keepdims=0)

    def _row(self, step: Step, op: Op) -> Tensor:
        try:
            formula = simplified(formula_of(op), known(step))
        except NotWritableError as error:
            raise ValueError(f"to_onnx: expected rules that are formulas, got {error}") from None
        operands = [self._operand(operand, step) for operand in step.operands]
        return FormulaWriter(self._graph, dict(zip("xy", operands, strict=False))).write(formula)

    def _product(self, step: Step) -> Samples:
        """Products of two operands, of which one at least differs from sample to sample, summed over the inner axes."""
        views = [operand for operand in step.operands if isinstance(operand, View)]
        views.sort(key=lambda view: not self._program.has_batch_axis(view.buffer))
        left, right = (factor_of(self._program, view) for view in views)
        in_either = {*left.axes(), *right.axes()}
        wanted = [BATCH, *(axis for axis in range(len(step.outer)) if axis in in_either)]
        found = plan(left, right, wanted, step.sizes)
        samples, table = (self._without_repetition(view, step) for view in views)
        if _is_matrix_product(found, wanted) and isinstance(table, Constant):
            product = self._matrix_product(samples, table, found, step)
        else:
            einsum = Plan("einsum", tuple(sorted(left.axes())), tuple(sorted(right.axes())), tuple(wanted))
            sizes = tuple(step.sizes[axis] for axis in wanted[1:])
            product = self._graph.add_node("Einsum", [samples, table], sizes, equation=einsum.subscripts())
        times = prod(size for axis, size in enumerate(step.sizes) if axis >= len(step.outer) and axis not in in_either)
        if times > 1:
            product = self._graph.add_lanes("Mul", [product, Constant(np.array(float(times)))])
        return self._views.reshaped(
            product, tuple(size if axis in in_either else 1 for axis, size in enumerate(step.outer))
        )

    def _matrix_product(self, samples: Tensor, table: Constant, found: Plan, step: Step) -> Samples:
        """Rows of samples times a matrix with a column for each result: the weights of a layer, the other way round."""
        middle = found.right[-2]
        assert middle is not None
        weights = Constant(table.numbers.reshape(-1, step.sizes[middle]).T, f"{table.name}.T")
        rows = tuple(step.sizes[axis] for axis in found.result[:-2] if axis is not None)
        return self._graph.add_node("MatMul", [samples, weights], (*rows, weights.sizes[1]))

    def _without_repetition(self, operand: View, step: Step) -> Tensor:
        """On the axes over which it does not repeat."""
        sizes = tuple(size for size, stride in zip(step.sizes, operand.strides, strict=True) if stride)
        return self._tensor(operand.buffer, operand.rows(step.sizes), sizes)


def _is_matrix_product(found: Plan, wanted: list[int]) -> bool:
    """Whether samples, on any axes, are multiplied by one matrix, and the results have the axes in their order."""
    if found.function != "matmul" or found.summed or any(axis is not None for axis in found.right[:-2]):
        return False
    return [axis for axis in (BATCH, *found.result[:-2], found.result[-1]) if axis is not None] == wanted


def _with_an_axis(step: Step) -> Step:
    """The same for a step without axes: a tensor has one, though it be of size 1."""
    if step.outer:
        return step
    operands = tuple(
        replace(operand, strides=(0, *operand.strides)) if isinstance(operand, View) else operand
        for operand in step.operands
    )
    return replace(step, operands=operands, sizes=(1, *step.sizes))

"""The way back as NumPy source code: each step passes the derivatives by its results on to its operands."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from autograd_mini.compiled.arrays import Arrays
from autograd_mini.compiled.contraction import BATCH, Factor
from autograd_mini.compiled.derivatives import Derivatives
from autograd_mini.compiled.formulas import simplified
from autograd_mini.compiled.program import Operand, Program, Rows, Step, View
from autograd_mini.compiled.row_formulas import DIVISORS, PARTIALS, formulas_of, known
from autograd_mini.compiled.statements import add_line, formula_lines, product_lines, reduce_line, rule_call
from autograd_mini.ops import MUL, Op
from autograd_mini.source_code import Expression


@dataclass(frozen=True)
class Slope:
    """The derivative of an operation by an operand: an array, if it has one, times a number."""

    array: Factor | None = None
    number: float = 1.0
    is_inverse: bool = False
    """Whether the array is one over the derivative."""


@dataclass
class Share:
    """What is to be added to the derivatives by an operand: the product of arrays and numbers."""

    arrays: list[Factor]
    numbers: list[str]
    function: str = "multiply"
    """What is done with two arrays: "multiply", or "divide" for the first by the second."""


class ReverseSource:
    """The statements that compute the derivatives of a program's first output.

    weights: of each log-sum-exp, by its place among the steps, the derivatives by its terms.
    """

    def __init__(
        self, program: Program, arrays: Arrays, derivatives: Derivatives, weights: Mapping[int, Factor]
    ) -> None:
        self.lines = derivatives.lines
        self._arrays, self._derivatives = arrays, derivatives
        self._program = program
        derivatives.seed(*program.outputs[0])
        for place in range(len(program.steps) - 1, -1, -1):
            step = program.steps[place]
            arrays.begin(step)
            upstream = derivatives.by_results(step)
            if upstream is not None:
                self._reverse(step, upstream, weights.get(place))
        derivatives.complete()

    # The rules

    def _reverse(self, step: Step, upstream: Factor | str, weights: Factor | None) -> None:
        if isinstance(step.kind, Op):
            self._row(step, step.kind, upstream)
        elif step.kind == "gather":
            self._scatter(step, upstream)
        elif step.kind == "dot":
            self._product(step, upstream)
        elif step.kind in ("sum", "logsumexp"):
            self._pass_on(step, step.operands[0], upstream, Slope(weights))
        elif step.kind == "where":
            self._where(step, upstream)

    def _scatter(self, step: Step, upstream: Factor | str) -> None:
        (operand,) = step.operands
        assert isinstance(operand, Rows)
        self._derivatives.zero(operand.buffer, np.unique(operand.rows))
        if isinstance(upstream, str):
            array = self._arrays.view(self._arrays.work(step.outer, step.is_batched), step.outer)
            self.lines.append(f"copyto({array}, {upstream})")
        else:
            array = self._arrays.view(upstream, step.outer)
        scatter = self._arrays.add_object("scatter", operand.rows)
        self.lines.append(f"{scatter}({self._arrays.gradient_name(operand.buffer)}, {array})")

    def _product(self, step: Step, upstream: Factor | str) -> None:
        left, right = step.operands
        if left == right:
            self._pass_on(step, left, upstream, Slope(self._arrays.factor(right), 2.0))
        else:
            self._pass_on(step, left, upstream, Slope(self._arrays.factor(right)))
            self._pass_on(step, right, upstream, Slope(self._arrays.factor(left)))

    def _where(self, step: Step, upstream: Factor | str) -> None:
        arrays = self._arrays
        condition = arrays.operand_texts(step)["x"]
        for side, operand in enumerate(step.operands[1:]):
            if not self._derivatives.is_needed(operand, step):
                continue
            mask = arrays.view(arrays.work(step.outer, step.is_batched, is_condition=True), step.outer)
            chosen = arrays.work(step.outer, step.is_batched)
            view = arrays.view(chosen, step.outer)
            array = upstream if isinstance(upstream, str) else arrays.view(upstream, step.outer)
            self.lines.append(f"{('greater', 'less_equal')[side]}({condition}, 0.5, {mask})")
            self.lines.append(f"copyto({view}, 0.0)")
            self.lines.append(f"copyto({view}, {array}, where={mask})")
            self._pass_on(step, operand, chosen, Slope())

    def _row(self, step: Step, op: Op, upstream: Factor | str) -> None:
        if op is MUL and step.operands[0] == step.operands[1]:
            self._product(step, upstream)
            return
        names = self._arrays.operand_texts(step)
        names = {"out": self._arrays.view(self._arrays.result(step), step.outer), **names}
        sides = [side for side, operand in enumerate(step.operands) if self._derivatives.is_needed(operand, step)]
        if isinstance(upstream, Factor):  # what may overwrite the derivatives by the result comes last
            sides.sort(key=lambda side: self._derivatives.are_like(step.operands[side], upstream, step))
        for side in sides:
            slope = self._slope(step, op, side, names)
            self._pass_on(step, step.operands[side], upstream, slope, is_last=side == sides[-1])

    def _slope(self, step: Step, op: Op, side: int, names: dict[str, str]) -> Slope:
        arrays = self._arrays
        found = formulas_of(op)
        lines = PARTIALS.get(op) or DIVISORS.get(op)
        formula = simplified(found[1][side], known(step)) if found is not None and lines is None else None
        if formula is not None and formula.kind == "number":
            return Slope(None, _content(formula))
        number = 1.0
        if formula is not None and formula.kind == "*" and formula.operands[0].kind == "number":
            number, formula = _content(formula.operands[0]), formula.operands[1]
        if formula is not None and formula.kind == "name":
            letter = str(formula.content)
            factor = arrays.result(step) if letter == "out" else arrays.factor(step.operands["xy".index(letter)])
            return Slope(factor, number)
        array = arrays.work(step.outer, step.is_batched)
        target = arrays.view(array, step.outer)
        if lines is not None:
            self.lines += [line.format(target=target, **names) for line in lines]
        elif formula is not None:
            self.lines += formula_lines(arrays, formula, names, step, target)
        else:
            self.lines.append(f"copyto({target}, {rule_call(arrays, op.partials[side], names, step)})")
        return Slope(array, number, op in DIVISORS)

    # Passing on

    def _pass_on(
        self, step: Step, operand: Operand, upstream: Factor | str, slope: Slope, is_last: bool = True
    ) -> None:
        """Add upstream · slope to the derivatives by an operand, summed over what it is repeated on.

        is_last: whether it is the last operand that needs upstream.
        """
        if not isinstance(operand, View) or not self._derivatives.is_needed(operand, step):
            return
        numbers = [upstream] if isinstance(upstream, str) else []
        if slope.number != 1.0:
            numbers.append(repr(slope.number))
        factors = [each for each in (upstream, slope.array) if isinstance(each, Factor)]
        if not factors:
            self._add_number(step, operand, numbers)
            return
        is_whole = all(operand.strides) and (not step.is_batched or self._program.has_batch_axis(operand.buffer))
        share = Share(factors, numbers)
        if slope.is_inverse and is_whole and not numbers:
            share.function = "divide"
        elif slope.is_inverse:
            inverse = self._arrays.view(factors[-1], step.sizes)
            self.lines.append(f"divide(1.0, {inverse}, {inverse})")
        if is_whole and isinstance(upstream, Factor):
            if factors == [upstream] and not numbers and self._derivatives.are_like(operand, upstream, step):
                self._derivatives.share(operand, upstream, step)
                return
            if is_last:
                self._derivatives.take_place(operand, upstream, step)
        for piece, target, parts in _injective(step, operand, factors):
            self._accumulate(piece, target, replace(share, arrays=parts))

    def _add_number(self, step: Step, operand: View, numbers: list[str]) -> None:
        """Add the product of numbers, which is the same for all, to the derivatives by an operand."""
        times = math.prod(size for size, stride in zip(step.sizes, operand.strides, strict=True) if not stride)
        is_summed = step.is_batched and not self._program.has_batch_axis(operand.buffer)
        number = " * ".join([*numbers, *[str(times)] * (times > 1), *["batch"] * is_summed])
        if self._derivatives.set_number(operand, step, number):
            return
        for piece, target, _ in _injective(step, operand, []):
            is_first = self._derivatives.is_first(target, piece)
            view = self._arrays.view(self._derivatives.by_operand(target), piece.sizes)
            self.lines.append(add_line(view, number, is_first))

    def _accumulate(self, step: Step, operand: View, share: Share) -> None:
        """Add a share to the derivatives by an operand that shows no row twice, or be the first to."""
        is_first = self._derivatives.is_first(operand, step)
        target = self._derivatives.by_operand(operand)
        is_repeated = not all(operand.strides) or (step.is_batched and not target.has_batch)
        if len(share.arrays) == 2 and share.numbers:
            smaller = 0 if is_repeated else min((0, 1), key=lambda side: _size(share.arrays[side], step))
            share.arrays[smaller] = self._multiplied(share.arrays[smaller], " * ".join(share.numbers), step)
            share.numbers = []
        if len(share.arrays) == 2 and is_repeated:
            left, right = share.arrays
            self.lines += product_lines(self._arrays, left, right, target, step.sizes, is_first)
        elif is_repeated:
            self._add_sum(step, target, share, is_first)
        else:
            terms = [self._arrays.view(factor, step.sizes) for factor in share.arrays]
            self._add(step, target, [*terms, *_product(share.numbers)], is_first, share.function)

    def _multiplied(self, factor: Factor, number: str, step: Step) -> Factor:
        """A factor times a number."""
        axes = factor.axes()
        array = self._arrays.work_on(axes, step.sizes)
        before, after = (self._arrays.view(each, step.sizes, axes) for each in (factor, array))
        self.lines.append(f"multiply({before}, {number}, {after})")
        return array

    def _add_sum(self, step: Step, target: Factor, share: Share, is_first: bool) -> None:
        """Add one array, summed over the axes that the target lacks, times numbers."""
        arrays = self._arrays
        (factor,) = share.arrays
        kept, own = target.axes(), factor.axes()
        lost = [axis for axis in [*range(len(step.sizes)), *([BATCH] if step.is_batched else [])] if axis not in kept]
        times = ["batch" if axis == BATCH else str(step.sizes[axis]) for axis in lost if axis not in own]
        numbers = _product([*share.numbers, *times])
        over = [axis for axis in lost if axis in own]
        left = [axis for axis in kept if axis in own]
        if over:
            is_all = is_first and not numbers and left == kept
            total = target if is_all else arrays.work_on(left, step.sizes)
            array, out = arrays.view(factor, step.sizes, own), arrays.view(total, step.sizes, left)
            is_batch = over == [BATCH]
            places = tuple(map(own.index, over))
            self.lines.append(f"matmul({array}, ones, {out})" if is_batch else reduce_line(array, places, out))
            if is_all:
                return
            factor = total
        self._add(step, target, [arrays.view(factor, step.sizes, kept), *numbers], is_first)

    def _add(self, step: Step, target: Factor, terms: list[str], is_first: bool, function: str = "multiply") -> None:
        """Add a product of one or two, on the target's axes."""
        arrays, axes = self._arrays, target.axes()
        view = arrays.view(target, step.sizes, axes)
        if len(terms) == 1:
            self.lines.append(add_line(view, terms[0], is_first))
        elif terms[1] == "-1.0":
            self.lines.append(f"negative({terms[0]}, {view})" if is_first else f"subtract({view}, {terms[0]}, {view})")
        elif is_first:
            self.lines.append(f"{function}({terms[0]}, {terms[1]}, {view})")
        else:
            array = arrays.view(arrays.work_on(axes, step.sizes), step.sizes, axes)
            self.lines.append(f"{function}({terms[0]}, {terms[1]}, {array})")
            self.lines.append(add_line(view, array, is_first))


def _injective(step: Step, operand: View, factors: list[Factor]) -> Iterator[tuple[Step, View, list[Factor]]]:
    """The operand as views of which none shows a row twice, such as the windows of a convolution one by one."""
    rows = operand.rows(step.sizes)
    if len(np.unique(rows)) == len(rows):
        yield step, operand, factors
        return
    axis = min((each for each, stride in enumerate(operand.strides) if stride), key=lambda each: step.sizes[each])
    part = replace(step, sizes=_without(step.sizes, axis), inner=step.inner - (axis >= len(step.outer)))
    for place in range(step.sizes[axis]):
        start = operand.start + place * operand.strides[axis]
        shown = View(operand.buffer, start, _without(operand.strides, axis))
        yield from _injective(part, shown, [factor.at(axis, place) for factor in factors])


def _without(numbers: tuple[int, ...], place: int) -> tuple[int, ...]:
    return (*numbers[:place], *numbers[place + 1 :])


def _size(factor: Factor, step: Step) -> int:
    """How many numbers it holds, a sample."""
    return math.prod(step.sizes[axis] for axis in factor.axes() if axis != BATCH)


def _product(numbers: list[str]) -> list[str]:
    return [" * ".join(numbers)] if numbers else []


def _content(formula: Expression) -> float:
    assert isinstance(formula.content, float)
    return formula.content

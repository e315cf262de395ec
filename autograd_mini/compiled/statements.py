"""Statements for what several kinds of steps need: formulas, and products that are summed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_mini.compiled.arrays import Arrays
from autograd_mini.compiled.contraction import BATCH, Factor, plan
from autograd_mini.compiled.formulas import Writer
from autograd_mini.compiled.program import Step
from autograd_mini.compiled.row_formulas import known
from autograd_mini.source_code import Expression


def formula_lines(arrays: Arrays, formula: Expression, names: dict[str, str], step: Step, target: str) -> list[str]:
    """target = a simplified formula, lane by lane, of what has these names."""

    def new_array(is_condition: bool) -> str:
        return arrays.view(arrays.work(step.outer, step.is_batched, is_condition), step.outer)

    writer = Writer(names, new_array)
    writer.write(formula, target)
    return writer.lines


def rule_call(arrays: Arrays, rule: Callable[..., Any], names: dict[str, str], step: Step) -> str:
    """The call of a rule that is no formula, of what has these names."""
    # Python's own numbers would raise where IEEE 754 has an infinity.
    numbers = {letter: arrays.add_object("number", np.float64(number)) for letter, number in known(step).items()}
    return f"{arrays.add_object('rule', rule)}(NUMPY, {', '.join({**names, **numbers}.values())})"


def product_lines(
    arrays: Arrays, left: Factor, right: Factor, target: Factor, sizes: tuple[int, ...], is_first: bool
) -> list[str]:
    """target = Σ left · right over the axes that the target lacks, or target += …"""
    wanted = target.axes()
    if BATCH in wanted and BATCH not in right.axes():
        left, right = right, left  # a matrix times samples, so that these are its columns
    available = {*left.axes(), *right.axes()}
    found = plan(left, right, [axis for axis in wanted if axis in available], sizes)
    times = math.prod(size for axis, size in enumerate(sizes) if axis not in available and axis not in wanted)
    is_spread = not available.issuperset(wanted)
    may_write = is_first and not is_spread
    own = target if may_write and not found.summed else arrays.work_on(found.result, sizes)
    out = arrays.view(own, sizes, found.result)
    operands = f"{arrays.view(left, sizes, found.left)}, {arrays.view(right, sizes, found.right)}"
    if found.function == "einsum":
        lines = [f'einsum("{found.subscripts()}", {operands}, out={out})']
    else:
        lines = [f"{found.function}({operands}, {out})"]
    rest = found.result[found.summed :]
    if found.summed:
        own = target if may_write else arrays.work_on(rest, sizes)
        layers, out = out, arrays.view(own, sizes, rest)
        lines.append(reduce_line(layers, tuple(range(found.summed)), out))
    if times > 1:
        lines.append(f"multiply({out}, {times}, {out})")
    if own is target:
        return lines
    axes = wanted if is_spread else rest
    out, destination = arrays.view(own, sizes, axes), arrays.view(target, sizes, axes)
    return [*lines, add_line(destination, out, is_first)]


def add_line(target: str, term: str, is_first: bool) -> str:
    """target += term, or where nothing was added yet, target = term."""
    return f"copyto({target}, {term})" if is_first else f"add({target}, {term}, {target})"


def reduce_line(array: str, axes: tuple[int, ...], target: str) -> str:
    """target = the array summed over axes."""
    return f"add.reduce({array}, {axes[0] if len(axes) == 1 else axes}, None, {target})"

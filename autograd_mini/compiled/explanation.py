"""A compiled computation in words: its steps, and what the passes made of what was recorded."""

import math
from collections.abc import Iterator

from autograd_mini.compiled.contraction import BATCH, factor_of, plan
from autograd_mini.compiled.executors import PASSES
from autograd_mini.compiled.lift import levels, split, views
from autograd_mini.compiled.program import Program, Step, View
from autograd_mini.compiled.scalars import Scalars

MOST_LINES = 400
"""Longer programs are cut."""


def explanation(scalars: Scalars, is_batched: tuple[bool, ...], executor: str, passes: bool) -> str:
    """The text of `CompiledGraph.explain`."""
    stages: list[tuple[str, str]] = [("recorded", str(scalars))]
    for name, each in PASSES:
        scalars = each(scalars)
        stages.append((f"after {name}", str(scalars)))
    program = levels(split(scalars, is_batched), is_batched)
    stages.append(("levels", str(program)))
    program = views(program)
    steps = "\n".join(_lines(program))
    if passes:
        return "\n\n".join(f"# {title}\n{_cut(text)}" for title, text in [*stages, ("program", steps)])
    return f"{_summary(program, executor)}\n{_cut(steps)}"


def _summary(program: Program, executor: str) -> str:
    products = sum("matrix product" in line for line in _lines(program))
    return f"{len(program.steps)} steps, {products} of them matrix products; run by: {executor}"


def _cut(text: str) -> str:
    lines = text.splitlines()
    if len(lines) <= MOST_LINES:
        return text
    return "\n".join([*lines[:MOST_LINES], f"… {len(lines) - MOST_LINES} lines more"])


def _lines(program: Program) -> Iterator[str]:
    described = str(program).splitlines()
    width = max(map(len, described), default=0)
    for line, step in zip(described, program.steps, strict=False):
        yield f"{line:{min(width, 90)}}  {_what(program, step)}".rstrip()
    yield described[-1]


def _what(program: Program, step: Step) -> str:
    if step.kind != "dot":
        return ""
    left, right = (factor_of(program, operand) for operand in step.operands if isinstance(operand, View))
    if BATCH in left.axes() and BATCH not in right.axes():
        left, right = right, left
    wanted = [*range(len(step.outer)), *([BATCH] if step.is_batched else [])]
    found = plan(left, right, [axis for axis in wanted if axis in {*left.axes(), *right.axes()}], step.sizes)
    terms = math.prod(step.sizes[len(step.outer) :])
    if found.function == "matmul":
        rows, columns = (
            "batch" if axis == BATCH else str(step.sizes[axis]) if axis is not None else "1"
            for axis in found.result[-2:]
        )
        layers = math.prod(step.sizes[axis] for axis in found.result[:-2] if axis is not None)
        times = f"{layers} times " if layers > 1 else ""
        return f"# {times}matrix product, {rows} × {terms} by {terms} × {columns}"
    if found.function == "dot":
        return f"# matrix product, 1 × {terms} by {terms} × 1"
    return f"# products summed, {terms} terms"

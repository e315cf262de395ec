"""A program and its reverse as NumPy source code: straight-line statements that write into buffers that are there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autograd_mini.compiled.arrays import Arrays
from autograd_mini.compiled.derivatives import Derivatives
from autograd_mini.compiled.forward_source import ForwardSource
from autograd_mini.compiled.program import Program
from autograd_mini.compiled.reverse_source import ReverseSource
from autograd_mini.compiled.uses import Uses


@dataclass(frozen=True)
class Source:
    """Source code, and what it runs on."""

    text: str
    objects: dict[str, Any]
    """What it names."""
    rows: tuple[int, int]
    """How many rows the buffers of unbatched and of batched results have, with what is kept for the way back."""
    work_rows: tuple[int, int]
    """How many rows the working arrays have, of shared numbers and of numbers a sample;"""
    work_arrays: int
    """and how many there are of each kind."""


def numpy_source(program: Program, wanted: Sequence[int]) -> Source:
    """The source of a program, and of the derivatives of its first output by the groups `wanted`."""
    uses = Uses(program)
    arrays = Arrays(program, wanted, uses.shared_places(program))
    forward = ForwardSource(program, arrays)
    derivatives = Derivatives(program, wanted, arrays, uses)
    backward = ReverseSource(program, arrays, derivatives, forward.weights)
    lines = [f"def prepare({', '.join(arrays.parameters)}):", *_indented(arrays.setup)]
    for group, bind in enumerate(arrays.binds):
        name, function = arrays.names[group], arrays.bind_name(group)
        variables = [line.partition(" = ")[0] for line in bind]
        lines += _indented([f"{variable} = None" for variable in variables])
        body = [f"nonlocal {', '.join(variables)}", *bind] if bind else ["pass"]
        lines += ["", *_indented([f"def {function}({name}):", *_indented(body)])]
    lines += ["", *_indented(["def forward():", *_indented(forward.lines or ["pass"])])]
    lines += ["", *_indented(["def backward(seed):", *_indented(backward.lines or ["pass"])])]
    binds = ", ".join(arrays.bind_name(group) for group in range(len(arrays.binds)))
    lines += ["", f"    return forward, backward, [{binds}]", ""]
    return Source(
        "\n".join(lines),
        arrays.objects,
        (arrays.rows[program.unbatched_buffer], arrays.rows[program.batched_buffer]),
        (
            max([1, *(math.prod(step.sizes) for step in program.steps)]),
            max([1, *(math.prod(step.sizes) for step in program.steps if step.is_batched)]),
        ),
        arrays.work_arrays,
    )


def _indented(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]

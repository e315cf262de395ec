"""The loops of the tape: plain Python that numba compiles, see `tape.py`.

They stand in one file and call none of ours: numba compiles a function again when its own file has changed, no other.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# `make functions` writes what stands between the marks; edit the row in ops.py instead.
# [[[cog
# import runpy  # not from the package, which may not import while this is being written
# table = runpy.run_path("autograd_mini/ops.py")
# source = runpy.run_path("autograd_mini/source_code.py")
# rows, arithmetic = table["TABLE"], table["arithmetic"]
# cog.outl("KINDS = (")
# for kind in source["tape_kinds"](rows):
#     cog.outl(f'    "{kind}",')
# cog.outl(")")
# ]]]
KINDS = (
    "where",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "add",
    "sub",
    "mul",
    "div",
    "neg",
    "pow",
    "abs",
    "exp",
    "log",
    "log1p",
    "expm1",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "tanh",
    "sigmoid",
    "softplus",
    "logaddexp",
    "relu",
    "leaky_relu",
    "maximum",
    "minimum",
    "erf",
    "erfc",
    "gelu",
)
# [[[end]]]
"""What an operation may be, by number: a choice, a condition (1 or 0), or a row of the table."""

WHERE = KINDS.index("where")
LAST_CONDITION = KINDS.index("and")


def arrange(
    kinds: Array, starts: Array, operands: Array, is_wanted: Array, n_constants: int, root: int
) -> tuple[Array, Array, Array, int, int]:
    """The operations in the order of the tape, and where every leaf, constant and operation stands among its values.

    Operation k is of kind kinds[k] (int64) on operands[starts[k] : starts[k + 1]] (int64), numbered as in `Scalars`.
    is_wanted says of each leaf whether root is to be differentiated by it.

    Returns codes (uint8), 4 * kind + which operands have a wanted derivative (bits 0 and 1); the operands (uint32);
    the place of each leaf and operation (int64); how many operations come first, as they depend on nothing that is
    wanted; and how many root needs at all: the others come last. The values are leaves, constants, operations.
    """
    n_leaves, n_operations = len(is_wanted), len(kinds)
    depends = np.zeros(n_leaves + n_operations, np.bool_)
    depends[:n_leaves] = is_wanted
    codes = 4 * kinds
    for number in range(n_operations):
        kind = kinds[number]
        first = starts[number] + 1 if kind == WHERE else starts[number]
        is_condition = WHERE < kind <= LAST_CONDITION  # constant but for jumps, yet it comes after what it compares
        for place in range(starts[number], starts[number + 1]):
            operand = operands[place]
            if operand >= 0 and depends[operand]:
                depends[n_leaves + number] = True
                if place >= first and not is_condition:
                    codes[number] |= 1 << (place - first)

    is_needed = np.zeros(n_leaves + n_operations, np.bool_)
    if root >= 0:
        is_needed[root] = True
    for number in range(n_operations - 1, -1, -1):
        if is_needed[n_leaves + number]:
            for place in range(starts[number], starts[number + 1]):
                if operands[place] >= 0:
                    is_needed[operands[place]] = True

    order = np.empty(n_operations, np.int64)
    ends = np.zeros(3, np.int64)  # of those without a wanted derivative, of those that root needs, of all
    filled = 0
    for turn in range(3):
        for number in range(n_operations):
            result = n_leaves + number
            if turn == (int(depends[result]) if is_needed[result] else 2):
                order[filled] = number
                filled += 1
        ends[turn] = filled

    places = np.arange(n_leaves + n_operations)
    for new in range(n_operations):
        places[n_leaves + order[new]] = n_leaves + n_constants + new
    new_codes = np.empty(n_operations, np.uint8)
    new_operands = np.empty(len(operands), np.uint32)
    filled = 0
    for new in range(n_operations):
        number = order[new]
        new_codes[new] = codes[number]
        for place in range(starts[number], starts[number + 1]):
            operand = operands[place]
            new_operands[filled] = places[operand] if operand >= 0 else n_leaves + ~operand
            filled += 1
    return new_codes, new_operands, places, ends[0], ends[1]


def run(
    codes: Array,
    operands: Array,
    stop: int,
    first_wanted: int,
    values: Array,
    adjoints: Array,
    batched: Array,
    samples: Array,
    outputs: Array,
    results: Array,
    seed: float,
    gradients: Array,
    sums: Array,
) -> None:
    """The first `stop` operations for each of the samples, and unless `adjoints` is empty, the derivatives.

    values: leaves, constants and room for the operations; sample b puts samples[b] (B, K) at the places `batched` (K,).
    results (B, M): the values at the places `outputs` (M,). adjoints: a zero for each of the values, or what the last
    run with these outputs left there. gradients (B, K): seed times the derivatives of the first output by what is
    batched. To sums (L,) those by every other leaf are added, sample after sample.
    """
    first = len(values) - len(codes)
    for sample in range(len(samples)):
        for column in range(len(batched)):
            values[batched[column]] = samples[sample, column]

        place = 0
        for number in range(stop):
            kind = codes[number] >> 2
            # [[[cog cog.outl(source["tape_forward"](rows, arithmetic)) ]]]
            if kind == 0:  # where
                condition = values[operands[place]]
                x = values[operands[place + 1]]
                y = values[operands[place + 2]]
                place += 3
                data = x if condition > 0.0 else y
            elif kind == 1:  # <
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = 1.0 if x < y else 0.0
            elif kind == 2:  # <=
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = 1.0 if x <= y else 0.0
            elif kind == 3:  # >
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = 1.0 if x > y else 0.0
            elif kind == 4:  # >=
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = 1.0 if x >= y else 0.0
            elif kind == 5:  # and
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = 1.0 if x > 0.0 and y > 0.0 else 0.0
            elif kind == 6:  # add
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = x + y
            elif kind == 7:  # sub
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = x - y
            elif kind == 8:  # mul
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = x * y
            elif kind == 9:  # div
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = x / y
            elif kind == 10:  # neg
                x = values[operands[place]]
                place += 1
                data = -x
            elif kind == 11:  # pow
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = math.pow(x, y)
            elif kind == 12:  # abs
                x = values[operands[place]]
                place += 1
                data = abs(x)
            elif kind == 13:  # exp
                x = values[operands[place]]
                place += 1
                data = math.exp(x)
            elif kind == 14:  # log
                x = values[operands[place]]
                place += 1
                data = math.log(x)
            elif kind == 15:  # log1p
                x = values[operands[place]]
                place += 1
                data = math.log1p(x)
            elif kind == 16:  # expm1
                x = values[operands[place]]
                place += 1
                data = math.expm1(x)
            elif kind == 17:  # sqrt
                x = values[operands[place]]
                place += 1
                data = math.sqrt(x)
            elif kind == 18:  # sin
                x = values[operands[place]]
                place += 1
                data = math.sin(x)
            elif kind == 19:  # cos
                x = values[operands[place]]
                place += 1
                data = math.cos(x)
            elif kind == 20:  # tan
                x = values[operands[place]]
                place += 1
                data = math.tan(x)
            elif kind == 21:  # tanh
                x = values[operands[place]]
                place += 1
                data = math.tanh(x)
            elif kind == 22:  # sigmoid
                x = values[operands[place]]
                place += 1
                part_1 = math.exp(-abs(x))
                data = (1.0 if x >= 0.0 else part_1) / (1.0 + part_1)
            elif kind == 23:  # softplus
                x = values[operands[place]]
                place += 1
                data = (x if x > 0.0 else 0.0) + math.log1p(math.exp(-abs(x)))
            elif kind == 24:  # logaddexp
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = (x if x > y else (y if y >= x else math.nan)) + math.log1p(
                    math.exp(-(0.0 if x <= y and x >= y else abs(x - y)))
                )
            elif kind == 25:  # relu
                x = values[operands[place]]
                place += 1
                data = 0.0 if x <= 0.0 else x
            elif kind == 26:  # leaky_relu
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = y * x if x <= 0.0 else x
            elif kind == 27:  # maximum
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = x if x > y else (y if y >= x else math.nan)
            elif kind == 28:  # minimum
                x = values[operands[place]]
                y = values[operands[place + 1]]
                place += 2
                data = x if x < y else (y if y <= x else math.nan)
            elif kind == 29:  # erf
                x = values[operands[place]]
                place += 1
                data = math.erf(x)
            elif kind == 30:  # erfc
                x = values[operands[place]]
                place += 1
                data = math.erfc(x)
            elif kind == 31:  # gelu
                x = values[operands[place]]
                place += 1
                data = x * (0.5 * math.erfc(-x * 0.7071067811865476))
            # [[[end]]]
            values[first + number] = data

        for column in range(len(outputs)):
            results[sample, column] = values[outputs[column]]
        if len(adjoints) == 0:
            continue

        adjoints[outputs[0]] = seed
        for number in range(stop - 1, first_wanted - 1, -1):
            kind = codes[number] >> 2
            wanted = codes[number] & 3
            data = values[first + number]
            gradient = adjoints[first + number]
            adjoints[first + number] = 0.0
            # [[[cog cog.outl(source["tape_backward"](rows, arithmetic)) ]]]
            if kind == 0:  # where
                place -= 3
                if values[operands[place]] > 0.0:
                    if wanted & 1:
                        adjoints[operands[place + 1]] += gradient
                else:
                    if wanted & 2:
                        adjoints[operands[place + 2]] += gradient
            elif kind == 6:  # add
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * 1.0
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * 1.0
            elif kind == 7:  # sub
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * 1.0
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * -1.0
            elif kind == 8:  # mul
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * y
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * x
            elif kind == 9:  # div
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * (1.0 / y)
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * (-data / y)
            elif kind == 10:  # neg
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * -1.0
            elif kind == 11:  # pow
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * (
                        0.0 if y <= 0.0 and y >= 0.0 and abs(x) < 1e-300 else y * math.pow(x, y - 1.0)
                    )
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * (
                        0.0 if x <= 0.0 and x >= 0.0 and y >= 0.0 else data * math.log(x)
                    )
            elif kind == 12:  # abs
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (1.0 if x > 0.0 else (-1.0 if x < 0.0 else 0.0 * x))
            elif kind == 13:  # exp
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * data
            elif kind == 14:  # log
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (1.0 / x)
            elif kind == 15:  # log1p
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (1.0 / (1.0 + x))
            elif kind == 16:  # expm1
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * math.exp(x)
            elif kind == 17:  # sqrt
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (0.5 / data)
            elif kind == 18:  # sin
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * math.cos(x)
            elif kind == 19:  # cos
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * -math.sin(x)
            elif kind == 20:  # tan
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (1.0 + data * data)
            elif kind == 21:  # tanh
                place -= 1
                x = values[operands[place]]
                part_1 = math.exp(-abs(2.0 * x))
                part_2 = math.exp(-abs(-2.0 * x))
                adjoints[operands[place]] += gradient * (
                    4.0
                    * ((1.0 if 2.0 * x >= 0.0 else part_1) / (1.0 + part_1))
                    * ((1.0 if -2.0 * x >= 0.0 else part_2) / (1.0 + part_2))
                )
            elif kind == 22:  # sigmoid
                place -= 1
                x = values[operands[place]]
                part_1 = math.exp(-abs(-x))
                adjoints[operands[place]] += gradient * (data * ((1.0 if -x >= 0.0 else part_1) / (1.0 + part_1)))
            elif kind == 23:  # softplus
                place -= 1
                x = values[operands[place]]
                part_1 = math.exp(-abs(x))
                adjoints[operands[place]] += gradient * ((1.0 if x >= 0.0 else part_1) / (1.0 + part_1))
            elif kind == 24:  # logaddexp
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    part_1 = math.exp(-abs(x - y))
                    adjoints[operands[place]] += gradient * (
                        0.5
                        if x <= y and x >= y and abs(x) >= math.inf
                        else (1.0 if x - y >= 0.0 else part_1) / (1.0 + part_1)
                    )
                if wanted & 2:
                    part_1 = math.exp(-abs(y - x))
                    adjoints[operands[place + 1]] += gradient * (
                        0.5
                        if y <= x and y >= x and abs(y) >= math.inf
                        else (1.0 if y - x >= 0.0 else part_1) / (1.0 + part_1)
                    )
            elif kind == 25:  # relu
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (1.0 if x > 0.0 else 0.0 * data)
            elif kind == 26:  # leaky_relu
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * (y if x <= 0.0 else (1.0 if x > 0.0 else x))
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * (0.0 if x > 0.0 else x)
            elif kind == 27:  # maximum
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * (
                        1.0 if x > y else (0.0 if x < y else (0.5 if x >= y else math.nan))
                    )
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * (
                        1.0 if y > x else (0.0 if y < x else (0.5 if y >= x else math.nan))
                    )
            elif kind == 28:  # minimum
                place -= 2
                x = values[operands[place]]
                y = values[operands[place + 1]]
                if wanted & 1:
                    adjoints[operands[place]] += gradient * (
                        1.0 if y > x else (0.0 if y < x else (0.5 if y >= x else math.nan))
                    )
                if wanted & 2:
                    adjoints[operands[place + 1]] += gradient * (
                        1.0 if x > y else (0.0 if x < y else (0.5 if x >= y else math.nan))
                    )
            elif kind == 29:  # erf
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (1.1283791670955126 * math.exp(-x * x))
            elif kind == 30:  # erfc
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (-1.1283791670955126 * math.exp(-x * x))
            elif kind == 31:  # gelu
                place -= 1
                x = values[operands[place]]
                adjoints[operands[place]] += gradient * (
                    0.5 * math.erfc(-x * 0.7071067811865476) + x * math.exp(-0.5 * x * x) / 2.5066282746310002
                )
            else:  # a condition has none
                place -= 2
            # [[[end]]]

        for column in range(len(batched)):
            gradients[sample, column] = adjoints[batched[column]]
            adjoints[batched[column]] = 0.0
        for leaf in range(len(sums)):
            sums[leaf] += adjoints[leaf]
            adjoints[leaf] = 0.0

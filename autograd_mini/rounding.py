"""How far rounding alone can move a recorded function and its gradients."""

import math
import random
import sys
from collections.abc import Sequence
from functools import cached_property

from autograd_mini.graph import Node, Replay, differentiate_again
from autograd_mini.ops import Op, Rule, evaluate

UNDERFLOW = sys.float_info.min
"""The smallest normal float: below it, fewer and fewer digits are left."""


_RUNS = 8
"""Fewer may all happen to round one operation the same way, on which everything hangs."""


class Rounding:
    """The spread of runs in which every operation and every partial is off by its last bits, up or down at random.

    The random numbers start from a fixed seed, so that the answer is always the same.
    """

    def __init__(self, root: Node, leaves: Sequence[Node]) -> None:
        self._root = root
        self._leaves = leaves
        self._random = random.Random(0)
        replay = Replay(root, leaves)
        point = [leaf._data for leaf in leaves]
        self.of_value = _spread([replay(point, self._nudged, float)[id(root)] for _ in range(_RUNS)])

    def _nudged(self, rule: Rule, *numbers: float) -> float:
        # By any share of them: one bit up or down each time, two operations would cancel out in every second run.
        return evaluate(rule, *numbers) * (1.0 + self._random.uniform(-2.0, 2.0) * sys.float_info.epsilon)

    def _partial(self, op: Op, operand: int, out: float, numbers: list[float]) -> float:
        return self._nudged(op.partials[operand], out, *numbers)

    @cached_property
    def of_gradients(self) -> list[float]:
        """One for each leaf, infinite where rounding decides whether there is one; measured when first asked for."""
        runs = [
            differentiate_again(self._root, self._leaves, run=self._nudged, convert=float, partial=self._partial)
            for _ in range(_RUNS)
        ]
        gradients = list(zip(*runs, strict=True))
        return [math.inf if len(set(map(math.isfinite, each))) == 2 else _spread(each) for each in gradients]


def _spread(numbers: Sequence[float]) -> float:
    """Of those that are finite."""
    finite = list(filter(math.isfinite, numbers))
    return max(finite) - min(finite) if finite else 0.0

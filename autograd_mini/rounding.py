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


class Rounding:
    """The spread of four runs in which every operation and every partial is off by its last bit, up or down at random.

    The random numbers start from a fixed seed, so that the answer is always the same.
    """

    def __init__(self, root: Node, leaves: Sequence[Node]) -> None:
        self._root = root
        self._leaves = leaves
        self._random = random.Random(0)
        replay = Replay(root, leaves)
        point = [leaf._data for leaf in leaves]
        self.of_value = _spread([replay(point, self._nudged, float)[id(root)] for _ in range(4)])

    def _nudged(self, rule: Rule, *numbers: float) -> float:
        return evaluate(rule, *numbers) * (1.0 + self._random.choice((-1.0, 1.0)) * sys.float_info.epsilon)

    def _partial(self, op: Op, operand: int, out: float, numbers: list[float]) -> float:
        return self._nudged(op.partials[operand], out, *numbers)

    @cached_property
    def of_gradients(self) -> list[float]:
        """One for each leaf; measured when first asked for."""
        runs = [
            differentiate_again(self._root, self._leaves, run=self._nudged, convert=float, partial=self._partial)
            for _ in range(4)
        ]
        return [_spread(list(gradients)) for gradients in zip(*runs, strict=True)]


def _spread(numbers: list[float]) -> float:
    spread = max(numbers) - min(numbers)
    return spread if math.isfinite(spread) else 0.0

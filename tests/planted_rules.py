"""Wrong rules to plant, one at a time: for every row and every operand, each way of being wrong."""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from unittest.mock import patch

from autograd_mini import Report, Value, apply, check, check_gradients
from autograd_mini.graph import pullback
from autograd_mini.ops import TABLE, Op, Rule

FACTORS = {"×0": 0.0, "×−1": -1.0, "×2": 2.0, "×(1 + 10⁻⁶)": 1 + 1e-6}

SWAPPED, LOST_SUM = "partials swapped", "+= lost"

IS_ADDED = "if key in adjoints"
"""Where `pullback` adds a share to those that came before it."""

EQUIVALENT = {("add", SWAPPED): "both partials are 1"}
"""What is no mistake, and why."""


def wrong_partials(right: Sequence[Rule], operand: int, factor: float | None) -> tuple[Rule, ...]:
    """The partials of a row with that by one operand times a factor, or, without a factor, swapped."""
    if factor is None:
        return tuple(reversed(right))
    partials = list(right)
    partials[operand] = lambda m, out, *operands: factor * right[operand](m, out, *operands)
    return tuple(partials)


@dataclass(frozen=True)
class WrongRule:
    """One mistake in the derivatives of one row."""

    name: str
    operand: int
    kind: str

    def __str__(self) -> str:
        return f"{self.name}, {self.kind}" + (f" by operand {self.operand}" if self.kind != SWAPPED else "")

    @property
    def right(self) -> Op:
        """The row as it should be."""
        return TABLE[self.name]

    def row(self) -> Op:
        """The row with the mistake, where it is one of its partials."""
        partials = wrong_partials(self.right.partials, self.operand, FACTORS.get(self.kind))
        return replace(self.right, name=f"wrong_{self.name}", partials=partials)

    def function(self) -> Callable[..., Any]:
        """A small function of the row's operands; for a lost sum, one that uses each of them a second time, before."""
        if self.kind != LOST_SUM:
            row = self.row()
            return lambda *operands: apply(row, *operands)
        # The backward pass visits the right operand of the last sum first.
        return lambda *operands: apply(self.right, *operands) + 0.5 * sum(operands)

    def gradients(self, root: Value, leaves: Sequence[Value]) -> list[float]:
        """The derivatives of root by the operands, with the mistake where it is one of the backward pass."""
        if self.kind != LOST_SUM:
            return pullback(root, leaves)
        unless = "and (node.op is not ROW or operand is not LEAF)"
        wrong = with_text(pullback, IS_ADDED, f"{IS_ADDED} {unless}", ROW=self.right, LEAF=leaves[self.operand])
        found: list[float] = wrong(root, leaves)
        return found

    def right_gradients(self, point: Sequence[float]) -> list[float]:
        """What they should be."""
        leaves = [Value(number) for number in point]
        root = apply(self.right, *leaves)
        return pullback(root + 0.5 * sum(leaves) if self.kind == LOST_SUM else root, leaves)

    def check(self, point: Sequence[float]) -> Report:
        """What the checker says of it at a point."""
        leaves = [Value(number) for number in point]
        root = self.function()(*leaves)
        return check_gradients(root, leaves, gradient=self.gradients(root, leaves))


def wrong_rules() -> list[WrongRule]:
    """All of them, but for those that are no mistakes."""
    found = []
    for op in TABLE.values():
        for operand in range(op.arity):
            found += [WrongRule(op.name, operand, kind) for kind in (*FACTORS, LOST_SUM)]
        if op.arity == 2 and (op.name, SWAPPED) not in EQUIVALENT:
            found.append(WrongRule(op.name, 0, SWAPPED))
    return found


def points_of(op: Op, count: int = 2) -> list[list[float]]:
    """Points of the row's domain, the same at every run: the first two on both sides of any kink, others at random."""
    random = Random(op.name)
    shares = [(0.83, 0.71), (0.17, 0.89), *[(random.random(), random.random()) for _ in range(count - 2)]]
    return [
        [low + (high - low) * share for (low, high), share in zip(op.domain, pair, strict=False)] for pair in shares
    ]


@contextmanager
def differences_alone() -> Iterator[None]:
    """The checker without its 50 digits."""
    with patch.object(check, "gradients_at_50_digits", lambda *_: None):
        yield


def with_text(function: Callable[..., Any], right: str, wrong: str, **names: Any) -> Callable[..., Any]:
    """A function of ours with a piece of its text replaced, which must stand in it once; names are known in it too."""
    text = inspect.getsource(function)
    if text.count(right) != 1:
        raise ValueError(f"with_text: expected {right!r} once in {function.__name__}, got it {text.count(right)} times")
    known = vars(sys.modules[function.__module__]) | names
    exec(text.replace(right, wrong), known)
    found: Callable[..., Any] = known[function.__name__]
    return found

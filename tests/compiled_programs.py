"""Random programs of loops over arrays: what reads operands in every order, shares them, and adds them up."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_mini import TABLE, apply, logsumexp

Indices = np.ndarray[Any, Any]

SMOOTH = ("tanh", "sin", "sigmoid", "softplus", "gelu", "erf", "erfc")
UNARY = (*SMOOTH, "neg", "relu", "abs")
BINARY = ("add", "sub", "mul", "add", "sub", "mul", "maximum", "logaddexp")


class LoopProgram:
    """A function of one to four arrays, the same for a seed; its numbers stay near 1."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        random = np.random.default_rng(seed)
        self.shapes = [_shape(random) for _ in range(random.integers(1, 5))]
        self.n_statements = int(random.integers(1, 10))

    def arguments(self, random: np.random.Generator, batched: list[bool], batch: int = 0) -> list[Any]:
        """Random arrays, some of them with a batch axis."""
        return [
            random.normal(0.0, 0.7, (*shape, batch) if is_batched else shape)
            for shape, is_batched in zip(self.shapes, batched, strict=True)
        ]

    def __call__(self, *arguments: Any) -> Any:
        random = np.random.default_rng([self.seed, 1])
        arrays = [np.ravel(np.array(argument, dtype=object)) for argument in arguments]
        for _ in range(self.n_statements):
            statement = STATEMENTS[random.integers(len(STATEMENTS))]
            numbers = statement(random, lambda: arrays[-1 - min(random.geometric(0.3) - 1, len(arrays) - 1)])
            found = np.empty(len(numbers), dtype=object)
            found[:] = numbers
            arrays.append(found)
        terms = [x * x if place % 3 == 0 else x for array in arrays[-3:] for place, x in enumerate(array)]
        return logsumexp(terms) if random.random() < 0.2 else _sum(random, terms)


Pick = Callable[[], Any]


def _shape(random: np.random.Generator) -> tuple[int, ...]:
    return tuple(random.integers(1, 5, random.integers(1, 4)).tolist())


def _indices(random: np.random.Generator, n: int, shape: tuple[int, ...]) -> Indices:
    """Places in a list of n: any, the same, or a view of it, with gaps, overlaps, backwards, transposed."""
    strides = [int(random.integers(-3, 5)) for _ in shape]
    reach = [stride * (size - 1) for stride, size in zip(strides, shape, strict=True)]
    lowest, highest = sum(min(0, each) for each in reach), sum(max(0, each) for each in reach)
    if highest - lowest < n:
        found = np.full(shape, random.integers(-lowest, n - highest))
        for stride, places in zip(strides, np.indices(shape), strict=True):
            found += stride * places
        return found
    if math.prod(shape) <= n and random.random() < 0.5:
        return random.permutation(n)[: math.prod(shape)].reshape(shape)
    return random.integers(0, n, shape)


def _function(random: np.random.Generator, names: tuple[str, ...]) -> Callable[..., Any]:
    op = TABLE[str(random.choice(names))]
    return lambda *operands: apply(op, *operands)


def _unary(random: np.random.Generator, pick: Pick) -> list[Any]:
    function = _function(random, UNARY)
    return [function(x) for x in pick()]


def _binary(random: np.random.Generator, pick: Pick) -> list[Any]:
    function, left, right, shape = _function(random, BINARY), pick(), pick(), _shape(random)
    pairs = zip(_indices(random, len(left), shape).flat, _indices(random, len(right), shape).flat, strict=True)
    return [function(left[i], right[j] if random.random() < 0.9 else 0.5) for i, j in pairs]


def _sums(random: np.random.Generator, pick: Pick) -> list[Any]:
    """Rows of products, of equal or of growing length, and with terms from elsewhere."""
    left, right, other, shape = pick(), pick(), pick(), _shape(random)
    places = [_indices(random, len(array), (*_shape(random)[:1], *shape)) for array in (left, right)]
    n = min(map(len, places))
    rows = [[left[i] * right[j] for i, j in zip(*(each[row].flat for each in places), strict=True)] for row in range(n)]
    if random.random() < 0.3:
        rows = [row[: 1 + place] for place, row in enumerate(rows)]
    if random.random() < 0.5:
        rows = [[*row, other[place % len(other)]] for place, row in enumerate(rows)]
    if random.random() < 0.2:
        return [logsumexp(row) for row in rows]
    seed = int(random.integers(1 << 30))
    return [_sum(np.random.default_rng(seed), row) / math.sqrt(len(row)) for row in rows]


def _sum(random: np.random.Generator, terms: list[Any]) -> Any:
    """From either end, some of them with a minus."""
    total = terms[0]
    is_right, share = random.random() < 0.3, float(random.choice([0.0, 0.0, 0.3]))
    for term in terms[1:]:
        total = total - term if random.random() < share else term + total if is_right else total + term
    return total


def _recurrence(random: np.random.Generator, pick: Pick) -> list[Any]:
    state, weights, inputs = list(pick()[:3]), pick(), pick()
    function, kept = _function(random, SMOOTH), []
    for time in range(random.integers(1, 5)):
        state = [
            function(sum(weights[(i + j) % len(weights)] * x for j, x in enumerate(state)) + inputs[time % len(inputs)])
            for i in range(len(state))
        ]
        kept += state
    return kept if random.random() < 0.5 else state


def _chain(random: np.random.Generator, pick: Pick) -> list[Any]:
    """Operations in a row on the same numbers, which may be used again."""
    first = current = list(pick())
    for _ in range(random.integers(1, 5)):
        inner, outer = _function(random, UNARY), _function(random, ("add", "mul", "sub"))
        after = [inner(x) for x in current]
        current = [after, list(map(outer, current, after)), list(map(outer, after, first))][random.integers(3)]
    return [0.5 * x for x in current]


STATEMENTS: tuple[Callable[[np.random.Generator, Pick], list[Any]], ...] = (
    _unary,
    _binary,
    _sums,
    _sums,
    _recurrence,
    _chain,
)

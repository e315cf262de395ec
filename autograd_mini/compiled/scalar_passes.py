"""Passes from scalars to scalars: long sums, dot products, log-sum-exps."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from autograd_mini.compiled.scalars import Kind, Scalars
from autograd_mini.ops import ADD, LOGADDEXP, MUL, NEG, POW, SUB

Operation: TypeAlias = tuple[Kind, tuple[int, ...]]
"""A kind and its operands."""


def sums(scalars: Scalars) -> Scalars:
    """Chains of +, - and unary - whose links are used nowhere else become a sum, less another where some are minus.

    A difference of two terms stays one, unless more is taken from it, and so does the order in a short chain with both
    signs: what cancels out for the user, as in max(x, 0) - x * y + log1p(exp(-abs(x))), is to cancel out here.
    """
    zeros = {~place for place, number in enumerate(scalars.constants) if number == 0}
    first = scalars.n_leaves
    linked = _linked(scalars, (ADD, SUB, NEG))
    added = {place for place in linked if scalars.kinds[place - first] is ADD}
    lessened = {operands[0] for _, kind, operands in scalars.operations() if kind is SUB}
    taken_in = {
        place
        for place in linked
        if scalars.kinds[place - first] is not SUB
        or place in lessened
        or not linked.isdisjoint(scalars.operands[place - first])
    }
    chains: dict[int, list[tuple[int, bool]]] = {}
    roots = [place for place, kind, _ in scalars.operations() if kind in (ADD, SUB, NEG) and place not in taken_in]
    while roots:
        root = roots.pop()
        chains[root] = _terms(scalars, root, taken_in)
        if len(chains[root]) < _FEW_TERMS and len({is_minus for _, is_minus in chains[root]}) == 2:
            is_sum = scalars.kinds[root - first] is ADD
            chains[root] = _terms(scalars, root, added if is_sum else set())
            roots += [term for term, _ in chains[root] if term in taken_in]

    def rewrite(place: int, kind: Kind, operands: tuple[int, ...]) -> list[Operation]:
        found = chains.get(place, [])
        if len(found) < 3:
            return [(kind, operands)]
        found = [term for term in found if term[0] not in zeros] or found[:1]  # Python's sum() starts with 0
        sides = [[term for term, is_minus in found if is_minus is side] for side in (False, True)]
        done: list[Operation] = []
        plus, minus = (_summed(side, done) if side else None for side in sides)
        if plus is not None and minus is not None:
            done.append((SUB, (plus, minus)))
        elif minus is not None:
            done.append((NEG, (minus,)))
        elif plus is not None and not done:
            done.append((ADD, (plus, next(iter(zeros)))))
        return done

    return rewritten(scalars, rewrite)


_FEW_TERMS = 8


def _linked(scalars: Scalars, kinds: tuple[Kind, ...]) -> set[int]:
    """The operations of these kinds that an operation of these kinds uses, and nothing else does."""
    uses = scalars.uses()
    first = scalars.n_leaves
    return {
        operand
        for _, kind, operands in scalars.operations()
        if kind in kinds
        for operand in operands
        if operand >= first and uses[operand] == 1 and scalars.kinds[operand - first] in kinds
    }


def _terms(scalars: Scalars, root: int, taken_in: set[int]) -> list[tuple[int, bool]]:
    """What a chain joins, from left to right, with the operations that it takes in opened; True is minus."""
    found = []
    remaining = [(root, False)]
    while remaining:
        place, is_minus = remaining.pop()
        if place != root and place not in taken_in:
            found.append((place, is_minus))
            continue
        kind, operands = scalars.kinds[place - scalars.n_leaves], scalars.operands[place - scalars.n_leaves]
        signs = (is_minus != (kind is NEG), is_minus != (kind is SUB))
        remaining += list(zip(operands, signs, strict=False))[::-1]
    return found


def _summed(terms: list[int], done: list[Operation]) -> int:
    """The sum of the terms, with an operation more in `done` where there are several."""
    if len(terms) == 1:
        return terms[0]
    done.append((ADD if len(terms) == 2 else "sum", tuple(terms)))
    return earlier(len(done) - 1)


def logsumexps(scalars: Scalars) -> Scalars:
    """Chains of logaddexp whose links are used nowhere else become one logsumexp."""
    linked = _linked(scalars, (LOGADDEXP,))

    def rewrite(place: int, kind: Kind, operands: tuple[int, ...]) -> list[Operation]:
        if kind is not LOGADDEXP or place in linked:
            return [(kind, operands)]
        found = _terms(scalars, place, linked)
        return [("logsumexp", tuple(term for term, _ in found))] if len(found) > 2 else [(kind, operands)]

    return rewritten(scalars, rewrite)


def dot_products(scalars: Scalars) -> Scalars:
    """The products of a sum become one dot product, and a constant that several terms share comes before it.

    In each pair a leaf stands before a result, and the earlier leaf before the later one, however the user wrote it:
    what belongs together then lies on the same side.
    """
    uses = scalars.uses()
    first = scalars.n_leaves

    def factors(term: int) -> tuple[int, int] | None:
        if term < first or uses[term] > 1:
            return None
        kind, operands = scalars.kinds[term - first], scalars.operands[term - first]
        if kind is POW and operands[1] < 0 and scalars.constants[~operands[1]] == 2.0:
            return operands[0], operands[0]
        if kind is not MUL:
            return None
        left, right = operands
        return (right, left) if 0 <= right < first and not 0 <= left < right else (left, right)

    def summed(terms: list[int], done: list[Operation]) -> int:
        """The sum of terms, in operations behind those that are done."""
        pairs: list[int] = []
        others = []
        scaled: dict[int, list[int]] = {}
        for term in terms:
            pair = factors(term)
            if pair is None:
                others.append(term)
            elif pair[0] < 0 or pair[1] < 0:
                scaled.setdefault(min(pair), []).append(max(pair))
            else:
                pairs += pair
        for constant, each in scaled.items():
            if len(each) > 1:
                done.append((MUL, (constant, summed(each, done))))
                others.append(earlier(len(done) - 1))
            else:
                pairs += (constant, each[0])
        if len(pairs) == 2:
            done.append((MUL, (pairs[0], pairs[1])))
        elif pairs:
            done.append(("dot", tuple(pairs)))
        if pairs:
            others.insert(0, earlier(len(done) - 1))
        if len(others) > 1:
            done.append((ADD if len(others) == 2 else "sum", tuple(others)))
        return others[0] if len(others) == 1 else earlier(len(done) - 1)

    def rewrite(place: int, kind: Kind, operands: tuple[int, ...]) -> list[Operation]:
        if kind is not ADD and kind != "sum":
            return [(kind, operands)]
        done: list[Operation] = []
        summed(list(operands), done)
        return done

    return rewritten(scalars, rewrite)


def earlier(place: int) -> int:
    """As an operand: the operation at that place of the list that an operation is rewritten to."""
    return _EARLIER - place


_EARLIER = -(10**12)


def rewritten(scalars: Scalars, rewrite: Callable[[int, Kind, tuple[int, ...]], list[Operation]]) -> Scalars:
    """Each operation rewritten to one or more, the last of which takes its place; what is not used is left out."""
    first = scalars.n_leaves
    numbers = list(range(first))
    kinds: list[Kind] = []
    operands: list[tuple[int, ...]] = []
    for place, kind, each in scalars.operations():
        start = first + len(kinds)
        for new_kind, inner in rewrite(place, kind, each):
            kinds.append(new_kind)
            operands.append(
                tuple(
                    [
                        numbers[operand]
                        if operand >= 0
                        else operand
                        if operand > _EARLIER
                        else start + _EARLIER - operand
                        for operand in inner
                    ]
                )
            )
        numbers.append(first + len(kinds) - 1)
    outputs = tuple(numbers[output] if output >= 0 else output for output in scalars.outputs)
    return replace(scalars, kinds=kinds, operands=operands, outputs=outputs).without_unused()

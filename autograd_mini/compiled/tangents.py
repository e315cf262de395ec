"""The derivative of a computation along a direction, as a computation: with its gradient, a Hessian times a vector."""

from dataclasses import dataclass, replace
from typing import Any

from autograd_mini.compiled.scalars import CONDITIONS, Group, Kind, Scalars
from autograd_mini.ops import ABS, ADD, DIV, FLOAT_ERRORS, MUL, NEG, POW, SUB, TABLE, Op, arithmetic


def tangents(scalars: Scalars, wanted: tuple[int, ...]) -> Scalars:
    """Σ vᵢ ∂f/∂xᵢ for the leaves xᵢ of the wanted groups; the vector's groups stand behind the others.

    Every operation is followed by its derivative along the vector: its partials, from the rows of the table, times
    those of its operands (Griewank & Walther, Evaluating Derivatives, section 3.1).
    """
    return _Tangents(scalars, wanted).run()


@dataclass(frozen=True)
class _Number:
    """A number of the computation that is being written."""

    writer: "_Tangents"
    place: int

    def __add__(self, other: Any) -> Any:
        return self.writer.apply(ADD, self, other)

    def __radd__(self, other: Any) -> Any:
        return self.writer.apply(ADD, other, self)

    def __sub__(self, other: Any) -> Any:
        return self.writer.apply(SUB, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.writer.apply(SUB, other, self)

    def __mul__(self, other: Any) -> Any:
        return self.writer.apply(MUL, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.writer.apply(MUL, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.writer.apply(DIV, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.writer.apply(DIV, other, self)

    def __pow__(self, other: Any) -> Any:
        return self.writer.apply(POW, self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.writer.apply(POW, other, self)

    def __neg__(self) -> Any:
        return self.writer.apply(NEG, self)

    def __abs__(self) -> Any:
        return self.writer.apply(ABS, self)

    def __lt__(self, other: Any) -> Any:
        return self.writer.apply("<", self, other)

    def __le__(self, other: Any) -> Any:
        return self.writer.apply("<=", self, other)

    def __gt__(self, other: Any) -> Any:
        return self.writer.apply(">", self, other)

    def __ge__(self, other: Any) -> Any:
        return self.writer.apply(">=", self, other)

    def __and__(self, other: Any) -> Any:
        if isinstance(other, bool):
            return self if other else False
        return self.writer.apply("and", self, other)

    __rand__ = __and__


class _Tangents:
    def __init__(self, scalars: Scalars, wanted: tuple[int, ...]) -> None:
        self.scalars = scalars
        self.wanted = wanted
        self.kinds: list[Kind] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: dict[str, int] = {repr(number): place for place, number in enumerate(scalars.constants)}
        self.numbers = list(scalars.constants)
        vectors = tuple(
            Group(f"vector of {scalars.groups[group].name}", scalars.groups[group].shape) for group in wanted
        )
        self.groups = (*scalars.groups, *vectors)
        self.first = sum(group.size for group in self.groups)
        self.m = arithmetic({op.name: self._function(op) for op in TABLE.values()} | {"where": self._where})

    def _function(self, op: Op) -> Any:
        return lambda *operands: self.apply(op, *operands)

    def _where(self, condition: Any, one: Any, other: Any) -> Any:
        if isinstance(condition, bool):
            return one if condition else other
        return self.apply("where", condition, one, other)

    def apply(self, kind: Kind, *operands: Any) -> Any:
        """Write an operation; what is multiplied by 1, or added to 0 of no tangent, needs none."""
        if kind is MUL and 1.0 in operands:
            return operands[0 if operands[1] == 1.0 else 1]
        self.kinds.append(kind)
        self.operands.append(tuple(map(self._place, operands)))
        return _Number(self, self.first + len(self.kinds) - 1)

    def _place(self, operand: Any) -> int:
        if isinstance(operand, _Number):
            return operand.place
        number = float(operand)
        key = repr(number)
        if key not in self.constants:
            self.constants[key] = len(self.numbers)
            self.numbers.append(number)
        return ~self.constants[key]

    def run(self) -> Scalars:
        scalars = self.scalars
        known: list[Any] = [_Number(self, place) for place in range(scalars.n_leaves)]
        tangents: list[Any] = [None] * scalars.n_leaves
        at = scalars.n_leaves
        starts = [sum(group.size for group in scalars.groups[:place]) for place in range(len(scalars.groups))]
        for group in self.wanted:
            for leaf in range(starts[group], starts[group] + scalars.groups[group].size):
                tangents[leaf] = _Number(self, at)
                at += 1
        for _, kind, operands in scalars.operations():
            each = [known[operand] if operand >= 0 else scalars.constants[~operand] for operand in operands]
            out = self.apply(kind, *each) if kind is not MUL or 1.0 not in each else self._as_it_is(kind, each)
            known.append(out)
            directions = [tangents[operand] if operand >= 0 else None for operand in operands]
            tangents.append(self._tangent(kind, out, each, directions))
        output = scalars.outputs[0]
        tangent = tangents[output] if output >= 0 else None
        return replace(
            scalars,
            groups=self.groups,
            constants=tuple(self.numbers) if tangent is not None else (*self.numbers, 0.0),
            kinds=self.kinds,
            operands=self.operands,
            outputs=(tangent.place if tangent is not None else ~len(self.numbers),),
        ).without_unused()

    def _as_it_is(self, kind: Kind, operands: list[Any]) -> _Number:
        self.kinds.append(kind)
        self.operands.append(tuple(map(self._place, operands)))
        return _Number(self, self.first + len(self.kinds) - 1)

    def _tangent(self, kind: Kind, out: Any, operands: list[Any], directions: list[Any]) -> Any:
        if kind in CONDITIONS:
            return None
        if kind == "where":
            condition, *both = directions
            del condition
            one, other = (0.0 if direction is None else direction for direction in both)
            return None if both == [None, None] else self._where(operands[0], one, other)
        if kind is POW and operands[1] == 0.0:
            return None  # the rule chooses 0 near a base of 0, but arrays would differentiate what it did not choose
        assert isinstance(kind, Op)  # the others come with passes that follow
        total = None
        for partial, direction in zip(kind.partials, directions, strict=True):
            if direction is None:
                continue
            try:
                slope = partial(self.m, out, *operands)
            except FLOAT_ERRORS:  # Python raises where IEEE 754 has an infinity
                slope = partial(self.m, out, *[_Number(self, self._place(operand)) for operand in operands])
            if not isinstance(slope, _Number) and slope == -1.0:
                term = self.apply(NEG, direction)
            else:
                term = self.apply(MUL, slope, direction)
            total = term if total is None else self.apply(ADD, total, term)
        return total

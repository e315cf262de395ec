"""Rows of the table in the words of ONNX: its operators, and formulas for what it lacks."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from autograd_mini.compiled.formulas import computed
from autograd_mini.compiled.onnx_graph import Constant, OnnxGraph, Tensor
from autograd_mini.ops import GELU, LEAKY_RELU, SOFTPLUS, TABLE, Op, arithmetic
from autograd_mini.source_code import PRIMITIVES, Expression, call, name, tree

Formula: TypeAlias = Callable[..., Any]
"""A function of expressions."""

_ROWS = ("relu", "leaky_relu", "sigmoid", "softplus", "gelu", "maximum", "minimum")
"""Rows that ONNX has an operator for, or a usual form, besides the primitives."""

_OPERATORS = {
    "+": "Add",
    "-": "Sub",
    "*": "Mul",
    "/": "Div",
    "negative": "Neg",
    "<": "Less",
    "<=": "LessOrEqual",
    ">": "Greater",
    ">=": "GreaterOrEqual",
    "maximum": "Max",
    "minimum": "Min",
    **{kind: kind.capitalize() for kind in ("and", "where", "abs", "pow", "exp", "log", "sqrt", "sin", "cos", "tan")},
    **{kind: kind.capitalize() for kind in ("tanh", "erf", "relu", "sigmoid", "softplus")},
}

_M = arithmetic(PRIMITIVES)
_IN_ONNX = arithmetic({**PRIMITIVES, **{row: call(row, TABLE[row].arity) for row in _ROWS}})


@lru_cache(maxsize=256)
def formula_of(op: Op) -> Expression:
    """A row's result in x and y. Raises NotWritableError for a rule that is no formula."""

    def by_name(m: Any, *operands: Expression) -> Any:
        return getattr(m, op.name)(*operands)

    rule = by_name if TABLE.get(op.name) is op else op.forward  # a row of the user's own may have any name
    return tree(op, rule, _IN_ONNX, *map(name, "xy"[: op.arity]))


class FormulaWriter:
    """Writes formulas as nodes, of operands that have these names; what stands there twice is computed once."""

    def __init__(self, graph: OnnxGraph, operands: Mapping[str, Tensor]) -> None:
        self._graph = graph
        self._operands = dict(operands)
        self._known: dict[tuple[Any, ...], Tensor] = {}

    def write(self, formula: Expression) -> Tensor:
        """The result of a simplified formula: a constant where all that it is computed from is."""
        if formula.kind == "number":
            return Constant(np.array(formula.content))
        if formula.kind == "name":
            return self._operands[str(formula.content)]
        if formula.key not in self._known:
            self._known[formula.key] = self._written(formula)
        return self._known[formula.key]

    def _written(self, formula: Expression) -> Tensor:
        operands = [self.write(operand) for operand in formula.operands]
        constants = [operand.numbers for operand in operands if isinstance(operand, Constant)]
        if len(constants) == len(operands):
            return Constant(np.asarray(computed(formula.kind, constants)))
        if formula.kind == "leaky_relu" and self._graph.dtype == "float32" and _is_number(formula.operands[1]):
            return self._graph.add_lanes("LeakyRelu", operands[:1], alpha=formula.operands[1].content)
        instead = _INSTEAD[self._graph.dtype].get(formula.kind)
        if instead is None:
            return self._graph.add_lanes(_OPERATORS[formula.kind], operands)
        names = [f"operand {len(self._operands) + place}" for place in range(len(operands))]
        self._operands.update(zip(names, operands, strict=True))
        return self.write(instead(*map(name, names)))


def _is_number(formula: Expression) -> bool:
    return isinstance(formula.content, float) and math.isfinite(formula.content)


# What ONNX lacks


def _log1p(x: Any) -> Any:
    # By as much as 1 + x is rounded, log(u) and u - 1 are off together (Goldberg 1991, theorem 4).
    u = 1.0 + x
    corrected = _M.where(u >= math.inf, u, _M.log(u) * (x / (u - 1.0)))
    return _M.where((u <= 1.0) & (u >= 1.0), x, corrected)


def _expm1(x: Any) -> Any:
    return _M.tanh(0.5 * x) * (_M.exp(x) + 1.0)


_STEP = 0.5
_NODES = [_STEP * (place + 0.5) for place in range(12)]
_FAR = 30.0
"""From 27.3 on erfc is 0 in doubles. Infinity times 0 would be NaN."""
_HALF_THE_DIGITS = 4097.0
"""2¹² + 1 splits the 24 binary digits of float32 (Dekker, 1971)."""


def _scaled_erfc(x: Any) -> Any:
    """exp(x²) erfc(x), but for a pole: (2/π) ∫ x exp(-t²) / (x² + t²) dt over t > 0 by the midpoint rule.

    These nodes are enough for 15 digits (Matta & Reichel, 1971; Al Azah & Chandler-Wilde, 2021).
    """
    first, *others = [math.exp(-node * node) / (x * x + node * node) for node in _NODES]
    return 2.0 * _STEP / math.pi * x * sum(others, start=first)


def _erf(x: Any) -> Any:
    near = _M.where(x > _FAR, _FAR, _M.where(x < -_FAR, -_FAR, x))
    return _M.tanh(math.pi / _STEP * near) - _M.exp(-(near * near)) * _scaled_erfc(near)


def _erfc(x: Any) -> Any:
    distance = _M.where(_M.abs(x) > _FAR, _FAR, _M.abs(x))
    # exp(-distance²), without what it would cost to round the square.
    scaled = _HALF_THE_DIGITS * distance
    head = scaled - (scaled - distance)
    bell = _M.exp(-(head * head)) * _M.exp((head - distance) * (head + distance))
    pole = 2.0 / (1.0 + _M.exp(2.0 * math.pi / _STEP * distance))
    right = bell * _scaled_erfc(distance) + _M.where(distance < math.pi / _STEP, pole, 0.0)
    return _M.where(x < 0.0, 2.0 - right, right)


def _cos(x: Any) -> Any:
    half = _M.sin(0.5 * x)
    return 1.0 - 2.0 * half * half


def _tan(x: Any) -> Any:
    return _M.sin(x) / _cos(x)


def _sigmoid(x: Any) -> Any:
    # Exact in its left tail, too. Runtimes add ½ to something near -½ there, and may fuse x · Sigmoid(x) into what
    # they have in float32 only.
    return 1.0 / (1.0 + _M.exp(-x))


def _gelu(x: Any) -> Any:
    # As other exporters write it and runtimes look for it; small results have fewer digits than by erfc.
    return x * (0.5 * (1.0 + _M.erf(math.sqrt(0.5) * x)))


def _own(op: Op) -> Formula:
    """The row's own rule."""
    return lambda *operands: op.forward(_M, *operands)


_ALWAYS: dict[str, Formula] = {"log1p": _log1p, "expm1": _expm1, "erfc": _erfc, "leaky_relu": _own(LEAKY_RELU)}
_INSTEAD: dict[str, dict[str, Formula]] = {
    "float32": {**_ALWAYS, "gelu": _gelu},
    "float64": {
        **_ALWAYS,
        **{"cos": _cos, "tan": _tan, "erf": _erf, "sigmoid": _sigmoid},
        **{"softplus": _own(SOFTPLUS), "gelu": _own(GELU)},
    },
}
"""What stands for what ONNX has no operator for, or onnxruntime none, or no exact one, in float64."""

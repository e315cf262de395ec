"""Rows of the table as Python source: `make functions` writes the engine's own arithmetic with it.

A row's rules are functions of `m`, the arithmetic in use. Here that arithmetic is one of texts: run on it, a rule
returns its own formula, which the engine then has in line, without a call.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

_CHOICE, _AND, _COMPARISON, _SUM, _PRODUCT, _NEGATIVE, _ATOM = range(7)


class Expression:
    """A formula: a template of Python source, and what stands in its places."""

    def __init__(self, template: str, operands: Sequence[Any] = (), binds: int = _ATOM) -> None:
        self.template = template
        self.operands = [operand if isinstance(operand, Expression) else _constant(operand) for operand in operands]
        self.binds = binds
        """How tightly it holds together: an operand that binds less than its place wants gets parentheses."""

    def __add__(self, other: Any) -> "Expression":
        return _infix("+", self, other, _SUM)

    def __radd__(self, other: Any) -> "Expression":
        return _infix("+", other, self, _SUM)

    def __sub__(self, other: Any) -> "Expression":
        return _infix("-", self, other, _SUM)

    def __rsub__(self, other: Any) -> "Expression":
        return _infix("-", other, self, _SUM)

    def __mul__(self, other: Any) -> "Expression":
        return _infix("*", self, other, _PRODUCT)

    def __rmul__(self, other: Any) -> "Expression":
        return _infix("*", other, self, _PRODUCT)

    def __truediv__(self, other: Any) -> "Expression":
        return _infix("/", self, other, _PRODUCT)

    def __rtruediv__(self, other: Any) -> "Expression":
        return _infix("/", other, self, _PRODUCT)

    def __and__(self, other: Any) -> "Expression":
        return _infix("and", self, other, _AND)

    def __neg__(self) -> "Expression":
        return Expression("-{}", [self], _NEGATIVE)

    def __lt__(self, other: Any) -> "Expression":
        return _infix("<", self, other, _COMPARISON)

    def __le__(self, other: Any) -> "Expression":
        return _infix("<=", self, other, _COMPARISON)

    def __gt__(self, other: Any) -> "Expression":
        return _infix(">", self, other, _COMPARISON)

    def __ge__(self, other: Any) -> "Expression":
        return _infix(">=", self, other, _COMPARISON)

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal formulas."""
        return self.template, *[operand.key for operand in self.operands]

    def text(self, names: dict[tuple[Any, ...], str]) -> str:
        """Its source; the formulas that have a name by then stand there by their names."""
        if self.key in names:
            return names[self.key]
        # Of operands that bind alike only the first goes without: a - (b - c), and the order of a float sum counts.
        inner = [
            f"({text})"
            if operand.binds < self.binds < _ATOM or (place and operand.binds == self.binds < _ATOM)
            else text
            for place, operand in enumerate(self.operands)
            for text in [operand.text(names)]
        ]
        return self.template.format(*inner)


def _constant(number: float) -> Expression:
    return Expression("math.nan" if number != number else repr(float(number)))


def _infix(symbol: str, left: Any, right: Any, binds: int) -> Expression:
    return Expression(f"{{}} {symbol} {{}}", [left, right], binds)


def _call(function: str) -> Callable[..., Expression]:
    return lambda *operands: Expression(f"{function}({', '.join(['{}'] * len(operands))})", operands)


PRIMITIVES: dict[str, Callable[..., Expression]] = {
    "where": lambda condition, x, y: Expression("{1} if {0} else {2}", [condition, x, y], _CHOICE),
    "abs": _call("abs"),
    **{name: _call(f"math.{name}") for name in ("pow", "exp", "log", "log1p", "expm1", "sqrt")},
    **{name: _call(f"math.{name}") for name in ("sin", "cos", "tan", "tanh", "erf", "erfc")},
}
"""What rows need of an arithmetic, see `ops.arithmetic`."""


def rules(op: Any, arithmetic: Callable[[Any], Any]) -> tuple[Expression, list[Expression]]:
    """The formulas of a row's result in x and y, and of its partial derivatives in x, y and data."""
    m = arithmetic(PRIMITIVES)
    operands = [Expression(name) for name in ("x", "y")[: op.arity]]
    as_formula = [rule(m, Expression("data"), *operands) for rule in op.partials]
    return op.forward(m, *operands), [f if isinstance(f, Expression) else _constant(f) for f in as_formula]


def statements(formulas: dict[str, Expression]) -> list[str]:
    """Assignments of formulas to names, in order; a part that costs something and is used again gets a name first."""
    uses: dict[tuple[Any, ...], int] = {}
    for formula in formulas.values():
        _count(formula, uses)
    lines: list[str] = []
    names: dict[tuple[Any, ...], str] = {}
    for name, formula in formulas.items():
        _name_shared_parts(formula, uses, names, lines)
        lines.append(f"{name} = {formula.text(names)}")
        if formula.operands:
            names[formula.key] = name
    return lines


def can_raise(formulas: dict[str, Expression]) -> bool:
    """Whether Python may raise where IEEE 754 has an infinity or a NaN."""
    return any("/" in line or re.search(r"math\.\w+\(", line) for line in statements(formulas))


def _count(formula: Expression, uses: dict[tuple[Any, ...], int]) -> None:
    uses[formula.key] = uses.get(formula.key, 0) + 1
    if uses[formula.key] == 1:
        for operand in formula.operands:
            _count(operand, uses)


def _name_shared_parts(
    formula: Expression, uses: dict[tuple[Any, ...], int], names: dict[tuple[Any, ...], str], lines: list[str]
) -> None:
    for operand in formula.operands:
        if operand.key in names:
            continue
        _name_shared_parts(operand, uses, names, lines)
        if uses[operand.key] > 1 and operand.operands and "math." in operand.text(names):
            part = f"part_{1 + sum(name.startswith('part_') for name in names.values())}"
            lines.append(f"{part} = {operand.text(names)}")
            names[operand.key] = part


# What `make functions` writes with them, see the blocks that it writes.

_SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}
_DUNDERS = {"div": "truediv"}
_MOST_USED = ("add", "mul")
"""Most of any graph: these record in line, without a call."""
_INDENT = "    "


def operator_methods(op: Any, arithmetic: Callable[[Any], Any]) -> str:
    """The special methods of a node for a row that Python has an operator for."""
    name = _DUNDERS.get(op.name, op.name)
    if op.arity == 1:
        head = [f"def __{name}__(self) -> Any:", f'    """{op.doc}"""']
        return _indented([*head, *_indent(_body_of_one(op, arithmetic, "self"))])
    where = f'"Value {_SYMBOLS[op.name]}"'
    return _indented(
        [
            f"def __{name}__(self, other: Any) -> Any:",
            f'    """{op.doc}"""',
            *_indent([*_second_operand(where, "return NotImplemented"), *_body_of_two(op, arithmetic, "self")]),
            "",
            f"def __r{name}__(self, other: Any) -> Any:",
            '    """The same with a number on the left."""',
            *_indent([*_number("x", where, "return NotImplemented"), *_reflected_body(op, arithmetic)]),
        ]
    )


def recorder(op: Any, arithmetic: Callable[[Any], Any]) -> str:
    """A function that applies a named row to a node."""
    if op.arity == 1:
        head, body = f"def {op.name}(node: BareNode) -> Any:", _body_of_one(op, arithmetic, "node")
    else:
        head = f"def {op.name}(node: BareNode, other: Any) -> Any:"
        operand = _second_operand(f'"{op.name}"', f'raise not_a_number(other, "{op.name}")')
        body = [*operand, *_body_of_two(op, arithmetic, "node")]
    return "\n".join([head, *_indent(body)])


def operator_types(op: Any) -> str:
    """The types of those methods."""
    name = _DUNDERS.get(op.name, op.name)
    if op.arity == 1:
        return _indented(_indent([f'def __{name}__(self) -> "Value": ...']))
    forward = f'def __{name}__(self, other: "Value | Number") -> "Value": ...'
    return _indented(_indent([forward, f'def __r{name}__(self, other: Number) -> "Value": ...']))


def method(op: Any) -> str:
    """The public method of a named row."""
    parameters = [parameter.partition("=") for parameter in op.parameters[1:]]
    typed = [f', {name}: "Value | Number"' + (f" = {default}" if default else "") for name, _, default in parameters]
    others = "".join(f", {name}" for name, _, _ in parameters)
    lines = [
        f'def {op.name}(self{"".join(typed)}) -> "Value":',
        f'    """{op.doc}"""',
        f"    result: Value = engine.{op.name}(self{others})",
        "    return result",
    ]
    return _indented(lines)


def _indent(lines: Sequence[str]) -> list[str]:
    return [_INDENT + line if line else line for line in lines]


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(_indent(lines))


def _number(name: str, where: str, otherwise: str, first: str = "if") -> list[str]:
    return [
        f"{first} type(other) is float:  # a NumPy float is a float as well, and would stay one",
        f"    {name} = other",
        "elif type(other) is int or isinstance(other, NUMBER_TYPES):",
        f"    {name} = to_float(other, {where})",
        "else:",
        f"    {otherwise}",
    ]


def _second_operand(where: str, otherwise: str) -> list[str]:
    return [
        "right: BareNode | None = None",
        "if isinstance(other, BareNode):",
        "    operand: BareNode = other  # one check of its type when compiled, not one at each use",
        "    right = operand",
        "    y = operand._data",
        *_number("y", where, otherwise, first="elif"),
    ]


def _guarded(lines: list[str], risky: bool, fallback: str) -> list[str]:
    return ["try:", *_indent(lines), "except FLOAT_ERRORS:", f"    return {fallback}"] if risky else lines


def _body_of_one(op: Any, arithmetic: Callable[[Any], Any], node: str) -> list[str]:
    data, (slope,) = rules(op, arithmetic)
    formulas = {"data": data, "slope": slope}
    return [
        f"x = {node}._data",
        *_guarded(statements(formulas), can_raise(formulas), f"record_one({op.name.upper()}, {node})"),
        f"return record({op.name.upper()}, data, {node}, None, slope, 0.0)",
    ]


def _body_of_two(op: Any, arithmetic: Callable[[Any], Any], node: str) -> list[str]:
    data, (by_left, by_right) = rules(op, arithmetic)
    by_right = Expression("y if right is None else {}", [by_right], _CHOICE)
    formulas = {"data": data, "left_partial": by_left, "right_partial": by_right}
    row = op.name.upper()
    return [
        f"x = {node}._data",
        *_guarded(statements(formulas), can_raise(formulas), f"record_two({row}, {node}, other)"),
        *_record(op.name in _MOST_USED, [row, "data", node, "right", "left_partial", "right_partial"]),
    ]


def _record(in_line: bool, values: list[str]) -> list[str]:
    if not in_line:
        return [f"return record({', '.join(values)})"]
    operands = dict(zip(("_row", "_data", "_left", "_right", "_left_partial", "_right_partial"), values, strict=True))
    fields = {**operands, "_grad": "0.0", "_next": "None"}
    return [
        "node = blank(BareNode)",
        *[f"node.{field} = {value}" for field, value in fields.items()],
        "return node",
    ]


def _reflected_body(op: Any, arithmetic: Callable[[Any], Any]) -> list[str]:
    data, (_, by_right) = rules(op, arithmetic)
    formulas = {"data": data, "right_partial": by_right}
    row = op.name.upper()
    return [
        "y = self._data",
        *_guarded(statements(formulas), can_raise(formulas), f"record_two({row}, other, self)"),
        f"return record({row}, data, None, self, x, right_partial)",
    ]

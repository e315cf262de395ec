"""Rows of the table as source code: Python for the engine (`make functions`), JavaScript for the walkthrough's page.

A row's rules are functions of `m`, the arithmetic in use. Here that arithmetic is one of trees: run on it, a rule
returns its own formula as a tree of kinds and operands, and a language says how each kind is written.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from textwrap import indent
from typing import Any, ClassVar, NoReturn

_MOST_NODES, _DEEPEST = 2_000, 100
"""What a formula may have: a rule that squares its result forty times over is short, and its text is not."""

_CONDITIONS = frozenset({"<", "<=", ">", ">=", "and"})
_OPERATORS = frozenset({"+", "-", "*", "/", "negative", "abs", "where", "y or"}) | _CONDITIONS
"""What costs too little to be computed once and given a name."""


class NotWritableError(ValueError):
    """A rule that is no formula of its operands: it calls math.exp(), float(), asks `if`, or what it may be."""


class Expression:
    """A formula: what kind it is of, its operands, and what a "name" or a "number" says.

    The kinds: "name", "number", "+", "-", "*", "/", "negative", "<", "<=", ">", ">=", "and", "where" (with operands
    condition, then, else) and the names of functions: "exp", "pow", "abs", …
    """

    __array_ufunc__: ClassVar[None] = None
    """NumPy's numbers leave it to us to be added to, and NumPy's functions refuse."""

    def __init__(self, kind: str, operands: Iterable[Any] = (), content: str | float | None = None) -> None:
        self.kind = kind
        self.operands: tuple[Expression, ...] = tuple(map(as_expression, operands))
        self.content = content
        self.size: int = 1 + sum(operand.size for operand in self.operands)
        self.depth: int = 1 + max((operand.depth for operand in self.operands), default=0)

    def __add__(self, other: Any) -> "Expression":
        return Expression("+", [self, other])

    def __radd__(self, other: Any) -> "Expression":
        return Expression("+", [other, self])

    def __sub__(self, other: Any) -> "Expression":
        return Expression("-", [self, other])

    def __rsub__(self, other: Any) -> "Expression":
        return Expression("-", [other, self])

    def __mul__(self, other: Any) -> "Expression":
        return Expression("*", [self, other])

    def __rmul__(self, other: Any) -> "Expression":
        return Expression("*", [other, self])

    def __truediv__(self, other: Any) -> "Expression":
        return Expression("/", [self, other])

    def __rtruediv__(self, other: Any) -> "Expression":
        return Expression("/", [other, self])

    def __pow__(self, other: Any) -> "Expression":
        return Expression("pow", [self, other])

    def __rpow__(self, other: Any) -> "Expression":
        return Expression("pow", [other, self])

    def __and__(self, other: Any) -> "Expression":
        return Expression("and", [self, other])

    def __neg__(self) -> "Expression":
        return Expression("negative", [self])

    def __pos__(self) -> "Expression":
        return self

    def __abs__(self) -> "Expression":
        return Expression("abs", [self])

    def __lt__(self, other: Any) -> "Expression":
        return Expression("<", [self, other])

    def __le__(self, other: Any) -> "Expression":
        return Expression("<=", [self, other])

    def __gt__(self, other: Any) -> "Expression":
        return Expression(">", [self, other])

    def __ge__(self, other: Any) -> "Expression":
        return Expression(">=", [self, other])

    # Python would answer these by itself, and the formula would be that of one branch.

    def __eq__(self, other: object) -> NoReturn:
        raise NotWritableError("==, which is not to be used in a rule")

    def __bool__(self) -> NoReturn:
        raise NotWritableError("a choice that is not made by m.where")

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal formulas; by its text a number is equal to itself even where it is NaN."""
        return self.kind, repr(self.content), *[operand.key for operand in self.operands]

    @property
    def is_costly(self) -> bool:
        """Whether a function is computed in it."""
        is_function = bool(self.operands) and self.kind not in _OPERATORS
        return is_function or any(operand.is_costly for operand in self.operands)


def as_expression(thing: Any) -> Expression:
    """An expression as it is; a number as one. Raises NotWritableError for anything else."""
    if isinstance(thing, Expression):
        return thing
    if isinstance(thing, Real):
        return Expression("number", content=float(thing))
    raise NotWritableError(f"{type(thing).__name__} where a number is needed")


def name(text: str) -> Expression:
    """A variable."""
    return Expression("name", content=text)


def call(kind: str, arity: int | None = None) -> Callable[..., Expression]:
    """A function of an arithmetic on trees: it gives a node of that kind, and refuses another number of operands."""

    def function(*operands: Any) -> Expression:
        if arity not in (None, len(operands)):
            raise NotWritableError(f"{kind} with {len(operands)} operand(s)")
        return Expression(kind, operands)

    return function


_FUNCTIONS = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh", "erf", "erfc")

PRIMITIVES: dict[str, Callable[..., Expression]] = {
    "where": call("where", 3),
    "pow": call("pow", 2),
    **{function: call(function, 1) for function in ("abs", *_FUNCTIONS)},
}
"""What rows need of an arithmetic, see `ops.arithmetic`."""


def tree(op: Any, rule: Callable[..., Any], m: Any, *operands: Expression) -> Expression:
    """The formula of a row's rule, on an arithmetic of trees; `out` comes first among the operands of a partial.

    Raises NotWritableError where the rule does anything but compute with m and with Python's operators.
    """
    try:
        formula = as_expression(rule(m, *operands))
        _check(formula)
        return formula
    except Exception as error:  # a row may be a user's own, and fail in any way at all
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise NotWritableError(
            f"Op {op.name[:40]!r}: its rule cannot be written as a formula: {reason[:200]}"
        ) from error


def _check(formula: Expression, is_condition: bool = False) -> None:
    if formula.size > _MOST_NODES or formula.depth > _DEEPEST:
        raise NotWritableError("it is too long")
    if is_condition != (formula.kind in _CONDITIONS):
        # Languages differ in what a number is as a condition, and in what a condition is as a number.
        raise NotWritableError("a condition stands for a number, or a number for a condition")
    for place, operand in enumerate(formula.operands):
        _check(operand, formula.kind == "and" or (formula.kind == "where" and place == 0))


def rules(op: Any, arithmetic: Callable[[Any], Any], out: str = "data") -> tuple[Expression, list[Expression]]:
    """The formulas of a row's result in x and y, and of its partial derivatives in x, y and its result."""
    m = arithmetic(PRIMITIVES)
    operands = [name(text) for text in _operand_names(op)]
    partials = [tree(op, rule, m, name(out), *operands) for rule in op.partials]
    return tree(op, op.forward, m, *operands), partials


def _operand_names(op: Any) -> list[str]:
    return ["x", "y"][: op.arity]


# Trees as text

_WHOLE, _CHOICE, _AND, _COMPARISON, _SUM, _PRODUCT, _NEGATIVE, _ATOM = range(8)
"""How tightly a text holds together: an operand that binds less than its place wants gets parentheses."""


@dataclass(frozen=True, slots=True)
class Language:
    """How formulas are written: a template for each kind, and how tightly the text binds."""

    forms: Mapping[str, tuple[str, int]]
    number: Callable[[float], str]

    def write(self, formula: Expression, names: Mapping[tuple[Any, ...], str]) -> str:
        """Its source; the formulas that have a name by then stand there by their names.

        Raises NotWritableError for a kind that the language has no form for.
        """
        return self._written(formula, names)[0]

    def _written(self, formula: Expression, names: Mapping[tuple[Any, ...], str]) -> tuple[str, int]:
        if formula.kind == "number" and isinstance(formula.content, float):
            text = self.number(formula.content)
            return text, _NEGATIVE if text.startswith("-") else _ATOM
        if formula.kind == "name" and isinstance(formula.content, str) and formula.content.isidentifier():
            return formula.content, _ATOM
        if formula.kind not in self.forms:
            raise NotWritableError(f"{formula.kind[:40]!r}, which the language has no word for")
        template, binds = self.forms[formula.kind]
        if formula.key in names:
            return names[formula.key], binds
        inner = []
        for place, operand in enumerate(formula.operands):
            text, holds = self._written(operand, names)
            # Of operands that bind alike only the first goes without: a - (b - c), and the order of a float sum counts.
            goes_without = holds > binds or binds == _ATOM or (holds == binds in _FROM_THE_LEFT and place == 0)
            inner.append(text if goes_without else f"({text})")
        return template.format(*inner), binds


_FROM_THE_LEFT = (_AND, _SUM, _PRODUCT)
"""What is read from the left in every language: a - b - c is (a - b) - c, and a < b < c is nothing of the kind."""

_INFIX = {
    "+": ("{} + {}", _SUM),
    "-": ("{} - {}", _SUM),
    "*": ("{} * {}", _PRODUCT),
    "/": ("{} / {}", _PRODUCT),
    "negative": ("-{}", _NEGATIVE),
    **{symbol: (f"{{}} {symbol} {{}}", _COMPARISON) for symbol in ("<", "<=", ">", ">=")},
}


def _python_number(number: float) -> str:
    text = repr(number)
    return text if text[-1].isdigit() else text.replace("nan", "math.nan").replace("inf", "math.inf")


PYTHON = Language(
    forms={
        **_INFIX,
        "and": ("{} and {}", _AND),
        "where": ("{1} if {0} else {2}", _CHOICE),
        "y or": ("y if right is None else {}", _WHOLE),
        "abs": ("abs({})", _ATOM),
        "pow": ("math.pow({}, {})", _ATOM),
        **{function: (f"math.{function}({{}})", _ATOM) for function in _FUNCTIONS},
    },
    number=_python_number,
)
"""Python of the engine; "y or" gives a constant's number in the place of its partial derivative."""


def _javascript_number(number: float) -> str:
    text = repr(number).removesuffix(".0")
    return text if text[-1].isdigit() else text.replace("nan", "NaN").replace("inf", "Infinity")


_NOT_IN_JAVASCRIPT = {"pow": ("primitives.pow({}, {})", _ATOM)} | {
    function: (f"primitives.{function}({{}})", _ATOM) for function in ("erf", "erfc")
}

JAVASCRIPT = Language(
    forms={
        **_INFIX,
        "and": ("{} && {}", _AND),
        "where": ("{0} ? {1} : {2}", _CHOICE),
        **{function: (f"Math.{function}({{}})", _ATOM) for function in ("abs", *_FUNCTIONS)},
        **_NOT_IN_JAVASCRIPT,
    },
    number=_javascript_number,
)
"""JavaScript beside walkthrough/primitives.js, which has what the language lacks."""


def assignments(formulas: Mapping[str, Expression], language: Language) -> list[tuple[str, str]]:
    """Names and texts of the formulas, in order; a part that costs something and is used again gets a name first."""
    uses: dict[tuple[Any, ...], int] = {}
    for formula in formulas.values():
        _count(formula, uses)
    found: list[tuple[str, str]] = []
    names: dict[tuple[Any, ...], str] = {}
    for result, formula in formulas.items():
        _name_shared_parts(formula, uses, names, found, language)
        found.append((result, language.write(formula, names)))
        if formula.operands:
            names[formula.key] = result
    return found


def _count(formula: Expression, uses: dict[tuple[Any, ...], int]) -> None:
    uses[formula.key] = uses.get(formula.key, 0) + 1
    if uses[formula.key] == 1:
        for operand in formula.operands:
            _count(operand, uses)


def _name_shared_parts(
    formula: Expression,
    uses: Mapping[tuple[Any, ...], int],
    names: dict[tuple[Any, ...], str],
    found: list[tuple[str, str]],
    language: Language,
) -> None:
    for operand in formula.operands:
        if operand.key in names:
            continue
        _name_shared_parts(operand, uses, names, found, language)
        if uses[operand.key] > 1 and operand.is_costly:
            part = f"part_{1 + sum(text.startswith('part_') for text in names.values())}"
            found.append((part, language.write(operand, names)))
            names[operand.key] = part


# JavaScript, for the page


def javascript(rows: Mapping[str, Any], arithmetic: Callable[[Any], Any]) -> str:
    """A statement that defines `operations`: for each row, by its key, its forward rule and its partials.

    Keys may be any texts: no markup comes through. Raises NotWritableError for a row whose rules are no formulas.
    """
    # Without a prototype: operations["constructor"] is a row, or nothing.
    members = ["__proto__: null", *[f"{_javascript_key(key)}: {javascript_row(rows[key], arithmetic)}" for key in rows]]
    return f"const operations = {_block('{', members, '}')};\n"


def javascript_row(op: Any, arithmetic: Callable[[Any], Any]) -> str:
    """A row as an object {forward: (x, y) => …, partials: [(out, x, y) => …, …]}; raises NotWritableError."""
    forward, partials = rules(op, arithmetic, "out")
    operands = _operand_names(op)
    functions = [javascript_function(formula, ["out", *operands]) for formula in partials]
    return _block(
        "{", [f"forward: {javascript_function(forward, operands)}", f"partials: {_block('[', functions, ']')}"], "}"
    )


def javascript_function(formula: Expression, parameters: Sequence[str]) -> str:
    """A formula as a function of its variables."""
    *parts, (_, result) = assignments({"result": formula}, JAVASCRIPT)
    head = f"({', '.join(parameters)}) =>"
    if not parts:
        return f"{head} {result}"
    lines = [*[f"const {part} = {text};" for part, text in parts], f"return {result};"]
    return "\n".join([f"{head} {{", *[f"  {line}" for line in lines], "}"])


def _block(opening: str, members: Sequence[str], closing: str) -> str:
    return "\n".join([opening, *[indent(f"{member},", "  ") for member in members], closing])


def _javascript_key(key: str) -> str:
    text = json.dumps(key).replace("<", "\\u003c")
    return f"[{text}]" if key == "__proto__" else text  # in brackets it is a key like any other


# Python, for the engine


def statements(formulas: Mapping[str, Expression]) -> list[str]:
    """Assignments of formulas to names, in order."""
    return [f"{result} = {text}" for result, text in assignments(formulas, PYTHON)]


def can_raise(formulas: Mapping[str, Expression]) -> bool:
    """Whether Python may raise where IEEE 754 has an infinity or a NaN."""
    return any(formula.is_costly or _divides(formula) for formula in formulas.values())


def _divides(formula: Expression) -> bool:
    return formula.kind == "/" or any(map(_divides, formula.operands))


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
    by_right = Expression("y or", [by_right])
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


# Python, for the tape

_X, _Y, _CONDITION = map(name, ("x", "y", "condition"))


def _as_number(condition: Expression) -> Expression:
    return PRIMITIVES["where"](condition, 1.0, 0.0)


_CHOICES = {
    "where": PRIMITIVES["where"](_CONDITION > 0.0, _X, _Y),
    "<": _as_number(_X < _Y),
    "<=": _as_number(_X <= _Y),
    ">": _as_number(_X > _Y),
    ">=": _as_number(_X >= _Y),
    "and": _as_number((_X > 0.0) & (_Y > 0.0)),
}
"""What a tape has besides the rows of the table; a condition is a number there, 1 or 0."""


def tape_kinds(rows: Mapping[str, Any]) -> list[str]:
    """What an operation of a tape may be: where it stands in this list is its number there."""
    return [*_CHOICES, *rows]


def tape_forward(rows: Mapping[str, Any], arithmetic: Callable[[Any], Any]) -> str:
    """A branch for each kind: it computes `data`, and moves `place` from its first operand to the next operation's."""
    branches = {}
    for kind, formula in _CHOICES.items():
        branches[kind] = _forward_branch([*(["condition"] if kind == "where" else []), "x", "y"], formula)
    for kind, op in rows.items():
        branches[kind] = _forward_branch(_operand_names(op), rules(op, arithmetic)[0])
    return _branches(branches, rows)


def _forward_branch(operands: Sequence[str], formula: Expression) -> list[str]:
    return [*_loads(operands), f"place += {len(operands)}", *statements({"data": formula})]


def _loads(operands: Sequence[str]) -> list[str]:
    return [f"{text} = values[{_operand(offset)}]" for offset, text in enumerate(operands)]


def _operand(offset: int) -> str:
    return f"operands[place + {offset}]" if offset else "operands[place]"


def tape_backward(rows: Mapping[str, Any], arithmetic: Callable[[Any], Any]) -> str:
    """A branch for each kind with derivatives: it moves `place` back to its first operand, and passes `gradient` on.

    Bit 0 of `wanted` says that x is to get its share, and bit 1 that y is.
    """
    x, y = _share(1, 0, "gradient"), _share(2, 1, "gradient")
    # What was not chosen gets nothing: 0 * gradient may be NaN.
    branches = {"where": ["place -= 3", "if values[operands[place]] > 0.0:", *_indent(x), "else:", *_indent(y)]}
    for kind, op in rows.items():
        operands = _operand_names(op)
        lines = [f"place -= {len(operands)}", *_loads(operands)]
        for bit, formula in enumerate(rules(op, arithmetic)[1]):
            *parts, (_, share) = assignments({"share": name("gradient") * formula}, PYTHON)
            computed = [f"{part} = {text}" for part, text in parts]
            lines += _share(bit, bit, share, computed) if op.arity == 2 else [*computed, _added(0, share)]
        branches[kind] = lines
    conditions = ["else:  # a condition has none", "    place -= 2"]
    return "\n".join([_branches(branches, rows), *conditions])


def _share(operand: int, bit: int, share: str, parts: Sequence[str] = ()) -> list[str]:
    return [f"if wanted & {1 << bit}:", *_indent([*parts, _added(operand, share)])]


def _added(operand: int, share: str) -> str:
    return f"adjoints[{_operand(operand)}] += {share}"


def _branches(branches: Mapping[str, list[str]], rows: Mapping[str, Any]) -> str:
    """A chain of `if` and `elif`, which a compiler makes one jump of, through a table of addresses."""
    numbers = {kind: number for number, kind in enumerate(tape_kinds(rows))}
    lines: list[str] = []
    for kind, branch in branches.items():
        lines += [f"{'elif' if lines else 'if'} kind == {numbers[kind]}:  # {kind}", *_indent(branch)]
    return "\n".join(lines)

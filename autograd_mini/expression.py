"""Expressions typed by a user, such as `sigmoid(w*x + b)`: parsed by Python's ast, and never evaluated by Python."""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from autograd_mini import functions
from autograd_mini.ops import ABS, ADD, DIV, MUL, NEG, POW, SUB, TABLE
from autograd_mini.value import Value, apply

MAX_LENGTH = 10_000
"""Characters. What a person types is far shorter, and Python's parser is safe up to here."""

CONSTANTS = {"pi": math.pi, "e": math.e}

# As rows and not as Python's operators, so that plain numbers too follow IEEE 754: 1/0 is inf.
_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: partial(apply, ADD),
    ast.Sub: partial(apply, SUB),
    ast.Mult: partial(apply, MUL),
    ast.Div: partial(apply, DIV),
    ast.Pow: partial(apply, POW),
    ast.USub: partial(apply, NEG),
    ast.UAdd: operator.pos,
}

_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": partial(apply, ABS)} | {
    name: getattr(functions, name) for name in functions.__all__ if name != "logsumexp"
}


@dataclass(frozen=True)
class _Step:
    """One step of a stack machine: push a number or a variable, or apply a function to the last `count` results."""

    number: float | None = None
    variable: str | None = None
    function: Callable[..., Any] | None = None
    count: int = 0


class Expression:
    """A function of named variables, read from text: Expression("w*x + b")(w=…, x=…, b=…).

    It knows + - * / **, numbers, pi and e, and the named functions of the table. `variables` lists its names in
    order of appearance.

    Raises ValueError, saying what is wrong and where, for anything else.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"expression: expected at most {MAX_LENGTH:,} characters, got {len(text):,}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python's advice on odd literals is for programs
                tree = ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            raise ValueError(f"expression: {error.msg} at character {error.offset or 1} of {_quote(text)}") from None
        except (RecursionError, MemoryError, ValueError):  # too deep for Python's parser, or a NUL character
            raise ValueError(f"expression: too deeply nested, or not text: {_quote(text)}") from None
        self._steps = _compile(tree.body)
        names = [step.variable for step in self._steps if step.variable is not None]
        self.variables = list(dict.fromkeys(names))

    def __call__(self, /, **numbers: Value | float) -> Any:
        """The value of the expression; raises ValueError where a variable is missing or unknown."""
        _check_names(self.variables, numbers)
        stack: list[Any] = []
        for step in self._steps:
            if step.function is not None:
                arguments = stack[len(stack) - step.count :]
                del stack[len(stack) - step.count :]
                stack.append(step.function(*arguments))
            elif step.variable is not None:
                known = step.variable in numbers
                stack.append(numbers[step.variable] if known else CONSTANTS[step.variable])
            else:
                stack.append(step.number)
        return stack[0]


def _check_names(variables: list[str], numbers: Mapping[str, object]) -> None:
    missing = [name for name in variables if name not in numbers and name not in CONSTANTS]
    if missing:
        raise ValueError(f"expression: expected a number for {_listed(missing)}, as in {_short(missing[0])}=1")
    unknown = [name for name in numbers if name not in variables]
    if unknown:
        raise ValueError(f"expression: {_listed(unknown)} is not in the expression")


def _compile(tree: ast.expr) -> list[_Step]:
    """The tree in the order in which a stack machine works, operands first; on an explicit stack, as it may be deep."""
    reversed_steps: list[_Step] = []
    pending: list[ast.expr] = [tree]
    while pending:
        step, operands = _read(pending.pop())
        reversed_steps.append(step)
        pending.extend(operands)
    return reversed_steps[::-1]


def _read(node: ast.expr) -> tuple[_Step, list[ast.expr]]:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            try:
                return _Step(number=float(number)), []
            except OverflowError:
                raise ValueError("expression: expected numbers below 1.8e308, got an integer beyond it") from None
        case ast.Name(id=name):
            return _Step(variable=name), []
        case ast.BinOp(left=left, op=symbol, right=right) if type(symbol) in _OPERATORS:
            return _Step(function=_OPERATORS[type(symbol)], count=2), [left, right]
        case ast.UnaryOp(op=symbol, operand=operand) if type(symbol) in _OPERATORS:
            return _Step(function=_OPERATORS[type(symbol)], count=1), [operand]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _Step(function=_function(name, len(arguments)), count=len(arguments)), arguments
    raise ValueError(
        f"expression: expected numbers, variables, + - * / ** (for powers) and functions, got "
        f"{_quote(_source(node))} at character {node.col_offset + 1}"
    )


def _function(name: str, count: int) -> Callable[..., Any]:
    if name not in _FUNCTIONS:
        raise ValueError(
            f"expression: expected one of {', '.join(sorted(_FUNCTIONS))}, got the function {_short(name)}"
        )
    row = TABLE[name]
    fewest = row.arity - sum("=" in parameter for parameter in row.parameters)
    if not fewest <= count <= row.arity:
        expected = f"{row.arity}" if fewest == row.arity else f"{fewest} or {row.arity}"
        raise ValueError(f"expression: {name} expected {expected} argument(s), got {count}")
    return _FUNCTIONS[name]


def _source(node: ast.expr) -> str:
    try:
        return ast.unparse(node)
    except RecursionError:
        return type(node).__name__


def _quote(text: str) -> str:
    return repr(_short(text))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _listed(names: list[str]) -> str:
    return ", ".join(map(_short, names[:8])) + (", …" if len(names) > 8 else "")

"""The command `autograd-mini`."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from autograd_mini.check import check_gradients
from autograd_mini.expression import Expression
from autograd_mini.installation import build_info
from autograd_mini.value import Value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 a check that did not pass, 2 a mistake in the arguments."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["check"]:
        # An expression may begin with a minus; behind a space argparse does not take it for an option.
        words = [f" {word}" if word[0:1] == "-" and word[1:2] not in ("-", "h", "") else word for word in words]
    chosen = _parser().parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no σ gets a question mark
    try:
        status = int(chosen.run(chosen))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads has read enough, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as mistake:
        print(f"autograd-mini {chosen.command}: {mistake}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="autograd-mini", description="Scalar automatic differentiation.")
    parser.add_argument("--version", action="version", version=str(build_info()))
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    check = commands.add_parser("check", help="check the gradient of an expression against finite differences")
    check.add_argument("expression", help="such as 'sigmoid(w*x + b)'")
    check.add_argument("numbers", nargs="*", metavar="name=number", help="a number for each variable, such as w=1")
    check.add_argument("--tolerance", type=float, default=1e-7, help="largest relative error that passes (1e-7)")
    check.set_defaults(run=_check)

    example = commands.add_parser("example", help="backpropagation through the worked example, number by number")
    example.add_argument(
        "--output", type=Path, default=Path("pictures"), metavar="FOLDER", help="where the pictures go (pictures)"
    )
    example.set_defaults(run=_example)
    return parser


def _check(chosen: argparse.Namespace) -> int:
    expression = Expression(chosen.expression)
    leaves: dict[str, Value] = {}
    for name, number in map(_assignment, chosen.numbers):
        if name in leaves:
            raise ValueError(f"{name} is given twice")
        leaves[name] = Value(number, name)
    result = expression(**leaves)
    if not isinstance(result, Value):
        raise ValueError("expected an expression with at least one variable")
    report = check_gradients(result, list(leaves.values()), tolerance=chosen.tolerance)
    print(f"{chosen.expression} = {result.data!r}")
    print(report)
    return 0 if report else 1


def _assignment(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    if not (equals and name.isidentifier()):
        raise ValueError(f"expected name=number, such as w=1, got {text!r}")
    try:
        return name, float(number)
    except ValueError:
        raise ValueError(f"expected a number for {name}, got {number!r}") from None


def _example(chosen: argparse.Namespace) -> int:
    # The one place where autograd_mini reaches for nn: the library never does, the command stands on top of both.
    from nn.worked_example import show

    show(chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

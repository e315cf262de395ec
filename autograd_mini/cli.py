"""The command `autograd-mini`."""

import argparse
import io
import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autograd_mini.check import check_gradients
from autograd_mini.expression import Expression
from autograd_mini.formula import visible
from autograd_mini.installation import build_info
from autograd_mini.value import Value
from autograd_mini.walkthrough import Walkthrough, walkthrough
from autograd_mini.walkthrough.terminal import step_through
from autograd_mini.whole_files import write_whole

_LONGEST_MISTAKE = 1_000
"""Characters: a file's name has up to 255, a path 4096."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 1 a check that did not pass, 2 a mistake, 130 Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    if words[:1] in (["check"], ["step"]):
        # An expression or a number may begin with a minus; behind a space argparse does not take it for an option.
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
    except (ValueError, OSError, ImportError) as mistake:
        print(f"autograd-mini {chosen.command}: {_one_line(str(mistake))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"autograd-mini {chosen.command}: stopped by Ctrl-C", file=sys.stderr)
        return 130


def _open_closed_streams() -> None:
    """Whoever closed one, as `>&-` and programs without a window do, wants to see nothing: Python has None there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # for as long as the program runs


def _one_line(mistake: str) -> str:
    """What stands in it may come out of a file, or be a file's name."""
    return visible(mistake if len(mistake) <= _LONGEST_MISTAKE else f"{mistake[: _LONGEST_MISTAKE - 1]}…")


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
    _add_step(commands.add_parser("step", help="step through both passes over an expression or a network"))
    _add_train(commands.add_parser("train", help="train a network on a table, and save it"))
    _add_predict(commands.add_parser("predict", help="predict with a network that was saved"))
    return parser


def _add_step(step: argparse.ArgumentParser) -> None:
    step.description = "Step through both passes: over the worked example, a network, or an expression."
    step.add_argument(
        "words", nargs="*", metavar="expression name=number", help="such as 'sigmoid(w*x + b)' w=1 x=2 b=0"
    )
    step.add_argument("--network", metavar="SIZES", help="inputs, then the neurons of each layer: 3-2-3-1")
    step.add_argument("--input", metavar="NUMBERS", help="what goes into the network: 2,4,3")
    step.add_argument("--activation", metavar="NAME", help="of the hidden layers: sigmoid, tanh, relu, …, or none")
    step.add_argument("--output-activation", metavar="NAME", help="of the last layer (none)")
    step.add_argument("--weights", metavar="NAME", help="ones, zeros, he, xavier or uniform (ones)")
    step.add_argument("--seed", metavar="NUMBER", help="a whole number, for weights that are drawn")
    step.add_argument("--target", metavar="NUMBERS", help="the mean squared error from these is the result")
    step.add_argument("--level", metavar="LEVEL", help="operation, expression, neuron or layer")
    step.add_argument("--all", action="store_true", help="print every step, in a terminal too")
    step.add_argument("--html", type=Path, metavar="PATH", help="write a page to step through in a browser")
    step.add_argument("--latex", type=Path, metavar="PATH", help="write the derivation as a LaTeX document")
    step.add_argument(
        "--leaf", metavar="NAME", help="print the paths that carry the gradient of this leaf: w⁰₁₁ or w011"
    )
    step.set_defaults(run=_step)


def _add_train(train: argparse.ArgumentParser) -> None:
    train.description = (
        "Train a network on a table, show its curve, and save it with what predict needs. Ctrl-C saves what was"
        " learnt, with exit status 130."
    )
    train.add_argument(
        "--data",
        required=True,
        help="a CSV file, or of scikit-learn's data sets digits, moons, breast_cancer or diabetes",
    )
    train.add_argument("--target", metavar="COLUMN", help="the column to predict")
    train.add_argument("--ignore", metavar="COLUMNS", help="columns to leave out, with commas between them")
    train.add_argument("--task", help="classification or regression; guessed from the target unless given")
    train.add_argument("--hidden", metavar="SIZES", help="neurons of each hidden layer, or none (16,16)")
    train.add_argument("--activation", metavar="NAME", help="of the hidden layers: relu, tanh, sigmoid, … (relu)")
    train.add_argument("--optimizer", metavar="NAME", help="adam, adamw or sgd (adam)")
    train.add_argument("--learning-rate", metavar="NUMBER", help="0.01 for adam and adamw, 0.05 for sgd")
    train.add_argument("--epochs", metavar="NUMBER", help="how often all rows are seen, before --resume too (50)")
    train.add_argument("--batch-size", metavar="NUMBER", help="rows an update (16)")
    train.add_argument("--validation", metavar="SHARE", help="of the rows, not trained on but measured (0.2)")
    train.add_argument("--standardize", metavar="on|off", help="bring columns to mean 0 and deviation 1 (on)")
    train.add_argument(
        "--early-stopping",
        metavar="EPOCHS",
        nargs="?",
        const="10",
        help="stop after so many epochs (10) without a better validation loss, and take the best",
    )
    train.add_argument("--seed", metavar="NUMBER", help="with the same one a run repeats exactly (0)")
    train.add_argument("--output", metavar="PATH", help="the network: .json or .safetensors (model.json, or --resume)")
    train.add_argument("--resume", metavar="PATH", help="go on with a network that train saved")
    train.add_argument("--plot", metavar="PATH", help="draw the curve: .png, .pdf or .svg")
    train.set_defaults(run=_train)


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.description = (
        "Predict with a network that train saved: a line of CSV for each row, with the probability of each class."
        " Columns are found by name; with the target column, accuracy or R² is told on standard error."
    )
    predict.add_argument("model", help="what train saved")
    predict.add_argument("--data", required=True, help="a CSV file, or a data set as for train")
    predict.add_argument("--output", metavar="PATH", help="a file for the predictions (standard output)")
    predict.set_defaults(run=_predict)


def _check(chosen: argparse.Namespace) -> int:
    result, leaves = _evaluate(chosen.expression, chosen.numbers)
    report = check_gradients(result, list(leaves.values()), tolerance=chosen.tolerance)
    print(f"{chosen.expression} = {result.data!r}")
    print(report)
    return 0 if report else 1


def _evaluate(text: str, assignments: Sequence[str]) -> tuple[Value, dict[str, Value]]:
    """The result of an expression, and its leaves by their names."""
    expression = Expression(text)
    leaves: dict[str, Value] = {}
    for name, number in map(_assignment, assignments):
        if name in leaves:
            raise ValueError(f"{name} is given twice")
        leaves[name] = Value(number, name)
    result = expression(**leaves)
    if not isinstance(result, Value):
        raise ValueError("expected an expression with at least one variable")
    return result, leaves


def _assignment(text: str) -> tuple[str, float]:
    name, equals, number = text.partition("=")
    name = unicodedata.normalize("NFKC", name)  # as Python's parser does with names: µ, the micro sign, is μ
    if not (equals and name.isidentifier()):
        raise ValueError(f"expected name=number, such as w=1, got {text!r}")
    try:
        return name, float(number)
    except ValueError:
        raise ValueError(f"expected a number for {name}, got {number!r}") from None


def _example(chosen: argparse.Namespace) -> int:
    # Here and in the functions below autograd_mini reaches for nn: the library never does, the command stands on both.
    from nn.worked_example import show

    show(chosen.output)
    return 0


def _train(chosen: argparse.Namespace) -> int:
    from nn.command import train

    return train(_options(chosen))


def _predict(chosen: argparse.Namespace) -> int:
    from nn.command import predict

    return predict(_options(chosen))


def _options(chosen: argparse.Namespace) -> dict[str, str | None]:
    return {name: word for name, word in vars(chosen).items() if name not in ("run", "command")}


# Stepping

_NETWORK_OPTIONS = ("network", "input", "activation", "output_activation", "weights", "seed", "target")


def _step(chosen: argparse.Namespace) -> int:
    options = {name: getattr(chosen, name) for name in _NETWORK_OPTIONS if getattr(chosen, name) is not None}
    if chosen.words and options:
        name = next(iter(options)).replace("_", "-")
        raise ValueError(f"expected an expression or a network, got the expression {chosen.words[0]!r} and --{name}")
    walk = walkthrough(_expression(chosen.words) if chosen.words else _network(options))
    walk.view(chosen.level or walk.default_level)  # says so before anything is written if there is no such level
    if chosen.html:
        _report(walk.save(chosen.html))
    if chosen.latex:
        _report(_write_latex(walk, chosen.latex, chosen.level))
    if chosen.leaf is not None:
        print(walk.provenance(_leaf(walk, chosen.leaf)))
    if chosen.all:
        print(walk.to_text(chosen.level))
    elif not (chosen.html or chosen.latex or chosen.leaf is not None):
        step_through(walk, chosen.level)
    return 0


def _expression(words: Sequence[str]) -> Value:
    result, leaves = _evaluate(words[0], words[1:])
    if result.op is not None:
        result.label = next((name for name in ("f", "y", "g", "h") if name not in leaves), "result")
    return result


def _network(options: dict[str, str]) -> Value:
    from nn.worked_example import network_output

    arguments: dict[str, Any] = {name: options[name] for name in ("weights",) if name in options}
    if "network" in options:
        arguments["sizes"] = [_whole_number("--network", size) for size in options["network"].split("-")]
        if "input" not in options:
            raise ValueError(f"--input: expected {arguments['sizes'][0]} numbers with commas between them, got none")
    for name, argument in (("input", "inputs"), ("target", "target")):
        if name in options:
            arguments[argument] = [_number(f"--{name}", number) for number in options[name].split(",")]
    for name in ("activation", "output_activation"):
        if name in options:
            arguments[name] = None if options[name] == "none" else options[name]
    if "seed" in options:
        arguments["seed"] = _whole_number("--seed", options["seed"])
    return network_output(**arguments)


def _whole_number(where: str, text: str) -> int:
    text = text.strip()
    if not (text.isdecimal() and len(text) < 20):
        raise ValueError(f"{where}: expected whole numbers{', such as 3-2-3-1' * (where == '--network')}, got {text!r}")
    return int(text)


def _number(where: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{where}: expected numbers with commas between them, such as 2,4,3, got {text!r}") from None


def _report(path: Path) -> None:
    print(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)")


def _write_latex(walk: Walkthrough, path: Path, level: str | None) -> Path:
    if path.suffix.lower() != ".tex":
        raise ValueError(f"--latex: expected a path ending in .tex, got {path.name!r}")
    if not path.parent.is_dir():
        raise ValueError(f"--latex: there is no folder {str(path.parent)!r}")
    write_whole(path, walk.to_latex(level))
    return path


def _leaf(walk: Walkthrough, name: str) -> Value:
    """The leaf of that name, which may be typed without raised and lowered digits: w011 for w⁰₁₁."""
    leaves = {each: node for each, node in zip(walk.passes.names, walk.passes.nodes, strict=True) if node.op is None}
    found = [each for each in leaves if name in (each, unicodedata.normalize("NFKC", each))]
    if not found:
        there = ", ".join(list(leaves)[:12]) + (", …" if len(leaves) > 12 else "")
        raise ValueError(f"--leaf: expected one of {there}, got {name!r}")
    return leaves[found[0]]


if __name__ == "__main__":
    sys.exit(main())

"""The engines, each as a function that records a program and hands back its loss and how to get the gradient.

Third-party modules are imported by name: what mypy says is not to depend on which of them are installed.
"""

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks.workloads import Functions, Loss


class Outcome(NamedTuple):
    """A loss and its derivatives by the parameters; of an engine without a backward pass there are none."""

    loss: float
    gradient: list[float]


Recording = Callable[[], Outcome]
"""The backward pass of a recorded program. As long as it is held, so is the graph."""

Record = Callable[[Loss, Sequence[float]], Recording]
"""record(loss, numbers) makes parameters of the numbers and runs the program on them."""


class EngineMissingError(Exception):
    """The engine cannot be measured here; the text says why."""


class Engine(NamedTuple):
    """An engine of the table."""

    name: str
    load: Callable[[], Record]
    package: str = ""
    """On PyPI; empty for what is not from there."""
    collects_garbage: bool = True
    """Whether Python's garbage collector is on, as users have it."""
    folder: str = ""
    """Where its build lies, from the root of the project; empty for what is installed."""


def plain_floats() -> Record:
    """Python's own numbers, forward only: what everything is compared with."""
    functions = Functions(math.tanh, lambda x: x if x > 0.0 else 0.0, math.sin)

    def record(loss: Loss, numbers: Sequence[float]) -> Recording:
        result = loss(numbers, functions)
        return lambda: Outcome(result, [])

    return record


def autograd_mini() -> Record:
    """Ours, whichever build Python finds first."""
    from autograd_mini import Value

    return values(Value, Functions(Value.tanh, Value.relu, Value.sin))


def autograd_mini_compiled() -> Record:
    """Ours, compiled: `make bench` builds it into build/compiled."""
    from autograd_mini import build_info

    if not build_info().compiled:
        raise EngineMissingError("not built: `make bench` does, where it finds a C compiler")
    return autograd_mini()


def autograd_mini_interpreted() -> Record:
    """Ours, as the sources are."""
    from autograd_mini import build_info

    if build_info().compiled:
        raise EngineMissingError("not installed: the build that is, is the compiled one")
    return autograd_mini()


def slots_and_tuples() -> Record:
    """A `Value` with slots and tuples, as in microgpt."""
    from benchmarks.slots_engine import Value

    return values(Value, Functions(Value.tanh, Value.relu, Value.sin))


def micrograd() -> Record:
    """micrograd, which has relu only: tanh and sin are written as its relu is."""
    kind: Any = importlib.import_module("micrograd.engine").Value

    def function(
        forward: Callable[[float], float], derivative: Callable[[float, float], float]
    ) -> Callable[[Any], Any]:
        def record(operand: Any) -> Any:
            out = kind(forward(operand.data), (operand,), forward.__name__)

            def _backward() -> None:
                operand.grad += derivative(operand.data, out.data) * out.grad

            out._backward = _backward
            return out

        return record

    tanh = function(math.tanh, lambda x, out: 1 - out * out)
    return values(kind, Functions(tanh, kind.relu, function(math.sin, lambda x, out: math.cos(x))))


def values(kind: Any, functions: Functions) -> Record:
    """An engine whose numbers have `data`, `grad` and `backward()`."""

    def record(loss: Loss, numbers: Sequence[float]) -> Recording:
        parameters = [kind(number) for number in numbers]
        result = loss(parameters, functions)

        def differentiate() -> Outcome:
            result.backward()
            return Outcome(result.data, [parameter.grad for parameter in parameters])

        return differentiate

    return record


def hips_autograd() -> Record:
    """HIPS autograd, as its `value_and_grad` calls it, but so that the graph can be held."""
    numpy: Any = importlib.import_module("autograd.numpy")
    make_vjp: Any = importlib.import_module("autograd.core").make_vjp
    functions = Functions(numpy.tanh, lambda x: numpy.maximum(x, 0.0), numpy.sin)

    def record(loss: Loss, numbers: Sequence[float]) -> Recording:
        vjp, value = make_vjp(lambda parameters: loss(list(parameters), functions), tuple(numbers))
        return lambda: Outcome(float(value), [float(number) for number in vjp(1.0)])

    return record


def pytorch_scalars() -> Record:
    """PyTorch on tensors of one float64 each, on one thread."""
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(1)
    functions = Functions(torch.tanh, torch.relu, torch.sin)

    def record(loss: Loss, numbers: Sequence[float]) -> Recording:
        parameters = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
        result = loss(parameters, functions)

        def differentiate() -> Outcome:
            result.backward()
            return Outcome(result.item(), [parameter.grad.item() for parameter in parameters])

        return differentiate

    return record


def casadi() -> Record:
    """CasADi on SX scalars: building the expression of the gradient and evaluating it once count as the gradient."""
    library: Any = importlib.import_module("casadi")
    functions = Functions(library.tanh, lambda x: library.fmax(x, 0.0), library.sin)

    def record(loss: Loss, numbers: Sequence[float]) -> Recording:
        symbols = library.SX.sym("x", len(numbers))
        result = loss(library.vertsplit(symbols), functions)
        by_symbols = library.gradient(result, symbols)
        function = library.Function("loss_and_gradient", [symbols], [result, by_symbols])

        def differentiate() -> Outcome:
            value, gradient = function(numbers)
            return Outcome(float(value), gradient.full().ravel().tolist())

        return differentiate

    return record


ENGINES = {
    "floats": Engine("plain floats, forward only", plain_floats),
    "compiled": Engine("autograd-mini, compiled", autograd_mini_compiled, folder="build/compiled"),
    "interpreted": Engine("autograd-mini, interpreted", autograd_mini_interpreted),
    "slots": Engine("slots and tuples", slots_and_tuples),
    "micrograd": Engine("micrograd", micrograd, "micrograd"),
    "autograd": Engine("HIPS autograd", hips_autograd, "autograd"),
    "torch": Engine("PyTorch scalars", pytorch_scalars, "torch"),
    "casadi": Engine("CasADi", casadi, "casadi"),
}
ENGINES |= {
    f"{key}-without-collector": ENGINES[key]._replace(collects_garbage=False) for key in ("compiled", "interpreted")
}
"""By the names that the options take."""

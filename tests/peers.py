"""Engines that run random graphs: ours in all its ways, PyTorch, JAX and HIPS autograd; and what each is known to lose.

Third-party modules are imported by name: what mypy says is not to depend on which of them are installed.
"""

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from benchmarks.engines import Outcome, Record, autograd_mini, hips_autograd, pytorch_scalars
from exact_graphs import EPSILON, Losses
from random_graphs import ARITHMETIC, OURS, Functions, Graph

from autograd_mini import compile_graph

Differentiate = Callable[[Callable[[Sequence[Any]], Any], Sequence[float]], Outcome]
"""Value and gradient of a function of an engine's numbers, at these."""


class Engine(NamedTuple):
    """An engine, as a function of a graph that gives its value and its gradient."""

    functions: Functions
    """For every row, and log-sum-exp, the engine's own; what it lacks is written in its functions."""
    differentiate: Differentiate
    losses: Losses
    constant: Callable[[Any], Any] = float
    """Makes one of the engine's numbers of a plain one."""

    def __call__(self, graph: Graph) -> Outcome:
        return self.differentiate(lambda leaves: graph.run(self.functions, leaves, self.constant), graph.leaves)


def _by(record: Record) -> Differentiate:
    """As the benchmarks do it."""
    return lambda function, numbers: record(lambda leaves, _: function(leaves), numbers)()


SMOOTH = ("exp", "log", "log1p", "expm1", "sqrt", "sin", "cos", "tan", "tanh")
OF_TWO = ("logaddexp", "maximum", "minimum")


# What is lost: the size of what a formula rounds, where that is more than its result.


def _bell(x: float) -> float:
    return 2.0 / math.sqrt(math.pi) * math.exp(-x * x)


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


def _of_pow(x: float, y: float) -> tuple[float, float, float]:
    """y - 1 is rounded, in the exponent of the derivative by x."""
    exponent = (y - 1.0) * math.log(abs(x))
    return 0.0, abs(y * math.exp(exponent) * exponent), 0.0


def _of_bell(x: float) -> tuple[float, float]:
    """x² is rounded, in the exponent of the derivative."""
    return 0.0, _bell(x) * x * x


def _of_log_sum_exp(*xs: float) -> tuple[float, ...]:
    """The largest of them is added to what the others make of it, or subtracted from the result, in an exponent."""
    largest = max(map(abs, xs))
    total = math.fsum(math.exp(x - max(xs)) for x in xs)
    return len(xs) * largest, *(2.0 * len(xs) * largest * math.exp(x - max(xs)) / total for x in xs)


def _of_cephes_erfc(x: float) -> tuple[float, float]:
    """SciPy's erfc and XLA's have x² rounded as well, and are off by six last digits below 1."""
    return math.erfc(x) * (5.0 + x * x), _of_bell(x)[1]


def _of_gelu(x: float) -> tuple[float, float]:
    """x² is rounded in exponents, and the derivative is a difference where x is negative."""
    share, slope = 0.5 * math.erfc(-x * math.sqrt(0.5)), abs(x) * _bell(x * math.sqrt(0.5)) * math.sqrt(0.125)
    lost = 1.0 + x * x
    return share * abs(x) * lost, (share + slope) * lost


def _of_exp_of_difference(x: float) -> tuple[float, float]:
    """Where the derivative of softplus is exp(x - softplus(x)): the difference is rounded."""
    return 0.0, abs(x) * _sigmoid(x)


OUR_LOSSES: Losses = {
    "pow": _of_pow,
    "logaddexp": _of_log_sum_exp,
    "logsumexp": _of_log_sum_exp,
    "erf": _of_bell,
    "erfc": _of_bell,
    "gelu": _of_gelu,
}

ONE_MINUS_SIGMOID: Losses = {"sigmoid": lambda x: (0.0, _sigmoid(x))}
"""Where σ′ is σ(1 - σ): far out on the right σ rounds to 1, and the derivative to 0 (ours takes σ(-x))."""

ONE_MINUS_TANH: Losses = {"tanh": lambda x: (0.0, 1.0)}
"""Where tanh′ is 1 - tanh²: beyond 19 tanh rounds to ±1, and the derivative to 0 (ours takes 4 σ(2x) σ(-2x))."""

ONE_MORE_THAN_EXPM1: Losses = {"expm1": lambda x: (0.0, 1.0)}
"""Where the derivative of eˣ - 1 is the result plus 1: far out on the left it rounds to -1 + 1 (ours takes eˣ)."""


# The engines.


def ours() -> Engine:
    """`Value`s and backward(), with constants of all kinds as they are."""
    return Engine(OURS, _by(autograd_mini()), OUR_LOSSES, lambda number: number)


def compiled(executor: str) -> Engine:
    """`compile_graph`; on arrays its erfc is SciPy's, where that is installed."""

    def differentiate(function: Callable[[Sequence[Any]], Any], numbers: Sequence[float]) -> Outcome:
        return Outcome(*compile_graph(function, list(numbers), executor=executor).value_and_grad(list(numbers)))

    losses = {**OUR_LOSSES, "erfc": _of_cephes_erfc} if executor == "numpy" else OUR_LOSSES
    return ours()._replace(differentiate=differentiate, losses=losses)


def pytorch() -> Engine:
    """PyTorch, on tensors of one float64 each."""
    torch: Any = importlib.import_module("torch")
    functions = {
        **ARITHMETIC,
        **{name: getattr(torch, name) for name in (*SMOOTH, *OF_TWO, "sigmoid", "relu", "erf", "erfc")},
        **{name: getattr(torch.nn.functional, name) for name in ("softplus", "gelu")},
        "leaky_relu": lambda x, slope: torch.where(x > 0, x, slope * x),  # theirs has no derivative by the slope
        "logsumexp": lambda *terms: torch.logsumexp(torch.stack(terms), 0),
    }
    losses = {
        **OUR_LOSSES,
        **ONE_MINUS_SIGMOID,
        **ONE_MINUS_TANH,
        **ONE_MORE_THAN_EXPM1,
        "softplus": lambda x: (math.exp(-x) / EPSILON,) * 2 if x > 20.0 else (0.0, 0.0),  # beyond 20 theirs is x
        "gelu": lambda x: (abs(x), _of_gelu(x)[1] + 1.0),  # by 1 + erf(x/√2): no digits are left beyond -8
    }
    return Engine(functions, _by(pytorch_scalars()), losses, lambda x: torch.tensor(float(x), dtype=torch.float64))


def jax() -> Engine:
    """JAX, operation by operation, in double precision while it runs here and only then."""
    library: Any = importlib.import_module("jax")
    numpy, special = library.numpy, importlib.import_module("jax.scipy.special")
    functions = {
        **ARITHMETIC,
        **{name: getattr(numpy, name) for name in (*SMOOTH, *OF_TWO)},
        **{name: getattr(library.nn, name) for name in ("sigmoid", "softplus", "relu", "leaky_relu")},
        **{name: getattr(special, name) for name in ("erf", "erfc")},
        "gelu": lambda x: library.nn.gelu(x, approximate=False),
        "logsumexp": lambda *terms: special.logsumexp(numpy.stack(terms)),
    }
    losses = {
        **OUR_LOSSES,
        **ONE_MINUS_SIGMOID,
        **ONE_MORE_THAN_EXPM1,
        "tanh": lambda x: (4.0, 8.0),  # XLA's is off by up to four last digits, and the derivative is 1 - tanh²
        "log1p": lambda x: (129.0 * abs(math.log1p(x)) if -0.53 < x < -0.28 else 0.0, 0.0),  # jax issue 39707
        "softplus": _of_exp_of_difference,
        "erfc": _of_cephes_erfc,
    }

    def differentiate(function: Callable[[Sequence[Any]], Any], numbers: Sequence[float]) -> Outcome:
        with library.enable_x64(True):
            value, gradient = library.value_and_grad(function)(list(numbers))
            return Outcome(float(value), list(map(float, gradient)))

    return Engine(functions, differentiate, losses)


def hips() -> Engine:
    """HIPS autograd, which differentiates NumPy's functions and SciPy's."""
    numpy: Any = importlib.import_module("autograd.numpy")
    special: Any = importlib.import_module("autograd.scipy.special")
    functions = {
        **ARITHMETIC,
        **{name: getattr(numpy, name) for name in (*SMOOTH, *OF_TWO)},
        **{name: getattr(special, name) for name in ("erf", "erfc")},
        "sigmoid": special.expit,
        "softplus": lambda x: numpy.logaddexp(0.0, x),
        "relu": lambda x: numpy.maximum(x, 0.0),
        "leaky_relu": lambda x, slope: numpy.maximum(x, 0.0) + slope * numpy.minimum(x, 0.0),
        "gelu": lambda x: 0.5 * x * special.erfc(-x * math.sqrt(0.5)),
        "logsumexp": lambda *terms: special.logsumexp(numpy.array(terms)),
    }
    losses = {
        **OUR_LOSSES,
        **ONE_MINUS_SIGMOID,
        **ONE_MORE_THAN_EXPM1,
        "softplus": _of_exp_of_difference,
        "erfc": _of_cephes_erfc,
    }
    recorded = _by(hips_autograd())

    def differentiate(function: Callable[[Sequence[Any]], Any], numbers: Sequence[float]) -> Outcome:
        with np.errstate(over="ignore"):  # 1 / cosh² far out is 0, as it should be
            return recorded(function, numbers)

    return Engine(functions, differentiate, losses)


PEERS: Mapping[str, tuple[str, Callable[[], Engine]]] = {
    "PyTorch": ("torch", pytorch),
    "JAX": ("jax", jax),
    "HIPS autograd": ("autograd", hips),
}
"""By the package that has it, and how it is loaded."""

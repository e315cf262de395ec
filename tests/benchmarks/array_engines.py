"""The engines beside the compiled path, each as an expert of it would write the programs: on whole arrays.

An engine prepares a program once (traces, compiles, puts the data where it wants them), and what it hands back
computes the loss and its gradient, again and again. Third-party modules are imported by name, as in `engines`.
"""

import importlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from benchmarks import slots_engine
from benchmarks.array_workloads import ARRAY_PROGRAMS, Array, ArrayWorkload, Parameters
from benchmarks.workloads import REGULARIZATION

Gradient = dict[str, Any]
"""By the parameters' names, in what NumPy takes for arrays."""

Evaluate = Callable[[], tuple[Any, Gradient]]
"""The loss and its gradient, computed anew."""

Prepare = Callable[[ArrayWorkload], Evaluate]


class ArrayEngine(NamedTuple):
    """An engine of the tables."""

    name: str
    programs: dict[str, Prepare]
    """What it runs, by the names in `ARRAY_PROGRAMS`."""
    package: str = ""
    """On PyPI; empty for what is not from there."""


# Ours


def compiled_graph(workload: ArrayWorkload) -> Evaluate:
    """`compile_graph` of the scalar program."""
    library: Any = importlib.import_module("autograd_mini")
    sample = workload.samples[0]
    compiled = library.compile_graph(
        lambda parameters, *numbers: workload.loss(library, parameters, *numbers),
        workload.parameters,
        *sample,
        reduction=workload.reduction,
    )
    return lambda: compiled.value_and_grad(workload.parameters, *workload.data)


# A scalar engine: sample by sample


def slots_and_tuples(workload: ArrayWorkload) -> Evaluate:
    """The scalar program on `slots_engine`, without the rest of each sample: letters that nothing counts after."""
    kind = slots_engine.Value
    sys.setrecursionlimit(1_000_000)  # its backward pass is a recursion
    functions = SimpleNamespace(exp=kind.exp, relu=kind.relu, logsumexp=slots_engine.logsumexp)
    samples = []
    for letters, targets in workload.samples:
        is_needed = targets.any(axis=1)
        samples.append((letters[is_needed].tolist(), targets[is_needed].tolist()))

    def evaluate() -> tuple[Any, Gradient]:
        parameters = {name: as_objects(kind, each) for name, each in workload.parameters.items()}
        total = 0.0
        for sample in samples:
            loss = workload.loss(functions, parameters, *sample)
            loss.backward()
            total += loss.data
        count = len(samples)
        gradient = {name: as_objects(lambda value: value.grad / count, each) for name, each in parameters.items()}
        return total / count, gradient

    return evaluate


def as_objects(make: Callable[[Any], Any], numbers: Array) -> Array:
    """What it makes of each, in the same shape; of a single number no array."""
    found = np.empty(np.shape(numbers), dtype=object)
    for index, number in np.ndenumerate(numbers):
        found[index] = make(number)
    return found[()]


# NumPy, both passes written by hand: samples are columns


def numpy_two_moons(workload: ArrayWorkload) -> Evaluate:
    """relu and the hinge loss: what is cut off is zero in both passes."""

    def loss_and_gradient(p: Parameters, x: Array, y: Array) -> tuple[Any, Gradient]:
        hidden1 = p["W1"] @ x
        hidden1 += p["b1"][:, None]
        np.maximum(hidden1, 0.0, out=hidden1)
        hidden2 = p["W2"] @ hidden1
        hidden2 += p["b2"][:, None]
        np.maximum(hidden2, 0.0, out=hidden2)
        margin = p["W3"][0] @ hidden2
        margin += p["b3"]
        margin *= y
        hinge = np.maximum(1.0 - margin, 0.0)
        penalty = sum(np.vdot(each, each) for each in p.values())
        loss = hinge.sum() / len(y) + REGULARIZATION * penalty

        by_score = y * (hinge > 0.0)
        by_score /= -len(y)
        by_hidden2 = p["W3"].T * by_score
        by_hidden2 *= hidden2 > 0.0
        by_hidden1 = p["W2"].T @ by_hidden2
        by_hidden1 *= hidden1 > 0.0
        gradient = {
            "W1": by_hidden1 @ x.T,
            "b1": by_hidden1.sum(axis=1),
            "W2": by_hidden2 @ hidden1.T,
            "b2": by_hidden2.sum(axis=1),
            "W3": (hidden2 @ by_score)[None],
            "b3": by_score.sum(keepdims=True),
        }
        for name, each in gradient.items():
            each += 2 * REGULARIZATION * p[name]
        return loss, gradient

    return lambda: loss_and_gradient(workload.parameters, *workload.data)


def numpy_tanh_network(workload: ArrayWorkload) -> Evaluate:
    """The derivative of tanh from its result: 1 − t²."""

    def loss_and_gradient(p: Parameters, x: Array, y: Array) -> tuple[Any, Gradient]:
        hidden1 = p["W1"] @ x
        hidden1 += p["b1"][:, None]
        np.tanh(hidden1, out=hidden1)
        hidden2 = p["W2"] @ hidden1
        hidden2 += p["b2"][:, None]
        np.tanh(hidden2, out=hidden2)
        difference = p["W3"][0] @ hidden2
        difference += p["b3"]
        difference -= y
        loss = difference @ difference

        by_score = 2.0 * difference
        by_hidden2 = p["W3"].T * by_score
        by_hidden2 *= 1.0 - hidden2 * hidden2
        by_hidden1 = p["W2"].T @ by_hidden2
        by_hidden1 *= 1.0 - hidden1 * hidden1
        return loss, {
            "W1": by_hidden1 @ x.T,
            "b1": by_hidden1.sum(axis=1),
            "W2": by_hidden2 @ hidden1.T,
            "b2": by_hidden2.sum(axis=1),
            "W3": (hidden2 @ by_score)[None],
            "b3": by_score.sum(keepdims=True),
        }

    return lambda: loss_and_gradient(workload.parameters, *workload.data)


def numpy_classifier(workload: ArrayWorkload) -> Evaluate:
    """The gradient by the logits is the softmax less the classes."""
    depth = len(workload.parameters) // 2

    def loss_and_gradient(p: Parameters, x: Array, y: Array) -> tuple[Any, Gradient]:
        inputs = [x]
        for number in range(1, depth + 1):
            z = p[f"W{number}"] @ inputs[-1]
            z += p[f"b{number}"][:, None]
            if number < depth:
                inputs.append(np.maximum(z, 0.0, out=z))
        batch = x.shape[1]
        highest = z.max(axis=0)
        loss = highest.sum() - np.vdot(y, z)
        z -= highest
        np.exp(z, out=z)
        sums = z.sum(axis=0)
        loss += np.log(sums).sum()
        z /= sums
        z -= y
        z /= batch
        gradient: Gradient = {}
        for number in range(depth, 0, -1):
            gradient[f"W{number}"] = z @ inputs[number - 1].T
            gradient[f"b{number}"] = z.sum(axis=1)
            if number > 1:
                z = p[f"W{number}"].T @ z
                z *= inputs[number - 1] > 0.0
        return loss / batch, gradient

    return lambda: loss_and_gradient(workload.parameters, *workload.data)


def numpy_mixture(workload: ArrayWorkload) -> Evaluate:
    """The formula as the scalar program has it, on an array of components, dimensions and points."""

    def loss_and_gradient(p: Parameters, x: Array) -> tuple[Any, Gradient]:
        logits, log_scales = p["logits"], p["log_scales"]
        inverse = np.exp(-log_scales)
        z = x - p["means"][:, :, None]
        z *= inverse[:, :, None]
        squares = z * z
        terms = squares.sum(axis=1)
        terms *= -0.5
        terms += (logits - log_scales.sum(axis=1))[:, None]
        highest = terms.max(axis=0)
        terms -= highest
        np.exp(terms, out=terms)
        sums = terms.sum(axis=0)
        terms /= sums  # the probability of each component, given the point
        points = x.shape[1]
        highest += np.log(sums)
        top = logits.max()
        weights = np.exp(logits - top)
        weight_sum = weights.sum()
        constant = x.shape[0] / 2 * np.log(2 * np.pi)
        loss = top + np.log(weight_sum) + constant - highest.sum() / points

        terms /= -points
        totals = terms.sum(axis=1)
        by_means = np.matmul(z, terms[:, :, None])[:, :, 0]
        by_means *= inverse
        by_scales = np.matmul(squares, terms[:, :, None])[:, :, 0]
        by_scales -= totals[:, None]
        return loss, {"logits": weights / weight_sum + totals, "means": by_means, "log_scales": by_scales}

    return lambda: loss_and_gradient(workload.parameters, *workload.data)


def numpy_mixture_expanded(workload: ArrayWorkload) -> Evaluate:
    """With the square multiplied out: Σ (x − m)² w = w·x² − 2 (w m)·x + w·m², matrix products all of them."""

    def loss_and_gradient(p: Parameters, x: Array) -> tuple[Any, Gradient]:
        logits, means, log_scales = p["logits"], p["means"], p["log_scales"]
        precisions = np.exp(-2.0 * log_scales)
        weighted = precisions * means
        squares = x * x
        terms = weighted @ x
        terms -= 0.5 * (precisions @ squares)
        terms += (logits - log_scales.sum(axis=1) - 0.5 * (weighted * means).sum(axis=1))[:, None]
        highest = terms.max(axis=0)
        terms -= highest
        np.exp(terms, out=terms)
        sums = terms.sum(axis=0)
        terms /= sums  # the probability of each component, given the point
        points = x.shape[1]
        highest += np.log(sums)
        top = logits.max()
        weights = np.exp(logits - top)
        weight_sum = weights.sum()
        constant = x.shape[0] / 2 * np.log(2 * np.pi)
        loss = top + np.log(weight_sum) + constant - highest.sum() / points

        terms /= -points
        totals = terms.sum(axis=1)
        by_points = terms @ x.T
        by_squares = terms @ squares.T
        by_means = precisions * (by_points - totals[:, None] * means)
        by_scales = precisions * (by_squares - 2.0 * means * by_points + totals[:, None] * means * means)
        by_scales -= totals[:, None]
        return loss, {"logits": weights / weight_sum + totals, "means": by_means, "log_scales": by_scales}

    return lambda: loss_and_gradient(workload.parameters, *workload.data)


# PyTorch, eager: samples are rows


def torch_program(loss: Callable[..., Any]) -> Prepare:
    """A loss of tensors: loss(torch, parameters, *data)."""

    def prepare(workload: ArrayWorkload) -> Evaluate:
        torch: Any = importlib.import_module("torch")
        torch.set_num_threads(1)
        parameters = {name: torch.tensor(each, requires_grad=True) for name, each in workload.parameters.items()}
        leaves = list(parameters.values())
        data = [torch.tensor(each.T.copy()) for each in workload.data]

        def evaluate() -> tuple[Any, Gradient]:
            value = loss(torch, parameters, *data)
            gradient = torch.autograd.grad(value, leaves)
            return value.item(), dict(zip(parameters, gradient, strict=True))

        return evaluate

    return prepare


def torch_two_moons(torch: Any, p: Parameters, x: Any, y: Any) -> Any:
    """The scores of a network with relu, hinge loss, penalty."""
    hidden = torch.relu(torch.nn.functional.linear(x, p["W1"], p["b1"]))
    hidden = torch.relu(torch.nn.functional.linear(hidden, p["W2"], p["b2"]))
    scores = torch.nn.functional.linear(hidden, p["W3"], p["b3"])[:, 0]
    penalty = sum((each * each).sum() for each in p.values())
    return torch.relu(1.0 - y * scores).mean() + REGULARIZATION * penalty


def torch_tanh_network(torch: Any, p: Parameters, x: Any, y: Any) -> Any:
    """The scores of a network with tanh, squared loss."""
    hidden = torch.tanh(torch.nn.functional.linear(x, p["W1"], p["b1"]))
    hidden = torch.tanh(torch.nn.functional.linear(hidden, p["W2"], p["b2"]))
    scores = torch.nn.functional.linear(hidden, p["W3"], p["b3"])[:, 0]
    return torch.nn.functional.mse_loss(scores, y, reduction="sum")


def torch_classifier(torch: Any, p: Parameters, x: Any, y: Any) -> Any:
    """Its own cross-entropy."""
    depth = len(p) // 2
    for number in range(1, depth + 1):
        x = torch.nn.functional.linear(x, p[f"W{number}"], p[f"b{number}"])
        if number < depth:
            x = torch.relu(x)
    return torch.nn.functional.cross_entropy(x, y)


# CasADi: the scalar program on SX, mapped over the batch


def casadi_map(workload: ArrayWorkload) -> Evaluate:
    """The loss of one sample and its gradient as expressions, a function of them for all samples, their sum."""
    library: Any = importlib.import_module("casadi")
    functions = SimpleNamespace(tanh=library.tanh, relu=lambda x: library.fmax(x, 0.0), sin=library.sin)
    flat = np.concatenate([each.ravel() for each in workload.parameters.values()])
    vector = library.SX.sym("p", len(flat))
    symbols = iter(library.vertsplit(vector))
    parameters = {name: as_objects(lambda _: next(symbols), each) for name, each in workload.parameters.items()}
    sample = [library.SX.sym("x", each[..., 0].size) for each in workload.data]
    numbers = [
        library.vertsplit(each) if data.ndim > 1 else each for each, data in zip(sample, workload.data, strict=True)
    ]
    loss = workload.loss(functions, parameters, *numbers)
    one = library.Function("one", [vector, *sample], [loss, library.gradient(loss, vector)])
    batch = workload.data[0].shape[-1] if workload.data else 1
    function = one.map("all", "serial", batch, [0], [0, 1]) if workload.data else one
    data = [library.DM(np.atleast_2d(each)) for each in workload.data]
    scale = 1 / batch if workload.reduction == "mean" else 1.0
    ends = np.cumsum([each.size for each in workload.parameters.values()])[:-1]

    def evaluate() -> tuple[Any, Gradient]:
        loss, gradient = function(flat, *data)
        parts = np.split(gradient.full().ravel() * scale, ends)
        shaped = [part.reshape(each.shape) for part, each in zip(parts, workload.parameters.values(), strict=True)]
        return float(loss) * scale, dict(zip(workload.parameters, shaped, strict=True))

    return evaluate


# JAX, compiled by XLA: samples are columns


def jax_program(loss: Callable[..., Any]) -> Prepare:
    """A loss of arrays: loss(jax, parameters, *data), with the data as arguments as a training has them."""

    def prepare(workload: ArrayWorkload) -> Evaluate:
        jax: Any = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)
        function = jax.jit(jax.value_and_grad(lambda parameters, *data: loss(jax, parameters, *data)))
        parameters = {name: jax.numpy.asarray(each) for name, each in workload.parameters.items()}
        data = [jax.numpy.asarray(each) for each in workload.data]

        def evaluate() -> tuple[Any, Gradient]:
            result: tuple[Any, Gradient] = jax.block_until_ready(function(parameters, *data))
            return result

        return evaluate

    return prepare


def jax_two_moons(jax: Any, p: Parameters, x: Any, y: Any) -> Any:
    """The scores of a network with relu, hinge loss, penalty."""
    hidden = jax.nn.relu(p["W1"] @ x + p["b1"][:, None])
    hidden = jax.nn.relu(p["W2"] @ hidden + p["b2"][:, None])
    scores = (p["W3"] @ hidden + p["b3"][:, None])[0]
    penalty = sum((each * each).sum() for each in p.values())
    return jax.nn.relu(1.0 - y * scores).mean() + REGULARIZATION * penalty


def jax_tanh_network(jax: Any, p: Parameters, x: Any, y: Any) -> Any:
    """The scores of a network with tanh, squared loss."""
    hidden = jax.numpy.tanh(p["W1"] @ x + p["b1"][:, None])
    hidden = jax.numpy.tanh(p["W2"] @ hidden + p["b2"][:, None])
    difference = (p["W3"] @ hidden + p["b3"][:, None])[0] - y
    return (difference * difference).sum()


def jax_mixture(jax: Any, p: Parameters, x: Any) -> Any:
    """The formula as the scalar program has it."""
    z = (x - p["means"][:, :, None]) * jax.numpy.exp(-p["log_scales"])[:, :, None]
    terms = (p["logits"] - p["log_scales"].sum(axis=1))[:, None] - 0.5 * (z * z).sum(axis=1)
    constant = x.shape[0] / 2 * np.log(2 * np.pi)
    logsumexp = jax.scipy.special.logsumexp
    return logsumexp(p["logits"]) + constant - logsumexp(terms, axis=0).mean()


def jax_chain(workload: ArrayWorkload) -> Evaluate:
    """The steps as a scan; what is left of one after it."""
    steps, rest = divmod(workload.size, 3)

    def loss(jax: Any, p: Parameters) -> Any:
        sin = jax.numpy.sin
        x, a, b = p["xab"]
        x, _ = jax.lax.scan(lambda x, _: (sin(x) * a + b, None), x, None, length=steps)
        if rest > 0:
            x = sin(x)
        return x * a if rest > 1 else x

    return jax_program(loss)(workload)


ARRAY_ENGINES = {
    "ours": ArrayEngine("autograd-mini, compile_graph", dict.fromkeys(ARRAY_PROGRAMS, compiled_graph)),
    "numpy": ArrayEngine(
        "NumPy, written by hand",
        {
            "two-moons": numpy_two_moons,
            "tanh-network": numpy_tanh_network,
            "digits": numpy_classifier,
            "wide": numpy_classifier,
            "mixture": numpy_mixture,
        },
        "numpy",
    ),
    "numpy-expanded": ArrayEngine("NumPy, the square multiplied out", {"mixture": numpy_mixture_expanded}),
    "slots": ArrayEngine("slots and tuples, number by number", {"tiny-gpt": slots_and_tuples}),
    "torch": ArrayEngine(
        "PyTorch, eager",
        {
            "two-moons": torch_program(torch_two_moons),
            "tanh-network": torch_program(torch_tanh_network),
            "digits": torch_program(torch_classifier),
            "wide": torch_program(torch_classifier),
        },
        "torch",
    ),
    "casadi": ArrayEngine(
        "CasADi, SX", {"two-moons": casadi_map, "tanh-network": casadi_map, "chain": casadi_map}, "casadi"
    ),
    "jax": ArrayEngine(
        "JAX, jit",
        {
            "two-moons": jax_program(jax_two_moons),
            "tanh-network": jax_program(jax_tanh_network),
            "mixture": jax_program(jax_mixture),
            "chain": jax_chain,
        },
        "jax",
    ),
}
"""By the names that the options take."""

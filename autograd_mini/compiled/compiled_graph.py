"""`compile_graph`: an ordinary function of numbers, traced once and run as array code."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from autograd_mini.anomaly import detect_anomaly, lines_here
from autograd_mini.compiled import executors
from autograd_mini.compiled.anomalies import BadCall, Recording, Run, is_finite
from autograd_mini.compiled.arguments import Argument, check_count, is_view, plain, read_parts
from autograd_mini.compiled.collector import paused_collector
from autograd_mini.compiled.executors import Executor
from autograd_mini.compiled.explanation import explanation
from autograd_mini.compiled.onnx_backend import onnx_model
from autograd_mini.compiled.scalars import Group, Scalars, read
from autograd_mini.compiled.tangents import tangents
from autograd_mini.compiled.tracing import NotTraceableError, tracing
from autograd_mini.engine import NUMBER_TYPES, shorten
from autograd_mini.graph import Node, topological_order
from autograd_mini.nested import Numbers, flatten, listed, reshape
from autograd_mini.value import Value

if TYPE_CHECKING:
    from onnx import ModelProto

Array = NDArray[Any]

REDUCTIONS = ("mean", "sum", "none")
DTYPES = ("float64", "float32")


def compile_graph(
    function: Callable[..., Any] | Numbers,
    *arguments: Numbers,
    parameters: Any = None,
    argnums: int | tuple[int, ...] = 0,
    reduction: str = "mean",
    dtype: str = "float64",
    executor: str = "auto",
    detect_anomaly: bool = False,
) -> "CompiledGraph":
    """Trace a function of numbers once, for one sample, and give it back as array code that runs on many.

    function: an ordinary function of numbers; or what was recorded already, a `Value` or lists of `Value`s.
    arguments: examples of its arguments: numbers, or nested lists, tuples, dicts or arrays of numbers. The function
    gets `Value`s in their place, as with `grad`; what else it depends on is constant. Of what was recorded: its
    leaves, nested in the same ways.
    parameters: `Value`s that the function reaches by itself, such as a model's; nested as the arguments may be. They
    are then the first argument of the compiled graph, by the name "parameters".
    argnums: by which arguments to differentiate, counted from 0.
    reduction: what becomes of the samples of a batch: their "mean", their "sum", or "none", each by itself.
    dtype: "float64", or "float32" for some seven digits in half the memory; on the tape it is that of what goes in
    and comes out.
    executor: "numpy", array by array; "tape", number by number, compiled by numba, for graphs that are narrow and
    deep, needs `pip install 'autograd-mini[numba]'`; "auto" chooses by what each would cost.
    detect_anomaly: where a number or a derivative is NaN or infinite, raise `AnomalyError`, a FloatingPointError,
    that names the sample, the operation with its operands, and your source line; see `detect_anomaly()`.

    Raises `NotTraceableError` where the Python code depends on the numbers, TypeError or ValueError that names the
    argument.
    """
    if not callable(function) and not any(isinstance(number, Value) for _, number in flatten(function)):
        raise TypeError(
            f"compile_graph: expected a function or a Value, got {type(function).__name__} {shorten(function)}"
        )
    for name, choice, choices in (
        ("reduction", reduction, REDUCTIONS),
        ("dtype", dtype, DTYPES),
        ("executor", executor, executors.NAMES),
    ):
        if choice not in choices:
            raise ValueError(f"compile_graph: expected {name} to be one of {', '.join(choices)}, got {choice!r}")
    if not isinstance(detect_anomaly, bool):
        raise TypeError(f"compile_graph: expected detect_anomaly to be True or False, got {shorten(detect_anomaly)}")
    kind = CheckedGraph if detect_anomaly else CompiledGraph
    return kind(function, arguments, parameters, argnums, reduction, dtype, executor)


def trace(function: Callable[..., Any], *arguments: Numbers, parameters: Any = None) -> tuple[Any, tuple[Any, ...]]:
    """What a function returns, recorded on fresh `Value`s in place of its arguments; and those.

    The arguments are as for `compile_graph`, which takes what is returned: compile_graph(result, *arguments). Raises
    `NotTraceableError` where the Python code depends on the numbers of the arguments, or of the parameters.
    """
    if not callable(function):
        raise TypeError(f"trace: expected a function, got {type(function).__name__} {shorten(function)}")
    own = [Argument(name, example) for name, example in zip(_names(function, len(arguments)), arguments, strict=True)]
    given = [] if parameters is None else _leaves_of(Argument("parameters", parameters))
    inputs = [[Value(number) for number in argument.numbers()] for argument in own]
    fresh = tuple(argument.filled(iter(leaves)) for argument, leaves in zip(own, inputs, strict=True))
    traced = [leaf for leaves in (given, *inputs) for leaf in leaves]
    # In a context of its own, so that no block stays open where Ctrl-C comes as it begins or ends.
    return copy_context().run(_call_traced, function, fresh, traced), fresh


def _call_traced(function: Callable[..., Any], arguments: tuple[Any, ...], traced: list[Value]) -> Any:
    with paused_collector(), tracing(traced):
        return function(*arguments)


class CompiledGraph:
    """A function as array code, see `compile_graph`.

    Its methods take the arguments that the function takes, with `parameters` before them where there are some. Every
    number, list or array has the shape of its example, or has at its end one axis more, the batch, which must be
    equally long in all that have it. The shapes are checked: ValueError that names the argument. Threads may call it:
    one call runs at a time. Raises RuntimeError in a finalizer or signal handler that interrupts one in its own thread.
    """

    def __init__(
        self,
        function: Callable[..., Any] | Numbers,
        arguments: Sequence[Numbers],
        parameters: Any,
        argnums: int | tuple[int, ...],
        reduction: str,
        dtype: str,
        executor: str,
    ) -> None:
        names = _names(function, len(arguments)) if callable(function) else _labels(arguments)
        own = [Argument(name, plain(example)) for name, example in zip(names, arguments, strict=True)]
        first = [] if parameters is None else [Argument("parameters", plain(parameters))]
        self._arguments = [*first, *own]
        self._argnums = _check_argnums(argnums, len(self._arguments))
        self._is_one = isinstance(argnums, int)
        self._reduction, self._dtype, self._executor_name = reduction, np.dtype(dtype), executor
        with paused_collector():
            recorded = _traced(function, own, first) if callable(function) else _read(function, [*first, *own])
        self._keep(recorded)
        self.scalars = recorded.scalars
        self._returned = type(recorded.result).__name__
        self._shape = _shape_of(recorded.result)
        self._groups = [group for argument in self._arguments for group in argument.groups()]
        self._executors: dict[tuple[bool, ...], Executor] = {}
        self._last: _Call | None = None
        self._products: dict[tuple[bool, ...], Executor] = {}
        self._paths = [(place, *part.path) for place, argument in enumerate(self._arguments) for part in argument.parts]
        self._is_made_of = _is_made_of(self._paths)
        self._wanted = tuple(
            place for argnum in self._argnums for place, path in enumerate(self._paths) if path[0] == argnum
        )

    def _keep(self, recorded: "_Recorded") -> None:
        """What was recorded is not held: it would be many times the size of the program."""

    # Running

    def value(self, *arguments: Numbers) -> Any:
        """The function's number: over a batch the mean, the sum or, with reduction "none", an array of shape (batch,).

        Of a function that returns several, an array of them, in the shape in which it returns them, with the batch
        as its last axis.
        """
        call = self._call(arguments)
        executor, arrays, batch = call.executor, call.arrays, call.batch
        if self._shape is None:
            if self._reduction == "none" and batch is not None:
                return np.array(np.broadcast_to(executor.value(arrays, batch), batch))
            return self._reduced(executor.sum(arrays, batch), call)
        outputs = np.stack([np.broadcast_to(output, batch or 1) for output in executor.values(arrays, batch)])
        return outputs.reshape(self._shape if batch is None else (*self._shape, batch))

    def value_and_grad(self, *arguments: Numbers) -> tuple[Any, Any]:
        """The function's number and its gradient, computed together; see `value` and `grad`."""
        if self._shape is not None:
            self._refuse("value_and_grad")
        call = self._call(arguments)
        if self._reduction == "none" and call.batch is not None:
            values, gradients = call.executor.value_and_grad(call.arrays, call.batch, call.seed)
            return np.array(np.broadcast_to(values, call.batch)), self._gradient(gradients)
        total, gradients = call.executor.sum_and_grad(call.arrays, call.batch, call.seed)
        return self._reduced(total, call), self._gradient(gradients)

    def grad(self, *arguments: Numbers) -> Any:
        """The gradient of the function's number, in the form and shape of the arguments that `argnums` names.

        An argument with a batch axis gets one for each sample. With reduction "none" it is the gradient of the sum.
        """
        if self._shape is not None:
            self._refuse("grad")
        return self.value_and_grad(*arguments)[1]

    def hessian_vector_product(self, *arguments: Numbers, vector: Numbers) -> Any:
        """The second derivatives by the arguments that `argnums` names, times a vector of their form and shape."""
        if self._shape is not None:
            self._refuse("hessian_vector_product")
        executor, arrays, batch = self._product(arguments, vector)
        return self._gradient(executor.sum_and_grad(arrays, batch, self._seed(executor, batch))[1])

    def _product(self, arguments: Sequence[Numbers], vector: Numbers) -> tuple[Executor, list[Array], int | None]:
        """What computes it, on which arrays, and the size of the batch."""
        arrays, batch = self._read(arguments)
        vectors = [vector] if self._is_one else list(vector)
        if len(vectors) != len(self._argnums):
            raise ValueError(f"compiled: expected a vector for {len(self._argnums)} arguments, got {len(vectors)}")
        for argnum, each in zip(self._argnums, vectors, strict=True):
            direction = Argument(f"vector of {self._arguments[argnum].name}", self._arguments[argnum].example)
            arrays += [part.read(each, self._dtype) for part in direction.parts]
        is_batched = tuple(array.ndim == 2 for array in arrays)
        executor = self._products.get(is_batched)
        if executor is None:
            executor = executors.choose(
                self._tangents, is_batched, self._wanted, self._dtype, self._executor_name, batch
            )
            self._products[is_batched] = executor
        return executor, arrays, batch

    @cached_property
    def _tangents(self) -> Scalars:
        return tangents(self.scalars, self._wanted)

    def _call(self, arguments: Sequence[Numbers]) -> "_Call":
        """What a call with these arguments runs. One with the same arrays as the last is known at once."""
        last = self._last
        check_count(self._arguments, arguments)
        if last is not None and last.given is not None:
            try:
                if self._is_made_of(arguments, last.given):
                    return last
            except (TypeError, LookupError):
                pass  # what the arguments lack is told below
        arrays, batch = self._read(arguments)
        executor = self._executor(arrays, batch)
        given = [_at(arguments, path) for path in self._paths]
        is_seen = all(map(is_view, arrays, given))
        call = _Call(executor, arrays, batch, self._seed(executor, batch), given if is_seen else None)
        self._last = call
        return call

    def _read(self, arguments: Sequence[Numbers]) -> tuple[list[Array], int | None]:
        """An array for each group, and the size of the batch; None for none."""
        return read_parts(self._arguments, arguments, lambda part, given: part.read(given, self._dtype))

    def _executor(self, arrays: Sequence[Array], batch: int | None) -> Executor:
        is_batched = tuple([array.ndim == 2 for array in arrays])
        executor = self._executors.get(is_batched)
        if executor is None:
            wanted = self._wanted if self._shape is None else ()
            with paused_collector():
                executor = executors.choose(self.scalars, is_batched, wanted, self._dtype, self._executor_name, batch)
            self._executors[is_batched] = executor
        return executor

    def _refuse(self, method: str) -> NoReturn:
        raise TypeError(f"compiled, {method}: expected the function to return one number, got {self._returned}")

    def _reduced(self, total: float, call: "_Call") -> float:
        """The value of a batch, from the sum of the outputs that there are."""
        if call.batch is None:
            return total
        if self._reduction == "mean":
            return total / call.batch if call.executor.has_batched_output else total
        return total if call.executor.has_batched_output else total * call.batch

    def _seed(self, executor: Executor, batch: int | None) -> float:
        """The derivative of the reduced value by the output of a sample, or by the one that all share."""
        if batch is None:
            return 1.0
        if executor.has_batched_output:
            return 1.0 / batch if self._reduction == "mean" else 1.0
        return 1.0 if self._reduction == "mean" else float(batch)

    def _gradient(self, gradients: list[Array]) -> Any:
        if self._is_one:
            return self._arguments[self._argnums[0]].shaped(gradients)
        remaining = iter(gradients)
        return tuple(
            self._arguments[argnum].shaped([next(remaining) for _ in self._arguments[argnum].parts])
            for argnum in self._argnums
        )

    # Leaving

    def to_jax(self) -> Callable[..., Any]:
        """A pure JAX function that takes the arguments of `value`, as JAX's arrays, and gives what `value` gives.

        It is yours to jit, vmap, differentiate, shard and export. The arguments, nested as here, are JAX's pytrees; a
        batch is the last axis of an array, here too, and `reduction` is that of the graph: jax.vmap(f, in_axes=…) over
        single samples gives each its own value. The rows of the table are run on jax.numpy, and JAX differentiates
        every row by its own partials, any number of times, so that kinks, ties and tails are those of the engine.

        The numbers are of the graph's dtype; matrix products are not rounded below it, as JAX does on some devices.
        Needs `pip install 'autograd-mini[jax]'`. The function raises as `value` does, ValueError too where dtype is
        "float64" and JAX's 64-bit numbers are off, and for a narrow and deep graph of more than 2,000 array steps.
        """
        try:
            from autograd_mini.compiled.jax_backend import jax_function
        except ImportError:
            raise ImportError("to_jax: needs JAX: pip install 'autograd-mini[jax]'") from None
        return jax_function(self._arguments, self.scalars, self._shape, self._reduction, self._dtype)

    def to_onnx(self, *arguments: Numbers | None) -> "ModelProto":
        """The function as a model in ONNX; needs `pip install 'autograd-mini[onnx]'`.

        arguments: None for each that is an input of the model, of shape (batch, *shape): there the batch is the first
        axis. Numbers for the others, of one sample, which become constants.

        The output, "outputs", has shape (batch,), or (batch, *shape) where the function returns several numbers. It is
        that of each sample, whatever the reduction.

        Numbers are of the graph's dtype, and onnxruntime's are right to its last digits but for this: in float32 its
        sigmoid, and gelu, are off by up to 1e-7 even where they are small; in float64 its releases 1.26 to 1.31 round
        a factor of a whole matrix product to float32.

        Raises ValueError or TypeError that names the argument, ValueError for a row of yours whose rule is no formula.
        """
        check_count(self._arguments, arguments)
        model = onnx_model(self.scalars, self._arguments, arguments, self._shape, self._dtype.name)
        model.doc_string = repr(self)
        return model

    # Showing

    @property
    def executor(self) -> str:
        """What runs it: "numpy" or "tape"; before the first call, what would run one point."""
        return self._shown_executor().name

    @property
    def source(self) -> str:
        """The code that was generated for the last call, or for one point before the first."""
        return self._shown_executor().source

    def explain(self, *, passes: bool = False) -> str:
        """The program in readable form, for the last call, or for one point before the first.

        The steps are those on arrays, also where the tape runs the operations one by one.
        passes: also the computation as it was recorded, and after each pass.
        """
        executor = self._shown_executor()
        return explanation(self.scalars, executor.is_batched, executor.name, passes)

    def _shown_executor(self) -> Executor:
        if self._last is not None:
            return self._last.executor
        return self._executor([np.zeros(group.size, self._dtype) for group in self._groups], None)

    def __repr__(self) -> str:
        names = ", ".join(argument.name for argument in self._arguments)
        return f"CompiledGraph({names}; {len(self.scalars.kinds)} operations)"


class CheckedGraph(CompiledGraph):
    """One that raises `AnomalyError` rather than return NaN or infinity: see `compile_graph`, detect_anomaly."""

    def __init__(self, *arguments: Any) -> None:
        self._lines_around, self._lines = lines_here(), detect_anomaly()
        with self._lines:
            super().__init__(*arguments)

    def _keep(self, recorded: "_Recorded") -> None:
        """For the sample that is at fault."""
        self._recording = Recording(recorded.outputs, recorded.groups, recorded.order, self._line_of)

    def _line_of(self, node: Node) -> str | None:
        return self._lines.line_of(node) or self._lines_around(node)

    def value(self, *arguments: Numbers) -> Any:
        """As of every compiled graph."""
        value = super().value(*arguments)
        if not is_finite(value):
            call = self._call(arguments)
            names = [f"value {place}" for place in range(len(self.scalars.outputs))] if self._shape else ["the value"]
            raise self._bad_call("value", call.executor, call.executor.values, names, call.arrays, call.batch).error()
        return value

    def value_and_grad(self, *arguments: Numbers) -> tuple[Any, Any]:
        """As of every compiled graph."""
        found = super().value_and_grad(*arguments)
        if not is_finite(found):
            call = self._call(arguments)

            def run(arrays: Sequence[Array], batch: int | None) -> list[Array]:
                values, gradients = call.executor.value_and_grad(arrays, batch, call.seed)
                return [values, *gradients]

            names = ["the value", *self._names_of_gradients()]
            raise self._bad_call("value_and_grad", call.executor, run, names, call.arrays, call.batch).error()
        return found

    def hessian_vector_product(self, *arguments: Numbers, vector: Numbers) -> Any:
        """As of every compiled graph."""
        product = super().hessian_vector_product(*arguments, vector=vector)
        if not is_finite(product):
            executor, arrays, batch = self._product(arguments, vector)

            def run(arrays: Sequence[Array], size: int | None) -> list[Array]:
                return executor.sum_and_grad(arrays, size, self._seed(executor, batch))[1]

            names = self._names_of_gradients()
            raise self._bad_call("hessian_vector_product", executor, run, names, arrays, batch).error()
        return product

    def _names_of_gradients(self) -> list[str]:
        return [f"the derivative by {self._groups[group].name}" for group in self._wanted]

    def _bad_call(
        self, method: str, executor: Executor, run: Run, names: list[str], arrays: list[Array], batch: int | None
    ) -> BadCall:
        starts = list(accumulate((group.size for group in self._groups), initial=0))
        leaves = [leaf for group in self._wanted for leaf in range(starts[group], starts[group + 1])]
        return BadCall(
            method=method,
            run=run,
            names=names,
            arrays=arrays,
            batch=batch,
            recording=self._recording,
            wanted=leaves if method != "value" else [],
            n_leaves=starts[-1],
            seed=self._seed(executor, batch),
            dtype=self._dtype,
            rounds=executor.name != "tape",
            is_second=method == "hessian_vector_product",
        )


# Tracing


class _Recorded(NamedTuple):
    """A computation that was recorded."""

    scalars: Scalars
    result: Any
    """What the function returned, with the numbers in it as `outputs`."""
    outputs: list[Any]
    groups: list[tuple[Group, list[Value]]]
    """The leaves of the arguments."""
    order: list[Node]
    """Every node that the outputs depend on, each after its operands."""


def _traced(function: Callable[..., Any], own: list[Argument], first: list[Argument]) -> _Recorded:
    """What a function records. Traced at two points, so that what differs is found."""
    found = _recorded(function, own, first, lambda number: number)
    again = _recorded(function, own, first, lambda number: 0.75 * number + 0.125)
    if not _are_same(found.scalars, again.scalars):
        raise NotTraceableError(
            "compile_graph: expected a function that does the same whenever it is called, got one that did not when it"
            " was called twice: does it use random numbers, or change what it depends on?"
        )
    return found


def _recorded(
    function: Callable[..., Any], own: list[Argument], first: list[Argument], shifted: Callable[[float], float]
) -> _Recorded:
    examples = [argument.filled(map(shifted, argument.numbers())) for argument in own]
    result, inputs = trace(function, *examples, parameters=first[0].example if first else None)
    named = [Argument(argument.name, each) for argument, each in zip(own, inputs, strict=True)]
    return _read(result, [*first, *named])


def _read(result: Any, arguments: list[Argument]) -> _Recorded:
    """A recorded result whose leaves the arguments hold."""
    outputs = [_check_output(number, name) for name, number in flatten(result)]
    if not outputs:
        raise TypeError("compile_graph: expected the function to return one number, or lists of numbers, got none")
    groups = []
    for argument in arguments:
        leaves = iter(_leaves_of(argument))
        groups += [(group, [next(leaves) for _ in range(group.size)]) for group in argument.groups()]
    order = list(_order(outputs))
    return _Recorded(read(outputs, groups, order), result, outputs, groups, order)


def _order(outputs: Sequence[Any]) -> Iterator[Node]:
    """Every node that the outputs depend on, each after its operands."""
    seen: set[int] = set()
    for output in outputs:
        if isinstance(output, Node) and id(output) not in seen:
            for node in topological_order(output):
                if id(node) not in seen:
                    seen.add(id(node))
                    yield node


def _check_output(number: Any, name: str) -> Any:
    if isinstance(number, (Value, *NUMBER_TYPES)):
        return number
    what = f"result{name}: {type(number).__name__}" if name else type(number).__name__
    raise TypeError(
        f"compile_graph: expected the function to return one number, or lists of numbers, got {what} {shorten(number)}"
    )


def _leaves_of(argument: Argument) -> list[Value]:
    leaves = listed(argument.example)
    for leaf in leaves:
        if not isinstance(leaf, Value) or leaf.op is not None:
            raise TypeError(
                f"compile_graph: expected {argument.name} to be leaf Values, got {type(leaf).__name__} {shorten(leaf)}"
            )
    if len(set(leaves)) < len(leaves):
        raise ValueError(f"compile_graph: expected {argument.name} to hold Values that differ, got one twice")
    return leaves


def _are_same(one: Scalars, other: Scalars) -> bool:
    same = one.kinds == other.kinds and one.operands == other.operands and one.outputs == other.outputs
    return same and list(map(repr, one.constants)) == list(map(repr, other.constants))


def _names(function: Any, n_arguments: int) -> list[str]:
    """The names of the first parameters, and numbers where there are none."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    plain_ones = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in plain_ones][:n_arguments]
    numbered = (f"argument_{place}" for place in count(len(names)))
    return [*names, *(next(numbered) for _ in range(n_arguments - len(names)))]


def _labels(arguments: Sequence[Any]) -> list[str]:
    """The labels of arguments that are `Value`s by themselves, and numbers where there are none."""
    labels = [argument.label if isinstance(argument, Value) else "" for argument in arguments]
    return [label or f"argument_{place}" for place, label in enumerate(labels)]


def _check_argnums(argnums: Any, n_arguments: int) -> tuple[int, ...]:
    found = argnums if isinstance(argnums, tuple) else (argnums,)
    for argnum in found:
        if not isinstance(argnum, int) or isinstance(argnum, bool):
            raise TypeError(f"compile_graph: expected argnums to be an int or a tuple of ints, got {shorten(argnums)}")
        if not -n_arguments <= argnum < n_arguments:
            raise ValueError(
                f"compile_graph: expected argnums below {n_arguments}, the number of arguments, got {argnum}"
            )
    return tuple(argnum % n_arguments for argnum in found)


def _shape_of(result: Any) -> tuple[int, ...] | None:
    """The shape of what a function returned: None for one number, one axis where it is uneven."""
    if isinstance(result, (Value, *NUMBER_TYPES)):
        return None
    if isinstance(result, dict):
        result = list(result.values())
    count = sum(1 for _ in flatten(result))
    try:
        shape = np.shape(reshape(iter([0.0] * count), like=result))
    except ValueError:
        return (count,)
    return shape if math.prod(shape) == count else (count,)


@dataclass(frozen=True, slots=True)
class _Call:
    """What a call runs: found out once for the arrays that it is made with."""

    executor: Executor
    arrays: list[Array]
    batch: int | None
    seed: float
    given: list[Any] | None
    """The arrays of the caller, if those are views of them, so that what is written into his is seen."""


def _is_made_of(paths: list[tuple[Any, ...]]) -> Callable[[Any, Any], bool]:
    """A function of arguments and a list of objects: whether those are what stands at the paths, one by one.

    Written out as one expression, since it runs at every call.
    """
    keys = list(dict.fromkeys(key for path in paths for key in path))
    places = {key: place for place, key in enumerate(keys)}
    items = ["arguments" + "".join(f"[keys[{places[key]}]]" for key in path) for path in paths]
    same = " and ".join(f"{item} is given[{place}]" for place, item in enumerate(items)) or "True"
    code = compile(f"lambda arguments, given: {same}", "<compiled graph>", "eval")
    function: Callable[[Any, Any], bool] = eval(code, {"keys": keys})
    return function


def _at(arguments: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        arguments = arguments[key]
    return arguments

"""What a traced function may not do: one line of Python for each way to look at a number, and the line in the error."""

import copy
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import graphs
from support import DEEP, chain, run_in_threads

import nn
from autograd_mini import (
    TABLE,
    Value,
    apply,
    detect_anomaly,
    exp,
    grad,
    jacobian,
    logsumexp,
    topological_order,
    watching,
)
from autograd_mini.compiled.tracing import NotTraceableError, tracing

X = Value(3.0, "x")
CONSTANT = Value(0.5, "half")


def assign(x: Value) -> None:
    x.data = 1.0


LOOKS: dict[str, tuple[Callable[[Value], Any], str]] = {
    "<": (lambda x: x < 1, "a comparison, <: choose by relu"),
    "<=": (lambda x: x <= 1.0, "a comparison, <=: choose by relu"),
    ">": (lambda x: x > CONSTANT, "a comparison, >: choose by relu"),
    ">=": (lambda x: x >= np.float64(1), "a comparison, >=: choose by relu"),
    "reflected": (lambda x: operator.lt(1, x), "a comparison, >: choose by relu"),
    "on the right": (lambda x: operator.lt(CONSTANT, x), "a comparison, <: choose by relu"),
    "with itself": (lambda x: x < x * 2, "a comparison, <: choose by relu"),
    "max": (lambda x: max(1.0, x), "a comparison, >: choose by relu, maximum, minimum, abs or logsumexp"),
    "sorted": (lambda x: sorted([x, CONSTANT]), "a comparison, <: choose by relu"),
    "np.max": (lambda x: np.array([CONSTANT, x]).max(), "a comparison"),
    "if": (lambda x: 1.0 if x else 0.0, "the truth of a Value: choose by relu"),
    "not": (lambda x: not x, "the truth of a Value"),
    "and": (lambda x: x and 1.0, "the truth of a Value"),
    "bool": (lambda x: bool(x), "the truth of a Value"),
    "float": (lambda x: float(x), "float() of a Value: compute with the Value itself"),
    "math.exp": (lambda x: math.exp(x), "float() of a Value: compute with the Value itself"),
    "math.floor": (lambda x: math.floor(x), "float() of a Value"),
    "an array of floats": (lambda x: np.array([x], dtype=float), "float() of a Value"),
    "an item of one": (lambda x: np.zeros(2).__setitem__(0, x), "float() of a Value"),
    "data": (lambda x: x.data, "`data`: compute with the Value itself"),
    "getattr": (lambda x: getattr(x, "data"), "`data`"),  # noqa: B009
    "data of a result": (lambda x: (x * 2 + 1).tanh().data, "`data`"),
    "data of a result of constants too": (lambda x: (CONSTANT * x).data, "`data`"),
    "assigning data": (assign, "an assignment to `data`: compute with"),
    "grad": (lambda x: x.grad, "`grad`: differentiate by autograd_mini.grad"),
    "partials": (lambda x: x.exp().partials, "`partials`: differentiate by"),
    "backward": (lambda x: (x * x).backward(), "backward(): differentiate by"),
    "detach": (lambda x: x.detach(), "detach(): what is to be constant has to be an argument of its own"),
    "copy": (lambda x: copy.copy(x), "a copy of a Value: what is to be constant"),
    "deepcopy": (lambda x: copy.deepcopy([x]), "a copy of a Value"),
    "pickle": (lambda x: pickle.dumps(x * 2), "a copy of a Value"),
    "format": (lambda x: format(x, ".3f"), "a format of a Value: look at the numbers that the compiled graph returns"),
    "f-string": (lambda x: f"{x:g}", "a format of a Value"),
    "a derivative at a plain number": (lambda x: grad(lambda t: t * x)(2.0), "float() of a Value"),
    "derivatives at a plain number": (lambda x: jacobian(lambda t: [t * x])(2.0), "`partials`"),
    "a check of the library's": (lambda x: nn.binary_cross_entropy([x], [1]), "a comparison, <"),
}
"""Every way to look, by a name: what does it, and what the error says of it."""


@pytest.mark.parametrize("name", LOOKS)
def test_looking_at_a_traced_number_is_refused(name: str) -> None:
    look, text = LOOKS[name]
    line = look.__code__.co_firstlineno + (look is assign)
    with tracing([X]), pytest.raises(NotTraceableError) as caught:
        look(X)
    message = str(caught.value)
    assert message.startswith("compile_graph: expected Python code that does not depend on traced numbers, got " + text)
    assert f", at {__file__}:{line}: " in message
    assert "\n" not in message
    assert X.data == 3.0
    assert X.grad == 0.0


@pytest.mark.parametrize("name", [name for name in LOOKS if name not in ("if", "not", "and", "bool")])
def test_constants_may_be_looked_at(name: str) -> None:
    look, _ = LOOKS[name]
    with tracing([X]):
        look(Value(0.25))
    look(Value(0.25))  # nor is anything refused after the block


def test_the_truth_of_a_constant_is_still_the_error_of_value() -> None:
    with tracing([X]), pytest.raises(TypeError, match="neither true nor false"):
        bool(CONSTANT)


@pytest.mark.parametrize("convert", [int, round, math.trunc, range])
def test_what_python_refuses_of_every_value_stays_refused(convert: Callable[[Any], Any]) -> None:
    with tracing([X]), pytest.raises(TypeError):
        convert(X)


def test_the_last_line_is_the_whole_message() -> None:
    with tracing([X]), pytest.raises(NotTraceableError) as caught:
        LOOKS["<"][0](X)
    line = LOOKS["<"][0].__code__.co_firstlineno
    assert str(caught.value) == (
        "compile_graph: expected Python code that does not depend on traced numbers, got a comparison, <: choose by"
        f" relu, maximum, minimum, abs or logsumexp, which are recorded, at {__file__}:{line}:"
        ' "<": (lambda x: x < 1, "a comparison, <: choose by relu"),'
    )


def test_it_is_a_type_error() -> None:
    assert issubclass(NotTraceableError, TypeError)


# What goes on inside


def test_identity_is_no_look() -> None:
    y = X * 2
    with tracing([X]):
        assert X in {X, y}
        assert X == X
        assert y != X
        assert [y, X].index(X) == 1
        assert {X: 1}[X] == 1


def test_a_repr_tells_nothing() -> None:
    inner = X * 2
    with tracing([X]):
        assert repr(X) == str(X) == f"{X}" == "Value(traced, label='x')"
        assert repr(inner) == "Value(traced)"
        assert repr(CONSTANT) == "Value(data=0.5, grad=0.0, label='half')"
    assert repr(inner) == "Value(data=6.0, grad=0.0, op=mul)"


def test_errors_of_the_library_stay_what_they_are() -> None:
    with tracing([X]):
        with pytest.raises(TypeError, match=r"^mse_loss: expected .* in predictions, got str 'a'$"):
            nn.mse_loss([X, "a"], [1, 2])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"^hinge_loss: expected plain numbers in targets, got Value Value\(traced"):
            nn.hinge_loss([X], [X])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="unsupported operand"):
            X + "a"  # type: ignore[operator]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "leaky_relu", "softplus", None])
def test_networks_and_losses_are_recorded_inside(activation: str | None) -> None:
    model = nn.MLP(2, [3, 2], activation, seed=1)
    inputs, one = [Value(0.5), Value(-1.0)], nn.MLP(2, [3, 1], "tanh", seed=2)
    neuron, layer = nn.Neuron(2, "tanh", seed=1), nn.Layer(2, 3, "relu", seed=1)

    def losses() -> list[Any]:
        outputs = model(inputs)
        return [
            nn.mse_loss(outputs, [1, 0]),  # whole numbers, which are made floats
            nn.mse_loss([one(inputs)], np.array([1])),
            nn.mse_loss([model(np.array([1, 2], dtype=np.float32))], [[0.0, 1.0]]),
            nn.cross_entropy(outputs, 1),
            nn.cross_entropy([outputs], [[0.25, 0.75]]),
            nn.binary_cross_entropy_with_logits(one(inputs), 1),
            nn.hinge_loss([one(inputs)], [-1]),
            neuron(inputs),
            *layer(np.array(inputs, dtype=object)),
            logsumexp(outputs),
            sum(parameter * parameter for parameter in model.parameters()),
        ]

    expected = [repr(loss) for loss in losses()]
    members = [*inputs, *(p for part in (model, one, neuron, layer) for p in part.parameters())]
    with tracing(members):
        found = losses()
    assert [repr(loss) for loss in found] == expected


def test_a_function_of_the_users_own_in_a_network_is_the_line() -> None:
    model = nn.MLP(1, [1], lambda z: z.tanh() if z.data > 0 else z, seed=0)
    model = nn.MLP(1, [2, 1], lambda z: z.tanh() if z.data > 0 else z, seed=0)
    with tracing(model.parameters()), pytest.raises(NotTraceableError, match=r": model = nn\.MLP\(1, \[2, 1\], lambda"):
        model([1.0])


def test_every_row_of_the_table_is_recorded_inside() -> None:
    for op in TABLE.values():
        operands = [Value(sum(interval) / 2) for interval in op.domain]
        before = apply(op, *operands)
        with tracing(operands):
            inside = apply(op, *operands)
        assert repr(inside) == repr(before)


def test_derivatives_of_derivatives_inside() -> None:
    x = Value(0.5)
    with tracing([x]):
        slope = grad(lambda t: exp(t).tanh() * t)(x)
        plain = grad(lambda t: t * t * CONSTANT)(2.0)
    assert slope.data == grad(lambda t: exp(t).tanh() * t)(0.5)
    assert plain == 2.0


@given(root=graphs(), is_traced=st.booleans())
def test_a_number_is_refused_exactly_where_it_depends_on_a_traced_one(root: Value, is_traced: bool) -> None:
    order: list[Any] = list(topological_order(root))
    leaf = order[0]
    depends = {leaf} if is_traced else set()
    for node in order:
        if depends & set(node.parents):
            depends.add(node)
    with tracing([leaf] if is_traced else []):
        for node in order:
            if node in depends:
                with pytest.raises(NotTraceableError):
                    float(node)
            else:
                assert repr(float(node)) == repr(node._data)


def test_deep_graphs() -> None:
    end = chain(X, DEEP)
    with tracing([X]), pytest.raises(NotTraceableError):
        float(end)


class Leaf(Value):
    """Of a class of a user's own."""

    @property
    def twice(self) -> float:
        """What looks at the number."""
        return 2 * self.data


def test_a_class_of_the_users_own() -> None:
    leaf = Leaf(1.5)
    with tracing([leaf]), pytest.raises(NotTraceableError, match=r"return 2 \* self\.data$"):
        leaf.twice  # noqa: B018
    assert leaf.twice == 3.0


# The block


def members() -> dict[str, Any]:
    return dict(vars(Value))


def test_everything_is_put_back_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_ROUNDS", math.inf)  # after which they would stay where caches wear out
    with tracing([X]):
        pass
    before = members()
    with tracing([X]):
        replaced = members()
        assert replaced != before
        with tracing([CONSTANT]):
            assert members() == replaced  # once is enough
        with pytest.raises(NotTraceableError):
            float(X)
        assert float(CONSTANT) == 0.5
    assert members() == before
    with pytest.raises(KeyError), tracing([X]):
        raise KeyError
    assert members() == before
    assert Value.data.__doc__ == before["data"].__doc__


def test_a_block_within_another_keeps_the_outer_ones_leaves() -> None:
    with tracing([X]):
        with tracing([CONSTANT]):
            for value in (X, CONSTANT):
                with pytest.raises(NotTraceableError):
                    float(value)
        assert float(CONSTANT) == 0.5


def test_in_an_anomaly_block_and_around_one() -> None:
    before = members()
    x = Value(0.0)
    with detect_anomaly(), tracing([x]):
        bad = x.log()
        with pytest.raises(NotTraceableError):
            bad.backward()
    with tracing([x]), detect_anomaly():
        bad = x.log()
        with pytest.raises(NotTraceableError):
            bad.backward()
    with detect_anomaly(), pytest.raises(FloatingPointError):
        x.log().backward()
    assert members() == before


def test_blocks_of_two_kinds_may_end_in_any_order() -> None:
    before = members()
    x = Value(0.0)
    anomalies, block = detect_anomaly(), tracing([x])
    anomalies.__enter__()
    block.__enter__()
    anomalies.__exit__()
    with pytest.raises(NotTraceableError):
        x.log().backward()
    block.__exit__()
    assert members() == before
    x.log().backward()
    assert x.grad == math.inf


def test_other_threads_may_look() -> None:
    refused = [0, 0]

    def work(index: int) -> None:
        for _ in range(200):
            if index == 0:
                with tracing([X]):
                    try:
                        float(X)
                    except NotTraceableError:
                        refused[0] += 1
            else:
                assert X.data == float(X) == 3.0
                assert X > 2
                assert f"{X:.1f}" == "3.0"

    before = members()
    run_in_threads(work, 2)
    assert refused == [200, 0]
    assert members() == before


def test_a_line_outside_the_block_is_not_the_answer() -> None:
    # As if a function of the library's own were traced: the caller's line is not what has to be written otherwise.
    source = "def work(x):\n    with tracing([x]):\n        return float(x)\n"
    namespace: dict[str, Any] = {"__name__": "nn.training", "tracing": tracing}
    exec(source, namespace)
    with pytest.raises(NotTraceableError, match=r"the functions of autograd_mini$"):
        namespace["work"](X)

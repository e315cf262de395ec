"""Where the first NaN or infinity came from: by hand, against what backward() leaves behind, and line by line."""

import contextvars
import copy
import dataclasses
import gc
import inspect
import math
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import DEEP, chain, run_in_threads

import autograd_mini.anomaly as anomaly_module
from autograd_mini import (
    TABLE,
    Op,
    Value,
    apply,
    engine,
    exp,
    functional,
    grad,
    hessian,
    jacobian,
    log,
    sqrt,
    topological_order,
    value_and_grad,
    watching,
)
from autograd_mini.anomaly import Anomaly, AnomalyError, detect_anomaly, find_anomaly
from nn import MLP, Module, mse_loss

NAN, INF = math.nan, math.inf


def found(value: Value) -> Anomaly:
    anomaly = find_anomaly(value)
    assert anomaly is not None
    return anomaly


def next_line() -> int:
    """The number of the line after the one that calls this."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno + 1


# Forward


@pytest.mark.parametrize(
    ("compute", "text"),
    [
        (lambda x: (2 * x - 2).log() + 1, "forward: log(0.0) is -inf"),
        (lambda x: 1 / (x - 1), "forward: div(1.0, 0.0) is inf"),
        (lambda x: (x - 1) / (x - 1), "forward: div(0.0, 0.0) is nan"),
        (lambda x: (x * 1000).exp() - 1, "forward: exp(1000.0) is inf"),
        (lambda x: (-x) ** 0.5, "forward: pow(-1.0, 0.5) is nan"),
        (lambda x: 1e200 * x * 1e200, "forward: mul(1e+200, 1e+200) is inf"),
        (lambda x: x + INF, "forward: add(x = 1.0, inf) is inf"),  # the constant is to blame, and shown
        (lambda x: x * Value(NAN, "w") + 1, "forward: the leaf w is nan, used by mul(x = 1.0, w = nan)"),
        (lambda x: x * Value(-INF), "forward: a leaf is -inf, used by mul(x = 1.0, -inf)"),
        (lambda x: Value(NAN, "x"), "forward: the leaf x is nan"),
    ],
)
def test_the_first_number_that_is_not_finite(compute: Callable[[Value], Value], text: str) -> None:
    assert str(find_anomaly(compute(Value(1.0, "x")))) == text


def test_what_an_anomaly_holds() -> None:
    x = Value(0.0, "x")
    y = x.log()
    y.label = "y"
    anomaly = found(y * 2 + 1)
    assert anomaly == Anomaly(node=y, operation="log", operands=(0.0,), phase="forward", number=-INF)
    assert str(anomaly) == "forward: y = log(x = 0.0) is -inf"
    with pytest.raises(dataclasses.FrozenInstanceError):
        anomaly.number = 1.0  # type: ignore[misc]


def test_of_several_the_first_in_the_topological_order_is_named() -> None:
    x = Value(0.0, "x")
    first, second = x.log(), 1 / x
    assert found(first + second).node is first
    assert found(second + first).node is second
    both = first * second
    assert found(both * both - first).node is first


def test_what_follows_from_a_bad_number_is_not_to_blame() -> None:
    x = Value(0.0)
    bad = x.log()
    assert found((bad + 1).exp() * bad / 3).node is bad


def test_an_infinity_that_came_to_nothing_is_none() -> None:
    x = Value(0.0)
    assert find_anomaly((x + 2).maximum(-INF)) is None
    assert find_anomaly((x - INF).relu()) is None
    assert find_anomaly(x.log().exp() * 0.0 + 1) is not None  # in the gradient: exp(-inf) · 1/0
    harmless = (x + 1000).exp().minimum(3.0)
    bad = (harmless - 3).log()
    assert found(bad + 1).node is bad


def test_all_finite_is_none() -> None:
    assert find_anomaly(Value(3.0)) is None
    assert find_anomaly(mse_loss(MLP(2, [3, 1], "tanh", seed=0)([1, 2]), 1.0)) is None


# Backward


@pytest.mark.parametrize(
    ("compute", "text"),
    [
        (lambda x: sqrt(x - 1), "backward: sqrt(0.0) passes on a gradient of inf"),
        (lambda x: sqrt(x - 1) ** 2, "backward: sqrt(0.0) passes on a gradient of nan"),  # 2 · 0 · inf
        (lambda x: (x - 1) ** 0.5, "backward: pow(0.0, 0.5) passes on a gradient of inf to its first operand"),
        (
            lambda x: 1 / (1 + (1000 * x).exp()),  # 1 / (1 + inf) is 0, and its derivative 0 · inf
            "backward: exp(1000.0) passes on a gradient of nan",
        ),
        (
            lambda x: 1e200 * (1e200 * (1e-300 * x)),  # each factor is finite, not their product
            "backward: mul(1e+200, 1e-300) passes on a gradient of inf to its second operand",
        ),
        (
            lambda x: 1e308 * (x - 1) + 1e308 * (x + -1),
            "backward: the gradients of the leaf x add up to inf with that of sub(x = 1.0, 1.0)",
        ),
        (
            lambda x: 1 / ((1000 * x).exp() * (1000 * x).exp()),  # 0 · inf for a factor, which is inf itself
            "backward: mul(inf, inf) passes on a gradient of nan to its first operand; forward: exp(1000.0) is inf",
        ),
        (
            lambda x: 1 / (x * Value(INF, "w")),
            "backward: mul(x = 1.0, w = inf) passes on a gradient of nan to its first operand;"
            " forward: the leaf w is inf, used by mul(x = 1.0, w = inf)",
        ),
        (
            lambda x: (lambda y: 1e308 * y + 1e308 * y)(1e-300 * x),
            "backward: the gradients of mul(1e-300, x = 1.0) add up to inf",
        ),
    ],
)
def test_the_first_gradient_that_is_not_finite(compute: Callable[[Value], Value], text: str) -> None:
    x = Value(1.0, "x")
    x.grad = 5.0
    assert str(find_anomaly(compute(x))) == text
    assert x.grad == 5.0  # no gradient is read or written


def test_what_was_changed_since_is_said() -> None:
    x = Value(0.0, "x")
    y = x.log()
    assert not found(y).was_changed
    x.data = 1.0
    assert str(find_anomaly(y)) == "forward: log(x = 1.0) is -inf (numbers were changed since)"
    x.data = NAN
    assert find_anomaly(x * 2).used_by is not None  # type: ignore[union-attr]
    z = Value(4.0, "z").sqrt()
    z.data = NAN
    assert str(find_anomaly(z + 1)) == "forward: sqrt(z = 4.0) is nan (numbers were changed since)"
    z.data = 2.0
    root = z.sqrt()
    z.data = NAN
    assert find_anomaly(root) is None  # case 7: the gradient of that recording is what it was


def test_backward_is_in_the_order_of_the_pass() -> None:
    x = Value(0.0)
    inner = sqrt(x)
    outer = sqrt(inner)
    assert found(outer).node is outer


# Both, on every operation

EXTREME = st.sampled_from([0.0, -0.0, 1.0, -2.0, 0.5, 1e-320, 1e-200, 1e200, -1e308, 710.0, -1e5])


@st.composite
def graphs(draw: st.DrawFn) -> Value:
    """Some operations of the table on extreme numbers."""
    nodes = [Value(draw(EXTREME)) for _ in range(3)]
    for _ in range(draw(st.integers(1, 6))):
        op = TABLE[draw(st.sampled_from(sorted(TABLE)))]
        nodes.append(apply(op, *[draw(st.sampled_from(nodes)) for _ in range(op.arity)]))
    return nodes[-1]


@given(root=graphs())
def test_it_finds_one_exactly_where_a_pass_leaves_a_number_that_is_not_finite(root: Value) -> None:
    anomaly = find_anomaly(root)
    order: list[Any] = list(topological_order(root))
    if not math.isfinite(root.data):
        assert anomaly is not None
        assert anomaly.phase == "forward"
        assert not math.isfinite(anomaly.node.data)
        assert all(map(math.isfinite, anomaly.operands))
        return
    root.backward()
    assert (anomaly is None) == all(math.isfinite(node.grad) for node in order)
    if anomaly is not None:
        assert anomaly.phase == "backward"
        is_made_of_others = all(map(math.isfinite, anomaly.operands))
        assert (anomaly.cause is None) == (is_made_of_others or anomaly.operand is None)
        assert anomaly.cause is None or all(map(math.isfinite, anomaly.cause.operands))
        place = order.index(anomaly.node) + (anomaly.operand is None)
        assert all(math.isfinite(node.grad) for node in order[place:])  # nothing was bad before


def test_deep_graphs() -> None:
    x = Value(1.0)
    assert find_anomaly(chain(x, DEEP)) is None
    assert found(chain((x - 1).log(), DEEP)).operation == "log"
    assert found(chain((x - 1).sqrt(), DEEP)).operation == "sqrt"


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^find_anomaly: expected a Value, got float 3\.0$"):
        find_anomaly(3.0)  # type: ignore[arg-type]


def test_labels_stay_on_one_line() -> None:
    assert str(find_anomaly(Value(NAN, "a\nb"))) == r"forward: the leaf 'a\nb' is nan"
    assert len(str(find_anomaly(Value(NAN, "w" * 1000)))) < 80


# Source lines


def test_outside_the_block_the_line_is_not_known() -> None:
    assert found(Value(0.0).log()).line is None


def test_the_line_that_recorded_it() -> None:
    x = Value(0.0, "x")
    with detect_anomaly():
        number = next_line()
        y = x.log() + 1
        z = y * 2
        anomaly = found(z)
    assert anomaly.line == f"{__file__}:{number}: y = x.log() + 1"
    assert str(anomaly) == f"forward: log(x = 0.0) is -inf, at {__file__}:{number}: y = x.log() + 1"


def test_the_line_of_a_backward_anomaly() -> None:
    x = Value(0.0)
    with detect_anomaly():
        number = next_line()
        root = sqrt(x)
        anomaly = found(root * 3)
    assert anomaly.phase == "backward"
    assert anomaly.line == f"{__file__}:{number}: root = sqrt(x)"


def test_the_line_within_an_expression_of_several() -> None:
    x = Value(0.0)
    with detect_anomaly():
        number = next_line() + 2
        y = (
            x * 2
            + log(x)  #
            + 3.0
        )
        assert found(y).line == f"{__file__}:{number}: + log(x)  #"


def bad_results(x: Value) -> list[Value]:
    """One for every way to record an operation: operators on both sides, methods, functions, rows."""
    own = Op(name="own", doc="", forward=lambda m, x: x + math.inf, partials=(lambda m, out, x: 1.0,))
    two = Op(name="two", doc="", forward=lambda m, x, y: x * math.nan, partials=(lambda m, out, x, y: 1.0,) * 2)
    huge = 1.7e308
    return [
        x + INF,
        INF + x,
        x - INF,
        INF - x,
        x * INF,
        INF * x,
        x / 0.0,
        1 / (x - 1),
        (x - 1) ** -1.0,
        10.0 ** (x * 400),
        -(x * INF),
        abs(x * INF),
        (x * 710).exp(),
        exp(x * 710),
        apply(own, x),
        apply(two, x, 1.0),
        apply(two, 1.0, x),
        apply(TABLE["log"], x - 1),
        x.maximum(NAN),
        x.leaky_relu() + huge + huge,
        sum([x, x * huge, x * huge], start=x),
        mse_loss([x * 1e200], [0.0]),
    ]


def test_the_line_of_a_gradient_that_grew_over_several() -> None:
    x = Value(1.0, "x")
    with detect_anomaly():
        y = 1e-300 * x
        number = next_line()
        z = 1e200 * y
        assert found(1e200 * z).line == f"{__file__}:{number}: z = 1e200 * y"
        number = next_line()
        y = 1e308 * (x - 1)
        assert found(y + 1e308 * x).line == f"{__file__}:{number}: y = 1e308 * (x - 1)"


def test_a_leaf_has_the_line_of_its_use() -> None:
    w = Value(NAN, "w")
    with detect_anomaly():
        number = next_line()
        y = w * 2.0
        anomaly = found(y + 1)
    assert (anomaly.node, anomaly.used_by) == (w, y)
    assert str(anomaly) == f"forward: the leaf w is nan, used by mul(w = nan, 2.0), at {__file__}:{number}: y = w * 2.0"


@given(data=st.data())
def test_every_line_is_known(data: st.DataObject) -> None:
    with detect_anomaly():
        anomaly = find_anomaly(data.draw(graphs()))
    if anomaly is not None and (anomaly.node.op or anomaly.used_by):
        assert anomaly.line is not None
        assert "nodes.append(apply(op, " in anomaly.line


def test_every_way_to_record_is_watched() -> None:
    lines, first = inspect.getsourcelines(bad_results)
    with detect_anomaly():
        results = bad_results(Value(1.0))
        places = [found(result).line for result in results]
    start = next(place for place, line in enumerate(lines) if "return [" in line)
    expected = [
        f"{__file__}:{first + number}: {lines[number].strip()}" for number in range(start + 1, start + 1 + len(results))
    ]
    assert places == expected


def test_every_operation_of_the_table_is_watched() -> None:
    domain = {name: [sum(interval) / 2 for interval in op.domain] for name, op in TABLE.items()}
    with detect_anomaly():
        for name, op in TABLE.items():
            x = Value(NAN)
            operands = [x, *domain[name][1:]]
            method = {"div": "truediv"}.get(name, name)
            result = getattr(Value, f"__{method}__" if op.is_operator else method)(*operands)
            detection = anomaly_module._detection.get()
            assert detection is not None
            assert detection.line_of(result) is not None, name
            assert detection.line_of(x) is None


class Root(Module):
    """√(w x) in a model of a user's own."""

    def __init__(self) -> None:
        self.w = Value(0.0, "w")

    def __call__(self, x: float) -> Value:
        return sqrt(self.w * x)


def test_the_line_is_the_users_own_not_that_of_the_library() -> None:
    model = MLP(1, [1], "exp", "exp", init="ones")
    with detect_anomaly():
        number = next_line()
        prediction = model(1000.0)
        assert found(prediction).line == f"{__file__}:{number}: prediction = model(1000.0)"
        assert str(found(Root()(2.0))).endswith("return sqrt(self.w * x)")


def test_a_line_outside_the_block_is_not_the_answer() -> None:
    model = MLP(1, [1], "exp", "exp", init="ones")

    def inside_the_library() -> Anomaly | None:
        with detect_anomaly():
            return find_anomaly(model(1000.0))

    # As if the block were the library's own, as it is in `fit`: the caller's line did not record it.
    namespace = {**globals(), "__name__": "nn.training", "model": model, "detect_anomaly": detect_anomaly}
    exec(inspect.getsource(inside_the_library).replace("    def", "def", 1).replace("\n    ", "\n"), namespace)
    library: Any = namespace["inside_the_library"]
    assert library().line is None
    assert inside_the_library().line is not None  # type: ignore[union-attr]


def test_source_that_is_not_there_is_left_out() -> None:
    namespace: dict[str, Any] = {"x": Value(0.0)}
    with detect_anomaly():
        exec(compile("\ny = x.log()", "<typed>", "exec"), namespace)
        assert found(namespace["y"]).line == "<typed>:2"


# The block


@pytest.mark.parametrize("derivative", [grad, value_and_grad, jacobian])
def test_derivatives_of_functions_raise(derivative: Callable[..., Any]) -> None:
    root = derivative(lambda x: sqrt(x) + 1)
    assert repr(root(0.0)).count("inf") == 1
    with detect_anomaly():
        root(4.0)
        with pytest.raises(AnomalyError, match=r"^detect_anomaly: backward: sqrt\(0\.0\) .* at .*: root = derivative"):
            root(0.0)
    root(0.0)


def test_second_derivatives_raise() -> None:
    second = hessian(lambda x: x**1.5)
    with detect_anomaly():
        second(1.0)
        with pytest.raises(AnomalyError, match=r"backward: pow\(0\.0, 0\.5\) passes on a gradient of inf"):
            second(0.0)


def test_a_gradient_that_nobody_asked_for_does_not_count() -> None:
    w = Value(0.0, "w")
    with detect_anomaly():
        assert grad(lambda x: x * 3 + sqrt(w))(1.0) == 3.0
        with pytest.raises(AnomalyError, match=r"sqrt\(x = 0\.0\)"):
            grad(lambda x: sqrt(w) + sqrt(set_label(x, "x")))(0.0)


def set_label(value: Value, label: str) -> Value:
    value.label = label
    return value


def test_what_the_error_holds() -> None:
    x = Value(0.0, "x")
    with detect_anomaly(), pytest.raises(AnomalyError) as raised:
        (x.sqrt() + 1).backward()
    error = raised.value
    assert error.anomaly is not None
    assert str(error) == f"detect_anomaly: {error.anomaly}"
    assert error.value is not None
    assert found(error.value).node is error.anomaly.node
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), str(copied.anomaly)) == (str(error), str(error.anomaly))


def test_backward_raises_before_a_gradient_is_changed() -> None:
    x = Value(0.0, "x")
    x.grad = 5.0
    with detect_anomaly():
        for root in (x.log(), x.sqrt()):
            with pytest.raises(
                FloatingPointError, match=r"^detect_anomaly: (for|back)ward: (log|sqrt)\(x = 0\.0\) .*, at "
            ):
                root.backward()
        assert x.grad == 5.0
        (x * 2).backward()
    assert x.grad == 7.0
    x.log().backward()
    assert x.grad == INF


def test_numbers_in_the_block_are_the_same() -> None:
    def work() -> list[str]:
        model = MLP(2, [4, 3, 1], "gelu", seed=3)
        loss = mse_loss([model([1, 2]), model([-1, 0.5])], [1, 0])
        loss.backward()
        return [repr(loss), *(repr(parameter.grad) for parameter in model.parameters())]

    expected = work()
    with detect_anomaly():
        assert work() == expected
        assert grad(grad(lambda x: x**3))(2.0) == 12.0
        with pytest.raises(TypeError, match="unsupported operand"):
            Value(1.0) + "a"  # type: ignore[operator]


def state_of_the_recorders() -> dict[str, Any]:
    return {
        f"{getattr(owner, '__name__', owner)}.{name}": member
        for owner in (engine, functional, Value)
        for name, member in vars(owner).items()
        if callable(member)
    }


def test_everything_is_put_back_whatever_happens() -> None:
    before = state_of_the_recorders()
    with detect_anomaly():
        watched = state_of_the_recorders()
        assert watched != before
        with detect_anomaly():
            assert state_of_the_recorders() == watched  # once is enough
        assert found(Value(0.0).log()).line is not None  # the outer one goes on
    assert state_of_the_recorders() == before
    with pytest.raises(KeyError), detect_anomaly():
        raise KeyError
    assert state_of_the_recorders() == before


def test_blocks_within_one_another_know_their_own_lines() -> None:
    x = Value(0.0)
    with detect_anomaly():
        outer = x.log()
        with detect_anomaly():
            inner = x.log()
            assert found(inner).line is not None
            assert found(outer).line is None
        assert found(outer).line is not None
        assert found(inner).line is None


def test_as_a_decorator() -> None:
    @detect_anomaly()
    def work(depth: int) -> str | None:
        line = found(Value(0.0).log()).line
        return work(depth - 1) if depth else line

    assert "found(Value(0.0).log()).line" in str(work(3))
    assert "found(Value(0.0).log()).line" in str(work(0))


def test_another_thread_is_not_watched() -> None:
    lines: list[str | None] = [None, None]

    def work(index: int) -> None:
        for _ in range(50):
            if index == 0:
                with detect_anomaly():
                    lines[0] = found(Value(0.0).log()).line
            else:
                lines[1] = found(Value(0.0).log()).line or lines[1]

    before = state_of_the_recorders()
    run_in_threads(work, 2)
    assert lines[0] is not None
    assert lines[1] is None
    assert state_of_the_recorders() == before


def test_a_later_node_in_the_place_of_a_dead_one_has_no_line() -> None:
    """Lines are known by id, and ids are used again: here by nodes that were recorded outside of the block."""
    x = Value(0.0)
    with detect_anomaly():
        detection = anomaly_module._detection.get()
        assert detection is not None
        log = copy.copy(x.log())
        assert detection.line_of(log) is None  # a copy was recorded nowhere
        places = {id(x.log()): "log" for _ in range(100)}
        unwatched = contextvars.Context()
        others = unwatched.run(lambda: [1 / x for _ in range(1000)])
        assert places.keys() & {id(other) for other in others}
        assert all(detection.line_of(other) is None for other in others)
        copies = [copy.copy(log) for _ in range(1000)]  # interpreted, one of them has the id of a result
        assert all(detection.line_of(each) is None for each in copies)


def test_several_losses_may_be_recorded_before_the_first_pass() -> None:
    x = Value(0.0)
    with detect_anomaly():
        good, bad = x * 2, x.log()
        good.backward()
        with pytest.raises(FloatingPointError, match=r"good, bad = x \* 2, x\.log\(\)$"):
            bad.backward()


def test_no_graph_is_kept_alive() -> None:
    class Leaf(Value):
        """Of a class of a user's own, it may be referred to weakly."""

    leaf = Leaf(0.0)
    with detect_anomaly():
        assert found(leaf.log()).line is not None
        alive = weakref.ref(leaf)
        del leaf
        gc.collect()
        assert alive() is None


# What is replaced, and put back


class Watched:
    """Something of which members are replaced."""

    def inherited(self) -> str:
        return "inherited"


class Watching(Watched):
    """Something with a member of its own."""

    def own(self) -> str:
        return "own"


def in_brackets(member: Callable[..., str]) -> Callable[..., str]:
    return lambda *arguments: f"[{member(*arguments)}]"


def in_quotes(member: Callable[..., str]) -> Callable[..., str]:
    return lambda *arguments: f"'{member(*arguments)}'"


@pytest.mark.parametrize("wears_out", [False, True])
def test_where_caches_wear_out_replacements_stay_in_the_end(wears_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CACHES_WEAR_OUT", wears_out)
    monkeypatch.setattr(watching, "MOST_ROUNDS", 3)
    members = [(Watching, "own", in_brackets), (Watching, "inherited", in_brackets)]
    may_stay = watching.Replacements(lambda: members, may_stay=True)
    may_not = watching.Replacements(lambda: [(Watching, "own", in_quotes)])
    thing = Watching()

    def said_within(kind: watching.Replacements) -> tuple[str, str]:
        block = Watched()
        kind.begin(block)
        said = thing.own(), thing.inherited()
        kind.end(block)
        return said

    for round_number in range(1, 9):
        stays = wears_out and round_number > 3
        own, inherited = ("[own]", "[inherited]") if stays else ("own", "inherited")
        assert (thing.own(), thing.inherited()) == (own, inherited)
        assert said_within(may_stay) == ("[own]", "[inherited]")
        stays = wears_out and round_number >= 3
        own, inherited = ("[own]", "[inherited]") if stays else ("own", "inherited")
        assert said_within(may_not) == (f"'{own}'", inherited)
    assert ("inherited" in vars(Watching)) == wears_out

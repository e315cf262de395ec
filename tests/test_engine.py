"""The engine beside the table that it was written from, its walk, its recycled nodes, and the two builds' sameness."""

import gc
import inspect
import itertools
import math
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import fields, no_collector_callbacks, run_in_threads

import autograd_mini
import nn
from autograd_mini import engine
from autograd_mini.engine import COMPILED, MOST_SPARE_NODES, MOST_USES, recycler
from autograd_mini.graph import topological_order
from autograd_mini.ops import TABLE, Op
from autograd_mini.value import Value

ROWS = [pytest.param(op, id=op.name) for op in TABLE.values()]
OPERATORS: dict[str, Any] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "neg": lambda x: -x,
    "abs": abs,
}
HARD_NUMBERS = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -8.0, math.pi, 710.0, -745.0, 1e-308, 5e-324, -1e-300),
    *(1e300, math.inf, -math.inf, math.nan),
]
NUMBERS = st.floats() | st.sampled_from(HARD_NUMBERS)


OPERATOR_NAMES = {"add": "Value +", "sub": "Value -", "mul": "Value *", "div": "Value /", "pow": "Value **"}
"""What errors call them."""


def apply_written_out(op: Op, *operands: Any) -> Any:
    """As a user writes it: an operator, or the method of a Value."""
    return OPERATORS[op.name](*operands) if op.is_operator else getattr(operands[0], op.name)(*operands[1:])


# What `make functions` wrote, beside the rows it wrote it from


@pytest.mark.parametrize("op", ROWS)
def test_every_row_written_out_equals_the_row_at_hard_numbers(op: Op) -> None:
    """Each beside each: ties and equal infinities too, which drawn numbers hardly ever are."""
    for x, y in itertools.product(HARD_NUMBERS, repeat=2):
        assert_written_out_equals_the_row(op, x, y)


@pytest.mark.parametrize("op", ROWS)
@given(x=NUMBERS, y=NUMBERS)
def test_every_row_written_out_equals_the_row_to_the_last_bit(op: Op, x: float, y: float) -> None:
    assert_written_out_equals_the_row(op, x, y)


def assert_written_out_equals_the_row(op: Op, x: float, y: float) -> None:
    """By its operator or method on `Value`s and numbers, whatever a node holds."""
    left, right = Value(x), Value(y)
    if op.arity == 1:
        assert fields(apply_written_out(op, left)) == fields(engine.record_one(op, left))
        return
    for other in (right, left, y, np.float64(y)):
        assert fields(apply_written_out(op, left, other)) == fields(engine.record_two(op, left, other))
    if op.is_operator:
        for other in (x, np.float64(x)):
            assert fields(apply_written_out(op, other, right)) == fields(engine.record_two(op, other, right))


@pytest.mark.parametrize("number", [2, True, np.float32(0.1), np.float64(0.1), np.int8(3), np.bool_(True)])
def test_numbers_of_other_types_become_floats(number: Any) -> None:
    x = Value(1.5)
    for result in (x + number, number + x, x * number, number * x, x - number, number - x, x / number, x**number):
        assert type(result.data) is float
        assert {type(operand) for operand in result.operands} == {Value, float}
        assert all(type(local) is float for local in result.partials)


@pytest.mark.parametrize("op", [op for op in TABLE.values() if op.arity == 2])
def test_an_operand_that_is_no_number_is_refused_by_name(op: Op) -> None:
    """On either side of an operator; what is an integer, but too large, as well."""
    where = OPERATOR_NAMES.get(op.name, op.name)
    calls: list[Callable[[Any], Any]] = [lambda number: apply_written_out(op, Value(1.0), number)]
    if op.is_operator:
        calls.append(lambda number: apply_written_out(op, number, Value(1.0)))
    unsupported = rf"unsupported operand type\(s\) for {re.escape(where.removeprefix('Value '))}"
    for call in calls:
        with pytest.raises(OverflowError, match=rf"^{re.escape(where)}: expected a number below 1.8e308"):
            call(10**400)
        for thing, shown in ((None, "NoneType None"), ({1: 2}, r"dict \{1: 2\}")):
            named = f"{where}: expected a number, got {shown}$"
            with pytest.raises(TypeError, match=f"^{unsupported if op.is_operator else named}"):
                call(thing)


def test_errors_show_a_thing_on_one_line_and_not_all_of_a_long_one() -> None:
    assert engine.shorten("short") == "'short'"
    assert engine.shorten(np.array([[1, 2], [3, 4]])) == "array([[1, 2], [3, 4]])"
    for length, shown in ((38, "'" + "x" * 38 + "'"), (39, "'" + "x" * 38 + "…")):
        assert engine.shorten("x" * length) == shown
        assert len(shown) == 40
    assert engine.shorten("x" * 9, length=6) == "'xxxx…"


# The recycled nodes


@pytest.mark.skipif(not COMPILED, reason="only the compiled engine keeps dead nodes")
def test_dead_nodes_are_used_again_and_no_more_than_the_limit_are_kept() -> None:
    recycler.uses = 0
    x = Value(1.0)
    root = x
    for _ in range(MOST_SPARE_NODES + 1000):
        root = root + x
    del root
    assert recycler.count == MOST_SPARE_NODES
    y = x + x
    assert recycler.count == MOST_SPARE_NODES - 1
    assert fields(y) == (Value, TABLE["add"], x, x, "", *map(repr, (2.0, 0.0, 1.0, 1.0)))
    del y
    assert recycler.count == MOST_SPARE_NODES


@pytest.mark.skipif(not COMPILED, reason="only the compiled engine keeps dead nodes")
def test_spare_nodes_are_let_go_after_many_uses() -> None:
    root = Value(1.0) + 1.0
    for _ in range(MOST_USES // 100 + 2):
        for _ in range(100):
            root = root + 1.0
        root = Value(1.0) + 1.0
    assert recycler.uses < MOST_USES


def test_a_pass_that_was_ended_leaves_no_node_that_counts_as_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = Value(3.0), Value(4.0)
    product = x * y
    result = product + x
    for node, link in ((x, product), (product, y), (y, engine.END)):
        node._next = link
    monkeypatch.setattr(engine, "_unfinished", result)
    (x * 2.0).backward()
    assert all(node._next is None for node in (x, y, product, result))
    result.backward()
    assert (x.grad, y.grad, product.grad) == (7.0, 3.0, 1.0)


def test_a_pass_that_was_ended_among_shared_nodes_is_cleared_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty doublings: 2⁶⁰ paths, and each node is visited once."""
    x = Value(1.0)
    doubled = x
    for _ in range(60):
        doubled = doubled + doubled
        doubled._next = x
    monkeypatch.setattr(engine, "_unfinished", doubled)
    doubled.backward()
    assert x.grad == 2.0**60


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that interrupt")
@pytest.mark.skipif(COMPILED, reason="Ctrl-C waits for the end of a compiled pass")
@no_collector_callbacks()
def test_case_27_ctrl_c_at_any_moment_and_twice() -> None:
    """Real signals, one or two in a row, many times: a leaf holds what it held, and later gradients are right."""
    x = Value(2.0)
    y = x
    for _ in range(300):
        y = y * 0.5 + x
    y.backward()
    right = x.grad
    interrupts = left = 0

    def interrupt(_: int, frame: FrameType | None) -> None:
        nonlocal interrupts, left
        while frame is not None and frame.f_code.co_name != "backpropagate":
            frame = frame.f_back
        if frame is not None and left > 0:
            interrupts += 1
            left -= 1
            raise KeyboardInterrupt

    random_numbers = random.Random(0)
    handler = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(2000):
            x.grad = 7.0
            left = 2
            signal.setitimer(signal.ITIMER_REAL, random_numbers.uniform(1e-6, 3e-4), 5e-5)
            try:
                y.backward()
            except KeyboardInterrupt:
                assert x.grad in (7.0, 7.0 + right)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            x.grad = 0.0
            y.backward()
            assert x.grad == right
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupts > 10


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the signals of Unix")
@no_collector_callbacks()
def test_case_27_ctrl_c_at_any_moment_leaves_the_lock_to_others() -> None:
    """Of a small graph: much of the time goes by when the lock is taken and given back."""
    x = Value(2.0)
    y = x * x
    random_numbers = random.Random(0)
    handler = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(1000):
            with suppress(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, random_numbers.uniform(1e-6, 1e-4))
                while True:
                    y.backward()
            assert not engine.lock._is_owned()
    finally:
        signal.signal(signal.SIGALRM, handler)


def test_a_finalizer_or_signal_handler_that_walks_a_graph_meanwhile_is_refused() -> None:
    x = Value(2.0)
    with engine.lock, pytest.raises(RuntimeError, match=r"^backward: a finalizer or signal handler walked a graph"):
        (x * x).backward()
    with engine.lock, pytest.raises(RuntimeError, match=r"^backward: "):
        topological_order(x)
    (x * x).backward()
    assert x.grad == 4.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_can_differentiate_while_a_thread_of_its_parent_did() -> None:
    program = """
import os, threading
from autograd_mini import Value
total = x = Value(1.0)
for _ in range(20_000):
    total = total * 0.5 + x
running = True
def work():
    while running:
        total.backward()
thread = threading.Thread(target=work)
thread.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        y = Value(3.0)
        (y * y).backward()
        x.grad = 0.0
        (x * 5.0).backward()
        os._exit(0 if (y.grad, x.grad) == (6.0, 5.0) else 1)
    print(os.waitpid(child, 0)[1])
running = False
thread.join()
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == (["0"] * 5, "")


def test_what_a_leaf_holds() -> None:
    assert fields(Value(2.0)) == (Value, None, None, None, "", *map(repr, (2.0, 0.0, 0.0, 0.0)))


def test_a_row_of_ones_own_is_handed_its_result_for_either_operand() -> None:
    hypotenuse = Op(
        name="hypotenuse",
        doc="",
        forward=lambda m, x, y: m.sqrt(x * x + y * y),
        partials=(lambda m, out, x, y: x / out, lambda m, out, x, y: y / out),
    )
    assert engine.record_two(hypotenuse, Value(3.0), Value(4.0)).partials == (0.6, 0.8)


def test_labels_take_no_place_in_nodes_without_one() -> None:
    x = Value(2.0, label="x")
    y = x * x
    y.label = "square"
    assert (x.label, x.op, y.label, y.op) == ("x", None, "square", TABLE["mul"])
    y.label = x.label = ""
    assert (x._row, y._row, Value(2.0)._row) == (None, TABLE["mul"], None)


@pytest.mark.parametrize("number", [-113.0, math.nan, math.inf, -0.0, 5e-324])
def test_numbers_that_compiled_code_might_take_for_a_sign(number: float) -> None:
    """mypyc marks a float that is not there by -113."""
    x = Value(number)
    x.grad = number
    assert (repr(x.data), repr(x.grad)) == (repr(number), repr(number))
    y = x + 0.0
    assert repr(y.data) == repr(number + 0.0)
    assert repr((number * Value(1.0)).partials) == repr((number,))
    z = Value(1.0) * number
    z.backward()
    assert repr(z.parents[0].grad) == repr(0.0 + number)


def test_a_recycled_node_remembers_nothing() -> None:
    x = Value(3.0)
    for _ in range(3):
        y = x * x
        assert (y.data, y.grad, y.label, y.op) == (9.0, 0.0, "", TABLE["mul"])
        y.label, y.grad = "y", 5.0
        z = y.sin()
        z.backward()
        del y, z


def test_leaves_and_operands_live_as_long_as_a_graph_needs_them() -> None:
    kept = [Value(float(index)) * 2.0 for index in range(1000)]
    for _ in range(3):
        others = [Value(7.0) + 1.0 for _ in range(1000)]
        del others
    assert [result.data for result in kept] == [2.0 * index for index in range(1000)]
    assert [result.parents[0].data for result in kept] == [float(index) for index in range(1000)]


class Watched(Value):
    """A leaf that tells when it is freed."""

    freed: list[float]

    def __init__(self, number: float, freed: list[float]) -> None:
        super().__init__(number)
        self.freed = freed

    def __del__(self) -> None:
        self.freed.append(self.data)


def test_a_graph_is_freed_when_its_last_result_is() -> None:
    freed: list[float] = []
    result = (Watched(1.0, freed) + Watched(2.0, freed)).exp() * Watched(3.0, freed)
    again = result + 1.0
    del result
    gc.collect()
    assert freed == []
    del again
    assert sorted(freed) == [1.0, 2.0, 3.0]


def test_a_subclass_that_frees_and_records_while_it_dies() -> None:
    results: list[float] = []

    class Last(Value):
        def __del__(self) -> None:
            other = Value(5.0) * 2.0 + 1.0
            other.backward()
            results.append(other.data)

    for _ in range(100):
        graph = Last(1.0) + Last(2.0)
        del graph
    assert results == [11.0] * 200


def test_nested_containers_of_nodes_are_freed() -> None:
    """Freed many deep, CPython may chain nodes by collector headers that they do not have: see engine.h."""
    kept = [Value(float(index)) for index in range(3000)]
    for depth in range(40, 60):
        nested: list[Any] = [Value(1.0) + 1.0 for _ in range(20)]
        for _ in range(depth):
            nested = [nested, Value(2.0) * 3.0, Value(4.0)]
        del nested
    deep: Any = None
    for _ in range(20_000):  # Python 3.13 chains none before 10,000
        deep = (deep, Value(1.0).exp())
    del deep
    assert [leaf.data for leaf in kept] == [float(index) for index in range(3000)]
    assert all(leaf.op is None and leaf.label == "" and leaf.grad == 0.0 for leaf in kept)


@pytest.mark.skipif(not COMPILED, reason="every object of an interpreted class is the collector's")
def test_compiled_nodes_are_none_of_the_collectors_business() -> None:
    x = Value(1.0)
    result = (x * 2.0).sin() + x
    assert not any(gc.is_tracked(node) for node in (x, result, *result.parents))


@pytest.mark.skipif(COMPILED, reason="a compiled node is no object of the collector's")
def test_an_interpreted_node_is_one_tracked_object() -> None:
    x = Value(1.0)
    gc.collect()
    before = len(gc.get_objects())
    results = [x * 2.0 + x for _ in range(1000)]
    assert len(gc.get_objects()) - before == 2001  # the list as well
    assert len(results) == 1000


def test_nothing_of_ours_touches_the_collectors_settings() -> None:
    before = gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()
    x = Value(1.0)
    total = sum(x * float(index) for index in range(10_000))
    assert isinstance(total, Value)
    total.backward()
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before


def test_threads_that_record_and_free_at_once() -> None:
    sums: list[list[float]] = [[] for _ in range(4)]

    def work(index: int) -> None:
        for _ in range(50):
            x = Value(float(index + 1))
            total = x
            for _ in range(200):
                total = total + x * x
            total.backward()
            sums[index].append(x.grad)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        run_in_threads(work)
    finally:
        sys.setswitchinterval(interval)
    assert sums == [[1.0 + 400.0 * (index + 1)] * 50 for index in range(4)]


# What compiling must not change


def public_members() -> list[str]:
    """The names that users see on a Value."""
    return [name for name in dir(Value) if not name.startswith("_")]


def test_docstrings_signatures_and_names_are_there() -> None:
    assert inspect.getdoc(Value).startswith("A number that records the operations on it")  # type: ignore[union-attr]
    assert (Value.__name__, Value.__qualname__, Value.__module__) == ("Value", "Value", "autograd_mini.value")
    assert list(inspect.signature(Value).parameters) == ["data", "label"]
    for name in public_members():
        member = inspect.getattr_static(Value, name)
        assert inspect.getdoc(member), name
        if not isinstance(member, property):
            assert inspect.signature(member).return_annotation is not inspect.Signature.empty, name
    assert "numpy" in str(inspect.signature(Value).parameters["data"].annotation)
    assert inspect.getsource(Value).startswith("@adds_to_node\nclass Value(Node):")


ANY_VALUE: Any = Value


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ANY_VALUE(), r"Value.__init__\(\) missing 1 required positional argument: 'data'"),
        (lambda: ANY_VALUE(1, lable="x"), r"Value.__init__\(\) got an unexpected keyword argument 'lable'.*"),
        (lambda: ANY_VALUE(1).sin(2), r"Value.sin\(\) takes 1 positional argument but 2 were given"),
        (lambda: ANY_VALUE(1, label=2), r"Value: expected a text as label, got int 2"),
        (lambda: setattr(ANY_VALUE(1), "label", 2), r"Value.label: expected a text as label, got int 2"),
        (lambda: setattr(ANY_VALUE(1), "data", "2"), r"Value.data: expected a number, got str '2'"),
        (lambda: ANY_VALUE(1) + "2", r"unsupported operand type\(s\) for \+: 'Value' and 'str'"),
        (lambda: [] * ANY_VALUE(1), r"can't multiply sequence by non-int of type 'Value'"),
        (lambda: ANY_VALUE(1) < None, r"'<' not supported between instances of 'Value' and 'NoneType'"),
        (lambda: ANY_VALUE(1).maximum("2"), r"maximum: expected a number, got str '2'"),
    ],
)
def test_wrong_calls_get_the_same_error_on_both_builds(wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{message}$"):
        wrong()


def test_wrong_calls_of_a_subclass_get_the_same_error_on_both_builds() -> None:
    class Weight(Value):
        pass

    any_weight: Any = Weight
    with pytest.raises(TypeError, match=r"^Value.__init__\(\) missing 1 required positional argument: 'data'$"):
        any_weight()
    with pytest.raises(TypeError, match=r"^Value.__init__\(\) got an unexpected keyword argument 'lable'"):
        any_weight(1.0, lable="w")
    with pytest.raises(TypeError, match=r"^Value: expected a number, got NoneType None$"):
        any_weight(None)
    with pytest.raises(AttributeError):
        any_weight.__new__(any_weight) + 1


def test_a_subclass_that_never_called_init_does_no_harm() -> None:
    class Forgetful(Value):
        def __init__(self, number: float) -> None:
            self.data = number

    for _ in range(3):
        with pytest.raises(AttributeError):
            Forgetful(2.0).backward()
    recycler.uses = 0
    spare = recycler.count
    x = Value(2.0)
    y = x
    for _ in range(1000):
        y = y + x
    y.backward()
    assert x.grad == 1001.0
    del y
    assert recycler.count >= min(spare, 1000) * COMPILED


def test_an_integer_beyond_the_floats_is_one_error() -> None:
    wrong: list[Callable[[], Value]] = [lambda: Value(1.0) + 10**400, lambda: Value(10**400)]
    for call in wrong:
        with pytest.raises(OverflowError, match=r"expected a number below 1.8e308") as caught:
            call()
        assert caught.value.__context__ is None


def test_attributes_that_are_not_there() -> None:
    x: Any = Value(1.0)
    with pytest.raises(AttributeError, match=r"^'Value' object has no attribute 'weight'"):
        x.weight = 1.0
    with pytest.raises(AttributeError, match=r"^'Value' object has no attribute 'weight'$"):
        _ = x.weight
    for name in ("data", "grad", "label"):
        with pytest.raises(AttributeError, match=rf"^property '{name}' of 'Value' object has no deleter$"):
            delattr(x, name)
    with pytest.raises(AttributeError, match=r"^property 'op' of 'Value' object has no setter$"):
        x.op = None


def test_a_value_that_was_refused_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    for wrong in ("text", None, [1.0]):
        with pytest.raises(TypeError):
            Value(wrong)  # type: ignore[arg-type]
    gc.collect()
    assert capfd.readouterr().err == ""


def test_subclasses() -> None:
    class Weight(Value):
        """With an attribute, a method, a keyword and an operator of its own."""

        def __init__(self, data: float, *, name: str = "w") -> None:
            super().__init__(data, label=name)
            self.history: list[float] = []

        def step(self, rate: float) -> None:
            self.history.append(self.data)
            self.data -= rate * self.grad

        def __rshift__(self, other: Value) -> str:
            return f"{self.label}>>{other.data}"

    w = Weight(2.0, name="weight")
    loss = (w * 3.0 - 1.0) ** 2
    loss.backward()
    w.step(0.1)
    assert (w.history, w.data, w.label) == ([2.0], 2.0 - 0.1 * 30.0, "weight")
    assert type(loss) is Value
    assert isinstance(w, Value)
    assert loss.parents[0].parents[0].parents[0] is w
    assert w >> Value(1.0) == "weight>>1.0"

    class Mine(Value):
        def __mul__(self, other: Any) -> Any:
            return "mine"

        def __radd__(self, other: Any) -> Any:
            return "mine too"

    assert Mine(1.0) * 2 == "mine"
    assert Value(1.0) + Mine(2.0) == "mine too"
    assert (2 * Mine(3.0)).data == 6.0


def test_methods_can_be_added_in_a_notebook() -> None:
    Value.square = lambda self: self * self  # type: ignore[attr-defined]
    try:
        assert Value(3.0).square().data == 9.0  # type: ignore[attr-defined]
    finally:
        del Value.square  # type: ignore[attr-defined]


# The two builds side by side

PROGRAM = """
import pickle, sys
from autograd_mini import Value, build_info, maximum
from nn import MLP

model = MLP(3, [5, 4, 1], "tanh", "sigmoid", seed=3)
inputs = [[0.1 * i - 0.7, 0.3 * i, 1.0 / (i + 1)] for i in range(12)]
total = sum(model(row) ** 2 / (1 + i) for i, row in enumerate(inputs)) - 2.0 ** model(inputs[0])
for parameter in model.parameters():
    total = total + maximum(parameter, -0.5).softplus().log1p() * parameter.erf() - abs(parameter) / 3
total.backward()
total.backward()
print(total.data.hex(), *[parameter.grad.hex() for parameter in model.parameters()])
with open(sys.argv[1], "wb") as file:
    pickle.dump(total, file)
print(build_info().compiled, file=sys.stderr)
"""


def run_program(path: Path, pickled: Path, seed: str) -> tuple[str, bool]:
    """What the program prints with the package of this folder, and whether that is compiled."""
    environment = os.environ | {"PYTHONPATH": str(path), "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", PROGRAM, str(pickled)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr == "True\n"


@pytest.fixture
def interpreted(tmp_path: Path) -> Path:
    """The packages in use, without what was compiled."""
    for package in (autograd_mini, nn):
        source = Path(str(package.__file__)).parent
        shutil.copytree(source, tmp_path / source.name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return tmp_path


def test_both_builds_give_the_same_bits_and_read_each_others_pickles(interpreted: Path, tmp_path: Path) -> None:
    in_use = Path(autograd_mini.__file__).parent.parent
    found, is_compiled = run_program(in_use, tmp_path / "in_use.pickle", "1")
    again, _ = run_program(in_use, tmp_path / "again.pickle", "2")
    beside, other_is_compiled = run_program(interpreted, tmp_path / "interpreted.pickle", "3")
    assert (is_compiled, other_is_compiled) == (COMPILED, False)
    assert found == again == beside
    assert found.count("0x") > 40
    for name in ("in_use", "interpreted"):
        root = pickle.loads((tmp_path / f"{name}.pickle").read_bytes())
        assert root.data.hex() == found.split()[0]
    assert (tmp_path / "in_use.pickle").read_bytes() == (tmp_path / "interpreted.pickle").read_bytes()


def test_build_info() -> None:
    info = autograd_mini.build_info()
    assert info.compiled is COMPILED is (Path(engine.__file__).suffix != ".py")
    assert info.python.split()[1] == sys.version.split()[0]
    kind = "compiled" if COMPILED else "interpreted"
    assert str(info) == f"autograd-mini {info.version}, {kind}, {info.python}"


def test_tracebacks_lead_to_the_users_line() -> None:
    def wrong() -> None:
        ANY_VALUE(None)

    with pytest.raises(TypeError) as caught:
        wrong()
    frames = traceback.extract_tb(caught.value.__traceback__)[1:]
    assert [(Path(frame.filename).name, frame.name) for frame in frames] == [
        ("test_engine.py", "wrong"),
        ("value.py", "__init__"),
        ("engine.py", "to_float"),
    ]
    assert frames[0].line == "ANY_VALUE(None)"


@pytest.mark.skipif(not COMPILED, reason="an interpreted node's numbers are objects of their own")
def test_a_compiled_node_takes_96_bytes() -> None:
    assert Value.__basicsize__ == 96

"""Value: recording, backward(), what it accepts, comparisons, threads and memory.

Numbers in brackets, as in [10], are those of the list of hostile cases.
"""

import contextlib
import copy
import gc
import itertools
import math
import operator
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import PATIENCE, chain, fields, run_in_threads

from autograd_mini import engine, graph
from autograd_mini.engine import COMPILED, MOST_SPARE_NODES, recycler
from autograd_mini.ops import TABLE, row
from autograd_mini.value import Value, apply

# Operators, by hand

BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[float, float], tuple[float, float, float]]]] = {
    "add": (operator.add, lambda a, b: (a + b, 1.0, 1.0)),
    "sub": (operator.sub, lambda a, b: (a - b, 1.0, -1.0)),
    "mul": (operator.mul, lambda a, b: (a * b, b, a)),
    "div": (operator.truediv, lambda a, b: (a / b, 1 / b, -a / b**2)),
    "pow": (operator.pow, lambda a, b: (a**b, b * a ** (b - 1), a**b * math.log(a))),
}
NUMBERS: list[Any] = [
    *(2, 1, True, 2.5, 0.5),
    *(np.float16(2.5), np.float32(2.5), np.float64(2.5), np.longdouble(2.5)),
    *(np.int8(2), np.int64(2), np.uint8(2), np.bool_(True)),
]


@pytest.mark.parametrize("name", BINARY)
def test_operator_on_two_values(name: str) -> None:
    apply_operator, by_hand = BINARY[name]
    x, y = Value(3.0), Value(2.0)
    result = apply_operator(x, y)
    result.backward()
    assert (result.data, x.grad, y.grad) == pytest.approx(by_hand(3.0, 2.0), rel=1e-15)
    assert result.op is TABLE[name]
    assert result.parents == (x, y) == result.operands


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}-{number}")
def test_case_20_operator_on_a_value_and_a_number_in_both_orders(name: str, number: Any) -> None:
    apply_operator, by_hand = BINARY[name]
    x = Value(3.0)
    result = apply_operator(x, number)
    assert type(result) is Value
    result.backward()
    value, gradient, _ = by_hand(3.0, float(number))
    assert (result.data, x.grad) == pytest.approx((value, gradient), rel=1e-15)
    assert result.operands == (x, float(number))

    x = Value(3.0)
    result = apply_operator(number, x)
    assert type(result) is Value
    result.backward()
    value, _, gradient = by_hand(float(number), 3.0)
    assert (result.data, x.grad) == pytest.approx((value, gradient), rel=1e-15)
    assert result.operands == (float(number), x)
    assert type(result.operands[0]) is float
    assert result.parents == (x,)


def test_unary_operators() -> None:
    x = Value(-3.0)
    negated, absolute = -x, abs(x)
    assert (negated.data, absolute.data) == (3.0, 3.0)
    assert negated.partials == (-1.0,)
    assert absolute.partials == (-1.0,)
    assert +x is x


def test_sum_of_a_list() -> None:
    values = [Value(1.0), Value(2.0), Value(3.5)]
    total = sum(values)
    assert isinstance(total, Value)
    total.backward()
    assert total.data == 6.5
    assert [value.grad for value in values] == [1.0, 1.0, 1.0]


@given(a=st.floats(), b=st.floats())
def test_add_and_mul_written_out_equal_their_rows(a: float, b: float) -> None:
    x, y = Value(a), Value(b)
    pairs: list[tuple[Any, Any]] = [(x, y), (x, x), (x, b), (a, y), (x, np.float64(b)), (np.float64(a), y)]
    for left, right in pairs:
        assert fields(left + right) == fields(apply(TABLE["add"], left, right))
        assert fields(left * right) == fields(apply(TABLE["mul"], left, right))


# Graphs and accumulation


@pytest.mark.skipif(sys.platform == "win32", reason="sets the size of the stack with ulimit")
def test_case_1_a_million_operations_on_a_small_stack() -> None:
    """In a process of its own: value, both gradients, and the memory given back, at the default recursion limit."""
    program = """
import sys
from autograd_mini import Value
from autograd_mini.engine import MOST_SPARE_NODES, recycler
assert sys.getrecursionlimit() == 1000
x, one = Value(1.0), Value(1.0)
before = sys.getallocatedblocks()
y = x
for _ in range(500_000):
    y = (y + x) * one
y.backward()
print(y.data, x.grad, one.grad)
del y
print(sys.getallocatedblocks() - before - recycler.count < 1000, recycler.count <= MOST_SPARE_NODES)
y = x
for _ in range(500_000):
    y = (y + x) * one
print("left to the end of the process", flush=True)
"""
    limited = ["sh", "-c", 'ulimit -s 512 && exec "$0" "$@"', sys.executable, "-W", "error", "-c"]
    control = """
class Link:
    __slots__ = ("next",)
last = None
for _ in range(1_000_000):
    link = Link()
    link.next = last
    last = link
"""
    if not COMPILED and subprocess.run([*limited, control], capture_output=True, timeout=120).returncode != 0:
        pytest.skip("this CPython (3.13) frees no deep chain of any interpreted class on so small a stack")
    run = subprocess.run([*limited, program], capture_output=True, text=True, timeout=120, check=False)
    assert run.stderr == ""
    assert run.returncode == 0
    # y_k = (y_(k-1) + x) one, so y = 500,001; one's derivative is 2 + 3 + … + 500,001.
    derivative_by_one = sum(range(2, 500_002))
    assert run.stdout.splitlines() == [
        f"500001.0 500001.0 {float(derivative_by_one)!r}",
        "True True",
        "left to the end of the process",
    ]


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Python's cyclic garbage collector switched off, after it has taken what was there."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.usefixtures("without_collector")
def test_case_2_a_million_nodes_are_given_back_without_the_collector() -> None:
    """But for what the engine keeps for the next graph, when compiled."""
    leaf = Value(1.0)
    spare = recycler.count
    before = sys.getallocatedblocks() - spare
    root = chain(leaf, 1_000_000)
    root.backward()
    held = sys.getallocatedblocks() - before
    del root
    left_over = sys.getallocatedblocks() - recycler.count - before
    assert recycler.count == (MOST_SPARE_NODES if COMPILED else 0)
    assert held >= 990_000  # others may go meanwhile
    assert left_over < 1000
    assert leaf.grad == 1.0


@pytest.mark.usefixtures("without_collector")
def test_case_2_the_collector_finds_nothing_after_any_row() -> None:
    for op in TABLE.values():
        leaves = [Value(0.5) for _ in range(op.arity)]
        result = apply(op, *leaves)
        assert isinstance(result, Value)
        (result * result + 1.0).backward()
        copy.deepcopy(result)
        pickle.loads(pickle.dumps(result))
        graph.topological_order(result)
    del leaves, result
    assert gc.collect() == 0


def test_case_3_an_operand_used_twice() -> None:
    x = Value(3.0)
    (x * x).backward()
    assert x.grad == 6.0
    x = Value(3.0)
    (x + x).backward()
    assert x.grad == 2.0
    x = Value(3.0)
    (x / x).backward()
    assert x.grad == 0.0
    x = Value(3.0)
    (x - x).backward()
    assert x.grad == 0.0


def test_case_4_diamond() -> None:
    a = Value(3.0)
    b = a + a
    c = b + b
    c.backward()
    assert (c.data, a.grad, b.grad) == (12.0, 4.0, 2.0)


def test_case_4_sixty_doublings_take_linear_time() -> None:
    """2⁶⁰ paths: whoever walked each of them would not come back."""
    leaf = Value(1.0)
    root = leaf
    for _ in range(60):
        root = root + root
    started = time.perf_counter()
    root.backward()
    assert (root.data, leaf.grad) == (2.0**60, 2.0**60)
    assert len(graph.topological_order(root)) == 61
    assert graph.pullback(root, [leaf]) == [2.0**60]
    twin = pickle.loads(pickle.dumps(copy.deepcopy(root)))
    twin.backward()
    assert graph.leaves(twin)[0]._grad == 2.0**60 + leaf.grad
    assert time.perf_counter() - started < PATIENCE


def test_case_5_leaves_accumulate_and_inner_nodes_are_overwritten() -> None:
    x = Value(2.0)
    square = x * x
    y = square**2
    y.backward()
    assert (x.grad, square.grad, y.grad) == (32.0, 8.0, 1.0)
    y.backward()
    assert (x.grad, square.grad, y.grad) == (64.0, 8.0, 1.0)
    x.grad = 0
    y.backward()
    assert x.grad == 32.0


@given(coefficients=st.lists(st.integers(-1000, 1000), min_size=1, max_size=8))
def test_case_5_a_second_backward_doubles_every_leaf(coefficients: list[int]) -> None:
    x, y = Value(2.0), Value(-3.0)
    total: Any = sum(x * c + y * x * c for c in coefficients)
    total.backward()
    once = x.grad, y.grad
    assert once == (sum(coefficients) * -2.0, sum(coefficients) * 2.0)
    total.backward()
    assert (x.grad, y.grad) == (2 * once[0], 2 * once[1])


@given(coefficients=st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=8))
def test_case_5_doubles_exactly_whatever_the_rounding(coefficients: list[float]) -> None:
    """What a call adds to a leaf does not depend on what the leaf held before."""
    x = Value(1.0)
    total: Any = sum(x * c for c in coefficients)
    total.backward()
    once = x.grad
    total.backward()
    assert x.grad == 2 * once


def test_case_5_gradients_of_two_results_add_up_in_their_shared_leaf() -> None:
    x = Value(3.0)
    (x * x).backward()
    (x * 10).backward()
    assert x.grad == 16.0


def test_case_6_augmented_assignment_leaves_the_old_value_alone() -> None:
    x = Value(3.0)
    y = x
    y += 1
    assert (x.data, y.data) == (3.0, 4.0)
    assert y is not x
    assert x.op is None
    y *= 2
    y -= 3
    y /= 5
    y **= 2
    assert (x.data, y.data) == (3.0, 1.0)
    y.backward()
    assert x.grad == pytest.approx(2 * 1.0 * 2 / 5, rel=1e-15)


def test_case_7_a_recording_keeps_its_gradient() -> None:
    x = Value(3.0)
    y = x * x
    x.data = 100
    assert (x.data, y.data) == (100.0, 9.0)
    y.backward()
    assert x.grad == 6.0


def test_backward_on_a_leaf() -> None:
    x = Value(3.0)
    x.backward()
    assert x.grad == 1.0
    x.backward()
    assert x.grad == 2.0


def test_backward_fills_inner_nodes_of_its_own_graph_only() -> None:
    x = Value(2.0)
    inner = x * 3
    beside = x * 5
    (inner * 7).backward()
    assert (x.grad, inner.grad, beside.grad) == (21.0, 7.0, 0.0)


def test_backward_from_an_inner_node() -> None:
    x = Value(2.0)
    inner = x * 3
    root = inner * 7
    inner.backward()
    assert (x.grad, inner.grad, root.grad) == (3.0, 1.0, 0.0)


def test_a_nan_reaches_every_gradient_it_belongs_to() -> None:
    x, y = Value(math.nan), Value(2.0)
    result = x * y + y
    result.backward()
    assert math.isnan(result.data)
    assert math.isnan(y.grad)
    assert x.grad == 2.0


def test_detach_stops_gradients() -> None:
    x = Value(3.0, label="x")
    cut = (x * x).detach()
    assert (cut.data, cut.op, cut.parents, cut.grad) == (9.0, None, (), 0.0)
    (cut * x).backward()
    assert (x.grad, cut.grad) == (9.0, 3.0)
    assert x.detach().label == "x"
    assert x.detach() is not x


# Case 9: threads


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads that take turns as often as they can, so that a race shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.usefixtures("frequent_switches")
def test_case_9_threads_whose_graphs_share_leaves_add_up_exactly() -> None:
    weights = [Value(1.0), Value(2.0), Value(3.0)]

    def work(index: int) -> None:
        for _ in range(100):
            total: Any = sum(weight * (index + 1) for _ in range(20) for weight in weights)
            total.backward()

    run_in_threads(work)
    # 100 times 20 times (1 + 2 + 3 + 4) for each of the weights.
    assert [weight.grad for weight in weights] == [20_000.0, 20_000.0, 20_000.0]


@pytest.mark.usefixtures("frequent_switches")
def test_case_9_threads_that_differentiate_the_same_graph() -> None:
    x = Value(2.0)
    root = x
    for _ in range(200):
        root = root + x
    results: list[list[Any]] = [[] for _ in range(4)]

    def work(index: int) -> None:
        for _ in range(100):
            root.backward()
            results[index].append((graph.pullback(root, [x])[0], len(graph.topological_order(root))))

    run_in_threads(work)
    assert x.grad == 4 * 100 * 201.0
    assert set(itertools.chain(*results)) == {(201.0, 201)}


@pytest.mark.parametrize("read", [Value.backward, graph.topological_order, graph.leaves])
def test_case_9_whoever_walks_a_graph_waits_for_its_turn(read: Callable[[Value], Any]) -> None:
    x = Value(2.0)
    y = x * x
    with engine.lock:
        thread = threading.Thread(target=read, args=(y,), daemon=True)
        thread.start()
        thread.join(timeout=0.1)
        assert thread.is_alive()
        assert x.grad == 0.0
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert engine.lock.acquire(blocking=False)
    engine.lock.release()


# Case 19: what is no number

NO_NUMBERS: list[Any] = [
    *("3", "", b"3", None, 1j, complex(1, 0), np.complex128(1), Decimal(1), Fraction(1, 2)),
    *([], [1.0], (1.0,), {}, {1.0}, object(), int, np.array([1.0, 2.0]), np.array([1.0]), np.array(1.0)),
    *(np.array([], dtype=object), np.datetime64("2020-01-01"), np.str_("3")),
]
NAMES = [f"{index}-{type(thing).__name__}" for index, thing in enumerate(NO_NUMBERS)]


@pytest.mark.parametrize("thing", NO_NUMBERS, ids=NAMES)
def test_case_19_construction_refuses_and_says_what_came(thing: Any) -> None:
    with pytest.raises(TypeError, match=rf"^Value: expected a number, got {type(thing).__name__} ") as error:
        Value(thing)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 120


@pytest.mark.parametrize("thing", NO_NUMBERS, ids=NAMES)
def test_case_19_setters_refuse_and_change_nothing(thing: Any) -> None:
    x = Value(2.0)
    with pytest.raises(TypeError, match=r"^Value\.data: expected a number, got "):
        x.data = thing
    with pytest.raises(TypeError, match=r"^Value\.grad: expected a number, got "):
        x.grad = thing
    assert (x.data, x.grad) == (2.0, 0.0)


@pytest.mark.parametrize("apply_operator", [pair[0] for pair in BINARY.values()])
@pytest.mark.parametrize("thing", NO_NUMBERS, ids=NAMES)
def test_case_19_and_20_operators_refuse_in_both_orders(apply_operator: Callable[[Any, Any], Any], thing: Any) -> None:
    """Never an array of objects."""
    for operands in ((Value(2.0), thing), (thing, Value(2.0))):
        if isinstance(thing, Fraction) and apply_operator is operator.pow:
            # Up to Python 3.12 a Fraction makes itself a float before it is raised, or raises, to a power.
            with contextlib.suppress(TypeError):
                assert type(apply_operator(*operands)) is Value
            continue
        with pytest.raises(TypeError):
            apply_operator(*operands)


@pytest.mark.parametrize("function", [np.add, np.multiply, np.exp, np.maximum, np.power])
def test_case_20_numpy_functions_refuse_a_value(function: np.ufunc) -> None:
    with pytest.raises(TypeError, match="does not support ufuncs"):
        function(*[Value(1.0)] * function.nin)


def test_case_19_values_are_not_wrapped_in_values() -> None:
    with pytest.raises(TypeError, match="Value: expected a number, got Value"):
        Value(Value(1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{type(number).__name__}-{number}")
def test_case_19_numbers_of_every_kind_become_floats(number: Any) -> None:
    x = Value(number)
    assert type(x.data) is float
    assert x.data == float(number)
    x.data = x.grad = number
    assert type(x.data) is type(x.grad) is float


@pytest.mark.parametrize("huge", [10**400, -(10**400)])
def test_case_19_an_integer_beyond_the_floats(huge: int) -> None:
    message = "expected a number below 1.8e308, got an integer beyond it"
    with pytest.raises(OverflowError, match=f"^Value: {message}"):
        Value(huge)
    x = Value(2.0)
    with pytest.raises(OverflowError, match=message):
        x.data = huge
    for apply_operator in [*(pair[0] for pair in BINARY.values()), operator.lt, operator.ge]:
        for operands in ((x, huge), (huge, x)):
            with pytest.raises(OverflowError, match=message):
                apply_operator(*operands)
    assert x.data == 2.0


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, -0.0, 5e-324])
def test_special_floats_are_numbers(number: float) -> None:
    assert repr(Value(number).data) == repr(number)


@pytest.mark.parametrize("label", [None, 3, b"x", ["x"]])
def test_label_must_be_text(label: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Value(1.0, label=label)
    assert str(caught.value) == f"Value: expected a text as label, got {type(label).__name__} {label!r}"


def test_labels() -> None:
    assert Value(1.0).label == ""
    x = Value(1.0, "weight")
    assert x.label == "weight"
    x.label = "other"
    assert repr(x) == "Value(data=1.0, grad=0.0, label='other')"
    assert (x + 1).label == ""


def test_there_are_no_other_attributes() -> None:
    x = Value(1.0)
    with pytest.raises(AttributeError):
        x.gradient = 1.0  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        x.parents = ()  # type: ignore[misc]


# Case 21: comparisons, truth, text


@given(a=st.floats(), b=st.floats())
def test_case_21_comparisons_follow_the_numbers(a: float, b: float) -> None:
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        expected = compare(a, b)
        for operands in ((Value(a), Value(b)), (Value(a), b), (a, Value(b)), (np.float64(a), Value(b))):
            found = compare(*operands)
            assert type(found) is bool
            assert found == expected


def test_case_21_comparisons_with_other_numbers() -> None:
    assert Value(1.5) > True
    assert Value(1.5) > 1
    assert Value(1.5) <= 2
    assert operator.ge(2, Value(1.5))
    assert np.int64(2) > Value(1.5)
    assert np.bool_(True) < Value(1.5)


@pytest.mark.parametrize("thing", NO_NUMBERS, ids=NAMES)
def test_case_21_comparisons_with_no_number_are_refused(thing: Any) -> None:
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            compare(Value(1.0), thing)
        with pytest.raises(TypeError):
            compare(thing, Value(1.0))


def test_case_21_refused_comparisons_say_what_came() -> None:
    huge: Any = 10**400
    nothing: Any = None
    for compare, symbol in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
        with pytest.raises(TypeError, match=f"^'{symbol}' not supported between instances of 'Value' and 'NoneType'$"):
            compare(Value(1.0), nothing)
        with pytest.raises(OverflowError, match=r"^Value: expected a number below 1.8e308"):
            compare(Value(1.0), huge)


def test_case_21_max_min_and_sorted() -> None:
    values = [Value(2.0), Value(-1.0), Value(3.0)]
    assert max(values) is values[2]
    assert min(values) is values[1]
    assert [value.data for value in sorted(values)] == [-1.0, 2.0, 3.0]


def test_case_21_equality_and_hash_are_identity() -> None:
    x, y = Value(1.0), Value(1.0)
    assert x == x
    assert x != y
    number: Any = 1.0
    assert x != number
    assert np.float64(1.0) != x
    assert len({x, y, x}) == 2
    before = hash(x)
    x.data = 5.0
    assert hash(x) == before
    assert x in [y, x]
    assert x not in [y]


@pytest.mark.parametrize("number", [0.0, 1.0, math.nan])
def test_case_21_a_value_is_neither_true_nor_false(number: float) -> None:
    x = Value(number)
    with pytest.raises(TypeError, match=r"^Value: a Value is neither true nor false; .*`if value\.data != 0:`$"):
        bool(x)
    with pytest.raises(TypeError, match="neither true nor false"):
        assert not x
    with pytest.raises(TypeError, match="neither true nor false"):
        _ = x and 1.0


def test_float_format_and_repr() -> None:
    x = Value(2.0, label="x")
    y = x * 3
    y.backward()
    assert float(x) == 2.0
    assert type(float(x)) is float
    assert math.sqrt(Value(9.0)) == 3.0
    assert repr(x) == str(x) == f"{x}" == "Value(data=2.0, grad=3.0, label='x')"
    assert repr(y) == "Value(data=6.0, grad=1.0, op=mul)"
    assert f"{y:.3f}" == "6.000"
    assert f"{x:>8.1e}" == " 2.0e+00"
    assert f"{x!r}" == repr(x)
    assert f"{Value(math.nan):.2f}" == "nan"
    with pytest.raises(ValueError, match="format"):
        f"{x:what}"


def test_partials_and_operands_of_a_leaf_are_empty() -> None:
    x = Value(2.0)
    assert (x.op, x.parents, x.operands, x.partials) == (None, (), (), ())


# apply


@pytest.mark.parametrize("name", ["exp", "add"])
@pytest.mark.parametrize("count", [0, 3])
def test_apply_wants_the_right_number_of_operands(name: str, count: int) -> None:
    op = row(name)
    with pytest.raises(TypeError, match=rf"{name}: expected {op.arity} operand\(s\), got {count}"):
        apply(op, *[Value(1.0)] * count)


@pytest.mark.parametrize("thing", NO_NUMBERS, ids=NAMES)
def test_case_19_apply_refuses_what_is_no_number(thing: Any) -> None:
    for operands in ((thing, 1.0), (1.0, thing), (Value(1.0), thing), (thing, Value(1.0))):
        with pytest.raises(TypeError, match=f"maximum: expected a number, got {type(thing).__name__} "):
            apply(row("maximum"), *operands)
    with pytest.raises(TypeError, match=f"exp: expected a number, got {type(thing).__name__} "):
        apply(row("exp"), thing)


@pytest.mark.skipif(COMPILED, reason="Ctrl-C waits for the end of a compiled backward pass")
def test_case_27_ctrl_c_in_the_middle_of_backward_leaves_the_leaves_as_they_were() -> None:
    """Interrupted at its first line, its second, …: a leaf holds what it held; then all of the new as well."""
    x = Value(3.0)
    y = x * x + x
    steps = 0
    while True:
        x.grad = 5.0
        steps += 1
        left = steps

        def interrupt(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal left
            if frame.f_code.co_name not in ("backpropagate", "walk"):
                return None
            left -= event == "line"
            if left == 0:
                raise KeyboardInterrupt
            return interrupt

        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            y.backward()
            break
        except KeyboardInterrupt:
            assert x.grad == 5.0
        finally:
            sys.settrace(before)
    assert steps > 60
    assert x.grad == 12.0
    y.backward()
    assert x.grad == 19.0

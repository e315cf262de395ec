"""The checker: what it passes, what it fails, what it leaves open (hostile cases 16 to 18), and what it refuses."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_mini import (
    Op,
    Report,
    Value,
    Verdict,
    apply,
    assert_gradients,
    check_gradients,
    cos,
    exp,
    grad,
    high_precision,
    log,
    maximum,
    relu,
    sin,
    sqrt,
    tan,
)
from autograd_mini.check import relative_error
from nn import MLP, mse_loss


def verdicts(report: Report) -> list[str]:
    return [coordinate.verdict.value for coordinate in report.coordinates]


def forget_mpmath(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed."""
    monkeypatch.setitem(sys.modules, "mpmath", None)
    monkeypatch.setattr(high_precision._Numbers, "of", high_precision._Numbers)
    assert high_precision.gradients_at_50_digits(Value(1.0), []) is None


@pytest.fixture(scope="module")
def worked_example() -> tuple[Value, list[Value]]:
    network = MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    return network([2.0, 4.0, 3.0]), network.parameters()


def test_every_coordinate_of_the_worked_example_passes(worked_example: tuple[Value, list[Value]]) -> None:
    output, parameters = worked_example
    report = check_gradients(output, parameters)
    assert report
    assert [c.name for c in report.coordinates] == [p.label for p in parameters]
    assert max(c.relative_error for c in report.coordinates) < 1e-14


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.5, 2.0, 1 + 1e-6])
@pytest.mark.parametrize("without_mpmath", [False, True])
def test_case_16_any_one_wrong_gradient_is_caught(
    worked_example: tuple[Value, list[Value]], factor: float, without_mpmath: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without_mpmath:
        forget_mpmath(monkeypatch)
    output, parameters = worked_example
    right = [c.gradient for c in check_gradients(output, parameters).coordinates]
    for planted in range(0, len(right), 3):
        claimed = [g * factor if index == planted else g for index, g in enumerate(right)]
        expected = ["fail" if index == planted else "pass" for index in range(len(right))]
        assert verdicts(check_gradients(output, parameters, gradient=claimed)) == expected


def test_case_17_a_kink_is_neither_a_pass_nor_a_failure() -> None:
    report = check_gradients(relu, 0.0)
    assert verdicts(report) == ["inconclusive"]
    assert report.coordinates[0].reason == "kink: slope 0 on the left, 1 on the right"
    assert not report
    assert verdicts(check_gradients(lambda x: x.relu() + x, [0.0])) == ["inconclusive"]
    assert verdicts(check_gradients(lambda x, y: maximum(x, y), [2.0, 2.0])) == ["inconclusive"] * 2


def test_case_17_the_edge_of_a_domain() -> None:
    assert check_gradients(sqrt, 0.0).coordinates[0].reason == "domain edge: the function is nan just below"
    assert check_gradients(log, -1.0).coordinates[0].reason == "the function is nan here"


@pytest.mark.parametrize(
    "function",
    [
        lambda x: sin(1e13 * (x * x - 0.1)),  # rounding x * x moves the sine by more than its period
        lambda x: log((x + 1e15) - 1e15 + 1),  # the function that floats compute is a staircase
    ],
)
@pytest.mark.parametrize("without_mpmath", [False, True])
def test_case_17_ill_conditioned(
    function: Callable[[Value], Value], without_mpmath: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without_mpmath:
        forget_mpmath(monkeypatch)
    assert verdicts(check_gradients(function, [0.3])) == ["inconclusive"]


def test_case_17_a_number_that_is_lost_beside_a_large_one_is_open_unless_50_digits_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert check_gradients(lambda x: (x + 1e20) - 1e20, 1.0)
    forget_mpmath(monkeypatch)
    assert verdicts(check_gradients(lambda x: (x + 1e20) - 1e20, 1.0)) == ["inconclusive"]


@pytest.mark.parametrize("without_mpmath", [False, True])
def test_case_17_ill_conditioned_at_any_point(without_mpmath: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last bit of the exponential is a good part of a period, or several: however it falls, it is no mistake."""
    if without_mpmath:
        forget_mpmath(monkeypatch)
    for function in (lambda x: sin(exp(x)), lambda x: exp(x) + sin(exp(x)), lambda x: tan(exp(x)) ** 0.5):
        for place in range(60):
            assert "fail" not in verdicts(check_gradients(function, 28.0 + 0.2 * place))


def test_a_fast_oscillation_is_resolved() -> None:
    assert check_gradients(lambda x: sin(1e9 * (x - 0.1)), [0.75])


@pytest.mark.parametrize(
    ("function", "x"),
    [(sin, 1e10), (lambda x: 1 / x, 1e-5), (lambda x: x**2 + sin(x), 1e8), (lambda x: log(x), 1e-300)],
)
@pytest.mark.parametrize("without_mpmath", [False, True])
def test_case_18_extreme_arguments_pass(
    function: Callable[[Any], Any], x: float, without_mpmath: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without_mpmath:
        forget_mpmath(monkeypatch)
    assert check_gradients(function, x)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (sin, 2.5e10),
        (lambda x: log(1 - x), 1 - 1e-10),
        (lambda x: sqrt(x - 1), 1 + 1e-10),
        (lambda x: abs(x - 1), 1 + 1e-12),
        (lambda x: 1 / x, 1e-18),
        (lambda x: 1 / x, 1e-30),
        (lambda x: x**-2, 1e-18),
        (lambda x: x + 1e-8 * sin(1e8 * x), 1.0),
        (lambda x: cos(x * x), 12345.0),
    ],
)
def test_where_the_differences_fail_the_50_digits_decide(function: Callable[[Any], Any], x: float) -> None:
    report = check_gradients(function, x)
    assert report, str(report)
    wrong = check_gradients(function, x, gradient=report.coordinates[0].gradient * 1.0001)
    assert verdicts(wrong) == ["fail"], str(wrong)


def test_case_13_powers_near_and_at_the_edge_of_their_domain() -> None:
    assert check_gradients(lambda x: x**0.5, 0.5)
    assert check_gradients(lambda x: x**1.5, 1e-3)
    for function, point in (
        (lambda x: x**x, [-2.0]),
        (lambda x: x ** (1 / 3), [-8.0]),
        (lambda x: 1 / x, [0.0]),
        (lambda x: x**200, [1e10]),
        (lambda x: math.log(x), [-1.0]),
    ):
        assert verdicts(check_gradients(function, point)) == ["inconclusive"]


@pytest.mark.parametrize("weight", [0.0009, 5e-4, 1e-6])
def test_case_17_a_weak_kink_among_much_that_is_smooth(weight: float) -> None:
    assert verdicts(check_gradients(lambda x: relu(x) * weight + x, 0.0)) == ["inconclusive"]
    assert verdicts(check_gradients(lambda x: abs(x) * weight + x, 0.0)) == ["inconclusive"]


def test_a_kink_excuses_no_other_coordinate() -> None:
    report = check_gradients(lambda x, y: relu(x) + y * y, [0.0, 2.0], gradient=[0.0, 4.001])
    assert verdicts(report) == ["inconclusive", "fail"]


def test_an_overflow_is_named() -> None:
    report = check_gradients(lambda x: exp(x) / exp(x), 800.0)
    assert report.coordinates[0].reason == "the function is nan here"


def test_arrays_stay_arrays() -> None:
    point = np.array([1.0, 2.0])
    assert check_gradients(lambda x: float((x**2).sum()), [point], gradient=lambda x: [2 * x])
    assert check_gradients(lambda x: np.exp(x).sum(), point)
    assert [c.name for c in check_gradients(lambda w: (w @ w).sum(), np.eye(2)).coordinates] == [
        "w[0][0]",
        "w[0][1]",
        "w[1][0]",
        "w[1][1]",
    ]


def test_functions_that_cannot_bear_values() -> None:
    def touchy(x: Any) -> Any:
        if isinstance(x, Value):
            raise RuntimeError("what is this?")
        return x.real**2

    assert check_gradients(touchy, 3.0, gradient=6.0)


def test_a_row_of_ones_own_that_knows_no_50_digits() -> None:
    sinh = Op("sinh", lambda m, x: np.sinh(x), (lambda m, out, x: np.cosh(x),), doc="")
    assert check_gradients(lambda x: apply(sinh, x), 0.5)
    assert check_gradients(lambda x: apply(sinh, x), 0.5, gradient=1.0).coordinates[0].verdict is Verdict.FAIL


def test_values_as_inputs_give_their_numbers() -> None:
    assert check_gradients(sin, [Value(1.0)])


def test_leaves_outside_the_graph_are_no_pass() -> None:
    a, b = Value(2.0, "a"), Value(3.0, "b")
    report = check_gradients(a * a, [a, b, a])
    assert [(c.name, c.verdict.value, c.reason) for c in report.coordinates] == [
        ("a", "pass", ""),
        ("b", "inconclusive", "not in the graph"),
    ]
    outside = report.coordinates[1]
    assert (outside.gradient, repr(outside.reference), repr(outside.relative_error)) == (0.0, "nan", "nan")
    assert check_gradients(a * a, a)
    for leaves in ([], [b]):
        with pytest.raises(ValueError, match="expected at least one leaf of the graph"):
            check_gradients(a * a, leaves)


def test_a_kink_without_effect_passes() -> None:
    assert check_gradients(lambda x: maximum(x, x), [1.0])
    assert check_gradients(lambda x: relu(x) ** 2 + x, [0.0])
    assert check_gradients(lambda x: relu(x), [1e-9])


@given(st.floats(-3.0, 3.0), st.floats(0.1, 3.0))
def test_no_false_alarm_on_smooth_functions(x: float, y: float) -> None:
    report = check_gradients(lambda x, y: exp(sin(x) * y) / (1 + y * y) + log(y) * cos(x * y), [x, y])
    assert "fail" not in verdicts(report), str(report)


def test_a_gradient_of_ones_own_for_a_function_that_knows_no_values() -> None:
    def loss(weights: list[float], bias: float) -> float:
        return float(np.tanh(weights[0] * weights[1] + bias))

    def by_hand(weights: list[float], bias: float) -> tuple[list[float], float]:
        slope = 1 - np.tanh(weights[0] * weights[1] + bias) ** 2
        return [slope * weights[1], slope * weights[0]], slope

    report = check_gradients(loss, ([0.3, 0.5], 0.1), gradient=by_hand)
    assert report
    assert [c.name for c in report.coordinates] == ["weights[0]", "weights[1]", "bias"]
    wrong = check_gradients(loss, ([0.3, 0.5], 0.1), gradient=[*by_hand([0.3, 0.5], 0.1)[0], 1.0])
    assert verdicts(wrong) == ["pass", "pass", "fail"]


def test_a_claimed_gradient_of_a_half_recorded_function_is_held_to_the_function() -> None:
    def product(x: Any) -> Any:
        return x * math.exp(x)  # math.exp takes a Value for a float, so the graph lacks this path

    right = 2 * math.e
    assert check_gradients(product, [1.0], gradient=[right])
    assert check_gradients(product, [1.0], gradient=[right * (1 + 1e-6)]).coordinates[0].verdict is Verdict.FAIL
    ours = check_gradients(product, [1.0]).coordinates[0]
    assert ours.verdict is Verdict.FAIL
    assert ours.reason.startswith("the recorded graph misses a dependence")
    nothing = check_gradients(lambda x: math.exp(x), [1.0]).coordinates[0]
    assert nothing.reason.startswith("nothing was recorded")


def test_differences_that_rounding_blurs_leave_it_open_and_say_what_would_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forget_mpmath(monkeypatch)
    found = check_gradients(lambda x: 1e12 + sin(x), 3.0).coordinates[0]
    advice = r"; pip install 'autograd-mini\[precision\]' decides"
    assert re.fullmatch(rf"the differences are no more precise than \d\.\de-0\d{advice}", found.reason)
    own = [
        check_gradients(lambda x: 1e12 + math.sin(x), 3.0, gradient=math.cos(3.0) + error).coordinates[0]
        for error in (0.0, 1e-4, 0.1, 2.0)
    ]
    assert [coordinate.verdict.value for coordinate in own] == ["inconclusive", "inconclusive", "fail", "fail"]
    assert re.fullmatch(r"the differences are no more precise than \d\.\de-0\d", own[0].reason)


def test_differences_of_which_no_two_agree() -> None:
    found = check_gradients(lambda x: 1.7e308 if x > 1.0 else -1.7e308, 1.0, gradient=1.0).coordinates[0]
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "no two steps of the differences agree")


def test_a_failure_without_50_digits_gives_its_share_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_mpmath(monkeypatch)
    assert check_gradients(sin, 1.0, gradient=0.0).coordinates[0].reason == "0 times the reference"
    assert check_gradients(math.exp, 1.0, gradient=2 * math.e).coordinates[0].reason == "2 times the reference"
    assert check_gradients(lambda x: 3.0 + 0.0 * x, 1.0, gradient=1.0).coordinates[0].reason == "expected 0"


def test_infinite_gradients() -> None:
    def steep(x: Value) -> Value:
        return 1e308 * (10.0 * x)

    assert verdicts(check_gradients(sin, 1.0, gradient=math.inf)) == ["fail"]
    assert verdicts(check_gradients(steep, 0.0, gradient=5.0)) == ["fail"]
    assert verdicts(check_gradients(steep, 0.0)) == ["pass"]
    opposite = check_gradients(steep, 0.0, gradient=-math.inf).coordinates[0]
    assert (opposite.verdict, opposite.reason) == (Verdict.INCONCLUSIVE, "the derivative is inf here")
    assert relative_error(math.inf, math.inf) == 0.0
    assert relative_error(math.inf, 1.0) == relative_error(1.0, -math.inf) == math.inf
    assert math.isnan(relative_error(1.0, math.nan))


def test_an_operation_without_a_derivative_on_the_way_is_named_where_the_function_is_smooth() -> None:
    found = check_gradients(lambda x: sqrt(x**4), 0.0).coordinates[0]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.reason == "domain edge: an operation on the way has no derivative here"


def test_where_the_50_digits_decide_the_function_is_called_a_few_times() -> None:
    calls = []

    def function(x: Value) -> Value:
        calls.append(x)
        return 1e12 + sin(x)

    assert check_gradients(function, 3.0)
    assert len(calls) < 40


def test_a_gradient_far_below_the_last_bit_of_the_function_is_still_held_to_its_digits() -> None:
    def almost_constant(x: Value) -> Value:
        return 1.0 + 1e-200 * x

    assert check_gradients(almost_constant, 2.0)
    assert verdicts(check_gradients(almost_constant, 2.0, gradient=0.0)) == ["fail"]
    assert verdicts(check_gradients(almost_constant, 2.0, gradient=1.000001e-200)) == ["fail"]


def test_an_input_without_effect_passes_with_gradient_zero() -> None:
    assert check_gradients(lambda x, y: float(np.exp(x)), [1.0, 2.0], gradient=[math.e, 0.0])


def test_second_derivatives_can_be_checked_too() -> None:
    assert check_gradients(grad(lambda x: exp(x * x)), 0.7)


def test_a_recorded_graph_by_some_of_its_leaves() -> None:
    a, b = Value(2.0, "a"), Value(3.0)
    product = a * b + b
    assert [c.name for c in check_gradients(product).coordinates] == ["a", "leaf 1"]
    assert [(c.name, c.gradient) for c in check_gradients(product, [b]).coordinates] == [("leaf 0", 3.0)]


def test_a_loss_by_all_parameters_of_a_network_is_checked_in_seconds() -> None:
    """353 coordinates of a graph of 14,000 operations, with relu units that some samples switch off."""
    network = MLP(3, [16, 16, 1], seed=0)
    samples = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    loss = mse_loss([network(sample) for sample in samples], [sample[0] for sample in samples])
    report = check_gradients(loss, network.parameters())
    assert report.count(Verdict.PASS) == 353
    wrong = [c.gradient for c in report.coordinates]
    largest = max(range(353), key=lambda place: abs(wrong[place]))
    wrong[largest] *= 1 + 1e-6
    assert check_gradients(loss, network.parameters(), gradient=wrong).count(Verdict.FAIL) == 1


def test_no_grad_is_touched() -> None:
    a = Value(2.0)
    a.grad = 5.0
    assert check_gradients(a * a)
    assert a.grad == 5.0


def test_the_report_prints_as_a_table() -> None:
    report = check_gradients(lambda w, b: relu(w) + b, [0.0, 1.0])
    assert str(report).splitlines() == [
        "coordinate  gradient  reference  relative error  verdict",
        "w                  0          —               —  inconclusive: kink: slope 0 on the left, 1 on the right",
        "b                  1          1         0.0e+00  pass",
        "1 pass, 1 inconclusive",
    ]


def test_the_report_of_nothing_and_of_minus_zero() -> None:
    assert str(Report(())).splitlines()[-1] == "no coordinates"
    assert "-0" not in str(check_gradients(lambda x: -0.0 * x, 2.0))


def test_coordinates_are_named_by_the_functions_parameters() -> None:
    labels = []

    def product(*factors: Value) -> Value:
        labels.append([getattr(factor, "label", "") for factor in factors])
        return factors[0] * factors[1]

    assert [c.name for c in check_gradients(product, [2.0, 3.0]).coordinates] == ["factors[0]", "factors[1]"]
    assert labels[0] == ["factors[0]", "factors[1]"]
    assert [c.name for c in check_gradients(max, [2.0, 3.0]).coordinates] == ["x0", "x1"]


def test_a_function_that_takes_neither_values_nor_numbers_raises_what_numbers_made_it_raise() -> None:
    with pytest.raises(TypeError, match="'float' and 'str'"):
        check_gradients(lambda x: x + "text", 1.0)


def test_the_form_for_unit_tests() -> None:
    assert_gradients(sin, 1.0)
    with pytest.raises(AssertionError, match="gradients not confirmed") as caught:
        assert_gradients(sin, 1.0, gradient=[0.5])
    assert "fail" in str(caught.value)
    with pytest.raises(AssertionError):
        check_gradients(relu, 0.0).assert_()  # noqa: PT009 (not unittest's)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_gradients(3, [1.0]), TypeError, "expected a function or a Value, got int"),  # type: ignore[arg-type]
        (lambda: check_gradients(sin), TypeError, "expected the list of the function's arguments as inputs"),
        (lambda: check_gradients(sin, ["a"]), TypeError, "input x: expected a number, got str 'a'"),
        (lambda: check_gradients(lambda x: [x], [1.0]), TypeError, "result of the function: expected a number"),
        (lambda: check_gradients(sin, 1.0, gradient=[1.0, 2.0]), ValueError, "expected 1 gradients, got 2"),
        (lambda: check_gradients(sin, 1.0, gradient=["a"]), TypeError, "gradient[0]: expected a number"),
        (lambda: check_gradients(lambda: 1.0, []), ValueError, "expected at least one number among the inputs"),
        (lambda: check_gradients(lambda v: v[0], [1.0, 2.0]), TypeError, "so one list is [[1.0, 2.0]]"),
        (lambda: check_gradients(sin, 1.0, tolerance="a"), TypeError, "tolerance: expected a number, got str 'a'"),  # type: ignore[arg-type]
        (lambda: check_gradients(lambda x: x.nonsense, [1.0]), AttributeError, "'Value' object has no attribute"),
        (lambda: check_gradients(sin, 1.0, tolerance=0.0), ValueError, "expected a tolerance between 0 and 1, got 0"),
        (lambda: check_gradients(sin, 1.0, tolerance=1.0), ValueError, "expected a tolerance between 0 and 1, got 1"),
        (lambda: check_gradients(Value(1.0) * 2, [Value(1.0) * 2]), TypeError, "expected leaves of the graph"),
    ],
)
def test_mistakes_are_named(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert str(caught.value).startswith(("check_gradients", "'Value' object"))
    assert "\n" not in str(caught.value)


def test_a_graph_whose_leaves_have_changed_is_refused() -> None:
    a = Value(2.0)
    square = a * a
    a.data = 3.0
    with pytest.raises(ValueError, match="recorded with other numbers"):
        check_gradients(square)


def test_progress_needs_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    def track(items: Sequence[int], **options: Any) -> Sequence[int]:
        shown.append(options)
        return items

    monkeypatch.setattr("rich.progress.track", track)
    assert check_gradients(sin, 1.0, progress=True)
    assert shown == [{"description": "Checking gradients", "transient": True}]
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert check_gradients(sin, 1.0)
    message = r"^check_gradients: progress=True needs rich: pip install 'autograd-mini\[progress\]'$"
    with pytest.raises(ImportError, match=message):
        check_gradients(sin, 1.0, progress=True)

"""Derivatives of the second and third order beside 50 digits: every row, every mixture of operands, Hessians.

`python -m trials.higher_derivatives` is the same with more points and graphs.
"""

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from exact_graphs import EPSILON
from random_graphs import OURS, Constant, Graph, Step
from taylor import TEXTBOOK, Space
from trials import higher_derivatives, report
from trials.differential import SLACK, Subject, smooth_graphs
from trials.higher_derivatives import DIGITS, FAR, ORDERS, Case, Errors, Hessians, cases, rounding, take

from autograd_mini import TABLE, apply, grad, hessian, sigmoid, tanh

POINTS = 4

CASES = list(cases(POINTS, seed=1))

STATED = 1e-10
"""The relative error that is promised; found: 5e-14."""


def errors_of(case: Case, order: int) -> Errors:
    errors = Errors()
    take(case, order, errors)
    return errors


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_row_by_every_mixture_of_operands(case: Case, order: int) -> None:
    """In its domain and far in its tails, by `grad`, `hessian`, and `jacobian` of it."""
    errors = errors_of(case, order)
    n = len(case.points[0])
    assert len(errors.relative) + errors.zeros + len(errors.unexplained) == len(case.points) * n**order
    assert errors.unexplained == []
    assert errors.largest() < STATED


def test_the_cases_are_the_whole_table() -> None:
    assert {case.name for case in CASES} >= set(TABLE)
    assert set(FAR) <= set(TABLE)
    assert all(len(case.points) >= POINTS for case in CASES if case.name in TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_grad_of_grad_of_grad_is_the_third_derivative(name: str) -> None:
    op = TABLE[name]
    point = next(case.points[0] for case in CASES if case.name == name)
    exact = TEXTBOOK[name](*Space(op.arity, 3).variables(point))
    for i, j, k in itertools.product(range(op.arity), repeat=3):
        found = grad(grad(grad(OURS[name], i), j), k)(*point)
        assert found == pytest.approx(float(exact.by(i, j, k)), rel=1e-12, abs=0)


def test_hessians_of_random_graphs_are_right_and_symmetric() -> None:
    """To 1e-12 of the largest entry: the two ways round are the same terms, added in another order."""
    hessians = Hessians()
    for subject in smooth_graphs(60, seed=7):
        hessians.take(subject)
    assert hessians.errors.unexplained == []
    assert len(hessians.asymmetries) == 60
    assert max(hessians.asymmetries) <= 1e-12


def test_a_hessian_that_is_all_rounding_is_as_symmetric_as_that_allows() -> None:
    """softplus(z / log(exp(z) + 1)) of z = 2 (exp(x) + exp(y))² = 38: its second derivatives are 1e-16, for their terms
    cancel."""
    steps = [Step("logaddexp", (0, 1)), Step("exp", (2,)), Step("mul", (3, 3)), Step("add", (4, 4))]
    steps += [Step("logaddexp", (5, Constant(0))), Step("div", (5, 6)), Step("softplus", (7,))]
    hessians = Hessians()
    hessians.take(Subject(Graph((1.25, -0.3), tuple(steps))))
    assert hessians.errors.unexplained == []
    assert (hessians.asymmetries, hessians.explained) == ([], 1)


# What is lost


@pytest.mark.parametrize("function", [tanh, sigmoid], ids=["tanh", "sigmoid"])
@pytest.mark.parametrize("x", [1e-3, -1e-6, 1e-10])
def test_digits_that_cancel_in_a_second_derivative_are_explained(function: Callable[..., Any], x: float) -> None:
    """Where it changes its sign, at 0, σ″ is a difference of two numbers near 1/8: right to a last digit of those."""
    name = function.__name__
    exact = TEXTBOOK[name](*Space(1, 2, DIGITS).variables([x])).by(0, 0)
    error = float(abs(grad(grad(function))(x) - exact))
    assert 0.0 < error < 1e-15
    assert error <= SLACK * EPSILON * rounding(function, [x], [0, 0])


def test_rounding_of_a_constant_derivative_is_none() -> None:
    assert rounding(lambda x: x, [2.0], [0]) == 0.0
    assert rounding(lambda x: 3.0 * x, [2.0], [0, 0]) == 0.0


# Whether a mistake would be seen


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("name", ["tanh", "logaddexp", "gelu", "pow"])
def test_a_derivative_that_is_cut_off_from_its_operands_is_seen(name: str, order: int) -> None:
    """Right as a number, so that first derivatives are; those beyond are lost."""
    op = TABLE[name]
    cut = [lambda m, out, *operands, rule=rule: float(rule(m, out, *operands)) for rule in op.partials]
    wrong = dataclasses.replace(op, partials=tuple(cut))
    case = next(case for case in CASES if case.name == name)._replace(function=partial(apply, wrong))
    assert errors_of(case, 1).unexplained == []
    assert errors_of(case, order).unexplained != []


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.0 + 1e-9])
def test_a_wrong_second_derivative_is_seen(factor: float) -> None:
    """The derivative of exp as its result, which is differentiated again, plus what is 0 but has a slope."""
    op = TABLE["exp"]
    rule = lambda m, out, x: factor * (out - float(out)) + float(out)  # noqa: E731
    case = next(case for case in CASES if case.name == "exp")
    case = case._replace(function=partial(apply, dataclasses.replace(op, partials=(rule,))), points=[(0.7,), (2.0,)])
    assert errors_of(case, 1).unexplained == []
    assert len(errors_of(case, 2).unexplained) == 2


def test_a_hessian_that_is_not_symmetric_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def lopsided(function: Callable[..., Any], argnums: tuple[int, ...]) -> Callable[..., Any]:
        def found(*numbers: float) -> list[list[float]]:
            rows = [list(row) for row in hessian(function, argnums)(*numbers)]
            rows[0][-1] *= 1.0 + 1e-9
            return rows

        return found

    monkeypatch.setattr(higher_derivatives, "hessian", lopsided)
    hessians = Hessians()
    for subject in smooth_graphs(20, seed=8):
        hessians.take(subject)
    assert any("is not symmetric" in line for line in hessians.errors.unexplained)


# The trial


def test_the_trial_writes_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []
    monkeypatch.setattr(report, "write", lambda trial, lines: written.append(f"{trial}: {lines}"))
    monkeypatch.setattr(higher_derivatives, "cases", lambda points, seed: iter(CASES[:2]))
    assert higher_derivatives.main(["--points", "1", "--graphs", "5"]) == 0
    command = "python -m trials.higher_derivatives --points 1 --graphs 5 --seed 0"
    assert written[0].startswith(f"higher_derivatives: `{command}`: every row")
    assert "\n| 3 | " in written[0]
    assert "Hessians of 5 random smooth graphs" in capsys.readouterr().out


def test_the_trial_fails_and_says_where(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = Case("sine", OURS["cos"], TEXTBOOK["sin"], [(0.5,)])
    monkeypatch.setattr(report, "write", lambda trial, lines: None)
    monkeypatch.setattr(higher_derivatives, "cases", lambda points, seed: iter([wrong]))
    assert higher_derivatives.main(["--graphs", "1"]) == 1
    assert "sine at (0.5,), by (0, 0): expected -0.479425538604203, got -0.87758256" in capsys.readouterr().err


def test_the_trial_asks_for_a_point(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        higher_derivatives.main(["--points", "0"])
    assert "--points: expected 1 or more" in capsys.readouterr().err

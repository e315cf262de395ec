"""Every wrong rule of every row is caught by the checker (hostile case 16), and no right one is refused."""

import ast
from random import Random

import pytest
from planted_rules import points_of, with_text, wrong_rules
from planted_texts import ROOT, TESTS, planted_texts
from trials import planted_rules as trial
from trials import report

from autograd_mini import TABLE, Value, Verdict, apply, check_gradients, engine
from autograd_mini.engine import COMPILED
from autograd_mini.graph import pullback


@pytest.mark.parametrize("reference", trial.REFERENCES)
@pytest.mark.parametrize("name", TABLE)
def test_case_16_every_wrong_rule_is_caught_and_the_right_one_passes(name: str, reference: str) -> None:
    points = points_of(TABLE[name])
    with trial.REFERENCES[reference]():
        for point in points:
            assert check_gradients(lambda *operands: apply(TABLE[name], *operands), point)
        for rule in wrong_rules():
            if rule.name == name:
                assert any(rule.check(point).count(Verdict.FAIL) for point in points), str(rule)


@pytest.mark.skipif(COMPILED, reason="what runs is not its text")
@pytest.mark.parametrize("side", ["left", "right"])
def test_case_16_a_sum_that_the_engine_loses_is_caught(side: str) -> None:
    x, y = Value(3.0), Value(4.0)
    root = x * y + (x + y)
    with_text(engine.add_up, f"{side}._grad += ", f"{side}._grad = ")(root, [], [])
    verdicts = [Verdict.FAIL, Verdict.PASS] if side == "left" else [Verdict.PASS, Verdict.FAIL]
    found = check_gradients(root, [x, y], gradient=[x.grad, y.grad]).coordinates
    assert [coordinate.verdict for coordinate in found] == verdicts


def test_case_16_no_right_rule_is_refused_in_random_graphs() -> None:
    for verdicts in trial.check_graphs(60, seed=0).values():
        assert verdicts.refused == []
        assert verdicts.counts[Verdict.PASS] > 120


def test_a_text_that_stands_elsewhere_is_not_replaced() -> None:
    with pytest.raises(ValueError, match="expected 'walk' once in pullback, got it 0 times"):
        with_text(pullback, "walk", "run")


def test_every_mistake_in_the_sources_is_another_program() -> None:
    planted = planted_texts()
    assert len({(mistake.group, mistake.name) for mistake in planted}) == len(planted)
    assert {mistake.group for mistake in planted} == set(TESTS)
    for mistake in Random(0).sample(planted, 40):
        source = (ROOT / "autograd_mini" / mistake.file).read_bytes()
        wrong = source[: mistake.start] + mistake.text.encode() + source[mistake.end :]
        assert ast.dump(ast.parse(wrong)) != ast.dump(ast.parse(source)), mistake.name


def test_the_trial_writes_its_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []
    monkeypatch.setattr(report, "write", lambda name, text: written.append(text))
    assert trial.main(["--graphs", "3", "--points", "2", "--texts", "0"]) == 0
    assert "| checker, 50 digits | 183 | 183 | 342 | 342 | 0 |" in written[0]
    assert capsys.readouterr().out.strip() == written[0].strip()

"""The rows as JavaScript, in a real browser: every row and every partial against `evaluate`, which Python computes.

And the harness itself: what a page does wrong fails its test.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mpmath
import pytest
from browser import READ_NUMBERS, WRITE_NUMBERS, find_chromium, from_javascript, to_javascript, watched

from autograd_mini.ops import TABLE, Op, arithmetic, evaluate
from autograd_mini.source_code import javascript, javascript_row

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PRECISE = mpmath.mp.clone()
PRECISE.dps = 50

PRIMITIVES = (files("autograd_mini") / "walkthrough" / "primitives.js").read_text(encoding="utf-8")

ROWS = [pytest.param(op, id=op.name) for op in TABLE.values()]
HARD_NUMBERS = [
    *(0.0, 5e-324, 2e-310, 2.3e-308, 1e-300, 1e-20, 0.01, 1 / 3, 0.5, 1.0, math.nextafter(1.0, 2.0), 1.25, 2.0, 3.0),
    *(8.0, 20.0, 26.6, 38.0, 40.0, 709.8, 710.0, 745.0, 800.0, 1e16, 1e150, 1e300, math.ulp(0.0), 1.7e308, math.inf),
]
NUMBERS = [*HARD_NUMBERS, *[-number for number in HARD_NUMBERS], math.nan]


def points(op: Op) -> list[tuple[float, ...]]:
    """All mixtures of hard numbers; ties; and random ones, of the row's domain and of every size."""
    generator = random.Random(op.name)

    def any_size() -> float:
        return math.copysign(10 ** generator.uniform(-320, 308), generator.uniform(-1, 1))

    return [
        *itertools.product(NUMBERS, repeat=op.arity),
        *[tuple(generator.uniform(low, high) for low, high in op.domain) for _ in range(300)],
        *[(generator.uniform(-40, 40),) * op.arity for _ in range(100)],
        *[tuple(generator.uniform(-40, 40) for _ in op.domain) for _ in range(200)],
        *[tuple(any_size() for _ in op.domain) for _ in range(200)],
    ]


def same(got: float, expected: float) -> bool:
    """Equal to 1e-12 of itself, or in the last places of a denormal number; NaN to NaN, and zeros with their sign."""
    if math.isnan(expected) or math.isinf(expected):
        return got == expected or (math.isnan(got) and math.isnan(expected))
    if got == expected == 0:
        return math.copysign(1.0, got) == math.copysign(1.0, expected)
    return math.isclose(got, expected, rel_tol=1e-12, abs_tol=5e-322)


def differences(got: Sequence[float], expected: Sequence[float], points: Sequence[Any]) -> list[Any]:
    """The points at which they are not the same; the first few."""
    triples = zip(points, got, expected, strict=True)
    return [(point, g, e) for point, g, e in triples if not same(g, e)][:5]


@pytest.fixture(scope="module")
def engine(browser: "Browser") -> "Iterator[Page]":
    """A page with all rows of the table."""
    with watched(browser) as open_page:
        page = open_page()
        page.add_script_tag(content=PRIMITIVES + javascript(TABLE, arithmetic))
        yield page


def run(page: "Page", functions: str, rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Each of the functions of a JavaScript array at all rows of numbers: a list for each function."""
    program = f"(text) => ({WRITE_NUMBERS})({functions}.map((f) => ({READ_NUMBERS})(text).map((row) => f(...row))))"
    return from_javascript(page.evaluate(program, to_javascript(rows)))


# Every row


@pytest.mark.parametrize("op", ROWS)
def test_a_row_computes_what_python_computes(op: Op, engine: "Page") -> None:
    tuples = points(op)
    results = [evaluate(op.forward, *point) for point in tuples]
    (got,) = run(engine, f"[operations.{op.name}.forward]", tuples)
    assert differences(got, results, tuples) == []
    # Handed the same result, so that each partial is on trial alone.
    columns = run(engine, f"operations.{op.name}.partials", [(out, *p) for out, p in zip(results, tuples, strict=True)])
    assert len(columns) == op.arity
    for rule, column in zip(op.partials, columns, strict=True):
        expected = [evaluate(rule, out, *point) for out, point in zip(results, tuples, strict=True)]
        assert differences(column, expected, tuples) == []


WRONG: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("div", "infinities", lambda m: lambda x, y: 0.0 * x / y),
    ("exp", "digits", lambda m: lambda x: m.exp(x) * (1 + 1e-11)),
    ("neg", "signs of zero", lambda m: lambda x: 0.0 - x),
    ("relu", "not-a-number", lambda m: lambda x: m.where(x > 0, x, 0.0)),
    ("abs", "signs", lambda m: lambda x: x),
]


@pytest.mark.parametrize(("name", "what", "rule"), WRONG, ids=[what for _, what, _ in WRONG])
def test_a_wrong_rule_is_caught(name: str, what: str, rule: Callable[[Any], Any], engine: "Page") -> None:
    op = TABLE[name]
    wrong = Op(name=name, doc="", forward=lambda m, *xs: rule(m)(*xs), partials=op.partials, domain=op.domain)
    tuples = points(op)
    (got,) = run(engine, f"[({javascript_row(wrong, arithmetic)}).forward]", tuples)
    assert differences(got, [evaluate(op.forward, *point) for point in tuples], tuples)


# What JavaScript lacks


def test_erf_and_erfc_against_50_digits(engine: "Page") -> None:
    """Also where the series ends and the fraction begins, and far out, where the results are denormal."""
    generator = random.Random(1)
    numbers = [-7 + number / 100 for number in range(3500)] + [generator.uniform(-6, 27.3) for _ in range(1000)]
    for boundary in (-1.25, 0.0, 1.25, 26.543, 27.226, 28.0):
        numbers += [boundary + step * math.ulp(boundary) for step in range(-5, 6)]
    erf, erfc = run(engine, "[primitives.erf, primitives.erfc]", [[number] for number in numbers])
    for got, exact in ((erf, PRECISE.erf), (erfc, PRECISE.erfc)):
        for number, result in zip(numbers, got, strict=True):
            expected = exact(PRECISE.mpf(number))
            assert abs(PRECISE.mpf(result) - expected) <= 1e-14 * abs(expected) + 1e-323, number


def test_erf_and_erfc_at_the_ends(engine: "Page") -> None:
    rows = [[0.0], [-0.0], [math.inf], [-math.inf], [math.nan], [5e-324], [1e300], [-1e300]]
    erf, erfc = run(engine, "[primitives.erf, primitives.erfc]", rows)
    assert list(map(repr, erf)) == ["0.0", "-0.0", "1.0", "-1.0", "nan", "5e-324", "1.0", "-1.0"]
    assert list(map(repr, erfc)) == ["1.0", "1.0", "0.0", "2.0", "nan", "1.0", "0.0", "2.0"]


def test_powers_of_one_are_those_of_ieee_754(engine: "Page") -> None:
    rows = [[1.0, math.nan], [1.0, math.inf], [1.0, -math.inf], [-1.0, math.inf], [-1.0, -math.inf], [-1.0, math.nan]]
    got, javascripts_own = run(engine, "[primitives.pow, Math.pow]", rows)
    assert list(map(repr, got)) == ["1.0", "1.0", "1.0", "1.0", "1.0", "nan"]
    assert all(map(math.isnan, javascripts_own)), "Math.pow would do"


def test_primitives_cost_microseconds(engine: "Page") -> None:
    program = """() => {
        let sum = 0;
        const start = performance.now();
        for (let i = 0; i < 1e5; i++) sum += primitives.erfc(1.25 + i * 1e-9);
        return [performance.now() - start, sum];
    }"""
    engine.evaluate(program)
    fastest = min(engine.evaluate(program)[0] for _ in range(3))
    assert fastest < 1000, "10 µs a call"


# Names that are no names

NAMES = ["</script>", "</SCRIPT><b>", "<!--<script>", 'it\'s "quoted"\n', "\u2028 é 🙂", "__proto__", "constructor", ""]


def test_case_23_hostile_names_stay_names(page: "Page", tmp_path: Path) -> None:
    rows = {name: Op(name=name, doc="", forward=lambda m, x: x, partials=(lambda m, out, x: 1.0,)) for name in NAMES}
    file = tmp_path / "page.html"
    text = (
        f"<!DOCTYPE html><meta charset=utf-8><title>t</title><p>text</p><script>{javascript(rows, arithmetic)}</script>"
    )
    file.write_text(text, encoding="utf-8")
    page.goto(file.as_uri())
    assert page.evaluate("Object.keys(operations)") == NAMES
    assert page.evaluate("Object.values(operations).map((row) => row.forward(3))") == [3] * len(NAMES)
    assert page.evaluate("document.body.innerText.trim()") == "text"
    assert page.evaluate("operations.toString === undefined")


# The harness


def test_numbers_come_through_in_every_bit(page: "Page") -> None:
    rows = [NUMBERS, [random.Random(2).uniform(-1e9, 1e9) for _ in range(100)]]
    program = f"(text) => ({WRITE_NUMBERS})(({READ_NUMBERS})(text))"
    assert repr(from_javascript(page.evaluate(program, to_javascript(rows)))) == repr(rows)


@pytest.mark.parametrize(
    ("program", "fault"),
    [
        ("() => console.error('this is wrong')", "console: this is wrong"),
        ("() => console.warn('this is odd')", "console: this is odd"),
        ("() => { setTimeout(() => { throw new Error('late') }) }", "error: late"),
        ("() => { Promise.reject(new Error('nobody listens')) }", "error: nobody listens"),
        ("() => fetch('http://127.0.0.1:9/').catch(() => 0)", "network: http://127.0.0.1:9/"),
        ("() => { new Image().src = 'https://example.org/picture.png' }", "network: https://example.org/picture.png"),
        ("() => { new WebSocket('ws://127.0.0.1:9/') }", "network: ws://127.0.0.1:9/"),
        ("() => { open('https://example.org/') }", "network: https://example.org/"),
    ],
)
def test_what_a_page_does_wrong_fails_its_test(program: str, fault: str, browser: "Browser") -> None:
    with pytest.raises(AssertionError) as caught, watched(browser) as open_page:
        open_page().evaluate(program)
    assert fault in str(caught.value)


def test_a_page_that_does_nothing_wrong_passes(browser: "Browser", tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<script>console.log('well')</script><img src='data:,'>", encoding="utf-8")
    with watched(browser) as open_page:
        page = open_page(color_scheme="dark", viewport={"width": 400, "height": 300})
        page.goto((tmp_path / "a.html").as_uri())
        assert page.evaluate("[matchMedia('(prefers-color-scheme: dark)').matches, innerWidth]") == [True, 400]


def test_a_page_without_scripts_is_a_page_as_well(browser: "Browser") -> None:
    with watched(browser) as open_page:
        page = open_page(java_script_enabled=False)
        page.set_content("<p>text<script>document.body.append('more')</script>")
        assert page.inner_text("p") == "text"


def test_chromium_is_found_by_name_or_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert find_chromium() is None
    for name in ("google-chrome", "chromium", "mine"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("CHROMIUM", str(tmp_path / "mine") if name == "mine" else "")
        assert find_chromium() == str(tmp_path / name)

"""The walkthrough's page in a real browser: every number on it, every control, and what it must not do."""

import json
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from browser import OpenPage

from autograd_mini import TABLE, Op, Value, apply, detect_anomaly, provenance
from autograd_mini.formula import TEXT, filled, number_text
from autograd_mini.graph import topological_order
from autograd_mini.ops import evaluate
from autograd_mini.walkthrough import BackwardFrame, Frame, SeedFrame, View, Walkthrough, walkthrough
from autograd_mini.walkthrough.layers import LayerFrame
from nn import MLP, mse_loss

pytestmark = pytest.mark.one_build

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Graphs


def worked_example() -> Value:
    """Gill & Gill, section 5.1."""
    network = MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    return cast(Value, network([Value(2.0, "x₁"), Value(4.0, "x₂"), Value(3.0, "x₃")]))


def batch() -> Value:
    network = MLP(3, [2, 1], activation="relu", seed=0)
    return cast(Value, mse_loss([network(x) for x in ([1, 2, 3], [1, 0, 3], [3, 2, 1])], [1, 2, 3]))


def own_activation() -> Value:
    """Neurons with an activation of two paths, and inputs that are used again."""
    network = MLP(2, [2, 2], activation=lambda z: z * z.sigmoid(), seed=1)
    a, b = Value(0.5, "a"), Value(-1.5, "b")
    left, right = cast(list[Value], network([a, b]))
    return left * right / (a**2 + b.exp()) - b


def users_graph() -> Value:
    """Labels on some results, constants on both sides, an operand that is used twice."""
    a, b = Value(2.0, "a"), Value(-3.0, "b")
    c = a * b + a * a - 1.5 / b
    c.label = "c"
    d = (2.0**c).log1p() * (c - a).tanh().relu()
    d.label = "d"
    return d.maximum(c) + (-d) * abs(b) - 2.0


GRAPHS: list[Callable[[], Value]] = [worked_example, batch, own_activation, users_graph]


# Pages


@pytest.fixture
def show(open_page: OpenPage, tmp_path: Path) -> "Callable[..., Page]":
    """Opens the page of a graph, from a file, in a browser context with the options given."""

    def show(graph: Value | Walkthrough, **options: Any) -> "Page":
        steps = graph if isinstance(graph, Walkthrough) else walkthrough(graph)
        path = steps.save(tmp_path / "page.html")
        page = open_page(**{"reduced_motion": "reduce", "viewport": {"width": 1600, "height": 1000}, **options})
        page.goto(path.as_uri())
        return page

    return show


Show = Callable[..., "Page"]


def go_to(page: "Page", index: int) -> None:
    page.eval_on_selector(
        "#timeline", "(range, i) => { range.value = i; range.dispatchEvent(new Event('input')); }", index
    )


def set_level(page: "Page", level: str) -> None:
    page.eval_on_selector(f"#levels input[value={level}]", "(input) => input.click()")


def step_number(page: "Page") -> int:
    return int((page.text_content("#step-count") or "").split()[1])


def table(page: "Page") -> dict[str, tuple[float | None, float | None]]:
    """The number and the gradient so far of every node at this step, by their names; None for —."""
    page.click("#open-table")
    rows = page.evaluate(f"() => ({CELLS})('#numbers')")
    page.keyboard.press("Escape")
    return {name: (as_number(value), as_number(gradient)) for name, _, value, gradient in rows}


CELLS = (
    "(id) => [...document.querySelectorAll(`${id} tbody tr`)].map((row) => [...row.cells].map((x) => x.textContent))"
)


def as_number(text: str) -> float | None:
    return None if text == "—" else float(text.replace("Infinity", "inf"))


def last_numbers(page: "Page") -> dict[str, tuple[float | None, float | None]]:
    """All of them, when both passes are done."""
    page.click("#last") if page.is_enabled("#last") else None
    return table(page)


def same(got: float | None, expected: float, tolerance: float = 1e-12) -> bool:
    if got is None or math.isnan(expected) or math.isinf(expected):
        return got is not None and (got == expected or (math.isnan(got) and math.isnan(expected)))
    return math.isclose(got, expected, rel_tol=tolerance, abs_tol=1e-300)


# Every step at every level

PRINTED = f"() => {{ window.dispatchEvent(new Event('beforeprint')); return ({CELLS})('#printed'); }}"


def as_printed(steps: Walkthrough, frame: Frame) -> list[str]:
    """What the page must write of a frame: its equation, and its numbers, without what is said of NaN and infinity."""
    text = number_text
    if isinstance(frame, SeedFrame):
        return [frame.symbols, "1"]
    if isinstance(frame, BackwardFrame):
        before = "" if frame.before is None else f"; {text(frame.before)} += → {text(frame.after)}"
        return [frame.symbols, f"{text(frame.upstream)} × {text(frame.local)} = {text(frame.product)}{before}"]
    if isinstance(frame, LayerFrame):
        numbers = dict(zip(frame.targets, [x for row in frame.result for x in row], strict=True))
        result = filled(TEXT.write(frame.formula_of_result), lambda _, place: text(numbers[int(place)]))
        return [frame.symbols, f"{frame.numbers} = {result}"]
    return [frame.symbols, f"{frame.numbers} = {text(frame.result)}"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_all_steps_at_all_levels_are_those_of_the_frames(graph: Callable[[], Value], show: Show) -> None:
    steps = walkthrough(graph())
    page = show(steps)
    for level in steps.levels:
        set_level(page, level)
        got = page.evaluate(PRINTED)
        expected = [[str(i + 1), *as_printed(steps, frame)] for i, frame in enumerate(steps.view(level))]
        assert got == expected


CARDS = """() => {
    const range = document.getElementById('timeline');
    const number = (element) => element.querySelector('data')?.value ?? element.textContent;
    return Array.from({ length: Number(range.max) + 1 }, (_, i) => {
        range.value = i;
        range.dispatchEvent(new Event('input'));
        const tiles = [...document.querySelectorAll('#lines .tile .number')].map(number);
        const result = document.querySelector('#lines strong');
        return { tiles, result: result && number(result), spoken: document.getElementById('spoken').textContent };
    });
}"""


@pytest.mark.parametrize("graph", [worked_example, users_graph])
def test_every_number_in_full(graph: Callable[[], Value], show: Show) -> None:
    steps = walkthrough(graph())
    page = show(steps)
    for level in steps.levels:
        set_level(page, level)
        view = steps.view(level)
        for i, (card, frame) in enumerate(zip(page.evaluate(CARDS), view, strict=True)):
            assert card["spoken"].startswith(f"Step {i + 1} of {len(view)}, ")
            if isinstance(frame, BackwardFrame):
                upstream, local, product, before, again, after = map(as_number, card["tiles"])
                assert (upstream, local, product, before) == (frame.upstream, frame.local, frame.product, frame.before)
                assert (again, after) == (frame.product, frame.after)
                assert f"now {spoken(frame.after)}." in card["spoken"]
            elif not isinstance(frame, LayerFrame):
                assert as_number(card["result"]) == frame.result
                assert spoken(frame.result) in card["spoken"]


def spoken(x: float) -> str:
    text = number_text(x).replace("−", "minus ")
    digits, _, exponent = text.partition("e")
    return f"{digits} times 10 to the {int(exponent)}".replace("-", "minus ") if exponent else digits


BOXES = """() => {
    const range = document.getElementById('timeline');
    return Array.from({ length: Number(range.max) + 1 }, (_, i) => {
        range.value = i;
        range.dispatchEvent(new Event('input'));
        const texts = [...document.querySelectorAll('.box title')].map((title) => title.textContent.split('\\n'));
        const lit = [...document.querySelectorAll('.box.is-current .name')].map((name) => name.textContent);
        return { texts, lit, edges: document.querySelectorAll('.edge.is-lit').length };
    });
}"""


def test_the_graph_shows_what_is_known_and_no_more(show: Show) -> None:
    """A dash for what is not computed yet, in the graph as well; one node and its edges are lit."""
    steps = walkthrough(worked_example())
    values = {
        name: node.data if node.op is None else None
        for name, node in zip(steps.passes.names, steps.passes.nodes, strict=True)
    }
    gradients: dict[str, float | None] = dict.fromkeys(values)
    page = show(steps)
    for seen, frame in zip(page.evaluate(BOXES), steps, strict=True):
        if isinstance(frame, BackwardFrame):
            name, edges = frame.operand_name, 1
            gradients[name] = frame.after
        elif isinstance(frame, SeedFrame):
            name, edges = frame.name, 0
            gradients[name] = 1.0
        else:
            assert not isinstance(frame, LayerFrame)
            name, edges = frame.name, len(frame.node.parents)
            values[name] = frame.result
        got = {
            name: (as_number(value), as_number(gradient.removeprefix("gradient ")))
            for name, value, gradient in seen["texts"]
        }
        assert got == {name: (values[name], gradients[name]) for name in values}
        assert (seen["lit"], seen["edges"]) == ([name], edges)


def test_a_group_is_opened_and_closed(show: Show) -> None:
    steps = walkthrough(worked_example())
    page = show(steps)
    set_level(page, "layer")
    for names in (["A²"], ["A²", "a²₂"], ["A²", "a²₂", "z²₂"]):
        page.click(f".badge[aria-label^='Open {says(names[-1])},']")
        assert page.evaluate(PRINTED) == printed(steps, opened(steps, names))
        assert page.locator("#opened button").all_text_contents() == [f"{name} ✕" for name in names]
    page.click("#opened button >> nth=1")  # what lies within it closes as well
    assert page.evaluate(PRINTED) == printed(steps, opened(steps, ["A²"]))
    page.focus(".badge[aria-label^='Open Z super 3,']")
    page.keyboard.press("Enter")
    assert page.evaluate(PRINTED) == printed(steps, opened(steps, ["A²", "Z³"]))


def says(name: str) -> str:
    return {"A²": "A super 2", "a²₂": "a super 2 sub 2", "z²₂": "z super 2 sub 2"}[name]


def opened(steps: Walkthrough, names: Sequence[str]) -> View:
    levels = {"A²": "layer", "Z³": "layer", "a²₂": "neuron", "z²₂": "expression"}
    wanted = {(levels[name], name) for name in names}
    return steps.view("layer", [group for group in steps.passes.groups.groups if (group.level, group.name) in wanted])


def printed(steps: Walkthrough, view: View) -> list[list[str]]:
    return [
        [str(i + 1), symbols, "; ".join([numbers, *view.marks_at(i)])]
        for i, (symbols, numbers) in enumerate(as_printed(steps, frame) for frame in view)
    ]


# Walking


def test_keys_and_buttons_walk(show: Show) -> None:
    page = show(worked_example())
    assert step_number(page) == 1
    assert page.is_disabled("#previous")
    for key, expected in (("ArrowRight", 2), ("ArrowRight", 3), ("ArrowLeft", 2), ("End", 101), ("Home", 1)):
        page.keyboard.press(key)
        assert step_number(page) == expected
    for button, expected in (("next", 2), ("last", 101), ("previous", 100), ("first", 1)):
        page.click(f"#{button}")
        assert step_number(page) == expected
    page.focus("#timeline")
    page.keyboard.press("ArrowRight")
    assert step_number(page) == 2
    page.fill("#rate", "0.2")
    page.keyboard.press("End")  # keys belong to the field that has the focus
    assert step_number(page) == 2
    assert page.get_attribute("html", "data-phase") == "forward"
    go_to(page, 40)
    assert page.get_attribute("html", "data-phase") == "backward"
    assert page.text_content("#phase") == "Backward"


def test_play_and_pause(show: Show) -> None:
    page = show(worked_example())
    page.clock.install()
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-label") == "Pause"
    page.clock.run_for(1300)
    assert step_number(page) == 2
    page.select_option("#speed", "4")
    page.clock.run_for(2500)
    assert step_number(page) >= 6
    page.click("#play")
    stopped = step_number(page)
    page.clock.run_for(5000)
    assert (step_number(page), page.get_attribute("#play", "aria-label")) == (stopped, "Play")
    go_to(page, 99)
    page.click("#play")
    page.clock.run_for(5000)
    assert (step_number(page), page.get_attribute("#play", "aria-label")) == (101, "Play")


def test_levels_keep_the_place(show: Show) -> None:
    steps = walkthrough(worked_example())
    page = show(steps)
    go_to(page, 60)
    for level in ("expression", "neuron", "layer", "operation"):
        page.keyboard.press("l")
        assert page.is_checked(f"#levels input[value={level}]")
        view = steps.view(level)
        assert page.text_content("#step-count") == f"Step {view.showing(60) + 1} of {len(view)}"
    page.click("#levels label:has(input[value=neuron])")
    page.keyboard.press("ArrowRight")
    assert page.is_checked("#levels input[value=layer]")


def test_a_node_is_chosen_in_both_phases(show: Show) -> None:
    steps = walkthrough(worked_example())
    page = show(steps)
    page.click(".box .main[aria-label^='a super 2 sub 1,']")
    frames = list(steps)
    assert frames[step_number(page) - 1].name == "a²₁"
    assert page.input_value("#node") == str(steps.passes.names.index("a²₁"))
    go_to(page, 101)
    page.select_option("#node", label="a¹₂")
    frame = frames[step_number(page) - 1]
    assert isinstance(frame, BackwardFrame)
    assert (frame.operand_name, frame.after) == ("a¹₂", frame.operand.grad or frame.after)
    assert (
        max(i for i, each in enumerate(frames) if getattr(each, "operand_name", "") == "a¹₂") == step_number(page) - 1
    )
    page.focus(".box .main[tabindex='0']")
    page.keyboard.press("ArrowDown")
    name = page.evaluate("document.activeElement.querySelector('.name').textContent")
    page.keyboard.press("Enter")
    frame = frames[step_number(page) - 1]
    assert name in (frame.name, getattr(frame, "operand_name", ""))


def test_an_edge_is_chosen(show: Show) -> None:
    page = show(users_graph())
    go_to(page, 5)
    page.dispatch_event(".edge .wide >> nth=0", "click")
    assert page.get_attribute("html", "data-phase") == "backward"


def test_help_and_theme(show: Show) -> None:
    page = show(worked_example(), color_scheme="dark")
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.keyboard.press("t")
    light = page.evaluate(background)
    assert brightness(dark) < 60 < 200 < brightness(light)
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("ArrowRight")  # is not for what lies below
    page.keyboard.press("Escape")
    assert (page.is_visible("#help"), step_number(page)) == (False, 1)


def brightness(color: str) -> float:
    return sum(map(float, color.removeprefix("rgb(").removesuffix(")").split(", "))) / 3


def test_zoom(show: Show) -> None:
    page = show(worked_example())
    width = "() => Number(document.querySelector('svg.graph').getAttribute('width'))"
    fitted = page.evaluate(width)
    page.click("#zoom-in")
    assert page.evaluate(width) == pytest.approx(1.25 * fitted)
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert page.evaluate(width) == pytest.approx(0.8 * fitted)
    page.keyboard.press("0")
    assert page.evaluate(width) <= page.evaluate("() => document.getElementById('graph').clientWidth")


def test_two_fingers_and_the_wheel_zoom(show: Show) -> None:
    page = show(worked_example(), has_touch=True, viewport={"width": 375, "height": 800})
    width = "() => Number(document.querySelector('svg.graph').getAttribute('width'))"
    fingers = """(distances) => {
        const target = document.getElementById('graph');
        const touch = (identifier, clientX) => new Touch({ identifier, target, clientX, clientY: 200 });
        distances.forEach((distance, i) => target.dispatchEvent(new TouchEvent(i ? 'touchmove' : 'touchstart', {
            bubbles: true, cancelable: true, touches: [touch(1, 150), touch(2, 150 + distance)],
        })));
    }"""
    fitted = page.evaluate(width)
    page.evaluate(fingers, [100, 120, 150])
    assert page.evaluate(width) == pytest.approx(1.5 * fitted)
    wheel = """(deltaY) => document.getElementById('graph').dispatchEvent(
        new WheelEvent('wheel', { bubbles: true, cancelable: true, ctrlKey: true, deltaY }))"""
    page.evaluate(wheel, -100)
    assert page.evaluate(width) > 1.6 * fitted
    page.evaluate(wheel, 100)
    assert page.evaluate(width) == pytest.approx(1.5 * fitted)


def test_the_step_is_kept_in_sight(show: Show) -> None:
    page = show(worked_example(), viewport={"width": 375, "height": 800})
    program = """() => {
        const [box, room] = ['.box.is-current', '#graph'].map((s) => document.querySelector(s).getBoundingClientRect());
        return box.left >= room.left && box.right <= room.right && box.top >= room.top && box.bottom <= room.bottom;
    }"""
    for index in (0, 30, 34, 50, 100, 3):
        go_to(page, index)
        assert page.evaluate(program), index


def test_swipes_walk(show: Show) -> None:
    page = show(worked_example(), has_touch=True, viewport={"width": 375, "height": 800})
    program = """([from, to]) => {
        const target = document.getElementById('sentence');
        const touch = (x) => new Touch({ identifier: 1, target, clientX: x, clientY: 500 });
        const event = (type, x, touches) =>
            target.dispatchEvent(new TouchEvent(type, { bubbles: true, touches, changedTouches: [touch(x)] }));
        event('touchstart', from, [touch(from)]);
        event('touchend', to, []);
    }"""
    for swipe, expected in (([300, 100], 2), ([300, 100], 3), ([100, 300], 2), ([100, 120], 2)):
        page.evaluate(program, swipe)
        assert step_number(page) == expected


# Predicting


def test_predict_hides_the_next_number(show: Show) -> None:
    steps = walkthrough(worked_example())
    page = show(steps)
    page.keyboard.press("p")
    assert page.text_content("#lines strong") == "?"
    assert (page.text_content("#spoken") or "").endswith("equals what? Predict it.")
    page.fill("#guess-number", "7")
    page.click("#check")
    assert page.text_content("#verdict") == "Off by 5."
    assert page.text_content("#lines strong") == "?"
    page.fill("#guess-number", "2")
    page.keyboard.press("Enter")
    assert page.text_content("#verdict") == "Right."
    assert page.text_content("#lines strong") == "2"
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    assert page.text_content("#lines strong") == "?"
    page.keyboard.press("r")
    assert page.text_content("#lines strong") == "4"
    page.click("#predict")
    assert page.is_hidden("#guess")


def test_predict_asks_for_the_product_and_then_for_the_sum(show: Show) -> None:
    steps = walkthrough(worked_example())
    index = next(i for i, frame in enumerate(steps) if isinstance(frame, BackwardFrame) and frame.before)
    frame = steps[index]
    assert isinstance(frame, BackwardFrame)
    page = show(steps)
    page.click("#predict")
    go_to(page, index)
    figures = page.locator("#lines .tile .number")
    shown = [number_text(x) for x in (frame.upstream, frame.local)]
    assert figures.all_text_contents()[:3] == [*shown, "?"]
    assert figures.all_text_contents()[4:] == ["?", "?"]
    assert "?" in (page.text_content(".box.is-current .gradient") or "")
    assert "Hidden" in (page.text_content("#paths") or "")
    page.fill("#guess-number", f"{frame.product:.3g}")
    page.keyboard.press("Enter")
    assert (page.text_content("#verdict") or "").startswith("Right")
    assert figures.all_text_contents()[5] == "?"
    assert "sum" in (page.text_content("#guess-label") or "")
    page.click("#reveal")
    assert figures.all_text_contents()[5] == number_text(frame.after)
    assert page.is_hidden("#guess")


def test_predict_in_a_layer(show: Show) -> None:
    page = show(worked_example())
    set_level(page, "layer")
    page.click("#predict")
    assert "?" in (page.text_content("#lines") or "")
    page.fill("#guess-number", "9")
    page.keyboard.press("Enter")
    assert "?" not in (page.text_content("#lines") or "")


# Provenance

PATHS = """() => {
    const numbers = (row) => [...row.querySelectorAll('data')].map((x) => x.value);
    const rows = [...document.querySelectorAll('#paths tbody tr')];
    return {
        gradient: document.querySelector('#paths .sum data').value,
        text: document.querySelector('#paths .sum').textContent,
        rows: rows.map((row) => [row.cells[0].textContent, numbers(row)[0], row.cells[2].textContent]),
    };
}"""


def choose(page: "Page", place: int) -> Any:
    page.select_option("#node", str(place))
    return page.evaluate(PATHS)


@pytest.mark.parametrize("graph", GRAPHS)
def test_provenance_is_that_of_python(graph: Callable[[], Value], show: Show) -> None:
    steps = walkthrough(graph())
    page = show(steps)
    for place, node in enumerate(steps.passes.nodes):
        expected = provenance(steps.value, node)
        got = choose(page, place)
        assert as_number(got["gradient"]) == expected.gradient
        products = [path.product for path in expected.paths]
        shares = [path.share for path in expected.paths]
        if expected.path_count > len(products):
            products.append(expected.others)
            shares.append(expected.others_share)
        assert [as_number(product) for _, product, _ in got["rows"]] == products
        assert [share for _, _, share in got["rows"]] == [percent(share) for share in shares]
        assert ("one path" if expected.path_count == 1 else f"{expected.path_count} paths") in got["text"]


def percent(share: float) -> str:
    return f"{100 * share:.1f}%".replace("-0.0%", "0.0%").replace("-", "−") if math.isfinite(share) else "–"


def test_provenance_of_very_many_paths(show: Show) -> None:
    x = Value(1.0, "x")
    y = x
    for _ in range(60):
        y = y + y
    page = show(y * 2.0**-60)
    got = choose(page, 0)
    assert (got["gradient"], f"{2**60 - 5:,} other" in got["rows"][5][0] or "10^18" in got["rows"][5][0]) == ("1", True)
    assert len(got["rows"]) == 6


def test_a_path_is_lit(show: Show) -> None:
    page = show(users_graph())
    choose(page, 0)
    page.hover("#paths tbody button >> nth=0")
    assert page.locator(".edge.on-path").count() >= 2
    assert page.locator(".box.on-path .name").first.is_visible()
    page.mouse.move(0, 0)
    assert page.locator(".edge.on-path").count() == 0


# Alive without Python


def set_leaves(page: "Page", numbers: dict[str, float]) -> None:
    program = """(numbers) => {
        for (const leaf of document.querySelectorAll('.leaf')) {
            const text = numbers[leaf.querySelector('.name').title];
            const input = leaf.querySelector('input[type=number]');
            if (text === undefined) continue;
            input.value = text;
            input.dispatchEvent(new Event('input'));
        }
    }"""
    page.evaluate(program, {name: repr(number) for name, number in numbers.items()})


class RandomGraph:
    """The same computation again and again on other leaves: operations on what there is, drawn once."""

    def __init__(self, seed: int, rows: Sequence[Op], most_leaves: int = 6) -> None:
        generator = random.Random(seed)
        self.leaf_count = generator.randint(1, most_leaves)
        self.steps: list[tuple[Op, list[int | float]]] = []
        for i, op in enumerate(rows):
            known = self.leaf_count + i
            operands: list[int | float] = [max(0, known - 1 - int(generator.expovariate(0.3))) for _ in range(op.arity)]
            if op.arity == 2 and generator.random() < 0.3:
                operands[generator.randrange(2)] = round(generator.uniform(-3, 3), 2)
            self.steps.append((op, operands))

    def run(self, leaves: Sequence[float]) -> Value:
        nodes = [Value(number, f"leaf{i}") for i, number in enumerate(leaves)]
        for op, operands in self.steps:
            result: Any = apply(op, *[nodes[x] if isinstance(x, int) else x for x in operands])  # type: ignore[arg-type]
            nodes.append(result)
        total = nodes[0] * 0.5
        for i, node in enumerate(nodes[1:]):
            total = total + node * (0.1 + i / 10)
        total.label = "total"
        return total


MARKS = """() => [...document.querySelectorAll('.box:has(.mark)')].map((box) => [
    box.querySelector('title').textContent.split('\\n')[0],
    [...box.querySelectorAll('.mark')].map((text) => text.textContent),
])"""


def marks(page: "Page") -> dict[str, list[str]]:
    """What is said in the boxes of NaN and infinity, by their names."""
    return dict(page.evaluate(MARKS))


HARD = [0.0, -0.0, 1.0, -1.0, 0.5, 20.0, -40.0, 800.0, -800.0, 1e-300, 1e300, 3.25]


def check_against_engine(page: "Page", root: Value) -> None:
    """Every number and gradient on the page against the engine's on the same leaves."""
    order = topological_order(root)
    root.backward()
    got = last_numbers(page)
    passes = walkthrough(root).passes
    names = passes.names
    assert marks(page) == {names[place]: [text] for place, text in passes.marks.items()}
    for name, node in zip(names, cast(list[Value], order), strict=True):
        value, gradient = got[name]
        assert same(value, node.data), (name, node, value)
        assert same(gradient, node.grad), (name, node, gradient, node.grad)


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_follow_the_engine(seed: int, show: Show) -> None:
    """Every row is in two of these graphs at least."""
    generator = random.Random(seed)
    rows = list(TABLE.values())
    rows = [rows[(5 * seed + i) % len(rows)] for i in range(12)]
    generator.shuffle(rows)
    graph = RandomGraph(seed, rows)

    def leaves(draw: Callable[[], float]) -> list[float]:
        return [draw() for _ in range(graph.leaf_count)]

    page = show(graph.run(leaves(lambda: generator.uniform(-3, 3))))
    for draw in (lambda: generator.uniform(-3, 3), lambda: generator.choice(HARD), lambda: generator.uniform(-30, 30)):
        numbers = leaves(draw)
        set_leaves(page, {f"leaf{i}": number for i, number in enumerate(numbers)})
        check_against_engine(page, graph.run(numbers))


def test_case_25_infinite_leaves_follow_the_engine(show: Show) -> None:
    def graph(y: float) -> Value:
        x, z = Value(math.inf, "x"), Value(math.nan, "z")
        return x * 1.0 + (x - x) * 2.0 + z.relu() + Value(y, "y").exp() + x.tanh()

    page = show(graph(1.0))
    for y in (-800.0, 800.0):
        set_leaves(page, {"y": y})
        check_against_engine(page, graph(y))


def test_gradient_descent_is_that_of_python(show: Show) -> None:
    network = MLP(3, [2, 1], activation="tanh", seed=3)

    def loss() -> Value:
        return cast(Value, mse_loss([network([1.0, 2.0, 3.0]), network([0.5, -1.0, 2.0])], [0.5, -0.25]))

    root = loss()
    page = show(root)
    recorded = last_numbers(page)
    page.fill("#rate", "0.05")
    page.click("#descend")
    page.click("#descend-more")
    for _ in range(11):
        for parameter in network.parameters():
            parameter.grad = 0.0
        root = loss()
        root.backward()
        for parameter in network.parameters():
            parameter.data -= 0.05 * parameter.grad
    for parameter in network.parameters():
        parameter.grad = 0.0
    check_against_engine(page, loss())
    assert "after 11 steps" in (page.text_content("#descent-text") or "")
    assert len((page.get_attribute("#curve polyline", "points") or "").split()) == 12
    page.click("#reset")
    assert last_numbers(page) == recorded


def test_only_ticked_leaves_descend(show: Show) -> None:
    a, b = Value(3.0, "a"), Value(5.0, "b")
    page = show(a * a + b * b)
    page.uncheck(".leaf:has(.name[title=b]) input[type=checkbox]")
    page.click("#descend")
    got = last_numbers(page)
    assert (got["a"][0], got["b"][0]) == (3.0 - 0.1 * 6.0, 5.0)
    assert "a: 3 − 0.1·6 = 2.4" in (page.text_content("#descent-text") or "")


def test_the_slider_moves_a_leaf(show: Show) -> None:
    page = show(Value(3.0, "a") ** 2)
    page.focus(".leaf input[type=range]")
    page.keyboard.press("ArrowRight")
    moved = float(page.input_value(".leaf input[type=number]"))
    assert moved > 3
    assert last_numbers(page)["v₁"] == (moved**2, 1.0)


def test_a_descent_that_explodes_says_so(show: Show) -> None:
    page = show(Value(3.0, "a") ** 2)
    page.fill("#rate", "1e200")
    page.click("#descend-more")
    assert "infinite" in (page.text_content("#descent-text") or "")
    assert last_numbers(page)["v₁"][0] is not None
    page.click("#reset")
    assert last_numbers(page)["v₁"] == (9.0, 1.0)


def test_a_course_from_end_to_end_of_the_numbers_is_drawn(show: Show) -> None:
    page = show(Value(1e308, "a") * 1.0)
    page.fill("#rate", "1e308")
    page.click("#descend-more")
    first, *others = (page.get_attribute("#curve polyline", "points") or "").split()
    assert [first.split(",")[1], others[1].split(",")[1]] == ["16", "78"]


@pytest.mark.parametrize("rate", ["", "-0.1"])
def test_a_learning_rate_that_is_none_is_refused(rate: str, show: Show) -> None:
    page = show(Value(3.0, "a") ** 2)
    page.fill("#rate", rate)
    page.click("#descend")
    assert "is to be a number that is not negative" in (page.text_content("#descent-text") or "")
    assert last_numbers(page)["v₁"] == (9.0, 1.0)


def test_parameters_descend_and_inputs_do_not(show: Show) -> None:
    page = show(worked_example())
    ticked = """() => [...document.querySelectorAll('.leaf')]
        .map((leaf) => [leaf.querySelector('.name').title, leaf.querySelector('input').checked])"""
    for name, is_ticked in page.evaluate(ticked):
        assert is_ticked == (not name.startswith("x")), name


OWN = Op(
    name="own",
    symbol="<b>own</b>",
    doc="",
    forward=lambda m, x: math.floor(x) + 0.5,
    partials=(lambda m, out, x: 1.0 if x > 0 else 0.0,),
)


def test_a_row_that_cannot_be_written_leaves_all_else(show: Show) -> None:
    steps = walkthrough(apply(OWN, Value(2.25, "x")) * 3.0)
    page = show(steps)
    assert page.evaluate(PRINTED) == printed(steps, steps)
    assert "Leaves cannot be changed on this page" in (page.text_content("#not-live") or "")
    assert page.is_disabled("#descend")
    assert page.is_disabled(".leaf input[type=number]")


# Small, broken and hostile


def test_a_single_leaf(show: Show) -> None:
    page = show(Value(1.0))
    assert page.text_content("#step-count") == "Step 1 of 1"
    assert page.is_disabled("#next")
    assert "is a leaf" in (page.text_content("#sentence") or "")
    page.keyboard.press(" ")
    page.keyboard.press("l")
    page.keyboard.press("p")
    page.keyboard.press("r")
    page.keyboard.press("p")
    page.click(".box .main")
    set_leaves(page, {"v₁": 4.0})
    page.click("#descend")
    assert table(page) == {"v₁": (3.9, 1.0)}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_case_25_what_is_not_finite_is_shown(number: float, show: Show) -> None:
    steps = walkthrough((Value(number, "x") * 2.0 + Value(1.0, "y")).tanh().log())
    page = show(steps)
    text = number_text(number)
    assert text in page.locator(".box .value").all_text_contents()
    assert page.evaluate(PRINTED) == printed(steps, steps)
    choose(page, 0)
    set_leaves(page, {"y": 5.0})
    page.click("#descend-more")
    page.click("#last")
    assert step_number(page) == len(steps)


# Where NaN and infinity start


def first_infinity() -> Value:
    w, x = Value(0.0, "w"), Value(2.0, "x")
    p = w * x
    p.label = "p"
    loss = p.log() * 3.0 + 1.0
    loss.label = "loss"
    return loss


def sentences(page: "Page") -> str | None:
    return page.text_content("#anomaly-text") if page.is_visible("#anomaly") else None


def test_where_infinity_starts_is_shown(show: Show) -> None:
    with detect_anomaly():
        steps = walkthrough(first_infinity())
    assert steps.passes.anomaly is not None
    page = show(steps)
    assert sentences(page) == f"−∞ starts in v₁ = log(p), at {steps.passes.anomaly.line}."
    assert marks(page) == {"v₁": ["−∞ starts here"]}
    assert page.locator(".box .ring:visible").count() == 1  # a second ring, not only a colour
    assert "−∞ starts here" not in (page.text_content("#lines") or "")
    page.click("#to-anomaly")
    assert step_number(page) == 2
    assert (page.text_content("#lines") or "").endswith("−∞ starts here")
    assert (page.text_content("#spoken") or "").endswith(" −∞ starts here.")
    label = page.get_attribute(".box.is-current .main", "aria-label") or ""
    assert label.endswith(", −∞ starts here")


def test_where_it_starts_follows_the_leaves(show: Show) -> None:
    page = show(first_infinity())
    set_leaves(page, {"w": 1.0})
    assert (sentences(page), marks(page)) == (None, {})
    assert page.locator(".box .ring").count() == 0
    set_leaves(page, {"w": 1e300, "x": 1e300})
    assert (sentences(page), marks(page)) == ("∞ starts in p = w·x.", {"p": ["∞ starts here"]})
    page.click("#reset")
    assert marks(page) == {"v₁": ["−∞ starts here"]}


def test_where_a_gradient_stops_being_finite(show: Show) -> None:
    x = Value(1.0, "x")
    big = (x * 1000.0).exp()
    steps = walkthrough(1.0 / (big * big))
    page = show(steps)
    assert sentences(page) == "A gradient of NaN starts in v₃ = v₂·v₂. ∞ starts in v₂ = exp(v₁)."
    assert marks(page) == {"v₂": ["∞ starts here"], "v₃": ["a gradient of NaN starts here"]}
    page.click("#to-anomaly")
    assert step_number(page) == 2
    assert page.evaluate(PRINTED) == printed(steps, steps)
    steps = walkthrough(1e308 * (x - 1) + 1e308 * (x + -1))
    page = show(steps)
    assert sentences(page) == "The gradients of x add up to ∞."
    page.click("#to-anomaly")
    assert step_number(page) == len(steps)
    assert page.evaluate(PRINTED) == printed(steps, steps)


def test_a_closed_group_says_what_starts_inside(show: Show) -> None:
    network = MLP(3, [2, 1], "sigmoid", init="ones")
    network.parameters()[0].data = math.nan
    network.parameters()[0].label = "weight"
    steps = walkthrough(cast(Value, network([1, 2, 3])))
    page = show(steps)
    for level in steps.levels:
        set_level(page, level)
        assert [text for texts in marks(page).values() for text in texts] == ["NaN starts here"]
        page.click("#to-anomaly")
        assert "weight is NaN" in (page.text_content("#lines") or "")
        assert page.evaluate(PRINTED) == printed(steps, steps.view(level))


def test_a_leaf_alone_that_is_not_finite(show: Show) -> None:
    page = show(Value(math.nan, "x"))
    assert sentences(page) == "NaN starts in x."
    assert not page.is_visible("#to-anomaly")


def test_who_predicts_is_not_told(show: Show) -> None:
    page = show(first_infinity())
    page.keyboard.press("p")
    page.keyboard.press("ArrowRight")
    assert not page.is_visible("#anomaly")
    assert page.locator(".ring:visible, .mark:visible").count() == 0
    assert "starts" not in (page.text_content("#spoken") or "")
    assert "starts" not in (page.text_content(".box:has(.mark) title") or "")
    page.keyboard.press("p")
    assert page.is_visible("#anomaly")


def test_of_finite_numbers_nothing_is_said(show: Show) -> None:
    page = show(worked_example())
    assert (sentences(page), marks(page)) == (None, {})


PAYLOADS = [
    "<script>window.pwned=1</script>",
    "</script><script>window.pwned=1</script>",
    "<!--<script>window.pwned=1",
    "--><script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "<svg onload=window.pwned=1>",
    "<svg><script>window.pwned=1</script></svg>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "<body onload=window.pwned=1>",
    "<math><mtext><script>window.pwned=1</script></mtext></math>",
    "<mi><script>window.pwned=1</script></mi>",
    "</title><script>window.pwned=1</script>",
    "</style><script>window.pwned=1</script>",
    "</textarea><script>window.pwned=1</script>",
    "</noscript><script>window.pwned=1</script>",
    '"><script>window.pwned=1</script>',
    "'><script>window.pwned=1</script>",
    '" onmouseover="window.pwned=1',
    "' onfocus='window.pwned=1' autofocus='",
    "javascript:window.pwned=1",
    "<a href='javascript:window.pwned=1'>x</a>",
    "<link rel=stylesheet href=https://example.org/x.css>",
    "<img src=https://example.org/x.png>",
    "<style>@import url(https://example.org/x.css)</style>",
    "<meta http-equiv=refresh content='0;url=https://example.org'>",
    "<base href=https://example.org/>",
    "<object data=https://example.org/></object>",
    "<form action=https://example.org><input type=submit></form>",
    "${window.pwned=1}",
    "{{constructor.constructor('window.pwned=1')()}}",
    "{{data}}",
    "{{script}}",
    "`+window.pwned+`",
    '\\");window.pwned=1;//',
    "\\u003cscript\\u003ewindow.pwned=1\\u003c/script\\u003e",
    "&lt;script&gt;window.pwned=1&lt;/script&gt;",
    "&amp;&quot;&#x41;",
    "]]><script>window.pwned=1</script>",
    "<![CDATA[<script>window.pwned=1</script>]]>",
    "<?xml version='1.0'?><x/>",
    "__proto__",
    "constructor",
    "toString",
    "<B>x</B>",
    "a\\",
    "{a|b}",
    "\\N",
    "quotes \" and ' and `",
    "a\nb\r\nc\u2028d\u2029e",
    "🎉 emoji 👩‍👩‍👧 flags 🇩🇪",
    "\ue000n0\ue001 \ue000d0/1/0\ue001",
    "\u202egnp.exe",
    "\x00\x01\x1b[31m\ud800",
    "$& $1 $$ $`",
    "%s %d %n {0} {x}",
]


def test_case_24_fifty_hostile_labels_run_nothing(show: Show) -> None:
    """All at once, as names of leaves, of results and of the output; the fixture sees that nothing asks the network."""
    assert len(PAYLOADS) >= 50
    total = Value(1.0, PAYLOADS[0])
    for payload in PAYLOADS:
        part = Value(0.5, payload) * 2.0 + total
        part.label = payload
        total = part.tanh()
    total.label = PAYLOADS[1]
    steps = walkthrough(total)
    page = show(steps)
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    elements = """() => ['script', 'iframe', 'img', 'link', 'base', 'object', 'style', 'form', 'meta']
        .map((tag) => document.querySelectorAll(tag).length)"""
    at_start = page.evaluate(elements)
    names = page.evaluate(
        "() => [...document.querySelectorAll('#node option')].slice(1).map((x) => [Number(x.value), x.textContent])"
    )
    assert dict(names) == dict(enumerate(steps.passes.names))
    for level in steps.levels:
        set_level(page, level)
        assert page.evaluate(PRINTED) == printed(steps, steps.view(level))
        page.evaluate(CARDS)
    for place in range(0, len(steps.passes.names), 7):
        choose(page, place)
    page.hover(".box .main >> nth=3", force=True)
    page.click("#descend")
    table(page)
    assert page.evaluate(elements) == at_start
    assert page.evaluate("window.pwned") is None
    assert (
        page.evaluate("Object.keys(window).filter((key) => /^(passes|page|Page|operations|formulas)$/.test(key))") == []
    )
    assert page.title().startswith("Backpropagation: </script>")


def test_case_24_hostile_labels_of_anomalies_run_nothing(show: Show) -> None:
    for label in (PAYLOADS[1], PAYLOADS[4], PAYLOADS[20]):
        with detect_anomaly():
            root = Value(0.0, label).log()
            root.label = label
            page = show(root)
        assert label in (sentences(page) or "")
        assert page.evaluate("window.pwned") is None


def test_case_23_labels_are_drawn_literally(show: Show) -> None:
    labels = ["<B>x</B>", "a\\", "{a|b}", "\\N", "&amp;", "🎉"]
    page = show(sum((Value(1.0, label) for label in labels), Value(0.0, "zero")))
    assert {*labels} <= {*page.locator(".box .name").all_text_contents()}
    for step, label in enumerate(labels):
        go_to(page, step)
        assert label in (page.text_content("#lines") or "")


def test_case_23_a_symbol_of_a_users_row_is_text(show: Show) -> None:
    page = show(apply(OWN, Value(2.25, "x")) * 3.0)
    assert "<b>own</b>" in (page.text_content("#lines") or "")
    assert page.locator("#lines b").count() == 0


def test_case_24_the_content_security_policy_holds(browser: "Browser", tmp_path: Path) -> None:
    """In a context that nobody watches, because the browser reports what it refuses."""
    path = walkthrough(worked_example()).save(tmp_path / "page.html")
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    program = """async () => {
        const script = document.createElement('script');
        script.textContent = 'window.pwned = 1';
        document.body.append(script);
        const button = document.createElement('button');
        button.setAttribute('onclick', 'window.pwned = 2');
        document.body.append(button);
        button.click();
        const style = document.createElement('style');
        style.textContent = 'body { outline: 7px solid red }';
        document.head.append(style);
        const refused = [];
        document.addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
        await fetch('data:text/plain,x').catch(() => {});
        await new Promise((done) => setTimeout(done, 50));
        let isEvaluated = true;
        try { eval('1'); } catch { isEvaluated = false; }
        return [window.pwned ?? null, getComputedStyle(document.body).outlineWidth !== '7px', refused, isEvaluated];
    }"""
    pwned, is_style_refused, refused, is_evaluated = page.evaluate(program)
    context.close()
    assert (pwned, is_style_refused, is_evaluated) == (None, True, False)
    assert "connect-src" in refused


def test_case_24_the_file_asks_for_nothing(tmp_path: Path) -> None:
    text = walkthrough(worked_example()).to_html()
    assert "default-src 'none'" in text
    head, _, rest = text.partition('id="data">')
    data = json.loads(rest.partition("</script>")[0])
    assert data["names"] == walkthrough(worked_example()).passes.names
    for forbidden in ("http://", "https://", " src=", "@import", "url("):
        allowed = text.count({"http://": "http://www.w3.org/", "url(": "url(#"}.get(forbidden, "no such text"))
        assert text.count(forbidden) == allowed, forbidden
    assert " style=" not in head
    assert " onclick" not in text


# Notebooks


def test_two_cells_in_one_notebook(open_page: OpenPage) -> None:
    first, second = walkthrough(worked_example()), walkthrough(users_graph())
    page = open_page()
    cells = [cell._repr_mimebundle_()["text/html"] for cell in (first, second, first)]
    page.set_content("<title>notebook</title>" + "".join(f"<div>{cell}</div>" for cell in cells))
    frames = [page.frame_locator(f"div:nth-of-type({i + 1}) iframe") for i in range(3)]
    for frame in frames:
        frame.locator("#step-count").wait_for()
    frames[0].locator("#next").click()
    frames[0].locator("#next").click()
    frames[1].locator("#last").click()
    frames[1].locator("#theme").click()
    texts = [frame.locator("#step-count").text_content() for frame in frames]
    assert texts == [f"Step 3 of {len(first)}", f"Step {len(second)} of {len(second)}", f"Step 1 of {len(first)}"]
    frames[0].locator("#descend").click()
    frames[0].locator("#open-help").click()
    frames[0].locator("#help .close").click()
    assert "after 1 step" in (frames[0].locator("#descent-text").text_content() or "")
    assert "after 0 steps" in (frames[2].locator("#descent-text").text_content() or "")
    assert page.title() == "notebook"


# How it looks


@pytest.mark.parametrize("width", [320, 375, 768, 1100, 1600])
def test_no_page_is_wider_than_its_window(width: int, show: Show) -> None:
    steps = walkthrough(batch())
    page = show(steps, viewport={"width": width, "height": 800})
    for level in steps.levels:
        set_level(page, level)
        for index in (0, len(steps.view(level)) // 2, len(steps.view(level)) - 1):
            go_to(page, index)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    for button in ("previous", "play", "next", "predict"):
        box = page.locator(f"#{button}").bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40
        assert 0 <= box["x"] <= width - box["width"], button
        assert box["y"] + box["height"] <= 800, button


def test_wide_pages_show_all_of_it_at_once(show: Show) -> None:
    page = show(worked_example())
    assert page.evaluate("document.documentElement.scrollHeight") <= 1000
    for part in ("#graph", "#step", "#provenance", "#experiment", "#transport"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 1000


def test_print(show: Show) -> None:
    page = show(worked_example())
    go_to(page, 20)
    assert page.pdf()[:5] == b"%PDF-"
    assert page.locator("#printed tbody tr").count() == 101
    page.emulate_media(media="print", color_scheme="dark")
    assert page.is_hidden("#transport")
    assert page.is_visible("#printed table")
    assert page.is_visible("svg.graph")
    assert brightness(page.evaluate("getComputedStyle(document.querySelector('#step')).backgroundColor")) == 255


def test_motion_only_where_it_is_welcome(show: Show) -> None:
    transition = "() => getComputedStyle(document.querySelector('.box .front')).transitionDuration"
    assert show(users_graph()).evaluate(transition) == "0s"
    assert show(users_graph(), reduced_motion="no-preference").evaluate(transition) != "0s"


CONTRAST = """(pairs) => {
    const probe = document.body.appendChild(document.createElement('i'));
    const luminance = (name) => {
        probe.style.color = `var(--${name})`;
        const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number).map((x) => x / 255);
        const [r, g, b] = parts.map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    return pairs.map(([a, b]) => {
        const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
        return [a, b, (high + 0.05) / (low + 0.05)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme: str, show: Show) -> None:
    """WCAG AA: 4.5 to 1 for text, 3 to 1 for lines that mean something."""
    page = show(users_graph(), color_scheme=scheme)
    texts = [(ink, paper) for ink in ("ink", "quiet") for paper in ("page", "panel", "leaf", "result")]
    texts += [(ink, paper) for ink in ("forward", "backward", "seed", "path") for paper in ("panel", "page")]
    texts += [("backward", "leaf"), ("backward", "result"), ("backward", "backward-soft"), ("ink", "forward-soft")]
    texts += [("on-accent", ink) for ink in ("forward", "backward", "seed")]
    texts += [("good", "panel"), ("bad", "panel"), ("ink", "backward-soft")]
    texts += [("bad", paper) for paper in ("leaf", "result", "forward-soft", "backward-soft")]
    for ink, paper, contrast in page.evaluate(CONTRAST, texts):
        assert contrast >= 4.5, (ink, paper, contrast)
    for ink, paper, contrast in page.evaluate(CONTRAST, [("edge", "panel")]):
        assert contrast >= 2, (ink, paper, contrast)


def test_without_javascript_the_steps_are_text(show: Show) -> None:
    page = show(worked_example(), java_script_enabled=False)
    text = page.inner_text("noscript")
    assert "turned off" in text
    assert page.locator("noscript li").count() == 101


def test_what_a_screen_reader_meets(show: Show) -> None:
    page = show(worked_example())
    assert page.get_attribute("html", "lang") == "en"
    assert page.get_attribute("#spoken", "aria-live") == "polite"
    go_to(page, 74)
    said = page.text_content("#spoken") or ""
    assert said.startswith("Step 75 of 101, backward, from v sub 11 to a super 1 sub 1.")
    assert not set("·−∂⁰¹²₁₂") & set(said)
    unnamed = """() => [...document.querySelectorAll('button, input, select, [role=button]')]
        .filter((x) => !x.closest('[hidden]') && !x.labels?.length)
        .filter((x) => !(x.getAttribute('aria-label') || x.title || x.textContent.trim()))
        .map((x) => x.outerHTML)"""
    assert page.evaluate(unnamed) == []
    assert page.locator(".box .main[tabindex='0']").count() == 1


# Large graphs


def test_a_fraction_is_a_factor_without_parentheses(show: Show) -> None:
    x = Value(2.0, "x")
    steps = walkthrough((x.log() - 1.0) * x)
    page = show(steps)
    rule = "() => document.querySelector('.rule math').textContent"
    go_to(page, next(i for i, frame in enumerate(steps) if frame.symbols.endswith("(1 / x)")))
    assert page.evaluate(rule).endswith("·1x")
    assert page.evaluate(PRINTED) == printed(steps, steps)
    page = show(x.sigmoid())
    go_to(page, 2)
    assert page.evaluate(rule).endswith(")")


def test_five_hundred_nodes_open_at_once_and_step_without_lag(show: Show) -> None:
    network = MLP(6, [10, 8, 2], activation="tanh", seed=0)
    left, right = network([1.0, -0.5, 0.3, 2.0, 1.0, -1.0])
    steps = walkthrough(left * left + right * right)
    assert len(steps.passes.nodes) > 500
    assert len(steps.to_html().encode()) < 300_000
    page = show(steps)
    assert page.evaluate("() => performance.getEntriesByType('navigation')[0].domComplete") < 2000
    assert page.is_checked("#levels input[value=layer]")
    set_level(page, "operation")
    assert page.locator(".box").count() == len(steps.passes.nodes)
    program = """() => {
        const start = performance.now();
        for (let step = 0; step < 50; step += 1) {
            document.getElementById('next').click();
            document.body.getBoundingClientRect();
        }
        return (performance.now() - start) / 50;
    }"""
    assert page.evaluate(program) < 100
    go_to(page, len(steps) - 1)
    assert len(page.evaluate(PRINTED)) == len(steps)


def test_case_26_of_a_very_large_graph_what_is_near_is_drawn(show: Show) -> None:
    x = y = Value(1.0, "x")
    for _ in range(3000):
        y = y.sin() + 0.5
    page = show(y)
    go_to(page, 4000)
    assert 5 < page.locator(".box").count() < 200
    assert page.locator(".box.is-current").count() == 1
    choose(page, 0)
    go_to(page, 11_999)
    assert x.label in page.locator(".box .name").all_text_contents()


def test_case_26_a_page_has_a_limit() -> None:
    x = Value(1.0)
    for _ in range(10_000):
        x = x + 1.0
    with pytest.raises(
        ValueError, match=r"^save: the graph has 10,001 nodes, a page holds at most 10,000; save an inner"
    ):
        walkthrough(x).to_html()


def test_every_row_is_drawn_by_the_random_graphs() -> None:
    rows = list(TABLE)
    drawn = {rows[(5 * seed + i) % len(rows)] for seed in range(12) for i in range(12)}
    assert drawn == set(rows)
    assert evaluate(TABLE["add"].forward, 1.0, 2.0) == 3.0

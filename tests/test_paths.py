"""Where a gradient comes from: the listed paths against all of them, enumerated."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import DEEP, chain

import nn
from autograd_mini.graph import topological_order
from autograd_mini.paths import Provenance, provenance
from autograd_mini.value import Value


def every_path(node: Value, leaf: Value, product: float = 1.0) -> Iterator[tuple[tuple[Value, ...], float]]:
    """All paths from leaf up to node, with their products; walks each of them."""
    if node is leaf:
        yield (leaf,), product
        return
    for operand, partial in zip(node.parents, node.partials, strict=True):
        for nodes, total in every_path(operand, leaf, product * partial):
            yield (*nodes, node), total


def weight(product: float) -> tuple[bool, float]:
    return math.isnan(product), abs(product)


NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 1e-200, 1e200, math.inf, -math.inf, math.nan]), st.floats(-3, 3)
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Value, Value]:
    """The last node of a small random graph, and some node that it depends on."""
    nodes = [Value(draw(NUMBERS)) for _ in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 10))):
        x, y = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes[-3:]))
        kind = draw(st.sampled_from(["+", "-", "*", "/", "tanh", "sqrt", "by a constant"]))
        if kind in ("tanh", "sqrt"):
            nodes.append(y.tanh() if kind == "tanh" else y.sqrt())
        elif kind == "by a constant":
            nodes.append(y * draw(NUMBERS))
        else:
            nodes.append({"+": x + y, "-": x - y, "*": x * y, "/": x / y}[kind])
    return nodes[-1], draw(st.sampled_from(topological_order(nodes[-1])))  # type: ignore[return-value]


@given(graphs(), st.integers(1, 6))
def test_listed_paths_are_the_heaviest_of_all(graph: tuple[Value, Value], k: int) -> None:
    output, leaf = graph
    found = provenance(output, leaf, k)
    everything = sorted(every_path(output, leaf), key=lambda each: weight(each[1]), reverse=True)
    assert found.path_count == len(everything)
    assert len(found.paths) == min(k, len(everything))
    weights = [weight(path.product) for path in found.paths]
    assert list(map(repr, weights)) == [repr(weight(product)) for _, product in everything[:k]]
    known = [(tuple(map(id, nodes)), repr(product)) for nodes, product in everything]
    for path in found.paths:
        key = tuple(map(id, path.nodes)), repr(path.product)
        known.remove(key)  # each path is there as often as the graph has it
        assert len(path.factors) == len(path.nodes) - 1
        assert repr(math.prod(path.factors[::-1], start=1.0)) == repr(path.product)
    assert "\n" in str(found)


@given(graphs(), st.integers(1, 6))
def test_the_gradient_is_that_of_backward(graph: tuple[Value, Value], k: int) -> None:
    output, leaf = graph
    found = provenance(output, leaf, k)
    assert [node._grad for node in topological_order(output)] == [0.0] * len(topological_order(output))
    output.backward()
    assert found.gradient == leaf.grad or (math.isnan(found.gradient) and math.isnan(leaf.grad))


@given(graphs(), st.integers(1, 6))
def test_products_and_others_add_up_to_the_gradient(graph: tuple[Value, Value], k: int) -> None:
    found = provenance(*graph, k)
    products = [path.product for path in found.paths]
    if not all(map(math.isfinite, [found.gradient, found.others, *products])):
        return
    size = max(map(abs, [found.gradient, found.others, *products]))
    tolerance = 8 * found.path_count * size * 2.0**-52 + 1e-300
    assert math.fsum([*[product / 16 for product in products], found.others / 16]) == pytest.approx(
        found.gradient / 16, rel=0, abs=tolerance
    )
    if abs(found.gradient) > size / 4 and size > 1e-200:
        shares = math.fsum([*(path.share for path in found.paths), found.others_share])
        assert shares == pytest.approx(1.0, abs=1e-9)


# By hand


def test_one_neuron_by_hand() -> None:
    x, w = Value(3.0, "x"), Value(-2.0, "w")
    z = x * w
    output = z + x  # ∂/∂x = w + 1
    found = provenance(output, x)
    assert found.gradient == -1.0
    assert [path.nodes for path in found.paths] == [(x, z, output), (x, output)]
    assert [path.factors for path in found.paths] == [(-2.0, 1.0), (1.0,)]
    assert [path.product for path in found.paths] == [-2.0, 1.0]
    assert [path.share for path in found.paths] == [2.0, -1.0]
    assert (found.path_count, found.others, found.others_share) == (2, 0.0, 0.0)


def test_parallel_edges_are_two_paths() -> None:
    x = Value(3.0)
    found = provenance(x * x, x)
    assert [path.product for path in found.paths] == [3.0, 3.0]
    assert found.path_count == 2
    assert found.gradient == 6.0


def test_others_carry_what_is_not_listed() -> None:
    x = Value(1.0)
    output = 5.0 * x + 3.0 * x + -2.0 * x
    found = provenance(output, x, k=1)
    assert [path.product for path in found.paths] == [5.0]
    assert (found.gradient, found.path_count) == (6.0, 3)
    assert (found.others, found.others_share) == (1.0, 1 / 6)


def test_any_node_may_be_asked_about_also_the_output() -> None:
    x = Value(0.5)
    inner = x.sin()
    output = inner * inner
    assert provenance(output, inner).gradient == 2 * inner.data
    itself = provenance(output, output)
    assert itself.paths[0].nodes == (output,)
    assert (itself.gradient, itself.paths[0].factors, itself.path_count) == (1.0, (), 1)


def test_the_paper_s_weight_has_one_path_through_each_neuron_of_the_second_layer() -> None:
    network = nn.MLP(3, [2, 3, 1], activation="sigmoid", init="ones")
    prediction = network([2, 4, 3])
    weight = network.parameters()[0]
    found = provenance(prediction, weight)
    assert found.path_count == 3
    assert f"{found.gradient:.11f}" == "0.00007773885"
    assert [f"{path.share:.3f}" for path in found.paths] == ["0.333"] * 3
    through = {node.label for path in found.paths for node in path.nodes if node.label.startswith("a²")}
    assert through == {"a²₁", "a²₂", "a²₃"}


# Numbers that are none


def test_a_gradient_of_zero_has_no_shares() -> None:
    x = Value(4.0)
    found = provenance(x - x, x)
    assert found.gradient == 0.0
    assert [path.product for path in found.paths] == [1.0, -1.0]
    assert all(math.isnan(path.share) for path in found.paths)
    assert "–" in str(found)


def test_nan_is_heaviest_and_infinity_is_next() -> None:
    x = Value(0.0)
    output = x.sqrt() * 0.0 + x.sqrt() * 2.0 + x  # 0 · ∞, 2 · ∞ and 1
    found = provenance(output, x, k=2)
    assert list(map(repr, (path.product for path in found.paths))) == ["nan", "inf"]
    assert math.isnan(found.gradient)
    assert math.isnan(found.others)


def test_a_light_path_that_meets_infinity_is_not_lost() -> None:
    x = Value(0.0)
    root = x.sqrt()  # the derivative is infinite
    output = root * 5.0 + root * 4.0 + root * 0.0
    assert [repr(path.product) for path in provenance(output, x, k=1).paths] == ["nan"]


# Large graphs


def test_sixty_doublings_are_answered_at_once() -> None:
    x = Value(1.0, "x")
    output = x
    for _ in range(60):
        output = output + output
    found = provenance(output, x)
    assert found.path_count == 2**60
    assert found.gradient == 2.0**60
    assert found.others == 2.0**60 - 5 or found.others == 2.0**60
    assert "about 10^18.1 paths" in str(found)


def test_a_deep_graph_with_more_paths_than_can_be_written_out() -> None:
    x = Value(1.0, "x")
    output = x
    for _ in range(DEEP // 5):
        output = output * 0.5 + output * 0.25
    found = provenance(output, x, k=2)
    assert found.path_count == 2 ** (DEEP // 5)
    assert len(found.paths[0].nodes) == 2 * DEEP // 5 + 1
    assert "about 10^6020.6 paths" in str(found)


def test_a_deep_chain_is_one_path() -> None:
    x = Value(1.0, "x")
    found = provenance(chain(x, DEEP), x)
    assert (found.gradient, found.path_count) == (1.0, 1)
    assert len(found.paths[0].nodes) == DEEP + 1
    assert max(map(len, str(found).splitlines())) < 100


def test_a_leaf_with_many_users() -> None:
    x, output = Value(1.0), Value(0.0)
    for number in range(5_000):
        output = output + x * float(number)
    found = provenance(output, x, k=3)
    assert [path.product for path in found.paths] == [4999.0, 4998.0, 4997.0]
    assert found.path_count == 5_000
    assert found.gradient == sum(range(5_000))


# The table


def table(found: Provenance) -> list[str]:
    return str(found).splitlines()


def test_the_table_is_aligned() -> None:
    x, y = Value(2.0, "x"), Value(-1.0, "y")
    output = x * x + y * x
    output.label = "o"
    assert table(provenance(output, x)) == [
        "∂o/∂x = 3, along 3 paths",
        "  x → × → o   2   66.7%",
        "  x → × → o   2   66.7%",
        "  x → × → o  -1  -33.3%",
    ]
    assert table(provenance(output, x, k=2))[-1].split() == ["1", "other", "path", "-1", "-33.3%"]
    assert table(provenance(output.tanh(), y))[0].startswith("∂output/∂y = 0.")


def test_labels_cannot_move_the_cursor_and_are_cut() -> None:
    x = Value(2.0, "\x1b[2Jnew\nline\u202e" + "x" * 1_000)
    lines = table(provenance(x * 1.0, x))
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 100 for line in lines)


# Wrong arguments


def test_a_leaf_that_is_not_in_the_graph_is_refused() -> None:
    x = Value(1.0, "x")
    with pytest.raises(ValueError, match=r"^provenance: the output does not depend on this leaf: Value\(data=1\.0"):
        provenance(Value(2.0) * 3.0, x)
    output = x * 2.0
    with pytest.raises(ValueError, match="does not depend"):
        provenance(x, output)


@pytest.mark.parametrize("k", [0, -1, 1.0, True, "5", None])
def test_a_wrong_k_is_refused(k: object) -> None:
    x = Value(1.0)
    with pytest.raises(ValueError, match=r"^provenance: expected k to be a whole number of at least 1, got "):
        provenance(x, x, k)  # type: ignore[arg-type]


def test_something_else_than_a_value_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^provenance: expected a Value as output, got float 1\.0"):
        provenance(1.0, Value(1.0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^provenance: expected a Value as leaf, got str 'x'"):
        provenance(Value(1.0), "x")  # type: ignore[arg-type]


def test_the_table_names_what_has_a_label_where_that_tells_the_paths_apart() -> None:
    x = Value(3.0, "x")
    left, right = x * 2.0, x * 5.0
    bare = provenance(left + right, x)
    assert str(bare).count("x → × → +") == 2
    left.label, right.label = "u", "v"
    named = str(provenance(left + right, x)).split("\n")
    assert [line.split()[:5] for line in named[1:]] == [["x", "→", "v", "→", "+"], ["x", "→", "u", "→", "+"]]

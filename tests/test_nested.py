"""Nested lists, tuples, dicts and arrays: their numbers one by one, and back into the same shape."""

from typing import Any

import numpy as np

from autograd_mini.nested import flatten, map_numbers, reshape

LAYERS: dict[str, Any] = {"W": [[1.0, 2.0], (3.0,)], "b": {0: 4.0, "é": np.array([5.0, 6.0])}, "none": []}


def test_every_number_has_the_name_that_python_calls_it_by() -> None:
    names = [name for name, _ in flatten(LAYERS, "LAYERS")]
    assert names[:3] == ["LAYERS['W'][0][0]", "LAYERS['W'][0][1]", "LAYERS['W'][1][0]"]
    assert [eval(name) for name in names] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert list(flatten(2.5, "x")) == [("x", 2.5)]


def test_map_numbers_keeps_every_shape_and_the_order_of_keys() -> None:
    doubled = map_numbers(lambda number: 2.0 * number, LAYERS)
    assert list(doubled) == ["W", "b", "none"]
    assert doubled["W"] == [[2.0, 4.0], (6.0,)]
    assert doubled["b"][0] == 8.0
    assert isinstance(doubled["b"]["é"], np.ndarray)
    assert doubled["b"]["é"].tolist() == [10.0, 12.0]
    assert doubled["none"] == []
    assert LAYERS["W"][0] == [1.0, 2.0]


def test_reshape_is_the_way_back() -> None:
    again = reshape((number for _, number in flatten(LAYERS)), like=LAYERS)
    assert list(flatten(again)) == list(flatten(LAYERS))


def test_dicts_are_read_in_their_own_order() -> None:
    assert [name for name, _ in flatten({"b": 1.0, "a": 2.0})] == ["['b']", "['a']"]
    assert reshape(iter([1.0, 2.0]), like={"b": 0.0, "a": 0.0}) == {"b": 1.0, "a": 2.0}

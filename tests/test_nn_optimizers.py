"""Optimizers, schedules, clipping and block-wise updates: by hand, against PyTorch step for step, saved and resumed."""

import copy
import json
import math
import pickle
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn.optimizers
from autograd_mini import Value
from nn import MLP, Module, fit, mse_loss
from nn.blockwise import Blockwise
from nn.clipping import clip_grad_norm, clip_grad_value
from nn.optimizers import SGD, Adam, AdamW, GradientOptimizer
from nn.schedules import (
    SCHEDULES,
    Constant,
    CosineDecay,
    ExponentialDecay,
    InverseTimeDecay,
    LinearWarmup,
    Schedule,
    StepDecay,
    schedule_from_state,
)

STEPS = 40


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is the oracle of these tests: pip install torch")


def values(numbers: Sequence[float], gradients: Sequence[float] | None = None) -> list[Value]:
    made = [Value(number) for number in numbers]
    if gradients is not None:
        give(made, gradients)
    return made


def give(parameters: Sequence[Value], gradients: Sequence[float]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient


def numbers(parameters: Sequence[Value]) -> list[float]:
    return [parameter.data for parameter in parameters]


def path(optimizer: Any, gradients: Sequence[float], start: float = 1.0) -> list[float]:
    """Where a single parameter is after each step, given the gradients in turn."""
    parameter = Value(start)
    places = []
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step([parameter])
        places.append(parameter.data)
    return places


# By hand


@pytest.mark.parametrize(
    ("optimizer", "gradients", "places"),
    [
        (SGD(0.25), [4, -2], [0, 0.5]),
        (SGD(0.25, weight_decay=2), [2, 2], [0, -0.5]),  # 1 - ¼(2 + 2·1), 0 - ¼(2 + 2·0)
        (SGD(0.25, momentum=0.5), [4, 4, 0], [0, -1.5, -2.25]),  # v = 4, 6, 3
        (SGD(0.25, momentum=0.5, dampening=0.5), [4, 4], [0, -1]),  # v = 4, the first undamped, then 2 + 2
        (SGD(0.25, momentum=0.5, nesterov=True), [4, 4], [-0.5, -2.25]),  # 4 + 4/2, 4 + 6/2
        (SGD(0.25, clip_value=2), [4, -8, 1], [0.5, 1, 0.75]),
        # m̂ = g, √ŝ = |g|: 1 - 0.4 · 3 / (3 + 1); then m̂ = (0.75 + 0.5) / 0.75, ŝ = (2.25 + 0.5) / 0.75
        (
            Adam(0.4, betas=(0.5, 0.5), epsilon=1),
            [3, 1],
            [0.7, 0.7 - 0.4 * (5 / 3) / (math.sqrt(11 / 3) + 1)],
        ),
        (Adam(0.4, betas=(0, 0), epsilon=1, weight_decay=2), [1], [0.7]),  # g = 1 + 2·1 = 3
        (AdamW(0.4, betas=(0, 0), epsilon=1, weight_decay=0.5), [3], [0.5]),  # 1 - 0.4·0.5 - 0.4·¾
        (Adam(1, betas=(0, 0), epsilon=1), [3, 1], [0.25, -0.25]),  # ¾, ½
        (Adam(1, betas=(0, 0), epsilon=1, amsgrad=True), [3, 1], [0.25, 0]),  # ¾, 1 / (3 + 1)
        (SGD(StepDecay(0.5, every=2)), [1, 1, 1], [0.5, 0, -0.05]),
        pytest.param(SGD(lambda step: 1 / (step + 1)), [1, 1], [0, -0.5], id="SGD by a function"),
    ],
    ids=repr,
)
def test_first_steps_by_hand(optimizer: GradientOptimizer, gradients: list[float], places: list[float]) -> None:
    optimizer = copy.deepcopy(optimizer)  # the table is made once
    assert path(optimizer, gradients) == pytest.approx(places, rel=1e-15, abs=1e-15)
    assert optimizer.step_count == len(gradients)


def test_adam_is_blind_to_the_scale_of_the_gradients() -> None:
    small, large = (path(Adam(0.1, epsilon=1e-300), [scale, -2 * scale, scale]) for scale in (1e-30, 1e30))
    assert small == pytest.approx(large, rel=1e-14)


def test_clipping_in_the_optimizer_leaves_the_gradients_as_they_are() -> None:
    """By value first: (3, -4) with the bound 3 is (3, -3), of norm √18."""
    parameters = values([0, 0], [3, -4])
    SGD(1, clip_norm=1, clip_value=3).step(parameters)
    assert numbers(parameters) == pytest.approx([-math.sqrt(0.5), math.sqrt(0.5)], rel=1e-6)
    assert [parameter.grad for parameter in parameters] == [3, -4]


def test_the_norm_is_clipped_before_the_weight_decay_is_added() -> None:
    (parameter,) = parameters = values([1], [100])
    SGD(1, clip_norm=1, weight_decay=3).step(parameters)
    assert parameter.data == pytest.approx(1 - (1 + 3), rel=1e-7)


def test_parameters_may_come_from_a_generator_and_one_that_comes_twice_moves_once() -> None:
    (parameter,) = values([1], [4])
    SGD(0.25).step(each for each in (parameter, parameter))
    assert parameter.data == 0


def test_the_settings_may_be_changed_between_steps() -> None:
    optimizer = SGD(0.25, momentum=0.5)
    (parameter,) = values([1], [4])
    optimizer.step([parameter])
    optimizer.learning_rate, optimizer.momentum = 0.5, 0.25
    optimizer.step([parameter])
    assert parameter.data == -2.5  # 0 - ½ (¼ · 4 + 4)


def test_parameters_that_come_later_begin_afresh() -> None:
    first, second = values([1, 1], [3, 3])
    optimizer = Adam(0.4, epsilon=1)
    for parameters in ([first], [first, second]):
        optimizer.step(parameters)
    twin = Value(1)
    twin.grad = 3
    Adam(0.4, epsilon=1).step([twin])
    assert second.data == twin.data
    assert first.data < second.data


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (SGD(), "SGD(0.01)"),
        (SGD(0.5, momentum=0.9, nesterov=True), "SGD(0.5, momentum=0.9, nesterov=True)"),
        (Adam(clip_norm=1), "Adam(0.001, clip_norm=1.0)"),
        (AdamW(weight_decay=0), "AdamW(0.001, weight_decay=0.0)"),
        (Adam(CosineDecay(0.1, 30)), "Adam(CosineDecay(0.1, steps=30))"),
        (SGD(LinearWarmup(0.1, 5)), "SGD(LinearWarmup(Constant(0.1), steps=5))"),
        (Blockwise(SGD(0.1), [[Value(1)], [Value(2)]]), "Blockwise(SGD(0.1), 2 blocks)"),
    ],
)
def test_repr(optimizer: object, text: str) -> None:
    assert repr(optimizer) == text


# Beside PyTorch


def torch_optimizer(torch: Any, optimizer: GradientOptimizer, parameters: list[Any]) -> Any:
    """PyTorch's optimizer with the same settings (but clipping, and a learning rate that is a schedule)."""
    renamed = {"learning_rate": "lr", "epsilon": "eps"}
    names = [field.name for field in fields(optimizer) if not field.name.startswith("clip_")]
    kwargs = {renamed.get(name, name): getattr(optimizer, name) for name in names}
    return getattr(torch.optim, type(optimizer).__name__)(parameters, **kwargs)


def assert_same_path(
    torch: Any, ours: GradientOptimizer, like: GradientOptimizer, seed: int = 0, *, from_the_same_place: bool = False
) -> None:
    """Step `ours`, and PyTorch with the settings of `like`, over random gradients of all sizes.

    Each parameter may differ by 1e-12 of the largest that it has been so far. from_the_same_place: PyTorch takes
    over our parameters after each step, as settings that make a path unstable blow up the last digit.
    """
    random = np.random.default_rng(seed)
    start = random.normal(size=6)
    parameters = values(start.tolist())
    tensors = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in (start[:4], start[4:])]
    theirs = torch_optimizer(torch, like, tensors)
    largest = np.abs(start)
    for _ in range(STEPS):
        gradients = random.normal(size=6) * 10 ** random.uniform(-3, 3)
        gradients[random.integers(6)] = 0.0
        give(parameters, gradients.tolist())
        ours.step(parameters)
        for tensor, part in zip(tensors, (gradients[:4], gradients[4:]), strict=True):
            tensor.grad = torch.tensor(part)
        if like.clip_value is not None:
            torch.nn.utils.clip_grad_value_(tensors, like.clip_value)
        if like.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(tensors, like.clip_norm)
        theirs.step()
        expected = np.concatenate([tensor.detach().numpy() for tensor in tensors])
        largest = np.maximum(largest, np.abs(expected))
        difference = np.abs(np.array(numbers(parameters)) - expected)
        assert (difference <= 1e-12 * largest).all(), (ours, difference / largest)
        if from_the_same_place:
            for tensor, ours_of_it in zip(tensors, (parameters[:4], parameters[4:]), strict=True):
                tensor.data = torch.tensor(numbers(ours_of_it), dtype=torch.float64)


BESIDE_PYTORCH = [
    SGD(0.1),
    SGD(0.1, weight_decay=0.3),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.9, dampening=0.4, weight_decay=0.01),
    SGD(0.1, momentum=0.9, nesterov=True),
    SGD(0.1, momentum=0.5, nesterov=True, weight_decay=0.2),
    SGD(0.1, clip_norm=1.0),
    SGD(0.1, momentum=0.9, clip_value=0.5, clip_norm=0.7),
    Adam(),
    Adam(0.1, betas=(0.5, 0.7), epsilon=0.1),
    Adam(0.1, betas=(0, 0)),
    Adam(0.1, weight_decay=0.3, amsgrad=True),
    Adam(0.1, clip_norm=0.1),
    AdamW(),
    AdamW(0.1, weight_decay=0.3, betas=(0.3, 0.9)),
    AdamW(0.1, amsgrad=True, clip_value=2),
]


@pytest.mark.parametrize("optimizer", BESIDE_PYTORCH, ids=repr)
def test_the_steps_are_those_of_pytorch(torch: Any, optimizer: GradientOptimizer) -> None:
    assert_same_path(torch, copy.deepcopy(optimizer), optimizer)


RATES = st.floats(1e-6, 1)
COMMON = {"learning_rate": RATES, "weight_decay": st.floats(0, 1)}
ADAM = {
    **COMMON,
    "betas": st.tuples(st.floats(0, 0.9999), st.floats(0.5, 0.99999)),
    "epsilon": st.floats(1e-10, 1),
    "amsgrad": st.booleans(),
}


@settings(deadline=None, max_examples=40)
@given(
    optimizer=st.one_of(
        st.builds(SGD, **COMMON, momentum=st.floats(0, 0.999), dampening=st.floats(0, 1)),
        st.builds(SGD, **COMMON, momentum=st.floats(1e-6, 0.999), nesterov=st.just(True)),
        st.builds(Adam, **ADAM),
        st.builds(AdamW, **ADAM),
    ),
    seed=st.integers(0, 2**32),
)
def test_the_steps_are_those_of_pytorch_with_any_settings(torch: Any, optimizer: GradientOptimizer, seed: int) -> None:
    assert_same_path(torch, optimizer, optimizer, seed, from_the_same_place=True)


class WithoutCorrection(Adam):
    """Wrong: the averages as they are, though they begin at 0."""

    def update(self, numbers: Any, gradients: Any, remembered: Any, updates: Any, rate: float, scratch: Any) -> None:
        super().update(numbers, gradients, remembered, updates + 10**6, rate, scratch)


class DampedFromTheStart(SGD):
    """Wrong: the first velocity is dampened as well."""

    def update(self, numbers: Any, gradients: Any, remembered: Any, updates: Any, rate: float, scratch: Any) -> None:
        super().update(numbers, gradients, remembered, updates + 1, rate, scratch)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (WithoutCorrection(0.1), Adam(0.1)),
        (DampedFromTheStart(0.1, momentum=0.9, dampening=0.4), SGD(0.1, momentum=0.9, dampening=0.4)),
        (Adam(0.1, weight_decay=0.1), AdamW(0.1, weight_decay=0.1)),
        (Adam(0.1, epsilon=1.01e-8), Adam(0.1)),
        (Adam(0.1), Adam(0.1, amsgrad=True)),
        (SGD(0.1, momentum=0.9), SGD(0.1, momentum=0.9, nesterov=True)),
        (SGD(0.1 * (1 + 1e-10)), SGD(0.1)),
        (SGD(0.1, clip_norm=1 + 1e-9), SGD(0.1, clip_norm=1)),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_a_wrong_step_is_noticed(torch: Any, wrong: GradientOptimizer, right: GradientOptimizer) -> None:
    with pytest.raises(AssertionError):
        assert_same_path(torch, copy.deepcopy(wrong), right)


@pytest.mark.parametrize(
    "optimizer",
    [
        SGD(0.1, momentum=0.9, nesterov=True),
        Adam(0.02, weight_decay=0.1),
        AdamW(0.02, clip_norm=0.5),
    ],
    ids=repr,
)
def test_a_network_is_trained_as_in_pytorch(torch: Any, optimizer: GradientOptimizer) -> None:
    """Both engines take their own gradients: two samples of three inputs, the network 3-4-1 with tanh."""
    samples, targets = [[2.0, 4.0, 3.0], [1.0, 0.0, 5.0]], [5.0, -1.0]
    model = MLP(3, [4, 1], activation="tanh", seed=7)
    optimizer = copy.deepcopy(optimizer)
    tensors: list[Any] = []
    for layer in model.layers:
        for part in ([numbers(row) for row in layer.weights], numbers(layer.biases)):
            tensors.append(torch.tensor(part, dtype=torch.float64, requires_grad=True))
    theirs = torch_optimizer(torch, optimizer, tensors)
    first, first_bias, second, second_bias = tensors
    for _ in range(25):
        model.zero_grad()
        mse_loss([model(sample) for sample in samples], targets).backward()
        optimizer.step(model.parameters())
        theirs.zero_grad()
        hidden = torch.tanh(torch.tensor(samples, dtype=torch.float64) @ first.T + first_bias)
        outputs = (hidden @ second.T + second_bias)[:, 0]
        torch.nn.functional.mse_loss(outputs, torch.tensor(targets, dtype=torch.float64)).backward()
        if optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(tensors, optimizer.clip_norm)
        theirs.step()
        for layer, weight, bias in zip(model.layers, (first, second), (first_bias, second_bias), strict=True):
            found = [numbers(row) for row in layer.weights]
            np.testing.assert_allclose(found, weight.detach().numpy(), rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(numbers(layer.biases), bias.detach().numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("optimizer", [SGD(0.1), SGD(0.1, momentum=0.9), Adam(), AdamW(amsgrad=True)], ids=repr)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_gradients_that_are_not_finite_do_what_they_do_in_pytorch(
    torch: Any, optimizer: GradientOptimizer, bad: float
) -> None:
    optimizer = copy.deepcopy(optimizer)
    parameters = values([1, 2])
    tensor = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    theirs = torch_optimizer(torch, optimizer, [tensor])
    for gradients in ([1.0, 3.0], [bad, 3.0], [1.0, 3.0], [1e200, 3.0]):
        give(parameters, gradients)
        optimizer.step(parameters)
        tensor.grad = torch.tensor(gradients, dtype=torch.float64)
        theirs.step()
        np.testing.assert_allclose(numbers(parameters), tensor.detach().numpy(), rtol=1e-12)
    assert not math.isfinite(parameters[0].data)
    again = copy.deepcopy(optimizer)
    again.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    assert repr(again.state_dict()) == repr(optimizer.state_dict())


# Clipping

GRADIENTS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6)


def clipped(function: Callable[..., Any], gradients: Sequence[float], *args: float) -> tuple[list[float], Any]:
    parameters = values([0.0] * len(gradients), gradients)
    result = function(parameters, *args)
    return [parameter.grad for parameter in parameters], result


def test_the_norm_is_clipped_by_hand() -> None:
    gradients, norm = clipped(clip_grad_norm, [3, -4], 1)
    assert norm == 5
    assert gradients == pytest.approx([0.6, -0.8], rel=1e-6)
    assert clipped(clip_grad_norm, [3, -4], 6) == ([3, -4], 5)
    assert clipped(clip_grad_norm, [3, -4], math.inf) == ([3, -4], 5)
    assert clipped(clip_grad_norm, [3, -4], 9, 1) == ([3, -4], 7)
    assert clipped(clip_grad_norm, [3, -4], 9, math.inf) == ([3, -4], 4)
    assert clipped(clip_grad_norm, [], 1) == ([], 0)


def test_a_parameter_that_comes_twice_counts_once_in_the_norm() -> None:
    (shared,) = values([0], [3])
    assert clip_grad_norm([shared, shared], 1) == 3


def test_values_are_clipped_by_hand() -> None:
    assert clipped(clip_grad_value, [3, -4, 0.5, -0.0, math.inf], 2)[0] == [2, -2, 0.5, 0, 2]
    assert math.isnan(clipped(clip_grad_value, [math.nan], 2)[0][0])


def test_the_norm_of_huge_and_tiny_gradients_neither_overflows_nor_vanishes() -> None:
    assert clipped(clip_grad_norm, [3e200, 4e200], 1)[1] == pytest.approx(5e200, rel=1e-15)
    assert clipped(clip_grad_norm, [3e-200, 4e-200], 1)[1] == pytest.approx(5e-200, rel=1e-15)
    assert clipped(clip_grad_norm, [3e200, 4e200], 1)[0] == pytest.approx([0.6, 0.8], rel=1e-15)


@settings(deadline=None)
@given(gradients=GRADIENTS, max_norm=st.floats(1e-3, 1e3), norm_type=st.sampled_from([1.0, 1.5, 2.0, 3.0, math.inf]))
def test_clipping_is_that_of_pytorch(torch: Any, gradients: list[float], max_norm: float, norm_type: float) -> None:
    tensor = torch.zeros(len(gradients), dtype=torch.float64)
    tensor.grad = torch.tensor(gradients, dtype=torch.float64)
    expected = float(torch.nn.utils.clip_grad_norm_([tensor], max_norm, norm_type))
    found, norm = clipped(clip_grad_norm, gradients, max_norm, norm_type)
    assert norm == pytest.approx(expected, rel=1e-12, abs=1e-100)
    assert found == pytest.approx(tensor.grad.tolist(), rel=1e-12, abs=1e-100)
    torch.nn.utils.clip_grad_value_([tensor], max_norm / 2)
    assert clipped(clip_grad_value, found, max_norm / 2)[0] == pytest.approx(
        tensor.grad.tolist(), rel=1e-12, abs=1e-100
    )


@pytest.mark.parametrize("gradients", [[math.nan, 1.0, 0.0], [math.inf, 1.0, 0.0], [math.inf, -math.inf, 1.0]])
@pytest.mark.parametrize("norm_type", [1.0, 2.0, math.inf])
def test_clipping_gradients_that_are_not_finite_is_that_of_pytorch(
    torch: Any, gradients: list[float], norm_type: float
) -> None:
    tensor = torch.zeros(3, dtype=torch.float64)
    tensor.grad = torch.tensor(gradients, dtype=torch.float64)
    expected = float(torch.nn.utils.clip_grad_norm_([tensor], 1.0, norm_type))
    found, norm = clipped(clip_grad_norm, gradients, 1.0, norm_type)
    np.testing.assert_equal((norm, found), (expected, tensor.grad.tolist()))


@given(gradients=GRADIENTS, max_norm=st.floats(1e-3, 1e3))
def test_a_clipped_norm_is_never_above_the_bound(gradients: list[float], max_norm: float) -> None:
    found, _ = clipped(clip_grad_norm, gradients, max_norm)
    assert math.hypot(*found) <= max_norm * (1 + 1e-12)


# Arrays


def moved(optimizer: GradientOptimizer, start: Any, gradients: Any, dtype: Any = np.float64) -> Any:
    """The numbers after a `move` for each of the gradients."""
    found = np.array(start, dtype)
    for each in np.array(gradients, dtype):
        optimizer.move(found, each)
    return found


ANY_OPTIMIZER = [*BESIDE_PYTORCH, SGD(InverseTimeDecay(0.1, 0.3)), Adam(StepDecay(0.05, 4), clip_norm=1, clip_value=1)]


@pytest.mark.parametrize("optimizer", ANY_OPTIMIZER, ids=repr)
@pytest.mark.parametrize("part", [2**14, 4])  # all 11 parameters at once, or in three parts
def test_an_array_is_moved_as_values_are_bit_for_bit(
    optimizer: GradientOptimizer, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nn.optimizers, "PART", part)
    random = np.random.default_rng(5)
    start, gradients = random.normal(size=11), random.normal(size=(20, 11)) * 3
    one_by_one, at_once = copy.deepcopy(optimizer), copy.deepcopy(optimizer)
    parameters = values(start.tolist())
    at_once.know(values(start.tolist()))
    one_by_one.know(parameters)
    for each in gradients:
        give(parameters, each.tolist())
        one_by_one.step(parameters)
    before = gradients.copy()
    assert moved(at_once, start, gradients).tolist() == numbers(parameters)
    assert at_once.state_dict() == one_by_one.state_dict()
    assert (gradients == before).all()


@pytest.mark.parametrize("optimizer", ANY_OPTIMIZER, ids=repr)
@pytest.mark.parametrize("part", [2**14, 2])
def test_steps_and_moves_take_turns(optimizer: GradientOptimizer, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On all of the parameters or on some, in any order: none of them sees the difference."""
    monkeypatch.setattr(nn.optimizers, "PART", part)
    random = np.random.default_rng(6)
    mixed, steps = copy.deepcopy(optimizer), copy.deepcopy(optimizer)
    parameters, twins = values([1, 2, 3, 4]), values([1, 2, 3, 4])
    for places in [[2, 1], [0, 1, 2, 3], [0, 1], [3], [0, 1, 2, 3], [2, 1], [], [1, 3], [0, 1, 2, 3]] * 2:
        gradients = random.normal(size=len(places))
        give([twins[place] for place in places], gradients.tolist())
        steps.step([twins[place] for place in places])
        chosen = [parameters[place] for place in places]
        if random.random() < 0.5:
            give(chosen, gradients.tolist())
            mixed.step(chosen)
        else:
            array = np.array(numbers(chosen))
            mixed.move(array, gradients, mixed.know(chosen))
            for parameter, number in zip(chosen, array.tolist(), strict=True):
                parameter.data = number
        assert numbers(parameters) == numbers(twins)
    mixed.know(parameters)
    steps.know(twins)
    assert mixed.state_dict() == steps.state_dict()


@settings(deadline=None, max_examples=30)
@given(
    optimizer=st.one_of(
        st.builds(SGD, **COMMON, momentum=st.floats(0, 0.999), dampening=st.floats(0, 1)),
        st.builds(Adam, **ADAM),
        st.builds(AdamW, **ADAM),
    ),
    turns=st.lists(st.sets(st.integers(0, 4), min_size=1), max_size=12),
)
def test_a_parameter_goes_its_own_way_whenever_it_is_moved(optimizer: GradientOptimizer, turns: list[set[int]]) -> None:
    together, apart = copy.deepcopy(optimizer), [copy.deepcopy(optimizer) for _ in range(5)]
    parameters, twins = values([1, 2, 3, 4, 5]), values([1, 2, 3, 4, 5])
    for step, turn in enumerate(turns):
        give(parameters, [math.sin(step + place) for place in range(5)])
        give(twins, [parameter.grad for parameter in parameters])
        together.step([parameters[place] for place in turn])
        for place in turn:
            apart[place].step([twins[place]])
    assert numbers(parameters) == numbers(twins)


@pytest.mark.parametrize("optimizer", ANY_OPTIMIZER[:-2], ids=repr)
def test_numbers_of_32_bits_are_moved_as_in_pytorch(torch: Any, optimizer: GradientOptimizer) -> None:
    ours = copy.deepcopy(optimizer)
    random = np.random.default_rng(7)
    found = random.normal(size=9).astype(np.float32)
    tensor = torch.tensor(found.copy(), requires_grad=True)
    theirs = torch_optimizer(torch, optimizer, [tensor])
    for _ in range(20):
        gradients = random.normal(size=9).astype(np.float32)
        ours.move(found, gradients)
        tensor.grad = torch.tensor(gradients)
        if optimizer.clip_value is not None:
            torch.nn.utils.clip_grad_value_([tensor], optimizer.clip_value)
        if optimizer.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([tensor], optimizer.clip_norm)
        theirs.step()
        np.testing.assert_allclose(found, tensor.detach().numpy(), rtol=3e-5, atol=3e-6)
    again = copy.deepcopy(optimizer)
    again.load_state_dict(json.loads(json.dumps(ours.state_dict())))
    twin = found.copy()
    for each in (found, twin):
        (ours if each is found else again).move(each, gradients)
    assert found.tolist() == twin.tolist()
    assert ours.state_dict() == again.state_dict()


@pytest.mark.parametrize("optimizer", ANY_OPTIMIZER, ids=repr)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_array_is_allocated_after_the_first_move(optimizer: GradientOptimizer, dtype: Any) -> None:
    optimizer = copy.deepcopy(optimizer)
    found, gradients = np.ones(20_000, dtype), np.ones(20_000, dtype)
    optimizer.move(found, gradients)
    tracemalloc.start()
    try:
        optimizer.move(found, gradients)
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_parameters_may_become_known_after_their_numbers_were_moved() -> None:
    gradients = [[3.0, -1.0], [2.0, 5.0]]
    optimizer, known = Adam(0.1), Adam(0.1)
    parameters, twins = values([1, 2]), values([1, 2])
    known.know(twins)
    for each, twin in ((optimizer, parameters), (known, twins)):
        for parameter, number in zip(twin, moved(each, [1, 2], gradients).tolist(), strict=True):
            parameter.data = number
        give(twin, [1, 1])
    with pytest.raises(ValueError, match="Adam: expected the 2 parameters that the loaded state is for, got 1"):
        optimizer.step(parameters[:1])
    optimizer.step(parameters)
    known.step(twins)
    assert numbers(parameters) == numbers(twins)
    assert optimizer.state_dict() == known.state_dict()


def test_the_rows_of_parameters_stay_the_same_for_good() -> None:
    optimizer = Adam(0.1)
    first, second = values([1, 2, 3]), values([4, 5])
    rows = optimizer.know(first), optimizer.know(second)
    assert rows == (slice(0, 3), slice(3, 5))
    assert optimizer.know(second[::-1]) == pytest.approx([4, 3])
    optimizer.load_state_dict(optimizer.state_dict())
    assert (optimizer.know(first), optimizer.know(second)) == rows


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))]
)
def test_a_copy_takes_no_scratch_along(duplicate: Callable[[Any], Any]) -> None:
    optimizer = SGD(0.1, clip_value=1)
    moved(optimizer, np.ones(5000), np.ones((1, 5000)))
    assert len(pickle.dumps(duplicate(optimizer))) < 5000


class Adagrad(GradientOptimizer):
    """As somebody may write one: g / √Σ g², the sum from 1 on."""

    columns: ClassVar[Any] = {"sums": lambda thing, expected: float(thing)}
    first_row = (1.0,)

    def update(self, numbers: Any, gradients: Any, remembered: Any, updates: Any, rate: float, scratch: Any) -> None:
        (sums,) = remembered
        work = scratch[0]
        np.multiply(gradients, gradients, out=work)
        sums += work
        np.sqrt(sums, out=work)
        np.divide(gradients, work, out=work)
        work *= rate
        numbers -= work


def test_an_optimizer_of_your_own() -> None:
    optimizer = Adagrad(0.5)
    assert path(optimizer, [math.sqrt(3), math.sqrt(12)]) == pytest.approx(
        [1 - 0.25 * math.sqrt(3), 1 - 0.5 * math.sqrt(3)]
    )
    assert optimizer.state_dict()["parameters"] == {"sums": [pytest.approx(16)]}
    again = Adagrad(0.1)
    again.load_state_dict(optimizer.state_dict())
    assert again.state_dict() == optimizer.state_dict()
    assert moved(again, [1], [[3]]) == pytest.approx(1 - 0.5 * 3 / 5)


@pytest.mark.parametrize("clip_value", [None, 1.0])
def test_numbers_of_no_parameter_are_moved_too(clip_value: float | None) -> None:
    optimizer = Adam(clip_value=clip_value, clip_norm=clip_value)
    assert moved(optimizer, [], [[], []]).tolist() == []
    assert optimizer.step_count == 2


def test_the_norm_of_many_gradients_is_summed_in_parts() -> None:
    gradients = np.random.default_rng(8).normal(size=20_000)
    assert clipped(clip_grad_norm, gradients.tolist(), math.inf)[1] == pytest.approx(math.hypot(*gradients), rel=1e-13)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        (([1.0], np.ones(1)), TypeError, "expected numbers to be a flat array of float64 or float32, got list [1.0]"),
        (
            (np.ones(2), np.ones(2, int)),
            TypeError,
            "expected gradients to be a flat array of float64 or float32, got ndarray array([1, 1])",
        ),
        (
            (np.ones((1, 2)), np.ones((1, 2))),
            TypeError,
            "expected numbers to be a flat array of float64 or float32, got ndarray array([[1., 1.]])",
        ),
        (
            (np.ones(2), np.ones(3)),
            ValueError,
            "expected gradients like the numbers, 2 of float64, got 3 of float64",
        ),
        (
            (np.ones(2), np.ones(2, np.float32)),
            ValueError,
            "expected gradients like the numbers, 2 of float64, got 2 of float32",
        ),
        (
            (np.broadcast_to(1.0, 2), np.ones(2)),
            ValueError,
            "expected numbers that can be written to, got a read-only array",
        ),
        (
            (np.ones(3), np.ones(3)),
            ValueError,
            "expected the numbers of the 2 parameters that it knows, got 3",
        ),
        (
            (np.ones(2), np.ones(2), slice(1, 2)),
            ValueError,
            "expected the numbers of the 1 parameter that the rows are of, got 2",
        ),
        (
            (np.ones(2), np.ones(2), np.array([1])),
            ValueError,
            "expected the numbers of the 1 parameter that the rows are of, got 2",
        ),
    ],
)
def test_wrong_arrays_are_not_moved(arrays: Any, error: type[Exception], message: str) -> None:
    optimizer = Adam()
    optimizer.step(values([1, 2], [3, 4]))
    before = optimizer.state_dict()
    with pytest.raises(error) as raised:
        optimizer.move(*arrays)
    assert str(raised.value) == f"Adam: {message}"
    assert optimizer.state_dict() == before


# Schedules


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (Constant(0.5), [0.5, 0.5, 0.5]),
        (StepDecay(8, every=2, factor=0.5), [8, 8, 4, 4, 2]),
        (ExponentialDecay(8, factor=0.5), [8, 4, 2, 1]),
        (CosineDecay(8, steps=2), [8, 4, 0, 0]),
        (CosineDecay(8, steps=3, end=4), [8, 7, 5, 4, 4]),  # cos 60° is ½
        (InverseTimeDecay(6), [6, 3, 2, 1.5]),
        (InverseTimeDecay(6, decay=0.5), [6, 4, 3]),
        (LinearWarmup(8, steps=4, start_factor=0.25), [2, 3.5, 5, 6.5, 8, 8]),
        (LinearWarmup(ExponentialDecay(8, 0.5), steps=2, start_factor=0.5), [4, 6, 8, 4, 2]),
    ],
    ids=repr,
)
def test_schedules_by_hand(schedule: Schedule, rates: list[float]) -> None:
    assert [schedule(step) for step in range(len(rates))] == pytest.approx(rates, rel=1e-14, abs=1e-15)


@settings(deadline=None, max_examples=25)
@given(rate=RATES, factor=st.floats(0.01, 1), every=st.integers(1, 9), end=st.floats(0, 0.5), start=st.floats(0.01, 1))
def test_schedules_are_those_of_pytorch(
    torch: Any, rate: float, factor: float, every: int, end: float, start: float
) -> None:
    schedulers = torch.optim.lr_scheduler

    def warm_up(optimizer: Any) -> Any:
        return schedulers.SequentialLR(
            optimizer,
            [
                schedulers.LinearLR(optimizer, start, total_iters=every),
                schedulers.ExponentialLR(optimizer, factor),
            ],
            milestones=[every],
        )

    pairs: list[tuple[Schedule, Callable[[Any], Any], int]] = [
        (StepDecay(rate, every, factor), lambda each: schedulers.StepLR(each, every, factor), 30),
        (ExponentialDecay(rate, factor), lambda each: schedulers.ExponentialLR(each, factor), 30),
        (CosineDecay(rate, every, end), lambda each: schedulers.CosineAnnealingLR(each, every, end), every + 1),
        (
            InverseTimeDecay(rate, factor),
            lambda each: schedulers.LambdaLR(each, lambda step: 1 / (1 + factor * step)),
            30,
        ),
        (LinearWarmup(ExponentialDecay(rate, factor), every, start), warm_up, 30),
    ]
    for schedule, make_scheduler, steps in pairs:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
        scheduler = make_scheduler(optimizer)
        for step in range(steps):
            expected = scheduler.get_last_lr()[0]
            assert schedule(step) == pytest.approx(expected, rel=1e-12, abs=1e-12 * max(rate, end)), schedule
            optimizer.step()
            scheduler.step()


def test_a_scheduled_optimizer_is_that_of_pytorch(torch: Any) -> None:
    ours = AdamW(CosineDecay(0.1, steps=20, end=0.01))
    tensor = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.AdamW([tensor], lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 20, 0.01)
    parameters = values([1, -2])
    random = np.random.default_rng(3)
    for _ in range(20):
        gradients = random.normal(size=2)
        assert ours.current_learning_rate == pytest.approx(scheduler.get_last_lr()[0], rel=1e-13)
        give(parameters, gradients.tolist())
        ours.step(parameters)
        tensor.grad = torch.tensor(gradients)
        theirs.step()
        scheduler.step()
        assert numbers(parameters) == pytest.approx(tensor.tolist(), rel=1e-12)


SCHEDULES_ALONE: st.SearchStrategy[Schedule] = st.one_of(
    st.builds(Constant, RATES),
    st.builds(StepDecay, RATES, st.integers(1, 50), st.floats(0.01, 1)),
    st.builds(ExponentialDecay, RATES, st.floats(0.01, 1)),
    st.builds(CosineDecay, RATES, st.integers(1, 50), st.floats(0, 1)),
    st.builds(InverseTimeDecay, RATES, st.floats(0, 100)),
)
WARM_UPS = st.builds(LinearWarmup, SCHEDULES_ALONE | RATES, st.integers(1, 50), st.floats(0.01, 1))


@given(schedule=SCHEDULES_ALONE | WARM_UPS, step=st.integers(0, 2**53))
def test_a_schedule_gives_a_rate_at_every_step_and_is_saved_whole(schedule: Schedule, step: int) -> None:
    assert 0 <= schedule(step) < math.inf
    again = schedule_from_state(json.loads(json.dumps(schedule.state_dict())))
    assert again == schedule
    assert again(step) == schedule(step)


def test_rates_that_add_up_without_end_though_their_squares_do_not() -> None:
    """What Robbins and Monro ask of a schedule, seen on 1/t: Σ 1/t passes ln n, Σ 1/t² stays below π²/6."""
    schedule = InverseTimeDecay(1)
    rates = [schedule(step) for step in range(10_000)]
    assert sum(rates) > math.log(10_000)
    assert sum(rate * rate for rate in rates) < math.pi**2 / 6


# Block-wise


def quadratic(parameters: Sequence[Value]) -> Value:
    """½ xᵀAx − bᵀx with A = tridiagonal(1, 2, 1) and b = (2, 4, 6)."""
    x, y, z = parameters
    return x * x + y * y + z * z + x * y + y * z - 2 * x - 4 * y - 6 * z


def descend(optimizer: Any, parameters: list[Value]) -> list[float]:
    for parameter in parameters:
        parameter.grad = 0
    quadratic(parameters).backward()
    optimizer.step(parameters)
    return numbers(parameters)


def test_blocks_in_turn_are_gauss_and_seidel() -> None:
    """Each coordinate to its own minimum, given the others as they stand: 2/2, (4 − 1)/2, (6 − 1.5)/2."""
    parameters = values([0, 0, 0])
    optimizer = Blockwise(SGD(0.5), [[parameter] for parameter in parameters])
    assert descend(optimizer, parameters) == [1, 0, 0]
    assert descend(optimizer, parameters) == [1, 1.5, 0]
    assert descend(optimizer, parameters) == [1, 1.5, 2.25]
    assert descend(optimizer, parameters) == [0.25, 1.5, 2.25]
    all_at_once = values([0, 0, 0])  # the simultaneous update, which is Jacobi's, goes elsewhere
    assert descend(SGD(0.5), all_at_once) == [1, 2, 3]
    matrix, right = np.array([[2, 1, 0], [1, 2, 1], [0, 1, 2]]), np.array([2, 4, 6])
    for _ in range(300):
        descend(optimizer, parameters)
    np.testing.assert_allclose(numbers(parameters), np.linalg.solve(matrix, right), rtol=1e-12, atol=1e-12)


def by_layer(model: MLP) -> list[Any]:
    return list(model.layers)


def by_neuron(model: MLP) -> list[Any]:
    return [neuron for layer in model.layers for neuron in layer.neurons]


def one_list_of_parameters(model: MLP) -> list[Any]:
    return [model.parameters()]


@pytest.mark.parametrize(
    ("blocks", "sizes"), [(by_layer, [8, 9, 4]), (by_neuron, [4, 4, 3, 3, 3, 4]), (one_list_of_parameters, [21])]
)
def test_blocks_of_a_network(blocks: Callable[[MLP], list[Any]], sizes: list[int]) -> None:
    model = MLP(3, [2, 3, 1], seed=1)
    optimizer = Blockwise(Adam(0.1), blocks(model))
    parameters = model.parameters()
    give(parameters, [1.0] * 21)
    place = 0
    for size in [*sizes, *sizes]:
        before = numbers(parameters)
        optimizer.step(parameters)
        moved = [k for k, number in enumerate(numbers(parameters)) if number != before[k]]
        assert moved == list(range(place, place + size))
        place = (place + size) % 21


def test_what_is_in_no_block_is_never_moved() -> None:
    parameters = values([1, 1], [1, 1])
    optimizer = Blockwise(SGD(0.5), [parameters[:1]])
    for _ in range(3):
        optimizer.step(parameters)
    assert numbers(parameters) == [-0.5, 1]


@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1, momentum=0.9, weight_decay=0.1), Adam(0.1, weight_decay=0.1), AdamW(0.1)],
    ids=repr,
)
def test_blocks_are_parameters_without_a_gradient_in_pytorch(torch: Any, optimizer: GradientOptimizer) -> None:
    """A block whose turn it is not rests, with all that is remembered of it, as where PyTorch finds no gradient."""
    optimizer = copy.deepcopy(optimizer)
    random = np.random.default_rng(9)
    parameters = values([1, 2, 3])
    blockwise = Blockwise(optimizer, [parameters[2:], parameters[:2]])
    tensors = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in (1.0, 2.0, 3.0)]
    theirs = torch_optimizer(torch, optimizer, tensors)
    for step in range(20):
        gradients = random.normal(size=3)
        give(parameters, gradients.tolist())
        blockwise.step(parameters)
        for place, tensor in enumerate(tensors):
            tensor.grad = torch.tensor(gradients[place]) if (place == 2) == (step % 2 == 0) else None
        theirs.step()
        assert numbers(parameters) == pytest.approx([tensor.item() for tensor in tensors], rel=1e-12)


def test_fit_gives_each_block_its_turn() -> None:
    model = MLP(2, [3, 1], activation="tanh", seed=4)
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    twin = copy.deepcopy(model)
    fit(model, x, y, optimizer=Blockwise(SGD(0.1), model.layers), epochs=2)
    for layer in twin.layers:
        twin.zero_grad()
        mse_loss([twin(sample) for sample in x], y).backward()
        SGD(0.1).step(layer.parameters())
    assert numbers(model.parameters()) == pytest.approx(numbers(twin.parameters()), rel=1e-12)


# Saving and going on

OPTIMIZERS: dict[str, Callable[[list[Value]], Any]] = {
    "sgd": lambda _: SGD(0.1),
    "scheduled": lambda _: SGD(InverseTimeDecay(0.1, 0.3), weight_decay=0.1),
    "momentum": lambda _: SGD(0.1, momentum=0.9, dampening=0.1),
    "nesterov": lambda _: SGD(LinearWarmup(CosineDecay(0.1, 9), 3), momentum=0.9, nesterov=True, clip_value=0.5),
    "adam": lambda _: Adam(0.05, weight_decay=0.1, clip_norm=1),
    "adamw": lambda _: AdamW(StepDecay(0.05, 4), amsgrad=True),
    "own rate": lambda _: Adam(lambda step: 0.1 / (step + 1)),
    "blockwise": lambda parameters: Blockwise(Adam(0.1), [parameters[3:], parameters[:2], parameters[2:3]]),
    "blockwise momentum": lambda parameters: Blockwise(SGD(0.1, momentum=0.9), [parameters[:1], parameters[1:]]),
}


def run(optimizer: Any, parameters: list[Value], steps: range) -> list[list[float]]:
    """The parameters after each of the steps; the gradients depend on the step and on the parameters."""
    places = []
    for step in steps:
        random = np.random.default_rng(step)
        give(parameters, (np.array(numbers(parameters)) + random.normal(size=len(parameters))).tolist())
        optimizer.step(parameters)
        places.append(numbers(parameters))
    return places


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [0, 1, 2, 7])
def test_a_run_goes_on_from_a_file_bit_for_bit(name: str, stop: int) -> None:
    parameters = values([1, 2, 3, 4, 5])
    optimizer = OPTIMIZERS[name](parameters)
    run(optimizer, parameters, range(stop))
    saved, file = numbers(parameters), json.dumps(optimizer.state_dict())
    unbroken = run(optimizer, parameters, range(stop, 15))
    parameters = values(saved)
    resumed = OPTIMIZERS[name](parameters)
    resumed.load_state_dict(json.loads(file))
    assert json.dumps(resumed.state_dict()) == file
    assert run(resumed, parameters, range(stop, 15)) == unbroken
    assert resumed.state_dict() == optimizer.state_dict()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [0, 1, 4])
def test_an_optimizer_goes_back_to_an_earlier_state_of_its_own(name: str, stop: int) -> None:
    """As `fit` needs it, when Ctrl-C comes in the middle of a step."""
    parameters = values([1, 2, 3, 4, 5])
    optimizer = OPTIMIZERS[name](parameters)
    run(optimizer, parameters, range(stop))
    saved, state = numbers(parameters), optimizer.state_dict()
    first = run(optimizer, parameters, range(stop, 9))
    for parameter, number in zip(parameters, saved, strict=True):
        parameter.data = number
    optimizer.load_state_dict(state)
    assert run(optimizer, parameters, range(stop, 9)) == first


def test_the_settings_are_loaded_too() -> None:
    optimizer = AdamW(ExponentialDecay(0.5, 0.9), betas=(0.5, 0.6), epsilon=0.1, weight_decay=0.2, clip_norm=3)
    again = AdamW()
    again.load_state_dict(optimizer.state_dict())
    assert repr(again) == repr(optimizer)


def test_a_subclass_made_in_its_own_way_goes_back_too() -> None:
    class Steep(SGD):
        def __init__(self) -> None:
            super().__init__(0.5, momentum=0.5)

    optimizer, parameters = Steep(), values([1, 2, 3])
    run(optimizer, parameters, range(2))
    saved, state = numbers(parameters), optimizer.state_dict()
    first = run(optimizer, parameters, range(2, 5))
    for parameter, number in zip(parameters, saved, strict=True):
        parameter.data = number
    optimizer.load_state_dict(state)
    assert run(optimizer, parameters, range(2, 5)) == first


def test_a_training_goes_on_bit_for_bit() -> None:
    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    unbroken = MLP(2, [3, 1], activation="tanh", seed=4)
    model = copy.deepcopy(unbroken)
    fit(unbroken, x, y, optimizer=Adam(CosineDecay(0.1, steps=20)), epochs=20)
    optimizer = Adam(CosineDecay(0.1, steps=20))
    fit(model, x, y, optimizer=optimizer, epochs=8)
    file = json.dumps([optimizer.state_dict(), numbers(model.parameters())])
    state, saved = json.loads(file)
    model, optimizer = MLP(2, [3, 1], activation="tanh", seed=99), Adam()
    for parameter, number in zip(model.parameters(), saved, strict=True):
        parameter.data = number
    optimizer.load_state_dict(state)
    fit(model, x, y, optimizer=optimizer, epochs=12)
    assert numbers(model.parameters()) == numbers(unbroken.parameters())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_copy_with_its_parameters_goes_on_by_itself(duplicate: Callable[[Any], Any]) -> None:
    parameters = values([1, 2, 3])
    optimizer = Adam(0.1)
    run(optimizer, parameters, range(3))
    twin, twins = duplicate((optimizer, parameters))
    assert run(twin, twins, range(3, 6)) == run(optimizer, parameters, range(3, 6))


def adam_state(**changes: Any) -> dict[str, Any]:
    """The state of an Adam after one step of two parameters, changed: "settings.betas" is a place in it."""
    optimizer = Adam()
    optimizer.step(values([1, 2], [3, 4]))
    state = json.loads(json.dumps(optimizer.state_dict()))
    for dotted, thing in changes.items():
        *outer, last = dotted.split(".")
        place = state
        for key in outer:
            place = place[key]
        place[last] = thing
    return dict(state)


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ([], TypeError, "Adam: expected state to be a dict, got list []"),
        (
            {"kind": "Adam"},
            ValueError,
            "Adam: expected state to have the keys kind, settings, step_count, parameters, got list ['kind']",
        ),
        (SGD().state_dict(), ValueError, "Adam: expected state['kind'] to be 'Adam', got str 'SGD'"),
        (adam_state(kind=["Adam"]), ValueError, "Adam: expected state['kind'] to be 'Adam', got list ['Adam']"),
        (
            adam_state(step_count=-1),
            ValueError,
            "Adam: expected state['step_count'] to be an int from 0 to 2**53, got -1",
        ),
        (
            adam_state(step_count=1.0),
            TypeError,
            "Adam: expected state['step_count'] to be an int of 0 or more, got float 1.0",
        ),
        (
            adam_state(**{"settings.betas": [0.9, 1]}),
            ValueError,
            "Adam: expected betas[1] to be a number from 0 to below 1, got 1.0",
        ),
        (
            adam_state(**{"settings.learning_rate": None}),
            ValueError,
            "Adam: expected state of an optimizer with a number as learning_rate, got that of one with a function:"
            " make the optimizer with the same function, and load again",
        ),
        (
            adam_state(**{"settings.learning_rate": {"kind": "os.system"}}),
            ValueError,
            f"schedule_from_state: expected state to be that of a {', '.join(SCHEDULES)},"
            " got dict {'kind': 'os.system'}",
        ),
        (
            adam_state(settings={}),
            ValueError,
            "Adam: expected state['settings'] to have the keys learning_rate, weight_decay, clip_norm, clip_value,"
            " betas, epsilon, amsgrad, got list []",
        ),
        (
            adam_state(**{"parameters.means": [1]}),
            ValueError,
            "Adam: expected state['parameters'] to hold lists of equal length, got lengths [1, 2]",
        ),
        (
            adam_state(**{"parameters.means": "ab"}),
            TypeError,
            "Adam: expected state['parameters']['means'] to be a list, got str 'ab'",
        ),
        (
            adam_state(**{"parameters.means": [1, "b"]}),
            TypeError,
            "Adam: expected state['parameters']['means'][1] to be a number, got str 'b'",
        ),
        (
            adam_state(**{"parameters.means": [1, 10**400]}),
            ValueError,
            "Adam: expected state['parameters']['means'][1] to be a number below 1.8e308, got an integer beyond it",
        ),
        (
            adam_state(**{"parameters.squares": [1, -1]}),
            ValueError,
            "Adam: expected state['parameters']['squares'][1] to be 0 or more, got -1.0",
        ),
        (
            adam_state(**{"parameters.updates": [1, 10**400]}),
            ValueError,
            "Adam: expected state['parameters']['updates'][1] to be an int from 0 to 2**53,"
            " got 100000000000000000...0000000000000000000",
        ),
        (
            adam_state(parameters={"means": [], "squares": []}),
            ValueError,
            "Adam: expected state['parameters'] to have the keys updates, means, squares, largest_squares,"
            " got list ['means', 'squares']",
        ),
        (
            adam_state(parameters={name: [0, 0, 0] for name in Adam.columns}),
            ValueError,
            "Adam: expected the 3 parameters that the loaded state is for, got 2",
        ),
    ],
)
def test_case_27_a_damaged_state_is_refused_and_changes_nothing(
    state: Any, error: type[Exception], message: str
) -> None:
    parameters = values([1, 2], [3, 4])
    optimizer = Adam()
    optimizer.step(parameters)
    before = optimizer.state_dict()
    with pytest.raises(error) as raised:
        optimizer.load_state_dict(state)
    assert str(raised.value) == message
    assert optimizer.state_dict() == before


def test_a_state_for_another_number_of_parameters_is_refused_by_the_next_step() -> None:
    optimizer = Adam()
    optimizer.load_state_dict(adam_state())
    (parameter,) = values([1], [3])
    with pytest.raises(ValueError, match="Adam: expected the 2 parameters that the loaded state is for, got 1"):
        optimizer.step([parameter])
    assert parameter.data == 1


def blockwise_state(**changes: Any) -> dict[str, Any]:
    return {**Blockwise(SGD(), [values([1]), values([2, 3])]).state_dict(), **changes}


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (None, TypeError, "Blockwise: expected state to be a dict, got NoneType None"),
        (blockwise_state(kind="SGD"), ValueError, "Blockwise: expected state['kind'] to be 'Blockwise', got str 'SGD'"),
        (
            blockwise_state(turn=2),
            ValueError,
            "Blockwise: expected state['turn'] to be below the number of blocks, 2, got 2",
        ),
        (
            blockwise_state(block_sizes=[2, 1]),
            ValueError,
            "Blockwise: expected state['block_sizes'] to be those of the blocks, list [1, 2], got list [2, 1]",
        ),
        (
            blockwise_state(optimizer=Adam().state_dict()),
            ValueError,
            "SGD: expected state['kind'] to be 'SGD', got str 'Adam'",
        ),
    ],
)
def test_case_27_a_damaged_state_of_blocks_is_refused(state: Any, error: type[Exception], message: str) -> None:
    parameters = values([1, 2, 3], [1, 1, 1])
    optimizer = Blockwise(SGD(), [parameters[:1], parameters[1:]])
    optimizer.step(parameters)
    before = optimizer.state_dict()
    with pytest.raises(error) as raised:
        optimizer.load_state_dict(state)
    assert str(raised.value) == message
    assert optimizer.state_dict() == before


def test_case_27_settings_that_do_not_go_together_are_refused() -> None:
    state = SGD(momentum=0.9, nesterov=True).state_dict()
    state["settings"]["momentum"] = 0
    with pytest.raises(ValueError, match="SGD: expected a momentum above 0 and a dampening of 0 with nesterov=True"):
        SGD().load_state_dict(state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"kind": "Constant"}, "schedule_from_state: expected state to have the keys kind, learning_rate,"),
        ({"kind": "Constant", "learning_rate": -1}, "Constant: expected learning_rate to be a finite number"),
        (
            LinearWarmup(0.1, 3).state_dict() | {"then": LinearWarmup(0.1, 3).state_dict()},
            "expected state['then'] to be no warm-up in its turn",
        ),
        (LinearWarmup(0.1, 3).state_dict() | {"then": {}}, "expected state to be that of a Constant"),
        ([], "expected state to be that of a Constant"),
        ({"kind": []}, "expected state to be that of a Constant"),
    ],
)
def test_case_27_a_damaged_state_of_a_schedule_is_refused(state: Any, message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # the message is compared below
        schedule_from_state(state)
    assert message in str(raised.value)


# Wrong arguments


def call(function: Any, *arguments: Any, **settings: Any) -> Callable[[], Any]:
    """The call, for later; type checkers do not see what is wrong with it."""
    return lambda: function(*arguments, **settings)


def no_rate(step: int) -> Any:
    return None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (call(Adam, -1), ValueError, "Adam: expected learning_rate to be a finite number of 0 or more, got -1.0"),
        (
            call(SGD, 10**400),
            ValueError,
            "SGD: expected learning_rate to be a number below 1.8e308, got an integer beyond it",
        ),
        (call(AdamW, "1"), TypeError, "AdamW: expected learning_rate to be a number, got str '1'"),
        (call(SGD, float), TypeError, "SGD: expected learning_rate to be a number, got type <class 'float'>"),
        (call(SGD, momentum=1), ValueError, "SGD: expected momentum to be a number from 0 to below 1, got 1.0"),
        (call(SGD, momentum=-0.1), ValueError, "SGD: expected momentum to be a number from 0 to below 1, got -0.1"),
        (call(SGD, dampening=1.1), ValueError, "SGD: expected dampening to be a number from 0 to 1, got 1.1"),
        (
            call(SGD, nesterov=True),
            ValueError,
            "SGD: expected a momentum above 0 and a dampening of 0 with nesterov=True,"
            " got momentum=0.0 and dampening=0.0",
        ),
        (
            call(SGD, momentum=0.9, dampening=0.1, nesterov=True),
            ValueError,
            "SGD: expected a momentum above 0 and a dampening of 0 with nesterov=True,"
            " got momentum=0.9 and dampening=0.1",
        ),
        (call(SGD, momentum=0.9, nesterov=1), TypeError, "SGD: expected nesterov to be True or False, got int 1"),
        (
            call(SGD, weight_decay=-1),
            ValueError,
            "SGD: expected weight_decay to be a finite number of 0 or more, got -1.0",
        ),
        (call(SGD, clip_norm=0), ValueError, "SGD: expected clip_norm to be a finite number above 0, got 0.0"),
        (
            call(Adam, clip_value=math.nan),
            ValueError,
            "Adam: expected clip_value to be a finite number above 0, got nan",
        ),
        (
            call(Adam, betas=(0.9, 1)),
            ValueError,
            "Adam: expected betas[1] to be a number from 0 to below 1, got 1.0",
        ),
        (call(Adam, betas=(-1, 0)), ValueError, "Adam: expected betas[0] to be a number from 0 to below 1, got -1.0"),
        (
            call(Adam, betas=0.9),
            TypeError,
            "Adam: expected betas to be a pair of numbers from 0 to below 1, got float 0.9",
        ),
        (call(Adam, epsilon=0), ValueError, "Adam: expected epsilon to be a finite number above 0, got 0.0"),
        (call(StepDecay, 0.1, 0), ValueError, "StepDecay: expected every to be a positive int, got 0"),
        (call(StepDecay, 0.1, 2.0), TypeError, "StepDecay: expected every to be a positive int, got float 2.0"),
        (
            call(ExponentialDecay, 0.1, 1.1),
            ValueError,
            "ExponentialDecay: expected factor to be a number above 0, at most 1, got 1.1",
        ),
        (
            call(CosineDecay, 0.1, 5, -1),
            ValueError,
            "CosineDecay: expected end to be a finite number of 0 or more, got -1.0",
        ),
        (
            call(InverseTimeDecay, 0.1, -1),
            ValueError,
            "InverseTimeDecay: expected decay to be a finite number of 0 or more, got -1.0",
        ),
        (
            call(LinearWarmup, 0.1, 5, 0),
            ValueError,
            "LinearWarmup: expected start_factor to be a number above 0, at most 1, got 0.0",
        ),
        (
            call(LinearWarmup, -0.1, 5),
            ValueError,
            "LinearWarmup: expected then to be a finite number of 0 or more, got -0.1",
        ),
        (
            call(LinearWarmup, LinearWarmup(0.1, 5), 5),
            TypeError,
            "LinearWarmup: expected then to be a number or a schedule other than a warm-up,"
            " got LinearWarmup LinearWarmup(...0.1), steps=5)",
        ),
        (call(Constant(0.1), -1), ValueError, "Constant: expected step to be an int from 0 to 2**53, got -1"),
        (call(Constant(0.1), 0.5), TypeError, "Constant: expected step to be an int of 0 or more, got float 0.5"),
        (
            call(SGD(lambda step: -1.0).step, [Value(1)]),
            ValueError,
            "SGD: expected learning_rate(0) to be a finite number of 0 or more, got -1.0",
        ),
        (
            call(SGD(no_rate).step, [Value(1)]),
            TypeError,
            "SGD: expected learning_rate(0) to be a number, got NoneType None",
        ),
        (
            call(clip_grad_norm, [Value(1)], -1),
            ValueError,
            "clip_grad_norm: expected max_norm to be a number above 0, got -1.0",
        ),
        (
            call(clip_grad_norm, [Value(1)], 1, 0),
            ValueError,
            "clip_grad_norm: expected norm_type to be a number above 0, got 0.0",
        ),
        (
            call(clip_grad_value, [Value(1)], math.nan),
            ValueError,
            "clip_grad_value: expected clip_value to be a number above 0, got nan",
        ),
        (
            call(clip_grad_value, Value(1), 1),
            TypeError,
            "clip_grad_value: expected parameters, as in model.parameters(), got Value Value(data=1.0, grad=0.0)",
        ),
        (
            call(Adam().step, MLP(1, [1], init="ones")),
            TypeError,
            "Adam: expected parameters, as in model.parameters(), got MLP MLP(1, [1], activation=relu)",
        ),
        (
            call(Adam().step, [1.0]),
            TypeError,
            "Adam: expected parameters to be a list of Values, got list [1.0]",
        ),
        (
            call(Adam().step, [[Value(1)]]),
            TypeError,
            "Adam: expected parameters to be a list of Values, got list [[Value(data=1.0, grad=0.0)]]",
        ),
        (
            call(Blockwise, MLP, []),
            TypeError,
            "Blockwise: expected optimizer to be one as SGD(0.01) is, got type <class 'nn.modules.MLP'>",
        ),
        (
            call(Blockwise, SGD(), []),
            ValueError,
            "Blockwise: expected blocks to be a list of modules or of lists of parameters, got none",
        ),
        (
            call(Blockwise, SGD(), "layer"),
            TypeError,
            "Blockwise: expected blocks to be a list of modules or of lists of parameters, as model.layers is,"
            " got str 'layer'",
        ),
        (
            call(Blockwise, SGD(), [Value(1)]),
            TypeError,
            "Blockwise: expected blocks to be a list of modules or of lists of parameters,"
            " got Value Value(data=1.0, grad=0.0) in blocks[0]",
        ),
        (
            call(Blockwise, SGD(), [[Value(1)], [2.0]]),
            TypeError,
            "Blockwise: expected blocks to be a list of modules or of lists of parameters, got float 2.0 in blocks[1]",
        ),
        (
            call(Blockwise, SGD(), [Module()]),
            ValueError,
            "Blockwise: expected blocks to be a list of modules or of lists of parameters,"
            " got one without parameters in blocks[0]",
        ),
        (
            call(Blockwise(SGD(), [[Value(1)]]).step, [Value(1)]),
            ValueError,
            "Blockwise: expected the parameters of blocks[0] among those of the step,"
            " got 1 parameter with 1 missing: are they of another model?",
        ),
        (
            call(Blockwise(SGD(), [[Value(1)]]).step, 3),
            TypeError,
            "Blockwise: expected parameters, as in model.parameters(), got int 3",
        ),
    ],
)
def test_case_22_wrong_arguments(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        make()
    assert str(raised.value) == message


def test_the_optimizer_without_arithmetic_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="update"):
        GradientOptimizer(0.1)  # type: ignore[abstract]


def test_case_22_a_parameter_in_two_blocks() -> None:
    (shared,) = values([1])
    with pytest.raises(ValueError, match=r"each parameter in one block, got Value .* in blocks\[0\] and blocks\[1\]"):
        Blockwise(SGD(), [[shared], [shared]])


def test_case_22_an_optimizer_that_has_made_steps_gets_no_blocks() -> None:
    (parameter,) = values([1])
    optimizer = SGD()
    optimizer.step([parameter])
    with pytest.raises(ValueError, match="expected optimizer to be a new one, got one that has made 1 step"):
        Blockwise(optimizer, [[parameter]])


@pytest.mark.parametrize("setting", ["learning_rate", "betas", "epsilon", "weight_decay", "clip_norm"])
def test_case_22_a_wrong_assignment_changes_nothing(setting: str) -> None:
    optimizer = Adam(0.1)
    before = getattr(optimizer, setting)
    with pytest.raises(ValueError, match=f"Adam: expected {setting}"):
        setattr(optimizer, setting, (-1, -1) if setting == "betas" else -1)
    assert getattr(optimizer, setting) == before


def test_case_22_a_rate_of_ones_own_that_fails_moves_nothing() -> None:
    parameters = values([1], [1])
    optimizer = SGD(lambda step: math.nan)
    with pytest.raises(ValueError, match="got nan"):
        optimizer.step(parameters)
    assert numbers(parameters) == [1]
    assert optimizer.step_count == 0

"""`Blockwise`: one block of the parameters a step, the blocks in turn."""

from collections.abc import Iterable, Mapping
from typing import Any

from autograd_mini import Value
from nn.checks import describe, plural
from nn.clipping import parameters_and_gradients
from nn.modules import Module
from nn.optimizers import GradientOptimizer
from nn.settings import check_keys, count


class Blockwise:
    """Let an optimizer move one block of parameters a step: the first block, the second, … and round again.

    The sources train "on all the parameters at once or block-wise by layers or nodes" (nonlinear-least-squares, first
    comment). In turn means that every block is moved by the gradient at the place where the blocks before it have
    led, so that K blocks take K gradients, and K epochs of `fit`, a round.

    optimizer: SGD, Adam or another `GradientOptimizer` that has made no step yet. Momentum and the like are kept for
    each parameter, and rest while it is not its turn; a schedule counts the steps of all blocks together; a clipped
    norm is that of one block.
    blocks: modules or lists of parameters, no parameter in two of them. What is in none of them is never moved.

    By layer, and by neuron:

        Blockwise(SGD(0.1), model.layers)
        Blockwise(SGD(0.1), [neuron for layer in model.layers for neuron in layer.neurons])

    Raises ValueError or TypeError that names the argument.
    """

    def __init__(self, optimizer: GradientOptimizer, blocks: Iterable[Module | Iterable[Value]]) -> None:
        if not isinstance(optimizer, GradientOptimizer):
            raise TypeError(f"Blockwise: expected optimizer to be one as SGD(0.01) is, got {describe(optimizer)}")
        if optimizer.step_count:
            steps = plural(optimizer.step_count, "step")
            raise ValueError(f"Blockwise: expected optimizer to be a new one, got one that has made {steps}")
        self.blocks = _check_blocks(blocks)
        self.optimizer = optimizer
        self.turn = 0
        optimizer.know([parameter for block in self.blocks for parameter in block])

    def step(self, parameters: Iterable[Value], /) -> None:
        """Move the block whose turn it is, given the gradients of all.

        Raises ValueError if the block is no part of the parameters, as where they are those of another model, and
        TypeError if they are no list of `Value`s.
        """
        found, _ = parameters_and_gradients(parameters, "Blockwise")
        block = self.blocks[self.turn]
        missing = len(set(block).difference(found))
        if missing:
            raise ValueError(
                f"Blockwise: expected the parameters of blocks[{self.turn}] among those of the step,"
                f" got {plural(len(block), 'parameter')} with {missing} missing: are they of another model?"
            )
        self.optimizer.step(block)
        self.turn = (self.turn + 1) % len(self.blocks)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, whose turn it is, and the sizes of the blocks, as a dict that JSON can hold."""
        return {
            "kind": "Blockwise",
            "optimizer": self.optimizer.state_dict(),
            "turn": self.turn,
            "block_sizes": self._sizes(),
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go on where the one that gave the state stood, bit for bit.

        Raises ValueError or TypeError for anything but a state of blocks of these sizes and an optimizer of this
        kind, before anything is changed.
        """
        where = "Blockwise: expected state"
        checked = check_keys(state, where, ("kind", "optimizer", "turn", "block_sizes"))
        if checked["kind"] != "Blockwise":
            raise ValueError(f"{where}['kind'] to be 'Blockwise', got {describe(checked['kind'])}")
        if checked["block_sizes"] != self._sizes():
            raise ValueError(
                f"{where}['block_sizes'] to be those of the blocks, {describe(self._sizes())},"
                f" got {describe(checked['block_sizes'])}"
            )
        turn = count(checked["turn"], f"{where}['turn']")
        if turn >= len(self.blocks):
            raise ValueError(f"{where}['turn'] to be below the number of blocks, {len(self.blocks)}, got {turn}")
        self.optimizer.load_state_dict(checked["optimizer"])
        self.turn = turn

    def _sizes(self) -> list[int]:
        return [len(block) for block in self.blocks]

    def __repr__(self) -> str:
        return f"Blockwise({self.optimizer!r}, {plural(len(self.blocks), 'block')})"


def _check_blocks(blocks: Any) -> list[list[Value]]:
    expected = "Blockwise: expected blocks to be a list of modules or of lists of parameters"
    if isinstance(blocks, (str, bytes)) or not isinstance(blocks, Iterable):
        raise TypeError(f"{expected}, as model.layers is, got {describe(blocks)}")
    checked = [_check_block(block, f"{expected}, got", place) for place, block in enumerate(blocks)]
    if not checked:
        raise ValueError(f"{expected}, got none")
    found: dict[Value, int] = {}
    for place, block in enumerate(checked):
        for parameter in block:
            if parameter in found:
                raise ValueError(
                    f"Blockwise: expected each parameter in one block, got {describe(parameter)}"
                    f" in blocks[{found[parameter]}] and blocks[{place}]"
                )
            found[parameter] = place
    return checked


def _check_block(block: Any, expected: str, place: int) -> list[Value]:
    parameters = block.parameters() if isinstance(block, Module) else block
    if isinstance(parameters, Value) or not isinstance(parameters, Iterable):
        raise TypeError(f"{expected} {describe(block)} in blocks[{place}]")
    checked = list(parameters)
    for parameter in checked:
        if not isinstance(parameter, Value):
            raise TypeError(f"{expected} {describe(parameter)} in blocks[{place}]")
    if not checked:
        raise ValueError(f"{expected} one without parameters in blocks[{place}]")
    return checked

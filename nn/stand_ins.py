"""Targets that are `Value`s: while `fit` traces a loss, they stand for the numbers of any sample.

A loss that looks at its targets in Python, to see which class it is for instance, would fix what it saw. So it asks
here for what it needs of them, as numbers: those are computed from the data before the training.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from autograd_mini import Value


@dataclass(frozen=True)
class Column:
    """A number of every sample: one of its target, or a function of that."""

    place: int
    """Which of the target's numbers, left to right."""
    number: int
    """Counts the numbers and the functions of them that a loss takes."""
    function: Callable[[float], float] = field(compare=False)


class StandIns:
    """The leaves that stand for the targets of one sample, and for what a loss has asked to know of them."""

    def __init__(self, targets: Mapping[Value, float]) -> None:
        self._examples = dict(targets)
        self.columns = {leaf: Column(place, place, float) for place, leaf in enumerate(targets)}
        """What each leaf stands for."""

    def derive(self, function: Callable[[float], float], target: Value) -> Value:
        """A new leaf for a function of a target."""
        leaf = Value(function(self._examples[target]))
        self.columns[leaf] = Column(self.columns[target].place, len(self.columns), function)
        return leaf


_known: ContextVar[Mapping[Value, StandIns]] = ContextVar("known")


@contextmanager
def standing_in(samples: list[StandIns]) -> Iterator[None]:
    """A block in which the losses of nn take the leaves of these as targets."""
    token = _known.set({leaf: sample for sample in samples for leaf in sample.columns})
    try:
        yield
    finally:
        _known.reset(token)


def is_stand_in(target: object) -> bool:
    """Whether it stands for a target that is checked before the training."""
    return isinstance(target, Value) and target in _known.get({})


def derived(function: Callable[[float], float], target: Value | float) -> Value | float:
    """function(target); where the target is a leaf that stands for one, a leaf that stands for that."""
    return _known.get()[target].derive(function, target) if isinstance(target, Value) else function(target)

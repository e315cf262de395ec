"""The buffers of an executor serve one call at a time: the calls of several threads take turns."""

from autograd_mini.fair_lock import FairLock


def lock_of_buffers() -> FairLock:
    """A lock for the calls of an executor: one within another would overwrite what that computes with."""
    return FairLock("compiled: a finalizer or signal handler called what its thread was running, or a row did")

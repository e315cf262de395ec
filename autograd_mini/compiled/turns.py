"""The buffers of an executor serve one call at a time: the calls of several threads take turns."""

from threading import RLock


def refuse_reentry(lock: RLock) -> None:
    """Raise RuntimeError where this thread holds the lock: it would overwrite what it is computing with."""
    if lock._is_owned():  # type: ignore[attr-defined]
        raise RuntimeError("compiled: a finalizer or signal handler called what its thread was running, or a row did")

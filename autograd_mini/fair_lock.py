"""`FairLock`: whoever walks a graph, or uses its gradients, takes turns by it."""

import threading


class FairLock(type(threading.RLock())):  # type: ignore[misc]
    """A lock that goes to who waits for it before the thread that has just given it back.

    A plain one goes to who asks first, and a thread that does nothing but walk graphs asks again before another has
    woken up: that one would wait for seconds. It is given back by the C code of the class that this one is made of, so
    that Ctrl-C cannot come between.
    """

    def __init__(self) -> None:
        self.turn = threading.RLock()
        """Held by who waits for the lock: who comes later waits for this."""

    def __enter__(self) -> bool:
        """Raise RuntimeError where this thread holds it: the chains of a walk have no room for a second one."""
        if self._is_owned():
            raise RuntimeError(
                "backward: a finalizer or signal handler walked a graph or used a gradient "
                "while its thread was walking one"
            )
        try:
            with self.turn:
                self.acquire()
        except BaseException:  # Ctrl-C, which may strike when it has just been acquired
            if self._is_owned():
                self.release()
            raise
        return True

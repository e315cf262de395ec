"""`FairLock`: threads take turns by it, with graphs and with what is compiled."""

import threading


class FairLock(type(threading.RLock())):  # type: ignore[misc]
    """A lock that goes to who waits for it before the thread that has just given it back.

    A plain one goes to who asks first, and a thread that does nothing but walk graphs asks again before another has
    woken up: that one would wait for seconds. It is given back by the C code of the class that this one is made of, so
    that Ctrl-C cannot come between.

    refusal: what is said where a block of it is entered by the thread that holds it, as a finalizer or a signal handler
    may do.
    """

    def __init__(self, refusal: str) -> None:
        self._refusal = refusal
        self.turn = threading.RLock()
        """Held by who waits for the lock: who comes later waits for this."""

    def __enter__(self) -> bool:
        """Raise RuntimeError where this thread holds it: what is half done has no room for a second time."""
        if self._is_owned():
            raise RuntimeError(self._refusal)
        try:
            with self.turn:
                self.acquire()
        except BaseException:  # Ctrl-C, which may strike when it has just been acquired
            if self._is_owned():
                self.release()
            raise
        return True

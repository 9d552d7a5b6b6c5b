"""Fair turns on the cores: with more sessions than cores, those that wait run in the order in which they came.

Left to the system, a thread that has just run is often the next to run again, and a slow lane waits for many turns of a fast one.
"""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Turns are a courtesy: when a run hangs, the others wait no longer than this and go without.
_LONGEST_S = 10.0


def own_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Turns:
    """places: how many run at once, None: the cores of this process. Any thread may ask for a turn; a thread holds one at a time."""

    def __init__(self, places: int | None = None, *, longest_s: float = _LONGEST_S) -> None:
        self._free = own_cores() if places is None else places
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits for a place and gives it to whoever came first after."""
        held = self._take()
        try:
            yield
        finally:
            if held:
                self._give()

    @property
    def free(self) -> int:
        return self._free

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _take(self) -> bool:
        """Whether a place was had; False: the wait was too long."""
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return True
            called = threading.Lock()
            called.acquire()
            self._waiting.append(called)
        came = False
        try:
            came = called.acquire(timeout=self._longest_s)
        finally:
            if not came:
                came = self._leave(called)
        return came

    def _leave(self, called: threading.Lock) -> bool:
        """Out of the queue; whether the place came in just this moment."""
        with self._lock:
            if called in self._waiting:
                self._waiting.remove(called)
                return False
        return True

    def _give(self) -> None:
        """The place goes from hand to hand: nobody who comes later can take it before."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

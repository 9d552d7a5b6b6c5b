"""How long a source was alive: open, and its newest record no older than the stall time. Fed by the capture thread, read at each tick."""

import threading


class Liveness:
    """A record at time a keeps the source alive until a + stall; closing it ends that at once."""

    def __init__(self, stall_s: float, now_us: int) -> None:
        self._lock = threading.Lock()
        self._stall_us = round(stall_s * 1e6)
        self._from_us = now_us
        self._until_us = now_us
        self._alive_us = 0
        self._counted_us = now_us

    def arrived(self, now_us: int) -> None:
        with self._lock:
            if now_us > self._until_us:
                self._alive_us += self._until_us - self._from_us
                self._from_us = now_us
            self._until_us = max(self._until_us, now_us + self._stall_us)

    def closed(self, now_us: int) -> None:
        with self._lock:
            self._until_us = max(self._from_us, min(self._until_us, now_us))

    def take(self, now_us: int) -> int:
        """Microseconds alive since the last call, never more than have passed."""
        with self._lock:
            until_us = min(self._until_us, now_us)
            alive_us = self._alive_us + max(0, until_us - self._from_us)
            taken_us = max(0, min(alive_us, now_us - self._counted_us))
            self._alive_us = (
                alive_us - taken_us
            )  # a lane that was held counts second after second what has passed meanwhile
            self._from_us = max(self._from_us, until_us)
            self._counted_us = now_us
            return taken_us

    def next_end(self, next_us: int, last_us: int) -> int:
        """Where the next tick ends, of whole seconds from next_us to last_us that have passed: each in which the source was alive has its own, so
        that it counts in its own window; a time without (a lane that was blind, a machine that slept) is one.
        """
        with self._lock:
            if self._alive_us > 0 or max(self._from_us, self._counted_us) < min(self._until_us, next_us):
                return next_us
            again_us = self._from_us - self._from_us % 1_000_000 if self._from_us < self._until_us else last_us
            return max(next_us, min(again_us, last_us))

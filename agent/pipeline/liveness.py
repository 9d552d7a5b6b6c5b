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
            self._alive_us = 0
            self._from_us = max(self._from_us, until_us)
            passed_us = now_us - self._counted_us
            self._counted_us = now_us
            return max(0, min(alive_us, passed_us))

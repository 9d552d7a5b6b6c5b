"""A clock that tests move. It implements `agent.clock.Clock`: boot time stands still until `advance`; `wait` advances it instead of sleeping.

clock = ManualClock(boot_us=5_000_000, utc="2026-11-24T03:00:00Z")
clock.advance(1.5)
clock.step_utc(-90)          # the wall clock is set back; boot time is not touched
clock.lose_utc()             # a board without time
"""

import threading
from datetime import datetime

from agent.clock import Reading


class ManualClock:
    def __init__(
        self, boot_us: int = 0, utc: str = "2026-11-24T03:00:00Z", boot: str = "boot-one", error_ms: int = 1
    ) -> None:
        self._lock = threading.Lock()
        self._boot_us = boot_us
        self._boot_id = boot
        self._offset_us = round(datetime.fromisoformat(utc).timestamp() * 1e6) - boot_us
        self.source = "ntp"
        self.error_ms = error_ms

    def advance(self, seconds: float) -> None:
        with self._lock:  # several threads may wait: none may put the time back
            self._boot_us += round(seconds * 1e6)

    def step_utc(self, seconds: float) -> None:
        self._offset_us += round(seconds * 1e6)

    def lose_utc(self) -> None:
        self.source = "none"

    def boot_us(self) -> int:
        return self._boot_us

    def boot_ns(self) -> int:
        return self._boot_us * 1000

    def boot_id(self) -> str:
        return self._boot_id

    def reading(self) -> Reading:
        return Reading(at_us=self._boot_us, utc_offset_us=self._offset_us, source=self.source, error_ms=self.error_ms)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if not event.is_set():
            self.advance(seconds)
        return event.is_set()

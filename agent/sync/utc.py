"""UTC for what is asked at every message: asking the system costs more than sending one, so it is asked once a second."""

from agent.clock import Clock, Reading

_READING_US = 1_000_000


class Utc:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reading: Reading | None = None

    def now_us(self) -> int | None:
        """None when it is not known."""
        boot_us = self._clock.boot_us()
        if self._reading is None or boot_us - self._reading.at_us >= _READING_US:
            self._reading = self._clock.reading()
        return boot_us + self._reading.utc_offset_us if self._reading.known else None

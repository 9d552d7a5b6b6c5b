"""What the device says of itself (status, birth, ledger) and the broker did not take: it is said again, after a pause that doubles."""

import logging

from agent.clock import Clock
from agent.log import fact
from agent.sync import refusals

FIRST_US, LONGEST_US = 5_000_000, 900_000_000

log = logging.getLogger(__name__)


class Again:
    """Of one connection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: dict[int, str] = {}  # packet id → topic
        self._refused: dict[str, int] = {}  # topic → reason code
        self._wait_us = FIRST_US
        self._due_us: int | None = None

    def sent(self, mid: int, topic: str) -> None:
        self._sent[mid] = topic

    def answered(self, mid: int, code: int) -> None:
        """A PUBACK."""
        topic = self._sent.pop(mid, None)
        if topic is None:
            return
        if code < refusals.FAILURE:
            self._refused.pop(topic, None)
            if not self._refused:
                self._wait_us, self._due_us = FIRST_US, None
            return
        if self._refused.get(topic) != code:
            log.warning(fact("refused by the broker", topic=topic, code=f"0x{code:02X}"))
        self._refused[topic] = code
        if self._due_us is None:
            self._due_us = self._clock.boot_us() + self._wait_us
            self._wait_us = min(self._wait_us * 2, LONGEST_US)

    def due(self) -> list[str]:
        """Topics whose message is to be said again now; each time it is asked for it is told once."""
        if self._due_us is None or self._clock.boot_us() < self._due_us:
            return []
        self._due_us = None
        return list(self._refused)

    @property
    def ails(self) -> str | None:
        for topic, code in self._refused.items():
            return refusals.message(topic, code)
        return None

"""When birth is published: at each connect and when it has changed, but what changes all the time ever more rarely, down to once in `longest_s`:
a lane that is started again and again would otherwise cost a data plan gigabytes a year.
"""

import logging
from collections.abc import Callable

from agent.clock import Clock
from agent.log import fact
from agent.messages.birth import Birth, digest
from agent.messages.envelope import encode

BIRTH_US = 5_000_000  # between two looks

log = logging.getLogger(__name__)


class Births:
    """Of one connection. birth: makes one as of now."""

    def __init__(self, birth: Callable[[], Birth], clock: Clock, *, longest_s: float) -> None:
        self._birth = birth
        self._clock = clock
        self._longest_us = round(longest_s * 1e6)
        self._digest = ""
        self._wait_us = BIRTH_US
        self._due_us = self._said_us = 0

    def again(self) -> None:
        """It is published again, changed or not."""
        self._digest, self._due_us = "", 0

    def take(self) -> bytes | None:
        """What is to be published now."""
        now_us = self._clock.boot_us()
        if now_us < self._due_us:
            return None
        try:
            birth = self._birth()
        except Exception as error:  # noqa: BLE001  # what the agent says of itself must not hold up what it measured
            log.warning(fact("no birth", error=f"{type(error).__name__}: {error}"))
            self._due_us = now_us + self._longest_us
            return None
        found = digest(birth)
        if found == self._digest:
            if now_us - self._said_us >= self._longest_us:
                self._wait_us = BIRTH_US
            self._due_us = now_us + BIRTH_US
            return None
        self._digest, self._said_us, self._due_us = found, now_us, now_us + self._wait_us
        self._wait_us = min(2 * self._wait_us, self._longest_us)
        return encode(birth)

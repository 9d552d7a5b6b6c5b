"""The data budget's time: which month, day and hour it is for what was spent. No jump of a clock brings a spent month back.

slow      believes a leap forward only after a day of running (store/trusted.py), and never runs backwards. Days and hours are its.
greatest  the greatest UTC ever known. Its month is charged, too: after a night without power the slow one is behind for a day.
undated   while this boot has had no good reading, bytes are kept apart as well: they count in the month that is known later.
"""

import msgspec

from agent.clock import Clock
from agent.store import spending
from agent.store.writer import Store
from agent.sync import periods

_AGREE_US = 900_000_000


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """Where the slow clock stood: utc_us at boot time at_us of a boot; None before any time was known."""

    boot: int = 0
    at_us: int = 0
    utc_us: int | None = None


class PeriodClock:
    def __init__(self, store: Store, clock: Clock, slow: Slow) -> None:
        self._store = store
        self._clock = clock
        self.slow = slow
        self._greatest_us: int | None = None  # at slow.at_us
        self.dated = False
        self.look()

    def look(self) -> bool:
        """Asks the store what time it is. True when this boot has just learnt it."""
        now_us = self._clock.boot_us()
        with self._store.read() as connection:
            time = spending.time(connection, self._store.boot, now_us)
        known = [one for one in (self.utc_us(now_us), time.settled_us) if one is not None]
        self.slow = Slow(boot=self._store.boot, at_us=now_us, utc_us=max(known, default=None))
        self._greatest_us = time.greatest_us
        learnt, self.dated = time.dated and not self.dated, time.dated
        return learnt

    def utc_us(self, now_us: int | None = None) -> int | None:
        """The slow clock now. In another boot it goes on from where it stood: at least so much time has passed."""
        if self.slow.utc_us is None:
            return None
        now_us = self._clock.boot_us() if now_us is None else now_us
        return self.slow.utc_us + (max(0, now_us - self.slow.at_us) if self.slow.boot == self._store.boot else 0)

    def agreed_us(self) -> int | None:
        """UTC where both clocks agree on it and this boot knows it, else None."""
        utc_us, greatest_us = self.utc_us(), self._greatest_now_us()
        if not self.dated or utc_us is None or greatest_us is None or abs(greatest_us - utc_us) > _AGREE_US:
            return None
        return utc_us

    def now(self) -> periods.Periods:
        return periods.periods(self.utc_us())

    def months(self, now: periods.Periods) -> list[str]:
        """All that are charged."""
        found = [now.month]
        greatest_us = self._greatest_now_us()
        if greatest_us is not None:
            found.append(periods.month_of(greatest_us))
        if not self.dated:
            found.append(periods.UNDATED + now.month)
        return list(dict.fromkeys(found))

    def _greatest_now_us(self) -> int | None:
        if self._greatest_us is None:
            return None
        return self._greatest_us + max(0, self._clock.boot_us() - self.slow.at_us)

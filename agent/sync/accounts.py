"""How much may still go: the month's, the day's and the hour's buckets, by what was spent in each. A pure sum; it asks no clock and no store.

month  the cap, less what was spent, less what the last words need
day    what is left of the month, over the days that are left, at most twice an even day
hour   a 24th of the day, three times over: so a burst is no quarter of a day
"""

from collections.abc import Iterable, Mapping

from agent.store.spending import Spent
from agent.sync import kinds
from agent.sync.periods import UNDATED, Periods

EVENT_SHARE, CONTROL_SHARE, RESEND_SHARE = 0.15, 0.05, 0.10
# Kept for hours by what comes after them, and of an hour's bucket for live windows by what is late.
HOURS_SHARE, LIVE_SHARE = 0.05, 0.25
# A day may be twice an even one; an hour three of its 24 parts.
DAY_BURST, HOUR_BURST = 2, 3
_LATE = (kinds.RESEND, kinds.BACK_HOURS, kinds.BACK_MINUTES, kinds.RESULTS)
_AFTER_HOURS = (kinds.LIVE_MINUTES, kinds.RESEND, kinds.BACK_MINUTES, kinds.RESULTS)


class Accounts:
    """cap: bytes a month. reserve: of it, for the last words. pending: handed over, and perhaps not on the link yet."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.reserve = 0
        self.pending = 0
        self.now = Periods(month="", day="", hour="")
        self.months: tuple[str, ...] = ()
        self.rows: dict[str, Spent] = {}
        self.changed: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """Every row that is charged now."""
        return tuple(dict.fromkeys((*self.months, self.now.day, self.now.hour)))

    def unknown(self, now: Periods, months: Iterable[str]) -> list[str]:
        """Rows that `turn` will need and that are not read yet."""
        wanted = dict.fromkeys((*months, now.month, now.day, now.hour))
        return [name for name in wanted if name not in self.rows]

    def turn(self, now: Periods, months: Iterable[str], rows: Mapping[str, Spent]) -> None:
        """now: whose day and hour are charged. months: all months that are. rows: those that were `unknown`. What is no longer charged and is
        written may be forgotten.
        """
        self.now = now
        self.months = tuple(dict.fromkeys((now.month, *months)))
        self.rows.update(rows)
        for name in [one for one in self.rows if one not in self.names and one not in self.changed]:
            del self.rows[name]

    def charge(self, sent: int, received: int, parts: Mapping[str, int] = {}) -> None:
        for name in self.names:
            self.rows[name] = self.rows[name].plus(sent, received, parts)
            self.changed.add(name)

    def settle_undated(self, undated: Mapping[str, Spent]) -> None:
        """The time became known: what was spent without it counts in the month that it is, too, if it was counted in another. undated: rows
        named `undated MONTH`, after the month that was known last then.
        """
        for name, spent in undated.items():
            for month in self.months:
                if name.removeprefix(UNDATED) != month:
                    self.rows[month] = self.rows[month].plus(spent.sent, spent.received, spent.parts)
                    self.changed.add(month)

    @property
    def month_left(self) -> int:
        """The least of all months that are charged, the last words' reserve included."""
        return min(self.cap - self.rows[name].total for name in self.months) - self.pending

    @property
    def day_bytes(self) -> float:
        """Today's allowance."""
        begun_with = self.month_left + self.pending + self.day.total - self.reserve
        even = self.cap / self.now.days
        return max(0.0, min(begun_with / self.now.days_left, DAY_BURST * even))

    @property
    def day(self) -> Spent:
        return self.rows[self.now.day]

    @property
    def hour(self) -> Spent:
        return self.rows[self.now.hour]

    @property
    def hour_bytes(self) -> float:
        return self.day_bytes / 24 * HOUR_BURST

    @property
    def ratio(self) -> float:
        """What is left against the straight line: the lesser of the day's and the month's."""
        day, passed = self.day_bytes, self.now.day_passed
        if day <= 0:
            return 0.0
        of_day = (day - self.day.total) / (day * max(1 - passed, 1 / 288))
        of_month = (self.month_left - self.reserve) / (self.cap * max(1 - self.now.month_passed, 1 / 744))
        return min(of_day, of_month)

    def room(self, kind: str) -> int:
        """Bytes that may go of this kind now; 0 or less: none."""
        month = self.month_left - self.reserve
        day = self.day_bytes
        left = day - self.day.total - self.pending
        events = max(0.0, EVENT_SHARE * day - self.day.parts.get(kinds.EVENT, 0))
        told = self.day.parts.get(kinds.CONTROL, 0) + self.day.parts.get(kinds.LEDGER, 0)
        control = max(0.0, CONTROL_SHARE * day - told)
        if kind == kinds.EVENT:
            return int(min(month, max(left - control, events)))
        if kind in (kinds.CONTROL, kinds.LEDGER):
            return int(min(month, max(left - events, control)))
        left -= events
        hour = self.hour_bytes - self.hour.total - self.pending
        if kind == kinds.LINK:
            return int(min(month, left, hour))
        left -= control
        if kind in _AFTER_HOURS:
            hours = self.day.parts.get(kinds.LIVE_HOURS, 0) + self.day.parts.get(kinds.LIVE_DAYS, 0)
            left -= max(0.0, HOURS_SHARE * day - hours)
        if kind in _LATE:
            hour -= LIVE_SHARE * self.hour_bytes
        if kind == kinds.RESEND:
            left = min(left, RESEND_SHARE * day - self.day.parts.get(kinds.RESEND, 0))
        return int(min(month, left, hour))

    def room_on_the_line(self) -> int:
        """Bytes that an even day would have spent by now and this one has not, less the reserves."""
        even = (1 - EVENT_SHARE - CONTROL_SHARE) * self.day_bytes * self.now.day_passed
        return int(even - self.day.total - self.pending)

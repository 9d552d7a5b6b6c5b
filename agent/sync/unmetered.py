"""`[budget] unmetered`: hours of UTC ("01:00-05:00") and interfaces ("wlan0") over which nothing is counted."""

import re
from collections.abc import Sequence

from agent.problems import Exit, Problem
from agent.sync.periods import minute_of_day

_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")


class Unmetered:
    """Problem (CONFIG): an entry that is neither."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._hours: list[tuple[int, int]] = []
        self._interfaces: set[str] = set()
        for entry in entries:
            match = _HOURS.fullmatch(entry)
            if match is not None:
                first, last = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
                self._hours.append((first, last))
            elif _INTERFACE.fullmatch(entry) and ":" not in entry:
                self._interfaces.add(entry)
            else:
                raise Problem(
                    where="budget.unmetered",
                    what=f'"{entry}" is neither hours of UTC nor an interface',
                    remedy='Write "01:00-05:00" or "wlan0".',
                    code=Exit.CONFIG,
                )

    def now(self, utc_us: int | None, interface: str | None) -> bool:
        """utc_us: None where no time is sure enough."""
        if interface is not None and interface in self._interfaces:
            return True
        if utc_us is None:
            return False
        minute = minute_of_day(utc_us)
        return any(
            first <= minute < last if first <= last else minute >= first or minute < last for first, last in self._hours
        )

"""What time of the day it is where the device stands, from boot time: rules may hold at some hours only.

It knows what was learned about UTC when the input came, live as in a replay, and asks no clock itself.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from agent.clock import Reading

_DAY_MIN = 24 * 60


class Hours:
    """`note` by who learns the time, `minute` by the lanes. zone: an IANA name. Raises KeyError or ValueError where there is no such zone."""

    def __init__(self, zone: str) -> None:
        self._zone = UTC if zone == "UTC" else ZoneInfo(zone)
        self._offset_us: int | None = None

    def note(self, reading: Reading) -> None:
        if reading.known:
            self._offset_us = reading.utc_offset_us

    def minute(self, at_us: int) -> int | None:
        """Of the local day; None while the time is not known."""
        if self._offset_us is None:
            return None
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us + self._offset_us)
        local = moment.astimezone(self._zone)
        return local.hour * 60 + local.minute


def within(between: tuple[str, str], minute: int) -> bool:
    """From the first time of the day, with it, to the second, without it; over midnight where the second is earlier. Equal: all day."""
    begin, end = (int(text[:2]) * 60 + int(text[3:]) for text in between)
    return (minute - begin) % _DAY_MIN < ((end - begin) % _DAY_MIN or _DAY_MIN)

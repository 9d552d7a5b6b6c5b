"""Months, days and hours of UTC as the data budget counts them."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

import msgspec

# Before any time was known: one row each, never refilled.
NO_MONTH, NO_DAY, NO_HOUR = "none", "none-day", "none-hour"
# Bytes of a boot whose time is not known yet, beside the month that was known last.
UNDATED = "undated "


class Periods(msgspec.Struct, frozen=True, kw_only=True):
    """The names of the rows; days: of the month; days_left: today included; passed: shares of the month and of the day that are over."""

    month: str
    day: str
    hour: str
    days: int = 31
    days_left: int = 31
    month_passed: float = 0.0
    day_passed: float = 0.0


def periods(utc_us: int | None) -> Periods:
    if utc_us is None:
        return Periods(month=NO_MONTH, day=NO_DAY, hour=NO_HOUR)
    now = _moment(utc_us)
    days = monthrange(now.year, now.month)[1]
    day_passed = (now.hour * 3600 + now.minute * 60 + now.second) / 86_400
    return Periods(
        month=f"{now:%Y-%m}",
        day=f"{now:%Y-%m-%d}",
        hour=f"{now:%Y-%m-%dT%H}",
        days=days,
        days_left=days - now.day + 1,
        month_passed=(now.day - 1 + day_passed) / days,
        day_passed=day_passed,
    )


def month_of(utc_us: int) -> str:
    return f"{_moment(utc_us):%Y-%m}"


def next_hour_us(utc_us: int) -> int:
    return (utc_us // 3_600_000_000 + 1) * 3_600_000_000


def next_month_us(utc_us: int) -> int:
    now = _moment(utc_us)
    first = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return (first - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def minute_of_day(utc_us: int) -> int:
    return utc_us // 60_000_000 % 1_440


def _moment(utc_us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_us)

"""UTC as text and back: RFC 3339 with `Z`, from and to whole microseconds since 1970, so that no float ever rounds a time."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def text_ms(utc_us: int) -> str:
    """2026-11-24T03:00:12.310Z: always three decimals, what is smaller is cut off."""
    moment = _EPOCH + timedelta(microseconds=utc_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def text_s(utc_us: int) -> str:
    """2026-11-24T03:00:00Z: no decimals, what is smaller is cut off. Windows begin on whole seconds."""
    return f"{_EPOCH + timedelta(microseconds=utc_us):%Y-%m-%dT%H:%M:%SZ}"


def parse(text: str) -> int:
    """Microseconds since 1970. ValueError for what is no RFC 3339 time or has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or len(text) < len("2026-11-24T03:00:00Z"):
        raise ValueError(f"{text!r} has no zone: write it as 2026-11-24T03:00:00Z")
    return (moment - _EPOCH) // _MICROSECOND

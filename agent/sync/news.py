"""Whether an item is still news: an event for a day, a summary for twice its grain after its end. What is none goes on `back/`."""

import msgspec

from agent.messages import times
from agent.sync import kinds

LIVE_EXPIRY_S = 86_400
EVENT_LIVE_US = LIVE_EXPIRY_S * 1_000_000


class _When(msgspec.Struct):
    """What an item's body says about its time: window, event, or (others have neither) when it was made."""

    at: str = ""
    w: tuple[str, int] | None = None
    t: str | tuple[str, str | None] | None = None
    mono: tuple[int | None, int | None] | None = None


def is_news(body: bytes, stream: str, utc_us: int | None) -> bool:
    """utc_us: now; without a time nothing is news."""
    if utc_us is None or kinds.is_results(stream):
        return False
    try:
        when = msgspec.json.decode(body, type=_When)
        if when.t is not None:
            return utc_us - times.parse(when.t if isinstance(when.t, str) else when.t[0]) <= EVENT_LIVE_US
        if when.w is not None:
            end_us = times.parse(when.w[0]) + when.w[1] * 1_000_000
            return utc_us - end_us <= 2 * when.w[1] * 1_000_000
        # What was made without a time may tell of a boot long ago.
        return when.mono is None and utc_us - times.parse(when.at) <= EVENT_LIVE_US
    except (msgspec.DecodeError, ValueError):
        return False

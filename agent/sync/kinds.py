"""What a message is for, in the order in which messages go, and which of them go in which state of the data budget."""

from typing import Final

from agent.messages.envelope import grain_seconds

CONTROL: Final = "control"  # status, birth, answers
EVENT: Final = "event"
LIVE_DAYS: Final = "live_days"
LIVE_HOURS: Final = "live_hours"
LIVE_MINUTES: Final = "live_minutes"
LEDGER: Final = "ledger"  # ledger, health, audit
RESEND: Final = "resend"
BACK_HOURS: Final = "back_hours"
BACK_MINUTES: Final = "back_minutes"
RESULTS: Final = "results"
LINK: Final = "link"  # connecting, pings and what else no message explains

ORDER: Final = (CONTROL, EVENT, LIVE_DAYS, LIVE_HOURS, LIVE_MINUTES, LEDGER, RESEND, BACK_HOURS, BACK_MINUTES, RESULTS)
HOUR_S, DAY_S = 3_600, 86_400


def kind_of(stream: str, *, live: bool) -> str:
    """Of an item of this stream, going out on `live/` or on `back/`."""
    first = stream.partition("/")[0]
    if first == "event":
        return EVENT
    if first == "result":
        return RESULTS
    grain_s = summary_grain_s(stream)
    if grain_s is None:
        return LEDGER
    if grain_s >= DAY_S:
        return LIVE_DAYS
    if grain_s >= HOUR_S:
        return LIVE_HOURS if live else BACK_HOURS
    return LIVE_MINUTES if live else BACK_MINUTES


def summary_grain_s(stream: str) -> int | None:
    """Seconds of a summary stream's windows; None for other streams."""
    words = stream.split("/")
    if words[0] != "summary" or len(words) != 3:
        return None
    try:
        return grain_seconds(words[2])
    except ValueError:
        return None


def is_fine(stream: str) -> bool:
    """Detail that is kept back first: windows shorter than an hour, and single results."""
    grain_s = summary_grain_s(stream)
    return is_results(stream) or (grain_s is not None and grain_s < HOUR_S)


def is_results(stream: str) -> bool:
    return stream.startswith("result/")


def is_hours(stream: str) -> bool:
    grain_s = summary_grain_s(stream)
    return grain_s is not None and HOUR_S <= grain_s < DAY_S

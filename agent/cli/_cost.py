"""What `check` says of a month's data: a line a stream, the sum, and what a data budget makes of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config.forecast import Forecast

_STATES = {
    "full": "all of it goes as it happens",
    "lean": "all of it goes as it happens, health and ledgers less often",
    "coarse": "hours go as they happen; what is shorter is held, goes late in batches as far as there is room, and can be asked for",
    "critical": "events and days go as they happen; hours do not fit, they are held, too, and go late as far as there is room",
    "closed": "it does not even hold connecting, pings and ledgers: the device would be silent for most of the month",
}


def lines(forecast: "Forecast") -> Iterator[str]:
    yield f"cost     by forecast {size(forecast.bytes)} in a month of 30 days, and {size(forecast.event_bytes)} each time an event starts or ends"
    for row in forecast.rows:
        plan = f"  {row.plan}" if row.plan is not None else ""
        yield f"  {row.name:28} {row.messages:>8} messages {size(row.bytes):>9}{plan}"
    if forecast.thousand_results_bytes is not None:
        yield f"  single results: about {size(forecast.thousand_results_bytes)} a thousand"
    if forecast.month is not None and forecast.state is not None:
        yield f"budget   {size(forecast.month)} a month, {forecast.state}: {_STATES[forecast.state]}"


def size(count: int) -> str:
    """Bytes for people, three figures."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}" if count < 999.5 * factor else f"{count / factor:.0f} {unit}"
    return f"{count} B"

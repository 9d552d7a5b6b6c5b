"""States of the data budget: what goes in each, and when one becomes another.

full      everything
lean      everything; health and ledger hourly
coarse    windows of an hour and more are live, shorter ones are held, and sent late in batches as far as the straight line allows
critical  events, days, status, ledger; hours are held, too
closed    nothing: last ledger, status `held`, and the link is closed until `until`

A state follows from how much is left against the straight line (what would be left if the day, or the month, were spent evenly), and is never
richer than the config's own forecast allows: minutes that cannot fit are held from the start, not half the day.
"""

from typing import Literal, get_args

import msgspec

from agent.sync import kinds

State = Literal["full", "lean", "coarse", "critical", "closed"]
ORDER: tuple[State, ...] = get_args(State)
# Below this share of the straight line the state to the right begins, and ends this much above it.
LEAN_RATIO, COARSE_RATIO, CRITICAL_RATIO = 0.60, 0.35, 0.10
HYSTERESIS_RATIO = 0.10
LEAST_S = 1_800.0
# What a state's forecast may take of an even day: the rest is the events' reserve.
PLANNED_RATIO = 0.85

_ALWAYS = (kinds.CONTROL, kinds.EVENT, kinds.LIVE_DAYS, kinds.LEDGER, kinds.LINK)
_COARSE = (*_ALWAYS, kinds.LIVE_HOURS, kinds.BACK_HOURS, kinds.RESEND, kinds.BACK_MINUTES, kinds.RESULTS)
GOES: dict[State, frozenset[str]] = {
    "full": frozenset((*kinds.ORDER, kinds.LINK)),
    "lean": frozenset((*kinds.ORDER, kinds.LINK)),
    "coarse": frozenset(_COARSE),
    "critical": frozenset(_ALWAYS),
    "closed": frozenset(),
}
# Seconds between two health items (None: only at a change of state), and the least between two ledgers.
HEALTH_S: dict[State, float | None] = {
    "full": 900.0,
    "lean": 3_600.0,
    "coarse": 3_600.0,
    "critical": None,
    "closed": None,
}
LEDGER_S: dict[State, float] = {
    "full": 0.0,
    "lean": 3_600.0,
    "coarse": 21_600.0,
    "critical": 21_600.0,
    "closed": 21_600.0,
}


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes a day by forecast: windows shorter than an hour, hours and days, and the rest (pings, health, ledgers, connecting)."""

    minutes: int = 0
    hours: int = 0
    other: int = 0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made of. ratio: left against the straight line, the lesser of day and month. spent: the month has only its last words left."""

    ratio: float
    spent: bool
    ceiling: State


def ceiling(needs: Needs | None, month_bytes: int, days: int) -> State:
    """The richest state whose forecast fits an even day."""
    if needs is None:
        return "full"
    fits = month_bytes / days * PLANNED_RATIO
    if needs.minutes + needs.hours + needs.other <= fits:
        return "full"
    if not needs.minutes:
        return "lean"
    return "coarse"


def by_ratio(ratio: float, above: float = 0.0) -> State:
    """above: what is asked for beside each threshold."""
    if ratio >= LEAN_RATIO + above:
        return "full"
    if ratio >= COARSE_RATIO + above:
        return "lean"
    return "coarse" if ratio >= CRITICAL_RATIO + above else "critical"


def decide(now: State | None, since_s: float, look: Look) -> State:
    """now: None at the first start. since_s: how long it has been so."""
    if look.spent:
        return "closed"
    if now is None:
        return _poorer(by_ratio(look.ratio), look.ceiling)
    down = _poorer(by_ratio(look.ratio), look.ceiling)
    up = _poorer(by_ratio(look.ratio, HYSTERESIS_RATIO), look.ceiling)
    place = ORDER.index(now)
    if since_s < LEAST_S:
        return now
    if ORDER.index(down) > place:
        return down
    if ORDER.index(up) < place:
        return up if now == "closed" else ORDER[place - 1]
    return now


def why(look: Look) -> str:
    if look.spent:
        return "the month's budget is spent"
    if by_ratio(look.ratio) == "full" and look.ceiling != "full":
        return "by forecast it would not last the month"
    return f"{max(0.0, look.ratio):.0%} of what an even day and month would have left"


def _poorer(one: State, other: State) -> State:
    return max(one, other, key=ORDER.index)

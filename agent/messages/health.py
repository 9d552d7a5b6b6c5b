"""`health`: how the device itself does: every quarter of an hour, hourly while the data budget is tight, and at each of its moves."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from agent.messages.envelope import Count, Item, Name, Text

STREAM = "health"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """temp: °C of the hottest sensor. throttled: bits as the Raspberry Pi's firmware gives them (0: well). memory, disk: bytes free. null: not
    to be had here.
    """

    temp: float | None
    throttled: Count | None
    memory: Count | None
    disk: Count | None


class LaneHealth(msgspec.Struct, frozen=True, kw_only=True):
    """age: seconds since its last input, null when there was none in this run. restarts: since the start of the agent.

    picture: what is the matter with the camera's picture (black, white, covered, frozen, defocused, moved, night); absent: nothing.
    """

    state: str
    age: float | None
    restarts: Count
    picture: tuple[str, ...] | UnsetType = UNSET


class Move(msgspec.Struct, frozen=True, array_like=True):
    """of the data budget: when (null: no time was known), from which state, to which, why."""

    at: Text | None
    before: str
    after: str
    why: str


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """state: full, lean, coarse, critical, closed. month: bytes that it may be; used, left: of them. how: measured at the interface, or
    estimated. moves: of late, oldest first; one may stand in several items.
    """

    state: str
    month: Count
    used: Count
    left: Count
    how: str
    moves: list[Move]


class Health(Item, frozen=True, kw_only=True):
    """store: bytes of the database. queues, held: items by stream that wait to be sent, that are kept back. removed: results deleted so far, by
    reason. faults: what is wrong now, how many. budget: null without one.
    """

    k: Literal["hea"] = "hea"
    machine: Machine
    store: Count
    queues: dict[str, Count]
    held: dict[str, Count]
    lanes: dict[Name, LaneHealth]
    removed: dict[str, Count]
    faults: Count
    budget: Budget | None

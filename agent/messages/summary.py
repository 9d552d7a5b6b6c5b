"""`summary/{lane}/{grain}`: one closed UTC window of a lane; and the gap item, the first of each such stream in an epoch."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType, field

from agent.messages.envelope import Count, Epoch, Item, Name, Number, Text

Window = tuple[Text, Number]  # UTC start, seconds
Mono = tuple[Count, Count]  # start, end: microseconds of boot time


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Of the lane's inputs: seen = gated + inf + drop + fail. inf: at least one model took it; fail: each that took it failed."""

    seen: Count
    gated: Count
    inf: Count
    drop: Count
    fail: Count


class Sketch(msgspec.Struct, frozen=True, kw_only=True):
    """Log bins: value v is in bin ceil(log(v) / log((1 + g) / (1 - g))). b: [bin, count]. Merge: add the counts of equal bins."""

    g: float
    b: list[tuple[int, Count]]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds. p50 and p95 are readings, never added; null when there was no call."""

    p50: float | None
    p95: float | None
    sk: Sketch


class ModelCounts(msgspec.Struct, frozen=True, kw_only=True):
    """inf: this model's own inputs. n: label → results. uniq: label → tracks first seen in the window.

    cut: label → tracks whose end nobody saw, for the agent had stopped; absent: none.
    """

    sha: str | None
    inf: Count
    n: dict[str, Count]
    uniq: dict[str, Count]
    cut: dict[str, Count] | UnsetType = UNSET
    lat: Latency


class Dwell(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds spent in the zone by those who left it in the window."""

    n: Count
    sum: float
    max: float


class ZoneCounts(msgspec.Struct, frozen=True, kw_only=True):
    """in, out: entered and left. now: in it at the window's end, a reading. cut: were in it when the agent stopped, and it is not known when they
    left; absent: none. From window to window now = now before + in - out - cut, while the device kept its store.
    """

    in_: Count = field(name="in")
    out: Count
    now: Count
    cut: Count | UnsetType = UNSET
    dwell: Dwell


class LineCounts(msgspec.Struct, frozen=True, kw_only=True):
    """in: crossed with the line's beginning on the left hand and its end on the right; out: the other way."""

    in_: Count = field(name="in")
    out: Count


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor reading over the window: mean = sum / n; sq: sum of squares."""

    n: Count
    sum: float
    sq: float
    min: float
    max: float
    unit: str


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """j: joules; tx, rx: bytes at the interface; alt: bytes that the same seconds would have cost as video. null: not measured."""

    j: float | None
    tx: Count | None
    rx: Count | None
    alt: Count | None


class Summary(Item, frozen=True, kw_only=True):
    """cover: share of the window in which the lane lived: empty with 1 is a true zero, with 0 it says blind.

    w is content and may change with a correction; null: time unknown, and mono has the window's bounds in microseconds of boot time (of boot
    `boot`). A correction that knows the time has both; its w begins at no multiple of the grain. carry: [old epoch, its hi in this stream here].
    """

    k: Literal["sum"] = "sum"
    w: Window | None
    mono: Mono | UnsetType = UNSET
    cfg: str
    cover: float
    fr: Inputs
    models: dict[Name, ModelCounts]
    zone: dict[str, dict[str, ZoneCounts]] | UnsetType = UNSET
    line: dict[str, dict[str, LineCounts]] | UnsetType = UNSET
    sens: dict[str, Reading] | UnsetType = UNSET
    cost: Cost
    carry: tuple[Epoch, Count] | UnsetType = UNSET


class Gap(Item, frozen=True, kw_only=True):
    """gap: [UTC of the lane's last tick before this epoch or null, UTC of the start of its first tick in this epoch].

    What a view says about a time inside a gap is "unknown here", unless received items cover it. Its end is null while the time is unknown:
    mono[1] is its boot time then.
    """

    k: Literal["gap"] = "gap"
    gap: tuple[Text | None, Text | None]
    mono: tuple[None, Count] | UnsetType = UNSET

"""What `status` says, read from the rows alone: how long ago each lane had an input and a result, and how many of late."""

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.clock import Clock
from agent.store.space import measure

MINUTE_US = 60_000_000
HOUR_US = 3_600_000_000
# How far back the last result of a lane is looked for: results have no index.
_LOOK_BACK_ROWS = 500_000


class LaneVitals(msgspec.Struct, kw_only=True):
    """Ages in seconds, None when there is none (or its age cannot be known: another boot without time).

    alive_s: since a tick in which its source was open. unstored_hour: inputs whose results could not be stored.
    """

    lane: str
    alive_s: float | None = None
    input_s: float | None = None
    result_s: float | None = None
    inputs_minute: int = 0
    inputs_hour: int = 0
    results_minute: int = 0
    results_hour: int = 0
    failed_hour: int = 0
    dropped_hour: int = 0
    unstored_hour: int = 0


class DeviceVitals(msgspec.Struct, kw_only=True):
    """time_source: of the clock row in force in the newest boot, None while it knows no time. backlog: items not acknowledged, by stream."""

    device: str
    epoch: str
    boot: int
    time_source: str | None
    backlog: dict[str, int]


def lanes(connection: sqlite3.Connection, names: Sequence[str], clock: Clock) -> dict[str, LaneVitals]:
    """The vitals of these lanes; `names` empty: of every lane in the store."""
    ids = {
        text: number
        for number, text in connection.execute("SELECT id, text FROM name WHERE kind = 'lane' ORDER BY id")
        if not names or text in names
    }
    found = {text: LaneVitals(lane=text) for text in names or ids}
    age = _Age(connection, clock)
    _count(connection, {number: found[text] for text, number in ids.items()}, age)
    newest = connection.execute("SELECT max(id) FROM result").fetchone()[0] or 0
    for text, number in ids.items():
        vitals = found[text]
        for place, query, more in (
            ("alive_s", "SELECT boot, at_us FROM tick WHERE lane = ? AND alive_us > ?", 0),
            ("input_s", "SELECT boot, at_us FROM tick WHERE lane = ? AND seen > ?", 0),
            ("result_s", "SELECT boot, at_us FROM result WHERE lane = ? AND id > ?", newest - _LOOK_BACK_ROWS),
        ):
            row = connection.execute(f"{query} ORDER BY id DESC LIMIT 1", (number, more)).fetchone()
            setattr(vitals, place, None if row is None else age(*row))
    return found


def _count(connection: sqlite3.Connection, found: dict[int, LaneVitals], age: "_Age") -> None:
    """Adds up the last minute and the last hour. Ids are in the order of storing, so it stops at the first tick that is older."""
    minute_id = hour_id = 0
    for number, boot, at_us, lane, seen, failed, dropped, counts in connection.execute(
        "SELECT id, boot, at_us, lane, seen, failed, dropped, counts FROM tick ORDER BY id DESC"
    ):
        seconds = age(boot, at_us)
        if not minute_id and (seconds is None or seconds >= 60):
            minute_id = number
        if seconds is None or seconds >= 3600:
            hour_id = number
            break
        vitals = found.get(lane)
        if vitals is None:
            continue
        vitals.inputs_hour += seen
        vitals.inputs_minute += seen if seconds < 60 else 0
        vitals.failed_hour += failed
        vitals.dropped_hour += dropped
        vitals.unstored_hour += json.loads(counts).get("u", 0) if counts else 0
    for place, after in (("results_minute", minute_id), ("results_hour", hour_id)):
        # A second's results come just before its tick, so after the newest tick that is older.
        for lane, count in connection.execute("SELECT lane, count(*) FROM result WHERE id > ? GROUP BY lane", (after,)):
            if lane in found:
                setattr(found[lane], place, count)


def device(connection: sqlite3.Connection) -> DeviceVitals:
    """Of the running, or last, epoch."""
    name, epoch, boot = connection.execute("SELECT device, text, boot FROM epoch ORDER BY id DESC LIMIT 1").fetchone()
    source = connection.execute(
        "SELECT source FROM clock WHERE boot = ? ORDER BY from_us DESC LIMIT 1", (boot,)
    ).fetchone()
    backlog = connection.execute(
        "SELECT text, count(*) FROM item JOIN name ON name.id = stream WHERE state < 2 GROUP BY stream ORDER BY text"
    ).fetchall()
    return DeviceVitals(
        device=name, epoch=epoch, boot=boot, time_source=None if source is None else source[0], backlog=dict(backlog)
    )


class SpaceVitals(msgspec.Struct, kw_only=True):
    """live_bytes: of pages in use. free_bytes: kept in the file for new rows. log_bytes: of the write-ahead log.

    removed: lane → why → rows that went to keep the store within its bounds, by table. lost: why → numbers whose items are gone.
    """

    live_bytes: int
    free_bytes: int
    log_bytes: int
    removed: dict[str, dict[str, dict[str, int]]]
    lost: dict[str, int]


def space(connection: sqlite3.Connection, path: Path) -> SpaceVitals:
    size = measure(connection, path)
    removed: dict[str, dict[str, dict[str, int]]] = {}
    if connection.execute(
        "SELECT 1 FROM sqlite_schema WHERE name = 'removed'"
    ).fetchone():  # else an older version wrote it
        for lane, why, results, ticks, events in connection.execute(
            "SELECT text, why, results, ticks, events FROM removed JOIN name ON name.id = lane ORDER BY text, why"
        ):
            removed.setdefault(lane, {})[why] = {"results": results, "ticks": ticks, "events": events}
    lost = connection.execute("SELECT why, sum(last - first + 1) FROM lost GROUP BY why ORDER BY why").fetchall()
    return SpaceVitals(
        live_bytes=size.live_bytes,
        free_bytes=size.held_bytes,
        log_bytes=size.log_bytes,
        removed=removed,
        lost=dict(lost),
    )


def removed(connection: sqlite3.Connection) -> dict[str, int]:
    """Results deleted so far, by reason."""
    rows = connection.execute("SELECT why, sum(results) FROM removed GROUP BY why HAVING sum(results) > 0 ORDER BY why")
    return {why: int(count) for why, count in rows}


class _Age:
    """Seconds since a row's time: by boot time within this boot, by UTC across boots, None where that is unknown."""

    def __init__(self, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        reading = clock.reading()
        self._now_us = clock.boot_us()
        self._utc_us = self._now_us + reading.utc_offset_us if reading.known else None
        row = connection.execute("SELECT id FROM boot WHERE kernel_boot_id = ?", (clock.boot_id(),)).fetchone()
        self._boot = None if row is None else row[0]
        self._offsets: dict[int, int | None] = {}

    def __call__(self, boot: int, at_us: int) -> float | None:
        if boot == self._boot:
            return max(0.0, (self._now_us - at_us) / 1e6)
        if boot not in self._offsets:
            row = self._connection.execute(
                "SELECT utc_offset_us FROM clock WHERE boot = ? ORDER BY from_us DESC LIMIT 1", (boot,)
            ).fetchone()
            self._offsets[boot] = None if row is None else row[0]
        offset_us = self._offsets[boot]
        if offset_us is None or self._utc_us is None:
            return None
        return max(0.0, (self._utc_us - at_us - offset_us) / 1e6)

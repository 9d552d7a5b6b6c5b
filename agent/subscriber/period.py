"""The report of a month or a day: of every device and stream, which numbers belong to it and what became of them.

Which numbers those are: a received one by its own time (a window's start, an event's, else when it was made). One that is not here has no time of
its own; it belongs to the period unless the nearest received numbers around it say that it cannot: the next one is older than the period, or
the one before it younger. So a number on the border counts in both periods, and nothing falls between two.

complete: every number of the period is here, and the device has said so after the period's end. unknown since T: its last ledger, of T, is older.
"""

import csv
import io
import sqlite3
from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from agent.subscriber.errors import SubscriberError
from agent.subscriber.streams import StreamVerdict
from agent.subscriber.verdict import DeviceVerdict

REASONS = ("sent", "retention", "disk_full", "corrupt", "operator", "privacy")
_COUNTED = ("missing", "todo", "held", "unreachable", "unreadable")
_MOMENT = "coalesce(json_extract(body, '$.t[0]'), json_extract(body, '$.t'), json_extract(body, '$.gap[1]'), json_extract(body, '$.at'))"
# -1: before the period, 0: in it, 1: after it.
_SIDE = (
    "CASE WHEN kind = 'sum' AND window_us IS NOT NULL THEN (window_us >= ?3) + (window_us >= ?4) - 1"
    f" ELSE ({_MOMENT} >= ?5) + ({_MOMENT} >= ?6) - 1 END"
)


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """start_us included, end_us not; the same as text. name: as it was asked for."""

    name: str
    start_us: int
    end_us: int
    start: str
    end: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One device and stream, over its epochs. stream "-": the device has nothing of the period. lost: by reason."""

    device: str
    stream: str
    expected: int
    received: int
    missing: int
    todo: int
    held: int
    unreachable: int
    unreadable: int
    lost: dict[str, int]
    conflicts: int
    verdict: str
    as_of: str | None


def period(text: str) -> Period:
    """2026-11 or 2026-11-24, UTC. SubscriberError: neither."""
    for form, month in (("%Y-%m", True), ("%Y-%m-%d", False)):
        try:
            start = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        end = start + timedelta(days=monthrange(start.year, start.month)[1] if month else 1)
        return Period(
            name=text, start_us=_us(start), end_us=_us(end), start=f"{start:%Y-%m-%dT%H:%M:%S}", end=f"{end:%Y-%m-%dT%H:%M:%S}"
        )  # fmt: skip
    raise SubscriberError(
        where="--report", what=f"{text!r} is neither a month nor a day", remedy="Write 2026-11 or 2026-11-24"
    )


def _us(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000


def lines(connection: sqlite3.Connection, found: Sequence[DeviceVerdict], asked: Period, now_s: float) -> list[Line]:
    """A line a device and stream. found: verdicts of now; devices that go on under another name are judged there."""
    result: list[Line] = []
    for device in found:
        if device.state == "moved":
            continue
        unknown = _unknown(device, asked, now_s)
        wrong = bool(device.orphans) or any("both follow" in why or "no time yet" in why for why in device.why)
        parts: dict[str, list[dict[str, Any]]] = {}
        for stream in device.streams:
            counts = _stream(connection, stream, asked)
            if counts["expected"] or counts["conflicts"]:
                parts.setdefault(stream.stream, []).append(counts)
        for name, several in sorted(parts.items()) or [("-", [])]:
            result.append(_line(device, name, several, unknown, wrong=wrong))
    return result


def complete(found: Sequence[Line]) -> bool:
    """No device at all is no proof."""
    return bool(found) and all(line.verdict == "complete" for line in found)


def _unknown(device: DeviceVerdict, asked: Period, now_s: float) -> str | None:
    if device.as_of is None:
        return "unknown: no ledger has come"
    ended = now_s * 1e6 >= asked.end_us
    if (ended and device.as_of < asked.end) or (not ended and device.state == "unknown"):
        return f"unknown since {device.as_of}"
    return None


def _line(
    device: DeviceVerdict, name: str, parts: Sequence[dict[str, Any]], unknown: str | None, *, wrong: bool
) -> Line:
    total = {key: sum(part[key] for part in parts) for key in ("expected", "received", "conflicts", *_COUNTED)}
    lost = {why: sum(part["lost"].get(why, 0) for part in parts) for why in REASONS}
    absent = total["expected"] - total["received"] + total["conflicts"]
    verdict = unknown or ("incomplete" if absent or wrong else "complete")
    return Line(
        device=device.device, stream=name, lost={why: count for why, count in lost.items() if count}, verdict=verdict, as_of=device.as_of, **total
    )  # fmt: skip


def _stream(connection: sqlite3.Connection, stream: StreamVerdict, asked: Period) -> dict[str, Any]:
    key = (stream.epoch, stream.stream, asked.start_us, asked.end_us, asked.start, asked.end)
    (received,) = connection.execute(
        f"SELECT count(DISTINCT seq) FROM item WHERE epoch = ?1 AND stream = ?2 AND {_SIDE} = 0", key
    ).fetchone()
    counts: dict[str, Any] = {"received": received}
    for name in ("missing", "todo", "held", "unreachable"):
        counts[name] = _inside(connection, getattr(stream, name), key)
    counts["unreadable"] = _inside(connection, [(one, one) for one in stream.unreadable], key)
    lost: dict[str, int] = {}
    for first, last, why in stream.lost:
        count = _inside(connection, [(first, last)], key)
        if count:
            lost[why] = lost.get(why, 0) + count
    counts["lost"] = lost
    counts["conflicts"] = sum(
        _side(connection, "seq >= ?7 ORDER BY seq LIMIT 1", key, seq) == 0 for seq in stream.conflicts
    )
    counts["expected"] = received + sum(counts[name] for name in _COUNTED) + sum(lost.values())
    return counts


def _inside(connection: sqlite3.Connection, some: Sequence[tuple[int, int]], key: tuple[Any, ...]) -> int:
    """How many of these numbers, none of which was received, belong to the period."""
    count = 0
    for first, last in some:
        before = _side(connection, "seq < ?7 ORDER BY seq DESC LIMIT 1", key, first)
        after = _side(connection, "seq > ?7 ORDER BY seq LIMIT 1", key, last)
        if before != 1 and after != -1:
            count += last - first + 1
    return count


def _side(connection: sqlite3.Connection, where: str, key: tuple[Any, ...], seq: int) -> int | None:
    row = connection.execute(
        f"SELECT {_SIDE} FROM item WHERE epoch = ?1 AND stream = ?2 AND {where}", (*key, seq)
    ).fetchone()
    return None if row is None else row[0]


def as_text(found: Sequence[Line], asked: Period) -> str:
    text = [f"{asked.name}: {asked.start}Z to {asked.end}Z"]
    head = f"{'device':<28} {'stream':<26} {'expected':>8} {'received':>8} {'missing':>7} {'todo':>5} {'held':>5} {'lost':>5} {'conflicts':>9}  verdict"
    text.append(head)
    for line in found:
        reasons = ", ".join(f"{count} {why}" for why, count in line.lost.items())
        text.append(
            f"{line.device:<28} {line.stream:<26} {line.expected:>8} {line.received:>8} {line.missing + line.unreachable + line.unreadable:>7}"
            f" {line.todo:>5} {line.held:>5} {sum(line.lost.values()):>5} {line.conflicts:>9}  {line.verdict}{f' (lost: {reasons})' if reasons else ''}"
        )
    if not found:
        text.append("no device was heard")
    return "\n".join(text)


def as_csv(found: Sequence[Line]) -> str:
    out = io.StringIO()
    names = [
        "device",
        "stream",
        "expected",
        "received",
        *_COUNTED,
        *(f"lost_{why}" for why in REASONS),
        "conflicts",
        "verdict",
        "as_of",
    ]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for line in found:
        row = msgspec.to_builtins(line)
        lost = row.pop("lost")
        writer.writerow({**row, **{f"lost_{why}": lost.get(why, 0) for why in REASONS}})
    return out.getvalue()


def as_json(found: Sequence[Line], asked: Period) -> bytes:
    return msgspec.json.encode({"period": asked.name, "complete": complete(found), "lines": found})

"""The verdict for people and for programs: per device and stream what came, what is missing, and of when that is true."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from agent.subscriber import ranges
from agent.subscriber.streams import StreamVerdict
from agent.subscriber.verdict import DeviceVerdict


def complete(found: Sequence[DeviceVerdict]) -> bool:
    """Whether nothing is missing anywhere. A device that goes on under another name is judged there; no device at all is no proof."""
    judged = [one for one in found if one.state != "moved"]
    return bool(judged) and all(one.state == "complete" for one in judged)


def as_json(connection: sqlite3.Connection, found: Sequence[DeviceVerdict]) -> bytes:
    """One object: {"complete": bool, "unreadable": n, "devices": [verdict…]}. Ranges are [first, last]."""
    devices: list[Any] = [msgspec.to_builtins(one) for one in found]
    for device, one in zip(devices, found, strict=True):
        device["counts"] = counts(one)
    body = {"complete": complete(found), "unreadable": _unreadable(connection), "devices": devices}
    return msgspec.json.encode(body)


def counts(one: DeviceVerdict) -> dict[str, int]:
    """Over all streams of a device; `received` includes what came after the ledger."""
    return {
        "received": sum(stream.received + stream.ahead for stream in one.streams),
        "duplicates": one.duplicates,
        **{
            name: sum(_count(stream, name) for stream in one.streams)
            for name in ("missing", "todo", "held", "unreachable")
        },
        "lost": sum(last - first + 1 for stream in one.streams for first, last, _ in stream.lost),
        "unreadable": sum(len(stream.unreadable) for stream in one.streams),
        "conflicts": sum(len(stream.conflicts) for stream in one.streams),
    }


def as_text(connection: sqlite3.Connection, found: Sequence[DeviceVerdict]) -> str:
    lines: list[str] = []
    for one in found:
        lines.append(f"{one.device}: {_headline(one)}")
        if one.state == "moved":
            continue
        lines.append("  stream                           numbers        received  missing  todo  held  lost  conflicts")
        lines += [
            _row(name, [s for s in one.streams if s.stream == name]) for name in sorted({s.stream for s in one.streams})
        ]
        lines.append(
            f"  {one.duplicates} duplicates dropped; {one.epochs} epochs"
            + (f"; status {one.status}" if one.status else "")
        )
        later = [s for s in one.streams if s.start > 1]
        if later:
            first = ", ".join(f"{s.stream} from {s.start}" for s in later[:3]) + (", …" if len(later) > 3 else "")
            lines.append(f"  judged from where this subscriber began: {first}")
        for stream, since, until in one.gaps:
            span = f"from {since} to {until}" if since else f"before {until}"
            lines.append(f"  {stream}: the device says nothing about the time {span}")
        lines += [f"  ! {reason}" for reason in one.why]
    aside = _unreadable(connection)
    if aside:
        lines.append(f"! {aside} messages or lines could not be read: table unreadable holds them")
    if not found:
        lines.append("no device was heard")
    return "\n".join(lines)


def _headline(one: DeviceVerdict) -> str:
    if one.state == "complete":
        return f"complete as of {one.as_of}"
    if one.state == "incomplete":
        return f"INCOMPLETE as of {one.as_of}"
    return f"UNKNOWN, {one.why[0]}" if one.state == "unknown" else one.why[0]


def _row(name: str, streams: Sequence[StreamVerdict]) -> str:
    """One line a stream; its numbers are those of its newest epoch when there are several."""
    numbers = f"{len(streams)} epochs"
    if len(streams) == 1:
        one = streams[0]
        numbers = f"{one.start}..{one.hi}" if one.hi >= one.start else f"none from {one.start}"
    lost = sum(last - first + 1 for stream in streams for first, last, _ in stream.lost)
    missing = sum(
        _count(stream, "missing") + _count(stream, "unreachable") + len(stream.unreadable) for stream in streams
    )
    return (
        f"  {name:<32} {numbers:<13} {sum(s.received + s.ahead for s in streams):>9}  {missing:>7}  {sum(_count(s, 'todo') for s in streams):>4}"
        f"  {sum(_count(s, 'held') for s in streams):>4}  {lost:>4}  {sum(len(s.conflicts) for s in streams):>9}"
    )


def _count(stream: StreamVerdict, name: str) -> int:
    return ranges.count(getattr(stream, name))


def _unreadable(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(sum(copies), 0) FROM unreadable").fetchone()[0])

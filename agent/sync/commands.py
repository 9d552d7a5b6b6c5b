"""What each request does: `resend`, `ping`, `status`, `birth`, `ledger`. Who may ask, and that it happens once, is in requests.py."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from agent.messages import commands
from agent.messages.envelope import decode
from agent.store import items, outbox, reader
from agent.sync.ledger import stream_ledgers

# What one request brings at most, whatever it asks for.
MAX_RESEND_BYTES = 1 << 20
# Of a cmd/ledger answer.
_PAGE_BYTES = 48_000
Ranges = list[tuple[int, int]]


class Effect(NamedTuple):
    """The answer, and what is to be done. resend: items, in order, of one stream of one epoch. work: what of it must outlive a kill."""

    code: str
    msg: str
    data: dict[str, Any] | None = None
    resend: Sequence[items.Item] = ()
    work: str | None = None
    birth: bool = False
    ledger: bool = False


class Room(NamedTuple):
    """What the data budget leaves for items that are asked for."""

    bytes: int


def ping() -> Effect:
    return Effect("ok", "here")


def status(payload: bytes, says: Callable[[], dict[str, Any]]) -> Effect:
    """Unreadable: not such a request."""
    decode(payload, commands.Request)
    return Effect("ok", "status", data=says())


def birth(payload: bytes) -> Effect:
    decode(payload, commands.Request)
    return Effect("ok", "birth is published again", birth=True)


def ledger(payload: bytes, connection: sqlite3.Connection) -> Effect:
    """Whole entries of all epochs, newest first, page by page."""
    wanted = decode(payload, commands.LedgerRequest).args
    found: list[dict[str, Any]] = []
    of: list[Any] = []  # the running epoch, and the number of its newest ledger
    size, after, passed = 0, None, wanted.after is None
    for epoch in reader.epochs(connection, limit=-1):
        of = of or [epoch.text, max(1, epoch.ledger_n)]
        if wanted.epoch not in (None, epoch.text):
            continue
        entry: dict[str, Any] = {
            "d": epoch.device,
            "epoch": epoch.text,
            "prev": epoch.prev,
            "why": epoch.why,
            "n": epoch.ledger_n,
            "streams": {},
        }
        for name, one in stream_ledgers(epoch).items():
            if wanted.st not in (None, name):
                continue
            if not passed:
                passed = wanted.after == (epoch.text, name)
                continue
            text = msgspec.json.encode(one)
            if len(text) > _PAGE_BYTES:  # a thousand ranges with totals: the ranges alone are what completeness needs
                one = msgspec.structs.replace(
                    one, lost=[msgspec.structs.replace(lost, totals=None) for lost in one.lost]
                )
                text = msgspec.json.encode(one)
            if size and size + len(text) > _PAGE_BYTES:
                break
            entry["streams"][name] = msgspec.to_builtins(one)
            size, after = size + len(text) + len(name) + 8, [epoch.text, name]
        else:
            if passed:
                found.append(entry)
                size += 200
            continue
        found.append(entry)
        return Effect(
            "ok", "the first part; ask on with `after`", data={"epochs": found, "after": after, "of": of}, ledger=True
        )
    return Effect("ok", "whole", data={"epochs": found, "after": None, "of": of}, ledger=True)


def resend(payload: bytes, connection: sqlite3.Connection, room: Room) -> Effect:
    """A final answer for every number: queued, held, lost, unknown, or later."""
    wanted = decode(payload, commands.ResendRequest).args
    if any(first > last for first, last in wanted.ranges):
        return Effect("invalid", "resend: a range ends before it begins")
    known = outbox.fate(connection, wanted.epoch, wanted.st)
    asked = _normal(wanted.ranges)
    given = [(first, min(last, known.hi)) for first, last in asked if first <= known.hi]
    limit = min(wanted.max_bytes, MAX_RESEND_BYTES, room.bytes)
    found = list(
        {item.id: item for item in items.items_at(connection, wanted.epoch, wanted.st, given, max_bytes=limit)}.values()
    )
    if found and len(found[0].body) > room.bytes:  # `items_at` gives one, however large
        found = []
    queued = reader.ranges(item.seq for item in found)
    lost = [
        (max(first, lost_first), min(last, lost_last), why)
        for first, last in given
        for lost_first, lost_last, why in known.lost
        if lost_first <= last and lost_last >= first
    ]
    rest = _less(given, [*queued, *((first, last) for first, last, _ in lost)])
    held = outbox.held_of(connection, wanted.epoch, wanted.st, rest)
    data = commands.ResendAnswer(
        queued=queued,
        held=held,
        lost=lost,
        unknown=[(max(first, known.hi + 1), last) for first, last in asked if last > known.hi],
        later=_less(rest, held),
    )
    work = json.dumps({"epoch": wanted.epoch, "st": wanted.st, "ranges": queued}) if queued else None
    text = f"{len(found)} items go out on back/{wanted.st}"
    if (data.held or data.later) and not found and room.bytes < 1:
        return Effect("busy", "the data budget has no room for it now", data=msgspec.to_builtins(data))
    return Effect("ok", text, data=msgspec.to_builtins(data), resend=found, work=work)


def carried_on(work: str, connection: sqlite3.Connection) -> list[items.Item]:
    """The items of a resend that was accepted before a kill."""
    wanted = json.loads(work)
    ranges = [(int(first), int(last)) for first, last in wanted["ranges"]]
    return items.items_at(connection, wanted["epoch"], wanted["st"], ranges, max_bytes=MAX_RESEND_BYTES)


def _normal(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Ascending, none overlapping another."""
    found: Ranges = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _less(ranges: Sequence[tuple[int, int]], taken: Sequence[tuple[int, int]]) -> Ranges:
    """What is left of some ranges without others."""
    left = list(ranges)
    for start, end in taken:
        left = [
            part
            for first, last in left
            for part in ((first, min(last, start - 1)), (max(first, end + 1), last))
            if part[0] <= part[1]
        ]
    return left

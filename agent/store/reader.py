"""What sync and the ledger read: epochs with their streams, numbers by state, rows without a time. Pure reads of one snapshot."""

import sqlite3
from collections.abc import Iterable

import msgspec

from agent.store.items import HELD

Ranges = list[tuple[int, int]]


class StreamState(msgspec.Struct, kw_only=True):
    """Numbers of one stream of one epoch, both ends included. hi: the last one given.

    Every number up to it is in exactly one of todo (here, not acknowledged), held (here, kept back), lost (gone: first, last, why, totals
    as JSON or None) or acknowledged.
    """

    stream: int
    hi: int
    todo: Ranges = []
    held: Ranges = []
    lost: list[tuple[int, int, str, str | None]] = []


class EpochState(msgspec.Struct, kw_only=True):
    """One numbering run. device: "site/name", the identity it was drawn for. streams: by name."""

    id: int
    text: str
    prev: str | None
    why: str
    boot: int
    device: str
    ledger_n: int
    streams: dict[str, StreamState]


def epochs(connection: sqlite3.Connection, limit: int = 65) -> list[EpochState]:
    """The newest epochs, the running one first, with all their streams."""
    found = [
        EpochState(id=number, text=text, prev=prev, why=why, boot=boot, device=device, ledger_n=ledger_n, streams={})
        for number, text, prev, why, boot, device, ledger_n in connection.execute(
            "SELECT id, text, prev, why, boot, device, ledger_n FROM epoch ORDER BY id DESC LIMIT ?", (limit,)
        )
    ]
    for epoch in found:
        epoch.streams = streams(connection, epoch.id)
    return found


def streams(connection: sqlite3.Connection, epoch: int) -> dict[str, StreamState]:
    """The streams of one epoch by name, in the order of their names."""
    found: dict[str, StreamState] = {}
    for stream, text, last_seq in connection.execute(
        "SELECT stream, text, last_seq FROM stream JOIN name ON name.id = stream WHERE epoch = ? ORDER BY text",
        (epoch,),
    ).fetchall():
        found[text] = StreamState(
            stream=stream,
            hi=last_seq,
            todo=_ranges(connection, epoch, stream, "state < 2"),
            held=_ranges(connection, epoch, stream, f"state = {HELD}"),
            lost=[
                (first, last, why, totals)
                for first, last, why, totals in connection.execute(
                    "SELECT first, last, why, totals FROM lost WHERE epoch = ? AND stream = ? ORDER BY first",
                    (epoch, stream),
                )
            ],
        )
    return found


def _ranges(connection: sqlite3.Connection, epoch: int, stream: int, states: str) -> Ranges:
    """states: the condition of the partial index that is to be read."""
    where = f"epoch = ? AND stream = ? AND {states}"
    first, last, count = connection.execute(
        f"SELECT min(seq), max(seq), count(*) FROM item WHERE {where}", (epoch, stream)
    ).fetchone()
    if not count:
        return []
    if last - first + 1 == count:  # the usual backlog: no need to look at each
        return [(first, last)]
    return ranges(
        seq for (seq,) in connection.execute(f"SELECT seq FROM item WHERE {where} ORDER BY seq", (epoch, stream))
    )


def ranges(numbers: Iterable[int]) -> Ranges:
    """Ascending numbers as ranges, both ends included."""
    found: Ranges = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def undated(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Lane → (ticks, results) of boots that do not know the time, in no summary yet: they wait for it, or for going out undated."""
    counts: dict[str, list[int]] = {}
    made = connection.execute(
        "SELECT lane, text, min(from_id) FROM grain JOIN name ON name.id = lane WHERE grain > 0 GROUP BY lane"
    )
    lanes = made.fetchall()
    for first, last in _undated_ids(connection):
        for lane, text, from_id in lanes:
            (summed,) = connection.execute(
                "SELECT coalesce(max(last_tick), 0) FROM summary WHERE lane = ? AND last_tick <= ?", (lane, last)
            ).fetchone()
            after = max(first, from_id - 1, summed)
            for place, table in enumerate(("tick", "result")):
                (count,) = connection.execute(
                    f"SELECT count(*) FROM {table} WHERE id > ? AND id <= ? AND lane = ?", (after, last, lane)
                ).fetchone()
                counts.setdefault(text, [0, 0])[place] += count
    return {lane: (ticks, results) for lane, (ticks, results) in sorted(counts.items()) if ticks or results}


def _undated_ids(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """Row ids (after, up to) of such boots: a boot's rows lie between its first epoch's `after_id` and the next boot's."""
    drawn = connection.execute(
        "SELECT boot, after_id, EXISTS (SELECT 1 FROM clock WHERE clock.boot = epoch.boot) FROM epoch ORDER BY id"
    ).fetchall()
    ends = [after_id for _, after_id, _ in drawn[1:]] + [(1 << 63) - 1]
    return [(after_id, end) for (_, after_id, dated), end in zip(drawn, ends, strict=True) if not dated]


def started_rules(connection: sqlite3.Connection, lane: str) -> frozenset[str]:
    """The rules of a lane whose last event is a start: they hold on until their end, over restarts too."""
    rows = connection.execute(
        "SELECT rule.text, phase, max(event.id) FROM event JOIN name AS lane ON lane.id = event.lane AND lane.kind = 'lane'"
        " JOIN name AS rule ON rule.id = event.rule WHERE lane.text = ? GROUP BY event.rule",
        (lane,),
    )
    return frozenset(rule for rule, phase, _ in rows if phase == 0)


def names_of(connection: sqlite3.Connection, kind: str) -> list[str]:
    """All names of a kind, in the order in which they were entered."""
    return [text for (text,) in connection.execute("SELECT text FROM name WHERE kind = ? ORDER BY id", (kind,))]

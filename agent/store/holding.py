"""Items that the data budget keeps back: held and let go in groups, so that a backlog of a million holds up no lane.

Held is only what never left: state pending. What is held can be asked for (`cmd/resend`) and goes out once there is room again.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from agent.store.items import HELD, PENDING
from agent.store.transaction import Transaction

GROUP = 1_000


class Released(NamedTuple):
    """Numbers of one stream of one epoch that wait to be sent again, both ends included."""

    epoch: int
    stream: int
    text: str
    first: int
    last: int
    items: int
    bytes: int


def mark_held(transaction: Transaction, ids: Sequence[int]) -> None:
    """Those of them that never left: a number that was handed over stays to be sent."""
    transaction.connection.executemany(
        f"UPDATE item SET state = {HELD} WHERE id = ? AND state = {PENDING}", ((one,) for one in ids)
    )


class Place(NamedTuple):
    """A stream of one epoch, above a number."""

    epoch: int
    stream: int
    after: int


def hold(transaction: Transaction, places: Sequence[Place], limit: int = GROUP) -> list[Place]:
    """Holds the oldest items there that never left; where, with the last number held. Empty: there was none."""
    found: list[Place] = []
    left = limit
    for place in places:
        rows = transaction.connection.execute(
            f"SELECT id, seq FROM item WHERE {_PENDING_THERE} ORDER BY seq LIMIT ?", (*place, left)
        ).fetchall()
        if rows:
            mark_held(transaction, [number for number, _ in rows])
            found.append(place._replace(after=rows[-1][1]))
            left -= len(rows)
        if left <= 0:
            break
    return found


_PENDING_THERE = f"epoch = ? AND stream = ? AND seq > ? AND state < 2 AND state = {PENDING}"


def can_hold(connection: sqlite3.Connection, places: Sequence[Place]) -> bool:
    """Whether `hold` would find anything."""
    return any(
        connection.execute(f"SELECT 1 FROM item WHERE {_PENDING_THERE} LIMIT 1", place).fetchone() for place in places
    )


def places(connection: sqlite3.Connection, streams: Sequence[str]) -> list[Place]:
    """Every epoch's streams of these names, from their beginning."""
    return [Place(epoch, stream, 0) for epoch, stream in _streams(connection, streams)]


def any_held(connection: sqlite3.Connection, streams: Sequence[str]) -> bool:
    if connection.execute(f"SELECT 1 FROM item WHERE state = {HELD} LIMIT 1").fetchone() is None:
        return False
    return any(_newest_held(connection, *place, None) is not None for place in _streams(connection, streams))


def stream_names(connection: sqlite3.Connection) -> list[str]:
    """Every stream that ever had a number."""
    rows = connection.execute("SELECT DISTINCT text FROM stream JOIN name ON name.id = stream ORDER BY text")
    return [text for (text,) in rows]


def release_newest(
    transaction: Transaction, streams: Sequence[str], max_bytes: int, limit: int = GROUP
) -> list[Released]:
    """Lets go of the newest held items of these streams, at least one, at most `max_bytes` of bodies; which numbers, newest first.

    The streams take turns by the time of their newest held item.
    """
    connection = transaction.connection
    size = count = 0
    chosen: dict[tuple[int, int], list[tuple[int, int]]] = {}
    heads = {place: _newest_held(connection, *place, None) for place in _streams(connection, streams)}
    ids: list[int] = []
    while count < limit:
        place = max(
            (one for one in heads if heads[one] is not None), key=lambda one: heads[one] or (0, 0, 0), default=None
        )
        if place is None:
            break
        identifier, seq, length = heads[place] or (0, 0, 0)
        if count and size + length > max_bytes:
            break
        ids.append(identifier)
        chosen.setdefault(place, []).append((seq, length))
        size, count = size + length, count + 1
        heads[place] = _newest_held(connection, *place, seq)
    connection.executemany(f"UPDATE item SET state = {PENDING} WHERE id = ?", ((one,) for one in ids))
    texts = dict(connection.execute("SELECT id, text FROM name WHERE kind = 'stream'"))
    return [one for place, numbers in chosen.items() for one in _ranges(*place, texts[place[1]], numbers)]


def release(
    transaction: Transaction, epoch: str, stream: str, ranges: Sequence[tuple[int, int]] | None
) -> list[tuple[int, int]]:
    """Lets go of held numbers of one stream that were asked for (None: of all); which ones, as ranges."""
    connection = transaction.connection
    found: list[tuple[int, int]] = []
    for first, last in [(1, (1 << 63) - 1)] if ranges is None else sorted(set(ranges)):
        rows = connection.execute(
            "SELECT item.id, item.seq FROM item JOIN epoch ON epoch.id = item.epoch JOIN name ON name.id = item.stream"
            f" WHERE epoch.text = ? AND name.kind = 'stream' AND name.text = ? AND item.seq BETWEEN ? AND ? AND item.state = {HELD}"
            " ORDER BY item.seq",
            (epoch, stream, first, last),
        ).fetchall()
        connection.executemany(f"UPDATE item SET state = {PENDING} WHERE id = ?", ((one,) for one, _ in rows))
        for _, seq in rows:
            if found and found[-1][1] == seq - 1:
                found[-1] = (found[-1][0], seq)
            else:
                found.append((seq, seq))
    return found


def held(connection: sqlite3.Connection) -> dict[str, int]:
    """How many items are held, by stream."""
    rows = connection.execute(
        f"SELECT text, count(*) FROM item JOIN name ON name.id = stream WHERE state = {HELD} GROUP BY stream ORDER BY text"
    )
    return {text: int(count) for text, count in rows}


def _streams(connection: sqlite3.Connection, names: Sequence[str]) -> list[tuple[int, int]]:
    """(epoch, stream), the newest epoch first."""
    wanted = set(names)
    rows = connection.execute(
        "SELECT epoch, stream, text FROM stream JOIN name ON name.id = stream ORDER BY epoch DESC, stream"
    )
    return [(epoch, stream) for epoch, stream, text in rows if text in wanted]


def _newest_held(
    connection: sqlite3.Connection, epoch: int, stream: int, below: int | None
) -> tuple[int, int, int] | None:
    """(id, number, length of its body)."""
    row = connection.execute(
        f"SELECT id, seq, length(body) FROM item WHERE epoch = ? AND stream = ? AND state = {HELD} AND seq < ? ORDER BY seq DESC LIMIT 1",
        (epoch, stream, (1 << 63) - 1 if below is None else below),
    ).fetchone()
    return None if row is None else (int(row[0]), int(row[1]), int(row[2]))


def _ranges(epoch: int, stream: int, text: str, numbers: Sequence[tuple[int, int]]) -> list[Released]:
    """numbers: (number, length), descending."""
    found: list[Released] = []
    for seq, length in numbers:
        if found and found[-1].first == seq + 1:
            before = found[-1]
            found[-1] = before._replace(first=seq, items=before.items + 1, bytes=before.bytes + length)
        else:
            found.append(Released(epoch, stream, text, seq, seq, 1, length))
    return found

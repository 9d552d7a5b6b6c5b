"""The table `lost`: numbers whose items are gone, as ranges with their reason and, where they never left, with totals.

Why     sent: handed to a broker at least once; the subscriber may have it, and totals are not given. retention: the database was at
        `max_bytes`. disk_full: the disk was full. corrupt: the bytes no longer matched their digest. operator, privacy: purged.
Totals  JSON to be added up; NULL: unknown; {}: zero.

Ranges join their neighbours when they are adjacent, of one reason, and both known or both unknown. Items go oldest first, so a stream has
about one range for each change of reason. Beyond MOST ranges a stream, old neighbours of different reasons become one of "sent": what is
missing of it is still said to be missing, only its totals are given up. Nothing is ever counted twice by that.
"""

import sqlite3
from typing import NamedTuple

from agent.store import totals as adding
from agent.store.transaction import Transaction

SENT, RETENTION, DISK_FULL, CORRUPT, OPERATOR, PRIVACY = "sent", "retention", "disk_full", "corrupt", "operator", "privacy"  # fmt: skip
MOST = 1_000


class Range(NamedTuple):
    first: int
    last: int
    why: str
    totals: str | None

    def joins(self, after: "Range") -> bool:
        return (
            self.last + 1 == after.first and self.why == after.why and (self.totals is None) == (after.totals is None)
        )

    def with_(self, after: "Range") -> "Range":
        joined = None if self.totals is None or after.totals is None else adding.add_texts(self.totals, after.totals)
        return Range(self.first, after.last, self.why, joined)


_NEIGHBOURS = {
    "before": "SELECT first, last, why, totals FROM lost WHERE epoch = ? AND stream = ? AND first < ? ORDER BY first DESC LIMIT 1",
    "after": "SELECT first, last, why, totals FROM lost WHERE epoch = ? AND stream = ? AND first > ? ORDER BY first LIMIT 1",
}


def lose(
    transaction: Transaction, epoch: int, stream: int, first: int, last: int, why: str, totals: str | None = None
) -> None:
    """Enters a range that is gone, in the transaction that takes its items out. None of its numbers may be in the table already."""
    connection, where = transaction.connection, (epoch, stream)
    entry = Range(first, last, why, totals)
    before = _neighbour(connection, "before", where, first)
    after = _neighbour(connection, "after", where, first)
    if after is not None and entry.joins(after):
        _take_out(connection, where, after)
        entry = entry.with_(after)
    if before is not None and before.joins(entry):
        _take_out(connection, where, before)
        entry = before.with_(entry)
    connection.execute(
        "INSERT INTO lost (epoch, stream, first, last, why, totals) VALUES (?, ?, ?, ?, ?, ?)", (*where, *entry)
    )
    _limit(connection, where)


def _neighbour(connection: sqlite3.Connection, side: str, where: tuple[int, int], first: int) -> Range | None:
    row = connection.execute(_NEIGHBOURS[side], (*where, first)).fetchone()
    return None if row is None else Range(*row)


def _take_out(connection: sqlite3.Connection, where: tuple[int, int], entry: Range) -> None:
    connection.execute("DELETE FROM lost WHERE epoch = ? AND stream = ? AND first = ?", (*where, entry.first))


def _limit(connection: sqlite3.Connection, where: tuple[int, int]) -> None:
    (count,) = connection.execute("SELECT count(*) FROM lost WHERE epoch = ? AND stream = ?", where).fetchone()
    if count <= MOST:
        return
    rows = [
        Range(*row)
        for row in connection.execute(
            "SELECT first, last, why, totals FROM lost WHERE epoch = ? AND stream = ? ORDER BY first", where
        )
    ]
    # A purge's reason is an answer to somebody: it stays as it is.
    plain = (SENT, RETENTION, DISK_FULL, CORRUPT)
    spare = count - MOST * 3 // 4
    place = 0
    while spare > 0 and place + 1 < len(rows):
        one, other = rows[place], rows[place + 1]
        if one.last + 1 == other.first and one.why in plain and other.why in plain:
            rows[place : place + 2] = [Range(one.first, other.last, SENT, None)]
            spare -= 1
        else:
            place += 1
    connection.execute("DELETE FROM lost WHERE epoch = ? AND stream = ?", where)
    connection.executemany(
        "INSERT INTO lost (epoch, stream, first, last, why, totals) VALUES (?, ?, ?, ?, ?, ?)",
        ((*where, *row) for row in rows),
    )

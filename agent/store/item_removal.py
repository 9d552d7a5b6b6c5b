"""Removal of items, oldest first, with what `lost` says of them; in slices.

All corrections of one `of` go together: otherwise an older content would stand for the newest. Some items stay whatever the need: the hours
of a day that is not yet summed up, and the newest item, so that no row id is ever given twice while a sender may still hold it.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from agent.store import totals as adding
from agent.store import trusted
from agent.store.lost import SENT, Range, lose
from agent.store.raw_rows import DAY_S, HOUR_S, series
from agent.store.reader import ranges
from agent.store.transaction import Transaction

_HANDED, _ACKNOWLEDGED = 1, 2
# Streams whose items go last.
LAST_STREAMS = ("event/", "audit")


class Row(NamedTuple):
    id: int
    epoch: int
    stream: int
    seq: int
    of: int
    state: int
    acknowledged_us: int | None

    @property
    def group(self) -> tuple[int, int, int]:
        return self.epoch, self.stream, self.of


_COLUMNS = "id, epoch, stream, seq, of, state, acknowledged_us"


Number = tuple[int, int, int]  # epoch, stream, number


def needed(connection: sqlite3.Connection) -> set[Number]:
    """(epoch, stream, number) of items that must stay: hours that a day is still to be made of, and the newest item."""
    found: set[Number] = set()
    for lane, from_id in connection.execute("SELECT lane, from_id FROM grain WHERE grain = ?", (DAY_S,)).fetchall():
        row = connection.execute(
            "SELECT last_tick FROM summary WHERE lane = ? AND grain = ? ORDER BY first_tick DESC LIMIT 1", (lane, DAY_S)
        ).fetchone()
        summed = max(from_id - 1, 0 if row is None else row[0])
        found.update(
            connection.execute(
                "SELECT epoch, stream, seq FROM summary WHERE lane = ? AND grain = ? AND first_tick > ?",
                (lane, HOUR_S, summed),
            )
        )
    found.update(connection.execute("SELECT epoch, stream, seq FROM item ORDER BY id DESC LIMIT 1"))
    return found


def epochs(connection: sqlite3.Connection) -> list[int]:
    """Those that may still have items, oldest first: every item of an epoch is older than any of the next."""
    return [number for (number,) in connection.execute("SELECT id FROM epoch WHERE empty_us IS NULL ORDER BY id")]


def oldest_acknowledged(connection: sqlite3.Connection, epoch: int, count: int, stay: set[Number]) -> list[Row]:
    """The oldest acknowledged items of an epoch, less those that must stay. Backlogs are passed over by index."""
    found: list[Row] = []
    for stream, hi in _streams(connection, epoch):
        left = count + sum(one[:2] == (epoch, stream) for one in stay)
        for first, last in _between(_unacknowledged(connection, epoch, stream), hi):
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM item WHERE epoch = ? AND stream = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
                (epoch, stream, first, last, left),
            ).fetchall()
            found += map(Row._make, rows)
            left -= len(rows)
            if left <= 0:
                break
    return sorted(row for row in found if (row.epoch, row.stream, row.seq) not in stay)[:count]


def oldest_unacknowledged(
    connection: sqlite3.Connection, epoch: int, count: int, stay: set[Number], *, last_streams: bool
) -> list[Row]:
    """The oldest items of an epoch that are pending, handed or held, less those that must stay. last_streams: events and audit, or the rest."""
    found: list[Row] = []
    for stream, _ in _streams(connection, epoch, last_streams):
        most = count + sum(one[:2] == (epoch, stream) for one in stay)
        for states in ("state < 2", "state = 3"):
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM item WHERE epoch = ? AND stream = ? AND {states} ORDER BY seq LIMIT ?",
                (epoch, stream, most),
            )
            found += map(Row._make, rows)
    return sorted(row for row in found if (row.epoch, row.stream, row.seq) not in stay)[:count]


def date(transaction: Transaction, rows: Iterable[Row]) -> None:
    """Acknowledged while no time was known, or by a version that did not note it: `keep_sent` begins now."""
    now_us = trusted.utc_us(transaction.connection, transaction.boot, transaction.now_us)
    transaction.connection.executemany(
        "UPDATE item SET acknowledged_us = ? WHERE id = ?",
        ((now_us, row.id) for row in rows if row.state == _ACKNOWLEDGED and row.acknowledged_us is None),
    )


def _streams(connection: sqlite3.Connection, epoch: int, last: bool | None = None) -> list[tuple[int, int]]:
    rows = connection.execute(
        "SELECT stream, last_seq, text FROM stream JOIN name ON name.id = stream WHERE epoch = ?", (epoch,)
    )
    return [(stream, hi) for stream, hi, text in rows if last is None or text.startswith(LAST_STREAMS) == last]


def _unacknowledged(connection: sqlite3.Connection, epoch: int, stream: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for states in ("state < 2", "state = 3"):
        where = f"FROM item WHERE epoch = ? AND stream = ? AND {states}"
        first, last, count = connection.execute(
            f"SELECT min(seq), max(seq), count(*) {where}", (epoch, stream)
        ).fetchone()
        if count and last - first + 1 == count:  # the usual backlog: no need to look at each
            found.append((first, last))
        elif count:
            found += ranges(seq for (seq,) in connection.execute(f"SELECT seq {where} ORDER BY seq", (epoch, stream)))
    return sorted(found)


def _between(taken: Iterable[tuple[int, int]], hi: int) -> Iterator[tuple[int, int]]:
    after = 0
    for first, last in taken:
        if first > after + 1:
            yield after + 1, first - 1
        after = max(after, last)
    if after < hi:
        yield after + 1, hi


def whole_groups(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[list[Row]]:
    """The items that are, or correct, the same first sending as any of these; all of each group, by number."""
    groups: dict[tuple[int, int, int], dict[int, Row]] = {}
    corrected = {
        where: connection.execute(
            "SELECT 1 FROM item WHERE epoch = ? AND stream = ? AND of <> seq LIMIT 1", where
        ).fetchone()
        is not None
        for where in {(row.epoch, row.stream) for row in rows}
    }
    for row in rows:
        group = groups.setdefault(row.group, {})
        if not group and corrected[row.epoch, row.stream]:
            others = connection.execute(
                f"SELECT {_COLUMNS} FROM item WHERE epoch = ?1 AND stream = ?2 AND (seq = ?3 OR (of = ?3 AND of <> seq))",
                row.group,
            )
            group.update((one.seq, one) for one in map(Row._make, others))
        group.setdefault(row.seq, row)
    return [[group[seq] for seq in sorted(group)] for group in groups.values()]


def remove(transaction: Transaction, groups: Iterable[Sequence[Row]], why: str, totals: adding.Totals | None) -> int:
    """Deletes these groups and enters their numbers as lost: what was handed over as "sent", the rest with `why` and its totals.

    How many items went. totals: None: not known here, so that what never left has unknown totals.
    """
    connection = transaction.connection
    entries: list[tuple[int, int, Range]] = []
    for group in groups:
        contents = _added(connection, group, totals)
        for row in group:
            reason = SENT if row.state in (_HANDED, _ACKNOWLEDGED) else why
            entries.append(
                (row.epoch, row.stream, Range(row.seq, row.seq, reason, None if reason == SENT else contents[row.seq]))
            )
        connection.executemany("DELETE FROM item WHERE id = ?", ((row.id,) for row in group))
    entries.sort(key=lambda entry: (entry[0], entry[1], entry[2].first))
    joined: list[tuple[int, int, Range]] = []
    for epoch, stream, entry in entries:
        if joined and joined[-1][:2] == (epoch, stream) and joined[-1][2].joins(entry):
            joined[-1] = (epoch, stream, joined[-1][2].with_(entry))
        else:
            joined.append((epoch, stream, entry))
    for epoch, stream, entry in joined:
        lose(transaction, epoch, stream, *entry)
    return len(entries)


def _added(connection: sqlite3.Connection, group: Sequence[Row], totals: adding.Totals | None) -> dict[int, str | None]:
    """Number → totals, of those that never left: the newest content less the newest that left; older contents add nothing to it."""
    unsent = [row for row in group if row.state not in (_HANDED, _ACKNOWLEDGED)]
    if not unsent:
        return {}
    sent = [row for row in group if row.state in (_HANDED, _ACKNOWLEDGED)]
    found: dict[int, str | None] = {row.seq: "{}" for row in unsent}
    newest = unsent[-1]
    if totals is None:
        found[newest.seq] = None
    elif not sent or sent[-1].seq < newest.seq:
        content = totals(_body(connection, newest.id), _body(connection, sent[-1].id) if sent else None)
        found[newest.seq] = None if content is None else adding.text(content)
    return found


def _body(connection: sqlite3.Connection, identifier: int) -> bytes:
    return bytes(connection.execute("SELECT body FROM item WHERE id = ?", (identifier,)).fetchone()[0])


def forget_summaries(transaction: Transaction, before_id: int, most: int = 500) -> int:
    """Rows of `summary` whose raw rows and item are both gone, oldest first; the newest of each series stays: it says what is summed up."""
    connection = transaction.connection
    gone = 0
    for lane, grain in series(connection):
        rows = connection.execute(
            "SELECT first_tick, last_tick, EXISTS (SELECT 1 FROM item WHERE item.epoch = summary.epoch AND item.stream = summary.stream"
            " AND item.seq = summary.seq) FROM summary WHERE lane = ? AND grain = ? AND first_tick <"
            " (SELECT max(first_tick) FROM summary WHERE lane = ? AND grain = ?) ORDER BY first_tick LIMIT ?",
            (lane, grain, lane, grain, most),
        ).fetchall()
        last = None
        for first_tick, last_tick, here in rows:
            if here or last_tick >= before_id:
                break
            last = first_tick
            gone += 1
        if last is not None:
            connection.execute(
                "DELETE FROM summary WHERE lane = ? AND grain = ? AND first_tick <= ?", (lane, grain, last)
            )
    return gone

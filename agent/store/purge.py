"""Takes everything before a moment out of a store that no agent runs on: results, ticks, events and items, each counted, each number told."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from agent.store import folder, item_removal, raw_rows
from agent.store.connection import connect_to_write
from agent.store.identity import greatest_id
from agent.store.item_removal import Row
from agent.store.migrations import prepare
from agent.store.totals import Totals
from agent.store.transaction import Identity, Transaction

_COLUMNS = "id, epoch, stream, seq, of, state, acknowledged_us"


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """rows: by table. items: taken out. kept: items before the moment that stay (hours of a day not yet summed up, the newest of all).

    undated: rows of boots that never learnt the time, of which nobody knows whether they are older. shrunk: the file was written anew.
    """

    rows: dict[str, int]
    items: int
    kept: int
    undated: int
    shrunk: bool


def purge(
    where: Path, before_us: int, before_text: str, why: str, totals: Totals, *, lane: str | None = None
) -> Purged:
    """before_us, before_text: UTC, as microseconds and as `2026-11-24T00:00:00`. why: operator or privacy. lane: of this one only.

    Problem (STORE): an agent runs on it, it cannot be written, there is none; there is no such lane.
    """
    path = where / folder.DATABASE
    if not path.exists():
        raise folder.problem(path, "there is no store here", "Name the config of a device that has run")
    with folder.locked(where), _opened(path) as connection:
        prepare(connection, path)
        number = None
        if lane is not None:
            row = connection.execute("SELECT id FROM name WHERE kind = 'lane' AND text = ?", (lane,)).fetchone()
            if row is None:
                raise folder.problem(path, f"there is no lane {lane!r} in this store", "Give a lane that has run")
            number = int(row[0])
        # What is deleted is overwritten: else its bytes lie in the file until new rows come.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        transaction = _transaction(connection)
        rows = _rows(transaction, before_us, why, number)
        items, kept = _items(transaction, before_text, why, totals, lane)
        (undated,) = connection.execute(
            "SELECT count(*) FROM tick WHERE boot NOT IN (SELECT boot FROM clock)"
        ).fetchone()
        connection.execute("COMMIT")
        return Purged(rows=rows, items=items, kept=kept, undated=undated, shrunk=_shrink(connection, path))


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect_to_write(path)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise folder.unusable(path, error) from error


def _transaction(connection: sqlite3.Connection) -> Transaction:
    """Of the newest epoch: nothing is numbered here."""
    epoch, text, boot, after_id, device = connection.execute(
        "SELECT id, text, boot, after_id, device FROM epoch ORDER BY id DESC LIMIT 1"
    ).fetchone()
    who = Identity(boot=boot, epoch=epoch, epoch_text=text, after_id=after_id, device=device)
    return Transaction(connection, who, greatest_id(connection) + 1, {})


def _spans(connection: sqlite3.Connection, before_us: int) -> Iterator[tuple[int, int, int]]:
    """(boot, from, to) of boot time whose UTC is before the moment, by the clock rows in force."""
    rows = connection.execute("SELECT boot, from_us, utc_offset_us FROM clock ORDER BY boot, from_us").fetchall()
    for place, (boot, from_us, offset_us) in enumerate(rows):
        first = place == 0 or rows[place - 1][0] != boot
        end = rows[place + 1][1] if place + 1 < len(rows) and rows[place + 1][0] == boot else 1 << 62
        yield boot, -1 if first else from_us, min(end, before_us - offset_us)


def _rows(transaction: Transaction, before_us: int, why: str, lane: int | None) -> dict[str, int]:
    connection, found = transaction.connection, dict.fromkeys(raw_rows.TABLES, 0)
    raw_rows.remember_last_id(transaction)
    for boot, from_us, to_us in _spans(connection, before_us):
        for table in raw_rows.TABLES:
            # A tick belongs to the time before it, as in windows.
            own = "at_us - 1" if table == "tick" else "at_us"
            where = f"FROM {table} WHERE boot = ?1 AND {own} >= ?2 AND {own} < ?3 AND (?4 IS NULL OR lane = ?4)"
            values = (boot, from_us, to_us, lane)
            counts = connection.execute(f"SELECT lane, count(*) {where} GROUP BY lane", values).fetchall()
            found[table] += sum(count for _, count in counts)
            raw_rows.count_removed(connection, table, why, counts)
            connection.execute(f"DELETE {where}", values)
    return found


def _items(transaction: Transaction, before: str, why: str, totals: Totals, lane: str | None) -> tuple[int, int]:
    connection = transaction.connection
    stay = item_removal.needed(connection)
    # Undated ones stay: nobody knows whether they are older.
    moment = "CASE WHEN json_extract(text, '$.tq.s') <> 'none' THEN coalesce(json_extract(text, '$.w[0]'), json_extract(text, '$.t[0]'), json_extract(text, '$.gap[1]'), json_extract(text, '$.at')) END"
    rows = [
        Row(*row)
        for row in connection.execute(
            f"SELECT {_COLUMNS} FROM (SELECT item.*, CAST(body AS TEXT) AS text, name.text AS stream_text FROM item JOIN name ON name.id = stream)"
            f" WHERE {moment} < ?1 AND (?2 IS NULL OR stream_text = 'event/' || ?2 OR stream_text LIKE 'summary/' || ?2 || '/%'"
            "  OR stream_text = 'result/' || ?2) ORDER BY id",
            (before, lane),
        )
    ]
    groups = item_removal.whole_groups(connection, rows)
    going = [group for group in groups if not any((row.epoch, row.stream, row.seq) in stay for row in group)]
    return item_removal.remove(transaction, going, why, totals), len(groups) - len(going)


def _shrink(connection: sqlite3.Connection, path: Path) -> bool:
    """Writes the file anew where there is room for a second one, so that nothing of what went is left in it."""
    roomy = folder.free_bytes(path.parent) > path.stat().st_size + (8 << 20)
    if roomy:
        connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return roomy

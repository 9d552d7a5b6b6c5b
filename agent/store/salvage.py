"""Reads what is left in a damaged database: rows by ranges of their ids, so that a bad page costs its own rows and no others."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

_ROWS = 512
# A bad page is narrowed down to so many ids; of these, what can be reached from either end is read.
_FEW = 64
# After so many of these, of twice as many: where an id that was read wrong makes a range of it without end, that has an end.
_PATIENCE = 1024

Row = tuple[Any, ...]


class Missing(msgspec.Struct):
    """What could not be read of a table. ranges: of ids between which rows may have stood; whole: the table cannot be read at all."""

    ranges: list[tuple[int, int]] = []
    whole: bool = False

    @property
    def anything(self) -> bool:
        return self.whole or bool(self.ranges)


def rows(connection: sqlite3.Connection, table: str, missing: Missing, most: int) -> Iterator[Row]:
    """Rows of a table with integer ids, the id first, mostly in their order. `missing` is filled on the way.

    most: no id is greater, as far as the rest of the database tells; where the table's own end is damaged, so far is looked.
    """
    if _has_no_shape(connection, table):
        missing.whole = True
        return
    count = 0
    last = end(connection, table)
    waiting = [(1, most if last is None else last)]
    failed = 0
    while waiting:
        low, high = waiting.pop()
        if low > high:
            continue
        found, broken = _read(connection, table, low, high)
        yield from found
        count += len(found)
        low = found[-1][0] + 1 if found else low
        if not broken:
            if len(found) == _ROWS:
                waiting.append((low, high))
        elif high - low > _FEW << (failed // _PATIENCE):
            middle = (low + high) // 2
            waiting += [(middle + 1, high), (low, middle)]
        elif low <= high:
            failed += 1
            while True:
                back, broken = _read(connection, table, low, high, "DESC")
                yield from back
                count += len(back)
                high = back[-1][0] - 1 if back else high
                if broken or len(back) < _ROWS:
                    break
            if broken and low <= high:
                add(missing, low, high)
    missing.whole = missing.anything and not count


def keyed_rows(connection: sqlite3.Connection, table: str, missing: Missing) -> list[Row]:
    """Rows of a small table without ids: from both ends up to what cannot be read."""
    found: dict[Row, None] = {}
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    order = ", ".join(columns)
    broken = False
    for way in ("ASC", "DESC"):
        ordered = ", ".join(f"{column} {way}" for column in columns) if order else "rowid"
        try:
            for row in connection.execute(f"SELECT * FROM {table} ORDER BY {ordered}"):
                found[row] = None
        except sqlite3.DatabaseError:
            broken = True
        if not broken:
            break
    missing.whole = broken and not found
    if broken and found:
        missing.ranges = [(0, 0)]
    return list(found)


def end(connection: sqlite3.Connection, table: str) -> int | None:
    """The greatest id, 0 for an empty table, None where that end is damaged."""
    try:
        row = connection.execute(f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid DESC LIMIT 1").fetchone()
    except sqlite3.DatabaseError:
        return None
    return 0 if row is None else int(row[0])


def _has_no_shape(connection: sqlite3.Connection, table: str) -> bool:
    """Whether not even its columns are known. One of its pages that cannot be read is no reason to give up the others."""
    try:
        connection.execute(f"SELECT rowid FROM {table} NOT INDEXED LIMIT 0").fetchone()
    except sqlite3.DatabaseError:
        return True
    return False


def _read(connection: sqlite3.Connection, table: str, low: int, high: int, way: str = "ASC") -> tuple[list[Row], bool]:
    """At most _ROWS rows of a range, and whether something in it could not be read; what came before that is kept."""
    found: list[Row] = []
    query = f"SELECT * FROM {table} NOT INDEXED WHERE rowid BETWEEN ? AND ? ORDER BY rowid {way} LIMIT {_ROWS}"
    try:
        for row in connection.execute(query, (low, high)):
            # A page that is another's now gives ids that cannot be here, again and again.
            last = found[-1][0] if found else None
            if not low <= row[0] <= high or (last is not None and (row[0] <= last if way == "ASC" else row[0] >= last)):
                return found, True
            found.append(row)
    except sqlite3.DatabaseError:
        return found, True
    return found, False


def add(missing: Missing, low: int, high: int) -> None:
    if missing.ranges and missing.ranges[-1][1] >= low - 1:
        missing.ranges[-1] = (missing.ranges[-1][0], max(high, missing.ranges[-1][1]))
    else:
        missing.ranges.append((low, high))

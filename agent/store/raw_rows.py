"""Which raw rows (results, ticks, crossings, events) may go, and their removal in slices.

A row is needed while a window may still be made of it: all that lies behind the last summary of any of its lane's series. Kept too are the
newest event of each rule (whether it still holds, and when it began), and each lane's last tick before the running epoch (where a gap begins).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from agent.store.transaction import Transaction

TABLES = ("result", "tick", "crossing", "event")
_COUNTED = {"result": "results", "tick": "ticks", "event": "events"}
DAY_S, HOUR_S = 86_400, 3_600
_WINDOWS_AT_ONCE = 300


def summed_to(connection: sqlite3.Connection, last_id: int) -> dict[int, int]:
    """Lane → the greatest row id that no window needs any more. A lane without windows needs none of its rows."""
    found = dict.fromkeys(lanes(connection), last_id)
    listed = connection.execute("SELECT lane, grain, from_id FROM grain WHERE grain > 0").fetchall()
    hours = {lane for lane, grain, _ in listed if grain == HOUR_S}
    for lane, grain, from_id in listed:
        if grain == DAY_S and lane in hours:
            continue  # made of the hours' items, not of rows
        row = connection.execute(
            "SELECT last_tick FROM summary WHERE lane = ? AND grain = ? ORDER BY first_tick DESC LIMIT 1", (lane, grain)
        ).fetchone()
        read_to = max(from_id - 1, 0 if row is None else row[0])
        found[lane] = min(found.get(lane, last_id), read_to)
    return found


def acknowledged_to(connection: sqlite3.Connection, lane: int, from_id: int) -> int | None:
    """The greatest row id up to which every window of the lane, at every grain, is acknowledged; looks a few hundred windows ahead.

    None: it has no windows. from_id: rows before it are of no interest.
    """
    found: int | None = None
    for grain in _grains(connection, lane):
        if grain == DAY_S:
            continue
        upto = from_id - 1
        for last_tick, state in connection.execute(
            "SELECT last_tick, item.state FROM summary LEFT JOIN item ON item.epoch = summary.epoch AND item.stream = summary.stream"
            " AND item.seq = summary.seq WHERE lane = ? AND grain = ? AND first_tick >= coalesce("
            "  (SELECT max(first_tick) FROM summary WHERE lane = ? AND grain = ? AND first_tick <= ?), 0)"
            " ORDER BY first_tick LIMIT ?",
            (lane, grain, lane, grain, from_id, _WINDOWS_AT_ONCE),
        ):
            if state not in (None, 2):
                break
            upto = last_tick
        found = upto if found is None else min(found, upto)
    return found


def series(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """(lane, grain) of all that have summaries, by index."""
    return [(lane, grain) for lane in lanes(connection) for grain in _grains(connection, lane)]


def lanes(connection: sqlite3.Connection) -> list[int]:
    return [lane for (lane,) in connection.execute("SELECT id FROM name WHERE kind = 'lane' ORDER BY id")]


def _grains(connection: sqlite3.Connection, lane: int) -> Iterator[int]:
    grain = 0
    while True:
        (grain,) = connection.execute(
            "SELECT min(grain) FROM summary WHERE lane = ? AND grain > ?", (lane, grain)
        ).fetchone()
        if grain is None:
            return
        yield grain


def undated_boots(connection: sqlite3.Connection, running: int) -> list[int]:
    """Earlier boots that never learnt the time: no window will ever be made of their rows."""
    rows = connection.execute("SELECT id FROM boot WHERE id <> ? AND id NOT IN (SELECT boot FROM clock)", (running,))
    return [boot for (boot,) in rows]


def first_id(connection: sqlite3.Connection) -> int:
    """The least id of any raw row; one more than the greatest there could be when there is none."""
    found = [connection.execute(f"SELECT min(id) FROM {table}").fetchone()[0] for table in TABLES]
    return min((one for one in found if one is not None), default=1 << 62)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that stay although no window needs them. events_from: from there on events have no item yet."""

    events: frozenset[int] = frozenset()
    ticks: frozenset[int] = frozenset()
    events_from: int = 1 << 62


def kept(transaction: Transaction) -> Kept:
    """As of now: a row that comes later only makes it keep one too many."""
    connection = transaction.connection
    events = connection.execute("SELECT max(id) FROM event GROUP BY lane, rule").fetchall()
    ticks = {connection.execute("SELECT max(id) FROM tick").fetchone()[0]}
    for name in transaction.grains:
        lane = transaction.name("lane", name)
        # It lies behind the lane's last window before the epoch: no need to look through all rows.
        (last_tick,) = connection.execute(
            "SELECT max(last_tick) FROM summary WHERE lane = ? AND last_tick <= ?", (lane, transaction.after_id)
        ).fetchone()
        (from_id,) = connection.execute("SELECT min(from_id) FROM grain WHERE lane = ?", (lane,)).fetchone()
        least = max(last_tick or 0, 0 if last_tick else (from_id or 0))
        ticks.add(
            connection.execute(
                "SELECT max(id) FROM tick WHERE lane = ? AND id BETWEEN ? AND ?", (lane, least, transaction.after_id)
            ).fetchone()[0]
        )
    row = connection.execute("SELECT from_id FROM grain WHERE lane = 0 AND grain = 0").fetchone()
    return Kept(
        events=frozenset(number for (number,) in events),
        ticks=frozenset(number for number in ticks if number is not None),
        events_from=1 if row is None else row[0],
    )


class Slice:
    """Removal of rows of one kind between two ids, table by table, a slice at a time."""

    def __init__(
        self, after: int, upto: Mapping[int, int], kept: Kept, only: str = "true", tables: Iterable[str] = TABLES
    ) -> None:
        """after: ids greater than this. upto: lane → greatest id. only: SQL condition on boot and at_us."""
        self.upto = dict(upto)
        self._top = max(upto.values(), default=0)
        self._after = dict.fromkeys(tables, after)
        self._only = only
        self._kept = kept
        self._table = ""
        self.last_at: tuple[int, int] | None = None  # (boot, at_us) of the last row that was looked at

    @property
    def done(self) -> bool:
        return not self._after

    def remove(self, transaction: Transaction, why: str, most: int = 1_000) -> int:
        """Looks at up to `most` rows of one table; how many of them went. They are counted in `removed` by lane and reason."""
        if self.done:
            return 0
        connection = transaction.connection
        table, after = next(iter(self._after.items()))
        row = connection.execute(
            f"SELECT id, boot, at_us FROM {table} WHERE id > ? AND id <= ? ORDER BY id LIMIT 1 OFFSET ?",
            (after, self._top, most - 1),
        ).fetchone()
        upto = self._top if row is None else row[0]
        if row is None:
            row = connection.execute(
                f"SELECT id, boot, at_us FROM {table} WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 1",
                (after, self._top),
            ).fetchone()
        self.last_at = None if row is None else (row[1], row[2])
        gone = 0 if row is None else self._delete(transaction, table, after, upto, why)
        self._table = table
        if upto >= self._top:
            del self._after[table]
        else:
            self._after[table] = upto
        return gone

    def skip(self) -> None:
        """The rest of the table that was looked at last is not wanted."""
        self._after.pop(self._table, None)

    def _delete(self, transaction: Transaction, table: str, after: int, upto: int, why: str) -> int:
        connection = transaction.connection
        lanes = " ".join(f"WHEN {lane} THEN {last}" for lane, last in self.upto.items())
        numbers = self._kept.events if table == "event" else self._kept.ticks if table == "tick" else frozenset()
        kept = ",".join(str(number) for number in numbers if after < number <= upto)
        where = f"id > {after} AND id <= {upto} AND id <= CASE lane {lanes} ELSE 0 END AND ({self._only})"
        if kept:
            where += f" AND id NOT IN ({kept})"
        if table == "event":
            where += f" AND id < {self._kept.events_from}"
        counts = connection.execute(f"SELECT lane, count(*) FROM {table} WHERE {where} GROUP BY lane").fetchall()
        if not counts:
            return 0
        connection.execute(f"DELETE FROM {table} WHERE {where}")
        count_removed(connection, table, why, counts)
        return sum(count for _, count in counts)


def count_removed(connection: sqlite3.Connection, table: str, why: str, counts: Iterable[tuple[int, int]]) -> None:
    """counts: (lane, rows that went)."""
    column = _COUNTED.get(table)
    if column is None:
        return
    for lane, count in counts:
        connection.execute(
            "INSERT INTO removed (lane, why, results, ticks, events) VALUES (?1, ?2, 0, 0, 0) ON CONFLICT DO NOTHING",
            (lane, why),
        )
        connection.execute(f"UPDATE removed SET {column} = {column} + ? WHERE lane = ? AND why = ?", (count, lane, why))


def remember_last_id(transaction: Transaction) -> None:
    """Rows went that no summary covers: the greatest id stays known, so that no id is ever given twice."""
    transaction.connection.execute(
        "INSERT INTO kept (key, value) VALUES ('last_id', ?1) ON CONFLICT (key) DO UPDATE SET value = ?1",
        (str(transaction.last_id),),
    )

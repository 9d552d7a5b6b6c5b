"""A damaged database: found at the start, set aside, and what can be read of it brought into a new one.

Found   always: that the small tables can be read; after an end that was not in good order (the write-ahead log is there, or the last run met
        damage and left MARK): all pages, by `PRAGMA quick_check`, for as long as CHECK_S.
Kept    edge.sqlite.damaged-1, -2, … with their logs: the newest KEPT of them, none while less than `keep_free` is free.
Goes on as a new epoch, why "corrupt". Numbers that were given and whose items cannot be read are `lost`, corrupt. No number is given twice:
        the old epoch's are never continued. Where the end of a lane's summaries cannot be read, its rows behind them are left out, so that no
        window is summarised twice: the gap item of the new epoch begins at the last tick that is there.

Nothing is moved before the new file is whole and on the medium: a cut anywhere begins it again or finds it done.
"""

import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.log import fact
from agent.store import aside, folder, log_check, salvage
from agent.store.anchor import Anchor
from agent.store.connection import connect_to_write
from agent.store.migrations import prepare
from agent.store.salvaged import settle
from agent.store.schema import VERSION

MARK = "damaged"
CHECK_S = 20.0
_BUILDING, _BUILT = ".recovering", ".recovered"
_EMPTY, _FOREIGN, _OURS = "empty", "foreign", "ours"
_LOGS = ("-wal", "-shm")
# Small tables first: what is numbered must be known before anything else. Those with ids are read by ranges.
KEYED = ("clock", "summary", "grain", "stream", "lost", "removed", "command", "spent", "kept", "trusted")
BY_ID = ("epoch", "boot", "name", "item", "event", "crossing", "tick", "result")
_OPTIONAL = ("removed", "command", "spent", "kept", "trusted", "crossing")

# Beyond the greatest id that is known of.
_SPARE = 1 << 16

log = logging.getLogger(__name__)


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """what: why the file was given up. rows, missing: by table; missing counts ids, of which not each was a row. aside: where it lies."""

    what: str
    aside: Path
    rows: dict[str, int]
    missing: dict[str, int | None]
    lost_numbers: int
    log_only: bool = False

    def __str__(self) -> str:
        if self.log_only:
            return f"the database was damaged ({self.what}): what was stored last may be missing; it goes on as a new epoch"
        gone = ", ".join(
            f"{table} {'all' if count is None else f'up to {count}'}" for table, count in self.missing.items()
        )
        return (
            f"the database was damaged ({self.what}): {sum(self.rows.values())} rows are recovered; "
            f"not readable: {gone or 'none'}; {self.lost_numbers} numbers are lost. "
            + (
                f"The damaged file is {self.aside}"
                if self.aside.exists()
                else "There was no room to keep the damaged file"
            )
        )


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """log_only: the file itself is whole, what stood in its write-ahead log is gone."""

    what: str
    log_only: bool = False


def look(path: Path, had_store: bool, now_us: Callable[[], int]) -> Damage | None:
    """What is wrong with the database, None when nothing is found (or there is none). had_store: an anchor says that there was one.

    now_us: of a clock that never steps. sqlite3.Error: it cannot be opened for another reason.
    """
    if not path.exists():
        return None
    wal, marked = path.with_name(path.name + "-wal"), path.with_name(MARK).exists()
    thorough = wal.exists() or marked
    # SQLite deletes the log of an empty file.
    log_lost = log_check.has_foreign_header(wal) or (path.stat().st_size == 0 and wal.exists())
    if log_lost:
        aside.rename(wal, aside.name(path, "-wal"))
    for again in (True, False):  # what cannot be read may be at the second time
        try:
            with closing(connect_to_write(path)) as connection:
                if (state := _state(connection)) != _OURS:
                    return Damage(what="the file is empty") if state == _EMPTY and had_store else None
                if log_check.lost_commits(wal):  # looked at while SQLite has it open
                    log_lost = True
                    with suppress(OSError):
                        shutil.copyfile(wal, aside.name(path, "-wal"))
                what = _check(connection, marked, now_us) if thorough else None
        except sqlite3.DatabaseError as error:
            if not folder.is_damage(error):
                raise
            what = str(error)
            if again and folder.is_unreadable(error):
                continue
        break
    if what is not None:
        return Damage(what=what)
    if log_lost:
        return Damage(what="its write-ahead log is damaged", log_only=True)
    path.with_name(MARK).unlink(missing_ok=True)
    return None


def _state(connection: sqlite3.Connection) -> str:
    """sqlite3.DatabaseError: damaged."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        return _EMPTY
    if version == 0 or version > VERSION:
        return _FOREIGN  # another program's, or a newer agent's: not ours to mend
    for table in ("epoch", "boot", "name", *KEYED[:5]):
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return _OURS


def _check(connection: sqlite3.Connection, marked: bool, now_us: Callable[[], int]) -> str | None:
    """marked: SQLite has met damage, so it is looked for to the end, also in what the indexes say."""
    if marked:
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    else:
        end_us = now_us() + round(CHECK_S * 1e6)
        connection.set_progress_handler(lambda: int(now_us() > end_us), 100_000)
        try:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            log.warning(fact("store not checked to its end", limit_s=CHECK_S))
            return None
        finally:
            connection.set_progress_handler(None, 0)
    return None if said == "ok" else str(said).replace("\n", " ")


def leave_mark(path: Path) -> None:
    """Damage was met while the agent ran: the next start looks for it to the end."""
    with suppress(OSError):
        path.with_name(MARK).touch()


def finish(path: Path) -> None:
    """Ends what a cut left half done."""
    building, built = path.with_name(path.name + _BUILDING), path.with_name(path.name + _BUILT)
    aside.remove(building)
    if built.exists():
        if path.exists():  # its original is still in place
            aside.set_aside(path)
        built.rename(path)
        folder.sync_folder(path.parent)
        path.with_name(MARK).unlink(missing_ok=True)


def recover(
    path: Path, damage: Damage, anchor: Anchor | None, *, keep_free: int, free_bytes: Callable[[Path], int]
) -> Recovered:
    """Makes the new database in place of the damaged one. keep_free: raw rows stop when less is free.

    Problem, sqlite3.Error, OSError: there is no room even for what is small, or the disk is broken; the damaged file is where it was.
    """
    log.error(fact("store damaged", error=damage.what))
    if damage.log_only:
        return Recovered(what=damage.what, aside=path, rows={}, missing={}, lost_numbers=0, log_only=True)
    building, built = path.with_name(path.name + _BUILDING), path.with_name(path.name + _BUILT)
    rows: dict[str, int] = {}
    missing: dict[str, int | None] = {}
    aside.make_room(path, lambda: free_bytes(path.parent) < keep_free + path.stat().st_size)
    with closing(connect_to_write(building)) as new:
        prepare(new, building)
        new.execute("PRAGMA synchronous = OFF")  # it is not there before it is whole; then it is synced once
        new.execute("BEGIN IMMEDIATE")
        with suppress(sqlite3.DatabaseError), closing(_open_damaged(path)) as old:
            known = _tables(old)
            for table in (*KEYED, *BY_ID):
                if known is not None and table not in known and table in _OPTIONAL:
                    continue  # a database of an earlier schema
                raw = table in ("tick", "result")
                rows[table], gone = _copy(
                    old, new, table, (lambda: free_bytes(path.parent) > keep_free) if raw else (lambda: True)
                )
                if gone.anything:
                    missing[table] = None if gone.whole else sum(last - first + 1 for first, last in gone.ranges)
        missing.update({table: None for table in (*KEYED, *BY_ID) if table not in rows and table not in _OPTIONAL})
        lost_numbers = settle(new, missing, anchor)
        new.execute("COMMIT")
        new.execute("PRAGMA synchronous = FULL")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for each in _LOGS:
        building.with_name(building.name + each).unlink(missing_ok=True)
    building.rename(built)
    folder.sync_folder(path.parent)
    kept = aside.set_aside(path)
    built.rename(path)
    folder.sync_folder(path.parent)
    aside.make_room(path, lambda: free_bytes(path.parent) < keep_free)
    path.with_name(MARK).unlink(missing_ok=True)
    return Recovered(what=damage.what, aside=kept, rows=rows, missing=missing, lost_numbers=lost_numbers)


def _open_damaged(path: Path) -> sqlite3.Connection:
    """With its log where that can be read, else the file alone."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")  # else a file that was cut off is refused as a whole
    connection.execute("PRAGMA query_only = ON")
    with suppress(sqlite3.DatabaseError):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def _tables(old: sqlite3.Connection) -> set[str] | None:
    try:
        return {str(name) for (name,) in old.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        return None


def _copy(
    old: sqlite3.Connection, new: sqlite3.Connection, table: str, roomy: Callable[[], bool]
) -> tuple[int, salvage.Missing]:
    missing, count = salvage.Missing(), 0
    names = [row[1] for row in _columns(old, table) or _columns(new, table)]
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    if table in KEYED:
        found: Iterable[salvage.Row] = salvage.keyed_rows(old, table, missing)
    else:
        found = salvage.rows(old, table, missing, _most(old, new, table))
    for place, row in enumerate(found):
        if place % 4096 == 0 and not roomy():
            salvage.add(missing, int(row[0]), int(row[0]))
            log.warning(fact("no room for all recovered rows", table=table, rows=count))
            break
        # A row whose values are not what the column holds was not read right: it is left out.
        with suppress(sqlite3.IntegrityError, sqlite3.ProgrammingError, OverflowError):
            count += new.execute(insert, row).rowcount
    return count, missing


def _most(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    """What no id of a table is greater than: rows share one counter, items are as many as there are numbers, the rest are few."""
    if table in ("item", "boot", "epoch", "name"):
        (numbers,) = new.execute("SELECT coalesce(sum(last_seq), 0) FROM stream").fetchone()
        return int(numbers) + _SPARE if table == "item" else _SPARE
    (known,) = new.execute(
        "SELECT max(coalesce((SELECT max(last_tick) FROM summary), 0), coalesce((SELECT max(after_id) FROM epoch), 0))"
    ).fetchone()
    ends = (salvage.end(old, other) for other in ("event", "crossing", "tick", "result"))
    return max(int(known), *(found or 0 for found in ends)) + _SPARE


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    try:
        return connection.execute(f"PRAGMA table_info({table})").fetchall()
    except sqlite3.DatabaseError:
        return []

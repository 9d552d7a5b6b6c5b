"""Connections to `edge.sqlite`: the one that writes, and those that read."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from agent.store import folder

BUSY_S = 5.0


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Autocommit, WAL, every commit on the medium when it returns. sqlite3.Error when the file cannot be used."""
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        # Of a new file. Each commit writes whole pages, so small ones spare the flash: docs/decisions/0027-page-size.md.
        connection.execute("PRAGMA page_size = 1024")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise folder.problem(
                path, f"this file system does not let SQLite keep a write-ahead log (journal mode {mode})",
                "Name a folder on a local disk as `device.data`",
            )  # fmt: skip
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 4194304")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A read-only connection that works while an agent writes, and when none does. Problem (STORE) when there is no readable store."""
    if not path.exists():
        raise folder.problem(path, "there is no store here", "Start the agent once: `edge-agent run CONFIG`")
    try:
        return _reading(path, "mode=ro")
    except sqlite3.Error as error:
        # Who may not write the folder cannot make the log's index; with no log there, the file alone is whole.
        unwritable = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        if unwritable and not path.with_name(path.name + "-wal").exists():
            try:
                return _reading(path, "mode=ro&immutable=1")
            except sqlite3.Error:
                pass
        raise folder.unusable(path, error) from error


def _reading(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{how}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection

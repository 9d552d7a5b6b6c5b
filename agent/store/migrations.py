"""Brings `edge.sqlite` to the schema this version knows.

`PRAGMA user_version` says which one a file has, so that an ordinary start looks at one number. sqlite-utils, whose import costs more than the
rest of a start, is loaded only to run a pending migration. A new file gets its schema by plain SQL, with the marker that sqlite-utils keeps,
so that `sqlite-utils migrate` and later versions see it as applied.
"""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent.problems import Exit, Problem
from agent.store.schema import CROSSINGS, SECOND, TABLES, VERSION, VIEWS

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlite_utils

# Name of the set and of its steps in sqlite-utils' own table. Step n brings user_version from n to n + 1 and is never changed again.
SET = "edge-agent"
FIRST = "m0001_first"
_MARKER = """
CREATE TABLE "_sqlite_migrations" ("id" INTEGER PRIMARY KEY, "migration_set" TEXT, "name" TEXT, "applied_at" TEXT);
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name" ON "_sqlite_migrations" ("migration_set", "name");
"""


def _second(db: "sqlite_utils.Database") -> None:
    for statement in (SECOND + "DROP VIEW summaries;\n" + VIEWS[VIEWS.index("CREATE VIEW summaries") :]).split(";\n"):
        db.execute(statement)


def _third(db: "sqlite_utils.Database") -> None:
    db.execute(CROSSINGS.strip().removesuffix(";"))


LATER: "dict[str, Callable[[sqlite_utils.Database], None]]" = {
    "m0002_bounded": _second,
    "m0003_crossings": _third,
}


def prepare(connection: sqlite3.Connection, path: Path, *, utc: datetime | None = None) -> None:
    """Makes or updates the schema. The connection is in autocommit mode. Problem (STORE) when the file is newer than this agent."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == VERSION:
        return
    if version > VERSION:
        raise Problem(
            where=str(path),
            what=f"the store has schema {version}, this agent knows up to {VERSION}",
            remedy="Install the newer edge-agent again, or name another data folder",
            code=Exit.STORE,
        )
    if version == 0:
        _create(connection, path, utc or datetime.fromtimestamp(0, UTC))
    else:
        _migrate(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _create(connection: sqlite3.Connection, path: Path, utc: datetime) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise Problem(
            where=str(path),
            what="this is another program's SQLite file",
            remedy="Name another data folder",
            code=Exit.STORE,
        )
    marker = "".join(
        f"INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('{SET}', '{name}', '{utc}');\n"
        for name in (FIRST, *LATER)
    )
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in (TABLES + SECOND + VIEWS + CROSSINGS + _MARKER + marker).split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection) -> None:
    import sqlite_utils
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(SET)

    def first(db: "sqlite_utils.Database") -> None:
        db.executescript(TABLES + VIEWS)

    migrations(name=FIRST)(first)
    for name, step in LATER.items():
        migrations(name=name)(step)
    migrations.apply(sqlite_utils.Database(connection))

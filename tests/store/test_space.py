"""Free pages of the database become holes in its file: the file system has the room again, and what is stored stays whole."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.store.connection import connect_to_read, connect_to_write
from agent.store.space import Holes, measure

MANY = 40_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge.sqlite"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_to_write(path)) as connection:
        connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, text BLOB)")
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO row VALUES (?, ?)", ((number, b"%0100d" % number) for number in range(MANY))
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        yield connection


def blocks(path: Path) -> int:
    return path.stat().st_blocks * 512


def whole(connection: sqlite3.Connection, first: int) -> None:
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = connection.execute("SELECT id, text FROM row WHERE id < ? ORDER BY id", (MANY,)).fetchall()
    assert rows == [(number, b"%0100d" % number) for number in range(first, MANY)]


def test_the_room_of_deleted_rows_goes_back(path: Path, connection: sqlite3.Connection) -> None:
    before = blocks(path)
    connection.execute("DELETE FROM row WHERE id < 30000")
    with closing(Holes(path)) as holes:
        assert holes.give_back(connection)
        if not holes.possible:
            pytest.skip("this file system has no holes")
        assert blocks(path) < before * 0.35
        left = measure(connection, path)
        # SQLite's list of free pages: one page of it for 254 others, and each holds a block of the file system.
        assert left.held_bytes < left.free_bytes / 40
        whole(connection, 30_000)
        # New rows take the pages again.
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO row VALUES (?, ?)", ((MANY + number, b"x" * 100) for number in range(20_000))
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole(connection, 30_000)
        assert path.stat().st_size <= before + 65_536
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_a_reader_of_an_older_snapshot_is_waited_for_and_not_disturbed(
    path: Path, connection: sqlite3.Connection
) -> None:
    with closing(connect_to_read(path)) as reader, closing(Holes(path)) as holes:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM row").fetchone() == (MANY,)
        connection.execute("DELETE FROM row WHERE id < 30000")
        assert not holes.give_back(connection)
        assert len(reader.execute("SELECT text FROM row").fetchall()) == MANY
        reader.execute("COMMIT")
        assert holes.give_back(connection)
        whole(connection, 30_000)


def test_another_program_that_writes_meanwhile_is_seen(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM row WHERE id < 30000")
    with closing(connect_to_write(path)) as other, closing(Holes(path)) as holes:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO row VALUES (?, x'00')", (MANY + 1,))
        connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            holes.give_back(connection)
        other.execute("COMMIT")
        assert holes.give_back(connection)
        whole(connection, 30_000)


def test_a_copy_made_afterwards_is_whole(path: Path, connection: sqlite3.Connection, tmp_path: Path) -> None:
    connection.execute("DELETE FROM row WHERE id % 3 = 0 AND id > 100 AND id < 39000")
    connection.execute("DELETE FROM row WHERE id BETWEEN 5000 AND 25000")
    with closing(Holes(path)) as holes:
        assert holes.give_back(connection)
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(path.read_bytes())
    with closing(sqlite3.connect(copy)) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        query = "SELECT count(*), sum(id) FROM row"
        assert other.execute(query).fetchone() == connection.execute(query).fetchone()
    assert copy.stat().st_size == path.stat().st_size

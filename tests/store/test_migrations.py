"""A store of an older version is brought up by sqlite-utils' Migrations, whole or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.store import migrations
from agent.store.connection import connect_to_write
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.writer import open_store


def add_column(database: sqlite_utils.Database) -> None:
    database.execute("ALTER TABLE tick ADD COLUMN extra TEXT")


def fails(database: sqlite_utils.Database) -> None:
    add_column(database)
    raise ValueError("half way")


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=Config()) as store:
        store.submit(lane_second_job(second("yard", 1_000_000, found("face"))))
    return store.path


def columns(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(tick)")]


def test_a_pending_step_is_applied_once_and_rows_stay(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LATER", {**migrations.LATER, "m0004_extra": add_column})
    monkeypatch.setattr(migrations, "VERSION", migrations.VERSION + 1)
    for _ in range(2):
        with closing(connect_to_write(old_store)) as connection:
            migrations.prepare(connection, old_store)
            assert connection.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
            assert connection.execute("SELECT count(*) FROM tick").fetchone() == (1,)
            assert connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall() == [
                (migrations.FIRST,), ("m0002_bounded",), ("m0003_crossings",), ("m0004_extra",),
            ]  # fmt: skip
    assert columns(old_store)[-1] == "extra"


def test_a_step_that_fails_leaves_the_store_as_it_was(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "LATER", {**migrations.LATER, "m0003_extra": fails})
    monkeypatch.setattr(migrations, "VERSION", migrations.VERSION + 1)
    with closing(connect_to_write(old_store)) as connection:
        with pytest.raises(ValueError, match="half way"):
            migrations.prepare(connection, old_store)
        assert connection.execute("PRAGMA user_version").fetchone() == (migrations.VERSION - 1,)
    assert "extra" not in columns(old_store)

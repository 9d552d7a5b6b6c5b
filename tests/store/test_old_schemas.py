"""A store of every version before this one opens, is brought up whole or not at all, and goes on. tests/store/schemas/: what such a version wrote."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.store import migrations
from agent.store.connection import connect_to_read, connect_to_write
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.writer import open_store
from agent.summaries import event_items, rollup

SCHEMAS = sorted((Path(__file__).parent / "schemas").glob("v*.sql"))
TABLES = ("epoch", "boot", "clock", "name", "result", "tick", "event", "summary", "grain", "stream", "item", "lost")


def make(folder: Path, schema: Path) -> Path:
    path = folder / "edge.sqlite"
    with closing(connect_to_write(path)) as connection:
        connection.executescript(schema.read_text())
    return path


def contents(path: Path, columns: dict[str, str] | None = None) -> dict[str, tuple[str, list[tuple[object, ...]]]]:
    """Table → its columns (those of the older version) and its rows."""
    with closing(sqlite3.connect(path)) as connection:
        found = {}
        for table in TABLES:
            names = (
                columns[table]
                if columns
                else ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
            )
            found[table] = names, connection.execute(f"SELECT {names} FROM {table} ORDER BY 1, 2").fetchall()
        return found


def test_every_version_before_this_one_is_here() -> None:
    assert [path.stem for path in SCHEMAS] == [f"v{number}" for number in range(1, migrations.VERSION)]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_an_older_store_keeps_every_row_and_its_views_answer(tmp_path: Path, schema: Path) -> None:
    path = make(tmp_path, schema)
    before = contents(path)
    assert all(rows for _, rows in before.values())
    with closing(connect_to_write(path)) as connection:
        migrations.prepare(connection, path)
        assert connection.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert contents(path, {table: names for table, (names, _) in before.items()}) == before
    with closing(connect_to_read(path)) as connection:
        for view, table in (("results", "result"), ("ticks", "tick"), ("events", "event"), ("summaries", "summary")):
            assert len(connection.execute(f"SELECT * FROM {view}").fetchall()) == len(before[table][1])
            assert connection.execute(f"SELECT count(*) FROM {view} WHERE utc IS NULL OR lane IS NULL").fetchone() == (
                0,
            )


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_an_older_store_has_the_schema_of_a_new_one(tmp_path: Path, schema: Path) -> None:
    def layout(path: Path) -> dict[str, list[tuple[object, ...]]]:
        with closing(sqlite3.connect(path)) as connection:
            names = connection.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
            return {name: connection.execute(f"PRAGMA table_xinfo({name})").fetchall() for (name,) in names.fetchall()}

    old, new = make(tmp_path, schema), tmp_path / "new.sqlite"
    for path in (old, new):
        with closing(connect_to_write(path)) as connection:
            migrations.prepare(connection, path)
    assert layout(old) == layout(new)


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: path.stem)
def test_the_agent_goes_on_with_an_older_store(tmp_path: Path, schema: Path) -> None:
    path = make(tmp_path, schema)
    clock = ManualClock(boot_us=5_000_000, utc="2026-11-25T03:00:00Z", boot="boot-three")
    hooks = [event_items.hook(), rollup.hook("sha256:00", {})]
    with open_store(
        tmp_path, clock=clock, device="north-farm/gate-07", settings=Config(), grains={"yard": (10,)}, hooks=hooks
    ) as store:
        store.submit(clock_job(clock.reading()), ends_group=True).wait(10)
        for _ in range(25):
            clock.advance(1)
            store.submit(lane_second_job(second("yard", clock.boot_us(), found("face"))))
        store.submit(lambda _: None, ends_group=True).wait(10)
        assert store.faults == {}
    with closing(connect_to_read(path)) as connection:
        epochs = connection.execute("SELECT text, prev FROM epoch ORDER BY id").fetchall()
        assert [prev for _, prev in epochs[1:]] == [text for text, _ in epochs[:-1]]
        assert len(epochs) == 3
        ids = [
            row[0]
            for row in connection.execute(
                "SELECT id FROM result UNION ALL SELECT id FROM tick UNION ALL SELECT id FROM event"
            )
        ]
        assert len(ids) == len(set(ids))
        made = connection.execute("SELECT count(*) FROM item WHERE epoch = 3").fetchone()[0]
        assert made >= 4, "a gap item, the window that was open, two windows"


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from agent.store import migrations
from agent.store.connection import connect_to_write
path, left = Path(sys.argv[1]), int(sys.argv[2])
connection = connect_to_write(path)
def count(statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
connection.set_trace_callback(count)
migrations.prepare(connection, path)
"""


@pytest.mark.parametrize("statements", range(2, 44, 3))
def test_a_migration_that_is_cut_off_is_whole_or_not_at_all(tmp_path: Path, statements: int) -> None:
    path = make(tmp_path, SCHEMAS[-1])
    before = contents(path)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(statements)], env={**os.environ}, capture_output=True, timeout=60
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr.decode()
    columns = {table: names for table, (names, _) in before.items()}
    assert contents(path, columns) == before
    with closing(connect_to_write(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        new = {"trusted", "removed", "command", "spent", "kept"}
        assert tables & new in (set(), new)
        migrations.prepare(connection, path)
        assert connection.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
    assert contents(path, columns) == before

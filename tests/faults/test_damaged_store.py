"""A card that goes bad: the real agent over a database with a damaged page, found at the start and while it runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from peers.agents import agent, opened, scene, store_path, wait_for, write_config
from peers.mosquitto import mosquitto
from peers.troubled import status

from agent.problems import Exit

PAGE = 1024


def overwrite(path: Path, table: str) -> None:
    """A page in the middle of a table."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        pages = [
            row[0]
            for row in connection.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))
        ]
    with path.open("r+b") as file:
        file.seek((pages[len(pages) // 2] - 1) * PAGE)
        file.write(b"\xa5" * PAGE)


def results(path: Path) -> int:
    try:
        with opened(path) as connection:
            return int(connection.execute("SELECT count(*) FROM result").fetchone()[0])
    except sqlite3.Error:
        return 0


def items(path: Path, which: str = "1") -> int:
    try:
        with opened(path) as connection:
            return int(connection.execute(f"SELECT count(*) FROM item WHERE {which}").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_it_goes_on_after_damage_that_a_cut_left(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), rate_hz=50.0)
    path = store_path(config)
    with agent(config) as running:
        wait_for(lambda: results(path) > 400, 60, "results")
        running.kill()
    overwrite(path, "result")
    path.with_name("edge.sqlite-wal").touch()
    before = results(path)
    with agent(config) as running:
        wait_for(lambda: path.with_name("edge.sqlite.damaged-1").exists() and results(path) > 0, 30, "the recovery")
        wait_for(lambda: status(config)[1].get("faults", {}).get("damage"), 30, "the word of it in status")
        now = results(path)
        wait_for(lambda: results(path) > now + 20, 30, "new results")
        assert running.terminate()[0] == 0, running.text
    assert "the database was damaged" in running.text
    assert before == 0, "the damaged page could not be read"
    with opened(path) as connection:
        assert connection.execute("SELECT why FROM epoch ORDER BY id").fetchall() == [("new",), ("corrupt",)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_damage_that_is_met_while_it_runs_ends_it_and_the_next_start_recovers(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), rate_hz=50.0)
    path = store_path(config)
    with agent(config) as running:
        wait_for(lambda: results(path) > 200, 60, "results")
        assert running.terminate()[0] == 0
    overwrite(path, "stream")
    aside = path.with_name("edge.sqlite.damaged-1")
    with agent(config) as running:
        # Where the damage lies decides who meets it first: the start, which recovers at once, or the run, which then ends.
        wait_for(lambda: running.process.poll() is not None or aside.exists(), 60, "the damage")
        if running.process.poll() is not None:
            assert running.process.returncode == Exit.STORE
            assert "Start the agent again" in running.text
    with agent(config) as again:
        wait_for(lambda: aside.exists() and results(path) > 0, 60, "the recovery")
        before = results(path)
        wait_for(lambda: results(path) > before, 60, "new results")
        assert again.terminate()[0] == 0


@pytest.mark.long
def test_damage_that_the_sender_meets_ends_the_run_and_the_next_start_recovers(tmp_path: Path) -> None:
    """An old item lies on the bad page: only what sends it reads it."""
    with mosquitto(tmp_path) as broker:
        config = write_config(tmp_path, "gate-07", scene(tmp_path), rate_hz=20.0)
        path = store_path(config)
        with agent(config) as running:
            wait_for(lambda: items(path) > 60, 90, "items that wait")
            assert running.terminate()[0] == 0
        overwrite(path, "item")
        config = write_config(tmp_path, "gate-07", scene(tmp_path), broker.port, rate_hz=20.0)
        with agent(config) as running:
            assert running.process.wait(90) == Exit.STORE, running.text
        assert "Start the agent again" in running.text
        with agent(config) as running:
            wait_for(lambda: path.with_name("edge.sqlite.damaged-1").exists(), 60, "the recovery")
            wait_for(lambda: path.exists() and items(path, "state = 2") > 20, 60, "what is left to be sent")
            assert running.terminate()[0] == 0, running.text
    with opened(path) as connection:
        assert connection.execute("SELECT why FROM epoch ORDER BY id").fetchall() == [("new",), ("corrupt",)]
        assert connection.execute("SELECT count(*) FROM lost WHERE why = 'corrupt'").fetchone()[0] > 0

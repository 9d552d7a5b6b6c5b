"""A disk of 8 MB that another program fills up: the real agent's lanes go on, `status` says so, what was acknowledged is there, and it recovers."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from peers.agents import acknowledged, opened, store_path
from peers.small_disk import fill, small_disk
from peers.troubled import Troubled, status, troubled, write


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """The data folder on a disk of its own."""
    with small_disk(tmp_path / "data") as data:
        yield data


def ticks(config: Path) -> list[tuple[int, int, int, int, int]]:
    with opened(store_path(config)) as connection:
        return connection.execute("SELECT seen, gated, inferred, failed, dropped FROM tick ORDER BY id").fetchall()


def newest_dropped(agent: Troubled) -> int:
    rows = ticks(agent.config)
    return rows[-1][4] if rows else 0


def test_a_disk_that_another_program_fills(tmp_path: Path, small: Path) -> None:
    config, report, ballast = write(tmp_path), tmp_path / "report", small / "ballast"
    with troubled(config, "--report", str(report)) as agent:
        agent.check_goes_on("yard")
        said = acknowledged(report)[-1]
        fill(ballast)
        agent.wait_until(lambda: {"space", "store"} & set(agent.state["faults"]), "word of it")
        fill(ballast)
        looks = agent.lane("yard")
        _, found, text = status(config)
        assert {"space", "store"} & set(found["faults"]), text
        # The newest tick counts it as dropped (older ones may go, to make room); where the other program was faster than the reserve, it is
        # owed to the next tick that can be stored.
        agent.wait_until(
            lambda: newest_dropped(agent) > 5 or agent.state["unstored"].get("yard", 0) > 40,
            "count of what is not stored",
        )
        assert agent.lane("yard")["state"] == looks["state"] == "running"
        ballast.unlink()
        agent.check_goes_on("yard")
        agent.wait_until(lambda: not agent.state["faults"], "its end")
    with closing(sqlite3.connect(store_path(config))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (last,) = connection.execute("SELECT max(id) FROM result").fetchone()
        assert last > said["last_id"]
        (removed,) = connection.execute("SELECT coalesce(sum(ticks), 0) FROM removed").fetchone()
    rows = ticks(config)
    assert all(seen == sum(parts) for seen, *parts in rows)
    dropped = sum(row[4] for row in rows)
    assert dropped > 5 or removed, "neither the rows nor what went to make room tells of what was not stored"

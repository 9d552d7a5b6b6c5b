"""What a connection is set to. That a power cut costs nothing acknowledged cannot be seen by killing a process: it hangs on these."""

import sqlite3
from contextlib import closing
from pathlib import Path

from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.store.connection import connect_to_write
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.values import Bytes

FULL = 2  # PRAGMA synchronous as a number: each commit is flushed to the medium before it returns


def value(connection: sqlite3.Connection, pragma: str) -> object:
    return connection.execute(f"PRAGMA {pragma}").fetchone()[0]


def test_a_commit_is_on_the_medium_when_it_returns(tmp_path: Path) -> None:
    with closing(connect_to_write(tmp_path / "edge.sqlite")) as connection:
        assert value(connection, "synchronous") == FULL
        assert value(connection, "journal_mode") == "wal"
        assert value(connection, "page_size") == 1024


def test_the_store_writes_by_such_a_connection(tmp_path: Path) -> None:
    seen: list[object] = []

    def look(transaction: Transaction) -> None:
        seen.append((value(transaction.connection, "synchronous"), value(transaction.connection, "journal_mode")))

    settings = Config(max_loss_s=60, keep_free=Bytes(0))
    with open_store(tmp_path, clock=ManualClock(5_000_000), device="s/n", settings=settings) as store:
        store.submit(lane_second_job(second("yard", 1_000_000, found("face"))))
        store.submit(look, ends_group=True).wait(20)
    assert seen == [(FULL, "wal")]

"""Commits that are gone from the middle of the write-ahead log: SQLite takes the place for the log's end, the store must not give their numbers again."""

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.store import items, log_check
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.values import Bytes

STREAM = "event/yard"
COMMITS = 30
PAGE = 2048
FRAME = PAGE + 24
ROOMY = Config(keep_free=Bytes(0))


def number(transaction: Transaction) -> None:
    items.append(transaction, STREAM, lambda number: b"%d %s" % (number, os.urandom(300).hex().encode()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lies there after `kill -9`: a database and a log of some commits."""
    folder = tmp_path_factory.mktemp("whole")
    left = tmp_path_factory.mktemp("left")
    with open_store(folder, clock=ManualClock(), device="s/n", settings=ROOMY):
        pass  # the tables are in the database, not in the log
    with open_store(folder, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        for place in range(COMMITS):
            store.submit(lane_second_job(second("yard", (place + 1) * 1_000_000, found("face"))))
            store.submit(number, ends_group=True).wait(5)
        for path in folder.iterdir():
            shutil.copy(path, left)
    return left


def commits(wal: bytes) -> list[int]:
    """The frames that end one."""
    return [
        place for place in range((len(wal) - 32) // FRAME) if any(wal[32 + place * FRAME + 4 : 32 + place * FRAME + 8])
    ]


def flipped(place: int) -> Callable[[bytes], bytes]:
    """One bit of the page of the frame that ends a commit, counted from the log's end when it is negative."""

    def damage(wal: bytes) -> bytes:
        at = 32 + commits(wal)[place] * FRAME + 24 + 700
        return wal[:at] + bytes([wal[at] ^ 8]) + wal[at + 1 :]

    return damage


def torn(wal: bytes) -> bytes:
    """The last commit is there by half: a power cut before it had returned."""
    return wal[: 32 + commits(wal)[-2] * FRAME + FRAME + 500]


LOST = {
    "the first commit": flipped(0),
    "one in the middle": flipped(COMMITS // 2),
    "the last but one": flipped(-2),
    "zeros for the first sectors": lambda wal: b"\0" * 4096 + wal[4096:],
    "garbage": lambda wal: b"garbage!" * (len(wal) // 8),
    "a bit of its header": lambda wal: wal[:17] + bytes([wal[17] ^ 1]) + wal[18:],
}
NOT_LOST = {
    "whole": lambda wal: wal,
    "torn": torn,
    "the last alone": flipped(-1),
    "part of a header": lambda wal: wal[:20],
    "never written": lambda wal: bytes(len(wal)),
}


def opened_with(made: Path, folder: Path, damage: Callable[[bytes], bytes]) -> tuple[str | None, list[str], int, Path]:
    """(the fault that is told, why of each epoch, the last number of the newest, the folder)"""
    for path in made.iterdir():
        shutil.copy(path, folder)
    wal = folder / "edge.sqlite-wal"
    wal.write_bytes(damage(wal.read_bytes()))
    with open_store(folder, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        store.submit(number, ends_group=True).wait(5)
        with store.read() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            why = [text for (text,) in connection.execute("SELECT why FROM epoch ORDER BY id")]
            (last,) = connection.execute(
                "SELECT last_seq FROM stream WHERE epoch = (SELECT max(id) FROM epoch)"
            ).fetchone()
        return store.faults.get("damage"), why, last, folder


@pytest.mark.parametrize("damage", LOST.values(), ids=LOST)
def test_what_was_acknowledged_and_is_gone_begins_a_new_epoch(
    made: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    said, why, last, folder = opened_with(made, tmp_path, damage)
    assert said is not None
    assert "write-ahead log is damaged" in said
    assert why[-1] == "corrupt"
    assert last == 1, "the old epoch's numbers are not given again"
    assert (folder / "edge.sqlite.damaged-1-wal").exists()


@pytest.mark.parametrize("damage", NOT_LOST.values(), ids=NOT_LOST)
def test_what_a_power_cut_leaves_is_no_damage(made: Path, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    said, why, last, _ = opened_with(made, tmp_path, damage)
    assert said is None
    assert why == ["new"]
    if damage is not NOT_LOST["part of a header"] and damage is not NOT_LOST["never written"]:
        assert last >= COMMITS - 1


def test_commits_that_failed_and_were_overwritten_are_no_damage(tmp_path: Path) -> None:
    """A large commit that failed leaves its frames behind a small one that did not: nobody ever counted them."""
    path, wal = tmp_path / "a.sqlite", tmp_path / "a.sqlite-wal"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE row (data)")
        grown = []
        for rows in (1, 40, 10, 1):
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO row VALUES (?)", itertools.repeat((os.urandom(900),), rows))
            connection.execute("COMMIT")
            grown.append(wal.read_bytes())
        base = len(grown[0])
        sizes = [len(later) - len(before) for before, later in itertools.pairwise(grown)]
        parts = [grown[-1][base + sum(sizes[:place]) : base + sum(sizes[: place + 1])] for place in range(3)]
        # The same place, written three times: 40 rows, then 10, then 1 that succeeded; the one that counts is torn here, as the worst case.
        left = bytearray(parts[0])
        left[: len(parts[1])] = parts[1]
        left[: len(parts[2])] = parts[2]
        wal_now = grown[0] + bytes(left)
        folder = tmp_path / "opened"
        folder.mkdir()
        (folder / "a.sqlite").write_bytes(path.read_bytes())
        (folder / "a.sqlite-wal").write_bytes(wal_now)
    with closing(sqlite3.connect(folder / "a.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM row").fetchone() == (1,)
        assert not log_check.lost_commits(folder / "a.sqlite-wal")

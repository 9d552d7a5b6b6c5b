"""Groups, tickets, hooks and reads, on real SQLite."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.problems import Exit, Problem
from agent.store import items
from agent.store.connection import connect_to_read
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Committed, Store, open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
WAIT_S = 20.0


@contextmanager
def opened(folder: Path, clock: ManualClock | None = None, **more: Any) -> Iterator[Store]:
    with open_store(
        folder, clock=clock or ManualClock(5_000_000), device="s/n", settings=more.pop("settings", ROOMY), **more
    ) as store:
        yield store


def column(path: Path, query: str) -> list[Any]:
    connection = connect_to_read(path)
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def nothing(_: Transaction) -> None:
    return None


def test_a_group_is_committed_at_the_job_that_ends_it_with_all_that_joined_before(tmp_path: Path) -> None:
    reports: list[Committed] = []
    with opened(tmp_path, report=reports.append) as store:
        before = len(reports) if store.wait_for_commit(WAIT_S, 0) else 0
        first = store.submit(lane_second_job(second("yard", 6_000_000, found("face"))))
        store.submit(lane_second_job(second("yard", 7_000_000, found("face", "face"))), ends_group=True).wait(WAIT_S)
        first.wait(WAIT_S)
        assert store.wait_for_commit(WAIT_S, before) == before + 1
        assert column(store.path, "SELECT id FROM result UNION ALL SELECT id FROM tick ORDER BY 1") == [1, 2, 3, 4, 5]
    assert reports[-1] == Committed(last_id=5, last_tick=5, epoch=store.epoch_text, streams={})


def test_a_group_is_committed_after_a_thousand_rows(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        ticket = store.submit(lane_second_job(second("yard", 6_000_000, *[found(*["face"] * 100)] * 10)))
        ticket.wait(WAIT_S)  # nothing else ends this group: max_loss_s is a minute


def test_a_group_of_fewer_rows_waits_for_its_time(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        # With its tick 991 rows, and four for new names.
        ticket = store.submit(lane_second_job(second("yard", 6_000_000, *[found(*["face"] * 99)] * 10)))
        commits = store.wait_for_commit(WAIT_S, 0)
        with pytest.raises(TimeoutError):
            ticket.wait(0.2)
        store.submit(lane_second_job(second("yard", 7_000_000, found(*["face"] * 10)))).wait(WAIT_S)
        assert store.wait_for_commit(WAIT_S, 0) == commits + 1


def test_a_group_is_committed_when_its_time_is_over(tmp_path: Path) -> None:
    clock = ManualClock(5_000_000)
    with opened(tmp_path, clock) as store:
        first = store.submit(lane_second_job(second("yard", 6_000_000, found("face"))))
        with pytest.raises(TimeoutError):
            first.wait(0.05)
        clock.advance(61)
        store.submit(nothing)
        first.wait(WAIT_S)


def test_closing_commits_what_was_submitted(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for number in range(50):
            ticket = store.submit(lane_second_job(second("yard", number * 1_000_000, found("face"))))
    ticket.wait(0)
    assert {path.name for path in tmp_path.iterdir()} == {"edge.sqlite", "lock", "anchor.json", "reserve"}
    assert column(store.path, "SELECT count(*) FROM result") == [50]
    with pytest.raises(Problem, match="closed") as caught:
        store.submit(nothing)
    assert caught.value.code is Exit.STORE


def test_a_failing_job_is_undone_alone_with_its_names_and_ids(tmp_path: Path) -> None:
    def fails(transaction: Transaction) -> None:
        transaction.next_ids(7)
        lane = transaction.name("lane", "ghost")
        transaction.connection.execute("INSERT INTO grain VALUES (?, 60, 1)", (lane,))
        raise ValueError("this job only")

    ids: list[int] = []

    def looks(transaction: Transaction) -> None:
        ids.extend((transaction.name("lane", "ghost"), transaction.name("lane", "other"), transaction.next_id()))

    with opened(tmp_path) as store:
        good = store.submit(lane_second_job(second("yard", 6_000_000, found("face"))))
        bad = store.submit(fails)
        store.submit(looks, ends_group=True).wait(WAIT_S)
        good.wait(WAIT_S)
        with pytest.raises(ValueError, match="this job only"):
            bad.wait(WAIT_S)
        with store.read() as connection:
            names = dict(connection.execute("SELECT text, id FROM name WHERE kind = 'lane'"))
            assert connection.execute("SELECT count(*) FROM grain").fetchone() == (0,)
    assert ids == [names["ghost"], names["other"], 3]


def test_a_job_that_fails_for_a_lane_is_told_and_owed_to_its_next_tick(tmp_path: Path) -> None:
    class Fails:
        lane, inputs = "yard", 4

        def __call__(self, transaction: Transaction) -> None:
            transaction.connection.execute("SELECT no_such_column FROM tick")

    with opened(tmp_path) as store:
        store.submit(Fails())
        store.submit(lane_second_job(second("yard", 7_000_000, found("face"))), ends_group=True).wait(WAIT_S)
        assert "no_such_column" in store.faults["lane yard"]
        assert store.unstored == {"yard": 4}
        store.submit(lane_second_job(second("yard", 8_000_000, found("face"))), ends_group=True).wait(WAIT_S)
        with store.read() as connection:
            ticks = connection.execute(
                "SELECT seen, inferred, dropped, counts ->> 'u' FROM tick ORDER BY id"
            ).fetchall()
    assert ticks == [(5, 1, 4, 4), (1, 1, 0, None)]  # once


def test_a_failing_hook_takes_nothing_with_it_and_is_tried_again_hourly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, calls, broken = ManualClock(5_000_000), [], [True]

    def hook(transaction: Transaction) -> None:
        calls.append(transaction.now_us)
        items.append(transaction, "event/yard", lambda number: b"%d" % number)
        if broken[0]:
            raise RuntimeError("bad rows")

    def counts(transaction: Transaction) -> None:
        if transaction.last_id:
            items.append(transaction, "other", lambda number: b"%d" % number)

    with opened(tmp_path, clock, hooks=[hook, counts]) as store:
        caplog.set_level(logging.WARNING)
        for number in range(3):
            store.submit(lane_second_job(second("yard", number * 1_000_000, found("face"))), ends_group=True).wait(
                WAIT_S
            )
        assert len(calls) == 1
        assert [text for place, text in store.faults.items() if "hook" in place] == ["RuntimeError: bad rows"]
        broken[0] = False
        clock.advance(3600)
        store.submit(lane_second_job(second("yard", 9_000_000, found("face"))), ends_group=True).wait(WAIT_S)
        assert not store.faults
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM result").fetchone() == (4,)
            numbers = connection.execute(
                "SELECT text, last_seq FROM stream JOIN name ON name.id = stream ORDER BY 1"
            ).fetchall()
    assert numbers == [("event/yard", 1), ("other", 4)]
    assert sum("bad rows" in record.getMessage() for record in caplog.records) == 1


def test_a_hook_with_more_to_do_gets_another_group_at_once(tmp_path: Path) -> None:
    left = [5]

    def hook(transaction: Transaction) -> None:
        left[0] -= 1
        transaction.again = left[0] > 0

    with opened(tmp_path, hooks=[hook]) as store:
        commits = 0
        while left[0] and commits < 10:
            commits = store.wait_for_commit(WAIT_S, commits)
    assert left[0] <= 0


def test_a_listener_that_fails_stops_nothing(tmp_path: Path) -> None:
    def report(_: Committed) -> None:
        raise OSError("the pipe is gone")

    with opened(tmp_path, report=report) as store:
        store.submit(nothing, ends_group=True).wait(WAIT_S)
        store.submit(nothing, ends_group=True).wait(WAIT_S)
        assert "pipe" in store.faults["report"]


def test_a_full_queue_holds_the_giver_back_then_says_so(tmp_path: Path) -> None:
    holds, held = threading.Event(), threading.Event()

    def job(_: Transaction) -> None:
        held.set()
        holds.wait(WAIT_S)

    with opened(tmp_path) as store:
        store.submit(job)
        assert held.wait(WAIT_S)
        with pytest.raises(TimeoutError):
            for _ in range(1000):
                store.submit(nothing, timeout_s=0.01)
        holds.set()


def test_a_read_is_one_snapshot_and_cannot_write(tmp_path: Path) -> None:
    with opened(tmp_path) as store, store.read() as connection:
        assert connection.execute("SELECT count(*) FROM tick").fetchone() == (0,)
        store.submit(lane_second_job(second("yard", 6_000_000, found("face"))), ends_group=True).wait(WAIT_S)
        assert connection.execute("SELECT count(*) FROM tick").fetchone() == (0,)
        with store.read() as later:
            assert later.execute("SELECT count(*) FROM tick").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM tick")


def test_another_program_that_locks_the_database_holds_jobs_up_but_loses_none(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        store.wait_for_commit(WAIT_S, 0)
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        ticket = store.submit(lane_second_job(second("yard", 6_000_000, found("face"))), ends_group=True)
        with pytest.raises(TimeoutError):
            ticket.wait(0.1)
        other.execute("ROLLBACK")
        other.close()
        ticket.wait(WAIT_S)


def test_a_database_that_breaks_ends_the_thread_and_is_told_to_all(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    page = column(tmp_path / "edge.sqlite", "SELECT rootpage FROM sqlite_schema WHERE name = 'lost'")[0]

    def reads(transaction: Transaction) -> None:
        transaction.connection.execute("SELECT count(*) FROM lost WHERE totals IS NULL").fetchall()

    with pytest.raises(Problem, match="damaged") as at_end, opened(tmp_path) as store:
        store.wait_for_commit(WAIT_S, 0)
        with (tmp_path / "edge.sqlite").open("r+b") as file:
            file.seek((page - 1) * 1024)
            file.write(b"\xff" * 1024)
        lane = store.submit(lane_second_job(second("yard", 6_000_000, found("face"))))
        broken = store.submit(reads)
        for ticket in (lane, broken):
            with pytest.raises(Problem, match="damaged"):
                ticket.wait(WAIT_S)
        with pytest.raises(Problem, match="damaged"):
            store.check()
        with pytest.raises(Problem, match="damaged"):
            store.submit(nothing)
    assert at_end.value.code is Exit.STORE

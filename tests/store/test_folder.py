"""Data folders that cannot be used, and disks that are full."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.problems import Exit, Problem
from agent.store import folder
from agent.store.connection import connect_to_read
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.writer import open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
WAIT_S = 20.0


def open_once(where: Path, device: str = "s/n") -> None:
    with open_store(where, clock=ManualClock(5_000_000), device=device, settings=ROOMY):
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("mount is not installed (apt-get install --no-install-recommends mount)")
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "small", disk], check=False).returncode
    ):
        pytest.skip("mounting a small disk needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_second_agent_is_told_which_process_holds_the_folder(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY):
        assert folder.lock_holder(tmp_path) == f"process {os.getpid()} ({' '.join(sys.orig_argv)})"
        with pytest.raises(Problem, match=f"in use by process {os.getpid()} ") as caught:
            open_once(tmp_path)
    assert caught.value.code is Exit.STORE
    assert folder.lock_holder(tmp_path) is None
    open_once(tmp_path)


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(Problem, match="cannot be used") as caught:
        open_once(tmp_path / "data")
    assert caught.value.code is Exit.STORE


def test_a_read_only_disk(small_disk: Path) -> None:
    open_once(small_disk / "data")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(Problem, match="Read-only file system") as caught:
        open_once(small_disk / "data")
    assert caught.value.code is Exit.STORE
    assert "data" in caught.value.where
    with closing(connect_to_read(small_disk / "data" / "edge.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM epoch").fetchone() == (1,)


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
def test_who_may_not_write_the_folder_cannot_run_there_but_can_read(tmp_path: Path) -> None:
    where = tmp_path / "data"
    open_once(where)
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_mode & 0o005 != 0o005 and path.owner() == "root" and path != Path("/"):
            path.chmod(0o755)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        with pytest.raises(Problem, match="Permission denied") as caught:
            open_once(where)
        with closing(connect_to_read(where / "edge.sqlite")) as connection:
            assert connection.execute("SELECT count(*) FROM epoch").fetchone() == (1,)
    finally:
        os.seteuid(0)
        os.setegid(0)
    assert caught.value.code is Exit.STORE


def test_what_is_no_database_is_set_aside(tmp_path: Path) -> None:
    strange = b"this is no database " * 500
    (tmp_path / "edge.sqlite").write_bytes(strange)
    with open_store(tmp_path, clock=ManualClock(), device="site/name", settings=Config()) as store:
        assert "edge.sqlite.damaged-1" in store.faults["damage"]
    assert (tmp_path / "edge.sqlite.damaged-1").read_bytes() == strange


def test_an_empty_file_of_a_start_that_was_cut_off_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "edge.sqlite").write_bytes(b"")
    open_once(tmp_path)


def test_a_newer_schema_and_a_strange_database_are_left_alone(tmp_path: Path) -> None:
    open_once(tmp_path)
    with closing(sqlite3.connect(tmp_path / "edge.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Problem, match="schema 99") as caught:
        open_once(tmp_path)
    assert caught.value.code is Exit.STORE
    (tmp_path / "other").mkdir()
    with closing(sqlite3.connect(tmp_path / "other" / "edge.sqlite")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(Problem, match="another program"):
        open_once(tmp_path / "other")


def test_no_store_to_read(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no store here") as caught:
        connect_to_read(tmp_path / "edge.sqlite")
    assert caught.value.code is Exit.STORE


def test_below_keep_free_results_are_counted_not_stored(tmp_path: Path) -> None:
    free = [10_000]
    settings, clock = Config(max_loss_s=60, keep_free=Bytes(5_000)), ManualClock()
    with open_store(tmp_path, clock=clock, device="s/n", settings=settings, free_bytes=lambda _: free[0]) as store:
        store.wait_for_commit(WAIT_S, 0)
        free[0] = 4_999
        clock.advance(1)
        job = lane_second_job(second("yard", 1_000_000, found("face", "face"), found(), found("face"), gated=2))
        store.submit(job, ends_group=True).wait(WAIT_S)
        assert store.unstored == {"yard": 2}
        assert "results are not stored" in store.faults["space"]
        free[0] = 5_100
        store.submit(lane_second_job(second("yard", 2_000_000, found("face"))), ends_group=True).wait(WAIT_S)
        with store.read() as connection:
            ticks = connection.execute(
                "SELECT seen, gated, inferred, failed, dropped, counts FROM tick ORDER BY id"
            ).fetchall()
            assert connection.execute("SELECT count(*) FROM result").fetchone() == (1,)
    # The input with nothing found has nothing to store and still counts as inferred.
    assert ticks == [
        (5, 2, 1, 0, 2, '{"m":{"faces":[1,0]},"s":{},"u":2}'),
        (1, 0, 1, 0, 0, '{"m":{"faces":[1,0]},"s":{}}'),
    ]


def test_a_full_disk_is_told_and_heals(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 1_000_000)
    stored = asked = 0
    with open_store(small_disk / "data", clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        failed: Problem | None = None
        while failed is None and asked < 1_000:
            asked += 1
            ticket = store.submit(
                lane_second_job(second("yard", asked * 1_000_000, *[found(*["face"] * 10)] * 20)), ends_group=True
            )
            try:
                ticket.wait(WAIT_S)
                stored += 1
            except Problem as problem:
                failed = problem
        assert failed is not None
        assert failed.code is Exit.STORE
        assert "the disk is full" in str(failed)
        assert "full" in store.faults["store"]
        assert store.unstored == {"yard": 20}
        ballast.unlink()
        store.submit(lane_second_job(second("yard", 10**9, found("face"))), ends_group=True).wait(WAIT_S)
        assert "store" not in store.faults
        with store.read() as connection:
            assert connection.execute("SELECT sum(seen), sum(inferred), sum(dropped) FROM tick").fetchone() == (
                20 * asked + 1, 20 * stored + 1, 20,
            )  # fmt: skip
            assert connection.execute("SELECT count(*) FROM result").fetchone() == (200 * stored + 1,)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_disk_that_stays_full_keeps_what_was_stored_and_ends_in_good_order(small_disk: Path) -> None:
    stored = 0
    with open_store(small_disk / "data", clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        while True:
            job = lane_second_job(second("yard", stored * 1_000_000, *[found(*["face"] * 10)] * 20))
            try:
                store.submit(job, ends_group=True).wait(WAIT_S)
                stored += 1
            except Problem:
                break
    assert 0 < stored < 500
    with closing(connect_to_read(small_disk / "data" / "edge.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM result").fetchone() == (200 * stored,)


def test_space_that_goes_up_and_down_at_the_limit_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    free = [1_000_000]
    settings, clock = Config(max_loss_s=0.2, keep_free=Bytes(1_000_000)), ManualClock()
    with open_store(
        tmp_path, clock=clock, device="site/name", settings=settings, free_bytes=lambda _: free[0]
    ) as store:  # other programs' files come and go
        for turn in range(40):
            free[0] = 999_000 if turn % 2 else 1_001_000
            clock.advance(1)
            store.submit(lambda _: None, ends_group=True).wait(5)
        free[0] = 1_100_000
        store.submit(lambda _: None, ends_group=True).wait(5)
        assert store.faults == {}
    said = [record.getMessage() for record in caplog.records if "space" in record.getMessage()]
    assert [text.partition(" why=")[0].partition(" free=")[0] for text in said] == [
        "store space is low",
        "store has space again",
    ]

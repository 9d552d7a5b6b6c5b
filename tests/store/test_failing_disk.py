"""Every N-th write fails, with an error or for want of room: the store says so, goes on, and recovers; what it acknowledged is there."""

import errno
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
from peers.failing_disk import FailingDisk

from agent.clock import SystemClock
from agent.store import recovery
from agent.store.connection import connect_to_read
from agent.store.settings import Config
from agent.store.writer import Committed, open_store
from agent.values import Bytes

CHILD = Path(__file__).with_name("_crash_child.py")
WAIT_S = 30.0
PAUSE_S = 0.002
SOME = (1, 2, 3, 5, 8, 13, 29, 77, 190, 300)


def lines(report: Path) -> list[Committed]:
    if not report.exists():
        return []
    return [msgspec.json.decode(line, type=Committed) for line in report.read_bytes().split(b"\n")[:-1]]


@contextmanager
def storing(folder: Path, disk: FailingDisk) -> Iterator[Callable[[int], None]]:
    """A child that stores on that disk. Gives what waits until it has said that it stored so many more times."""
    clock, never = SystemClock(), threading.Event()
    report = folder / "report"
    with disk.preloaded(), (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, CHILD, folder / "data", report, str(PAUSE_S)], env={**os.environ, "PYTHONPATH": str(CHILD.parents[2])},
            stderr=log,
        )  # fmt: skip

    def wait_for_lines(more: int) -> None:
        begun_us, count = clock.boot_us(), len(lines(report)) + more
        while len(lines(report)) < count:
            said = (folder / "log").read_text()[-2000:]
            assert child.poll() is None, said
            assert clock.boot_us() - begun_us < WAIT_S * 1e6, f"it stores no more:\n{said}"
            clock.wait(never, 0.01)

    try:
        yield wait_for_lines
    finally:
        child.kill()
        child.wait(WAIT_S)


def run(folder: Path, every: int, number: int, rng: random.Random) -> None:
    """Stores, is troubled, is well again; then killed, and looked at."""
    clock, never = SystemClock(), threading.Event()
    data, report = folder / "data", folder / "report"
    disk = FailingDisk(folder, data)
    with storing(folder, disk) as wait_for_lines:
        wait_for_lines(3)
        disk.fail(every=every, number=number)
        clock.wait(never, rng.uniform(0.1, 0.4))
        begun_us = clock.boot_us()
        while not disk.failed:  # a large N takes its time
            assert clock.boot_us() - begun_us < WAIT_S * 1e6
            clock.wait(never, 0.01)
        disk.work()
        wait_for_lines(5)
    said = lines(report)[-1]
    with open_store(data, clock=clock, device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        assert "damage" not in store.faults
    with closing(connect_to_read(data / "edge.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT max(id) FROM tick").fetchone()[0] >= said.last_tick
        for stream, last in said.streams.items():
            query = "SELECT count(*) FROM item JOIN name ON name.id = stream WHERE text = ? AND seq <= ?"
            assert connection.execute(query, (stream, last)).fetchone() == (last,), "an acknowledged number is gone"
        # What could not be stored is counted as dropped; the rest has its rows.
        (inferred,) = connection.execute("SELECT sum(inferred) FROM tick").fetchone()
        assert connection.execute("SELECT count(*) FROM result").fetchone() == (inferred,)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["error", "full"])
@pytest.mark.parametrize("every", SOME)
def test_every_nth_write_fails(tmp_path: Path, every: int, number: int) -> None:
    run(tmp_path, every, number, random.Random(every))


def test_a_disk_that_takes_nothing_for_long_ends_it_with_a_problem(tmp_path: Path) -> None:
    """Every write fails: after a while (a minute, here half a second) a new start is the better chance."""
    clock, never = SystemClock(), threading.Event()
    data, report = tmp_path / "data", tmp_path / "report"
    disk = FailingDisk(tmp_path, data)
    code = f"from agent.store import group; group.FAILING_US = 500_000; import runpy; runpy.run_path({str(CHILD)!r}, run_name='__main__')"
    with disk.preloaded(), (tmp_path / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-c", code, data, report, str(PAUSE_S)], env={**os.environ, "PYTHONPATH": str(CHILD.parents[2])},
            stderr=log,
        )  # fmt: skip
    try:
        begun_us = clock.boot_us()
        while len(lines(report)) < 3:
            assert child.poll() is None, (tmp_path / "log").read_text()
            assert clock.boot_us() - begun_us < WAIT_S * 1e6
            clock.wait(never, 0.01)
        disk.fail(every=1)
        assert child.wait(WAIT_S) > 0
    finally:
        child.kill()
        child.wait(WAIT_S)
    said = (tmp_path / "log").read_text()
    assert "store ended" in said
    assert "Look at the disk: `dmesg` names what failed" in said
    disk.work()
    with (
        open_store(data, clock=clock, device="s/n", settings=Config(keep_free=Bytes(0))) as store,
        store.read() as connection,
    ):
        assert "damage" not in store.faults
        assert connection.execute("SELECT max(id) FROM tick").fetchone()[0] >= lines(report)[-1].last_tick


def test_what_the_medium_does_not_give_back_is_lost_and_the_rest_goes_on(tmp_path: Path) -> None:
    """A sector in the middle of the items: reading it is an error at every start, and refusing to start would not make it better."""
    data = tmp_path / "data"
    disk = FailingDisk(tmp_path, data)
    with storing(tmp_path, disk) as wait_for_lines:
        wait_for_lines(20)
    with open_store(data, clock=SystemClock(), device="s/n", settings=Config(keep_free=Bytes(0))):
        pass
    with closing(connect_to_read(data / "edge.sqlite")) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        try:
            pages = [
                row[0]
                for row in connection.execute("SELECT pageno FROM dbstat WHERE name = 'item' AND pagetype = 'leaf'")
            ]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no dbstat")
    bad = pages[len(pages) // 2]
    disk.lose((bad - 1) * page_bytes, bad * page_bytes)
    (data / recovery.MARK).touch()  # it was met while an agent ran
    with storing(tmp_path, disk) as wait_for_lines:
        wait_for_lines(5)
        assert disk.failed
        assert "the database was damaged" in (tmp_path / "log").read_text()
    assert (data / "edge.sqlite.damaged-1").exists()
    with closing(connect_to_read(data / "edge.sqlite")) as connection:
        assert connection.execute("SELECT why FROM epoch ORDER BY id").fetchall() == [("new",), ("corrupt",)]
        lost = 0
        for epoch, stream, last in connection.execute("SELECT epoch, stream, last_seq FROM stream").fetchall():
            query = "SELECT count(*) FROM item WHERE epoch = ? AND stream = ?"
            (here,) = connection.execute(query, (epoch, stream)).fetchone()
            query = (
                "SELECT coalesce(sum(last - first + 1), 0) FROM lost WHERE epoch = ? AND stream = ? AND why = 'corrupt'"
            )
            (gone,) = connection.execute(query, (epoch, stream)).fetchone()
            assert here + gone == last
            lost += gone
        assert 0 < lost < 100


@pytest.mark.long
@pytest.mark.parametrize("first", range(1, 301, 30))
def test_every_nth_write_fails_for_each_n(tmp_path: Path, first: int) -> None:
    for every in range(first, first + 30):
        folder = tmp_path / str(every)
        folder.mkdir()
        run(folder, every, (errno.EIO, errno.ENOSPC)[every % 2], random.Random(every))

"""Every N-th write fails, with an error or for want of room: the store says so, goes on, and recovers; what it acknowledged is there."""

import errno
import os
import random
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from peers.failing_disk import FailingDisk

from agent.clock import SystemClock
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


def run(folder: Path, every: int, number: int, rng: random.Random) -> None:
    """Stores, is troubled, is well again; then killed, and looked at."""
    clock, never = SystemClock(), threading.Event()
    data, report = folder / "data", folder / "report"
    disk = FailingDisk(folder, data)
    with disk.preloaded(), (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, CHILD, data, report, str(PAUSE_S)], env={**os.environ, "PYTHONPATH": str(CHILD.parents[2])},
            stderr=log,
        )  # fmt: skip

    def wait_for_lines(count: int) -> None:
        begun_us = clock.boot_us()
        while len(lines(report)) < count:
            assert child.poll() is None, (folder / "log").read_text()
            assert clock.boot_us() - begun_us < WAIT_S * 1e6, (
                f"it stores no more:\n{(folder / 'log').read_text()[-2000:]}"
            )
            clock.wait(never, 0.01)

    try:
        wait_for_lines(3)
        disk.fail(every=every, number=number)
        clock.wait(never, rng.uniform(0.1, 0.4))
        begun_us = clock.boot_us()
        while not disk.failed:  # a large N takes its time
            assert clock.boot_us() - begun_us < WAIT_S * 1e6
            clock.wait(never, 0.01)
        disk.work()
        wait_for_lines(len(lines(report)) + 5)
    finally:
        child.kill()
        child.wait(WAIT_S)
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


@pytest.mark.long
@pytest.mark.parametrize("first", range(1, 301, 30))
def test_every_nth_write_fails_for_each_n(tmp_path: Path, first: int) -> None:
    for every in range(first, first + 30):
        folder = tmp_path / str(every)
        folder.mkdir()
        run(folder, every, (errno.EIO, errno.ENOSPC)[every % 2], random.Random(every))

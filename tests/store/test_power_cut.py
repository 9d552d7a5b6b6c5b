"""The power is cut at random moments: what a commit had returned for is on the medium, what is there is whole, and no number has two contents.

The disk is real (ext4 on a loop device): each cut copies its image under the running store, mounts the copy, and opens the database.
"""

import os
import random
import shutil
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from peers.loop_disk import loop_disk

from agent.clock import SystemClock
from agent.store.connection import connect_to_read
from agent.store.settings import Config
from agent.store.writer import Committed, open_store
from agent.values import Bytes

CHILD = Path(__file__).with_name("_crash_child.py")
WAIT_S = 30.0
# Between two seconds of a lane: the disk is at rest for long enough to be copied.
PAUSE_S = 0.01


def test_eight_cuts(tmp_path: Path) -> None:
    cut_again_and_again(tmp_path, 8, random.Random(20261125))


@pytest.mark.long
def test_a_hundred_cuts(tmp_path: Path) -> None:
    cut_again_and_again(tmp_path, 100, random.Random(11))


def cut_again_and_again(folder: Path, cuts: int, rng: random.Random) -> None:
    clock, never = SystemClock(), threading.Event()
    with loop_disk(folder, megabytes=32, options="commit=30") as disk:
        report = folder / "report"  # on another disk: what is in it was said before the cut
        environment = {**os.environ, "PYTHONPATH": str(CHILD.parents[2])}
        command = [sys.executable, CHILD, disk.folder / "data", report, str(PAUSE_S)]
        child = subprocess.Popen(command, env=environment)
        seen: dict[tuple[int, str, int], bytes] = {}
        rows = 0
        try:
            begun_us = clock.boot_us()
            while len(lines(report)) < 2:
                assert child.poll() is None
                assert clock.boot_us() - begun_us < WAIT_S * 1e6
                clock.wait(never, 0.01)
            for _ in range(cuts):
                clock.wait(never, rng.uniform(0.0, 0.25))
                said = lines(report)[-1]
                with disk.after_power_cut() as found:
                    rows = check(found / "data", said, seen)
        finally:
            child.kill()
            child.wait(WAIT_S)
        assert rows > 20 * cuts, "the workload wrote too little to say anything"


def check(data: Path, said: Committed, seen: dict[tuple[int, str, int], bytes]) -> int:
    """How many rows there are. said: the last commit that had returned before the cut. seen: items of earlier cuts, and then of this one."""
    work = data.parent / "opened"
    shutil.copytree(data, work)  # the agent's next start writes
    with open_store(work, clock=SystemClock(), device="s/n", settings=Config(keep_free=Bytes(0))) as store:
        faults = dict(store.faults)
    assert not faults
    with closing(connect_to_read(work / "edge.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        ids = {row[0] for table in ("result", "tick", "event") for row in connection.execute(f"SELECT id FROM {table}")}
        assert set(range(1, said.last_id + 1)) <= ids, "an acknowledged row is gone"
        items = {
            (epoch, stream, seq): body
            for epoch, stream, seq, body in connection.execute(
                "SELECT epoch, text, seq, body FROM item JOIN name ON name.id = stream"
            )
        }
        for stream, last in said.streams.items():
            assert {(1, stream, number) for number in range(1, last + 1)} <= items.keys(), (
                "an acknowledged number is gone"
            )
        assert seen.items() <= items.items(), "a number has two contents, or went back"
        assert_whole(connection)
    seen.update({key: items[key] for key in items if key[2] <= said.streams.get(key[1], 0)})
    return len(ids)


def assert_whole(connection: Any) -> None:
    """Seconds are there whole or not at all, numbers have no gaps."""
    (inferred,) = connection.execute("SELECT coalesce(sum(inferred), 0) FROM tick").fetchone()
    assert connection.execute("SELECT count(*) FROM result").fetchone() == (inferred,)
    for epoch, stream, last in connection.execute("SELECT epoch, stream, last_seq FROM stream").fetchall():
        query = "SELECT count(*), max(seq) FROM item WHERE epoch = ? AND stream = ?"
        assert connection.execute(query, (epoch, stream)).fetchone() == (last, last)


def lines(report: Path) -> list[Committed]:
    if not report.exists():
        return []
    return [msgspec.json.decode(line, type=Committed) for line in report.read_bytes().split(b"\n")[:-1]]

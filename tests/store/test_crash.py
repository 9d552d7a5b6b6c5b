"""`kill -9` at random moments: what a commit had returned for is there, and neither ids nor numbers are used for two contents."""

import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.clock import SystemClock
from agent.store.connection import connect_to_read
from agent.store.settings import Config
from agent.store.writer import Committed, open_store
from agent.values import Bytes

CHILD = Path(__file__).with_name("_crash_child.py")
WAIT_S = 30.0


def test_ten_kills(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 10, random.Random(20261124))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_three_hundred_kills(tmp_path: Path, seed: int) -> None:
    kill_again_and_again(tmp_path, 30, random.Random(seed))


def kill_again_and_again(folder: Path, kills: int, rng: random.Random) -> None:
    data, report = folder / "data", folder / "report"
    seen_items: dict[tuple[int, str, int], bytes] = {}
    seen_rows: dict[int, tuple[Any, ...]] = {}
    for _ in range(kills):
        lines_before = len(lines(report))
        child = subprocess.Popen(
            [sys.executable, CHILD, data, report], env={**os.environ, "PYTHONPATH": str(CHILD.parents[2])}
        )
        try:
            clock, ready = SystemClock(), threading.Event()
            begun_us = clock.boot_us()
            while len(lines(report)) < lines_before + 2:  # it stores
                assert child.poll() is None
                assert clock.boot_us() - begun_us < WAIT_S * 1e6
                clock.wait(ready, 0.01)
            clock.wait(ready, rng.uniform(0.0, 0.4))
        finally:
            child.kill()
            assert child.wait(WAIT_S) == -signal.SIGKILL
        acknowledged = lines(report)[-1]
        items, rows = read(data)
        assert_holds(acknowledged, items, rows)
        assert seen_items.items() <= items.items(), "a number was used for two contents, or an item is gone"
        assert seen_rows.items() <= rows.items(), "an id was used for two rows, or a row is gone"
        seen_items, seen_rows = items, rows
    with open_store(data, clock=SystemClock(), device="s/n", settings=Config(keep_free=Bytes(0))):
        pass
    with closing(connect_to_read(data / "edge.sqlite")) as connection:
        assert connection.execute("SELECT count(*), min(why) FROM epoch").fetchone() == (
            1,
            "new",
        )  # one boot, one epoch
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        # Whole seconds or nothing: every tick's inferred inputs have their result rows, and no result stands without its tick.
        assert (
            connection.execute("SELECT sum(inferred) FROM tick").fetchone()
            == connection.execute("SELECT count(*) FROM result").fetchone()
        )


def lines(report: Path) -> list[Committed]:
    """Whole lines only: the kill may have cut the last one."""
    if not report.exists():
        return []
    return [msgspec.json.decode(line, type=Committed) for line in report.read_bytes().split(b"\n")[:-1]]


def read(data: Path) -> tuple[dict[tuple[int, str, int], bytes], dict[int, tuple[Any, ...]]]:
    with closing(connect_to_read(data / "edge.sqlite")) as connection:
        items = {
            (epoch, stream, seq): body
            for epoch, stream, seq, body in connection.execute(
                "SELECT epoch, text, seq, body FROM item JOIN name ON name.id = stream"
            )
        }
        rows = {row[0]: row for row in connection.execute("SELECT id, boot, at_us, lane, value FROM result")}
        ticks = connection.execute("SELECT id, boot, at_us, lane, seen FROM tick").fetchall()
        assert not rows.keys() & {row[0] for row in ticks}
        rows |= {row[0]: row for row in ticks}
    return items, rows


def assert_holds(
    acknowledged: Committed, items: dict[tuple[int, str, int], bytes], rows: dict[int, tuple[Any, ...]]
) -> None:
    assert set(range(1, acknowledged.last_id + 1)) <= rows.keys()
    assert acknowledged.last_tick in rows
    for stream, last in acknowledged.streams.items():
        assert {(1, stream, number) for number in range(1, last + 1)} <= items.keys()
    for _, stream, number in items:
        assert (1, stream, number - 1) in items or number == 1  # no gaps

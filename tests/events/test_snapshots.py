"""Snapshots: complete or not there, within their quota, their age and the disk's free room, whatever ends the agent."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.agents import PROJECT, wait_for
from peers.manual_clock import ManualClock

from agent.events.snapshots import Config, Snapshots, purge
from agent.values import Bytes

LIMIT_S = 10.0
DAY_US = 86_400_000_000
ROOMY: Callable[[Path], int] = lambda _: 10**12  # noqa: E731


def opened(data: Path, *, clock: Any = None, keep_free: int = 0, free: Callable[[Path], int] = ROOMY, boot: int = 7, **config: Any) -> Snapshots:  # fmt: skip
    return Snapshots(
        data, Config(**config), boot=boot, clock=clock or ManualClock(), keep_free=keep_free, free_bytes=free
    )


def names(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "snapshots").glob("*"))


def test_what_the_event_says_is_what_lies_in_the_folder(tmp_path: Path) -> None:
    with opened(tmp_path) as snapshots:
        media = snapshots.offer("yard", 123, b"picture")
    assert media is not None
    assert media.ref == "snapshots/yard-7-123.jpg"
    content = (tmp_path / media.ref).read_bytes()
    assert content == b"picture"
    assert media.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert media.bytes == 7
    assert snapshots.told()["written"] == 1


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    with opened(tmp_path) as snapshots:
        snapshots.offer("yard", 1, b"x")
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "snapshots/yard-7-1.jpg").stat().st_mode & 0o777 == 0o600


def test_the_oldest_go_by_quota_also_those_of_earlier_runs(tmp_path: Path) -> None:
    with opened(tmp_path, boot=6) as snapshots:
        for at_us in (1, 2):
            snapshots.offer("yard", at_us, b"x" * 400)
    for age, name in enumerate(("yard-6-2.jpg", "yard-6-1.jpg")):
        os.utime(tmp_path / "snapshots" / name, (1_800_000_000 - age, 1_800_000_000 - age))
    with opened(tmp_path, quota=Bytes(1000)) as snapshots:
        snapshots.offer("yard", 3, b"x" * 400)
    assert names(tmp_path) == ["yard-6-2.jpg", "yard-7-3.jpg"]
    assert snapshots.told()["bytes"] == 800


def test_one_that_is_larger_than_the_quota_is_not_written_and_takes_none_away(tmp_path: Path) -> None:
    with opened(tmp_path, quota=Bytes(1000)) as snapshots:
        snapshots.offer("yard", 1, b"x" * 400)
        snapshots.offer("yard", 2, b"x" * 1001)
    assert names(tmp_path) == ["yard-7-1.jpg"]
    assert snapshots.counts.failed == 1


def test_old_ones_go_by_boot_time_and_those_of_earlier_boots_by_date(tmp_path: Path) -> None:
    clock = ManualClock()
    folder = tmp_path / "snapshots"
    folder.mkdir()
    now_s = (clock.boot_us() + clock.reading().utc_offset_us) / 1e6
    for name, utc_s in (("old-1-1.jpg", now_s - 3 * 86_400), ("new-1-1.jpg", now_s - 86_400), ("undated-1-1.jpg", 0)):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (utc_s, utc_s))
    snapshots = opened(tmp_path, clock=clock, keep_days=2.0)
    snapshots._begin()
    snapshots._trim()
    assert names(tmp_path) == [
        "new-1-1.jpg",
        "old-1-1.jpg",
        "undated-1-1.jpg",
    ]  # the undated one is in front, and stays
    (folder / "undated-1-1.jpg").unlink()
    snapshots = opened(tmp_path, clock=clock, keep_days=2.0)
    snapshots._begin()
    snapshots._trim()
    assert names(tmp_path) == ["new-1-1.jpg"]
    snapshots._keep("fresh-7-1.jpg", b"x")
    clock.advance(86_400 * 1.5)
    snapshots._trim()
    assert names(tmp_path) == ["fresh-7-1.jpg"]


def test_below_keep_free_the_oldest_make_room_and_then_none_is_written(tmp_path: Path) -> None:
    def free(_: Path) -> int:
        return 2000 - sum(path.stat().st_size for path in (tmp_path / "snapshots").glob("*"))

    with opened(tmp_path, keep_free=1000, free=free) as snapshots:
        for at_us in range(5):
            snapshots.offer("yard", at_us, b"x" * 400)
    assert names(tmp_path) == ["yard-7-3.jpg", "yard-7-4.jpg"]
    assert free(tmp_path) >= 1000
    with opened(tmp_path, keep_free=5000, free=free) as snapshots:
        snapshots.offer("yard", 9, b"x")
    assert names(tmp_path) == []
    assert snapshots.counts.failed == 1


def test_a_full_queue_refuses_at_once_and_counts(tmp_path: Path) -> None:
    snapshots = opened(tmp_path)  # its thread does not run: nothing is taken
    taken = [snapshots.offer("yard", at_us, b"x") for at_us in range(40)]
    assert [media is not None for media in taken] == [True] * 32 + [False] * 8
    assert snapshots.counts.dropped == 8


def test_a_folder_that_cannot_be_written_is_said_once_and_heals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "snapshots").write_text("in the way")
    with opened(tmp_path) as snapshots:
        for at_us in range(3):
            assert snapshots.offer("yard", at_us, b"x") is not None
        wait_for(lambda: snapshots.counts.failed == 3, LIMIT_S, "the third fault")
        (tmp_path / "snapshots").unlink()
        snapshots.offer("yard", 9, b"x")
    assert names(tmp_path) == ["yard-7-9.jpg"]
    assert len([record for record in caplog.records if "No snapshots are kept" in record.message]) == 1


def test_what_a_killed_agent_left_half_written_goes_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    (folder / "yard-6-1.jpg.part").write_bytes(b"half")
    (folder / "yard-6-0.jpg").write_bytes(b"whole")
    with opened(tmp_path) as snapshots:
        pass
    assert names(tmp_path) == ["yard-6-0.jpg"]
    assert snapshots.told()["files"] == 1


_WRITER = """
import sys
from pathlib import Path
from agent.clock import SystemClock
from agent.events.snapshots import Config, Snapshots, purge
with Snapshots(Path(sys.argv[1]), Config(), boot=1, clock=SystemClock(), keep_free=0, free_bytes=lambda _: 10**12) as snapshots:
    number = 0
    while True:
        number += snapshots.offer("yard", number, number.to_bytes(4, "big") * 50_000) is not None
"""


def test_killed_at_any_moment_every_picture_that_is_there_is_whole(tmp_path: Path) -> None:
    for turn in range(4):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], cwd=PROJECT)
        wait_for(lambda: (tmp_path / "snapshots").is_dir(), LIMIT_S, "the first picture")
        time.sleep(0.1 + 0.037 * turn)
        writer.kill()
        writer.wait(LIMIT_S)
        pictures = list((tmp_path / "snapshots").glob("*.jpg"))
        assert pictures or turn == 0
        for path in pictures:
            number = int(path.stem.rsplit("-", 1)[1])
            assert path.read_bytes() == number.to_bytes(4, "big") * 50_000
    with opened(tmp_path):
        pass
    assert not list((tmp_path / "snapshots").glob("*.part"))


def test_the_end_waits_for_what_was_taken(tmp_path: Path) -> None:
    before = threading.active_count()
    with opened(tmp_path) as snapshots:
        for at_us in range(20):
            snapshots.offer("yard", at_us, b"x" * 1000)
    assert len(names(tmp_path)) == 20
    assert threading.active_count() == before


def test_a_purge_takes_what_is_older_of_all_lanes_or_of_one(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for name, utc_s in (("yard-1-1.jpg", 1_000), ("a-door-1-2.jpg", 1_000), ("yard-1-3.jpg", 3_000), ("yard-1-4.jpg", 0)):  # fmt: skip
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (utc_s, utc_s))
    assert purge(tmp_path, 2_000, "a-door") == (1, 0)
    assert names(tmp_path) == ["yard-1-1.jpg", "yard-1-3.jpg", "yard-1-4.jpg"]
    assert purge(tmp_path, 2_000) == (1, 1)
    assert names(tmp_path) == ["yard-1-3.jpg", "yard-1-4.jpg"]
    assert purge(tmp_path / "nowhere", 2_000) == (0, 0)


def test_what_a_purge_deletes_is_overwritten_first(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    picture = tmp_path / "snapshots" / "yard-1-1.jpg"
    picture.write_bytes(b"face" * 100)
    os.utime(picture, (1_000, 1_000))
    (tmp_path / "other name").hardlink_to(picture)
    purge(tmp_path, 2_000)
    assert (tmp_path / "other name").read_bytes() == bytes(400)

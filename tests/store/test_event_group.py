"""An event waits for nothing: it ends its group, and one sync of the disk later it is on the medium, whatever `max_loss_s` is."""

import os
from contextlib import closing
from pathlib import Path

from peers.lane_seconds import found, second
from peers.loop_disk import LoopDisk, loop_disk
from peers.manual_clock import ManualClock

from agent.records import Event
from agent.store.connection import connect_to_read
from agent.store.lane_rows import lane_second_job
from agent.store.settings import Config
from agent.store.writer import open_store
from agent.values import Bytes

WAIT_S = 60.0


def someone(at_us: int) -> Event:
    return Event(
        at_us=at_us, rule="someone", severity="warning", phase="start", model="faces", label="face", score=0.9, box=(0.1, 0.2, 0.5, 0.9)
    )  # fmt: skip


def flushes_of_one_sync(disk: LoopDisk) -> int:
    """What one fdatasync of a file that has grown, as the log does, asks of the device."""
    file = os.open(disk.folder / "beside", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        before = disk.flushes()
        os.write(file, bytes(16_384))
        os.fdatasync(file)
        return disk.flushes() - before
    finally:
        os.close(file)


def test_an_event_is_on_the_medium_after_one_sync(tmp_path: Path) -> None:
    settings = Config(max_loss_s=60, keep_free=Bytes(0))
    # The clock stands still: no group ends by time. The file system writes nothing by itself either.
    with (
        loop_disk(tmp_path, megabytes=32, options="commit=300") as disk,
        open_store(disk.folder / "data", clock=ManualClock(5_000_000), device="s/n", settings=settings) as store,
    ):
        commits = store.wait_for_commit(WAIT_S, 0)
        most = flushes_of_one_sync(disk)
        for number in range(1, 4):
            at_us = 6_000_000 + 2_000_000 * number
            store.submit(lane_second_job(second("yard", at_us, found("face"))))
            event = second("yard", at_us + 500_000, found("face"), alive_us=500_000, events=(someone(at_us + 400_000),))
            before = disk.flushes()
            store.submit(lane_second_job(event), ends_group=True).wait(WAIT_S)
            assert 1 <= disk.flushes() - before <= most
            with disk.after_power_cut() as cut, closing(connect_to_read(cut / "data" / "edge.sqlite")) as there:
                assert there.execute("SELECT count(*) FROM event").fetchone() == (number,)
                # What waited for its group is there with it.
                assert there.execute("SELECT count(*) FROM tick").fetchone() == (2 * number,)
        assert store.wait_for_commit(WAIT_S, 0) == commits + 3

"""What the ledger and `status` read of rows that have no time."""

from contextlib import closing
from pathlib import Path

from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.store.connection import connect_to_read
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.reader import undated
from agent.store.settings import Config
from agent.store.writer import open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))


def run_once(folder: Path, boot: str, lane: str, seconds: int, *, knows_the_time: bool) -> None:
    clock = ManualClock(5_000_000, boot=boot)
    if not knows_the_time:
        clock.lose_utc()
    with open_store(folder, clock=clock, device="s/n", settings=ROOMY, grains={"yard": (60,), "pump": (60,)}) as store:
        for number in range(seconds):
            store.submit(lane_second_job(second(lane, (number + 1) * 1_000_000, found("face", "face"))))
        store.submit(clock_job(clock.reading()))


def counted(folder: Path) -> dict[str, tuple[int, int]]:
    with closing(connect_to_read(folder / "edge.sqlite")) as connection:
        return undated(connection)


def test_rows_of_boots_that_never_learnt_the_time_are_counted_by_lane(tmp_path: Path) -> None:
    run_once(tmp_path, "boot-one", "yard", 2, knows_the_time=True)
    assert counted(tmp_path) == {}
    run_once(tmp_path, "boot-two", "yard", 3, knows_the_time=False)
    run_once(tmp_path, "boot-two", "pump", 1, knows_the_time=False)
    assert counted(tmp_path) == {"pump": (1, 2), "yard": (3, 6)}
    run_once(tmp_path, "boot-three", "yard", 4, knows_the_time=True)
    assert counted(tmp_path) == {"pump": (1, 2), "yard": (3, 6)}, "a later boot's time says nothing of an earlier one"


def test_a_time_that_is_learnt_late_dates_all_rows_of_its_boot(tmp_path: Path) -> None:
    run_once(tmp_path, "boot-one", "yard", 3, knows_the_time=False)
    assert counted(tmp_path) == {"yard": (3, 6)}
    run_once(tmp_path, "boot-one", "yard", 1, knows_the_time=True)
    assert counted(tmp_path) == {}

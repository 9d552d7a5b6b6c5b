"""A disk of 8 MB that is full to the last byte: a reserve lets ticks and events go on, and what even that cannot hold is told or waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock
from peers.small_disk import fill, small_disk

from agent.problems import Problem
from agent.records import Event
from agent.store.lane_rows import lane_second_job
from agent.store.reserve import BYTES
from agent.store.settings import Config
from agent.store.writer import Store, open_store
from agent.values import Bytes

WAIT_S = 20.0
ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
S = 1_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def event(at_us: int) -> Event:
    return Event(at_us=at_us, rule="door", severity="warn", phase="start")


def give(store: Store, at_s: int, *, results: int = 0, events: int = 0) -> bool:
    """A second of the lane; whether it is on the medium."""
    inputs = [found("face")] * results or [found()]
    job = second("yard", at_s * S, *inputs, events=tuple(event(at_s * S + place) for place in range(events)))
    ticket = store.submit(lane_second_job(job), ends_group=True)
    try:
        ticket.wait(WAIT_S)
    except Problem as problem:
        assert "the disk is full" in str(problem)  # noqa: PT017
        return False
    return True


def test_events_and_ticks_outlive_a_full_disk(disk: Path) -> None:
    data, ballast = disk / "data", disk / "ballast"
    with open_store(data, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        assert give(store, 1, results=5)
        assert (data / "reserve").stat().st_blocks * 512 >= BYTES
        fill(ballast)
        first = next(at_s for at_s in range(2, 1_000) if not give(store, at_s, results=50, events=1))
        # It failed once; then the reserve is there, for all but results.
        assert not (data / "reserve").exists()
        store.wait_for_commit(WAIT_S, 0)
        stored = [give(store, at_s, results=50, events=1) for at_s in range(first + 1, first + 31)]
        assert all(stored), "the reserve holds ticks and events"
        assert store.unstored["yard"] == 50 * 31
        assert "not stored" in store.faults["space"]

        # Other programs take what was given back: nothing can be stored at all.
        fill(ballast)
        begun, at_s, failed = first + 31, first + 31, 0
        while failed < 20:
            failed += not give(store, at_s, results=50, events=2)
            at_s += 1
        assert "the disk is full" in store.faults["store"]

        ballast.unlink()
        while not give(store, at_s):
            at_s += 1
        with store.read() as connection:
            events = connection.execute("SELECT at_us FROM event ORDER BY id").fetchall()
            told = [(at * S,) for at in range(2, begun)] + [
                (at * S + place,) for at in range(begun, at_s) for place in range(2)
            ]
            assert events == told, "each event is here once, in its order"
            seen, inferred, dropped = connection.execute(
                "SELECT sum(seen), sum(inferred), sum(dropped) FROM tick"
            ).fetchone()
            assert seen == inferred + dropped
            assert connection.execute("SELECT count(*) FROM result").fetchone()[0] <= inferred
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (data / "reserve").exists(), "it is made anew"


def test_it_starts_on_a_full_disk(disk: Path) -> None:
    data = disk / "data"
    with open_store(data, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        assert give(store, 1, results=5)
    fill(disk / "ballast")
    with open_store(data, clock=ManualClock(boot="boot-two"), device="s/n", settings=ROOMY) as store:
        assert give(store, 2, results=5, events=1)
        assert "not stored" in store.faults["space"]
        with store.read() as connection:
            assert connection.execute("SELECT count(*) FROM result").fetchone() == (5,)
            assert connection.execute("SELECT why FROM epoch ORDER BY id").fetchall() == [("new",), ("boot",)]


def test_a_disk_that_is_small_has_none(tmp_path: Path) -> None:
    with open_store(
        tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY, free_bytes=lambda _: 3 * BYTES
    ) as store:
        assert give(store, 1)
    assert not (tmp_path / "reserve").exists()

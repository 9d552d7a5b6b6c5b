"""Little room, and rows that no time is known of: they go only after their windows went out without it."""

from contextlib import closing
from pathlib import Path

import msgspec
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.store.connection import connect_to_read
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.writer import Store, open_store
from agent.summaries import redating, rollup
from agent.summaries.totals import totals
from agent.values import Bytes

S = 1_000_000
SETTINGS = Config(max_loss_s=0.2, keep_free=Bytes(50_000_000))
LITTLE = 52_000_000  # below a tenth more than that


def run_once(folder: Path, clock: ManualClock, seconds: int, *, free: int = 1 << 40, step_s: int = 1) -> None:
    hooks = [rollup.hook("sha256:00", {}), redating.hook()]
    with open_store(
        folder, clock=clock, device="s/n", settings=SETTINGS, grains={"yard": (60,)}, hooks=hooks, totals=totals, free_bytes=lambda _: free
    ) as store:  # fmt: skip
        store.submit(clock_job(clock.reading()), ends_group=True).wait(10)
        for _ in range(seconds // step_s):
            clock.advance(step_s)
            store.submit(lane_second_job(second("yard", clock.boot_us(), found("face"), alive_us=step_s * S)))
        turn(store)


def turn(store: Store) -> None:
    for _ in range(30):
        store.submit(lambda _: None, ends_group=True).wait(10)


def ask(folder: Path, query: str) -> list[tuple]:
    with closing(connect_to_read(folder / "edge.sqlite")) as connection:
        return connection.execute(query).fetchall()


def told(folder: Path) -> int:
    """Inputs in summaries."""
    bodies = [msgspec.json.decode(body) for (body,) in ask(folder, "SELECT body FROM item")]
    return sum(body["fr"]["seen"] for body in bodies if body["k"] == "sum")


def test_rows_of_a_boot_without_a_clock_go_after_their_windows(tmp_path: Path) -> None:
    first = ManualClock(boot="boot-one")
    first.lose_utc()
    run_once(tmp_path, first, 300)
    assert told(tmp_path) == 0
    second_ = ManualClock(boot="boot-two")
    second_.lose_utc()
    run_once(tmp_path, second_, 600, free=LITTLE, step_s=60)
    assert ask(tmp_path, "SELECT count(*) FROM result WHERE boot = 1") == [(300,)], "they are in no window yet"
    run_once(tmp_path, second_, 600, free=LITTLE, step_s=60)
    assert told(tmp_path) == 300 + 5, "five minutes of the second boot are a quarter of an hour old"
    assert ask(tmp_path, "SELECT count(*) FROM result WHERE boot = 1") == [(0,)]
    assert ask(tmp_path, "SELECT why, results FROM removed ORDER BY why") == [("disk_full", 5), ("undated", 300)]
    assert ask(tmp_path, "SELECT count(*) FROM lost") == [(0,)]


def test_what_an_undated_item_that_never_left_adds_up_to() -> None:
    summary = b'{"k":"sum","w":null,"mono":[0,1],"fr":{"seen":3,"gated":0,"inf":3,"drop":0,"fail":0},"models":{"m":{"n":{"face":2}}}}'
    assert totals(summary, None) == {"fr": {"seen": 3, "gated": 0, "inf": 3, "drop": 0, "fail": 0}, "n": {"face": 2}}
    dated = summary.replace(b'"w":null', b'"w":["2026-11-24T03:00:00.250Z",60]')
    assert totals(dated, summary) == {}, "a correction that never left adds nothing to what did"
    event = b'{"k":"evt","t":null,"mono":[5,null],"rule":"door","phase":"start"}'
    assert totals(event, None) == {"evt": {"door": 1}}

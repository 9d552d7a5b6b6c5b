"""After a recovery: no second is summed up twice, what is gone is a named number, thin cover or a gap, and the gap has the right span."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.messages.times import text_ms
from agent.store.connection import connect_to_read
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.writer import open_store
from agent.summaries import rollup
from agent.values import Bytes

S = 1_000_000
EACH = 4
STREAM = "summary/yard/m1"
# Of one page each.
SMALL = ("summary", "stream", "epoch", "clock", "grain", "name")


def live(folder: Path, clock: ManualClock, seconds: int) -> dict[str, str]:
    """So many seconds of a lane, one commit for 20 of them; the faults at the end."""
    settings = Config(keep_free=Bytes(0))
    with open_store(
        folder, clock=clock, device="s/n", settings=settings, grains={"yard": (60,)}, hooks=[rollup.hook("sha256:cc")]
    ) as store:
        store.submit(clock_job(clock.reading()), ends_group=True).wait(5)
        for place in range(1, seconds + 1):
            clock.advance(1)
            ticket = store.submit(
                lane_second_job(second("yard", clock.boot_us(), *[found("face")] * EACH)), ends_group=place % 20 == 0
            )
        ticket.wait(20)
        return dict(store.faults)


def damage(path: Path, table: str, share: float) -> None:
    """A page of a table, so far from its beginning; and the log is left behind, as after a cut."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        try:
            pages = [
                row[0]
                for row in connection.execute(
                    "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,)
                )
            ]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no dbstat")
    with path.open("r+b") as file:
        file.seek((pages[round(share * (len(pages) - 1))] - 1) * size)
        file.write(b"\xa5" * size)
    path.with_name(path.name + "-wal").touch()


def bodies(path: Path) -> list[dict[str, Any]]:
    with closing(connect_to_read(path)) as connection:
        query = "SELECT body FROM item JOIN name ON name.id = stream WHERE text = ? ORDER BY item.epoch, seq"
        return [msgspec.json.decode(body) for (body,) in connection.execute(query, (STREAM,))]


def counted(items: list[dict[str, Any]]) -> dict[str, int]:
    """Inputs by window, as a subscriber adds them up that has received all of them."""
    sums = [one for one in items if one["k"] == "sum"]
    greatest = {(one["epoch"], one["w"][0]): one["seq"] for one in sums}
    found: dict[str, int] = {}
    for one in sums:
        if "carry" in one and greatest.get((one["carry"][0], one["w"][0]), 0) > one["carry"][1]:
            continue
        found[one["w"][0]] = found.get(one["w"][0], 0) + one["fr"]["seen"]
    return found


PLACES = [
    ("tick", 0.0),
    ("tick", 0.5),
    ("tick", 1.0),
    ("result", 0.5),
    ("item", 0.0),
    ("item", 0.5),
    *((small, 0.0) for small in SMALL),
]


@pytest.mark.parametrize(("table", "share"), PLACES)
def test_nothing_is_summed_up_twice_and_the_gap_has_the_right_span(tmp_path: Path, table: str, share: float) -> None:
    path, clock = tmp_path / "edge.sqlite", ManualClock()
    live(tmp_path, clock, 1_000)
    sent = bodies(path)  # a subscriber has all that there was
    whole = counted(sent)
    damage(path, table, share)
    clock.advance(500)
    faults = live(tmp_path, clock, 200)
    assert "damage" in faults
    assert not {place for place in faults if place.startswith("summary")}
    now = {(one["epoch"], one["seq"]): one for one in [*sent, *bodies(path)]}
    assert all(now[one["epoch"], one["seq"]] == one for one in sent), "a number has two contents"
    for window, seen in counted(list(now.values())).items():
        assert seen <= 60 * EACH, f"{window} is counted twice"
        assert seen >= whole.get(window, 0)

    with closing(connect_to_read(path)) as connection:
        (text, after_id) = connection.execute("SELECT text, after_id FROM epoch ORDER BY id DESC LIMIT 1").fetchone()
        last = connection.execute(
            "SELECT at_us FROM tick WHERE id <= ? ORDER BY id DESC LIMIT 1", (after_id,)
        ).fetchone()
        (first,) = connection.execute(
            "SELECT at_us - alive_us FROM tick WHERE id > ? ORDER BY id LIMIT 1", (after_id,)
        ).fetchone()
    gap = next(one for one in bodies(path) if one["epoch"] == text)
    offset_us = clock.reading().utc_offset_us
    assert gap["k"] == "gap"
    assert gap["gap"][1] == text_ms(first + offset_us)
    # The window that was open at the end: what of it is in no summary is in the gap.
    (window, begins), ends = ("2026-11-24T03:16:00Z", "2026-11-24T03:16:00.000Z"), "2026-11-24T03:16:40.000Z"
    since = gap["gap"][0]
    if counted(list(now.values())).get(window) == 40 * EACH:
        assert since == ends
    else:
        assert (
            since is None
            or since == begins
            or (table == "tick" and last is not None and since == text_ms(last[0] + offset_us))
        )
    if table == "summary":
        assert since is None, "nobody knows what was told"
    if table in ("result", "item", "name", "stream", "epoch", "clock") or (table, share) == ("tick", 0.5):
        assert since == ends, (table, gap)

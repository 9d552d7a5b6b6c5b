"""Views and exported rows: times, names, order, and that neither depends on how jobs were grouped."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlite_utils
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.clock import Reading
from agent.records import Event, LaneSecond
from agent.store import export, items, migrations
from agent.store.connection import connect_to_read
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
WAIT_S = 20.0
# 2026-11-24T03:00:00Z at boot second 0.
OFFSET_US = 1_795_489_200_000_000
VISIT = Event(
    at_us=2_400_000, rule="visitor", severity="warn", phase="start", label="face", score=0.9, zone="dock", track=7
)
SECONDS = (
    second("yard", 1_000_000, found("face", "cat"), gated=1),
    second("pump", 1_000_000),
    second("yard", 2_000_000),
    second("pump", 2_000_000, found("face")),
    second("yard", 2_400_000, alive_us=400_000, events=(VISIT,)),
    second("yard", 3_000_000, alive_us=600_000),
    second("pump", 3_000_000),
    second("yard", 4_000_000),
)


def fill(folder: Path, seconds: Sequence[LaneSecond] = SECONDS, *, each: bool = False, dated: bool = True) -> Path:
    """each: a group for every second."""
    with open_store(
        folder,
        clock=ManualClock(5_000_000),
        device="s/n",
        settings=ROOMY,
        grains={"yard": [60], "pump": [60]},
        replay=True,
    ) as store:
        if dated:
            store.submit(
                clock_job(Reading(at_us=0, utc_offset_us=OFFSET_US, source="ntp", error_ms=1)), ends_group=True
            )
        for one in seconds:
            ticket = store.submit(lane_second_job(one), ends_group=each)
            if each:
                ticket.wait(WAIT_S)
    return store.path


def exported(path: Path) -> list[dict[str, Any]]:
    with closing(connect_to_read(path)) as connection:
        return list(export.rows(connection))


def summarise(path: Path) -> None:
    """A summary of all the yard's ticks, as the summaries' hook makes it."""

    def job(transaction: Transaction) -> None:
        lane, stream = transaction.name("lane", "yard"), transaction.name("stream", "summary/yard/m1")
        first, last = transaction.connection.execute(
            "SELECT min(id), max(id) FROM tick WHERE lane = ?", (lane,)
        ).fetchone()
        body = {"v": 1, "epoch": "x", "seq": 1, "of": 1, "cfg": "y", "at": "z", "boot": 1, "cover": 1.0,
                "models": {"faces": {"n": {"face": 2}, "lat": {"p50": 1.0}}}, "cost": {"tx": 1}}  # fmt: skip
        seq = items.append(transaction, "summary/yard/m1", lambda _: json.dumps(body).encode())
        transaction.connection.execute(
            "INSERT INTO summary VALUES (?, 60, ?, ?, 1, ?, 0, ?, ?, ?, 1)",
            (lane, first, last, OFFSET_US, transaction.epoch, stream, seq),
        )

    with open_store(path.parent, clock=ManualClock(boot="replay"), device="s/n", settings=ROOMY) as store:
        store.submit(job)


def test_rows_come_in_the_order_of_time_then_lane_then_storing(tmp_path: Path) -> None:
    path = fill(tmp_path)
    summarise(path)
    rows = [(row["k"], row["t"][17:-1], row["lane"]) for row in exported(path)]
    assert rows == [
        ("result", "00.500000", "yard"), ("result", "00.500000", "yard"), ("tick", "01.000000", "pump"), ("tick", "01.000000", "yard"),
        ("result", "01.500000", "pump"), ("tick", "02.000000", "pump"), ("event", "02.400000", "yard"),
        ("tick", "03.000000", "pump"), ("tick", "04.000000", "yard"), ("sum", "00.000000", "yard"),
    ]  # fmt: skip


def test_rows_say_what_was_seen_not_when_it_was_stored(tmp_path: Path) -> None:
    path = fill(tmp_path)
    summarise(path)
    rows = {(row["k"], row["lane"]): row for row in exported(path)}
    assert rows["result", "pump"] == {
        "k": "result", "t": "2026-11-24T03:00:01.500000Z", "lane": "pump", "model": "faces", "label": "face", "score": 0.9,
        "x0": 0.1, "y0": 0.2, "x1": 0.5, "y1": 0.9, "track": None, "value": None, "extra": None,
    }  # fmt: skip
    assert rows["tick", "yard"] == {
        "k": "tick", "t": "2026-11-24T03:00:04.000000Z", "lane": "yard", "alive_us": 3_000_000, "seen": 0, "gated": 0, "inferred": 0,
        "failed": 0, "dropped": 0, "counts": {},
    }  # fmt: skip
    assert rows["event", "yard"]["body"]["zone"] == "dock"
    assert rows["event", "yard"]["phase"] == "start"
    assert rows["sum", "yard"]["body"] == {"v": 1, "cover": 1.0, "models": {"faces": {"n": {"face": 2}}}}


def ticks(path: Path) -> int:
    with closing(connect_to_read(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM tick").fetchone()[0])


def test_rows_do_not_depend_on_how_jobs_were_grouped(tmp_path: Path) -> None:
    together, apart = fill(tmp_path / "a"), fill(tmp_path / "b", each=True)
    assert exported(together) == exported(apart)
    assert ticks(together) < ticks(apart)


def test_rows_without_a_time_have_boot_time(tmp_path: Path) -> None:
    row = exported(fill(tmp_path, dated=False))[0]
    assert (row["t"], row["at_us"]) == (None, 500_000)


def test_csv_has_one_header_and_json_in_nested_cells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export.print_rows(fill(tmp_path), "csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 9
    assert rows[0]["label"] == "face"
    tick = next(row for row in rows if row["k"] == "tick" and row["seen"] == "2")
    assert json.loads(tick["counts"]) == {"m": {"faces": [1, 0]}, "s": {}}


VIEWS = {
    "results": ("2026-11-24T03:00:00.500Z", {"lane": "yard", "model": "faces", "label": "face", "score": 0.9, "x0": 0.1}),
    "ticks": ("2026-11-24T03:00:01.000Z", {"lane": "yard", "alive_s": 1.0, "seen": 2, "inferred": 1}),
    "events": ("2026-11-24T03:00:02.400Z", {"lane": "yard", "rule": "visitor", "phase": "start", "severity": "warn", "zone": "dock", "track": 7}),
    "summaries": ("2026-11-24T03:00:00.000Z", {"lane": "yard", "grain": "m1", "rev": 0, "seq": 1, "state": "pending"}),
}  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_views_read_well(tmp_path: Path, view: str) -> None:
    path = fill(tmp_path)
    summarise(path)
    utc, expected = VIEWS[view]
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        plain = dict(
            connection.execute(
                f"SELECT * FROM {view} ORDER BY utc, rowid LIMIT 1" if view != "summaries" else f"SELECT * FROM {view}"
            ).fetchone()
        )
    assert plain["utc"] == utc
    assert {key: plain[key] for key in expected} == expected
    printed = subprocess.run(
        [sys.executable, "-m", "sqlite_utils", "rows", path, view, "--limit", "1"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(json.loads(printed.stdout)[0]) == set(plain)


def test_views_take_the_offset_in_force_and_leave_unknown_times_empty(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        store.submit(lane_second_job(second("yard", 1_000_000)), ends_group=True).wait(WAIT_S)
        query = "SELECT utc FROM ticks ORDER BY id"
        with store.read() as connection:
            assert connection.execute(query).fetchall() == [(None,)]
        for at_us, offset_us in ((2_000_000, OFFSET_US), (4_000_000, OFFSET_US - 90_000_000)):
            store.submit(clock_job(Reading(at_us=at_us, utc_offset_us=offset_us, source="ntp", error_ms=1)))
            store.submit(lane_second_job(second("yard", at_us + 1_000_000, gated=1)), ends_group=True).wait(WAIT_S)
        with store.read() as connection:
            assert [utc[11:] for (utc,) in connection.execute(query)] == [
                "03:00:01.000Z",
                "03:00:03.000Z",
                "02:58:35.000Z",
            ]


def test_sqlite_utils_sees_the_schema_as_applied(tmp_path: Path) -> None:
    database = sqlite_utils.Database(fill(tmp_path))
    try:
        from sqlite_utils.migrations import Migrations

        known = Migrations(migrations.SET)
        known(name=migrations.FIRST)(lambda _: None)
        assert known.pending(database) == []
        assert database.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
        assert database.execute("PRAGMA page_size").fetchone() == (1024,)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        database.close()


def test_a_fresh_store_and_an_export_do_not_load_sqlite_utils(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from agent.clock import SystemClock
from agent.store.export import print_rows
from agent.store.settings import Config
from agent.store.writer import open_store
with open_store(Path({str(tmp_path)!r}), clock=SystemClock(), device="s/n", settings=Config()):
    pass
print_rows(Path({str(tmp_path)!r}) / "edge.sqlite")
assert not {{"sqlite_utils", "numpy"}} & set(sys.modules), "too much"
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, cwd=Path(__file__).parents[2])

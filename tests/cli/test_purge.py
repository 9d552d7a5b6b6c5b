"""`edge-agent purge`: what was before a day goes, told by its reason, and its bytes are gone from the file."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from peers.agents import write_config
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.__main__ import main
from agent.problems import Exit
from agent.records import Event
from agent.store import items
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import open_store
from agent.summaries import event_items, rollup
from agent.values import Bytes

SECRET = "somebody-at-the-door"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A store of two days, the border at midnight of 24 November 2026."""
    (tmp_path / "pictures").mkdir()
    path = write_config(tmp_path, "gate-07", tmp_path / "pictures")
    clock = ManualClock(boot_us=10**9, utc="2026-11-23T23:50:00Z")
    with open_store(
        path.parent / "data", clock=clock, device="test/gate-07", settings=Config(max_loss_s=0.2, keep_free=Bytes(0)),
        grains={"yard": (60,), "door": (60,)}, hooks=[event_items.hook(), rollup.hook("sha256:00", {})],
    ) as store:  # fmt: skip
        store.submit(clock_job(clock.reading()), ends_group=True).wait(5)
        for place in range(1_200):
            clock.advance(1.0)
            events = ()
            if place % 100 == 0:
                events = (
                    Event(rule=SECRET if place < 600 else "other", at_us=clock.boot_us(), phase="start", severity="warn", model="faces", label="face", score=0.9),
                )  # fmt: skip
            for lane in ("yard", "door"):
                store.submit(lane_second_job(second(lane, clock.boot_us(), found("face"), events=events)))
            if place % 60 == 59:
                store.submit(lambda _: None, ends_group=True).wait(5)

        def send(transaction: Transaction) -> None:
            ids = [row[0] for row in transaction.connection.execute("SELECT id FROM item ORDER BY id LIMIT 8")]
            items.mark_handed(transaction, ids)
            items.mark_acknowledged(transaction, ids[:4])

        store.submit(send, ends_group=True).wait(5)
    return path


def ask(config: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(config.parent / "data" / "edge.sqlite")) as connection:
        return connection.execute(query).fetchall()


def purge(config: Path, *words: str) -> int:
    return main(["purge", str(config), "--before", "2026-11-24", "--yes", *words])


def test_what_was_before_the_day_goes_and_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert purge(config, "--reason", "privacy") == Exit.DONE
    said = capsys.readouterr().out
    assert "gone: 1200 results, 1200 ticks, 12 events" in said
    assert ask(config, "SELECT count(*), min(utc) FROM results")[0][0] == 1_200
    assert ask(config, "SELECT min(utc) >= '2026-11-24' FROM ticks") == [(1,)]
    lost = ask(
        config, "SELECT text, first, last, why, totals FROM lost JOIN name ON name.id = stream ORDER BY text, first"
    )
    assert {why for _, _, _, why, _ in lost} == {"sent", "privacy"}
    assert all((totals is None) == (why == "sent") for _, _, _, why, totals in lost)
    for stream, last in ask(config, "SELECT text, last_seq FROM stream JOIN name ON name.id = stream"):
        here = [
            seq for (seq,) in ask(config, f"SELECT seq FROM item JOIN name ON name.id = stream WHERE text = '{stream}'")
        ]
        gone = [seq for name, first, end, _, _ in lost if name == stream for seq in range(first, end + 1)]
        assert sorted([*here, *gone]) == list(range(1, last + 1))
    assert ask(config, "SELECT sum(results) FROM removed WHERE why = 'privacy'") == [(1_200,)]
    body = f'"rule":"{SECRET}"'.encode()
    for path in (config.parent / "data").glob("edge.sqlite*"):
        data = path.read_bytes()
        assert body not in data, "no event of then is left, not even in free pages"
    assert ask(config, "PRAGMA integrity_check") == [("ok",)]


def test_one_lane(config: Path) -> None:
    assert purge(config, "--lane", "yard") == Exit.DONE
    counts = dict(ask(config, "SELECT lane, count(*) FROM results GROUP BY lane"))
    assert counts["door"] == 1_200
    assert counts["yard"] == 600
    assert {text for (text,) in ask(config, "SELECT DISTINCT text FROM lost JOIN name ON name.id = stream")} == {
        "summary/yard/m1",
        "event/yard",
    }


def test_the_agent_goes_on_behind_it(config: Path) -> None:
    assert purge(config) == Exit.DONE
    newest = ask(config, "SELECT max(id) FROM tick")[0][0]
    clock = ManualClock(boot_us=10**10, utc="2026-11-25T00:00:00Z")
    with open_store(
        config.parent / "data",
        clock=clock,
        device="test/gate-07",
        settings=Config(keep_free=Bytes(0)),
        grains={"yard": (60,)},
    ) as store:
        store.submit(lane_second_job(second("yard", 10**10 + 10**6, found("face"))), ends_group=True).wait(5)
        with store.read() as connection:
            assert connection.execute("SELECT max(id) FROM tick").fetchone()[0] > newest


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--before", "yesterday", "--yes"], Exit.COMMAND_LINE, "is no day"),
        (["--before", "2999-01-01", "--yes"], Exit.COMMAND_LINE, "in the future"),
        (["--before", "2026-11-24"], Exit.COMMAND_LINE, "Add --yes"),
        (["--before", "2026-11-24", "--yes", "--lane", "nowhere"], Exit.STORE, "no lane 'nowhere'"),
    ],
)
def test_what_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: Exit, said: str
) -> None:
    assert main(["purge", str(config), *words]) == code
    assert said in capsys.readouterr().err


def test_a_running_agent_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_store(
        config.parent / "data",
        clock=ManualClock(boot_us=10**10),
        device="test/gate-07",
        settings=Config(keep_free=Bytes(0)),
    ):
        assert purge(config) == Exit.STORE
    assert "process" in capsys.readouterr().err


def test_snapshots_of_the_days_before_go_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = config.parent / "data" / "snapshots"
    folder.mkdir()
    for name, utc_s in (("yard-1-1.jpg", 1_795_000_000), ("yard-1-2.jpg", 1_795_600_000)):
        (folder / name).write_bytes(b"picture")
        os.utime(folder / name, (utc_s, utc_s))
    assert main(["purge", str(config), "--before", "2026-11-24", "--yes"]) == Exit.DONE
    assert [path.name for path in folder.iterdir()] == ["yard-1-2.jpg"]
    assert "1 snapshots" in capsys.readouterr().out

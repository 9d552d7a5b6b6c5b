"""`status` and `export` as a technician runs them: a config, a data folder, with and without an agent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.lane_seconds import found, second
from peers.manual_clock import ManualClock

from agent.__main__ import main
from agent.cli import status
from agent.clock import SystemClock
from agent.config.read import read
from agent.problems import Exit
from agent.store import items, raw_rows
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=5, keep_free=Bytes(0))
WAIT_S = 20.0
LANE = """
[lane.{lane}.source]
kind = "camera"
url = "clip.avi"
[lane.{lane}.model.faces]
path = "faces.tflite"
decoder = "blazeface"
"""
HEAD = """version = 1
[device]
site = "s"
name = "n"
data = "data"
[store]
keep_free = "{keep_free}"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, "yard", "shed")


def write_config(folder: Path, *lanes: str, keep_free: str = "1 kB") -> Path:
    path = folder / "edge.toml"
    path.write_text(HEAD.format(keep_free=keep_free) + "".join(LANE.format(lane=lane) for lane in lanes))
    return path


@contextmanager
def running(config: Path, clock: Any) -> Iterator[Store]:
    with open_store(config.parent / "data", clock=clock, device="s/n", settings=ROOMY) as store:
        store.submit(clock_job(clock.reading()))
        yield store


def flush(store: Store) -> None:
    store.submit(
        lambda transaction: (items.append(transaction, "event/yard", lambda _: b"x"), None)[1], ends_group=True
    ).wait(WAIT_S)


def collected(config: Path, clock: Any) -> dict[str, Any]:
    return status.collect(read(config), clock)


def test_lanes_their_ages_and_rates(config: Path) -> None:
    clock = ManualClock(10_000_000_000)
    with running(config, clock) as store:
        for ago_s in (4000, 1800, 30, 4):
            at_us = clock.boot_us() - ago_s * 1_000_000
            store.submit(lane_second_job(second("yard", at_us, found("face", "face"), gated=1, dropped=1)))
        store.submit(lane_second_job(second("yard", clock.boot_us() - 2_000_000)))
        store.submit(lane_second_job(second("shed", clock.boot_us() - 2_000_000, alive_us=0)))
        flush(store)
        told = collected(config, clock)
    yard, shed = told["lanes"]["yard"], told["lanes"]["shed"]
    assert (yard["state"], yard["alive_s"], yard["input_s"]) == ("running", 2.0, 4.0)
    assert yard["result_s"] == 4.5
    assert (yard["inputs_minute"], yard["inputs_hour"], yard["dropped_hour"]) == (6, 9, 3)
    assert (yard["results_minute"], yard["results_hour"]) == (4, 6)
    assert (shed["state"], shed["blind"], shed["input_s"], shed["result_s"]) == ("blind", True, None, None)
    assert told["backlog"] == {"event/yard": 1}
    assert told["time_source"] == "ntp"
    assert told["running"].startswith("process ")


def test_a_lane_is_blind_when_its_source_was_open_too_long_ago(config: Path) -> None:
    clock = ManualClock(10_000_000_000)
    with running(config, clock) as store:
        store.submit(lane_second_job(second("yard", clock.boot_us())))
        flush(store)
        clock.advance(24)
        assert not collected(config, clock)["lanes"]["yard"]["blind"]
        clock.advance(2)
        assert collected(config, clock)["lanes"]["yard"]["blind"]


def test_what_the_running_agent_says_of_itself_is_shown_with_its_age(config: Path) -> None:
    clock = ManualClock(10_000_000_000)
    with running(config, clock) as store:
        flush(store)
        why = "gpu died of signal 9; the CPU has taken over"
        model = {"runtime": "litert", "delegate": "xnnpack", "sha256": "x", "problem": None, "degraded": why}
        lanes = {
            "yard": {"state": "ended", "problem": None, "models": {"faces": model}, "picture": ["covered", "moved"]},
            "shed": {"state": "failed", "problem": "no camera"},
        }
        state = {
            "at_us": clock.boot_us() - 3_000_000,
            "boot": clock.boot_id(),
            "lanes": lanes,
            "link": "connected",
            "unstored": {"yard": 3},
        }
        (store.folder / "state.json").write_text(json.dumps(state))
        told = collected(config, clock)
        text = status.describe(told)
        # Of another boot it says nothing.
        assert collected(config, ManualClock(10_000_000_000, boot="boot-two"))["state_age_s"] is None
    assert told["lanes"]["yard"]["state"] == "ended"
    assert not told["lanes"]["yard"]["blind"]
    assert told["lanes"]["shed"]["state"] == "blind"
    assert told["lanes"]["yard"]["delegates"] == {"faces": "xnnpack"}
    assert told["lanes"]["yard"]["picture"] == ["covered", "moved"]
    assert told["lanes"]["shed"]["picture"] == []
    for part in (
        "something covers the lens",
        "the camera was moved",
        "faces on xnnpack",
        why,
        "no camera",
        "connected (3.0 s ago)",
        "yard 3",
        "event/yard 1",
    ):
        assert part in text


def test_the_data_budget_is_told_with_its_state_and_why(config: Path) -> None:
    clock = SystemClock()
    told = {"state": "closed", "month": 20_000_000, "used": 19_950_000, "left": 50_000, "today": 310_000, "how": "measured",
            "until": "2026-12-01T00:00:00Z", "why": "the month's budget is spent", "parts": {}, "moves": []}  # fmt: skip
    link = {"connected": False, "broker": "b:8883", "since_us": clock.boot_us(), "budget": told}
    with running(config, clock):
        path = config.parent / "data" / "state.json"
        for budget, line in [
            (told, "data: 19.95 of 20.00 MB used this month, 0.31 MB today (measured); closed: the month's budget is spent; nothing is sent until 2026-12-01T00:00:00Z"),
            ({**told, "state": "full", "until": None}, "data: 19.95 of 20.00 MB used this month, 0.31 MB today (measured); full"),
        ]:  # fmt: skip
            state = {"at_us": clock.boot_us(), "boot": clock.boot_id(), "lanes": {}, "link": {**link, "budget": budget}}
            path.write_text(json.dumps(state))
            assert line in status.describe(collected(config, clock)).splitlines()


def test_a_link_is_not_said_to_be_up_when_nobody_holds_it(config: Path) -> None:
    clock = ManualClock(10_000_000_000)
    link = {"connected": True, "broker": "b:8883", "since_us": clock.boot_us()}
    state = {"at_us": clock.boot_us(), "boot": clock.boot_id(), "lanes": {}, "link": link}

    def line() -> str:
        return next(one for one in status.describe(collected(config, clock)).splitlines() if one.startswith("link"))

    with running(config, clock) as store:
        flush(store)
        assert line() == "link: none: the config has no [mqtt], nothing is sent"
        config.write_text(config.read_text() + '[mqtt]\nurl = "mqtts://b"\n')
        assert line() == "link: not known"
        (store.folder / "state.json").write_text(json.dumps(state))
        assert line() == "link: connected to b:8883 for 0.0 s (0.0 s ago)"
    assert line() == "link: none: the agent is not running; last said: connected to b:8883 for 0.0 s (0.0 s ago)"
    link |= {"connected": False, "problem": "nobody listens. Start the broker.", "items": 2}
    (config.parent / "data" / "state.json").write_text(json.dumps(state))
    assert "nobody listens. Start the broker; 2 items acknowledged (" in line()
    (config.parent / "data" / "state.json").unlink()
    assert line() == "link: none: the agent is not running"


def test_ages_count_over_a_reboot_by_utc(config: Path) -> None:
    clock = ManualClock(10_000_000_000)
    with running(config, clock) as store:
        store.submit(lane_second_job(second("yard", clock.boot_us(), found("face"))))
        flush(store)
    later = ManualClock(30_000_000, utc="2026-11-24T03:02:00Z", boot="boot-two")
    told = collected(config, later)
    assert told["lanes"]["yard"]["input_s"] == 120.0
    assert told["lanes"]["yard"]["state"] == "stopped"
    assert told["running"] is None
    later.lose_utc()
    assert collected(config, later)["lanes"]["yard"]["input_s"] is None


def test_low_space_is_said(tmp_path: Path) -> None:
    config = write_config(tmp_path, "yard", keep_free="900000000 GB")
    with running(config, ManualClock()):
        pass
    told = collected(config, ManualClock())
    assert not told["storing_results"]
    assert "results are not stored" in status.describe(told)


def test_the_size_and_what_went_to_keep_it_are_said(tmp_path: Path) -> None:
    config = write_config(tmp_path, "yard")
    config.write_text(config.read_text().replace('keep_free = "1 kB"', 'keep_free = "1 kB"\nmax_bytes = "50 MB"'))

    def removes(transaction: Transaction) -> None:
        raw_rows.count_removed(transaction.connection, "result", "sent", [(transaction.name("lane", "yard"), 40)])
        raw_rows.count_removed(transaction.connection, "tick", "sent", [(transaction.name("lane", "yard"), 8)])
        items.lose(transaction, transaction.epoch, transaction.name("stream", "summary/yard/m1"), 1, 12, "sent")

    with running(config, ManualClock()) as store:
        store.submit(removes)
        flush(store)
    told = collected(config, ManualClock())
    assert told["store"]["removed"] == {"yard": {"sent": {"results": 40, "ticks": 8, "events": 0}}}
    assert told["store"]["lost"] == {"sent": 12}
    assert told["store"]["max_bytes"] == 50_000_000
    assert 0 < told["store"]["live_bytes"] < 1_000_000
    text = status.describe(told)
    assert "of 50.0 MB" in text
    assert "removed of yard: 40 results (their summaries are acknowledged)" in text
    assert "items gone: 12 (sent)" in text


def test_the_commands_and_their_exit_codes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(config)]) == Exit.STORE
    assert "no store here" in capsys.readouterr().err
    clock = SystemClock()
    config = write_config(config.parent, "yard")
    with running(config, clock) as store:
        store.submit(lane_second_job(second("yard", clock.boot_us(), found("face"))))
        flush(store)
        assert main(["status", str(config)]) == Exit.DONE
        assert "yard" in capsys.readouterr().out
        assert main(["export", str(config), "--rows"]) == Exit.DONE
        assert [json.loads(line)["k"] for line in capsys.readouterr().out.splitlines()] == ["result", "tick"]
        assert main(["export", str(config)]) == Exit.DONE, "rows are what is printed without a word, too"
        assert len(capsys.readouterr().out.splitlines()) == 2
        assert main(["export", str(config), "--todo"]) == Exit.COMMAND_LINE
        assert "--items" in capsys.readouterr().err
    write_config(config.parent, "yard", "shed")  # a lane that never ran is blind
    assert main(["status", str(config), "--json"]) == Exit.NO
    assert json.loads(capsys.readouterr().out)["lanes"]["shed"]["state"] == "stopped"


def test_without_a_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    if status.CONFIGS[1].exists():
        pytest.skip(f"{status.CONFIGS[1]} is there")
    assert main(["status"]) == Exit.COMMAND_LINE
    assert "no config file is named" in capsys.readouterr().err


def test_snapshots_are_told_with_what_was_not_kept(config: Path) -> None:
    clock = ManualClock()
    with running(config, clock) as store:
        flush(store)
        told = {"files": 3, "bytes": 1_200_000, "written": 4, "dropped": 0, "failed": 1, "hidden": 2, "removed": 1}
        state = {"boot": clock.boot_id(), "at_us": clock.boot_us(), "snapshots": told}
        (config.parent / "data" / "state.json").write_text(json.dumps(state))
        found = collected(config, clock)
    assert found["snapshots"] == told
    line = "snapshots: 3, 1.2 MB; 2 not made, for nobody knew who is in them; 1 failed"
    assert line in status.describe(found).splitlines()

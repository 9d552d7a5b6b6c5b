"""What a replay does with what recordings can hold: restarts, broken lanes, events that began before, heads of other versions, other models."""

import hashlib
import heapq
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from peers.agents import VIEW_MODEL
from peers.link_device import LinkDevice

from agent.clock import Reading
from agent.pipeline.recorder import open_recorder
from agent.pipeline.replay import _turns, replay
from agent.problems import Exit, Problem, Problems
from agent.records import Frame, Gap, Input, Read, Tick, Write
from agent.sources.serial_sensor import Config, open_unpack
from agent.values import RelativePath
from firmware_bridge.framing import Packet, Receiver
from firmware_bridge.requests import Requests
from tools.golden import rows_of

HEAD = """version = 1
[device]
site = "test"
name = "gate-07"
data = "data"
[store]
keep_free = "900 TB"
"""
CAMERA = """
[lane.yard]
summaries = ["s1"]
[lane.yard.source]
kind = "images"
path = "pictures"
[lane.yard.model.view]
path = "{model}"
sha256 = "{sha256}"
[rule.dark]
lane = "yard"
label = "night"
clear_s = 0.1
"""
SENSOR = """
[lane.pump]
summaries = ["s1"]
[lane.pump.source]
kind = "serial_sensor"
port = "/dev/serial/by-id/usb-edge-agent-accelerometer"
[lane.pump.window]
length_s = {length_s}
hop_s = 0.04
features = "log-bands"
[lane.pump.model.bearing]
path = "{model}"
"""
VIBRATION_MODEL = VIEW_MODEL.parent / "vibration-int8.tflite"
SECOND = 1_000_000
UTC_US = 1_795_489_200_000_000
RNG = np.random.default_rng(4)
DAY = np.kron(RNG.integers(0, 255, (24, 32, 3)), np.ones((4, 4, 1))).astype(np.uint8)
NIGHT = (DAY * 0.06).astype(np.uint8)


def camera(sha256: str = "0" * 64, model: Path = VIEW_MODEL) -> str:
    return CAMERA.format(model=model, sha256=sha256).replace(f'sha256 = "{"0" * 64}"\n', "")


def recording(folder: Path, config: str, records: Iterable[Input | Tick], lane: str = "yard", **head: Any) -> Path:
    with open_recorder(folder, {"agent": "0", **head}, HEAD + config) as recorder:
        recorder.clock(Reading(at_us=0, utc_offset_us=UTC_US, source="ntp", error_ms=35))
        for record in records:
            recorder.lane(lane).note(record)
    return folder


def frames(*pictures: Any, begin_us: int = 0) -> list[Input | Tick]:
    """One a tenth of a second, then the tick."""
    times = range(begin_us, begin_us + len(pictures) * 100_000, 100_000)
    taken: list[Input | Tick] = [Frame(at_us=at_us, bgr=one) for at_us, one in zip(times, pictures, strict=True)]
    return [*taken, Tick(at_us=begin_us + SECOND, alive_us=SECOND, dropped=0)]


def rows(folder: Path, to: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in rows_of(replay(folder, to)).splitlines()]


def phases(found: list[dict[str, Any]]) -> list[str]:
    return [row["phase"] for row in found if row["k"] == "event"]


def counted(found: list[dict[str, Any]], count: str) -> int:
    return sum(row[count] for row in found if row["k"] == "tick")


def test_little_room_on_the_disk_changes_no_rows(tmp_path: Path) -> None:
    folder = recording(tmp_path / "one", camera(), frames(DAY, DAY, NIGHT))  # HEAD wants 900 TB free
    found = rows(folder, tmp_path / "store")
    assert [row["label"] for row in found if row["k"] == "result"] == ["day", "day", "night"]
    assert phases(found) == ["start"]


def test_lanes_are_merged_by_the_greatest_time_so_far_then_lane_then_line(tmp_path: Path) -> None:
    gap = [Gap(at_us=at_us, why="stall") for at_us in (10, 40, 20, 60)]  # 20: a camera whose times step back
    folder = recording(tmp_path / "one", camera(), [*gap, Tick(at_us=70, alive_us=1, dropped=0)])
    recording(tmp_path / "two", camera(), [gap[2], gap[1], gap[3], Tick(at_us=70, alive_us=1, dropped=0)])
    merged = heapq.merge(_turns(1, tmp_path / "two" / "yard"), _turns(0, folder / "yard"), key=lambda turn: turn[:3])
    assert [(turn.lane, turn.record.at_us) for turn in merged] == [
        (0, 10), (1, 20), (0, 40), (0, 20), (1, 40), (0, 60), (1, 60), (0, 70), (1, 70),
    ]  # fmt: skip


def test_a_restart_forgets_what_was_not_counted_and_keeps_the_event(tmp_path: Path) -> None:
    records = [
        *frames(NIGHT, NIGHT),
        Frame(at_us=1_100_000, bgr=NIGHT),
        Gap(at_us=1_500_000, why="restart"),
        *frames(NIGHT, DAY, DAY, DAY, begin_us=2 * SECOND),
    ]
    found = rows(recording(tmp_path / "one", camera(), records), tmp_path / "store")
    assert counted(found, "seen") == 6
    assert phases(found) == ["start", "end"]


def test_an_event_that_had_started_before_does_not_start_again(tmp_path: Path) -> None:
    records = frames(NIGHT, NIGHT, DAY, DAY, DAY)
    plain = rows(recording(tmp_path / "plain", camera(), records), tmp_path / "plain-store")
    assert phases(plain) == ["start", "end"]
    active = recording(tmp_path / "active", camera(), records, active={"yard": ["dark"]})
    assert phases(rows(active, tmp_path / "active-store")) == ["end"]


def line(seconds: float, begin_us: int) -> list[Input | Tick]:
    """What went over the line to a simulated sensor, from the opening of its port, and ticks."""
    device, requests = LinkDevice(), Requests()
    records: list[Input | Tick] = []
    for step in range(round(seconds / 0.02)):
        at_us = begin_us + step * 20_000
        if request := requests.due(at_us * 1000):
            records.append(Write(at_us=at_us, data=request))
            device.receive(request)
        data = device.transmit(1)
        records.append(Read(at_us=at_us + 10, data=data))
        requests.take(_packets(data), at_us * 1000)
        if step % 50 == 49:
            records.append(Tick(at_us=at_us + 19_000, alive_us=SECOND, dropped=0))
    return records


def _packets(data: bytes) -> list[Packet]:
    return list(Receiver().feed(data))


def test_what_broke_a_lane_then_breaks_it_until_its_restart(tmp_path: Path) -> None:
    # A window too short for its features is known only when the device has told its rate.
    config = SENSOR.format(model=VIBRATION_MODEL, length_s=0.05)
    taken = line(1.0, 0)
    whole = recording(tmp_path / "no-restart", config, taken, lane="pump")
    with pytest.raises(Problem, match="length_s"):  # nothing in the recording says that it broke then too
        replay(whole, tmp_path / "no-restart-store")
    first_break = _first_break(taken)
    records: list[Input | Tick] = []
    for life in range(3):
        records += [*_moved(taken[: first_break + 1], life * SECOND), Gap(at_us=life * SECOND + 900_000, why="restart")]
    records.append(Tick(at_us=4 * SECOND, alive_us=0, dropped=0))
    found = rows(recording(tmp_path / "restarts", config, records, lane="pump"), tmp_path / "restarts-store")
    assert counted(found, "seen") == 0
    assert counted(found, "alive_us") == 0


def _first_break(taken: list[Input | Tick]) -> int:
    """Place of the record with the first samples that follow the description."""
    unpack = open_unpack(Config(port=RelativePath("/dev/null")))
    return next(place for place, record in enumerate(taken) if not isinstance(record, Tick) and unpack.take(record))


def _moved(records: list[Input | Tick], by_us: int) -> list[Input | Tick]:
    return [msgspec.structs.replace(record, at_us=record.at_us + by_us) for record in records]


def test_a_sensor_line_gives_readings_with_their_unit(tmp_path: Path) -> None:
    config = SENSOR.format(model=VIBRATION_MODEL, length_s=0.512)
    found = rows(recording(tmp_path / "one", config, line(4.0, 0), lane="pump"), tmp_path / "store")
    assert counted(found, "inferred") > 8
    windows = [row["body"]["sens"] for row in found if row["k"] == "sum" and "sens" in row["body"]]
    assert windows
    assert {reading["unit"] for window in windows for reading in window.values()} == {"m/s2"}


def test_a_model_that_is_another_by_now_is_looked_for_by_its_digest(tmp_path: Path) -> None:
    shipped = hashlib.sha256(VIEW_MODEL.read_bytes()).hexdigest()
    other = tmp_path / "view.tflite"
    other.write_bytes(VIEW_MODEL.read_bytes() + b"trained anew")
    for path in (other, tmp_path / "gone.tflite"):
        folder = recording(tmp_path / path.stem, camera(shipped, path), frames(DAY))
        assert [row["label"] for row in rows(folder, tmp_path / f"{path.stem}-store") if row["k"] == "result"] == [
            "day"
        ]
    folder = recording(tmp_path / "unknown", camera("1" * 64, tmp_path / "gone.tflite"), frames(DAY))
    with pytest.raises(Problems, match=r"lane\.yard\.model\.view") as caught:
        replay(folder, tmp_path / "unknown-store")
    assert caught.value.code == Exit.MODEL


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, r"this is no recording: No such file or directory\. Name"),
        ("format = ", "this is no recording"),
        ("agent = 1", "this is no recording"),
        ("format = 2", "its format is 2, this version reads 1"),
        ('format = "1"', "this is no recording"),
    ],
)
def test_what_is_no_recording_is_named(tmp_path: Path, text: str | None, what: str) -> None:
    folder = recording(tmp_path / "one", camera(), frames(DAY))
    assert tomllib.loads((folder / "recording.toml").read_text())["format"] == 1
    (folder / "recording.toml").unlink()
    if text is not None:
        (folder / "recording.toml").write_text(text)
    with pytest.raises(Problem, match=what) as caught:
        replay(folder, tmp_path / "store")
    assert caught.value.code == Exit.COMMAND_LINE


def test_a_clock_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    folder = recording(tmp_path / "one", camera(), frames(DAY))
    with (folder / "clock.jsonl").open("ab") as clock:
        clock.write(b'{"at_us":500000,"utc_off')
    assert all(row["t"].startswith("2026-11-24T03:00:0") for row in rows(folder, tmp_path / "store"))


def test_a_lane_that_took_nothing_has_no_rows(tmp_path: Path) -> None:
    folder = recording(tmp_path / "one", camera() + SENSOR.format(model=VIBRATION_MODEL, length_s=0.512), frames(DAY))
    assert {row["lane"] for row in rows(folder, tmp_path / "store")} == {"yard"}


@pytest.mark.parametrize("fix_s", [None, 1_000, 1_200])
def test_a_recording_without_a_clock_replays_the_same(tmp_path: Path, fix_s: int | None) -> None:
    """Its windows go out by boot time after a quarter of an hour; a fix in the recording corrects them."""
    with open_recorder(tmp_path / "r", {"agent": "0"}, HEAD + camera().replace('"s1"', '"m1"')) as recorder:
        for number in range(120):
            at_us = (number + 1) * 10 * SECOND
            recorder.lane("yard").note(Tick(at_us=at_us, alive_us=10 * SECOND, dropped=number % 3))
            if fix_s is not None and at_us == fix_s * SECOND:
                recorder.clock(Reading(at_us=at_us, utc_offset_us=UTC_US, source="ntp", error_ms=35))
    first, second = (rows_of(replay(tmp_path / "r", tmp_path / name)) for name in ("one", "two"))
    assert first == second
    sums = [row for row in map(json.loads, first.splitlines()) if row["k"] == "sum"]
    undated = [row for row in sums if "mono" in row["body"]]
    # At 1,200 s the tick that ends then lets a fourth and fifth window go, unless the fix is there before it.
    assert len(undated) == {None: 5, 1_000: 1, 1_200: 4}[fix_s]
    assert {(row["rev"], row["t"] is None, row["body"]["w"] is None) for row in undated} == {
        (0, True, True) if fix_s is None else (1, False, False)
    }
    if fix_s is None:
        assert [row["at_us"] for row in undated] == [60 * SECOND * number for number in range(1, 6)]
    else:
        assert sums[len(undated)]["body"]["w"][1] == 60

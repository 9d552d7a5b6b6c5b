"""What `record` and `run --record` wrote gives, replayed, the rows of the live run, byte for byte; one that was killed, up to its last tick."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from peers.agents import PROJECT, VIEW_MODEL, agent, opened, scene, store_path, wait_for, write_config
from peers.h264_server import H264Server, needs_gstreamer

from agent.pipeline.replay import replay
from firmware_bridge.build import run_firmware
from tools.golden import rows_of

LIMIT_S = 60.0
CLIP = """
[lane.gate]
summaries = ["s1"]
[lane.gate.source]
kind = "camera"
url = "{clip}"
loop = true
[lane.gate.gate]
kind = "motion"
rate_hz = 5.0
every_s = 0.5
[lane.gate.model.view]
path = "{model}"
every_s = 0.3
top = 4
"""
SENSOR = """version = 1
[device]
site = "test"
name = "pump-house"
data = "data"
[lane.pump]
summaries = ["s1", "s2"]
[lane.pump.source]
kind = "serial_sensor"
port = "{port}"
[lane.pump.window]
length_s = 0.512
hop_s = 0.256
features = "log-bands"
[lane.pump.model.bearing]
path = "{model}"
decoder = "anomaly"
[rule.worn]
lane = "pump"
label = "anomaly"
for_s = 0.5
[store]
max_loss_s = 0.3
keep_free = "1 MB"
"""


def rows(text: str, kind: str) -> list[dict[str, Any]]:
    return [row for row in map(json.loads, text.splitlines()) if row["k"] == kind]


def clip(folder: Path) -> Path:
    """A square that moves over a chequered wall; then it rests."""
    path = folder / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (96, 64))
    for number in range(30):
        picture = (
            np.kron(np.indices((8, 12)).sum(0) % 2, np.ones((8, 8))).astype(np.uint8)[..., None].repeat(3, 2) * 120
        )
        cv2.rectangle(picture, (min(number, 15) * 4, 20), (min(number, 15) * 4 + 12, 40), (0, 0, 255), -1)
        writer.write(picture)
    writer.release()
    return path


def test_lanes_at_once_are_replayed_as_they_ran(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard", "door"))
    config.write_text(config.read_text() + CLIP.format(clip=clip(tmp_path), model=VIEW_MODEL))
    recording = tmp_path / "recording"
    with agent(config, str(recording), "--for", "3", command="record") as running:
        assert running.process.wait(LIMIT_S) == 0, running.text
    live = rows_of(recording / "live" / "edge.sqlite")
    shutil.rmtree(recording / "live")
    command = [sys.executable, "-m", "agent", "replay", str(recording)]
    again = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert again.stdout == live
    # Nothing of that is equal for being empty.
    assert (
        {row["lane"] for row in rows(live, "result")}
        == {row["lane"] for row in rows(live, "sum")}
        == {"yard", "door", "gate"}
    )
    assert sum(row["gated"] for row in rows(live, "tick")) > 0
    assert rows(live, "event")


@pytest.fixture(scope="module")
def firmware_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    with run_firmware(tmp_path_factory.mktemp("firmware"), kind="native", fault_from_s=2) as firmware:
        yield firmware.port


def test_a_sensor_is_replayed_as_it_ran(tmp_path: Path, firmware_port: str) -> None:
    config = tmp_path / "edge-agent.toml"
    config.write_text(SENSOR.format(port=firmware_port, model=PROJECT / "models" / "vibration-int8.tflite"))
    recording = tmp_path / "recording"
    with agent(config, str(recording), "--for", "6", command="record") as running:
        assert running.process.wait(LIMIT_S) == 0, running.text
    live = rows_of(recording / "live" / "edge.sqlite")
    assert rows_of(replay(recording, tmp_path / "replay")) == live
    assert rows(live, "result")
    assert [row["phase"] for row in rows(live, "event")][:1] == ["start"]
    windows = [row["body"]["sens"] for row in rows(live, "sum") if "sens" in row["body"]]
    assert windows
    assert {reading["unit"] for window in windows for reading in window.values()} == {"m/s2"}


def event_count(path: Path) -> int:
    if not path.exists():
        return 0
    try:
        with opened(path) as connection:
            return int(connection.execute("SELECT count(*) FROM event").fetchone()[0])
    except sqlite3.OperationalError:  # the tables are being made
        return 0


def test_a_run_with_an_event_is_replayed_and_so_is_the_next_one_which_begins_in_it(tmp_path: Path) -> None:
    # By turns 0.2 s of day and 0.2 s of night: with clear_s = 0.3 the event starts and goes on.
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",))
    store = store_path(config)
    with agent(config, "--record", str(tmp_path / "first")) as running:
        wait_for(lambda: event_count(store) and tick_count(tmp_path / "first" / "yard") >= 4, 30, "an event")
        assert running.terminate()[0] == 0, running.text
    live = rows_of(store)
    assert rows_of(replay(tmp_path / "first", tmp_path / "replay-first")) == live
    before = rows(live, "event")
    assert before[-1]["phase"] == "start"

    with agent(config, "--record", str(tmp_path / "second")) as running:
        wait_for(lambda: tick_count(tmp_path / "second" / "yard") >= 3, 30, "three ticks")
        assert running.terminate()[0] == 0, running.text
    after = rows(rows_of(store), "event")[len(before) :]
    again = rows_of(replay(tmp_path / "second", tmp_path / "replay-second"))
    assert rows(again, "event") == after
    assert rows(again, "result")


def tick_count(lane: Path) -> int:
    lines = lane / "input.jsonl"
    return lines.read_bytes().count(b'"k":"tick"') if lines.exists() else 0


def test_a_killed_recording_is_replayed_up_to_its_last_tick(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard", "door"), rate_hz=30.0)
    recording = tmp_path / "recording"
    with agent(config, str(recording), command="record") as running:
        wait_for(lambda: min(tick_count(recording / lane) for lane in ("yard", "door")) >= 5, 30, "ticks of both lanes")
        running.kill()
    stores = [recording / "live" / "edge.sqlite", replay(recording, tmp_path / "replay")]
    copies = [copied(path, tmp_path / f"{number}.sqlite") for number, path in enumerate(stores)]
    last = {lane: min(last_tick(path, lane) for path in copies) for lane in ("yard", "door")}
    for path in copies:
        cut(path, last)
    live, again = map(rows_of, copies)
    assert again == live
    assert rows(live, "sum")
    assert len(rows(live, "tick")) >= 6
    # The replay is not short of what was flushed: its last ticks are those of the recording.
    for lane in ("yard", "door"):
        lines = (recording / lane / "input.jsonl").read_bytes().splitlines()
        flushed = [json.loads(line)["at_us"] for line in lines if line.endswith(b"}") and b'"tick"' in line]
        assert last_tick(stores[1], lane) == flushed[-1]


def copied(path: Path, to: Path) -> Path:
    with opened(path) as connection:
        copy = sqlite3.connect(to)
        connection.backup(copy)
        copy.close()
    return to


def last_tick(path: Path, lane: str) -> int:
    with opened(path) as connection:
        query = "SELECT max(at_us) FROM tick JOIN name ON name.id = lane WHERE text = ?"
        return int(connection.execute(query, (lane,)).fetchone()[0])


def cut(path: Path, last: dict[str, int]) -> None:
    """Leaves of each lane what came up to its tick at that time, and the windows that this tick closed."""
    connection = sqlite3.connect(path)
    for text, at_us in last.items():
        lane = connection.execute("SELECT id FROM name WHERE kind = 'lane' AND text = ?", (text,)).fetchone()[0]
        tick = connection.execute("SELECT id FROM tick WHERE lane = ? AND at_us = ?", (lane, at_us)).fetchone()[0]
        for table in ("result", "event", "tick"):
            connection.execute(f"DELETE FROM {table} WHERE lane = ? AND id > ?", (lane, tick))
        connection.execute("DELETE FROM summary WHERE lane = ? AND last_tick >= ?", (lane, tick))
    connection.commit()
    connection.close()


def test_a_folder_that_holds_something_is_not_recorded_over(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",))
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "mine").write_text("a thesis")
    for arguments in (
        ["record", str(config), str(tmp_path / "recording")],
        ["run", str(config), "--record", str(tmp_path / "recording")],
    ):
        command = [sys.executable, "-m", "agent", *arguments]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 2
        assert "it holds something already" in done.stderr


@needs_gstreamer
def test_a_camera_s_planes_are_replayed_as_they_ran(tmp_path: Path) -> None:
    """H.264 over RTSP behind a motion gate: what the gate and the models see is equal byte for byte."""
    config, recording = tmp_path / "edge-agent.toml", tmp_path / "recording"
    with H264Server(moving=True) as server:
        head = '[device]\nsite = "test"\nname = "gate-07"\ndata = "data"\n'
        lane = CLIP.format(clip=server.url, model=VIEW_MODEL).replace('"camera"', '"rtsp"').replace("loop = true\n", "")
        config.write_text(f'version = 1\n{head}{lane}[store]\nmax_loss_s = 0.3\nkeep_free = "1 MB"\n')
        with agent(config, str(recording), "--for", "4", command="record") as running:
            assert running.process.wait(LIMIT_S) == 0, running.text
    live = rows_of(recording / "live" / "edge.sqlite")
    assert rows_of(replay(recording, tmp_path / "replay")) == live
    assert len(rows(live, "result")) >= 8
    assert sum(row["gated"] for row in rows(live, "tick")) > 0
    lines = list(map(json.loads, (recording / "gate" / "input.jsonl").read_text().splitlines()))
    assert {line["k"] for line in lines} == {"planes", "tick"}

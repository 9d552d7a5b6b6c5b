import tomllib
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Reading
from agent.pipeline.recorder import open_recorder
from agent.problems import Problem
from agent.records import Frame, Gap, Read, Tick, Write
from agent.sources.recording import records

RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 255, (24, 32, 3), dtype=np.uint8)
TAKEN = [
    Frame(at_us=10, pixels=PICTURE),
    Gap(at_us=20, why="stall"),
    Frame(at_us=30, pixels=PICTURE[::-1].copy()),
    Tick(at_us=1_000_000, alive_us=900_000, dropped=2),
    Read(at_us=1_000_100, data=b"abc"),
    Write(at_us=1_000_200, data=b"\x00\x01"),
    Read(at_us=1_000_300, data=b"defg"),
    Tick(at_us=2_000_000, alive_us=1_000_000, dropped=0),
]


def record(folder: Path) -> Path:
    with open_recorder(folder, {"agent": "0", "models": {"yard": {"faces": "ab"}}}, "version = 1\n") as recorder:
        lane = recorder.lane("yard")
        for one in TAKEN:
            lane.note(one)
        recorder.clock(Reading(at_us=0, utc_offset_us=5, source="ntp", error_ms=35))
    return folder / "yard"


def test_a_lane_takes_from_a_recording_what_was_taken_then(tmp_path: Path) -> None:
    again = list(records(record(tmp_path / "one")))
    assert [type(one) for one in again] == [type(one) for one in TAKEN]
    for one, before in zip(again, TAKEN, strict=True):
        if isinstance(one, Frame) and isinstance(before, Frame):
            assert one.at_us == before.at_us
            assert np.array_equal(one.pixels, before.pixels)
        else:
            assert one == before
    assert (
        tmp_path / "one" / "clock.jsonl"
    ).read_text() == '{"at_us":0,"utc_offset_us":5,"source":"ntp","error_ms":35}\n'
    head = tomllib.loads((tmp_path / "one" / "recording.toml").read_text())
    assert head == {"format": 1, "agent": "0", "models": {"yard": {"faces": "ab"}}}


def test_a_killed_recording_ends_at_its_last_tick(tmp_path: Path) -> None:
    lane = record(tmp_path)
    text = (lane / "input.jsonl").read_bytes()
    (lane / "input.jsonl").write_bytes(text[:-40])  # in the middle of the last tick's line
    assert list(records(lane))[-1] == TAKEN[3]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    lane = record(tmp_path)
    lines = (lane / "input.jsonl").read_bytes().splitlines(keepends=True)
    (lane / "input.jsonl").write_bytes(b"".join([lines[0], b"{garbage\n", *lines[2:]]))
    with pytest.raises(Problem, match=r"input\.jsonl:2"):
        list(records(lane))


def test_a_missing_frame_file_is_named(tmp_path: Path) -> None:
    lane = record(tmp_path)
    (lane / "frames" / "000002.png").unlink()
    with pytest.raises(Problem, match=r"000002\.png"):
        list(records(lane))


def test_a_cameras_own_jpeg_is_kept_as_it_came(tmp_path: Path) -> None:
    with open_recorder(tmp_path, {}, "") as recorder:
        recorder.lane("yard").note(Frame(at_us=1, pixels=PICTURE, encoded=b"\xff\xd8 the camera's bytes"))
        recorder.lane("yard").note(Tick(at_us=2, alive_us=1, dropped=0))
    assert (tmp_path / "yard" / "frames" / "000001.jpg").read_bytes() == b"\xff\xd8 the camera's bytes"


def test_lanes_go_on_when_the_recording_has_ended(tmp_path: Path) -> None:
    with open_recorder(tmp_path, {}, "") as recorder:
        lane = recorder.lane("yard")
        lane.note(TAKEN[0])
        lane.note(TAKEN[3])
        recorder.close()
        lane.note(TAKEN[2])
        recorder.clock(Reading(at_us=0, utc_offset_us=5, source="ntp", error_ms=35))
    assert len(list(records(tmp_path / "yard"))) == 2

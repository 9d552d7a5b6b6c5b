import json
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest

from agent.clock import Reading
from agent.pipeline.recorder import open_recorder
from agent.problems import Problem
from agent.records import Frame, Gap, Read, Tick, Write
from agent.sources.recording import records

SECOND = 1_000_000
RNG = np.random.default_rng(7)
PICTURE = RNG.integers(0, 255, (24, 32, 3), dtype=np.uint8)
TAKEN = [
    Frame(at_us=10, bgr=PICTURE),
    Gap(at_us=20, why="stall"),
    Frame(at_us=30, bgr=PICTURE[::-1].copy()),
    Frame(at_us=40, i420=RNG.integers(0, 256, (36, 32), dtype=np.uint8)),
    Frame(at_us=50, bgr=PICTURE, small_luma=RNG.integers(0, 256, (12, 16), dtype=np.uint8)),
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
            for plane in ("bgr", "i420", "small_luma", "luma", "pixels"):
                found, expected = getattr(one, plane), getattr(before, plane)
                assert (found is None) == (expected is None), plane
                assert found is None or np.array_equal(found, expected), plane
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
    assert list(records(lane))[-1] == TAKEN[5]


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
        recorder.lane("yard").note(Frame(at_us=1, bgr=PICTURE, encoded=b"\xff\xd8 the camera's bytes"))
        recorder.lane("yard").note(Tick(at_us=2, alive_us=1, dropped=0))
    assert (tmp_path / "yard" / "frames" / "000001.jpg").read_bytes() == b"\xff\xd8 the camera's bytes"


def test_lanes_go_on_when_the_recording_has_ended(tmp_path: Path) -> None:
    with open_recorder(tmp_path, {}, "") as recorder:
        lane = recorder.lane("yard")
        lane.note(TAKEN[0])
        lane.note(TAKEN[5])
        recorder.close()
        lane.note(TAKEN[2])
        recorder.clock(Reading(at_us=0, utc_offset_us=5, source="ntp", error_ms=35))
    assert len(list(records(tmp_path / "yard"))) == 2


def test_more_frames_than_the_disk_takes_leave_a_gap_and_the_lane_goes_on(tmp_path: Path) -> None:
    noise = RNG.integers(0, 255, (360, 640, 3), dtype=np.uint8)
    with open_recorder(tmp_path, {}, "") as recorder:
        lane = recorder.lane("yard")
        for number in range(60):  # at once: a PNG takes some ms
            lane.note(Frame(at_us=number, bgr=noise))
        lane.note(Tick(at_us=SECOND, alive_us=SECOND, dropped=0))
        for _ in range(4000):
            if not lane.waiting:
                break
            threading.Event().wait(0.005)
        lane.note(Frame(at_us=SECOND + 1, bgr=PICTURE))
        lane.note(Tick(at_us=2 * SECOND, alive_us=SECOND, dropped=0))
    lines = [json.loads(line) for line in (tmp_path / "yard" / "input.jsonl").read_text().splitlines()]
    taken = [line for line in lines if line["k"] == "frame"]
    assert 16 <= len(taken) < 61
    assert len(list((tmp_path / "yard" / "frames").iterdir())) == len(taken)  # none is written in vain
    assert [line.get("why", line["k"]) for line in lines[-3:]] == ["recorder", "frame", "tick"]
    assert lines[-3]["at_us"] == SECOND + 1
    assert sum(line["k"] == "tick" for line in lines) == 2


@pytest.mark.parametrize("name", ["frames", "input.jsonl", "read.bin"])
def test_a_disk_that_fails_ends_the_recording_and_not_the_lane(tmp_path: Path, name: str) -> None:
    lane_folder = tmp_path / "yard"
    lane_folder.mkdir()
    if name == "frames":
        (lane_folder / name).write_text("not a folder")
    else:
        (lane_folder / name).mkdir()
    with open_recorder(tmp_path, {}, "") as recorder:
        lane = recorder.lane("yard")
        for one in TAKEN * 100:
            lane.note(one)
    assert lane.problem is not None
    assert str(lane_folder) in lane.problem


def test_a_lane_that_starts_after_the_end_records_nothing(tmp_path: Path) -> None:
    with open_recorder(tmp_path, {}, "") as recorder:
        recorder.close()
        recorder.lane("yard").note(TAKEN[0])
    assert (tmp_path / "yard" / "input.jsonl").read_bytes() == b""


def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(Problem, match="the recording cannot be written"),
        open_recorder(tmp_path / "file" / "r", {}, ""),
    ):
        pass


def test_a_recording_leaves_the_disk_the_room_that_the_store_keeps_free(tmp_path: Path) -> None:
    free = [3_000_000]
    with open_recorder(tmp_path, {}, "", keep_free=2_000_000, free_bytes=lambda _: free[0]) as recorder:
        lane = recorder.lane("yard")
        lane.note(TAKEN[0])
        lane.note(TAKEN[5])
        for _ in range(4000):
            if not lane.waiting:
                break
            threading.Event().wait(0.005)
        assert lane.problem is None
        free[0] = 1_999_999
        for number in range(2, 40):  # the disk is looked at with each tick that is written
            lane.note(Read(at_us=number * SECOND - 1, data=b"abc"))
            lane.note(Tick(at_us=number * SECOND, alive_us=SECOND, dropped=0))
    assert lane.problem is not None
    assert "2.0 MB" in lane.problem
    ticks = [one for one in records(tmp_path / "yard") if isinstance(one, Tick)]
    assert 1 <= len(ticks) <= 2


def test_a_picture_that_cannot_be_encoded_ends_the_recording_and_not_the_lane(tmp_path: Path) -> None:
    with open_recorder(tmp_path, {}, "") as recorder:
        lane = recorder.lane("yard")
        lane.note(Frame(at_us=10, bgr=np.zeros((0, 0, 3), np.uint8)))
        for one in TAKEN:
            lane.note(one)
    assert lane.problem is not None

"""From a frame to what is kept of it: a rule's picture is hidden, encoded, named in its event; nothing is kept of what nobody knows."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from peers.agents import agent, opened, scene, store_path, wait_for, write_config
from peers.manual_clock import ManualClock
from peers.runners import Scripted, found

from agent.config.read import Loaded, read
from agent.events.privacy import Config, Hiding
from agent.events.rules import Config as Rule
from agent.events.rules import Rules
from agent.events.snapshots import Config as SnapshotConfig
from agent.events.snapshots import Snapshots
from agent.log import Repeated
from agent.pipeline import build
from agent.pipeline.lane import Loop, Model
from agent.pipeline.replay import replay
from agent.pipeline.showing import LaneShowing, Showing, Watch, check_recording
from agent.pipeline.units import Units
from agent.problems import Exit, Problem
from agent.records import Event, Frame, Inference, LaneSecond, SampleWindow, Tick
from tools.golden import rows_of

LIMIT_S = 60.0
BOX = (0.25, 0.25, 0.5, 0.5)


def noise(seed: int = 1) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_NEAREST), np.uint8)


class Refusing:
    """A gate that holds everything back."""

    warm = quiet = False
    boxes = np.zeros((0, 4), np.float32)

    def take(self, record: Frame | SampleWindow) -> bool:
        return False

    def tracked(self, boxes: np.ndarray) -> None:
        pass


class Lane:
    """A loop with a rule that keeps pictures, over scripted models."""

    def __init__(self, folder: Path, answers: Mapping[str, Scripted], blur: str = "persons", **settings: Any) -> None:
        self.snapshots = Snapshots(
            folder, SnapshotConfig(), boot=3, clock=ManualClock(), keep_free=0, free_bytes=lambda _: 10**12
        )
        self.watch = Watch()
        self.seconds: list[LaneSecond] = []
        hiding = Hiding(Config(blur=blur), {name: ("person",) for name in answers if name != "other"})  # type: ignore[arg-type]
        self.pictures = LaneShowing(
            "yard", hiding, snapshots=self.snapshots, watch=self.watch, faults=Repeated(logging.getLogger("test"))
        )
        rules = {"seen": Rule(lane="yard", label="person", snapshot=True), "quiet": Rule(lane="yard", label="person")}
        self.loop = Loop(
            "yard",
            [Model(name=name, runner=runner) for name, runner in answers.items()],
            self.seconds.append,
            milliseconds=lambda: 0.0,
            rules=Rules(rules, {}),
            showing=self.pictures,
            **settings,
        )

    def run(self, *frames: Frame) -> Sequence[Event]:
        with self.snapshots:
            for frame in frames:
                self.loop.take(frame)
            self.loop.take(Tick(at_us=10_000_000, alive_us=1, dropped=0))
        return self.seconds[-1].events


def frame(at_us: int = 1_000_000, seed: int = 1) -> Frame:
    return Frame(at_us=at_us, bgr=noise(seed))


def test_the_event_names_the_picture_in_which_the_person_is_hidden(tmp_path: Path) -> None:
    lane = Lane(tmp_path, {"view": Scripted({1_000_000: ["person"]})})
    seen, quiet = lane.run(frame())
    assert quiet.media is None
    assert seen.media is not None
    content = (tmp_path / seen.media.ref).read_bytes()
    assert seen.media.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert seen.media.bytes == len(content)
    kept = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    difference = np.abs(kept.astype(int) - noise().astype(int)).mean(axis=2)
    assert difference[60:120, 80:160].mean() > 20  # the box
    assert difference[140:].mean() < 20 < difference[60:120, 80:160].mean() * 1.5
    assert b"Exif" not in content


def test_without_blur_it_is_the_picture_as_it_was(tmp_path: Path) -> None:
    seen, _ = Lane(tmp_path, {"view": Scripted({1_000_000: ["person"]})}, "none").run(frame())
    assert seen.media is not None
    kept = cv2.imdecode(np.frombuffer((tmp_path / seen.media.ref).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(kept.astype(int) - noise().astype(int)).mean() < 12


def test_no_picture_where_the_needed_model_failed_and_the_event_stands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Problem(where="x", what="broken", remedy="mend")
    lane = Lane(
        tmp_path,
        {"view": Scripted({1_000_000: failing, 2_000_000: failing}), "other": Scripted({1_000_000: ["person"]})},
    )
    events = lane.run(frame(), frame(2_000_000))
    assert [event.media for event in events] == [None, None]
    assert lane.snapshots.counts.hidden == 1
    assert not list(tmp_path.glob("snapshots/*"))
    assert len([one for one in caplog.records if "no snapshot: the model view failed" in one.getMessage()]) == 1


def test_who_was_there_a_moment_ago_is_hidden_in_the_next_picture_too(tmp_path: Path) -> None:
    lane = Lane(tmp_path, {"view": Scripted({1_000_000: ["person"]}), "other": Scripted({1_200_000: ["person"]})})
    lane.loop._rules = Rules({"seen": Rule(lane="yard", label="person", model="other", snapshot=True)}, {})
    (seen,) = lane.run(frame(), frame(1_200_000))
    assert seen.media is not None
    kept = cv2.imdecode(np.frombuffer((tmp_path / seen.media.ref).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(kept.astype(int) - noise().astype(int)).mean(axis=2)[60:120, 80:160].mean() > 20


def test_a_mistake_in_keeping_a_picture_costs_neither_event_nor_lane(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lane = Lane(tmp_path, {"view": Scripted({1_000_000: ["person"]})})
    events = lane.run(Frame(at_us=1_000_000, bgr=np.zeros((0, 0, 3), np.uint8)))
    assert [event.media for event in events] == [None, None]
    assert lane.seconds[-1].inferred == 1
    assert "snapshot failed" in caplog.text


def test_nothing_is_handed_over_until_somebody_looks(tmp_path: Path) -> None:
    lane = Lane(tmp_path, {"view": Scripted({})})
    lane.loop.take(frame())
    assert lane.watch.newest.take(0.0) is None
    lane.watch.wanted = True
    lane.loop.take(frame(2_000_000))
    handed = lane.watch.newest.take(0.0)
    assert handed is not None
    assert handed.frame.at_us == 2_000_000
    assert set(handed.results) == {"view"}


@pytest.mark.parametrize(("blur", "shown"), [("persons", False), ("none", True)])
def test_what_the_gate_held_back_is_shown_only_where_nobody_is_to_be_hidden(
    tmp_path: Path, blur: str, shown: bool
) -> None:
    lane = Lane(tmp_path, {"view": Scripted({})}, blur, gate=Refusing())
    lane.watch.wanted = True
    lane.loop.take(frame())
    handed = lane.watch.newest.take(0.0)
    assert (handed is not None) == shown
    assert handed is None or handed.held_back


def test_the_watch_gets_what_must_be_hidden_with_the_picture(tmp_path: Path) -> None:
    lane = Lane(tmp_path, {"view": Scripted({})})
    lane.watch.wanted = True
    results = {"view": Inference(model="view", at_us=1, detections=found("person", box=BOX), took_ms=1.0)}
    lane.pictures.take(frame(1), results, [])
    handed = lane.watch.newest.take(0.0)
    assert handed is not None
    assert handed.hidden.boxes is not None
    assert len(handed.hidden.boxes) == 1


def test_a_model_that_did_not_open_is_missed_by_the_lane(tmp_path: Path) -> None:
    loaded = privately(tmp_path, '[privacy]\nblur = "persons"\n[lane.yard.model.far]\npath = "far.tflite"\n')
    pictures = Showing(loaded.file, None, logging.getLogger("test"))
    lane = pictures.lane("yard", {"view": ("person",)})
    assert lane is not None
    pictures.watches["yard"].wanted = True
    lane.take(frame(1), {"view": Inference(model="view", at_us=1, detections=found("person"), took_ms=1.0)}, [])
    handed = pictures.watches["yard"].newest.take(0.0)
    assert handed is not None
    assert handed.hidden == (None, "the model far did not look at this picture")


def test_what_the_lane_s_gate_saw_move_is_handed_over(tmp_path: Path) -> None:
    loaded = privately(tmp_path, '[lane.yard.gate]\nkind = "motion"\n')
    pictures = Showing(loaded.file, None, logging.getLogger("test"))
    shown = pictures.lane("yard", {"view": ()})
    lane, runner = loaded.file.lane["yard"], Scripted({})
    loop = build.new_loop("yard", lane, {}, {"view": runner}, lambda _: None, Units(), showing=shown)  # type: ignore[dict-item]
    if not hasattr(loop._gate, "boxes"):
        pytest.skip("the gate of this version does not say what moved")
    pictures.watches["yard"].wanted = True
    still = np.full((240, 320, 3), 90, np.uint8)
    moved = still.copy()
    moved[100:150, 60:110] = 220
    for number, pixels in enumerate((still, still, moved)):
        loop.take(Frame(at_us=1_000_000 + number * 300_000, bgr=pixels))
    handed = pictures.watches["yard"].newest.take(0.0)
    assert handed is not None
    assert handed.moved is not None
    assert len(handed.moved) == 1
    x0, y0, x1, y1 = handed.moved[0]
    assert x0 < 85 / 320 < x1
    assert y0 < 125 / 240 < y1


def privately(tmp_path: Path, table: str) -> Loaded:
    path = write_config(tmp_path, "gate-07", scene(tmp_path, 2), lanes=("yard",))
    path.write_text(path.read_text() + table)
    return read(path, environment={})


def test_a_recording_of_a_blurred_lane_is_refused_unless_it_is_allowed(tmp_path: Path) -> None:
    check_recording(privately(tmp_path, ""))
    with pytest.raises(Problem) as caught:
        check_recording(privately(tmp_path, '[privacy]\nblur = "persons"\n'))
    assert caught.value.where.endswith("privacy.blur")
    assert caught.value.code == Exit.CONFIG
    check_recording(privately(tmp_path, '[privacy]\nblur = "persons"\nallow_recording = true\n'))
    check_recording(privately(tmp_path, '[privacy]\nblur = "persons"\n[lane.yard.privacy]\nblur = "none"\n'))


def test_the_agent_keeps_a_picture_and_its_event_travels_with_the_reference(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",), loop=False, pace="all")
    config.write_text(
        config.read_text().replace('label = "night"\n', 'label = "night"\nsnapshot = true\n')
        + "[lane.yard.mask.corner]\npolygon = [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]\n"
    )
    recording = tmp_path / "recording"
    with agent(config, "--record", str(recording)) as running:
        assert running.process.wait(LIMIT_S) == 0, running.text
    with opened(store_path(config)) as connection:
        bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM event WHERE phase = 0")]
        items = [json.loads(body) for (body,) in connection.execute("SELECT body FROM item")]
    assert bodies
    for body in bodies:
        content = (config.parent / "data" / body["media"]["ref"]).read_bytes()
        assert body["media"]["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert body["media"]["bytes"] == len(content)
        kept = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert kept[:58, :78].max() <= 4  # black, and JPEG's own error
    travelling = [item["media"] for item in items if item["k"] == "evt" and item["phase"] == "start"]
    assert travelling == [body["media"] for body in bodies]
    for picture in recording.glob("yard/frames/*.png"):
        assert not cv2.imread(str(picture))[:60, :80].any()  # type: ignore[index]  # it is there
    # A replay keeps no pictures, and makes the same rows.
    assert rows_of(replay(recording, tmp_path / "again")) == rows_of(store_path(config))
    assert not (tmp_path / "again" / "snapshots").exists()


def test_record_keeps_no_snapshots_beside_its_folder(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",), loop=False, pace="all")
    config.write_text(config.read_text().replace('label = "night"\n', 'label = "night"\nsnapshot = true\n'))
    with agent(config, str(tmp_path / "recording"), command="record") as running:
        wait_for(lambda: running.process.poll() is not None, LIMIT_S, "the end")
    assert running.process.returncode == 0, running.text
    assert not list(tmp_path.rglob("snapshots"))


def test_a_model_that_sees_crops_alone_says_nothing_of_the_whole_picture(tmp_path: Path) -> None:
    table = '[privacy]\nblur = "persons"\n[lane.yard.model.near]\npath = "near.tflite"\non = "view"\n'
    pictures = Showing(privately(tmp_path, table).file, None, logging.getLogger("test"))
    lane = pictures.lane("yard", {"view": ("night",), "near": ("person",)})
    assert lane is not None
    pictures.watches["yard"].wanted = True
    lane.take(frame(1), {"near": Inference(model="near", at_us=1, detections=found("person"), took_ms=1.0)}, [])
    handed = pictures.watches["yard"].newest.take(0.0)
    assert handed is not None
    assert handed.hidden == (None, "no model of this lane finds person")

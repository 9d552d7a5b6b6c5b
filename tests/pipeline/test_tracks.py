"""A lane with a tracker: numbers of objects in its rows and events, from the models' boxes to the export."""

import json
from pathlib import Path

import numpy as np
import pytest
from peers.lane_seconds import second
from peers.manual_clock import ManualClock

from agent.events.following import Following
from agent.events.rules import Config as Rule
from agent.events.rules import Rules
from agent.events.settings import Tracker as Config
from agent.gating import motion
from agent.pipeline.lane import Loop, Model
from agent.records import Detections, Frame, Inference, LaneSecond, SampleWindow, Tick
from agent.store.export import print_rows
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config as StoreConfig
from agent.store.writer import open_store
from agent.values import Bytes

WAIT_S = 20.0


class TwoWalk:
    """Two faces that walk towards each other, in an order that changes; every third time a cat without a past."""

    def look(self, record: Frame | SampleWindow) -> Detections:
        at = record.at_us / 1e6
        rows = [("face", 0.1 + 0.1 * at), ("face", 0.9 - 0.1 * at)]
        if round(at * 10) % 2:
            rows.reverse()
        if round(at * 10) % 3 == 2:
            rows.append(("cat", 0.5))
        boxes = [[x - 0.05, 0.3, x + 0.05, 0.6] for _, x in rows]
        return Detections(
            labels=tuple(label for label, _ in rows), scores=np.full(len(rows), 0.9, np.float32), boxes=np.array(boxes, np.float32)
        )  # fmt: skip


def lane(tracker: Config | None) -> list[LaneSecond]:
    seconds: list[LaneSecond] = []
    rules = Rules({"seen": Rule(lane="yard", label="face", for_s=0.5)}, {})
    following = None if tracker is None else Following(tracker, ["faces"])
    loop = Loop(
        "yard", [Model(name="faces", runner=TwoWalk())], seconds.append, milliseconds=lambda: 0.0, rules=rules, following=following
    )  # fmt: skip
    for place in range(20):
        loop.take(Frame(at_us=place * 100_000, bgr=np.zeros((4, 4, 3), np.uint8)))
    loop.take(Tick(at_us=2_000_000, alive_us=1_000_000, dropped=0))
    return seconds


def rows(folder: Path, seconds: list[LaneSecond], capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    clock = ManualClock()
    settings = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
    with open_store(folder, clock=clock, device="s/n", settings=settings) as store:
        store.submit(clock_job(clock.reading()))
        for one in seconds:
            store.submit(lane_second_job(one))
        store.submit(lambda _: None, ends_group=True).wait(WAIT_S)
        path = store.path
    print_rows(path)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_object_has_one_number_in_all_its_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(tmp_path, lane(Config()), capsys)
    faces = [row for row in found if row["k"] == "result" and row["label"] == "face"]
    by_track: dict[object, list[float]] = {}
    for row in faces:
        by_track.setdefault(row["track"], []).append(float(row["x0"]))  # type: ignore[arg-type]
    assert len(by_track) == 2
    assert {len(one) for one in by_track.values()} == {20}
    assert sorted(one == sorted(one) for one in by_track.values()) == [False, True], "one goes right, one goes left"
    assert {row["track"] for row in found if row["k"] == "result" and row["label"] == "cat"} == {None}
    (event,) = [row for row in found if row["k"] == "event"]
    assert event["body"]["track"] in by_track


def test_without_a_tracker_there_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(tmp_path, lane(None), capsys)
    assert {row["track"] for row in found if row["k"] == "result"} == {None}
    assert [row["body"]["track"] for row in found if row["k"] == "event"] == [None]  # type: ignore[index]


def test_some_rows_of_a_second_with_numbers_and_some_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = Detections(labels=("a", "b"), scores=np.ones(2, np.float32), tracks=np.array([7, 0]))
    other = Detections(labels=("c",), scores=np.ones(1, np.float32))
    inferences = tuple(
        Inference(model="m", at_us=at_us, detections=found, took_ms=1.0) for at_us, found in ((1, one), (2, other))
    )
    made = second("yard", 1_000_000, one, other)
    found = rows(
        tmp_path,
        [type(made)(**{**{name: getattr(made, name) for name in made.__struct_fields__}, "inferences": inferences})],
        capsys,
    )
    assert [row["track"] for row in found if row["k"] == "result"] == [7, None, None]


def test_a_lane_is_quiet_when_its_gate_is_and_no_track_lives() -> None:
    def frame(at_s: float) -> Frame:
        return Frame(at_us=round(at_s * 1e6), bgr=np.zeros((48, 64, 3), np.uint8))

    gate = motion.open_gate(motion.Config(rate_hz=20.0))
    following = Following(Config(lost_s=1.0), ["faces"])
    loop = Loop(
        "yard", [Model(name="faces", runner=TwoWalk())], lambda _: None, milliseconds=lambda: 0.0, gate=gate, following=following
    )  # fmt: skip
    for step in range(40):
        loop.take(frame(step / 10))
    assert not loop.quiet, "two are followed, though no pixel moves"
    alone = Loop(
        "yard", [Model(name="faces", runner=TwoWalk())], lambda _: None, milliseconds=lambda: 0.0, gate=motion.open_gate(motion.Config())
    )  # fmt: skip
    for step in range(100):
        alone.take(frame(step / 10))
    assert alone.quiet
    assert not Loop("yard", [], lambda _: None, milliseconds=lambda: 0.0).quiet, "without a gate all is looked at"

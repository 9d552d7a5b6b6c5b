"""Three places of a shelf in a real clip, with a real model: who is in which zone when, against what a person sees in the clip."""

from pathlib import Path

import cv2
import pytest

from agent.events.following import Following
from agent.events.settings import Tracker, Zone
from agent.inference.model import Config
from agent.pipeline.lane import Loop, Model
from agent.pipeline.models import Machine, open_model
from agent.records import Crossing, Frame, LaneSecond, Tick

RATE_HZ = 29.833
END_S = 1_189 / RATE_HZ
# Frames at which a place is filled, as the clip's README says, read from a contact sheet by a person: each ± 25.
FILLED = {
    "left": [(0, 215), (385, 510), (830, 1_189)],
    "middle": [(0, 510), (690, 1_189)],
    "right": [(0, 950), (1_080, 1_189)],
}
ALLOWED_S = 1.0 + 25 / RATE_HZ
EVERY = 3  # 10 frames a second


def place(x0: float, x1: float) -> Zone:
    return Zone(polygon=((x0, 0.2), (x1, 0.2), (x1, 1.0), (x0, 1.0)), anchor="centre")


ZONES = {"left": place(0.0, 0.28), "middle": place(0.36, 0.64), "right": place(0.7, 1.0)}


def seconds_of(testdata: Path) -> list[LaneSecond]:
    models, seconds = testdata / "models", list[LaneSecond]()
    config = Config(
        path=models / "yolov8n_int8.tflite", decoder="yolo", labels=models / "coco80_labels.txt", score=0.25
    )
    capture = cv2.VideoCapture(str(testdata / "clips" / "bottle-detection.mp4"))
    with open_model("things", config, machine=Machine(), where="lane.shelf.model.things", kind="frame") as runner:
        following = Following(Tracker(lost_s=1.0), ["things"], ZONES)
        loop = Loop(
            "shelf", [Model(name="things", runner=runner)], seconds.append, milliseconds=lambda: 0.0, following=following
        )  # fmt: skip
        number = 0
        while capture.grab():
            if number % EVERY == 0:
                loop.take(Frame(at_us=round(number / RATE_HZ * 1e6), bgr=capture.retrieve()[1]))
            number += 1
        loop.take(Tick(at_us=round(END_S * 1e6), alive_us=1_000_000, dropped=0))
    return seconds


def stays(rows: list[Crossing], zone: str) -> list[tuple[float, float]]:
    """When a bottle was in the zone, from the rows alone; who is still there at the end stays until then."""
    found, since = [], list[float]()
    for row in sorted(rows, key=lambda row: row.at_us):
        if row.place == zone and row.label == "bottle":
            if row.kind == "entered":
                since.append(row.at_us / 1e6)
            elif row.kind == "left":
                found.append((since.pop(0), row.at_us / 1e6))
    return sorted([*found, *((begin, END_S) for begin in since)])


@pytest.fixture(scope="module")
def seconds(testdata: Path) -> list[LaneSecond]:
    return seconds_of(testdata)


@pytest.mark.parametrize("zone", list(FILLED))
def test_a_place_is_filled_when_a_person_says_so(seconds: list[LaneSecond], zone: str) -> None:
    rows = [row for second in seconds for row in second.crossings]
    expected = [(begin / RATE_HZ, end / RATE_HZ) for begin, end in FILLED[zone]]
    found = stays(rows, zone)
    assert len(found) == len(expected), found
    for (begin_s, end_s), (true_begin_s, true_end_s) in zip(found, expected, strict=True):
        assert begin_s == pytest.approx(true_begin_s, abs=ALLOWED_S)
        assert end_s == pytest.approx(true_end_s, abs=ALLOWED_S)


def test_at_the_end_each_place_has_one(seconds: list[LaneSecond]) -> None:
    assert {zone: labels.get("bottle") for zone, labels in seconds[-1].occupied.items()} == dict.fromkeys(FILLED, 1)

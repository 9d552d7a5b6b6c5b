"""Squares around what moves: where they lie, what is made of what is found in them, and what a real detector sees with them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.scenes import Scene

from agent.config.read import read
from agent.pipeline import build
from agent.pipeline.regions import Regions
from agent.pipeline.units import Units
from agent.records import Detections, Frame, LaneSecond, SampleWindow, Tick

WIDTH, HEIGHT = 1920, 1080


def regions(**options: float) -> Regions:
    given = {"least_px": 320, "most": 4, "margin": 0.0, "whole_us": 10_000_000, "iou": 0.5, **options}
    return Regions(**given)  # type: ignore[arg-type]


def shares(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Boxes in pixels → in 0..1."""
    return (np.array(boxes, np.float32).reshape(-1, 4) / (WIDTH, HEIGHT, WIDTH, HEIGHT)).astype(np.float32)


def frame(at_s: float = 0.0, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    return Frame(at_us=round(at_s * 1e6), bgr=np.zeros((height, width, 3), np.uint8))


class Finds:
    """Answers each look with the next of `answers`, boxes in 0..1 of what it was shown; keeps the sizes that it was shown."""

    def __init__(self, *answers: list[tuple[str, float, tuple[float, float, float, float]]]) -> None:
        self._answers = list(answers)
        self.sizes: list[tuple[int, int]] = []

    def look(self, record: Frame | SampleWindow) -> Detections:
        assert isinstance(record, Frame)
        self.sizes.append((record.pixels.shape[1], record.pixels.shape[0]))
        rows = self._answers.pop(0) if self._answers else []
        return Detections(
            labels=tuple(label for label, _, _ in rows),
            scores=np.array([score for _, score, _ in rows], np.float32),
            boxes=np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
        )


def test_a_square_of_the_least_side_lies_around_a_small_object() -> None:
    assert regions().cuts(shares((900, 500, 940, 580)), WIDTH, HEIGHT) == [(760, 380, 1080, 700)]


def test_a_large_object_has_a_square_with_what_is_around_it() -> None:
    (cut,) = regions().cuts(shares((600, 300, 800, 700)), WIDTH, HEIGHT)
    assert cut == (420, 220, 980, 780)
    (cut,) = regions(margin=0.5).cuts(shares((600, 300, 800, 700)), WIDTH, HEIGHT)
    assert cut[2] - cut[0] == 960


def test_squares_are_shifted_into_the_frame() -> None:
    assert regions().cuts(shares((0, 0, 40, 40), (1900, 1070, 1920, 1080)), WIDTH, HEIGHT) == [
        (0, 0, 320, 320),
        (1600, 760, 1920, 1080),
    ]


def test_near_objects_share_a_square_and_far_ones_do_not() -> None:
    near = regions().cuts(shares((900, 500, 940, 580), (960, 520, 1000, 600)), WIDTH, HEIGHT)
    assert near == [(790, 390, 1110, 710)]
    assert len(regions().cuts(shares((900, 500, 940, 580), (1150, 520, 1190, 600)), WIDTH, HEIGHT)) == 2


BOX = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 1), st.floats(0.001, 1))


@given(st.lists(BOX, max_size=12), st.integers(1, 800), st.integers(8, 700), st.integers(8, 500))
def test_every_box_lies_in_a_square_inside_the_frame(
    places: list[tuple[float, float, float, float]], least_px: int, width: int, height: int
) -> None:
    boxes = np.array([(x, y, min(1, x + w), min(1, y + h)) for x, y, w, h in places], np.float32).reshape(-1, 4)
    cuts = regions(least_px=least_px).cuts(boxes, width, height)
    assert len(cuts) <= len(boxes)
    for x0, y0, x1, y1 in cuts:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    for left, top, right, bottom in boxes * (width, height, width, height):
        assert any(x0 - 1 <= left and y0 - 1 <= top and right <= x1 + 1 and bottom <= y1 + 1 for x0, y0, x1, y1 in cuts)


def test_the_whole_frame_is_looked_at_first_then_every_whole_s_and_where_nothing_moves() -> None:
    looks, finds, place = regions(), Finds(), shares((900, 500, 940, 580))
    looks.look(finds, frame(0), place)
    assert finds.sizes == [(WIDTH, HEIGHT), (320, 320)]
    looks.look(finds, frame(5), place)
    assert finds.sizes[2:] == [(320, 320)]
    looks.look(finds, frame(6), shares())
    assert finds.sizes[3:] == [(WIDTH, HEIGHT)]
    looks.look(finds, frame(15.9), place)
    looks.look(finds, frame(16), place)
    assert finds.sizes[4:] == [(320, 320), (WIDTH, HEIGHT), (320, 320)]


def test_most_of_the_frame_is_the_whole_frame() -> None:
    looks, finds = regions(), Finds()
    looks.look(finds, frame(0), shares())
    looks.look(finds, frame(1), shares((100, 50, 1800, 1050)))
    looks.look(finds, frame(2, 300, 200), shares((900, 500, 940, 580)))
    assert finds.sizes == [(WIDTH, HEIGHT), (WIDTH, HEIGHT), (300, 200)]


def test_more_than_most_take_turns() -> None:
    looks = regions(most=2)
    looks.look(Finds(), frame(0), shares())
    apart = shares(*[(100 + 350 * n, 500, 140 + 350 * n, 540) for n in range(5)])
    seen = []
    for at in range(5):
        finds = Finds([("dot", 0.9, (0.45, 0.45, 0.55, 0.55))], [("dot", 0.9, (0.45, 0.45, 0.55, 0.55))])
        found = looks.look(finds, frame(1 + at / 10), apart)
        assert len(finds.sizes) == 2
        seen += [round(float(box[0]) * WIDTH) for box in found.boxes]  # type: ignore[union-attr]
    assert len(set(seen)) == 5


def test_what_is_found_is_told_in_the_frame_once() -> None:
    """A person in the square, again in the whole frame, and half of her at the edge of another square; a dog where she stands is another thing."""
    square = (760, 380, 1080, 700)
    place = shares((900, 500, 940, 580), (1150, 500, 1190, 580))
    whole = [("person", 0.5, tuple(shares((902, 498, 942, 580))[0].tolist()))]
    inside = [
        ("person", 0.9, (140 / 320, 120 / 320, 180 / 320, 200 / 320)),
        ("dog", 0.6, (140 / 320, 120 / 320, 180 / 320, 200 / 320)),
    ]
    looks = regions()
    (first, second) = looks.cuts(place, WIDTH, HEIGHT)
    assert first == square
    found = looks.look(Finds(whole, inside, []), frame(0), place)  # type: ignore[list-item]
    assert sorted(found.labels) == ["dog", "person"]
    assert found.boxes is not None
    np.testing.assert_allclose(found.boxes[0] * (WIDTH, HEIGHT, WIDTH, HEIGHT), (900, 500, 940, 580), atol=0.1)
    assert second[0] < square[2]  # the squares overlap: what the second one cuts is a part of what the first one shows
    left = second[0] / WIDTH
    part = [("person", 0.95, (0.0, 120 / 320, 30 / 320, 200 / 320))]
    all_of_her = [("person", 0.7, ((second[0] - 20 - 760) / 320, 120 / 320, (second[0] + 30 - 760) / 320, 200 / 320))]
    found = looks.look(Finds(all_of_her, part), frame(1), place)  # type: ignore[arg-type]
    assert len(found) == 1
    assert found.boxes is not None
    assert found.boxes[0][0] < left


def test_a_single_look_at_the_whole_frame_is_told_as_it_is() -> None:
    found = Detections(labels=("cat",), scores=np.ones(1, np.float32))

    class Names:
        def look(self, record: Frame | SampleWindow) -> Detections:
            return found

    assert regions().look(Names(), frame(), shares()) is found


SMALL = 40  # pixels, a person's height


def small_person(testdata: Path, at_s: float) -> Frame:
    """A person of a real photograph, made small, walks through a scene of 1080 lines; from 2 s on."""
    photograph = cv2.imread(str(testdata / "images" / "kite_and_cold.jpg"))
    height, width = photograph.shape[:2]
    person = photograph[int(0.66 * height) : int(0.86 * height), int(0.07 * width) : int(0.13 * width)]
    person = cv2.resize(person, (round(person.shape[1] * SMALL / person.shape[0]), SMALL), interpolation=cv2.INTER_AREA)
    pixels = Scene(width=WIDTH, height=HEIGHT, sigma=2.0).frame(at_s).pixels.copy()
    if at_s >= 2:
        x = left_of(at_s)
        pixels[600 : 600 + SMALL, x : x + person.shape[1]] = person
    return Frame(at_us=round(at_s * 1e6), bgr=pixels)


def left_of(at_s: float) -> int:
    return round(1200 + 40 * (at_s - 2))


@pytest.mark.parametrize("on", ["input", "motion"])
def test_a_real_detector_finds_a_small_person_only_with_regions(testdata: Path, tmp_path: Path, on: str) -> None:
    """Through the config, the gate and the loop."""
    models = testdata / "models"
    config = tmp_path / "yard.toml"
    config.write_text(f"""version = 1
[device]
site = "a"
name = "b"
data = "data"
[lane.yard.source]
kind = "camera"
url = "yard.avi"
[lane.yard.gate]
kind = "motion"
object_px = 20
[lane.yard.model.people]
path = "{models}/yolov8n_int8.tflite"
labels = "{models}/coco80_labels.txt"
score = 0.5
on = "{on}"
""")
    file = read(config, environment={}).file
    seconds: list[LaneSecond] = []
    with build.open_models("yard", file.lane["yard"], build.replay_machine(file)) as opened:
        loop = build.new_loop("yard", file.lane["yard"], {}, opened.runners, seconds.append, Units())
        for number in range(20):
            loop.take(small_person(testdata, number / 5))
    loop.take(Tick(at_us=4_000_000, alive_us=1_000_000, dropped=0))
    found = {one.at_us: one.detections for one in seconds[0].inferences if one.detections is not None}
    people = {at_us / 1e6: one.boxes[one.labels.index("person")] for at_us, one in found.items() if "person" in one.labels and one.boxes is not None}  # fmt: skip
    assert any(at_us >= 2_000_000 for at_us in found)
    if on == "input":
        assert not people
    else:
        assert len(people) >= 6
        for at_s, box in people.items():
            assert abs(box[0] * WIDTH - left_of(at_s)) < 12
            assert abs(box[1] * HEIGHT - 600) < 12

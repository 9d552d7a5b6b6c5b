"""A model on the crops of another's detections: what it sees, and where its results are told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.runners import Scripted, found

from agent.pipeline.crops import look_at_crops
from agent.pipeline.lane import Loop, Model
from agent.problems import Problem
from agent.records import Detections, Frame, LaneSecond, SampleWindow, Tick

BROKEN = Problem(where="lane.yard.model.faces", what="it broke", remedy="mend it")


class Looking:
    """Answers every crop with `answer`; keeps what it was shown."""

    def __init__(self, answer: Detections) -> None:
        self._answer = answer
        self.shown: list[np.ndarray] = []

    def look(self, record: Frame | SampleWindow) -> Detections:
        assert isinstance(record, Frame)
        self.shown.append(record.pixels.copy())
        return self._answer


def frame(height: int = 100, width: int = 200) -> Frame:
    pixels = np.arange(height * width * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    return Frame(at_us=1, bgr=pixels)


def boxes(*rows: tuple[float, float, float, float], scores: tuple[float, ...] | None = None) -> Detections:
    return Detections(
        labels=("person",) * len(rows),
        scores=np.array(scores or (0.9,) * len(rows), np.float32),
        boxes=np.array(rows, np.float32).reshape(-1, 4),
    )


def named(*labels: str) -> Detections:
    return Detections(labels=labels, scores=np.full(len(labels), 0.5, np.float32), indexes=tuple(range(len(labels))))


def test_it_sees_the_pixels_of_the_box_the_strongest_first() -> None:
    looking = Looking(named("hat"))
    whole = frame()
    result = look_at_crops(looking, whole, boxes((0, 0, 0.5, 0.5), (0.5, 0.2, 1.0, 1.0), scores=(0.4, 0.8)), margin=0.0)
    np.testing.assert_array_equal(looking.shown[0], whole.pixels[20:100, 100:200])
    np.testing.assert_array_equal(looking.shown[1], whole.pixels[0:50, 0:100])
    assert result.labels == ("hat", "hat")
    assert result.boxes is not None
    np.testing.assert_allclose(result.boxes, [(0.5, 0.2, 1.0, 1.0), (0, 0, 0.5, 0.5)], atol=1e-6)


def test_a_margin_grows_the_crop_inside_the_frame() -> None:
    looking = Looking(named("hat"))
    look_at_crops(looking, frame(), boxes((0.25, 0.4, 0.75, 0.6), (0.0, 0.0, 0.5, 0.5)), margin=0.5)
    assert [one.shape for one in looking.shown] == [(40, 200, 3), (75, 150, 3)]


@given(st.tuples(*[st.floats(0, 1)] * 4), st.tuples(*[st.floats(0, 1)] * 4))
def test_boxes_and_points_of_a_crop_lie_inside_the_crop_s_place(
    outer: tuple[float, ...], inner: tuple[float, ...]
) -> None:
    x0, x1 = sorted((outer[0], outer[2]))
    y0, y1 = sorted((outer[1], outer[3]))
    point = np.array([[[inner[0], inner[1], 0.7]]], np.float32)
    answer = Detections(
        labels=("nose",),
        scores=np.ones(1, np.float32),
        boxes=np.array([(*sorted((inner[0], inner[2])), *sorted((inner[1], inner[3])))], np.float32)[:, (0, 2, 1, 3)],
        keypoints=point,
    )
    result = look_at_crops(Looking(answer), frame(), boxes((x0, y0, x1, y1)), margin=0.0)
    assert result.boxes is not None
    if not len(result):  # less than 4 pixels a side
        assert round(x1 * 200) - round(x0 * 200) < 4 or round(y1 * 100) - round(y0 * 100) < 4
        return
    assert result.keypoints is not None
    px = 0.5 / np.array([200, 100]) + 1e-4  # a crop begins on a whole pixel
    for x, y in (*result.boxes.reshape(-1, 2), result.keypoints[0, 0, :2]):
        assert x0 - px[0] <= x <= x1 + px[0]
        assert y0 - px[1] <= y <= y1 + px[1]
    assert result.keypoints[0, 0, 2] == np.float32(0.7)


def test_what_is_found_nowhere_is_nothing() -> None:
    nothing = boxes()
    assert len(look_at_crops(Looking(named()), frame(), boxes((0, 0, 1, 1)), margin=0.0)) == 0
    assert len(look_at_crops(Looking(named("hat")), frame(), nothing, margin=0.0)) == 0
    assert len(look_at_crops(Looking(named("hat")), frame(), boxes((0.5, 0.5, 0.501, 0.9)), margin=0.0)) == 0
    assert len(look_at_crops(Looking(named("hat")), frame(), named("no box"), margin=0.0)) == 0


def test_some_crops_may_hold_nothing() -> None:
    answers = iter([named(), named("hat", "scarf"), named()])

    class Changing:
        def look(self, record: Frame | SampleWindow) -> Detections:
            return next(answers)

    result = look_at_crops(Changing(), frame(), boxes(*[(0, 0, 1, 1)] * 3), margin=0.0)
    assert (result.labels, result.indexes) == (("hat", "scarf"), (0, 1))


def test_vectors_of_all_crops_are_kept() -> None:
    answer = Detections(labels=("embedding",), scores=np.ones(1, np.float32), vectors=np.ones((1, 8), np.float32))
    result = look_at_crops(Looking(answer), frame(), boxes((0, 0, 1, 1), (0, 0, 0.5, 1)), margin=0.0)
    assert result.vectors is not None
    assert result.vectors.shape == (2, 8)


@pytest.mark.parametrize(
    ("first", "looked", "counts"),
    [
        (["person"], True, {"persons": (1, 0), "hats": (1, 0)}),
        ([], False, {"persons": (1, 0)}),
        (BROKEN, False, {"persons": (0, 1)}),
    ],
)
def test_the_second_stage_runs_where_the_first_found_something(
    first: list[str] | Problem, looked: bool, counts: dict[str, tuple[int, int]]
) -> None:
    seconds: list[LaneSecond] = []
    hats = Looking(named("hat"))
    loop = Loop(
        "yard",
        [Model(name="persons", runner=Scripted({1: first})), Model(name="hats", runner=hats, on="persons")],
        seconds.append,
        milliseconds=lambda: 0.0,
    )
    loop.take(frame())
    loop.take(Tick(at_us=1_000_000, alive_us=1_000_000, dropped=0))
    (second,) = seconds
    assert bool(hats.shown) == looked
    assert second.models == counts
    assert second.seen == second.gated + second.inferred + second.failed == 1
    if looked:
        (box,) = second.inferences[1].detections.boxes  # type: ignore[union-attr]
        np.testing.assert_allclose(box, found("x").boxes[0], atol=1e-6)  # type: ignore[index]


def test_an_input_that_only_a_second_stage_was_due_for_is_gated() -> None:
    seconds: list[LaneSecond] = []
    models = [
        Model(name="persons", runner=Scripted({}), every_us=10_000_000, looked_us=0),
        Model(name="hats", runner=Looking(named("hat")), on="persons"),
    ]
    loop = Loop("yard", models, seconds.append, milliseconds=lambda: 0.0)
    loop.take(frame())
    loop.take(Tick(at_us=1_000_000, alive_us=1_000_000, dropped=0))
    assert (seconds[0].gated, seconds[0].inferred, seconds[0].failed) == (1, 0, 0)

"""Annotated pictures: nothing outside, everything readable, the input left as it was."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.oneshot.drawing import draw
from agent.oneshot.palette import colour, readable_on
from agent.oneshot.writing import Pen, _ascii
from agent.records import Detections


def detections(boxes: list[list[float]], label: str = "person") -> tuple[Detections, dict[str, Any]]:
    count = len(boxes)
    found = Detections(
        labels=(label,) * count,
        indexes=tuple(range(count)),
        scores=np.full(count, 0.87, np.float32),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
    )
    return found, {"detections": [{"label": label}] * count}


@pytest.mark.parametrize("size", [(240, 320), (2160, 3840), (1080, 300)])
def test_boxes_with_their_labels_at_every_edge(size: tuple[int, int]) -> None:
    height, width = size
    picture = np.full((height, width, 3), 90, np.uint8)
    found, line = detections([[0, 0, 0.3, 0.3], [0.8, 0.8, 1, 1], [0.4, 0.0, 1, 0.1], [0, 0.9, 0.1, 1]])
    drawn = draw(picture, found, line)
    assert drawn.shape == picture.shape
    assert (picture == 90).all(), "the input is left as it was"
    for place in range(4):
        pixels = (drawn == colour(place)).all(axis=2).sum()
        label = (0.026 * min(size)) ** 2
        assert pixels > label, "a box and a filled label in the class's colour"


def test_small_pictures_are_enlarged() -> None:
    found, line = detections([[0.1, 0.1, 0.9, 0.9]])
    assert draw(np.zeros((96, 96, 3), np.uint8), found, line).shape == (384, 384, 3)


@given(
    text=st.text(min_size=1, max_size=60),
    x=st.floats(-500, 900),
    y=st.floats(-500, 900),
    width=st.integers(40, 400),
    height=st.integers(30, 400),
)
def test_a_label_never_lies_outside(text: str, x: float, y: float, width: int, height: int) -> None:
    """Whatever the text and the place: it is cut and moved, the picture keeps its size, and the label is there."""
    picture = np.zeros((height, width, 3), np.uint8)
    pen = Pen(picture)
    pen.label(text.replace("\0", "?"), (0, 0, 255), [(x, y)])
    rows, columns = np.nonzero((picture == (0, 0, 255)).all(axis=2))
    assert len(rows), "it is seen"
    assert picture.shape == (height, width, 3)
    assert columns.min() >= 0
    assert columns.max() < width


def test_two_labels_do_not_cover_each_other() -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    pen = Pen(picture)
    places = [(100.0, 100.0), (100.0, 140.0)]
    pen.label("one", (0, 0, 255), places)
    pen.label("two", (0, 255, 0), places)
    assert (picture[130:160] == (0, 255, 0)).all(axis=2).any()
    assert (picture[95:125] == (0, 0, 255)).all(axis=2).any()


def test_a_body_has_limbs_and_other_points_have_none() -> None:
    points = np.zeros((1, 17, 3), np.float32)
    points[0, 5], points[0, 7] = (0.2, 0.2, 1), (0.8, 0.8, 1)  # left shoulder and elbow
    found = Detections(labels=("person",), scores=np.ones(1, np.float32), keypoints=points)
    drawn = draw(np.zeros((400, 400, 3), np.uint8), found, {"keypoints": []})
    assert drawn[200, 200].any(), "the upper arm"
    six = Detections(labels=("face",), scores=np.ones(1, np.float32), keypoints=points[:, 3:9])
    drawn = draw(np.zeros((400, 400, 3), np.uint8), six, {"keypoints": []})
    assert drawn[80, 80].any()
    assert not drawn[200, 200].any()


def test_guessed_points_are_left_out() -> None:
    points = np.full((1, 17, 3), 0.5, np.float32)
    points[..., 2] = 0.1
    found = Detections(labels=("person",), scores=np.ones(1, np.float32), keypoints=points)
    assert not draw(np.zeros((400, 400, 3), np.uint8), found, {"keypoints": []}).any()


def test_masks_are_tinted_where_they_are() -> None:
    masks = np.zeros((1, 10, 10), bool)
    masks[0, :, 5:] = True
    found = Detections(
        labels=("sky",), indexes=(4,), scores=np.ones(1, np.float32), values=np.array([0.5]), masks=masks
    )
    drawn = draw(np.zeros((400, 400, 3), np.uint8), found, {"areas": [{"label": "sky", "ratio": 0.5}]})
    assert drawn[390, 390].any()
    assert not drawn[390, 10].any()


@pytest.mark.parametrize(
    "line",
    [
        {"classes": [{"label": "Größe", "score": 0.5}]},
        {"classes": []},
        {"anomaly": {"score": 3.2}},
        {"values": [1.0, 2.0], "labels": ["left", "right"]},
        {"vector": [0.0] * 99},
    ],
)
def test_other_results_are_text(line: dict[str, Any]) -> None:
    nothing = Detections(labels=(), scores=np.zeros(0, np.float32))
    drawn = draw(np.full((400, 400, 3), 120, np.uint8), nothing, line)
    assert (drawn[:40, :100] == 255).any()
    assert (drawn[200:] == 120).all()


def test_colours_of_neighbours_differ() -> None:
    colours = [np.array(colour(index), int) for index in range(80)]
    assert all(np.abs(one - other).sum() > 100 for one, other in itertools.pairwise(colours))
    assert readable_on((255, 255, 255)) == (0, 0, 0)
    assert readable_on((120, 0, 0)) == (255, 255, 255)
    assert colour("cat") == colour("cat")


def test_ascii_of_an_older_opencv() -> None:
    assert _ascii("Größe 猫…") == "Gro?e ?..."


def test_text_with_an_older_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without outlines the old font writes, of the same size, and nothing outside."""
    import cv2

    def blocks() -> np.ndarray:
        picture = np.zeros((300, 400, 3), np.uint8)
        Pen(picture).label("Größe 0.87", (0, 0, 255), [(500.0, 500.0)])
        return np.argwhere((picture == (0, 0, 255)).all(axis=2))

    new = blocks()
    monkeypatch.delattr(cv2, "FontFace", raising=False)
    old = blocks()
    assert old.max(axis=0).tolist() == [299, 399]
    assert np.ptp(old, axis=0) == pytest.approx(np.ptp(new, axis=0), rel=0.35)

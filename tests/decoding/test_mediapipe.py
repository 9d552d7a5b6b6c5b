"""BlazeFace and BlazePose from outputs written by hand."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, blazeface, blazepose
from agent.decoding._anchors import centres
from agent.problems import Exit, Problem
from agent.records import Placement


def shapes(count: int, numbers: int) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=name, shape=(1, count, size), dtype="float32", scale=0.0, zero_point=0)
        for name, size in (("scores", 1), ("boxes", numbers))  # the other order than usual
    )


def face_outputs(*faces: tuple[int, float, float]) -> list[np.ndarray]:
    """(anchor, logit, side in input pixels) each."""
    scores, boxes = np.full((1, 896, 1), -100.0, np.float32), np.zeros((1, 896, 16), np.float32)
    for anchor, logit, side in faces:
        scores[0, anchor, 0] = logit
        boxes[0, anchor, 2:4] = side
        boxes[0, anchor, 4:] = np.arange(12)
    return [scores, boxes]


def open_face(**options: object):
    return blazeface.open_decoder((), shapes(896, 16), Options(**options), "m")  # type: ignore[arg-type]


def test_anchors_are_mediapipe_s() -> None:
    face, pose = centres(128, (8, 16, 16, 16)), centres(224, (8, 16, 32, 32, 32))
    assert face.shape == (896, 2)
    assert pose.shape == (2254, 2)
    np.testing.assert_allclose(
        face[[0, 1, 2, 511]], [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [3 / 32, 1 / 32], [31 / 32, 31 / 32]]
    )
    np.testing.assert_allclose(face[[512, 517, 518]], [[1 / 16, 1 / 16], [1 / 16, 1 / 16], [3 / 16, 1 / 16]])


def test_a_face_has_box_score_and_points() -> None:
    anchor = 2 * (16 * 8 + 4)  # row 8, column 4 of 16: centre (4.5, 8.5) / 16
    found = open_face().decode(face_outputs((anchor, 2.0, 32.0)), Placement())
    assert found.labels == ("face",)
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-2.0)))
    np.testing.assert_allclose(found.boxes, [[4.5 / 16 - 0.125, 8.5 / 16 - 0.125, 4.5 / 16 + 0.125, 8.5 / 16 + 0.125]])
    assert found.keypoints is not None
    assert found.keypoints.shape == (1, 6, 3)
    np.testing.assert_allclose(found.keypoints[0, 1, :2], [4.5 / 16 + 2 / 128, 8.5 / 16 + 3 / 128], rtol=1e-6)


def test_letterbox_is_undone_and_boxes_are_clipped() -> None:
    anchor = 2 * (16 * 8 + 0)
    # A frame twice as wide as high lies in the middle half of the input's height.
    placement = Placement(x=0.0, y=0.25, width=1.0, height=0.5)
    found = open_face().decode(face_outputs((anchor, 5.0, 32.0)), placement)
    x0, y0, x1, y1 = found.boxes[0]
    assert x0 == 0.0
    assert x1 == pytest.approx(0.5 / 16 + 0.125)
    assert (y0 + y1) / 2 == pytest.approx((8.5 / 16 - 0.25) / 0.5)
    assert y1 - y0 == pytest.approx(0.25 / 0.5)


def test_doubles_are_one_face_and_weak_ones_none() -> None:
    near = face_outputs((100, 3.0, 40.0), (101, 2.0, 40.0), (102, 1.0, 40.0), (700, 0.2, 40.0))
    assert len(open_face().decode(near, Placement())) == 1
    assert len(open_face(score=0.5).decode(near, Placement())) == 2  # logit 0.2 is 0.55
    assert len(open_face(iou=1.0).decode(near, Placement())) == 3
    assert len(open_face(iou=1.0, top=2).decode(near, Placement())) == 2


def test_extreme_logits_give_no_warning() -> None:
    outputs = face_outputs((5, 1e9, 20.0))
    outputs[0][0, 6:400] = -1e9
    assert open_face().decode(outputs, Placement()).scores[0] == 1.0


def test_nothing_found_has_empty_arrays() -> None:
    found = open_face().decode(face_outputs(), Placement())
    assert (len(found), found.boxes.shape, found.keypoints.shape) == (0, (0, 4), (0, 6, 3))


def test_thousands_of_candidates_are_capped() -> None:
    scores, boxes = np.full((1, 896, 1), 4.0, np.float32), np.ones((1, 896, 16), np.float32)
    assert 0 < len(open_face().decode([scores, boxes], Placement())) <= 300


def test_a_person_is_the_square_round_the_hips() -> None:
    scores, boxes = np.full((1, 2254, 1), -9.0, np.float32), np.zeros((1, 2254, 12), np.float32)
    anchor = 2 * (28 * 14 + 14)  # centre 14.5 / 28
    scores[0, anchor] = 3.0
    boxes[0, anchor, :4] = (0, -40, 22.4, 22.4)  # the face
    boxes[0, anchor, 4:8] = (0, 0, 0, -44.8)  # hips at the anchor, the circle's point 0.2 of the input above
    decoder = blazepose.open_decoder((), shapes(2254, 12), Options(), "m")
    found = decoder.decode([scores, boxes], Placement())
    c = 14.5 / 28
    assert found.labels == ("person",)
    np.testing.assert_allclose(found.boxes, [[c - 0.2, c - 0.2, c + 0.2, c + 0.2]], atol=1e-6)
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[0, 4:6, 0], [c - 0.05, c + 0.05], atol=1e-6)  # the face's corners
    scores[0, anchor] = -0.01
    assert len(decoder.decode([scores, boxes], Placement())) == 0


@pytest.mark.parametrize("module", [blazeface, blazepose])
def test_other_shapes_are_named(module) -> None:
    with pytest.raises(Problem, match="1×10×16") as caught:
        module.open_decoder((), shapes(10, 16), Options(), "m")
    assert caught.value.code == Exit.MODEL

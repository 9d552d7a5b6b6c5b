"""BlazeFace and BlazePose from outputs written by hand, and BlazeFace on a picture where the model is on this machine."""

from pathlib import Path

import numpy as np
import pytest

from agent.decoding import Options, Shape, blazeface, blazepose
from agent.decoding._anchors import centres
from agent.decoding._recognise import recognise
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
    face, pose = centres(((16, 2), (8, 6))), centres(((28, 2), (14, 2), (7, 6)))
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


# input side, (stride, anchors a cell) of each grid: the published models'
FACES = [(128, ((8, 2), (16, 6))), (256, ((16, 2), (32, 6))), (192, ((4, 1),))]


def image(side: int) -> tuple[Shape, ...]:
    return (Shape(name="input", shape=(1, side, side, 3), dtype="float32", scale=0.0, zero_point=0),)


def encoded(side: int, grids: tuple[tuple[int, int], ...], box: tuple[float, ...]) -> list[np.ndarray]:
    """Per grid (logits, numbers) of one face: x0, y0, x1, y1 in pixels, on an anchor near its middle, its points along its diagonal."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    outputs = []
    for index, (stride, anchors) in enumerate(grids):
        cells = side // stride
        logits, numbers = np.full((cells, cells, anchors), -50.0), np.zeros((cells, cells, anchors, 16))
        if index == len(grids) - 1:
            row, column = int(y // stride), int(x // stride)
            cx, cy = (column + 0.5) * stride, (row + 0.5) * stride
            logits[row, column, 0] = 3.0
            points = [(box[0] + (box[2] - box[0]) * k / 5, box[1] + (box[3] - box[1]) * k / 5) for k in range(6)]
            numbers[row, column, 0, :4] = (x - cx, y - cy, box[2] - box[0], box[3] - box[1])
            numbers[row, column, 0, 4:] = [value for px, py in points for value in (px - cx, py - cy)]
        outputs += [logits[None], numbers.reshape(1, cells, cells, -1)]
    return [output.astype(np.float32) for output in outputs]


@pytest.mark.parametrize(("side", "grids"), FACES)
@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("quantised", [False, True])
def test_a_face_of_every_published_size(
    side: int, grids: tuple[tuple[int, int], ...], split: bool, quantised: bool
) -> None:
    box = (side * 0.3, side * 0.4, side * 0.5, side * 0.75)
    arrays = encoded(side, grids, box)
    if not split:
        logits, numbers = arrays[0::2], arrays[1::2]
        arrays = [
            np.concatenate([one.reshape(1, -1, 16) for one in numbers], axis=1),
            np.concatenate([one.reshape(1, -1, 1) for one in logits], axis=1),
        ]
    scale = 0.8 if quantised else 0.0
    if quantised:
        arrays = [np.clip(np.round(array / scale) + 10, -128, 127).astype(np.int8) for array in arrays]
    given = tuple(
        Shape(name=f"t{i}", shape=array.shape, dtype=str(array.dtype), scale=scale, zero_point=10 if quantised else 0)
        for i, array in enumerate(arrays)
    )
    assert recognise(image(side), given, Options(), said=None, where="m").decoder == "blazeface"
    found = blazeface.open_decoder(image(side), given, Options(), "m").decode(arrays, Placement())
    assert (found.labels, found.indexes) == (("face",), (0,))
    np.testing.assert_allclose(found.boxes[0] * side, box, atol=0.9 if quantised else 1e-3)
    np.testing.assert_allclose(found.keypoints[0, 5, :2] * side, box[2:], atol=0.9 if quantised else 1e-3)


def test_the_older_pose_model() -> None:
    given = shapes(896, 12)
    assert recognise(image(128), given, Options(), said=None, where="m").decoder == "blazepose"
    scores, boxes = np.full((1, 896, 1), -9.0, np.float32), np.zeros((1, 896, 12), np.float32)
    scores[0, 512] = 3.0  # cell 0, 0 of the grid of stride 16
    boxes[0, 512, 4:8] = (56, 56, 56, 24)  # the middle of 128 pixels, the circle 32 pixels above it
    found = blazepose.open_decoder(image(128), given, Options(), "m").decode([scores, boxes], Placement())
    np.testing.assert_allclose(found.boxes, [[0.25, 0.25, 0.75, 0.75]], atol=1e-6)


def test_numbers_that_are_none_and_faces_outside_are_left_out() -> None:
    outputs = face_outputs((5, 4.0, 20.0), (600, 4.0, 20.0), (880, 4.0, 20.0))
    outputs[1][0, 5, 2] = np.nan
    outputs[1][0, 600, 0] = -500.0
    outputs[0][0, 700, 0] = np.nan
    assert len(open_face().decode(outputs, Placement())) == 1


def test_more_than_one_label_is_refused() -> None:
    with pytest.raises(Problem, match="2 labels for 1 class"):
        open_face(labels=("face", "cat"))
    assert open_face(labels=("head",)).labels == ("head",)


def test_the_model_of_the_catalogue_finds_the_face(testdata: Path) -> None:
    import cv2

    from agent.catalogue.entries import entries, find
    from agent.catalogue.fetch import cached
    from agent.inference.model import Config
    from agent.pipeline.models import open_model
    from agent.records import Frame

    if cached(find("blazeface", entries())) is None:
        pytest.skip("blazeface of the catalogue is not on this machine (edge-agent models fetch blazeface)")
    with open_model("faces", Config(catalogue="blazeface"), where="m", kind="frame") as runner:
        pixels = cv2.imread(str(testdata / "images" / "grace_hopper.bmp"))
        found = runner.look(Frame(at_us=0, bgr=pixels))
    assert found.labels == ("face",)
    np.testing.assert_allclose(found.boxes[0], [0.33, 0.24, 0.72, 0.57], atol=0.03)
    eye_right, eye_left, nose = found.keypoints[0, :3, :2]
    assert eye_right[0] < nose[0] < eye_left[0]

"""YOLO pose heads without suppression, from tensors made of known people."""

import numpy as np
import pytest
from peers.yolo_tensors import Picture, Thing, image_input, raw_head

from agent.decoding import Options, Shape, yolo_pose
from agent.decoding._recognise import recognise
from agent.problems import Problem


def body(x: float, y: float, count: int = 17) -> tuple[tuple[float, float, float], ...]:
    return tuple((x + 0.01 * index, y + 0.02 * index, 1 - 0.05 * index) for index in range(count))


PEOPLE = [
    Thing((0.10, 0.10, 0.40, 0.60), 0, 0.9, points=body(0.1, 0.15)),
    Thing((0.60, 0.40, 0.90, 0.95), 0, 0.7, points=body(0.65, 0.45)),
]
DOUBLE = Thing((0.11, 0.10, 0.40, 0.60), 0, 0.8, points=body(0.3, 0.3))


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"rows": True},
        {"unit": "pixels"},
        {"unit": "shares", "points_unit": "pixels"},  # older exports
        {"dtype": "float16"},
        {"dtype": "int8", "scale": 1 / 200, "zero_point": -120},
        {"dtype": "uint8", "scale": 1 / 200, "zero_point": 10},
        {"objectness": True, "rows": True, "anchors": 25200},
    ],
)
@pytest.mark.parametrize("frame_px", [(640, 360), (480, 640)])
def test_people_and_their_points(form: dict[str, object], frame_px: tuple[int, int]) -> None:
    picture = Picture(frame_px)
    given = {"anchors": 8400, **form}
    tensor, shape = raw_head(picture, [*PEOPLE, DOUBLE], classes=1, extra=51, point_numbers=3, **given)  # type: ignore[arg-type]
    options = Options(labels=("person",), keypoint_shape=(17, 3))
    assert recognise(image_input(), (shape,), options, said=None, where="m").decoder == "yolo_pose"
    decoder = yolo_pose.open_decoder(image_input(), (shape,), options, "m")
    found = decoder.decode([tensor], picture.placement)
    step = max(float(form.get("scale", 0)), 0.0005)  # type: ignore[arg-type]
    coarse = 2 * step * 640 / min(frame_px)
    assert found.labels == ("person", "person")
    assert found.indexes == (0, 0)
    np.testing.assert_allclose(found.scores, [0.9, 0.7], atol=step)
    np.testing.assert_allclose(found.boxes, [one.box for one in PEOPLE], atol=coarse)
    np.testing.assert_allclose(found.keypoints, [one.points for one in PEOPLE], atol=coarse)
    assert decoder.keypoint_names[:3] == ("nose", "left_eye", "right_eye")
    assert decoder.gives == "detections"


def test_the_file_s_own_points_of_two_numbers_and_several_classes() -> None:
    things = [Thing((0.1, 0.1, 0.5, 0.5), 1, 0.8, points=((0.2, 0.3), (0.4, 0.5), (-0.1, 0.2), (0.3, 0.3)))]
    picture = Picture((640, 480))
    tensor, shape = raw_head(picture, things, classes=2, anchors=8400, extra=8, point_numbers=2)
    options = Options(keypoint_shape=(4, 2), keypoint_names=("a", "b", "c", "d"), labels=("cat", "dog"))
    assert recognise(image_input(), (shape,), options, said=None, where="m").decoder == "yolo_pose"
    decoder = yolo_pose.open_decoder(image_input(), (shape,), options, "m")
    found = decoder.decode([tensor], picture.placement)
    assert found.labels == ("dog",)
    assert decoder.keypoint_names == ("a", "b", "c", "d")
    assert found.keypoints is not None
    np.testing.assert_allclose(found.keypoints[0, :, :2], things[0].points, atol=1e-5)
    np.testing.assert_allclose(found.keypoints[0, :, 2], 0.8)  # the box's
    assert yolo_pose.open_decoder(image_input(), (shape,), Options(keypoint_shape=(4, 2)), "m").keypoint_names == (
        "0",
        "1",
        "2",
        "3",
    )


def test_nothing_found() -> None:
    tensor, shape = raw_head(Picture(), [], classes=1, anchors=8400, extra=51)
    found = yolo_pose.open_decoder(image_input(), (shape,), Options(), "m").decode([tensor], Picture().placement)
    assert len(found) == 0
    assert found.keypoints is not None
    assert found.keypoints.shape == (0, 17, 3)


def test_people_beside_the_frame_alone_are_nobody() -> None:
    picture = Picture((640, 360))
    above = Thing((0.1, -0.3, 0.4, -0.1), 0, 0.9, points=body(0.1, -0.3))
    tensor, shape = raw_head(picture, [above], classes=1, anchors=8400, extra=51, point_numbers=3)
    found = yolo_pose.open_decoder(image_input(), (shape,), Options(), "m").decode([tensor], picture.placement)
    assert len(found) == 0
    assert found.keypoints is not None
    assert found.keypoints.shape == (0, 17, 3)


def shaped(*size: int) -> tuple[Shape, ...]:
    return (Shape(name="Identity", shape=size, dtype="float32", scale=0.0, zero_point=0),)


@pytest.mark.parametrize(
    ("size", "options", "decoder"),
    [
        ((1, 56, 8400), {}, "yolo_pose"),
        ((1, 8400, 56), {"labels": ("person",)}, "yolo_pose"),
        ((1, 56, 8400), {"task": "pose"}, "yolo_pose"),
        ((1, 17, 8400), {"task": "pose", "keypoint_shape": (4, 3), "labels": ("plate",)}, "yolo_pose"),
        ((1, 17, 8400), {"keypoint_shape": (4, 3)}, "yolo_pose"),
        ((1, 17, 8400), {"labels": ("x",) * 13}, "yolo"),
        ((1, 56, 8400), {"labels": ("x",) * 52}, "yolo"),
    ],
)
def test_recognised(size: tuple[int, ...], options: dict[str, object], decoder: str) -> None:
    assert recognise(image_input(), shaped(*size), Options(**options), said=None, where="m").decoder == decoder  # type: ignore[arg-type]


def test_not_claimed_where_the_file_says_otherwise() -> None:
    assert yolo_pose.claims(image_input(), shaped(1, 56, 8400), Options(task="detect")) is None


def test_labels_that_do_not_fit_and_other_models() -> None:
    with pytest.raises(Problem, match="2 labels for 1 classes"):
        yolo_pose.open_decoder(image_input(), shaped(1, 56, 8400), Options(labels=("a", "b")), "m")
    with pytest.raises(Problem, match="1×20×8400"):
        yolo_pose.open_decoder(image_input(), shaped(1, 20, 8400), Options(), "m")


def test_a_damaged_count_of_points_is_not_believed() -> None:
    options = Options(keypoint_shape=(0, 3))
    assert len(yolo_pose.open_decoder(image_input(), shaped(1, 56, 8400), options, "m").keypoint_names) == 17

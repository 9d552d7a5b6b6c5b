"""YOLO heads with suppression inside, from rows written by hand."""

import numpy as np
import pytest
from peers.yolo_tensors import Picture, Thing, end_to_end, image_input, pack

from agent.decoding import Options, Shape, yolo_end_to_end
from agent.decoding._recognise import recognise
from agent.problems import Problem
from agent.records import Detections

THINGS = [
    Thing((0.10, 0.20, 0.30, 0.60), 7, 0.90),
    Thing((0.50, 0.55, 0.70, 0.98), 79, 0.40),
    Thing((0.55, 0.10, 0.95, 0.45), 0, 0.75),
    Thing((0.10, 0.70, 0.20, 0.80), 3, 0.20),
]
COCO = tuple(f"c{number}" for number in range(80))


def find(tensors: list[np.ndarray], shapes: tuple[Shape, ...], picture: Picture, **options: object) -> Detections:
    given = Options(**options)  # type: ignore[arg-type]
    assert recognise(image_input(), shapes, given, said=None, where="m").decoder == "yolo_end_to_end"
    return yolo_end_to_end.open_decoder(image_input(), shapes, given, "m").decode(tensors, picture.placement)


@pytest.mark.parametrize("unit", ["shares", "pixels"])
@pytest.mark.parametrize("class_first", [False, True])
@pytest.mark.parametrize("frame_px", [(640, 360), (480, 640)])
def test_rows(unit: str, class_first: bool, frame_px: tuple[int, int]) -> None:
    picture = Picture(frame_px)
    tensor, shape = end_to_end(picture, THINGS, unit=unit, class_first=class_first)
    found = find([tensor], (shape,), picture, labels=COCO)
    assert found.labels == ("c7", "c0", "c79")
    assert found.indexes == (7, 0, 79)
    np.testing.assert_allclose(found.scores, [0.9, 0.75, 0.4])
    np.testing.assert_allclose(found.boxes, [THINGS[0].box, THINGS[2].box, THINGS[1].box], atol=1e-5)


def test_doubles_stay_unless_iou_is_given() -> None:
    things = [THINGS[0], Thing((0.11, 0.20, 0.30, 0.60), 7, 0.6)]
    tensor, shape = end_to_end(Picture(), things)
    assert find([tensor], (shape,), Picture()).indexes == (7, 7)
    assert find([tensor], (shape,), Picture(), iou=0.5).indexes == (7,)
    assert find([tensor], (shape,), Picture(), top=1).labels == ("7",)


def test_padding_is_nothing_whatever_the_score() -> None:
    tensor, shape = end_to_end(Picture(), THINGS)
    assert len(find([tensor], (shape,), Picture(), score=0.0)) == 4
    tensor[0, :, 4:] = 0  # its box is still there
    assert len(find([tensor], (shape,), Picture(), score=0.0)) == 0


def test_the_order_of_score_and_class_once_seen_is_kept() -> None:
    first, shape = end_to_end(Picture(), THINGS, class_first=True)
    both_whole, _ = end_to_end(
        Picture(), [Thing((0.1, 0.1, 0.2, 0.2), 0, 1.0), Thing((0.5, 0.1, 0.8, 0.2), 1, 1.0)], class_first=True
    )
    decoder = yolo_end_to_end.open_decoder(image_input(), (shape,), Options(), "m")
    assert decoder.decode([first], Picture().placement).indexes == (7, 0, 79)
    assert decoder.decode([both_whole], Picture().placement).indexes == (0, 1)


def test_people() -> None:
    points = tuple((0.2 + 0.01 * index, 0.3 + 0.02 * index, 0.9) for index in range(17))
    people = [Thing((0.1, 0.1, 0.5, 0.8), 0, 0.8, points=points)]
    for unit in ("shares", "pixels"):
        picture = Picture((640, 480))
        tensor, shape = end_to_end(picture, people, unit=unit, size=57)
        found = find([tensor], (shape,), picture)
        assert found.labels == ("person",)
        np.testing.assert_allclose(found.keypoints, [points], atol=1e-5)
        np.testing.assert_allclose(found.boxes, [people[0].box], atol=1e-5)
        tensor[:] = 0
        assert find([tensor], (shape,), picture).keypoints is not None


def test_segments() -> None:
    picture = Picture((640, 480))
    table = np.full((1, 160, 160, 32), -0.5)
    table[0, :, :80, 0] = 2.0  # left of the middle
    coefficients = (1.0, *(0.0,) * 31)
    tensor, shape = end_to_end(picture, [Thing((0.25, 0.2, 0.75, 0.6), 1, 0.9, coefficients)], size=38)
    proto, proto_shape = pack(table, "int8", 0.05, -7)
    for order in ((0, 1), (1, 0)):
        tensors, shapes = [(tensor, proto)[i] for i in order], tuple((shape, proto_shape)[i] for i in order)
        found = find(tensors, shapes, picture, masks=True)
        np.testing.assert_allclose(found.values, [0.1], atol=0.005)
        assert found.masks is not None
        np.testing.assert_allclose(found.masks.mean(), 0.1, atol=0.005)
        assert find(tensors, shapes, picture).masks is None


def test_rows_beside_the_frame_alone_are_nothing() -> None:
    picture = Picture((640, 360))
    above = Thing((0.1, -0.3, 0.4, -0.1), 0, 0.9, points=((0.1, -0.2, 0.9),) * 17)
    tensor, shape = end_to_end(picture, [above], size=57)
    found = find([tensor], (shape,), picture)
    assert len(found) == 0
    assert found.keypoints is not None
    assert found.keypoints.shape == (0, 17, 3)


def shaped(*sizes: tuple[int, ...]) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=f"y{i}", shape=size, dtype="float32", scale=0.0, zero_point=0) for i, size in enumerate(sizes)
    )


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        (((1, 300, 6),), {}),
        (((1, 300, 6),), {"task": "detect", "suppressed": True}),
        (((1, 100, 6),), {"task": "detect"}),
        (((1, 300, 6),), {"task": "detect", "suppressed": False, "labels": COCO}),  # YOLOv10: nms was not asked for
        (((1, 300, 57),), {"task": "pose", "suppressed": False, "keypoint_shape": (17, 3), "labels": ("person",)}),
        (((1, 300, 38), (1, 160, 160, 32)), {"task": "segment", "suppressed": False, "labels": COCO}),
        (((1, 300, 57),), {}),
        (((1, 300, 57),), {"task": "pose", "keypoint_shape": (17, 3)}),
        (((1, 300, 18),), {"task": "pose", "keypoint_shape": (4, 3)}),
        (((1, 300, 38), (1, 160, 160, 32)), {}),
        (((1, 300, 38), (1, 160, 160, 32)), {"task": "segment", "suppressed": True}),
    ],
)
def test_recognised(sizes: tuple[tuple[int, ...], ...], options: dict[str, object]) -> None:
    assert (
        recognise(image_input(), shaped(*sizes), Options(**options), said=None, where="m").decoder == "yolo_end_to_end"
    )  # type: ignore[arg-type]


def test_the_file_s_word_stands_above_a_count_that_a_grid_could_have() -> None:
    inputs, rows = image_input(128, 128), shaped((1, 336, 6))
    assert recognise(inputs, rows, Options(suppressed=True), said=None, where="m").decoder == "yolo_end_to_end"
    assert recognise(inputs, rows, Options(), said=None, where="m").decoder == "yolo"


def test_other_models_are_refused() -> None:
    with pytest.raises(Problem, match="1×300×9"):
        yolo_end_to_end.open_decoder(image_input(), shaped((1, 300, 9)), Options(), "m")
    assert (
        yolo_end_to_end.claims(image_input(), shaped((1, 8400, 6)), Options()) is None
    )  # one anchor a cell: YOLOv8 with 2 classes

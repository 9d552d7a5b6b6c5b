"""YOLO heads without suppression: from tensors made of known boxes, and a real model on a real clip."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.yolo_tensors import Picture, Thing, image_input, pack, raw_head

from agent.decoding import Options, Shape, yolo
from agent.decoding._boxes import real
from agent.decoding._recognise import recognise
from agent.problems import Exit, Problem
from agent.records import Detections

THINGS = [
    Thing((0.10, 0.20, 0.30, 0.60), 7, 0.90),
    Thing((0.55, 0.10, 0.95, 0.45), 0, 0.75),
    Thing((0.50, 0.55, 0.70, 0.98), 79, 0.40),
]
DOUBLES = [
    Thing((0.11, 0.21, 0.30, 0.60), 7, 0.80),
    Thing((0.10, 0.20, 0.31, 0.60), 8, 0.60),
]  # the second is of another class
WEAK = Thing((0.2, 0.7, 0.4, 0.9), 3, 0.24)
QUANTISED = (
    {"dtype": "int8", "scale": 1 / 200, "zero_point": -128},
    {"dtype": "uint8", "scale": 1 / 200, "zero_point": 3},
    {"dtype": "int16", "scale": 1 / 20000, "zero_point": 0},
)
FLOATS = ({"dtype": "float32"}, {"dtype": "float16"}, {"dtype": "float32", "unit": "pixels"})
HEADS = (
    {"anchors": 8400, "objectness": False, "rows": False},
    {"anchors": 8400, "objectness": False, "rows": True},
    {"anchors": 25200, "objectness": True, "rows": True},
)


def find(tensor: np.ndarray, shape: Shape, picture: Picture, **options: object) -> Detections:
    inputs = image_input(*picture.input_px)
    given_options = Options(**options)  # type: ignore[arg-type]
    assert recognise(inputs, (shape,), given_options, said=None, where="m").decoder == "yolo"
    return yolo.open_decoder(inputs, (shape,), given_options, "m").decode([tensor], picture.placement)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("form", [*FLOATS, *QUANTISED])
@pytest.mark.parametrize("frame_px", [(640, 360), (480, 640)])
def test_every_head_in_every_type(head: dict[str, object], form: dict[str, object], frame_px: tuple[int, int]) -> None:
    picture = Picture(frame_px)
    tensor, shape = raw_head(picture, [*THINGS, *DOUBLES, WEAK], classes=80, **head, **form)  # type: ignore[arg-type]
    found = find(tensor, shape, picture)
    assert found.indexes == (7, 0, 8, 79)
    assert found.labels == ("7", "0", "8", "79")
    wanted = [THINGS[0], THINGS[1], DOUBLES[1], THINGS[2]]
    step = float(form.get("scale", 0.0005))  # type: ignore[arg-type]
    np.testing.assert_allclose(found.scores, [one.score for one in wanted], atol=2.2 * step)
    coarse = 2 * step * 640 / min(picture.frame_px)
    np.testing.assert_allclose(found.boxes, [one.box for one in wanted], atol=coarse)
    assert found.boxes is not None
    assert found.boxes.dtype == found.scores.dtype == np.float32


def test_other_sizes_of_input_and_more_or_fewer_levels() -> None:
    for width, height, cells in (
        (320, 192, (40 * 24, 20 * 12, 10 * 6)),
        (640, 640, (6400, 1600, 400, 100)),
        (416, 416, (26**2, 13**2)),
    ):
        for per_cell in (1, 3):
            picture = Picture((1920, 1080), (width, height))
            tensor, shape = raw_head(
                picture,
                THINGS[:2],
                classes=10,
                anchors=per_cell * sum(cells),
                objectness=per_cell == 3,
                rows=per_cell == 3,
            )
            found = find(tensor, shape, picture, labels=tuple("abcdefghij"))
            assert found.labels == ("h", "a")
            np.testing.assert_allclose(found.boxes, [one.box for one in THINGS[:2]], atol=1e-5)


def test_score_iou_and_top() -> None:
    picture = Picture()
    tensor, shape = raw_head(picture, [*THINGS, *DOUBLES, WEAK], classes=80, anchors=8400)
    assert find(tensor, shape, picture, score=0.2).indexes == (7, 0, 8, 79, 3)
    assert find(tensor, shape, picture, score=0.5, top=2).indexes == (7, 0)
    assert find(tensor, shape, picture, iou=0.97).indexes == (7, 7, 0, 8, 79)
    nothing = find(tensor, shape, picture, score=0.99)
    assert (len(nothing), nothing.indexes) == (0, ())


def test_what_lies_beside_the_frame_is_dropped_and_the_rest_clipped() -> None:
    picture = Picture((640, 360))
    things = [Thing((0.2, -0.3, 0.4, -0.05), 0, 0.9), Thing((0.5, 0.8, 0.7, 1.2), 1, 0.8), THINGS[0]]
    tensor, shape = raw_head(picture, things, classes=80, anchors=8400)
    found = find(tensor, shape, picture, top=2)
    assert found.indexes == (7, 1)  # top counts what is left
    np.testing.assert_allclose(found.boxes, [THINGS[0].box, (0.5, 0.8, 0.7, 1.0)], atol=1e-5)


def test_the_next_run_changes_nothing_that_was_given() -> None:
    picture = Picture()
    tensor, shape = raw_head(picture, THINGS, classes=80, anchors=8400)
    found = find(tensor, shape, picture)
    tensor[:] = 0
    np.testing.assert_allclose(found.scores, [0.9, 0.75, 0.4])
    np.testing.assert_allclose(found.boxes, [one.box for one in THINGS], atol=1e-5)


def test_noise_gives_at_most_what_suppression_is_given() -> None:
    noise = np.random.default_rng(3).random((1, 84, 8400)).astype(np.float32)
    noise[:, 2:4] *= 0.02
    shape = pack(noise, "float32", 0.0, 0)[1]
    assert 200 < len(find(noise, shape, Picture())) <= 300
    rows = np.random.default_rng(3).integers(0, 256, (1, 25200, 85), np.uint8)
    assert (
        len(find(rows, Shape(name="y", shape=rows.shape, dtype="uint8", scale=1 / 255, zero_point=0), Picture())) <= 300
    )


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(("int8", "uint8")),
    st.integers(20, 140),
    st.booleans(),
    st.floats(0.02, 0.9),
)
def test_a_quantised_output_gives_what_its_real_values_give(
    seed: int, dtype: str, steps: int, objectness: bool, score: float
) -> None:
    """One decoder reads the model's numbers, the other the same numbers made real first: the same things, ties and all."""
    random = np.random.default_rng(seed)
    anchors = 63 * (3 if objectness else 1)  # of a 64 x 48 input: 48 + 12 + 3
    values = random.integers(-128, -128 + steps, (1, 7 + objectness, anchors))  # few steps: many ties
    tensor = (values if dtype == "int8" else values + 128).astype(dtype)
    quantised = Shape(
        name="y", shape=tensor.shape, dtype=dtype, scale=1 / 128, zero_point=-128 if dtype == "int8" else 0
    )
    plain = Shape(name="y", shape=tensor.shape, dtype="float32", scale=0.0, zero_point=0)
    options = Options(score=score, iou=0.6)
    placement = Picture((64, 48), (64, 48)).placement
    inputs = image_input(64, 48)
    mine = yolo.open_decoder(inputs, (quantised,), options, "m").decode([tensor], placement)
    wanted = yolo.open_decoder(inputs, (plain,), options, "m").decode([real(tensor, quantised)], placement)
    assert mine.indexes == wanted.indexes
    np.testing.assert_array_equal(mine.scores, wanted.scores)
    np.testing.assert_array_equal(mine.boxes, wanted.boxes)


def shaped(*size: int) -> tuple[Shape, ...]:
    return (Shape(name="Identity", shape=size, dtype="float32", scale=0.0, zero_point=0),)


@pytest.mark.parametrize(
    ("size", "options", "decoder"),
    [
        ((1, 84, 8400), {}, "yolo"),
        ((1, 8400, 84), {"labels": ("x",) * 80}, "yolo"),
        ((1, 25200, 85), {}, "yolo"),
        ((1, 25200, 6), {}, "yolo"),
        ((1, 6, 8400), {}, "yolo"),
        ((1, 8400, 85), {"labels": ("x",) * 80}, "yolo"),
        ((1, 56, 8400), {"labels": ("x",) * 52}, "yolo"),
        ((1, 56, 8400), {"task": "detect"}, "yolo"),
        ((1, 56, 8400), {}, "yolo_pose"),
        ((1, 116, 8400), {}, "yolo"),  # without prototypes
        (
            (1, 7, 1000),
            {"task": "detect", "suppressed": False, "labels": ("a", "b", "c")},
            "yolo",
        ),  # the file's word, on an unknown grid
    ],
)
def test_recognised(size: tuple[int, ...], options: dict[str, object], decoder: str) -> None:
    found = recognise(image_input(), shaped(*size), Options(**options), said=None, where="m")  # type: ignore[arg-type]
    assert found.decoder == decoder
    assert found.why


def test_not_claimed_where_the_file_says_otherwise() -> None:
    for options in (Options(task="classify"), Options(task="segment")):
        assert yolo.claims(image_input(), shaped(1, 84, 8400), options) is None
    # "end2end" may still be said of a file whose head was cut off: the count of anchors stands above it
    assert yolo.claims(image_input(), shaped(1, 84, 8400), Options(task="detect", suppressed=True)) is not None


def test_channels_first_inputs_have_a_size_too() -> None:
    inputs = (Shape(name="images", shape=(1, 3, 480, 640), dtype="float32", scale=0.0, zero_point=0),)
    assert recognise(inputs, shaped(1, 84, 6300), Options(), said=None, where="m").decoder == "yolo"


@pytest.mark.parametrize(
    ("size", "count", "classes"),
    [
        ((1, 84, 8400), 79, 80),
        ((1, 84, 8400), 81, 80),
        ((1, 25200, 85), 81, 80),
        ((1, 25200, 85), 3, 80),
        ((1, 20, 8400), 15, 16),
    ],
)
def test_a_wrong_count_of_labels_is_named(size: tuple[int, ...], count: int, classes: int) -> None:
    with pytest.raises(Problem, match=f"{count} labels for {classes} classes") as caught:
        yolo.open_decoder(image_input(), shaped(*size), Options(labels=("x",) * count), "lane.a.model.b")
    assert caught.value.code == Exit.MODEL
    assert caught.value.where == "lane.a.model.b.labels"


def test_rotated_boxes_are_refused_in_words() -> None:
    for size in ((1, 20, 21504), (1, 300, 7)):
        options, inputs = Options(task="obb"), image_input(1024, 1024)
        decoder = recognise(inputs, shaped(*size), options, said=None, where="m").decoder
        module = __import__(f"agent.decoding.{decoder}", fromlist=["open_decoder"])
        with pytest.raises(Problem, match="rotated boxes") as caught:
            module.open_decoder(inputs, shaped(*size), options, "m")
        assert "set m.decoder to" in caught.value.remedy
        with pytest.raises(Problem, match="rotated boxes") as caught:
            module.open_decoder(inputs, shaped(*size), options, "")
        assert "set decoder to" in caught.value.remedy


def test_other_models_are_refused() -> None:
    with pytest.raises(Problem, match="3×3×3"):
        yolo.open_decoder(image_input(), shaped(3, 3, 3), Options(), "m")
    with pytest.raises(Problem, match="1×5×8400"):
        yolo.open_decoder(image_input(), shaped(1, 5, 8400)[:0] + shaped(1, 5, 8400) * 2, Options(), "m")


def test_a_model_without_a_picture_is_refused() -> None:
    vector = (Shape(name="x", shape=(1, 40), dtype="float32", scale=0.0, zero_point=0),)
    with pytest.raises(Problem, match=r"for pictures.* 1×40"):
        yolo.open_decoder(vector, shaped(1, 84, 8400), Options(), "m")


def test_the_three_bottles_of_the_clip(testdata: Path) -> None:
    import cv2

    from agent.inference.model import Config
    from agent.pipeline.models import open_model
    from agent.records import Frame

    clip = cv2.VideoCapture(str(testdata / "clips" / "bottle-detection.mp4"))
    for _ in range(101):
        _, pixels = clip.read()
    clip.release()
    models = testdata / "models"
    config = Config(
        path=str(models / "yolov8n_int8.tflite"), labels=str(models / "coco80_labels.txt"), delegates=("cpu",)
    )
    with open_model("m", config, where="m", kind="frame") as runner:
        assert runner.decoder == "yolo"
        found = runner.look(Frame(at_us=0, bgr=pixels))
    assert found.labels == ("bottle",) * 3
    assert found.indexes == (39,) * 3
    assert found.boxes is not None
    # Read from the frame with a ruler, in its pixels: cap to bottom.
    ruler = np.array(((57, 107, 122, 312), (287, 109, 345, 312), (509, 106, 572, 314)), np.float32)
    in_order = found.boxes[np.argsort(found.boxes[:, 0])] * np.array((640, 360, 640, 360), np.float32)
    np.testing.assert_allclose(in_order, ruler, atol=6)

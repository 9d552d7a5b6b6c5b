"""The four outputs of TFLite_Detection_PostProcess, in any order, and those of the Object Detection API's saved models."""

import itertools

import numpy as np
import pytest

from agent.decoding import Options, Shape, ssd, ssd_anchors
from agent.decoding._recognise import recognise
from agent.problems import Problem
from agent.records import Placement
from tests.peers.anchor_heads import Thing, heads, pyramid_anchors, single_shot_anchors
from tests.peers.detection_postprocess import detection_postprocess, run

OP = "TFLite_Detection_PostProcess"
NAMES = (OP, f"{OP}:1", f"{OP}:2", f"{OP}:3")


def values(count: float = 2.0) -> tuple[np.ndarray, ...]:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [-0.1, 0.5, 0.4, 1.2], [0, 0, 1, 1]]], np.float32)  # y0 x0 y1 x1
    return (
        boxes,
        np.array([[1, 0, 2]], np.float32),
        np.array([[0.9, 0.6, 0.95]], np.float32),
        np.array([count], np.float32),
    )


def shapes(names: tuple[str, ...]) -> tuple[Shape, ...]:
    return tuple(Shape(name=name, shape=(), dtype="float32", scale=0.0, zero_point=0) for name in names)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_by_name(order: tuple[int, ...]) -> None:
    given = shapes(tuple(NAMES[index] for index in order))
    assert ssd.claims((), given, Options()) is not None
    decoder = ssd.open_decoder((), given, Options(labels=("cat", "dog")), "m")
    found = decoder.decode([values()[index] for index in order], Placement())
    assert found.labels == ("dog", "cat")
    np.testing.assert_allclose(found.scores, [0.9, 0.6])
    np.testing.assert_allclose(found.boxes, [[0.2, 0.1, 0.6, 0.5], [0.5, 0.0, 1.0, 0.4]])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_by_shape_where_names_say_nothing(order: tuple[int, ...]) -> None:
    given = shapes(tuple(f"StatefulPartitionedCall:{index}" for index in range(4)))
    decoder = ssd.open_decoder((), given, Options(labels=("cat", "dog")), "m")
    assert decoder.decode([values()[index] for index in order], Placement()).labels == ("dog", "cat")


def test_score_top_count_and_labels_missing() -> None:
    decoder = ssd.open_decoder((), shapes(NAMES), Options(), "m")
    assert decoder.decode(list(values(3)), Placement()).labels == ("2", "1", "0")  # the best first
    assert len(decoder.decode(list(values(0)), Placement())) == 0
    assert decoder.decode(list(values(99)), Placement()).labels == ("2", "1", "0")  # a count beyond the arrays
    strict = ssd.open_decoder((), shapes(NAMES), Options(score=0.7, top=1), "m")
    assert len(strict.decode(list(values()), Placement())) == 1


def test_other_models_are_refused() -> None:
    with pytest.raises(Problem, match="gives 2"):
        ssd.open_decoder((), shapes(NAMES[:2]), Options(), "m")
    decoder = ssd.open_decoder((), shapes(("a", "b", "c", "d")), Options(), "m")
    with pytest.raises(Problem, match="1×7"):
        decoder.decode([np.zeros((1, 7), np.float32)] * 4, Placement())


IMAGE = (Shape(name="in", shape=(1, 300, 300, 3), dtype="uint8", scale=0.0, zero_point=0),)
# label, score, box x0 y0 x1 y1 as a share of the input
THINGS = ((4, 0.92, (0.2, 0.1, 0.6, 0.5)), (0, 0.71, (0.5, 0.25, 0.75, 1.0)), (17, 0.3, (0.1, 0.1, 0.2, 0.2)))


def post_process(rows: int = 10, first_class: int = 0) -> dict[str, np.ndarray]:
    """What the op writes for THINGS: padding is zeros."""
    outputs = {
        "boxes": np.zeros((1, rows, 4), np.float32),
        "classes": np.zeros((1, rows), np.float32),
        "scores": np.zeros((1, rows), np.float32),
        "count": np.array([len(THINGS)], np.float32),
    }
    for row, (label, score, (x0, y0, x1, y1)) in enumerate(THINGS):
        outputs["boxes"][0, row] = (y0, x0, y1, x1)
        outputs["classes"][0, row], outputs["scores"][0, row] = label + first_class, score
    return outputs


def described(arrays: list[np.ndarray], names: list[str], said: list[str] | None = None) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=n, shape=a.shape, dtype=str(a.dtype), scale=0.0, zero_point=0, said=said[i] if said else "")
        for i, (a, n) in enumerate(zip(arrays, names, strict=True))
    )


def assert_things(given: tuple[Shape, ...], arrays: list[np.ndarray]) -> None:
    assert recognise(IMAGE, given, Options(), said=None, where="m").decoder == "ssd"
    found = ssd.open_decoder(IMAGE, given, Options(), "m").decode(arrays, Placement())
    assert found.indexes == (4, 0)
    np.testing.assert_allclose(found.scores, [0.92, 0.71])
    np.testing.assert_allclose(found.boxes, [THINGS[0][2], THINGS[1][2]], atol=1e-6)


@pytest.mark.parametrize(
    "graph",
    [
        ("count", "scores", "classes", "boxes"),  # converted by TensorFlow 2.6 and later: the graph numbers them so
        ("boxes", "classes", "scores", "count"),  # before
    ],
)
@pytest.mark.parametrize("order", [(1, 3, 0, 2), (3, 2, 1, 0), (0, 1, 2, 3)])
def test_tensorflow_2_numbers_them_one_way_or_the_other(graph: tuple[str, ...], order: tuple[int, ...]) -> None:
    outputs = post_process()
    arrays = [outputs[graph[number]] for number in order]
    assert_things(described(arrays, [f"StatefulPartitionedCall:{number}" for number in order]), arrays)


@pytest.mark.parametrize("order", [(1, 3, 0, 2), (3, 2, 1, 0), (2, 0, 1, 3)])
def test_metadata_tells(order: tuple[int, ...]) -> None:
    outputs = list(post_process().values())
    outputs[2][0, :3] = 1.0  # whole scores: values tell nothing
    said = ["location", "category", "score", "number of detections"]
    arrays = [outputs[i] for i in order]
    given = described(arrays, ["x"] * 4, [said[i] for i in order])
    assert recognise(IMAGE, given, Options(), said=None, where="m").decoder == "ssd"
    assert ssd.open_decoder(IMAGE, given, Options(), "m").decode(arrays, Placement()).indexes == (4, 0, 17)


def test_raw_outputs_beside_the_four_are_left_alone() -> None:
    outputs = list(post_process().values())
    raw = [np.ones((1, 1917, 4), np.float32), np.ones((1, 1917, 91), np.float32)]
    arrays = [raw[0], *outputs, raw[1]]
    names = ["raw_outputs/box_encodings", *NAMES, "raw_outputs/class_predictions"]
    assert_things(described(arrays, names), arrays)
    assert_things(described(arrays, list("abcdef")), arrays)


def test_a_saved_model_counts_the_background() -> None:
    outputs = post_process(first_class=1)
    anchors = np.arange(10, dtype=np.float32)[None] * 37
    raw = [np.zeros((1, 10, 91), np.float32), np.zeros((1, 1917, 4), np.float32), np.zeros((1, 1917, 91), np.float32)]
    arrays = [anchors, outputs["boxes"], outputs["classes"], raw[0], outputs["scores"], outputs["count"], *raw[1:]]
    assert_things(described(arrays, [f"StatefulPartitionedCall:{i}" for i in range(8)]), arrays)
    names = ["detection_anchor_indices", "detection_boxes", "detection_classes", "detection_multiclass_scores"]
    names += ["detection_scores", "num_detections", "raw_detection_boxes", "raw_detection_scores"]
    assert_things(described(arrays, names), arrays)


def test_quantised_outputs_are_real_numbers_again() -> None:
    outputs = post_process()
    scales = {"boxes": (1 / 200, 3), "classes": (1.0, 0), "scores": (1 / 250, 0), "count": (1.0, 0)}
    arrays = [
        np.round(array / scales[key][0] + scales[key][1]).astype(np.uint8).reshape(array.shape)
        for key, array in outputs.items()
    ]
    given = tuple(
        Shape(name=name, shape=array.shape, dtype="uint8", scale=scale, zero_point=zero)
        for name, array, (scale, zero) in zip(NAMES, arrays, scales.values(), strict=True)
    )
    found = ssd.open_decoder(IMAGE, given, Options(), "m").decode(arrays, Placement())
    assert found.indexes == (4, 0)
    np.testing.assert_allclose(found.scores, [0.92, 0.71], atol=1 / 500 + 1e-6)
    np.testing.assert_allclose(found.boxes, [THINGS[0][2], THINGS[1][2]], atol=1 / 400 + 1e-6)


def test_the_background_label_is_no_class() -> None:
    outputs = list(post_process().values())
    for first in ("???", "background"):
        decoder = ssd.open_decoder((), shapes(NAMES), Options(labels=(first, "person", "b", "c", "???", "e")), "m")
        assert decoder.labels[0] == "person"
        assert decoder.decode(outputs, Placement()).labels == ("e", "person")
    gap = ssd.open_decoder((), shapes(NAMES), Options(labels=("person", "b", "c", "d", "???", "e")), "m")
    assert gap.decode(outputs, Placement()).labels == ("4", "person")
    told = ssd.open_decoder((), shapes(NAMES), Options(labels=("nothing", "person"), background=True), "m")
    assert told.decode(outputs, Placement()).labels == ("4", "person")


def test_letterbox_is_undone_and_what_lies_beside_the_frame_is_left_out() -> None:
    outputs = post_process()
    outputs["boxes"][0, 1] = (0.02, 0.3, 0.2, 0.5)  # in the border above a frame that is twice as wide as high
    decoder = ssd.open_decoder((), shapes(NAMES), Options(), "m")
    found = decoder.decode(list(outputs.values()), Placement(y=0.25, height=0.5))
    assert found.indexes == (4,)
    np.testing.assert_allclose(found.boxes, [[0.2, 0.0, 0.6, 0.5]], atol=1e-6)


def test_boxes_in_pixels() -> None:
    outputs = post_process()
    outputs["boxes"] *= 300
    arrays = list(outputs.values())
    found = ssd.open_decoder(IMAGE, described(arrays, list(NAMES)), Options(), "m").decode(arrays, Placement())
    np.testing.assert_allclose(found.boxes, [THINGS[0][2], THINGS[1][2]], atol=1e-6)


@pytest.mark.parametrize("count", [0.0, -1.0, np.nan, np.inf])
def test_numbers_that_are_none(count: float) -> None:
    outputs = post_process()
    outputs["count"][:] = count
    outputs["scores"][0, 1], outputs["boxes"][0, 0, 2] = np.nan, np.inf
    found = ssd.open_decoder((), shapes(NAMES), Options(score=0.1), "m").decode(list(outputs.values()), Placement())
    assert found.indexes == ((17,) if count == np.inf else ())
    assert found.boxes.shape == (len(found), 4)


@pytest.mark.parametrize("sizes", [[(1, 10, 4), (1, 10), (1, 10)], [(1, 300, 6)], [(1, 25200, 85)], [(1, 9, 4)] * 4])
def test_others_are_not_claimed(sizes: list[tuple[int, ...]]) -> None:
    arrays = [np.zeros(size, np.float32) for size in sizes]
    assert ssd.claims(IMAGE, described(arrays, [f"x:{i}" for i in range(len(sizes))]), Options()) is None


@pytest.mark.parametrize("pyramid", [False, True])
def test_the_op_and_the_raw_heads_before_it_say_the_same(pyramid: bool) -> None:
    generator = np.random.default_rng(7)
    things = [
        Thing(int(generator.integers(1, 5)), float(score), (x, y, x + width, y + height))
        for score, x, y, width, height in zip(
            np.linspace(0.95, 0.55, 6),
            *generator.uniform(0.02, 0.5, (2, 6)),
            *generator.uniform(0.1, 0.45, (2, 6)),
            strict=True,
        )
    ]
    anchors = single_shot_anchors(300)
    if pyramid:
        pairs = [(2 ** (octave / 2), ratio) for ratio in (1.0, 2.0, 0.5) for octave in range(2)]
        anchors = pyramid_anchors(300, pairs, 4.0, corner=True)
    numbers, logits = heads(anchors, 5, things, (10.0, 10.0, 5.0, 5.0))
    shares = (1 / (1 + np.exp(-logits))).astype(np.float32)
    given, arrays = run(detection_postprocess(anchors, 5), numbers, shares)
    assert recognise(IMAGE, given, Options(), said=None, where="m").decoder == "ssd"
    found = ssd.open_decoder(IMAGE, given, Options(), "m").decode(arrays, Placement())
    raw_given = described([numbers, logits], ["x", "y"])
    raw = ssd_anchors.open_decoder(IMAGE, raw_given, Options(), "m").decode([numbers, logits], Placement())
    assert len(found) >= 5
    assert found.indexes == raw.indexes
    np.testing.assert_allclose(found.scores, raw.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, raw.boxes, atol=1e-5)
    for thing in things:  # each is found where it was put
        assert np.abs(found.boxes - np.clip(thing.box, 0, 1)).max(axis=1).min() < 1e-5

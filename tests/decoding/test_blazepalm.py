"""Palms from outputs written by hand."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, blazepalm
from agent.decoding._recognise import recognise
from agent.problems import Exit, Problem
from agent.records import Placement

# input side, anchors, (stride, anchors a cell) of each grid
MODELS = [(192, 2016, ((8, 2), (16, 6))), (256, 2944, ((8, 2), (16, 2), (32, 6))), (128, 896, ((8, 2), (16, 6)))]


def image(side: int) -> tuple[Shape, ...]:
    return (Shape(name="input", shape=(1, side, side, 3), dtype="float32", scale=0.0, zero_point=0),)


def shapes(anchors: int) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=f"Identity_{i}", shape=(1, anchors, size), dtype="float32", scale=0.0, zero_point=0)
        for i, size in enumerate((18, 1))
    )


def palm(side: int, grids: tuple[tuple[int, int], ...], box: tuple[float, ...]) -> list[np.ndarray]:
    """One palm x0, y0, x1, y1 in pixels on the last anchor of the cell of the coarsest grid that holds its middle."""
    numbers, logits = [], []
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    for stride, anchors in grids:
        for row in range(side // stride):
            for column in range(side // stride):
                for anchor in range(anchors):
                    mine = stride == grids[-1][0] and (row, column) == (y // stride, x // stride)
                    dx, dy = x - (column + 0.5) * stride, y - (row + 0.5) * stride
                    points = [dx + 7, dy - 9] * 7
                    hit = mine and anchor == anchors - 1
                    numbers.append([dx, dy, box[2] - box[0], box[3] - box[1], *points] if hit else [0.0] * 18)
                    logits.append([2.0] if hit else [-20.0])
    return [np.array([numbers], np.float32), np.array([logits], np.float32)]


@pytest.mark.parametrize(("side", "anchors", "grids"), MODELS)
def test_a_palm_has_box_score_and_seven_points(side: int, anchors: int, grids: tuple[tuple[int, int], ...]) -> None:
    given = shapes(anchors)
    assert recognise(image(side), given, Options(), said=None, where="m").decoder == "blazepalm"
    decoder = blazepalm.open_decoder(image(side), given, Options(), "m")
    outputs = palm(side, grids, (20, 60, 80, 120))
    found = decoder.decode(outputs, Placement())
    assert found.labels == ("palm",)
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-2.0)))
    np.testing.assert_allclose(found.boxes[0] * side, (20, 60, 80, 120), atol=1e-3)
    assert found.keypoints.shape == (1, len(decoder.keypoint_names), 3) == (1, 7, 3)
    np.testing.assert_allclose(found.keypoints[0, 3, :2] * side, (57, 81), atol=1e-3)
    letterbox = decoder.decode(outputs, Placement(x=0.125, width=0.75))  # a frame higher than wide
    np.testing.assert_allclose(letterbox.boxes[0, 0], max(20 / side - 0.125, 0) / 0.75, atol=1e-6)


def test_the_older_models_take_other_numbers() -> None:
    assert blazepalm.wants(image(192), shapes(2016), Options()).mean is None
    assert blazepalm.wants(image(256), shapes(2944), Options()).mean == (127.5,)
    assert blazepalm.wants(image(128), shapes(896), Options()).mean == (127.5,)


def test_nothing_weak_or_wild_gives_a_palm() -> None:
    decoder = blazepalm.open_decoder(image(192), shapes(2016), Options(), "m")
    empty = np.zeros((1, 2016, 18), np.float32)
    assert len(decoder.decode([empty, np.full((1, 2016, 1), -0.1, np.float32)], Placement())) == 0
    for value in (np.nan, np.inf):
        assert len(decoder.decode([empty + np.float32(value), empty[..., :1] + 9], Placement())) == 0
        assert decoder.decode([empty, empty[..., :1] + np.float32(np.nan)], Placement()).keypoints.shape == (0, 7, 3)


def test_other_shapes_and_labels_are_named() -> None:
    with pytest.raises(Problem, match="1×2016×18 or 1×2944×18 or 1×896×18") as caught:
        blazepalm.open_decoder(image(192), shapes(2000), Options(), "m")
    assert caught.value.code == Exit.MODEL
    with pytest.raises(Problem, match="2 labels for 1 class"):
        blazepalm.open_decoder(image(192), shapes(2016), Options(labels=("a", "b")), "m")

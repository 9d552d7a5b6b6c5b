"""EfficientDet: rows of seven numbers, and raw heads made from known boxes."""

import numpy as np
import pytest

from agent.decoding import Options, Shape, efficientdet
from agent.decoding._recognise import recognise
from agent.problems import Exit, Problem
from agent.records import Placement
from tests.peers.anchor_heads import Thing, heads, pyramid_anchors

SCALES = (1.0, 1.0, 1.0, 1.0)
THINGS = [Thing(2, 0.9, (0.1, 0.2, 0.4, 0.6)), Thing(0, 0.8, (0.55, 0.5, 0.95, 0.95))]
LABELS = ("a", "b", "c")


def nine(*ratios: float) -> list[tuple[float, float]]:
    return [(2 ** (octave / 3), ratio) for octave in range(3) for ratio in ratios]


# input side, anchor scale, boxes of a cell
MODELS = [(320, 3.0, nine(1.0, 2.0, 0.5)), (512, 4.0, nine(1.0, 2.0, 0.5)), (256, 3.0, nine(0.5, 1.0, 2.0))]


def image(side: int) -> tuple[Shape, ...]:
    return (Shape(name="in", shape=(1, side, side, 3), dtype="float32", scale=0.0, zero_point=0),)


def described(arrays: list[np.ndarray], scale: float = 0.0, zero_point: int = 0) -> tuple[Shape, ...]:
    return tuple(
        Shape(name=f"t{i}", shape=array.shape, dtype=str(array.dtype), scale=scale, zero_point=zero_point)
        for i, array in enumerate(arrays)
    )


def levels(array: np.ndarray, side: int) -> list[np.ndarray]:
    """(1, n, k) → (1, rows, columns, 9 k) of levels 3 to 7."""
    parts, start = [], 0
    for level in range(3, 8):
        cells = -(-side // 2**level)
        parts.append(array[:, start : start + cells * cells * 9].reshape(1, cells, cells, -1))
        start += cells * cells * 9
    return parts


def assert_things(found, tolerance: float = 1e-5) -> None:
    assert (found.labels, found.indexes) == (("c", "a"), (2, 0))
    np.testing.assert_allclose(found.scores, [0.9, 0.8], atol=max(tolerance, 1e-5))
    np.testing.assert_allclose(found.boxes, [thing.box for thing in THINGS], atol=tolerance)


@pytest.mark.parametrize(("side", "anchor_scale", "pairs"), MODELS)
def test_raw_boxes_come_back(side: int, anchor_scale: float, pairs: list[tuple[float, float]]) -> None:
    numbers, scores = heads(pyramid_anchors(side, pairs, anchor_scale), 3, THINGS, SCALES)
    for arrays in (
        [numbers, scores],
        [scores, numbers],
        levels(scores, side) + levels(numbers, side),
        levels(numbers, side)[::-1] + levels(scores, side),
    ):
        given = described(arrays)
        options = Options(labels=LABELS)
        assert recognise(image(side), given, options, said=None, where="m").decoder == "efficientdet"
        assert_things(efficientdet.open_decoder(image(side), given, options, "m").decode(arrays, Placement()))


def test_quantised_levels() -> None:
    numbers, scores = heads(pyramid_anchors(320, MODELS[0][2], 3.0), 3, THINGS, SCALES)
    quantised = [np.round(array / 0.05).clip(-128, 127).astype(np.int8) for array in (scores, numbers)]
    arrays = levels(quantised[0], 320) + levels(quantised[1], 320)
    given = described(arrays, scale=0.05)
    found = efficientdet.open_decoder(image(320), given, Options(labels=LABELS), "m").decode(arrays, Placement())
    assert_things(found, tolerance=0.02)


def rows(scores: tuple[float, ...] = (0.9, 0.8, 0.2)) -> np.ndarray:
    """google/automl's output: image, y0, x0, y1, x1 in pixels, score, class from 1."""
    found = np.zeros((1, 100, 7), np.float32)
    found[0, 0] = (0, 64, 32, 192, 128, scores[0], 3)
    found[0, 1] = (0, 160, 176, 304, 304, scores[1], 1)
    found[0, 2] = (0, 0, 0, 50, 50, scores[2], 2)
    return found


def test_rows_of_seven_numbers() -> None:
    given = described([rows()])
    assert recognise(image(320), given, Options(), said=None, where="m").decoder == "efficientdet"
    decoder = efficientdet.open_decoder(image(320), given, Options(labels=LABELS), "m")
    assert_things(decoder.decode([rows()], Placement()))
    letterbox = decoder.decode([rows()], Placement(y=0.125, height=0.75))
    np.testing.assert_allclose(letterbox.boxes[0], (0.1, 0.1, 0.4, 0.475 / 0.75), atol=1e-6)
    with_background = efficientdet.open_decoder(image(320), given, Options(labels=("???", *LABELS)), "m")
    assert with_background.decode([rows()], Placement()).labels == ("c", "a")
    unlabelled = efficientdet.open_decoder(image(320), given, Options(score=0.1, top=2), "m")
    assert unlabelled.decode([rows()], Placement()).labels == ("2", "0")


def test_rows_that_are_none() -> None:
    decoder = efficientdet.open_decoder(image(320), described([rows()]), Options(), "m")
    assert len(decoder.decode([rows((np.nan, 0.8, 0.1))], Placement())) == 1
    assert len(decoder.decode([np.full((1, 100, 7), np.nan, np.float32)], Placement())) == 0
    assert len(decoder.decode([np.zeros((1, 100, 7), np.float32)], Placement())) == 0
    beside = rows()
    beside[0, 0, 1:5] += 1000
    assert decoder.decode([beside], Placement()).indexes == (0,)


def test_numbers_that_are_none_in_raw_heads() -> None:
    numbers, scores = np.zeros((1, 19206, 4), np.float32), np.full((1, 19206, 3), -5.0, np.float32)
    decoder = efficientdet.open_decoder(image(320), described([numbers, scores]), Options(labels=LABELS), "m")
    assert len(decoder.decode([numbers, scores], Placement())) == 0
    assert len(decoder.decode([numbers + np.float32(np.inf), -scores], Placement())) == 0
    assert 0 < len(decoder.decode([numbers, -scores], Placement())) <= 300


def test_what_the_input_takes_follows_from_the_model() -> None:
    assert efficientdet.wants(image(320), (), Options()).mean == (127.0,)
    assert len(efficientdet.wants(image(512), (), Options()).mean or ()) == 3


def test_others_are_refused_and_counts_are_named() -> None:
    other = described([np.zeros((1, 2034, 4), np.float32), np.zeros((1, 2034, 3), np.float32)])
    assert efficientdet.claims(image(320), other, Options()) is None
    with pytest.raises(Problem, match=r"19206 anchors .* 1×2034×4 and 1×2034×3") as caught:
        efficientdet.open_decoder(image(320), other, Options(), "m")
    assert caught.value.code == Exit.MODEL
    given = described([np.zeros((1, 19206, 4), np.float32), np.zeros((1, 19206, 90), np.float32)])
    with pytest.raises(Problem, match="3 labels for 90 classes"):
        efficientdet.open_decoder(image(320), given, Options(labels=LABELS), "m")

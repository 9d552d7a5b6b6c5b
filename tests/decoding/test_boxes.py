"""What decoders of boxes share, against plain loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.yolo_tensors import Picture

from agent.decoding import Shape
from agent.decoding._boxes import (
    clip_boxes,
    in_pixels,
    least_number,
    real,
    seen,
    strongest,
    suppress,
    to_frame,
    unit_boxes,
)
from agent.records import Placement

# Whole corners and these ratios are exact in float32: the decoder and the loop then agree even where an overlap is exactly the limit.
CORNERS = st.tuples(*[st.integers(0, 24)] * 2, *[st.integers(1, 12)] * 2)
RATIOS = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))


def plain_suppression(boxes: list[tuple[int, ...]], iou: float, classes: list[int]) -> list[int]:
    kept: list[int] = []
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        for other in kept:
            a0, b0, a1, b1 = boxes[other]
            common = max(0, min(x1, a1) - max(x0, a0)) * max(0, min(y1, b1) - max(y0, b0))
            union = (x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - common
            if classes[index] == classes[other] and common > iou * union:
                break
        else:
            kept.append(index)
    return kept


@settings(max_examples=60)
@given(st.lists(st.tuples(CORNERS, st.integers(0, 2)), max_size=40), RATIOS)
def test_suppression_is_that_of_a_plain_loop(drawn: list[tuple[tuple[int, ...], int]], iou: float) -> None:
    boxes = [(x, y, x + width, y + height) for (x, y, width, height), _ in drawn]
    classes = [number for _, number in drawn]
    array = np.array(boxes, np.float32).reshape(-1, 4)
    assert suppress(array, iou, np.array(classes, np.intp)).tolist() == plain_suppression(boxes, iou, classes)
    assert suppress(array, iou).tolist() == plain_suppression(boxes, iou, [0] * len(boxes))


def test_many_and_few_boxes() -> None:
    assert suppress(np.zeros((0, 4), np.float32), 0.5).tolist() == []
    assert suppress(np.ones((1, 4), np.float32), 0.5).tolist() == [0]
    side = np.arange(300, dtype=np.float32)
    apart = np.stack((side, side, side + 0.9, side + 0.9), axis=1)
    assert suppress(apart, 0.5).tolist() == list(range(300))
    assert suppress(np.tile(apart[:1], (300, 1)), 0.5).tolist() == [0]


@settings(max_examples=60)
@given(st.lists(st.integers(-128, 127), max_size=60), st.integers(-140, 140), st.integers(1, 12))
def test_strongest_is_a_stable_sort_cut_off(numbers: list[int], least: int, most: int) -> None:
    wanted = sorted((i for i, number in enumerate(numbers) if number >= least), key=lambda i: (-numbers[i], i))[:most]
    assert strongest(np.array(numbers, np.int8), least, most).tolist() == wanted
    assert strongest(np.array(numbers, np.float32), least, most).tolist() == wanted
    unsigned = np.array(numbers, np.int16) + 128
    assert strongest(unsigned.astype(np.uint8), least + 128, most).tolist() == wanted


def test_a_score_that_is_no_number_is_not_found() -> None:
    assert strongest(np.array((np.nan, 0.5, np.nan), np.float32), 0.0).tolist() == [1]


@settings(max_examples=150)
@given(
    st.sampled_from(("int8", "uint8", "int16")),
    st.one_of(st.sampled_from((1 / 255, 1 / 256, 1 / 128, 0.1)), st.floats(1e-5, 2.0)),
    st.integers(-128, 255),
    st.floats(-1.0, 2.0),
    st.data(),
)
def test_a_threshold_in_the_model_s_numbers_is_the_one_on_real_values(
    dtype: str, scale: float, zero_point: int, least: float, data: st.DataObject
) -> None:
    info = np.iinfo(dtype)
    shape = Shape(name="y", shape=(), dtype=dtype, scale=scale, zero_point=min(max(zero_point, info.min), info.max))
    every = np.arange(info.min, info.max + 1).astype(dtype)
    if data.draw(st.booleans()):  # exactly on a value that the output can have
        least = float(real(data.draw(st.sampled_from(every.tolist())) * np.ones(1, dtype), shape)[0])
    wanted = real(every, shape) >= np.float32(least)
    number = least_number(least, shape)
    assert isinstance(number, int)
    np.testing.assert_array_equal(every.astype(np.int64) >= number, wanted)
    found = strongest(every, number, len(every))
    assert sorted(found.tolist()) == np.flatnonzero(wanted).tolist()


FITS = st.builds(
    Picture,
    frame_px=st.tuples(st.integers(16, 2000), st.integers(16, 2000)),
    input_px=st.sampled_from(((640, 640), (320, 192), (96, 128))),
    fit=st.sampled_from(("letterbox", "crop", "stretch")),
)


@settings(max_examples=80)
@given(FITS, st.lists(st.tuples(*[st.floats(-0.5, 1.5)] * 4), min_size=1, max_size=5))
def test_a_place_in_the_input_comes_back_to_the_frame(picture: Picture, drawn: list[tuple[float, ...]]) -> None:
    pixels = np.array([picture.corners(box) for box in drawn])  # type: ignore[arg-type]
    shares = (pixels / (picture.input_px * 2)).astype(np.float32)
    np.testing.assert_allclose(to_frame(shares, picture.placement), drawn, atol=2e-3)
    assert to_frame(shares.reshape(-1, 2, 2), picture.placement).shape == (len(drawn), 2, 2)
    for size in ((0, 4), (0, 34), (0, 17, 2)):  # nothing was found
        assert to_frame(np.zeros(size, np.float32), picture.placement).shape == size


def test_a_letterbox_and_a_crop_by_hand() -> None:
    wide = Picture((640, 360), (640, 640)).placement
    assert wide == Placement(x=0.0, y=140 / 640, width=1.0, height=360 / 640)
    np.testing.assert_allclose(
        to_frame(np.array([[0, 140 / 640, 1, 0.5]], np.float32), wide), [[0, 0, 1, 0.5]], atol=1e-6
    )
    crop = Picture((640, 360), (360, 360), fit="crop").placement
    np.testing.assert_allclose((crop.x, crop.width), (-140 / 360, 640 / 360))
    np.testing.assert_allclose(
        to_frame(np.array([[0, 0, 1, 1]], np.float32), crop), [[140 / 640, 0, 0.78125, 1]], atol=1e-6
    )


def test_clipping_and_what_is_left() -> None:
    boxes = np.array(
        [
            [-0.5, 0.2, 0.5, 1.5],  # over the edge
            [1.1, 0.2, 1.3, 0.4],  # right of the frame
            [0.2, -0.4, 0.4, -0.1],  # above it
            [0.6, 0.6, 0.5, 0.5],  # corners turned
            [np.nan, 0, 1, 1],
            [0.3, 0.3, 0.3, 0.8],  # no width
        ],
        np.float32,
    )
    clipped = clip_boxes(boxes)
    np.testing.assert_allclose(clipped[0], [0, 0.2, 0.5, 1])
    np.testing.assert_allclose(clipped[3], [0.5, 0.5, 0.6, 0.6])
    assert seen(clipped).tolist() == [True, False, False, True, True, False]


def test_pixels_or_shares() -> None:
    shares = np.array([[0.1, 0.2, 0.5, 0.25], [0.9, 0.9, 1.2, 1.1]], np.float32)
    assert unit_boxes(shares, (480, 640)) is shares
    pixels = shares * np.array((640, 480, 640, 480), np.float32)
    np.testing.assert_allclose(unit_boxes(pixels, (480, 640)), shares, rtol=1e-6)
    assert not in_pixels(np.zeros((0, 4), np.float32))
    absurd = np.concatenate((shares, [[0.5, 0.5, 9.0, 9.0]])).astype(
        np.float32
    )  # one box does not turn the others' unit
    assert unit_boxes(absurd, (480, 640)) is absurd


def test_a_float_output_s_threshold_is_itself() -> None:
    assert least_number(0.25, Shape(name="y", shape=(), dtype="float32", scale=0.0, zero_point=0)) == np.float32(0.25)

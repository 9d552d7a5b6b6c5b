"""Masks: what they cover can no longer be told from what comes behind them, in BGR and in the camera's own planes."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peers.handed_source import HandedSource

from agent.records import Frame, Gap
from agent.sources.masking import Cover, Masking

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
# Thin, and its corners are rounded to beyond the last row.
ALONG_THE_EDGE = ((0.0, 0.975), (1.0, 1.0), (0.0, 1.0))
SHARES = st.integers(0, 40).map(lambda number: number / 40)
POLYGONS = st.lists(st.tuples(SHARES, SHARES), min_size=3, max_size=6).map(tuple)


def masked(frame: Frame, *polygons: tuple[tuple[float, float], ...]) -> Frame:
    return Cover(polygons, frame).burnt(frame)


def noise(seed: int, width: int = 40, height: int = 24) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def inside(polygon: tuple[tuple[float, float], ...], width: int = 40, height: int = 24) -> "np.ndarray":  # type: ignore[type-arg]
    """Pixels whose centre is in the polygon, worked out point by point."""
    corners = np.array(polygon, np.float32).reshape(-1, 1, 2)
    return np.array(
        [
            [cv2.pointPolygonTest(corners, ((x + 0.5) / width, (y + 0.5) / height), False) > 0 for x in range(width)]
            for y in range(height)
        ]
    )


def test_black_inside_and_as_it_was_outside() -> None:
    pixels = noise(1, 80, 60)
    black = masked(Frame(at_us=7, bgr=pixels.copy(), encoded=b"jpeg"), SQUARE)
    assert (black.pixels[16:44, 21:59] == 0).all()
    assert (black.pixels[:13] == pixels[:13]).all()
    assert (black.pixels[:, :19] == pixels[:, :19]).all()
    assert black.at_us == 7


def test_the_camera_s_own_jpeg_is_let_go() -> None:
    assert masked(Frame(at_us=7, bgr=noise(1), encoded=b"jpeg"), SQUARE).encoded is None


def test_the_source_s_own_array_is_left_alone() -> None:
    pixels = noise(1)
    masked(Frame(at_us=0, bgr=pixels), SQUARE)
    assert (pixels == noise(1)).all()


@settings(max_examples=60)
@given(POLYGONS)
@example(ALONG_THE_EDGE)
def test_two_frames_that_differ_under_the_mask_alone_become_one_in_bgr(
    polygon: tuple[tuple[float, float], ...],
) -> None:
    one, other = noise(1), noise(1)
    other[inside(polygon)] = noise(2)[inside(polygon)]
    assert (masked(Frame(at_us=0, bgr=one), polygon).pixels == masked(Frame(at_us=0, bgr=other), polygon).pixels).all()


@settings(max_examples=60)
@given(POLYGONS)
@example(ALONG_THE_EDGE)
def test_two_frames_that_differ_under_the_mask_alone_become_one_in_i420(
    polygon: tuple[tuple[float, float], ...],
) -> None:
    one, other = noise(1), noise(1)
    other[inside(polygon)] = noise(2)[inside(polygon)]
    planes = [cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420) for pixels in (one, other)]
    first, second = (masked(Frame(at_us=0, i420=plane), polygon) for plane in planes)
    assert first.i420 is not None
    assert second.i420 is not None
    assert (first.i420 == second.i420).all()
    assert (first.pixels[inside(polygon)] == 0).all()


def test_planes_stay_as_they_were_far_from_the_mask() -> None:
    planes = cv2.cvtColor(noise(1, 80, 60), cv2.COLOR_BGR2YUV_I420)
    black = masked(Frame(at_us=0, i420=planes), SQUARE)
    assert black.luma is not None
    assert (black.luma[:13] == planes[:13]).all()
    assert (black.pixels[:12] == Frame(at_us=0, i420=planes).pixels[:12]).all()


def test_other_records_pass_as_they_are() -> None:
    source = HandedSource()
    for record in (Gap(at_us=1, why="stall"), Frame(at_us=2, bgr=noise(1))):
        source._items.append(record)  # nobody reads on another thread
    masking = Masking(source, [SQUARE])
    assert masking.read(0.0) == Gap(at_us=1, why="stall")
    frame = masking.read(0.0)
    assert isinstance(frame, Frame)
    assert frame.pixels[12, 20].tolist() == [0, 0, 0]
    assert masking.read(0.0) is None
    assert masking.useful


def test_a_picture_of_another_size_or_form_is_masked_too() -> None:
    source = HandedSource()
    for pixels in (noise(1), noise(1, 80, 60)):
        source._items.append(Frame(at_us=1, bgr=pixels))
    source._items.append(Frame(at_us=1, i420=cv2.cvtColor(noise(1, 80, 60), cv2.COLOR_BGR2YUV_I420)))
    masking = Masking(source, [SQUARE])
    for _ in range(3):
        frame = masking.read(0.0)
        assert isinstance(frame, Frame)
        height, width = frame.pixels.shape[:2]
        assert not frame.pixels[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8].any()


@pytest.mark.parametrize("size", [(41, 23), (1, 1), (16, 16)])
def test_any_size(size: tuple[int, int]) -> None:
    black = masked(Frame(at_us=0, bgr=noise(1, *size)), ((0, 0), (1, 0), (1, 1), (0, 1)))
    assert not black.pixels.any()


def test_the_camera_s_own_small_picture_is_masked_too() -> None:
    small = noise(3, 20, 12)[:, :, 0]
    black = masked(Frame(at_us=0, bgr=noise(1), small_luma=small), SQUARE)
    assert black.small_luma is not None
    assert not black.small_luma[3:9, 5:15].any()
    assert (black.small_luma[:1] == small[:1]).all()


def test_no_field_of_a_frame_is_forgotten() -> None:
    """Whoever gives a frame more pixels must mask them: the new field stands in `Cover.burnt` and here, or it is let go."""
    assert set(Frame.__struct_fields__) == {"at_us", "bgr", "i420", "encoded", "small_luma"}


class Idling(HandedSource):
    """Decodes nothing for the moment, and is well."""

    lives, useful = True, False


def test_what_a_source_says_of_itself_passes() -> None:
    assert Masking(Idling(), [SQUARE]).lives
    assert not Masking(Idling(), [SQUARE]).useful
    assert not Masking(HandedSource(), [SQUARE]).lives

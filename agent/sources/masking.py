"""Burns the masks of a lane into its frames, at the edge where they come in: nothing behind it ever holds what a mask covers.

Black in BGR, black in the planes of I420; a camera's own JPEG is let go, for it holds the whole picture.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from agent.records import Frame, Input
from agent.sources import Source
from agent.values import Polygon

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Video range: black has luma 16 and chroma 128.
_BLACK_LUMA, _NO_COLOUR = 16, 128


class Mask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    polygon: Annotated[Polygon, Meta(description="At least three points, x and y as shares of the picture, 0..1.")]


class Masking:
    """A Source whose frames are masked. Other records pass as they are."""

    def __init__(self, source: Source, polygons: Sequence[Polygon]) -> None:
        self._source = source
        self._polygons = tuple(polygons)
        self._cover: Cover | None = None

    def read(self, timeout_s: float) -> Input | None:
        record = self._source.read(timeout_s)
        if not isinstance(record, Frame):
            return record
        if self._cover is None or not self._cover.fits(record):
            self._cover = Cover(self._polygons, record)
        return self._cover.burnt(record)

    @property
    def useful(self) -> bool:
        return bool(getattr(self._source, "useful", True))

    @property
    def lives(self) -> bool:
        return bool(getattr(self._source, "lives", False))


class Cover:
    """The masks over frames of one size and form. Bits are cleared, then set: 0.1 ms a picture of 1280 × 720."""

    def __init__(self, polygons: Sequence[Polygon], like: Frame) -> None:
        import numpy as np

        if like.bgr is not None:
            height, width = like.bgr.shape[:2]
            self._set = None
            hidden = np.repeat(covered(polygons, height, width)[:, :, None], 3, axis=2)
        else:
            assert like.i420 is not None
            height, width = like.i420.shape[0] * 2 // 3, like.i420.shape[1]
            luma = covered(polygons, height, width)
            # A chroma sample colours four pixels: it loses its colour with the first of them.
            quarter = luma.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))
            chroma = np.concatenate([quarter, quarter]).reshape(height // 2, width)
            hidden = np.concatenate([luma, chroma])
            self._set = np.concatenate([luma * np.uint8(_BLACK_LUMA), chroma * np.uint8(_NO_COLOUR)])
        self._keep = np.where(hidden, np.uint8(0), np.uint8(255))
        self._keep_small = None
        if like.small_luma is not None:
            small = covered(polygons, *like.small_luma.shape[:2])
            self._keep_small = np.where(small, np.uint8(0), np.uint8(255))

    def fits(self, frame: Frame) -> bool:
        array = frame.bgr if frame.bgr is not None else frame.i420
        small = None if frame.small_luma is None else frame.small_luma.shape
        mine = None if self._keep_small is None else self._keep_small.shape
        return array is not None and array.shape == self._keep.shape and small == mine

    def burnt(self, frame: Frame) -> Frame:
        """A frame with arrays of its own, black where it is covered, and without the camera's JPEG."""
        import cv2
        import numpy as np

        small = None
        if frame.small_luma is not None and self._keep_small is not None:
            small = np.asarray(cv2.bitwise_and(frame.small_luma, self._keep_small), np.uint8)
        if frame.bgr is not None:
            pixels = np.asarray(cv2.bitwise_and(frame.bgr, self._keep), np.uint8)
            return Frame(at_us=frame.at_us, bgr=pixels, small_luma=small)
        assert frame.i420 is not None
        assert self._set is not None
        planes = cv2.bitwise_or(cv2.bitwise_and(frame.i420, self._keep), self._set)
        return Frame(at_us=frame.at_us, i420=np.asarray(planes, np.uint8), small_luma=small)


def covered(polygons: Sequence[Polygon], height: int, width: int) -> "NDArray[np.bool_]":
    """(height, width): every pixel whose centre lies in one of the polygons, and their neighbours; corners are rounded to whole pixels."""
    import cv2
    import numpy as np

    drawn = np.zeros(
        (height + 2, width + 2), np.uint8
    )  # with a rim: a corner on the picture's edge is rounded to beyond it
    for polygon in polygons:
        corners = np.rint(np.array(polygon, np.float64) * (width, height) - 0.5).astype(np.int32) + 1
        cv2.fillPoly(drawn, [corners.reshape(-1, 1, 2)], (1,))
    hidden: NDArray[np.bool_] = cv2.dilate(drawn, np.ones((3, 3), np.uint8)) > 0
    return hidden[1:-1, 1:-1]

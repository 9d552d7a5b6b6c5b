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
        self._covered: NDArray[np.bool_] | None = None

    def read(self, timeout_s: float) -> Input | None:
        record = self._source.read(timeout_s)
        if not isinstance(record, Frame):
            return record
        size = _size(record)
        if self._covered is None or self._covered.shape != size:
            self._covered = covered(self._polygons, *size)
        return burnt(record, self._covered)

    @property
    def useful(self) -> bool:
        return bool(getattr(self._source, "useful", True))


def burnt(frame: Frame, covered: "NDArray[np.bool_]") -> Frame:
    """A frame with arrays of its own, black where it is covered. covered: (height, width)."""
    import numpy as np

    if frame.bgr is not None:
        pixels = frame.bgr.copy()
        np.copyto(pixels, 0, where=covered[:, :, None])
        return Frame(at_us=frame.at_us, bgr=pixels)
    assert frame.i420 is not None
    planes = frame.i420.copy()
    height, width = covered.shape
    np.copyto(planes[:height], _BLACK_LUMA, where=covered)
    # A chroma sample colours four pixels: it loses its colour with the first of them.
    quarter = covered.reshape(height // 2, 2, width // 2, 2).any(axis=(1, 3))
    np.copyto(planes[height:].reshape(2, height // 2, width // 2), _NO_COLOUR, where=quarter)
    return Frame(at_us=frame.at_us, i420=planes)


def covered(polygons: Sequence[Polygon], height: int, width: int) -> "NDArray[np.bool_]":
    """(height, width): every pixel whose centre lies in one of the polygons, and their neighbours; corners are rounded to whole pixels."""
    import cv2
    import numpy as np

    drawn = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        corners = np.rint(np.array(polygon, np.float64) * (width, height) - 0.5).astype(np.int32)
        cv2.fillPoly(drawn, [corners.reshape(-1, 1, 2)], (1,))
    return cv2.dilate(drawn, np.ones((3, 3), np.uint8)) > 0


def _size(frame: Frame) -> tuple[int, int]:
    """(height, width)"""
    if frame.bgr is not None:
        return frame.bgr.shape[0], frame.bgr.shape[1]
    assert frame.i420 is not None
    return frame.i420.shape[0] * 2 // 3, frame.i420.shape[1]

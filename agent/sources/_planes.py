"""A decoded picture of PyAV → I420 planes of video range, in one copy where the camera sends 4:2:0, as nearly all do."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def i420(picture: Any) -> "NDArray[np.uint8]":
    """(height * 3 / 2, width) uint8, of even width and height: an odd column or row is scaled away."""
    import numpy as np

    width, height = picture.width & ~1, picture.height & ~1
    name = picture.format.name
    if name not in ("yuv420p", "yuvj420p") or (width, height) != (picture.width, picture.height):
        picture = picture.reformat(width=width, height=height, format="yuv420p", dst_color_range="MPEG")
        return np.asarray(picture.to_ndarray(), np.uint8)
    planes = np.asarray(picture.to_ndarray(), np.uint8)
    if name == "yuvj420p" or picture.color_range == _FULL_RANGE:
        return _video_range(planes, height)
    return planes


def _video_range(planes: "NDArray[np.uint8]", height: int) -> "NDArray[np.uint8]":
    """Full range 0..255 → 16..235 (brightness) and 16..240 (colour), in place."""
    import cv2
    import numpy as np

    levels = np.arange(256)
    luma = np.round(16 + levels * 219 / 255).astype(np.uint8)
    chroma = np.round(128 + (levels - 128) * 224 / 255).astype(np.uint8)
    cv2.LUT(planes[:height], luma, dst=planes[:height])
    cv2.LUT(planes[height:], chroma, dst=planes[height:])
    return planes

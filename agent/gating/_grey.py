"""The small grey copy that the gate compares.

From a camera's own Y plane at most 320 wide by area, which keeps small objects and costs no conversion; from BGR, whose area mean would cost more than
all the rest, at most 160 wide by linear sampling (docs/gate.md has the measured times). The finest noise is smoothed away.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.records import Frame

_WIDTH_LUMA, _WIDTH_BGR = 320, 160


def small_grey(frame: "Frame") -> "NDArray[np.uint8]":
    """(height, width) uint8, of the frame's own shape or smaller."""
    import cv2

    luma = frame.luma
    if luma is not None:
        small: Any = luma
        if (
            luma.shape[1] > 2 * _WIDTH_LUMA
        ):  # linearly to twice the size, then by an exact half: close to the mean, at a quarter of its cost
            width, height = _size(luma, _WIDTH_LUMA)
            small = cv2.resize(luma, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        small = cv2.resize(small, _size(luma, _WIDTH_LUMA), interpolation=cv2.INTER_AREA)
    else:
        pixels = frame.pixels
        small = cv2.resize(pixels, _size(pixels, _WIDTH_BGR), interpolation=cv2.INTER_LINEAR)
        small = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    smooth: NDArray[np.uint8] = cv2.blur(small, (3, 3))
    return smooth


def _size(pixels: "NDArray[np.uint8]", most: int) -> tuple[int, int]:
    """Width and height, at most `most` wide."""
    height, width = pixels.shape[:2]
    if width <= most:
        return width, height
    return most, max(1, round(height * most / width))

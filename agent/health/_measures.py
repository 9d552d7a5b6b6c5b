"""What is measured of one picture, on small grey copies: brightness, spread, sharpness, edges, colour."""

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.records import Frame

# Sharpness is seen in a grid of 200 pixels or a little more across; what the picture shows at a quarter of it, where noise is a quarter too.
_WIDTH, _SHRINK = 200, 4
_LEAST_PX = 32
# Gradients well above this (of a Sobel filter) have length 1: edges count by where they are, not by how strong the light makes them.
_EDGE = 40.0
# Cameras' planes are in video range: 16 is black, 235 white.
_VIDEO_BLACK, _VIDEO_SCALE = 16.0, 255 / 219


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """small: (h, w) uint8. mean, spread: of grey levels. detail: (h, w) int16, its Laplacian. edges: (2, h/4, w/4) float32, direction of the gradients,
    as long as they are clear. colour: mean difference of a pixel's channels.
    """

    small: "NDArray[np.uint8]"
    mean: float
    spread: float
    detail: "NDArray[np.int16]"
    edges: "NDArray[np.float32]"
    colour: float


def measure(frame: "Frame") -> Measures | None:
    """None: too small to say anything of."""
    import cv2
    import numpy as np

    luma = frame.luma
    source: Any = frame.pixels if luma is None else luma
    if min(source.shape[:2]) < _LEAST_PX:
        return None
    step = max(1, source.shape[1] // _WIDTH)
    # Single pixels: what defocus takes away is in their differences, and a mean of several would take it away too. Of BGR the green ones.
    grid = source[::step, ::step] if luma is not None else source[::step, ::step, 1]
    high, wide = (side // _SHRINK * _SHRINK for side in grid.shape)
    small = np.ascontiguousarray(grid[:high, :wide])
    tiny: Any = cv2.resize(small, (wide // 2, high // 2), interpolation=cv2.INTER_AREA)  # exact halves are fast
    tiny = cv2.resize(tiny, (wide // _SHRINK, high // _SHRINK), interpolation=cv2.INTER_AREA)
    if luma is None:
        thumb: Any = cv2.resize(source, (wide // _SHRINK, high // _SHRINK), interpolation=cv2.INTER_NEAREST)
        blue, green, red = cv2.split(thumb)
        colour = cv2.mean(cv2.absdiff(blue, green))[0] + cv2.mean(cv2.absdiff(red, green))[0]
    else:
        colour = _chroma(frame)
    mean, spread = (float(one[0, 0]) for one in cv2.meanStdDev(tiny))
    detail: Any = cv2.Laplacian(small, cv2.CV_16S)
    if luma is not None:
        mean, spread = (mean - _VIDEO_BLACK) * _VIDEO_SCALE, spread * _VIDEO_SCALE
    across, down = cv2.Sobel(tiny, cv2.CV_32F, 1, 0), cv2.Sobel(tiny, cv2.CV_32F, 0, 1)
    length = cv2.magnitude(across, down) + np.float32(_EDGE)
    edges = np.empty((2, *tiny.shape), np.float32)
    np.divide(across, length, out=edges[0])
    np.divide(down, length, out=edges[1])
    return Measures(small=small, mean=mean, spread=spread, detail=detail, edges=edges, colour=colour)


def sharpness(now: Measures, before: Measures) -> tuple[float, float]:
    """Fine detail that both pictures have, and all that is as fine (noise, what moves), as shares of the contrast."""
    import cv2

    one, other = now.detail, before.detail
    both = (cv2.norm(cv2.add(one, other), cv2.NORM_L2SQR) - cv2.norm(cv2.subtract(one, other), cv2.NORM_L2SQR)) / 4
    size, contrast = one.size, max(1.0, now.spread**2)
    return max(0.0, both) / size / contrast, cv2.norm(one, cv2.NORM_L2SQR) / size / contrast


def _chroma(frame: "Frame") -> float:
    """From the U and V planes, at 80 places a row; like the channels' difference, about twice the deviation from grey."""
    import numpy as np

    assert frame.i420 is not None
    planes = frame.i420[frame.i420.shape[0] * 2 // 3 :]
    step = max(1, planes.shape[1] // 80)
    return 2 * float(np.abs(planes[::step, ::step].astype(np.int16) - 128).mean())

"""Keypoints of YOLO pose models, raw or with suppression inside."""

from typing import TYPE_CHECKING

from agent.decoding._boxes import to_frame, unit_boxes
from agent.records import Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_points(
    numbers: "NDArray[np.float32]",
    shape: tuple[int, int],
    scores: "NDArray[np.float32]",
    size_px: tuple[int, int],
    placement: Placement,
) -> "NDArray[np.float32]":
    """numbers: (n, points x d), pixels or shares of the input; shape: (points, d). → (n, points, 3) x, y as shares of the frame, score.

    Where d is 2 a point has its box's score.
    """
    import numpy as np

    points, numbers_each = shape
    values = numbers.reshape(len(numbers), points, numbers_each)
    places = unit_boxes(np.ascontiguousarray(values[:, :, :2]).reshape(len(numbers), 2 * points), size_px)
    result = np.empty((len(numbers), points, 3), np.float32)
    result[:, :, :2] = to_frame(places, placement).reshape(len(numbers), points, 2)
    result[:, :, 2] = values[:, :, 2] if numbers_each > 2 else scores[:, None]
    return result

"""The fixed points that MediaPipe's detectors measure from (mediapipe/calculators/tflite/ssd_anchors_calculator.cc, `fixed_anchor_size`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def centres(size_px: int, strides: Sequence[int]) -> "NDArray[np.float32]":
    """(n, 2) float32 x, y in 0..1: two anchors a cell and stride, row by row; equal strides in a row share their cells."""
    import numpy as np

    parts = []
    for stride in dict.fromkeys(strides):
        cells = -(-size_px // stride)
        steps = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        parts.append(np.repeat(grid, 2 * strides.count(stride), axis=0))
    return np.concatenate(parts)


def probability(logits: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """The logistic function; logits are clipped first, for exp overflows float32 beyond 88."""
    import numpy as np

    clipped = np.clip(logits, -80, 80).astype(np.float32)
    result: NDArray[np.float32] = np.float32(1) / (np.float32(1) + np.exp(-clipped))
    return result

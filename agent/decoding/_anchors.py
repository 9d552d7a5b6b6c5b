"""The fixed places that detectors measure from: MediaPipe's points, the boxes of TensorFlow's Object Detection API and of EfficientDet.

Boxes are (n, 4) float32 centre y, centre x, height, width as shares of the input, in the order of the models' outputs: level by level,
row by row, all boxes of a cell together.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from agent.decoding import Options, Shape
from agent.decoding._tensors import picture_px

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LEVELS = (3, 4, 5, 6, 7)
# exp of more is wider than any picture, and overflows float32 beyond 88.
_MOST_EXPONENT = 20
_MOST_LOGIT = 80.0


def image_px(inputs: Sequence[Shape], options: Options) -> tuple[int, int] | None:
    """(height, width) of the image input, channels last or first; None where nothing tells."""
    found = picture_px(inputs[0].shape) if inputs else None
    return found or (options.input_px if min(options.input_px) > 0 else None)


def centres(grids: Sequence[tuple[int, int]]) -> "NDArray[np.float32]":
    """(n, 2) float32 x, y in 0..1 of square grids, row by row. grids: (cells a side, anchors a cell) each.

    Source: mediapipe/calculators/tflite/ssd_anchors_calculator.cc with `fixed_anchor_size`.
    """
    import numpy as np

    parts = []
    for cells, anchors in grids:
        steps = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        parts.append(np.repeat(grid, anchors, axis=0))
    return np.concatenate(parts)


def single_shot(height: int, width: int) -> "NDArray[np.float32]":
    """Six grids of stride 16 to 512: three boxes a cell in the first, six in the others. 300 × 300: 1917, 320 × 320: 2034.

    Source: multiple_grid_anchor_generator.py of the Object Detection API with scales 0.2 to 0.95, aspect ratios 1, 2, 1/2, 3, 1/3
    and `reduce_boxes_in_lowest_layer`, as in every MobileNet SSD configuration without FPN.
    """
    scales = [0.2 + 0.15 * level for level in range(6)] + [1.0]
    levels = []
    for level, (scale, following) in enumerate(itertools.pairwise(scales)):
        shapes = [(scale, ratio) for ratio in (1.0, 2.0, 1 / 2, 3.0, 1 / 3)] + [(math.sqrt(scale * following), 1.0)]
        if level == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 1 / 2)]
        shorter = min(height, width)  # scales are shares of the shorter side
        boxes = [(size * shorter / math.sqrt(ratio), size * shorter * math.sqrt(ratio)) for size, ratio in shapes]
        rows, columns = math.ceil(height / (16 << level)), math.ceil(width / (16 << level))
        levels.append((_middles(rows), _middles(columns), boxes))
    return _boxes(levels, height, width)


def single_shot_count(height: int, width: int) -> int:
    cells = [math.ceil(height / (16 << level)) * math.ceil(width / (16 << level)) for level in range(6)]
    return 3 * cells[0] + 6 * sum(cells[1:])


def multiscale(height: int, width: int) -> "NDArray[np.float32]":
    """Levels 3 to 7, six boxes a cell. 640 × 640: 51150, 320 × 320: 12804.

    Source: multiscale_grid_anchor_generator.py of the Object Detection API with anchor_scale 4, two scales an octave, aspect ratios 1, 2, 1/2
    (the ratio is the outer loop). Where the stride does not divide the side, its cells are measured from their corner, not their middle.
    """
    shapes = [(2 ** (octave / 2), ratio) for ratio in (1.0, 2.0, 0.5) for octave in range(2)]
    return _pyramid(height, width, shapes, 4.0, lambda side, stride: stride / 2 if side % stride == 0 else 0.0)


def octaves(
    height: int, width: int, anchor_scale: float, ratios: Sequence[float] = (1.0, 2.0, 0.5)
) -> "NDArray[np.float32]":
    """Levels 3 to 7, nine boxes a cell: three scales an octave, three aspect ratios (width / height) each. 320 × 320: 19206.

    Source: efficientdet/tf2/anchors.py of google/automl; official/vision/ops/anchor.py of the TensorFlow Model Garden (ratios 1/2, 1, 2).
    """
    shapes = [(2 ** (octave / 3), ratio) for octave in range(3) for ratio in ratios]
    return _pyramid(height, width, shapes, anchor_scale, lambda _side, stride: stride / 2)


def pyramid_cells(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """(rows, columns) of levels 3 to 7."""
    return tuple((math.ceil(height / 2**level), math.ceil(width / 2**level)) for level in _LEVELS)


def boxes_at(
    numbers: "NDArray[np.float32]", anchors: "NDArray[np.float32]", scales: tuple[float, float, float, float]
) -> "NDArray[np.float32]":
    """(k, 4) ty, tx, th, tw measured from (k, 4) boxes → x0, y0, x1, y1 as shares of the input (Faster R-CNN's box coding)."""
    import numpy as np

    scaled = numbers / np.array(scales, np.float32)
    size = anchors[:, 2:] * np.exp(np.clip(scaled[:, 2:], -_MOST_EXPONENT, _MOST_EXPONENT))
    centre = anchors[:, :2] + scaled[:, :2] * anchors[:, 2:]
    half = size * np.float32(0.5)
    boxes: NDArray[np.float32] = np.concatenate((centre - half, centre + half), axis=1)[:, (1, 0, 3, 2)]
    return boxes


def probability(logits: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """The logistic function; logits are clipped first, for exp overflows float32 beyond 88."""
    import numpy as np

    clipped = np.minimum(np.maximum(logits, -_MOST_LOGIT), _MOST_LOGIT).astype(np.float32, copy=False)
    result: NDArray[np.float32] = np.float32(1) / (np.float32(1) + np.exp(-clipped))
    return result


def logit(score: float) -> float:
    """What `probability` makes `score` of. At the ends ±80, which is 0 or 1 in float32."""
    if 0 < score < 1:
        return math.log(score / (1 - score))
    return -_MOST_LOGIT if score <= 0 else _MOST_LOGIT


def _middles(cells: int) -> list[float]:
    """Middles of equal cells over the whole side, as shares of it: the grid of a single-shot detector ignores its stride."""
    return [(cell + 0.5) / cells for cell in range(cells)]


def _pyramid(
    height: int,
    width: int,
    shapes: Sequence[tuple[float, float]],
    anchor_scale: float,
    first: Callable[[int, int], float],
) -> "NDArray[np.float32]":
    """shapes: (scale, width / height) of a cell's boxes. first: (side, stride) → the first cell's centre, in pixels."""
    levels = []
    for level, (rows, columns) in zip(_LEVELS, pyramid_cells(height, width), strict=True):
        stride = 2**level
        side = anchor_scale * stride
        boxes = [(side * scale / math.sqrt(ratio), side * scale * math.sqrt(ratio)) for scale, ratio in shapes]
        ys = [(first(height, stride) + row * stride) / height for row in range(rows)]
        xs = [(first(width, stride) + column * stride) / width for column in range(columns)]
        levels.append((ys, xs, boxes))
    return _boxes(levels, height, width)


def _boxes(
    levels: Sequence[tuple[list[float], list[float], list[tuple[float, float]]]], height: int, width: int
) -> "NDArray[np.float32]":
    """levels: centres y, centres x (shares), and (height, width) in pixels of the boxes of a cell."""
    import numpy as np

    parts = []
    for ys, xs, boxes in levels:
        part = np.empty((len(ys), len(xs), len(boxes), 4), np.float32)
        part[..., 0] = np.array(ys)[:, None, None]
        part[..., 1] = np.array(xs)[None, :, None]
        part[..., 2:] = np.array(boxes) / (height, width)
        parts.append(part.reshape(-1, 4))
    return np.concatenate(parts)

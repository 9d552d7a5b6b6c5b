"""Raw heads of anchor detectors made from known boxes, by loops over the published rules: the decoders share nothing with it.

anchors = single_shot_anchors(300)                        # (y, x, height, width) as shares of the input
numbers, logits = heads(anchors, 91, [Thing(5, 0.9, (0.1, 0.2, 0.4, 0.6))], scales=(10, 10, 5, 5))
"""

import math
from dataclasses import dataclass

import numpy as np

Anchor = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """column: of the scores. box: x0, y0, x1, y1 as shares of the input."""

    column: int
    score: float
    box: tuple[float, float, float, float]


def single_shot_anchors(side: int) -> list[Anchor]:
    """ssd_mobilenet_v1/v2 configurations: scales 0.2 to 0.95, the first grid with three boxes."""
    anchors = []
    for level in range(6):
        cells = math.ceil(side / 2 ** (level + 4))
        scale = 0.2 + (0.95 - 0.2) * level / 5
        following = 1.0 if level == 5 else 0.2 + (0.95 - 0.2) * (level + 1) / 5
        pairs = [(scale, 1), (scale, 2), (scale, 0.5), (scale, 3), (scale, 1 / 3), (math.sqrt(scale * following), 1)]
        if level == 0:
            pairs = [(0.1, 1), (scale, 2), (scale, 0.5)]
        for row in range(cells):
            for column in range(cells):
                for size, ratio in pairs:
                    anchors.append(((row + 0.5) / cells, (column + 0.5) / cells, size / ratio**0.5, size * ratio**0.5))
    return anchors


def pyramid_anchors(
    side: int, pairs: list[tuple[float, float]], anchor_scale: float, *, corner: bool = False
) -> list[Anchor]:
    """pairs: (scale, width / height) of a cell. corner: a grid whose stride does not divide the side is measured from its cells' corners."""
    anchors = []
    for level in range(3, 8):
        stride = 2**level
        offset = 0.0 if corner and side % stride else stride / 2
        for row in range(math.ceil(side / stride)):
            for column in range(math.ceil(side / stride)):
                for scale, ratio in pairs:
                    size = anchor_scale * stride * scale
                    y, x = offset + row * stride, offset + column * stride
                    anchors.append((y / side, x / side, size / ratio**0.5 / side, size * ratio**0.5 / side))
    return anchors


def overlap(anchor: Anchor, box: tuple[float, float, float, float]) -> float:
    y, x, height, width = anchor
    common_x = min(x + width / 2, box[2]) - max(x - width / 2, box[0])
    common_y = min(y + height / 2, box[3]) - max(y - height / 2, box[1])
    common = max(common_x, 0) * max(common_y, 0)
    return common / (width * height + (box[2] - box[0]) * (box[3] - box[1]) - common)


def heads(
    anchors: list[Anchor], columns: int, things: list[Thing], scales: tuple[float, float, float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """(1, n, 4) numbers and (1, n, columns) logits: a thing sits on its best anchor, and weaker on the next."""
    numbers = np.zeros((1, len(anchors), 4), np.float32)
    logits = np.full((1, len(anchors), columns), -6.0, np.float32)
    for thing in things:
        best = sorted(range(len(anchors)), key=lambda i: -overlap(anchors[i], thing.box))[:2]
        for index, score in zip(best, (thing.score, thing.score - 0.1), strict=True):
            y, x, height, width = anchors[index]
            x0, y0, x1, y1 = thing.box
            numbers[0, index] = (
                ((y0 + y1) / 2 - y) / height * scales[0],
                ((x0 + x1) / 2 - x) / width * scales[1],
                math.log((y1 - y0) / height) * scales[2],
                math.log((x1 - x0) / width) * scales[3],
            )
            logits[0, index, thing.column] = math.log(score / (1 - score))
    return numbers, logits

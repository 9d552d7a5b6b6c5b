"""What decoders of boxes share: thresholds in the model's own numbers, suppression of doubles, the way back from the input to the frame."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Shape
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A noisy picture can give thousands of candidates; suppression of more than this costs more than the model.
MOST_CANDIDATES = 300
# So few boxes are compared one by one: NumPy's calls take longer than their work.
_FEW = 7


def nothing(keypoints: int | None = None) -> Detections:
    """No box found."""
    import numpy as np

    return Detections(
        labels=(),
        scores=np.zeros(0, np.float32),
        boxes=np.zeros((0, 4), np.float32),
        keypoints=None if keypoints is None else np.zeros((0, keypoints, 3), np.float32),
    )


def real(array: "NDArray[Any]", shape: Shape) -> "NDArray[np.float32]":
    """The real values of (a part of) an output: a float32 copy."""
    import numpy as np

    values: NDArray[np.float32] = array.astype(np.float32)
    return (values - np.float32(shape.zero_point)) * np.float32(shape.scale) if shape.scale else values


def least_number(least: float, shape: Shape) -> "int | np.float32":
    """The threshold in the output's own numbers: they reach it exactly where their real values (`real`) are ≥ float32(least).

    A quantised output's may be one above its type's range: then nothing reaches it.
    """
    import numpy as np

    wanted = np.float32(least)
    if not shape.scale:
        return wanted
    info = np.iinfo(shape.dtype)

    def reaches(number: int) -> bool:
        return bool(real(np.array(number), shape) >= wanted)

    # ceil(least / scale + zero point) is wrong by one where float32 rounds the other way.
    number = min(max(math.ceil(float(wanted) / shape.scale + shape.zero_point), info.min), info.max + 1)
    while number > info.min and reaches(number - 1):
        number -= 1
    while number <= info.max and not reaches(number):
        number += 1
    return number


def strongest(scores: "NDArray[Any]", least: "float | np.float32", most: int = MOST_CANDIDATES) -> "NDArray[np.intp]":
    """Indexes of the scores ≥ least, the greatest first, at most `most`; equal ones in their order.

    scores may be a quantised output's numbers; `least` is then theirs (`least_number`).
    """
    import numpy as np

    if scores.dtype.kind in "iu":
        info = np.iinfo(scores.dtype)
        if least > info.max:
            return np.zeros(0, np.intp)
        found = np.flatnonzero(scores >= scores.dtype.type(max(math.ceil(least), info.min)))
    else:
        found = np.flatnonzero(scores >= np.float32(least))
    if len(found) < 2:
        return found
    values = scores[found]
    if len(found) > most:  # argpartition alone would pick among equal ones at the cut as it likes
        cut = values[np.argpartition(values, -most)[-most]]
        above = values > cut
        above[np.flatnonzero(values == cut)[: most - np.count_nonzero(above)]] = True
        found, values = found[above], values[above]
    kept: NDArray[np.intp] = found[np.argsort(-values.astype(np.float64), kind="stable")]
    return kept


def suppress(boxes: "NDArray[np.float32]", iou: float, classes: "NDArray[np.intp] | None" = None) -> "NDArray[np.intp]":
    """Greedy non-maximum suppression. boxes: (n, 4) x0, y0, x1, y1, the best first. Indexes of those kept, in order.

    A box goes when it overlaps a kept one by more than `iou`; with classes (n,) only one of its own class.
    """
    import numpy as np

    if len(boxes) < 2:
        return np.arange(len(boxes))
    if len(boxes) <= _FEW:
        return np.array(_suppress_few(boxes.tolist(), iou, None if classes is None else classes.tolist()), np.intp)
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.T)
    areas = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    common = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    np.maximum(common, 0, out=common)
    height = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    common *= np.maximum(height, 0, out=height)
    union = np.add(areas[:, None], areas, out=height)
    union -= common
    doubles = common > np.float32(iou) * np.maximum(union, np.float32(1e-12))
    if classes is not None:
        doubles &= classes[:, None] == classes
    # A row of bits is one Python integer: marking the doubles of a kept box is one `|`.
    rows = np.packbits(doubles, axis=1, bitorder="little")
    gone, kept = 0, []
    for index in range(len(boxes)):
        if not gone >> index & 1:
            kept.append(index)
            gone |= int.from_bytes(rows[index].tobytes(), "little")
    return np.array(kept, np.intp)


def _suppress_few(boxes: list[list[float]], iou: float, classes: list[int] | None) -> list[int]:
    kept: list[int] = []
    areas = [max(x1 - x0, 0) * max(y1 - y0, 0) for x0, y0, x1, y1 in boxes]
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        for other in kept:
            if classes is not None and classes[index] != classes[other]:
                continue
            left, top, right, bottom = boxes[other]
            common = max(min(x1, right) - max(x0, left), 0) * max(min(y1, bottom) - max(y0, top), 0)
            if common > iou * max(areas[index] + areas[other] - common, 1e-12):
                break
        else:
            kept.append(index)
    return kept


def in_pixels(coordinates: "NDArray[np.float32]") -> bool:
    """Whether (n, m) coordinates of what was found are pixels: most rows reach beyond 2, which no share of the input does.

    Most, for a single absurd box must not turn the others' unit.
    """
    import numpy as np

    return 2 * int(np.count_nonzero(coordinates.max(axis=1, initial=0) > 2)) > len(coordinates)


def unit_boxes(boxes: "NDArray[np.float32]", size_px: tuple[int, int]) -> "NDArray[np.float32]":
    """(n, 2k) x, y pairs in pixels or shares of the input → shares. size_px: (height, width) of the input, as `Options.input_px`."""
    import numpy as np

    if not in_pixels(boxes):
        return boxes
    height, width = size_px
    pairs = boxes.reshape(len(boxes), -1, 2) / np.array((width, height), np.float32)
    shares: NDArray[np.float32] = pairs.reshape(boxes.shape).astype(np.float32)
    return shares


def to_frame(points: "NDArray[np.float32]", placement: Placement) -> "NDArray[np.float32]":
    """(…, 2k) x, y pairs as shares of the input → as shares of the frame; not clipped."""
    import numpy as np

    if (placement.x, placement.y, placement.width, placement.height) == (0, 0, 1, 1):
        return points.astype(np.float32, copy=False)
    origin = np.array((placement.x, placement.y), np.float32)
    size = np.array((placement.width, placement.height), np.float32)
    moved: NDArray[np.float32] = points.reshape(*points.shape[:-1], points.shape[-1] // 2, 2) - origin
    moved /= size
    return moved.astype(np.float32, copy=False).reshape(points.shape)


def clip_boxes(boxes: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """(n, 4) → inside 0..1, corners in order."""
    import numpy as np

    clipped = np.fmin(np.fmax(boxes, 0), 1).astype(np.float32, copy=False)  # fmax: what is no number becomes 0
    first, second = clipped[:, :2], clipped[:, 2:]
    ordered = np.empty_like(clipped)
    np.minimum(first, second, out=ordered[:, :2])
    np.maximum(first, second, out=ordered[:, 2:])
    return ordered


def seen(boxes: "NDArray[np.float32]", least: float = 1e-6) -> "NDArray[np.bool_]":
    """(n,) which of the clipped boxes still have an extent: one that lay wholly outside the frame has none."""
    visible: NDArray[np.bool_] = (boxes[:, 2] - boxes[:, 0] > least) & (boxes[:, 3] - boxes[:, 1] > least)
    return visible


def expect(shapes: Sequence[Shape], wanted: Sequence[tuple[int, ...]], decoder: str, where: str) -> tuple[int, ...]:
    """Indexes of the outputs with the wanted shapes. Problem (Exit.MODEL) naming both when one is missing."""
    found = []
    for shape in wanted:
        index = next((i for i, one in enumerate(shapes) if one.shape == shape and i not in found), None)
        if index is None:
            raise Problem(
                where=f"{where}.decoder",
                what=f"{decoder} reads outputs of {written(wanted)}, this model gives {written([s.shape for s in shapes])}",
                remedy="Take the decoder that belongs to the model, or leave `decoder` out",
                code=Exit.MODEL,
            )
        found.append(index)
    return tuple(found)


def written(shapes: Sequence[tuple[int, ...]]) -> str:
    """`1×896×16 and 1×896×1`"""
    return " and ".join("×".join(str(size) for size in shape) or "unknown size" for shape in shapes)

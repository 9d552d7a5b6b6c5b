"""What decoders of boxes share: thresholds in the model's own numbers, suppression of doubles, the way back from the input to the frame."""

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


def strongest(scores: "NDArray[np.float32]", least: float, most: int = MOST_CANDIDATES) -> "NDArray[np.intp]":
    """Indexes of the scores ≥ least, the greatest first, at most `most`; equal ones in their order."""
    import numpy as np

    found = np.flatnonzero(scores >= np.float32(least))
    order = np.argsort(-scores[found], kind="stable")[:most]
    kept: NDArray[np.intp] = found[order]
    return kept


def suppress(boxes: "NDArray[np.float32]", iou: float) -> "NDArray[np.intp]":
    """Greedy non-maximum suppression. boxes: (n, 4) x0, y0, x1, y1, the best first. Indexes of those kept, in order."""
    import numpy as np

    x0, y0, x1, y1 = boxes.T
    areas = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    rest = np.arange(len(boxes))
    kept = []
    while rest.size:
        best, rest = rest[0], rest[1:]
        kept.append(best)
        width = np.minimum(x1[best], x1[rest]) - np.maximum(x0[best], x0[rest])
        height = np.minimum(y1[best], y1[rest]) - np.maximum(y0[best], y0[rest])
        common = np.maximum(width, 0) * np.maximum(height, 0)
        rest = rest[common <= iou * np.maximum(areas[best] + areas[rest] - common, 1e-12)]
    return np.array(kept, np.intp)


def to_frame(points: "NDArray[np.float32]", placement: Placement) -> "NDArray[np.float32]":
    """(…, 2k) x, y pairs as shares of the input → as shares of the frame; not clipped."""
    import numpy as np

    pairs = points.reshape(*points.shape[:-1], -1, 2)
    origin = np.array((placement.x, placement.y), np.float32)
    size = np.array((placement.width, placement.height), np.float32)
    moved: NDArray[np.float32] = ((pairs - origin) / size).astype(np.float32).reshape(points.shape)
    return moved


def clip_boxes(boxes: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """(n, 4) → inside 0..1, corners in order."""
    import numpy as np

    clipped = np.clip(np.nan_to_num(boxes, nan=0.0), 0, 1)
    x0, y0, x1, y1 = clipped.T
    ordered = (np.minimum(x0, x1), np.minimum(y0, y1), np.maximum(x0, x1), np.maximum(y0, y1))
    return np.stack(ordered, axis=1).astype(np.float32)


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

"""Two stages: a model looks at the crops of an earlier model's detections, and what it finds is told in the frame's coordinates."""

from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.records import Detections, Frame, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A box of fewer pixels a side shows a model nothing.
_LEAST_PX = 4


class Looks(Protocol):
    def look(self, record: Frame | SampleWindow) -> Detections: ...


def look_at_crops(runner: Looks, frame: Frame, of: Detections, margin: float) -> Detections:
    """Looks at each box of `of` (0..1, x0, y0, x1, y1), the strongest first, grown by `margin` of its size at every side.

    A result without a box of its own gets the crop's, so that every row says where. Masks are left out: they would be of a crop.
    """
    import numpy as np

    parts = []
    if of.boxes is not None:
        for place in np.argsort(-of.scores, kind="stable"):
            cut = _cut(of.boxes[place], frame.pixels.shape[:2], margin)
            if cut is not None:
                x0, y0, x1, y1 = cut
                # A view: the input is filled from it at once.
                found = runner.look(
                    msgspec.structs.replace(frame, bgr=frame.pixels[y0:y1, x0:x1], i420=None, encoded=None)
                )
                parts.append(to_frame(found, cut, frame.pixels.shape[:2]))
    return joined(parts)


def _cut(box: "NDArray[np.float32]", size: tuple[int, ...], margin: float) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 in pixels, inside the frame; None for a box of which too little is there."""
    height, width = size
    x0, y0, x1, y1 = (float(edge) for edge in box)
    grow_x, grow_y = (x1 - x0) * margin, (y1 - y0) * margin
    left, top = max(0, round((x0 - grow_x) * width)), max(0, round((y0 - grow_y) * height))
    right, bottom = min(width, round((x1 + grow_x) * width)), min(height, round((y1 + grow_y) * height))
    if right - left < _LEAST_PX or bottom - top < _LEAST_PX:
        return None
    return left, top, right, bottom


def to_frame(found: Detections, cut: tuple[int, int, int, int], size: tuple[int, ...]) -> Detections:
    """What was found in a crop, in 0..1 of the frame."""
    import numpy as np

    height, width = size
    origin = np.array((cut[0] / width, cut[1] / height), np.float32)
    extent = np.array(((cut[2] - cut[0]) / width, (cut[3] - cut[1]) / height), np.float32)
    if found.boxes is None:
        boxes = np.tile(np.concatenate((origin, origin + extent)), (len(found), 1)).astype(np.float32)
    else:
        boxes = (found.boxes.reshape(-1, 2, 2) * extent + origin).reshape(-1, 4).astype(np.float32)
    keypoints = None
    if found.keypoints is not None:
        keypoints = found.keypoints.copy()
        keypoints[..., :2] = keypoints[..., :2] * extent + origin
    return msgspec.structs.replace(found, boxes=boxes, keypoints=keypoints, masks=None)


def joined(parts: list[Detections]) -> Detections:
    """All rows of all crops, in order."""
    import numpy as np

    if not parts:
        return Detections(labels=(), scores=np.zeros(0, np.float32), boxes=np.zeros((0, 4), np.float32))
    filled = [part for part in parts if len(part)] or parts[:1]

    def together(name: str) -> "NDArray[np.generic] | None":
        arrays = [getattr(part, name) for part in filled]
        return None if any(array is None for array in arrays) else np.concatenate(arrays)

    return Detections(
        labels=tuple(label for part in filled for label in part.labels),
        indexes=tuple(index for part in filled for index in part.indexes),
        scores=np.concatenate([part.scores for part in filled]),
        boxes=together("boxes"),  # type: ignore[arg-type]
        values=together("values"),  # type: ignore[arg-type]
        keypoints=together("keypoints"),  # type: ignore[arg-type]
        vectors=together("vectors"),  # type: ignore[arg-type]
    )

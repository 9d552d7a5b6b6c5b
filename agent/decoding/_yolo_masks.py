"""Masks of YOLO segmentation: a thing's coefficients times the prototypes is its mask's logit in every cell, cut off at its box.

prototypes: (1, height, width, m) or (1, m, height, width), usually a quarter of the input's size and m = 32. sigmoid(x) > 0.5 is x > 0, so the
sigmoid itself and the prototypes' scale are left out. Source: ultralytics/utils/ops.py, process_mask.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Shape
from agent.decoding._yolo_find import Found
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Masks for pictures are finer than the prototypes by this, in each direction.
_FINER = 2
# Areas look at every cell of a box up to so many times the prototypes' cells in all; beyond that (noise), at every second, third, …
_MOST_TURNS = 4


class Prototypes(msgspec.Struct, frozen=True, kw_only=True):
    """index: which output. count: masks that are mixed. first: (count, height, width), else (height, width, count)."""

    index: int
    count: int
    height: int
    width: int
    first: bool


def find_prototypes(outputs: Sequence[Shape], size_px: tuple[int, int]) -> Prototypes | None:
    """The one output of four dimensions that is a smaller picture of the input, with several channels."""
    found = [one for index, output in enumerate(outputs) if (one := _prototypes(index, output.shape, size_px))]
    return found[0] if len(found) == 1 else None


def _prototypes(index: int, shape: tuple[int, ...], size_px: tuple[int, int]) -> Prototypes | None:
    if len(shape) != 4 or shape[0] != 1 or min(shape[1:]) < 2:
        return None
    last = shape[1] * size_px[1] == shape[2] * size_px[0] and shape[1] <= size_px[0]
    first = shape[2] * size_px[1] == shape[3] * size_px[0] and shape[2] <= size_px[0]
    if (
        last == first
    ):  # neither looks like the input, or both: fewer channels than cells a side decide, then TFLite's habit
        last = shape[3] <= shape[1]
    if last:
        return Prototypes(index=index, count=shape[3], height=shape[1], width=shape[2], first=False)
    return Prototypes(index=index, count=shape[1], height=shape[2], width=shape[3], first=True)


class Masks:
    """The areas of the things found, and their masks when asked."""

    def __init__(self, output: Shape, prototypes: Prototypes) -> None:
        self._output, self._of = output, prototypes

    def detections(
        self,
        found: Found | None,
        outputs: "list[NDArray[Any]]",
        placement: Placement,
        labels: tuple[str, ...],
        *,
        draw: bool,
    ) -> Detections:
        """found: `placed`, its extra numbers the coefficients; None: nothing. draw: with the masks."""
        import numpy as np

        if found is None:
            none = np.zeros(0, np.float32)
            return Detections(labels=(), scores=none, boxes=none.reshape(0, 4), values=none.astype(np.float64))
        return Detections(
            labels=found.texts(labels),
            indexes=found.numbers(),
            scores=found.scores,
            boxes=found.boxes,
            values=self.areas(found, outputs, placement),
            masks=self.masks(found, outputs, placement) if draw else None,
        )

    def areas(self, found: Found, outputs: "list[NDArray[Any]]", placement: Placement) -> "NDArray[np.float64]":
        """(n,) share of the frame that each mask covers. found: `placed`, extra: its coefficients. Only the cells in the boxes are looked at."""
        import numpy as np

        result = np.zeros(len(found.scores), np.float64)
        cells = self._of.height * self._of.width * placement.width * placement.height
        boxes = self._cells(found.boxes, placement)
        if not len(boxes) or cells <= 0:
            return result
        left, top = boxes[:, :2].min(axis=0)
        right, bottom = boxes[:, 2:].max(axis=0)
        looked_at = self._part(outputs, int(left), int(top), int(right), int(bottom))
        sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
        step = math.ceil(math.sqrt(sizes.sum() / (_MOST_TURNS * self._of.height * self._of.width))) or 1
        for index, (x0, y0, x1, y1) in enumerate(boxes - np.array((left, top, left, top))):
            inside = looked_at[y0:y1:step, x0:x1:step] @ found.extra[index] > 0
            if inside.size:
                result[index] = min(np.count_nonzero(inside) / inside.size * sizes[index] / cells, 1.0)
        return result

    def masks(self, found: Found, outputs: "list[NDArray[Any]]", placement: Placement) -> "NDArray[np.bool_]":
        """(n, height, width) over the frame alone: what lies beside it in the input is cut away."""
        import cv2
        import numpy as np

        of = self._of
        height = max(1, round(of.height * placement.height * _FINER))
        width = max(1, round(of.width * placement.width * _FINER))
        result = np.zeros((len(found.scores), height, width), np.bool_)
        everything = self._part(outputs, 0, 0, of.width, of.height)
        # From a cell of the result to a place among the prototypes' cells; the centre of the first cell is 0.
        across = of.width * placement.width / width
        down = of.height * placement.height / height
        way = np.array(
            (
                (across, 0, placement.x * of.width + across / 2 - 0.5),
                (0, down, placement.y * of.height + down / 2 - 0.5),
            )
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for index, box in enumerate(found.boxes):
            x0, y0, x1, y1 = _whole(box * np.array((width, height, width, height), np.float32), width, height)
            logits = np.ascontiguousarray(everything @ found.extra[index])
            fine = cv2.warpAffine(logits, way, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
            result[index, y0:y1, x0:x1] = fine[y0:y1, x0:x1] > 0
        return result

    def _cells(self, boxes: "NDArray[np.float32]", placement: Placement) -> "NDArray[np.intp]":
        """Boxes on the frame → those cells of the prototypes whose centre they hold."""
        import numpy as np

        size = np.array((placement.width, placement.height) * 2, np.float32)
        origin = np.array((placement.x, placement.y) * 2, np.float32)
        in_cells = (boxes * size + origin) * np.array((self._of.width, self._of.height) * 2, np.float32)
        return _whole(in_cells, self._of.width, self._of.height)

    def _part(
        self, outputs: "list[NDArray[Any]]", left: int, top: int, right: int, bottom: int
    ) -> "NDArray[np.float32]":
        """(height, width, count) float32, real values but for the scale."""
        import numpy as np

        of, raw = self._of, outputs[self._of.index]
        if of.first:
            part = raw.reshape(of.count, of.height, of.width)[:, top:bottom, left:right].transpose(1, 2, 0)
        else:
            part = raw.reshape(of.height, of.width, of.count)[top:bottom, left:right]
        values: NDArray[np.float32] = np.ascontiguousarray(part, np.float32)
        if self._output.scale and self._output.zero_point:
            values = values - np.float32(self._output.zero_point)
        return values


def _whole(boxes: "NDArray[np.float32]", width: int, height: int) -> "NDArray[np.intp]":
    """Boxes in cells → first cell and the one behind the last, of the cells whose centre lies inside."""
    import numpy as np

    edges = np.ceil(boxes - np.float32(0.5))
    limits = np.array((width, height, width, height), np.float32)
    whole: NDArray[np.intp] = np.clip(edges, 0, limits).astype(np.intp)
    return whole

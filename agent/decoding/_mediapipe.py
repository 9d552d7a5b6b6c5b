"""What MediaPipe's detectors share: a logit and numbers an anchor, in one pair of outputs or in a pair a grid.

Numbers: x and y of a box's centre, its width and height, then x and y of points, all in input pixels from the anchor.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Claim, Options, Shape, Sure
from agent.decoding._anchors import centres, image_px, logit, probability
from agent.decoding._boxes import clip_boxes, nothing, real, seen, strongest, suppress, to_frame, written
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """grids: (cells a side, anchors a cell) each. side_px: of the published model's input; another side works as well."""

    side_px: int
    grids: tuple[tuple[int, int], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(cells * cells * anchors for cells, anchors in self.grids)


class Places(msgspec.Struct, frozen=True):
    """Indexes of the outputs that hold the numbers and the logits, grid by grid, or one of each for all grids."""

    numbers: tuple[int, ...]
    logits: tuple[int, ...]


def locate(outputs: Sequence[Shape], variant: Variant, size: int) -> Places | None:
    """Where a model's outputs are when it is of this variant. size: numbers an anchor."""
    for counts in ((sum(variant.counts),), variant.counts):
        if len(outputs) == 2 * len(counts):
            numbers = [_index(outputs, count, size) for count in counts]
            logits = [_index(outputs, count, 1) for count in counts]
            found = [index for index in (*numbers, *logits) if index is not None]
            if len(set(found)) == len(outputs):
                return Places(tuple(found[: len(counts)]), tuple(found[len(counts) :]))
    return None


def _index(outputs: Sequence[Shape], count: int, size: int) -> int | None:
    """The output of `count` anchors with `size` numbers each: 1×count×size, or 1×rows×columns×(anchors · size)."""
    for index, output in enumerate(outputs):
        shape = output.shape
        if len(shape) in (2, 3, 4) and math.prod(shape) == count * size and shape[-1] % size == 0:
            if len(shape) < 4 and shape[-1] != size and (size != 1 or shape[-1] != count):
                continue
            return index
    return None


def claim(outputs: Sequence[Shape], variants: Sequence[Variant], size: int) -> Claim | None:
    for variant in variants:
        if locate(outputs, variant, size) is not None:
            return Claim(Sure.SHAPES, f"{sum(variant.counts)} anchors with {size} numbers and a score each")
    return None


def open_grid(
    inputs: Sequence[Shape],
    outputs: Sequence[Shape],
    options: Options,
    variants: Sequence[Variant],
    *,
    size: int,
    score: float,
    iou: float,
    decoder: str,
    where: str,
) -> "Grid":
    """score, iou: the decoder's own thresholds. Problem (Exit.MODEL): other outputs; more than one label."""
    fitting = [(variant, places) for variant in variants if (places := locate(outputs, variant, size)) is not None]
    if not fitting:
        wanted = " or ".join(f"1×{sum(variant.counts)}×{size}" for variant in variants)
        raise Problem(
            where=f"{where}.decoder",
            what=f"{decoder} reads outputs of {wanted} and a score each, this model gives {written([s.shape for s in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    if len(options.labels) > 1:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(options.labels)} labels for 1 class: {decoder} finds one kind of thing",
            remedy="Give one label, or none",
            code=Exit.MODEL,
        )
    variant, places = fitting[0]
    height, width = image_px(inputs, options) or (variant.side_px, variant.side_px)
    return Grid(outputs, places, variant, size, (width, height), options, score, iou)


class Grid:
    """Finds the boxes of one run. size_px: (width, height) of the input."""

    def __init__(
        self,
        outputs: Sequence[Shape],
        places: Places,
        variant: Variant,
        size: int,
        size_px: tuple[int, int],
        options: Options,
        score: float,
        iou: float,
    ) -> None:
        import numpy as np

        self._outputs, self._places, self._size = outputs, places, size
        self._least = logit(score if options.score is None else options.score)
        self._iou = iou if options.iou is None else options.iou
        self._top = options.top
        self._anchors = centres(variant.grids)
        self._scale = np.array(size_px, np.float32)

    def find(
        self, outputs: "list[NDArray[Any]]"
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]":
        """(n,) scores, (n, 4) x0, y0, x1, y1 and (n, points, 2) x, y, as shares of the input; doubles are gone, the best first."""
        import numpy as np

        logits = self._rows(outputs, self._places.logits, 1)
        found = strongest(logits[:, 0], self._least)
        if not found.size:
            return (
                np.zeros(0, np.float32),
                np.zeros((0, 4), np.float32),
                np.zeros((0, self._size // 2 - 2, 2), np.float32),
            )
        numbers = self._rows(outputs, self._places.numbers, self._size, found)
        finite = np.isfinite(numbers)
        if not finite.all():
            usable = finite.all(axis=1)
            found, numbers = found[usable], numbers[usable]
        numbers = numbers.reshape(-1, self._size // 2, 2) / self._scale
        anchors = self._anchors[found]
        centre, half = numbers[:, 0] + anchors, numbers[:, 1] * np.float32(0.5)
        boxes = np.empty((len(found), 4), np.float32)
        np.subtract(centre, half, out=boxes[:, :2])
        np.add(centre, half, out=boxes[:, 2:])
        kept = suppress(boxes, self._iou)[: self._top]
        return probability(logits[found[kept], 0]), boxes[kept], numbers[kept, 2:] + anchors[kept, None]

    def _rows(
        self,
        outputs: "list[NDArray[Any]]",
        indexes: tuple[int, ...],
        size: int,
        rows: "NDArray[np.intp] | None" = None,
    ) -> "NDArray[np.float32]":
        """(anchors, size) real values of all grids, or of some rows of them; the output itself where all of it is asked for."""
        import numpy as np

        parts = [(outputs[index].reshape(-1, size), self._outputs[index]) for index in indexes]
        if len(parts) == 1:
            part, shape = parts[0]
            if rows is not None:
                part = part[rows]
            return part if part.dtype == np.float32 and not shape.scale else real(part, shape)
        whole = np.concatenate([real(part, shape) for part, shape in parts])
        return whole if rows is None else whole[rows]


def detections(
    label: str,
    scores: "NDArray[np.float32]",
    boxes: "NDArray[np.float32]",
    points: "NDArray[np.float32]",
    placement: Placement,
) -> Detections:
    """(n,), (n, 4) and (n, k, 2) as shares of the input → detections of one class in the frame. A point has its detection's score."""
    import numpy as np

    if not len(scores):
        return nothing(keypoints=points.shape[1])
    clipped = clip_boxes(to_frame(boxes, placement))
    visible = seen(clipped)
    count = int(visible.sum())
    keypoints = np.empty((*points.shape[:2], 3), np.float32)
    keypoints[..., :2] = to_frame(points, placement)
    keypoints[..., 2] = scores[:, None]
    if count < len(scores):
        scores, clipped, keypoints = scores[visible], clipped[visible], keypoints[visible]
    return Detections(labels=(label,) * count, indexes=(0,) * count, scores=scores, boxes=clipped, keypoints=keypoints)

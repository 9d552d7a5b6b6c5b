"""Detectors whose boxes are measured from anchors: class scores and 4 box numbers an anchor → detections, doubles of a class removed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Gives, Options, Shape
from agent.decoding._anchors import boxes_at
from agent.decoding._boxes import clip_boxes, nothing, real, seen, suppress, to_frame
from agent.decoding._class_scores import ClassScores
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORE, IOU = 0.5, 0.6


class AnchorBoxes:
    """boxes, classes: indexes of the outputs, level by level. first, labels: as `_class_labels.things` gives them.

    anchors: (n, 4) as `_anchors` gives them. scales: of ty, tx, th, tw. score ≥ 0.5; boxes of a class that overlap by more than 0.6 are one.
    """

    def __init__(
        self,
        outputs: Sequence[Shape],
        *,
        boxes: Sequence[int],
        classes: Sequence[int],
        first: int,
        labels: tuple[str, ...],
        anchors: "NDArray[np.float32]",
        scales: tuple[float, float, float, float],
        options: Options,
    ) -> None:
        self.labels = labels
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ()
        self._outputs, self._boxes, self._classes = outputs, boxes, classes
        self._anchors, self._scales = anchors, scales
        self._scores = ClassScores(
            [outputs[index] for index in classes],
            columns=len(labels) + first,
            first=first,
            softmax=options.softmax == "true",
            least=SCORE if options.score is None else options.score,
        )
        self._iou = IOU if options.iou is None else options.iou
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        rows, things, scores = self._scores.find([outputs[index] for index in self._classes])
        if not rows.size:
            return nothing()
        numbers = self._numbers(outputs, rows)
        usable = np.isfinite(numbers).all(axis=1)
        boxes = boxes_at(numbers[usable], self._anchors[rows[usable]], self._scales)
        things, scores = things[usable], scores[usable]
        if not len(boxes):
            return nothing()
        kept = suppress(boxes, self._iou, things)
        clipped = clip_boxes(to_frame(boxes[kept], placement))
        visible = np.flatnonzero(seen(clipped))[: self._top]
        indexes = tuple(int(index) for index in things[kept[visible]])
        return Detections(
            labels=tuple(self.labels[index] for index in indexes),
            indexes=indexes,
            scores=scores[kept[visible]],
            boxes=clipped[visible],
        )

    def _numbers(self, outputs: "list[NDArray[Any]]", rows: "NDArray[np.intp]") -> "NDArray[np.float32]":
        """(k, 4) real box numbers of some rows, counted over all levels."""
        import numpy as np

        numbers = np.zeros((len(rows), 4), np.float32)
        start = 0
        for index in self._boxes:
            part = outputs[index].reshape(-1, 4)
            mine = (rows >= start) & (rows < start + len(part))
            numbers[mine] = real(part[rows[mine] - start], self._outputs[index])
            start += len(part)
        return numbers

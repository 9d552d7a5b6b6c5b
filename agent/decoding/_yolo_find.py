"""From a YOLO head without suppression to the things found: the threshold on the model's own numbers first, for few anchors survive it."""

from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Options, Shape
from agent.decoding._boxes import (
    MOST_CANDIDATES,
    clip_boxes,
    least_number,
    real,
    seen,
    strongest,
    suppress,
    to_frame,
    unit_boxes,
)
from agent.decoding._yolo import Layout
from agent.records import Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORE, IOU = 0.25, 0.45
# YOLOv5: so many anchors of the greatest objectness have their classes looked at. Only noise has more.
_MOST_OBJECTS = 3000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The best first. boxes: (n, 4) x0, y0, x1, y1, as shares of the input or (`placed`) of the frame. scores: (n,). classes: (n,) numbers.

    extra: (n, m) float32, the numbers behind the classes as they come.
    """

    boxes: "NDArray[np.float32]"
    scores: "NDArray[np.float32]"
    classes: "NDArray[np.intp]"
    extra: "NDArray[np.float32]"

    def take(self, rows: "NDArray[Any]") -> "Found":
        """Those of the rows, by index or by mask."""
        return Found(
            boxes=self.boxes[rows], scores=self.scores[rows], classes=self.classes[rows], extra=self.extra[rows]
        )

    def numbers(self) -> tuple[int, ...]:
        """The class numbers, as `Detections.indexes`."""
        return tuple(self.classes.tolist())

    def texts(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        """The label of each; a class without one has its number."""
        return tuple(labels[one] if 0 <= one < len(labels) else str(one) for one in self.classes.tolist())


def placed(found: Found, placement: Placement, top: int | None) -> Found:
    """Boxes as shares of the frame, clipped; those beside it are dropped, then all beyond the `top` best."""
    import numpy as np

    boxes = clip_boxes(to_frame(found.boxes, placement))
    rows = np.flatnonzero(seen(boxes))[:top]
    return Found(boxes=boxes[rows], scores=found.scores[rows], classes=found.classes[rows], extra=found.extra[rows])


class Finder:
    """score: 0.25, as all of Ultralytics' tools. iou: 0.45, as YOLOv5's; the newer ones' 0.7 lets doubles of one thing through."""

    def __init__(self, output: Shape, layout: Layout, options: Options) -> None:
        self._output, self._layout = output, layout
        self._score = SCORE if options.score is None else options.score
        self._iou = IOU if options.iou is None else options.iou
        self._least = least_number(self._score, output)

    def find(self, outputs: "list[NDArray[Any]]") -> Found | None:
        """Doubles of a class removed, at most 300. None: nothing reaches the score."""
        import numpy as np

        head = self._layout.head
        raw = outputs[head.index]
        raw = raw.reshape((head.anchors, head.size) if head.rows else (head.size, head.anchors))
        if raw.dtype == np.float16:  # NumPy compares these one by one in software
            raw = raw.astype(np.float32)
        found = self._with_objectness(raw) if self._layout.objectness else self._with_classes(raw)
        if found is None:
            return None
        return found.take(suppress(found.boxes, self._iou, found.classes))

    def _with_classes(self, raw: "NDArray[Any]") -> Found | None:
        rows, first, last = self._layout.head.rows, self._layout.first_class, self._end
        best = raw[:, first:last].max(axis=1) if rows else raw[first:last].max(axis=0)
        anchors = strongest(best, self._least)
        if not anchors.size:
            return None
        numbers = raw[anchors] if rows else raw[:, anchors].T
        classes = numbers[:, first:last].argmax(axis=1)
        return self._found(numbers, real(best[anchors], self._output), classes)

    def _with_objectness(self, raw: "NDArray[Any]") -> Found | None:
        """score = objectness x class; both are at most 1, so the objectness alone already drops nearly all."""
        import numpy as np

        rows, first, last = self._layout.head.rows, self._layout.first_class, self._end
        anchors = strongest(raw[:, 4] if rows else raw[4], self._least, _MOST_OBJECTS)
        if not anchors.size:
            return None
        numbers = raw[anchors] if rows else raw[:, anchors].T
        classes = numbers[:, first:last].argmax(axis=1)
        best = numbers[np.arange(len(numbers)), first + classes]
        scores = real(numbers[:, 4], self._output) * real(best, self._output)
        kept = strongest(scores, self._score, MOST_CANDIDATES)
        return self._found(numbers[kept], scores[kept], classes[kept]) if kept.size else None

    @property
    def _end(self) -> int:
        return self._layout.first_class + self._layout.classes

    def _found(self, numbers: "NDArray[Any]", scores: "NDArray[np.float32]", classes: "NDArray[np.intp]") -> Found:
        import numpy as np

        box = unit_boxes(real(numbers[:, :4], self._output), self._layout.size_px)
        half = box[:, 2:] * np.float32(0.5)
        corners = np.concatenate((box[:, :2] - half, box[:, :2] + half), axis=1)
        extra = real(numbers[:, self._end :], self._output)
        return Found(boxes=corners, scores=scores, classes=classes, extra=extra)

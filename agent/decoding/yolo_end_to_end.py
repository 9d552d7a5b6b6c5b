"""YOLO heads whose file removes doubles itself: YOLOv10, YOLO26, Ultralytics' exports with nms=True.

(1, n, 6): x0, y0, x1, y1, score, class, in pixels or in shares of the input; rows that hold nothing have score 0.
pose: (1, n, 6 + points x d); segmentation: (1, n, 6 + 32) and 32 prototypes as `yolo_segment` has them.
Some exports have the class before the score: class numbers are whole, scores are not. score 0.25; iou only where it is given, for a second round.
Source: ultralytics/ultralytics engine/exporter.py (NMSModel), nn/modules/head.py (Detect.postprocess).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure
from agent.decoding import _yolo as yolo
from agent.decoding._boxes import nothing, real, strongest, suppress, unit_boxes
from agent.decoding._yolo_find import SCORE, Found, placed
from agent.decoding._yolo_masks import Masks, Prototypes, find_prototypes
from agent.decoding._yolo_points import read_points
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WANTS = yolo.WANTS
_ROW = yolo.FINISHED_ROW
_READS = "1×n×6 (x0, y0, x1, y1, score, class), with keypoints or mask coefficients behind"


class _Form(msgspec.Struct, frozen=True, kw_only=True):
    """index: which output. points: (count, 2 or 3) or None. prototypes: or None."""

    index: int
    rows: int
    size: int
    points: tuple[int, int] | None = None
    prototypes: Prototypes | None = None


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like YOLO with suppression inside."""
    if options.task not in (None, "detect", "pose", "segment", "obb"):
        return None
    size_px = yolo.image_px(inputs, options)
    if options.task == "obb":
        rotated = len(outputs) == 1 and outputs[0].shape[2:] == (_ROW + 1,)
        return Claim(Sure.SAID, "the file says it finds rotated boxes (obb)") if rotated else None
    form = _form(outputs, size_px, options)
    if form is None or (yolo.anchors_per_cell(form.rows, size_px) and not options.suppressed):
        return None
    if options.task is not None or options.suppressed:
        return Claim(
            Sure.SAID, f"the file says it is of YOLO, and {form.rows} rows of {form.size} numbers need no suppression"
        )
    what = "a box, its score and its class"
    if form.points is not None:
        what += f" and {form.points[0]} keypoints"
    return Claim(Sure.SHAPES, f"{form.rows} rows of {what}" + (", and prototypes of masks" if form.prototypes else ""))


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no such rows; rotated boxes."""
    if options.task == "obb":
        raise yolo.rotated(where)
    size_px = yolo.require_image_px(inputs, options, "yolo_end_to_end", where)
    form = _form(outputs, size_px, options)
    if form is None:
        raise yolo.not_its_own("yolo_end_to_end", _READS, outputs, where)
    return YoloEndToEnd(outputs, form, size_px, options)


def _form(outputs: Sequence[Shape], size_px: tuple[int, int], options: Options) -> _Form | None:
    tables = [(index, *one.shape[1:]) for index, one in enumerate(outputs) if len(one.shape) == 3 and one.shape[0] == 1]
    if len(tables) != 1 or len(outputs) > 2 or not 1 <= tables[0][1] <= yolo.MOST_FINISHED:
        return None
    index, rows, size = tables[0]
    if len(outputs) == 2:
        prototypes = find_prototypes(outputs, size_px)
        fits = prototypes is not None and size == _ROW + prototypes.count
        return _Form(index=index, rows=rows, size=size, prototypes=prototypes) if fits else None
    if size == _ROW and options.task in (None, "detect"):
        return _Form(index=index, rows=rows, size=size)
    points = yolo.point_shape(options)
    if size == _ROW + points[0] * points[1] and options.task in (None, "pose"):
        return _Form(index=index, rows=rows, size=size, points=points)
    return None


class YoloEndToEnd:
    """The rows with a score, the best first; keypoints or areas of masks where the model has them."""

    def __init__(self, outputs: Sequence[Shape], form: _Form, size_px: tuple[int, int], options: Options) -> None:
        self.labels = options.labels
        if not self.labels and form.points == yolo.COCO_SHAPE:
            self.labels = ("person",)
        self.gives: Gives = "detections"
        self.keypoint_names = yolo.name_points(form.points[0], options) if form.points else ()
        self._output, self._form, self._size_px = outputs[form.index], form, size_px
        self._masks = Masks(outputs[form.prototypes.index], form.prototypes) if form.prototypes else None
        self._least = SCORE if options.score is None else options.score
        self._iou, self._top, self._draw = options.iou, options.top, options.masks
        self._class_first = False

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        found = self._found(outputs)
        if found is not None:
            found = placed(found, placement, self._top)
        if self._masks is not None:
            return self._masks.detections(found, outputs, placement, self.labels, draw=self._draw)
        points = self._form.points
        if found is None:
            return nothing(keypoints=points[0] if points else None)
        return Detections(
            labels=found.texts(self.labels),
            indexes=found.numbers(),
            scores=found.scores,
            boxes=found.boxes,
            keypoints=read_points(found.extra, points, found.scores, self._size_px, placement) if points else None,
        )

    def _found(self, outputs: "list[NDArray[Any]]") -> Found | None:
        import numpy as np

        numbers = real(outputs[self._form.index].reshape(self._form.rows, self._form.size), self._output)
        self._class_first = _class_first(numbers[:, 4], numbers[:, 5], self._class_first)
        scores, classes = (numbers[:, 5], numbers[:, 4]) if self._class_first else (numbers[:, 4], numbers[:, 5])
        rows = strongest(scores, max(self._least, 1e-6))  # padding has score 0
        if not rows.size:
            return None
        found = Found(
            boxes=unit_boxes(numbers[rows, :4], self._size_px),
            scores=scores[rows],
            classes=np.rint(classes[rows]).astype(np.intp),
            extra=numbers[rows, _ROW:],
        )
        return found if self._iou is None else found.take(suppress(found.boxes, self._iou, found.classes))


def _class_first(fourth: "NDArray[np.float32]", fifth: "NDArray[np.float32]", before: bool) -> bool:
    """Whether the class stands before the score: where one column alone can be classes, that one; else as `before`."""
    real_rows = (fourth > 0) | (fifth > 0)
    fourth, fifth = fourth[real_rows], fifth[real_rows]
    usual, turned = _may_be(fourth, fifth), _may_be(fifth, fourth)
    return turned if usual != turned else before


def _may_be(scores: "NDArray[np.float32]", classes: "NDArray[np.float32]") -> bool:
    import numpy as np

    whole = (np.abs(classes - np.rint(classes)) < 1e-3) & (classes > -0.5)
    return bool(whole.all() and ((scores > -0.01) & (scores < 1.01)).all())

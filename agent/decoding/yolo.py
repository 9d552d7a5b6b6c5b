"""Boxes of a YOLO head without suppression: YOLOv5 (also v6, v7) and YOLOv8, v9, YOLO11, YOLO12, float or with one quantisation for everything.

YOLOv5 (1, anchors, 5 + classes): centre x, y, width, height, objectness, classes; three anchors a cell: 25,200 at 640 x 640.
YOLOv8 (1, 4 + classes, anchors), or with the anchors first: no objectness, one anchor a cell: 8,400. Boxes in pixels or in shares of the input.
score 0.25 and iou 0.45 where nothing else is said; of one class only (Ultralytics' `predict` has 0.25 and 0.7).
Source: ultralytics/yolov5 models/yolo.py, ultralytics/ultralytics nn/modules/head.py.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure
from agent.decoding import _yolo as yolo
from agent.decoding._boxes import nothing
from agent.decoding._yolo_find import Finder, placed
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = yolo.WANTS
_READS = "one output of 1×(4 + classes)×anchors or 1×anchors×(5 + classes)"


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a YOLO detector."""
    size_px = yolo.image_px(inputs, options)
    head = yolo.find_head(outputs, size_px)
    if head is None or options.task not in (None, "detect", "obb") or yolo.is_finished(head, 0, options):
        return None
    if options.task == "obb":
        return Claim(Sure.SAID, "the file says it finds rotated boxes (obb)") if head.per_cell else None
    layout = yolo.read_layout(head, 0, size_px, options)
    if options.task == "detect" and len(outputs) == 1 and (head.per_cell or options.suppressed is False):
        return Claim(Sure.SAID, "the file says its task is detect, and its head is raw")
    if not head.per_cell or options.keypoint_shape is not None:
        return None
    why = f"{head.anchors} anchors of {head.size} numbers, as a {size_px[1]} × {size_px[0]} input gives"
    poses = not options.labels and not layout.objectness and head.size == 4 + 1 + 3 * len(yolo.COCO_POINTS)
    sure = len(outputs) == 1 and not poses and yolo.fits_labels(layout, options)
    return Claim(Sure.SHAPES if sure else Sure.POSSIBLE, why)


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no such head, rotated boxes, labels that do not fit its classes."""
    size_px = yolo.require_image_px(inputs, options, "yolo", where)
    head = yolo.find_head(outputs, size_px)
    if options.task == "obb":
        raise yolo.rotated(where)
    layout = yolo.read_layout(head, 0, size_px, options) if head else None
    if layout is None or layout.classes < 1:
        raise yolo.not_its_own("yolo", _READS, outputs, where)
    return Yolo(outputs, layout, options, yolo.check_labels(layout, options, where))


class Yolo:
    """Boxes with a class each, the best first."""

    def __init__(
        self, outputs: Sequence[Shape], layout: yolo.Layout, options: Options, labels: tuple[str, ...]
    ) -> None:
        self.labels = labels
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ()
        self._finder = Finder(outputs[layout.head.index], layout, options)
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        found = self._finder.find(outputs)
        if found is None:
            return nothing()
        found = placed(found, placement, self._top)
        return Detections(
            labels=found.texts(self.labels), indexes=found.numbers(), scores=found.scores, boxes=found.boxes
        )

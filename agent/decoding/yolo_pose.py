"""Boxes and keypoints of a YOLO pose head without suppression: (1, 4 + classes + points x d, anchors), or with the anchors first.

d = 3: x, y, score of a point; d = 2: x, y, and the point has the box's score. YOLOv7's has an objectness before its class.
How many points is said in the file's metadata; without it a head of 56 is COCO's: one class and 17 points.
Boxes and points are in pixels or in shares of the input, each for itself (older exports mix them). score 0.25, iou 0.45.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure
from agent.decoding import _yolo as yolo
from agent.decoding._boxes import nothing
from agent.decoding._yolo_find import Finder, placed
from agent.decoding._yolo_points import read_points
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = yolo.WANTS
_READS = "one output of 1×(4 + classes + points × 3)×anchors"


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a YOLO pose model."""
    size_px = yolo.image_px(inputs, options)
    head = yolo.find_head(outputs, size_px)
    if head is None or len(outputs) != 1 or options.task not in (None, "pose"):
        return None
    layout = _layout(head, size_px, options)
    if (
        yolo.is_finished(head, layout.extra, options)
        or layout.classes < 1
        or not (head.per_cell or options.suppressed is False)
    ):
        return None
    if options.task == "pose":
        return Claim(Sure.SAID, "the file says its task is pose, and its head is raw")
    if options.keypoint_shape is not None:
        return (
            Claim(Sure.SAID, f"the file says it has {options.keypoint_shape[0]} keypoints")
            if yolo.fits_labels(layout, options)
            else None
        )
    classes = len(options.labels) or 1
    if layout.classes == classes:
        return Claim(Sure.SHAPES, f"{head.anchors} anchors of a box, {classes} classes and 17 keypoints each")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no such head, labels that do not fit its classes."""
    size_px = yolo.require_image_px(inputs, options, "yolo_pose", where)
    head = yolo.find_head(outputs, size_px)
    layout = _layout(head, size_px, options) if head else None
    if layout is None or layout.classes < 1:
        raise yolo.not_its_own("yolo_pose", _READS, outputs, where)
    labels = yolo.check_labels(layout, options, where)
    if not options.labels and layout.classes == 1:
        labels = ("person",) if yolo.point_shape(options) == yolo.COCO_SHAPE else labels
    return YoloPose(outputs, layout, options, labels)


def _layout(head: yolo.Head, size_px: tuple[int, int], options: Options) -> yolo.Layout:
    points, numbers = yolo.point_shape(options)
    return yolo.read_layout(head, points * numbers, size_px, options)


class YoloPose:
    """Boxes, the best first, with their keypoints: (n, points, 3), of which those beside the frame stay where they are."""

    def __init__(
        self, outputs: Sequence[Shape], layout: yolo.Layout, options: Options, labels: tuple[str, ...]
    ) -> None:
        self.labels = labels
        self.gives: Gives = "detections"
        self._shape = yolo.point_shape(options)
        self.keypoint_names = yolo.name_points(self._shape[0], options)
        self._finder = Finder(outputs[layout.head.index], layout, options)
        self._size_px = layout.size_px
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        found = self._finder.find(outputs)
        if found is None:
            return nothing(keypoints=self._shape[0])
        found = placed(found, placement, self._top)
        return Detections(
            labels=found.texts(self.labels),
            indexes=found.numbers(),
            scores=found.scores,
            boxes=found.boxes,
            keypoints=read_points(found.extra, self._shape, found.scores, self._size_px, placement),
        )

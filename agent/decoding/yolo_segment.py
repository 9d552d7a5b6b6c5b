"""Boxes and masks of a YOLO segmentation head without suppression: (1, 4 + classes + 32, anchors), or with the anchors first (YOLOv5: 5 +),
and 32 prototypes, (1, height, width, 32) or (1, 32, height, width); the two outputs in either order, each with its own scale.

A result's value is its mask's area, as a share of the frame. score 0.25, iou 0.45.
Source: ultralytics/ultralytics nn/modules/head.py (Segment), utils/ops.py (process_mask).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure
from agent.decoding import _yolo as yolo
from agent.decoding._yolo_find import Finder, placed
from agent.decoding._yolo_masks import Masks, Prototypes, find_prototypes
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = yolo.WANTS
_READS = "1×(4 + classes + 32)×anchors and 1×height×width×32"


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like YOLO segmentation."""
    if len(outputs) != 2 or options.task not in (None, "segment"):
        return None
    found = _parts(inputs, outputs, options)
    if found is None or not (found[0].head.per_cell or options.suppressed is False):
        return None
    if yolo.is_finished(found[0].head, found[0].extra, options):
        return None
    if options.task == "segment":
        return Claim(Sure.SAID, "the file says its task is segment, and its head is raw")
    layout, prototypes = found
    return Claim(
        Sure.SHAPES, f"{layout.head.anchors} anchors of {layout.head.size} numbers, {prototypes.count} prototypes"
    )


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no such outputs, labels that do not fit the classes."""
    yolo.require_image_px(inputs, options, "yolo_segment", where)
    found = _parts(inputs, outputs, options) if len(outputs) == 2 else None
    if found is None:
        raise yolo.not_its_own("yolo_segment", _READS, outputs, where)
    layout, prototypes = found
    return YoloSegment(outputs, layout, prototypes, options, yolo.check_labels(layout, options, where))


def _parts(
    inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options
) -> tuple[yolo.Layout, Prototypes] | None:
    size_px = yolo.image_px(inputs, options)
    head, prototypes = yolo.find_head(outputs, size_px), find_prototypes(outputs, size_px)
    if head is None or prototypes is None:
        return None
    layout = yolo.read_layout(head, prototypes.count, size_px, options)
    return (layout, prototypes) if layout.classes >= 1 else None


class YoloSegment:
    """Boxes, the best first, with the areas of their masks; the masks themselves when asked."""

    def __init__(
        self,
        outputs: Sequence[Shape],
        layout: yolo.Layout,
        prototypes: Prototypes,
        options: Options,
        labels: tuple[str, ...],
    ) -> None:
        self.labels = labels
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ()
        self._finder = Finder(outputs[layout.head.index], layout, options)
        self._masks = Masks(outputs[prototypes.index], prototypes)
        self._coefficients = prototypes.count
        self._draw, self._top = options.masks, options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        found = self._finder.find(outputs)
        if found is not None:
            found = placed(found, placement, self._top)
        return self._masks.detections(found, outputs, placement, self.labels, draw=self._draw)

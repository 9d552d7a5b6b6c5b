"""What YOLO heads without suppression look like: one row (or column) an anchor, of 4 box numbers, perhaps an objectness, the classes, extras.

Which of them a model has is seen from the count of anchors, for it follows from the input's size: a grid of cells a stride, with three anchors
a cell and an objectness (YOLOv5, YOLOv7), or one without (YOLOv8, YOLO11); YOLOv6 has one with an objectness, in rows.
"""

from collections.abc import Sequence

import msgspec

from agent.decoding import Options, Shape, Wants
from agent.decoding._boxes import written
from agent.problems import Exit, Problem

WANTS = Wants(resize="letterbox", border=114)  # Ultralytics: 0..1, grey beside the picture
# Of the usual heads, of those with a fourth level for large (P6) or for small things (P2), and of tiny ones.
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))
_COCO_CLASSES = 80
_BOX = 4
FINISHED_ROW, MOST_FINISHED = 6, 2000

COCO_POINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow"),
    *("left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)  # fmt: skip

COCO_SHAPE = (len(COCO_POINTS), 3)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """index: which output. rows: (anchors, size), else (size, anchors). per_cell: anchors a cell, 0 where their count fits no grid."""

    index: int
    rows: bool
    anchors: int
    size: int
    per_cell: int


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers of an anchor are: 4 of the box, the objectness (or none), `classes`, `extra`. size_px: (height, width) of the input."""

    head: Head
    objectness: bool
    classes: int
    extra: int
    size_px: tuple[int, int]

    @property
    def first_class(self) -> int:
        return _BOX + self.objectness


def image_px(inputs: Sequence[Shape], options: Options) -> tuple[int, int]:
    """(height, width) of the image input, channels last or first; (0, 0) where it is unknown."""
    shape = inputs[0].shape if inputs else ()
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        return shape[1], shape[2]
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return shape[2], shape[3]
    return (shape[1], shape[2]) if len(shape) == 3 else options.input_px


def require_image_px(inputs: Sequence[Shape], options: Options, decoder: str, where: str) -> tuple[int, int]:
    """As `image_px`. Problem (Exit.MODEL): no image input."""
    size_px = image_px(inputs, options)
    if min(size_px) < 1:
        raise Problem(
            where=f"{where}.decoder",
            what=f"{decoder} is for pictures, this model's input is {written([one.shape for one in inputs[:1]]) or 'missing'}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    return size_px


def anchors_per_cell(anchors: int, size_px: tuple[int, int]) -> int:
    """3 (YOLOv5), 1 (YOLOv8), or 0 where the count fits no grid of this input."""
    for strides in _STRIDES:
        cells = sum((size_px[0] // stride) * (size_px[1] // stride) for stride in strides)
        if anchors > 0 and anchors in (cells, 3 * cells):
            return anchors // cells
    return 0


def find_head(outputs: Sequence[Shape], size_px: tuple[int, int]) -> Head | None:
    """The output that is a YOLO head by its count of anchors, else the only one with two dimensions of a head."""
    heads = [head for index, output in enumerate(outputs) if (head := _head(index, output, size_px))]
    fitting = [head for head in heads if head.per_cell]
    if len(fitting) == 1:
        return fitting[0]
    return heads[0] if len(heads) == 1 else None


def _head(index: int, output: Shape, size_px: tuple[int, int]) -> Head | None:
    sizes = [size for size in output.shape if size != 1]
    if len(sizes) != 2 or len(output.shape) > 4 or min(sizes) <= _BOX:
        return None
    columns, rows = anchors_per_cell(sizes[1], size_px), anchors_per_cell(sizes[0], size_px)
    in_rows = bool(rows) if bool(rows) != bool(columns) else sizes[0] > sizes[1]
    anchors, size = sizes if in_rows else sizes[::-1]
    return Head(index=index, rows=in_rows, anchors=anchors, size=size, per_cell=rows if in_rows else columns)


def is_finished(head: Head, extra: int, options: Options) -> bool:
    """Whether these are rows of x0, y0, x1, y1, score, class (`yolo_end_to_end`), and not anchors: few, and no grid's count or said so.

    The shape stands above the file's word: YOLOv10's exports say `nms: False`, for their head needs none.
    """
    few = head.rows and head.size == FINISHED_ROW + extra and head.anchors <= MOST_FINISHED
    return few and (options.suppressed is True or not head.per_cell)


def has_objectness(head: Head, extra: int, labels: int) -> bool:
    """Whether the fifth number says that there is anything. extra: numbers behind the classes. labels: their count, 0 where unknown."""
    if head.per_cell == 3:
        return True
    rest = head.size - _BOX - extra
    if not head.rows or labels == rest:
        return False
    if labels:
        return labels == rest - 1
    return rest == _COCO_CLASSES + 1 if head.per_cell else head.anchors % 3 == 0


def read_layout(head: Head, extra: int, size_px: tuple[int, int], options: Options) -> Layout:
    """As the head looks; labels may contradict it (`check_labels`)."""
    objectness = has_objectness(head, extra, len(options.labels))
    classes = head.size - _BOX - objectness - extra
    return Layout(head=head, objectness=objectness, classes=classes, extra=extra, size_px=size_px)


def fits_labels(layout: Layout, options: Options) -> bool:
    """Whether there is a label a class, or none at all."""
    return layout.classes >= 1 and len(options.labels) in (0, layout.classes)


def check_labels(layout: Layout, options: Options, where: str) -> tuple[str, ...]:
    """A label a class; without labels the class's number. Problem (Exit.MODEL): another count."""
    if options.labels and len(options.labels) != layout.classes:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(options.labels)} labels for {layout.classes} classes",
            remedy="Give the labels of this model, one a line",
            code=Exit.MODEL,
        )
    return options.labels or tuple(str(number) for number in range(layout.classes))


def not_its_own(decoder: str, reads: str, outputs: Sequence[Shape], where: str) -> Problem:
    """reads: `one output of 1×(4 + classes)×anchors`."""
    return Problem(
        where=f"{where}.decoder",
        what=f"{decoder} reads {reads}, this model gives {written([output.shape for output in outputs])}",
        remedy="Take the decoder that belongs to the model, or leave `decoder` out",
        code=Exit.MODEL,
    )


def rotated(where: str) -> Problem:
    """Of models for oriented boxes (Ultralytics' task obb)."""
    key = f"{where}.decoder"
    return Problem(
        where=key,
        what="the model finds rotated boxes (task obb), which no decoder reads",
        remedy=f'Take a model of task detect, or set {key.lstrip(".")} to "raw", which stores the numbers as they are',
        code=Exit.MODEL,
    )


def point_shape(options: Options) -> tuple[int, int]:
    """(points, 2 or 3 numbers each) as the file says, else COCO's."""
    points, numbers = options.keypoint_shape or (0, 0)
    return (points, numbers) if points > 0 and numbers in (2, 3) else COCO_SHAPE


def name_points(count: int, options: Options) -> tuple[str, ...]:
    """The names of `count` keypoints: those given, COCO's where there are 17, else their numbers."""
    if len(options.keypoint_names) == count:
        return options.keypoint_names
    return COCO_POINTS if count == len(COCO_POINTS) else tuple(str(number) for number in range(count))

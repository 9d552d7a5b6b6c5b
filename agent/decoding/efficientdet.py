"""EfficientDet as google/automl exports it (the op TFLite_Detection_PostProcess is read by `ssd`), and what MediaPipe's Model Maker gives.

One output (1, n, 7): image, y0, x0, y1, x1 in pixels of the input, score, class from 1; already suppressed. Or raw: class scores and box numbers of the
levels 3 to 7, (1, rows, columns, 9 · classes) and (1, rows, columns, 36), or all levels in one pair (1, n, classes) and (1, n, 4).
Box numbers are ty, tx, th, tw from the anchors, not scaled. Source: efficientdet/hparams_config.py, tf2/anchors.py, tf2/postprocess.py.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._anchor_boxes import SCORE, AnchorBoxes
from agent.decoding._anchors import image_px, octaves, pyramid_cells
from agent.decoding._boxes import clip_boxes, nothing, real, seen, strongest, to_frame, unit_boxes, written
from agent.decoding._class_labels import things, without_background
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Lite models; the others are given ImageNet's mean and deviation.
WANTS = Wants(mean=(127.0,), std=(128.0,))
_IMAGENET = Wants(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
_LITE_PX = (320, 384, 448)
_MODEL_MAKER_PX = 256
_PER_CELL = 9
_USUAL_ROWS, _MOST_ROWS = 100, 1000


class Heads(msgspec.Struct, frozen=True):
    """Indexes of the raw outputs, level by level, or one of each. columns: scores an anchor."""

    boxes: tuple[int, ...]
    classes: tuple[int, ...]
    columns: int


def find_heads(outputs: Sequence[Shape], size_px: tuple[int, int] | None) -> Heads | None:
    if size_px is None or len(outputs) not in (2, 10):
        return None
    cells = pyramid_cells(*size_px)
    if len(outputs) == 2:
        anchors = _PER_CELL * sum(math.prod(one) for one in cells)
        wanted: list[tuple[tuple[int, ...], int, int]] = [((1, anchors), 4, 1)]
    else:
        wanted = [((1, *one), 4 * _PER_CELL, _PER_CELL) for one in cells]
    boxes: list[int] = []
    classes: list[int] = []
    for lead, numbers, scores in wanted:
        mine = [i for i, output in enumerate(outputs) if output.shape[:-1] == lead]
        # Where both have as many numbers their names tell, else the class scores come first, as in the published files.
        mine.sort(key=lambda i: (outputs[i].shape[-1] == numbers, "box" in outputs[i].name, i))
        if len(mine) != 2 or outputs[mine[1]].shape[-1] != numbers or outputs[mine[0]].shape[-1] % scores:
            return None
        classes.append(mine[0])
        boxes.append(mine[1])
    columns = {outputs[i].shape[-1] // scores for i, (_, _, scores) in zip(classes, wanted, strict=True)}
    return Heads(tuple(boxes), tuple(classes), columns.pop()) if len(columns) == 1 and min(columns) > 0 else None


def _rows(outputs: Sequence[Shape]) -> int:
    """n of one output (1, n, 7), else 0."""
    shape = outputs[0].shape if len(outputs) == 1 else ()
    return shape[1] if len(shape) == 3 and shape[0] == 1 and shape[2] == 7 and shape[1] <= _MOST_ROWS else 0


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like an EfficientDet."""
    size_px = image_px(inputs, options)
    if size_px is None:
        return None
    rows = _rows(outputs)
    if rows:
        return Claim(Sure.SHAPES if rows == _USUAL_ROWS else Sure.POSSIBLE, f"{rows} rows of 7 numbers")
    heads = find_heads(outputs, size_px)
    if heads is None:
        return None
    return Claim(Sure.SHAPES, f"4 box numbers and {heads.columns} scores for each of EfficientDet's anchors")


def wants(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Wants:
    del outputs
    size_px = image_px(inputs, options)
    if size_px is not None and max(size_px) == _MODEL_MAKER_PX:
        return Wants(mean=(127.5,), std=(127.5,))
    return WANTS if size_px is None or max(size_px) in _LITE_PX else _IMAGENET


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs, or levels that do not fit the input; a wrong count of labels."""
    size_px = image_px(inputs, options)
    if size_px is not None and _rows(outputs):
        return Rows(outputs[0], size_px, options)
    heads = find_heads(outputs, size_px)
    if heads is None or size_px is None:
        cells = sum(math.prod(one) for one in pyramid_cells(*size_px)) if size_px else 0
        raise Problem(
            where=f"{where}.decoder",
            what=f"efficientdet reads one output of 1×n×7, five levels of boxes and classes, or {_PER_CELL * cells or 'as many'} anchors "
            f"in two outputs; this model gives {written([output.shape for output in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    first, labels = things(options, heads.columns, background=False, where=where)
    side = max(size_px)
    model_maker = side == _MODEL_MAKER_PX
    return AnchorBoxes(
        outputs,
        boxes=heads.boxes,
        classes=heads.classes,
        first=first,
        labels=labels,
        anchors=octaves(
            *size_px,
            anchor_scale=3.0 if model_maker or side in _LITE_PX else 4.0,
            ratios=(0.5, 1.0, 2.0) if model_maker else (1.0, 2.0, 0.5),
        ),
        scales=(1.0, 1.0, 1.0, 1.0),
        options=options,
    )


class Rows:
    """One output (1, n, 7). Class 1 is the first label that is no background; a class without a label has its number. score ≥ 0.5."""

    def __init__(self, output: Shape, size_px: tuple[int, int], options: Options) -> None:
        self.labels = without_background(options)
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ()
        self._output, self._size_px = output, size_px
        self._least = SCORE if options.score is None else options.score
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        rows: NDArray[np.float32] = real(outputs[0].reshape(-1, 7), self._output)
        rows = rows[np.isfinite(rows).all(axis=1)]
        rows = rows[strongest(rows[:, 5], self._least)]
        if not len(rows):
            return nothing()
        clipped = clip_boxes(to_frame(unit_boxes(rows[:, (2, 1, 4, 3)], self._size_px), placement))
        visible = np.flatnonzero(seen(clipped))[: self._top]
        indexes = tuple(round(float(number)) - 1 for number in rows[visible, 6])
        return Detections(
            labels=tuple(self.labels[index] if 0 <= index < len(self.labels) else str(index) for index in indexes),
            indexes=indexes,
            scores=rows[visible, 5].copy(),
            boxes=clipped[visible],
        )

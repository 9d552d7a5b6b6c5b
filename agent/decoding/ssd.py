"""Boxes of detectors that suppress doubles themselves: what ends in the op TFLite_Detection_PostProcess (SSD MobileNet, EfficientDet-Lite of
Model Maker, Edge Impulse's SSD), and saved models of TensorFlow's Object Detection API.

boxes (1, n, 4) y0, x0, y1, x1 as shares of the input; classes (1, n), 0 is the first thing, the background does not count; scores (1, n);
count (1): only so many rows are real. In any order, perhaps with raw outputs beside them, which are left alone.
Source: tensorflow/lite/kernels/detection_postprocess.cc.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._anchors import image_px
from agent.decoding._boxes import clip_boxes, nothing, real, seen, strongest, to_frame, unit_boxes, written
from agent.decoding._class_labels import without_background
from agent.decoding._ssd_outputs import OP, Roles, find_roles
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WANTS = Wants(mean=(127.5,), std=(127.5,))
_SCORE = 0.5


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like an SSD."""
    del inputs, options
    roles = find_roles(outputs)
    if roles is not None and any(output.name.startswith(OP) for output in outputs):
        return Claim(Sure.SAID, f"its outputs are {OP}'s")
    if roles is not None and roles.said:
        return Claim(Sure.SAID, "its outputs are named boxes, classes, scores and count")
    if roles is not None:
        return Claim(Sure.SHAPES, "boxes, classes, scores and a count")
    if len(outputs) == 4 and not any(output.shape for output in outputs):
        return Claim(Sure.SHAPES, "four outputs whose sizes only a run tells, as a detector's with suppression")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no four outputs of boxes, classes, scores and a count."""
    roles = find_roles(outputs)
    unknown = any(not output.shape for output in outputs)
    if roles is None and (len(outputs) < 4 or not unknown):
        raise Problem(
            where=f"{where}.decoder",
            what=f"ssd reads 4 outputs (boxes, classes, scores, count), this model gives {len(outputs)}: "
            f"{written([output.shape for output in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    return Ssd(tuple(outputs), roles, image_px(inputs, options), options, where)


class Ssd:
    """Labels by class index; a class without one, or called "???", has its number. score ≥ 0.5.

    A first label "background" or "???" (or `background`) is none of the model's classes, for the op does not count it.
    """

    def __init__(
        self,
        outputs: tuple[Shape, ...],
        roles: Roles | None,
        size_px: tuple[int, int] | None,
        options: Options,
        where: str,
    ) -> None:
        self.labels = without_background(options)
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ()
        self._outputs, self._roles, self._size_px, self._where = outputs, roles, size_px, where
        self._least = _SCORE if options.score is None else options.score
        self._top = options.top
        self._swapped = False
        self._first_class = roles.first_class if roles else 0

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        boxes, classes, scores = self._rows(outputs)
        usable = np.isfinite(boxes).all(axis=1) & np.isfinite(classes) & np.isfinite(scores)
        boxes, classes, scores = boxes[usable], classes[usable], scores[usable]
        found = strongest(scores, self._least)
        if not found.size:
            return nothing()
        corners = boxes[found][:, (1, 0, 3, 2)]
        if self._size_px is not None:
            corners = unit_boxes(corners, self._size_px)
        clipped = clip_boxes(to_frame(corners, placement))
        visible = np.flatnonzero(seen(clipped))[: self._top]
        indexes = tuple(round(float(value)) - self._first_class for value in classes[found[visible]])
        return Detections(
            labels=tuple(self._label(index) for index in indexes),
            indexes=indexes,
            scores=scores[found[visible]],
            boxes=clipped[visible],
        )

    def _label(self, index: int) -> str:
        return self.labels[index] if 0 <= index < len(self.labels) else str(index)

    def _rows(
        self, outputs: "list[NDArray[Any]]"
    ) -> "tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]":
        """(n, 4) boxes, (n,) classes, (n,) scores: the `count` rows that are real."""
        if self._roles is None:
            self._roles = self._after_run(outputs)
            self._first_class = self._roles.first_class
        roles = self._roles
        boxes, classes, scores, counted = (
            real(outputs[index].reshape(-1), self._outputs[index])
            for index in (roles.boxes, roles.classes, roles.scores, roles.count)
        )
        most = float(counted[0]) if counted.size else 0.0
        rows = min(len(boxes) // 4, len(classes), len(scores))
        rows = int(min(max(most, 0.0), rows)) if most == most else 0  # NaN differs from itself
        boxes, classes, scores = boxes.reshape(-1, 4)[:rows], classes[:rows], scores[:rows]
        if self._swapped or _look_swapped(classes, scores):
            self._swapped = True
            classes, scores = scores, classes
        if self._first_class and (classes == 0).any():
            self._first_class = 0
        return boxes, classes, scores

    def _after_run(self, outputs: "list[NDArray[Any]]") -> Roles:
        shapes = [array.shape for array in outputs]
        roles = find_roles(
            [msgspec.structs.replace(one, shape=shape) for one, shape in zip(self._outputs, shapes, strict=True)]
        )
        if roles is None:
            raise Problem(
                where=f"{self._where}.decoder",
                what=f"the outputs are {written(shapes)}, not boxes, classes, scores and a count",
                remedy="Take the decoder that belongs to the model",
                code=Exit.MODEL,
            )
        return roles


def _look_swapped(classes: "NDArray[np.float32]", scores: "NDArray[np.float32]") -> bool:
    """Two outputs of one shape, whose names tell nothing or lie: classes are whole numbers, scores are at most 1."""
    return (not _whole(classes) and _whole(scores)) or (not _shares(scores) and _shares(classes))


def _whole(values: "NDArray[np.float32]") -> bool:
    import numpy as np

    known = values[np.isfinite(values)]
    return bool((known == known.round()).all())


def _shares(values: "NDArray[np.float32]") -> bool:
    import numpy as np

    known = values[np.isfinite(values)]
    return bool(((known >= -0.001) & (known <= 1.001)).all())

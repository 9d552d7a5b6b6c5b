"""Boxes of an SSD whose file ends in the op TFLite_Detection_PostProcess: four outputs, already suppressed.

boxes (1, n, 4) y0, x0, y1, x1 as shares of the input; classes (1, n), 0 is the first label; scores (1, n); count (1). They come in this order,
or in another one with names that end in `:0` (none), `:1`, `:2`, `:3`. Source: tensorflow/lite/kernels/detection_postprocess.cc.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._boxes import clip_boxes, nothing, to_frame, written
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = Wants(mean=(127.5,), std=(127.5,))
_OP = "TFLite_Detection_PostProcess"
_SCORE = 0.5


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like an SSD."""
    del inputs, options
    if len(outputs) != 4:
        return None
    if all(output.name.startswith(_OP) for output in outputs):
        return Claim(Sure.SAID, f"its four outputs are {_OP}'s")
    ranks = sorted(len(output.shape) for output in outputs)
    return Claim(Sure.SHAPES, "boxes, classes, scores and a count") if ranks == [1, 2, 2, 3] else None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): not four outputs."""
    del inputs
    if len(outputs) != 4:
        raise Problem(
            where=f"{where}.decoder",
            what=f"ssd reads 4 outputs (boxes, classes, scores, count), this model gives {len(outputs)}: "
            f"{written([output.shape for output in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    # Sorting by name puts the op's outputs into its order whatever the file's: "…", "…:1", "…:2", "…:3".
    return Ssd(sorted(range(4), key=lambda index: (outputs[index].name, index)), options)


class Ssd:
    """Labels by class index; a class without one has its number. score ≥ 0.5."""

    def __init__(self, order: list[int], options: Options) -> None:
        self.labels = options.labels
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ()
        self._order = order
        self._offset = 1 if options.background else 0  # the op counts classes without the background
        self._least = _SCORE if options.score is None else options.score
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        boxes, classes, scores = _sorted([outputs[index] for index in self._order])
        found = np.flatnonzero(scores >= np.float32(self._least))[: self._top]
        if not found.size:
            return nothing()
        corners = to_frame(boxes[found][:, (1, 0, 3, 2)], placement)
        return Detections(
            labels=tuple(self._label(int(index)) for index in classes[found]),
            scores=scores[found].copy(),
            boxes=clip_boxes(corners),
        )

    def _label(self, index: int) -> str:
        index += self._offset
        return self.labels[index] if 0 <= index < len(self.labels) else str(index)


def _sorted(outputs: "list[NDArray[Any]]") -> "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]":
    """(boxes, classes, scores) of the `count` that are real, by their shapes: (1, n, 4), twice (1, n), and one number."""
    boxes = next((one for one in outputs if one.ndim == 3 and one.shape[2] == 4), None)
    count = next((one for one in outputs if one.ndim <= 1 and one.size == 1), None)
    rows = [one.reshape(-1) for one in outputs if one is not boxes and one is not count]
    if boxes is None or count is None or len(rows) != 2:
        raise Problem(
            where="decoder ssd",
            what=f"the outputs are {written([one.shape for one in outputs])}, not boxes, classes, scores and a count",
            remedy="Take the decoder that belongs to the model",
            code=Exit.MODEL,
        )
    classes, scores = rows
    if not _may_be_classes(classes) and _may_be_classes(scores):
        classes, scores = scores, classes
    most = max(0, min(int(count.reshape(-1)[0]), len(scores), boxes.shape[1]))
    return boxes[0][:most], classes[:most], scores[:most]


def _may_be_classes(values: "NDArray[Any]") -> bool:
    """Whole numbers only. (All-zero scores are whole too: then the order stands, and nothing is found either way.)"""
    return bool((values == values.round()).all())

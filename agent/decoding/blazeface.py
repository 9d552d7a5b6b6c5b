"""Faces and six points of each: MediaPipe's BlazeFace, short range (128 × 128, 896 anchors).

Outputs regressors (1, 896, 16): x and y of the centre, width, height, then x and y of right eye, left eye, nose, mouth, right ear, left ear,
all in input pixels from the anchor; classificators (1, 896, 1): logits. Source: mediapipe/modules/face_detection, arXiv 1907.05047.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._anchors import centres, probability
from agent.decoding._boxes import clip_boxes, expect, nothing, real, strongest, suppress, to_frame
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = Wants(resize="letterbox", mean=(127.5,), std=(127.5,))
_SHAPES = ((1, 896, 16), (1, 896, 1))
_SIZE = 128
_SCORE, _IOU = 0.6, 0.3


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like BlazeFace."""
    del inputs, options
    if sorted(output.shape for output in outputs) == sorted(_SHAPES):
        return Claim(Sure.SHAPES, "896 anchors with 16 numbers and a score each")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs."""
    del inputs
    boxes, scores = expect(outputs, _SHAPES, "blazeface", where)
    return BlazeFace(outputs, boxes, scores, options)


class BlazeFace:
    """Label "face" (or the one given), score ≥ 0.6, boxes that overlap by more than 0.3 are one face. keypoints: (n, 6, 3)."""

    def __init__(self, outputs: Sequence[Shape], boxes: int, scores: int, options: Options) -> None:
        self.labels = options.labels[:1] or ("face",)
        self.gives: Gives = "detections"
        self.keypoint_names = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")
        self._outputs, self._boxes, self._scores = outputs, boxes, scores
        self._least = _SCORE if options.score is None else options.score
        self._iou = _IOU if options.iou is None else options.iou
        self._top = options.top
        self._anchors = centres(_SIZE, (8, 16, 16, 16))

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        scores = probability(real(outputs[self._scores].reshape(-1), self._outputs[self._scores]))
        found = strongest(scores, self._least)
        if not found.size:
            return nothing(keypoints=6)
        numbers = real(outputs[self._boxes].reshape(-1, 16)[found], self._outputs[self._boxes]) / np.float32(_SIZE)
        centre = numbers[:, 0:2] + self._anchors[found]
        half = numbers[:, 2:4] * np.float32(0.5)
        boxes = np.concatenate((centre - half, centre + half), axis=1)
        kept = suppress(boxes, self._iou)[: self._top]
        points = numbers[kept, 4:].reshape(-1, 6, 2) + self._anchors[found[kept], None]
        best = scores[found[kept]]
        scored = np.broadcast_to(best[:, None, None], (len(kept), 6, 1))
        return Detections(
            labels=self.labels * len(kept),
            scores=best,
            boxes=clip_boxes(to_frame(boxes[kept], placement)),
            keypoints=np.concatenate((to_frame(points, placement), scored), axis=2).astype(np.float32),
        )

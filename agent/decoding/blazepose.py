"""Persons by their face: MediaPipe's BlazePose detector (224 × 224, 2254 anchors). It finds no person whose face is not to be seen.

Outputs (1, 2254, 12): centre, width and height of the FACE, then four points (0: middle of the hips, 1: a point on the circle that holds the
body, 2 and 3: the same for the upper body), in input pixels from the anchor; (1, 2254, 1): logits. Source: mediapipe/modules/pose_detection.
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
_SHAPES = ((1, 2254, 12), (1, 2254, 1))
_SIZE = 224
_SCORE, _IOU = 0.5, 0.3


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like BlazePose's detector."""
    del inputs, options
    if sorted(output.shape for output in outputs) == sorted(_SHAPES):
        return Claim(Sure.SHAPES, "2254 anchors with 12 numbers and a score each")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs."""
    del inputs
    boxes, scores = expect(outputs, _SHAPES, "blazepose", where)
    return BlazePose(outputs, boxes, scores, options)


class BlazePose:
    """Label "person": the square round point 0 with half side |point 1 - point 0|, clipped to the frame; score ≥ 0.5.

    keypoints: (n, 6, 3): points 0 to 3, then two corners of the face's box; they may lie outside the frame.
    """

    def __init__(self, outputs: Sequence[Shape], boxes: int, scores: int, options: Options) -> None:
        self.labels = options.labels[:1] or ("person",)
        self.gives: Gives = "detections"
        self.keypoint_names = ("hips", "body circle", "shoulders", "upper body circle", "face corner", "face corner")
        self._outputs, self._boxes, self._scores = outputs, boxes, scores
        self._least = _SCORE if options.score is None else options.score
        self._iou = _IOU if options.iou is None else options.iou
        self._top = options.top
        self._anchors = centres(_SIZE, (8, 16, 32, 32, 32))

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        scores = probability(real(outputs[self._scores].reshape(-1), self._outputs[self._scores]))
        found = strongest(scores, self._least)
        if not found.size:
            return nothing(keypoints=6)
        numbers = real(outputs[self._boxes].reshape(-1, 12)[found], self._outputs[self._boxes]) / np.float32(_SIZE)
        centre = numbers[:, 0:2] + self._anchors[found]
        half = numbers[:, 2:4] * np.float32(0.5)
        faces = np.concatenate((centre - half, centre + half), axis=1)
        kept = suppress(faces, self._iou)[: self._top]
        points = numbers[kept, 4:].reshape(-1, 4, 2) + self._anchors[found[kept], None]
        middle = points[:, 0]
        radius = np.linalg.norm(points[:, 1] - middle, axis=1, keepdims=True)
        persons = np.concatenate((middle - radius, middle + radius), axis=1)
        best = scores[found[kept]]
        all_points = to_frame(np.concatenate((points, faces[kept].reshape(-1, 2, 2)), axis=1), placement)
        scored = np.broadcast_to(best[:, None, None], (len(kept), 6, 1))
        return Detections(
            labels=self.labels * len(kept),
            scores=best,
            boxes=clip_boxes(to_frame(persons, placement)),
            keypoints=np.concatenate((all_points, scored), axis=2).astype(np.float32),
        )

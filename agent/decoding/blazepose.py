"""Persons by their face: MediaPipe's BlazePose detector (224 × 224, 2254 anchors). It finds no person whose face is not to be seen.

Outputs (1, 2254, 12): centre, width and height of the FACE, then four points (0: middle of the hips, 1: a point on the circle that holds the
body, 2 and 3: the same for the upper body), in input pixels from the anchor; (1, 2254, 1): logits. The older model has 128 × 128 pixels
and 896 anchors. Source: mediapipe/modules/pose_detection.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Wants
from agent.decoding._mediapipe import Grid, Variant, claim, detections, open_grid
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = Wants(resize="letterbox", mean=(127.5,), std=(127.5,))
_VARIANTS = (
    Variant(side_px=224, grids=((28, 2), (14, 2), (7, 6))),
    Variant(side_px=128, grids=((16, 2), (8, 6))),
)
_SIZE = 12
_SCORE, _IOU = 0.5, 0.3


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like BlazePose's detector."""
    del inputs, options
    return claim(outputs, _VARIANTS, _SIZE)


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs; more than one label."""
    grid = open_grid(
        inputs, outputs, options, _VARIANTS, size=_SIZE, score=_SCORE, iou=_IOU, decoder="blazepose", where=where
    )
    return BlazePose(grid, options)


class BlazePose:
    """Label "person": the square round point 0 with half side |point 1 - point 0|, clipped to the frame; score ≥ 0.5.

    keypoints: (n, 6, 3): points 0 to 3, then two corners of the face's box; they may lie outside the frame.
    """

    def __init__(self, grid: Grid, options: Options) -> None:
        self.labels = options.labels or ("person",)
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = (
            "hips",
            "body circle",
            "shoulders",
            "upper body circle",
            "face corner",
            "face corner",
        )
        self._grid = grid

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        scores, faces, points = self._grid.find(outputs)
        middle = points[:, 0]
        radius = np.linalg.norm(points[:, 1] - middle, axis=1, keepdims=True)
        persons = np.concatenate((middle - radius, middle + radius), axis=1)
        all_points = np.concatenate((points, faces.reshape(-1, 2, 2)), axis=1)
        return detections(self.labels[0], scores, persons, all_points, placement)

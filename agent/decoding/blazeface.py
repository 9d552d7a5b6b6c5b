"""Faces and six points of each: MediaPipe's BlazeFace, short range (128 × 128 or 256 × 256) and full range (192 × 192).

Outputs regressors (1, n, 16): x and y of the centre, width, height, then x and y of right eye, left eye, nose, mouth, right ear, left ear,
all in input pixels from the anchor; classificators (1, n, 1): logits. n is 896 for short range, 2304 for full range. Older files give
a pair of outputs a grid. Source: mediapipe/modules/face_detection, arXiv 1907.05047.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Wants
from agent.decoding._mediapipe import Grid, Variant, claim, detections, open_grid
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = Wants(resize="letterbox", mean=(127.5,), std=(127.5,))
# The 256 × 256 model ("back") has the same grids, of strides 16 and 32.
_VARIANTS = (Variant(side_px=128, grids=((16, 2), (8, 6))), Variant(side_px=192, grids=((48, 1),)))
_SIZE = 16
_SCORE, _IOU = 0.6, 0.3


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like BlazeFace."""
    del inputs, options
    return claim(outputs, _VARIANTS, _SIZE)


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs; more than one label."""
    grid = open_grid(
        inputs, outputs, options, _VARIANTS, size=_SIZE, score=_SCORE, iou=_IOU, decoder="blazeface", where=where
    )
    return BlazeFace(grid, options)


class BlazeFace:
    """Label "face" (or the one given), score ≥ 0.6, boxes that overlap by more than 0.3 are one face. keypoints: (n, 6, 3)."""

    def __init__(self, grid: Grid, options: Options) -> None:
        self.labels = options.labels or ("face",)
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")
        self._grid = grid

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        return detections(self.labels[0], *self._grid.find(outputs), placement)

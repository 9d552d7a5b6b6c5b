"""Palms and seven points of each: MediaPipe's palm detector, 192 × 192 (2016 anchors), and older ones of 256 × 256 (2944) and 128 × 128 (896).

Outputs (1, n, 18): x and y of the centre, width, height, then x and y of wrist, roots of index, middle, ring and little finger, and the two
lower joints of the thumb, all in input pixels from the anchor; (1, n, 1): logits. Source: mediapipe/modules/palm_detection, arXiv 2006.10214.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Wants
from agent.decoding._mediapipe import Grid, Variant, claim, detections, locate, open_grid
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEW = Variant(side_px=192, grids=((24, 2), (12, 6)))
_OLDER = (Variant(side_px=256, grids=((32, 2), (16, 2), (8, 6))), Variant(side_px=128, grids=((16, 2), (8, 6))))
WANTS = Wants(resize="letterbox")
_SIZE = 18
_SCORE, _IOU = 0.5, 0.3


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a palm detector."""
    del inputs, options
    return claim(outputs, (_NEW, *_OLDER), _SIZE)


def wants(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Wants:
    """Today's model takes 0..1, the older ones -1..1."""
    del inputs, options
    older = any(locate(outputs, variant, _SIZE) is not None for variant in _OLDER)
    return Wants(resize="letterbox", mean=(127.5,), std=(127.5,)) if older else WANTS


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): other outputs; more than one label."""
    variants = (_NEW, *_OLDER)
    grid = open_grid(
        inputs, outputs, options, variants, size=_SIZE, score=_SCORE, iou=_IOU, decoder="blazepalm", where=where
    )
    return BlazePalm(grid, options)


class BlazePalm:
    """Label "palm" (or the one given), score ≥ 0.5, boxes that overlap by more than 0.3 are one palm. keypoints: (n, 7, 3)."""

    def __init__(self, grid: Grid, options: Options) -> None:
        self.labels = options.labels or ("palm",)
        self.gives: Gives = "detections"
        self.keypoint_names: tuple[str, ...] = (
            "wrist",
            "index finger",
            "middle finger",
            "ring finger",
            "little finger",
            "thumb root",
            "thumb",
        )
        self._grid = grid

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        return detections(self.labels[0], *self._grid.find(outputs), placement)

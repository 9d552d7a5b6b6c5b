"""Decoding: a model's output tensors → Detections.

Takes   the outputs of one run, how the frame was placed in the input, and `Options` (labels, score, iou, top).
Gives   Detections: boxes 0..1 clipped to the frame, scores, label texts, keypoints, values.
Threads the lane thread.
Fails   Problem with Exit.MODEL at open: shapes that are not its own (both named), a wrong count of labels.
Add one a file named as the config names it, with `claims` (does this model look like mine, and why) and `open_decoder`.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as decoders see it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """labels: texts by class index. score, iou, top: None takes the decoder's default. values: from the model's metadata (mean, std…)."""

    labels: tuple[str, ...] = ()
    background: bool = False
    softmax: str = "auto"
    score: float | None = None
    iou: float | None = None
    top: int | None = None
    metadata: dict[str, tuple[float, ...]] = {}


class Decoder(Protocol):
    labels: tuple[str, ...]

    def decode(self, outputs: "list[NDArray[np.generic]]", placement: Placement) -> Detections: ...

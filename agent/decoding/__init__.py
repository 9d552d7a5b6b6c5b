"""Decoding: a model's output tensors → Detections.

Takes   the outputs of one run, how the frame was placed in the input, and `Options` (labels, score, iou, top).
Gives   Detections: boxes 0..1 clipped to the frame, scores, label texts, keypoints, values.
Threads the lane thread.
Fails   Problem with Exit.MODEL at open: shapes that are not its own (both named), a wrong count of labels.
Add one a file named as the config names it, with `claims` (does this model look like mine, and why), `open_decoder`, and `WANTS`: how a
        frame must be given to such a model where neither the config nor the model says it.
        A decoder of windows that compares what went in with what came out (anomaly) has `decode_rows` instead of `decode`.
"""

from typing import TYPE_CHECKING, Protocol

import msgspec

from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as decoders see it. scale 0: not quantised. shape (): known only after the first run."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """labels: texts by class index. score, iou, top: None takes the decoder's default."""

    labels: tuple[str, ...] = ()
    background: bool = False
    softmax: str = "auto"
    score: float | None = None
    iou: float | None = None
    top: int | None = None


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """How a frame is given to a model of this family. mean, std: on 0..255; None: 0..1. border: the pixel value beside a letterbox."""

    resize: str = "stretch"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    border: int = 0


class Decoder(Protocol):
    """`decode` copies what it keeps: outputs are overwritten by the next run."""

    labels: tuple[str, ...]

    def decode(self, outputs: "list[NDArray[np.generic]]", placement: Placement) -> Detections: ...


class RowsDecoder(Protocol):
    """Of windows: `given` (rows, n) float32, normalised, as it went in; `outputs` (rows, m) float32, dequantised; a row is one axis."""

    labels: tuple[str, ...]

    def decode_rows(self, given: "NDArray[np.float32]", outputs: "NDArray[np.float32]") -> Detections: ...

"""Decoding: a model's output tensors → Detections.

Takes   the outputs of one run, how the frame was placed in the input, and `Options` (labels, score, iou, top, what the file says of itself).
Gives   Detections: boxes 0..1 clipped to the frame, scores, label texts and class numbers, keypoints, values, a vector, masks when asked.
Threads the lane thread.
Fails   Problem with Exit.MODEL at open: shapes that are not its own (both named), a wrong count of labels.
Add one a file named as the config names it, with `claims` (does this model look like mine, how surely, and why), `open_decoder`, and `WANTS`:
        how a frame must be given to such a model where neither the config nor the model says it. A family whose models differ in it has
        `wants(inputs, outputs, options) -> Wants`, too, which is asked instead.
        A decoder that compares what went in with what came out (anomaly) has `decode_rows` instead of `decode`.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as decoders see it. scale 0: not quantised. shape (): known only after the first run. said: its name in TFLite metadata.

    made_by: the op that computes it (`SOFTMAX`), "" where that is not known.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    said: str = ""
    made_by: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """labels: texts by class index. score, iou, top: None takes the decoder's default. masks: give them (pictures are drawn of them).
    every: what lies below `score` is asked for, too, and no threshold is needed (anomaly).

    input_px: (height, width) of the image input, (0, 0) where there is none. What the file says of itself, None where it is silent:
    task: Ultralytics' word (detect, pose, segment, classify, obb). keypoint_shape: (points, 2 or 3). suppressed: doubles are removed inside the
    model. keypoint_names: in order.
    """

    labels: tuple[str, ...] = ()
    background: bool = False
    softmax: str = "auto"
    score: float | None = None
    iou: float | None = None
    top: int | None = None
    masks: bool = False
    every: bool = False
    input_px: tuple[int, int] = (0, 0)
    task: str | None = None
    keypoint_shape: tuple[int, int] | None = None
    keypoint_names: tuple[str, ...] = ()
    suppressed: bool | None = None


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """How a frame is given to a model of this family. mean, std: on 0..255; None: 0..1. border: the pixel value beside a letterbox."""

    resize: str = "stretch"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    border: int = 0


class Sure(IntEnum):
    """How surely a decoder knows a model. The surest claim is taken; two of the same sureness are ambiguous."""

    POSSIBLE = 1  # the shapes allow it, as they allow others
    SHAPES = 2  # no other known family has these shapes, or labels fit their count
    SAID = 3  # the file says so: metadata, an op's name


class Claim(msgspec.Struct, frozen=True):
    """why: for people, after "because": `896 anchors with 16 numbers and a score each`."""

    sure: Sure
    why: str


# What a decoder's results are, as `infer` prints them. `detections` may hold keypoints, masks and values each.
Gives = Literal["detections", "classes", "keypoints", "areas", "anomaly", "values", "vector"]


class Decoder(Protocol):
    """`decode` copies what it keeps: outputs are overwritten by the next run. keypoint_names: of the points it gives, in order, or ()."""

    labels: tuple[str, ...]
    gives: Gives
    keypoint_names: tuple[str, ...]

    def decode(self, outputs: "list[NDArray[np.generic]]", placement: Placement) -> Detections: ...


class RowsDecoder(Protocol):
    """`given` (rows, n) float32, normalised, as it went in; `outputs` (rows, m) float32, dequantised; a row is one axis of a window, or a frame."""

    labels: tuple[str, ...]
    gives: Gives
    keypoint_names: tuple[str, ...]

    def decode_rows(self, given: "NDArray[np.float32]", outputs: "NDArray[np.float32]") -> Detections: ...

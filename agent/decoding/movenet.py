"""MoveNet: the 17 points of a person (COCO's), of one (1, 1, 17, 3) or of up to six people (1, 6, 56).

A point is y, x, score as shares of the input. Six people: 17 points, then ymin, xmin, ymax, xmax, score each.
Source: https://www.tensorflow.org/hub/tutorials/movenet. Pixels go in as they are, 0..255, whatever the input's type.
One person: the frame is stretched, which the publisher's reference does, too; measured on that picture in 16:9, a letterbox loses a third of the
person's height and doubles the error.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._boxes import clip_boxes, nothing, real, strongest, to_frame, written
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POINTS = (
    *(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
    ),
    *("left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
_ONE, _SIX = (1, 1, 17, 3), (1, 6, 56)
WANTS = Wants(resize="stretch", mean=(0.0,), std=(1.0,))
# Below it is noise: rooms and animals give 0.05 to 0.17, people 0.23 and more (measured with the lightning model).
_SCORE = 0.2
# Points that are seen; others are guesses and do not widen the box.
_POINT_SCORE = 0.2


def wants(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Wants:
    """Several people: a letterbox, as the publisher does."""
    del inputs, options
    return WANTS if outputs[0].shape != _SIX else Wants(resize="letterbox", mean=WANTS.mean, std=WANTS.std)


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like MoveNet."""
    del inputs
    if options.task is not None or len(outputs) != 1:
        return None
    if outputs[0].shape == _ONE:
        return Claim(Sure.SHAPES, "17 points of y, x, score")
    if outputs[0].shape == _SIX:
        return Claim(Sure.SHAPES, "six people of 17 points, a box and a score each")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): another output, or labels that are neither the person's nor the points'."""
    del inputs
    if len(outputs) != 1 or outputs[0].shape not in (_ONE, _SIX):
        raise Problem(
            where=f"{where}.decoder",
            what=f"movenet reads an output of {written([_ONE])} or {written([_SIX])}, "
            f"this model gives {written([output.shape for output in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    if len(options.labels) not in (0, 1, len(POINTS)):
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(options.labels)} labels for one class, the person",
            remedy=f"Leave `labels` out, or give one label, or the names of the {len(POINTS)} points",
            code=Exit.MODEL,
        )
    return MoveNet(outputs[0], options)


class MoveNet:
    """label "person"; keypoints (n, 17, 3) of the frame, not clipped: a point may be guessed beside it.

    One person: score = the mean of the 17 points' scores, box = the hull of the points of at least 0.2; six: as the model gives them.
    People below `score` (0.2) are not given, of six the best first.
    """

    def __init__(self, output: Shape, options: Options) -> None:
        points = options.labels if len(options.labels) == len(POINTS) else options.keypoint_names
        self.labels: tuple[str, ...] = options.labels if len(options.labels) == 1 else ("person",)
        self.keypoint_names = points if len(points) == len(POINTS) else POINTS
        self._one = output.shape == _ONE
        self.gives: Gives = "keypoints" if self._one else "detections"
        self._output = output
        self._least = _SCORE if options.score is None else options.score
        self._top = options.top

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        values = real(outputs[0], self._output)
        values[~np.isfinite(values)] = 0
        people = values.reshape(-1, 51 if self._one else 56)
        points = people[:, :51].reshape(-1, len(POINTS), 3)[:, :, (1, 0, 2)]
        scores = points[:, :, 2].mean(axis=1) if self._one else people[:, 55]
        found = strongest(scores, self._least, self._top or len(people))
        if not found.size:
            return nothing(len(POINTS))
        points = np.concatenate([to_frame(points[found][:, :, :2], placement), points[found][:, :, 2:]], axis=2)
        boxes = _hull(points) if self._one else to_frame(people[found][:, (52, 51, 54, 53)], placement)
        return Detections(
            labels=self.labels * len(found),
            scores=np.clip(scores[found], 0, 1).astype(np.float32),
            boxes=clip_boxes(boxes),
            keypoints=points.astype(np.float32),
        )


def _hull(points: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """(1, k, 3) → (1, 4): round the seen points, or round all where none is seen."""
    import numpy as np

    seen = points[0, points[0, :, 2] >= _POINT_SCORE, :2]
    places = seen if len(seen) else points[0, :, :2]
    return np.concatenate([places.min(axis=0), places.max(axis=0)])[None]

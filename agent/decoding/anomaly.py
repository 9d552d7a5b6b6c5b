"""How unlike its healthy self a machine sounds, or a part looks: an autoencoder's output is compared with its input.

Input and output have the same size (log-bands: 64 an axis; a picture: all its numbers are one row). Score of a window: the mean over the bands of
(reconstruction - normalised input)², the greatest of the axes. It has no unit; what is normal stands in the model's card and metadata (`score`,
the healthy 99 % quantile).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.decoding import Claim, Gives, Options, RowsDecoder, Shape, Sure, Wants
from agent.problems import Exit, Problem
from agent.records import Detections

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WANTS = Wants()


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like an autoencoder. A picture of the input's shape may as well be a segmentation's classes: both claim it."""
    if options.task is not None or len(options.labels) > 1 or not len(inputs) == len(outputs) == 1:
        return None
    if outputs[0].made_by == "SOFTMAX":  # what it was given is no probability of classes
        return None
    if inputs[0].shape == outputs[0].shape and len(inputs[0].shape) <= 4 and math.prod(inputs[0].shape) > 1:
        return Claim(Sure.POSSIBLE, "its output has the shape of its input")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> RowsDecoder:
    """Problem (Exit.MODEL): output and input differ in size; no `score` anywhere, and only what reaches it is asked for."""
    sizes = (math.prod(inputs[0].shape), math.prod(outputs[0].shape))
    if len(outputs) != 1 or sizes[0] != sizes[1]:
        raise Problem(
            where=f"{where}.decoder",
            what=f"anomaly compares an output with the input, this model has {sizes[0]} numbers in and {sizes[1]} out",
            remedy="Take an autoencoder, or another decoder",
            code=Exit.MODEL,
        )
    if (options.score is None and not options.every) or (options.score is not None and options.score <= 0):
        raise Problem(
            where=f"{where}.score",
            what="from which score on a window is an anomaly is not given, neither here nor in the model",
            remedy="Set `score` (the card's 99 % healthy quantile)",
            code=Exit.MODEL,
        )
    return Anomaly(options.score, options.labels, always=options.every)


class Anomaly:
    """One result a window whose score is at least `least`: label "anomaly", value = the score; else nothing. always: below it, too; `least` may be
    None then.

    Its `score` is value / (value + least): 0.5 at the threshold, nearing 1 beyond, since rows hold scores of 0..1; 0 without a threshold.
    """

    def __init__(self, least: float | None, labels: tuple[str, ...], *, always: bool = False) -> None:
        self.labels = labels[:1] or ("anomaly",)
        self.gives: Gives = "anomaly"
        self.keypoint_names: tuple[str, ...] = ()
        self.least = least
        self.always = always or least is None

    def decode_rows(self, given: "NDArray[np.float32]", outputs: "NDArray[np.float32]") -> Detections:
        import numpy as np

        value = float(((outputs - given).astype(np.float64) ** 2).mean(axis=1).max())
        found = self.always or (self.least is not None and value >= self.least)
        values = np.array([value] if found else [], np.float64)
        return Detections(
            labels=self.labels if found else (),
            scores=(values / (values + self.least) if self.least is not None else values * 0).astype(np.float32),
            values=values,
        )

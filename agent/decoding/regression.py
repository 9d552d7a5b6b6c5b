"""Measured numbers: an angle, a level, a temperature. Outputs of (1, n), each number a result of its own with its label and value.

The labels file names the numbers, one a line in the outputs' order; without one they are "0", "1", …
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._boxes import real, written
from agent.decoding._tensors import (
    called_probability,
    ends_in_softmax,
    flat,
    flat_count,
    holds_probabilities,
    picture_px,
)
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

WANTS = Wants()
# Each number is a row of the store: more of them are a vector, which `raw` keeps in one row.
_MOST_NUMBERS = 64
# A point, angles, a box: so few numbers without a softmax may be measured as well as classes.
_MOST_MEASURED = 4


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like one that measures: a single number out, and no two labels for its ends; or a few of a picture, with no softmax before
    them.
    """
    if options.task is not None or len(outputs) != 1 or len(options.labels) > 1:
        return None
    output = outputs[0]
    count = flat_count(output.shape)
    if count == 1:
        return Claim(Sure.POSSIBLE, "one number out")
    scores = called_probability(output) or holds_probabilities(output) or ends_in_softmax(output)
    picture = bool(inputs) and picture_px(inputs[0].shape) is not None
    if picture and 1 < count <= _MOST_MEASURED and output.made_by and not scores:
        return Claim(Sure.POSSIBLE, f"{count} numbers out, and no softmax before them")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): an output that is more than one row of numbers, too many of them, or labels that do not fit their count."""
    del inputs
    count = sum(flat_count(output.shape) for output in outputs)
    if not outputs or len(flat(outputs)) != len(outputs) or count > _MOST_NUMBERS:
        raise Problem(
            where=f"{where}.decoder",
            what=f"regression reads outputs of 1×n, {_MOST_NUMBERS} numbers at most, "
            f"this model gives {written([output.shape for output in outputs])}",
            remedy='Take the decoder that belongs to the model, or "raw", which stores all numbers in one row',
            code=Exit.MODEL,
        )
    if options.labels and len(options.labels) != count:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(options.labels)} labels for {count} numbers",
            remedy="Give a name for each number, one a line",
            code=Exit.MODEL,
        )
    return Regression(tuple(outputs), options.labels or tuple(str(index) for index in range(count)))


class Regression:
    """A result a number: its label, score 1, value. NaN and infinities are no measured numbers and are left out."""

    def __init__(self, outputs: tuple[Shape, ...], labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.gives: Gives = "values"
        self.keypoint_names: tuple[str, ...] = ()
        self._outputs = outputs

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        del placement
        parts = [real(values.reshape(-1), shape) for values, shape in zip(outputs, self._outputs, strict=True)]
        values = np.concatenate(parts).astype(np.float64)
        found = np.flatnonzero(np.isfinite(values))
        return Detections(
            labels=tuple(self.labels[index] for index in found),
            scores=np.ones(len(found), np.float32),
            values=values[found],
        )

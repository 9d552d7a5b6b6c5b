"""A vector that stands for a picture or a window: near ones look alike. Given as the model gives it (dequantised), not scaled to length 1.

The output is the one named as features (embedding, feature_vector, …), or the only one that is one row of numbers.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._boxes import real, written
from agent.decoding._tensors import (
    called_embedding,
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
# Widths that the last layers of known backbones have, and hardly any set of classes.
_USUAL = (128, 192, 256, 320, 384, 512, 576, 640, 768, 960, 1024, 1280, 1536, 1792, 2048)


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like one that gives an embedding. A name says so; without one a usual width is possible beside a class count."""
    if options.task is not None or len(options.labels) > 1 or not inputs:
        return None
    named = [
        index for index in flat(outputs) if called_embedding(outputs[index]) and flat_count(outputs[index].shape) > 1
    ]
    if len(named) == 1 and len(outputs) == 1 and outputs[0].shape != inputs[0].shape:
        return Claim(Sure.POSSIBLE, f"its output of {flat_count(outputs[0].shape)} numbers is named as features")
    if len(outputs) != 1 or not picture_px(inputs[0].shape):
        return None
    scores = called_probability(outputs[0]) or holds_probabilities(outputs[0]) or ends_in_softmax(outputs[0])
    if flat_count(outputs[0].shape) in _USUAL and not scores:
        return Claim(Sure.POSSIBLE, f"{flat_count(outputs[0].shape)} numbers out, as many as features often are")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no output of (1, n), or several and none or more than one named as features."""
    del inputs
    rows = [index for index in flat(outputs) if flat_count(outputs[index].shape) > 1]
    named = [index for index in rows if called_embedding(outputs[index])]
    chosen = rows if len(rows) == 1 else named
    if len(chosen) != 1:
        raise Problem(
            where=f"{where}.decoder",
            what=f"embedding reads one output of 1×n, this model gives {written([o.shape for o in outputs])}"
            + (", and their names do not say which one" if len(rows) > 1 else ""),
            remedy='Take the decoder that belongs to the model, or "raw", which stores all numbers as they are',
            code=Exit.MODEL,
        )
    return Embedding(chosen[0], outputs[chosen[0]], options.labels[:1])


class Embedding:
    """One result: label "embedding", score 1, vectors (1, n). NaN or infinity in the output: nothing, for no distance to it exists."""

    def __init__(self, index: int, output: Shape, labels: tuple[str, ...]) -> None:
        self.labels = labels or ("embedding",)
        self.gives: Gives = "vector"
        self.keypoint_names: tuple[str, ...] = ()
        self._index = index
        self._output = output

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        del placement
        vector = real(outputs[self._index].reshape(1, -1), self._output)
        found = bool(np.isfinite(vector).all())
        return Detections(
            labels=self.labels if found else (),
            scores=np.ones(int(found), np.float32),
            vectors=vector if found else vector[:0],
        )

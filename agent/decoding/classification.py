"""One class a picture (or window): an output of (1, classes) probabilities or logits. The shape of every TFLite classifier."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.problems import Exit, Problem
from agent.records import Detections, Placement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WANTS = Wants()


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a classifier."""
    if len(outputs) != 1 or math.prod(outputs[0].shape or (0,)) != max(outputs[0].shape or (0,)):
        return None
    count = math.prod(outputs[0].shape)
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].shape[3] in (1, 3) and count >= 2:
        return Claim(Sure.POSSIBLE, f"one picture in, {count} numbers out")
    if count >= 2 and len(options.labels) in (count, count - 1) and outputs[0].shape != inputs[0].shape:
        return Claim(Sure.SHAPES, f"{count} numbers out and as many labels")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): not one output of (1, classes), or labels that do not fit their count."""
    del inputs
    if len(outputs) != 1 or math.prod(outputs[0].shape or (0,)) != max(outputs[0].shape or (0,)):
        shapes = ", ".join("×".join(str(n) for n in output.shape) or "unknown" for output in outputs)
        raise Problem(
            where=f"{where}.decoder",
            what=f"classification reads one output of 1×classes, this model gives {shapes}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    count = math.prod(outputs[0].shape)
    labels = options.labels
    if options.background and len(labels) == count - 1:
        labels = ("background", *labels)
    if labels and len(labels) != count:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(labels)} labels for {count} classes",
            remedy="Give the labels of this model, one a line"
            + (", or set background = true: class 0 is one" if len(labels) == count - 1 else ""),
            code=Exit.MODEL,
        )
    return Classification(outputs[0], options, labels or tuple(str(index) for index in range(count)))


class Classification:
    """The `top` (1) classes with at least `score` (0). A background class is never a result: where it wins, nothing was found."""

    def __init__(self, output: Shape, options: Options, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.gives: Gives = "classes"
        self.keypoint_names: tuple[str, ...] = ()
        self._output = output
        self._least = options.score if options.score is not None else 0.0
        self._top = options.top or 1
        self._background = options.background
        self._softmax = options.softmax
        if output.scale and options.softmax == "auto":
            self._softmax = "false" if _holds_probabilities(output) else "true"

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        del placement
        raw = outputs[0].reshape(-1)
        if self._softmax == "false" and self._top == 1:  # the usual case: only the winner becomes a real number
            best = int(raw.argmax())
            indexes = np.array([best])
            scores = self._real(raw[best : best + 1])
        else:
            values = self._probabilities(self._real(raw))
            indexes = np.argsort(-values, kind="stable")[: self._top]
            scores = values[indexes]
        kept = (scores >= np.float32(self._least)) & (scores > 0)
        if self._background:
            kept &= indexes != 0
        return Detections(
            labels=tuple(self.labels[index] for index in indexes[kept]), scores=scores[kept].astype(np.float32)
        )

    def _real(self, raw: "NDArray[Any]") -> "NDArray[np.float32]":
        import numpy as np

        values: NDArray[np.float32] = raw.astype(np.float32)
        if self._output.scale:
            values = (values - np.float32(self._output.zero_point)) * np.float32(self._output.scale)
        return values

    def _probabilities(self, values: "NDArray[np.float32]") -> "NDArray[np.float32]":
        import numpy as np

        if self._softmax == "false" or (self._softmax == "auto" and values.min() >= -0.001 and values.max() <= 1.001):
            return values
        powers = np.exp(values - values.max())
        result: NDArray[np.float32] = powers / powers.sum()
        return result


def _holds_probabilities(output: Shape) -> bool:
    """A quantised output says its range: 0..1 (uint8 from 0, int8 from -128) is what a softmax gives."""
    lowest = -128 if output.dtype == "int8" else 0
    least = (lowest - output.zero_point) * output.scale
    return least >= -0.01 and least + 255 * output.scale <= 1.01

"""One class a picture (or window): an output of (1, classes) probabilities or logits. The shape of every TFLite classifier.

With several outputs the classifier is the one whose count the labels have, or the only one that is not named as features.
A single number with two labels is the probability of the second (Keras' binary classifier).
Ultralytics' classifiers see the middle of the frame (torchvision's Resize and CenterCrop), others the whole frame.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Claim, Decoder, Gives, Options, Shape, Sure, Wants
from agent.decoding._anchors import probability
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
    import numpy as np
    from numpy.typing import NDArray

WANTS = Wants()
_TASK = "classify"
# How outputs begin of the models of tensorflow/models/research/slim, the "hosted models" of TFLite.
_SLIM = ("MobilenetV", "Inception", "NasNet", "final_layer/predictions")


def wants(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Wants:
    """The middle of the frame for Ultralytics' classifiers; pixels as -1..1 for those of TensorFlow's slim library."""
    del inputs
    if options.task == _TASK:
        return Wants(resize="crop")
    slim = any(output.name.startswith(_SLIM) for output in outputs)
    return Wants(mean=(127.5,), std=(127.5,)) if slim else WANTS


def claims(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options) -> Claim | None:
    """Why this model looks like a classifier."""
    if options.task not in (None, _TASK):
        return None
    chosen = _choose(outputs, options)
    if len(chosen) != 1:
        return None
    output = outputs[chosen[0]]
    count = flat_count(output.shape)
    if options.task == _TASK:
        return Claim(Sure.SAID, "the file says its task is to classify")
    if _fits(count, options) and not _same_shape(inputs, output):
        why = (
            f"{count} numbers out and labels for as many classes" if count > 1 else "one number out between two labels"
        )
        return Claim(Sure.SHAPES, why)
    alone = len(outputs) == 1 or (len(flat(outputs)) == len(outputs) and called_probability(output))
    if count < 2 or called_embedding(output) or not alone:
        return None
    if inputs and picture_px(inputs[0].shape):
        return Claim(Sure.POSSIBLE, f"one picture in, {count} numbers out")
    scores = called_probability(output) or holds_probabilities(output) or ends_in_softmax(output)
    if scores and (output.made_by == "SOFTMAX" or not _same_shape(inputs, output)):
        return Claim(Sure.POSSIBLE, f"{count} numbers out that are probabilities")
    return None


def open_decoder(inputs: Sequence[Shape], outputs: Sequence[Shape], options: Options, where: str) -> Decoder:
    """Problem (Exit.MODEL): no output of (1, classes) or several, or labels that do not fit their count."""
    del inputs
    rows = flat(outputs)
    if not rows:
        raise Problem(
            where=f"{where}.decoder",
            what=f"classification reads one output of 1×classes, this model gives {written([o.shape for o in outputs])}",
            remedy="Take the decoder that belongs to the model, or leave `decoder` out",
            code=Exit.MODEL,
        )
    chosen = _choose(outputs, options)
    if len(chosen) != 1:
        counts = " and ".join(str(flat_count(outputs[index].shape)) for index in rows)
        labels = f"{len(options.labels)} labels fit" if options.labels else "no labels tell"
        raise Problem(
            where=f"{where}.labels",
            what=f"the model has outputs of {counts} numbers, and {labels} which one holds the classes"
            if not options.labels
            else f"the model has outputs of {counts} numbers, and {labels} {'none' if not chosen else 'several'} of them",
            remedy="Give the labels of the classes, one a line",
            code=Exit.MODEL,
        )
    index = chosen[0]
    count = flat_count(outputs[index].shape)
    return Classification(index, outputs[index], options, _labels(count, options, where))


def _choose(outputs: Sequence[Shape], options: Options) -> tuple[int, ...]:
    """The outputs that may hold the classes: one, where it can be known."""
    rows = flat(outputs)
    if len(rows) < 2:
        return rows
    fitting = tuple(index for index in rows if _fits(flat_count(outputs[index].shape), options, alone=False))
    candidates = fitting if options.labels else tuple(index for index in rows if not called_embedding(outputs[index]))
    # Logits and their softmax side by side: the softmax is meant.
    named = tuple(index for index in candidates if called_probability(outputs[index]))
    return named if len(candidates) > 1 and len(named) == 1 else candidates


def _fits(count: int, options: Options, *, alone: bool = True) -> bool:
    """One label less is the background's, which label files often leave out; two labels name the ends of a single number."""
    given = len(options.labels)
    if count == 1:
        return alone and given == 2
    return given > 0 and given in (count, count - 1)


def _same_shape(inputs: Sequence[Shape], output: Shape) -> bool:
    return bool(inputs) and inputs[0].shape == output.shape


def _labels(count: int, options: Options, where: str) -> tuple[str, ...]:
    """A text a class, the background's too. Problem (Exit.MODEL) when their counts differ."""
    labels = options.labels
    classes = 2 if count == 1 and len(labels) == 2 else count
    if options.background and len(labels) == classes - 1:
        labels = ("background", *labels)
    if labels and len(labels) != classes:
        raise Problem(
            where=f"{where}.labels",
            what=f"{len(labels)} labels for {classes} classes",
            remedy="Give the labels of this model, one a line"
            + (", or set background = true: class 0 is one" if len(labels) == classes - 1 else ""),
            code=Exit.MODEL,
        )
    return labels or tuple(str(index) for index in range(classes))


class Classification:
    """The `top` (1) classes with at least `score` (0), the best first; equal ones by their number. Scores are cut to 0..1.

    A background class is never a result: where it wins, nothing was found. NaN in the output: nothing was found.
    """

    def __init__(self, index: int, output: Shape, options: Options, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.gives: Gives = "classes"
        self.keypoint_names: tuple[str, ...] = ()
        self._index = index
        self._output = output
        self._binary = flat_count(output.shape) == 1 and len(labels) == 2
        self._least = options.score if options.score is not None else 0.0
        self._top = options.top or 1
        self._background = options.background
        self._softmax = options.softmax
        probabilities = holds_probabilities(output)
        if probabilities is not None and options.softmax == "auto":
            self._softmax = "false" if probabilities else "true"

    def decode(self, outputs: "list[NDArray[Any]]", placement: Placement) -> Detections:
        import numpy as np

        del placement
        raw = outputs[self._index].reshape(-1)
        if self._softmax == "false" and self._top == 1 and not self._binary:
            # The usual case: only the winner becomes a real number.
            best = int(raw.argmax())
            indexes = np.array([best])
            scores = real(raw[best : best + 1], self._output)
        else:
            values = self._probabilities(real(raw, self._output))
            indexes = np.argsort(-values, kind="stable")[: self._top]
            scores = values[indexes]
        kept = (scores >= np.float32(self._least)) & (scores > 0)  # NaN is neither
        if self._background:
            kept &= indexes != 0
        found = indexes[kept].tolist()
        return Detections(
            labels=tuple(self.labels[index] for index in found),
            indexes=tuple(found),
            scores=np.minimum(scores[kept], 1).astype(np.float32),
        )

    def _probabilities(self, values: "NDArray[np.float32]") -> "NDArray[np.float32]":
        import numpy as np

        if np.isnan(values).any():
            return np.zeros(2 if self._binary else len(values), np.float32)
        plain = self._softmax == "false" or (
            self._softmax == "auto" and values.min() >= -0.001 and values.max() <= 1.001
        )
        if self._binary:
            second = values if plain else probability(values)
            return np.concatenate([1 - second, second])
        if plain:
            return values
        values = np.clip(values, -1e6, 1e6)  # infinities have no difference
        powers = np.exp(values - values.max())
        result: NDArray[np.float32] = powers / powers.sum()
        return result

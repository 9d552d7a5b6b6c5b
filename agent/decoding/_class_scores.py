"""Which of many anchors hold something, and what: a row of class scores each, as probabilities or as logits, quantised or not.

The threshold is compared with the output's own numbers; only those that reach it become probabilities.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Shape
from agent.decoding._anchors import probability
from agent.decoding._boxes import real, strongest
from agent.decoding._tensors import holds_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDING = 0.001


class ClassScores:
    """shapes: the outputs that hold the rows, in order. columns: numbers a row; those before `first` are no things'. softmax: over a row.

    Numbers outside 0..1 are logits: a quantised output's range tells it, a float one's the first run that has such.
    """

    def __init__(self, shapes: Sequence[Shape], *, columns: int, first: int, softmax: bool, least: float) -> None:
        self._shapes, self._columns, self._first, self._softmax = shapes, columns, first, softmax
        self._least = least
        told = holds_probabilities(shapes[0])
        self._logits = not softmax and told is False

    def find(
        self, outputs: "Sequence[NDArray[Any]]"
    ) -> "tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]":
        """(k,) rows over all outputs, the best first; (k,) things, counted from `first`; (k,) scores."""
        import numpy as np

        parts = [array.reshape(-1, self._columns) for array in outputs]
        if self._softmax:
            parts = [_softmax(real(part, shape)) for part, shape in zip(parts, self._shapes, strict=True)]
        bests = [part[:, self._first :].max(axis=1) for part in parts]
        if not self._softmax:
            bests = [real(best, shape) for best, shape in zip(bests, self._shapes, strict=True)]
        best = np.concatenate(bests)
        if not self._softmax and not self._logits:
            self._logits = bool(((best < -_ROUNDING) | (best > 1 + _ROUNDING)).any())
        found = strongest(best, _logit(self._least) if self._logits else self._least)
        things = np.zeros(len(found), np.intp)
        start = 0
        for part in parts:
            mine = (found >= start) & (found < start + len(part))
            things[mine] = part[found[mine] - start, self._first :].argmax(axis=1)
            start += len(part)
        scores = best[found].astype(np.float32)
        return found, things, probability(scores) if self._logits else scores


def _softmax(values: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    powers = np.exp(np.clip(values, -80, 80))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _logit(score: float) -> float:
    if 0 < score < 1:
        return math.log(score / (1 - score))
    return -math.inf if score <= 0 else math.inf

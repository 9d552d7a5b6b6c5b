"""Which of many anchors hold something, and what: a row of class scores each, as probabilities or as logits, quantised or not.

The threshold is compared with the output's own numbers, all at once; only rows that reach it are looked at further.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.decoding import Shape
from agent.decoding._anchors import logit, probability
from agent.decoding._boxes import least_number, real, strongest
from agent.decoding._tensors import holds_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROUNDING = 0.001
_MOST_EXPONENT = 80  # exp of more than 88 overflows float32


class ClassScores:
    """shapes: the outputs that hold the rows, in order. columns: numbers a row; those before `first` are no things'. softmax: over a row.

    Numbers outside 0..1 are logits: a quantised output's range tells it, a float one's first run.
    """

    def __init__(self, shapes: Sequence[Shape], *, columns: int, first: int, softmax: bool, least: float) -> None:
        self._shapes, self._columns, self._first, self._softmax = shapes, columns, first, softmax
        self._least = least
        told = holds_probabilities(shapes[0])
        self._logits = False if softmax else None if told is None else not told
        self._numbers: dict[bool, list[int | np.float32]] = {}

    def find(
        self, outputs: "Sequence[NDArray[Any]]"
    ) -> "tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]":
        """(k,) rows over all outputs, the best first; (k,) things, counted from `first`; (k,) scores."""
        import numpy as np

        parts = [array.reshape(-1, self._columns) for array in outputs]
        shapes = self._shapes
        if self._softmax:
            parts = [_softmax(real(part, shape)) for part, shape in zip(parts, shapes, strict=True)]
        logits = self._are_logits(parts)
        found, things, bests, start = [], [], [], 0
        for part, shape, least in zip(parts, shapes, self._least_numbers(logits), strict=True):
            rows = self._reached(part, least)
            scores = part[rows, self._first :]
            found.append(rows + start)
            things.append(scores.argmax(axis=1))
            best = scores.max(axis=1)
            bests.append(best if self._softmax else real(best, shape))
            start += len(part)
        best = np.concatenate(bests).astype(np.float32)
        order = strongest(best, -math.inf)
        best = best[order]
        return np.concatenate(found)[order], np.concatenate(things)[order], probability(best) if logits else best

    def _are_logits(self, parts: "list[NDArray[Any]]") -> bool:
        if self._logits is not None:
            return self._logits
        least, most = min(part.min() for part in parts), max(part.max() for part in parts)
        outside = bool(least < -_ROUNDING or most > 1 + _ROUNDING)
        if math.isfinite(least) and math.isfinite(most):
            self._logits = outside
        return outside

    def _least_numbers(self, logits: bool) -> "list[int | np.float32]":
        """The threshold in the numbers of each output."""
        import numpy as np

        if logits not in self._numbers:
            least = logit(self._least) if logits else self._least
            self._numbers[logits] = [
                np.float32(least) if self._softmax else least_number(least, shape) for shape in self._shapes
            ]
        return self._numbers[logits]

    def _reached(self, part: "NDArray[Any]", least: "int | np.float32") -> "NDArray[np.intp]":
        """The rows in which a thing's number is at least `least`."""
        import numpy as np

        if part.dtype.kind in "iu" and least > np.iinfo(part.dtype).max:
            return np.zeros(0, np.intp)
        hits = np.flatnonzero(
            part >= part.dtype.type(least)
        )  # of the whole: a slice of each row takes four times as long
        hits = hits[hits % self._columns >= self._first] // self._columns
        rows: NDArray[np.intp] = hits[np.flatnonzero(np.diff(hits, prepend=-1))] if hits.size else hits
        return rows


def _softmax(values: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    powers = np.exp(np.clip(values, -_MOST_EXPONENT, _MOST_EXPONENT))
    shares: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return shares

"""What the picture looks like when nothing moves: a running average by time, the noise around it, and which pixels always move.

Changed is a pixel that differs from the average by more than the picture's own noise explains, beyond what all pixels have in common (the camera's
exposure). Where most of the picture changed at once (a light switch, night vision), the average starts anew, and nothing counts as changed.
"""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Grey levels that count as changed: at least 12, and 5 times the picture's own noise.
_FLOOR, _NOISE_TIMES = 12.0, 5.0
# The noise is measured over so many seconds. Standard deviation of noise whose mean absolute value is 1.
_NOISE_S, _SIGMA = 4.0, 1.2533
_ALL_CHANGED = 0.6
# What all pixels have in common is followed this fast: a cloud is no switch.
_OFFSET_S = 0.25
# After a switch the camera sets its exposure: for so long the average follows at once, and nothing counts.
_SETTLE_S, _SETTLE_FOLLOW_S = 1.0, 0.25
# Where objects are followed the average takes up what it sees over so many seconds.
_SLOW_S = 600.0
# Of one frame no more than this is taken up, however long ago the one before was: else what stood there for one frame would be seen to leave.
_MOST_SHARE = 0.15
# Share of the time in which a pixel changed from which on it is left out, and below which it counts again; looked at so often.
_LEARNT, _UNLEARNT, _LEARN_US = 0.35, 0.15, 200_000
# With more of the picture left out than this there would be nothing to watch: then nothing is left out.
_MOST_LEARNT = 0.5

Rectangle = tuple[int, int, int, int]


class Background:
    """follow_s: after this time the average has taken up 63 % of what changed. learn_s: likewise, how often pixels change; 0: nothing is learnt.

    Sizes are those of the small copy. watched: (height, width) uint8, 0 where the config's masks are.
    """

    def __init__(
        self, first: "NDArray[np.uint8]", at_us: int, watched: "NDArray[np.uint8]", *, follow_s: float, learn_s: float
    ) -> None:
        import numpy as np

        self._follow_s, self._learn_s = follow_s, learn_s
        self._watched = watched
        self._watched_pixels = max(1, int(np.count_nonzero(watched)))
        self._average = first.astype(np.float32)
        self._noise = 2.0
        self._seen_us = self._learnt_us = at_us
        self._settled_us = at_us
        self._busy: NDArray[np.float32] = np.zeros(first.shape, np.float32)
        self._learnt: NDArray[np.uint8] = np.zeros(first.shape, np.uint8)
        self._looked_at = watched

    @property
    def shape(self) -> tuple[int, ...]:
        return self._average.shape

    def compare(self, small: "NDArray[np.uint8]", at_us: int, slow: "list[Rectangle]") -> "NDArray[np.uint8] | None":
        """(height, width) uint8, 255 where it changed; None when it settles after a switch. Takes the frame into the average.

        slow: rectangles x0, y0, x1, y1 where objects are followed.
        """
        import cv2
        import numpy as np

        passed_s = max(0.0, (at_us - self._seen_us) / 1e6)
        self._seen_us = at_us
        plain = cv2.convertScaleAbs(self._average)
        limit = max(_FLOOR, _NOISE_TIMES * self._noise)
        if self._share(_beyond(cv2.absdiff(small, plain), limit)) > _ALL_CHANGED:
            self._average = small.astype("float32")
            self._settled_us = at_us + round(_SETTLE_S * 1e6)
            return None
        offset = self._offset(small)
        difference: Any = cv2.absdiff(small, cv2.convertScaleAbs(self._average, alpha=1.0, beta=offset))
        changed = _beyond(difference, limit)
        if at_us < self._settled_us:
            self._follow(small, passed_s, _SETTLE_FOLLOW_S, [], most=1.0)
            return None
        if abs(offset) >= 1:
            self._average += np.float32(offset * _share_of(passed_s, _OFFSET_S))
        self._measure_noise(difference, changed, passed_s)
        self._learn(changed, at_us, slow)
        self._follow(small, passed_s, self._follow_s, slow)
        return cv2.bitwise_and(changed, self._looked_at)  # type: ignore[return-value]

    def _share(self, changed: Any) -> float:
        import cv2

        return cv2.countNonZero(cv2.bitwise_and(changed, self._watched)) / self._watched_pixels

    def _offset(self, small: "NDArray[np.uint8]") -> float:
        """What most pixels are brighter by: the middle of every 64th, so that a large object does not pull it along."""
        import numpy as np

        signed = (small[3::8, 3::8] - self._average[3::8, 3::8]).ravel()
        if not len(signed):
            return 0.0
        middle = len(signed) // 2
        return float(np.partition(signed, middle)[middle])

    def _measure_noise(self, difference: Any, changed: Any, passed_s: float) -> None:
        """Of what did not change, so that what moves is not taken for it."""
        import cv2

        still: Any = cv2.bitwise_and(difference, cv2.bitwise_not(changed))
        count = still.size - cv2.countNonZero(changed)
        mean = cv2.mean(still)[0] * still.size / max(1, count)
        self._noise += _share_of(passed_s, _NOISE_S) * (mean * _SIGMA - self._noise)

    def _follow(
        self, small: Any, passed_s: float, follow_s: float, slow: "list[Rectangle]", most: float = _MOST_SHARE
    ) -> None:
        import cv2

        kept = [(box, self._average[box[1] : box[3], box[0] : box[2]].copy()) for box in slow]
        cv2.accumulateWeighted(small, self._average, min(most, _share_of(passed_s, follow_s)))
        for (x0, y0, x1, y1), before in kept:
            cv2.accumulateWeighted(small[y0:y1, x0:x1], before, _share_of(passed_s, _SLOW_S))
            self._average[y0:y1, x0:x1] = before

    def _learn(self, changed: Any, at_us: int, slow: "list[Rectangle]") -> None:
        """A flag, a tree, a clock in the picture: what changes most of the time is left out, until it has been still for a while.

        What a model sees there is no flag.
        """
        import cv2
        import numpy as np

        if not self._learn_s or at_us - self._learnt_us < _LEARN_US:
            return
        share = _share_of((at_us - self._learnt_us) / 1e6, self._learn_s)
        self._learnt_us = at_us
        seen = changed
        if slow:
            seen = changed.copy()
            for x0, y0, x1, y1 in slow:
                seen[y0:y1, x0:x1] = 0
        cv2.accumulateWeighted(seen, self._busy, share)
        again: Any = cv2.bitwise_and(cv2.compare(self._busy, _UNLEARNT * 255, cv2.CMP_GT), self._learnt)  # type: ignore[call-overload]  # a number is taken too
        learnt: Any = cv2.bitwise_or(cv2.compare(self._busy, _LEARNT * 255, cv2.CMP_GT), again)  # type: ignore[call-overload]  # a number is taken too
        if not cv2.countNonZero(cv2.bitwise_xor(learnt, self._learnt)):
            return
        self._learnt = learnt
        around: Any = cv2.dilate(learnt, np.ones((5, 5), np.uint8))  # its edge changes too, only less often
        left: Any = cv2.bitwise_and(self._watched, cv2.bitwise_not(around))
        self._looked_at = left if cv2.countNonZero(left) >= (1 - _MOST_LEARNT) * self._watched_pixels else self._watched


def _beyond(difference: Any, limit: float) -> Any:
    import cv2

    return cv2.threshold(difference, math.floor(limit), 255, cv2.THRESH_BINARY)[1]


def _share_of(passed_s: float, of_s: float) -> float:
    """How much of an exponential average the newest value is, after so long."""
    return 1.0 - math.exp(-passed_s / of_s)

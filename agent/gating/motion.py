"""Lets a frame pass when something moved, at most `rate_hz`, and at least one every `every_s`.

A small grey copy is compared with a running average of those before it: difference beyond what all pixels have in
common, threshold from the picture's own noise. The
average follows by time, not by frame, so that a camera's rate changes nothing. Where most of the picture changed at once (a light switch,
night vision), the average starts anew from there, and that frame passes.
"""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from agent.gating import Gate
from agent.records import Frame, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WIDTH = 160
# After this time the average has taken up 63 % of what changed: what came to rest no longer counts as motion after a few seconds.
_FOLLOW_S = 1.0
# Grey levels that count as changed: at least 12, and 4 times the picture's own noise.
_FLOOR, _NOISE_TIMES = 12.0, 4.0
# The noise is measured slowly, so that what moves is not taken for it.
_NOISE_SHARE = 0.05
_SIGMA = 1.25  # standard deviation of noise whose mean absolute value is 1
_ALL_CHANGED = 0.6


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate_hz: Annotated[float, Meta(gt=0, le=120, description="At most this many frames a second pass.")] = 5.0
    every_s: Annotated[
        float, Meta(gt=0, description="At least one frame in this time passes, also when nothing moves.")
    ] = 60.0
    sensitivity: Annotated[float, Meta(gt=0, le=1, description="Share of the picture that must have changed.")] = 0.0005


def open_gate(config: Config) -> Gate:
    return Motion(config)


class Motion:
    """A pure function of the frames' pixels and `at_us`. Windows of samples always pass."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._between_us = round(1e6 / config.rate_hz)
        self._every_us = round(config.every_s * 1e6)
        self._passed_us: int | None = None
        self._seen_us = 0
        self._average: NDArray[np.float32] | None = None
        self._noise = 2.0
        self._moved = False  # since the last frame that passed

    def take(self, record: Frame | SampleWindow) -> bool:
        if isinstance(record, SampleWindow):
            return True
        self._moved |= self._compare(record)
        # Half a frame's tolerance, or 5 Hz of 10 Hz would become 3.3 when a frame comes a little early.
        since_us = None if self._passed_us is None else record.at_us - self._passed_us
        due = since_us is None or since_us < 0 or since_us >= self._every_us
        if not due and not (self._moved and since_us is not None and since_us >= self._between_us * 0.9):
            return False
        self._passed_us = record.at_us
        self._moved = False
        return True

    def _compare(self, frame: Frame) -> bool:
        """Whether something moved; takes the frame into the average."""
        import cv2

        small = _small_grey(frame.pixels)
        passed_s = max(0.0, (frame.at_us - self._seen_us) / 1e6)
        self._seen_us = frame.at_us
        if self._average is None or self._average.shape != small.shape:
            self._average = small
            return True
        signed = cv2.subtract(small, self._average)
        # What all pixels have in common is the camera's exposure, not motion.
        difference = cv2.absdiff(signed, cv2.mean(signed)[0])  # type: ignore[call-overload]  # a number is taken too
        limit = max(_FLOOR, _NOISE_TIMES * self._noise)
        still = cv2.inRange(difference, 0.0, limit)
        changed = small.size - cv2.countNonZero(still)
        if changed > _ALL_CHANGED * small.size:
            self._average = small
            return True
        self._noise += _NOISE_SHARE * (cv2.mean(difference, still)[0] * _SIGMA - self._noise)
        cv2.accumulateWeighted(small, self._average, min(1.0, passed_s / _FOLLOW_S))
        return bool(changed >= max(1.0, self._config.sensitivity * small.size))


def _small_grey(pixels: "NDArray[np.uint8]") -> Any:
    """At most 160 wide, grey, float32, its finest noise smoothed away."""
    import cv2

    height, width = pixels.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return cv2.blur(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), (3, 3)).astype("float32")

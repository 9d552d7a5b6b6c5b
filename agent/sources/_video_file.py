"""A video file, at its own pace or as fast as it is taken."""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.clock import Clock
from agent.log import fact
from agent.problems import Problem
from agent.records import Frame
from agent.sources import Ended
from agent.sources._capture import Capture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DEFAULT_RATE_HZ = 25.0
# A file that is decoded more slowly than it plays is not chased: its clock is set anew.
_LATE_US = 1_000_000

_log = logging.getLogger(__name__)


class VideoFile:
    """Source of a file. Stream time starts at 0 with the first frame and goes on over a loop's seams.

    live: a frame is given when its time has come, at_us is that moment. Not live: at once, at_us = opening + stream time.
    """

    def __init__(
        self,
        open_file: Callable[[], Capture],
        name: str,
        *,
        loop: bool,
        live: bool,
        clock: Clock,
        stop: threading.Event,
        where: str,
    ) -> None:
        self._open_file, self._name, self._where = open_file, name, where
        self._loop, self._live = loop, live
        self._clock, self._stop = clock, stop
        self._start_us = clock.boot_us()
        self._next: tuple[int, NDArray[np.uint8]] | None = None
        self._base_us = 0  # stream time at the file's beginning
        self._newest_us = -1  # stream time of the frame before
        self._begin()

    def read(self, timeout_s: float) -> Frame | None:
        if self._next is None:
            self._next = self._decode()
        stream_us, pixels = self._next
        at_us = self._start_us + stream_us
        if self._live:
            early_us = at_us - self._clock.boot_us()
            if early_us > 0:
                self._clock.wait(self._stop, min(timeout_s, early_us / 1e6))
                if self._clock.boot_us() < at_us:
                    return None
            at_us = self._clock.boot_us()
            if at_us - (self._start_us + stream_us) > _LATE_US:
                self._start_us = at_us - stream_us
        self._next = None
        return Frame(at_us=at_us, bgr=pixels)

    def close(self) -> None:
        self._capture.release()

    def _begin(self) -> None:
        import cv2

        self._capture = self._open_file()
        rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self._period_us = round(1e6 / (rate_hz if 0.1 <= rate_hz <= 1000 else _DEFAULT_RATE_HZ))
        self._frames = 0
        self._first_us = 0  # position of its first frame
        self._promised = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))

    def _decode(self) -> "tuple[int, NDArray[np.uint8]]":
        """(stream time, pixels) of the next frame; at the file's end Ended, or its beginning again."""
        import cv2

        read, pixels = self._capture.read()
        if not read:
            self._end()
            read, pixels = self._capture.read()
            if not read:
                raise Problem(where=self._where, what=f"{self._name} holds no frame", remedy="Give another video file")
        position_us = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
        if self._frames == 0:
            self._first_us = position_us
        stamp_us = self._base_us + position_us - self._first_us
        # Files without usable timestamps repeat one: then the rate gives the time.
        self._newest_us = stamp_us if stamp_us > self._newest_us else self._newest_us + self._period_us
        self._frames += 1
        return self._newest_us, pixels

    def _end(self) -> None:
        self._capture.release()
        if self._frames == 0:
            raise Problem(where=self._where, what=f"{self._name} holds no frame", remedy="Give another video file")
        if self._frames < self._promised * 0.98:
            _log.warning(
                fact(
                    "the file ends early: is it cut off?", file=self._name, frames=self._frames, promised=self._promised
                )
            )
        if not self._loop:
            raise Ended
        self._base_us = self._newest_us + self._period_us
        self._begin()

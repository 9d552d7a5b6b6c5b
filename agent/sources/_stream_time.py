"""When a picture of a network stream was there: the host's boot time, smoothed by the stream's own time stamps.

A picture arrives late, never early. So the least of (arrival - stamp) is the offset between the two clocks, and a picture's time is its stamp plus that
offset: pictures that come in a burst keep the distances at which the camera took them, and what was held up on the way has its own, older time.
Cameras' clocks run apart from ours: the offset may grow by 0.05 % of the time that passes.
"""

_DRIFT = 5e-4
# Further behind than this, the stamps have begun anew or run at another speed: the offset is taken anew.
_LOST_US = 10_000_000


class StreamTime:
    """Of one opening: stamps begin anew at each. All in microseconds."""

    def __init__(self) -> None:
        self._offset_us: float | None = None
        self._arrived_us = 0
        self._newest_us = -1

    def arrived(self, stamp_us: float | None, at_us: int) -> None:
        """A packet with this stamp came at this boot time."""
        if stamp_us is None:
            return
        offset_us = at_us - stamp_us
        if self._offset_us is None or offset_us - self._offset_us > _LOST_US:
            self._offset_us = offset_us
        else:
            self._offset_us = min(offset_us, self._offset_us + _DRIFT * (at_us - self._arrived_us))
        self._arrived_us = at_us

    def of(self, stamp_us: float | None, now_us: int) -> int:
        """The boot time of a picture: never later than now, never earlier than the one before it."""
        if stamp_us is None or self._offset_us is None:
            at_us = now_us
        else:
            at_us = min(now_us, round(stamp_us + self._offset_us))
        self._newest_us = max(self._newest_us, at_us)
        return self._newest_us

"""When in a grain a device sends its summaries: at a fixed moment after the window's end that follows from its name, so that a fleet whose
windows all end in the same second does not send in it.
"""

import hashlib

import msgspec

from agent.messages import times
from agent.sync import kinds

SPREAD = 0.2
# Hours and days are spread over five minutes: more is only waiting.
MOST_S = 300.0


class _Window(msgspec.Struct):
    w: tuple[str, int] | None = None


class Offset:
    """spread: the share of a grain over which devices spread; 0: none waits."""

    def __init__(self, device: str, spread: float) -> None:
        self._spread = spread
        self._share = int.from_bytes(hashlib.sha256(device.encode()).digest()[:4]) / (1 << 32)

    def seconds(self, grain_s: int) -> float:
        return self._share * min(self._spread * grain_s, MOST_S)

    def wait_us(self, body: bytes, stream: str, utc_us: int | None) -> int:
        """How much longer a live item waits; 0 for what is no summary, or when it was due."""
        grain_s = kinds.summary_grain_s(stream)
        if not self._spread or grain_s is None or utc_us is None:
            return 0
        try:
            window = msgspec.json.decode(body, type=_Window).w
            if window is None:
                return 0
            end_us = times.parse(window[0]) + window[1] * 1_000_000
        except (msgspec.DecodeError, ValueError):
            return 0
        if end_us > utc_us:
            return 0  # the clock was set back: it would be waited for again and again, and all that is behind it in its stream with it
        return max(0, end_us + round(self.seconds(grain_s) * 1e6) - utc_us)

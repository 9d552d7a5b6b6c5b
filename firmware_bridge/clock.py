"""From the device's ticks to the host's time.

The host asks once a second; the device answers with the tick at which it had the question. A question is only ever late, never early, so
the ticks of the least delayed questions lie on the line that joins both clocks, half the shortest round trip behind the time of sending:
after Klipper's clocksync (regression on the time of sending) with its mean replaced by the least delayed 30 % of the last 30 s. A longer
window is worse: a crystal follows the temperature. What no method can see is a difference between the shortest ways there and back;
half the shortest round trip is the bound for it.
"""

from collections import deque

_WINDOW_NS = 30_000_000_000
_LEAST = 5  # answers before the line is used
_KEPT = 0.3
_TOLERANCE_NS = 200_000
# The shortest round trip grows old, so that one lucky answer does not rule for ever: 10 µs an hour.
_AGING = 10_000 / 3_600e9


class ClockFit:
    """One device session. Times in ns, ticks of 64 bits at `tick_hz`."""

    def __init__(self, tick_hz: int) -> None:
        self._nominal_ns = 1e9 / tick_hz
        self._answers: deque[tuple[int, int]] = deque()
        self._shortest_ns = 0.0
        self._shortest_at_ns = 0
        # The line: host time = origin_ns + (tick - origin_tick) x tick_ns
        self._origin_ns = 0.0
        self._origin_tick = 0
        self.tick_ns = self._nominal_ns
        self._spread_ns = 0.0
        self.answers = 0

    @property
    def synchronised(self) -> bool:
        return self.answers >= _LEAST

    @property
    def error_ns(self) -> int:
        """The spread of the answers round the line plus half the shortest round trip."""
        return round(2 * self._spread_ns + self._shortest_ns / 2)

    def add(self, sent_ns: int, answered_ns: int, tick: int) -> None:
        """An answer: when its question was sent, when it came, the tick in it."""
        round_trip = float(answered_ns - sent_ns)
        aged = self._shortest_ns + (sent_ns - self._shortest_at_ns) * _AGING
        if self.answers == 0 or round_trip <= aged:
            self._shortest_ns, self._shortest_at_ns = round_trip, sent_ns
        else:
            self._shortest_ns, self._shortest_at_ns = aged, sent_ns
        self.answers += 1
        self._answers.append((sent_ns, tick))
        while self._answers[0][0] < sent_ns - _WINDOW_NS:
            self._answers.popleft()
        self._fit()
        # The device had the question after it was sent and before it was answered. A line that says otherwise follows a past in which
        # the device's clock ran at another rate.
        tolerance_ns = _TOLERANCE_NS + self._shortest_ns / 2
        while (
            len(self._answers) > _LEAST
            and not sent_ns - tolerance_ns <= self.host_ns(tick) <= answered_ns + tolerance_ns
        ):
            self._answers.popleft()
            self._fit()

    def host_ns(self, tick: int) -> int:
        """When the device's clock showed `tick`, in the host's time."""
        return round(self._origin_ns + (tick - self._origin_tick) * self.tick_ns)

    def _fit(self) -> None:
        # Everything relative to the newest answer: the numbers stay small enough for floats.
        newest_ns, newest_tick = self._answers[-1]
        points = [(float(tick - newest_tick), float(sent - newest_ns)) for sent, tick in self._answers]
        # The line so far says which were delayed least: a new line through all of them would follow the outliers.
        slope = self.tick_ns
        for _ in range(1):
            # sent - slope x tick is greatest for the question that was delayed least.
            least_delayed = sorted(points, key=lambda point: point[1] - slope * point[0], reverse=True)
            kept = least_delayed[: max(min(_LEAST, len(points)), round(len(points) * _KEPT))]
            slope = _slope(kept, self._nominal_ns)
        offsets = [sent - slope * tick for tick, sent in kept]
        offset = sum(offsets) / len(offsets)
        self._spread_ns = (sum((value - offset) ** 2 for value in offsets) / len(offsets)) ** 0.5
        self._origin_tick = newest_tick
        self._origin_ns = newest_ns + offset + self._shortest_ns / 2
        self.tick_ns = slope


def _slope(points: list[tuple[float, float]], nominal: float) -> float:
    """Least squares of host ns a tick; the nominal one when the points cannot tell."""
    count = len(points)
    mean_tick = sum(tick for tick, _ in points) / count
    mean_ns = sum(ns for _, ns in points) / count
    spread = sum((tick - mean_tick) ** 2 for tick, _ in points)
    if spread == 0:
        return nominal
    return sum((tick - mean_tick) * (ns - mean_ns) for tick, ns in points) / spread


class Unwrap:
    """Makes 64-bit ticks of the 32 bits in a frame's header: the one nearest to the newest known tick."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def known(self, tick: int) -> None:
        """A tick with all its bits."""
        self._newest = tick

    def full(self, low: int) -> int:
        if self._newest is None:
            self._newest = low
        step = (low - self._newest) & 0xFFFFFFFF
        self._newest += step - (1 << 32) if step >= 1 << 31 else step
        return self._newest

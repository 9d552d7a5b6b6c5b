"""Which detection is which object: tracks over time, by overlap with where each is expected.

Two stages, as in ByteTrack (Zhang et al., 2022, arXiv 2110.06864): sure detections are matched with all tracks first, unsure ones with those that are
left and were seen a moment ago; only sure ones begin tracks. Where a track is expected says a Kalman filter of constant velocity over centre and size
(as in SORT, Bewley et al., 2016, arXiv 1602.00763), in real seconds: inputs come when the gate lets them through. What is remembered and forgotten is
in seconds, too. Matching is greedy, the best overlap first: on crowds of pedestrians no worse than the optimal assignment, and it needs no SciPy.
"""

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from agent.events import _overlap
from agent.events.counting import Born
from agent.events.settings import Tracker as Config

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from agent.records import Detections

# The filter's noises, as shares of an object's height: of a detection's place, of its acceleration (per s^1.5), of the velocity of what is new (per s).
_PLACE, _ACCELERATION, _VELOCITY = 0.06, 0.35, 0.6
# Without a detection an object is expected to slow down: of its velocity so much is left after a second.
_GLIDE = 0.8
# Least intersection over union of a sure detection with its track, and of an unsure one.
_OVERLAP, _OVERLAP_UNSURE = 0.1, 0.5
# Beyond this a lane that began in the same second would give a number twice.
_NUMBERS_A_SECOND = 1_000


_COLUMNS = ("kinds", "numbers", "born_us", "seen_us", "first", "place", "rate", "noise")


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """A tracker as it is written down. columns: by name, a row for each object. labels: by kind."""

    at_us: int
    next: int
    labels: list[str]
    columns: dict[str, list[Any]]


class Numbers:
    """Of a lane's objects, whichever model sees them. They grow, and say roughly when the lane's first input came: none is given twice in a boot."""

    def __init__(self) -> None:
        self.next = 0

    def begin(self, at_us: int) -> None:
        if not self.next:
            self.next = at_us // 1_000_000 * _NUMBERS_A_SECOND + 1

    def take(self, count: int) -> "NDArray[np.int64]":
        self.next += count
        return self.next - count + np.arange(count)


class Tracker:
    """Of one model of one lane. numbers: shared by the lane's trackers. born: of the objects that got their number at the newest input, the row in
    its detections, when and where (x0, y0, x1, y1) they were first seen.
    """

    def __init__(self, config: Config, numbers: Numbers | None = None) -> None:
        self._config = config
        self._given = numbers or Numbers()
        self.born: list[Born] = []
        self._at_us: int | None = None
        self._labels: dict[str, int] = {}
        self._kinds = np.empty(0, np.int64)
        self._numbers = np.empty(0, np.int64)  # 0: not confirmed
        self._born_us = np.empty(0, np.int64)
        self._seen_us = np.empty(0, np.int64)
        self._first = np.empty((0, 4))  # x0, y0, x1, y1 when it was first seen
        self._place = np.empty((0, 4))  # centre x, y, width, height
        self._rate = np.empty((0, 4))  # per second
        self._noise = np.empty((0, 3))  # variance of place, covariance, variance of rate, in heights

    def take(self, at_us: int, found: "Detections") -> "NDArray[np.int64]":
        """(n,) the number of each detection's track, 0 while it has none. Only detections with one label are one object."""
        assert found.boxes is not None
        kinds = np.array([self._labels.setdefault(label, len(self._labels)) for label in found.labels], np.int64)
        return self.update(at_us, found.boxes, found.scores, kinds)

    def live(self, at_us: int) -> "NDArray[np.float32]":
        """(n, 4) boxes of the objects with a number, where they were seen or expected last; of those not seen for `lost_s` none."""
        known = (self._numbers > 0) & (at_us - self._seen_us <= self._config.lost_s * 1e6)
        return _overlap.cornered(self._place[known]).astype(np.float32)

    def update(
        self, at_us: int, boxes: "NDArray[np.float32]", scores: "NDArray[np.float32]", kinds: "NDArray[np.int64]"
    ) -> "NDArray[np.int64]":
        """boxes: (n, 4) x0, y0, x1, y1, in any unit that is the same along both axes or in shares of the picture. kinds: n; only equal ones match."""
        config = self._config
        begins = self._at_us is None
        self._given.begin(at_us)
        self._drop((self._numbers == 0) | (at_us - self._seen_us <= self._config.lost_s * 1e6))
        elapsed_s = 0.0 if self._at_us is None else (at_us - self._at_us) / 1e6
        self._predict(at_us, elapsed_s)
        self._at_us = at_us
        measured, sure = _overlap.centred(boxes), scores >= config.sure
        self._steady(boxes, measured, np.flatnonzero(sure), kinds)
        overlaps, tracks = self._overlaps(boxes, kinds), np.arange(len(self._kinds))
        track_of = np.full(len(boxes), -1)
        _overlap.match(overlaps, np.flatnonzero(sure), tracks, _OVERLAP, track_of)
        left = np.setdiff1d(tracks, track_of)
        recent = left[at_us - self._seen_us[left] <= elapsed_s * 1e6 + 1]
        _overlap.match(overlaps, np.flatnonzero(~sure & (scores >= config.unsure)), recent, _OVERLAP_UNSURE, track_of)
        matched = np.flatnonzero(track_of >= 0)
        self._correct(track_of[matched], measured[matched], at_us)
        fresh = np.flatnonzero((track_of < 0) & sure)
        track_of[fresh] = len(self._kinds) + np.arange(len(fresh))
        self._begin(measured[fresh], kinds[fresh], at_us)
        self._confirm(at_us, at_once=begins)
        numbers = np.where(track_of >= 0, np.append(self._numbers, 0)[track_of], 0)
        self._forget(at_us)
        return numbers

    def _overlaps(self, boxes: "NDArray[np.float32]", kinds: "NDArray[np.int64]") -> "NDArray[np.float64]":
        found = _overlap.overlaps(boxes, _overlap.cornered(self._place))
        return np.where(kinds[:, None] == self._kinds, found, 0.0)

    def _predict(self, at_us: int, elapsed_s: float) -> None:
        noise, power = self._noise, _ACCELERATION**2
        self._place = self._place + self._rate * elapsed_s
        self._place[:, 2:] = np.maximum(self._place[:, 2:], 1e-6)
        noise[:, 0] += 2 * elapsed_s * noise[:, 1] + elapsed_s**2 * noise[:, 2] + power * elapsed_s**3 / 3
        noise[:, 1] += elapsed_s * noise[:, 2] + power * elapsed_s**2 / 2
        noise[:, 2] += power * elapsed_s
        unseen = self._seen_us < at_us - elapsed_s * 1e6 - 1
        self._rate[unseen] *= _GLIDE**elapsed_s

    def _steady(
        self,
        boxes: "NDArray[np.float32]",
        measured: "NDArray[np.float64]",
        sure: "NDArray[np.int64]",
        kinds: "NDArray[np.int64]",
    ) -> None:
        """A camera that shakes moves all at once: what most are off by is added to where all are expected."""
        seen = np.flatnonzero(self._seen_us >= self._seen_us.max(initial=0))
        track_of = np.full(len(boxes), -1)
        _overlap.match(self._overlaps(boxes, kinds), sure, seen, _OVERLAP, track_of)
        pairs = np.flatnonzero(track_of >= 0)
        if len(pairs) < 4:
            return
        off = measured[pairs, :2] - self._place[track_of[pairs], :2]
        middle = np.median(off, axis=0)
        spread = np.median(np.abs(off - middle), axis=0)
        self._place[:, :2] += np.where(np.abs(middle) > 2 * spread, middle, 0.0)

    def _correct(self, tracks: "NDArray[np.int64]", measured: "NDArray[np.float64]", at_us: int) -> None:
        noise = self._noise[tracks]
        total = noise[:, 0] + _PLACE**2
        place, rate = noise[:, 0] / total, noise[:, 1] / total
        innovation = measured - self._place[tracks]
        self._place[tracks] += place[:, None] * innovation
        self._rate[tracks] += rate[:, None] * innovation
        left = [(1 - place) * noise[:, 0], (1 - place) * noise[:, 1], noise[:, 2] - rate * noise[:, 1]]
        self._noise[tracks] = np.stack(left, axis=1)
        self._seen_us[tracks] = at_us

    def _begin(self, measured: "NDArray[np.float64]", kinds: "NDArray[np.int64]", at_us: int) -> None:
        count = len(measured)
        self._kinds = np.concatenate([self._kinds, kinds])
        self._numbers = np.concatenate([self._numbers, np.zeros(count, np.int64)])
        self._born_us = np.concatenate([self._born_us, np.full(count, at_us)])
        self._seen_us = np.concatenate([self._seen_us, np.full(count, at_us)])
        self._first = np.concatenate([self._first, _overlap.cornered(measured)])
        self._place = np.concatenate([self._place, measured])
        self._rate = np.concatenate([self._rate, np.zeros((count, 4))])
        self._noise = np.concatenate([self._noise, np.tile([_PLACE**2, 0.0, _VELOCITY**2], (count, 1))])

    def _confirm(self, at_us: int, *, at_once: bool) -> None:
        """At the very first input at once: what is there then was there before."""
        age_us = at_us - self._born_us
        old = (age_us > 0) & (age_us >= self._config.confirm_s * 1e6)
        new = (self._numbers == 0) & (self._seen_us == at_us) & (old | at_once)
        self._numbers[new] = self._given.take(int(new.sum()))
        self.born = [
            Born(number=number, at_us=born_us, box=tuple(first))
            for number, born_us, first in zip(
                self._numbers[new].tolist(), self._born_us[new].tolist(), self._first[new].tolist(), strict=True
            )
        ]

    def _forget(self, at_us: int) -> None:
        """What has no number yet must be seen at every input."""
        unseen_us = at_us - self._seen_us
        self._drop(np.where(self._numbers > 0, unseen_us <= self._config.lost_s * 1e6, unseen_us == 0))

    def _drop(self, keep: "NDArray[np.bool_]") -> None:
        if keep.all():
            return
        for name in _COLUMNS:
            setattr(self, f"_{name}", getattr(self, f"_{name}")[keep])

    def save(self) -> Saved | None:
        """All that has a number, to be written down; None: there is nothing."""
        keep = self._numbers > 0
        if not keep.any():
            return None
        columns = {name: getattr(self, f"_{name}")[keep].tolist() for name in _COLUMNS}
        return Saved(at_us=self._at_us or 0, next=self._given.next, labels=list(self._labels), columns=columns)

    def resume(self, saved: Saved) -> None:
        """In the same boot, before the first input: goes on from there."""
        self._at_us = saved.at_us
        self._given.next = max(self._given.next, saved.next)
        self._labels = {label: kind for kind, label in enumerate(saved.labels)}
        for name in _COLUMNS:
            empty = getattr(self, f"_{name}")
            column = np.array(saved.columns[name], empty.dtype).reshape(-1, *empty.shape[1:])
            setattr(self, f"_{name}", column)

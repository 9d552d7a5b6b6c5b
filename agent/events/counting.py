"""Who is where: tracked objects over lines and in zones, as rows that are each counted once.

An object is born when it gets its number, and counts from where it was first seen. When it is lost for `lost_s`, it has left its zones when it was
seen last. A number that begins where another was a moment ago is the same object to the counts. `state()` is all of it; `resume` goes on from
there after a restart, and who cannot go on ends as interrupted.
"""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import msgspec

from agent.events import places
from agent.events._geometry import Box, anchor_of
from agent.events.settings import Line, Zone
from agent.records import Crossing

if TYPE_CHECKING:
    from agent.records import Inference

# A new number within so many boxes of where a lost object is expected, so long after it was seen last, is that object.
_NEAR, _SOON_US = 0.5, 1_000_000
_EVERY_US = 250_000  # how far back an object's pace is measured


class _Object(msgspec.Struct, kw_only=True):
    number: int
    model: str
    label: str
    box: Box
    born_us: int
    seen_us: int
    earlier: tuple[int, Box]  # when and where it was a moment before
    sides: dict[str, places.Side] = {}
    stays: dict[str, places.Stay] = {}


class Saved(msgspec.Struct, kw_only=True):
    """All objects, as they are written down with a tick."""

    objects: list[_Object]


class Born(msgspec.Struct, frozen=True, kw_only=True):
    """An object that has got its number now. at_us, box: when and where it was first seen."""

    number: int
    at_us: int
    box: Box


class Counting:
    """Of one lane. lost_s: as its trackers'."""

    def __init__(self, zones: Mapping[str, Zone], lines: Mapping[str, Line], lost_s: float) -> None:
        self._zones = dict(zones)
        self._lines = dict(lines)
        self._lost_us = round(lost_s * 1e6)
        self._objects: dict[int, _Object] = {}
        self._replaced: dict[int, int] = {}  # number that ended → when it was seen last, before another went on for it

    def take(self, inference: "Inference", born: Mapping[int, Born] = {}) -> list[Crossing]:
        """What has happened at this input. Detections without a number count nothing."""
        found = inference.detections
        rows = list(self.expire(inference.at_us))
        if found is None or found.tracks is None or found.boxes is None:
            return rows
        numbers = found.tracks.tolist()
        here = {number for number in numbers if number}
        for number, label, sides in zip(numbers, found.labels, found.boxes.tolist(), strict=True):
            if number:
                rows += self._see(inference, number, label, tuple(sides), born.get(number), here)
        return rows

    def expire(self, at_us: int) -> Iterator[Crossing]:
        """Who has been out of sight too long has left where it was seen last."""
        for one in [one for one in self._objects.values() if at_us - one.seen_us > self._lost_us]:
            del self._objects[one.number]
            for zone, stay in one.stays.items():
                if stay.since_us is not None:
                    yield _row(one, "left", one.seen_us, zone, one.seen_us - stay.since_us)
        self._replaced = {
            number: seen_us for number, seen_us in self._replaced.items() if at_us - seen_us <= self._lost_us
        }

    def occupied(self) -> dict[str, dict[str, int]]:
        """Zone → label → how many are in it."""
        found: dict[str, dict[str, int]] = {}
        for one in self._objects.values():
            for zone, stay in one.stays.items():
                if stay.since_us is not None:
                    labels = found.setdefault(zone, {})
                    labels[one.label] = labels.get(one.label, 0) + 1
        return {zone: dict(sorted(labels.items())) for zone, labels in sorted(found.items())}

    def since_us(self, number: int, zone: str | None) -> int | None:
        """Since when an object is in a zone (None: is there at all); None: it is not."""
        one = self._objects.get(number)
        if one is None or zone is None:
            return None if one is None else one.born_us
        return one.stays[zone].since_us if zone in one.stays else None

    def state(self) -> Saved | None:
        """None: there is nobody."""
        return Saved(objects=list(self._objects.values())) if self._objects else None

    def resume(self, saved: Saved, at_us: int, *, same_boot: bool) -> list[Crossing]:
        """At the first record of a run. Rows of those who were lost meanwhile: nobody saw what became of them."""
        rows = []
        for one in saved.objects:
            if same_boot and 0 <= at_us - one.seen_us <= self._lost_us:
                one.sides = {name: side for name, side in one.sides.items() if name in self._lines}
                one.stays = {name: stay for name, stay in one.stays.items() if name in self._zones}
                self._objects[one.number] = one
                continue
            rows.append(_row(one, "interrupted", at_us))
            rows += [
                _row(one, "interrupted_in", at_us, zone, one.seen_us - stay.since_us)
                for zone, stay in one.stays.items()
                if stay.since_us is not None
            ]
        return rows

    def _see(
        self, inference: "Inference", number: int, label: str, box: Box, born: Born | None, here: set[int]
    ) -> Iterator[Crossing]:
        one, at_us = self._objects.get(number), inference.at_us
        if one is None:
            first_us, first = (at_us, box) if born is None else (born.at_us, born.box)
            one = self._before(inference.model, label, first_us, first, here)
            if one is None:
                one = _Object(
                    number=number, model=inference.model, label=label, box=first, born_us=first_us, seen_us=first_us,
                    earlier=(first_us, first), sides={}, stays={},
                )  # fmt: skip
                if number not in self._replaced:
                    yield _row(one, "born", first_us)
            else:
                del self._objects[one.number]
                self._replaced[one.number] = one.seen_us
                one.number = number
            self._objects[number] = one
            if first_us < at_us:
                yield from self._move(one, first, first_us)
        yield from self._move(one, box, at_us)

    def _move(self, one: _Object, box: Box, at_us: int) -> Iterator[Crossing]:
        if one.seen_us - one.earlier[0] >= _EVERY_US or one.earlier[0] == one.seen_us:
            one.earlier = (one.seen_us, one.box)
        one.box, one.seen_us = box, at_us
        for name, line in self._lines.items():
            crossed = places.cross(one.sides.setdefault(name, places.Side()), line, box, at_us)
            if crossed is not None:
                yield _row(one, crossed[0], crossed[1], name)
        for name, zone in self._zones.items():
            moved = places.stay(one.stays.setdefault(name, places.Stay()), zone, box, at_us)
            if moved is not None:
                yield _row(one, moved[0], moved[1], name, moved[2] if moved[0] == "left" else None)

    def _before(self, model: str, label: str, at_us: int, box: Box, here: set[int]) -> _Object | None:
        """The object, out of sight now, that was expected where a new number begins."""
        nearest, found = _NEAR, None
        for one in self._objects.values():
            if one.number in here or (one.model, one.label) != (model, label):
                continue
            if 0 < at_us - one.seen_us <= _SOON_US and (far := _distance(one, box, at_us)) < nearest:
                nearest, found = far, one
        return found


def _distance(one: _Object, box: Box, at_us: int) -> float:
    """In boxes, from where it is expected at its pace."""
    width, height = max(one.box[2] - one.box[0], 1e-6), max(one.box[3] - one.box[1], 1e-6)
    (x, y), (new_x, new_y) = anchor_of(one.box, "centre"), anchor_of(box, "centre")
    earlier_us, earlier = one.earlier
    if one.seen_us > earlier_us:
        was_x, was_y = anchor_of(earlier, "centre")
        share = (at_us - one.seen_us) / (one.seen_us - earlier_us)
        x, y = x + (x - was_x) * share, y + (y - was_y) * share
    return math.hypot((new_x - x) / width, (new_y - y) / height)


def _row(one: _Object, kind: str, at_us: int, place: str | None = None, dwell_us: int | None = None) -> Crossing:
    return Crossing(
        at_us=at_us, kind=kind, track=one.number, model=one.model, label=one.label, place=place, dwell_us=dwell_us
    )

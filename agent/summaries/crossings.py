"""What the objects of a lane did in a window, from its crossing rows: born, in and out of zones, over lines. Sums that merge by adding."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from agent.messages import summary


class Stays(msgspec.Struct, frozen=True, kw_only=True):
    """What objects of one label did in a zone. now: how many are in it at the end. cut: ended by a restart. dwell: of those who left."""

    entered: int = 0
    left: int = 0
    now: int = 0
    cut: int = 0
    dwell_us: int = 0
    longest_us: int = 0


# By zone and label; by line and label (in, out); by model and label.
Zones = dict[str, dict[str, Stays]]
Lines = dict[str, dict[str, tuple[int, int]]]
Objects = dict[str, dict[str, int]]

# Kinds of rows, as the table says them.
_BORN, _ENTERED, _LEFT, _IN, _OUT, _INTERRUPTED, _INTERRUPTED_IN = range(7)
_QUERY = """
SELECT kind, place, label, count(*), coalesce(sum(dwell_us), 0), coalesce(max(dwell_us), 0) FROM crossing
WHERE id > ? AND id < ? AND lane = ? GROUP BY kind, place, label"""


class Moved(NamedTuple):
    unique: Objects
    cut: Objects
    zones: Zones
    lines: Lines


def read(
    connection: sqlite3.Connection,
    name_of: Callable[[int], str],
    where: tuple[int, int, int],
    occupied: Mapping[str, Mapping[str, int]],
) -> Moved:
    """where: after this id, before this id, lane. occupied: zone → label → objects in it at the end."""
    moved = Moved({}, {}, {}, {})
    for zone, labels in occupied.items():
        for label, count in labels.items():
            moved.zones.setdefault(zone, {})[label] = Stays(now=count)
    for kind, place_id, label_id, count, dwell_us, longest_us in connection.execute(_QUERY, where):
        place, label = name_of(place_id), name_of(label_id)
        if kind in (_BORN, _INTERRUPTED):
            (moved.unique if kind == _BORN else moved.cut).setdefault(place, {})[label] = count
        elif kind in (_IN, _OUT):
            of = moved.lines.setdefault(place, {})
            of[label] = _both(of.get(label, (0, 0)), (count, 0) if kind == _IN else (0, count))
        else:
            stays = Stays(
                entered=count * (kind == _ENTERED), left=count * (kind == _LEFT), cut=count * (kind == _INTERRUPTED_IN),
                dwell_us=dwell_us * (kind == _LEFT), longest_us=longest_us * (kind == _LEFT),
            )  # fmt: skip
            zone_labels = moved.zones.setdefault(place, {})
            before = zone_labels.get(label, Stays())
            zone_labels[label] = msgspec.structs.replace(_sum(before, stays), now=before.now)
    return moved


def merged(parts: Iterator[Moved]) -> Moved:
    """Of consecutive windows, in order: who is in a zone now is what the last one says."""
    total = Moved({}, {}, {}, {})
    for part in parts:
        for into, objects in ((total.unique, part.unique), (total.cut, part.cut)):
            for model, labels in objects.items():
                counted = into.setdefault(model, {})
                for label, count in labels.items():
                    counted[label] = counted.get(label, 0) + count
        for line, ways in part.lines.items():
            crossed = total.lines.setdefault(line, {})
            for label, both in ways.items():
                crossed[label] = _both(crossed.get(label, (0, 0)), both)
        for stayed in total.zones.values():
            for label, stays in stayed.items():
                stayed[label] = msgspec.structs.replace(stays, now=0)
        for zone, those in part.zones.items():
            into_zone = total.zones.setdefault(zone, {})
            for label, stays in those.items():
                into_zone[label] = msgspec.structs.replace(_sum(into_zone.get(label, Stays()), stays), now=stays.now)
    return total


def zone_counts(zones: Zones) -> dict[str, dict[str, summary.ZoneCounts]]:
    return {
        zone: {
            label: summary.ZoneCounts(
                in_=one.entered, out=one.left, now=one.now, cut=one.cut or msgspec.UNSET,
                dwell=summary.Dwell(n=one.left, sum=round(one.dwell_us / 1e6, 3), max=round(one.longest_us / 1e6, 3)),
            )
            for label, one in sorted(labels.items())
        }
        for zone, labels in sorted(zones.items())
    }  # fmt: skip


def line_counts(lines: Lines) -> dict[str, dict[str, summary.LineCounts]]:
    return {
        line: {label: summary.LineCounts(in_=both[0], out=both[1]) for label, both in sorted(labels.items())}
        for line, labels in sorted(lines.items())
    }


def from_body(body: summary.Summary) -> Moved:
    """What a window's item says."""
    return Moved(
        {model: dict(one.uniq) for model, one in body.models.items() if one.uniq},
        {model: dict(one.cut) for model, one in body.models.items() if one.cut},
        {
            zone: {
                label: Stays(
                    entered=one.in_, left=one.out, now=one.now, cut=one.cut or 0,
                    dwell_us=round(one.dwell.sum * 1e6), longest_us=round(one.dwell.max * 1e6),
                )
                for label, one in labels.items()
            }
            for zone, labels in (body.zone or {}).items()
        },
        {
            line: {label: (one.in_, one.out) for label, one in labels.items()}
            for line, labels in (body.line or {}).items()
        },
    )  # fmt: skip


def _both(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _sum(one: Stays, other: Stays) -> Stays:
    return Stays(
        entered=one.entered + other.entered,
        left=one.left + other.left,
        cut=one.cut + other.cut,
        dwell_us=one.dwell_us + other.dwell_us,
        longest_us=max(one.longest_us, other.longest_us),
    )

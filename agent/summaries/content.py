"""The content of a window, read from the rows of its ticks: sums that merge by adding, whatever the grain."""

import sqlite3
from collections.abc import Callable

import msgspec

from agent.statistics import Bins, merge
from agent.summaries import crossings
from agent.summaries.crossings import Lines, Objects, Zones

# (n, sum, sum of squares, least, greatest)
Sums = tuple[int, float, float, float, float]


class _Counts(msgspec.Struct, frozen=True):
    m: dict[str, tuple[int, int]] = {}
    # A reading that was no number is null in JSON.
    s: dict[str, tuple[int, float | None, float | None, float | None, float | None]] = {}
    z: dict[str, dict[str, int]] = {}


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a range of ticks of one lane adds up to. seen = gated + inferred + dropped + failed.

    models: per model the inputs it inferred. labels: per model and label the results. latencies: per model log bins of milliseconds. unique: objects first seen; cut: objects whose end nobody saw, for the agent stopped.
    """

    alive_us: int
    seen: int
    gated: int
    inferred: int
    dropped: int
    failed: int
    models: dict[str, int]
    labels: dict[str, dict[str, int]]
    latencies: dict[str, Bins]
    sensors: dict[str, Sums]
    unique: Objects = {}
    cut: Objects = {}
    zones: Zones = {}
    lines: Lines = {}


_decode_counts = msgspec.json.Decoder(_Counts).decode
_decode_measured = msgspec.json.Decoder(dict[str, list[tuple[int, int]]]).decode

_TICKS = """
SELECT alive_us, seen, gated, inferred, dropped, failed, counts, measured FROM tick WHERE id BETWEEN ? AND ? AND lane = ? ORDER BY id"""
_RESULTS = "FROM result WHERE id > ? AND id < ? AND lane = ?"
# GROUP BY sorts all rows. For few different pairs it is twice as fast to find them and to count each in one pass: 360,000 rows of three
# labels take 96 ms in place of 229 ms.
_FEW = 16


def read(
    connection: sqlite3.Connection,
    name_of: Callable[[int], str],
    lane: int,
    after_id: int,
    first_tick: int,
    last_tick: int,
) -> Content:
    """Adds up the ticks first_tick..last_tick of a lane and the results they count, which have ids in (after_id, last_tick).

    Raises msgspec.DecodeError when a tick's JSON is not what the store writes.
    """
    sums = [0] * 6
    models: dict[str, int] = {}
    latencies: dict[str, Bins] = {}
    sensors: dict[str, Sums] = {}
    occupied: dict[str, dict[str, int]] = {}
    for *numbers, counts_text, measured_text in connection.execute(_TICKS, (first_tick, last_tick, lane)):
        for place, number in enumerate(numbers):
            sums[place] += number
        occupied = {}
        if counts_text:
            counts = _decode_counts(counts_text)
            occupied = counts.z
            for model, (inferred, _failed) in counts.m.items():
                models[model] = models.get(model, 0) + inferred
            for reading, (count, total, squares, least, greatest) in counts.s.items():
                if total is not None and squares is not None and least is not None and greatest is not None:
                    sensors[reading] = merge_sums(sensors.get(reading), (count, total, squares, least, greatest))
        if measured_text:
            for model, pairs in _decode_measured(measured_text).items():
                merge(latencies.setdefault(model, {}), pairs)
    labels: dict[str, dict[str, int]] = {}
    for model_id, label_id, count in _count_results(connection, (after_id, last_tick, lane)):
        # A result without a label (a bare value) is in the store, and in no count: there is nothing to count it by.
        counted = labels.setdefault(name_of(model_id), {})
        if label_id is not None:
            counted[name_of(label_id)] = count
    moved = crossings.read(connection, name_of, (after_id, last_tick, lane), occupied)
    for model in (*labels, *latencies, *moved.unique, *moved.cut):
        models.setdefault(model, 0)
    alive_us, seen, gated, inferred, dropped, failed = sums
    return Content(
        alive_us=alive_us, seen=seen, gated=gated, inferred=inferred, dropped=dropped, failed=failed,
        models=dict(sorted(models.items())), labels=labels, latencies=latencies, sensors=dict(sorted(sensors.items())),
        unique=moved.unique, cut=moved.cut, zones=moved.zones, lines=moved.lines,
    )  # fmt: skip


def _count_results(connection: sqlite3.Connection, where: tuple[int, int, int]) -> list[tuple[int, int | None, int]]:
    """(model, label, count). where: after this id, before this id, lane."""
    pairs = connection.execute(f"SELECT DISTINCT model, label {_RESULTS} LIMIT {_FEW + 1}", where).fetchall()
    if not pairs:
        return []
    if len(pairs) > _FEW:
        return connection.execute(f"SELECT model, label, count(*) {_RESULTS} GROUP BY model, label", where).fetchall()
    counts = ", ".join(["count(*) FILTER (WHERE model IS ? AND label IS ?)"] * len(pairs))
    query = f"SELECT {counts} {_RESULTS}"
    numbers = connection.execute(query, (*(part for pair in pairs for part in pair), *where)).fetchone()
    return [(model, label, count) for (model, label), count in zip(pairs, numbers, strict=True)]


def merge_sums(one: Sums | None, other: Sums) -> Sums:
    if one is None or one[0] == 0:
        return other
    if other[0] == 0:
        return one
    return (
        one[0] + other[0],
        one[1] + other[1],
        one[2] + other[2],
        min(one[3], other[3]),
        max(one[4], other[4]),
    )

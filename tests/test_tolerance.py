"""The comparison that recordings are judged by: what it lets pass, and that it lets nothing else pass."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from peers.tolerance import Row, differences

THRESHOLDS = {("yard", "faces"): 0.6, ("pump", "bearing"): 0.5}


def result(at: int, lane: str, model: str, label: str, score: float, value: float | None = None) -> Row:
    row = {"k": "result", "t": f"2026-11-24T03:00:{at:02}.000000Z", "lane": lane, "model": model, "label": label}
    sides = dict.fromkeys(("x0", "y0", "x1", "y1"), None if value is not None else 0.25)
    return {**row, "score": score, **sides, "track": None, "value": value, "extra": None}


def tick(at: int, lane: str, **counts: Any) -> Row:
    row = {"k": "tick", "t": f"2026-11-24T03:00:{at:02}.000000Z", "lane": lane, "alive_us": 1_000_000, "seen": 2}
    return {**row, "gated": 0, "inferred": 2, "failed": 0, "dropped": 0, "counts": counts}


def summary(lane: str, model: str, n: dict[str, int], **sens: Any) -> Row:
    body = {
        "v": 1,
        "w": ["2026-11-24T03:00:00Z", 2],
        "cover": 1.0,
        "models": {model: {"sha": None, "inf": 4, "n": n}},
        "sens": sens,
    }
    return {"k": "sum", "t": "2026-11-24T03:00:00.000000Z", "lane": lane, "grain": "s2", "rev": 0, "body": body}


ROWS = [
    result(1, "yard", "faces", "face", 0.9),
    result(1, "yard", "faces", "face", 0.61),
    result(1, "yard", "view", "day", 0.51),
    tick(2, "yard", m={"faces": [2, 0]}),
    summary("yard", "faces", {"face": 2}),
    summary("yard", "view", {"day": 1}),
    result(1, "pump", "bearing", "anomaly", 0.5, 0.503),
    {"k": "event", "t": "2026-11-24T03:00:01.000000Z", "lane": "pump", "rule": "worn", "phase": "start", "body": {"score": 0.503}},
    tick(2, "pump", s={"x": [1000, 0.4, 250.0, -1.5, 1.5]}),
    summary("pump", "bearing", {"anomaly": 1}, x={"n": 1000, "sum": 0.4, "sq": 250.0, "min": -1.5, "max": 1.5, "unit": "m/s2"}),
]  # fmt: skip
FACE, FAINT, DAY, TICK, FACES, VIEWS, WORN, EVENT, READINGS, SENSORS = range(10)


def changed(change: Callable[[list[Row]], Any]) -> list[str]:
    rows = copy.deepcopy(ROWS)
    change(rows)
    return differences(ROWS, rows, THRESHOLDS)


def put(place: int, value: Any, *path: Any) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        table: Any = rows[place]
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = value

    return change


def both(*changes: Callable[[list[Row]], Any]) -> Callable[[list[Row]], None]:
    def change(rows: list[Row]) -> None:
        for one in changes:
            one(rows)

    return change


def without(place: int) -> Callable[[list[Row]], Any]:
    return lambda rows: rows.pop(place)


def with_row(row: Row) -> Callable[[list[Row]], Any]:
    return lambda rows: rows.insert(0, row)


def test_the_same_rows_are_the_same() -> None:
    assert differences(ROWS, copy.deepcopy(ROWS), THRESHOLDS) == []


@pytest.mark.parametrize(
    "change",
    [
        put(FACE, 0.92, "score"),
        put(FACE, 0.26, "x1"),
        put(WORN, 0.5065, "value"),
        put(EVENT, 0.51, "body", "score"),
        # a result near its threshold went, one came; the window counts one less, one more
        both(put(FACES, {"face": 1}, "body", "models", "faces", "n"), without(FAINT)),
        both(put(FACES, {"face": 3}, "body", "models", "faces", "n"), with_row(result(1, "yard", "faces", "face", 0.6))),
        both(put(SENSORS, {}, "body", "models", "bearing", "n"), without(WORN)),
        # another label, both at the same score
        both(put(DAY, "blurred", "label"), put(DAY, 0.5, "score"), put(VIEWS, {"blurred": 1}, "body", "models", "view", "n")),
        # readings: 1 %, a sum near 0 by what it sums
        put(READINGS, 251.0, "counts", "s", "x", 2),
        put(READINGS, 0.5, "counts", "s", "x", 1),
        put(SENSORS, 1.502, "body", "sens", "x", "max"),
    ],
)  # fmt: skip
def test_what_another_processor_may_change(change: Callable[[list[Row]], Any]) -> None:
    assert changed(change) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(FACE, 0.95, "score"), "a result went"),
        (put(FACE, 0.85, "score"), "a result came"),
        (put(FACE, 0.3, "x1"), "a result went"),
        (put(WORN, 0.52, "value"), "a result came"),
        (put(FACE, "2026-11-24T03:00:01.000001Z", "t"), "a result came"),
        (without(FACE), "a result went: yard faces face"),
        (with_row(result(1, "yard", "faces", "face", 0.7)), "a result came: yard faces face"),
        (with_row(result(1, "pump", "bearing", "anomaly", 0.55, 0.6)), "a result came: pump bearing"),
        # a model without a threshold: nothing comes or goes
        (without(DAY), "a result went: yard view day"),
        (both(put(DAY, "blurred", "label"), put(DAY, 0.6, "score")), "a result went: yard view day"),
        # counts that no row accounts for
        (put(FACES, {"face": 1}, "body", "models", "faces", "n"), "2 face of faces, now 1"),
        (both(put(FACES, {"face": 0}, "body", "models", "faces", "n"), without(FAINT)), "2 face of faces, now 0"),
        (put(VIEWS, {"day": 1, "night": 1}, "body", "models", "view", "n"), "0 night of view, now 1"),
        (put(FACES, {}, "body", "models", "faces", "n"), "2 face of faces, now 0"),
        (put(FACES, 3, "body", "models", "faces", "inf"), "body.models.faces.inf was 4, is 3"),
        (put(FACES, 0.5, "body", "cover"), "body.cover was 1.0, is 0.5"),
        (put(TICK, 1, "inferred"), "inferred was 2, is 1"),
        (put(TICK, {}, "counts"), "only in one of them"),
        (put(TICK, 999_999, "alive_us"), "alive_us"),
        (without(TICK), "yard: 2 sum, 1 tick became 2 sum"),
        (without(EVENT), "pump: 1 event, 1 sum, 1 tick became 1 sum, 1 tick"),
        (put(EVENT, "end", "phase"), "phase was start, is end"),
        (put(EVENT, 0.6, "body", "score"), "body.score was 0.503, is 0.6"),
        (put(READINGS, 255.0, "counts", "s", "x", 2), "counts.s.x.2"),
        (put(READINGS, 999, "counts", "s", "x", 0), "counts.s.x.0"),
        (put(READINGS, 6.0, "counts", "s", "x", 1), "counts.s.x.1"),
        (put(SENSORS, 1.6, "body", "sens", "x", "max"), "body.sens.x.max"),
        (put(SENSORS, "g", "body", "sens", "x", "unit"), "body.sens.x.unit"),
    ],
)
def test_what_is_a_fault(change: Callable[[list[Row]], Any], said: str) -> None:
    assert said in "\n".join(changed(change))


def test_a_row_does_not_stand_for_two() -> None:
    twice = [ROWS[FACE], ROWS[FACE]]
    assert differences(twice, [ROWS[FACE]], THRESHOLDS) != []

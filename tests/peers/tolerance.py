"""Compares rows of a replay with the committed ones, as closely as kernels of different processors allow.

Scores and box sides may differ by 0.02, values and readings by 1 %. A result within that of its model's threshold may come or go; its label
may be another one when both scores are within 0.02 of each other; a summary's `n` may differ by as many results as came, went or changed
their label. All else is equal: times, ticks, what events there are.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SCORE = 0.02
VALUE = 0.01

Row = dict[str, Any]
Thresholds = Mapping[tuple[str, str], float]  # (lane, model): the least score, or value, of a result
_SIDES = ("score", "x0", "y0", "x1", "y1")


def differences(expected: Iterable[Row], actual: Iterable[Row], thresholds: Thresholds) -> list[str]:
    """What differs beyond that, one line each; empty: the same rows."""
    expected, actual = list(expected), list(actual)
    found: list[str] = []
    moved = _compare_results(_of(expected, "result"), _of(actual, "result"), thresholds, found)
    others = [_without_results(expected), _without_results(actual)]
    for lane in sorted({row["lane"] for rows in others for row in rows}):
        one, other = ([row for row in rows if row["lane"] == lane] for rows in others)
        if [row["k"] for row in one] != [row["k"] for row in other]:
            found.append(f"{lane}: {_kinds(one)} became {_kinds(other)}, or their order changed")
            continue
        for before, after in zip(one, other, strict=True):
            _compare(before, after, f"{lane} {before['k']} {before.get('t')}", moved, found)
    return found


def _compare_results(
    expected: list[Row], actual: list[Row], thresholds: Thresholds, found: list[str]
) -> Counter[tuple[str, str, str | None]]:
    """(lane, model, label): how many results came, went or changed to or from it."""
    moved: Counter[tuple[str, str, str | None]] = Counter()
    places = dict.fromkeys(_place(row) for row in (*expected, *actual))
    for place in places:
        before = [row for row in expected if _place(row) == place]
        after = [row for row in actual if _place(row) == place]
        _take_pairs(before, after, lambda one, other: one["label"] == other["label"] and _alike(one, other))
        for one, other in _take_pairs(
            before, after, lambda one, other: one["label"] != other["label"] and _alike(one, other)
        ):
            moved.update((_counted(one), _counted(other)))
        for row, what in [(row, "went") for row in before] + [(row, "came") for row in after]:
            if _is_near(row, thresholds.get((row["lane"], row["model"]))):
                moved[_counted(row)] += 1
            else:
                found.append(f"a result {what}: {_text(row)}")
    return moved


def _take_pairs(before: list[Row], after: list[Row], fit: Any) -> list[tuple[Row, Row]]:
    """Takes rows that fit each other out of both lists, in order."""
    pairs = []
    for one in list(before):
        other = next((row for row in after if fit(one, row)), None)
        if other is not None:
            before.remove(one)
            after.remove(other)
            pairs.append((one, other))
    return pairs


def _alike(one: Row, other: Row) -> bool:
    rest = set(one) - {*_SIDES, "value", "label"}
    return (
        one.keys() == other.keys()
        and all(one[key] == other[key] for key in rest)
        and all(_within(one[key], other[key], SCORE) for key in _SIDES)
        and _within(one["value"], other["value"], VALUE * abs(one["value"] or 0.0))
    )


def _is_near(row: Row, threshold: float | None) -> bool:
    if threshold is None:
        return False
    if row["value"] is not None:
        return _within(row["value"], threshold, VALUE * threshold)
    return _within(row["score"], threshold, SCORE)


def _compare(
    before: Any, after: Any, place: str, moved: Mapping[tuple[str, str, str | None], int], found: list[str]
) -> None:
    """A tick, event or summary."""
    kind = before["k"]
    before, after = (_flat(row) for row in (before, after))
    for path in sorted(
        path for path in before.keys() | after.keys() if path[:2] == ("body", "models") and "n" in path[3:]
    ):
        one, other = before.pop(path, 0), after.pop(path, 0)
        if len(path) == 5:  # else an empty table: nothing was counted
            _, _, model, _, label = path
            if abs(one - other) > moved.get((before[("lane",)], model, label), 0):
                found.append(f"{place}: {one} {label} of {model}, now {other}")
    readings = ("body", "sens") if kind == "sum" else ("counts", "s")
    if before.keys() != after.keys():
        found.append(f"{place}: {sorted(map(_dotted, before.keys() ^ after.keys()))} only in one of them")
        return
    for path, one in before.items():
        other = after[path]
        if path == ("body", "score"):
            same = _within(one, other, max(SCORE, VALUE * abs(one or 0.0)))
        elif path[:2] == readings and isinstance(one, float | int):
            same = _within(one, other, _reading_tolerance(path, before))
        else:
            same = one == other
        if not same:
            found.append(f"{place}: {_dotted(path)} was {one}, is {other}")


def _reading_tolerance(path: tuple[Any, ...], row: Mapping[tuple[Any, ...], Any]) -> float:
    """1 % of the reading's RMS: for its sum n times that, since a sum of what swings round 0 may be anything near 0; n itself is exact."""
    names = ("n", "sum", "sq", "min", "max")
    part = names[path[-1]] if isinstance(path[-1], int) else path[-1]
    count, squares = (row[(*path[:-1], place if isinstance(path[-1], int) else names[place])] for place in (0, 2))
    rms = math.sqrt(squares / count) if count else 0.0
    return {"n": 0.0, "sum": VALUE * count * rms, "sq": VALUE * squares}.get(part, VALUE * rms)


def _flat(tree: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """path: leaf. An empty table or list is a leaf."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    if not items or not tree:
        return {path: tree}
    return {key: leaf for name, part in items for key, leaf in _flat(part, (*path, name)).items()}


def _within(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= tolerance + 1e-9


def _of(rows: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["k"] == kind]


def _without_results(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["k"] != "result"]


def _place(row: Row) -> tuple[Any, ...]:
    return row["t"], row.get("at_us"), row["lane"], row["model"]


def _counted(row: Row) -> tuple[str, str, str | None]:
    return row["lane"], row["model"], row["label"]


def _kinds(rows: Sequence[Row]) -> str:
    return (
        ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(row["k"] for row in rows).items())) or "nothing"
    )


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def _text(row: Row) -> str:
    return f"{row['lane']} {row['model']} {row['label']} at {row['t']}, score {row['score']}, value {row['value']}"

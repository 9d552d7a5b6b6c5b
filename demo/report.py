"""The table at the end: what the store holds against what the subscriber received. Exit code 1 when anything is missing."""

import json
import sqlite3
from pathlib import Path
from threading import Event
from typing import Any

from agent.clock import SystemClock

_COUNTED = ("seen", "gated", "inferred", "dropped", "failed")


def wait_for_items(store: Path, received: Path, limit_s: float) -> None:
    """Until the subscriber has written what the broker has acknowledged to the agent, or the time is over."""
    clock, nothing = SystemClock(), Event()
    due = _one(store, "SELECT count(*) FROM item WHERE state = 2")
    for _ in range(round(limit_s / 0.2)):
        if _one(received, "SELECT count(*) FROM item") >= due:
            return
        clock.wait(nothing, 0.2)


def print_report(folder: Path, *, peak_mb: float, drawn: int, cut_s: int) -> int:
    store, received = folder / "data" / "edge.sqlite", folder / "received.sqlite"
    verdict = json.loads((folder / "subscriber.json").read_text())
    counts = verdict["devices"][0]["counts"] if verdict["devices"] else {}
    lanes = _lanes(store)
    closed, view = _closed(store), _view(received)
    items, acknowledged = (
        _one(store, "SELECT count(*) FROM item"),
        _one(store, "SELECT count(*) FROM item WHERE state = 2"),
    )
    problems = _problems(lanes, closed, view, verdict)
    print()
    print(f"{'':34}" + "".join(f"{name:>10}" for name in lanes))
    for word, name in zip(_COUNTED, ("inputs seen", "= gated", "+ inferred", "+ dropped", "+ failed"), strict=True):
        print(f"{name:34}" + "".join(f"{lane[word]:>10}" for lane in lanes.values()))
    print(f"{'results stored':34}" + "".join(f"{lane['results']:>10}" for lane in lanes.values()))
    print(f"{'inputs in closed 5 s windows':34}" + "".join(f"{closed.get(name, 0):>10}" for name in lanes))
    print(f"{'the same, as the subscriber adds up':34}" + "".join(f"{view.get(name, 0):>9}" for name in lanes))
    print()
    for name, number in (
        ("items numbered by the agent", items),
        ("acknowledged by the broker", acknowledged),
        ("received by the subscriber", counts.get("received", 0)),
        ("duplicates dropped", counts.get("duplicates", 0)),
        ("lost", counts.get("lost", 0)),
        ("missing", counts.get("missing", 0) + counts.get("todo", 0)),
    ):
        print(f"{name:34}{number:>10}")
    print()
    for at, lane, rule, phase in _events(store):
        print(f"event    {at}  {lane}: {rule} {phase}")
    print(f"\nlink cut for {cut_s} s, agent killed once; peak memory of the agent {peak_mb:.0f} MB; verdict: ", end="")
    print("complete" if verdict["complete"] else "; ".join(_why(verdict)))
    print(f"results  {store}   (try: sqlite3 {store} 'SELECT * FROM results LIMIT 5')")
    print(f"received {received}")
    print(f"pictures {folder / 'sheet.png'}" if drawn else "pictures none: nothing was recorded")
    for problem in problems:
        print(f"FAILED   {problem}")
    return 1 if problems else 0


def _problems(
    lanes: dict[str, dict[str, int]], closed: dict[str, int], view: dict[str, int], verdict: Any
) -> list[str]:
    found = [
        f"lane {name}: {lane['seen']} inputs seen, {sum(lane[word] for word in _COUNTED[1:])} accounted for"
        for name, lane in lanes.items()
        if lane["seen"] != sum(lane[word] for word in _COUNTED[1:])
    ]
    found += [f"lane {name}: no result was stored" for name, lane in lanes.items() if not lane["results"]]
    if closed != view:
        found.append(f"the store's closed windows hold {closed} inputs, the subscriber's {view}")
    if not verdict["complete"]:
        found += _why(verdict) or ["the subscriber does not say complete"]
    return found


def _why(verdict: Any) -> list[str]:
    return [reason for device in verdict["devices"] for reason in device["why"]]


def _lanes(store: Path) -> dict[str, dict[str, int]]:
    rows = _all(
        store,
        "SELECT n.text, sum(seen), sum(gated), sum(inferred), sum(dropped), sum(failed),"
        " (SELECT count(*) FROM result r WHERE r.lane = t.lane) FROM tick t JOIN name n ON n.id = t.lane GROUP BY t.lane ORDER BY t.lane",
    )
    return {row[0]: dict(zip((*_COUNTED, "results"), row[1:], strict=True)) for row in rows}


def _closed(store: Path) -> dict[str, int]:
    """Inputs per lane in 5 s windows that have a summary."""
    return dict(
        _all(
            store,
            "SELECT n.text, sum(t.seen) FROM tick t JOIN name n ON n.id = t.lane"
            " JOIN summary s ON s.lane = t.lane AND s.grain = 5 AND t.id BETWEEN s.first_tick AND s.last_tick GROUP BY n.text",
        )
    )


def _view(received: Path) -> dict[str, int]:
    return dict(_all(received, "SELECT lane, sum(seen) FROM summaries WHERE grain_s = 5 GROUP BY lane"))


def _events(store: Path) -> list[Any]:
    return _all(store, "SELECT utc, lane, rule, phase FROM events ORDER BY id")


def _one(path: Path, query: str) -> int:
    return int(_all(path, query)[0][0])


def _all(path: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()

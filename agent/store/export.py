"""Rows as people and tests read them: results, ticks, events, crossings and summaries in the order (boot, time, lane, order of storing).

Left out is what depends on when and how often something was stored or sent: row ids, epoch, boot, numbers, config digest, moment of making,
latencies, costs. Consecutive ticks of a lane in which nothing was seen, failed or dropped are one row, whose `ticks` says nothing of how they
were stored: so two replays of one recording print the same bytes.
"""

import csv
import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import msgspec

from agent.store.connection import connect_to_read
from agent.store.schema import CROSSING_KINDS, grain_text, utc_us

# Keys of an event's body that are columns, or say what was kept beside the rows.
_APART = frozenset(("at_us", "rule", "phase", "snapshot", "media"))
# Keys of a summary's body that say who sent it when, not what was seen.
LEFT_OUT = frozenset(("epoch", "boot", "seq", "of", "cfg", "at", "carry", "lat", "cost"))
COLUMNS = ("k", "t", "at_us", "lane", "model", "label", "score", "x0", "y0", "x1", "y1", "track", "value", "extra",
           "alive_us", "seen", "gated", "inferred", "failed", "dropped", "counts",
           "rule", "phase", "kind", "place", "dwell_s", "body", "grain", "rev")  # fmt: skip

_RESULTS = f"""
SELECT boot, at_us, lane.text AS lane, result.id AS place, 0 AS kind, {utc_us("result")} AS utc_us, model.text AS a, label.text AS b, score_e4 AS c,
  x0_e4 AS d, y0_e4 AS e, x1_e4 AS f, y1_e4 AS g, track AS h, value AS i, extra AS j
FROM result JOIN name AS lane ON lane.id = lane JOIN name AS model ON model.id = model LEFT JOIN name AS label ON label.id = label
"""
# An island is a run of idle ticks of one lane in one boot; every other tick is an island of its own.
_TICKS = f"""
SELECT boot, max(at_us) AS at_us, lane.text AS lane, max(island.id) AS place, 1 AS kind, {utc_us("island")} AS utc_us, sum(alive_us) AS a, sum(seen) AS b,
  sum(gated) AS c, sum(inferred) AS d, sum(failed) AS e, sum(dropped) AS f, max(counts) AS g, NULL AS h, NULL AS i, NULL AS j
FROM (SELECT *, sum(busy) OVER (PARTITION BY boot, lane ORDER BY id) AS number FROM
       (SELECT *, seen OR failed OR dropped OR counts IS NOT NULL AS busy FROM tick)) AS island
JOIN name AS lane ON lane.id = lane GROUP BY boot, island.lane, busy, number
"""
_EVENTS = f"""
SELECT boot, at_us, lane.text AS lane, event.id AS place, 0 AS kind, {utc_us("event")} AS utc_us, rule.text AS a, phase AS b, body AS c,
  NULL AS d, NULL AS e, NULL AS f, NULL AS g, NULL AS h, NULL AS i, NULL AS j
FROM event JOIN name AS lane ON lane.id = lane JOIN name AS rule ON rule.id = rule
"""
_CROSSINGS = f"""
SELECT boot, at_us, lane.text AS lane, crossing.id AS place, 0 AS kind, {utc_us("crossing")} AS utc_us, crossing.kind AS a, place.text AS b,
  label.text AS c, track AS d, dwell_us AS e, NULL AS f, NULL AS g, NULL AS h, NULL AS i, NULL AS j
FROM crossing JOIN name AS lane ON lane.id = lane LEFT JOIN name AS place ON place.id = crossing.place LEFT JOIN name AS label ON label.id = label
"""
_SUMMARIES = f"""
SELECT summary.boot, coalesce(tick.at_us, start_us + grain * 1000000 - CASE WHEN dated THEN (SELECT utc_offset_us FROM clock
    WHERE clock.boot = summary.boot ORDER BY from_us LIMIT 1) ELSE 0 END) AS at_us, lane.text AS lane, last_tick AS place, 2 + grain AS kind,
  CASE WHEN dated THEN start_us END AS utc_us, {grain_text("grain")} AS a, rev AS b,
  CAST(item.body AS TEXT) AS c, NULL AS d, NULL AS e, NULL AS f, NULL AS g, NULL AS h, NULL AS i, NULL AS j
FROM summary JOIN name AS lane ON lane.id = summary.lane LEFT JOIN tick ON tick.id = last_tick
LEFT JOIN item ON item.epoch = summary.epoch AND item.stream = summary.stream AND item.seq = summary.seq
"""


def _ordered(table: str, query: str) -> str:
    return f"SELECT '{table}', * FROM ({query})"


_ALL = (
    " UNION ALL ".join(
        _ordered(*part)
        for part in (
            ("result", _RESULTS),
            ("tick", _TICKS),
            ("event", _EVENTS),
            ("cross", _CROSSINGS),
            ("sum", _SUMMARIES),
        )
    )
    + " ORDER BY boot, at_us, lane, place, kind"
)


def rows(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """Every row as a dict of plain values; `k` says which kind, `t` its UTC time, None (with `at_us`, boot time) while that is not known."""
    for kind, _, at_us, lane, _, _, utc_us_, *values in connection.execute(_ALL):
        row: dict[str, Any] = {"k": kind, "t": _utc(utc_us_), "lane": lane}
        if utc_us_ is None:
            row["at_us"] = at_us
        row.update(_PARTS[kind](values))
        yield row


def _result(values: list[Any]) -> dict[str, Any]:
    model, label, *e4, track, value, extra = values
    numbers = [None if number is None else number / 10_000 for number in e4]
    row: dict[str, Any] = dict(zip(("score", "x0", "y0", "x1", "y1"), numbers, strict=True))
    return {
        "model": model,
        "label": label,
        **row,
        "track": track,
        "value": value,
        "extra": None if extra is None else extra.hex(),
    }


def _tick(values: list[Any]) -> dict[str, Any]:
    row = dict(zip(("alive_us", "seen", "gated", "inferred", "failed", "dropped"), values, strict=False))
    return {**row, "counts": {} if values[6] is None else json.loads(values[6])}


def _event(values: list[Any]) -> dict[str, Any]:
    body = {key: value for key, value in json.loads(values[2]).items() if key not in _APART}
    return {"rule": values[0], "phase": "end" if values[1] else "start", "body": body}


def _crossing(values: list[Any]) -> dict[str, Any]:
    kind, place, label, track, dwell_us = values[:5]
    row = {"kind": CROSSING_KINDS[kind], "place": place, "label": label, "track": track}
    return row if dwell_us is None else {**row, "dwell_s": dwell_us / 1e6}


def _summary(values: list[Any]) -> dict[str, Any]:
    body = None if values[2] is None else _without(json.loads(values[2]))
    return {"grain": values[0], "rev": values[1], "body": body}


_PARTS = {"result": _result, "tick": _tick, "event": _event, "cross": _crossing, "sum": _summary}


def _without(body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _without(value) for key, value in body.items() if key not in LEFT_OUT}
    return body


def _utc(utc_us_: int | None) -> str | None:
    if utc_us_ is None:
        return None
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_us_)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def write_jsonl(found: Iterable[dict[str, Any]], to: TextIO) -> None:
    to.writelines(msgspec.json.encode(row).decode() + "\n" for row in found)


def write_csv(found: Iterable[dict[str, Any]], to: TextIO) -> None:
    """One header for all kinds; what a kind has not is empty, what is nested is JSON."""
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in found:
        writer.writerow(
            msgspec.json.encode(value).decode() if isinstance(value, dict) else value
            for value in (row.get(column) for column in COLUMNS)
        )


def print_rows(path: Path, kind: str = "jsonl") -> None:
    """Prints all rows of a store's SQLite file on stdout as "jsonl" or "csv"; works while an agent writes to it."""
    connection = connect_to_read(path)
    try:
        connection.execute("BEGIN")
        (write_csv if kind == "csv" else write_jsonl)(rows(connection), sys.stdout)
    finally:
        connection.close()

"""What must hold of a database that was put together from what a damaged one still had: every number is here or lost, no window comes twice."""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress

import msgspec

from agent.store.anchor import Anchor
from agent.store.identity import greatest_id

CORRUPT = "corrupt"
_NAMED = (
    ("stream", "stream", "stream"), ("lost", "stream", "stream"), ("summary", "stream", "stream"), ("item", "stream", "stream"),
    ("grain", "lane", "lane"), ("summary", "lane", "lane"), ("tick", "lane", "lane"), ("event", "lane", "lane"), ("event", "rule", "rule"),
    ("result", "lane", "lane"), ("result", "model", "model"), ("result", "label", "label"),
)  # fmt: skip


def settle(new: sqlite3.Connection, missing: Mapping[str, int | None], anchor: Anchor | None) -> int:
    """Inside the transaction that filled `new`; how many numbers became lost. missing: tables of which something could not be read."""
    _items(new)
    _names(new)
    _epochs(new, anchor)
    _last_numbers(new)
    count = _lose(new)
    _summaries(new)
    for table in ("result", "tick"):
        gone = missing.get(table, 0)
        if gone:  # ids of several lanes: which of them each was is not known, so they stand under no lane
            new.execute(
                "INSERT INTO removed (lane, why, results, ticks, events) VALUES (0, ?, ?, ?, 0) ON CONFLICT (lane, why) DO UPDATE SET"
                " results = results + excluded.results, ticks = ticks + excluded.ticks",
                (CORRUPT, gone if table == "result" else 0, gone if table == "tick" else 0),
            )
    return count


class _Head(msgspec.Struct):
    """Of an item: its stream."""

    st: str


def _names(new: sqlite3.Connection) -> None:
    """Ids whose name is gone: a stream's stands in its items, a lane's in its streams. Others get a name of their own, so that no new name
    takes the id: rows would be said to be of another lane.
    """
    for (stream,) in new.execute(
        "SELECT DISTINCT stream FROM item WHERE stream NOT IN (SELECT id FROM name)"
    ).fetchall():
        (body,) = new.execute("SELECT body FROM item WHERE stream = ? LIMIT 1", (stream,)).fetchone()
        with suppress(msgspec.MsgspecError):
            _name(new, stream, "stream", msgspec.json.decode(body, type=_Head).st)
    for lane, text in new.execute(
        "SELECT DISTINCT lane, text FROM summary JOIN name ON name.id = stream WHERE lane NOT IN (SELECT id FROM name)"
    ).fetchall():
        _name(new, lane, "lane", text.split("/")[1])
    for table, column, kind in _NAMED:
        for (number,) in new.execute(
            f"SELECT DISTINCT {column} FROM {table} WHERE {column} > 0 AND {column} NOT IN (SELECT id FROM name)"
        ).fetchall():
            _name(new, number, kind, f"unknown-{number}")
    new.execute("DELETE FROM grain WHERE lane IN (SELECT id FROM name WHERE kind = 'lane' AND text = 'unknown-' || id)")


def _name(new: sqlite3.Connection, number: int, kind: str, text: str) -> None:
    new.execute("INSERT OR IGNORE INTO name (id, kind, text) VALUES (?, ?, ?)", (number, kind, text))


def _epochs(new: sqlite3.Connection, anchor: Anchor | None) -> None:
    """Items of an epoch whose row is gone have no name to travel under; the newest one's name stands in the anchor too."""
    newest = new.execute(
        "SELECT max(epoch) FROM (SELECT max(epoch) AS epoch FROM stream UNION SELECT max(epoch) FROM item)"
    ).fetchone()[0]
    known = new.execute("SELECT max(id) FROM epoch").fetchone()[0] or 0
    texts = {text for (text,) in new.execute("SELECT text FROM epoch")}
    if anchor is not None and anchor.epoch not in texts and (newest is None or newest > known):
        device = (new.execute("SELECT device FROM epoch ORDER BY id DESC LIMIT 1").fetchone() or ("unknown/unknown",))[
            0
        ]
        before = (new.execute("SELECT text FROM epoch ORDER BY id DESC LIMIT 1").fetchone() or (None,))[0]
        new.execute(
            "INSERT INTO epoch (id, text, prev, why, boot, after_id, sess, device) VALUES (?, ?, ?, ?, ?, 0, ?, ?)",
            (max(newest or 0, known + 1), anchor.epoch, before, CORRUPT, anchor.boot, anchor.session, device),
        )
    for table in ("item", "stream", "lost"):
        new.execute(f"DELETE FROM {table} WHERE epoch NOT IN (SELECT id FROM epoch)")
        new.execute(f"DELETE FROM {table} WHERE stream IN (SELECT id FROM name WHERE text = 'unknown-' || id)")


def _items(new: sqlite3.Connection) -> None:
    """Bytes that are not those that were numbered are no item."""
    wrong = [
        (number,)
        for number, digest, body in new.execute("SELECT id, digest, body FROM item")
        if hashlib.sha256(body).digest() != digest
    ]
    new.executemany("DELETE FROM item WHERE id = ?", wrong)


def _last_numbers(new: sqlite3.Connection) -> None:
    """A stream's last number is at least the greatest that is found anywhere: what was given is never given again, nor called not given."""
    new.execute(
        "INSERT INTO stream (epoch, stream, last_seq) SELECT epoch, stream, max(seq) FROM (SELECT epoch, stream, seq FROM item"
        " UNION ALL SELECT epoch, stream, last FROM lost UNION ALL SELECT epoch, stream, seq FROM summary"
        " WHERE epoch IN (SELECT id FROM epoch)) GROUP BY epoch, stream"
        " ON CONFLICT (epoch, stream) DO UPDATE SET last_seq = max(last_seq, excluded.last_seq)"
    )


def _lose(new: sqlite3.Connection) -> int:
    count = 0
    columns = {row[1] for row in new.execute("PRAGMA table_info(epoch)")}
    folded = "SELECT id FROM epoch WHERE folded = 1" if "folded" in columns else "SELECT NULL WHERE 0"
    streams = new.execute(f"SELECT epoch, stream, last_seq FROM stream WHERE epoch NOT IN ({folded})").fetchall()
    for epoch, stream, last in streams:
        gone = list(_gaps(new, epoch, stream, last))
        new.executemany(
            "INSERT INTO lost (epoch, stream, first, last, why, totals) VALUES (?, ?, ?, ?, ?, NULL)",
            [(epoch, stream, first, end, CORRUPT) for first, end in gone],
        )
        count += sum(end - first + 1 for first, end in gone)
    return count


def _gaps(new: sqlite3.Connection, epoch: int, stream: int, last: int) -> Iterator[tuple[int, int]]:
    """Numbers that are neither here nor lost, as ranges; read in order, however many there are."""
    expected = 1
    for first, end in new.execute(
        "SELECT seq, seq FROM item WHERE epoch = ?1 AND stream = ?2 UNION ALL SELECT first, last FROM lost WHERE epoch = ?1 AND stream = ?2"
        " ORDER BY 1",
        (epoch, stream),
    ):
        if first > expected:
            yield expected, first - 1
        expected = max(expected, end + 1)
    if expected <= last:
        yield expected, last


def _summaries(new: sqlite3.Connection) -> None:
    """Where the newest summaries of a lane and grain are not there though their numbers were given, their rows must not be summed up again.

    The rows stay; the gap item begins where the summaries that are known end (summaries/gaps.py).
    """
    greatest = greatest_id(new)
    newest = new.execute("SELECT max(id) FROM epoch").fetchone()[0]
    for lane, grain in new.execute("SELECT lane, grain FROM grain WHERE grain > 0").fetchall():
        row = new.execute(
            "SELECT stream, max(seq) FROM summary WHERE lane = ? AND grain = ? AND epoch = ?",
            (lane, grain, newest),
        ).fetchone()
        stream, seq = row
        if stream is None:
            known = new.execute(
                "SELECT stream FROM summary WHERE lane = ? AND grain = ? ORDER BY first_tick DESC LIMIT 1",
                (lane, grain),
            ).fetchone()
            stream, seq = (known[0], 1) if known else (None, 1)
        last = new.execute("SELECT last_seq FROM stream WHERE epoch = ? AND stream = ?", (newest, stream)).fetchone()
        whole = stream is not None and (last is None or last[0] <= max(seq or 0, 1))
        if whole or (
            stream is None and not new.execute("SELECT 1 FROM summary LIMIT 1").fetchone() and _none_given(new)
        ):
            continue
        new.execute("UPDATE grain SET from_id = ? WHERE lane = ? AND grain = ?", (greatest + 1, lane, grain))


def _none_given(new: sqlite3.Connection) -> bool:
    """No summary was ever numbered: all windows are still open."""
    return (
        new.execute(
            "SELECT 1 FROM stream JOIN name ON name.id = stream WHERE text LIKE 'summary/%' AND last_seq > 0 LIMIT 1"
        ).fetchone()
        is None
    )

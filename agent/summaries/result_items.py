"""Result rows become items on `result/{lane}`: columns of up to 1,000 rows, where `[sync] results = true`. A hook, like those beside it.

An item is made when 1,000 rows of a lane are together, or when its oldest has waited for a minute. It holds rows of one boot. How far each lane
has got stands in the table `grain`, under grain -1. While the running boot does not know the time, its rows wait; when it never learns it, they
go undated in a later boot.
"""

import itertools
import sqlite3
from base64 import b64encode
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from agent.messages.envelope import encode
from agent.messages.results import Results
from agent.messages.times import text_ms
from agent.store import items
from agent.store.transaction import Hook, Transaction
from agent.summaries.bodies import now_text, quality
from agent.summaries.rows import Rows
from agent.summaries.windows import utc_of

MOST_ROWS = 1_000
WAIT_US = 60_000_000
_GRAIN = -1

_ROWS = (
    "SELECT id, boot, at_us, model, label, score_e4, x0_e4, y0_e4, x1_e4, y1_e4, track, value, extra FROM result"
    f" WHERE id > ? AND lane = ? ORDER BY id LIMIT {MOST_ROWS}"
)
_MOVE = f"INSERT INTO grain (lane, grain, from_id) VALUES (?, {_GRAIN}, ?) ON CONFLICT (lane, grain) DO UPDATE SET from_id = excluded.from_id"


def stream_of(lane: str) -> str:
    return f"result/{lane}"


def hook(lanes: Collection[str]) -> Hook:
    """The hook for `open_store`. lanes: whose results are sent."""
    return ResultItems(lanes).make_items


class _Waiting(msgspec.Struct):
    """What is known of a lane without looking: rows up to `seen` were counted; the oldest that waits was stored at this boot time."""

    seen: int
    count: int = 0
    since_us: int = 0


class ResultItems:
    def __init__(self, lanes: Collection[str]) -> None:
        self._lanes = tuple(lanes)
        self._rows = Rows()
        self._waiting: dict[str, _Waiting] = {}

    def make_items(self, transaction: Transaction) -> None:
        connection, known = transaction.connection, transaction.utc_offset_us is not None
        for lane in self._lanes:
            number = transaction.name("lane", lane)
            waiting = self._waiting.get(lane)
            if (
                waiting is None or waiting.seen > transaction.last_id
            ):  # a group was undone: what was counted is not there
                waiting = self._waiting[lane] = _Waiting(seen=self._done(connection, number, transaction))
            (new,) = connection.execute(
                "SELECT count(*) FROM result WHERE id > ? AND lane = ?", (waiting.seen, number)
            ).fetchone()
            if new and not waiting.count:
                waiting.since_us = transaction.now_us
            waiting.count, waiting.seen = waiting.count + new, transaction.last_id
            due = waiting.count and transaction.now_us - waiting.since_us >= WAIT_US
            if known and (waiting.count >= MOST_ROWS or due):
                self._make(transaction, lane, number)
                del self._waiting[lane]
                transaction.again = transaction.again or waiting.count > MOST_ROWS

    @staticmethod
    def _done(connection: sqlite3.Connection, lane: int, transaction: Transaction) -> int:
        """Up to which row items are made. A lane that is new here begins with the next row."""
        row = connection.execute("SELECT from_id FROM grain WHERE lane = ? AND grain = ?", (lane, _GRAIN)).fetchone()
        if row is not None:
            return int(row[0]) - 1
        (last,) = connection.execute(
            "SELECT coalesce(max(id), 0) FROM result WHERE id <= ?", (transaction.after_id,)
        ).fetchone()
        connection.execute(_MOVE, (lane, last + 1))
        return int(last)

    def _make(self, transaction: Transaction, lane: str, number: int) -> None:
        connection = transaction.connection
        after = self._done(connection, number, transaction)
        rows = connection.execute(_ROWS, (after, number)).fetchall()
        while rows:
            boot = rows[0][1]
            same = next((place for place, row in enumerate(rows) if row[1] != boot), len(rows))
            part, rows = rows[:same], rows[same:]
            self._rows.forget()
            stream = stream_of(lane)
            items.append(transaction, stream, partial(self._body, transaction, stream, part))
            connection.execute(_MOVE, (number, part[-1][0] + 1))

    def _body(self, transaction: Transaction, stream: str, rows: Sequence[tuple[Any, ...]], seq: int) -> bytes:
        connection = transaction.connection
        _, boots, times_us, models, labels, scores, *boxes, tracks, values, extras = zip(*rows, strict=True)
        clock = self._rows.clock(connection, boots[0])
        when_ms = [(utc_of(clock, at_us) if clock else at_us) // 1_000 for at_us in times_us]
        model_ids = sorted(set(models))
        label_ids = sorted({label for label in labels if label is not None})
        return encode(
            Results(
                d=transaction.device, epoch=transaction.epoch_text, st=stream, seq=seq, of=seq, at=now_text(transaction), boot=boots[0],
                tq=quality(clock, times_us[0]), n=len(rows),
                t=(text_ms(when_ms[0] * 1_000), text_ms(when_ms[-1] * 1_000)) if clock else None,
                mono=UNSET if clock else (times_us[0], times_us[-1]),
                dt=[0, *(after - before for before, after in itertools.pairwise(when_ms))],
                models=[self._rows.name(connection, one) for one in model_ids], labels=[self._rows.name(connection, one) for one in label_ids],
                m=_column([model_ids.index(one) for one in models]),
                l=_column([None if one is None else label_ids.index(one) for one in labels]),
                s=_column(scores),
                box=None if all(one is None for one in boxes[0]) else tuple(map(_column, boxes)),
                track=_column(tracks), value=_column(values),
                x=_column([None if one is None else b64encode(one).decode() for one in extras]),
            )
        )  # fmt: skip


def _column(values: Sequence[Any]) -> Any:
    """One value where all are the same."""
    return values[0] if all(one == values[0] for one in values) else list(values)

"""Event rows become items on `event/{lane}`: a hook that the store thread runs inside each group, after its rows and before its commit.

The start of an event says t = [start, null], its end [start, end]; each is an item of its own (`of` = its own number), told apart by
`phase`. An end whose start is not known says [end, end]. Which rows have had their item is kept in the store's table `grain`, under lane 0
and grain 0: "since which row it is made" is the same fact there as for a window. Nothing is made while UTC is unknown: the rows wait;
rows of a boot that never learnt the time stay without an item.
"""

import sqlite3
from collections.abc import Callable

import msgspec

from agent.messages import event as message
from agent.messages.envelope import Quality, encode, event_stream
from agent.messages.times import text_ms
from agent.records import Event
from agent.store import items
from agent.store.transaction import Hook, Transaction
from agent.summaries.bodies import now_text
from agent.summaries.rows import Rows
from agent.summaries.windows import row_in_force, utc_of

MOST_EVENTS = 1_000  # a group; the rest follows in the next ones
_START, _END = 0, 1

_EVENTS = "SELECT id, boot, at_us, lane, rule, phase, body FROM event WHERE id >= ? ORDER BY id LIMIT ?"
_START_BEFORE = (
    "SELECT boot, at_us FROM event WHERE id < ? AND lane = ? AND rule = ? AND phase = 0 ORDER BY id DESC LIMIT 1"
)
_FROM = "SELECT from_id FROM grain WHERE lane = 0 AND grain = 0"
_MOVE = "INSERT INTO grain (lane, grain, from_id) VALUES (0, 0, ?) ON CONFLICT (lane, grain) DO UPDATE SET from_id = excluded.from_id"

_decode = msgspec.json.Decoder(Event).decode


def hook() -> Hook:
    """The hook for `open_store`."""
    return EventItems().make_items


class EventItems:
    def __init__(self) -> None:
        self._rows = Rows()

    def make_items(self, transaction: Transaction) -> None:
        """At most MOST_EVENTS items. A row that is not what the store writes is named in `faults` and left out."""
        if transaction.utc_offset_us is None:
            return
        connection = transaction.connection
        row = connection.execute(_FROM).fetchone()
        rows = connection.execute(_EVENTS, (1 if row is None else row[0], MOST_EVENTS)).fetchall()
        if not rows:
            return
        self._rows.forget()  # a group with events is rare, and nothing remembered can be wrong
        for number, boot, at_us, lane, rule, phase, body in rows:
            if not self._rows.clock(connection, boot):
                continue
            stream = event_stream(self._rows.name(connection, lane))
            try:
                event = _decode(body)
            except msgspec.MsgspecError as error:
                transaction.faults[stream] = f"row {number}: {error}"
                continue
            began_us = self._began_us(connection, number, lane, rule) if phase == _END else None
            items.append(transaction, stream, self._make_body(transaction, stream, boot, at_us, phase, began_us, event))
        connection.execute(_MOVE, (rows[-1][0] + 1,))
        if len(rows) == MOST_EVENTS:
            transaction.again = True

    def _began_us(self, connection: sqlite3.Connection, number: int, lane: int, rule: int) -> int | None:
        """UTC of the start that an end belongs to: the newest of its rule before it, also of an earlier run or boot."""
        row = connection.execute(_START_BEFORE, (number, lane, rule)).fetchone()
        if row is None or not (clock := self._rows.clock(connection, row[0])):
            return None
        return utc_of(clock, row[1])

    def _make_body(
        self,
        transaction: Transaction,
        stream: str,
        boot: int,
        at_us: int,
        phase: int,
        began_us: int | None,
        event: Event,
    ) -> Callable[[int], bytes]:
        clock = self._rows.clock(transaction.connection, boot)
        row = row_in_force(clock, at_us)
        at_text = text_ms(utc_of(clock, at_us))

        def body(number: int) -> bytes:
            return encode(
                message.Event(
                    d=transaction.device,
                    epoch=transaction.epoch_text,
                    st=stream,
                    seq=number,
                    of=number,
                    rev=0,
                    at=now_text(transaction),
                    tq=Quality(s=row.source, e=row.error_ms),  # type: ignore[arg-type]  # the clock table has these words
                    boot=boot,
                    t=(at_text, None)
                    if phase == _START
                    else (at_text if began_us is None else text_ms(began_us), at_text),
                    rule=event.rule,
                    sev=event.severity,
                    phase="start" if phase == _START else "end",
                    track=event.track,
                    model=event.model,
                    label=event.label,
                    score=event.score,
                    box=event.box,
                    zone=event.zone,
                    media=None,
                )
            )

        return body

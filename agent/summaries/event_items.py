"""Event rows become items on `event/{lane}`: a hook that the store thread runs inside each group, after its rows and before its commit.

The start of an event says t = [start, null], its end [start, end]; each is an item of its own (`of` = its own number), told apart by
`phase`. An end whose start is not known says [end, end]. Which rows have had their item is kept in the store's table `grain`, under lane 0
and grain 0: "since which row it is made" is the same fact there as for a window. While UTC is unknown the rows wait for it, and go undated after
a while (`undated`); rows of a boot that never learnt the time go undated as soon as anything does.
"""

import sqlite3
from collections.abc import Callable

import msgspec
from msgspec import UNSET, UnsetType

from agent.messages import event as message
from agent.messages.envelope import encode, event_stream
from agent.messages.times import text_ms
from agent.records import Event
from agent.store import items
from agent.store.transaction import Hook, Transaction
from agent.summaries import undated
from agent.summaries.bodies import now_text, quality
from agent.summaries.rows import Rows
from agent.summaries.windows import utc_of

MOST_EVENTS = 1_000  # a group; the rest follows in the next ones
_START, _END = 0, 1

_EVENTS = "SELECT id, boot, at_us, lane, rule, phase, body FROM event WHERE id >= ? ORDER BY id LIMIT ?"
_START_BEFORE = (
    "SELECT boot, at_us FROM event WHERE id < ? AND lane = ? AND rule = ? AND phase = 0 ORDER BY id DESC LIMIT 1"
)
_FROM = "SELECT from_id FROM grain WHERE lane = 0 AND grain = 0"
_MOVE = "INSERT INTO grain (lane, grain, from_id) VALUES (0, 0, ?) ON CONFLICT (lane, grain) DO UPDATE SET from_id = excluded.from_id"

_decode = msgspec.json.Decoder(Event).decode


def hook(undated_after_us: int = undated.AFTER_US) -> Hook:
    """The hook for `open_store`."""
    return EventItems(undated_after_us).make_items


class EventItems:
    def __init__(self, undated_after_us: int) -> None:
        self._rows = Rows()
        self._after_us = undated_after_us
        self._patience = undated.Patience(undated_after_us)

    def make_items(self, transaction: Transaction) -> None:
        """At most MOST_EVENTS items. A row that is not what the store writes is named in `faults` and left out."""
        if not self._patience.begin(transaction, 0):
            return
        connection = transaction.connection
        row = connection.execute(_FROM).fetchone()
        rows = connection.execute(_EVENTS, (1 if row is None else row[0], MOST_EVENTS)).fetchall()
        if not rows:
            return
        self._rows.forget()  # a group with events is rare, and nothing remembered can be wrong
        done = 0
        for number, boot, at_us, lane, rule, phase, body in rows:
            dated = bool(self._rows.clock(connection, boot))
            if not dated and boot == transaction.boot and self._patience.now_us < at_us + self._after_us:
                break
            done += 1
            if "#" in self._rows.name(connection, rule):
                continue  # a part of a rule over several lanes (several.py)
            stream = event_stream(self._rows.name(connection, lane))
            try:
                event = _decode(body)
            except msgspec.MsgspecError as error:
                transaction.faults[stream] = f"row {number}: {error}"
                continue
            began = self._began(connection, number, lane, rule) if phase == _END else None
            items.append(transaction, stream, self._make_body(transaction, stream, boot, at_us, phase, began, event))
            if not dated and boot == transaction.boot:
                undated.remember(transaction)
        if done:
            connection.execute(_MOVE, (rows[done - 1][0] + 1,))
        if done == MOST_EVENTS:
            transaction.again = True

    @staticmethod
    def _began(connection: sqlite3.Connection, number: int, lane: int, rule: int) -> tuple[int, int] | None:
        """(boot, boot time) of the start that an end belongs to: the newest of its rule before it, also of an earlier run or boot."""
        found: tuple[int, int] | None = connection.execute(_START_BEFORE, (number, lane, rule)).fetchone()
        return found

    def _make_body(
        self,
        transaction: Transaction,
        stream: str,
        boot: int,
        at_us: int,
        phase: int,
        began: tuple[int, int] | None,
        event: Event,
    ) -> Callable[[int], bytes]:
        clock = self._rows.clock(transaction.connection, boot)
        its_clock = self._rows.clock(transaction.connection, began[0]) if began is not None else ()
        when: tuple[str, str | None] | None = None
        mono: tuple[int, int | None] | UnsetType = UNSET
        if clock:
            began_us = utc_of(its_clock, began[1]) if began is not None and its_clock else utc_of(clock, at_us)
            when = (text_ms(began_us), None if phase == _START else text_ms(utc_of(clock, at_us)))
        else:
            from_us = began[1] if began is not None and began[0] == boot else at_us
            mono = (from_us, None if phase == _START else at_us)

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
                    tq=quality(clock, at_us),
                    boot=boot,
                    t=when,
                    mono=mono,
                    rule=event.rule,
                    sev=event.severity,
                    phase="start" if phase == _START else "end",
                    track=event.track,
                    model=event.model,
                    label=event.label,
                    score=event.score,
                    box=event.box,
                    zone=event.zone,
                    line=event.line,
                    media=_media(event),
                )
            )

        return body


def _media(event: Event) -> message.Media | None:
    media = event.media
    return None if media is None else message.Media(ref=media.ref, digest=media.digest, bytes=media.bytes)

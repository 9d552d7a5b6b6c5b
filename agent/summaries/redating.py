"""What went out undated gets its time: a hook that comes after those that make items.

When the running boot learns the time, each item of the running epoch that went out without it is corrected: the same `of`, `rev` + 1, the stored
content with UTC. A window keeps its bounds, so in UTC it begins at no multiple of its grain. Items of earlier epochs, and of boots that never
learnt the time, stay as they are for ever: no number is given in an old epoch.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from agent.messages.envelope import Unreadable, decode, encode
from agent.messages.event import Event
from agent.messages.summary import Gap, Summary
from agent.messages.times import text_ms
from agent.store import items, kept
from agent.store.transaction import Hook, Transaction
from agent.summaries.bodies import now_text, quality
from agent.summaries.rows import Rows
from agent.summaries.windows import ClockRow, utc_of, utc_of_end

MOST_ITEMS = 500  # a group; the rest follows in the next ones
_KINDS: dict[str, type[Summary] | type[Gap] | type[Event]] = {"summary": Summary, "event": Event}

_ITEMS = (
    "SELECT item.id, item.seq, item.stream, name.text, item.body FROM item JOIN name ON name.id = item.stream"
    f" WHERE item.id >= ? AND item.epoch = ? AND item.of = item.seq ORDER BY item.id LIMIT {MOST_ITEMS}"
)
_DATED = "UPDATE summary SET dated = 1, start_us = ?, rev = rev + 1, seq = ? WHERE epoch = ? AND stream = ? AND seq = ? AND dated = 0"


def hook() -> Hook:
    """The hook for `open_store`."""
    return date_items


def date_items(transaction: Transaction) -> None:
    connection = transaction.connection
    text = kept.read(connection, kept.UNDATED)
    if text is None:
        return
    epoch, from_id = map(int, text.split())
    if epoch != transaction.epoch:
        kept.drop(transaction, kept.UNDATED)  # they stay undated
        return
    rows = Rows()
    clock = rows.clock(connection, transaction.boot)
    if not clock:
        return
    transaction.again = True  # what is merged of finer windows goes on with them
    found = connection.execute(_ITEMS, (from_id, epoch)).fetchall()
    for _, seq, stream, text, body in found:
        _date(transaction, clock, seq, stream, text, bytes(body))
    if len(found) == MOST_ITEMS:
        kept.write(transaction, kept.UNDATED, f"{epoch} {found[-1][0] + 1}")
        return
    kept.drop(transaction, kept.UNDATED)
    _date_windows(connection, transaction, clock)


def _date(transaction: Transaction, clock: Sequence[ClockRow], seq: int, stream: int, text: str, body: bytes) -> None:
    kind = _KINDS.get(text.partition("/")[0])
    if kind is None:
        return
    wanted: Any = Gap if b'"k":"gap"' in body else kind
    try:
        item: Summary | Gap | Event = decode(body, wanted)
    except Unreadable:
        return  # its digest will not match: the sender calls it lost
    if item.boot != transaction.boot:
        return
    when = _when(clock, item)
    if when is None:
        return

    def make(number: int) -> bytes:
        return encode(
            msgspec.structs.replace(
                item,
                seq=number,
                of=seq,
                rev=item.rev + 1,
                at=now_text(transaction),
                tq=quality(clock, clock[0].from_us),
                **when,
            )
        )

    number = items.append(transaction, text, make, of=seq)
    if isinstance(item, Summary):
        assert isinstance(item.mono, tuple)
        connection = transaction.connection
        connection.execute(_DATED, (utc_of(clock, item.mono[0]), number, transaction.epoch, stream, seq))


def _when(clock: Sequence[ClockRow], item: Summary | Gap | Event) -> dict[str, Any] | None:
    """The keys that tell the time, known now. None: they are there already."""
    if not isinstance(item.mono, tuple):
        return None
    if isinstance(item, Summary):
        start_us, end_us = item.mono
        return {"w": (text_ms(utc_of(clock, start_us)), (end_us - start_us) // 1_000_000)}
    if isinstance(item, Gap):
        return {"gap": (item.gap[0], text_ms(utc_of_end(clock, item.mono[1])))}
    start_us, ended_us = item.mono
    return {"t": (text_ms(utc_of(clock, start_us)), None if ended_us is None else text_ms(utc_of(clock, ended_us)))}


def _date_windows(connection: sqlite3.Connection, transaction: Transaction, clock: Sequence[ClockRow]) -> None:
    """Windows whose item is gone: nothing is left to correct."""
    for stream, seq, start_us in connection.execute(
        "SELECT stream, seq, start_us FROM summary WHERE epoch = ? AND dated = 0 AND boot = ?",
        (transaction.epoch, transaction.boot),
    ).fetchall():
        connection.execute(
            "UPDATE summary SET dated = 1, start_us = ? WHERE epoch = ? AND stream = ? AND seq = ? AND dated = 0",
            (utc_of(clock, start_us), transaction.epoch, stream, seq),
        )

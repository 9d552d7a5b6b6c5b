"""What the sender and the ledger ask beside the items themselves: which streams have something to send, what became of a number."""

import sqlite3
from collections.abc import Iterable

import msgspec

from agent.store.reader import ranges as runs
from agent.store.transaction import Transaction


class OutStream(msgspec.Struct, frozen=True):
    """A stream of one epoch with the last number given in it."""

    epoch: int
    stream: int
    text: str
    last_seq: int


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """hi: the last number given in the stream, 0 when there is no such stream. lost: first, last, why."""

    hi: int
    lost: list[tuple[int, int, str]]


def running_streams(connection: sqlite3.Connection, epoch: int) -> list[OutStream]:
    """All streams of the running epoch, also those with nothing to send now."""
    rows = connection.execute(
        "SELECT epoch, stream, text, last_seq FROM stream JOIN name ON name.id = stream WHERE epoch = ?", (epoch,)
    )
    return [OutStream(*row) for row in rows]


def older_streams(connection: sqlite3.Connection, epoch: int) -> list[OutStream]:
    """Streams of epochs before this one that still have something to send; nothing is added to them any more."""
    rows = connection.execute(
        "SELECT epoch, stream, text, last_seq FROM stream JOIN name ON name.id = stream WHERE epoch < ? AND EXISTS"
        " (SELECT 1 FROM item WHERE item.epoch = stream.epoch AND item.stream = stream.stream AND item.state < 2)",
        (epoch,),
    )
    return [OutStream(*row) for row in rows]


def has_more(connection: sqlite3.Connection, epoch: int, stream: int, count: int) -> bool:
    """Whether more items than this wait in a stream."""
    return (
        connection.execute(
            "SELECT 1 FROM item WHERE epoch = ? AND stream = ? AND state < 2 LIMIT 1 OFFSET ?", (epoch, stream, count)
        ).fetchone()
        is not None
    )


def unsettled_epochs(connection: sqlite3.Connection) -> set[int]:
    """Epochs with items that are not acknowledged."""
    return {int(row[0]) for row in connection.execute("SELECT DISTINCT epoch FROM item WHERE state < 2")}


def raise_ledger_numbers(transaction: Transaction, epochs: Iterable[int] | None) -> None:
    """Raises the ledger number of older epochs whose entries may have changed (None: of all), so that the newer entry wins."""
    connection, running = transaction.connection, transaction.epoch
    if epochs is None:
        connection.execute("UPDATE epoch SET ledger_n = ledger_n + 1 WHERE id <> ?", (running,))
    else:
        changed = (set(epochs) | unsettled_epochs(connection)) - {running}
        connection.executemany("UPDATE epoch SET ledger_n = ledger_n + 1 WHERE id = ?", ((one,) for one in changed))


def fate(connection: sqlite3.Connection, epoch_text: str, stream_text: str) -> Fate:
    """What is known of a stream's numbers beside its items."""
    found = connection.execute(
        "SELECT stream.epoch, stream.stream, last_seq, folded FROM stream JOIN epoch ON epoch.id = stream.epoch"
        " JOIN name ON name.id = stream.stream WHERE epoch.text = ? AND name.kind = 'stream' AND name.text = ?",
        (epoch_text, stream_text),
    ).fetchone()
    if found is None:
        return Fate(hi=0, lost=[])
    epoch, stream, hi, folded = found
    lost: list[tuple[int, int, str]] = connection.execute(
        "SELECT first, last, why FROM lost WHERE epoch = ? AND stream = ? ORDER BY first", (epoch, stream)
    ).fetchall()
    if folded:  # nothing of it is here: what no range names was sent, long ago
        starts = [1, *(last + 1 for _, last, _ in lost)]
        ends = [*(first - 1 for first, _, _ in lost), hi]
        lost += [(first, last, "sent") for first, last in zip(starts, ends, strict=True) if first <= last]
    return Fate(hi=hi, lost=sorted(lost))


def held_of(
    connection: sqlite3.Connection, epoch_text: str, stream_text: str, ranges: Iterable[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Which of these numbers of a stream are held back."""
    numbers: list[int] = []
    for first, last in ranges:
        rows = connection.execute(
            "SELECT item.seq FROM item JOIN epoch ON epoch.id = item.epoch JOIN name ON name.id = item.stream WHERE epoch.text = ?"
            " AND name.kind = 'stream' AND name.text = ? AND item.seq BETWEEN ? AND ? AND item.state = 3 ORDER BY item.seq",
            (epoch_text, stream_text, first, last),
        )
        numbers += [seq for (seq,) in rows]
    return runs(numbers)

"""Items: numbered bodies waiting for, or gone through, the network. A number is given in the transaction that stores its bytes.

Numbers count from 1 in each (epoch, stream), without gaps: they are kept in `stream`, apart from the items, so that they never go back
when items are deleted. This file knows bytes, not what they mean.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Sequence

import msgspec

from agent.store import trusted
from agent.store.lost import lose
from agent.store.transaction import Transaction

__all__ = ["Item", "append", "draw_ledger_number", "draw_session", "items_at", "lose", "mark_acknowledged", "mark_handed",
           "mark_lost_corrupt", "next_items"]  # fmt: skip

PENDING, HANDED, ACKNOWLEDGED, HELD = 0, 1, 2, 3

_COLUMNS = "item.id, item.epoch, item.stream, name.text, item.seq, item.of, item.state, item.body, item.digest"
# Ids as one JSON text: one statement for all of them, during which the other threads run, where each statement of its own would stop them once.
_LISTED = "SELECT value FROM json_each(?)"


class Item(msgspec.Struct, frozen=True):
    """One stored item. state: 0 pending, 1 handed to a broker, 2 acknowledged, 3 held back. digest: SHA-256 of body, as stored."""

    id: int
    epoch: int
    stream: int
    stream_text: str
    seq: int
    of: int
    state: int
    body: bytes
    digest: bytes

    @property
    def intact(self) -> bool:
        """Whether the bytes are still those that were numbered; to be asked before each sending."""
        return hashlib.sha256(self.body).digest() == self.digest


def append(transaction: Transaction, stream: str, make_body: Callable[[int], bytes], *, of: int | None = None) -> int:
    """Stores an item under the stream's next number in the running epoch and gives that number. `of`: the number it corrects."""
    connection, stream_id = transaction.connection, transaction.name("stream", stream)
    seq = int(
        connection.execute(
            "INSERT INTO stream (epoch, stream, last_seq) VALUES (?, ?, 1)"
            " ON CONFLICT (epoch, stream) DO UPDATE SET last_seq = last_seq + 1 RETURNING last_seq",
            (transaction.epoch, stream_id),
        ).fetchone()[0]
    )
    body = make_body(seq)
    connection.execute(
        "INSERT INTO item (epoch, stream, seq, of, state, made_us, digest, body) VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
        (
            transaction.epoch, stream_id, seq, seq if of is None else of, transaction.now_us, hashlib.sha256(body).digest(), body,
        ),
    )  # fmt: skip
    return seq


def next_items(
    connection: sqlite3.Connection, epoch: int, stream: int, after_seq: int, limit: int, max_bytes: int
) -> list[Item]:
    """Items not yet acknowledged or held, above `after_seq`, in order: at most `limit`, at most `max_bytes` of bodies but at least one."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM item JOIN name ON name.id = item.stream"
        " WHERE item.epoch = ? AND item.stream = ? AND item.seq > ? AND item.state < 2 ORDER BY item.seq LIMIT ?",
        (epoch, stream, after_seq, limit),
    )
    return _until(rows, max_bytes)


def items_below(
    connection: sqlite3.Connection, epoch: int, stream: int, below: int, above: int, limit: int, max_bytes: int
) -> list[Item]:
    """As `next_items`, downwards: items not yet acknowledged or held between two numbers, the newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM item JOIN name ON name.id = item.stream"
        " WHERE item.epoch = ? AND item.stream = ? AND item.seq < ? AND item.seq > ? AND item.state < 2 ORDER BY item.seq DESC LIMIT ?",
        (epoch, stream, below, above, limit),
    )
    return _until(rows, max_bytes)


def items_at(
    connection: sqlite3.Connection,
    epoch_text: str,
    stream_text: str,
    ranges: Iterable[tuple[int, int]],
    max_bytes: int = 1 << 20,
) -> list[Item]:
    """The items of the numbers asked for, in any state, in order; numbers without an item are left out. At most `max_bytes`, at least one."""
    items: list[Item] = []
    for first, last in ranges:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM item JOIN name ON name.id = item.stream JOIN epoch ON epoch.id = item.epoch"
            " WHERE epoch.text = ? AND name.kind = 'stream' AND name.text = ? AND item.seq BETWEEN ? AND ? ORDER BY item.seq",
            (epoch_text, stream_text, first, last),
        )
        items += _until(rows, max_bytes - sum(len(item.body) for item in items), none=bool(items))
    return items


def _until(rows: Iterable[tuple[object, ...]], max_bytes: int, *, none: bool = False) -> list[Item]:
    items: list[Item] = []
    size = 0
    for row in rows:
        item = Item(*row)  # type: ignore[arg-type]  # the columns of STRICT tables
        size += len(item.body)
        if size > max_bytes and (items or none):
            break
        items.append(item)
    return items


def mark_handed(transaction: Transaction, ids: Sequence[int]) -> set[int]:
    """Durable before the bytes leave: a number that left is never given to other bytes, nor called never sent.

    Gives the ids that are no longer here: they became lost since they were read, and must not leave any more.
    """
    connection, listed = transaction.connection, msgspec.json.encode(list(ids)).decode()
    connection.execute(f"UPDATE item SET state = 1 WHERE id IN ({_LISTED}) AND state IN (0, 3)", (listed,))
    here = connection.execute(f"SELECT id FROM item WHERE id IN ({_LISTED})", (listed,))
    return set(ids).difference(number for (number,) in here)


def mark_acknowledged(transaction: Transaction, ids: Sequence[int]) -> None:
    """Their `keep_sent` begins."""
    now_us = trusted.utc_us(transaction.connection, transaction.boot, transaction.now_us)
    transaction.connection.execute(
        f"UPDATE item SET state = 2, acknowledged_us = ? WHERE id IN ({_LISTED}) AND state < 2",
        (now_us, msgspec.json.encode(list(ids)).decode()),
    )


def mark_lost_corrupt(transaction: Transaction, item: Item) -> None:
    """Takes an item out whose bytes no longer match their digest; its number becomes lost, with unknown totals."""
    gone = transaction.connection.execute("DELETE FROM item WHERE id = ? RETURNING id", (item.id,)).fetchone()
    if gone is not None:  # else it became lost meanwhile
        lose(transaction, item.epoch, item.stream, item.seq, item.seq, "corrupt")


def draw_ledger_number(transaction: Transaction) -> int:
    """The running epoch's next ledger number; durable when the ticket returns."""
    return int(
        transaction.connection.execute(
            "UPDATE epoch SET ledger_n = ledger_n + 1 WHERE id = ? RETURNING ledger_n", (transaction.epoch,)
        ).fetchone()[0]
    )


def draw_session(transaction: Transaction) -> int:
    """The running epoch's next session number: durable before CONNECT, it never falls within an epoch."""
    session = int(
        transaction.connection.execute(
            "UPDATE epoch SET sess = sess + 1 WHERE id = ? RETURNING sess", (transaction.epoch,)
        ).fetchone()[0]
    )
    transaction.session = session
    return session

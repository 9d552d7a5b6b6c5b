"""Epochs that are over and empty. What is left of one in the end is its row, with its parent and reason, and the last number of each stream."""

from agent.store import trusted
from agent.store.lost import SENT
from agent.store.transaction import Transaction

_AT_ONCE = 100


def fold_epochs(transaction: Transaction, keep_sent_s: float) -> None:
    """Notes which older epochs have no item any more, and when; after `keep_sent` takes out which of their numbers were sent and are gone.

    Ranges of other reasons stay: their totals are told nowhere else.
    """
    connection = transaction.connection
    now_us = trusted.utc_us(connection, transaction.boot, transaction.now_us)
    settled_us = trusted.settled_utc_us(connection, transaction.boot, transaction.now_us)
    if now_us is None or settled_us is None:
        return
    connection.execute(
        "UPDATE epoch SET empty_us = ? WHERE id IN (SELECT id FROM epoch WHERE id <> ? AND empty_us IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM item WHERE item.epoch = epoch.id) ORDER BY id LIMIT ?)",
        (now_us, transaction.epoch, _AT_ONCE),
    )
    over = connection.execute(
        "SELECT id FROM epoch WHERE folded = 0 AND empty_us <= ? ORDER BY id LIMIT ?",
        (settled_us - round(keep_sent_s * 1e6), _AT_ONCE),
    ).fetchall()
    for (epoch,) in over:
        connection.execute("DELETE FROM lost WHERE epoch = ? AND why = ?", (epoch, SENT))
        connection.execute("UPDATE epoch SET folded = 1 WHERE id = ?", (epoch,))

"""Gap items: the first of each summary stream in an epoch tells since when, and until when, nothing is known of the lane here."""

from agent.store import items
from agent.store.transaction import Transaction
from agent.summaries import bodies, undated
from agent.summaries.rows import Rows
from agent.summaries.windows import utc_of_end


def append_gap(transaction: Transaction, rows: Rows, stream: str, lane: int, from_id: int) -> None:
    """From the lane's last tick before this epoch to the start of its first one of this stream; to now where it has none yet.

    from_id: the stream is made of the lane's rows from there on.
    """
    connection = transaction.connection
    clock = rows.clock(connection, transaction.boot)
    last = connection.execute(
        "SELECT boot, at_us FROM tick WHERE id <= ? AND lane = ? ORDER BY id DESC LIMIT 1",
        (_told_to(transaction, stream, lane, from_id), lane),
    ).fetchone()
    from_us = None
    if last is not None and (its_clock := rows.clock(connection, last[0])):
        from_us = utc_of_end(its_clock, last[1])
    first = connection.execute(
        "SELECT at_us - alive_us FROM tick WHERE id > ? AND lane = ? ORDER BY id LIMIT 1",
        (max(transaction.after_id, from_id - 1), lane),
    ).fetchone()
    to_us = transaction.now_us if first is None else first[0]
    items.append(transaction, stream, bodies.make_gap(transaction, stream, clock=clock, from_us=from_us, to_us=to_us))
    if not clock:
        undated.remember(transaction)


def _told_to(transaction: Transaction, stream: str, lane: int, from_id: int) -> int:
    """The tick up to which the stream tells of the lane.

    Epochs that ended before their first item of the stream have not told since when nothing was known before them: this one does. And after
    damage that took summaries with it, rows behind them are told by none.
    """
    connection, name = transaction.connection, transaction.name("stream", stream)
    (told,) = connection.execute(
        "SELECT min(after_id) FROM epoch WHERE id > coalesce((SELECT max(epoch) FROM stream WHERE stream = ? AND epoch < ?), 0)",
        (name, transaction.epoch),
    ).fetchone()
    corrupt = connection.execute(
        "SELECT 1 FROM epoch WHERE id = ? AND why = 'corrupt'", (transaction.epoch,)
    ).fetchone()
    if from_id <= transaction.after_id or not corrupt:
        return int(told)
    (last,) = connection.execute(
        "SELECT max(last_tick) FROM summary WHERE lane = ? AND stream = ?", (lane, name)
    ).fetchone()
    return min(int(told), int(last or 0))

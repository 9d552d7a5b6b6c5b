"""Rows without a time: how long they wait for it, and in which windows they go when it does not come.

A window of the running boot goes out undated, by boot time, when a tick of its lane is 15 minutes past its end and no fix was there yet. Rows
of earlier boots that never learnt the time go out undated as soon as anything does. That follows from the rows: a fix says which rows were
there before it (`clock.after_id`), so it does not matter how commits were grouped, nor when the agent was killed.
"""

import sqlite3

from agent.store import kept
from agent.store.transaction import Transaction
from agent.summaries.rows import Rows
from agent.summaries.windows import SECOND_US, boot_window_start

AFTER_US = 900 * SECOND_US

_FIRST = "SELECT at_us FROM tick WHERE id > ? ORDER BY id LIMIT 1"
_LATEST = "SELECT max(id), max(at_us) FROM tick WHERE id > ?"
_NEWEST = "SELECT at_us FROM tick WHERE id BETWEEN ? AND ? AND lane = ? ORDER BY id DESC LIMIT 1"


class Patience:
    """One for a hook. `begin` in each group."""

    def __init__(self, after_us: int = AFTER_US) -> None:
        self._after_us = after_us
        self._began_us: int | None = None
        self._newest: dict[tuple[int, int], int] = {}
        self._start_tick = self._seen_id = self._latest_us = 0
        self.now_us = 0

    def begin(self, transaction: Transaction, start_tick: int) -> bool:
        """False while nothing can go out: the time is unknown, and there is hope. start_tick: the newest tick of earlier runs of the agent.

        now_us is then the latest boot time known here: a group's rows may be younger than its beginning.
        """
        self._newest.clear()
        self._start_tick = start_tick
        if self._began_us is None:
            self._began_us = transaction.now_us
        self.now_us = transaction.now_us
        if transaction.utc_offset_us is not None:
            return True
        connection = transaction.connection
        first = connection.execute(_FIRST, (transaction.after_id,)).fetchone()
        since_us = self._began_us if first is None else min(self._began_us, first[0])
        seen_id, at_us = connection.execute(_LATEST, (max(self._seen_id, transaction.after_id),)).fetchone()
        if seen_id is not None:
            self._seen_id, self._latest_us = seen_id, max(self._latest_us, at_us)
        self.now_us = max(self.now_us, self._latest_us)
        return self.now_us >= since_us + self._after_us

    def dating(
        self, transaction: Transaction, rows: Rows, lane: int, grain_s: int, tick: int, boot: int, at_us: int
    ) -> bool | int:
        """True: by UTC. False: without it. A number: it waits, at least to this boot time."""
        connection = transaction.connection
        clock = rows.clock(connection, boot)
        if clock and tick > clock[0].after_id:
            return True
        due_us = boot_window_start(at_us, grain_s) + grain_s * SECOND_US + self._after_us
        if clock:
            return due_us > self._newest_us(connection, lane, tick, clock[0].after_id)
        if boot != transaction.boot or due_us <= self._newest_us(connection, lane, tick, transaction.last_id):
            return False
        # The lane may have ended: then no tick of it will come.
        return False if tick <= self._start_tick and due_us <= self.now_us else due_us

    def _newest_us(self, connection: sqlite3.Connection, lane: int, tick: int, last: int) -> int:
        """Boot time of the lane's newest tick up to an id. tick: one of them."""
        found = self._newest.get((lane, last))
        if found is None:
            found = self._newest[lane, last] = connection.execute(_NEWEST, (tick, last, lane)).fetchone()[0]
        return found


def remember(transaction: Transaction) -> None:
    """The item that is the store's newest went out undated and may still get its time: `redating` looks from there on."""
    if kept.read(transaction.connection, kept.UNDATED) is None:
        (newest,) = transaction.connection.execute("SELECT max(id) FROM item").fetchone()
        kept.write(transaction, kept.UNDATED, f"{transaction.epoch} {newest}")
    if transaction.utc_offset_us is not None:
        transaction.again = True  # the fix is there already

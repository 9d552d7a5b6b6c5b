"""Keeps the store within its bounds: what goes first, and when. Runs on the store thread after groups, in transactions of a few milliseconds.

Bounds  `max_bytes`: pages in use and the log. `keep_free`: free space of the file system; it acts from a tenth above. `max_age`: of rows that
        are summed up. `keep_sent`: of acknowledged items. Ages are settled time (trusted.py): a leap of the clock makes nothing old.
Order   when there is too much: 1. raw rows whose summaries are acknowledged; 2. raw rows that are summed up; 3. rows of earlier boots that
        never learnt the time; 4. acknowledged items. When that is not enough, results are no longer stored (their inputs count as dropped).
        Only at the bound itself, or when the disk is all but full: 5. items not acknowledged; 6. those of events and audit; 7. results of
        windows that are open. Oldest first in each. By age: 2 and 4 alone, so nothing that was not sent goes by age.
Says    raw rows are counted in `removed` by lane and reason; items become ranges of `lost` in the same transaction.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from agent.clock import Clock
from agent.store import item_removal, raw_rows, trusted
from agent.store.epochs import fold_epochs
from agent.store.item_removal import Row
from agent.store.lost import DISK_FULL, RETENTION
from agent.store.raw_classes import Aged, RawClasses, remove_open
from agent.store.settings import Config
from agent.store.space import Holes, Size, measure
from agent.store.totals import Totals
from agent.store.transaction import Transaction

_PASS_US = 600_000_000
_SLICE_US = 8_000
_ITEMS, _MOST_SLICES = 200, 5
# Of max_bytes: it begins, it ends, results are not stored, they are again, what was not sent goes.
_BEGIN, _END, _FULL, _NOT_FULL, _LAST = 0.95, 0.90, 0.97, 0.95, 1.0
_FREE_BEGIN, _FREE_END = 1.1, 1.15
# The disk is all but full: what was not sent goes before nothing at all can be stored.
_LAST_FREE_BYTES = 4_000_000
_LOG_BYTES = 4_194_304
# Holes are made of free pages when the file holds so many bytes of them, and so large a share; sooner while space is low.
_HOLES_BYTES, _HOLES_SHARE, _HOLES_LOW_BYTES = 1_000_000, 0.2, 65_536

log = logging.getLogger(__name__)


class Retention:
    """One for the store thread. more: there is more to do at once. full: `max_bytes` leaves no room for results."""

    def __init__(self, path: Path, settings: Config, clock: Clock, totals: Totals | None, holes: Holes) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._totals = totals
        self._holes = holes
        self.more = False
        self.full = False
        self._pressing: str | None = None
        self._classes = RawClasses()
        self._aged: Aged | None = None
        self._pass_us = 0

    def run(self, transaction: Transaction, free_bytes: int) -> None:
        """free_bytes: of the file system. sqlite3.Error: nothing of this slice is kept, and the next call tries again."""
        connection = transaction.connection
        transaction.now_us = self._clock.boot_us()
        size = measure(connection, self._path)
        why = self._pressed(size, free_bytes)
        self.more = False
        if why is not None or transaction.now_us >= self._pass_us:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self.more = self._work(transaction, why, free_bytes)
                connection.execute("COMMIT")
            except BaseException:
                # What this object knows of slices that are undone is wrong.
                self._classes, self._aged = RawClasses(), None
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            size = measure(connection, self._path)
        low = free_bytes < self._settings.keep_free * _FREE_END
        if size.held_bytes >= (_HOLES_LOW_BYTES if low else max(_HOLES_BYTES, _HOLES_SHARE * size.live_bytes)):
            self._holes.give_back(connection)

    def _pressed(self, size: Size, free_bytes: int) -> str | None:
        """Why rows must go now."""
        most, before = self._settings.max_bytes, self._pressing
        self._pressing = None
        if most is not None and _used(size, most) > most * (_END if before == RETENTION else _BEGIN):
            self._pressing = RETENTION
        elif free_bytes + size.held_bytes < self._settings.keep_free * (
            _FREE_END if before == DISK_FULL else _FREE_BEGIN
        ):
            self._pressing = DISK_FULL
        self.full = self.full and most is not None and _used(size, most) > most * _NOT_FULL
        return self._pressing

    def _work(self, transaction: Transaction, why: str | None, free_bytes: int) -> bool:
        """Slices until the time is over. False when there is nothing more to do now."""
        until_us = transaction.now_us + _SLICE_US
        for _ in range(_MOST_SLICES):
            if not ((why is not None and self._press(transaction, why, free_bytes)) or self._pass(transaction)):
                return False
            if self._clock.boot_us() >= until_us:
                break
        return True

    def _press(self, transaction: Transaction, why: str, free_bytes: int) -> bool:
        """One slice of what goes first now. False when nothing may go."""
        if self._classes.press(transaction, why) or self._items(transaction, why, acknowledged=True):
            return True
        most = self._settings.max_bytes
        size = measure(transaction.connection, self._path)  # slices before this one may have been enough
        if why == RETENTION and most is not None:
            used = _used(size, most)
            self.full = self.full or used > most * _FULL
            last = used > most * _LAST
        else:
            last = free_bytes + size.held_bytes < min(_LAST_FREE_BYTES, self._settings.keep_free)
        if not last:
            return False
        return (
            item_removal.forget_summaries(transaction, raw_rows.first_id(transaction.connection)) > 0
            or self._items(transaction, why)
            or self._items(transaction, why, last_streams=True)
            or remove_open(transaction)
        )

    def _items(
        self,
        transaction: Transaction,
        why: str,
        *,
        acknowledged: bool = False,
        last_streams: bool = False,
        before_us: int | None = None,
    ) -> bool:
        """Some of the oldest. before_us: only groups of which all were acknowledged before this UTC."""
        connection = transaction.connection
        stay = item_removal.needed(connection)
        for epoch in item_removal.epochs(connection):
            if acknowledged:
                rows = item_removal.oldest_acknowledged(connection, epoch, _ITEMS, stay)
                if before_us is not None:
                    item_removal.date(transaction, rows)
            else:
                rows = item_removal.oldest_unacknowledged(connection, epoch, _ITEMS, stay, last_streams=last_streams)
            groups = [
                group
                for group in item_removal.whole_groups(connection, rows)
                if not any((row.epoch, row.stream, row.seq) in stay for row in group)
                and (not acknowledged or _all_acknowledged(group, before_us))
            ]
            if groups:
                item_removal.remove(transaction, groups, why, self._totals)
                return True
        return False

    def _pass(self, transaction: Transaction) -> bool:
        """A slice of what is looked for every ten minutes: rows older than `max_age`, items acknowledged longer than `keep_sent` ago, what
        is left of epochs and windows of which nothing else is. False when that is done.
        """
        if transaction.now_us < self._pass_us:
            return False
        connection, age_s = transaction.connection, self._settings.max_age
        if age_s is not None:
            self._aged = self._aged or Aged(transaction, age_s)
            if self._aged.remove(transaction):
                return True
        settled_us = trusted.settled_utc_us(connection, transaction.boot, transaction.now_us)
        if settled_us is not None:
            before_us = settled_us - round(self._settings.keep_sent * 1e6)
            if self._items(transaction, RETENTION, acknowledged=True, before_us=before_us):
                return True
        if item_removal.forget_summaries(transaction, raw_rows.first_id(connection)):
            return True
        fold_epochs(transaction, self._settings.keep_sent)
        self._aged = None
        self._pass_us = transaction.now_us + _PASS_US
        return False


def _used(size: Size, most: int) -> int:
    """The log shrinks by itself; a reader that holds it open must not make rows go."""
    return size.live_bytes + min(size.log_bytes, _LOG_BYTES, most // 4)


def _all_acknowledged(group: Sequence[Row], before_us: int | None) -> bool:
    return all(
        row.state == 2 and (before_us is None or (row.acknowledged_us is not None and row.acknowledged_us <= before_us))
        for row in group
    )

"""Rows that are read again and again: clock rows, epochs, names. A cache that can be dropped at any time."""

import sqlite3

from agent.store.transaction import Transaction
from agent.summaries.windows import ClockRow, EpochSpan


class Rows:
    """`refresh` at the beginning of each group; the rest then answers from memory or reads what is missing."""

    def __init__(self) -> None:
        self._clock: dict[int, tuple[ClockRow, ...]] = {}
        self._names: dict[int, str] = {}
        self.epochs: tuple[EpochSpan, ...] = ()

    def refresh(self, transaction: Transaction) -> bool:
        """Reads what a group may have added. True when something that was known has changed, so that what was made of it may be wrong."""
        clock = _clock_rows(transaction.connection, transaction.boot)
        changed = self._clock.get(transaction.boot, clock) != clock
        self._clock[transaction.boot] = clock
        if not self.epochs or self.epochs[-1].id != transaction.epoch:
            self.epochs = tuple(
                EpochSpan(id=number, text=text, after_id=after_id)
                for number, text, after_id in transaction.connection.execute(
                    "SELECT id, text, after_id FROM epoch ORDER BY id"
                )
            )
        return changed

    def forget(self) -> None:
        self._clock.clear()
        self._names.clear()
        self.epochs = ()

    def clock(self, connection: sqlite3.Connection, boot: int) -> tuple[ClockRow, ...]:
        """The clock rows of a boot by `from_us`; none: it never learnt the time. Only the running boot still gets new ones."""
        rows = self._clock.get(boot)
        if rows is None:
            rows = self._clock[boot] = _clock_rows(connection, boot)
        return rows

    def name(self, connection: sqlite3.Connection, number: int) -> str:
        text = self._names.get(number)
        if text is None:
            row = connection.execute("SELECT text FROM name WHERE id = ?", (number,)).fetchone()
            text = self._names[number] = str(row[0])
        return text


def last_number(connection: sqlite3.Connection, epoch: int, stream: int) -> int:
    """The last number given in a stream of an epoch, 0 for none."""
    row = connection.execute("SELECT last_seq FROM stream WHERE epoch = ? AND stream = ?", (epoch, stream)).fetchone()
    return 0 if row is None else int(row[0])


def _clock_rows(connection: sqlite3.Connection, boot: int) -> tuple[ClockRow, ...]:
    return tuple(
        ClockRow(from_us=from_us, utc_offset_us=offset_us, source=source, error_ms=error_ms, after_id=after_id)
        for from_us, offset_us, source, error_ms, after_id in connection.execute(
            "SELECT from_us, utc_offset_us, source, error_ms, after_id FROM clock WHERE boot = ? ORDER BY from_us",
            (boot,),
        )
    )

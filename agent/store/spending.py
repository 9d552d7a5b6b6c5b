"""The table `spent`: bytes that the link carried, by period of UTC (month "2026-11", day "2026-11-25", hour "2026-11-25T08"), and by what
for. A period's row is added to and never set back.
"""

import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from agent.store import trusted
from agent.store.transaction import Transaction

# So many rows of each kind stay: a year of months, two months of days, two days of hours.
_KEEP = ((7, 13), (10, 62), (13, 48))


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """sent, received: bytes. parts: bytes by kind; what no kind explains (pings, handshakes, other programs) is the rest."""

    sent: int = 0
    received: int = 0
    parts: dict[str, int] = {}

    @property
    def total(self) -> int:
        return self.sent + self.received

    def plus(self, sent: int, received: int, parts: Mapping[str, int]) -> "Spent":
        added = dict(self.parts)
        for kind, count in parts.items():
            added[kind] = added.get(kind, 0) + count
        return Spent(sent=self.sent + sent, received=self.received + received, parts=added)


class Time(msgspec.Struct, frozen=True, kw_only=True):
    """UTC in microseconds, None when no time was ever known. settled: a leap forward is believed after a day only. dated: whether this boot
    has had a good reading.
    """

    greatest_us: int | None
    settled_us: int | None
    dated: bool


def time(connection: sqlite3.Connection, boot: int, now_us: int) -> Time:
    return Time(
        greatest_us=trusted.utc_us(connection, boot, now_us),
        settled_us=trusted.settled_utc_us(connection, boot, now_us),
        dated=connection.execute("SELECT 1 FROM trusted WHERE boot = ?", (boot,)).fetchone() is not None,
    )


def read(connection: sqlite3.Connection, periods: Iterable[str]) -> dict[str, Spent]:
    """The rows of these periods; Spent() for those without."""
    found: dict[str, Spent] = {}
    for period in periods:
        row = connection.execute("SELECT sent, received, parts FROM spent WHERE period = ?", (period,)).fetchone()
        found[period] = (
            Spent()
            if row is None
            else Spent(sent=row[0], received=row[1], parts=msgspec.json.decode(row[2], type=dict[str, int]))
        )
    return found


def write(transaction: Transaction, rows: Mapping[str, Spent]) -> None:
    """Sets the rows of these periods; old ones of each length go."""
    for period, spent in rows.items():
        transaction.connection.execute(
            "INSERT OR REPLACE INTO spent (period, sent, received, parts) VALUES (?, ?, ?, ?)",
            (period, spent.sent, spent.received, msgspec.json.encode(spent.parts).decode()),
        )
    for length, keep in _KEEP:
        transaction.connection.execute(
            "DELETE FROM spent WHERE period IN (SELECT period FROM spent WHERE length(period) = ?1 AND period GLOB '[0-9]*'"
            " ORDER BY period DESC LIMIT -1 OFFSET ?2)",
            (length, keep),
        )


def named(connection: sqlite3.Connection, start: str) -> dict[str, Spent]:
    """All rows whose period begins so."""
    rows = connection.execute("SELECT period FROM spent WHERE substr(period, 1, ?) = ?", (len(start), start)).fetchall()
    return read(connection, [period for (period,) in rows])


def forget(transaction: Transaction, period: str) -> None:
    transaction.connection.execute("DELETE FROM spent WHERE period = ?", (period,))

"""What time it is for acts that cannot be undone: the data budget's periods and deletion by age.

`utc_us` is the greatest UTC ever known here, carried on by boot time: a clock that is set back does not bring a spent month back. How long
the device was off is unknown, so after a boot it stands still until the first good reading.
`settled_utc_us` is what deletion by age goes by. It follows a clock that is set back at once, and believes a leap forward only after it has
held for 24 h of running, over restarts too: a clock that is a year ahead for an hour, and the way back, delete nothing. After a night without
power it is behind by as much for a day: later than need be, never too early.

One row a boot in the table `trusted`, all of one moment: boot time `at_us`. Rows of earlier boots say by how much UTC was ahead of boot time
then: with that the ages of their rows are known.
"""

import sqlite3
from typing import NamedTuple

from agent.clock import Reading
from agent.store.transaction import Transaction

SECOND_US = 1_000_000
# Drift, slow fixes and quick restarts; what is more is a leap.
LEAP_US = 900 * SECOND_US
HELD_US = 24 * 3600 * SECOND_US
# A note that says nothing new is written this often: it is what is left of the time after the power went.
_EVERY_US = 600 * SECOND_US
_AHEAD_US = SECOND_US


class _Known(NamedTuple):
    """At boot time at_us: the greatest UTC, the settled one, and the least reading of a leap not yet believed, held for held_us of running."""

    boot: int
    at_us: int
    utc_us: int
    settled_us: int
    leap_us: int | None
    held_us: int

    def at(self, boot: int, now_us: int) -> "_Known":
        """The same carried on to a later moment. In another boot nothing is known to have passed."""
        passed_us = max(0, now_us - self.at_us) if boot == self.boot else 0
        return _Known(
            boot, now_us, self.utc_us + passed_us, self.settled_us + passed_us,
            None if self.leap_us is None else self.leap_us + passed_us, self.held_us + (passed_us if self.leap_us is not None else 0),
        )  # fmt: skip


def note(transaction: Transaction, reading: Reading) -> None:
    """Takes in a reading of the running boot. Mostly it says nothing new, and nothing is written."""
    if not reading.known:
        return
    reading_us = reading.at_us + reading.utc_offset_us
    before = _newest(transaction.connection)
    if before is None:
        _write(transaction, _Known(transaction.boot, reading.at_us, reading_us, reading_us, None, 0))
        return
    if before.boot == transaction.boot and reading.at_us < before.at_us:
        return
    expected = before.at(transaction.boot, reading.at_us)
    known = _settle(expected._replace(utc_us=max(expected.utc_us, reading_us)), reading_us)
    is_news = (
        before.boot != known.boot
        or known.utc_us > expected.utc_us + _AHEAD_US
        or abs(known.settled_us - expected.settled_us) > _AHEAD_US
        or known.leap_us != expected.leap_us
        or known.at_us - before.at_us >= _EVERY_US
    )
    if is_news:
        _write(transaction, known)


def _settle(known: _Known, reading_us: int) -> _Known:
    """What deletion by age makes of a reading at the moment of `known`."""
    if reading_us <= known.settled_us + LEAP_US:
        # Set back by more than drift: less is believed at once. Drift is followed forward only, so that ages never shrink by it.
        back = reading_us < known.settled_us - LEAP_US
        return known._replace(
            settled_us=reading_us if back else max(known.settled_us, reading_us), leap_us=None, held_us=0
        )
    if known.leap_us is None or reading_us < known.leap_us - LEAP_US:
        return known._replace(leap_us=reading_us, held_us=0)
    if known.held_us >= HELD_US:
        # It is at least so late. What is still ahead of that begins a leap of its own at the next reading.
        return known._replace(settled_us=known.leap_us, leap_us=None, held_us=0)
    return known


def utc_us(connection: sqlite3.Connection, boot: int, now_us: int) -> int | None:
    """The greatest UTC ever known, in microseconds since 1970; None when no time was ever known. boot, now_us: the running boot, its time."""
    known = _newest(connection)
    return None if known is None else known.at(boot, now_us).utc_us


def settled_utc_us(connection: sqlite3.Connection, boot: int, now_us: int) -> int | None:
    """UTC as deletion by age believes it; None when no time was ever known."""
    known = _newest(connection)
    return None if known is None else known.at(boot, now_us).settled_us


def boot_us_before(connection: sqlite3.Connection, boot: int, now_us: int, age_us: int) -> dict[int, int]:
    """Boot → the boot time before which its rows are older than an age. Boots that never learnt the time are left out.

    In the running boot the age is boot time and needs no clock.
    """
    found = {boot: now_us - age_us}
    settled_us = settled_utc_us(connection, boot, now_us)
    if settled_us is not None:
        for other, at_us, its_utc_us in connection.execute(
            "SELECT boot, at_us, utc_us FROM trusted WHERE boot <> ?", (boot,)
        ):
            found[other] = settled_us - age_us - (its_utc_us - at_us)
    return found


def _newest(connection: sqlite3.Connection) -> _Known | None:
    row = connection.execute(
        "SELECT boot, at_us, utc_us, settled_us, leap_us, held_us FROM trusted ORDER BY boot DESC LIMIT 1"
    ).fetchone()
    return None if row is None else _Known(*row)


def _write(transaction: Transaction, known: _Known) -> None:
    transaction.connection.execute(
        "INSERT OR REPLACE INTO trusted (boot, at_us, utc_us, settled_us, leap_us, held_us) VALUES (?, ?, ?, ?, ?, ?)",
        known,
    )

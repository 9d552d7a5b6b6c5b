"""What jobs and hooks get: the connection inside the running group, who we are, row ids and names. On the store thread only."""

import sqlite3
from collections.abc import Callable

import msgspec
from msgspec import UNSET, UnsetType


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The running boot and epoch. after_id: the greatest row id when the epoch was drawn. device: "site/name"."""

    boot: int
    epoch: int
    epoch_text: str
    after_id: int
    device: str


class Mark(msgspec.Struct, frozen=True):
    """Where ids, debts and the session stood at a savepoint."""

    next_id: int
    session: int | None
    settled: dict[str, int]


class Transaction:
    """The running group. Whatever a job or hook does here is committed or undone with it; it never commits by itself.

    now_us: boot time at the group's beginning. low_space: the disk has less than `keep_free`, results are to be counted, not stored.
    again: set by a hook that has more to do than fits into one group; another group begins at once. faults: shown by `status`; a hook may
    name here what fails for one lane. grains: per lane the lengths in seconds of its summary windows. owed: inputs of earlier seconds that could not be stored, by lane; `settle` takes them over.
    """

    def __init__(
        self, connection: sqlite3.Connection, identity: Identity, next_id: int, faults: dict[str, str]
    ) -> None:
        self.connection = connection
        self.boot = identity.boot
        self.epoch = identity.epoch
        self.epoch_text = identity.epoch_text
        self.after_id = identity.after_id
        self.device = identity.device
        self.now_us = 0
        self.low_space = False
        self.again = False
        self.session: int | None = None
        self.faults = faults
        self.grains: dict[str, tuple[int, ...]] = {}
        self.owed: dict[str, int] = {}
        self.unstored: dict[str, int] = {}
        self.settled: dict[str, int] = {}
        # Per lane (tick id, at_us, alive_us) of an idle tick of this group that the next idle one may be merged into.
        self.idle: dict[int, tuple[int, int, int]] = {}
        self._next_id = next_id
        self._names: dict[tuple[str, str], int] = {}
        self._offset_us: int | UnsetType | None = UNSET

    @property
    def utc_offset_us(self) -> int | None:
        """UTC less boot time as known now, None while this boot has no clock row."""
        if isinstance(self._offset_us, UnsetType):
            row = self.connection.execute(
                "SELECT utc_offset_us FROM clock WHERE boot = ? ORDER BY from_us DESC LIMIT 1", (self.boot,)
            ).fetchone()
            self._offset_us = None if row is None else int(row[0])
        return self._offset_us

    def look_anew(self) -> None:
        """At the beginning of a group, and after a clock row: what is asked for often is read again."""
        self._offset_us = UNSET

    @property
    def last_id(self) -> int:
        """The greatest row id given so far."""
        return self._next_id - 1

    def next_id(self) -> int:
        """The one counter for result, tick, event and crossing."""
        number = self._next_id
        self._next_id += 1
        return number

    def next_ids(self, count: int) -> range:
        """`count` ids in a row, for executemany."""
        first = self._next_id
        self._next_id += count
        return range(first, first + count)

    def name(self, kind: str, text: str) -> int:
        """The id of a lane, model, label, zone, stream or rule name, which is entered when it is new."""
        number = self._names.get((kind, text))
        if number is None:
            row = self.connection.execute("SELECT id FROM name WHERE kind = ? AND text = ?", (kind, text)).fetchone()
            if row is None:
                row = self.connection.execute(
                    "INSERT INTO name (kind, text) VALUES (?, ?) RETURNING id", (kind, text)
                ).fetchone()
            number = int(row[0])
            self._names[kind, text] = number
        return number

    def settle(self, lane: str) -> int:
        """Inputs of this lane that earlier, failed groups still owe a tick; the caller counts them in the tick that it stores."""
        owed = self.owed.get(lane, 0) - self.settled.get(lane, 0)
        if owed:
            self.settled[lane] = self.settled.get(lane, 0) + owed
        return owed

    def mark(self) -> Mark:
        return Mark(self._next_id, self.session, dict(self.settled))

    def forget(self, mark: Mark) -> None:
        """After a rollback to where `mark` was taken: what the memory holds beside the database is dropped with it."""
        self._next_id = mark.next_id
        self.session = mark.session
        self.settled = dict(mark.settled)
        self._names.clear()
        self.idle.clear()
        self.look_anew()


Job = Callable[[Transaction], None]
Hook = Callable[[Transaction], None]

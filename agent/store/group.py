"""The running group: jobs and hooks in savepoints, commit, and what becomes of the tickets."""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.clock import Clock
from agent.log import HOUR_US, Repeated, fact
from agent.problems import Problem
from agent.store import folder
from agent.store.transaction import Hook, Job, Transaction

ROWS = 1_000
# Jobs of events that wait for a disk that takes nothing: at one a second, four minutes of events without a pause.
CARRIED = 256
FAILING_US = 60_000_000

log = logging.getLogger(__name__)


class Ticket:
    """A submitted job's answer."""

    __slots__ = ("_error", "_open")

    def __init__(self) -> None:
        # Held until there is an answer. An Event costs ten times as much, and nobody waits for a lane's ticket.
        self._open = threading.Lock()
        self._open.acquire()
        self._error: BaseException | None = None

    def wait(self, timeout_s: float) -> None:
        """Returns after the job's commit is on the medium; raises what the job raised, Problem (STORE) for the disk, or TimeoutError."""
        if not self._open.acquire(timeout=max(0.0, timeout_s)):
            raise TimeoutError(f"not stored within {timeout_s} s")
        self._open.release()  # others may wait, too
        if self._error is not None:
            raise self._error

    def _answer(self, error: BaseException | None) -> None:
        """Once."""
        self._error = error
        self._open.release()


class Entry(NamedTuple):
    job: Job
    ticket: Ticket
    ends_group: bool


class Group:
    """One at a time; `begin`, `run` each job, `commit`, `answer`. sqlite3.Error from run and commit means that the group cannot be kept."""

    def __init__(
        self, transaction: Transaction, path: Path, hooks: Sequence[Hook], clock: Clock, unstored: dict[str, int]
    ) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._path = path
        self._hooks = hooks
        self._clock = clock
        self._unstored = unstored
        self._entries: list[Entry] = []
        self._mark = transaction.mark()
        self._changes = 0
        self._told = Repeated(log)
        self._hook_again_us: dict[int, int] = {}
        self._failing_since_us: int | None = None
        self._carried: deque[Entry] = deque()
        self._events_lost = 0

    @property
    def full(self) -> bool:
        return self._connection.total_changes - self._changes >= ROWS

    def begin(self) -> None:
        """sqlite3.Error: SQLITE_BUSY when another program holds the database locked beyond the time limit, else full or broken."""
        transaction = self._transaction
        transaction.settled.clear()
        transaction.unstored.clear()
        transaction.idle.clear()
        transaction.look_anew()
        transaction.now_us = self._clock.boot_us()
        self._connection.execute("BEGIN IMMEDIATE")
        self._mark = transaction.mark()
        self._changes = self._connection.total_changes
        self._run_carried()

    def join(self, entries: Sequence[Entry]) -> None:
        """Jobs that share the group's fate without having run."""
        self._entries.extend(entries)

    def run(self, entry: Entry) -> None:
        """One job in its savepoint; its own failure reaches its ticket only."""
        mark = self._transaction.mark()
        unstored = dict(self._transaction.unstored)
        self._connection.execute("SAVEPOINT job")
        try:
            entry.job(self._transaction)
            self._connection.execute("RELEASE job")
        except Exception as error:  # whatever a job raises is its ticket's
            if self._spoiled(error):
                self._entries.append(entry)
                raise
            self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            self._transaction.forget(mark)
            self._transaction.unstored = unstored
            lane = self._owe(entry)
            if lane is not None:  # nobody waits for a lane's ticket
                self.fault(f"lane {lane}", f"{type(error).__name__}: {error}")
            entry.ticket._answer(error)
            return
        self._entries.append(entry)

    def _run_carried(self) -> None:
        """What groups before could not store comes first, in its order."""
        carried = list(self._carried)
        self._carried.clear()
        for place, entry in enumerate(carried, 1):
            try:
                self.run(entry)
            except sqlite3.Error:
                self.join(carried[place:])
                raise

    def commit(self) -> None:
        for number, hook in enumerate(self._hooks):
            self._run_hook(number, hook)
        self._connection.execute("COMMIT")

    def _run_hook(self, number: int, hook: Hook) -> None:
        if self._transaction.now_us < self._hook_again_us.get(number, 0):
            return
        place = getattr(hook, "__qualname__", type(hook).__qualname__)
        mark = self._transaction.mark()
        self._connection.execute("SAVEPOINT hook")
        try:
            hook(self._transaction)
            self._connection.execute("RELEASE hook")
        except Exception as error:  # a hook never takes results with it
            if self._spoiled(error):
                raise
            self._connection.execute("ROLLBACK TO hook")
            self._connection.execute("RELEASE hook")
            self._transaction.forget(mark)
            self._hook_again_us[number] = self._transaction.now_us + HOUR_US
            self.fault(place, f"{type(error).__name__}: {error}", error)
        else:
            if self._hook_again_us.pop(number, None) is not None:
                self.clear(place)

    def answer(self) -> None:
        """After the commit: debts are settled, tickets answered."""
        transaction = self._transaction
        for lane, count in transaction.settled.items():
            transaction.owed[lane] = transaction.owed.get(lane, 0) - count
            if not transaction.owed[lane]:
                del transaction.owed[lane]
        for lane, count in transaction.unstored.items():
            self._unstored[lane] = self._unstored.get(lane, 0) + count
        self._failing_since_us = None
        self.clear("store")
        entries, self._entries = self._entries, []
        for entry in entries:
            entry.ticket._answer(None)

    def undo(self, error: sqlite3.Error) -> None:
        """The group cannot be kept: all of it is undone and told. Raises the error when the disk will take nothing more."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            log.warning("store rollback=failed")
        self._transaction.forget(self._mark)
        full = folder.is_full(error, self._path.parent)
        if not full and (folder.is_broken(error) or (folder.is_failing(error) and self._fails_for_long())):
            raise error
        told = folder.unusable(self._path, error)
        self.fault("store", str(told))
        self.fail([], told)

    def _fails_for_long(self) -> bool:
        """Writes have failed without one that succeeded for so long that a new start, on what the system then mounts, is the better chance."""
        now_us = self._clock.boot_us()
        self._failing_since_us = now_us if self._failing_since_us is None else self._failing_since_us
        return now_us - self._failing_since_us >= FAILING_US

    def fail(self, entries: Sequence[Entry], why: Problem) -> None:
        """Answers these and the group's own entries with `why`; what lanes did in them is owed to their next tick."""
        mine, self._entries = self._entries, []
        for entry in (*mine, *entries):
            self._owe(entry)
            self._carry(entry)
            entry.ticket._answer(why)

    def _carry(self, entry: Entry) -> None:
        """Keeps what will not come again for the next group that can be stored; beyond CARRIED it is lost, and told."""
        remainder = getattr(entry.job, "remainder", None)
        job = None if remainder is None else remainder()
        if job is None:
            return
        if len(self._carried) < CARRIED:
            self._carried.append(Entry(job, Ticket(), False))
        else:
            self._events_lost += 1
            self.fault("events", f"the events of {self._events_lost} seconds could not be stored")

    def _owe(self, entry: Entry) -> str | None:
        lane: str | None = getattr(entry.job, "lane", None)
        inputs: int = getattr(entry.job, "inputs", 0)
        if lane is not None and inputs:
            self._transaction.owed[lane] = self._transaction.owed.get(lane, 0) + inputs
            self._unstored[lane] = self._unstored.get(lane, 0) + inputs
        return lane

    def _spoiled(self, error: Exception) -> bool:
        """Whether the whole group is gone, not only a savepoint: SQLite rolls back by itself when the disk fails."""
        return not self._connection.in_transaction or (
            isinstance(error, sqlite3.Error)
            and (folder.is_broken(error) or folder.is_failing(error) or folder.is_full(error, self._path.parent))
        )

    def fault(self, place: str, what: str, error: BaseException | None = None) -> None:
        """Shown by `status` at once, logged once, then hourly with its count."""
        self._transaction.faults[place] = what
        self._told.fault(place, fact("store fault", place=place, error=what), self._clock.boot_us())
        log.debug(fact("store fault", place=place), exc_info=error)

    def clear(self, place: str) -> None:
        if self._transaction.faults.pop(place, None) is not None:
            self._told.gone(place, fact("store fault is over", place=place))

"""What runs on the store thread: it collects jobs into groups, commits them, tells what is on the medium, and ends when the disk is broken."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.clock import Clock
from agent.log import fact
from agent.mailbox import Bounded, Closed
from agent.problems import Problem
from agent.store import anchor, folder, identity, recovery
from agent.store.group import Entry, Group
from agent.store.reserve import Reserve
from agent.store.retention import Retention
from agent.store.settings import Config
from agent.store.transaction import Hook, Transaction

# Another program may hold the database locked for this many times the connection's time limit before a group is given up.
_BUSY_TRIES = 12
_DRAIN = 64
_WELL_AGAIN = 1.02
_RETAIN_AGAIN_US = 10_000_000
_LOOK_US = 1_000_000

# How long the write-ahead log grows: SQLite's own default, and while the disk is full.
_LOG_PAGES, _SHORT_LOG_PAGES = 1_000, 64

log = logging.getLogger(__name__)


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the medium after a commit. streams: the last number given in the running epoch, by stream."""

    last_id: int
    last_tick: int
    epoch: str
    streams: dict[str, int]


class Progress:
    """What other threads see of the store thread: how many commits, why it ended, and what is wrong meanwhile."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self.unstored: dict[str, int] = {}
        self.free = 0
        self.low_space = False
        self.dead: Problem | None = None
        self._changed = threading.Condition()
        self._commits = 0

    def add_commit(self) -> None:
        with self._changed:
            self._commits += 1
            self._changed.notify_all()

    def end(self, why: Problem) -> None:
        with self._changed:
            self.dead = why
            self._changed.notify_all()

    def wait(self, timeout_s: float, after: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._commits > after or self.dead is not None, timeout_s)
            return self._commits


class StoreThread:
    """`run` is what the store thread does. It alone touches the writing connection once it has begun."""

    def __init__(self, path: Path, queue: Bounded[Entry], progress: Progress, transaction: Transaction, clock: Clock, settings: Config,
                 hooks: Sequence[Hook], report: Callable[[Committed], None] | None, free_bytes: Callable[[Path], int],
                 session: int | None, retention: Retention | None = None, reserve: Reserve | None = None) -> None:  # fmt: skip
        """session: the running epoch's last one, None where no anchor is kept. retention: None where nothing is ever deleted."""
        self._path = path
        self._queue = queue
        self._progress = progress
        self._transaction = transaction
        self._clock = clock
        self._settings = settings
        self._report = report
        self._free_bytes = free_bytes
        self._session = session
        self._group = Group(transaction, path, hooks, clock, progress.unstored)
        self._retention = retention
        self._reserve = reserve
        self._retain_again_us = 0
        self._looked: dict[str, tuple[int, int]] = {}  # for what: boot time, rows changed
        # About a hundredth of the bound.
        self._look_rows = max(100, min(1_000, (settings.max_bytes or 1 << 30) // 6_400))

    def run(self) -> None:
        try:
            self._space()
            self._commit_group([])  # hooks find what the last run left
            while True:
                # A hook that has more to do waits while nothing can be stored: what it tries would fail as often as it is tried.
                more = (self._transaction.again and "store" not in self._progress.faults) or (
                    self._retention is not None and self._retention.more
                )
                try:
                    entries = self._queue.take_all(0.0 if more else 1.0, 1)
                except Closed:
                    break
                if (
                    "space" in self._progress.faults
                    or (self._retention and self._retention.full)
                    or self._is_due("space")
                ):
                    self._space()
                if entries or self._transaction.again:
                    self._commit_group(entries)
                self._retain()
            self._checkpoint()
            self.write_anchor()
        except BaseException as error:  # noqa: BLE001  # it must reach everyone who waits
            self._die(error)

    def _checkpoint(self) -> None:
        """Leaves one file behind. Everything is on the medium already: what fails here, for want of room, the next start does."""
        connection = self._transaction.connection
        try:
            connection.execute("PRAGMA busy_timeout = 200")  # a reader of another program must not hold up the end
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning(fact("store log not folded in", error=error))

    def _retain(self) -> None:
        """Makes room, after a group and while nothing is to be stored. What fails here is tried again; results are stored meanwhile."""
        if self._retention is None or self._clock.boot_us() < self._retain_again_us:
            return
        if not (self._is_due("retention") or self._retention.more):
            return
        try:
            self._retention.run(self._transaction, self._progress.free)
        except sqlite3.Error as error:
            if folder.is_broken(error) and not folder.is_full(error, self._path.parent):
                raise
            self._retain_again_us = self._clock.boot_us() + _RETAIN_AGAIN_US
            self._relieve(error)
            self._retention.more = False
            self._group.fault("retention", str(folder.unusable(self._path, error)), error)
        else:
            self._group.clear("retention")

    def _is_due(self, what: str) -> bool:
        """After so many rows, or a second: to look each time costs a tenth of a small commit."""
        now_us, changes = self._clock.boot_us(), self._transaction.connection.total_changes
        before_us, before = self._looked.get(what, (-_LOOK_US, 0))
        if changes - before >= self._look_rows or now_us - before_us >= _LOOK_US:
            self._looked[what] = now_us, changes
            return True
        return False

    def _space(self) -> None:
        progress, free = self._progress, self._free_bytes(self._path.parent)
        # Once low, it takes a little more to be well again: other programs' files come and go.
        low = free < self._settings.keep_free * (_WELL_AGAIN if progress.low_space else 1.0)
        if self._reserve is not None:
            low = low or self._reserve.is_low(free)
            if not low and self._reserve.keep(free):
                self._transaction.connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        full = self._retention is not None and self._retention.full
        what = None
        if low:
            what = f"below keep_free ({self._settings.keep_free / 1e6:.1f} MB): results are not stored"
        elif full:
            what = f"at max_bytes ({(self._settings.max_bytes or 0) / 1e6:.1f} MB), and nothing more may go: results are not stored"
        if what != progress.faults.get("space"):
            log.warning(
                fact("store space is low", why=what, free=free) if what else fact("store has space again", free=free)
            )
            if what:
                progress.faults["space"] = what
            else:
                progress.faults.pop("space", None)
        progress.free, progress.low_space, self._transaction.low_space = free, low, what is not None

    def _commit_group(self, entries: list[Entry]) -> None:
        """Runs the jobs of one group as they come, then the hooks, and commits."""
        group = self._group
        again, self._transaction.again = self._transaction.again, False
        if not self._begin(entries):
            return
        limit_us = self._clock.boot_us() + round(self._settings.max_loss_s * 1e6)
        ends = again or not entries
        try:
            while entries:
                for entry in entries:
                    group.run(entry)
                    ends = ends or entry.ends_group
                if group.full:
                    break
                left_s = (limit_us - self._clock.boot_us()) / 1e6
                # What is already waiting still joins a group that ends: one fsync for all of them.
                try:
                    entries = self._queue.take_all(0.0 if ends else max(0.0, left_s), 1)
                except Closed:
                    break
            group.commit()
        except sqlite3.Error as error:
            self._relieve(error)
            group.undo(error)  # raises when this disk will take nothing more
            return
        group.answer()
        self._tell()

    def _relieve(self, error: sqlite3.Error) -> None:
        """A full disk gets the reserve back, and what makes room on it is tried at once."""
        if self._reserve is None or not folder.is_full(error, self._path.parent) or not self._reserve.release():
            return
        # The room is for rows: a log of the usual length would take all of it.
        self._transaction.connection.execute(f"PRAGMA wal_autocheckpoint = {_SHORT_LOG_PAGES}")
        self._retain_again_us = 0
        self._looked.clear()

    def _begin(self, entries: list[Entry]) -> bool:
        """False when the group's jobs had to be given up."""
        group = self._group
        for _ in range(_BUSY_TRIES):
            try:
                group.begin()
                return True
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    group.join(entries)
                    self._relieve(error)
                    group.undo(error)
                    return False
                group.fault("store", str(folder.unusable(self._path, error)))
        group.fail(entries, folder.problem(self._path, "another program holds the database locked", "End that program"))
        return False

    def _tell(self) -> None:
        transaction = self._transaction
        if transaction.session is not None:
            if self._session is not None:
                self._session = transaction.session
            transaction.session = None
            self.write_anchor()
        if self._report is not None:
            last_tick = transaction.connection.execute("SELECT max(id) FROM tick").fetchone()[0] or 0
            streams = transaction.connection.execute(
                "SELECT text, last_seq FROM stream JOIN name ON name.id = stream WHERE epoch = ?", (transaction.epoch,)
            )
            committed = Committed(
                last_id=transaction.last_id, last_tick=last_tick, epoch=transaction.epoch_text, streams=dict(streams)
            )
            try:
                self._report(committed)
            except Exception as error:  # noqa: BLE001  # what listens must not stop what stores
                self._group.fault("report", f"{type(error).__name__}: {error}")
        self._progress.add_commit()

    def write_anchor(self) -> None:
        if self._session is None:
            return
        transaction = self._transaction
        try:
            anchor.write(
                self._path.parent,
                anchor.Anchor(
                    boot=transaction.boot,
                    session=self._session,
                    epoch=transaction.epoch_text,
                    last_id=transaction.last_id,
                    given=identity.given(transaction.connection, transaction.epoch),
                ),
            )
        except OSError as error:  # only a reason is lost
            log.warning(fact("store anchor not written", error=error.strerror))

    def _die(self, error: BaseException) -> None:
        if isinstance(error, sqlite3.Error):
            dead = folder.unusable(self._path, error)
        else:
            dead = folder.problem(
                self._path, f"the store thread failed ({type(error).__name__}: {error})", "Start the agent again"
            )
        if isinstance(error, sqlite3.Error) and folder.is_damage(error):
            recovery.leave_mark(self._path)
        log.error(fact("store ended", error=dead), exc_info=error)
        self._progress.faults["store"] = str(dead)
        self._progress.end(dead)
        self._queue.close(dead)
        self._group.fail([], dead)
        with suppress(Closed):
            while left := self._queue.take_all(0.0, _DRAIN):
                self._group.fail(left, dead)

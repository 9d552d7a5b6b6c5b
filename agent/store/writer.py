"""The store: one thread, one writing connection, jobs in groups.

A group is one transaction: it is committed after 1,000 rows, after `max_loss_s`, at a job that ends it, or at closing. Each job and each hook
has a savepoint: one that fails is undone alone. What a commit has returned for is on the medium (synchronous=FULL).
A full disk undoes the group, is told to its tickets, counted by lane, and the thread goes on; a broken one ends the thread.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from agent.clock import Clock
from agent.mailbox import Bounded, Closed
from agent.problems import Problem
from agent.store import anchor, folder, identity
from agent.store.connection import connect_to_read, connect_to_write
from agent.store.group import Entry, Group, Ticket
from agent.store.migrations import prepare
from agent.store.settings import Config
from agent.store.transaction import Hook, Identity, Job, Transaction

__all__ = ["Committed", "Hook", "Job", "Store", "Ticket", "open_store"]

# Jobs that may wait for the store thread; a giver that finds no place is held back.
PLACES = 256
_CLOSE_S = 60.0
# Another program may hold the database locked for this many times BUSY_S before its group is given up.
_BUSY_TRIES = 12

log = logging.getLogger(__name__)


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What is on the medium after a commit. streams: the last number given in the running epoch, by stream."""

    last_id: int
    last_tick: int
    epoch: str
    streams: dict[str, int]


class Store:
    """The open store. `boot`, `epoch`: row ids; `epoch_text`: as it travels; `path`: of the database; `faults`: what is wrong, by place;

    `unstored`: per lane the inputs whose results could not be stored since the start; `free`, `low_space`: of the disk, at the last group.
    """

    def __init__(self, where: Path, who: Identity) -> None:
        self.folder = where
        self.path = where / folder.DATABASE
        self.boot = who.boot
        self.epoch = who.epoch
        self.epoch_text = who.epoch_text
        self.faults: dict[str, str] = {}
        self.unstored: dict[str, int] = {}
        self.free = 0
        self.low_space = False
        self._queue: Bounded[Entry] = Bounded(PLACES)
        self._committed = threading.Condition()
        self._commits = 0
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._closed = False
        self._dead: Problem | None = None

    def submit(self, job: Job, *, ends_group: bool = False, timeout_s: float = 5.0) -> Ticket:
        """Adds a job to the running group. Problem (STORE) when the store thread has ended, TimeoutError when it takes no more."""
        ticket = Ticket()
        try:
            taken = self._queue.put(Entry(job, ticket, ends_group), timeout_s)
        except Closed:
            raise self._ended() from None
        if not taken:
            raise TimeoutError(f"the store took no job for {timeout_s} s")
        return ticket

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection for the calling thread, one snapshot for the length of the block."""
        with self._readers_lock:
            connection = self._readers.pop() if self._readers else None
        if connection is None:
            connection = connect_to_read(self.path)
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            with self._readers_lock:
                if self._closed:
                    connection.close()
                else:
                    self._readers.append(connection)

    def wait_for_commit(self, timeout_s: float, after: int) -> int:
        """Waits until more than `after` commits were made; how many were made."""
        with self._committed:
            self._committed.wait_for(lambda: self._commits > after or self._dead is not None, timeout_s)
            return self._commits

    @property
    def dead(self) -> Problem | None:
        """Why the store thread ended, None while it lives or after a good end."""
        return self._dead

    def _ended(self) -> Problem:
        return self._dead or folder.problem(self.path, "the store is closed", "Start the agent again")

    def _close_readers(self) -> None:
        with self._readers_lock:
            self._closed = True
            for connection in self._readers:
                connection.close()
            self._readers.clear()


class _Thread:
    """What runs on the store thread. It alone touches the writing connection once it has begun."""

    def __init__(self, store: Store, transaction: Transaction, clock: Clock, settings: Config, hooks: Sequence[Hook],
                 report: Callable[[Committed], None] | None, free_bytes: Callable[[Path], int], session: int, anchored: bool) -> None:  # fmt: skip
        self._store = store
        self._transaction = transaction
        self._clock = clock
        self._settings = settings
        self._report = report
        self._free_bytes = free_bytes
        self._session = session
        self._anchored = anchored
        self._group = Group(transaction, store.path, hooks, clock, store.unstored)
        self._streams: dict[str, int] = {}

    def run(self) -> None:
        queue = self._store._queue
        try:
            self._space()
            self._commit_group([])  # hooks find what the last run left
            while True:
                try:
                    entries = queue.take_all(0.0 if self._transaction.again else 1.0, 1)
                except Closed:
                    break
                if entries or self._transaction.again:
                    self._space()
                    self._commit_group(entries)
            # A reader of another program must not hold up the end; its log is then left for the next start.
            self._transaction.connection.execute("PRAGMA busy_timeout = 200")
            self._transaction.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except BaseException as error:  # noqa: BLE001  # it must reach everyone who waits
            self._die(error)

    def _space(self) -> None:
        store = self._store
        store.free = self._free_bytes(store.folder)
        low = store.free < self._settings.keep_free
        if low != store.low_space:
            log.warning("store low_space=%s free=%d keep_free=%d", low, store.free, self._settings.keep_free)
        store.low_space = self._transaction.low_space = low

    def _commit_group(self, entries: list[Entry]) -> None:
        """Runs the jobs of one group as they come, then the hooks, and commits."""
        group, queue = self._group, self._store._queue
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
                    entries = queue.take_all(0.0 if ends else max(0.0, left_s), 1)
                except Closed:
                    break
            group.commit()
        except sqlite3.Error as error:
            group.undo(error)  # raises when this disk will take nothing more
            return
        group.answer()
        self._tell()

    def _begin(self, entries: list[Entry]) -> bool:
        """False when the group's jobs had to be given up."""
        group, store = self._group, self._store
        for _ in range(_BUSY_TRIES):
            try:
                group.begin()
                return True
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    group.join(entries)
                    group.undo(error)
                    return False
                group.fault("store", str(folder.unusable(store.path, error)))
        group.fail(entries, folder.problem(store.path, "another program holds the database locked", "End that program"))
        return False

    def _tell(self) -> None:
        transaction, store = self._transaction, self._store
        if transaction.session is not None:
            self._session, transaction.session = transaction.session, None
            self._write_anchor()
        if self._report is not None:
            last_tick = transaction.connection.execute("SELECT max(id) FROM tick").fetchone()[0] or 0
            self._streams.update(
                transaction.connection.execute(
                    "SELECT text, last_seq FROM stream JOIN name ON name.id = stream WHERE epoch = ?",
                    (transaction.epoch,),
                )
            )
            committed = Committed(
                last_id=transaction.last_id,
                last_tick=last_tick,
                epoch=transaction.epoch_text,
                streams=dict(self._streams),
            )
            try:
                self._report(committed)
            except Exception as error:  # noqa: BLE001  # what listens must not stop what stores
                self._group.fault("report", f"{type(error).__name__}: {error}")
        with store._committed:
            store._commits += 1
            store._committed.notify_all()

    def _write_anchor(self) -> None:
        if not self._anchored:
            return
        transaction = self._transaction
        try:
            anchor.write(
                self._store.folder,
                anchor.Anchor(boot=transaction.boot, session=self._session, epoch=transaction.epoch_text),
            )
        except OSError as error:  # only a reason is lost
            log.warning("store anchor=%s error=%s", anchor.NAME, error.strerror)

    def _die(self, error: BaseException) -> None:
        store = self._store
        if isinstance(error, sqlite3.Error):
            dead = folder.unusable(store.path, error)
        elif isinstance(error, Problem):
            dead = error
        else:
            dead = folder.problem(
                store.path, f"the store thread failed ({type(error).__name__}: {error})", "Start the agent again"
            )
        log.error("store ended=%r", str(dead), exc_info=error)
        store.faults["store"] = str(dead)
        with store._committed:
            store._dead = dead
            store._committed.notify_all()
        store._queue.close(dead)
        with suppress(Closed):
            while left := store._queue.take_all(0.0, PLACES):
                self._group.fail(left, dead)
        self._group.fail([], dead)


@contextmanager
def open_store(where: Path, *, clock: Clock, device: str, settings: Config, names: Sequence[tuple[str, str]] = (),
               grains: Mapping[str, Sequence[int]] = {}, hooks: Sequence[Hook] = (), report: Callable[[Committed], None] | None = None,
               replay: bool = False, free_bytes: Callable[[Path], int] = folder.free_bytes) -> Iterator[Store]:  # fmt: skip
    """Opens the data folder, runs its store thread, and at the end finishes every submitted job and commits.

    names: (kind, text) entered at once. grains: per lane the lengths of its summary windows, seconds. report: called on the store thread
    after each commit has returned. replay: boot 1, epoch of 32 zeros, no anchor, an empty store. Problem (STORE) when the folder cannot be used.
    """
    with folder.locked(where):
        path = where / folder.DATABASE
        new = not path.exists()
        try:
            connection = connect_to_write(path)
        except sqlite3.Error as error:
            raise folder.unusable(path, error) from error
        try:
            try:
                reading = clock.reading()
                utc = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=clock.boot_us() + reading.utc_offset_us)
                prepare(connection, path, utc=utc)
                if new:
                    folder.sync_folder(where)
                connection.execute("BEGIN IMMEDIATE")
                marked = None if replay else anchor.read(where)
                if replay and connection.execute("SELECT 1 FROM epoch").fetchone():
                    raise folder.problem(path, "there is a store already", "Name a new file or folder for the replay")
                who = identity.decide(
                    connection, kernel_boot_id=identity.REPLAY_BOOT if replay else clock.boot_id(), device=device, anchor=marked, replay=replay
                )  # fmt: skip
                store = Store(where, who)
                transaction = Transaction(connection, who, identity.greatest_id(connection) + 1, store.faults)
                transaction.grains = {lane: tuple(seconds) for lane, seconds in grains.items()}
                for kind, text in names:
                    transaction.name(kind, text)
                lanes = {transaction.name("lane", lane): seconds for lane, seconds in transaction.grains.items()}
                identity.enter(connection, lanes, transaction.last_id + 1)
                session = int(connection.execute("SELECT sess FROM epoch WHERE id = ?", (who.epoch,)).fetchone()[0])
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise folder.unusable(path, error) from error
            except OSError as error:
                raise folder.unusable(where, error) from error
            thread = _Thread(store, transaction, clock, settings, hooks, report, free_bytes, session, not replay)
            thread._write_anchor()
            with _running(store, thread):
                yield store
        finally:
            connection.close()


@contextmanager
def _running(store: Store, work: _Thread) -> Iterator[None]:
    thread = threading.Thread(target=work.run, name="store", daemon=True)
    thread.start()
    try:
        yield
    finally:
        store._queue.close()
        thread.join(_CLOSE_S)
        store._close_readers()
        if thread.is_alive():
            raise folder.problem(
                store.path,
                f"the store did not close within {_CLOSE_S:.0f} s",
                "Look at the disk: `dmesg` names what failed",
            )
    if store.dead is not None:
        raise store.dead

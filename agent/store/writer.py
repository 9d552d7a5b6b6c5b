"""The store: one thread, one writing connection, jobs in groups.

A group is one transaction: it is committed after 1,000 rows, after `max_loss_s`, at a job that ends it, or at closing. Each job and each hook
has a savepoint: one that fails is undone alone. What a commit has returned for is on the medium (synchronous=FULL).
A full disk, or a write that fails, undoes the group, is told to its tickets, counted by lane, and the thread goes on; a broken file ends it.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.clock import Clock
from agent.log import fact
from agent.mailbox import Bounded, Closed
from agent.problems import Problem
from agent.store import anchor, folder, identity, recovery
from agent.store.connection import connect_to_read, connect_to_write
from agent.store.group import Entry, Ticket
from agent.store.migrations import prepare
from agent.store.reserve import FULL_BYTES, Reserve
from agent.store.retention import Retention
from agent.store.settings import Config
from agent.store.space import Holes
from agent.store.thread import Committed, Progress, StoreThread
from agent.store.totals import Totals
from agent.store.transaction import Hook, Identity, Job, Transaction

__all__ = ["Committed", "Hook", "Job", "Store", "Ticket", "open_store"]

log = logging.getLogger(__name__)

# Jobs that may wait for the store thread; a giver that finds no place is held back.
PLACES = 256
_CLOSE_S = 60.0
# Reads in a row that the medium refused.
_READ_TRIES = 5


class Store:
    """The open store. boot, epoch: row ids; epoch_text: as it travels; path: of the database.

    faults: what is wrong, by place. unstored: per lane the inputs whose results could not be stored since the start.
    """

    def __init__(self, where: Path, who: Identity) -> None:
        self.folder = where
        self.path = where / folder.DATABASE
        self.boot = who.boot
        self.epoch = who.epoch
        self.epoch_text = who.epoch_text
        self.queue: Bounded[Entry] = Bounded(PLACES)
        self.progress = Progress()
        self.faults: Mapping[str, str] = self.progress.faults
        self.unstored: Mapping[str, int] = self.progress.unstored
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._closed = False
        self._unreadable = 0

    def submit(self, job: Job, *, ends_group: bool = False, timeout_s: float = 5.0) -> Ticket:
        """Adds a job to the running group. Problem (STORE) when the store thread has ended, TimeoutError when it takes no more."""
        ticket = Ticket()
        try:
            taken = self.queue.put(Entry(job, ticket, ends_group), timeout_s)
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
            self._unreadable = 0
        except sqlite3.DatabaseError as error:
            self._look_at(error)
            raise
        finally:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            with self._readers_lock:
                if self._closed:
                    connection.close()
                else:
                    self._readers.append(connection)

    def _look_at(self, error: sqlite3.Error) -> None:
        """Damage that a reader meets ends the run, so that the next start recovers; what could only not be read is tried again first."""
        if folder.is_damage(error):
            self._unreadable += 1
            if self._unreadable >= _READ_TRIES or not folder.is_unreadable(error):
                recovery.leave_mark(self.path)
                self.progress.end(folder.unusable(self.path, error))

    def wait_for_commit(self, timeout_s: float, after: int) -> int:
        """Waits until more than `after` commits were made; how many were made."""
        return self.progress.wait(timeout_s, after)

    def check(self) -> None:
        """Problem (STORE) when the store thread has ended by a failure."""
        if self.progress.dead is not None:
            raise self.progress.dead

    def _ended(self) -> Problem:
        return self.progress.dead or folder.problem(self.path, "the store is closed", "Start the agent again")

    def close_readers(self) -> None:
        with self._readers_lock:
            self._closed = True
            for connection in self._readers:
                connection.close()
            self._readers.clear()


@contextmanager
def open_store(where: Path, *, clock: Clock, device: str, settings: Config, names: Sequence[tuple[str, str]] = (),
               grains: Mapping[str, Sequence[int]] = {}, hooks: Sequence[Hook] = (), report: Callable[[Committed], None] | None = None,
               totals: Totals | None = None, replay: bool = False, free_bytes: Callable[[Path], int] = folder.free_bytes) -> Iterator[Store]:  # fmt: skip
    """Opens the data folder, runs its store thread, and at the end finishes every submitted job and commits.

    names: (kind, text) entered at once. grains: per lane the lengths of its summary windows, seconds. report: called on the store thread
    after each commit has returned. totals: what an item adds up to that is deleted before it left (summaries/totals.py). replay: boot 1, epoch of 32 zeros, no anchor, an empty store. Problem (STORE) when the folder cannot be used.
    """
    with folder.locked(where):
        path = where / folder.DATABASE
        reserve = None if replay else Reserve(where)
        if reserve is not None and free_bytes(where) < FULL_BYTES:
            reserve.release()  # else a full disk would not even let it start
        recovered = None if replay else _recovered(path, clock, settings, free_bytes)
        new = not path.exists()
        holes = Holes(path)
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
                    connection, kernel_boot_id=identity.REPLAY_BOOT if replay else clock.boot_id(), device=device, anchor=marked, replay=replay,
                    damaged=recovered is not None,
                )  # fmt: skip
                store = Store(where, who)
                if recovered is not None:
                    store.progress.faults["damage"] = recovered
                transaction = Transaction(connection, who, identity.greatest_id(connection) + 1, store.progress.faults)
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
            retention = None if replay else Retention(path, settings, clock, totals, holes)
            thread = StoreThread(store.path, store.queue, store.progress, transaction, clock, settings, hooks, report, free_bytes,
                                 None if replay else session, retention, reserve)  # fmt: skip
            thread.write_anchor()
            with _running(store, thread):
                yield store
        finally:
            connection.close()
            holes.close()


def _recovered(path: Path, clock: Clock, settings: Config, free_bytes: Callable[[Path], int]) -> str | None:
    """What was done about a damaged database, None where it is whole. Problem (STORE): it cannot be put right."""
    try:
        recovery.finish(path)
        marked = anchor.read(path.parent)
        damage = recovery.look(path, marked is not None, clock.boot_us)
        if damage is None:
            return None
        found = recovery.recover(path, damage, marked, keep_free=settings.keep_free, free_bytes=free_bytes)
        log.warning(fact("store recovered", what_happened=found))
    except (OSError, sqlite3.Error) as error:
        raise folder.unusable(path, error) from error
    return str(found)


@contextmanager
def _running(store: Store, work: StoreThread) -> Iterator[None]:
    thread = threading.Thread(target=work.run, name="store", daemon=True)
    thread.start()
    try:
        yield
    finally:
        store.queue.close()
        thread.join(_CLOSE_S)
        store.close_readers()
        if thread.is_alive():
            raise folder.problem(
                store.path,
                f"the store did not close within {_CLOSE_S:.0f} s",
                "Look at the disk: `dmesg` names what failed",
            )
    store.check()

"""Several processes on one state file: each has a place of its own, whose name the broker knows, and one of them asks the devices.

A place is held by a lock that the kernel drops when its process dies, however it dies; the next one to come takes it, and with it the session that
the broker kept. Who asks is written in the file, for so many seconds at a time.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.subscriber.errors import SubscriberError

MOST = 64
LEASE_S = 15.0


@contextmanager
def take_place(path: Path) -> Iterator[int]:
    """The lowest free place, from 1, at the state file `path`. SubscriberError: all are taken, or the folder cannot be written."""
    for place in range(1, MOST + 1):
        lock = path.with_name(f"{path.name}.worker-{place}")
        try:
            with lock.open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield place
                return
        except BlockingIOError:
            continue
        except OSError as error:
            raise SubscriberError(
                where=str(path),
                what=f"the file cannot be written ({error.strerror})",
                remedy="Give --store a file in a folder that exists and that this user may write",
            ) from None
    raise SubscriberError(where=str(path), what=f"{MOST} workers run on this file", remedy="Stop some of them")


def may_ask(connection: sqlite3.Connection, place: int, now_s: float) -> bool:
    """Whether this worker is the one that asks now; it stays so for LEASE_S after its last call. now_s: seconds since 1970, UTC.

    A clock that was set back only delays the next one: a lease is never longer than LEASE_S from now.
    """
    connection.execute(
        "INSERT INTO lease VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET place = ?1, until_s = ?2"
        " WHERE place = ?1 OR until_s < ?3 OR until_s > ?2",
        (place, now_s + LEASE_S, now_s),
    )
    return bool(connection.execute("SELECT place FROM lease").fetchone()[0] == place)

"""The data folder: its lock, its free space, and what the system says when it cannot be used."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.problems import Exit, Problem

DATABASE = "edge.sqlite"
_FULL_BYTES = 1 << 20


def problem(where: Path | str, what: str, remedy: str) -> Problem:
    return Problem(where=str(where), what=what, remedy=remedy, code=Exit.STORE)


def unusable(path: Path, error: OSError | sqlite3.Error) -> Problem:
    """The Problem for what the system or SQLite said about the data folder."""
    if isinstance(error, OSError):
        return problem(
            path, f"the data folder cannot be used ({error.strerror or error})",
            "Let the agent's user write there, mount it writable, or name another folder as `device.data`",
        )  # fmt: skip
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if is_damage(error):
        return problem(
            path, f"the database is damaged ({error})",
            "Start the agent again: it sets the file aside, keeps what can be read of it, and says what is gone",
        )  # fmt: skip
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return problem(
            path, f"the database cannot be written ({error})",
            "Let the agent's user write the folder and the files in it, or mount it writable",
        )  # fmt: skip
    if code == sqlite3.SQLITE_BUSY:
        return problem(path, "another program holds the database locked", "End that program and start again")
    if is_full(error, path.parent):
        return problem(path, "the disk is full", "Make room on it, or name another folder as `device.data`")
    return problem(path, f"the database cannot be used ({error})", "Look at the disk: `dmesg` names what failed")


def is_full(error: sqlite3.Error, folder: Path) -> bool:
    """The disk is full: something that heals. SQLite's shared-memory file says an I/O error where the rest says full."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF == sqlite3.SQLITE_FULL:
        return True
    return code & 0xFF == sqlite3.SQLITE_IOERR and free_bytes(folder) < _FULL_BYTES


def is_failing(error: sqlite3.Error) -> bool:
    """A write or sync failed. The transaction is not on the medium, the database is what it was; the next one may succeed."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR


def is_damage(error: sqlite3.Error) -> bool:
    """What was stored cannot be read: the file is not whole, or the medium does not give it back (which may pass)."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or is_unreadable(error)


def is_unreadable(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) in (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)


def is_broken(error: sqlite3.Error) -> bool:
    """The file is broken or gone, or may not be written any more: nothing more can be stored here."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (
        sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
    )  # fmt: skip


def free_bytes(folder: Path) -> int:
    """What this user may still write; 0 when the folder is gone."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return 0
    return room.f_bavail * room.f_frsize


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder and holds its lock. Problem (STORE) when it cannot be written or another agent holds it."""
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise problem(
                folder,
                f"the data folder is in use by {_holder(descriptor)}",
                "Stop it, or name another folder as `device.data`",
            ) from None
        except OSError as error:
            raise unusable(folder, error) from error
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # a full disk: the lock holds without the number
        yield
    finally:
        os.close(descriptor)


def lock_holder(folder: Path) -> str | None:
    """Who runs on this folder ("process 812 (edge-agent run …)"), None when nobody does."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _holder(descriptor: int) -> str:
    number = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
    command = ""
    with suppress(OSError, ValueError):
        command = (
            Path(f"/proc/{int(number)}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        )
    return f"process {number} ({command})" if command else f"process {number or 'unknown'}"


def sync_folder(folder: Path) -> None:
    """Makes new and renamed files of the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

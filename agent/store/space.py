"""How large the database is, and how its free pages go back to the file system.

SQLite keeps the pages of deleted rows for new ones. Its own ways to give them back cost flash: `auto_vacuum` 34 bytes for every row stored
(254 in place of 220 at 100 rows a commit) and 8.6 kB for each page given back, VACUUM a second copy of the file. Here the free pages become
holes in the file (`fallocate`): the file looks as long as before, its blocks are free, and nothing is written but the file system's own books.
SQLite never reads what a free page holds. A file system without holes (FAT) keeps the pages, and new rows use them.
"""

import ctypes
import errno
import os
import sqlite3
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import msgspec

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
# Offsets in SQLite's header: the first page of the list of free pages, and how many there are. All big-endian.
_FIRST_FREE, _FREE_COUNT = 32, 36
_MOST_HOLES = 1_024
_NOT_HERE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """live_bytes: of pages in use. free_bytes: of pages that new rows will use. log_bytes: of the write-ahead log. held_bytes: of the
    file's blocks that hold free pages, which could be given back.
    """

    live_bytes: int
    free_bytes: int
    log_bytes: int
    held_bytes: int


def measure(connection: sqlite3.Connection, path: Path) -> Size:
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    live = (pages - free) * page_bytes
    log = blocks = 0
    with suppress(OSError):
        log = path.with_name(path.name + "-wal").stat().st_size
        blocks = path.stat().st_blocks * 512
    return Size(
        live_bytes=live,
        free_bytes=free * page_bytes,
        log_bytes=log,
        held_bytes=max(0, min(free * page_bytes, blocks - live)),
    )


class Holes:
    """Gives free pages back. Its file stays open until `close`, which must come after the last connection of this process is closed:
    closing any descriptor of a file drops all of the process's locks on it, SQLite's too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self.possible = True  # until the file system says that it is not

    def give_back(self, connection: sqlite3.Connection) -> bool:
        """False when it must be tried later (a reader still needs the log) or is not possible here. sqlite3.Error as from any statement.

        Outside a transaction, on the only connection that writes.
        """
        if not self.possible:
            return False
        version = connection.execute("PRAGMA data_version").fetchone()
        busy, in_log, in_file = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or in_log != in_file:
            return False
        # All is in the file, and no snapshot is older than that. Nothing may change while the list of free pages is read.
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("PRAGMA data_version").fetchone() != version:
                return False
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            return self._punch(page_bytes)
        except OSError as error:
            self.possible = self.possible and error.errno not in _NOT_HERE
            return False
        finally:
            connection.execute("ROLLBACK")

    def _punch(self, page_bytes: int) -> bool:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        free = self._free_pages(self._file, page_bytes)
        if free is None:
            return False
        runs: list[list[int]] = [[page, page] for page in free[:1]]
        for before, page in pairwise(free):
            if page == before + 1:
                runs[-1][1] = page
            else:
                runs.append([page, page])
        runs.sort(key=lambda run: run[0] - run[1])
        for first, last in runs[:_MOST_HOLES]:
            _hole(self._file, (first - 1) * page_bytes, (last - first + 1) * page_bytes)
        return True

    @staticmethod
    def _free_pages(file: int, page_bytes: int) -> list[int] | None:
        """The free pages without content, ascending; None when the list is not what its header says."""
        pages = os.fstat(file).st_size // page_bytes
        header = os.pread(file, 100, 0)
        trunk, count = _number(header, _FIRST_FREE), _number(header, _FREE_COUNT)
        free: list[int] = []
        trunks = 0
        while trunk:
            trunks += 1
            page = os.pread(file, page_bytes, (trunk - 1) * page_bytes)
            if trunks + len(free) > count or len(page) != page_bytes:
                return None
            trunk, leaves = _number(page, 0), _number(page, 4)
            if leaves > page_bytes // 4 - 2:
                return None
            free += [_number(page, 8 + 4 * place) for place in range(leaves)]
        if trunks + len(free) != count or any(not 2 <= page <= pages for page in free):
            return None
        return sorted(free)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "big")


def _hole(file: int, start: int, length: int) -> None:
    """OSError: the file system has no holes, or the disk failed."""
    library = ctypes.CDLL(None, use_errno=True)
    # On 32-bit glibc the plain name takes 32-bit offsets; musl has only the plain one, with 64.
    call = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(file, _PUNCH_HOLE | _KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

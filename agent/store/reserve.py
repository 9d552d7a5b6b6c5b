"""A file of 1 MB beside the database that is given back when the disk is full: for ticks, events and summaries, for the deletions that make room,
and for the word of it in `state.json`. It is made anew when there is room again.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path

from agent.log import fact

NAME = "reserve"
BYTES = 1 << 20
# On a disk with less room it would itself be what fills it.
_ROOMY_BYTES = 4 * BYTES
# With less a start does not succeed.
FULL_BYTES = 1 << 18

log = logging.getLogger(__name__)


class Reserve:
    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._there = False
        self.released = False

    def keep(self, free_bytes: int) -> bool:
        """Makes it where there is room; whether that was now. free_bytes: of the file system."""
        if self._there or free_bytes < _ROOMY_BYTES:
            return False
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.posix_fallocate(file, 0, BYTES)
            finally:
                os.close(file)
        except OSError:  # not on this file system, or it is full again: it goes without
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        self._there, self.released = True, False
        return True

    def release(self) -> bool:
        """Whether that gave room."""
        try:
            self._path.unlink()
        except OSError:
            return False
        self._there, self.released = False, True
        log.warning(fact("store reserve given back", bytes=BYTES))
        return True

    def is_low(self, free_bytes: int) -> bool:
        """What was given back is not for results."""
        return self.released and free_bytes < _ROOMY_BYTES

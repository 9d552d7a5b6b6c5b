"""`anchor.json`: which boot, epoch and session were the last, kept outside the database.

Only a reason: a database that is behind its anchor is an older copy that was put back, so the next epoch says "restore". Nothing that is
counted depends on it; it may be missing, old or unreadable.
"""

import os
from pathlib import Path

import msgspec

from agent.store.folder import sync_folder

NAME = "anchor.json"


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """last_id, given: the last row id, and how many numbers its epoch had given (`identity.given`), when it was written: at each session and at the
    end of a run.
    """

    boot: int
    session: int
    epoch: str
    last_id: int = 0
    given: int = 0


def read(folder: Path) -> Anchor | None:
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Anchor)
    except (OSError, msgspec.MsgspecError):
        return None


def write(folder: Path, anchor: Anchor) -> None:
    """Whole or not at all: written beside, then renamed. OSError when it cannot be."""
    beside = folder / (NAME + ".new")
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(anchor))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / NAME)
    sync_folder(folder)

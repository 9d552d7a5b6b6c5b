"""Databases that were set aside: edge.sqlite.damaged-1, -2, … with their logs, the newest KEPT of them; oldest first when there is no room."""

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from agent.log import fact

KEPT = 2
_LOGS = ("-wal", "-shm")

log = logging.getLogger(__name__)


def set_aside(path: Path) -> Path:
    """The database with its logs under another name; of those set aside before, the newest stay."""
    for each in _LOGS:
        rename(path.with_name(path.name + each), name(path, each))
    aside = name(path, "")
    rename(path, aside)
    for number in _numbers(path)[:-KEPT]:
        remove(path.with_name(f"{path.name}.damaged-{number}"))
    return aside


def make_room(path: Path, is_needed: Callable[[], bool]) -> None:
    """What was set aside goes before the agent cannot store, oldest first: what could be read of it is in the new file."""
    for number in _numbers(path):
        if is_needed():
            aside = path.with_name(f"{path.name}.damaged-{number}")
            log.warning(fact("no room for a damaged database", removed=aside))
            remove(aside)


def name(path: Path, log_name: str) -> Path:
    return path.with_name(f"{path.name}.damaged-{max(_numbers(path), default=0) + 1}{log_name}")


def _numbers(path: Path) -> list[int]:
    """Of the databases set aside, not of logs alone."""
    names = (one.name.rpartition("-")[2] for one in path.parent.glob(f"{path.name}.damaged-*"))
    return sorted(int(name) for name in names if name.isdigit())


def rename(path: Path, to: Path) -> None:
    with suppress(FileNotFoundError):
        path.rename(to)


def remove(path: Path) -> None:
    for each in ("", *_LOGS):
        path.with_name(path.name + each).unlink(missing_ok=True)

"""`state.json` beside the store: what `status` shows of the running agent, and nothing depends on. Replaced whole, never half written.

Each writing is flash wear: it is written when something other than ages and counters has changed, ten times in 100 s at once and from then
on every 5 s (a model that fails at every other picture changes all the time), and else once a minute by the supervisor.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.clock import Clock
from agent.events.snapshots import Snapshots
from agent.log import fact
from agent.pipeline.supervisor import LaneState
from agent.store.writer import Store
from agent.sync.sync import Sync

_MOST, _MOST_IN_US = 10, 100_000_000
_LATEST_US = 5_000_000  # no change waits longer


class StateFile:
    """sync: set once it runs; None where nothing is sent. snapshots: likewise, None where none are kept. stop: once set, what is told is written whatever was written before."""

    def __init__(self, store: Store, clock: Clock, stop: threading.Event) -> None:
        self._store = store
        self.sync: Sync | None = None
        self.snapshots: Snapshots | None = None
        self._clock = clock
        self._stop = stop
        self._told: Any = None
        self._written_us: deque[int] = deque(maxlen=_MOST)
        self._waiting = False  # told, and not written yet

    def has_changed(self) -> bool:
        """Whether it is to be told anew for what the lanes do not know: the link, faults, inputs that cannot be stored."""
        return (self._waiting or self._beside_lanes() != self._told) and self._may_write()

    def tell(self, lanes: Mapping[str, LaneState]) -> None:
        self._waiting = not self._may_write()
        if self._waiting:
            return
        self._written_us.append(self._clock.boot_us())
        self._told = self._beside_lanes()
        path = self._store.folder / "state.json"
        text = msgspec.json.encode(self.body(lanes))
        try:
            path.with_suffix(".new").write_bytes(text)
            path.with_suffix(".new").replace(path)
        except OSError as error:
            logging.getLogger(__name__).debug(fact("state not written", error=error))
            _overwrite(path, text)

    def body(self, lanes: Mapping[str, LaneState]) -> dict[str, Any]:
        """How the agent does now."""
        return {
            "at_us": self._clock.boot_us(),
            "boot": self._clock.boot_id(),
            "pid": os.getpid(),
            "lanes": {name: msgspec.to_builtins(state) for name, state in lanes.items()},
            "link": msgspec.to_builtins(self.sync.state) if self.sync is not None else None,
            "unstored": dict(self._store.unstored),
            "faults": dict(self._store.faults),
            **({"snapshots": self.snapshots.told()} if self.snapshots is not None else {}),
        }

    def _may_write(self) -> bool:
        written, now_us = self._written_us, self._clock.boot_us()
        return (
            len(written) < _MOST
            or now_us - written[0] >= _MOST_IN_US
            or now_us - written[-1] >= _LATEST_US
            or self._stop.is_set()
        )

    def _beside_lanes(self) -> tuple[Any, ...]:
        link = self.sync.state if self.sync is not None else None
        return (
            None if link is None else (link.connected, link.problem),
            dict(self._store.faults),
            frozenset(self._store.unstored),
        )


def _overwrite(path: Path, text: bytes) -> None:
    """In place: a full disk gives no room for a second file, and what fills it is what `status` must say."""
    with suppress(OSError):
        path.with_suffix(".new").unlink(missing_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(file, text.ljust(os.fstat(file).st_size), 0)  # at once, so that nobody reads two halves
            os.ftruncate(file, len(text))
        finally:
            os.close(file)

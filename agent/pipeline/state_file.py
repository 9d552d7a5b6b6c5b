"""`state.json` beside the store: what `status` shows of the running agent, and nothing depends on. Replaced whole, never half written."""

import logging
import os
from collections.abc import Mapping

import msgspec

from agent.clock import Clock
from agent.log import fact
from agent.pipeline.supervisor import LaneState
from agent.store.writer import Store
from agent.sync.sync import Sync


class StateFile:
    """sync: None where nothing is sent."""

    def __init__(self, store: Store, sync: Sync | None, clock: Clock) -> None:
        self._store = store
        self._sync = sync
        self._clock = clock
        self._told: tuple[bool, str | None] | None = None

    def link_has_changed(self) -> bool:
        """Whether the link was lost, is back, or has another problem since the file was written."""
        return self._link() != self._told

    def tell(self, lanes: Mapping[str, LaneState]) -> None:
        self._told = self._link()
        body = {
            "at_us": self._clock.boot_us(),
            "boot": self._clock.boot_id(),
            "pid": os.getpid(),
            "lanes": lanes,
            "link": self._sync.state if self._sync is not None else None,
            "unstored": dict(self._store.unstored),
            "faults": dict(self._store.faults),
        }
        path = self._store.folder / "state.json"
        try:
            path.with_suffix(".new").write_bytes(msgspec.json.encode(body))
            path.with_suffix(".new").replace(path)
        except OSError as error:
            logging.getLogger(__name__).debug(fact("state not written", error=error))

    def _link(self) -> tuple[bool, str | None] | None:
        return (self._sync.state.connected, self._sync.state.problem) if self._sync is not None else None

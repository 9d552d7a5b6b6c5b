"""A store in memory without its thread: the test says where groups end, when the agent is killed and when the device boots.

device = StoreByHand({"yard": (60, 3600)}, [rollup.hook("sha256:00", {})])
device.job(lane_second_job(second("yard", 1_000_000)))
device.commit()
device.kill()                     # jobs not committed are gone
device.start(boot="boot-two")     # a new kernel boot, so a new epoch
"""

import sqlite3
import weakref
from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.clock import Reading
from agent.store import identity
from agent.store.lane_rows import clock_job
from agent.store.schema import SECOND, TABLES, VIEWS
from agent.store.transaction import Hook, Job, Transaction


class StoreByHand:
    """hooks: made anew at each start, as a new process would."""

    def __init__(
        self, grains: Mapping[str, Sequence[int]], hooks: Callable[[], Sequence[Hook]], device: str = "site/name"
    ) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self.connection.close)  # a property test makes hundreds
        self.connection.executescript(TABLES + SECOND + VIEWS)
        self.grains = grains
        self.device = device
        self.now_us = 0
        self.faults: dict[str, str] = {}
        self.groups = 0
        self.make_hooks = hooks
        self._jobs: list[Job] = []
        self.start()

    def start(self, boot: str = "boot-0", device: str | None = None) -> None:
        self._jobs = []
        self.device = device or self.device
        self.faults.clear()
        connection = self.connection
        connection.execute("BEGIN")
        who = identity.decide(connection, kernel_boot_id=boot, device=self.device, anchor=None)
        self.transaction = Transaction(connection, who, identity.greatest_id(connection) + 1, self.faults)
        self.transaction.grains = {lane: tuple(seconds) for lane, seconds in self.grains.items()}
        lanes = {self.transaction.name("lane", lane): seconds for lane, seconds in self.transaction.grains.items()}
        identity.enter(connection, lanes, self.transaction.last_id + 1)
        connection.execute("COMMIT")
        self._hooks = tuple(self.make_hooks())
        self.commit()

    def kill(self) -> None:
        self._jobs = []

    def job(self, job: Job) -> None:
        self._jobs.append(job)

    def learn(self, utc_us: int, error_ms: int = 1, source: str = "ntp") -> None:
        """A fix: UTC is `utc_us` now."""
        self.job(
            clock_job(Reading(at_us=self.now_us, utc_offset_us=utc_us - self.now_us, source=source, error_ms=error_ms))
        )

    def commit(self, *, undo: bool = False) -> None:
        """The waiting jobs as one group, and the groups that hooks ask for. undo: all of it is rolled back after the hooks have run."""
        jobs, self._jobs = self._jobs, []
        while True:
            transaction, again = self.transaction, False
            transaction.again = False
            transaction.idle.clear()
            transaction.now_us = self.now_us
            mark = transaction.mark()
            self.connection.execute("BEGIN")
            for job in jobs:
                job(transaction)
            for hook in self._hooks:
                hook(transaction)
            again = transaction.again
            self.connection.execute("ROLLBACK" if undo else "COMMIT")
            self.groups += 1
            if undo:
                transaction.forget(mark)
                return
            jobs = []
            if not again:
                return

    def items(self, stream: str | None = None) -> list[dict]:
        """Bodies in the order of their making."""
        rows = self.connection.execute(
            "SELECT body FROM item JOIN name ON name.id = stream WHERE ? IS NULL OR text = ? ORDER BY item.id",
            (stream, stream),
        )
        return [msgspec.json.decode(body) for (body,) in rows]

    def sums(self, stream: str) -> list[dict]:
        return [item for item in self.items(stream) if item["k"] == "sum"]

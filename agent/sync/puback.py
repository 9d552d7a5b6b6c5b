"""PUBACKs on their way into the store: in groups, and not waited for; a lost one costs a duplicate."""

from agent.clock import Clock
from agent.store import items
from agent.store.writer import Store, Ticket

# Those that wait to be written, and for how long at most.
GROUP = 500
GROUP_US = 250_000


class Pubacks:
    def __init__(self, store: Store, clock: Clock, store_limit_s: float) -> None:
        self._store, self._clock, self._limit_s = store, clock, store_limit_s
        self._ids: list[int] = []
        self._oldest_us = 0

    def add(self, ids: list[int]) -> None:
        """Of acknowledged items."""
        if not self._ids:
            self._oldest_us = self._clock.boot_us()
        self._ids += ids

    def write(self, *, all_of_them: bool = False) -> Ticket | None:
        """Gives them to the store when a group is together or old enough."""
        due = len(self._ids) >= GROUP or self._clock.boot_us() - self._oldest_us >= GROUP_US
        if not self._ids or not (due or all_of_them):
            return None
        ids, self._ids = self._ids, []
        return self._store.submit(
            lambda transaction: items.mark_acknowledged(transaction, ids),
            ends_group=all_of_them,
            timeout_s=self._limit_s,
        )

"""What waits on each stream: a cursor, items read ahead and marked as handed, and in which order streams are served.

A number leaves only after its row is durably marked *handed*: up to 200 numbers ahead, in one commit. Bytes that are not those that were
numbered never leave; their number becomes lost.
"""

import logging
from collections import deque

from agent.clock import Clock
from agent.log import fact
from agent.messages.envelope import grain_seconds
from agent.store import items, outbox
from agent.store.items import Item
from agent.store.transaction import Transaction
from agent.store.writer import Store

AHEAD = 200
AHEAD_BYTES = 262_144
_RETRY_US = (5_000_000, 300_000_000)  # a stream that the broker refused: the first wait, the longest

log = logging.getLogger(__name__)


class Stream:
    """One stream of one epoch on one connection."""

    def __init__(self, row: outbox.OutStream) -> None:
        self.epoch, self.stream, self.text = row.epoch, row.stream, row.text
        self.last_seq = row.last_seq  # the last number given
        self.loaded = 0  # the last number looked at on this connection
        self.waiting: deque[Item] = deque()
        self.not_before_us = 0
        self._wait_us = _RETRY_US[0]
        self.rank = self._rank()

    @property
    def more(self) -> bool:
        """Something is waiting, or was numbered and not yet looked at."""
        return bool(self.waiting) or self.loaded < self.last_seq

    def accepted(self) -> None:
        """The broker took something: its next refusal is a first one again."""
        self._wait_us = _RETRY_US[0]

    def again(self, seq: int, now_us: int) -> None:
        """From this number on, after a pause that doubles."""
        self.waiting.clear()
        self.loaded = min(self.loaded, seq - 1)
        self.not_before_us = now_us + self._wait_us
        self._wait_us = min(self._wait_us * 2, _RETRY_US[1])

    def _rank(self) -> tuple[int, int, int, str]:
        """Events first, then summaries, coarse before fine, then the rest; the newest epoch first."""
        kind, _, rest = self.text.partition("/")
        if kind == "event":
            return 0, 0, -self.epoch, self.text
        if kind == "summary":
            try:
                return 1, -grain_seconds(rest.rpartition("/")[2]), -self.epoch, self.text
            except ValueError:
                return 2, 0, -self.epoch, self.text
        return 2, 0, -self.epoch, self.text


class Streams:
    """All streams with something to send, on one connection. `order`: those that have, by rank. store_limit_s: for each wait on the store."""

    def __init__(self, store: Store, clock: Clock, store_limit_s: float) -> None:
        self._store = store
        self._clock = clock
        self._limit_s = store_limit_s
        self._all: dict[tuple[int, int], Stream] = {}
        self.order: list[Stream] = []
        self.lost = 0  # items that became lost, until somebody takes the count
        with store.read() as reading:
            for row in outbox.older_streams(reading, store.epoch):
                self._all[row.epoch, row.stream] = Stream(row)
        self.refresh()

    def refresh(self) -> None:
        """Looks which numbers were given since: to be called after commits."""
        with self._store.read() as reading:
            rows = outbox.running_streams(reading, self._store.epoch)
        for row in rows:
            known = self._all.get((row.epoch, row.stream))
            if known is None:
                self._all[row.epoch, row.stream] = Stream(row)
            else:
                known.last_seq = row.last_seq
        self.sort()

    def sort(self) -> None:
        self.order = sorted((stream for stream in self._all.values() if stream.more), key=lambda stream: stream.rank)

    @property
    def idle(self) -> bool:
        """Nothing could go now."""
        now_us = self._clock.boot_us()
        return not any(stream.more and stream.not_before_us <= now_us for stream in self.order)

    @property
    def refused(self) -> bool:
        """A stream pauses because the broker refused it."""
        now_us = self._clock.boot_us()
        return any(stream.not_before_us > now_us for stream in self.order)

    def load(self, stream: Stream) -> bool:
        """Reads this stream ahead, and with it the next ones that have nothing read: so the marks of many small streams are one commit.

        True when it has something to send. Problem, TimeoutError: the store.
        """
        read: list[tuple[Stream, list[Item], int]] = []
        count = size = 0
        with self._store.read() as reading:
            for one in (stream, *(other for other in self.order if other is not stream)):
                if one.waiting or one.loaded >= one.last_seq:
                    continue
                found = items.next_items(
                    reading, one.epoch, one.stream, one.loaded, AHEAD - count, max(1, AHEAD_BYTES - size)
                )
                read.append((one, found, found[-1].seq if found else one.last_seq))
                count += len(found)
                size += sum(len(item.body) for item in found)
                if count >= AHEAD or size >= AHEAD_BYTES:
                    break
        for _, found, _ in read:
            for item in found:
                if not item.intact:
                    self._lose(item)
        gone = self.mark_handed([item for _, found, _ in read for item in found if item.intact])
        for one, found, loaded in read:
            one.loaded = loaded
            one.waiting.extend(item for item in found if item.intact and item.id not in gone)
        return bool(stream.waiting)

    def mark_handed(self, found: list[Item]) -> set[int]:
        """Gives the ids of those that became lost since they were read (deleted for space): they must not be sent."""
        ids = [item.id for item in found if item.state == items.PENDING]
        gone: set[int] = set()
        if ids:

            def mark(transaction: Transaction) -> None:
                gone.update(items.mark_handed(transaction, ids))

            self._store.submit(mark, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
        return gone

    def _lose(self, item: Item) -> None:
        log.error(fact("item corrupt", stream=item.stream_text, seq=item.seq))

        def lose(transaction: Transaction) -> None:
            items.mark_lost_corrupt(transaction, item)

        self._store.submit(lose, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
        self.lost += 1

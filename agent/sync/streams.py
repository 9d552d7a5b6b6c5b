"""What waits on each stream: items read ahead and marked as handed, and in which order streams are served.

A number leaves only after its row is durably marked *handed*: up to 200 numbers ahead, in one commit. Bytes that are not those that were
numbered never leave; their number becomes lost. What the data budget has no room for is not read: so it can still be held.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.clock import Clock
from agent.log import fact
from agent.store import holding, items, outbox
from agent.store.items import Item
from agent.store.transaction import Transaction
from agent.store.writer import Store, Ticket
from agent.sync import kinds
from agent.sync.stream import Stream

AHEAD = 200
AHEAD_BYTES = 262_144
# With less room than this, nothing is read; with more than this, the data budget bounds nothing.
LEAST_ROOM = 400
_PLENTY_BYTES = 1 << 24
# What is compressed takes this part of the link at most.
_PACKED = 3

log = logging.getLogger(__name__)


class _Marks(NamedTuple):
    """On their way to the medium."""

    ticket: Ticket | None
    gone: set[int]

    def wait(self, limit_s: float) -> set[int]:
        """Ids that are no longer here. Problem, TimeoutError: the store."""
        if self.ticket is not None:
            self.ticket.wait(limit_s)
        return self.gone


class Streams:
    """All streams with something to send, on one connection. `order`: those that have, by rank. store_limit_s: for each wait on the store.

    window: a backlog is what is more. room: bytes that may go of a kind.
    """

    def __init__(
        self, store: Store, clock: Clock, store_limit_s: float, *, window: int = 20, room: Callable[[str], int] = lambda _: 1 << 30
    ) -> None:  # fmt: skip
        self._store = store
        self._clock = clock
        self._limit_s = store_limit_s
        self._room = room
        self._upwards: dict[tuple[int, int], Stream] = {}  # of the running epoch: what is new
        self._late: list[Stream] = []
        self.order: list[Stream] = []
        self._coming: tuple[list[Stream], _Marks] | None = None
        self.lost = 0  # items that became lost, until somebody takes the count
        with store.read() as reading:
            for row in outbox.older_streams(reading, store.epoch):
                self._late.append(Stream(row, fresh=False, downwards=kinds.summary_grain_s(row.text) is not None))
            for row in outbox.running_streams(reading, store.epoch):
                backlog = kinds.summary_grain_s(row.text) is not None and outbox.has_more(
                    reading, row.epoch, row.stream, window
                )
                if backlog:
                    self._late.append(Stream(row, fresh=False, downwards=True))
                self._upwards[row.epoch, row.stream] = Stream(row, fresh=True, after=row.last_seq if backlog else 0)
        self.refresh()

    def refresh(self) -> None:
        """Looks which numbers were given since: to be called after commits."""
        with self._store.read() as reading:
            rows = outbox.running_streams(reading, self._store.epoch)
        for row in rows:
            known = self._upwards.get((row.epoch, row.stream))
            if known is None:
                self._upwards[row.epoch, row.stream] = Stream(row, fresh=True)
            else:
                known.last_seq = row.last_seq
        self.sort()

    def sort(self) -> None:
        self.order = sorted(
            (stream for stream in (*self._upwards.values(), *self._late) if stream.more), key=lambda stream: stream.rank
        )

    def upwards(self, names: Sequence[str]) -> list[holding.Place]:
        """The running epoch's streams of these names, above what was looked at."""
        return [holding.Place(one.epoch, one.stream, one.loaded) for one in self._upwards.values() if one.text in names]

    def held(self, found: Sequence[holding.Place]) -> None:
        """What the data budget keeps back from now on, up to these numbers."""
        for one in found:
            if (one.epoch, one.stream) in self._upwards:
                self._upwards[one.epoch, one.stream].held(one.after)
        self.sort()

    def released(self, found: Sequence[holding.Released]) -> None:
        """Numbers that may go again; those that no stream would look at any more get one."""
        self._late = [stream for stream in self._late if stream.more]
        for one in found:
            row = outbox.OutStream(one.epoch, one.stream, one.text, one.last)
            known = [stream for stream in (self._upwards.get((one.epoch, one.stream)), *self._late)
                     if stream is not None and (stream.epoch, stream.stream) == (one.epoch, one.stream)]  # fmt: skip
            if not any(stream.covers(one.first) and stream.covers(one.last) for stream in known):
                self._late.append(Stream(row, fresh=False, downwards=True, after=one.first - 1))
        self.sort()

    def has_late(self, kind: str) -> bool:
        """Whether something late of this kind waits already."""
        return any(stream.more and stream.kind == kind for stream in self._late)

    @property
    def idle(self) -> bool:
        """Nothing could go now."""
        now_us = self._clock.boot_us()
        return not any(stream.more and max(stream.not_before_us, stream.later_us) <= now_us for stream in self.order)

    @property
    def refused(self) -> bool:
        """A stream pauses because the broker refused it."""
        now_us = self._clock.boot_us()
        return any(stream.not_before_us > now_us for stream in self.order)

    def load(self, stream: Stream) -> bool:
        """Reads this stream ahead, and with it the next ones that have nothing read: so the marks of many small streams are one commit.

        While a full block of them is sent, the next one is marked. True when it has something to send. Problem, TimeoutError: the store.
        """
        full = self._coming is not None  # as the one before it was
        self._arrive()
        if not stream.waiting:
            full = self._begin(stream)
            self._arrive()
        # What a data budget bounds is not read before its turn.
        if full and self._room(stream.kind) >= _PLENTY_BYTES:
            self._begin(stream, ahead=True)
        return bool(stream.waiting)

    def _begin(self, stream: Stream, *, ahead: bool = False) -> bool:
        """Reads a block and submits its marks. True when it is full. ahead: also of streams that have something waiting."""
        read: list[tuple[Stream, list[Item]]] = []
        count = size = 0
        with self._store.read() as reading:
            for one in (stream, *(other for other in self.order if other is not stream)):
                room = self._room(one.kind)
                if not one.unread or (one.waiting and not ahead) or room < LEAST_ROOM:
                    continue
                most = max(1, min(AHEAD_BYTES - size, room * (1 if one.fresh else _PACKED)))
                if one.downwards:
                    found = items.items_below(
                        reading, one.epoch, one.stream, one.loaded, one.after, AHEAD - count, most
                    )
                else:
                    found = items.next_items(reading, one.epoch, one.stream, one.loaded, AHEAD - count, most)
                read.append((one, found))
                count += len(found)
                size += sum(len(item.body) for item in found)
                if count >= AHEAD or size >= AHEAD_BYTES:
                    break
        for one, found in read:
            one.looked_at(found)
            for item in found:
                if item.intact:
                    one.coming.append(item)
                else:
                    self._lose(item)
        self._coming = [one for one, _ in read], self._mark([item for one, _ in read for item in one.coming])
        return count >= AHEAD or size >= AHEAD_BYTES

    def _arrive(self) -> None:
        """What was read waits to be sent once its marks are on the medium."""
        if self._coming is None:
            return
        (found, marks), self._coming = self._coming, None
        gone = marks.wait(self._limit_s)
        for one in found:
            one.waiting.extend(item for item in one.coming if item.id not in gone)
            one.coming.clear()

    def mark_handed(self, found: list[Item]) -> set[int]:
        """Gives the ids of those that became lost since they were read (deleted for space): they must not be sent."""
        return self._mark(found).wait(self._limit_s)

    def _mark(self, found: list[Item]) -> "_Marks":
        ids = [item.id for item in found if item.state in (items.PENDING, items.HELD)]
        gone: set[int] = set()
        if not ids:
            return _Marks(None, gone)

        def mark(transaction: Transaction) -> None:
            gone.update(items.mark_handed(transaction, ids))

        return _Marks(self._store.submit(mark, ends_group=True, timeout_s=self._limit_s), gone)

    def _lose(self, item: Item) -> None:
        log.error(fact("item corrupt", stream=item.stream_text, seq=item.seq))

        def lose(transaction: Transaction) -> None:
            items.mark_lost_corrupt(transaction, item)

        self._store.submit(lose, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
        self.lost += 1

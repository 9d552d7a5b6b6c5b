"""One stream of one epoch on one connection, read in one direction.

What is new is read upwards. A backlog of more than a window of summaries is read downwards: the newest of it is worth most. Numbers that the
data budget lets go again are a short stream of their own.
"""

from collections import deque

from agent.store.items import Item
from agent.store.outbox import OutStream
from agent.sync import kinds

_RETRY_US = (5_000_000, 300_000_000)  # a stream that the broker refused: the first wait, the longest


class Stream:
    """fresh: it may have news. downwards: from `last_seq` down to the number after `after`; else from there up to `last_seq`, which grows."""

    def __init__(self, row: OutStream, *, fresh: bool, downwards: bool = False, after: int = 0) -> None:
        self.epoch, self.stream, self.text = row.epoch, row.stream, row.text
        self.last_seq = row.last_seq  # the last number given, or that this cursor may read
        self.fresh = fresh
        self.downwards = downwards
        self.after = after
        # The last number looked at on this connection.
        self.loaded = row.last_seq + 1 if downwards else after
        self.waiting: deque[Item] = deque()
        self.coming: list[Item] = []  # after those that wait: read, and being marked as handed
        self.not_before_us = 0  # the broker refused something
        self.later_us = 0  # nothing may go before: the data budget, or the device's own moment in the grain
        self._wait_us = _RETRY_US[0]
        self.rank = self._rank()

    @property
    def more(self) -> bool:
        """Something is waiting, or was numbered and not yet looked at."""
        return bool(self.waiting or self.coming) or self.unread

    @property
    def unread(self) -> bool:
        """Something was numbered and not yet looked at."""
        return self.loaded > self.after + 1 if self.downwards else self.loaded < self.last_seq

    @property
    def kind(self) -> str:
        """What the next thing it says is for, as far as the stream alone tells."""
        return kinds.kind_of(self.text, live=self.fresh)

    def covers(self, seq: int) -> bool:
        """Whether it will still look at this number."""
        return self.after < seq < self.loaded if self.downwards else self.loaded < seq

    def looked_at(self, found: list[Item]) -> None:
        """After a reading: so far, or to its end when it gave nothing."""
        if found:
            self.loaded = found[-1].seq
        else:
            self.loaded = self.after if self.downwards else self.last_seq

    def held(self, last: int) -> None:
        """Numbers up to this one are kept back: they come as a stream of their own when they are let go."""
        if not self.downwards:
            self.loaded = max(self.loaded, last)

    def accepted(self) -> None:
        """The broker took something: its next refusal is a first one again."""
        self._wait_us = _RETRY_US[0]

    def again(self, seq: int, now_us: int) -> None:
        """From this number on, after a pause that doubles."""
        self.waiting.clear()
        self.coming.clear()
        self.loaded = max(self.loaded, seq + 1) if self.downwards else min(self.loaded, seq - 1)
        if now_us >= self.not_before_us:  # all that was on its way is refused together: one pause for it
            self.not_before_us = now_us + self._wait_us
            self._wait_us = min(self._wait_us * 2, _RETRY_US[1])

    def _rank(self) -> tuple[int, int, int, str]:
        """By what it is for; coarse before fine, the newest epoch first."""
        return kinds.ORDER.index(self.kind), -(kinds.summary_grain_s(self.text) or 0), -self.epoch, self.text

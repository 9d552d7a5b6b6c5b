"""A source that a test feeds record by record, with the capture thread that reads it. It implements `agent.sources.Source`.

with capturing(live) as source:
    source.give(frame)         # returns once the capture thread has delivered it
    source.give(gap, wait=False)
    source.end(Ended())        # what `read` raises; returns when the capture thread is over
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from agent.pipeline.live import Live
from agent.records import Input
from agent.sources import Ended

_LIMIT_S = 10.0


class HandedSource:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[Input | Exception] = deque()
        self.given = 0
        self.asked = 0  # calls of `read`: one more than was delivered
        self.thread: threading.Thread | None = None

    def read(self, timeout_s: float) -> Input | None:
        with self._changed:
            self.asked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._items, timeout_s)
            if not self._items:
                self.asked -= 1
                return None
            item = self._items.popleft()
            self._changed.notify_all()
        if isinstance(item, Exception):
            raise item
        return item

    def give(self, record: Input, *, wait: bool = True) -> None:
        with self._changed:
            self._items.append(record)
            self.given += 1
            self._changed.notify_all()
            ready = (lambda: self.asked > self.given) if wait else (lambda: not self._items)
            assert self._changed.wait_for(ready, _LIMIT_S), "the capture thread took nothing"

    def wait_for_delivery(self) -> None:
        """Until everything that was given is delivered."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.asked > self.given, _LIMIT_S), "the capture thread is held"

    def end(self, why: Exception) -> None:
        with self._changed:
            self._items.append(why)
            self._changed.notify_all()
        assert self.thread is not None
        self.thread.join(_LIMIT_S)
        assert not self.thread.is_alive()


@contextmanager
def capturing(live: Live) -> Iterator[HandedSource]:
    """Ends the capture thread at the end, if the test did not; what is held then is taken out of its way."""
    source = HandedSource()
    source.thread = threading.Thread(target=live.capture, args=(source,))
    source.thread.start()
    try:
        yield source
    finally:
        if source.thread.is_alive():
            source.end(Ended())

"""All that stands between threads: `Latest` (the newest wins, what is replaced is counted) and `Bounded` (in order, full holds back)."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):
    """The other side is gone; `why` is what ended it, None for a good end."""

    def __init__(self, why: BaseException | None = None) -> None:
        super().__init__(why)
        self.why = why


class Latest(Generic[T]):
    """One place: `put` replaces what was not taken and counts it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._replaced = 0
        self._closed = False
        self._why: BaseException | None = None

    def put(self, item: T) -> None:
        with self._changed:
            if self._item is not None:
                self._replaced += 1
            self._item = item
            self._changed.notify_all()

    def take(self, timeout_s: float) -> T | None:
        """The newest item, None when none came in time. Closed when there is none and none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            if item is None and self._closed:
                raise Closed(self._why)
            return item

    def replaced(self) -> int:
        """How many were replaced since the last call."""
        with self._changed:
            count, self._replaced = self._replaced, 0
            return count

    def close(self, why: BaseException | None = None) -> None:
        with self._changed:
            self._closed, self._why = True, why
            self._changed.notify_all()


class Bounded(Generic[T]):
    """First in, first out, at most `places`; a full one holds the giver back for as long as it says, then refuses."""

    def __init__(self, places: int) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._places = places
        self._closed = False
        self._why: BaseException | None = None

    def put(self, item: T, timeout_s: float) -> bool:
        """False when it stayed full. Closed when nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._places or self._closed, timeout_s)
            if self._closed:
                raise Closed(self._why)
            if len(self._items) >= self._places:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def take(self, timeout_s: float) -> T | None:
        """The oldest item, None when none came in time. Closed when empty and closed."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout_s)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._closed:
                raise Closed(self._why)
            return None

    def take_all(self, timeout_s: float, most: int) -> list[T]:
        """What is there, at most `most`, after waiting for the first one."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items) or self._closed, timeout_s)
            if not self._items and self._closed:
                raise Closed(self._why)
            items = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            return items

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def close(self, why: BaseException | None = None) -> None:
        with self._changed:
            self._closed, self._why = True, why
            self._changed.notify_all()

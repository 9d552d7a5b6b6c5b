"""Keeps items back while the data budget is tight, and lets them go again, the newest first: hours before minutes, as there is room."""

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.clock import Clock
from agent.store import holding
from agent.store.transaction import Transaction
from agent.store.writer import Store
from agent.sync import kinds
from agent.sync.states import State

_STEP_US = 1_000_000
_MOST_BYTES = 262_144
_LEAST_ROOM = 1_000
# Alike items of a batch take so many times less than their own bytes.
_PACKED = 4
_BACK: dict[State, tuple[str, ...]] = {
    "full": (),
    "lean": (),
    "coarse": (kinds.BACK_MINUTES, kinds.RESULTS),
    "critical": (kinds.BACK_HOURS, kinds.BACK_MINUTES, kinds.RESULTS),
    "closed": (kinds.BACK_HOURS, kinds.BACK_MINUTES, kinds.RESULTS),
}


class Cursors(Protocol):
    """streams.Streams."""

    def upwards(self, names: Sequence[str]) -> list[holding.Place]:
        """The running epoch's streams of these names, above what was looked at."""

    def held(self, found: Sequence[holding.Place]) -> None: ...

    def released(self, found: Sequence[holding.Released]) -> None: ...

    def has_late(self, kind: str) -> bool: ...


class Held:
    """Of one connection. room: bytes that may go of a kind."""

    def __init__(
        self, store: Store, clock: Clock, cursors: Cursors, room: Callable[[str], int], *, store_limit_s: float = 5.0
    ) -> None:
        self._store, self._clock, self._cursors, self._room = store, clock, cursors, room
        self._limit_s = store_limit_s
        self._stepped_us = -_STEP_US
        self._state: State | None = None

    def step(self, state: State) -> None:
        """Once a second, and at once when the state is another. Problem, TimeoutError: the store."""
        now_us = self._clock.boot_us()
        if state == self._state and now_us - self._stepped_us < _STEP_US:
            return
        self._stepped_us = now_us
        with self._store.read() as connection:
            names = holding.stream_names(connection)
            groups = {
                kinds.BACK_HOURS: [name for name in names if kinds.is_hours(name)],
                kinds.BACK_MINUTES: [name for name in names if kinds.is_fine(name) and not kinds.is_results(name)],
                kinds.RESULTS: [name for name in names if kinds.is_results(name)],
            }
            back = [name for kind in _BACK[state] for name in groups[kind]]
            # What was let go in this state stays so; in a poorer one it is held again.
            places = holding.places(connection, back) if state != self._state else self._cursors.upwards(back)
            self._state = state
            to_hold = holding.can_hold(connection, places)
            free = [kind for kind in groups if self._room(kind) >= _LEAST_ROOM]
            to_release = next((kind for kind in free if holding.any_held(connection, groups[kind])), None)
        if to_hold:
            self._hold(places)
        # What was let go before goes first.
        elif to_release is not None and not self._cursors.has_late(to_release):
            self._release(to_release, groups[to_release])

    def _hold(self, places: list[holding.Place]) -> None:
        last: dict[tuple[int, int], holding.Place] = {}
        found: list[holding.Place] = []

        def hold(transaction: Transaction) -> None:
            found[:] = holding.hold(transaction, places)

        while True:
            self._store.submit(hold, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
            if not found:
                break
            last.update(((one.epoch, one.stream), one) for one in found)
        self._cursors.held(list(last.values()))

    def _release(self, kind: str, streams: list[str]) -> None:
        most = min(_MOST_BYTES, self._room(kind) * _PACKED)
        found: list[holding.Released] = []

        def release(transaction: Transaction) -> None:
            found[:] = holding.release_newest(transaction, streams, most)

        self._store.submit(release, ends_group=True, timeout_s=self._limit_s).wait(self._limit_s)
        self._cursors.released(found)

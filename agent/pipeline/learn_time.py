"""What the system knows about UTC, for the store, a recording, and rules that hold at some hours only."""

from contextlib import suppress

from agent.clock import Clock, Reading
from agent.hours import Hours
from agent.pipeline.recorder import Recorder
from agent.store.lane_rows import clock_job, is_news
from agent.store.writer import Store

_CLOCK_EVERY_US = 10_000_000


class LearnTime:
    """Tells the store, every 10 s, what the system knows about UTC; the store keeps what is news."""

    def __init__(self, store: Store, recorder: Recorder | None, clock: Clock, hours: Hours) -> None:
        self._store = store
        self._hours = hours
        self._recorder = recorder
        self._clock = clock
        self._next_us = 0
        self._entered: Reading | None = None

    def __call__(self) -> None:
        now_us = self._clock.boot_us()
        if now_us < self._next_us:
            return
        self._next_us = now_us + _CLOCK_EVERY_US
        reading = self._clock.reading()
        self._hours.note(reading)
        with suppress(TimeoutError):  # a store that is behind: it learns the time in 10 s
            # Mostly it says nothing new, and a commit of its own would wear the medium for nothing.
            news = reading.known and is_news(reading, self._entered)
            self._store.submit(clock_job(reading), ends_group=news, timeout_s=0.0)
            self._entered = reading if news else self._entered
            if self._recorder is not None:
                self._recorder.clock(reading)

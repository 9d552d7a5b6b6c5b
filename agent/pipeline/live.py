"""An open source → the records a lane takes: inputs as they come, and a tick on every whole second of boot time."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from agent.clock import Clock
from agent.mailbox import Bounded, Closed, Latest
from agent.pipeline.liveness import Liveness
from agent.problems import Problem
from agent.records import Gap, Input, Tick
from agent.sources import Ended, Source

SECOND_US = 1_000_000
# How long one blocking call may last before it looks at the stop event.
_POLL_S = 0.25
# Reads of a port that may wait for the lane: about 10 s of a device that sends 50 frames a second.
READS = 512
# Frames of a file that may wait for the lane: enough to decode the next ones meanwhile. At 1080p one is 6 MB.
FRAMES = 4


class Mailbox(Protocol):
    def take(self, timeout_s: float) -> Input | None: ...


class Live:
    """The records of one lane, live. `capture` runs on the capture thread, `records` on the lane thread.

    every_record: nothing may be replaced, the capture side waits for the lane (serial ports; files at pace "all") when `places` records do.
    """

    def __init__(
        self, clock: Clock, stop: threading.Event, *, stall_s: float, every_record: bool, places: int = READS
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._liveness = Liveness(stall_s, clock.boot_us())
        self._latest: Latest[Input] | None = None if every_record else Latest()
        self._bounded: Bounded[Input] | None = Bounded(places) if every_record else None
        self._gaps: deque[Gap] = deque(maxlen=64)
        self.ticked_us = clock.boot_us()
        self.input_at_us: int | None = None  # this and ticked_us are read by the supervisor
        self.ended = False
        self._refused = self._told_refused = 0  # by the source: of the capture thread, of the ticks

    def capture(self, source: Source) -> None:
        """Reads until the stop event or the source's end; whatever ends it is handed to the lane."""
        why: BaseException | None = None
        try:
            while not self._stop.is_set():
                record = source.read(_POLL_S)
                self._refused = getattr(source, "refused", 0)
                if record is not None:
                    self._deliver(record, useful=getattr(source, "useful", True))
                elif getattr(source, "lives", False):
                    self._arrived()
        except (Ended, Closed):
            self.ended = True
        except Problem as problem:
            why = problem
        except Exception as error:
            logging.getLogger(__name__).debug("capture failed", exc_info=True)
            why = error
        finally:
            self._liveness.closed(self._clock.boot_us())
            for mailbox in (self._latest, self._bounded):
                if mailbox is not None:
                    mailbox.close(why)

    def _deliver(self, record: Input, *, useful: bool) -> None:
        now_us = self._clock.boot_us()
        if isinstance(record, Gap):
            self._liveness.closed(now_us)
            if self._latest is not None:
                self._gaps.append(record)
                return
        elif useful:
            self._arrived()
        if self._latest is not None:
            self._latest.put(record)
        elif self._bounded is not None:
            while not self._bounded.put(record, _POLL_S) and not self._stop.is_set():
                self._liveness.arrived(self._clock.boot_us())  # it waits for the lane: it is not blind

    def _arrived(self) -> None:
        now_us = self._clock.boot_us()
        self._liveness.arrived(now_us)
        self.input_at_us = now_us

    def records(self, wants_tick: Callable[[], bool]) -> Iterator[Input | Tick]:
        """Ends with a last, partial tick; raises what ended the source, when that was a fault."""
        mailbox: Mailbox | None = self._latest or self._bounded
        assert mailbox is not None
        why: BaseException | None = None
        while not self._stop.is_set():
            yield from self._whole_seconds()
            now_us = self._clock.boot_us()
            while self._gaps:
                yield self._gaps.popleft()
            wait_s = min(_POLL_S, (SECOND_US - now_us % SECOND_US) / SECOND_US)
            try:
                record = mailbox.take(wait_s)
            except Closed as closed:
                why = closed.why
                break
            if record is not None:
                yield record
                if wants_tick():
                    yield from self._whole_seconds()
                if wants_tick():
                    yield self._tick(self._clock.boot_us())
        yield from self._whole_seconds()
        yield self._tick(self._clock.boot_us())
        if why is not None:
            raise why

    def _whole_seconds(self) -> Iterator[Tick]:
        """The ticks that are due: several when the lane was held, by a slow model or store."""
        while (whole_us := self._clock.boot_us() // SECOND_US * SECOND_US) > self.ticked_us:
            yield self._tick(self._liveness.next_end(self.ticked_us // SECOND_US * SECOND_US + SECOND_US, whole_us))

    def last_tick(self) -> Tick:
        """For the lane thread, when the loop broke: what was taken since the newest tick is stored too."""
        return self._tick(self._clock.boot_us())

    def _tick(self, at_us: int) -> Tick:
        at_us = max(at_us, self.ticked_us + 1)
        refused = self._refused
        dropped = (self._latest.replaced() if self._latest is not None else 0) + refused - self._told_refused
        self._told_refused = refused
        self.ticked_us = at_us
        return Tick(at_us=at_us, alive_us=self._liveness.take(at_us), dropped=dropped)

"""Keeps a source open: tries again for ever, with growing waits, and says with a Gap that the lane is blind meanwhile."""

import logging
import random
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from agent.clock import Clock
from agent.log import Repeated
from agent.problems import Problem
from agent.records import Gap, Input
from agent.sources import Source, Stalled

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0

_log = logging.getLogger(__name__)


class Reopening:
    """A Source over `open_source`. `open` and `problem` (the newest, None once it gives records again) may be read by other threads.

    A wait is doubled at each failure, at most 30 s, and shortened at random by up to half, so that many lanes do not try at once; the first
    record that is of use ends the series. Only Problems are healed: Ended passes, and so does what is a mistake of ours.
    """

    def __init__(
        self,
        open_source: Callable[[], AbstractContextManager[Source]],
        *,
        clock: Clock,
        stop: threading.Event,
        rng: random.Random,
        place: Callable[[Problem], Problem] = lambda problem: problem,
    ) -> None:
        self._open_source = open_source
        self._place = place
        self._clock = clock
        self._stop = stop
        self._rng = rng
        self._stack = ExitStack()
        self._source: Source | None = None
        self._failures = 0
        self._try_at_us = 0
        self._told = False  # whether a Gap says that nothing comes
        self._quiet = False
        self._refused = 0  # by those that are closed
        self._faults = Repeated(_log)
        self.open = False
        self.problem: Problem | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, timeout_s: float) -> Input | None:
        """As Source.read, without Problem."""
        try:
            if self._source is None:
                remaining_s = (self._try_at_us - self._clock.boot_us()) / 1e6
                if remaining_s > 0:
                    self._clock.wait(self._stop, min(timeout_s, remaining_s))
                    return None
                self._source = self._stack.enter_context(self._open_source())
                self._tell_quiet()  # after it is there: `quiet` may have been called meanwhile
            record = self._source.read(timeout_s)
        except Problem as problem:
            return self._failed(problem)
        if record is not None and self.useful:
            self._arrived()
        return record

    @property
    def useful(self) -> bool:
        """Whether what it gives is what it is for, as Source.useful."""
        return bool(getattr(self._source, "useful", True))

    @property
    def lives(self) -> bool:
        """As Source.lives."""
        return bool(getattr(self._source, "lives", False))

    @property
    def refused(self) -> int:
        """As Source.refused, of all openings. For the thread that reads."""
        return self._refused + int(getattr(self._source, "refused", 0))

    def quiet(self, quiet: bool) -> None:
        """As Source.quiet: holds for later openings too. Any thread."""
        self._quiet = quiet
        self._tell_quiet()

    def _tell_quiet(self) -> None:
        tell = getattr(self._source, "quiet", None)
        if tell is not None:
            tell(self._quiet)

    def _arrived(self) -> None:
        self.open = True
        self._told = False
        self._failures = 0
        if self.problem is not None:
            self._faults.gone("source", f"{self.problem.where}: gives records again")
            self.problem = None

    def _failed(self, problem: Problem) -> Gap | None:
        self._close()
        now_us = self._clock.boot_us()
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._failures, 10))
        self._try_at_us = now_us + round(wait_s * self._rng.uniform(0.5, 1.0) * 1e6)
        self._failures += 1
        self.problem = self._place(problem)
        self._faults.fault("source", str(self.problem), now_us)
        if self._told:
            return None
        self._told = True
        return Gap(at_us=now_us, why="stall" if isinstance(problem, Stalled) else "lost")

    def _close(self) -> None:
        self.open = False
        self._refused, self._source = self.refused, None
        stack, self._stack = self._stack, ExitStack()
        stack.close()

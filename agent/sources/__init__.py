"""Sources: where a lane's inputs come from. A file here without `_` whose module has `Config` is a kind; the config's `kind` is its name.

Takes   its `Config`, a clock, the stop event, where secrets are (already read: `Secret` values).
Gives   Frame, Read, Write, Gap records by `read()`; one record a call, on the capture thread.
Threads the capture thread owns the open source and calls `read`; nobody else does. `unpack` runs on the lane thread.
Fails   Problem: cannot be opened, or died. `reopening` tries again for ever with backoff; the lane is blind meanwhile and says so.
        Ended: a file or folder is at its end; the lane closes its tick and is not restarted.
Add one a file with a docstring (format and its source), `Config`, `open_source`, `every_record`, the class; it is then in `check`, in
        the reference and in tests/contracts/test_sources.py at once.
"""

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from agent.clock import Clock
from agent.problems import Problem
from agent.records import Gap, Input, SampleChunk


class Ended(Exception):
    """The source is at its end, in good order."""


class Stalled(Problem):
    """The source is open and gives nothing, or only what is old."""


class Source(Protocol):
    """An open source. What some have beside `read`, and what holds without it:

    useful   False while its records are of no use yet (bytes of a port that are no samples, its own requests): the lane is blind that long. True.
    lives    True when the newest `read` gave None, though all is well: it is quiet, and what came was not decoded. False.
    refused  how many inputs it has thrown away since it was opened; they count as dropped. 0.
    quiet(quiet: bool)   told by the lane thread, at any time: whether nothing moves and nothing is followed, so that less will do.
    """

    def read(self, timeout_s: float) -> Input | None:
        """The next record; None when none came in time. Problem when it died, Ended at its end."""


class Unpack(Protocol):
    """What the lane thread makes of the source's records, as a pure function of them: so a recording gives the same again."""

    def take(self, record: Input) -> Iterable[SampleChunk | Gap]: ...


class Kind(Protocol):
    """The module of one kind."""

    Config: type[Any]

    def open_source(
        self, config: Any, clock: Clock, stop: threading.Event, where: str
    ) -> AbstractContextManager[Source]:
        """Opens it; Problem when it is not there. where: the config key, for Problems."""

    def every_record(self, config: Any) -> bool:
        """True: nothing may be replaced, the capture side waits for the lane. False: the newest wins."""

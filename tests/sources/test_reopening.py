"""What can heal is tried again for ever, with growing waits."""

import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from peers.manual_clock import ManualClock

from agent.problems import Problem
from agent.records import Gap, Read
from agent.sources import Ended, Stalled
from agent.sources.reopening import Reopening

LOST = Problem(where="lane.a.source", what="the camera is gone", remedy="Look")
SILENT = Stalled(where="lane.a.source", what="no frame for 3 s", remedy="Look")
Step = Read | None | BaseException


class Scripted:
    """A source kind: each opening has its list of what `read` gives, or the error that opening raises."""

    def __init__(self, clock: ManualClock, *openings: list[Step] | Problem) -> None:
        self.clock = clock
        self.openings = list(openings)
        self.opened_at_us: list[int] = []
        self.closed = 0
        self.useful = True

    @contextmanager
    def open(self) -> Iterator["Scripted"]:
        self.opened_at_us.append(self.clock.boot_us())
        opening = self.openings.pop(0) if self.openings else LOST
        if isinstance(opening, Problem):
            raise opening
        self.steps = iter(opening)
        try:
            yield self
        finally:
            self.closed += 1

    def read(self, timeout_s: float) -> Read | None:
        step = next(self.steps, LOST)
        if isinstance(step, BaseException):
            raise step
        return step


def record(at_us: int = 0) -> Read:
    return Read(at_us=at_us, data=b"x")


def reopening(script: Scripted, stop: threading.Event | None = None, seed: int = 1) -> Reopening:
    return Reopening(script.open, clock=script.clock, stop=stop or threading.Event(), rng=random.Random(seed))


def test_one_gap_between_and_then_records_again() -> None:
    script = Scripted(ManualClock(), [record(1), LOST], LOST, [record(2)])
    with reopening(script) as source:
        found = [source.read(0.1) for _ in range(60)]
        assert source.problem is not None
    seen = [one for one in found if one is not None]
    assert [type(one).__name__ for one in seen] == ["Read", "Gap", "Read", "Gap"]
    assert [one.why for one in seen if isinstance(one, Gap)] == ["lost", "lost"]
    assert script.closed == 2


def test_what_it_is_told_and_what_it_counts_outlives_an_opening() -> None:
    told: list[tuple[int, bool]] = []

    class Camera(Scripted):
        lives = True

        def read(self, timeout_s: float) -> Read | None:
            self.refused += 2
            return super().read(timeout_s)

        def quiet(self, quiet: bool) -> None:
            told.append((len(self.opened_at_us), quiet))

        @contextmanager
        def open(self) -> Iterator["Scripted"]:
            self.refused = 0
            with super().open() as source:
                yield source

    script = Camera(ManualClock(), [record(1), record(2), LOST], [record(3)])
    with reopening(script) as source:
        assert not source.lives
        source.quiet(True)  # before it is open
        assert source.read(0.1) == record(1)
        assert source.lives
        assert source.refused == 2
        source.quiet(False)
        source.quiet(True)
        while source.read(0.1) != record(3):
            pass
        assert source.refused == 8
    assert told == [(1, True), (1, False), (1, True), (2, True)]


def test_what_is_of_no_use_does_not_end_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    script = Scripted(ManualClock(), *[[record(), record(), LOST]] * 4, [record(), record()])
    script.useful = False
    with reopening(script) as source:
        while len(script.opened_at_us) < 5:
            source.read(0.1)
        assert (source.open, source.problem) == (False, LOST)
        assert [line.getMessage() for line in caplog.records] == [str(LOST)]
        waits = [later - earlier for earlier, later in itertools.pairwise(script.opened_at_us)]
        assert waits[3] > waits[0] * 3, "each failure doubles the wait"
        script.useful = True
        source.read(0.1)
        assert (source.open, source.problem) == (True, None)


def test_a_source_that_was_never_there_has_a_gap_too() -> None:
    with reopening(Scripted(ManualClock(), LOST)) as source:
        found = [source.read(0.1) for _ in range(20)]
    assert [one for one in found if one is not None] == [Gap(at_us=0, why="lost")]


def test_silence_is_called_a_stall() -> None:
    with reopening(Scripted(ManualClock(), [record(), None, SILENT])) as source:
        found = [source.read(0.1) for _ in range(3)]
    assert found[1] is None
    assert isinstance(found[2], Gap)
    assert found[2].why == "stall"


def test_waits_grow_to_half_a_minute_and_a_record_ends_the_series() -> None:
    script = Scripted(ManualClock(), *[LOST] * 10, [record(), LOST])
    with reopening(script) as source:
        while len(script.opened_at_us) < 12:
            source.read(1.0)
    waits_s = [(b - a) / 1e6 for a, b in zip(script.opened_at_us, script.opened_at_us[1:], strict=False)]
    for number, wait_s in enumerate(waits_s[:10]):
        longest_s = min(30.0, 0.5 * 2**number)
        assert longest_s / 2 <= wait_s <= longest_s + 0.001
    assert waits_s[10] <= 0.501


def test_lanes_do_not_try_at_the_same_moments() -> None:
    moments = []
    for seed in (1, 2):
        script = Scripted(ManualClock())
        with reopening(script, seed=seed) as source:
            while len(script.opened_at_us) < 5:
                source.read(1.0)
        moments.append(script.opened_at_us[1:])
    assert moments[0] != moments[1]


def test_state_and_problem_can_be_read() -> None:
    script = Scripted(ManualClock(), LOST, [record()])
    with reopening(script) as source:
        source.read(0.1)
        assert (source.open, source.problem) == (False, LOST)
        while source.problem is not None:
            source.read(0.5)
        assert source.open
    assert not source.open


def test_the_end_and_mistakes_pass() -> None:
    with reopening(Scripted(ManualClock(), [record(), Ended()])) as source:
        source.read(0.1)
        with pytest.raises(Ended):
            source.read(0.1)
    with reopening(Scripted(ManualClock(), [ZeroDivisionError()])) as source, pytest.raises(ZeroDivisionError):
        source.read(0.1)


def test_a_stop_ends_the_wait() -> None:
    stop = threading.Event()
    clock = ManualClock()
    with reopening(Scripted(clock), stop) as source:
        source.read(0.1)
        stop.set()
        before_us = clock.boot_us()
        assert source.read(60.0) is None
        assert clock.boot_us() == before_us


def test_a_repeated_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    script = Scripted(ManualClock(), *[LOST] * 8, [record()])
    with reopening(script) as source:
        while not source.open:
            source.read(1.0)
    assert caplog.text.count("the camera is gone") == 1

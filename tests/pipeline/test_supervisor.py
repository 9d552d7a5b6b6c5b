"""Lanes that break, that are refused, that end: when they start again, with what code the run ends, what `tell` hears of it.

The lanes are real ones, over two small pictures; time is the test's: it passes only while the supervisor waits.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from peers.agents import VIEW_MODEL, scene, write_config
from peers.manual_clock import ManualClock

from agent.config.read import read
from agent.pipeline.lives import Lives
from agent.pipeline.models import Machine
from agent.pipeline.recorder import Recorder, open_recorder
from agent.pipeline.supervisor import LaneState, Supervisor
from agent.pipeline.units import Units
from agent.problems import Exit, Problem, Problems
from agent.records import Gap, LaneSecond
from agent.sources.recording import records

BROKEN = Problem(where="data", what="the disk burns", remedy="put it out", code=Exit.STORE)
JOIN_S = 20.0


class SettlingClock(ManualClock):
    """Time passes only while the supervisor waits, after the lanes have come to rest; who else waits, waits for it."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__(boot_us=100_000_000)
        self._settle = settle
        self._owner = threading.get_ident()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        if threading.get_ident() == self._owner:
            self._settle()
            return super().wait(event, seconds)
        until_us = self.boot_us() + round(seconds * 1e6)
        while self.boot_us() < until_us and not event.wait(0.0005):
            pass
        return event.is_set()


class Rig:
    """breaks: how often a lane's second is refused. turns: so many looks, then the stop signal.

    settled: lanes that end at once, each time they are started; time passes when they are over, and when the others run.
    """

    def __init__(
        self,
        config: Path,
        *,
        breaks: Mapping[str, int] | None = None,
        settled: tuple[str, ...] = (),
        turns: int | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.clock = SettlingClock(self._settle)
        self.stop = threading.Event()
        self._moment = threading.Event()
        self.seconds: list[LaneSecond] = []
        self.begun: dict[str, list[int]] = {}
        self.told: list[Mapping[str, LaneState]] = []
        self._breaks = dict(breaks or {})
        self._settled = settled
        self._turns = turns
        self.held: set[str] = set()  # lanes that are not waited for
        self.supervisor = Supervisor(
            read(config, environment={}).file,
            machine=Machine(),
            clock=self.clock,
            stop=self.stop,
            rng=random.Random(5),
            submit=self._submit,
            units=Units(),
            active=self._active,
            lives=Lives({}),
            recorder=recorder,
        )

    def run(self) -> Exit:
        return self.supervisor.run(self.look, self.told.append)

    def _submit(self, second: LaneSecond) -> None:
        if self._breaks.get(second.lane, 0) > 0:
            self._breaks[second.lane] -= 1
            raise BROKEN
        self.seconds.append(second)

    def _active(self, lane: str) -> frozenset[str]:
        self.begun.setdefault(lane, []).append(self.clock.boot_us())
        return frozenset()

    def _settle(self) -> None:
        for name in self.begun:
            lane = self.supervisor.lane(name)
            if name in self._settled:
                lane.thread.join(JOIN_S)
                assert not lane.thread.is_alive()
            end = time.monotonic() + JOIN_S
            # The test's time passes faster than a lane can run: it is waited for before it looks as if it did not move.
            while lane.state == "starting" or (
                lane.state == "running"
                and name not in self.held
                and self.clock.boot_us() - lane.live.ticked_us > 20_000_000
            ):
                assert time.monotonic() < end
                self._moment.wait(0.002)

    def look(self) -> None:
        if self._turns is not None:
            self._turns -= 1
            if self._turns < 0:
                self.stop.set()


Lanes = Callable[..., Path]


@pytest.fixture
def lanes(tmp_path: Path) -> Iterator[Lanes]:
    """A config of lanes that each take both pictures and end. refused: those whose model is not there. loop: they go on for ever."""
    pictures = scene(tmp_path, 2)

    def config(*names: str, refused: tuple[str, ...] = (), loop: bool = False) -> Path:
        path = write_config(tmp_path, "gate-07", pictures, lanes=names, loop=loop, pace="all")
        text = path.read_text()
        for name in refused:
            head, tail = text.split(f"[lane.{name}.model.view]")
            text = f"{head}[lane.{name}.model.view]{tail.replace(str(VIEW_MODEL), '/nowhere/view.tflite', 1)}"
        path.write_text(text)
        return path

    yield config
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("lane-", "capture-"))]
    assert left == []


def states(told: list[Mapping[str, LaneState]], lane: str) -> list[str]:
    """The lane's states in the order in which they were told, each once."""
    found = [each[lane].state for each in told]
    return [state for place, state in enumerate(found) if place == 0 or state != found[place - 1]]


def test_when_all_lanes_have_ended_the_run_is_done(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", "door"), settled=("yard", "door"))
    assert rig.run() == Exit.DONE
    assert sum(second.seen for second in rig.seconds) == 4
    last = rig.told[-1]
    assert {state.state for state in last.values()} == {"ended"}
    assert [(state.restarts, state.problem) for state in last.values()] == [(0, None)] * 2
    assert last["yard"].models["view"].delegate in ("xnnpack", "cpu", "none")
    assert len(last["yard"].models["view"].sha256) == 64
    assert last["yard"].input_at_us == 100_000_000


def test_a_lane_that_fails_is_started_again_each_time_later(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", "door"), breaks={"yard": 4}, settled=("yard", "door"))
    assert rig.run() == Exit.DONE
    begun = rig.begun["yard"]
    waits = [(after - before) / 1e6 for before, after in pairwise(begun)]
    assert len(waits) == 4
    for wait, most in zip(waits, (1, 2, 4, 8), strict=True):
        assert most / 2 <= wait <= most + 0.5  # the supervisor looks ten times a second
    assert len(rig.begun["door"]) == 1  # the other lane is left alone
    told = states(rig.told, "yard")
    assert "failed" in told
    assert told[-1] == "ended"
    failed = next(state["yard"] for state in rig.told if state["yard"].state == "failed")
    assert failed.problem == str(BROKEN)
    assert (rig.told[-1]["yard"].restarts, rig.told[-1]["yard"].problem) == (4, None)


def test_the_wait_never_grows_beyond_a_minute(lanes: Lanes) -> None:
    rig = Rig(lanes("yard"), breaks={"yard": 9}, settled=("yard",))
    assert rig.run() == Exit.DONE
    begun = rig.begun["yard"]
    waits = [(after - before) / 1e6 for before, after in pairwise(begun)]
    assert max(waits) <= 60.5
    assert min(waits[-3:]) >= 30


def test_a_restart_is_in_the_recording(lanes: Lanes, tmp_path: Path) -> None:
    with open_recorder(tmp_path / "recording", {}, "") as recorder:
        rig = Rig(lanes("yard"), breaks={"yard": 2}, settled=("yard",), recorder=recorder)
        assert rig.run() == Exit.DONE
    taken = list(records(tmp_path / "recording" / "yard"))
    assert [record.why for record in taken if isinstance(record, Gap)] == ["restart", "restart"]
    assert [type(record).__name__ for record in taken] == [
        "Frame",
        "Frame",
        "Tick",
        *(["Gap", "Frame", "Frame", "Tick"] * 2),
    ]


def test_when_only_lanes_without_models_are_left_the_run_ends_with_6(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", "door", refused=("door",)), settled=("yard", "door"))
    assert rig.run() == Exit.NOTHING_LEFT
    assert {lane: state.state for lane, state in rig.told[-1].items()} == {"yard": "ended", "door": "refused"}
    (refused,) = rig.told[-1]["door"].refused_models
    assert "lane.door.model.view" in refused
    assert "/nowhere/view.tflite" in refused
    assert {second.lane for second in rig.seconds} == {"yard"}


def test_when_no_lane_has_a_model_the_start_fails_naming_each(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", "door", refused=("yard", "door")), settled=("yard", "door"))
    with pytest.raises(Problems) as caught:
        rig.run()
    assert caught.value.code == Exit.MODEL
    assert [problem.where for problem in caught.value.problems] == ["lane.yard.model.view", "lane.door.model.view"]
    assert {state.state for state in rig.told[-1].values()} == {"refused"}


def test_a_lane_without_models_is_tried_again_while_another_runs(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", "door", refused=("door",), loop=True), settled=("door",), turns=60)
    assert rig.run() == Exit.DONE
    assert len(rig.begun["door"]) >= 3
    assert rig.told[-1]["door"].restarts == len(rig.begun["door"]) - 1
    assert rig.told[-1]["yard"].state == "stopped"


def test_the_stop_signal_closes_every_lanes_tick(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", "door", loop=True), turns=1)
    assert rig.run() == Exit.DONE
    assert {state.state for state in rig.told[-1].values()} == {"stopped"}
    assert {second.lane for second in rig.seconds} == {"yard", "door"}
    assert len(rig.begun["yard"]) == 1


def test_what_look_says_ends_the_run_and_its_lanes(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", loop=True))

    def look() -> None:
        raise BROKEN

    with pytest.raises(Problem, match="the disk burns"):
        rig.supervisor.run(look, rig.told.append)
    assert rig.told[-1]["yard"].state in ("starting", "stopped")


def test_tell_hears_of_changes_and_every_minute(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", loop=True), turns=1_300)  # 130 s of looks
    heard: list[tuple[int, LaneState]] = []
    rig.supervisor.run(rig.look, lambda told: heard.append((rig.clock.boot_us(), told["yard"])))
    running = [at_us for at_us, state in heard if state.state == "running"]
    assert 2 <= len(running) <= 4  # each writing costs flash
    assert all(59_900_000 <= after - before <= 60_200_000 for before, after in pairwise(running[-2:]))
    assert heard[-1][1].state == "stopped"


def test_a_lane_that_does_not_move_is_named_and_well_again_when_it_does(
    lanes: Lanes, caplog: pytest.LogCaptureFixture
) -> None:
    rig, free = Rig(lanes("yard", "door", loop=True), turns=900), threading.Event()
    held = rig.supervisor.lane("yard").live

    def submit(second: LaneSecond) -> None:
        if second.lane == "yard":
            free.wait()  # without a limit of its own: on a busy machine it would let the lane go on early

    rig.supervisor.lane("yard")._submit = submit
    rig.held.add("yard")

    def look() -> None:
        rig.look()
        if rig.clock.boot_us() > 150_000_000 and not free.is_set():
            free.set()
            rig.held.clear()
            end = time.monotonic() + JOIN_S
            while rig.clock.boot_us() - held.ticked_us > 1_000_000:
                assert time.monotonic() < end
                time.sleep(0.002)

    with caplog.at_level("INFO"):
        try:
            rig.supervisor.run(look, rig.told.append)
        finally:
            free.set()
    texts = [told["yard"].problem for told in rig.told]
    assert any("does not move" in (text or "") for text in texts)
    assert texts[-1] is None
    assert all(told["door"].problem is None for told in rig.told)
    said = [record.getMessage() for record in caplog.records if "lane.yard" in record.getMessage()]
    assert len(said) == 2
    assert "does not move" in said[0]
    assert said[1] == "lane.yard: well again"


def test_a_machine_that_slept_accuses_no_lane(lanes: Lanes) -> None:
    rig = Rig(lanes("yard", loop=True), turns=20)

    def look() -> None:
        rig.look()
        if rig._turns == 10:
            rig.clock.advance(8 * 3600.0)
            rig.held.add("yard")

    rig.supervisor.run(look, rig.told.append)
    assert len(rig.told) >= 3
    assert all(told["yard"].problem is None for told in rig.told)

"""What a lane does with a record that breaks its loop: the second until then is stored, and recorded, before the lane ends. On which cores it runs."""

import os
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from peers.agents import scene, wait_for, write_config
from peers.h264_server import H264Server, needs_gstreamer
from peers.manual_clock import ManualClock
from peers.runners import Scripted

from agent.clock import SystemClock
from agent.config.file import Kind
from agent.config.read import read
from agent.pipeline.lane import Loop, Model
from agent.pipeline.live_lane import LiveLane
from agent.pipeline.models import Machine
from agent.pipeline.units import Units
from agent.problems import Problem
from agent.records import Frame, Input, LaneSecond, SampleWindow, Tick
from agent.sources import rtsp

LIMIT_S = 30.0


class Choking:
    warm = False
    quiet = False
    boxes = np.zeros((0, 4), np.float32)

    def tracked(self, boxes: np.ndarray) -> None:
        pass

    def take(self, record: Frame | SampleWindow) -> bool:
        raise ValueError(f"no such picture: {record.at_us}")


def test_a_record_that_breaks_the_lane_is_stored_and_recorded_with_what_came_before(tmp_path: Path) -> None:
    clock, seconds, noted = ManualClock(boot_us=5_300_000), list[LaneSecond](), list[Input | Tick]()
    lane = LiveLane(
        "yard", read(write_config(tmp_path, "gate-07", scene(tmp_path, 2)), environment={}).file, machine=Machine(), clock=clock,
        submit=seconds.append, recorder=None, units=Units(), active=frozenset(), restarted=False, place=lambda problem: problem,
    )  # fmt: skip
    loop = Loop(
        "yard",
        [Model(name="view", runner=Scripted({}))],
        seconds.append,
        milliseconds=lambda: 0.0,
        gate=Choking(),
    )
    clock.advance(0.2)
    with pytest.raises(ValueError, match="no such picture"):
        lane._take(loop, Frame(at_us=5_400_000, bgr=np.zeros((2, 2, 3), np.uint8)), noted.append)
    (second,) = seconds
    assert (second.seen, second.failed, second.tick.at_us) == (1, 1, 5_500_000)
    assert noted == [second.tick]


def pinned(tmp_path: Path, cores: tuple[int, ...]) -> LiveLane:
    file = read(write_config(tmp_path, "gate-07", scene(tmp_path, 2)), environment={}).file
    yard = msgspec.structs.replace(file.lane["yard"], cores=cores)
    return LiveLane(
        "yard", msgspec.structs.replace(file, lane={"yard": yard}), machine=Machine(), clock=ManualClock(), submit=lambda _: None,
        recorder=None, units=Units(), active=frozenset(), restarted=False, place=lambda problem: problem,
    )  # fmt: skip


def test_a_lane_s_thread_stays_on_its_cores(tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))
    lane, seen = pinned(tmp_path, (core,)), list[set[int]]()

    def run() -> None:
        lane._pin()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [{core}]
    assert len(os.sched_getaffinity(0)) >= 1


def test_cores_that_are_not_here_are_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        pinned(tmp_path, (1023,))._pin()
    assert caught.value.where == "lane.yard.cores"
    assert "1023" in caught.value.what


class Still:
    """A gate that says what it is told to say."""

    quiet = True
    warm = False
    boxes = np.zeros((0, 4), np.float32)

    def take(self, record: Frame | SampleWindow) -> bool:
        return not self.quiet

    def tracked(self, boxes: np.ndarray) -> None:
        pass


@needs_gstreamer
def test_a_quiet_lane_decodes_keyframes_and_is_not_blind(tmp_path: Path) -> None:
    """A keyframe every 2 s, of 25 pictures a second, and a stall time of 1 s."""
    seconds, gate = list[LaneSecond](), Still()
    file = read(write_config(tmp_path, "gate-07", scene(tmp_path, 2)), environment={}).file
    with H264Server(group=50) as server:
        source = rtsp.Config(url=server.url, idle_decode="keyframes", stall_s=1.0)
        yard = msgspec.structs.replace(file.lane["yard"], source=Kind(kind="rtsp", config=source))
        lane = LiveLane(
            "yard", msgspec.structs.replace(file, lane={"yard": yard}), machine=Machine(), clock=SystemClock(), submit=seconds.append,
            recorder=None, units=Units(), active=frozenset(), restarted=False, place=lambda problem: problem,
        )  # fmt: skip
        lane.thread.start()
        try:
            wait_for(lambda: any(second.seen >= 15 for second in seconds), LIMIT_S, "a second with all its pictures")
            assert lane.loop is not None
            lane.loop._gate = gate
            del seconds[:]
            wait_for(lambda: len(seconds) >= 5, LIMIT_S, "five seconds")
            still = seconds[1:5]
            assert sum(second.seen for second in still) <= 4
            assert sum(second.tick.alive_us for second in still) == 4_000_000
            gate.quiet = False
            wait_for(lambda: seconds[-1].inferred >= 15, LIMIT_S, "all pictures again")
            assert not any(second.tick.dropped for second in seconds)
        finally:
            lane.stop.set()
            lane.thread.join(LIMIT_S)

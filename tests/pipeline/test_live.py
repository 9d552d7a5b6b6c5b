"""From an open source to the records of a lane: when ticks come, what they count, what becomes of records that come too fast."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from peers.handed_source import capturing
from peers.manual_clock import ManualClock

from agent.pipeline.live import Live
from agent.problems import Problem
from agent.records import Frame, Gap, Input, Read, Tick
from agent.sources import Ended

SECOND = 1_000_000
PIXELS = np.zeros((2, 2, 3), np.uint8)


class Rig:
    """A lane that begins at 5.3 s of boot time. wants_tick: what the loop says after each record."""

    def __init__(self, *, every_record: bool = False, places: int = 8, stall_s: float = 5.0) -> None:
        self.clock = ManualClock(boot_us=5_300_000)
        self.stop = threading.Event()
        self.live = Live(self.clock, self.stop, stall_s=stall_s, every_record=every_record, places=places)
        self.wants_tick = False
        self.records: Iterator[Input | Tick] = self.live.records(lambda: self.wants_tick)

    def frame(self) -> Frame:
        return Frame(at_us=self.clock.boot_us(), bgr=PIXELS)

    def read(self, number: int) -> Read:
        return Read(at_us=self.clock.boot_us(), data=bytes([number]))

    def tick(self) -> Tick:
        record = next(self.records)
        assert isinstance(record, Tick)
        return record


def test_ticks_fall_on_whole_seconds_of_boot_time() -> None:
    rig = Rig()
    with capturing(rig.live) as source:
        frame = rig.frame()
        source.give(frame)
        assert next(rig.records) is frame
        rig.clock.advance(0.75)  # 6.05 s
        assert rig.tick() == Tick(at_us=6 * SECOND, alive_us=700_000, dropped=0)
        rig.clock.advance(0.95)
        assert rig.tick() == Tick(at_us=7 * SECOND, alive_us=SECOND, dropped=0)
    assert rig.live.input_at_us == 5_300_000


def test_what_a_source_refused_is_dropped_and_what_it_did_not_decode_is_life() -> None:
    class Camera:
        """As one that decodes no picture, of which some are damaged."""

        lives, refused = False, 0

        def __init__(self, rig: Rig) -> None:
            self.rig, self.reads = rig, 0

        def read(self, timeout_s: float) -> None:
            self.reads += 1
            if self.reads > 20:
                raise Ended
            self.rig.clock.advance(0.1)
            self.lives = self.reads <= 10  # then nothing comes any more
            self.refused += self.reads in (3, 4, 7)

    rig = Rig(stall_s=0.5)
    rig.live.capture(Camera(rig))  # 1 s with life, 1 s without
    found = [rig.tick() for _ in range(3)]
    assert [tick.at_us for tick in found] == [6 * SECOND, 7 * SECOND, 7_300_000]
    assert [tick.dropped for tick in found] == [3, 0, 0]
    # From 5.4 s, when the first packet came, to the last one and the stall time after it.
    assert sum(tick.alive_us for tick in found) == 1_400_000
    assert rig.live.input_at_us == 6_300_000


def test_an_event_closes_its_tick_at_once_and_the_second_goes_on() -> None:
    rig = Rig()
    with capturing(rig.live) as source:
        source.give(rig.frame())
        rig.clock.advance(0.2)
        rig.wants_tick = True
        assert isinstance(next(rig.records), Frame)
        assert rig.tick() == Tick(at_us=5_500_000, alive_us=200_000, dropped=0)
        rig.wants_tick = False
        rig.clock.advance(0.5)
        assert rig.tick() == Tick(at_us=6 * SECOND, alive_us=500_000, dropped=0)


def test_two_events_in_one_microsecond_make_two_ticks() -> None:
    rig = Rig()
    rig.wants_tick = True
    with capturing(rig.live) as source:
        times = []
        for _ in range(2):
            source.give(rig.frame())
            assert isinstance(next(rig.records), Frame)
            times.append(rig.tick().at_us)
    assert times == [5_300_001, 5_300_002]  # an id of time is not given twice, nor that of the lane's beginning


def test_a_lane_held_for_seconds_has_a_tick_for_each() -> None:
    """Else a slow model moves what it was alive into the next window."""
    rig = Rig()
    with capturing(rig.live) as source:
        source.give(rig.frame())
        assert isinstance(next(rig.records), Frame)
        rig.clock.advance(3.9)  # the loop was busy until 9.2 s
        frame = rig.frame()
        source.give(frame)
        assert [rig.tick() for _ in range(4)] == [
            Tick(at_us=6 * SECOND, alive_us=700_000, dropped=0),
            *(Tick(at_us=second * SECOND, alive_us=SECOND, dropped=0) for second in (7, 8, 9)),
        ]
        assert next(rig.records) is frame


@pytest.mark.parametrize("first", ["tick", "frame"])
def test_a_machine_that_slept_for_hours_makes_one_tick_of_them(first: str) -> None:
    rig = Rig(stall_s=2.0)
    with capturing(rig.live) as source:
        source.give(rig.frame())
        assert isinstance(next(rig.records), Frame)
        rig.clock.advance(8 * 3600.0)
        if first == "frame":  # the camera is faster than the lane
            source.give(rig.frame())
        ticks = [rig.tick() for _ in range(4)]
    end_us = (8 * 3600 + 5) * SECOND
    assert [tick.at_us for tick in ticks] == [6 * SECOND, 7 * SECOND, 8 * SECOND, end_us]
    assert sum(tick.alive_us for tick in ticks) == 2 * SECOND


def test_a_source_that_was_blind_and_came_again_while_the_lane_was_held() -> None:
    rig = Rig(stall_s=1.0)
    with capturing(rig.live) as source:
        source.give(rig.frame())
        assert isinstance(next(rig.records), Frame)
        for seconds in (10.0, 0.5, 0.5, 0.5):  # 15.3, 15.8, 16.3, 16.8
            rig.clock.advance(seconds)
            source.give(rig.frame())
        rig.clock.advance(0.4)
        ticks = [(tick.at_us // SECOND, tick.alive_us) for tick in (rig.tick() for _ in range(5))]
    assert ticks == [(6, 700_000), (7, 300_000), (15, 0), (16, 700_000), (17, SECOND)]


def test_the_newest_frame_wins_and_what_it_replaced_is_counted_once() -> None:
    rig = Rig()
    with capturing(rig.live) as source:
        frames = [rig.frame() for _ in range(4)]
        for frame in frames[:3]:
            source.give(frame)
        assert next(rig.records) is frames[2]
        source.give(frames[3])
        assert next(rig.records) is frames[3]
        rig.clock.advance(1.0)
        assert rig.tick().dropped == 2
        rig.clock.advance(1.0)
        assert rig.tick().dropped == 0


def test_a_source_that_says_nothing_is_blind_after_the_stall_time() -> None:
    rig = Rig(stall_s=1.0)
    with capturing(rig.live) as source:
        source.give(rig.frame())
        assert isinstance(next(rig.records), Frame)
        rig.clock.advance(0.7)
        assert rig.tick().alive_us == 700_000
        rig.clock.advance(1.0)
        assert rig.tick().alive_us == 300_000
        rig.clock.advance(1.0)
        assert rig.tick().alive_us == 0


def test_a_gap_makes_blind_at_once_and_never_replaces_a_frame() -> None:
    rig = Rig()
    with capturing(rig.live) as source:
        first = rig.frame()
        source.give(first)
        rig.clock.advance(0.2)
        gap = Gap(at_us=rig.clock.boot_us(), why="stall")
        source.give(gap)
        assert {id(next(rig.records)), id(next(rig.records))} == {id(first), id(gap)}
        rig.clock.advance(0.5)
        assert rig.tick() == Tick(at_us=6 * SECOND, alive_us=200_000, dropped=0)
        source.give(rig.frame())
        assert isinstance(next(rig.records), Frame)
        rig.clock.advance(1.0)
        assert rig.tick().alive_us == SECOND


def test_where_every_record_counts_the_capture_side_waits() -> None:
    rig = Rig(every_record=True, places=2, stall_s=1.0)
    with capturing(rig.live) as source:
        reads = [rig.read(number) for number in range(3)]
        source.give(reads[0])
        source.give(reads[1])
        source.give(reads[2], wait=False)
        assert source.asked == 3  # the third was read, and finds no place: nothing more is asked of the source
        assert next(rig.records) is reads[0]
        source.wait_for_delivery()
        gap = Gap(at_us=rig.clock.boot_us(), why="unplugged")
        assert next(rig.records) is reads[1]
        source.give(gap)
        assert [next(rig.records), next(rig.records)] == [reads[2], gap]  # in order, gaps too
        rig.clock.advance(1.0)
        assert rig.tick().dropped == 0


def test_the_end_of_a_source_closes_the_tick_after_its_last_record() -> None:
    for every_record in (False, True):
        rig = Rig(every_record=every_record)
        with capturing(rig.live) as source:
            frame = rig.frame()
            source.give(frame)
            rig.clock.advance(0.1)
            source.end(Ended())
            assert list(rig.records) == [frame, Tick(at_us=5_400_000, alive_us=100_000, dropped=0)]
        assert rig.live.ended


@pytest.mark.parametrize(
    "why", [Problem(where="lane.yard.source", what="it burned", remedy="buy one"), ZeroDivisionError("a mistake")]
)
def test_what_breaks_a_source_ends_the_lane_after_its_last_tick(why: Exception) -> None:
    rig = Rig()
    with capturing(rig.live) as source:
        source.give(rig.frame())
        source.end(why)
        assert isinstance(next(rig.records), Frame)
        assert rig.tick().at_us == 5_300_001
        with pytest.raises(type(why)) as caught:
            next(rig.records)
    assert caught.value is why
    assert not rig.live.ended


def test_the_stop_signal_closes_the_tick() -> None:
    rig = Rig()
    with capturing(rig.live) as source:
        source.give(rig.frame())
        assert isinstance(next(rig.records), Frame)
        rig.clock.advance(0.4)
        rig.stop.set()
        assert list(rig.records) == [Tick(at_us=5_700_000, alive_us=400_000, dropped=0)]
        assert not rig.live.ended

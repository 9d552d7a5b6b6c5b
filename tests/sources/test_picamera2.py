"""Kind picamera2 against a typed peer of Picamera2's documented interface: no board ran it."""

import importlib.util
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from peers.agents import wait_for
from peers.picamera2_peer import Camera, Cameras

from agent.clock import SystemClock
from agent.problems import Problem
from agent.records import Frame, Gap
from agent.sources import Source, Stalled, picamera2
from agent.sources.reopening import Reopening

WHERE = "lane.yard.source"
CLOCK = SystemClock()
LIMIT_S = 10.0


@contextmanager
def opened(cameras: Cameras, **options: object) -> Iterator[tuple[Source, Camera]]:
    config = picamera2.Config(**{"camera": "0", **options})  # type: ignore[arg-type]
    with picamera2.open_with(cameras, config, CLOCK, threading.Event(), WHERE) as source:
        yield source, cameras.opened[-1]


def taken(source: Source, camera: Camera, level: int, *, again: bool = False) -> tuple[Frame | None, int]:
    """(what read gives after one exposure, the exposure's stamp)."""
    stamps: list[int] = []
    thread = threading.Thread(target=lambda: stamps.append(camera.expose(level, again=again)))
    thread.start()
    for _ in range(100):
        record = source.read(0.1)
        if record is not None or (again and stamps):
            break
    thread.join(LIMIT_S)
    return record, stamps[0]  # type: ignore[return-value]


def test_a_frame_is_colour_with_a_small_luma_dated_by_the_sensor() -> None:
    cameras = Cameras()
    with opened(cameras, width=641, height=481, small_width=300, rate_hz=10.0) as (source, camera):
        frame, stamp_ns = taken(source, camera, 200)
    assert camera.configuration["main"] == {"size": (640, 480), "format": "RGB888"}
    assert camera.configuration["lores"] == {"size": (300, 224), "format": "YUV420", "stride": 320}
    assert camera.configuration["controls"] == {"FrameDurationLimits": (100_000, 100_000)}
    assert frame is not None
    assert frame.at_us == stamp_ns // 1000
    assert frame.pixels.shape == (480, 640, 3)
    assert tuple(frame.pixels[5, 5]) == (200, 100, 50), "blue, green, red"
    assert frame.luma is not None
    assert frame.luma.shape == (224, 300)
    assert np.all(frame.luma == 100), "without the padding of its rows"
    assert camera.calls == ["configure", "start", "stop", "close"]


def test_every_request_is_given_back() -> None:
    with opened(Cameras()) as (source, camera):
        times = []
        for level in range(20):  # of 4 buffers
            frame, _ = taken(source, camera, level * 10)
            assert frame is not None
            times.append(frame.at_us)
        assert camera.free == 4
    assert times == sorted(set(times))


def test_a_read_waits_no_longer_than_it_is_told_and_asks_once() -> None:
    with opened(Cameras()) as (source, camera):
        assert source.read(0.01) is None
        assert source.read(0.01) is None
        frame, _ = taken(source, camera, 7)
        assert frame is not None
        assert camera._waiting == []


@pytest.mark.parametrize(
    ("name", "number"), [("1", 1), ("imx219", 1), ("/base/soc/i2c0mux/i2c@0/imx708@1a", 0), ("0", 0)]
)
def test_a_camera_is_named_by_its_number_model_or_id(name: str, number: int) -> None:
    with opened(Cameras(("imx708", "imx219")), camera=name) as (_, camera):
        assert camera.number == number


def test_the_same_exposure_twice_is_no_new_frame_and_at_last_a_stall() -> None:
    with opened(Cameras(), stall_s=0.5) as (source, camera):
        assert taken(source, camera, 50)[0] is not None
        assert taken(source, camera, 50, again=True)[0] is None
        assert camera.free == 4
        with pytest.raises(Stalled, match=r"gave no new frame for 0\.5 s"):
            while True:
                assert source.read(0.1) is None


def test_a_camera_that_is_unplugged_and_comes_back() -> None:
    """Its requests never end, then stopping fails; the next opening is good."""
    cameras, stop = Cameras(), threading.Event()
    config = picamera2.Config(camera="0", stall_s=0.3)
    with Reopening(
        lambda: picamera2.open_with(cameras, config, CLOCK, stop, WHERE), clock=CLOCK, stop=stop, rng=random.Random(1)
    ) as source:
        records = []

        def look() -> None:
            while not stop.is_set():
                record = source.read(0.05)
                if record is not None:
                    records.append(record)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            wait_for(lambda: cameras.opened, LIMIT_S, "the camera")
            cameras.opened[0].expose(9)
            wait_for(lambda: len(records) == 1, LIMIT_S, "a frame")
            cameras.opened[0].dead = True
            wait_for(lambda: len(cameras.opened) == 2, LIMIT_S, "the next opening")
            cameras.opened[1].expose(9)
            wait_for(lambda: len(records) == 3, LIMIT_S, "a frame again")
        finally:
            stop.set()
            thread.join(LIMIT_S)
    assert [type(record) for record in records] == [Frame, Gap, Frame]
    assert cameras.opened[0].calls[-2:] == ["stop", "close"]


def problem_of(cameras: Cameras, **options: object) -> Problem:
    with pytest.raises(Problem) as caught, opened(cameras, **options):
        pass
    return caught.value


def test_what_cannot_be_opened() -> None:
    nothing = problem_of(Cameras(()))
    assert "there is no camera 0, nor any other" in nothing.what
    assert "rpicam-hello" in nothing.remedy
    assert "there are 0 (imx708)" in problem_of(Cameras(), camera="3").what
    assert "does not open" in problem_of(Cameras(busy=True)).what
    cameras = Cameras()
    assert "does not start with 8000x6000" in problem_of(cameras, width=8000, height=6000).what
    assert cameras.opened[0].calls == ["stop", "close"]


def test_a_clock_of_the_sensor_that_is_ahead_does_not_date_frames_into_the_future() -> None:
    with opened(Cameras()) as (source, camera):
        camera._exposed = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10**12
        frame, _ = taken(source, camera, 5, again=True)
        assert frame is not None
        assert frame.at_us <= CLOCK.boot_us()


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="this machine has Picamera2")
def test_without_picamera2_it_says_which_package() -> None:
    config = picamera2.Config(camera="0")
    with pytest.raises(Problem) as caught, picamera2.open_source(config, CLOCK, threading.Event(), WHERE):
        pass
    assert "python3-picamera2" in caught.value.remedy
    assert caught.value.where == f"{WHERE}.camera"

"""Files as cameras: every frame or their own pace, loops, ends, and what is no video."""

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from peers.manual_clock import ManualClock

from agent.problems import Problem
from agent.records import Frame
from agent.sources import Ended, camera

WHERE = "lane.yard.source"


def config(url: Path | str, **options: object) -> camera.Config:
    return camera.Config(url=str(url), **options)  # type: ignore[arg-type]


def read_all(source: camera.Source, most: int = 1000) -> list[Frame]:
    frames: list[Frame] = []
    try:
        while len(frames) < most:
            record = source.read(0.5)
            if record is not None:
                assert isinstance(record, Frame)
                frames.append(record)
    except Ended:
        pass
    return frames


def level(frame: Frame) -> int:
    """The number of a numbered frame, through JPEG."""
    return round(float(frame.pixels.mean()) / 20)


def test_all_gives_every_frame_once_with_stream_time(clip: Callable[..., Path]) -> None:
    clock = ManualClock(boot_us=7_000_000)
    with camera.open_source(config(clip(), pace="all"), clock, threading.Event(), WHERE) as source:
        frames = read_all(source)
    assert [level(frame) for frame in frames] == list(range(10))
    assert [frame.at_us for frame in frames] == [7_000_000 + 40_000 * n for n in range(10)]
    assert clock.boot_us() == 7_000_000  # nobody waited
    assert frames[0].pixels.shape == (48, 64, 3)


def test_live_keeps_the_file_s_pace(clip: Callable[..., Path]) -> None:
    clock = ManualClock(boot_us=7_000_000)
    with camera.open_source(config(clip(rate_hz=10.0)), clock, threading.Event(), WHERE) as source:
        frames = read_all(source)
    assert [frame.at_us for frame in frames] == [7_000_000 + 100_000 * n for n in range(10)]
    assert clock.boot_us() == 7_900_000


def test_live_gives_none_when_no_frame_is_due_in_time(clip: Callable[..., Path]) -> None:
    clock = ManualClock()
    with camera.open_source(config(clip(rate_hz=2.0)), clock, threading.Event(), WHERE) as source:
        assert source.read(0.1) is not None
        assert source.read(0.2) is None
        assert source.read(0.2) is None
        assert source.read(0.2) is not None
    assert clock.boot_us() == 500_000


def test_a_stop_ends_the_wait(clip: Callable[..., Path]) -> None:
    stop = threading.Event()
    with camera.open_source(config(clip(rate_hz=1.0)), ManualClock(), stop, WHERE) as source:
        assert source.read(0.1) is not None
        stop.set()
        assert source.read(30.0) is None


def test_a_loop_goes_on_in_stream_time(clip: Callable[..., Path]) -> None:
    settings = config(clip(frames=4), loop=True, pace="all")
    with camera.open_source(settings, ManualClock(), threading.Event(), WHERE) as source:
        frames = read_all(source, most=11)
    assert [level(frame) for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2]
    assert [frame.at_us for frame in frames] == [40_000 * n for n in range(11)]


def test_a_lane_that_was_held_up_is_not_chased(clip: Callable[..., Path]) -> None:
    """3 s late: what follows keeps its distances, counted from there."""
    clock = ManualClock()
    with camera.open_source(config(clip()), clock, threading.Event(), WHERE) as source:
        source.read(1.0)
        clock.advance(3.0)
        frames = [source.read(1.0) for _ in range(3)]
    assert [frame.at_us for frame in frames if frame] == [3_000_000, 3_040_000, 3_080_000]


def test_every_record_counts_at_pace_all_of_a_file_only() -> None:
    assert camera.every_record(config("clip.avi", pace="all"))
    assert not camera.every_record(config("clip.avi"))
    assert not camera.every_record(config("rtsp://10.0.0.7/stream", pace="all"))
    assert not camera.every_record(config("/dev/video0", pace="all"))


def test_a_cut_off_file_gives_what_it_holds(clip: Callable[..., Path], caplog: pytest.LogCaptureFixture) -> None:
    whole = clip(frames=12)
    whole.write_bytes(whole.read_bytes()[:-2500])
    with camera.open_source(config(whole, pace="all"), ManualClock(), threading.Event(), WHERE) as source:
        frames = read_all(source)
    assert 1 <= len(frames) < 12


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"no video at all, only text" * 100, "no video that OpenCV can read"),
    ],
)
def test_what_is_no_video_is_a_problem(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "clip.avi"
    if content is not None:
        path.write_bytes(content)
    with (
        pytest.raises(Problem, match=said) as caught,
        camera.open_source(config(path), ManualClock(), threading.Event(), WHERE),
    ):
        pass
    assert caught.value.where == f"{WHERE}.url"
    assert str(path) in caught.value.what


def test_a_folder_names_the_kind_for_folders(tmp_path: Path) -> None:
    with (
        pytest.raises(Problem, match="is a folder") as caught,
        camera.open_source(config(tmp_path), ManualClock(), threading.Event(), WHERE),
    ):
        pass
    assert "images" in caught.value.remedy


def test_a_real_clip(testdata: Path) -> None:
    """H.264 from its first frame on, 29.83 frames/s."""
    settings = config(testdata / "clips" / "bottle-detection.mp4", pace="all")
    with camera.open_source(settings, ManualClock(), threading.Event(), WHERE) as source:
        frames = read_all(source, most=30)
    assert frames[0].at_us == 0
    assert frames[0].pixels.shape == (360, 640, 3)
    assert {round((b.at_us - a.at_us) / 1e6, 3) for a, b in itertools.pairwise(frames)} <= {0.033, 0.034}

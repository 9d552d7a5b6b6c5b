"""A folder of images as a camera."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from peers.manual_clock import ManualClock

from agent.problems import Problem
from agent.records import Frame, Gap
from agent.sources import Ended, images
from agent.values import RelativePath

WHERE = "lane.yard.source"


def write(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((10 + number, 20, 3), 50 * number, np.uint8))


def open_folder(folder: Path, clock: ManualClock, **options: object):
    return images.open_source(images.Config(path=RelativePath(folder), **options), clock, threading.Event(), WHERE)  # type: ignore[arg-type]


def test_in_name_order_with_their_times(tmp_path: Path) -> None:
    write(tmp_path, "b.png", "a.bmp", "c.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    with open_folder(tmp_path, ManualClock(boot_us=5), pace="all", rate_hz=2.0) as source:
        frames = [source.read(1.0) for _ in range(3)]
        with pytest.raises(Ended):
            source.read(1.0)
    assert [frame.at_us for frame in frames if frame] == [5, 500_005, 1_000_005]
    assert [frame.pixels.shape[0] for frame in frames if isinstance(frame, Frame)] == [11, 10, 12]


def test_live_waits_and_loops(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "b.png")
    clock = ManualClock()
    with open_folder(tmp_path, clock, rate_hz=10.0, loop=True) as source:
        frames = [source.read(1.0) for _ in range(5)]
    assert [frame.at_us for frame in frames if frame] == [0, 100_000, 200_000, 300_000, 400_000]
    assert clock.boot_us() == 400_000


def test_an_image_that_cannot_be_read_is_a_gap_and_the_next_follows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "a.png", "d.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    (tmp_path / "c.png").touch()
    with open_folder(tmp_path, ManualClock(), pace="all") as source:
        records = [source.read(1.0) for _ in range(4)]
    assert [type(record) for record in records] == [Frame, Gap, Gap, Frame]
    assert [record.why for record in records if isinstance(record, Gap)] == ["unreadable", "unreadable"]
    assert "b.png" in caplog.text
    assert "c.png" in caplog.text


def test_folders_that_give_nothing(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot be read") as missing, open_folder(tmp_path / "none", ManualClock()):
        pass
    with pytest.raises(Problem, match="holds no image"), open_folder(tmp_path, ManualClock()):
        pass
    (tmp_path / "a.png").write_bytes(b"no image")
    with open_folder(tmp_path, ManualClock(), pace="all", loop=True) as source:
        assert isinstance(source.read(1.0), Gap)
        with pytest.raises(Problem, match="none of the 1 images"):
            source.read(1.0)
    assert missing.value.where == f"{WHERE}.path"

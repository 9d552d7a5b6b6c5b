"""The demo's pieces; the whole of it is `make demo`."""

import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.config.read import read
from agent.pipeline.recorder import open_recorder
from agent.records import Frame, Tick
from demo import config
from demo.broker import open_broker
from demo.clip import FRAMES, HEIGHT_PX, WIDTH_PX, write_clip
from demo.sheet import draw_sheet


@pytest.fixture
def portraits(tmp_path: Path) -> tuple[Path, Path]:
    rng = np.random.default_rng(1)
    paths = tmp_path / "one.png", tmp_path / "two.png"
    for path in paths:
        cv2.imwrite(str(path), cv2.resize(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), (512, 512)))
    return paths


def test_the_clip_is_the_same_each_time_and_shows_day_night_blur_and_cover(
    tmp_path: Path, portraits: tuple[Path, Path]
) -> None:
    first = write_clip(tmp_path / "first.avi", *portraits)
    assert first.read_bytes() == write_clip(tmp_path / "second.avi", *portraits).read_bytes()
    clip = cv2.VideoCapture(str(first))
    frames = []
    while (got := clip.read())[0]:
        frames.append(got[1])
    clip.release()
    assert len(frames) == FRAMES
    assert frames[0].shape == (HEIGHT_PX, WIDTH_PX, 3)
    day, night, covered = (float(frames[number].mean()) for number in (20, 118, 155))
    assert day > 60
    assert night < 15
    assert covered < 30

    def sharpness(number: int) -> float:
        return float(cv2.Laplacian(frames[number], cv2.CV_64F).var())

    assert sharpness(135) < sharpness(20) / 5


def test_the_config_is_good(tmp_path: Path) -> None:
    path = tmp_path / "demo.toml"
    path.write_text(
        config.TEXT.format(folder=tmp_path, models=Path(__file__).parent.parent.parent / "models", port=1883)
    )
    assert set(read(path).file.lane) == {"yard", "pump"}


def test_the_broker_listens_on_this_machine_only(tmp_path: Path) -> None:
    with open_broker(tmp_path) as port:
        assert port > 0
        assert f"127.0.0.1:{port}" in (tmp_path / "broker.toml").read_text()


def test_the_sheet_draws_frames_that_have_results(tmp_path: Path) -> None:
    picture = np.full((120, 160, 3), 90, np.uint8)
    with open_recorder(tmp_path / "recording", {}, "") as recorder:
        lane = recorder.lane("yard")
        for at_us in (10, 20, 30):
            lane.note(Frame(at_us=at_us, bgr=picture))
        lane.note(Tick(at_us=1_000_000, alive_us=1, dropped=0))
    store = tmp_path / "edge.sqlite"
    with sqlite3.connect(store) as connection:
        connection.executescript(
            "CREATE TABLE name (id, kind, text); CREATE TABLE result (id, at_us, lane, label, score_e4, x0_e4, y0_e4, x1_e4, y1_e4);"
            "INSERT INTO name VALUES (1, 'lane', 'yard'), (2, 'label', 'face');"
            "INSERT INTO result VALUES (1, 10, 1, 2, 9000, 1000, 1000, 5000, 5000), (2, 30, 1, 2, 9000, NULL, NULL, NULL, NULL);"
        )
    connection.close()
    assert draw_sheet(tmp_path / "recording", store, "yard", tmp_path / "sheet.png") == 2
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] == 4 * 320
    assert draw_sheet(tmp_path / "recording", store, "door", tmp_path / "none.png") == 0

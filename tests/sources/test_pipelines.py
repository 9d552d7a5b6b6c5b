"""GStreamer pipelines as texts, an OpenCV without GStreamer, and what a V4L2 device is asked for. No board and no device ran it; a pipeline runs where OpenCV has
GStreamer."""

import threading

import cv2
import pytest
from peers.v4l2_capture import V4l2Capture

from agent.clock import SystemClock
from agent.problems import Problem
from agent.records import Frame
from agent.sources import camera
from agent.sources._address import shown
from agent.sources._capture import ask, has_gstreamer
from agent.sources._pipelines import pipeline
from agent.values import Secret

WHERE = "lane.yard.source"
END = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def made(url: str, **options: object) -> str:
    given = {"user": None, "password": None, "width": None, "height": None, "rate_hz": None, **options}
    return pipeline(url, **given)  # type: ignore[arg-type]


def test_a_jetson_s_csi_camera() -> None:
    assert made("jetson-csi:0") == (
        "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=30/1 ! nvvidconv ! "
        "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )
    assert "sensor-id=1 " in made("jetson-csi:1")
    assert "width=1920,height=1080,framerate=7500/1000 " in made("jetson-csi:0", width=1920, height=1080, rate_hz=7.5)


def test_rtsp_decoded_by_a_jetson() -> None:
    assert made("jetson-rtsp://10.0.0.7/stream1") == (
        'rtspsrc location="rtsp://10.0.0.7/stream1" latency=100 protocols=tcp ! rtph264depay ! h264parse ! nvv4l2decoder ! nvvidconv ! '
        "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )
    with_login = made("jetson-rtsp://10.0.0.7/stream1", user="viewer", password=Secret('a"b\\c ! d'))
    assert with_login.startswith(
        'rtspsrc location="rtsp://10.0.0.7/stream1" user-id="viewer" user-pw="a\\"b\\\\c ! d" latency=100'
    )


def test_a_pipeline_of_one_s_own() -> None:
    assert made("gstreamer: videotestsrc is-live=true") == f"videotestsrc is-live=true ! {END}"
    whole = "videotestsrc ! videoconvert ! appsink"
    assert made(f"gstreamer:{whole}") == whole
    login = {"user": "viewer", "password": Secret("a b")}
    assert made("gstreamer:rtspsrc location=rtsp://h/ user-id={user} user-pw={password} ! fakesink ! appsink", **login) == (
        'rtspsrc location=rtsp://h/ user-id="viewer" user-pw="a b" ! fakesink ! appsink'
    )  # fmt: skip


def test_pipelines_are_shown_without_passwords() -> None:
    assert shown('gstreamer:rtspsrc location=rtsp://u:geheim@h/x user-pw="ge\\" heim" latency=1') == (
        "gstreamer:rtspsrc location=rtsp://h/x user-pw=… latency=1"
    )
    assert shown("jetson-rtsp://u:geheim@h/x") == "jetson-rtsp://h/x"
    assert shown("jetson-csi:0") == "jetson-csi:0"


def problem_of(url: str) -> Problem:
    with pytest.raises(Problem) as caught, camera.open_source(camera.Config(url=url), SystemClock(), threading.Event(), WHERE):  # fmt: skip
        pass
    return caught.value


@pytest.mark.skipif(has_gstreamer(cv2.getBuildInformation()), reason="this OpenCV has GStreamer")
@pytest.mark.parametrize("url", ["gstreamer:videotestsrc", "jetson-csi:0", "jetson-rtsp://10.0.0.7/stream1"])
def test_an_opencv_without_gstreamer_is_a_problem_that_names_the_package(url: str) -> None:
    found = problem_of(url)
    assert found.where == f"{WHERE}.url"
    assert found.what == f"{url} needs GStreamer, without which this OpenCV was built"
    assert "python3-opencv" in found.remedy


@pytest.mark.skipif(
    not has_gstreamer(cv2.getBuildInformation()), reason="this OpenCV has no GStreamer (PyPI's has none)"
)
def test_a_pipeline_that_runs_one_that_hangs_and_one_that_ends() -> None:
    source = "gstreamer:videotestsrc is-live=true num-buffers=20 ! video/x-raw,width=320,height=240,framerate=25/1"
    with camera.open_source(camera.Config(url=source), SystemClock(), threading.Event(), WHERE) as opened:
        frames = [opened.read(1.0) for _ in range(5)]
        with pytest.raises(Problem, match="gives no more frames"):
            while True:
                opened.read(1.0)
    assert {frame.pixels.shape for frame in frames if isinstance(frame, Frame)} == {(240, 320, 3)}
    assert "does not start" in problem_of("gstreamer:no_such_element").what


def test_a_csi_camera_without_a_number() -> None:
    assert "names no camera" in problem_of("jetson-csi:left").what


def test_whether_an_opencv_has_gstreamer_stands_in_its_build_information() -> None:
    assert has_gstreamer(
        "  Video I/O:\n    FFMPEG:                      YES\n    GStreamer:                   YES (1.22.0)\n"
    )
    assert not has_gstreamer(
        "    GStreamer:                   NO\n    v4l/v4l2:                    YES (linux/videodev2.h)\n"
    )


def test_a_v4l2_device_is_asked_for_mjpg_before_its_size_and_rate() -> None:
    mjpg, yuyv = (float(cv2.VideoWriter.fourcc(*word)) for word in ("MJPG", "YUYV"))
    device = V4l2Capture()
    assert ask(device, width=1280, height=720, rate_hz=15.0) == []
    assert device.calls == [
        (cv2.CAP_PROP_FOURCC, mjpg),
        (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720),
        (cv2.CAP_PROP_FPS, 15.0),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    ]
    plain = V4l2Capture({cv2.CAP_PROP_FOURCC: yuyv, cv2.CAP_PROP_FRAME_WIDTH: 640}, refuses=(cv2.CAP_PROP_FPS,))
    assert ask(plain, width=1280, height=None, rate_hz=15.0) == [
        "fourcc asked MJPG given YUYV",
        "width asked 1280 given 640",
        "rate_hz asked 15 given 0",
    ]
    nothing = V4l2Capture()
    assert ask(nothing, width=None, height=None, rate_hz=None) == []
    assert [key for key, _ in nothing.calls] == [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_BUFFERSIZE]

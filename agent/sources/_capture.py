"""Opens OpenCV's VideoCapture with limits on its time, and says what it could not do."""

import os
import re
import threading
from typing import Any

from agent.sources._options import for_file, for_stream
from agent.sources._time_limited import TimeLimited

OPEN_TIMEOUT_S = 4.0


class Capture:
    """A VideoCapture that one thread reads and another may release: OpenCV's own dies with the process when it is released under a read.

    A read cannot be ended from outside, so the release of a capture that is being read is left to the thread that reads it.
    """

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self._reading = threading.Lock()
        self._over = False

    def read(self) -> tuple[bool, Any]:
        """As VideoCapture.read; (False, None) once it is released."""
        with self._reading:
            read, pixels = (False, None) if self._over else self._capture.read()
        if self._over:
            self._release()
        return read, pixels

    def release(self) -> None:
        """Returns at once, also while another thread reads."""
        self._over = True
        self._release()

    def _release(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._reading.release()

    def get(self, key: int) -> float:
        """For the thread that reads."""
        value: float = self._capture.get(key)
        return value

    @property
    def opened(self) -> bool:
        opened: bool = self._capture.isOpened()
        return opened


def _opencv() -> Any:
    """OpenCV, which does not print at each attempt what is said here once, in our words; FFmpeg would print addresses with passwords."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # Else one lock is around all openings, and a camera that does not answer holds the others up for 4 s each time. FFmpeg is, since 4.0.
    os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
    words = getattr(getattr(cv2, "utils", None), "logging", None)  # Debian's 4.6 has none
    if "OPENCV_LOG_LEVEL" not in os.environ and words is not None:
        words.setLogLevel(words.LOG_LEVEL_ERROR)
    return cv2


def open_stream(url: str, read_timeout_s: float) -> Capture:
    """A capture, perhaps not opened. url: may hold a password, which OpenCV and FFmpeg then must not log."""
    cv2 = _opencv()
    options = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(OPEN_TIMEOUT_S * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(read_timeout_s * 1000),
        # Each decoding thread would hold one frame back.
        cv2.CAP_PROP_N_THREADS, 1,
    ]  # fmt: skip
    with for_stream():
        return Capture(cv2.VideoCapture(url, cv2.CAP_FFMPEG, options))


def open_file(path: str) -> Capture:
    """A capture, perhaps not opened. One decoding thread: the lanes share the cores."""
    cv2 = _opencv()
    with for_file():
        return Capture(cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]))


def open_device(
    path: str, *, width: int | None, height: int | None, rate_hz: float | None
) -> tuple[Capture, list[str]]:
    """(capture of a V4L2 device, what it gives otherwise than asked). MJPG is asked for: raw video at full rate fills USB."""
    cv2 = _opencv()
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
    capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
    if not capture.isOpened():
        return Capture(capture), []
    return Capture(capture), ask(capture, width=width, height=height, rate_hz=rate_hz)


def ask(capture: Any, *, width: int | None, height: int | None, rate_hz: float | None) -> list[str]:
    """Asks an open V4L2 capture for MJPG, size and rate, in the order that its driver needs; says what it gives otherwise."""
    import cv2

    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    asked = (
        ("fourcc", cv2.CAP_PROP_FOURCC, fourcc),
        ("width", cv2.CAP_PROP_FRAME_WIDTH, width),
        ("height", cv2.CAP_PROP_FRAME_HEIGHT, height),
        ("rate_hz", cv2.CAP_PROP_FPS, rate_hz),
        ("buffers", cv2.CAP_PROP_BUFFERSIZE, 1),
    )
    for _, key, value in asked:
        if value is not None:
            capture.set(key, value)
    given = {name: capture.get(key) for name, key, value in asked[:-1] if value is not None}
    return differences({name: value for name, _, value in asked[:-1] if value is not None}, given)


def open_pipeline(pipeline: str, read_timeout_s: float) -> Capture | None:
    """A capture of a GStreamer pipeline, perhaps not opened; None: this OpenCV was built without GStreamer. pipeline: may hold a password."""
    cv2 = _opencv()
    if not has_gstreamer(cv2.getBuildInformation()):
        return None
    return Capture(
        TimeLimited(lambda: cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER), open_s=OPEN_TIMEOUT_S, read_s=read_timeout_s)
    )


def has_gstreamer(build_information: str) -> bool:
    """`    GStreamer:                   YES (1.22.0)`"""
    return re.search(r"^\s*GStreamer:\s*YES", build_information, re.MULTILINE) is not None


def differences(asked: dict[str, float], given: dict[str, float]) -> list[str]:
    """`width asked 1920 given 1280`"""

    def text(name: str, value: float) -> str:
        return (
            int(value).to_bytes(4, "little").decode("ascii", "replace")
            if name == "fourcc" and value > 0
            else f"{value:g}"
        )

    return [
        f"{name} asked {text(name, value)} given {text(name, given[name])}"
        for name, value in asked.items()
        if abs(value - given[name]) > 0.5
    ]

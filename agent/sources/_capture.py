"""Opens OpenCV's VideoCapture with limits on its time, and says what it could not do."""

import os
import threading
from typing import Any

# FFmpeg's options reach OpenCV through an environment variable of the whole process. They must not meet the opening of a file (it would
# begin in the middle), so whoever opens holds this.
_OPENING = threading.Lock()
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# TCP, no buffering, no waiting for reordered frames: the newest frame is 50 ms old instead of 1 s.
_LIVE = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"
OPEN_TIMEOUT_S = 4.0


def _quiet() -> Any:
    """OpenCV, which does not print at each attempt what is said here once, in our words; FFmpeg would print addresses with passwords."""
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return cv2


def open_stream(url: str, read_timeout_s: float) -> Any:
    """A VideoCapture, perhaps not opened. url: may hold a password, which OpenCV and FFmpeg then must not log."""
    cv2 = _quiet()
    with _OPENING:
        before = os.environ.get(_OPTIONS)
        os.environ.setdefault(_OPTIONS, _LIVE)
        try:
            return cv2.VideoCapture(
                url,
                cv2.CAP_FFMPEG,
                [
                    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(OPEN_TIMEOUT_S * 1000),
                    cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(read_timeout_s * 1000),
                    # Each decoding thread would hold one frame back.
                    cv2.CAP_PROP_N_THREADS, 1,
                ],
            )  # fmt: skip
        finally:
            if before is None:
                del os.environ[_OPTIONS]


def open_file(path: str) -> Any:
    """A VideoCapture, perhaps not opened. One decoding thread: the lanes share the cores."""
    cv2 = _quiet()
    with _OPENING:
        return cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def open_device(path: str, *, width: int | None, height: int | None, rate_hz: float | None) -> tuple[Any, list[str]]:
    """(VideoCapture of a V4L2 device, what it gives otherwise than asked). MJPG is asked for: raw video at full rate fills USB."""
    cv2 = _quiet()
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
    capture = cv2.VideoCapture(path, cv2.CAP_V4L2)
    if not capture.isOpened():
        return capture, []
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
    return capture, differences({name: value for name, _, value in asked[:-1] if value is not None}, given)


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

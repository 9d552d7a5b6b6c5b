"""A camera, a stream, a snapshot's address, a GStreamer pipeline or a video file through OpenCV. Frames: uint8 BGR (height, width, 3).

A stream's or device's frame is dated when it arrives; a file's by its own timestamps; docs/cameras.md has the whole list. Passwords go into the address for the library's call
alone; no text of ours holds one.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.problems import Problem
from agent.records import Frame
from agent.sources import Source, Stalled
from agent.sources._address import shown, with_credentials
from agent.sources._capture import Capture, open_file, open_pipeline, open_stream
from agent.sources._device import open_camera_device
from agent.sources._pipelines import FORMS as PIPELINES
from agent.sources._pipelines import pipeline
from agent.sources._reachable import check_host, no_video
from agent.sources._snapshot import Snapshots
from agent.sources._time_limited import left_behind
from agent.sources._video_file import VideoFile
from agent.values import RelativePath, Secret

# OpenCV waits so long for a V4L2 device (set in _capture), for a stream as long as it is told.
_DEVICE_TIMEOUT_S = 3.0
_MOST_HANGING = 8  # threads that wait in GStreamer for ever
_POS_MSEC = 0  # cv2.CAP_PROP_POS_MSEC: stream time


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            min_length=1,
            description="rtsp://…, http://…, /dev/v4l/by-id/…, a video file (relative to the config file), `gstreamer:` and a pipeline, `jetson-csi:0` or jetson-rtsp://….",
        ),
    ]
    user: Annotated[str | None, Meta(description="User name, for a camera that asks.")] = None
    password_file: Annotated[RelativePath | None, Meta(description="File that holds the password, nothing else.")] = (
        None
    )
    password_env: Annotated[str | None, Meta(description="Environment variable that holds the password.")] = None
    password: Secret | None = None
    loop: Annotated[bool, Meta(description="A file begins again at its end.")] = False
    pace: Annotated[
        Literal["live", "all"],
        Meta(
            description='Of a file: "live" keeps its own pace and the newest frame wins; "all" gives every frame once.'
        ),
    ] = "live"
    width: Annotated[
        Annotated[int, Meta(ge=16, le=16384)] | None,
        Meta(description="Width to ask a V4L2 device or a Jetson's CSI camera for."),
    ] = None
    height: Annotated[Annotated[int, Meta(ge=16, le=16384)] | None, Meta(description="Height to ask it for.")] = None
    rate_hz: Annotated[Annotated[float, Meta(gt=0, le=240)] | None, Meta(description="Frame rate to ask it for.")] = (
        None
    )
    every_s: Annotated[
        Annotated[float, Meta(ge=0.1, le=3600)] | None,
        Meta(description="The address (http, https) answers with a single JPEG: it is asked so often."),
    ] = None
    stall_s: Annotated[
        float, Meta(gt=0, le=600, description="No frame for this long: the lane is blind, the source is opened anew.")
    ] = 5.0


def every_record(config: Config) -> bool:
    """True for a file of which every frame counts."""
    return config.pace == "all" and form(config.url) == "file"


@contextmanager
def open_source(config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """Problem: no such file, device or host; refused; nothing there that can be read as video."""
    kind = form(config.url, config.every_s)
    if kind == "file":
        file = VideoFile(
            lambda: _open_file(config.url, where),
            config.url,
            loop=config.loop,
            live=config.pace == "live",
            clock=clock,
            stop=stop,
            where=f"{where}.url",
        )
        try:
            yield file
        finally:
            file.close()
        return
    if kind == "snapshot":
        assert config.every_s is not None
        yield Snapshots(
            config.url,
            user=config.user,
            password=config.password,
            every_s=config.every_s,
            stall_s=config.stall_s,
            clock=clock,
            stop=stop,
            where=f"{where}.url",
        )
        return
    timeout_s = config.stall_s
    if kind == "device":
        timeout_s = min(_DEVICE_TIMEOUT_S, config.stall_s)
        capture = open_camera_device(
            config.url, width=config.width, height=config.height, rate_hz=config.rate_hz, where=where
        )
    elif kind == "pipeline":
        capture = _open_pipeline(config, where)
    else:
        capture = _open_stream(config, config.stall_s, where)
    try:
        yield Camera(capture, shown(config.url), timeout_s, clock, f"{where}.url")
    finally:
        capture.release()


class Camera:
    """An open stream or device. `read` waits for the next frame for as long as the library does: timeout_s, for which it was opened."""

    def __init__(self, capture: Capture, name: str, timeout_s: float, clock: Clock, where: str) -> None:
        self._capture, self._name, self._clock, self._where = capture, name, clock, where
        self._timeout_us = round(timeout_s * 1e6)
        self._stream_ms: float | None = None
        self._advances = 0
        self._advanced_us = clock.boot_us()

    def read(self, timeout_s: float) -> Frame | None:
        """Problem when the camera is gone, Stalled when the library waited in vain."""
        del timeout_s  # OpenCV's wait cannot be shortened for one call
        began_us = self._clock.boot_us()
        read, pixels = self._capture.read()
        at_us = self._clock.boot_us()
        if at_us - began_us >= self._timeout_us or (read and self._stands_still(at_us)):
            # After a timeout the library still returns frames that it held back, as if they were new: they are not.
            raise Stalled(
                where=self._where,
                what=f"{self._name} gave no new frame for {self._timeout_us / 1e6:g} s",
                remedy="Check the camera and the network; it is opened anew",
            )
        if not read:
            raise Problem(
                where=self._where,
                what=f"{self._name} gives no more frames",
                remedy="Check the camera and its cable; it is opened anew",
            )
        return Frame(at_us=at_us, bgr=pixels)

    def _stands_still(self, now_us: int) -> bool:
        """Frames come, and are the same one again: the stream's own time did not move for the stall time. Some streams have none: it never moves."""
        stream_ms = self._capture.get(_POS_MSEC)
        if stream_ms != self._stream_ms:
            self._advances += self._stream_ms is not None
            self._stream_ms, self._advanced_us = stream_ms, now_us
        return self._advances >= 3 and now_us - self._advanced_us >= self._timeout_us


def form(url: str, every_s: float | None = None) -> Literal["stream", "snapshot", "device", "pipeline", "file"]:
    """What an address is. every_s: how often it is to be asked for a picture."""
    if url.startswith(PIPELINES):
        return "pipeline"
    if "://" in url:
        return "stream" if every_s is None or not url.startswith(("http://", "https://")) else "snapshot"
    return "device" if url.startswith("/dev/") else "file"


def _open_stream(config: Config, timeout_s: float, where: str) -> Capture:
    check_host(config.url, f"{where}.url")
    capture = open_stream(with_credentials(config.url, config.user, config.password), timeout_s)
    if not capture.opened:
        raise no_video(config.url, user=config.user, password=config.password, where=f"{where}.url")
    return capture


def _open_pipeline(config: Config, where: str) -> Capture:
    place = f"{where}.url"
    try:
        text = pipeline(
            config.url,
            user=config.user,
            password=config.password,
            width=config.width,
            height=config.height,
            rate_hz=config.rate_hz,
        )
    except ValueError:
        raise Problem(
            where=place,
            what=f"{shown(config.url)} names no camera",
            remedy="Write its number after the colon, as in jetson-csi:0",
        ) from None
    hanging = left_behind()
    if hanging >= _MOST_HANGING:
        raise Problem(
            where=place,
            what=f"{shown(config.url)} is not tried again: {hanging} earlier attempts still hang in GStreamer",
            remedy="Try it with gst-launch-1.0: is an element of it not installed? Then start the agent anew",
        )
    capture = open_pipeline(text, config.stall_s)
    if capture is None:
        raise Problem(
            where=place,
            what=f"{shown(config.url)} needs GStreamer, without which this OpenCV was built",
            remedy="Use Debian's python3-opencv: take opencv-python-headless out, and let the environment see the system's packages (--system-site-packages)",
        )
    if not capture.opened:
        raise Problem(
            where=place,
            what=f"{shown(config.url)} does not start",
            remedy="Try it with gst-launch-1.0, an autovideosink in the place of the appsink: it says what is wrong",
        )
    return capture


def _open_file(url: str, where: str) -> Capture:
    path = Path(url)
    if path.is_dir():
        raise Problem(
            where=f"{where}.url", what=f"{url} is a folder", remedy='For a folder of images set kind = "images"'
        )
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise Problem(
            where=f"{where}.url",
            what=f"the video file {url} cannot be read: {(error.strerror or str(error)).lower()}",
            remedy="Give the path of a video file, relative to the config file",
        ) from None
    capture = None if empty else open_file(url)
    if capture is None or not capture.opened:
        raise Problem(
            where=f"{where}.url",
            what=f"{url} is {'empty' if empty else 'no video that OpenCV can read'}",
            remedy="Give a video file that a player shows (MJPG in .avi and H.264 in .mp4 are read everywhere)",
        )
    return capture

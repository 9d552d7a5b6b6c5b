"""A camera on a Raspberry Pi's CSI connector, through Picamera2 (its manual: RP-008156). Frames: uint8 BGR (height, width, 3).

The camera's own scaler makes a small second picture of each, whose brightness is what the motion gate looks at. Frames are dated by the sensor: the
boot time at which their first row was exposed. Picamera2 is a package of Raspberry Pi OS (python3-picamera2), not of PyPI. Never run on a board.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.problems import Problem
from agent.records import Frame
from agent.sources import Source, Stalled

# Picamera2's names say the order in a pixel's number, not in memory: this one is B, G, R there, as OpenCV has it.
_COLOUR = "RGB888"
_SMALL = "YUV420"
_BUFFERS = 4
_POLL_S = 0.25


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    camera: Annotated[
        str, Meta(min_length=1, description="Its number, model or id, as `rpicam-hello --list-cameras` shows them.")
    ]
    width: Annotated[int, Meta(ge=64, le=8192, description="Width of a frame.")] = 1280
    height: Annotated[int, Meta(ge=64, le=8192, description="Height of a frame.")] = 720
    rate_hz: Annotated[float, Meta(gt=0, le=240, description="Frames a second.")] = 15.0
    small_width: Annotated[
        int, Meta(ge=64, le=1024, description="Width of the small picture that the motion gate looks at.")
    ] = 320
    stall_s: Annotated[
        float, Meta(gt=0, le=600, description="No frame for this long: the lane is blind, the camera is opened anew.")
    ] = 5.0


def every_record(config: Config) -> bool:
    """False: the newest frame wins."""
    del config
    return False


@contextmanager
def open_source(config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """Problem: no Picamera2, no such camera, or it is in use."""
    try:
        import picamera2
    except ImportError:
        raise Problem(
            where=f"{where}.camera",
            what=f"the camera {config.camera} is read by Picamera2, which is not installed",
            remedy="On Raspberry Pi OS: apt install python3-picamera2, in an environment that sees it (--system-site-packages)",
        ) from None
    with open_with(picamera2, config, clock, stop, where) as source:
        yield source


@contextmanager
def open_with(picamera2: Any, config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """picamera2: the module."""
    del stop
    place = f"{where}.camera"
    number = _number(picamera2, config.camera, place)
    try:
        camera = picamera2.Picamera2(number)
    except (RuntimeError, IndexError, OSError):
        raise Problem(
            where=place,
            what=f"the camera {config.camera} does not open",
            remedy="Is another program using it (rpicam-hello, a second agent)? Else check its cable",
        ) from None
    try:
        yield _start(camera, config, clock, place)
    finally:
        _quietly(camera.stop)
        _quietly(camera.close)


def _number(picamera2: Any, name: str, where: str) -> int:
    found = picamera2.Picamera2.global_camera_info()
    for camera in found:
        if name in (str(camera["Num"]), camera.get("Id"), camera.get("Model")):
            return int(camera["Num"])
    names = ", ".join(f"{camera['Num']} ({camera.get('Model')})" for camera in found)
    raise Problem(
        where=where,
        what=f"there is no camera {name}" + (f": there are {names}" if found else ", nor any other"),
        remedy="Check the ribbon cable with the power off; `rpicam-hello --list-cameras` shows what is found",
    )


def _start(camera: Any, config: Config, clock: Clock, where: str) -> "Picamera":
    width, height = config.width & ~1, config.height & ~1
    small_width = min(config.small_width, width) & ~1
    small = (small_width, max(2, round(height * small_width / width) & ~1))
    period_us = round(1e6 / config.rate_hz)
    try:
        camera.configure(
            camera.create_video_configuration(
                main={"size": (width, height), "format": _COLOUR},
                lores={"size": small, "format": _SMALL},
                controls={"FrameDurationLimits": (period_us, period_us)},
                buffer_count=_BUFFERS,
            )
        )
        camera.start()
    except (RuntimeError, ValueError, OSError) as error:
        raise Problem(
            where=where,
            what=f"the camera {config.camera} does not start with {width}x{height}: {error}",
            remedy="Set a width and height that `rpicam-hello --list-cameras` names",
        ) from None
    return Picamera(camera, config.camera, config.stall_s, clock, where)


class Picamera:
    """An open camera. A request is asked for once and waited for in pieces; each is given back, or the camera runs out of buffers."""

    def __init__(self, camera: Any, name: str, stall_s: float, clock: Clock, where: str) -> None:
        self._camera, self._name, self._clock, self._where = camera, name, clock, where
        self._small_px: tuple[int, int] = camera.camera_configuration()["lores"]["size"]
        self._stall_us = round(stall_s * 1e6)
        self._new_us = clock.boot_us()
        self._exposed_us = -1
        self._job: Any = None

    def read(self, timeout_s: float) -> Frame | None:
        """Stalled: no new frame in the stall time. Problem: the camera died."""
        try:
            if self._job is None:
                self._job = self._camera.capture_request(wait=False)
            request = self._camera.wait(self._job, timeout=min(timeout_s, _POLL_S))
        except TimeoutError:
            self._check_stall()
            return None
        except (RuntimeError, OSError):
            what, remedy = f"the camera {self._name} gives no more frames", "Check its cable; it is opened anew"
            raise Problem(where=self._where, what=what, remedy=remedy) from None
        self._job = None
        try:
            frame = self._frame(request)
        finally:
            request.release()
        if frame is None:
            self._check_stall()
            return None
        self._new_us = self._clock.boot_us()
        return frame

    def _check_stall(self) -> None:
        if self._clock.boot_us() - self._new_us >= self._stall_us:
            raise Stalled(
                where=self._where,
                what=f"the camera {self._name} gave no new frame for {self._stall_us / 1e6:g} s",
                remedy="Check its ribbon cable (dmesg names a camera that has timed out); it is opened anew",
            )

    def _frame(self, request: Any) -> Frame | None:
        """None: the sensor exposed nothing since the frame before."""
        import numpy as np

        now_us = self._clock.boot_us()
        stamp_ns = request.get_metadata().get("SensorTimestamp")
        at_us = now_us if stamp_ns is None else min(now_us, int(stamp_ns) // 1000)
        if at_us <= self._exposed_us:
            return None
        self._exposed_us = at_us
        # Rows of YUV420 are padded, and Picamera2 leaves that to us; both are copies, for the buffer goes back.
        width, height = self._small_px
        luma = np.array(request.make_array("lores")[:height, :width], np.uint8)
        return Frame(at_us=at_us, bgr=np.ascontiguousarray(request.make_array("main"), np.uint8), small_luma=luma)


def _quietly(end: Any) -> None:
    """A camera that died cannot be stopped in good order, and its Problem is already told."""
    try:
        end()
    except (RuntimeError, OSError):
        pass

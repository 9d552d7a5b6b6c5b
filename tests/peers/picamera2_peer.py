"""Picamera2 as its manual documents it (RP-008156) and its 0.3 source behaves, as far as the agent uses it. A typed peer: no board ran it.

cameras = Cameras(models=("imx708",))          # stands for the module
cameras.Picamera2(0)                           # the one camera of a test, then in cameras.opened
cameras.opened[0].expose(level)                # one exposure: whoever waits gets it; another thread's call
"""

import threading
import time
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ALIGNED_PX = 64  # rows of the scaler's output


class Request:
    def __init__(self, camera: "Camera", number: int, level: int, stamp_ns: int) -> None:
        self._camera, self._number, self._level, self._stamp_ns = camera, number, level, stamp_ns
        self.released = False

    def make_array(self, name: str) -> NDArray[np.uint8]:
        """main: RGB888, which is B, G, R in memory: here the level, its half, its quarter. lores: YUV420 with its padding, which is 255."""
        assert not self.released, "the buffer is the camera's again"
        width, height = self._camera.configuration[name]["size"]
        if name == "main":
            assert self._camera.configuration[name]["format"] == "RGB888"
            return np.full((height, width, 3), (self._level, self._level // 2, self._level // 4), np.uint8)
        assert self._camera.configuration[name]["format"] == "YUV420"
        stride = self._camera.configuration[name]["stride"]
        planes = np.full((height * 3 // 2, stride), 255, np.uint8)
        planes[:height, :width] = self._level // 2
        return planes

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self._stamp_ns, "ExposureTime": 1000, "Number": self._number}

    def release(self) -> None:
        assert not self.released
        self.released = True
        self._camera.free += 1


class Camera:
    """One open Picamera2."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.configuration: dict[str, Any] = {}
        self.calls: list[str] = []
        self.free = 0
        self.dead = False
        self._waiting: list[Future[Request]] = []
        self._asked = threading.Condition()
        self._exposed = 0

    def create_video_configuration(self, *, main: dict[str, Any], lores: dict[str, Any], controls: dict[str, Any], buffer_count: int) -> dict[str, Any]:  # fmt: skip
        return {"main": dict(main), "lores": dict(lores), "controls": dict(controls), "buffer_count": buffer_count}

    def configure(self, configuration: dict[str, Any]) -> None:
        """Sizes are aligned, as the driver does: odd ones are refused, rows are padded."""
        width, height = configuration["main"]["size"]
        if max(width, height) > 4608:
            raise RuntimeError("Failed to configure camera: invalid")
        assert not width % 2
        assert not height % 2
        small_width = configuration["lores"]["size"][0]
        configuration["lores"]["stride"] = -(-small_width // _ALIGNED_PX) * _ALIGNED_PX
        self.configuration = configuration
        self.calls.append("configure")

    def camera_configuration(self) -> dict[str, Any]:
        return self.configuration

    def start(self) -> None:
        self.free = self.configuration["buffer_count"]
        self.calls.append("start")

    def capture_request(self, *, wait: bool) -> Future[Request]:
        assert wait is False
        if self.dead:
            raise RuntimeError("Camera frontend has timed out!")
        job: Future[Request] = Future()
        with self._asked:
            self._waiting.append(job)
            self._asked.notify_all()
        return job

    def wait(self, job: Future[Request], timeout: float | None = None) -> Request:
        return job.result(timeout)

    def stop(self) -> None:
        self.calls.append("stop")
        if self.dead:
            raise RuntimeError("Device or resource busy")

    def close(self) -> None:
        self.calls.append("close")

    def expose(self, level: int, *, again: bool = False) -> int:
        """Its stamp in ns. again: with the stamp of the exposure before it."""
        with self._asked:
            assert self._asked.wait_for(lambda: self._waiting, 10.0), "nobody asks for a picture"
            assert self.free > 0, "no buffer: requests are not given back"
            self.free -= 1
            if not again:
                self._exposed = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            self._waiting.pop(0).set_result(Request(self, len(self.calls), level, self._exposed))
        return self._exposed


class Cameras:
    """models: of the cameras on the board. busy: opening fails."""

    def __init__(self, models: tuple[str, ...] = ("imx708",), *, busy: bool = False) -> None:
        cameras = self
        self.opened: list[Camera] = []

        class Picamera2(Camera):
            @staticmethod
            def global_camera_info() -> list[dict[str, Any]]:
                return [
                    {"Model": model, "Location": 2, "Rotation": 180, "Id": f"/base/soc/i2c0mux/i2c@{number}/{model}@1a", "Num": number}
                    for number, model in enumerate(models)
                ]  # fmt: skip

            def __init__(self, camera_num: int) -> None:
                if busy:
                    raise RuntimeError("Camera __init__ sequence did not complete.")
                super().__init__(camera_num)
                cameras.opened.append(self)

        self.Picamera2 = Picamera2

"""A folder of images, in name order. Frames: uint8 BGR (height, width, 3).

An image that cannot be read is a Gap (why "unreadable") in the place of its frame, and the next one follows.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.log import Repeated
from agent.problems import Problem
from agent.records import Frame, Gap
from agent.sources import Ended, Source
from agent.values import RelativePath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_log = logging.getLogger(__name__)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: Annotated[RelativePath, Meta(description="The folder.")]
    rate_hz: Annotated[float, Meta(gt=0, le=240, description="Images a second.")] = 5.0
    loop: Annotated[bool, Meta(description="Begins again at the end.")] = False
    pace: Annotated[
        Literal["live", "all"],
        Meta(description='"live" keeps `rate_hz` and the newest image wins; "all" gives every image once.'),
    ] = "live"
    stall_s: Annotated[float, Meta(gt=0, le=600, description="No image for this long: the lane is blind.")] = 5.0


def every_record(config: Config) -> bool:
    """True where every image counts."""
    return config.pace == "all"


@contextmanager
def open_source(config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """Problem: no such folder, or no image in it."""
    folder = Path(config.path)
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except OSError as error:
        raise Problem(
            where=f"{where}.path",
            what=f"the folder {folder} cannot be read: {(error.strerror or str(error)).lower()}",
            remedy="Give a folder of images, relative to the config file",
        ) from None
    if not files:
        raise Problem(
            where=f"{where}.path",
            what=f"the folder {folder} holds no image",
            remedy=f"Put images into it ({', '.join(_ENDINGS)})",
        )
    yield Images(files, config, clock, stop, where)


class Images:
    """Image n comes n / rate_hz after the opening; at pace "all" at once, with that time."""

    def __init__(self, files: list[Path], config: Config, clock: Clock, stop: threading.Event, where: str) -> None:
        self._files, self._config, self._where = files, config, where
        self._clock, self._stop = clock, stop
        self._start_us = clock.boot_us()
        self._number = 0
        self._readable = 0
        self._faults = Repeated(_log)

    def read(self, timeout_s: float) -> Frame | Gap | None:
        """Ended after the last one; Problem when a whole folder held none that can be read."""
        count = len(self._files)
        if self._number and self._number % count == 0:
            if not self._readable:
                raise Problem(
                    where=f"{self._where}.path",
                    what=f"none of the {count} images in {self._config.path} can be read",
                    remedy="Put images into it that a viewer shows",
                )
            if not self._config.loop:
                raise Ended
        at_us = self._start_us + round(self._number * 1e6 / self._config.rate_hz)
        if self._config.pace == "live":
            early_us = at_us - self._clock.boot_us()
            if early_us > 0:
                self._clock.wait(self._stop, min(timeout_s, early_us / 1e6))
                if self._clock.boot_us() < at_us:
                    return None
            at_us = self._clock.boot_us()
        file = self._files[self._number % count]
        self._number += 1
        pixels = _load(file)
        if pixels is None:
            self._faults.fault(
                file.name,
                f"{self._where}.path: the image {file} cannot be read. Replace it, or take it out of the folder",
                at_us,
            )
            return Gap(at_us=at_us, why="unreadable")
        self._readable += 1
        return Frame(at_us=at_us, bgr=pixels)


def _load(file: Path) -> "NDArray[np.uint8] | None":
    """Pixels, None when there is no image to be had from it. Read by us: OpenCV's own reading prints for a missing file."""
    import cv2
    import numpy as np

    try:
        data = np.fromfile(file, np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) if data.size else None
    except (OSError, cv2.error, TypeError):  # imdecode gives None for what is no image: TypeError
        return None

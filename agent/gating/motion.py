"""Lets a frame pass when something moved, at most `rate_hz`, and at least one every `every_s`.

A small grey copy (_grey.py) is compared with a running average of those before it (_background.py); what changed in one piece, as large as the smallest
object that counts, moved. While something is followed, frames pass whether it moves or not. How it decides, every key, measured figures: docs/gate.md.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from agent.gating import Gate
from agent.hours import within
from agent.records import Frame, SampleWindow
from agent.values import Polygon, TimeOfDay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.gating._background import Background

# The smallest object, as a share of the picture's width: 16 pixels of 640.
_OBJECT_RATIO = 1 / 40
# Of an object's square so much must have changed in one piece: an object is seldom a square, and its contrast seldom the same all over.
_FILLED = 0.25
# A box around a followed object grows by so much at every side: boxes are not exact, and what it casts a shadow on moves with it.
_AROUND = 0.1
# A box over more of the picture than this says of nothing where it is.
_MOST_TRACKED = 0.6
# Rates are kept with a tenth of tolerance, or 5 Hz of 10 Hz would become 3.3 when a frame comes a little early.
_EARLY = 0.9


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rate_hz: Annotated[float, Meta(gt=0, le=120, description="At most this many frames a second pass.")] = 5.0
    every_s: Annotated[
        float, Meta(gt=0, description="At least one frame in this time passes, also when nothing moves.")
    ] = 60.0
    object_px: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            description="The smallest object that counts: its side in pixels of the camera's picture; left out: a fortieth of the picture's width, 16 of 640."
        ),
    ] = None
    hold_s: Annotated[
        float, Meta(ge=0, le=3600, description="So long after something moved, frames still pass at `rate_hz`.")
    ] = 1.0
    mask: Annotated[
        tuple[Polygon, ...],
        Meta(
            description="Areas in which motion does not count: polygons of at least three points, x and y as shares of the picture, 0..1."
        ),
    ] = ()
    follow_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="What came to rest ceases to count after two or three times this time, unless a model sees it.",
        ),
    ] = 2.0
    between: Annotated[
        tuple[TimeOfDay, TimeOfDay] | None,
        Meta(
            description='Nothing passes but from the first time of the day to the second, as ["06:00", "20:00"], by `device.timezone`. While the time is not known it passes at any.'
        ),
    ] = None
    learn_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="A place that keeps changing for about this time (a flag, a tree) is left out until it is still; 0: never.",
        ),
    ] = 60.0


def open_gate(config: Config) -> Gate:
    return Motion(config)


class Motion:
    """A pure function of the frames' pixels and `at_us`, and of what it was told between them. minute: of the local day, of a
    boot time, for `between`; None: not known. Windows of samples always pass.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._between_us = round(1e6 / config.rate_hz)
        self._every_us = round(config.every_s * 1e6)
        self._hold_us = round(config.hold_s * 1e6)
        self.warm = False
        self.minute: Callable[[int], int | None] = lambda _: None
        self.moving = False  # in the newest frame
        self._passed_us: int | None = None
        self._at_us = 0
        self._moved_us: int | None = None
        self._moved = False  # since the last frame that passed
        self._settles = False
        self._background: Background | None = None
        self._tracked: list[tuple[float, float, float, float]] = []
        self._boxes: NDArray[np.float32] | None = None

    def take(self, record: Frame | SampleWindow) -> bool:
        if isinstance(record, SampleWindow):
            return True
        if record.at_us < self._at_us:  # another boot
            self._moved_us, self._background = None, None
        self._at_us = record.at_us
        self.moving = self._compare(record)
        if self.moving:
            self._moved_us, self._moved = record.at_us, True
        if self._is_off(record.at_us):
            self._moved, self._moved_us = False, None
            return False
        since_us = None if self._passed_us is None else record.at_us - self._passed_us
        due = since_us is None or since_us < 0 or since_us >= self._every_us
        worth = self._moved or not self.quiet
        if not due and not (worth and since_us is not None and since_us >= self._between_us * _EARLY):
            return False
        self._passed_us = record.at_us
        self._moved = False
        return True

    def tracked(self, boxes: "NDArray[np.float32]") -> None:
        found = [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in boxes]
        self._tracked = [box for box in found if (box[2] - box[0]) * (box[3] - box[1]) <= _MOST_TRACKED]

    def _is_off(self, at_us: int) -> bool:
        """Whether it is no hour at which it looks."""
        minute = None if self._config.between is None else self.minute(at_us)
        return self._config.between is not None and minute is not None and not within(self._config.between, minute)

    @property
    def quiet(self) -> bool:
        if self._is_off(self._at_us):
            return True
        held = self._moved_us is not None and self._at_us - self._moved_us < self._hold_us
        return not (self.moving or held or self.warm)

    @property
    def boxes(self) -> "NDArray[np.float32]":
        import numpy as np

        return np.zeros((0, 4), np.float32) if self._boxes is None else self._boxes

    def _compare(self, frame: Frame) -> bool:
        """Whether something moved; takes the frame into the background."""
        import cv2

        from agent.gating._background import Background
        from agent.gating._grey import small_grey

        small = small_grey(frame)
        height, width = small.shape
        self._boxes = None
        if self._background is None or self._background.shape != small.shape:
            watched = _watched(self._config.mask, width, height)
            self._background = Background(
                small, frame.at_us, watched, follow_s=self._config.follow_s, learn_s=self._config.learn_s
            )
            self._moved = True  # a picture of another size is another camera
            return False
        changed = self._background.compare(small, frame.at_us, self._slow(width, height))
        # What a light or night vision was switched to is worth one look, once the camera has set its exposure.
        self._moved |= self._settles and changed is not None
        self._settles = changed is None
        least = self._least_pixels(frame, width)
        if changed is None or cv2.countNonZero(changed) < least:
            return False
        self._boxes = _pieces(changed, least)
        return len(self._boxes) > 0

    def _least_pixels(self, frame: Frame, width: int) -> float:
        """How many pixels of the small copy must have changed in one piece."""
        object_px = self._config.object_px
        side = _OBJECT_RATIO * width if object_px is None else object_px * width / _frame_width(frame)
        return max(2.0, _FILLED * side * side)

    def _slow(self, width: int, height: int) -> list[tuple[int, int, int, int]]:
        """Where objects are followed, in pixels of the small copy."""
        found = []
        for x0, y0, x1, y1 in self._tracked:
            more_x, more_y = (x1 - x0) * _AROUND, (y1 - y0) * _AROUND
            left, top = max(0, int((x0 - more_x) * width)), max(0, int((y0 - more_y) * height))
            right, bottom = min(width, int((x1 + more_x) * width) + 1), min(height, int((y1 + more_y) * height) + 1)
            if right > left and bottom > top:
                found.append((left, top, right, bottom))
        return found


def _frame_width(frame: Frame) -> int:
    return int((frame.pixels if frame.luma is None else frame.luma).shape[1])


def _watched(masks: tuple[Polygon, ...], width: int, height: int) -> "NDArray[np.uint8]":
    """(height, width) uint8: 0 inside of the masks, 255 elsewhere."""
    import cv2
    import numpy as np

    watched = np.full((height, width), 255, np.uint8)
    for mask in masks:
        corners = np.round(np.array(mask) * (width, height) - 0.5).astype(np.int32)
        cv2.fillPoly(watched, [corners], 0)
    return watched


def _pieces(changed: "NDArray[np.uint8]", least: float) -> "NDArray[np.float32]":
    """Boxes in 0..1 of the pieces with at least so many pixels; what is a pixel apart is one piece."""
    import cv2
    import numpy as np

    height, width = changed.shape
    outlines, _ = cv2.findContours(
        cv2.dilate(changed, np.ones((3, 3), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    found = []
    for outline in outlines:
        x, y, wide, high = cv2.boundingRect(outline)
        # Labelling pixels costs 25 times as much as outlines: what lies in a piece's box is counted, its neighbours' corners with it.
        if wide * high >= least and cv2.countNonZero(changed[y : y + high, x : x + wide]) >= least:
            found.append((x / width, y / height, (x + wide) / width, (y + high) / height))
    return np.array(found[::-1], np.float32).reshape(-1, 4)  # from the top down

"""Generated pictures of a fixed camera, with the truth: which frames show a moving object.

A textured scene (light falling off, walls, foliage), noise of the sensor, light that drifts, a light that is switched, night vision, a flag that always moves,
somebody who walks in and stands. Everything is a pure function of the time and the seed.
"""

import functools
import math
from collections.abc import Callable

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from agent.records import Frame

Square = tuple[float, float, float, float]  # centre x, y in 0..1, side in pixels, contrast in grey levels


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """sigma: noise of the sensor. drift: the light goes up and down by so much in drift_s. light, night, flag: functions of the time in s.

    object: what moves, where it is at that time, None: nothing.
    """

    width: int = 640
    height: int = 480
    seed: int = 1
    sigma: float = 4.0
    drift: float = 0.0
    drift_s: float = 40.0
    gain: Callable[[float], float] = lambda at_s: 1.0
    night: Callable[[float], bool] = lambda at_s: False
    flag: Square | None = None
    object: Callable[[float], Square | None] = lambda at_s: None

    def frame(self, at_s: float, *, luma: bool = False) -> Frame:
        """luma: as planes, as a decoder gives them."""
        pixels = _background(self.width, self.height, self.seed).copy()
        square = self.object(at_s)
        if self.flag is not None:
            self._draw(pixels, self.flag, np.random.default_rng(round(at_s * 1000)).integers(-1, 2))
        if square is not None:
            self._draw(pixels, square, 1)
        pixels *= self.gain(at_s)
        pixels += self.drift * math.sin(2 * math.pi * at_s / self.drift_s)
        if self.night(at_s):
            pixels[:] = (0.4 * pixels.mean(axis=2, keepdims=True) + 110).astype(np.float32)
        pixels += _noise(pixels.shape, round(at_s * 1000)) * self.sigma
        frame = np.clip(pixels, 0, 255).astype(np.uint8)
        if self.night(at_s):
            frame = np.repeat(frame[..., 1:2], 3, axis=2)
        if luma:
            return Frame(at_us=round(at_s * 1e6), i420=cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).astype(np.uint8))
        return Frame(at_us=round(at_s * 1e6), bgr=frame)

    def _draw(self, pixels: NDArray[np.float32], square: Square, sign: float) -> None:
        """An object keeps its contrast with what is behind it: darker on bright, brighter on dark."""
        x, y, side, contrast = square
        left, top = round(x * self.width - side / 2), round(y * self.height - side / 2)
        part = pixels[max(0, top) : max(0, top + round(side)), max(0, left) : max(0, left + round(side))]
        if part.size:
            part += contrast * sign * (1 if part.mean() < 128 else -1)


@functools.lru_cache(maxsize=4)
def _background(width: int, height: int, seed: int) -> NDArray[np.float32]:
    """(height, width, 3) float32: noise at five scales, as natural pictures have it, a fall of light, some walls with hard edges."""
    rng = np.random.default_rng(seed)
    scene = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((4, 30.0), (12, 18.0), (40, 10.0), (120, 6.0), (320, 4.0)):
        coarse = rng.standard_normal((max(2, cells * height // width), cells, 3)).astype(np.float32)
        coarse = 0.6 * coarse.mean(axis=2, keepdims=True) + 0.4 * coarse
        scene += strength * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    scene += np.linspace(150, 90, height, dtype=np.float32)[:, None, None]
    for _ in range(6):
        x, y = rng.integers(0, width), rng.integers(0, height)
        scene[y : y + height // 5, x : x + width // 6] += rng.uniform(-40, 40, 3)
    return np.clip(scene, 25, 225)


def _noise(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """A window of one long row of noise, so that a frame costs no million of random numbers."""
    size = math.prod(shape)
    start = np.random.default_rng(seed).integers(0, 1_000_003)
    return _long_noise(size + 1_000_003)[start : start + size].reshape(shape)


@functools.lru_cache(maxsize=2)
def _long_noise(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(99).standard_normal(size, np.float32)


def crossings(
    side: float, contrast: float, *, every_s: float = 12.0, in_view_s: float = 4.0
) -> Callable[[float], Square | None]:
    """An object crosses the picture from time to time, at another height each time, from the left and from the right in turn."""

    def place(at_s: float) -> Square | None:
        number, since_s = divmod(at_s, every_s)
        share = (since_s - (every_s - in_view_s)) / in_view_s
        if share < 0 or number < 1:
            return None
        x = 0.05 + 0.9 * share
        return (x if number % 2 else 1 - x, 0.2 + 0.6 * ((number * 0.37) % 1.0), side, contrast)

    return place

"""Frames for the view model: a picture → what a camera would give by day, at night, covered, out of focus.

numpy and OpenCV only, so that the tests make held-out frames with the very same functions. All frames are (96, 96, 3) uint8, RGB.
Night, cover and blur are simulated: no camera stood in the dark for them.
"""

from pathlib import Path

import cv2
import numpy as np

SIDE = 96
LABELS = ("day", "night", "covered", "blurred")
Picture = np.ndarray  # (height, width, 3) uint8, RGB


def read(path: Path) -> Picture:
    """A picture file as RGB; also one that OpenCV does not know how to open by name."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{path} is no picture")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def crop(picture: Picture, rng: np.random.Generator, least: float = 0.45) -> Picture:
    """A part of the picture, at least `least` of each side, sometimes mirrored, at a camera's size (192 × 192)."""
    height, width = picture.shape[:2]
    part_height, part_width = (int(side * rng.uniform(least, 1.0)) for side in (height, width))
    top, left = int(rng.integers(height - part_height + 1)), int(rng.integers(width - part_width + 1))
    part = picture[top : top + part_height, left : left + part_width]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return cv2.resize(np.ascontiguousarray(part), (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_AREA)


def drawn(rng: np.random.Generator) -> Picture:
    """A scene nobody photographed: a gradient, coarse noise, then edges of every size and colour (192 × 192)."""
    side = 2 * SIDE
    scene = _slow_field(rng, side, int(rng.integers(2, 6))) * rng.uniform(40, 200) + rng.uniform(0, 90, 3)
    scene = np.ascontiguousarray(np.clip(scene, 0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(12, 60))):
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        x0, y0, x1, y1 = (int(value) for value in rng.integers(0, side, 4))
        shape = rng.integers(4)
        if shape == 0:
            cv2.rectangle(scene, (x0, y0), (x0 + 4 + x1 // 3, y0 + 4 + y1 // 3), color, -1)
        elif shape == 1:
            cv2.line(scene, (x0, y0), (x1, y1), color, int(rng.integers(1, 6)))
        elif shape == 2:
            cv2.circle(scene, (x0, y0), int(rng.integers(2, 40)), color, int(rng.choice((-1, 2))))
        else:
            cv2.putText(scene, "edge", (x0, y0), cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.4, 1.8)), color, 2)
    if rng.random() < 0.5:
        texture = rng.normal(0, rng.uniform(4, 22), scene.shape[:2])[..., None]
        scene = np.clip(scene + texture, 0, 255).astype(np.uint8)
    return scene


def frame(scene: Picture, label: str, rng: np.random.Generator) -> Picture:
    """One frame of `scene` (192 × 192) as a camera in state `label` gives it."""
    light = scene.astype(np.float32)
    if label == "covered":
        light = _covered(light, rng)
    elif label == "night":
        light = _night(light, rng)
    else:
        light = _exposed(light, rng)
        if label == "blurred":
            light = _out_of_focus(light, rng)
        elif rng.random() < 0.3:
            light = cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.3, 1.0)))  # a plain lens is no sharp one
    small = cv2.resize(light, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    small += rng.normal(0, rng.uniform(0.3, 3.0), small.shape)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _exposed(light: Picture, rng: np.random.Generator) -> Picture:
    """Daylight: gamma, white balance, contrast; the mean ends between 55 and 215."""
    light = 255 * (light / 255) ** rng.uniform(0.6, 1.5)
    light *= rng.uniform(0.85, 1.15, 3)
    if rng.random() < 0.15:
        light = np.repeat(light.mean(2, keepdims=True), 3, 2)  # a grey camera
    mean = float(light.mean()) + 1e-3
    light = (light - mean) * rng.uniform(0.7, 1.2) + np.clip(mean * rng.uniform(0.7, 1.3), 55, 215)
    return np.clip(light, 0, 255).astype(np.float32)


def _night(light: Picture, rng: np.random.Generator) -> Picture:
    """Dark: mean 4 to 34, little colour, sensor noise; often a lamp, sometimes infrared light that falls off to the rim."""
    grey = light.mean(2, keepdims=True)
    light = grey + (light - grey) * rng.uniform(0.0, 0.6)
    light = 255 * (light / 255) ** rng.uniform(1.0, 2.0)
    side = light.shape[0]
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    if rng.random() < 0.3:
        away = (xs - side * rng.uniform(0.3, 0.7)) ** 2 + (ys - side * rng.uniform(0.3, 0.7)) ** 2
        light = light.mean(2, keepdims=True) * np.exp(-away / (side * rng.uniform(0.25, 0.6)) ** 2)[..., None]
        light = np.repeat(light, 3, 2)
    light *= rng.uniform(4, 34) / (float(light.mean()) + 1e-3)
    light *= rng.uniform(0.75, 1.2, 3)
    for _ in range(int(rng.integers(0, 4))):
        away = (xs - rng.uniform(0, side)) ** 2 + (ys - rng.uniform(0, side)) ** 2
        glow = np.exp(-away / rng.uniform(1.5, 12) ** 2) * rng.uniform(60, 255)
        light += glow[..., None] * rng.uniform((0.9, 0.7, 0.4), (1.0, 1.0, 1.0))
    light += rng.normal(0, rng.uniform(1.0, 9.0), light.shape)
    return np.clip(light, 0, 255).astype(np.float32)


def _covered(light: Picture, rng: np.random.Generator) -> Picture:
    """Tape, cloth, a hand, a cap on the lens: hardly any detail, any colour; now and then light leaks in at a side."""
    side = light.shape[0]
    if rng.random() < 0.2:
        color = rng.uniform(0, 9, 3)
        spread = rng.uniform(0, 4)
    else:
        color = rng.uniform(12, 235) * rng.uniform((0.7, 0.55, 0.45), (1.0, 1.0, 1.0))
        spread = rng.uniform(2, 45)
    cover = color + (_slow_field(rng, side, int(rng.integers(1, 4))) - 0.5) * spread
    if rng.random() < 0.25:
        leak = np.linspace(1, 0, side, dtype=np.float32) ** rng.uniform(3, 12)
        bright = cv2.GaussianBlur(light, (0, 0), 9) * leak[None, :, None] * rng.uniform(0.2, 0.9)
        cover += np.rot90(bright, int(rng.integers(4)))
    cover += rng.normal(0, rng.uniform(0.2, 4.0), cover.shape)
    return np.clip(cover, 0, 255).astype(np.float32)


def _out_of_focus(light: Picture, rng: np.random.Generator) -> Picture:
    """A disc (defocus), a bell (dirt, water) or a line (a shaking mast); at 192 × 192 a radius of 4 to 14."""
    kind = rng.integers(3)
    if kind == 0:
        return cv2.GaussianBlur(light, (0, 0), float(rng.uniform(3.0, 9.0)))
    radius = int(rng.integers(5, 15))
    kernel = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    if kind == 1:
        cv2.circle(kernel, (radius, radius), radius, 1.0, -1)
    else:
        angle = rng.uniform(0, np.pi)
        dx, dy = round(radius * np.cos(angle)), round(radius * np.sin(angle))
        cv2.line(kernel, (radius - dx, radius - dy), (radius + dx, radius + dy), 1.0, 3)
    return cv2.filter2D(light, -1, kernel / kernel.sum())


def _slow_field(rng: np.random.Generator, side: int, cells: int) -> Picture:
    """Values 0 to 1, (side, side, 3), that change slowly over the picture."""
    coarse = rng.random((cells + 1, cells + 1, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)

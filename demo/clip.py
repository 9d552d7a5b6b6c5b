"""The camera's picture: 160 frames of two portraits in the public domain, drawn the same each time: MJPG in .avi, 640×480, 16 frames/s.

One face, two, none; then the same scene at night, out of focus, and with a hand over the lens.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

WIDTH_PX, HEIGHT_PX, RATE_HZ, FRAMES = 640, 480, 16, 160
_SEED = 20261124


def write_clip(path: Path, hopper: Path, astronaut: Path) -> Path:
    """Draws the clip. hopper, astronaut: the two portraits (the catalogue's `grace-hopper` and `astronaut`)."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(_SEED)
    portraits = [_portrait(hopper, 400), _portrait(astronaut, 320, crop=(60, 360, 20, 320))]
    room = _room(rng)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE_HZ, (WIDTH_PX, HEIGHT_PX))
    if not writer.isOpened():
        raise OSError(f"{path} cannot be written as MJPG")
    try:
        for number in range(FRAMES):
            writer.write(_frame(number, room, portraits, rng))
    finally:
        writer.release()
    return path


def _frame(number: int, room: "Picture", portraits: "list[Picture]", rng: Any) -> "Picture":
    import numpy as np

    scene = room.copy()
    if number < 90 or number >= 110:
        _paste(scene, portraits[0], 10 + (45 - abs(45 - number % 90)) * 2, 70)
    if 45 <= number < 90:
        _paste(scene, portraits[1], 380 - (number - 45), 100)
    light = scene.astype(np.float32)
    if 110 <= number < 127:  # night
        light *= 0.05
    elif 127 <= number < 144:  # out of focus
        light = _blurred(light, 14)
    elif number >= 144:  # a hand over the lens
        light = np.full_like(light, (14.0, 12.0, 20.0)) + _blurred(light, 40) * 0.03
    light += rng.integers(-2, 3, light.shape, dtype=np.int8)
    return np.asarray(light.clip(0, 255), dtype=np.uint8)


def _blurred(light: Any, sigma_px: float) -> Any:
    """A Gaussian blur, worked out at an eighth of the size: nobody sees the difference, and it takes a tenth of the time."""
    import cv2

    small = cv2.resize(light, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    return cv2.resize(
        cv2.GaussianBlur(small, (0, 0), sigma_px / 8), (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR
    )


def _portrait(path: Path, height_px: int, crop: tuple[int, int, int, int] | None = None) -> "Picture":
    """crop: left, right, top, bottom in pixels of the file."""
    import cv2
    import numpy as np

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise OSError(f"{path} is not a picture")
    if crop is not None:
        left, right, top, bottom = crop
        picture = picture[top:bottom, left:right]
    scale = height_px / picture.shape[0]
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _room(rng: Any) -> "Picture":
    """A wall with light from the left, a floor and some furniture: something with edges to look at."""
    import cv2
    import numpy as np

    wall = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32)
    wall += np.linspace(205, 135, WIDTH_PX, dtype=np.float32)[None, :, None] * np.array([0.86, 0.95, 1.0], np.float32)
    wall[380:] *= 0.55
    for _ in range(14):
        x, y = int(rng.integers(0, WIDTH_PX - 60)), int(rng.integers(20, 400))
        width, height = int(rng.integers(20, 110)), int(rng.integers(20, 110))
        color = tuple(float(part) for part in rng.integers(50, 230, 3))
        cv2.rectangle(wall, (x, y), (x + width, y + height), color, -1 if rng.random() < 0.5 else 3)
    return np.asarray(wall.clip(0, 255), dtype=np.uint8)


def _paste(scene: "Picture", picture: "Picture", x: int, y: int) -> None:
    x = max(0, min(x, WIDTH_PX - 1))
    height, width = min(picture.shape[0], HEIGHT_PX - y), min(picture.shape[1], WIDTH_PX - x)
    scene[y : y + height, x : x + width] = picture[:height, :width]

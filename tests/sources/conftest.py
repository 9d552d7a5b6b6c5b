"""Video files of numbered frames."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

Write = Callable[..., Path]


@pytest.fixture
def clip(tmp_path: Path) -> Write:
    """clip(frames=10, rate_hz=25.0) → an MJPG .avi whose frame n has grey level 20 n."""

    def write(frames: int = 10, rate_hz: float = 25.0, name: str = "clip.avi") -> Path:
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
        for number in range(frames):
            writer.write(np.full((48, 64, 3), number * 20, np.uint8))
        writer.release()
        return path

    return write

"""An H.264 (or H.265) file in MP4, made by PyAV's own x264 (x265): a square that wanders; on demand with bytes turned over inside its pictures."""

from pathlib import Path

import av
import numpy as np


def write_h264(path: Path, *, frames: int = 100, rate_hz: int = 25, group: int = 10, damaged_every: int | None = None, pixel_format: str = "yuv420p",
               size: tuple[int, int] = (320, 240), encoder: str = "libx264") -> Path:  # fmt: skip
    """damaged_every: of so many pictures one has bytes turned over in its second half; never the first of them all."""
    width, height = size
    wall = np.random.default_rng(1).integers(60, 120, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.gop_size = group
        stream.options = {
            "tune": "zerolatency",
            "preset": "ultrafast",
            "x264-params": "slices=1",
            "x265-params": "log-level=none",
        }
        number = 0
        for step in range(frames + 1):
            picture = None
            if step < frames:
                pixels = wall.copy()
                left = step * 4 % (width - 40)
                pixels[20:60, left : left + 40] = 230
                picture = av.VideoFrame.from_ndarray(pixels, format="bgr24")
            for packet in stream.encode(picture):
                if damaged_every is not None and number and number % damaged_every == 0:
                    packet = _damaged(packet)
                container.mux(packet)
                number += 1
    return path


def _damaged(packet: av.Packet) -> av.Packet:
    data = bytearray(bytes(packet))
    for place in range(len(data) // 2, len(data), max(1, len(data) // 12)):
        data[place] ^= 0xFF
    other = av.Packet(bytes(data))
    other.pts, other.dts, other.time_base, other.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    other.stream, other.is_keyframe = packet.stream, packet.is_keyframe
    return other

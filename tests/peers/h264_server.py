"""A network camera with H.264 on a loopback port: GStreamer's RTSP server, in a process that can be killed and frozen.

with H264Server(rate_hz=25.0, group=25, user="viewer", password="word") as camera:
    camera.url                 # rtsp://127.0.0.1:PORT/stream1
    camera.kill()              # SIGKILL: its connections are reset, its port is closed
    camera.freeze()            # SIGSTOP: as a dead link; thaw() lets it go on
    camera.streams             # how many streams it has begun
`made_ms(frame)` and `number_of(frame)` read from a picture when it was made (CLOCK_BOOTTIME, ms modulo 65536) and which one it is.
Tests that use it carry `needs_gstreamer`.
"""

import functools
import signal
import subprocess
import threading
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from agent.records import Frame

_SCRIPT = Path(__file__).parent / "gst_rtsp.py"
_PYTHON = "/usr/bin/python3"
_START_S = 20.0
CELLS, CELL_ROWS = 16, 16


@functools.cache
def missing() -> str | None:
    """What is not installed, or None."""
    code = (
        "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer; Gst.init(None)\n"
        "print(' '.join(n for n in ('x264enc', 'rtph264pay', 'appsrc', 'qtdemux', 'h264parse') if not Gst.ElementFactory.find(n)))"
    )
    try:
        done = subprocess.run([_PYTHON, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return _PYTHON
    return "python3-gi, gir1.2-gst-rtsp-server-1.0" if done.returncode else done.stdout.strip() or None


needs_gstreamer = pytest.mark.skipif(
    missing() is not None, reason=f"GStreamer's RTSP server is not installed: {missing()}"
)


class H264Server:
    def __init__(self, *, rate_hz: float = 25.0, group: int = 25, width: int = 320, height: int = 240, user: str | None = None,
                 password: str = "", basic: bool = False, moving: bool = False, port: int = 0, bitrate_kbps: int = 2000,
                 file: Path | None = None) -> None:  # fmt: skip
        words = [
            "--rate",
            rate_hz,
            "--group",
            group,
            "--width",
            width,
            "--height",
            height,
            "--port",
            port,
            "--bitrate",
            bitrate_kbps,
        ]
        words += [] if user is None else ["--user", user, f"--password={password}"]
        words += ["--basic"] * basic + ["--moving"] * moving + ([] if file is None else ["--file", file])
        self._words = [_PYTHON, "-u", str(_SCRIPT), *map(str, words)]
        self.streams = 0

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.url = f"rtsp://127.0.0.1:{self.port}/stream1"
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.streams += line.strip() == "open"

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(_START_S)
        self._listener.join(_START_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def made_ms(frame: Frame) -> int:
    return _bits(frame, 0)


def number_of(frame: Frame) -> int:
    """Modulo 65536."""
    return _bits(frame, CELL_ROWS)


def _bits(frame: Frame, top: int) -> int:
    luma = frame.luma if frame.luma is not None else frame.pixels[:, :, 1]
    cell = luma.shape[1] // CELLS
    row = luma[top + 4 : top + CELL_ROWS - 4, : cell * CELLS].reshape(-1, CELLS, cell)[:, :, cell // 4 : -cell // 4]
    cells = row.mean(axis=(0, 2))
    assert not np.any((cells > 90) & (cells < 160)), f"cells that are neither black nor white: {cells}"
    return int("".join("1" if value > 125 else "0" for value in cells), 2)

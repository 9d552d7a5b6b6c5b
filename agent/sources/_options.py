"""FFmpeg's options for live streams. They reach OpenCV through an environment variable of the whole process, read while it opens.

They must not meet the opening of a file (it would begin in the middle). Streams open side by side, since one that does not answer takes
seconds; a file opens when no stream does, and those that come later wait for it.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# TCP, no buffering, no waiting for reordered frames: the newest frame is 50 ms old instead of 1 s.
_LIVE = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"

_changed = threading.Condition()
_streams = 0  # that are opening
_files = 0  # that are opening or wait for it


@contextmanager
def for_stream() -> Iterator[None]:
    """The variable is set in here: to ours, or to what it was at the start of the process."""
    global _streams
    with _changed:
        _changed.wait_for(lambda: not _files)
        if not _streams and VARIABLE not in os.environ:
            os.environ[VARIABLE] = _LIVE
        _streams += 1
    try:
        yield
    finally:
        with _changed:
            _streams -= 1
            if not _streams and os.environ.get(VARIABLE) == _LIVE:
                del os.environ[VARIABLE]
            _changed.notify_all()


@contextmanager
def for_file() -> Iterator[None]:
    """No stream's options in here."""
    global _files
    with _changed:
        _files += 1
        _changed.wait_for(lambda: not _streams)
    try:
        yield
    finally:
        with _changed:
            _files -= 1
            _changed.notify_all()

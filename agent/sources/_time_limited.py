"""A capture of OpenCV that has no time limit of its own, read through a thread that may be left behind.

OpenCV's GStreamer before 4.8 waits for ever for an element that is not installed, and half a minute for a camera that is silent.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any

_behind: set[threading.Thread] = set()


def left_behind() -> int:
    """Threads that still hang in the library."""
    _behind.difference_update([thread for thread in _behind if not thread.is_alive()])
    return len(_behind)


class TimeLimited:
    """Stands for a cv2.VideoCapture. Opened, read and released by a thread of its own; who waits for longer than it says goes on without it."""

    def __init__(self, open_capture: Callable[[], Any], *, open_s: float, read_s: float) -> None:
        """Waits until it is open."""
        self._read_s = read_s
        self._asked: queue.SimpleQueue[Callable[[Any], Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lost = False
        self._thread = threading.Thread(target=self._serve, args=(open_capture,), name="gstreamer", daemon=True)
        self._thread.start()
        self._opened = bool(self._answer(open_s))

    def _serve(self, open_capture: Callable[[], Any]) -> None:
        capture = open_capture()
        self._answers.put(capture.isOpened())
        while (ask := self._asked.get()) is not None:
            self._answers.put(ask(capture))
        capture.release()

    def _answer(self, limit_s: float) -> Any:
        try:
            return self._answers.get(timeout=limit_s)
        except queue.Empty:
            self._lost = True
            _behind.add(self._thread)
            self._asked.put(None)  # should it come back, it releases the capture and ends
            return None

    def _ask(self, what: Callable[[Any], Any]) -> Any:
        if self._lost:
            return None
        self._asked.put(what)
        return self._answer(self._read_s)

    def isOpened(self) -> bool:  # noqa: N802  as OpenCV has it
        return self._opened

    def read(self) -> tuple[bool, Any]:
        """As VideoCapture.read; (False, None) when the limit is over."""
        return self._ask(lambda capture: capture.read()) or (False, None)

    def get(self, key: int) -> float:
        return float(self._ask(lambda capture: capture.get(key)) or 0.0)

    def release(self) -> None:
        """Returns at once."""
        if not self._lost:
            self._asked.put(None)
            self._lost = True

"""An open RTSP stream: packets in, fresh pictures out. PyAV's container is handed in; no text of its exceptions, which hold the address, gets out."""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from typing import Any

from agent.clock import Clock
from agent.log import Repeated, fact
from agent.problems import Problem
from agent.records import Frame
from agent.sources import Stalled
from agent.sources._planes import i420
from agent.sources._stream_time import StreamTime

# What piled up while the stream was opened is decoded and not handed out: reads that do not wait, for at most this long.
_PILED_US, _PILE_LASTS_US = 2_000, 1_000_000
# Of the packets since the newest keyframe so much is kept while only keyframes are decoded; then the next picture is decoded as if it were one.
_KEPT_BYTES, _KEPT_US = 4_000_000, 10_000_000
# FFmpeg knows that a picture of these is whole when the next one begins: so the next one's arrival is known too.
_ENDED_BY_THE_NEXT = ("h264", "hevc")

_log = logging.getLogger(__name__)


class RtspStream:
    """Source over an open container with one video stream.

    lives: the newest `read` gave nothing, but packets came that were kept, for it is quiet. refused: damaged pictures until now, none of
    which was handed out. `quiet` may be called by any thread; `close` too, also during a read, whose thread then ends the container.
    """

    def __init__(self, container: Any, name: str, *, stall_s: float, most_pixels: int, keyframes_when_quiet: bool, errors: tuple[type[Exception], ...],
                 clock: Clock, where: str) -> None:  # fmt: skip
        self._container, self._name, self._clock, self._where = container, name, clock, where
        self._stream = container.streams.video[0]
        self._packets: Iterator[Any] = container.demux(self._stream)
        self._unit_us = float(self._stream.time_base * 1_000_000)
        self._stall_us, self._most_pixels, self._errors = round(stall_s * 1e6), most_pixels, errors
        self._keyframes_when_quiet = keyframes_when_quiet
        self._next_ends = self._stream.codec_context.name in _ENDED_BY_THE_NEXT
        self._time = StreamTime()
        self._opened_us = self._good_us = clock.boot_us()
        self._came_us: int | None = None  # when the newest packet was handed over
        self._ready: deque[Frame] = deque()
        self._piled = True
        self._quiet = self._whole = False  # whole: a picture was, since it is open
        self._kept: list[Any] = []  # packets not decoded since the newest picture
        self._kept_bytes = 0
        self._faults = Repeated(_log)
        self._reading = threading.Lock()
        self._over = False
        self.lives = False
        self.refused = 0

    def read(self, timeout_s: float) -> Frame | None:
        """Waits for a packet for as long as the stream was opened for. Stalled: none came, or only damaged ones. Problem: the stream is over."""
        until_us = self._clock.boot_us() + round(timeout_s * 1e6)
        self.lives = False
        try:
            while not self._ready:
                with self._reading:
                    self._ready.extend(self._step())
                self.lives = self._quiet and self._keyframes_when_quiet and self._whole and not self._ready
                if self._clock.boot_us() >= until_us:
                    break
            return self._ready.popleft() if self._ready else None
        finally:
            if self._over:
                self._release()

    def quiet(self, quiet: bool) -> None:
        """Nothing moves and nothing is followed: where the config says so, keyframes are enough."""
        self._quiet = quiet

    def close(self) -> None:
        self._over = True
        self._release()

    def _release(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                self._container.close()
            finally:
                self._reading.release()

    def _step(self) -> list[Frame]:
        """One packet, and the pictures that are to be handed out after it."""
        packet, waited_us = self._packet()
        now_us = self._clock.boot_us()
        stamp_us = self._microseconds(packet.pts)
        if not self._next_ends:
            self._time.arrived(stamp_us, now_us)
        elif self._came_us is not None:
            self._time.arrived(stamp_us, self._came_us)
        self._came_us = now_us
        if waited_us >= _PILED_US or now_us - self._opened_us >= _PILE_LASTS_US:
            self._piled = False
        pictures = self._decode(packet)
        if pictures:
            self._good_us, self._whole = now_us, True
        elif now_us - self._good_us >= self._stall_us + (_KEPT_US if self._kept else 0):
            raise self._stalled("gave only damaged pictures for")
        return [] if self._piled else [self._frame(picture, now_us) for picture in pictures]

    def _packet(self) -> tuple[Any, int]:
        """(the next packet, for how long it was waited for)."""
        if self._over:
            raise self._ended()
        began_us = self._clock.boot_us()
        try:
            packet = next(self._packets, None)
        except self._errors:
            packet = None
        waited_us = self._clock.boot_us() - began_us
        if waited_us >= self._stall_us:
            # After a timeout FFmpeg still gives what it held back, as if it were new: it is not.
            raise self._stalled("gave no frame for")
        if packet is None or not packet.size:
            raise self._ended()
        return packet, waited_us

    def _decode(self, packet: Any) -> list[Any]:
        """The whole pictures of this packet; those of the packets that were kept are decoded for its sake alone."""
        if self._keyframes_when_quiet:
            if packet.is_keyframe:
                self._kept.clear()
            elif self._quiet and self._has_room(packet):
                self._kept.append(packet)
                return []
            for kept in self._kept:
                self._pictures(kept)
            self._kept.clear()
        return self._pictures(packet)

    def _has_room(self, packet: Any) -> bool:
        self._kept_bytes = packet.size + (self._kept_bytes if self._kept else 0)
        return self._kept_bytes <= _KEPT_BYTES and self._clock.boot_us() - self._good_us < _KEPT_US

    def _pictures(self, packet: Any) -> list[Any]:
        try:
            pictures = self._stream.codec_context.decode(packet)
        except self._errors:
            self._refuse(1)
            return []
        whole = [picture for picture in pictures if not picture.is_corrupt and not packet.is_corrupt]
        self._refuse(len(pictures) - len(whole))
        return whole

    def _refuse(self, count: int) -> None:
        self.refused += count
        if count:
            text = fact("damaged pictures come, which no model looks at", camera=self._name)
            self._faults.fault("damaged", text, self._clock.boot_us())

    def _frame(self, picture: Any, now_us: int) -> Frame:
        check_size(self._name, picture.width, picture.height, self._most_pixels, self._where)
        return Frame(at_us=self._time.of(self._microseconds(picture.pts), now_us), i420=i420(picture))

    def _microseconds(self, stamp: int | None) -> float | None:
        return None if stamp is None else stamp * self._unit_us

    def _stalled(self, what: str) -> Problem:
        return Stalled(
            where=self._where,
            what=f"{self._name} {what} {self._stall_us / 1e6:g} s",
            remedy="Check the camera and the network; it is opened anew",
        )

    def _ended(self) -> Problem:
        return Problem(
            where=self._where,
            what=f"{self._name} gives no more frames",
            remedy="Check the camera and its cable; it is opened anew",
        )


def check_size(name: str, width: int, height: int, most_pixels: int, where: str) -> None:
    """Problem: larger than this device is to decode."""
    if width * height > most_pixels:
        raise Problem(
            where=where,
            what=f"{name} is {width}x{height}, {width * height} pixels: more than max_pixels = {most_pixels}",
            remedy="Read the camera's second, smaller stream (its manual has the path), or set max_pixels higher",
        )

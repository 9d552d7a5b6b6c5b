"""The only place that asks what time it is. Rows carry (boot, microseconds on CLOCK_BOOTTIME); UTC is boot time plus an offset.

`Clock` is an argument everywhere; `SystemClock` is the real one, tests/peers/manual_clock.py the one that tests move.
"""

import threading
import time
from pathlib import Path
from typing import Protocol

import msgspec

# Before this UTC instant (2026-01-01) a system time is a board without a clock battery, not a time.
EARLIEST_UTC_US = 1_767_225_600_000_000
_STA_UNSYNC = 0x40
_STA_PPSTIME = 0x04
_TIME_ERROR = 5
# struct timex, adjtimex(2), to its `status`: modes, offset, freq, maxerror, esterror, status. All of it is 208 bytes on 64-bit machines.
_TIMEX = "@Illlli"
_TIMEX_BYTES = 512


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about UTC at one moment."""

    at_us: int  # boot time
    utc_offset_us: int  # UTC = boot time + offset
    source: str  # gnss, ptp, ntp, rtc, manual, none
    error_ms: int

    @property
    def known(self) -> bool:
        return self.source != "none"


class Clock(Protocol):
    def boot_us(self) -> int:
        """Microseconds since the kernel started, suspended time included."""

    def boot_ns(self) -> int:
        """The same in nanoseconds (the serial link's clock fit wants them)."""

    def boot_id(self) -> str:
        """The kernel's id of this boot."""

    def reading(self) -> Reading:
        """UTC as the system has it now, with its source and error."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Waits until the event is set or the time is over; True when it is set."""


class SystemClock:
    def boot_us(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def boot_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def reading(self) -> Reading:
        before_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        utc_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
        boot_us = (before_ns + time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 2000
        utc_us = utc_ns // 1000
        source, error_ms = _quality()
        if utc_us < EARLIEST_UTC_US:
            source = "none"
        return Reading(at_us=boot_us, utc_offset_us=utc_us - boot_us, source=source, error_ms=error_ms)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(max(0.0, seconds))


def _quality() -> tuple[str, int]:
    """(source, error in ms) from adjtimex(2), which needs no privilege to read."""
    import ctypes  # only here: config files are checked without it
    import struct

    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return "rtc", 16_000
    _, _, _, error_us, _, status = struct.unpack_from(_TIMEX, timex)
    error_ms = max(1, error_us // 1000)
    if state in (-1, _TIME_ERROR) or status & _STA_UNSYNC:
        return "rtc", max(error_ms, 16_000)
    return ("gnss" if status & _STA_PPSTIME else "ntp"), error_ms

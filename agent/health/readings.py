"""Temperature, throttling, memory and disk, from /sys and /proc. No program is started: `vcgencmd` is not everywhere, its file is."""

import os
from pathlib import Path

import msgspec


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """temperature_c: of the hottest sensor. throttled: bits of the Raspberry Pi's firmware. None: not to be had here."""

    temperature_c: float | None
    throttled: int | None
    memory_free_bytes: int | None
    disk_free_bytes: int | None


def read(data: Path, *, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Readings:
    """data: a folder on the disk that is meant."""
    return Readings(
        temperature_c=temperature_c(sys),
        throttled=throttled(sys),
        memory_free_bytes=memory_free_bytes(proc),
        disk_free_bytes=disk_free_bytes(data),
    )


def temperature_c(sys: Path) -> float | None:
    """Sensors that say nothing, or nonsense (one that is switched off says -273), are passed over."""
    found = [_number(path) for path in sorted(sys.glob("class/thermal/thermal_zone*/temp"))]
    sensible = [one / 1000 for one in found if one is not None and -60_000 < one < 200_000]
    return round(max(sensible), 1) if sensible else None


def throttled(sys: Path) -> int | None:
    """0x1 under-voltage, 0x2 capped, 0x4 throttled, 0x8 soft limit; the same << 16: since the start."""
    try:
        return int((sys / "devices/platform/soc/soc:firmware/get_throttled").read_text().strip(), 16)
    except (OSError, ValueError):
        return None


def memory_free_bytes(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        if name == "MemAvailable" and rest.split()[:1] and rest.split()[0].isdigit():
            return int(rest.split()[0]) * 1024
    return None


def disk_free_bytes(data: Path) -> int | None:
    try:
        found = os.statvfs(data)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None

"""A disk of its own: ext4 on a loop device, which counts what is written to it, its file system's own books included."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SECTOR = 512
_MEMORY = Path("/dev/shm")
# A service's PATH may lack them.
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


class NoDisk(Exception):
    """Why there is none here."""


class LoopDisk:
    """folder: where it is mounted."""

    def __init__(self, device: str, folder: Path) -> None:
        self.folder = folder
        self._statistics = Path("/sys/block", Path(device).name, "stat")

    def written_bytes(self) -> int:
        """What has reached the device so far."""
        return int(self._statistics.read_text().split()[6]) * _SECTOR

    def sync(self) -> None:
        """All that was written to its files reaches it, and no other disk has to."""
        _run("sync", "-f", str(self.folder))


@contextmanager
def loop_disk(folder: Path, *, megabytes: int) -> Iterator[LoopDisk]:
    """The image lies in memory where it can, so that the disk below is spared. NoDisk without root, mkfs.ext4 or loop devices."""
    if os.geteuid() != 0:
        raise NoDisk("only root can mount a disk of its own")
    home = (_MEMORY if _MEMORY.is_dir() else folder) / f"edge-agent-benchmark-{os.getpid()}"
    home.mkdir()
    image, place = home / "image", folder / "disk"
    place.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        # Without the lazy parts, which would be written while it is measured.
        _run(
            "mkfs.ext4",
            "-q",
            "-F",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0",
            str(image),
        )
        device = _run("losetup", "--find", "--show", str(image))
        try:
            _run("mount", device, str(place))
            try:
                yield LoopDisk(device, place)
            finally:
                _run("umount", str(place))
        finally:
            _run("losetup", "--detach", device)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PATH": _PATH},
        )
    except FileNotFoundError:
        raise NoDisk(f"there is no {command[0]}") from None
    except subprocess.CalledProcessError as error:
        raise NoDisk(f"{command[0]}: {error.stderr.strip()}") from None
    return done.stdout.strip()

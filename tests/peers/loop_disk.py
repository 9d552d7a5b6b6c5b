"""A disk of its own for a test: ext4 on a loop device over an image in memory. Its power can be cut, and it counts what is written to it.

with loop_disk(tmp_path, megabytes=64) as disk:       # skips the test where nothing can be mounted
    start_writing(disk.folder)
    with disk.after_power_cut() as folder:            # what a machine would find that lost its power now: mounted anew, journal replayed
        look_into(folder)
    disk.written_bytes(), disk.flushes()              # since it was made, its file system's own included

The image is copied while the workload runs; when the device was written to meanwhile, the copy is made anew: a cut is one moment. What the
file system had not written back is gone, as on a real cut; what it had, is there.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_SECTOR = 512
_TRIES = 400
_MEMORY = Path("/dev/shm")


class LoopDisk:
    def __init__(self, image: Path, device: str, folder: Path) -> None:
        self._image, self._device = image, device
        self.folder = folder
        self._cuts = 0

    def written_bytes(self) -> int:
        """What reached the device."""
        return self._statistics()[6] * _SECTOR

    def flushes(self) -> int:
        return self._statistics()[15]

    def sync(self) -> None:
        os.sync()

    def _statistics(self) -> list[int]:
        return [int(word) for word in Path(f"/sys/block/{Path(self._device).name}/stat").read_text().split()]

    def _writes(self) -> tuple[int, int, int]:
        statistics = self._statistics()
        return statistics[4], statistics[6], statistics[8]  # writes done, sectors, in flight

    @contextmanager
    def after_power_cut(self) -> Iterator[Path]:
        """The folder as it would be found. The running workload notices nothing."""
        self._cuts += 1
        copy = self._image.with_name(f"{self._image.name}.cut{self._cuts}")
        place = self.folder.with_name(f"cut{self._cuts}")
        place.mkdir()
        try:
            for _ in range(_TRIES):
                before = self._writes()
                shutil.copyfile(self._image, copy)
                if before[2] == 0 and self._writes() == before:
                    break
            else:
                pytest.fail("the disk is never at rest for as long as its copy takes")
            _run("mount", "-o", "loop", str(copy), str(place))
            try:
                yield place
            finally:
                _run("umount", str(place))
        finally:
            copy.unlink(missing_ok=True)
            with suppress(OSError):
                place.rmdir()


@contextmanager
def loop_disk(folder: Path, *, megabytes: int = 64, options: str = "") -> Iterator[LoopDisk]:
    """options: of mount, as `commit=1`. Skips the test where it cannot be had: no root, no loop devices, no mkfs."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a disk of its own")
    if shutil.which("mkfs.ext4") is None and shutil.which("mkfs.ext4", path="/sbin:/usr/sbin") is None:
        pytest.skip("no mkfs.ext4 (apt-get install e2fsprogs)")
    home = (_MEMORY if _MEMORY.is_dir() else folder) / f"edge-agent-{os.getpid()}-{folder.name}"
    home.mkdir()
    image, place = home / "image", folder / "disk"
    place.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-F", str(image))
        found = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
        if found.returncode:
            pytest.skip(f"no loop device to be had: {found.stderr.strip()}")
        device = found.stdout.strip()
        try:
            mounted = subprocess.run(
                ["mount", *(["-o", options] if options else []), device, str(place)],
                capture_output=True,
                text=True,
                check=False,
            )
            if mounted.returncode:
                pytest.skip(f"a loop device cannot be mounted: {mounted.stderr.strip()}")
            try:
                yield LoopDisk(image, device, place)
            finally:
                subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)
        finally:
            subprocess.run(["losetup", "--detach", device], check=False, capture_output=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run(*command: str) -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    subprocess.run(command, check=True, capture_output=True, timeout=60, env={**os.environ, "PATH": path})

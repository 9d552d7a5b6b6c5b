"""A disk on which every N-th write, sync or truncation below a folder fails, or a part of the database cannot be read, by a small library in C
that is preloaded. Skips the test where there is no compiler.

disk = FailingDisk(tmp_path, tmp_path / "data")
with disk.preloaded(): start_a_process()
disk.fail(every=7, number=errno.EIO)
disk.lose(4096, 6144)                   # these bytes of edge.sqlite cannot be read
disk.work()                             # nothing fails any more
disk.failed                             # how many calls failed
"""

import errno
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("failing_disk.c")
_FORM = "=qqqqqqq"


class FailingDisk:
    def __init__(self, home: Path, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (apt-get install gcc libc6-dev)")
        self.library, self._control, self._folder = home / "failing_disk.so", home / "failing_disk", folder
        self._control.write_bytes(bytes(struct.calcsize(_FORM)))
        command = [
            compiler,
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-o",
            str(self.library),
            str(SOURCE),
            "-ldl",
        ]
        subprocess.run(command, check=True, timeout=60)

    def fail(self, *, every: int, number: int = errno.EIO) -> None:
        self._write(0, every, number)

    def work(self) -> None:
        self._write(0, 0, 0)
        self._write(4, 0, 0)

    def lose(self, first: int, end: int) -> None:
        """These bytes of the database that lies there now."""
        self._write(6, (self._folder / "edge.sqlite").stat().st_ino)
        self._write(4, first, end)

    @property
    def failed(self) -> int:
        return int(struct.unpack(_FORM, self._control.read_bytes())[3])

    def _write(self, place: int, *values: int) -> None:
        descriptor = os.open(self._control, os.O_WRONLY)
        try:
            os.pwrite(descriptor, struct.pack(f"={len(values)}q", *values), place * 8)
        finally:
            os.close(descriptor)

    @contextmanager
    def preloaded(self) -> Iterator[None]:
        """Processes that are started meanwhile write to it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self.library))
            patch.setenv("FAILING_DISK", str(self._control))
            patch.setenv("FAILING_DISK_FOLDER", str(self._folder))
            yield

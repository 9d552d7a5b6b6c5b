"""A time of day that jumps under a real process, by a small library in C that is preloaded. Skips the test where there is no compiler.

clock = JumpingClock(tmp_path)
with clock.preloaded(): agent = Agent(config)
clock.jump(365 * 86_400)              # from now on the process's time of day is a year ahead; boot time and waits are as they are
"""

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "jumping_clock.c"
DAY_S = 86_400
YEAR_S = 365 * DAY_S


class JumpingClock:
    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (apt-get install gcc libc6-dev)")
        self.library = folder / "jumping_clock.so"
        self._offset = folder / "jumping_clock"
        self.jump(0)
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

    def jump(self, offset_s: int) -> None:
        """The time of day is so far from the true one."""
        descriptor = os.open(self._offset, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(descriptor, struct.pack("=q", offset_s), 0)
        finally:
            os.close(descriptor)

    @contextmanager
    def preloaded(self) -> Iterator[None]:
        """Processes that are started meanwhile have this clock."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(self.library))
            patch.setenv("JUMPING_CLOCK", str(self._offset))
            yield

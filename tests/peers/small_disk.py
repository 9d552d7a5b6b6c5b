"""A disk of 8 MB, and another program that fills it. Needs root; a test that may not mount is skipped."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SIZE_BYTES = 8 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """The folder, which is made, is the disk until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("mount") is None:
        pytest.skip("mount is not installed (apt-get install --no-install-recommends mount)")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "small", folder]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(path: Path) -> None:
    """To the last byte, as another program does."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass

"""The firmware, built once a test run."""

import ctypes
import shutil
from pathlib import Path

import pytest

from firmware_bridge.build import build_native


@pytest.fixture(scope="session")
def firmware_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("firmware")


@pytest.fixture(scope="session")
def native(firmware_folder: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    return build_native(firmware_folder)


@pytest.fixture(scope="session")
def library(firmware_folder: Path) -> ctypes.CDLL:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    return ctypes.CDLL(str(build_native(firmware_folder, "shared")))

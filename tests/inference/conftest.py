"""The stub delegate, built once, and the software GPU."""

from pathlib import Path

import pytest
from peers import stub_delegate, swiftshader


@pytest.fixture(scope="session")
def stub_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stub_delegate.build(tmp_path_factory.mktemp("stub"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's children find a GPU."""
    monkeypatch.setenv("VK_ICD_FILENAMES", str(swiftshader.driver()))

"""SwiftShader, a Vulkan driver that computes on the CPU: what the GPU path is tested on. tools/packages.sh brings it.

monkeypatch.setenv("VK_ICD_FILENAMES", str(driver()))
"""

from pathlib import Path

import pytest

from agent.inference.probe import find_library

_FOLDERS = (Path("/var/cache/edge-agent-tests/swiftshader"), Path("/usr/lib/chromium"))


def driver() -> Path:
    """The driver's JSON file; skips the test where it, or Vulkan's loader, is absent."""
    if find_library("libvulkan.so.1") is None:
        pytest.skip("no Vulkan loader: libvulkan1 is not installed (tools/packages.sh)")
    for folder in _FOLDERS:
        if (folder / "vk_swiftshader_icd.json").is_file() and (folder / "libvk_swiftshader.so").is_file():
            return folder / "vk_swiftshader_icd.json"
    pytest.skip("no software Vulkan driver: SwiftShader is not there (tools/packages.sh)")

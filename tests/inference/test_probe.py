"""What hardware a machine seems to have, on machines made of a few files."""

import shutil
from pathlib import Path

import pytest

from agent.inference import probe
from agent.inference.model import Delegate

VULKAN = "usr/lib/libvulkan.so.1"


def machine(root: Path, *files: str) -> Path:
    for file in files:
        path, _, content = file.partition("=")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return root


@pytest.fixture(autouse=True)
def no_drivers_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VK_ICD_FILENAMES", "VK_DRIVER_FILES", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("files", "found", "why", "remedy"),
    [
        ((), "", "Vulkan's loader libvulkan.so.1 is not installed", "apt install libvulkan1 mesa-vulkan-drivers"),
        ((VULKAN,), "", "no Vulkan driver is installed", "apt install mesa-vulkan-drivers, or the vendor's driver"),
        (
            (VULKAN, "usr/share/vulkan/icd.d/broadcom_icd.json"),
            "broadcom_icd",
            "the machine has no GPU device (/dev/dri/renderD128)",
            "Load the GPU's kernel driver",
        ),
        (
            (VULKAN, "usr/share/vulkan/icd.d/lvp_icd.json", "dev/dri/renderD128"),
            "lvp_icd",
            "the only Vulkan driver computes on the CPU",
            "Install the GPU's own Vulkan driver",
        ),
        (
            (VULKAN, "usr/share/vulkan/icd.d/lvp_icd.json", "etc/vulkan/icd.d/v3d.json", "dev/dri/renderD128"),
            "v3d, lvp_icd",
            None,
            None,
        ),
    ],
)
def test_a_gpu(tmp_path: Path, files: tuple[str, ...], found: str, why: str | None, remedy: str | None) -> None:
    finding = probe.gpu(machine(tmp_path, *files))
    assert (finding.why, finding.remedy) == (why, remedy)
    assert set(finding.found.split(", ")) == set(found.split(", "))


def test_a_driver_that_is_named_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path, VULKAN, "own/lvp.json={}")
    monkeypatch.setenv("VK_ICD_FILENAMES", str(tmp_path / "own/lvp.json"))
    first = probe.gpu(tmp_path)
    assert (first.found, first.why) == ("lvp", None)
    (tmp_path / "own/lvp.json").write_text('{"ICD": {}}')
    assert probe.gpu(tmp_path).identity != first.identity


def test_an_edge_tpu(tmp_path: Path) -> None:
    finding = probe.edgetpu(tmp_path)
    assert finding.why == "libedgetpu.so.1 is not installed"
    assert "libedgetpu1-std" in str(finding.remedy)
    usb = "sys/bus/usb/devices/1-1"
    machine(tmp_path, f"{usb}/idVendor=18d1\n", f"{usb}/idProduct=9302\n")
    assert probe.edgetpu(tmp_path).found == "Coral USB 18d1:9302"
    machine(tmp_path, "usr/lib/libedgetpu.so.1")
    assert probe.edgetpu(tmp_path).why is None
    shutil.rmtree(tmp_path / "sys")
    assert probe.edgetpu(tmp_path).why == "no Coral device is plugged in"
    machine(tmp_path, "dev/apex_0")
    assert probe.edgetpu(tmp_path).found.endswith("libedgetpu.so.1, Coral PCIe /dev/apex_0")


def test_a_vendor_s_library(tmp_path: Path, stub_library: Path) -> None:
    def found(library: Path | str, **options: int) -> probe.Finding:
        return probe.external("npu", Delegate(library=str(library), options=options), tmp_path)

    assert found("libnpu.so").why == "libnpu.so is not installed"
    assert found("libnpu.so").remedy == "Install the vendor's delegate, or correct delegate.npu.library"
    assert (found(stub_library).found, found(stub_library).why) == (str(stub_library), None)
    assert found(stub_library).identity != found(stub_library, cores=2).identity
    other = bytearray(stub_library.read_bytes())
    other[18:20] = b"\x08\x00"  # MIPS
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/libnpu.so").write_bytes(other)
    assert str(found("libnpu.so").why).endswith("libnpu.so is built for another processor")
    (tmp_path / "usr/lib/libnpu.so").write_text("a text")
    assert str(found("libnpu.so").why).endswith("libnpu.so is no shared library")


def test_libraries_are_found_as_the_loader_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path, "etc/ld.so.conf.d/vendor.conf=# NPU\n/opt/npu/lib\n", "opt/npu/lib/libnpu.so", "more/libx.so")
    assert probe.find_library("libnpu.so", tmp_path) == tmp_path / "opt/npu/lib/libnpu.so"
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/none:{tmp_path}/more")
    assert probe.find_library("libx.so", tmp_path) == tmp_path / "more/libx.so"
    assert probe.find_library("libc.so.6") is not None


def test_the_machine_is_named_the_same_each_time() -> None:
    assert probe.machine() == probe.machine()
    assert probe.machine().count("|") >= 2

"""What hardware for models this machine seems to have, found without loading any driver: whether it works only a trial shows."""

import hashlib
import importlib.util
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.inference.model import Delegate

EDGE_TPU_LIBRARY = "libedgetpu.so.1"
_EDGE_TPU_USB = ("1a6e:089a", "18d1:9302")
_ACCELERATORS = ("libLiteRtWebGpuAccelerator.so", "libLiteRtGpuAccelerator.so")
_SOFTWARE = ("swiftshader", "lvp")
_GPU_NODES = ("dev/dri/renderD*", "dev/nvidia[0-9]*", "dev/mali*", "dev/kgsl-3d0", "dev/dxg")
_VULKAN_VARIABLES = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
_ICD_FOLDERS = (
    "etc/vulkan/icd.d",
    "usr/local/etc/vulkan/icd.d",
    "usr/share/vulkan/icd.d",
    "usr/local/share/vulkan/icd.d",
)
_LIBRARY_FOLDERS = ("lib", "usr/lib", "usr/local/lib", "lib64", "usr/lib64")
_ELF_CLASS, _ELF_MACHINE = slice(4, 5), slice(18, 20)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """found: what there is (file, version, device), "" for nothing. why: it is not worth a trial, in words. remedy: what to install or do.

    identity: changes whenever its driver does. library: to be loaded, where it is one.
    """

    name: str
    found: str = ""
    why: str | None = None
    remedy: str | None = None
    identity: str = ""
    library: str | None = None


def gpu(root: Path = Path("/")) -> Finding:
    accelerator = _accelerator()
    if accelerator is None:
        return Finding(
            name="gpu", why="this build of LiteRT has no GPU accelerator", remedy="pip install --upgrade ai-edge-litert"
        )
    if find_library("libvulkan.so.1", root) is None:
        return Finding(
            name="gpu",
            why="Vulkan's loader libvulkan.so.1 is not installed",
            remedy="apt install libvulkan1 mesa-vulkan-drivers",
        )
    named = [os.environ[name] for name in _VULKAN_VARIABLES if os.environ.get(name)]
    drivers = [Path(path) for path in named[0].split(":")] if named else sorted(_drivers(root))
    drivers = [path for path in drivers if path.is_file()]
    found = ", ".join(path.name.removesuffix(".json") for path in drivers)
    identity = _digest(accelerator, *drivers)
    if not drivers:
        return Finding(
            name="gpu",
            why="no Vulkan driver is installed",
            remedy="apt install mesa-vulkan-drivers, or the vendor's driver",
        )
    if named:  # whoever names a driver wants it
        return Finding(name="gpu", found=found, identity=identity)
    nodes = [node for pattern in _GPU_NODES for node in root.glob(pattern)]
    if not nodes:
        return Finding(
            name="gpu",
            found=found,
            identity=identity,
            why="the machine has no GPU device (/dev/dri/renderD128)",
            remedy="Load the GPU's kernel driver",
        )
    if not any(os.access(node, os.R_OK | os.W_OK) for node in nodes):
        return Finding(
            name="gpu",
            found=found,
            identity=identity,
            why=f"this user may not open {nodes[0]}",
            remedy="Add the user to the groups render and video",
        )
    if all(any(word in path.name for word in _SOFTWARE) for path in drivers):
        return Finding(
            name="gpu",
            found=found,
            identity=identity,
            why="the only Vulkan driver computes on the CPU",
            remedy="Install the GPU's own Vulkan driver",
        )
    return Finding(name="gpu", found=found, identity=identity)


def edgetpu(root: Path = Path("/")) -> Finding:
    path, device = find_library(EDGE_TPU_LIBRARY, root), _coral(root)
    if path is None:
        return Finding(
            name="edgetpu",
            found=device,
            why=f"{EDGE_TPU_LIBRARY} is not installed",
            remedy="Install libedgetpu1-std (coral.ai/software has the package source)",
        )
    found = f"{path}, {device}" if device else str(path)
    return Finding(
        name="edgetpu",
        found=found,
        why=None if device else "no Coral device is plugged in",
        remedy=None if device else "Plug one in; lsusb shows 1a6e:089a or 18d1:9302, a PCIe one is /dev/apex_0",
        identity=_digest(path),
        library=EDGE_TPU_LIBRARY,
    )


def external(name: str, delegate: Delegate, root: Path = Path("/")) -> Finding:
    path = find_library(delegate.library, root)
    if path is None:
        return Finding(
            name=name,
            why=f"{delegate.library} is not installed",
            remedy=f"Install the vendor's delegate, or correct delegate.{name}.library",
            library=delegate.library,
        )
    why = _unfit(path)
    options = msgspec.json.encode(delegate.options, order="sorted").decode()
    return Finding(
        name=name,
        found=str(path),
        why=why,
        remedy=f"Install the build for {platform.machine()}" if why else None,
        identity=f"{_digest(path)} {options}",
        library=delegate.library,
    )


def machine() -> str:
    """What measured times depend on beside drivers: board, processor, kernel."""
    parts = [platform.machine(), str(os.cpu_count()), os.uname().release]
    for path in ("/proc/device-tree/model", "/sys/class/dmi/id/product_name"):
        try:
            parts.append(Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n "))
        except OSError:
            continue
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    parts += [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model", "Hardware"))][
        :1
    ]
    return " | ".join(parts)


def find_library(library: str, root: Path = Path("/")) -> Path | None:
    """Where the system's loader would find it, as far as its configuration says. None: nowhere."""
    if "/" in library:
        return Path(library) if Path(library).is_file() else None
    return next((folder / library for folder in _library_folders(root) if (folder / library).is_file()), None)


def _library_folders(root: Path) -> Iterator[Path]:
    yield from (Path(path) for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path)
    for file in (root / "etc/ld.so.conf", *sorted((root / "etc/ld.so.conf.d").glob("*.conf"))):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        yield from (root / line.strip().lstrip("/") for line in lines if line.startswith("/"))
    yield from (root / folder for folder in _LIBRARY_FOLDERS)


def _drivers(root: Path) -> Iterator[Path]:
    folders = [root / folder for folder in _ICD_FOLDERS]
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")  # noqa: PTH111 - without a home it stays as it is
    for folder in (*folders, Path(home) / "vulkan/icd.d"):
        yield from folder.glob("*.json")


def _accelerator() -> Path | None:
    spec = importlib.util.find_spec("ai_edge_litert")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    paths = (Path(folder) / name for folder in folders for name in _ACCELERATORS)
    return next((path for path in paths if path.is_file()), None)


def _coral(root: Path) -> str:
    """In words, "" for none."""
    node = next(root.glob("dev/apex_*"), None)
    if node is not None:
        return f"Coral PCIe /dev/{node.name}"
    for device in sorted(root.glob("sys/bus/usb/devices/*")):
        try:
            number = f"{(device / 'idVendor').read_text().strip()}:{(device / 'idProduct').read_text().strip()}"
        except OSError:
            continue
        if number in _EDGE_TPU_USB:
            return f"Coral USB {number}"
    return ""


def _unfit(path: Path) -> str | None:
    """Why no process of this machine's kind can load it."""
    with path.open("rb") as file, Path("/proc/self/exe").open("rb") as own:
        head, mine = file.read(20), own.read(20)
    if not head.startswith(b"\x7fELF"):
        return f"{path} is no shared library"
    if head[_ELF_CLASS] != mine[_ELF_CLASS] or head[_ELF_MACHINE] != mine[_ELF_MACHINE]:
        return f"{path} is built for another processor"
    return None


def _digest(*paths: Path) -> str:
    """Of small files the content, of libraries size and time: they are tens of megabytes."""
    found = hashlib.sha256()
    for path in paths:
        found.update(str(path).encode())
        try:
            state = path.stat()
            found.update(
                path.read_bytes() if state.st_size < 1 << 16 else f"{state.st_size} {state.st_mtime_ns}".encode()
            )
        except OSError:
            found.update(b"unreadable")
    return found.hexdigest()[:16]

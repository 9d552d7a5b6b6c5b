"""Builds the example firmware and runs it: in QEMU where that and a compiler for Cortex-M3 are, else as a program of this machine.

Compilers, in order: arm-none-eabi-gcc or `ziglang` for QEMU's board; cc or `ziglang` for this machine. `ziglang` (PyPI) needs no root.
"""

import importlib.util
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from firmware_bridge.errors import LinkError

SOURCE = Path(__file__).parent / "firmware"
_BUILD_LIMIT_S = 120.0
_START_LIMIT_S = 15.0
_ZIG_ARM = "cc -target thumb-freestanding-eabi -mcpu=cortex_m3"


class Firmware(msgspec.Struct, frozen=True, kw_only=True):
    """A running firmware. line: which one it is, for people."""

    port: str
    kind: str  # qemu, native
    line: str
    process: int


def build_native(folder: Path, target: str = "native") -> Path:
    """folder/native, the firmware as a program; or folder/libfirmware.so with target "shared". LinkError without a compiler."""
    compiler = _host_compiler()
    if compiler is None:
        raise LinkError(
            where="firmware",
            what="there is no C compiler on this machine",
            remedy=f"Install gcc and libc6-dev, or, without root, `{sys.executable} -m pip install ziglang`",
        )
    _make(folder, target, f"CC={compiler}")
    return folder / ("native" if target == "native" else "libfirmware.so")


def build_arm(folder: Path, *, fault_from_s: int | None = None, seed: int = 1) -> Path:
    """The image for QEMU's lm3s6965evb. LinkError without a compiler for it."""
    compiler = _arm_compiler()
    if compiler is None:
        raise LinkError(
            where="firmware",
            what="there is no compiler for Cortex-M3",
            remedy="apt-get install --no-install-recommends gcc-arm-none-eabi, or, without root, "
            f"`{sys.executable} -m pip install ziglang`",
        )
    # The options are compiled in: each set of them is an image of its own.
    folder = folder / f"seed-{seed}-fault-{'never' if fault_from_s is None else fault_from_s}"
    options = [f"ARM_CC={compiler}", f"SEED={seed}"]
    if "ziglang" in compiler:
        options.append("ARM_TARGET=")
    if fault_from_s is not None:
        options.append(f"FAULT_FROM_S={fault_from_s}")
    _make(folder, "arm", *options)
    return folder / "lm3s6965evb.elf"


def can_run_qemu() -> bool:
    return shutil.which("qemu-system-arm") is not None and _arm_compiler() is not None


def can_build() -> bool:
    """Whether the firmware can run here at all, on the emulated board or as a program."""
    importlib.invalidate_caches()  # a compiler may just have been installed
    return _host_compiler() is not None or can_run_qemu()


@contextmanager
def run_firmware(
    folder: Path, *, fault_from_s: int | None = None, seed: int = 1, kind: str | None = None
) -> Iterator[Firmware]:
    """Builds in `folder`, starts, gives the port, ends it. kind: "qemu" or "native"; None takes QEMU where it can. LinkError when neither can."""
    kind = kind or ("qemu" if can_run_qemu() else "native")
    if kind == "qemu":
        image = build_arm(folder, fault_from_s=fault_from_s, seed=seed)
        command = [
            "qemu-system-arm",
            "-M",
            "lm3s6965evb",
            "-kernel",
            str(image),
            "-monitor",
            "none",
            "-nographic",
            "-serial",
            "pty",
        ]
        line = f"firmware: lm3s6965evb in qemu-system-arm {_qemu_version()}"
    else:
        command = [str(build_native(folder)), "--seed", str(seed)]
        command += [] if fault_from_s is None else ["--fault-from", str(fault_from_s)]
        line = (
            "firmware: the same C, as a program of this machine (no qemu-system-arm with a compiler for Cortex-M3 here)"
        )
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield Firmware(port=_port(process), kind=kind, line=line, process=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _port(process: "subprocess.Popen[bytes]") -> str:
    """The name of the pty in the first lines that it prints."""
    assert process.stdout is not None
    said = b""
    while b"\n" not in said or b"/dev/" not in said:
        ready, _, _ = select.select([process.stdout], [], [], _START_LIMIT_S)
        data = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not data:
            raise LinkError(
                where="firmware",
                what=f"it did not start: {said.decode(errors='replace').strip() or 'no word of it'}",
                remedy="Start it by hand to see why: firmware_bridge/firmware/README.md",
            )
        said += data
    return next(word for word in said.decode(errors="replace").split() if word.startswith("/dev/"))


def _host_compiler() -> str | None:
    return shutil.which("cc") or (f"{sys.executable} -m ziglang cc" if importlib.util.find_spec("ziglang") else None)


def _arm_compiler() -> str | None:
    gcc = shutil.which("arm-none-eabi-gcc")
    return gcc or (f"{sys.executable} -m ziglang {_ZIG_ARM}" if importlib.util.find_spec("ziglang") else None)


def _qemu_version() -> str:
    said = _run(["qemu-system-arm", "--version"])
    words = said.split()
    return words[words.index("version") + 1] if "version" in words else "(of unknown version)"


def _make(folder: Path, target: str, *options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _run(["make", "-s", "-C", str(SOURCE), target, f"BUILD={folder.resolve()}", *options])


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_LIMIT_S, check=True)
    except FileNotFoundError as error:
        raise LinkError(where="firmware", what=f"{command[0]} is not there", remedy=f"Install {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        raise LinkError(
            where="firmware",
            what=f"{command[0]} did not end in {_BUILD_LIMIT_S:g} s",
            remedy="Try again on a machine less busy",
        ) from error
    except subprocess.CalledProcessError as error:
        raise LinkError(
            where="firmware",
            what=f"{command[0]} failed: {error.stderr.strip()[-2000:]}",
            remedy="Look at the first error it names",
        ) from error
    return done.stdout

"""The firmware itself, in QEMU and as a program of this machine, read over its pty. Nothing here depends on how fast either runs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agent.clock import SystemClock
from firmware_bridge.build import Firmware, can_run_qemu, run_firmware
from firmware_bridge.errors import LinkError
from firmware_bridge.framing import Receiver
from firmware_bridge.link import Chunk, Losses, Session
from firmware_bridge.ports import Port, open_port
from firmware_bridge.requests import Requests

PATIENCE_S = 30.0


class Host:
    """Reads a port until something holds."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.clock = SystemClock()
        self.requests = Requests()
        self.receiver = Receiver()
        self.session = Session()
        self.chunks: list[Chunk] = []

    def until(self, holds: Callable[[], bool]) -> None:
        deadline_ns = self.clock.boot_ns() + int(PATIENCE_S * 1e9)
        while not holds():
            now_ns = self.clock.boot_ns()
            assert now_ns < deadline_ns, f"not in {PATIENCE_S} s: {len(self.chunks)} chunks"
            request = self.requests.due(now_ns)
            if request is not None:
                self.port.write(request)
                self.session.wrote(now_ns, request)
            data = self.port.read(0.05)
            now_ns = self.clock.boot_ns()
            self.requests.take(self.receiver.feed(data), now_ns)
            self.chunks += self.session.read(now_ns, data)

    def samples(self) -> int:
        return sum(chunk.count for chunk in self.chunks)


@pytest.fixture(params=["qemu", "native"])
def firmware(request: pytest.FixtureRequest, firmware_folder: Path) -> "Firmware":
    if request.param == "qemu" and not can_run_qemu():
        pytest.skip("needs qemu-system-arm and gcc-arm-none-eabi")
    if request.param == "native":
        request.getfixturevalue("native")
    with run_firmware(firmware_folder, kind=request.param, fault_from_s=1, seed=5) as running:
        yield running


def test_end_to_end(firmware: Firmware, native: Path) -> None:
    assert firmware.line.startswith("firmware: ")
    with open_port(firmware.port, 115_200) as port:
        host = Host(port)
        host.until(
            lambda: host.samples() >= 2_000 and host.session._clock is not None and host.session._clock.answers >= 2
        )
    description = host.requests.description
    assert description is not None
    assert description.fw == "accelerometer 1.0"
    assert host.session.losses == Losses(device=0, line=0)
    assert host.session.receiver.bad_crc == host.session.receiver.bad_cobs == 0
    assert host.session.unknown == 0
    tick = host.chunks[0].tick
    for chunk in host.chunks:
        assert chunk.tick == tick
        tick += chunk.count * 1000
    # Sample for sample what the same C prints on this machine: one generator, on every processor.
    first = host.chunks[0].tick // 1000 - 1
    came = np.frombuffer(b"".join(chunk.data for chunk in host.chunks), "<i2").reshape(-1, 3)
    options = ["--samples", str(first + len(came)), "--seed", "5", "--fault-from", "1"]
    printed = subprocess.run([native, *options], capture_output=True, check=True, timeout=60).stdout
    assert (np.frombuffer(printed, "<i2").reshape(-1, 3)[first:] == came).all()


def test_a_host_that_stalls_makes_the_device_drop_and_count(native: Path, firmware_folder: Path) -> None:
    with run_firmware(firmware_folder, kind="native") as firmware, open_port(firmware.port, 921_600) as port:
        host = Host(port)
        host.until(lambda: host.samples() >= 100)
        # The kernel holds about 12 kB for a pty, the firmware 1 kB: 3 s of samples are 19 kB.
        subprocess.run(["sleep", "3"], check=True, timeout=PATIENCE_S)
        host.until(lambda: host.session.losses.device > 0 and host.session.losses.line == 0)
        losses = host.session.losses
        assert losses.device == sum(chunk.lost for chunk in host.chunks)
        assert losses.device % 20 == 0
        ticks = host.chunks[-1].tick + host.chunks[-1].count * 1000 - host.chunks[0].tick
        assert ticks == 1000 * (host.samples() + losses.device)


def test_a_device_that_dies_is_an_unplugged_port(native: Path, firmware_folder: Path) -> None:
    with run_firmware(firmware_folder, kind="native") as firmware:
        opened = open_port(firmware.port, 921_600)
        port = opened.__enter__()
        host = Host(port)
        host.until(lambda: host.samples() > 0)
    with pytest.raises(LinkError, match="the device is gone: unplugged or without power"):
        host.until(lambda: False)
    opened.__exit__(None, None, None)
    with pytest.raises(LinkError, match="no such port"), open_port(firmware.port, 921_600):
        pass


def test_a_firmware_that_cannot_start_says_why(
    firmware_folder: Path, native: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        pytest.raises(LinkError, match=r"no C compiler|make is not there"),
        run_firmware(firmware_folder, kind="native"),
    ):
        pass

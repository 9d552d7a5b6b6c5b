"""Serial ports that are absent, busy, silent or full of garbage; devices that come later, vanish and come again."""

import contextlib
import fcntl
import os
import random
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from peers.tiny_models import one_op
from peers.troubled import Troubled, check_one_problem, model, problems, sensor, status, troubled, write

from firmware_bridge.build import run_firmware
from firmware_bridge.errors import LinkError

# lane: (what is wrong, remedy); its port is given by `ports`
BAD = {
    "absent": ("usb-nothing-here: there is no such port", "Is the device plugged in?"),
    "file": ("file: not a serial port that can be set up", "Name the port of the device"),
    "busy": ("another program holds the port", "End it (`fuser` names it)"),
    "garbage": ("sends bytes, but no frame of the link", "Is 921600 the firmware's baud"),
    "silent": ("no sample for 1 s, not one byte", "Check the device's power, cable and baud"),
}


@contextmanager
def pty() -> Iterator[tuple[int, str]]:
    """(the device's end, the port's name)"""
    device, port = os.openpty()
    tty.setraw(port)
    try:
        yield device, os.ttyname(port)
    finally:
        os.close(device)
        os.close(port)


@contextmanager
def held(port: str) -> Iterator[None]:
    """Opened by another program that keeps it for itself."""
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def babbling(device: int) -> Iterator[None]:
    """Random bytes, at most 20 kB a second; whatever the host says is thrown away."""
    rng, stop = random.Random(5), threading.Event()

    def babble() -> None:
        while not stop.wait(0.01):
            readable, writable, _ = select.select([device], [device], [], 0)
            with contextlib.suppress(OSError):
                if readable:
                    os.read(device, 4096)
                if writable:
                    os.write(device, rng.randbytes(200))

    thread = threading.Thread(target=babble)
    os.set_blocking(device, False)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    folder = tmp_path_factory.mktemp("ports")
    (folder / "file").write_text("no port")
    with ExitStack() as stack:
        device, garbage = stack.enter_context(pty())
        stack.enter_context(babbling(device))
        _, busy = stack.enter_context(pty())
        stack.enter_context(held(busy))
        _, silent = stack.enter_context(pty())
        lanes = [
            sensor("absent", "/dev/serial/by-id/usb-nothing-here"),
            sensor("file", str(folder / "file")),
            sensor("busy", busy),
            sensor("garbage", garbage),
            sensor("silent", silent, "stall_s = 1.0"),
        ]
        with troubled(write(folder, *lanes)) as agent:
            for lane, (what, _) in BAD.items():
                agent.wait_for_problem(lane, what)
            yield agent


@pytest.mark.parametrize("lane", BAD)
def test_a_port_that_gives_no_samples_is_named_once(bad: Troubled, lane: str) -> None:
    what, remedy = BAD[lane]
    check_one_problem(bad.text, f"lane.{lane}.source", what, remedy)
    assert remedy in bad.lane(lane)["problem"]
    assert "gives records again" not in bad.text, "bytes that are no samples are not the end of a problem"
    assert bad.results(lane) == 0


def test_a_lane_with_pictures_goes_on_beside_them_and_status_names_each(bad: Troubled) -> None:
    bad.check_goes_on("yard")
    code, found, text = status(bad.config)
    assert code == 1, "lanes are blind"
    assert found["lanes"]["yard"]["state"] == "running"
    for lane, (what, remedy) in BAD.items():
        assert found["lanes"][lane]["blind"]
        assert what in text
        assert remedy in text


def test_a_device_that_comes_later_vanishes_and_comes_again(tmp_path: Path) -> None:
    port = tmp_path / "port"
    narrow = tmp_path / "narrow.tflite"
    narrow.write_bytes(one_op("RELU", (1, 16)))  # the features are 64 bands
    pump = sensor("pump", str(port)) + model("pump", "narrow", narrow, 'decoder = "anomaly"\nscore = 1.0')
    with ExitStack() as devices, troubled(write(tmp_path, pump)) as agent:
        agent.wait_for_problem("pump", "there is no such port")
        try:
            first = devices.enter_context(ExitStack())
            port.symlink_to(first.enter_context(run_firmware(tmp_path / "build", kind="native")).port)
        except LinkError as error:
            pytest.skip(str(error))
        agent.check_goes_on("pump")
        first.close()
        agent.wait_until(lambda: "port: " in (agent.lane("pump")["problem"] or ""), "the device's end")
        agent.check_goes_on("yard")
        second = devices.enter_context(run_firmware(tmp_path / "build", kind="native"))
        port.unlink()
        port.symlink_to(second.port)
        agent.check_goes_on("pump")
        text = status(agent.config)[2]
    said = problems(agent.text, "lane.pump.source")
    assert [line.split("/port: ")[1].split(".")[0] for line in said] == [
        "there is no such port",
        "the device is gone: unplugged or without power",
        "there is no such port",
    ]
    assert agent.text.count("lane.pump.source: gives records again") == 2
    # Its other model fails at each window, which is one problem.
    misfit = ("1×16 float32 (16 numbers), a window of this lane is 3×64", "Set window.length_s")
    check_one_problem(agent.text, "lane.pump.model.narrow", *misfit)
    assert misfit[0] in text

"""Ports: what a person is told when one cannot be had. A pty stands for the port."""

import os
import pty
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.errors import LinkError
from firmware_bridge.ports import open_port


@pytest.fixture
def line() -> Iterator[tuple[int, str]]:
    """(the device's end, the port's name)"""
    device, port = pty.openpty()
    tty.setraw(port)
    yield device, os.ttyname(port)
    os.close(port)
    try:
        os.close(device)
    except OSError:
        pass  # the test unplugged it


def refusal(path: str, baud: int = 115_200) -> LinkError:
    with pytest.raises(LinkError) as caught, open_port(path, baud):
        pass
    assert caught.value.where == path
    return caught.value


def test_bytes_both_ways_and_old_input_is_discarded(line: tuple[int, str]) -> None:
    device, name = line
    os.write(device, b"old")
    with open_port(name, 115_200) as port:
        assert port.read(0) == b""
        os.write(device, b"\x00\x11\x13\r\n\xff")  # nothing of it is translated or flow control
        assert port.read(1) == b"\x00\x11\x13\r\n\xff"
        port.write(b"\x00\x11\x13\r\n\xff")
        assert os.read(device, 100) == b"\x00\x11\x13\r\n\xff"


def test_absent(tmp_path: Path) -> None:
    error = refusal(str(tmp_path / "ttyUSB0"))
    assert error.what == "there is no such port"
    assert "/dev/serial/by-id" in error.remedy


def test_busy(line: tuple[int, str]) -> None:
    with open_port(line[1], 115_200):
        assert refusal(line[1]).what == "another program holds the port"
    with open_port(line[1], 115_200):
        pass  # free again


def test_not_permitted(line: tuple[int, str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open every port")
    Path(line[1]).chmod(0)
    assert refusal(line[1]).what == "no permission to open the port"


def test_not_a_port(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert "not a serial port" in refusal(str(file)).what


def test_a_baud_that_is_none(line: tuple[int, str]) -> None:
    assert "cannot do -1 baud" in refusal(line[1], -1).what


def test_unplugged_while_reading_and_writing(line: tuple[int, str]) -> None:
    device, name = line
    with open_port(name, 115_200) as port:
        os.close(device)
        with pytest.raises(LinkError, match="gone"):
            port.read(1)
        with pytest.raises(LinkError, match="gone"):
            port.write(b"x")

"""A good config in a folder of its own, and what `check` says of a text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.config.read import examine

GOOD = """\
version = 1
[device]
site = "north-farm"
name = "gate-07"
data = "data"
[lane.yard.source]
kind = "camera"
url = "rtsp://10.0.0.7/stream1"
[lane.yard.model.faces]
path = "faces.tflite"
[lane.yard.zone.dock]
polygon = [[0.1, 0.2], [0.5, 0.2], [0.5, 0.9]]
[lane.pump.source]
kind = "serial_sensor"
port = "/dev/serial/by-id/usb-one"
[lane.pump.window]
length_s = 1.024
hop_s = 0.512
[lane.pump.model.bearing]
path = "bearing.tflite"
[rule.somebody]
lane = "yard"
label = "face"
[mqtt]
url = "mqtts://broker.example.com:8883"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(text, name="yard.toml", old=new…) → the file. Each (old, new) pair must be in the text: a test cannot pass by missing its place."""

    def written(text: str = GOOD, name: str = "yard.toml", *changes: tuple[str, str]) -> Path:
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def problems(write: Callable[..., Path], tmp_path: Path) -> Callable[..., list[str]]:
    """problems((old, new)…) → what is wrong with the good config after these changes, a line each."""

    def found(
        *changes: tuple[str, str], on_this_machine: bool = False, environment: dict[str, str] | None = None
    ) -> list[str]:
        path = write(GOOD, "yard.toml", *changes)
        _, all_of_them = examine(
            path, environment=environment or {}, root=tmp_path / "root", on_this_machine=on_this_machine
        )
        return [str(problem) for problem in all_of_them]

    return found

"""The real agent in a process of its own, over a folder of small pictures, as a technician would start it.

folder = scene(tmp_path)                              # pictures that the frame classifier tells apart
config = write_config(tmp_path, "gate-07", folder, broker.port)
with agent(config, tmp_path / "report") as process: ...
acknowledged(tmp_path / "report")                     # what --report said was on the medium
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).parent.parent.parent
VIEW_MODEL = PROJECT / "models" / "view-int8.tflite"
END_LIMIT_S = 20.0

_CONFIG = """version = 1
[device]
site = "test"
name = "{name}"
data = "{data}"
{lanes}
[store]
max_loss_s = {max_loss_s}
keep_free = "1 MB"
"""
_LANE = """
[lane.{lane}]
summaries = ["s1", "s2"]
[lane.{lane}.source]
kind = "images"
path = "{pictures}"
rate_hz = {rate_hz}
loop = {loop}
pace = "{pace}"
[lane.{lane}.model.view]
path = "{model}"
[lane.{lane}.picture]
watch = []
[rule.{lane}-dark]
lane = "{lane}"
label = "night"
clear_s = 0.3
"""


def scene(folder: Path, count: int = 24) -> Path:
    """Pictures by day, at night and with the lens covered, in turns of four."""
    import cv2

    folder = folder / "pictures"
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    for number in range(count):
        picture = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        picture = cv2.resize(picture, (160, 120), interpolation=cv2.INTER_NEAREST)
        if number // 4 % 2:
            picture = (picture * 0.06).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:04}.png"), picture)
    return folder


def write_config(folder: Path, name: str, pictures: Path, port: int | None = None, *, lanes: tuple[str, ...] = ("yard", "door"),
                 rate_hz: float = 20.0, loop: bool = True, pace: str = "live", max_loss_s: float = 0.3, mqtt: str = "",
                 model: Path = VIEW_MODEL) -> Path:  # fmt: skip
    folder = folder / name
    folder.mkdir(exist_ok=True)
    tables = "".join(
        _LANE.format(lane=lane, pictures=pictures, model=model, rate_hz=rate_hz, loop=str(loop).lower(), pace=pace)
        for lane in lanes
    )
    text = _CONFIG.format(name=name, data=folder / "data", lanes=tables, max_loss_s=max_loss_s)
    if port is not None:
        text += f'[mqtt]\nurl = "mqtt://127.0.0.1:{port}"\nkeepalive_s = 5\n{mqtt}'
    path = folder / "edge-agent.toml"
    path.write_text(text)
    return path


class Agent:
    def __init__(self, config: Path, *arguments: str, report: Path | None = None, command: str = "run") -> None:
        self.log = config.parent / "agent.log"
        extra = ["--report", str(report)] if report is not None else []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", command, str(config), *arguments, *extra],
                cwd=PROJECT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(END_LIMIT_S)

    def terminate(self, limit_s: float = END_LIMIT_S) -> tuple[int, float]:
        """(exit code, seconds it took)."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(limit_s)
        return code, time.monotonic() - began

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def agent(config: Path, *arguments: str, report: Path | None = None, command: str = "run") -> Iterator[Agent]:
    running = Agent(config, *arguments, report=report, command=command)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.kill()


def acknowledged(report: Path) -> list[dict[str, Any]]:
    """The whole lines of a report, oldest first."""
    if not report.exists():
        return []
    lines = report.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1]]


def wait_for(condition: Any, limit_s: float, what: str) -> None:
    """Looks every 20 ms; fails naming what never came."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come within {limit_s} s")
        time.sleep(0.02)


def store_path(config: Path) -> Path:
    return config.parent / "data" / "edge.sqlite"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        yield connection
    finally:
        connection.close()


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]

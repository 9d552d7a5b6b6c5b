"""Makes the recordings of this folder anew, each with the real `edge-agent record`: python tests/replays/make.py [NAME…]

What no run would give at will (a clock that is set back, a lane that broke, a recorder that could not keep up) is edited in afterwards, and
said in README.md. Paths in config.toml become relative, so that a clone replays anywhere. `make golden` writes the expected rows afterwards.
About three minutes; the sensor wants a C compiler.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

PROJECT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from peers.mjpeg_server import MjpegServer  # noqa: E402

from agent.config.write import toml  # noqa: E402
from firmware_bridge.build import run_firmware  # noqa: E402
from tools.golden import follow_models  # noqa: E402

HERE = Path(__file__).parent
MODELS = "../../../models"
SIZE = (128, 96)
PORT = "/dev/serial/by-id/usb-edge-agent-accelerometer"
# What the clock said when the recordings begin: whole minutes make windows that are easy to read.
BEGIN_UTC_US = 1_795_489_200_000_000  # 2026-11-24T03:00:00Z
LIMIT_S = 300.0

_HEAD = """version = 1
[device]
site = "north-farm"
name = "{name}"
data = "data"
[store]
max_loss_s = 0.5
keep_free = "1 MB"
"""
_VIEW = """
[lane.{lane}.model.view]
path = "{models}/view-int8.tflite"
"""


def day_and_night(folder: Path) -> None:
    """A clip of a yard: by day something moves, then it is night, then day again. A motion gate, a rule."""
    rng = np.random.default_rng(11)
    clip = folder / "yard.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 8.0, SIZE)
    for number in range(52):
        writer.write(scene(number, night=18 <= number < 36, rng=rng))
    writer.release()
    config = (
        _HEAD.format(name="gate-07")
        + """
[lane.yard]
summaries = ["s2", "m1"]
[lane.yard.source]
kind = "camera"
url = "yard.avi"
[lane.yard.gate]
kind = "motion"
rate_hz = 4.0
every_s = 1.0
[rule.yard-dark]
lane = "yard"
label = "night"
for_s = 0.5
clear_s = 0.5
severity = "warn"
"""
    )
    record(folder, config + _VIEW.format(lane="yard", models=models()))


def bearing_fault(folder: Path) -> None:
    """The firmware's accelerometer as a program of this machine; its bearing is damaged from the sixth second on."""
    with run_firmware(folder / "firmware", kind="native", fault_from_s=6, seed=5) as firmware:
        config = (
            _HEAD.format(name="pump-house")
            + f"""
[lane.pump]
summaries = ["s5", "m1"]
[lane.pump.source]
kind = "serial_sensor"
port = "{firmware.port}"
[lane.pump.window]
length_s = 1.024
hop_s = 0.512
features = "log-bands"
[lane.pump.model.bearing]
path = "{models()}/vibration-int8.tflite"
decoder = "anomaly"
[rule.bearing-worn]
lane = "pump"
label = "anomaly"
for_s = 3
clear_s = 30
severity = "warn"
"""
        )
        record(folder, config, for_s=14)


def clock_set_back(folder: Path) -> None:
    """Two lanes for two minutes, a picture every few seconds; the UTC of the 95th second is 90 s less than it was. Only clock.jsonl is edited."""
    rng = np.random.default_rng(12)
    config = _HEAD.format(name="gate-08")
    for lane, every_s in (("yard", 5), ("door", 6)):
        pictures = folder / lane
        pictures.mkdir()
        for number in range(6):
            cv2.imwrite(str(pictures / f"{number}.png"), scene(number * 8, night=number >= 4, rng=rng))
        config += f"""
[lane.{lane}]
summaries = ["s30", "m1"]
[lane.{lane}.source]
kind = "images"
path = "{lane}"
rate_hz = {1 / every_s:.6f}
loop = true
stall_s = 10.0
""" + _VIEW.format(lane=lane, models=models())
    record(folder, config, for_s=125)
    begin = clock_at(folder / "recording", BEGIN_UTC_US)
    later = {**begin, "at_us": begin["at_us"] + 95_000_000, "utc_offset_us": begin["utc_offset_us"] - 90_000_000}
    write_lines(folder / "recording" / "clock.jsonl", [begin, later])


def stall_and_restart(folder: Path) -> None:
    """A network camera that freezes and comes back; the agent is killed. A lane that began anew and a recorder that left something out
    are edited in, and half a line at the end."""
    with contextlib.ExitStack() as stack:
        camera = stack.enter_context(MjpegServer(rate_hz=8.0))
        config = (
            _HEAD.format(name="gate-09")
            + f"""
[lane.yard]
summaries = ["s2", "m1"]
[lane.yard.source]
kind = "camera"
url = "{camera.url}"
stall_s = 1.0
[rule.lens-covered]
lane = "yard"
label = "covered"
for_s = 0.5
clear_s = 20
"""
            + _VIEW.format(lane="yard", models=models())
        )
        lines = folder / "recording" / "yard" / "input.jsonl"
        with running(folder, config) as process:
            wait_for(process, lambda: count(lines, '"frame"') >= 16)
            camera.freeze()
            wait_for(process, lambda: count(lines, '"stall"') == 1)
            camera.kill()
            stack.enter_context(MjpegServer(rate_hz=8.0, port=camera.port))
            wait_for(process, lambda: count(lines, '"frame"') >= 40)
            process.kill()
    clock = clock_at(folder / "recording", BEGIN_UTC_US)
    write_lines(folder / "recording" / "clock.jsonl", [clock])
    taken = [json.loads(line) for line in lines.read_text().splitlines() if line.endswith("}")]
    ticks = [place for place, line in enumerate(taken) if line["k"] == "tick"]
    taken = taken[: ticks[-1] + 1]
    restart, left_out = (
        ticks[-3] + 2,
        ticks[-2] + 3,
    )  # in the middle of a second, so that what was not yet counted is lost with its lane
    for place, why, gone in ((left_out, "recorder", 2), (restart, "restart", 0)):
        for line in taken[place : place + gone]:
            (lines.parent / "frames" / line["file"]).unlink()
        taken[place : place + gone] = [{"at_us": taken[place]["at_us"], "k": "gap", "why": why}]
    write_lines(lines, taken)
    with lines.open("ab") as file:
        file.write(b'{"at_us":%d,"k":"fra' % (taken[-1]["at_us"] + 70_000))
    named = {line["file"] for line in taken if line["k"] == "frame"}
    for frame in (lines.parent / "frames").iterdir():
        if frame.name not in named:
            frame.unlink()


def scene(number: int, *, night: bool, rng: np.random.Generator) -> np.ndarray:
    """A yard with a wall, a door, windows, and a cart that moves. (96, 128, 3) uint8, BGR."""
    picture = np.full((SIZE[1], SIZE[0], 3), (200, 170, 120), np.uint8)
    cv2.rectangle(picture, (0, 60), (128, 96), (80, 110, 90), -1)
    cv2.rectangle(picture, (10, 24), (72, 70), (60, 80, 150), -1)
    cv2.rectangle(picture, (34, 44), (48, 70), (40, 40, 60), -1)
    stones = np.random.default_rng(1)  # sharp edges of every size: without them a scene looks out of focus
    for _ in range(90):
        left, top, wide, high = (int(part) for part in stones.integers((0, 0, 2, 2), (128, 96, 12, 10)))
        color = tuple(int(part) for part in stones.integers(0, 256, 3))
        cv2.rectangle(picture, (left, top), (left + wide, top + high), color, -1)
    for left in (15, 54):
        cv2.rectangle(picture, (left, 30), (left + 12, 40), (220, 220, 200), -1)
    cv2.circle(picture, (104, 50), 12, (50, 120, 60), -1)
    cv2.line(picture, (104, 60), (104, 78), (40, 60, 90), 3)
    cv2.putText(picture, "7", (56, 62), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230, 230, 230), 1)
    left = number * 5 % 150 - 20
    cv2.rectangle(picture, (left, 74), (left + 18, 86), (30, 30, 200), -1)
    if night:
        noise = rng.normal(0, 1.5, (SIZE[1] // 2, SIZE[0] // 2))
        grain = cv2.resize(noise.astype(np.float32), SIZE)[..., None]
        picture = np.clip(picture.astype(np.float32) * 0.1 + grain, 0, 255).astype(np.uint8)
    return picture


def models() -> str:
    return str((HERE / "any" / MODELS).resolve())


def record(folder: Path, config: str, for_s: float | None = None) -> None:
    arguments = [] if for_s is None else ["--for", str(for_s)]
    with running(folder, config, *arguments) as process:
        assert process.wait(LIMIT_S) == 0, "record failed"


@contextlib.contextmanager
def running(folder: Path, config: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`edge-agent record` into folder/recording."""
    path = folder / "edge-agent.toml"
    path.write_text(config)
    command = [sys.executable, "-m", "agent", "record", str(path), str(folder / "recording"), *arguments]
    process = subprocess.Popen(command, cwd=PROJECT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(process: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> None:
    for _ in range(round(LIMIT_S / 0.05)):
        if condition():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"record ended with {process.wait(0.05)}")
    raise TimeoutError


def count(path: Path, word: str) -> int:
    return path.read_text().count(word) if path.exists() else 0


def clock_at(recording: Path, utc_us: int) -> dict[str, Any]:
    """The recording's first line of the clock, with another UTC."""
    first = json.loads((recording / "clock.jsonl").read_text().splitlines()[0])
    return {**first, "utc_offset_us": utc_us - first["at_us"], "source": "ntp", "error_ms": 35}


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def publish(recording: Path, to: Path) -> None:
    """Copies a recording here, with paths that hold on any machine."""
    shutil.rmtree(recording / "live")
    config = tomllib.loads((recording / "config.toml").read_text())
    config["device"]["data"] = "data"
    for lane in config["lane"].values():
        source = lane["source"]
        for key in source.keys() & {"path", "url"}:
            source[key] = source[key] if "://" in source[key] else Path(source[key]).name
        if "port" in source:
            source["port"] = PORT
        for model in lane["model"].values():
            model["path"] = f"{MODELS}/{Path(model['path']).name}"
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(recording, to)
    (to / "config.toml").write_text(toml(config))
    follow_models(to)


MAKERS = {
    "day-and-night": day_and_night,
    "bearing-fault": bearing_fault,
    "clock-set-back": clock_set_back,
    "stall-and-restart": stall_and_restart,
}


def main(names: list[str]) -> None:
    for name in names or MAKERS:
        with tempfile.TemporaryDirectory(prefix="edge-agent-make-") as scratch:
            MAKERS[name](Path(scratch))
            publish(Path(scratch) / "recording", HERE / name)
        size = sum(path.stat().st_size for path in (HERE / name).rglob("*") if path.is_file())
        print(f"{name}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])

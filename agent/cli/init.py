"""Write a commented config for one camera or serial port found here; without any, for a clip that you name. Never writes over a file."""

import argparse
from pathlib import Path

_HEAD = """\
# A config of edge-agent. `edge-agent check {file}` says everything that is wrong with it, `edge-agent run {file}` runs it.
# Every key there is: docs/reference/config.md. Relative paths begin at this file's folder.
version = 1

[device]
site = "my-site"                  # fill in: where this device stands
name = "@hostname"                # or "@serial", "@machine-id", or a name of its own
data = "edge-agent-data"          # the store and what else is written; on a device: "/var/lib/edge-agent"
"""

_CAMERA = """
[lane.camera]
summaries = ["m1", "h1"]          # one sum a minute, one an hour
[lane.camera.source]
kind = "camera"
url = "{url}"{note}
# user = "viewer"                 # of a network camera
# password_file = "secrets/camera"
[lane.camera.gate]
kind = "motion"                   # a frame is looked at when something moved,
rate_hz = 5.0                     # at most so many a second,
every_s = 60                      # and at least one in this time
[lane.camera.model.faces]
catalogue = "blazeface"           # `edge-agent models fetch blazeface`; your own: path = "models/own.tflite"

[rule.somebody]
lane = "camera"
label = "face"
for_s = 1.0                       # seen this long before an event starts
"""

_SERIAL = """
[lane.sensor]
summaries = ["m1", "h1"]          # one sum a minute, one an hour
[lane.sensor.source]
kind = "serial_sensor"
port = "{port}"
baud = 921600
[lane.sensor.window]
length_s = 1.024                  # how much time the model looks at
hop_s = 0.512                     # and how often
features = "log-bands"
[lane.sensor.model.vibration]
path = "models/vibration-int8.tflite"    # fill in: your model
"""

_TAIL = """
# [mqtt]                          # where sums and events are sent; left out: they stay here
# url = "mqtts://broker.example.com:8883"
# user = "@hostname"
# password_file = "secrets/mqtt"  # a file that only the agent reads: chmod 600
# [budget]                        # of a metered link; `edge-agent check {file}` says what a month costs
# month = "100 MB"                # minutes of one camera fit; with less, hours are sent and minutes are held
"""

_NO_DEVICE = "    # fill in: no camera and no serial port was found here; a video file, rtsp://… or /dev/v4l/by-id/…"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the config to write; must not be there yet")


def run(arguments: argparse.Namespace) -> int:
    text = config_text(arguments.file.name, Path("/dev"))
    _write(arguments.file, text)
    print(f"{arguments.file} is written. Look at the lines that say `fill in`, then: edge-agent check {arguments.file}")
    return 0


def config_text(file: str, devices: Path) -> str:
    """The config for the first camera in devices/v4l/by-id, else the first port in devices/serial/by-id, else for a clip."""
    camera = (
        _first(devices / "v4l" / "by-id", "*-index0")
        or _first(devices / "v4l" / "by-path", "*-index0")
        or _first(devices, "video*")
    )
    port = _first(devices / "serial" / "by-id", "*")
    if camera is not None:
        body = _CAMERA.format(url=camera, note="")
    elif port is not None:
        body = _SERIAL.format(port=port)
    else:
        body = _CAMERA.format(url="clip.avi", note=_NO_DEVICE)
    return _HEAD.format(file=file) + body + _TAIL.format(file=file)


def _first(folder: Path, pattern: str) -> Path | None:
    return min(folder.glob(pattern), default=None)


def _write(file: Path, text: str) -> None:
    from agent.problems import Exit, Problem

    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise Problem(
            where=str(file),
            what="is there already",
            remedy="Name a new file: init writes over none.",
            code=Exit.COMMAND_LINE,
        ) from None
    except OSError as error:
        raise Problem(
            where=str(file),
            what=f"cannot be written ({error.strerror})",
            remedy="Name a file in a folder that you may write.",
            code=Exit.COMMAND_LINE,
        ) from None

"""The tables of docs/cost.md, made from the forecast that `check` prints: `--write` makes them, `--check` fails when one is stale."""

import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from agent.cli._cost import size
from agent.config.forecast import Forecast, forecast
from agent.config.read import read
from agent.values import Bytes

PAGE = Path(__file__).parent.parent / "docs" / "cost.md"
_HEAD = """\
version = 1
[device]
site = "north-farm"
name = "gate-07"
data = "data"
[mqtt]
url = "mqtts://broker.example.com"
"""
_CAMERA = """\
[lane.{lane}]
summaries = [{grains}]
[lane.{lane}.source]
kind = "camera"
url = "rtsp://10.0.0.7/stream1"
[lane.{lane}.model.people]
path = "people.tflite"
"""
_SENSOR = """\
[lane.{lane}]
summaries = [{grains}]
[lane.{lane}.source]
kind = "serial_sensor"
port = "/dev/ttyUSB0"
baud = 921600
[lane.{lane}.window]
length_s = 1.024
hop_s = 0.512
[lane.{lane}.model.bearing]
path = "people.tflite"
decoder = "anomaly"
"""
_GRAINS = ('"m1", "h1"', '"s300", "h1"', '"h1"', '"h1", "d1"')
_MONTHS = ("1 MB", "2 MB", "5 MB", "20 MB", "50 MB", "100 MB", "200 MB", "1 GB")


def made(lanes: Iterable[str], month: str | None = None) -> Forecast:
    """Of a config with these lanes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "people.tflite").write_bytes(b"\x1c\0\0\0TFL3 people")
        path = Path(folder) / "edge-agent.toml"
        path.write_text(_HEAD + "".join(lanes) + (f'[budget]\nmonth = "{month}"\n' if month else ""))
        told = forecast(read(path).file)
    assert told is not None
    return told


def tables() -> dict[str, str]:
    """name → Markdown."""
    return {"grains": _grains(), "rows": _rows(), "budgets": _budgets()}


def _grains() -> str:
    lines = ["| `summaries` | camera lane | sensor lane, three axes | two camera lanes |", "|---|---|---|---|"]
    for grains in _GRAINS:
        camera, sensor, other = (
            one.format(lane=lane, grains=grains)
            for one, lane in ((_CAMERA, "yard"), (_SENSOR, "pump"), (_CAMERA, "gate"))
        )
        told = [size(made(lanes).bytes) for lanes in ([camera], [sensor], [camera, other])]
        lines.append(f"| `[{grains}]` | {' | '.join(told)} |")
    return "\n".join(lines)


def _rows() -> str:
    told = made([_CAMERA.format(lane="yard", grains=_GRAINS[0])])
    lines = ["| what | messages | bytes |", "|---|---|---|"]
    lines += [f"| {row.name} | {row.messages} | {size(row.bytes)} |" for row in told.rows]
    lines.append(f"| each start or end of an event | 1 | {size(told.event_bytes)} |")
    return "\n".join(lines)


def _budgets() -> str:
    lines = ["| `budget.month` | by forecast | minutes | hours | goes out as it happens |", "|---|---|---|---|---|"]
    for month in _MONTHS:
        told = made([_CAMERA.format(lane="yard", grains=_GRAINS[0])], month)
        plans = {row.name.rpartition("/")[2]: row.plan for row in told.rows if row.grain_s is not None}
        hours = "held" if told.state in ("critical", "closed") else plans["h1"]
        assert Bytes.parse(month) == told.month
        lines.append(f"| {month} | {told.state} | {plans['m1']} | {hours} | {size(told.bytes)} |")
    return "\n".join(lines)


def filled(text: str) -> str:
    """The page with its tables as they are now, between `<!-- table NAME -->` and `<!-- end -->`."""
    made_now = tables()
    return re.sub(
        r"(<!-- table (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{made_now[found[2]]}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def main(arguments: list[str]) -> int:
    text = PAGE.read_text()
    now = filled(text)
    if "--write" in arguments:
        PAGE.write_text(now)
        return 0
    if now != text:
        print(f"{PAGE} is stale: python -m tools.documents --write", file=sys.stderr)
        return 1
    return 0

"""Figures of whole processes: CPU time of short commands, start to the first stored result, recovery after kill -9, memory.

CPU times are user + system of a child process, the median of several, beside the same Python running `pass`. Every process runs in an empty
virtual environment that reads the packages of this one: so the hooks of an editable installation, which a device does not have, cost nothing.
Start and recovery are by the wall, from the start of the process to the line in --report that says the row is on the medium; a row is at
most one tick (1 s) and `max_loss_s` (here its least, 0.2 s) old then, an event closes both at once. Memory is VmHWM, the greatest RSS.
"""

import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.catalogue.entries import entries, find
from agent.catalogue.fetch import cached
from benchmarks.figures import Figure, at_most, known, parser, say, skipped
from benchmarks.lane import draw_clip
from firmware_bridge.build import run_firmware
from firmware_bridge.errors import LinkError

PROJECT = Path(__file__).parent.parent
LIMIT_S = 60.0
# Budgets of a small arm64 board.
VERSION_MS, CHECK_MS = 40.0, 150.0
CAMERA_MB, SENSOR_MB = 110.0, 75.0
# How long an agent runs before its memory is read.
SETTLED_S, SETTLED_QUICK_S = 10.0, 3.0

# What the installed command `edge-agent` runs; `python -m agent` would add 10 ms of runpy.
_COMMAND = "import sys; from agent.__main__ import main; sys.exit(main())"

_DEVICE = """version = 1
[device]
site = "bench"
name = "{name}"
data = "{folder}/data-{name}"
[store]
max_loss_s = 0.2
keep_free = "1 MB"
"""
_IMAGES = """
[lane.yard.source]
kind = "images"
path = "{folder}/pictures"
rate_hz = 20
loop = true
[lane.yard.model.view]
path = "{models}/view-int8.tflite"
"""
_EVENT = """
[rule.dark]
lane = "yard"
label = "night"
"""
_CAMERA = """
[lane.yard.source]
kind = "camera"
url = "{folder}/clip.avi"
loop = true
[lane.yard.gate]
kind = "motion"
rate_hz = 5.0
[lane.yard.model.model]
{model}
"""
_SENSOR = """
[lane.pump.source]
kind = "serial_sensor"
port = "{port}"
[lane.pump.window]
length_s = 1.024
hop_s = 0.512
features = "log-bands"
[lane.pump.model.bearing]
path = "{models}/vibration-int8.tflite"
"""


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter without hooks of an editable installation, and the environment in which it finds the project."""

    program: Path
    environment: dict[str, str]

    def start(self, *words: str, log: Any = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [str(self.program), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
        )


def main() -> None:
    arguments = parser(__doc__).parse_args()
    quick: bool = arguments.quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = make_python(folder / "python")
        for figures in (commands(python, folder, quick), starts(python, folder, quick), memory(python, folder, quick)):
            for figure in figures:
                say(figure, as_json=arguments.json)


def make_python(folder: Path) -> Python:
    venv.create(folder, with_pip=False, symlinks=True)
    packages = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *packages])
    return Python(program=folder / "bin" / "python", environment=environment)


# Commands


def commands(python: Python, folder: Path, quick: bool) -> Iterator[Figure]:
    count = 7 if quick else 21
    examples = complete_examples(folder)
    cases = {
        "CPU of --version": (["-c", _COMMAND, "--version"], VERSION_MS),
        "CPU of check examples/pump.toml": (["-c", _COMMAND, "check", str(examples / "pump.toml")], CHECK_MS),
        "CPU of check examples/yard.toml": (["-c", _COMMAND, "check", str(examples / "yard.toml")], CHECK_MS),
    }
    if cached(find("blazeface", entries())) is None:
        skipped("check examples/yard.toml: its model is not in the cache (edge-agent models fetch blazeface)")
        del cases["CPU of check examples/yard.toml"]
    taken: dict[str, list[float]] = {name: [] for name in ("bare", *cases)}
    for _ in range(count):
        taken["bare"].append(cpu_ms(python, ["-c", "pass"]))
        for name, (words, _) in cases.items():
            taken[name].append(cpu_ms(python, words))
    bare = round(statistics.median(taken["bare"]), 1)
    for name, (_, target) in cases.items():
        times = statistics.median(one / alone for one, alone in zip(taken[name], taken["bare"], strict=True))
        yield known(f"{name}, times bare Python", round(times, 2), "ratio", baseline=1.0)
        yield at_most(name, round(statistics.median(taken[name]), 1), "ms", baseline=bare, target=target)


def complete_examples(folder: Path) -> Path:
    """The examples with the secrets they name, so that check finds nothing wrong."""
    examples = folder / "examples"
    shutil.copytree(PROJECT / "examples", examples)
    (folder / "models").symlink_to(PROJECT / "models")
    for secret in ("camera", "mqtt"):
        path = examples / "secrets" / secret
        path.parent.mkdir(exist_ok=True)
        path.write_text("not a secret")
        path.chmod(0o600)
    return examples


def cpu_ms(python: Python, words: Sequence[str]) -> float:
    child = python.start(*words)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {child.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e3


# Start and recovery


class First(msgspec.Struct, frozen=True, kw_only=True):
    """Of a process: seconds by the wall, and of CPU, until a new row was on the medium."""

    wall_s: float
    cpu_s: float


def starts(python: Python, folder: Path, quick: bool) -> Iterator[Figure]:
    draw_pictures(folder / "pictures")
    result, again, event = [], [], []
    for number in range(3 if quick else 9):
        config = write_config(folder, f"start-{number}", _IMAGES)
        with running(python, config) as (process, began_s):
            result.append(first_row(process, config, began_s))
            process.send_signal(signal.SIGKILL)
            killed_s = time.monotonic()
            process.wait(LIMIT_S)
        stored = newest(config, "result")
        _report(config).unlink()
        with running(python, config) as (process, _):
            again.append(first_row(process, config, killed_s, after=stored))
        config = write_config(folder, f"event-{number}", _IMAGES + _EVENT)
        with running(python, config) as (process, began_s):
            event.append(first_row(process, config, began_s, table="event"))
    yield known("start to the first stored result", _median_wall(result), "s")
    yield known("start to the first stored event", _median_wall(event), "s")
    yield known("CPU until the first stored event", round(statistics.median(one.cpu_s for one in event), 3), "s")
    yield known("kill -9 and start to the first new stored result", _median_wall(again), "s")


def _median_wall(taken: list[First]) -> float:
    return round(statistics.median(one.wall_s for one in taken), 3)


def draw_pictures(folder: Path) -> None:
    """Dark pictures: the classifier says night, the rule makes an event."""
    import cv2
    import numpy as np

    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(8):
        picture = cv2.resize(rng.integers(0, 16, (12, 16, 3), dtype=np.uint8), (640, 480))
        cv2.imwrite(str(folder / f"{number}.png"), picture)


def write_config(folder: Path, name: str, lanes: str, **values: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text((_DEVICE + lanes).format(name=name, folder=folder, models=PROJECT / "models", **values))
    return path


def _report(config: Path) -> Path:
    return config.with_suffix(".report")


@contextmanager
def running(python: Python, config: Path) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    """(the agent's process, when it was started)."""
    with config.with_suffix(".log").open("ab") as log:
        began_s = time.monotonic()
        process = python.start("-c", _COMMAND, "run", str(config), "--report", str(_report(config)), log=log)
    try:
        yield process, began_s
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def newest(config: Path, table: str) -> int:
    """The greatest row id of a table, 0 when there is none yet."""
    path = config.with_name(f"data-{config.stem}") / "edge.sqlite"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=LIMIT_S)) as connection:
        return int(connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])


def first_row(
    process: "subprocess.Popen[bytes]", config: Path, from_s: float, *, table: str = "result", after: int = 0
) -> First:
    """Waits for a row with an id greater than `after`, looking whenever the report says that something was committed."""
    report, size = _report(config), 0
    while time.monotonic() - from_s < LIMIT_S and process.poll() is None:
        grown = report.stat().st_size if report.exists() else 0
        if grown > size:
            wall_s, cpu_s, size = time.monotonic() - from_s, _cpu_s(process.pid), grown
            if newest(config, table) > after:
                return First(wall_s=wall_s, cpu_s=cpu_s)
        time.sleep(0.002)
    said = config.with_suffix(".log").read_text(errors="replace")[-2000:]
    raise RuntimeError(f"no row of {table} was stored within {LIMIT_S:.0f} s: {said}")


def _cpu_s(process: int) -> float:
    """proc(5): utime and stime are fields 14 and 15; the second field is the name in brackets."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Memory


def memory(python: Python, folder: Path, quick: bool) -> Iterator[Figure]:
    settled_s = SETTLED_QUICK_S if quick else SETTLED_S
    clip = draw_clip(folder)
    models = {"view": f'path = "{PROJECT / "models" / "view-int8.tflite"}"'}
    if cached(find("blazeface", entries())) is not None:
        models["BlazeFace"] = 'catalogue = "blazeface"'
    imports = peak_mb(python, f"import cv2, ai_edge_litert.interpreter; cv2.VideoCapture({str(clip)!r}).read()")
    for name, model in models.items():
        config = write_config(folder, f"camera-{name.lower()}", _CAMERA, model=model)
        with running(python, config) as (process, began_s):
            first_row(process, config, began_s)
            time.sleep(settled_s)
            yield at_most(
                f"peak RSS, one camera lane, {name} (baseline: imports, a frame)",
                high_water_mb(process.pid),
                "MB",
                baseline=imports,
                target=CAMERA_MB,
            )
    yield from _sensor(python, folder, settled_s)


def _sensor(python: Python, folder: Path, settled_s: float) -> Iterator[Figure]:
    with ExitStack() as stack:
        try:
            firmware = stack.enter_context(run_firmware(folder / "firmware", kind="native"))
        except LinkError as error:
            skipped(f"a sensor-only agent: {error}")
            return
        imports = peak_mb(python, "import numpy, ai_edge_litert.interpreter")
        config = write_config(folder, "sensor", _SENSOR, port=firmware.port)
        process, began_s = stack.enter_context(running(python, config))
        first_row(process, config, began_s)
        time.sleep(settled_s)
        peak_of_sensor = high_water_mb(process.pid)
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "numpy" in maps, "the wrong process was looked at"
        loaded = sum(1 for part in ("cv2", "opencv") if part in maps)
        yield at_most(
            "peak RSS, sensor-only agent (baseline: imports)", peak_of_sensor, "MB", baseline=imports, target=SENSOR_MB
        )
        yield at_most("OpenCV in a sensor-only agent", loaded, "libraries", target=0)


def peak_mb(python: Python, program: str) -> float:
    """VmHWM of a process that runs `program` and nothing else."""
    ended = subprocess.run(
        [str(python.program), "-c", f"{program}\nprint(open('/proc/self/status').read())"],
        env=python.environment, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=True,
    )  # fmt: skip
    return _high_water_mb(ended.stdout)


def high_water_mb(process: int) -> float:
    return _high_water_mb(Path(f"/proc/{process}/status").read_text())


def _high_water_mb(status: str) -> float:
    """proc(5), status: VmHWM in kB of 1,024 bytes."""
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())

"""The real agent over a lane that is well, `yard`, and others of which the test says what is wrong with them.

config = write(tmp_path, camera("door", "/dev/video99"))
with troubled(config) as agent:
    agent.wait_for_problem("door", "no such file")      # state.json names it
    agent.check_yard_goes_on()
check_one_problem(agent.text, "lane.door.source.url", "Is it plugged in?")
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers.agents import PROJECT, VIEW_MODEL, Agent, opened, scene, store_path, wait_for

from agent.cli.status import describe

LIMIT_S = 20.0
BEARING_MODEL = PROJECT / "models" / "vibration-int8.tflite"
_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d (debug|info|warning|error) \S+ .+")
# LiteRT prints this one itself and has no switch for it.
_RUNTIME_LINE = "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."

_HEAD = """version = 1
[device]
site = "test"
name = "gate-07"
data = "{data}"
[store]
max_loss_s = 0.2
keep_free = "1 MB"
"""
_SENSOR = """
[lane.{name}]
[lane.{name}.source]
kind = "serial_sensor"
port = "{port}"
{more}
[lane.{name}.window]
length_s = 1.024
hop_s = 0.512
features = "log-bands"
[lane.{name}.model.bearing]
path = "{model}"
score = 0.0001
"""


def images(name: str, pictures: Path, more: str = "loop = true", models: str | None = None) -> str:
    """The tables of a lane over a folder of pictures. models: its model tables; left out: the frame classifier."""
    return f"""
[lane.{name}]
summaries = ["s1"]
[lane.{name}.source]
kind = "images"
path = "{pictures}"
rate_hz = 20
{more}
{model(name, "view", VIEW_MODEL) if models is None else models}"""


def model(lane: str, name: str, path: Path, more: str = "") -> str:
    return f'[lane.{lane}.model.{name}]\npath = "{path}"\n{more}\n'


def camera(name: str, url: str, more: str = "") -> str:
    return f'\n[lane.{name}]\n[lane.{name}.source]\nkind = "camera"\nurl = "{url}"\n{more}\n{model(name, "view", VIEW_MODEL)}'


def sensor(name: str, port: str, more: str = "") -> str:
    """A lane over a serial port; every window is a result."""
    return _SENSOR.format(name=name, port=port, more=more, model=BEARING_MODEL)


def write(folder: Path, *tables: str, yard: bool = True) -> Path:
    """The config of these tables, and of the lane `yard` over pictures."""
    path = folder / "edge-agent.toml"
    lanes = [images("yard", scene(folder))] if yard else []
    path.write_text("\n".join([_HEAD.format(data=folder / "data"), *lanes, *tables]))
    return path


class Troubled(Agent):
    def __init__(self, config: Path, *arguments: str) -> None:
        super().__init__(config, *arguments)
        self.config = config

    @property
    def state(self) -> dict[str, Any]:
        """state.json; empty before it is there."""
        try:
            found: dict[str, Any] = json.loads((self.config.parent / "data" / "state.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def lane(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.state.get("lanes", {}).get(name, {})
        return found

    def wait_for_problem(self, lane: str, words: str) -> None:
        self.wait_until(lambda: words in (self.lane(lane).get("problem") or ""), f"the problem of {lane}: {words}")

    def wait_until(self, condition: Any, what: str) -> None:
        """Fails with the log when the agent has ended, or it never came."""

        def come() -> bool:
            if condition():
                return True
            assert self.process.poll() is None, f"the agent ended ({self.process.returncode}):\n{self.text}"
            return False

        try:
            wait_for(come, LIMIT_S, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}\n{self.state}") from None

    def results(self, lane: str = "yard") -> int:
        return count_results(self.config, lane)

    def check_goes_on(self, lane: str = "yard") -> None:
        """Its results grow from now on."""
        before = self.results(lane)
        self.wait_until(lambda: self.results(lane) > before, f"more results of {lane}")


@contextmanager
def troubled(config: Path, *arguments: str, ends: int | None = None) -> Iterator[Troubled]:
    """Runs it for the length of the block, then ends it in good order: exit 0, and a tidy log. ends: with which code it ends by itself."""
    running = Troubled(config, *arguments)
    try:
        yield running
        if ends is not None:
            assert running.process.wait(LIMIT_S) == ends, running.text
        else:
            code = running.process.poll()
            assert code is None, f"it ended by itself ({code}):\n{running.text}"
            assert running.terminate()[0] == 0, running.text
    finally:
        if running.process.poll() is None:
            running.kill()
    check_tidy(running.text)


def command(
    *words: object, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of an `edge-agent` command. before: words that go in front of it, such as setpriv."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "agent", *map(str, words)],
        cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    check_tidy(done.stderr, log=False)
    return done.returncode, done.stdout, done.stderr.replace(f"{_RUNTIME_LINE}\n", "")


def status(config: Path) -> tuple[int, dict[str, Any], str]:
    """(exit code, what `--json` prints, what people read)."""
    code, text, _ = command("status", config, "--json")
    found: dict[str, Any] = json.loads(text)
    return code, found, describe(found)


def count_results(config: Path, lane: str) -> int:
    path = store_path(config)
    if not path.exists():
        return 0
    with opened(path) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'results'").fetchone():
            return 0
        count: int = connection.execute("SELECT count(*) FROM results WHERE lane = ?", (lane,)).fetchone()[0]
        return count


def check_tidy(text: str, *, log: bool = True) -> None:
    """No traceback; in a log, nothing but its lines."""
    assert "Traceback" not in text, text
    if log:
        strange = [line for line in text.splitlines() if not _LOG_LINE.fullmatch(line) and line != _RUNTIME_LINE]
        assert not strange, strange


def problems(text: str, where: str) -> list[str]:
    """The warnings and errors of a log that name this place."""
    return [line for line in text.splitlines() if re.search(rf" (warning|error) .*{re.escape(where)}\b", line)]


def check_one_problem(text: str, where: str, *words: str) -> None:
    """One line says it, with place, what and remedy."""
    found = problems(text, where)
    assert len(found) == 1, "\n".join(found) or text
    missing = [word for word in words if word not in found[0]]
    assert not missing, (missing, found[0])

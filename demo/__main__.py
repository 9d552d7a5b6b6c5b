"""About a minute of everything: `make demo`. Exit code 1 when anything is missing at the end."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tqdm import tqdm

from agent.catalogue.fetch import fetch
from agent.clock import SystemClock
from agent.problems import Problem, Problems
from demo import config, report
from demo.broker import open_broker
from demo.clip import write_clip
from demo.compiler import ensure_compiler
from demo.link import TcpLink, tcp_link
from demo.sheet import draw_sheet
from firmware_bridge.build import run_firmware
from firmware_bridge.errors import LinkError

PROJECT = Path(__file__).parent.parent
OUTPUT = PROJECT / "demo-output"
# Seconds from the agent's start: what happens, and the word for it in the progress line.
CUT_S, RESTORE_S, KILL_S, FAULT_S, END_S = 12, 32, 42, 30, 62
RECORD_S = 11
_END_LIMIT_S = 15.0


def main() -> int:
    try:
        return run()
    except (Problem, Problems) as problem:
        print(problem, file=sys.stderr)
        return int(problem.code)
    except LinkError as error:
        print(f"{error.where}: {error.what}. {error.remedy}", file=sys.stderr)
        return 1


def run() -> int:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    print("demo: a face model (35 MB) and two pictures (24 MB): fetched once, then from the cache", file=sys.stderr)
    fetch("blazeface")
    write_clip(OUTPUT / "clip.avi", fetch("grace-hopper"), fetch("astronaut"))
    ensure_compiler()
    with ExitStack() as stack:
        firmware = stack.enter_context(run_firmware(OUTPUT / "firmware", fault_from_s=FAULT_S))
        (OUTPUT / "accelerometer").symlink_to(firmware.port)
        print(f"demo: {firmware.line}", file=sys.stderr)
        broker_port = stack.enter_context(open_broker(OUTPUT))
        link = stack.enter_context(tcp_link(broker_port))
        path = OUTPUT / "demo.toml"
        path.write_text(config.TEXT.format(folder=OUTPUT, models=PROJECT / "models", port=link.port))
        subscriber = stack.enter_context(
            command("subscribe", f"mqtt://127.0.0.1:{broker_port}", "--store", str(OUTPUT / "received.sqlite"),
                    "--from", "1", "--ask-after", "5", "--json", out=OUTPUT / "subscriber.json")
        )  # fmt: skip
        peak_mb = play(path, link)
        if subscriber.poll() is not None:
            raise Problem(
                where="demo",
                what=f"the subscriber ended by itself with {subscriber.returncode}",
                remedy=f"Look into {OUTPUT / 'agent.log'}",
            )
        report.wait_for_items(OUTPUT / "data" / "edge.sqlite", OUTPUT / "received.sqlite", _END_LIMIT_S)
        subscriber.send_signal(signal.SIGTERM)
        subscriber.wait(_END_LIMIT_S)
    drawn = draw_sheet(OUTPUT / "recording", OUTPUT / "data" / "edge.sqlite", "yard", OUTPUT / "sheet.png")
    return report.print_report(OUTPUT, peak_mb=peak_mb, drawn=drawn, cut_s=RESTORE_S - CUT_S)


def play(path: Path, link: TcpLink) -> float:
    """The minute: cut, restore, kill, start again, stop. The agent's peak memory in MB."""
    nothing = threading.Event()
    clock = SystemClock()
    options = ["--report", str(OUTPUT / "report.jsonl"), "--log", "info"]
    recording = ["--record", str(OUTPUT / "recording"), "--record-for", str(RECORD_S)]
    with (
        ExitStack() as stack,
        tqdm(total=END_S, unit="s", bar_format="{l_bar}{bar}| {n:.0f}/{total} s", disable=None) as bar,
    ):
        agent = stack.enter_context(command("run", str(path), *options, *recording, out=OUTPUT / "agent.log"))
        begun_us = clock.boot_us()
        peak_mb = 0.0
        phase = "the agent runs, the link is up"
        steps = [
            (CUT_S, "the link is cut", link.cut),
            (RESTORE_S, "the link is back", link.restore),
            (KILL_S, "kill -9, started again", lambda: None),
        ]
        while (now_s := (clock.boot_us() - begun_us) / 1e6) < END_S:
            bar.set_description(phase, refresh=False)
            bar.n = min(now_s, END_S)
            bar.refresh()
            if steps and now_s >= steps[0][0]:
                at_s, phase, act = steps.pop(0)
                act()
                if bar.disable:  # into a file, a pipe, a CI log: lines instead of a bar
                    print(f"demo: {phase}", file=sys.stderr)
                if at_s == KILL_S:
                    agent.kill()
                    agent.wait(_END_LIMIT_S)
                    agent = stack.enter_context(command("run", str(path), *options, out=OUTPUT / "agent.log"))
            if agent.poll() is not None:
                raise Problem(
                    where="demo",
                    what=f"the agent ended by itself with {agent.returncode}",
                    remedy=f"Look into {OUTPUT / 'agent.log'}",
                )
            peak_mb = max(peak_mb, _peak_mb(agent.pid))
            clock.wait(nothing, 0.2)
        bar.n = END_S
        bar.set_description("stopped by SIGTERM")
        agent.send_signal(signal.SIGTERM)
        agent.wait(_END_LIMIT_S)
        return peak_mb


@contextmanager
def command(*words: str, out: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """edge-agent WORDS… in a process of its own, killed at the end if it still runs."""
    with out.open("ab") as output, (OUTPUT / "agent.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", *words], cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=output, stderr=log,
            env=os.environ,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(_END_LIMIT_S)


def _peak_mb(process: int) -> float:
    """The greatest resident memory so far (VmHWM)."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
    return 0.0


if __name__ == "__main__":
    sys.exit(main())

"""`edge-agent bench`: real child processes, short."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import main


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trials are remembered there, not at home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def test_a_figure_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "view", "--delegates", "xnnpack,nowhere", "--threads", "1", "--seconds", "0.2", "--json"]
    assert main(words) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_name = {(figure["delegate"], figure["name"]): figure for figure in figures}
    assert {figure["threads"] for figure in figures} == {1}
    p50, p90, p99 = (by_name["xnnpack", f"invoke {name}"] for name in ("p50", "p90", "p99"))
    assert 0 < p50["value"] <= p90["value"] <= p99["value"]
    assert p50["unit"] == "ms"
    assert p50["queries"] >= 100
    assert by_name["xnnpack", "whole p50"]["value"] > p50["value"], "filling and decoding take time, too"
    assert by_name["xnnpack", "invoke rate"]["value"] == pytest.approx(
        1000 / by_name["xnnpack", "invoke mean"]["value"], rel=0.01
    )
    assert by_name["xnnpack", "cold load"]["value"] > 1
    assert 30e6 < by_name["xnnpack", "RSS"]["value"] < 500e6
    assert len(p50["sha256"]) == 64
    assert "nowhere" in by_name["nowhere", "problem"]["problem"], "what is not there is a line, not the end"


def test_a_table_with_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "vibration", "--delegates", "cpu", "--threads", "1", "--seconds", "0.1"]) == 0
    out = capsys.readouterr().out
    assert "single stream" in out
    assert "a window in hand" in out
    head, row = out.splitlines()[-2:]
    assert head.split()[:5] == ["delegate", "threads", "p50", "p90", "p99"]
    assert row.split()[:2] == ["cpu", "1"]
    assert row.endswith("█" * 24)


def test_a_model_that_runs_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "view", "--delegates", "nowhere", "--seconds", "0.1"]) == 3
    assert "nowhere" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--threads", "0"], "no list of thread counts"),
        (["--seconds", "-1"], "no number of seconds"),
        (["--delegates", ","], "names no delegate"),
    ],
)
def test_the_command_line(capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "view", *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_refused_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.tflite").write_bytes(b"no model")
    assert main(["bench", str(tmp_path / "m.tflite")]) == 3
    assert "no TFLite model" in capsys.readouterr().err


def test_a_bench_that_is_killed_leaves_nothing_running() -> None:
    command = [
        sys.executable,
        "-m",
        "agent",
        "bench",
        "view",
        "--seconds",
        "60",
        "--threads",
        "1",
        "--delegates",
        "cpu",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bench:
        children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
        child = _until(lambda: children.read_text().split())[0]
        # It says so to the kernel before it imports anything: the libraries are mapped after.
        _until(lambda: "libcv2" in (maps := Path(f"/proc/{child}/maps").read_text()) or "cv2" in maps)
        bench.kill()
    _until(lambda: not _runs(child))


def test_a_command_that_is_interrupted_says_so_and_does_not_end_with_0() -> None:
    command = [
        sys.executable,
        "-m",
        "agent",
        "bench",
        "view",
        "--seconds",
        "60",
        "--threads",
        "1",
        "--delegates",
        "cpu",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_interrupts
    ) as bench:  # fmt: skip
        children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
        _until(lambda: children.read_text().split())
        bench.send_signal(signal.SIGINT)
        _, said = bench.communicate(timeout=20)
    assert bench.returncode == 1
    assert said.splitlines()[-1] == "interrupted"


def _heeds_interrupts() -> None:
    """As in a terminal: a shell starts what runs in the background, perhaps these tests, with the signal ignored, and it is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def _until(condition: Callable[[], Any]) -> Any:
    """Looks until it holds, 20 s at most."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if found := condition():
            return found
        threading.Event().wait(0.02)
    raise AssertionError("it did not come to pass in 20 s")

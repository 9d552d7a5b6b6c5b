"""One configuration, measured in this process: `main` reads a Job from stdin and writes a Measured to stdout.

Single stream, as MLPerf Inference defines it (github.com/mlcommons/inference_policies, "Scenarios"): a query is issued when the former is done,
the 90th percentile is the score. Bare runs of the model and whole queries (a frame in hand → results) take turns, so that both meet the same load.
"""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.inference.model import Config
from agent.problems import Problem
from agent.values import convert

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.pipeline.runner import Runner

LEAST_QUERIES = 100
# A model so slow that this takes longer is measured with fewer queries.
_MOST_S = 60.0
_WARM_UP = 3
FRAME_PX = (640, 480)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """config: with one delegate. kind: what the model takes. cache: where trials are remembered."""

    config: Config
    kind: Literal["frame", "window"]
    seconds: float
    cache: Path | None = None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds over `queries`."""

    queries: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """invoke: the model alone. whole: an input in hand → results. load_ms: file → first result in a fresh process, libraries loaded.

    rss_bytes: of the process at the end, all of it, with the processes that it started. problem: why there is nothing else.
    """

    runtime: str = ""
    delegate: str = ""
    decoder: str = ""
    degraded: str | None = None
    load_ms: float = 0.0
    invoke: Latency | None = None
    whole: Latency | None = None
    rss_bytes: int = 0
    seconds: float = 0.0
    problem: str | None = None


def main() -> int:
    _end_with_parent()
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job, dec_hook=_path)
    try:
        measured = measure(job)
    except Problem as problem:
        # The table names the delegate already.
        reason = problem.what.partition(f"{','.join(job.config.delegates)}: ")[2]
        measured = Measured(problem=reason or f"{problem.what}. {problem.remedy}")
    sys.stdout.write(msgspec.json.encode(measured).decode() + "\n")
    return 0


def _end_with_parent() -> None:
    """A bench that is killed leaves nothing running: the kernel kills this process when the one that started it ends (prctl(2))."""
    import ctypes
    import signal

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else convert(kind, value)


def measure(job: Job) -> Measured:
    """Problem: the model or the delegate is refused."""
    import cv2  # noqa: F401 - loading the libraries is no part of loading a model
    import numpy as np  # noqa: F401

    from agent.inference import interpreter  # noqa: F401
    from agent.pipeline.models import Machine, open_model

    _load_runtime()
    if job.config.delegates not in (("xnnpack",), ("cpu",)):
        # The first time, what is asked for is compared with the CPU; the second time it is only loaded, in a process of its own again.
        with open_model(
            "model", job.config, machine=Machine(cache=job.cache), every=True, where="model", kind=job.kind
        ):
            pass
    began_ns = time.perf_counter_ns()
    with open_model(
        "model", job.config, machine=Machine(cache=job.cache), every=True, where="model", kind=job.kind
    ) as runner:
        record = sample(runner)
        runner.look(record)
        load_ms = (time.perf_counter_ns() - began_ns) / 1e6
        for _ in range(_WARM_UP):
            runner.look(record)
        began_ns = time.perf_counter_ns()
        bare, whole = _take_turns(runner.session.run, lambda: runner.look(record), job.seconds)
        return Measured(
            runtime=runner.runtime,
            delegate=runner.delegate,
            decoder=runner.decoder,
            degraded=runner.degraded,
            load_ms=load_ms,
            invoke=latency(bare),
            whole=latency(whole),
            rss_bytes=_rss_bytes(),
            seconds=(time.perf_counter_ns() - began_ns) / 1e9,
        )


def _load_runtime() -> None:
    """Whichever is installed; a refusal comes from the opening."""
    import importlib

    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            importlib.import_module(f"{package}.interpreter")
        except ImportError:
            continue
        return


def sample(runner: "Runner") -> Any:
    """What the model looks at: a picture of 640 × 480 with edges and shades, or a window of as many numbers as it takes."""
    import numpy as np

    from agent.records import Frame, SampleWindow

    if runner.windows is not None:
        size = runner.windows.size
        return SampleWindow(at_us=0, samples=np.sin(np.arange(size, dtype=np.float32)).reshape(1, size))
    return Frame(at_us=0, bgr=picture())


def picture() -> "NDArray[np.uint8]":
    import numpy as np

    width, height = FRAME_PX
    y, x = np.mgrid[0:height, 0:width]
    shades = [x * 255 / width, y * 255 / height, ((x // 40 + y // 40) % 2) * 180 + 40]
    return np.ascontiguousarray(np.stack(shades, axis=2).astype(np.uint8))


def _take_turns(bare: Callable[[], Any], whole: Callable[[], Any], seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds of each; at least `seconds` for both together and LEAST_QUERIES of each, but no longer than a minute without need."""
    took: tuple[list[float], list[float]] = ([], [])
    began = time.perf_counter()
    while True:
        for place, query in enumerate((bare, whole)):
            start_ns = time.perf_counter_ns()
            query()
            took[place].append((time.perf_counter_ns() - start_ns) / 1e6)
        over_s = time.perf_counter() - began
        if over_s >= max(seconds, _MOST_S) or (over_s >= seconds and len(took[0]) >= LEAST_QUERIES):
            return took


def latency(took_ms: list[float]) -> Latency:
    """Percentiles are the least of the measured values that so many of a hundred do not exceed (nearest rank)."""
    ranked = sorted(took_ms)

    def percentile(share: float) -> float:
        return ranked[max(0, math.ceil(share * len(ranked)) - 1)]

    return Latency(
        queries=len(ranked),
        mean_ms=sum(ranked) / len(ranked),
        p50_ms=percentile(0.5),
        p90_ms=percentile(0.9),
        p99_ms=percentile(0.99),
    )


def _rss_bytes() -> int:
    """Resident memory now of this process and of those it started (a GPU's session is one), from proc(5); 0 where there is none."""
    own = Path("/proc/self")
    children = [child for listed in own.glob("task/*/children") for child in _text(listed).split()]
    return sum(_resident(folder) for folder in (own, *(Path("/proc", child) for child in children)))


def _resident(folder: Path) -> int:
    line = next((line for line in _text(folder / "status").splitlines() if line.startswith("VmRSS:")), "")
    return int(line.split()[1]) * 1024 if line else 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

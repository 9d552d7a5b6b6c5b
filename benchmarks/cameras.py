"""A network camera: how old a picture is when the lane has it, what reading costs, and what 200 connections leave behind.

The camera is GStreamer's RTSP server on this machine, H.264 640x480 at 25 pictures a second, each with the moment of its making in it; it needs the
packages that tools/packages.sh names. Age is from that moment to the lane thread's taking it, through the source, its capture thread and the mailbox:
encoding and one picture's time (40 ms) are in it, since FFmpeg gives a picture out when the next one begins. Baseline: kind `camera`, the same camera
through OpenCV. CPU is that of this whole process over the same pictures.
"""

import gc
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.clock import SystemClock
from agent.pipeline.live import Live
from agent.records import Frame
from agent.sources import camera, rtsp
from benchmarks.figures import at_most, known, parser, say, skipped

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # the camera that the tests have

from peers.h264_server import H264Server, made_ms, missing

CLOCK = SystemClock()
WHERE = "lane.bench.source"
SIZE = {"width": 640, "height": 480}
TARGET_MS = 60.0
TARGET_BYTES = 2_000_000
LIMIT_S = 20.0


class Run(msgspec.Struct, kw_only=True):
    """Of one reading: ages in ms, the first picture's apart; CPU ms a second of the stream; seconds until the source was open."""

    ages_ms: list[float]
    first_ms: float
    cpu_ms: float
    opened_s: float
    frames_hz: float


@contextmanager
def reading(kind: Any, config: Any) -> Iterator[tuple[Any, Iterator[Any], threading.Event]]:
    """(the source, what a lane takes of it, what ends it)."""
    stop = threading.Event()
    live = Live(CLOCK, stop, stall_s=4.0, every_record=False)
    with kind.open_source(config, CLOCK, stop, WHERE) as source:
        thread = threading.Thread(target=live.capture, args=(source,))
        thread.start()
        try:
            yield source, live.records(lambda: False), stop
        finally:
            stop.set()
            thread.join(LIMIT_S)


def read(kind: Any, config: Any, seconds: float, *, quiet: bool = False) -> Run:
    began_s = time.monotonic()
    ages: list[float] = []
    with reading(kind, config) as (source, records, stop):
        opened_s = time.monotonic() - began_s
        if quiet:
            source.quiet(True)
        began_s = cpu_s = 0.0
        for record in records:
            if not isinstance(record, Frame):
                continue
            ages.append((CLOCK.boot_us() / 1000 - made_ms(record)) % 65536)
            if began_s == 0.0:
                began_s, cpu_s = time.monotonic(), time.process_time()
            elif time.monotonic() - began_s >= seconds:
                stop.set()
                break
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    return Run(
        ages_ms=ages[1:],
        first_ms=ages[0],
        cpu_ms=cpu_s * 1000 / took_s,
        opened_s=opened_s,
        frames_hz=(len(ages) - 1) / took_s,
    )


def ages(*, quick: bool, as_json: bool) -> None:
    seconds = 4.0 if quick else 30.0
    with H264Server(**SIZE) as server:
        ours = read(rtsp, rtsp.Config(url=server.url), seconds)
        plain = read(camera, camera.Config(url=server.url), seconds)
        still = read(rtsp, rtsp.Config(url=server.url, idle_decode="keyframes"), seconds, quiet=True)
    middle = (statistics.median(run.ages_ms) for run in (ours, plain))
    slowest = (statistics.quantiles(run.ages_ms, n=100)[98] for run in (ours, plain))
    say(at_most("age of a picture in the lane, median", next(middle), "ms", baseline=next(middle), target=TARGET_MS), as_json=as_json)  # fmt: skip
    say(known("age of a picture in the lane, of 1 in 100", next(slowest), "ms", baseline=next(slowest)), as_json=as_json)  # fmt: skip
    say(known("age of the first picture", ours.first_ms, "ms", baseline=plain.first_ms), as_json=as_json)
    say(known("time to open", ours.opened_s, "s", baseline=plain.opened_s), as_json=as_json)
    say(known("CPU a second of stream, every picture", ours.cpu_ms, "ms", baseline=plain.cpu_ms), as_json=as_json)
    say(known("CPU a second of stream, keyframes while quiet", still.cpu_ms, "ms", baseline=ours.cpu_ms), as_json=as_json)  # fmt: skip
    say(known("pictures a second, keyframes while quiet", still.frames_hz, "frames/s", baseline=ours.frames_hz), as_json=as_json)  # fmt: skip


def connections(*, quick: bool, as_json: bool) -> None:
    """What is left of many: the first 20 are not counted, since libraries load and arenas grow."""
    count = 40 if quick else 200
    with H264Server(**SIZE, group=5) as server:
        config = rtsp.Config(url=server.url)
        for _ in range(20):
            connect(config)
        before = left()
        for _ in range(count):
            connect(config)
        after = left()
    grown = [now - then for now, then in zip(after, before, strict=True)]
    say(at_most(f"memory grown over {count} connections", grown[0], "bytes", target=TARGET_BYTES), as_json=as_json)
    say(at_most(f"descriptors left of {count} connections", grown[1], "", target=0), as_json=as_json)
    say(at_most(f"threads left of {count} connections", grown[2], "", target=0), as_json=as_json)


def connect(config: rtsp.Config) -> None:
    with reading(rtsp, config) as (_, records, _stop):
        taken = 0
        for record in records:
            taken += isinstance(record, Frame)
            if taken == 2:
                return


def left() -> tuple[int, int, int]:
    """(resident bytes, descriptors, threads) of this process."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))  # noqa: PTH208


def main() -> int:
    arguments = parser(__doc__).parse_args()
    absent = missing()
    if absent is not None:
        skipped(f"cameras, for want of GStreamer's RTSP server: {absent}")
        return 0
    ages(quick=arguments.quick, as_json=arguments.json)
    connections(quick=arguments.quick, as_json=arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())

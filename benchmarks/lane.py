"""Frames of one camera lane, from the file to rows in SQLite, against two anchors in turns in one run, all with one thread for the model:

bare invoke: the model alone, again and again on one input. A lane cannot be faster; what it misses is decoding, preprocessing, rows.
plain loop:  what people write by hand: VideoCapture.read, resize, set_tensor, invoke, get_tensor, one row a frame, a commit each second.

The lane is the agent's own source, mailbox, loop, models, store, ticks and summaries, over the same video (MJPG, 640×480, pace "all").
Ratios are of rates, so 1 means as fast and less means slower: once by the wall (the lane decodes the next frame while the model runs),
once by the CPU time of the whole process. Each is the median of its rounds.
"""

import os
import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from agent.catalogue.entries import entries, find
from agent.catalogue.fetch import cached
from agent.clock import SystemClock
from agent.config.read import Loaded, read
from agent.pipeline import build
from agent.pipeline.live import FRAMES, Live
from agent.pipeline.run import hooks
from agent.pipeline.units import Units
from agent.records import Frame, LaneSecond
from agent.sources.reopening import Reopening
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.writer import open_store
from benchmarks.figures import at_least, known, parser, say, skipped
from demo.clip import FRAMES as CLIP_FRAMES
from demo.clip import write_clip

PROJECT = Path(__file__).parent.parent
TESTDATA = Path(os.environ.get("EDGE_AGENT_TESTDATA", PROJECT.parent / "shared" / "testdata"))
CLOCK = SystemClock()
WAIT_S = 60.0
# Shares of the plain loop's frames for the same CPU time, and of its frames a second.
TARGET_CPU = 0.9
TARGET_WALL = 1.0

_CONFIG = """version = 1
[device]
site = "bench"
name = "one"
data = "{folder}/data"
[lane.yard]
summaries = ["m1", "h1"]
[lane.yard.source]
kind = "camera"
url = "{clip}"
pace = "all"
loop = true
[lane.yard.model.model]
{model}
[store]
keep_free = "1 MB"
"""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A model to measure. table: its part of the config. frames: a round."""

    name: str
    path: Path
    table: str
    frames: int


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds a frame."""

    wall_s: float
    cpu_s: float


def main() -> None:
    arguments = parser(__doc__).parse_args()
    rounds = 5 if arguments.quick else 21
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = draw_clip(folder)
        for subject in subjects():
            frames = subject.frames // 2 if arguments.quick else subject.frames
            bare, plain, lane = [], [], []
            for number in range(rounds):
                bare.append(bare_invoke(subject, frames))
                plain.append(plain_loop(subject, clip, folder / f"plain-{subject.name}-{number}.sqlite", frames))
                lane.append(camera_lane(subject, clip, folder / f"{subject.name}-{number}", frames))
            _tell(subject.name, bare, plain, lane, as_json=arguments.json)


def _tell(name: str, bare: list[Took], plain: list[Took], lane: list[Took], *, as_json: bool) -> None:
    wall = {"bare": _ratio(bare, lane, _wall), "plain": _ratio(plain, lane, _wall)}
    cpu = {"bare": _ratio(bare, lane, _cpu), "plain": _ratio(plain, lane, _cpu)}
    for figure in (
        at_least(f"{name}: lane against a plain loop, wall", wall["plain"], "ratio", baseline=1.0, target=TARGET_WALL),
        at_least(f"{name}: lane against a plain loop, CPU", cpu["plain"], "ratio", baseline=1.0, target=TARGET_CPU),
        known(f"{name}: lane against bare invoke, wall", wall["bare"], "ratio", baseline=1.0),
        known(f"{name}: lane against bare invoke, CPU", cpu["bare"], "ratio", baseline=1.0),
        known(f"{name}: lane (baseline: plain loop)", _rate(lane), "frames/s", baseline=_rate(plain)),
        known(f"{name}: lane (baseline: bare invoke)", _rate(lane), "frames/s", baseline=_rate(bare)),
        known(f"{name}: lane, CPU a frame (baseline: plain loop)", _ms(lane), "ms", baseline=_ms(plain)),
        known(f"{name}: lane, CPU a frame (baseline: bare invoke)", _ms(lane), "ms", baseline=_ms(bare)),
    ):
        say(figure, as_json=as_json)


def _wall(took: Took) -> float:
    return took.wall_s


def _cpu(took: Took) -> float:
    return took.cpu_s


def _ratio(anchor: list[Took], ours: list[Took], of: Callable[[Took], float]) -> float:
    return round(statistics.median(of(one) / of(other) for one, other in zip(anchor, ours, strict=True)), 3)


def _rate(took: list[Took]) -> float:
    return round(1 / statistics.median(one.wall_s for one in took), 1)


def _ms(took: list[Took]) -> float:
    return round(statistics.median(one.cpu_s for one in took) * 1e3, 3)


def subjects() -> Iterator[Subject]:
    """A tiny model of our own, a face detector, a middling classifier; the last two where their files are."""
    view = PROJECT / "models" / "view-int8.tflite"
    yield Subject(name="view", path=view, table=f'path = "{view}"', frames=400)
    faces = cached(find("blazeface", entries()))
    if faces is None:
        skipped("BlazeFace is not in the cache: edge-agent models fetch blazeface")
    else:
        yield Subject(name="blazeface", path=faces, table='catalogue = "blazeface"\nscore = 0.6', frames=240)
    mobilenet = TESTDATA / "models" / "mobilenet_v2_1.0_224_quant.tflite"
    if not mobilenet.is_file():
        skipped(
            "MobileNetV2 is not here: EDGE_AGENT_TESTDATA names the folder with models/mobilenet_v2_1.0_224_quant.tflite"
        )
    else:
        labels = mobilenet.with_name("imagenet_labels.txt")
        table = f'path = "{mobilenet}"\nlabels = "{labels}"\ndecoder = "classification"\nbackground = true'
        yield Subject(name="mobilenet_v2", path=mobilenet, table=table, frames=60)


def draw_clip(folder: Path) -> Path:
    """The demo's clip, with faces; where its two portraits are not in the cache, drawn shapes that move."""
    portraits = [cached(find(name, entries())) for name in ("grace-hopper", "astronaut")]
    clip = folder / "clip.avi"
    if portraits[0] is not None and portraits[1] is not None:
        return write_clip(clip, portraits[0], portraits[1])
    skipped(
        "faces: the demo's portraits are not in the cache (edge-agent models fetch grace-hopper astronaut); shapes are shown"
    )
    rng = np.random.default_rng(5)
    scene = cv2.resize(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8), (640, 480))
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 16, (640, 480))
    for number in range(CLIP_FRAMES):
        writer.write(np.roll(scene, 4 * number, axis=1))
    writer.release()
    return clip


@contextmanager
def _timed(frames: int, into: list[Took]) -> Iterator[None]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    yield
    into.append(Took(wall_s=(time.perf_counter() - wall_s) / frames, cpu_s=(time.process_time() - cpu_s) / frames))


def _interpreter(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    return interpreter


def bare_invoke(subject: Subject, frames: int) -> Took:
    interpreter = _interpreter(subject.path)
    took: list[Took] = []
    with _timed(frames, took):
        for _ in range(frames):
            interpreter.invoke()
    return took[0]


def plain_loop(subject: Subject, clip: Path, database: Path, frames: int) -> Took:
    """A script as people write it. The row holds the greatest output; boxes are not decoded."""
    interpreter = _interpreter(subject.path)
    given, outputs = interpreter.get_input_details()[0], interpreter.get_output_details()
    size = (int(given["shape"][2]), int(given["shape"][1]))
    took: list[Took] = []
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE result (at REAL, label INTEGER, score REAL)")
        with _timed(frames, took):
            capture = cv2.VideoCapture(str(clip))
            committed = time.monotonic()
            for _ in range(frames):
                read_one, picture = capture.read()
                if not read_one:
                    capture = cv2.VideoCapture(str(clip))
                    _, picture = capture.read()
                small = cv2.cvtColor(cv2.resize(picture, size), cv2.COLOR_BGR2RGB)
                if given["dtype"] == np.float32:
                    small = small.astype(np.float32) / 127.5 - 1.0
                interpreter.set_tensor(given["index"], small[None])
                interpreter.invoke()
                scores = interpreter.get_tensor(outputs[-1]["index"]).reshape(-1)
                best = int(scores.argmax())
                connection.execute("INSERT INTO result VALUES (?, ?, ?)", (time.time(), best, float(scores[best])))
                if time.monotonic() - committed >= 1.0:
                    connection.commit()
                    committed = time.monotonic()
            connection.commit()
            capture.release()
    return took[0]


def camera_lane(subject: Subject, clip: Path, folder: Path, frames: int) -> Took:
    """As agent/pipeline/run.py and live_lane.py put it together, ended after so many frames."""
    folder.mkdir()
    path = folder / "edge-agent.toml"
    path.write_text(_CONFIG.format(folder=folder, clip=clip, model=subject.table))
    loaded = read(path)
    units = Units()
    with open_store(
        Path(loaded.file.device.data), clock=CLOCK, device=loaded.device, settings=loaded.file.store, names=build.names(loaded.file),
        grains=build.grains(loaded.file), hooks=hooks(loaded, units),
    ) as store:  # fmt: skip
        store.submit(clock_job(CLOCK.reading()), ends_group=True).wait(WAIT_S)

        def submit(second: LaneSecond) -> None:
            store.submit(lane_second_job(second))

        with build.open_models("yard", loaded.file.lane["yard"], build.replay_machine(loaded.file)) as opened:
            loop = build.new_loop("yard", loaded.file.lane["yard"], {}, opened.runners, submit, units)
            opened.runners["model"].session.run()

            def finish() -> None:
                store.submit(lambda _: None, ends_group=True).wait(WAIT_S)

            took = _push(loaded, loop.take, finish, frames)
        with store.read() as connection:
            counted = connection.execute("SELECT sum(inferred), sum(failed), sum(dropped) FROM tick").fetchone()
            rows = connection.execute("SELECT count(*) FROM result").fetchone()[0]
    if counted != (frames, 0, 0) or (subject.name != "blazeface" and rows < frames):
        raise AssertionError(f"{subject.name}: {counted} of {frames} frames, {rows} rows: not what was to be measured")
    return took


def _push(loaded: Loaded, take: Callable[[Any], None], finish: Callable[[], None], frames: int) -> Took:
    """Timed from the start of the capture thread until all is on the medium. Its end is not: it may wait 0.25 s for a place."""
    lane = loaded.file.lane["yard"]
    kind, config = build.source_kind(lane), lane.source.config
    stop = threading.Event()
    live = Live(CLOCK, stop, stall_s=config.stall_s, every_record=kind.every_record(config), places=FRAMES)
    took: list[Took] = []
    with Reopening(
        lambda: kind.open_source(config, CLOCK, stop, "lane.yard.source"), clock=CLOCK, stop=stop, rng=random.Random(1)
    ) as source:
        capture = threading.Thread(target=live.capture, args=(source,), daemon=True)
        left = frames
        try:
            with _timed(frames, took):
                capture.start()
                for record in live.records(lambda: False):
                    take(record)
                    left -= isinstance(record, Frame)
                    if left == 0:
                        stop.set()
                finish()
        finally:
            stop.set()
            capture.join(WAIT_S)
    return took[0]


if __name__ == "__main__":
    main()

"""From a frame to its result (fill the input, run, decode) against the model alone, again and again on one input; one thread each.

CPU time of the whole process. A round is a block of bare runs, one of looks that sample linearly, and the input filled linearly and with
`linear-area`, the default, which averages where a frame shrinks by more than 2; each figure is the median over the rounds. Then the input
alone (the shortest of many), and sessions that share the cores.
"""

import os
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import msgspec
import numpy as np

from agent.catalogue.entries import entries, find
from agent.catalogue.fetch import cached
from agent.inference import Session, Tensor
from agent.inference.interpreter import open_session
from agent.inference.model import Config
from agent.inference.preprocess import Preprocess
from agent.inference.turns import Turns, own_cores
from agent.pipeline.models import Machine, open_model
from agent.pipeline.runner import Runner
from agent.problems import Problem
from agent.records import Frame
from agent.values import RelativePath
from benchmarks.figures import Figure, at_least, at_most, known, parser, say, skipped

PROJECT = Path(__file__).parents[1]
TESTDATA = Path(os.environ.get("EDGE_AGENT_TESTDATA", PROJECT.parent / "shared" / "testdata"))
SIZES = {"640x480": (480, 640), "1080p": (1080, 1920)}
# A model of 4 ms or more may cost this much more, a smaller one so many ms more (float32 pixels: of 1080p twice as many).
LARGE_MS = 4.0
RATIO = {"640x480": 1.08, "1080p": 1.10}
ADDED_MS = {"640x480": 0.3, "1080p": 0.3}
ADDED_FLOAT_MS = {"640x480": 0.3, "1080p": 0.6}
# What averaging costs on top of linear sampling.
AVERAGED_MS = {"640x480": 0.3, "1080p": 0.5}
LETTERBOX_MS, SHRUNK_MS = 0.05, 0.2
FAIR = 0.8
# Bare run of mobilenet_v1_0.25_128 where the targets in ms were set: how much slower this machine is, and they are not scaled by it.
REFERENCE_MS = 0.43


class Looks(msgspec.Struct, frozen=True):
    """CPU ms of one, medians. ratio, added_ms: linear looks against bare runs of the same round. averaged_ms: what `linear-area` adds to `linear`."""

    bare_ms: float
    ratio: float
    added_ms: float
    averaged_ms: float


def main() -> None:
    arguments = parser(__doc__).parse_args()
    # As many as the models have: else the pool's threads wait actively and count as work.
    cv2.setNumThreads(1)
    rounds, block_s = (6, 0.03) if arguments.quick else (40, 0.12)
    found = models()
    if "mobilenet_v1_0.25_128" in found:
        say(slowness(found["mobilenet_v1_0.25_128"], rounds, block_s), as_json=arguments.json)
    for name, path in found.items():
        for size in SIZES:
            for figure in looks(name, path, size, rounds, block_s):
                say(figure, as_json=arguments.json)
    for figure in inputs(200 if arguments.quick else 1000):
        say(figure, as_json=arguments.json)
    if "mobilenet_v2_1.0_224" in found:
        for figure in shares(found["mobilenet_v2_1.0_224"], 1.0 if arguments.quick else 5.0):
            say(figure, as_json=arguments.json)


def models() -> dict[str, Path]:
    """Those that are on this machine."""
    found = {}
    for name, path in (
        ("mobilenet_v1_0.25_128", TESTDATA / "models" / "mobilenet_v1_0.25_128_quant.tflite"),
        ("mobilenet_v2_1.0_224", TESTDATA / "models" / "mobilenet_v2_1.0_224_quant.tflite"),
        ("movenet_lightning", TESTDATA / "models" / "movenet_single_pose_lightning_ptq.tflite"),
        ("deeplab_513", TESTDATA / "models" / "deeplabv3_mnv2_dm05_pascal_quant.tflite"),
        ("yolov8n_int8", TESTDATA / "models" / "yolov8n_int8.tflite"),
        ("blazeface", cached(find("blazeface", entries()))),
        ("view", PROJECT / "models" / "view-int8.tflite"),
    ):
        if path is not None and path.is_file():
            found[name] = path
        else:
            skipped(f"{name}: it is not on this machine")
    return found


def slowness(path: Path, rounds: int, block_s: float) -> Figure:
    """The least of some blocks, so that neighbours on the machine do not count."""
    with open_session(path.read_bytes(), where="mobilenet_v1_0.25_128") as bare:
        count = max(2, round(block_s / cpu_s(bare.run, 3)))
        least_ms = min(cpu_s(bare.run, count) for _ in range(rounds)) * 1e3
    return known(
        "this machine: bare mobilenet_v1_0.25_128 / where the targets were set",
        least_ms / REFERENCE_MS,
        "x",
        baseline=REFERENCE_MS,
    )


def picture(height: int, width: int) -> np.ndarray:
    """Some structure at every scale."""
    noise = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def looks(name: str, path: Path, size: str, rounds: int, block_s: float) -> list[Figure]:
    frame = Frame(at_us=0, bgr=picture(*SIZES[size]))
    with ExitStack() as stack:
        try:
            linear, averaging = (
                stack.enter_context(opened(name, path, interpolation)) for interpolation in ("linear", "linear-area")
            )
        except Problem as problem:
            skipped(f"{name}: {problem}")
            return []
        bare = stack.enter_context(open_session(path.read_bytes(), where=name))
        found = measure(bare, linear, averaging, frame, rounds, block_s)
        in_floats = linear.session.inputs[linear.input_index].dtype.startswith("float")
    title = f"{name} {size}"
    against = f"{title}: frame to result / invoke"
    if found.bare_ms >= LARGE_MS:
        figures = [at_most(against, found.ratio, "x", baseline=1.0, target=RATIO[size])]
    else:
        most_ms = (ADDED_FLOAT_MS if in_floats else ADDED_MS)[size]
        figures = [
            known(against, found.ratio, "x", baseline=1.0),
            at_most(f"{title}: added to invoke", found.added_ms, "ms", baseline=found.bare_ms, target=most_ms),
        ]
    figures.append(at_most(f"{title}: averaging adds", found.averaged_ms, "ms", target=AVERAGED_MS[size]))
    return figures


def opened(name: str, path: Path, interpolation: str, turns: Turns | None = None):  # type: ignore[no-untyped-def]
    config = Config(path=RelativePath(path), interpolation=interpolation, delegates=("xnnpack",))  # type: ignore[arg-type]
    return open_model(name, config, machine=Machine(turns=turns), where=name, kind="frame")


def measure(bare: Session, linear: Runner, averaging: Runner, frame: Frame, rounds: int, block_s: float) -> Looks:
    assert linear.frames is not None
    assert averaging.frames is not None
    sampled, averaged = linear.frames, averaging.frames
    count = max(2, round(block_s / cpu_s(bare.run, 3)))
    few = max(10, round(block_s / 4 / cpu_s(lambda: averaged.fill(frame.pixels), 3)))
    blocks = []
    for _ in range(rounds):
        alone_ms, look_ms = (cpu_s(work, count) * 1e3 for work in (bare.run, lambda: linear.look(frame)))
        fills = (cpu_s(lambda into=into: into.fill(frame.pixels), few) * 1e3 for into in (sampled, averaged))  # type: ignore[misc]
        blocks.append((alone_ms, look_ms, *fills))
    return Looks(
        bare_ms=statistics.median(alone for alone, *_ in blocks),
        ratio=statistics.median(look / alone for alone, look, *_ in blocks),
        added_ms=statistics.median(look - alone for alone, look, *_ in blocks),
        averaged_ms=statistics.median(slow - fast for *_, fast, slow in blocks),
    )


def inputs(count: int) -> list[Figure]:
    """Filling an input, without a model."""
    units = Tensor(name="image", shape=(1, 640, 640, 3), dtype="int8", scale=1 / 255, zero_point=-128)
    cases = (
        ("letterbox 640 from 640x480, uint8", msgspec.structs.replace(units, dtype="uint8", scale=0.0, zero_point=0)),
        ("letterbox 640 from 640x480, int8", units),
        (
            "letterbox 640 from 640x480, float32",
            msgspec.structs.replace(units, dtype="float32", scale=0.0, zero_point=0),
        ),
    )
    figures = []
    for name, tensor in cases:
        took_ms = fill_ms(tensor, "640x480", "letterbox", "linear", count)
        if tensor.dtype == "float32":
            figures.append(known(name, took_ms, "ms"))
        else:
            figures.append(at_most(name, took_ms, "ms", target=LETTERBOX_MS))
    small = Tensor(name="image", shape=(1, 224, 224, 3), dtype="uint8", scale=0.0, zero_point=0)
    took_ms = fill_ms(small, "1080p", "stretch", "linear", count)
    figures.append(at_most("224 from 1080p, uint8, linear", took_ms, "ms", target=SHRUNK_MS))
    return figures


def fill_ms(tensor: Tensor, size: str, resize: str, interpolation: str, count: int) -> float:
    """The shortest of `count`."""
    memory = np.zeros(tensor.shape, tensor.dtype)
    preprocess = Preprocess(tensor, memory, resize=resize, interpolation=interpolation, where=size)
    frame = picture(*SIZES[size])
    preprocess.fill(frame)
    shortest_ns = 1 << 62
    for _ in range(count):
        began = time.perf_counter_ns()
        preprocess.fill(frame)
        shortest_ns = min(shortest_ns, time.perf_counter_ns() - began)
    return shortest_ns / 1e6


def shares(path: Path, length_s: float) -> list[Figure]:
    """The fewest looks of a lane against the most, on as many cores and on half as many as there are lanes."""
    figures = []
    for lanes in (own_cores(), 2 * own_cores() + 1):
        alone = fewest_of_most(path, lanes, length_s, None)
        fair = fewest_of_most(path, lanes, length_s, Turns())
        figures.append(
            at_least(
                f"{lanes} lanes on {own_cores()} cores: fewest looks / most", fair, "x", baseline=alone, target=FAIR
            )
        )
    return figures


def fewest_of_most(path: Path, lanes: int, length_s: float, turns: Turns | None) -> float:
    frame = Frame(at_us=0, bgr=picture(*SIZES["640x480"]))
    counts = [0] * lanes
    stop = threading.Event()
    together = threading.Barrier(lanes + 1)

    def work(lane: int, runner: Runner) -> None:
        runner.look(frame)
        together.wait()
        while not stop.is_set():
            runner.look(frame)
            counts[lane] += 1

    with ExitStack() as stack:
        runners = [stack.enter_context(opened(f"lane {lane}", path, "linear", turns)) for lane in range(lanes)]
        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(runners)]
        for thread in threads:
            thread.start()
        together.wait()
        stop.wait(length_s)
        stop.set()
        for thread in threads:
            thread.join()
    return min(counts) / max(1, max(counts))


def cpu_s(work: Callable[[], object], count: int) -> float:
    """CPU seconds of one, all threads of the process."""
    began = time.process_time()
    for _ in range(count):
        work()
    return max(1e-6, (time.process_time() - began) / count)


if __name__ == "__main__":
    main()

"""From a frame to detections (fill the input, run, decode) against the model alone, again and again on one input; one thread each.

CPU time of the whole process, in turns of blocks of frames in one run; each figure is the median over the rounds of (ours - bare) or ours / bare.
`linear` samples the frame as most programs do; `linear-area`, the default, averages where a frame shrinks by more than 2, so that small
models see what is there.
"""

import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from agent.catalogue.entries import entries, find
from agent.catalogue.fetch import cached
from agent.inference.interpreter import open_session
from agent.inference.model import Config
from agent.pipeline.models import Runner, open_model
from agent.records import Frame
from agent.values import RelativePath
from benchmarks.figures import Figure, at_most, known, parser, say, skipped

TESTDATA = Path(os.environ.get("EDGE_AGENT_TESTDATA", Path(__file__).parents[2] / "shared" / "testdata"))
SIZES = {"640x480": (480, 640), "1080p": (1080, 1920)}
# A model of 4 ms or more may cost a tenth more; a smaller one so many ms more, by the frame's size. Averaging costs about half a ms.
RATIO = {"linear": 1.10, "linear-area": 1.20}
ADDED_MS = {
    ("linear", "640x480"): 0.3,
    ("linear", "1080p"): 0.6,
    ("linear-area", "640x480"): 0.8,
    ("linear-area", "1080p"): 1.1,
}
LARGE_MS = 4.0


def main() -> None:
    arguments = parser(__doc__).parse_args()
    rounds, block_s = (12, 0.04) if arguments.quick else (60, 0.1)
    for name, path in models().items():
        with ExitStack() as stack:
            for size, (height, width) in SIZES.items():
                frame = Frame(at_us=0, pixels=picture(height, width))
                for interpolation in ("linear", "linear-area"):
                    config = Config(path=RelativePath(path), interpolation=interpolation)
                    runner = stack.enter_context(open_model(name, config, where=name, kind="frame"))
                    for figure in measure(f"{name} {size} {interpolation}", path, runner, frame, rounds, block_s):
                        say(figure, as_json=arguments.json)


def models() -> dict[str, Path]:
    """Those that are on this machine."""
    found = {}
    for name, path in (
        ("mobilenet_v1_0.25_128", TESTDATA / "models" / "mobilenet_v1_0.25_128_quant.tflite"),
        ("mobilenet_v2_1.0_224", TESTDATA / "models" / "mobilenet_v2_1.0_224_quant.tflite"),
        ("blazeface", cached(find("blazeface", entries()))),
    ):
        if path is not None and path.is_file():
            found[name] = path
        else:
            skipped(f"{name}: it is not on this machine")
    return found


def picture(height: int, width: int) -> np.ndarray:
    """Some structure at every scale."""
    noise = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def measure(name: str, path: Path, runner: Runner, frame: Frame, rounds: int, block_s: float) -> list[Figure]:
    with open_session(path.read_bytes(), where=name) as bare:
        one_s = cpu_s(bare.run, 3)
        count = max(2, round(block_s / one_s))
        pairs = []
        for _ in range(rounds):
            bare_s = cpu_s(bare.run, count)
            ours_s = cpu_s(lambda: runner.look(frame), count)
            pairs.append((bare_s * 1e3, ours_s * 1e3))
    bare_ms = statistics.median(pair[0] for pair in pairs)
    ratio = statistics.median(ours / alone for alone, ours in pairs)
    added_ms = statistics.median(ours - alone for alone, ours in pairs)
    interpolation, size = name.split()[-1], name.split()[-2]
    if bare_ms >= LARGE_MS:
        return [at_most(f"{name}: frame to detections / invoke", ratio, "x", baseline=1.0, target=RATIO[interpolation])]
    return [
        known(f"{name}: frame to detections / invoke", ratio, "x", baseline=1.0),
        at_most(f"{name}: added to invoke", added_ms, "ms", baseline=bare_ms, target=ADDED_MS[interpolation, size]),
    ]


def cpu_s(work: Callable[[], object], count: int) -> float:
    """CPU seconds of one, all threads of the process."""
    began = time.process_time()
    for _ in range(count):
        work()
    return max(1e-6, (time.process_time() - began) / count)


if __name__ == "__main__":
    main()

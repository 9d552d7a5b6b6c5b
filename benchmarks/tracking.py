"""What it costs to follow and count: milliseconds an input, at 20 objects, of the tracker alone and with 3 lines and 3 zones, on one thread.

People walk through a generated picture and hide each other (tests/peers/walkers.py). `--json`: a line a figure. `--quick`: fewer rounds.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

from agent.events.following import Following
from agent.events.settings import Line, Tracker, Zone
from agent.records import Detections, Inference
from benchmarks.figures import at_most, parser, say

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

OBJECTS = 20
ZONES = {
    f"zone-{number}": Zone(
        polygon=((0.3 * number, 0.3), (0.3 * number + 0.3, 0.3), (0.3 * number + 0.3, 1.0), (0.3 * number, 1.0))
    )
    for number in range(3)
}
LINES = {f"line-{number}": Line(from_=(0.25 * number + 0.25, 1.0), to=(0.25 * number + 0.25, 0.0)) for number in range(3)}  # fmt: skip


def main() -> int:
    arguments = parser(__doc__).parse_args()
    rounds = 3 if arguments.quick else 10
    frames = crowd()
    for name, zones, lines in (("track", {}, {}), ("track and count", ZONES, LINES)):
        times = [one for _ in range(rounds) for one in milliseconds(frames, zones, lines)]
        say(
            at_most(f"{name}, {OBJECTS} objects, median", statistics.median(times), "ms", target=1.0),
            as_json=arguments.json,
        )
        say(
            at_most(f"{name}, {OBJECTS} objects, p95", float(np.quantile(times, 0.95)), "ms", target=1.0),
            as_json=arguments.json,
        )
    return 0


def crowd() -> list[tuple[int, Detections]]:
    """Inputs on which about 20 people are seen."""
    from peers.walkers import walkers

    seen = walkers(np.random.default_rng(7), count=90, seconds=20.0)
    size = np.array([1920, 1080, 1920, 1080], np.float32)
    full = [one for one in seen if len(one.boxes) >= OBJECTS]
    return [
        (one.at_us, Detections(labels=("person",) * OBJECTS, scores=one.scores[:OBJECTS], boxes=one.boxes[:OBJECTS] / size))
        for one in full
    ]  # fmt: skip


def milliseconds(frames: list[tuple[int, Detections]], zones: dict[str, Zone], lines: dict[str, Line]) -> list[float]:
    following = Following(Tracker(), ["people"], zones, lines)
    found = []
    for at_us, detections in frames:
        begin_ns = time.thread_time_ns()
        tracked = following.track("people", at_us, detections)
        if zones:
            following.count(Inference(model="people", at_us=at_us, detections=tracked, took_ms=0.0))
        found.append((time.thread_time_ns() - begin_ns) / 1e6)
    return found


if __name__ == "__main__":
    raise SystemExit(main())

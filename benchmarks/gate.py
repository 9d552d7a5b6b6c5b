"""The motion gate and the health of pictures: milliseconds a frame in one thread, and what the gate finds in generated pictures with a known truth.

Frames are a textured scene with noise of 4 grey levels; cameras' planes (Y) and BGR, still and with an object that crosses. Beside it the plainest
gate that people write, as anchor: a grey copy of 160 × 120, absdiff to the frame before, threshold, countNonZero. Hits are the percentage of frames with
an object in which the gate saw motion, false is that of frames without one: noise, drift by ±15 levels, one light that is switched.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec

from agent.gating.motion import Config, Motion
from agent.health.pictures import Pictures
from agent.health.settings import Picture
from agent.records import Frame
from benchmarks.figures import at_least, at_most, known, parser, say

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from peers.scenes import Scene, crossings

# Milliseconds a frame; a picture's health is measured once a second.
TARGETS_MS = {("640x480", "BGR"): 0.25, ("640x480", "Y"): 0.25, ("1080p", "BGR"): 0.8, ("1080p", "Y"): 0.8}
HEALTH_MS = 0.15
HIT_PERCENT, FALSE_PERCENT = 100.0, 3.0
SIZES = {"640x480": (640, 480), "1080p": (1920, 1080)}
FRAMES = 40
HZ = 5.0


def main() -> None:
    arguments = parser(__doc__).parse_args()
    cv2.setNumThreads(1)
    rounds = 5 if arguments.quick else 25
    for (size, form), target in TARGETS_MS.items():
        still, moving = frames(size, form, moving=False), frames(size, form, moving=True)
        plain = median_ms(still, rounds, plain_gate())
        name = f"gate, {size} {form}"
        gate = Motion(Config())
        say(
            at_most(f"{name}, still", median_ms(still, rounds, gate.take), "ms", baseline=plain, target=target),
            as_json=arguments.json,
        )
        gate = Motion(Config())
        say(
            known(f"{name}, moving", median_ms(moving, rounds, gate.take), "ms", baseline=plain), as_json=arguments.json
        )
        health = Pictures(Picture())
        took_ms = median_ms(still, rounds, health.take, apart_s=1.0)
        say(
            at_most(f"picture health, {size} {form}, once a second", took_ms, "ms", target=HEALTH_MS),
            as_json=arguments.json,
        )
    seconds = 120 if arguments.quick else 600
    for form, (side_px, contrast, sigma) in itertools.product(
        ("BGR", "Y"), ((40, 60, 4), (16, 60, 4), (40, 60, 12), (16, 40, 12))
    ):
        hit, false = rates(form, side_px, contrast, sigma, seconds)
        name = f"{form} {side_px} px, contrast {contrast}, noise {sigma}"
        say(at_least(f"hits, {name}", hit, "%", target=HIT_PERCENT), as_json=arguments.json)
        say(at_most(f"false, {name}", false, "%", target=FALSE_PERCENT), as_json=arguments.json)


def frames(size: str, form: str, *, moving: bool) -> list[Frame]:
    width, height = SIZES[size]
    scene = Scene(
        width=width, height=height, object=lambda at_s: (0.1 + 0.1 * at_s, 0.5, width / 16, 60) if moving else None
    )
    return [scene.frame(number / HZ, luma=form == "Y") for number in range(FRAMES)]


def median_ms(shown: list[Frame], rounds: int, take: Callable[[Frame], object], *, apart_s: float = 1 / HZ) -> float:
    """apart_s: by the frames' own times, which go on from round to round."""
    took = []
    for number in range(rounds * len(shown)):
        frame = msgspec.structs.replace(shown[number % len(shown)], at_us=round(number * apart_s * 1e6))
        began = time.perf_counter_ns()
        take(frame)
        took.append((time.perf_counter_ns() - began) / 1e6)
    return round(statistics.median(took), 3)


def plain_gate() -> Callable[[Frame], object]:
    before = None

    def take(frame: Frame) -> bool:
        nonlocal before
        source = frame.luma if frame.luma is not None else frame.pixels
        small = cv2.resize(source, (160, 120))
        grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        moved = (
            before is not None
            and cv2.countNonZero(cv2.threshold(cv2.absdiff(grey, before), 25, 255, cv2.THRESH_BINARY)[1]) > 10
        )
        before = grey
        return moved

    return take


def rates(form: str, side_px: float, contrast: float, sigma: float, seconds: int) -> tuple[float, float]:
    """Percentages of hits and of false motion."""
    scene = Scene(
        sigma=sigma,
        drift=15,
        gain=lambda at_s: 1.0 if at_s < seconds / 2 else 0.55,
        object=crossings(side_px, contrast),
    )
    gate = Motion(Config())
    seen: dict[bool, list[bool]] = {True: [], False: []}
    for number in range(round(seconds * HZ)):
        gate.take(scene.frame(number / HZ, luma=form == "Y"))
        seen[scene.object(number / HZ) is not None].append(gate.moving)
    return round(100 * statistics.mean(seen[True]), 2), round(100 * statistics.mean(seen[False]), 2)


if __name__ == "__main__":
    main()

"""People who walk through a picture, and what a detector makes of them: crossings, occlusion by who is nearer, misses that last, false alarms, boxes
that jitter, a camera that shakes. Who is who is known.

scene = walkers(np.random.default_rng(1), count=20); for frame in scene: frame.at_us, frame.boxes, frame.scores, frame.people
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 1_920.0, 1_080.0


class Seen(NamedTuple):
    """people: who each detection is, 0 for a false alarm; present: who is there, seen or not."""

    at_us: int
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    people: NDArray[np.int64]
    present: set[int]


class Person(NamedTuple):
    begin_s: float
    end_s: float
    height_px: float
    x_px: float
    foot_px: float
    speed_px: float
    waits: bool


def walkers(
    rng: np.random.Generator, *, count: int = 20, rate_hz: float = 30.0, seconds: float = 30.0, missed: float = 0.02, false: float = 0.05,
    jitter: float = 0.03, shake_px: float = 0.0,
) -> list[Seen]:  # fmt: skip
    """missed: how often a person begins to be missed; false: alarms a person and frame; jitter: of a box, in heights."""
    people = [_person(rng, seconds) for _ in range(count)]
    missing, off, frames = set[int](), np.zeros(2), []
    for frame in range(round(seconds * rate_hz)):
        now_s = frame / rate_hz
        off = off * 0.95 + rng.normal(0, shake_px, 2)
        there = {number: _box(one, now_s) for number, one in enumerate(people, 1) if one.begin_s <= now_s < one.end_s}
        there = {number: box for number, box in there.items() if box[2] > 0 and box[0] < WIDTH_PX}
        rows: list[tuple[NDArray[np.float64], float, int]] = []
        for number, box in there.items():
            hidden = max((_covered(box, other) for other in there.values() if other[3] > box[3]), default=0.0)
            stays = 0.9 ** (30 / rate_hz)  # missed for a third of a second on the average
            missed_now = rng.random() < (stays if number in missing else missed * 30 / rate_hz)
            missing = missing | {number} if missed_now else missing - {number}
            if hidden < 0.7 and not missed_now:
                noise = rng.normal(0, jitter * (box[3] - box[1]), 4) * [0.5, 0.7, 0.5, 0.7]
                rows.append((box + noise, float(np.clip(0.85 - 0.6 * hidden + rng.normal(0, 0.08), 0.05, 1.0)), number))
        for _ in range(rng.poisson(false * len(there))):
            x, y, height = rng.uniform(0, WIDTH_PX), rng.uniform(400, 1_000), rng.uniform(100, 300)
            box = np.array([x - height * 0.2, y - height, x + height * 0.2, y])
            rows.append((box, float(np.clip(rng.normal(0.3, 0.1), 0.05, 0.9)), 0))
        boxes = np.array([box + np.tile(off, 2) for box, _, _ in rows], np.float32).reshape(-1, 4)
        frames.append(
            Seen(
                round(now_s * 1e6), boxes, np.array([score for _, score, _ in rows], np.float32),
                np.array([number for _, _, number in rows], np.int64), set(there),
            )
        )  # fmt: skip
    return frames


def _person(rng: np.random.Generator, seconds: float) -> Person:
    begin_s, height_px, way = rng.uniform(0, seconds * 0.6), rng.uniform(120, 350), rng.choice([-1, 1])
    x_px = rng.uniform(200, WIDTH_PX - 200) if rng.random() < 0.3 else (-50 if way > 0 else WIDTH_PX + 50)
    speed_px = way * rng.uniform(0.25, 0.6) * height_px
    return Person(
        begin_s, begin_s + rng.uniform(8, 20), height_px, x_px, rng.uniform(500, 1_000), speed_px, rng.random() < 0.2
    )


def _box(one: Person, now_s: float) -> NDArray[np.float64]:
    """Who waits stands still for a fifth of the time in the middle."""
    walked_s, whole_s = now_s - one.begin_s, one.end_s - one.begin_s
    if one.waits:
        walked_s = min(walked_s, 0.4 * whole_s) + max(0.0, walked_s - 0.6 * whole_s)
    x_px = one.x_px + one.speed_px * walked_s
    return np.array([x_px - one.height_px * 0.2, one.foot_px - one.height_px, x_px + one.height_px * 0.2, one.foot_px])


def _covered(box: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The share of a box that another one hides."""
    across = min(box[2], other[2]) - max(box[0], other[0])
    down = min(box[3], other[3]) - max(box[1], other[1])
    return float(max(0.0, across) * max(0.0, down) / ((box[2] - box[0]) * (box[3] - box[1])))

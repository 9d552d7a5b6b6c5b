"""What a lane gives the store in the benchmarks: 25 inputs a second with two faces each, their ticks, and an event that begins or ends every
two and a half minutes; on the way the agent's own hooks make minute, hour and event items of it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agent.clock import SystemClock
from agent.records import Detections, Event, Inference, LaneSecond, Tick
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config
from agent.store.transaction import Job
from agent.store.writer import Store, open_store
from agent.summaries import event_items, result_items, rollup, totals
from agent.values import Bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

LANE = "yard"
# Results a lane's second.
SECOND = 50
WAIT_S = 60.0
# A day after the start of the device: a time takes six bytes, as it mostly does.
_BEGIN_US = 10**11
_EVENT_EVERY_US = 150_000_000
_RNG = np.random.default_rng(1)


class Load(NamedTuple):
    """groups: the jobs of each commit. results, events: how many there are in all of them."""

    groups: Sequence[Sequence[Job]]
    results: int
    events: int


def load(size: int, groups: int) -> Load:
    """groups: how many commits of `size` results each; an event lies in the last second of one, for it ends its group."""
    made: list[Sequence[Job]] = []
    at_us, events = _BEGIN_US, 0
    for _ in range(groups):
        jobs = []
        for first in range(0, size, SECOND):
            at_us += 1_000_000
            happened: tuple[Event, ...] = ()
            if first + SECOND >= size and (at_us - _BEGIN_US) // _EVENT_EVERY_US > events:
                events += 1
                happened = (_event(at_us - 500_000, "start" if events % 2 else "end"),)
            jobs.append(busy_second(at_us, min(SECOND, size - first) // 2, happened))
        made.append(jobs)
    return Load(made, size * groups, events)


def idle_second(at_us: int) -> Job:
    """A lane whose source is open and gives nothing."""
    return lane_second_job(
        LaneSecond(
            lane=LANE, tick=Tick(at_us=at_us, alive_us=1_000_000, dropped=0), seen=0, gated=0, inferred=0, failed=0,
            inferences=(), events=(), models={}, measured={}, latencies={},
        )
    )  # fmt: skip


def event_second(at_us: int) -> Job:
    """A second that an event closes early."""
    return busy_second(at_us, 1, (_event(at_us, "start"),))


def busy_second(at_us: int, inputs: int = SECOND // 2, events: tuple[Event, ...] = ()) -> Job:
    return lane_second_job(_second(at_us, inputs, events))


def walking_second(at_us: int, inputs: int = SECOND // 2) -> Job:
    """Two faces that walk through the picture, as a detector sees them: boxes tremble by 0.2 % of the picture, scores by 2 %."""
    time_s = at_us / 1e6 + np.arange(inputs)[:, None] / inputs
    left = 0.4 + 0.3 * np.sin(time_s / np.array([7.0, 11.0]))
    top = 0.3 + 0.1 * np.sin(time_s / np.array([5.0, 13.0]))
    corners = np.stack([left, top, left + 0.08, top + 0.14], axis=2) + _RNG.normal(0, 0.002, (inputs, 2, 4))
    scores = 0.9 + _RNG.normal(0, 0.02, (inputs, 2))
    return lane_second_job(_second(at_us, inputs, (), corners.astype(np.float32), scores.clip(0, 1).astype(np.float32)))


@contextmanager
def open_loaded(
    folder: Path, *, device: str = "bench/one", grains: Sequence[int] = (60, 3600), results: bool = False
) -> Iterator[Store]:
    """The store as the agent opens it for such a lane. results: `[sync] results`."""
    clock = SystemClock()
    with open_store(
        folder,
        clock=clock,
        device=device,
        settings=Config(keep_free=Bytes(0), max_loss_s=60.0),
        hooks=[
            event_items.hook(),
            rollup.hook("sha256:" + 64 * "0", {LANE: {"faces": 64 * "0"}}, [LANE]),
            *([result_items.hook([LANE])] if results else []),
        ],
        grains={LANE: list(grains)},
        totals=totals.totals,
    ) as store:
        store.submit(clock_job(clock.reading()), ends_group=True).wait(WAIT_S)
        yield store


def commit(store: Store, jobs: Sequence[Job]) -> None:
    """All of them in one transaction; returns when it is on the medium."""
    for job in jobs[:-1]:
        store.submit(job)
    store.submit(jobs[-1], ends_group=True).wait(WAIT_S)


def _second(
    at_us: int, inputs: int, events: tuple[Event, ...], corners: "NDArray[np.float32] | None" = None,
    scores: "NDArray[np.float32] | None" = None,
) -> LaneSecond:  # fmt: skip
    """corners: (inputs, 2, 4), scores: (inputs, 2) of two faces; by chance where they are left out."""
    if corners is None or scores is None:
        corners = np.sort(_RNG.random((inputs, 2, 2, 2), np.float32), axis=2).reshape(inputs, 2, 4)
        scores = _RNG.random((inputs, 2), np.float32)
    return LaneSecond(
        lane=LANE, tick=Tick(at_us=at_us, alive_us=1_000_000, dropped=0), seen=inputs, gated=0, inferred=inputs, failed=0,
        inferences=tuple(
            Inference(
                model="faces", at_us=at_us - 990_000 + 40_000 * place, took_ms=12.0,
                detections=Detections(labels=("face", "face"), scores=scores[place], boxes=corners[place]),
            )
            for place in range(inputs)
        ),
        events=events, models={"faces": (inputs, 0)}, measured={}, latencies={"faces": {60: inputs // 2, 61: inputs // 3, 62: inputs - inputs // 2 - inputs // 3}},
    )  # fmt: skip


def _event(at_us: int, phase: str) -> Event:
    return Event(
        at_us=at_us, rule="someone", severity="warning", phase=phase, model="faces", label="face", score=0.91, box=(0.1, 0.2, 0.5, 0.9)
    )  # fmt: skip

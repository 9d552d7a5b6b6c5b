"""Seconds of a lane as the loop hands them to the store."""

import numpy as np

from agent.records import Detections, Event, Inference, LaneSecond, Tick


def found(*labels: str, score: float = 0.9) -> Detections:
    """Detections with one box each."""
    boxes = np.array([[0.1, 0.2, 0.5, 0.9]] * len(labels), np.float32).reshape(-1, 4)
    return Detections(labels=labels, scores=np.full(len(labels), score, np.float32), boxes=boxes)


def second(
    lane: str,
    at_us: int,
    *inputs: Detections,
    gated: int = 0,
    dropped: int = 0,
    alive_us: int = 1_000_000,
    events: tuple[Event, ...] = (),
) -> LaneSecond:
    """`inputs`: what the model "faces" found on each inferred input, evenly spread over the second before at_us."""
    step_us = 1_000_000 // (len(inputs) + 1)
    inferences = tuple(
        Inference(model="faces", at_us=at_us - 1_000_000 + step_us * (place + 1), detections=one, took_ms=3.0)
        for place, one in enumerate(inputs)
    )
    count = len(inputs)
    return LaneSecond(
        lane=lane, tick=Tick(at_us=at_us, alive_us=alive_us, dropped=dropped), seen=count + gated + dropped, gated=gated, inferred=count,
        failed=0, inferences=inferences, events=events, models={"faces": (count, 0)} if count else {}, measured={},
        latencies={"faces": {28: count}} if count else {},
    )  # fmt: skip

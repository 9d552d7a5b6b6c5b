"""A loop tells its gate where objects are: who stands still is looked at for as long as a model sees him."""

import numpy as np
import pytest
from peers.scenes import Scene, Square

from agent.events.following import Following
from agent.events.settings import Tracker as Config
from agent.events.tracker import Tracker
from agent.gating import motion
from agent.pipeline.lane import Loop, Model
from agent.pipeline.whereabouts import Whereabouts
from agent.records import Detections, Frame, Inference, LaneSecond, SampleWindow, Tick


def stands(at_s: float) -> Square | None:
    """Walks in from 2 s on, stands from 5 s to 70 s, and is gone."""
    return None if at_s < 2 or at_s > 70 else (min(0.2 + 0.1 * (at_s - 2), 0.5), 0.5, 60, 60)


class Sees:
    """A model that finds what there is."""

    def __init__(self) -> None:
        self.looked_at_s: list[float] = []

    def look(self, record: Frame | SampleWindow) -> Detections:
        at_s = record.at_us / 1e6
        self.looked_at_s.append(at_s)
        place = stands(at_s)
        boxes = np.zeros((0, 4), np.float32)
        if place is not None:
            x, y, side, _ = place
            boxes = np.array([[x - side / 1280, y - side / 960, x + side / 1280, y + side / 960]], np.float32)
        return Detections(labels=("person",) * len(boxes), scores=np.full(len(boxes), 0.9, np.float32), boxes=boxes)


@pytest.mark.parametrize("tracked", [True, False])
def test_who_stands_is_looked_at_until_he_is_gone(tracked: bool) -> None:
    sees, scene = Sees(), Scene(object=stands)
    seconds: list[LaneSecond] = []
    loop = Loop(
        "yard",
        [Model(name="people", runner=sees)],
        seconds.append,
        milliseconds=lambda: 0.0,
        gate=motion.open_gate(motion.Config(every_s=1000, rate_hz=2.0)),
        following=Following(Config(), ["people"]) if tracked else None,
    )
    for number in range(90 * 5):
        loop.take(scene.frame(number / 5))
    loop.take(Tick(at_us=90_000_000, alive_us=1_000_000, dropped=0))
    for from_s in range(5, 70, 5):
        assert sum(from_s <= at_s < from_s + 5 for at_s in sees.looked_at_s) >= 8
    assert not [at_s for at_s in sees.looked_at_s if at_s < 1.9][1:]
    assert not [at_s for at_s in sees.looked_at_s if at_s > 78]
    assert seconds[0].seen == seconds[0].gated + seconds[0].inferred


def test_boxes_are_tracks_and_what_was_found_last() -> None:
    tracker = Tracker(Config(lost_s=2.0))
    following = Whereabouts({"people": tracker})
    track = np.array([[0.1, 0.1, 0.2, 0.4]], np.float32)
    tracker.update(0, track, np.array([0.9], np.float32), np.zeros(1, np.int64))

    def tell(boxes: np.ndarray) -> None:
        found = Detections(labels=("car",) * len(boxes), scores=np.ones(len(boxes), np.float32), boxes=boxes)
        following.take(Inference(model="cars", at_us=0, detections=found, took_ms=0.0))

    car = np.array([[0.5, 0.5, 0.6, 0.9]], np.float32)
    tell(car)
    np.testing.assert_allclose(following.boxes(0), np.concatenate([track, car]), atol=1e-6)
    tell(np.zeros((0, 4), np.float32))
    np.testing.assert_allclose(following.boxes(1_000_000), track, atol=1e-6)
    assert following.boxes(9_000_000).shape == (0, 4)

"""The tracker on people whose truth is known: who is who, over crossings, occlusion, misses, a shaking camera, and at few inputs a second."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from peers.walkers import Seen, walkers

from agent.events.settings import Tracker as Config
from agent.events.tracker import Tracker
from agent.records import Detections

ONE = np.zeros(1, np.int64)


def box(x: float, y: float = 0.5, width: float = 0.1, height: float = 0.3) -> NDArray[np.float32]:
    return np.array([[x - width / 2, y - height, x + width / 2, y]], np.float32)


def follow(tracker: Tracker, at_s: float, boxes: NDArray[np.float32], score: float = 0.9) -> list[int]:
    count = len(boxes)
    return tracker.update(
        round(at_s * 1e6), boxes, np.full(count, score, np.float32), np.zeros(count, np.int64)
    ).tolist()


def judged(scene: list[Seen], config: Config | None = None) -> tuple[float, float, int]:
    """Share of detections of people that have their person's own track; tracks a person; people. A track is the person's that it follows longest."""
    tracker = Tracker(config or Config())
    by_track: dict[int, Counter[int]] = defaultdict(Counter)
    detections, people = 0, set[int]()
    for frame in scene:
        numbers = tracker.update(frame.at_us, frame.boxes, frame.scores, np.zeros(len(frame.boxes), np.int64))
        for number, person in zip(numbers.tolist(), frame.people.tolist(), strict=True):
            detections += person > 0
            people |= {person} - {0}
            if number:
                by_track[number][person] += 1
    longest: dict[int, int] = {}
    for counts in by_track.values():
        person, times = counts.most_common(1)[0]
        if person:
            longest[person] = max(longest.get(person, 0), times)
    return sum(longest.values()) / detections, len(by_track) / len(people), len(people)


@pytest.mark.parametrize("rate_hz", [30.0, 6.0])
@pytest.mark.parametrize("shake_px", [0.0, 3.0])
def test_people_keep_their_numbers(rate_hz: float, shake_px: float) -> None:
    """In the mean of four scenes; a single number for all, or a new one each time, would be far from it."""
    found = [judged(walkers(np.random.default_rng(seed), rate_hz=rate_hz, shake_px=shake_px)) for seed in range(4)]
    own, tracks = np.mean([one for one, _, _ in found]), np.mean([many for _, many, _ in found])
    assert own > 0.75
    assert 0.85 < tracks < 1.35


def test_two_that_cross_keep_their_numbers() -> None:
    tracker, numbers = Tracker(Config()), []
    for frame in range(40):
        at = frame / 10
        numbers.append(
            follow(tracker, at, np.concatenate([box(0.2 + 0.015 * frame, 0.5), box(0.8 - 0.015 * frame, 0.55)]))
        )
    assert len({tuple(one) for one in numbers}) == 1
    assert numbers[0][0] != numbers[0][1]


def test_who_is_hidden_for_a_while_comes_back_as_the_same() -> None:
    tracker = Tracker(Config(lost_s=2.0))
    before = [follow(tracker, frame / 10, box(0.2 + 0.02 * frame)) for frame in range(10)][-1]
    for frame in range(10, 22):
        assert follow(tracker, frame / 10, np.empty((0, 4), np.float32)) == []
    assert follow(tracker, 2.2, box(0.2 + 0.02 * 22)) == before


def test_after_lost_s_it_is_another() -> None:
    tracker = Tracker(Config(lost_s=1.0))
    (first,) = follow(tracker, 0.0, box(0.5))
    follow(tracker, 1.1, np.empty((0, 4), np.float32))
    follow(tracker, 1.2, box(0.5))
    (second,) = follow(tracker, 1.4, box(0.5))
    assert first != second > 0


def test_inputs_with_a_pause_between_them_are_as_good() -> None:
    """The gate lets through what it likes: time counts, not inputs."""
    tracker = Tracker(Config())
    (number,) = follow(tracker, 0.0, box(0.1))
    for at_s in (0.2, 0.4, 1.4, 1.5, 2.9):
        assert follow(tracker, at_s, box(0.1 + 0.1 * at_s)) == [number]


def test_a_detection_alone_is_no_object_yet_and_a_weak_one_never_begins_one() -> None:
    tracker = Tracker(Config(confirm_s=0.15))
    follow(tracker, 0.0, np.empty((0, 4), np.float32))
    assert follow(tracker, 0.1, box(0.5)) == [0]
    assert follow(tracker, 0.2, box(0.5)) == [0]
    (number,) = follow(tracker, 0.3, box(0.5))
    assert number
    assert follow(tracker, 0.4, box(0.5), score=0.2) == [number], "unsure, but where it is expected"
    assert [follow(tracker, 0.5 + place / 10, box(0.9), score=0.4) for place in range(5)] == [[0]] * 5


def test_what_is_there_at_the_very_first_input_has_a_number_at_once() -> None:
    assert follow(Tracker(Config()), 5.0, box(0.5)) == [5_001]


def test_only_one_label_is_one_object() -> None:
    tracker = Tracker(Config())

    def take(at_us: int, label: str) -> int:
        found = Detections(labels=(label,), scores=np.array([0.9], np.float32), boxes=box(0.5))
        return int(tracker.take(at_us, found)[0])

    cat = take(0, "cat")
    assert take(200_000, "cat") == cat
    assert take(400_000, "dog") == 0
    assert take(600_000, "dog") not in (0, cat)


def test_numbers_of_a_later_run_in_the_same_boot_are_others() -> None:
    first = {follow(Tracker(Config()), 10.0, box(0.1 * place))[0] for place in range(5)}
    later = follow(Tracker(Config()), 11.0, box(0.5))
    assert not first & set(later)


def test_boxes_that_are_no_boxes_break_nothing() -> None:
    tracker = Tracker(Config())
    strange = np.array([[0.5, 0.5, 0.5, 0.5], [0.9, 0.9, 0.1, 0.1], [0, 0, 0, 0]], np.float32)
    for place in range(5):
        assert len(follow(tracker, place / 10, strange)) == 3
    same = [follow(tracker, 1.0, box(0.5)) for _ in range(3)]
    assert all(len(one) == 1 for one in same), "several inputs of one moment"


def test_live_are_the_boxes_of_what_is_followed_until_it_is_lost() -> None:
    tracker = Tracker(Config(lost_s=2.0))
    assert tracker.live(0).shape == (0, 4)
    boxes = np.array([[0.1, 0.1, 0.2, 0.4], [0.5, 0.5, 0.6, 0.9]], np.float32)
    for number in range(3):
        tracker.update(number * 200_000, boxes, np.array([0.9, 0.2], np.float32), np.zeros(2, np.int64))
    np.testing.assert_allclose(tracker.live(400_000), boxes[:1], atol=1e-6)
    assert len(tracker.live(2_400_000)) == 1
    assert tracker.live(2_400_001).shape == (0, 4)

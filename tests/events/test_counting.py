"""Lines and zones on objects whose ways are known: each crossing once, each stay with its length."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from peers.walkers import walkers

from agent.events.counting import Counting
from agent.events.following import Following
from agent.events.settings import Line, Tracker, Zone
from agent.records import Crossing, Detections, Inference, Live

DOOR = Line(from_=(0.2, 0.5), to=(0.8, 0.5))  # in: upwards
ROOM = Zone(polygon=((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)))
Way = Callable[[float], tuple[float, float] | None]
WIDTH, HEIGHT = 0.08, 0.2


def foot(x: float, y: float) -> list[float]:
    """A box that stands there, cut off at the picture's edges."""
    box = (x - WIDTH / 2, y - HEIGHT, x + WIDTH / 2, y)
    return [min(1.0, max(0.0, side)) for side in box]


def seen(at_us: int, boxes: Iterable[list[float]], numbers: Iterable[int] | None = None) -> Inference:
    places = np.array(list(boxes), np.float32).reshape(-1, 4)
    tracks = None if numbers is None else np.array(list(numbers), np.int64)
    found = Detections(
        labels=("person",) * len(places), scores=np.full(len(places), 0.9, np.float32), boxes=places, tracks=tracks
    )
    return Inference(model="people", at_us=at_us, detections=found, took_ms=1.0)


def numbered(
    ways: dict[int, Way], *, rate_hz: float = 10.0, seconds: float = 10.0, zones: bool = False
) -> list[Crossing]:
    """What counting makes of objects whose numbers are given. A way says where its object stands at a second, None: it is not seen."""
    counting = Counting({"room": ROOM} if zones else {}, {"door": DOOR}, lost_s=2.0)
    rows = []
    for step in range(round(seconds * rate_hz)):
        there = {number: place for number, way in ways.items() if (place := way(step / rate_hz)) is not None}
        rows += counting.take(seen(round(step / rate_hz * 1e6), itertools.starmap(foot, there.values()), list(there)))
    return [*rows, *counting.expire(round(seconds * 1e6) + 3_000_000)]


def followed(ways: dict[int, Way], *, rate_hz: float = 10.0, seconds: float = 10.0) -> list[Crossing]:
    """The same through the tracker."""
    following = Following(Tracker(), ["people"], {"room": ROOM}, {"door": DOOR})
    rows = []
    for step in range(round(seconds * rate_hz)):
        there = [place for way in ways.values() if (place := way(step / rate_hz)) is not None]
        one = seen(round(step / rate_hz * 1e6), itertools.starmap(foot, there))
        assert one.detections is not None
        found = following.track("people", one.at_us, one.detections)
        rows += following.count(Inference(model="people", at_us=one.at_us, detections=found, took_ms=1.0))
    return [*rows, *following.tick(round(seconds * 1e6) + 3_000_000)]


def ways_over(rows: list[Crossing]) -> Counter[str]:
    return Counter(row.kind for row in rows if row.place == "door")


def straight(x: float, y: float, to_x: float, to_y: float, *, begin_s: float = 0.0, end_s: float = 10.0) -> Way:
    def way(at_s: float) -> tuple[float, float] | None:
        if not begin_s <= at_s <= end_s:
            return None
        share = (at_s - begin_s) / (end_s - begin_s)
        return x + (to_x - x) * share, y + (to_y - y) * share

    return way


@pytest.mark.parametrize("rate_hz", [30.0, 10.0, 5.0, 2.0])
def test_who_walks_over_the_line_counts_once_each_way(rate_hz: float) -> None:
    ways = {1: straight(0.5, 0.9, 0.5, 0.2), 2: straight(0.4, 0.2, 0.3, 0.9), 3: straight(0.6, 0.95, 0.55, 0.1)}
    assert ways_over(numbered(ways, rate_hz=rate_hz)) == {"in": 2, "out": 1}


@pytest.mark.parametrize("rate_hz", [30.0, 10.0, 5.0])
def test_the_same_through_the_tracker(rate_hz: float) -> None:
    ways = {1: straight(0.7, 0.9, 0.7, 0.2), 2: straight(0.4, 0.2, 0.3, 0.9)}
    rows = followed(ways, rate_hz=rate_hz)
    assert ways_over(rows) == {"in": 1, "out": 1}
    assert Counter(row.kind for row in rows)["born"] == 2


def test_who_passes_beside_the_lines_end_does_not_count() -> None:
    assert not ways_over(numbered({1: straight(0.9, 0.9, 0.9, 0.2), 2: straight(0.1, 0.9, 0.15, 0.2)}))


def test_a_u_turn_on_the_line_is_no_crossing_and_one_behind_it_is_two() -> None:
    def turns_at(y: float) -> Way:
        return lambda at_s: (0.5, y + abs(at_s - 5) * 0.06)

    assert not ways_over(numbered({1: turns_at(0.49)}))
    assert ways_over(numbered({1: turns_at(0.4)})) == {"in": 1, "out": 1}


@pytest.mark.parametrize("seed", range(20))
def test_who_stands_on_the_line_with_a_trembling_box_counts_once_when_he_has_gone_on(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def way(at_s: float) -> tuple[float, float]:
        y = 0.9 - 0.2 * at_s if at_s < 2 else 0.5 if at_s < 8 else 0.5 - 0.2 * (at_s - 8)
        return 0.5 + float(rng.normal(0, 0.05 * WIDTH)), y + float(rng.normal(0, 0.05 * HEIGHT))

    assert ways_over(numbered({1: way}, rate_hz=30)) == {"in": 1}


def test_a_number_that_changes_at_the_line_is_the_same_object() -> None:
    """Seen without a break, and after a second out of sight."""
    at_once = {1: straight(0.5, 0.9, 0.5, 0.5, end_s=5), 2: straight(0.5, 0.496, 0.5, 0.1, begin_s=5.1)}
    later = {1: straight(0.5, 0.9, 0.5, 0.53, end_s=4.6), 2: straight(0.5, 0.46, 0.5, 0.1, begin_s=5.5)}
    for ways in (at_once, later):
        rows = numbered(ways)
        assert ways_over(rows) == {"in": 1}
        assert Counter(row.kind for row in rows)["born"] == 1


def test_two_who_change_numbers_beyond_the_line_still_count_one_each_way() -> None:
    up, down = straight(0.5, 0.9, 0.5, 0.1), straight(0.52, 0.1, 0.52, 0.9)
    ways: dict[int, Way] = {
        1: lambda at_s: up(at_s) if at_s < 6 else down(at_s),
        2: lambda at_s: down(at_s) if at_s < 6 else up(at_s),
    }
    found = ways_over(numbered(ways))
    assert found["in"] - found["out"] == 0
    assert found["in"] >= 1


@pytest.mark.parametrize("rate_hz", [30.0, 10.0])
def test_who_comes_in_through_the_pictures_edge_counts(rate_hz: float) -> None:
    """The line is near the edge; the box is cut off there and grows while he comes."""
    near = Line(
        from_=(0.05, 1.0), to=(0.05, 0.0)
    )  # from below to above: from on the left hand of who goes... to the left
    counting_rows = []
    following = Following(Tracker(), ["people"], {}, {"door": near})
    for step in range(round(4 * rate_hz)):
        at_s = step / rate_hz
        x = -0.04 + 0.1 * at_s
        one = seen(round(at_s * 1e6), [foot(x, 0.6)] if x > -0.03 else [])
        assert one.detections is not None
        found = following.track("people", one.at_us, one.detections)
        counting_rows += following.count(Inference(model="people", at_us=one.at_us, detections=found, took_ms=1.0))
    assert sum(ways_over(counting_rows).values()) == 1


def test_a_stay_has_its_length_and_who_is_in_is_known() -> None:
    def way(at_s: float) -> tuple[float, float]:
        return (0.1 + 0.1 * at_s, 0.5) if at_s < 3.5 else (0.45, 0.5) if at_s < 6 else (0.45 + 0.2 * (at_s - 6), 0.5)

    rows = [row for row in numbered({1: way}, zones=True) if row.place == "room"]
    assert [row.kind for row in rows] == ["entered", "left"]
    entered_us, left_us = (row.at_us for row in rows)
    assert entered_us == pytest.approx(2.0e6, abs=150_000)
    assert left_us == pytest.approx(7.25e6, abs=150_000)
    assert rows[1].dwell_us == left_us - entered_us


@pytest.mark.parametrize("seed", range(10))
def test_who_stands_on_a_zones_edge_enters_once_and_leaves_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = numbered({1: lambda _: (0.3 + float(rng.normal(0, 0.05 * WIDTH)), 0.5)}, rate_hz=30, zones=True, seconds=20)
    assert Counter(row.kind for row in rows if row.place == "room") == {"entered": 1, "left": 1}


def test_who_is_lost_in_a_zone_left_it_when_he_was_seen_last() -> None:
    rows = numbered({1: straight(0.5, 0.5, 0.5, 0.5, end_s=4)}, zones=True)
    (left,) = [row for row in rows if row.kind == "left"]
    assert (left.at_us, left.dwell_us) == (4_000_000, 4_000_000)


def test_without_numbers_nothing_counts() -> None:
    counting = Counting({"room": ROOM}, {"door": DOOR}, lost_s=2.0)
    assert counting.take(seen(0, [foot(0.5, 0.5)])) == []
    assert counting.take(seen(1, [foot(0.5, 0.5)], [0])) == []
    assert counting.occupied() == {}


def run(following: Following, begin_s: float, end_s: float, way: Way) -> list[Crossing]:
    rows = []
    for step in range(round(begin_s * 10), round(end_s * 10)):
        at_us = step * 100_000
        rows += following.begin(at_us)
        place = way(step / 10)
        one = seen(at_us, [] if place is None else [foot(*place)])
        assert one.detections is not None
        found = following.track("people", at_us, one.detections)
        rows += following.count(Inference(model="people", at_us=at_us, detections=found, took_ms=1.0))
    return rows


def new(live: Live | None = None) -> Following:
    return Following(Tracker(), ["people"], {"room": ROOM}, {"door": DOOR}, live)


def test_objects_go_on_after_a_restart() -> None:
    way = straight(0.5, 0.9, 0.5, 0.1)
    before = new()
    first = run(before, 0, 4.5, way)
    state = before.save()
    assert state
    after = new(Live(state=state, same_boot=True))
    second = run(after, 6, 10, way)
    assert [row.kind for row in first] == ["born", "entered"]
    assert [row.kind for row in second] == ["in", "left"]
    assert {row.track for row in first + second} == {first[0].track}
    assert second[1].dwell_us == second[1].at_us - first[1].at_us


@pytest.mark.parametrize(("same_boot", "begin_s"), [(True, 8.0), (False, 5.0)])
def test_objects_that_cannot_go_on_end_as_interrupted(same_boot: bool, begin_s: float) -> None:
    before = new()
    run(before, 0, 4.5, straight(0.5, 0.9, 0.5, 0.1))
    state = before.save()
    assert state
    after = new(Live(state=state, same_boot=same_boot))
    rows = run(after, begin_s, begin_s + 1, lambda _: None)
    assert [(row.kind, row.place) for row in rows] == [("interrupted", None), ("interrupted_in", "room")]
    assert after.counting.occupied() == {}
    assert after.save() == b"", "what was kept is forgotten"
    assert after.save() is None


@pytest.mark.parametrize("state", [b"", b"{", b'{"counting":{"objects":[]},"trackers":{"people":{}}}', b"[1]"])
def test_a_state_that_cannot_be_read_is_passed_over(state: bytes) -> None:
    assert run(new(Live(state=state, same_boot=True)), 0, 1, straight(0.5, 0.9, 0.5, 0.8))[0].kind == "born"


@pytest.mark.parametrize("seed", range(5))
def test_a_crowd_that_crosses_a_line_is_counted(seed: int) -> None:
    """Through the tracker, on people who hide each other and a detector that misses: the truth is from where they really are."""
    line = Line(from_=(0.5, 1.0), to=(0.5, 0.0), anchor="centre")
    following = Following(Tracker(), ["people"], {}, {"door": line})
    truth: Counter[str] = Counter()
    rows: list[Crossing] = []
    sides: dict[int, bool] = {}
    for frame in walkers(np.random.default_rng(seed), count=12):
        boxes = frame.boxes / np.array([1920, 1080, 1920, 1080], np.float32)
        for who, box in zip(frame.people.tolist(), boxes.tolist(), strict=True):
            if who:
                distance = ((box[0] + box[2]) / 2 - 0.5) / (box[2] - box[0])
                if abs(distance) > 0.15:
                    if who in sides and sides[who] != (distance > 0):
                        truth["in" if distance < 0 else "out"] += 1
                    sides[who] = distance > 0
        one = seen(frame.at_us, boxes.tolist())
        assert one.detections is not None
        found = following.track("people", one.at_us, one.detections)
        rows += following.count(Inference(model="people", at_us=one.at_us, detections=found, took_ms=1.0))
    counted = ways_over(rows)
    total = sum(truth.values())
    assert total >= 5
    assert abs(counted["in"] - truth["in"]) + abs(counted["out"] - truth["out"]) <= max(1, round(0.15 * total)), (
        counted,
        truth,
    )

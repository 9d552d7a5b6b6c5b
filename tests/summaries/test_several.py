"""A door that is open, and a person: an event when both hold, whatever order the lanes hand their seconds over in."""

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.manual_clock import ManualClock

from agent.events.rules import Also, Config, Rules, in_lane, parts_of
from agent.pipeline.lane import Loop, Model
from agent.records import Detections, Event, Frame, LaneSecond, SampleWindow, Tick
from agent.store.export import print_rows
from agent.store.lane_rows import EventsJob, clock_job, lane_second_job
from agent.store.settings import Config as StoreConfig
from agent.store.writer import open_store
from agent.summaries import event_items, several
from agent.summaries.several import Combined, overlaps
from agent.values import Bytes

WAIT_S = 20.0
SETTINGS = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
INTRUDER = Config(
    lane="yard", label="person", severity="alarm", clear_s=0.5, with_=(Also(lane="door", label="open", clear_s=0.5),)
)
COMBINED = {"intruder": Combined(lane="yard", severity="alarm", label="person", parts=("intruder#0", "intruder#1"))}


class Seen:
    """Gives a label at some times: seconds from, to."""

    def __init__(self, label: str, *spans: tuple[float, float]) -> None:
        self._label, self._spans = label, spans

    def look(self, record: Frame | SampleWindow) -> Detections:
        here = any(begin <= record.at_us / 1e6 < end for begin, end in self._spans)
        return Detections(labels=(self._label,) * here, scores=np.ones(int(here), np.float32))


def lane(name: str, seen: Seen) -> list[LaneSecond]:
    seconds: list[LaneSecond] = []
    own = in_lane({"intruder": INTRUDER}, name)
    loop = Loop(name, [Model(name="m", runner=seen)], seconds.append, milliseconds=lambda: 0.0, rules=Rules(own, {}))
    for step in range(100):
        loop.take(Frame(at_us=step * 100_000, bgr=np.zeros((4, 4, 3), np.uint8)))
        if step % 10 == 9:
            loop.take(Tick(at_us=(step + 1) * 100_000, alive_us=1_000_000, dropped=0))
    return seconds


def rows(folder: Path, seconds: list[LaneSecond], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    clock = ManualClock()
    hooks = [several.hook(COMBINED), event_items.hook()]
    with open_store(folder, clock=clock, device="s/n", settings=SETTINGS, hooks=hooks) as store:
        store.submit(clock_job(clock.reading()), ends_group=True).wait(WAIT_S)
        for one in seconds:
            store.submit(lane_second_job(one), ends_group=bool(one.events))
        store.submit(lambda _: None, ends_group=True).wait(WAIT_S)
        path = store.path
        with store.read() as connection:
            items = connection.execute("SELECT count(*) FROM item").fetchone()[0]
    print_rows(path)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [row for row in found if row["k"] == "event" and row["rule"] == "intruder"]
    assert items == len(events), "parts are not sent"
    return events


def shape(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["phase"], row["t"][17:21]) for row in events]


def test_an_event_starts_when_both_hold_and_ends_with_the_first_that_ceases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yard = lane("yard", Seen("person", (1.0, 3.0), (6.0, 9.0)))
    door = lane("door", Seen("open", (2.0, 7.0)))
    begin = shape(rows(tmp_path / "1", [one for pair in zip(yard, door, strict=True) for one in pair], capsys))
    assert [phase for phase, _ in begin] == ["start", "end", "start", "end"]
    times = [float(text) for _, text in begin]
    assert [round(later - earlier, 1) for earlier, later in pairwise(times)] == [1.4, 2.6, 1.4]
    assert shape(rows(tmp_path / "2", [*yard, *door], capsys)) == begin
    assert shape(rows(tmp_path / "3", [*door, *yard], capsys)) == begin
    mixed = [(second.tick.at_us + random.Random(5).randrange(3) * 1_000_000, second) for second in yard + door]
    by_time = [second for _, second in sorted(mixed, key=lambda pair: pair[0])]
    assert shape(rows(tmp_path / "4", by_time, capsys)) == begin


def test_a_group_that_was_undone_is_looked_at_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its ids are given again, to other rows."""
    clock = ManualClock()

    def part(number: int, phase: str, at_us: int) -> EventsJob:
        event = Event(at_us=at_us, rule=f"intruder#{number}", severity="alarm", phase=phase, label="x")
        return EventsJob("yard", [event])

    hooks = [several.hook(COMBINED)]
    with open_store(tmp_path, clock=clock, device="s/n", settings=SETTINGS, hooks=hooks) as store:
        store.submit(part(0, "start", 1), ends_group=True).wait(WAIT_S)

        def broken(transaction: Any) -> None:
            part(1, "start", 2)(transaction)
            raise ValueError("undone")

        with pytest.raises(Exception, match="undone"):
            store.submit(broken, ends_group=True).wait(WAIT_S)
        store.submit(part(1, "start", 3), ends_group=True).wait(WAIT_S)
        path = store.path
    print_rows(path)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["at_us"] for row in events if row["rule"] == "intruder"] == [3]


def test_parts_have_names_that_no_rule_can_have() -> None:
    assert list(parts_of("intruder", INTRUDER)) == ["intruder#0", "intruder#1"]
    plain = Config(lane="yard", label="person")
    assert in_lane({"intruder": INTRUDER, "plain": plain}, "yard").keys() == {"intruder#0", "plain"}
    assert in_lane({"intruder": INTRUDER, "plain": plain}, "door").keys() == {"intruder#1"}


spans = st.lists(st.integers(0, 40), min_size=0, max_size=10, unique=True).map(sorted)


@given(st.lists(spans, min_size=2, max_size=3))
def test_overlaps_are_the_times_at_which_all_hold(points: list[list[int]]) -> None:
    parts = [
        [((1, one[at]), (1, one[at + 1]) if at + 1 < len(one) else None) for at in range(0, len(one), 2)]
        for one in points
    ]
    found = overlaps(parts)
    for at in range(45):
        truth = all(any(begin[1] <= at and (end is None or at < end[1]) for begin, end in part) for part in parts)
        told = any(begin[1] <= at and (end is None or at < end[1]) for begin, end in found)
        assert truth == told

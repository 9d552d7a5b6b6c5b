"""Lines and zones from the models' boxes to the summary that is sent, and over a restart of the agent."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.manual_clock import ManualClock

from agent.events.following import Following
from agent.events.rules import Config as Rule
from agent.events.rules import Rules
from agent.events.settings import Line, Tracker, Zone
from agent.pipeline.lane import Loop, Model
from agent.records import Detections, Frame, LaneSecond, Live, SampleWindow, Tick
from agent.store import live
from agent.store.export import print_rows
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.settings import Config as StoreConfig
from agent.store.writer import open_store
from agent.summaries import event_items, rollup
from agent.values import Bytes

WAIT_S = 20.0
ZONES = {"left-half": Zone(polygon=((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))}
LINES = {"middle": Line(from_=(0.5, 0.0), to=(0.5, 1.0))}  # in: to the right
SETTINGS = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))


class Walks:
    """One walks to the right at a tenth of the picture a second, another to the left; who is out of the picture is not seen."""

    def look(self, record: Frame | SampleWindow) -> Detections:
        at = record.at_us / 1e6
        rows = [x for x in (0.05 + 0.1 * at, 0.95 - 0.1 * at) if 0 < x < 1]
        boxes = [[x - 0.05, 0.3 + 0.2 * (place % 2), x + 0.05, 0.5 + 0.2 * (place % 2)] for place, x in enumerate(rows)]
        return Detections(
            labels=("person",) * len(rows), scores=np.full(len(rows), 0.9, np.float32), boxes=np.array(boxes, np.float32).reshape(-1, 4)
        )  # fmt: skip


def loop(seconds: list[LaneSecond], objects: Live | None = None, rules: dict[str, Rule] | None = None) -> Loop:
    following = Following(Tracker(), ["people"], ZONES, LINES, objects)
    return Loop(
        "yard", [Model(name="people", runner=Walks())], seconds.append, milliseconds=lambda: 0.0, following=following,
        rules=Rules(rules, ZONES, since=following.counting.since_us) if rules else None,
    )  # fmt: skip


def drive(one: Loop, begin_s: int, end_s: int) -> None:
    for step in range(begin_s * 10, end_s * 10):
        one.take(Frame(at_us=step * 100_000, bgr=np.zeros((4, 4, 3), np.uint8)))
        if step % 10 == 9:
            one.take(Tick(at_us=(step + 1) * 100_000, alive_us=1_000_000, dropped=0))


def stored(folder: Path, seconds: list[LaneSecond], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    clock = ManualClock()
    with open_store(
        folder, clock=clock, device="s/n", settings=SETTINGS, grains={"yard": (5, 3600, 86400)},
        hooks=[rollup.hook("sha256:00", {}), event_items.hook()],
    ) as store:  # fmt: skip
        store.submit(clock_job(clock.reading()), ends_group=True).wait(WAIT_S)
        for one in seconds:
            store.submit(lane_second_job(one))
        store.submit(lambda _: None, ends_group=True).wait(WAIT_S)
        path = store.path
    print_rows(path)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def bodies(rows: list[dict[str, Any]], grain: str) -> list[dict[str, Any]]:
    return [row["body"] for row in rows if row["k"] == "sum" and row["grain"] == grain]


def test_a_summary_says_who_crossed_and_who_is_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds: list[LaneSecond] = []
    drive(loop(seconds), 0, 16)
    rows = stored(tmp_path, seconds, capsys)
    windows = bodies(rows, "s5")
    assert len(windows) >= 3
    first, second, third = windows[:3]
    assert first["models"]["people"]["uniq"] == {"person": 2}
    assert second["models"]["people"]["uniq"] == {}
    counted = {"in": 0, "out": 0}
    for window in windows:
        for way, count in window.get("line", {}).get("middle", {}).get("person", {}).items():
            counted[way] += count
    assert counted == {"in": 1, "out": 1}
    now = 0
    for window in windows:
        zone = window.get("zone", {}).get("left-half", {}).get("person", {"in": 0, "out": 0, "now": 0})
        now += zone["in"] - zone["out"]
        assert zone["now"] == now
    assert first["zone"]["left-half"]["person"]["now"] == 1
    stays = [row["dwell_s"] for row in rows if row["k"] == "cross" and row["kind"] == "left"]
    assert sorted(stays) == pytest.approx([4.6, 5.3], abs=0.6)
    assert third["zone"]["left-half"]["person"]["dwell"]["n"] >= 0


def test_each_crossing_is_one_row_that_a_view_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3
    from contextlib import closing

    seconds: list[LaneSecond] = []
    drive(loop(seconds), 0, 8)
    stored(tmp_path, seconds, capsys)
    with closing(sqlite3.connect(tmp_path / "edge.sqlite")) as connection:
        found = connection.execute(
            "SELECT kind, place, label FROM crossings WHERE kind IN ('in', 'out') ORDER BY kind"
        ).fetchall()
    assert found == [("in", "middle", "person"), ("out", "middle", "person")]


def test_after_a_restart_objects_go_on_from_the_store_and_else_are_told_as_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds: list[LaneSecond] = []
    drive(loop(seconds), 0, 3)
    clock = ManualClock()
    with open_store(tmp_path, clock=clock, device="s/n", settings=SETTINGS) as store:
        for one in seconds:
            store.submit(lane_second_job(one))
        store.submit(lambda _: None, ends_group=True).wait(WAIT_S)
    with open_store(tmp_path, clock=clock, device="s/n", settings=SETTINGS) as store, store.read() as connection:
        objects = live.read(connection, "yard", store.boot)
        other = live.read(connection, "yard", store.boot + 1)
    assert objects is not None
    assert other is not None
    assert objects.same_boot
    assert not other.same_boot
    soon: list[LaneSecond] = []
    drive(loop(soon, objects), 4, 8)
    kinds = [one.kind for second in seconds + soon for one in second.crossings]
    assert kinds.count("born") == 2
    assert kinds.count("in") == kinds.count("out") == 1
    late: list[LaneSecond] = []
    drive(loop(late, other), 0, 6)
    cut = [one for second in late for one in second.crossings if one.kind.startswith("interrupted")]
    assert [one.kind for one in cut] == ["interrupted", "interrupted_in", "interrupted"]
    body = bodies(stored(tmp_path / "late", late, capsys), "s5")[0]
    assert body["models"]["people"]["cut"] == {"person": 2}
    assert body["zone"]["left-half"]["person"]["cut"] == 1


def test_rules_on_a_line_a_stay_and_a_number_of_objects() -> None:
    rules = {
        "right": Rule(lane="yard", label="person", line="middle", direction="in", clear_s=0.0),
        "any": Rule(lane="yard", label="person", line="middle", clear_s=0.5),
        "long": Rule(lane="yard", label="person", zone="left-half", dwell_s=3.0),
        "two": Rule(lane="yard", label="person", count=2),
        "three": Rule(lane="yard", label="person", count=3),
    }
    seconds: list[LaneSecond] = []
    drive(loop(seconds, rules=rules), 0, 9)
    events = [(event.rule, event.phase) for second in seconds for event in second.events]
    assert events.count(("right", "start")) == events.count(("right", "end")) == 1
    assert events.count(("any", "start")) == 1, "both cross within half a second: one event"
    assert ("long", "start") in events
    assert ("two", "start") in events
    assert not [one for one in events if one[0] == "three"]
    (right,) = [event for second in seconds for event in second.events if event.rule == "right" and event.phase == "start"]  # fmt: skip
    assert right.line == "middle"
    assert right.at_us == pytest.approx(4.6e6, abs=300_000)
    (long,) = [event for second in seconds for event in second.events if event.rule == "long"]
    assert long.at_us == pytest.approx(3.0e6, abs=200_000)


def test_a_rule_that_cools_down_starts_again_only_later() -> None:
    class Blinks:
        def look(self, record: Frame | SampleWindow) -> Detections:
            here = record.at_us // 1_000_000 % 2 == 0
            return Detections(labels=("person",) * here, scores=np.ones(int(here), np.float32))

    rules = {"seen": Rule(lane="yard", label="person", clear_s=0.3, cooldown_s=3.0)}
    seconds: list[LaneSecond] = []
    one = Loop(
        "yard", [Model(name="people", runner=Blinks())], seconds.append, milliseconds=lambda: 0.0, rules=Rules(rules, {})
    )  # fmt: skip
    drive(one, 0, 10)
    starts = [event.at_us for second in seconds for event in second.events if event.phase == "start"]
    assert starts == [0, 4_200_000, 8_200_000]  # an event ends 0.3 s after it was last seen

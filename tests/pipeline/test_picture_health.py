"""What is wrong with a camera's picture, from the frame to the store, the state of the lane and the health message; over a restart; recorded and replayed."""

import json
from pathlib import Path

import msgspec
import numpy as np
from peers.agents import VIEW_MODEL
from peers.manual_clock import ManualClock
from peers.runners import Scripted
from peers.scenes import Scene

from agent.clock import Reading
from agent.config.read import read
from agent.health.pictures import Pictures
from agent.health.settings import Picture
from agent.pipeline import build
from agent.pipeline.health import Health
from agent.pipeline.lane import Loop, Model
from agent.pipeline.recorder import open_recorder
from agent.pipeline.replay import replay
from agent.pipeline.supervisor import LaneState
from agent.records import Frame, LaneSecond, Tick
from agent.store.lane_rows import clock_job, lane_second_job
from agent.store.reader import started_rules
from agent.store.settings import Config as StoreConfig
from agent.store.writer import open_store
from agent.summaries import event_items
from agent.values import Bytes
from tools.golden import rows_of

SCENE = Scene(width=320, height=240, sigma=3.0)
SETTINGS = StoreConfig(max_loss_s=0.2, keep_free=Bytes(0))
WAIT_S = 20.0
CONFIG = """version = 1
[device]
site = "test"
name = "gate-07"
data = "data"
[lane.yard]
summaries = ["m1"]
[lane.yard.source]
kind = "camera"
url = "yard.avi"
[lane.yard.gate]
kind = "motion"
[lane.yard.model.view]
path = "{model}"
"""


def seen(at_s: float) -> Frame:
    """Covered from 10 to 30 s."""
    frame = SCENE.frame(at_s)
    if not 10 <= at_s < 30:
        return frame
    return msgspec.structs.replace(frame, bgr=np.full_like(frame.pixels, 60) + frame.pixels % 3)


def test_it_is_an_event_of_the_lane_at_once_whatever_the_gate_says_and_a_state_until_its_end() -> None:
    seconds: list[LaneSecond] = []
    view = Scripted({})
    loop = Loop(
        "yard", [Model(name="view", runner=view)], seconds.append, milliseconds=lambda: 0.0, health=Pictures(Picture())
    )  # fmt: skip
    held = []
    for at_s in range(40):
        loop.take(seen(at_s))
        held.append(loop.picture)
        if loop.wants_tick:
            loop.take(Tick(at_us=at_s * 1_000_000 + 1, alive_us=1_000_000, dropped=0))
    assert held[14] == ()
    assert held[15:35] == [("covered",)] * 20
    assert held[35:] == [()] * 5
    told = [(event.at_us, event.rule, event.phase) for second in seconds for event in second.events]
    assert told == [(15_000_000, "picture-covered", "start"), (35_000_000, "picture-covered", "end")]


def test_events_are_stored_and_sent_and_hold_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG.format(model=VIEW_MODEL))
    file = read(path, environment={}).file
    clock = ManualClock(boot_us=5_000_000)
    with open_store(
        tmp_path / "data", clock=clock, device="test/gate-07", settings=SETTINGS, names=build.names(file), hooks=[event_items.hook()]
    ) as store:  # fmt: skip
        store.submit(clock_job(clock.reading()))
        loop = Loop(
            "yard", [Model(name="view", runner=Scripted({}))], lambda second: store.submit(lane_second_job(second)), milliseconds=lambda: 0.0,
            health=Pictures(file.lane["yard"].picture),
        )  # fmt: skip
        for at_s in range(20):
            loop.take(seen(at_s))
        loop.take(Tick(at_us=20_000_000, alive_us=1_000_000, dropped=0))
        store.submit(lambda _: None, ends_group=True).wait(WAIT_S)
        with store.read() as connection:
            active = started_rules(connection, "yard")
            (body,) = connection.execute("SELECT body FROM item").fetchall()
    assert active == {"picture-covered"}
    item = json.loads(body[0])
    assert (item["st"], item["rule"], item["sev"], item["label"], item["phase"]) == (
        "event/yard", "picture-covered", "warn", "covered", "start",
    )  # fmt: skip
    assert Pictures(Picture(), active).states == ("covered",)


def test_the_health_message_tells_it(tmp_path: Path) -> None:
    clock = ManualClock(boot_us=5_000_000)
    states = {
        name: LaneState(state="running", problem=None, input_at_us=None, restarts=0, models={}, refused_models=(), picture=picture)
        for name, picture in (("yard", ("moved",)), ("door", ()))
    }  # fmt: skip
    with open_store(tmp_path, clock=clock, device="s/n", settings=SETTINGS) as store:
        store.submit(clock_job(clock.reading()), ends_group=True).wait(WAIT_S)
        store.submit(Health(store, clock, lambda: states, lambda: None).job(), ends_group=True).wait(WAIT_S)
        with store.read() as connection:
            (body,) = connection.execute("SELECT body FROM item").fetchone()
    lanes = json.loads(body)["lanes"]
    assert lanes["yard"]["picture"] == ["moved"]
    assert "picture" not in lanes["door"]


def test_a_replay_tells_the_same(tmp_path: Path) -> None:
    with open_recorder(tmp_path / "recording", {}, CONFIG.format(model=VIEW_MODEL)) as recorder:
        recorder.clock(Reading(at_us=0, utc_offset_us=1_790_000_000_000_000, source="ntp", error_ms=5))
        lane = recorder.lane("yard")
        for at_s in range(1, 41):
            lane.note(seen(at_s))
            while lane.waiting:  # a recorder that is behind leaves a gap, and nothing here takes time
                pass
            lane.note(Tick(at_us=at_s * 1_000_000 + 500_000, alive_us=1_000_000, dropped=0))

    def rows(name: str) -> list[str]:
        return rows_of(replay(tmp_path / "recording", tmp_path / name)).splitlines()

    one = rows("one")
    told = [json.loads(row) for row in one if '"event"' in row]
    assert [(row["rule"], row["phase"]) for row in told] == [("picture-covered", "start"), ("picture-covered", "end")]
    assert rows("two") == one

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.runners import Scripted

from agent.events.rules import Config, Rules
from agent.gating import Gate
from agent.pipeline.lane import Loop, Model
from agent.problems import Problem
from agent.records import Frame, LaneSecond, SampleWindow, Tick

BROKEN = Problem(where="lane.yard.model.faces", what="it broke", remedy="mend it")


def frame(at_us: int) -> Frame:
    return Frame(at_us=at_us, bgr=np.zeros((4, 4, 3), np.uint8))


def tick(at_us: int, dropped: int = 0) -> Tick:
    return Tick(at_us=at_us, alive_us=1_000_000, dropped=dropped)


class EveryOther:
    """A gate that lets every second input pass."""

    quiet = False
    boxes = np.zeros((0, 4), np.float32)

    def __init__(self) -> None:
        self._count = 0
        self.warm = False

    def take(self, record: Frame | SampleWindow) -> bool:
        self._count += 1
        return self._count % 2 == 0

    def tracked(self, boxes: np.ndarray) -> None:
        pass


def loop(models: list[Model], gate: Gate | None = None, rules: Rules | None = None) -> tuple[Loop, list[LaneSecond]]:
    seconds: list[LaneSecond] = []
    watch = iter(range(1_000_000))
    return Loop(
        "yard", models, seconds.append, milliseconds=lambda: float(next(watch)), gate=gate, rules=rules
    ), seconds


@given(
    st.lists(st.sampled_from(["found", "nothing", "broken"]), max_size=30),
    st.lists(st.sampled_from(["found", "nothing", "broken"]), max_size=30),
    st.integers(0, 5),
    st.integers(0, 4_000_000),
    st.booleans(),
)
def test_every_input_is_counted_once(
    one: list[str], other: list[str], dropped: int, every_us: int, gated: bool
) -> None:
    def script(answers: list[str]) -> Scripted:
        return Scripted(
            {
                at * 100_000: BROKEN if answer == "broken" else ["face"] * (answer == "found")
                for at, answer in enumerate(answers)
            }
        )

    models = [Model(name="faces", runner=script(one)), Model(name="view", runner=script(other), every_us=every_us)]
    lane, seconds = loop(models, EveryOther() if gated else None)
    for at in range(30):
        lane.take(frame(at * 100_000))
    lane.take(tick(3_000_000, dropped))
    (second,) = seconds
    assert second.seen == 30 + dropped
    assert second.seen == second.gated + second.inferred + second.failed + second.tick.dropped
    assert sum(second.models["faces"]) == len(models[0].runner.looked_at)  # type: ignore[attr-defined]
    assert sum(inferred for inferred, _ in second.models.values()) == len(second.inferences)


def test_an_input_counts_as_failed_only_when_every_model_that_took_it_failed() -> None:
    models = [
        Model(name="faces", runner=Scripted({1: BROKEN, 2: BROKEN})),
        Model(name="view", runner=Scripted({2: BROKEN})),
    ]
    lane, seconds = loop(models)
    for at in (1, 2):
        lane.take(frame(at))
    lane.take(tick(1_000_000))
    assert (seconds[0].inferred, seconds[0].failed) == (1, 1)
    assert seconds[0].models == {"faces": (0, 2), "view": (1, 1)}
    assert models[0].problem == str(BROKEN)


def test_a_model_looks_no_more_often_than_every_s() -> None:
    slow = Scripted({})
    lane, seconds = loop([Model(name="view", runner=slow, every_us=1_000_000)])
    for at in range(0, 3_000_000, 400_000):
        lane.take(frame(at))
    lane.take(tick(3_000_000))
    assert slow.looked_at == [0, 1_200_000, 2_400_000]
    assert (seconds[0].inferred, seconds[0].gated) == (3, 5)


def test_an_event_asks_for_a_tick_at_once_and_travels_with_its_results() -> None:
    rules = Rules({"seen": Config(lane="yard", label="face")}, {})
    lane, seconds = loop([Model(name="faces", runner=Scripted({5: ["face"]}))], rules=rules)
    lane.take(frame(4))
    assert not lane.wants_tick
    lane.take(frame(5))
    assert lane.wants_tick
    lane.take(tick(6))
    assert not lane.wants_tick
    assert [event.phase for event in seconds[0].events] == ["start"]
    assert [len(one.detections) for one in seconds[0].inferences if one.detections is not None] == [0, 1]


def test_a_tick_without_inputs_counts_nothing() -> None:
    lane, seconds = loop([Model(name="faces", runner=Scripted({}))])
    lane.take(tick(1_000_000))
    assert (seconds[0].seen, seconds[0].models, seconds[0].latencies) == (0, {}, {})


def test_an_input_that_a_model_chokes_on_counts_as_failed_and_the_lane_goes_on() -> None:
    models = [Model(name="faces", runner=Scripted({1: ValueError("cannot convert float NaN to integer"), 2: ["face"]}))]
    lane, seconds = loop(models)
    lane.take(frame(1))
    assert models[0].problem is not None
    assert "lane.yard.model.faces: ValueError: cannot convert float NaN to integer" in models[0].problem
    lane.take(frame(2))
    lane.take(tick(1_000_000))
    assert (seconds[0].seen, seconds[0].inferred, seconds[0].failed) == (2, 1, 1)
    assert seconds[0].models == {"faces": (1, 1)}
    assert models[0].problem is None


class Choking(EveryOther):
    def take(self, record: Frame | SampleWindow) -> bool:
        if record.at_us == 3:
            raise ValueError("no such picture")
        return record.at_us != 2


def test_an_input_that_breaks_the_lane_is_counted_before_it_ends() -> None:
    lane, seconds = loop([Model(name="faces", runner=Scripted({1: ["face"]}))], Choking())
    lane.take(frame(1))
    lane.take(frame(2))
    with pytest.raises(ValueError, match="no such picture"):
        lane.take(frame(3))
    lane.take(tick(1_000_000, dropped=4))
    (second,) = seconds
    assert (second.seen, second.gated, second.inferred, second.failed) == (7, 1, 1, 1)
    assert len(second.inferences) == 1

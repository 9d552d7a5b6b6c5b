import numpy as np
import pytest

from agent.events.rules import Config, Rules
from agent.events.settings import Zone
from agent.records import Detections, Inference

SECOND = 1_000_000


def inference(
    at_s: float, *labels: str, score: float = 0.9, box: tuple[float, ...] = (0.4, 0.4, 0.6, 0.6), model: str = "faces"
) -> Inference:
    detections = Detections(
        labels=labels,
        scores=np.full(len(labels), score, np.float32),
        boxes=np.tile(np.array(box, np.float32), (len(labels), 1)),
    )
    return Inference(model=model, at_us=round(at_s * SECOND), detections=detections, took_ms=1.0)


def rules(zones: dict[str, Zone] | None = None, active: frozenset[str] = frozenset(), **keys: object) -> Rules:
    config = Config(lane="yard", label="face", **keys)  # type: ignore[arg-type]
    return Rules({"seen": config}, zones or {}, active)


def phases(rule: Rules, *inputs: Inference) -> list[tuple[float, str]]:
    return [(event.at_us / SECOND, event.phase) for one in inputs for event in rule.take(one)]


def test_an_event_starts_at_once_and_ends_when_the_label_is_gone_for_clear_s() -> None:
    assert phases(
        rules(clear_s=2), inference(0), inference(1, "face"), inference(2, "face"), inference(3), inference(4)
    ) == [
        (1, "start"),
        (4, "end"),
    ]


def test_for_s_asks_for_a_time_of_holding() -> None:
    rule = rules(for_s=2, clear_s=1.5)
    assert phases(rule, inference(0, "face"), inference(1, "face"), inference(1.9, "face")) == []
    assert phases(rule, inference(2, "face")) == [(2, "start")]


def test_what_had_begun_to_hold_is_forgotten_after_flicker_s() -> None:
    rule = rules(for_s=3, flicker_s=1, clear_s=60)
    assert phases(rule, inference(0, "face"), inference(1.5), inference(2, "face"), inference(4, "face")) == []
    assert phases(rule, inference(5, "face")) == [(5, "start")]


def test_flicker_shorter_than_clear_s_is_one_event() -> None:
    inputs = [inference(at, *(["face"] if at % 2 else [])) for at in range(10)]
    assert phases(rules(clear_s=3), *inputs) == [(1, "start")]


@pytest.mark.parametrize(("box", "inside"), [((0.4, 0.1, 0.6, 0.5), True), ((0.4, 0.4, 0.6, 0.9), False)])
def test_a_zone_is_asked_about_the_foot_of_the_box(box: tuple[float, ...], inside: bool) -> None:
    zone = Zone(polygon=((0.0, 0.2), (1.0, 0.2), (1.0, 0.6), (0.0, 0.6)))
    assert bool(phases(rules({"dock": zone}, zone="dock"), inference(1, "face", box=box))) is inside


def test_a_score_below_the_rules_own_does_not_match() -> None:
    assert phases(rules(score=0.95), inference(1, "face", score=0.9)) == []


def test_another_models_inputs_neither_start_nor_end_it() -> None:
    rule = rules(model="faces", clear_s=1)
    assert phases(rule, inference(0, "face", model="view")) == []
    assert phases(rule, inference(1, "face"), inference(9, model="view")) == [(1, "start")]


def test_an_event_that_had_started_before_a_restart_ends_and_does_not_start_again() -> None:
    rule = rules(active=frozenset({"seen"}), clear_s=2)
    assert phases(rule, inference(10, "face"), inference(11), inference(12.5)) == [(12.5, "end")]
    assert phases(rules(active=frozenset({"seen"}), clear_s=2), inference(10), inference(11), inference(12)) == [
        (12, "end")
    ]


def test_the_event_tells_the_best_detection() -> None:
    detections = Detections(
        labels=("face", "cat", "face"),
        scores=np.array([0.7, 0.99, 0.8], np.float32),
        boxes=np.array([[0, 0, 0.1, 0.1], [0, 0, 1, 1], [0.2, 0.2, 0.3, 0.3]], np.float32),
    )
    (event,) = rules(severity="warn").take(Inference(model="faces", at_us=5, detections=detections, took_ms=1.0))
    assert (event.rule, event.phase, event.label, event.score, event.severity) == ("seen", "start", "face", 0.8, "warn")
    assert event.box == (0.2, 0.2, 0.3, 0.3)


def test_an_anomaly_is_judged_by_its_value() -> None:
    detections = Detections(labels=("face",), scores=np.array([1.0], np.float32), values=np.array([3.5]))
    (event,) = rules(score=3).take(Inference(model="faces", at_us=5, detections=detections, took_ms=1.0))
    assert event.score == 3.5
    assert event.box is None

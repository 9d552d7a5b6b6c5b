"""Each kind of result as an object and as a line, without a model."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from agent.oneshot.inputs import Given
from agent.oneshot.lines import as_object, as_text
from agent.pipeline.runner import Runner, Times
from agent.records import Detections, Frame, SampleWindow

TIMES = Times(preprocess_ms=1.0, invoke_ms=2.0, decode_ms=0.25)
PICTURE = Given(name="a.png", record=Frame(at_us=0, bgr=np.zeros((100, 200, 3), np.uint8)))
WINDOW = Given(name="a.npy", record=SampleWindow(at_us=0, samples=np.zeros((1, 4), np.float32)), number=2)


class Gives(msgspec.Struct):
    """As much of a Runner as a line says."""

    gives: str
    labels: tuple[str, ...] = ()
    keypoint_names: tuple[str, ...] = ()
    least: float | None = 0.5
    digest: str = "ab"
    runtime: str = "litert 2"
    delegate: str = "cpu"
    degraded: str | None = None
    decoder: str = "d"

    @property
    def reader(self) -> Any:
        return SimpleNamespace(keypoint_names=self.keypoint_names, least=self.least)


def said(given: Given, found: Detections, runner: Gives) -> tuple[dict[str, Any], str]:
    line = as_object(given, cast(Runner, runner), found, TIMES, model="m")
    return line, as_text(line, runner.labels)


def test_detections_with_points_and_a_share() -> None:
    found = Detections(
        labels=("cat",), indexes=(3,), scores=np.array([0.5], np.float32), boxes=np.array([[0, 0.1, 0.5, 1]], np.float32),
        values=np.array([0.25]), keypoints=np.array([[[0.1, 0.2, 0.9], [0.3, 0.4, 0.1]]], np.float32),
    )  # fmt: skip
    line, text = said(PICTURE, found, Gives(gives="detections", keypoint_names=("nose", "tail")))
    assert line["detections"] == [
        {
            "label": "cat", "index": 3, "score": 0.5, "box_px": [0, 10, 100, 100], "box": [0.0, 0.1, 0.5, 1.0], "ratio": 0.25,
            "keypoints": [{"name": "nose", "x": 0.1, "y": 0.2, "score": 0.9}, {"name": "tail", "x": 0.3, "y": 0.4, "score": 0.1}],
        }
    ]  # fmt: skip
    assert text == "a.png: cat 0.50 [0 10 100 100] 25.0% 1 of 2 points; 3.2 ms"


def test_nothing_found_is_an_empty_list() -> None:
    nothing = Detections(labels=(), scores=np.zeros(0, np.float32))
    for gives in ("detections", "classes", "keypoints", "areas", "values", "vector"):
        line, text = said(PICTURE, nothing, Gives(gives=gives, labels=("person",)))
        assert line[gives] == []
        assert text.startswith("a.png: ")


def test_many_are_counted() -> None:
    found = Detections(labels=("a",) * 11, scores=np.ones(11, np.float32), boxes=np.zeros((11, 4), np.float32))
    assert " and 3 more; " in said(PICTURE, found, Gives(gives="detections"))[1]


@pytest.mark.parametrize(("labels", "named"), [(("0", "1"), {}), (("left", "right"), {"labels": ["left", "right"]})])
def test_values_and_their_names(labels: tuple[str, ...], named: dict[str, Any]) -> None:
    found = Detections(labels=labels, scores=np.ones(2, np.float32), values=np.array([1.5, -2]))
    line, text = said(WINDOW, found, Gives(gives="values", labels=labels))
    assert line["values"] == [1.5, -2]
    assert {key: line[key] for key in ("labels",) if key in line} == named
    assert text == f"a.npy 2: {'left 1.5, right -2' if named else '1.5, -2'}; 3.2 ms"


def test_a_missing_number_keeps_the_others_named() -> None:
    """NaN is no measured number: what is left says which it is."""
    found = Detections(labels=("1",), scores=np.ones(1, np.float32), values=np.array([7.0]))
    assert said(WINDOW, found, Gives(gives="values", labels=("0", "1")))[0]["labels"] == ["1"]


def test_what_json_has_no_number_for() -> None:
    found = Detections(
        labels=("raw",), scores=np.ones(1, np.float32), vectors=np.array([[np.nan, 1, np.inf] + [0] * 9], np.float32)
    )
    line, text = said(WINDOW, found, Gives(gives="vector"))
    assert msgspec.json.decode(msgspec.json.encode(line))["vector"][:3] == [None, 1, None]
    assert text.startswith("a.npy 2: 12 numbers: nan 1 inf")


@pytest.mark.parametrize(("value", "word"), [(0.4, "below"), (0.5, "at least")])
def test_an_anomaly_and_its_threshold(value: float, word: str) -> None:
    found = Detections(labels=("anomaly",), scores=np.ones(1, np.float32), values=np.array([value]))
    line, text = said(WINDOW, found, Gives(gives="anomaly"))
    assert line["anomaly"] == {"score": value, "threshold": 0.5}
    assert f"{word} 0.5" in text


def test_an_anomaly_without_a_threshold() -> None:
    found = Detections(labels=("anomaly",), scores=np.zeros(1, np.float32), values=np.array([0.4]))
    line, text = said(WINDOW, found, Gives(gives="anomaly", least=None))
    assert line["anomaly"] == {"score": 0.4, "threshold": None}
    assert "anomaly 0.4 (no threshold given)" in text


def test_degraded_is_told() -> None:
    nothing = Detections(labels=(), scores=np.zeros(0, np.float32))
    assert said(PICTURE, nothing, Gives(gives="classes", degraded="the GPU hung"))[0]["degraded"] == "the GPU hung"
